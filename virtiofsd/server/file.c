// SPDX-License-Identifier: BSD-3-Clause
/*
 * file.c - opening, creating and closing files
 *
 * Theory of operation
 *
 *   Of a guest's open flags only those pass that mean something to a file on the host (host_flags());
 *   everything that could open something else, or follow something, is ours to decide.
 *
 *   CREATE makes the file exclusively. When it exists and the guest did not ask for O_EXCL, it is opened like
 *   any other: by identity, never by name, so that a symlink, FIFO or device put there is not opened.
 *   The new file's own descriptor serves as its inode's while it is open (inode_lend_fd()).
 *
 *   FLUSH has no news on local file systems; there the guest is told not to send it (FOPEN_NOFLUSH).
 *
 * syscalls: openat fsync fdatasync dup close statx
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "server/feed.h"
#include "server/replay.h"

/* Flags for the host's open; -EINVAL, -EROFS. */
static int host_flags(const struct server *srv, uint32_t guest)
{
    const struct conf *conf = srv->conf;
    int f = (int)guest & (O_ACCMODE | O_APPEND | O_TRUNC | O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME);

    if ((f & O_ACCMODE) == O_ACCMODE)
        return -EINVAL;
    if (conf->readonly && ((f & O_ACCMODE) != O_RDONLY || (f & O_TRUNC)))
        return -EROFS;
    if (!conf->allow_direct_io)
        f &= ~O_DIRECT;
    if (!conf->preserve_noatime)
        f &= ~O_NOATIME;
    if (srv->session.flags & FUSE_WRITEBACK_CACHE) {
        /* The guest reads to fill pages that it writes, and knows best where the end is. */
        if ((f & O_ACCMODE) == O_WRONLY)
            f = (f & ~O_ACCMODE) | O_RDWR;
        f &= ~O_APPEND;
    }
    return f;
}

/* What the guest may cache of an open file. */
static uint32_t fopen_flags(const struct server *srv, const struct inode *inode, int flags)
{
    uint32_t f = 0;

    switch (srv->conf->cache) {
    case CACHE_NEVER:
    case CACHE_METADATA:
        f = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
        break;
    case CACHE_AUTO:
        if (flags & O_DIRECT)
            f = FOPEN_DIRECT_IO;
        break;
    case CACHE_ALWAYS:
        f = FOPEN_KEEP_CACHE;
        break;
    }
    if (inode_mount_local(srv->tree, inode) && !(srv->session.flags & FUSE_POSIX_LOCKS))
        f |= FOPEN_NOFLUSH;
    return f;
}

/* O_TRUNC may be of a file that the guest's user may not keep set-id bits on. */
static int open_inode(struct srv_req *rq, struct inode *inode, int flags, bool kill,
                      struct inode_fd *hold)
{
    kill = kill && (flags & O_TRUNC);
    int r = kill ? cred_drop_fsetid() : 0;

    if (r < 0)
        return r;
    if (rq_slow(rq)) /* somebody's lease holds the pool up, not a queue */
        flags |= O_NONBLOCK;
    r = open_file(rq->srv, inode, flags, hold);
    if (kill)
        cred_raise_fsetid();
    return r;
}

/* VIOFS_OPEN: with attributes as they are now, so that the client need not ask. */
static int64_t reply_opened(struct srv_req *rq, const struct fuse_open_out *open,
                            const struct statx *stx)
{
    struct {
        struct fuse_open_out open;
        struct attr_reply attr;
    } out = {.open = *open};

    attr_reply_fill(rq, stx, &out.attr);
    return rq_reply(rq, &out, sizeof(out));
}

int64_t op_open(struct srv_req *rq)
{
    const struct fuse_open_in *in = rq->c->arg;
    struct server *srv = rq->srv;
    struct inode_fd hold = {-1, 0};
    struct fuse_open_out out = {0};
    struct statx stx;
    bool stat = rq->c->in.opcode == VIOFS_OPEN;
    int flags = host_flags(srv, in->flags);

    if (flags < 0)
        return rq_error(rq, flags);
    if (inode_type(rq->inode) == S_IFDIR)
        return rq_error(rq, -EISDIR);
    int fd = open_inode(rq, rq->inode, flags, in->open_flags & FUSE_OPEN_KILL_SUIDGID, &hold);
    if (fd == -EWOULDBLOCK && rq_slow(rq))
        return rq_pool(rq);
    if (fd < 0)
        return rq_error(rq, fd);
    int r = flags & O_TRUNC ? xattr_drop_capability(rq, fd) : 0;
    if (r == 0 && stat && statx(fd, "", AT_EMPTY_PATH, TREE_STATX_MASK, &stx) < 0)
        r = -errno;
    if (r == 0)
        r = handle_new(srv->handles, rq->inode, fd, flags, HANDLE_FILE, hold, &out.fh);
    if (r < 0) {
        opened_close(srv, rq->inode, fd, &hold);
        return rq_error(rq, r);
    }
    out.open_flags = fopen_flags(srv, rq->inode, flags);
    return stat ? reply_opened(rq, &out, &stx) : rq_reply(rq, &out, sizeof(out));
}

/* ---- creating ----------------------------------------------------------------------------- */

static int64_t reply_created(struct srv_req *rq, struct inode *inode, const struct statx *stx,
                             uint64_t fh, int flags, bool made)
{
    struct fuse_entry_out entry;
    struct fuse_viofs_ext ext;
    struct fuse_open_out open = {.fh = fh, .open_flags = fopen_flags(rq->srv, inode, flags)};
    struct {
        uint8_t bytes[sizeof(entry) + sizeof(ext) + sizeof(open)];
    } out;
    size_t n = sizeof(entry);

    entry_fill(rq->srv, tree_met(inode, rq->inode), stx, &entry);
    if (rq->c->in.opcode == VIOFS_CREATE)
        feed_entry(rq, rq->inode, stx, tree_met(inode, rq->inode), &entry);
    memcpy(out.bytes, &entry, n);
    if (rq->c->in.opcode == VIOFS_CREATE) {
        ext_fill(stx, &ext);
        if (made)
            ext_add_new(rq, &ext);
        else
            ext_add_inode(rq, inode, &ext);
        memcpy(out.bytes + n, &ext, sizeof(ext));
        n += sizeof(ext);
    }
    memcpy(out.bytes + n, &open, sizeof(open));
    return rq_reply(rq, out.bytes, n + sizeof(open));
}

static void say_kept(int r)
{
    if (r < 0)
        log_warn_limited("a file that is open will be lost if the daemon is replaced: %s",
                         strerror(-r));
}

/*
 * Before the client hears of it: what the next worker could not open again. A file without a name, as long as @fd is
 * nobody else's: a guest that guesses its handle's number may close it.
 */
static void keep_nameless(struct srv_req *rq, struct inode *inode, int fd, const struct statx *stx)
{
    if (stx->stx_nlink == 0)
        say_kept(inode_keep(rq->srv->tree, inode, fd));
}

/* And one whose mode denies what it was created for, to a process that modes apply to. */
static void keep_denied(struct srv_req *rq, struct inode *inode, uint64_t fh,
                        const struct statx *stx, int flags)
{
    static const unsigned needed[] = {[O_RDONLY] = 0400, [O_WRONLY] = 0200, [O_RDWR] = 0600};
    struct server *srv = rq->srv;
    unsigned need = needed[flags & O_ACCMODE];

    if (!keep_is_supervised(srv->keep) || srv->own_uid == 0 || (stx->stx_mode & need) == need)
        return;
    struct handle *h = handle_get(srv, fh, HANDLE_FILE, inode);
    if (!h)
        return;
    say_kept(handle_keep(srv, h));
    handle_put(srv, h);
}

/* A new file is open at @fd: make it known and give it a handle. Takes @fd. */
static int64_t adopt_created(struct srv_req *rq, const char *name, int fd, int flags)
{
    struct server *srv = rq->srv;
    cleanup_close int own = fd;
    struct inode_fd hold = {-1, 0};
    struct inode *inode;
    struct statx stx;
    uint64_t fh;

    if (statx(fd, "", AT_EMPTY_PATH, TREE_STATX_MASK, &stx) < 0)
        return rq_error(rq, -errno);
    int r = tree_adopt(srv->tree, rq->inode, name, fd, &stx, &inode);
    if (r != 0)
        return rq_error(rq, r);
    if (*name == '\0')
        inode_linked(inode, false);
    r = xattr_label_new(rq, inode);
    if (r == 0) {
        inode_lend_fd(srv->tree, inode, steal_fd(&own), &hold);
        keep_nameless(rq, inode, fd, &stx);
        r = handle_new(srv->handles, inode, fd, flags, HANDLE_FILE, hold, &fh);
        if (r < 0)
            opened_close(srv, inode, fd, &hold);
        else
            keep_denied(rq, inode, fh, &stx, flags);
    }
    if (r != 0) {
        tree_forget(srv->tree, inode_id(inode), 1);
        inode_put(srv->tree, inode);
        return rq_error(rq, r);
    }
    int64_t used = reply_created(rq, inode, &stx, fh, flags, true);
    inode_put(srv->tree, inode);
    return used;
}

/*
 * Create exclusively as the guest's user. Return: descriptor or -errno. @made: by this request, also when -EEXIST says
 * that it was another worker that served it.
 */
static int create_file(struct srv_req *rq, const char *name, int flags, uint32_t mode,
                       uint32_t mask, bool *made)
{
    struct inode_fd dir;
    struct cred cred;

    if (!is_component(name))
        return -EINVAL;
    int r = inode_fd_get(rq->srv->tree, rq->inode, &dir);
    if (r < 0)
        return r;
    r = cred_enter(rq, &cred, false);
    if (r == 0) {
        umask_enter(rq, mask);
        replay_making(rq);
        /* O_EXCL and O_TMPFILE follow nothing; O_NOFOLLOW says so again. */
        int fd =
            openat(dir.fd, name,
                   flags_for_append(rq->srv, rq->inode, flags) | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY,
                   mode & 07777);
        r = fd < 0 ? -errno : fd;
        umask_leave(rq);
        cred_leave(rq, &cred);
        const struct replay_thing thing = {.type = S_IFREG, .source = -1};
        *made = r >= 0 || (r == -EEXIST && replay_made(rq, r, dir.fd, name, &thing) == 0);
    }
    inode_fd_put(rq->srv->tree, &dir);
    return r;
}

/* The name exists, and the guest does not mind, or another worker has @made it for this very request. */
static int64_t open_existing(struct srv_req *rq, const struct fuse_create_in *in, int flags,
                             bool made)
{
    struct server *srv = rq->srv;
    struct inode_fd hold = {-1, 0};
    struct inode *inode;
    struct statx stx;
    uint64_t fh;
    rq->found = true;
    int r = tree_lookup(srv->tree, rq->inode, rq->c->name[0].s, &stx, &inode);

    if (r != 0)
        return rq_error(rq, r);
    int fd = inode_type(inode) == S_IFDIR
                 ? -EISDIR
                 : open_inode(rq, inode, flags, in->open_flags & FUSE_OPEN_KILL_SUIDGID, &hold);
    if (fd == -EWOULDBLOCK && rq_slow(rq)) {
        tree_forget(srv->tree, inode_id(inode), 1);
        inode_put(srv->tree, inode);
        return rq_pool(rq);
    }
    r = fd < 0 ? fd : 0;
    if (r == 0 && made)
        r = xattr_label_new(rq, inode);
    if (r == 0 && (flags & O_TRUNC)) {
        r = xattr_drop_capability(rq, fd);
        if (r == 0 && statx(fd, "", AT_EMPTY_PATH, TREE_STATX_MASK, &stx) < 0)
            r = -errno;
    }
    if (r == 0)
        r = handle_new(srv->handles, inode, fd, flags, HANDLE_FILE, hold, &fh);
    int64_t used;
    if (r != 0) {
        if (fd >= 0)
            opened_close(srv, inode, fd, &hold);
        tree_forget(srv->tree, inode_id(inode), 1);
        used = rq_error(rq, r);
    } else {
        used = reply_created(rq, inode, &stx, fh, flags, false);
    }
    inode_put(srv->tree, inode);
    return used;
}

int64_t op_create(struct srv_req *rq)
{
    const struct fuse_create_in *in = rq->c->arg;
    const char *name = rq->c->name[0].s;
    int flags = host_flags(rq->srv, in->flags);

    if (flags < 0)
        return rq_error(rq, flags);
    feed_look(rq, rq->inode);
    /* O_TRUNC has nothing to truncate in a new file, and O_DIRECT may be refused: both are harmless. */
    bool made = false;
    int fd = create_file(rq, name, flags | O_CREAT | O_EXCL, in->mode, in->umask, &made);
    if (fd == -EEXIST && (made || !(in->flags & O_EXCL)))
        return open_existing(rq, in, flags, made);
    if (fd < 0)
        return rq_error(rq, fd);
    return adopt_created(rq, name, fd, flags);
}

int64_t op_tmpfile(struct srv_req *rq)
{
    const struct fuse_create_in *in = rq->c->arg;
    int flags = host_flags(rq->srv, in->flags);

    if (flags < 0)
        return rq_error(rq, flags);
    if ((flags & O_ACCMODE) == O_RDONLY)
        return rq_error(rq, -EINVAL);   /* open(2): O_TMPFILE must be writable */
    int excl = (int)in->flags & O_EXCL; /* never to be linked */
    bool made;
    int fd =
        create_file(rq, ".", (flags & ~O_TRUNC) | O_TMPFILE | excl, in->mode, in->umask, &made);
    if (fd < 0)
        return rq_error(rq, fd);
    return adopt_created(rq, "", fd, flags);
}

/* ---- closing ------------------------------------------------------------------------------ */

int64_t op_release(struct srv_req *rq)
{
    const struct fuse_release_in *in = rq->c->arg;

    if (in->release_flags & FUSE_RELEASE_FLUSH)
        locks_flush(rq->srv->locks, rq->inode, in->lock_owner);
    return rq_error(
        rq, replay_gone(rq, handle_release(rq->srv, in->fh, HANDLE_FILE, rq->inode), -EBADF));
}

int64_t op_flush(struct srv_req *rq)
{
    const struct fuse_flush_in *in = rq->c->arg;
    struct handle *h = handle_get(rq->srv, in->fh, HANDLE_FILE, rq->inode);
    int r = 0;

    if (!h)
        return rq_error(rq, -EBADF);
    locks_flush(rq->srv->locks, rq->inode, in->lock_owner);
    if (!inode_mount_local(rq->srv->tree, rq->inode)) {
        if (rq_slow(rq)) {
            handle_put(rq->srv, h);
            return rq_pool(rq);
        }
        /* Closing a duplicate makes a network file system report what it has not told yet. */
        int copy = dup(h->fd);
        if (copy < 0 || close(copy) < 0)
            r = -errno;
    }
    handle_put(rq->srv, h);
    return rq_error(rq, r);
}

/* Of a file or of a directory. */
static int64_t sync_handle(struct srv_req *rq, enum handle_kind kind)
{
    const struct fuse_fsync_in *in = rq->c->arg;

    if (rq_slow(rq))
        return rq_pool(rq);
    struct handle *h = handle_get(rq->srv, in->fh, kind, rq->inode);
    if (!h)
        return rq_error(rq, -EBADF);
    int r = in->fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(h->fd) : fsync(h->fd);
    if (r < 0)
        r = -errno;
    handle_put(rq->srv, h);
    return rq_error(rq, r);
}

int64_t op_fsync(struct srv_req *rq)
{
    return sync_handle(rq, HANDLE_FILE);
}

int64_t op_fsyncdir(struct srv_req *rq)
{
    return sync_handle(rq, HANDLE_DIR);
}
