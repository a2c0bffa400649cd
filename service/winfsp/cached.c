// SPDX-License-Identifier: BSD-3-Clause
/*
 * cached.c - what Cache=long takes: contents that Windows keeps and writes later
 *
 * Theory of operation
 *
 *   With Cache=long WinFsp has Windows' cache manager keep the contents of files. Windows knows a file by its name
 *   there, and writes its pages when it likes, at the latest with the last handle's cleanup. Three things follow:
 *
 *   - A file with several names would be cached once for each, and what is written through one would be lost in the
 *     other. So files with more than one link are not cached (Response.Opened.DisableCache). Nor are streams, which are
 *     short and written whole.
 *   - Pages that come late change the time of the last change on the host, also after a program has set it, as all do that
 *     copy or unpack files. It is set again at the cleanup. That is told to every handle of the file, for the pages may
 *     be another handle's.
 *   - A program has been told that its write was done when its pages find no room. So a file that grows gets its
 *     blocks first: what does not fit is refused in time, as on NTFS.
 *
 * Ownership: none.   Locks: v->opens_lock for the times of handles.
 */
#include "service/winfsp/svc.h"

static bool is_cached(const struct svc_open *o)
{
    return o->v->options.cache == SVC_CACHE_LONG && !o->stream &&
           cli_node_type(o->node) == SVC_IFREG;
}

/** svc_cached_open() - of a handle that is about to be told to WinFsp: is its file to be cached? [0] */
void svc_cached_open(struct svc_open *o)
{
    struct winfsp_operation_context *op = o->v->api->operation_context();
    struct cli_attr a;

    if (o->v->options.cache != SVC_CACHE_LONG || !op)
        return;
    if (!is_cached(o) || !cli_attr_known(o->v->client, o->node, &a) || a.nlink > 1)
        op->response->opened.flags |= WINFSP_OPENED_DISABLE_CACHE;
}

/** svc_cached_grow() - room for a file that is to end at @size; STATUS_DISK_FULL [1, or none] */
NTSTATUS svc_cached_grow(struct svc_open *o, uint64_t size)
{
    struct cli_attr a;
    NTSTATUS status;
    int error;

    if (!is_cached(o))
        return STATUS_SUCCESS;
    error = cli_getattr(o->v->client, o->node, false, &a);
    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    if (size <= a.size)
        return STATUS_SUCCESS;
    status = svc_open_data(o, CLI_WRITE);
    if (!NT_SUCCESS(status))
        return status;
    error = cli_allocate(o->v->client, o->file, a.size, size - a.size);
    if (error == -LE_EOPNOTSUPP || error == -LE_ENOSYS)
        return STATUS_SUCCESS;
    return svc_status(error, SVC_ABOUT_HANDLE);
}

/** svc_cached_time() - a program has set the time of the last change */
void svc_cached_time(struct svc_open *o, struct cli_time mtime)
{
    if (!is_cached(o))
        return;
    AcquireSRWLockExclusive(&o->v->opens_lock);
    for (struct svc_open *p = o->v->opens; p; p = p->next) {
        if (p->node != o->node)
            continue;
        p->mtime = mtime;
        p->mtime_set = true;
    }
    ReleaseSRWLockExclusive(&o->v->opens_lock);
}

/**
 * svc_cached_cleanup() - after the pages went: the time that was set holds [2, none unless one was]
 * @written: the program wrote through this handle without setting the time by it
 */
void svc_cached_cleanup(struct svc_open *o, bool written)
{
    struct cli_attr a, want = {0};
    bool wanted;

    AcquireSRWLockShared(&o->v->opens_lock);
    wanted = o->mtime_set && !written;
    want.mtime = o->mtime;
    ReleaseSRWLockShared(&o->v->opens_lock);
    if (!wanted || cli_getattr(o->v->client, o->node, true, &a) < 0)
        return;
    if (a.mtime.sec == want.mtime.sec && a.mtime.nsec == want.mtime.nsec)
        return;
    (void)cli_setattr(o->v->client, o->node, CLI_SET_MTIME, &want, NULL);
}
