// SPDX-License-Identifier: BSD-3-Clause
/*
 * keep.c - what outlives the process that serves: the worker's side
 *
 * Theory of operation: see keep.h.
 *
 * Ownership: see keep.h. Locks: none yet; without a supervisor there is nothing to share.
 *
 * syscalls: mmap munmap
 */
#include <errno.h>
#include <sys/mman.h>

#include "keep/keep.h"

static size_t whole_pages(size_t bytes)
{
    return (bytes + 4095) & ~(size_t)4095;
}

/** keep_map() - see keep.h */
void *keep_map(struct keep *k, enum keep_region region, size_t bytes, uint32_t version)
{
    (void)k;
    (void)region;
    size_t whole = whole_pages(bytes);
    struct keep_head *head = mmap(NULL, whole, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (head == MAP_FAILED)
        return NULL;
    *head = (struct keep_head){.version = version, .bytes = whole};
    __atomic_store_n(&head->magic, KEEP_MAGIC, __ATOMIC_RELEASE);
    return head;
}

/** keep_unmap() - see keep.h */
void keep_unmap(struct keep *k, void *region)
{
    (void)k;
    if (region)
        munmap(region, (size_t)((struct keep_head *)region)->bytes);
}

/** keep_resumes() - see keep.h */
bool keep_resumes(const struct keep *k)
{
    (void)k;
    return false;
}

/** keep_is_supervised() - see keep.h */
bool keep_is_supervised(const struct keep *k)
{
    (void)k;
    return false;
}

/** keep_put() - see keep.h */
int keep_put(struct keep *k, enum keep_kind kind, uint32_t index, int fd)
{
    (void)k;
    (void)kind;
    (void)index;
    (void)fd;
    return 0;
}

/** keep_drop() - see keep.h */
void keep_drop(struct keep *k, enum keep_kind kind, uint32_t index)
{
    (void)k;
    (void)kind;
    (void)index;
}

/** keep_take() - see keep.h */
int keep_take(struct keep *k, enum keep_kind kind, uint32_t index)
{
    (void)k;
    (void)kind;
    (void)index;
    return -1;
}
