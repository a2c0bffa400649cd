// SPDX-License-Identifier: BSD-3-Clause
/*
 * session.c - a FUSE session: its beginning, its end, what was agreed
 *
 * Theory of operation
 *
 *   INIT offers what the code behind it honours, and nothing else:
 *
 *     ASYNC_READ, ASYNC_DIO, PARALLEL_DIROPS   requests of one file or directory travel at the same time
 *     BIG_WRITES, MAX_PAGES                    payload as large as transport and host allow
 *     DO_READDIRPLUS                           listings bring attributes and lookups, which are counted
 *     DONT_MASK                                modes are final: there is no umask here
 *     HANDLE_KILLPRIV_V2                       truncations and writes say when setuid has to go
 *     SUBMOUNTS                                FUSE_ATTR_SUBMOUNT is handed on in cli_attr.flags
 *     INIT_EXT                                 the upper half of the flags
 *
 *   Not offered: ATOMIC_O_TRUNC (nothing is opened with O_TRUNC), EXPORT_SUPPORT ("." is never looked up),
 *   AUTO_INVAL_DATA, WRITEBACK_CACHE (no data is kept here), NO_OPEN_SUPPORT (handles are counted on),
 *   locks, ACLs, security contexts.
 *
 *   Then VIOFS_PROBE asks for the extension (docs/protocol.md), and GETATTR for the root, which must be the directory
 *   that it was before, if there was a session before.
 *
 * Locks: the gate is down while cli_session_begin() works, so nobody else talks to the host; gate.lock for
 *   the result.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/client/client_int.h"

enum {
    LEAST_REQUEST = 1024, /* a header, arguments and two names */
    LEAST_TRANSFER = 4096,
    PAGE = 4096,
    DEFAULT_PAGES = 32, /* without MAX_PAGES (linux/fs/fuse) */
    NO_INIT_EXT_OUT = 24
};

static const uint64_t offered =
    FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_BIG_WRITES | FUSE_MAX_PAGES |
    FUSE_DO_READDIRPLUS | FUSE_DONT_MASK | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SUBMOUNTS | FUSE_INIT_EXT;

void cli_log(struct cli *c, int level, const char *format, ...)
{
    char text[256];
    va_list ap;

    if (!c->opt.log)
        return;
    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    c->opt.log(c->opt.log_user, level, text);
}

/* ---- beginning --------------------------------------------------------------------------------------- */

static int get_limits(struct cli *c)
{
    struct cli_limits l;
    int r = c->transport->ops->limits(c->transport, &l);

    if (r < 0)
        return r;
    if (l.max_request < LEAST_REQUEST || l.max_transfer < LEAST_TRANSFER || !l.max_in_flight) {
        cli_log(c, 0, "the transport is too narrow: requests of %u bytes, payload of %u",
                l.max_request, l.max_transfer);
        return -LE_EINVAL;
    }
    c->limits = l;
    return 0;
}

static int ask_init(struct cli *c, struct fuse_init_out *out)
{
    struct fuse_init_in in = {
        .major = FUSE_KERNEL_VERSION,
        .minor = FUSE_OUR_MINOR,
        .flags = (uint32_t)offered,
        .flags2 = (uint32_t)(offered >> 32),
    };
    struct cli_req r = {
        .opcode = FUSE_INIT,
        .arg = {{&in, sizeof(in)}},
        .reply = out,
        .reply_cap = sizeof(*out),
        .reply_min = NO_INIT_EXT_OUT,
    };

    memset(out, 0, sizeof(*out));
    int n = cli_call_raw(c, 0, &r);
    if (n < 0)
        return n;
    if (out->major != FUSE_KERNEL_VERSION || out->minor < FUSE_MIN_MINOR) {
        cli_log(c, 0, "the host speaks FUSE %u.%u; the oldest version that we speak is %u.%u",
                out->major, out->minor, FUSE_KERNEL_VERSION, FUSE_MIN_MINOR);
        return -LE_EOPNOTSUPP;
    }
    return 0;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static struct cli_session agreed(const struct cli *c, const struct fuse_init_out *out)
{
    struct cli_session s = {.minor = smaller(out->minor, FUSE_OUR_MINOR)};
    uint32_t pages = DEFAULT_PAGES, write = PAGE;

    s.flags = out->flags;
    if (out->flags & FUSE_INIT_EXT)
        s.flags |= (uint64_t)out->flags2 << 32;
    s.flags &= offered;
    if ((s.flags & FUSE_MAX_PAGES) && out->max_pages)
        pages = out->max_pages;
    if ((s.flags & FUSE_BIG_WRITES) && out->max_write > PAGE)
        write = out->max_write;
    s.max_read = smaller(pages * PAGE, c->limits.max_transfer);
    s.max_write = smaller(smaller(write, pages * PAGE), c->limits.max_transfer);
    return s;
}

/* @features: 0 without the extension. Return: 0, also without the extension; -errno if the session is in doubt. */
static int probe_extension(struct cli *c, uint32_t *features)
{
    struct fuse_viofs_probe_in in = {
        .version = VIOFS_EXT_VERSION,
        .wanted = VIOFS_FEATURE_BTIME | VIOFS_FEATURE_OPEN |
                  (c->opt.want_meta ? VIOFS_FEATURE_META : 0) |
                  (c->opt.want_feed && c->limits.side_by_side ? VIOFS_FEATURE_FEED : 0),
    };
    struct fuse_viofs_probe_out out;
    struct cli_req r = {
        .opcode = VIOFS_PROBE,
        .arg = {{&in, sizeof(in)}},
        .reply = &out,
        .reply_cap = sizeof(out),
        .reply_min = sizeof(out),
    };

    if (c->opt.no_extension)
        return 0;
    int n = cli_call_raw(c, CLI_ROOT_ID, &r);
    if (n == -LE_ENOTCONN || n == -LE_ETIMEDOUT)
        return n;
    if (n >= 0 && out.version == VIOFS_EXT_VERSION &&
        out.ext_len == sizeof(struct fuse_viofs_ext) && (out.features & VIOFS_FEATURE_BTIME))
        *features = out.features & in.wanted;
    return 0;
}

/* The root is the root of the share, whatever directory that is; its identity is kept with it. */
static int check_root(struct cli *c)
{
    struct cli_attr a;
    struct cli_node *root = c->root;
    int r = cli_root_ask(c, &a);

    if (r < 0)
        return r;
    cli_mutex_lock(&c->tree);
    bool other = c->root_known && !cli_node_same(root, &a);
    root->ino = a.ino;
    root->has_id_btime = a.has_btime;
    root->id_btime = a.btime;
    c->root_known = true;
    cli_mutex_unlock(&c->tree);
    if (!other)
        return 0;
    cli_log(c, 1, "the host shows another directory under this tag: files that were open are lost");
    cli_nodes_strand(c);
    return 0;
}

/** cli_session_begin() - see client_int.h */
int cli_session_begin(struct cli *c)
{
    struct fuse_init_out out;
    uint32_t features = 0;
    int r = get_limits(c);

    if (!r)
        r = ask_init(c, &out);
    if (!r)
        r = probe_extension(c, &features);
    if (r < 0)
        return r;
    struct cli_session s = agreed(c, &out);
    s.extension = features != 0;
    s.feed = features & VIOFS_FEATURE_FEED;
    s.meta = features & VIOFS_FEATURE_META;
    atomic_store(&c->extension, s.extension);
    atomic_store(&c->nosys, 0);
    atomic_store(&c->meta, s.meta);
    atomic_store(&c->open_attr, features & VIOFS_FEATURE_OPEN);
    atomic_store(&c->feed.offered, s.feed);
    atomic_store(&c->killpriv, (s.flags & FUSE_HANDLE_KILLPRIV_V2) != 0);
    r = check_root(c);
    if (r < 0)
        return r;
    cli_mutex_lock(&c->gate.lock);
    c->session = s;
    c->gate.state = CLI_LIVE;
    c->gate.last_done_ms = cli_clock_ms();
    c->health.stalled = false;
    c->health.suspect = false;
    cli_cond_wake_all(&c->gate.begun);
    cli_mutex_unlock(&c->gate.lock);
    cli_log(c, 2, "FUSE 7.%u, flags %#llx, %u bytes a read, %u a write%s%s%s", s.minor,
            (unsigned long long)s.flags, s.max_read, s.max_write,
            s.extension ? ", with birth times" : "", s.meta ? ", with metadata" : "",
            s.feed ? ", with changes" : "");
    return 0;
}

/* ---- life of a client --------------------------------------------------------------------------------- */

static void set_defaults(struct cli_options *o)
{
    if (!o->max_nodes)
        o->max_nodes = 65536;
    if (!o->max_names)
        o->max_names = 131072;
    if (!o->stall_ms)
        o->stall_ms = 30000;
}

/** cli_open() - see client.h */
int cli_open(struct cli **out, struct cli_transport *t, const struct cli_options *o)
{
    struct cli *c = calloc(1, sizeof(*c));
    struct cli_attr attr;

    if (!c)
        return -LE_ENOMEM;
    c->transport = t;
    if (o)
        c->opt = *o;
    set_defaults(&c->opt);
    c->unique = 2; /* odd ones are interrupts' (linux/fs/fuse/fuse_i.h) */
    c->clock = 1;
    c->gate.session_no = 1;
    c->node_session = 1;
    c->forget.session = 1;
    int r = cli_nodes_init(c);
    if (r < 0) {
        free(c);
        return r;
    }
    cli_list_init(&c->park.list);
    c->root->session = 1;
    r = cli_session_begin(c);
    if (!r && !atomic_load(&c->extension)) /* what GETATTR does not tell, if it is wanted */
        r = cli_getattr(c, c->root, false, &attr);
    if (r < 0) {
        (void)cli_close(c); /* nothing else is out */
        return r;
    }
    cli_feed_begin(c);
    *out = c;
    return 0;
}

/* Say goodbye, let what is under way arrive, and let nothing follow. Return: 0 or -LE_ETIMEDOUT. */
static int end_session(struct cli *c)
{
    struct cli_req destroy = {.opcode = FUSE_DESTROY};

    cli_forget_flush(c, 1);
    (void)cli_feed_stop(c);
    cli_health_cancel(c);
    cli_mutex_lock(&c->gate.lock);
    if (c->gate.state == CLI_LIVE)
        c->gate.destroy = true;
    cli_mutex_unlock(&c->gate.lock);
    int r = cli_gate_close(c, CLI_DOWN);
    if (!r && c->gate.destroy)
        (void)cli_call_raw(c, 0, &destroy); /* the host learns it by other means if not by this */
    return r;
}

/** cli_close() - see client.h */
int cli_close(struct cli *c)
{
    cli_hurry(c);
    cli_nodes_forget_idle(c);
    int r = end_session(c);
    if (r < 0) {
        cli_log(c, 0, "the host still has requests of a share that is to be closed");
        return r;
    }
    cli_feed_free(c);
    cli_nodes_free(c);
    free(c);
    return 0;
}

/** cli_session_get() - see client.h */
void cli_session_get(struct cli *c, struct cli_session *out)
{
    cli_mutex_lock(&c->gate.lock);
    *out = c->session;
    out->live = c->gate.state == CLI_LIVE;
    cli_mutex_unlock(&c->gate.lock);
    cli_feed_describe(c, out);
}

/** cli_counters_get() - see client.h */
void cli_counters_get(struct cli *c, struct cli_counters *out)
{
    *out = (struct cli_counters){
        .requests = atomic_load(&c->count.requests),
        .no_replies = atomic_load(&c->count.no_replies),
        .forgotten = atomic_load(&c->count.forgotten),
    };
    for (unsigned i = 0; i < CLI_OPCODES; i++)
        out->by_opcode[i] = atomic_load(&c->count.by_opcode[i]);
    cli_mutex_lock(&c->tree);
    out->nodes = c->n_nodes;
    out->names = c->n_names;
    cli_mutex_unlock(&c->tree);
    cli_mutex_lock(&c->gate.lock);
    out->in_flight = c->gate.in_flight;
    out->max_in_flight_seen = c->gate.max_in_flight;
    cli_mutex_unlock(&c->gate.lock);
}
