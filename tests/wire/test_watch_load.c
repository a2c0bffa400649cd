// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_watch_load.c - the feed with many directories, many changes, guests without measure, and kernels without room
 *
 * VIOFS_SOAK=1 for the full numbers.
 */
#include <sched.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/wire/feed_rig.h"

#define RECORDS_MAX  65536u /* docs/protocol.md */
#define KERNEL_QUEUE 17000u /* fs.inotify.max_queued_events, fanotify's too, and a few */

static bool soak(void)
{
    return getenv("VIOFS_SOAK") != NULL;
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* @n directories below t, some of them deep. */
static void make_directories(struct wire *w, unsigned n)
{
    char name[64];

    host_mkdir(w, "t");
    for (unsigned i = 0; i < n / 100; i++) {
        snprintf(name, sizeof(name), "t/%u", i);
        host_mkdir(w, name);
        for (unsigned k = 1; k < 100; k++) {
            snprintf(name, sizeof(name), "t/%u/%u", i, k);
            host_mkdir(w, name);
        }
    }
}

enum { CREATE, MODIFY, RENAME, DELETE, KINDS };

/* One change of each kind in turn, and the record that tells it. */
static const char *change(struct wire *w, unsigned kind, unsigned dir)
{
    static char line[128];
    char f[48], g[64];

    snprintf(f, sizeof(f), "t/%u/%u/f", dir / 100, 1 + dir % 99);
    snprintf(g, sizeof(g), "%s-renamed", f);
    switch (kind) {
    case CREATE:
        assert_ok(mknod(host(w, f), S_IFREG | 0644, 0));
        snprintf(line, sizeof(line), "ADDED %s", f);
        break;
    case MODIFY:
        assert_ok(truncate(host(w, f), 1));
        snprintf(line, sizeof(line), "MODIFIED %s", f);
        break;
    case RENAME:
        assert_ok(rename(host(w, f), host(w, g)));
        snprintf(line, sizeof(line), " %s",
                 g); /* ADDED, if the kernel was slow with the second half */
        break;
    default:
        assert_ok(unlink(host(w, g)));
        snprintf(line, sizeof(line), "REMOVED %s", g);
        break;
    }
    return line;
}

static void test_change_reaches_the_guest_within_milliseconds(void **state)
{
    (void)state;
    unsigned dirs = soak() ? 10000 : 3000, n = 100;
    struct feed_rig *r = feed_up(NULL);
    double took[KINDS][100];

    make_directories(r->w, dirs);
    uint64_t t = feed_enter(r, FC_ROOT, "t", "t");
    assert_int_equal(feed_watch(r, t, 1, 0), VIOFS_WATCH_WHOLE);
    feed_changes(r);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned kind = 0; kind < KINDS; kind++) {
            double start = now_ms();
            feed_until(r, change(r->w, kind, i * 7919 % dirs));
            took[kind][i] = now_ms() - start;
        }
    }
    for (unsigned kind = 0; kind < KINDS; kind++) {
        qsort(took[kind], n, sizeof(double), by_size);
        print_message("%s: median %.2f ms, 95 %% %.2f ms\n",
                      (const char *const[]){"create", "modify", "rename", "delete"}[kind],
                      took[kind][n / 2], took[kind][n * 95 / 100]);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        assert_true(took[kind][n / 2] < 20);
#endif
    }
}

static void test_burst_is_told_or_flagged(void **state)
{
    (void)state;
    unsigned n = soak() ? 100000 : 20000;
    struct feed_rig *r = feed_up(NULL);
    char name[32];

    feed_changes(r);
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        assert_ok(mknod(host(r->w, name), S_IFREG | 0644, 0));
    }
    uint64_t before = r->records;
    assert_ok(mkdir(host(r->w, "last"), 0700));
    while (!strstr(r->text, "RESCAN *\n") && !strstr(r->text, "ADDED last\n")) {
        r->len = 0; /* the text has no room for all */
        feed_next(r);
    }
    bool flagged = strstr(r->text, "RESCAN *\n");
    print_message("%u changes: %s\n", n, flagged ? "flagged as lost" : "all told");
    if (!flagged)
        assert_true(r->records - before >= n + 1);
    r->len = 0;
    r->text[0] = '\0';
    assert_ok(mkdir(host(r->w, "after"), 0700));
    feed_until(r, "ADDED after"); /* whatever was lost, it goes on */
}

static void test_guest_that_does_not_listen_costs_a_bounded_number_of_records(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    char name[32];

    assert_ok(mkdir(host(r->w, "first"), 0700));
    assert_true(feed_wait(r) > 0); /* and EVENTS is not sent again */
    host_write(r->w, "n0", "");
    for (unsigned i = 0; i < RECORDS_MAX / 2 + KERNEL_QUEUE; i++) {
        char next[32];
        snprintf(name, sizeof(name), "n%u", i);
        snprintf(next, sizeof(next), "n%u", i + 1);
        assert_ok(rename(host(r->w, name), host(r->w, next)));
    }
    wire_alive(r->w);
    feed_send(r, 65536);
    feed_until(r, "RESCAN *");
}

static void test_guest_that_watches_a_million_times_is_refused(void **state)
{
    (void)state;
    unsigned n = soak() ? 1000000 : 20000, refused = 0;
    struct feed_rig *r = feed_up(NULL);

    for (unsigned i = 1; i <= n; i++)
        refused += feed_watch(r, FC_ROOT, i, 0) == -ENOSPC;
    assert_int_equal(refused, n - 1024);
    for (unsigned i = 1; i <= n; i++)
        assert_int_equal(feed_unwatch(r, i), i <= 1024 ? 0 : -ENOENT);
    assert_int_equal(feed_watch(r, FC_ROOT, 1, 0), VIOFS_WATCH_WHOLE);
}

static void test_watches_come_and_go_while_the_tree_changes(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    char a[32], b[32];

    make_directories(r->w, 300);
    uint64_t t = feed_enter(r, FC_ROOT, "t", "t");
    pid_t host_side = fork();
    if (host_side == 0) {
        for (unsigned i = 0; i < 3000; i++) {
            snprintf(a, sizeof(a), "t/%u/%u", i % 3, 1 + i * 31 % 99);
            snprintf(b, sizeof(b), "t/%u/x%u", (i + 1) % 3, i % 40);
            (void)!rename(host(r->w, a), host(r->w, b));
            (void)!rename(host(r->w, b), host(r->w, a));
            (void)!mkdir(host(r->w, b), 0700);
            if (i % 5 == 0)
                (void)!rmdir(host(r->w, b));
        }
        _exit(0);
    }
    for (unsigned i = 1; i < 150; i++) {
        assert_true(feed_watch(r, t, i, i % 2) >= 0);
        if (i % 3)
            assert_ok(feed_unwatch(r, i));
    }
    assert_int_equal(waitpid(host_side, NULL, 0), host_side);
    feed_changes(r); /* whatever was told on the way */
    assert_ok(mkdir(host(r->w, "t/new"), 0700));
    feed_until(r, "ADDED t/new");
}

static void test_interrupted_watch_ends(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);
    struct fuse_viofs_watch_in in = {.watch = 5};
    struct fc_part p = {&in, sizeof(in)};

    make_directories(r->w, 1000);
    uint64_t t = feed_enter(r, FC_ROOT, "t", "t");
    r->watch_unique = fc_build(&r->w->c, &r->watch, VIOFS_WATCH, t, &p, 1, 8);
    assert_ok(fe_submit(r->w->fe, FE_REQUESTS, &r->watch, false));
    struct fuse_interrupt_in intr = {.unique = r->watch_unique};
    struct fc_part q = {&intr, sizeof(intr)};
    assert_ok(fc_send(&r->w->c, FE_HIPRIO, FUSE_INTERRUPT, 0, &q, 1));
    int err = 0;
    while (!r->watch.done && err == 0)
        fe_reap(r->w->fe, FE_REQUESTS, true, &err);
    assert_ok(err);
    ssize_t n = fc_result(&r->watch, r->watch_unique);
    assert_true(n == -EINTR || n == sizeof(struct fuse_viofs_watch_out));
    assert_int_equal(feed_unwatch(r, 5), n == -EINTR ? -ENOENT : 0);
}

/* How often the daemon's threads have run. */
static long times_run(struct wire *w)
{
    char command[64];
    unsigned long ran, waited, times;
    long sum = 0;

    snprintf(command, sizeof(command), "cat /proc/%d/task/*/schedstat",
             (int)daemon_worker_pid(&w->d));
    FILE *f = popen(command, "re");
    assert_non_null(f);
    while (fscanf(f, "%lu %lu %lu", &ran, &waited, &times) == 3)
        sum += (long)times;
    pclose(f);
    return sum;
}

static void test_listening_costs_nothing_while_nothing_happens(void **state)
{
    (void)state;
    struct feed_rig *r = feed_up(NULL);

    if (strcmp(feed_backend(), "--watch=inotify") != 0)
        skip(); /* others work on this file system, and the daemon hears of it */
    feed_changes(r);
    usleep(200000); /* workers look for more work for a while */
    long before = times_run(r->w);
    usleep(500000);
#ifndef __SANITIZE_THREAD__ /* which has a thread of its own */
    assert_in_range(times_run(r->w), before, before + 2);
#else
    (void)before;
#endif
}

/* The kernel's own limit, for a user namespace in which this process is alone. Comes last: there is no way back. */
static void test_kernel_without_room_is_said_once_and_lived_with(void **state)
{
    (void)state;
    uid_t uid = getuid();
    char text[64];
    int fd;

    if (strcmp(feed_backend(), "--watch=inotify") != 0 || strcmp(wire_sandbox(), "none") != 0 ||
        unshare(CLONE_NEWUSER) < 0)
        skip();
    snprintf(text, sizeof(text), "0 %u 1", (unsigned)uid);
    fd = open("/proc/self/uid_map", O_WRONLY);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    fd = open("/proc/sys/user/max_inotify_watches", O_WRONLY);
    if (fd < 0 || write(fd, "20", 2) != 2)
        skip();
    close(fd);
    struct feed_rig *r = feed_up(NULL);
    make_directories(r->w, 100);
    uint64_t t = feed_enter(r, FC_ROOT, "t", "t");
    assert_int_equal(feed_watch(r, t, 1, 0), 0); /* not the whole of it */
    assert_true(daemon_log_has(&r->w->d, "max_user_watches", 5000));
    assert_ok(mkdir(host(r->w, "t/new"), 0700));
    feed_until(r, "ADDED t/new");
    assert_int_equal(feed_lookup(r, FC_ROOT, "t").entry_valid, 3600);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_change_reaches_the_guest_within_milliseconds),
    WIRE_TEST(test_burst_is_told_or_flagged),
    WIRE_TEST(test_guest_that_does_not_listen_costs_a_bounded_number_of_records),
    WIRE_TEST(test_guest_that_watches_a_million_times_is_refused),
    WIRE_TEST(test_watches_come_and_go_while_the_tree_changes),
    WIRE_TEST(test_interrupted_watch_ends),
    WIRE_TEST(test_listening_costs_nothing_while_nothing_happens),
    WIRE_TEST(test_kernel_without_room_is_said_once_and_lived_with),
};

WIRE_MAIN("watch_load", tests)
