// SPDX-License-Identifier: BSD-3-Clause
/*
 * twins.c - names that differ in case only, open at the same time
 *
 * Theory of operation
 *
 *   On a case-insensitive volume WinFsp keeps one file object for a path whatever its case. A host may have "a"
 *   and "A" side by side; opening both would make WinFsp treat two files as one, with one's size and the
 *   other's data. So an entry for every open name says which node it is: directory, name in capitals, node. An
 *   open that finds the entry of another node fails with SHARING_VIOLATION, and the log says why, once.
 *
 *   A rename takes the entry along; a deleted or replaced name lets go of it, so that a new file may have
 *   the name while old handles are still open.
 *
 * Ownership: an entry is counted by the handles that use it and holds its directory and node.
 * Locks: v->twins_lock for all of it. Only used with case-insensitive names.
 */
#include "service/winfsp/svc.h"

#include <stdlib.h>
#include <string.h>

struct svc_twin {
    struct svc_twin *next;
    struct cli_node *directory, *node;
    uint32_t users;
    bool listed; /* in the table: its name is its own */
    bool said;
    uint32_t units;
    WCHAR name[SVC_NAME_UNITS]; /* in capitals */
};

static uint32_t capitals(struct cli_name name, WCHAR *out)
{
    uint16_t units[SVC_NAME_UNITS];
    uint32_t count = svc_name_from_host(name.bytes, name.len, units);
    int n = LCMapStringEx(LOCALE_NAME_INVARIANT, LCMAP_UPPERCASE, units, (int)count, out,
                          SVC_NAME_UNITS, NULL, NULL, 0);

    if (n > 0)
        return (uint32_t)n;
    memcpy(out, units, count * sizeof(*out));
    return count;
}

static struct svc_twin **bucket(struct svc_volume *v, const struct cli_node *directory,
                                const WCHAR *name, uint32_t units)
{
    uint32_t hash = (uint32_t)((uintptr_t)directory >> 4);

    for (uint32_t i = 0; i < units; i++)
        hash = (hash ^ name[i]) * 16777619u;
    return &v->twins[(hash ^ hash >> 16) % SVC_TWIN_BUCKETS];
}

/* twins_lock held */
static struct svc_twin *find(struct svc_volume *v, const struct cli_node *directory,
                             const WCHAR *name, uint32_t units)
{
    struct svc_twin *t = *bucket(v, directory, name, units);

    while (t && !(t->directory == directory && t->units == units &&
                  memcmp(t->name, name, units * sizeof(*name)) == 0))
        t = t->next;
    return t;
}

/* twins_lock held */
static void list_entry(struct svc_volume *v, struct svc_twin *t)
{
    struct svc_twin **at = bucket(v, t->directory, t->name, t->units);

    t->next = *at;
    *at = t;
    t->listed = true;
}

/* twins_lock held */
static void unlist(struct svc_volume *v, struct svc_twin *t)
{
    struct svc_twin **at;

    if (!t->listed)
        return;
    at = bucket(v, t->directory, t->name, t->units);
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    t->listed = false;
}

static struct svc_twin *entry_new(struct svc_open *o, const WCHAR *name, uint32_t units)
{
    struct svc_twin *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->directory = cli_node_get(o->parent);
    t->node = cli_node_get(o->node);
    t->units = units;
    memcpy(t->name, name, units * sizeof(*name));
    return t;
}

static void entry_free(struct svc_volume *v, struct svc_twin *t)
{
    cli_node_put(v->client, t->directory);
    cli_node_put(v->client, t->node);
    free(t);
}

/**
 * svc_twin_open() - may this handle have its name?
 * @name: on the host
 *
 * Return: STATUS_SHARING_VIOLATION while another file is open whose name differs in case only.
 */
NTSTATUS svc_twin_open(struct svc_open *o, struct cli_name name)
{
    struct svc_volume *v = o->v;
    WCHAR folded[SVC_NAME_UNITS];
    struct svc_twin *t, *fresh;
    bool say = false;
    uint32_t units;

    if (!v->options.case_insensitive || !o->parent)
        return STATUS_SUCCESS;
    units = capitals(name, folded);
    fresh = entry_new(o, folded, units);
    if (!fresh)
        return STATUS_INSUFFICIENT_RESOURCES;
    AcquireSRWLockExclusive(&v->twins_lock);
    t = find(v, o->parent, folded, units);
    if (!t) {
        t = fresh;
        fresh = NULL;
        list_entry(v, t);
    }
    if (t->node == o->node) {
        t->users++;
        o->twin = t;
    } else {
        say = !t->said;
        t->said = true;
    }
    ReleaseSRWLockExclusive(&v->twins_lock);
    if (fresh)
        entry_free(v, fresh);
    if (say)
        svc_volume_log(
            v, 1, L"%ls: not opened while a file whose name differs only in case is open", o->path);
    return o->twin ? STATUS_SUCCESS : STATUS_SHARING_VIOLATION;
}

/** svc_twin_close() - the handle is closed */
void svc_twin_close(struct svc_open *o)
{
    struct svc_volume *v = o->v;
    struct svc_twin *t = o->twin;

    if (!t)
        return;
    o->twin = NULL;
    AcquireSRWLockExclusive(&v->twins_lock);
    if (--t->users == 0)
        unlist(v, t);
    else
        t = NULL;
    ReleaseSRWLockExclusive(&v->twins_lock);
    if (t)
        entry_free(v, t);
}

/** svc_twin_gone() - the name was deleted; the handle stays */
void svc_twin_gone(struct svc_open *o)
{
    if (!o->twin)
        return;
    AcquireSRWLockExclusive(&o->v->twins_lock);
    unlist(o->v, o->twin);
    ReleaseSRWLockExclusive(&o->v->twins_lock);
}

/** svc_twin_renamed() - all handles of the file have another name now; what had it before is gone */
void svc_twin_renamed(struct svc_open *o, struct cli_node *directory, struct cli_name name)
{
    struct svc_volume *v = o->v;
    struct cli_node *before;
    struct svc_twin *replaced;
    WCHAR folded[SVC_NAME_UNITS];
    uint32_t units;

    if (!o->twin)
        return;
    units = capitals(name, folded);
    AcquireSRWLockExclusive(&v->twins_lock);
    replaced = find(v, directory, folded, units);
    if (replaced)
        unlist(v, replaced);
    unlist(v, o->twin);
    before = o->twin->directory;
    o->twin->directory = cli_node_get(directory);
    o->twin->units = units;
    memcpy(o->twin->name, folded, units * sizeof(*folded));
    list_entry(v, o->twin);
    ReleaseSRWLockExclusive(&v->twins_lock);
    cli_node_put(v->client, before);
}
