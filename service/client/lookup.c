// SPDX-License-Identifier: BSD-3-Clause
/*
 * lookup.c - from names to nodes
 *
 * Theory of operation
 *
 *   A name that is known and still holds is not asked for. A path is walked component by component through
 *   what is known; only what is missing costs a round trip. If the host says that a directory on the way is
 *   not what it was (ESTALE), the whole way is asked for once more, past the cache.
 *
 *   In a share whose case does not matter the very spelling comes first, and then one that differs in case
 *   only. A directory whose folded index is there (fold.c) is not asked for names that the index does not
 *   have, once the index is known to hold; so the search paths of Windows programs, which are misses for the
 *   most part, cost at most one GETATTR each.
 *
 * Locks: c->tree for looking into the cache.
 */
#include <string.h>

#include "service/client/client_int.h"

/** cli_name_ok() - see client_int.h */
int cli_name_ok(const struct cli_node *dir, struct cli_name name)
{
    if (dir->type != LX_S_IFDIR)
        return -LE_ENOTDIR;
    return name_check(name.bytes, name.len, NAME_CHANGES_DIRECTORY);
}

/* ---- asking --------------------------------------------------------------------------------------- */

/* {entry, [ext], [open]} in the order of the wire */
struct entry_reply {
    uint8_t bytes[sizeof(struct fuse_entry_out) + sizeof(struct fuse_viofs_ext) +
                  sizeof(struct fuse_open_out)];
};

static int parse_reply(const struct entry_reply *reply, bool ext, struct fuse_open_out *open,
                       struct cli_entry *e)
{
    struct fuse_entry_out entry;
    struct fuse_viofs_ext x;
    const uint8_t *at = reply->bytes;

    memcpy(&entry, at, sizeof(entry));
    at += sizeof(entry);
    if (ext) {
        memcpy(&x, at, sizeof(x));
        at += sizeof(x);
    }
    if (open)
        memcpy(open, at, sizeof(*open));
    return cli_entry_parse(&entry, ext ? &x : NULL, e);
}

/** cli_entry_call() - see client_int.h */
int cli_entry_call(struct cli *c, struct cli_req *r, uint32_t viofs, struct fuse_open_out *open,
                   struct cli_entry *e)
{
    bool ext = viofs && atomic_load(&c->extension);
    uint64_t stamp = cli_stamp(c);
    struct entry_reply reply;
    int result;

    for (;;) {
        struct cli_req one = *r;

        one.opcode = ext ? viofs : r->opcode;
        one.reply = &reply;
        one.reply_min =
            (uint32_t)(sizeof(struct fuse_entry_out) + (ext ? sizeof(struct fuse_viofs_ext) : 0) +
                       (open ? sizeof(*open) : 0));
        one.reply_cap = one.reply_min;
        result = cli_call(c, &one);
        if (result != -LE_ENOSYS || !ext) {
            r->session = one.session;
            break;
        }
        ext = false; /* another daemon than the one that was probed */
    }
    if (result < 0)
        return result;
    result = parse_reply(&reply, ext, open, e);
    e->session = r->session;
    e->stamp = stamp;
    if (result < 0 && e->id)
        cli_forget(c, r->session, e->id, 1);
    return result;
}

/** cli_ask() - see client_int.h */
int cli_ask(struct cli *c, struct cli_node *dir, struct cli_name name, uint32_t *session,
            struct cli_node **out)
{
    char text[CLI_NAME_BYTES + 1];
    struct cli_entry e;
    struct cli_req r = {
        .opcode = FUSE_LOOKUP,
        .node = dir,
        .no_retry = session != NULL,
        .no_wait = session != NULL,
        .arg = {{text, name.len + 1}},
    };

    memcpy(text, name.bytes, name.len);
    text[name.len] = '\0';
    for (uint64_t until = 0;;) {
        r.session = 0;
        uint64_t stamp = cli_stamp(c);
        int result = cli_entry_call(c, &r, VIOFS_LOOKUP, NULL, &e);
        if (session)
            *session = r.session;
        if (result == -LE_ENOENT) /* says nothing of how long it holds: not at all */
            e = (struct cli_entry){.session = r.session, .stamp = stamp};
        else if (result < 0)
            return result;
        result = cli_enter(c, dir, name, &e, out);
        /* The session can end between the answer and its entry. */
        if (result != -LE_ENOTCONN || session || !cli_await_session(c, &until))
            return result;
    }
}

/* ---- with the cache --------------------------------------------------------------------------------- */

/* Return: 0 with a reference; -LE_ENOENT; 1 if it has to be asked. */
static int cached(struct cli *c, struct cli_node *dir, struct cli_name name, struct cli_node **out)
{
    int r = 1;

    cli_mutex_lock(&c->tree);
    struct cli_dentry *d = cli_name_find(c, dir, name);
    if (d && cli_name_holds(d)) {
        r = d->node ? 0 : -LE_ENOENT;
        if (d->node) {
            cli_node_hold(c, d->node);
            *out = d->node;
        }
    }
    cli_mutex_unlock(&c->tree);
    return r;
}

static int lookup_exact(struct cli *c, struct cli_node *dir, struct cli_name name, bool fresh,
                        struct cli_node **out)
{
    int r = fresh ? 1 : cached(c, dir, name, out);

    return r == 1 ? cli_ask(c, dir, name, NULL, out) : r;
}

static void spell(char *actual, struct cli_name name)
{
    memcpy(actual, name.bytes, name.len);
    actual[name.len] = '\0';
}

/* The very spelling first; `actual` gets the one that was found. */
static int lookup_folded(struct cli *c, struct cli_node *dir, struct cli_name name, bool fresh,
                         struct cli_node **out, char *actual)
{
    int r = fresh ? 1 : cached(c, dir, name, out);

    if (r == 0) {
        spell(actual, name);
        return 0;
    }
    if (r == 1 && cli_fold_guess(c, dir, name) != CLI_GUESS_OTHER) {
        r = cli_ask(c, dir, name, NULL, out);
        if (r != -LE_ENOENT) {
            spell(actual, name);
            return r;
        }
    }
    int len = cli_fold_find(c, dir, name, actual);
    if (len < 0)
        return len;
    r = lookup_exact(c, dir, (struct cli_name){actual, (uint32_t)len}, fresh, out);
    if (r == -LE_ENOENT)
        cli_fold_drop(c, dir); /* gone within the time for which the host let us believe it */
    return r;
}

static int lookup(struct cli *c, struct cli_node *dir, struct cli_name name, bool fresh,
                  struct cli_node **out, char *actual)
{
    int r = cli_name_ok(dir, name);

    if (r < 0)
        return r;
    if (c->opt.case_insensitive)
        return lookup_folded(c, dir, name, fresh, out, actual);
    spell(actual, name);
    return lookup_exact(c, dir, name, fresh, out);
}

/** cli_lookup() - see client.h */
int cli_lookup(struct cli *c, struct cli_node *dir, struct cli_name name, struct cli_node **out,
               char *actual)
{
    char space[CLI_NAME_BYTES + 1];

    return lookup(c, dir, name, false, out, actual ? actual : space);
}

/* ---- paths ------------------------------------------------------------------------------------------ */

static int add_spelling(struct cli_walk *w, const char *actual)
{
    uint32_t len = (uint32_t)strlen(actual), slash = w->spelling_len > 0;

    if (len + slash > CLI_SPELLING_MAX - w->spelling_len)
        return -LE_ENAMETOOLONG;
    if (slash)
        w->spelling[w->spelling_len++] = '/';
    memcpy(w->spelling + w->spelling_len, actual, len);
    w->spelling_len += len;
    return 0;
}

static void move_on(struct cli *c, struct cli_walk *w, struct cli_node *next)
{
    cli_node_put(c, w->parent);
    w->parent = w->node;
    w->node = next;
}

/* One component on. Return: as cli_walk(); on failure, but for the last one missing, nothing has moved. */
static int step(struct cli *c, struct cli_walk *w, struct cli_name name, bool last, bool fresh)
{
    char actual[CLI_NAME_BYTES + 1];
    struct cli_node *next;
    int r = lookup(c, w->node, name, fresh, &next, actual);

    if (r == -LE_ENOENT && last)
        move_on(c, w, NULL);
    if (r < 0)
        return r;
    if (!last && next->type != LX_S_IFDIR && next->type != LX_S_IFLNK) {
        cli_node_put(c, next);
        return -LE_ENOTDIR;
    }
    move_on(c, w, next);
    if (!last && next->type == LX_S_IFLNK)
        return CLI_WALK_SYMLINK;
    w->depth++;
    return add_spelling(w, actual);
}

static int walk(struct cli *c, const struct cli_name *names, unsigned count, bool fresh,
                struct cli_walk *w)
{
    int r = 0;

    w->node = cli_root(c);
    w->parent = NULL;
    w->depth = 0;
    w->spelling_len = 0;
    for (unsigned i = 0; i < count && r == 0; i++)
        r = step(c, w, names[i], i + 1 == count, fresh);
    if (r < 0 && !(r == -LE_ENOENT && w->depth + 1 == count))
        cli_walk_end(c, w); /* the results that count are the error and the depth */
    return r;
}

/** cli_walk() - see client.h */
int cli_walk(struct cli *c, const struct cli_name *names, unsigned count, struct cli_walk *w)
{
    int r = walk(c, names, count, false, w);

    return r == -LE_ESTALE ? walk(c, names, count, true, w) : r;
}

/** cli_walk_end() - see client.h */
void cli_walk_end(struct cli *c, struct cli_walk *w)
{
    cli_node_put(c, w->node);
    cli_node_put(c, w->parent);
    w->node = w->parent = NULL;
}
