// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_space.c - what a guest is told of free space, from three answers of statfs
 */
// clang-format off: cmocka.h needs these first
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#include "server/space.h"

static struct statfs numbers(uint64_t blocks, uint64_t bfree, uint64_t files, uint64_t ffree)
{
    struct statfs s = {.f_type = 1,
                       .f_bsize = 4096,
                       .f_blocks = blocks,
                       .f_bfree = bfree,
                       .f_bavail = bfree,
                       .f_files = files,
                       .f_ffree = ffree};

    memset(&s.f_fsid, 7, sizeof(s.f_fsid));
    return s;
}

static void is(const struct statfs *s, uint64_t blocks, uint64_t bfree, uint64_t files,
               uint64_t ffree)
{
    assert_int_equal(s->f_blocks, blocks);
    assert_int_equal(s->f_bfree, bfree);
    assert_int_equal(s->f_bavail, bfree);
    assert_int_equal(s->f_files, files);
    assert_int_equal(s->f_ffree, ffree);
}

static void test_limit_of_the_directory_is_that_of_its_files(void **state)
{
    struct statfs s = numbers(1000, 800, 500, 400), share = numbers(100, 60, 500, 400);
    (void)state;

    space_narrow(&s, &share, NULL);
    is(&s, 100, 60, 500, 400);
    s = numbers(1000, 800, 500, 400);
    share = numbers(1000, 800, 50, 9);
    space_narrow(&s, &share, NULL);
    is(&s, 1000, 800, 50, 9);
}

static void test_no_more_is_free_than_the_file_system_has(void **state)
{
    struct statfs s = numbers(100, 60, 50, 40), share = s, whole = numbers(1000, 5, 500, 3);
    (void)state;

    space_narrow(&s, &share, &whole);
    is(&s, 100, 5, 50, 3);
}

static void test_no_more_is_free_than_the_limit_leaves(void **state)
{
    struct statfs s = numbers(1000, 800, 500, 400), share = numbers(100, 0, 50, 0), whole = s;
    (void)state;

    space_narrow(&s, &share, &whole);
    is(&s, 100, 0, 50, 0);
}

static void test_tighter_limit_of_a_directory_below_counts_there(void **state)
{
    struct statfs s = numbers(10, 8, 5, 4), share = numbers(100, 60, 50, 40);
    (void)state;

    space_narrow(&s, &share, NULL);
    is(&s, 10, 8, 5, 4);
}

static void test_file_system_mounted_inside_the_share_has_its_own_numbers(void **state)
{
    struct statfs s = numbers(1000, 800, 500, 400), share = numbers(100, 60, 50, 40), whole = share;
    (void)state;

    memset(&s.f_fsid, 8, sizeof(s.f_fsid));
    space_narrow(&s, &share, &whole);
    is(&s, 1000, 800, 500, 400);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit_of_the_directory_is_that_of_its_files),
        cmocka_unit_test(test_no_more_is_free_than_the_file_system_has),
        cmocka_unit_test(test_no_more_is_free_than_the_limit_leaves),
        cmocka_unit_test(test_tighter_limit_of_a_directory_below_counts_there),
        cmocka_unit_test(test_file_system_mounted_inside_the_share_has_its_own_numbers),
    };

    return cmocka_run_group_tests_name("space", tests, NULL, NULL);
}
