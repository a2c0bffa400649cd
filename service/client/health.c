// SPDX-License-Identifier: BSD-3-Clause
/*
 * health.c - is anybody there?
 *
 * Theory of operation
 *
 *   A guest cannot see that its daemon died: the device stays, and requests just are not answered. One
 *   slow request proves nothing either (a disk spins up, a lock is waited for). So, once requests have been
 *   out for a third of stall_ms without any answer, a probe is sent, a GETATTR of the root, which every
 *   living host answers; and if stall_ms pass without any answer at all, or the transport gives the probe
 *   up, the host does not respond until something is answered. Meanwhile whoever asks gets -LE_ETIMEDOUT at
 *   once instead of another thread that waits, and each tick sends a probe if none is out.
 *
 *   A daemon that was replaced behind an unchanged device knows nothing of our session, and fails whatever it
 *   is asked (viofs and the C virtiofsd with EIO, the Rust one with EBADF). After such a failure the same probe tells: a
 *   host that does not know its own root any more has lost the session. EIO may also come from a disk or a distributed
 *   file system that is in trouble, so then a second question follows, which a live session answers without any file
 *   system: VIOFS_PROBE of a version that there is not. EIO again means that there is no session; EINVAL or, where the
 *   extension is unknown, ENOSYS means that there is one.
 *
 *   With patience the probe is sent at once and the failure waits for it; without, it is the next tick's.
 *
 *   A share that nobody uses is not asked and counts as responding.
 *
 * Locks: gate.lock.
 */
#include "service/client/client_int.h"

/* Milliseconds without an answer to something that is out. gate.lock held. */
static uint64_t silence(const struct cli *c, uint64_t now)
{
    uint64_t since =
        c->gate.last_done_ms > c->gate.busy_since_ms ? c->gate.last_done_ms : c->gate.busy_since_ms;

    return c->gate.in_flight > c->gate.resting && now > since ? now - since : 0;
}

/** cli_responding() - see client.h */
bool cli_responding(struct cli *c)
{
    bool stalled;

    cli_mutex_lock(&c->gate.lock);
    stalled = c->health.stalled;
    cli_mutex_unlock(&c->gate.lock);
    return !stalled;
}

static void probe_over(struct cli *c)
{
    cli_mutex_lock(&c->gate.lock);
    c->health.probing = false;
    cli_cond_wake_all(&c->gate.drained);
    cli_mutex_unlock(&c->gate.lock);
}

/* Errors of the probe that say nothing of the session. */
static bool is_harmless(int32_t result)
{
    return result >= 0 || result == -LE_ETIMEDOUT || result == -LE_ENOTCONN ||
           result == -LE_EINTR || result == -LE_ENOMEM;
}

static void verdict(struct cli *c, bool lost, int32_t result)
{
    cli_mutex_lock(&c->gate.lock);
    if (result == -LE_ETIMEDOUT)
        c->health.stalled = true;
    c->health.suspect = false;
    bool over = lost || c->gate.state != CLI_LIVE;
    cli_mutex_unlock(&c->gate.lock);
    if (lost) {
        cli_log(c, 1, "the host does not know its root any more (error %d)", -result);
        cli_gate_end(c);
    }
    cli_park_settle(c, over);
    probe_over(c);
}

static void known_done(struct cli_async *a)
{
    verdict(a->c, a->msg.result == -LE_EIO, a->msg.result);
}

/* Is it the session that the host does not know, or its file system that fails? */
static void ask_whether_known(struct cli *c)
{
    static const struct fuse_viofs_probe_in no_version;
    struct cli_req r = {
        .opcode = VIOFS_PROBE,
        .urgent = true,
        .arg = {{&no_version, sizeof(no_version)}},
        .reply = &c->health.known_reply,
        .reply_cap = sizeof(c->health.known_reply),
    };

    c->health.probe.done = known_done;
    int e = cli_submit(c, &c->health.probe, &r);
    if (e < 0)
        verdict(c, false, e);
}

static void probe_done(struct cli_async *a)
{
    if (a->msg.result == -LE_EIO)
        ask_whether_known(a->c);
    else
        verdict(a->c, !is_harmless(a->msg.result), a->msg.result);
}

static void send_probe(struct cli *c)
{
    static const struct fuse_getattr_in in;
    struct cli_req r = {
        .opcode = FUSE_GETATTR,
        .urgent = true,
        .node = c->root,
        .arg = {{&in, sizeof(in)}},
        .reply = &c->health.probe_reply,
        .reply_cap = sizeof(c->health.probe_reply),
        .reply_min = sizeof(c->health.probe_reply),
    };

    c->health.probe.done = probe_done;
    int e = cli_submit(c, &c->health.probe, &r);
    if (e < 0)
        verdict(c, false, e);
}

/* gate.lock held. Is this the session of now? The one that a request failed in may have ended since, and not only ended. */
static bool is_live(const struct cli *c, uint32_t session)
{
    return c->gate.state == CLI_LIVE && c->gate.session_no == session;
}

/** cli_health_begin() - see client_int.h */
bool cli_health_begin(struct cli *c, uint32_t session, bool *live)
{
    cli_mutex_lock(&c->gate.lock);
    *live = is_live(c, session);
    bool send = *live && !c->health.probing;
    if (send)
        c->health.probing = true;
    cli_mutex_unlock(&c->gate.lock);
    return send;
}

/** cli_health_send() - see client_int.h */
void cli_health_send(struct cli *c)
{
    send_probe(c);
}

/** cli_health_doubt() - see client_int.h */
bool cli_health_doubt(struct cli *c, uint32_t session)
{
    uint64_t now = cli_clock_ms(), end = now + c->opt.patience_ms;
    bool live;

    if (cli_health_begin(c, session, &live))
        send_probe(c);
    cli_mutex_lock(&c->gate.lock);
    while (c->health.probing && is_live(c, session) && !c->gate.hurry && now < end) {
        cli_cond_wait_ms(&c->gate.drained, &c->gate.lock, (uint32_t)(end - now));
        now = cli_clock_ms();
    }
    bool over = !is_live(c, session);
    cli_mutex_unlock(&c->gate.lock);
    return over;
}

/** cli_health_tick() - see client_int.h */
void cli_health_tick(struct cli *c)
{
    uint64_t now = cli_clock_ms();

    cli_mutex_lock(&c->gate.lock);
    if (c->health.probing && silence(c, now) >= c->opt.stall_ms)
        c->health.stalled = true;
    bool stalled = c->health.stalled, told = c->health.told;
    bool probe = !c->health.probing && c->gate.state == CLI_LIVE &&
                 (stalled || c->health.suspect || silence(c, now) >= c->opt.stall_ms / 3);
    if (probe)
        c->health.probing = true;
    c->health.told = stalled;
    cli_mutex_unlock(&c->gate.lock);
    if (stalled && !told)
        cli_log(c, 0, "the host has not answered for %u ms", c->opt.stall_ms);
    if (!stalled && told)
        cli_log(c, 1, "the host answers again");
    if (probe)
        send_probe(c);
}

/** cli_health_cancel() - see client_int.h */
void cli_health_cancel(struct cli *c)
{
    cli_mutex_lock(&c->gate.lock);
    bool probing = c->health.probing;
    cli_mutex_unlock(&c->gate.lock);
    if (probing)
        c->transport->ops->cancel(c->transport, &c->health.probe.msg);
}

/* A reset that no request has run into yet shows in the epoch. */
static void look_at_epoch(struct cli *c)
{
    uint32_t session;

    if (cli_gate_enter(c, 0, true, &session) < 0)
        return;
    if (cli_session_is_gone(c))
        cli_gate_end(c);
    cli_gate_leave(c, 0, false);
}

/** cli_tick() - see client.h */
void cli_tick(struct cli *c)
{
    look_at_epoch(c);
    cli_nodes_forget_nameless(c);
    cli_forget_flush(c, 1);
    cli_health_tick(c);
    cli_feed_tick(c);
    cli_park_run(c);
}
