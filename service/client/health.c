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
 *   is asked (viofs and others with EIO or EBADF). After such a failure the same probe tells: a host that does
 *   not know its own root any more has lost the session.
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

static void probe_done(struct cli_async *a)
{
    struct cli *c = a->c;

    cli_mutex_lock(&c->gate.lock);
    if (a->msg.result == -LE_ETIMEDOUT)
        c->health.stalled = true;
    c->health.suspect = false;
    cli_mutex_unlock(&c->gate.lock);
    if (!is_harmless(a->msg.result)) {
        cli_log(c, 1, "the host does not know its root any more (error %d)", -a->msg.result);
        cli_gate_end(c);
    }
    probe_over(c);
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
    if (cli_submit(c, &c->health.probe, &r) < 0)
        probe_over(c);
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
}
