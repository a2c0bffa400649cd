// SPDX-License-Identifier: BSD-3-Clause
/*
 * channel.c - messages between supervisor and worker (see channel.h)
 *
 * A message that was sent is in the receiver's queue, with its descriptor, and stays there when the sender
 * ends. The queue has room for some two hundred; who finds it full waits, for a bounded time.
 *
 * Source: unix(7), "Sockets API", SCM_RIGHTS. Ownership: none. Locks: none; messages are atomic.
 *
 * syscalls: sendmsg recvmsg poll ppoll close
 * parent: sendmsg poll ppoll
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keep/channel.h"

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

/** channel_send() - see channel.h */
int channel_send(int fd, const struct channel_msg *m, int pass, int ms)
{
    union control control = {0};
    struct iovec iov = {.iov_base = (void *)m, .iov_len = sizeof(*m)};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

    if (pass >= 0) {
        h.msg_control = control.bytes;
        h.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pass, sizeof(int));
    }
    for (;;) {
        if (sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno == EINTR)
            continue;
        /* Too many descriptors under way is a full queue, too. */
        if (errno != EAGAIN && errno != ETOOMANYREFS)
            return errno == ECONNRESET ? -EPIPE : -errno;
        if (ms <= 0)
            return -ETIMEDOUT;
        struct pollfd p = {.fd = fd, .events = errno == EAGAIN ? POLLOUT : 0};
        int step = ms < 20 ? ms : 20;
        poll(&p, 1, step);
        ms -= step;
    }
}

/* The descriptor of @h; a peer that sends more has them closed. Return: it or -1; *@bad when that was wrong. */
static int take_fd(struct msghdr *h, int *bad)
{
    int got = -1;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (got < 0) {
                got = fd;
            } else {
                close(fd);
                *bad = 1;
            }
        }
    }
    return got;
}

/** channel_recv() - see channel.h */
int channel_recv(int fd, struct channel_msg *m, int *got)
{
    union control control;
    struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
    struct msghdr h = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    ssize_t n;
    int bad = 0;

    *got = -1;
    do {
        n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == ECONNRESET ? 0 : -errno;
    *got = take_fd(&h, &bad);
    if (n == 0 && *got < 0)
        return 0;
    if (n == sizeof(*m) && !bad && (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0)
        return 1;
    if (*got >= 0)
        close(*got);
    *got = -1;
    return -EPROTO;
}
