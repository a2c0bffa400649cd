// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_ring_malformed.c - one end that breaks the rules, and what the other end makes of it
 *
 * A bad chain costs its sender that chain (-RING_EPROTO, head consumed); a bad ring costs it the ring
 * (-RING_EINVAL).
 */
#include "ring_rig.h"

#define NEXT     RING_DESC_F_NEXT
#define WRITE    RING_DESC_F_WRITE
#define INDIRECT RING_DESC_F_INDIRECT

static int token_a, token_b;

/* Offer head 0, expect it to be refused, and a good chain after it to be served. */
static void assert_chain_refused(struct rig *g)
{
    rig_offer(g, 0);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), -RING_EPROTO);
    assert_int_equal(g->chain.head, 0);
    rig_desc(g)[g->size - 1] = (struct ring_desc){RIG_DATA, 8, 0, 0};
    rig_offer(g, (uint16_t)(g->size - 1));
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
    assert_int_equal(g->chain.out_len, 8);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 0);
}

static void test_loop_of_descriptors_is_refused(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);

    for (uint16_t i = 0; i < 7; i++)
        rig_desc(g)[i] =
            (struct ring_desc){RIG_DATA + i * 64u, 8, NEXT, (uint16_t)(i == 6 ? 2 : i + 1)};
    assert_chain_refused(g);
    rig_free(g);
}

static void test_descriptor_that_names_itself_is_refused(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);

    rig_desc(g)[0] = (struct ring_desc){RIG_DATA, 0, NEXT, 0};
    assert_chain_refused(g);
    rig_free(g);
}

static void test_loop_in_an_indirect_table_is_refused(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, RIG_INDIRECT);

    rig_desc(g)[0] = (struct ring_desc){rig_table_bus(), 32, INDIRECT, 0};
    rig_table(g)[0] = (struct ring_desc){RIG_DATA, 0, NEXT, 1};
    rig_table(g)[1] = (struct ring_desc){RIG_DATA, 0, NEXT, 0};
    assert_chain_refused(g);
    rig_free(g);
}

static void test_huge_indirect_table_of_empty_entries_ends(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, RIG_INDIRECT);
    uint32_t n = 60000;

    rig_desc(g)[0] = (struct ring_desc){rig_table_bus(), n * 16, INDIRECT, 0};
    for (uint32_t i = 0; i < n; i++)
        rig_table(g)[i] = (struct ring_desc){RIG_DATA, 0, NEXT, (uint16_t)(i + 1)};
    assert_chain_refused(g);
    rig_free(g);
}

static void test_next_outside_the_table_is_refused(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, RIG_INDIRECT);

    rig_desc(g)[0] = (struct ring_desc){RIG_DATA, 8, NEXT, 8};
    assert_chain_refused(g);
    rig_desc(g)[0] = (struct ring_desc){rig_table_bus(), 32, INDIRECT, 0};
    rig_table(g)[0] = (struct ring_desc){RIG_DATA, 8, NEXT, 2};
    rig_table(g)[2] = (struct ring_desc){RIG_DATA, 8, 0, 0};
    assert_chain_refused(g);
    rig_free(g);
}

static void test_address_outside_memory_is_refused(void **state)
{
    (void)state;
    static const uint64_t bad[] = {0,           RIG_BUS - 1, RIG_END,
                                   RIG_END - 4, UINT64_MAX,  UINT64_MAX - 7};
    struct rig *g = rig_new(8, 0);

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rig_desc(g)[0] = (struct ring_desc){bad[i], 8, 0, 0};
        assert_chain_refused(g);
    }
    rig_free(g);
}

static void test_length_that_wraps_the_address_space_is_refused(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);

    /* Would wrap to RIG_BUS, which is memory. */
    rig_desc(g)[0] = (struct ring_desc){UINT64_MAX - 0xff, 0x10000 + 0x200, 0, 0};
    assert_chain_refused(g);
    rig_free(g);
}

static void test_length_beyond_memory_is_refused(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);

    rig_desc(g)[0] = (struct ring_desc){RIG_DATA, UINT32_MAX, WRITE, 0};
    assert_chain_refused(g);
    rig_free(g);
}

/* The first region named 1024 times, 4 GiB in all, less what the last one lacks. */
static void fill_4_gib(struct rig *g, uint32_t less)
{
    for (uint16_t i = 0; i < 1024; i++)
        rig_desc(g)[i] = (struct ring_desc){RIG_BUS, RIG_REGION, NEXT | WRITE, (uint16_t)(i + 1)};
    rig_desc(g)[1023] = (struct ring_desc){RIG_BUS, RIG_REGION - less, WRITE, 0};
}

static void test_chain_of_4_gib_is_refused(void **state)
{
    (void)state;
    struct rig *g = rig_new(2048, 0);

    fill_4_gib(g, 0);
    assert_chain_refused(g);
    rig_free(g);
}

static void test_chain_of_one_byte_less_than_4_gib_is_served(void **state)
{
    (void)state;
    struct rig *g = rig_new(2048, 0);

    fill_4_gib(g, 1);
    rig_offer(g, 0);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
    assert_int_equal(g->chain.in_len, UINT32_MAX);
    rig_free(g);
}

static void test_readable_after_writable_is_refused(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);

    rig_desc(g)[0] = (struct ring_desc){RIG_DATA, 8, NEXT | WRITE, 1};
    rig_desc(g)[1] = (struct ring_desc){RIG_DATA + 64, 8, 0, 0};
    assert_chain_refused(g);
    rig_free(g);
}

static void test_empty_descriptors_are_skipped(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);

    rig_desc(g)[0] = (struct ring_desc){0, 0, NEXT, 1}; /* its address is not looked at */
    rig_desc(g)[1] = (struct ring_desc){RIG_DATA, 8, NEXT, 2};
    rig_desc(g)[2] = (struct ring_desc){UINT64_MAX, 0, NEXT | WRITE, 3};
    rig_desc(g)[3] = (struct ring_desc){RIG_DATA + 64, 16, WRITE, 0};
    rig_offer(g, 0);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
    assert_int_equal(g->chain.n_out, 1);
    assert_int_equal(g->chain.n_in, 1);
    assert_int_equal(g->chain.in_len, 16);
    rig_free(g);
}

static void test_chain_of_nothing_is_a_chain_without_segments(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);

    rig_desc(g)[0] = (struct ring_desc){0, 0, 0, 0};
    rig_offer(g, 0);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
    assert_int_equal(g->chain.n_out + g->chain.n_in, 0);
    assert_int_equal(g->chain.out_len + g->chain.in_len, 0);
    rig_free(g);
}

static void test_indirect_without_negotiation_is_refused(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);

    rig_desc(g)[0] = (struct ring_desc){rig_table_bus(), 16, INDIRECT, 0};
    rig_table(g)[0] = (struct ring_desc){RIG_DATA, 8, 0, 0};
    assert_chain_refused(g);
    rig_free(g);
}

static void test_nested_indirect_is_refused(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, RIG_INDIRECT);

    rig_desc(g)[0] = (struct ring_desc){rig_table_bus(), 32, INDIRECT, 0};
    rig_table(g)[0] = (struct ring_desc){RIG_DATA, 8, NEXT, 1};
    rig_table(g)[1] = (struct ring_desc){rig_table_bus(), 32, INDIRECT, 0};
    assert_chain_refused(g);
    rig_free(g);
}

static void test_indirect_and_next_together_are_refused(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, RIG_INDIRECT);

    rig_desc(g)[0] = (struct ring_desc){rig_table_bus(), 16, INDIRECT | NEXT, 1};
    rig_desc(g)[1] = (struct ring_desc){RIG_DATA, 8, 0, 0};
    rig_table(g)[0] = (struct ring_desc){RIG_DATA, 8, 0, 0};
    assert_chain_refused(g);
    rig_free(g);
}

static void test_indirect_table_of_a_bad_length_is_refused(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0, 1, 15, 17, 24, UINT32_MAX};
    struct rig *g = rig_new(8, RIG_INDIRECT);

    rig_table(g)[0] = (struct ring_desc){RIG_DATA, 8, 0, 0};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rig_desc(g)[0] = (struct ring_desc){rig_table_bus(), bad[i], INDIRECT, 0};
        assert_chain_refused(g);
    }
    rig_free(g);
}

static void test_indirect_table_outside_memory_is_refused(void **state)
{
    (void)state;
    static const uint64_t bad[] = {0, RIG_END, UINT64_MAX, UINT64_MAX - 15, UINT64_MAX - 16};
    struct rig *g = rig_new(8, RIG_INDIRECT);

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        rig_desc(g)[0] = (struct ring_desc){bad[i], 16, INDIRECT, 0};
        assert_chain_refused(g);
    }
    rig_free(g);
}

static void test_indirect_table_that_runs_out_of_memory_is_refused_where_it_does(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, RIG_INDIRECT);
    uint64_t bus = RIG_END - 16;

    rig_desc(g)[0] = (struct ring_desc){bus, 32, INDIRECT, 0};
    *(struct ring_desc *)(void *)rig_at(g, bus) = (struct ring_desc){RIG_DATA, 8, NEXT, 1};
    assert_chain_refused(g);
    rig_free(g);
}

static void test_indirect_table_across_two_regions_is_read_whole(void **state)
{
    (void)state;
    /* 16: the seam is between two entries; the others: inside one, and with a misaligned table. */
    static const unsigned before[] = {16, 24, 17, 31};

    for (unsigned k = 0; k < sizeof(before) / sizeof(before[0]); k++) {
        struct rig *g = rig_new(8, RIG_INDIRECT);
        uint64_t bus = RIG_SEAM - before[k];
        struct ring_desc t[3] = {
            {RIG_DATA, 8, NEXT, 1},
            {RIG_DATA + 64, 9, NEXT, 2},
            {RIG_DATA + 128, 10, WRITE, 0},
        };
        for (unsigned i = 0; i < sizeof(t); i++)
            *rig_at(g, bus + i) = ((uint8_t *)t)[i];
        rig_desc(g)[0] = (struct ring_desc){bus, sizeof(t), INDIRECT, 0};
        rig_offer(g, 0);
        assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
        assert_int_equal(g->chain.n_out, 2);
        assert_int_equal(g->chain.out_len, 17);
        assert_int_equal(g->chain.in_len, 10);
        rig_free(g);
    }
}

static void test_misaligned_indirect_table_is_read(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, RIG_INDIRECT);
    struct ring_desc t = {RIG_DATA, 8, 0, 0};

    for (unsigned i = 0; i < sizeof(t); i++)
        *rig_at(g, rig_table_bus() + 3 + i) = ((uint8_t *)&t)[i];
    rig_desc(g)[0] = (struct ring_desc){rig_table_bus() + 3, sizeof(t), INDIRECT, 0};
    rig_offer(g, 0);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
    assert_int_equal(g->chain.out_len, 8);
    rig_free(g);
}

/* An indirect chain of @n segments that do not touch each other. */
static void offer_many(struct rig *g, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        rig_table(g)[i] = (struct ring_desc){RIG_DATA + i * 64, 8, NEXT, (uint16_t)(i + 1)};
    rig_table(g)[n - 1].flags = 0;
    rig_desc(g)[0] = (struct ring_desc){rig_table_bus(), n * 16, INDIRECT, 0};
}

static void test_as_many_segments_as_promised_are_served(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, RIG_INDIRECT);

    offer_many(g, RING_MAX_SEGS);
    rig_offer(g, 0);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
    assert_int_equal(g->chain.n_out, RING_MAX_SEGS);
    rig_free(g);
}

static void test_one_segment_more_is_refused(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, RIG_INDIRECT);

    offer_many(g, RING_MAX_SEGS + 1);
    assert_chain_refused(g);
    rig_free(g);
}

static void test_head_out_of_range_breaks_the_ring(void **state)
{
    (void)state;
    static const uint16_t bad[] = {8, 9, 0x8000, 0xffff};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rig *g = rig_new(8, 0);
        rig_offer(g, bad[i]);
        assert_int_equal(ring_dev_pop(&g->dev, &g->chain), -RING_EINVAL);
        assert_int_equal(ring_dev_pop(&g->dev, &g->chain), -RING_EINVAL);
        rig_free(g);
    }
}

static void test_available_index_too_far_ahead_breaks_the_ring(void **state)
{
    (void)state;
    static const uint16_t bad[] = {9, 100, 0x8000, 0xffff};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rig *g = rig_new(8, 0);
        rig_avail(g)->idx = bad[i];
        assert_int_equal(ring_dev_pop(&g->dev, &g->chain), -RING_EINVAL);
        assert_int_equal(ring_dev_waiting(&g->dev), 8); /* never more than fit */
        rig_free(g);
    }
}

static void test_available_index_that_goes_back_is_not_followed(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, 0);

    rig_desc(g)[0] = (struct ring_desc){RIG_DATA, 8, 0, 0};
    rig_offer(g, 0);
    rig_offer(g, 0);
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1);
    rig_avail(g)->idx = 0;
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), 1); /* was promised before */
    assert_int_equal(ring_dev_pop(&g->dev, &g->chain), -RING_EINVAL);
    rig_free(g);
}

static void test_bad_sizes_and_misaligned_areas_are_refused(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0, 3, 12, 32769, 65536, UINT32_MAX};
    struct rig *g = rig_new(8, 0);
    uint8_t *m = g->region[0];

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(
            ring_dev_init(&g->dev, bad[i], m, m + RIG_AVAIL, m + RIG_USED, 0, 0, rig_translate, g),
            -RING_EINVAL);
        assert_int_equal(
            ring_drv_init(&g->drv, bad[i], m, m + RIG_AVAIL, m + RIG_USED, g->slots, 0),
            -RING_EINVAL);
    }
    assert_int_equal(
        ring_dev_init(&g->dev, 8, m + 8, m + RIG_AVAIL, m + RIG_USED, 0, 0, rig_translate, g),
        -RING_EINVAL);
    assert_int_equal(
        ring_dev_init(&g->dev, 8, m, m + RIG_AVAIL + 1, m + RIG_USED, 0, 0, rig_translate, g),
        -RING_EINVAL);
    assert_int_equal(
        ring_dev_init(&g->dev, 8, m, m + RIG_AVAIL, m + RIG_USED + 2, 0, 0, rig_translate, g),
        -RING_EINVAL);
    rig_free(g);
}

/* ---- callers of the driver side ------------------------------------------------------------- */

static void test_driver_refuses_chains_that_break_the_rules(void **state)
{
    (void)state;
    struct rig *g = rig_new(8, RIG_INDIRECT);
    struct ring_drv *d = &g->drv;
    struct ring_bus_seg ok[9] = {{RIG_DATA, 8}, {RIG_DATA, 8}};
    struct ring_bus_seg empty[2] = {{RIG_DATA, 8}, {RIG_DATA, 0}};
    struct ring_bus_seg big[2] = {{RIG_DATA, UINT32_MAX}, {RIG_DATA, 1}};

    for (unsigned i = 0; i < 9; i++)
        ok[i] = (struct ring_bus_seg){RIG_DATA, 8};
    assert_int_equal(ring_drv_add(d, ok, 0, 0, NULL, 0, &token_a), -RING_EINVAL);
    assert_int_equal(ring_drv_add(d, ok, 1, 1, NULL, 0, NULL), -RING_EINVAL);
    assert_int_equal(ring_drv_add(d, ok, 5, 4, NULL, 0, &token_a), -RING_EINVAL);
    assert_int_equal(ring_drv_add(d, ok, UINT32_MAX, 1, NULL, 0, &token_a), -RING_EINVAL);
    assert_int_equal(ring_drv_add(d, ok, 1, UINT32_MAX, rig_table(g), rig_table_bus(), &token_a),
                     -RING_EINVAL);
    assert_int_equal(ring_drv_add(d, empty, 1, 1, NULL, 0, &token_a), -RING_EINVAL);
    assert_int_equal(ring_drv_add(d, big, 0, 2, NULL, 0, &token_a), -RING_EINVAL);
    assert_int_equal(d->n_free, 8);
    assert_false(ring_drv_publish(d));
    rig_free(g);
}

/* ---- a device that breaks the rules ---------------------------------------------------------- */

/* Put a used element as a device without scruples would. */
static void rig_return(struct rig *g, uint32_t id, uint32_t len)
{
    struct ring_used *u = rig_used(g);

    u->ring[u->idx & (g->size - 1)] = (struct ring_used_elem){id, len};
    u->idx++;
}

static struct rig *rig_with_two_in_flight(void)
{
    struct rig *g = rig_new(8, 0);

    assert_int_equal(rig_add_pair(g, &token_a), 0); /* heads 0 and 2 */
    assert_int_equal(rig_add_pair(g, &token_b), 0);
    ring_drv_publish(&g->drv);
    return g;
}

static void assert_device_caught(struct rig *g)
{
    void *token = NULL;
    uint32_t len;

    assert_int_equal(ring_drv_get(&g->drv, &token, &len), -RING_EPROTO);
    assert_null(token);
    assert_int_equal(g->drv.n_free, 4);
    assert_ptr_equal(ring_drv_reclaim(&g->drv), &token_a);
    assert_ptr_equal(ring_drv_reclaim(&g->drv), &token_b);
    assert_null(ring_drv_reclaim(&g->drv));
    rig_free(g);
}

static void test_used_id_out_of_range_is_caught(void **state)
{
    (void)state;
    static const uint32_t bad[] = {8, 0x10000, 0x10002, UINT32_MAX};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rig *g = rig_with_two_in_flight();
        rig_return(g, bad[i], 0);
        assert_device_caught(g);
    }
}

static void test_used_id_that_is_no_head_is_caught(void **state)
{
    (void)state;
    struct rig *g = rig_with_two_in_flight();

    rig_return(g, 1, 0);
    assert_device_caught(g);
}

static void test_used_id_that_is_free_is_caught(void **state)
{
    (void)state;
    struct rig *g = rig_with_two_in_flight();

    rig_return(g, 6, 0);
    assert_device_caught(g);
}

static void test_used_length_beyond_what_was_offered_is_caught(void **state)
{
    (void)state;
    struct rig *g = rig_with_two_in_flight();

    rig_return(g, 0, 101); /* 100 writable; the readable part does not count */
    assert_device_caught(g);
}

static void test_used_index_that_jumps_is_caught(void **state)
{
    (void)state;
    static const uint16_t bad[] = {5, 9, 0x8000, 0xffff};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct rig *g = rig_with_two_in_flight();
        rig_used(g)->idx = bad[i];
        assert_device_caught(g);
    }
}

static void test_chain_returned_twice_is_caught(void **state)
{
    (void)state;
    struct rig *g = rig_with_two_in_flight();
    void *token;
    uint32_t len;

    rig_return(g, 2, 5);
    rig_return(g, 2, 5);
    assert_int_equal(ring_drv_get(&g->drv, &token, &len), 1);
    assert_ptr_equal(token, &token_b);
    assert_int_equal(ring_drv_get(&g->drv, &token, &len), -RING_EPROTO);
    assert_ptr_equal(ring_drv_reclaim(&g->drv), &token_a);
    assert_null(ring_drv_reclaim(&g->drv));
    rig_free(g);
}

static void test_driver_never_reads_its_descriptors_back(void **state)
{
    (void)state;
    struct rig *g = rig_with_two_in_flight();
    void *token;
    uint32_t len;

    for (unsigned i = 0; i < 8; i++)
        rig_desc(g)[i] = (struct ring_desc){UINT64_MAX, UINT32_MAX, 0xffff, 0xffff};
    rig_return(g, 0, 1);
    rig_return(g, 2, 1);
    assert_int_equal(ring_drv_get(&g->drv, &token, &len), 1);
    assert_int_equal(ring_drv_get(&g->drv, &token, &len), 1);
    assert_int_equal(g->drv.n_free, 8);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(rig_add_pair(g, &token_a), 0);
    rig_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loop_of_descriptors_is_refused),
        cmocka_unit_test(test_descriptor_that_names_itself_is_refused),
        cmocka_unit_test(test_loop_in_an_indirect_table_is_refused),
        cmocka_unit_test(test_huge_indirect_table_of_empty_entries_ends),
        cmocka_unit_test(test_next_outside_the_table_is_refused),
        cmocka_unit_test(test_address_outside_memory_is_refused),
        cmocka_unit_test(test_length_that_wraps_the_address_space_is_refused),
        cmocka_unit_test(test_length_beyond_memory_is_refused),
        cmocka_unit_test(test_chain_of_4_gib_is_refused),
        cmocka_unit_test(test_chain_of_one_byte_less_than_4_gib_is_served),
        cmocka_unit_test(test_readable_after_writable_is_refused),
        cmocka_unit_test(test_empty_descriptors_are_skipped),
        cmocka_unit_test(test_chain_of_nothing_is_a_chain_without_segments),
        cmocka_unit_test(test_indirect_without_negotiation_is_refused),
        cmocka_unit_test(test_nested_indirect_is_refused),
        cmocka_unit_test(test_indirect_and_next_together_are_refused),
        cmocka_unit_test(test_indirect_table_of_a_bad_length_is_refused),
        cmocka_unit_test(test_indirect_table_outside_memory_is_refused),
        cmocka_unit_test(test_indirect_table_that_runs_out_of_memory_is_refused_where_it_does),
        cmocka_unit_test(test_indirect_table_across_two_regions_is_read_whole),
        cmocka_unit_test(test_misaligned_indirect_table_is_read),
        cmocka_unit_test(test_as_many_segments_as_promised_are_served),
        cmocka_unit_test(test_one_segment_more_is_refused),
        cmocka_unit_test(test_head_out_of_range_breaks_the_ring),
        cmocka_unit_test(test_available_index_too_far_ahead_breaks_the_ring),
        cmocka_unit_test(test_available_index_that_goes_back_is_not_followed),
        cmocka_unit_test(test_bad_sizes_and_misaligned_areas_are_refused),
        cmocka_unit_test(test_driver_refuses_chains_that_break_the_rules),
        cmocka_unit_test(test_used_id_out_of_range_is_caught),
        cmocka_unit_test(test_used_id_that_is_no_head_is_caught),
        cmocka_unit_test(test_used_id_that_is_free_is_caught),
        cmocka_unit_test(test_used_length_beyond_what_was_offered_is_caught),
        cmocka_unit_test(test_used_index_that_jumps_is_caught),
        cmocka_unit_test(test_chain_returned_twice_is_caught),
        cmocka_unit_test(test_driver_never_reads_its_descriptors_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
