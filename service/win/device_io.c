// SPDX-License-Identifier: BSD-3-Clause
/*
 * device_io.c - control codes on one device handle, many at once
 *
 * Theory of operation
 *
 *   The handle is opened for overlapped I/O, so the I/O manager does not line requests up. Requests that
 *   are waited for have an event, one of a stock that grows to as many as ever waited at once. Requests
 *   that are not waited for come back through a completion port and a few threads.
 *
 *   NtDeviceIoControlFile() is used instead of DeviceIoControl(): it gives the NTSTATUS as it is (the
 *   driver's errors are customer-coded, and Win32 has no numbers for them), and it lets each request say
 *   whether the port shall hear of it (a NULL context means no).
 *
 *   Every request counts one reference on the handle, the owner one more; closing waits for the last.
 *
 * Ownership: the caller owns dev_op and buffers until a request is over.
 * Locks: none; the stock of events is a lock-free list.
 *
 * Sources: winternl.h's documentation of NtDeviceIoControlFile and IO_STATUS_BLOCK; OVERLAPPED begins with
 *   an IO_STATUS_BLOCK (Internal is the status, InternalHigh the information).
 */
#include "service/win/device_io.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <winternl.h>

#ifndef STATUS_PENDING
#define STATUS_PENDING ((DWORD)0x103)
#endif
#define STATUS_SEVERITY_OF(status) ((uint32_t)(status) >> 30)
#define SEVERITY_ERROR_BITS        3u
#define NO_MEMORY_STATUS           0xC0000017u

_Static_assert(offsetof(OVERLAPPED, Internal) == offsetof(IO_STATUS_BLOCK, Status) &&
                   offsetof(OVERLAPPED, InternalHigh) == offsetof(IO_STATUS_BLOCK, Information),
               "OVERLAPPED begins with an IO_STATUS_BLOCK");

#define MAX_THREADS 8u
#define KEY_REQUEST 0
#define KEY_QUIT    1

struct waiter {
    SLIST_ENTRY entry; /* in dev_io.waiters while nobody uses it */
    HANDLE event;
};

struct dev_io {
    SLIST_HEADER waiters;
    HANDLE device;
    HANDLE port;
    HANDLE idle; /* set when the last reference is gone */
    HANDLE thread[MAX_THREADS];
    unsigned num_threads;
    volatile LONG refs;
};

static void unref(struct dev_io *d)
{
    if (InterlockedDecrement(&d->refs) == 0)
        SetEvent(d->idle);
}

/* ---- threads of the completion port --------------------------------------------------------- */

static DWORD WINAPI port_thread(void *arg)
{
    struct dev_io *d = arg;

    for (;;) {
        OVERLAPPED *ov = NULL;
        ULONG_PTR key = KEY_REQUEST;
        DWORD bytes;

        GetQueuedCompletionStatus(d->port, &bytes, &key, &ov, INFINITE);
        if (key == KEY_QUIT)
            return 0;
        if (ov) {
            struct dev_op *op = CONTAINING_RECORD(ov, struct dev_op, ov);

            op->done(op, (uint32_t)ov->Internal, (uint32_t)ov->InternalHigh);
            unref(d);
        }
    }
}

static unsigned default_threads(void)
{
    DWORD n = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);

    return n < 2 ? 2 : n > MAX_THREADS ? MAX_THREADS : n;
}

static bool start_threads(struct dev_io *d, unsigned threads)
{
    if (threads == 0)
        threads = default_threads();
    for (; d->num_threads < threads && d->num_threads < MAX_THREADS; d->num_threads++) {
        d->thread[d->num_threads] = CreateThread(NULL, 0, port_thread, d, 0, NULL);
        if (!d->thread[d->num_threads])
            return false;
    }
    return true;
}

static void stop_threads(struct dev_io *d)
{
    for (unsigned i = 0; i < d->num_threads; i++)
        PostQueuedCompletionStatus(d->port, 0, KEY_QUIT, NULL);
    for (unsigned i = 0; i < d->num_threads; i++) {
        WaitForSingleObject(d->thread[i], INFINITE);
        CloseHandle(d->thread[i]);
    }
}

/* ---- open and close ------------------------------------------------------------------------- */

static void destroy(struct dev_io *d)
{
    struct waiter *w;

    if (d->device != INVALID_HANDLE_VALUE)
        CloseHandle(d->device);
    if (d->port)
        CloseHandle(d->port);
    if (d->idle)
        CloseHandle(d->idle);
    while ((w = (struct waiter *)InterlockedPopEntrySList(&d->waiters)) != NULL) {
        CloseHandle(w->event);
        _aligned_free(w);
    }
    _aligned_free(d);
}

DWORD dev_io_open(struct dev_io **out, const wchar_t *path, unsigned threads)
{
    struct dev_io *d = _aligned_malloc(sizeof(*d), MEMORY_ALLOCATION_ALIGNMENT);
    DWORD error;

    if (!d)
        return ERROR_NOT_ENOUGH_MEMORY;
    *d = (struct dev_io){.refs = 1};
    InitializeSListHead(&d->waiters);
    d->device = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                            NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
    if (d->device != INVALID_HANDLE_VALUE) {
        d->idle = CreateEventW(NULL, TRUE, FALSE, NULL);
        d->port = CreateIoCompletionPort(d->device, NULL, KEY_REQUEST, 0);
        if (d->idle && d->port && start_threads(d, threads)) {
            *out = d;
            return ERROR_SUCCESS;
        }
    }
    error = GetLastError();
    stop_threads(d);
    destroy(d);
    return error;
}

void dev_io_close(struct dev_io *d)
{
    if (!d)
        return;
    unref(d);
    CancelIoEx(d->device, NULL);
    WaitForSingleObject(d->idle, INFINITE);
    stop_threads(d);
    destroy(d);
}

HANDLE dev_io_handle(struct dev_io *d)
{
    return d->device;
}

uint32_t dev_io_in_flight(struct dev_io *d)
{
    return (uint32_t)InterlockedCompareExchange(&d->refs, 0, 0) - 1;
}

/* ---- requests ------------------------------------------------------------------------------- */

static struct waiter *get_waiter(struct dev_io *d)
{
    struct waiter *w = (struct waiter *)InterlockedPopEntrySList(&d->waiters);

    if (w)
        return w;
    w = _aligned_malloc(sizeof(*w), MEMORY_ALLOCATION_ALIGNMENT);
    if (!w)
        return NULL;
    w->event = CreateEventW(NULL, FALSE, FALSE, NULL);
    if (!w->event) {
        _aligned_free(w);
        return NULL;
    }
    return w;
}

static uint32_t control(struct dev_io *d, HANDLE event, void *context, IO_STATUS_BLOCK *io,
                        uint32_t code, const struct dev_buffers *b)
{
    io->Status = (NTSTATUS)STATUS_PENDING;
    io->Information = 0;
    return (uint32_t)NtDeviceIoControlFile(d->device, event, NULL, context, io, code, (void *)b->in,
                                           b->in_len, b->out, b->out_len);
}

uint32_t dev_io_call(struct dev_io *d, uint32_t code, const struct dev_buffers *b,
                     uint32_t *information)
{
    struct waiter *w = get_waiter(d);
    IO_STATUS_BLOCK io;
    uint32_t status;

    *information = 0;
    if (!w)
        return NO_MEMORY_STATUS;
    InterlockedIncrement(&d->refs);
    status = control(d, w->event, NULL, &io, code, b);
    if (status == (uint32_t)STATUS_PENDING) {
        WaitForSingleObject(w->event, INFINITE);
        status = (uint32_t)io.Status;
    }
    if (STATUS_SEVERITY_OF(status) != SEVERITY_ERROR_BITS)
        *information = io.Information > b->out_len ? b->out_len : (uint32_t)io.Information;
    InterlockedPushEntrySList(&d->waiters, &w->entry);
    unref(d);
    return status;
}

uint32_t dev_io_submit(struct dev_io *d, struct dev_op *op, uint32_t code,
                       const struct dev_buffers *b)
{
    uint32_t status;

    op->ov = (OVERLAPPED){0};
    InterlockedIncrement(&d->refs);
    status = control(d, NULL, &op->ov, (IO_STATUS_BLOCK *)&op->ov, code, b);
    /* An error at once is told nobody else; success, warnings and pending come through the port. */
    if (STATUS_SEVERITY_OF(status) != SEVERITY_ERROR_BITS)
        return 0;
    unref(d);
    return status;
}

void dev_io_cancel(struct dev_io *d, struct dev_op *op)
{
    CancelIoEx(d->device, &op->ov);
}
