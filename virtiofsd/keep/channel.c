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
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keep/channel.h"

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(CHANNEL_KEYS * sizeof(int))];
};

/* Whole or not at all. Return: as channel_send(). */
static int send_bytes(int fd, const void *bytes, size_t len, const int *pass, unsigned n, int ms)
{
    union control control = {0};
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

    if (n > 0) {
        h.msg_control = control.bytes;
        h.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), pass, n * sizeof(int));
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

/** channel_send() - see channel.h */
int channel_send(int fd, const struct channel_msg *m, int pass, int ms)
{
    return send_bytes(fd, m, sizeof(*m), &pass, pass >= 0, ms);
}

/** channel_send_many() - see channel.h */
int channel_send_many(int fd, const struct channel_key *key, const int *pass, unsigned n, int ms)
{
    struct channel_many m = {.head = {.op = CHANNEL_MANY, .index = n}};

    memcpy(m.key, key, n * sizeof(*key));
    return send_bytes(fd, &m, sizeof(m.head) + n * sizeof(*key), pass, n, ms);
}

/* The descriptors of @h; those beyond @max are closed. Return: how many; *@bad when there were more. */
static unsigned take_fds(struct msghdr *h, int *got, unsigned max, bool *bad)
{
    unsigned taken = 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (taken < max) {
                got[taken++] = fd;
            } else {
                close(fd);
                *bad = true;
            }
        }
    }
    return taken;
}

static void close_all(const int *fd, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        close(fd[i]);
}

/*
 * One message of up to @room bytes and *@n descriptors; how many came goes to *@n.
 * Return: its length; 0 when the other side is gone; -EPROTO; -errno. Descriptors only with a length.
 */
static ssize_t recv_bytes(int fd, void *bytes, size_t room, int *got, unsigned *n)
{
    union control control;
    struct iovec iov = {.iov_base = bytes, .iov_len = room};
    struct msghdr h = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof(control.bytes),
    };
    unsigned max = *n;
    ssize_t len;
    bool bad = false;

    *n = 0;
    do {
        len = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
    } while (len < 0 && errno == EINTR);
    if (len < 0)
        return errno == ECONNRESET ? 0 : -errno;
    *n = take_fds(&h, got, max, &bad);
    if (len == 0 && *n == 0 && !bad)
        return 0;
    if (len > 0 && !bad && (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0)
        return len;
    close_all(got, *n);
    *n = 0;
    return -EPROTO;
}

/** channel_recv() - see channel.h */
int channel_recv(int fd, struct channel_msg *m, int *got)
{
    unsigned n = 1;
    ssize_t len = recv_bytes(fd, m, sizeof(*m), got, &n);

    if (n == 0)
        *got = -1;
    if (len <= 0 || len == sizeof(*m))
        return len > 0 ? 1 : (int)len;
    close_all(got, n);
    *got = -1;
    return -EPROTO;
}

/* Is it what its head says? */
static bool is_whole(const struct channel_many *m, size_t len, unsigned n)
{
    if (len < sizeof(m->head) || m->head.op != CHANNEL_MANY)
        return len == sizeof(m->head) && n <= 1;
    return m->head.index == n && len == sizeof(m->head) + n * sizeof(m->key[0]);
}

/** channel_recv_many() - see channel.h */
int channel_recv_many(int fd, struct channel_many *m, int *got, unsigned *n)
{
    *n = CHANNEL_KEYS;
    ssize_t len = recv_bytes(fd, m, sizeof(*m), got, n);

    if (len <= 0)
        return (int)len;
    if (is_whole(m, (size_t)len, *n))
        return 1;
    close_all(got, *n);
    *n = 0;
    return -EPROTO;
}
