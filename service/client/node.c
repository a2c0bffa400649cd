// SPDX-License-Identifier: BSD-3-Clause
/*
 * node.c - inodes of the host that we know, and how many lookups of each the host counts for us
 *
 * Theory of operation
 *
 *   The host keeps an inode for as long as it believes that we may name it: each LOOKUP, each object made and
 *   each entry of READDIRPLUS adds one, FORGET takes back. node->lookups is that number, exactly. It goes
 *   back when the node leaves the table, in batches that travel without an answer.
 *
 *   A node that nobody uses stays, at the end of a list that is trimmed from its front. Its ancestors stay
 *   as well, because its name needs them; they follow when it goes. So the number of unused nodes has a
 *   bound, and the host's table has one too.
 *
 *   A host that reuses an id says so by another generation: then the old node is stale (it may be found
 *   again by name) and a new one begins. The same id and generation with another file type is a lie.
 *
 *   Two nodes for one inode exist in one case only: a node of an earlier session is found again by one
 *   name after the inode has been entered anew by another (hard link). Both then hold lookups of their own.
 *
 * Ownership: see client.h. A node belongs to the table and to its users.
 * Locks: c->tree, but where said otherwise; forget.lock inside of it.
 */
#include <stdlib.h>
#include <string.h>

#include "service/client/client_int.h"

#define NODES_LEAST 64 /* fewer would not be worth having: cli_nodes_relieve() */

/* ---- FORGET --------------------------------------------------------------------------------------- */

/* Takes forget.lock; c->tree may be held. */
void cli_forget(struct cli *c, uint32_t session, uint64_t id, uint64_t lookups)
{
    if (lookups == 0 || id == CLI_ROOT_ID)
        return;
    cli_mutex_lock(&c->forget.lock);
    if (session < c->forget.session) {
        cli_mutex_unlock(&c->forget.lock);
        return; /* that session is over, and with it what the host counted */
    }
    if (session > c->forget.session) {
        c->forget.n = 0;
        c->forget.session = session;
    }
    if (c->forget.n == c->forget.cap) {
        uint32_t cap = c->forget.cap ? c->forget.cap * 2 : CLI_FORGET_BATCH;
        struct fuse_forget_one *more = realloc(c->forget.one, cap * sizeof(*more));
        if (!more) {
            cli_mutex_unlock(&c->forget.lock);
            cli_log(c, 1, "out of memory: the host keeps an inode until the session ends");
            return;
        }
        c->forget.one = more;
        c->forget.cap = cap;
    }
    c->forget.one[c->forget.n++] = (struct fuse_forget_one){.nodeid = id, .nlookup = lookups};
    cli_mutex_unlock(&c->forget.lock);
}

/* Are at least so many due? Return: the session that they belong to, or 0. */
static uint32_t due(struct cli *c, uint32_t least)
{
    uint32_t session;

    cli_mutex_lock(&c->forget.lock);
    session = c->forget.n >= least ? c->forget.session : 0;
    cli_mutex_unlock(&c->forget.lock);
    return session;
}

/* What is due in a session that is over is due no more. */
static void drop_due(struct cli *c, uint32_t session)
{
    cli_mutex_lock(&c->forget.lock);
    if (c->forget.session == session)
        c->forget.n = 0;
    cli_mutex_unlock(&c->forget.lock);
}

struct forget_msg {
    struct fuse_in_header head;
    struct fuse_batch_forget_in in;
    struct fuse_forget_one one[CLI_FORGET_BATCH];
};

/* Up to a message off the end of the list; the gate is entered. Return: how many. */
static uint32_t take_batch(struct cli *c, uint32_t session, struct forget_msg *m)
{
    uint32_t n = 0;

    cli_mutex_lock(&c->forget.lock);
    if (c->forget.session == session) {
        uint32_t max = (c->limits.max_request - (uint32_t)offsetof(struct forget_msg, one)) /
                       (uint32_t)sizeof(m->one[0]);
        n = c->forget.n < CLI_FORGET_BATCH ? c->forget.n : CLI_FORGET_BATCH;
        n = n < max ? n : max;
        c->forget.n -= n;
        memcpy(m->one, c->forget.one + c->forget.n, n * sizeof(m->one[0]));
    }
    cli_mutex_unlock(&c->forget.lock);
    return n;
}

static int post_batch(struct cli *c, uint32_t session, struct forget_msg *m, uint32_t n)
{
    m->in = (struct fuse_batch_forget_in){.count = n};
    m->head = (struct fuse_in_header){
        .len = (uint32_t)(offsetof(struct forget_msg, one) + n * sizeof(m->one[0])),
        .opcode = FUSE_BATCH_FORGET,
        .unique = atomic_fetch_add(&c->unique, 2),
    };
    int r = c->transport->ops->post(c->transport, &m->head, m->head.len);
    if (r < 0) {
        for (uint32_t i = 0; i < n; i++)
            cli_forget(c, session, m->one[i].nodeid, m->one[i].nlookup);
        return r;
    }
    atomic_fetch_add(&c->count.no_replies, 1);
    atomic_fetch_add(&c->count.by_opcode[FUSE_BATCH_FORGET], 1);
    for (uint32_t i = 0; i < n; i++)
        atomic_fetch_add(&c->count.forgotten, m->one[i].nlookup);
    return 0;
}

void cli_forget_flush(struct cli *c, uint32_t least)
{
    struct forget_msg m;
    uint32_t session, now;
    int r = 0;

    while (r == 0 && (session = due(c, least)) != 0) {
        if (cli_gate_enter(c, session, true, &now) < 0) {
            drop_due(c, session);
            return;
        }
        uint32_t n = take_batch(c, session, &m);
        if (n > 0)
            r = post_batch(c, session, &m, n);
        cli_gate_leave(c, r, false);
    }
    if (r < 0)
        cli_log(c, 2, "FORGET was not sent (error %d), it will be with the next tick", -r);
}

/* ---- the table ------------------------------------------------------------------------------------ */

static struct cli_node **bucket(struct cli *c, uint64_t id)
{
    uint64_t h = (id ^ c->seed) * 0x9e3779b97f4a7c15u;

    return &c->node_hash[(h >> 32) & c->node_mask];
}

struct cli_node *cli_node_find(struct cli *c, uint64_t id)
{
    struct cli_node *n = *bucket(c, id);

    while (n && n->id != id)
        n = n->hash_next;
    return n;
}

void cli_node_hash(struct cli *c, struct cli_node *n)
{
    struct cli_node **at = bucket(c, n->id);

    n->hash_next = *at;
    *at = n;
    n->hashed = true;
}

static void unhash(struct cli *c, struct cli_node *n)
{
    struct cli_node **at = bucket(c, n->id);

    if (!n->hashed)
        return;
    while (*at != n)
        at = &(*at)->hash_next;
    *at = n->hash_next;
    n->hashed = false;
}

void cli_node_unhash(struct cli *c, struct cli_node *n)
{
    unhash(c, n);
    n->stale = true;
    cli_forget(c, n->session, n->id, n->lookups);
    n->lookups = 0;
}

struct cli_node *cli_node_new(struct cli *c, uint32_t type)
{
    struct cli_node *n = calloc(1, sizeof(*n));

    if (!n)
        return NULL;
    n->cli = c;
    n->type = type;
    cli_list_init(&n->names);
    cli_list_init(&n->dentries);
    c->n_nodes++;
    c->n_idle++;
    cli_list_add(&c->idle, &n->idle);
    return n;
}

static void node_free(struct cli *c, struct cli_node *n)
{
    cli_names_of_node_del(c, n);
    cli_names_in_dir_del(c, n);
    cli_list_del(&n->idle); /* where the last name's end may have put it */
    cli_node_unhash(c, n);
    cli_fold_drop(c, n);
    cli_listing_drop(c, n);
    c->n_nodes--;
    if (n->users == 0)
        c->n_idle--;
    free(n);
}

/* ---- who uses a node ------------------------------------------------------------------------------ */

/* Nodes that no name leads to come first: nobody will find them again. */
static void maybe_idle(struct cli *c, struct cli_node *n)
{
    if (n->users > 0 || n->children > 0)
        return;
    cli_list_add(cli_list_empty(&n->names) ? c->idle.next : &c->idle, &n->idle);
}

void cli_node_nameless(struct cli *c, struct cli_node *n)
{
    if (!cli_list_empty(&n->names))
        return;
    cli_list_del(&n->idle);
    maybe_idle(c, n);
}

void cli_node_hold(struct cli *c, struct cli_node *n)
{
    if (n->users++ == 0) {
        c->n_idle--;
        cli_list_del(&n->idle);
    }
}

void cli_node_drop(struct cli *c, struct cli_node *n)
{
    if (--n->users == 0) {
        c->n_idle++;
        maybe_idle(c, n);
    }
}

void cli_child_new(struct cli *c, struct cli_node *dir)
{
    (void)c;
    dir->children++;
    cli_list_del(&dir->idle);
}

void cli_child_gone(struct cli *c, struct cli_node *dir)
{
    dir->children--;
    maybe_idle(c, dir);
}

static struct cli_node *oldest_idle(struct cli *c)
{
    return cli_list_empty(&c->idle) ? NULL : CLI_CONTAINER(c->idle.next, struct cli_node, idle);
}

void cli_nodes_trim(struct cli *c)
{
    while (c->n_idle > c->opt.max_nodes && oldest_idle(c))
        node_free(c, oldest_idle(c));
    while (c->n_names > c->opt.max_names) {
        if (!cli_list_empty(&c->negative))
            cli_name_del(c, CLI_CONTAINER(c->negative.next, struct cli_dentry, alias));
        else if (oldest_idle(c))
            node_free(c, oldest_idle(c));
        else
            return; /* each of them is on the way to a node in use */
    }
}

bool cli_nodes_relieve(struct cli *c)
{
    uint32_t kept = 0;

    cli_mutex_lock(&c->tree);
    if (c->n_idle >= 2 * NODES_LEAST) {
        kept = c->n_idle / 2;
        c->opt.max_nodes = kept;
        cli_nodes_trim(c);
    }
    cli_mutex_unlock(&c->tree);
    if (!kept)
        return false;
    cli_log(c, 1, "the host has no descriptor left: %u of its inodes are remembered from now on",
            kept);
    cli_forget_flush(c, 1);
    return true;
}

/** cli_root() - see client.h */
struct cli_node *cli_root(struct cli *c)
{
    return cli_node_get(c->root);
}

/** cli_node_get() - see client.h */
struct cli_node *cli_node_get(struct cli_node *n)
{
    cli_mutex_lock(&n->cli->tree);
    cli_node_hold(n->cli, n);
    cli_mutex_unlock(&n->cli->tree);
    return n;
}

/** cli_node_put() - see client.h */
void cli_node_put(struct cli *c, struct cli_node *n)
{
    if (!n)
        return;
    cli_mutex_lock(&c->tree);
    cli_node_drop(c, n);
    cli_nodes_trim(c);
    cli_mutex_unlock(&c->tree);
    cli_forget_flush(c, CLI_FORGET_BATCH);
}

/** cli_node_type() - see client.h */
uint32_t cli_node_type(const struct cli_node *n)
{
    return n->type;
}

/* ---- life of the table ---------------------------------------------------------------------------- */

static uint32_t buckets_for(uint32_t entries)
{
    uint32_t n = 64;

    while (n < entries && n < 1u << 20)
        n *= 2;
    return n;
}

int cli_nodes_init(struct cli *c)
{
    uint32_t nodes = buckets_for(c->opt.max_nodes), names = buckets_for(c->opt.max_names);

    cli_list_init(&c->idle);
    cli_list_init(&c->negative);
    c->seed = cli_clock_ms() * 0x9e3779b97f4a7c15u ^ (uint64_t)(uintptr_t)c;
    c->node_hash = calloc(nodes, sizeof(struct cli_node *));
    c->name_hash = calloc(names, sizeof(struct cli_dentry *));
    c->node_mask = nodes - 1;
    c->name_mask = names - 1;
    if (c->node_hash && c->name_hash)
        c->root = cli_node_new(c, LX_S_IFDIR);
    if (!c->root) {
        cli_nodes_free(c);
        return -LE_ENOMEM;
    }
    c->root->id = CLI_ROOT_ID;
    cli_node_hold(c, c->root);
    cli_node_hash(c, c->root);
    return 0;
}

void cli_nodes_forget_nameless(struct cli *c)
{
    struct cli_node *n;

    cli_mutex_lock(&c->tree);
    while ((n = oldest_idle(c)) != NULL && cli_list_empty(&n->names))
        node_free(c, n);
    cli_mutex_unlock(&c->tree);
}

/* Node's table and lock: nothing that was heard of it holds. */
static void doubt(struct cli *c, struct cli_node *n)
{
    cli_attr_changed(c, n);
    if (n->type == LX_S_IFDIR) {
        n->era++;
        cli_fold_doubt(c, n);
    }
}

/** cli_is_below() - see client_int.h */
bool cli_is_below(const struct cli_node *n, const struct cli_node *dir)
{
    while (n != dir && !cli_list_empty(&n->names))
        n = CLI_CONTAINER(n->names.next, struct cli_dentry, alias)->dir;
    return n == dir;
}

/** cli_doubt_below() - see client_int.h */
void cli_doubt_below(struct cli *c, const struct cli_node *dir)
{
    atomic_store(&c->doubted, atomic_fetch_add(&c->clock, 1) + 1);
    cli_mutex_lock(&c->tree);
    for (uint32_t i = 0; i <= c->node_mask; i++)
        for (struct cli_node *n = c->node_hash[i]; n; n = n->hash_next)
            if (!dir || cli_is_below(n, dir))
                doubt(c, n);
    cli_mutex_unlock(&c->tree);
}

/** cli_doubt_all() - see client_int.h */
void cli_doubt_all(struct cli *c)
{
    cli_doubt_below(c, NULL);
}

void cli_nodes_forget_idle(struct cli *c)
{
    cli_mutex_lock(&c->tree);
    while (oldest_idle(c))
        node_free(c, oldest_idle(c));
    cli_mutex_unlock(&c->tree);
}

/* Everything that nobody uses, the root with it. */
void cli_nodes_free(struct cli *c)
{
    cli_mutex_lock(&c->tree);
    if (c->root)
        cli_node_drop(c, c->root);
    while (c->root && oldest_idle(c))
        node_free(c, oldest_idle(c));
    if (c->n_nodes)
        cli_log(c, 0, "%u nodes are still in use at the end", c->n_nodes);
    cli_mutex_unlock(&c->tree);
    free(c->node_hash);
    free(c->name_hash);
    free(c->forget.one);
    c->node_hash = NULL;
    c->name_hash = NULL;
    c->forget.one = NULL;
}

/** cli_nodes_lose() - see client_int.h */
void cli_nodes_lose(struct cli *c)
{
    struct cli_dentry *d, *next;

    for (uint32_t i = 0; i <= c->node_mask; i++) {
        while (c->node_hash[i]) {
            struct cli_node *n = c->node_hash[i];
            unhash(c, n);
            n->lookups = 0;
        }
    }
    for (uint32_t i = 0; i <= c->name_mask; i++) {
        for (d = c->name_hash[i]; d; d = next) {
            next = d->hash_next;
            d->until = 0;
            if (!d->node)
                cli_name_del(c, d);
        }
    }
    while (oldest_idle(c))
        node_free(c, oldest_idle(c));
    c->root->session = c->node_session;
    cli_node_hash(c, c->root);
}

/** cli_nodes_strand() - see client_int.h */
void cli_nodes_strand(struct cli *c)
{
    cli_mutex_lock(&c->tree);
    for (uint32_t i = 0; i <= c->name_mask; i++)
        while (c->name_hash[i])
            cli_name_del(c, c->name_hash[i]);
    while (oldest_idle(c))
        node_free(c, oldest_idle(c));
    cli_mutex_unlock(&c->tree);
}
