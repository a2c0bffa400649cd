// SPDX-License-Identifier: BSD-3-Clause
/*
 * lookup.c - from a name to an inode
 *
 * Theory of operation
 *
 *   A lookup is one statx by name. If an inode of that identity is known, that is all: no open, no close.
 *   A new one costs an allocation besides. Its last known name is refreshed on the way, so that hard links
 *   and host-side renames that a guest has looked up again are followed.
 *
 *   On file systems whose numbers prove nothing (STAMP_NONE) a new inode is opened and kept open; when the
 *   cache can keep no more, the inode is known by its id alone and never matched again.
 *
 * syscalls: close
 */
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "tree/tree_int.h"

/* One more lookup by the guest; shard lock held, caller has its own reference. The first makes it count. */
static void count_lookup(struct inode *inode)
{
    if (inode->nlookup == 0)
        inode_ref(inode);
    /* So many only a migration claims; the inode is known until the session ends then. */
    if (inode->nlookup < UINT64_MAX)
        __atomic_store_n(&inode->nlookup, inode->nlookup + 1, __ATOMIC_RELEASE);
}

/* On the way up from @from: who has @top for a parent? A reference, or NULL when @top is not above @from. */
static struct inode *child_below(struct tree *t, struct inode *from, const struct inode *top)
{
    struct inode *at = inode_ref(from);

    for (;;) {
        struct inode *up = inode_parent(t, at);
        bool end = up == at, found = !end && up == top;
        if (!end && !found) {
            inode_put(t, at);
            at = up;
            continue;
        }
        inode_put(t, up);
        if (found)
            return at;
        inode_put(t, at);
        return NULL;
    }
}

/*
 * A known directory is met below another parent. Our records of that parent may be older, and place it below
 * this very directory (the host has turned them around): a ring of parents would hold its inodes for ever.
 * One record is wrong then, and goes.
 */
static void move_directory(struct tree *t, struct inode *dir, struct inode *parent,
                           const char *name)
{
    if (dir == parent || inode_slot(dir) == TREE_ROOT_ID)
        return; /* a file system that repeats its numbers */
    pthread_mutex_lock(&t->move_lock);
    struct inode *wrong = child_below(t, parent, dir);
    if (wrong) {
        inode_put(t, inode_unname(t, wrong));
        inode_put(t, wrong);
    }
    struct shard *s = inode_shard(t, dir);
    pthread_mutex_lock(&s->lock);
    struct inode *old_parent = inode_set_name(t, dir, parent, name);
    pthread_mutex_unlock(&s->lock);
    pthread_mutex_unlock(&t->move_lock);
    inode_put(t, old_parent);
}

/* Where the inode has been met. Shard lock held, and given up. @known: not made just now */
static void place_and_unlock(struct tree *t, struct shard *s, struct inode *inode, bool known,
                             struct inode *parent, const char *name)
{
    struct inode *old_parent = NULL;
    bool moves =
        known && inode_type(inode) == S_IFDIR && place_of(inode).parent != inode_slot(parent);

    if (!moves)
        old_parent = inode_set_name(t, inode, parent, name);
    pthread_mutex_unlock(&s->lock);
    inode_put(t, old_parent);
    if (moves)
        move_directory(t, inode, parent, name);
}

/* A descriptor must vouch for the identity. Return: true if one does now. */
static bool keep_identity(struct tree *t, struct inode *inode, int fd, int dirfd, const char *name)
{
    char path[12];
    struct inode_fd f;
    int own;

    if (fd >= 0) {
        tree_proc_path(path, fd);
        own = openat(t->p.proc_fd, path, O_PATH | O_CLOEXEC);
    } else {
        own = open_child_path(dirfd, name);
    }
    if (own < 0)
        return false;
    /* By name again: what was opened must be what was seen. */
    if (verify_fd(t, inode, own) < 0) {
        close(own);
        return false;
    }
    fdcache_install(t, inode, own, FD_KEEP, &f);
    bool kept = f.slot && t->fds.entry[f.slot].keep;
    inode_fd_put(t, &f);
    return kept;
}

/* Find the inode, or hash @fresh in its place. Shard lock held. Return: the one that it is now. */
static struct inode *find_or_hash(struct tree *t, struct shard *s, uint64_t hash,
                                  const struct identity *id, struct inode *fresh)
{
    struct inode *known = table_find(t, s, hash, id);

    if (!known && fresh)
        table_hash(t, s, hash, fresh);
    return known ? known : fresh;
}

/*
 * The handle of a new inode. Files are opened by it without another look, so it must not come from a name
 * that somebody may have given to a device node since statx saw it.
 */
static int keep_handle(struct tree *t, struct inode *inode, int fd, int dirfd, const char *name)
{
    cleanup_close int own = -1;

    if (fd < 0) {
        own = open_child_path(dirfd, name);
        int r = own < 0 ? own : verify_fd(t, inode, own);
        if (r < 0)
            return r;
        fd = own;
    }
    struct fhandle h;
    int r = fhandle_get(fd, "", &h);
    if (r == 0)
        inode_keep_handle(t, inode, &h);
    struct mount *m = inode_mount(t, inode);
    if (r == 0 && m->handles) /* an object that cannot give the descriptor leaves it to another */
        (void)mount_handle_fd(t->mounts, m, fd, inode_type(inode), t->p.proc_fd);
    return r;
}

int inode_vouch(struct tree *t, struct inode *fresh, int fd, int dirfd, const char *name)
{
    int r = t->p.handles == HANDLES_MANDATORY ? keep_handle(t, fresh, fd, dirfd, name) : 0;

    if (r < 0)
        return r;
    return inode_mount(t, fresh)->stamp != STAMP_NONE || keep_identity(t, fresh, fd, dirfd, name);
}

/* A new inode that needs more than a statx before it may be known: system calls, so no lock is held. */
static int make_vouched(struct tree *t, struct inode *parent, const char *name, int fd, int dirfd,
                        const struct statx *stx, const struct identity *id, struct inode **out)
{
    struct inode *fresh = table_new(t, id, stx->stx_mode);
    uint64_t hash = identity_hash(id);

    if (!fresh)
        return -ENOMEM;
    int hashed = inode_vouch(t, fresh, fd, dirfd, name);
    if (hashed < 0) {
        inode_put(t, fresh);
        return hashed;
    }
    struct shard *s = inode_shard(t, fresh);
    pthread_mutex_lock(&s->lock);
    struct inode *inode = hashed ? find_or_hash(t, s, hash, id, fresh) : fresh;
    count_lookup(inode);
    place_and_unlock(t, s, inode, inode != fresh, parent, name);
    if (inode != fresh)
        inode_put(t, fresh);
    *out = inode;
    return 0;
}

/* One that another worker knew, whose descriptor has gone with it. */
static bool is_unvouched(struct tree *t, const struct inode *inode)
{
    return inode_mount(t, inode)->stamp == STAMP_NONE &&
           (atomic_load_explicit(&inode->flags, memory_order_relaxed) & INODE_HASHED) &&
           atomic_load_explicit(&inode->fd, memory_order_relaxed) == 0;
}

struct tree_met tree_met(const struct inode *inode, const struct inode *parent)
{
    return (struct tree_met){inode_id(inode), inode_on_other_mount(inode, parent)};
}

/*
 * Count a lookup of what @stx shows, made known if it was not. @out gets a reference; without it @met is all
 * that the caller learns, and a new inode's only reference is the one that its nlookup is worth.
 */
static int adopt(struct tree *t, struct inode *parent, const char *name, int fd, int dirfd,
                 const struct statx *stx, struct inode **out, struct tree_met *met)
{
    struct identity id;
    int r = identify(t, parent->mount, stx, fd, dirfd, name, &id);

    if (r < 0)
        return r;
    bool vouched =
        t->p.handles == HANDLES_MANDATORY || mount_at(t->mounts, id.mount)->stamp == STAMP_NONE;
    uint64_t hash = identity_hash(&id);
    struct shard *s = hash_shard(t, hash);
    pthread_mutex_lock(&s->lock);
    struct inode *inode = table_find(t, s, hash, &id);
    bool known = inode;
    if (!inode && !vouched) {
        inode = table_new(t, &id, stx->stx_mode);
        if (inode)
            table_hash(t, s, hash, inode);
    }
    if (!inode) {
        pthread_mutex_unlock(&s->lock);
        r = vouched ? make_vouched(t, parent, name, fd, dirfd, stx, &id, &inode) : -ENOMEM;
        if (r < 0)
            return r;
        known = true;
        *met = tree_met(inode, parent);
    } else {
        *met = tree_met(inode, parent);
        if (known || out)
            count_lookup(inode);
        else
            __atomic_store_n(&inode->nlookup, 1, __ATOMIC_RELEASE); /* takes over the reference */
        place_and_unlock(t, s, inode, known, parent, name);
    }
    if (vouched && known && is_unvouched(t, inode))
        (void)keep_identity(t, inode, fd, dirfd, name);
    if (out)
        *out = inode;
    else if (known)
        inode_put(t, inode);
    return 0;
}

int tree_adopt(struct tree *t, struct inode *parent, const char *name, int fd,
               const struct statx *stx, struct inode **out)
{
    struct inode_fd dir = {-1, 0};
    struct tree_met met;
    int r = 0;

    if (fd < 0)
        r = inode_fd_get(t, parent, &dir);
    if (r == 0)
        r = adopt(t, parent, name, fd, dir.fd, stx, out, &met);
    inode_fd_put(t, &dir);
    return r;
}

int tree_meet_at(struct tree *t, struct inode *parent, int dirfd, const char *name,
                 const struct statx *stx, struct tree_met *met)
{
    return adopt(t, parent, name, -1, dirfd, stx, NULL, met);
}

/* "." and "..": known inodes, looked up once more. */
static int lookup_dot(struct tree *t, struct inode *inode, struct statx *stx, struct inode **out)
{
    int r = inode_stat(t, inode, stx);

    if (r < 0) {
        inode_put(t, inode);
        return r;
    }
    if (inode_slot(inode) != TREE_ROOT_ID) {
        struct shard *s = inode_shard(t, inode);
        pthread_mutex_lock(&s->lock);
        count_lookup(inode);
        pthread_mutex_unlock(&s->lock);
    }
    *out = inode;
    return 0;
}

int tree_lookup(struct tree *t, struct inode *parent, const char *name, struct statx *stx,
                struct inode **out)
{
    struct inode_fd dir;
    struct tree_met met;

    if (name[0] == '.' && name[1] == '\0')
        return lookup_dot(t, inode_ref(parent), stx, out);
    if (name[0] == '.' && name[1] == '.' && name[2] == '\0')
        return lookup_dot(t, inode_parent(t, parent), stx, out);
    if (inode_type(parent) != S_IFDIR)
        return -ENOTDIR;
    int r = inode_fd_get(t, parent, &dir);
    if (r < 0)
        return r;
    r = name_statx(dir.fd, name, stx);
    if (r == 0)
        r = adopt(t, parent, name, -1, dir.fd, stx, out, &met);
    inode_fd_put(t, &dir);
    return r;
}

/* The inode that a descriptor shows, if it is known; a reference. @stx: number 0 when it cannot be asked. */
static struct inode *known_by_fd(struct tree *t, struct inode *parent, int fd, struct statx *stx)
{
    struct identity id;

    stx->stx_ino = stx->stx_mask = 0;
    if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, TREE_STATX_MASK, stx) < 0 ||
        identify(t, parent->mount, stx, fd, -1, "", &id) < 0)
        return NULL;
    uint64_t hash = identity_hash(&id);
    struct shard *s = hash_shard(t, hash);
    pthread_mutex_lock(&s->lock);
    struct inode *inode = table_find(t, s, hash, &id);
    pthread_mutex_unlock(&s->lock);
    return inode;
}

/* Over the end of this process, too. @spare: another descriptor of it, taken if need be; or -1 */
static void keep_victim(struct tree *t, struct inode *inode, const struct inode_fd *held,
                        int *spare)
{
    int r = -ENFILE;

    /* What is lent is to be closed with its handle. */
    if (*spare >= 0 && held->slot && t->fds.entry[held->slot].lent)
        r = inode_give(t, inode, steal_fd(spare));
    if (r < 0)
        r = inode_keep(t, inode, held->fd);
    inode_say_kept(r);
}

struct inode *tree_victim(struct tree *t, struct inode *parent, const char *name,
                          struct tree_mark *mark)
{
    struct inode_fd dir, held;
    struct statx stx;

    if (inode_fd_get(t, parent, &dir) < 0)
        return NULL;
    cleanup_close int fd = open_child_path(dir.fd, name);
    inode_fd_put(t, &dir);
    if (fd < 0)
        return NULL;
    struct inode *inode = known_by_fd(t, parent, fd, &stx);
    if (mark)
        *mark = tree_mark(&stx);
    if (!inode)
        return NULL;
    if (!S_ISDIR(stx.stx_mode) && stx.stx_nlink > 1) {
        /* It lives on under another name, but this may be the only one that we remember. */
        save_handle(t, inode, fd);
        fdcache_install(t, inode, steal_fd(&fd), FD_NORMAL, &held);
        inode_fd_put(t, &held);
        inode_put(t, inode);
        return NULL;
    }
    /* The mark first: a handle that takes its lent descriptor away meanwhile sees it (inode_return_fd()). */
    atomic_fetch_or(&inode->flags, INODE_UNLINKED);
    if (fdcache_pin(t, inode, &held))
        fdcache_keep(t, inode, true);
    else
        fdcache_install(t, inode, steal_fd(&fd), FD_KEEP, &held);
    keep_victim(t, inode, &held, &fd);
    inode_fd_put(t, &held);
    return inode;
}

void tree_victim_done(struct tree *t, struct inode *inode, bool gone)
{
    if (!inode)
        return;
    if (!gone) {
        atomic_fetch_and_explicit(&inode->flags, (uint8_t)~INODE_UNLINKED, memory_order_relaxed);
        if (inode_mount(t, inode)->stamp != STAMP_NONE)
            fdcache_keep(t, inode, false);
        inode_unkeep(t, inode);
    }
    inode_put(t, inode);
}

void tree_renamed(struct tree *t, struct inode *parent, const char *name)
{
    struct inode_fd dir;
    struct statx stx;
    struct identity id;

    if (inode_fd_get(t, parent, &dir) < 0)
        return;
    int r = name_statx(dir.fd, name, &stx);
    if (r == 0)
        r = identify(t, parent->mount, &stx, -1, dir.fd, name, &id);
    inode_fd_put(t, &dir);
    if (r < 0)
        return;
    uint64_t hash = identity_hash(&id);
    struct shard *s = hash_shard(t, hash);
    pthread_mutex_lock(&s->lock);
    struct inode *inode = table_find(t, s, hash, &id);
    if (inode) {
        inode->name_hash = 0; /* this one is another name, whatever its hash */
        place_and_unlock(t, s, inode, true, parent, name);
    } else {
        pthread_mutex_unlock(&s->lock);
    }
    inode_put(t, inode);
}
