// SPDX-License-Identifier: BSD-3-Clause
/*
 * pool.h - a few threads for many jobs
 *
 * Threads take jobs in the order they were put; with several lanes, one lane after the other, and of each lane no
 * more at a time than it may have. Jobs are embedded in the caller's own structures: putting one allocates nothing
 * and cannot fail.
 *
 * Locks: one mutex for the queue. pool_submit() may be called from any thread, also from a job.
 */
#ifndef VIOFS_POOL_H
#define VIOFS_POOL_H

#include <stdbool.h>

#define POOL_MAX_THREADS 256u

struct pool;
struct pool_lane;

struct pool_job {
    void (*run)(struct pool_job *job, void *thread); /* @thread: what thread_begin() returned */
    struct pool_lane *lane;                          /* whose it is; NULL: nobody's in particular */
    struct pool_job *next, *prev;                    /* the pool's */
};

/* Jobs that share a part of the pool. All is the pool's; a lane must outlive its jobs. */
struct pool_lane {
    struct pool_job head;          /* waiting jobs: head.next is the oldest */
    struct pool_lane *next, *prev; /* among lanes whose turn it may be; NULL: not one of them */
    unsigned running, most;
};

/** pool_lane_init() - @most: jobs of it that run at the same time; 0: as many as there are threads */
void pool_lane_init(struct pool_lane *lane, unsigned most);

struct pool_params {
    const char *name;     /* of the threads, at most 15 bytes */
    unsigned n_threads;   /* that there always are, 1..POOL_MAX_THREADS */
    unsigned max_threads; /* more are made, up to this, whenever none is idle; 0: none are */
    void *(*thread_begin)(void *ctx);
    void (*thread_end)(void *ctx, void *thread);
    void *ctx;
    /**
     * wait() - what a thread without a job does; NULL: sleep. Called without a lock.
     * @timeout_ms: -1: for ever; 0: just look. It may put jobs with pool_put(), and returns after it did, or
     *              after wake(). Return: false when the time is over.
     */
    bool (*wait)(void *ctx, int timeout_ms);
    void (*wake)(void *ctx); /* make one wait() return, now or as soon as it begins */
};

/**
 * pool_start() - start the threads
 * Return: 0 when every thread has begun; -EINVAL for a number out of range; -ENOMEM when thread_begin() returned
 * NULL on one; -errno.
 */
int pool_start(struct pool **pool, const struct pool_params *p);
/** pool_new() - pool_start() of @n_threads named "pool" */
int pool_new(struct pool **pool, unsigned n_threads, void *(*thread_begin)(void *ctx),
             void (*thread_end)(void *ctx, void *thread), void *ctx);

void pool_submit(struct pool *pool, struct pool_job *job);
/** pool_put() - the same from inside wait(), whose thread looks for jobs next anyway */
void pool_put(struct pool *pool, struct pool_job *job);
/** pool_withdraw() - take a job back that no thread has started. Return: true if it was taken back. */
bool pool_withdraw(struct pool *pool, struct pool_job *job);
/** pool_crowded() - do jobs wait that a thread could run, or others of @lane? */
bool pool_crowded(struct pool *pool, const struct pool_lane *lane);
/** pool_free() - run what is queued, then stop the threads */
void pool_free(struct pool *pool);

#endif
