// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_names.c - LOOKUP, MKDIR, MKNOD, SYMLINK, READLINK, LINK, UNLINK, RMDIR, RENAME, RENAME2
 */
#include "tests/wire/wire.h"

#include <sys/sysmacros.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE  2
#endif

/* ---- LOOKUP ---------------------------------------------------------------------------------- */

static void test_lookup_gives_id_and_attributes(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    host_write(w, "f", "four");
    assert_ok(fc_lookup(&w->c, FC_ROOT, "f", &e));
    assert_true(e.nodeid > FC_ROOT);
    assert_int_equal(e.attr.size, 4);
    assert_int_equal(e.attr.ino, host_stat(w, "f").st_ino);
    assert_int_equal(e.attr.mode, host_stat(w, "f").st_mode);
    assert_int_equal(e.attr.mtime, host_stat(w, "f").st_mtim.tv_sec);
}

static void test_lookup_of_a_missing_name_is_enoent(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    assert_errno(fc_lookup(&w->c, FC_ROOT, "missing", &e), ENOENT);
}

static void test_lookup_below_a_file_is_enotdir(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    host_write(w, "f", "");
    assert_errno(fc_lookup(&w->c, node(w, FC_ROOT, "f"), "x", &e), ENOTDIR);
}

static void test_lookup_of_dot_returns_the_same_node(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_mkdir(w, "d");
    uint64_t d = node(w, FC_ROOT, "d");
    assert_int_equal(node(w, FC_ROOT, "."), FC_ROOT);
    assert_int_equal(node(w, d, "."), d);
}

static void test_lookup_of_dotdot_never_leaves_the_share(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_mkdir(w, "d");
    assert_int_equal(node(w, node(w, FC_ROOT, "d"), ".."), FC_ROOT);
    assert_int_equal(node(w, FC_ROOT, ".."), FC_ROOT);
}

static void test_lookup_does_not_follow_symlinks(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    assert_ok(symlink("/etc", host(w, "out")));
    assert_ok(fc_lookup(&w->c, FC_ROOT, "out", &e));
    assert_true(S_ISLNK(e.attr.mode));
    assert_errno(fc_lookup(&w->c, e.nodeid, "passwd", &e), ENOTDIR);
}

static void test_hard_links_are_one_node(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_write(w, "a", "x");
    assert_ok(link(host(w, "a"), host(w, "b")));
    assert_int_equal(node(w, FC_ROOT, "a"), node(w, FC_ROOT, "b"));
}

static void test_names_that_would_leave_a_directory_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "/", "a/b", "/etc/passwd", "../x", "d/..", "./d", "d/"};
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    uint64_t fh;

    host_mkdir(w, "d");
    host_write(w, "f", "");
    uint64_t f = node(w, FC_ROOT, "f");
    for (unsigned i = 0; i < ARRAY(bad); i++) {
        const char *b = bad[i];
        assert_errno(fc_lookup(&w->c, FC_ROOT, b, &e), EINVAL);
        assert_errno(fc_mkdir(&w->c, FC_ROOT, b, 0755, &e), EINVAL);
        assert_errno(fc_mknod(&w->c, FC_ROOT, b, S_IFREG | 0644, 0, &e), EINVAL);
        assert_errno(fc_create(&w->c, FC_ROOT, b, O_RDWR, 0644, &e, &fh), EINVAL);
        assert_errno(fc_symlink(&w->c, FC_ROOT, b, "target", &e), EINVAL);
        assert_errno(fc_link(&w->c, f, FC_ROOT, b, &e), EINVAL);
        assert_errno(fc_unlink(&w->c, FC_ROOT, b), EINVAL);
        assert_errno(fc_rmdir(&w->c, FC_ROOT, b), EINVAL);
        assert_errno(fc_rename(&w->c, FC_ROOT, b, FC_ROOT, "new", 0), EINVAL);
        assert_errno(fc_rename(&w->c, FC_ROOT, "f", FC_ROOT, b, 0), EINVAL);
        assert_errno(fc_rename(&w->c, FC_ROOT, "f", FC_ROOT, b, RENAME_NOREPLACE), EINVAL);
    }
    assert_true(host_exists(w, "f") && host_exists(w, "d"));
}

static void test_dot_and_dotdot_cannot_be_changed(void **state)
{
    (void)state;
    static const char *const dots[] = {".", ".."};
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    uint64_t fh;

    host_mkdir(w, "d");
    host_write(w, "f", "");
    uint64_t d = node(w, FC_ROOT, "d"), f = node(w, FC_ROOT, "f");
    for (unsigned i = 0; i < 2; i++) {
        assert_errno(fc_mkdir(&w->c, d, dots[i], 0755, &e), EINVAL);
        assert_errno(fc_create(&w->c, d, dots[i], O_RDWR, 0644, &e, &fh), EINVAL);
        assert_errno(fc_symlink(&w->c, d, dots[i], "t", &e), EINVAL);
        assert_errno(fc_link(&w->c, f, d, dots[i], &e), EINVAL);
        assert_errno(fc_unlink(&w->c, d, dots[i]), EINVAL);
        assert_errno(fc_rmdir(&w->c, d, dots[i]), EINVAL);
        assert_errno(fc_rename(&w->c, d, dots[i], FC_ROOT, "x", 0), EINVAL);
        assert_errno(fc_rename(&w->c, FC_ROOT, "f", d, dots[i], 0), EINVAL);
    }
}

static void test_longest_name_works_and_one_byte_more_is_enametoolong(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    char name[257];

    memset(name, 'n', 256);
    name[255] = '\0';
    assert_ok(fc_mkdir(&w->c, FC_ROOT, name, 0755, &e));
    assert_ok(fc_lookup(&w->c, FC_ROOT, name, &e));
    assert_ok(fc_rmdir(&w->c, FC_ROOT, name));
    name[255] = 'n';
    name[256] = '\0';
    assert_errno(fc_mkdir(&w->c, FC_ROOT, name, 0755, &e), ENAMETOOLONG);
    assert_errno(fc_lookup(&w->c, FC_ROOT, name, &e), ENAMETOOLONG);
}

static void test_names_may_hold_any_other_byte(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    char name[256];
    unsigned n = 0;

    for (unsigned c = 1; c < 256; c++)
        if (c != '/')
            name[n++] = (char)c;
    name[n] = '\0';
    assert_ok(fc_mkdir(&w->c, FC_ROOT, name, 0755, &e));
    assert_true(host_exists(w, name));
}

static void test_name_without_its_nul_is_refused(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    assert_errno(raw(w, FUSE_LOOKUP, FC_ROOT, "f", 1, NULL, 256), EINVAL);
    assert_errno(raw(w, FUSE_UNLINK, FC_ROOT, "", 0, NULL, 256), EINVAL);
    assert_errno(raw(w, FUSE_SYMLINK, FC_ROOT, "name\0target", 11, NULL, 256), EINVAL);
}

/* ---- making things ---------------------------------------------------------------------------- */

static void test_mkdir_makes_a_directory_with_its_mode(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    assert_ok(fc_mkdir(&w->c, FC_ROOT, "d", 0751, &e));
    assert_int_equal(e.attr.mode, S_IFDIR | 0751);
    assert_int_equal(host_stat(w, "d").st_mode, S_IFDIR | 0751);
    assert_int_equal(node(w, FC_ROOT, "d"), e.nodeid);
    assert_errno(fc_mkdir(&w->c, FC_ROOT, "d", 0755, &e), EEXIST);
}

static void test_mkdir_below_a_file_is_enotdir(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    host_write(w, "f", "");
    assert_errno(fc_mkdir(&w->c, node(w, FC_ROOT, "f"), "d", 0755, &e), ENOTDIR);
}

static void test_mknod_makes_files_fifos_and_sockets(void **state)
{
    (void)state;
    static const mode_t kind[] = {S_IFREG, S_IFIFO, S_IFSOCK};
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    char name[8] = "n0";

    for (unsigned i = 0; i < ARRAY(kind); i++, name[1]++) {
        assert_ok(fc_mknod(&w->c, FC_ROOT, name, kind[i] | 0640, 0, &e));
        assert_int_equal(e.attr.mode, kind[i] | 0640);
        assert_int_equal(host_stat(w, name).st_mode, kind[i] | 0640);
        assert_errno(fc_mknod(&w->c, FC_ROOT, name, kind[i] | 0640, 0, &e), EEXIST);
    }
}

static void test_device_nodes_can_be_made_and_never_opened(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    uint64_t fh;
    int err = fc_mknod(&w->c, FC_ROOT, "null", S_IFCHR | 0666, (1u << 8) | 3, &e);

    if (err == -EPERM) /* a daemon without CAP_MKNOD */
        return;
    assert_ok(err);
    assert_int_equal(host_stat(w, "null").st_rdev, makedev(1, 3));
    assert_int_equal(e.attr.rdev, (1u << 8) | 3);
    assert_errno(fc_open_file(&w->c, e.nodeid, O_RDWR, &fh), ENXIO);
}

static void test_fifos_and_sockets_are_never_opened(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    uint64_t fh;

    assert_ok(mkfifo(host(w, "fifo"), 0666));
    assert_ok(mknod(host(w, "sock"), S_IFSOCK | 0666, 0));
    assert_errno(fc_open_file(&w->c, node(w, FC_ROOT, "fifo"), O_RDONLY, &fh), ENXIO);
    assert_errno(fc_open_file(&w->c, node(w, FC_ROOT, "fifo"), O_RDWR, &fh), ENXIO);
    assert_errno(fc_open_file(&w->c, node(w, FC_ROOT, "sock"), O_RDWR, &fh), ENXIO);
}

static void test_symlink_keeps_its_target_as_it_is(void **state)
{
    (void)state;
    static const char *const target[] = {"x", "/etc/passwd", "../../..", "a//b/./c"};
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    char name[8] = "l0", buf[4200];

    for (unsigned i = 0; i < ARRAY(target); i++, name[1]++) {
        assert_ok(fc_symlink(&w->c, FC_ROOT, name, target[i], &e));
        assert_true(S_ISLNK(e.attr.mode));
        assert_int_equal(fc_readlink(&w->c, e.nodeid, buf, sizeof(buf)), strlen(target[i]));
        assert_string_equal(buf, target[i]);
        assert_errno(fc_symlink(&w->c, FC_ROOT, name, target[i], &e), EEXIST);
    }
}

static void test_symlink_target_has_its_limits(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    char target[4097], buf[4200];

    memset(target, 't', 4096);
    target[4095] = '\0';
    assert_ok(fc_symlink(&w->c, FC_ROOT, "long", target, &e));
    assert_int_equal(fc_readlink(&w->c, e.nodeid, buf, sizeof(buf)), 4095);
    target[4095] = 't';
    target[4096] = '\0';
    assert_errno(fc_symlink(&w->c, FC_ROOT, "longer", target, &e), ENAMETOOLONG);
    assert_true(fc_symlink(&w->c, FC_ROOT, "empty", "", &e) < 0);
}

static void test_readlink_of_anything_else_is_einval(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    char buf[64];

    host_write(w, "f", "");
    assert_errno(fc_readlink(&w->c, node(w, FC_ROOT, "f"), buf, sizeof(buf)), EINVAL);
    assert_errno(fc_readlink(&w->c, FC_ROOT, buf, sizeof(buf)), EINVAL);
}

static void test_link_makes_a_second_name(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    host_write(w, "f", "x");
    host_mkdir(w, "d");
    uint64_t f = node(w, FC_ROOT, "f"), d = node(w, FC_ROOT, "d");
    assert_ok(fc_link(&w->c, f, d, "g", &e));
    assert_int_equal(e.nodeid, f);
    assert_int_equal(e.attr.nlink, 2);
    assert_int_equal(host_stat(w, "d/g").st_ino, host_stat(w, "f").st_ino);
    assert_errno(fc_link(&w->c, f, d, "g", &e), EEXIST);
    assert_errno(fc_link(&w->c, d, FC_ROOT, "h", &e), EPERM);
    assert_errno(fc_link(&w->c, 424242, d, "h", &e), ESTALE);
}

static void test_link_to_a_symlink_links_the_symlink(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    assert_ok(symlink("/etc/passwd", host(w, "l")));
    assert_ok(fc_link(&w->c, node(w, FC_ROOT, "l"), FC_ROOT, "m", &e));
    assert_true(S_ISLNK(host_stat(w, "m").st_mode));
}

/* ---- taking things away ------------------------------------------------------------------------ */

static void test_unlink_and_rmdir_take_the_right_kind(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_write(w, "f", "");
    host_mkdir(w, "d");
    host_mkdir(w, "full");
    host_write(w, "full/x", "");
    assert_errno(fc_rmdir(&w->c, FC_ROOT, "f"), ENOTDIR);
    assert_errno(fc_unlink(&w->c, FC_ROOT, "d"), EISDIR);
    assert_errno(fc_rmdir(&w->c, FC_ROOT, "full"), ENOTEMPTY);
    assert_errno(fc_unlink(&w->c, FC_ROOT, "missing"), ENOENT);
    assert_errno(fc_rmdir(&w->c, FC_ROOT, "missing"), ENOENT);
    assert_ok(fc_unlink(&w->c, FC_ROOT, "f"));
    assert_ok(fc_rmdir(&w->c, FC_ROOT, "d"));
    assert_false(host_exists(w, "f") || host_exists(w, "d"));
}

static void test_unlink_takes_a_symlink_and_not_its_target(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_write(w, "f", "");
    assert_ok(symlink("f", host(w, "l")));
    assert_ok(fc_unlink(&w->c, FC_ROOT, "l"));
    assert_true(host_exists(w, "f"));
    assert_false(host_exists(w, "l"));
}

/* ---- renaming ----------------------------------------------------------------------------------- */

static void test_rename_moves_and_replaces(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "new");
    host_mkdir(w, "d");
    host_write(w, "d/g", "old");
    uint64_t f = node(w, FC_ROOT, "f"), d = node(w, FC_ROOT, "d");
    assert_ok(fc_rename(&w->c, FC_ROOT, "f", d, "g", 0));
    assert_false(host_exists(w, "f"));
    assert_string_equal(host_read(w, "d/g"), "new");
    assert_ok(fc_getattr(&w->c, f, &a)); /* known by its new name now */
    assert_int_equal(a.size, 3);
    assert_int_equal(node(w, d, "g"), f);
    assert_errno(fc_rename(&w->c, FC_ROOT, "f", d, "h", 0), ENOENT);
}

static void test_rename_of_a_directory_keeps_what_is_below_reachable(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_mkdir(w, "d");
    host_mkdir(w, "d/e");
    host_write(w, "d/e/f", "text");
    uint64_t e = node(w, node(w, FC_ROOT, "d"), "e"), f = node(w, e, "f");
    assert_ok(fc_rename(&w->c, FC_ROOT, "d", FC_ROOT, "renamed", 0));
    assert_ok(fc_getattr(&w->c, f, &a));
    uint64_t fh = opened(w, f, O_RDONLY);
    assert_int_equal(fc_read(&w->c, f, fh, NULL, 10, 0), 4);
}

static void test_rename_refuses_what_rename_refuses(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_write(w, "f", "");
    host_mkdir(w, "d");
    host_mkdir(w, "full");
    host_write(w, "full/x", "");
    uint64_t d = node(w, FC_ROOT, "d");
    assert_errno(fc_rename(&w->c, FC_ROOT, "f", FC_ROOT, "d", 0), EISDIR);
    assert_errno(fc_rename(&w->c, FC_ROOT, "d", FC_ROOT, "f", 0), ENOTDIR);
    assert_errno(fc_rename(&w->c, FC_ROOT, "d", FC_ROOT, "full", 0), ENOTEMPTY);
    assert_errno(fc_rename(&w->c, FC_ROOT, "d", d, "inside", 0), EINVAL);
    assert_errno(fc_rename(&w->c, FC_ROOT, "f", 424242, "g", 0), ESTALE);
}

static void test_rename2_noreplace_never_overwrites(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_write(w, "f", "f");
    host_write(w, "g", "g");
    assert_errno(fc_rename(&w->c, FC_ROOT, "f", FC_ROOT, "g", RENAME_NOREPLACE), EEXIST);
    assert_string_equal(host_read(w, "g"), "g");
    assert_ok(fc_rename(&w->c, FC_ROOT, "f", FC_ROOT, "h", RENAME_NOREPLACE));
    assert_string_equal(host_read(w, "h"), "f");
}

static void test_rename2_exchange_swaps_both_names(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "f");
    host_mkdir(w, "d");
    uint64_t f = node(w, FC_ROOT, "f"), d = node(w, FC_ROOT, "d");
    assert_ok(fc_rename(&w->c, FC_ROOT, "f", FC_ROOT, "d", RENAME_EXCHANGE));
    assert_true(S_ISDIR(host_stat(w, "f").st_mode));
    assert_int_equal(node(w, FC_ROOT, "d"), f);
    assert_int_equal(node(w, FC_ROOT, "f"), d);
    assert_ok(fc_getattr(&w->c, f, &a));
    assert_true(S_ISREG(a.mode));
    assert_ok(fc_getattr(&w->c, d, &a));
    assert_true(S_ISDIR(a.mode));
}

static void test_rename2_refuses_unknown_flags(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_write(w, "f", "");
    assert_errno(fc_rename(&w->c, FC_ROOT, "f", FC_ROOT, "g", 0x80), EINVAL);
    assert_errno(fc_rename(&w->c, FC_ROOT, "f", FC_ROOT, "g", RENAME_NOREPLACE | RENAME_EXCHANGE),
                 EINVAL);
    assert_true(host_exists(w, "f"));
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_lookup_gives_id_and_attributes),
    WIRE_TEST(test_lookup_of_a_missing_name_is_enoent),
    WIRE_TEST(test_lookup_below_a_file_is_enotdir),
    WIRE_TEST(test_lookup_of_dot_returns_the_same_node),
    WIRE_TEST(test_lookup_of_dotdot_never_leaves_the_share),
    WIRE_TEST(test_lookup_does_not_follow_symlinks),
    WIRE_TEST(test_hard_links_are_one_node),
    WIRE_TEST(test_names_that_would_leave_a_directory_are_refused),
    WIRE_TEST(test_dot_and_dotdot_cannot_be_changed),
    WIRE_TEST(test_longest_name_works_and_one_byte_more_is_enametoolong),
    WIRE_TEST(test_names_may_hold_any_other_byte),
    WIRE_TEST(test_name_without_its_nul_is_refused),
    WIRE_TEST(test_mkdir_makes_a_directory_with_its_mode),
    WIRE_TEST(test_mkdir_below_a_file_is_enotdir),
    WIRE_TEST(test_mknod_makes_files_fifos_and_sockets),
    WIRE_TEST(test_device_nodes_can_be_made_and_never_opened),
    WIRE_TEST(test_fifos_and_sockets_are_never_opened),
    WIRE_TEST(test_symlink_keeps_its_target_as_it_is),
    WIRE_TEST(test_symlink_target_has_its_limits),
    WIRE_TEST(test_readlink_of_anything_else_is_einval),
    WIRE_TEST(test_link_makes_a_second_name),
    WIRE_TEST(test_link_to_a_symlink_links_the_symlink),
    WIRE_TEST(test_unlink_and_rmdir_take_the_right_kind),
    WIRE_TEST(test_unlink_takes_a_symlink_and_not_its_target),
    WIRE_TEST(test_rename_moves_and_replaces),
    WIRE_TEST(test_rename_of_a_directory_keeps_what_is_below_reachable),
    WIRE_TEST(test_rename_refuses_what_rename_refuses),
    WIRE_TEST(test_rename2_noreplace_never_overwrites),
    WIRE_TEST(test_rename2_exchange_swaps_both_names),
    WIRE_TEST(test_rename2_refuses_unknown_flags),
};
WIRE_MAIN("names", tests)
