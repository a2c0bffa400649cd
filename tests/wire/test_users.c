// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_users.c - whose files these are: ids, groups, set-id bits, umask and default ACLs
 *
 * Needs root, as a daemon that acts for several users does.
 */
#include "tests/wire/wire.h"

#include <sys/xattr.h>

enum { ALICE = 12345, STAFF = 23456 };

static void need_root(void)
{
    if (geteuid() != 0) {
        print_message("needs root\n");
        skip();
    }
}

static void become(struct wire *w, uint32_t uid, uint32_t gid)
{
    w->c.uid = uid;
    w->c.gid = gid;
}

static void assert_owned(struct wire *w, const char *name, uint32_t uid, uint32_t gid)
{
    struct stat st = host_stat(w, name);

    assert_int_equal(st.st_uid, uid);
    assert_int_equal(st.st_gid, gid);
}

/* ---- creating ------------------------------------------------------------------------------- */

static void test_whatever_is_created_belongs_to_the_requests_user(void **state)
{
    (void)state;
    need_root();
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    uint64_t fh;

    assert_ok(chmod(w->d.share, 0777));
    become(w, ALICE, STAFF);
    assert_ok(fc_mkdir(&w->c, FC_ROOT, "dir", 0755, &e));
    assert_ok(fc_mknod(&w->c, FC_ROOT, "node", S_IFREG | 0644, 0, &e));
    assert_ok(fc_symlink(&w->c, FC_ROOT, "link", "target", &e));
    assert_ok(fc_create(&w->c, FC_ROOT, "file", O_RDWR | O_EXCL, 0644, &e, &fh));
    const char *names[] = {"dir", "node", "link", "file"};
    for (unsigned i = 0; i < ARRAY(names); i++)
        assert_owned(w, names[i], ALICE, STAFF);
    assert_int_equal(e.attr.uid, ALICE);
    assert_int_equal(e.attr.gid, STAFF);
}

static void test_the_daemon_is_itself_again_after_acting_for_a_user(void **state)
{
    (void)state;
    need_root();
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    assert_ok(chmod(w->d.share, 0777));
    become(w, ALICE, STAFF);
    assert_ok(fc_mkdir(&w->c, FC_ROOT, "hers", 0755, &e));
    become(w, 0, 0);
    assert_ok(fc_mkdir(&w->c, FC_ROOT, "roots", 0755, &e));
    assert_owned(w, "roots", 0, 0);
}

/* The guest's kernel has checked; the group that lets her in was not sent. */
static void test_a_directory_that_a_supplementary_group_opens(void **state)
{
    (void)state;
    need_root();
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    host_mkdir(w, "shared");
    assert_ok(chown(host(w, "shared"), 0, STAFF));
    assert_ok(chmod(host(w, "shared"), 0770));
    uint64_t dir = node(w, FC_ROOT, "shared");
    become(w, ALICE, ALICE);
    assert_ok(fc_mkdir(&w->c, dir, "sub", 0755, &e));
    assert_owned(w, "shared/sub", ALICE, ALICE);
}

static void test_a_set_gid_directory_hands_its_group_down(void **state)
{
    (void)state;
    need_root();
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    uint64_t fh;

    host_mkdir(w, "shared");
    assert_ok(chown(host(w, "shared"), 0, STAFF));
    assert_ok(chmod(host(w, "shared"), 02777));
    uint64_t dir = node(w, FC_ROOT, "shared");
    become(w, ALICE, ALICE);
    assert_ok(fc_create(&w->c, dir, "file", O_RDWR, 0644, &e, &fh));
    assert_owned(w, "shared/file", ALICE, STAFF);
    assert_ok(fc_mkdir(&w->c, dir, "sub", 0755, &e));
    assert_true(host_stat(w, "shared/sub").st_mode & S_ISGID);
}

static void test_access_is_checked_as_the_user(void **state)
{
    (void)state;
    need_root();
    struct wire *w = wire_up(NULL);

    host_write(w, "secret", "text");
    assert_ok(chmod(host(w, "secret"), 0600));
    uint64_t f = node(w, FC_ROOT, "secret");
    assert_ok(fc_access(&w->c, f, R_OK | W_OK));
    become(w, ALICE, ALICE);
    assert_errno(fc_access(&w->c, f, R_OK), EACCES);
    assert_ok(fc_access(&w->c, f, F_OK));
}

/* ---- translation ---------------------------------------------------------------------------- */

static void test_mapped_ids_are_translated_both_ways(void **state)
{
    (void)state;
    need_root();
    struct wire *w =
        wire_up("--translate-uid=map:1000:50000:10", "--translate-gid=map:1000:60000:10");
    struct fuse_entry_out e;
    struct fuse_setattr_in in = {.valid = FATTR_UID | FATTR_GID, .uid = 1009, .gid = 1008};
    struct fuse_attr a;

    assert_ok(chmod(w->d.share, 0777));
    become(w, 1003, 1004);
    assert_ok(fc_mkdir(&w->c, FC_ROOT, "dir", 0755, &e));
    assert_owned(w, "dir", 50003, 60004);
    assert_int_equal(e.attr.uid, 1003);
    assert_int_equal(e.attr.gid, 1004);
    become(w, 0, 0);
    assert_ok(fc_setattr(&w->c, e.nodeid, &in, &a));
    assert_owned(w, "dir", 50009, 60008);
    assert_int_equal(a.uid, 1009);
    assert_int_equal(a.gid, 1008);
}

static void test_forbidden_ids_may_neither_create_nor_be_given_a_file(void **state)
{
    (void)state;
    need_root();
    struct wire *w = wire_up("--translate-uid=forbid-guest:1000:10");
    struct fuse_entry_out e;
    struct fuse_setattr_in in = {.valid = FATTR_UID, .uid = 1001};

    assert_ok(chmod(w->d.share, 0777));
    host_write(w, "f", "x");
    assert_errno(fc_setattr(&w->c, node(w, FC_ROOT, "f"), &in, NULL), EPERM);
    become(w, 1000, 0);
    assert_errno(fc_mkdir(&w->c, FC_ROOT, "dir", 0755, &e), EPERM);
    assert_false(host_exists(w, "dir"));
}

static void test_squashed_ids_become_one(void **state)
{
    (void)state;
    need_root();
    struct wire *w = wire_up("--translate-uid=squash-guest:0:7000:100000",
                             "--translate-uid=squash-host:7000:42:1");
    struct fuse_entry_out e;

    assert_ok(chmod(w->d.share, 0777));
    become(w, 1234, 0);
    assert_ok(fc_mkdir(&w->c, FC_ROOT, "dir", 0755, &e));
    assert_int_equal(host_stat(w, "dir").st_uid, 7000);
    assert_int_equal(e.attr.uid, 42);
}

/* ---- set-id bits ---------------------------------------------------------------------------- */

static uint64_t set_id_file(struct wire *w)
{
    host_write(w, "f", "text");
    assert_ok(chmod(host(w, "f"), 06755));
    return node(w, FC_ROOT, "f");
}

/* One WRITE of @size bytes (0 or 1) with @flags. */
static void write_bytes_with(struct wire *w, uint64_t f, uint32_t size, uint32_t flags)
{
    struct {
        struct fuse_write_in in;
        char data[8];
    } rq = {.in = {.fh = opened(w, f, O_WRONLY), .size = size, .write_flags = flags}};
    struct fuse_write_out out;

    assert_int_equal(raw(w, FUSE_WRITE, f, &rq, sizeof(rq.in) + size, &out, sizeof(out)),
                     sizeof(out));
    assert_int_equal(out.size, size);
}

static void write_with(struct wire *w, uint64_t f, uint32_t flags)
{
    write_bytes_with(w, f, 1, flags);
}

static void test_a_write_that_must_clears_set_id_bits(void **state)
{
    (void)state;
    need_root();
    struct wire *w = wire_up(NULL);

    write_with(w, set_id_file(w), FUSE_WRITE_KILL_SUIDGID);
    assert_int_equal(host_stat(w, "f").st_mode & 07777, 0755);
}

static void test_a_write_by_the_guests_root_keeps_set_id_bits(void **state)
{
    (void)state;
    need_root();
    struct wire *w = wire_up(NULL);
    uint64_t f = set_id_file(w);

    write_with(w, f, 0);
    assert_int_equal(host_stat(w, "f").st_mode & 07777, 06755);
    /* Nor has an earlier clearing write left the thread without the capability. */
    write_with(w, f, FUSE_WRITE_KILL_SUIDGID);
    assert_ok(chmod(host(w, "f"), 06755));
    write_with(w, f, 0);
    assert_int_equal(host_stat(w, "f").st_mode & 07777, 06755);
}

static void
test_an_empty_write_that_must_clear_set_id_bits_leaves_the_daemon_its_rights(void **state)
{
    (void)state;
    need_root();
    struct wire *w = wire_up(NULL);
    uint64_t f = set_id_file(w);

    write_bytes_with(w, f, 0, FUSE_WRITE_KILL_SUIDGID);
    write_with(w, f, 0);
    assert_int_equal(host_stat(w, "f").st_mode & 07777, 06755);
}

static void test_a_truncation_that_must_clears_set_id_bits(void **state)
{
    (void)state;
    need_root();
    struct wire *w = wire_up(NULL);
    struct fuse_setattr_in in = {.valid = FATTR_SIZE | FATTR_KILL_SUIDGID, .size = 2};

    assert_ok(fc_setattr(&w->c, set_id_file(w), &in, NULL));
    assert_int_equal(host_stat(w, "f").st_mode & 07777, 0755);
}

static void test_opening_with_truncation_that_must_clears_set_id_bits(void **state)
{
    (void)state;
    need_root();
    struct wire *w = wire_up(NULL);
    struct fuse_open_in in = {.flags = O_WRONLY | O_TRUNC, .open_flags = FUSE_OPEN_KILL_SUIDGID};
    struct fuse_open_out out;

    assert_int_equal(raw(w, FUSE_OPEN, set_id_file(w), &in, sizeof(in), &out, sizeof(out)),
                     sizeof(out));
    assert_int_equal(host_stat(w, "f").st_mode & 07777, 0755);
    assert_int_equal(host_stat(w, "f").st_size, 0);
}

/* ---- umask and default ACLs ------------------------------------------------------------------ */

/* Create with a umask of 022, as a kernel that agreed on FUSE_DONT_MASK. */
static mode_t created_mode(struct wire *w, uint64_t dir, const char *path)
{
    struct {
        struct fuse_create_in in;
        char name[8];
    } rq = {.in = {.flags = O_RDWR, .mode = S_IFREG | 0666, .umask = 022}, .name = "new"};
    uint8_t out[sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out)];

    assert_int_equal(raw(w, FUSE_CREATE, dir, &rq, sizeof(rq.in) + 4, out, sizeof(out)),
                     sizeof(out));
    return host_stat(w, path).st_mode & 07777;
}

/* system.posix_acl_default, as linux/posix_acl_xattr.h lays it out: rwx, group rw, other r. */
static void give_default_acl(const char *path)
{
    const struct {
        uint32_t version;
        struct {
            uint16_t tag, perm;
            uint32_t id;
        } e[3];
    } acl = {2, {{0x01, 7, UINT32_MAX}, {0x04, 6, UINT32_MAX}, {0x20, 4, UINT32_MAX}}};

    assert_ok(setxattr(path, "system.posix_acl_default", &acl, sizeof(acl), 0));
}

static void test_the_guests_umask_applies_where_it_was_left_to_us(void **state)
{
    (void)state;
    struct wire *w = wire_up("--xattr", "--posix-acl");

    host_mkdir(w, "d");
    assert_int_equal(created_mode(w, node(w, FC_ROOT, "d"), "d/new"), 0644);
}

static void test_a_default_acl_overrides_the_umask(void **state)
{
    (void)state;
    need_root();
    struct wire *w = wire_up("--xattr", "--posix-acl");

    host_mkdir(w, "d");
    give_default_acl(host(w, "d"));
    assert_int_equal(created_mode(w, node(w, FC_ROOT, "d"), "d/new"), 0664);
}

static void test_without_acls_the_guest_has_masked_already(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_mkdir(w, "d");
    assert_int_equal(created_mode(w, node(w, FC_ROOT, "d"), "d/new"), 0666);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_whatever_is_created_belongs_to_the_requests_user),
    WIRE_TEST(test_the_daemon_is_itself_again_after_acting_for_a_user),
    WIRE_TEST(test_a_directory_that_a_supplementary_group_opens),
    WIRE_TEST(test_a_set_gid_directory_hands_its_group_down),
    WIRE_TEST(test_access_is_checked_as_the_user),
    WIRE_TEST(test_mapped_ids_are_translated_both_ways),
    WIRE_TEST(test_forbidden_ids_may_neither_create_nor_be_given_a_file),
    WIRE_TEST(test_squashed_ids_become_one),
    WIRE_TEST(test_a_write_that_must_clears_set_id_bits),
    WIRE_TEST(test_a_write_by_the_guests_root_keeps_set_id_bits),
    WIRE_TEST(test_an_empty_write_that_must_clear_set_id_bits_leaves_the_daemon_its_rights),
    WIRE_TEST(test_a_truncation_that_must_clears_set_id_bits),
    WIRE_TEST(test_opening_with_truncation_that_must_clears_set_id_bits),
    WIRE_TEST(test_the_guests_umask_applies_where_it_was_left_to_us),
    WIRE_TEST(test_a_default_acl_overrides_the_umask),
    WIRE_TEST(test_without_acls_the_guest_has_masked_already),
};

WIRE_MAIN("users", tests)
