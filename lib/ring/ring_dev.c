// SPDX-License-Identifier: BSD-3-Clause
/*
 * ring_dev.c - the device's end of a split virtqueue
 *
 * Theory of operation
 *
 *   The driver is a guest, so everything in its memory is a claim. A descriptor is copied into a local
 *   field by field, each read once, and only the local is judged. Three bounds make any chain finite:
 *   a table is walked for at most as many steps as it has entries (2.7.5: a longer walk has met an
 *   entry twice), an indirect table for at most RING_MAX_SIZE, and a chain can enter one indirect
 *   table only.
 *
 *   Guest addresses are translated by a callback. It is asked for as much as is contiguous, not for
 *   one descriptor, and the answer is kept while the chain is walked: in the usual case of one big
 *   memory region the callback runs once or twice a chain.
 *
 *   Descriptors that continue each other in host memory become one segment, so that a transfer whose
 *   pages happen to be contiguous costs the kernel one iovec.
 *
 * Ownership: borrows the ring and guest memory; allocates nothing.
 * Locks: none. pop, waiting, no_kicks, want_kick are the avail side; push, publish are the used side.
 */
#include "lib/ring/ring_mem.h"

/* A stretch of guest memory that is contiguous in the host too. */
struct window {
    uint64_t bus;
    uint64_t len;
    uint8_t *host;
};

/* A descriptor table being walked: the queue's own or an indirect one. */
struct table {
    const struct ring_desc *desc; /* entries that can be read in place */
    uint32_t n_desc;              /* how many of them */
    uint32_t n;                   /* entries in all */
    uint64_t bus;                 /* indirect: guest address */
};

struct walk {
    const struct ring_dev *r;
    struct ring_chain *c;
    struct window win;
    uint32_t n_seg;
    bool writing; /* a device-writable descriptor was seen: no readable one may follow */
};

/**
 * ring_dev_init() - take over a ring that the driver has laid out
 *
 * Nothing is written: a ring that another process served before this one may hold flags and events
 * that the driver relies on until the first ring_dev_want_kick().
 */
int ring_dev_init(struct ring_dev *r, uint32_t size, void *desc, void *avail, void *used,
                  uint16_t base, uint64_t features, ring_translate_fn *translate, void *ctx)
{
    if (!ring_layout_ok(size, desc, avail, used))
        return -RING_EINVAL;
    *r = (struct ring_dev){
        .size = size,
        .event_idx = (features >> RING_F_EVENT_IDX) & 1,
        .indirect = (features >> RING_F_INDIRECT_DESC) & 1,
        .last_avail = base,
        .seen_avail = base,
        .next_used = base,
        .published = base,
        .desc = desc,
        .avail = avail,
        .used = used,
        .translate = translate,
        .translate_ctx = ctx,
    };
    return 0;
}

static inline bool window_move(struct window *w, const struct ring_dev *r, uint64_t addr)
{
    uint64_t len = UINT64_MAX - addr;

    if (ring_likely(addr - w->bus < w->len))
        return true;
    if (len == 0)
        return false;
    w->host = r->translate(r->translate_ctx, addr, &len);
    w->bus = addr;
    w->len = w->host ? len : 0;
    return w->len != 0;
}

/* One descriptor that is in place: each field is read once. */
static inline void desc_load(struct ring_desc *to, const struct ring_desc *d)
{
    to->addr = ring_load(&d->addr);
    to->len = ring_load(&d->len);
    to->flags = ring_load(&d->flags);
    to->next = ring_load(&d->next);
}

/*
 * One descriptor of an indirect table that is misaligned in the host or goes on in another memory
 * region: gathered bytewise. Guests do not make such tables, but they may.
 */
static bool desc_gather(struct ring_desc *to, const struct ring_dev *r, const struct table *t,
                        uint32_t i)
{
    uint64_t bus = t->bus + (uint64_t)i * sizeof(*to);
    struct window w = {0};

    for (size_t done = 0; done < sizeof(*to);) {
        if (!window_move(&w, r, bus + done))
            return false;
        size_t left = sizeof(*to) - done;
        size_t part = w.len < left ? (size_t)w.len : left;
        __builtin_memcpy((uint8_t *)to + done, w.host, part);
        done += part;
    }
    __asm__ volatile("" ::: "memory"); /* the copy is made here; the compiler may not read again */
    return true;
}

/* Make *@t the indirect table that @d points to (virtio 1.2, 2.7.5.3). */
static int table_enter(struct walk *w, struct table *t, const struct ring_desc *d)
{
    if (!w->r->indirect || (d->flags & RING_DESC_F_NEXT) != 0)
        return -RING_EPROTO;
    if (d->len == 0 || d->len % sizeof(struct ring_desc) != 0 || d->addr > UINT64_MAX - d->len)
        return -RING_EPROTO;

    uint32_t n = d->len / (uint32_t)sizeof(struct ring_desc);
    struct window in = {0};
    if (!window_move(&in, w->r, d->addr))
        return -RING_EPROTO;
    uint64_t whole = in.len / sizeof(struct ring_desc);
    bool aligned = ((uintptr_t)in.host & (_Alignof(struct ring_desc) - 1)) == 0;
    *t = (struct table){
        .desc = (const void *)in.host,
        .n_desc = !aligned    ? 0
                  : whole < n ? (uint32_t)whole
                              : n,
        .n = n,
        .bus = d->addr,
    };
    return 0;
}

/* Append what one descriptor names; a piece at a time where it crosses memory regions. */
static inline int walk_add(struct walk *w, uint64_t addr, uint32_t len)
{
    struct ring_chain *c = w->c;
    uint32_t first = w->writing ? c->n_out : 0; /* no merging across the direction change */

    if (ring_unlikely(addr > UINT64_MAX - len))
        return -RING_EPROTO;
    if (w->writing)
        c->in_len += len;
    else
        c->out_len += len;
    while (len > 0) {
        if (ring_unlikely(!window_move(&w->win, w->r, addr)))
            return -RING_EPROTO;
        uint64_t off = addr - w->win.bus;
        uint8_t *host = w->win.host + off;
        uint32_t part = w->win.len - off < len ? (uint32_t)(w->win.len - off) : len;
        struct ring_seg *last = w->n_seg > first ? &c->seg[w->n_seg - 1] : NULL;

        if (last && (uint8_t *)last->base + last->len == host) {
            last->len += part;
        } else {
            if (ring_unlikely(w->n_seg == RING_MAX_SEGS))
                return -RING_EPROTO;
            c->seg[w->n_seg++] = (struct ring_seg){.base = host, .len = part};
            if (!w->writing)
                c->n_out++;
        }
        addr += part;
        len -= part;
    }
    return 0;
}

static int walk_chain(struct walk *w, uint32_t i)
{
    struct table t = {.desc = w->r->desc, .n_desc = w->r->size, .n = w->r->size};
    struct ring_desc d;
    bool inside = false;
    int err;

    for (uint32_t left = t.n; left > 0; left--) {
        if (ring_likely(i < t.n_desc))
            desc_load(&d, &t.desc[i]);
        else if (i >= t.n || !desc_gather(&d, w->r, &t, i))
            return -RING_EPROTO;

        if ((d.flags & RING_DESC_F_INDIRECT) != 0) {
            if (inside)
                return -RING_EPROTO;
            if ((err = table_enter(w, &t, &d)) != 0)
                return err;
            inside = true;
            i = 0;
            /* One more than the steps allowed, because this round of the loop takes one. */
            left = (t.n < RING_MAX_SIZE ? t.n : RING_MAX_SIZE) + 1;
            continue;
        }
        if ((d.flags & RING_DESC_F_WRITE) != 0)
            w->writing = true;
        else if (w->writing)
            return -RING_EPROTO;
        if (d.len != 0 && (err = walk_add(w, d.addr, d.len)) != 0)
            return err;
        if ((d.flags & RING_DESC_F_NEXT) == 0)
            return 0;
        i = d.next;
    }
    return -RING_EPROTO;
}

/* What the chain at @head consists of. Return: 1 or -RING_EPROTO. */
static int read_chain(const struct ring_dev *r, uint16_t head, struct ring_chain *c)
{
    c->head = head;
    c->n_out = 0;
    c->n_in = 0;
    c->out_len = 0;
    c->in_len = 0;
    struct walk w = {.r = r, .c = c};
    int err = walk_chain(&w, head);
    if (err != 0)
        return err;
    /* virtio 1.2, 2.7.5.2 allows 2^32 bytes, but a used length (2.7.8) has 32 bits. */
    if (c->out_len + c->in_len > UINT32_MAX)
        return -RING_EPROTO;
    c->n_in = (uint16_t)(w.n_seg - c->n_out);
    return 1;
}

/** ring_dev_again() - see ring.h */
int ring_dev_again(const struct ring_dev *r, uint16_t head, struct ring_chain *c)
{
    c->head = head;
    return head < r->size ? read_chain(r, head, c) : -RING_EPROTO;
}

/**
 * ring_dev_pop() - take the next available chain (contract in ring.h)
 *
 * The head is consumed even when the chain is refused, so a bad chain cannot be met again.
 */
int ring_dev_pop(struct ring_dev *r, struct ring_chain *c)
{
    if (r->last_avail == r->seen_avail) {
        /* Acquire: entries up to the index, and the descriptors that they name, are readable. */
        uint16_t idx = ring_load_acquire(&r->avail->idx);
        if (idx == r->last_avail)
            return 0;
        if ((uint16_t)(idx - r->last_avail) > r->size)
            return -RING_EINVAL;
        r->seen_avail = idx;
        ring_follows(&r->used->idx);
    }

    uint16_t head = ring_load(&r->avail->ring[r->last_avail & (r->size - 1)]);
    if (head >= r->size)
        return -RING_EINVAL;
    r->last_avail++;
    return read_chain(r, head, c);
}

/** ring_dev_waiting() - see ring.h; a broken index counts as a full ring */
uint32_t ring_dev_waiting(const struct ring_dev *r)
{
    uint16_t n = (uint16_t)(ring_load_acquire(&r->avail->idx) - r->last_avail);

    return n < r->size ? n : r->size;
}

/** ring_dev_push() - see ring.h */
void ring_dev_push(struct ring_dev *r, uint16_t head, uint32_t len)
{
    r->used->ring[r->next_used & (r->size - 1)] = (struct ring_used_elem){.id = head, .len = len};
    r->next_used++;
}

/** ring_dev_publish() - see ring.h; costs nothing when nothing was pushed */
bool ring_dev_publish(struct ring_dev *r)
{
    uint16_t from = r->published, to = r->next_used;

    if (from == to)
        return false;
    /*
     * Releases the used elements and what was written to the chains, and keeps the load below after
     * it: the driver stores its event (or flag) and then looks at used->idx, we do the reverse.
     */
    ring_store_sync(&r->used->idx, to);
    r->published = to;

    if (!r->event_idx)
        return (ring_load_sync(&r->avail->flags) & RING_AVAIL_F_NO_INTERRUPT) == 0;
    if (!r->signalled) {
        /* The event may have been passed in an earlier life that died before it could signal. */
        r->signalled = true;
        return true;
    }
    return ring_passes(ring_load_sync(ring_used_event(r->avail, r->size)), from, to);
}

/**
 * ring_dev_no_kicks() - see ring.h
 *
 * With EVENT_IDX nothing needs writing: the event that woke us is behind avail->idx and will not be
 * passed again for 65536 chains (2.7.10: flags are not used then).
 */
void ring_dev_no_kicks(struct ring_dev *r)
{
    if (!r->event_idx)
        ring_store(&r->used->flags, (uint16_t)RING_USED_F_NO_NOTIFY);
}

/** ring_dev_want_kick() - see ring.h */
bool ring_dev_want_kick(struct ring_dev *r)
{
    /*
     * Store, then look again, both sequentially consistent: a driver that published before it could
     * see the store will not kick, and its chain is seen here instead.
     */
    if (r->event_idx)
        ring_store_sync(ring_avail_event(r->used, r->size), r->last_avail);
    else
        ring_store_sync(&r->used->flags, (uint16_t)0);
    return ring_load_sync(&r->avail->idx) != r->last_avail;
}
