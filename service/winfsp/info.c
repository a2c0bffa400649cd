// SPDX-License-Identifier: BSD-3-Clause
/*
 * info.c - GetFileInfo, SetBasicInfo, SetFileSize
 *
 * Theory of operation
 *
 *   What Windows sets and Linux keeps is sent in one SETATTR: write and access time, the write bits for
 *   READONLY. Other attributes and the creation time are stored beside (stored.c). Nothing keeps a change time;
 *   it is accepted and dropped, because programs that copy files give up otherwise.
 *
 *   Allocation is a promise of room: reserved on the host where that is possible (FALLOCATE, size unchanged),
 *   given back at cleanup (close.c). An allocation below the size cuts the file, as NTFS does.
 */
#include "service/winfsp/svc.h"

#include "lib/meta/ntsd.h"

/** svc_cb_get_file_info() */
NTSTATUS WINAPI svc_cb_get_file_info(struct winfsp_file_system *fs, void *ctx,
                                     struct winfsp_file_info *info)
{
    (void)fs;
    return svc_info(ctx, info);
}

/* Which fields of `a` are to be sent. */
static uint32_t times_to_set(UINT64 access, UINT64 write, struct cli_attr *a)
{
    uint32_t mask = 0;

    if (svc_time_is_given(access)) {
        a->atime = svc_time_to_host(access);
        mask |= CLI_SET_ATIME;
    }
    if (svc_time_is_given(write)) {
        a->mtime = svc_time_to_host(write);
        mask |= CLI_SET_MTIME;
    }
    return mask;
}

/**
 * svc_cb_set_basic_info() - attributes (INVALID_FILE_ATTRIBUTES: as they are) and times (0: as they are)
 */
NTSTATUS WINAPI svc_cb_set_basic_info(struct winfsp_file_system *fs, void *ctx, UINT32 attributes,
                                      UINT64 creation, UINT64 access, UINT64 write, UINT64 change,
                                      struct winfsp_file_info *info)
{
    struct svc_open *o = ctx;
    struct svc_volume *v = svc_volume_of(fs);
    struct cli_attr a = {0}, before = {0};
    uint32_t mask = times_to_set(access, write, &a);
    uint8_t acl[NTSD_MAX];
    int error = 0, acl_size = 0;

    bool store = svc_time_is_given(creation) || attributes != INVALID_FILE_ATTRIBUTES;
    bool locks; /* the host may refuse to store anything of a file that is not writable any more */
    NTSTATUS status = STATUS_SUCCESS;

    (void)change;
    if (store) {
        error = cli_getattr(v->client, o->node, false, &before);
        if (error)
            return svc_status(error, SVC_ABOUT_HANDLE);
    }
    if (attributes != INVALID_FILE_ATTRIBUTES) {
        a.mode = svc_mode_with_attributes(&v->rules, before.mode, attributes);
        if (a.mode != (before.mode & 07777))
            mask |= CLI_SET_MODE;
    }
    if (mask & CLI_SET_MODE)
        acl_size = svc_acl_find(v, o->node, &before, acl);
    if (acl_size < 0)
        return svc_status(acl_size, SVC_ABOUT_HANDLE);
    locks = (mask & CLI_SET_MODE) && (a.mode & 0222) == 0;
    if (!svc_time_is_given(creation))
        creation = 0;
    if (store && locks)
        status = svc_store(o, &before, attributes, creation);
    if (NT_SUCCESS(status) && mask)
        status = svc_status(cli_setattr(v->client, o->node, mask, &a, NULL), SVC_ABOUT_HANDLE);
    if (NT_SUCCESS(status))
        status = svc_acl_keep(o, acl, acl_size);
    if (NT_SUCCESS(status) && store && !locks)
        status = svc_store(o, &before, attributes, creation);
    if (NT_SUCCESS(status) && (mask & CLI_SET_MTIME))
        svc_cached_time(o, a.mtime);
    return NT_SUCCESS(status) ? svc_info(o, info) : status;
}

static NTSTATUS resize(struct svc_open *o, uint64_t size)
{
    struct cli_attr a = {.size = size};
    NTSTATUS status = svc_cached_grow(o, size);

    if (!NT_SUCCESS(status))
        return status;
    return svc_status(cli_setattr(o->v->client, o->node, CLI_SET_SIZE, &a, NULL), SVC_ABOUT_HANDLE);
}

/**
 * svc_allocate() - blocks for a file, its size unchanged [1]
 *
 * Return: success where the host cannot do this; STATUS_DISK_FULL where there is no room.
 */
NTSTATUS svc_allocate(struct svc_open *o, uint64_t bytes)
{
    NTSTATUS status = svc_open_data(o, CLI_WRITE);
    int error;

    if (!NT_SUCCESS(status))
        return status;
    error = cli_allocate(o->v->client, o->file, 0, bytes);
    if (error == -LE_EOPNOTSUPP || error == -LE_ENOSYS)
        return STATUS_SUCCESS;
    o->preallocated = true;
    return svc_status(error, SVC_ABOUT_HANDLE);
}

static NTSTATUS reserve(struct svc_open *o, uint64_t bytes)
{
    struct cli_attr a;
    int error = cli_getattr(o->v->client, o->node, false, &a);

    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    if (bytes < a.size)
        return resize(o, bytes);
    return bytes > svc_allocation(&a) ? svc_allocate(o, bytes) : STATUS_SUCCESS;
}

/** svc_cb_set_file_size() - @allocation: `size` is room to reserve, not the end of the file */
NTSTATUS WINAPI svc_cb_set_file_size(struct winfsp_file_system *fs, void *ctx, UINT64 size,
                                     BOOLEAN allocation, struct winfsp_file_info *info)
{
    struct svc_open *o = ctx;
    NTSTATUS status;

    (void)fs;
    if ((!o->stream && cli_node_type(o->node) != SVC_IFREG) || size > INT64_MAX)
        return STATUS_INVALID_PARAMETER;
    if (o->stream)
        status = svc_stream_set_size(o, size, allocation);
    else
        status = allocation ? reserve(o, size) : resize(o, size);
    return NT_SUCCESS(status) ? svc_info(o, info) : status;
}
