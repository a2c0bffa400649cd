// SPDX-License-Identifier: BSD-3-Clause
/*
 * notify.c - readiness and socket activation, as systemd defines them
 *
 * Sources: sd_notify(3) ("NOTIFY_SOCKET", a leading '@' means the abstract name space) and
 * sd_listen_fds(3) ("LISTEN_PID", "LISTEN_FDS", descriptors from 3).
 *
 * The sandbox forks: the datagram comes from a child of the process that systemd started, so a unit
 * needs NotifyAccess=all.
 *
 * Ownership: the caller closes the descriptor.   Locks: none; the first two calls edit the environment
 * and run before any thread is started.
 *
 * syscalls: sendto
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/notify.h"

#define LISTEN_FDS_START 3

int notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;

    if (len < 2 || len > sizeof(addr.sun_path) || (path[0] != '/' && path[0] != '@'))
        return -1;
    memcpy(addr.sun_path, path, len);
    if (path[0] == '@')
        addr.sun_path[0] = '\0';
    unsetenv("NOTIFY_SOCKET");

    cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&addr,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
        return -1;
    return steal_fd(&fd);
}

void notify_send(int fd, const char *state)
{
    /* A manager that does not listen must not keep a guest from its files. */
    if (fd >= 0)
        (void)!send(fd, state, strlen(state), MSG_NOSIGNAL);
}

int notify_listen_fd(void)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    char me[24];
    int fd = NOTIFY_NO_SOCKET;

    snprintf(me, sizeof(me), "%ld", (long)getpid());
    if (pid && fds && strcmp(pid, me) == 0 && strcmp(fds, "0") != 0)
        fd = strcmp(fds, "1") == 0 ? LISTEN_FDS_START : NOTIFY_MANY_SOCKETS;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return fd;
}
