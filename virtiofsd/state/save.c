// SPDX-License-Identifier: BSD-3-Clause
/*
 * save.c - what another daemon needs to go on with a guest (see state.h)
 *
 * Theory of operation
 *
 *   Written when the guest has been stopped and no request runs, in this order:
 *
 *     SESSION   live (u8), FUSE_* flags (u64), minor (u32), VIOFS_FEATURE_* (u32); the share's root: file system type,
 *               inode number, stamp (u64 each), kind of stamp (u8)
 *     INODE     id, parent's id, nlookup, inode number, stamp (u64 each), type (u8), TREE_MOVED_* (u8), on the
 *               root's file system (u8), name (bytes), type of file handle (u32), file handle (bytes)
 *     WATCH     node (u64), the client's number of a subtree whose changes it wants (u64)
 *     HANDLE    number, node (u64 each), O_* (u32), kind (u8), flock (u8: F_RDLCK and so on)
 *     LOCKS     node, owner (u64 each), process (u32), ranges (u16): each type (u8), first and last byte (u64 each)
 *
 *   A session that is not live has no other records.
 *
 *   Locks are given up when they have been written: both daemons may see one file system, and two cannot hold them.
 *   If the guest stays after all, state_resumed() takes them again. Between the two somebody else may have taken one,
 *   which the log then says; the guest cannot be told.
 *
 *   A file that is open and that no other daemon could find ends the migration, before the guest has left.
 *
 * Locks: the session gate for writing.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/log.h"
#include "server/request.h"
#include "state/state.h"
#include "state/stream.h"
#include "tree/move.h"

struct save {
    struct server *srv;
    struct stream_out *out;
    bool abort; /* --migration-on-error=abort */
};

static void save_session(const struct save *s)
{
    const struct session *session = &s->srv->session;
    struct stream_out *o = s->out;
    struct tree_share share;

    tree_share_of(s->srv->tree, &share);
    stream_record(o, STREAM_SESSION);
    stream_put_u8(o, session->live);
    stream_put_u64(o, session->flags);
    stream_put_u32(o, session->dialect.minor);
    stream_put_u32(o, atomic_load(&session->features));
    stream_put_u64(o, share.f_type);
    stream_put_u64(o, share.ino);
    stream_put_u64(o, share.stamp);
    stream_put_u8(o, share.stamp_kind);
    stream_record_end(o);
}

static int save_inode(void *ctx, const struct tree_moved *m)
{
    struct stream_out *o = ((struct save *)ctx)->out;

    stream_record(o, STREAM_INODE);
    stream_put_u64(o, m->id);
    stream_put_u64(o, m->parent);
    stream_put_u64(o, m->nlookup);
    stream_put_u64(o, m->ino);
    stream_put_u64(o, m->stamp);
    stream_put_u8(o, m->type);
    stream_put_u8(o, m->flags);
    stream_put_u8(o, m->root_mount);
    stream_put_bytes(o, m->name, (uint16_t)strlen(m->name));
    stream_put_u32(o, (uint32_t)m->handle_type);
    stream_put_bytes(o, m->handle, m->handle_bytes);
    stream_record_end(o);
    return o->err;
}

static void save_watches(const struct save *s)
{
    const struct kept_session *k = s->srv->kept_session;

    for (unsigned i = 0; i < WATCH_SUBTREES_MAX; i++) {
        uint64_t node = atomic_load(&k->watch[i].node);
        if (!node)
            continue;
        stream_record(s->out, STREAM_WATCH);
        stream_put_u64(s->out, node);
        stream_put_u64(s->out, atomic_load(&k->watch[i].number));
        stream_record_end(s->out);
    }
}

static int refuse_open(const struct save *s, struct inode *inode)
{
    char path[512];

    log_error("migration: %s is open in the guest and another host cannot find it: it has been "
              "deleted or moved out of the share; close it in the guest, or use "
              "--migration-mode=file-handles or --migration-on-error=guest-error",
              tree_path(s->srv->tree, inode, path, sizeof(path)));
    return -ENOENT;
}

static int save_handle(void *ctx, const struct handle_record *r)
{
    struct save *s = ctx;
    struct inode *inode = inode_get(s->srv->tree, r->node);
    int err = 0;

    if (!inode)
        return -ESTALE;
    bool lost = inode_unsent(inode);
    if (lost && s->abort)
        err = refuse_open(s, inode);
    inode_put(s->srv->tree, inode);
    if (lost)
        return err;
    stream_record(s->out, STREAM_HANDLE);
    stream_put_u64(s->out, r->fh);
    stream_put_u64(s->out, r->node);
    stream_put_u32(s->out, (uint32_t)(r->flags & ~O_TRUNC)); /* that has been done */
    stream_put_u8(s->out, (uint8_t)r->kind);
    stream_put_u8(s->out, r->flock);
    stream_record_end(s->out);
    return s->out->err;
}

static int save_locks(void *ctx, void *file, uint64_t owner, uint32_t pid,
                      const struct lock_ranges *ranges)
{
    enum { PER_RECORD = 2048 };
    struct stream_out *o = ((struct save *)ctx)->out;
    struct inode *inode = file;

    if (inode_unsent(inode))
        return 0;
    if (!ranges) {
        log_error("migration: the guest has a lock with thousands of parts from before virtiofsd "
                  "was replaced, and which they are is not known any more; try again when it has "
                  "been released");
        return -EOPNOTSUPP;
    }
    for (uint32_t done = 0; done < ranges->n;) {
        uint32_t left = ranges->n - done, some = left < PER_RECORD ? left : PER_RECORD;
        stream_record(o, STREAM_LOCKS);
        stream_put_u64(o, inode_id(inode));
        stream_put_u64(o, owner);
        stream_put_u32(o, pid);
        stream_put_u16(o, (uint16_t)some);
        for (uint32_t end = done + some; done < end; done++) {
            stream_put_u8(o, (uint8_t)ranges->at[done].type);
            stream_put_u64(o, ranges->at[done].start);
            stream_put_u64(o, ranges->at[done].end);
        }
        stream_record_end(o);
    }
    return o->err;
}

static int save_all(struct save *s)
{
    struct server *srv = s->srv;
    bool handles = srv->conf->migration_mode == MIGRATE_HANDLES;

    save_session(s);
    if (!srv->session.live)
        return 0;
    int err = tree_export(srv->tree, handles, save_inode, s);
    if (!err)
        save_watches(s);
    if (!err)
        err = handles_each(srv, save_handle, s);
    if (!err)
        err = locks_each(srv->locks, save_locks, s);
    if (!err)
        locks_hand_over(srv->locks);
    return err;
}

int state_save(void *ctx, void *thread, struct stream_out *out)
{
    struct server *srv = ctx;
    struct save s = {
        .srv = srv, .out = out, .abort = srv->conf->migration_on_error == ON_ERROR_ABORT};

    (void)thread;
    pthread_rwlock_wrlock(&srv->gate);
    int err = save_all(&s);
    pthread_rwlock_unlock(&srv->gate);
    return err;
}

void state_resumed(void *ctx)
{
    struct server *srv = ctx;

    if (srv->session.live)
        locks_take_back(srv->locks);
}
