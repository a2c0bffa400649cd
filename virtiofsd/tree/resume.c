// SPDX-License-Identifier: BSD-3-Clause
/*
 * resume.c - a table that another process left in the middle of something
 *
 * Theory of operation
 *
 *   What is kept of a slot (tree_int.h) is whole, or does not count yet. What ties slots together is found again:
 *
 *   1. resume_begin() takes all references, chains and descriptors away.
 *   2. The owners of handles and locks tell what they hold (tree_hold()).
 *   3. tree_settle() adds what the guest's lookups hold. Whatever gets its first reference refers to its
 *      parent, and so on upwards; what has none at the end was going, or had not come yet, and is free.
 *      Its generation grows, whether or not that had been done. Then chains, free slots and free names are
 *      linked in one more pass, and descriptors of what has no name any more are taken back.
 *
 *   The cost is two passes over 64 bytes an inode. What no end of a process can cause, but one that a guest has taken
 *   over (numbers out of range, parents in a ring, blocks of the wrong length), is mended so that it is never
 *   followed: the inode is stale then.
 *
 *   Where only a descriptor vouches for an identity (STAMP_NONE) it has gone with its process. The number and the
 *   type are believed until the inode is looked up again and gets another (lookup.c).
 *
 * Locks: none; this runs alone.
 * syscalls: close
 */
#include <unistd.h>

#include "host/log.h"
#include "tree/region.h"
#include "tree/tree_int.h"

/* A slot that was never filled matches nothing. */
static void mend(struct tree *t, struct inode *inode, uint32_t slot, uint32_t n_mounts)
{
    uint32_t n = t->head->n_slots;
    struct place p = place_of(inode);

    inode->slot = slot;
    if (inode->mount >= n_mounts) {
        inode->mount = 0;
        inode->stamp = UINT64_MAX;
        inode->ino = 0;
    }
    if (p.parent >= n || p.parent == slot || slot == TREE_ROOT_ID)
        place_set(inode, (struct place){0, 0});
    if (slot == TREE_ROOT_ID)
        atomic_store_explicit(&inode->gen, 0, memory_order_relaxed);
}

static void untie(struct inode *inode)
{
    atomic_store_explicit(&inode->refs, 0, memory_order_relaxed);
    atomic_store_explicit(&inode->fd, 0, memory_order_relaxed);
    inode->next = 0;
    atomic_fetch_and_explicit(&inode->flags, (uint8_t) ~(INODE_COVERED | INODE_LOOKED),
                              memory_order_relaxed);
}

int resume_begin(struct tree *t)
{
    uint32_t n_mounts = mounts_count(t->mounts);

    uint32_t most =
        t->p.max_inodes && t->p.max_inodes < MAX_SLOTS ? t->p.max_inodes + 1 : MAX_SLOTS;

    if (t->head->n_slots > most) {
        log_warn("the guest knew %u inodes before the daemon was replaced and may know %u now",
                 t->head->n_slots - 1, most - 1);
        t->head->n_slots = most;
    }
    region_touch(t->head, t->head->n_slots * sizeof(struct inode));
    for (uint32_t slot = TREE_ROOT_ID; slot < t->head->n_slots; slot++) {
        struct inode *inode = slot_inode(t, slot);
        mend(t, inode, slot, n_mounts);
        untie(inode);
    }
    return 0;
}

/*
 * One reference more, and with the first those that it has itself. Each inode on the way gets the number of
 * the first as a mark (in next, which is not in use yet): who comes back to it goes round in a ring, which ends there.
 */
static void hold(struct tree *t, struct inode *inode)
{
    const uint32_t first = inode->slot;
    struct inode *child = NULL;

    while (atomic_fetch_add_explicit(&inode->refs, 1, memory_order_relaxed) == 0) {
        uint32_t parent = place_of(inode).parent;
        inode->next = first;
        if (!parent)
            return;
        child = inode;
        inode = slot_inode(t, parent);
    }
    if (child && inode->next == first) {
        place_set(child, (struct place){0, 0});
        atomic_fetch_sub_explicit(&inode->refs, 1, memory_order_relaxed);
    }
}

struct inode *tree_hold(struct tree *t, uint32_t slot)
{
    if (slot < TREE_ROOT_ID || slot >= t->head->n_slots)
        return NULL;
    hold(t, slot_inode(t, slot));
    return slot_inode(t, slot);
}

static void count_references(struct tree *t)
{
    hold(t, slot_inode(t, TREE_ROOT_ID));
    for (uint32_t slot = TREE_ROOT_ID + 1; slot < t->head->n_slots; slot++)
        if (slot_inode(t, slot)->nlookup)
            hold(t, slot_inode(t, slot));
}

/* Nothing of it is needed; what it had is free because nobody marks it. */
static void free_slot(struct tree *t, struct inode *inode)
{
    if (inode->flags & INODE_KEPT)
        keep_drop(t->p.keep, KEEP_INODE, inode->slot);
    place_set(inode, (struct place){0, 0});
    inode->handle = 0;
    inode->nlookup = 0;
    inode->flags = 0;
    atomic_fetch_add_explicit(&inode->gen, 1, memory_order_relaxed);
    inode->next = t->free_head;
    t->free_head = inode->slot;
}

/* Is a file handle there, as inode_keep_handle() stores it? */
static bool marks_handle(struct tree *t, uint32_t at)
{
    size_t len;

    if (!arena_mark(t->arena, at))
        return false;
    (void)arena_at(t->arena, at, &len);
    return len >= sizeof(int32_t) && len <= sizeof(int32_t) + MAX_HANDLE_SZ;
}

static void mark_blocks(struct tree *t, struct inode *inode)
{
    struct place p = place_of(inode);

    if (p.name && !arena_mark(t->arena, p.name))
        place_set(inode, (struct place){p.parent, 0});
    if (inode->handle && !marks_handle(t, inode->handle))
        inode->handle = 0;
}

static struct shard *shard_of(struct tree *t, const struct inode *inode, uint64_t *hash)
{
    struct identity id = {inode->ino, inode->stamp, inode->mount, inode->type};

    *hash = identity_hash(&id);
    return hash_shard(t, *hash);
}

/* A descriptor of what has no name comes back; else it can only be reached by a handle, if at all. */
static void take_back(struct tree *t, struct inode *inode)
{
    struct inode_fd f;
    int fd = keep_take(t->p.keep, KEEP_INODE, inode->slot);

    if (fd < 0)
        return;
    fdcache_install(t, inode, fd, FD_KEEP, &f);
    inode_fd_put(t, &f);
}

int tree_settle(struct tree *t)
{
    int r = arena_mark_begin(t->arena);
    uint64_t alive = 0;

    if (r < 0)
        return r;
    count_references(t);
    for (uint32_t i = 0; i < SHARDS; i++)
        shard_clear(&t->shard[i], t->head->n_slots / SHARDS);
    t->free_head = 0;
    /* Downwards, so that the lowest slots are used first. */
    for (uint32_t slot = t->head->n_slots - 1; slot >= TREE_ROOT_ID; slot--) {
        struct inode *inode = slot_inode(t, slot);
        uint64_t hash;
        if (atomic_load_explicit(&inode->refs, memory_order_relaxed) == 0) {
            free_slot(t, inode);
            continue;
        }
        alive++;
        mark_blocks(t, inode);
        if (inode->flags & INODE_HASHED) {
            struct shard *s = shard_of(t, inode, &hash);
            table_hash(t, s, hash, inode);
        }
    }
    arena_mark_end(t->arena);
    atomic_store(&t->n_inodes, alive);
    for (uint32_t slot = TREE_ROOT_ID + 1; slot < t->head->n_slots; slot++)
        if (slot_inode(t, slot)->flags & INODE_KEPT)
            take_back(t, slot_inode(t, slot));
    return 0;
}
