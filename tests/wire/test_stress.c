// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_stress.c - four queues at once, everything at random, for a while
 *
 * One thread a queue, each with its own random walk over a small shared tree: names come and go under the
 * others, handles and nodes are used after their end, locks are waited for and interrupted, files are read
 * while they are truncated; and now and then somebody ends the session under all of them. Hardly any single
 * answer can be predicted. What is demanded: every request is answered, every answer is well-formed, the
 * daemon lives, works afterwards, and (in builds with sanitizers) has nothing to report.
 */
#include "tests/wire/wire.h"

#include <pthread.h>
#include <sys/file.h>
#include <time.h>

#define QUEUES  4u
#define NAMES   12u
#define NODES   16u
#define HANDLES 16u

struct worker {
    struct wire *w;
    struct fc c;
    pthread_t thread;
    uint64_t seed;
    uint64_t node[NODES];
    uint64_t fh[HANDLES], fh_node[HANDLES];
    struct fe_req wait; /* a SETLKW that nobody waits for */
    uint64_t wait_unique;
    unsigned steps;
    int broken; /* first answer that was none */
    bool resets;
};

static int64_t end_ms;

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint32_t rnd(struct worker *k, uint32_t below)
{
    k->seed = k->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(k->seed >> 33) % below;
}

static const char *a_name(struct worker *k)
{
    static const char *const names[NAMES] = {"a", "b", "c", "d", "e", "f",
                                             "g", "h", "i", "j", "k", "l"};

    return names[rnd(k, NAMES)];
}

static uint64_t a_node(struct worker *k)
{
    uint64_t n = k->node[rnd(k, NODES)];

    return n && rnd(k, 8) ? n : FC_ROOT;
}

/* On its own queue: hiprio is one, and the workers are many. */
static void forget(struct worker *k, uint64_t n, uint64_t nlookup)
{
    struct fuse_forget_in in = {.nlookup = nlookup};
    struct fc_part p = {&in, sizeof(in)};

    fc_send(&k->c, k->c.queue, FUSE_FORGET, n, &p, 1);
}

static void know(struct worker *k, const struct fuse_entry_out *e)
{
    uint64_t *slot = &k->node[rnd(k, NODES)];

    if (*slot && rnd(k, 4))
        forget(k, *slot, 1 + rnd(k, 2));
    *slot = e->nodeid;
}

static void keep(struct worker *k, uint64_t n, uint64_t fh)
{
    unsigned i = rnd(k, HANDLES);

    if (k->fh[i] && rnd(k, 4))
        fc_release(&k->c, k->fh_node[i], k->fh[i]);
    k->fh[i] = fh;
    k->fh_node[i] = n;
}

static int names(struct worker *k)
{
    struct fuse_entry_out e;
    uint64_t dir = a_node(k), fh;
    const char *name = a_name(k);
    int err;

    switch (rnd(k, 10)) {
    case 0:
        err = fc_mkdir(&k->c, dir, name, 0755, &e);
        break;
    case 1:
        err = fc_symlink(&k->c, dir, name, "/etc/passwd", &e);
        break;
    case 2:
        err = fc_link(&k->c, a_node(k), dir, name, &e);
        break;
    case 3:
        return fc_unlink(&k->c, dir, name);
    case 4:
        return fc_rmdir(&k->c, dir, name);
    case 5:
        return fc_rename(&k->c, dir, name, a_node(k), a_name(k), rnd(k, 3));
    case 6:
        err = fc_tmpfile(&k->c, dir, O_RDWR, 0600, &e, &fh);
        if (err == 0)
            keep(k, e.nodeid, fh);
        break;
    case 7:
        err = fc_create(&k->c, dir, name, O_RDWR | (rnd(k, 2) ? O_TRUNC : 0), 0644, &e, &fh);
        if (err == 0)
            keep(k, e.nodeid, fh);
        break;
    default:
        err = fc_lookup(&k->c, dir, name, &e);
    }
    if (err == 0)
        know(k, &e);
    return err;
}

static int attributes(struct worker *k)
{
    struct viofs_statx sx;
    struct fuse_attr a;
    uint64_t n = a_node(k);
    char buf[64] = {0};

    switch (rnd(k, 6)) {
    case 0:
        return fc_chmod(&k->c, n, 0600 + rnd(k, 0200));
    case 1:
        return fc_truncate(&k->c, n, rnd(k, 100000));
    case 2:
        return fc_statx(&k->c, n, 0xfff, &sx);
    case 3:
        return fc_setxattr(&k->c, n, "user.a", buf, rnd(k, sizeof(buf)), 0);
    case 4:
        return (int)fc_getxattr(&k->c, n, "user.a", buf, sizeof(buf));
    default:
        return fc_getattr(&k->c, n, &a);
    }
}

static int data(struct worker *k)
{
    unsigned i = rnd(k, HANDLES), j = rnd(k, HANDLES);
    uint64_t n = k->fh_node[i], fh = k->fh[i], at = rnd(k, 200000);
    uint32_t len = 1 + rnd(k, 100000);

    switch (rnd(k, 9)) {
    case 0:
    case 1:
        return (int)fc_read(&k->c, n, fh, NULL, len, at);
    case 2:
    case 3:
        return (int)fc_write(&k->c, n, fh, NULL, len, at);
    case 4:
        return fc_fallocate(&k->c, n, fh, at, len, 0);
    case 5:
        return (int)fc_copy_file_range(&k->c, n, fh, at, k->fh_node[j], k->fh[j], 0, len);
    case 6:
        return fc_flush(&k->c, n, fh, rnd(k, 3));
    case 7:
        return fc_fsync(&k->c, n, fh, true);
    default:
        return (int)fc_lseek(&k->c, n, fh, at, SEEK_DATA);
    }
}

static int opening(struct worker *k)
{
    uint64_t n = a_node(k), fh;
    int err;

    if (rnd(k, 3) == 0) {
        err = fc_opendir(&k->c, n, &fh);
        if (err < 0)
            return err;
        ssize_t got = fc_readdir_raw(&k->c, n, fh, 0, 4096, rnd(k, 2));
        fc_releasedir(&k->c, n, fh);
        return (int)got;
    }
    err = fc_open_file(&k->c, n, rnd(k, 2) ? O_RDWR : O_RDONLY, &fh);
    if (err == 0)
        keep(k, n, fh);
    return err;
}

/* Wait for a lock without waiting for it; interrupt it, or leave it to whatever ends it. */
static int locking(struct worker *k)
{
    unsigned i = rnd(k, HANDLES);
    uint64_t n = k->fh_node[i], fh = k->fh[i];
    uint32_t type = (uint32_t[]){F_RDLCK, F_WRLCK, F_UNLCK}[rnd(k, 3)];

    switch (rnd(k, 4)) {
    case 0:
        return fc_flock(&k->c, n, fh, rnd(k, 3), (rnd(k, 2) ? LOCK_EX : LOCK_UN) | LOCK_NB);
    case 1:
        return fc_setlk(&k->c, n, fh, rnd(k, 3), type, rnd(k, 10), 10 + rnd(k, 10), false);
    default:
        break;
    }
    if (k->wait.in_flight) {
        struct fuse_interrupt_in in = {.unique = k->wait_unique};
        struct fc_part p = {&in, sizeof(in)};
        return fc_send(&k->c, k->c.queue, FUSE_INTERRUPT, 0, &p, 1);
    }
    struct fuse_lk_in in = {.fh = fh,
                            .owner = rnd(k, 3),
                            .lk = {.end = 20, .type = F_WRLCK},
                            .lk_flags = rnd(k, 2) ? FUSE_LK_FLOCK : 0};
    struct fc_part p = {&in, sizeof(in)};
    k->wait_unique = fc_build(&k->c, &k->wait, FUSE_SETLKW, n, &p, 1, 0);
    return fe_submit(k->w->fe, k->c.queue, &k->wait, false);
}

static int one_step(struct worker *k)
{
    if (k->resets && rnd(k, 3000) == 0)
        return rnd(k, 2) ? fc_destroy(&k->c) : fc_init(&k->c);
    if (k->resets && rnd(k, 50) == 0)
        return fc_init(&k->c); /* after somebody's DESTROY */
    switch (rnd(k, 5)) {
    case 0:
        return names(k);
    case 1:
        return attributes(k);
    case 2:
        return data(k);
    case 3:
        return opening(k);
    default:
        return locking(k);
    }
}

static void *work(void *arg)
{
    struct worker *k = arg;

    while (now_ms() < end_ms && !k->broken) {
        int err = one_step(k);
        if (err == -EPROTO || err == -ETIMEDOUT || err == -ECONNRESET)
            k->broken = err;
        k->steps++;
    }
    return NULL;
}

/* The lock that is still waited for comes back when the session ends, at the latest. */
static void settle(struct worker *k)
{
    int err = 0;

    while (k->wait.in_flight && err == 0)
        fe_reap(k->w->fe, k->c.queue, true, &err);
    assert_ok(err);
}

static void storm(bool resets, const char *pool)
{
    int seconds = getenv("VIOFS_SOAK") ? 60 : 2;
    struct wire *w = wire_start(&(struct wire_options){
        .args = (const char *const[]){"--xattr", "-o", "posix_lock,flock", pool, NULL},
        .fe = {.queues = QUEUES + 1}});
    struct worker *k = calloc(QUEUES, sizeof(*k));
    struct fuse_entry_out e;
    unsigned steps = 0;

    assert_non_null(k);
    end_ms = now_ms() + seconds * 1000;
    for (unsigned i = 0; i < QUEUES; i++) {
        k[i] = (struct worker){.w = w, .seed = 1234 + i, .resets = resets};
        assert_ok(fc_open(&k[i].c, w->fe, FE_REQUESTS + i));
        k[i].c.unique = (uint64_t)(i + 1) << 40;
        assert_ok(fe_req_init(w->fe, &k[i].wait, 4096, 4096));
    }
    for (unsigned i = 0; i < QUEUES; i++)
        assert_ok(pthread_create(&k[i].thread, NULL, work, &k[i]));
    for (unsigned i = 0; i < QUEUES; i++)
        pthread_join(k[i].thread, NULL);
    for (unsigned i = 0; i < QUEUES; i++) {
        assert_int_equal(k[i].broken, 0);
        steps += k[i].steps;
    }
    assert_ok(fc_destroy(&k[0].c));
    for (unsigned i = 0; i < QUEUES; i++)
        settle(&k[i]);
    assert_ok(fc_init(&w->c));
    wire_alive(w);
    assert_int_not_equal(fc_lookup(&w->c, FC_ROOT, "a", &e), -EPROTO);
    assert_true(steps > 100);
    print_message("%u steps\n", steps);
    for (unsigned i = 0; i < QUEUES; i++)
        fc_close(&k[i].c);
    free(k);
}

static void test_four_queues_in_one_session(void **state)
{
    (void)state;
    storm(false, "--thread-pool-size=4");
}

static void test_four_queues_and_a_session_that_ends_at_any_time(void **state)
{
    (void)state;
    storm(true, "--thread-pool-size=4");
}

static void test_four_queues_without_a_pool(void **state)
{
    (void)state;
    storm(true, "--thread-pool-size=0");
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_four_queues_in_one_session),
    WIRE_TEST(test_four_queues_and_a_session_that_ends_at_any_time),
    WIRE_TEST(test_four_queues_without_a_pool),
};
WIRE_MAIN("stress", tests)
