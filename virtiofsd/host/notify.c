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
#define LISTEN_FDS_MAX   65536

bool notify_is_wanted(void)
{
    return getenv("NOTIFY_SOCKET") != NULL;
}

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

/* "a:b:c" into "a\0b\0c\0", if there are @n. Return: it, or NULL. */
static char *divide_names(const char *names, int n)
{
    char *copy = names ? strdup(names) : NULL;
    int found = 1;

    for (char *p = copy; p && *p; p++) {
        if (*p == ':') {
            *p = '\0';
            found++;
        }
    }
    if (copy && found == n)
        return copy;
    free(copy);
    return NULL;
}

void notify_listen_fds(struct notify_fds *fds)
{
    const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
    char me[24];

    *fds = (struct notify_fds){.first = LISTEN_FDS_START};
    snprintf(me, sizeof(me), "%ld", (long)getpid());
    if (pid && n && strcmp(pid, me) == 0) {
        char *end;
        long count = strtol(n, &end, 10);
        /* What cannot be read is more than one, of which nobody knows which is which. */
        fds->n = *end || count < 0 || count > LISTEN_FDS_MAX ? 2 : (int)count;
        fds->names = divide_names(getenv("LISTEN_FDNAMES"), fds->n);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

const char *notify_fd_name(const struct notify_fds *fds, int i)
{
    const char *name = fds->names;

    while (name && i-- > 0)
        name += strlen(name) + 1;
    return name ? name : "";
}

void notify_free_fds(struct notify_fds *fds)
{
    free(fds->names);
    fds->names = NULL;
}

int notify_listen_fd(void)
{
    struct notify_fds fds;

    notify_listen_fds(&fds);
    notify_free_fds(&fds);
    return fds.n == 0 ? NOTIFY_NO_SOCKET : fds.n == 1 ? fds.first : NOTIFY_MANY_SOCKETS;
}
