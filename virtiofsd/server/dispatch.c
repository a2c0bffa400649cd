// SPDX-License-Identifier: BSD-3-Clause
/*
 * dispatch.c - from a chain to a handler and back
 *
 * Theory of operation
 *
 *   serve() copies the request's prefix into the thread's scratch (80 bytes do for nearly every request,
 *   one copy), decodes it, applies what holds for every opcode (a session must live, a read-only
 *   share refuses changes, the node id must be alive) and calls the handler.
 *
 *   run_handler() is shared by the worker and the pool: it takes the reference on the inode, measures
 *   and counts when statistics are kept, and puts the reference.
 *
 * syscalls: clock_gettime
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/clock.h"
#include "host/log.h"
#include "server/dispatch.h"
#include "server/feed.h"
#include "tree/move.h"

#define TRIES_MAX  (3 * VU_AT_ONCE) /* what vu_record.again may be: three workers that end at once */
#define FIRST_COPY 80u /* fuse_in_header and fuse_write_in: a WRITE is never copied further */

enum row_flags {
    NEEDS_INODE = 1, /* the node id is looked at */
    ANY_TIME = 2,    /* legal without a session */
};

static const struct row {
    uint32_t opcode;
    srv_handler *handler;
    unsigned flags;
} rows[] = {
    {FUSE_INIT, op_init, ANY_TIME},
    {FUSE_DESTROY, op_destroy, ANY_TIME},
    {FUSE_FORGET, op_forget, ANY_TIME},
    {FUSE_BATCH_FORGET, op_batch_forget, ANY_TIME},
    {FUSE_INTERRUPT, op_interrupt, ANY_TIME},
    {VIOFS_PROBE, op_probe, 0},
    {FUSE_LOOKUP, op_lookup, NEEDS_INODE},
    {VIOFS_LOOKUP, op_lookup, NEEDS_INODE},
    {FUSE_GETATTR, op_getattr, NEEDS_INODE},
    {VIOFS_GETATTR, op_getattr, NEEDS_INODE},
    {FUSE_SETATTR, op_setattr, NEEDS_INODE},
    {VIOFS_FUSE_STATX, op_statx, NEEDS_INODE},
    {FUSE_ACCESS, op_access, NEEDS_INODE},
    {FUSE_STATFS, op_statfs, NEEDS_INODE},
    {FUSE_READLINK, op_readlink, NEEDS_INODE},
    {FUSE_SYMLINK, op_symlink, NEEDS_INODE},
    {FUSE_MKNOD, op_mknod, NEEDS_INODE},
    {FUSE_MKDIR, op_mkdir, NEEDS_INODE},
    {FUSE_UNLINK, op_unlink, NEEDS_INODE},
    {FUSE_RMDIR, op_rmdir, NEEDS_INODE},
    {FUSE_RENAME, op_rename, NEEDS_INODE},
    {FUSE_RENAME2, op_rename2, NEEDS_INODE},
    {FUSE_LINK, op_link, NEEDS_INODE},
    {FUSE_CREATE, op_create, NEEDS_INODE},
    {VIOFS_CREATE, op_create, NEEDS_INODE},
    {FUSE_TMPFILE, op_tmpfile, NEEDS_INODE},
    {FUSE_OPEN, op_open, NEEDS_INODE},
    {VIOFS_OPEN, op_open, NEEDS_INODE},
    {FUSE_RELEASE, op_release, NEEDS_INODE},
    {FUSE_FLUSH, op_flush, NEEDS_INODE},
    {FUSE_FSYNC, op_fsync, NEEDS_INODE},
    {FUSE_READ, op_read, NEEDS_INODE},
    {FUSE_WRITE, op_write, NEEDS_INODE},
    {FUSE_FALLOCATE, op_fallocate, NEEDS_INODE},
    {FUSE_LSEEK, op_lseek, NEEDS_INODE},
    {FUSE_COPY_FILE_RANGE, op_copy_file_range, NEEDS_INODE},
    {FUSE_OPENDIR, op_opendir, NEEDS_INODE},
    {FUSE_READDIR, op_readdir, NEEDS_INODE},
    {FUSE_READDIRPLUS, op_readdirplus, NEEDS_INODE},
    {VIOFS_READDIRPLUS, op_readdirplus, NEEDS_INODE},
    {FUSE_RELEASEDIR, op_releasedir, NEEDS_INODE},
    {FUSE_FSYNCDIR, op_fsyncdir, NEEDS_INODE},
    {FUSE_SYNCFS, op_syncfs, NEEDS_INODE},
    {FUSE_GETXATTR, op_getxattr, NEEDS_INODE},
    {FUSE_SETXATTR, op_setxattr, NEEDS_INODE},
    {FUSE_LISTXATTR, op_listxattr, NEEDS_INODE},
    {FUSE_REMOVEXATTR, op_removexattr, NEEDS_INODE},
    {FUSE_GETLK, op_getlk, NEEDS_INODE},
    {FUSE_SETLK, op_setlk, NEEDS_INODE},
    {FUSE_SETLKW, op_setlkw, NEEDS_INODE},
    {FUSE_IOCTL, op_ioctl, NEEDS_INODE},
    {VIOFS_WATCH, op_watch, NEEDS_INODE},
    {VIOFS_UNWATCH, op_unwatch, 0},
    {VIOFS_EVENTS, op_events, NEEDS_INODE},
};

void dispatch_init(struct server *srv)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct fuse_op *op = fuse_op_find(rows[i].opcode);
        if (op) {
            srv->handler[op->index] = rows[i].handler;
            srv->needs_inode[op->index] = rows[i].flags & NEEDS_INODE;
            srv->any_time[op->index] = rows[i].flags & ANY_TIME;
        }
    }
}

int64_t rq_error(struct srv_req *rq, int err)
{
    rq->err = err;
    if (rq->c->op && (rq->c->op->flags & OP_NO_REPLY))
        return 0;
    return fuse_reply_error(&rq->out, rq->c->in.unique, err);
}

int64_t rq_reply(struct srv_req *rq, const void *payload, size_t len)
{
    return fuse_reply_buf(&rq->out, rq->c->in.unique, payload, len);
}

int64_t rq_replied(struct srv_req *rq, uint64_t payload)
{
    return fuse_reply_header(&rq->out, rq->c->in.unique, payload);
}

uint8_t *thread_out(struct srv_thread *t, size_t size)
{
    if (size > t->out_size) {
        free(t->out);
        t->out = malloc(size);
        t->out_size = t->out ? size : 0;
    }
    return t->out;
}

/* A migration could not bring the file along: it is stale by its name, and an error for who had it open. */
static int64_t of_lost(struct srv_req *rq)
{
    switch (rq->c->in.opcode) {
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FLUSH:
        return rq_error(rq, 0);
    case FUSE_READ:
    case FUSE_WRITE:
    case FUSE_FSYNC:
    case FUSE_FALLOCATE:
    case FUSE_LSEEK:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
    case FUSE_FSYNCDIR:
        return rq_error(rq, -EIO);
    default:
        return rq_error(rq, -ESTALE);
    }
}

/* What holds for every opcode, then the handler. */
static int64_t guarded(struct srv_req *rq)
{
    struct server *srv = rq->srv;
    const struct fuse_op *op = rq->c->op;

    if (!srv->session.live && !srv->any_time[op->index])
        return rq_error(rq, -EIO);
    if (srv->conf->readonly && (op->flags & OP_WRITES))
        return rq_error(rq, -EROFS);
    srv_handler *handler = srv->handler[op->index];
    if (!handler)
        return rq_error(rq, -ENOSYS);
    if (!srv->needs_inode[op->index])
        return handler(rq);
    rq->inode = inode_get(srv->tree, rq->c->in.nodeid);
    if (!rq->inode)
        return rq_error(rq, -ESTALE);
    int64_t used;
    if (__builtin_expect(inode_lost(rq->inode), 0))
        used = of_lost(rq);
    else if ((op->flags & OP_WRITES) && inode_on_controls(srv->tree, rq->inode))
        used = rq_error(rq, -EROFS);
    else
        used = feed_on(srv) ? feed_serve(rq, handler) : handler(rq);
    inode_put(srv->tree, rq->inode);
    return used;
}

int64_t run_handler(struct srv_req *rq)
{
    struct stats_block *stats = rq->t->stats;

    if (!stats)
        return guarded(rq);
    unsigned index = rq->c->op->index;
    uint64_t start = clock_ns();
    int64_t used = guarded(rq);
    if (used != VU_LATER)
        stats_count(stats, index, rq->err, clock_ns() - start);
    return used;
}

/* Copy what decoding needs; each byte of the guest's request is read once. */
static int64_t copy_request(struct srv_thread *t, const struct ring_chain *chain)
{
    size_t first = chain->out_len < FIRST_COPY ? (size_t)chain->out_len : FIRST_COPY;

    if (seg_copy_out(t->in, first, chain->seg, chain->n_out, 0) != first)
        return -EPROTO;
    int64_t want =
        fuse_copy_len((const struct fuse_in_header *)(const void *)t->in, chain->out_len);
    if (want <= (int64_t)first)
        return want;
    size_t rest = (size_t)want - first;
    if (seg_copy_out(t->in + first, rest, chain->seg, chain->n_out, first) != rest)
        return -EPROTO;
    return want;
}

/* Decode @chain into @rq, and serve it. */
static int64_t serve_chain(struct srv_req *rq, const struct ring_chain *chain)
{
    struct server *srv = rq->srv;
    struct srv_thread *t = rq->t;
    int64_t len = copy_request(t, chain);
    int r = len < 0 ? (int)len
                    : fuse_decode(&t->call, &srv->session.dialect, t->in, (size_t)len,
                                  chain->out_len, chain->in_len);

    if (r == -EPROTO) {
        log_warn_limited("queue %u: a request without a FUSE header or room for a reply",
                         vq_index(rq->vq));
        return 0;
    }
    if (r < 0) {
        log_debug("opcode %u refused: %s", t->call.in.opcode, strerror(-r));
        /* Lengths depend on what INIT agreed on; a client has to see that there was none. */
        if (t->call.op && !rq->srv->session.live && !rq->srv->any_time[t->call.op->index])
            r = -EIO;
        return t->call.op && (t->call.op->flags & OP_NO_REPLY)
                   ? 0
                   : fuse_reply_error(&rq->out, t->call.in.unique, r);
    }
    if (__builtin_expect(rq->record->again > TRIES_MAX, 0)) {
        log_error("opcode %u: too many workers ended while they served it: the guest gets EIO",
                  t->call.in.opcode);
        return rq_error(rq, -EIO);
    }
    return run_handler(rq);
}

/* The same for a share that has limits. A request that went to the pool has taken its slot along. */
static int64_t serve_paced(struct srv_req *rq, const struct ring_chain *chain)
{
    struct pace *pace = &rq->srv->pace;

    if (vq_index(rq->vq) != 0)
        rq->slot = pace_begin(pace, vq_index(rq->vq), clock_ns());
    int64_t used = serve_chain(rq, chain);
    if (rq->slot)
        pace_release(pace);
    return used;
}

int64_t dispatch_serve(void *ctx, void *thread, struct vq *vq, struct ring_chain *chain,
                       struct vu_record *record)
{
    struct server *srv = ctx;
    struct srv_thread *t = thread;
    struct srv_req rq = {
        .srv = srv,
        .t = t,
        .vq = vq,
        .head = chain->head,
        .record = record,
        .c = &t->call,
        .out = {chain->seg + chain->n_out, chain->n_in, chain->in_len},
        .data_seg = chain->seg,
        .n_data_seg = chain->n_out,
        .data_skip = FIRST_COPY,
        .epoch = srv->session.epoch,
    };

    if (__builtin_expect(srv->pace.on, 0))
        return serve_paced(&rq, chain);
    return serve_chain(&rq, chain);
}
