// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_restart.c - the daemon is killed and another takes its place, while files are open and in use
 *
 * A thread that meets -LE_ENOTCONN does what the service does: it waits until the session has been recovered
 * and asks again. Nothing that a write was answered with may be lost, for the daemon dies and the host does not.
 */
#include "tests/client/rig.h"

#include <poll.h>

/* Kill the daemon, start another, and have the client find its way. */
static void replace_and_recover(struct rig *r)
{
    rig_replace_daemon(r);
    assert_ok(vht_reconnect(r->t, r->d.socket));
    assert_ok(cli_recover(r->c));
}

static void test_open_files_go_on_after_the_daemon_was_replaced(void **state)
{
    struct rig *r = rig_up();
    uint8_t p[4096];

    (void)state;
    host_mkdir(r, "d");
    host_pattern(r, "d/f", 4096, 1);
    struct cli_file *f = open_at(r, "d/f", CLI_READ | CLI_WRITE);
    replace_and_recover(r);
    assert_int_equal(read_at(r, f, p, 4096, 0), 4096);
    assert_pattern(p, 4096, 0, 1);
    assert_int_equal(write_at(r, f, "x", 1, 4096, 0), 1);
    assert_int_equal(write_at(r, f, "y", 1, 0, CLI_IO_APPEND), 1);
    assert_int_equal(host_stat(r, "d/f").st_size, 4098);
    cli_file_close(r->c, f);
}

static void test_a_file_that_another_took_the_place_of_is_stale(void **state)
{
    struct rig *r = rig_up();
    uint8_t p[16];

    (void)state;
    host_pattern(r, "f", 16, 1);
    struct cli_file *f = open_at(r, "f", CLI_READ);
    host_pattern(r, "new", 16, 2); /* while the old one is there, so that its number differs */
    assert_ok(rename(host(r, "new"), host(r, "f")));
    replace_and_recover(r);
    assert_int_equal(read_at(r, f, p, 16, 0), -LE_ESTALE);
    cli_file_close(r->c, f);
    f = open_at(r, "f", CLI_READ);
    assert_int_equal(read_at(r, f, p, 16, 0), 16);
    assert_pattern(p, 16, 0, 2);
    cli_file_close(r->c, f);
}

static bool count_one(void *user, const struct cli_dirent *e)
{
    uint32_t *n = user;

    (void)e;
    ++*n;
    return true;
}

struct part_way {
    uint32_t n, most;
    uint64_t cookie;
};

static bool count_some(void *user, const struct cli_dirent *e)
{
    struct part_way *p = user;

    if (p->n == p->most)
        return false;
    p->n++;
    p->cookie = e->cookie;
    return true;
}

static void test_a_listing_goes_on_after_the_daemon_was_replaced(void **state)
{
    struct rig *r = rig_up();
    struct part_way first = {.most = 10};
    struct cli_dir *d;
    char path[32];
    uint32_t rest = 0;

    (void)state;
    host_mkdir(r, "d");
    for (unsigned i = 0; i < 8000; i++) { /* more than a page */
        snprintf(path, sizeof(path), "d/f%u", i);
        host_write(r, path, "", 0);
    }
    struct cli_node *n = node_at(r, "d");
    assert_ok(cli_dir_open(r->c, n, &d));
    assert_int_equal(cli_dir_read(r->c, d, 0, count_some, &first), 1);
    replace_and_recover(r);
    assert_ok(cli_dir_read(r->c, d, first.cookie, count_one, &rest));
    assert_int_equal(first.n + rest, 8000);
    cli_dir_close(r->c, d);
    put(r, n);
}

static void test_without_a_daemon_everything_is_not_connected(void **state)
{
    struct rig *r = rig_up();
    struct cli_attr a;
    struct cli_dir *d;
    uint8_t p[16];
    int status;

    (void)state;
    host_pattern(r, "f", 16, 1);
    struct cli_file *f = open_at(r, "f", CLI_READ);
    assert_ok(daemon_kill(&r->d, SIGKILL));
    assert_ok(daemon_wait(&r->d, 5000, &status));
    assert_int_equal(read_at(r, f, p, 16, 0), -LE_ENOTCONN);
    assert_int_equal(cli_getattr(r->c, r->root, true, &a), -LE_ENOTCONN);
    assert_int_equal(cli_dir_open(r->c, r->root, &d), -LE_ENOTCONN);
    cli_file_close(r->c, f);
    /* the rig's end wants one that is alive */
    daemon_end(&r->d);
    rig_start_daemon(r);
    assert_ok(vht_reconnect(r->t, r->d.socket));
    assert_ok(cli_recover(r->c));
}

/* ---- at work ------------------------------------------------------------------------------------------ */

struct worker {
    struct rig *r;
    struct cli_file *f;
    atomic_bool *stop;
    uint64_t seed;
    uint8_t *want;
    uint32_t lost; /* how often the session was gone */
    uint64_t done;
    const char *failed;
};

#define WORK_SIZE (256u << 10)

/* As the service: what fails with the session is asked again when there is one. */
static long again_until_connected(struct worker *w, bool write, uint8_t *p, uint32_t len,
                                  uint64_t at)
{
    long n;

    for (int ms = 0; ms < PATIENCE_MS; ms++) {
        n = write ? write_at(w->r, w->f, p, len, at, 0) : read_at(w->r, w->f, p, len, at);
        if (n != -LE_ENOTCONN)
            return n;
        w->lost++;
        poll(NULL, 0, 1);
    }
    return n;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    uint8_t *p = malloc(WORK_SIZE);
    uint64_t s = w->seed;

    while (!atomic_load(w->stop) && !w->failed) {
        uint32_t at = rng(&s) % WORK_SIZE, len = 1 + rng(&s) % 20000;

        len = at + len > WORK_SIZE ? WORK_SIZE - at : len;
        if (rng(&s) % 2) {
            fill(p, len, at, rng(&s));
            if (again_until_connected(w, true, p, len, at) != (long)len)
                w->failed = "a write failed";
            memcpy(w->want + at, p, len);
        } else if (again_until_connected(w, false, p, len, at) != (long)len) {
            w->failed = "a read failed";
        } else if (memcmp(p, w->want + at, len) != 0) {
            w->failed = "a read has the wrong bytes";
        }
        w->done++;
    }
    free(p);
    return NULL;
}

static void test_nothing_is_lost_when_daemons_die_under_threads_at_work(void **state)
{
    const unsigned rounds = rig_soak() ? 200 : 5;
    struct rig *r = rig_start(&(struct rig_options){.vht = {.queues = rig_is_ours() ? 2 : 1}});
    struct worker w[4] = {0};
    pthread_t t[ARRAY(w)];
    atomic_bool stop = false;
    uint8_t *got = buffer(WORK_SIZE);
    uint32_t lost = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY(w); i++) {
        char name[16];

        snprintf(name, sizeof(name), "f%u", i);
        w[i] = (struct worker){.r = r, .stop = &stop, .seed = i + 1, .want = buffer(WORK_SIZE)};
        fill(w[i].want, WORK_SIZE, 0, i);
        host_pattern(r, name, WORK_SIZE, i);
        w[i].f = open_at(r, name, CLI_READ | CLI_WRITE);
        assert_ok(pthread_create(&t[i], NULL, work, &w[i]));
    }
    for (unsigned round = 0; round < rounds; round++) {
        poll(NULL, 0, 100);
        replace_and_recover(r);
    }
    poll(NULL, 0, 100);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < ARRAY(w); i++) {
        char name[16];

        pthread_join(t[i], NULL);
        snprintf(name, sizeof(name), "f%u", i);
        if (w[i].failed)
            print_error("thread %u: %s after %llu\n", i, w[i].failed,
                        (unsigned long long)w[i].done);
        assert_null(w[i].failed);
        assert_int_equal(host_read(r, name, got, WORK_SIZE), WORK_SIZE);
        assert_memory_equal(got, w[i].want, WORK_SIZE);
        lost += w[i].lost;
        cli_file_close(r->c, w[i].f);
        free(w[i].want);
    }
    assert_true(lost > 0); /* else nothing was proved */
    free(got);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_open_files_go_on_after_the_daemon_was_replaced),
        RIG_TEST(test_a_file_that_another_took_the_place_of_is_stale),
        RIG_TEST(test_a_listing_goes_on_after_the_daemon_was_replaced),
        RIG_TEST(test_without_a_daemon_everything_is_not_connected),
        RIG_TEST(test_nothing_is_lost_when_daemons_die_under_threads_at_work),
    };

    return rig_main("restart", argc, argv, tests, ARRAY(tests));
}
