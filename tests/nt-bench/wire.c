// SPDX-License-Identifier: BSD-3-Clause
/*
 * wire.c - messages over AF_UNIX stream sockets
 *
 * Ownership: descriptors are the caller's.   Locks: none; one sender and one receiver at a time.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/nt-bench/wire.h"

static int make_socket(const char *path, struct sockaddr_un *a)
{
    int fd;

    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(a->sun_path))
        return -ENAMETOOLONG;
    strcpy(a->sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

int wire_listen(const char *path)
{
    struct sockaddr_un a;
    int fd = make_socket(path, &a), err;

    if (fd < 0)
        return fd;
    unlink(path);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 4) == 0)
        return fd;
    err = -errno;
    close(fd);
    return err;
}

int wire_connect(const char *path)
{
    struct sockaddr_un a;
    int fd = make_socket(path, &a), err;

    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        return fd;
    err = -errno;
    close(fd);
    return err;
}

int wire_send(int fd, const void *first, size_t n, const void *second, size_t m, const void *third,
              size_t o)
{
    struct iovec v[] = {{(void *)first, n}, {(void *)second, m}, {(void *)third, o}};
    struct msghdr msg = {.msg_iov = v, .msg_iovlen = 3};

    while (msg.msg_iovlen > 0) {
        ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL);

        if (sent < 0 && errno != EINTR)
            return -errno;
        for (; msg.msg_iovlen > 0 && sent >= 0; msg.msg_iov++, msg.msg_iovlen--) {
            if ((size_t)sent < msg.msg_iov->iov_len) {
                msg.msg_iov->iov_base = (char *)msg.msg_iov->iov_base + sent;
                msg.msg_iov->iov_len -= (size_t)sent;
                break;
            }
            sent -= (ssize_t)msg.msg_iov->iov_len;
        }
    }
    return 0;
}

int wire_receive(int fd, void *bytes, size_t n)
{
    char *to = bytes;

    while (n > 0) {
        ssize_t got = recv(fd, to, n, MSG_WAITALL);

        if (got == 0)
            return -ECONNRESET;
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got > 0) {
            to += got;
            n -= (size_t)got;
        }
    }
    return 0;
}
