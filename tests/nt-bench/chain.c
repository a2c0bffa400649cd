// SPDX-License-Identifier: BSD-3-Clause
/*
 * chain.c - descriptor chains as the device sees them
 *
 * Theory of operation
 *
 *   A driver's chain is walked on its own, before and beside lib/ring, so that what it names can be held
 *   against the table of what the device may touch (dma.c): every byte, in the right direction.
 *
 * Ownership: the caller's memory throughout.   Locks: those of dma.c, inside.
 */
#include <string.h>

#include "tests/nt-bench/chain.h"

static bool add_seg(struct dma *m, struct chain_list *c, const struct ring_desc *d, uint16_t head)
{
    bool write = d->flags & RING_DESC_F_WRITE;

    if (c->n == c->room) {
        ver_complain("ring", "chain %u has no end", head);
        return false;
    }
    if (!dma_check(m, d->addr, d->len, write ? DMA_FROM_DEVICE : DMA_TO_DEVICE, "descriptor"))
        return false;
    c->seg[c->n++] = (struct chain_seg){d->addr, d->len, write};
    *(write ? &c->in_len : &c->out_len) += d->len;
    return true;
}

/* The table behind an indirect descriptor, or NULL after a complaint. */
static const struct ring_desc *inner_table(struct dma *m, const struct ring_desc *d, uint16_t head)
{
    const struct ring_desc *inner;
    uint64_t len = d->len;

    if ((d->flags & RING_DESC_F_NEXT) || d->len == 0 || d->len % sizeof(*d)) {
        ver_complain("ring", "bad indirect descriptor in chain %u", head);
        return NULL;
    }
    if (!dma_check(m, d->addr, d->len, DMA_TO_DEVICE, "indirect table"))
        return NULL;
    inner = dma_translate(m, d->addr, &len);
    if (len < d->len) {
        ver_complain("ring", "indirect table of chain %u is not contiguous", head);
        return NULL;
    }
    return inner;
}

bool chain_walk(struct dma *m, struct chain_list *c, const struct ring_desc *table, uint32_t size,
                uint16_t head)
{
    bool indirect = false;
    uint32_t at = head, left = size + 1;

    c->n = 0;
    c->out_len = c->in_len = 0;
    while (at < size && left-- > 0) {
        struct ring_desc d = table[at];

        if ((d.flags & RING_DESC_F_INDIRECT) && !indirect) {
            table = inner_table(m, &d, head);
            if (!table)
                return false;
            size = d.len / (uint32_t)sizeof(d);
            left = size + 1;
            at = 0;
            indirect = true;
            continue;
        }
        if ((d.flags & RING_DESC_F_INDIRECT) || !add_seg(m, c, &d, head))
            break;
        if (!(d.flags & RING_DESC_F_NEXT))
            return true;
        at = d.next;
    }
    ver_complain("ring", "chain %u is not sound", head);
    return false;
}

void chain_copy(struct dma *m, const struct chain_list *c, bool writable, uint64_t offset,
                void *bytes, uint64_t n)
{
    uint8_t *b = bytes;

    for (uint32_t i = 0; i < c->n && n > 0; i++) {
        uint64_t at;

        if (c->seg[i].write != writable)
            continue;
        if (offset >= c->seg[i].len) {
            offset -= c->seg[i].len;
            continue;
        }
        for (at = offset, offset = 0; at < c->seg[i].len && n > 0;) {
            uint64_t run = c->seg[i].len - at;
            uint8_t *host;

            run = run < n ? run : n;
            host = dma_translate(m, c->seg[i].bus + at, &run);
            if (!host)
                return;
            memcpy(writable ? host : b, writable ? b : host, run);
            at += run;
            b += run;
            n -= run;
        }
    }
}

void chain_pin(struct dma *m, const struct chain_list *c, int delta)
{
    for (uint32_t i = 0; i < c->n; i++)
        dma_pin(m, c->seg[i].bus, c->seg[i].len, delta);
}
