// SPDX-License-Identifier: BSD-3-Clause
/*
 * device.h - one vhost-user device: what the files of this room share
 *
 *   socket.c   the listening socket and its lock file
 *   message.c  framing
 *   control.c  what each message does
 *   device.c   life: accept, serve a front end, end the session
 *   memory.c   guest memory;  guard.c  SIGBUS;  dirty.c  the migration log
 *   queue.c    life of one queue, and its used side
 *   worker.c   the loop that serves a queue, and its thread
 *   crew.c     the threads that serve all queues of several devices
 *   hub.c      the control side of several devices
 *   transfer.c the device's state, in a migration
 *
 * Who may touch what
 *
 *   The control thread changes memory, log and features only between device_freeze() and
 *   device_thaw(): every worker is parked at a safe point then, and every queue's lock is held. A worker
 *   that is not parked, or any thread that holds a queue's lock, may therefore read them.
 *   Guest memory that kept requests may use is unmapped only after device_drain().
 *
 * Lock order: queue locks by rising index, then call locks.
 */
#ifndef VIOFS_VHOST_DEVICE_H
#define VIOFS_VHOST_DEVICE_H

#include "abi/virtio_fs.h"
#include "host/pool.h"
#include "vhost/dirty.h"
#include "vhost/journal.h"
#include "vhost/memory.h"
#include "vhost/message.h"
#include "vhost/queue.h"
#include "vhost/transfer.h"
#include "vhost/vhost.h"

struct vu {
    const struct vu_ops *ops;
    void *ctx;
    int listen_fd; /* -1 when no further front end is to come */
    int conn_fd;   /* -1 between front ends */
    int stop_fd;   /* eventfd, readable from vu_stop() on */
    atomic_bool keep_listening;
    atomic_bool conversed; /* a message has been handled */
    atomic_bool idle;      /* no front end is connected */
    bool has_config;
    bool again; /* the next message may have been handled by another process already */
    bool paced; /* ops->pause_ns() is asked */
    struct virtio_fs_config config;
    struct crew *crew;     /* NULL: each queue has a thread */
    struct pool_lane lane; /* its part of the crew */
    const char *name;      /* one of several; NULL: the only one */
    bool stop_is_hubs;     /* stop_fd is */
    struct keep *keep;
    struct journal *journal;
    uint64_t slots[JOURNAL_SLOTS / 64]; /* of kept files behind guest memory: in use */
    atomic_bool quiescing;              /* another process takes over */

    /* the session with one front end */
    uint64_t features;       /* virtio feature bits that it acknowledged */
    uint64_t proto_features; /* protocol feature bits */
    int backend_fd;          /* SET_BACKEND_REQ_FD: held, not used; -1 without */
    struct mem *mem;
    struct dirty dirty;
    struct vu_log log; /* as SET_LOG_BASE described it */
    struct transfers transfers;
    atomic_bool lost_reported; /* the loss of guest memory was logged */
    struct vq queue[VU_MAX_QUEUES];
};

static inline bool vu_has(const struct vu *vu, unsigned bit)
{
    return (vu->features >> bit) & 1;
}
static inline bool vu_has_proto(const struct vu *vu, unsigned bit)
{
    return (vu->proto_features >> bit) & 1;
}

/** device_freeze() - park all workers and take all locks; device_thaw() - let them go on */
void device_freeze(struct vu *vu);
void device_thaw(struct vu *vu);

/** device_drain() - park all workers and wait until nobody holds a chain; queues stay parked */
void device_drain(struct vu *vu);

/** device_reset() - RESET_DEVICE: stop all queues, forget the FUSE session; memory stays */
void device_reset(struct vu *vu);

/* Has vu_resume() taken over the session that another process had with a front end? Until device_begin(). */
static inline bool device_goes_on(const struct vu *vu)
{
    return vu->conn_fd >= 0;
}

/**
 * device_begin() - a front end has connected, or goes on: device_end() is due
 * @conn: taken over; the device's own if it goes on
 * An answer that a front end is owed is sent: that may wait for it. Return: 0, -errno.
 */
int device_begin(struct vu *vu, int conn);
/**
 * device_talk() - do what the front end says
 * @linger_ms: return when it says nothing for so long; -1: wait
 * Return: 1: it is still there; 0: it has left, or vu_stop(); -errno.
 */
int device_talk(struct vu *vu, int linger_ms);
/** device_end() - the session is over. @err: what device_talk() returned. Return: 0 or -errno, logged. */
int device_end(struct vu *vu, int err);
/** device_leave() - everything is to be another process': queues stop. Instead of device_end(). */
void device_leave(struct vu *vu);
/** device_settle() - after that: they have stopped; requests that are about to end may, until @until_ns of clock_ns() */
void device_settle(struct vu *vu, uint64_t until_ns);
#define VU_QUIESCE_NS UINT64_C(20000000)

/**
 * device_serve() - all of it, for a device without a hub: until the front end leaves or vu_stop()
 * Return: 0, VU_QUIESCED, or -errno when the connection ended with an error.
 */
int device_serve(struct vu *vu, int conn);

/** device_accept() - take the connection that waits. Return: it; -EAGAIN: none for now; -errno. */
int device_accept(struct vu *vu);

/** control_handle() - do what one message asks and answer it. Return: 0, or -errno: hang up. */
int control_handle(struct vu *vu, struct vu_msg *m);

#endif
