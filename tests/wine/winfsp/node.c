// SPDX-License-Identifier: BSD-3-Clause
/*
 * node.c - the driver's open files, one node a name
 *
 * Theory of operation
 *
 *   WinFsp's driver knows files by their path (src/sys/file.c): all opens of one path share a node, with
 *   share modes, delete-pending state, byte ranges and caches. On a volume that folds case the path is the
 *   normalised name that the file system gave, or its upper case, and compared folded.
 *
 *   A node stays listed until its last close, or until it is deleted at a cleanup; what is opened under that
 *   name afterwards is another node.
 *
 * Ownership: counted: each open holds one reference, being listed another, node_find() gives one away.
 * Locks: volume.table for the table, counts, share modes and paths; node.lock for what is cached.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/standin.h"

struct node *node_new(struct volume *v, struct name path)
{
    struct node *n = calloc(1, sizeof *n);
    n->vol = v;
    n->refs = 1;
    n->path = malloc((path.len + 1) * sizeof(WCHAR));
    memcpy(n->path, path.at, path.len * sizeof(WCHAR));
    n->path[path.len] = 0;
    n->path_len = path.len;
    gate_init(&n->gate);
    pthread_mutex_init(&n->lock, NULL);
    return n;
}

static struct node **bucket_of(struct volume *v, struct name path)
{
    return &v->buckets[name_hash(path, volume_folds(v)) % ARRAY_SIZE(v->buckets)];
}

static struct node *lookup(struct volume *v, struct name path)
{
    struct node *n = *bucket_of(v, path);
    while (n && !name_equal(node_name(n), path, volume_folds(v)))
        n = n->next;
    return n;
}

static void list(struct node *n)
{
    struct node **b = bucket_of(n->vol, node_name(n));
    n->next = *b;
    *b = n;
    n->listed = true;
    n->refs++;
}

struct name node_path(struct node *n, WCHAR *buf)
{
    pthread_mutex_lock(&n->vol->table);
    unsigned len = n->path_len < PATH_MOST ? n->path_len : (unsigned)PATH_MOST;
    memcpy(buf, n->path, len * sizeof(WCHAR));
    pthread_mutex_unlock(&n->vol->table);
    return (struct name){buf, len};
}

static void put_locked(struct node *n)
{
    if (--n->refs)
        return;
    if (n->main)
        put_locked(n->main);
    (void)cache_end(n);
    free(n->streams.data);
    free(n->path);
    free(n->security.data);
    free(n->dir.data);
    free(n->ea.data);
    free(n);
}

void node_unlist(struct node *n)
{
    if (!n->listed)
        return;
    struct node **at = bucket_of(n->vol, node_name(n));
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    n->listed = false;
    n->opens = 0;
    put_locked(n);
}

void node_unlist_streams(struct node *n)
{
    struct volume *v = n->vol;
    for (unsigned b = 0; b < ARRAY_SIZE(v->buckets); b++)
        for (struct node *m = v->buckets[b], *next; m; m = next) {
            next = m->next;
            if (m->main == n)
                node_unlist(m);
        }
}

void node_put(struct node *n)
{
    struct volume *v = n->vol;
    pthread_mutex_lock(&v->table);
    put_locked(n);
    pthread_mutex_unlock(&v->table);
}

struct node *node_find(struct volume *v, struct name path)
{
    pthread_mutex_lock(&v->table);
    struct node *n = lookup(v, path);
    if (n)
        n->refs++;
    pthread_mutex_unlock(&v->table);
    return n;
}

/* IoCheckShareAccess: does what this open wants, and allows, go with all others? */
#define READS  (FILE_EXECUTE | FILE_READ_DATA)
#define WRITES (FILE_WRITE_DATA | FILE_APPEND_DATA)

static bool shares_fit(const struct node *n, uint32_t access, uint32_t share)
{
    bool reads = access & READS, writes = access & WRITES, deletes = access & DELETE;
    if (!reads && !writes && !deletes)
        return true;
    return !((reads && n->shares_read < n->share_opens) ||
             (writes && n->shares_write < n->share_opens) ||
             (deletes && n->shares_delete < n->share_opens) ||
             (n->share_read && !(share & FILE_SHARE_READ)) ||
             (n->share_write && !(share & FILE_SHARE_WRITE)) ||
             (n->share_delete && !(share & FILE_SHARE_DELETE)));
}

static void share_count(struct node *n, const struct file *f, unsigned by)
{
    n->share_opens += by;
    n->share_read += f->access & READS ? by : 0;
    n->share_write += f->access & WRITES ? by : 0;
    n->share_delete += f->access & DELETE ? by : 0;
    n->shares_read += f->share & FILE_SHARE_READ ? by : 0;
    n->shares_write += f->share & FILE_SHARE_WRITE ? by : 0;
    n->shares_delete += f->share & FILE_SHARE_DELETE ? by : 0;
}

/* A file and its streams: who deletes the one, and who forbids it for the other (src/sys/file.c). */
static void share_deletion(struct node *n, const struct file *f, unsigned by)
{
    if (!n->main)
        n->deletes += f->access & DELETE ? by : 0;
    else if (!(f->share & FILE_SHARE_DELETE))
        n->main->stream_denies += by;
}

static NTSTATUS stream_fits(const struct node *fresh, const struct file *f)
{
    if (!fresh->main)
        return STATUS_SUCCESS;
    if (fresh->main->delete_pending)
        return STATUS_DELETE_PENDING;
    return fresh->main->deletes && !(f->share & FILE_SHARE_DELETE) &&
                   (f->access & (READS | WRITES | DELETE))
               ? STATUS_SHARING_VIOLATION
               : STATUS_SUCCESS;
}

static void share_add(struct node *n, struct file *f)
{
    if (f->access & (READS | WRITES | DELETE)) {
        f->share_counted = true;
        share_count(n, f, 1);
        share_deletion(n, f, 1);
    }
}

void node_unshare(struct node *n, struct file *f)
{
    if (f->share_counted) {
        share_count(n, f, (unsigned)-1);
        share_deletion(n, f, (unsigned)-1);
    }
    f->share_counted = false;
}

/**
 * node_open() - enter an open into the table
 * @fresh:  node with the path and what the file system said; its reference passes to us
 * @also:   access that this open needs for its overwriting, counted against others' share modes only
 *
 * Return: the node that the open uses, referenced, or NULL with *status.
 */
struct node *node_open(struct volume *v, struct node *fresh, struct file *f, uint32_t also,
                       NTSTATUS *status)
{
    pthread_mutex_lock(&v->table);
    struct node *n = lookup(v, node_name(fresh));
    *status = stream_fits(fresh, f);
    if (*status) {
        n = NULL;
        put_locked(fresh);
    } else if (!n) {
        n = fresh;
        list(n);
    } else {
        if (n->delete_pending)
            *status = STATUS_DELETE_PENDING;
        else if (n->stream_denies && (f->access & DELETE))
            *status = STATUS_SHARING_VIOLATION;
        else if (!shares_fit(n, f->access | also, f->share) || !shares_fit(n, f->access, f->share))
            *status = STATUS_SHARING_VIOLATION;
        else
            n->refs++;
        if (*status)
            n = NULL;
        put_locked(fresh);
    }
    if (n) {
        share_add(n, f);
        n->opens++;
        n->handles++;
    }
    pthread_mutex_unlock(&v->table);
    return n;
}

void node_close(struct node *n, struct file *f, bool handle)
{
    struct volume *v = n->vol;
    pthread_mutex_lock(&v->table);
    if (f)
        node_unshare(n, f);
    if (handle)
        n->handles--;
    if (n->opens && !--n->opens)
        node_unlist(n);
    put_locked(n);
    pthread_mutex_unlock(&v->table);
}

void node_streams_pending(struct node *n)
{
    struct volume *v = n->vol;
    pthread_mutex_lock(&v->table);
    for (unsigned b = 0; b < ARRAY_SIZE(v->buckets); b++)
        for (struct node *m = v->buckets[b]; m; m = m->next)
            if (m->main == n && m->handles)
                m->delete_pending = true;
    pthread_mutex_unlock(&v->table);
}

static bool stream_below(const struct node *m, struct name path, bool fold)
{
    return m->main && name_equal(node_name(m->main), path, fold);
}

static bool in_the_way(const struct node *n, const struct node *self, bool posix)
{
    if (n == self || !n->handles)
        return false;
    return !posix || n->share_opens != n->shares_delete;
}

/**
 * node_rename_check() - may `n` be renamed while these are open?
 * @path:      its old name, or the new one
 * @old_name:  which of them
 * @posix:     FILE_RENAME_POSIX_SEMANTICS: open files that share deletion are fine
 *
 * WinFsp: no other handle on the file, its target, or below a directory that is renamed. A target that is a
 * directory with open files in it is refused even when they have only not been closed yet.
 */
NTSTATUS node_rename_check(struct volume *v, struct node *n, struct name path, bool old_name,
                           bool posix)
{
    NTSTATUS status = STATUS_SUCCESS;
    bool fold = volume_folds(v);
    pthread_mutex_lock(&v->table);
    if (old_name && !n->is_directory && n->handles == 1) {
        pthread_mutex_unlock(&v->table);
        return STATUS_SUCCESS;
    }
    for (unsigned b = 0; b < ARRAY_SIZE(v->buckets) && !status; b++)
        for (struct node *m = v->buckets[b]; m && !status; m = m->next) {
            bool below = name_below(node_name(m), path, fold) || stream_below(m, path, fold);
            if (!below && !name_equal(node_name(m), path, fold))
                continue;
            if (!old_name && below)
                status = STATUS_ACCESS_DENIED;
            else if (in_the_way(m, n, posix))
                status = posix ? STATUS_SHARING_VIOLATION : STATUS_ACCESS_DENIED;
        }
    pthread_mutex_unlock(&v->table);
    return status;
}

static void change_path(struct node *n, unsigned cut, struct name to)
{
    unsigned len = to.len + n->path_len - cut;
    WCHAR *path = malloc((len + 1) * sizeof(WCHAR));
    memcpy(path, to.at, to.len * sizeof(WCHAR));
    memcpy(path + to.len, n->path + cut, (n->path_len - cut) * sizeof(WCHAR));
    path[len] = 0;
    free(n->path);
    n->path = path;
    n->path_len = len;
}

/** node_rename() - the node and all below it get their new paths; who was there before is unlisted */
void node_rename(struct node *n, struct name to)
{
    struct volume *v = n->vol;
    bool fold = volume_folds(v);
    struct node *moved = NULL;
    pthread_mutex_lock(&v->table);
    WCHAR *from_path = malloc(n->path_len * sizeof(WCHAR));
    struct name from = {from_path, n->path_len};
    memcpy(from_path, n->path, n->path_len * sizeof(WCHAR));
    for (unsigned b = 0; b < ARRAY_SIZE(v->buckets); b++)
        for (struct node **at = &v->buckets[b], *m; (m = *at);) {
            if (m != n && m->main != n && !name_below(node_name(m), from, fold)) {
                at = &m->next;
                continue;
            }
            *at = m->next;
            m->next = moved;
            moved = m;
        }
    while (moved) {
        struct node *m = moved;
        moved = m->next;
        change_path(m, from.len, to);
        struct node *there = lookup(v, node_name(m));
        if (there)
            node_unlist(there);
        struct node **bucket = bucket_of(v, node_name(m));
        m->next = *bucket;
        *bucket = m;
    }
    pthread_mutex_unlock(&v->table);
    free(from_path);
}

/* ---- caches ------------------------------------------------------------------------------- */

bool cache_alive(const struct volume *v, const struct cached *c)
{
    return c->generation == atomic_load(&v->generation) + 1 && now_ms() < c->until_ms;
}

void cache_start(const struct volume *v, struct cached *c, uint32_t timeout)
{
    c->generation = atomic_load(&v->generation) + 1;
    c->until_ms = timeout == WINFSP_FOREVER ? UINT64_MAX : now_ms() + timeout;
    c->change++;
}

void cache_drop(struct cached *c)
{
    c->until_ms = 0;
}

void cache_store(struct volume *v, struct cached *c, const void *data, uint32_t len,
                 uint32_t timeout, uint32_t max)
{
    free(c->data);
    c->data = NULL;
    c->len = 0;
    c->until_ms = 0;
    c->change++;
    if (!data || !timeout || len > max)
        return;
    c->data = malloc(len);
    memcpy(c->data, data, len);
    c->len = len;
    cache_start(v, c, timeout);
}

void node_set_info(struct node *n, const struct winfsp_file_info *info, bool truncate_on_close)
{
    struct volume *v = n->vol;
    uint64_t unit = volume_unit(v);
    uint64_t allocation =
        info->allocation_size > info->file_size ? info->allocation_size : info->file_size;
    allocation = (allocation + unit - 1) / unit * unit;
    pthread_mutex_lock(&n->lock);
    if (truncate_on_close && (n->allocation_size != allocation || n->file_size != info->file_size))
        n->truncate_on_close = true;
    if (info->file_size < n->file_size)
        cache_cut(n, info->file_size);
    n->allocation_size = allocation;
    n->file_size = info->file_size;
    n->info = *info;
    n->info.allocation_size = allocation;
    cache_start(v, &n->info_life, v->params.file_info_timeout);
    pthread_mutex_unlock(&n->lock);
}

bool node_get_info(struct node *n, struct winfsp_file_info *info)
{
    pthread_mutex_lock(&n->lock);
    bool alive = cache_alive(n->vol, &n->info_life);
    *info = n->info;
    pthread_mutex_unlock(&n->lock);
    return alive;
}

void node_drop_info(struct node *n)
{
    pthread_mutex_lock(&n->lock);
    cache_drop(&n->info_life);
    pthread_mutex_unlock(&n->lock);
}

void node_drop_streams(struct node *n)
{
    struct node *m = n->main ? n->main : n;
    pthread_mutex_lock(&m->lock);
    cache_drop(&m->streams);
    m->streams.change++;
    pthread_mutex_unlock(&m->lock);
}

void node_drop_parent_dir(struct node *n)
{
    WCHAR buf[PATH_MOST];
    struct name parent, last;
    if (n->is_root || n->main)
        return;
    name_split(node_path(n, buf), &parent, &last);
    struct node *p = node_find(n->vol, parent);
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    cache_drop(&p->dir);
    pthread_mutex_unlock(&p->lock);
    node_put(p);
}
