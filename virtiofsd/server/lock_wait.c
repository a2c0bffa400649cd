// SPDX-License-Identifier: BSD-3-Clause
/*
 * lock_wait.c - requests that wait for a lock, without a thread each
 *
 * Theory of operation
 *
 *   A blocking lock call would hold a thread for as long as another guest likes. Instead all waiters of
 *   the daemon stand in one line, and one thread tries them, oldest first: whenever a lock of this
 *   daemon is released (lock_waits_wake()), and on a timer for locks that others on the host hold,
 *   whose release nobody tells us about. The timer starts at 5 ms and doubles up to 100 ms.
 *
 *   Oldest first holds for a pass over the line. A release in the middle of one can go to a younger
 *   waiter; starting over instead would let a busy lock starve everybody behind its waiters.
 *
 *   The thread is started by the first waiter. While the line is empty it sleeps on a condition
 *   variable and costs nothing.
 *
 *   A pass walks the line with a cursor in the shared state: whoever takes a waiter out moves the cursor
 *   on if it stood there. The waiter that is being tried stays in the line, so that a cancel finds it,
 *   but only its mark is set then; the thread acts on it after the attempt.
 *
 * Ownership: waiters are the caller's; a done() waiter is forgotten before the call.
 * Locks: one mutex; no callback is called with it held.
 * syscalls: futex clock_gettime
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "host/thread.h"
#include "server/lock_wait.h"

enum { FIRST_NAP_MS = 5, LONGEST_NAP_MS = 100 };

struct lock_waits {
    pthread_mutex_t lock;
    pthread_cond_t work; /* woken, stop or a first waiter */
    pthread_cond_t idle; /* calling has become false */
    struct lock_waiter *first, *last;
    struct lock_waiter *cursor; /* to be tried next in this pass */
    struct lock_waiter *tried;  /* in try() */
    bool calling;               /* in try() or done() */
    uint32_t max;
    _Atomic uint32_t count; /* written with the lock held */
    unsigned nap_ms;
    bool woken, stop, started;
    pthread_t thread;
};

int lock_waits_new(struct lock_waits **out, uint32_t max)
{
    struct lock_waits *ws = calloc(1, sizeof(*ws));
    pthread_condattr_t attr;

    if (!ws)
        return -ENOMEM;
    pthread_mutex_init(&ws->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&ws->work, &attr);
    pthread_cond_init(&ws->idle, &attr);
    pthread_condattr_destroy(&attr);
    ws->max = max;
    *out = ws;
    return 0;
}

/* ---- the line; lock held ------------------------------------------------------------------- */

static void append(struct lock_waits *ws, struct lock_waiter *w)
{
    w->cancelled = false;
    w->next = NULL;
    w->prev = ws->last;
    if (ws->last)
        ws->last->next = w;
    else
        ws->first = w;
    ws->last = w;
    ws->count++;
}

static void take_out(struct lock_waits *ws, struct lock_waiter *w)
{
    if (ws->cursor == w)
        ws->cursor = w->next;
    if (w->prev)
        w->prev->next = w->next;
    else
        ws->first = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        ws->last = w->prev;
    ws->count--;
}

static void wake(struct lock_waits *ws)
{
    ws->woken = true;
    pthread_cond_signal(&ws->work);
}

/* ---- the thread ---------------------------------------------------------------------------- */

static struct timespec after_ms(unsigned ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += (long)ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

/* Sleep until there is a reason to try; lock held. */
static void sleep_until_due(struct lock_waits *ws)
{
    while (!ws->first && !ws->stop)
        pthread_cond_wait(&ws->work, &ws->lock);

    struct timespec due = after_ms(ws->nap_ms);
    int late = 0;
    while (!ws->woken && !ws->stop && !late)
        late = pthread_cond_timedwait(&ws->work, &ws->lock, &due);
    if (ws->woken)
        ws->nap_ms = FIRST_NAP_MS;
    else if (ws->nap_ms < LONGEST_NAP_MS)
        ws->nap_ms = ws->nap_ms * 2 < LONGEST_NAP_MS ? ws->nap_ms * 2 : LONGEST_NAP_MS;
    ws->woken = false;
}

/* Lock held; given up around the callbacks. */
static void try_one(struct lock_waits *ws, struct lock_waiter *w)
{
    int err;

    ws->tried = w;
    ws->calling = true;
    pthread_mutex_unlock(&ws->lock);
    err = w->try(w);
    pthread_mutex_lock(&ws->lock);
    ws->tried = NULL;
    if (err == -EAGAIN && w->cancelled)
        err = -EINTR;
    if (err != -EAGAIN) {
        take_out(ws, w);
        pthread_mutex_unlock(&ws->lock);
        w->done(w, err);
        pthread_mutex_lock(&ws->lock);
    }
    ws->calling = false;
    pthread_cond_broadcast(&ws->idle);
}

static void *waiter_main(void *arg)
{
    struct lock_waits *ws = arg;

    thread_name("locks");
    pthread_mutex_lock(&ws->lock);
    while (!ws->stop) {
        sleep_until_due(ws);
        ws->cursor = ws->first;
        while (ws->cursor && !ws->stop) {
            struct lock_waiter *w = ws->cursor;
            ws->cursor = w->next;
            try_one(ws, w);
        }
    }
    pthread_mutex_unlock(&ws->lock);
    return NULL;
}

/* ---- from outside -------------------------------------------------------------------------- */

int lock_wait_add(struct lock_waits *ws, struct lock_waiter *w)
{
    int err = 0;

    pthread_mutex_lock(&ws->lock);
    if (ws->count >= ws->max)
        err = -ENOLCK;
    if (!err && !ws->started) {
        ws->nap_ms = FIRST_NAP_MS;
        err = thread_start(&ws->thread, waiter_main, ws);
        ws->started = !err;
    }
    if (!err) {
        append(ws, w);
        wake(ws); /* the lock may have become free since the caller tried */
    }
    pthread_mutex_unlock(&ws->lock);
    return err;
}

void lock_waits_wake(struct lock_waits *ws)
{
    if (atomic_load(&ws->count) == 0)
        return;
    pthread_mutex_lock(&ws->lock);
    wake(ws);
    pthread_mutex_unlock(&ws->lock);
}

struct lock_waiter *lock_wait_cancel(struct lock_waits *ws, const void *key)
{
    struct lock_waiter *w;

    pthread_mutex_lock(&ws->lock);
    for (w = ws->first; w && w->key != key; w = w->next)
        ;
    if (w && w == ws->tried) {
        w->cancelled = true;
        w = NULL;
    }
    if (w)
        take_out(ws, w);
    pthread_mutex_unlock(&ws->lock);
    return w;
}

void lock_waits_reset(struct lock_waits *ws)
{
    struct lock_waiter *w;

    pthread_mutex_lock(&ws->lock);
    for (w = ws->first; w; w = ws->first) {
        if (w == ws->tried) {
            w->cancelled = true;
            pthread_cond_wait(&ws->idle, &ws->lock);
            continue;
        }
        take_out(ws, w);
        pthread_mutex_unlock(&ws->lock);
        w->done(w, -EINTR);
        pthread_mutex_lock(&ws->lock);
    }
    while (ws->calling)
        pthread_cond_wait(&ws->idle, &ws->lock);
    pthread_mutex_unlock(&ws->lock);
}

void lock_waits_free(struct lock_waits *ws)
{
    if (!ws)
        return;
    pthread_mutex_lock(&ws->lock);
    ws->stop = true;
    pthread_cond_signal(&ws->work);
    pthread_mutex_unlock(&ws->lock);
    if (ws->started)
        pthread_join(ws->thread, NULL);
    pthread_cond_destroy(&ws->work);
    pthread_cond_destroy(&ws->idle);
    pthread_mutex_destroy(&ws->lock);
    free(ws);
}
