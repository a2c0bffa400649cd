// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_ring_random.c - random chains in random order, each byte accounted for
 *
 * The driver fills the readable half of a request with a pattern that depends on its number; the device
 * checks it and fills the writable half with another, which the driver checks. Chains are direct or
 * indirect, of random segments (touching or apart, some across the seam of the two regions), completed in
 * random order and random batches; a signal that is owed and not given, or a kick, ends the test.
 */
#include "ring_rig.h"

#include <stdio.h>

#define SLOTS     48u
#define SLOT_SIZE 0x4000u
#define MAX_SEGS  12u

struct request {
    bool busy;
    uint32_t number;
    uint32_t n_out, n_in;
    struct ring_bus_seg seg[MAX_SEGS];
    uint32_t in_len;
    uint32_t head; /* as the device saw it */
};

struct play {
    struct rig *g;
    bool indirect;
    uint64_t seed;
    uint32_t numbers;
    struct request req[SLOTS];
    struct ring_chain held[SLOTS]; /* taken by the device, not yet served */
    unsigned n_held;
    unsigned completed;
    bool driver_asleep, device_asleep;
};

static uint32_t rnd(struct play *p, uint32_t below)
{
    p->seed = p->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(p->seed >> 33) % below;
}

static uint8_t pattern(uint32_t number, uint32_t i, bool out)
{
    return (uint8_t)(number * 31u + i * 7u + (out ? 1u : 130u));
}

/* Slots lie around the seam, so that the middle one is split by it. */
static uint64_t slot_bus(unsigned slot)
{
    return RIG_SEAM - SLOTS / 2 * SLOT_SIZE - SLOT_SIZE / 2 + (uint64_t)slot * SLOT_SIZE;
}

static void layout(struct play *p, struct request *q, unsigned slot)
{
    uint64_t at = slot_bus(slot);

    q->n_out = 1 + rnd(p, MAX_SEGS / 2);
    q->n_in = rnd(p, MAX_SEGS / 2 + 1);
    q->in_len = 0;
    for (uint32_t i = 0; i < q->n_out + q->n_in; i++) {
        uint32_t len = 1 + rnd(p, SLOT_SIZE / MAX_SEGS - 64);
        q->seg[i] = (struct ring_bus_seg){at, len};
        at += len + (rnd(p, 3) ? rnd(p, 64) : 0);
        if (i >= q->n_out)
            q->in_len += len;
    }
}

static void drive_one(struct play *p)
{
    unsigned slot = rnd(p, SLOTS);
    struct request *q = &p->req[slot];
    bool table = p->indirect && rnd(p, 2);
    uint32_t at = 0;

    if (q->busy)
        return;
    layout(p, q, slot);
    q->number = p->numbers;
    for (uint32_t i = 0; i < q->n_out; i++)
        for (uint32_t b = 0; b < q->seg[i].len; b++)
            *rig_at(p->g, q->seg[i].addr + b) = pattern(q->number, at++, true);
    uint32_t off = slot * MAX_SEGS;
    int err =
        ring_drv_add(&p->g->drv, q->seg, q->n_out, q->n_in, table ? rig_table(p->g) + off : NULL,
                     rig_table_bus() + off * sizeof(struct ring_desc), q);
    if (err == -RING_ENOSPC)
        return;
    if (err == -RING_EINVAL) { /* a direct chain longer than a tiny ring */
        assert_false(table);
        assert_true(q->n_out + q->n_in > p->g->size);
        return;
    }
    assert_int_equal(err, 0);
    q->busy = true;
    p->numbers++;
}

static void device_serve(struct play *p, const struct ring_chain *c)
{
    uint32_t at = 0, len = 0;
    struct request *q = NULL;

    for (unsigned i = 0; i < SLOTS; i++)
        if (p->req[i].busy && rig_at(p->g, p->req[i].seg[0].addr) == c->seg[0].base)
            q = &p->req[i];
    assert_non_null(q);
    assert_int_equal(c->in_len, q->in_len);
    for (uint32_t s = 0; s < c->n_out; s++)
        for (size_t b = 0; b < c->seg[s].len; b++)
            assert_int_equal(((uint8_t *)c->seg[s].base)[b], pattern(q->number, at++, true));
    assert_int_equal(at, c->out_len);
    for (uint32_t s = 0; s < c->n_in; s++)
        for (size_t b = 0; b < c->seg[c->n_out + s].len; b++)
            ((uint8_t *)c->seg[c->n_out + s].base)[b] = pattern(q->number, len++, false);
    ring_dev_push(&p->g->dev, c->head, len);
}

static void driver_collect(struct play *p)
{
    void *token;
    uint32_t len;
    int got;

    while ((got = ring_drv_get(&p->g->drv, &token, &len)) == 1) {
        struct request *q = token;
        uint32_t at = 0;
        assert_true(q->busy);
        assert_int_equal(len, q->in_len);
        for (uint32_t i = q->n_out; i < q->n_out + q->n_in; i++)
            for (uint32_t b = 0; b < q->seg[i].len; b++)
                assert_int_equal(*rig_at(p->g, q->seg[i].addr + b),
                                 pattern(q->number, at++, false));
        q->busy = false;
        p->completed++;
    }
    assert_int_equal(got, 0);
}

static void device_step(struct play *p)
{
    unsigned n = 1 + rnd(p, 8);

    ring_dev_no_kicks(&p->g->dev);
    while (n-- > 0 && p->n_held < SLOTS && ring_dev_pop(&p->g->dev, &p->held[p->n_held]) == 1)
        p->n_held++;
    for (n = rnd(p, 8); n > 0 && p->n_held > 0; n--) {
        unsigned k = rnd(p, p->n_held);
        device_serve(p, &p->held[k]);
        p->held[k] = p->held[--p->n_held];
    }
    if (rnd(p, 2) && ring_dev_publish(&p->g->dev))
        p->driver_asleep = false;
    /* Only a device with nothing in its hands goes to sleep. */
    if (p->n_held == 0 && p->g->dev.published == p->g->dev.next_used)
        p->device_asleep = !ring_dev_want_kick(&p->g->dev);
}

static void driver_step(struct play *p)
{
    ring_drv_no_interrupts(&p->g->drv);
    driver_collect(p);
    for (unsigned n = rnd(p, 6); n > 0; n--)
        drive_one(p);
    if (ring_drv_publish(&p->g->drv))
        p->device_asleep = false;
    if (rnd(p, 2))
        p->driver_asleep = !ring_drv_want_interrupt(&p->g->drv);
}

static void play(uint32_t size, uint64_t features, uint64_t seed)
{
    struct play *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    p->g = rig_new(size, features);
    p->indirect = features & RIG_INDIRECT;
    p->seed = seed;
    for (unsigned step = 0; step < 6000; step++) {
        bool device = rnd(p, 2);
        if (device && !p->device_asleep)
            device_step(p);
        else if (!device && !p->driver_asleep)
            driver_step(p);
        /* The driver publishes before it sleeps, so both asleep with work left is a lost wake-up. */
        if (p->device_asleep && p->driver_asleep) {
            assert_int_equal(ring_dev_waiting(&p->g->dev), 0);
            assert_int_equal(p->g->drv.last_used, p->g->dev.published);
            p->driver_asleep = false; /* both are idle: the driver has new work */
        }
    }
    assert_true(p->completed > 500);
    rig_free(p->g);
    free(p);
}

static void test_random_chains_on_rings_of_every_kind(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {2, 8, 64, 1024};
    static const uint64_t features[] = {0, RIG_INDIRECT, RIG_EVENT_IDX,
                                        RIG_INDIRECT | RIG_EVENT_IDX};

    for (unsigned s = 0; s < 4; s++)
        for (unsigned f = 0; f < 4; f++)
            if (sizes[s] > 2 ||
                (features[f] & RIG_INDIRECT)) /* few direct chains fit two entries */
                play(sizes[s], features[f], s * 1000 + f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_chains_on_rings_of_every_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
