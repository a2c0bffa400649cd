// SPDX-License-Identifier: BSD-3-Clause
/*
 * data.c - Read, Write, Flush
 *
 * Theory of operation
 *
 *   Reads and writes pend: the callback hands them to the client and returns, so that few threads keep many
 *   requests with the host; the client's completion sends WinFsp's answer from whatever thread it runs
 *   on. Buffers are WinFsp's and stay mapped until then; they go to the driver as they are, without a copy.
 *
 *   A completion must not wait, and a write's answer carries attributes. They are what the client last heard,
 *   with the size after this write, which it keeps track of, and now for the times.
 *
 *   An append goes where the host says the end is (O_APPEND there), never where we believe it is. Paging
 *   writes (constrained) never make the file longer; they, and page-ins, come on any handle of the file, and
 *   the client finds a FUSE handle that can do them.
 *
 *   Flushing a file is FSYNC: when it returns, the data is on the host's disk. Flushing the volume, which
 *   WinFsp asks for with a NULL context, is SYNCFS.
 *
 * Ownership: a struct svc_io lives from the callback to its answer and is in v->ios meanwhile, so that a
 * volume which stops can cancel and wait for them: their buffers go away with the dispatcher.
 * Locks: v->io_lock for that list.
 */
#include "service/winfsp/svc.h"

#include <stdlib.h>
#include <string.h>

struct svc_io {
    struct cli_io io;
    struct svc_open *open;
    uint64_t hint;
    uint32_t kind;  /* WINFSP_KIND_READ or _WRITE */
    bool cancelled; /* v->io_lock */
    LONG users;     /* its answer, and whoever cancels it */
    struct svc_io *next, **link;
};

static void io_drop(struct svc_io *io)
{
    if (InterlockedDecrement(&io->users) == 0)
        free(io);
}

/* ---- what is under way ------------------------------------------------------------------------------ */

static bool io_add(struct svc_volume *v, struct svc_io *io)
{
    bool open;

    AcquireSRWLockExclusive(&v->io_lock);
    open = !v->io_closed;
    if (open) {
        io->next = v->ios;
        io->link = &v->ios;
        if (v->ios)
            v->ios->link = &io->next;
        v->ios = io;
    }
    ReleaseSRWLockExclusive(&v->io_lock);
    return open;
}

static void io_remove(struct svc_volume *v, struct svc_io *io)
{
    AcquireSRWLockExclusive(&v->io_lock);
    *io->link = io->next;
    if (io->next)
        io->next->link = io->link;
    if (!v->ios)
        WakeAllConditionVariable(&v->io_idle);
    ReleaseSRWLockExclusive(&v->io_lock);
}

/* One that is not cancelled yet, with a reference. io_lock held. */
static struct svc_io *next_to_cancel(struct svc_volume *v)
{
    for (struct svc_io *io = v->ios; io; io = io->next) {
        if (!io->cancelled) {
            io->cancelled = true;
            InterlockedIncrement(&io->users);
            return io;
        }
    }
    return NULL;
}

/** svc_io_close() - no more reads and writes; those under way are cancelled and waited for */
void svc_io_close(struct svc_volume *v)
{
    struct svc_io *io;

    AcquireSRWLockExclusive(&v->io_lock);
    v->io_closed = true;
    while ((io = next_to_cancel(v)) != NULL) {
        ReleaseSRWLockExclusive(&v->io_lock);
        cli_io_cancel(v->client, &io->io); /* may answer it */
        io_drop(io);
        AcquireSRWLockExclusive(&v->io_lock);
    }
    while (v->ios)
        SleepConditionVariableSRW(&v->io_idle, &v->io_lock, INFINITE, 0);
    ReleaseSRWLockExclusive(&v->io_lock);
}

/* ---- answers ---------------------------------------------------------------------------------------- */

/* No write of Windows' own file systems is short, so programs do not look: a part that failed is a failure. */
static NTSTATUS status_of(const struct svc_io *io)
{
    if (io->io.error < 0)
        return svc_status(io->io.error, SVC_ABOUT_HANDLE);
    if (io->kind == WINFSP_KIND_READ && io->io.bytes == 0 && io->io.len > 0)
        return STATUS_END_OF_FILE;
    return STATUS_SUCCESS;
}

/** svc_info_after_write() - attributes after a write, from what is known without asking [0] */
void svc_info_after_write(struct svc_open *o, struct winfsp_file_info *out)
{
    struct cli_attr a;
    struct cli_name no_name = {"", 0};

    if (!cli_attr_known(o->v->client, o->node, &a)) {
        memset(&a, 0, sizeof(a));
        a.mode = cli_node_type(o->node) | 0644;
    }
    svc_info_of(o->v, &a, no_name, false, out);
    if (o->hidden)
        out->file_attributes |= FILE_ATTRIBUTE_HIDDEN;
    out->last_write_time = out->change_time = svc_now();
}

static void answer(struct cli_io *cio)
{
    struct svc_io *io = cio->user;
    struct svc_open *o = io->open;
    struct svc_volume *v = o->v;
    NTSTATUS status = status_of(io);
    struct winfsp_response response = {.size = sizeof(response),
                                       .kind = io->kind,
                                       .hint = io->hint,
                                       .status = (uint32_t)status,
                                       .information = NT_SUCCESS(status) ? io->io.bytes : 0};

    if (io->kind == WINFSP_KIND_WRITE && NT_SUCCESS(status))
        svc_info_after_write(o, &response.file_info);
    /* The answer first: a volume that stops waits for the list, and then the dispatcher goes. */
    v->api->send_response(v->fs, &response);
    io_remove(v, io);
    io_drop(io);
}

/* ---- Read and Write --------------------------------------------------------------------------------- */

static NTSTATUS start(struct svc_open *o, uint32_t kind, void *buf, UINT64 offset, ULONG len,
                      uint32_t flags)
{
    struct svc_volume *v = o->v;
    const struct winfsp_operation_context *op = v->api->operation_context();
    struct svc_io *io = calloc(1, sizeof(*io));
    int error;

    if (!io)
        return STATUS_INSUFFICIENT_RESOURCES;
    io->users = 1;
    io->open = o;
    io->hint = op->request->hint;
    io->kind = kind;
    io->io = (struct cli_io){
        .buf = buf, .offset = offset, .len = len, .flags = flags, .done = answer, .user = io};
    if (!io_add(v, io)) {
        free(io);
        return STATUS_DEVICE_NOT_CONNECTED;
    }
    error = kind == WINFSP_KIND_READ ? cli_read(v->client, o->file, &io->io)
                                     : cli_write(v->client, o->file, &io->io);
    if (error == 0)
        return STATUS_PENDING;
    io_remove(v, io);
    io_drop(io);
    return svc_status(error, SVC_ABOUT_HANDLE);
}

/** svc_cb_read() - pends, but for streams; STATUS_END_OF_FILE only if nothing at all was read */
NTSTATUS WINAPI svc_cb_read(struct winfsp_file_system *fs, void *ctx, void *buf, UINT64 offset,
                            ULONG len, ULONG *got)
{
    struct svc_open *o = ctx;
    NTSTATUS status;

    (void)fs;
    *got = 0;
    if (o->stream)
        return svc_stream_read_at(o, buf, offset, len, got);
    status = svc_open_data(o, CLI_READ);
    return NT_SUCCESS(status) ? start(ctx, WINFSP_KIND_READ, buf, offset, len, 0) : status;
}

/**
 * svc_cb_write() - pends, but for streams
 * @to_end:      append; the offset means nothing
 * @constrained: never past the end of the file
 */
NTSTATUS WINAPI svc_cb_write(struct winfsp_file_system *fs, void *ctx, void *buf, UINT64 offset,
                             ULONG len, BOOLEAN to_end, BOOLEAN constrained, ULONG *put,
                             struct winfsp_file_info *info)
{
    struct svc_open *o = ctx;
    uint32_t flags = 0;
    NTSTATUS status;

    (void)fs;
    *put = 0;
    memset(info, 0, sizeof(*info));
    if (constrained)
        flags = CLI_IO_CONSTRAINED;
    else if (to_end)
        flags = CLI_IO_APPEND;
    if (o->stream)
        return svc_stream_write_at(o, buf, offset, len, flags, put, info);
    status = svc_open_data(o, CLI_WRITE);
    if (!NT_SUCCESS(status))
        return status;
    return start(ctx, WINFSP_KIND_WRITE, buf, offset, len, flags);
}

/* ---- Flush ------------------------------------------------------------------------------------------ */

static NTSTATUS flush_volume(struct svc_volume *v)
{
    int error = cli_syncfs(v->client);

    if (error == -LE_ENOSYS || error == -LE_EOPNOTSUPP) /* an old daemon: it has nothing to offer */
        return STATUS_SUCCESS;
    return svc_status(error, SVC_ABOUT_HANDLE);
}

/** svc_cb_flush() - @ctx: NULL for the whole volume; @info is then left alone */
NTSTATUS WINAPI svc_cb_flush(struct winfsp_file_system *fs, void *ctx,
                             struct winfsp_file_info *info)
{
    struct svc_open *o = ctx;
    uint32_t type;
    int error = 0;

    if (!o)
        return flush_volume(svc_volume_of(fs));
    type = cli_node_type(o->node);
    if (type == SVC_IFREG || type == SVC_IFDIR)
        error = cli_fsync(o->v->client, o->node);
    if (error == -LE_ENOSYS || (type == SVC_IFDIR && error == -LE_EOPNOTSUPP))
        error = 0;
    return error ? svc_status(error, SVC_ABOUT_HANDLE) : svc_info(o, info);
}
