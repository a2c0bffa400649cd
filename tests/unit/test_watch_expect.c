// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_watch_expect.c - which events are of the daemon's own making, by their place in the stream
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "watch/expect.h"
#include "watch/watch.h"

#define DIR 7u
#define ALL (~0u)

static struct expects *xs;

static int up(void **state)
{
    (void)state;
    return expects_new(&xs);
}

static int down(void **state)
{
    (void)state;
    expects_free(xs);
    return 0;
}

static struct expected *begin(const char *name, unsigned kinds, uint64_t from)
{
    return expect_begin(xs, DIR, name, 1, kinds, from);
}

static bool ours(const char *name, unsigned kinds, uint64_t at)
{
    return expect_ours(xs, DIR, name, 1, kinds, at);
}

static void test_event_between_the_positions_is_ours(void **state)
{
    (void)state;
    struct expected *e = begin("f", WATCH_MODIFY, 100);

    assert_int_equal(expect_end(xs, e, 132, ALL), 0);
    assert_false(ours("f", WATCH_MODIFY, 84));
    assert_false(ours("f", WATCH_MODIFY, 132));
    assert_true(ours("f", WATCH_MODIFY, 100));
}

static void test_event_counts_once(void **state)
{
    (void)state;
    struct expected *e = begin("f", WATCH_MODIFY, 100);

    assert_true(ours("f", WATCH_MODIFY, 100));
    assert_false(ours("f", WATCH_MODIFY, 116));
    assert_int_equal(expect_end(xs, e, 132, ALL), 0);
    assert_int_equal(expect_count(xs), 0); /* nothing more to wait for */
}

static void test_other_names_kinds_and_directories_are_not_ours(void **state)
{
    (void)state;
    struct expected *e = begin("f", WATCH_MODIFY | WATCH_ATTRIB, 0);

    assert_false(ours("g", WATCH_MODIFY, 10));
    assert_false(ours("f", WATCH_DELETE, 10));
    assert_false(ours("f", WATCH_MODIFY | WATCH_DELETE, 10));
    assert_false(expect_ours(xs, DIR + 1, "f", 1, WATCH_MODIFY, 10));
    assert_true(ours("f", WATCH_MODIFY | WATCH_ATTRIB, 10));
    (void)expect_end(xs, e, 20, ALL);
}

static void test_two_requests_account_for_two_events(void **state)
{
    (void)state;
    struct expected *a = begin("f", WATCH_MODIFY, 0), *b = begin("f", WATCH_MODIFY, 0);

    assert_true(ours("f", WATCH_MODIFY, 10));
    assert_true(ours("f", WATCH_MODIFY, 26));
    assert_false(ours("f", WATCH_MODIFY, 42));
    (void)expect_end(xs, a, 64, ALL);
    (void)expect_end(xs, b, 64, ALL);
}

static void test_request_is_forgotten_when_the_stream_has_been_read(void **state)
{
    (void)state;
    struct expected *a = begin("f", WATCH_MODIFY, 0), *b = begin("g", WATCH_MODIFY, 0);

    (void)expect_end(xs, a, 64, ALL);
    (void)expect_end(xs, b, 80, ALL);
    expect_read(xs, 63);
    assert_int_equal(expect_count(xs), 2);
    expect_read(xs, 64);
    assert_int_equal(expect_count(xs), 1);
    expect_read(xs, 4096);
    assert_int_equal(expect_count(xs), 0);
    struct expected *late = begin("h", WATCH_MODIFY, 4096);
    (void)expect_end(xs, late, 4096, ALL); /* it raised nothing */
    assert_int_equal(expect_count(xs), 0);
}

static void test_failed_request_hands_back_what_it_took(void **state)
{
    (void)state;
    struct expected *e = begin("f", WATCH_CREATE | WATCH_MODIFY, 0);

    assert_true(ours("f", WATCH_CREATE, 10));
    assert_int_equal(expect_end(xs, e, 64, 0), WATCH_CREATE);
    assert_false(ours("f", WATCH_MODIFY, 26));
    assert_int_equal(expect_count(xs), 0);
}

static void test_create_of_what_was_there_hands_back_the_creation(void **state)
{
    (void)state;
    struct expected *e = begin("f", WATCH_CREATE | WATCH_MODIFY, 0);

    assert_true(ours("f", WATCH_CREATE, 10));
    assert_int_equal(expect_end(xs, e, 64, ALL & ~(unsigned)WATCH_CREATE), WATCH_CREATE);
    assert_true(ours("f", WATCH_MODIFY, 26)); /* O_TRUNC was its own */
}

static void test_lost_events_leave_only_what_is_running(void **state)
{
    (void)state;
    struct expected *a = begin("f", WATCH_MODIFY, 0), *b = begin("g", WATCH_MODIFY, 0);

    (void)expect_end(xs, a, 64, ALL);
    expect_clear(xs);
    assert_int_equal(expect_count(xs), 1);
    assert_true(ours("g", WATCH_MODIFY, 10));
    (void)expect_end(xs, b, 64, ALL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(test_event_between_the_positions_is_ours),
        T(test_event_counts_once),
        T(test_other_names_kinds_and_directories_are_not_ours),
        T(test_two_requests_account_for_two_events),
        T(test_request_is_forgotten_when_the_stream_has_been_read),
        T(test_failed_request_hands_back_what_it_took),
        T(test_create_of_what_was_there_hands_back_the_creation),
        T(test_lost_events_leave_only_what_is_running),
    };
    return cmocka_run_group_tests_name("watch_expect", tests, NULL, NULL);
}
