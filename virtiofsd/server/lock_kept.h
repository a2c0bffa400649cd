// SPDX-License-Identifier: BSD-3-Clause
/*
 * lock_kept.h - what of record locks outlives a worker: the region KEEP_LOCKS
 *
 * Theory of operation
 *
 *   The kernel keeps the locks themselves, through descriptors (lock_table.c). Whose they are, and which bytes each owner
 *   has, is kept here: the kernel would not tell, and a daemon that the guest moves to later has to be told.
 *
 *   The ranges of an owner are there twice. A change writes all of them into the copy that does not count, and then, in
 *   one store, says how many there are and which copy counts. It is made after the kernel's lock has changed: a worker
 *   that ends between the two has not answered the request, which is then served again, with the same end.
 *
 *   An owner with more than LOCK_KEPT_MAX ranges keeps its locks over a restart all the same; that they are not known
 *   any more is said (lock_kept_load()).
 *
 * Ownership: the mapping is the table's. Locks: a slot belongs to who has its entry's lock.
 */
#ifndef VIOFS_LOCK_KEPT_H
#define VIOFS_LOCK_KEPT_H

#include <stdatomic.h>
#include <stddef.h>

#include "keep/keep.h"
#include "server/lock_ranges.h"
#include "server/lock_table.h"

#define LOCK_KEPT_MAX 4095u /* ranges of one owner on one file */

struct kept_range {
    uint64_t start, end; /* first and last byte; the top bit of end: F_WRLCK */
};

struct kept_ranges {
    _Atomic uint64_t
        valid; /* which copy, in the lowest bit, and above it how many ranges, or NOT_KNOWN */
    uint64_t spare[3];
    struct kept_range at[LOCK_KEPT_MAX][2]; /* side by side, so that a few take one page */
};
_Static_assert(sizeof(struct kept_ranges) % 4096 == 0, "whole pages");

/* One owner. */
struct kept_lock {
    uint64_t owner;
    _Atomic uint32_t file; /* its number; 0: no entry. Stored last. */
    _Atomic uint32_t pid;
};

struct kept_locks {
    struct keep_head keep;
    struct kept_lock at[LOCK_OWNERS_MAX];
    uint8_t spare[4096 - sizeof(struct keep_head)];
    struct kept_ranges ranges[LOCK_OWNERS_MAX];
};
_Static_assert(offsetof(struct kept_locks, ranges) % 4096 == 0, "pages that nobody needs can go");

/** lock_kept_map() - Return: the region, or NULL with errno */
struct kept_locks *lock_kept_map(struct keep *k);

/** lock_kept_store() - the owner in @slot has these ranges now */
void lock_kept_store(struct kept_locks *kl, uint32_t slot, const struct lock_ranges *r);

/**
 * lock_kept_load() - what a worker before this one stored
 * @r: empty; filled on success, the caller's to free
 * Return: 0; -ENODATA when they are not known; -ENOMEM.
 */
int lock_kept_load(const struct kept_locks *kl, uint32_t slot, struct lock_ranges *r);

/** lock_kept_clear() - the slot has no owner any more. @many: its ranges took more than a page. */
void lock_kept_clear(struct kept_locks *kl, uint32_t slot, bool many);

#endif
