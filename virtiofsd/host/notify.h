// SPDX-License-Identifier: BSD-3-Clause
/*
 * notify.h - what systemd and the daemon tell each other
 *
 * Readiness (sd_notify(3)) and sockets that were opened for us (sd_listen_fds(3)). Both protocols are
 * a few environment variables and one datagram; no library is needed for them.
 */
#ifndef VIOFS_NOTIFY_H
#define VIOFS_NOTIFY_H

#include <stdbool.h>

/** notify_is_wanted() - is there a service manager to tell? Before notify_open(). */
bool notify_is_wanted(void);

/**
 * notify_open() - open $NOTIFY_SOCKET, before the sandbox hides it
 *
 * Removes the variable, so that no child speaks in our name.
 * Return: a descriptor for notify_send(), or -1 when there is nobody to tell.
 */
int notify_open(void);

/** notify_send() - tell the service manager, e.g. "READY=1". @fd: -1 does nothing. Never blocks. */
void notify_send(int fd, const char *state);

/* What notify_listen_fd() returns when it has no descriptor to give. */
#define NOTIFY_NO_SOCKET    (-1)
#define NOTIFY_MANY_SOCKETS (-2)

/* Sockets from systemd: descriptors first to first + n - 1. */
struct notify_fds {
    int first, n;
    char *names; /* one after the other, each with its NUL; NULL: they have none */
};

/** notify_listen_fds() - the listening sockets that systemd opened for this process; removes the variables */
void notify_listen_fds(struct notify_fds *fds);
/** notify_fd_name() - name of the @i-th; "" when it has none */
const char *notify_fd_name(const struct notify_fds *fds, int i);
void notify_free_fds(struct notify_fds *fds);

/**
 * notify_listen_fd() - the only one
 *
 * Removes the variables. Return: 3; NOTIFY_NO_SOCKET when there is none for this process;
 * NOTIFY_MANY_SOCKETS when there are several, of which we cannot know the one to use.
 */
int notify_listen_fd(void);

#endif
