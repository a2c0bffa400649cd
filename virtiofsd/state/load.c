// SPDX-License-Identifier: BSD-3-Clause
/*
 * load.c - going on with a guest that another daemon served (see state.h)
 *
 * Theory of operation
 *
 *   save.c says what the records are. They are the other host's claims: each number is checked as one of a guest's
 *   would be, nothing is opened that a guest of this share could not open, and a session that came to nothing
 *   leaves nothing behind.
 *
 *   Files are opened and locks taken before the guest runs. With --migration-on-error=guest-error a file that
 *   cannot be had is left out and its requests fail in the guest; a lock is never left out, since whoever holds it
 *   here would write into the same file.
 *
 * Locks: the session gate for writing.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/log.h"
#include "server/feed.h"
#include "server/request.h"
#include "state/state.h"
#include "state/stream.h"
#include "tree/move.h"

#define OUR_FLAGS (O_ACCMODE | O_APPEND | O_SYNC | O_DSYNC | O_DIRECT | O_NOATIME)

struct load {
    struct server *srv;
    struct stream_in *in;
    struct tree_import *inodes;
    bool lose; /* --migration-on-error=guest-error */
    bool live;
    uint64_t flags;
    uint32_t minor, features;
    unsigned n_watches;
};

static int load_session(struct load *l)
{
    struct stream_in *in = l->in;
    struct tree_share from = {0};

    l->live = stream_get_u8(in);
    l->flags = stream_get_u64(in);
    l->minor = stream_get_u32(in);
    l->features = stream_get_u32(in);
    from.f_type = stream_get_u64(in);
    from.ino = stream_get_u64(in);
    from.stamp = stream_get_u64(in);
    from.stamp_kind = stream_get_u8(in);
    int err = stream_record_done(in);
    if (err || !l->live)
        return err;
    if ((err = session_may_begin(l->srv, l->minor, l->flags)) < 0)
        return err;
    return tree_import_begin(l->srv->tree, &from, &l->inodes);
}

static int load_inode(struct load *l)
{
    struct stream_in *in = l->in;
    char name[NAME_MAX + 1] = "";
    struct tree_moved m = {.name = name};
    uint16_t len;

    m.id = stream_get_u64(in);
    m.parent = stream_get_u64(in);
    m.nlookup = stream_get_u64(in);
    m.ino = stream_get_u64(in);
    m.stamp = stream_get_u64(in);
    m.type = stream_get_u8(in);
    m.flags = stream_get_u8(in);
    m.root_mount = stream_get_u8(in);
    const uint8_t *bytes = stream_get_bytes(in, &len);
    if (len > NAME_MAX || (len && memchr(bytes, '\0', len)))
        return -EPROTO;
    if (len)
        memcpy(name, bytes, len);
    m.handle_type = (int32_t)stream_get_u32(in);
    m.handle = stream_get_bytes(in, &m.handle_bytes);
    int err = stream_record_done(in);
    return err ? err : tree_import(l->inodes, &m, l->lose);
}

/* Covered when the session goes on. */
static int load_watch(struct load *l)
{
    uint64_t node = stream_get_u64(l->in), number = stream_get_u64(l->in);
    struct kept_session *k = l->srv->kept_session;
    int err = stream_record_done(l->in);

    if (err)
        return err;
    struct inode *inode = inode_get(l->srv->tree, node);
    bool good =
        inode && inode_type(inode) == S_IFDIR && number && l->n_watches < WATCH_SUBTREES_MAX;
    inode_put(l->srv->tree, inode);
    if (!good)
        return -EPROTO;
    atomic_store(&k->watch[l->n_watches].number, number);
    atomic_store(&k->watch[l->n_watches++].node, node);
    return 0;
}

/* ---- open files ------------------------------------------------------------------------------ */

static bool handle_fits(const struct server *srv, const struct handle_record *r, mode_t type)
{
    if ((unsigned)r->kind > HANDLE_DIR || type != (r->kind == HANDLE_DIR ? S_IFDIR : S_IFREG))
        return false;
    if ((r->flags & ~OUR_FLAGS) || (r->flags & O_ACCMODE) == O_ACCMODE)
        return false;
    return (r->flags & O_ACCMODE) == O_RDONLY || (r->kind == HANDLE_FILE && !srv->conf->readonly);
}

/* Return: 0; -errno when it is not to be had (logged), and there is no such handle. */
static int open_handle(struct load *l, const struct handle_record *r, struct inode *inode)
{
    struct server *srv = l->srv;
    char path[512];
    int err = handles_place(srv, r);

    if (err < 0)
        return err;
    struct handle *h = handle_get(srv, r->fh, r->kind, inode);
    if (!h) {
        handle_release(srv, r->fh, r->kind, inode);
        log_error("migration: %s was open in the guest and cannot be opened here",
                  tree_path(srv->tree, inode, path, sizeof(path)));
        return -EACCES;
    }
    if (r->flock != F_UNLCK && (err = locks_flock(srv->locks, h, r->flock)) < 0)
        log_error("migration: %s: somebody else has the lock on it that the guest had: %s",
                  tree_path(srv->tree, inode, path, sizeof(path)), strerror(-err));
    handle_put(srv, h);
    return err < 0 ? -EDEADLK : 0;
}

static int load_handle(struct load *l)
{
    struct stream_in *in = l->in;
    struct handle_record r = {0};

    r.fh = stream_get_u64(in);
    r.node = stream_get_u64(in);
    r.flags = (int)stream_get_u32(in);
    r.kind = (enum handle_kind)stream_get_u8(in);
    r.flock = stream_get_u8(in);
    int err = stream_record_done(in);
    if (err)
        return err;
    if (r.flock != F_UNLCK && r.flock != F_RDLCK && r.flock != F_WRLCK)
        return -EPROTO;
    struct inode *inode = inode_get(l->srv->tree, r.node);
    if (!inode)
        return -EPROTO;
    if (!handle_fits(l->srv, &r, inode_type(inode)))
        err = -EPROTO;
    else if (!inode_lost(inode))
        err = open_handle(l, &r, inode);
    inode_put(l->srv->tree, inode);
    return err == -EACCES && l->lose ? 0 : err;
}

/* ---- locks ----------------------------------------------------------------------------------- */

static int load_locks(struct load *l)
{
    struct stream_in *in = l->in;
    struct server *srv = l->srv;
    uint64_t node = stream_get_u64(in), owner = stream_get_u64(in);
    uint32_t pid = stream_get_u32(in), n = stream_get_u16(in);
    char path[512];
    int err = in->err;
    struct inode *inode = err ? NULL : inode_get(srv->tree, node);

    if (!inode)
        return -EPROTO;
    bool lost = inode_lost(inode);
    for (uint32_t i = 0; i < n && !err; i++) {
        struct fuse_lk_in lk = {.owner = owner, .lk = {.pid = pid}};
        lk.lk.type = stream_get_u8(in);
        lk.lk.start = stream_get_u64(in);
        lk.lk.end = stream_get_u64(in);
        if (in->err || lk.lk.type == F_UNLCK || inode_type(inode) != S_IFREG)
            err = -EPROTO;
        else if (!lost && (err = locks_record(srv->locks, inode, &lk)) < 0)
            log_error("migration: %s: somebody else has a lock on it that the guest had: %s",
                      tree_path(srv->tree, inode, path, sizeof(path)), strerror(-err));
    }
    inode_put(srv->tree, inode);
    return err ? err : stream_record_done(in);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int load_record(struct load *l, int kind)
{
    if (!l->inodes)
        return -EPROTO; /* a session that is not live has no more */
    switch (kind) {
    case STREAM_INODE:
        return load_inode(l);
    case STREAM_WATCH:
        return load_watch(l);
    case STREAM_HANDLE:
        return load_handle(l);
    case STREAM_LOCKS:
        return load_locks(l);
    default:
        return -EPROTO;
    }
}

static int load_all(struct load *l, int kind)
{
    if (kind != STREAM_SESSION)
        return kind < 0 ? kind : -EPROTO;
    if (l->srv->session.live) {
        log_error("migration: this virtiofsd serves a guest already; start a fresh one for each "
                  "virtual machine that arrives");
        return -EBUSY;
    }
    int err = load_session(l);
    while (!err && (kind = stream_next(l->in)) > STREAM_END)
        err = load_record(l, kind);
    if (!err && kind < 0)
        err = kind;
    if (err == -EPROTO)
        log_error("migration: what arrived makes no sense, or was cut off (record %llu)",
                  (unsigned long long)l->in->records);
    return err;
}

int state_load(void *ctx, void *thread, struct stream_in *in, int kind)
{
    struct server *srv = ctx;
    struct load l = {.srv = srv, .in = in, .lose = srv->conf->migration_on_error == ON_ERROR_GUEST};

    (void)thread;
    pthread_rwlock_wrlock(&srv->gate);
    int err = load_all(&l, kind);
    tree_import_end(l.inodes);
    if (l.inodes)
        handles_settle(srv);
    if (!err && l.live)
        session_begin(srv, l.minor, l.flags, l.features);
    else if (err != -EBUSY)
        session_reset(srv);
    pthread_rwlock_unlock(&srv->gate);
    return err;
}
