// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_list.c - directories: patterns, classes, buffers, going on where one stopped
 */
#include <stdio.h>
#include <string.h>

#include "tests/wine/conformance/conf.h"

static handle open_dir(struct t *t, const char *name)
{
    return OPEN(t, name, .access = FILE_LIST_DIRECTORY | SYNCHRONIZE,
                .options = FILE_DIRECTORY_FILE);
}

/* @n files "file0000" ... of the host in @dir. */
static void host_fill(struct t *t, const char *dir, unsigned n)
{
    host_mkdir(t, dir);
    for (unsigned i = 0; i < n; i++)
        host_puts(t, keep_printf(t, "%s\\file%04u", dir, i), "");
}

static unsigned duplicates(const struct listing *l)
{
    unsigned n = 0;

    for (unsigned i = 0; i < l->n; i++)
        for (unsigned k = i + 1; k < l->n; k++)
            n += strcmp(l->entry[i].name, l->entry[k].name) == 0;
    return n;
}

static void everything_is_listed(struct t *t)
{
    host_puts(t, "a", "");
    host_puts(t, "b", "");
    host_mkdir(t, "c");
    TEXT(t, "a b c", nt_names(t, "", NULL));
}

static void an_empty_directory_has_only_dots(struct t *t)
{
    host_mkdir(t, "d");
    const struct listing *l = nt_list(t, open_dir(t, "d"), NULL);

    EQUAL(t, 2, l->n);
    CHECK(t, has(l, ".") && has(l, ".."));
}

static void the_root_has_no_dots(struct t *t)
{
    const struct listing *l = nt_list(t, open_dir(t, "\\"), NULL);

    CHECK(t, !has(l, ".") && !has(l, ".."));
    CHECK(t, has(l, case_dir(t) + 1));
}

static void dots_come_first(struct t *t)
{
    host_fill(t, "d", 5);
    const struct listing *l = nt_list(t, open_dir(t, "d"), NULL);

    TEXT(t, ".", l->entry[0].name);
    TEXT(t, "..", l->entry[1].name);
}

static void entries_have_sizes_and_times(struct t *t)
{
    host_puts(t, "f", "12345");
    host_times(t, "f", 1000000000, 1100000000);
    const struct entry *e = find(t, nt_list(t, open_dir(t, ""), NULL), "f");

    EQUAL(t, 5, e->size);
    EQUAL(t, filetime(host_stat(t, "f").st_mtim), e->written);
}

static void entries_have_the_index_of_the_file(struct t *t)
{
    host_puts(t, "f", "");
    EQUAL(t, host_stat(t, "f").st_ino, find(t, nt_list(t, open_dir(t, ""), NULL), "f")->index);
}

static void a_thousand_entries_are_listed_once_each(struct t *t)
{
    host_fill(t, "d", 1000);
    const struct listing *l = nt_list(t, open_dir(t, "d"), NULL);

    EQUAL(t, 1002, l->n);
    EQUAL(t, 0, duplicates(l));
}

static void a_small_buffer_takes_many_calls(struct t *t)
{
    host_fill(t, "d", 100);
    const struct listing *l =
        nt_list_by(t, open_dir(t, "d"), NULL, FileIdBothDirectoryInformation, 300, 0);

    EXPECT(t, STATUS_NO_MORE_FILES, l->status);
    EQUAL(t, 102, l->n);
    EQUAL(t, 0, duplicates(l));
    CHECK(t, l->calls > 40);
}

static void one_entry_a_call_is_possible(struct t *t)
{
    host_fill(t, "d", 30);
    const struct listing *l =
        nt_list_by(t, open_dir(t, "d"), NULL, FileBothDirectoryInformation, 4096, DOOR_DIR_SINGLE);

    EQUAL(t, 32, l->n);
    EQUAL(t, 33, l->calls);
}

static void a_buffer_too_small_for_the_first_name_says_so(struct t *t)
{
    struct listing l = {0};

    host_mkdir(t, "d");
    host_puts(t, "d\\a-name-that-does-not-fit", "");
    handle h = open_dir(t, "d");
    EXPECT(t, STATUS_BUFFER_OVERFLOW,
           nt_query_dir(t, h, "a-name*", FileBothDirectoryInformation, 104, DOOR_DIR_RESTART, &l));
}

static void a_restart_begins_again(struct t *t)
{
    struct listing l = {0};

    host_fill(t, "d", 10);
    handle h = open_dir(t, "d");
    OK(t, nt_query_dir(t, h, NULL, FileNamesInformation, 64, 0, &l));
    OK(t, nt_query_dir(t, h, NULL, FileNamesInformation, 64, DOOR_DIR_RESTART, &l));
    EQUAL(t, 0, strcmp(l.entry[0].name, "."));
    unsigned dots = 0;
    for (unsigned i = 0; i < l.n; i++)
        dots += strcmp(l.entry[i].name, ".") == 0;
    EQUAL(t, 2, dots);
}

static void after_the_last_entry_there_are_no_more(struct t *t)
{
    struct listing l = {0};

    host_mkdir(t, "d");
    handle h = open_dir(t, "d");
    OK(t, nt_query_dir(t, h, NULL, FileNamesInformation, 4096, 0, &l));
    EXPECT(t, STATUS_NO_MORE_FILES, nt_query_dir(t, h, NULL, FileNamesInformation, 4096, 0, &l));
}

static void a_pattern_selects(struct t *t)
{
    host_puts(t, "a.txt", "");
    host_puts(t, "b.txt", "");
    host_puts(t, "c.doc", "");
    TEXT(t, "a.txt b.txt", nt_names(t, "", "*.txt"));
    TEXT(t, "c.doc", nt_names(t, "", "?.doc"));
}

static void a_pattern_that_matches_nothing_is_no_such_file(struct t *t)
{
    host_puts(t, "a.txt", "");
    EXPECT(t, STATUS_NO_SUCH_FILE, nt_list(t, open_dir(t, ""), "*.doc")->status);
}

static void a_name_as_pattern_finds_one(struct t *t)
{
    host_puts(t, "one", "");
    host_puts(t, "one more", "");
    TEXT(t, "one", nt_names(t, "", "one"));
}

/* Incumbent: shows the requested spelling, and leaks a lookup (B.4, GetDirInfoByName). */
static void a_name_as_pattern_that_is_missing_is_no_such_file(struct t *t)
{
    host_puts(t, "one", "");
    EXPECT(t, STATUS_NO_SUCH_FILE, nt_list(t, open_dir(t, ""), "two")->status);
    EXPECT(t, STATUS_NO_SUCH_FILE, nt_list(t, open_dir(t, ""), "ONE")->status);
}

static void a_pattern_stays_for_the_next_calls(struct t *t)
{
    struct listing l = {0};

    host_fill(t, "d", 20);
    host_puts(t, "d\\other", "");
    handle h = open_dir(t, "d");
    while (nt_query_dir(t, h, l.n ? NULL : "file*", FileNamesInformation, 100, 0, &l) ==
           STATUS_SUCCESS)
        ;
    EQUAL(t, 20, l.n);
}

static void patterns_of_dos_are_understood(struct t *t)
{
    host_puts(t, "name", "");
    host_puts(t, "name.ext", "");
    /* what FindFirstFile("*.") makes of it: DOS_STAR, MS-FSA 2.1.4.4 */
    TEXT(t, "name", nt_names(t, "", "<"));
}

static void all_classes_show_the_same_names(struct t *t)
{
    static const uint32_t classes[] = {
        FileDirectoryInformation, FileFullDirectoryInformation,   FileBothDirectoryInformation,
        FileNamesInformation,     FileIdBothDirectoryInformation, FileIdFullDirectoryInformation};

    host_fill(t, "d", 50);
    for (unsigned i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        const struct listing *l = nt_list_by(t, open_dir(t, "d"), NULL, classes[i], 2000, 0);

        EQUAL(t, 52, l->n);
        EQUAL(t, 0, duplicates(l));
        CHECK(t, has(l, "file0000") && has(l, "file0049"));
    }
}

static void two_listings_do_not_disturb_each_other(struct t *t)
{
    struct listing a = {0}, b = {0};

    host_fill(t, "d", 40);
    handle ha = open_dir(t, "d"), hb = open_dir(t, "d");
    for (int i = 0; i < 100; i++) {
        nt_query_dir(t, ha, NULL, FileNamesInformation, 60, 0, &a);
        nt_query_dir(t, hb, NULL, FileNamesInformation, 90, 0, &b);
    }
    EQUAL(t, 42, a.n);
    EQUAL(t, 42, b.n);
    EQUAL(t, 0, duplicates(&a));
    EQUAL(t, 0, duplicates(&b));
}

static void entries_that_stay_are_listed_while_others_come_and_go(struct t *t)
{
    struct listing l = {0};
    unsigned stayed = 0, calls = 0;

    host_fill(t, "d", 200);
    handle h = open_dir(t, "d");
    while (nt_query_dir(t, h, NULL, FileNamesInformation, 600, 0, &l) == STATUS_SUCCESS) {
        host_puts(t, keep_printf(t, "d\\new%u", calls), "");
        if (calls < 50)
            host_remove(t, keep_printf(t, "d\\file%04u", calls * 2));
        calls++;
    }
    for (unsigned i = 101; i < 200; i += 2)
        stayed += has(&l, keep_printf(t, "file%04u", i));
    EQUAL(t, 50, stayed);
}

static void a_listing_goes_on_after_deleting_what_was_listed(struct t *t)
{
    struct listing l = {0};
    unsigned done = 0;

    host_fill(t, "d", 100);
    handle h = open_dir(t, "d");
    while (nt_query_dir(t, h, "file*", FileNamesInformation, 200, 0, &l) == STATUS_SUCCESS)
        for (; done < l.n; done++)
            OK(t, nt_remove(t, keep_printf(t, "d\\%s", l.entry[done].name)));
    EQUAL(t, 100, l.n);
    TEXT(t, "", host_names(t, "d"));
}

static void a_file_made_by_the_host_appears(struct t *t)
{
    host_puts(t, "a", "");
    TEXT(t, "a", nt_names(t, "", NULL));
    host_puts(t, "b", "");
    EVENTUALLY(t, strcmp(nt_names(t, "", NULL), "a b") == 0);
}

static void a_file_is_no_directory_to_list(struct t *t)
{
    struct listing l = {0};

    host_puts(t, "f", "");
    CHECK(t,
          nt_query_dir(t, OPEN(t, "f"), NULL, FileNamesInformation, 4096, 0, &l) != STATUS_SUCCESS);
}

/* Incumbent: an error of the listing is an empty directory (0.7). Root may read everything, so it is made otherwise. */
static void a_directory_that_the_host_removed_is_not_empty_but_an_error_or_gone(struct t *t)
{
    struct listing l = {0};

    host_mkdir(t, "d");
    host_puts(t, "d\\f", "");
    handle h = open_dir(t, "d");
    host_remove(t, "d\\f");
    host_remove(t, "d");
    nt_control(t, DOOR_CONTROL_DROP_INFO_CACHE, 0);
    (void)nt_query_dir(t, h, "f*", FileNamesInformation, 4096, 0, &l);
    CHECK(t, l.status != STATUS_SUCCESS);
}

static void links_are_listed_as_links(struct t *t)
{
    host_puts(t, "f", "");
    host_mkdir(t, "d");
    host_symlink(t, "lf", "f");
    host_symlink(t, "ld", "d");
    const struct listing *l = nt_list(t, open_dir(t, ""), NULL);

    CHECK(t, find(t, l, "lf")->attributes & FILE_ATTRIBUTE_REPARSE_POINT);
    CHECK(t, !(find(t, l, "lf")->attributes & FILE_ATTRIBUTE_DIRECTORY));
    CHECK(t, find(t, l, "ld")->attributes & FILE_ATTRIBUTE_REPARSE_POINT);
    CHECK(t, find(t, l, "ld")->attributes & FILE_ATTRIBUTE_DIRECTORY);
}

static void listing_needs_the_right_to(struct t *t)
{
    struct listing l = {0};

    host_mkdir(t, "d");
    handle h = OPEN(t, "d", .access = FILE_READ_ATTRIBUTES, .options = FILE_DIRECTORY_FILE);
    EXPECT(t, STATUS_ACCESS_DENIED, nt_query_dir(t, h, NULL, FileNamesInformation, 4096, 0, &l));
}

static void a_directory_with_long_names_is_listed(struct t *t)
{
    char name[256];

    host_mkdir(t, "d");
    for (int i = 0; i < 40; i++) {
        memset(name, 'a' + i % 26, 250);
        snprintf(name + 250, 6, "%02d", i);
        host_puts(t, keep_printf(t, "d\\%s", name), "");
    }
    const struct listing *l = nt_list(t, open_dir(t, "d"), NULL);
    EQUAL(t, 42, l->n);
    EQUAL(t, 0, duplicates(l));
}

static const struct test_case cases[] = {
    CASE(everything_is_listed),
    CASE(an_empty_directory_has_only_dots),
    CASE(the_root_has_no_dots),
    CASE(dots_come_first),
    CASE(entries_have_sizes_and_times),
    CASE(entries_have_the_index_of_the_file),
    CASE(a_thousand_entries_are_listed_once_each),
    CASE(a_small_buffer_takes_many_calls),
    CASE(one_entry_a_call_is_possible),
    CASE(a_buffer_too_small_for_the_first_name_says_so),
    CASE(a_restart_begins_again),
    CASE(after_the_last_entry_there_are_no_more),
    CASE(a_pattern_selects),
    CASE(a_pattern_that_matches_nothing_is_no_such_file),
    CASE(a_name_as_pattern_finds_one),
    CASE(a_name_as_pattern_that_is_missing_is_no_such_file),
    CASE(a_pattern_stays_for_the_next_calls),
    CASE(patterns_of_dos_are_understood),
    CASE(all_classes_show_the_same_names),
    CASE(two_listings_do_not_disturb_each_other),
    CASE(entries_that_stay_are_listed_while_others_come_and_go),
    CASE(a_listing_goes_on_after_deleting_what_was_listed),
    CASE(a_file_made_by_the_host_appears),
    CASE(a_file_is_no_directory_to_list),
    CASE(a_directory_that_the_host_removed_is_not_empty_but_an_error_or_gone),
    CASE(links_are_listed_as_links),
    CASE(listing_needs_the_right_to),
    CASE(a_directory_with_long_names_is_listed),
};
GROUP(list, cases);
