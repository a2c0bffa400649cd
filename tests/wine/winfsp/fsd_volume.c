// SPDX-License-Identifier: BSD-3-Clause
/*
 * fsd_volume.c - IRP_MJ_QUERY_VOLUME_INFORMATION, IRP_MJ_SET_VOLUME_INFORMATION
 *
 * Structures: MS-FSCC 2.5; what comes from where: WinFsp src/sys/volinfo.c.
 *
 * Ownership: none.   Locks: volume_info_lock around the cache.
 */
#include <string.h>

#include "tests/wine/winfsp/standin.h"

enum {
    FS_VOLUME = 1,
    FS_LABEL = 2,
    FS_SIZE = 3,
    FS_DEVICE = 4,
    FS_ATTRIBUTE = 5,
    FS_FULL_SIZE = 7,
    FS_SECTOR_SIZE = 11
};

static NTSTATUS get_volume_info(struct volume *v, struct winfsp_volume_info *info)
{
    pthread_mutex_lock(&v->volume_info_lock);
    bool alive = cache_alive(v, &v->volume_info_life);
    *info = v->volume_info;
    pthread_mutex_unlock(&v->volume_info_lock);
    if (alive)
        return STATUS_SUCCESS;
    struct op *op = op_new(WINFSP_KIND_QUERY_VOLUME_INFORMATION, 0);
    NTSTATUS status = op_call(v, op, false);
    if (NT_SUCCESS(status)) {
        memcpy(info, op->rsp->largest, sizeof *info);
        pthread_mutex_lock(&v->volume_info_lock);
        v->volume_info = *info;
        cache_start(v, &v->volume_info_life, v->params.volume_info_timeout);
        pthread_mutex_unlock(&v->volume_info_lock);
    }
    op_free(op);
    return status;
}

static NTSTATUS fs_attributes(struct volume *v, uint8_t *buf, uint32_t cap, uint32_t *len)
{
    static const struct {
        uint32_t flag, attribute;
    } map[] = {{WINFSP_CASE_SENSITIVE_SEARCH, 1},
               {WINFSP_CASE_PRESERVED_NAMES, 2},
               {WINFSP_UNICODE_ON_DISK, 4},
               {WINFSP_PERSISTENT_ACLS, 8},
               {WINFSP_REPARSE_POINTS, 0x80},
               {WINFSP_EXTENDED_ATTRIBUTES, 0x800000},
               {WINFSP_NAMED_STREAMS, 0x40000},
               {WINFSP_READ_ONLY_VOLUME, 0x80000},
               {WINFSP_SUPPORTS_POSIX_UNLINK_RENAME, 0x400}};
    static const WCHAR driver[] = {'W', 'i', 'n', 'F', 's', 'p'};
    struct name own = name_of(v->params.file_system_name);
    WCHAR text[32];
    unsigned n = 0;
    if (!own.len || own.at[0] == '-' || own.at[0] == '/' || own.at[0] == '\\') {
        memcpy(text, driver, sizeof driver);
        n = ARRAY_SIZE(driver);
    }
    memcpy(text + n, own.at, own.len * sizeof(WCHAR));
    n += own.len;
    uint32_t head[3] = {0, v->params.max_component_length, n * (uint32_t)sizeof(WCHAR)};
    for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
        head[0] |= volume_flag(v, map[i].flag) ? map[i].attribute : 0;
    if (cap < 16)
        return STATUS_BUFFER_TOO_SMALL;
    uint32_t copy = head[2] < cap - 12 ? head[2] : cap - 12;
    memcpy(buf, head, 12);
    memcpy(buf + 12, text, copy);
    *len = 12 + copy;
    return copy < head[2] ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

static NTSTATUS fs_sizes(struct volume *v, uint32_t class, uint8_t *buf, uint32_t cap,
                         uint32_t *len)
{
    struct winfsp_volume_info info;
    bool full = class == FS_FULL_SIZE;
    uint32_t size = full ? 32 : 24;
    if (cap < size)
        return STATUS_BUFFER_TOO_SMALL;
    NTSTATUS status = get_volume_info(v, &info);
    if (!NT_SUCCESS(status))
        return status;
    uint64_t units[3] = {info.total_size / volume_unit(v), info.free_size / volume_unit(v),
                         info.free_size / volume_unit(v)};
    uint32_t geometry[2] = {v->params.sectors_per_allocation_unit, v->params.sector_size};
    memcpy(buf, units, size - 8);
    memcpy(buf + size - 8, geometry, 8);
    *len = size;
    return STATUS_SUCCESS;
}

static NTSTATUS fs_volume(struct volume *v, uint8_t *buf, uint32_t cap, uint32_t *len)
{
    struct winfsp_volume_info info;
    if (cap < 24)
        return STATUS_BUFFER_TOO_SMALL;
    NTSTATUS status = get_volume_info(v, &info);
    if (!NT_SUCCESS(status))
        return status;
    uint32_t label = info.volume_label_length;
    if (label > sizeof info.volume_label)
        label = sizeof info.volume_label;
    uint32_t copy = label < cap - 18 ? label : cap - 18;
    memset(buf, 0, 18);
    memcpy(buf, &v->params.volume_creation_time, 8);
    memcpy(buf + 8, &v->params.volume_serial_number, 4);
    memcpy(buf + 12, &label, 4);
    memcpy(buf + 18, info.volume_label, copy);
    *len = 18 + copy;
    return copy < label ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

NTSTATUS fsd_query_volume(struct volume *v, uint32_t class, void *buf, uint32_t cap, uint32_t *len)
{
    uint32_t device[2] = {FILE_DEVICE_DISK, 0};
    uint32_t sectors[7] = {v->params.sector_size, v->params.sector_size, v->params.sector_size,
                           v->params.sector_size, 7 /* aligned, no seek penalty */};
    *len = 0;
    switch (class) {
    case FS_VOLUME:
        return fs_volume(v, buf, cap, len);
    case FS_SIZE:
    case FS_FULL_SIZE:
        return fs_sizes(v, class, buf, cap, len);
    case FS_ATTRIBUTE:
        return fs_attributes(v, buf, cap, len);
    case FS_DEVICE:
    case FS_SECTOR_SIZE:
        *len = class == FS_DEVICE ? sizeof device : sizeof sectors;
        if (cap < *len) {
            *len = 0;
            return STATUS_BUFFER_TOO_SMALL;
        }
        memcpy(buf, class == FS_DEVICE ? device : sectors, *len);
        return STATUS_SUCCESS;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

NTSTATUS fsd_set_volume(struct volume *v, uint32_t class, const void *buf, uint32_t len)
{
    uint32_t bytes;
    if (class != FS_LABEL || len < 8)
        return STATUS_INVALID_PARAMETER;
    memcpy(&bytes, buf, 4);
    if (bytes > len - 4)
        return STATUS_INVALID_PARAMETER;
    struct op *op = op_new(WINFSP_KIND_SET_VOLUME_INFORMATION, bytes + sizeof(WCHAR));
    if (!op)
        return STATUS_INVALID_PARAMETER;
    memcpy(op->req->buffer, (const uint8_t *)buf + 4, bytes);
    op->req->set_volume_information.information_class = class;
    op->req->set_volume_information.label =
        (struct winfsp_span){0, (uint16_t)(bytes + sizeof(WCHAR))};
    NTSTATUS status = op_call(v, op, false);
    if (NT_SUCCESS(status)) {
        pthread_mutex_lock(&v->volume_info_lock);
        memcpy(&v->volume_info, op->rsp->largest, sizeof v->volume_info);
        cache_start(v, &v->volume_info_life, v->params.volume_info_timeout);
        pthread_mutex_unlock(&v->volume_info_lock);
    }
    op_free(op);
    return status;
}
