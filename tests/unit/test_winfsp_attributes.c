// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_winfsp_attributes.c - Windows' attributes from modes and from what is stored, and what has to be stored
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "service/winfsp/attributes.h"
#include "service/winfsp/times.h"

enum {
    R = SVC_ATTRIBUTE_READONLY,
    H = SVC_ATTRIBUTE_HIDDEN,
    S = SVC_ATTRIBUTE_SYSTEM,
    A = SVC_ATTRIBUTE_ARCHIVE,
    D = SVC_ATTRIBUTE_DIRECTORY,
    SPARSE = 0x200,
    AS_IT_IS = -1
};
#define BORN 116444736000000000u /* 1970 */
#define SET  126240624450000000u

static const struct svc_attribute_rules both = {true, SVC_READ_ONLY_BOTH},
                                        by_mode = {true, SVC_READ_ONLY_MODE},
                                        by_store = {true, SVC_READ_ONLY_STORED},
                                        nothing_stored = {false, SVC_READ_ONLY_BOTH};

static struct cli_attr file(uint32_t mode)
{
    return (struct cli_attr){.mode = mode, .meta_known = true, .has_btime = true};
}

/* With user.DOSATTRIB. */
static struct cli_attr keeping(uint32_t mode, uint32_t attributes)
{
    struct cli_attr a = file(mode);

    a.has_dos = true;
    a.dos_attributes = attributes;
    a.create_time = SET;
    return a;
}

static uint32_t shown(const struct svc_attribute_rules *r, struct cli_attr a)
{
    return svc_attributes(r, &a, false, false);
}

/* What is stored then; 0 attributes and 0 time: nothing. */
static struct svc_stored after(const struct svc_attribute_rules *r, struct cli_attr a, int set,
                               uint64_t creation)
{
    struct svc_stored s;

    if (!svc_to_store(r, &a, set == AS_IT_IS ? SVC_ATTRIBUTES_AS_THEY_ARE : (uint32_t)set, creation,
                      &s))
        return (struct svc_stored){0};
    return s;
}

#define REG (SVC_IFREG | 0644)
#define DIR (SVC_IFDIR | 0755)

/* ---- shown --------------------------------------------------------------------------------------------- */

static void test_kinds_of_files_are_told_apart_by_their_whole_type(void **state)
{
    (void)state;
    assert_int_equal(shown(&both, file(DIR)), D);
    assert_int_equal(shown(&both, file(REG)), A);
    /* bits of these types overlap with those of directories and links */
    assert_int_equal(shown(&both, file(SVC_IFBLK | 0644)), SVC_ATTRIBUTE_REPARSE_POINT);
    assert_int_equal(shown(&both, file(SVC_IFSOCK | 0644)), SVC_ATTRIBUTE_REPARSE_POINT);
}

static void test_a_link_to_a_directory_is_marked(void **state)
{
    struct cli_attr a = file(SVC_IFLNK | 0777);

    (void)state;
    assert_int_equal(svc_attributes(&both, &a, false, true), SVC_ATTRIBUTE_REPARSE_POINT | D);
}

static void test_what_is_stored_is_shown(void **state)
{
    (void)state;
    assert_int_equal(shown(&both, keeping(REG, H | S)), H | S);
    assert_int_equal(shown(&both, keeping(REG, 0)), 0);
    assert_int_equal(shown(&both, keeping(REG, SVC_ATTRIBUTE_OFFLINE | SVC_ATTRIBUTE_TEMPORARY)),
                     SVC_ATTRIBUTE_OFFLINE | SVC_ATTRIBUTE_TEMPORARY);
    assert_int_equal(shown(&both, keeping(DIR, H | R | D)), H | R | D);
}

static void test_bits_that_mean_something_else_are_not_shown(void **state)
{
    (void)state;
    assert_int_equal(
        shown(&both, keeping(REG, A | D | SPARSE | SVC_ATTRIBUTE_REPARSE_POINT | 0x80000000u)), A);
    assert_int_equal(shown(&both, keeping(DIR, SPARSE)), D);
}

static void test_a_volume_that_stores_nothing_shows_modes(void **state)
{
    struct cli_attr a = keeping(SVC_IFREG | 0444, H | S);

    (void)state;
    assert_int_equal(shown(&nothing_stored, a), A | R);
    assert_int_equal(svc_creation_time(&nothing_stored, &a), BORN);
    assert_int_equal(svc_creation_time(&both, &a), SET);
}

static void test_dot_files_are_hidden_beside_what_is_stored(void **state)
{
    struct cli_attr a = keeping(REG, A);

    (void)state;
    assert_int_equal(svc_attributes(&both, &a, true, false), A | H);
}

/* ---- READONLY -------------------------------------------------------------------------------------------- */

static void test_without_anything_stored_the_mode_makes_read_only(void **state)
{
    (void)state;
    assert_int_equal(shown(&both, file(SVC_IFREG | 0555)), A | R);
    assert_int_equal(shown(&by_mode, file(SVC_IFREG | 0555)), A | R);
    assert_int_equal(shown(&by_store, file(SVC_IFREG | 0555)), A | R);
    assert_int_equal(shown(&both, file(SVC_IFREG | 0464)), A);
    assert_int_equal(shown(&both, file(SVC_IFDIR | 0555)), D);
}

static void test_both_means_either(void **state)
{
    (void)state;
    assert_int_equal(shown(&both, keeping(REG, R)), R);
    assert_int_equal(shown(&both, keeping(SVC_IFREG | 0444, 0)), R);
}

static void test_mode_ignores_what_is_stored_and_the_other_way_round(void **state)
{
    (void)state;
    assert_int_equal(shown(&by_mode, keeping(REG, R | A)), A);
    assert_int_equal(shown(&by_mode, keeping(SVC_IFREG | 0444, 0)), R);
    assert_int_equal(shown(&by_store, keeping(REG, R | A)), R | A);
    assert_int_equal(shown(&by_store, keeping(SVC_IFREG | 0444, A)), A);
}

static void test_only_write_bits_follow_the_read_only_attribute(void **state)
{
    (void)state;
    assert_int_equal(svc_mode_with_attributes(&both, SVC_IFREG | 06755, R), 06555);
    assert_int_equal(svc_mode_with_attributes(&both, SVC_IFREG | 06555, A), 06755);
    assert_int_equal(svc_mode_with_attributes(&both, SVC_IFREG | 0751, H), 0751);
    assert_int_equal(svc_mode_with_attributes(&both, SVC_IFREG | 0400, R), 0400);
    assert_int_equal(svc_mode_with_attributes(&both, SVC_IFDIR | 0755, R), 0755);
    assert_int_equal(svc_mode_with_attributes(&by_store, SVC_IFREG | 0644, R), 0644);
    assert_int_equal(svc_mode_with_attributes(&nothing_stored, SVC_IFREG | 0644, R), 0444);
}

/* ---- what has to be stored --------------------------------------------------------------------------------- */

static void test_what_is_shown_anyway_is_not_stored(void **state)
{
    struct svc_stored s;
    struct cli_attr a = file(REG), d = file(DIR);

    (void)state;
    assert_false(svc_to_store(&both, &a, A, 0, &s));
    assert_false(svc_to_store(&both, &a, SVC_ATTRIBUTES_AS_THEY_ARE, BORN, &s));
    assert_false(svc_to_store(&both, &d, 0, 0, &s));
    assert_false(svc_to_store(&both, &d, D, 0, &s));
    a = keeping(REG, H | A);
    assert_false(svc_to_store(&both, &a, H | A, SET, &s));
}

static void test_what_differs_is_stored_with_both_parts(void **state)
{
    struct svc_stored s = after(&both, file(REG), H | A, 0);

    (void)state;
    assert_int_equal(s.attributes, H | A);
    assert_int_equal(s.creation, BORN);
    s = after(&both, file(REG), AS_IT_IS, SET);
    assert_int_equal(s.attributes, A);
    assert_int_equal(s.creation, SET);
    s = after(&both, file(DIR), H, 0);
    assert_int_equal(s.attributes, H | D);
}

static void test_a_creation_time_that_is_stored_stays(void **state)
{
    (void)state;
    assert_int_equal(after(&both, keeping(REG, 0), H, 0).creation, SET);
}

static void test_unknown_bits_stay(void **state)
{
    (void)state;
    assert_int_equal(after(&both, keeping(REG, SPARSE | 0x80000 | H), A, 0).attributes,
                     SPARSE | 0x80000 | A);
}

static void test_bits_that_nobody_sets_are_not_taken_over(void **state)
{
    (void)state;
    assert_int_equal(after(&both, file(REG), H | SPARSE | D | 0x400, 0).attributes, H);
}

static void test_read_only_goes_where_the_rule_says(void **state)
{
    struct svc_stored s;
    struct cli_attr a = file(REG);

    (void)state;
    assert_int_equal(after(&both, file(REG), R | A, 0).attributes, R | A);
    assert_int_equal(after(&by_store, file(REG), R | A, 0).attributes, R | A);
    assert_false(svc_to_store(&by_mode, &a, R | A, 0, &s));
    assert_int_equal(after(&by_mode, keeping(REG, R), H, 0).attributes, R | H);
    assert_int_equal(after(&by_mode, file(DIR), R, 0).attributes, R | D);
}

static void test_a_read_only_mode_is_overruled_by_storing(void **state)
{
    (void)state;
    assert_int_equal(after(&by_store, file(SVC_IFREG | 0444), A, 0).attributes, A);
}

static void test_a_mode_does_not_slip_into_what_is_stored(void **state)
{
    (void)state;
    assert_int_equal(after(&both, file(SVC_IFREG | 0444), AS_IT_IS, SET).attributes, A);
}

static void test_links_have_no_place(void **state)
{
    struct cli_attr a = file(SVC_IFLNK | 0777);
    struct svc_stored s;

    (void)state;
    assert_false(svc_to_store(&both, &a, H, SET, &s));
    a = file(REG);
    assert_false(svc_to_store(&nothing_stored, &a, H, SET, &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_of_files_are_told_apart_by_their_whole_type),
        cmocka_unit_test(test_a_link_to_a_directory_is_marked),
        cmocka_unit_test(test_what_is_stored_is_shown),
        cmocka_unit_test(test_bits_that_mean_something_else_are_not_shown),
        cmocka_unit_test(test_a_volume_that_stores_nothing_shows_modes),
        cmocka_unit_test(test_dot_files_are_hidden_beside_what_is_stored),
        cmocka_unit_test(test_without_anything_stored_the_mode_makes_read_only),
        cmocka_unit_test(test_both_means_either),
        cmocka_unit_test(test_mode_ignores_what_is_stored_and_the_other_way_round),
        cmocka_unit_test(test_only_write_bits_follow_the_read_only_attribute),
        cmocka_unit_test(test_what_is_shown_anyway_is_not_stored),
        cmocka_unit_test(test_what_differs_is_stored_with_both_parts),
        cmocka_unit_test(test_a_creation_time_that_is_stored_stays),
        cmocka_unit_test(test_unknown_bits_stay),
        cmocka_unit_test(test_bits_that_nobody_sets_are_not_taken_over),
        cmocka_unit_test(test_read_only_goes_where_the_rule_says),
        cmocka_unit_test(test_a_read_only_mode_is_overruled_by_storing),
        cmocka_unit_test(test_a_mode_does_not_slip_into_what_is_stored),
        cmocka_unit_test(test_links_have_no_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
