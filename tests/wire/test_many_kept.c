// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_many_kept.c - many shares of a supervised process: all of them go on when it is replaced
 *
 * What a single supervised share does is tested by test_supervise.c, also as one of three (wire_supervise_several). Here
 * all have guests.
 *
 * VIOFS_SOAK=1: 1,000 shares instead of 100.
 */
#include "tests/wire/many_rig.h"
#include "virtiofsd/host/sanitize.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#define SUPERVISE "supervise\n"

static void kill_worker(void)
{
    pid_t pid = daemon_worker_pid(&many.d);

    assert_true(pid > 0 && pid != many.d.pid);
    assert_ok(kill(pid, SIGKILL));
}

static unsigned count_in_log(const char *text)
{
    char *log = daemon_log(&many.d);
    unsigned n = 0;

    for (const char *at = log; at && (at = strstr(at, text)); at += strlen(text))
        n++;
    free(log);
    return n;
}

/* Until the log has it @n times. */
static void await_in_log(const char *text, unsigned n)
{
    for (int ms = 0; count_in_log(text) < n && ms < PATIENCE_MS; ms += 5)
        poll(NULL, 0, 5);
    assert_true(count_in_log(text) >= n);
}

static void test_what_all_guests_have_open_survives_the_worker(void **state)
{
    enum { SHARES = 3, KILLS = 4 };
    struct fuse_entry_out e[SHARES];
    uint64_t fh[SHARES];
    char text[64];

    (void)state;
    many_start(SHARES, &(struct many_options){.first_lines = SUPERVISE});
    for (unsigned i = 0; i < SHARES; i++) {
        many_join(i);
        assert_ok(fc_create(&many.c[i], FC_ROOT, "f", O_RDWR, 0644, &e[i], &fh[i]));
    }
    assert_ok(fc_unlink(&many.c[1], FC_ROOT, "f")); /* one has no name any more */
    for (unsigned k = 0; k < KILLS; k++) {
        kill_worker();
        for (unsigned i = 0; i < SHARES; i++) {
            snprintf(text, sizeof(text), "%u-%u ", i, k);
            assert_int_equal(fc_write(&many.c[i], e[i].nodeid, fh[i], text, 4, 4 * k), 4);
        }
    }
    for (unsigned i = 0; i < SHARES; i++) {
        char must[64];
        snprintf(must, sizeof(must), "%u-0 %u-1 %u-2 %u-3 ", i, i, i, i);
        memset(text, 0, sizeof(text));
        assert_int_equal(fc_read(&many.c[i], e[i].nodeid, fh[i], text, sizeof(text), 0), 16);
        assert_string_equal(text, must);
    }
    assert_true(count_in_log("ended with") >= 1);
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int by_time(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void test_a_reload_of_many_shares_is_a_short_pause(void **state)
{
    unsigned n = SANITIZED ? 20 : getenv("VIOFS_SOAK") ? 1000 : 100;
    enum { TIMES = 5 };
    uint64_t wait[TIMES] = {0};
    struct fuse_attr a;

    (void)state;
    many_start(n, &(struct many_options){.first_lines = SUPERVISE});
    for (unsigned i = 0; i < n; i++)
        many_join(i);
    for (unsigned r = 0; r < TIMES; r++) {
        daemon_kill(&many.d, SIGUSR2);
        for (uint64_t end = 0, start; end == 0 || now_us() < end;) {
            start = now_us();
            assert_ok(fc_getattr(&many.c[r % n], FC_ROOT, &a));
            uint64_t took = now_us() - start;
            wait[r] = took > wait[r] ? took : wait[r];
            if (end == 0 && count_in_log("the new worker (") > r)
                end = now_us() + 20000;
        }
    }
    qsort(wait, TIMES, sizeof(wait[0]), by_time);
    print_message("pause of a reload with %u shares: median %u us, longest %u us\n", n,
                  (unsigned)wait[TIMES / 2], (unsigned)wait[TIMES - 1]);
    kill_worker();
    for (unsigned i = 0; i < n; i++)
        assert_ok(fc_getattr(&many.c[i], FC_ROOT, &a));
    assert_true(wait[TIMES / 2] < 2000000);
}

static void test_many_shares_start_under_the_limit_of_a_shell(void **state)
{
    struct rlimit was, low;
    struct fuse_attr a;

    (void)state;
    assert_ok(getrlimit(RLIMIT_NOFILE, &was));
    low = (struct rlimit){64, was.rlim_max};
    assert_ok(setrlimit(RLIMIT_NOFILE, &low));
    many_start(20, &(struct many_options){.first_lines = SUPERVISE});
    assert_ok(setrlimit(RLIMIT_NOFILE, &was));
    for (unsigned i = 0; i < 20; i++)
        many_join(i);
    kill_worker();
    for (unsigned i = 0; i < 20; i++)
        assert_ok(fc_getattr(&many.c[i], FC_ROOT, &a));
    assert_int_equal(count_in_log("warning: a worker reads"), 0);
}

static void test_a_reload_with_other_shares_leaves_the_old_worker(void **state)
{
    struct fuse_attr a;
    (void)state;
    many_start(2, &(struct many_options){.first_lines = SUPERVISE});
    many_join(0);
    many_join(1);
    pid_t before = daemon_worker_pid(&many.d);
    many_configure(1, SUPERVISE);
    daemon_kill(&many.d, SIGUSR2);
    await_in_log("the old one goes on", 1);
    assert_int_equal(count_in_log("the configuration file has other shares"), 1);
    assert_int_equal(daemon_worker_pid(&many.d), before);
    many_configure(2, SUPERVISE "cache = always\n");
    daemon_kill(&many.d, SIGUSR2);
    await_in_log("the new worker (", 1);
    for (unsigned i = 0; i < 2; i++)
        assert_ok(fc_getattr(&many.c[i], FC_ROOT, &a));
}

/* Make @n files without a name that @i's guest knows. */
static void make_nameless(unsigned i, unsigned n, uint64_t *node)
{
    struct fuse_entry_out e;
    uint64_t fh;

    for (unsigned k = 0; k < n; k++) {
        assert_ok(fc_create(&many.c[i], FC_ROOT, "gone", O_RDWR, 0644, &e, &fh));
        assert_ok(fc_release(&many.c[i], e.nodeid, fh));
        assert_ok(fc_unlink(&many.c[i], FC_ROOT, "gone"));
        node[k] = e.nodeid;
    }
}

/* Return: how many of them there are. */
static unsigned count_nodes(unsigned i, unsigned n, const uint64_t *node)
{
    struct fuse_attr a;
    unsigned found = 0;

    for (unsigned k = 0; k < n; k++)
        found += fc_getattr(&many.c[i], node[k], &a) == 0;
    return found;
}

static void test_one_guest_cannot_have_kept_what_is_anothers(void **state)
{
    enum { GREEDY = 2000, MODEST = 100 };
    static uint64_t greedy[GREEDY], modest[2][MODEST];

    (void)state;
    many_start(3, &(struct many_options){.first_lines = SUPERVISE, .nofile = 3000});
    for (unsigned i = 0; i < 3; i++)
        many_join(i);
    make_nameless(0, GREEDY, greedy);
    make_nameless(1, MODEST, modest[0]);
    make_nameless(2, MODEST, modest[1]);
    assert_true(count_in_log("s0: a file without a name will be lost") >= 1);
    assert_int_equal(count_in_log("s1: a file without a name will be lost"), 0);
    kill_worker();
    assert_int_equal(count_nodes(1, MODEST, modest[0]), MODEST);
    assert_int_equal(count_nodes(2, MODEST, modest[1]), MODEST);
    assert_in_range(count_nodes(0, GREEDY, greedy), MODEST, 1000);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_what_all_guests_have_open_survives_the_worker, many_end),
        cmocka_unit_test_teardown(test_a_reload_of_many_shares_is_a_short_pause, many_end),
        cmocka_unit_test_teardown(test_many_shares_start_under_the_limit_of_a_shell, many_end),
        cmocka_unit_test_teardown(test_a_reload_with_other_shares_leaves_the_old_worker, many_end),
        cmocka_unit_test_teardown(test_one_guest_cannot_have_kept_what_is_anothers, many_end),
    };
    return wire_main("many_kept", argc, argv, tests, ARRAY(tests));
}
