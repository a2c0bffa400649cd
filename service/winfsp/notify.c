// SPDX-License-Identifier: BSD-3-Clause
/*
 * notify.c - what the host reports reaches WinFsp, and programs that wait for changes
 *
 * Theory of operation
 *
 *   The client hears of a change on some thread that must not wait (client.h, opt.changed). It puts it in a queue here,
 *   and a thread of its own hands the queue to WinFsp (report.c), as soon as something is in it. While a rename
 *   is under way WinFsp takes nothing, and the thread tries again a little later.
 *
 *   A directory watch is answered by WinFsp's driver, which tells nobody of it. So every directory that was opened for
 *   listing and is still open a second later counts as one, of all below it: the ticking thread asks the
 *   host to cover it (cli_watch()), with the time since when it has been open.
 *
 *   What was lost (RESCAN, a directory that is not covered any more, a queue that is full) has no record of its own in
 *   Windows. A program learns that it must look for itself when its buffer overflows: it gets
 *   STATUS_NOTIFY_ENUM_DIR. So more is reported in the directory than any buffer holds: that a name went which
 *   never was. What WinFsp has cached of open files ends as well.
 *
 * Ownership: changes belong to the queue, then to the thread.
 * Locks: notify.lock for the queue; v->opens_lock for handles; none of them while telling.
 */
#include "service/winfsp/svc.h"

#include <stdlib.h>
#include <string.h>

#include "lib/fuse/fuse_proto.h"

enum {
    QUEUE_MAX = 65536,     /* changes that wait */
    QUEUE_BYTES = 8 << 20, /* and their paths */
    AT_ONCE = 256,         /* told between Begin and End: renames wait that long */
    AGAIN_MS = 10,         /* after STATUS_CANT_WAIT */
    WATCH_AFTER_MS = 1000, /* a directory that is open for so long is watched */
    WATCHES_A_ROUND = 64,
    FLOOD = 400, /* records of a name of 200 units: more than 64 KiB, the longest buffer */
    FLOOD_UNITS = 200,
};

/* Missing from user-mode headers: MS-FSCC 2.7.1, CompletionFilter of MS-SMB2 2.2.35 */
#define CHANGE_EA  0x00000080u
#define ANY_CHANGE 0x00000fffu /* every FILE_NOTIFY_CHANGE_* */

struct svc_change {
    struct svc_change *next;
    uint32_t action; /* enum viofs_action */
    bool is_dir;
    uint32_t len;
    char path[]; /* of the host, from the root, not terminated */
};

/* ---- the queue -------------------------------------------------------------------------------------- */

static void free_changes(struct svc_change *list)
{
    while (list) {
        struct svc_change *next = list->next;
        free(list);
        list = next;
    }
}

/* q->lock held. */
static void put(struct svc_notify *q, struct svc_change *c)
{
    *q->last = c;
    q->last = &c->next;
    q->count++;
    q->bytes += c->len;
}

/* q->lock held. Both halves of a rename are put at once. Return: what is to be freed. */
static struct svc_change *queue(struct svc_notify *q, struct svc_change *c)
{
    struct svc_change *half = q->half, *dropped = q->first;

    if (c && c->action == VIOFS_RENAMED_FROM && !half) {
        q->half = c;
        return NULL;
    }
    q->half = NULL;
    if (half)
        half->next = c;
    if (!c || q->count >= QUEUE_MAX || q->bytes + c->len > QUEUE_BYTES) {
        q->rescan = true;
        q->first = NULL;
        q->last = &q->first;
        q->count = q->bytes = 0;
        free_changes(dropped);
    }
    if (q->rescan)
        return half ? half : c;
    if (half) {
        half->next = NULL;
        put(q, half);
    }
    put(q, c);
    return NULL;
}

/** svc_changed() - cli_options.changed of a volume */
void svc_changed(void *user, const struct cli_change *change)
{
    struct svc_volume *v = user;
    struct svc_notify *q = &v->notify;
    struct svc_change *c = NULL;

    if (change->action != VIOFS_RESCAN || change->path_len > 0)
        c = malloc(sizeof(*c) + change->path_len);
    if (c) {
        c->next = NULL;
        c->action = change->action;
        c->is_dir = change->is_dir;
        c->len = change->path_len;
        memcpy(c->path, change->path, change->path_len);
    }
    AcquireSRWLockExclusive(&q->lock);
    c = queue(q, c);
    ReleaseSRWLockExclusive(&q->lock);
    WakeConditionVariable(&q->more);
    free_changes(c);
}

/* What there is, in order. Return: false when it is time to end. */
static bool take(struct svc_notify *q, struct svc_change **list, bool *rescan)
{
    AcquireSRWLockExclusive(&q->lock);
    while (!q->first && !q->rescan && !q->stop)
        SleepConditionVariableSRW(&q->more, &q->lock, INFINITE, 0);
    bool stop = q->stop;
    *list = q->first;
    *rescan = q->rescan;
    q->first = NULL;
    q->last = &q->first;
    q->count = q->bytes = 0;
    q->rescan = false;
    ReleaseSRWLockExclusive(&q->lock);
    return !stop;
}

static bool stopping(struct svc_notify *q)
{
    AcquireSRWLockShared(&q->lock);
    bool stop = q->stop;
    ReleaseSRWLockShared(&q->lock);
    return stop;
}

/* ---- telling ---------------------------------------------------------------------------------------- */

static bool begin(struct svc_volume *v)
{
    while (svc_report_begin(v->notify.report, v, AGAIN_MS) == STATUS_CANT_WAIT) {
        if (stopping(&v->notify))
            return false;
        Sleep(AGAIN_MS);
    }
    return NT_SUCCESS(v->notify.report->status);
}

static void end(struct svc_volume *v)
{
    NTSTATUS status = svc_report_end(v->notify.report);

    if (!NT_SUCCESS(status))
        svc_volume_log(v, 2, L"changes not taken (status 0x%lx)", (unsigned long)status);
}

/* The path as Windows spells it. Return: units, 0 if it has none. */
static uint32_t path_of(const struct svc_change *c, WCHAR path[SVC_PATH_UNITS])
{
    if (c->len == 0) {
        wcscpy(path, L"\\");
        return 1;
    }
    return svc_path_spell(c->path, c->len, path, SVC_PATH_UNITS);
}

static void filter_of(const struct svc_change *c, uint32_t *filter, uint32_t *action)
{
    static const uint32_t actions[] = {[VIOFS_ADDED] = FILE_ACTION_ADDED,
                                       [VIOFS_REMOVED] = FILE_ACTION_REMOVED,
                                       [VIOFS_MODIFIED] = FILE_ACTION_MODIFIED,
                                       [VIOFS_ATTRIB] = FILE_ACTION_MODIFIED,
                                       [VIOFS_RENAMED_FROM] = FILE_ACTION_RENAMED_OLD_NAME,
                                       [VIOFS_RENAMED_TO] = FILE_ACTION_RENAMED_NEW_NAME};

    *action = actions[c->action];
    if (c->action == VIOFS_MODIFIED)
        *filter = FILE_NOTIFY_CHANGE_LAST_WRITE | (c->is_dir ? 0 : FILE_NOTIFY_CHANGE_SIZE);
    else if (c->action == VIOFS_ATTRIB) /* Linux has one event for all of these */
        *filter = FILE_NOTIFY_CHANGE_ATTRIBUTES | FILE_NOTIFY_CHANGE_SECURITY |
                  FILE_NOTIFY_CHANGE_LAST_WRITE | FILE_NOTIFY_CHANGE_LAST_ACCESS |
                  FILE_NOTIFY_CHANGE_CREATION | CHANGE_EA;
    else
        *filter = c->is_dir ? FILE_NOTIFY_CHANGE_DIR_NAME : FILE_NOTIFY_CHANGE_FILE_NAME;
}

static void lost_below(struct svc_volume *v, const WCHAR *path);

/* Does this say that changes were lost, below a directory? */
static bool says_lost(const struct svc_change *c)
{
    return c->action == VIOFS_UNCOVERED || c->action == VIOFS_RESCAN;
}

static uint32_t parent_len(const struct svc_change *c)
{
    uint32_t len = c->len;

    while (len > 0 && c->path[len - 1] != '/')
        len--;
    return len;
}

/* NTFS tells a rename as one within a directory only: whoever watches one of two hears what happened there. */
static void split_move(struct svc_change *from)
{
    struct svc_change *to = from->next;

    if (from->action != VIOFS_RENAMED_FROM || !to || to->action != VIOFS_RENAMED_TO)
        return;
    uint32_t len = parent_len(from);
    if (len == parent_len(to) && memcmp(from->path, to->path, len) == 0)
        return;
    from->action = VIOFS_REMOVED;
    to->action = VIOFS_ADDED;
}

/* So many changes between one Begin and End. Return: what is left. */
static struct svc_change *tell_some(struct svc_volume *v, struct svc_change *list)
{
    WCHAR path[SVC_PATH_UNITS];
    uint32_t filter, action;
    unsigned told = 0;

    for (; list && !says_lost(list); told++) {
        struct svc_change *next = list->next;

        /* Both names of a rename, before anybody looks. */
        if (told >= AT_ONCE && list->action != VIOFS_RENAMED_TO)
            break;
        split_move(list);
        if (path_of(list, path) > 0) {
            if (list->action == VIOFS_RENAMED_FROM)
                svc_report_room(v->notify.report, 2, SVC_PATH_UNITS);
            filter_of(list, &filter, &action);
            svc_report_add(v->notify.report, path, filter, action);
        }
        free(list);
        list = next;
    }
    return list;
}

static void tell(struct svc_volume *v, struct svc_change *list)
{
    WCHAR path[SVC_PATH_UNITS];

    while (list) {
        if (says_lost(list)) {
            struct svc_change *next = list->next;

            if (path_of(list, path) > 0)
                lost_below(v, path);
            free(list);
            list = next;
            continue;
        }
        if (!begin(v))
            break;
        list = tell_some(v, list);
        end(v);
    }
    free_changes(list);
}

/* ---- what was lost ---------------------------------------------------------------------------------- */

/* Is one of both paths at or below the other? */
static bool related(const WCHAR *a, const WCHAR *b)
{
    size_t x = wcslen(a), y = wcslen(b), n = x < y ? x : y;

    if (x == 1 || y == 1)
        return true; /* the root */
    return wcsncmp(a, b, n) == 0 && (x == y || (x < y ? b[n] : a[n]) == L'\\');
}

struct lost {
    struct lost *next;
    bool lists; /* somebody may wait for changes in it */
    WCHAR path[];
};

static struct lost *open_below(struct svc_volume *v, const WCHAR *path)
{
    struct lost *list = NULL;

    AcquireSRWLockShared(&v->opens_lock);
    for (const struct svc_open *o = v->opens; o; o = o->next) {
        struct lost *l;

        if (!related(o->path, path))
            continue;
        l = malloc(sizeof(*l) + (wcslen(o->path) + 1) * sizeof(WCHAR));
        if (!l)
            break;
        wcscpy(l->path, o->path);
        l->lists = o->lists;
        l->next = list;
        list = l;
    }
    ReleaseSRWLockShared(&v->opens_lock);
    return list;
}

/* Whoever watches this directory hears more than it can take. */
static void flood(struct svc_volume *v, const WCHAR *directory)
{
    WCHAR path[SVC_PATH_UNITS + FLOOD_UNITS + 2];
    size_t at = wcslen(directory);

    if (at + FLOOD_UNITS + 1 >= SVC_PATH_UNITS)
        return;
    wcscpy(path, directory);
    if (path[at - 1] != L'\\')
        path[at++] = L'\\';
    for (unsigned i = 0; i < FLOOD_UNITS; i++)
        path[at++] = L'~';
    path[at] = 0;
    for (unsigned i = 0; i < FLOOD; i++)
        svc_report_add(v->notify.report, path, ANY_CHANGE, FILE_ACTION_REMOVED);
}

static void lost_below(struct svc_volume *v, const WCHAR *path)
{
    struct lost *list = open_below(v, path), *next;
    bool told = begin(v);

    for (struct lost *l = list; l; l = next) {
        next = l->next;
        if (told && l->lists)
            flood(v, l->path);
        if (told)
            svc_report_add(v->notify.report, l->path,
                           FILE_NOTIFY_CHANGE_LAST_WRITE | FILE_NOTIFY_CHANGE_SIZE,
                           FILE_ACTION_MODIFIED);
        free(l);
    }
    if (told)
        end(v);
}

/* ---- watches ---------------------------------------------------------------------------------------- */

struct candidate {
    struct svc_open *handle; /* to be looked for again: it may be closed meanwhile */
    struct cli_node *node;
    uint64_t opened_ms;
};

static unsigned choose(struct svc_volume *v, struct candidate list[WATCHES_A_ROUND])
{
    uint64_t now = GetTickCount64();
    unsigned count = 0;

    AcquireSRWLockExclusive(&v->opens_lock);
    for (struct svc_open *o = v->opens; o && count < WATCHES_A_ROUND; o = o->next) {
        if (!o->lists || o->watch_tried || now - o->opened_ms < WATCH_AFTER_MS)
            continue;
        o->watch_tried = true;
        list[count++] = (struct candidate){o, cli_node_get(o->node), o->opened_ms};
    }
    ReleaseSRWLockExclusive(&v->opens_lock);
    return count;
}

/* Return: false if the handle is closed. @watched: else it is to be tried again */
static bool note_watched(struct svc_volume *v, const struct candidate *c, bool watched)
{
    struct svc_open *o;

    AcquireSRWLockExclusive(&v->opens_lock);
    for (o = v->opens; o && o != c->handle; o = o->next)
        ;
    if (o && o->node == c->node)
        o->watched = o->watch_tried = watched;
    else
        o = NULL;
    ReleaseSRWLockExclusive(&v->opens_lock);
    return o != NULL;
}

/** svc_watch_opens() - have directories that are open for a while covered; from the ticking thread */
void svc_watch_opens(struct svc_volume *v)
{
    struct candidate list[WATCHES_A_ROUND];
    unsigned count = choose(v, list);

    for (unsigned i = 0; i < count; i++) {
        uint64_t age = GetTickCount64() - list[i].opened_ms; /* of each: they may take a while */
        int error =
            cli_watch(v->client, list[i].node, age > UINT32_MAX ? UINT32_MAX : (uint32_t)age);

        if (error == 0 && !note_watched(v, &list[i], true))
            cli_unwatch(v->client, list[i].node);
        if (error == -LE_EOPNOTSUPP) /* the host has just ceased to tell changes */
            note_watched(v, &list[i], false);
        else if (error)
            svc_volume_log(v, 2, L"a directory is not watched (error %d)", -error);
        cli_node_put(v->client, list[i].node);
    }
}

/* ---- beginning and end ------------------------------------------------------------------------------ */

static DWORD WINAPI run(void *arg)
{
    struct svc_volume *v = arg;
    struct svc_change *list;
    bool rescan;

    while (take(&v->notify, &list, &rescan)) {
        if (rescan)
            lost_below(v, L"\\");
        tell(v, list);
    }
    free_changes(list);
    return 0;
}

/** svc_notify_init() - before the session begins: changes may be queued from then on */
void svc_notify_init(struct svc_volume *v)
{
    v->notify.last = &v->notify.first;
}

/** svc_notify_start() - the volume is mounted. Return: STATUS_INSUFFICIENT_RESOURCES. */
NTSTATUS svc_notify_start(struct svc_volume *v)
{
    v->notify.report = malloc(sizeof(*v->notify.report));
    if (v->notify.report)
        v->notify.thread = CreateThread(NULL, 0, run, v, 0, NULL);
    return v->notify.thread ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

/** svc_notify_stop() - nothing is told any more; before WinFsp's object goes */
void svc_notify_stop(struct svc_volume *v)
{
    AcquireSRWLockExclusive(&v->notify.lock);
    v->notify.stop = true;
    ReleaseSRWLockExclusive(&v->notify.lock);
    WakeConditionVariable(&v->notify.more);
    if (v->notify.thread) {
        WaitForSingleObject(v->notify.thread, INFINITE);
        CloseHandle(v->notify.thread);
        v->notify.thread = NULL;
    }
}

/** svc_notify_free() - after the session has ended */
void svc_notify_free(struct svc_volume *v)
{
    free_changes(v->notify.first);
    free(v->notify.half);
    free(v->notify.report);
}
