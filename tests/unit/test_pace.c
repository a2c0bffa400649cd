// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_pace.c - rates and slots, on a clock that the test turns
 *
 * Queues are stood for by numbers: vq_index() and vq_wake() here take the place of the back end's.
 */
// clang-format off: cmocka.h needs these first
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdbool.h>
#include <string.h>

#include "server/pace.h"

#define SECOND UINT64_C(1000000000)
#define START  (5 * SECOND)
#define MIB    (UINT64_C(1) << 20)

struct vq {
    unsigned index, woken;
};

unsigned vq_index(const struct vq *vq)
{
    return vq->index;
}

void vq_wake(struct vq *vq)
{
    vq->woken++;
}

static struct pace pace;
static struct vq first = {.index = 1}, second = {.index = 2}, last = {.index = 64};

static int fresh(void **state)
{
    (void)state;
    memset(&pace, 0, sizeof(pace));
    first.woken = second.woken = last.woken = 0;
    return 0;
}

static void limits(int64_t ops, int64_t bandwidth, int in_flight)
{
    pace_init(&pace, &(struct conf){.limit_ops = ops,
                                    .limit_bandwidth = bandwidth,
                                    .limit_in_flight = in_flight});
}

/* Ask for @ns whenever it is allowed. Return: how often it was, each time using @bytes. */
static unsigned served_in(uint64_t ns, uint64_t bytes)
{
    uint64_t now = START, wait;
    unsigned n = 0;

    for (; now < START + ns; now += wait) {
        wait = pace_pause(&pace, &first, now);
        if (wait == 0) {
            pace_begin(&pace, 1, now);
            bucket_take(&pace.bytes, bytes, now);
            n++;
        }
    }
    return n;
}

static void test_operations_come_to_the_rate_and_one_burst(void **state)
{
    (void)state;
    limits(1000, 0, 0);
    assert_in_range(served_in(2 * SECOND, 0), 2000, 2101);
}

static void test_a_rate_of_one_a_second_lets_one_pass_each_second(void **state)
{
    (void)state;
    limits(1, 0, 0);
    assert_in_range(served_in(10 * SECOND, 0), 10, 11);
}

static void test_bytes_come_to_the_bandwidth_and_one_burst(void **state)
{
    (void)state;
    limits(0, 100 * MIB, 0);
    assert_in_range(served_in(2 * SECOND, MIB), 200, 211);
}

static void test_the_tighter_of_two_limits_decides(void **state)
{
    (void)state;
    limits(50, 100 * MIB, 0);
    assert_in_range(served_in(2 * SECOND, MIB), 100, 106);
}

static void test_large_request_passes_and_the_next_waits_for_it(void **state)
{
    (void)state;
    limits(0, MIB, 0);
    assert_int_equal(pace_pause(&pace, &first, START), 0);
    bucket_take(&pace.bytes, 10 * MIB, START);
    assert_int_equal(pace_pause(&pace, &first, START), 10 * SECOND - BUCKET_BURST_NS);
    assert_int_equal(pace_pause(&pace, &first, START + 10 * SECOND), 0);
}

static void test_what_was_not_used_is_paid_back(void **state)
{
    (void)state;
    limits(0, MIB, 0);
    bucket_take(&pace.bytes, 10 * MIB, START);
    pace_bytes_unused(&pace, &first, 10 * MIB);
    assert_in_range(pace_pause(&pace, &first, START), 0, 1);
    pace_bytes_unused(&pace, &first, UINT64_C(1) << 33); /* more than there ever was */
    assert_int_equal(pace_pause(&pace, &first, START), 0);
}

static void test_idle_time_is_saved_up_for_one_burst_only(void **state)
{
    (void)state;
    limits(1000, 0, 0);
    pace_begin(&pace, 1, START);
    uint64_t now = START + 3600 * SECOND;
    unsigned n = 0;
    for (; pace_pause(&pace, &first, now) == 0; n++)
        pace_begin(&pace, 1, now);
    assert_in_range(n, 100, 101);
}

/* Two queues that always want to, @a the first to be asked each time; their requests move so many bytes. */
static void contend(uint64_t bytes_a, uint64_t bytes_b, uint64_t got[2])
{
    struct vq *queue[] = {&first, &second};
    uint64_t due[2] = {START, START}, bytes[2] = {bytes_a, bytes_b};

    for (uint64_t now = START; now < START + 2 * SECOND; now += SECOND / 20000) {
        for (unsigned i = 0; i < 2; i++) {
            if (due[i] > now)
                continue;
            uint64_t wait = pace_pause(&pace, queue[i], now);
            due[i] = now + wait;
            if (wait == 0) {
                pace_begin(&pace, i + 1, now);
                pace_bytes_at(&pace, queue[i], bytes[i], now);
                got[i] += bytes[i];
            }
        }
    }
}

static void test_queue_that_is_always_asked_last_gets_its_half(void **state)
{
    uint64_t got[2] = {0, 0};
    (void)state;

    limits(1000, 0, 0);
    contend(1, 1, got);
    assert_in_range(got[0] + got[1], 1950, 2110);
    assert_in_range(got[1], got[0] * 9 / 10, got[0] * 11 / 10);
}

static void test_queue_of_small_requests_gets_its_half_of_the_bandwidth(void **state)
{
    uint64_t got[2] = {0, 0};
    (void)state;

    limits(0, 20 * MIB, 0);
    contend(MIB / 4, 4096, got);
    assert_in_range(got[0] + got[1], 39 * MIB, 43 * MIB);
    assert_in_range(got[1], got[0] * 8 / 10, got[0] * 12 / 10);
}

static void test_queue_that_stopped_holds_nobody_up(void **state)
{
    (void)state;
    limits(1000, 0, 0);
    while (pace_pause(&pace, &second, START) == 0)
        pace_begin(&pace, 2, START);
    uint64_t got[2] = {0, 0}, now = START, wait;
    for (; now < START + 2 * SECOND; now += wait) {
        wait = pace_pause(&pace, &first, now);
        if (wait == 0) {
            pace_begin(&pace, 1, now);
            got[0]++;
        }
    }
    assert_in_range(got[0], 1990, 2101);
}

static void test_time_that_queues_wait_is_counted_once_it_is_over(void **state)
{
    (void)state;
    limits(10, 0, 0);
    pace_begin(&pace, 1, START);
    pace_begin(&pace, 1, START);
    uint64_t wait = pace_pause(&pace, &first, START);
    assert_true(wait > 0);
    assert_true(pace_pause(&pace, &first, START + wait / 2) > 0);
    assert_int_equal(pace.paused_ns, 0);
    assert_int_equal(pace_pause(&pace, &first, START + wait), 0);
    assert_int_equal(pace.paused_ns, wait);
}

static void test_no_more_slots_than_the_limit_over_all_queues(void **state)
{
    (void)state;
    limits(0, 0, 2);
    assert_int_equal(pace_pause(&pace, &first, START), 0);
    assert_int_equal(pace_pause(&pace, &second, START), 0);
    assert_int_equal(pace_pause(&pace, &last, START), VU_UNTIL_WOKEN);
    assert_true(pace_begin(&pace, 1, START));
    assert_int_equal(pace_pause(&pace, &first, START), VU_UNTIL_WOKEN);
    pace_release(&pace);
    assert_int_equal(last.woken, 1);
    assert_int_equal(first.woken, 1);
    assert_int_equal(second.woken, 0);
    assert_int_equal(pace_pause(&pace, &last, START), 0);
}

static void test_slot_that_no_chain_used_is_kept_for_the_next_one(void **state)
{
    (void)state;
    limits(0, 0, 1);
    assert_int_equal(pace_pause(&pace, &first, START), 0);
    assert_int_equal(pace_pause(&pace, &first, START), 0);
    assert_int_equal(pace.in_flight, 1);
}

static void test_reset_frees_all_slots(void **state)
{
    (void)state;
    limits(0, 0, 1);
    assert_int_equal(pace_pause(&pace, &first, START), 0);
    pace_reset(&pace);
    assert_int_equal(pace_pause(&pace, &second, START), 0);
}

static void test_a_copy_is_cut_to_a_seconds_worth(void **state)
{
    (void)state;
    limits(0, 100000, 0);
    assert_int_equal(pace_most_at_once(&pace, 1 << 30), 98304);
    assert_int_equal(pace_most_at_once(&pace, 5), 5);
    limits(0, 0, 1);
    assert_int_equal(pace_most_at_once(&pace, 1 << 30), 1 << 30);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_operations_come_to_the_rate_and_one_burst, fresh),
        cmocka_unit_test_setup(test_a_rate_of_one_a_second_lets_one_pass_each_second, fresh),
        cmocka_unit_test_setup(test_bytes_come_to_the_bandwidth_and_one_burst, fresh),
        cmocka_unit_test_setup(test_the_tighter_of_two_limits_decides, fresh),
        cmocka_unit_test_setup(test_large_request_passes_and_the_next_waits_for_it, fresh),
        cmocka_unit_test_setup(test_what_was_not_used_is_paid_back, fresh),
        cmocka_unit_test_setup(test_idle_time_is_saved_up_for_one_burst_only, fresh),
        cmocka_unit_test_setup(test_queue_that_is_always_asked_last_gets_its_half, fresh),
        cmocka_unit_test_setup(test_queue_of_small_requests_gets_its_half_of_the_bandwidth, fresh),
        cmocka_unit_test_setup(test_queue_that_stopped_holds_nobody_up, fresh),
        cmocka_unit_test_setup(test_time_that_queues_wait_is_counted_once_it_is_over, fresh),
        cmocka_unit_test_setup(test_no_more_slots_than_the_limit_over_all_queues, fresh),
        cmocka_unit_test_setup(test_slot_that_no_chain_used_is_kept_for_the_next_one, fresh),
        cmocka_unit_test_setup(test_reset_frees_all_slots, fresh),
        cmocka_unit_test_setup(test_a_copy_is_cut_to_a_seconds_worth, fresh),
    };

    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
