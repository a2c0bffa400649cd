// SPDX-License-Identifier: BSD-3-Clause
/*
 * create.c - making files, directories, links; overwriting files
 *
 * Theory of operation
 *
 *   A new file is one CREATE: exclusive, so nothing is ever opened that was not checked. Modes are 0664 and
 *   0775 (a umask means nothing to Windows), without write bits for FILE_ATTRIBUTE_READONLY, and changed by
 *   a security descriptor only if the program gave one. What follows the CREATE (allocation, attributes, EAs) may fail;
 *   then the new name is removed again.
 *
 *   OPEN_IF, OVERWRITE_IF and SUPERSEDE are two steps in WinFsp: not there, so create. Within this guest the
 *   guard makes them one. When the host, or another guest, makes the file in between, the CREATE says EEXIST,
 *   and what is there is opened instead, after the access check that WinFsp has not made for it;
 *   the response is corrected to say so (svc_answer_instead()), and WinFsp goes on with the overwrite.
 *
 * Locks: the guard's stripe of the directory.
 */
#include "service/winfsp/svc.h"

#include <string.h>

#include "lib/meta/ntsd.h"

enum { FILE_MODE = 0664, DIRECTORY_MODE = 0775 };

struct creation {
    struct svc_volume *v;
    const WCHAR *path;
    UINT32 options, access, attributes;
    const void *sd;
    UINT64 allocation;
    const void *extra;
    ULONG extra_len;
    BOOLEAN extra_is_reparse;
    bool stores_acl; /* once it is made */
};

/* ---- what comes after the name is there ------------------------------------------------------------- */

/* The new name goes again because what was to come with it could not be done. */
static void undo(const struct creation *k, const struct svc_found *f)
{
    struct cli *c = k->v->client;
    int error = cli_node_type(f->node) == SVC_IFDIR ? cli_rmdir(c, f->parent, svc_found_name(f))
                                                    : cli_unlink(c, f->parent, svc_found_name(f));

    if (error)
        svc_volume_log(k->v, 1, L"%ls: created in part and not removed again (error %d)", k->path,
                       -error);
}

static NTSTATUS finish(const struct creation *k, struct svc_open *o, struct winfsp_file_info *info)
{
    NTSTATUS status = k->stores_acl ? svc_acl_new(o, k->sd) : STATUS_SUCCESS;

    if (NT_SUCCESS(status))
        status = svc_store_new(o, k->attributes);

    if (NT_SUCCESS(status) && k->allocation > 0 && cli_node_type(o->node) == SVC_IFREG)
        status = svc_allocate(o, k->allocation);

    if (NT_SUCCESS(status) && k->extra_len > 0 && !k->extra_is_reparse)
        status = svc_eas_set(o, k->extra, k->extra_len);
    if (NT_SUCCESS(status) && k->extra_is_reparse)
        status = svc_cb_set_reparse_point(k->v->fs, o, o->path, (void *)k->extra, k->extra_len);
    return NT_SUCCESS(status) ? svc_info(o, info) : status;
}

/* ---- making the name -------------------------------------------------------------------------------- */

/* Return: 0 with f->node, and *file if data access was granted; -errno. */
static int make(struct creation *k, struct svc_found *f, struct cli_file **file)
{
    struct cli *c = k->v->client;
    uint32_t data = svc_access_of(k->access), mode;

    cli_node_put(c, f->node);
    f->node = NULL;
    if (k->options & SVC_OPTION_DIRECTORY) {
        mode = SVC_IFDIR | DIRECTORY_MODE;
        k->stores_acl = svc_mode_of_new(k->v, f->parent, k->sd, &mode);
        return cli_mkdir(c, f->parent, svc_found_name(f), mode & 07777, &f->node);
    }
    mode = SVC_IFREG | FILE_MODE;
    k->stores_acl = svc_mode_of_new(k->v, f->parent, k->sd, &mode);
    if (k->attributes & FILE_ATTRIBUTE_READONLY)
        mode = svc_mode_with_attributes(&k->v->rules, mode, k->attributes);
    return cli_create(c, f->parent, svc_found_name(f), mode & 07777, data ? data : CLI_WRITE,
                      &f->node, data ? file : NULL);
}

/* The spelling of a new path: its directory's, and the name as it was asked for. */
static void spell(struct svc_volume *v, struct svc_found *f)
{
    if (!v->options.case_insensitive)
        return;
    if (f->depth + 1 == f->count && f->spelling_len + 1 + f->name_len <= sizeof(f->spelling)) {
        if (f->spelling_len > 0)
            f->spelling[f->spelling_len++] = '/';
        memcpy(f->spelling + f->spelling_len, f->name, f->name_len);
        f->spelling_len += f->name_len;
    } else {
        f->spelling_len = 0;
    }
}

static NTSTATUS create_in(struct creation *k, struct svc_found *f, void **ctx,
                          struct winfsp_file_info *info)
{
    struct cli_file *file = NULL;
    struct svc_open *o;
    NTSTATUS status;
    int error = make(k, f, &file);

    if (error == -LE_ENOENT || error == -LE_ESTALE) /* the directory is gone */
        return svc_status(error, SVC_ABOUT_PATH);
    if (error)
        return svc_status(error, SVC_ABOUT_NAME);
    spell(k->v, f);
    status = svc_open_new(k->v, f, k->path, k->access, &o);
    if (!NT_SUCCESS(status)) {
        if (file)
            cli_file_close(k->v->client, file);
        undo(k, f);
        return status;
    }
    o->file = file;
    status = finish(k, o, info);
    if (!NT_SUCCESS(status)) {
        undo(k, f);
        svc_twin_gone(o);
        svc_open_free(o);
        return status;
    }
    svc_normalize(o, info);
    svc_cached_open(o);
    *ctx = o;
    return STATUS_SUCCESS;
}

/* ---- a race that the host won ----------------------------------------------------------------------- */

static bool opens_what_is_there(UINT32 options)
{
    UINT32 disposition = options >> 24;

    return disposition == SVC_OPEN_IF || disposition == SVC_OVERWRITE_IF ||
           disposition == SVC_SUPERSEDE;
}

static uint32_t information_of(UINT32 options)
{
    switch (options >> 24) {
    case SVC_OVERWRITE_IF:
        return SVC_OVERWRITTEN;
    case SVC_SUPERSEDE:
        return SVC_SUPERSEDED;
    default:
        return SVC_OPENED;
    }
}

static bool may_open(const struct creation *k)
{
    UINT32 wanted = k->access;
    struct svc_stream_path stream;
    struct cli_attr a;
    struct svc_found f;
    bool allowed;

    if (k->options >> 24 == SVC_OVERWRITE_IF)
        wanted |= FILE_WRITE_DATA;
    else if (k->options >> 24 == SVC_SUPERSEDE)
        wanted |= DELETE;
    allowed =
        svc_find(k->v, svc_stream_path(k->v, k->path, &stream) ? stream.file : k->path, &f) == 0 &&
        cli_getattr(k->v->client, f.node, false, &a) == 0 &&
        svc_access_allowed(k->v, f.node, &a, &wanted);
    svc_found_end(k->v, &f);
    return allowed;
}

static NTSTATUS open_instead(const struct creation *k, void **ctx, struct winfsp_file_info *info)
{
    NTSTATUS status;

    if (!may_open(k))
        return STATUS_ACCESS_DENIED;
    status = svc_cb_open(k->v->fs, (WCHAR *)k->path, k->options, k->access, ctx, info);
    if (NT_SUCCESS(status))
        svc_answer_instead(k->v, information_of(k->options));
    return status;
}

/* ---- CreateEx --------------------------------------------------------------------------------------- */

static NTSTATUS create_file(struct creation *k, void **ctx, struct winfsp_file_info *info)
{
    struct svc_found f;
    int r = svc_find_directory(k->v, k->path, &f);
    NTSTATUS status;

    if (r)
        status = r == CLI_WALK_SYMLINK ? STATUS_OBJECT_PATH_NOT_FOUND : svc_find_status(r, &f);
    else if (f.node)
        status = STATUS_OBJECT_NAME_COLLISION;
    else
        status = create_in(k, &f, ctx, info);
    svc_found_end(k->v, &f);
    return status;
}

static NTSTATUS create(struct creation *k, void **ctx, struct winfsp_file_info *info)
{
    struct svc_trail *t = svc_trail(k->v);
    struct svc_stream_path stream;
    NTSTATUS status = svc_stream_path(k->v, k->path, &stream)
                          ? svc_stream_create(k->v, &stream, k->allocation, ctx, info)
                          : create_file(k, ctx, info);

    if (t && status == STATUS_OBJECT_NAME_COLLISION)
        svc_trail_end(k->v, t); /* what it knew of this path was wrong */
    if (status == STATUS_OBJECT_NAME_COLLISION && opens_what_is_there(k->options))
        return open_instead(k, ctx, info);
    return status;
}

/**
 * svc_cb_create_ex() - make a file, directory or stream that is not there
 * @extra: EAs, or a reparse buffer when @extra_is_reparse; at most @extra_len bytes are looked at
 *
 * Return: STATUS_OBJECT_NAME_COLLISION if it is there and the disposition forbids to open it.
 */
NTSTATUS WINAPI svc_cb_create_ex(struct winfsp_file_system *fs, WCHAR *path, UINT32 options,
                                 UINT32 access, UINT32 attributes, void *sd, UINT64 allocation,
                                 void *extra, ULONG extra_len, BOOLEAN extra_is_reparse, void **ctx,
                                 struct winfsp_file_info *info)
{
    struct creation k = {.v = svc_volume_of(fs),
                         .path = path,
                         .options = options,
                         .access = access,
                         .attributes = attributes,
                         .sd = sd,
                         .allocation = allocation,
                         .extra = extra,
                         .extra_len = extra ? extra_len : 0,
                         .extra_is_reparse = extra && extra_is_reparse};

    if (k.extra_len > 0 && !k.extra_is_reparse && !svc_eas_work(k.v))
        return STATUS_EAS_NOT_SUPPORTED;
    return create(&k, ctx, info);
}

/* ---- OverwriteEx ------------------------------------------------------------------------------------ */

static NTSTATUS clear_streams(struct svc_open *o)
{
    int error = svc_streams_clear(o->v, o->node);

    return error == -LE_EOPNOTSUPP || error == -LE_ENOSYS ? STATUS_SUCCESS
                                                          : svc_stream_fail(o->v, o->path, error);
}

/**
 * svc_cb_overwrite_ex() - an existing file or stream becomes empty
 * @replace: attributes replace those there (SUPERSEDE), else they are added
 *
 * Its mode stays but for the write bits, which FILE_ATTRIBUTE_READONLY takes and, when replacing, a missing one
 * gives back. Its creation time stays.
 */
NTSTATUS WINAPI svc_cb_overwrite_ex(struct winfsp_file_system *fs, void *ctx, UINT32 attributes,
                                    BOOLEAN replace, UINT64 allocation, struct winfsp_full_ea *ea,
                                    ULONG ea_len, struct winfsp_file_info *info)
{
    struct svc_open *o = ctx;
    struct svc_volume *v = svc_volume_of(fs);
    struct cli_attr a = {0}, now;
    uint32_t mask = CLI_SET_SIZE;
    NTSTATUS status = STATUS_SUCCESS;
    uint8_t acl[NTSD_MAX];
    int error, acl_size = 0;

    if (o->stream) {
        status = svc_stream_set_size(o, 0, FALSE);
        return NT_SUCCESS(status) ? svc_info(o, info) : status;
    }
    if (cli_node_type(o->node) != SVC_IFREG)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (ea_len > 0 && !svc_eas_work(v))
        return STATUS_EAS_NOT_SUPPORTED;
    error = cli_getmode(v->client, o->node, &now);
    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    if (replace || (attributes & FILE_ATTRIBUTE_READONLY)) {
        a.mode = svc_mode_with_attributes(&v->rules, now.mode, attributes);
        if (a.mode != (now.mode & 07777))
            mask |= CLI_SET_MODE;
    }
    if (mask & CLI_SET_MODE)
        acl_size = svc_acl_find(v, o->node, &now, acl);
    if (acl_size < 0)
        return svc_status(acl_size, SVC_ABOUT_HANDLE);
    error = cli_setattr(v->client, o->node, mask, &a, NULL);
    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    status = svc_acl_keep(o, acl, acl_size);
    if (!replace)
        attributes |= svc_attributes(&v->rules, &now, false, false);
    if (NT_SUCCESS(status))
        status = svc_store(o, &now, attributes | SVC_ATTRIBUTE_ARCHIVE, 0);
    if (NT_SUCCESS(status) && svc_eas_work(v) && (!now.eas_known || now.ea_size > 0))
        status = svc_eas_clear(o); /* WinFsp: what overwrites a file replaces its EAs, too */
    if (NT_SUCCESS(status) && v->streams_on && (!now.eas_known || now.has_streams))
        status = clear_streams(o);
    if (NT_SUCCESS(status) && ea_len > 0)
        status = svc_eas_set(o, ea, ea_len);
    if (NT_SUCCESS(status) && allocation > 0)
        status = svc_allocate(o, allocation);
    return NT_SUCCESS(status) ? svc_info(o, info) : status;
}
