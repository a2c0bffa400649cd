// SPDX-License-Identifier: BSD-3-Clause
/*
 * vhost_rig.c - see vhost_rig.h
 */
// clang-format off: cmocka.h needs these first
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/vhost_rig.h"

static void nap(unsigned us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};

    nanosleep(&t, NULL);
}

/* ---- the device ------------------------------------------------------------------------------ */

static void *thread_begin(void *ctx)
{
    struct rig *rig = ctx;

    atomic_fetch_add(&rig->threads, 1);
    return rig;
}

static void thread_end(void *ctx, void *thread)
{
    struct rig *rig = ctx;

    assert_ptr_equal(thread, rig);
    atomic_fetch_sub(&rig->threads, 1);
}

static void batch_begin(void *ctx, void *thread)
{
    struct rig *rig = ctx;

    assert_ptr_equal(thread, rig);
    atomic_fetch_add(&rig->batches, 1);
    atomic_fetch_add(&rig->in_batch, 1);
}

static void batch_end(void *ctx, void *thread)
{
    struct rig *rig = ctx;

    assert_ptr_equal(thread, rig);
    atomic_fetch_sub(&rig->in_batch, 1);
}

/* The first segments of both groups, as the tests make them. */
static uint32_t copy(const struct ring_chain *c)
{
    if (c->n_out == 0 || c->n_in == 0)
        return 0;
    size_t n = c->seg[0].len < c->seg[c->n_out].len ? c->seg[0].len : c->seg[c->n_out].len;
    memcpy(c->seg[c->n_out].base, c->seg[0].base, n);
    return (uint32_t)n;
}

static int64_t keep(struct rig *rig, struct vq *vq, const struct ring_chain *c, uint32_t len)
{
    pthread_mutex_lock(&rig->lock);
    bool room = rig->n_kept < RIG_MAX_KEPT;
    if (room)
        rig->kept[rig->n_kept++] = (struct rig_kept){
            .vq = vq, .head = c->head, .len = len, .seg = c->n_in ? c->seg[c->n_out] : c->seg[0]};
    pthread_mutex_unlock(&rig->lock);
    return room ? VU_LATER : (int64_t)len;
}

static int64_t serve(void *ctx, void *thread, struct vq *vq, struct ring_chain *c,
                     struct vu_record *record)
{
    struct rig *rig = ctx;
    (void)thread;
    (void)record;

    if (rig->slow_us)
        nap(rig->slow_us);
    uint32_t len = copy(c);
    int64_t r = atomic_load(&rig->keep) ? keep(rig, vq, c, len) : len;
    atomic_fetch_add(&rig->served, 1);
    return r;
}

static void cancel_later(void *ctx, struct vq *vq)
{
    struct rig *rig = ctx;
    (void)vq;

    atomic_fetch_add(&rig->cancels, 1);
    if (!atomic_load(&rig->stubborn))
        rig_release(rig);
}

/* The request that was kept last. Return: false when there is none. */
static bool take_kept(struct rig *rig, struct rig_kept *k)
{
    pthread_mutex_lock(&rig->lock);
    bool more = rig->n_kept > 0;
    if (more)
        *k = rig->kept[--rig->n_kept];
    pthread_mutex_unlock(&rig->lock);
    return more;
}

/* Without rig.defers what a queue that stops has kept is completed, as if it had been on its way. */
static void defer_later(void *ctx, struct vq *vq)
{
    struct rig *rig = ctx;
    struct rig_kept k;

    if (!atomic_load(&rig->defers)) {
        cancel_later(ctx, vq);
        return;
    }
    while (take_kept(rig, &k))
        assert_true(vq_defer(k.vq, k.head));
}

static void session_reset(void *ctx)
{
    struct rig *rig = ctx;

    assert_int_equal(atomic_load(&rig->in_batch), 0);
    atomic_fetch_add(&rig->resets, 1);
}

static uint64_t pause_ns(void *ctx, struct vq *vq)
{
    struct rig *rig = ctx;
    uint64_t ns = atomic_load(&rig->pause_ns);

    assert_int_not_equal(vq_index(vq), 0);
    if (ns != 0)
        atomic_store(&rig->paused, vq);
    atomic_fetch_add(&rig->asked, 1);
    return ns;
}

static const struct vu_ops ops = {
    .serve = serve,
    .thread_begin = thread_begin,
    .thread_end = thread_end,
    .batch_begin = batch_begin,
    .batch_end = batch_end,
    .pause_ns = pause_ns,
    .cancel_later = cancel_later,
    .defer_later = defer_later,
    .session_reset = session_reset,
};

unsigned rig_kept_count(struct rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    unsigned n = rig->n_kept;
    pthread_mutex_unlock(&rig->lock);
    return n;
}

void rig_release(struct rig *rig)
{
    struct rig_kept k;

    while (take_kept(rig, &k))
        vq_complete(k.vq, k.head, k.len, &k.seg, 1);
}

/* ---- the back end ---------------------------------------------------------------------------- */

static void *run(void *arg)
{
    struct rig *rig = arg;

    rig->result = vu_run(rig->vu);
    return NULL;
}

void rig_start(struct rig *rig, const char *tag, bool keep_listening)
{
    memset(rig, 0, sizeof(*rig));
    pthread_mutex_init(&rig->lock, NULL);
    strcpy(rig->dir, "/tmp/viofs-vhost-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    snprintf(rig->socket, sizeof(rig->socket), "%s/sock", rig->dir);
    int fd = vu_listen(rig->socket, NULL);
    assert_true(fd >= 0);
    rig->params = (struct vu_params){.listen_fd = fd,
                                     .tag = tag,
                                     .keep_listening = keep_listening,
                                     .paced = true,
                                     .ops = &ops,
                                     .ctx = rig};
    assert_int_equal(vu_new(&rig->vu, &rig->params), 0);
    assert_int_equal(pthread_create(&rig->thread, NULL, run, rig), 0);
    rig->running = true;
}

int rig_join(struct rig *rig)
{
    if (rig->running)
        pthread_join(rig->thread, NULL);
    rig->running = false;
    return rig->result;
}

int rig_end(struct rig *rig)
{
    char path[128];

    vu_stop(rig->vu);
    int r = rig_join(rig);
    vu_free(rig->vu);
    unlink(rig->socket);
    snprintf(path, sizeof(path), "%s.pid", rig->socket);
    unlink(path);
    rmdir(rig->dir);
    pthread_mutex_destroy(&rig->lock);
    assert_int_equal(atomic_load(&rig->threads), 0);
    return r;
}

bool rig_until(const atomic_uint *value, unsigned least)
{
    for (int i = 0; i < 10000; i++) {
        if (atomic_load(value) >= least)
            return true;
        nap(1000);
    }
    return false;
}

int count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = -1; /* the directory's own */

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}
