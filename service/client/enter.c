// SPDX-License-Identifier: BSD-3-Clause
/*
 * enter.c - what the host answers becomes a node; and a node whose id is of no use is found again
 *
 * Theory of operation
 *
 *   cli_enter() takes an entry into the tables: its id, one lookup, a name, attributes. Answers of a session
 *   that is over are thrown away, and nothing is owed for them.
 *
 *   A node's id is good for one session, and only while the host does not say ESTALE. Afterwards the node
 *   is found again by name when it is next used, its ancestors first, from the top down. The inode found
 *   is only taken for the same if type, host inode number and birth time (where both have one) agree; if
 *   not, the name now belongs to a new node, and the old one is -LE_ESTALE for whoever still holds it.
 *
 * Locks: c->tree for each step, none while asking.
 */
#include <string.h>

#include "service/client/client_int.h"

enum {
    /* Round trips to find one node again. An honest host needs one for each directory above it; the
     * longest path that Windows can name has 512 components. */
    FIND_TRIPS = 1100
};

/** cli_node_same() - see client_int.h; c->tree held */
bool cli_node_same(const struct cli_node *n, const struct cli_attr *a)
{
    if (n->type != (a->mode & LX_S_IFMT) || n->ino != a->ino)
        return false;
    return !n->has_id_btime || !a->has_btime ||
           (n->id_btime.sec == a->btime.sec && n->id_btime.nsec == a->btime.nsec);
}

static bool in_session(const struct cli *c, const struct cli_node *n)
{
    return n->session == c->node_session && !n->stale;
}

/* The node gets the id that an entry brought, with the one lookup that came with it. */
static void bind_id(struct cli *c, struct cli_node *n, const struct cli_entry *e)
{
    n->id = e->id;
    n->generation = e->generation;
    n->session = e->session;
    n->stale = false;
    n->lookups = 1;
    n->ino = e->attr.ino;
    if (e->attr.has_btime) {
        n->id_btime = e->attr.btime;
        n->has_id_btime = true;
    }
    cli_node_hash(c, n);
}

/* The node of an entry, one lookup richer. Return: 0 or -errno, then the lookup is given back. */
static int node_of(struct cli *c, struct cli_node *known, const struct cli_entry *e,
                   struct cli_node **out)
{
    uint32_t type = e->attr.mode & LX_S_IFMT;
    struct cli_node *n = cli_node_find(c, e->id);

    if (e->id == CLI_ROOT_ID)
        return -LE_EIO;
    if (n && n->generation != e->generation) {
        cli_node_unhash(c, n);
        n = NULL;
    }
    if (n && n->type != type) {
        cli_forget(c, e->session, e->id, 1);
        cli_log(c, 1, "the host gave node %llu another type", (unsigned long long)e->id);
        return -LE_EIO;
    }
    if (n) {
        n->lookups++;
    } else {
        if (known && !in_session(c, known) && cli_node_same(known, &e->attr))
            n = known;
        else
            n = cli_node_new(c, type);
        if (!n) {
            cli_forget(c, e->session, e->id, 1);
            return -LE_ENOMEM;
        }
        bind_id(c, n, e);
    }
    *out = n;
    return 0;
}

/*
 * `old` is found again, but as a node that has been entered anew already. It takes over one of the lookups
 * that the host counts, and stays beside the other one.
 */
static void share_id(struct cli_node *n, struct cli_node *old)
{
    n->lookups--;
    old->id = n->id;
    old->generation = n->generation;
    old->session = n->session;
    old->stale = false;
    old->lookups = 1;
}

static uint64_t until(struct cli *c, uint64_t ms)
{
    ms = cli_hold_ms(c, ms);
    return ms ? cli_clock_ms() + ms : 0;
}

static int enter_missing(struct cli *c, struct cli_node *dir, struct cli_name name,
                         const struct cli_entry *e)
{
    struct cli_dentry *d = cli_name_find(c, dir, name);

    if (cli_name_changed(c, dir, name, e->stamp))
        return -LE_ENOENT;
    if (e->entry_ms)
        (void)cli_name_set(c, dir, name, NULL, until(c, e->entry_ms)); /* no memory: not cached */
    else if (d)
        cli_name_del(c, d);
    cli_nodes_trim(c);
    return -LE_ENOENT;
}

/*
 * The name was changed since the question was asked, or one that shares its slot: whatever was known of it holds no
 * longer, above all that it is missing. With a node it is still the only way to say where that is.
 */
static int enter_doubted(struct cli *c, struct cli_node *dir, struct cli_name name,
                         struct cli_node *n)
{
    struct cli_dentry *d = cli_name_find(c, dir, name);

    if (d && d->node != n) {
        if (d->node) {
            d->until = 0;
            return 0;
        }
        cli_name_del(c, d);
        d = NULL;
    }
    return !d && cli_list_empty(&n->names) ? cli_name_set(c, dir, name, n, 0) : 0;
}

/* @old: the name was changed since the question was asked. */
static int enter_locked(struct cli *c, struct cli_node *dir, struct cli_name name,
                        const struct cli_entry *e, struct cli_node **out, bool *old)
{
    struct cli_dentry *d;
    struct cli_node *known = NULL, *n;

    if (e->session != c->node_session)
        return -LE_ENOTCONN;
    if (e->id == 0)
        return name.bytes ? enter_missing(c, dir, name, e) : -LE_ENOENT;
    if (name.bytes && (d = cli_name_find(c, dir, name)) != NULL)
        known = d->node;
    int r = node_of(c, known, e, &n);
    if (r < 0)
        return r;
    if (known && known != n && !in_session(c, known) && cli_node_same(known, &e->attr)) {
        share_id(n, known);
        n = known;
    }
    cli_node_hold(c, n);
    if (name.bytes && !cli_name_changed(c, dir, name, e->stamp))
        r = cli_name_set(c, dir, name, n, until(c, e->entry_ms));
    else if (name.bytes) {
        *old = true;
        r = enter_doubted(c, dir, name, n);
    }
    if (r == -LE_EIO) {
        cli_log(c, 1, "the host put a directory below itself");
        cli_node_drop(c, n);
        return r;
    }
    *out = n;
    return 0;
}

/** cli_enter() - see client_int.h */
int cli_enter(struct cli *c, struct cli_node *dir, struct cli_name name, const struct cli_entry *e,
              struct cli_node **out)
{
    struct cli_node *n = NULL;
    bool old = false;

    cli_mutex_lock(&c->tree);
    int r = enter_locked(c, dir, name, e, &n, &old);
    cli_mutex_unlock(&c->tree);
    if (!r)
        r = cli_attr_store(c, n, &e->attr, old ? 0 : e->attr_ms, e->stamp);
    if (r || !out) {
        cli_node_put(c, n);
        return r;
    }
    *out = n;
    return 0;
}

/** cli_node_id() - see client_int.h */
int cli_node_id(struct cli *c, struct cli_node *n, uint32_t session, uint64_t *id)
{
    int r = -LE_ESTALE;

    cli_mutex_lock(&c->tree);
    if (n->session == session && !n->stale) {
        *id = n->id;
        r = 0;
    }
    cli_mutex_unlock(&c->tree);
    return r;
}

/* ---- finding a node again --------------------------------------------------------------------------- */

/* One step of the way: this name in that directory should lead to that node. */
struct step {
    struct cli_node *dir; /* held */
    uint32_t len;
    char name[CLI_NAME_BYTES];
};

/*
 * The topmost part of the way to `n` that has no id in this session; its directory has one.
 * Return: 1: the step is filled in; 0: nothing is missing; -LE_ESTALE: a part of the way has no name.
 */
static int next_step(struct cli *c, struct cli_node *n, struct step *s)
{
    if (in_session(c, n))
        return 0;
    for (;;) {
        if (cli_list_empty(&n->names))
            return -LE_ESTALE;
        struct cli_dentry *d = CLI_CONTAINER(n->names.next, struct cli_dentry, alias);
        if (!in_session(c, d->dir)) {
            n = d->dir;
            continue;
        }
        s->dir = d->dir;
        s->len = d->len;
        memcpy(s->name, d->name, d->len);
        cli_node_hold(c, s->dir);
        return 1;
    }
}

/* The directory of a step turned out to be stale itself, so it becomes a step of its own. */
static int mark_stale(struct cli *c, struct cli_node *n, uint32_t session)
{
    if (n == c->root)
        return -LE_ESTALE;
    if (n->session == session && !n->stale)
        cli_node_unhash(c, n);
    return 0;
}

static void forget_missing(struct cli *c, struct cli_node *dir, struct cli_name name)
{
    struct cli_dentry *d = cli_name_find(c, dir, name);

    if (d)
        cli_name_del(c, d);
}

/* Ask for a step. What is found there is entered, which gives the node its id if it is the same. */
static int take_step(struct cli *c, const struct step *s)
{
    struct cli_name name = {s->name, s->len};
    uint32_t session = 0;
    int r = cli_ask(c, s->dir, name, &session, NULL);

    if (r != -LE_ESTALE && r != -LE_ENOENT)
        return r;
    cli_mutex_lock(&c->tree);
    if (r == -LE_ESTALE)
        r = mark_stale(c, s->dir, session);
    else
        forget_missing(c, s->dir, name);
    cli_mutex_unlock(&c->tree);
    return r == -LE_ENOENT ? 0 : r;
}

/** cli_node_ready() - see client_int.h */
int cli_node_ready(struct cli *c, struct cli_node *n)
{
    for (unsigned trips = 0; trips < FIND_TRIPS; trips++) {
        struct step s;

        cli_mutex_lock(&c->tree);
        int r = next_step(c, n, &s);
        cli_mutex_unlock(&c->tree);
        if (r <= 0)
            return r;
        r = take_step(c, &s);
        cli_node_put(c, s.dir);
        if (r < 0)
            return r;
    }
    return -LE_ESTALE;
}

/** cli_node_retry() - see client_int.h */
int cli_node_retry(struct cli *c, struct cli_node *n, uint32_t session)
{
    cli_mutex_lock(&c->tree);
    int r = mark_stale(c, n, session);
    cli_mutex_unlock(&c->tree);
    return r < 0 ? r : cli_node_ready(c, n);
}
