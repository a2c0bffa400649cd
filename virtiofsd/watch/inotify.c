// SPDX-License-Identifier: BSD-3-Clause
/*
 * inotify.c - changes as inotify(7) tells them
 *
 * Theory of operation
 *
 *   Works for everybody, on every file system, in every sandbox: one watch a directory, named by a path. There
 *   is no *at() form of inotify_add_watch(2), and a sandbox has no /proc to be named from the root; so the path is
 *   the number of the descriptor, and the calling thread's working directory is /proc/self/fd.
 *
 *   Positions and marks are for expect.c, which says why.
 *
 * Ownership: the descriptors are struct watch's.   Locks: w->lock, held by all callers.
 * syscalls: inotify_init1 inotify_add_watch inotify_rm_watch ioctl read memfd_create fchmod openat close
 */
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/log.h"
#include "watch/watch_int.h"

#define CHANGES                                                                                    \
    (IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF)
#define BUFFER 16384u

static int add_path(struct watch *w, int fd, uint32_t mask)
{
    char path[12];

    tree_proc_path(path, fd);
    int wd = inotify_add_watch(w->fd, path, mask);
    return wd < 0 ? -errno : wd;
}

static void inotify_close(struct watch *w)
{
    if (w->mark_fd >= 0)
        close(w->mark_fd);
    if (w->fd >= 0)
        close(w->fd);
    w->mark_fd = w->fd = -1;
}

/* Without a mark more is told than needs be, and nothing less. */
static void open_mark(struct watch *w)
{
    w->mark_wd = -1;
    w->mark_fd = memfd_create("viofs-mark", MFD_CLOEXEC);
    if (w->mark_fd >= 0)
        w->mark_wd = add_path(w, w->mark_fd, IN_ATTRIB);
    if (w->mark_wd < 0)
        log_debug("watch: no marks in the stream of events: %s", strerror(errno));
}

static int inotify_open(struct watch *w)
{
    w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (w->fd < 0)
        return -errno;
    w->read_bytes = 0;
    open_mark(w);
    return w->fd;
}

static int inotify_add(struct watch *w, int fd, struct dir_key *key)
{
    int wd = add_path(w, fd, CHANGES | IN_ONLYDIR | IN_EXCL_UNLINK);

    if (wd < 0)
        return wd;
    *key = (struct dir_key){.len = sizeof(wd)};
    memcpy(key->bytes, &wd, sizeof(wd));
    return 0;
}

static int wd_of(const struct dir_key *key)
{
    int wd;

    memcpy(&wd, key->bytes, sizeof(wd));
    return wd;
}

static void inotify_remove(struct watch *w, const struct dir_key *key)
{
    inotify_rm_watch(w->fd, wd_of(key));
}

static uint64_t inotify_position(struct watch *w)
{
    int waiting = 0;

    if (ioctl(w->fd, FIONREAD, &waiting) < 0)
        return UINT64_MAX; /* nothing is ours then */
    return w->read_bytes + (uint64_t)waiting;
}

static void inotify_mark(struct watch *w)
{
    if (w->mark_fd >= 0)
        (void)fchmod(w->mark_fd, 0600);
}

static unsigned kinds_of(uint32_t mask)
{
    static const struct {
        uint32_t in;
        unsigned kind;
    } map[] = {
        {IN_CREATE, WATCH_CREATE},        {IN_DELETE, WATCH_DELETE},
        {IN_MODIFY, WATCH_MODIFY},        {IN_ATTRIB, WATCH_ATTRIB},
        {IN_MOVED_FROM, WATCH_FROM},      {IN_MOVED_TO, WATCH_TO},
        {IN_UNMOUNT, WATCH_UNMOUNTED},    {IN_IGNORED, WATCH_GONE},
        {IN_MOVE_SELF, WATCH_MOVED_SELF},
    };
    unsigned kinds = 0;

    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        if (mask & map[i].in)
            kinds |= map[i].kind;
    return kinds;
}

static void one_event(struct watch *w, const struct inotify_event *in, uint64_t at)
{
    struct dir_key key = {.len = sizeof(in->wd)};
    struct event ev = {
        .kinds = kinds_of(in->mask),
        .is_dir = in->mask & IN_ISDIR,
        .cookie = in->cookie,
        .name = in->name,
        .len = in->len ? strnlen(in->name, in->len) : 0,
    };

    if (in->mask & IN_Q_OVERFLOW) {
        dirs_overflow(w);
        return;
    }
    if (in->wd == w->mark_wd)
        return;
    memcpy(key.bytes, &in->wd, sizeof(in->wd));
    struct wdir *d = dir_by_key(w, &key);
    if (!d)
        return; /* not watched any more */
    ev.ours = expect_ours(w->expects, key_number(&key), ev.name, ev.len,
                          ev.kinds & ~(unsigned)WATCH_MOVED_SELF, at);
    dir_event(w, d, &ev);
}

static size_t inotify_read(struct watch *w)
{
    _Alignas(struct inotify_event) char buf[BUFFER];
    ssize_t n = read(w->fd, buf, sizeof(buf));

    if (n <= 0)
        return 0;
    for (size_t at = 0; at + sizeof(struct inotify_event) <= (size_t)n;) {
        const struct inotify_event *in = (const struct inotify_event *)(const void *)(buf + at);
        one_event(w, in, w->read_bytes + at);
        at += sizeof(*in) + in->len;
    }
    w->read_bytes += (uint64_t)n;
    expect_read(w->expects, w->read_bytes);
    return (size_t)n;
}

const struct backend backend_inotify = {
    .name = "inotify",
    .open = inotify_open,
    .close = inotify_close,
    .add = inotify_add,
    .remove = inotify_remove,
    .read = inotify_read,
    .position = inotify_position,
    .mark = inotify_mark,
};
