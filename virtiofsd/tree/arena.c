// SPDX-License-Identifier: BSD-3-Clause
/*
 * arena.c - names and file handles of inodes, in kept memory (see arena.h)
 *
 * Theory of operation
 *
 *   A block is a byte that tells how many follow, and those, in units of 8 bytes: 32 sizes, from 8 bytes to 256.
 *   A reference is the number of the first unit, so 4 bytes reach all of it. Nothing that ties blocks together
 *   needs to survive: which of them are free is known at resume from which are referred to, and so only
 *   how much of the region has been handed out is kept.
 *
 *   Each lane belongs to one of the table's shards and is used under its lock: a list of free blocks for each size,
 *   and a run from which new ones are cut. Runs are pages of the region; a block of the largest size that is
 *   free serves as one too, so that what resume finds in between is used for any size. A block that is free begins with the
 *   number of the next.
 *
 * Ownership: of the region's mapping.   Locks: the caller's, a lane each; how much is handed out is atomic.
 * syscalls: madvise
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/log.h"
#include "tree/arena.h"
#include "tree/region.h"

#define UNIT         8u
#define SIZES        32u                /* units of the largest block */
#define PAGE_UNITS   (4096u / UNIT)     /* a run */
#define REGION_BYTES ((size_t)16 << 30) /* of address space */
#define REGION_UNITS ((uint32_t)(REGION_BYTES / UNIT))
#define VERSION      1u
_Static_assert(1 + ARENA_BYTES_MAX == SIZES * UNIT, "the largest block");

/* The region's first page. */
struct arena_head {
    struct keep_head keep;
    _Atomic uint32_t used; /* units that have been handed out to lanes, this page included */
};

struct lane {
    uint32_t run, run_end;    /* units not cut yet */
    uint32_t free[SIZES + 1]; /* by units: first free block */
};

struct arena {
    struct keep *keep;
    union {
        struct arena_head *head;
        uint8_t *base;
    };
    uint64_t *mark; /* a bit for each unit, while resuming */
    struct lane lane[ARENA_LANES];
};

int arena_new(struct arena **out, struct keep *k)
{
    struct arena *a = calloc(1, sizeof(*a));

    if (!a)
        return -ENOMEM;
    a->keep = k;
    a->head = keep_map(k, KEEP_NAMES, REGION_BYTES, VERSION);
    if (!a->head) {
        int r = -errno;
        free(a);
        return r;
    }
    if (!keep_resumes(k))
        atomic_store(&a->head->used, PAGE_UNITS);
    *out = a;
    return 0;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    keep_unmap(a->keep, a->head);
    free(a->mark);
    free(a);
}

static uint8_t *unit_at(const struct arena *a, uint32_t at)
{
    return a->base + (size_t)at * UNIT;
}

static uint32_t units_of(size_t len)
{
    return (uint32_t)(len / UNIT) + 1; /* and its length */
}

static void push(const struct arena *a, struct lane *l, uint32_t at, uint32_t units)
{
    memcpy(unit_at(a, at), &l->free[units], sizeof(l->free[units]));
    l->free[units] = at;
}

static uint32_t pop(const struct arena *a, struct lane *l, uint32_t units)
{
    uint32_t at = l->free[units];

    if (at)
        memcpy(&l->free[units], unit_at(a, at), sizeof(l->free[units]));
    return at;
}

/* Another run; what is left of the last one is less than a block of the largest size. */
static bool refill(struct arena *a, struct lane *l)
{
    if (l->run < l->run_end)
        push(a, l, l->run, l->run_end - l->run);
    l->run = l->run_end = 0;
    uint32_t at = pop(a, l, SIZES);
    uint32_t units = SIZES;
    if (!at) {
        units = PAGE_UNITS;
        at = atomic_fetch_add_explicit(&a->head->used, units, memory_order_relaxed);
        if (at > REGION_UNITS - units) {
            atomic_fetch_sub_explicit(&a->head->used, units, memory_order_relaxed);
            log_warn_limited(
                "the names of what the guest knows fill all memory that there is for them");
            return false;
        }
        if (at == REGION_LARGE / UNIT)
            region_large_pages(a->base, REGION_BYTES, true);
    }
    l->run = at;
    l->run_end = at + units;
    return true;
}

uint32_t arena_store(struct arena *a, unsigned lane, const void *bytes, size_t len)
{
    struct lane *l = &a->lane[lane];
    uint32_t units = units_of(len);
    uint32_t at = pop(a, l, units);

    if (!at) {
        if (l->run_end - l->run < units && !refill(a, l))
            return 0;
        at = l->run;
        l->run += units;
    }
    uint8_t *block = unit_at(a, at);
    block[0] = (uint8_t)len;
    memcpy(block + 1, bytes, len);
    return at;
}

void arena_drop(struct arena *a, unsigned lane, uint32_t at)
{
    if (at)
        push(a, &a->lane[lane], at, units_of(unit_at(a, at)[0]));
}

const void *arena_at(const struct arena *a, uint32_t at, size_t *len)
{
    const uint8_t *block = unit_at(a, at);

    *len = block[0];
    return block + 1;
}

void arena_clear(struct arena *a)
{
    uint32_t used = atomic_load(&a->head->used);

    memset(a->lane, 0, sizeof(a->lane));
    atomic_store(&a->head->used, PAGE_UNITS);
    if (used > REGION_LARGE / UNIT)
        region_large_pages(a->base, REGION_BYTES, false);
    region_give_back(unit_at(a, PAGE_UNITS), (size_t)(used - PAGE_UNITS) * UNIT);
}

/* ---- resume ------------------------------------------------------------------------------- */

int arena_mark_begin(struct arena *a)
{
    memset(a->lane, 0, sizeof(a->lane));
    uint32_t used = atomic_load(&a->head->used);
    if (used < PAGE_UNITS || used > REGION_UNITS) /* new, or a failed refill() that was cut short */
        atomic_store(&a->head->used, used < PAGE_UNITS ? PAGE_UNITS : REGION_UNITS);
    a->mark = calloc(atomic_load(&a->head->used) / 64 + 1, sizeof(*a->mark));
    return a->mark ? 0 : -ENOMEM;
}

bool arena_mark(struct arena *a, uint32_t at)
{
    uint32_t used = atomic_load_explicit(&a->head->used, memory_order_relaxed);

    if (at < PAGE_UNITS || at >= used)
        return false;
    uint32_t units = units_of(unit_at(a, at)[0]);
    if (units > used - at)
        return false;
    uint32_t word = at / 64, shift = at % 64;
    uint64_t ones = (1ull << units) - 1;
    uint64_t low = ones << shift, high = shift > 64 - SIZES ? ones >> (64 - shift) : 0;
    if ((a->mark[word] & low) || (high && (a->mark[word + 1] & high)))
        return false;
    a->mark[word] |= low;
    if (high)
        a->mark[word + 1] |= high;
    return true;
}

static bool is_marked(const struct arena *a, uint32_t at)
{
    return a->mark[at / 64] >> (at % 64) & 1;
}

/* The end of the stretch of units that are all marked, or all not, as @at is. */
static uint32_t stretch(const struct arena *a, uint32_t at, uint32_t used)
{
    bool marked = is_marked(a, at);
    uint64_t same = marked ? ~0ull : 0;

    while (at < used) {
        if (at % 64 == 0 && a->mark[at / 64] == same)
            at += 64;
        else if (is_marked(a, at) == marked)
            at++;
        else
            break;
    }
    return at < used ? at : used;
}

void arena_mark_end(struct arena *a)
{
    uint32_t used = atomic_load(&a->head->used);

    for (uint32_t at = PAGE_UNITS, end; at < used; at = end) {
        end = stretch(a, at, used);
        for (uint32_t from = at; !is_marked(a, at) && from < end;) {
            uint32_t units = end - from < SIZES ? end - from : SIZES;
            push(a, &a->lane[from / PAGE_UNITS % ARENA_LANES], from, units);
            from += units;
        }
    }
    free(a->mark);
    a->mark = NULL;
}
