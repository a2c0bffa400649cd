// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_fuse_decode.c - every row of the opcode table, and what each opcode adds to the common checks
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/fuse_request.h"

/* ---- the table ----------------------------------------------------------------------------- */

static void test_every_row_is_found_by_its_opcode_and_by_its_index(void **state)
{
    const struct fuse_op *op;
    unsigned n = 0;

    (void)state;
    for (; (op = fuse_op_at(n)); n++) {
        assert_int_equal(op->index, n);
        assert_ptr_equal(fuse_op_find(op->opcode), op);
        assert_non_null(op->name);
    }
    assert_true(n > 45 && n <= FUSE_N_OPS);
}

static void test_opcodes_that_nobody_serves_have_no_row(void **state)
{
    static const uint32_t unknown[] = {0,
                                       7,
                                       19,
                                       FUSE_BMAP,
                                       FUSE_POLL,
                                       41,
                                       48,
                                       49,
                                       53,
                                       63,
                                       64,
                                       4096,
                                       UINT32_MAX,
                                       VIOFS_PROBE - 1,
                                       VIOFS_EVENTS + 1,
                                       255,
                                       256,
                                       0x1000001,
                                       VIOFS_PROBE + 64,
                                       VIOFS_PROBE + 16};

    (void)state;
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        assert_null(fuse_op_find(unknown[i]));
}

/* A well-formed request of any opcode, shortest arguments, shortest names. */
static struct request *plain_request(const struct fuse_op *op)
{
    struct request *r = request(op->opcode);

    put_zeros(r, op->arg_min);
    if (op->flags & OP_NAME1)
        put_text(r, "n");
    if (op->flags & OP_NAME2)
        put_text(r, "m");
    return r;
}

static void test_shortest_request_of_every_opcode_is_accepted(void **state)
{
    const struct fuse_op *op;

    (void)state;
    for (unsigned i = 0; (op = fuse_op_at(i)); i++) {
        struct request *r = plain_request(op);

        assert_int_equal(decode(r), 0);
        assert_ptr_equal(r->call.op, op);
        assert_int_equal(r->call.in.unique, 7);
        assert_int_equal((uintptr_t)r->call.arg % 8, 0);
        done(r);
    }
}

static void test_one_byte_short_of_every_opcode_is_refused(void **state)
{
    const struct fuse_op *op;

    (void)state;
    for (unsigned i = 0; (op = fuse_op_at(i)); i++) {
        struct request *r = plain_request(op);

        r->len--;
        assert_int_equal(decode(r), r->len < 40 ? -EPROTO : -EINVAL);
        done(r);
    }
}

static void test_every_shorter_prefix_of_every_opcode_is_refused(void **state)
{
    const struct fuse_op *op;

    (void)state;
    for (unsigned i = 0; (op = fuse_op_at(i)); i++) {
        struct request *r = plain_request(op);

        for (size_t len = 0; len < r->len; len++)
            assert_true(decode_as(r, (uint32_t)len, len) < 0);
        done(r);
    }
}

static void test_fixed_replies_need_their_room_to_the_byte(void **state)
{
    const struct fuse_op *op;

    (void)state;
    for (unsigned i = 0; (op = fuse_op_at(i)); i++) {
        struct request *r = plain_request(op);

        if (op->reply_min) {
            r->room = 16u + op->reply_min;
            assert_int_equal(decode(r), 0);
            r->room--;
            assert_int_equal(decode(r), -EINVAL);
        }
        done(r);
    }
}

static void test_requests_with_a_reply_need_room_for_its_header(void **state)
{
    const struct fuse_op *op;

    (void)state;
    for (unsigned i = 0; (op = fuse_op_at(i)); i++) {
        struct request *r = plain_request(op);

        r->room = 15;
        assert_int_equal(decode(r), op->flags & OP_NO_REPLY ? 0 : -EPROTO);
        r->room = 0;
        assert_int_equal(decode(r), op->flags & OP_NO_REPLY ? 0 : -EPROTO);
        done(r);
    }
}

static void test_only_forgets_and_interrupt_have_no_reply(void **state)
{
    const struct fuse_op *op;

    (void)state;
    for (unsigned i = 0; (op = fuse_op_at(i)); i++) {
        bool silent = op->opcode == FUSE_FORGET || op->opcode == FUSE_BATCH_FORGET ||
                      op->opcode == FUSE_INTERRUPT;

        assert_int_equal(!!(op->flags & OP_NO_REPLY), silent);
    }
}

/* ---- the header ---------------------------------------------------------------------------- */

static void test_less_than_a_header_cannot_be_answered(void **state)
{
    struct request *r = request(FUSE_STATFS);

    (void)state;
    assert_int_equal(decode_as(r, 40, 39), -EPROTO);
    assert_int_equal(decode_as(r, 40, 0), -EPROTO);
    assert_int_equal(decode_as(r, 40, 40), 0);
    done(r);
}

static void test_header_length_beyond_what_is_offered_is_refused(void **state)
{
    struct request *r = request(FUSE_LOOKUP);

    (void)state;
    put_text(r, "name");
    assert_int_equal(decode_as(r, (uint32_t)r->len + 1, r->len), -EINVAL);
    assert_int_equal(decode_as(r, UINT32_MAX, r->len), -EINVAL);
    assert_int_equal(r->call.in.unique, 7);
    done(r);
}

static void test_header_length_below_the_header_is_refused(void **state)
{
    struct request *r = request(FUSE_STATFS);

    (void)state;
    assert_int_equal(decode_as(r, 0, 40), -EINVAL);
    assert_int_equal(decode_as(r, 39, 40), -EINVAL);
    done(r);
}

static void test_bytes_beyond_the_header_length_are_not_read(void **state)
{
    struct request *r = request(FUSE_LOOKUP);

    (void)state;
    put_text(r, "name");
    assert_int_equal(decode_as(r, (uint32_t)r->len - 1, r->len), -EINVAL); /* the NUL is outside */
    put_text(r, "more");
    assert_int_equal(decode_as(r, 45, r->len), 0);
    assert_string_equal(r->call.name[0].s, "name");
    done(r);
}

static void test_unknown_opcode_is_enosys_and_copies_the_header_only(void **state)
{
    struct request *r = request(999);

    (void)state;
    put_zeros(r, 1000);
    head(r)->len = (uint32_t)r->len;
    assert_int_equal(fuse_copy_len(head(r), r->len), 40);
    assert_int_equal(decode(r), -ENOSYS);
    assert_null(r->call.op);
    assert_int_equal(r->call.in.unique, 7);
    done(r);
}

static void test_unused_members_say_none(void **state)
{
    struct request *r = request(FUSE_STATFS);

    (void)state;
    assert_int_equal(decode(r), 0);
    assert_int_equal(r->call.name[0].len, 0);
    assert_int_equal(r->call.name[1].len, 0);
    assert_int_equal(r->call.secctx_name.len, 0);
    assert_null(r->call.value);
    assert_int_equal(r->call.value_len, 0);
    assert_int_equal(r->call.data_len, 0);
    assert_int_equal(r->call.n_groups, 0);
    done(r);
}

/* ---- argument structs that grew ------------------------------------------------------------ */

static void test_init_of_7_27_is_extended_with_zeros(void **state)
{
    struct fuse_init_in in = {.major = 7, .minor = 27, .max_readahead = 4096, .flags = 0xffffffff};
    struct request *r = request(FUSE_INIT);
    const struct fuse_init_in *got;

    (void)state;
    put(r, &in, 16);
    assert_int_equal(decode(r), 0);
    got = r->call.arg;
    assert_int_equal(got->minor, 27);
    assert_int_equal(got->flags, 0xffffffff);
    assert_int_equal(got->flags2, 0);
    assert_int_equal(got->unused[10], 0);
    done(r);
}

static void test_init_of_7_36_brings_its_second_word_of_flags(void **state)
{
    struct fuse_init_in in = {.major = 7, .minor = 38, .flags2 = 0x1234};
    struct request *r = request(FUSE_INIT);

    (void)state;
    put(r, &in, sizeof(in));
    assert_int_equal(decode(r), 0);
    assert_int_equal(((const struct fuse_init_in *)r->call.arg)->flags2, 0x1234);
    done(r);
}

static void test_init_between_the_two_sizes_counts_as_the_short_one(void **state)
{
    struct fuse_init_in in = {.major = 7, .minor = 36, .flags2 = 0x1234};
    struct request *r = request(FUSE_INIT);

    (void)state;
    put(r, &in, sizeof(in) - 1);
    assert_int_equal(decode(r), 0);
    assert_int_equal(((const struct fuse_init_in *)r->call.arg)->flags2, 0);
    done(r);
}

static struct request *setxattr_request(bool ext, uint32_t size, const char *name, size_t bytes)
{
    struct fuse_setxattr_in in = {.size = size, .flags = 1, .setxattr_flags = 1};
    struct request *r = request(FUSE_SETXATTR);

    r->dialect.setxattr_ext = ext;
    put(r, &in, ext ? 16 : 8);
    put_text(r, name);
    put_zeros(r, bytes);
    return r;
}

static void test_setxattr_has_eight_bytes_of_arguments_unless_more_were_agreed(void **state)
{
    struct request *r = setxattr_request(false, 3, "user.a", 3);

    (void)state;
    assert_int_equal(decode(r), 0);
    assert_string_equal(r->call.name[0].s, "user.a");
    assert_int_equal(r->call.value_len, 3);
    assert_int_equal(((const struct fuse_setxattr_in *)r->call.arg)->setxattr_flags, 0);
    done(r);

    r = setxattr_request(true, 3, "user.a", 3);
    assert_int_equal(decode(r), 0);
    assert_string_equal(r->call.name[0].s, "user.a");
    assert_int_equal(((const struct fuse_setxattr_in *)r->call.arg)->setxattr_flags, 1);
    done(r);
}

static void test_setxattr_value_must_have_arrived(void **state)
{
    struct request *r = setxattr_request(true, 4, "user.a", 3);

    (void)state;
    assert_int_equal(decode(r), -EINVAL);
    done(r);
    r = setxattr_request(true, UINT32_MAX, "user.a", 3);
    assert_int_equal(decode(r), -E2BIG);
    done(r);
}

static void test_setxattr_value_ends_at_64_KiB(void **state)
{
    struct request *r = setxattr_request(true, 65536, "user.a", 65536);

    (void)state;
    assert_int_equal(decode(r), 0);
    assert_int_equal(r->call.value_len, 65536);
    done(r);
    r = setxattr_request(true, 65537, "user.a", 65537);
    assert_int_equal(decode(r), -E2BIG);
    done(r);
}

/* ---- sizes --------------------------------------------------------------------------------- */

static struct request *write_request(uint32_t size, size_t bytes)
{
    struct fuse_write_in in = {.fh = 3, .size = size};
    struct request *r = request(FUSE_WRITE);

    put(r, &in, sizeof(in));
    put_zeros(r, bytes);
    return r;
}

static void test_write_leaves_its_payload_in_guest_memory(void **state)
{
    struct request *r = write_request(4096, 4096);

    (void)state;
    head(r)->len = (uint32_t)r->len;
    assert_int_equal(fuse_copy_len(head(r), r->len), 80);
    assert_int_equal(decode(r), 0);
    assert_int_equal(r->call.data_len, 4096);
    done(r);
}

static void test_write_of_nothing_is_a_write(void **state)
{
    struct request *r = write_request(0, 0);

    (void)state;
    assert_int_equal(decode(r), 0);
    assert_int_equal(r->call.data_len, 0);
    done(r);
}

static void test_write_beyond_its_payload_is_refused(void **state)
{
    struct request *r = write_request(4097, 4096);

    (void)state;
    assert_int_equal(decode(r), -EINVAL);
    done(r);
    r = write_request(UINT32_MAX, 4096);
    assert_int_equal(decode(r), -EINVAL);
    done(r);
}

static void test_write_beyond_max_write_is_refused(void **state)
{
    struct request *r = write_request(4097, 8192);

    (void)state;
    r->dialect.max_write = 4096;
    assert_int_equal(decode(r), -EINVAL);
    done(r);
    r = write_request(4096, 8192);
    r->dialect.max_write = 4096;
    assert_int_equal(decode(r), 0);
    assert_int_equal(r->call.data_len, 4096);
    done(r);
}

static void check_read_size_against_room(uint32_t opcode)
{
    struct fuse_read_in in = {.size = 100};
    struct request *r = request(opcode);

    put(r, &in, sizeof(in));
    r->room = 116;
    assert_int_equal(decode(r), 0);
    r->room = 115;
    assert_int_equal(decode(r), -EINVAL);
    r->room = 16;
    assert_int_equal(decode(r), -EINVAL);
    done(r);
}

static void test_reads_larger_than_the_room_for_them_are_refused(void **state)
{
    (void)state;
    check_read_size_against_room(FUSE_READ);
    check_read_size_against_room(FUSE_READDIR);
    check_read_size_against_room(FUSE_READDIRPLUS);
    check_read_size_against_room(VIOFS_READDIRPLUS);
}

static void check_xattr_size_against_room(uint32_t opcode, bool named)
{
    struct fuse_getxattr_in in = {.size = 0};
    struct request *r = request(opcode);

    put(r, &in, sizeof(in));
    if (named)
        put_text(r, "user.a");
    r->room = 24;
    assert_int_equal(decode(r), 0);
    r->room = 23;
    assert_int_equal(decode(r), -EINVAL);
    done(r);

    r = request(opcode);
    in.size = 10;
    put(r, &in, sizeof(in));
    if (named)
        put_text(r, "user.a");
    r->room = 26;
    assert_int_equal(decode(r), 0);
    r->room = 25;
    assert_int_equal(decode(r), -EINVAL);
    done(r);
}

static void test_xattr_queries_need_room_for_the_size_or_the_value(void **state)
{
    (void)state;
    check_xattr_size_against_room(FUSE_GETXATTR, true);
    check_xattr_size_against_room(FUSE_LISTXATTR, false);
}

static struct request *ioctl_request(uint32_t in_size, uint32_t out_size, size_t bytes)
{
    struct fuse_ioctl_in in = {.in_size = in_size, .out_size = out_size};
    struct request *r = request(FUSE_IOCTL);

    put(r, &in, sizeof(in));
    put_zeros(r, bytes);
    return r;
}

static void test_ioctl_brings_its_input(void **state)
{
    struct request *r = ioctl_request(8, 0, 8);

    (void)state;
    assert_int_equal(decode(r), 0);
    assert_int_equal(r->call.value_len, 8);
    assert_ptr_equal(r->call.value, (char *)r->copy + 40 + 32);
    done(r);
}

static void test_ioctl_input_beyond_the_request_is_refused(void **state)
{
    struct request *r = ioctl_request(9, 0, 8);

    (void)state;
    assert_int_equal(decode(r), -EINVAL);
    done(r);
    r = ioctl_request(UINT32_MAX, 0, 8);
    assert_int_equal(decode(r), -EINVAL);
    done(r);
}

static void test_ioctl_output_beyond_the_room_is_refused(void **state)
{
    struct request *r = ioctl_request(0, 4, 0);

    (void)state;
    r->room = 36;
    assert_int_equal(decode(r), 0);
    r->room = 35;
    assert_int_equal(decode(r), -EINVAL);
    done(r);
    r = ioctl_request(0, UINT32_MAX, 0);
    assert_int_equal(decode(r), -EINVAL);
    done(r);
}

static struct request *forget_request(uint32_t count, size_t bytes)
{
    struct fuse_batch_forget_in in = {.count = count};
    struct request *r = request(FUSE_BATCH_FORGET);

    put(r, &in, sizeof(in));
    put_zeros(r, bytes);
    return r;
}

static void test_batch_forget_brings_what_it_counts(void **state)
{
    struct request *r = forget_request(3, 48);

    (void)state;
    assert_int_equal(decode(r), 0);
    assert_int_equal(r->call.value_len, 48);
    done(r);
}

static void test_batch_forget_counting_beyond_the_request_is_refused(void **state)
{
    struct request *r = forget_request(3, 47);

    (void)state;
    assert_int_equal(decode(r), -EINVAL);
    done(r);
    r = forget_request(0x10000001, 16); /* 16 bytes in 32-bit arithmetic */
    assert_int_equal(decode(r), -EINVAL);
    done(r);
}

static void test_copying_is_bounded(void **state)
{
    struct fuse_in_header in = {.len = UINT32_MAX, .opcode = FUSE_BATCH_FORGET};

    (void)state;
    assert_int_equal(fuse_copy_len(&in, UINT32_MAX), FUSE_COPY_MAX);
    in.opcode = FUSE_WRITE;
    assert_int_equal(fuse_copy_len(&in, UINT32_MAX), 80);
    in.len = 50;
    assert_int_equal(fuse_copy_len(&in, UINT32_MAX), 50);
    in.len = 0;
    assert_int_equal(fuse_copy_len(&in, UINT32_MAX), 40);
    assert_int_equal(fuse_copy_len(&in, 39), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_found_by_its_opcode_and_by_its_index),
        cmocka_unit_test(test_opcodes_that_nobody_serves_have_no_row),
        cmocka_unit_test(test_shortest_request_of_every_opcode_is_accepted),
        cmocka_unit_test(test_one_byte_short_of_every_opcode_is_refused),
        cmocka_unit_test(test_every_shorter_prefix_of_every_opcode_is_refused),
        cmocka_unit_test(test_fixed_replies_need_their_room_to_the_byte),
        cmocka_unit_test(test_requests_with_a_reply_need_room_for_its_header),
        cmocka_unit_test(test_only_forgets_and_interrupt_have_no_reply),
        cmocka_unit_test(test_less_than_a_header_cannot_be_answered),
        cmocka_unit_test(test_header_length_beyond_what_is_offered_is_refused),
        cmocka_unit_test(test_header_length_below_the_header_is_refused),
        cmocka_unit_test(test_bytes_beyond_the_header_length_are_not_read),
        cmocka_unit_test(test_unknown_opcode_is_enosys_and_copies_the_header_only),
        cmocka_unit_test(test_unused_members_say_none),
        cmocka_unit_test(test_init_of_7_27_is_extended_with_zeros),
        cmocka_unit_test(test_init_of_7_36_brings_its_second_word_of_flags),
        cmocka_unit_test(test_init_between_the_two_sizes_counts_as_the_short_one),
        cmocka_unit_test(test_setxattr_has_eight_bytes_of_arguments_unless_more_were_agreed),
        cmocka_unit_test(test_setxattr_value_must_have_arrived),
        cmocka_unit_test(test_setxattr_value_ends_at_64_KiB),
        cmocka_unit_test(test_write_leaves_its_payload_in_guest_memory),
        cmocka_unit_test(test_write_of_nothing_is_a_write),
        cmocka_unit_test(test_write_beyond_its_payload_is_refused),
        cmocka_unit_test(test_write_beyond_max_write_is_refused),
        cmocka_unit_test(test_reads_larger_than_the_room_for_them_are_refused),
        cmocka_unit_test(test_xattr_queries_need_room_for_the_size_or_the_value),
        cmocka_unit_test(test_ioctl_brings_its_input),
        cmocka_unit_test(test_ioctl_input_beyond_the_request_is_refused),
        cmocka_unit_test(test_ioctl_output_beyond_the_room_is_refused),
        cmocka_unit_test(test_batch_forget_brings_what_it_counts),
        cmocka_unit_test(test_batch_forget_counting_beyond_the_request_is_refused),
        cmocka_unit_test(test_copying_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
