// SPDX-License-Identifier: BSD-3-Clause
/*
 * queue.h - one virtqueue and its worker, inside the vhost-user back end
 *
 * Life of a queue
 *
 *   set up      size, addresses, base and descriptors arrive in any order
 *   started     a kick descriptor arrived; from now on it runs whenever it is enabled
 *   running     its worker is not parked
 *   broken      the guest corrupted the ring: parked until it is set up anew
 *
 *   The worker thread is made when the queue first runs and lives until the front end leaves.
 */
#ifndef VIOFS_VHOST_QUEUE_H
#define VIOFS_VHOST_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/ring/ring.h"
#include "vhost/journal.h"
#include "vhost/vhost.h"

struct seat;
struct worker;

enum vq_order { VQ_PARK, VQ_RUN, VQ_QUIT };

/* A chain that was served and not given back yet. */
struct vq_done {
    uint32_t len;
    uint16_t head;
};

/*
 * Chains that were taken and wait to be served anew when the queue goes on. Filled under the lock while the worker
 * is parked; the worker takes them when it runs. They belong to the ring as it was: with another base they go.
 */
struct vq_deferred {
    uint16_t *head; /* room for as many as the ring has entries, once there are some */
    uint32_t n, room;
    uint16_t base; /* what GET_VRING_BASE answered */
};

/*
 * Owned by struct vu. The first group is changed by the control thread while the worker is parked
 * (and under the lock where the used side reads it); the worker reads it while it runs.
 */
struct vq {
    struct vu *vu;
    unsigned index;
    uint32_t size;
    uint64_t desc_uva, avail_uva, used_uva;
    uint64_t used_gpa; /* for the log */
    bool used_logged;  /* VU_VRING_F_LOG */
    bool started, enabled;
    bool open; /* ring is valid */
    int kick_fd, err_fd;
    bool kick_drain;       /* a pipe or socket: must be emptied to signal again */
    bool logging;          /* the dirty log is in force */
    struct worker *worker; /* its own thread, or */
    struct seat *seat;     /* its place in the crew; written under the lock */

    /* avail side: the worker's while it runs */
    struct ring_dev ring; /* the used side of it is under the lock */
    unsigned mem_hint;
    atomic_uint taken; /* chains taken, ever; wraps */
    struct journal_queue *live;
    struct vu_record *record; /* by head */
    struct vu_record spare;   /* of chains whose head is out already */

    atomic_int order;   /* enum vq_order, set by the control thread */
    atomic_bool broken; /* set by the worker, cleared by the control thread */

    _Alignas(64) pthread_mutex_t lock;
    pthread_cond_t changed; /* order, parked, given */
    bool
        parked; /* the worker is at its safe point; true without one, and while no crew thread serves it */
    bool draining;     /* the control thread waits for given to reach taken */
    atomic_uint given; /* chains given back or deferred; written under the lock */
    struct vq_deferred deferred;

    _Alignas(64) pthread_mutex_t call_lock; /* call_fd is not closed while it is held */
    int call_fd;
    bool call_pipe; /* may be full */
};

/** queue_init(), queue_destroy() - once in the life of a device */
int queue_init(struct vq *q, struct vu *vu, unsigned index);
void queue_destroy(struct vq *q);

/* ---- control thread ------------------------------------------------------------------------ */

/** queue_order_park() then queue_await_parked() - the worker finishes its chain and stays put */
void queue_order_park(struct vq *q);
void queue_await_parked(struct vq *q);

/**
 * queue_drain() - park, have kept chains deferred, and wait until all others are given back
 * @hurry: those that have begun are to end at once, even if with an error
 */
void queue_drain(struct vq *q, bool hurry);

/**
 * queue_update() - run the queue if it is started, enabled and sound, otherwise park it
 * Opens the ring if needed. Return: 0, or -errno when it should run and cannot (logged).
 */
int queue_update(struct vq *q);

/** queue_close_ring() - after queue_drain(): the ring is to be opened anew at the next update */
void queue_close_ring(struct vq *q);

/** queue_stop() - drain, forget kick descriptor and ring: as before the first kick; deferred chains stay */
void queue_stop(struct vq *q, bool hurry);

/** queue_rebase() - the ring goes on at @base; deferred chains stay if that is where it was stopped */
void queue_rebase(struct vq *q, uint16_t base);

/**
 * queue_set_deferred() - what another process had deferred; the queue is not started
 * @base: where its ring was stopped. Return: 0, -EINVAL for more than a ring can have, -ENOMEM.
 */
int queue_set_deferred(struct vq *q, uint16_t base, const uint16_t *head, uint32_t n);

/** queue_restore() - take over from another process; memory, features and log are there. Return: 0 or -errno (logged). */
int queue_restore(struct vq *q, const struct journal_ring *s);

/** queue_forget_deferred() - nobody waits for them any more */
void queue_forget_deferred(struct vq *q);

/** queue_reset() - queue_stop(), end the worker, close all descriptors, forget everything */
void queue_reset(struct vq *q);

/** queue_set_kick() - take over @fd and start. Return: 0, or -errno (@fd is closed, cannot be polled). */
int queue_set_kick(struct vq *q, int fd);
/** queue_set_call(), queue_set_err() - take over @fd, -1 for none */
void queue_set_call(struct vq *q, int fd);
void queue_set_err(struct vq *q, int fd);

/** queue_set_logging() - after a change of features, log or ring flags; the device is frozen */
void queue_set_logging(struct vq *q);

/* ---- worker -------------------------------------------------------------------------------- */

/** queue_give_back() - push @n served chains and publish. Return: true if queue_call() is due. */
bool queue_give_back(struct vq *q, const struct vq_done *done, unsigned n);

/** queue_take_deferred() - worker: the next chain to be served anew. Return: its head, or -1. */
int32_t queue_take_deferred(struct vq *q);

/** queue_mark() - log the first @len bytes of segments as written; worker thread or under the lock */
void queue_mark(struct vq *q, const struct ring_seg *seg, uint32_t n, uint64_t len);

/** queue_mark_event() - log that the used ring's flags and event were written */
void queue_mark_event(struct vq *q);

/** queue_call() - signal the driver */
void queue_call(struct vq *q);

/** queue_break() - worker: the ring cannot be used any more; @why: for the log, or NULL */
void queue_break(struct vq *q, const char *why);

/** queue_manned() - is there somebody who serves it? */
static inline bool queue_manned(const struct vq *q)
{
    return q->worker || q->seat;
}

/** worker_new() - thread for @q, parked. Return: 0 or -errno. */
int worker_new(struct vq *q);
/** worker_end() - end and join it; the queue is parked. Without a worker: nothing. */
void worker_end(struct vq *q);
/** worker_watch(), worker_unwatch() - the kick descriptor; the worker is parked */
int worker_watch(struct vq *q, int kick_fd);
void worker_unwatch(struct vq *q, int kick_fd);
/** worker_run() - under the lock: the order is VQ_RUN now; only the crew needs to be told */
void worker_run(struct vq *q);
/** worker_wake() - make a sleeping worker look at its order */
void worker_wake(struct vq *q);

#endif
