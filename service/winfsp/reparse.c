// SPDX-License-Identifier: BSD-3-Clause
/*
 * reparse.c - symbolic links and special files as reparse points
 *
 * Theory of operation
 *
 *   A symbolic link is IO_REPARSE_TAG_SYMLINK, always relative: to its directory, or with a leading '\' to
 *   the root of the drive. The DLL follows links on the way to a file (loops end after 32) and asks here
 *   what each path's reparse data is. Sockets, FIFOs and devices have the tags that WSL gives them, without
 *   data: visible, deletable, not openable by accident.
 *
 *   Setting a reparse point turns the empty file or directory that the program has created for it into the
 *   link: the link is made under a temporary name beside it and takes its place by renaming, so that a
 *   failure leaves what was there. Where the host cannot exchange a directory with a link, the empty directory
 *   goes first. Absolute targets inside the drive become relative ones, which mean the same on the host and in
 *   every guest; so do junctions. Targets outside cannot be kept, and are refused.
 *   Deleting a reparse point puts an empty file or directory in the link's place.
 *
 * Locks: none of its own; WinFsp allows one such operation on a file at a time.
 */
#include "service/winfsp/svc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/winfsp/targets.h"

#define TAG_MOUNT_POINT 0xA0000003u
#define TAG_LX_SYMLINK  0xA000001Du

enum { SYMLINK_RELATIVE = 1, HEADER = 8, TEMP_TRIES = 8, LX_SYMLINK_VERSION = 2 };

/* ---- reading ---------------------------------------------------------------------------------------- */

static NTSTATUS put_symlink(struct svc_volume *v, struct cli_node *link, void *buf, SIZE_T *size)
{
    struct winfsp_reparse_data *d = buf;
    const size_t head = offsetof(struct winfsp_reparse_data, symlink.path);
    char target[SVC_TARGET_BYTES];
    size_t room = *size, names;
    int len = svc_link_target(v, link, target), units;

    if (len < 0)
        return svc_status(len, SVC_ABOUT_NAME);
    if (room < head)
        return STATUS_BUFFER_TOO_SMALL;
    room = (room - head) / sizeof(WCHAR) / 2; /* the name is there twice */
    units = svc_target_from_host(target, (uint32_t)len, d->symlink.path, (uint32_t)room);
    if (units < 0)
        return STATUS_BUFFER_TOO_SMALL;
    names = (size_t)units * sizeof(WCHAR);
    memcpy(d->symlink.path + units, d->symlink.path, names);
    d->tag = SVC_TAG_SYMLINK;
    d->reserved = 0;
    d->data_length = (uint16_t)(head - HEADER + 2 * names);
    d->symlink.substitute_name_offset = 0;
    d->symlink.substitute_name_length = (uint16_t)names;
    d->symlink.print_name_offset = (uint16_t)names;
    d->symlink.print_name_length = (uint16_t)names;
    d->symlink.flags = SYMLINK_RELATIVE;
    *size = head + 2 * names;
    return STATUS_SUCCESS;
}

/* @buf: NULL to know only whether there is any */
static NTSTATUS put_reparse_data(struct svc_volume *v, struct cli_node *n, void *buf, SIZE_T *size)
{
    uint32_t tag = svc_reparse_tag(cli_node_type(n));
    struct winfsp_reparse_data *d = buf;

    if (tag == 0)
        return STATUS_NOT_A_REPARSE_POINT;
    if (!buf)
        return STATUS_SUCCESS;
    if (tag == SVC_TAG_SYMLINK)
        return put_symlink(v, n, buf, size);
    if (*size < HEADER)
        return STATUS_BUFFER_TOO_SMALL;
    d->tag = tag;
    d->data_length = d->reserved = 0;
    *size = HEADER;
    return STATUS_SUCCESS;
}

/* winfsp_reparse_by_name */
static NTSTATUS WINAPI by_name(struct winfsp_file_system *fs, void *user, WCHAR *path,
                               BOOLEAN is_directory, void *buf, SIZE_T *size)
{
    struct svc_volume *v = user;
    struct svc_found f;
    int r = svc_find(v, path, &f);
    NTSTATUS status = r ? svc_find_failure(r, &f) : put_reparse_data(v, f.node, buf, size);

    (void)fs, (void)is_directory;
    svc_found_end(v, &f);
    return status;
}

/* The path that links led to is a file's; the colon and what follows go behind it. */
static NTSTATUS add_stream(struct winfsp_reparse_data *d, SIZE_T room, const WCHAR *suffix,
                           SIZE_T *size)
{
    const size_t head = offsetof(struct winfsp_reparse_data, symlink.path);
    size_t add = wcslen(suffix) * sizeof(*suffix), len;
    uint8_t *path = (uint8_t *)d->symlink.path;

    if (*size < head || d->tag != SVC_TAG_SYMLINK)
        return STATUS_REPARSE_POINT_NOT_RESOLVED; /* sockets and such have no streams */
    len = d->symlink.substitute_name_length;
    if (d->symlink.substitute_name_offset + len > *size - head || room < head + len + add)
        return STATUS_REPARSE_POINT_NOT_RESOLVED;
    memmove(path, path + d->symlink.substitute_name_offset, len);
    /* Its length goes with it. NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
    memcpy(path + len, suffix, add);
    len += add;
    d->data_length = (uint16_t)(head - HEADER + len);
    d->symlink.substitute_name_offset = d->symlink.print_name_offset = 0;
    d->symlink.substitute_name_length = d->symlink.print_name_length = (uint16_t)len;
    *size = head + len;
    return STATUS_REPARSE;
}

/** svc_cb_resolve_reparse_points() - follow the links of a path from units @index on */
NTSTATUS WINAPI svc_cb_resolve_reparse_points(struct winfsp_file_system *fs, WCHAR *path,
                                              UINT32 index, BOOLEAN resolve_last,
                                              IO_STATUS_BLOCK *io, void *buf, SIZE_T *size)
{
    struct svc_volume *v = svc_volume_of(fs);
    struct svc_stream_path stream;
    SIZE_T room = *size;
    NTSTATUS status;

    if (!svc_stream_path(v, path, &stream))
        return v->api->resolve_reparse_points(fs, by_name, v, path, index, resolve_last, io, buf,
                                              size);
    status = v->api->resolve_reparse_points(fs, by_name, v, stream.file, index, resolve_last, io,
                                            buf, size);
    return NT_SUCCESS(status) ? add_stream(buf, room, stream.name - 1, size) : status;
}

/** svc_cb_get_reparse_point() - @size: room on entry, bytes on return */
NTSTATUS WINAPI svc_cb_get_reparse_point(struct winfsp_file_system *fs, void *ctx, WCHAR *path,
                                         void *buf, SIZE_T *size)
{
    struct svc_open *o = ctx;

    (void)path;
    return put_reparse_data(svc_volume_of(fs), o->node, buf, size);
}

/* ---- what is to be made ----------------------------------------------------------------------------- */

struct wish {
    uint32_t type; /* S_IFMT bits: link, socket, FIFO; or what deleting leaves: file, directory */
    char target[SVC_TARGET_BYTES];
};

/* A name of reparse data, checked against what there is. Return: false if it is not inside. */
static bool name_in(const struct winfsp_reparse_data *d, const WCHAR *path, uint32_t offset,
                    uint32_t length, const WCHAR **name, uint32_t *units)
{
    size_t begin = (size_t)((const uint8_t *)path - (const uint8_t *)d);

    if ((offset | length) % sizeof(WCHAR) || length == 0 ||
        begin + offset + length > HEADER + (size_t)d->data_length)
        return false;
    *name = path + offset / sizeof(WCHAR);
    *units = length / sizeof(WCHAR);
    return true;
}

/* Does an NT path begin with where we are mounted? Return: units to skip, 0 if not. */
static uint32_t skip_mount_point(struct svc_volume *v, const WCHAR *name, uint32_t units)
{
    static const WCHAR nt[] = L"\\??\\", dos[] = L"\\\\.\\", raw[] = L"\\\\?\\";
    const WCHAR *mount = v->fs->mount_point;
    uint32_t at = 0, len;

    if (!mount)
        return 0;
    if (wcsncmp(mount, dos, 4) == 0 || wcsncmp(mount, raw, 4) == 0)
        mount += 4;
    if (units >= 4 && wcsncmp(name, nt, 4) == 0)
        at = 4;
    len = (uint32_t)wcslen(mount);
    if (units - at < len || _wcsnicmp(name + at, mount, len) != 0)
        return 0;
    at += len;
    return at == units || name[at] == L'\\' ? at : 0;
}

/* A path inside the drive as seen from the directory of the link. */
static int relative_target(const struct svc_open *o, const char *target, uint32_t len, char *out)
{
    struct svc_joined from = {0}, to = {0};
    struct svc_path path;
    int error = svc_path_parse(o->path, &path);

    for (uint32_t i = 0; !error && i + 1 < path.count; i++)
        error = svc_joined_append(&from, path.names[i].bytes, path.names[i].len);
    if (!error)
        error = svc_joined_append(&to, target, len);
    return error ? error : svc_joined_relative(&from, &to, out, SVC_TARGET_BYTES);
}

static NTSTATUS wish_of_name(struct svc_open *o, const WCHAR *name, uint32_t units, bool absolute,
                             struct wish *out)
{
    uint32_t skipped = absolute ? skip_mount_point(o->v, name, units) : 0;
    char target[SVC_TARGET_BYTES];
    int len;

    out->type = SVC_IFLNK;
    if (absolute && skipped == 0)
        return STATUS_NOT_SUPPORTED; /* outside of the drive */
    if (absolute && skipped == units)
        len = svc_target_to_host(L"\\", 1, target, sizeof(target));
    else
        len = svc_target_to_host(name + skipped, units - skipped, target, sizeof(target));
    if (len > 0 && target[0] == '/')
        len = relative_target(o, target, (uint32_t)len, out->target);
    else if (len > 0)
        memcpy(out->target, target, (size_t)len + 1);
    return svc_status(len, SVC_ABOUT_NAME);
}

/* WSL's own links: a version and the target in UTF-8. */
static NTSTATUS wish_of_lx_symlink(const struct winfsp_reparse_data *d, struct wish *out)
{
    const uint8_t *data = (const uint8_t *)d + HEADER;
    uint32_t version, len;

    if (d->data_length < sizeof(version) + 1u)
        return STATUS_IO_REPARSE_DATA_INVALID;
    memcpy(&version, data, sizeof(version));
    len = d->data_length - (uint32_t)sizeof(version);
    if (version != LX_SYMLINK_VERSION || len >= sizeof(out->target) ||
        memchr(data + sizeof(version), 0, len))
        return STATUS_IO_REPARSE_DATA_INVALID;
    memcpy(out->target, data + sizeof(version), len);
    out->target[len] = '\0';
    out->type = SVC_IFLNK;
    return STATUS_SUCCESS;
}

/* What reparse data asks for. @size bytes are there. */
static NTSTATUS wish_of(struct svc_open *o, const struct winfsp_reparse_data *d, SIZE_T size,
                        struct wish *out)
{
    const WCHAR *name;
    uint32_t units;

    if (size < HEADER || size - HEADER < d->data_length)
        return STATUS_IO_REPARSE_DATA_INVALID;
    switch (d->tag) {
    case SVC_TAG_SYMLINK:
        if (d->data_length < offsetof(struct winfsp_reparse_data, symlink.path) - HEADER ||
            !name_in(d, d->symlink.path, d->symlink.substitute_name_offset,
                     d->symlink.substitute_name_length, &name, &units))
            return STATUS_IO_REPARSE_DATA_INVALID;
        return wish_of_name(o, name, units, !(d->symlink.flags & SYMLINK_RELATIVE), out);
    case TAG_MOUNT_POINT:
        if (d->data_length < offsetof(struct winfsp_reparse_data, mount_point.path) - HEADER ||
            !name_in(d, d->mount_point.path, d->mount_point.substitute_name_offset,
                     d->mount_point.substitute_name_length, &name, &units))
            return STATUS_IO_REPARSE_DATA_INVALID;
        return wish_of_name(o, name, units, true, out);
    case TAG_LX_SYMLINK:
        return wish_of_lx_symlink(d, out);
    case SVC_TAG_AF_UNIX:
        out->type = SVC_IFSOCK;
        return STATUS_SUCCESS;
    case SVC_TAG_LX_FIFO:
        out->type = SVC_IFIFO;
        return STATUS_SUCCESS;
    default:
        return STATUS_NOT_SUPPORTED;
    }
}

/* ---- putting it in place ---------------------------------------------------------------------------- */

static int make(struct svc_volume *v, struct cli_node *dir, struct cli_name name,
                const struct wish *w, struct cli_node **out)
{
    switch (w->type) {
    case SVC_IFLNK:
        return cli_symlink(v->client, dir, name, w->target, out);
    case SVC_IFDIR:
        return cli_mkdir(v->client, dir, name, 0775, out);
    default:
        return cli_mknod(v->client, dir, name, w->type | 0664, 0, out);
    }
}

/* Under a name that nobody uses. */
static int make_temporary(struct svc_volume *v, struct cli_node *dir, const struct wish *w,
                          char name[32], struct cli_node **out)
{
    static volatile LONG serial;
    int error = -LE_EEXIST;

    for (int i = 0; i < TEMP_TRIES && error == -LE_EEXIST; i++) {
        struct cli_name n = {name, 0};

        n.len = (uint32_t)snprintf(name, 32, ".viofs-%08lx-%08lx", (unsigned long)GetTickCount(),
                                   (unsigned long)InterlockedIncrement(&serial));
        error = make(v, dir, n, w, out);
    }
    return error;
}

static int remove_node(struct svc_volume *v, struct cli_node *dir, struct cli_name name,
                       uint32_t type)
{
    return type == SVC_IFDIR ? cli_rmdir(v->client, dir, name) : cli_unlink(v->client, dir, name);
}

/* For hosts without RENAME_EXCHANGE, when a directory is involved: what is there goes first. */
static int swap_in_two_steps(struct svc_volume *v, const struct svc_found *f, struct cli_name temp)
{
    struct cli_name name = svc_found_name(f);
    int error = remove_node(v, f->parent, name, cli_node_type(f->node));

    return error ? error
                 : cli_rename(v->client, f->parent, temp, f->parent, name, CLI_RENAME_NOREPLACE);
}

/* The new one takes the name of the old one, which goes. Return: 0, or -errno with the old one still there. */
static int swap(struct svc_volume *v, const struct svc_found *f, struct cli_name temp,
                uint32_t new_type)
{
    struct cli_name name = svc_found_name(f);
    uint32_t old_type = cli_node_type(f->node);
    int error;

    if (old_type != SVC_IFDIR && new_type != SVC_IFDIR)
        return cli_rename(v->client, f->parent, temp, f->parent, name, 0);
    error = cli_rename(v->client, f->parent, temp, f->parent, name, CLI_RENAME_EXCHANGE);
    if (error == -LE_EINVAL || error == -LE_ENOSYS || error == -LE_EOPNOTSUPP)
        return swap_in_two_steps(v, f, temp);
    if (error)
        return error;
    error = remove_node(v, f->parent, temp, old_type);
    if (error == 0)
        return 0;
    /* It was not empty after all: back, so that nothing is lost. */
    cli_rename(v->client, f->parent, temp, f->parent, name, CLI_RENAME_EXCHANGE);
    return error;
}

/* The handle is one of the new node from now on. Takes over the reference. */
static void adopt(struct svc_open *o, const struct svc_found *f, struct cli_node *n)
{
    struct cli *c = o->v->client;
    struct cli_node *before;

    svc_twin_gone(o);
    svc_twin_close(o);
    AcquireSRWLockExclusive(&o->lock);
    if (o->file)
        cli_file_close(c, o->file);
    if (o->dir)
        cli_dir_close(c, o->dir);
    o->file = NULL;
    o->dir = NULL;
    before = o->node;
    AcquireSRWLockExclusive(&o->v->opens_lock);
    o->node = n;
    ReleaseSRWLockExclusive(&o->v->opens_lock);
    cli_node_put(c, before);
    ReleaseSRWLockExclusive(&o->lock);
    if (!NT_SUCCESS(svc_twin_open(o, svc_found_name(f))))
        svc_volume_log(o->v, 1, L"%ls: is open in another spelling", o->path);
}

static NTSTATUS put_in_place(struct svc_open *o, const struct svc_found *f, const struct wish *w)
{
    struct svc_volume *v = o->v;
    struct cli_node *n = NULL;
    char temp[32];
    struct cli_name temp_name = {temp, 0};
    int error = make_temporary(v, f->parent, w, temp, &n);

    if (error)
        return svc_status(error, SVC_ABOUT_NAME);
    temp_name.len = (uint32_t)strlen(temp);
    error = swap(v, f, temp_name, w->type);
    if (error) {
        if (remove_node(v, f->parent, temp_name, w->type))
            svc_volume_log(v, 1, L"%hs is left over in the directory of %ls", temp, o->path);
        cli_node_put(v->client, n);
        return svc_status(error, SVC_ABOUT_NAME);
    }
    adopt(o, f, n);
    return STATUS_SUCCESS;
}

/* Replace the file of a handle, after a check that its path still leads to it. */
static NTSTATUS replace_by(struct svc_open *o, const WCHAR *path, const struct wish *w)
{
    struct svc_volume *v = o->v;
    struct svc_trail *t = svc_trail(v);
    struct svc_found f;
    NTSTATUS status;
    int r;

    if (t)
        svc_trail_end(v,
                      t); /* a create that makes a link at once looked before the file was there */
    r = svc_find(v, path, &f);
    if (r)
        status = svc_find_failure(r, &f);
    else if (f.node != o->node || !f.parent)
        status = STATUS_OBJECT_NAME_NOT_FOUND;
    else
        status = put_in_place(o, &f, w);
    svc_found_end(v, &f);
    return status;
}

/* ---- Set and Delete --------------------------------------------------------------------------------- */

/* Only an empty placeholder, or a link, may become a link. */
static NTSTATUS check_placeholder(struct svc_open *o, uint32_t tag)
{
    uint32_t type = cli_node_type(o->node), present = svc_reparse_tag(type);
    struct cli_attr a;
    int error;

    if (present != 0)
        return present == tag ? STATUS_SUCCESS : STATUS_IO_REPARSE_TAG_MISMATCH;
    if (!o->parent)
        return STATUS_ACCESS_DENIED;
    if (type == SVC_IFDIR)
        return svc_directory_is_empty(o);
    error = cli_getattr(o->v->client, o->node, true, &a);
    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    return a.size == 0 ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER; /* its data has no place */
}

/** svc_cb_set_reparse_point() - make a link (or socket, or FIFO) of an open, empty file */
NTSTATUS WINAPI svc_cb_set_reparse_point(struct winfsp_file_system *fs, void *ctx, WCHAR *path,
                                         void *buf, SIZE_T size)
{
    struct svc_open *o = ctx;
    struct wish *w;
    NTSTATUS status;

    (void)fs;
    if (o->stream)
        return STATUS_INVALID_PARAMETER;
    w = calloc(1, sizeof(*w));
    if (!w)
        return STATUS_INSUFFICIENT_RESOURCES;
    status = wish_of(o, buf, size, w);
    if (NT_SUCCESS(status))
        status = check_placeholder(o, ((struct winfsp_reparse_data *)buf)->tag);
    if (NT_SUCCESS(status))
        status = replace_by(o, path, w);
    free(w);
    return status;
}

/** svc_cb_delete_reparse_point() - an empty file or directory in place of a link */
NTSTATUS WINAPI svc_cb_delete_reparse_point(struct winfsp_file_system *fs, void *ctx, WCHAR *path,
                                            void *buf, SIZE_T size)
{
    struct svc_open *o = ctx;
    const struct winfsp_reparse_data *d = buf;
    uint32_t tag = svc_reparse_tag(cli_node_type(o->node));
    struct winfsp_file_info info;
    struct wish *w;
    NTSTATUS status;

    (void)fs;
    if (tag == 0)
        return STATUS_NOT_A_REPARSE_POINT;
    if (size < HEADER || d->data_length != 0)
        return STATUS_IO_REPARSE_DATA_INVALID;
    if (d->tag != tag)
        return STATUS_IO_REPARSE_TAG_MISMATCH;
    status = svc_info(o, &info);
    if (!NT_SUCCESS(status))
        return status;
    w = calloc(1, sizeof(*w));
    if (!w)
        return STATUS_INSUFFICIENT_RESOURCES;
    w->type = info.file_attributes & FILE_ATTRIBUTE_DIRECTORY ? SVC_IFDIR : SVC_IFREG;
    status = replace_by(o, path, w);
    free(w);
    return status;
}
