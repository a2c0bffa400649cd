// SPDX-License-Identifier: BSD-3-Clause
/*
 * fanotify.c - changes as fanotify(7) tells them of a whole file system
 *
 * Theory of operation
 *
 *   One mark on the file system that holds the share reports every change in it, with the file handle of the
 *   directory, the name, and the process. So nothing needs to be covered one by one, a subtree is watched as soon as
 *   it is asked for, and whose a change is, is known. The price: the mark takes CAP_SYS_ADMIN, so it is made before
 *   the sandbox closes and stays, client or not; and every change on that file system, in the share or not, costs
 *   whoever makes it and wakes this thread. That is why it has to be asked for (--watch=fanotify).
 *
 *   Most events are of no interest, and are dropped after one look into a table: the directory is neither one that
 *   the client has looked in nor one of a subtree. Only when subtrees are watched must an unknown directory be
 *   placed: it is opened by its handle, the kernel tells its path, and the path is walked from the share's root and
 *   must end at the same handle; so what is outside, or has a path that only looks like one of the share, is not
 *   believed. Directories that turned out to be of no interest are remembered until a directory moves.
 *
 *   Events of one process and one name are merged by the kernel, which forgets their order. Where a name
 *   has come and gone, it is looked at: one that is there now came last.
 *
 *   Other file systems in the share are not marked: they stay uncovered.
 *
 * Ownership: the descriptor is the daemon's.   Locks: w->lock, held by all callers.
 * syscalls: read epoll_ctl name_to_handle_at open_by_handle_at readlinkat openat fstatfs statx close lseek fcntl
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "watch/watch_int.h"

#ifndef FAN_RENAME /* Linux 5.17 */
#define FAN_RENAME 0x10000000
#endif
#ifndef FAN_EVENT_INFO_TYPE_OLD_DFID_NAME
#define FAN_EVENT_INFO_TYPE_OLD_DFID_NAME 10
#define FAN_EVENT_INFO_TYPE_NEW_DFID_NAME 12
#endif
#define CHANGES (FAN_CREATE | FAN_DELETE | FAN_MODIFY | FAN_ATTRIB | FAN_RENAME | FAN_ONDIR)
#define BUFFER  16384u

int watch_mark(const char *share)
{
    cleanup_close int fd = fanotify_init(
        FAN_CLOEXEC | FAN_NONBLOCK | FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME, O_RDONLY);
    int err = fd < 0 ? -errno : 0;

    if (err == 0 && fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, CHANGES, AT_FDCWD, share))
        err = -errno;
    if (err == 0)
        return steal_fd(&fd);
    log_error("--watch=fanotify: %s: %s; use --watch=inotify", share,
              err == -EPERM    ? "only root of the host may watch a whole file system"
              : err == -EINVAL ? "this kernel is older than Linux 5.17"
              : err == -EOPNOTSUPP || err == -ENODEV || err == -EXDEV
                  ? "its file system has no file handles to tell directories by"
                  : strerror(-err));
    return err;
}

/* ---- handles --------------------------------------------------------------------------------- */

union handle {
    struct file_handle h;
    uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
};

static bool key_of(const struct file_handle *h, struct dir_key *key)
{
    if (h->handle_bytes > WATCH_KEY_MAX - sizeof(h->handle_type))
        return false;
    key->len = (uint8_t)(sizeof(h->handle_type) + h->handle_bytes);
    memcpy(key->bytes, &h->handle_type, sizeof(h->handle_type));
    memcpy(key->bytes + sizeof(h->handle_type), h->f_handle, h->handle_bytes);
    return true;
}

static int key_of_fd(int fd, struct dir_key *key)
{
    union handle u = {.h.handle_bytes = MAX_HANDLE_SZ};
    int mount_id;

    if (name_to_handle_at(fd, "", &u.h, &mount_id, AT_EMPTY_PATH) < 0)
        return -errno;
    return key_of(&u.h, key) ? 0 : -EOVERFLOW;
}

static int open_key(struct watch *w, const struct dir_key *key)
{
    union handle u;

    memcpy(&u.h.handle_type, key->bytes, sizeof(u.h.handle_type));
    u.h.handle_bytes = key->len - (unsigned)sizeof(u.h.handle_type);
    memcpy(u.h.f_handle, key->bytes + sizeof(u.h.handle_type), u.h.handle_bytes);
    int fd = open_by_handle_at(w->fs_fd, &u.h, O_PATH | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static bool same_key(const struct dir_key *a, const struct dir_key *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* ---- directories that nobody asked for -------------------------------------------------------- */

static struct dir_key *stranger_slot(struct watch *w, const struct dir_key *key)
{
    uint64_t x = 0xcbf29ce484222325u;

    for (unsigned i = 0; i < key->len; i++)
        x = (x ^ key->bytes[i]) * 0x100000001b3u;
    return &w->strangers[(x ^ (x >> 31)) % STRANGERS];
}

static void fanotify_refresh(struct watch *w)
{
    memset(w->strangers, 0, STRANGERS * sizeof(*w->strangers));
}

/* The path of @fd in the share, without a slash at its ends; NULL when it has none. */
static char *path_in_share(struct watch *w, int fd, char *buf, size_t size)
{
    char number[12];

    tree_proc_path(number, fd);
    ssize_t n = readlinkat(w->p.proc_fd, number, buf, size - 1);
    size_t prefix = strlen(w->p.mount_prefix);
    if (n <= 0 || (size_t)n >= size - 1 || (size_t)n < prefix ||
        memcmp(buf, w->p.mount_prefix, prefix) != 0)
        return NULL;
    buf[n] = '\0';
    char *path = buf + prefix;
    return *path == '/' ? path + 1 : *path == '\0' ? path : NULL;
}

/* One step down the path. Return: the directory there if it is of interest, else NULL. */
static struct wdir *step_down(struct watch *w, struct wdir *above, const char *name, int fd)
{
    struct dir_key key;

    if (key_of_fd(fd, &key) < 0)
        return NULL;
    struct wdir *d = dir_by_key(w, &key);
    if (!d && above) {
        d = dir_new(w);
        if (!d)
            return NULL;
        if (dir_watch(w, &d, fd) < 0) {
            dir_free(w, d);
            return NULL;
        }
    }
    if (d && above && d->parent != above && dir_place(w, d, above, name, strlen(name)) < 0)
        return NULL;
    return d && (above || dir_wanted(d)) ? d : NULL;
}

/*
 * Place a directory in the subtree that it belongs to, with those between. Return: it; NULL when it belongs to none.
 */
static struct wdir *place_directory(struct watch *w, const struct dir_key *key)
{
    char buf[VIOFS_EVENT_PATH_MAX], *rest = NULL;
    cleanup_close int found = open_key(w, key);
    char *path = found < 0 ? NULL : path_in_share(w, found, buf, sizeof(buf));
    cleanup_close int fd = path ? openat(w->fs_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

    if (fd < 0)
        return NULL;
    struct wdir *d = step_down(w, NULL, "", fd);
    for (char *name = strtok_r(path, "/", &rest); name; name = strtok_r(NULL, "/", &rest)) {
        int next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            return NULL;
        close(fd);
        fd = next;
        d = step_down(w, d, name, fd);
    }
    return d && same_key(&d->key, key) ? d : NULL;
}

static struct wdir *find_directory(struct watch *w, const struct dir_key *key)
{
    struct wdir *d = dir_by_key(w, key);

    if (d && !d->node && !d->parent) { /* its place was lost */
        dir_free(w, d);
        d = NULL;
    }
    if (d || w->n_subtrees == 0)
        return d;
    struct dir_key *stranger = stranger_slot(w, key);
    if (same_key(stranger, key))
        return NULL;
    d = place_directory(w, key);
    if (!d)
        *stranger = *key;
    return d;
}

/* Is anything mounted at or below @dir, besides what is mounted at @dir itself? proc(5): mountinfo, field 5 */
static bool is_mount_below(const char *line, const char *dir)
{
    size_t n = strlen(dir);

    for (unsigned field = 1; line && field < 5; field++) {
        line = strchr(line, ' ');
        line += line != NULL;
    }
    return line && strncmp(line, dir, n) == 0 && line[n] == '/' && line[n + 1] != ' ';
}

static bool mounts_in_share(struct watch *w)
{
    cleanup_close int fd = fcntl(w->p.mountinfo_fd, F_DUPFD_CLOEXEC, 0);
    FILE *f = fd < 0 || lseek(fd, 0, SEEK_SET) < 0 ? NULL : fdopen(fd, "r");
    char *line = NULL;
    size_t size = 0;
    bool found = !f; /* when in doubt */

    if (f)
        (void)steal_fd(&fd);
    while (f && !found && getline(&line, &size, f) > 0)
        found = is_mount_below(line, w->p.mount_prefix);
    free(line);
    if (f)
        fclose(f);
    return found;
}

/* ---- the back end ------------------------------------------------------------------------------ */

static int fanotify_open(struct watch *w)
{
    char buf[BUFFER], number[12];

    w->strangers = calloc(STRANGERS, sizeof(*w->strangers));
    if (!w->strangers)
        return -ENOMEM;
    tree_proc_path(number, w->p.root_fd);
    w->fs_fd = openat(w->p.proc_fd, number, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (w->fs_fd < 0)
        return -errno;
    w->has_mounts = mounts_in_share(w);
    w->fd = w->p.fanotify_fd;
    while (read(w->fd, buf, sizeof(buf)) > 0)
        ; /* from before anybody listened */
    w->missed_at = watch_now();
    return w->fd;
}

static void fanotify_end(struct watch *w)
{
    if (w->fd >= 0)
        epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    if (w->fs_fd >= 0)
        close(w->fs_fd);
    w->fd = w->fs_fd = -1;
    free(w->strangers);
    w->strangers = NULL;
}

static int fanotify_add(struct watch *w, int fd, struct dir_key *key)
{
    struct statfs root, here;

    if (fstatfs(w->fs_fd, &root) < 0 || fstatfs(fd, &here) < 0)
        return -errno;
    if (memcmp(&root.f_fsid, &here.f_fsid, sizeof(root.f_fsid)) != 0)
        return -EXDEV;
    return key_of_fd(fd, key);
}

static void fanotify_remove(struct watch *w, const struct dir_key *key)
{
    (void)w;
    (void)key;
}

/* What one information record says. */
struct where {
    struct wdir *d;
    const char *name;
    size_t len;
};

static bool read_where(struct watch *w, const struct fanotify_event_info_header *info,
                       struct where *where)
{
    const struct fanotify_event_info_fid *fid = (const void *)info;
    const uint8_t *end = (const uint8_t *)info + info->len;
    union handle u;
    struct dir_key key;

    memcpy(&u.h, fid->handle, sizeof(u.h));
    if (u.h.handle_bytes > MAX_HANDLE_SZ)
        return false;
    memcpy(&u.h, fid->handle, sizeof(u.h) + u.h.handle_bytes);
    if (!key_of(&u.h, &key))
        return false;
    where->d = find_directory(w, &key);
    where->name = (const char *)fid->handle + sizeof(u.h) + u.h.handle_bytes;
    where->len = strnlen(where->name, (size_t)(end - (const uint8_t *)where->name));
    if (where->len == 1 && where->name[0] == '.')
        where->len = 0;
    return where->d;
}

static bool is_there(struct watch *w, const struct where *at)
{
    struct statx stx;
    char name[256];

    if (at->len >= sizeof(name))
        return false;
    memcpy(name, at->name, at->len);
    name[at->len] = '\0';
    cleanup_close int fd = open_key(w, &at->d->key);
    return fd >= 0 && statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) == 0;
}

static void tell(struct watch *w, const struct where *at, struct event ev)
{
    const unsigned both = WATCH_CREATE | WATCH_DELETE;

    ev.name = at->name;
    ev.len = at->len;
    if ((ev.kinds & both) != both) {
        dir_event(w, at->d, &ev);
        return;
    }
    struct event gone = ev;
    gone.kinds = WATCH_DELETE;
    ev.kinds &= ~(unsigned)WATCH_DELETE;
    bool there = is_there(w, at);
    if (there)
        dir_event(w, at->d, &gone);
    dir_event(w, at->d, &ev);
    if (!there)
        dir_event(w, at->d, &gone);
}

/* @at: what follows the event's head */
static void one_event(struct watch *w, const struct fanotify_event_metadata *m, const uint8_t *at,
                      const uint8_t *end)
{
    struct event ev = {
        .kinds = (m->mask & FAN_CREATE ? WATCH_CREATE : 0u) |
                 (m->mask & FAN_DELETE ? WATCH_DELETE : 0u) |
                 (m->mask & FAN_MODIFY ? WATCH_MODIFY : 0u) |
                 (m->mask & FAN_ATTRIB ? WATCH_ATTRIB : 0u),
        .is_dir = m->mask & FAN_ONDIR,
        .ours = m->pid == w->own_pid,
        .cookie = ++w->cookie,
    };

    if (m->mask & FAN_Q_OVERFLOW) {
        dirs_overflow(w);
        fanotify_refresh(w);
        return;
    }
    if ((m->mask & FAN_RENAME) && ev.is_dir)
        fanotify_refresh(w);
    while ((size_t)(end - at) >= sizeof(struct fanotify_event_info_fid)) {
        const struct fanotify_event_info_header *info = (const void *)at;
        struct where where;
        if (info->len < sizeof(struct fanotify_event_info_fid) || info->len > end - at)
            return;
        if (info->info_type == FAN_EVENT_INFO_TYPE_OLD_DFID_NAME)
            ev.kinds = WATCH_FROM;
        else if (info->info_type == FAN_EVENT_INFO_TYPE_NEW_DFID_NAME)
            ev.kinds = WATCH_TO;
        if (ev.kinds && read_where(w, info, &where))
            tell(w, &where, ev);
        else if (!ev.ours)
            w->missed_at = watch_now();
        at += info->len;
    }
}

static size_t fanotify_read(struct watch *w)
{
    _Alignas(struct fanotify_event_metadata) uint8_t buf[BUFFER];
    ssize_t n = read(w->fd, buf, sizeof(buf));
    struct fanotify_event_metadata m; /* in the buffer it is aligned to 4 bytes only */

    for (ssize_t at = 0; n - at >= (ssize_t)sizeof(m); at += m.event_len) {
        memcpy(&m, buf + at, sizeof(m));
        if (m.vers != FANOTIFY_METADATA_VERSION || m.event_len < m.metadata_len ||
            m.metadata_len < sizeof(m) || m.event_len > n - at)
            return 0;
        one_event(w, &m, buf + at + m.metadata_len, buf + at + m.event_len);
    }
    return n > 0 ? (size_t)n : 0;
}

const struct backend backend_fanotify = {
    .name = "fanotify",
    .whole = true,
    .open = fanotify_open,
    .close = fanotify_end,
    .add = fanotify_add,
    .remove = fanotify_remove,
    .read = fanotify_read,
    .refresh = fanotify_refresh,
};
