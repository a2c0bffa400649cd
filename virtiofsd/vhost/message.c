// SPDX-License-Identifier: BSD-3-Clause
/*
 * message.c - framing of vhost-user messages on a UNIX stream socket
 *
 * Theory of operation
 *
 *   A message is a header, sent together with its descriptors, and a payload. The socket is a stream,
 *   so both are read until complete; each wait also watches a stop descriptor, and no read blocks, so
 *   a front end that stops in the middle of a message cannot hold the daemon back from ending.
 *
 *   A size that no message has ends the connection, because nothing after it could be framed.
 *   With a supervisor a message is only looked at first, and taken out of the socket when it has been handled: a
 *   process that ends in between leaves it to the next one.
 *
 *   Descriptors are counted and kept with the message; whoever sends more than a message can have is
 *   cut off, and what the kernel had installed already is closed.
 *
 * Source: vhost-user specification, "Message Specification" and "Communication".
 * Ownership: see message.h. Locks: none, control thread only.
 *
 * syscalls: poll ppoll recvmsg recvfrom sendto close setsockopt
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/log.h"
#include "vhost/message.h"

/* Wait until the socket is ready or the caller is to stop. Return: 1 ready, 0 stop, -errno. */
static int wait_for(int conn, short events, int stop_fd)
{
    struct pollfd p[2] = {{.fd = conn, .events = events}, {.fd = stop_fd, .events = POLLIN}};

    while (poll(p, 2, -1) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return p[1].revents == 0;
}

/* Descriptors of @h into @m, as many as fit; the rest is closed. Return: 0 or -EPROTO. */
static int take_fds(struct msghdr *h, struct vu_msg *m)
{
    int err = (h->msg_flags & MSG_CTRUNC) != 0 ? -EPROTO : 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
            if (m->n_fds < VU_MSG_MAX_FDS) {
                m->fd[m->n_fds++] = fd;
            } else {
                close(fd);
                err = -EPROTO;
            }
        }
    }
    return err;
}

/* One piece of the header with what descriptors come along. Return: bytes, 0 at the end, -errno. */
static ssize_t recv_with_fds(int conn, void *to, size_t len, struct vu_msg *m, int flags)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(VU_MSG_MAX_FDS * sizeof(int))];
    struct iovec iov = {.iov_base = to, .iov_len = len};
    struct msghdr h = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n = recvmsg(conn, &h, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0)
        return -errno;
    if (take_fds(&h, m) < 0) {
        log_error("vhost-user: a message with more than %u descriptors", VU_MSG_MAX_FDS);
        return -EPROTO;
    }
    return n;
}

/* The rest of a peeked message is not there yet, and its beginning makes every poll() return. */
static void rest_awhile(int stop_fd)
{
    struct pollfd p = {.fd = stop_fd, .events = POLLIN};

    poll(&p, 1, 1);
}

/*
 * Exactly @len bytes; descriptors are taken while the header is read and refused by the kernel after.
 * Return: 1, 0 for an end before the first byte, -EPROTO for an end after it, -ECANCELED for stop, -errno.
 */
static int recv_all(int conn, int stop_fd, void *to, size_t len, struct vu_msg *m_for_fds,
                    int flags)
{
    size_t got = 0;

    while (got < len) {
        int ready = wait_for(conn, POLLIN, stop_fd);
        if (ready <= 0)
            return ready == 0 ? -ECANCELED : ready;
        char *at = (char *)to + got;
        ssize_t n;
        if (m_for_fds) {
            n = recv_with_fds(conn, at, len - got, m_for_fds, flags);
        } else {
            n = recv(conn, at, len - got, flags | MSG_DONTWAIT);
            n = n < 0 ? -errno : n;
        }
        if (n == -EAGAIN && flags != 0)
            rest_awhile(stop_fd);
        if (n == -EAGAIN || n == -EINTR)
            continue;
        if (n < 0)
            return (int)n;
        if (n == 0)
            return got == 0 ? 0 : -EPROTO;
        got += (size_t)n;
    }
    return 1;
}

static int recv_payload(int conn, int stop_fd, struct vu_msg *m, int flags)
{
    if ((m->head.flags & VU_VERSION_MASK) != VU_VERSION) {
        log_error("vhost-user: message version %u, expected %u", m->head.flags & VU_VERSION_MASK,
                  VU_VERSION);
        return -EPROTO;
    }
    if (m->head.size > sizeof(m->bytes)) {
        log_error("vhost-user: message %u claims %u bytes of payload", m->head.request,
                  m->head.size);
        return -EPROTO;
    }
    memset(m->bytes, 0, sizeof(m->bytes));
    if (m->head.size == 0)
        return 1;
    int err = recv_all(conn, stop_fd, m->bytes, m->head.size, NULL, flags);
    return err == 0 ? -EPROTO : err;
}

/** vu_msg_recv() - see message.h */
int vu_msg_recv(int conn, int stop_fd, bool peek, struct vu_msg *m)
{
    int flags = peek ? MSG_PEEK : 0;

    m->n_fds = 0;
    int err = recv_all(conn, stop_fd, &m->head, sizeof(m->head), m, flags);
    if (err > 0)
        err = recv_payload(conn, stop_fd, m, flags);
    if (err <= 0) {
        vu_msg_drop_fds(m);
        return err == -ECANCELED ? 0 : err;
    }
    m->peeked = peek;
    m->length = (uint32_t)sizeof(m->head) + m->head.size;
    return err;
}

/** vu_msg_can_peek() - see message.h; with an offset a message can be peeked at in pieces (socket(7)) */
int vu_msg_can_peek(int conn)
{
    int start = 0;

    return setsockopt(conn, SOL_SOCKET, SO_PEEK_OFF, &start, sizeof(start)) < 0 ? -errno : 0;
}

/** vu_msg_consume() - see message.h. Its descriptors were had with the first look. */
int vu_msg_consume(int conn, struct vu_msg *m)
{
    char sink[sizeof(m->head) + sizeof(m->bytes)];

    while (m->peeked && m->length > 0) {
        ssize_t n = recv(conn, sink, m->length, MSG_DONTWAIT);
        if (n > 0)
            m->length -= (uint32_t)n;
        else if (n == 0 || errno != EINTR)
            return n == 0 ? -ECONNRESET : -errno;
    }
    m->peeked = false;
    return 0;
}

/** vu_msg_waiting() - see message.h */
bool vu_msg_waiting(int conn)
{
    struct pollfd p = {.fd = conn, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

/** vu_msg_reply() - see message.h */
int vu_msg_reply(int conn, int stop_fd, struct vu_msg *m, uint32_t size)
{
    m->head.flags = VU_VERSION | VU_REPLY;
    m->head.size = size;
    struct {
        struct vu_header head;
        uint8_t bytes[sizeof(m->bytes)];
    } out = {.head = m->head};
    memcpy(out.bytes, m->bytes, size);

    size_t len = sizeof(out.head) + size;
    for (size_t sent = 0; sent < len;) {
        ssize_t n = send(conn, (char *)&out + sent, len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN) {
            int ready = wait_for(conn, POLLOUT, stop_fd);
            if (ready <= 0)
                return ready == 0 ? -ECANCELED : ready;
        } else if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

/** vu_msg_take_fd() - see message.h */
int vu_msg_take_fd(struct vu_msg *m, unsigned i)
{
    if (i >= m->n_fds)
        return -1;
    int fd = m->fd[i];
    m->fd[i] = -1;
    return fd;
}

/** vu_msg_drop_fds() - see message.h */
void vu_msg_drop_fds(struct vu_msg *m)
{
    for (unsigned i = 0; i < m->n_fds; i++) {
        if (m->fd[i] >= 0)
            close(m->fd[i]);
    }
    m->n_fds = 0;
}
