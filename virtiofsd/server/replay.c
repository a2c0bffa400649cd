// SPDX-License-Identifier: BSD-3-Clause
/*
 * replay.c - requests that a worker was at when it ended
 *
 * Theory of operation
 *
 *   A worker that goes on for another serves again what was taken from a queue and not answered (vhost.h: record->again).
 *   Nobody knows how far the other one came. Most requests may be served twice. For those that may not, the
 *   worker writes down, before the system call, by what its success can be told from the tree (the intent, in the chain's record),
 *   and the next one looks:
 *
 *     request                   intent                      done before, if
 *     MKDIR MKNOD SYMLINK       the time                    EEXIST, and what is there is of that type and owner (a
 *     CREATE with O_EXCL                                    symlink: target; a directory: empty), not older than that
 *     LINK                      the time                    EEXIST, and it is the same file, changed since
 *     UNLINK RMDIR              what the name shows         the name shows nothing, or something else
 *     RENAME RENAME2            what the old name shows     the new one shows what the old one did, which does not show
 *                               (EXCHANGE: both)            it any more. EXCHANGE: both the other way round
 *     WRITE to the end          the size                    as many of its bytes are there as the file has grown by;
 *                                                           the rest is appended
 *     FALLOCATE, moving         the size                    it has changed by that much
 *     SETXATTR with CREATE      -                           EEXIST, and the value is the same
 *     REMOVEXATTR               -                           ENODATA
 *     RELEASE RELEASEDIR        -                           EBADF
 *     FORGET BATCH_FORGET       answered beforehand: what is not counted down any more is known for longer than need be
 *
 *   What fits neither "before" nor "after" was changed by somebody else in the same moment; the guest gets EIO, and
 *   one line in the log says so: nothing is done twice on a guess. An intent that was written by the first worker stands, however
 *   many follow.
 *
 *   Served twice without harm: what reads; WRITE at a place, SETATTR and SETXATTR (the same again); locks (an owner's own do
 *   not hinder it); INIT and DESTROY. LOOKUP, READDIRPLUS, CREATE, OPEN and TMPFILE may count a lookup, or open a
 *   handle, that the guest never hears of: it is there until the session ends.
 *
 *   An identity here is inode number and birth time. Times are compared where the file system is a local one, by
 *   the clock that stamps files (CLOCK_REALTIME_COARSE).
 *
 * Locks: none; a record belongs to the thread that serves its chain.
 * syscalls: statx getxattr pread64 readlinkat clock_gettime
 */
#include "server/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "host/log.h"

enum intent { INTENT_NONE, INTENT_MAKE, INTENT_REMOVE, INTENT_MOVE, INTENT_APPEND, INTENT_SHIFT };

/* Where what is in vu_record.intent. */
enum { AT_WHAT, AT_ONE, AT_TWO, AT_THREE, AT_FOUR };

static bool is_replay(const struct srv_req *rq)
{
    return rq->record->again > 0;
}

/* Did a worker before this one write an intent of that kind? */
static bool has_intent(const struct srv_req *rq, enum intent what)
{
    return is_replay(rq) && rq->record->intent[AT_WHAT] == (uint64_t)what;
}

static void store_intent(struct srv_req *rq, enum intent what, const uint64_t *of, unsigned n)
{
    memcpy(&rq->record->intent[AT_ONE], of, n * sizeof(*of));
    __atomic_store_n(&rq->record->intent[AT_WHAT], what, __ATOMIC_RELEASE);
}

static bool records(const struct srv_req *rq)
{
    return rq->srv->supervised;
}

static int64_t ns_of(const struct statx_timestamp *t)
{
    return t->tv_sec * 1000000000 + t->tv_nsec;
}

/* File systems that keep whole seconds stamp something new with the second's beginning. */
static bool is_since(const struct statx_timestamp *t, int64_t then)
{
    return ns_of(t) >= then || (t->tv_nsec == 0 && t->tv_sec >= then / 1000000000);
}

static int nobody_knows(const struct srv_req *rq, const char *what)
{
    log_warn_limited("the daemon was replaced in the middle of a %s, and the share was changed "
                     "from outside: the "
                     "guest gets an input/output error (request %u)",
                     what, rq->c->in.opcode);
    return -EIO;
}

/* ---- making ------------------------------------------------------------------------------- */

void replay_making(struct srv_req *rq)
{
    struct timespec now;

    if (!records(rq) || rq->record->intent[AT_WHAT] != INTENT_NONE)
        return;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    const uint64_t ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    store_intent(rq, INTENT_MAKE, &ns, 1);
}

/* Would something that this request makes have that owner? */
static bool is_owner(const struct srv_req *rq, uint32_t owner)
{
    uint32_t uid = rq->c->in.uid;

    if (!rq->srv->can_setid)
        return owner == rq->srv->own_uid;
    return idmap_uid_to_host(rq->srv, &uid) == 0 && owner == uid;
}

static bool is_link_to(int source, const struct statx *there, int64_t then)
{
    struct statx stx;

    return statx(source, "", AT_EMPTY_PATH, TREE_STATX_MASK, &stx) == 0 &&
           stx.stx_ino == there->stx_ino && stx.stx_dev_major == there->stx_dev_major &&
           stx.stx_dev_minor == there->stx_dev_minor && is_since(&stx.stx_ctime, then);
}

static bool is_symlink_to(int dirfd, const char *name, const char *target)
{
    char has[PATH_MAX];
    ssize_t n = readlinkat(dirfd, name, has, sizeof(has));

    return n >= 0 && (size_t)n == strlen(target) && memcmp(has, target, (size_t)n) == 0;
}

/* Is it new, and empty where that can be seen? */
static bool is_fresh(const struct srv_req *rq, const struct statx *there, int64_t then)
{
    const struct statx_timestamp *born =
        there->stx_mask & STATX_BTIME ? &there->stx_btime : &there->stx_ctime;

    if (S_ISREG(there->stx_mode) && there->stx_size > 0)
        return false;
    if (S_ISDIR(there->stx_mode) && there->stx_nlink > 2)
        return false;
    /* Another host's clock, and its idea of who we are, prove nothing. */
    return !inode_mount_local(rq->srv->tree, rq->inode) ||
           (is_since(born, then) && is_owner(rq, there->stx_uid));
}

int replay_made(struct srv_req *rq, int r, int dirfd, const char *name,
                const struct replay_thing *thing)
{
    struct statx there;

    if (r != -EEXIST || !has_intent(rq, INTENT_MAKE))
        return r;
    int64_t then = (int64_t)rq->record->intent[AT_ONE];
    if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, TREE_STATX_MASK, &there) < 0)
        return r;
    if (thing->source >= 0)
        return is_link_to(thing->source, &there, then) ? 0 : r;
    if ((there.stx_mode & S_IFMT) != thing->type || !is_fresh(rq, &there, then))
        return r;
    return !thing->target || is_symlink_to(dirfd, name, thing->target) ? 0 : r;
}

/* ---- removing and moving ------------------------------------------------------------------ */

static bool same(const struct tree_mark *a, const struct tree_mark *b)
{
    return a->ino == b->ino && a->birth == b->birth;
}

/* What a name shows; zeros: nothing. Return: 0 or -errno. */
static int mark_at(int dirfd, const char *name, struct tree_mark *mark)
{
    const unsigned mask = STATX_INO | STATX_BTIME;
    struct statx stx;

    *mark = (struct tree_mark){0, 0};
    if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, mask, &stx) < 0)
        return -errno;
    *mark = tree_mark(&stx);
    return 0;
}

/* Was what the name showed before taken away from it? */
static bool removed(const struct srv_req *rq, int dirfd, const struct tree_mark *victim)
{
    const struct tree_mark was = {rq->record->intent[AT_ONE], rq->record->intent[AT_TWO]};
    struct tree_mark now = *victim;
    int r = now.ino ? 0 : mark_at(dirfd, rq->c->name[0].s, &now);

    return r == -ENOENT || (r == 0 && !same(&was, &now));
}

enum replay replay_removing(struct srv_req *rq, int dirfd, const struct tree_mark *victim)
{
    if (!records(rq))
        return REPLAY_DO;
    if (has_intent(rq, INTENT_REMOVE))
        return removed(rq, dirfd, victim) ? REPLAY_DONE : REPLAY_DO;
    const uint64_t of[] = {victim->ino, victim->birth};
    if (victim->ino)
        store_intent(rq, INTENT_REMOVE, of, 2);
    return REPLAY_DO;
}

/* @then: source and target before; @now: what the old name and the new one show. */
static int moved(struct srv_req *rq, const struct tree_mark *then, const struct tree_mark *now,
                 bool exchange)
{
    bool target_went = exchange ? same(&now[0], &then[1]) : !same(&now[0], &then[0]);

    if (same(&now[1], &then[0]) && target_went)
        return REPLAY_DONE;
    if (same(&now[0], &then[0]) && (!exchange || same(&now[1], &then[1])))
        return REPLAY_DO;
    return nobody_knows(rq, "rename");
}

int replay_moving(struct srv_req *rq, int from_fd, int to_fd, unsigned flags)
{
    if (!records(rq))
        return REPLAY_DO;
    bool again = has_intent(rq, INTENT_MOVE);
    struct tree_mark now[2] = {{0, 0}, {0, 0}};
    (void)mark_at(from_fd, rq->c->name[0].s, &now[0]);
    if (again || (flags & RENAME_EXCHANGE)) /* what else goes from there need not be known */
        (void)mark_at(to_fd, rq->c->name[1].s, &now[1]);
    if (again) {
        const uint64_t *i = rq->record->intent;
        const struct tree_mark then[2] = {{i[AT_ONE], i[AT_TWO]}, {i[AT_THREE], i[AT_FOUR]}};
        return moved(rq, then, now, flags & RENAME_EXCHANGE);
    }
    const uint64_t of[] = {now[0].ino, now[0].birth, now[1].ino, now[1].birth};
    if (now[0].ino)
        store_intent(rq, INTENT_MOVE, of, 4);
    return REPLAY_DO;
}

/* ---- contents ----------------------------------------------------------------------------- */

static int size_of(int fd, uint64_t *size)
{
    struct statx stx;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &stx) < 0)
        return -errno;
    *size = stx.stx_size;
    return 0;
}

/* Are the @n bytes of @fd from @at on the first ones of @seg? */
static bool holds(int fd, uint64_t at, const struct ring_seg *seg, uint32_t n_seg, uint64_t n)
{
    uint8_t has[4096];

    for (uint32_t i = 0; i < n_seg && n > 0; i++) {
        const uint8_t *want = seg[i].base;
        uint64_t left = seg[i].len < n ? seg[i].len : n;
        n -= left;
        while (left > 0) {
            size_t piece = left < sizeof(has) ? (size_t)left : sizeof(has);
            if (pread(fd, has, piece, (off_t)at) != (ssize_t)piece || memcmp(has, want, piece) != 0)
                return false;
            want += piece;
            at += piece;
            left -= piece;
        }
    }
    return n == 0;
}

/* Whoever appends may not be allowed to read. */
static bool holds_in_inode(struct srv_req *rq, uint64_t at, const struct ring_seg *seg,
                           uint32_t n_seg, uint64_t n)
{
    int fd = inode_open(rq->srv->tree, rq->inode, O_RDONLY | O_NONBLOCK, NULL);
    bool is = fd >= 0 && holds(fd, at, seg, n_seg, n);

    if (fd >= 0)
        close(fd);
    return is;
}

int64_t replay_appending(struct srv_req *rq, int fd, const struct ring_seg *seg, uint32_t n_seg,
                         uint64_t n)
{
    uint64_t size = 0;

    if (!records(rq))
        return 0;
    int r = size_of(fd, &size);
    if (r < 0)
        return r;
    if (!has_intent(rq, INTENT_APPEND)) {
        store_intent(rq, INTENT_APPEND, &size, 1);
        return 0;
    }
    uint64_t was = rq->record->intent[AT_ONE];
    if (size == was)
        return 0;
    if (size < was || size - was > n || !holds_in_inode(rq, was, seg, n_seg, size - was))
        return nobody_knows(rq, "append");
    return (int64_t)(size - was);
}

int replay_shifting(struct srv_req *rq, int fd, uint32_t mode, uint64_t len)
{
    uint64_t size = 0;

    if (!records(rq) || !(mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)))
        return REPLAY_DO;
    int r = size_of(fd, &size);
    if (r < 0)
        return r;
    if (!has_intent(rq, INTENT_SHIFT)) {
        store_intent(rq, INTENT_SHIFT, &size, 1);
        return REPLAY_DO;
    }
    uint64_t was = rq->record->intent[AT_ONE];
    if (size == was)
        return REPLAY_DO;
    if (size == (mode & FALLOC_FL_INSERT_RANGE ? was + len : was - len))
        return REPLAY_DONE;
    return nobody_knows(rq, "fallocate");
}

/* ---- attributes and the rest -------------------------------------------------------------- */

int replay_set(struct srv_req *rq, int r, const char *path, const char *name, const void *value,
               size_t len)
{
    if (r != -EEXIST || !is_replay(rq))
        return r;
    uint8_t *has = thread_out(rq->t, len + 1);
    if (!has)
        return r;
    ssize_t n = getxattr(path, name, has, len + 1);
    return n == (ssize_t)len && memcmp(has, value, len) == 0 ? 0 : r;
}

int replay_gone(const struct srv_req *rq, int r, int gone)
{
    return r == gone && is_replay(rq) ? 0 : r;
}
