// SPDX-License-Identifier: BSD-3-Clause
/*
 * lock.c - POSIX record locks and flock for the guest
 *
 * Theory of operation
 *
 *   Record locks (fcntl) belong to an owner that the guest names; lock_table.c gives each owner a
 *   descriptor of its own for each file. flock() locks belong to an open file, which a handle is: they
 *   are taken on the handle's descriptor.
 *
 *   SETLK never waits. SETLKW, and a waiting flock, first try; when somebody else holds the lock, the
 *   request is kept (VU_LATER) and stands in the line of lock_wait.c. Its queue goes on. INTERRUPT, a
 *   stopping queue and the end of the session take it out with EINTR. A waiter looks its owner's
 *   entry up at each attempt: between two of them a FLUSH may have dropped it.
 *
 *   Descriptors for record locks come out of what RLIMIT_NOFILE leaves: locks_fds() of them at most.
 *
 * Ownership: a struct wait holds a reference on its handle (flock only); its inode is the kept
 * request's.
 * Locks: none of its own. Order: kept_lock, then the line's, then the table's and the tree's.
 * syscalls: flock fcntl fcntl64
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>

#include "host/log.h"
#include "server/lock_table.h"
#include "server/lock_wait.h"
#include "server/request.h"

enum { WAITERS_MAX = 1024 };
#define OFFSET_LAST ((uint64_t)INT64_MAX) /* the kernel's OFFSET_MAX: "to the end, however far" */

struct locks {
    struct server *srv;
    struct lock_table *table;
    struct lock_waits *waits;
};

/* One that waits. */
struct wait {
    struct lock_waiter w;
    struct locks *locks;
    struct srv_kept *kept;
    struct handle *flock_on; /* a reference; NULL for a record lock */
};

/* ---- wire and kernel ----------------------------------------------------------------------- */

static int range_from_wire(const struct fuse_file_lock *lk, struct flock *fl)
{
    if (lk->type != F_RDLCK && lk->type != F_WRLCK && lk->type != F_UNLCK)
        return -EINVAL;
    if (lk->start > OFFSET_LAST || lk->end > OFFSET_LAST || lk->end < lk->start)
        return -EINVAL;
    *fl = (struct flock){
        .l_type = (short)lk->type,
        .l_whence = SEEK_SET,
        .l_start = (off_t)lk->start,
        .l_len = lk->end == OFFSET_LAST ? 0 : (off_t)(lk->end - lk->start + 1),
    };
    return 0;
}

static void range_to_wire(const struct flock *fl, struct fuse_file_lock *lk)
{
    lk->type = (uint32_t)fl->l_type;
    lk->start = (uint64_t)fl->l_start;
    lk->end = fl->l_len == 0 ? OFFSET_LAST : (uint64_t)(fl->l_start + fl->l_len - 1);
}

static int flock_op(uint32_t type)
{
    return type == F_RDLCK ? LOCK_SH : type == F_WRLCK ? LOCK_EX : LOCK_UN;
}

/* ---- the table's files are inodes ---------------------------------------------------------- */

/* Both kinds of lock if possible; a file that cannot be opened for writing still takes read locks. */
static int open_inode(void *ctx, void *file)
{
    static const int modes[] = {O_RDWR, O_RDONLY, O_WRONLY};
    struct locks *l = ctx;
    int fd = -EACCES;

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        fd = inode_open(l->srv->tree, file, modes[i] | O_NONBLOCK, NULL);
        if (fd != -EACCES && fd != -EPERM && fd != -EROFS && fd != -ETXTBSY)
            break;
    }
    return fd;
}

static void ref_inode(void *ctx, void *file)
{
    (void)ctx;
    inode_ref(file);
}

static void unref_inode(void *ctx, void *file)
{
    struct locks *l = ctx;

    inode_put(l->srv->tree, file);
}

static uint32_t number_inode(void *ctx, const void *file)
{
    (void)ctx;
    return inode_number(file);
}

static void *hold_inode(void *ctx, uint32_t number)
{
    struct locks *l = ctx;

    return tree_hold(l->srv->tree, number);
}

static const struct lock_files inode_files = {open_inode, ref_inode, unref_inode, number_inode,
                                              hold_inode};

/* ---- taking and giving --------------------------------------------------------------------- */

static int set_flock(struct locks *l, struct handle *h, uint32_t type)
{
    int err = type == F_UNLCK ? 0 : handle_flocks(l->srv, h);

    if (err)
        return -ENOLCK;
    err = flock(h->fd, flock_op(type) | LOCK_NB) < 0 ? -errno : 0;
    handle_flocked_as(l->srv, h, err ? F_UNLCK : (uint8_t)type);
    bool had = atomic_exchange(&h->flocked, true);

    /* An unlock or a downgrade frees something; so does a failed upgrade: flock(2) gives up first. */
    if (had && (err || type != F_WRLCK))
        lock_waits_wake(l->waits);
    return err;
}

static int set_record(struct locks *l, struct inode *inode, const struct fuse_lk_in *in)
{
    struct lock_owner *o;
    struct flock fl;
    int err = range_from_wire(&in->lk, &fl);

    if (err)
        return err;
    if (fl.l_type == F_UNLCK) {
        o = lock_owner_find(l->table, inode, in->owner);
        if (!o)
            return 0; /* it holds nothing */
    } else {
        err = lock_owner_get(l->table, inode, in->owner, &o);
        if (err)
            return err;
    }
    err = lock_owner_set(o, &fl, in->lk.pid);
    lock_owner_put(l->table, o);
    if (!err && fl.l_type == F_UNLCK && fl.l_start == 0 && fl.l_len == 0)
        lock_owner_drop(l->table, inode, in->owner);
    if (!err && fl.l_type != F_WRLCK)
        lock_waits_wake(l->waits); /* an unlock, or a downgrade */
    return err;
}

/* ---- waiting ------------------------------------------------------------------------------- */

static void wait_free(struct wait *wait)
{
    if (wait->flock_on)
        handle_put(wait->locks->srv, wait->flock_on);
    free(wait);
}

static int wait_try(struct lock_waiter *w)
{
    struct wait *wait = (struct wait *)w;
    const struct fuse_lk_in *in = wait->kept->call.arg;

    if (wait->flock_on)
        return set_flock(wait->locks, wait->flock_on, in->lk.type);
    return set_record(wait->locks, wait->kept->rq.inode, in);
}

static void wait_done(struct lock_waiter *w, int err)
{
    struct wait *wait = (struct wait *)w;
    struct srv_kept *kept = wait->kept;

    wait_free(wait);
    rq_done_error(kept, err);
}

/* Called under kept_lock. */
static bool wait_cancel(struct srv_kept *kept)
{
    struct lock_waiter *w = lock_wait_cancel(kept->rq.srv->locks->waits, kept);

    if (!w)
        return false;
    wait_free((struct wait *)w);
    return true;
}

/* Keep the request and stand in line. @h: what flock() is for, a reference that is taken over; or NULL. */
static int64_t wait_in_line(struct srv_req *rq, struct handle *h)
{
    struct locks *l = rq->srv->locks;
    struct wait *wait = malloc(sizeof(*wait));
    struct srv_kept *kept = wait ? rq_keep(rq) : NULL;
    int err;

    if (!kept) {
        free(wait);
        if (h)
            handle_put(rq->srv, h);
        return rq_error(rq, -ENOMEM);
    }
    *wait = (struct wait){
        .w = {.try = wait_try, .done = wait_done, .key = kept},
        .locks = l,
        .kept = kept,
        .flock_on = h,
    };
    pthread_mutex_lock(&rq->srv->kept_lock);
    kept->cancel = wait_cancel;
    err = kept->hurry ? -EINTR : lock_wait_add(l->waits, &wait->w);
    pthread_mutex_unlock(&rq->srv->kept_lock);
    if (err)
        wait_done(&wait->w, err == -EINTR ? err : -ENOLCK);
    return VU_LATER;
}

/* ---- requests ------------------------------------------------------------------------------ */

static bool agreed(const struct srv_req *rq, const struct fuse_lk_in *in)
{
    uint64_t flag = in->lk_flags & FUSE_LK_FLOCK ? FUSE_FLOCK_LOCKS : FUSE_POSIX_LOCKS;

    return rq->srv->session.flags & flag;
}

static int64_t set_lock(struct srv_req *rq, bool wait)
{
    const struct fuse_lk_in *in = rq->c->arg;
    struct locks *l = rq->srv->locks;
    struct handle *h;
    int err;

    if (!agreed(rq, in))
        return rq_error(rq, -ENOSYS);
    h = handle_get(rq->srv, in->fh, HANDLE_FILE, rq->inode);
    if (!h)
        return rq_error(rq, -EBADF);
    if (in->lk_flags & FUSE_LK_FLOCK) {
        err = set_flock(l, h, in->lk.type);
        if (err == -EAGAIN && wait)
            return wait_in_line(rq, h);
        handle_put(rq->srv, h);
    } else {
        err = set_record(l, rq->inode, in);
        handle_put(rq->srv, h);
        if (err == -EAGAIN && wait)
            return wait_in_line(rq, NULL);
    }
    return rq_error(rq, err);
}

int64_t op_setlk(struct srv_req *rq)
{
    return set_lock(rq, false);
}

int64_t op_setlkw(struct srv_req *rq)
{
    return set_lock(rq, true);
}

/* Ask through the owner's own description, so that its own locks do not count; @fl is replaced. */
static int test_record(struct locks *l, struct handle *h, uint64_t owner, struct flock *fl)
{
    struct lock_owner *o = lock_owner_find(l->table, h->inode, owner);
    int err;

    err = fcntl(o ? lock_owner_fd(o) : h->fd, F_OFD_GETLK, fl) < 0 ? -errno : 0;
    if (o)
        lock_owner_put(l->table, o);
    return err;
}

int64_t op_getlk(struct srv_req *rq)
{
    const struct fuse_lk_in *in = rq->c->arg;
    struct fuse_lk_out out = {.lk = in->lk};
    struct handle *h;
    struct flock fl;
    int err;

    if (in->lk_flags & FUSE_LK_FLOCK || !agreed(rq, in))
        return rq_error(rq, -ENOSYS);
    err = range_from_wire(&in->lk, &fl);
    if (err)
        return rq_error(rq, err);
    h = handle_get(rq->srv, in->fh, HANDLE_FILE, rq->inode);
    if (!h)
        return rq_error(rq, -EBADF);
    err = test_record(rq->srv->locks, h, in->owner, &fl);
    handle_put(rq->srv, h);
    if (err)
        return rq_error(rq, err);
    out.lk.pid = 0;
    if (fl.l_type == F_UNLCK) {
        out.lk.type = F_UNLCK;
    } else {
        range_to_wire(&fl, &out.lk);
        /* Processes of the host, and other guests, have no number that this guest could know. */
        if (fl.l_pid == -1)
            out.lk.pid = lock_other_pid(rq->srv->locks->table, rq->inode, in->owner, &fl);
    }
    return rq_reply(rq, &out, sizeof(out));
}

/* ---- for other families -------------------------------------------------------------------- */

/** locks_fds() - descriptors to set aside for record locks, of @nofile in all; 0 without posix_lock */
uint32_t locks_fds(const struct conf *conf, int64_t nofile)
{
    int64_t n = nofile / 16;

    if (!conf->posix_lock)
        return 0;
    return n < 16 ? 16 : n > 4096 ? 4096 : (uint32_t)n;
}

int locks_new(struct locks **out, struct server *srv, uint32_t max_fds)
{
    struct locks *l = calloc(1, sizeof(*l));
    int err;

    if (!l)
        return -ENOMEM;
    l->srv = srv;
    err = lock_table_new(&l->table, &inode_files, l, max_fds, srv->keep);
    if (!err)
        err = lock_waits_new(&l->waits, WAITERS_MAX);
    if (err)
        locks_free(l);
    else
        *out = l;
    return err;
}

int locks_resume(struct locks *l)
{
    return lock_table_resume(l->table);
}

/* ---- moving to another daemon -------------------------------------------------------------- */

int locks_each(struct locks *l, lock_each_fn *fn, void *ctx)
{
    return lock_table_each(l->table, fn, ctx);
}

int locks_flock(struct locks *l, struct handle *h, uint32_t type)
{
    return set_flock(l, h, type);
}

int locks_record(struct locks *l, struct inode *inode, const struct fuse_lk_in *in)
{
    return set_record(l, inode, in);
}

struct flocks {
    struct locks *locks;
    bool give_up;
    unsigned lost;
};

static int each_flock(void *ctx, const struct handle_record *r)
{
    struct flocks *f = ctx;
    struct server *srv = f->locks->srv;
    struct inode *inode = r->flock == F_UNLCK ? NULL : inode_get(srv->tree, r->node);
    struct handle *h = inode ? handle_get(srv, r->fh, r->kind, inode) : NULL;

    if (h) {
        int op = f->give_up ? LOCK_UN : flock_op(r->flock) | LOCK_NB;
        f->lost += flock(h->fd, op) < 0;
        handle_put(srv, h);
    }
    if (inode)
        inode_put(srv->tree, inode);
    return 0;
}

void locks_hand_over(struct locks *l)
{
    struct flocks f = {.locks = l, .give_up = true};

    lock_table_give_up(l->table, true);
    handles_each(l->srv, each_flock, &f);
}

void locks_take_back(struct locks *l)
{
    struct flocks f = {.locks = l};

    handles_each(l->srv, each_flock, &f);
    f.lost += (unsigned)lock_table_give_up(l->table, false);
    if (f.lost > 0)
        log_error("migration: the guest stays here, but %u of its files have been locked by others "
                  "meanwhile; look for damage where two have written",
                  f.lost);
}

void locks_free(struct locks *l)
{
    lock_waits_free(l->waits);
    lock_table_free(l->table);
    free(l);
}

void locks_flush(struct locks *l, struct inode *inode, uint64_t owner)
{
    if (lock_owner_drop(l->table, inode, owner))
        lock_waits_wake(l->waits);
}

void locks_release(struct locks *l, struct handle *h)
{
    if (!atomic_load(&h->flocked))
        return;
    flock(h->fd, LOCK_UN); /* now, not when the descriptor is closed: waiters are about to try */
    lock_waits_wake(l->waits);
}

void locks_reset(struct locks *l)
{
    lock_waits_reset(l->waits);
    lock_table_clear(l->table);
}
