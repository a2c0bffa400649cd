// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_winfsp_times.c - Windows' times, sizes, tags and guard keys from Linux' files
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "service/winfsp/guard_key.h"
#include "service/winfsp/times.h"

#define UNIX_EPOCH 116444736000000000u

static struct cli_time at(int64_t sec, uint32_t nsec)
{
    struct cli_time t = {sec, nsec};

    return t;
}

static void test_1970_is_where_windows_puts_it(void **state)
{
    (void)state;
    assert_int_equal(svc_time_from_host(at(0, 0)), UNIX_EPOCH);
    assert_int_equal(svc_time_from_host(at(1, 999999999)), UNIX_EPOCH + 19999999);
    assert_int_equal(svc_time_from_host(at(-1, 500000000)), UNIX_EPOCH - 5000000);
}

static void test_times_come_back_to_100_nanoseconds(void **state)
{
    struct cli_time t = svc_time_to_host(svc_time_from_host(at(1700000000, 123456789)));

    (void)state;
    assert_int_equal(t.sec, 1700000000);
    assert_int_equal(t.nsec, 123456700);
    t = svc_time_to_host(UNIX_EPOCH - 1);
    assert_int_equal(t.sec, -1);
    assert_int_equal(t.nsec, 999999900);
}

static void test_times_that_windows_cannot_have_are_kept_in_range(void **state)
{
    (void)state;
    assert_int_equal(svc_time_from_host(at(INT64_MIN, 0)), 1);
    assert_int_equal(svc_time_from_host(at(INT64_MAX, 0)), INT64_MAX);
    assert_int_equal(svc_time_from_host(at(-11644473600, 0)), 1);
}

static void test_zero_and_negative_times_are_left_alone(void **state)
{
    (void)state;
    assert_false(svc_time_is_given(0));
    assert_false(svc_time_is_given(UINT64_MAX));
    assert_false(svc_time_is_given(UINT64_MAX - 1));
    assert_true(svc_time_is_given(UNIX_EPOCH));
}

/* ---- sizes and tags ---------------------------------------------------------------------------------- */

static void test_special_files_have_tags(void **state)
{
    (void)state;
    assert_int_equal(svc_reparse_tag(SVC_IFSOCK), SVC_TAG_AF_UNIX);
    assert_int_equal(svc_reparse_tag(SVC_IFBLK), SVC_TAG_LX_BLK);
    assert_int_equal(svc_reparse_tag(SVC_IFREG), 0);
}

static void test_allocation_is_never_less_than_the_size(void **state)
{
    struct cli_attr a = {.mode = SVC_IFREG, .size = 4097, .blocks = 0};

    (void)state;
    assert_int_equal(svc_allocation(&a), 8192);
    a.blocks = 64;
    assert_int_equal(svc_allocation(&a), 32768);
    a.blocks = UINT64_MAX;
    assert_int_equal(svc_allocation(&a), 8192);
    a.size = UINT64_MAX;
    assert_in_range(svc_allocation(&a), INT64_MAX - 4096, INT64_MAX);
    a.mode = SVC_IFDIR;
    assert_int_equal(svc_allocation(&a), 0);
}

/* ---- guard keys ------------------------------------------------------------------------------------- */

static uint32_t key(const uint16_t *path, bool fold)
{
    return svc_guard_key(path, UINT32_MAX, fold);
}

static void test_names_of_one_directory_share_a_key(void **state)
{
    (void)state;
    assert_int_equal(key(u"\\dir\\a", false), key(u"\\dir\\b", false));
    assert_int_equal(key(u"\\a", false), key(u"\\bcd", false));
    assert_int_equal(key(u"\\\\dir\\\\a", false), key(u"\\dir\\a", false));
    assert_int_not_equal(key(u"\\dir\\a", false), key(u"\\rid\\a", false));
    assert_int_not_equal(key(u"\\a", false), key(u"\\a\\a", false));
}

static void test_spellings_of_a_directory_share_a_key_when_case_does_not_count(void **state)
{
    (void)state;
    assert_int_equal(key(u"\\DIR\\a", true), key(u"\\dir\\b", true));
    assert_int_equal(key(u"\\\u00c9\\a", true), key(u"\\\u00e9\\b", true));
    assert_int_not_equal(key(u"\\DIR\\a", false), key(u"\\dir\\a", false));
}

static void test_the_key_stops_at_the_end_of_the_path(void **state)
{
    (void)state;
    assert_int_equal(svc_guard_key(u"\\dir\\abc", 6, false), key(u"\\dir\\x", false));
    assert_int_equal(svc_guard_key(u"", 0, false), key(u"\\", false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_1970_is_where_windows_puts_it),
        cmocka_unit_test(test_times_come_back_to_100_nanoseconds),
        cmocka_unit_test(test_times_that_windows_cannot_have_are_kept_in_range),
        cmocka_unit_test(test_zero_and_negative_times_are_left_alone),
        cmocka_unit_test(test_special_files_have_tags),
        cmocka_unit_test(test_allocation_is_never_less_than_the_size),
        cmocka_unit_test(test_names_of_one_directory_share_a_key),
        cmocka_unit_test(test_spellings_of_a_directory_share_a_key_when_case_does_not_count),
        cmocka_unit_test(test_the_key_stops_at_the_end_of_the_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
