// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_fold.c - the same on a case-insensitive volume
 *
 * Incumbent: folds only names that are looked up, not those that are created or renamed to; shows the spelling that was
 * asked for; compares by language and not by NTFS' table; reads the whole directory at every miss (B.5).
 */
#include "tests/wine/conformance/conf.h"

#define FOLD(fn) CASE_ON(fn, VOLUME_FOLD)

static void a_file_opens_in_any_case(struct t *t)
{
    host_puts(t, "Name.Txt", "text");
    TEXT(t, "text", nt_gets(t, OPEN(t, "NAME.TXT"), 0));
    TEXT(t, "text", nt_gets(t, OPEN(t, "name.txt"), 0));
}

static void directories_on_the_way_fold_too(struct t *t)
{
    host_mkdir(t, "Dir");
    host_mkdir(t, "Dir\\Sub");
    host_puts(t, "Dir\\Sub\\File", "text");
    TEXT(t, "text", nt_gets(t, OPEN(t, "DIR\\sUB\\file"), 0));
}

static void letters_beyond_ascii_fold(struct t *t)
{
    host_puts(t, "\xC3\xA4\xC3\x96\xD0\xB6", "text"); /* ä Ö ж */
    TEXT(t, "text", nt_gets(t, OPEN(t, "\xC3\x84\xC3\xB6\xD0\x96"), 0));
}

static void the_name_of_the_handle_is_the_hosts_spelling(struct t *t)
{
    host_mkdir(t, "Dir");
    host_puts(t, "Dir\\File", "");
    handle h = OPEN(t, "dIR\\fILE");

    TEXT(t, (keep_printf(t, "%s\\Dir\\File", case_dir(t))), nt_name(t, h));
}

static void listings_show_the_hosts_spelling(struct t *t)
{
    host_puts(t, "Name", "");
    TEXT(t, "Name", nt_names(t, "", "NAME"));
    TEXT(t, "Name", nt_names(t, "", "n*"));
}

static void an_exact_name_comes_first(struct t *t)
{
    host_puts(t, "name", "small");
    host_puts(t, "NAME", "large");
    handle h = OPEN(t, "NAME");
    TEXT(t, "large", nt_gets(t, h, 0));
    nt_close(t, h);
    h = OPEN(t, "name");
    TEXT(t, "small", nt_gets(t, h, 0));
}

static void creating_a_twin_is_a_collision(struct t *t)
{
    host_puts(t, "foo", "old");
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION, TRY(t, "FOO", .disposition = FILE_CREATE));
    TEXT(t, "foo", host_names(t, ""));
}

static void making_a_directory_twin_is_a_collision(struct t *t)
{
    host_mkdir(t, "foo");
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION,
           TRY(t, "FOO", .disposition = FILE_CREATE, .options = FILE_DIRECTORY_FILE));
    TEXT(t, "foo", host_names(t, ""));
}

static void open_if_opens_the_other_spelling(struct t *t)
{
    host_puts(t, "foo", "old");
    OK(t, TRY(t, "FOO", .disposition = FILE_OPEN_IF));
    EQUAL(t, FILE_OPENED, nt_information(t));
    TEXT(t, "foo", host_names(t, ""));
}

static void overwriting_keeps_the_spelling(struct t *t)
{
    host_puts(t, "foo", "old");
    OK(t, TRY(t, "FOO", .disposition = FILE_OVERWRITE_IF));
    TEXT(t, "foo", host_names(t, ""));
    EQUAL(t, 0, host_stat(t, "foo").st_size);
}

static void a_new_file_has_the_spelling_that_was_asked_for(struct t *t)
{
    MAKE_FILE(t, "CamelCase");
    TEXT(t, "CamelCase", host_names(t, ""));
    OK(t, TRY(t, "camelcase"));
}

static void a_new_file_in_a_folded_directory_goes_there(struct t *t)
{
    host_mkdir(t, "Dir");
    MAKE_FILE(t, "DIR\\New");
    TEXT(t, "Dir", host_names(t, ""));
    TEXT(t, "New", host_names(t, "Dir"));
}

static void a_file_is_deleted_in_any_case(struct t *t)
{
    host_puts(t, "Name", "");
    OK(t, nt_remove(t, "nAME"));
    TEXT(t, "", host_names(t, ""));
}

static void a_rename_that_changes_only_case_does_so(struct t *t)
{
    host_puts(t, "name", "text");
    OK(t, nt_move(t, "name", "NAME", false));
    TEXT(t, "NAME", host_names(t, ""));
}

static void a_directory_is_respelled(struct t *t)
{
    host_mkdir(t, "dir");
    host_puts(t, "dir\\f", "");
    OK(t, nt_move(t, "dir", "Dir", false));
    TEXT(t, "Dir", host_names(t, ""));
    OK(t, TRY(t, "DIR\\F"));
}

static void a_rename_onto_a_twin_is_a_collision(struct t *t)
{
    host_puts(t, "f", "new");
    host_puts(t, "foo", "old");
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION, nt_move(t, "f", "FOO", false));
    TEXT(t, "f foo", host_names(t, ""));
}

static void a_rename_that_replaces_a_twin_leaves_one(struct t *t)
{
    host_puts(t, "f", "new");
    host_puts(t, "foo", "old");
    OK(t, nt_move(t, "f", "FOO", true));
    TEXT(t, "FOO", host_names(t, ""));
    TEXT(t, "new", host_gets(t, "FOO"));
}

static void a_missing_name_is_not_found_in_any_case(struct t *t)
{
    host_puts(t, "other", "");
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "name"));
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "NAME"));
}

static void a_name_that_was_missing_is_found_when_it_is_made_in_another_case(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "name"));
    MAKE_FILE(t, "NAME");
    OK(t, TRY(t, "name"));
}

static void a_name_that_the_host_makes_is_found_in_another_case(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "NAME"));
    host_puts(t, "name", "");
    EVENTUALLY(t, TRY(t, "NAME") == STATUS_SUCCESS);
}

/* WinFsp knows open files by folded name: two files of one folded name cannot be open at once. */
static void while_one_twin_is_open_the_other_is_not(struct t *t)
{
    host_puts(t, "name", "small");
    host_puts(t, "NAME", "large");
    handle h = OPEN(t, "name");
    EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "NAME"));
    nt_close(t, h);
    EVENTUALLY(t, TRY(t, "NAME") == STATUS_SUCCESS);
}

static void twins_are_both_listed(struct t *t)
{
    host_puts(t, "name", "");
    host_puts(t, "NAME", "");
    TEXT(t, "NAME name", nt_names(t, "", NULL));
}

static void share_modes_hold_across_spellings(struct t *t)
{
    host_puts(t, "Name", "");
    OPEN(t, "name", .share = SHARE_NONE);
    EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "NAME"));
}

static void links_are_followed_in_any_case(struct t *t)
{
    host_mkdir(t, "Real");
    host_puts(t, "Real\\File", "text");
    host_symlink(t, "Link", "Real");
    TEXT(t, "text", nt_gets(t, OPEN(t, "LINK\\FILE"), 0));
}

static void the_volume_says_that_it_folds(struct t *t)
{
    struct {
        struct fs_attribute_head head;
        uint16_t name[32];
    } a;
    handle h = OPEN(t, "", .access = FILE_READ_ATTRIBUTES);

    OK(t, nt_query_volume(t, h, FileFsAttributeInformation, &a, sizeof(a)));
    EQUAL(t, 0, a.head.flags & FILE_CASE_SENSITIVE_SEARCH);
    CHECK(t, a.head.flags & FILE_CASE_PRESERVED_NAMES);
}

static const struct test_case cases[] = {
    FOLD(a_file_opens_in_any_case),
    FOLD(directories_on_the_way_fold_too),
    FOLD(letters_beyond_ascii_fold),
    FOLD(the_name_of_the_handle_is_the_hosts_spelling),
    FOLD(listings_show_the_hosts_spelling),
    FOLD(an_exact_name_comes_first),
    FOLD(creating_a_twin_is_a_collision),
    FOLD(making_a_directory_twin_is_a_collision),
    FOLD(open_if_opens_the_other_spelling),
    FOLD(overwriting_keeps_the_spelling),
    FOLD(a_new_file_has_the_spelling_that_was_asked_for),
    FOLD(a_new_file_in_a_folded_directory_goes_there),
    FOLD(a_file_is_deleted_in_any_case),
    FOLD(a_rename_that_changes_only_case_does_so),
    FOLD(a_directory_is_respelled),
    FOLD(a_rename_onto_a_twin_is_a_collision),
    FOLD(a_rename_that_replaces_a_twin_leaves_one),
    FOLD(a_missing_name_is_not_found_in_any_case),
    FOLD(a_name_that_was_missing_is_found_when_it_is_made_in_another_case),
    FOLD(a_name_that_the_host_makes_is_found_in_another_case),
    FOLD(while_one_twin_is_open_the_other_is_not),
    FOLD(twins_are_both_listed),
    FOLD(share_modes_hold_across_spellings),
    FOLD(links_are_followed_in_any_case),
    FOLD(the_volume_says_that_it_folds),
};
GROUP(fold, cases);
