// SPDX-License-Identifier: BSD-3-Clause
/*
 * poll.c - telling Windows what the host changed, where the host does not (-n)
 *
 * Theory of operation
 *
 *   Daemons without our change feed (notify.c) tell nothing, so with -n the directories that are open for listing (a program
 *   that watches a directory has it open) are read again every so often and compared with what they were:
 *   names that came and went, and files whose size or modification time changed. WinFsp drops what it
 *   cached of them and completes the programs' watches. A daemon that tells changes may not be able to tell all of them
 *   (cli_watched()): then this is done for the directories concerned.
 *
 *   A directory's first reading is only remembered. At most SNAPSHOT_MAX names of a directory are compared,
 *   and at most OPENS_MAX directories in one round; of larger ones only the directory itself is reported.
 *
 *   While a rename is under way WinFsp accepts no notifications (STATUS_CANT_WAIT). The old snapshot is then
 *   kept, and the next round reports the same changes.
 *
 *   What Windows itself did shows up here once more; watching programs may hear of it twice.
 *
 * Ownership: snapshots belong to their handle, and to the thread that calls svc_volume_tick() while it polls.
 * Locks: v->opens_lock, only long enough to take references and snapshots.
 */
#include "service/winfsp/svc.h"

#include <stdlib.h>
#include <string.h>

enum { SNAPSHOT_MAX = 10000, OPENS_MAX = 64, NOTIFY_WAIT_MS = 100 };

struct seen {
    uint64_t ino, size;
    struct cli_time mtime;
    uint32_t name;  /* place in names */
    const char *at; /* the same, once the snapshot is complete */
    uint16_t len;
    bool directory;
};

/* What a directory contained. */
struct svc_snapshot {
    struct cli_time mtime;
    uint32_t count, room;
    uint32_t names_len, names_room;
    bool whole; /* all of it is here */
    struct seen *entries;
    char *names;
};

/** svc_snapshot_free() - of a handle that is closed, after it left v->opens; NULL is fine */
void svc_snapshot_free(struct svc_snapshot *s)
{
    if (!s)
        return;
    free(s->entries);
    free(s->names);
    free(s);
}

/* ---- reading a directory ---------------------------------------------------------------------------- */

static bool make_room(struct svc_snapshot *s, uint32_t name_len)
{
    if (s->count == s->room) {
        uint32_t room = s->room ? s->room * 2 : 64;
        struct seen *entries = realloc(s->entries, room * sizeof(*entries));

        if (!entries)
            return false;
        s->entries = entries;
        s->room = room;
    }
    if (s->names_room - s->names_len < name_len) {
        uint32_t room = s->names_room ? s->names_room * 2 : 4096;
        char *names = realloc(s->names, room);

        if (!names)
            return false;
        s->names = names;
        s->names_room = room;
    }
    return true;
}

static bool remember(void *user, const struct cli_dirent *e)
{
    struct svc_snapshot *s = user;
    struct seen *one;

    if (s->count == SNAPSHOT_MAX || !make_room(s, e->name_len)) {
        s->whole = false;
        return false;
    }
    one = &s->entries[s->count++];
    memset(one, 0, sizeof(*one));
    one->name = s->names_len;
    one->len = (uint16_t)e->name_len;
    one->directory = e->type == SVC_IFDIR;
    if (e->has_attr) {
        one->directory = (e->attr.mode & SVC_IFMT) == SVC_IFDIR;
        one->ino = e->attr.ino;
        one->size = one->directory ? 0 : e->attr.size;
        if (!one->directory)
            one->mtime = e->attr.mtime;
    }
    memcpy(s->names + s->names_len, e->name, e->name_len);
    s->names_len += e->name_len;
    return true;
}

static struct svc_snapshot *snapshot_take(struct svc_volume *v, struct cli_node *n)
{
    struct svc_snapshot *s = calloc(1, sizeof(*s));
    struct cli_attr a;
    struct cli_dir *d;
    int r;

    if (!s)
        return NULL;
    s->whole = true;
    r = cli_getattr(v->client, n, true, &a);
    if (r == 0)
        r = cli_dir_open(v->client, n, &d);
    if (r == 0) {
        s->mtime = a.mtime;
        r = cli_dir_read(v->client, d, 0, remember, s);
        cli_dir_close(v->client, d);
    }
    if (r >= 0)
        return s;
    svc_status(r, SVC_ABOUT_HANDLE);
    svc_snapshot_free(s);
    return NULL;
}

/* ---- telling WinFsp --------------------------------------------------------------------------------- */

/* What changed in a directory. */
struct report {
    const WCHAR *directory; /* without a separator at its end, empty for the root */
    struct svc_report to;
};

static void report_name(struct report *r, const struct seen *e, uint32_t action)
{
    WCHAR path[SVC_PATH_UNITS + SVC_NAME_UNITS + 2];
    size_t units = wcslen(r->directory);
    uint32_t filter;

    if (units >= SVC_PATH_UNITS)
        return;
    memcpy(path, r->directory, units * sizeof(*path));
    path[units++] = L'\\';
    units += svc_name_from_host(e->at, e->len, path + units);
    path[units] = 0;
    if (action == FILE_ACTION_MODIFIED)
        filter = FILE_NOTIFY_CHANGE_SIZE | FILE_NOTIFY_CHANGE_LAST_WRITE;
    else
        filter = e->directory ? FILE_NOTIFY_CHANGE_DIR_NAME : FILE_NOTIFY_CHANGE_FILE_NAME;
    svc_report_add(&r->to, path, filter, action);
}

/* ---- comparing -------------------------------------------------------------------------------------- */

static int compare(const struct seen *x, const struct seen *y)
{
    uint16_t shorter = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->at, y->at, shorter);

    return order ? order : x->len - y->len;
}

static int by_name(const void *x, const void *y)
{
    return compare(x, y);
}

static void sort(struct svc_snapshot *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        s->entries[i].at = s->names + s->entries[i].name;
    if (s->count > 0)
        qsort(s->entries, s->count, sizeof(*s->entries), by_name);
}

static bool differs(const struct seen *x, const struct seen *y)
{
    return x->size != y->size || x->mtime.sec != y->mtime.sec || x->mtime.nsec != y->mtime.nsec ||
           x->ino != y->ino;
}

/* Both sorted: one pass over both. */
static void report_differences(struct report *r, const struct svc_snapshot *before,
                               const struct svc_snapshot *after)
{
    uint32_t i = 0, k = 0;

    while (i < before->count || k < after->count) {
        const struct seen *x = &before->entries[i], *y = &after->entries[k];
        int order = i == before->count ? 1 : k == after->count ? -1 : compare(x, y);

        if (order < 0)
            report_name(r, x, FILE_ACTION_REMOVED);
        else if (order > 0)
            report_name(r, y, FILE_ACTION_ADDED);
        else if (differs(x, y))
            report_name(r, y, FILE_ACTION_MODIFIED);
        i += order <= 0;
        k += order >= 0;
    }
}

/* Return: false when the same changes are to be reported again. */
static bool tell(struct svc_volume *v, const WCHAR *directory, const struct svc_snapshot *before,
                 const struct svc_snapshot *after)
{
    struct report *r = malloc(sizeof(*r));
    NTSTATUS status;
    bool told;

    if (!r)
        return false;
    r->directory = wcscmp(directory, L"\\") == 0 ? L"" : directory;
    told = NT_SUCCESS(svc_report_begin(&r->to, v, NOTIFY_WAIT_MS));
    if (told) {
        if (before->whole && after->whole)
            report_differences(r, before, after);
        else if (before->mtime.sec != after->mtime.sec || before->mtime.nsec != after->mtime.nsec)
            svc_report_add(&r->to, directory, FILE_NOTIFY_CHANGE_LAST_WRITE, FILE_ACTION_MODIFIED);
        status = svc_report_end(&r->to);
        if (!NT_SUCCESS(status))
            svc_volume_log(v, 2, L"%ls: changes not taken (status 0x%lx)", directory,
                           (unsigned long)status);
    }
    free(r);
    return told;
}

/* ---- rounds ----------------------------------------------------------------------------------------- */

struct subject {
    struct cli_node *node;
    struct svc_open *handle; /* to be looked for again: it may be closed meanwhile */
    WCHAR *path;
    struct svc_snapshot *before;
};

static bool is_subject(const struct subject *list, unsigned count, const struct cli_node *n)
{
    for (unsigned i = 0; i < count; i++) {
        if (list[i].node == n)
            return true;
    }
    return false;
}

/* Would the host tell what happens there? v->opens_lock held. */
static bool is_told(struct svc_volume *v, const struct svc_open *o)
{
    return !o->lists || !o->watch_tried || (o->watched && cli_watched(v->client, o->node));
}

/* The directories of this round, each once, with their snapshots taken out of the handles. */
static unsigned choose(struct svc_volume *v, bool told, struct subject list[OPENS_MAX])
{
    unsigned count = 0;

    AcquireSRWLockExclusive(&v->opens_lock);
    for (struct svc_open *o = v->opens; o && count < OPENS_MAX; o = o->next) {
        WCHAR *path = NULL;

        if (cli_node_type(o->node) == SVC_IFDIR && !is_subject(list, count, o->node) &&
            !(told && is_told(v, o)))
            path = _wcsdup(o->path);

        if (!path)
            continue;
        list[count++] = (struct subject){cli_node_get(o->node), o, path, o->snapshot};
        o->snapshot = NULL;
    }
    ReleaseSRWLockExclusive(&v->opens_lock);
    return count;
}

/* Give a snapshot to its handle, if that is still open. */
static void keep(struct svc_volume *v, const struct subject *s, struct svc_snapshot *snapshot)
{
    struct svc_open *o;

    AcquireSRWLockExclusive(&v->opens_lock);
    for (o = v->opens; o && o != s->handle; o = o->next)
        ;
    if (o && o->node == s->node && !o->snapshot) {
        o->snapshot = snapshot;
        snapshot = NULL;
    }
    ReleaseSRWLockExclusive(&v->opens_lock);
    svc_snapshot_free(snapshot);
}

static void look_at(struct svc_volume *v, struct subject *s)
{
    struct svc_snapshot *after = snapshot_take(v, s->node);

    if (after)
        sort(after);
    if (!after || (s->before && !tell(v, s->path, s->before, after))) {
        svc_snapshot_free(after);
        keep(v, s, s->before);
    } else {
        svc_snapshot_free(s->before);
        keep(v, s, after);
    }
    cli_node_put(v->client, s->node);
    free(s->path);
}

/**
 * svc_poll() - one round, from the ticking thread [2 and a page or more for each directory]
 * @told: the host tells changes; only where it cannot tell all of them is looked at
 */
void svc_poll(struct svc_volume *v, bool told)
{
    struct subject list[OPENS_MAX];
    unsigned count = choose(v, told, list);

    for (unsigned i = 0; i < count; i++)
        look_at(v, &list[i]);
}
