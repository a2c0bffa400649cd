// SPDX-License-Identifier: BSD-3-Clause
/*
 * lock_ranges.h - what one owner has locked of one file
 *
 * The kernel knows it too, but tells nobody; another daemon that goes on with the guest has to be told.
 */
#ifndef VIOFS_LOCK_RANGES_H
#define VIOFS_LOCK_RANGES_H

#include <stdbool.h>
#include <stdint.h>

struct lock_range {
    uint64_t start, end; /* first and last byte */
    short type;          /* F_RDLCK or F_WRLCK */
};

/* Sorted, apart from each other, neighbours of one type merged. All zeros: none. Locks: the owner's. */
struct lock_ranges {
    struct lock_range *at;
    uint32_t n, room;
};

#define LOCK_RANGES_MAX 65536u

/** lock_ranges_reserve() - make sure that the next lock_ranges_set() has room. Return: 0 or -ENOLCK. */
int lock_ranges_reserve(struct lock_ranges *r);

/** lock_ranges_set() - bytes @start to @end are locked as @type, or free with F_UNLCK, whatever they were before */
void lock_ranges_set(struct lock_ranges *r, short type, uint64_t start, uint64_t end);

/** lock_ranges_has() - is byte @at locked, as @type? */
bool lock_ranges_has(const struct lock_ranges *r, short type, uint64_t at);

void lock_ranges_free(struct lock_ranges *r);

#endif
