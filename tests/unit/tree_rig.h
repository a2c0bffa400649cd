// SPDX-License-Identifier: BSD-3-Clause
/*
 * tree_rig.h - a tree on a directory of its own, for the tests of virtiofsd/tree
 */
#ifndef VIOFS_TREE_RIG_H
#define VIOFS_TREE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tree/tree.h"
#include "tree/tree_int.h"

struct rig {
    char dir[64];
    int root_fd, proc_fd;
    struct tree *tree;
    struct inode *root;
};

/** rig_open() - a fresh directory and a tree on it; @handles as --inode-file-handles */
void rig_open(struct rig *r, uint32_t max_fds, enum conf_handles handles);
void rig_close(struct rig *r);

/* Host-side changes, by name relative to the directory. */
void host_file(const struct rig *r, const char *name, const char *text);
void host_dir(const struct rig *r, const char *name);
void host_rename(const struct rig *r, const char *from, const char *to);
void host_unlink(const struct rig *r, const char *name);

/** look() - a lookup that must succeed. Return: a reference. */
struct inode *look(struct rig *r, struct inode *parent, const char *name);
/** look_error() - a lookup that must fail. Return: its error. */
int look_error(struct rig *r, struct inode *parent, const char *name);
/** ino_of() - inode number of a name on the host */
uint64_t ino_of(const struct rig *r, const char *name);

#endif
