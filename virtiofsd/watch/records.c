// SPDX-License-Identifier: BSD-3-Clause
/*
 * records.c - changes that wait for the client
 *
 * Theory of operation
 *
 *   A list in the order of events: a path means what it meant when the change happened, so a client that goes
 *   through the records one by one sees directories under the names that they had.
 *
 *   While a record waits, the same change again adds nothing: a client that is told "modified" looks at the file
 *   after the last of a thousand writes. For each (directory, path) a table has the last record, and
 *   with it which changes of content and attributes are told from there on. Changes of names are
 *   always told, for what happened between two of them belongs to different files.
 *
 *   The queue is bounded in number and bytes. What does not fit empties it: one RESCAN of everything says as
 *   much as the records did, and what comes after it is told as usual.
 *
 * Ownership: records copy the path.   Locks: none; the caller's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "watch/records.h"

#define BUCKETS 16384u /* chains of four when the queue is full */

struct waiting {
    struct waiting *next;  /* in the queue */
    struct waiting *chain; /* of its bucket */
    uint64_t hash;
    struct record r; /* path points behind the struct */
    unsigned told;   /* 1 << action: told by this record or one after it with the same path */
    bool paired;     /* the next one belongs to it */
    bool last;       /* of its path: in the table */
};

struct records {
    struct waiting *first, **end;
    uint32_t n, max;
    size_t bytes, max_bytes;
    uint64_t rescans;
    bool pairing;
    struct waiting *pair[2]; /* added since records_pair_begin() */
    struct waiting *bucket[BUCKETS];
};

int records_new(struct records **out, uint32_t max, size_t max_bytes)
{
    struct records *rs = calloc(1, sizeof(*rs));

    if (!rs)
        return -ENOMEM;
    rs->end = &rs->first;
    rs->max = max ? max : RECORDS_MAX;
    rs->max_bytes = max_bytes ? max_bytes : RECORDS_BYTES_MAX;
    *out = rs;
    return 0;
}

void records_free(struct records *rs)
{
    if (!rs)
        return;
    records_clear(rs);
    free(rs);
}

static uint64_t hash_of(const struct record *r)
{
    uint64_t x = 0xcbf29ce484222325u ^ (r->node * 0x9e3779b97f4a7c15u);

    for (size_t i = 0; i < r->path_len; i++)
        x = (x ^ (uint8_t)r->path[i]) * 0x100000001b3u;
    return x ^ (x >> 29);
}

static bool same_place(const struct waiting *w, uint64_t hash, const struct record *r)
{
    return w->hash == hash && w->r.node == r->node && w->r.path_len == r->path_len &&
           (r->path_len == 0 || memcmp(w->r.path, r->path, r->path_len) == 0);
}

static struct waiting **find(struct records *rs, uint64_t hash, const struct record *r)
{
    struct waiting **p = &rs->bucket[hash % BUCKETS];

    while (*p && !same_place(*p, hash, r))
        p = &(*p)->chain;
    return p;
}

static void unchain(struct records *rs, struct waiting *w)
{
    struct waiting **p = &rs->bucket[w->hash % BUCKETS];

    if (!w->last)
        return;
    while (*p != w)
        p = &(*p)->chain;
    *p = w->chain;
    w->last = false;
}

static size_t size_of(const struct record *r)
{
    return sizeof(struct waiting) + r->path_len;
}

static void remove_first(struct records *rs)
{
    struct waiting *w = rs->first;

    unchain(rs, w);
    rs->first = w->next;
    if (!rs->first)
        rs->end = &rs->first;
    rs->n--;
    rs->bytes -= size_of(&w->r);
    free(w);
}

void records_clear(struct records *rs)
{
    while (rs->first)
        remove_first(rs);
}

static bool changes_names(uint32_t action)
{
    return action != VIOFS_MODIFIED && action != VIOFS_ATTRIB;
}

/* Return: the record in the queue, or NULL when it cannot be had. */
static struct waiting *append(struct records *rs, const struct record *r)
{
    if (rs->n >= rs->max || size_of(r) > rs->max_bytes - rs->bytes)
        return NULL;
    struct waiting *w = malloc(size_of(r));
    if (!w)
        return NULL;
    *w = (struct waiting){.r = *r, .hash = hash_of(r), .told = 1u << r->action, .last = true};
    if (r->path_len) {
        w->r.path = (const char *)(w + 1);
        memcpy(w + 1, r->path, r->path_len);
    }
    *rs->end = w;
    rs->end = &w->next;
    rs->n++;
    rs->bytes += size_of(r);
    struct waiting **p = find(rs, w->hash, r);
    if (*p) {
        struct waiting *old = *p;
        if (!changes_names(r->action))
            w->told |= old->told;
        unchain(rs, old);
    }
    w->chain = rs->bucket[w->hash % BUCKETS];
    rs->bucket[w->hash % BUCKETS] = w;
    return w;
}

/* Has the client been told, or will be by what waits? */
static bool is_told(struct records *rs, const struct record *r)
{
    struct waiting *w = *find(rs, hash_of(r), r);

    /* What is added twice was removed in between, which would be a later record, or was seen by two ways. */
    return w && (w->told & (1u << r->action)) && r->action != VIOFS_REMOVED &&
           r->action != VIOFS_RENAMED_FROM && r->action != VIOFS_RENAMED_TO;
}

void records_lost(struct records *rs)
{
    const struct record all = {.action = VIOFS_RESCAN};

    records_clear(rs);
    rs->pair[0] = rs->pair[1] = NULL;
    rs->rescans++;
    (void)append(rs, &all); /* without memory for 100 bytes the next one will say it */
}

void records_add(struct records *rs, const struct record *r)
{
    if (!rs->pairing && is_told(rs, r))
        return;
    struct waiting *w = append(rs, r);
    if (!w)
        records_lost(rs);
    else if (rs->pairing)
        rs->pair[rs->pair[0] ? 1 : 0] = w;
}

void records_pair_begin(struct records *rs)
{
    rs->pairing = true;
    rs->pair[0] = rs->pair[1] = NULL;
}

void records_pair_end(struct records *rs)
{
    struct waiting *a = rs->pair[0], *b = rs->pair[1];

    rs->pairing = false;
    if (a && b && a->r.action == VIOFS_RENAMED_FROM && b->r.action == VIOFS_RENAMED_TO) {
        a->paired = true;
        return;
    }
    for (unsigned i = 0; i < 2 && rs->pair[i]; i++) {
        struct waiting *w = rs->pair[i];
        if (w->r.action == VIOFS_RENAMED_FROM)
            w->r.action = VIOFS_REMOVED;
        else if (w->r.action == VIOFS_RENAMED_TO)
            w->r.action = VIOFS_ADDED;
        w->told = 1u << w->r.action;
    }
}

/* ---- taking ------------------------------------------------------------------------------- */

static size_t wire_size(const struct record *r)
{
    return (sizeof(struct fuse_viofs_event) + r->path_len + 7) & ~(size_t)7;
}

static size_t put(const struct record *r, uint8_t *to)
{
    struct fuse_viofs_event e = {
        .nodeid = r->node,
        .action = r->action,
        .flags = r->flags,
        .name_len = (uint32_t)r->path_len,
    };
    size_t n = wire_size(r);

    memset(to + n - 8, 0, 8); /* the padding, at the end of the path */
    memcpy(to, &e, sizeof(e));
    if (r->path_len)
        memcpy(to + sizeof(e), r->path, r->path_len);
    return n;
}

/* The first record (or pair) does not fit into any reply of this size: less is told, but it is told. */
static size_t put_short(struct records *rs, uint8_t *to)
{
    struct record r = {.node = rs->first->r.node, .action = VIOFS_RESCAN};
    bool pair = rs->first->paired && rs->first->next;
    size_t n = put(&r, to);

    rs->rescans++;
    remove_first(rs);
    if (pair) {
        r.node = rs->first->r.node;
        n += put(&r, to + n);
        remove_first(rs);
    }
    return n;
}

size_t records_take(struct records *rs, void *buf, size_t room)
{
    uint8_t *to = buf;
    size_t n = 0;

    while (rs->first) {
        struct waiting *w = rs->first;
        bool pair = w->paired && w->next;
        size_t need = wire_size(&w->r) + (pair ? wire_size(&w->next->r) : 0);
        if (need > room - n) {
            if (n == 0)
                n = put_short(rs, to);
            break;
        }
        n += put(&w->r, to + n);
        if (pair)
            n += put(&w->next->r, to + n);
        remove_first(rs);
        if (pair)
            remove_first(rs);
    }
    return n;
}

uint32_t records_count(const struct records *rs)
{
    return rs->n;
}

uint64_t records_rescans(const struct records *rs)
{
    return rs->rescans;
}
