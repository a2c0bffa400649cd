// SPDX-License-Identifier: BSD-3-Clause
/*
 * vhost_rig.h - the vhost-user back end with a device that is simple to reason about
 *
 * struct rig runs vu_run() on a thread of its own, on a socket in a scratch directory. Its device
 * copies what a chain has to read into what it has to write. Told to, it keeps chains instead, until
 * rig_release() or until the back end hurries it.
 *
 * Locks: one mutex for the kept chains; counters are atomics.
 */
#ifndef VIOFS_TEST_VHOST_RIG_H
#define VIOFS_TEST_VHOST_RIG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "tests/frontend/frontend.h"
#include "virtiofsd/vhost/vhost.h"

#define RIG_MAX_KEPT 64

struct rig_kept {
    struct vq *vq;
    uint16_t head;
    uint32_t len;
    struct ring_seg seg;
};

struct rig {
    char dir[64];
    char socket[96];
    struct vu *vu;
    struct vu_params params;
    pthread_t thread;
    bool running;
    int result; /* of vu_run() */

    atomic_bool keep;     /* keep chains from now on */
    atomic_bool stubborn; /* leave kept chains kept when hurried */
    atomic_bool defers;   /* give kept chains up when the queue stops, to get them once more */
    atomic_uint slow_us;  /* time to serve a chain */
    atomic_uint served;   /* chains */
    atomic_uint batches;  /* begun */
    atomic_int in_batch;  /* begun and not ended, all threads */
    atomic_int threads;   /* begun and not ended */
    atomic_uint cancels, resets;
    _Atomic uint64_t pause_ns; /* what the back end is told before each chain */
    atomic_uint asked;         /* how often it asked, not for hiprio */
    struct vq *_Atomic paused; /* the queue that was told to wait last */
    pthread_mutex_t lock;
    struct rig_kept kept[RIG_MAX_KEPT];
    unsigned n_kept;
};

/** rig_start() - @tag may be NULL. Asserts. */
void rig_start(struct rig *rig, const char *tag, bool keep_listening);

/** rig_join() - wait for vu_run(). Return: its result. */
int rig_join(struct rig *rig);

/** rig_end() - vu_stop() if it still runs, and release. Return: vu_run()'s result. */
int rig_end(struct rig *rig);

/** rig_kept_count(), rig_release() - chains that are kept; give them all back */
unsigned rig_kept_count(struct rig *rig);
void rig_release(struct rig *rig);

/** rig_until() - wait (at most 10 s) until @value reaches @least */
bool rig_until(const atomic_uint *value, unsigned least);

/** count_fds() - open descriptors of this process */
int count_fds(void);

#endif
