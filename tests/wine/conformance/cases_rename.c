// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_rename.c - renaming and moving
 */
#include "tests/wine/conformance/conf.h"

static void a_file_gets_another_name(struct t *t)
{
    host_puts(t, "f", "text");
    OK(t, nt_move(t, "f", "g", false));
    TEXT(t, "g", host_names(t, ""));
    TEXT(t, "text", host_gets(t, "g"));
}

static void the_old_name_is_not_found_any_more(struct t *t)
{
    host_puts(t, "f", "text");
    OK(t, nt_move(t, "f", "g", false));
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f"));
    OK(t, TRY(t, "g"));
}

static void a_file_moves_to_another_directory(struct t *t)
{
    host_mkdir(t, "d");
    host_mkdir(t, "e");
    host_puts(t, "d\\f", "text");
    OK(t, nt_move(t, "d\\f", "e\\g", false));
    TEXT(t, "", host_names(t, "d"));
    TEXT(t, "text", host_gets(t, "e\\g"));
}

static void a_directory_gets_another_name_with_all_in_it(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    OK(t, nt_move(t, "d", "e", false));
    TEXT(t, "text", nt_gets(t, OPEN(t, "e\\f"), 0));
    EXPECT(t, STATUS_OBJECT_PATH_NOT_FOUND, TRY(t, "d\\f"));
}

/* Incumbent: where the host cannot do NOREPLACE it falls back to a rename that overwrites (0.11b). */
static void without_replace_nothing_is_overwritten(struct t *t)
{
    host_puts(t, "f", "new");
    host_puts(t, "g", "old");
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION, nt_move(t, "f", "g", false));
    TEXT(t, "new", host_gets(t, "f"));
    TEXT(t, "old", host_gets(t, "g"));
}

static void with_replace_the_target_goes(struct t *t)
{
    host_puts(t, "f", "new");
    host_puts(t, "g", "old");
    OK(t, nt_move(t, "f", "g", true));
    TEXT(t, "g", host_names(t, ""));
    TEXT(t, "new", host_gets(t, "g"));
}

static void replace_without_a_target_is_a_rename(struct t *t)
{
    host_puts(t, "f", "text");
    OK(t, nt_move(t, "f", "g", true));
    TEXT(t, "g", host_names(t, ""));
}

static void a_target_that_is_open_is_not_replaced(struct t *t)
{
    host_puts(t, "f", "new");
    host_puts(t, "g", "old");
    OPEN(t, "g");
    EXPECT(t, STATUS_ACCESS_DENIED, nt_move(t, "f", "g", true));
    TEXT(t, "old", host_gets(t, "g"));
}

static void a_target_that_is_open_is_replaced_by_posix_rules(struct t *t)
{
    host_puts(t, "f", "new");
    host_puts(t, "g", "old");
    handle g = OPEN(t, "g"), f = OPEN(t, "f");
    OK(t, nt_rename_ex(t, f, "g", FILE_RENAME_REPLACE_IF_EXISTS | FILE_RENAME_POSIX_SEMANTICS));
    TEXT(t, "new", host_gets(t, "g"));
    TEXT(t, "old", nt_gets(t, g, 0));
}

static void posix_rules_without_replace_overwrite_nothing(struct t *t)
{
    host_puts(t, "f", "new");
    host_puts(t, "g", "old");
    handle f = OPEN(t, "f");
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION, nt_rename_ex(t, f, "g", FILE_RENAME_POSIX_SEMANTICS));
    TEXT(t, "old", host_gets(t, "g"));
}

static void a_read_only_target_is_not_replaced(struct t *t)
{
    host_puts(t, "f", "new");
    host_puts(t, "g", "old");
    host_chmod(t, "g", 0444);
    EXPECT(t, STATUS_CANNOT_DELETE, nt_move(t, "f", "g", true));
    TEXT(t, "old", host_gets(t, "g"));
}

static void a_directory_replaces_no_directory(struct t *t)
{
    host_mkdir(t, "d");
    host_mkdir(t, "e");
    EXPECT(t, STATUS_ACCESS_DENIED, nt_move(t, "d", "e", true));
    TEXT(t, "d e", host_names(t, ""));
}

static void a_file_replaces_no_directory(struct t *t)
{
    host_puts(t, "f", "text");
    host_mkdir(t, "d");
    EXPECT(t, STATUS_ACCESS_DENIED, nt_move(t, "f", "d", true));
    TEXT(t, "d f", host_names(t, ""));
}

static void a_directory_replaces_no_file(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "f", "text");
    EXPECT(t, STATUS_ACCESS_DENIED, nt_move(t, "d", "f", true));
    TEXT(t, "text", host_gets(t, "f"));
}

/* Incumbent: with -i it reports success and does nothing (B.4, Rename). */
static void only_the_case_of_a_name_changes(struct t *t)
{
    host_puts(t, "name", "text");
    OK(t, nt_move(t, "name", "NAME", false));
    TEXT(t, "NAME", host_names(t, ""));
}

static void a_rename_to_its_own_name_does_nothing(struct t *t)
{
    host_puts(t, "f", "text");
    OK(t, nt_move(t, "f", "f", true));
    TEXT(t, "text", host_gets(t, "f"));
}

static void the_name_of_the_handle_follows(struct t *t)
{
    host_puts(t, "f", "text");
    host_mkdir(t, "d");
    handle h = OPEN(t, "f");
    OK(t, nt_rename(t, h, "d\\g", false));
    TEXT(t, (keep_printf(t, "%s\\d\\g", case_dir(t))), nt_name(t, h));
}

static void handles_below_a_renamed_directory_are_refused_or_follow(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    handle f = OPEN(t, "d\\f"), d = OPEN(t, "d", .access = DELETE);

    /* NTFS refuses; WinFsp does too */
    EXPECT(t, STATUS_ACCESS_DENIED, nt_rename(t, d, "e", false));
    TEXT(t, "text", nt_gets(t, f, 0));
}

static void renaming_needs_the_right_to_delete(struct t *t)
{
    host_puts(t, "f", "text");
    EXPECT(t, STATUS_ACCESS_DENIED,
           nt_rename(t, OPEN(t, "f", .access = FILE_GENERIC_WRITE), "g", false));
    TEXT(t, "f", host_names(t, ""));
}

static void a_missing_target_directory_is_not_found(struct t *t)
{
    host_puts(t, "f", "text");
    EXPECT(t, STATUS_OBJECT_PATH_NOT_FOUND, nt_move(t, "f", "none\\g", false));
    TEXT(t, "f", host_names(t, ""));
}

static void a_directory_does_not_move_into_itself(struct t *t)
{
    host_mkdir(t, "d");
    CHECK(t, nt_move(t, "d", "d\\e", false) != STATUS_SUCCESS);
    TEXT(t, "d", host_names(t, ""));
}

static void the_root_is_not_renamed(struct t *t)
{
    CHECK(t, nt_move(t, "\\", "\\other", false) != STATUS_SUCCESS);
}

/* On Linux a rename onto another link of the same file does nothing; on Windows the old name goes. */
static void a_rename_onto_another_name_of_the_file_removes_the_old_one(struct t *t)
{
    host_puts(t, "f", "text");
    host_link(t, "g", "f");
    OK(t, nt_move(t, "f", "g", true));
    TEXT(t, "g", host_names(t, ""));
}

/* Incumbent: a link is resolved from the share's root before it is renamed (0.6). */
static void a_link_is_renamed_itself(struct t *t)
{
    host_puts(t, "f", "text");
    host_symlink(t, "l", "f");
    OK(t, nt_move(t, "l", "m", false));
    TEXT(t, "f m", host_names(t, ""));
    TEXT(t, "f", host_readlink(t, "m"));
}

/* Incumbent: renames whatever has the name. */
static void a_file_that_the_host_put_in_its_place_is_not_renamed(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");
    host_rename(t, "f", "elsewhere");
    host_puts(t, "f", "another file");
    t_wait_for_names(t);
    CHECK(t, nt_rename(t, h, "g", false) != STATUS_SUCCESS || !host_exists(t, "elsewhere"));
    TEXT(t, "another file", host_gets(t, "f"));
}

static void listings_show_the_new_name_at_once(struct t *t)
{
    host_puts(t, "f", "text");
    TEXT(t, "f", nt_names(t, "", NULL));
    OK(t, nt_move(t, "f", "g", false));
    TEXT(t, "g", nt_names(t, "", NULL));
}

static void a_deep_tree_moves_at_once(struct t *t)
{
    MKDIR(t, "a");
    MKDIR(t, "a\\b");
    MKDIR(t, "a\\b\\c");
    MAKE_FILE(t, "a\\b\\c\\f");
    MKDIR(t, "z");
    OK(t, nt_move(t, "a\\b", "z\\b", false));
    OK(t, TRY(t, "z\\b\\c\\f"));
    EXPECT(t, STATUS_OBJECT_PATH_NOT_FOUND, TRY(t, "a\\b\\c\\f"));
}

static void a_name_that_was_missing_is_found_after_a_rename(struct t *t)
{
    host_puts(t, "f", "text");
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "g"));
    OK(t, nt_move(t, "f", "g", false));
    OK(t, TRY(t, "g"));
}

static void hard_links_are_refused(struct t *t)
{
    struct {
        struct rename_head head;
        uint16_t name[8];
    } r = {.head = {.name_len = 4}};
    uint16_t *name = (uint16_t *)(void *)((uint8_t *)&r + 20);

    host_puts(t, "f", "text");
    name[0] = '\\';
    name[1] = 'g';
    CHECK(t, nt_set(t, OPEN(t, "f"), FileLinkInformation, &r, 24) != STATUS_SUCCESS);
    TEXT(t, "f", host_names(t, ""));
}

static const struct test_case cases[] = {
    CASE(a_file_gets_another_name),
    CASE(the_old_name_is_not_found_any_more),
    CASE(a_file_moves_to_another_directory),
    CASE(a_directory_gets_another_name_with_all_in_it),
    CASE(without_replace_nothing_is_overwritten),
    CASE(with_replace_the_target_goes),
    CASE(replace_without_a_target_is_a_rename),
    CASE(a_target_that_is_open_is_not_replaced),
    CASE(a_target_that_is_open_is_replaced_by_posix_rules),
    CASE(posix_rules_without_replace_overwrite_nothing),
    CASE(a_read_only_target_is_not_replaced),
    CASE(a_directory_replaces_no_directory),
    CASE(a_file_replaces_no_directory),
    CASE(a_directory_replaces_no_file),
    CASE(only_the_case_of_a_name_changes),
    CASE(a_rename_to_its_own_name_does_nothing),
    CASE(the_name_of_the_handle_follows),
    CASE(handles_below_a_renamed_directory_are_refused_or_follow),
    CASE(renaming_needs_the_right_to_delete),
    CASE(a_missing_target_directory_is_not_found),
    CASE(a_directory_does_not_move_into_itself),
    CASE(the_root_is_not_renamed),
    CASE(a_rename_onto_another_name_of_the_file_removes_the_old_one),
    CASE(a_link_is_renamed_itself),
    CASE(a_file_that_the_host_put_in_its_place_is_not_renamed),
    CASE(listings_show_the_new_name_at_once),
    CASE(a_deep_tree_moves_at_once),
    CASE(a_name_that_was_missing_is_found_after_a_rename),
    CASE(hard_links_are_refused),
};
GROUP(rename, cases);
