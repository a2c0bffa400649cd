// SPDX-License-Identifier: BSD-3-Clause
/*
 * listing.c - listings that are kept, so that walking a tree again asks the host for nothing
 *
 * Theory of operation
 *
 *   Where the host tells of changes, a directory that was read from its start to its end need not be read again until
 *   something changes in it. Its names are kept in the order of the host, with its cookies; nodes and attributes
 *   are where they always are, in the caches of names and attributes.
 *
 *   A listing belongs to one state of its directory: it holds while the directory's attributes hold, and hold for long
 *   (that is how the host says that the directory is watched), and no name in it was changed since the
 *   listing was begun, by us or by others. Both ways a change is noticed end that: our own in
 *   cli_dir_changed(), others' in feed.c, which end the attributes.
 *
 *   While it is read a listing is its stream's. Pages must follow each other without a gap.
 *
 *   All listings together have a bound; past it directories are read each time.
 *
 * Ownership: counted: by the directory's node, and by each stream that reads it. A finished one never changes.
 * Locks: node->lock for node->listing; the count is atomic.
 */
#include <stdlib.h>
#include <string.h>

#include "service/client/client_int.h"

enum { MOST_MEMORY = 64 << 20 };

struct entry {
    uint64_t cookie;
    uint32_t type;
    uint32_t name_len;
    char name[];
};

struct cli_listing {
    _Atomic uint32_t users;
    uint64_t stamp; /* of the question that began it */
    uint64_t next;  /* while it is read: cookie of the page that comes next */
    uint32_t len, cap;
    uint32_t entries;
    uint8_t *bytes; /* struct entry, each at a multiple of 8 */
};

static uint32_t step_of(uint32_t name_len)
{
    return (uint32_t)(sizeof(struct entry) + name_len + 7) & ~7u;
}

/** cli_listing_put() - see client_int.h */
void cli_listing_put(struct cli *c, struct cli_listing *l)
{
    if (!l || atomic_fetch_sub(&l->users, 1) != 1)
        return;
    atomic_fetch_sub(&c->listing_bytes, l->cap);
    free(l->bytes);
    free(l);
}

/* ---- while a directory is read ---------------------------------------------------------------------- */

/** cli_listing_begin() - see client_int.h */
struct cli_listing *cli_listing_begin(struct cli *c, struct cli_node *dir, uint64_t stamp)
{
    struct cli_listing *l = NULL;

    cli_mutex_lock(&dir->lock);
    bool watched = dir->attr_long && cli_clock_ms() < dir->attr_until && dir->attr_changed <= stamp;
    cli_mutex_unlock(&dir->lock);
    if (watched && atomic_load(&c->feed.live))
        l = calloc(1, sizeof(*l));
    if (l) {
        l->users = 1;
        l->stamp = stamp;
    }
    return l;
}

/* Return: false when there is no room. */
static bool make_room(struct cli *c, struct cli_listing *l, uint32_t more)
{
    uint32_t cap = l->cap;

    if (more <= cap - l->len)
        return true;
    while (more > cap - l->len)
        cap = cap ? cap * 2 : 1024;
    if (atomic_load(&c->listing_bytes) + (cap - l->cap) > MOST_MEMORY)
        return false;
    uint8_t *bytes = realloc(l->bytes, cap);
    if (!bytes)
        return false;
    atomic_fetch_add(&c->listing_bytes, cap - l->cap);
    l->bytes = bytes;
    l->cap = cap;
    return true;
}

/** cli_listing_page() - see client_int.h */
bool cli_listing_page(struct cli *c, struct cli_listing *l, uint64_t start, const void *page,
                      uint32_t len, enum cli_page kind)
{
    struct cli_rawent raw;
    uint32_t pos = 0;

    if (start != l->next)
        return false;
    while (cli_dirent_next(page, len, &pos, kind, &raw) > 0) {
        l->next = raw.cookie;
        if (raw.skip)
            continue;
        struct entry e = {.cookie = raw.cookie, .type = raw.type, .name_len = raw.name_len};
        if (!raw.has_entry || !make_room(c, l, step_of(raw.name_len)))
            return false;
        memcpy(l->bytes + l->len, &e, sizeof(e));
        memcpy(l->bytes + l->len + sizeof(e), raw.name, raw.name_len);
        l->len += step_of(raw.name_len);
        l->entries++;
    }
    return true;
}

/** cli_listing_end() - see client_int.h */
void cli_listing_end(struct cli *c, struct cli_node *dir, struct cli_listing *l)
{
    struct cli_listing *old = l;

    cli_mutex_lock(&dir->lock);
    if (dir->attr_changed <= l->stamp) {
        old = dir->listing;
        dir->listing = l;
    }
    cli_mutex_unlock(&dir->lock);
    cli_listing_put(c, old);
}

/* ---- when it is asked for again --------------------------------------------------------------------- */

/** cli_listing_get() - see client_int.h */
struct cli_listing *cli_listing_get(struct cli *c, struct cli_node *dir)
{
    struct cli_listing *l, *old = NULL;

    cli_mutex_lock(&dir->lock);
    l = dir->listing;
    if (l && dir->attr_changed > l->stamp) {
        old = l;
        l = dir->listing = NULL;
    } else if (l && dir->attr_long && cli_clock_ms() < dir->attr_until &&
               atomic_load(&c->feed.live)) {
        atomic_fetch_add(&l->users, 1);
    } else {
        l = NULL;
    }
    cli_mutex_unlock(&dir->lock);
    cli_listing_put(c, old);
    return l;
}

/** cli_listing_drop() - see client_int.h */
void cli_listing_drop(struct cli *c, struct cli_node *dir)
{
    cli_mutex_lock(&dir->lock);
    struct cli_listing *old = dir->listing;
    dir->listing = NULL;
    cli_mutex_unlock(&dir->lock);
    cli_listing_put(c, old);
}

/** cli_listing_next() - see client_int.h */
bool cli_listing_next(const struct cli_listing *l, uint32_t *pos, struct cli_dirent *out)
{
    struct entry e;

    if (*pos >= l->len)
        return false;
    memcpy(&e, l->bytes + *pos, sizeof(e));
    *out = (struct cli_dirent){
        .name = (const char *)l->bytes + *pos + sizeof(e),
        .name_len = e.name_len,
        .type = e.type,
        .cookie = e.cookie,
    };
    *pos += step_of(e.name_len);
    return true;
}

/** cli_listing_seek() - see client_int.h */
bool cli_listing_seek(const struct cli_listing *l, uint64_t cookie, uint32_t *pos)
{
    struct cli_dirent e;

    *pos = 0;
    if (cookie == 0)
        return true;
    while (cli_listing_next(l, pos, &e)) {
        if (e.cookie == cookie)
            return true;
    }
    return false;
}

/*
 * What is known of an entry. Return: false if the host has to be asked.
 */
static bool entry_known(struct cli *c, struct cli_node *dir, struct cli_dirent *e)
{
    struct cli_name name = {e->name, e->name_len};
    struct cli_node *n = NULL;

    cli_mutex_lock(&c->tree);
    struct cli_dentry *d = cli_name_find(c, dir, name);
    if (d && d->node && cli_name_holds(d)) {
        n = d->node;
        cli_node_hold(c, n);
    }
    cli_mutex_unlock(&c->tree);
    if (!n)
        return false;
    e->has_attr = cli_attr_peek(c, n, &e->attr);
    e->type = n->type;
    cli_node_put(c, n);
    return e->has_attr;
}

/** cli_listing_worth() - see client_int.h */
bool cli_listing_worth(struct cli *c, struct cli_node *dir, const struct cli_listing *l)
{
    uint32_t pos = 0, unknown = 0, few = l->entries / 64 + 1;
    struct cli_dirent e;

    while (unknown <= few && cli_listing_next(l, &pos, &e))
        unknown += !entry_known(c, dir, &e);
    return unknown <= few;
}

/** cli_listing_fill() - see client_int.h */
int cli_listing_fill(struct cli *c, struct cli_node *dir, struct cli_dirent *e)
{
    struct cli_name name = {e->name, e->name_len};
    struct cli_node *n;

    if (entry_known(c, dir, e))
        return 0;
    int r = cli_lookup(c, dir, name, &n, NULL);
    if (r < 0)
        return r;
    e->has_attr = cli_getattr(c, n, false, &e->attr) == 0;
    e->type = n->type;
    cli_node_put(c, n);
    return 0;
}
