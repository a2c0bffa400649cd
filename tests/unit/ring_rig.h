// SPDX-License-Identifier: BSD-3-Clause
/*
 * ring_rig.h - a ring with both of its ends in one process, for tests
 *
 * Guest memory is two regions that touch in guest addresses and not in host addresses, so that a
 * segment or a table may lie across the seam. The ring areas and indirect tables are at the front of
 * the first region; the rest is payload.
 */
#ifndef VIOFS_RING_RIG_H
#define VIOFS_RING_RIG_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/ring/ring.h"

#define RIG_BUS    0x10000u  /* guest address of the first region; below it is nothing */
#define RIG_REGION 0x400000u /* bytes of each region */
#define RIG_SEAM   (RIG_BUS + RIG_REGION)
#define RIG_END    (RIG_SEAM + RIG_REGION)
#define RIG_DESC   0x0u /* offsets of the ring areas, for up to 32768 entries */
#define RIG_AVAIL  0x80000u
#define RIG_USED   0xa0000u
#define RIG_TABLE  0x100000u             /* offset of room for indirect tables */
#define RIG_DATA   (RIG_BUS + 0x200000u) /* guest address of payload */

#define RIG_INDIRECT  (1ULL << RING_F_INDIRECT_DESC)
#define RIG_EVENT_IDX (1ULL << RING_F_EVENT_IDX)

struct rig {
    uint8_t *region[2];
    uint32_t size;
    unsigned translations;
    struct ring_dev dev;
    struct ring_drv drv;
    struct ring_slot *slots;
    struct ring_chain chain;
};

static inline uint8_t *rig_find(struct rig *g, uint64_t addr, uint64_t *len)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t base = RIG_BUS + (uint64_t)i * RIG_REGION;
        if (addr >= base && addr - base < RIG_REGION) {
            uint64_t left = RIG_REGION - (addr - base);
            if (*len > left)
                *len = left;
            return g->region[i] + (addr - base);
        }
    }
    return NULL;
}

static inline void *rig_translate(void *ctx, uint64_t addr, uint64_t *len)
{
    struct rig *g = ctx;

    g->translations++;
    return rig_find(g, addr, len);
}

/* Host address of a guest address, for tests that look. */
static inline uint8_t *rig_at(struct rig *g, uint64_t addr)
{
    uint64_t one = 1;
    uint8_t *p = rig_find(g, addr, &one);

    assert_non_null(p);
    return p;
}

static inline struct rig *rig_new(uint32_t size, uint64_t features)
{
    struct rig *g = calloc(1, sizeof(*g));

    assert_non_null(g);
    g->size = size;
    g->slots = calloc(size, sizeof(*g->slots));
    assert_non_null(g->slots);
    for (unsigned i = 0; i < 2; i++) {
        /* Each region is an allocation of its own: overruns are AddressSanitizer's to find. */
        g->region[i] = aligned_alloc(4096, RIG_REGION);
        assert_non_null(g->region[i]);
    }
    uint8_t *m = g->region[0];
    assert_int_equal(
        ring_drv_init(&g->drv, size, m + RIG_DESC, m + RIG_AVAIL, m + RIG_USED, g->slots, features),
        0);
    assert_int_equal(ring_dev_init(&g->dev, size, m + RIG_DESC, m + RIG_AVAIL, m + RIG_USED, 0,
                                   features, rig_translate, g),
                     0);
    return g;
}

static inline void rig_free(struct rig *g)
{
    free(g->region[0]);
    free(g->region[1]);
    free(g->slots);
    free(g);
}

/* Raw views, for drivers and devices that do not play by the rules. */
static inline struct ring_desc *rig_desc(struct rig *g)
{
    return (struct ring_desc *)(void *)(g->region[0] + RIG_DESC);
}
static inline struct ring_avail *rig_avail(struct rig *g)
{
    return (struct ring_avail *)(void *)(g->region[0] + RIG_AVAIL);
}
static inline struct ring_used *rig_used(struct rig *g)
{
    return (struct ring_used *)(void *)(g->region[0] + RIG_USED);
}
static inline struct ring_desc *rig_table(struct rig *g)
{
    return (struct ring_desc *)(void *)(g->region[0] + RIG_TABLE);
}
static inline uint64_t rig_table_bus(void)
{
    return RIG_BUS + RIG_TABLE;
}
static inline uint16_t *rig_used_event(struct rig *g)
{
    return &rig_avail(g)->ring[g->size];
}
static inline uint16_t *rig_avail_event(struct rig *g)
{
    return (uint16_t *)(void *)&rig_used(g)->ring[g->size];
}

/* Offer a head as a driver without scruples would. */
static inline void rig_offer(struct rig *g, uint16_t head)
{
    struct ring_avail *a = rig_avail(g);

    a->ring[a->idx & (g->size - 1)] = head;
    a->idx++;
}

/* A chain of one readable and one writable segment. */
static inline int rig_add_pair(struct rig *g, void *token)
{
    struct ring_bus_seg seg[2] = {{RIG_DATA, 40}, {RIG_DATA + 4096, 100}};

    return ring_drv_add(&g->drv, seg, 1, 1, NULL, 0, token);
}

/* The device serves everything that waits. Return: chains served. */
static inline unsigned rig_serve_all(struct rig *g)
{
    unsigned n = 0;

    while (ring_dev_pop(&g->dev, &g->chain) == 1) {
        ring_dev_push(&g->dev, g->chain.head, (uint32_t)g->chain.in_len);
        n++;
    }
    return n;
}

#endif
