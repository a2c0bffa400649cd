// SPDX-License-Identifier: BSD-3-Clause
/*
 * pace.h - how fast a share serves, and how much of it at once (pace.c has the theory)
 */
#ifndef VIOFS_PACE_H
#define VIOFS_PACE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "conf.h"
#include "host/bucket.h"
#include "host/clock.h"
#include "host/stats.h"
#include "vhost/vhost.h"

#define PACE_WORDS ((VU_MAX_QUEUES + 63) / 64)

/* A queue, as its worker sees it; others look at vq, due and spent. */
struct pace_queue {
    struct vq *vq;          /* set before its bit in waiting is */
    uint64_t paused_since;  /* ns; 0: it is not paused */
    bool slot;              /* the next chain has its slot */
    bool marked;            /* its bit in paused is set */
    _Atomic uint64_t due;   /* when its pause ends, ns */
    _Atomic uint64_t spent; /* what its requests have cost, ns */
};

struct pace {
    bool on; /* any limit */
    struct bucket ops, bytes;
    uint32_t max_in_flight; /* 0: without limit */
    _Atomic uint32_t in_flight;
    _Atomic uint64_t waiting[PACE_WORDS]; /* queues that wait for a slot */
    _Atomic uint64_t paused[PACE_WORDS];  /* queues that wait for a rate */
    _Atomic uint64_t most_spent;          /* of any queue */
    _Atomic uint64_t paused_ns;           /* all queues' pauses that are over */
    struct pace_queue queue[VU_MAX_QUEUES];
};

/** pace_init() - from what the administrator asked for */
void pace_init(struct pace *p, const struct conf *conf);

/** pace_gauges() - numbers for statistics. Return: 0 or -errno. */
int pace_gauges(struct pace *p, struct stats *stats);

/** pace_reset() - no queue runs and no request is kept: all slots are free */
void pace_reset(struct pace *p);

/** pace_pause() - vu_ops.pause_ns(), @now from clock_ns(). A slot that is had at 0 is the next chain's. */
uint64_t pace_pause(struct pace *p, struct vq *vq, uint64_t now);

/** pace_begin() - a chain of @queue, a request queue, is served: one operation. Return: whether it has a slot. */
bool pace_begin(struct pace *p, unsigned queue, uint64_t now);

/** pace_bytes() - a request of the queue reads, writes or copies so many bytes */
static inline void pace_bytes_at(struct pace *p, const struct vq *vq, uint64_t n, uint64_t now)
{
    atomic_fetch_add_explicit(&p->queue[vq_index(vq)].spent, bucket_take(&p->bytes, n, now),
                              memory_order_relaxed);
}
static inline void pace_bytes(struct pace *p, const struct vq *vq, uint64_t n)
{
    if (__builtin_expect(p->bytes.rate != 0, 0))
        pace_bytes_at(p, vq, n, clock_ns());
}

/** pace_bytes_unused() - so many of them were not, after all */
static inline void pace_bytes_unused(struct pace *p, const struct vq *vq, uint64_t n)
{
    if (__builtin_expect(p->bytes.rate != 0, 0))
        atomic_fetch_sub_explicit(&p->queue[vq_index(vq)].spent, bucket_return(&p->bytes, n),
                                  memory_order_relaxed);
}

/** pace_most_at_once() - how much one request may copy: @want, or a second's worth */
static inline uint64_t pace_most_at_once(const struct pace *p, uint64_t want)
{
    uint64_t most =
        p->bytes.rate & ~UINT64_C(4095); /* a copy that shares blocks wants whole ones */

    return p->bytes.rate && want > most ? most : want;
}

/** pace_release() - a request that had a slot does not need it any more; any thread */
void pace_release(struct pace *p);

#endif
