// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_lock_wait.c - the line of those that wait for a lock
 *
 * The lock is a number of permits: try() takes one if there is one. Every wait in a test ends after
 * ten seconds at the latest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "server/lock_wait.h"

enum { MAX_WAITERS = 8 };

struct rig {
    struct lock_waits *waits;
    _Atomic int permits;
    _Atomic int tries;
    _Atomic int served; /* done() calls so far */
    int order[64];      /* who was done first, second, ... */
    _Atomic int hold;   /* try() of this waiter does not return, having found no permit */
    _Atomic bool held;
};

struct one {
    struct lock_waiter w;
    struct rig *rig;
    int number;
    _Atomic int result; /* 1: not done */
};

static void nap(void)
{
    struct timespec ms = {0, 1000000};

    nanosleep(&ms, NULL);
}

#define EVENTUALLY(cond)                                                                           \
    do {                                                                                           \
        for (int i_ = 0; i_ < 10000 && !(cond); i_++)                                              \
            nap();                                                                                 \
        assert_true(cond);                                                                         \
    } while (0)

static int try_permit(struct lock_waiter *w)
{
    struct one *one = (struct one *)w;
    struct rig *rig = one->rig;
    int n = atomic_load(&rig->permits);

    atomic_fetch_add(&rig->tries, 1);
    while (atomic_load(&rig->hold) == one->number) {
        atomic_store(&rig->held, true);
        nap();
    }
    atomic_store(&rig->held, false);
    while (n > 0)
        if (atomic_compare_exchange_weak(&rig->permits, &n, n - 1))
            return 0;
    return -EAGAIN;
}

static void note_done(struct lock_waiter *w, int err)
{
    struct one *one = (struct one *)w;
    struct rig *rig = one->rig;

    rig->order[atomic_load(&rig->served)] = one->number;
    atomic_store(&one->result, err); /* its owner may free it from here on */
    atomic_fetch_add(&rig->served, 1);
}

static struct one *stand_in_line(struct rig *rig, int number)
{
    struct one *one = calloc(1, sizeof(*one));

    one->w = (struct lock_waiter){.try = try_permit, .done = note_done, .key = one};
    one->rig = rig;
    one->number = number;
    one->result = 1;
    assert_int_equal(lock_wait_add(rig->waits, &one->w), 0);
    return one;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_int_equal(lock_waits_new(&rig->waits, MAX_WAITERS), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    lock_waits_reset(rig->waits);
    lock_waits_free(rig->waits);
    free(rig);
    return 0;
}

static void test_a_lock_that_is_free_by_now_is_taken_at_once(void **state)
{
    struct rig *rig = *state;
    struct one *one;

    rig->permits = 1;
    one = stand_in_line(rig, 1);
    EVENTUALLY(one->result == 0);
    free(one);
}

static void test_release_wakes_the_oldest_first(void **state)
{
    struct rig *rig = *state;
    struct one *one[3];

    for (int i = 0; i < 3; i++)
        one[i] = stand_in_line(rig, i + 1);
    for (int i = 0; i < 3; i++) {
        rig->hold = 3; /* at the end of a pass: the next one begins with the oldest */
        EVENTUALLY(rig->held);
        atomic_fetch_add(&rig->permits, 1);
        lock_waits_wake(rig->waits);
        rig->hold = 0;
        EVENTUALLY(rig->served == i + 1);
        assert_int_equal(rig->order[i], i + 1);
    }
    for (int i = 0; i < 3; i++)
        free(one[i]);
}

static void test_release_that_nobody_tells_of_is_noticed(void **state)
{
    struct rig *rig = *state;
    struct one *one = stand_in_line(rig, 1);

    EVENTUALLY(rig->tries >= 3);
    atomic_store(&rig->permits, 1);
    EVENTUALLY(one->result == 0);
    free(one);
}

static void test_waiting_backs_off(void **state)
{
    struct rig *rig = *state;
    struct one *one = stand_in_line(rig, 1);
    struct timespec begin, end;

    EVENTUALLY(rig->tries >= 6); /* after 5, 10, 20, 40, 80 ms, then every 100 */
    clock_gettime(CLOCK_MONOTONIC, &begin);
    int before = rig->tries;
    EVENTUALLY(rig->tries >= before + 5);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true((end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000 >=
                350);
    lock_waits_reset(rig->waits);
    free(one);
}

static void test_an_empty_line_tries_nothing(void **state)
{
    struct rig *rig = *state;
    struct timespec while_ = {0, 200000000};
    int before;

    rig->permits = 1;
    struct one *one = stand_in_line(rig, 1);
    EVENTUALLY(one->result == 0);
    before = rig->tries;
    lock_waits_wake(rig->waits);
    nanosleep(&while_, NULL);
    assert_int_equal(rig->tries, before);
    free(one);
}

static void test_a_cancelled_waiter_is_the_callers_again(void **state)
{
    struct rig *rig = *state;
    struct one *one = stand_in_line(rig, 1);

    EVENTUALLY(rig->tries >= 1);
    /* It may be in the middle of an attempt once more: then done() follows, which is the other test. */
    struct lock_waiter *w = lock_wait_cancel(rig->waits, one);
    if (w) {
        assert_ptr_equal(w, &one->w);
        assert_null(lock_wait_cancel(rig->waits, one));
        rig->permits = 1;
        lock_waits_reset(rig->waits);
        assert_int_equal(one->result, 1);
    } else {
        EVENTUALLY(one->result == -EINTR);
    }
    free(one);
}

static void test_cancel_during_an_attempt_ends_it_with_eintr(void **state)
{
    struct rig *rig = *state;
    struct one *one;

    rig->hold = 1;
    one = stand_in_line(rig, 1);
    EVENTUALLY(rig->held);
    assert_null(lock_wait_cancel(rig->waits, one));
    assert_int_equal(one->result, 1);
    rig->hold = 0;
    EVENTUALLY(one->result == -EINTR);
    free(one);
}

static void test_an_attempt_that_succeeds_beats_its_cancel(void **state)
{
    struct rig *rig = *state;
    struct one *one;

    rig->hold = 1;
    one = stand_in_line(rig, 1);
    EVENTUALLY(rig->held);
    assert_null(lock_wait_cancel(rig->waits, one));
    rig->permits = 1;
    rig->hold = 0;
    EVENTUALLY(one->result == 0 || one->result == -EINTR);
    assert_int_equal(one->result == 0, rig->permits == 0); /* never a lock that nobody knows of */
    free(one);
}

static void test_nobody_is_found_under_an_unknown_key(void **state)
{
    struct rig *rig = *state;
    struct one *one = stand_in_line(rig, 1);

    assert_null(lock_wait_cancel(rig->waits, rig));
    lock_waits_reset(rig->waits);
    assert_int_equal(one->result, -EINTR);
    free(one);
}

static void test_reset_ends_everybody_even_one_that_is_being_tried(void **state)
{
    struct rig *rig = *state;
    struct one *one[4];

    for (int i = 0; i < 4; i++)
        one[i] = stand_in_line(rig, i + 1);
    lock_waits_reset(rig->waits);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(one[i]->result, -EINTR);
        free(one[i]);
    }
}

static void test_the_line_is_bounded(void **state)
{
    struct rig *rig = *state;
    struct one *one[MAX_WAITERS];
    struct lock_waiter extra = {.try = try_permit, .done = note_done};

    for (int i = 0; i < MAX_WAITERS; i++)
        one[i] = stand_in_line(rig, i + 1);
    assert_int_equal(lock_wait_add(rig->waits, &extra), -ENOLCK);
    lock_waits_reset(rig->waits);
    for (int i = 0; i < MAX_WAITERS; i++)
        free(one[i]);
}

/* Four threads come, go and cancel while permits appear; every waiter must end exactly once. */
struct crowd {
    struct rig *rig;
    int ended;
};

static void *come_and_go(void *arg)
{
    struct crowd *crowd = arg;

    for (int i = 0; i < 300; i++) {
        struct one one = {.rig = crowd->rig, .number = 1, .result = 1};
        one.w = (struct lock_waiter){.try = try_permit, .done = note_done, .key = &one};
        crowd->rig->served = 0;
        if (lock_wait_add(crowd->rig->waits, &one.w) != 0)
            continue;
        if (i % 3 == 0) {
            atomic_fetch_add(&crowd->rig->permits, 1);
            lock_waits_wake(crowd->rig->waits);
        }
        if (!lock_wait_cancel(crowd->rig->waits, &one))
            while (atomic_load(&one.result) == 1)
                nap();
        crowd->ended++;
    }
    return NULL;
}

static void test_a_crowd_leaves_nobody_behind(void **state)
{
    struct rig *rig = *state;
    struct crowd crowd[4];
    pthread_t id[4];

    for (int i = 0; i < 4; i++) {
        crowd[i] = (struct crowd){.rig = rig};
        assert_int_equal(pthread_create(&id[i], NULL, come_and_go, &crowd[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(id[i], NULL);
        assert_int_equal(crowd[i].ended, 300);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_lock_that_is_free_by_now_is_taken_at_once),
        TEST(test_release_wakes_the_oldest_first),
        TEST(test_release_that_nobody_tells_of_is_noticed),
        TEST(test_waiting_backs_off),
        TEST(test_an_empty_line_tries_nothing),
        TEST(test_a_cancelled_waiter_is_the_callers_again),
        TEST(test_cancel_during_an_attempt_ends_it_with_eintr),
        TEST(test_an_attempt_that_succeeds_beats_its_cancel),
        TEST(test_nobody_is_found_under_an_unknown_key),
        TEST(test_reset_ends_everybody_even_one_that_is_being_tried),
        TEST(test_the_line_is_bounded),
        TEST(test_a_crowd_leaves_nobody_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
