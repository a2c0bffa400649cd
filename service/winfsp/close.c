// SPDX-License-Identifier: BSD-3-Clause
/*
 * close.c - deleting and closing: SetDelete, Cleanup, Close
 *
 * Theory of operation
 *
 *   Windows deletes at the last cleanup of a file that was marked; with POSIX semantics at the cleanup of
 *   the handle that marked it, while others go on using the file. Both come as a cleanup with the delete
 *   flag and the path. An error cannot be reported there, so what can be known is checked when the file is
 *   marked: a directory must be empty, the share writable.
 *
 *   The program has been told that the file goes, so a host that is away is waited for: while the session is lost
 *   the deletion is tried again, and what was deleted before an answer came is simply not found then.
 *
 *   The name is only removed if it still leads to the file of the handle. The host may have put another
 *   file in its place; that one stays.
 *
 *   Other handles of a deleted file keep its node, and the host keeps the file for their FUSE handles.
 *
 * Locks: the guard's stripe of the directory while deleting.
 */
#include "service/winfsp/svc.h"

enum { RETRY_MS = 100, UNNOTICED_MS = 3000 };

static bool take_none(void *user, const struct cli_dirent *e)
{
    (void)e;
    *(bool *)user = true;
    return false;
}

/** svc_directory_is_empty() - STATUS_DIRECTORY_NOT_EMPTY, or why it cannot be known [2] */
NTSTATUS svc_directory_is_empty(struct svc_open *o)
{
    struct cli *c = o->v->client;
    struct cli_dir *d;
    bool any = false;
    int error = cli_dir_open(c, o->node, &d);

    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    error = cli_dir_read(c, d, 0, take_none, &any);
    cli_dir_close(c, d);
    if (error < 0)
        return svc_status(error, SVC_ABOUT_HANDLE);
    return any ? STATUS_DIRECTORY_NOT_EMPTY : STATUS_SUCCESS;
}

/** svc_cb_set_delete() - may this file be deleted at its cleanup? WinFsp has looked at READONLY. */
NTSTATUS WINAPI svc_cb_set_delete(struct winfsp_file_system *fs, void *ctx, WCHAR *path,
                                  BOOLEAN del)
{
    struct svc_open *o = ctx;

    (void)fs, (void)path;
    if (!del)
        return STATUS_SUCCESS;
    if (o->v->options.read_only)
        return STATUS_MEDIA_WRITE_PROTECTED;
    if (o->stream)
        return STATUS_SUCCESS;
    if (!o->parent)
        return STATUS_ACCESS_DENIED; /* the root */
    return cli_node_type(o->node) == SVC_IFDIR ? svc_directory_is_empty(o) : STATUS_SUCCESS;
}

/* Return: 0; -errno, -LE_EEXIST when another file has this name by now. */
static int delete_once(struct svc_open *o, const WCHAR *path)
{
    struct svc_volume *v = o->v;
    struct svc_found f;
    int error;

    if (o->stream)
        return svc_stream_delete(o->stream);
    error = svc_find(v, path, &f);
    if (error == 0 && (f.node != o->node || !f.parent))
        error = -LE_EEXIST;
    else if (error == 0 && cli_node_type(f.node) == SVC_IFDIR)
        error = cli_rmdir(v->client, f.parent, svc_found_name(&f));
    else if (error == 0)
        error = cli_unlink(v->client, f.parent, svc_found_name(&f));
    svc_found_end(v, &f);
    return error;
}

/* How long a failed deletion is tried again: the session may be about to come back. Milliseconds. */
static uint64_t patience(const struct svc_volume *v, int error)
{
    switch (error) {
    case -LE_ENOTCONN:
    case -LE_ETIMEDOUT:
        return (v->options.stall_seconds ? v->options.stall_seconds : SVC_STALL_SECONDS) * 1000ull;
    case -LE_EIO: /* what a daemon says that was replaced, until the client notices */
    case -LE_EBADF:
    case -LE_ESTALE:
        return UNNOTICED_MS;
    default:
        return 0;
    }
}

static void delete_name(struct svc_open *o, const WCHAR *path)
{
    struct svc_volume *v = o->v;
    uint64_t begin = GetTickCount64();
    int error = delete_once(o, path);

    while (GetTickCount64() - begin < patience(v, error) && !v->stopping) {
        if (svc_trail(v))
            svc_trail_end(v, svc_trail(v));
        Sleep(RETRY_MS);
        error = delete_once(o, path);
    }
    if (error && error != -LE_ENOENT) { /* what the host has deleted first is gone as well */
        svc_volume_log(v, 1, L"%ls: could not be deleted (error %d)", path, -error);
        return;
    }
    o->deleted = true;
    if (!o->stream)
        svc_twin_gone(o);
}

/* Blocks past the end that were reserved and not needed: setting the size gives them back. */
static void trim(struct svc_open *o)
{
    struct cli_attr a;

    o->preallocated = false;
    if (cli_getattr(o->v->client, o->node, true, &a) == 0 && a.blocks > (a.size + 511) / 512)
        cli_setattr(o->v->client, o->node, CLI_SET_SIZE, &a, NULL);
}

/**
 * svc_cb_cleanup() - the last user handle is closed; only called when there is something to do
 *
 * Times need nothing: the host keeps them itself.
 */
VOID WINAPI svc_cb_cleanup(struct winfsp_file_system *fs, void *ctx, WCHAR *path, ULONG flags)
{
    struct svc_open *o = ctx;

    (void)fs;
    if (flags & WINFSP_CLEANUP_DELETE) {
        delete_name(o, path ? path : o->path);
    } else {
        if ((flags & WINFSP_CLEANUP_SET_ALLOCATION_SIZE) && o->preallocated)
            trim(o);
        if (flags & WINFSP_CLEANUP_SET_ARCHIVE_BIT)
            svc_store_archive(o);
        svc_cached_cleanup(o, flags & WINFSP_CLEANUP_SET_LAST_WRITE_TIME);
    }
}

/** svc_cb_close() - the handle is gone; FUSE's RELEASE is not waited for */
VOID WINAPI svc_cb_close(struct winfsp_file_system *fs, void *ctx)
{
    (void)fs;
    svc_open_free(ctx);
}
