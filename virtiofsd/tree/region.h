// SPDX-License-Identifier: BSD-3-Clause
/*
 * region.h - what all owners of kept regions do
 */
#ifndef VIOFS_REGION_H
#define VIOFS_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/**
 * region_give_back() - memory of a region goes back to the system and reads as zeros
 *
 * MADV_REMOVE is for memory that is shared, as a supervised worker's is; private memory knows MADV_DONTNEED.
 */
static inline void region_give_back(void *from, size_t bytes)
{
    const uintptr_t page = 4096;
    uintptr_t begin = (uintptr_t)from, end = begin + bytes;
    uintptr_t first = (begin + page - 1) & ~(page - 1), last = end & ~(page - 1);

    if (first >= last) {
        memset(from, 0, bytes);
        return;
    }
    memset(from, 0, first - begin);
    memset((void *)last, 0, end - last);
    if (madvise((void *)first, last - first, MADV_REMOVE) < 0 &&
        madvise((void *)first, last - first, MADV_DONTNEED) < 0)
        memset((void *)first, 0, last - first);
}

/*
 * A table that is looked into at random costs a walk of the page tables at each look, which in a virtual machine
 * is two. From here on it is worth large pages, of which the last one is half empty; not before.
 */
#define REGION_LARGE ((size_t)8 << 20)

/** region_large_pages() - a region of which REGION_LARGE bytes are in use. Only a wish; memfds mostly have none. */
static inline void region_large_pages(void *region, size_t bytes, bool wanted)
{
    madvise(region, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/** region_touch() - all of it is about to be written: one call instead of a page fault each. Only a wish. */
static inline void region_touch(void *from, size_t bytes)
{
    madvise((void *)((uintptr_t)from & ~(uintptr_t)4095), bytes, MADV_POPULATE_WRITE);
}

#endif
