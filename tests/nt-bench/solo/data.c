// SPDX-License-Identifier: BSD-3-Clause
/*
 * data.c - the data path of the function: chains taken, kept, and given back as told
 *
 * Theory of operation
 *
 *   Taking a chain checks every byte that it names against what the device may touch (chain.c) and pins it, so
 *   a driver that gives memory away too early is found at once. Giving back writes whatever the script
 *   says into the used ring and the reply. A device may also write anywhere in memory that it shares with
 *   the driver; from then on what it reads there proves nothing, and is not judged.
 *
 *   After a reset, or cut off from memory, it touches nothing.
 *
 * Ownership: chains are the function's.   Locks: none, one thread.
 */
#include <string.h>

#include "tests/nt-bench/solo/function.h"

/* <linux/fuse.h>: sizes, and where fuse_write_in.size is in a request, in words */
#define OUT_HEADER      16u
#define FUSE_WRITE      16u
#define WRITE_OUT       8u
#define WRITE_SIZE_WORD 14u

/* ---- up and down ----------------------------------------------------------------------------- */

static uint64_t area_bus(const struct solo_queue *q, uint32_t area)
{
    return (uint64_t)q->address[2 * area + 1] << 32 | q->address[2 * area];
}

static void *area_host(struct vdev *d, const struct solo_queue *q, uint32_t area, uint64_t size)
{
    uint64_t len = size;
    void *host;

    if (!dma_check(d->dma, area_bus(q, area), size, DMA_BOTH, "ring"))
        return NULL;
    host = dma_translate(d->dma, area_bus(q, area), &len);
    return len == size ? host : NULL;
}

static void pin_ring(struct vdev *d, const struct solo_queue *q, int delta)
{
    dma_pin(d->dma, area_bus(q, 0), ring_desc_bytes(q->size), delta);
    dma_pin(d->dma, area_bus(q, 1), ring_avail_bytes(q->size), delta);
    dma_pin(d->dma, area_bus(q, 2), ring_used_bytes(q->size), delta);
}

void solo_data_start(struct vdev *d)
{
    for (uint32_t i = 0; i <= d->o.request_queues; i++) {
        struct solo_queue *q = &d->queue[i];

        if (!q->enabled || q->size == 0 || (q->size & (q->size - 1)) || !vdev_bus_master(d))
            continue;
        q->desc = area_host(d, q, 0, ring_desc_bytes(q->size));
        q->avail = area_host(d, q, 1, ring_avail_bytes(q->size));
        q->used = area_host(d, q, 2, ring_used_bytes(q->size));
        q->live = q->desc && q->avail && q->used;
        if (q->live)
            pin_ring(d, q, 1);
    }
}

static void drop(struct vdev *d, struct solo_chain *c)
{
    chain_pin(d->dma, &c->list, -1);
    c->live = false;
}

void solo_data_stop(struct vdev *d)
{
    for (uint32_t i = 0; i < SOLO_HELD; i++)
        if (d->chain[i].live)
            drop(d, &d->chain[i]);
    for (uint32_t i = 0; i < SOLO_QUEUES; i++) {
        if (d->queue[i].live)
            pin_ring(d, &d->queue[i], -1);
        d->queue[i].live = d->queue[i].kicked = false;
    }
    d->hostile = false; /* the driver lays rings out anew */
}

static struct solo_queue *live_queue(struct vdev *d, uint32_t i)
{
    return i < SOLO_QUEUES && d->queue[i].live && vdev_bus_master(d) ? &d->queue[i] : NULL;
}

/* ---- taking ---------------------------------------------------------------------------------- */

static struct solo_chain *unused_chain(struct vdev *d)
{
    for (uint32_t i = 0; i < SOLO_HELD; i++)
        if (!d->chain[i].live)
            return &d->chain[i];
    return NULL;
}

static bool take_one(struct vdev *d, uint32_t index, struct solo_queue *q, struct solo_chain *c)
{
    c->queue = index;
    c->head = q->avail->ring[q->next_avail & (q->size - 1)];
    c->list = (struct chain_list){.seg = c->seg, .room = SOLO_SEGS};
    q->next_avail++;
    if (!chain_walk(d->dma, &c->list, q->desc, q->size, c->head))
        return false;
    memset(c->header, 0, sizeof(c->header));
    chain_copy(d->dma, &c->list, false, 0, c->header, sizeof(c->header));
    chain_pin(d->dma, &c->list, 1);
    __atomic_fetch_add(&ver_costs()->requests, 1, __ATOMIC_RELAXED);
    c->live = true;
    return true;
}

uint32_t solo_take(struct vdev *d, uint32_t index)
{
    struct solo_queue *q = live_queue(d, index);
    struct solo_chain *c;
    uint32_t n = 0;

    if (!q || d->hostile)
        return 0;
    q->kicked = false;
    while (q->avail->idx != q->next_avail && n < q->size && (c = unused_chain(d)) != NULL) {
        if (!take_one(d, index, q, c))
            return n;
        n++;
    }
    ((uint16_t *)(void *)&q->used->ring[q->size])[0] =
        q->next_avail; /* avail_event: kick me again */
    return n;
}

static struct solo_chain *held(struct vdev *d, uint32_t k)
{
    for (uint32_t i = 0; i < SOLO_HELD; i++)
        if (d->chain[i].live && k-- == 0)
            return &d->chain[i];
    return NULL;
}

uint32_t solo_held(struct vdev *d)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < SOLO_HELD; i++)
        n += d->chain[i].live;
    return n;
}

uint32_t solo_held_opcode(struct vdev *d, uint32_t k)
{
    const struct solo_chain *c = held(d, k);

    return c ? c->header[1] : 0;
}

/* ---- giving back ----------------------------------------------------------------------------- */

struct solo_reply solo_honest(struct vdev *d, uint32_t k, uint32_t payload)
{
    const struct solo_chain *c = held(d, k);
    struct solo_reply r = {.with_header = true, .fill = 0x11};
    uint64_t room;

    if (!c || c->list.in_len < OUT_HEADER)
        return (struct solo_reply){0};
    room = c->list.in_len - OUT_HEADER;
    payload = c->header[1] == FUSE_WRITE ? WRITE_OUT : payload;
    r.word = c->header[1] == FUSE_WRITE ? c->header[WRITE_SIZE_WORD] : 0x11111111;
    r.len = OUT_HEADER + (uint32_t)(payload < room ? payload : room);
    r.used_len = r.len;
    return r;
}

static void write_reply(struct vdev *d, const struct solo_chain *c, const struct solo_reply *r)
{
    struct {
        uint32_t len;
        int32_t error;
        uint64_t unique;
    } h;
    uint8_t fill[64];

    memcpy(&h.unique, &c->header[2], sizeof(h.unique));
    h.unique ^= r->unique_xor;
    h.len = r->len;
    h.error = r->error;
    chain_copy(d->dma, &c->list, true, 0, &h, sizeof(h));
    memset(fill, r->fill, sizeof(fill));
    memcpy(fill, &r->word, sizeof(r->word));
    chain_copy(d->dma, &c->list, true, sizeof(h), fill, sizeof(fill));
}

void solo_give(struct vdev *d, uint32_t k, const struct solo_reply *r)
{
    struct solo_chain *c = held(d, k);
    struct solo_queue *q = c ? live_queue(d, c->queue) : NULL;
    struct ring_used_elem *e;

    if (!q)
        return;
    if (r->with_header)
        write_reply(d, c, r);
    e = &q->used->ring[q->next_used++ & (q->size - 1)];
    e->id = c->head ^ r->id_xor;
    e->len = r->used_len;
    drop(d, c);
}

bool solo_publish(struct vdev *d, uint32_t index)
{
    struct solo_queue *q = live_queue(d, index);
    bool event_idx = d->guest_features >> RING_F_EVENT_IDX & 1;
    uint16_t from, event;

    if (!q || q->shown == q->next_used)
        return false;
    from = q->shown;
    q->shown = q->next_used;
    q->used->idx = q->shown;
    if (!event_idx)
        return !(q->avail->flags & RING_AVAIL_F_NO_INTERRUPT);
    event = q->avail->ring[q->size];
    return (uint16_t)(event - from) < (uint16_t)(q->shown - from);
}

bool solo_serve(struct vdev *d, uint32_t payload)
{
    bool any = false;

    for (uint32_t i = 0; i <= d->o.request_queues && i < SOLO_QUEUES; i++)
        if (d->queue[i].kicked)
            any |= solo_take(d, i) > 0;
    while (solo_held(d) > 0) {
        struct solo_reply r = solo_honest(d, 0, payload);

        solo_give(d, 0, &r);
        any = true;
    }
    for (uint32_t i = 0; i <= d->o.request_queues && i < SOLO_QUEUES; i++)
        if (solo_publish(d, i))
            solo_interrupt(d, i);
    return any;
}

/* ---- misbehaviour ---------------------------------------------------------------------------- */

void solo_used_index(struct vdev *d, uint32_t queue, uint16_t index)
{
    struct solo_queue *q = live_queue(d, queue);

    if (!q)
        return;
    q->used->idx = index;
    q->shown = q->next_used = index;
}

void solo_scribble(struct vdev *d, uint32_t index, uint32_t where, uint32_t at, uint8_t byte)
{
    struct solo_queue *q = live_queue(d, index);
    struct solo_chain *c;

    if (!q)
        return;
    switch (where % 4) {
    case 0:
        ((uint8_t *)q->used)[at % ring_used_bytes(q->size)] = byte;
        break;
    case 1:
        ((uint8_t *)q->desc)[at % ring_desc_bytes(q->size)] = byte;
        d->hostile = true;
        break;
    case 2:
        ((uint8_t *)q->avail)[at % ring_avail_bytes(q->size)] = byte;
        d->hostile = true;
        break;
    default: /* a reply before its time */
        c = held(d, at >> 8);
        if (c && c->list.in_len)
            chain_copy(d->dma, &c->list, true, (at & 0xff) % c->list.in_len, &byte, 1);
    }
}
