// SPDX-License-Identifier: BSD-3-Clause
/*
 * file.c - files: their openers, and the FUSE handles that the openers share
 *
 * Theory of operation
 *
 *   Windows opens a file many times, and pages in and out through whichever opener came first, whatever that one
 *   asked for. FUSE handles therefore belong to the node. A node with openers has at most three: one for
 *   reading, one for writing (opened O_RDWR where the host allows it, so that it serves reading too), and
 *   one for appending (O_APPEND: the host's kernel then puts each WRITE at the end, atomically, and ignores
 *   its offset; hence a handle of its own). Each is opened when first needed, by one thread; others that need
 *   it meanwhile wait for that one's answer.
 *
 *   A handle is held by the node while it has openers, and by each request that uses it. The last to
 *   let go sends RELEASE: so it comes after every answer to a READ or WRITE, and nobody waits for it.
 *
 *   Handles know their session. One of an older session is never found again: it is replaced by the
 *   next one who needs it, which finds the node in the new session first (cli_call()). So is one that the host does not
 *   know although it knows the session (io.c).
 *
 * Ownership: node->io lives while the node has openers. A struct cli_open is counted (holders), and holds
 *   its node. Locks: node->lock guards node->io and what it points to; not held across a round trip.
 */
#include <stdlib.h>

#include "service/client/file_int.h"

struct cli_node_io {
    uint32_t openers;
    struct cli_open *handle[CLI_PURPOSES]; /* each held once */
    bool opening[CLI_PURPOSES];            /* somebody has asked the host */
    cli_cond opened;                       /* an opening ended */
};

/* ---- handles --------------------------------------------------------------------------------- */

static struct cli_open *open_new(struct cli_node *n, uint32_t access)
{
    struct cli_open *o = calloc(1, sizeof(*o));

    if (!o)
        return NULL;
    o->node = cli_node_get(n);
    o->access = access;
    atomic_init(&o->holders, 1);
    cli_list_init(&o->appends);
    return o;
}

static void open_free(struct cli *c, struct cli_open *o)
{
    cli_node_put(c, o->node);
    free(o);
}

/** cli_open_drop() - see file_int.h */
void cli_open_drop(struct cli *c, struct cli_open *o)
{
    if (!o || atomic_fetch_sub(&o->holders, 1) != 1)
        return;
    cli_release(c, o->node, o->fh, o->session, false);
    open_free(c, o);
}

/* {open, attr, ext} in the order of the wire; a plain OPEN is answered with the first of them */
struct open_reply {
    struct fuse_open_out out;
    struct fuse_attr_out attr;
    struct fuse_viofs_ext ext;
};

static int32_t ask_open_as(struct cli *c, struct cli_open *o, uint32_t flags, bool attr)
{
    struct fuse_open_in in = {.flags = flags};
    struct open_reply reply = {.out = {0}};
    uint32_t len = attr ? sizeof(reply) : sizeof(reply.out);
    struct cli_req r = {
        .opcode = attr ? VIOFS_OPEN : (uint32_t)FUSE_OPEN,
        .no_wait = true, /* others may wait for the handle */
        .node = o->node,
        .arg = {{&in, sizeof(in)}},
        .reply = &reply,
        .reply_cap = len,
        .reply_min = len,
    };
    uint64_t stamp = cli_stamp(c);
    int32_t result = cli_call(c, &r);

    if (result < 0)
        return result;
    o->fh = reply.out.fh;
    o->session = r.session;
    if (attr)
        cli_attr_take(c, o->node, &reply.attr, &reply.ext, stamp);
    return 0;
}

/* Where the host can, an open brings the attributes as they are now: what was cached may be old news. */
static int32_t ask_open(struct cli *c, struct cli_open *o, uint32_t flags)
{
    int32_t result = -LE_ENOSYS;

    if (atomic_load(&c->open_attr))
        result = ask_open_as(c, o, flags, true);
    return result == -LE_ENOSYS ? ask_open_as(c, o, flags, false) : result;
}

/* Have the host open a node. A file that may be written but not read is rare, and costs a second request. */
static int open_on_host(struct cli *c, struct cli_node *n, enum cli_purpose purpose,
                        struct cli_open **out)
{
    static const uint32_t flags[] = {LX_O_RDONLY, LX_O_RDWR, LX_O_WRONLY | LX_O_APPEND};
    static const uint32_t access[] = {CLI_READ, CLI_READ | CLI_WRITE, CLI_WRITE};
    struct cli_open *o = open_new(n, access[purpose]);
    int e;

    if (!o)
        return -LE_ENOMEM;
    e = ask_open(c, o, flags[purpose]);
    if (e == -LE_EACCES && purpose == CLI_FOR_WRITE) {
        o->access = CLI_WRITE;
        e = ask_open(c, o, LX_O_WRONLY);
    }
    if (e) {
        open_free(c, o);
        return e;
    }
    *out = o;
    return 0;
}

/* ---- the handles of a node --------------------------------------------------------------------- */

static bool is_good(const struct cli_open *o, uint32_t session)
{
    return o && o->session == session && !atomic_load(&o->unknown);
}

/* node->lock held. A handle of the live session that is good for a purpose, or NULL. */
static struct cli_open *find(struct cli *c, const struct cli_node_io *io, enum cli_purpose purpose)
{
    struct cli_open *o = io->handle[purpose];
    uint32_t session = cli_session_no(c);

    if (is_good(o, session))
        return o;
    o = io->handle[CLI_FOR_WRITE];
    return purpose == CLI_FOR_READ && is_good(o, session) && (o->access & CLI_READ) ? o : NULL;
}

static void hold(struct cli_open *o)
{
    atomic_fetch_add(&o->holders, 1);
}

/* Make a new handle the node's own. Return: the one whose place it took, to be dropped, or NULL. */
static struct cli_open *install(struct cli_node *n, enum cli_purpose purpose, struct cli_open *o)
{
    struct cli_open *old = n->io->handle[purpose];

    n->io->handle[purpose] = o;
    return old;
}

/** cli_open_hold_now() - see file_int.h */
int cli_open_hold_now(struct cli *c, struct cli_node *n, enum cli_purpose purpose,
                      struct cli_open **out)
{
    struct cli_open *o, *old = NULL;
    int e;

    cli_mutex_lock(&n->lock);
    if (!n->io) { /* closed while a transfer waited for a session */
        cli_mutex_unlock(&n->lock);
        return -LE_EBADF;
    }
    while (!(o = find(c, n->io, purpose)) && n->io->opening[purpose])
        cli_cond_wait(&n->io->opened, &n->lock);
    if (o) {
        hold(o);
        cli_mutex_unlock(&n->lock);
        *out = o;
        return 0;
    }
    n->io->opening[purpose] = true;
    cli_mutex_unlock(&n->lock);

    e = open_on_host(c, n, purpose, &o);

    cli_mutex_lock(&n->lock);
    n->io->opening[purpose] = false;
    cli_cond_wake_all(&n->io->opened);
    if (!e) {
        hold(o);
        old = install(n, purpose, o);
        *out = o;
    }
    cli_mutex_unlock(&n->lock);
    cli_open_drop(c, old);
    return e;
}

/** cli_open_hold() - see file_int.h */
int cli_open_hold(struct cli *c, struct cli_node *n, enum cli_purpose purpose,
                  struct cli_open **out)
{
    uint64_t until = 0;
    int e;

    do
        e = cli_open_hold_now(c, n, purpose, out);
    while (e == -LE_ENOTCONN && cli_await_session(c, &until));
    return e;
}

/** cli_handle_hold() - see client_int.h */
bool cli_handle_hold(struct cli *c, struct cli_node *n, uint32_t access, struct cli_handle *out)
{
    struct cli_open *o = NULL;

    cli_mutex_lock(&n->lock);
    if (n->io)
        o = find(c, n->io, access & CLI_WRITE ? CLI_FOR_WRITE : CLI_FOR_READ);
    if (o && (o->access & access) == access)
        hold(o);
    else
        o = NULL;
    cli_mutex_unlock(&n->lock);
    if (o)
        *out = (struct cli_handle){.fh = o->fh, .session = o->session, .open = o};
    return o;
}

/** cli_handle_drop() - see client_int.h */
void cli_handle_drop(struct cli *c, struct cli_node *n, const struct cli_handle *h)
{
    (void)n;
    cli_open_drop(c, h->open);
}

/* ---- openers ----------------------------------------------------------------------------------- */

static int may_open(struct cli *c, struct cli_node *n, uint32_t access)
{
    switch (n->type) {
    case LX_S_IFREG:
        return (access & CLI_WRITE) && c->opt.read_only ? -LE_EROFS : 0;
    case LX_S_IFDIR:
        return -LE_EISDIR;
    case LX_S_IFLNK:
        return -LE_ELOOP;
    default:
        return -LE_ENXIO; /* a pipe or a device means nothing across machines */
    }
}

static int file_new(struct cli_node *n, uint32_t access, struct cli_file **out)
{
    struct cli_file *f = malloc(sizeof(*f));
    struct cli_node_io *io = calloc(1, sizeof(*io));

    if (!f || !io) {
        free(f);
        free(io);
        return -LE_ENOMEM;
    }
    cli_mutex_lock(&n->lock);
    if (!n->io) {
        n->io = io;
        io = NULL;
    }
    n->io->openers++;
    cli_mutex_unlock(&n->lock);
    free(io);
    f->node = cli_node_get(n);
    f->access = access;
    *out = f;
    return 0;
}

/** cli_file_close() - see client.h */
void cli_file_close(struct cli *c, struct cli_file *f)
{
    struct cli_node_io *io = NULL;
    struct cli_node *n;

    if (!f)
        return;
    n = f->node;
    cli_mutex_lock(&n->lock);
    if (--n->io->openers == 0) {
        io = n->io;
        n->io = NULL;
    }
    cli_mutex_unlock(&n->lock);
    for (unsigned i = 0; io && i < CLI_PURPOSES; i++)
        cli_open_drop(c, io->handle[i]);
    free(io);
    free(f);
    cli_node_put(c, n);
}

/** cli_file_node() - see client.h */
struct cli_node *cli_file_node(struct cli_file *f)
{
    return f->node;
}

/* Open for a purpose now, so that an error is the opener's. */
static int prepare(struct cli *c, struct cli_node *n, enum cli_purpose purpose)
{
    struct cli_open *o;
    int e = cli_open_hold(c, n, purpose, &o);

    if (!e)
        cli_open_drop(c, o);
    return e;
}

/** cli_file_open() - see client.h */
int cli_file_open(struct cli *c, struct cli_node *n, uint32_t access, struct cli_file **out)
{
    struct cli_file *f;
    int e = may_open(c, n, access);

    if (!e)
        e = file_new(n, access, &f);
    if (e)
        return e;
    if (access & CLI_WRITE)
        e = prepare(c, n, CLI_FOR_WRITE);
    if (!e && (access & CLI_READ))
        e = prepare(c, n, CLI_FOR_READ);
    if (e) {
        cli_file_close(c, f);
        return e;
    }
    *out = f;
    return 0;
}

/** cli_file_adopt() - see client_int.h */
int cli_file_adopt(struct cli *c, struct cli_node *n, uint32_t access, uint64_t fh,
                   uint32_t open_flags, uint32_t session, struct cli_file **out)
{
    enum cli_purpose purpose = access & CLI_WRITE ? CLI_FOR_WRITE : CLI_FOR_READ;
    struct cli_open *o = open_new(n, access), *old;
    int e = o ? file_new(n, access, out) : -LE_ENOMEM;

    (void)open_flags;
    if (e) {
        cli_release(c, n, fh, session, false);
        if (o)
            open_free(c, o);
        return e;
    }
    o->fh = fh;
    o->session = session;
    cli_mutex_lock(&n->lock);
    old = install(n, purpose, o);
    cli_mutex_unlock(&n->lock);
    cli_open_drop(c, old);
    return 0;
}

/* ---- what needs a handle ----------------------------------------------------------------------- */

static int32_t sync_through(struct cli *c, struct cli_node *n, uint64_t fh, uint32_t session,
                            bool dir)
{
    struct fuse_fsync_in in = {.fh = fh};
    struct cli_req r = {
        .opcode = dir ? FUSE_FSYNCDIR : FUSE_FSYNC,
        .node = n,
        .session = session,
        .arg = {{&in, sizeof(in)}},
    };
    int32_t result = cli_call(c, &r);

    /* A host that does not know the request has nothing to wait for (as Linux takes it). */
    return result == -LE_ENOSYS ? 0 : result;
}

/* Through a handle for this one request. */
static int sync_opened(struct cli *c, struct cli_node *n, bool dir)
{
    struct fuse_open_in in = {.flags = dir ? LX_O_DIRECTORY : LX_O_RDONLY};
    struct fuse_open_out out;
    struct cli_req r = {
        .opcode = dir ? FUSE_OPENDIR : FUSE_OPEN,
        .node = n,
        .arg = {{&in, sizeof(in)}},
        .reply = &out,
        .reply_cap = sizeof(out),
        .reply_min = sizeof(out),
    };
    int32_t result = cli_call(c, &r);

    if (result < 0)
        return result;
    result = sync_through(c, n, out.fh, r.session, dir);
    cli_release(c, n, out.fh, r.session, dir);
    return result;
}

/** cli_fsync() - see client.h */
int cli_fsync(struct cli *c, struct cli_node *n)
{
    struct cli_handle h;
    int32_t result;

    if (c->opt.read_only)
        return 0;
    if (n->type == LX_S_IFDIR)
        return sync_opened(c, n, true);
    if (n->type != LX_S_IFREG)
        return 0;
    if (!cli_handle_hold(c, n, CLI_WRITE, &h) && !cli_handle_hold(c, n, CLI_READ, &h))
        return sync_opened(c, n, false);
    result = sync_through(c, n, h.fh, h.session, false);
    cli_handle_drop(c, n, &h);
    if (result == -LE_ESTALE && h.session != cli_session_no(c))
        result = sync_opened(c, n, false); /* the session ended meanwhile */
    return result;
}

/* @over: the session of the handle ended before anything was sent */
static int32_t allocate(struct cli *c, struct cli_node *n, struct fuse_fallocate_in *in, bool *over)
{
    struct cli_req r = {.opcode = FUSE_FALLOCATE, .node = n, .arg = {{in, sizeof(*in)}}};
    struct cli_open *o = NULL;
    int32_t result = cli_open_hold(c, n, CLI_FOR_WRITE, &o);

    *over = false;
    if (result < 0 || !o)
        return result;
    in->fh = o->fh;
    r.session = o->session;
    result = cli_call(c, &r);
    *over = result == -LE_ESTALE && o->session != cli_session_no(c);
    cli_open_drop(c, o);
    return result;
}

/** cli_allocate() - see client.h */
int cli_allocate(struct cli *c, struct cli_file *f, uint64_t offset, uint64_t len)
{
    enum { KEEP_SIZE = 1 }; /* FALLOC_FL_KEEP_SIZE, linux/falloc.h */
    struct fuse_fallocate_in in = {.offset = offset, .length = len, .mode = KEEP_SIZE};
    int32_t result;
    bool over;

    if (len == 0)
        return -LE_EINVAL;
    if (offset > INT64_MAX || len > INT64_MAX - offset)
        return -LE_EFBIG;
    if (c->opt.read_only)
        return -LE_EROFS;
    if (cli_enosys(c, FUSE_FALLOCATE))
        return -LE_EOPNOTSUPP;
    result = allocate(c, f->node, &in, &over);
    if (over)
        result = allocate(c, f->node, &in, &over);
    if (result >= 0)
        cli_attr_changed(c, f->node);
    return result == -LE_ENOSYS ? -LE_EOPNOTSUPP : result < 0 ? result : 0;
}
