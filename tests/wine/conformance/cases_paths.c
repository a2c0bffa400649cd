// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_paths.c - paths: relative ones, odd ones, deep ones, missing ones; see cases_names.c for their limits
 *
 * Incumbent: the whole path has room for 259 bytes (0.5), and a missing directory is a missing file (B.4).
 */
#include <stdio.h>

#include "tests/wine/conformance/conf.h"

#define DIRECTORY .options = FILE_DIRECTORY_FILE

static void a_path_is_relative_to_a_directory(struct t *t)
{
    host_mkdir(t, "d");
    host_mkdir(t, "d\\e");
    host_puts(t, "d\\e\\f", "text");
    handle d = OPEN(t, "d", DIRECTORY);

    TEXT(t, "text", nt_gets(t, OPEN(t, "e\\f", .in = d), 0));
}

static void a_file_is_created_relative_to_a_directory(struct t *t)
{
    host_mkdir(t, "d");
    handle d = OPEN(t, "d", DIRECTORY);

    nt_puts(t, MAKE(t, "f", .in = d), 0, "text");
    TEXT(t, "text", host_gets(t, "d\\f"));
}

static void a_missing_file_below_a_handle_is_not_found(struct t *t)
{
    host_mkdir(t, "d");
    handle d = OPEN(t, "d", DIRECTORY);

    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f", .in = d));
    EXPECT(t, STATUS_OBJECT_PATH_NOT_FOUND, TRY(t, "e\\f", .in = d));
}

static void a_path_from_the_root_is_not_relative(struct t *t)
{
    host_mkdir(t, "d");
    handle d = OPEN(t, "d", DIRECTORY);

    EXPECT(t, STATUS_INVALID_PARAMETER, TRY(t, "\\f", .in = d));
}

static void nothing_is_below_a_file(struct t *t)
{
    host_puts(t, "f", "text");
    handle f = OPEN(t, "f");

    EXPECT(t, STATUS_OBJECT_PATH_NOT_FOUND, TRY(t, "g", .in = f));
    EXPECT(t, STATUS_NOT_A_DIRECTORY, TRY(t, "g", .in = f, .disposition = FILE_CREATE));
}

static void dots_do_not_lead_out_of_a_handle(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "f", "text");
    handle d = OPEN(t, "d", DIRECTORY);

    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "..\\f", .in = d));
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "..", .in = d, .access = FILE_READ_ATTRIBUTES));
}

static void a_handle_follows_its_directory(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    handle d = OPEN(t, "d", DIRECTORY);

    OK(t, nt_rename(t, d, "e", false));
    TEXT(t, "text", nt_gets(t, OPEN(t, "f", .in = d), 0));
    TEXT(t, "e", host_names(t, ""));
}

static void a_backslash_at_the_end_means_a_directory(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "f", "text");
    OK(t, TRY(t, "d\\", .access = FILE_READ_ATTRIBUTES));
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "f\\"));
}

static void a_directory_is_made_with_a_backslash_at_the_end(struct t *t)
{
    OK(t, TRY(t, "d\\", .disposition = FILE_CREATE, DIRECTORY));
    CHECK(t, S_ISDIR(host_stat(t, "d").st_mode));
}

static void no_file_is_made_with_a_backslash_at_the_end(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "f\\", .disposition = FILE_CREATE));
    TEXT(t, "", host_names(t, ""));
}

static void below_a_deleted_directory_the_path_is_not_found(struct t *t)
{
    MKDIR(t, "d");
    MAKE_FILE(t, "d\\f");
    OK(t, nt_remove(t, "d\\f"));
    OK(t, nt_remove(t, "d"));
    EXPECT(t, STATUS_OBJECT_PATH_NOT_FOUND, TRY(t, "d\\f"));
}

static void below_a_dangling_link_nothing_is_found(struct t *t)
{
    host_symlink(t, "l", "nowhere");
    uint32_t status = TRY(t, "l\\f");

    CHECK(t, status == STATUS_OBJECT_PATH_NOT_FOUND || status == STATUS_OBJECT_NAME_NOT_FOUND);
}

/* Incumbent: 259 bytes in all, so about 25 of these (0.5). */
static void a_tree_of_a_hundred_levels_is_made_and_removed(struct t *t)
{
    handle h[101];

    h[0] = OPEN(t, "", DIRECTORY);
    for (unsigned i = 1; i <= 100; i++)
        h[i] = MAKE(t, "deep", .in = h[i - 1], DIRECTORY);
    nt_close(t, MAKE(t, "f", .in = h[100]));
    handle f = OPEN(t, "f", .in = h[100], .access = DELETE);
    OK(t, nt_delete(t, f, true));
    nt_close(t, f);
    for (unsigned i = 100; i > 0; i--) {
        OK(t, nt_delete(t, h[i], true));
        nt_close(t, h[i]);
    }
    TEXT(t, "", host_names(t, ""));
}

static void long_names_nest(struct t *t)
{
    char name[201];
    const char *path = "";

    for (unsigned i = 0; i < 200; i++)
        name[i] = (char)('a' + i % 26);
    name[200] = '\0';
    for (unsigned i = 0; i < 4; i++) {
        path = keep_printf(t, "%s%s%s", path, i ? "\\" : "", name);
        MKDIR(t, path);
    }
    MAKE_FILE(t, keep_printf(t, "%s\\f", path));
    TEXT(t, "f", host_names(t, path));
    TEXT(t, "f", nt_names(t, path, NULL));
}

static void the_same_names_in_different_directories_are_different_files(struct t *t)
{
    host_mkdir(t, "a");
    host_mkdir(t, "b");
    host_puts(t, "a\\f", "in a");
    host_puts(t, "b\\f", "in b");
    handle a = OPEN(t, "a\\f", .share = SHARE_NONE);
    handle b = OPEN(t, "b\\f", .share = SHARE_NONE);

    TEXT(t, "in a", nt_gets(t, a, 0));
    TEXT(t, "in b", nt_gets(t, b, 0));
}

/* ---- a lot of it ----------------------------------------------------------------------------- */

static void fill(struct t *t, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        host_puts(t, keep_printf(t, "file-%05u", i), "");
}

static void expect_each_once(struct t *t, const struct listing *l, unsigned n)
{
    uint8_t *seen = keep(t, n);
    unsigned found = 0;

    for (unsigned i = 0; i < l->n; i++) {
        unsigned number = n;

        if (sscanf(l->entry[i].name, "file-%u", &number) != 1)
            continue;
        CHECK(t, number < n && !seen[number]);
        seen[number] = 1;
        found++;
    }
    EQUAL(t, n, found);
}

static void ten_thousand_files_are_listed_once_each(struct t *t)
{
    fill(t, 10000);
    handle d = OPEN(t, "", .access = FILE_LIST_DIRECTORY);

    expect_each_once(t, nt_list(t, d, NULL), 10000);
}

static void two_thousand_files_are_listed_in_small_pieces(struct t *t)
{
    fill(t, 2000);
    handle d = OPEN(t, "", .access = FILE_LIST_DIRECTORY);

    expect_each_once(t, nt_list_by(t, d, NULL, FileNamesInformation, 256, 0), 2000);
}

static void one_of_ten_thousand_is_found_by_its_name(struct t *t)
{
    fill(t, 10000);
    handle d = OPEN(t, "", .access = FILE_LIST_DIRECTORY);
    struct door_stats s;

    nt_stats(t);
    EQUAL(t, 1, nt_list(t, d, "file-07777")->n);
    s = nt_stats(t);
    EQUAL(t, 0, s.calls[18]); /* no ReadDirectory */
}

static void some_of_ten_thousand_are_found_by_a_pattern(struct t *t)
{
    fill(t, 10000);
    handle d = OPEN(t, "", .access = FILE_LIST_DIRECTORY);

    EQUAL(t, 10, nt_list(t, d, "file-0123*")->n);
}

/* Incumbent: the walk to each costs a lookup that is never given back (0.3). */
static void three_hundred_files_are_open_at_once(struct t *t)
{
    handle *h = keep(t, 300 * sizeof(*h));

    for (unsigned i = 0; i < 300; i++)
        h[i] = MAKE(t, keep_printf(t, "f%u", i));
    for (unsigned i = 0; i < 300; i++)
        nt_puts(t, h[i], 0, "text");
    for (unsigned i = 0; i < 300; i++) {
        TEXT(t, "text", nt_gets(t, h[i], 0));
        OK(t, nt_delete(t, h[i], true));
        nt_close(t, h[i]);
    }
    TEXT(t, "", host_names(t, ""));
}

static const struct test_case cases[] = {
    CASE(a_path_is_relative_to_a_directory),
    CASE(a_file_is_created_relative_to_a_directory),
    CASE(a_missing_file_below_a_handle_is_not_found),
    CASE(a_path_from_the_root_is_not_relative),
    CASE(nothing_is_below_a_file),
    CASE(dots_do_not_lead_out_of_a_handle),
    CASE(a_handle_follows_its_directory),
    CASE(a_backslash_at_the_end_means_a_directory),
    CASE(a_directory_is_made_with_a_backslash_at_the_end),
    CASE(no_file_is_made_with_a_backslash_at_the_end),
    CASE(below_a_deleted_directory_the_path_is_not_found),
    CASE(below_a_dangling_link_nothing_is_found),
    CASE(a_tree_of_a_hundred_levels_is_made_and_removed),
    CASE(long_names_nest),
    CASE(the_same_names_in_different_directories_are_different_files),
    CASE(ten_thousand_files_are_listed_once_each),
    CASE(two_thousand_files_are_listed_in_small_pieces),
    CASE(one_of_ten_thousand_is_found_by_its_name),
    CASE(some_of_ten_thousand_are_found_by_a_pattern),
    CASE(three_hundred_files_are_open_at_once),
};
GROUP(paths, cases);
