// SPDX-License-Identifier: BSD-3-Clause
/*
 * stream_ops.c - alternate data streams as WinFsp asks for them
 *
 * Theory of operation
 *
 *   WinFsp knows a stream by the path of its file, a colon and the stream's name; the type ":$DATA" never comes, and
 *   no other does. Its driver opens the file along with the stream, makes it if need be, and keeps that handle; it
 *   keeps the share modes of both, and refuses to rename a stream. Here a stream's handle is one of its
 *   file with a struct svc_stream besides: attributes, times, EAs and security are the file's, contents and size
 *   the stream's. The streams of a directory are no directories.
 *
 *   The check before an open reads the stream, and the operation keeps it (struct svc_trail), so that open and first
 *   read ask no more.
 *
 *   A file is overwritten with its streams: those go that are not open (NTFS, and WinFsp for the open ones).
 *
 *   Where the host cannot keep extended attributes (one file system inside the share, say), names of streams are
 *   invalid as on a file system without streams; that is told once.
 *
 * Locks: none of its own.
 */
#include "service/winfsp/svc.h"

#include <string.h>

#include "service/winfsp/stream_name.h"

enum { UNIT = 4096, ALIGNMENT = 8 };

/**
 * svc_stream_path() - take the path of a stream apart
 *
 * Return: false for a path without a colon: it is no stream's.
 */
bool svc_stream_path(const struct svc_volume *v, const WCHAR *path, struct svc_stream_path *out)
{
    const WCHAR *colon = v->streams_on ? wcschr(path, L':') : NULL;

    if (!colon || colon - path >= SVC_PATH_UNITS)
        return false;
    memcpy(out->file, path, (size_t)(colon - path) * sizeof(*path));
    out->file[colon - path] = 0;
    out->name = colon + 1;
    return true;
}

/** svc_stream_fail() - what an error of a stream is called; hosts without a place for streams are told of once */
NTSTATUS svc_stream_fail(struct svc_volume *v, const WCHAR *path, int error)
{
    if ((error == -LE_EOPNOTSUPP || error == -LE_ENOSYS) &&
        InterlockedCompareExchange(&v->said_no_streams, error, 0) == 0)
        svc_volume_log(v, 1,
                       L"%ls: the host keeps no alternate data streams of this file (error %d); "
                       L"they are refused, "
                       L"here and elsewhere",
                       path, -error);
    return svc_status(error, SVC_ABOUT_STREAM);
}

/* The stream's contents in place of its file's. */
static void put_contents(struct winfsp_file_info *out, uint32_t size)
{
    out->file_attributes &= ~(uint32_t)FILE_ATTRIBUTE_DIRECTORY;
    out->file_size = size;
    out->allocation_size = (size + UNIT - 1) / UNIT * UNIT;
}

/** svc_stream_info() - contents of a stream in place of its file's, in what is told of the file [1, or none] */
NTSTATUS svc_stream_info(struct svc_open *o, struct winfsp_file_info *out)
{
    int size = svc_stream_size(o->stream);

    if (size == -LE_ENODATA)
        return STATUS_FILE_DELETED;
    if (size < 0)
        return svc_stream_fail(o->v, o->path, size);
    put_contents(out, (uint32_t)size);
    return STATUS_SUCCESS;
}

/* ---- opening ---------------------------------------------------------------------------------------- */

/**
 * svc_stream_check() - is this stream there, before it is opened? [1, or none]
 * @attributes: of its file; become the stream's
 *
 * The operation keeps what was read.
 */
NTSTATUS svc_stream_check(struct svc_volume *v, const struct svc_found *f, const WCHAR *name,
                          UINT32 *attributes)
{
    struct svc_trail *t = svc_trail(v);
    struct svc_stream *s;
    int error;

    if (svc_reparse_tag(cli_node_type(f->node)) != 0)
        return STATUS_SUCCESS; /* WinFsp looks where it leads, or is told by the open */
    error = svc_stream_find(v, f->node, name, &s);
    if (error)
        return svc_stream_fail(v, name, error);
    if (attributes)
        *attributes &= ~(uint32_t)FILE_ATTRIBUTE_DIRECTORY;
    if (t) {
        svc_stream_put(t->stream);
        t->stream = s;
    } else {
        svc_stream_put(s);
    }
    return STATUS_SUCCESS;
}

/* The path of a handle: its file's, and the stream's name as it was made. */
static NTSTATUS name_handle(struct svc_open *o)
{
    WCHAR path[SVC_PATH_UNITS];
    uint16_t name[SVC_NAME_UNITS];
    size_t len = wcslen(o->path), units = svc_stream_name(o->stream, name);

    if (len + 1 + units >= SVC_PATH_UNITS)
        return STATUS_OBJECT_NAME_INVALID;
    memcpy(path, o->path, len * sizeof(*path));
    path[len] = L':';
    memcpy(path + len + 1, name, units * sizeof(*path));
    path[len + 1 + units] = 0;
    return svc_open_path_set(o, path);
}

/* A handle for a stream. Takes the reference in any case. */
static NTSTATUS open_stream(struct svc_volume *v, const struct svc_found *f, const WCHAR *file,
                            struct svc_stream *s, void **ctx, struct winfsp_file_info *info)
{
    struct svc_open *o;
    NTSTATUS status = svc_open_new(v, f, file, 0, &o); /* rights to data are the stream's */

    if (!NT_SUCCESS(status)) {
        svc_stream_put(s);
        return status;
    }
    o->stream = s;
    status = name_handle(o);
    if (NT_SUCCESS(status))
        status = svc_info(o, info);
    if (!NT_SUCCESS(status)) {
        svc_open_free(o);
        return status;
    }
    svc_normalize(o, info);
    svc_cached_open(o);
    *ctx = o;
    return STATUS_SUCCESS;
}

static NTSTATUS open_found(struct svc_volume *v, const struct svc_found *f,
                           const struct svc_stream_path *path, UINT32 options, void **ctx,
                           struct winfsp_file_info *info)
{
    struct svc_stream *s;
    int error = svc_stream_find(v, f->node, path->name, &s);

    if (error)
        return svc_stream_fail(v, path->file, error);
    if (options & SVC_OPTION_DIRECTORY) {
        svc_stream_put(s);
        return STATUS_NOT_A_DIRECTORY;
    }
    return open_stream(v, f, path->file, s, ctx, info);
}

/** svc_stream_open() - Open [1, or none after svc_stream_check()] */
NTSTATUS svc_stream_open(struct svc_volume *v, const struct svc_stream_path *path, UINT32 options,
                         void **ctx, struct winfsp_file_info *info)
{
    struct svc_found f;
    int r = svc_find(v, path->file, &f);
    NTSTATUS status = r ? svc_find_failure(r, &f) : open_found(v, &f, path, options, ctx, info);

    svc_found_end(v, &f);
    return status;
}

/**
 * svc_stream_create() - CreateEx of a stream; its file is there [1 or 2]
 *
 * Return: STATUS_OBJECT_NAME_COLLISION if the stream is there as well.
 */
NTSTATUS svc_stream_create(struct svc_volume *v, const struct svc_stream_path *path,
                           UINT64 allocation, void **ctx, struct winfsp_file_info *info)
{
    struct svc_stream *s;
    struct svc_found f;
    int r = svc_find(v, path->file, &f), error;
    NTSTATUS status;

    if (r) {
        status = svc_find_failure(r, &f);
    } else if (allocation > (SVC_STREAM_MAX + 1) / UNIT * UNIT) {
        status = STATUS_DISK_FULL;
    } else {
        error = svc_stream_make(v, f.node, path->name, &s);
        status = error ? svc_stream_fail(v, path->file, error)
                       : open_stream(v, &f, path->file, s, ctx, info);
    }
    svc_found_end(v, &f);
    return status;
}

/* ---- data ------------------------------------------------------------------------------------------- */

static NTSTATUS result_of(struct svc_open *o, int result)
{
    if (result == -LE_ENODATA)
        return STATUS_FILE_DELETED;
    return result < 0 ? svc_stream_fail(o->v, o->path, result) : STATUS_SUCCESS;
}

/** svc_stream_read_at() - Read [1, or none] */
NTSTATUS svc_stream_read_at(struct svc_open *o, void *buf, UINT64 offset, ULONG len, ULONG *got)
{
    int result = svc_stream_read(o->stream, buf, offset, len);
    NTSTATUS status = result_of(o, result);

    if (!NT_SUCCESS(status))
        return status;
    *got = (ULONG)result;
    return result == 0 && len > 0 ? STATUS_END_OF_FILE : STATUS_SUCCESS;
}

/** svc_stream_write_at() - Write [1 or 2] */
NTSTATUS svc_stream_write_at(struct svc_open *o, const void *buf, UINT64 offset, ULONG len,
                             uint32_t flags, ULONG *put, struct winfsp_file_info *info)
{
    int result = svc_stream_write(o->stream, buf, offset, len, flags);
    NTSTATUS status = result_of(o, result);

    if (!NT_SUCCESS(status))
        return status;
    *put = (ULONG)result;
    svc_info_after_write(o, info);
    return svc_stream_info(o, info);
}

/** svc_stream_set_size() - SetFileSize; room needs no reserving, but a smaller allocation cuts */
NTSTATUS svc_stream_set_size(struct svc_open *o, UINT64 size, BOOLEAN allocation)
{
    int now = allocation ? svc_stream_size(o->stream) : 0;

    if (allocation && now >= 0 && size >= (uint32_t)now)
        return size > (SVC_STREAM_MAX + UNIT) / UNIT * UNIT ? STATUS_DISK_FULL : STATUS_SUCCESS;
    return result_of(o, now < 0 ? now : svc_stream_resize(o->stream, size));
}

/* ---- GetStreamInfo ---------------------------------------------------------------------------------- */

struct listing {
    uint8_t *buf;
    ULONG room, used;
    bool full;
};

/* WinFsp: entries are aligned, and two bytes of zero end them. The driver puts ":" and ":$DATA" around names. */
static bool add(void *user, const WCHAR *name, uint32_t units, uint32_t size)
{
    struct listing *l = user;
    struct winfsp_stream_info *e = (struct winfsp_stream_info *)(void *)(l->buf + l->used);
    ULONG bytes = (ULONG)(sizeof(*e) + units * sizeof(*name));
    ULONG aligned = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

    if (l->room - l->used < aligned + sizeof(uint16_t)) {
        l->full = true;
        return false;
    }
    memset(e, 0, aligned);
    e->size = (uint16_t)bytes;
    e->stream_size = size;
    e->stream_allocation_size = (size + UNIT - 1) / UNIT * UNIT;
    memcpy(e->name, name, units * sizeof(*name));
    l->used += aligned;
    return true;
}

/* The nameless stream, which has its own size. */
static NTSTATUS add_main(struct svc_open *o, struct listing *l)
{
    struct winfsp_stream_info *e = (struct winfsp_stream_info *)(void *)l->buf;
    struct cli_attr a;
    int error;

    if (cli_node_type(o->node) != SVC_IFREG)
        return STATUS_SUCCESS;
    error = svc_getattr(o->v, o->node, &a);
    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    if (!add(l, L"", 0, 0))
        return STATUS_BUFFER_OVERFLOW;
    e->stream_size = a.size;
    e->stream_allocation_size = svc_allocation(&a);
    return STATUS_SUCCESS;
}

/** svc_cb_get_stream_info() - all streams of a file [1 and 1 for each, none for a file without] */
NTSTATUS WINAPI svc_cb_get_stream_info(struct winfsp_file_system *fs, void *ctx, void *buf,
                                       ULONG len, ULONG *got)
{
    struct svc_open *o = ctx;
    struct listing l = {.buf = buf, .room = len};
    NTSTATUS status = add_main(o, &l);
    int error;

    *got = 0;
    if (!NT_SUCCESS(status))
        return status;
    error = svc_streams_list(svc_volume_of(fs), o->node, add, &l);
    if (error && error != -LE_EOPNOTSUPP && error != -LE_ENOSYS)
        return svc_stream_fail(o->v, o->path, error);
    if (l.full)
        return STATUS_BUFFER_OVERFLOW;
    memset(l.buf + l.used, 0, sizeof(uint16_t));
    *got = l.used + (ULONG)sizeof(uint16_t);
    return STATUS_SUCCESS;
}
