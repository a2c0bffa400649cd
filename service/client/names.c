// SPDX-License-Identifier: BSD-3-Clause
/*
 * names.c - names that are known to be there, and names that are known to be missing
 *
 * Theory of operation
 *
 *   A dentry says what a name in a directory leads to, for as long as the host allowed (entry_valid). One
 *   that leads to a node outlives that time: it is how the node is found again in a new session or after
 *   ESTALE. So it belongs to its node and goes with it; a node has a few of them at most (hard links), a
 *   directory has exactly one, and no directory is its own ancestor whatever the host says. Names that
 *   are missing belong to nobody; the oldest is dropped first.
 *
 *   A directory that the host changed behind our back starts a new era: what was learnt in an older one
 *   holds no longer, which costs nothing however many names there are.
 *
 *   An answer that was asked for before we changed a name ourselves says nothing of the name as it is
 *   now. name_changed remembers, by hash, when a name was last changed; names that share a slot are asked
 *   for once more, which is harmless.
 *
 * Ownership: a dentry belongs to the table, counts in its directory's `children` if it leads to a node, and
 * is deleted with its node or its directory. Bound: opt.max_names (cli_nodes_trim()).
 * Locks: all but cli_dir_changed() and cli_forget_name() are called with c->tree held.
 */
#include <stdlib.h>
#include <string.h>

#include "service/client/client_int.h"

enum { NAMES_OF_NODE_MAX = 8 };

static uint32_t hash_of(const struct cli *c, const struct cli_node *dir, struct cli_name name)
{
    uint64_t h = 0xcbf29ce484222325u ^ (uint64_t)(uintptr_t)dir ^ c->seed;

    for (uint32_t i = 0; i < name.len; i++)
        h = (h ^ (uint8_t)name.bytes[i]) * 0x100000001b3u;
    return (uint32_t)(h ^ h >> 32);
}

static struct cli_dentry **bucket(struct cli *c, uint32_t hash)
{
    return &c->name_hash[hash & c->name_mask];
}

struct cli_dentry *cli_name_find(struct cli *c, struct cli_node *dir, struct cli_name name)
{
    uint32_t hash = hash_of(c, dir, name);

    for (struct cli_dentry *d = *bucket(c, hash); d; d = d->hash_next) {
        if (d->hash == hash && d->dir == dir && d->len == name.len &&
            memcmp(d->name, name.bytes, name.len) == 0)
            return d;
    }
    return NULL;
}

bool cli_name_holds(const struct cli_dentry *d)
{
    return d->era == d->dir->era && cli_clock_ms() < d->until;
}

static uint64_t *change_slot(struct cli *c, const struct cli_node *dir, struct cli_name name)
{
    return &c->name_changed[hash_of(c, dir, name) % CLI_CHANGE_SLOTS];
}

bool cli_name_changed(struct cli *c, const struct cli_node *dir, struct cli_name name,
                      uint64_t stamp)
{
    return stamp < *change_slot(c, dir, name) || stamp < atomic_load(&c->doubted);
}

/** cli_name_doubt() - see client_int.h */
void cli_name_doubt(struct cli *c, const struct cli_node *dir, struct cli_name name)
{
    *change_slot(c, dir, name) = atomic_fetch_add(&c->clock, 1) + 1;
}

/* ---- links between dentries and nodes ----------------------------------------------------------- */

static void unlink_node(struct cli *c, struct cli_dentry *d)
{
    cli_list_del(&d->alias);
    if (!d->node)
        return;
    d->node->n_names--;
    cli_node_nameless(c, d->node);
    d->node = NULL;
    cli_child_gone(c, d->dir);
}

void cli_name_del(struct cli *c, struct cli_dentry *d)
{
    struct cli_dentry **at = bucket(c, d->hash);

    while (*at != d)
        at = &(*at)->hash_next;
    *at = d->hash_next;
    c->n_names--;
    cli_list_del(&d->sibling);
    unlink_node(c, d);
    free(d);
}

void cli_names_of_node_del(struct cli *c, struct cli_node *n)
{
    while (!cli_list_empty(&n->names))
        cli_name_del(c, CLI_CONTAINER(n->names.next, struct cli_dentry, alias));
}

void cli_names_in_dir_del(struct cli *c, struct cli_node *dir)
{
    while (!cli_list_empty(&dir->dentries))
        cli_name_del(c, CLI_CONTAINER(dir->dentries.next, struct cli_dentry, sibling));
}

/* Is `n` the directory itself or above it? Each directory has one name, so there is one way up. */
static bool is_above(const struct cli_node *n, const struct cli_node *dir)
{
    while (dir != n && !cli_list_empty(&dir->names))
        dir = CLI_CONTAINER(dir->names.next, struct cli_dentry, alias)->dir;
    return dir == n;
}

/* Room for one more name that leads to the node: the oldest ones go. */
static void make_room(struct cli *c, struct cli_node *n)
{
    uint32_t max = n->type == LX_S_IFDIR ? 1 : NAMES_OF_NODE_MAX;

    while (n->n_names >= max)
        cli_name_del(c, CLI_CONTAINER(n->names.next, struct cli_dentry, alias));
}

static void link_node(struct cli *c, struct cli_dentry *d, struct cli_node *n)
{
    d->node = n;
    if (!n) {
        cli_list_add(&c->negative, &d->alias);
        return;
    }
    make_room(c, n);
    cli_list_add(&n->names, &d->alias);
    n->n_names++;
    cli_child_new(c, d->dir);
}

static struct cli_dentry *dentry_new(struct cli *c, struct cli_node *dir, struct cli_name name)
{
    struct cli_dentry *d = calloc(1, sizeof(*d) + name.len);

    if (!d)
        return NULL;
    d->dir = dir;
    d->hash = hash_of(c, dir, name);
    d->len = (uint8_t)name.len;
    memcpy(d->name, name.bytes, name.len);
    d->hash_next = *bucket(c, d->hash);
    *bucket(c, d->hash) = d;
    cli_list_add(&dir->dentries, &d->sibling);
    c->n_names++;
    return d;
}

/** cli_name_set() - see client_int.h */
int cli_name_set(struct cli *c, struct cli_node *dir, struct cli_name name, struct cli_node *node,
                 uint64_t until)
{
    struct cli_dentry *d = cli_name_find(c, dir, name);

    if (node && (node == c->root || (node->type == LX_S_IFDIR && is_above(node, dir))))
        return -LE_EIO;
    if (!d)
        d = dentry_new(c, dir, name);
    if (!d)
        return -LE_ENOMEM;
    if (!node || d->node != node) {
        unlink_node(c, d);
        link_node(c, d, node);
    }
    d->until = until;
    d->era = dir->era;
    return 0;
}

/* ---- changes ------------------------------------------------------------------------------------ */

void cli_dir_changed(struct cli *c, struct cli_node *dir, struct cli_name name)
{
    uint64_t now = atomic_fetch_add(&c->clock, 1) + 1;

    cli_mutex_lock(&c->tree);
    *change_slot(c, dir, name) = now;
    cli_mutex_unlock(&c->tree);
    cli_mutex_lock(&dir->lock);
    dir->heard = dir->attr_until = 0;
    dir->attr_changed = now;
    dir->own_change = true;
    cli_mutex_unlock(&dir->lock);
}

/** cli_doubt_children() - see client_int.h */
void cli_doubt_children(struct cli *c, struct cli_node *dir)
{
    dir->era++;
    for (struct cli_link *l = dir->dentries.next; l != &dir->dentries; l = l->next) {
        struct cli_node *n = CLI_CONTAINER(l, struct cli_dentry, sibling)->node;

        if (n)
            cli_attr_changed(c, n);
    }
}

/** cli_path_of() - see client_int.h */
int cli_path_of(struct cli *c, struct cli_node *n, char *text, uint32_t cap)
{
    uint32_t at = cap;

    for (; n != c->root;) {
        if (cli_list_empty(&n->names))
            return -LE_ENOENT;
        struct cli_dentry *d = CLI_CONTAINER(n->names.prev, struct cli_dentry, alias);
        uint32_t slash = at < cap;

        if (d->len + slash > at)
            return -LE_ENAMETOOLONG;
        if (slash)
            text[--at] = '/';
        at -= d->len;
        memcpy(text + at, d->name, d->len);
        n = d->dir;
    }
    memmove(text, text + at, cap - at);
    return (int)(cap - at);
}

/** cli_forget_name() - see client.h */
void cli_forget_name(struct cli *c, struct cli_node *dir, struct cli_name name)
{
    cli_mutex_lock(&c->tree);
    if (!name.bytes) {
        dir->era++;
    } else {
        struct cli_dentry *d = cli_name_find(c, dir, name);
        if (d && d->node)
            d->until = 0;
        else if (d)
            cli_name_del(c, d);
    }
    cli_mutex_unlock(&c->tree);
    cli_fold_drop(c, dir);
}
