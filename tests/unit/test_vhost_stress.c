// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_vhost_stress.c - everything changes while every queue is busy
 *
 * Clients keep their queues full and check every answer. Meanwhile one thread does what QEMU does
 * during hot-plug and migration, and another gives back kept chains. Meant for ThreadSanitizer.
 */
// clang-format off: cmocka.h needs these first
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi/vhost_user.h"
#include "tests/unit/vhost_rig.h"

#define CLIENTS 3u
#define DEPTH   8u
#define MESSAGE 64u
#define ROUNDS  400u
#define MODULE  (1u << 20)

struct client {
    struct fe *fe;
    unsigned q;
    atomic_bool *stop;
    unsigned done;
    int err;
    pthread_t id;
};

static void fill(struct fe_req *r, unsigned number)
{
    snprintf(r->out, MESSAGE, "message %u", number);
    memset(r->in, 0, MESSAGE);
}

static void *client_main(void *arg)
{
    struct client *c = arg;
    struct fe_req r[DEPTH];
    unsigned number = 0, in_flight = 0;

    for (unsigned i = 0; i < DEPTH; i++) {
        c->err = fe_req_init(c->fe, &r[i], MESSAGE, MESSAGE);
        if (c->err)
            return NULL;
        r[i].out_len = r[i].in_len = MESSAGE;
        fill(&r[i], number++);
        c->err = fe_submit(c->fe, c->q, &r[i], false);
        in_flight++;
    }
    while (in_flight > 0 && !c->err) {
        struct fe_req *d = fe_reap(c->fe, c->q, true, &c->err);
        if (!d)
            break;
        in_flight--;
        if (d->used != MESSAGE || strcmp(d->in, d->out) != 0)
            c->err = -EBADMSG;
        c->done++;
        if (!c->err && !atomic_load(c->stop)) {
            fill(d, number++);
            c->err = fe_submit(c->fe, c->q, d, false);
            in_flight++;
        }
    }
    return NULL;
}

static atomic_bool stop_releasing;

static void *releaser_main(void *arg)
{
    while (!atomic_load(&stop_releasing)) {
        rig_release(arg);
        usleep(100);
    }
    rig_release(arg);
    return NULL;
}

/* A memory module far above everything, plugged and unplugged. */
static void replug(struct fe *fe)
{
    struct vu_mem_reg_msg m = {.region = {.guest_addr = UINT64_C(1) << 40,
                                          .size = MODULE,
                                          .user_addr = UINT64_C(1) << 46}};
    int fd = memfd_create("module", MFD_CLOEXEC);

    assert_int_equal(ftruncate(fd, MODULE), 0);
    assert_int_equal(fe_vu_set(fe, VU_ADD_MEM_REG, &m, sizeof(m), &fd, 1), 0);
    assert_int_equal(fe_vu_set(fe, VU_REM_MEM_REG, &m, sizeof(m), NULL, 0), 0);
    close(fd);
}

static void disable_for_a_while(struct fe *fe, unsigned q)
{
    assert_int_equal(fe_queue_enable(fe, q, false), 0);
    usleep(200);
    assert_int_equal(fe_queue_enable(fe, q, true), 0);
}

static void log_for_a_while(struct fe *fe, uint64_t features)
{
    struct vu_log log = {.mmap_size = 1 << 16};
    uint64_t answer;
    int fd = memfd_create("log", MFD_CLOEXEC);

    assert_int_equal(ftruncate(fd, (off_t)log.mmap_size), 0);
    assert_int_equal(
        fe_vu_send(fe, VU_SET_LOG_BASE, VU_VERSION, UINT32_MAX, &log, sizeof(log), &fd, 1), 0);
    uint32_t request, flags;
    assert_int_equal(fe_vu_recv(fe, &request, &flags, &answer, sizeof(answer), NULL), 8);
    close(fd);
    assert_int_equal(fe_vu_set_u64(fe, VU_SET_FEATURES, features | UINT64_C(1) << VU_F_LOG_ALL), 0);
    usleep(200);
    assert_int_equal(fe_vu_set_u64(fe, VU_SET_FEATURES, features), 0);
}

static void swap_call(struct fe *fe, unsigned q)
{
    uint64_t index = q;
    int fd = eventfd(0, EFD_CLOEXEC), back = fe_call_fd(fe, q);

    assert_int_equal(fe_vu_set(fe, VU_SET_VRING_CALL, &index, sizeof(index), &fd, 1), 0);
    assert_int_equal(fe_vu_set(fe, VU_SET_VRING_CALL, &index, sizeof(index), &back, 1), 0);
    close(fd);
}

static void test_queues_are_undisturbed_by_changes(void **state)
{
    struct fe_options o = {.queues = 1 + CLIENTS, .queue_size = 64};
    struct client c[CLIENTS];
    struct rig rig;
    struct fe *fe;
    pthread_t releaser;
    atomic_bool stop = false;
    (void)state;

    rig_start(&rig, NULL, false);
    assert_int_equal(fe_open(&fe, &o, rig.socket), 0);
    uint64_t features = fe_virtio(fe);
    atomic_store(&stop_releasing, false);
    pthread_create(&releaser, NULL, releaser_main, &rig);
    for (unsigned i = 0; i < CLIENTS; i++) {
        c[i] = (struct client){.fe = fe, .q = 1 + i, .stop = &stop};
        pthread_create(&c[i].id, NULL, client_main, &c[i]);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned q = 1 + i % CLIENTS;
        atomic_store(&rig.keep, i % 2);
        replug(fe);
        swap_call(fe, q);
        disable_for_a_while(fe, q);
        if (i % 8 == 0)
            log_for_a_while(fe, features);
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join(c[i].id, NULL);
        assert_int_equal(c[i].err, 0);
        assert_true(c[i].done > ROUNDS);
    }
    fe_free(fe);
    atomic_store(&stop_releasing, true);
    pthread_join(releaser, NULL);
    assert_int_equal(rig_end(&rig), 0);
}

static void test_front_ends_that_vanish_in_full_flight_leave_nothing(void **state)
{
    struct fe_options o = {.queues = 2, .queue_size = 64};
    struct rig rig;
    struct fe *fe;
    (void)state;

    rig_start(&rig, NULL, true);
    int before = count_fds();
    for (unsigned round = 1; round <= 30; round++) {
        struct fe_req r[DEPTH];
        atomic_store(&rig.keep, round % 2);
        assert_int_equal(fe_open(&fe, &o, rig.socket), 0);
        for (unsigned i = 0; i < DEPTH; i++) {
            assert_int_equal(fe_req_init(fe, &r[i], MESSAGE, MESSAGE), 0);
            r[i].out_len = r[i].in_len = MESSAGE;
            fill(&r[i], i);
            assert_int_equal(fe_submit(fe, 1, &r[i], false), 0);
        }
        fe_free(fe);
        assert_true(rig_until(&rig.resets, round));
        assert_int_equal(rig_kept_count(&rig), 0);
    }
    for (int i = 0; i < 1000 && count_fds() != before; i++)
        usleep(1000); /* the last connection is closed just after the reset */
    assert_int_equal(count_fds(), before);
    assert_int_equal(rig_end(&rig), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queues_are_undisturbed_by_changes),
        cmocka_unit_test(test_front_ends_that_vanish_in_full_flight_leave_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
