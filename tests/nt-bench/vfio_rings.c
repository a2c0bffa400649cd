// SPDX-License-Identifier: BSD-3-Clause
/*
 * vfio_rings.c - what is in the rings that the driver and a real device share
 *
 * Theory of operation
 *
 *   Nobody stands between the driver and the device here, so what scenarios want to know is read out of
 *   memory: what was made available and has not come back is with the device, and the first bytes of each
 *   chain say which FUSE request it is.
 *
 *   Chains are looked at when a doorbell rings, when an interrupt arrives, and when somebody asks. A chain that
 *   came and went between two looks is counted, but its opcode may be that of the request that took
 *   its place in memory.
 *
 * Locks: the caller holds the device's.
 */
#include <linux/fuse.h>
#include <string.h>

#include "tests/nt-bench/vfio.h"

static const void *memory_of(struct rings *r, uint64_t bus, uint64_t size, const char *what)
{
    uint64_t len = size;
    const void *host;

    if (!dma_check(r->dma, bus, size, DMA_BOTH, what))
        return NULL;
    host = dma_translate(r->dma, bus, &len);
    if (len < size) {
        ver_complain("ring", "%s is not contiguous", what);
        return NULL;
    }
    return host;
}

void rings_start(struct rings *r, uint32_t q, uint16_t size, uint16_t doorbell,
                 const uint64_t address[3])
{
    struct watched_ring *w = &r->ring[q];

    w->size = size;
    w->doorbell = doorbell;
    w->desc = memory_of(r, address[0], ring_desc_bytes(size), "descriptor table");
    w->avail = memory_of(r, address[1], ring_avail_bytes(size), "available ring");
    w->used = memory_of(r, address[2], ring_used_bytes(size), "used ring");
    w->live = w->desc && w->avail && w->used;
    w->looked = 0;
    w->withheld = false;
}

void rings_stop(struct rings *r)
{
    for (uint32_t q = 0; q < VDEV_MAX_QUEUES; q++)
        r->ring[q].live = false;
}

/* The first bytes of the chain that starts at @head. Return: 0 when they are not to be had any more. */
static uint32_t opcode_of(struct rings *r, const struct watched_ring *w, uint16_t head)
{
    const struct fuse_in_header *h;
    struct ring_desc d;
    uint64_t len;

    if (head >= w->size)
        return 0;
    d = w->desc[head];
    if (d.flags & RING_DESC_F_INDIRECT) {
        const struct ring_desc *table;

        len = sizeof(*table);
        table = dma_translate(r->dma, d.addr, &len);
        if (!table || len < sizeof(*table))
            return 0;
        d = *table;
    }
    len = sizeof(*h);
    h = dma_translate(r->dma, d.addr, &len);
    return h && len >= sizeof(*h) ? h->opcode : 0;
}

static void look_at(struct rings *r, struct watched_ring *w)
{
    uint16_t idx = __atomic_load_n(&w->avail->idx, __ATOMIC_ACQUIRE);

    if ((uint16_t)(idx - w->looked) > w->size) {
        ver_complain("ring", "%u chains in a ring of %u", (uint16_t)(idx - w->looked), w->size);
        w->looked = idx;
    }
    for (; w->looked != idx; w->looked++) {
        uint16_t head = w->avail->ring[w->looked & (w->size - 1)];

        r->opcode[r->n_opcodes++ % RINGS_LOG] = opcode_of(r, w, head);
        w->taken++;
        __atomic_fetch_add(&ver_costs()->requests, 1, __ATOMIC_RELAXED);
    }
}

void rings_look(struct rings *r)
{
    for (uint32_t q = 0; q < VDEV_MAX_QUEUES; q++)
        if (r->ring[q].live)
            look_at(r, &r->ring[q]);
}

uint32_t rings_held(const struct rings *r)
{
    uint32_t n = 0;

    for (uint32_t q = 0; q < VDEV_MAX_QUEUES; q++) {
        const struct watched_ring *w = &r->ring[q];

        if (w->live) {
            uint16_t used = __atomic_load_n(&w->used->idx, __ATOMIC_ACQUIRE);

            n += (uint16_t)(__atomic_load_n(&w->avail->idx, __ATOMIC_ACQUIRE) - used);
        }
    }
    return n;
}

uint32_t rings_opcodes(struct rings *r, uint32_t *opcodes, uint32_t room)
{
    uint32_t n = r->n_opcodes;

    for (uint32_t i = 0; i < room && i < n && i < RINGS_LOG; i++)
        opcodes[i] = r->opcode[(n - (n < room ? n : room) + i) % RINGS_LOG];
    return n;
}
