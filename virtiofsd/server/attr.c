// SPDX-License-Identifier: BSD-3-Clause
/*
 * attr.c - attributes: from statx to the guest and back
 *
 * Theory of operation
 *
 *   Every reply that carries attributes is filled from one statx. A request that names an open handle is
 *   answered from that handle's descriptor, any other from the inode.
 *
 *   SETATTR changes what its mask names, in the order owner, mode, size, times: chown clears set-id
 *   bits that a chmod in the same request may set again, and truncation sets the modification time that
 *   an explicit one must override.
 *
 * syscalls: statx fchmod fchmodat fchown fchownat ftruncate utimensat fstatfs faccessat faccessat2 close
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "server/feed.h"

void attr_fill(const struct server *srv, const struct statx *stx, struct fuse_attr *a)
{
    *a = (struct fuse_attr){
        .ino = stx->stx_ino,
        .size = stx->stx_size,
        .blocks = stx->stx_blocks,
        .atime = (uint64_t)stx->stx_atime.tv_sec,
        .mtime = (uint64_t)stx->stx_mtime.tv_sec,
        .ctime = (uint64_t)stx->stx_ctime.tv_sec,
        .atimensec = stx->stx_atime.tv_nsec,
        .mtimensec = stx->stx_mtime.tv_nsec,
        .ctimensec = stx->stx_ctime.tv_nsec,
        .mode = stx->stx_mode,
        .nlink = stx->stx_nlink,
        .uid = idmap_uid_to_guest(srv, stx->stx_uid),
        .gid = idmap_gid_to_guest(srv, stx->stx_gid),
        .rdev = (uint32_t)makedev(stx->stx_rdev_major, stx->stx_rdev_minor),
        .blksize = stx->stx_blksize,
    };
}

void entry_fill(const struct server *srv, struct tree_met met, const struct statx *stx,
                struct fuse_entry_out *e)
{
    *e = (struct fuse_entry_out){
        .nodeid = met.id, /* never used twice, so the generation says nothing */
        .entry_valid = srv->entry_valid_s,
        .attr_valid = srv->attr_valid_s,
        .entry_valid_nsec = srv->entry_valid_ns,
        .attr_valid_nsec = srv->attr_valid_ns,
    };
    attr_fill(srv, stx, &e->attr);
    if (S_ISDIR(stx->stx_mode) && (srv->session.flags & FUSE_SUBMOUNTS) && met.other_mount)
        e->attr.flags = FUSE_ATTR_SUBMOUNT;
}

void ext_fill(const struct statx *stx, struct fuse_viofs_ext *ext)
{
    *ext = (struct fuse_viofs_ext){0};
    if (stx->stx_mask & STATX_BTIME) {
        ext->btime = stx->stx_btime.tv_sec;
        ext->btimensec = stx->stx_btime.tv_nsec;
        ext->flags = VIOFS_EXT_BTIME;
    }
}

/* statx of the handle that the request names, or else of the inode. */
static int stat_request(struct srv_req *rq, bool has_fh, uint64_t fh, struct statx *stx)
{
    struct server *srv = rq->srv;

    if (has_fh) {
        enum handle_kind kind = inode_type(rq->inode) == S_IFDIR ? HANDLE_DIR : HANDLE_FILE;
        struct handle *h = handle_get(srv, fh, kind, rq->inode);
        if (h) {
            int r = 0;
            if (statx(h->fd, "", AT_EMPTY_PATH, TREE_STATX_MASK, stx) < 0)
                r = -errno;
            handle_put(srv, h);
            return r;
        }
        /* The guest may guess a handle; the inode will do. */
    }
    return inode_stat(srv->tree, rq->inode, stx);
}

void attr_reply_fill(struct srv_req *rq, const struct statx *stx, struct attr_reply *out)
{
    *out = (struct attr_reply){
        .attr = {.attr_valid = rq->srv->attr_valid_s, .attr_valid_nsec = rq->srv->attr_valid_ns}};
    attr_fill(rq->srv, stx, &out->attr.attr);
    ext_fill(stx, &out->ext);
    ext_add_inode(rq, rq->inode, &out->ext);
    feed_attr(rq, rq->inode, stx, &out->attr);
}

static int64_t reply_attr(struct srv_req *rq, const struct statx *stx)
{
    struct fuse_attr_out out = {.attr_valid = rq->srv->attr_valid_s,
                                .attr_valid_nsec = rq->srv->attr_valid_ns};

    attr_fill(rq->srv, stx, &out.attr);
    return rq_reply(rq, &out, sizeof(out));
}

int64_t op_getattr(struct srv_req *rq)
{
    const struct fuse_getattr_in *in = rq->c->arg;
    struct statx stx;
    int r = stat_request(rq, in->getattr_flags & FUSE_GETATTR_FH, in->fh, &stx);

    if (r < 0)
        return rq_error(rq, r);
    if (rq->c->in.opcode != VIOFS_GETATTR)
        return reply_attr(rq, &stx);
    struct attr_reply out;
    attr_reply_fill(rq, &stx, &out);
    return rq_reply(rq, &out, sizeof(out));
}

static struct viofs_sx_time sx_time(struct statx_timestamp t)
{
    return (struct viofs_sx_time){.tv_sec = t.tv_sec, .tv_nsec = t.tv_nsec};
}

int64_t op_statx(struct srv_req *rq)
{
    const struct viofs_statx_in *in = rq->c->arg;
    struct statx stx;
    int r = stat_request(rq, in->getattr_flags & FUSE_GETATTR_FH, in->fh, &stx);

    if (r < 0)
        return rq_error(rq, r);
    struct viofs_statx_out out = {
        .attr_valid = rq->srv->attr_valid_s,
        .attr_valid_nsec = rq->srv->attr_valid_ns,
        .stat =
            {
                .mask = stx.stx_mask & (STATX_BASIC_STATS | STATX_BTIME),
                .blksize = stx.stx_blksize,
                .attributes = stx.stx_attributes,
                .nlink = stx.stx_nlink,
                .uid = idmap_uid_to_guest(rq->srv, stx.stx_uid),
                .gid = idmap_gid_to_guest(rq->srv, stx.stx_gid),
                .mode = stx.stx_mode,
                .ino = stx.stx_ino,
                .size = stx.stx_size,
                .blocks = stx.stx_blocks,
                .attributes_mask = stx.stx_attributes_mask,
                .atime = sx_time(stx.stx_atime),
                .btime = sx_time(stx.stx_btime),
                .ctime = sx_time(stx.stx_ctime),
                .mtime = sx_time(stx.stx_mtime),
                .rdev_major = stx.stx_rdev_major,
                .rdev_minor = stx.stx_rdev_minor,
                .dev_major = stx.stx_dev_major,
                .dev_minor = stx.stx_dev_minor,
            },
    };
    return rq_reply(rq, &out, sizeof(out));
}

/* ---- SETATTR ------------------------------------------------------------------------------ */

/* What SETATTR works on: a handle's descriptor, or the inode's O_PATH one and its /proc name. */
struct target {
    int fd;      /* real descriptor, or -1 */
    int path_fd; /* O_PATH descriptor, when fd is -1 */
    char path[12];
};

static int set_owner(struct srv_req *rq, const struct target *t, const struct fuse_setattr_in *in)
{
    uid_t uid = (uid_t)-1;
    gid_t gid = (gid_t)-1;
    int r = 0;

    if (in->valid & FATTR_UID) {
        uid = in->uid;
        r = idmap_uid_to_host(rq->srv, &uid);
    }
    if (r == 0 && (in->valid & FATTR_GID)) {
        gid = in->gid;
        r = idmap_gid_to_host(rq->srv, &gid);
    }
    if (r < 0)
        return r;
    if (t->fd >= 0)
        r = fchown(t->fd, uid, gid);
    else
        r = fchownat(t->path_fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
    if (r < 0)
        return -errno;
    if (inode_type(rq->inode) != S_IFREG)
        return 0;
    return xattr_drop_capability(rq, t->fd >= 0 ? t->fd : t->path_fd);
}

static int set_mode(struct srv_req *rq, const struct target *t, uint32_t mode)
{
    int r;

    if (inode_type(rq->inode) == S_IFLNK)
        return -EOPNOTSUPP; /* Linux has no modes on symlinks, and the magic link must not be followed */
    if (t->fd >= 0)
        r = fchmod(t->fd, mode & 07777);
    else
        r = fchmodat(tree_proc_fd(rq->srv->tree), t->path, mode & 07777, 0);
    return r < 0 ? -errno : 0;
}

static int set_size(struct srv_req *rq, const struct target *t, const struct fuse_setattr_in *in)
{
    bool kill = in->valid & FATTR_KILL_SUIDGID;
    cleanup_close int opened = -1;
    int fd = t->fd;

    if (in->size > INT64_MAX)
        return -EFBIG;
    if (fd < 0) {
        opened = inode_open(rq->srv->tree, rq->inode, O_RDWR | O_NONBLOCK, NULL);
        if (opened < 0)
            return opened == -ENXIO ? -EINVAL : opened;
        fd = opened;
    }
    int r = kill ? cred_drop_fsetid() : 0;
    if (r < 0)
        return r;
    r = ftruncate(fd, (off_t)in->size) < 0 ? -errno : 0;
    if (kill)
        cred_raise_fsetid();
    if (r == 0)
        r = xattr_drop_capability(rq, fd);
    return r;
}

static struct timespec set_time(bool set, bool now, uint64_t sec, uint32_t nsec)
{
    if (!set)
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    if (now)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    return (struct timespec){.tv_sec = (time_t)sec, .tv_nsec = (long)nsec};
}

static int set_times(struct srv_req *rq, const struct target *t, const struct fuse_setattr_in *in)
{
    struct timespec ts[2] = {
        set_time(in->valid & FATTR_ATIME, in->valid & FATTR_ATIME_NOW, in->atime, in->atimensec),
        set_time(in->valid & FATTR_MTIME, in->valid & FATTR_MTIME_NOW, in->mtime, in->mtimensec),
    };
    int r;

    /* UTIME_NOW and UTIME_OMIT lie outside the legal range; a guest must not smuggle them in. */
    if (((in->valid & FATTR_ATIME) && in->atimensec >= 1000000000u) ||
        ((in->valid & FATTR_MTIME) && in->mtimensec >= 1000000000u))
        return -EINVAL;
    if (t->fd >= 0)
        r = futimens(t->fd, ts);
    else if (inode_type(rq->inode) == S_IFLNK)
        r = utimensat(t->path_fd, "", ts, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
    else
        r = utimensat(tree_proc_fd(rq->srv->tree), t->path, ts, 0);
    return r < 0 ? -errno : 0;
}

static int apply(struct srv_req *rq, const struct target *t, const struct fuse_setattr_in *in)
{
    int r = 0;

    if (in->valid & (FATTR_UID | FATTR_GID))
        r = set_owner(rq, t, in);
    if (r == 0 && (in->valid & FATTR_MODE))
        r = set_mode(rq, t, in->mode);
    if (r == 0 && (in->valid & FATTR_SIZE))
        r = set_size(rq, t, in);
    if (r == 0 && (in->valid & (FATTR_ATIME | FATTR_MTIME)))
        r = set_times(rq, t, in);
    return r;
}

int64_t op_setattr(struct srv_req *rq)
{
    const struct fuse_setattr_in *in = rq->c->arg;
    struct server *srv = rq->srv;
    struct target t = {.fd = -1, .path_fd = -1};
    struct inode_fd f = {-1, 0};
    struct handle *h = NULL;
    struct statx stx;
    int r = 0;

    if (in->valid & FATTR_FH)
        h = handle_get(srv, in->fh, HANDLE_FILE, rq->inode);
    if (h && (h->flags & O_ACCMODE) != O_RDONLY)
        t.fd = h->fd;
    if (t.fd < 0) {
        r = inode_fd_get(srv->tree, rq->inode, &f);
        if (r == 0) {
            t.path_fd = f.fd;
            tree_proc_path(t.path, f.fd);
        }
    }
    if (r == 0)
        r = apply(rq, &t, in);
    if (r == 0 && statx(t.fd >= 0 ? t.fd : t.path_fd, "", AT_EMPTY_PATH, TREE_STATX_MASK, &stx) < 0)
        r = -errno;
    inode_fd_put(srv->tree, &f);
    if (h)
        handle_put(srv, h);
    return r != 0 ? rq_error(rq, r) : reply_attr(rq, &stx);
}

/* ---- the rest ----------------------------------------------------------------------------- */

int64_t op_access(struct srv_req *rq)
{
    const struct fuse_access_in *in = rq->c->arg;
    struct inode_fd f;
    struct cred cred;

    if (in->mask & ~(uint32_t)(R_OK | W_OK | X_OK))
        return rq_error(rq, -EINVAL);
    if ((in->mask & W_OK) && rq->srv->conf->readonly)
        return rq_error(rq, -EROFS);
    int r = inode_fd_get(rq->srv->tree, rq->inode, &f);
    if (r < 0)
        return rq_error(rq, r);
    r = cred_enter(rq, &cred, true);
    if (r == 0) {
        if (faccessat(f.fd, "", (int)in->mask, AT_EACCESS | AT_EMPTY_PATH) < 0)
            r = -errno;
        cred_leave(rq, &cred);
    }
    inode_fd_put(rq->srv->tree, &f);
    return rq_error(rq, r);
}

static int stat_fs(struct server *srv, struct inode *inode, struct statfs *s)
{
    struct inode_fd f;
    int r = inode_fd_get(srv->tree, inode, &f);

    if (r < 0)
        return r;
    if (fstatfs(f.fd, s) < 0)
        r = -errno;
    inode_fd_put(srv->tree, &f);
    return r;
}

int64_t op_statfs(struct srv_req *rq)
{
    struct statfs s;
    int r = stat_fs(rq->srv, rq->inode, &s);

    if (r < 0)
        return rq_error(rq, r);
    space_of(&rq->srv->space, &s);
    struct fuse_statfs_out out = {
        .st =
            {
                .blocks = s.f_blocks,
                .bfree = s.f_bfree,
                .bavail = s.f_bavail,
                .files = s.f_files,
                .ffree = s.f_ffree,
                .bsize = (uint32_t)s.f_bsize,
                .namelen =
                    (uint32_t)(s.f_namelen > FUSE_LONGEST_NAME ? FUSE_LONGEST_NAME : s.f_namelen),
                .frsize = (uint32_t)(s.f_frsize ? s.f_frsize : s.f_bsize),
            },
    };
    return rq_reply(rq, &out, sizeof(out));
}
