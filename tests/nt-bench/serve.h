// SPDX-License-Identifier: BSD-3-Clause
/*
 * serve.h - callers in other processes: what they and the bench say to each other
 *
 * Theory of operation
 *
 *   `nt-bench --serve` runs one device with the shipped driver and lets others open it. Two sockets are
 *   involved, both AF_UNIX SOCK_STREAM:
 *
 *   the slot     made by the machine that the device is plugged into (tests/wine/bridge). The bench
 *                connects and sends struct serve_plug; the other side answers with one byte when programs can
 *                find the device. The connection is the device's presence: when it ends, the device is gone.
 *
 *   the device   made by the bench, named in serve_plug. One connection is one handle. The caller sends struct
 *                serve_call with its bytes, and gets one struct serve_reply with its bytes for each call
 *                that has one, in any order. A connection that ends is a handle that was closed.
 *
 *   Buffers are copied through the socket. What METHOD_* means happens on the bench's side, where the
 *   driver is: for METHOD_BUFFERED a system buffer, for the direct ones locked pages of a program.
 *   METHOD_NEITHER, and addresses inside buffers, cannot be carried.
 *
 * All integers have the host's order; both ends are on one machine.
 */
#ifndef VIOFS_NT_BENCH_SERVE_H
#define VIOFS_NT_BENCH_SERVE_H

#include <stdint.h>

#define SERVE_MAGIC    0x76464e54u
#define SERVE_MAX_DATA (8u << 20) /* bytes that follow a call or a reply */

struct serve_plug {
    uint32_t magic;
    uint32_t reserved;
    char device[104]; /* path of the device's socket, terminated */
};

enum serve_op {
    SERVE_OPEN = 1, /* IRP_MJ_CREATE; first on each connection */
    SERVE_IOCTL,    /* IRP_MJ_DEVICE_CONTROL */
    SERVE_CANCEL,   /* IoCancelIrp for the call with this id; has no reply of its own */
    SERVE_CLOSE,    /* IRP_MJ_CLEANUP, then, when nothing is under way any more, IRP_MJ_CLOSE */
};

struct serve_call {
    uint32_t op;
    uint32_t
        code; /* SERVE_IOCTL; SERVE_OPEN: calls of SERVE_CLOSE since the plug that are to be done first */
    uint64_t id; /* the caller's; of SERVE_OPEN, the process that opens */
    uint32_t in_len;
    uint32_t out_len;  /* room */
    uint32_t data_len; /* what follows: in_len bytes, and for METHOD_IN_DIRECT out_len more */
    uint32_t reserved;
};

struct serve_reply {
    uint32_t op;     /* of the call */
    uint32_t status; /* NTSTATUS */
    uint64_t id;
    uint64_t information;
    uint32_t data_len; /* what follows: the first bytes of the output buffer */
    uint32_t reserved;
};

_Static_assert(sizeof(struct serve_plug) == 112, "both ends");
_Static_assert(sizeof(struct serve_call) == 32, "both ends");
_Static_assert(sizeof(struct serve_reply) == 32, "both ends");

#endif
