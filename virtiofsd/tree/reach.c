// SPDX-License-Identifier: BSD-3-Clause
/*
 * reach.c - from an inode to its file
 *
 * Theory of operation
 *
 *   An inode is reached, in this order, by
 *   1. its cached descriptor;
 *   2. its last known name in its parent (whose descriptor is found the same way, top down and without
 *      recursion, since a guest decides how deep a tree is);
 *   3. its file handle.
 *   What 2 and 3 find is compared with the inode's identity before anything is done with it.
 *
 *   Names are single components, opened with O_NOFOLLOW, so that no step can leave the parent. Files are opened for I/O only through a descriptor that has been identified, by way of
 *   /proc/self/fd: between check and open nothing can be exchanged, so a device node or FIFO is never opened.
 *
 * syscalls: openat statx close
 */
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "tree/tree_int.h"

#define MAX_DEPTH 65536u /* levels of directories that are opened on the way to one inode */

void tree_proc_path(char *buf, int fd)
{
    char digits[12];
    int n = 0;

    do
        digits[n++] = (char)('0' + fd % 10);
    while ((fd /= 10) > 0);
    while (n > 0)
        *buf++ = digits[--n];
    *buf = '\0';
}

int tree_proc_fd(const struct tree *t)
{
    return t->p.proc_fd;
}

/*
 * One component, not followed, cannot leave its directory. Names were checked when they were decoded; this is
 * the second look, at the last place before the kernel, and cheaper than RESOLVE_BENEATH, which statx,
 * mkdirat and the others do not have.
 */
bool is_component(const char *name)
{
    return !strchr(name, '/') && !(name[0] == '.' && name[1] == '.' && name[2] == '\0');
}

int open_child_path(int dirfd, const char *name)
{
    if (!is_component(name))
        return -EINVAL;
    int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int fd_statx(int fd, struct statx *stx)
{
    if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, TREE_STATX_MASK, stx) <
        0)
        return -errno;
    return 0;
}

int name_statx(int dirfd, const char *name, struct statx *stx)
{
    if (!is_component(name))
        return -EINVAL;
    if (statx(dirfd, name, AT_NO_AUTOMOUNT | AT_SYMLINK_NOFOLLOW, TREE_STATX_MASK, stx) < 0)
        return -errno;
    return 0;
}

/* ---- identity ----------------------------------------------------------------------------- */

bool identity_is(const struct identity *id, const struct inode *inode)
{
    /* Apart from type: one load of both would reach over into flags, which others write. */
    uint16_t mount = __atomic_load_n(&inode->mount, __ATOMIC_RELAXED);

    return inode->ino == id->ino && inode->stamp == id->stamp && mount == id->mount &&
           inode->type == id->type;
}

static int stamp_from_handle(int fd, int dirfd, const char *name, uint64_t *stamp)
{
    struct fhandle h;
    int r = fd >= 0 ? fhandle_get(fd, "", &h) : fhandle_get(dirfd, name, &h);

    *stamp = r == 0 ? fhandle_hash(&h) : 0;
    return r;
}

int identify(struct tree *t, uint16_t hint, const struct statx *stx, int fd, int dirfd,
             const char *name, struct identity *id)
{
    int m = fd >= 0 ? mount_find(t->mounts, hint, stx, fd, "")
                    : mount_find(t->mounts, hint, stx, dirfd, name);

    if (m < 0)
        return m;
    id->mount = (uint16_t)m;
    id->ino = stx->stx_ino;
    id->type = (uint8_t)((stx->stx_mode & S_IFMT) >> 12);
    switch (mount_at(t->mounts, id->mount)->stamp) {
    case STAMP_BTIME:
        id->stamp = 0;
        if (!(stx->stx_mask & STATX_BTIME)) { /* an ext4 inode from before it had them */
            if (mount_at(t->mounts, id->mount)->handles)
                return stamp_from_handle(fd, dirfd, name, &id->stamp);
            return 0;
        }
        id->stamp = (uint64_t)stx->stx_btime.tv_sec * 1000000000u + stx->stx_btime.tv_nsec;
        return 0;
    case STAMP_HANDLE:
        return stamp_from_handle(fd, dirfd, name, &id->stamp);
    case STAMP_NONE:
        id->stamp = 0;
        return 0;
    }
    return -EINVAL;
}

/* Is @fd (or @name in @dirfd) still @inode? 0 or -ESTALE. */
static int verify(struct tree *t, const struct inode *inode, const struct statx *stx, int fd,
                  int dirfd, const char *name)
{
    struct identity id;

    int r = identify(t, inode->mount, stx, fd, dirfd, name, &id);
    if (r < 0)
        return r == -ENOENT ? -ESTALE : r;
    return identity_is(&id, inode) ? 0 : -ESTALE;
}

int verify_fd(struct tree *t, const struct inode *inode, int fd)
{
    struct statx stx;
    int r = fd_statx(fd, &stx);

    return r < 0 ? r : verify(t, inode, &stx, fd, -1, "");
}

int inode_is_at(struct tree *t, struct inode *inode, struct inode *parent, const char *name)
{
    struct inode_fd dir;
    struct statx stx;
    int r = inode_fd_get(t, parent, &dir);

    if (r < 0)
        return r;
    r = name_statx(dir.fd, name, &stx);
    if (r == 0)
        r = verify(t, inode, &stx, -1, dir.fd, name);
    inode_fd_put(t, &dir);
    return r;
}

/* ---- by name ------------------------------------------------------------------------------ */

struct inode *inode_place(struct tree *t, struct inode *inode, char name[static NAME_MAX + 1])
{
    struct shard *s = inode_shard(t, inode);
    struct inode *parent = NULL;

    pthread_mutex_lock(&s->lock);
    uint32_t slot = place_of(inode).parent;
    if (slot && inode_name(t, inode, name))
        parent = inode_ref(slot_inode(t, slot));
    pthread_mutex_unlock(&s->lock);
    return parent;
}

static int open_by_handle(struct tree *t, struct inode *inode, int flags)
{
    struct fhandle h;

    if (!inode_handle(t, inode, &h))
        return -ENODATA;
    int mfd = mount_handle_fd(t->mounts, inode_mount(t, inode), -1, 0, -1);
    return mfd < 0 ? mfd : fhandle_open(mfd, &h, flags);
}

static int open_path_by_handle(struct tree *t, struct inode *inode)
{
    return t->p.can_handles ? open_by_handle(t, inode, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -ESTALE;
}

/* Open @inode, whose parent's descriptor is @dirfd (-1: only its handle can help). O_PATH or -errno. */
static int open_identified(struct tree *t, struct inode *inode, int dirfd, const char *name)
{
    for (int way = dirfd >= 0 ? 0 : 1; way < 2; way++) {
        cleanup_close int fd =
            way == 0 ? open_child_path(dirfd, name) : open_path_by_handle(t, inode);
        if (fd < 0) {
            if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
                return steal_fd(&fd);
            continue;
        }
        if (verify_fd(t, inode, fd) == 0)
            return steal_fd(&fd);
    }
    return -ESTALE;
}

/* The chain of ancestors without a descriptor, nearest first; each is referenced. */
struct climb {
    struct inode **at;
    uint32_t n, room;
};

static int climb_push(struct climb *c, struct inode *inode)
{
    if (c->n == c->room) {
        uint32_t room = c->room ? c->room * 2 : 16;
        struct inode **at =
            c->n == MAX_DEPTH ? NULL : realloc(c->at, room * sizeof(struct inode *));
        if (!at)
            return c->n == MAX_DEPTH ? -ENAMETOOLONG : -ENOMEM;
        c->at = at;
        c->room = room;
    }
    c->at[c->n++] = inode;
    return 0;
}

/*
 * Go up from @inode until something can be reached, then open downwards. Each step pins its parent only
 * while the child is opened.
 */
static int climb_open(struct tree *t, struct inode *inode, enum fd_install how,
                      struct inode_fd *out)
{
    struct climb c = {0};
    char name[NAME_MAX + 1];
    struct inode_fd dir = {-1, 0};
    int r = climb_push(&c, inode);

    if (r == 0)
        inode_ref(inode);
    while (r == 0) {
        struct inode *parent = inode_place(t, c.at[c.n - 1], name);
        if (!parent)
            break; /* no name: only its handle can help */
        if (fdcache_pin(t, parent, &dir)) {
            inode_put(t, parent);
            break;
        }
        r = climb_push(&c, parent);
        if (r < 0)
            inode_put(t, parent);
    }
    while (r == 0 && c.n > 0) {
        struct inode *step = c.at[c.n - 1];
        struct inode_fd f;
        if (dir.fd >= 0) {
            struct inode *parent = inode_place(t, step, name);
            if (parent)
                inode_put(t, parent);
        }
        int fd = open_identified(t, step, dir.fd, name);
        if (fd < 0 && c.n > 1) {
            /* An ancestor is lost; the inode's own handle may still lead to it. */
            inode_fd_put(t, &dir);
            step = c.at[0];
            fd = open_identified(t, step, -1, "");
            while (fd >= 0 && c.n > 1)
                inode_put(t, c.at[--c.n]);
        }
        if (fd < 0) {
            r = fd;
            break;
        }
        fdcache_install(t, step, fd, c.n == 1 ? how : FD_NORMAL, &f);
        inode_fd_put(t, &dir);
        dir = f;
        inode_put(t, step);
        c.n--;
    }
    while (c.n > 0)
        inode_put(t, c.at[--c.n]);
    free(c.at);
    if (r < 0)
        inode_fd_put(t, &dir);
    else
        *out = dir;
    return r;
}

int inode_fd_get(struct tree *t, struct inode *inode, struct inode_fd *out)
{
    if (fdcache_pin(t, inode, out))
        return 0;
    return climb_open(t, inode, FD_NORMAL, out);
}

/* ---- attributes --------------------------------------------------------------------------- */

/* One statx by name, nothing opened. -EAGAIN: it is not there, try harder. */
static int stat_by_name(struct tree *t, struct inode *inode, struct statx *stx)
{
    char name[NAME_MAX + 1];
    struct inode_fd dir;
    struct inode *parent = inode_place(t, inode, name);

    if (!parent)
        return -EAGAIN;
    int r = inode_fd_get(t, parent, &dir);
    inode_put(t, parent);
    if (r < 0)
        return -EAGAIN;
    r = name_statx(dir.fd, name, stx);
    if (r == 0)
        r = verify(t, inode, stx, -1, dir.fd, name);
    inode_fd_put(t, &dir);
    return r == -EACCES ? r : r < 0 ? -EAGAIN : 0;
}

int inode_stat(struct tree *t, struct inode *inode, struct statx *stx)
{
    struct inode_fd f;
    bool warm = atomic_load_explicit(&inode->flags, memory_order_relaxed) & INODE_WARM;

    if (!fdcache_pin(t, inode, &f)) {
        /*
         * Once by name is cheaper than opening; an inode that is asked for again gets a descriptor, but not
         * at the cost of another's.
         */
        if (!warm || !fdcache_has_room(&t->fds)) {
            int r = stat_by_name(t, inode, stx);
            if (r == 0)
                atomic_fetch_or_explicit(&inode->flags, INODE_WARM, memory_order_relaxed);
            if (r != -EAGAIN)
                return r;
        }
        int r = climb_open(t, inode, FD_NORMAL, &f);
        if (r < 0)
            return r;
    }
    int r = fd_statx(f.fd, stx);
    inode_fd_put(t, &f);
    return r;
}

/* ---- open for I/O ------------------------------------------------------------------------- */

static int open_by_proc(struct tree *t, struct inode *inode, int flags, struct inode_fd *hold)
{
    struct inode_fd f;
    char path[12];
    int r = inode_fd_get(t, inode, &f);

    if (r < 0)
        return r;
    if (inode_type(inode) == S_IFDIR) {
        r = openat(f.fd, ".", flags | O_DIRECTORY);
    } else {
        tree_proc_path(path, f.fd);
        r = openat(t->p.proc_fd, path, flags);
    }
    if (r < 0)
        r = -errno;
    else if (atomic_load_explicit(&inode->flags, memory_order_relaxed) & INODE_WARM)
        save_handle(t, inode, f.fd); /* opened before: it may well be opened again */
    atomic_fetch_or_explicit(&inode->flags, INODE_WARM, memory_order_relaxed);
    /* A full cache must not make every open file cost two descriptors. */
    if (hold && r >= 0 && f.slot)
        *hold = f;
    else
        inode_fd_put(t, &f);
    return r;
}

int inode_open(struct tree *t, struct inode *inode, int flags, struct inode_fd *hold)
{
    mode_t type = inode_type(inode);
    int fd = -ENODATA;

    if (type == S_IFLNK)
        return -ELOOP;
    if (type != S_IFREG && type != S_IFDIR)
        return -ENXIO;
    if (type == S_IFREG && inode_on_controls(t, inode))
        return -EACCES;
    flags |= O_CLOEXEC | O_NOCTTY;
    /*
     * By file handle: one call, and as sure as identity can be, since a handle carries a generation and a file's
     * type never changes. Reopening through /proc costs about twice a plain open.
     */
    if (type == S_IFREG && t->p.can_handles)
        fd = open_by_handle(t, inode, flags);
    if (fd == -ENODATA || fd == -ESTALE || fd == -EBADF)
        return open_by_proc(t, inode, flags, hold);
    if (hold && fd >= 0)
        inode_lend_fd(t, inode, fd, hold);
    return fd;
}
