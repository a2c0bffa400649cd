// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_vhost_serve.c - queues that serve: batches, signals, kept chains, memory that changes
 */
// clang-format off: cmocka.h needs these first
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "abi/vhost_user.h"
#include "tests/unit/capture.h"
#include "tests/unit/vhost_rig.h"

#define BIT(n)  (UINT64_C(1) << (n))
#define MESSAGE 64u

struct scene {
    struct rig rig;
    struct fe *fe;
};

static struct scene scene;

static struct fe *open_scene(const struct fe_options *o)
{
    memset(&scene, 0, sizeof(scene));
    rig_start(&scene.rig, NULL, false);
    assert_int_equal(fe_open(&scene.fe, o, scene.rig.socket), 0);
    return scene.fe;
}

static void close_scene(void)
{
    fe_free(scene.fe);
    assert_int_equal(rig_end(&scene.rig), 0);
}

static void make(struct fe_req *r, unsigned number)
{
    assert_int_equal(fe_req_init(scene.fe, r, MESSAGE, MESSAGE), 0);
    r->out_len = r->in_len = MESSAGE;
    memset(r->in, 0, MESSAGE);
    snprintf(r->out, MESSAGE, "message %u", number);
}

static void check(const struct fe_req *r)
{
    assert_int_equal(r->used, MESSAGE);
    assert_string_equal(r->in, r->out);
}

static void call(unsigned q)
{
    struct fe_req r;

    make(&r, q);
    assert_int_equal(fe_call(scene.fe, q, &r), 0);
    check(&r);
    fe_req_release(scene.fe, &r, MESSAGE, MESSAGE);
}

/* @n messages at once, and all of them back. */
static void call_many(unsigned q, unsigned n)
{
    struct fe_req *r = calloc(n, sizeof(*r));
    int err = 0;

    assert_non_null(r);
    for (unsigned i = 0; i < n; i++) {
        make(&r[i], i);
        assert_int_equal(fe_submit(scene.fe, q, &r[i], true), 0);
    }
    assert_int_equal(fe_publish(scene.fe, q), 0);
    for (unsigned i = 0; i < n; i++)
        assert_non_null(fe_reap(scene.fe, q, true, &err));
    for (unsigned i = 0; i < n; i++) {
        check(&r[i]);
        fe_req_release(scene.fe, &r[i], MESSAGE, MESSAGE);
    }
    free(r);
}

/* ---- rings ----------------------------------------------------------------------------------- */

static void test_chains_of_every_kind_are_served(void **state)
{
    static const uint64_t refuse[] = {0, BIT(RING_F_EVENT_IDX), BIT(RING_F_INDIRECT_DESC),
                                      BIT(RING_F_EVENT_IDX) | BIT(RING_F_INDIRECT_DESC)};
    (void)state;

    for (size_t i = 0; i < sizeof(refuse) / sizeof(refuse[0]); i++) {
        struct fe_options o = {.refuse_virtio = refuse[i], .queue_size = 64};
        struct fe *fe = open_scene(&o);
        for (unsigned round = 0; round < 300; round++) {
            fe_queue_wait(fe, FE_REQUESTS, round % 2 ? FE_SPIN : FE_SLEEP);
            call_many(FE_REQUESTS, 1 + round % 20);
        }
        close_scene();
    }
}

static void test_a_full_ring_is_answered_with_few_signals(void **state)
{
    struct fe *fe = open_scene(NULL);
    const struct fe_queue_counts *n = fe_queue_counts(fe, FE_REQUESTS);
    (void)state;

    call(FE_REQUESTS);
    uint64_t before = n->signals;
    call_many(FE_REQUESTS, 256);
    assert_in_range(n->signals - before, 1, 256 / 32 + 1);
    assert_in_range(scene.rig.batches, 256 / 32, 256);
    close_scene();
}

static void test_a_driver_that_wants_no_signals_gets_none(void **state)
{
    struct fe_options o = {.wait = FE_SPIN, .refuse_virtio = BIT(RING_F_EVENT_IDX)};
    struct fe *fe = open_scene(&o);
    uint64_t count;
    (void)state;

    fe_queue_wait(fe, FE_REQUESTS, FE_SPIN);
    (void)!read(fe_call_fd(fe, FE_REQUESTS), &count, sizeof(count));
    call_many(FE_REQUESTS, 100);
    assert_int_equal(read(fe_call_fd(fe, FE_REQUESTS), &count, sizeof(count)), -1);
    close_scene();
}

static void test_kick_and_call_may_be_pipes(void **state)
{
    struct fe_options o = {.pipes = true};
    (void)state;

    open_scene(&o);
    for (unsigned i = 0; i < 200; i++) {
        call(FE_REQUESTS);
        if (i % 50 == 0)
            usleep(2000);
    }
    close_scene();
}

static void test_a_call_pipe_that_is_full_does_not_stop_the_queue(void **state)
{
    struct fe_options o = {.pipes = true, .wait = FE_SPIN, .refuse_virtio = BIT(RING_F_EVENT_IDX)};
    struct fe *fe = open_scene(&o);
    (void)state;

    /* Signals wanted and never read: 64 KiB of pipe is 8192 of them. */
    for (unsigned i = 0; i < 9000; i++) {
        ring_drv_want_interrupt(fe_ring(fe, FE_REQUESTS));
        call(FE_REQUESTS);
    }
    close_scene();
}

static void test_many_kicks_are_one_kick(void **state)
{
    struct fe *fe = open_scene(NULL);
    (void)state;

    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(fe_kick(fe, FE_REQUESTS), 0);
    call(FE_REQUESTS);
    assert_int_equal(scene.rig.served, 1);
    close_scene();
}

static void test_the_call_descriptor_may_change_while_the_queue_runs(void **state)
{
    struct fe *fe = open_scene(NULL);
    uint64_t index = FE_REQUESTS, count;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    (void)state;

    call(FE_REQUESTS);
    assert_int_equal(fe_vu_set(fe, VU_SET_VRING_CALL, &index, sizeof(index), &fd, 1), 0);
    fe_queue_wait(fe, FE_REQUESTS, FE_SPIN);
    assert_int_equal(read(fd, &count, sizeof(count)), 8); /* told at once, in case it missed one */
    assert_int_equal(fe_vu_set_u64(fe, VU_SET_VRING_CALL, index | VU_VRING_NO_FD), 0);
    call(FE_REQUESTS);
    close(fd);
    close_scene();
}

/* ---- stopping and going on ------------------------------------------------------------------- */

static void test_a_stopped_queue_says_where_it_was_and_goes_on_there(void **state)
{
    struct fe *fe = open_scene(NULL);
    uint32_t base = 0;
    (void)state;

    for (unsigned i = 0; i < 300; i++)
        call(FE_REQUESTS);
    assert_int_equal(fe_queue_stop(fe, FE_REQUESTS, &base), 0);
    assert_int_equal(base, 300);
    assert_int_equal(fe_queue_resume(fe, FE_REQUESTS, base), 0);
    call(FE_REQUESTS);
    assert_int_equal(fe_queue_stop(fe, FE_REQUESTS, &base), 0);
    assert_int_equal(base, 301);
    close_scene();
}

static void test_a_disabled_queue_waits_and_an_enabled_one_catches_up(void **state)
{
    struct fe *fe = open_scene(NULL);
    struct fe_req r;
    int err = 0;
    (void)state;

    assert_int_equal(fe_queue_enable(fe, FE_REQUESTS, false), 0);
    make(&r, 1);
    assert_int_equal(fe_submit(fe, FE_REQUESTS, &r, false), 0);
    assert_int_equal(fe_kick(fe, FE_REQUESTS), 0);
    usleep(20000);
    assert_int_equal(scene.rig.served, 0);
    assert_int_equal(fe_queue_enable(fe, FE_REQUESTS, true), 0);
    assert_ptr_equal(fe_reap(fe, FE_REQUESTS, true, &err), &r);
    close_scene();
}

static void test_stopping_hurries_kept_chains_and_waits_for_them(void **state)
{
    struct fe *fe = open_scene(NULL);
    struct fe_req r[5];
    uint32_t base = 0;
    int err = 0;
    (void)state;

    atomic_store(&scene.rig.keep, true);
    for (unsigned i = 0; i < 5; i++) {
        make(&r[i], i);
        assert_int_equal(fe_submit(fe, FE_REQUESTS, &r[i], false), 0);
    }
    assert_true(rig_until(&scene.rig.served, 5));
    assert_int_equal(vu_in_flight(scene.rig.vu), 5);
    assert_int_equal(fe_queue_stop(fe, FE_REQUESTS, &base), 0);
    assert_int_equal(base, 5);
    assert_int_equal(scene.rig.cancels, 1);
    assert_int_equal(vu_in_flight(scene.rig.vu), 0);
    for (unsigned i = 0; i < 5; i++)
        assert_non_null(fe_reap(fe, FE_REQUESTS, false, &err));
    close_scene();
}

static void test_deferred_chains_are_served_when_the_queue_goes_on(void **state)
{
    struct fe *fe = open_scene(NULL);
    struct fe_req r[5];
    uint32_t base = 0;
    int err;
    (void)state;

    atomic_store(&scene.rig.keep, true);
    atomic_store(&scene.rig.defers, true);
    for (unsigned i = 0; i < 5; i++) {
        make(&r[i], i);
        assert_int_equal(fe_submit(fe, FE_REQUESTS, &r[i], false), 0);
    }
    assert_true(rig_until(&scene.rig.served, 5));
    assert_int_equal(fe_queue_stop(fe, FE_REQUESTS, &base), 0);
    assert_int_equal(base, 5);
    assert_int_equal(scene.rig.cancels, 0);
    assert_null(fe_reap(fe, FE_REQUESTS, false, &err)); /* the driver has seen nothing */
    atomic_store(&scene.rig.keep, false);
    assert_int_equal(fe_queue_resume(fe, FE_REQUESTS, base), 0);
    for (unsigned i = 0; i < 5; i++)
        assert_non_null(fe_reap(fe, FE_REQUESTS, true, &err));
    assert_int_equal(scene.rig.served, 10);
    close_scene();
}

static void test_deferred_chains_go_with_the_ring_that_they_were_on(void **state)
{
    struct fe *fe = open_scene(NULL);
    struct fe_req r;
    uint32_t base = 0;
    int err;
    (void)state;

    atomic_store(&scene.rig.keep, true);
    atomic_store(&scene.rig.defers, true);
    make(&r, 1);
    assert_int_equal(fe_submit(fe, FE_REQUESTS, &r, false), 0);
    assert_true(rig_until(&scene.rig.served, 1));
    assert_int_equal(fe_queue_stop(fe, FE_REQUESTS, &base), 0);
    assert_int_equal(fe_reset_device(fe), 0);
    assert_null(fe_reap(fe, FE_REQUESTS, false, &err));
    assert_int_equal(scene.rig.served, 1);
    close_scene();
}

static void *release_later(void *arg)
{
    struct rig *rig = arg;

    usleep(50000);
    rig_release(rig);
    return NULL;
}

static void test_a_chain_that_cannot_be_hurried_is_waited_for(void **state)
{
    struct fe *fe = open_scene(NULL);
    struct fe_req r;
    pthread_t id;
    uint32_t base = 0;
    (void)state;

    atomic_store(&scene.rig.keep, true);
    atomic_store(&scene.rig.stubborn, true);
    make(&r, 1);
    assert_int_equal(fe_submit(fe, FE_REQUESTS, &r, false), 0);
    assert_true(rig_until(&scene.rig.served, 1));
    pthread_create(&id, NULL, release_later, &scene.rig);
    assert_int_equal(fe_queue_stop(fe, FE_REQUESTS, &base), 0);
    assert_int_equal(rig_kept_count(&scene.rig), 0);
    pthread_join(id, NULL);
    close_scene();
}

static void test_chains_kept_by_a_vanished_guest_come_back_before_the_end(void **state)
{
    struct fe *fe = open_scene(NULL);
    struct fe_req r;
    (void)state;

    atomic_store(&scene.rig.keep, true);
    make(&r, 1);
    assert_int_equal(fe_submit(fe, FE_REQUESTS, &r, false), 0);
    assert_true(rig_until(&scene.rig.served, 1));
    fe_disconnect(fe);
    assert_int_equal(rig_join(&scene.rig), 0);
    assert_int_equal(rig_kept_count(&scene.rig), 0);
    assert_int_equal(scene.rig.resets, 1);
    close_scene();
}

static void test_a_kept_chain_does_not_hold_up_others(void **state)
{
    struct fe *fe = open_scene(NULL);
    struct fe_req r;
    int err = 0;
    (void)state;

    atomic_store(&scene.rig.keep, true);
    make(&r, 1);
    assert_int_equal(fe_submit(fe, FE_REQUESTS, &r, false), 0);
    assert_true(rig_until(&scene.rig.served, 1));
    atomic_store(&scene.rig.keep, false);
    call(FE_REQUESTS);
    rig_release(&scene.rig);
    assert_ptr_equal(fe_reap(fe, FE_REQUESTS, true, &err), &r);
    check(&r);
    close_scene();
}

/* ---- a guest that breaks the rules ----------------------------------------------------------- */

static void test_a_malformed_chain_comes_back_empty_and_the_queue_goes_on(void **state)
{
    struct fe *fe = open_scene(NULL);
    uint8_t *page = fe_alloc(fe, 4096);
    struct ring_desc outside = {.addr = UINT64_MAX / 2, .len = 64};
    struct ring_desc good[2] = {
        {.addr = fe_gpa(fe, page), .len = 64, .flags = RING_DESC_F_NEXT, .next = 2},
        {.addr = fe_gpa(fe, page) + 64, .len = 64, .flags = RING_DESC_F_WRITE}};
    struct ring_used_elem used;
    (void)state;

    assert_int_equal(fe_raw_chain(fe, FE_REQUESTS, &outside, (uint16_t[]){0}, 1, 0), 0);
    assert_int_equal(fe_raw_used(fe, FE_REQUESTS, &used, 5000), 1);
    assert_int_equal(used.id, 0);
    assert_int_equal(used.len, 0);
    assert_int_equal(fe_raw_chain(fe, FE_REQUESTS, good, (uint16_t[]){1, 2}, 2, 1), 0);
    assert_int_equal(fe_raw_used(fe, FE_REQUESTS, &used, 5000), 1);
    assert_int_equal(used.id, 1);
    assert_int_equal(used.len, 64);
    close_scene();
}

static void test_a_broken_ring_stops_its_queue_only(void **state)
{
    struct fe *fe = open_scene(NULL);
    int err_fd = eventfd(0, EFD_CLOEXEC);
    uint64_t index = FE_REQUESTS, count;
    uint32_t base;
    (void)state;

    assert_int_equal(fe_vu_set(fe, VU_SET_VRING_ERR, &index, sizeof(index), &err_fd, 1), 0);
    struct capture c = capture_begin(STDERR_FILENO);
    assert_int_equal(fe_raw_set_avail(fe, FE_REQUESTS, 1000), 0);
    assert_int_equal(read(err_fd, &count, sizeof(count)), 8);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(fe_kick(fe, FE_REQUESTS), 0);
    call(FE_HIPRIO);
    const char *said = capture_end(&c);
    assert_non_null(strstr(said, "queue 1 stopped"));
    assert_null(strstr(strstr(said, "stopped") + 1, "stopped"));

    assert_int_equal(fe_queue_stop(fe, FE_REQUESTS, &base), 0);
    assert_int_equal(fe_queue_start(fe, FE_REQUESTS), 0); /* and a sound ring runs again */
    call(FE_REQUESTS);
    close(err_fd);
    close_scene();
}

/* ---- memory that changes --------------------------------------------------------------------- */

/* A message whose buffers are in a region that was plugged later. */
static void make_in(struct fe_req *r, uint8_t *at)
{
    *r = (struct fe_req){.out = at, .in = at + 4096, .out_len = MESSAGE, .in_len = MESSAGE};
    strcpy(r->out, "in the module");
}

static void test_memory_can_be_plugged_and_unplugged(void **state)
{
    struct fe *fe = open_scene(NULL);
    (void)state;

    for (unsigned i = 0; i < 20; i++) {
        struct fe_req r;
        int region = fe_region_add(fe, 1 << 20);
        assert_true(region > 0);
        make_in(&r, fe_region(fe, region, NULL, NULL));
        assert_int_equal(fe_call(fe, FE_REQUESTS, &r), 0);
        check(&r);
        assert_int_equal(fe_region_remove(fe, region), 0);
        call(FE_REQUESTS);
    }
    close_scene();
}

static void test_the_whole_table_may_be_sent_again(void **state)
{
    struct fe_options o = {.refuse_proto = BIT(VU_PROTO_CONFIGURE_MEM_SLOTS)};
    struct fe *fe = open_scene(&o);
    (void)state;

    for (unsigned i = 0; i < 20; i++) {
        call(FE_REQUESTS);
        assert_int_equal(fe_send_mem_table(fe, 0), 0);
    }
    call(FE_REQUESTS);
    close_scene();
}

static void test_plugging_memory_leaves_kept_chains_alone(void **state)
{
    struct fe *fe = open_scene(NULL);
    struct fe_req r;
    int err = 0;
    (void)state;

    atomic_store(&scene.rig.keep, true);
    make(&r, 1);
    assert_int_equal(fe_submit(fe, FE_REQUESTS, &r, false), 0);
    assert_true(rig_until(&scene.rig.served, 1));
    assert_true(fe_region_add(fe, 1 << 20) > 0);
    assert_int_equal(scene.rig.cancels, 0);
    rig_release(&scene.rig);
    assert_ptr_equal(fe_reap(fe, FE_REQUESTS, true, &err), &r);
    close_scene();
}

static void test_memory_is_unplugged_only_when_kept_chains_are_back(void **state)
{
    struct fe *fe = open_scene(NULL);
    struct fe_req r;
    int err = 0, region = fe_region_add(fe, 1 << 20);
    (void)state;

    atomic_store(&scene.rig.keep, true);
    make_in(&r, fe_region(fe, region, NULL, NULL));
    assert_int_equal(fe_submit(fe, FE_REQUESTS, &r, false), 0);
    assert_true(rig_until(&scene.rig.served, 1));
    assert_int_equal(fe_region_remove(fe, region), 0);
    assert_int_equal(scene.rig.cancels, 1);
    assert_int_equal(rig_kept_count(&scene.rig), 0);
    assert_ptr_equal(fe_reap(fe, FE_REQUESTS, true, &err), &r);
    atomic_store(&scene.rig.keep, false);
    call(FE_REQUESTS);
    close_scene();
}

static void test_truncated_memory_stops_queues_and_not_the_process(void **state)
{
    struct fe *fe = open_scene(NULL);
    struct fe_req r;
    uint32_t base;
    int region = fe_region_add(fe, 1 << 20), err_fd = eventfd(0, EFD_CLOEXEC);
    uint64_t index = FE_REQUESTS, count;
    (void)state;

    assert_int_equal(fe_vu_set(fe, VU_SET_VRING_ERR, &index, sizeof(index), &err_fd, 1), 0);
    make_in(&r, fe_region(fe, region, NULL, NULL));
    assert_int_equal(fe_region_truncate(fe, region, 0), 0);
    struct capture c = capture_begin(STDERR_FILENO);
    assert_int_equal(fe_submit(fe, FE_REQUESTS, &r, false), 0);
    assert_int_equal(fe_kick(fe, FE_REQUESTS), 0);
    assert_int_equal(read(err_fd, &count, sizeof(count)), 8);
    const char *said = capture_end(&c);
    assert_non_null(strstr(said, "truncated"));
    assert_int_equal(fe_queue_stop(fe, FE_REQUESTS, &base), 0);
    close(err_fd);
    close_scene();
}

/* ---- migration ------------------------------------------------------------------------------- */

static bool is_dirty(const uint8_t *log, uint64_t gpa)
{
    uint64_t page = gpa / VU_LOG_PAGE;

    return log[page / 8] >> page % 8 & 1;
}

static void test_while_logging_what_is_written_is_marked(void **state)
{
    struct fe *fe = open_scene(NULL);
    struct fe_req r;
    uint8_t *log, *pages = fe_alloc(fe, 4 * 4096);
    size_t bytes;
    (void)state;

    call(FE_REQUESTS);
    assert_int_equal(fe_log_start(fe, &log, &bytes), 0);
    make_in(&r, pages);
    assert_int_equal(fe_call(fe, FE_REQUESTS, &r), 0);
    assert_true(is_dirty(log, fe_gpa(fe, pages + 4096)));
    assert_false(is_dirty(log, fe_gpa(fe, pages)));
    assert_false(is_dirty(log, fe_gpa(fe, pages + 2 * 4096)));
    assert_true(is_dirty(log, fe_gpa(fe, fe_ring(fe, FE_REQUESTS)->used)));
    assert_false(is_dirty(log, fe_gpa(fe, fe_ring(fe, FE_REQUESTS)->desc)));
    close_scene();
}

static void test_while_logging_kept_chains_are_marked_too(void **state)
{
    struct fe *fe = open_scene(NULL);
    struct fe_req r;
    uint8_t *log, *pages = fe_alloc(fe, 4 * 4096);
    size_t bytes;
    int err = 0;
    (void)state;

    atomic_store(&scene.rig.keep, true);
    make_in(&r, pages);
    assert_int_equal(fe_submit(fe, FE_REQUESTS, &r, false), 0);
    assert_true(rig_until(&scene.rig.served, 1));
    assert_int_equal(fe_log_start(fe, &log, &bytes), 0);
    assert_false(is_dirty(log, fe_gpa(fe, pages + 4096)));
    rig_release(&scene.rig);
    assert_ptr_equal(fe_reap(fe, FE_REQUESTS, true, &err), &r);
    assert_true(is_dirty(log, fe_gpa(fe, pages + 4096)));
    close_scene();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chains_of_every_kind_are_served),
        cmocka_unit_test(test_a_full_ring_is_answered_with_few_signals),
        cmocka_unit_test(test_a_driver_that_wants_no_signals_gets_none),
        cmocka_unit_test(test_kick_and_call_may_be_pipes),
        cmocka_unit_test(test_a_call_pipe_that_is_full_does_not_stop_the_queue),
        cmocka_unit_test(test_many_kicks_are_one_kick),
        cmocka_unit_test(test_the_call_descriptor_may_change_while_the_queue_runs),
        cmocka_unit_test(test_a_stopped_queue_says_where_it_was_and_goes_on_there),
        cmocka_unit_test(test_a_disabled_queue_waits_and_an_enabled_one_catches_up),
        cmocka_unit_test(test_stopping_hurries_kept_chains_and_waits_for_them),
        cmocka_unit_test(test_deferred_chains_are_served_when_the_queue_goes_on),
        cmocka_unit_test(test_deferred_chains_go_with_the_ring_that_they_were_on),
        cmocka_unit_test(test_a_chain_that_cannot_be_hurried_is_waited_for),
        cmocka_unit_test(test_chains_kept_by_a_vanished_guest_come_back_before_the_end),
        cmocka_unit_test(test_a_kept_chain_does_not_hold_up_others),
        cmocka_unit_test(test_a_malformed_chain_comes_back_empty_and_the_queue_goes_on),
        cmocka_unit_test(test_a_broken_ring_stops_its_queue_only),
        cmocka_unit_test(test_memory_can_be_plugged_and_unplugged),
        cmocka_unit_test(test_the_whole_table_may_be_sent_again),
        cmocka_unit_test(test_plugging_memory_leaves_kept_chains_alone),
        cmocka_unit_test(test_memory_is_unplugged_only_when_kept_chains_are_back),
        cmocka_unit_test(test_truncated_memory_stops_queues_and_not_the_process),
        cmocka_unit_test(test_while_logging_what_is_written_is_marked),
        cmocka_unit_test(test_while_logging_kept_chains_are_marked_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
