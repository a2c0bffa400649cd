// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_winfsp_targets.c - targets of symbolic links, both ways
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "service/client/linux_errno.h"
#include "service/winfsp/targets.h"

static struct svc_joined joined(const char *s)
{
    struct svc_joined j = {.len = (uint32_t)strlen(s)};

    memcpy(j.bytes, s, j.len);
    return j;
}

static void assert_leads(const char *directory, const char *target, const char *to)
{
    struct svc_joined j = joined(directory);

    assert_int_equal(svc_joined_append(&j, target, (uint32_t)strlen(target)), 0);
    assert_int_equal(j.len, strlen(to));
    assert_memory_equal(j.bytes, to, j.len);
}

static void test_a_target_is_relative_to_the_links_directory(void **state)
{
    (void)state;
    assert_leads("a/b", "c", "a/b/c");
    assert_leads("a/b", "../c/./d", "a/c/d");
    assert_leads("", "c//d/", "c/d");
}

static void test_an_absolute_target_starts_at_the_root_of_the_share(void **state)
{
    (void)state;
    assert_leads("a/b", "/c", "c");
    assert_leads("a/b", "/", "");
}

static void test_no_target_leads_above_the_root(void **state)
{
    (void)state;
    assert_leads("a", "../../../x", "x");
    assert_leads("", "..", "");
}

static void test_a_target_that_gets_too_long_is_refused(void **state)
{
    static struct svc_joined j;
    static char name[300];

    (void)state;
    memset(name, 'x', sizeof(name));
    assert_int_equal(svc_joined_append(&j, name, 256), -LE_ENAMETOOLONG);
    for (j.len = 0; svc_joined_append(&j, name, 255) == 0;)
        ;
    assert_in_range(j.len, sizeof(j.bytes) - 256, sizeof(j.bytes));
}

static void assert_relative(const char *from, const char *to, const char *expected)
{
    struct svc_joined a = joined(from), b = joined(to);
    char out[64];

    assert_int_equal(svc_joined_relative(&a, &b, out, sizeof(out)), strlen(expected));
    assert_string_equal(out, expected);
    assert_leads(from, out, to);
}

static void test_paths_inside_the_share_become_relative(void **state)
{
    (void)state;
    assert_relative("", "x", "x");
    assert_relative("a/b", "a/b/c", "c");
    assert_relative("a/b", "a/bc", "../bc");
    assert_relative("a/b", "c", "../../c");
    assert_relative("a/b", "a", "..");
    assert_relative("a/b", "", "../..");
    assert_relative("a", "a", ".");
}

static void test_names_are_split(void **state)
{
    struct svc_joined j = joined("ab/c");
    struct cli_name names[2];

    (void)state;
    assert_int_equal(svc_joined_split(&j, names, 2), 2);
    assert_memory_equal(names[1].bytes, "c", 1);
    assert_int_equal(svc_joined_split(&j, names, 1), -LE_ENAMETOOLONG);
    j.len = 0;
    assert_int_equal(svc_joined_split(&j, names, 2), 0);
}

static void test_targets_change_their_slashes_and_names(void **state)
{
    uint16_t units[64];
    char host[64];
    int n;

    (void)state;
    n = svc_target_from_host("../a:b/c.", 9, units, 64);
    assert_int_equal(n, 9);
    assert_memory_equal(units, u"..\\a\uF03Ab\\c\uF02E", 18);
    assert_int_equal(svc_target_to_host(units, 9, host, sizeof(host)), 9);
    assert_string_equal(host, "../a:b/c.");
    assert_int_equal(svc_target_from_host("/a", 2, units, 64), 2);
    assert_memory_equal(units, u"\\a", 4);
}

static void test_a_backslash_in_a_target_is_no_separator(void **state)
{
    uint16_t units[8];

    (void)state;
    assert_int_equal(svc_target_from_host("a\\b", 3, units, 8), 3);
    assert_memory_equal(units, u"a\uF05Cb", 6);
}

static void test_targets_that_cannot_be_are_refused(void **state)
{
    char host[8];

    (void)state;
    assert_int_equal(svc_target_to_host(u"", 0, host, sizeof(host)), -LE_EILSEQ);
    assert_int_equal(svc_target_to_host(u"C:\\x", 4, host, sizeof(host)), -LE_EILSEQ);
    assert_int_equal(svc_target_to_host(u"abcdefgh", 8, host, sizeof(host)), -LE_ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_target_is_relative_to_the_links_directory),
        cmocka_unit_test(test_an_absolute_target_starts_at_the_root_of_the_share),
        cmocka_unit_test(test_no_target_leads_above_the_root),
        cmocka_unit_test(test_a_target_that_gets_too_long_is_refused),
        cmocka_unit_test(test_paths_inside_the_share_become_relative),
        cmocka_unit_test(test_names_are_split),
        cmocka_unit_test(test_targets_change_their_slashes_and_names),
        cmocka_unit_test(test_a_backslash_in_a_target_is_no_separator),
        cmocka_unit_test(test_targets_that_cannot_be_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
