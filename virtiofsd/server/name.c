// SPDX-License-Identifier: BSD-3-Clause
/*
 * name.c - requests that look up, make, move and remove names
 *
 * Theory of operation
 *
 *   Names come checked from the decoder: one component, no slash, never "." or ".." where a directory
 *   changes. Each system call takes the parent's descriptor and that one component and does not follow
 *   symlinks, so nothing here can leave the parent, with or without a sandbox.
 *
 *   Whatever creates runs as the guest's user (cred.c), then looks up what it has made. What is about to
 *   lose its last name is pinned first, so that a guest that still holds it can go on (tree_victim()).
 *
 * syscalls: mknodat mkdirat symlinkat linkat unlinkat renameat renameat2 readlinkat
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "server/feed.h"
#include "server/replay.h"

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Of what was just looked up: through its directory, whose descriptor is at hand, if it has a name there. */
static void add_meta(struct srv_req *rq, struct inode *inode, const struct statx *stx,
                     struct fuse_viofs_ext *ext)
{
    const char *name = rq->c->name[0].s;
    struct inode_fd dir;

    if (!meta_wanted(rq))
        return;
    if (is_dots(name)) {
        ext_add_inode(rq, inode, ext);
    } else if (inode_fd_get(rq->srv->tree, rq->inode, &dir) == 0) {
        ext_add_name(rq, dir.fd, name, stx->stx_mode, ext);
        inode_fd_put(rq->srv->tree, &dir);
    }
}

/* Entry of @inode, with our extension where it was asked for. */
static int64_t reply_entry(struct srv_req *rq, struct inode *inode, const struct statx *stx)
{
    struct {
        struct fuse_entry_out entry;
        struct fuse_viofs_ext ext;
    } out;
    bool ext = rq->c->in.opcode == VIOFS_LOOKUP;

    entry_fill(rq->srv, tree_met(inode, rq->inode), stx, &out.entry);
    if (ext) {
        ext_fill(stx, &out.ext);
        add_meta(rq, inode, stx, &out.ext);
        if (!is_dots(rq->c->name[0].s))
            feed_entry(rq, rq->inode, stx, tree_met(inode, rq->inode), &out.entry);
    }
    return rq_reply(rq, &out, ext ? sizeof(out) : sizeof(out.entry));
}

/*
 * There is no such name, and the client will be told when there is: the entry of nothing, with a validity. Else an
 * error, which nobody keeps.
 */
static int64_t reply_nothing(struct srv_req *rq)
{
    struct {
        struct fuse_entry_out entry;
        struct fuse_viofs_ext ext;
    } out = {0};

    if (rq->c->in.opcode == VIOFS_LOOKUP)
        feed_entry(rq, rq->inode, NULL, (struct tree_met){0}, &out.entry);
    return out.entry.entry_valid ? rq_reply(rq, &out, sizeof(out)) : rq_error(rq, -ENOENT);
}

int64_t op_lookup(struct srv_req *rq)
{
    struct inode *inode;
    struct statx stx;

    feed_look(rq, rq->inode);
    int r = tree_lookup(rq->srv->tree, rq->inode, rq->c->name[0].s, &stx, &inode);

    if (r < 0)
        return r == -ENOENT ? reply_nothing(rq) : rq_error(rq, r);
    int64_t used = reply_entry(rq, inode, &stx);
    inode_put(rq->srv->tree, inode);
    return used;
}

/* ---- making ------------------------------------------------------------------------------- */

/* The parent, and the guest's identity, for one creating call. */
struct making {
    struct inode_fd dir;
    struct cred cred;
};

static int making_begin(struct srv_req *rq, struct making *m, uint32_t mask)
{
    if (!is_component(rq->c->name[0].s))
        return -EINVAL;
    int r = inode_fd_get(rq->srv->tree, rq->inode, &m->dir);
    if (r < 0)
        return r;
    r = cred_enter(rq, &m->cred, false);
    if (r < 0) {
        inode_fd_put(rq->srv->tree, &m->dir);
        return r;
    }
    umask_enter(rq, mask);
    replay_making(rq);
    return 0;
}

/* @r: 0 or -1 with errno, as the system call left it. Return: 0 or -errno. */
static int making_end(struct srv_req *rq, struct making *m, int r, mode_t type, const char *target)
{
    const struct replay_thing thing = {.type = type, .target = target, .source = -1};

    if (r < 0)
        r = -errno;
    umask_leave(rq);
    cred_leave(rq, &m->cred);
    r = replay_made(rq, r, m->dir.fd, rq->c->name[0].s, &thing);
    inode_fd_put(rq->srv->tree, &m->dir);
    return r;
}

/* Look up and label what was just made. */
static int64_t reply_made(struct srv_req *rq, int r)
{
    struct server *srv = rq->srv;
    struct inode *inode;
    struct statx stx;

    if (r == 0)
        r = tree_lookup(srv->tree, rq->inode, rq->c->name[0].s, &stx, &inode);
    if (r != 0)
        return rq_error(rq, r);
    r = xattr_label_new(rq, inode);
    if (r != 0)
        tree_forget(srv->tree, inode_id(inode), 1);
    else
        feed_made(rq, inode);
    int64_t used = r != 0 ? rq_error(rq, r) : reply_entry(rq, inode, &stx);
    inode_put(srv->tree, inode);
    return used;
}

int64_t op_mknod(struct srv_req *rq)
{
    const struct fuse_mknod_in *in = rq->c->arg;
    struct making m;
    int r = making_begin(rq, &m, in->umask);

    if (r == 0)
        r = making_end(rq, &m, mknodat(m.dir.fd, rq->c->name[0].s, in->mode, in->rdev),
                       in->mode & S_IFMT ? in->mode & S_IFMT : S_IFREG, NULL);
    return reply_made(rq, r);
}

int64_t op_mkdir(struct srv_req *rq)
{
    const struct fuse_mkdir_in *in = rq->c->arg;
    struct making m;
    int r = making_begin(rq, &m, in->umask);

    if (r == 0)
        r = making_end(rq, &m, mkdirat(m.dir.fd, rq->c->name[0].s, in->mode & 07777), S_IFDIR,
                       NULL);
    return reply_made(rq, r);
}

int64_t op_symlink(struct srv_req *rq)
{
    struct making m;
    int r = making_begin(rq, &m, 0);

    if (r == 0)
        r = making_end(rq, &m, symlinkat(rq->c->name[1].s, m.dir.fd, rq->c->name[0].s), S_IFLNK,
                       rq->c->name[1].s);
    return reply_made(rq, r);
}

int64_t op_link(struct srv_req *rq)
{
    const struct fuse_link_in *in = rq->c->arg;
    struct server *srv = rq->srv;
    struct inode_fd f, dir;
    char path[12];

    if (!is_component(rq->c->name[0].s))
        return rq_error(rq, -EINVAL);
    struct inode *from = inode_get(srv->tree, in->oldnodeid);
    if (!from)
        return rq_error(rq, -ESTALE);
    int r = inode_fd_get(srv->tree, from, &f);
    if (r == 0) {
        r = inode_fd_get(srv->tree, rq->inode, &dir);
        if (r == 0) {
            /* The magic link leads to the inode itself, also when that is a symlink. */
            tree_proc_path(path, f.fd);
            replay_making(rq);
            if (linkat(tree_proc_fd(srv->tree), path, dir.fd, rq->c->name[0].s, AT_SYMLINK_FOLLOW) <
                0)
                r = -errno;
            const struct replay_thing thing = {.source = f.fd};
            r = replay_made(rq, r, dir.fd, rq->c->name[0].s, &thing);
            if (r == 0)
                inode_linked(from, true);
            inode_fd_put(srv->tree, &dir);
        }
        inode_fd_put(srv->tree, &f);
    }
    inode_put(srv->tree, from);
    return reply_made(rq, r);
}

/* ---- removing and moving ------------------------------------------------------------------ */

static int64_t remove_name(struct srv_req *rq, int flags)
{
    struct server *srv = rq->srv;
    const char *name = rq->c->name[0].s;
    struct inode_fd dir;

    if (!is_component(name))
        return rq_error(rq, -EINVAL);
    int r = inode_fd_get(srv->tree, rq->inode, &dir);
    if (r < 0)
        return rq_error(rq, r);
    struct tree_mark mark = {0, 0};
    struct inode *victim = tree_victim(srv->tree, rq->inode, name, &mark);
    enum replay replay = replay_removing(rq, dir.fd, &mark);
    if (replay == REPLAY_DO && unlinkat(dir.fd, name, flags) < 0)
        r = -errno;
    tree_victim_done(srv->tree, victim, r == 0 && replay == REPLAY_DO);
    inode_fd_put(srv->tree, &dir);
    return rq_error(rq, r);
}

int64_t op_unlink(struct srv_req *rq)
{
    return remove_name(rq, 0);
}

int64_t op_rmdir(struct srv_req *rq)
{
    return remove_name(rq, AT_REMOVEDIR);
}

/* Both parents are in hand. */
static int move(struct srv_req *rq, struct inode *to, int from_fd, int to_fd, unsigned flags)
{
    struct server *srv = rq->srv;
    const char *old_name = rq->c->name[0].s, *new_name = rq->c->name[1].s;
    struct inode *victim = NULL;
    int r = replay_moving(rq, from_fd, to_fd, flags);

    bool same = to == rq->inode && strcmp(old_name, new_name) == 0; /* nothing goes */
    if (r == REPLAY_DO) {
        if (!same && !(flags & (RENAME_NOREPLACE | RENAME_EXCHANGE)))
            victim = tree_victim(srv->tree, to, new_name, NULL);
        if (renameat2(from_fd, old_name, to_fd, new_name, flags) < 0)
            r = -errno;
        tree_victim_done(srv->tree, victim, r == 0);
    }
    if (r < 0)
        return r;
    tree_renamed(srv->tree, to, new_name);
    if (flags & RENAME_EXCHANGE)
        tree_renamed(srv->tree, rq->inode, old_name);
    return 0;
}

static int64_t rename_names(struct srv_req *rq, uint64_t new_parent, unsigned flags)
{
    struct server *srv = rq->srv;
    struct inode_fd from_fd, to_fd;

    if (!is_component(rq->c->name[0].s) || !is_component(rq->c->name[1].s))
        return rq_error(rq, -EINVAL);
    struct inode *to = inode_get(srv->tree, new_parent);
    if (!to)
        return rq_error(rq, -ESTALE);
    int r = inode_fd_get(srv->tree, rq->inode, &from_fd);
    if (r == 0) {
        r = inode_fd_get(srv->tree, to, &to_fd);
        if (r == 0) {
            r = move(rq, to, from_fd.fd, to_fd.fd, flags);
            inode_fd_put(srv->tree, &to_fd);
        }
        inode_fd_put(srv->tree, &from_fd);
    }
    inode_put(srv->tree, to);
    return rq_error(rq, r);
}

int64_t op_rename(struct srv_req *rq)
{
    const struct fuse_rename_in *in = rq->c->arg;

    return rename_names(rq, in->newdir, 0);
}

int64_t op_rename2(struct srv_req *rq)
{
    const struct fuse_rename2_in *in = rq->c->arg;

    if (in->flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
        return rq_error(rq, -EINVAL);
    return rename_names(rq, in->newdir, in->flags);
}

int64_t op_readlink(struct srv_req *rq)
{
    struct inode_fd f;
    char target[PATH_MAX];

    if (inode_type(rq->inode) != S_IFLNK)
        return rq_error(rq, -EINVAL);
    int r = inode_fd_get(rq->srv->tree, rq->inode, &f);
    if (r < 0)
        return rq_error(rq, r);
    ssize_t n = readlinkat(f.fd, "", target, sizeof(target));
    r = n < 0 ? -errno : 0;
    inode_fd_put(rq->srv->tree, &f);
    if (r == 0 && (size_t)n + sizeof(struct fuse_out_header) > rq->out.room)
        r = -ERANGE;
    return r < 0 ? rq_error(rq, r) : rq_reply(rq, target, (size_t)n);
}
