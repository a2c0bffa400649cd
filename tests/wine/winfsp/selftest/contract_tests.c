// SPDX-License-Identifier: BSD-3-Clause
/*
 * contract_tests.c - a file system that breaks WinFsp's contract is caught
 */
#include "tests/wine/winfsp/selftest/selftest.h"

static void test_an_unfilled_file_info_is_reported(void)
{
    uint64_t h;
    make_file("\\bad-info", "x");
    OK(door_open_path(door, "\\bad-info", FILE_READ_ATTRIBUTES, &h));
    door_control(door, DOOR_CONTROL_DROP_INFO_CACHE);
    CHECK(stats().violations == 0);
    door_query(door, h, FileBasicInformation, 40);
    CHECK(stats().violations == 1);
    OK(door_close(door, h));
    CHECK(stats().violations == 0);
}

static void test_a_read_that_claims_too_much_is_reported(void)
{
    uint64_t h;
    char c;
    make_file("\\bad-read", "x");
    OK(door_open_path(door, "\\bad-read", FILE_READ_DATA, &h));
    CHECK_STATUS(door_read(door, h, 0, &c, 1, 0, NULL), STATUS_INTERNAL_ERROR);
    CHECK(stats().violations == 1);
    OK(door_close(door, h));
}

static void test_a_read_past_its_buffer_is_reported(void)
{
    uint64_t h;
    char c;
    make_file("\\bad-over", "x");
    OK(door_open_path(door, "\\bad-over", FILE_READ_DATA, &h));
    OK(door_read(door, h, 0, &c, 1, 0, NULL));
    CHECK(stats().violations == 1);
    OK(door_close(door, h));
}

const struct selftest contract_tests[] = {
    TEST(ALWAYS, test_an_unfilled_file_info_is_reported),
    TEST(ALWAYS, test_a_read_that_claims_too_much_is_reported),
    TEST(ALWAYS, test_a_read_past_its_buffer_is_reported),
};
const unsigned contract_test_count = sizeof contract_tests / sizeof contract_tests[0];
