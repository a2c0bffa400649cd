// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_names.c - names that threads make, move and remove, under a feed of changes, while daemons die
 *
 * Each thread has a directory, and knows for each of its names whether it is there. What failed with the session may
 * have happened or not; the thread looks until it gets an answer, and that must stay true. The host is asked in the end.
 */
#include "tests/client/rig.h"

#include <poll.h>

#define NAMES 12u

struct worker {
    struct rig *r;
    struct cli_node *dir;
    char path[16];
    atomic_bool *stop;
    uint64_t seed, done, lost;
    bool there[NAMES];
    char failed[128];
};

static void name_text(char text[8], unsigned i)
{
    snprintf(text, 8, "n%02u", i);
}

static bool is_outage(int e)
{
    return e == -LE_ENOTCONN || e == -LE_EIO || e == -LE_EBADF || e == -LE_ESTALE ||
           e == -LE_ETIMEDOUT;
}

/* Return: 1 there, 0 not, -errno. */
static int look(struct worker *w, unsigned i)
{
    char text[8];
    struct cli_node *n;

    name_text(text, i);
    int e = cli_lookup(w->r->c, w->dir, name_of(text), &n, NULL);
    if (e == 0)
        put(w->r, n);
    return e == 0 ? 1 : e == -LE_ENOENT ? 0 : e;
}

/* After a failure: how is it now? */
static void resolve(struct worker *w, unsigned i)
{
    int there = -1;

    for (int ms = 0; ms < PATIENCE_MS && (there = look(w, i)) < 0; ms++)
        poll(NULL, 0, 1);
    if (there < 0)
        snprintf(w->failed, sizeof(w->failed), "n%02u still answers %d", i, there);
    else
        w->there[i] = there;
}

static int make(struct worker *w, unsigned i)
{
    char text[8];
    struct cli_file *f = NULL;
    struct cli_node *n;

    name_text(text, i);
    int e = cli_create(w->r->c, w->dir, name_of(text), 0644, CLI_WRITE, &n, &f);
    if (e == 0) {
        cli_file_close(w->r->c, f);
        put(w->r, n);
        w->there[i] = true;
    }
    return e;
}

static int move(struct worker *w, unsigned from, unsigned to)
{
    char a[8], b[8];

    name_text(a, from);
    name_text(b, to);
    int e = cli_rename(w->r->c, w->dir, name_of(a), w->dir, name_of(b), 0);
    if (e == 0) {
        w->there[from] = false;
        w->there[to] = true;
    }
    return e;
}

static int erase(struct worker *w, unsigned i)
{
    char text[8];

    name_text(text, i);
    int e = cli_unlink(w->r->c, w->dir, name_of(text));
    if (e == 0)
        w->there[i] = false;
    return e;
}

static bool count(void *user, const struct cli_dirent *e)
{
    (void)e;
    ++*(unsigned *)user;
    return true;
}

static int list(struct worker *w)
{
    unsigned n = 0, expect = 0;
    struct cli_dir *d;
    int e = cli_dir_open(w->r->c, w->dir, &d);

    if (e)
        return e;
    e = cli_dir_read(w->r->c, d, 0, count, &n);
    cli_dir_close(w->r->c, d);
    for (unsigned i = 0; i < NAMES; i++)
        expect += w->there[i];
    if (!e && n != expect)
        snprintf(w->failed, sizeof(w->failed), "a listing has %u names, not %u", n, expect);
    return e;
}

static int act(struct worker *w, unsigned op, unsigned i, unsigned to)
{
    int e;

    if (op == 0)
        return list(w);
    if (op < 4) {
        e = look(w, i);
        if (e >= 0 && e != w->there[i])
            snprintf(w->failed, sizeof(w->failed), "n%02u is %s", i, e ? "there" : "not there");
        return e < 0 ? e : 0;
    }
    if (!w->there[i])
        return make(w, i);
    return op < 7 ? move(w, i, to) : erase(w, i);
}

static void *work(void *arg)
{
    struct worker *w = arg;

    while (!atomic_load(w->stop) && !w->failed[0]) {
        unsigned i = rng(&w->seed) % NAMES, to = (i + 1 + rng(&w->seed) % (NAMES - 1)) % NAMES;
        unsigned op = rng(&w->seed) % 10;
        int e = act(w, op, i, to);

        w->done++;
        if (e == 0)
            continue;
        w->lost++;
        if (!is_outage(e))
            snprintf(w->failed, sizeof(w->failed), "operation %u on n%02u (%d): error %d", op, i,
                     w->there[i], e);
        else if (op > 3)
            resolve(w, i);
        if (e && op > 3 && op < 7 && !w->failed[0])
            resolve(w, to);
    }
    return NULL;
}

static void check_host(struct worker *w)
{
    for (unsigned i = 0; i < NAMES; i++) {
        char path[32];

        snprintf(path, sizeof(path), "%s/n%02u", w->path, i);
        if ((access(host(w->r, path), F_OK) == 0) != w->there[i])
            fail_msg("%s is %s", path, w->there[i] ? "not there" : "there");
    }
}

static void test_names_are_what_they_were_when_daemons_die(void **state)
{
    const unsigned rounds = rig_soak() ? 300 : 8;
    struct rig *r = rig_start(&(struct rig_options){.cli = {.want_feed = true},
                                                    .vht = {.queues = rig_is_ours() ? 2 : 1}});
    struct worker w[6] = {0};
    pthread_t t[ARRAY(w)];
    atomic_bool stop = false;
    uint64_t lost = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY(w); i++) {
        w[i] = (struct worker){.r = r, .stop = &stop, .seed = i + 1};
        snprintf(w[i].path, sizeof(w[i].path), "d%u", i);
        host_mkdir(r, w[i].path);
        w[i].dir = node_at(r, w[i].path);
        assert_ok(pthread_create(&t[i], NULL, work, &w[i]));
    }
    for (unsigned round = 0; round < rounds; round++) {
        poll(NULL, 0, 150);
        rig_replace_daemon(r);
        assert_ok(vht_reconnect(r->t, r->d.socket));
        assert_ok(cli_recover(r->c));
    }
    poll(NULL, 0, 100);
    atomic_store(&stop, true);
    for (unsigned i = 0; i < ARRAY(w); i++)
        pthread_join(t[i], NULL);
    for (unsigned i = 0; i < ARRAY(w); i++) {
        if (w[i].failed[0])
            print_error("thread %u after %llu: %s\n", i, (unsigned long long)w[i].done,
                        w[i].failed);
        assert_false(w[i].failed[0]);
        check_host(&w[i]);
        lost += w[i].lost;
        put(r, w[i].dir);
    }
    assert_true(lost > 0); /* else nothing was proved */
}

static const struct CMUnitTest tests[] = {
    RIG_TEST(test_names_are_what_they_were_when_daemons_die),
};
RIG_MAIN("names", tests)
