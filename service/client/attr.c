// SPDX-License-Identifier: BSD-3-Clause
/*
 * attr.c - attributes: cached, asked for, changed
 *
 * Theory of operation
 *
 *   Attributes hold for as long as the host said. Our own changes end that, and so that an answer which
 *   was given before the change cannot bring the old values back, an answer is only cached if its
 *   question is not older than the last change (node->attr_changed).
 *
 *   A directory's mtime says whether names came or went. One that is new although we changed nothing means
 *   that the host's side did, and the names that we know there hold no longer. After a change of ours the
 *   next mtime is taken as that change's; if the host's side changed the directory in the same moment, that
 *   shows when the names expire.
 *
 *   Birth times come with every entry where the daemon has our extension. With others STATX replaces the
 *   first GETATTR of a node, if the user of the client wants birth times (opt.want_btime); a birth time never
 *   changes, so it is kept.
 *
 *   What is stored in extended attributes is in some answers only (meta.c). Where one lacks it, what was heard before
 *   stays for as long as the host said then; attributes that are not complete are asked for.
 *
 * Locks: node->lock; c->tree for ending an era, not at the same time.
 */
#include "service/client/client_int.h"

enum { WRITTEN_HOLDS_MS = 1000, UNTOLD_HOLDS_MS = 1000, LONG_MS = 60000 };

static bool same_time(struct cli_time a, struct cli_time b)
{
    return a.sec == b.sec && a.nsec == b.nsec;
}

uint64_t cli_stamp(struct cli *c)
{
    return atomic_load(&c->clock);
}

/* Did somebody else change names in this directory? node->lock held; `a` is newer than node->attr. */
static bool changed_by_others(struct cli_node *n, const struct cli_attr *a)
{
    if (n->type != LX_S_IFDIR || !n->has_attr || same_time(n->attr.mtime, a->mtime))
        return false;
    if (n->own_change) {
        n->own_change = false;
        return false;
    }
    return true;
}

/* What the host told once and this answer leaves out. node->lock held. */
static struct cli_attr merged(struct cli *c, const struct cli_node *n, const struct cli_attr *a)
{
    struct cli_attr m = *a;
    bool same = n->has_attr && n->attr.ino == a->ino;

    if (same && !a->has_btime && n->attr.has_btime) {
        m.btime = n->attr.btime;
        m.has_btime = true;
    }
    if (same && !a->extended && !a->meta_known) {
        bool holds = n->attr.meta_known && cli_clock_ms() < n->meta_until;

        if (holds)
            cli_meta_copy(&m, &n->attr);
        m.extended = n->attr.extended && (holds || !atomic_load(&c->meta));
    }
    return m;
}

/* Does the host have a birth time that we have not asked for? node->lock held. */
static bool wants_birth_time(struct cli *c, const struct cli_node *n)
{
    return c->opt.want_btime && !cli_enosys(c, VIOFS_FUSE_STATX) && !n->btime_asked &&
           !(n->has_attr && n->attr.has_btime);
}

/* Do the node's attributes say what is stored, if that is wanted? node->lock held. */
static bool has_meta(struct cli *c, const struct cli_node *n)
{
    return atomic_load(&c->meta) ? n->attr.extended : n->attr.meta_known || !cli_dos_wanted(c, n);
}

/* Do they say all that the user of the client wants to know? node->lock held. */
static bool complete(struct cli *c, const struct cli_node *n)
{
    if (atomic_load(&c->extension) && n->attr.extended)
        return true;
    return !wants_birth_time(c, n) && has_meta(c, n);
}

/* For fold.c: since when a directory is as it is, and what time it is on the host at least. */
static void note_times(struct cli *c, struct cli_node *n, const struct cli_attr *a)
{
    int64_t now = atomic_load(&c->host_now);

    while (a->ctime.sec > now && !atomic_compare_exchange_weak(&c->host_now, &now, a->ctime.sec))
        ;
    if (!n->has_attr || !same_time(n->attr.mtime, a->mtime) || !same_time(n->attr.ctime, a->ctime))
        n->times_ms = cli_clock_ms();
}

uint64_t cli_hold_ms(struct cli *c, uint64_t valid_ms)
{
    /* Long validities are for as long as changes are told. */
    uint64_t most =
        atomic_load(&c->feed.offered) && !atomic_load(&c->feed.live) ? UNTOLD_HOLDS_MS : UINT64_MAX;

    if (c->opt.longest_ms && c->opt.longest_ms < most)
        most = c->opt.longest_ms;
    return valid_ms < most ? valid_ms : most;
}

/* What an answer says. @own: it answers a change, which makes every other answer on its way old. */
static int store(struct cli *c, struct cli_node *n, const struct cli_attr *a, uint64_t valid_ms,
                 uint64_t stamp, bool own)
{
    bool changed = false;

    if ((a->mode & LX_S_IFMT) != n->type)
        return -LE_EIO;
    valid_ms = stamp < atomic_load(&c->doubted) ? 0 : cli_hold_ms(c, valid_ms);
    cli_mutex_lock(&n->lock);
    if (stamp >= n->attr_changed) {
        changed = changed_by_others(n, a);
        note_times(c, n, a);
        n->attr = merged(c, n, a);
        n->has_attr = true;
        n->attr_until = n->mode_until = valid_ms ? cli_clock_ms() + valid_ms : 0;
        n->attr_long = valid_ms >= LONG_MS;
        n->size_doubt = false;
        if (a->meta_known || a->extended)
            n->meta_until = n->attr_until;
        n->heard = atomic_fetch_add(&c->heard, 1) + 1;
    } else if (own) {
        n->heard = n->attr_until = n->mode_until =
            0; /* two changes at once: nobody knows which came last */
    }
    if (own)
        n->attr_changed = atomic_fetch_add(&c->clock, 1) + 1;
    cli_mutex_unlock(&n->lock);
    if (changed) {
        cli_mutex_lock(&c->tree);
        n->era++;
        cli_mutex_unlock(&c->tree);
    }
    return 0;
}

/** cli_attr_store() - see client_int.h */
int cli_attr_store(struct cli *c, struct cli_node *n, const struct cli_attr *a, uint64_t valid_ms,
                   uint64_t stamp)
{
    return store(c, n, a, valid_ms, stamp, false);
}

void cli_attr_changed(struct cli *c, struct cli_node *n)
{
    cli_mutex_lock(&n->lock);
    n->size_doubt = true;
    n->heard = n->attr_until = n->mode_until = n->meta_until = 0;
    n->attr_changed = atomic_fetch_add(&c->clock, 1) + 1;
    cli_mutex_unlock(&n->lock);
}

void cli_attr_wrote(struct cli *c, struct cli_node *n, uint64_t end, uint64_t stamp)
{
    uint64_t soon = cli_clock_ms() + WRITTEN_HOLDS_MS;

    cli_mutex_lock(&n->lock);
    if (stamp < n->size_set)
        n->attr_until = 0; /* before or after our truncation? */
    else if (end > n->attr.size)
        n->attr.size = end;
    if (n->attr_until > soon)
        n->attr_until = soon;
    n->attr_changed = atomic_fetch_add(&c->clock, 1) + 1;
    cli_mutex_unlock(&n->lock);
}

/** cli_attr_appended() - see client_int.h */
void cli_attr_appended(struct cli *c, struct cli_node *n, uint64_t bytes)
{
    cli_mutex_lock(&n->lock);
    n->attr.size += bytes;
    n->heard = n->attr_until = n->mode_until = 0;
    n->attr_changed = atomic_fetch_add(&c->clock, 1) + 1;
    cli_mutex_unlock(&n->lock);
}

bool cli_attr_peek(struct cli *c, struct cli_node *n, struct cli_attr *out)
{
    bool holds;

    cli_mutex_lock(&n->lock);
    holds = n->has_attr && cli_clock_ms() < n->attr_until && complete(c, n);
    if (holds)
        *out = n->attr;
    cli_mutex_unlock(&n->lock);
    return holds;
}

/** cli_size_known() - see client_int.h */
bool cli_size_known(struct cli *c, struct cli_node *n, bool lately)
{
    bool known;

    (void)c;
    cli_mutex_lock(&n->lock);
    known = n->has_attr && !n->size_doubt;
    if (lately && n->attr_until) /* a host that lets nothing be cached is not asked each time */
        known = known && cli_clock_ms() < n->attr_until;
    cli_mutex_unlock(&n->lock);
    return known;
}

/** cli_attr_is_long() - see client_int.h */
bool cli_attr_is_long(struct cli *c, struct cli_node *n)
{
    bool is;

    (void)c;
    cli_mutex_lock(&n->lock);
    is = n->attr_long && cli_clock_ms() < n->attr_until;
    cli_mutex_unlock(&n->lock);
    return is;
}

/** cli_attr_known() - see client.h */
bool cli_attr_known(struct cli *c, struct cli_node *n, struct cli_attr *out)
{
    bool known;

    (void)c;
    cli_mutex_lock(&n->lock);
    known = n->has_attr;
    if (known)
        *out = n->attr;
    cli_mutex_unlock(&n->lock);
    return known;
}

/** cli_forget_attr() - see client.h */
void cli_forget_attr(struct cli *c, struct cli_node *n)
{
    (void)c;
    cli_mutex_lock(&n->lock);
    n->heard = n->attr_until = n->mode_until = n->meta_until = 0;
    cli_mutex_unlock(&n->lock);
}

/* ---- asking ---------------------------------------------------------------------------------------- */

/* STATX, for hosts without our extension, the first time a node's birth time is wanted. */
static int ask_statx(struct cli *c, struct cli_node *n, struct cli_attr *out)
{
    struct viofs_statx_in in = {.sx_mask = VIOFS_STATX_ALL};
    struct viofs_statx_out reply = {0};
    struct cli_req r = {
        .opcode = VIOFS_FUSE_STATX,
        .node = n,
        .arg = {{&in, sizeof(in)}},
        .reply = &reply,
        .reply_cap = sizeof(reply),
        .reply_min = sizeof(reply),
    };
    uint64_t stamp = cli_stamp(c);
    int e = cli_call(c, &r);

    if (e >= 0)
        e = cli_statx_parse(&reply.stat, out);
    if (e < 0)
        return e;
    cli_mutex_lock(&n->lock);
    n->btime_asked = true;
    cli_mutex_unlock(&n->lock);
    return cli_attr_store(c, n, out, cli_ms(reply.attr_valid, reply.attr_valid_nsec), stamp);
}

struct attr_reply {
    struct fuse_attr_out out;
    struct fuse_viofs_ext ext;
};

/* What GETATTR and SETATTR answer. */
static int take_reply(struct cli *c, struct cli_node *n, const struct attr_reply *reply, bool ext,
                      bool own, uint64_t stamp, struct cli_attr *out)
{
    int e = cli_attr_parse(&reply->out.attr, ext ? &reply->ext : NULL, out);

    if (e < 0)
        return e;
    return store(c, n, out, cli_ms(reply->out.attr_valid, reply->out.attr_valid_nsec), stamp, own);
}

void cli_attr_take(struct cli *c, struct cli_node *n, const struct fuse_attr_out *out,
                   const struct fuse_viofs_ext *ext, uint64_t stamp)
{
    struct cli_attr a;

    if (cli_attr_parse(&out->attr, ext, &a) == 0)
        (void)store(c, n, &a, cli_ms(out->attr_valid, out->attr_valid_nsec), stamp, false);
}

static int ask(struct cli *c, struct cli_node *n, bool ext, struct cli_attr *out)
{
    struct fuse_getattr_in in = {0};
    struct attr_reply reply;
    uint32_t len = ext ? sizeof(reply) : sizeof(reply.out);
    struct cli_req r = {
        .opcode = ext ? VIOFS_GETATTR : (uint32_t)FUSE_GETATTR,
        .node = n,
        .arg = {{&in, sizeof(in)}},
        .reply = &reply,
        .reply_cap = len,
        .reply_min = len,
    };
    uint64_t stamp = cli_stamp(c);
    int e = cli_call(c, &r);

    return e < 0 ? e : take_reply(c, n, &reply, ext, false, stamp, out);
}

/** cli_root_ask() - see client_int.h */
int cli_root_ask(struct cli *c, struct cli_attr *out)
{
    bool ext = atomic_load(&c->extension);
    struct fuse_getattr_in in = {0};
    struct attr_reply reply;
    uint32_t len = ext ? sizeof(reply) : sizeof(reply.out);
    struct cli_req r = {
        .opcode = ext ? VIOFS_GETATTR : (uint32_t)FUSE_GETATTR,
        .arg = {{&in, sizeof(in)}},
        .reply = &reply,
        .reply_cap = len,
        .reply_min = len,
    };
    uint64_t stamp = cli_stamp(c);
    int e = cli_call_raw(c, CLI_ROOT_ID, &r);

    return e < 0 ? e : take_reply(c, c->root, &reply, ext, false, stamp, out);
}

static bool wants_statx(struct cli *c, struct cli_node *n)
{
    bool wanted;

    cli_mutex_lock(&n->lock);
    wanted = wants_birth_time(c, n);
    cli_mutex_unlock(&n->lock);
    return wanted;
}

static int ask_any(struct cli *c, struct cli_node *n, struct cli_attr *out)
{
    int e = -LE_ENOSYS;

    if (atomic_load(&c->extension))
        e = ask(c, n, true, out);
    else if (wants_statx(c, n))
        e = ask_statx(c, n, out);
    /* Unknown to this host, or another one than before. */
    return e == -LE_ENOSYS ? ask(c, n, false, out) : e;
}

/* Is only what is stored missing? Then *out gets the rest. */
static bool lacks_dos_only(struct cli *c, struct cli_node *n, struct cli_attr *out)
{
    bool only;

    cli_mutex_lock(&n->lock);
    only = n->has_attr && cli_clock_ms() < n->attr_until && !wants_birth_time(c, n);
    if (only)
        *out = n->attr;
    cli_mutex_unlock(&n->lock);
    return only;
}

/* Of a host that tells nothing of what is stored: both questions at a time. */
static int ask_with_dos(struct cli *c, struct cli_node *n, bool fresh, struct cli_attr *out)
{
    struct cli_dos dos;
    int e = 0;

    cli_dos_begin(c, n, &dos);
    if (fresh || !lacks_dos_only(c, n, out))
        e = ask_any(c, n, out);
    cli_dos_end(c, n, &dos, out);
    return e;
}

/** cli_getattr() - see client.h */
int cli_getattr(struct cli *c, struct cli_node *n, bool fresh, struct cli_attr *out)
{
    if (!fresh && cli_attr_peek(c, n, out))
        return 0;
    int e = cli_dos_wanted(c, n) ? ask_with_dos(c, n, fresh, out) : ask_any(c, n, out);
    if (e < 0)
        return e;
    cli_mutex_lock(&n->lock);
    *out = merged(c, n, out);
    cli_mutex_unlock(&n->lock);
    return 0;
}

/** cli_mark() - see client.h */
uint64_t cli_mark(struct cli *c)
{
    return atomic_load(&c->heard);
}

/** cli_attr_since() - see client.h */
bool cli_attr_since(struct cli *c, struct cli_node *n, uint64_t mark, struct cli_attr *out)
{
    bool new;

    cli_mutex_lock(&n->lock);
    new = n->has_attr && n->heard > mark &&complete(c, n);
    if (new)
        *out = n->attr;
    cli_mutex_unlock(&n->lock);
    return new;
}

/** cli_getmode() - see client.h */
int cli_getmode(struct cli *c, struct cli_node *n, struct cli_attr *out)
{
    bool holds;

    cli_mutex_lock(&n->lock);
    holds = n->has_attr && cli_clock_ms() < n->mode_until && has_meta(c, n);
    if (holds)
        *out = n->attr;
    cli_mutex_unlock(&n->lock);
    return holds ? 0 : cli_getattr(c, n, false, out);
}

/* ---- changing -------------------------------------------------------------------------------------- */

static struct fuse_setattr_in setattr_args(uint32_t mask, const struct cli_attr *a)
{
    /* FATTR_* by the bits of enum cli_set, in its order */
    static const uint32_t fattr[] = {FATTR_MODE,  FATTR_SIZE, FATTR_ATIME, FATTR_MTIME,
                                     FATTR_CTIME, FATTR_UID,  FATTR_GID};
    struct fuse_setattr_in in = {
        .size = a->size,
        .atime = (uint64_t)a->atime.sec,
        .mtime = (uint64_t)a->mtime.sec,
        .ctime = (uint64_t)a->ctime.sec,
        .atimensec = a->atime.nsec,
        .mtimensec = a->mtime.nsec,
        .ctimensec = a->ctime.nsec,
        .mode = a->mode & 07777,
        .uid = a->uid,
        .gid = a->gid,
    };

    for (unsigned i = 0; i < sizeof(fattr) / sizeof(fattr[0]); i++) {
        if (mask & 1u << i)
            in.valid |= fattr[i];
    }
    return in;
}

bool cli_kills_priv(struct cli *c, struct cli_node *n)
{
    bool kills;

    if (!atomic_load(&c->killpriv))
        return false;
    cli_mutex_lock(&n->lock);
    kills = !n->has_attr || (n->attr.mode & (LX_S_ISUID | LX_S_ISGID));
    cli_mutex_unlock(&n->lock);
    return kills;
}

static int send_setattr(struct cli *c, struct cli_node *n, struct fuse_setattr_in *in,
                        const struct cli_handle *h, struct cli_attr *out)
{
    struct attr_reply reply;
    struct cli_req r = {
        .opcode = FUSE_SETATTR,
        .node = n,
        .session = h ? h->session : 0,
        .arg = {{in, sizeof(*in)}},
        .reply = &reply,
        .reply_cap = sizeof(reply.out),
        .reply_min = sizeof(reply.out),
    };

    if (h) {
        in->fh = h->fh;
        in->valid |= FATTR_FH;
    }
    uint64_t stamp = cli_stamp(c);
    int e = cli_call(c, &r);
    if (in->valid & FATTR_SIZE) {
        cli_mutex_lock(&n->lock);
        n->size_set = atomic_fetch_add(&c->clock, 1) + 1;
        cli_mutex_unlock(&n->lock);
    }
    return e < 0 ? e : take_reply(c, n, &reply, false, true, stamp, out);
}

/** cli_setattr() - see client.h */
int cli_setattr(struct cli *c, struct cli_node *n, uint32_t mask, const struct cli_attr *a,
                struct cli_attr *out)
{
    struct fuse_setattr_in in = setattr_args(mask, a);
    struct cli_handle h;
    struct cli_attr now;
    int e = -LE_ESTALE;

    if ((mask & CLI_SET_SIZE) && cli_kills_priv(c, n))
        in.valid |= FATTR_KILL_SUIDGID;
    if ((mask & CLI_SET_SIZE) && cli_handle_hold(c, n, CLI_WRITE, &h)) {
        e = send_setattr(c, n, &in, &h, &now);
        cli_handle_drop(c, n, &h);
        in.valid &= ~(uint32_t)FATTR_FH;
    }
    if (e == -LE_ESTALE) /* no handle, or one of a session that is over */
        e = send_setattr(c, n, &in, NULL, &now);
    if (!e && out) {
        cli_mutex_lock(&n->lock);
        *out = merged(c, n, &now);
        cli_mutex_unlock(&n->lock);
    }
    return e;
}
