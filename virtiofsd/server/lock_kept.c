// SPDX-License-Identifier: BSD-3-Clause
/*
 * lock_kept.c - what of record locks outlives a worker (see lock_kept.h)
 *
 * Theory of operation
 *
 *   What is read was written by another process, perhaps by one that a guest had taken over. Each range is looked at as
 *   if a guest had sent it, and their order with it; a set that makes no sense counts as not known.
 *
 * syscalls: madvise
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

#include "server/lock_kept.h"
#include "tree/region.h"

#define LOCKS_VERSION 2u
#define NOT_KNOWN     ((uint64_t)UINT32_MAX)
#define WRITES        (UINT64_C(1) << 63)

struct kept_locks *lock_kept_map(struct keep *k)
{
    return keep_map(k, KEEP_LOCKS, sizeof(struct kept_locks), LOCKS_VERSION);
}

void lock_kept_store(struct kept_locks *kl, uint32_t slot, const struct lock_ranges *r)
{
    struct kept_ranges *to = &kl->ranges[slot];
    uint64_t copy = !(atomic_load_explicit(&to->valid, memory_order_relaxed) & 1);
    uint64_t n = r->n <= LOCK_KEPT_MAX ? r->n : NOT_KNOWN;

    for (uint32_t i = 0; i < n && n != NOT_KNOWN; i++) {
        const struct lock_range *from = &r->at[i];
        to->at[i][copy].start = from->start;
        to->at[i][copy].end = from->end | (from->type == F_WRLCK ? WRITES : 0);
    }
    atomic_store_explicit(&to->valid, n << 1 | copy, memory_order_release);
}

/* Ranges come in order and apart from each other. */
static bool makes_sense(const struct lock_ranges *r, uint64_t start, uint64_t end)
{
    return end <= INT64_MAX && start <= end && (r->n == 0 || start > r->at[r->n - 1].end);
}

int lock_kept_load(const struct kept_locks *kl, uint32_t slot, struct lock_ranges *r)
{
    const struct kept_ranges *from = &kl->ranges[slot];
    uint64_t valid = atomic_load_explicit(&from->valid, memory_order_acquire);
    uint64_t n = valid >> 1;
    int err = n > LOCK_KEPT_MAX ? -ENODATA : 0;

    for (uint32_t i = 0; !err && i < n; i++) {
        const struct kept_range k = from->at[i][valid & 1];
        if (!makes_sense(r, k.start, k.end & ~WRITES))
            err = -ENODATA;
        else if (lock_ranges_reserve(r) < 0)
            err = -ENOMEM;
        else
            lock_ranges_set(r, k.end & WRITES ? F_WRLCK : F_RDLCK, k.start, k.end & ~WRITES);
    }
    if (err)
        lock_ranges_free(r);
    return err;
}

void lock_kept_clear(struct kept_locks *kl, uint32_t slot, bool many)
{
    struct kept_ranges *ranges = &kl->ranges[slot];

    atomic_store_explicit(&ranges->valid, 0, memory_order_relaxed);
    if (many)
        region_give_back(ranges, sizeof(*ranges));
}
