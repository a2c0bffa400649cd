// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_attr.c - GETATTR, SETATTR, STATX, ACCESS, STATFS, and our variants with birth time
 */
#include "tests/wire/wire.h"

#include <linux/stat.h>
#include <sys/statvfs.h>

static bool i_am_root(void)
{
    return geteuid() == 0;
}

static void test_getattr_of_the_root_shows_the_share(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;
    struct stat st;

    assert_ok(chmod(w->d.share, 0751));
    st = host_stat(w, ".");
    assert_ok(fc_getattr(&w->c, FC_ROOT, &a));
    assert_int_equal(a.ino, st.st_ino);
    assert_int_equal(a.mode, S_IFDIR | 0751);
    assert_int_equal(a.nlink, st.st_nlink);
    assert_int_equal(a.uid, st.st_uid);
    assert_int_equal(a.gid, st.st_gid);
}

static void test_getattr_sees_what_the_host_changes(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "four");
    uint64_t f = node(w, FC_ROOT, "f");
    host_write(w, "f", "sixsix");
    assert_ok(chmod(host(w, "f"), 0600));
    assert_ok(fc_getattr(&w->c, f, &a));
    assert_int_equal(a.size, 6);
    assert_int_equal(a.mode, S_IFREG | 0600);
    assert_int_equal(a.blksize, host_stat(w, "f").st_blksize);
}

/* Attributes are the inode's: a handle is only a way to it, and one that does not lead there is ignored. */
static void test_getattr_with_a_handle_of_another_file_shows_the_inode(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "four");
    host_write(w, "g", "longer");
    uint64_t f = node(w, FC_ROOT, "f"), g = node(w, FC_ROOT, "g");
    uint64_t bad[] = {opened(w, g, O_RDONLY), open_dir(w, FC_ROOT), 0, UINT64_MAX};
    for (unsigned i = 0; i < ARRAY(bad); i++) {
        int err = fc_getattr_fh(&w->c, f, bad[i], &a);
        assert_true(err == -EBADF || (err == 0 && a.size == 4));
        struct fuse_setattr_in in = {.valid = FATTR_SIZE | FATTR_FH, .fh = bad[i], .size = 4};
        err = fc_setattr(&w->c, f, &in, NULL);
        assert_true(err == -EBADF || err == 0);
        assert_int_equal(host_stat(w, "g").st_size, 6);
    }
}

static void test_getattr_through_a_handle(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "four");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDONLY);
    assert_ok(fc_getattr_fh(&w->c, f, fh, &a));
    assert_int_equal(a.size, 4);
}

static void test_setattr_of_mode_owner_size_and_times(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "0123456789");
    uint64_t f = node(w, FC_ROOT, "f");
    struct fuse_setattr_in in = {
        .valid = FATTR_MODE | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME,
        .mode = S_IFREG | 0604,
        .size = 5,
        .atime = 1000000000,
        .atimensec = 1,
        .mtime = 1234567890,
        .mtimensec = 999999999,
    };
    if (i_am_root()) {
        in.valid |= FATTR_UID | FATTR_GID;
        in.uid = 1234;
        in.gid = 4321;
    }
    assert_ok(fc_setattr(&w->c, f, &in, &a));
    struct stat st = host_stat(w, "f");
    assert_int_equal(st.st_mode, S_IFREG | 0604);
    assert_int_equal(st.st_size, 5);
    assert_int_equal(st.st_mtim.tv_sec, 1234567890);
    assert_int_equal(st.st_mtim.tv_nsec, 999999999);
    assert_int_equal(st.st_atim.tv_sec, 1000000000);
    if (i_am_root()) {
        assert_int_equal(st.st_uid, 1234);
        assert_int_equal(st.st_gid, 4321);
        assert_int_equal(a.uid, 1234);
    }
    assert_int_equal(a.mode, st.st_mode);
    assert_int_equal(a.size, 5);
    assert_int_equal(a.mtime, 1234567890);
}

static void test_setattr_of_now_uses_the_hosts_clock(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

    host_write(w, "f", "");
    assert_ok(utimensat(AT_FDCWD, host(w, "f"), old, 0));
    struct fuse_setattr_in in = {.valid = FATTR_MTIME | FATTR_MTIME_NOW};
    assert_ok(fc_setattr(&w->c, node(w, FC_ROOT, "f"), &in, NULL));
    assert_true(host_stat(w, "f").st_mtim.tv_sec > 1000000000);
    assert_int_equal(host_stat(w, "f").st_atim.tv_sec, 1000);
}

static void test_setattr_of_one_owner_leaves_the_other(void **state)
{
    (void)state;
    if (!i_am_root())
        skip();
    struct wire *w = wire_up(NULL);

    host_write(w, "f", "");
    assert_ok(chown(host(w, "f"), 11, 22));
    uint64_t f = node(w, FC_ROOT, "f");
    assert_ok(fc_setattr(&w->c, f, &(struct fuse_setattr_in){.valid = FATTR_UID, .uid = 33}, NULL));
    assert_int_equal(host_stat(w, "f").st_uid, 33);
    assert_int_equal(host_stat(w, "f").st_gid, 22);
    assert_ok(fc_setattr(&w->c, f, &(struct fuse_setattr_in){.valid = FATTR_GID, .gid = 44}, NULL));
    assert_int_equal(host_stat(w, "f").st_uid, 33);
    assert_int_equal(host_stat(w, "f").st_gid, 44);
}

static void test_truncate_through_a_handle_works_when_the_mode_would_not_allow_it(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_write(w, "f", "0123456789");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR);
    assert_ok(chmod(host(w, "f"), 0));
    struct fuse_setattr_in in = {.valid = FATTR_SIZE | FATTR_FH, .fh = fh, .size = 3};
    assert_ok(fc_setattr(&w->c, f, &in, NULL));
    assert_int_equal(host_stat(w, "f").st_size, 3);
}

static void test_truncate_refuses_what_has_no_size(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_mkdir(w, "d");
    host_write(w, "f", "");
    assert_ok(symlink("f", host(w, "l")));
    assert_true(fc_truncate(&w->c, node(w, FC_ROOT, "d"), 0) < 0);
    assert_true(fc_truncate(&w->c, node(w, FC_ROOT, "l"), 0) < 0);
    assert_true(fc_truncate(&w->c, node(w, FC_ROOT, "f"), UINT64_MAX) < 0);
    assert_true(fc_truncate(&w->c, node(w, FC_ROOT, "f"), 1ULL << 63) < 0);
    assert_int_equal(host_stat(w, "f").st_size, 0);
}

static void test_symlinks_own_attributes_are_set_and_not_the_targets(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_setattr_in in = {.valid = FATTR_MTIME, .mtime = 5555};

    host_write(w, "f", "");
    assert_ok(symlink("f", host(w, "l")));
    assert_ok(fc_setattr(&w->c, node(w, FC_ROOT, "l"), &in, NULL));
    assert_int_equal(host_stat(w, "l").st_mtim.tv_sec, 5555);
    assert_int_not_equal(host_stat(w, "f").st_mtim.tv_sec, 5555);
}

static void test_chmod_of_a_symlink_never_reaches_its_target(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_write(w, "f", "");
    assert_ok(symlink("f", host(w, "l")));
    mode_t before = host_stat(w, "f").st_mode;
    fc_chmod(&w->c, node(w, FC_ROOT, "l"), 0777);
    assert_int_equal(host_stat(w, "f").st_mode, before);
}

static void test_statx_has_birth_time(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct viofs_statx sx;
    struct statx hx;

    host_write(w, "f", "four");
    uint64_t f = node(w, FC_ROOT, "f");
    assert_ok(statx(AT_FDCWD, host(w, "f"), 0, STATX_BASIC_STATS | STATX_BTIME, &hx));
    assert_ok(fc_statx(&w->c, f, STATX_BASIC_STATS | STATX_BTIME, &sx));
    assert_int_equal(sx.size, 4);
    assert_int_equal(sx.ino, hx.stx_ino);
    assert_int_equal(sx.mode, hx.stx_mode);
    assert_int_equal(sx.mtime.tv_sec, hx.stx_mtime.tv_sec);
    assert_int_equal(sx.mask & STATX_BTIME, hx.stx_mask & STATX_BTIME);
    if (hx.stx_mask & STATX_BTIME) {
        assert_int_equal(sx.btime.tv_sec, hx.stx_btime.tv_sec);
        assert_int_equal(sx.btime.tv_nsec, hx.stx_btime.tv_nsec);
    }
}

static void test_statx_with_odd_masks_is_answered(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct viofs_statx sx;

    assert_ok(fc_statx(&w->c, FC_ROOT, 0, &sx));
    int err = fc_statx(&w->c, FC_ROOT, UINT32_MAX, &sx);
    assert_true(err == 0 || err == -EINVAL);
    wire_alive(w);
}

static void test_access_answers_for_the_callers_ids(void **state)
{
    (void)state;
    if (!i_am_root())
        skip();
    struct wire *w = wire_up(NULL);

    host_write(w, "f", "");
    assert_ok(chmod(host(w, "f"), 0640));
    assert_ok(chown(host(w, "f"), 1000, 2000));
    uint64_t f = node(w, FC_ROOT, "f");
    w->c.uid = 1000;
    w->c.gid = 3000;
    assert_ok(fc_access(&w->c, f, R_OK | W_OK));
    assert_errno(fc_access(&w->c, f, X_OK), EACCES);
    w->c.uid = 1001;
    w->c.gid = 2000;
    assert_ok(fc_access(&w->c, f, R_OK));
    assert_errno(fc_access(&w->c, f, W_OK), EACCES);
    w->c.gid = 3000;
    assert_errno(fc_access(&w->c, f, R_OK), EACCES);
    assert_ok(fc_access(&w->c, f, F_OK));
    w->c.uid = w->c.gid = 0;
    assert_ok(fc_access(&w->c, f, R_OK | W_OK));
}

static void test_access_with_a_bad_mask_is_einval(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    assert_errno(fc_access(&w->c, FC_ROOT, 0xfff8), EINVAL);
}

static void test_new_files_belong_to_the_caller(void **state)
{
    (void)state;
    if (!i_am_root())
        skip();
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    uint64_t fh;

    assert_ok(chmod(w->d.share, 0777));
    w->c.uid = 1000;
    w->c.gid = 2000;
    assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
    assert_ok(fc_mkdir(&w->c, FC_ROOT, "d", 0755, &e));
    assert_ok(fc_symlink(&w->c, FC_ROOT, "l", "x", &e));
    assert_ok(fc_mknod(&w->c, FC_ROOT, "p", S_IFIFO | 0644, 0, &e));
    static const char *const made[] = {"f", "d", "l", "p"};
    for (unsigned i = 0; i < ARRAY(made); i++) {
        assert_int_equal(host_stat(w, made[i]).st_uid, 1000);
        assert_int_equal(host_stat(w, made[i]).st_gid, 2000);
    }
}

static void test_sgid_is_not_inherited_by_files_of_strangers(void **state)
{
    (void)state;
    if (!i_am_root())
        skip();
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    uint64_t fh;

    /* What CVE-2022-0358 was about: a caller outside the group must not get a setgid file of it. */
    host_mkdir(w, "d");
    assert_ok(chown(host(w, "d"), 0, 5555));
    assert_ok(chmod(host(w, "d"), 02777));
    uint64_t d = node(w, FC_ROOT, "d");
    w->c.uid = 1000;
    w->c.gid = 2000;
    assert_ok(fc_create(&w->c, d, "f", O_RDWR, 02755, &e, &fh));
    assert_int_equal(host_stat(w, "d/f").st_gid, 5555);
    assert_int_equal(host_stat(w, "d/f").st_mode & S_ISGID, 0);
}

static void test_statfs_shows_the_hosts_file_system(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_kstatfs st;
    struct statvfs hv;

    assert_ok(statvfs(w->d.share, &hv));
    assert_ok(fc_statfs(&w->c, FC_ROOT, &st));
    assert_int_equal(st.blocks, hv.f_blocks);
    assert_int_equal(st.frsize, hv.f_frsize);
    assert_int_equal(st.namelen, hv.f_namemax);
}

/* ---- our extension ----------------------------------------------------------------------------------- */

static void test_probe_tells_the_version_of_the_extension(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_viofs_probe_in in = {.version = 99, .wanted = UINT32_MAX};
    struct fuse_viofs_probe_out po;

    assert_int_equal(raw(w, VIOFS_PROBE, FC_ROOT, &in, sizeof(in), &po, sizeof(po)), sizeof(po));
    assert_int_equal(po.version, VIOFS_EXT_VERSION);
    assert_int_equal(po.ext_len, sizeof(struct fuse_viofs_ext));
    assert_true(po.features & VIOFS_FEATURE_BTIME);
    in.version = 0;
    assert_errno(raw(w, VIOFS_PROBE, FC_ROOT, &in, sizeof(in), &po, sizeof(po)), EINVAL);
}

static void assert_birth_time_of(const struct wire *w, const char *rel,
                                 const struct fuse_viofs_ext *ext)
{
    struct statx hx;

    assert_ok(statx(AT_FDCWD, host(w, rel), AT_SYMLINK_NOFOLLOW, STATX_BTIME, &hx));
    assert_int_equal(!!(ext->flags & VIOFS_EXT_BTIME), !!(hx.stx_mask & STATX_BTIME));
    if (ext->flags & VIOFS_EXT_BTIME) {
        assert_int_equal(ext->btime, hx.stx_btime.tv_sec);
        assert_int_equal(ext->btimensec, hx.stx_btime.tv_nsec);
    }
    assert_int_equal(ext->dos_attributes, 0);
    assert_int_equal(ext->ea_size, 0);
    assert_int_equal(ext->create_time, 0);
}

static void test_extended_lookup_and_getattr_carry_birth_time(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct {
        struct fuse_entry_out e;
        struct fuse_viofs_ext ext;
    } l;
    struct {
        struct fuse_attr_out a;
        struct fuse_viofs_ext ext;
    } g;
    struct fuse_getattr_in in = {0};

    host_write(w, "f", "four");
    assert_int_equal(raw(w, VIOFS_LOOKUP, FC_ROOT, "f", 2, &l, sizeof(l)), sizeof(l));
    assert_int_equal(l.e.attr.size, 4);
    assert_birth_time_of(w, "f", &l.ext);
    assert_int_equal(node(w, FC_ROOT, "f"), l.e.nodeid);
    assert_int_equal(raw(w, VIOFS_GETATTR, l.e.nodeid, &in, sizeof(in), &g, sizeof(g)), sizeof(g));
    assert_int_equal(g.a.attr.size, 4);
    assert_birth_time_of(w, "f", &g.ext);
    assert_errno(raw(w, VIOFS_LOOKUP, FC_ROOT, "missing", 8, &l, sizeof(l)), ENOENT);
    assert_errno(raw(w, VIOFS_LOOKUP, FC_ROOT, "a/b", 4, &l, sizeof(l)), EINVAL);
}

static void test_extended_create_carries_birth_time_and_a_handle(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct {
        struct fuse_entry_out e;
        struct fuse_viofs_ext ext;
        struct fuse_open_out o;
    } r;
    struct {
        struct fuse_create_in in;
        char name[8];
    } c = {.in = {.flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0644}, .name = "f"};

    assert_int_equal(raw(w, VIOFS_CREATE, FC_ROOT, &c, sizeof(c.in) + 2, &r, sizeof(r)), sizeof(r));
    assert_birth_time_of(w, "f", &r.ext);
    assert_int_equal(fc_write(&w->c, r.e.nodeid, r.o.fh, "hi", 2, 0), 2);
    assert_string_equal(host_read(w, "f"), "hi");
    assert_ok(fc_release(&w->c, r.e.nodeid, r.o.fh));
}

static void test_extended_listing_carries_birth_time_in_each_entry(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    static uint8_t buf[4096];
    unsigned seen = 0;

    host_write(w, "one", "1");
    host_write(w, "three", "333");
    uint64_t fh = open_dir(w, FC_ROOT);
    struct fuse_read_in in = {.fh = fh, .size = sizeof(buf)};
    ssize_t n = raw(w, VIOFS_READDIRPLUS, FC_ROOT, &in, sizeof(in), buf, sizeof(buf));
    assert_true(n > 0);
    for (ssize_t at = 0; at < n;) {
        struct fuse_entry_out e;
        struct fuse_viofs_ext ext;
        struct fuse_dirent d;
        const size_t fixed = sizeof(e) + sizeof(ext) + FUSE_NAME_OFFSET;
        assert_true(at + (ssize_t)fixed <= n);
        memcpy(&e, buf + at, sizeof(e));
        memcpy(&ext, buf + at + sizeof(e), sizeof(ext));
        memcpy(&d, buf + at + sizeof(e) + sizeof(ext), FUSE_NAME_OFFSET);
        char name[256] = {0};
        assert_true(d.namelen < sizeof(name));
        memcpy(name, buf + at + fixed, d.namelen);
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            assert_int_equal(e.nodeid, node(w, FC_ROOT, name));
            assert_birth_time_of(w, name, &ext);
            seen++;
        }
        at += (ssize_t)((fixed + d.namelen + 7) & ~(size_t)7);
    }
    assert_int_equal(seen, 2);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_getattr_of_the_root_shows_the_share),
    WIRE_TEST(test_getattr_sees_what_the_host_changes),
    WIRE_TEST(test_getattr_through_a_handle),
    WIRE_TEST(test_getattr_with_a_handle_of_another_file_shows_the_inode),
    WIRE_TEST(test_setattr_of_mode_owner_size_and_times),
    WIRE_TEST(test_setattr_of_now_uses_the_hosts_clock),
    WIRE_TEST(test_setattr_of_one_owner_leaves_the_other),
    WIRE_TEST(test_truncate_through_a_handle_works_when_the_mode_would_not_allow_it),
    WIRE_TEST(test_truncate_refuses_what_has_no_size),
    WIRE_TEST(test_symlinks_own_attributes_are_set_and_not_the_targets),
    WIRE_TEST(test_chmod_of_a_symlink_never_reaches_its_target),
    WIRE_TEST(test_statx_has_birth_time),
    WIRE_TEST(test_statx_with_odd_masks_is_answered),
    WIRE_TEST(test_access_answers_for_the_callers_ids),
    WIRE_TEST(test_access_with_a_bad_mask_is_einval),
    WIRE_TEST(test_new_files_belong_to_the_caller),
    WIRE_TEST(test_sgid_is_not_inherited_by_files_of_strangers),
    WIRE_TEST(test_statfs_shows_the_hosts_file_system),
    WIRE_TEST(test_probe_tells_the_version_of_the_extension),
    WIRE_TEST(test_extended_lookup_and_getattr_carry_birth_time),
    WIRE_TEST(test_extended_create_carries_birth_time_and_a_handle),
    WIRE_TEST(test_extended_listing_carries_birth_time_in_each_entry),
};
WIRE_MAIN("attr", tests)
