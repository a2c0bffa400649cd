// SPDX-License-Identifier: BSD-3-Clause
/*
 * queue.c - life of one queue, and its used side
 *
 * Theory of operation
 *
 *   Control and worker agree through `order` and `parked`. The control thread orders the worker to
 *   park, wakes it, and waits for `parked`; until it orders VQ_RUN again it owns everything in the
 *   queue but the used side, which threads that complete kept chains share with it under the lock.
 *
 *   Chains are counted when taken and when given back. Draining is parking plus waiting until both
 *   counts are equal: then nobody holds an address in guest memory, and the ring's indices say where
 *   another back end could go on. A chain that only waits (for a lock, for a change to report) might wait for
 *   ever, and no answer would suit it: Linux shows an EINTR without a signal to the program. It is deferred:
 *   counted as given, its head remembered, and served from the beginning when the queue goes on.
 *
 *   The call descriptor has its own lock, so that a completion never waits for another's system call
 *   to publish, and so that the front end can replace the descriptor at any time.
 *
 *   Index of the used ring at start: the guest's own used->idx, because a back end that died may have
 *   left chains that it took and never gave back. Continuing at the available index would publish used
 *   entries that nobody wrote.
 *
 * Source: vhost-user specification, "Ring states", "Migration"; virtio 1.2, 2.7.
 * Ownership: a queue owns its descriptors and its worker. Locks: lock, then nothing; call_lock alone.
 *
 * syscalls: futex write poll ppoll close fstat newfstatat
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "vhost/resume.h"

#define DRAIN_COMPLAIN_S 5

static void forget(struct vq *q)
{
    q->size = 0;
    q->live->next = 0;
    q->live->used = false;
    q->desc_uva = q->avail_uva = q->used_uva = 0;
    q->used_gpa = 0;
    q->used_logged = q->logging = false;
    q->started = q->enabled = q->open = false;
    q->mem_hint = 0;
    atomic_store(&q->broken, false);
    queue_forget_deferred(q);
}

/** queue_init() - see queue.h */
int queue_init(struct vq *q, struct vu *vu, unsigned index)
{
    q->vu = vu;
    q->index = index;
    q->live = &vu->journal->queue[index];
    q->record = vu->journal->record[index];
    q->kick_fd = q->call_fd = q->err_fd = -1;
    q->parked = true; /* all else is zeros; the journal may be in use by another process */
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int err = pthread_cond_init(&q->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (err != 0)
        return -err;
    pthread_mutex_init(&q->lock, NULL);
    pthread_mutex_init(&q->call_lock, NULL);
    return 0;
}

/** queue_destroy() - after queue_reset() */
void queue_destroy(struct vq *q)
{
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    pthread_mutex_destroy(&q->call_lock);
}

/* ---- control thread: parking and draining --------------------------------------------------- */

static void give_order(struct vq *q, enum vq_order order)
{
    pthread_mutex_lock(&q->lock);
    atomic_store(&q->order, order);
    pthread_cond_broadcast(&q->changed);
    if (order == VQ_RUN)
        worker_run(q);
    pthread_mutex_unlock(&q->lock);
}

/** queue_order_park() - see queue.h */
void queue_order_park(struct vq *q)
{
    if (!queue_manned(q))
        return;
    give_order(q, VQ_PARK);
    worker_wake(q);
}

/** queue_await_parked() - see queue.h */
void queue_await_parked(struct vq *q)
{
    if (!queue_manned(q))
        return;
    pthread_mutex_lock(&q->lock);
    while (!q->parked)
        pthread_cond_wait(&q->changed, &q->lock);
    pthread_mutex_unlock(&q->lock);
}

static uint32_t in_flight(const struct vq *q)
{
    return atomic_load_explicit(&q->taken, memory_order_relaxed) -
           atomic_load_explicit(&q->given, memory_order_relaxed);
}

/** queue_drain() - see queue.h; a request that does not end is complained about, hurried, and waited for */
void queue_drain(struct vq *q, bool hurry)
{
    if (!queue_manned(q))
        return; /* it never took a chain */
    queue_order_park(q);
    queue_await_parked(q);
    pthread_mutex_lock(&q->lock);
    q->draining = true;
    bool kept = in_flight(q) != 0;
    pthread_mutex_unlock(&q->lock);
    if (kept)
        q->vu->ops->defer_later(q->vu->ctx, q);
    if (kept && hurry)
        q->vu->ops->cancel_later(q->vu->ctx, q);

    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += DRAIN_COMPLAIN_S;
    bool complained = false;
    pthread_mutex_lock(&q->lock);
    while (in_flight(q) != 0) {
        if (complained) {
            pthread_cond_wait(&q->changed, &q->lock);
        } else if (pthread_cond_timedwait(&q->changed, &q->lock, &until) == ETIMEDOUT) {
            log_warn("queue %u is to stop and waits for %u request(s)", q->index, in_flight(q));
            complained = true;
            pthread_mutex_unlock(&q->lock);
            q->vu->ops->cancel_later(q->vu->ctx, q);
            pthread_mutex_lock(&q->lock);
        }
    }
    q->draining = false;
    pthread_mutex_unlock(&q->lock);
}

/* ---- control thread: set-up ------------------------------------------------------------------ */

static void *translate(void *ctx, uint64_t gpa, uint64_t *len)
{
    struct vq *q = ctx;

    return mem_from_gpa(q->vu->mem, &q->mem_hint, gpa, len);
}

static int open_ring(struct vq *q)
{
    const struct mem *m = q->vu->mem;
    void *desc = mem_from_uva(m, q->desc_uva, ring_desc_bytes(q->size));
    void *avail = mem_from_uva(m, q->avail_uva, ring_avail_bytes(q->size));
    void *used = mem_from_uva(m, q->used_uva, ring_used_bytes(q->size));

    if (q->size == 0 || !desc || !avail || !used) {
        log_error("queue %u: its ring (%u entries) is not in guest memory", q->index, q->size);
        if (q->size != 0)
            mem_complain_not_shared(); /* QEMU just leaves out what has no descriptor */
        return -EFAULT;
    }
    pthread_mutex_lock(&q->lock);
    int err = ring_dev_init(&q->ring, q->size, desc, avail, used, (uint16_t)q->live->next,
                            q->vu->features, translate, q);
    if (err == 0) {
        uint16_t idx = __atomic_load_n(&q->ring.used->idx, __ATOMIC_ACQUIRE);
        q->ring.next_used = q->ring.published = idx;
        q->live->used = true;
        q->live->open = true;
        q->open = true;
    }
    pthread_mutex_unlock(&q->lock);
    if (err != 0) {
        log_error("queue %u: its ring (%u entries) is misaligned", q->index, q->size);
        return -EINVAL;
    }
    return 0;
}

/** queue_update() - see queue.h */
int queue_update(struct vq *q)
{
    if (!q->started || !q->enabled || atomic_load(&q->broken)) {
        queue_order_park(q);
        queue_await_parked(q);
        return 0;
    }
    if (!q->open) {
        int err = open_ring(q);
        if (err < 0)
            return err;
    }
    resume_save(q->vu);
    give_order(q, VQ_RUN);
    return 0;
}

/** queue_close_ring() - see queue.h */
void queue_close_ring(struct vq *q)
{
    q->open = false;
    q->live->open = false;
    q->live->broken = false;
    atomic_store(&q->broken, false);
}

static void close_kick(struct vq *q)
{
    if (q->kick_fd < 0)
        return;
    worker_unwatch(q, q->kick_fd);
    close(q->kick_fd);
    q->kick_fd = -1;
}

/** queue_stop() - see queue.h */
void queue_stop(struct vq *q, bool hurry)
{
    queue_drain(q, hurry);
    queue_close_ring(q);
    q->deferred.base = (uint16_t)q->live->next;
    close_kick(q);
    resume_keep(q->vu, KEEP_KICK, q->index, -1);
    q->started = false;
}

/* ---- chains that are served anew ------------------------------------------------------------- */

/** queue_forget_deferred() - see queue.h */
void queue_forget_deferred(struct vq *q)
{
    for (uint32_t i = 0; i < q->deferred.n; i++)
        journal_given(&q->record[q->deferred.head[i]]);
    free(q->deferred.head);
    q->deferred = (struct vq_deferred){0};
}

/** queue_rebase() - see queue.h. A ring that was reset begins at 0; what was taken from the old one is gone. */
void queue_rebase(struct vq *q, uint16_t base)
{
    if (base != q->deferred.base)
        queue_forget_deferred(q);
    q->live->next = base;
}

/** queue_set_deferred() - see queue.h */
int queue_set_deferred(struct vq *q, uint16_t base, const uint16_t *head, uint32_t n)
{
    if (n > RING_MAX_SIZE || q->started)
        return -EINVAL;
    queue_forget_deferred(q);
    q->deferred.base = base;
    if (n == 0)
        return 0;
    q->deferred.head = calloc(n, sizeof(*head));
    if (!q->deferred.head)
        return -ENOMEM;
    memcpy(q->deferred.head, head, n * sizeof(*head));
    q->deferred.n = q->deferred.room = n;
    return 0;
}

/** queue_take_deferred() - see queue.h */
int32_t queue_take_deferred(struct vq *q)
{
    int32_t head = -1;

    pthread_mutex_lock(&q->lock);
    if (q->deferred.n > 0)
        head = q->deferred.head[--q->deferred.n];
    pthread_mutex_unlock(&q->lock);
    return head;
}

/** vq_defer() - see vhost.h */
bool vq_defer(struct vq *q, uint16_t head)
{
    struct vq_deferred *d = &q->deferred;

    pthread_mutex_lock(&q->lock);
    if (d->n == d->room && d->room < q->size) {
        uint16_t *more = realloc(d->head, q->size * sizeof(*more));
        if (more) {
            d->head = more;
            d->room = q->size;
        }
    }
    bool room = d->n < d->room;
    if (room) {
        d->head[d->n++] = head;
        atomic_fetch_add_explicit(&q->given, 1, memory_order_relaxed);
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return room;
}

/** queue_reset() - see queue.h */
void queue_reset(struct vq *q)
{
    queue_stop(q, true);
    if (queue_manned(q)) {
        give_order(q, VQ_QUIT);
        worker_end(q);
    }
    queue_set_call(q, -1);
    queue_set_err(q, -1);
    forget(q);
}

/* An eventfd has no type bits in its mode: anything else must be emptied, and may be full. */
static bool is_pipe(int fd)
{
    struct stat st;

    return fstat(fd, &st) < 0 || (st.st_mode & S_IFMT) != 0;
}

/** queue_set_kick() - see queue.h */
int queue_set_kick(struct vq *q, int fd)
{
    int err = 0;

    queue_order_park(q);
    queue_await_parked(q);
    close_kick(q);
    if (!queue_manned(q))
        err = worker_new(q);
    if (err == 0)
        err = worker_watch(q, fd);
    if (err < 0) {
        log_error("queue %u: cannot watch the kick descriptor: %s", q->index, strerror(-err));
        close(fd);
        return err;
    }
    resume_keep(q->vu, KEEP_KICK, q->index, fd);
    q->kick_fd = fd;
    q->kick_drain = is_pipe(fd);
    q->started = true;
    q->live->broken = false;
    atomic_store(&q->broken, false);
    return 0;
}

/** queue_set_call() - see queue.h */
void queue_set_call(struct vq *q, int fd)
{
    bool pipe = fd >= 0 && is_pipe(fd);

    resume_keep(q->vu, KEEP_CALL, q->index, fd);
    pthread_mutex_lock(&q->call_lock);
    int old = q->call_fd;
    q->call_fd = fd;
    q->call_pipe = pipe;
    pthread_mutex_unlock(&q->call_lock);
    if (old >= 0)
        close(old);
}

/** queue_set_err() - see queue.h; the worker is parked meanwhile */
void queue_set_err(struct vq *q, int fd)
{
    queue_order_park(q);
    queue_await_parked(q);
    if (q->err_fd >= 0)
        close(q->err_fd);
    resume_keep(q->vu, KEEP_ERR, q->index, fd);
    q->err_fd = fd;
}

/** queue_set_logging() - see queue.h */
void queue_set_logging(struct vq *q)
{
    q->logging = vu_has(q->vu, VU_F_LOG_ALL) && q->vu->dirty.bits;
}

/* ---- used side ------------------------------------------------------------------------------- */

/** queue_mark() - see queue.h */
void queue_mark(struct vq *q, const struct ring_seg *seg, uint32_t n, uint64_t len)
{
    for (uint32_t i = 0; i < n && len > 0; i++) {
        uint64_t part = seg[i].len < len ? seg[i].len : len;
        dirty_mark_host(&q->vu->dirty, q->vu->mem, seg[i].base, part);
        len -= part;
    }
}

/** queue_mark_event() - see queue.h */
void queue_mark_event(struct vq *q)
{
    if (!q->used_logged)
        return;
    dirty_mark(&q->vu->dirty, q->used_gpa, sizeof(struct ring_used));
    dirty_mark(&q->vu->dirty, q->used_gpa + ring_used_bytes(q->size) - 2, 2);
}

/* Log the entries that the next publish makes visible, and the index. Under the lock. */
static void mark_used(struct vq *q)
{
    if (!q->used_logged)
        return;
    for (uint16_t i = q->ring.published; i != q->ring.next_used; i++) {
        uint64_t at =
            offsetof(struct ring_used, ring) + (i & (q->size - 1)) * sizeof(struct ring_used_elem);
        dirty_mark(&q->vu->dirty, q->used_gpa + at, sizeof(struct ring_used_elem));
    }
    dirty_mark(&q->vu->dirty, q->used_gpa, sizeof(struct ring_used));
}

/* Publish what was pushed and count it. Under the lock. Return: true if the driver wants a signal. */
static bool publish(struct vq *q, unsigned n)
{
    if (__builtin_expect(q->logging, 0))
        mark_used(q);
    bool call = ring_dev_publish(&q->ring);
    unsigned given = atomic_load_explicit(&q->given, memory_order_relaxed) + n;
    atomic_store_explicit(&q->given, given, memory_order_relaxed);
    if (__builtin_expect(q->draining, 0))
        pthread_cond_broadcast(&q->changed);
    return call;
}

/* Under the lock. */
static void push(struct vq *q, uint16_t head, uint32_t len)
{
    journal_push(&q->record[head], len, q->ring.next_used);
    ring_dev_push(&q->ring, head, len);
}

/** queue_give_back() - see queue.h */
bool queue_give_back(struct vq *q, const struct vq_done *done, unsigned n)
{
    pthread_mutex_lock(&q->lock);
    for (unsigned i = 0; i < n; i++)
        push(q, done[i].head, done[i].len);
    bool call = publish(q, n);
    for (unsigned i = 0; i < n; i++)
        journal_given(&q->record[done[i].head]);
    pthread_mutex_unlock(&q->lock);
    return call;
}

/** vq_complete() - see vhost.h */
void vq_complete(struct vq *q, uint16_t head, uint32_t len, const struct ring_seg *written,
                 uint32_t n_written)
{
    pthread_mutex_lock(&q->lock);
    if (__builtin_expect(q->logging, 0) && len > 0)
        queue_mark(q, written, n_written, len);
    push(q, head, len);
    bool call = publish(q, 1);
    journal_given(&q->record[head]);
    pthread_mutex_unlock(&q->lock);
    if (call)
        queue_call(q);
}

static void signal_fd(int fd, bool pipe)
{
    const uint64_t one = 1;
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    /* A full pipe has signals enough in it, and must not block us. */
    if (pipe && (poll(&p, 1, 0) <= 0 || (p.revents & POLLOUT) == 0))
        return;
    ssize_t n = write(fd, &one, sizeof(one));
    if (n < 0 && errno != EAGAIN)
        log_warn_limited("cannot signal the front end: %s", strerror(errno));
}

/** queue_call() - see queue.h */
void queue_call(struct vq *q)
{
    pthread_mutex_lock(&q->call_lock);
    if (q->call_fd >= 0)
        signal_fd(q->call_fd, q->call_pipe);
    pthread_mutex_unlock(&q->call_lock);
}

/** queue_break() - see queue.h */
void queue_break(struct vq *q, const char *why)
{
    if (why)
        log_error("queue %u stopped: %s", q->index, why);
    if (q->err_fd >= 0)
        signal_fd(q->err_fd, is_pipe(q->err_fd));
    q->live->broken = true;
    atomic_store(&q->broken, true);
}

/* ---- taking over from another process ---------------------------------------------------------- */

static int by_order(const void *a, const void *b)
{
    const struct vu_record *x = *(struct vu_record *const *)a, *y = *(struct vu_record *const *)b;

    if (x->state != y->state && (x->state == VU_RECORD_PUSHED || y->state == VU_RECORD_PUSHED))
        return x->state == VU_RECORD_PUSHED ? -1 : 1;
    if (x->state == VU_RECORD_PUSHED)
        return (int16_t)(x->used_at - y->used_at);
    return x->order < y->order ? -1 : x->order > y->order;
}

/* The records of chains that are out, in order. Return: how many, or -ENOMEM. */
static int64_t records_out(struct vq *q, struct vu_record ***out, uint16_t used_idx)
{
    uint32_t n = 0;
    struct vu_record **list = calloc(q->size + 1, sizeof(struct vu_record *));

    if (!list)
        return -ENOMEM;
    for (uint32_t head = 0; head < q->size; head++) {
        struct vu_record *r = &q->record[head];
        bool answered = r->state == VU_RECORD_PUSHED || r->state == VU_RECORD_ANSWERED;
        if (answered && !q->open) /* never: a ring is closed when it is drained */
            journal_given(r);
        if (r->state == VU_RECORD_PUSHED && (int16_t)(used_idx - r->used_at) > 0)
            journal_given(r); /* this one was published */
        if (r->state == VU_RECORD_NONE)
            continue;
        if (r->order >= q->live->next) /* written down, but not counted yet */
            q->live->next = r->order + 1;
        list[n++] = r;
    }
    qsort(list, n, sizeof(struct vu_record *), by_order);
    *out = list;
    return n;
}

/* What ends a process at once ends the next one, too; a request that takes long may only have met an accident. */
static uint8_t count_end(const struct vq *q, uint8_t again)
{
    unsigned n = again + (keep_lasted(q->vu->keep) ? 1 : VU_AT_ONCE);

    return n < UINT8_MAX ? (uint8_t)n : UINT8_MAX;
}

/* Give back what was answered, note who is to be served again. Return: 0 or -errno. */
static int settle_records(struct vq *q, struct vu_record **list, uint32_t n)
{
    uint16_t *again = calloc(n + 1, sizeof(*again));
    uint32_t n_again = 0, from = n;

    if (!again)
        return -ENOMEM;
    pthread_mutex_lock(&q->lock);
    for (uint32_t i = 0; i < n; i++) {
        struct vu_record *r = list[i];
        uint16_t head = (uint16_t)(r - q->record);
        if (r->state == VU_RECORD_PUSHED || r->state == VU_RECORD_ANSWERED) {
            push(q, head, r->len);
        } else {
            r->again = r->state == VU_RECORD_LATER ? 1 : count_end(q, r->again);
            n_again++;
            again[--from] = head; /* the last one is taken first */
        }
    }
    if (n_again < n)
        publish(q, 0);
    for (uint32_t i = 0; i < n; i++) {
        if (list[i]->state == VU_RECORD_PUSHED)
            journal_given(list[i]);
    }
    pthread_mutex_unlock(&q->lock);
    int err = queue_set_deferred(q, (uint16_t)q->live->next, again + from, n_again);
    free(again);
    return err;
}

static int settle(struct vq *q)
{
    struct vu_record **list;
    uint16_t used = 0;

    if (q->live->open) {
        int err = open_ring(q);
        if (err < 0)
            return err;
        used = q->ring.next_used;
    }
    int64_t n = records_out(q, &list, used);
    if (n < 0)
        return (int)n;
    q->ring.last_avail = q->ring.seen_avail = (uint16_t)q->live->next;
    int err = settle_records(q, list, (uint32_t)n);
    free(list);
    return err;
}

/** queue_restore() - see queue.h */
int queue_restore(struct vq *q, const struct journal_ring *s)
{
    bool broken = q->live->broken;
    int kick = keep_take(q->vu->keep, KEEP_KICK, q->index);
    int err = 0;

    q->desc_uva = s->desc;
    q->avail_uva = s->avail;
    q->used_uva = s->used;
    q->used_gpa = s->used_gpa;
    q->size = s->size <= RING_MAX_SIZE ? s->size : 0;
    q->used_logged = s->used_logged;
    q->enabled = s->enabled;
    queue_set_logging(q);
    q->call_fd = keep_take(q->vu->keep, KEEP_CALL, q->index);
    q->call_pipe = q->call_fd >= 0 && is_pipe(q->call_fd);
    q->err_fd = keep_take(q->vu->keep, KEEP_ERR, q->index);
    if (q->live->used)
        err = settle(q);
    /* (Without a descriptor the message that takes or brings it is still to be handled.) */
    if (err == 0 && s->started && kick >= 0)
        err = queue_set_kick(q, steal_fd(&kick));
    if (kick >= 0)
        close(kick);
    q->live->broken = broken;
    atomic_store(&q->broken, broken);
    return err;
}

/* ---- for the rest of the daemon --------------------------------------------------------------- */

/** vu_has_served() - see vhost.h */
bool vu_has_served(struct vu *vu)
{
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++) {
        if (atomic_load_explicit(&vu->queue[i].given, memory_order_relaxed) != 0)
            return true;
    }
    return atomic_load(&vu->conversed);
}

/** vq_index() - see vhost.h */
unsigned vq_index(const struct vq *q)
{
    return q->index;
}

/** vq_waiting() - see vhost.h */
uint32_t vq_waiting(const struct vq *q)
{
    return ring_dev_waiting(&q->ring);
}

/** vu_in_flight() - see vhost.h */
uint32_t vu_in_flight(struct vu *vu)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < VU_MAX_QUEUES; i++)
        n += in_flight(&vu->queue[i]);
    return n;
}
