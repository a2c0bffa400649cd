// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_aliases.c - files that have several names on the host
 *
 * Windows cannot make hard links here (WinFsp refuses them), but the host can. WinFsp tells files apart by their names,
 * so share modes and deletion are each name's own; data, size, times and attributes are the file's.
 */
#include "tests/wine/conformance/conf.h"

/* "a" and "b", one file */
static void twice(struct t *t, const char *text)
{
    host_puts(t, "a", text);
    host_link(t, "b", "a");
}

static void both_names_have_the_same_number(struct t *t)
{
    twice(t, "text");
    EQUAL(t, nt_index(t, OPEN(t, "a")), nt_index(t, OPEN(t, "b")));
}

static void both_show_the_same_data(struct t *t)
{
    twice(t, "text");
    handle a = OPEN(t, "a"), b = OPEN(t, "b");

    nt_puts(t, a, 0, "TEXT");
    TEXT(t, "TEXT", nt_gets(t, b, 0));
}

static void a_write_through_one_lets_the_other_grow(struct t *t)
{
    twice(t, "text");
    handle a = OPEN(t, "a"), b = OPEN(t, "b");

    nt_puts(t, a, 4, " and more");
    nt_control(t, DOOR_CONTROL_DROP_INFO_CACHE, 0);
    EQUAL(t, 13, nt_standard(t, b).size);
}

static void appends_through_both_do_not_overwrite_each_other(struct t *t)
{
    twice(t, "");
    handle a = OPEN(t, "a", .access = FILE_APPEND_DATA | SYNCHRONIZE);
    handle b = OPEN(t, "b", .access = FILE_APPEND_DATA | SYNCHRONIZE);

    for (int i = 0; i < 5; i++) {
        nt_puts(t, a, -1, "a");
        nt_puts(t, b, -1, "b");
    }
    TEXT(t, "ababababab", host_gets(t, "a"));
}

static void overwriting_one_empties_the_other(struct t *t)
{
    twice(t, "text");
    OK(t, TRY(t, "a", .disposition = FILE_OVERWRITE));
    EQUAL(t, 0, host_stat(t, "b").st_size);
    EQUAL(t, 2, host_stat(t, "b").st_nlink);
}

static void deleting_one_leaves_the_other(struct t *t)
{
    twice(t, "text");
    OK(t, nt_remove(t, "a"));
    TEXT(t, "b", host_names(t, ""));
    TEXT(t, "text", nt_gets(t, OPEN(t, "b"), 0));
}

static void deleting_one_while_the_other_is_open_leaves_it(struct t *t)
{
    twice(t, "text");
    handle b = OPEN(t, "b");

    OK(t, nt_remove(t, "a"));
    nt_puts(t, b, 0, "TEXT");
    TEXT(t, "b", host_names(t, ""));
    TEXT(t, "TEXT", host_gets(t, "b"));
}

static void renaming_one_leaves_the_other(struct t *t)
{
    twice(t, "text");
    OK(t, nt_move(t, "a", "c", false));
    TEXT(t, "b c", host_names(t, ""));
    EQUAL(t, 2, host_stat(t, "c").st_nlink);
}

static void one_is_read_only_when_the_other_is(struct t *t)
{
    twice(t, "text");
    handle a = OPEN(t, "a", .access = FILE_WRITE_ATTRIBUTES);

    OK(t, nt_set_attributes(t, a, FILE_ATTRIBUTE_READONLY));
    CHECK(t, nt_attributes(t, "b") & FILE_ATTRIBUTE_READONLY);
}

static void each_name_has_its_own_share_modes(struct t *t)
{
    twice(t, "text");
    OPEN(t, "a", .share = SHARE_NONE);
    OK(t, TRY(t, "b"));
}

static void both_names_are_listed(struct t *t)
{
    twice(t, "text");
    handle d = OPEN(t, "", .access = FILE_LIST_DIRECTORY);
    const struct listing *l = nt_list(t, d, NULL);

    EQUAL(t, find(t, l, "a")->index, find(t, l, "b")->index);
}

static void the_number_of_names_is_told_as_one(struct t *t)
{
    twice(t, "text");
    EQUAL(t, 1, nt_standard(t, OPEN(t, "a")).links);
}

static const struct test_case cases[] = {
    CASE(both_names_have_the_same_number),
    CASE(both_show_the_same_data),
    CASE(a_write_through_one_lets_the_other_grow),
    CASE(appends_through_both_do_not_overwrite_each_other),
    CASE(overwriting_one_empties_the_other),
    CASE(deleting_one_leaves_the_other),
    CASE(deleting_one_while_the_other_is_open_leaves_it),
    CASE(renaming_one_leaves_the_other),
    CASE(one_is_read_only_when_the_other_is),
    CASE(each_name_has_its_own_share_modes),
    CASE(both_names_are_listed),
    CASE(the_number_of_names_is_told_as_one),
};
GROUP(aliases, cases);
