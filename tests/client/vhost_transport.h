// SPDX-License-Identifier: BSD-3-Clause
/*
 * vhost_transport.h - struct cli_transport over vhost-user, straight to a daemon
 *
 * What it stands for: viofs.sys with everything below it. The client's requests go into rings that the
 * real daemon serves, any number in flight, over one or more request queues. What it does not prove:
 * anything about Windows' driver, which tests/nt-bench runs.
 *
 * It also watches: how many requests were with the daemon at most, and it can hold answers back so that
 * a test sees what the client does before it has them.
 *
 * Ownership: struct vht owns the connection and copies of all that travels; buffers of a struct cli_msg
 * stay the caller's. Locks: see vhost_transport.c.
 */
#ifndef VIOFS_TESTS_VHOST_TRANSPORT_H
#define VIOFS_TESTS_VHOST_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/client/transport.h"

struct vht;

/* All zero is a good default. */
struct vht_options {
    unsigned queues;       /* request queues; 0: 1 */
    uint32_t queue_size;   /* 0: 256 */
    uint32_t max_transfer; /* bytes of data or reply; 0: 1 MiB */
    size_t memory;         /* of the guest; 0: 256 MiB */
};

/** vht_open() - connect to the daemon that listens on a socket. Return: 0 or a negative errno of Linux. */
int vht_open(struct vht **out, const char *socket_path, const struct vht_options *o);

/** vht_close() - what is in flight ends with -LE_ENOTCONN first */
void vht_close(struct vht *t);

struct cli_transport *vht_transport(struct vht *t);

/**
 * vht_reconnect() - to a daemon that took the place of one that died; the epoch grows
 *
 * What was in flight has ended with -LE_ENOTCONN by the time this returns.
 */
int vht_reconnect(struct vht *t, const char *socket_path);

/**
 * vht_pause(), vht_resume() - the machine stops, and goes on with whatever daemon is at the socket then; the epoch stays
 * @resting: requests that the daemon may have then; they come back with -LE_EINTR
 *
 * As a front end does that moves a machine: what is sent meanwhile waits, and the driver sees nothing.
 */
void vht_pause(struct vht *t, uint32_t resting);
int vht_resume(struct vht *t, const char *socket_path);

/** vht_hold() - keep answers back (true), or let them through again */
void vht_hold(struct vht *t, bool hold);

/** vht_in_flight() - requests with the daemon now; vht_max_in_flight() - most since the last call */
uint32_t vht_in_flight(struct vht *t);
uint32_t vht_max_in_flight(struct vht *t);

#endif
