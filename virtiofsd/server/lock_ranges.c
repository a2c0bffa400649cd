// SPDX-License-Identifier: BSD-3-Clause
/*
 * lock_ranges.c - what one owner has locked of one file (see lock_ranges.h)
 *
 * Theory of operation
 *
 *   fcntl(2): a lock replaces what its owner had on those bytes. A range that sticks out on one side is cut, on both
 *   sides split, and neighbours of one type become one. So one call adds at most two ranges.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "server/lock_ranges.h"

int lock_ranges_reserve(struct lock_ranges *r)
{
    if (r->room - r->n >= 2)
        return 0;
    uint32_t room = r->room ? r->room * 2 : 4;
    struct lock_range *more = room > LOCK_RANGES_MAX ? NULL : realloc(r->at, room * sizeof(*more));
    if (!more)
        return -ENOLCK;
    r->at = more;
    r->room = room;
    return 0;
}

static void insert(struct lock_ranges *r, uint32_t i, struct lock_range range)
{
    memmove(r->at + i + 1, r->at + i, (r->n - i) * sizeof(*r->at));
    r->at[i] = range;
    r->n++;
}

static void take_out(struct lock_ranges *r, uint32_t i, uint32_t n)
{
    memmove(r->at + i, r->at + i + n, (r->n - i - n) * sizeof(*r->at));
    r->n -= n;
}

/* Nothing is left of @start to @end. Return: where a range of these bytes belongs. */
static uint32_t carve(struct lock_ranges *r, uint64_t start, uint64_t end)
{
    uint32_t i = 0, gone = 0;

    while (i < r->n && r->at[i].end < start)
        i++;
    if (i < r->n && r->at[i].start < start) {
        struct lock_range *first = &r->at[i++];
        uint64_t was = first->end;
        first->end = start - 1;
        if (was > end) {
            insert(r, i, (struct lock_range){end + 1, was, r->at[i - 1].type});
            return i;
        }
    }
    while (i + gone < r->n && r->at[i + gone].end <= end)
        gone++;
    take_out(r, i, gone);
    if (i < r->n && r->at[i].start <= end)
        r->at[i].start = end + 1;
    return i;
}

void lock_ranges_set(struct lock_ranges *r, short type, uint64_t start, uint64_t end)
{
    uint32_t i = carve(r, start, end);

    if (type == F_UNLCK)
        return;
    insert(r, i, (struct lock_range){start, end, type});
    if (i + 1 < r->n && r->at[i + 1].type == type && r->at[i + 1].start - 1 == end) {
        r->at[i].end = r->at[i + 1].end;
        take_out(r, i + 1, 1);
    }
    if (i > 0 && r->at[i - 1].type == type && r->at[i - 1].end == start - 1) {
        r->at[i - 1].end = r->at[i].end;
        take_out(r, i, 1);
    }
}

bool lock_ranges_has(const struct lock_ranges *r, short type, uint64_t at)
{
    uint32_t i = 0;

    while (i < r->n && r->at[i].end < at)
        i++;
    return i < r->n && r->at[i].start <= at && r->at[i].type == type;
}

void lock_ranges_free(struct lock_ranges *r)
{
    free(r->at);
    *r = (struct lock_ranges){0};
}
