// SPDX-License-Identifier: BSD-3-Clause
/*
 * crawl.c - cover all directories of a subtree
 *
 * Theory of operation
 *
 *   A queue of directories, first in first out: a subtree is covered breadth first, so that a budget that does
 *   not suffice is spent near the top, where people look. The watch thread takes one directory between two looks at
 *   the kernel's events. It is opened by the path from the nearest directory that the client knows, one
 *   component at a time and without following links; it is watched, and then read: what appears afterwards
 *   is an event, what was there before is found, and what is both is one entry in the table of places.
 *
 *   A directory that has just appeared may have been filled before the watch was there: everything that is
 *   found in it is told. One that was moved here is old: what happened in it on the way is not known: RESCAN.
 *
 *   A watch may want changes from a while ago. A directory that was covered then has told them. Else its change time says
 *   whether names came or went before it was covered (RESCAN), and the change times of its files which of them were
 *   changed (MODIFIED); of so many files that is looked at, then the whole subtree is to be looked at by the client.
 *
 *   Other mounts are not entered; their events are of another file system, and may not exist.
 *
 * Locks: the thread opens and reads without the lock. w->crawling says that the directory is still there.
 * syscalls: openat statx getdents64 close
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "watch/watch_int.h"

#define DIR_BUFFER 32768u

/* What happened in this subtree before it was covered is left to the client to find out. */
static void give_up_looking(struct watch *w, struct subtree *s)
{
    if (s->since == INT64_MAX)
        return;
    s->since = INT64_MAX;
    if (s->root)
        dir_tell(w, s->root, VIOFS_RESCAN, true, NULL, 0);
}

void crawl_add(struct watch *w, struct wdir *d, struct subtree *job, enum arrival arrival)
{
    if (w->backend->whole)
        return;
    if (d->queued) {
        if (job && d->job != job) {
            job->joined = true;
            give_up_looking(w, job);
        }
        return;
    }
    d->queued = true;
    d->arrival = arrival;
    d->job = job;
    if (job)
        job->outstanding++;
    d->crawl_next = NULL;
    d->crawl_prev = w->crawl_last;
    if (w->crawl_last)
        w->crawl_last->crawl_next = d;
    else
        w->crawl_first = d;
    w->crawl_last = d;
}

/* Out of the queue; its job goes on to the caller. */
static void dequeue(struct watch *w, struct wdir *d)
{
    if (d->crawl_prev)
        d->crawl_prev->crawl_next = d->crawl_next;
    else
        w->crawl_first = d->crawl_next;
    if (d->crawl_next)
        d->crawl_next->crawl_prev = d->crawl_prev;
    else
        w->crawl_last = d->crawl_prev;
    d->crawl_next = d->crawl_prev = NULL;
    d->queued = false;
}

static void finished(struct subtree *job)
{
    if (job)
        job->outstanding--;
}

/* Not all of the subtrees that @d belongs to is covered, whoever had it crawled. */
static void mark_partial(struct watch *w, const struct wdir *d)
{
    for (; d; d = d->parent)
        for (struct subtree *s = d->roots ? w->subtrees : NULL; s; s = s->next)
            s->partial |= s->root == d;
}

void crawl_cancel(struct watch *w, struct wdir *d)
{
    if (!d->queued)
        return;
    dequeue(w, d);
    finished(d->job);
    d->job = NULL;
}

/* ---- one directory --------------------------------------------------------------------------- */

/* How to get to it: a directory that the client knows, and a path from there. */
struct way {
    uint64_t node;
    char path[VIOFS_EVENT_PATH_MAX + 1]; /* components, each with its terminator */
    size_t at;                           /* the first one */
};

static bool find_way(const struct wdir *d, struct way *way)
{
    way->at = sizeof(way->path);
    for (; !d->node; d = d->parent) {
        if (!d->parent)
            return false;
        size_t n = strlen(d->name) + 1;
        if (n > way->at)
            return false;
        way->at -= n;
        memcpy(way->path + way->at, d->name, n);
    }
    way->node = d->node;
    return true;
}

/* Return: an O_PATH descriptor, or -errno. */
static int open_way(struct watch *w, const struct way *way)
{
    struct inode *inode = inode_get(w->p.tree, way->node);
    struct inode_fd f;

    if (!inode)
        return -ESTALE;
    int r = inode_fd_get(w->p.tree, inode, &f);
    cleanup_close int fd = -1;
    if (r == 0) {
        fd = openat(f.fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        r = fd < 0 ? -errno : 0;
        inode_fd_put(w->p.tree, &f);
    }
    inode_put(w->p.tree, inode);
    for (size_t at = way->at; r == 0 && at < sizeof(way->path);) {
        int next = openat(fd, way->path + at, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            r = -errno;
        close(fd);
        fd = next;
        at += strlen(way->path + at) + 1;
    }
    return r < 0 ? r : steal_fd(&fd);
}

/*
 * Let the kernel watch what @fd shows. The directory may be known already under another place, or without one:
 * that one goes on, here. Return: it, or NULL and *@err. Lock held.
 */
static struct wdir *cover_here(struct watch *w, struct wdir *d, int fd, int *err)
{
    struct statx stx;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MNT_ID, &stx) < 0) {
        *err = -errno;
        return NULL;
    }
    if (d->parent && d->parent->mnt_id && d->parent->mnt_id != stx.stx_mnt_id) {
        *err = -EXDEV;
        return NULL;
    }
    d->mnt_id = stx.stx_mnt_id;
    struct wdir *one = d;
    *err = dir_watch(w, &one, fd);
    if (*err < 0)
        return NULL;
    if (one == d)
        return d;
    one->mnt_id = d->mnt_id;
    struct wdir *parent = d->parent;
    if (parent) {
        *err = dir_place(w, one, parent, d->name, strlen(d->name));
        dir_free(w, d);
        if (*err < 0)
            return NULL;
    }
    return one;
}

struct dirent_raw { /* getdents(2): struct linux_dirent64 */
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

static bool is_dot_or_dotdot(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static bool is_directory(int fd, const struct dirent_raw *e)
{
    struct statx stx;

    if (e->type != DT_UNKNOWN)
        return e->type == DT_DIR;
    return statx(fd, e->name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) == 0 &&
           S_ISDIR(stx.stx_mode);
}

/*
 * Lock held. A directory has been covered for w->crawling_for. Return: since when changes of files in it are to be told;
 * INT64_MAX: none.
 */
static int64_t look_back(struct watch *w, const struct wdir *d)
{
    struct subtree *s = w->crawling_for;

    if (!s || d->covered_at <= s->since)
        return INT64_MAX; /* all of it was told */
    if (d->changed_at < s->since)
        return s->since;
    if (s->doubted) {
        give_up_looking(w, s); /* one directory, or all of them */
    } else {
        s->doubted = true;
        dir_tell(w, d, VIOFS_RESCAN, true, NULL, 0);
    }
    return INT64_MAX;
}

/* A file of a directory that look_back() is about. Return: false when there were too many. */
static bool look_at_file(struct watch *w, struct wdir *d, int fd, const char *name, int64_t since)
{
    struct statx stx;
    bool changed = statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_CTIME, &stx) == 0 &&
                   watch_stamp(&stx.stx_ctime) >= since;

    pthread_mutex_lock(&w->lock);
    struct subtree *s = w->crawling_for;
    bool more = w->crawling == d && s && s->since == since;
    if (more && s->looks-- == 0) {
        give_up_looking(w, s);
        more = false;
    }
    if (more && changed)
        dir_tell(w, d, VIOFS_MODIFIED, false, name, strlen(name));
    pthread_mutex_unlock(&w->lock);
    return more;
}

/* Lock held. Return: false when @d is not to be read on. */
static bool found(struct watch *w, struct wdir *d, enum arrival arrival, const char *name,
                  bool is_dir)
{
    size_t len = strlen(name);

    if (w->crawling != d)
        return false;
    if (arrival == ARRIVAL_CREATED)
        dir_tell(w, d, VIOFS_ADDED, is_dir, name, len);
    if (!is_dir)
        return true;
    struct wdir *child = dir_by_place(w, d, name, len);
    if (!child) {
        child = dir_new(w);
        if (child && dir_place(w, child, d, name, len) < 0) {
            dir_free(w, child);
            child = NULL;
        }
    }
    if (!child)
        return false;
    crawl_add(w, child, w->crawling_for, arrival == ARRIVAL_MOVED ? ARRIVAL_KNOWN : arrival);
    return true;
}

static bool wanted_still(struct watch *w, const struct wdir *d)
{
    pthread_mutex_lock(&w->lock);
    bool still = w->crawling == d;
    pthread_mutex_unlock(&w->lock);
    return still;
}

/* Read @d, which is w->crawling. @since: look_back()'s. Return: was all of it read? */
static bool read_directory(struct watch *w, struct wdir *d, int path_fd, enum arrival arrival,
                           int64_t since)
{
    cleanup_close int fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
    uint8_t *buf = fd < 0 ? NULL : malloc(DIR_BUFFER);
    bool good = buf;
    long n = 0;

    while (good && wanted_still(w, d) && (n = syscall(SYS_getdents64, fd, buf, DIR_BUFFER)) > 0) {
        for (long at = 0; good && at < n;) {
            const struct dirent_raw *e = (const struct dirent_raw *)(const void *)(buf + at);
            at += e->reclen;
            if (is_dot_or_dotdot(e->name))
                continue;
            bool is_dir = is_directory(fd, e);
            if (!is_dir && since != INT64_MAX && !look_at_file(w, d, fd, e->name, since))
                since = INT64_MAX;
            if (!is_dir && arrival != ARRIVAL_CREATED)
                continue;
            pthread_mutex_lock(&w->lock);
            good = found(w, d, arrival, e->name, is_dir);
            pthread_mutex_unlock(&w->lock);
        }
    }
    free(buf);
    return good && n == 0;
}

bool crawl_is_empty(struct watch *w, struct inode *dir)
{
    _Alignas(struct dirent_raw) uint8_t buf[512];
    struct inode_fd f;
    bool empty = true;
    long n = -1;

    if (inode_fd_get(w->p.tree, dir, &f) < 0)
        return false;
    cleanup_close int fd = openat(f.fd, ".", O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
    inode_fd_put(w->p.tree, &f);
    if (fd >= 0)
        n = syscall(SYS_getdents64, fd, buf, sizeof(buf));
    for (long at = 0; at < n;) {
        const struct dirent_raw *e = (const struct dirent_raw *)(const void *)(buf + at);
        empty = empty && is_dot_or_dotdot(e->name);
        at += e->reclen;
    }
    return n >= 0 && empty;
}

/* Lock held: it is not covered, and what was said of the subtrees above is not true any more. */
static void not_covered(struct watch *w, struct wdir *d, enum arrival arrival, int err)
{
    if (err == -ENOENT || err == -ENOTDIR || err == -ESTALE)
        return; /* it has gone; there is an event for that */
    mark_partial(w, d);
    if (arrival != ARRIVAL_KNOWN)
        dir_tell(w, d, VIOFS_UNCOVERED, true, NULL, 0);
}

bool crawl_one(struct watch *w)
{
    struct way way;

    pthread_mutex_lock(&w->lock);
    struct wdir *d = w->crawl_first;
    if (!d) {
        pthread_mutex_unlock(&w->lock);
        return false;
    }
    enum arrival arrival = d->arrival;
    dequeue(w, d);
    w->crawling_for = d->job;
    d->job = NULL;
    int err = find_way(d, &way) ? 0 : -ENAMETOOLONG;
    w->crawling = d;
    pthread_mutex_unlock(&w->lock);

    cleanup_close int fd = err < 0 ? err : open_way(w, &way);
    pthread_mutex_lock(&w->lock);
    struct wdir *one = NULL;
    int64_t since = INT64_MAX;
    if (w->crawling == d) {
        if (fd < 0)
            err = fd;
        else
            one = cover_here(w, d, fd, &err);
        if (one && arrival == ARRIVAL_MOVED)
            dir_tell(w, one, VIOFS_RESCAN, true, NULL, 0);
        if (one)
            since = look_back(w, one);
        else if (w->crawling == d)
            not_covered(w, d, arrival, err);
    }
    w->crawling = one;
    pthread_mutex_unlock(&w->lock);

    bool whole = one && read_directory(w, one, fd, arrival, since);
    pthread_mutex_lock(&w->lock);
    if (one && !whole && w->crawling == one) /* else it has gone meanwhile */
        mark_partial(w, one);
    w->crawling = NULL;
    finished(w->crawling_for);
    w->crawling_for = NULL;
    pthread_mutex_unlock(&w->lock);
    return true;
}

void crawl_answer(struct watch *w)
{
    for (;;) {
        pthread_mutex_lock(&w->lock);
        struct subtree *s = w->subtrees;
        while (s && (s->answered || s->outstanding || (s->joined && w->crawl_first)))
            s = s->next;
        uint64_t number = s ? s->number : 0;
        bool whole = s && !s->partial && s->root;
        if (s)
            s->answered = true;
        pthread_mutex_unlock(&w->lock);
        if (!s)
            return;
        w->p.covered(w->p.ctx, number, whole);
    }
}
