// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_fuse_names.c - names and extensions in requests, well-formed and hostile
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/fuse_request.h"

/* Decode a request of @opcode whose only name is @name. */
static int decode_name(uint32_t opcode, const char *name, size_t len)
{
    struct request *r = request(opcode);
    int err;

    put_zeros(r, fuse_op_find(opcode)->arg_len);
    put(r, name, len);
    err = decode(r);
    done(r);
    return err;
}

/* Decode a request of @opcode with two names. */
static int decode_names(uint32_t opcode, const char *first, const char *second)
{
    struct request *r = request(opcode);
    int err;

    put_zeros(r, fuse_op_find(opcode)->arg_len);
    put_text(r, first);
    put_text(r, second);
    err = decode(r);
    done(r);
    return err;
}

static const uint32_t name_changers[] = {FUSE_MKNOD, FUSE_MKDIR,  FUSE_UNLINK, FUSE_RMDIR,
                                         FUSE_LINK,  FUSE_CREATE, VIOFS_CREATE};
#define EACH_CHANGER(i) (size_t i = 0; i < sizeof(name_changers) / sizeof(name_changers[0]); i++)

static void test_dot_and_dotdot_are_names_in_lookup_only(void **state)
{
    (void)state;
    assert_int_equal(decode_name(FUSE_LOOKUP, ".", 2), 0);
    assert_int_equal(decode_name(FUSE_LOOKUP, "..", 3), 0);
    assert_int_equal(decode_name(VIOFS_LOOKUP, ".", 2), 0);
    for
        EACH_CHANGER(i)
        {
            assert_int_equal(decode_name(name_changers[i], ".", 2), -EINVAL);
            assert_int_equal(decode_name(name_changers[i], "..", 3), -EINVAL);
            assert_int_equal(decode_name(name_changers[i], "...", 4), 0);
            assert_int_equal(decode_name(name_changers[i], ".a", 3), 0);
        }
}

static void test_names_with_a_slash_or_without_bytes_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_name(FUSE_LOOKUP, "a/b", 4), -EINVAL);
    assert_int_equal(decode_name(FUSE_LOOKUP, "/", 2), -EINVAL);
    assert_int_equal(decode_name(FUSE_LOOKUP, "../x", 5), -EINVAL);
    assert_int_equal(decode_name(FUSE_LOOKUP, "", 1), -EINVAL);
    for
        EACH_CHANGER(i)
        {
            assert_int_equal(decode_name(name_changers[i], "/etc/passwd", 12), -EINVAL);
            assert_int_equal(decode_name(name_changers[i], "", 1), -EINVAL);
        }
}

static void test_names_end_at_255_bytes(void **state)
{
    char name[300];

    (void)state;
    memset(name, 'n', sizeof(name));
    name[255] = '\0';
    assert_int_equal(decode_name(FUSE_LOOKUP, name, 256), 0);
    assert_int_equal(decode_name(FUSE_MKDIR, name, 256), 0);
    name[255] = 'n';
    name[256] = '\0';
    assert_int_equal(decode_name(FUSE_LOOKUP, name, 257), -ENAMETOOLONG);
    assert_int_equal(decode_name(FUSE_MKDIR, name, 257), -ENAMETOOLONG);
}

static void test_names_without_an_end_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_name(FUSE_LOOKUP, "name", 4), -EINVAL);
    assert_int_equal(decode_name(FUSE_GETXATTR, "name", 4), -EINVAL);
    assert_int_equal(decode_name(FUSE_TMPFILE, "name", 4), -EINVAL);
}

static void test_any_byte_but_slash_and_nul_is_a_name(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        char name[] = {(char)c, 'x', '\0'};

        assert_int_equal(decode_name(FUSE_LOOKUP, name, 3), c == '/' ? -EINVAL : 0);
    }
}

static void test_name_check_sees_a_nul_inside(void **state)
{
    (void)state;
    assert_int_equal(name_check("a\0b", 3, NAME_LOOKUP), -EINVAL);
    assert_int_equal(name_check("\0", 1, NAME_LOOKUP), -EINVAL);
    assert_int_equal(name_check("a", SIZE_MAX, NAME_LOOKUP), -ENAMETOOLONG);
}

static void test_both_names_of_a_rename_are_checked(void **state)
{
    static const uint32_t renames[] = {FUSE_RENAME, FUSE_RENAME2};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(decode_names(renames[i], "old", "new"), 0);
        assert_int_equal(decode_names(renames[i], "..", "new"), -EINVAL);
        assert_int_equal(decode_names(renames[i], "old", ".."), -EINVAL);
        assert_int_equal(decode_names(renames[i], "old", "../new"), -EINVAL);
        assert_int_equal(decode_names(renames[i], "old", ""), -EINVAL);
        assert_int_equal(decode_name(renames[i], "old", 4), -EINVAL);
    }
}

static void test_rename_gives_both_names_in_order(void **state)
{
    struct request *r = request(FUSE_RENAME2);

    (void)state;
    put_zeros(r, sizeof(struct fuse_rename2_in));
    put_text(r, "old");
    put_text(r, "newer");
    assert_int_equal(decode(r), 0);
    assert_string_equal(r->call.name[0].s, "old");
    assert_int_equal(r->call.name[0].len, 3);
    assert_string_equal(r->call.name[1].s, "newer");
    assert_int_equal(r->call.name[1].len, 5);
    done(r);
}

static void test_symlink_target_is_data_but_its_name_is_not(void **state)
{
    (void)state;
    assert_int_equal(decode_names(FUSE_SYMLINK, "link", "/etc/passwd"), 0);
    assert_int_equal(decode_names(FUSE_SYMLINK, "link", "../../.."), 0);
    assert_int_equal(decode_names(FUSE_SYMLINK, "/etc/link", "x"), -EINVAL);
    assert_int_equal(decode_names(FUSE_SYMLINK, "..", "x"), -EINVAL);
    assert_int_equal(decode_names(FUSE_SYMLINK, "link", ""), -EINVAL);
}

static void test_symlink_target_ends_at_4095_bytes(void **state)
{
    struct request *r = request(FUSE_SYMLINK);

    (void)state;
    put_text(r, "link");
    put_run(r, 't', 4095);
    assert_int_equal(decode(r), 0);
    assert_int_equal(r->call.name[1].len, 4095);
    done(r);
    r = request(FUSE_SYMLINK);
    put_text(r, "link");
    put_run(r, 't', 4096);
    assert_int_equal(decode(r), -ENAMETOOLONG);
    done(r);
}

static void test_tmpfile_carries_a_name_that_means_nothing(void **state)
{
    (void)state;
    assert_int_equal(decode_name(FUSE_TMPFILE, "/", 2), 0);
    assert_int_equal(decode_name(FUSE_TMPFILE, "", 1), 0);
}

static void test_xattr_names_may_hold_a_slash_and_end_at_255_bytes(void **state)
{
    struct request *r = request(FUSE_REMOVEXATTR);

    (void)state;
    assert_int_equal(decode_name(FUSE_REMOVEXATTR, "user.a/b", 9), 0);
    assert_int_equal(decode_name(FUSE_REMOVEXATTR, "", 1), -ERANGE);
    put_run(r, 'x', 255);
    assert_int_equal(decode(r), 0);
    done(r);
    r = request(FUSE_REMOVEXATTR);
    put_run(r, 'x', 256);
    assert_int_equal(decode(r), -ERANGE);
    done(r);
}

/* ---- extensions ---------------------------------------------------------------------------- */

static void pad8(struct request *r, size_t from)
{
    put_zeros(r, (8 - (r->len - from) % 8) % 8);
}

/* A security context as Linux sends it; @count and @size are what the wire says. */
static void put_secctx(struct request *r, uint32_t count, const char *name, uint32_t size,
                       const char *value)
{
    size_t from = r->len;
    struct fuse_secctx_header h = {.nr_secctx = count};
    struct fuse_secctx s = {.size = size};

    put(r, &h, sizeof(h));
    if (count) {
        put(r, &s, sizeof(s));
        put_text(r, name);
        put(r, value, strlen(value));
        pad8(r, from);
    }
    h.size = (uint32_t)(r->len - from);
    memcpy(r->bytes + from, &h, sizeof(h));
}

static void put_groups(struct request *r, uint32_t says, uint32_t n)
{
    size_t from = r->len;
    struct fuse_ext_header h = {.type = VIOFS_FUSE_EXT_GROUPS};

    put(r, &h, sizeof(h));
    put(r, &says, sizeof(says));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t gid = 1000 + i;

        put(r, &gid, sizeof(gid));
    }
    pad8(r, from);
    h.size = (uint32_t)(r->len - from);
    memcpy(r->bytes + from, &h, sizeof(h));
}

static struct request *mkdir_request(bool secctx, bool groups)
{
    struct request *r = request(FUSE_MKDIR);

    r->dialect.security_ctx = secctx;
    r->dialect.supp_group = groups;
    put_zeros(r, sizeof(struct fuse_mkdir_in));
    put_text(r, "dir"); /* extensions that follow are not aligned */
    return r;
}

static void count_extensions(struct request *r, size_t from)
{
    head(r)->total_extlen = (uint16_t)((r->len - from) / 8);
}

static void assert_label(const struct fuse_call *c)
{
    assert_string_equal(c->secctx_name.s, "security.selinux");
    assert_int_equal(c->secctx_len, 5);
    assert_memory_equal(c->secctx, "label", 5);
}

static void test_both_extensions_are_found_in_either_order(void **state)
{
    (void)state;
    for (int groups_first = 0; groups_first < 2; groups_first++) {
        struct request *r = mkdir_request(true, true);
        size_t from = r->len;

        if (groups_first)
            put_groups(r, 2, 2);
        put_secctx(r, 1, "security.selinux", 5, "label");
        if (!groups_first)
            put_groups(r, 2, 2);
        count_extensions(r, from);
        assert_int_equal(decode(r), 0);
        assert_label(&r->call);
        assert_int_equal(r->call.n_groups, 2);
        assert_int_equal(r->call.groups[0], 1000);
        assert_int_equal(r->call.groups[1], 1001);
        done(r);
    }
}

static void test_security_context_of_an_older_kernel_has_no_total(void **state)
{
    struct request *r = mkdir_request(true, false);

    (void)state;
    put_secctx(r, 1, "security.selinux", 5, "label");
    assert_int_equal(decode(r), 0);
    assert_label(&r->call);
    done(r);
}

static void test_security_context_may_be_absent(void **state)
{
    struct request *r = mkdir_request(true, true);

    (void)state;
    assert_int_equal(decode(r), 0);
    assert_int_equal(r->call.secctx_name.len, 0);
    put_secctx(r, 0, "", 0, "");
    assert_int_equal(decode(r), 0);
    assert_int_equal(r->call.secctx_name.len, 0);
    done(r);
}

static void test_symlink_extensions_follow_the_target(void **state)
{
    struct request *r = request(FUSE_SYMLINK);

    (void)state;
    r->dialect.security_ctx = true;
    put_text(r, "link");
    put_text(r, "target");
    put_secctx(r, 1, "security.selinux", 5, "label");
    assert_int_equal(decode(r), 0);
    assert_string_equal(r->call.name[1].s, "target");
    assert_label(&r->call);
    done(r);
}

static void test_extensions_that_were_not_agreed_are_refused_or_unread(void **state)
{
    struct request *r = mkdir_request(false, false);

    (void)state;
    put_groups(r, 1, 1);
    assert_int_equal(decode(r), 0); /* bytes behind the last part say nothing */
    assert_int_equal(r->call.n_groups, 0);
    r->dialect.security_ctx = true;
    assert_int_equal(decode(r), -EINVAL);
    done(r);

    r = mkdir_request(false, true);
    put_secctx(r, 1, "security.selinux", 5, "label");
    assert_int_equal(decode(r), -EINVAL);
    done(r);
}

static void test_total_that_disagrees_with_the_request_is_refused(void **state)
{
    struct request *r = mkdir_request(true, true);
    size_t from = r->len;

    (void)state;
    put_groups(r, 1, 1);
    count_extensions(r, from);
    head(r)->total_extlen++;
    assert_int_equal(decode(r), -EINVAL);
    head(r)->total_extlen = (uint16_t)(head(r)->total_extlen - 2);
    assert_int_equal(decode(r), -EINVAL);
    head(r)->total_extlen = UINT16_MAX;
    assert_int_equal(decode(r), -EINVAL);
    done(r);
}

static void test_every_cut_through_the_extensions_is_refused(void **state)
{
    struct request *r = mkdir_request(true, true);
    size_t from = r->len;
    size_t first;

    (void)state;
    put_secctx(r, 1, "security.selinux", 5, "label");
    first = r->len;
    put_groups(r, 3, 3);
    for (size_t len = from + 1; len < r->len; len++)
        assert_int_equal(decode_as(r, (uint32_t)len, len), len == first ? 0 : -EINVAL);
    done(r);
}

static void test_extension_sizes_that_lie_are_refused(void **state)
{
    static const uint32_t lies[] = {0, 1, 7, 9, 4096, UINT32_MAX, UINT32_MAX - 7};

    (void)state;
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct request *r = mkdir_request(true, true);
        size_t from = r->len;

        put_groups(r, 1, 1);
        memcpy(r->bytes + from, &lies[i], sizeof(lies[i]));
        assert_int_equal(decode(r), -EINVAL);
        done(r);
    }
}

static void test_group_counts_that_lie_are_refused(void **state)
{
    struct request *r = mkdir_request(false, true);

    (void)state;
    put_groups(r, 4, 1);
    assert_int_equal(decode(r), -EINVAL);
    done(r);
    r = mkdir_request(false, true);
    put_groups(r, 0x40000001, 1); /* 4 bytes in 32-bit arithmetic */
    assert_int_equal(decode(r), -EINVAL);
    done(r);
}

static void test_groups_end_at_what_there_is_room_for(void **state)
{
    struct request *r = mkdir_request(false, true);

    (void)state;
    put_groups(r, FUSE_MAX_GROUPS, FUSE_MAX_GROUPS);
    assert_int_equal(decode(r), 0);
    assert_int_equal(r->call.groups[FUSE_MAX_GROUPS - 1], 1000 + FUSE_MAX_GROUPS - 1);
    done(r);
    r = mkdir_request(false, true);
    put_groups(r, FUSE_MAX_GROUPS + 1, FUSE_MAX_GROUPS + 1);
    assert_int_equal(decode(r), -E2BIG);
    done(r);
}

static void test_security_contexts_that_lie_are_refused(void **state)
{
    struct request *r = mkdir_request(true, false);

    (void)state;
    put_secctx(r, 1, "security.selinux", 50, "label"); /* value beyond the extension */
    assert_int_equal(decode(r), -EINVAL);
    done(r);
    r = mkdir_request(true, false);
    put_secctx(r, 1, "security.selinux", UINT32_MAX, "label");
    assert_int_equal(decode(r), -E2BIG);
    done(r);
    r = mkdir_request(true, false);
    put_secctx(r, 1, "", 5, "label"); /* no name */
    assert_int_equal(decode(r), -ERANGE);
    done(r);
    r = mkdir_request(true, false);
    put_secctx(r, 2, "security.selinux", 5, "label"); /* two: no file system has both */
    assert_int_equal(decode(r), -EINVAL);
    done(r);
}

static void test_an_extension_may_come_once(void **state)
{
    struct request *r = mkdir_request(true, true);

    (void)state;
    put_groups(r, 1, 1);
    put_groups(r, 1, 1);
    assert_int_equal(decode(r), -EINVAL);
    done(r);
    r = mkdir_request(true, true);
    put_secctx(r, 1, "security.selinux", 5, "label");
    put_secctx(r, 1, "security.selinux", 5, "label");
    assert_int_equal(decode(r), -EINVAL);
    done(r);
}

static void test_extensions_of_an_unknown_type_are_refused(void **state)
{
    struct request *r = mkdir_request(true, true);
    struct fuse_ext_header h = {.size = 8, .type = 33};

    (void)state;
    put(r, &h, sizeof(h));
    assert_int_equal(decode(r), -EINVAL);
    done(r);
}

static void test_requests_that_make_nothing_have_no_extensions(void **state)
{
    struct request *r = request(FUSE_UNLINK);

    (void)state;
    r->dialect.supp_group = true;
    put_text(r, "name");
    put_groups(r, 1, 1);
    assert_int_equal(decode(r), 0);
    assert_int_equal(r->call.n_groups, 0);
    done(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dot_and_dotdot_are_names_in_lookup_only),
        cmocka_unit_test(test_names_with_a_slash_or_without_bytes_are_refused),
        cmocka_unit_test(test_names_end_at_255_bytes),
        cmocka_unit_test(test_names_without_an_end_are_refused),
        cmocka_unit_test(test_any_byte_but_slash_and_nul_is_a_name),
        cmocka_unit_test(test_name_check_sees_a_nul_inside),
        cmocka_unit_test(test_both_names_of_a_rename_are_checked),
        cmocka_unit_test(test_rename_gives_both_names_in_order),
        cmocka_unit_test(test_symlink_target_is_data_but_its_name_is_not),
        cmocka_unit_test(test_symlink_target_ends_at_4095_bytes),
        cmocka_unit_test(test_tmpfile_carries_a_name_that_means_nothing),
        cmocka_unit_test(test_xattr_names_may_hold_a_slash_and_end_at_255_bytes),
        cmocka_unit_test(test_both_extensions_are_found_in_either_order),
        cmocka_unit_test(test_security_context_of_an_older_kernel_has_no_total),
        cmocka_unit_test(test_security_context_may_be_absent),
        cmocka_unit_test(test_symlink_extensions_follow_the_target),
        cmocka_unit_test(test_extensions_that_were_not_agreed_are_refused_or_unread),
        cmocka_unit_test(test_total_that_disagrees_with_the_request_is_refused),
        cmocka_unit_test(test_every_cut_through_the_extensions_is_refused),
        cmocka_unit_test(test_extension_sizes_that_lie_are_refused),
        cmocka_unit_test(test_group_counts_that_lie_are_refused),
        cmocka_unit_test(test_groups_end_at_what_there_is_room_for),
        cmocka_unit_test(test_security_contexts_that_lie_are_refused),
        cmocka_unit_test(test_an_extension_may_come_once),
        cmocka_unit_test(test_extensions_of_an_unknown_type_are_refused),
        cmocka_unit_test(test_requests_that_make_nothing_have_no_extensions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
