// SPDX-License-Identifier: BSD-3-Clause
/*
 * call.c - one request, from its parts to a checked result
 *
 * Theory of operation
 *
 *   Everything that the client asks goes through here. A request enters the gate, which says in which
 *   session it is sent and keeps that session from being replaced until the request has left; only then
 *   are node ids read, so an id never travels into a session that did not give it. If a node has none in
 *   this session, the gate is left, the node is found again, and the request starts over.
 *
 *   Opcodes that a host need not know are remembered when it answers ENOSYS, for the length of a session.
 *
 * Ownership: requests and replies are the caller's. A cli_async is the caller's again in its done().
 * Locks: gate.lock for counting, c->tree for reading ids; none while the host is at work.
 */
#include <stdlib.h>
#include <string.h>

#include "service/client/client_int.h"

enum {
    STACK_REQ = 1024, /* a header with arguments and two names; longer ones are allocated */
    CLOSE_WAIT_MS = 10000,
    TRIES = 4,        /* of a request whose nodes have to be found again */
    ROOM_TRIES = 4,   /* of one for which the host has no descriptor left */
    ROOM_WAIT_MS = 5, /* after the first of them, then four times as long each */
};

/* ---- the gate --------------------------------------------------------------------------------- */

int cli_gate_enter(struct cli *c, uint32_t want, bool urgent, uint32_t *session)
{
    int r = 0;

    cli_mutex_lock(&c->gate.lock);
    if (c->gate.state != CLI_LIVE) {
        r = -LE_ENOTCONN;
    } else if (want && want != c->gate.session_no) {
        r = -LE_ESTALE;
    } else if (c->health.stalled && !urgent) {
        r = -LE_ETIMEDOUT;
    } else {
        *session = c->gate.session_no;
        if (c->gate.in_flight++ <= c->gate.resting)
            c->gate.busy_since_ms = cli_clock_ms();
        if (c->gate.in_flight > c->gate.max_in_flight)
            c->gate.max_in_flight = c->gate.in_flight;
    }
    cli_mutex_unlock(&c->gate.lock);
    return r;
}

/* A file system on the host may say ENOTCONN of its own; then the transport is as it was. */
bool cli_session_is_gone(struct cli *c)
{
    struct cli_limits now;

    return c->transport->ops->limits(c->transport, &now) < 0 || now.epoch != c->limits.epoch;
}

int32_t cli_gate_leave(struct cli *c, int32_t result, bool sent)
{
    bool ended = false, first = false;

    if (sent && result == -LE_ENOTCONN) {
        ended = cli_session_is_gone(c);
        if (!ended)
            result = -LE_EIO;
    }
    cli_mutex_lock(&c->gate.lock);
    if (ended && c->gate.state == CLI_LIVE) {
        c->gate.state = CLI_ENDED;
        first = true;
    }
    if (sent && !ended && result != -LE_ETIMEDOUT) {
        c->gate.last_done_ms = cli_clock_ms();
        c->health.stalled = false;
        if (result == -LE_EIO || result == -LE_EBADF)
            c->health.suspect = true;
    }
    /* Told before this request has left: the client stays until then. */
    cli_mutex_unlock(&c->gate.lock);
    if (first && c->opt.lost)
        c->opt.lost(c->opt.log_user);
    cli_mutex_lock(&c->gate.lock);
    if (--c->gate.in_flight == 0)
        cli_cond_wake_all(&c->gate.drained);
    cli_mutex_unlock(&c->gate.lock);
    return result;
}

int cli_gate_close(struct cli *c, enum cli_state state)
{
    uint64_t now = cli_clock_ms();
    uint64_t end = now + (c->opt.stall_ms < CLOSE_WAIT_MS ? c->opt.stall_ms : CLOSE_WAIT_MS);
    bool drained;

    cli_mutex_lock(&c->gate.lock);
    c->gate.state = state;
    /* The probe is done with its memory a little after it has left the gate. */
    while (!(drained = !c->gate.in_flight && !c->health.probing) && now < end) {
        cli_cond_wait_ms(&c->gate.drained, &c->gate.lock, (uint32_t)(end - now));
        now = cli_clock_ms();
    }
    cli_mutex_unlock(&c->gate.lock);
    return drained ? 0 : -LE_ETIMEDOUT;
}

void cli_gate_end(struct cli *c)
{
    bool first;

    cli_mutex_lock(&c->gate.lock);
    first = c->gate.state == CLI_LIVE;
    if (first)
        c->gate.state = CLI_ENDED;
    cli_mutex_unlock(&c->gate.lock);
    if (first && c->opt.lost)
        c->opt.lost(c->opt.log_user);
}

uint32_t cli_session_no(struct cli *c)
{
    uint32_t no;

    cli_mutex_lock(&c->gate.lock);
    no = c->gate.state == CLI_LIVE ? c->gate.session_no : 0;
    cli_mutex_unlock(&c->gate.lock);
    return no;
}

/* ---- what the host does not know -------------------------------------------------------------- */

/* Opcodes that a host may leave out; ENOSYS for any other says something of one file only. */
static const uint64_t optional_opcodes =
    1ull << FUSE_FSYNC | 1ull << FUSE_SETXATTR | 1ull << FUSE_GETXATTR | 1ull << FUSE_LISTXATTR |
    1ull << FUSE_REMOVEXATTR | 1ull << FUSE_FLUSH | 1ull << FUSE_FSYNCDIR | 1ull << FUSE_FALLOCATE |
    1ull << FUSE_READDIRPLUS | 1ull << FUSE_RENAME2 | 1ull << FUSE_SYNCFS |
    1ull << VIOFS_FUSE_STATX;

static bool is_optional(uint32_t opcode)
{
    return opcode < CLI_OPCODES && (optional_opcodes >> opcode & 1);
}

bool cli_enosys(struct cli *c, uint32_t opcode)
{
    return is_optional(opcode) && (atomic_load(&c->nosys) >> opcode & 1);
}

/* ---- counting --------------------------------------------------------------------------------- */

static void count_opcode(struct cli *c, uint32_t opcode)
{
    static const uint8_t standard[] = {CLI_COUNT_PROBE, FUSE_LOOKUP,      FUSE_CREATE,
                                       FUSE_GETATTR,    FUSE_READDIRPLUS, FUSE_OPEN,
                                       CLI_COUNT_WATCH, CLI_COUNT_WATCH,  CLI_COUNT_EVENTS};

    if (opcode >= VIOFS_PROBE && opcode <= VIOFS_EVENTS)
        opcode = standard[opcode - VIOFS_PROBE];
    if (opcode < CLI_OPCODES)
        atomic_fetch_add(&c->count.by_opcode[opcode], 1);
}

/* ---- building and checking -------------------------------------------------------------------- */

static uint32_t request_len(const struct cli_req *r)
{
    uint32_t len = sizeof(struct fuse_in_header);

    for (unsigned i = 0; i < CLI_ARGS; i++)
        len += r->arg[i].len;
    return len;
}

static void build(struct cli *c, const struct cli_req *r, uint64_t id, void *buf, uint32_t len)
{
    struct fuse_in_header h = {
        .len = len + r->data_len,
        .opcode = r->opcode,
        .unique = atomic_fetch_add(&c->unique, 2),
        .nodeid = id,
    };
    uint8_t *to = buf;

    if (r->owner) {
        cli_mutex_lock(&c->misc);
        h.uid = c->uid;
        h.gid = c->gid;
        cli_mutex_unlock(&c->misc);
    }
    memcpy(to, &h, sizeof(h));
    to += sizeof(h);
    for (unsigned i = 0; i < CLI_ARGS; i++) {
        if (r->arg[i].len)
            memcpy(to, r->arg[i].p, r->arg[i].len);
        to += r->arg[i].len;
    }
}

static void fill_msg(const struct cli_req *r, const void *buf, uint32_t len, struct cli_msg *m)
{
    *m = (struct cli_msg){
        .req = buf,
        .req_len = len,
        .data = r->data,
        .data_len = r->data_len,
        .reply = r->reply,
        .reply_cap = r->reply_cap,
    };
}

/* The length of an answer against what this request can be answered with. */
static int32_t check(struct cli *c, uint32_t opcode, uint32_t min, uint32_t cap, int32_t result)
{
    if (result < -4095 || (result >= 0 && ((uint32_t)result > cap || (uint32_t)result < min))) {
        cli_log(c, 1, "the host's answer to opcode %u is malformed (%d)", opcode, result);
        return -LE_EIO;
    }
    if (result == -LE_ENOSYS && is_optional(opcode))
        atomic_fetch_or(&c->nosys, 1ull << opcode);
    return result;
}

/* Is this answered when the host gets to it, be it tomorrow? */
static bool rests(uint32_t opcode)
{
    return opcode == VIOFS_EVENTS || opcode == VIOFS_WATCH;
}

/* Silence of what rests is no sign of anything. */
static void note_resting(struct cli *c, uint32_t opcode, bool out)
{
    if (!rests(opcode))
        return;
    cli_mutex_lock(&c->gate.lock);
    if (out)
        c->gate.resting++;
    else
        c->gate.resting--;
    cli_mutex_unlock(&c->gate.lock);
}

/* What can be refused without asking, and what would not fit. */
static int refuse(struct cli *c, const struct cli_req *r, uint32_t len)
{
    const struct fuse_op *op = fuse_op_find(r->opcode);

    if (cli_enosys(c, r->opcode))
        return -LE_ENOSYS;
    if (c->opt.read_only && op && (op->flags & OP_WRITES))
        return -LE_EROFS;
    if (len > c->limits.max_request)
        return -LE_E2BIG;
    return r->data_len > c->limits.max_transfer ? -LE_E2BIG : 0;
}

static int32_t send_and_wait(struct cli *c, uint64_t id, const struct cli_req *r)
{
    uint64_t space[STACK_REQ / 8];
    uint32_t len = request_len(r);
    void *buf = len <= sizeof(space) ? (void *)space : malloc(len);
    struct cli_msg m;

    if (!buf)
        return -LE_ENOMEM;
    build(c, r, id, buf, len);
    fill_msg(r, buf, len, &m);
    atomic_fetch_add(&c->count.requests, 1);
    count_opcode(c, r->opcode);
    int32_t result = c->transport->ops->call(c->transport, &m);
    if (buf != space)
        free(buf);
    return check(c, r->opcode, r->reply_min, r->reply_cap, result);
}

/** cli_call_raw() - see client_int.h */
int32_t cli_call_raw(struct cli *c, uint64_t id, struct cli_req *r)
{
    return send_and_wait(c, id, r);
}

/* ---- with nodes ------------------------------------------------------------------------------- */

/* The ids of the request's nodes in this session. Return: 0 or -LE_ESTALE. */
static int resolve(struct cli *c, struct cli_req *r, uint32_t session, uint64_t *id)
{
    int e = 0;

    *id = CLI_ROOT_ID;
    if (r->node)
        e = cli_node_id(c, r->node, session, id);
    if (!e && r->node2)
        e = cli_node_id(c, r->node2, session, r->node2_id);
    return e;
}

static int ready(struct cli *c, struct cli_req *r)
{
    int e = r->node ? cli_node_ready(c, r->node) : 0;

    return !e && r->node2 ? cli_node_ready(c, r->node2) : e;
}

static int again(struct cli *c, struct cli_req *r)
{
    int e = r->node ? cli_node_retry(c, r->node, r->session) : -LE_ESTALE;

    return !e && r->node2 ? cli_node_retry(c, r->node2, r->session) : e;
}

/*
 * Most daemons keep a descriptor for each inode that we know, and have an end of them. Give some back and ask
 * again: FORGET travels on a queue of its own and takes a moment to arrive.
 */
static bool make_room(struct cli *c, unsigned tried)
{
    cli_mutex lock = {0};
    cli_cond never = {0};

    if (tried == ROOM_TRIES || (!cli_nodes_relieve(c) && tried == 0))
        return false;
    cli_mutex_lock(&lock);
    cli_cond_wait_ms(&never, &lock, ROOM_WAIT_MS << (2 * tried));
    cli_mutex_unlock(&lock);
    return true;
}

/* Whether the host has done it nobody knows: what is cached of whatever it would change is not believed. */
static void doubt_outcome(struct cli *c, const struct cli_req *r, int32_t result)
{
    const struct fuse_op *op = fuse_op_find(r->opcode);
    struct cli_node *nodes[] = {r->node, r->node2};

    if (!op || !(op->flags & OP_WRITES))
        return;
    if (result != -LE_ENOTCONN && result != -LE_ETIMEDOUT && result != -LE_EINTR &&
        result != -LE_EIO)
        return;
    for (unsigned i = 0; i < 2; i++) {
        if (!nodes[i])
            continue;
        cli_attr_changed(c, nodes[i]);
        if (nodes[i]->type == LX_S_IFDIR)
            cli_forget_name(c, nodes[i], (struct cli_name){0});
    }
}

/*
 * The session may have ended under a request (patience.c). @result: what it was answered with
 * Return: true: it is to be asked again, in the next session; else *result is what it means.
 */
static bool in_next_session(struct cli *c, const struct cli_req *r, int32_t *result,
                            uint64_t *until)
{
    bool refused = false;

    if (!c->opt.patience_ms || r->urgent)
        return false;
    if (cli_may_be_lost(*result) && cli_health_doubt(c, r->session)) {
        *result = -LE_ENOTCONN;
        refused = true;
    }
    if (*result != -LE_ENOTCONN || !(refused || cli_changes_nothing(r->opcode)))
        return false;
    return !r->no_wait && cli_await_session(c, until);
}

/* Nothing was sent, since the session is over: is there another one to send it in? */
static bool waited(struct cli *c, const struct cli_req *r, int e, uint64_t *until)
{
    return e == -LE_ENOTCONN && !r->urgent && !r->no_wait && cli_await_session(c, until);
}

/** cli_call() - see client_int.h */
int32_t cli_call(struct cli *c, struct cli_req *r)
{
    uint32_t want = r->session;
    bool retried = r->no_retry || want != 0;
    unsigned tries = 0, room = 0;
    uint64_t until = 0;

    while (tries < TRIES) {
        uint64_t id;
        int e = cli_gate_enter(c, want, r->urgent, &r->session);

        if (waited(c, r, e, &until))
            continue;
        if (e)
            return e;
        e = refuse(c, r, request_len(r));
        if (e)
            return cli_gate_leave(c, e, false);
        if (resolve(c, r, r->session, &id) < 0) {
            cli_gate_leave(c, 0, false);
            e = want || r->no_retry ? -LE_ESTALE : ready(c, r);
            if (waited(c, r, e, &until))
                continue;
            if (e)
                return e;
            tries++;
            continue;
        }
        int32_t result = cli_gate_leave(c, send_and_wait(c, id, r), true);
        if ((result == -LE_EMFILE || result == -LE_ENFILE) && make_room(c, room)) {
            room++;
            continue;
        }
        if (in_next_session(c, r, &result, &until))
            continue;
        if (result != -LE_ESTALE || retried) {
            doubt_outcome(c, r, result);
            return result;
        }
        retried = true;
        e = again(c, r);
        if (e && !waited(c, r, e, &until))
            return e;
        tries++;
    }
    return -LE_ESTALE;
}

/* ---- not waited for --------------------------------------------------------------------------- */

static void async_done(struct cli_msg *m)
{
    struct cli_async *a = CLI_CONTAINER(m, struct cli_async, msg);
    struct cli *c = a->c;

    note_resting(c, a->opcode, false);
    m->result = cli_gate_leave(c, check(c, a->opcode, a->reply_min, m->reply_cap, m->result), true);
    a->done(a);
}

/** cli_submit() - see client_int.h */
int cli_submit(struct cli *c, struct cli_async *a, struct cli_req *r)
{
    uint32_t len = request_len(r);
    uint64_t id;

    if (len > sizeof(a->req))
        return -LE_E2BIG;
    int e = cli_gate_enter(c, r->session, r->urgent, &r->session);
    if (e)
        return e;
    e = refuse(c, r, len);
    if (!e)
        e = resolve(c, r, r->session, &id);
    if (e)
        return cli_gate_leave(c, e, false);
    build(c, r, id, a->req, len);
    fill_msg(r, a->req, len, &a->msg);
    a->msg.done = async_done;
    a->c = c;
    a->opcode = r->opcode;
    a->reply_min = r->reply_min;
    a->session = r->session;
    if (r->opcode != VIOFS_EVENTS)
        atomic_fetch_add(&c->count.requests, 1);
    count_opcode(c, r->opcode);
    note_resting(c, r->opcode, true);
    e = c->transport->ops->submit(c->transport, &a->msg);
    if (e < 0) {
        note_resting(c, r->opcode, false);
        e = cli_gate_leave(c, e, true);
    }
    return e < 0 ? e : 0;
}

static void released(struct cli_async *a)
{
    free(a);
}

/** cli_release() - see client_int.h */
void cli_release(struct cli *c, struct cli_node *n, uint64_t fh, uint32_t session, bool dir)
{
    struct fuse_release_in in = {.fh = fh, .flags = dir ? LX_O_DIRECTORY : 0};
    struct cli_req r = {
        .opcode = dir ? FUSE_RELEASEDIR : FUSE_RELEASE,
        .urgent = true, /* a handle is not forgotten because the host is slow */
        .node = n,
        .session = session,
        .arg = {{&in, sizeof(in)}},
    };
    struct cli_async *a = calloc(1, sizeof(*a));

    /* Without memory it is worth waiting for. */
    if (!a) {
        (void)cli_call(c, &r);
        return;
    }
    a->done = released;
    int e = cli_submit(c, a, &r);
    if (e < 0) {
        free(a);
        if (e != -LE_ENOTCONN && e != -LE_ESTALE)
            cli_log(c, 1, "a handle was not released (error %d)", -e);
    }
}
