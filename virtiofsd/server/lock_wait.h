// SPDX-License-Identifier: BSD-3-Clause
/*
 * lock_wait.h - requests that wait for a lock, without a thread each
 */
#ifndef VIOFS_LOCK_WAIT_H
#define VIOFS_LOCK_WAIT_H

#include <stdbool.h>
#include <stdint.h>

struct lock_waits;

/* One that waits: embedded in the caller's own structure. */
struct lock_waiter {
    /** try() - take the lock. Return: -EAGAIN to go on waiting; anything else ends the wait. */
    int (*try)(struct lock_waiter *w);
    /** done() - the wait is over with @err: 0, an errno of try(), or -EINTR. @w is the caller's again. */
    void (*done)(struct lock_waiter *w, int err);
    const void *key; /* for lock_wait_cancel() */
    bool cancelled;  /* the rest is lock_wait.c's */
    struct lock_waiter *next, *prev;
};

/** lock_waits_new() - @max: waiters at the same time */
int lock_waits_new(struct lock_waits **ws, uint32_t max);
/** lock_waits_free() - everybody must have left: lock_waits_reset() */
void lock_waits_free(struct lock_waits *ws);

/**
 * lock_wait_add() - wait in line; try() and done() are called from another thread
 * Return: 0, and @w may be done already; -ENOLCK (too many), -EAGAIN or -ENOMEM (no thread): @w is untouched.
 */
int lock_wait_add(struct lock_waits *ws, struct lock_waiter *w);

/** lock_waits_wake() - some lock has become free; cheap when nobody waits */
void lock_waits_wake(struct lock_waits *ws);

/**
 * lock_wait_cancel() - take the waiter with that key out of the line
 * Return: the waiter, the caller's again, and done() will not be called; NULL when there is none, or when
 * it is being tried: then done() follows, with -EINTR if it failed.
 */
struct lock_waiter *lock_wait_cancel(struct lock_waits *ws, const void *key);

/** lock_waits_reset() - done(-EINTR) for everybody; on return nobody waits and no callback runs */
void lock_waits_reset(struct lock_waits *ws);

#endif
