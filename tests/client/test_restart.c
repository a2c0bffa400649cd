// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_restart.c - the daemon is killed and another takes its place, while files are open and in use
 *
 * Without patience a thread that meets -LE_ENOTCONN waits until the session has been recovered and asks again; with it
 * (client.h, patience_ms), as in the service, nobody meets anything. Nothing that a write was answered with may be lost, for the daemon dies and the host does not.
 */
#include "tests/client/rig.h"

#include <limits.h>
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

/* Return: how often a thread met the end of the session. @recover: each time; else somebody else does */
static uint32_t kill_under_threads(struct rig *r, bool recover)
{
    const unsigned rounds = rig_soak() ? 200 : 5;
    struct worker w[4] = {0};
    pthread_t t[ARRAY(w)];
    atomic_bool stop = false;
    uint8_t *got = buffer(WORK_SIZE);
    uint32_t lost = 0;

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
        rig_replace_daemon(r);
        assert_ok(vht_reconnect(r->t, r->d.socket));
        if (recover)
            assert_ok(cli_recover(r->c));
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
    free(got);
    return lost;
}

static void test_nothing_is_lost_when_daemons_die_under_threads_at_work(void **state)
{
    struct rig *r = rig_start(&(struct rig_options){.vht = {.queues = rig_is_ours() ? 2 : 1}});

    (void)state;
    assert_true(kill_under_threads(r, true) > 0); /* else nothing was proved */
}

/* ---- with patience, as in the service ------------------------------------------------------------------- */

/* The thread that recovers whenever the client says that its session is over. */
struct healer {
    struct rig *r;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool lost, stop;
    uint32_t healed;
};

static void on_lost(void *user)
{
    struct healer *h = user;

    pthread_mutex_lock(&h->lock);
    h->lost = true;
    pthread_cond_signal(&h->told);
    pthread_mutex_unlock(&h->lock);
}

/* As the service: in between it ticks, which begins what was parked when nobody looked. */
static void wait_a_tick(struct healer *h)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 20000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    if (pthread_cond_timedwait(&h->told, &h->lock, &t) == 0)
        return;
    pthread_mutex_unlock(&h->lock);
    cli_tick(h->r->c);
    pthread_mutex_lock(&h->lock);
}

static void *heal(void *arg)
{
    struct healer *h = arg;

    pthread_mutex_lock(&h->lock);
    while (!h->stop) {
        if (!h->lost) {
            wait_a_tick(h);
            continue;
        }
        h->lost = false;
        pthread_mutex_unlock(&h->lock);
        int e = cli_recover(h->r->c);
        if (e)
            poll(NULL, 0, 5); /* the other daemon is not there yet */
        pthread_mutex_lock(&h->lock);
        h->lost = h->lost || e != 0;
        h->healed += e == 0;
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static struct rig *patient(struct healer *h, const struct rig_options *o)
{
    struct rig_options with = *o;

    *h = (struct healer){.lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER};
    with.cli.patience_ms = PATIENCE_MS;
    with.cli.lost = on_lost;
    with.cli.log_user = h;
    h->r = rig_start(&with);
    assert_ok(pthread_create(&h->thread, NULL, heal, h));
    return h->r;
}

static void healer_end(struct healer *h)
{
    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_cond_signal(&h->told);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
}

/* It was healed so often, and no more. */
static void wait_healed(struct healer *h, uint32_t times)
{
    uint32_t n = 0;

    for (int ms = 0; ms < PATIENCE_MS && n < times; ms++) {
        pthread_mutex_lock(&h->lock);
        n = h->healed;
        pthread_mutex_unlock(&h->lock);
        poll(NULL, 0, 1);
    }
    assert_int_equal(n, times);
}

/* The machine goes on with another daemon, and its driver sees nothing. */
static void move(struct rig *r)
{
    vht_pause(r->t, 0);
    rig_replace_daemon(r);
    assert_ok(vht_resume(r->t, r->d.socket));
}

static void test_a_daemon_that_took_over_unseen_is_found_out_and_nobody_hears_of_it(void **state)
{
    struct healer h;
    struct rig *r = patient(&h, &(struct rig_options){0});
    struct cli_node *n;
    uint8_t p[4096];

    (void)state;
    host_mkdir(r, "d");
    host_pattern(r, "d/f", 4096, 1);
    struct cli_file *f = open_at(r, "d/f", CLI_READ | CLI_WRITE);
    assert_int_equal(write_at(r, f, "a", 1, 0, CLI_IO_APPEND), 1);
    move(r);
    assert_int_equal(read_at(r, f, p, 4096, 0), 4096);
    assert_pattern(p, 4096, 0, 1);
    wait_healed(&h, 1);
    move(r);
    assert_int_equal(write_at(r, f, "x", 1, 4097, 0), 1);
    move(r);
    struct cli_node *dir = node_at(r, "d");
    move(r);
    assert_ok(cli_mkdir(r->c, dir, name_of("made"), 0755, &n)); /* refused, so it was not done */
    put(r, n);
    put(r, dir);
    assert_int_equal(write_at(r, f, "y", 1, 0, CLI_IO_APPEND), 1);
    assert_int_equal(host_stat(r, "d/f").st_size, 4099);
    assert_int_equal(host_stat(r, "d/made").st_nlink, 2);
    healer_end(&h);
    cli_file_close(r->c, f);
}

/* Nobody knows whether the host has done it: the program is told, the file is as it was or one longer. */
static void test_an_append_is_not_repeated(void **state)
{
    struct healer h;
    struct rig *r = patient(&h, &(struct rig_options){0});

    (void)state;
    host_write(r, "f", "", 0);
    struct cli_file *f = open_at(r, "f", CLI_WRITE);
    assert_int_equal(write_at(r, f, "a", 1, 0, CLI_IO_APPEND), 1);
    move(r);
    assert_int_equal(write_at(r, f, "b", 1, 0, CLI_IO_APPEND), -LE_EIO);
    cli_tick(r->c);
    for (int ms = 0; ms < PATIENCE_MS && write_at(r, f, "c", 1, 0, CLI_IO_APPEND) != 1; ms++)
        poll(NULL, 0, 1);
    assert_int_equal(host_stat(r, "f").st_size, 2);
    healer_end(&h);
    cli_file_close(r->c, f);
}

static void test_what_is_deleted_meanwhile_is_stale_and_its_name_is_free(void **state)
{
    struct healer h;
    struct rig *r = patient(&h, &(struct rig_options){0});
    uint8_t p[16];

    (void)state;
    host_pattern(r, "f", 16, 1);
    struct cli_file *f = open_at(r, "f", CLI_READ);
    vht_pause(r->t, 0);
    assert_ok(unlink(host(r, "f")));
    rig_replace_daemon(r);
    assert_ok(vht_resume(r->t, r->d.socket));
    assert_errno(read_at(r, f, p, 16, 0), LE_ESTALE);
    struct cli_file *other = create(r, "f", CLI_READ | CLI_WRITE);
    assert_int_equal(write_at(r, other, "x", 1, 0, 0), 1);
    assert_errno(read_at(r, f, p, 16, 0), LE_ESTALE);
    assert_int_equal(host_stat(r, "f").st_size, 1);
    healer_end(&h);
    cli_file_close(r->c, other);
    cli_file_close(r->c, f);
}

/* The same names, even hard links to the same files: it is another root, so nothing goes on silently. */
static void test_another_directory_under_the_same_tag_takes_no_open_file_over(void **state)
{
    struct healer h;
    struct rig *r = patient(&h, &(struct rig_options){0});
    char was[PATH_MAX], now[PATH_MAX], old[PATH_MAX];
    uint8_t p[16];

    (void)state;
    host_pattern(r, "f", 16, 1);
    host_pattern(r, "only-here", 16, 1);
    struct cli_file *f = open_at(r, "f", CLI_READ | CLI_WRITE);
    vht_pause(r->t, 0);
    assert_non_null(realpath(host(r, "."), now));
    assert_true(snprintf(was, sizeof(was), "%s.was", now) < (int)sizeof(was));
    assert_ok(rename(now, was));
    assert_ok(mkdir(now, 0755));
    assert_true(snprintf(old, sizeof(old), "%s/f", was) < (int)sizeof(old));
    assert_ok(link(old, host(r, "f")));
    rig_replace_daemon(r);
    assert_ok(vht_resume(r->t, r->d.socket));
    assert_errno(read_at(r, f, p, 16, 0), LE_ESTALE);
    assert_errno(write_at(r, f, "x", 1, 0, 0), LE_ESTALE);
    struct cli_file *other = open_at(r, "f", CLI_READ);
    assert_int_equal(read_at(r, other, p, 16, 0), 16);
    assert_pattern(p, 16, 0, 1);
    struct cli_node *n = NULL;
    assert_errno(walk(r, "only-here", &n), LE_ENOENT);
    healer_end(&h);
    cli_file_close(r->c, other);
    cli_file_close(r->c, f);
    assert_ok(unlink(old));
    assert_true(snprintf(old, sizeof(old), "%s/only-here", was) < (int)sizeof(old));
    assert_ok(unlink(old));
    assert_ok(rmdir(was));
}

static void test_requests_wait_for_a_daemon_that_comes_back(void **state)
{
    struct healer h;
    struct rig *r = patient(&h, &(struct rig_options){0});
    struct cli_attr a;
    uint8_t p[16];

    (void)state;
    host_pattern(r, "f", 16, 1);
    struct cli_file *f = open_at(r, "f", CLI_READ);
    rig_replace_daemon(r); /* the connection is lost, and nothing has been told */
    assert_ok(vht_reconnect(r->t, r->d.socket));
    assert_ok(
        cli_getattr(r->c, r->root, true, &a)); /* fails by its epoch or as unknown, and waits */
    assert_int_equal(read_at(r, f, p, 16, 0), 16);
    wait_healed(&h, 1);
    healer_end(&h);
    cli_file_close(r->c, f);
}

static void *tick(void *arg)
{
    struct worker *w = arg;

    while (!atomic_load(w->stop)) {
        cli_tick(w->r->c);
        poll(NULL, 0, 20);
    }
    return NULL;
}

static void test_patience_has_an_end(void **state)
{
    struct rig *r = rig_start(&(struct rig_options){.cli = {.patience_ms = 200}});
    atomic_bool stop = false;
    struct worker w = {.r = r, .stop = &stop};
    struct cli_attr a;
    pthread_t ticks;
    uint8_t p[16];
    int status;

    (void)state;
    host_pattern(r, "f", 16, 1);
    struct cli_file *f = open_at(r, "f", CLI_READ);
    assert_ok(daemon_kill(&r->d, SIGKILL));
    assert_ok(daemon_wait(&r->d, 5000, &status));
    assert_ok(pthread_create(&ticks, NULL, tick, &w));
    assert_int_equal(read_at(r, f, p, 16, 0), -LE_ENOTCONN);
    assert_int_equal(cli_getattr(r->c, r->root, true, &a), -LE_ENOTCONN);
    atomic_store(&stop, true);
    pthread_join(ticks, NULL);
    cli_hurry(r->c); /* nobody waits any more */
    assert_int_equal(cli_getattr(r->c, r->root, true, &a), -LE_ENOTCONN);
    cli_file_close(r->c, f);
    daemon_end(&r->d);
    rig_start_daemon(r);
    assert_ok(vht_reconnect(r->t, r->d.socket));
    assert_ok(cli_recover(r->c));
}

static void test_a_share_that_came_back_read_only_is_read_and_not_written(void **state)
{
    struct healer h;
    struct rig *r = patient(&h, &(struct rig_options){0});
    static const char *const readonly[] = {"--readonly", NULL};
    uint8_t p[16];

    (void)state;
    if (!rig_is_ours()) {
        healer_end(&h);
        skip();
    }
    host_pattern(r, "f", 16, 1);
    struct cli_file *f = open_at(r, "f", CLI_READ | CLI_WRITE);
    vht_pause(r->t, 0);
    rig_replace_daemon_with(r, readonly);
    assert_ok(vht_resume(r->t, r->d.socket));
    assert_int_equal(read_at(r, f, p, 16, 0), 16);
    assert_errno(write_at(r, f, "x", 1, 0, 0), LE_EROFS);
    assert_int_equal(read_at(r, f, p, 16, 0), 16);
    healer_end(&h);
    cli_file_close(r->c, f);
}

static void test_with_patience_no_thread_hears_of_daemons_that_die(void **state)
{
    struct healer h;
    struct rig *r = patient(&h, &(struct rig_options){.vht = {.queues = rig_is_ours() ? 2 : 1}});

    (void)state;
    assert_int_equal(kill_under_threads(r, false), 0);
    healer_end(&h);
    assert_true(h.healed > 0); /* else nothing was proved */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_open_files_go_on_after_the_daemon_was_replaced),
        RIG_TEST(test_a_file_that_another_took_the_place_of_is_stale),
        RIG_TEST(test_a_listing_goes_on_after_the_daemon_was_replaced),
        RIG_TEST(test_without_a_daemon_everything_is_not_connected),
        RIG_TEST(test_nothing_is_lost_when_daemons_die_under_threads_at_work),
        RIG_TEST(test_a_daemon_that_took_over_unseen_is_found_out_and_nobody_hears_of_it),
        RIG_TEST(test_an_append_is_not_repeated),
        RIG_TEST(test_what_is_deleted_meanwhile_is_stale_and_its_name_is_free),
        RIG_TEST(test_another_directory_under_the_same_tag_takes_no_open_file_over),
        RIG_TEST(test_requests_wait_for_a_daemon_that_comes_back),
        RIG_TEST(test_patience_has_an_end),
        RIG_TEST(test_a_share_that_came_back_read_only_is_read_and_not_written),
        RIG_TEST(test_with_patience_no_thread_hears_of_daemons_that_die),
    };

    return rig_main("restart", argc, argv, tests, ARRAY(tests));
}
