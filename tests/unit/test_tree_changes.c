// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_tree_changes.c - what the tree makes of names and files that change while it looks
 *
 * A race is played by hand: tree_meet_at() gets the attributes of what a name was a moment ago.
 */
#include "tests/unit/tree_rig.h"

static struct statx stat_of(const struct rig *r, const char *name)
{
    struct statx stx;

    assert_int_equal(statx(r->root_fd, name, AT_SYMLINK_NOFOLLOW, TREE_STATX_MASK, &stx), 0);
    return stx;
}

static void test_a_name_exchanged_during_its_lookup_opens_nothing_else(void **state)
{
    struct rig r;
    struct tree_met met;
    (void)state;

    if (geteuid() != 0) {
        print_message("needs root: open_by_handle_at\n");
        skip();
    }
    rig_open(&r, 64, HANDLES_MANDATORY);
    host_file(&r, "before", "x");
    inode_put(r.tree, look(&r, r.root, "before")); /* gives the mount its descriptor */
    host_file(&r, "file", "x");
    assert_int_equal(mkfifoat(r.root_fd, "fifo", 0666), 0);
    struct statx file = stat_of(&r, "file");
    /* It was a file when statx saw it. A handle of the FIFO must not become that file's. */
    assert_int_equal(tree_meet_at(r.tree, r.root, r.root_fd, "fifo", &file, &met), -ESTALE);
    rig_close(&r);
}

static void test_mandatory_handles_open_what_the_host_renamed(void **state)
{
    struct rig r;
    struct statx stx;
    (void)state;

    if (geteuid() != 0) {
        print_message("needs root: open_by_handle_at\n");
        skip();
    }
    rig_open(&r, 64, HANDLES_MANDATORY);
    host_file(&r, "a", "x");
    struct inode *a = look(&r, r.root, "a");
    host_rename(&r, "a", "b");
    assert_int_equal(inode_stat(r.tree, a, &stx), 0);
    inode_put(r.tree, a);
    rig_close(&r);
}

static void test_directories_that_the_host_turned_around_can_be_forgotten(void **state)
{
    struct rig r;
    struct statx stx;
    struct inode_fd in_use;
    (void)state;

    rig_open(&r, 64, HANDLES_NEVER);
    host_dir(&r, "a");
    host_dir(&r, "a/b");
    struct inode *a = look(&r, r.root, "a"), *b = look(&r, a, "b");
    assert_int_equal(inode_fd_get(r.tree, b, &in_use), 0);
    host_rename(&r, "a/b", "b");
    host_rename(&r, "a", "b/a");
    struct inode *again = look(&r, b, "a");
    inode_fd_put(r.tree, &in_use);
    assert_ptr_equal(again, a);
    assert_int_equal(inode_stat(r.tree, a, &stx), 0);
    assert_int_equal(tree_forget(r.tree, inode_id(a), 2), 0);
    assert_int_equal(tree_forget(r.tree, inode_id(b), 1), 0);
    inode_put(r.tree, again);
    inode_put(r.tree, a);
    inode_put(r.tree, b);
    assert_int_equal(tree_inodes(r.tree), 1);
    rig_close(&r);
}

static void test_a_hard_link_outlives_the_name_that_was_looked_up_last(void **state)
{
    struct rig r;
    struct statx stx;
    (void)state;

    rig_open(&r, 64, HANDLES_NEVER);
    host_file(&r, "a", "x");
    assert_int_equal(linkat(r.root_fd, "a", r.root_fd, "b", 0), 0);
    struct inode *a = look(&r, r.root, "a"), *b = look(&r, r.root, "b");
    assert_ptr_equal(a, b);
    struct inode *victim = tree_victim(r.tree, r.root, "b", NULL);
    host_unlink(&r, "b");
    tree_victim_done(r.tree, victim, true);
    assert_int_equal(inode_stat(r.tree, a, &stx), 0);
    assert_int_equal(stx.stx_nlink, 1);
    inode_put(r.tree, a);
    inode_put(r.tree, b);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_exchanged_during_its_lookup_opens_nothing_else),
        cmocka_unit_test(test_mandatory_handles_open_what_the_host_renamed),
        cmocka_unit_test(test_a_hard_link_outlives_the_name_that_was_looked_up_last),
        cmocka_unit_test(test_directories_that_the_host_turned_around_can_be_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
