// SPDX-License-Identifier: BSD-3-Clause
/*
 * data.c - file contents
 *
 * Theory of operation
 *
 *   READ and WRITE go straight between the file and guest memory: the segments of the chain are the
 *   vector of preadv and pwritev. There is no buffer in between, and no copy but the kernel's.
 *
 *   When more than a few requests wait behind a READ, it is tried without blocking first (RWF_NOWAIT); if
 *   the pages are not in the host's cache, the pool takes it. Writes block only where the file was opened
 *   for that (O_DIRECT, O_SYNC, O_DSYNC).
 *
 * syscalls: preadv2 pwritev2 pread64 pwrite64 preadv pwritev fallocate lseek copy_file_range
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include "server/replay.h"
#include "server/request.h"

_Static_assert(sizeof(struct iovec) == sizeof(struct ring_seg), "one is used as the other");
_Static_assert(offsetof(struct iovec, iov_len) == offsetof(struct ring_seg, len),
               "and member by member");
_Static_assert(RING_MAX_SEGS <= IOV_MAX, "a chain is one vector");

static struct handle *file_handle(struct srv_req *rq, uint64_t fh)
{
    return handle_get(rq->srv, fh, HANDLE_FILE, rq->inode);
}

static ssize_t read_segs(int fd, const struct ring_seg *seg, uint32_t n, uint64_t off, int rwf)
{
    ssize_t got;

    if (rwf)
        got = preadv2(fd, (const struct iovec *)(const void *)seg, (int)n, (off_t)off, rwf);
    else if (n == 1)
        got = pread(fd, seg->base, seg->len, (off_t)off);
    else
        got = preadv(fd, (const struct iovec *)(const void *)seg, (int)n, (off_t)off);
    return got < 0 ? -errno : got;
}

static ssize_t write_segs(int fd, const struct ring_seg *seg, uint32_t n, uint64_t off, int rwf)
{
    ssize_t put;

    if (rwf)
        put = pwritev2(fd, (const struct iovec *)(const void *)seg, (int)n, (off_t)off, rwf);
    else if (n == 1)
        put = pwrite(fd, seg->base, seg->len, (off_t)off);
    else
        put = pwritev(fd, (const struct iovec *)(const void *)seg, (int)n, (off_t)off);
    return put < 0 ? -errno : put;
}

int64_t op_read(struct srv_req *rq)
{
    const struct fuse_read_in *in = rq->c->arg;
    struct ring_seg *seg = rq->t->iov;
    struct handle *h = file_handle(rq, in->fh);
    uint64_t want = 0;

    if (!h)
        return rq_error(rq, -EBADF);
    uint32_t n = seg_slice(rq->out.seg, rq->out.n_seg, sizeof(struct fuse_out_header), in->size,
                           seg, RING_MAX_SEGS, &want);
    if (!rq->in_pool) /* else it was paid for when it went there */
        pace_bytes(&rq->srv->pace, rq->vq, want);
    ssize_t got = -EOPNOTSUPP;
    if (rq_crowded(rq)) {
        if (!atomic_load_explicit(&h->no_nowait, memory_order_relaxed))
            got = read_segs(h->fd, seg, n, in->offset, RWF_NOWAIT);
        /* A short answer may be the end of the file or the end of what is cached: the pool finds out. */
        if (got == -EAGAIN || (got >= 0 && (uint64_t)got < want)) {
            handle_put(rq->srv, h);
            return rq_pool(rq);
        }
        if (got == -EOPNOTSUPP) {
            atomic_store_explicit(&h->no_nowait, true, memory_order_relaxed);
            /* tmpfs never blocks; a file system across a network may, and cannot say so. */
            if (!inode_mount_local(rq->srv->tree, rq->inode)) {
                handle_put(rq->srv, h);
                return rq_pool(rq);
            }
        }
    }
    if (got == -EOPNOTSUPP)
        got = want ? read_segs(h->fd, seg, n, in->offset, 0) : 0;
    handle_put(rq->srv, h);
    pace_bytes_unused(&rq->srv->pace, rq->vq, got > 0 ? want - (uint64_t)got : want);
    return got < 0 ? rq_error(rq, (int)got) : rq_replied(rq, (uint64_t)got);
}

int64_t op_write(struct srv_req *rq)
{
    const struct fuse_write_in *in = rq->c->arg;
    struct ring_seg *seg = rq->t->iov;
    struct handle *h = file_handle(rq, in->fh);
    struct fuse_write_out out = {0};
    uint64_t have = 0;

    if (!h)
        return rq_error(rq, -EBADF);
    if ((h->flags & (O_DIRECT | O_DSYNC)) && rq_crowded(rq)) { /* O_SYNC includes O_DSYNC */
        handle_put(rq->srv, h);
        return rq_pool(rq);
    }
    bool kill = in->write_flags & FUSE_WRITE_KILL_SUIDGID;
    /* Pages of a mapping know their place, whatever the file was opened for. */
    bool append = h->flags & O_APPEND && !(in->write_flags & FUSE_WRITE_CACHE);
    uint32_t n =
        seg_slice(rq->data_seg, rq->n_data_seg, rq->data_skip, in->size, seg, RING_MAX_SEGS, &have);
    int64_t before = append ? replay_appending(rq, h->fd, seg, n, have) : 0;
    if (before > 0)
        n = seg_slice(rq->data_seg, rq->n_data_seg, rq->data_skip + (uint64_t)before,
                      in->size - (uint64_t)before, seg, RING_MAX_SEGS, &have);
    ssize_t put = before < 0 ? before : kill && have ? cred_drop_fsetid() : 0;
    if (put == 0 && have) {
        put = write_segs(h->fd, seg, n, in->offset, append ? RWF_APPEND : 0);
        if (kill)
            cred_raise_fsetid();
    }
    if (put >= 0)
        put += before;
    if (put > 0 && rq->srv->xattrmap) {
        int r = xattr_drop_capability(rq, h->fd);
        put = r < 0 ? r : put;
    }
    handle_put(rq->srv, h);
    if (put < 0)
        return rq_error(rq, (int)put);
    pace_bytes(&rq->srv->pace, rq->vq, (uint64_t)put);
    out.size = (uint32_t)put;
    return rq_reply(rq, &out, sizeof(out));
}

/*
 * With KILLPRIV_V2 the guest leaves set-id bits to us; these requests have no flag that says whether they must
 * go, so they go unless the guest's root asks.
 */
static bool must_kill_set_id(const struct srv_req *rq)
{
    return (rq->srv->session.flags & FUSE_HANDLE_KILLPRIV_V2) && rq->c->in.uid != 0;
}

int64_t op_fallocate(struct srv_req *rq)
{
    const struct fuse_fallocate_in *in = rq->c->arg;

    if (in->offset > INT64_MAX || in->length > INT64_MAX)
        return rq_error(rq, -EFBIG);
    /* Programs that hear this write zeros, which is right everywhere. */
    if ((in->mode & FALLOC_FL_ZERO_RANGE) && !inode_mount_zeroes(rq->srv->tree, rq->inode))
        return rq_error(rq, -EOPNOTSUPP);
    if (rq_slow(rq))
        return rq_pool(rq);
    struct handle *h = file_handle(rq, in->fh);
    if (!h)
        return rq_error(rq, -EBADF);
    bool kill = must_kill_set_id(rq);
    int replay = replay_shifting(rq, h->fd, in->mode, in->length);
    int r = replay < 0 ? replay : kill && replay == REPLAY_DO ? cred_drop_fsetid() : 0;
    if (r == 0 && replay == REPLAY_DO) {
        r = fallocate(h->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length) < 0 ? -errno : 0;
        if (kill)
            cred_raise_fsetid();
    }
    if (r == 0)
        r = xattr_drop_capability(rq, h->fd);
    handle_put(rq->srv, h);
    return rq_error(rq, r);
}

int64_t op_lseek(struct srv_req *rq)
{
    const struct fuse_lseek_in *in = rq->c->arg;

    /* The guest keeps its own positions: only what asks the file itself makes sense. */
    if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE && in->whence != SEEK_END)
        return rq_error(rq, -EINVAL);
    if (in->offset > INT64_MAX)
        return rq_error(rq, -EOVERFLOW);
    struct handle *h = file_handle(rq, in->fh);
    if (!h)
        return rq_error(rq, -EBADF);
    off_t at = lseek(h->fd, (off_t)in->offset, (int)in->whence);
    int r = at < 0 ? -errno : 0;
    handle_put(rq->srv, h);
    struct fuse_lseek_out out = {.offset = (uint64_t)at};
    return r < 0 ? rq_error(rq, r) : rq_reply(rq, &out, sizeof(out));
}

int64_t op_copy_file_range(struct srv_req *rq)
{
    const struct fuse_copy_file_range_in *in = rq->c->arg;
    struct server *srv = rq->srv;
    struct fuse_write_out out = {0};
    ssize_t n = -EBADF;

    if (in->off_in > INT64_MAX || in->off_out > INT64_MAX)
        return rq_error(rq, -EFBIG);
    if (rq_slow(rq))
        return rq_pool(rq);
    struct handle *from = file_handle(rq, in->fh_in);
    struct inode *to_inode = inode_get(srv->tree, in->nodeid_out);
    struct handle *to = to_inode ? handle_get(srv, in->fh_out, HANDLE_FILE, to_inode) : NULL;
    if (from && to) {
        off_t off_in = (off_t)in->off_in, off_out = (off_t)in->off_out;
        /* The reply has 32 bits for the count; the guest asks again for the rest. */
        size_t len = in->len > (1u << 30) ? (1u << 30) : (size_t)in->len;
        len = pace_most_at_once(&srv->pace, len);
        bool kill = must_kill_set_id(rq);
        n = kill ? cred_drop_fsetid() : 0;
        if (n == 0) {
            n = copy_file_range(from->fd, &off_in, to->fd, &off_out, len, (unsigned)in->flags);
            if (n < 0)
                n = -errno;
            if (kill)
                cred_raise_fsetid();
        }
        if (n > 0)
            pace_bytes(&srv->pace, rq->vq, (uint64_t)n);
        if (n > 0 && srv->xattrmap) {
            int r = xattr_drop_capability(rq, to->fd);
            n = r < 0 ? r : n;
        }
    }
    if (to)
        handle_put(srv, to);
    if (to_inode)
        inode_put(srv->tree, to_inode);
    if (from)
        handle_put(srv, from);
    if (n < 0)
        return rq_error(rq, (int)n);
    out.size = (uint32_t)n;
    return rq_reply(rq, &out, sizeof(out));
}
