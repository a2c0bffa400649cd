// SPDX-License-Identifier: BSD-3-Clause
/*
 * crew.c - threads that serve the queues of several devices (see crew.h)
 *
 * Theory of operation
 *
 *   A queue with nothing to do has no thread: its kick descriptor is in one epoll set with all others, where the crew's
 *   idle threads wait. A kick makes the queue a job of its device's lane (host/pool.h), and whoever takes the job
 *   serves the queue as its own thread would, until the ring is empty and kicks are on again; or for TURN_NS, if others
 *   wait: then the queue goes to the end of its lane.
 *
 *   Lanes take turns, not queues: a guest with 64 queues is one lane. And a lane has at most lane_most turns at a
 *   time, so that one guest can neither take all threads nor all CPUs. There is always one more thread than are busy, up
 *   to POOL_MAX_THREADS: a device whose file system hangs keeps lane_most threads and holds up nobody else.
 *
 *   A queue is idle, queued or running. Kicks and orders that come while it runs are remembered, and it is queued
 *   again. Each change is under the queue's lock; "parked", which the control side waits for, is whatever is not
 *   running, since no turn begins while the order is not VQ_RUN.
 *
 *   A queue that has to pause (vu_ops.pause_ns()) is on a list by time, with one timer for all.
 *
 *   Events carry the queue's address. An event that was on its way while the seat went finds none; a struct vq lives
 *   longer than the crew.
 *
 * Ownership: a crew owns its threads and descriptors; a seat belongs to its queue.
 * Locks: queue lock, then the crew's (the list of pauses) or the pool's.
 *
 * syscalls: epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 timerfd_create timerfd_settime write close
 * syscalls: sched_getaffinity
 */
#include "vhost/crew.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "host/clock.h"
#include "vhost/device.h"
#include "vhost/worker.h"

#define EVENTS 16 /* taken at once */

enum seat_state { SEAT_IDLE, SEAT_QUEUED, SEAT_RUNNING };

struct seat {
    struct pool_job job;
    struct vq *q;
    enum seat_state state; /* this and again: queue's lock */
    bool again;            /* called while it ran */
    struct lookout lookout;
    /* the crew's lock */
    bool paused;
    uint64_t due; /* on the clock of clock_ns() */
    struct seat *next_paused;
};

struct crew {
    const struct vu_ops *ops;
    struct pool *pool;
    int epoll_fd;
    int wake_fd;
    int timer_fd;
    unsigned lane_most;
    pthread_mutex_t lock;
    struct seat *paused; /* by time */
};

/* ---- pauses; crew's lock held -------------------------------------------------------------------- */

/* The timer is absolute and on clock_ns()'s clock. */
static void set_timer(struct crew *c)
{
    struct itimerspec at = {0};

    if (c->paused) {
        at.it_value.tv_sec = (time_t)(c->paused->due / 1000000000u);
        at.it_value.tv_nsec = (long)(c->paused->due % 1000000000u);
    }
    timerfd_settime(c->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void pause_end(struct crew *c, struct seat *s)
{
    struct seat **at = &c->paused;

    if (!s->paused)
        return;
    while (*at != s)
        at = &(*at)->next_paused;
    *at = s->next_paused;
    s->paused = false;
}

static void pause_begin(struct crew *c, struct seat *s, uint64_t ns)
{
    struct seat **at = &c->paused;

    pause_end(c, s);
    s->due = clock_ns() + ns;
    while (*at && (*at)->due <= s->due)
        at = &(*at)->next_paused;
    s->next_paused = *at;
    *at = s;
    s->paused = true;
    if (c->paused == s)
        set_timer(c);
}

/* ---- turns --------------------------------------------------------------------------------------- */

/* Queue lock held. @put: on a thread of the crew that looks for jobs next */
static void call(struct vq *q, bool put)
{
    struct seat *s = q->seat;

    if (!s || atomic_load(&q->order) != VQ_RUN || atomic_load(&q->broken))
        return;
    if (s->state == SEAT_RUNNING) {
        s->again = true;
    } else if (s->state == SEAT_IDLE) {
        s->state = SEAT_QUEUED;
        if (put)
            pool_put(q->vu->crew->pool, &s->job);
        else
            pool_submit(q->vu->crew->pool, &s->job);
    }
}

/** seat_call() - see crew.h */
void seat_call(struct vq *q)
{
    call(q, false);
}

/* Return: false if the turn must not begin. */
static bool turn_begin(struct seat *s)
{
    struct vq *q = s->q;

    pthread_mutex_lock(&q->lock);
    bool run = atomic_load(&q->order) == VQ_RUN && !atomic_load(&q->broken);
    s->state = run ? SEAT_RUNNING : SEAT_IDLE;
    s->again = false;
    q->parked = !run;
    if (!run)
        pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    return run;
}

static void turn_end(struct seat *s, enum turn_end end, uint64_t pause_ns)
{
    struct vq *q = s->q;
    struct crew *c = q->vu->crew;

    pthread_mutex_lock(&q->lock);
    s->state = SEAT_IDLE;
    q->parked = true;
    if (end == TURN_MORE || s->again) {
        call(q, true);
    } else if (end == TURN_PAUSED && pause_ns != VU_UNTIL_WOKEN) {
        pthread_mutex_lock(&c->lock);
        pause_begin(c, s, pause_ns);
        pthread_mutex_unlock(&c->lock);
    }
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock); /* from here on the seat may go */
}

static void turn(struct pool_job *job, void *thread)
{
    struct seat *s = (struct seat *)job; /* its first member */
    struct worker *w = thread;

    if (!turn_begin(s))
        return;
    w->q = s->q;
    w->lookout = s->lookout;
    enum turn_end end = worker_turn(s->q, w);
    s->lookout = w->lookout;
    uint64_t pause_ns = w->pause_ns;
    w->pause_ns = 0;
    turn_end(s, end, pause_ns);
}

/* ---- threads ------------------------------------------------------------------------------------- */

static void *thread_begin(void *ctx)
{
    struct crew *c = ctx;
    struct worker *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->thread = c->ops->thread_begin(NULL);
    if (!w->thread) {
        free(w);
        return NULL;
    }
    return w;
}

static void thread_end(void *ctx, void *thread)
{
    struct crew *c = ctx;
    struct worker *w = thread;

    c->ops->thread_end(NULL, w->thread);
    free(w);
}

static void kicked(struct vq *q)
{
    pthread_mutex_lock(&q->lock);
    call(q, true);
    pthread_mutex_unlock(&q->lock);
}

/* The first whose pause is over. Its queue's lock comes before the crew's, so it is called without that. */
static struct vq *take_due(struct crew *c)
{
    struct vq *q = NULL;

    pthread_mutex_lock(&c->lock);
    if (c->paused && c->paused->due <= clock_ns()) {
        q = c->paused->q;
        pause_end(c, c->paused);
    } else {
        set_timer(c);
    }
    pthread_mutex_unlock(&c->lock);
    return q;
}

/* pool_params.wait: for kicks */
static bool wait_for_kicks(void *ctx, int timeout_ms)
{
    struct crew *c = ctx;
    struct epoll_event ev[EVENTS];
    struct vq *q;
    int n = epoll_wait(c->epoll_fd, ev, EVENTS, timeout_ms);

    for (int i = 0; i < n; i++) {
        if (ev[i].data.ptr == c) {
            while ((q = take_due(c)))
                kicked(q);
        } else if (ev[i].data.ptr) {
            kicked(ev[i].data.ptr);
        }
    }
    return n != 0;
}

/* pool_params.wake: each write is a new edge, which one thread sees */
static void wake(void *ctx)
{
    eventfd_write(((struct crew *)ctx)->wake_fd, 1);
}

/** crew_is_crowded() - see crew.h */
bool crew_is_crowded(const struct vq *q)
{
    return pool_crowded(q->vu->crew->pool, &q->vu->lane);
}

/* ---- seats ---------------------------------------------------------------------------------------- */

static int watch(const struct crew *c, int fd, void *what)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = what};

    return epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/** seat_new() - see crew.h */
int seat_new(struct vq *q)
{
    struct seat *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->q = q;
    s->job.run = turn;
    s->job.lane = &q->vu->lane;
    atomic_store(&q->order, VQ_PARK);
    pthread_mutex_lock(&q->lock);
    q->seat = s;
    pthread_mutex_unlock(&q->lock);
    return 0;
}

/** seat_end() - see crew.h */
void seat_end(struct vq *q)
{
    struct crew *c = q->vu->crew;
    struct seat *s = q->seat;

    pthread_mutex_lock(&q->lock);
    if (s->state == SEAT_QUEUED && pool_withdraw(c->pool, &s->job))
        s->state = SEAT_IDLE;
    while (s->state != SEAT_IDLE)
        pthread_cond_wait(&q->changed, &q->lock);
    pthread_mutex_lock(&c->lock);
    pause_end(c, s);
    pthread_mutex_unlock(&c->lock);
    q->seat = NULL;
    pthread_mutex_unlock(&q->lock);
    free(s);
}

/** seat_watch() - see crew.h. A descriptor that cannot be polled is -EPERM. */
int seat_watch(struct vq *q, int kick_fd)
{
    return watch(q->vu->crew, kick_fd, q);
}

/** seat_epoll_fd() - see crew.h */
int seat_epoll_fd(const struct vq *q)
{
    return q->vu->crew->epoll_fd;
}

/* ---- life ----------------------------------------------------------------------------------------- */

static int open_descriptors(struct crew *c)
{
    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (c->epoll_fd < 0 || (c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
        (c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) < 0)
        return -errno;
    return watch(c, c->wake_fd, NULL) ?: watch(c, c->timer_fd, c);
}

static unsigned cpus(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/** crew_new() - see crew.h. A device may use all CPUs, and not much more. */
int crew_new(struct crew **out, const struct vu_ops *ops)
{
    struct crew *c = calloc(1, sizeof(*c));

    if (!c)
        return -ENOMEM;
    c->ops = ops;
    c->epoll_fd = c->wake_fd = c->timer_fd = -1;
    c->lane_most = cpus();
    pthread_mutex_init(&c->lock, NULL);
    struct pool_params p = {.name = "crew",
                            .n_threads = 1,
                            .max_threads = POOL_MAX_THREADS,
                            .thread_begin = thread_begin,
                            .thread_end = thread_end,
                            .ctx = c,
                            .wait = wait_for_kicks,
                            .wake = wake};
    int err = open_descriptors(c);
    if (err == 0)
        err = pool_start(&c->pool, &p);
    if (err < 0)
        crew_free(c);
    else
        *out = c;
    return err;
}

/** crew_join() - see crew.h */
void crew_join(struct crew *c, struct vu *vu)
{
    vu->crew = c;
    pool_lane_init(&vu->lane, c->lane_most);
}

/** crew_free() - see crew.h */
void crew_free(struct crew *c)
{
    if (!c)
        return;
    pool_free(c->pool);
    const int fds[] = {c->timer_fd, c->wake_fd, c->epoll_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    pthread_mutex_destroy(&c->lock);
    free(c);
}
