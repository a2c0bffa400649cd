// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_many.c - many shares in one process: apart from each other, cheap while idle, and fair
 *
 * Theory of operation
 *
 *   One daemon with a configuration file of N sections, each with its own directory and socket in one scratch
 *   directory, and a front end for as many of them as a test likes. What a single share does is tested by the other
 *   programs of this room (the tests named *_several).
 *
 *   VIOFS_SOAK=1: 1,000 idle shares instead of 200.
 */
#include "tests/wire/wire.h"
#include "virtiofsd/host/sanitize.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define PSS_MAX_KIB (200u * 1024u) /* of 1,000 shares; twice that with a front end each */
#define PSS_BASE    (16u * 1024u)
#define FLOOD_DEPTH 16u

struct many {
    struct daemon d;
    char dir[64];
    unsigned n;
    struct fe **fe;
    struct fc *c;
};

static struct many m;

static const char *at(unsigned i, const char *what)
{
    static char path[4][128];
    static unsigned turn;

    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof(path[0]), "%s/%s%u", m.dir, what, i);
    return path[turn];
}

static void start(unsigned n, const char *first_lines, int cpu)
{
    char conf[96], mode[32];

    m = (struct many){.n = n};
    snprintf(m.dir, sizeof(m.dir), "/dev/shm/viofs-many.XXXXXX");
    assert_non_null(mkdtemp(m.dir));
    snprintf(conf, sizeof(conf), "%s/conf", m.dir);
    FILE *f = fopen(conf, "we");
    assert_non_null(f);
    fprintf(f, "%s", first_lines);
    for (unsigned i = 0; i < n; i++) {
        assert_ok(mkdir(at(i, "d"), 0755));
        fprintf(f, "[share s%u]\nshared-dir = %s\nsocket-path = %s\n", i, at(i, "d"), at(i, "s"));
    }
    fclose(f);
    snprintf(mode, sizeof(mode), "--sandbox=%s", wire_sandbox());
    const char *argv[] = {getenv("VIOFS_DAEMON"), "--config", conf, mode, NULL};
    assert_ok(daemon_start(&m.d, argv, &(struct daemon_options){.no_wait = true, .cpu = cpu}));
    for (int ms = 0; access(at(n - 1, "s"), F_OK) < 0 && ms < PATIENCE_MS; ms += 10)
        poll(NULL, 0, 10);
    m.fe = calloc(n, sizeof(struct fe *));
    m.c = calloc(n, sizeof(struct fc));
}

static void join_as(unsigned i, const struct fe_options *o)
{
    assert_ok(fe_open(&m.fe[i], o, at(i, "s")));
    assert_ok(fc_open(&m.c[i], m.fe[i], FE_REQUESTS));
    assert_ok(fc_init(&m.c[i]));
}

static void join(unsigned i)
{
    join_as(i, &(struct fe_options){.memory = 4u << 20});
}

static void leave(unsigned i)
{
    if (m.fe[i])
        fc_close(&m.c[i]);
    fe_free(m.fe[i]);
    m.fe[i] = NULL;
}

static void write_file(unsigned i, const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", at(i, "d"), name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int teardown(void **state)
{
    char command[128];
    int status = 0;
    bool good = true;

    (void)state;
    for (unsigned i = 0; i < m.n; i++)
        leave(i);
    daemon_kill(&m.d, SIGTERM);
    if (daemon_wait(&m.d, PATIENCE_MS, &status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status)) {
        char *log = daemon_log(&m.d);
        print_error("the daemon does not end well (0x%x); its log:\n%s\n", (unsigned)status,
                    log ? log : "");
        free(log);
        good = false;
    }
    good = !daemon_complained(&m.d) && good;
    daemon_end(&m.d);
    snprintf(command, sizeof(command), "rm -rf '%s'", m.dir);
    good = system(command) == 0 && good; // NOLINT(cert-env33-c): a path of our own
    free(m.fe);
    free(m.c);
    return good ? 0 : -1;
}

/* ---- apart ------------------------------------------------------------------------------------ */

static void test_each_guest_sees_its_share_and_no_other(void **state)
{
    struct fuse_entry_out e;

    (void)state;
    start(3, "", 0);
    for (unsigned i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof(name), "of-%u", i);
        write_file(i, name, "text");
        join(i);
    }
    assert_ok(fc_lookup(&m.c[0], FC_ROOT, "of-0", &e));
    assert_ok(fc_lookup(&m.c[1], FC_ROOT, "of-1", &e));
    assert_errno(fc_lookup(&m.c[0], FC_ROOT, "of-1", &e), ENOENT);
    assert_errno(fc_lookup(&m.c[1], FC_ROOT, "of-0", &e), ENOENT);
    /* The three directories are neighbours on one file system. */
    assert_true(fc_lookup(&m.c[0], FC_ROOT, "d1", &e) < 0);
    assert_true(fc_lookup(&m.c[0], FC_ROOT, "../d1", &e) < 0);
    if (fc_lookup(&m.c[0], FC_ROOT, "..", &e) == 0)
        assert_int_equal(e.nodeid, FC_ROOT);
}

static void test_node_ids_of_one_share_mean_nothing_in_another(void **state)
{
    struct fuse_entry_out mine, e;
    struct fuse_attr a;
    uint64_t fh;
    char name[16];

    (void)state;
    start(2, "", 0);
    join(0);
    join(1);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        write_file(1, name, "secret");
        assert_ok(fc_lookup(&m.c[1], FC_ROOT, name, &mine));
        assert_ok(fc_open_file(&m.c[1], mine.nodeid, O_RDONLY, &fh));
        assert_errno(fc_getattr(&m.c[0], mine.nodeid, &a), ESTALE);
        assert_true(fc_open_file(&m.c[0], mine.nodeid, O_RDONLY, &fh) < 0);
        assert_true(fc_lookup(&m.c[0], mine.nodeid, "x", &e) < 0);
    }
    /* A symlink in a share is the guest's business; the daemon does not follow it. */
    char link[128];
    snprintf(link, sizeof(link), "%s/link", at(0, "d"));
    assert_ok(symlink(at(1, "d"), link));
    assert_ok(fc_lookup(&m.c[0], FC_ROOT, "link", &e));
    assert_true(S_ISLNK(e.attr.mode));
    assert_true(fc_lookup(&m.c[0], e.nodeid, "f0", &mine) < 0);
}

static void test_a_front_end_that_leaves_ends_its_session_only(void **state)
{
    struct fuse_attr a;

    (void)state;
    start(3, "", 0);
    for (unsigned i = 0; i < 3; i++)
        join(i);
    for (unsigned round = 0; round < 10; round++) {
        leave(1);
        assert_ok(fc_getattr(&m.c[0], FC_ROOT, &a));
        assert_ok(fc_getattr(&m.c[2], FC_ROOT, &a));
        join(1);
        assert_ok(fc_getattr(&m.c[1], FC_ROOT, &a));
    }
}

static void test_a_front_end_that_stops_in_a_message_holds_nobody_up(void **state)
{
    struct fuse_attr a;
    uint32_t half[2] = {1, 1};

    (void)state;
    start(3, "", 0);
    assert_ok(fe_new(&m.fe[0], &(struct fe_options){.memory = 4u << 20}));
    assert_ok(fe_connect(m.fe[0], at(0, "s")));
    assert_ok(fe_vu_send(m.fe[0], 1, 1, 8, half, 4, NULL, 0)); /* claims more than it sends */
    for (unsigned i = 1; i < 3; i++) {
        join(i);
        assert_ok(fc_getattr(&m.c[i], FC_ROOT, &a));
    }
    fe_free(m.fe[0]);
    m.fe[0] = NULL;
    join(0);
}

static void test_a_ring_that_breaks_stops_its_queue_only(void **state)
{
    struct fuse_attr a;

    (void)state;
    start(2, "", 0);
    join_as(0, &(struct fe_options){.memory = 4u << 20, .queues = 3});
    join(1);
    assert_ok(fe_raw_set_avail(m.fe[0], 2, 257)); /* more than the ring has */
    assert_true(
        daemon_log_has(&m.d, "share s0: queue 2 stopped: the guest corrupted", PATIENCE_MS));
    for (unsigned i = 0; i < 100; i++) {
        assert_ok(fc_getattr(&m.c[0], FC_ROOT, &a));
        assert_ok(fc_getattr(&m.c[1], FC_ROOT, &a));
    }
}

static void test_a_share_that_is_missing_is_named(void **state)
{
    char conf[96];

    (void)state;
    start(2, "", 0);
    join(0); /* it has started, and can be ended in good order */
    snprintf(conf, sizeof(conf), "%s/conf", m.dir);
    FILE *f = fopen(conf, "ae");
    assert_non_null(f);
    fprintf(f, "[share lost]\nshared-dir = %s/none\nsocket-path = %s/x\n", m.dir, m.dir);
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

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)daemon_worker_pid(&m.d));
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
    start(n, "", 0);
    join(0); /* it has started, then */
    unsigned long alone = pss_kib();
    for (unsigned i = 1; i < n; i++)
        join(i);
    poll(NULL, 0, 500); /* what was said at the start is over */
    unsigned long connected = pss_kib();
    int threads = daemon_thread_count(&m.d), fds = daemon_fd_count(&m.d);
    long ticks = daemon_cpu_ticks(&m.d);
    assert_true(ticks >= 0);
    poll(NULL, 0, 1000);
    long used = daemon_cpu_ticks(&m.d) - ticks;
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
        assert_ok(fc_getattr(&m.c[i], FC_ROOT, &a));
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
        assert_ok(fc_getattr(&m.c[i], FC_ROOT, &a));
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
    start(2, "", cpu + 1);
    join(0);
    pin(cpu);
    /* Others use this machine, too: the best of five. */
    for (unsigned round = 0; round < 5 && best < 35; round++) {
        unsigned alone = getattrs_a_second(0);
        char socket[128];
        snprintf(socket, sizeof(socket), "%s", at(1, "s"));
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
        cmocka_unit_test_teardown(test_each_guest_sees_its_share_and_no_other, teardown),
        cmocka_unit_test_teardown(test_node_ids_of_one_share_mean_nothing_in_another, teardown),
        cmocka_unit_test_teardown(test_a_front_end_that_leaves_ends_its_session_only, teardown),
        cmocka_unit_test_teardown(test_a_front_end_that_stops_in_a_message_holds_nobody_up,
                                  teardown),
        cmocka_unit_test_teardown(test_a_ring_that_breaks_stops_its_queue_only, teardown),
        cmocka_unit_test_teardown(test_a_share_that_is_missing_is_named, teardown),
        cmocka_unit_test_teardown(test_idle_shares_cost_little_memory_no_threads_and_no_cpu,
                                  teardown),
        cmocka_unit_test_teardown(test_a_flood_leaves_another_share_its_part, teardown),
    };
    return wire_main("many", argc, argv, tests, ARRAY(tests));
}
