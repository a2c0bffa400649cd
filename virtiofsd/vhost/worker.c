// SPDX-License-Identifier: BSD-3-Clause
/*
 * worker.c - the thread that serves one queue
 *
 * Theory of operation
 *
 *   The worker takes chains until the ring is empty. Their completions are collected and published
 *   together, with at most one signal: after 32 chains, after 128 KiB, or when the ring is empty,
 *   whichever comes first, so that nobody waits for a long batch. While it works the driver is told not to
 *   kick.
 *
 *   Before it sleeps it looks again a few times, with sched_yield() between the looks. When the driver
 *   shares the CPU with us, the yield is what lets it go on and put its next request there without
 *   a kick and without our going to sleep and being woken. How often to look is learned (lookout.h).
 *
 *   Sleeping is one system call a wake-up. The kick descriptor is watched edge-triggered, so an eventfd
 *   is never read: each write to it is a new edge, whatever its count. Pipes signal only when they
 *   were empty or are written to, and fill up, so they are emptied. The flags of the descriptor are shared
 *   with the front end and stay as they are.
 *
 *   Between two chains the worker looks at its order and parks if told to. Where the share has limits it asks
 *   before each chain whether it may be taken; if not, the batch ends and the worker sleeps until it may, is
 *   woken, or has an order. Kicks stay suppressed meanwhile: there is work already.
 *
 * Ownership: a worker owns its epoll and wake descriptors and the scratch chain.
 * Locks: queue lock around parking; none while serving.
 *
 * syscalls: epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 read write close ioctl
 * syscalls: sched_yield futex clock_gettime
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/log.h"
#include "host/thread.h"
#include "vhost/crew.h"
#include "vhost/device.h"
#include "vhost/worker.h"

#define BATCH_BYTES (128u * 1024u)

#define VQ_HIPRIO        0u
#define LONGEST_PAUSE_MS 1000 /* then it asks again */

enum { EVENT_WAKE, EVENT_KICK };

/* ---- serving -------------------------------------------------------------------------------- */

static inline bool told_to_stop(const struct vq *q)
{
    return atomic_load_explicit(&q->order, memory_order_relaxed) != VQ_RUN;
}

static void flush(struct vq *q, struct worker *w)
{
    if (w->n_done > 0 && queue_give_back(q, w->done, w->n_done))
        queue_call(q);
    w->n_done = 0;
    w->n_served = 0;
    w->moved = 0;
}

static void serve(struct vq *q, struct worker *w, struct ring_chain *c, struct vu_record *record)
{
    int64_t len = q->vu->ops->serve(q->vu->ctx, w->thread, q, c, record);

    w->n_served++;
    if (len == VU_LATER) {
        journal_kept(record);
        return;
    }
    w->moved += c->out_len + (uint64_t)len;
    if (__builtin_expect(q->logging, 0))
        queue_mark(q, c->seg + c->n_out, c->n_in, (uint64_t)len);
    vu_answered(record, (uint32_t)len);
    w->done[w->n_done++] = (struct vq_done){.head = c->head, .len = (uint32_t)len};
}

/* May the next chain be taken? Where there is none, too. */
static bool may_take(struct vq *q, struct worker *w)
{
    if (q->index == VQ_HIPRIO || ring_dev_waiting(&q->ring) == 0)
        return true;
    w->pause_ns = q->vu->ops->pause_ns(q->vu->ctx, q);
    return w->pause_ns == 0;
}

/* Take one chain and serve it. Return: 1; 0 when there is none for now; -RING_EINVAL: the queue must stop. */
static int serve_one(struct vq *q, struct worker *w)
{
    if (__builtin_expect(q->vu->paced, 0) && !may_take(q, w))
        return 0;
    int r = ring_dev_pop(&q->ring, &w->chain);

    if (__builtin_expect(atomic_load_explicit(&q->vu->mem->lost, memory_order_relaxed), 0))
        return -RING_EINVAL;
    if (r == 0 || r == -RING_EINVAL)
        return r;
    unsigned taken = atomic_load_explicit(&q->taken, memory_order_relaxed) + 1;
    atomic_store_explicit(&q->taken, taken, memory_order_relaxed);
    struct vu_record *record = journal_take(q->live, q->record, &q->spare, w->chain.head);
    if (r > 0) {
        serve(q, w, &w->chain, record);
        return 1;
    }
    log_warn_limited("queue %u: the guest sent a malformed chain", q->index);
    w->n_served++;
    vu_answered(record, 0);
    w->done[w->n_done++] = (struct vq_done){.head = w->chain.head, .len = 0};
    return 1;
}

/* Chains that were taken before the queue was stopped, or by another process. */
static void serve_deferred(struct vq *q, struct worker *w)
{
    const struct vu_ops *ops = q->vu->ops;
    int32_t head;

    while (!told_to_stop(q) && (head = queue_take_deferred(q)) >= 0) {
        atomic_fetch_add_explicit(&q->taken, 1, memory_order_relaxed);
        ops->batch_begin(q->vu->ctx, w->thread);
        if (ring_dev_again(&q->ring, (uint16_t)head, &w->chain) > 0)
            serve(q, w, &w->chain, journal_retake(q->live, &q->record[head]));
        else
            w->done[w->n_done++] = (struct vq_done){.head = w->chain.head, .len = 0};
        flush(q, w);
        ops->batch_end(q->vu->ctx, w->thread);
    }
}

/* One batch. Return: as serve_one() for the last chain. */
static int serve_batch(struct vq *q, struct worker *w)
{
    const struct vu_ops *ops = q->vu->ops;
    int r;

    ops->batch_begin(q->vu->ctx, w->thread);
    do {
        r = serve_one(q, w);
    } while (r > 0 && w->n_served < BATCH_CHAINS && w->moved < BATCH_BYTES && !told_to_stop(q));
    flush(q, w);
    ops->batch_end(q->vu->ctx, w->thread);
    return r;
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* Look for work a few times. Return: true if there is some, or an order. */
static bool look_for_work(struct vq *q, struct worker *w)
{
    bool timed;
    unsigned looks = lookout_begin(&w->lookout, &timed), found = 0;

    if (looks == 0)
        return false;
    uint64_t start = timed ? clock_ns() : 0;
    for (unsigned i = 1; i <= looks && found == 0; i++) {
        sched_yield();
        if (ring_dev_waiting(&q->ring) > 0 || told_to_stop(q))
            found = i;
    }
    lookout_end(&w->lookout, found, timed ? clock_ns() - start : 0);
    return found > 0;
}

static void empty_pipe(int fd)
{
    char sink[256];
    int n;

    while (ioctl(fd, FIONREAD, &n) == 0 && n > 0) {
        if (read(fd, sink, (size_t)n < sizeof(sink) ? (size_t)n : sizeof(sink)) <= 0)
            return;
    }
}

/* Until a kick, a wake, or the end of @ms (-1: none). Return: 0 or -errno. */
static int sleep_for_kick(struct vq *q, struct worker *w, int ms)
{
    struct epoll_event ev[2];
    int n = epoll_wait(w->epoll_fd, ev, 2, ms);

    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    if (q->kick_drain) {
        for (int i = 0; i < n; i++) {
            if (ev[i].data.u32 == EVENT_KICK)
                empty_pipe(q->kick_fd);
        }
    }
    return 0;
}

static void no_kicks(struct vq *q)
{
    ring_dev_no_kicks(&q->ring);
    if (__builtin_expect(q->logging, 0))
        queue_mark_event(q);
}

static bool want_kick(struct vq *q)
{
    bool waiting = ring_dev_want_kick(&q->ring);
    if (__builtin_expect(q->logging, 0))
        queue_mark_event(q);
    return waiting;
}

/* Wait for the next chain. Return: 0 or -errno when waiting is impossible. */
static int wait_for_work(struct vq *q, struct worker *w)
{
    int err = 0;

    if (look_for_work(q, w))
        return 0;
    if (!want_kick(q))
        err = sleep_for_kick(q, w, -1);
    no_kicks(q);
    return err;
}

/* Out the pause that was ordered. Return: 0 or -errno. */
static int sleep_paused(struct vq *q, struct worker *w)
{
    uint64_t ns = w->pause_ns;
    int ms = -1;

    w->pause_ns = 0;
    if (ns != VU_UNTIL_WOKEN)
        ms = ns < LONGEST_PAUSE_MS * 1000000u ? (int)((ns + 999999) / 1000000) : LONGEST_PAUSE_MS;
    return sleep_for_kick(q, w, ms);
}

/* What to say about a queue that cannot go on; NULL when another queue said it. */
static const char *reason(struct vu *vu, int err)
{
    if (!atomic_load(&vu->mem->lost))
        return err == -RING_EINVAL ? "the guest corrupted its ring" : strerror(-err);
    if (atomic_exchange(&vu->lost_reported, true))
        return NULL;
    return "guest memory was taken away (its file was truncated)";
}

/* Serve until told to stop or broken. */
static void run(struct vq *q, struct worker *w)
{
    no_kicks(q);
    serve_deferred(q, w);
    while (!told_to_stop(q)) {
        int r = ring_dev_waiting(&q->ring) > 0 ? serve_batch(q, w) : wait_for_work(q, w);
        if (__builtin_expect(w->pause_ns != 0, 0))
            r = sleep_paused(q, w);
        if (__builtin_expect(r < 0, 0)) {
            queue_break(q, reason(q->vu, r));
            return;
        }
    }
}

/* Like run(), but it returns when there is nothing to do, and when others want the thread. */
enum turn_end worker_turn(struct vq *q, struct worker *w)
{
    uint64_t end = clock_ns() + TURN_NS;

    if (q->kick_drain)
        empty_pipe(q->kick_fd);
    no_kicks(q);
    serve_deferred(q, w);
    while (!told_to_stop(q)) {
        int r = 0;
        if (ring_dev_waiting(&q->ring) > 0)
            r = serve_batch(q, w);
        else if (crew_is_crowded(q) || !look_for_work(q, w)) {
            if (!want_kick(q))
                return TURN_IDLE;
            no_kicks(q);
        }
        if (__builtin_expect(w->pause_ns != 0, 0))
            return TURN_PAUSED;
        if (__builtin_expect(r < 0, 0)) {
            queue_break(q, reason(q->vu, r));
            return TURN_OVER;
        }
        if (clock_ns() > end && crew_is_crowded(q))
            return TURN_MORE;
    }
    return TURN_OVER;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* The safe point. Return: true to run, false to end. */
static bool park(struct vq *q)
{
    pthread_mutex_lock(&q->lock);
    q->parked = true;
    pthread_cond_broadcast(&q->changed);
    int order;
    while ((order = atomic_load(&q->order)) != VQ_QUIT &&
           (order == VQ_PARK || atomic_load(&q->broken)))
        pthread_cond_wait(&q->changed, &q->lock);
    if (order == VQ_RUN)
        q->parked = false;
    pthread_mutex_unlock(&q->lock);
    return order == VQ_RUN;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct vq *q = w->q;
    const struct vu_ops *ops = q->vu->ops;
    char name[16];

    snprintf(name, sizeof(name), "vq%u", q->index);
    thread_name(name);
    w->thread = ops->thread_begin(q->vu->ctx);
    while (park(q)) {
        if (w->thread)
            run(q, w);
        else
            queue_break(q, "its thread lacks resources");
    }
    if (w->thread)
        ops->thread_end(q->vu->ctx, w->thread);
    return NULL;
}

static int watch(struct worker *w, int fd, uint32_t what)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u32 = what};

    return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

static void worker_free(struct worker *w)
{
    if (w->epoll_fd >= 0)
        close(w->epoll_fd);
    if (w->wake_fd >= 0)
        close(w->wake_fd);
    free(w);
}

/** worker_new() - see queue.h */
int worker_new(struct vq *q)
{
    struct worker *w = calloc(1, sizeof(*w));
    int err;

    if (q->vu->crew) {
        free(w);
        return seat_new(q);
    }
    if (!w)
        return -ENOMEM;
    w->q = q;
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->wake_fd = w->epoll_fd < 0 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = w->wake_fd < 0 ? -errno : watch(w, w->wake_fd, EVENT_WAKE);
    if (err == 0) {
        atomic_store(&q->order, VQ_PARK);
        err = thread_start(&w->id, worker_main, w);
    }
    if (err < 0) {
        log_error("queue %u: cannot start its worker: %s", q->index, strerror(-err));
        worker_free(w);
        return err;
    }
    q->worker = w;
    return 0;
}

/** worker_end() - see queue.h */
void worker_end(struct vq *q)
{
    struct worker *w = q->worker;

    if (q->seat) {
        seat_end(q);
        return;
    }
    pthread_join(w->id, NULL);
    pthread_mutex_lock(&q->lock); /* vq_wake() */
    q->worker = NULL;
    pthread_mutex_unlock(&q->lock);
    worker_free(w);
}

/** worker_watch() - see queue.h. A descriptor that cannot be polled is -EPERM. */
int worker_watch(struct vq *q, int kick_fd)
{
    if (q->seat)
        return seat_watch(q, kick_fd);
    return watch(q->worker, kick_fd, EVENT_KICK);
}

/** worker_unwatch() - see queue.h. Closing is not enough: the front end has the same open file. */
void worker_unwatch(struct vq *q, int kick_fd)
{
    int epoll_fd = q->seat ? seat_epoll_fd(q) : q->worker->epoll_fd;
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, kick_fd, NULL);
}

/** worker_wake() - see queue.h */
void worker_wake(struct vq *q)
{
    if (q->worker)
        eventfd_write(q->worker->wake_fd, 1);
}

/** worker_run() - see queue.h; a thread of its own sees it by itself */
void worker_run(struct vq *q)
{
    if (q->seat)
        seat_call(q);
}

/** vq_wake() - see vhost.h; under the lock the worker does not go */
void vq_wake(struct vq *q)
{
    pthread_mutex_lock(&q->lock);
    if (q->seat)
        seat_call(q);
    else if (q->worker)
        worker_wake(q);
    pthread_mutex_unlock(&q->lock);
}
