// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse.h - FUSE messages for scenarios: building requests, sending them through the driver
 *
 * The structures are Linux' own (<linux/fuse.h>), not the driver's copies, so that a wrong copy shows.
 */
#ifndef VIOFS_NT_BENCH_FUSE_H
#define VIOFS_NT_BENCH_FUSE_H

#include <linux/fuse.h>

#include "tests/nt-bench/rig.h"

#define FUSE_MOST_ARGS 512u

/* A request: header, arguments. Names and the like follow the arguments. */
struct fuse_msg {
    struct fuse_in_header h;
    uint8_t args[FUSE_MOST_ARGS];
};
/* fuse_msg() - fresh header; returns the length */
ULONG fuse_msg(struct fuse_msg *m, uint32_t opcode, uint64_t node, const void *args, ULONG n);
/* fuse_msg_name() - the same with a name after the arguments */
ULONG fuse_msg_name(struct fuse_msg *m, uint32_t opcode, uint64_t node, const void *args, ULONG n,
                    const char *name);

/* fuse_init() - open the session through our own interface; stops unless it works */
void fuse_init(struct handle *h);
/* fuse_try_init() - the status */
NTSTATUS fuse_try_init(struct handle *h);
/* fuse_call() - IOCTL_VIOFS_REQUEST. @got: payload bytes, may be NULL. Return: status */
NTSTATUS fuse_call(struct handle *h, const struct fuse_msg *m, void *payload, ULONG room,
                   ULONG *got);
/* fuse_compat() - IOCTL_VIRTFS_FUSE_REQUEST with the whole reply, its header included */
NTSTATUS fuse_compat(struct handle *h, const struct fuse_msg *m, void *reply, ULONG room,
                     ULONG *got);
/* fuse_send_getattr() - one of many in flight; through our interface */
struct rig_io *fuse_send_getattr(struct handle *h);

/* Whole operations, which must work. */
uint64_t fuse_lookup(struct handle *h, const char *name);
uint64_t fuse_open(struct handle *h, uint64_t node, uint32_t flags);
void fuse_release(struct handle *h, uint64_t node, uint64_t fh);
uint64_t fuse_create(struct handle *h, const char *name, uint64_t *fh);
/* fuse_read_msg(), fuse_write_msg() - requests whose data travels apart */
ULONG fuse_read_msg(struct fuse_msg *m, uint64_t node, uint64_t fh, uint64_t offset, ULONG n);
ULONG fuse_write_msg(struct fuse_msg *m, uint64_t node, uint64_t fh, uint64_t offset, ULONG n);

#endif
