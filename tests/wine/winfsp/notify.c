// SPDX-License-Identifier: BSD-3-Clause
/*
 * notify.c - changes: who watches a directory hears of them; what the file system reports drops caches
 *
 * A watch is one pended IRP_MN_NOTIFY_CHANGE_DIRECTORY with what gathers between two of them (FsRtlNotify).
 * FspFileSystemNotifyBegin() keeps renames away until FspFileSystemNotifyEnd(); one caller at a time, others
 * get STATUS_CANT_WAIT, and so does everybody while a rename is under way (WinFsp src/sys/volume.c). The work
 * is done by another thread there; here by the caller, who must hold no lock that a watcher could want.
 *
 * Ownership: a watch belongs to its file.   Locks: volume.watch_lock; queue.lock for notify_locked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/wine/winfsp/standin.h"

#define GATHERED_MAX 65536u

struct watch {
    struct watch *next;
    struct file *file;
    WCHAR *dir;
    unsigned dir_len;
    uint32_t filter;
    bool tree, overflow, gone;
    uint8_t *bytes; /* FILE_NOTIFY_INFORMATION entries */
    uint32_t len, last;
};

static struct watch *find_watch(struct file *f)
{
    struct watch *w = f->vol->watches;
    while (w && w->file != f)
        w = w->next;
    return w;
}

static void gather(struct watch *w, struct name relative, uint32_t action)
{
    uint32_t bytes = relative.len * (uint32_t)sizeof(WCHAR), at = (w->len + 3u) & ~3u;
    if (at + 12 + bytes > GATHERED_MAX)
        w->overflow = true;
    if (w->overflow)
        return;
    if (!w->bytes)
        w->bytes = malloc(GATHERED_MAX);
    uint32_t head[3] = {0, action, bytes}, step = at - w->last;
    if (w->len)
        memcpy(w->bytes + w->last, &step, 4);
    memcpy(w->bytes + at, head, 12);
    memcpy(w->bytes + at + 12, relative.at, bytes);
    w->last = at;
    w->len = at + 12 + bytes;
}

void watch_report(struct volume *v, struct name path, uint32_t filter, uint32_t action)
{
    bool fold = volume_folds(v);
    struct name parent, last;
    name_split(path, &parent, &last);
    pthread_mutex_lock(&v->watch_lock);
    for (struct watch *w = v->watches; w; w = w->next) {
        struct name dir = {w->dir, w->dir_len};
        if (!(w->filter & filter))
            continue;
        if (!name_equal(parent, dir, fold) && !(w->tree && name_below(path, dir, fold)))
            continue;
        unsigned skip = dir.len + !name_is_root(dir);
        gather(w, (struct name){path.at + skip, path.len - skip}, action);
    }
    pthread_cond_broadcast(&v->watched);
    pthread_mutex_unlock(&v->watch_lock);
}

/* What happens to a stream has filters of its own (src/sys/file.c). */
static uint32_t stream_filter(uint32_t filter)
{
    return (filter & FILE_NOTIFY_CHANGE_FILE_NAME ? FILE_NOTIFY_CHANGE_STREAM_NAME : 0u) |
           (filter & FILE_NOTIFY_CHANGE_SIZE ? FILE_NOTIFY_CHANGE_STREAM_SIZE : 0u) |
           (filter & FILE_NOTIFY_CHANGE_LAST_WRITE ? FILE_NOTIFY_CHANGE_STREAM_WRITE : 0u);
}

void fsd_changed(struct node *n, uint32_t filter, uint32_t action, bool caches)
{
    struct volume *v = n->vol;
    WCHAR buf[PATH_MOST];
    if (n->main) {
        node_drop_streams(n);
        filter = stream_filter(filter);
        action = action == FILE_ACTION_ADDED     ? FILE_ACTION_ADDED_STREAM
                 : action == FILE_ACTION_REMOVED ? FILE_ACTION_REMOVED_STREAM
                                                 : FILE_ACTION_MODIFIED_STREAM;
        caches = false;
    } else if (filter & (FILE_NOTIFY_CHANGE_SIZE | FILE_NOTIFY_CHANGE_LAST_WRITE)) {
        node_drop_streams(n); /* the nameless one's size */
    }
    if (caches) {
        pthread_mutex_lock(&v->volume_info_lock);
        cache_drop(&v->volume_info_life);
        pthread_mutex_unlock(&v->volume_info_lock);
        node_drop_parent_dir(n);
    }
    watch_report(v, node_path(n, buf), filter, action);
}

static struct watch *start_watch(struct file *f, struct name path, uint32_t filter, bool tree)
{
    struct watch *w = calloc(1, sizeof *w);
    w->file = f;
    w->filter = filter;
    w->tree = tree;
    w->dir = malloc((path.len + 1) * sizeof(WCHAR));
    memcpy(w->dir, path.at, path.len * sizeof(WCHAR));
    w->dir_len = path.len;
    w->next = f->vol->watches;
    f->vol->watches = w;
    return w;
}

static NTSTATUS hand_out(struct watch *w, uint8_t *buf, uint32_t cap, uint32_t *len)
{
    NTSTATUS status = STATUS_SUCCESS;
    if (w->overflow || w->len > cap)
        status = STATUS_NOTIFY_ENUM_DIR;
    else
        memcpy(buf, w->bytes, w->len);
    *len = status ? 0 : w->len;
    w->len = w->last = 0;
    w->overflow = false;
    return status;
}

NTSTATUS fsd_notify(struct file *f, uint32_t filter, bool tree, uint32_t wait_ms, uint8_t *buf,
                    uint32_t cap, uint32_t *len)
{
    struct volume *v = f->vol;
    *len = 0;
    if (!f->node)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (!f->node->is_directory)
        return STATUS_INVALID_PARAMETER;
    if (tree && !f->token->traverse)
        return STATUS_ACCESS_DENIED;
    if (f->node->delete_pending)
        return STATUS_DELETE_PENDING;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    WCHAR path_buf[PATH_MOST];
    struct name path = node_path(f->node, path_buf); /* before watch_lock, which comes last */
    pthread_mutex_lock(&v->watch_lock);
    struct watch *w = find_watch(f);
    if (!w)
        w = start_watch(f, path, filter, tree);
    int timed_out = 0;
    while (!w->len && !w->overflow && !w->gone && !timed_out)
        timed_out = pthread_cond_timedwait(&v->watched, &v->watch_lock, &until) == ETIMEDOUT;
    NTSTATUS status = w->gone                   ? STATUS_NOTIFY_CLEANUP
                      : !w->len && !w->overflow ? STATUS_TIMEOUT
                                                : hand_out(w, buf, cap, len);
    pthread_mutex_unlock(&v->watch_lock);
    return status;
}

void watch_close(struct file *f)
{
    struct volume *v = f->vol;
    pthread_mutex_lock(&v->watch_lock);
    for (struct watch **at = &v->watches, *w; (w = *at); at = &w->next)
        if (w->file == f) {
            *at = w->next;
            free(w->dir);
            free(w->bytes);
            free(w);
            break;
        }
    pthread_mutex_unlock(&v->watch_lock);
}

/* ---- what the file system reports ---------------------------------------------------------- */

static NTSTATUS try_begin(struct volume *v)
{
    NTSTATUS status = STATUS_CANT_WAIT;
    if (!gate_try_shared(&v->rename))
        return status;
    pthread_mutex_lock(&v->queue.lock);
    if (!v->notify_locked) {
        v->notify_locked = true;
        status = STATUS_SUCCESS;
    }
    pthread_mutex_unlock(&v->queue.lock);
    if (status)
        gate_release(&v->rename);
    return status;
}

NTSTATUS WINAPI FspFileSystemNotifyBegin(struct winfsp_file_system *fs, ULONG timeout_ms)
{
    uint64_t until = now_ms() + timeout_ms;
    NTSTATUS status;
    while ((status = try_begin(volume_of(fs))) == STATUS_CANT_WAIT &&
           (timeout_ms == INFINITE || now_ms() < until))
        Sleep(10);
    return status;
}

NTSTATUS WINAPI FspFileSystemNotifyEnd(struct winfsp_file_system *fs)
{
    struct volume *v = volume_of(fs);
    pthread_mutex_lock(&v->queue.lock);
    bool was = v->notify_locked;
    v->notify_locked = false;
    pthread_mutex_unlock(&v->queue.lock);
    if (was)
        gate_release(&v->rename);
    else
        violation(v, "FspFileSystemNotifyEnd without FspFileSystemNotifyBegin");
    return STATUS_SUCCESS;
}

/* Forget what is known of the name, and of its directory's listing; then tell who watches. */
static void invalidate(struct volume *v, struct name path, uint32_t filter, uint32_t action)
{
    struct node *n = node_find(v, path);
    struct name parent, last;
    if (n && v->params.file_info_timeout == WINFSP_FOREVER) {
        gate_exclusive(&n->gate);
        if (!cache_flush(n))
            cache_purge(n);
        gate_release(&n->gate);
    }
    if (n) {
        pthread_mutex_lock(&n->lock);
        cache_drop(&n->info_life);
        cache_drop(&n->security);
        cache_drop(&n->dir);
        cache_drop(&n->ea);
        cache_drop(&n->streams);
        pthread_mutex_unlock(&n->lock);
        node_put(n);
    }
    if (!filter)
        return;
    name_split(path, &parent, &last);
    struct node *p = last.len ? node_find(v, parent) : NULL;
    if (p) {
        pthread_mutex_lock(&p->lock);
        cache_drop(&p->dir);
        pthread_mutex_unlock(&p->lock);
        node_put(p);
    }
    pthread_mutex_lock(&v->volume_info_lock);
    cache_drop(&v->volume_info_life);
    pthread_mutex_unlock(&v->volume_info_lock);
    watch_report(v, path, filter, action);
}

NTSTATUS WINAPI FspFileSystemNotify(struct winfsp_file_system *fs, struct winfsp_notify_info *info,
                                    SIZE_T size)
{
    struct volume *v = volume_of(fs);
    for (size_t at = 0; at + sizeof info->size <= size;) {
        const struct winfsp_notify_info *i = (const void *)((const uint8_t *)info + at);
        if (i->size < sizeof *i || at + i->size > size) {
            violation(v, "FspFileSystemNotify: an entry of %u bytes at %zu of %zu", i->size, at,
                      (size_t)size);
            break;
        }
        struct name path = {i->name, UNITS(i->size - sizeof *i)};
        if (path.len > 1 && path.at[path.len - 1] == '\\')
            path.len--;
        if (!path.len || path.at[0] != '\\')
            stop_loudly("notifications with relative names");
        if (name_path_valid(path, v->params.max_component_length, NULL, NULL))
            invalidate(v, path, i->filter, i->action);
        at += (i->size + 7u) & ~(size_t)7;
    }
    return STATUS_SUCCESS;
}
