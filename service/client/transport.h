// SPDX-License-Identifier: BSD-3-Clause
/*
 * transport.h - how the client's requests reach the host
 *
 * Theory of operation
 *
 *   A transport carries FUSE messages. It knows nothing of what they mean. Three exist: viofs.sys by its
 *   own control codes (zero copy), viofs.sys or virtio-win's driver by the older ones (service/win), and,
 *   in tests, vhost-user straight to a daemon (tests/client).
 *
 *   The caller builds struct fuse_in_header and arguments in one small buffer. The transport never looks
 *   into it but for `unique` and `len`; the client numbers requests. Payload travels apart: `data` is what
 *   WRITE (and SETXATTR with a large value) sends after the arguments, `reply` is where the payload of the
 *   answer goes, without its fuse_out_header, which the transport (or the driver) has already checked:
 *   unique equal, len within what was received, error in -4095..0.
 *
 *   Errors are negative *Linux* errno numbers everywhere (client/linux_errno.h), whatever the compiler's
 *   <errno.h> says. Those of the transport itself: -LE_ENOTCONN the session is gone (device removed,
 *   reset or epoch changed; the client recovers or is closed), and limits() fails or shows another epoch
 *   from then on, by which the client tells it from a file system's own ENOTCONN; -LE_ETIMEDOUT the host
 *   stopped answering,
 *   -LE_EINTR the request was cancelled, -LE_EIO a reply that no honest host sends, -LE_ENOMEM.
 *
 * Ownership: struct cli_msg and all its buffers belong to the caller and stay valid until call() returns
 *   or done() is called. A transport may be used by any number of threads at once.
 */
#ifndef VIOFS_CLIENT_TRANSPORT_H
#define VIOFS_CLIENT_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#define CLI_MSG_PRIVATE 12 /* words for the transport's own use (an OVERLAPPED fits) */

struct cli_msg {
    const void *req;  /* fuse_in_header and arguments; header.len counts data_len too */
    uint32_t req_len; /* bytes at req, 40..limits.max_request */
    uint32_t data_len;
    const void *data;   /* sent after req, or NULL */
    void *reply;        /* payload of the answer, or NULL */
    uint32_t reply_cap; /* bytes of room at reply; a longer answer is -LE_EIO */
    int32_t result;     /* set before done(): bytes at reply (0..reply_cap), or a negative errno */
    void (*done)(
        struct cli_msg
            *m); /* submit() only: called once, on any thread, maybe before submit() returns */
    void *user;  /* the caller's */
    uint64_t transport[CLI_MSG_PRIVATE];
};

struct cli_limits {
    uint64_t epoch;         /* see viofs_ioctl.h; constant where the transport has none */
    uint32_t max_in_flight; /* requests at once, at least 1 */
    uint32_t max_request;   /* bytes of header and arguments */
    uint32_t max_transfer;  /* bytes of data or reply */
    bool side_by_side;      /* a request that is not answered for hours holds up no other */
    char tag[4 * 36 + 1];   /* UTF-8, terminated */
};

struct cli_transport {
    const struct cli_transport_ops *ops;
};

struct cli_transport_ops {
    /** limits() - as they are now. Return: 0 or -errno. */
    int (*limits)(struct cli_transport *t, struct cli_limits *out);
    /** call() - send and wait. Return: m->result. done is ignored. */
    int32_t (*call)(struct cli_transport *t, struct cli_msg *m);
    /** submit() - send; m->done(m) tells. Return: 0, or -errno and done() is never called. */
    int (*submit)(struct cli_transport *t, struct cli_msg *m);
    /** post() - a request without an answer (FORGET, BATCH_FORGET, INTERRUPT); copied before it returns. */
    int (*post)(struct cli_transport *t, const void *req, uint32_t len);
    /** cancel() - end a submitted message early if possible; done() still comes, once. */
    void (*cancel)(struct cli_transport *t, struct cli_msg *m);
};

#endif
