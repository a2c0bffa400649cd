// SPDX-License-Identifier: BSD-3-Clause
/*
 * vhost_transport.c - struct cli_transport over vhost-user, straight to a daemon
 *
 * Theory of operation
 *
 *   A message becomes a struct flight: copies of header, arguments and data in guest memory, room for the
 *   answer there, and a pointer to the message. Flights go round robin over the request queues; what has no
 *   answer goes over the hiprio queue. A flight that finds its ring full waits in a list and is put on
 *   the ring by the next completion.
 *
 *   One thread sleeps on the call descriptors of all queues, takes what is there, checks each answer as
 *   viofs.sys does (unique, length, error range), copies it out and calls done(), without any lock held. It also
 *   sees the daemon hang up, and then ends everything with -LE_ENOTCONN.
 *
 *   A cancelled message is parted from its flight at once; the flight ends when the daemon answers.
 *   Only messages that were submitted can be cancelled.
 *
 * Ownership: a flight belongs to the ring or the waiting list, and its message to the caller until done().
 * Locks: vht.lock guards everything: rings, lists, free blocks, messages' being in flight. Never held while calling
 *   done(). fe's own allocator lock comes after it.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/fuse/fuse_proto.h"
#include "service/client/linux_errno.h"
#include "tests/client/vhost_transport.h"
#include "tests/frontend/frontend.h"

#define MAX_REQUEST 8192u
#define TAG         "vhost"
#define LEAST_SHIFT 6u /* blocks of 64 bytes to 16 MiB */
#define SHIFTS      19u

/* Where call() sleeps; guarded by vht.lock. */
struct waiter {
    pthread_cond_t cond;
    bool ended;
};

/* Memory of a flight goes back to its queue: no two threads of the daemon ever see the same bytes. */
struct block {
    struct block *next, **list;
    void *p;
};

enum part { OUT, OUT_DATA, IN, IN_DATA, TABLE, PARTS };

struct flight {
    struct fe_req req;     /* first: what fe_reap() gives back is the flight */
    struct cli_msg *msg;   /* NULL: cancelled, or nobody waits for an answer */
    struct waiter *waiter; /* of the call() that waits; NULL: submitted */
    struct block *block[PARTS];
    unsigned queue;
    int32_t result;
    uint64_t unique;
    struct flight *next; /* in the waiting list or the list of those that are done */
    struct flight *prev_live, *next_live;
};

struct list {
    struct flight *head, **tail;
};

struct vht {
    struct cli_transport base; /* first: found again from the operations' argument */
    struct vht_options o;
    struct fe *fe;
    pthread_t thread;
    int wake; /* eventfd: the thread looks again */
    pthread_mutex_t lock;
    bool stop, connected, held;
    bool paused; /* nothing is sent, and the epoch stays */
    pthread_cond_t resumed;
    uint64_t epoch;
    atomic_uint turn;                            /* next request queue */
    struct block *blocks[FE_MAX_QUEUES][SHIFTS]; /* that are free */
    struct list waiting;
    struct flight live; /* head of a ring of all flights that have not ended */
    uint32_t in_flight, max_in_flight;
};

static void list_init(struct list *l)
{
    l->head = NULL;
    l->tail = &l->head;
}

static void list_put(struct list *l, struct flight *f)
{
    f->next = NULL;
    *l->tail = f;
    l->tail = &f->next;
}

static struct vht *of_transport(struct cli_transport *t)
{
    return (struct vht *)t;
}

static void wake_thread(struct vht *t)
{
    uint64_t one = 1;
    ssize_t n = write(t->wake, &one, sizeof(one));

    assert(n == sizeof(one));
}

/* ---- flights ------------------------------------------------------------------------------- */

/* Guest memory of at least @len bytes that only this queue ever sees. Return: NULL when there is none left. */
static struct block *block_get(struct vht *t, unsigned queue, uint32_t len)
{
    struct block *b, **list;
    unsigned shift = LEAST_SHIFT;

    while ((uint32_t)1 << shift < len)
        shift++;
    list = &t->blocks[queue][shift - LEAST_SHIFT];
    pthread_mutex_lock(&t->lock);
    b = *list;
    if (b)
        *list = b->next;
    pthread_mutex_unlock(&t->lock);
    if (b)
        return b;
    b = calloc(1, sizeof(*b));
    if (!b)
        return NULL;
    b->list = list;
    b->p = fe_alloc(t->fe, (size_t)1 << shift);
    if (b->p)
        return b;
    free(b);
    return NULL;
}

static void block_put(struct vht *t, struct block *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&t->lock);
    b->next = *b->list;
    *b->list = b;
    pthread_mutex_unlock(&t->lock);
}

static void blocks_free(struct vht *t)
{
    for (unsigned q = 0; q <= t->o.queues; q++) {
        for (unsigned i = 0; i < SHIFTS; i++) {
            for (struct block *b = t->blocks[q][i], *next; b; b = next) {
                next = b->next;
                free(b);
            }
        }
    }
}

static void flight_free(struct vht *t, struct flight *f)
{
    for (unsigned i = 0; i < PARTS; i++)
        block_put(t, f->block[i]);
    free(f);
}

/* A part of a flight's memory. Return: false when there is none left. */
static bool part_new(struct vht *t, struct flight *f, enum part part, uint32_t len, void **p)
{
    if (len == 0)
        return true;
    f->block[part] = block_get(t, f->queue, len);
    if (f->block[part])
        *p = f->block[part]->p;
    return f->block[part];
}

static struct flight *flight_new(struct vht *t, const void *req, uint32_t len, struct cli_msg *m)
{
    struct flight *f = calloc(1, sizeof(*f));
    struct fe_req *r = f ? &f->req : NULL;
    void *table = NULL;

    if (!f)
        return NULL;
    f->queue = m ? FE_REQUESTS + atomic_fetch_add(&t->turn, 1) % t->o.queues : FE_HIPRIO;
    r->out_len = len;
    r->out_data_len = m ? m->data_len : 0;
    r->in_len = m ? sizeof(struct fuse_out_header) : 0;
    r->in_data_len = m ? m->reply_cap : 0;
    r->table_len = PARTS;
    if (!part_new(t, f, OUT, r->out_len, &r->out) ||
        !part_new(t, f, OUT_DATA, r->out_data_len, &r->out_data) ||
        !part_new(t, f, IN, r->in_len, &r->in) ||
        !part_new(t, f, IN_DATA, r->in_data_len, &r->in_data) ||
        !part_new(t, f, TABLE, PARTS * sizeof(struct ring_desc), &table)) {
        flight_free(t, f);
        return NULL;
    }
    r->table = table;
    memcpy(r->out, req, len);
    if (r->out_data)
        memcpy(r->out_data, m->data, m->data_len);
    f->unique = ((const struct fuse_in_header *)r->out)->unique;
    return f;
}

static void live_add(struct vht *t, struct flight *f)
{
    f->next_live = &t->live;
    f->prev_live = t->live.prev_live;
    f->prev_live->next_live = f;
    t->live.prev_live = f;
}

static void live_remove(struct flight *f)
{
    f->prev_live->next_live = f->next_live;
    f->next_live->prev_live = f->prev_live;
}

/* Under the lock. Part a flight from its message. Return: the message, now the caller's, or NULL. */
static struct cli_msg *take_msg(struct flight *f)
{
    struct cli_msg *m = f->msg;

    f->msg = NULL;
    if (m)
        m->transport[0] = 0;
    return m;
}

/* Under the lock. Return: 0, -ENOSPC: the ring is full, other -errno. */
static int launch(struct vht *t, struct flight *f)
{
    int err = fe_submit(t->fe, f->queue, &f->req, false);

    if (err == 0 && ++t->in_flight > t->max_in_flight)
        t->max_in_flight = t->in_flight;
    return err;
}

static void launch_waiting(struct vht *t)
{
    struct flight *f = t->waiting.head;

    while (f && launch(t, f) == 0) {
        f = f->next;
        t->waiting.head = f;
    }
    if (!f)
        list_init(&t->waiting);
}

/* Takes the flight over when all is well. Return: 0 or -LE_*. */
static int flight_start(struct vht *t, struct flight *f, struct cli_msg *m)
{
    int err;

    pthread_mutex_lock(&t->lock);
    while (t->paused)
        pthread_cond_wait(&t->resumed, &t->lock);
    if (!t->connected) {
        pthread_mutex_unlock(&t->lock);
        return -LE_ENOTCONN;
    }
    err = t->waiting.head ? -ENOSPC : launch(t, f);
    if (err == -ENOSPC) {
        list_put(&t->waiting, f);
        err = 0;
    }
    if (err == 0) {
        live_add(t, f);
        f->msg = m;
        if (m)
            m->transport[0] = (uintptr_t)f;
    }
    pthread_mutex_unlock(&t->lock);
    return err ? -LE_EIO : 0;
}

/* ---- answers ------------------------------------------------------------------------------- */

/* What viofs.sys checks before it says that a request has an answer. */
static int32_t check_answer(const struct flight *f)
{
    struct fuse_out_header h;

    if (f->req.used < sizeof(h))
        return -LE_EIO;
    memcpy(&h, f->req.in, sizeof(h));
    if (h.unique != f->unique || h.len < sizeof(h) || h.len > f->req.used || h.error > 0 ||
        h.error < -4095)
        return -LE_EIO;
    if (h.error)
        return h.len == sizeof(h) ? h.error : -LE_EIO;
    return (int32_t)(h.len - sizeof(h));
}

/*
 * Under the lock: move what the daemon has answered from the rings to @done.
 * Return: 0, or -EPROTO when the daemon broke the ring.
 */
static int reap(struct vht *t, struct list *done)
{
    int err = 0;

    for (unsigned q = 0; q <= t->o.queues && !t->held && err == 0; q++) {
        struct fe_req *r;

        do {
            while ((r = fe_reap(t->fe, q, false, &err))) {
                struct flight *f = (struct flight *)r; /* req is its first member */

                t->in_flight--;
                live_remove(f);
                f->result = f->req.in_len ? check_answer(f) : 0;
                list_put(done, f);
            }
        } while (err == 0 && ring_drv_want_interrupt(fe_ring(t->fe, q)));
    }
    if (done->head)
        launch_waiting(t);
    return err;
}

/* Under the lock: the daemon is gone; nothing that is live will ever be answered. */
static void abandon(struct vht *t, struct list *done)
{
    t->connected = false;
    fe_disconnect(t->fe);
    t->in_flight = 0;
    list_init(&t->waiting);
    for (struct flight *f = t->live.next_live; f != &t->live; f = t->live.next_live) {
        live_remove(f);
        f->result = t->paused ? -LE_EINTR : -LE_ENOTCONN;
        list_put(done, f);
    }
}

static void finish(struct vht *t, struct flight *f)
{
    struct waiter *w = f->waiter;
    struct cli_msg *m;

    pthread_mutex_lock(&t->lock);
    m = take_msg(f);
    if (m && f->result > 0)
        memcpy(m->reply, f->req.in_data, (size_t)f->result);
    if (m)
        m->result = f->result;
    if (m && w) {
        w->ended = true;
        pthread_cond_signal(&w->cond);
        m = NULL;
    }
    pthread_mutex_unlock(&t->lock);
    if (m)
        m->done(m);
    flight_free(t, f);
}

static void *completions(void *arg)
{
    struct pollfd p[FE_MAX_QUEUES + 2];
    struct vht *t = arg;
    uint64_t v[64];

    for (;;) {
        struct list done;
        bool stop;
        nfds_t n = 0;

        list_init(&done);
        pthread_mutex_lock(&t->lock);
        if (t->connected && (reap(t, &done) < 0 || fe_hung_up(t->fe) || t->stop))
            abandon(t, &done);
        p[n++] = (struct pollfd){.fd = t->wake, .events = POLLIN};
        for (unsigned q = 0; t->connected && q <= t->o.queues; q++)
            p[n++] = (struct pollfd){.fd = fe_call_fd(t->fe, q), .events = POLLIN};
        if (t->connected)
            p[n++] = (struct pollfd){.fd = fe_socket(t->fe), .events = POLLRDHUP};
        stop = t->stop;
        pthread_mutex_unlock(&t->lock);

        if (!done.head && stop)
            return NULL;
        if (done.head) {
            for (struct flight *f = done.head, *next; f; f = next) {
                next = f->next;
                finish(t, f);
            }
            continue;
        }
        if (poll(p, n, -1) < 0)
            assert(errno == EINTR);
        for (nfds_t i = 0; i + (n > 1) < n; i++)
            if (p[i].revents & POLLIN && read(p[i].fd, v, sizeof(v)) < 0)
                assert(errno == EAGAIN);
    }
}

/* ---- operations of a transport --------------------------------------------------------------- */

static int vht_limits(struct cli_transport *base, struct cli_limits *out)
{
    struct vht *t = of_transport(base);

    *out = (struct cli_limits){.max_in_flight = t->o.queues * t->o.queue_size,
                               .side_by_side = true,
                               .max_request = MAX_REQUEST,
                               .max_transfer = t->o.max_transfer,
                               .tag = TAG};
    int err = 0;

    pthread_mutex_lock(&t->lock);
    out->epoch = t->epoch;
    if (!t->connected && !t->paused)
        err = -LE_ENOTCONN;
    pthread_mutex_unlock(&t->lock);
    return err;
}

/* The rules of transport.h that a client could break. */
static void check_msg(const struct vht *t, const struct cli_msg *m)
{
    const struct fuse_in_header *h = m->req;

    assert(m->req_len >= sizeof(*h) && m->req_len <= MAX_REQUEST);
    assert(h->len == m->req_len + m->data_len);
    assert(m->data_len <= t->o.max_transfer && m->reply_cap <= t->o.max_transfer);
    assert(m->data || !m->data_len);
    assert(m->reply || !m->reply_cap);
}

static int start(struct vht *t, struct cli_msg *m, struct waiter *w)
{
    struct flight *f;
    int err;

    check_msg(t, m);
    f = flight_new(t, m->req, m->req_len, m);
    if (!f)
        return -LE_ENOMEM;
    f->waiter = w;
    err = flight_start(t, f, m);
    if (err)
        flight_free(t, f);
    return err;
}

static int32_t vht_call(struct cli_transport *base, struct cli_msg *m)
{
    struct vht *t = of_transport(base);
    struct waiter w = {.cond = PTHREAD_COND_INITIALIZER};

    int err = start(t, m, &w);

    if (err) {
        m->result = err;
    } else {
        pthread_mutex_lock(&t->lock);
        while (!w.ended)
            pthread_cond_wait(&w.cond, &t->lock);
        pthread_mutex_unlock(&t->lock);
    }
    pthread_cond_destroy(&w.cond);
    return m->result;
}

static int vht_submit(struct cli_transport *base, struct cli_msg *m)
{
    return start(of_transport(base), m, NULL);
}

static int vht_post(struct cli_transport *base, const void *req, uint32_t len)
{
    struct vht *t = of_transport(base);
    struct flight *f = flight_new(t, req, len, NULL);
    int err;

    if (!f)
        return -LE_ENOMEM;
    err = flight_start(t, f, NULL);
    if (err)
        flight_free(t, f);
    return err;
}

static void vht_cancel(struct cli_transport *base, struct cli_msg *m)
{
    struct vht *t = of_transport(base);
    struct flight *f;

    pthread_mutex_lock(&t->lock);
    f = (struct flight *)(uintptr_t)m->transport[0]; /* 0: it has ended */
    if (f)
        take_msg(f);
    pthread_mutex_unlock(&t->lock);
    if (f) {
        m->result = -LE_EINTR;
        m->done(m);
    }
}

static const struct cli_transport_ops vht_ops = {.limits = vht_limits,
                                                 .call = vht_call,
                                                 .submit = vht_submit,
                                                 .post = vht_post,
                                                 .cancel = vht_cancel};

/* ---- life ------------------------------------------------------------------------------------ */

static void apply_defaults(struct vht *t, const struct vht_options *o)
{
    t->o = o ? *o : (struct vht_options){0};
    t->o.queues = t->o.queues ? t->o.queues : 1;
    t->o.queue_size = t->o.queue_size ? t->o.queue_size : 256;
    t->o.max_transfer = t->o.max_transfer ? t->o.max_transfer : 1u << 20;
    t->o.memory = t->o.memory ? t->o.memory : (size_t)256 << 20;
}

int vht_open(struct vht **out, const char *socket_path, const struct vht_options *o)
{
    struct vht *t = calloc(1, sizeof(*t));
    struct fe_options fo = {0};
    int err;

    if (!t)
        return -ENOMEM;
    apply_defaults(t, o);
    t->base.ops = &vht_ops;
    t->live.next_live = t->live.prev_live = &t->live;
    list_init(&t->waiting);
    fo.queues = t->o.queues + 1;
    fo.queue_size = t->o.queue_size;
    fo.memory = t->o.memory;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->resumed, NULL);
    t->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = t->wake < 0 ? -errno : fe_open(&t->fe, &fo, socket_path);
    t->connected = err == 0;
    if (err == 0 && (err = -pthread_create(&t->thread, NULL, completions, t)) == 0) {
        *out = t;
        return 0;
    }
    fe_free(t->fe);
    if (t->wake >= 0)
        close(t->wake);
    free(t);
    return err;
}

/* Have the thread end what is in flight, and wait for it. */
static void end_thread(struct vht *t)
{
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    t->held = false;
    pthread_mutex_unlock(&t->lock);
    wake_thread(t);
    pthread_join(t->thread, NULL);
}

void vht_close(struct vht *t)
{
    if (!t)
        return;
    end_thread(t);
    blocks_free(t);
    fe_free(t->fe);
    close(t->wake);
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->resumed);
    free(t);
}

int vht_reconnect(struct vht *t, const char *socket_path)
{
    int err;

    end_thread(t);
    err = fe_start(t->fe, socket_path);
    pthread_mutex_lock(&t->lock);
    t->connected = err == 0;
    t->epoch += t->connected;
    t->stop = false;
    pthread_mutex_unlock(&t->lock);
    if (pthread_create(&t->thread, NULL, completions, t) != 0)
        abort();
    return err;
}

void vht_pause(struct vht *t, uint32_t resting)
{
    pthread_mutex_lock(&t->lock);
    t->paused = true;
    pthread_mutex_unlock(&t->lock);
    while (vht_in_flight(t) > resting)
        poll(NULL, 0, 1);
    end_thread(t);
}

int vht_resume(struct vht *t, const char *socket_path)
{
    int err = fe_start(t->fe, socket_path);

    pthread_mutex_lock(&t->lock);
    t->connected = err == 0;
    t->stop = t->paused = false;
    pthread_cond_broadcast(&t->resumed);
    pthread_mutex_unlock(&t->lock);
    if (pthread_create(&t->thread, NULL, completions, t) != 0)
        abort();
    return err;
}

struct cli_transport *vht_transport(struct vht *t)
{
    return &t->base;
}

void vht_hold(struct vht *t, bool hold)
{
    pthread_mutex_lock(&t->lock);
    t->held = hold;
    pthread_mutex_unlock(&t->lock);
    wake_thread(t);
}

uint32_t vht_in_flight(struct vht *t)
{
    uint32_t n;

    pthread_mutex_lock(&t->lock);
    n = t->in_flight;
    pthread_mutex_unlock(&t->lock);
    return n;
}

uint32_t vht_max_in_flight(struct vht *t)
{
    uint32_t n;

    pthread_mutex_lock(&t->lock);
    n = t->max_in_flight;
    t->max_in_flight = t->in_flight;
    pthread_mutex_unlock(&t->lock);
    return n;
}
