// SPDX-License-Identifier: BSD-3-Clause
/*
 * dirs.c - which directories are covered, where they are, and what an event in one means
 *
 * Theory of operation
 *
 *   Three tables find a directory: by the kernel's name for it (an event), by the client's id (a lookup), by
 *   parent and name (a rename). A directory that the client has looked in is told by its id, wherever it
 *   is. One of a watched subtree that the client has not looked in has a place, and is told by the path from
 *   the nearest one above that has an id. Places follow renames: the two halves of one carry a cookie, and the
 *   directory that moved keeps its watch, so that nothing is lost meanwhile. A directory whose place is
 *   lost (it left the subtree, or its parent went) is given up by the sweeper unless the client's id holds it.
 *
 *   The budget: directories that are covered only because the client looked in stand in a line, those looked at
 *   least recently at the front (second chance: inode_covered() marks the inode). The one at the front goes when
 *   another needs its place, and the client is told UNCOVERED. Subtrees take what is free and push such
 *   directories out down to an eighth of the budget, which stays with what the client looks at.
 *
 * Ownership: a wdir belongs to the line. Locks: w->lock, held by all callers.
 * syscalls: statx clock_gettime
 */
#include <fcntl.h>
#include <stdio.h>

#include "host/log.h"
#include "watch/watch_int.h"

#define SWEEP_STEP  256u
#define EVICT_LOOKS 256u

static uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t len)
{
    const uint8_t *b = bytes;
    uint64_t x = 0xcbf29ce484222325u ^ (seed * 0x9e3779b97f4a7c15u);

    for (size_t i = 0; i < len; i++)
        x = (x ^ b[i]) * 0x100000001b3u;
    return x ^ (x >> 31);
}

static struct wdir **key_chain(struct watch *w, const struct dir_key *key)
{
    return &w->by_key[hash_bytes(1, key->bytes, key->len) % DIR_BUCKETS];
}

static struct wdir **node_chain(struct watch *w, uint64_t node)
{
    return &w->by_node[hash_bytes(2, &node, sizeof(node)) % DIR_BUCKETS];
}

static struct wdir **place_chain(struct watch *w, const struct wdir *parent, const char *name,
                                 size_t len)
{
    return &w->by_place[hash_bytes((uintptr_t)parent >> 4, name, len) % DIR_BUCKETS];
}

struct wdir *dir_by_key(struct watch *w, const struct dir_key *key)
{
    struct wdir *d = *key_chain(w, key);

    while (d && (d->key.len != key->len || memcmp(d->key.bytes, key->bytes, key->len) != 0))
        d = d->by_key;
    return d;
}

struct wdir *dir_by_node(struct watch *w, uint64_t node)
{
    struct wdir *d = *node_chain(w, node);

    while (d && d->node != node)
        d = d->by_node;
    return d;
}

struct wdir *dir_by_place(struct watch *w, const struct wdir *parent, const char *name, size_t len)
{
    struct wdir *d = *place_chain(w, parent, name, len);

    while (d && (d->parent != parent || strlen(d->name) != len || memcmp(d->name, name, len) != 0))
        d = d->by_place;
    return d;
}

bool dir_wanted(const struct wdir *d)
{
    for (; d; d = d->parent)
        if (d->roots)
            return true;
    return false;
}

/* ---- lists ---------------------------------------------------------------------------------- */

static void all_put(struct watch *w, struct wdir *d)
{
    d->next = w->first;
    if (d->next)
        d->next->prev = d;
    w->first = d;
    w->n_dirs++;
}

static void all_take(struct watch *w, struct wdir *d)
{
    if (w->sweep == d)
        w->sweep = d->next;
    if (d->prev)
        d->prev->next = d->next;
    else
        w->first = d->next;
    if (d->next)
        d->next->prev = d->prev;
    w->n_dirs--;
}

/* In the line stand those that the client has looked in. To be called around changes of key and node. */
static void line_put(struct watch *w, struct wdir *d)
{
    if (!d->node || !d->key.len)
        return;
    d->line_next = NULL;
    d->line_prev = w->line_last;
    if (w->line_last)
        w->line_last->line_next = d;
    else
        w->line_first = d;
    w->line_last = d;
    w->n_line++;
}

static void line_take(struct watch *w, struct wdir *d)
{
    if (!d->node || !d->key.len)
        return;
    if (d->line_prev)
        d->line_prev->line_next = d->line_next;
    else
        w->line_first = d->line_next;
    if (d->line_next)
        d->line_next->line_prev = d->line_prev;
    else
        w->line_last = d->line_prev;
    w->n_line--;
}

struct wdir *dir_new(struct watch *w)
{
    struct wdir *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    all_put(w, d);
    return d;
}

void dir_set_node(struct watch *w, struct wdir *d, uint64_t node)
{
    if (d->node == node)
        return;
    line_take(w, d);
    if (d->node) {
        struct wdir **p = node_chain(w, d->node);
        while (*p != d)
            p = &(*p)->by_node;
        *p = d->by_node;
        tree_uncover(w->p.tree, d->node);
    }
    d->node = node;
    if (node) {
        struct wdir **p = node_chain(w, node);
        d->by_node = *p;
        *p = d;
    }
    line_put(w, d);
}

static void unkey(struct watch *w, struct wdir *d)
{
    if (d->key.len == 0)
        return;
    struct wdir **p = key_chain(w, &d->key);
    while (*p != d)
        p = &(*p)->by_key;
    *p = d->by_key;
    line_take(w, d);
    d->key.len = 0;
    w->n_covered--;
}

/* ---- places --------------------------------------------------------------------------------- */

void dir_displace(struct watch *w, struct wdir *d)
{
    if (!d->parent)
        return;
    struct wdir **p = place_chain(w, d->parent, d->name, strlen(d->name));
    while (*p != d)
        p = &(*p)->by_place;
    *p = d->by_place;
    if (d->sibling_prev)
        d->sibling_prev->sibling_next = d->sibling_next;
    else
        d->parent->child = d->sibling_next;
    if (d->sibling_next)
        d->sibling_next->sibling_prev = d->sibling_prev;
    d->sibling_next = d->sibling_prev = NULL;
    d->parent = NULL;
    free(d->name);
    d->name = NULL;
    w->sweep = w->first; /* it may have been all that held this one and those below */
}

int dir_place(struct watch *w, struct wdir *d, struct wdir *parent, const char *name, size_t len)
{
    for (const struct wdir *up = parent; up; up = up->parent)
        if (up == d)
            return -ELOOP;
    char *copy = strndup(name, len);
    if (!copy)
        return -ENOMEM;
    struct wdir *other = dir_by_place(w, parent, name, len);
    if (other)
        dir_displace(w, other);
    dir_displace(w, d);
    d->name = copy;
    d->parent = parent;
    d->sibling_next = parent->child;
    if (parent->child)
        parent->child->sibling_prev = d;
    parent->child = d;
    struct wdir **p = place_chain(w, parent, copy, len);
    d->by_place = *p;
    *p = d;
    return 0;
}

static void forget_move(struct watch *w)
{
    w->moving.from = NULL;
    w->moving.child = NULL;
}

void dir_free(struct watch *w, struct wdir *d)
{
    if (w->moving.from == d)
        dirs_settle(w);
    if (w->moving.child == d)
        w->moving.child = NULL;
    while (d->child)
        dir_displace(w, d->child);
    dir_displace(w, d);
    dir_set_node(w, d, 0);
    unkey(w, d);
    crawl_cancel(w, d);
    for (struct subtree *s = d->roots ? w->subtrees : NULL; s; s = s->next)
        if (s->root == d)
            s->root = NULL;
    if (w->crawling == d)
        w->crawling = NULL;
    all_take(w, d);
    free(d);
}

/* ---- the budget ----------------------------------------------------------------------------- */

static void tell_limit(struct watch *w)
{
    if (w->told_limit)
        return;
    w->told_limit = true;
    log_info("changes are watched in %u directories, all that --watch-limit allows: what else the "
             "guest looks at is kept for a second instead of an hour",
             w->p.limit);
}

static void tell_kernel_limit(struct watch *w)
{
    if (w->told_kernel_limit)
        return;
    w->told_kernel_limit = true;
    log_warn(
        "changes can be watched in %u directories only, because the kernel's limit is used up "
        "(sysctl fs.inotify.max_user_watches, shared by all processes of this user): raise it, "
        "or lower --watch-limit to that number",
        w->n_covered);
}

/*
 * Give one up that the client has not looked at for long. Return: false if there is none among the next few:
 * the caller does without.
 */
static bool evict(struct watch *w, const struct wdir *keep)
{
    for (unsigned i = 0; i < EVICT_LOOKS && w->line_first; i++) {
        struct wdir *d = w->line_first;
        if (d != keep && !dir_wanted(d) && !tree_cover_used(w->p.tree, d->node)) {
            dir_tell(w, d, VIOFS_UNCOVERED, true, NULL, 0);
            w->backend->remove(w, &d->key);
            dir_free(w, d);
            return true;
        }
        line_take(w, d);
        line_put(w, d);
    }
    return false;
}

/* Room for one more. */
static bool make_room(struct watch *w, const struct wdir *d)
{
    if (w->n_covered < w->p.limit)
        return true;
    tell_limit(w);
    if (dir_wanted(d) && w->n_line <= w->p.limit / 8)
        return false;
    return evict(w, d);
}

/* After it has been covered: what happened before? */
static void note_state(const struct watch *w, struct wdir *d, int fd)
{
    struct statx stx;

    if (w->backend->whole)
        return; /* it was covered all the time */
    d->covered_at = watch_now();
    d->changed_at =
        statx(fd, "", AT_EMPTY_PATH, STATX_CTIME, &stx) == 0 && stx.stx_mask & STATX_CTIME
            ? watch_stamp(&stx.stx_ctime)
            : INT64_MAX;
}

int dir_watch(struct watch *w, struct wdir **dp, int fd)
{
    struct wdir *d = *dp;
    struct dir_key key;

    if (d->key.len)
        return 0;
    if (!make_room(w, d))
        return -ENOSPC;
    int r = w->backend->add(w, fd, &key);
    if (r == -ENOSPC || r == -EMFILE) {
        tell_kernel_limit(w);
        if (!dir_wanted(d) && evict(w, d))
            r = w->backend->add(w, fd, &key);
    }
    if (r < 0)
        return r;
    struct wdir *known = dir_by_key(w, &key);
    if (known) {
        *dp = known;
        return 0;
    }
    note_state(w, d, fd);
    d->key = key;
    line_put(w, d);
    struct wdir **p = key_chain(w, &key);
    d->by_key = *p;
    *p = d;
    w->n_covered++;
    return 0;
}

bool dirs_sweep(struct watch *w)
{
    for (unsigned i = 0; i < SWEEP_STEP && w->sweep; i++) {
        struct wdir *d = w->sweep;
        w->sweep = d->next;
        if (d->node || d == w->moving.child || dir_wanted(d))
            continue;
        if (d->key.len)
            w->backend->remove(w, &d->key);
        dir_free(w, d);
    }
    return w->sweep;
}

void dirs_clear(struct watch *w)
{
    forget_move(w);
    while (w->first) {
        w->first->roots = 0;
        dir_free(w, w->first);
    }
    w->sweep = NULL;
}

/* ---- telling -------------------------------------------------------------------------------- */

void dir_tell(struct watch *w, const struct wdir *d, uint32_t action, bool is_dir, const char *name,
              size_t len)
{
    char path[VIOFS_EVENT_PATH_MAX];
    size_t at = sizeof(path); /* it is built from its end */
    bool fits = len <= at;

    if (!d->node && !dir_wanted(d))
        return; /* the sweeper has not come to it yet */
    if (fits && len)
        memcpy(path + (at -= len), name, len);
    for (; !d->node && d->parent; d = d->parent) {
        size_t n = strlen(d->name), slash = at < sizeof(path);
        fits = fits && n + slash <= at;
        if (!fits)
            continue;
        if (slash)
            path[--at] = '/';
        memcpy(path + (at -= n), d->name, n);
    }
    if (!d->node)
        return; /* the client cannot name it, and knows nothing of it */
    struct record r = {.node = d->node, .action = action, .flags = is_dir ? VIOFS_EVENT_DIR : 0};
    if (fits) {
        r.path = path + at;
        r.path_len = sizeof(path) - at;
    } else {
        r.action = VIOFS_RESCAN;
        r.flags = VIOFS_EVENT_DIR;
    }
    records_add(w->records, &r);
}

/* ---- renames -------------------------------------------------------------------------------- */

/* A name has gone, and with it the place of what was there. */
static void name_gone(struct watch *w, struct wdir *child)
{
    if (child)
        dir_displace(w, child); /* the sweeper gives it up if nothing else holds it */
}

void dirs_settle(struct watch *w)
{
    struct half_move *m = &w->moving;
    struct wdir *from = m->from;

    if (!from)
        return;
    if (!m->ours)
        dir_tell(w, from, VIOFS_REMOVED, m->is_dir, m->name, m->len);
    struct wdir *child = m->child;
    forget_move(w);
    name_gone(w, child);
}

static void move_begins(struct watch *w, struct wdir *d, const struct event *ev)
{
    struct half_move *m = &w->moving;

    m->from = d;
    m->child = ev->is_dir ? dir_by_place(w, d, ev->name, ev->len) : NULL;
    m->cookie = ev->cookie;
    m->looks = 0;
    m->is_dir = ev->is_dir;
    m->ours = ev->ours;
    m->len = ev->len < sizeof(m->name) ? ev->len : sizeof(m->name) - 1;
    memcpy(m->name, ev->name, m->len);
}

/* A directory appears at @name in @d, where subtrees are watched. */
static void dir_appears(struct watch *w, struct wdir *d, const struct event *ev,
                        enum arrival arrival)
{
    if (w->backend->whole || !dir_wanted(d) || dir_by_place(w, d, ev->name, ev->len))
        return;
    struct wdir *child = dir_new(w);
    if (!child || dir_place(w, child, d, ev->name, ev->len) < 0) {
        dir_tell(w, d, VIOFS_UNCOVERED, true, ev->name, ev->len);
        return;
    }
    crawl_add(w, child, NULL, arrival);
}

/* Two records that stay together; each alone where one cannot be told. */
static void tell_move(struct watch *w, struct wdir *from, struct wdir *to, const struct event *ev,
                      const struct half_move *m)
{
    if (m->ours && ev->ours)
        return;
    records_pair_begin(w->records);
    dir_tell(w, from, VIOFS_RENAMED_FROM, m->is_dir, m->name, m->len);
    dir_tell(w, to, VIOFS_RENAMED_TO, ev->is_dir, ev->name, ev->len);
    records_pair_end(w->records);
}

static void move_ends(struct watch *w, struct wdir *d, const struct event *ev)
{
    struct half_move m = w->moving;

    if (!m.from || m.cookie != ev->cookie) {
        dirs_settle(w);
        if (!ev->ours)
            dir_tell(w, d, VIOFS_ADDED, ev->is_dir, ev->name, ev->len);
        if (ev->is_dir)
            dir_appears(w, d, ev, ARRIVAL_MOVED);
        return;
    }
    forget_move(w);
    tell_move(w, m.from, d, ev, &m);
    if (!ev->is_dir)
        return;
    bool wanted = dir_wanted(d);
    if (!m.child) {
        dir_appears(w, d, ev, ARRIVAL_MOVED);
        return;
    }
    bool was_wanted = dir_wanted(m.child);
    if (dir_place(w, m.child, d, ev->name, ev->len) < 0)
        dir_displace(w, m.child);
    else if (wanted && !was_wanted)
        crawl_add(w, m.child, NULL, ARRIVAL_MOVED);
    if (!wanted)
        w->sweep = w->first;
}

/* ---- events --------------------------------------------------------------------------------- */

/* The directory itself has changed; one whose parent is covered is told as a name there. */
static void self_event(struct watch *w, struct wdir *d, const struct event *ev)
{
    if (ev->kinds & WATCH_MOVED_SELF)
        d->moved = true;
    if (!(ev->kinds & (WATCH_ATTRIB | WATCH_MODIFY)) || ev->ours)
        return;
    bool told = d->parent ? d->parent->key.len != 0
                          : !d->moved && d->node && tree_parent_covered(w->p.tree, d->node);
    if (!told)
        dir_tell(w, d, VIOFS_ATTRIB, true, NULL, 0);
}

static void dir_gone(struct watch *w, struct wdir *d, bool unmounted)
{
    if (unmounted)
        dir_tell(w, d, VIOFS_UNCOVERED, true, NULL, 0);
    dir_free(w, d);
}

static void name_event(struct watch *w, struct wdir *d, const struct event *ev)
{
    static const struct {
        unsigned kind;
        uint32_t action;
    } plain[] = {
        {WATCH_CREATE, VIOFS_ADDED},
        {WATCH_DELETE, VIOFS_REMOVED},
        {WATCH_MODIFY, VIOFS_MODIFIED},
        {WATCH_ATTRIB, VIOFS_ATTRIB},
    };

    for (size_t i = 0; !ev->ours && i < sizeof(plain) / sizeof(plain[0]); i++)
        if (ev->kinds & plain[i].kind)
            dir_tell(w, d, plain[i].action, ev->is_dir, ev->name, ev->len);
    if (!ev->is_dir)
        return;
    if (ev->kinds & WATCH_DELETE)
        name_gone(w, dir_by_place(w, d, ev->name, ev->len));
    if ((ev->kinds & WATCH_CREATE) && !ev->ours) /* its maker covers it: watch_made() */
        dir_appears(w, d, ev, ARRIVAL_CREATED);
}

void dir_event(struct watch *w, struct wdir *d, const struct event *ev)
{
    if (w->moving.from && !(ev->kinds & WATCH_TO))
        dirs_settle(w);
    if (ev->kinds & (WATCH_GONE | WATCH_UNMOUNTED))
        dir_gone(w, d, ev->kinds & WATCH_UNMOUNTED);
    else if (ev->len == 0)
        self_event(w, d, ev);
    else if (ev->kinds & WATCH_FROM)
        move_begins(w, d, ev);
    else if (ev->kinds & WATCH_TO)
        move_ends(w, d, ev);
    else
        name_event(w, d, ev);
}

/*
 * What is told is RESCAN of everything. Places are not to be trusted any more: subtrees are read again, and
 * what is held by nothing but a place goes.
 */
void dirs_overflow(struct watch *w)
{
    w->overflows++;
    records_lost(w->records);
    expect_clear(w->expects);
    forget_move(w);
    for (struct wdir *d = w->first; d; d = d->next) {
        dir_displace(w, d);
        d->moved = true;
    }
    for (struct subtree *s = w->subtrees; s; s = s->next)
        if (s->root)
            crawl_add(w, s->root, NULL, ARRIVAL_KNOWN);
    /* Those that the crawler finds get their place back; the sweeper comes after it. */
}
