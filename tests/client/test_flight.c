// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_flight.c - many transfers at the same time, and how they end
 *
 * Answers are held back, so that what is in flight can be counted and does not depend on who is faster.
 */
#include "tests/client/rig.h"

#include <poll.h>

struct read_thread {
    struct rig *r;
    struct cli_file *f;
    uint32_t number;
    bool good;
};

static void *read_one(void *arg)
{
    struct read_thread *t = arg;
    uint8_t p[4096], want[4096];

    fill(want, 4096, t->number * 4096ull, 1);
    t->good = read_at(t->r, t->f, p, 4096, t->number * 4096ull) == 4096 && !memcmp(p, want, 4096);
    return NULL;
}

static void wait_in_flight(struct rig *r, uint32_t n)
{
    for (int ms = 0; vht_in_flight(r->t) < n; ms++) {
        assert_true(ms < PATIENCE_MS);
        poll(NULL, 0, 1);
    }
}

static void test_sixteen_threads_keep_sixteen_reads_in_flight(void **state)
{
    struct rig *r = rig_up();
    struct read_thread reader[16];
    pthread_t t[ARRAY(reader)];
    struct cli_counters n;

    (void)state;
    host_pattern(r, "f", 16 * 4096, 1);
    struct cli_file *f = open_at(r, "f", CLI_READ);
    vht_hold(r->t, true);
    for (uint32_t i = 0; i < ARRAY(reader); i++) {
        reader[i] = (struct read_thread){.r = r, .f = f, .number = i};
        assert_ok(pthread_create(&t[i], NULL, read_one, &reader[i]));
    }
    wait_in_flight(r, 16);
    vht_hold(r->t, false);
    for (uint32_t i = 0; i < ARRAY(reader); i++) {
        pthread_join(t[i], NULL);
        assert_true(reader[i].good);
    }
    cli_counters_get(r->c, &n);
    assert_true(n.max_in_flight_seen >= 16);
    cli_file_close(r->c, f);
}

struct pending {
    struct cli_io io;
    atomic_int *left;
    uint8_t data[4096];
};

static void pending_done(struct cli_io *io)
{
    struct pending *p = io->user;

    atomic_fetch_sub(p->left, 1);
}

static void wait_all(atomic_int *left)
{
    for (int ms = 0; atomic_load(left) > 0; ms++) {
        assert_true(ms < PATIENCE_MS);
        poll(NULL, 0, 1);
    }
}

static void test_one_thread_keeps_a_full_ring_of_reads_in_flight(void **state)
{
    enum { N = 600 }; /* more than the ring has room for: the rest waits in the transport */
    struct rig *r = rig_up();
    struct pending *p = calloc(N, sizeof(*p));
    atomic_int left = N;

    (void)state;
    assert_non_null(p);
    host_pattern(r, "f", N * 4096, 1);
    struct cli_file *f = open_at(r, "f", CLI_READ);
    vht_hold(r->t, true);
    for (unsigned i = 0; i < N; i++) {
        p[i].left = &left;
        p[i].io = (struct cli_io){.buf = p[i].data,
                                  .len = 4096,
                                  .offset = i * 4096ull,
                                  .done = pending_done,
                                  .user = &p[i]};
        assert_ok(cli_read(r->c, f, &p[i].io));
    }
    assert_int_equal(vht_in_flight(r->t), 256);
    vht_hold(r->t, false);
    wait_all(&left);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(p[i].io.error, 0);
        assert_int_equal(p[i].io.bytes, 4096);
        assert_pattern(p[i].data, 4096, i * 4096ull, 1);
    }
    cli_file_close(r->c, f);
    free(p);
}

static void test_the_parts_of_a_long_read_travel_at_the_same_time(void **state)
{
    struct rig *r = rig_up();
    struct cli_session s;
    atomic_int left = 1;
    struct pending p = {.left = &left};

    (void)state;
    cli_session_get(r->c, &s);
    uint8_t *data = buffer(8 * (size_t)s.max_read);
    host_pattern(r, "f", 8 * (size_t)s.max_read, 1);
    struct cli_file *f = open_at(r, "f", CLI_READ);
    p.io = (struct cli_io){.buf = data, .len = 8 * s.max_read, .done = pending_done, .user = &p};
    vht_hold(r->t, true);
    assert_ok(cli_read(r->c, f, &p.io));
    assert_int_equal(vht_in_flight(r->t), 8);
    vht_hold(r->t, false);
    wait_all(&left);
    assert_int_equal(p.io.bytes, 8 * s.max_read);
    assert_pattern(data, p.io.bytes, 0, 1);
    cli_file_close(r->c, f);
    free(data);
}

static void test_an_append_beside_a_write_never_tells_a_wrong_place(void **state)
{
    struct rig *r = rig_up();
    struct cli_file *f = create(r, "f", CLI_WRITE);
    struct cli_attr a;
    atomic_int left = 2;
    struct pending p[2] = {{.left = &left}, {.left = &left}};

    (void)state;
    assert_int_equal(write_at(r, f, "x", 1, 0, CLI_IO_APPEND), 1); /* opens for appending */
    assert_ok(cli_getattr(r->c, cli_file_node(f), true, &a));
    for (unsigned i = 0; i < 2; i++)
        p[i].io =
            (struct cli_io){.buf = p[i].data, .len = 100, .done = pending_done, .user = &p[i]};
    p[1].io.flags = CLI_IO_APPEND;
    vht_hold(r->t, true);
    assert_ok(cli_write(r->c, f, &p[0].io));
    assert_ok(cli_write(r->c, f, &p[1].io));
    vht_hold(r->t, false);
    wait_all(&left);
    assert_int_equal(host_stat(r, "f").st_size, 200);
    assert_true(p[1].io.at == 100 || p[1].io.at == UINT64_MAX);
    assert_ok(cli_getattr(r->c, cli_file_node(f), false, &a));
    assert_int_equal(a.size, 200);
    cli_file_close(r->c, f);
}

static void test_a_cancelled_read_ends_at_once(void **state)
{
    struct rig *r = rig_up();
    atomic_int left = 1;
    struct pending p = {.left = &left};

    (void)state;
    host_pattern(r, "f", 4096, 1);
    struct cli_file *f = open_at(r, "f", CLI_READ);
    p.io = (struct cli_io){.buf = p.data, .len = 4096, .done = pending_done, .user = &p};
    vht_hold(r->t, true);
    assert_ok(cli_read(r->c, f, &p.io));
    cli_io_cancel(r->c, &p.io);
    wait_all(&left);
    assert_int_equal(p.io.error, -LE_EINTR);
    assert_int_equal(p.io.bytes, 0);
    cli_io_cancel(r->c, &p.io); /* too late: nothing happens */
    vht_hold(r->t, false);
    assert_int_equal(read_at(r, f, p.data, 4096, 0), 4096);
    assert_pattern(p.data, 4096, 0, 1);
    cli_file_close(r->c, f);
}

static void test_a_handle_is_released_after_the_last_answer(void **state)
{
    struct rig *r = rig_start(&(struct rig_options){.stats = rig_is_ours()});
    atomic_int left = 1;
    struct pending p = {.left = &left};

    (void)state;
    host_pattern(r, "f", 4096, 1);
    struct cli_file *f = open_at(r, "f", CLI_READ);
    p.io = (struct cli_io){.buf = p.data, .len = 4096, .done = pending_done, .user = &p};
    vht_hold(r->t, true);
    assert_ok(cli_read(r->c, f, &p.io));
    cli_file_close(r->c, f);
    assert_int_equal(requests_of(r, FUSE_RELEASE), 0);
    vht_hold(r->t, false);
    wait_all(&left);
    assert_int_equal(p.io.bytes, 4096);
    for (int ms = 0; requests_of(r, FUSE_RELEASE) == 0 || vht_in_flight(r->t) > 0; ms++) {
        assert_true(ms < PATIENCE_MS);
        poll(NULL, 0, 1);
    }
    if (rig_is_ours())
        assert_int_equal(rig_gauge(r, "virtiofsd_open_handles"), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_sixteen_threads_keep_sixteen_reads_in_flight),
        RIG_TEST(test_one_thread_keeps_a_full_ring_of_reads_in_flight),
        RIG_TEST(test_the_parts_of_a_long_read_travel_at_the_same_time),
        RIG_TEST(test_an_append_beside_a_write_never_tells_a_wrong_place),
        RIG_TEST(test_a_cancelled_read_ends_at_once),
        RIG_TEST(test_a_handle_is_released_after_the_last_answer),
    };

    return rig_main("flight", argc, argv, tests, ARRAY(tests));
}
