// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_xattr.c - SETXATTR, GETXATTR, LISTXATTR, REMOVEXATTR, and IOCTL
 */
#include "tests/wire/wire.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

/* tmpfs knows no user.* attributes in older kernels; trusted.* it knows. */
static const char *name_in_use(struct wire *w)
{
    static const char *const names[] = {"user.viofs", "trusted.viofs"};

    host_write(w, "probe", "");
    for (unsigned i = 0; i < ARRAY(names); i++)
        if (setxattr(host(w, "probe"), names[i], "x", 1, 0) == 0)
            return names[i];
    return NULL;
}

/* A share on a file system with attributes of users: the disk's, when /dev/shm has none. */
static struct wire *with_xattr(const char **name)
{
    struct wire *w = wire_up("--xattr");

    *name = name_in_use(w);
    if (*name && (*name)[0] == 'u')
        return w;
    wire_teardown(NULL);
    w = wire_start(&(struct wire_options){.args = (const char *const[]){"--xattr", NULL},
                                          .daemon = {.parent = "/var/tmp"}});
    *name = name_in_use(w);
    if (!*name || (*name)[0] != 'u')
        skip();
    return w;
}

static void test_without_the_option_every_request_is_enosys(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    char buf[64];

    host_write(w, "f", "");
    uint64_t f = node(w, FC_ROOT, "f");
    assert_errno(fc_setxattr(&w->c, f, "user.a", "v", 1, 0), ENOSYS);
    assert_errno(fc_getxattr(&w->c, f, "user.a", buf, sizeof(buf)), ENOSYS);
    assert_errno(fc_listxattr(&w->c, f, buf, sizeof(buf)), ENOSYS);
    assert_errno(fc_removexattr(&w->c, f, "user.a"), ENOSYS);
}

static void test_attributes_are_set_read_listed_and_removed(void **state)
{
    (void)state;
    const char *name;
    struct wire *w = with_xattr(&name);
    char buf[256];

    host_write(w, "f", "");
    uint64_t f = node(w, FC_ROOT, "f");
    assert_ok(fc_setxattr(&w->c, f, name, "value", 5, 0));
    assert_int_equal(getxattr(host(w, "f"), name, buf, sizeof(buf)), 5);
    assert_int_equal(fc_getxattr(&w->c, f, name, buf, 0), 5);
    assert_int_equal(fc_getxattr(&w->c, f, name, buf, sizeof(buf)), 5);
    assert_memory_equal(buf, "value", 5);
    assert_errno(fc_getxattr(&w->c, f, name, buf, 4), ERANGE);
    ssize_t n = fc_listxattr(&w->c, f, buf, sizeof(buf));
    assert_true(n >= (ssize_t)strlen(name) + 1);
    assert_non_null(memmem(buf, (size_t)n, name, strlen(name) + 1));
    assert_int_equal(fc_listxattr(&w->c, f, buf, 0), n);
    assert_errno(fc_listxattr(&w->c, f, buf, 1), ERANGE);
    assert_ok(fc_removexattr(&w->c, f, name));
    assert_errno(fc_getxattr(&w->c, f, name, buf, sizeof(buf)), ENODATA);
    assert_errno(fc_removexattr(&w->c, f, name), ENODATA);
}

static void test_create_and_replace_flags_are_honoured(void **state)
{
    (void)state;
    const char *name;
    struct wire *w = with_xattr(&name);

    host_write(w, "f", "");
    uint64_t f = node(w, FC_ROOT, "f");
    assert_errno(fc_setxattr(&w->c, f, name, "v", 1, XATTR_REPLACE), ENODATA);
    assert_ok(fc_setxattr(&w->c, f, name, "v", 1, XATTR_CREATE));
    assert_errno(fc_setxattr(&w->c, f, name, "v", 1, XATTR_CREATE), EEXIST);
    assert_ok(fc_setxattr(&w->c, f, name, "", 0, XATTR_REPLACE));
    assert_true(fc_setxattr(&w->c, f, name, "v", 1, 0x80) < 0);
}

static void test_attribute_of_a_directory_works_too(void **state)
{
    (void)state;
    const char *name;
    struct wire *w = with_xattr(&name);
    char buf[16];

    assert_ok(fc_setxattr(&w->c, FC_ROOT, name, "v", 1, 0));
    assert_int_equal(fc_getxattr(&w->c, FC_ROOT, name, buf, sizeof(buf)), 1);
}

static void test_attribute_of_a_symlink_never_reaches_its_target(void **state)
{
    (void)state;
    const char *name;
    struct wire *w = with_xattr(&name);
    char buf[16];

    host_write(w, "f", "");
    assert_ok(symlink("f", host(w, "l")));
    fc_setxattr(&w->c, node(w, FC_ROOT, "l"), name, "v", 1, 0);
    assert_int_equal(getxattr(host(w, "f"), name, buf, sizeof(buf)), -1);
}

static void test_names_and_values_have_their_limits(void **state)
{
    (void)state;
    const char *name;
    struct wire *w = with_xattr(&name);
    static char value[65537], longest[300];
    char buf[16];

    host_write(w, "f", "");
    uint64_t f = node(w, FC_ROOT, "f");
    memset(longest, 'n', sizeof(longest) - 1);
    memcpy(longest, "user.", 5);
    longest[256] = '\0';
    assert_errno(fc_setxattr(&w->c, f, longest, "v", 1, 0), ERANGE);
    assert_errno(fc_getxattr(&w->c, f, longest, buf, sizeof(buf)), ERANGE);
    assert_true(fc_setxattr(&w->c, f, "", "v", 1, 0) < 0);
    assert_errno(fc_setxattr(&w->c, f, "nonamespace", "v", 1, 0), EOPNOTSUPP);
    assert_errno(fc_setxattr(&w->c, f, name, value, sizeof(value), 0), E2BIG);
}

static void test_value_longer_than_the_request_is_refused(void **state)
{
    (void)state;
    static const uint32_t size[] = {6, 4096, 65536, 65537, UINT32_MAX};
    const char *name;
    struct wire *w = with_xattr(&name);

    host_write(w, "f", "");
    uint64_t f = node(w, FC_ROOT, "f");
    for (unsigned i = 0; i < ARRAY(size); i++) {
        struct fuse_setxattr_in in = {.size = size[i]};
        struct fc_part p[3] = {
            {&in, FUSE_COMPAT_SETXATTR_IN_SIZE}, {name, strlen(name) + 1}, {"abcde", 5}};
        ssize_t err = fc_call(&w->c, FUSE_SETXATTR, f, p, 3, NULL, 0);
        assert_true(err == -EINVAL || err == -E2BIG);
    }
    assert_int_equal(getxattr(host(w, "f"), name, NULL, 0), -1);
}

static void test_reply_size_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct wire *w = wire_up("--xattr");
    struct {
        struct fuse_getxattr_in in;
        char name[8];
    } q = {.in = {.size = UINT32_MAX}, .name = "user.a"};

    assert_errno(raw(w, FUSE_GETXATTR, FC_ROOT, &q, sizeof(q.in) + 7, NULL, 4096), EINVAL);
    assert_errno(raw(w, FUSE_LISTXATTR, FC_ROOT, &q.in, sizeof(q.in), NULL, 4096), EINVAL);
}

static void test_acls_are_refused_unless_agreed(void **state)
{
    (void)state;
    struct wire *w = wire_up("--xattr");
    char buf[128];

    host_write(w, "f", "");
    uint64_t f = node(w, FC_ROOT, "f");
    assert_true(fc_getxattr(&w->c, f, "system.posix_acl_access", buf, sizeof(buf)) < 0);
    assert_true(fc_setxattr(&w->c, f, "system.posix_acl_access", "\2\0\0\0", 4, 0) < 0);
}

/* Root's daemon has CAP_SYS_ADMIN here, so the host's kernel would take all of them. */
static void test_of_the_security_names_only_samba_s_is_settable_with_sys_admin(void **state)
{
    (void)state;
    static const char *const refused[] = {"security.ima", "security.evm", "security.anything",
                                          "security.NTACL2"};
    struct wire *w = wire_start(&(struct wire_options){
        .args = (const char *const[]){"--xattr", "--modcaps=+sys_admin", NULL},
        .daemon = {.parent = "/var/tmp"}});

    host_write(w, "f", "");
    if (setxattr(host(w, "f"), "security.probe", "x", 1, 0) < 0)
        skip();
    uint64_t f = node(w, FC_ROOT, "f");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_errno(fc_setxattr(&w->c, f, refused[i], "v", 1, 0), EPERM);
    assert_errno(fc_removexattr(&w->c, f, "security.probe"), EPERM);
    assert_ok(fc_setxattr(&w->c, f, "security.NTACL", "v", 1, 0));
    assert_int_equal(getxattr(host(w, "f"), "security.NTACL", NULL, 0), 1);
}

static void test_xattrmap_hides_the_guests_names_behind_a_prefix(void **state)
{
    (void)state;
    const char *name;
    struct wire *w = with_xattr(&name);
    char buf[256];

    wire_teardown(NULL);
    w = wire_start(&(struct wire_options){
        .args = (const char *const[]){"--xattrmap=:map::user.virtiofs.:", NULL},
        .daemon = {.parent = "/var/tmp"}});
    host_write(w, "f", "");
    if (setxattr(host(w, "f"), "user.probe", "x", 1, 0) < 0)
        skip();
    uint64_t f = node(w, FC_ROOT, "f");
    assert_ok(fc_setxattr(&w->c, f, "trusted.secret", "v", 1, 0));
    assert_int_equal(getxattr(host(w, "f"), "user.virtiofs.trusted.secret", buf, sizeof(buf)), 1);
    assert_int_equal(fc_getxattr(&w->c, f, "trusted.secret", buf, sizeof(buf)), 1);
    ssize_t n = fc_listxattr(&w->c, f, buf, sizeof(buf));
    assert_int_equal(n, sizeof("trusted.secret"));
    assert_string_equal(buf, "trusted.secret");
}

/* ---- IOCTL ------------------------------------------------------------------------------------------ */

static ssize_t do_ioctl(struct wire *w, uint64_t nodeid, uint64_t fh, uint32_t flags, uint32_t cmd,
                        const void *data, uint32_t in_size, uint32_t out_size, void *reply)
{
    struct fuse_ioctl_in in = {
        .fh = fh, .flags = flags, .cmd = cmd, .in_size = in_size, .out_size = out_size};
    struct fc_part p[2] = {{&in, sizeof(in)}, {data, in_size}};

    return fc_call(&w->c, FUSE_IOCTL, nodeid, p, in_size ? 2 : 1, reply,
                   sizeof(struct fuse_ioctl_out) + out_size);
}

struct flags_reply {
    struct fuse_ioctl_out out;
    int flags;
    int more;
};

static void test_ioctl_reads_and_sets_inode_flags_where_the_host_can(void **state)
{
    (void)state;
    struct wire *w = wire_start(&(struct wire_options){.daemon = {.parent = "/var/tmp"}});
    struct flags_reply r = {0};
    int host_flags = 0;

    host_write(w, "f", "");
    int fd = open(host(w, "f"), O_RDONLY);
    bool able = ioctl(fd, FS_IOC_GETFLAGS, &host_flags) == 0;
    close(fd);
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR);
    ssize_t n = do_ioctl(w, f, fh, 0, FS_IOC_GETFLAGS, NULL, 0, 8, &r);
    if (!able) {
        assert_true(n == -ENOTTY || n == -EOPNOTSUPP || n == -ENOSYS);
        return;
    }
    assert_true(n >= (ssize_t)(sizeof(r.out) + sizeof(int)));
    assert_int_equal(r.out.result, 0);
    assert_int_equal(r.flags, host_flags);
    int wanted = host_flags | FS_NODUMP_FL;
    if (do_ioctl(w, f, fh, 0, FS_IOC_SETFLAGS, &wanted, sizeof(wanted), 0, &r) >= 0) {
        assert_true(do_ioctl(w, f, fh, 0, FS_IOC_GETFLAGS, NULL, 0, 8, &r) > 0);
        assert_int_equal(r.flags, wanted);
    }
}

static void test_unknown_and_unrestricted_ioctls_are_enotty(void **state)
{
    (void)state;
    static const uint32_t cmd[] = {0, 1, 0x5413 /* TIOCGWINSZ */, 0xc020660b /* FS_IOC_FIEMAP */,
                                   UINT32_MAX};
    struct wire *w = wire_up(NULL);
    struct flags_reply r;

    host_write(w, "f", "");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR);
    for (unsigned i = 0; i < ARRAY(cmd); i++)
        assert_errno(do_ioctl(w, f, fh, 0, cmd[i], NULL, 0, 8, &r), ENOTTY);
    assert_errno(do_ioctl(w, f, fh, FUSE_IOCTL_UNRESTRICTED, FS_IOC_GETFLAGS, NULL, 0, 8, &r),
                 ENOTTY);
}

static void test_ioctl_with_a_bad_handle_or_sizes_is_refused(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_ioctl_in in = {.cmd = FS_IOC_GETFLAGS, .out_size = UINT32_MAX};
    struct flags_reply r;

    host_write(w, "f", "");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR);
    assert_errno(do_ioctl(w, f, fh + 1, 0, FS_IOC_GETFLAGS, NULL, 0, 8, &r), EBADF);
    assert_errno(do_ioctl(w, FC_ROOT, fh, 0, FS_IOC_GETFLAGS, NULL, 0, 8, &r), EBADF);
    in.fh = fh;
    assert_errno(raw(w, FUSE_IOCTL, f, &in, sizeof(in), &r, sizeof(r)), EINVAL);
    in.out_size = 0;
    in.in_size = UINT32_MAX;
    assert_errno(raw(w, FUSE_IOCTL, f, &in, sizeof(in), &r, sizeof(r)), EINVAL);
    wire_alive(w);
}

/* ---- security labels of new files --------------------------------------------------------------- */

/* MKDIR (@dir) or CREATE of "f" with a security context, as Linux sends it. Return: payload or -errno. */
static ssize_t make_labelled(struct wire *w, bool dir, const char *label)
{
    struct fuse_mkdir_in mkdir_in = {.mode = 0755};
    struct fuse_create_in create_in = {.flags = O_RDWR, .mode = 0644};
    struct fuse_secctx ctx = {.size = 4};
    size_t len = sizeof(struct fuse_secctx_header) + sizeof(ctx) + strlen(label) + 1 + ctx.size;
    struct fuse_secctx_header head = {.size = (uint32_t)(len + 7) & ~7u, .nr_secctx = 1};
    const struct fc_part parts[] = {
        {dir ? (void *)&mkdir_in : &create_in, dir ? sizeof(mkdir_in) : sizeof(create_in)},
        {"f", 2},
        {&head, sizeof(head)},
        {&ctx, sizeof(ctx)},
        {label, strlen(label) + 1},
        {"text\0\0\0\0\0\0\0", ctx.size + head.size - len},
    };

    return fc_call(&w->c, dir ? FUSE_MKDIR : FUSE_CREATE, FC_ROOT, parts, ARRAY(parts), NULL, 256);
}

static struct wire *wire_with_labels(void)
{
    struct wire *w = wire_start(&(struct wire_options){
        .args = (const char *const[]){"--security-label=auto", NULL}, .no_init = true});

    assert_ok(fc_init_as(&w->c, 38, FC_LINUX_FLAGS | FUSE_SECURITY_CTX));
    return w;
}

static void test_a_new_file_gets_its_label(void **state)
{
    (void)state;
    struct wire *w = wire_with_labels();
    char value[8];

    assert_true(make_labelled(w, false, "user.label") > 0);
    assert_int_equal(getxattr(host(w, "f"), "user.label", value, sizeof(value)), 4);
    assert_memory_equal(value, "text", 4);
}

static void test_what_cannot_be_labelled_is_not_made(void **state)
{
    (void)state;
    struct wire *w = wire_with_labels();

    assert_errno(make_labelled(w, false, "no.such.kind"), EOPNOTSUPP);
    assert_false(host_exists(w, "f"));
    assert_errno(make_labelled(w, true, "no.such.kind"), EOPNOTSUPP);
    assert_false(host_exists(w, "f"));
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_without_the_option_every_request_is_enosys),
    WIRE_TEST(test_attributes_are_set_read_listed_and_removed),
    WIRE_TEST(test_create_and_replace_flags_are_honoured),
    WIRE_TEST(test_attribute_of_a_directory_works_too),
    WIRE_TEST(test_attribute_of_a_symlink_never_reaches_its_target),
    WIRE_TEST(test_names_and_values_have_their_limits),
    WIRE_TEST(test_value_longer_than_the_request_is_refused),
    WIRE_TEST(test_reply_size_that_does_not_fit_is_refused),
    WIRE_TEST(test_acls_are_refused_unless_agreed),
    WIRE_TEST(test_of_the_security_names_only_samba_s_is_settable_with_sys_admin),
    WIRE_TEST(test_xattrmap_hides_the_guests_names_behind_a_prefix),
    WIRE_TEST(test_ioctl_reads_and_sets_inode_flags_where_the_host_can),
    WIRE_TEST(test_unknown_and_unrestricted_ioctls_are_enotty),
    WIRE_TEST(test_ioctl_with_a_bad_handle_or_sizes_is_refused),
    WIRE_TEST(test_a_new_file_gets_its_label),
    WIRE_TEST(test_what_cannot_be_labelled_is_not_made),
};
WIRE_MAIN("xattr", tests)
