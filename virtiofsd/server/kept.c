// SPDX-License-Identifier: BSD-3-Clause
/*
 * kept.c - requests that outlive their handler's call
 *
 * Theory of operation
 *
 *   A request that would block is copied to the heap with everything it needs: the decoded call, its
 *   bytes and its segment list. It is on the server's list from rq_keep() to rq_done(), which is where
 *   INTERRUPT, a stopping queue and a reset find it. Whoever removes it from waiting (the pool that starts
 *   it, or cancel()) is the one who completes it; kept_lock decides.
 *
 *   A job that is running when an INTERRUPT comes is sent SIGUSR1, whose handler does nothing: a
 *   blocking system call then returns EINTR.
 *
 *   Kept requests are bounded in number and bytes: a ring's size bounds honest guests, KEPT_MAX and
 *   KEPT_BYTES_MAX the others, who offer one head again and again or add 130 KiB of nothing to an FSYNC.
 *
 * Locks: kept_lock guards the list and each entry's running state. Order: kept_lock, then the pool's.
 * syscalls: tgkill
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "server/dispatch.h"

#define KEPT_MAX       65536u
#define KEPT_BYTES_MAX (256u << 20) /* 1024 writes of 1 MiB in pages on each of 60 queues */

/* Point a copied field into the copied bytes. */
static const void *moved(const struct srv_kept *k, const struct srv_req *rq, const void *p)
{
    const uint8_t *from = rq->t->in;
    uintptr_t off = (uintptr_t)p - (uintptr_t)from;

    return off < sizeof(rq->t->in) ? k->bytes + off : p;
}

static void copy_call(struct srv_kept *k, const struct srv_req *rq)
{
    const struct fuse_call *c = rq->c;

    k->call = *c;
    if ((const uint64_t *)c->arg == c->arg_space)
        k->call.arg = k->call.arg_space;
    else
        k->call.arg = moved(k, rq, c->arg);
    for (int i = 0; i < 2; i++)
        k->call.name[i].s = moved(k, rq, c->name[i].s);
    k->call.value = moved(k, rq, c->value);
    k->call.secctx_name.s = moved(k, rq, c->secctx_name.s);
    k->call.secctx = moved(k, rq, c->secctx);
}

/* Has an INTERRUPT overtaken this request? kept_lock held. */
static bool was_interrupted(struct server *srv, uint64_t unique)
{
    for (unsigned i = 0; i < INTERRUPTS_EARLY; i++) {
        if (srv->early[i] == unique) {
            srv->early[i] = 0;
            return true;
        }
    }
    return false;
}

struct srv_kept *rq_keep(struct srv_req *rq)
{
    struct server *srv = rq->srv;
    size_t bytes = rq->c->op->flags & OP_DATA ? (size_t)rq->data_skip : rq->c->in.len;
    size_t n_seg = (size_t)rq->n_data_seg + rq->out.n_seg;

    if (bytes > sizeof(rq->t->in))
        bytes = sizeof(rq->t->in);
    size_t seg_bytes = n_seg * sizeof(struct ring_seg);
    size_t size = sizeof(struct srv_kept) + seg_bytes + bytes;
    struct srv_kept *k = malloc(size);
    if (!k)
        return NULL;
    memset(k, 0, sizeof(*k));
    k->size = size;
    k->bytes = (uint8_t *)k + sizeof(*k) + seg_bytes;
    memcpy(k->bytes, rq->t->in, bytes);
    memcpy(k->seg, rq->data_seg, rq->n_data_seg * sizeof(struct ring_seg));
    memcpy(k->seg + rq->n_data_seg, rq->out.seg, rq->out.n_seg * sizeof(struct ring_seg));
    copy_call(k, rq);
    k->rq = *rq;
    k->rq.t = NULL;
    k->rq.slot = false;
    k->rq.c = &k->call;
    k->rq.data_seg = k->seg;
    k->rq.out.seg = k->seg + rq->n_data_seg;
    k->rq.inode = rq->inode ? inode_ref(rq->inode) : NULL;

    pthread_mutex_lock(&srv->kept_lock);
    bool full = srv->n_kept >= KEPT_MAX || size > KEPT_BYTES_MAX - srv->kept_bytes;
    if (!full) {
        k->hurry = was_interrupted(srv, k->call.in.unique);
        srv->n_kept++;
        srv->kept_bytes += size;
        k->next = srv->kept;
        if (k->next)
            k->next->prev = k;
        srv->kept = k;
    }
    pthread_mutex_unlock(&srv->kept_lock);
    if (full) {
        if (k->rq.inode)
            inode_put(srv->tree, k->rq.inode);
        free(k);
        return NULL;
    }
    return k;
}

/* The server forgets it; its chain is still out. */
static void leave_list(struct srv_kept *k)
{
    struct server *srv = k->rq.srv;

    pthread_mutex_lock(&srv->kept_lock);
    srv->n_kept--;
    srv->kept_bytes -= k->size;
    if (k->prev)
        k->prev->next = k->next;
    else
        srv->kept = k->next;
    if (k->next)
        k->next->prev = k->prev;
    pthread_mutex_unlock(&srv->kept_lock);
    if (k->rq.inode)
        inode_put(srv->tree, k->rq.inode);
    if (k->rq.slot)
        pace_release(&srv->pace); /* before the queue can be reset, and slots with it */
}

void rq_done(struct srv_kept *k, int64_t used)
{
    leave_list(k);
    vq_complete(k->rq.vq, k->rq.head, used > 0 ? (uint32_t)used : 0, k->rq.out.seg,
                k->rq.out.n_seg);
    free(k);
}

/* Leave it to the time when its queue goes on. */
static void done_deferred(struct srv_kept *k)
{
    leave_list(k);
    if (!vq_defer(k->rq.vq, k->rq.head))
        vq_complete(k->rq.vq, k->rq.head, (uint32_t)rq_error(&k->rq, -EINTR), k->rq.out.seg,
                    k->rq.out.n_seg);
    free(k);
}

void rq_done_error(struct srv_kept *k, int err)
{
    if (err == -EINTR && k->defer && !k->hurry)
        done_deferred(k);
    else
        rq_done(k, rq_error(&k->rq, err));
}

/* ---- the pool ----------------------------------------------------------------------------- */

static void pool_run(struct pool_job *job, void *thread)
{
    struct srv_kept *k = (struct srv_kept *)((char *)job - offsetof(struct srv_kept, job));
    struct server *srv = k->rq.srv;
    int64_t used;

    thread_for(thread, srv);
    pthread_mutex_lock(&srv->kept_lock);
    k->running = true;
    k->runner = pthread_self();
    pthread_mutex_unlock(&srv->kept_lock);

    struct inode *inode = k->rq.inode;
    k->rq.t = thread;
    k->rq.in_pool = true;
    pthread_rwlock_rdlock(&srv->gate);
    if (k->rq.epoch == srv->session.epoch)
        used = run_handler(&k->rq);
    else
        used = rq_error(&k->rq, -EIO); /* its session is gone */
    pthread_rwlock_unlock(&srv->gate);
    k->rq.inode = inode;

    pthread_mutex_lock(&srv->kept_lock);
    k->running = false;
    pthread_mutex_unlock(&srv->kept_lock);
    rq_done(k, used);
}

static bool pool_cancel(struct srv_kept *k)
{
    if (k->running) {
        pthread_kill(k->runner, SIGUSR1);
        return false;
    }
    return pool_withdraw(k->rq.srv->pool, &k->job);
}

bool rq_slow(const struct srv_req *rq)
{
    return rq->srv->pool && !rq->in_pool;
}

bool rq_crowded(const struct srv_req *rq)
{
    /* Measured by others and here: below this the hand-over costs more than it saves. */
    return rq_slow(rq) && vq_waiting(rq->vq) > 3;
}

int64_t rq_pool(struct srv_req *rq)
{
    struct srv_kept *k = rq_keep(rq);

    if (!k)
        return rq_error(rq, -ENOMEM);
    k->rq.slot = rq->slot;
    rq->slot = false;
    pthread_mutex_lock(&rq->srv->kept_lock);
    bool hurry = k->hurry;
    if (!hurry) {
        k->cancel = pool_cancel;
        k->job.run = pool_run;
        k->job.lane = &rq->srv->lane;
        pool_submit(rq->srv->pool, &k->job);
    }
    pthread_mutex_unlock(&rq->srv->kept_lock);
    if (hurry)
        rq_done_error(k, -EINTR);
    return VU_LATER;
}

/* ---- hurrying up -------------------------------------------------------------------------- */

/* Ask one to end; kept_lock held. Return: true if it was withdrawn and the caller completes it. */
static bool ask(struct srv_kept *k)
{
    k->hurry = true;
    return k->cancel && k->cancel(k);
}

/* Put it off. Others that have begun, or that answer anyway, are let be. kept_lock held; returns as ask(). */
static bool put_off(struct srv_kept *k)
{
    k->defer = true;
    return !k->running && !k->hurry && k->cancel && k->cancel(k);
}

/* What is withdrawn belongs to us: it stays on the list, and nobody else touches it. */
static void end_each(struct server *srv, const struct vq *vq, bool (*how)(struct srv_kept *))
{
    struct srv_kept *withdrawn = NULL;

    pthread_mutex_lock(&srv->kept_lock);
    for (struct srv_kept *k = srv->kept; k; k = k->next) {
        if ((!vq || k->rq.vq == vq) && how(k)) {
            k->next_withdrawn = withdrawn;
            withdrawn = k;
        }
    }
    pthread_mutex_unlock(&srv->kept_lock);
    while (withdrawn) {
        struct srv_kept *k = withdrawn;
        withdrawn = k->next_withdrawn;
        rq_done_error(k, -EINTR);
    }
}

void kept_cancel(struct server *srv, const struct vq *vq)
{
    end_each(srv, vq, ask);
}

void kept_defer(struct server *srv, struct vq *vq)
{
    end_each(srv, vq, put_off);
}

bool kept_interrupt(struct server *srv, uint64_t unique)
{
    struct srv_kept *k;
    bool withdrawn = false;

    pthread_mutex_lock(&srv->kept_lock);
    for (k = srv->kept; k; k = k->next)
        if (k->call.in.unique == unique)
            break;
    bool found = k != NULL;
    if (k)
        withdrawn = ask(k);
    else
        srv->early[srv->next_early++ % INTERRUPTS_EARLY] = unique;
    pthread_mutex_unlock(&srv->kept_lock);
    if (withdrawn)
        rq_done_error(k, -EINTR);
    return found;
}
