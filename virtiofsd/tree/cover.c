// SPDX-License-Identifier: BSD-3-Clause
/*
 * cover.c - the mark of a directory in which changes are watched
 *
 * Theory of operation
 *
 *   watch/ covers directories and knows them by id; requests ask for each lookup whether one is covered. The answer
 *   is a bit of the inode. Ids may be those of inodes that have gone: slots are type-stable, so one may look,
 *   and what is done to the bit of another inode by a race costs that one a shorter validity, never a longer one: the
 *   bit is only set through a reference.
 *
 * Locks: none but the shard's, where parent and name are read.
 */
#include "tree/tree_int.h"

static uint8_t flags_of(const struct inode *inode)
{
    return atomic_load_explicit(&inode->flags, memory_order_acquire);
}

/* The slot of that id, if it is the id's now. */
static struct inode *peek(struct tree *t, uint64_t id)
{
    uint32_t slot = (uint32_t)id;
    struct inode *inode = NULL;

    if (slot_is_used(t, slot))
        inode = slot_inode(t, slot);
    if (inode && (atomic_load_explicit(&inode->refs, memory_order_acquire) == 0 ||
                  atomic_load_explicit(&inode->gen, memory_order_relaxed) != id >> 32))
        inode = NULL;
    return inode;
}

bool inode_covered(struct inode *inode)
{
    uint8_t flags = flags_of(inode);

    if (!(flags & INODE_COVERED))
        return false;
    if (!(flags & INODE_LOOKED))
        atomic_fetch_or_explicit(&inode->flags, INODE_LOOKED, memory_order_relaxed);
    return true;
}

void inode_set_covered(struct inode *inode)
{
    atomic_fetch_or_explicit(&inode->flags, INODE_COVERED | INODE_LOOKED, memory_order_release);
}

bool tree_covered(struct tree *t, uint64_t id)
{
    struct inode *inode = peek(t, id);

    return inode && (flags_of(inode) & INODE_COVERED);
}

void tree_uncover(struct tree *t, uint64_t id)
{
    struct inode *inode = peek(t, id);

    if (inode)
        atomic_fetch_and_explicit(&inode->flags, (uint8_t) ~(INODE_COVERED | INODE_LOOKED),
                                  memory_order_release);
}

bool tree_cover_used(struct tree *t, uint64_t id)
{
    struct inode *inode = peek(t, id);

    return inode &&
           (atomic_fetch_and_explicit(&inode->flags, (uint8_t)~INODE_LOOKED, memory_order_relaxed) &
            INODE_LOOKED);
}

bool tree_parent_covered(struct tree *t, uint64_t id)
{
    struct inode *inode = peek(t, id);
    bool covered = false;

    if (!inode)
        return false;
    struct shard *s = inode_shard(t, inode);
    pthread_mutex_lock(&s->lock);
    uint32_t parent = place_of(inode).parent;
    if (parent)
        covered = flags_of(slot_inode(t, parent)) & INODE_COVERED;
    pthread_mutex_unlock(&s->lock);
    return covered;
}

bool inode_in_covered_place(struct tree *t, struct inode *inode)
{
    char name[NAME_MAX + 1];
    struct inode *parent = inode_place(t, inode, name);

    if (!parent)
        return false;
    bool covered =
        inode_covered(parent) && inode_is_at(t, inode, parent, name) == 0 && inode_covered(parent);
    inode_put(t, parent);
    return covered;
}

void tree_on_uncover(struct tree *t, void (*fn)(void *ctx, uint64_t id), void *ctx)
{
    t->uncover = fn;
    t->uncover_ctx = ctx;
}
