// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_ring_pair.c - two ends of a ring that both keep the rules
 */
#include "ring_rig.h"

static int tokens[40000];

static void test_direct_chain_arrives_with_its_addresses_and_returns_its_token(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);
    void *token;
    uint32_t len;

    assert_int_equal(rig_add_pair(g, &tokens[1]), 0);
    assert_true(ring_drv_publish(&g->drv));
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
    assert_int_equal(g->chain.n_out, 1);
    assert_int_equal(g->chain.n_in, 1);
    assert_int_equal(g->chain.out_len, 40);
    assert_int_equal(g->chain.in_len, 100);
    assert_ptr_equal(g->chain.seg[0].base, rig_at(g, RIG_DATA));
    assert_ptr_equal(g->chain.seg[1].base, rig_at(g, RIG_DATA + 4096));
    ring_dev_push(&g->dev, g->chain.head, 77);
    assert_int_equal(ring_drv_get(&g->drv, &token, &len), 0);
    assert_true(ring_dev_publish(&g->dev));
    assert_int_equal(ring_drv_get(&g->drv, &token, &len), 1);
    assert_ptr_equal(token, &tokens[1]);
    assert_int_equal(len, 77);
    assert_int_equal(g->drv.n_free, 8);
    rig_free(g);
}

static void test_indirect_chain_takes_one_descriptor_of_the_queue(void **state)
{
    (void)state;
    struct rig *g = rig_new(4, RIG_INDIRECT);
    struct ring_bus_seg seg[6];

    for (unsigned i = 0; i < 6; i++)
        seg[i] = (struct ring_bus_seg){RIG_DATA + i * 8192, 100 + i};
    assert_int_equal(ring_drv_add(&g->drv, seg, 2, 4, rig_table(g), rig_table_bus(), &tokens[0]),
                     0);
    assert_int_equal(g->drv.n_free, 3);
    ring_drv_publish(&g->drv);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
    assert_int_equal(g->chain.n_out, 2);
    assert_int_equal(g->chain.n_in, 4);
    for (unsigned i = 0; i < 6; i++) {
        assert_ptr_equal(g->chain.seg[i].base, rig_at(g, seg[i].addr));
        assert_int_equal(g->chain.seg[i].len, seg[i].len);
    }
    rig_free(g);
}

static void test_direct_descriptors_may_lead_to_an_indirect_table(void **state)
{
    (void)state;
    struct rig *g = rig_new(4, RIG_INDIRECT);
    struct ring_desc *d = rig_desc(g), *t = rig_table(g);

    d[2] = (struct ring_desc){RIG_DATA, 10, RING_DESC_F_NEXT, 3};
    /* The write flag of a descriptor that names a table says nothing (2.7.5.3.2). */
    d[3] = (struct ring_desc){rig_table_bus(), 32, RING_DESC_F_INDIRECT | RING_DESC_F_WRITE, 0};
    t[0] = (struct ring_desc){RIG_DATA + 4096, 20, RING_DESC_F_NEXT, 1};
    t[1] = (struct ring_desc){RIG_DATA + 8192, 30, RING_DESC_F_WRITE, 0};
    rig_offer(g, 2);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
    assert_int_equal(g->chain.n_out, 2);
    assert_int_equal(g->chain.out_len, 30);
    assert_int_equal(g->chain.in_len, 30);
    rig_free(g);
}

static void test_adjacent_descriptors_become_one_segment(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);
    struct ring_bus_seg seg[5] = {
        {RIG_DATA, 40},       {RIG_DATA + 40, 60}, {RIG_DATA + 100, 16},
        {RIG_DATA + 116, 84}, {RIG_DATA, 4},
    };

    /* The third continues the second, but in the other direction: it stays apart. */
    assert_int_equal(ring_drv_add(&g->drv, seg, 2, 3, NULL, 0, &tokens[0]), 0);
    ring_drv_publish(&g->drv);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
    assert_int_equal(g->chain.n_out, 1);
    assert_int_equal(g->chain.seg[0].len, 100);
    assert_int_equal(g->chain.n_in, 2);
    assert_int_equal(g->chain.seg[1].len, 100);
    assert_int_equal(g->chain.seg[2].len, 4);
    rig_free(g);
}

static void test_segment_across_two_regions_is_split_at_the_seam(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);
    struct ring_bus_seg seg = {RIG_SEAM - 100, 300};

    assert_int_equal(ring_drv_add(&g->drv, &seg, 0, 1, NULL, 0, &tokens[0]), 0);
    ring_drv_publish(&g->drv);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
    assert_int_equal(g->chain.n_in, 2);
    assert_ptr_equal(g->chain.seg[0].base, g->region[0] + RIG_REGION - 100);
    assert_int_equal(g->chain.seg[0].len, 100);
    assert_ptr_equal(g->chain.seg[1].base, g->region[1]);
    assert_int_equal(g->chain.seg[1].len, 200);
    assert_int_equal(g->chain.in_len, 300);
    rig_free(g);
}

static void test_one_region_is_translated_once_a_chain(void **state)
{
    (void)state;
    struct rig *g = rig_new(64, 0);
    struct ring_bus_seg seg[40];

    for (unsigned i = 0; i < 40; i++)
        seg[i] = (struct ring_bus_seg){RIG_DATA + i * 8192, 4096};
    assert_int_equal(ring_drv_add(&g->drv, seg, 1, 39, NULL, 0, &tokens[0]), 0);
    ring_drv_publish(&g->drv);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
    assert_int_equal(g->chain.n_in, 39);
    assert_int_equal(g->translations, 1);
    rig_free(g);
}

static void test_indices_wrap_past_65536(void **state)
{
    (void)state;
    static const uint64_t features[] = {0, RIG_EVENT_IDX};

    for (unsigned f = 0; f < 2; f++) {
        struct rig *g = rig_new(4, features[f]);
        for (unsigned round = 0; round < 70000; round++) {
            void *token;
            uint32_t len;
            assert_int_equal(rig_add_pair(g, &tokens[round & 1023]), 0);
            ring_drv_publish(&g->drv);
            assert_int_equal(rig_serve_all(g), 1);
            ring_dev_publish(&g->dev);
            assert_int_equal(ring_drv_get(&g->drv, &token, &len), 1);
            assert_ptr_equal(token, &tokens[round & 1023]);
        }
        assert_int_equal(g->dev.last_avail, (uint16_t)70000);
        rig_free(g);
    }
}

static void test_largest_ring_can_be_filled_whole(void **state)
{
    (void)state;
    struct rig *g = rig_new(RING_MAX_SIZE, 0);
    struct ring_bus_seg seg = {RIG_DATA, 64};
    void *token;
    uint32_t len;

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < RING_MAX_SIZE; i++)
            assert_int_equal(ring_drv_add(&g->drv, &seg, 0, 1, NULL, 0, &tokens[i]), 0);
        assert_int_equal(ring_drv_add(&g->drv, &seg, 0, 1, NULL, 0, &tokens[0]), -RING_ENOSPC);
        ring_drv_publish(&g->drv);
        assert_int_equal(ring_dev_waiting(&g->dev), RING_MAX_SIZE);
        assert_int_equal(rig_serve_all(g), RING_MAX_SIZE);
        assert_true(ring_dev_publish(&g->dev));
        for (unsigned i = 0; i < RING_MAX_SIZE; i++) {
            assert_int_equal(ring_drv_get(&g->drv, &token, &len), 1);
            assert_ptr_equal(token, &tokens[i]);
        }
    }
    rig_free(g);
}

static void test_ring_of_one_entry_works(void **state)
{
    (void)state;
    struct rig *g = rig_new(1, RIG_EVENT_IDX);
    struct ring_bus_seg seg = {RIG_DATA, 64};
    void *token;
    uint32_t len;

    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(ring_drv_add(&g->drv, &seg, 1, 0, NULL, 0, &tokens[i]), 0);
        assert_int_equal(ring_drv_add(&g->drv, &seg, 1, 0, NULL, 0, &tokens[i]), -RING_ENOSPC);
        ring_drv_publish(&g->drv);
        assert_int_equal(rig_serve_all(g), 1);
        ring_dev_publish(&g->dev);
        assert_int_equal(ring_drv_get(&g->drv, &token, &len), 1);
        assert_ptr_equal(token, &tokens[i]);
    }
    rig_free(g);
}

static void test_full_ring_refuses_a_chain_and_changes_nothing(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);
    struct ring_bus_seg three[3] = {{RIG_DATA, 1}, {RIG_DATA + 8, 1}, {RIG_DATA + 16, 1}};
    uint16_t before;

    assert_int_equal(ring_drv_add(&g->drv, three, 1, 2, NULL, 0, &tokens[0]), 0);
    assert_int_equal(ring_drv_add(&g->drv, three, 1, 2, NULL, 0, &tokens[1]), 0);
    before = g->drv.free_head;
    assert_int_equal(ring_drv_add(&g->drv, three, 1, 2, NULL, 0, &tokens[2]), -RING_ENOSPC);
    assert_int_equal(g->drv.n_free, 2);
    assert_int_equal(g->drv.free_head, before);
    ring_drv_publish(&g->drv);
    assert_int_equal(ring_dev_waiting(&g->dev), 2);
    rig_free(g);
}

static void test_chains_may_come_back_in_any_order(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);
    uint16_t head[4];
    void *token;
    uint32_t len;

    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(rig_add_pair(g, &tokens[i]), 0);
    ring_drv_publish(&g->drv);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
        head[i] = g->chain.head;
    }
    for (unsigned i = 4; i-- > 0;)
        ring_dev_push(&g->dev, head[i], 10 + i);
    ring_dev_publish(&g->dev);
    for (unsigned i = 4; i-- > 0;) {
        assert_int_equal(ring_drv_get(&g->drv, &token, &len), 1);
        assert_ptr_equal(token, &tokens[i]);
        assert_int_equal(len, 10 + i);
    }
    assert_int_equal(g->drv.n_free, 8);
    rig_free(g);
}

static void test_device_goes_on_at_a_given_base(void **state)
{
    (void)state;
    struct rig *g = rig_new(4, 0);
    struct ring_dev again;
    uint8_t *m = g->region[0];

    for (unsigned i = 0; i < 3; i++) {
        void *token;
        uint32_t len;
        assert_int_equal(rig_add_pair(g, &tokens[i]), 0);
        ring_drv_publish(&g->drv);
        rig_serve_all(g);
        ring_dev_publish(&g->dev);
        assert_int_equal(ring_drv_get(&g->drv, &token, &len), 1);
    }
    assert_int_equal(ring_dev_init(&again, 4, m + RIG_DESC, m + RIG_AVAIL, m + RIG_USED,
                                   g->dev.last_avail, 0, rig_translate, g),
                     0);
    assert_int_equal(ring_dev_pop(&again, &g->chain), 0);
    assert_int_equal(rig_add_pair(g, &tokens[3]), 0);
    ring_drv_publish(&g->drv);
    assert_int_equal(ring_dev_pop(&again, &g->chain), 1);
    ring_dev_push(&again, g->chain.head, 0);
    ring_dev_publish(&again);
    void *token;
    uint32_t len;
    assert_int_equal(ring_drv_get(&g->drv, &token, &len), 1);
    assert_ptr_equal(token, &tokens[3]);
    rig_free(g);
}

/* ---- who wakes whom ------------------------------------------------------------------------ */

/* Publish @n pairs one by one. Return: kicks that the driver owed. */
static unsigned kicks_of(struct rig *g, unsigned n)
{
    unsigned kicks = 0;

    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(rig_add_pair(g, &tokens[i]), 0);
        kicks += ring_drv_publish(&g->drv);
    }
    return kicks;
}

/* The device serves and publishes one by one. Return: signals that it owed. */
static unsigned signals_of(struct rig *g)
{
    unsigned signals = 0;

    while (ring_dev_pop(&g->dev, &g->chain) == 1) {
        ring_dev_push(&g->dev, g->chain.head, 0);
        signals += ring_dev_publish(&g->dev);
    }
    return signals;
}

static void collect_all(struct rig *g)
{
    void *token;
    uint32_t len;

    while (ring_drv_get(&g->drv, &token, &len) == 1)
        ;
}

static void test_event_idx_kicks_once_until_the_device_asks_again(void **state)
{
    (void)state;
    struct rig *g = rig_new(64, RIG_EVENT_IDX);

    assert_false(ring_dev_want_kick(&g->dev));
    assert_int_equal(kicks_of(g, 20), 1);
    ring_dev_no_kicks(&g->dev);
    assert_int_equal(rig_serve_all(g), 20);
    ring_dev_publish(&g->dev);
    collect_all(g);
    assert_int_equal(kicks_of(g, 10), 0);
    assert_true(ring_dev_want_kick(&g->dev)); /* ten are waiting: no need to sleep */
    rig_serve_all(g);
    ring_dev_publish(&g->dev);
    collect_all(g);
    assert_false(ring_dev_want_kick(&g->dev));
    assert_int_equal(kicks_of(g, 5), 1);
    rig_free(g);
}

static void test_event_idx_signals_once_until_the_driver_asks_again(void **state)
{
    (void)state;
    struct rig *g = rig_new(64, RIG_EVENT_IDX);

    assert_false(ring_drv_want_interrupt(&g->drv));
    kicks_of(g, 20);
    assert_int_equal(signals_of(g), 1);
    ring_drv_no_interrupts(&g->drv);
    collect_all(g);
    kicks_of(g, 10);
    assert_int_equal(signals_of(g), 0);
    assert_true(ring_drv_want_interrupt(&g->drv));
    collect_all(g);
    assert_false(ring_drv_want_interrupt(&g->drv));
    kicks_of(g, 10);
    assert_int_equal(signals_of(g), 1);
    rig_free(g);
}

static void test_event_idx_batch_is_one_signal(void **state)
{
    (void)state;
    struct rig *g = rig_new(64, RIG_EVENT_IDX);

    ring_drv_want_interrupt(&g->drv);
    kicks_of(g, 32);
    assert_int_equal(rig_serve_all(g), 32);
    assert_true(ring_dev_publish(&g->dev));
    assert_false(ring_dev_publish(&g->dev)); /* nothing new */
    rig_free(g);
}

static void test_event_idx_signal_is_given_when_the_event_is_inside_the_batch(void **state)
{
    (void)state;
    struct rig *g = rig_new(64, RIG_EVENT_IDX);

    kicks_of(g, 1);
    assert_int_equal(signals_of(g), 1); /* the first of a life is unconditional */
    collect_all(g);

    *rig_used_event(g) = 6; /* "when used->idx passes 6" */
    kicks_of(g, 10);        /* 1..11 */
    assert_int_equal(signals_of(g), 1);
    assert_int_equal(rig_used(g)->idx, 11);
    collect_all(g);
    *rig_used_event(g) = 10; /* behind already */
    kicks_of(g, 5);
    assert_int_equal(signals_of(g), 0);
    rig_free(g);
}

static void test_event_idx_works_across_the_wrap_of_the_index(void **state)
{
    (void)state;
    struct rig *g = rig_new(64, RIG_EVENT_IDX);

    for (unsigned i = 0; i < 65530 / 10; i++) {
        kicks_of(g, 10);
        rig_serve_all(g);
        ring_dev_publish(&g->dev);
        collect_all(g);
    }
    assert_int_equal(g->dev.last_avail, 65530);
    assert_false(ring_dev_want_kick(&g->dev));
    assert_false(ring_drv_want_interrupt(&g->drv));
    assert_int_equal(kicks_of(g, 20), 1);
    assert_int_equal(g->drv.published, 14);
    assert_int_equal(signals_of(g), 1);
    rig_free(g);
}

static void test_new_life_of_the_device_signals_its_first_batch(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, RIG_EVENT_IDX);
    uint8_t *m = g->region[0];

    kicks_of(g, 1);
    rig_serve_all(g);
    ring_dev_publish(&g->dev); /* and "dies" before it could write to the call descriptor */
    kicks_of(g, 1);
    assert_int_equal(ring_dev_init(&g->dev, 8, m + RIG_DESC, m + RIG_AVAIL, m + RIG_USED, 1,
                                   RIG_EVENT_IDX, rig_translate, g),
                     0);
    assert_int_equal(signals_of(g), 1);
    rig_free(g);
}

static void test_without_event_idx_no_notify_stops_kicks(void **state)
{
    (void)state;
    struct rig *g = rig_new(64, 0);

    assert_int_equal(kicks_of(g, 3), 3);
    ring_dev_no_kicks(&g->dev);
    assert_int_equal(rig_used(g)->flags, RING_USED_F_NO_NOTIFY);
    assert_int_equal(kicks_of(g, 3), 0);
    assert_true(ring_dev_want_kick(&g->dev));
    assert_int_equal(rig_used(g)->flags, 0);
    assert_int_equal(rig_serve_all(g), 6);
    assert_false(ring_dev_want_kick(&g->dev));
    assert_int_equal(kicks_of(g, 2), 2);
    rig_free(g);
}

static void test_without_event_idx_no_interrupt_stops_signals(void **state)
{
    (void)state;
    struct rig *g = rig_new(64, 0);

    kicks_of(g, 3);
    assert_int_equal(signals_of(g), 3);
    ring_drv_no_interrupts(&g->drv);
    assert_int_equal(rig_avail(g)->flags, RING_AVAIL_F_NO_INTERRUPT);
    kicks_of(g, 3);
    assert_int_equal(signals_of(g), 0);
    assert_true(ring_drv_want_interrupt(&g->drv));
    assert_int_equal(rig_avail(g)->flags, 0);
    collect_all(g);
    assert_false(ring_drv_want_interrupt(&g->drv));
    kicks_of(g, 1);
    assert_int_equal(signals_of(g), 1);
    rig_free(g);
}

static void test_flags_are_left_alone_with_event_idx(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, RIG_EVENT_IDX);

    ring_dev_no_kicks(&g->dev);
    ring_drv_no_interrupts(&g->drv);
    assert_int_equal(rig_used(g)->flags, 0);
    assert_int_equal(rig_avail(g)->flags, 0);
    rig_free(g);
}

static void test_publishing_nothing_wakes_nobody(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);

    assert_false(ring_drv_publish(&g->drv));
    assert_false(ring_dev_publish(&g->dev));
    rig_free(g);
}

/* ---- after a reset ------------------------------------------------------------------------- */

static void test_reclaim_returns_every_token_in_flight_once(void **state)
{
    (void)state;
    struct rig *g = rig_new(16, 0);
    unsigned seen = 0;
    void *token;
    uint32_t len;

    for (int i = 0; i < 8; i++) {
        tokens[i] = 0;
        assert_int_equal(rig_add_pair(g, &tokens[i]), 0);
    }
    ring_drv_publish(&g->drv);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
        ring_dev_push(&g->dev, g->chain.head, 0);
    }
    ring_dev_publish(&g->dev);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ring_drv_get(&g->drv, &token, &len), 1);
    for (int *t; (t = ring_drv_reclaim(&g->drv)); seen++)
        (*t)++;
    assert_int_equal(seen, 5);
    for (int i = 0; i < 8; i++)
        assert_int_equal(tokens[i], i < 3 ? 0 : 1);
    assert_int_equal(g->drv.n_free, 16);
    assert_null(ring_drv_reclaim(&g->drv));
    rig_free(g);
}

static void test_ring_is_usable_after_reclaim_and_init(void **state)
{
    (void)state;
    struct rig *g = rig_new(4, 0);
    uint8_t *m = g->region[0];

    assert_int_equal(rig_add_pair(g, &tokens[0]), 0);
    ring_drv_publish(&g->drv);
    assert_ptr_equal(ring_drv_reclaim(&g->drv), &tokens[0]);
    assert_null(ring_drv_reclaim(&g->drv));
    assert_int_equal(
        ring_drv_init(&g->drv, 4, m + RIG_DESC, m + RIG_AVAIL, m + RIG_USED, g->slots, 0), 0);
    assert_int_equal(ring_dev_init(&g->dev, 4, m + RIG_DESC, m + RIG_AVAIL, m + RIG_USED, 0, 0,
                                   rig_translate, g),
                     0);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 0);
    assert_int_equal(kicks_of(g, 2), 2);
    assert_int_equal(rig_serve_all(g), 2);
    rig_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_direct_chain_arrives_with_its_addresses_and_returns_its_token),
        cmocka_unit_test(test_indirect_chain_takes_one_descriptor_of_the_queue),
        cmocka_unit_test(test_direct_descriptors_may_lead_to_an_indirect_table),
        cmocka_unit_test(test_adjacent_descriptors_become_one_segment),
        cmocka_unit_test(test_segment_across_two_regions_is_split_at_the_seam),
        cmocka_unit_test(test_one_region_is_translated_once_a_chain),
        cmocka_unit_test(test_indices_wrap_past_65536),
        cmocka_unit_test(test_largest_ring_can_be_filled_whole),
        cmocka_unit_test(test_ring_of_one_entry_works),
        cmocka_unit_test(test_full_ring_refuses_a_chain_and_changes_nothing),
        cmocka_unit_test(test_chains_may_come_back_in_any_order),
        cmocka_unit_test(test_device_goes_on_at_a_given_base),
        cmocka_unit_test(test_event_idx_kicks_once_until_the_device_asks_again),
        cmocka_unit_test(test_event_idx_signals_once_until_the_driver_asks_again),
        cmocka_unit_test(test_event_idx_batch_is_one_signal),
        cmocka_unit_test(test_event_idx_signal_is_given_when_the_event_is_inside_the_batch),
        cmocka_unit_test(test_event_idx_works_across_the_wrap_of_the_index),
        cmocka_unit_test(test_new_life_of_the_device_signals_its_first_batch),
        cmocka_unit_test(test_without_event_idx_no_notify_stops_kicks),
        cmocka_unit_test(test_without_event_idx_no_interrupt_stops_signals),
        cmocka_unit_test(test_flags_are_left_alone_with_event_idx),
        cmocka_unit_test(test_publishing_nothing_wakes_nobody),
        cmocka_unit_test(test_reclaim_returns_every_token_in_flight_once),
        cmocka_unit_test(test_ring_is_usable_after_reclaim_and_init),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
