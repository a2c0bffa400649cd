// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_names.c - names that Windows and Linux see differently, and long ones
 */
#include <stdio.h>
#include <string.h>

#include "tests/wine/conformance/conf.h"

/* The private use area that stands for what Windows cannot spell: U+F000 + c. */
#define P_COLON     "\xEF\x80\xBA"
#define P_QUESTION  "\xEF\x80\xBF"
#define P_STAR      "\xEF\x80\xAA"
#define P_QUOTE     "\xEF\x80\xA2"
#define P_LESS      "\xEF\x80\xBC"
#define P_BACKSLASH "\xEF\x81\x9C"
#define P_DOT       "\xEF\x80\xAE"
#define P_SPACE     "\xEF\x80\xA0"
#define P_TAB       "\xEF\x80\x89"
#define P_SLASH     "\xEF\x80\xAF"
#define P_NUL       "\xEF\x80\x80"
#define P_BYTE_FF   "\xEF\x83\xBF"

/* A host name with a separator of Windows in it cannot go through host_puts(). */
static void host_raw(struct t *t, const char *name)
{
    FILE *f = fopen(keep_printf(t, "%s/%s", host_path(t, ""), name), "w");

    CHECK(t, f != NULL);
    fputs("text", f);
    fclose(f);
}

static bool host_has_raw(struct t *t, const char *name)
{
    struct stat st;

    return lstat(keep_printf(t, "%s/%s", host_path(t, ""), name), &st) == 0;
}

/* A host's name is listed as @windows, and opens by that. */
static void expect_seen_as(struct t *t, const char *host, const char *windows)
{
    host_raw(t, host);
    TEXT(t, windows, nt_names(t, "", NULL));
    TEXT(t, "text", nt_gets(t, OPEN(t, windows), 0));
}

/* Incumbent: such names are listed as they are, and nothing can open them (B.4, ReadDirectory). */
static void a_colon_of_the_host_is_moved_away(struct t *t)
{
    expect_seen_as(t, "a:b", "a" P_COLON "b");
}

static void wildcards_of_the_host_are_moved_away(struct t *t)
{
    expect_seen_as(t, "what?*", "what" P_QUESTION P_STAR);
}

static void quotes_and_brackets_of_the_host_are_moved_away(struct t *t)
{
    expect_seen_as(t, "\"<", P_QUOTE P_LESS);
}

static void a_backslash_in_a_host_name_is_no_separator(struct t *t)
{
    expect_seen_as(t, "a\\b", "a" P_BACKSLASH "b");
}

static void a_trailing_dot_of_the_host_is_moved_away(struct t *t)
{
    expect_seen_as(t, "end.", "end" P_DOT);
}

static void a_trailing_space_of_the_host_is_moved_away(struct t *t)
{
    expect_seen_as(t, "end ", "end" P_SPACE);
}

static void a_tab_of_the_host_is_moved_away(struct t *t)
{
    expect_seen_as(t, "a\tb", "a" P_TAB "b");
}

static void a_byte_that_is_not_utf_8_is_moved_away(struct t *t)
{
    expect_seen_as(t, "a\xff", "a" P_BYTE_FF);
}

static void dots_and_spaces_inside_stay(struct t *t)
{
    expect_seen_as(t, " a. .b", " a. .b");
}

static void a_name_with_a_private_colon_is_created_with_a_colon(struct t *t)
{
    MAKE_FILE(t, "a" P_COLON "b");
    CHECK(t, host_has_raw(t, "a:b"));
}

static void a_name_that_would_become_a_slash_is_refused(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "a" P_SLASH "b", .disposition = FILE_OPEN_IF));
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "a" P_NUL, .disposition = FILE_OPEN_IF));
    TEXT(t, "", host_names(t, ""));
}

static void a_name_that_would_become_dot_dot_is_refused_or_harmless(struct t *t)
{
    CHECK(t, TRY(t, "." P_DOT, .disposition = FILE_OPEN_IF) != STATUS_SUCCESS);
    CHECK(t, TRY(t, P_DOT P_DOT "\\..", .disposition = FILE_OPEN) != STATUS_SUCCESS);
}

static void a_file_is_deleted_by_its_moved_name(struct t *t)
{
    host_raw(t, "a:b?");
    OK(t, nt_remove(t, "a" P_COLON "b" P_QUESTION));
    CHECK(t, !host_has_raw(t, "a:b?"));
}

static void a_file_gets_a_moved_name(struct t *t)
{
    host_puts(t, "f", "text");
    OK(t, nt_move(t, "f", "g" P_COLON, false));
    CHECK(t, host_has_raw(t, "g:"));
}

static void umlauts_and_more_are_what_they_are(struct t *t)
{
    MAKE_FILE(t, "\xC3\xA4\xE2\x82\xAC\xE6\x97\xA5");
    TEXT(t, "\xC3\xA4\xE2\x82\xAC\xE6\x97\xA5", host_names(t, ""));
    TEXT(t, "\xC3\xA4\xE2\x82\xAC\xE6\x97\xA5", nt_names(t, "", NULL));
}

static void characters_beyond_the_basic_plane_are_what_they_are(struct t *t)
{
    MAKE_FILE(t, "\xF0\x9F\x98\x80.txt");
    TEXT(t, "\xF0\x9F\x98\x80.txt", host_names(t, ""));
    TEXT(t, "\xF0\x9F\x98\x80.txt", nt_names(t, "", NULL));
    OK(t, TRY(t, "\xF0\x9F\x98\x80.txt"));
}

static void a_lone_surrogate_is_refused(struct t *t)
{
    CHECK(t, TRY(t, "a\xED\xA0\x80", .disposition = FILE_OPEN_IF) != STATUS_SUCCESS);
    TEXT(t, "", host_names(t, ""));
}

static void decomposed_letters_are_not_composed(struct t *t)
{
    MAKE_FILE(t, "a\xCC\x88");
    TEXT(t, "a\xCC\x88", host_names(t, ""));
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "\xC3\xA4"));
}

/* ---- long ones ------------------------------------------------------------------------------- */

static char *long_name(struct t *t, unsigned n, char c)
{
    char *name = keep(t, n + 1u);

    memset(name, c, n);
    return name;
}

static void a_name_of_255_letters_is_created(struct t *t)
{
    char *name = long_name(t, 255, 'n');

    MAKE_FILE(t, name);
    TEXT(t, name, host_names(t, ""));
    TEXT(t, name, nt_names(t, "", NULL));
}

static void a_name_of_256_letters_is_no_name(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_INVALID,
           TRY(t, long_name(t, 256, 'n'), .disposition = FILE_OPEN_IF));
}

/* The host's limit is 255 bytes: 86 such letters are 258. */
static void a_name_too_long_for_the_host_is_refused(struct t *t)
{
    char *name = keep(t, 300);

    for (int i = 0; i < 86; i++)
        strcat(name, "\xE6\x97\xA5");
    uint32_t status = TRY(t, name, .disposition = FILE_OPEN_IF);
    CHECK(t, status == STATUS_OBJECT_NAME_INVALID || status == STATUS_NAME_TOO_LONG);
}

/* Incumbent: 259 bytes of UTF-8 for the whole path (0.5). */
static void a_path_of_five_hundred_letters_is_used(struct t *t)
{
    char *a = long_name(t, 120, 'a'), *b = long_name(t, 120, 'b'), *c = long_name(t, 120, 'c');
    char *path = keep_printf(t, "%s\\%s\\%s\\%s", a, b, c, long_name(t, 120, 'd'));

    MKDIR(t, a);
    MKDIR(t, keep_printf(t, "%s\\%s", a, b));
    MKDIR(t, keep_printf(t, "%s\\%s\\%s", a, b, c));
    handle h = MAKE(t, path);
    nt_puts(t, h, 0, "text");
    TEXT(t, "text", host_gets(t, path));
    OK(t, nt_remove(t, path));
}

/* Incumbent: 86 such letters in a whole path (0.5). */
static void a_path_of_two_hundred_japanese_letters_is_used(struct t *t)
{
    char *part = keep(t, 200), *path;

    for (int i = 0; i < 60; i++)
        strcat(part, "\xE6\x97\xA5");
    MKDIR(t, part);
    MKDIR(t, keep_printf(t, "%s\\%s", part, part));
    path = keep_printf(t, "%s\\%s\\%s", part, part, part);
    MAKE_FILE(t, path);
    CHECK(t, host_exists(t, path));
    TEXT(t, part, nt_names(t, keep_printf(t, "%s\\%s", part, part), NULL));
}

static void a_tree_is_thirty_directories_deep(struct t *t)
{
    char path[256] = "d0";

    MKDIR(t, path);
    for (int i = 1; i < 30; i++) {
        snprintf(path + strlen(path), 8, "\\d%d", i);
        MKDIR(t, path);
    }
    MAKE_FILE(t, keep_printf(t, "%s\\f", path));
    CHECK(t, host_exists(t, keep_printf(t, "%s\\f", path)));
}

static void a_path_near_winfsps_limit_is_used(struct t *t)
{
    char path[1024] = "";

    for (int i = 0; i < 4; i++) {
        snprintf(path + strlen(path), 256, "%s%s", i ? "\\" : "", long_name(t, 230, 'p'));
        MKDIR(t, path);
    }
    MAKE_FILE(t, keep_printf(t, "%s\\file", path));
    TEXT(t, "file", nt_names(t, path, NULL));
}

static void a_path_beyond_winfsps_limit_is_refused(struct t *t)
{
    char *path = keep(t, 1400);

    for (int i = 0; i < 5; i++)
        sprintf(path + strlen(path), "%s%s", i ? "\\" : "", long_name(t, 250, 'q'));
    CHECK(t, TRY(t, path, .disposition = FILE_OPEN_IF) != STATUS_SUCCESS);
    OK(t, TRY(t, "", .access = FILE_READ_ATTRIBUTES));
}

static const struct test_case cases[] = {
    CASE(a_colon_of_the_host_is_moved_away),
    CASE(wildcards_of_the_host_are_moved_away),
    CASE(quotes_and_brackets_of_the_host_are_moved_away),
    CASE(a_backslash_in_a_host_name_is_no_separator),
    CASE(a_trailing_dot_of_the_host_is_moved_away),
    CASE(a_trailing_space_of_the_host_is_moved_away),
    CASE(a_tab_of_the_host_is_moved_away),
    CASE(a_byte_that_is_not_utf_8_is_moved_away),
    CASE(dots_and_spaces_inside_stay),
    CASE(a_name_with_a_private_colon_is_created_with_a_colon),
    CASE(a_name_that_would_become_a_slash_is_refused),
    CASE(a_name_that_would_become_dot_dot_is_refused_or_harmless),
    CASE(a_file_is_deleted_by_its_moved_name),
    CASE(a_file_gets_a_moved_name),
    CASE(umlauts_and_more_are_what_they_are),
    CASE(characters_beyond_the_basic_plane_are_what_they_are),
    CASE(a_lone_surrogate_is_refused),
    CASE(decomposed_letters_are_not_composed),
    CASE(a_name_of_255_letters_is_created),
    CASE(a_name_of_256_letters_is_no_name),
    CASE(a_name_too_long_for_the_host_is_refused),
    CASE(a_path_of_five_hundred_letters_is_used),
    CASE(a_path_of_two_hundred_japanese_letters_is_used),
    CASE(a_tree_is_thirty_directories_deep),
    CASE(a_path_near_winfsps_limit_is_used),
    CASE(a_path_beyond_winfsps_limit_is_refused),
};
GROUP(names, cases);
