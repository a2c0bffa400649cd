// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuzz_ring.c - one end of the ring against any bytes at the other
 *
 * Input: byte 0 chooses the end under test and its set-up, the rest is the other end.
 *
 *   Hostile driver: the bytes are guest memory, ring areas included. Guest memory is two regions that touch
 *   in guest addresses only. Each translation lets the "driver" change two bytes of memory, so a field
 *   that is read twice is read with two values. What pop accepts is held to its contract: every segment lies in
 *   one region, sums are right, the order of directions holds; and it is written to.
 *
 *   Hostile device: the bytes are a script of calls to the driver side and of writes to the used ring and
 *   the descriptors. A model knows what is in flight; tokens, lengths and the free count must agree with it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ring/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond))                                                                               \
            abort();                                                                               \
    } while (0)

#define MODE_DEVICE    0x80u /* the device is hostile; else the driver */
#define MODE_INDIRECT  0x40u
#define MODE_EVENT_IDX 0x20u
#define MODE_BASE      0x0cu /* hostile driver: where the indices start, near their wrap or at 0 */
#define MODE_SIZE      0x03u /* ring of 1, 2, 4 or 8 entries */

/*
 * Hostile driver: a long indirect table is laid out, and one chain is taken. One mode in 32, because it
 * costs as much as thirty others.
 */
#define MODE_LONG(m) (((m)&0x1fu) == 0x1fu)

static uint64_t features_of(uint8_t mode)
{
    return (mode & MODE_INDIRECT ? 1ULL << RING_F_INDIRECT_DESC : 0) |
           (mode & MODE_EVENT_IDX ? 1ULL << RING_F_EVENT_IDX : 0);
}

/* ---- hostile driver ------------------------------------------------------------------------ */

/* Guest addresses: nothing, region A, region B, nothing. */
#define BUS_A    0x100u
#define LEN_A    0x200u
#define BUS_B    (BUS_A + LEN_A)
#define LEN_B    0x100u
#define AT_AVAIL 0x80u /* offsets in A: 8 descriptors, the rings, then tables and payload */
#define AT_USED  0xa0u
#define AT_MORE  0x100u

/* A third, distant region that holds the long table. */
#define BUS_L  0x10000u
#define LONG_N 1100u

struct guest {
    uint8_t *a, *b;
    struct ring_desc *l;
    const uint8_t *script; /* what is left of the changes to come */
    size_t n_script;
};

static void *guest_translate(void *ctx, uint64_t addr, uint64_t *len)
{
    struct guest *g = ctx;
    static const uint64_t bus[3] = {BUS_A, BUS_B, BUS_L};
    static const uint64_t size[3] = {LEN_A, LEN_B, LONG_N * sizeof(struct ring_desc)};
    uint8_t *host[3] = {g->a, g->b, (uint8_t *)g->l};

    MUST(*len >= 1 && addr + *len > addr);
    for (unsigned n = 0; n < 2 && g->n_script >= 2; n++, g->script += 2, g->n_script -= 2)
        g->a[g->script[0]] = g->script[1];
    for (unsigned i = 0; i < 3; i++) {
        if (addr < bus[i] || addr - bus[i] >= size[i])
            continue;
        uint64_t left = size[i] - (addr - bus[i]);
        *len = left < *len ? left : *len;
        return host[i] + (addr - bus[i]);
    }
    return NULL;
}

static void guest_owns(const struct guest *g, const struct ring_seg *s)
{
    const uint8_t *p = s->base;
    bool in_a = p >= g->a && p < g->a + LEN_A && s->len <= (size_t)(g->a + LEN_A - p);
    bool in_b = p >= g->b && p < g->b + LEN_B && s->len <= (size_t)(g->b + LEN_B - p);
    const uint8_t *l = (const uint8_t *)g->l, *l_end = (const uint8_t *)(g->l + LONG_N);
    bool in_l = p >= l && p < l_end && s->len <= (size_t)(l_end - p);

    MUST(s->len > 0 && (in_a || in_b || in_l));
}

static void check_chain(const struct guest *g, const struct ring_chain *c, uint32_t size)
{
    uint64_t sum[2] = {0, 0};
    uint32_t n = (uint32_t)c->n_out + c->n_in;

    MUST(c->head < size && n <= RING_MAX_SEGS);
    for (uint32_t i = 0; i < n; i++) {
        guest_owns(g, &c->seg[i]);
        sum[i >= c->n_out] += c->seg[i].len;
    }
    MUST(sum[0] == c->out_len && sum[1] == c->in_len && sum[0] + sum[1] <= UINT32_MAX);
}

/* The ends of what the driver wants written, which may be its own rings. */
static void scribble(const struct ring_chain *c)
{
    for (uint32_t i = c->n_out; i < (uint32_t)c->n_out + c->n_in; i++) {
        ((uint8_t *)c->seg[i].base)[0] ^= 1;
        ((uint8_t *)c->seg[i].base)[c->seg[i].len - 1] ^= 2;
    }
}

/* Entries that all go on, four kinds of them from the input, with the last one ending the chain. */
static void lay_out_long(struct guest *g, const uint8_t *data, size_t size)
{
    struct ring_desc kind[4] = {{0}};

    memcpy(kind, data, size < sizeof(kind) ? size : sizeof(kind));
    for (uint32_t i = 0; i < LONG_N; i++) {
        g->l[i] = kind[i & 3];
        g->l[i].flags |= i + 1 < LONG_N ? RING_DESC_F_NEXT : 0;
        g->l[i].next = (uint16_t)(i + 1);
    }
}

static void hostile_driver(uint8_t mode, const uint8_t *data, size_t size)
{
    static struct guest g;
    static struct ring_chain c;
    struct ring_dev r;
    uint32_t entries = 1u << (mode & MODE_SIZE);

    if (!g.a) {
        g.a = aligned_alloc(16, LEN_A);
        g.b = aligned_alloc(16, LEN_B);
        g.l = aligned_alloc(16, LONG_N * sizeof(*g.l));
        MUST(g.a && g.b && g.l);
    }
    size_t n_a = size < LEN_A ? size : LEN_A;
    memcpy(g.a, data, n_a);
    memset(g.a + n_a, 0, LEN_A - n_a);
    size_t n_b = size - n_a < LEN_B ? size - n_a : LEN_B;
    memcpy(g.b, data + n_a, n_b);
    memset(g.b + n_b, 0, LEN_B - n_b);
    /* Changes to come are the same bytes, read again from the middle. */
    g.script = data + size / 2;
    g.n_script = size - size / 2;
    if (MODE_LONG(mode))
        lay_out_long(&g, g.a + AT_MORE, LEN_A - AT_MORE);

    uint16_t base = (mode & MODE_BASE) ? (uint16_t)(0xfff8u + (mode & MODE_BASE)) : 0;
    MUST(ring_dev_init(&r, entries, g.a, g.a + AT_AVAIL, g.a + AT_USED, base, features_of(mode),
                       guest_translate, &g) == 0);
    for (unsigned i = 0; i < (MODE_LONG(mode) ? 1u : 16u); i++) {
        MUST(ring_dev_waiting(&r) <= entries);
        int got = ring_dev_pop(&r, &c);
        if (got == 1) {
            check_chain(&g, &c, entries);
            scribble(&c);
        } else if (got != -RING_EPROTO) {
            MUST(got == 0 || got == -RING_EINVAL);
            break;
        }
        ring_dev_push(&r, c.head, (uint32_t)c.in_len);
        if (i & 1)
            ring_dev_publish(&r);
    }
    ring_dev_publish(&r);
    ring_dev_no_kicks(&r);
    ring_dev_want_kick(&r);
}

/* ---- hostile device ------------------------------------------------------------------------ */

#define MAX_ENTRIES 8u

struct model {
    bool busy;
    uint32_t in_len, n_desc;
};

struct stage {
    struct ring_drv r;
    struct ring_slot slot[MAX_ENTRIES];
    struct model model[MAX_ENTRIES];
    struct ring_desc *desc, *table;
    struct ring_avail *avail;
    struct ring_used *used;
    uint8_t mode;
};

static uint32_t model_free(const struct stage *s)
{
    uint32_t n = s->r.size;

    for (unsigned i = 0; i < MAX_ENTRIES; i++)
        n -= s->model[i].busy ? s->model[i].n_desc : 0;
    return n;
}

static void stage_reset(struct stage *s)
{
    MUST(ring_drv_init(&s->r, 1u << (s->mode & MODE_SIZE), s->desc, s->avail, s->used, s->slot,
                       features_of(s->mode)) == 0);
    memset(s->model, 0, sizeof(s->model));
}

static void stage_forget(struct stage *s, struct model *m)
{
    MUST(m >= s->model && m < s->model + MAX_ENTRIES && m->busy);
    m->busy = false;
    MUST(s->r.n_free == model_free(s));
}

static void stage_add(struct stage *s, uint8_t shape, uint8_t len)
{
    struct ring_bus_seg seg[8];
    uint32_t n_out = shape & 3, n_in = (shape >> 2) & 3;
    bool table = (shape & 0x10) && (s->mode & MODE_INDIRECT);
    struct model *m = s->model;

    while (m < s->model + MAX_ENTRIES && m->busy)
        m++;
    if (m == s->model + MAX_ENTRIES)
        return;
    for (uint32_t i = 0; i < n_out + n_in; i++)
        seg[i] = (struct ring_bus_seg){0x1000u * i, shape & 0x20 ? 0x10000000u * len : len};
    int err = ring_drv_add(&s->r, seg, n_out, n_in, table ? s->table : NULL, 0x2000, m);
    if (err == 0) {
        MUST(n_out + n_in > 0 && len > 0);
        *m = (struct model){.busy = true, .in_len = 0, .n_desc = table ? 1 : n_out + n_in};
        for (uint32_t i = 0; i < n_in; i++)
            m->in_len += seg[n_out + i].len;
    } else {
        MUST(err == -RING_ENOSPC || err == -RING_EINVAL);
    }
    MUST(s->r.n_free == model_free(s));
}

static void stage_get(struct stage *s)
{
    void *token = NULL;
    uint32_t len = 0;
    int got = ring_drv_get(&s->r, &token, &len);

    if (got == 1) {
        struct model *m = token;
        MUST(len <= m->in_len);
        stage_forget(s, m);
    } else {
        MUST(got == 0 || got == -RING_EPROTO);
        MUST(token == NULL && s->r.n_free == model_free(s));
    }
}

static void stage_reclaim(struct stage *s)
{
    for (struct model *m; (m = ring_drv_reclaim(&s->r));)
        stage_forget(s, m);
    MUST(s->r.n_free == s->r.size);
    stage_reset(s);
}

static void stage_step(struct stage *s, const uint8_t op[4])
{
    uint16_t word = (uint16_t)(op[2] | op[3] << 8);

    switch (op[0] & 15) {
    default:
        stage_add(s, op[1], op[2]);
        break;
    case 1:
        ring_drv_publish(&s->r);
        break;
    case 2:
        stage_get(s);
        break;
    case 3: /* a used element, and the index goes on */
        s->used->ring[s->used->idx++ & (s->r.size - 1)] =
            (struct ring_used_elem){.id = op[1], .len = word};
        break;
    case 4: /* anything in the used ring */
        ((uint8_t *)s->used)[op[1] % ring_used_bytes(s->r.size)] = op[2];
        break;
    case 5: /* anything in what is the driver's to write */
        ((uint8_t *)s->desc)[op[1] % ring_desc_bytes(s->r.size)] = op[2];
        ((uint8_t *)s->avail)[op[1] % ring_avail_bytes(s->r.size)] = op[3];
        break;
    case 6:
        s->used->idx = word;
        break;
    case 7:
        ring_drv_no_interrupts(&s->r);
        break;
    case 8:
        ring_drv_want_interrupt(&s->r);
        break;
    case 9:
        stage_reclaim(s);
        break;
    }
}

static void hostile_device(uint8_t mode, const uint8_t *data, size_t size)
{
    static struct stage s;

    if (!s.desc) {
        s.desc = aligned_alloc(16, ring_desc_bytes(MAX_ENTRIES));
        s.table = aligned_alloc(16, 8 * sizeof(*s.table));
        s.avail = malloc(ring_avail_bytes(MAX_ENTRIES));
        s.used = malloc(ring_used_bytes(MAX_ENTRIES));
        MUST(s.desc && s.table && s.avail && s.used);
    }
    s.mode = mode;
    stage_reset(&s);
    for (; size >= 4; data += 4, size -= 4)
        stage_step(&s, data);
    stage_reclaim(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1 + LEN_A + LEN_B)
        return 0;
    if (data[0] & MODE_DEVICE)
        hostile_device(data[0], data + 1, size - 1);
    else
        hostile_driver(data[0], data + 1, size - 1);
    return 0;
}
