// SPDX-License-Identifier: BSD-3-Clause
/*
 * worker.h - what a thread needs to serve queues, its own one (worker.c) or those of a crew (crew.c)
 */
#ifndef VIOFS_VHOST_WORKER_H
#define VIOFS_VHOST_WORKER_H

#include "vhost/lookout.h"
#include "vhost/queue.h"

#define BATCH_CHAINS 32u
#define TURN_NS      1000000u /* for so long a queue is served while others wait */

/* A queue's thread: made and joined by the control thread; everything else is the worker's own. Of a crew's thread only
 * what serving takes is used. */
struct worker {
    struct vq *q;
    pthread_t id;
    int epoll_fd;
    int wake_fd;  /* eventfd of ours */
    void *thread; /* the server's, from thread_begin() */
    unsigned n_done;
    unsigned n_served; /* in this batch, kept ones too */
    uint64_t moved;    /* bytes in this batch */
    uint64_t pause_ns; /* before the next chain, as told by pause_ns() */
    struct lookout lookout;
    struct vq_done done[BATCH_CHAINS];
    struct ring_chain chain;
};

enum turn_end {
    TURN_IDLE,   /* nothing is there, and the driver will kick */
    TURN_MORE,   /* others are to have the thread first */
    TURN_PAUSED, /* for w->pause_ns, which the caller resets */
    TURN_OVER,   /* it was told to stop, or is broken */
};

/** worker_turn() - serve @q on a crew's thread; its order is VQ_RUN and it is not parked */
enum turn_end worker_turn(struct vq *q, struct worker *w);

#endif
