// SPDX-License-Identifier: BSD-3-Clause
/*
 * hub.c - the control side of several devices (see hub.h)
 *
 * Theory of operation
 *
 *   One thread waits for all listening sockets and all connections. When a front end says something, a thread is
 *   made that listens to it, does what it says as for a single device, and ends when it has been silent for LINGER_MS:
 *   front ends talk in bursts, at start and end. So a front end that stops in the middle of a message, or a queue
 *   that takes long to drain, keeps nobody else waiting, and a connection that is silent costs no thread.
 *
 *   Only the hub's thread changes the epoll set: a connection is armed for one event, and again when the thread that
 *   talked has been joined. Such threads put their member on a list and signal done_fd.
 *
 *   With a supervisor a member may begin with a front end that another process had before: its talk begins at once,
 *   on its thread, because of the answer that may be owed. When another process is to take over, the talks end where
 *   they are, between two messages, and all devices' queues are stopped together.
 *
 * Ownership: the hub owns its crew and members' bookkeeping, not their devices.
 * Locks: lock guards the list of members whose talk is over.
 *
 * syscalls: epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 read write close futex
 */
#include "vhost/hub.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/log.h"
#include "host/thread.h"
#include "vhost/crew.h"
#include "vhost/device.h"

#define LINGER_MS 100
#define EVENTS    64

struct member {
    struct hub *hub;
    struct vu *vu;
    struct member *next;
    struct member *next_done; /* hub's lock */
    pthread_t talk;
    bool talking; /* the thread above is to be joined */
    bool visited; /* there is a front end */
    bool goes_on; /* it was there before this process was */
    int end;      /* what device_talk() returned; 1: it is still there */
};

struct hub {
    int epoll_fd, stop_fd, done_fd;
    struct crew *crew;
    struct member *members;
    atomic_bool quiescing; /* stop_fd means that another process takes over */
    atomic_bool closing;   /* no further front ends */
    pthread_mutex_t lock;
    struct member *done;
};

/* ---- one member; the hub's thread ------------------------------------------------------------- */

static int arm(const struct member *m, int op, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = (void *)m};

    return epoll_ctl(m->hub->epoll_fd, op, fd, &ev) < 0 ? -errno : 0;
}

/* The next front end may come; or none while there is one. */
static void listen_again(const struct member *m, bool on)
{
    on = on && !atomic_load(&m->hub->closing);
    int err = arm(m, EPOLL_CTL_MOD, m->vu->listen_fd, on ? EPOLLIN : 0);

    if (err < 0)
        log_error("cannot listen any more: %s", strerror(-err));
}

static void *talk_main(void *arg)
{
    struct member *m = arg;
    struct hub *h = m->hub;

    thread_name("talk");
    log_share(m->vu->name);
    m->end = m->goes_on ? device_begin(m->vu, m->vu->conn_fd) : 0;
    m->goes_on = false;
    if (m->end == 0)
        m->end = device_talk(m->vu, LINGER_MS);
    if ((m->end == 0 || m->end == -ECANCELED) && atomic_load(&h->quiescing))
        m->end = 1; /* the next process may ask it */
    if (m->end <= 0)
        device_end(m->vu, m->end);
    pthread_mutex_lock(&h->lock);
    m->next_done = h->done;
    h->done = m;
    pthread_mutex_unlock(&h->lock);
    eventfd_write(h->done_fd, 1);
    return NULL;
}

static void end_visit(struct member *m, int err)
{
    device_end(m->vu, err);
    m->visited = false;
    listen_again(m, true);
}

static void begin_talk(struct member *m)
{
    int err = thread_start(&m->talk, talk_main, m);

    m->talking = err == 0;
    if (err < 0)
        end_visit(m, err);
}

static void begin_visit(struct member *m)
{
    int conn = device_accept(m->vu);

    if (conn < 0) {
        if (conn != -EAGAIN)
            log_warn_limited("cannot accept a front end: %s", strerror(-conn));
        return;
    }
    listen_again(m, false);
    m->visited = true;
    int err = device_begin(m->vu, conn);
    if (err == 0)
        err = arm(m, EPOLL_CTL_ADD, conn, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT);
    if (err < 0)
        end_visit(m, err);
}

static void talk_is_over(struct member *m)
{
    pthread_join(m->talk, NULL);
    m->talking = false;
    if (m->end <= 0) {
        m->visited = false;
        listen_again(m, true);
        return;
    }
    int err = arm(m, EPOLL_CTL_MOD, m->vu->conn_fd, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT);
    if (err < 0)
        end_visit(m, err);
}

/* hub_stop_listening() was called. Return: true when nobody is left. */
static bool close_doors(struct hub *h)
{
    bool visited = false;

    for (struct member *m = h->members; m; m = m->next) {
        visited = visited || m->visited;
        listen_again(m, false);
    }
    return !visited;
}

static void take_done(struct hub *h)
{
    eventfd_t n;

    eventfd_read(h->done_fd, &n);
    pthread_mutex_lock(&h->lock);
    struct member *m = h->done;
    h->done = NULL;
    pthread_mutex_unlock(&h->lock);
    while (m) {
        struct member *next = m->next_done;
        log_share(m->vu->name);
        talk_is_over(m);
        log_share(NULL);
        m = next;
    }
}

static void on_event(struct member *m)
{
    log_share(m->vu->name);
    if (m->visited && !m->talking)
        begin_talk(m);
    else if (!m->visited)
        begin_visit(m);
    log_share(NULL);
}

/* ---- all -------------------------------------------------------------------------------------- */

static void join_talks(struct hub *h)
{
    for (struct member *m = h->members; m; m = m->next) {
        if (m->talking)
            pthread_join(m->talk, NULL);
        m->visited = m->visited && (!m->talking || m->end > 0);
        m->talking = false;
    }
}

static void end_all(struct hub *h)
{
    for (struct member *m = h->members; m; m = m->next) {
        log_share(m->vu->name);
        if (m->visited)
            device_end(m->vu, 0);
        m->visited = false;
    }
    log_share(NULL);
}

/* Leave everything to another process: all stop, and then each is waited for. */
static void leave_all(struct hub *h)
{
    for (struct member *m = h->members; m; m = m->next)
        device_leave(m->vu);
    uint64_t until = clock_ns() + VU_QUIESCE_NS;
    for (struct member *m = h->members; m; m = m->next)
        device_settle(m->vu, until);
}

/* A member waits for front ends, or has one already. Return: 0 or -errno. */
static int begin(struct member *m)
{
    bool goes_on = device_goes_on(m->vu);
    int err = arm(m, EPOLL_CTL_ADD, m->vu->listen_fd, goes_on ? 0 : EPOLLIN);

    if (err < 0 || !goes_on)
        return err;
    log_share(m->vu->name);
    m->visited = m->goes_on = true;
    err = arm(m, EPOLL_CTL_ADD, m->vu->conn_fd, EPOLLONESHOT);
    if (err == 0)
        begin_talk(m);
    log_share(NULL);
    return err;
}

/* What has happened. Return: true to stop. */
static bool on_events(struct hub *h, const struct epoll_event *ev, int n)
{
    bool stop = false;

    for (int i = 0; i < n; i++) {
        if (ev[i].data.ptr == &h->stop_fd)
            stop = true;
        else if (ev[i].data.ptr == &h->done_fd)
            take_done(h);
        else
            on_event(ev[i].data.ptr);
    }
    return stop || (atomic_load(&h->closing) && close_doors(h));
}

/** hub_run() - see hub.h */
int hub_run(struct hub *h)
{
    struct epoll_event ev[EVENTS];
    bool stopping = false;
    int err = 0;

    for (struct member *m = h->members; m && err == 0; m = m->next)
        err = begin(m);
    while (!stopping && err == 0) {
        int n = epoll_wait(h->epoll_fd, ev, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            err = -errno;
        stopping = on_events(h, ev, n);
    }
    if (err < 0)
        log_error("cannot wait for front ends: %s", strerror(-err));
    bool leave = err == 0 && atomic_load(&h->quiescing);
    hub_stop(h); /* talks end */
    join_talks(h);
    if (leave)
        leave_all(h);
    else
        end_all(h);
    return leave ? VU_QUIESCED : err;
}

/** hub_stop() - see hub.h */
void hub_stop(struct hub *h)
{
    int saved = errno;

    eventfd_write(h->stop_fd, 1); /* only a full counter fails, and that says the same */
    errno = saved;
}

/** hub_quiesce() - see hub.h */
void hub_quiesce(struct hub *h)
{
    atomic_store(&h->quiescing, true);
    hub_stop(h);
}

/** hub_stop_listening() - see hub.h */
void hub_stop_listening(struct hub *h)
{
    atomic_store(&h->closing, true);
    eventfd_write(h->done_fd, 1);
}

/** hub_has_served() - see hub.h */
bool hub_has_served(struct hub *h)
{
    bool served = false;

    for (struct member *m = h->members; m && !served; m = m->next)
        served = vu_has_served(m->vu);
    return served;
}

/** hub_stop_fd() - see hub.h */
int hub_stop_fd(const struct hub *h)
{
    return h->stop_fd;
}

/** hub_add() - see hub.h */
int hub_add(struct hub *h, struct vu *vu)
{
    struct member *m = calloc(1, sizeof(*m));

    if (!m)
        return -ENOMEM;
    m->hub = h;
    m->vu = vu;
    m->next = h->members;
    h->members = m;
    crew_join(h->crew, vu);
    return 0;
}

static int open_descriptors(struct hub *h)
{
    struct epoll_event stop = {.events = EPOLLIN, .data.ptr = &h->stop_fd},
                       done = {.events = EPOLLIN, .data.ptr = &h->done_fd};

    h->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (h->epoll_fd < 0 || (h->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
        (h->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0 ||
        epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, h->stop_fd, &stop) < 0 ||
        epoll_ctl(h->epoll_fd, EPOLL_CTL_ADD, h->done_fd, &done) < 0)
        return -errno;
    return 0;
}

/** hub_new() - see hub.h */
int hub_new(struct hub **out, const struct vu_ops *ops)
{
    struct hub *h = calloc(1, sizeof(*h));

    if (!h)
        return -ENOMEM;
    h->epoll_fd = h->stop_fd = h->done_fd = -1;
    pthread_mutex_init(&h->lock, NULL);
    int err = open_descriptors(h);
    if (err == 0)
        err = crew_new(&h->crew, ops);
    if (err < 0)
        hub_free(h);
    else
        *out = h;
    return err;
}

/** hub_free() - see hub.h */
void hub_free(struct hub *h)
{
    if (!h)
        return;
    crew_free(h->crew);
    while (h->members) {
        struct member *m = h->members;
        h->members = m->next;
        free(m);
    }
    const int fds[] = {h->done_fd, h->stop_fd, h->epoll_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    pthread_mutex_destroy(&h->lock);
    free(h);
}
