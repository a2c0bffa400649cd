// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_vhost_lookout.c - how often a worker looks for work before it sleeps
 */
// clang-format off: cmocka.h needs these first
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "virtiofsd/vhost/lookout.h"

#define FAST_NS 1000u
#define SLOW_NS 3000000u

/* One wait in which work appears at look @at (0: never). Return: looks spent. */
static unsigned wait(struct lookout *l, unsigned at, uint64_t ns)
{
    bool timed;
    unsigned looks = lookout_begin(l, &timed);

    if (looks == 0)
        return 0;
    unsigned found = at > 0 && at <= looks ? at : 0;
    lookout_end(l, found, timed ? ns : 0);
    return found ? found : looks;
}

static unsigned waits(struct lookout *l, unsigned n, unsigned at, uint64_t ns)
{
    unsigned looks = 0;

    while (n-- > 0)
        looks += wait(l, at, ns);
    return looks;
}

static void test_the_first_wait_is_a_trial(void **state)
{
    struct lookout l = {0};
    (void)state;

    assert_int_equal(wait(&l, 0, FAST_NS), LOOKOUT_TRIAL);
}

static void test_work_that_is_always_there_is_always_looked_for(void **state)
{
    struct lookout l = {0};
    (void)state;

    assert_int_equal(waits(&l, 1000, 1, FAST_NS), 1000);
    assert_in_range(l.looks, 4, 11);
}

static void test_late_work_on_a_shared_cpu_is_not_looked_for(void **state)
{
    struct lookout l = {0};
    (void)state;

    /* Each look gave the CPU away for 3 us: after the trial hardly ever again. */
    assert_in_range(waits(&l, 1000, 15, 15 * 3000), 15, 15 * 40);
    l = (struct lookout){0};
    assert_int_equal(waits(&l, 1000, 2, 2 * 3000), 2000); /* but two such looks still pay */
}

static void test_work_that_comes_late_is_still_found(void **state)
{
    struct lookout l = {0};
    (void)state;

    waits(&l, 100, 30, FAST_NS);
    assert_int_equal(wait(&l, 60, FAST_NS), 60);
}

static void test_one_miss_is_forgiven_and_two_in_a_row_are_not(void **state)
{
    struct lookout l = {0};
    (void)state;

    waits(&l, 100, 1, FAST_NS);
    wait(&l, 0, FAST_NS);
    assert_int_equal(wait(&l, 1, FAST_NS), 1);
    wait(&l, 0, FAST_NS);
    wait(&l, 0, FAST_NS);
    assert_int_equal(wait(&l, 1, FAST_NS), 0);
}

static void test_an_idle_guest_costs_half_a_look_a_wait(void **state)
{
    struct lookout l = {0};
    (void)state;

    waits(&l, 500, 0, FAST_NS);
    assert_in_range(waits(&l, 65000, 0, FAST_NS), 1, 65000 / 2);
}

static void test_a_guest_that_wakes_up_is_noticed_within_64_waits(void **state)
{
    struct lookout l = {0};
    (void)state;

    waits(&l, 10000, 0, FAST_NS);
    waits(&l, LOOKOUT_REST_IDLE + 1, 1, FAST_NS);
    assert_int_equal(waits(&l, 100, 1, FAST_NS), 100);
}

static void test_a_crowded_cpu_is_left_alone(void **state)
{
    struct lookout l = {0};
    (void)state;

    waits(&l, 10000, 1, SLOW_NS);
    assert_in_range(waits(&l, 40960, 1, SLOW_NS), 1, 20);
}

static void test_a_cpu_that_is_crowded_half_of_the_time_is_left_alone_too(void **state)
{
    struct lookout l = {0};
    uint32_t random = 1;
    unsigned looks = 0;
    (void)state;

    for (unsigned i = 0; i < 50000; i++) {
        random = random * 1664525 + 1013904223;
        looks += wait(&l, 1, random >> 31 ? SLOW_NS : FAST_NS) > 0;
    }
    assert_in_range(looks, 1, 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_wait_is_a_trial),
        cmocka_unit_test(test_work_that_is_always_there_is_always_looked_for),
        cmocka_unit_test(test_late_work_on_a_shared_cpu_is_not_looked_for),
        cmocka_unit_test(test_work_that_comes_late_is_still_found),
        cmocka_unit_test(test_one_miss_is_forgiven_and_two_in_a_row_are_not),
        cmocka_unit_test(test_an_idle_guest_costs_half_a_look_a_wait),
        cmocka_unit_test(test_a_guest_that_wakes_up_is_noticed_within_64_waits),
        cmocka_unit_test(test_a_crowded_cpu_is_left_alone),
        cmocka_unit_test(test_a_cpu_that_is_crowded_half_of_the_time_is_left_alone_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
