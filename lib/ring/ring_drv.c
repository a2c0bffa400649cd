// SPDX-License-Identifier: BSD-3-Clause
/*
 * ring_drv.c - the driver's end of a split virtqueue
 *
 * Theory of operation
 *
 *   The device may be broken or hostile, so nothing that the driver depends on is read back from
 *   shared memory: the free list and the links of each chain live in the caller's private slots, and
 *   descriptors are only ever written. The used ring is the one thing that is read, and an element is
 *   believed only if its id is a head in flight and its length is within what that head offered.
 *
 *   The free list runs through ring_slot.next. A chain takes its descriptors from the front of the list
 *   and keeps their links, so taking and returning a chain moves one pointer.
 *
 * Ownership: the caller owns ring memory, slots and tables; tokens are passed through.
 * Locks: none; the caller serialises everything on one ring.
 */
#include "lib/ring/ring_mem.h"

/** ring_drv_init() - see ring.h */
int ring_drv_init(struct ring_drv *r, uint32_t size, void *desc, void *avail, void *used,
                  struct ring_slot *slots, uint64_t features)
{
    if (!ring_layout_ok(size, desc, avail, used) || !slots)
        return -RING_EINVAL;
    __builtin_memset(desc, 0, ring_desc_bytes(size));
    __builtin_memset(avail, 0, ring_avail_bytes(size));
    __builtin_memset(used, 0, ring_used_bytes(size));
    for (uint32_t i = 0; i < size; i++)
        slots[i] =
            (struct ring_slot){.next = (uint16_t)(i + 1)}; /* the last link is never followed */
    *r = (struct ring_drv){
        .size = size,
        .event_idx = (features >> RING_F_EVENT_IDX) & 1,
        .n_free = size,
        .desc = desc,
        .avail = avail,
        .used = used,
        .slot = slots,
    };
    return 0;
}

static void desc_fill(struct ring_desc *d, const struct ring_bus_seg *seg, bool in, bool more,
                      uint32_t next)
{
    d->addr = seg->addr;
    d->len = seg->len;
    d->flags = (uint16_t)((in ? RING_DESC_F_WRITE : 0u) | (more ? RING_DESC_F_NEXT : 0u));
    d->next = more ? (uint16_t)next : 0;
}

/* Sum of both groups. Return: 0, or -RING_EINVAL for an empty segment or 4 GiB and more (2.7.5.2). */
static int chain_lengths(const struct ring_bus_seg *seg, uint32_t n_out, uint32_t n_in,
                         uint32_t *in_len)
{
    uint64_t out = 0, in = 0;

    for (uint32_t i = 0; i < n_out + n_in; i++) {
        if (seg[i].len == 0)
            return -RING_EINVAL;
        if (i < n_out)
            out += seg[i].len;
        else
            in += seg[i].len;
    }
    if (out + in > UINT32_MAX)
        return -RING_EINVAL;
    *in_len = (uint32_t)in;
    return 0;
}

/** ring_drv_add() - see ring.h */
int ring_drv_add(struct ring_drv *r, const struct ring_bus_seg *seg, uint32_t n_out, uint32_t n_in,
                 struct ring_desc *table, uint64_t table_bus, void *token)
{
    uint32_t most = table ? RING_MAX_SIZE : r->size;
    uint32_t in_len;

    if (n_out > most || n_in > most || n_out + n_in > most || n_out + n_in == 0 || !token)
        return -RING_EINVAL;
    if (chain_lengths(seg, n_out, n_in, &in_len) != 0)
        return -RING_EINVAL;

    uint32_t n = n_out + n_in;
    uint32_t n_desc = table ? 1 : n;
    if (n_desc > r->n_free)
        return -RING_ENOSPC;

    uint16_t head = r->free_head;
    uint32_t at = head;
    if (table) {
        for (uint32_t i = 0; i < n; i++)
            desc_fill(&table[i], &seg[i], i >= n_out, i + 1 < n, i + 1);
        r->desc[head] = (struct ring_desc){
            .addr = table_bus,
            .len = n * (uint32_t)sizeof(*table),
            .flags = RING_DESC_F_INDIRECT,
        };
        at = r->slot[head].next;
    } else {
        for (uint32_t i = 0; i < n; i++) {
            desc_fill(&r->desc[at], &seg[i], i >= n_out, i + 1 < n, r->slot[at].next);
            at = r->slot[at].next;
        }
    }
    r->free_head = (uint16_t)at;
    r->n_free -= n_desc;

    struct ring_slot *slot = &r->slot[head];
    slot->token = token;
    slot->in_len = in_len;
    slot->n_desc = (uint16_t)n_desc;
    ring_store(&r->avail->ring[r->next_avail & (r->size - 1)], head);
    r->next_avail++;
    return 0;
}

/** ring_drv_publish() - see ring.h */
bool ring_drv_publish(struct ring_drv *r)
{
    uint16_t from = r->published, to = r->next_avail;

    if (from == to)
        return false;
    /*
     * Releases descriptors and ring entries, and keeps the load below after it: the device stores its
     * event (or flag) and then looks at avail->idx, we do the reverse.
     */
    ring_store_sync(&r->avail->idx, to);
    r->published = to;

    if (r->event_idx)
        return ring_passes(ring_load_sync(ring_avail_event(r->used, r->size)), from, to);
    return (ring_load_sync(&r->used->flags) & RING_USED_F_NO_NOTIFY) == 0;
}

/* Give the descriptors of a chain back. Return: its token. */
static void *chain_free(struct ring_drv *r, uint16_t head)
{
    struct ring_slot *slot = &r->slot[head];
    void *token = slot->token;
    uint16_t tail = head;

    for (uint16_t i = 1; i < slot->n_desc; i++)
        tail = r->slot[tail].next;
    r->slot[tail].next = r->free_head;
    r->free_head = head;
    r->n_free += slot->n_desc;
    slot->token = NULL;
    return token;
}

/** ring_drv_get() - see ring.h; after -RING_EPROTO nothing has changed */
int ring_drv_get(struct ring_drv *r, void **token, uint32_t *len)
{
    /* Acquire: elements up to the index, and the data that the device wrote, are readable. */
    uint16_t waiting = (uint16_t)(ring_load_acquire(&r->used->idx) - r->last_used);

    if (waiting == 0)
        return 0;
    if (waiting > r->size - r->n_free) /* a chain has at least one descriptor */
        return -RING_EPROTO;

    const struct ring_used_elem *e = &r->used->ring[r->last_used & (r->size - 1)];
    uint32_t id = ring_load(&e->id);
    uint32_t used_len = ring_load(&e->len);
    if (id >= r->size || !r->slot[id].token || used_len > r->slot[id].in_len)
        return -RING_EPROTO;

    r->last_used++;
    *token = chain_free(r, (uint16_t)id);
    *len = used_len;
    return 1;
}

/** ring_drv_no_interrupts() - see ring.h; with EVENT_IDX the passed event says it already (2.7.7) */
void ring_drv_no_interrupts(struct ring_drv *r)
{
    if (!r->event_idx)
        ring_store(&r->avail->flags, (uint16_t)RING_AVAIL_F_NO_INTERRUPT);
}

/** ring_drv_want_interrupt() - ask for a signal. Return: true if a used chain is waiting already. */
bool ring_drv_want_interrupt(struct ring_drv *r)
{
    /*
     * Store, then look again, both sequentially consistent: a device that published before it could
     * see the store will not signal, and its chain is seen here instead.
     */
    if (r->event_idx)
        ring_store_sync(ring_used_event(r->avail, r->size), r->last_used);
    else
        ring_store_sync(&r->avail->flags, (uint16_t)0);
    return ring_load_sync(&r->used->idx) != r->last_used;
}

/** ring_drv_reclaim() - see ring.h */
void *ring_drv_reclaim(struct ring_drv *r)
{
    while (r->reclaimed < r->size) {
        uint16_t i = (uint16_t)r->reclaimed++;
        if (r->slot[i].token)
            return chain_free(r, i);
    }
    return NULL;
}
