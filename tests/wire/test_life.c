// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_life.c - guests that come, reboot, hang, and are killed; queues and memory that change
 */
#include "tests/wire/wire.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

static const char *const keep_listening[] = {"--keep-listening", NULL};

static void test_daemon_ends_with_its_guest(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    int status = -1;

    wire_disconnect(w);
    assert_ok(daemon_wait(&w->d, 5000, &status));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    w->ended = true;
}

static void test_daemon_that_keeps_listening_serves_guest_after_guest(void **state)
{
    (void)state;
    struct wire *w = wire_start(&(struct wire_options){.args = keep_listening});
    char name[16];
    int fds = 0, threads = 0;

    host_write(w, "f", "text");
    for (unsigned i = 0; i < 20; i++) {
        uint64_t f = node(w, FC_ROOT, "f");
        for (unsigned k = 0; k < 20; k++)
            opened(w, f, O_RDWR);
        open_dir(w, FC_ROOT);
        struct fuse_entry_out e;
        snprintf(name, sizeof(name), "made-%u", i);
        assert_ok(fc_mkdir(&w->c, FC_ROOT, name, 0755, &e));
        wire_disconnect(w);
        wire_connect(w, NULL, true);
        if (i == 4) {
            fds = daemon_fd_count(&w->d);
            threads = daemon_thread_count(&w->d);
        }
    }
    assert_true(daemon_fd_count(&w->d) <= fds + 2); /* nothing of twenty guests has stayed */
    assert_int_equal(daemon_thread_count(&w->d), threads);
}

/* A guest in a process of its own, that works until it is killed. */
static _Noreturn void be_a_guest(const struct daemon *d, bool locks)
{
    struct fe *fe;
    struct fc c;
    struct fuse_entry_out e;
    uint64_t fh;
    static char data[65536];

    if (fe_open(&fe, NULL, d->socket) < 0 || fc_open(&c, fe, FE_REQUESTS) < 0 || fc_init(&c) < 0)
        _exit(1);
    for (unsigned i = 0;; i++) {
        char name[24];
        snprintf(name, sizeof(name), "file-%u", i % 10);
        if (fc_create(&c, FC_ROOT, name, O_RDWR, 0644, &e, &fh) < 0 ||
            fc_write(&c, e.nodeid, fh, data, sizeof(data), 0) < 0)
            _exit(1);
        if (locks)
            fc_setlk(&c, e.nodeid, fh, i, F_WRLCK, 0, 100, false);
        if (i % 3 == 0)
            fc_release(&c, e.nodeid, fh);
        if (i % 500 == 499)
            fc_destroy(&c), fc_init(&c);
    }
}

static void test_guest_that_is_killed_at_any_point_leaves_nothing_behind(void **state)
{
    (void)state;
    struct wire *w = wire_start(&(struct wire_options){
        .args = (const char *const[]){"--keep-listening", "-o", "posix_lock", NULL}});
    int fds = 0;

    wire_disconnect(w);
    for (unsigned i = 0; i < 15; i++) {
        pid_t guest = fork();
        if (guest == 0)
            be_a_guest(&w->d, i & 1);
        assert_true(guest > 0);
        poll(NULL, 0, 3 + (int)i * 4);
        kill(guest, SIGKILL);
        int status;
        assert_int_equal(waitpid(guest, &status, 0), guest);
        assert_true(WIFSIGNALED(status));
        wire_connect(w, NULL, true);
        uint64_t fh;
        struct fuse_entry_out e;
        assert_ok(fc_create(&w->c, FC_ROOT, "check", O_RDWR, 0644, &e, &fh));
        assert_ok(fc_setlk(&w->c, e.nodeid, fh, 1, F_WRLCK, 0, 100, false));
        if (i == 2)
            fds = daemon_fd_count(&w->d);
        wire_disconnect(w);
    }
    wire_connect(w, NULL, true);
    assert_true(daemon_fd_count(&w->d) <= fds + 2);
}

static void test_second_guest_waits_until_the_first_has_left(void **state)
{
    (void)state;
    struct wire *w = wire_start(&(struct wire_options){.args = keep_listening});
    pid_t second = fork();

    if (second == 0) {
        fe_disconnect(w->fe); /* our copy of the first one's socket */
        struct fe *fe;
        struct fc c;
        struct fuse_attr a;
        bool good = fe_open(&fe, NULL, w->d.socket) == 0 && fc_open(&c, fe, FE_REQUESTS) == 0 &&
                    fc_init(&c) == 0 && fc_getattr(&c, FC_ROOT, &a) == 0;
        _exit(good ? 0 : 1);
    }
    assert_true(second > 0);
    for (unsigned i = 0; i < 20; i++) {
        wire_alive(w);
        poll(NULL, 0, 2);
    }
    int status;
    assert_int_equal(waitpid(second, &status, WNOHANG), 0);
    wire_disconnect(w);
    assert_int_equal(waitpid(second, &status, 0), second);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_reset_of_the_device_ends_the_session(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "text");
    uint64_t f = node(w, FC_ROOT, "f");
    opened(w, f, O_RDWR);
    for (unsigned i = 0; i < 5; i++) {
        assert_ok(fe_reset_device(w->fe));
        assert_true(fc_getattr(&w->c, f, &a) < 0);
        assert_ok(fc_init(&w->c));
        wire_alive(w);
        f = node(w, FC_ROOT, "f");
    }
}

static void test_queue_can_be_stopped_and_resumed_in_the_middle(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    uint32_t base;

    for (unsigned i = 0; i < 30; i++) {
        wire_alive(w);
        assert_ok(fe_queue_stop(w->fe, FE_REQUESTS, &base));
        assert_ok(fe_queue_resume(w->fe, FE_REQUESTS, base));
        wire_alive(w);
        assert_ok(fe_queue_enable(w->fe, FE_REQUESTS, false));
        assert_ok(fe_queue_enable(w->fe, FE_REQUESTS, true));
        wire_alive(w);
    }
}

static void test_every_queue_that_is_offered_works(void **state)
{
    (void)state;
    struct wire *w = wire_start(&(struct wire_options){.fe = {.queues = 65, .queue_size = 64}});
    struct fuse_attr a;

    for (unsigned q = FE_REQUESTS; q < 65; q++) {
        struct fc c = {0};
        if (q == FE_REQUESTS)
            continue;
        assert_ok(fc_open(&c, w->fe, q));
        c.unique = q * 100000;
        assert_ok(fc_getattr(&c, FC_ROOT, &a));
        fc_close(&c);
    }
    wire_alive(w);
}

static void test_rings_of_every_kind_work(void **state)
{
    (void)state;
    static const uint64_t refuse[] = {0, 1ULL << RING_F_EVENT_IDX, 1ULL << RING_F_INDIRECT_DESC,
                                      1ULL << RING_F_EVENT_IDX | 1ULL << RING_F_INDIRECT_DESC};
    static const uint32_t size[] = {8, 64, 1024, 32768};
    struct wire *w = wire_start(&(struct wire_options){.args = keep_listening, .no_connect = true});

    for (unsigned i = 0; i < ARRAY(refuse); i++) {
        for (unsigned s = 0; s < ARRAY(size); s++) {
            for (unsigned pipes = 0; pipes < 2; pipes++) {
                wire_connect(w,
                             &(struct fe_options){
                                 .refuse_virtio = refuse[i], .queue_size = size[s], .pipes = pipes},
                             true);
                for (unsigned k = 0; k < 40; k++)
                    wire_alive(w);
                wire_disconnect(w);
            }
        }
    }
}

static void test_memory_can_be_plugged_and_pulled_while_the_guest_works(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    static uint8_t back[65536];

    host_write(w, "f", "");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR);
    for (unsigned i = 0; i < 10; i++) {
        int region = fe_region_add(w->fe, 2 << 20);
        assert_true(region > 0);
        size_t size;
        uint64_t gpa;
        uint8_t *m = fe_region(w->fe, region, &size, &gpa);
        memset(m, 'a' + (int)i, sizeof(back));
        struct fuse_write_in wr = {.fh = fh, .size = sizeof(back)};
        struct fc_part p = {&wr, sizeof(wr)};
        struct fc *c = &w->c;
        c->req.out_data = m;
        c->req.out_data_len = sizeof(back);
        c->req.in_data_len = 0;
        uint64_t unique = fc_build(c, &c->req, FUSE_WRITE, f, &p, 1, sizeof(struct fuse_write_out));
        assert_ok(fe_call(w->fe, FE_REQUESTS, &c->req));
        assert_int_equal(fc_result(&c->req, unique), sizeof(struct fuse_write_out));
        c->req.out_data_len = 0;
        assert_int_equal(fc_read(c, f, fh, back, sizeof(back), 0), sizeof(back));
        assert_int_equal(back[sizeof(back) - 1], 'a' + (int)i);
        if (i & 1)
            assert_ok(fe_region_remove(w->fe, region));
    }
}

static unsigned long context_switches(const struct wire *w)
{
    char path[64], line[256];
    unsigned long n, total = 0;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)daemon_worker_pid(&w->d));
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1)
            total += n;
    fclose(f);
    return total;
}

static void test_idle_guest_costs_no_cpu_time(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    for (unsigned i = 0; i < 1000; i++)
        wire_alive(w);
    unsigned long switches = context_switches(w);
    for (int round = 0; round < 100; round++) { /* first its threads go to sleep */
        poll(NULL, 0, 50);
        unsigned long now = context_switches(w);
        if (now == switches)
            break;
        switches = now;
    }
    long ticks = daemon_cpu_ticks(&w->d);
    assert_true(ticks >= 0);
    poll(NULL, 0, 500);
    assert_int_equal(daemon_cpu_ticks(&w->d), ticks);
    assert_int_equal(context_switches(w), switches);
    wire_alive(w);
}

static void test_tag_is_offered_only_when_it_was_given(void **state)
{
    (void)state;
    struct wire *w = wire_start(&(struct wire_options){
        .args = (const char *const[]){"--tag=myfs", NULL}, .fe = {.want_config = true}});
    char tag[40] = {0};

    assert_ok(fe_get_config(w->fe, 0, 36, tag));
    assert_string_equal(tag, "myfs");
    uint32_t queues = 0;
    assert_ok(fe_get_config(w->fe, 36, 4, &queues));
    assert_true(queues >= 1);
    assert_ok(wire_teardown(NULL));
    w = wire_up(NULL);
    assert_false(fe_proto_offered(w->fe) & (1ULL << 9)); /* VHOST_USER_PROTOCOL_F_CONFIG */
}

static void test_front_end_that_talks_nonsense_is_dropped_and_the_next_one_served(void **state)
{
    (void)state;
    struct wire *w = wire_start(&(struct wire_options){.args = keep_listening});
    static uint8_t noise[4096];
    unsigned seed = 7;

    for (unsigned i = 0; i < 40; i++) {
        for (unsigned k = 0; k < sizeof(noise); k++)
            noise[k] = (uint8_t)((seed = seed * 1103515245u + 12345u) >> 16);
        uint32_t request = i % 45;
        uint32_t len = seed % 300;
        fe_vu_send(w->fe, request, 1u | (i & 1 ? 8u : 0), i % 5 ? len : 0xfffffff0u, noise, len,
                   NULL, 0);
        poll(NULL, 0, 2);
        assert_true(daemon_running(&w->d));
        wire_disconnect(w);
        wire_connect(w, NULL, true);
        wire_alive(w);
    }
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_daemon_ends_with_its_guest),
    WIRE_TEST(test_daemon_that_keeps_listening_serves_guest_after_guest),
    WIRE_TEST(test_guest_that_is_killed_at_any_point_leaves_nothing_behind),
    WIRE_TEST(test_second_guest_waits_until_the_first_has_left),
    WIRE_TEST(test_reset_of_the_device_ends_the_session),
    WIRE_TEST(test_queue_can_be_stopped_and_resumed_in_the_middle),
    WIRE_TEST(test_every_queue_that_is_offered_works),
    WIRE_TEST(test_rings_of_every_kind_work),
    WIRE_TEST(test_memory_can_be_plugged_and_pulled_while_the_guest_works),
    WIRE_TEST(test_idle_guest_costs_no_cpu_time),
    WIRE_TEST(test_tag_is_offered_only_when_it_was_given),
    WIRE_TEST(test_front_end_that_talks_nonsense_is_dropped_and_the_next_one_served),
};
WIRE_MAIN("life", tests)
