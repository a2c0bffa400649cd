// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_tree.c - node ids, identity, and inodes without descriptors
 */
#include <dirent.h>
#include <sys/sysmacros.h>

#include "tests/unit/tree_rig.h"

static int open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* ---- ids ---------------------------------------------------------------------------------- */

static void test_lookup_twice_gives_the_same_node(void **state)
{
    struct rig r;
    (void)state;

    rig_open(&r, 64, HANDLES_PREFER);
    host_file(&r, "a", "x");
    struct inode *one = look(&r, r.root, "a"), *two = look(&r, r.root, "a");
    assert_ptr_equal(one, two);
    assert_int_equal(tree_inodes(r.tree), 2);
    inode_put(r.tree, one);
    inode_put(r.tree, two);
    rig_close(&r);
}

static void test_forget_ends_the_id_and_never_reuses_it(void **state)
{
    struct rig r;
    (void)state;

    rig_open(&r, 64, HANDLES_PREFER);
    host_file(&r, "a", "x");
    struct inode *a = look(&r, r.root, "a");
    uint64_t id = inode_id(a);
    inode_put(r.tree, a);
    assert_int_equal(tree_forget(r.tree, id, 1), 0);
    assert_null(inode_get(r.tree, id));
    a = look(&r, r.root, "a");
    assert_int_not_equal(inode_id(a), id);
    assert_null(inode_get(r.tree, id));
    inode_put(r.tree, a);
    rig_close(&r);
}

static void test_forget_of_too_many_is_clamped(void **state)
{
    struct rig r;
    (void)state;

    rig_open(&r, 64, HANDLES_PREFER);
    host_file(&r, "a", "x");
    struct inode *a = look(&r, r.root, "a");
    uint64_t id = inode_id(a);
    assert_int_equal(tree_forget(r.tree, id, UINT64_MAX), 0);
    inode_put(r.tree, a);
    assert_int_equal(tree_forget(r.tree, id, 1), -ESTALE);
    assert_int_equal(tree_inodes(r.tree), 1);
    rig_close(&r);
}

static void test_the_root_cannot_be_forgotten(void **state)
{
    struct rig r;
    (void)state;

    rig_open(&r, 64, HANDLES_PREFER);
    assert_int_equal(tree_forget(r.tree, TREE_ROOT_ID, UINT64_MAX), 0);
    struct inode *root = inode_get(r.tree, TREE_ROOT_ID);
    assert_ptr_equal(root, r.root);
    inode_put(r.tree, root);
    rig_close(&r);
}

static void test_a_parent_outlives_its_forgotten_self_while_a_child_is_known(void **state)
{
    struct rig r;
    struct statx stx;
    (void)state;

    rig_open(&r, 64, HANDLES_PREFER);
    host_dir(&r, "d");
    host_file(&r, "d/f", "x");
    struct inode *d = look(&r, r.root, "d"), *f = look(&r, d, "f");
    uint64_t did = inode_id(d);
    inode_put(r.tree, d);
    assert_int_equal(tree_forget(r.tree, did, 1), 0);
    assert_int_equal(inode_stat(r.tree, f, &stx), 0);
    uint64_t fid = inode_id(f);
    inode_put(r.tree, f);
    assert_int_equal(tree_forget(r.tree, fid, 1), 0);
    assert_int_equal(tree_inodes(r.tree), 1);
    rig_close(&r);
}

static void test_invented_ids_are_refused(void **state)
{
    struct rig r;
    (void)state;

    rig_open(&r, 64, HANDLES_PREFER);
    const uint64_t ids[] = {0, 2, 4096, 4097, 1ull << 32 | 1, UINT32_MAX, UINT64_MAX, 1ull << 63};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        assert_null(inode_get(r.tree, ids[i]));
    rig_close(&r);
}

static void test_dot_is_the_directory_and_dotdot_stops_at_the_root(void **state)
{
    struct rig r;
    (void)state;

    rig_open(&r, 64, HANDLES_PREFER);
    host_dir(&r, "d");
    struct inode *d = look(&r, r.root, "d");
    struct inode *dot = look(&r, d, "."), *up = look(&r, d, ".."), *top = look(&r, r.root, "..");
    assert_ptr_equal(dot, d);
    assert_ptr_equal(up, r.root);
    assert_ptr_equal(top, r.root);
    inode_put(r.tree, dot);
    inode_put(r.tree, up);
    inode_put(r.tree, top);
    inode_put(r.tree, d);
    rig_close(&r);
}

static void test_hard_links_are_one_node(void **state)
{
    struct rig r;
    (void)state;

    rig_open(&r, 64, HANDLES_PREFER);
    host_file(&r, "a", "x");
    assert_int_equal(linkat(r.root_fd, "a", r.root_fd, "b", 0), 0);
    struct inode *a = look(&r, r.root, "a"), *b = look(&r, r.root, "b");
    assert_ptr_equal(a, b);
    inode_put(r.tree, a);
    inode_put(r.tree, b);
    rig_close(&r);
}

/* ---- reaching ----------------------------------------------------------------------------- */

static void test_lookups_keep_no_descriptor(void **state)
{
    struct rig r;
    char name[16];
    (void)state;

    rig_open(&r, 64, HANDLES_PREFER);
    int before = open_fds();
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        host_file(&r, name, "x");
        inode_put(r.tree, look(&r, r.root, name));
    }
    assert_int_equal(tree_inodes(r.tree), 201);
    assert_int_equal(open_fds(), before);
    rig_close(&r);
}

static void test_more_inodes_in_use_than_descriptors(void **state)
{
    struct rig r;
    struct inode *f[200];
    struct inode_fd fd;
    char name[16];
    (void)state;

    rig_open(&r, 16, HANDLES_PREFER);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        host_file(&r, name, "x");
        f[i] = look(&r, r.root, name);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 200; i++) {
            struct stat st;
            snprintf(name, sizeof(name), "f%d", i);
            assert_int_equal(inode_fd_get(r.tree, f[i], &fd), 0);
            assert_int_equal(fstat(fd.fd, &st), 0);
            assert_int_equal(st.st_ino, ino_of(&r, name));
            inode_fd_put(r.tree, &fd);
        }
        assert_true(tree_fds(r.tree) <= 16);
    }
    for (int i = 0; i < 200; i++)
        inode_put(r.tree, f[i]);
    rig_close(&r);
}

static void test_a_full_cache_of_pinned_descriptors_still_serves(void **state)
{
    struct rig r;
    struct inode *f[40];
    struct inode_fd fd[40];
    char name[16];
    (void)state;

    rig_open(&r, 16, HANDLES_PREFER);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        host_file(&r, name, "x");
        f[i] = look(&r, r.root, name);
        assert_int_equal(inode_fd_get(r.tree, f[i], &fd[i]), 0);
    }
    assert_true(tree_fds(r.tree) <= 16);
    for (int i = 0; i < 40; i++) {
        inode_fd_put(r.tree, &fd[i]);
        inode_put(r.tree, f[i]);
    }
    rig_close(&r);
}

static void test_a_deep_tree_is_reached_without_descriptors_of_its_own(void **state)
{
    enum { DEPTH = 300 };
    struct rig r;
    struct inode *at[DEPTH + 1];
    struct statx stx;
    (void)state;

    rig_open(&r, 16, HANDLES_NEVER);
    at[0] = inode_ref(r.root);
    for (int i = 0; i < DEPTH; i++) {
        struct inode_fd fd;
        assert_int_equal(inode_fd_get(r.tree, at[i], &fd), 0);
        assert_int_equal(mkdirat(fd.fd, "d", 0755), 0);
        inode_fd_put(r.tree, &fd);
        at[i + 1] = look(&r, at[i], "d");
    }
    /* Touch the top ones, so that the cache has forgotten the bottom. */
    for (int i = 1; i < 40; i++) {
        struct inode_fd fd;
        assert_int_equal(inode_fd_get(r.tree, at[i], &fd), 0);
        inode_fd_put(r.tree, &fd);
    }
    assert_int_equal(inode_stat(r.tree, at[DEPTH], &stx), 0);
    assert_true(S_ISDIR(stx.stx_mode));
    for (int i = 0; i <= DEPTH; i++)
        inode_put(r.tree, at[i]);
    rig_close(&r);
}

/* ---- the host changes things --------------------------------------------------------------- */

static void test_a_file_replaced_on_the_host_is_stale_and_found_anew(void **state)
{
    struct rig r;
    struct statx stx;
    (void)state;

    rig_open(&r, 64, HANDLES_PREFER);
    host_file(&r, "a", "old");
    struct inode *old = look(&r, r.root, "a");
    host_file(&r, "b", "new");
    host_rename(&r, "b", "a");
    assert_int_equal(inode_stat(r.tree, old, &stx), -ESTALE);
    struct inode *fresh = look(&r, r.root, "a");
    assert_ptr_not_equal(fresh, old);
    assert_int_equal(inode_stat(r.tree, fresh, &stx), 0);
    inode_put(r.tree, old);
    inode_put(r.tree, fresh);
    rig_close(&r);
}

static void test_a_reused_inode_number_is_a_new_node(void **state)
{
    struct rig r;
    (void)state;

    rig_open(&r, 64, HANDLES_PREFER);
    host_file(&r, "a", "old");
    struct inode *old = look(&r, r.root, "a");
    uint64_t ino = ino_of(&r, "a");
    bool reused = false;
    for (int i = 0; i < 50 && !reused; i++) {
        host_unlink(&r, "a");
        host_file(&r, "a", "new");
        reused = ino_of(&r, "a") == ino;
    }
    struct inode *fresh = look(&r, r.root, "a");
    assert_ptr_not_equal(fresh, old); /* whether or not this file system reused the number */
    inode_put(r.tree, old);
    inode_put(r.tree, fresh);
    rig_close(&r);
}

static void test_a_used_inode_follows_a_host_side_rename(void **state)
{
    struct rig r;
    struct inode_fd fd;
    struct statx stx;
    (void)state;

    rig_open(&r, 64, HANDLES_NEVER);
    host_file(&r, "a", "x");
    struct inode *a = look(&r, r.root, "a");
    assert_int_equal(inode_fd_get(r.tree, a, &fd), 0);
    inode_fd_put(r.tree, &fd);
    host_rename(&r, "a", "b");
    assert_int_equal(inode_stat(r.tree, a, &stx), 0);
    assert_int_equal(stx.stx_ino, ino_of(&r, "b"));
    inode_put(r.tree, a);
    rig_close(&r);
}

static void test_an_evicted_inode_follows_a_host_side_rename_by_its_handle(void **state)
{
    struct rig r;
    struct inode_fd fd;
    struct statx stx;
    char name[16];
    (void)state;

    if (geteuid() != 0) {
        print_message("needs root: open_by_handle_at\n");
        skip();
    }
    rig_open(&r, 16, HANDLES_PREFER);
    host_file(&r, "a", "x");
    struct inode *a = look(&r, r.root, "a");
    assert_int_equal(inode_fd_get(r.tree, a, &fd), 0);
    inode_fd_put(r.tree, &fd);
    for (int i = 0; i < 100; i++) { /* push its descriptor out */
        snprintf(name, sizeof(name), "f%d", i);
        host_file(&r, name, "x");
        struct inode *f = look(&r, r.root, name);
        assert_int_equal(inode_fd_get(r.tree, f, &fd), 0);
        inode_fd_put(r.tree, &fd);
        inode_put(r.tree, f);
    }
    assert_false(fdcache_pin(r.tree, a, &fd));
    host_rename(&r, "a", "elsewhere");
    assert_int_equal(inode_stat(r.tree, a, &stx), 0);
    assert_int_equal(stx.stx_ino, ino_of(&r, "elsewhere"));
    inode_put(r.tree, a);
    rig_close(&r);
}

static void test_our_own_rename_is_followed(void **state)
{
    struct rig r;
    struct statx stx;
    (void)state;

    rig_open(&r, 64, HANDLES_NEVER);
    host_dir(&r, "d");
    host_file(&r, "a", "x");
    struct inode *d = look(&r, r.root, "d"), *a = look(&r, r.root, "a");
    host_rename(&r, "a", "d/b");
    tree_renamed(r.tree, d, "b");
    assert_int_equal(inode_stat(r.tree, a, &stx), 0);
    struct inode *parent = inode_parent(r.tree, a);
    assert_ptr_equal(parent, d);
    inode_put(r.tree, parent);
    inode_put(r.tree, a);
    inode_put(r.tree, d);
    rig_close(&r);
}

static void test_an_unlinked_inode_that_the_guest_knows_is_still_reached(void **state)
{
    struct rig r;
    struct statx stx;
    (void)state;

    rig_open(&r, 64, HANDLES_NEVER);
    host_file(&r, "a", "text");
    struct inode *a = look(&r, r.root, "a");
    struct inode *victim = tree_victim(r.tree, r.root, "a", NULL);
    assert_ptr_equal(victim, a);
    host_unlink(&r, "a");
    tree_victim_done(r.tree, victim, true);
    assert_int_equal(inode_stat(r.tree, a, &stx), 0);
    assert_int_equal(stx.stx_nlink, 0);
    assert_int_equal(stx.stx_size, 4);
    inode_put(r.tree, a);
    rig_close(&r);
}

static void test_unknown_victims_are_not_pinned(void **state)
{
    struct rig r;
    (void)state;

    rig_open(&r, 64, HANDLES_NEVER);
    host_file(&r, "a", "x");
    uint64_t fds = tree_fds(r.tree);
    assert_null(tree_victim(r.tree, r.root, "a", NULL));
    assert_null(tree_victim(r.tree, r.root, "missing", NULL));
    assert_int_equal(tree_fds(r.tree), fds);
    rig_close(&r);
}

static void test_a_victim_that_stays_can_be_evicted_again(void **state)
{
    struct rig r;
    (void)state;

    rig_open(&r, 64, HANDLES_NEVER);
    host_file(&r, "a", "x");
    struct inode *a = look(&r, r.root, "a");
    tree_victim_done(r.tree, tree_victim(r.tree, r.root, "a", NULL), false);
    assert_int_equal(r.tree->fds.n_kept, 1); /* the root */
    inode_put(r.tree, a);
    rig_close(&r);
}

static void test_a_lent_descriptor_is_replaced_when_the_name_is_gone(void **state)
{
    struct rig r;
    struct inode_fd hold;
    struct statx stx;
    (void)state;

    rig_open(&r, 64, HANDLES_NEVER);
    host_file(&r, "a", "x");
    struct inode *a = look(&r, r.root, "a");
    int fd = openat(r.root_fd, "a", O_RDWR | O_CLOEXEC);
    inode_lend_fd(r.tree, a, fd, &hold);
    assert_int_equal(hold.fd, fd);
    struct inode *victim = tree_victim(r.tree, r.root, "a", NULL);
    host_unlink(&r, "a");
    tree_victim_done(r.tree, victim, true);
    inode_return_fd(r.tree, a, &hold);
    assert_int_equal(inode_stat(r.tree, a, &stx), 0);
    assert_int_equal(stx.stx_nlink, 0);
    inode_put(r.tree, a);
    rig_close(&r);
}

/* ---- opening ------------------------------------------------------------------------------ */

static void test_only_files_and_directories_are_opened(void **state)
{
    struct rig r;
    (void)state;

    rig_open(&r, 64, HANDLES_NEVER);
    assert_int_equal(mkfifoat(r.root_fd, "fifo", 0644), 0);
    assert_int_equal(symlinkat("/etc/passwd", r.root_fd, "link"), 0);
    host_file(&r, "file", "text");
    host_dir(&r, "dir");
    struct inode *fifo = look(&r, r.root, "fifo"), *link = look(&r, r.root, "link");
    struct inode *file = look(&r, r.root, "file"), *dir = look(&r, r.root, "dir");
    assert_int_equal(inode_open(r.tree, fifo, O_RDONLY, NULL), -ENXIO);
    assert_int_equal(inode_open(r.tree, link, O_RDONLY, NULL), -ELOOP);
    int fd = inode_open(r.tree, file, O_RDONLY, NULL);
    char text[8];
    assert_int_equal(read(fd, text, sizeof(text)), 4);
    close(fd);
    fd = inode_open(r.tree, dir, O_RDONLY, NULL);
    assert_true(fd >= 0);
    close(fd);
    inode_put(r.tree, fifo);
    inode_put(r.tree, link);
    inode_put(r.tree, file);
    inode_put(r.tree, dir);
    rig_close(&r);
}

static void test_a_symlink_put_in_place_of_a_file_is_not_followed(void **state)
{
    struct rig r;
    (void)state;

    rig_open(&r, 64, HANDLES_NEVER);
    host_file(&r, "a", "x");
    struct inode *a = look(&r, r.root, "a");
    host_unlink(&r, "a");
    assert_int_equal(symlinkat("/etc/passwd", r.root_fd, "a"), 0);
    assert_int_equal(inode_open(r.tree, a, O_RDONLY, NULL), -ESTALE);
    inode_put(r.tree, a);
    rig_close(&r);
}

static void test_a_file_opened_again_is_opened_by_its_handle(void **state)
{
    struct rig r;
    char text[8];
    (void)state;

    if (geteuid() != 0) {
        print_message("needs root: open_by_handle_at\n");
        skip();
    }
    rig_open(&r, 64, HANDLES_PREFER);
    host_file(&r, "a", "text");
    struct inode *a = look(&r, r.root, "a");
    for (int i = 0; i < 2; i++) {
        int fd = inode_open(r.tree, a, O_RDONLY, NULL);
        assert_true(fd >= 0);
        close(fd);
    }
    assert_non_null(a->handle);
    host_rename(&r, "a", "b");
    struct inode_fd hold = {-1, 0};
    fdcache_drop(r.tree, a);
    int fd = inode_open(r.tree, a, O_RDONLY, &hold);
    assert_int_equal(hold.fd, fd); /* no other descriptor was needed */
    assert_int_equal(read(fd, text, sizeof(text)), 4);
    inode_return_fd(r.tree, a, &hold);
    inode_put(r.tree, a);
    rig_close(&r);
}

static void test_another_handles_descriptor_is_not_held(void **state)
{
    struct rig r;
    struct inode_fd one = {-1, 0}, two = {-1, 0};
    (void)state;

    rig_open(&r, 64, HANDLES_NEVER);
    host_file(&r, "a", "x");
    struct inode *a = look(&r, r.root, "a");
    int fd1 = openat(r.root_fd, "a", O_RDWR | O_CLOEXEC);
    int fd2 = openat(r.root_fd, "a", O_RDONLY | O_CLOEXEC);
    inode_lend_fd(r.tree, a, fd1, &one);
    inode_lend_fd(r.tree, a, fd2, &two);
    assert_int_equal(two.fd, -1);
    inode_return_fd(r.tree, a, &one);
    assert_int_equal(fcntl(fd1, F_GETFD),
                     -1); /* closed with its handle, though the other is open */
    close(fd2);
    inode_put(r.tree, a);
    rig_close(&r);
}

static void test_reset_forgets_everything_but_the_root(void **state)
{
    struct rig r;
    char name[16];
    (void)state;

    rig_open(&r, 64, HANDLES_PREFER);
    int before = open_fds();
    host_dir(&r, "d");
    struct inode *d = look(&r, r.root, "d");
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "d/f%d", i);
        host_file(&r, name, "x");
        struct inode *f = look(&r, d, name + 2);
        struct inode_fd fd;
        assert_int_equal(inode_fd_get(r.tree, f, &fd), 0);
        inode_fd_put(r.tree, &fd);
        inode_put(r.tree, f);
    }
    inode_put(r.tree, d);
    tree_reset(r.tree);
    assert_int_equal(tree_inodes(r.tree), 1);
    assert_true(open_fds() <= before + 1); /* one may stay for opening handles */
    assert_int_equal(look_error(&r, r.root, "missing"), -ENOENT);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup_twice_gives_the_same_node),
        cmocka_unit_test(test_forget_ends_the_id_and_never_reuses_it),
        cmocka_unit_test(test_forget_of_too_many_is_clamped),
        cmocka_unit_test(test_the_root_cannot_be_forgotten),
        cmocka_unit_test(test_a_parent_outlives_its_forgotten_self_while_a_child_is_known),
        cmocka_unit_test(test_invented_ids_are_refused),
        cmocka_unit_test(test_dot_is_the_directory_and_dotdot_stops_at_the_root),
        cmocka_unit_test(test_hard_links_are_one_node),
        cmocka_unit_test(test_lookups_keep_no_descriptor),
        cmocka_unit_test(test_more_inodes_in_use_than_descriptors),
        cmocka_unit_test(test_a_full_cache_of_pinned_descriptors_still_serves),
        cmocka_unit_test(test_a_deep_tree_is_reached_without_descriptors_of_its_own),
        cmocka_unit_test(test_a_file_replaced_on_the_host_is_stale_and_found_anew),
        cmocka_unit_test(test_a_reused_inode_number_is_a_new_node),
        cmocka_unit_test(test_a_used_inode_follows_a_host_side_rename),
        cmocka_unit_test(test_an_evicted_inode_follows_a_host_side_rename_by_its_handle),
        cmocka_unit_test(test_our_own_rename_is_followed),
        cmocka_unit_test(test_an_unlinked_inode_that_the_guest_knows_is_still_reached),
        cmocka_unit_test(test_unknown_victims_are_not_pinned),
        cmocka_unit_test(test_a_victim_that_stays_can_be_evicted_again),
        cmocka_unit_test(test_a_lent_descriptor_is_replaced_when_the_name_is_gone),
        cmocka_unit_test(test_only_files_and_directories_are_opened),
        cmocka_unit_test(test_a_symlink_put_in_place_of_a_file_is_not_followed),
        cmocka_unit_test(test_a_file_opened_again_is_opened_by_its_handle),
        cmocka_unit_test(test_another_handles_descriptor_is_not_held),
        cmocka_unit_test(test_reset_forgets_everything_but_the_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
