// SPDX-License-Identifier: BSD-3-Clause
/*
 * vhost_turns.c - the back end's workers as coroutines, its socket as memory
 *
 * Theory of operation
 *
 *   The control thread is main. Whenever it waits (for its front end, for a worker to park, to end, to give
 *   a chain back), each worker has one turn. A worker's turn ends where it would sleep, yields, or has worked
 *   for a while. Both sides only ever wait in a loop around a condition, so returning early is a
 *   spurious wake-up, which the code under test has to bear anyway.
 *
 *   Nobody gives a turn away while holding a lock: a wait on a condition releases it, and the other places are
 *   outside of locks. A wait that nothing can end is a dead lock of the back end, and is found because an
 *   input has a limited number of turns.
 *
 *   The socket holds one message at a time. As with a stream socket of the kernel, it can be received in
 *   pieces, descriptors come with its first byte, and recv() loses them.
 *
 *   Stacks are kept from input to input. AddressSanitizer is told about each change of stacks.
 *
 * Ownership: one table for the process. Locks: none; with real threads nothing here is written.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#include <sched.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#include "host/thread.h"
#include "tests/fuzz/fuzz_must.h"
#include "tests/fuzz/vhost_turns.h"
#include "vhost/message.h"
#include "vhost/vhost.h"

#define STACK_BYTES 0x8000u
#define MAX_TURNS   1000000u /* of one input */
#define WORK_LIMIT  4u       /* pauses in one turn */
#define WIRE_BYTES  512u     /* more than a record has */

int __real_thread_start(pthread_t *id, void *(*main)(void *arg), void *arg);
void __real_thread_name(const char *name);
int __real_pthread_join(pthread_t id, void **result);
int __real_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __real_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *at);
int __real_epoll_wait(int fd, struct epoll_event *ev, int max, int timeout);
int __real_sched_yield(void);
int __real_poll(struct pollfd *p, nfds_t n, int timeout);
ssize_t __real_recvmsg(int fd, struct msghdr *h, int flags);
ssize_t __real_recv(int fd, void *to, size_t len, int flags);
ssize_t __real_send(int fd, const void *from, size_t len, int flags);

int __wrap_thread_start(pthread_t *id, void *(*main)(void *arg), void *arg);
void __wrap_thread_name(const char *name);
int __wrap_pthread_join(pthread_t id, void **result);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *at);
int __wrap_epoll_wait(int fd, struct epoll_event *ev, int max, int timeout);
int __wrap_sched_yield(void);
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout);
ssize_t __wrap_recvmsg(int fd, struct msghdr *h, int flags);
ssize_t __wrap_recv(int fd, void *to, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *from, size_t len, int flags);

struct routine {
    void *(*main)(void *arg); /* NULL: free */
    void *arg;
    bool ended;
    unsigned pauses; /* in this turn */
    void *stack;
    ucontext_t at;
};

/* What is on its way to the back end. */
struct wire {
    bool ended;
    size_t at, len;
    unsigned n_fds;
    int fd[TURNS_MAX_FDS]; /* the front end's own */
    uint8_t bytes[WIRE_BYTES];
};

static struct {
    bool on;
    struct wire wire;
    void (*idle)(void *ctx);
    void *idle_ctx;
    unsigned turns;
    struct routine *now; /* NULL: the control thread */
    unsigned n;          /* places of the table that were ever used in this input */
    struct routine routine[VU_MAX_QUEUES];
    ucontext_t control;
    const void *control_stack;
    size_t control_bytes;
} all;

/* ---- changing stacks -------------------------------------------------------------------------- */

/* To the control thread, for a while or for good. */
static void leave(struct routine *r)
{
    void *fake = NULL;

    __sanitizer_start_switch_fiber(r->ended ? NULL : &fake, all.control_stack, all.control_bytes);
    MUST(swapcontext(&r->at, &all.control) == 0);
    __sanitizer_finish_switch_fiber(fake, &all.control_stack, &all.control_bytes);
}

static void routine_main(void)
{
    struct routine *r = all.now;

    __sanitizer_finish_switch_fiber(NULL, &all.control_stack, &all.control_bytes);
    r->main(r->arg);
    r->ended = true;
    leave(r);
    abort();
}

static void resume(struct routine *r)
{
    void *fake = NULL;

    MUST(!all.now && ++all.turns < MAX_TURNS);
    r->pauses = 0;
    all.now = r;
    __sanitizer_start_switch_fiber(&fake, r->stack, STACK_BYTES);
    MUST(swapcontext(&all.control, &r->at) == 0);
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
    all.now = NULL;
}

/* Each worker has a turn, or the worker that asks gives its own back. */
static void next_turn(void)
{
    if (all.now) {
        leave(all.now);
        return;
    }
    for (unsigned i = 0; i < all.n; i++) {
        if (all.routine[i].main && !all.routine[i].ended)
            resume(&all.routine[i]);
    }
}

/* ---- what the back end calls -------------------------------------------------------------------- */

int __wrap_thread_start(pthread_t *id, void *(*main)(void *arg), void *arg)
{
    unsigned i = 0;

    if (!all.on)
        return __real_thread_start(id, main, arg);
    while (all.routine[i].main)
        MUST(++i < VU_MAX_QUEUES);
    if (i >= all.n)
        all.n = i + 1;
    struct routine *r = &all.routine[i];
    if (!r->stack) {
        r->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        MUST(r->stack != MAP_FAILED);
    }
    r->main = main;
    r->arg = arg;
    r->ended = false;
    MUST(getcontext(&r->at) == 0);
    r->at.uc_stack.ss_sp = r->stack;
    r->at.uc_stack.ss_size = STACK_BYTES;
    r->at.uc_link = NULL;
    makecontext(&r->at, routine_main, 0);
    *id = (pthread_t)i + 1;
    return 0;
}

void __wrap_thread_name(const char *name)
{
    if (!all.on)
        __real_thread_name(name);
}

int __wrap_pthread_join(pthread_t id, void **result)
{
    if (!all.on)
        return __real_pthread_join(id, result);
    MUST(!all.now && id > 0 && id <= all.n);
    struct routine *r = &all.routine[id - 1];
    MUST(r->main);
    while (!r->ended)
        next_turn();
    r->main = NULL;
    return 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    if (!all.on)
        return __real_pthread_cond_wait(c, m);
    pthread_mutex_unlock(m);
    next_turn();
    pthread_mutex_lock(m);
    return 0;
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *at)
{
    return all.on ? __wrap_pthread_cond_wait(c, m) : __real_pthread_cond_timedwait(c, m, at);
}

int __wrap_sched_yield(void)
{
    if (!all.on)
        return __real_sched_yield();
    next_turn();
    return 0;
}

int __wrap_epoll_wait(int fd, struct epoll_event *ev, int max, int timeout)
{
    if (!all.on)
        return __real_epoll_wait(fd, ev, max, timeout);
    int n = __real_epoll_wait(fd, ev, max, 0);
    if (n != 0)
        return n;
    next_turn();
    errno = EINTR; /* the caller looks around and comes back */
    return -1;
}

/* Only the control thread waits, for its front end; workers look whether a pipe is full. */
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout)
{
    if (timeout == 0)
        return __real_poll(p, n, 0);
    while (!all.on) {
        int ready = __real_poll(p, n, 0);
        if (ready != 0)
            return ready;
        all.idle(all.idle_ctx);
    }
    while (all.wire.at == all.wire.len && !all.wire.ended) {
        next_turn();
        all.idle(all.idle_ctx);
    }
    p[0].revents = p[0].events;
    p[1].revents = 0; /* nobody calls vu_stop() */
    return 1;
}

static ssize_t receive(void *to, size_t len)
{
    struct wire *w = &all.wire;

    if (len > w->len - w->at)
        len = w->len - w->at;
    if (len == 0) {
        MUST(w->ended); /* it polls first */
        return 0;
    }
    memcpy(to, w->bytes + w->at, len);
    w->at += len;
    w->n_fds = 0;
    return (ssize_t)len;
}

ssize_t __wrap_recv(int fd, void *to, size_t len, int flags)
{
    return all.on ? receive(to, len) : __real_recv(fd, to, len, flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *h, int flags)
{
    struct wire *w = &all.wire;
    int copy[TURNS_MAX_FDS];

    if (!all.on)
        return __real_recvmsg(fd, h, flags);
    h->msg_flags = 0;
    if (w->n_fds == 0) {
        h->msg_controllen = 0;
        return receive(h->msg_iov[0].iov_base, h->msg_iov[0].iov_len);
    }
    for (unsigned i = 0; i < w->n_fds; i++) {
        copy[i] = fcntl(w->fd[i], F_DUPFD_CLOEXEC, 0);
        MUST(copy[i] >= 0);
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    MUST(c && h->msg_controllen >= CMSG_SPACE(w->n_fds * sizeof(int)));
    h->msg_controllen = CMSG_SPACE(w->n_fds * sizeof(int));
    *c = (struct cmsghdr){CMSG_LEN(w->n_fds * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(c), copy, w->n_fds * sizeof(int));
    return receive(h->msg_iov[0].iov_base, h->msg_iov[0].iov_len);
}

/* An answer says how long it is, and that it is one. */
ssize_t __wrap_send(int fd, const void *from, size_t len, int flags)
{
    struct vu_header h;

    if (!all.on)
        return __real_send(fd, from, len, flags);
    MUST(len >= sizeof(h));
    memcpy(&h, from, sizeof(h));
    MUST(len == sizeof(h) + h.size && h.flags == (VU_VERSION | VU_REPLY));
    return (ssize_t)len;
}

/* ---- the harness ------------------------------------------------------------------------------- */

/** turns_begin() - see vhost_turns.h */
void turns_begin(bool threads, void (*idle)(void *ctx), void *ctx)
{
    all.on = !threads;
    all.idle = idle;
    all.idle_ctx = ctx;
    all.turns = 0;
    all.n = 0;
    all.wire.at = all.wire.len = 0;
    all.wire.n_fds = 0;
    all.wire.ended = false;
}

/** turns_end() - see vhost_turns.h */
void turns_end(void)
{
    for (unsigned i = 0; i < all.n; i++)
        MUST(!all.routine[i].main);
    all.on = false;
}

/** turns_send() - see vhost_turns.h */
void turns_send(const struct iovec *iov, int n_iov, const int *fds, unsigned n_fds)
{
    struct wire *w = &all.wire;

    MUST(w->at == w->len && n_fds <= TURNS_MAX_FDS);
    w->at = w->len = 0;
    for (int i = 0; i < n_iov; i++) {
        MUST(iov[i].iov_len <= sizeof(w->bytes) - w->len);
        if (iov[i].iov_len > 0)
            memcpy(w->bytes + w->len, iov[i].iov_base, iov[i].iov_len);
        w->len += iov[i].iov_len;
    }
    if (n_fds > 0)
        memcpy(w->fd, fds, n_fds * sizeof(*fds));
    w->n_fds = n_fds;
}

/** turns_hang_up() - see vhost_turns.h */
void turns_hang_up(void)
{
    all.wire.ended = true;
}

/** turns_pause() - see vhost_turns.h */
void turns_pause(void)
{
    if (all.on && ++all.now->pauses > WORK_LIMIT)
        next_turn();
}
