// SPDX-License-Identifier: BSD-3-Clause
/*
 * transfer.c - the device's state on its way to or from another back end (see transfer.h)
 *
 * Theory of operation
 *
 *   A migration hands the state out here (or takes it in) through a pipe, while all queues are stopped and so no
 *   request runs. A thread of its own does it, so that the control thread keeps answering; the front end asks
 *   with CHECK_DEVICE_STATE how it went, which waits for the thread.
 *
 *   The stream begins with the queues: where each stopped, which the front end knows too and which tells a ring
 *   that goes on from one that was reset, and the chains that were taken and put off (vq_defer()). The
 *   rest is the server's.
 *
 *   When a migration fails the front end starts the queues again here. What the server gave away with its state,
 *   locks above all, it then takes back (vu_ops.resumed()).
 *
 * Source: vhost-user specification, "Migrating back-end state", SET_DEVICE_STATE_FD, CHECK_DEVICE_STATE.
 * Ownership: a transfer owns its descriptors and its thread. Locks: none; the thread has the queues to itself for
 * reading, since none may be set up or started while it runs, and what it reads of queues is put in place by the
 * control thread.
 *
 * syscalls: poll ppoll eventfd2 write close
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/log.h"
#include "host/thread.h"
#include "state/stream.h"
#include "vhost/device.h"

#define HEADS_A_RECORD 16384u

/* Of one queue, as it arrived. */
struct arrived {
    uint16_t base, *head;
    uint32_t n;
};

struct transfer {
    struct vu *vu;
    bool save;
    int fd;
    int stop_fd; /* eventfd: the thread is to give up */
    int done_fd; /* eventfd: it has ended */
    int err;     /* how; the thread's until then */
    pthread_t thread;
    struct arrived queue[VU_MAX_QUEUES];
    union {
        struct stream_out out;
        struct stream_in in;
    };
};

/* ---- queues ---------------------------------------------------------------------------------- */

static void save_queue(struct stream_out *o, const struct vq *q)
{
    uint32_t done = 0;

    do {
        uint32_t left = q->deferred.n - done, n = left < HEADS_A_RECORD ? left : HEADS_A_RECORD;
        stream_record(o, STREAM_QUEUE);
        stream_put_u16(o, (uint16_t)q->index);
        stream_put_u16(o, q->deferred.base);
        stream_put_u32(o, n);
        for (uint32_t i = 0; i < n; i++)
            stream_put_u16(o, q->deferred.head[done + i]);
        stream_record_end(o);
        done += n;
    } while (done < q->deferred.n);
}

/* One record: a queue may have several. */
static int load_queue(struct transfer *t)
{
    struct stream_in *in = &t->in;
    uint16_t index = stream_get_u16(in), base = stream_get_u16(in);
    uint32_t n = stream_get_u32(in);

    if (in->err || index >= VU_MAX_QUEUES || n > HEADS_A_RECORD)
        return -EPROTO;
    struct arrived *a = &t->queue[index];
    if (a->n + n > RING_MAX_SIZE)
        return -EPROTO;
    a->base = base;
    uint16_t *head = n ? realloc(a->head, (a->n + n) * sizeof(*head)) : NULL;
    if (n && !head)
        return -ENOMEM;
    if (head)
        a->head = head;
    for (uint32_t i = 0; i < n; i++) {
        a->head[a->n] = stream_get_u16(in);
        if (a->head[a->n++] >= RING_MAX_SIZE)
            return -EPROTO; /* it would have no record; the ring's own size may come later */
    }
    return stream_record_done(in);
}

/* ---- the thread ------------------------------------------------------------------------------ */

static int save(struct transfer *t, void *thread)
{
    struct vu *vu = t->vu;
    struct stream_out *o = &t->out;

    stream_out_begin(o, t->fd, t->stop_fd);
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++) {
        if (vu->queue[i].size > 0)
            save_queue(o, &vu->queue[i]);
    }
    int err = vu->ops->save(vu->ctx, thread, o);
    return err ? err : stream_out_end(o);
}

static int load(struct transfer *t, void *thread)
{
    struct vu *vu = t->vu;
    struct stream_in *in = &t->in;
    int err = stream_in_begin(in, t->fd, t->stop_fd);
    int kind = STREAM_END;

    while (!err && (kind = stream_next(in)) == STREAM_QUEUE)
        err = load_queue(t);
    if (!err && kind < 0)
        err = kind;
    return err ? err : vu->ops->load(vu->ctx, thread, in, kind);
}

static void *transfer_main(void *arg)
{
    struct transfer *t = arg;
    const struct vu_ops *ops = t->vu->ops;

    thread_name(t->save ? "save" : "load");
    void *thread = ops->thread_begin(t->vu->ctx);
    t->err = !thread ? -ENOMEM : t->save ? save(t, thread) : load(t, thread);
    if (thread)
        ops->thread_end(t->vu->ctx, thread);
    close(t->fd); /* the front end reads up to here */
    t->fd = -1;
    eventfd_write(t->done_fd, 1);
    return NULL;
}

/* ---- control thread -------------------------------------------------------------------------- */

static void transfer_free(struct transfer *t)
{
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++)
        free(t->queue[i].head);
    if (t->fd >= 0)
        close(t->fd);
    if (t->stop_fd >= 0)
        close(t->stop_fd);
    if (t->done_fd >= 0)
        close(t->done_fd);
    free(t);
}

static bool queues_stopped(const struct vu *vu)
{
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++) {
        if (vu->queue[i].started)
            return false;
    }
    return true;
}

/* Return: 0 or why it cannot begin (logged). */
static int may_begin(const struct vu *vu, uint32_t direction, uint32_t phase)
{
    if (!vu_has_proto(vu, VU_PROTO_DEVICE_STATE)) {
        log_error("vhost-user: SET_DEVICE_STATE_FD without DEVICE_STATE");
        return -EPROTO;
    }
    if (direction > VU_STATE_LOAD || phase != VU_STATE_STOPPED) {
        log_error("vhost-user: there is no transfer of state in direction %u, phase %u", direction,
                  phase);
        return -EINVAL;
    }
    if (!queues_stopped(vu)) {
        log_error("vhost-user: a transfer of state while queues run");
        return -EBUSY;
    }
    return 0;
}

/** transfer_begin() - see transfer.h */
int transfer_begin(struct vu *vu, uint32_t direction, uint32_t phase, int fd)
{
    int err = may_begin(vu, direction, phase);
    struct transfer *t = err ? NULL : calloc(1, sizeof(*t));

    if (!t) {
        close(fd);
        return err ? err : -ENOMEM;
    }
    transfer_end(vu);
    t->vu = vu;
    t->save = direction == VU_STATE_SAVE;
    t->fd = fd;
    t->stop_fd = eventfd(0, EFD_CLOEXEC);
    t->done_fd = t->stop_fd < 0 ? -1 : eventfd(0, EFD_CLOEXEC);
    err = t->done_fd < 0 ? -errno : thread_start(&t->thread, transfer_main, t);
    if (err < 0) {
        log_error("migration: cannot start a thread: %s", strerror(-err));
        transfer_free(t);
        return err;
    }
    vu->transfers.now = t;
    if (t->save)
        vu->transfers.saved =
            true; /* what follows may have given something away, also if it fails */
    return 0;
}

/* Join the thread and give the queues what arrived. */
static int finish(struct vu *vu)
{
    struct transfer *t = vu->transfers.now;

    pthread_join(t->thread, NULL);
    vu->transfers.now = NULL;
    int err = t->err;
    for (unsigned i = 0; i < VU_MAX_QUEUES && !t->save && err == 0; i++) {
        if (t->queue[i].n > 0)
            err = queue_set_deferred(&vu->queue[i], t->queue[i].base, t->queue[i].head,
                                     t->queue[i].n);
    }
    bool save = t->save;
    transfer_free(t);
    if (err < 0)
        log_error("migration: the state could not be %s: %s", save ? "saved" : "loaded",
                  strerror(-err));
    else
        log_info("migration: the state has been %s", save ? "saved" : "loaded");
    return err;
}

/** transfer_check() - see transfer.h. A front end that leaves meanwhile is not waited for. */
int transfer_check(struct vu *vu)
{
    struct transfer *t = vu->transfers.now;

    if (!t) {
        log_error("vhost-user: CHECK_DEVICE_STATE without a transfer");
        return -EINVAL;
    }
    struct pollfd p[3] = {{.fd = t->done_fd, .events = POLLIN},
                          {.fd = vu->stop_fd, .events = POLLIN},
                          {.fd = vu->conn_fd, .events = POLLRDHUP}};
    while (poll(p, 3, -1) < 0 && errno == EINTR)
        ;
    if (p[0].revents)
        return finish(vu);
    transfer_end(vu);
    return -ECANCELED;
}

/** transfer_end() - see transfer.h */
void transfer_end(struct vu *vu)
{
    if (!vu->transfers.now)
        return;
    eventfd_write(vu->transfers.now->stop_fd, 1);
    finish(vu);
}

/** transfer_settle() - see transfer.h */
void transfer_settle(struct vu *vu)
{
    transfer_end(vu);
    if (vu->transfers.saved)
        vu->ops->resumed(vu->ctx);
    vu->transfers.saved = false;
}
