// SPDX-License-Identifier: BSD-3-Clause
/*
 * pool.c - a few threads for many jobs (see pool.h)
 *
 * Theory of operation
 *
 *   Jobs wait in a ring of pointers with their lane as its head: putting one and taking one back anywhere
 *   are a few stores under the lock. A job that waits has neighbours; one that a thread took has none,
 *   which is how pool_withdraw() tells them apart.
 *
 *   Lanes that have a waiting job and may run one more stand in a ring of their own, with the pool as its head. A
 *   thread takes the oldest job of the first lane, and the lane goes to the end: whoever has many jobs gets no more
 *   turns than who has one.
 *
 *   A thread is woken only if one sleeps that nobody has woken yet, so a burst of jobs costs no more
 *   wake-ups than there are threads.
 *
 *   Where max_threads allows it, whoever takes a job while nobody is left idle starts another thread first: a job
 *   that blocks for long keeps nobody waiting but its own lane. What is more than n_threads goes after SURPLUS_MS
 *   without work.
 *
 * Ownership: jobs and lanes are the caller's; a job may be freed by its own run(). A thread that has ended by itself is
 * joined by the next one that takes its place, or at the end.
 * Locks: one mutex, held for list work only.
 *
 * syscalls: futex
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/log.h"
#include "host/pool.h"
#include "host/thread.h"

#define SURPLUS_MS 10000

enum place_state { PLACE_FREE, PLACE_LIVE, PLACE_ENDED };

struct place {
    pthread_t id;
    enum place_state state;
};

struct pool {
    struct pool_params p;
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct pool_lane lanes;    /* ring of those whose turn it may be: lanes.next is the first */
    struct pool_lane own_lane; /* of jobs without one */
    unsigned idle;             /* threads that wait for work */
    unsigned woken;            /* of these, signalled and not yet up */
    bool stopping;
    pthread_cond_t begun; /* for pool_start(): */
    unsigned n_begun;     /* threads that have been through thread_begin() */
    bool failed;          /* one of them got nothing */
    unsigned n_live, n_places;
    unsigned coming;    /* threads that have been started and did not look for work yet */
    unsigned n_growing; /* threads of which another is just being started */
    struct place place[];
};

/* ---- lanes; lock held but for the first -------------------------------------------------------- */

void pool_lane_init(struct pool_lane *lane, unsigned most)
{
    *lane = (struct pool_lane){.most = most ? most : POOL_MAX_THREADS};
    lane->head.next = lane->head.prev = &lane->head;
}

static bool lane_has_work(const struct pool_lane *lane)
{
    return lane->head.next != &lane->head && lane->running < lane->most;
}

/* In the ring exactly while it has work; at its end when it comes in. */
static void lane_update(struct pool *p, struct pool_lane *lane)
{
    if (lane_has_work(lane) == (lane->next != NULL))
        return;
    if (lane->next) {
        lane->prev->next = lane->next;
        lane->next->prev = lane->prev;
        lane->next = lane->prev = NULL;
    } else {
        lane->next = &p->lanes;
        lane->prev = p->lanes.prev;
        lane->prev->next = lane;
        p->lanes.prev = lane;
    }
}

static struct pool_lane *lane_of(struct pool *p, const struct pool_job *job)
{
    return job->lane ? job->lane : &p->own_lane;
}

static void job_unlink(struct pool_job *job)
{
    job->prev->next = job->next;
    job->next->prev = job->prev;
    job->next = job->prev = NULL;
}

static void job_append(struct pool *p, struct pool_job *job)
{
    struct pool_lane *lane = lane_of(p, job);

    job->next = &lane->head;
    job->prev = lane->head.prev;
    job->prev->next = job;
    lane->head.prev = job;
    lane_update(p, lane);
}

static bool has_work(const struct pool *p)
{
    return p->lanes.next != &p->lanes;
}

/* The oldest job of the first lane, which goes to the end. */
static struct pool_job *job_next(struct pool *p, struct pool_lane **lane)
{
    *lane = p->lanes.next;
    struct pool_job *job = (*lane)->head.next;
    job_unlink(job);
    (*lane)->running++;
    (*lane)->prev->next = (*lane)->next;
    (*lane)->next->prev = (*lane)->prev;
    (*lane)->next = (*lane)->prev = NULL;
    lane_update(p, *lane);
    return job;
}

/* ---- threads ----------------------------------------------------------------------------------- */

static void *pool_main(void *arg);

/* What a thread is started with; it frees it. */
struct start {
    struct pool *pool;
    unsigned place;
};

/* One more thread in a place that is its own already. Return: 0 or -errno. */
static int start_thread(struct pool *p, unsigned place)
{
    struct start *s = malloc(sizeof(*s));

    if (!s)
        return -ENOMEM;
    *s = (struct start){p, place};
    int err = thread_start(&p->place[place].id, pool_main, s);
    if (err < 0)
        free(s);
    return err;
}

/* A thread for who comes next; the lock is let go of meanwhile. */
static void grow(struct pool *p)
{
    unsigned i = 0;

    while (p->place[i].state == PLACE_LIVE)
        i++;
    bool ended = p->place[i].state == PLACE_ENDED;
    p->place[i].state = PLACE_LIVE;
    p->n_live++;
    p->coming++;
    p->n_growing++;
    pthread_mutex_unlock(&p->lock);
    if (ended)
        pthread_join(p->place[i].id, NULL);
    int err = start_thread(p, i);
    pthread_mutex_lock(&p->lock);
    if (err < 0) {
        log_warn_limited("no further thread for requests can be started: %s", strerror(-err));
        p->place[i].state = PLACE_FREE;
        p->n_live--;
        p->coming--;
    }
    p->n_growing--;
    pthread_cond_broadcast(&p->begun);
}

static struct timespec after_ms(int ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    return t;
}

/* Until there may be work; lock held, and let go of meanwhile. Return: false after @timeout_ms. */
static bool await_work(struct pool *p, int timeout_ms)
{
    bool in_time;

    p->idle++;
    if (p->p.wait) {
        pthread_mutex_unlock(&p->lock);
        in_time = p->p.wait(p->p.ctx, timeout_ms);
        pthread_mutex_lock(&p->lock);
    } else if (timeout_ms < 0) {
        in_time = pthread_cond_wait(&p->work, &p->lock) == 0;
    } else {
        struct timespec until = after_ms(timeout_ms);
        in_time = pthread_cond_timedwait(&p->work, &p->lock, &until) == 0;
    }
    p->idle--;
    if (p->woken > 0)
        p->woken--; /* whose it was does not matter: all who are up look */
    return in_time;
}

/* Somebody who sleeps is to look; lock held. Return: true if wake_up() is due once it is not. */
static bool choose_sleeper(struct pool *p)
{
    if (p->p.wait) /* who sees the signal nobody knows: perhaps one that was only looking */
        return p->idle > 0;
    if (p->woken >= p->idle)
        return false;
    p->woken++;
    return true;
}

static void wake_up(struct pool *p)
{
    if (p->p.wait)
        p->p.wake(p->p.ctx);
    else
        pthread_cond_signal(&p->work);
}

/* Wait for the next job. Return: it; NULL when this thread is to end. */
static struct pool_job *job_take(struct pool *p, struct pool_lane **lane)
{
    struct pool_job *job = NULL;
    bool in_time = true, looked = false, wake = false;

    pthread_mutex_lock(&p->lock);
    while (!job) {
        bool surplus = p->n_live > p->p.n_threads;
        if (has_work(p) && p->p.wait && !looked) {
            /* Others may have come meanwhile: they are to be in the ring before its next is taken. */
            pthread_mutex_unlock(&p->lock);
            p->p.wait(p->p.ctx, 0);
            pthread_mutex_lock(&p->lock);
            looked = true;
        } else if (has_work(p)) {
            job = job_next(p, lane);
        } else if (p->stopping || (surplus && !in_time)) {
            break;
        } else {
            in_time = await_work(p, surplus ? SURPLUS_MS : -1);
            looked = true;
        }
    }
    if (job && p->idle + p->coming <= p->woken && p->n_live < p->n_places && !p->stopping)
        grow(p);
    /* With a wait() of its own, whoever put jobs has not woken anybody. */
    if (p->p.wait)
        wake = p->stopping ? p->idle > 0 : has_work(p) && choose_sleeper(p);
    pthread_mutex_unlock(&p->lock);
    if (wake)
        wake_up(p);
    return job;
}

static void job_done(struct pool *p, struct pool_lane *lane)
{
    pthread_mutex_lock(&p->lock);
    lane->running--;
    lane_update(p, lane);
    pthread_mutex_unlock(&p->lock);
}

static void *pool_main(void *arg)
{
    struct start s = *(struct start *)arg;
    struct pool *p = s.pool;
    struct pool_lane *lane;
    struct pool_job *job;

    free(arg);
    thread_name(p->p.name);
    void *thread = p->p.thread_begin(p->p.ctx);
    pthread_mutex_lock(&p->lock);
    p->n_begun++;
    if (p->coming > 0)
        p->coming--;
    p->failed = p->failed || !thread;
    pthread_cond_broadcast(&p->begun);
    pthread_mutex_unlock(&p->lock);
    while (thread && (job = job_take(p, &lane))) {
        job->run(job, thread);
        job_done(p, lane);
    }
    if (thread)
        p->p.thread_end(p->p.ctx, thread);
    pthread_mutex_lock(&p->lock);
    p->place[s.place].state = PLACE_ENDED;
    p->n_live--;
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------------- */

static int start_all(struct pool *p)
{
    int err = 0;
    unsigned n = 0;

    pthread_mutex_lock(&p->lock);
    while (n < p->p.n_threads && err == 0) {
        p->place[n].state = PLACE_LIVE;
        p->n_live++;
        err = start_thread(p, n);
        n += err == 0;
    }
    if (err < 0) {
        p->place[n].state = PLACE_FREE;
        p->n_live--;
    }
    while (p->n_begun < n)
        pthread_cond_wait(&p->begun, &p->lock);
    if (err == 0 && p->failed)
        err = -ENOMEM;
    pthread_mutex_unlock(&p->lock);
    return err;
}

static void init_locks(struct pool *p)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->begun, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->work, &attr);
    pthread_condattr_destroy(&attr);
}

/** pool_start() - see pool.h */
int pool_start(struct pool **pool, const struct pool_params *params)
{
    unsigned n = params->max_threads > params->n_threads ? params->max_threads : params->n_threads;

    if (params->n_threads == 0 || n > POOL_MAX_THREADS)
        return -EINVAL;
    struct pool *p = calloc(1, sizeof(*p) + n * sizeof(p->place[0]));
    if (!p)
        return -ENOMEM;
    p->p = *params;
    p->n_places = n;
    p->lanes.next = p->lanes.prev = &p->lanes;
    pool_lane_init(&p->own_lane, 0);
    init_locks(p);
    int err = start_all(p);
    if (err < 0)
        pool_free(p);
    else
        *pool = p;
    return err;
}

/** pool_new() - see pool.h */
int pool_new(struct pool **pool, unsigned n_threads, void *(*thread_begin)(void *ctx),
             void (*thread_end)(void *ctx, void *thread), void *ctx)
{
    struct pool_params p = {.name = "pool",
                            .n_threads = n_threads,
                            .thread_begin = thread_begin,
                            .thread_end = thread_end,
                            .ctx = ctx};

    return pool_start(pool, &p);
}

/** pool_submit() - see pool.h */
void pool_submit(struct pool *p, struct pool_job *job)
{
    pthread_mutex_lock(&p->lock);
    job_append(p, job);
    bool wake = has_work(p) && choose_sleeper(p);
    pthread_mutex_unlock(&p->lock);
    if (wake)
        wake_up(p);
}

/** pool_put() - see pool.h */
void pool_put(struct pool *p, struct pool_job *job)
{
    pthread_mutex_lock(&p->lock);
    job_append(p, job);
    pthread_mutex_unlock(&p->lock);
}

/** pool_withdraw() - see pool.h */
bool pool_withdraw(struct pool *p, struct pool_job *job)
{
    pthread_mutex_lock(&p->lock);
    bool waiting = job->next != NULL;
    if (waiting) {
        job_unlink(job);
        lane_update(p, lane_of(p, job));
    }
    pthread_mutex_unlock(&p->lock);
    return waiting;
}

/** pool_crowded() - see pool.h */
bool pool_crowded(struct pool *p, const struct pool_lane *lane)
{
    pthread_mutex_lock(&p->lock);
    bool crowded = has_work(p) || lane->head.next != &lane->head;
    pthread_mutex_unlock(&p->lock);
    return crowded;
}

/** pool_free() - see pool.h; NULL is fine */
void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->work);
    while (p->n_growing > 0)
        pthread_cond_wait(&p->begun, &p->lock);
    pthread_mutex_unlock(&p->lock);
    if (p->p.wait)
        p->p.wake(p->p.ctx); /* who gets up wakes the next one */
    for (unsigned i = 0; i < p->n_places; i++) {
        pthread_mutex_lock(&p->lock);
        bool taken = p->place[i].state != PLACE_FREE;
        pthread_mutex_unlock(&p->lock);
        if (taken)
            pthread_join(p->place[i].id, NULL);
    }
    pthread_cond_destroy(&p->begun);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
