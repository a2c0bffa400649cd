// SPDX-License-Identifier: BSD-3-Clause
/*
 * import.c - finding the inodes that a guest brings along (see move.h)
 *
 * Theory of operation
 *
 *   Records come from another host, which is believed no more than a guest is: it can name what is in the share, and
 *   nothing else. A name is one component and followed from a parent that was found before. A file handle could
 *   lead to any file of the file system, so what it opens counts only if the kernel shows it inside the share.
 *   Handles are looked at only where both daemons share the file system.
 *
 *   The parent comes first, so that the table is whole after each record. The import holds a reference on each
 *   inode until it ends; then what neither the guest nor a child nor a handle refers to goes.
 *
 * Locks: a shard's, as lookup.c takes them. syscalls: statx readlinkat close
 */
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "tree/move.h"
#include "tree/tree_int.h"

struct tree_import {
    struct tree *t;
    bool same;        /* both shares are one: numbers can be compared */
    bool same_stamps; /* and birth times */
};

bool inode_lost(const struct inode *inode)
{
    return atomic_load_explicit(&inode->flags, memory_order_relaxed) & INODE_LOST;
}

int tree_import_begin(struct tree *t, const struct tree_share *from, struct tree_import **out)
{
    struct tree_share here;

    if (atomic_load(&t->n_inodes) != 1)
        return -EBUSY;
    struct tree_import *im = calloc(1, sizeof(*im));
    if (!im)
        return -ENOMEM;
    tree_share_of(t, &here);
    bool stamps = here.stamp_kind == STAMP_BTIME && from->stamp_kind == STAMP_BTIME;
    im->t = t;
    im->same = here.f_type == from->f_type && here.ino == from->ino &&
               (!stamps || here.stamp == from->stamp);
    im->same_stamps = im->same && stamps;
    *out = im;
    return 0;
}

/* ---- finding --------------------------------------------------------------------------------- */

/* Is that what the guest knew? 0 or -ESTALE. */
static int compare(const struct tree_import *im, const struct tree_moved *m,
                   const struct identity *id)
{
    if (id->type != m->type)
        return -ESTALE;
    if (!im->same || !m->root_mount)
        return 0;
    if (id->ino != m->ino || (im->same_stamps && id->stamp != m->stamp))
        return -ESTALE;
    return 0;
}

/* @dir is filled, to be put by the caller. Return: 0 with *@id; -errno. */
static int find_by_name(const struct tree_import *im, const struct tree_moved *m,
                        struct inode *parent, struct inode_fd *dir, struct identity *id)
{
    struct statx stx;
    int r = inode_fd_get(im->t, parent, dir);

    if (r == 0)
        r = name_statx(dir->fd, m->name, &stx);
    if (r == 0)
        r = identify(im->t, parent->mount, &stx, -1, dir->fd, m->name, id);
    return r ? r : compare(im, m, id);
}

/* Does the kernel show what @fd is open on inside the share? Also if its name has gone. */
static bool is_inside(const struct tree *t, int fd)
{
    char root[PATH_MAX], path[PATH_MAX], link[12];

    tree_proc_path(link, fd);
    ssize_t n = readlinkat(t->p.proc_fd, link, path, sizeof(path));
    tree_proc_path(link, t->p.root_fd);
    ssize_t top = readlinkat(t->p.proc_fd, link, root, sizeof(root));
    if (n <= 0 || top <= 0 || n == sizeof(path) || top == sizeof(root))
        return false;
    top -= root[top - 1] == '/';
    return n > top && memcmp(path, root, (size_t)top) == 0 && path[top] == '/';
}

/* Return: O_PATH descriptor with *@id; -errno. */
static int find_by_handle(const struct tree_import *im, const struct tree_moved *m,
                          struct fhandle *h, struct identity *id)
{
    struct tree *t = im->t;
    struct mount *mount = inode_mount(t, slot_inode(t, TREE_ROOT_ID));
    struct statx stx;

    if (!im->same || !m->root_mount || !mount->handles || !t->p.can_handles ||
        m->handle_bytes > MAX_HANDLE_SZ)
        return -ENOENT;
    h->bytes = m->handle_bytes;
    h->type = m->handle_type;
    memcpy(h->data, m->handle, m->handle_bytes);
    int mfd = mount_handle_fd(t->mounts, mount, t->p.root_fd, S_IFDIR, t->p.proc_fd);
    cleanup_close int fd = mfd < 0 ? mfd : fhandle_open(mfd, h, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return steal_fd(&fd);
    if (!is_inside(t, fd))
        return -EXDEV;
    if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, TREE_STATX_MASK, &stx) < 0)
        return -errno;
    int r = identify(t, 0, &stx, fd, -1, "", id);
    if (r == 0)
        r = compare(im, m, id);
    return r < 0 ? r : steal_fd(&fd);
}

/* ---- making known ---------------------------------------------------------------------------- */

/* The guest's lookups, and a name if it has one. @hash: it may be found by its identity */
static void make_known(struct tree *t, struct inode *inode, const struct tree_moved *m,
                       struct inode *parent, bool hash)
{
    struct identity id = {inode->ino, inode->stamp, inode->mount, inode->type};
    uint64_t h = identity_hash(&id);
    struct shard *s = hash_shard(t, h);

    pthread_mutex_lock(&s->lock);
    struct inode *other = hash ? table_find(t, s, h, &id) : NULL;
    if (hash && !other)
        table_hash(t, s, h, inode);
    if (parent)
        (void)inode_set_name(t, inode, parent, m->name); /* it had no parent to be put */
    if (m->nlookup) {
        inode_ref(inode);
        inode->nlookup = m->nlookup;
    }
    pthread_mutex_unlock(&s->lock);
    inode_put(t, other);
}

static struct inode *make(struct tree *t, const struct tree_moved *m, const struct identity *id)
{
    return table_new_at(t, m->id, id, (mode_t)m->type << 12);
}

static int import_lost(struct tree *t, const struct tree_moved *m)
{
    struct identity id = {m->ino, m->stamp, 0, m->type};
    struct inode *inode = make(t, m, &id);

    if (!inode)
        return -EPROTO;
    atomic_fetch_or(&inode->flags, INODE_LOST);
    make_known(t, inode, m, NULL, false);
    return 0;
}

static int import_by_name(struct tree_import *im, const struct tree_moved *m, struct inode *parent)
{
    struct tree *t = im->t;
    struct inode_fd dir = {-1, 0};
    struct identity id;
    int r = find_by_name(im, m, parent, &dir, &id);

    if (r == 0) {
        struct inode *inode = make(t, m, &id);
        int hash = inode ? inode_vouch(t, inode, -1, dir.fd, m->name) : -EPROTO;
        if (hash >= 0)
            make_known(t, inode, m, parent, hash);
        else if (inode)
            inode_put(t, inode);
        r = hash < 0 ? hash : 0;
    }
    inode_fd_put(t, &dir);
    return r;
}

/* What has no name is held open from now on, since the other side may close it. */
static int import_by_handle(struct tree_import *im, const struct tree_moved *m)
{
    struct tree *t = im->t;
    struct fhandle h;
    struct identity id;
    struct inode_fd held;
    cleanup_close int fd = find_by_handle(im, m, &h, &id);

    if (fd < 0)
        return steal_fd(&fd);
    struct inode *inode = make(t, m, &id);
    if (!inode)
        return -EPROTO;
    inode_keep_handle(t, inode, &h);
    if (m->flags & TREE_MOVED_UNLINKED)
        atomic_fetch_or(&inode->flags, INODE_UNLINKED);
    make_known(t, inode, m, NULL, true);
    fdcache_install(t, inode, steal_fd(&fd), FD_KEEP, &held);
    inode_fd_put(t, &held);
    return 0;
}

/* Return: as tree_import(). */
static int find(struct tree_import *im, const struct tree_moved *m, struct inode *parent)
{
    int r = -ENOENT;

    if (m->flags & TREE_MOVED_LOST)
        return import_lost(im->t, m);
    if (parent)
        r = import_by_name(im, m, parent);
    if (r < 0 && r != -EPROTO && m->flags & TREE_MOVED_HANDLE)
        r = import_by_handle(im, m);
    return r;
}

static void complain(struct tree *t, const struct tree_moved *m, struct inode *parent, int err)
{
    char path[512];

    log_error("migration: %s/%s cannot be found in this share: %s; share the same directory here, "
              "or use --migration-on-error=guest-error",
              parent ? tree_path(t, parent, path, sizeof(path)) : "(no directory)", m->name,
              err == -ESTALE ? "something else has that name" : strerror(-err));
}

static bool makes_sense(const struct tree_moved *m)
{
    size_t len = strlen(m->name);
    mode_t type = (mode_t)m->type << 12;
    bool known = type == S_IFREG || type == S_IFDIR || type == S_IFLNK || type == S_IFCHR ||
                 type == S_IFBLK || type == S_IFIFO || type == S_IFSOCK;
    bool named = len > 0 && len <= NAME_MAX && is_component(m->name) && strcmp(m->name, ".") != 0;

    return known && (m->parent ? named : len == 0);
}

int tree_import(struct tree_import *im, const struct tree_moved *m, bool lose)
{
    struct tree *t = im->t;
    struct inode *parent = NULL;

    if (!makes_sense(m))
        return -EPROTO;
    if (m->parent && (!(parent = inode_get(t, m->parent)) || inode_type(parent) != S_IFDIR)) {
        inode_put(t, parent);
        return -EPROTO;
    }
    int r = find(im, m, parent);
    if (r < 0 && r != -EPROTO && lose)
        r = import_lost(t, m);
    else if (r < 0 && r != -EPROTO)
        complain(t, m, parent, r);
    inode_put(t, parent);
    return r;
}

void tree_import_end(struct tree_import *im)
{
    if (!im)
        return;
    struct tree *t = im->t;
    uint32_t n = t->head->n_slots;

    table_link_free(t);
    for (uint32_t slot = TREE_ROOT_ID + 1; slot < n; slot++) {
        struct inode *inode = slot_inode(t, slot);
        if (atomic_load(&inode->refs) > 0)
            inode_put(t, inode);
    }
    free(im);
}
