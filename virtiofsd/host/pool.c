// SPDX-License-Identifier: BSD-3-Clause
/*
 * pool.c - a few threads for requests that block
 *
 * Theory of operation
 *
 *   Jobs wait in a ring of pointers with the pool as its head: putting one and taking one back anywhere
 *   are a few stores under the lock. A job that waits has neighbours; one that a thread took has none,
 *   which is how pool_withdraw() tells them apart.
 *
 *   A thread is woken only if one sleeps that nobody has woken yet, so a burst of jobs costs no more
 *   wake-ups than there are threads.
 *
 * Ownership: jobs are the caller's; a job may be freed by its own run().
 * Locks: one mutex, held for list work only.
 *
 * syscalls: futex
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "host/pool.h"
#include "host/thread.h"

#define POOL_MAX_THREADS 256u

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct pool_job head; /* waiting jobs: head.next is the oldest */
    unsigned sleeping;    /* threads in pthread_cond_wait() that nobody has signalled */
    bool stopping;
    pthread_cond_t begun; /* for pool_new(): */
    unsigned n_begun;     /* threads that have been through thread_begin() */
    bool failed;          /* one of them got nothing */
    void *(*thread_begin)(void *ctx);
    void (*thread_end)(void *ctx, void *thread);
    void *ctx;
    unsigned n_threads;
    pthread_t id[];
};

static void job_unlink(struct pool_job *job)
{
    job->prev->next = job->next;
    job->next->prev = job->prev;
    job->next = job->prev = NULL;
}

/* Wait for the oldest job. Return: it, or NULL when the pool stops and none is left. */
static struct pool_job *job_take(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    while (p->head.next == &p->head && !p->stopping) {
        p->sleeping++;
        pthread_cond_wait(&p->work, &p->lock);
        /* A spurious wake-up leaves the count one too high: the worst case is a wasted signal. */
    }
    struct pool_job *job = p->head.next;
    if (job != &p->head)
        job_unlink(job);
    else
        job = NULL;
    pthread_mutex_unlock(&p->lock);
    return job;
}

static void *pool_main(void *arg)
{
    struct pool *p = arg;
    struct pool_job *job;

    thread_name("pool");
    void *thread = p->thread_begin(p->ctx);
    pthread_mutex_lock(&p->lock);
    p->n_begun++;
    p->failed = p->failed || !thread;
    pthread_cond_signal(&p->begun);
    pthread_mutex_unlock(&p->lock);
    if (!thread)
        return NULL;
    while ((job = job_take(p)))
        job->run(job, thread);
    p->thread_end(p->ctx, thread);
    return NULL;
}

static int pool_start(struct pool *p, unsigned n_threads)
{
    int err = 0;

    for (; p->n_threads < n_threads && err == 0; p->n_threads += err == 0)
        err = thread_start(&p->id[p->n_threads], pool_main, p);
    pthread_mutex_lock(&p->lock);
    while (p->n_begun < p->n_threads)
        pthread_cond_wait(&p->begun, &p->lock);
    if (err == 0 && p->failed)
        err = -ENOMEM;
    pthread_mutex_unlock(&p->lock);
    return err;
}

/** pool_new() - see pool.h. -EINVAL for a number of threads out of range. */
int pool_new(struct pool **pool, unsigned n_threads, void *(*thread_begin)(void *ctx),
             void (*thread_end)(void *ctx, void *thread), void *ctx)
{
    if (n_threads == 0 || n_threads > POOL_MAX_THREADS)
        return -EINVAL;
    struct pool *p = calloc(1, sizeof(*p) + n_threads * sizeof(p->id[0]));
    if (!p)
        return -ENOMEM;
    p->head.next = p->head.prev = &p->head;
    p->thread_begin = thread_begin;
    p->thread_end = thread_end;
    p->ctx = ctx;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->begun, NULL);
    int err = pool_start(p, n_threads);
    if (err < 0)
        pool_free(p);
    else
        *pool = p;
    return err;
}

/** pool_submit() - see pool.h */
void pool_submit(struct pool *p, struct pool_job *job)
{
    pthread_mutex_lock(&p->lock);
    job->next = &p->head;
    job->prev = p->head.prev;
    job->prev->next = job;
    p->head.prev = job;
    bool wake = p->sleeping > 0;
    if (wake)
        p->sleeping--;
    pthread_mutex_unlock(&p->lock);
    if (wake)
        pthread_cond_signal(&p->work);
}

/** pool_withdraw() - see pool.h */
bool pool_withdraw(struct pool *p, struct pool_job *job)
{
    pthread_mutex_lock(&p->lock);
    bool waiting = job->next != NULL;
    if (waiting)
        job_unlink(job);
    pthread_mutex_unlock(&p->lock);
    return waiting;
}

/** pool_free() - see pool.h; NULL is fine */
void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_threads; i++)
        pthread_join(p->id[i], NULL);
    pthread_cond_destroy(&p->begun);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
