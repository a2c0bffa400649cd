// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_vhost_pause.c - queues that are told to wait before they take more
 */
// clang-format off: cmocka.h needs these first
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>
#include <time.h>

#include "tests/unit/vhost_rig.h"
#include "virtiofsd/host/clock.h"

#define MESSAGE 64u
#define SECOND  1000000000u

static struct rig rig;
static struct fe *fe;

static int setup(void **state)
{
    (void)state;
    rig_start(&rig, NULL, false);
    return fe_open(&fe, NULL, rig.socket);
}

static int teardown(void **state)
{
    (void)state;
    fe_free(fe);
    return rig_end(&rig);
}

static void submit(unsigned queue, struct fe_req *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(fe_req_init(fe, &r[i], MESSAGE, MESSAGE), 0);
        r[i].out_len = r[i].in_len = MESSAGE;
        assert_int_equal(fe_submit(fe, queue, &r[i], true), 0);
    }
    assert_int_equal(fe_publish(fe, queue), 0);
}

static void reap(unsigned queue, struct fe_req *r, unsigned n)
{
    int err = 0;

    for (unsigned i = 0; i < n; i++)
        assert_non_null(fe_reap(fe, queue, true, &err));
    for (unsigned i = 0; i < n; i++)
        fe_req_release(fe, &r[i], MESSAGE, MESSAGE);
}

/* Held until vq_wake(). */
static struct vq *hold(struct fe_req *r, unsigned n)
{
    atomic_store(&rig.pause_ns, VU_UNTIL_WOKEN);
    submit(FE_REQUESTS, r, n);
    assert_true(rig_until(&rig.asked, 1));
    return atomic_load(&rig.paused);
}

static void test_paused_queue_leaves_its_chains_until_it_is_woken(void **state)
{
    struct fe_req r[3];
    struct timespec moment = {.tv_nsec = 20000000};
    (void)state;

    struct vq *q = hold(r, 3);
    nanosleep(&moment, NULL);
    assert_int_equal(rig.served, 0);
    atomic_store(&rig.pause_ns, 0);
    vq_wake(q);
    reap(FE_REQUESTS, r, 3);
}

static void test_pause_that_was_for_a_time_ends_by_itself(void **state)
{
    struct fe_req r[3];
    (void)state;

    atomic_store(&rig.pause_ns, SECOND / 50);
    submit(FE_REQUESTS, r, 3);
    assert_true(rig_until(&rig.asked, 3)); /* it does ask again */
    assert_in_range(rig.asked, 3, 50);     /* and not all the time */
    assert_int_equal(rig.served, 0);
    atomic_store(&rig.pause_ns, 0);
    reap(FE_REQUESTS, r, 3);
}

static void test_every_chain_is_asked_for(void **state)
{
    struct fe_req r[40];
    (void)state;

    submit(FE_REQUESTS, r, 40);
    reap(FE_REQUESTS, r, 40);
    assert_int_equal(rig.asked, 40);
}

static void test_hiprio_never_pauses(void **state)
{
    struct fe_req r[2], urgent[2];
    (void)state;

    struct vq *q = hold(r, 2);
    submit(FE_HIPRIO, urgent, 2);
    reap(FE_HIPRIO, urgent, 2);
    atomic_store(&rig.pause_ns, 0);
    vq_wake(q);
    reap(FE_REQUESTS, r, 2);
}

static void test_paused_queue_stops_at_once_and_keeps_its_chains(void **state)
{
    static struct fe_req r[2]; /* in flight until the front end goes */
    uint32_t base = 99;
    (void)state;

    hold(r, 2);
    uint64_t start = clock_ns();
    assert_int_equal(fe_queue_stop(fe, FE_REQUESTS, &base), 0);
    assert_true(clock_ns() - start < 5ull * SECOND);
    assert_int_equal(base, 0);
    assert_int_equal(rig.served, 0);
}

static void test_waking_a_queue_whose_worker_has_gone_does_nothing(void **state)
{
    static struct fe_req r[1];
    (void)state;

    struct vq *q = hold(r, 1);
    fe_disconnect(fe);
    assert_int_equal(rig_join(&rig), 0);
    vq_wake(q);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_paused_queue_leaves_its_chains_until_it_is_woken,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_pause_that_was_for_a_time_ends_by_itself, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_every_chain_is_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hiprio_never_pauses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_paused_queue_stops_at_once_and_keeps_its_chains, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_waking_a_queue_whose_worker_has_gone_does_nothing,
                                        setup, teardown),
    };

    return cmocka_run_group_tests_name("vhost_pause", tests, NULL, NULL);
}
