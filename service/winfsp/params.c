// SPDX-License-Identifier: BSD-3-Clause
/*
 * params.c - what WinFsp is told of a volume, and volume information
 *
 * Each setting is chosen; docs/service.md says why. The label lives as long as the volume: the host has no
 * place for one. The serial number is made from the tag, so that it stays the same from start to start.
 *
 * Locks: label_lock.
 */
#include "service/winfsp/params.h"

#include <string.h>

enum { INFO_TIMEOUT_MS = 1000, SECTOR = 512, SECTORS_PER_UNIT = 8 };

static const WCHAR default_name[] = L"VirtIO-FS";

static uint32_t serial_of(const WCHAR *tag)
{
    uint32_t hash = 2166136261u;

    for (; *tag; tag++)
        hash = (hash ^ *tag) * 16777619u;
    return hash;
}

static uint32_t flags_of(const struct svc_volume *v)
{
    uint32_t flags = WINFSP_CASE_PRESERVED_NAMES | WINFSP_UNICODE_ON_DISK | WINFSP_REPARSE_POINTS |
                     WINFSP_POST_CLEANUP_WHEN_MODIFIED_ONLY |
                     WINFSP_PASS_QUERY_DIRECTORY_FILE_NAME | WINFSP_FLUSH_AND_PURGE_ON_CLEANUP |
                     WINFSP_CONTEXT_IS_USER_CONTEXT2 | WINFSP_ALLOW_OPEN_IN_KERNEL_MODE |
                     WINFSP_DIRECTORY_MARKER_AS_NEXT_OFFSET | WINFSP_SUPPORTS_POSIX_UNLINK_RENAME |
                     WINFSP_POST_DISPOSITION_WHEN_NECESSARY_ONLY;

    if (v->options.acl != SVC_ACL_NONE || v->security)
        flags |= WINFSP_PERSISTENT_ACLS;
    if (!v->options.case_insensitive)
        flags |= WINFSP_CASE_SENSITIVE_SEARCH;
    if (v->options.read_only)
        flags |= WINFSP_READ_ONLY_VOLUME;
    if (v->has_eas)
        flags |= WINFSP_EXTENDED_ATTRIBUTES | WINFSP_CASE_PRESERVED_EXTENDED_ATTRIBUTES;
    if (v->streams_on)
        flags |= WINFSP_NAMED_STREAMS;
    return flags;
}

/** svc_params() - STATUS_INVALID_PARAMETER for a file system name that is too long [1] */
NTSTATUS svc_params(struct svc_volume *v, struct winfsp_volume_params *out)
{
    const WCHAR *name = v->options.file_system_name;
    struct cli_node *root = cli_root(v->client);
    struct cli_attr a;
    int error = cli_getattr(v->client, root, false, &a);

    cli_node_put(v->client, root);
    if (error)
        return svc_status(error, SVC_ABOUT_NAME);
    if (!name || name[0] == 0)
        name = default_name;
    if (wcslen(name) >= WINFSP_FSNAME_UNITS)
        return STATUS_INVALID_PARAMETER;
    memset(out, 0, sizeof(*out));
    out->version = sizeof(*out);
    out->sector_size = SECTOR;
    out->sectors_per_allocation_unit = SECTORS_PER_UNIT;
    out->max_component_length = SVC_NAME_UNITS;
    out->volume_creation_time = svc_time_from_host(a.btime);
    out->volume_serial_number = serial_of(v->tag);
    out->file_info_timeout = v->options.cache == SVC_CACHE_LONG ? UINT32_MAX : INFO_TIMEOUT_MS;
    out->flags = flags_of(v);
    memcpy(out->file_system_name, name, wcslen(name) * sizeof(WCHAR));
    return STATUS_SUCCESS;
}

/* ---- GetVolumeInfo, SetVolumeLabel ------------------------------------------------------------------ */

static uint64_t bytes_of(uint64_t blocks, uint32_t size)
{
    return size != 0 && blocks > (uint64_t)INT64_MAX / size ? (uint64_t)INT64_MAX : blocks * size;
}

/** svc_cb_get_volume_info() - blocks count in units of frsize, not of bsize (POSIX, statvfs) [1] */
NTSTATUS WINAPI svc_cb_get_volume_info(struct winfsp_file_system *fs,
                                       struct winfsp_volume_info *info)
{
    struct svc_volume *v = svc_volume_of(fs);
    struct cli_statfs s;
    int error = cli_statfs(v->client, &s);
    uint32_t unit;

    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    unit = s.frsize ? s.frsize : s.bsize;
    info->total_size = bytes_of(s.blocks, unit);
    info->free_size = bytes_of(s.bavail, unit);
    AcquireSRWLockShared(&v->label_lock);
    info->volume_label_length = (uint16_t)(wcslen(v->label) * sizeof(WCHAR));
    memcpy(info->volume_label, v->label, info->volume_label_length);
    ReleaseSRWLockShared(&v->label_lock);
    return STATUS_SUCCESS;
}

/** svc_cb_set_volume_label() - for as long as it is mounted */
NTSTATUS WINAPI svc_cb_set_volume_label(struct winfsp_file_system *fs, WCHAR *label,
                                        struct winfsp_volume_info *info)
{
    struct svc_volume *v = svc_volume_of(fs);

    if (v->options.read_only)
        return STATUS_MEDIA_WRITE_PROTECTED;
    if (wcslen(label) >= WINFSP_LABEL_UNITS)
        return STATUS_INVALID_VOLUME_LABEL;
    AcquireSRWLockExclusive(&v->label_lock);
    lstrcpynW(v->label, label, WINFSP_LABEL_UNITS);
    ReleaseSRWLockExclusive(&v->label_lock);
    return svc_cb_get_volume_info(fs, info);
}
