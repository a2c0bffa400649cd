// SPDX-License-Identifier: BSD-3-Clause
/*
 * own.c - which events a request will raise, so that its client is not told of them
 *
 * Theory of operation
 *
 *   Only where the kernel does not say whose an event is (watch/expect.c). Around the handler of a request that may
 *   change something, the events that Linux raises for it are announced: fs/namei.c and fs/attr.c raise
 *   one for each name that comes or goes, one for each system call that changes content or attributes, at
 *   the name by which the file is known. A directory's attributes are told twice, in its parent and in itself.
 *
 *   A list that is too short has the client told of a change of its own; one that is too long could hide a change
 *   of the host's at the same file in the same microseconds. So it is as short as the request allows.
 *
 * Ownership: references on inodes for the time of the handler.   Locks: none.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>

#include "server/feed.h"

struct own {
    struct watch_change c[WATCH_CHANGES_MAX];
    unsigned n;
    struct watch_own expected;
    struct inode *held[2];
    char name[NAME_MAX + 1]; /* of the file that changes, in held[0] */
};

static void expect(struct own *o, struct inode *dir, const char *name, unsigned kinds)
{
    if (o->n < WATCH_CHANGES_MAX)
        o->c[o->n++] = (struct watch_change){dir, name, kinds};
}

/* The file itself changes, in up to @times system calls of that kind. */
static void expect_file(struct srv_req *rq, struct own *o, struct inode *inode, unsigned kinds,
                        unsigned times)
{
    o->held[0] = inode_place(rq->srv->tree, inode, o->name);
    for (unsigned i = 0; i < times; i++) {
        if (o->held[0] && inode_covered(o->held[0]))
            expect(o, o->held[0], o->name, kinds);
        if (inode_type(inode) == S_IFDIR && inode_covered(inode))
            expect(o, inode, "", kinds);
    }
}

static void expect_new(struct srv_req *rq, struct own *o, unsigned more)
{
    if (rq->c->secctx_len)
        more |= WATCH_ATTRIB;
    expect(o, rq->inode, rq->c->name[0].s, WATCH_CREATE | more);
}

static void expect_rename(struct srv_req *rq, struct own *o, uint64_t newdir, uint32_t flags)
{
    const char *from = rq->c->name[0].s, *to = rq->c->name[1].s;

    o->held[1] = inode_get(rq->srv->tree, newdir);
    expect(o, rq->inode, from, WATCH_FROM);
    if (o->held[1])
        expect(o, o->held[1], to, WATCH_TO);
    if (o->held[1] && (flags & RENAME_EXCHANGE)) {
        expect(o, o->held[1], to, WATCH_FROM);
        expect(o, rq->inode, from, WATCH_TO);
    }
}

static void expect_setattr(struct srv_req *rq, struct own *o)
{
    static const uint32_t calls[] = {FATTR_UID | FATTR_GID, FATTR_MODE, FATTR_SIZE,
                                     FATTR_ATIME | FATTR_MTIME};
    const struct fuse_setattr_in *in = rq->c->arg;
    unsigned n = 0;

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        n += (in->valid & calls[i]) != 0;
    /* A time alone is MODIFY, both are ATTRIB, and set-id bits may go with either. */
    expect_file(rq, o, rq->inode, WATCH_ATTRIB | WATCH_MODIFY, n);
}

static void expect_copy(struct srv_req *rq, struct own *o)
{
    const struct fuse_copy_file_range_in *in = rq->c->arg;

    o->held[1] = inode_get(rq->srv->tree, in->nodeid_out);
    if (o->held[1])
        expect_file(rq, o, o->held[1], WATCH_MODIFY | WATCH_ATTRIB, 2);
}

static void expect_changes(struct srv_req *rq, struct own *o)
{
    const void *arg = rq->c->arg;

    switch (rq->c->in.opcode) {
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_SYMLINK:
    case FUSE_LINK:
        expect_new(rq, o, 0);
        break;
    case FUSE_CREATE:
    case VIOFS_CREATE:
        expect_new(rq, o, ((const struct fuse_create_in *)arg)->flags & O_TRUNC ? WATCH_MODIFY : 0);
        break;
    case FUSE_UNLINK:
    case FUSE_RMDIR:
        expect(o, rq->inode, rq->c->name[0].s, WATCH_DELETE);
        break;
    case FUSE_RENAME:
        expect_rename(rq, o, ((const struct fuse_rename_in *)arg)->newdir, 0);
        break;
    case FUSE_RENAME2:
        expect_rename(rq, o, ((const struct fuse_rename2_in *)arg)->newdir,
                      ((const struct fuse_rename2_in *)arg)->flags);
        break;
    case FUSE_OPEN:
    case VIOFS_OPEN:
        if (((const struct fuse_open_in *)arg)->flags & O_TRUNC)
            expect_file(rq, o, rq->inode, WATCH_MODIFY | WATCH_ATTRIB, 1);
        break;
    case FUSE_SETATTR:
        expect_setattr(rq, o);
        break;
    case FUSE_COPY_FILE_RANGE:
        expect_copy(rq, o);
        break;
    case FUSE_WRITE:
    case FUSE_FALLOCATE:
        expect_file(rq, o, rq->inode, WATCH_MODIFY | WATCH_ATTRIB, 1);
        break;
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_IOCTL:
        expect_file(rq, o, rq->inode, WATCH_ATTRIB, 1);
        break;
    default:
        break; /* changes nothing that has a name */
    }
}

int64_t feed_serve(struct srv_req *rq, srv_handler *handler)
{
    struct server *srv = rq->srv;
    struct own o;

    if (!watch_needs_own(srv->watch))
        return handler(rq);
    o.n = 0;
    o.held[0] = o.held[1] = NULL;
    /* It looks in the directory as well. What is watched only afterwards raises events that nobody expects. */
    if (rq->c->in.opcode == FUSE_CREATE || rq->c->in.opcode == VIOFS_CREATE)
        feed_look(rq, rq->inode);
    expect_changes(rq, &o);
    if (o.n)
        watch_own_begin(srv->watch, o.c, o.n, &o.expected);
    rq->found = false;
    int64_t used = handler(rq);
    if (o.n) {
        unsigned done = used == VU_LATER || rq->err != 0 ? 0 : ~0u;
        if (rq->found) /* CREATE of a name that was there: it is not what made it */
            done &= ~(unsigned)WATCH_CREATE;
        watch_own_end(srv->watch, o.c, o.n, &o.expected, done);
    }
    for (unsigned i = 0; i < 2; i++)
        if (o.held[i])
            inode_put(srv->tree, o.held[i]);
    return used;
}
