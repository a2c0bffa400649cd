// SPDX-License-Identifier: BSD-3-Clause
/*
 * patience.c - what is asked while there is no session waits for the next one
 *
 * Theory of operation
 *
 *   A session ends because a device was reset, a machine resumed, or another daemon took over; mostly the next one
 *   begins a moment later. With opt.patience_ms a program does not hear of that:
 *
 *     not sent yet      cli_call() waits until cli_recover() has succeeded, and then finds its nodes again
 *     sent, unanswered  is asked again if it changes nothing; else it is -LE_ENOTCONN, because nobody knows
 *     refused           a daemon that knows no session has done nothing: asked again, whatever it was (health.c)
 *     a transfer        is parked and begun anew with a new handle (io.c), a write to a place too: the same bytes in the same
 *                       place. Appends are not repeated: they would be appended twice.
 *
 *   Transfers have no thread that could wait. Who recovers the session begins them again, or the next tick. Neither may
 *   wait for a session himself, nor for somebody who does: what several need (a node that is found again, a handle) is asked
 *   for without patience, and whoever wanted it waits when it has failed (cli_req.no_wait).
 *
 *   Patience ends after patience_ms, with cli_hurry(), and with cli_close().
 *
 * Ownership: a struct cli_parked is part of what is parked, and in the list for as long as that waits.
 * Locks: gate.lock for waiting; park.lock, before gate.lock, for the list. Nobody is called with either.
 */
#include "service/client/client_int.h"

/** cli_await_session() - see client_int.h */
bool cli_await_session(struct cli *c, uint64_t *until)
{
    uint64_t now = cli_clock_ms();
    bool live;

    if (!c->opt.patience_ms)
        return false;
    if (!*until)
        *until = now + c->opt.patience_ms;
    cli_mutex_lock(&c->gate.lock);
    while (c->gate.state == CLI_ENDED && !c->gate.hurry && now < *until) {
        cli_cond_wait_ms(&c->gate.begun, &c->gate.lock, (uint32_t)(*until - now));
        now = cli_clock_ms();
    }
    live = c->gate.state == CLI_LIVE && !c->gate.hurry && now < *until;
    cli_mutex_unlock(&c->gate.lock);
    return live;
}

/** cli_changes_nothing() - see client_int.h */
bool cli_changes_nothing(uint32_t opcode)
{
    const struct fuse_op *op = fuse_op_find(opcode);

    return op && !(op->flags & OP_WRITES);
}

/* ---- transfers --------------------------------------------------------------------------------------- */

/** cli_park() - see client_int.h */
bool cli_park(struct cli *c, struct cli_parked *p, uint32_t doubted)
{
    bool parked, live = false, send = false;

    if (!c->opt.patience_ms)
        return false;
    cli_mutex_lock(&c->park.lock);
    parked =
        !c->park.closed && !atomic_load(p->cancelled) && (!p->until || cli_clock_ms() < p->until);
    if (parked) {
        if (!p->until)
            p->until = cli_clock_ms() + c->opt.patience_ms;
        p->turn = ++c->park.turns;
        if (doubted)
            send = cli_health_begin(c, doubted, &live);
        p->in_doubt = live;
        cli_list_add(&c->park.list, &p->link);
    }
    cli_mutex_unlock(&c->park.lock);
    /* From here on `p` may be gone, and the client too, unless the probe is ours. */
    if (send)
        cli_health_send(c);
    return parked;
}

/** cli_unpark() - see client_int.h */
bool cli_unpark(struct cli *c, struct cli_parked *p)
{
    cli_mutex_lock(&c->park.lock);
    bool parked = p->link.next != NULL;
    cli_list_del(&p->link);
    cli_mutex_unlock(&c->park.lock);
    return parked;
}

/* Take the first out that `is_it` says. Return: NULL if there is none. */
static struct cli_parked *take(struct cli *c, bool (*is_it)(const struct cli_parked *p, uint64_t),
                               uint64_t arg)
{
    struct cli_parked *found = NULL;

    cli_mutex_lock(&c->park.lock);
    for (struct cli_link *l = c->park.list.next; l != &c->park.list && !found; l = l->next) {
        struct cli_parked *p = CLI_CONTAINER(l, struct cli_parked, link);

        if (is_it(p, arg))
            found = p;
    }
    if (found)
        cli_list_del(&found->link);
    cli_mutex_unlock(&c->park.lock);
    return found;
}

static bool any(const struct cli_parked *p, uint64_t arg)
{
    (void)p, (void)arg;
    return true;
}

static bool doubted(const struct cli_parked *p, uint64_t arg)
{
    (void)arg;
    return p->in_doubt;
}

static bool waits_for_session(const struct cli_parked *p, uint64_t last)
{
    return !p->in_doubt && p->turn <= last;
}

static bool late(const struct cli_parked *p, uint64_t now)
{
    return p->until <= now;
}

/** cli_park_settle() - see client_int.h */
void cli_park_settle(struct cli *c, bool over)
{
    struct cli_parked *p;

    if (over) {
        cli_mutex_lock(&c->park.lock);
        for (struct cli_link *l = c->park.list.next; l != &c->park.list; l = l->next)
            CLI_CONTAINER(l, struct cli_parked, link)->in_doubt = false;
        cli_mutex_unlock(&c->park.lock);
        return;
    }
    while ((p = take(c, doubted, 0)) != NULL)
        p->meant(p);
}

/** cli_park_run() - see client_int.h */
void cli_park_run(struct cli *c)
{
    struct cli_parked *p;
    uint64_t now = cli_clock_ms(), last;

    cli_mutex_lock(&c->park.lock);
    last = c->park.turns;
    cli_mutex_unlock(&c->park.lock);
    while ((p = take(c, late, now)) != NULL)
        p->give_up(p, 0);
    /* One that is parked again while this runs is left for the next time. */
    while (cli_session_no(c) && (p = take(c, waits_for_session, last)) != NULL)
        p->again(p);
}

/** cli_hurry() - see client.h */
void cli_hurry(struct cli *c)
{
    struct cli_parked *p;

    cli_mutex_lock(&c->gate.lock);
    c->gate.hurry = true;
    cli_cond_wake_all(&c->gate.begun);
    cli_mutex_unlock(&c->gate.lock);
    cli_mutex_lock(&c->park.lock);
    c->park.closed = true;
    cli_mutex_unlock(&c->park.lock);
    while ((p = take(c, any, 0)) != NULL)
        p->give_up(p, 0);
}
