// SPDX-License-Identifier: BSD-3-Clause
/*
 * fdcache.c - a bounded number of descriptors for an unbounded number of inodes
 *
 * Theory of operation
 *
 *   An entry belongs to one inode, which holds its slot number in inode->fd. Using it means pinning it:
 *   an atomic count, raised only while FD_EVICTING is not set, and checked afterwards against
 *   inode->fd, since the entry may have changed hands in between. Hits take no lock.
 *
 *   Eviction is second chance (CLOCK): entries used since the hand last passed are spared once. Before
 *   a descriptor closes, the inode is given its file handle where handles can be opened again, so that a
 *   used inode survives host-side renames even without its descriptor.
 *
 *   Kept entries (unlinked inodes that the guest still knows, identities that only a descriptor
 *   guarantees) are never evicted; at most half of the cache may be kept. A lent entry is a handle's own
 *   descriptor and leaves when the handle lets go of it.
 *
 *   Any descriptor here may also be what is kept over the end of this process (keep/keep.h), so keep_close() closes it.
 *
 * Locks: c->lock guards owners, free list and hand, and inode->fd from changing. System calls are made
 * outside it. Order: shard lock (taken only to store a handle) is never held together with it.
 * syscalls: close openat
 */
#include <fcntl.h>
#include <unistd.h>

#include "tree/tree_int.h"

int fdcache_init(struct fd_cache *c, uint32_t size, struct keep *k)
{
    c->entry = calloc((size_t)size + 1, sizeof(*c->entry));
    if (!c->entry)
        return -ENOMEM;
    c->size = size;
    c->keeper = k;
    pthread_mutex_init(&c->lock, NULL);
    for (uint32_t i = size; i >= 1; i--) {
        c->entry[i].next_free = c->free_head;
        c->entry[i].fd = -1;
        c->free_head = i;
    }
    c->hand = 1;
    return 0;
}

void fdcache_free(struct fd_cache *c)
{
    if (!c->entry)
        return;
    for (uint32_t i = 1; i <= c->size; i++)
        if (c->entry[i].fd >= 0)
            close(c->entry[i].fd);
    free(c->entry);
    pthread_mutex_destroy(&c->lock);
}

bool fdcache_has_room(struct fd_cache *c)
{
    pthread_mutex_lock(&c->lock);
    bool room = c->free_head != 0;
    pthread_mutex_unlock(&c->lock);
    return room;
}

/* Give the entry back and close its descriptor; nobody can reach it any more. */
static void entry_release(struct fd_cache *c, uint32_t slot)
{
    struct fd_entry *e = &c->entry[slot];
    int fd = e->fd;

    pthread_mutex_lock(&c->lock);
    e->fd = -1;
    e->owner = 0;
    if (e->keep) {
        e->keep = false;
        c->n_kept--;
    }
    e->lent = false;
    /* And, add: never a store. A late fdcache_pin() may hold a passing pin on any entry. */
    atomic_fetch_and_explicit(&e->pins, ~FD_EVICTING, memory_order_release);
    e->next_free = c->free_head;
    c->free_head = slot;
    c->n_used--;
    pthread_mutex_unlock(&c->lock);
    keep_close(c->keeper, fd);
}

static void entry_unpin(struct fd_cache *c, uint32_t slot)
{
    struct fd_entry *e = &c->entry[slot];

    /* The last pin of an entry that was taken from its inode meanwhile closes it. */
    if (atomic_fetch_sub_explicit(&e->pins, 1, memory_order_acq_rel) == (FD_EVICTING | 1))
        entry_release(c, slot);
}

bool fdcache_pin(struct tree *t, struct inode *inode, struct inode_fd *out)
{
    struct fd_cache *c = &t->fds;

    for (;;) {
        uint32_t slot = atomic_load_explicit(&inode->fd, memory_order_acquire);
        if (slot == 0)
            return false;
        struct fd_entry *e = &c->entry[slot];
        uint32_t pins = atomic_load_explicit(&e->pins, memory_order_relaxed);
        bool pinned = false;
        while (!(pins & FD_EVICTING) && !pinned)
            pinned = atomic_compare_exchange_weak_explicit(
                &e->pins, &pins, pins + 1, memory_order_acquire, memory_order_relaxed);
        if (!pinned)
            continue; /* leaving: inode->fd changes before long */
        if (atomic_load_explicit(&inode->fd, memory_order_acquire) == slot) {
            if (!atomic_load_explicit(&e->used, memory_order_relaxed))
                atomic_store_explicit(&e->used, true, memory_order_relaxed);
            out->fd = e->fd;
            out->slot = slot;
            return true;
        }
        entry_unpin(c, slot);
    }
}

/* Take an entry away from its inode; cache lock held. Return: false if somebody uses it. */
static bool entry_detach_idle(struct tree *t, struct fd_entry *e)
{
    uint32_t none = 0;

    if (!atomic_compare_exchange_strong_explicit(&e->pins, &none, FD_EVICTING, memory_order_acq_rel,
                                                 memory_order_relaxed))
        return false;
    struct inode *owner = slot_inode(t, e->owner);
    atomic_store_explicit(&owner->fd, 0, memory_order_release);
    return true;
}

/* Evict one entry; cache lock held. Return: its slot with FD_EVICTING set, its owner referenced; or 0. */
static uint32_t evict_one(struct tree *t, struct inode **owner)
{
    struct fd_cache *c = &t->fds;

    for (uint32_t step = 0; step < 2 * c->size; step++) {
        uint32_t slot = c->hand;
        struct fd_entry *e = &c->entry[slot];
        c->hand = slot == c->size ? 1 : slot + 1;
        if (e->fd < 0 || e->keep || e->lent || e->owner == 0 ||
            atomic_load_explicit(&e->pins, memory_order_relaxed))
            continue;
        if (atomic_exchange_explicit(&e->used, false, memory_order_relaxed))
            continue;
        struct inode *inode = slot_inode(t, e->owner);
        if (!inode_try_ref(inode))
            continue; /* being destroyed: fdcache_drop() is on its way */
        /* Either way the caller puts the owner: it may be the last reference, and the lock is held. */
        *owner = inode;
        return entry_detach_idle(t, e) ? slot : 0;
    }
    *owner = NULL;
    return 0;
}

/* A free slot, evicting if need be. Return: 0 when there is none. */
static uint32_t slot_take(struct tree *t, enum fd_install how)
{
    struct fd_cache *c = &t->fds;

    for (int attempt = 0; attempt < 8; attempt++) {
        struct inode *owner = NULL;
        pthread_mutex_lock(&c->lock);
        uint32_t slot = c->free_head;
        if (slot) {
            c->free_head = c->entry[slot].next_free;
            c->n_used++;
            pthread_mutex_unlock(&c->lock);
            return slot;
        }
        uint32_t victim = how == FD_IF_ROOM ? 0 : evict_one(t, &owner);
        pthread_mutex_unlock(&c->lock);
        if (!owner)
            return 0;
        if (victim) {
            save_handle(t, owner, c->entry[victim].fd);
            entry_release(c, victim);
        }
        inode_put(t, owner);
    }
    return 0;
}

/* No slot for us: use another thread's descriptor if there is one by now, else ours without the cache. */
static void install_beaten(struct tree *t, struct inode *inode, int fd, enum fd_install how,
                           struct inode_fd *out)
{
    if (!fdcache_pin(t, inode, out)) {
        *out = (struct inode_fd){fd, 0};
        return;
    }
    if (how != FD_LENT)
        keep_close(t->p.keep, fd);
    if (how == FD_KEEP)
        fdcache_keep(t, inode, true);
}

void fdcache_install(struct tree *t, struct inode *inode, int fd, enum fd_install how,
                     struct inode_fd *out)
{
    struct fd_cache *c = &t->fds;
    uint32_t slot = slot_take(t, how);

    if (slot == 0) {
        install_beaten(t, inode, fd, how, out);
        return;
    }
    pthread_mutex_lock(&c->lock);
    struct fd_entry *e = &c->entry[slot];
    if (atomic_load_explicit(&inode->fd, memory_order_relaxed)) {
        /* Another thread was first. */
        e->next_free = c->free_head;
        c->free_head = slot;
        c->n_used--;
        pthread_mutex_unlock(&c->lock);
        install_beaten(t, inode, fd, how, out);
        return;
    }
    e->fd = fd;
    e->owner = inode_slot(inode);
    e->lent = how == FD_LENT;
    e->keep = how == FD_KEEP && c->n_kept < c->size / 2;
    c->n_kept += e->keep;
    atomic_store_explicit(&e->used, true, memory_order_relaxed);
    atomic_fetch_add_explicit(&e->pins, 1, memory_order_relaxed);
    atomic_store_explicit(&inode->fd, slot, memory_order_release);
    pthread_mutex_unlock(&c->lock);
    *out = (struct inode_fd){fd, slot};
}

bool fdcache_keep(struct tree *t, struct inode *inode, bool keep)
{
    struct fd_cache *c = &t->fds;

    pthread_mutex_lock(&c->lock);
    uint32_t slot = atomic_load_explicit(&inode->fd, memory_order_relaxed);
    struct fd_entry *e = &c->entry[slot];
    if (slot && keep && !e->keep && c->n_kept < c->size / 2) {
        e->keep = true;
        c->n_kept++;
    } else if (slot && !keep && e->keep) {
        e->keep = false;
        c->n_kept--;
    }
    pthread_mutex_unlock(&c->lock);
    return slot != 0;
}

/* Take the entry from its inode; whoever pins it last closes it. */
static void entry_orphan(struct tree *t, struct inode *inode, uint32_t only)
{
    struct fd_cache *c = &t->fds;

    pthread_mutex_lock(&c->lock);
    uint32_t slot = atomic_load_explicit(&inode->fd, memory_order_relaxed);
    if (slot == 0 || (only && slot != only)) {
        pthread_mutex_unlock(&c->lock);
        return;
    }
    struct fd_entry *e = &c->entry[slot];
    atomic_store_explicit(&inode->fd, 0, memory_order_release);
    uint32_t pins = atomic_fetch_or_explicit(&e->pins, FD_EVICTING, memory_order_acq_rel);
    pthread_mutex_unlock(&c->lock);
    if (pins == 0)
        entry_release(c, slot);
}

void fdcache_drop(struct tree *t, struct inode *inode)
{
    entry_orphan(t, inode, 0);
}

void inode_fd_put(struct tree *t, struct inode_fd *f)
{
    if (f->slot)
        entry_unpin(&t->fds, f->slot);
    else if (f->fd >= 0)
        keep_close(t->p.keep, f->fd);
    *f = (struct inode_fd){-1, 0};
}

void inode_lend_fd(struct tree *t, struct inode *inode, int fd, struct inode_fd *hold)
{
    if (!fdcache_pin(t, inode, hold)) {
        fdcache_install(t, inode, fd, FD_LENT, hold);
        return;
    }
    /* Another handle's own must close with that handle, so it is not held. */
    if (hold->fd != fd && t->fds.entry[hold->slot].lent)
        inode_fd_put(t, hold);
}

void inode_return_fd(struct tree *t, struct inode *inode, struct inode_fd *hold)
{
    int spare = -1;

    /* Away first, then look: tree_victim() marks first, then keeps what it finds. One of us sees the other. */
    if (hold->slot)
        entry_orphan(t, inode, hold->slot);
    if (atomic_load(&inode->flags) & INODE_UNLINKED) {
        char path[12];
        tree_proc_path(path, hold->fd);
        spare = openat(t->p.proc_fd, path, O_PATH | O_CLOEXEC);
    }
    /* What is kept must not be the handle's own, which others are to see closed now. */
    if (spare >= 0)
        inode_say_kept(inode_keep(t, inode, spare));
    inode_fd_put(t, hold);
    if (spare >= 0) {
        struct inode_fd f;
        fdcache_install(t, inode, spare, FD_KEEP, &f);
        inode_fd_put(t, &f);
    }
}

uint64_t tree_fds(void *tree)
{
    struct fd_cache *c = &((struct tree *)tree)->fds;

    pthread_mutex_lock(&c->lock);
    uint64_t n = c->n_used;
    pthread_mutex_unlock(&c->lock);
    return n;
}
