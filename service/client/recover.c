// SPDX-License-Identifier: BSD-3-Clause
/*
 * recover.c - a new session under the nodes of the old one
 *
 * Theory of operation
 *
 *   A daemon that is replaced, a device that is reset or a machine that resumes ends the session: ids and
 *   handles mean nothing any more, although the files are the same. cli_recover() waits until nothing of the
 *   old session is under way, begins a new one, and leaves every node that is still in use without an id.
 *   Each is found again when it is next used (enter.c), and its handles are opened again then (file.c).
 *
 *   The root is asked for first. If it is another directory than before (a machine that resumed elsewhere, where
 *   another one has its tag), inode numbers prove nothing, and no node is found again.
 *
 *   Until it is done, and if it fails, requests wait (patience.c) or are -LE_ENOTCONN. Whoever watches is told to look for
 *   himself when changes are told again: nobody was told what happened meanwhile.
 *
 * Locks: gate.lock to close the gate, then c->tree and gate.lock for the number of the new session.
 */
#include "service/client/client_int.h"

static void next_session(struct cli *c)
{
    cli_doubt_all(c); /* nobody was told what happened meanwhile */
    cli_mutex_lock(&c->tree);
    cli_mutex_lock(&c->gate.lock);
    c->node_session = ++c->gate.session_no;
    cli_mutex_unlock(&c->gate.lock);
    cli_nodes_lose(c);
    cli_mutex_unlock(&c->tree);
    cli_mutex_lock(&c->misc);
    c->statfs_until = 0;
    cli_mutex_unlock(&c->misc);
}

/** cli_recover() - see client.h */
int cli_recover(struct cli *c)
{
    if (atomic_exchange(&c->recovering, true))
        return -LE_EBUSY;
    c->untold |= cli_feed_stop(c);
    int r = cli_gate_close(c, CLI_ENDED);
    if (!r) {
        next_session(c);
        r = cli_session_begin(c);
    }
    if (!r) {
        cli_feed_begin(c);
        if (c->untold) /* a session that ended unseen */
            cli_tell_lost(c);
        c->untold = false;
        cli_park_run(c);
    }
    atomic_store(&c->recovering, false);
    return r;
}
