// SPDX-License-Identifier: BSD-3-Clause
/*
 * move.h - the inodes that a guest knows, on their way to another daemon
 *
 * Theory of operation
 *
 *   A guest that is moved keeps its node ids, so the other daemon must have the same inodes under the same ids. It
 *   finds each of them as a guest would, by its name in its parent, or by its file handle, and compares: the type
 *   always, number and birth time too where both daemons share one file system.
 *
 *   tree_export() tells of every inode, parents before children, and looks whether it still is where it was last
 *   seen. One that the host has moved is followed if a descriptor or handle leads to it. What has no name any more
 *   can only be found by a handle; otherwise it is *lost*: its id exists over there and answers ESTALE, and an
 *   open file of it cannot be moved.
 *
 * Locks: no request may be running on either side.
 */
#ifndef VIOFS_TREE_MOVE_H
#define VIOFS_TREE_MOVE_H

#include "tree/tree.h"

#define TREE_MOVED_LOST 1u /* cannot be found by another daemon */
#define TREE_MOVED_UNLINKED                                                                        \
    2u /* has no name any more; its handle leads to it as long as it is open */
#define TREE_MOVED_HANDLE 4u /* handle_* are set */

/* One inode. Strings and bytes belong to whoever made the record. */
struct tree_moved {
    uint64_t id, parent; /* parent 0: none */
    uint64_t nlookup;
    uint64_t ino, stamp; /* identity, where it came from */
    bool root_mount;     /* on the file system of the share's root */
    uint8_t type;        /* S_IFMT >> 12 */
    uint8_t flags;       /* TREE_MOVED_* */
    const char *name;    /* in its parent; "" for none */
    int32_t handle_type;
    uint16_t handle_bytes;
    const uint8_t *handle;
};

/* The share as a whole: is it the same one on the other side? */
struct tree_share {
    uint64_t f_type, ino, stamp; /* of the root; f_type as statfs tells it */
    uint8_t stamp_kind;
};

void tree_share_of(struct tree *tree, struct tree_share *share);

/**
 * tree_export() - tell of every inode but the root
 * @handles: with file handles where there are any
 * @each:    anything but 0 ends it
 * Return: 0, -errno, or what @each returned.
 */
int tree_export(struct tree *tree, bool handles,
                int (*each)(void *ctx, const struct tree_moved *moved), void *ctx);

/** inode_unsent() - did the last export have to call it lost? */
bool inode_unsent(const struct inode *inode);

/** tree_path() - where the inode was last seen, from the share's root, for a message. @buf: of @size bytes */
const char *tree_path(struct tree *tree, struct inode *inode, char *buf, size_t size);

/* ---- the other side -------------------------------------------------------------------------- */

struct tree_import;

/**
 * tree_import_begin() - the guest knew the share as @from; here nothing of it is known yet
 * Return: 0; -ENOMEM; -EBUSY when something is.
 */
int tree_import_begin(struct tree *tree, const struct tree_share *from, struct tree_import **out);

/**
 * tree_import() - find one inode and give it its id
 * @lose: what cannot be found becomes lost, instead of ending it all
 *
 * Return: 0; -EPROTO for a record that makes no sense (a bad id, one that is taken, an unknown parent);
 * -ENOENT, -ESTALE (something else is there) or another -errno when it cannot be found: logged.
 */
int tree_import(struct tree_import *im, const struct tree_moved *moved, bool lose);

/** tree_import_end() - what nothing refers to is forgotten. @im may be NULL. */
void tree_import_end(struct tree_import *im);

/** inode_lost() - it came with a guest and could not be found here */
bool inode_lost(const struct inode *inode);

#endif
