// SPDX-License-Identifier: BSD-3-Clause
/*
 * device_io.h - control codes on one device handle, many at once
 */
#ifndef VIOFS_SERVICE_DEVICE_IO_H
#define VIOFS_SERVICE_DEVICE_IO_H

#include <stdint.h>

#include <windows.h>

struct dev_io;

/* One request that is not waited for. The caller's memory until done() is called. */
struct dev_op {
    OVERLAPPED ov;
    void (*done)(struct dev_op *op, uint32_t status, uint32_t information);
};

struct dev_buffers {
    const void *in;
    uint32_t in_len;
    void *out;
    uint32_t out_len;
};

/**
 * dev_io_open() - open a device by the path of its interface
 * @threads: how many threads call done(), 0: one for each processor, 2 to 8
 *
 * Return: ERROR_SUCCESS or a Win32 error; ERROR_ACCESS_DENIED for other users than administrators.
 */
DWORD dev_io_open(struct dev_io **out, const wchar_t *path, unsigned threads);

/**
 * dev_io_close() - cancel what is in flight, wait for its end, close the handle, free
 *
 * Waits as long as the driver keeps a request. NULL is fine.
 */
void dev_io_close(struct dev_io *d);

HANDLE dev_io_handle(struct dev_io *d); /* borrowed */

/** dev_io_call() - send and wait. Return: NTSTATUS; @information is at most out_len. */
uint32_t dev_io_call(struct dev_io *d, uint32_t code, const struct dev_buffers *b,
                     uint32_t *information);

/**
 * dev_io_submit() - send; op->done() tells, once, on another thread
 *
 * Return: 0, or the NTSTATUS for which nothing was sent and done() is never called.
 */
uint32_t dev_io_submit(struct dev_io *d, struct dev_op *op, uint32_t code,
                       const struct dev_buffers *b);

/** dev_io_cancel() - ask for an early end of a submitted request that may already be over; done() still comes */
void dev_io_cancel(struct dev_io *d, struct dev_op *op);

/** dev_io_in_flight() - requests that have not come back, waited for or not */
uint32_t dev_io_in_flight(struct dev_io *d);

#endif
