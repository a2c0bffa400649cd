// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_many.c - many shares in one process: apart from each other, cheap while idle, and fair
 *
 * Theory of operation
 *
 *   See many_rig.h. What a single share does is tested by the other programs of this room (the tests named *_several).
 *
 *   VIOFS_SOAK=1: 1,000 idle shares instead of 200.
 */
#include "tests/wire/many_rig.h"
#include "virtiofsd/host/sanitize.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define PSS_MAX_KIB (200u * 1024u) /* of 1,000 shares; twice that with a front end each */
#define PSS_BASE    (16u * 1024u)
#define FLOOD_DEPTH 16u

/* ---- apart ------------------------------------------------------------------------------------ */

static void test_each_guest_sees_its_share_and_no_other(void **state)
{
    struct fuse_entry_out e;

    (void)state;
    many_start(3, NULL);
    for (unsigned i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof(name), "of-%u", i);
        many_write(i, name, "text");
        many_join(i);
    }
    assert_ok(fc_lookup(&many.c[0], FC_ROOT, "of-0", &e));
    assert_ok(fc_lookup(&many.c[1], FC_ROOT, "of-1", &e));
    assert_errno(fc_lookup(&many.c[0], FC_ROOT, "of-1", &e), ENOENT);
    assert_errno(fc_lookup(&many.c[1], FC_ROOT, "of-0", &e), ENOENT);
    /* The three directories are neighbours on one file system. */
    assert_true(fc_lookup(&many.c[0], FC_ROOT, "d1", &e) < 0);
    assert_true(fc_lookup(&many.c[0], FC_ROOT, "../d1", &e) < 0);
    if (fc_lookup(&many.c[0], FC_ROOT, "..", &e) == 0)
        assert_int_equal(e.nodeid, FC_ROOT);
}

static void test_node_ids_of_one_share_mean_nothing_in_another(void **state)
{
    struct fuse_entry_out mine, e;
    struct fuse_attr a;
    uint64_t fh;
    char name[16];

    (void)state;
    many_start(2, NULL);
    many_join(0);
    many_join(1);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        many_write(1, name, "secret");
        assert_ok(fc_lookup(&many.c[1], FC_ROOT, name, &mine));
        assert_ok(fc_open_file(&many.c[1], mine.nodeid, O_RDONLY, &fh));
        assert_errno(fc_getattr(&many.c[0], mine.nodeid, &a), ESTALE);
        assert_true(fc_open_file(&many.c[0], mine.nodeid, O_RDONLY, &fh) < 0);
        assert_true(fc_lookup(&many.c[0], mine.nodeid, "x", &e) < 0);
    }
    /* A symlink in a share is the guest's business; the daemon does not follow it. */
    char link[128];
    snprintf(link, sizeof(link), "%s/link", many_at(0, "d"));
    assert_ok(symlink(many_at(1, "d"), link));
    assert_ok(fc_lookup(&many.c[0], FC_ROOT, "link", &e));
    assert_true(S_ISLNK(e.attr.mode));
    assert_true(fc_lookup(&many.c[0], e.nodeid, "f0", &mine) < 0);
}

static void test_a_front_end_that_leaves_ends_its_session_only(void **state)
{
    struct fuse_attr a;

    (void)state;
    many_start(3, NULL);
    for (unsigned i = 0; i < 3; i++)
        many_join(i);
    for (unsigned round = 0; round < 10; round++) {
        many_leave(1);
        assert_ok(fc_getattr(&many.c[0], FC_ROOT, &a));
        assert_ok(fc_getattr(&many.c[2], FC_ROOT, &a));
        many_join(1);
        assert_ok(fc_getattr(&many.c[1], FC_ROOT, &a));
    }
}

static void test_a_front_end_that_stops_in_a_message_holds_nobody_up(void **state)
{
    struct fuse_attr a;
    uint32_t half[2] = {1, 1};

    (void)state;
    many_start(3, NULL);
    assert_ok(fe_new(&many.fe[0], &(struct fe_options){.memory = 4u << 20}));
    assert_ok(fe_connect(many.fe[0], many_at(0, "s")));
    assert_ok(fe_vu_send(many.fe[0], 1, 1, 8, half, 4, NULL, 0)); /* claims more than it sends */
    for (unsigned i = 1; i < 3; i++) {
        many_join(i);
        assert_ok(fc_getattr(&many.c[i], FC_ROOT, &a));
    }
    fe_free(many.fe[0]);
    many.fe[0] = NULL;
    many_join(0);
}

static void test_a_ring_that_breaks_stops_its_queue_only(void **state)
{
    struct fuse_attr a;

    (void)state;
    many_start(2, NULL);
    many_join_as(0, &(struct fe_options){.memory = 4u << 20, .queues = 3});
    many_join(1);
    assert_ok(fe_raw_set_avail(many.fe[0], 2, 257)); /* more than the ring has */
    assert_true(
        daemon_log_has(&many.d, "share s0: queue 2 stopped: the guest corrupted", PATIENCE_MS));
    for (unsigned i = 0; i < 100; i++) {
        assert_ok(fc_getattr(&many.c[0], FC_ROOT, &a));
        assert_ok(fc_getattr(&many.c[1], FC_ROOT, &a));
    }
}

static void test_a_share_that_is_missing_is_named(void **state)
{
    char conf[96];

    (void)state;
    many_start(2, NULL);
    many_join(0); /* it has started, and can be ended in good order */
    snprintf(conf, sizeof(conf), "%s/conf", many.dir);
    FILE *f = fopen(conf, "ae");
    assert_non_null(f);
    fprintf(f, "[share lost]\nshared-dir = %s/none\nsocket-path = %s/x\n", many.dir, many.dir);
    fclose(f);
    const char *argv[] = {getenv("VIOFS_DAEMON"), "--config", conf, NULL};
    struct daemon d;
    int status;
    assert_ok(daemon_start(&d, argv, &(struct daemon_options){.no_wait = true}));
    assert_ok(daemon_wait(&d, PATIENCE_MS, &status));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_true(daemon_log_has(&d, "share lost: shared-dir: ", 0));
    daemon_end(&d);
}

/* ---- cheap -------------------------------------------------------------------------------------- */

static unsigned long pss_kib(void)
{
    char path[64], line[256];
    unsigned long kib = 0;

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)daemon_worker_pid(&many.d));
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) && sscanf(line, "Pss: %lu", &kib) != 1)
        ;
    fclose(f);
    assert_true(kib > 0);
    return kib;
}

static void test_idle_shares_cost_little_memory_no_threads_and_no_cpu(void **state)
{
    unsigned n = SANITIZED ? 20 : getenv("VIOFS_SOAK") ? 1000 : 200;
    struct fuse_attr a;

    (void)state;
    unsetenv("MALLOC_PERTURB_"); /* meson's, which touches all that is allocated */
    many_start(n, NULL);
    many_join(0); /* it has started, then */
    unsigned long alone = pss_kib();
    for (unsigned i = 1; i < n; i++)
        many_join(i);
    poll(NULL, 0, 500); /* what was said at the start is over */
    unsigned long connected = pss_kib();
    int threads = daemon_thread_count(&many.d), fds = daemon_fd_count(&many.d);
    long ticks = daemon_cpu_ticks(&many.d);
    assert_true(ticks >= 0);
    poll(NULL, 0, 1000);
    long used = daemon_cpu_ticks(&many.d) - ticks;
    print_message("%u idle shares: PSS %lu KiB, with a front end each %lu KiB; %d threads, %d "
                  "descriptors; %ld ticks of CPU in a second\n",
                  n, alone, connected, threads, fds, used);
    assert_true(threads < 100); /* it is those that n guests at once were started with */
    if (!SANITIZED) {           /* shadows and red zones are many times that */
        assert_true(alone <= PSS_BASE + PSS_MAX_KIB / 1000 * n);
        assert_true(connected <= PSS_BASE + 2 * PSS_MAX_KIB / 1000 * n);
        assert_true(used <= 1); /* a thread that nobody needs any more may just have ended */
    }
    for (unsigned i = 0; i < n; i += 17)
        assert_ok(fc_getattr(&many.c[i], FC_ROOT, &a));
}

/* ---- fair --------------------------------------------------------------------------------------- */

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    assert_ok(sched_setaffinity(0, sizeof(set), &set));
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* GETATTRs one after the other. Return: how many in a second. */
static unsigned getattrs_a_second(unsigned i)
{
    uint64_t end = now_ns() + 1000000000u;
    struct fuse_attr a;
    unsigned n = 0;

    for (; now_ns() < end; n++)
        assert_ok(fc_getattr(&many.c[i], FC_ROOT, &a));
    return n;
}

/* A guest with many queues that are never empty, until it is killed. */
static _Noreturn void be_a_flood(const char *socket, unsigned queues)
{
    static struct fe_req req[64][FLOOD_DEPTH];
    struct fe *fe;
    struct fc c;
    int err;

    if (fe_open(&fe, &(struct fe_options){.queues = queues + 1, .memory = 16u << 20}, socket) < 0 ||
        fc_open(&c, fe, FE_REQUESTS) < 0 || fc_init(&c) < 0)
        _exit(1);
    for (unsigned q = 0; q < queues; q++) {
        for (unsigned i = 0; i < FLOOD_DEPTH; i++) {
            struct fuse_in_header h = {.len = sizeof(h) + sizeof(struct fuse_getattr_in),
                                       .opcode = FUSE_GETATTR,
                                       .unique = 1000 + (uint64_t)q * 2 * FLOOD_DEPTH + 2 * i,
                                       .nodeid = FC_ROOT};
            struct fe_req *r = &req[q][i];
            if (fe_req_init(fe, r, h.len, 256) < 0)
                _exit(1);
            r->out_len = h.len;
            r->in_len = 256;
            memset(r->out, 0, h.len);
            memcpy(r->out, &h, sizeof(h));
            if (fe_submit(fe, FE_REQUESTS + q, r, false) < 0)
                _exit(1);
        }
    }
    for (unsigned q = 0;; q = (q + 1) % queues) {
        struct fe_req *r;
        while ((r = fe_reap(fe, FE_REQUESTS + q, false, &err))) {
            if (fe_submit(fe, FE_REQUESTS + q, r, false) < 0)
                _exit(1);
        }
    }
}

static void test_a_flood_leaves_another_share_its_part(void **state)
{
    cpu_set_t before;
    unsigned best = 0;

    (void)state;
    assert_ok(sched_getaffinity(0, sizeof(before), &before));
    int cpu = 0;
    while (!CPU_ISSET(cpu, &before))
        cpu++;
    many_start(2, &(struct many_options){.cpu = cpu + 1});
    many_join(0);
    pin(cpu);
    /* Others use this machine, too: the best of five. */
    for (unsigned round = 0; round < 5 && best < 35; round++) {
        unsigned alone = getattrs_a_second(0);
        char socket[128];
        snprintf(socket, sizeof(socket), "%s", many_at(1, "s"));
        pid_t flood = fork();
        assert_true(flood >= 0);
        if (flood == 0)
            be_a_flood(socket, 16);
        poll(NULL, 0, 300);
        unsigned beside = getattrs_a_second(0);
        assert_int_equal(waitpid(flood, NULL, WNOHANG), 0);
        kill(flood, SIGKILL);
        waitpid(flood, NULL, 0);
        unsigned percent = beside * 100 / (alone ? alone : 1);
        print_message("a share on one CPU: %u requests a second alone, %u beside a flood of 16 "
                      "queues (%u %%)\n",
                      alone, beside, percent);
        best = percent > best ? percent : best;
    }
    assert_ok(sched_setaffinity(0, sizeof(before), &before));
    assert_true(SANITIZED || best >= 15); /* 18 to 42 were seen while others had the machine, too */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_each_guest_sees_its_share_and_no_other, many_end),
        cmocka_unit_test_teardown(test_node_ids_of_one_share_mean_nothing_in_another, many_end),
        cmocka_unit_test_teardown(test_a_front_end_that_leaves_ends_its_session_only, many_end),
        cmocka_unit_test_teardown(test_a_front_end_that_stops_in_a_message_holds_nobody_up,
                                  many_end),
        cmocka_unit_test_teardown(test_a_ring_that_breaks_stops_its_queue_only, many_end),
        cmocka_unit_test_teardown(test_a_share_that_is_missing_is_named, many_end),
        cmocka_unit_test_teardown(test_idle_shares_cost_little_memory_no_threads_and_no_cpu,
                                  many_end),
        cmocka_unit_test_teardown(test_a_flood_leaves_another_share_its_part, many_end),
    };
    return wire_main("many", argc, argv, tests, ARRAY(tests));
}
