// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_pace.c - operations and bytes a second, requests in flight, descriptors: what a share's limits let through
 *
 * Rates are measured for two seconds, after the burst that is allowed at first has been used up.
 */
#include "tests/wire/wire.h"

#include <sys/wait.h>

#include "virtiofsd/host/clock.h"

#define SECOND    1000000000u
#define MIB       (1u << 20)
#define REQ_BYTES 4096u

/* ---- rates --------------------------------------------------------------------------------------------- */

/* One request of each test. Return: what it counts for. */
typedef uint64_t one_fn(struct wire *w, uint64_t file, uint64_t fh);

static uint64_t one_getattr(struct wire *w, uint64_t file, uint64_t fh)
{
    (void)file, (void)fh;
    wire_alive(w);
    return 1;
}

static uint64_t one_read(struct wire *w, uint64_t file, uint64_t fh)
{
    assert_int_equal(fc_read(&w->c, file, fh, NULL, MIB / 4, 0), MIB / 4);
    return MIB / 4;
}

static uint64_t one_write(struct wire *w, uint64_t file, uint64_t fh)
{
    static const char bytes[MIB / 4];

    assert_int_equal(fc_write(&w->c, file, fh, bytes, sizeof(bytes), 0), sizeof(bytes));
    return sizeof(bytes);
}

static uint64_t one_copy(struct wire *w, uint64_t file, uint64_t fh)
{
    ssize_t n = fc_copy_file_range(&w->c, file, fh, 0, file, fh, MIB, MIB / 4);

    assert_int_equal(n, MIB / 4);
    return MIB / 4;
}

/* How much of @one there is in a second, once no burst is left. */
static uint64_t rate_of(struct wire *w, one_fn *one, double seconds)
{
    struct fuse_entry_out e;
    uint64_t fh, sum = 0;

    assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
    assert_ok(fc_fallocate(&w->c, e.nodeid, fh, 0, 2 * MIB, 0));
    for (uint64_t until = clock_ns() + SECOND * 3 / 10; clock_ns() < until;)
        one(w, e.nodeid, fh);
    uint64_t start = clock_ns(), now;
    do {
        sum += one(w, e.nodeid, fh);
        now = clock_ns();
    } while (now < start + (uint64_t)(seconds * SECOND));
    return (uint64_t)((double)sum * SECOND / (double)(now - start));
}

static void test_operations_are_held_to_their_rate(void **state)
{
    (void)state;
    assert_in_range(rate_of(wire_up("--limit-ops=500"), one_getattr, 2), 425, 575);
}

static void test_reads_are_held_to_the_bandwidth(void **state)
{
    (void)state;
    assert_in_range(rate_of(wire_up("--limit-bandwidth=20M"), one_read, 2), 17 * MIB, 23 * MIB);
}

static void test_writes_are_held_to_the_bandwidth(void **state)
{
    (void)state;
    assert_in_range(rate_of(wire_up("-o", "limit_bandwidth=20M"), one_write, 1), 17 * MIB,
                    23 * MIB);
}

static void test_copies_are_held_to_the_bandwidth(void **state)
{
    (void)state;
    assert_in_range(rate_of(wire_up("--limit-bandwidth=20M"), one_copy, 1), 17 * MIB, 23 * MIB);
}

static void test_metadata_costs_no_bandwidth(void **state)
{
    (void)state;
    assert_true(rate_of(wire_up("--limit-bandwidth=64K"), one_getattr, 0.2) > 2000);
}

static void test_read_at_the_end_of_a_file_costs_what_it_returned(void **state)
{
    (void)state;
    struct wire *w = wire_up("--limit-bandwidth=64K");

    host_write(w, "f", "text");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDONLY), start = clock_ns();
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(fc_read(&w->c, f, fh, NULL, MIB, 0), 4);
    assert_true(clock_ns() - start < 5ull * SECOND); /* 20 MiB would take five minutes */
}

static void test_long_copy_is_shortened_and_not_refused(void **state)
{
    (void)state;
    struct wire *w = wire_up("--limit-bandwidth=64K");
    struct fuse_entry_out e;
    uint64_t fh;

    assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
    assert_ok(fc_fallocate(&w->c, e.nodeid, fh, 0, 8 * MIB, 0));
    assert_int_equal(fc_copy_file_range(&w->c, e.nodeid, fh, 0, e.nodeid, fh, 4 * MIB, 4 * MIB),
                     64 << 10);
}

/* ---- hiprio and stopping --------------------------------------------------------------------------------- */

/* One operation in ten seconds' time. */
static struct wire *in_debt(void)
{
    struct wire *w = wire_up("--limit-ops=1", "--keep-listening");
    static struct fe_req r[10];

    for (unsigned i = 0; i < ARRAY(r); i++) {
        struct fuse_getattr_in in = {0};
        assert_ok(fe_req_init(w->fe, &r[i], REQ_BYTES, REQ_BYTES));
        fc_build(&w->c, &r[i], FUSE_GETATTR, FC_ROOT, &(struct fc_part){&in, sizeof(in)}, 1, 200);
        assert_ok(fe_submit(w->fe, FE_REQUESTS, &r[i], false));
    }
    return w;
}

static void test_forget_never_waits_for_a_rate(void **state)
{
    (void)state;
    struct wire *w = in_debt();
    uint64_t start = clock_ns();

    for (unsigned i = 0; i < 100; i++)
        assert_ok(fc_forget(&w->c, 12345, 1));
    assert_true(clock_ns() - start < SECOND);
}

static void test_guest_that_leaves_while_it_waits_makes_room_at_once(void **state)
{
    (void)state;
    struct wire *w = in_debt();
    uint64_t start = clock_ns();

    wire_disconnect(w);
    wire_connect(w, &(struct fe_options){0}, false);
    assert_true(clock_ns() - start < 5ull * SECOND);
}

static void test_two_queues_get_the_same_part(void **state)
{
    struct wire *w = wire_start(&(struct wire_options){
        .args = (const char *const[]){"--limit-ops=1000", NULL}, .fe = {.queues = 3}});
    static struct fe_req r[2][16];
    unsigned done[2] = {0, 0};
    int err = 0;
    (void)state;

    if (fe_max_queues(w->fe) < 3)
        skip();
    for (uint64_t start = clock_ns(), first = 1; clock_ns() < start + 2ull * SECOND; first = 0) {
        for (unsigned q = 0; q < 2; q++) { /* sixteen at a time on one, two on the other */
            for (unsigned i = 0; i < (q ? 2 : 16); i++) {
                struct fuse_getattr_in in = {0};
                if (first)
                    assert_ok(fe_req_init(w->fe, &r[q][i], REQ_BYTES, REQ_BYTES));
                else if (!r[q][i].done)
                    continue;
                done[q] += !first;
                fc_build(&w->c, &r[q][i], FUSE_GETATTR, FC_ROOT, &(struct fc_part){&in, sizeof(in)},
                         1, 200);
                assert_ok(fe_submit(w->fe, FE_REQUESTS + q, &r[q][i], false));
            }
            while (fe_reap(w->fe, FE_REQUESTS + q, false, &err))
                ;
        }
        usleep(500);
    }
    assert_in_range(done[0] + done[1], 1700, 2300);
    assert_in_range(done[1], done[0] / 2, done[0] * 2);
}

/* ---- in flight ------------------------------------------------------------------------------------------ */

/* A copy that takes a while, and a GETATTR behind it. Return: is the GETATTR answered well before? */
static bool overtakes(struct wire *w)
{
    struct fuse_entry_out e;
    uint64_t fh;
    int err = 0;
    struct fe_req copy, ask;

    assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
    assert_ok(fc_fallocate(&w->c, e.nodeid, fh, 0, 256 * MIB, 0));
    struct fuse_copy_file_range_in in = {
        .fh_in = fh, .fh_out = fh, .nodeid_out = e.nodeid, .off_out = 128 * MIB, .len = 128 * MIB};
    struct fuse_getattr_in get = {0};
    assert_ok(fe_req_init(w->fe, &copy, REQ_BYTES, REQ_BYTES));
    assert_ok(fe_req_init(w->fe, &ask, REQ_BYTES, REQ_BYTES));
    fc_build(&w->c, &copy, FUSE_COPY_FILE_RANGE, e.nodeid, &(struct fc_part){&in, sizeof(in)}, 1,
             200);
    fc_build(&w->c, &ask, FUSE_GETATTR, FC_ROOT, &(struct fc_part){&get, sizeof(get)}, 1, 200);
    assert_ok(fe_submit(w->fe, FE_REQUESTS, &copy, false));
    assert_ok(fe_submit(w->fe, FE_REQUESTS, &ask, false));
    uint64_t start = clock_ns();
    while (!ask.done)
        assert_non_null(fe_reap(w->fe, FE_REQUESTS, true, &err));
    uint64_t asked = clock_ns() - start;
    while (!copy.done)
        assert_non_null(fe_reap(w->fe, FE_REQUESTS, true, &err));
    uint64_t copied = clock_ns() - start;
    return asked < copied / 10 * 9; /* the slot is free a moment before the copy is answered */
}

static void test_what_is_in_flight_holds_up_what_comes_after_it(void **state)
{
    (void)state;
    assert_true(overtakes(wire_up(NULL)));
    assert_false(overtakes(wire_up("--limit-in-flight=1")));
}

static void test_two_in_flight_go_beside_each_other(void **state)
{
    (void)state;
    assert_true(overtakes(wire_up("--limit-in-flight=2")));
}

static void test_waiting_for_a_lock_is_not_in_flight(void **state)
{
    (void)state;
    struct wire *w = wire_up("-o", "posix_lock", "--limit-in-flight=1");
    struct fe_req wait;
    int err = 0;

    host_write(w, "f", "text");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR);
    assert_ok(fc_setlk(&w->c, f, fh, 1, F_WRLCK, 0, INT64_MAX, false));
    struct fuse_lk_in in = {
        .fh = fh, .owner = 2, .lk = {.end = INT64_MAX, .type = F_WRLCK, .pid = 77}};
    assert_ok(fe_req_init(w->fe, &wait, REQ_BYTES, REQ_BYTES));
    uint64_t unique =
        fc_build(&w->c, &wait, FUSE_SETLKW, f, &(struct fc_part){&in, sizeof(in)}, 1, 0);
    assert_ok(fe_submit(w->fe, FE_REQUESTS, &wait, false));
    for (unsigned i = 0; i < 100; i++)
        wire_alive(w);
    assert_false(wait.done);
    assert_ok(fc_setlk(&w->c, f, fh, 1, F_UNLCK, 0, INT64_MAX, false));
    while (!wait.done)
        assert_non_null(fe_reap(w->fe, FE_REQUESTS, true, &err));
    assert_int_equal(fc_result(&wait, unique), 0);
    for (unsigned i = 0; i < 100; i++)
        wire_alive(w);
}

static void test_malformed_requests_use_up_no_slot(void **state)
{
    (void)state;
    struct wire *w = wire_up("--limit-in-flight=1");

    for (unsigned i = 0; i < 20; i++)
        assert_true(raw(w, FUSE_READ, FC_ROOT, "x", 1, NULL, 0) < 0);
    wire_alive(w);
}

/* ---- descriptors ------------------------------------------------------------------------------------------ */

static void test_share_has_no_more_descriptors_than_its_limit(void **state)
{
    (void)state;
    struct wire *w = wire_up("--limit-files=300");
    int before = daemon_fd_count(&w->d), err = 0;
    char name[16];
    uint64_t fh;
    unsigned n = 0;

    for (; n < 1000 && err == 0; n++) {
        snprintf(name, sizeof(name), "f%u", n);
        host_write(w, name, "text");
        err = fc_open_file(&w->c, node(w, FC_ROOT, name), O_RDONLY, &fh);
    }
    assert_int_equal(err, -ENFILE);
    assert_in_range(n, 90, 300);
    assert_in_range(daemon_fd_count(&w->d), before, before + 300);
    wire_alive(w);
}

static void test_more_descriptors_than_the_process_may_have_are_refused(void **state)
{
    static const char *const args[] = {"--rlimit-nofile=1024", "--limit-files=1000", NULL};
    struct daemon d;
    int status = 0;
    (void)state;

    assert_ok(daemon_start_ours(&d, args, &(struct daemon_options){.no_wait = true}));
    assert_ok(daemon_wait(&d, 5000, &status));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    assert_true(daemon_log_has(&d, "--limit-files=1000: ", 0));
    daemon_end(&d);
}

/* ---- statistics ------------------------------------------------------------------------------------------- */

static void test_limits_and_time_that_was_waited_for_them_are_exported(void **state)
{
    char path[64], option[96];
    (void)state;

    snprintf(path, sizeof(path), "/tmp/viofs-pace-%d", (int)getpid());
    snprintf(option, sizeof(option), "--stats-socket=%s", path);
    struct wire *w = wire_up("--limit-ops=100", "--limit-bandwidth=1M", "--limit-in-flight=7",
                             "--limit-files=300", option);
    for (unsigned i = 0; i < 50; i++)
        wire_alive(w);
    assert_true(wire_metric(path, "virtiofsd_limit_operations_per_second") == 100);
    assert_true(wire_metric(path, "virtiofsd_limit_bandwidth_bytes_per_second") == MIB);
    assert_true(wire_metric(path, "virtiofsd_limit_in_flight") == 7);
    assert_true(wire_metric(path, "virtiofsd_limit_files") == 300);
    assert_true(wire_metric(path, "virtiofsd_limited_in_flight") <= 1);
    assert_true(wire_metric(path, "virtiofsd_throttled_seconds_total") > 0.2);
    unlink(path);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_operations_are_held_to_their_rate),
    WIRE_TEST(test_reads_are_held_to_the_bandwidth),
    WIRE_TEST(test_writes_are_held_to_the_bandwidth),
    WIRE_TEST(test_copies_are_held_to_the_bandwidth),
    WIRE_TEST(test_metadata_costs_no_bandwidth),
    WIRE_TEST(test_read_at_the_end_of_a_file_costs_what_it_returned),
    WIRE_TEST(test_long_copy_is_shortened_and_not_refused),
    WIRE_TEST(test_forget_never_waits_for_a_rate),
    WIRE_TEST(test_guest_that_leaves_while_it_waits_makes_room_at_once),
    WIRE_TEST(test_two_queues_get_the_same_part),
    WIRE_TEST(test_what_is_in_flight_holds_up_what_comes_after_it),
    WIRE_TEST(test_two_in_flight_go_beside_each_other),
    WIRE_TEST(test_waiting_for_a_lock_is_not_in_flight),
    WIRE_TEST(test_malformed_requests_use_up_no_slot),
    WIRE_TEST(test_share_has_no_more_descriptors_than_its_limit),
    WIRE_TEST(test_more_descriptors_than_the_process_may_have_are_refused),
    WIRE_TEST(test_limits_and_time_that_was_waited_for_them_are_exported),
};
WIRE_MAIN("pace", tests)
