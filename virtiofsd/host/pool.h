// SPDX-License-Identifier: BSD-3-Clause
/*
 * pool.h - a few threads for requests that block
 *
 * A fixed number of threads take jobs in the order they were put. Jobs are embedded in the caller's
 * own structures: putting one allocates nothing and cannot fail.
 *
 * Locks: one mutex for the queue. pool_submit() may be called from any thread, also from a job.
 */
#ifndef VIOFS_POOL_H
#define VIOFS_POOL_H

#include <stdbool.h>

struct pool;

struct pool_job {
    void (*run)(struct pool_job *job, void *thread); /* @thread: what thread_begin() returned */
    struct pool_job *next, *prev;                    /* the pool's */
};

/**
 * pool_new() - start @n_threads (1..256) named "pool"
 * Return: 0 when every thread has begun; -ENOMEM when thread_begin() returned NULL on one; -errno.
 */
int pool_new(struct pool **pool, unsigned n_threads, void *(*thread_begin)(void *ctx),
             void (*thread_end)(void *ctx, void *thread), void *ctx);
void pool_submit(struct pool *pool, struct pool_job *job);
/** pool_withdraw() - take a job back that no thread has started. Return: true if it was taken back. */
bool pool_withdraw(struct pool *pool, struct pool_job *job);
/** pool_free() - run what is queued, then stop the threads */
void pool_free(struct pool *pool);

#endif
