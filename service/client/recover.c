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
 *   Until it is done, and if it fails, requests are -LE_ENOTCONN.
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
    struct cli_attr attr;

    if (atomic_exchange(&c->recovering, true))
        return -LE_EBUSY;
    cli_feed_stop(c);
    int r = cli_gate_close(c, CLI_ENDED);
    if (!r) {
        next_session(c);
        r = cli_session_begin(c);
    }
    if (!r)
        r = cli_getattr(c, c->root, true, &attr);
    if (!r)
        cli_feed_begin(c);
    atomic_store(&c->recovering, false);
    return r;
}
