// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_service_message.c - what the service makes of a driver's statuses, replies and tags
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "abi/viofs_ioctl.h"
#include "lib/fuse/fuse_proto.h"
#include "service/client/linux_errno.h"
#include "service/win/message.h"

static void test_the_hosts_errno_passes_through_the_status(void **state)
{
    (void)state;
    for (int32_t e = 1; e < 4096; e++)
        assert_int_equal(svc_status_errno(viofs_status(-e)), -e);
}

static void test_success_is_no_error(void **state)
{
    (void)state;
    assert_int_equal(svc_status_errno(0), 0);
    assert_int_equal(svc_status_errno(0x40000000u), 0);
}

static void test_a_lost_session_is_told_from_other_failures(void **state)
{
    (void)state;
    assert_int_equal(svc_status_errno(0xC0000184u), -LE_ENOTCONN);
    assert_int_equal(svc_status_errno(0xC00002B6u), -LE_ENOTCONN);
    assert_int_equal(svc_status_errno(0xC00000A3u), -LE_ENOTCONN);
    assert_int_equal(svc_status_errno(0xC00000B5u), -LE_ETIMEDOUT);
    assert_int_equal(svc_status_errno(0xC0000120u), -LE_EINTR);
    assert_int_equal(svc_status_errno(0xC0000043u), -LE_EBUSY);
    assert_int_equal(svc_status_errno(0xC0000010u), -LE_ENOSYS);
}

static void test_a_status_that_nobody_knows_is_eio(void **state)
{
    (void)state;
    assert_int_equal(svc_status_errno(0xC000FFFFu), -LE_EIO);
    assert_int_equal(svc_status_errno(0x80000005u), -LE_EIO);
    assert_int_equal(svc_status_errno(VIOFS_STATUS_BASE), -LE_EIO);
    assert_int_equal(svc_status_errno(VIOFS_STATUS_BASE | 0xFFFFu), -LE_EIO);
}

/* A reply with these header fields, of which `received` bytes came. */
static int32_t check_reply(uint32_t len, int32_t error, uint64_t unique, uint64_t received)
{
    struct fuse_out_header h = {.len = len, .error = error, .unique = unique};

    return svc_reply_check(&h, received, 7);
}

static void test_a_reply_counts_its_payload(void **state)
{
    (void)state;
    assert_int_equal(check_reply(16, 0, 7, 16), 0);
    assert_int_equal(check_reply(16 + 88, 0, 7, 16 + 88), 88);
    assert_int_equal(check_reply(16 + 88, 0, 7, 4096), 88);
}

static void test_a_replys_error_is_the_hosts(void **state)
{
    (void)state;
    assert_int_equal(check_reply(16, -2, 7, 16), -2);
    assert_int_equal(check_reply(16, -4095, 7, 16), -4095);
}

static void test_a_reply_that_is_none_is_eio(void **state)
{
    static const struct {
        uint32_t len;
        int32_t error;
        uint64_t unique, received;
    } wrong[] = {
        {16, 0, 7, 0},      {16, 0, 7, 15},          {15, 0, 7, 16},
        {0, 0, 7, 16},      {17, 0, 7, 16},          {UINT32_MAX, 0, 7, 16},
        {16, 0, 8, 16},     {16, 1, 7, 16},          {16, INT32_MIN, 7, 16},
        {16, -4096, 7, 16}, {16, 0, 7ull << 32, 16}, {0x80000010u, 0, 7, 0x80000010u},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(
            check_reply(wrong[i].len, wrong[i].error, wrong[i].unique, wrong[i].received), -LE_EIO);
}

static uint16_t tag[VIOFS_TAG_CHARS + 1];

static void test_an_honest_tag_is_copied_as_it_is(void **state)
{
    static const uint16_t from[] = {'m', 'y', ' ', 0xE4, 0x4E2D, 0xD83D, 0xDE00, 0};

    (void)state;
    svc_tag_copy(from, VIOFS_TAG_CHARS, tag);
    assert_memory_equal(tag, from, sizeof(from));
}

static void test_a_tag_without_an_end_is_ended(void **state)
{
    uint16_t from[VIOFS_TAG_CHARS];

    (void)state;
    for (size_t i = 0; i < VIOFS_TAG_CHARS; i++)
        from[i] = 'a';
    svc_tag_copy(from, VIOFS_TAG_CHARS, tag);
    assert_int_equal(tag[VIOFS_TAG_CHARS - 1], 'a');
    assert_int_equal(tag[VIOFS_TAG_CHARS], 0);
}

static void test_a_tag_cannot_forge_lines_or_direction(void **state)
{
    static const uint16_t bad[] = {'\n',   '\r',   0x1B,   0x7F,   0x85,   0x200F, 0x202E,
                                   0x2028, 0x2066, 0xFEFF, 0xFFFF, 0xD800, 0xDC00};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const uint16_t from[] = {'a', bad[i], 'b', 0};

        svc_tag_copy(from, VIOFS_TAG_CHARS, tag);
        assert_int_equal(tag[1], 0xFFFD);
        assert_int_equal(tag[2], 'b');
    }
}

static void test_a_pair_that_the_end_cuts_is_replaced(void **state)
{
    static const uint16_t from[] = {'a', 0xD83D, 0xDE00};

    (void)state;
    svc_tag_copy(from, 2, tag);
    assert_int_equal(tag[1], 0xFFFD);
    assert_int_equal(tag[2], 0);
}

static void test_utf8_has_the_bytes_of_each_length(void **state)
{
    static const uint16_t from[] = {'a', 0xE4, 0x4E2D, 0xD83D, 0xDE00, 0};
    char out[32];

    (void)state;
    assert_int_equal(svc_utf8(from, out, sizeof(out)), 10);
    assert_string_equal(out, "a\xC3\xA4\xE4\xB8\xAD\xF0\x9F\x98\x80");
}

static void test_utf8_that_does_not_fit_ends_between_characters(void **state)
{
    static const uint16_t from[] = {0xE4, 0xD83D, 0xDE00, 0};
    char out[8];

    (void)state;
    for (size_t cap = 1; cap <= sizeof(out); cap++) {
        size_t n = svc_utf8(from, out, cap);

        assert_int_equal(n, cap >= 7 ? 6 : cap >= 3 ? 2 : 0);
        assert_int_equal(out[n], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_hosts_errno_passes_through_the_status),
        cmocka_unit_test(test_success_is_no_error),
        cmocka_unit_test(test_a_lost_session_is_told_from_other_failures),
        cmocka_unit_test(test_a_status_that_nobody_knows_is_eio),
        cmocka_unit_test(test_a_reply_counts_its_payload),
        cmocka_unit_test(test_a_replys_error_is_the_hosts),
        cmocka_unit_test(test_a_reply_that_is_none_is_eio),
        cmocka_unit_test(test_an_honest_tag_is_copied_as_it_is),
        cmocka_unit_test(test_a_tag_without_an_end_is_ended),
        cmocka_unit_test(test_a_tag_cannot_forge_lines_or_direction),
        cmocka_unit_test(test_a_pair_that_the_end_cuts_is_replaced),
        cmocka_unit_test(test_utf8_has_the_bytes_of_each_length),
        cmocka_unit_test(test_utf8_that_does_not_fit_ends_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
