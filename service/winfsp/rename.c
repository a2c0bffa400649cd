// SPDX-License-Identifier: BSD-3-Clause
/*
 * rename.c - renaming
 *
 * Theory of operation
 *
 *   Without `replace` the host is told so (RENAME_NOREPLACE), and the client never falls back to a rename
 *   that overwrites. With it a file may take the place of a file; a directory may not take anything's place
 *   on Windows, unless the program asked for POSIX semantics and the target is an empty directory.
 *
 *   Two cases that Linux treats otherwise: renaming to another name of the same file (a hard link) does
 *   nothing there, while Windows expects the old name to go; and with case-insensitive names a rename that
 *   changes nothing but case meets itself. With case-insensitive names a target that exists in
 *   another spelling is replaced under its own spelling first and respelled then.
 *
 * Locks: the guard's stripes of both directories.
 */
#include "service/winfsp/svc.h"

#include <string.h>

struct renaming {
    struct svc_open *o;
    struct svc_found from, to;
    bool replace, posix;
};

static bool asked_for_posix(struct svc_volume *v)
{
    enum { FILE_RENAME_INFORMATION_EX = 65 };
    const struct winfsp_operation_context *op = v->api->operation_context();

    return op && op->request && op->request->kind == WINFSP_KIND_SET_INFORMATION &&
           op->request->file.set_information.information_class == FILE_RENAME_INFORMATION_EX &&
           (op->request->file.set_information.rename.flags & SVC_RENAME_POSIX);
}

/* May the file take the place of what has the new name? */
static NTSTATUS check_replacement(const struct renaming *r)
{
    bool directory = cli_node_type(r->from.node) == SVC_IFDIR;
    bool onto_directory = cli_node_type(r->to.node) == SVC_IFDIR;

    if (!r->replace)
        return STATUS_OBJECT_NAME_COLLISION;
    if (directory != onto_directory || (directory && !r->posix))
        return STATUS_ACCESS_DENIED;
    return STATUS_SUCCESS;
}

static bool same_name(const struct renaming *r)
{
    return r->from.parent == r->to.parent && r->from.name_len == r->to.name_len &&
           memcmp(r->from.name, r->to.name, r->from.name_len) == 0;
}

static int move(struct renaming *r, struct cli_name to, uint32_t flags)
{
    return cli_rename(r->o->v->client, r->from.parent, svc_found_name(&r->from), r->to.parent, to,
                      flags);
}

/* Onto something that is there. @asked: the name as it was asked for. */
static NTSTATUS replace_target(struct renaming *r, struct cli_name asked)
{
    struct svc_volume *v = r->o->v;
    struct cli_name there = svc_found_name(&r->to);
    NTSTATUS status = check_replacement(r);
    int error;

    if (!NT_SUCCESS(status))
        return status;
    if (r->to.node == r->from.node) /* two names of one file: Linux would do nothing */
        return svc_status(cli_unlink(v->client, r->from.parent, svc_found_name(&r->from)),
                          SVC_ABOUT_NAME);
    error = move(r, there, 0);
    if (error == -LE_ENOTDIR || error == -LE_EISDIR)
        return STATUS_ACCESS_DENIED; /* it changed its kind meanwhile */
    if (error == 0 && (asked.len != there.len || memcmp(asked.bytes, there.bytes, asked.len) != 0))
        error =
            cli_rename(v->client, r->to.parent, there, r->to.parent, asked, CLI_RENAME_NOREPLACE);
    return svc_status(error, SVC_ABOUT_NAME);
}

/* The last component of a path as it is written there. */
static int name_as_asked(const WCHAR *path, char *out)
{
    const WCHAR *last = wcsrchr(path, L'\\');

    return last ? svc_name_to_host(last + 1, (uint32_t)wcslen(last + 1), out) : -LE_EILSEQ;
}

static NTSTATUS rename_found(struct renaming *r, const WCHAR *new_path)
{
    char bytes[SVC_NAME_BYTES];
    int len = name_as_asked(new_path, bytes);
    struct cli_name asked = {bytes, len > 0 ? (uint32_t)len : 0};

    if (len < 0)
        return svc_status(len, SVC_ABOUT_NAME);
    if (r->from.parent == r->to.parent && asked.len == r->from.name_len &&
        memcmp(asked.bytes, r->from.name, asked.len) == 0)
        return STATUS_SUCCESS; /* its own name */
    if (r->to.node && !same_name(r))
        return replace_target(r, asked);
    return svc_status(move(r, asked, CLI_RENAME_NOREPLACE), SVC_ABOUT_NAME);
}

/* The handle follows its file. */
static void follow(struct svc_open *o, const struct renaming *r, const WCHAR *new_path)
{
    struct svc_volume *v = o->v;
    char bytes[SVC_NAME_BYTES];
    int len = name_as_asked(new_path, bytes);
    struct cli_name name = {bytes, len > 0 ? (uint32_t)len : 0};

    AcquireSRWLockExclusive(&o->lock);
    cli_node_put(v->client, o->parent);
    o->parent = cli_node_get(r->to.parent);
    if (!NT_SUCCESS(svc_open_path_set(o, new_path)))
        svc_volume_log(v, 1, L"%ls: out of memory, its old name is remembered", new_path);
    o->hidden = svc_is_hidden(v, name);
    ReleaseSRWLockExclusive(&o->lock);
    svc_twin_renamed(o, r->to.parent, name);
}

/*
 * The new name. When nothing may be replaced the host itself sees whether it is there, and only its directory
 * is looked for; but with case-insensitive names it may be there in another spelling.
 */
static NTSTATUS find_target(struct renaming *r, const WCHAR *new_path)
{
    struct svc_volume *v = r->o->v;
    int e;

    if (r->replace || v->options.case_insensitive)
        e = svc_find(v, new_path, &r->to);
    else
        e = svc_find_directory(v, new_path, &r->to);
    if (e == 0 || (e == -LE_ENOENT && r->to.parent && r->to.depth + 1 == r->to.count))
        return r->to.parent ? STATUS_SUCCESS : STATUS_ACCESS_DENIED; /* the root */
    return svc_find_failure(e, &r->to);
}

/* The new name first: WinFsp may just have asked for it in this operation. */
static NTSTATUS find_both(struct renaming *r, const WCHAR *path, const WCHAR *new_path)
{
    struct svc_volume *v = r->o->v;
    NTSTATUS status = find_target(r, new_path);
    int e;

    if (!NT_SUCCESS(status))
        return status;
    e = svc_find(v, path, &r->from);
    if (e)
        return svc_find_failure(e, &r->from);
    if (r->from.node != r->o->node)
        return STATUS_OBJECT_NAME_NOT_FOUND; /* the host gave its name to another file */
    return r->from.parent ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
}

/**
 * svc_cb_rename() - give an open file another name
 * @replace: a file that has it may go; WinFsp has checked that this is allowed
 */
NTSTATUS WINAPI svc_cb_rename(struct winfsp_file_system *fs, void *ctx, WCHAR *path,
                              WCHAR *new_path, BOOLEAN replace)
{
    struct svc_volume *v = svc_volume_of(fs);
    struct renaming r = {.o = ctx, .replace = replace};
    NTSTATUS status;

    if (r.o->stream)
        return STATUS_INVALID_PARAMETER; /* WinFsp's driver says so, too */
    r.posix = replace && asked_for_posix(v);
    status = find_both(&r, path, new_path);
    if (NT_SUCCESS(status))
        status = rename_found(&r, new_path);
    if (NT_SUCCESS(status))
        follow(ctx, &r, new_path);
    svc_found_end(v, &r.from);
    svc_found_end(v, &r.to);
    return status;
}
