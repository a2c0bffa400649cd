// SPDX-License-Identifier: BSD-3-Clause
/*
 * memory.h - guest memory: regions, and the three kinds of address
 *
 * gpa: guest physical address, in descriptors. uva: the front end's own address, in SET_VRING_ADDR.
 * host: ours.
 */
#ifndef VIOFS_VHOST_MEMORY_H
#define VIOFS_VHOST_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/vhost_user.h"

#define MEM_MAX_REGIONS 509u /* as many as KVM has slots for memory modules */

#define MEM_NOT_KEPT UINT32_MAX

struct mem_region {
    uint64_t gpa, size, uva;
    uint8_t *host;
    void *map; /* what was mapped: host, rounded down to a page of the file */
    size_t map_len;
    unsigned guard;
    uint64_t offset; /* in its file */
    uint32_t slot;   /* under which the file is kept (resume.c), or MEM_NOT_KEPT */
};

/*
 * A set of regions, sorted by gpa, not overlapping. Written by the control thread only, while no
 * worker runs and no queue's lock is free (see device.h).
 */
struct mem {
    atomic_bool lost; /* the front end truncated a file: some pages are zeros now */
    unsigned n;
    struct mem_region region[MEM_MAX_REGIONS];
};

/** mem_new() - an empty set. Return: NULL when out of memory. */
struct mem *mem_new(void);

/**
 * mem_add() - map one region
 * @r:  as the front end described it; checked here
 * @fd: file behind it; not taken over
 *
 * Return: 0; -EINVAL for an empty, wrapping or overlapping region; -ENOSPC past MEM_MAX_REGIONS;
 * -errno of mmap. The reason is logged, with the remedy where the memory is not shared.
 */
int mem_add(struct mem *m, const struct vu_mem_region *r, int fd);

/** mem_complain_not_shared() - log how guest memory is shared */
void mem_complain_not_shared(void);

/** mem_find() - index of the region that is exactly @r (guest address, user address, size), or -ENOENT */
int mem_find(const struct mem *m, const struct vu_mem_region *r);

/** mem_remove() - unmap region @i; nothing may be using it */
void mem_remove(struct mem *m, unsigned i);

/** mem_free() - unmap everything; NULL is fine */
void mem_free(struct mem *m);

/**
 * mem_from_gpa() - host address of guest memory
 * @hint: index of the region used last, kept by the caller per queue; any value is safe
 * @len:  in: bytes wanted; out: bytes contiguous from @gpa, at most that
 * Return: NULL when @gpa is in no region.
 */
void *mem_from_gpa(const struct mem *m, unsigned *hint, uint64_t gpa, uint64_t *len);

/** mem_from_uva() - host address of @len bytes that the front end has at @uva, or NULL */
void *mem_from_uva(const struct mem *m, uint64_t uva, uint64_t len);

/** mem_to_gpa() - the way back. @len: as in mem_from_gpa(). Return: false if @host is in no region. */
bool mem_to_gpa(const struct mem *m, const void *host, uint64_t *gpa, uint64_t *len);

#endif
