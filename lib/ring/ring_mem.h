// SPDX-License-Identifier: BSD-3-Clause
/*
 * ring_mem.h - how both ends touch the memory that they share
 *
 * Theory of operation
 *
 *   Three kinds of access are enough:
 *
 *   - Relaxed loads of fields that the other side may change at any time. Their point is that the
 *     compiler reads memory once and cannot come back for a second, different value.
 *   - Acquire load of an index, which pairs with the other side's store of it: what the index says
 *     is there can be read.
 *   - Sequentially consistent store, then load, wherever one side says "I have more for you" and then
 *     asks "must I wake you?" while the other says "wake me" and then asks "is there more?". Each side
 *     stores one word and loads the other's. Were the load allowed to overtake the store, both could
 *     miss the other's store and both would sleep. The single order of all sequentially consistent
 *     accesses makes at least one of them see it. (The virtio specification asks for a full memory
 *     barrier at these places; an access has the same effect, costs one locked instruction instead
 *     of store and fence, and is understood by ThreadSanitizer.)
 */
#ifndef VIOFS_RING_MEM_H
#define VIOFS_RING_MEM_H

#include "lib/ring/ring.h"

#define ring_load(p)          __atomic_load_n((p), __ATOMIC_RELAXED)
#define ring_store(p, v)      __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define ring_load_acquire(p)  __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define ring_load_sync(p)     __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define ring_store_sync(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)

#define ring_likely(x)   __builtin_expect(!!(x), 1)
#define ring_unlikely(x) __builtin_expect(!!(x), 0)

/*
 * ThreadSanitizer sees one process. That a chain comes after the used element of the one before it, whose
 * memory it uses again, is the other side's doing and invisible to it: in such builds ring_follows() loads
 * the index that this side published, on behalf of the other side.
 */
#if defined(__has_feature)
#define RING_TSAN __has_feature(thread_sanitizer)
#elif defined(__SANITIZE_THREAD__)
#define RING_TSAN 1
#else
#define RING_TSAN 0
#endif
static inline void ring_follows(const uint16_t *published)
{
    if (RING_TSAN)
        (void)ring_load_acquire(published);
}

/* The word after the available ring: the driver's "signal me when used->idx passes this" (2.7.7). */
static inline uint16_t *ring_used_event(struct ring_avail *avail, uint32_t size)
{
    return &avail->ring[size];
}

/* The word after the used ring: the device's "kick me when avail->idx passes this" (2.7.10). */
static inline uint16_t *ring_avail_event(struct ring_used *used, uint32_t size)
{
    return (uint16_t *)(void *)&used->ring[size];
}

/**
 * ring_passes() - does an index that moves from @from to @to step over @event?
 *
 * True when @event is one of @from .. @to - 1, all modulo 65536 (virtio 1.2, 2.7.7.2 and 2.7.10.2).
 */
static inline bool ring_passes(uint16_t event, uint16_t from, uint16_t to)
{
    return (uint16_t)(event - from) < (uint16_t)(to - from);
}

/* virtio 1.2, 2.7: size and alignment of the three areas. */
static inline bool ring_layout_ok(uint32_t size, const void *desc, const void *avail,
                                  const void *used)
{
    if (size == 0 || size > RING_MAX_SIZE || (size & (size - 1)) != 0)
        return false;
    return ((uintptr_t)desc & 15u) == 0 && ((uintptr_t)avail & 1u) == 0 &&
           ((uintptr_t)used & 3u) == 0;
}

#endif
