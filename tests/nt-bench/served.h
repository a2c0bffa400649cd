// SPDX-License-Identifier: BSD-3-Clause
/*
 * served.h - the device that others may use: what serve.c (sockets) wants of rig_serve.c (NT)
 *
 * Ownership: a struct served is made by served_open() and ended by served_close(); its I/O belongs to the
 *   thread that started it until served_send(), then to the driver, then to whom served_next() gives it.
 * Locks: the bench's big lock, inside.
 */
#ifndef VIOFS_NT_BENCH_SERVED_H
#define VIOFS_NT_BENCH_SERVED_H

#include "tests/nt-bench/bench.h"

struct served;    /* a handle */
struct served_io; /* one DeviceIoControl */

/* ---- the device: one thread ---- */

/** served_plug() - a device appears and is started; stops the bench when that fails */
HOST void served_plug(const struct vdev_options *o);
/** served_yank() - it is pulled out, whatever is under way */
HOST void served_yank(void);
/** served_remove() - it is ejected, or after served_yank() forgotten. All handles are closed. */
HOST void served_remove(void);
HOST struct vdev *served_device(void);
/** served_sleep() - the machine sleeps (S3) and wakes up. Return: did it? */
HOST bool served_sleep(void);

/* ---- handles: one thread each to send, another to take results ---- */

/** served_open() - as a program with this process id. Return: NULL when refused; @status is an NTSTATUS */
HOST struct served *served_open(uint64_t process, uint32_t *status);
/** served_cleanup() - the last handle is closed; I/O under way still comes back through served_next() */
HOST void served_cleanup(struct served *s);
/** served_cancel_all() - as when the process died */
HOST void served_cancel_all(struct served *s);
/** served_close() - when served_next() has returned NULL */
HOST void served_close(struct served *s);

/**
 * served_new() - a request with its input
 * @out: the program's buffer of @out_len bytes, to be filled for METHOD_IN_DIRECT
 */
HOST struct served_io *served_new(struct served *s, uint64_t id, uint32_t code, const void *in,
                                  uint32_t in_len, uint32_t out_len, uint8_t **out);
/** served_send() - to the driver. Waits while too many bytes are under way. */
HOST void served_send(struct served *s, struct served_io *io);
/** served_cancel() - if it is still under way */
HOST void served_cancel(struct served *s, uint64_t id);
/** served_next() - wait for a finished request. Return: NULL when none is left after served_cleanup() */
HOST struct served_io *served_next(struct served *s);

struct served_result {
    uint64_t id;
    uint32_t code;
    uint32_t status;
    uint32_t information;
    uint32_t bytes; /* at out, to be given back */
    const uint8_t *out;
};
HOST struct served_result served_result(const struct served_io *io);
HOST void served_free(struct served *s, struct served_io *io);

#endif
