// SPDX-License-Identifier: BSD-3-Clause
/*
 * tree_rig.c - see tree_rig.h. Works as any user: what needs privileges is the caller's to ask for.
 */
#include "tests/unit/tree_rig.h"

void rig_open(struct rig *r, uint32_t max_fds, enum conf_handles handles)
{
    strcpy(r->dir, "/tmp/viofs-tree-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    r->root_fd = open(r->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    r->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(r->root_fd >= 0 && r->proc_fd >= 0);
    struct tree_params p = {.root_fd = r->root_fd,
                            .proc_fd = r->proc_fd,
                            .can_handles = geteuid() == 0,
                            .handles = handles,
                            .max_fds = max_fds};
    assert_int_equal(tree_new(&r->tree, &p), 0);
    r->root = inode_get(r->tree, TREE_ROOT_ID);
    assert_non_null(r->root);
}

void rig_close(struct rig *r)
{
    char cmd[128];

    inode_put(r->tree, r->root);
    tree_free(r->tree);
    close(r->root_fd);
    close(r->proc_fd);
    snprintf(cmd, sizeof(cmd), "rm -rf '%s'", r->dir);
    assert_int_equal(system(cmd), 0);
}

void host_file(const struct rig *r, const char *name, const char *text)
{
    int fd = openat(r->root_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

void host_dir(const struct rig *r, const char *name)
{
    assert_int_equal(mkdirat(r->root_fd, name, 0755), 0);
}

void host_rename(const struct rig *r, const char *from, const char *to)
{
    assert_int_equal(renameat(r->root_fd, from, r->root_fd, to), 0);
}

void host_unlink(const struct rig *r, const char *name)
{
    assert_int_equal(unlinkat(r->root_fd, name, 0), 0);
}

struct inode *look(struct rig *r, struct inode *parent, const char *name)
{
    struct inode *inode = NULL;
    struct statx stx;

    assert_int_equal(tree_lookup(r->tree, parent, name, &stx, &inode), 0);
    return inode;
}

int look_error(struct rig *r, struct inode *parent, const char *name)
{
    struct inode *inode = NULL;
    struct statx stx;

    return tree_lookup(r->tree, parent, name, &stx, &inode);
}

uint64_t ino_of(const struct rig *r, const char *name)
{
    struct stat st;

    assert_int_equal(fstatat(r->root_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st.st_ino;
}
