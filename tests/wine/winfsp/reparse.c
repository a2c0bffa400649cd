// SPDX-License-Identifier: BSD-3-Clause
/*
 * reparse.c - following symbolic links with a file system's help
 *
 * FspFileSystemFindReparsePoint() looks for the first link among the directories of a path.
 * FspFileSystemResolveReparsePoints() follows links from there on until the path has none, or leads out of the
 * file system (an absolute link, another kind of reparse point). "." and ".." of targets are resolved on the
 * way; after 32 links it gives up. WinFsp src/dll/fsop.c.
 *
 * Ownership: none.   Locks: none; the callback may take the file system's.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/standin.h"

#define LINKS_MOST 32

BOOLEAN WINAPI FspFileSystemFindReparsePoint(struct winfsp_file_system *fs,
                                             winfsp_reparse_by_name by_name, void *user,
                                             WCHAR *path, UINT32 *index)
{
    unsigned start = 0, end = 0;
    for (;;) {
        while (path[end] == '\\')
            end++;
        start = end;
        while (path[end] && path[end] != '\\' && path[end] != ':')
            end++;
        if (path[end] != '\\')
            return FALSE;
        path[end] = 0;
        NTSTATUS status = by_name(fs, user, path, TRUE, NULL, NULL);
        path[end] = '\\';
        if (status == STATUS_NOT_A_REPARSE_POINT)
            continue;
        if (!NT_SUCCESS(status))
            return FALSE;
        if (index)
            *index = start;
        return TRUE;
    }
}

/* The path as it is rewritten; `at`: how far it is known to have no links. */
struct walk {
    WCHAR path[RESPONSE_ROOM / sizeof(WCHAR)];
    unsigned len, start, end, links;
};

static bool splice(struct walk *w, unsigned from, const WCHAR *with, unsigned with_len)
{
    unsigned rest = w->len - w->end;
    if (from + with_len + rest + 1 > ARRAY_SIZE(w->path))
        return false;
    memmove(w->path + from + with_len, w->path + w->end, (rest + 1) * sizeof(WCHAR));
    memcpy(w->path + from, with, with_len * sizeof(WCHAR));
    w->len = from + with_len + rest;
    w->end = from;
    return true;
}

static void next_component(struct walk *w)
{
    while (w->end < w->len && w->path[w->end] == '\\')
        w->end++;
    w->start = w->end;
    while (w->end < w->len && w->path[w->end] != '\\')
        w->end++;
}

/* "." and "..": the component goes, with the slash before it, and for ".." the one before. */
static bool drop_dots(struct walk *w)
{
    unsigned len = w->end - w->start, from = w->start;
    if (!len || len > 2 || w->path[w->start] != '.' || w->path[w->end - 1] != '.')
        return false;
    if (from)
        from--;
    if (len == 2) {
        while (from && w->path[from - 1] != '\\')
            from--;
        if (from)
            from--;
    }
    return splice(w, from, NULL, 0);
}

static NTSTATUS hand_over(const struct winfsp_reparse_data *data, SIZE_T data_size,
                          IO_STATUS_BLOCK *io, void *buf, SIZE_T *size)
{
    if (data_size > *size)
        return STATUS_IO_REPARSE_DATA_INVALID;
    memcpy(buf, data, data_size);
    *size = data_size;
    io->Status = STATUS_REPARSE;
    io->Information = data->tag;
    return STATUS_REPARSE;
}

static NTSTATUS finish(const struct walk *w, uint32_t flags, IO_STATUS_BLOCK *io, void *buf,
                       SIZE_T *size)
{
    struct winfsp_reparse_data *out = buf;
    uint16_t bytes = (uint16_t)(w->len * sizeof(WCHAR));
    if (*size < 20u + bytes)
        return STATUS_REPARSE_POINT_NOT_RESOLVED;
    memset(out, 0, 20);
    out->tag = IO_REPARSE_TAG_SYMLINK;
    out->data_length = (uint16_t)(12 + bytes);
    out->symlink.substitute_name_length = out->symlink.print_name_length = bytes;
    out->symlink.flags = flags;
    memcpy(out->symlink.path, w->path, bytes);
    *size = 20u + bytes;
    io->Status = STATUS_REPARSE;
    io->Information = IO_REPARSE_TAG_SYMLINK;
    return STATUS_REPARSE;
}

/* One component: STATUS_SUCCESS to go on, STATUS_MORE_ENTRIES when the path is done. */
static NTSTATUS step(struct winfsp_file_system *fs, winfsp_reparse_by_name by_name, void *user,
                     struct walk *w, bool resolve_last, struct winfsp_reparse_data *data,
                     SIZE_T *data_size, bool *outside)
{
    next_component(w);
    bool last = w->end == w->len;
    if (w->start == w->end || (last && !resolve_last))
        return STATUS_MORE_ENTRIES;
    if (drop_dots(w))
        return STATUS_SUCCESS;
    WCHAR saved = w->path[w->end];
    w->path[w->end] = 0;
    *data_size = RESPONSE_ROOM;
    NTSTATUS status = by_name(fs, user, w->path, !last, data, data_size);
    w->path[w->end] = saved;
    if (status == STATUS_NOT_A_REPARSE_POINT)
        return last ? STATUS_MORE_ENTRIES : STATUS_SUCCESS;
    if (status == STATUS_OBJECT_NAME_NOT_FOUND && last)
        return STATUS_MORE_ENTRIES;
    if (!NT_SUCCESS(status))
        return status == STATUS_OBJECT_NAME_NOT_FOUND ? status : STATUS_OBJECT_PATH_NOT_FOUND;
    if (data->tag != IO_REPARSE_TAG_SYMLINK)
        return STATUS_REPARSE;
    if (++w->links == LINKS_MOST)
        return STATUS_REPARSE_POINT_NOT_RESOLVED;
    const WCHAR *target = data->symlink.path + data->symlink.substitute_name_offset / 2;
    unsigned target_len = UNITS(data->symlink.substitute_name_length);
    bool absolute = target_len && target[0] == '\\';
    if (!splice(w, absolute ? 0 : w->start, target, target_len))
        return STATUS_REPARSE_POINT_NOT_RESOLVED;
    *outside = absolute && !(data->symlink.flags & SYMLINK_FLAG_RELATIVE);
    return *outside ? STATUS_MORE_ENTRIES : STATUS_SUCCESS;
}

NTSTATUS WINAPI FspFileSystemResolveReparsePoints(struct winfsp_file_system *fs,
                                                  winfsp_reparse_by_name by_name, void *user,
                                                  WCHAR *path, UINT32 index, BOOLEAN resolve_last,
                                                  IO_STATUS_BLOCK *io, void *buf, SIZE_T *size)
{
    struct name given = name_of(path);
    struct walk *w = calloc(1, sizeof *w);
    struct winfsp_reparse_data *data = calloc(1, WINFSP_MESSAGE_MAX);
    SIZE_T data_size = 0;
    bool outside = false;
    NTSTATUS status = STATUS_SUCCESS;
    if (given.len >= ARRAY_SIZE(w->path) || index > given.len) {
        status = STATUS_REPARSE_POINT_NOT_RESOLVED;
    } else {
        memcpy(w->path, given.at, given.len * sizeof(WCHAR));
        w->len = given.len;
        w->end = index;
    }
    while (status == STATUS_SUCCESS)
        status = step(fs, by_name, user, w, resolve_last, data, &data_size, &outside);
    if (status == STATUS_REPARSE)
        status = hand_over(data, data_size, io, buf, size);
    else if (status == STATUS_MORE_ENTRIES)
        status = finish(w, outside ? 0 : SYMLINK_FLAG_RELATIVE, io, buf, size);
    free(data);
    free(w);
    return status;
}
