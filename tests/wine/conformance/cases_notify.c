// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_notify.c - programs that watch directories
 *
 * What Windows itself does is told by WinFsp's driver. What the host does is found out by reading open directories again
 * (-n, here every second), so it comes a little later.
 *
 * Incumbent: nothing of the host is ever told: Explorer and editors show what was there before (C).
 */
#include <string.h>

#include "tests/wine/conformance/conf.h"

#define NAMES  (FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_DIR_NAME)
#define CHANGE (FILE_NOTIFY_CHANGE_SIZE | FILE_NOTIFY_CHANGE_LAST_WRITE)

/* Everything that a watch hears until it has heard @want; fails after ten seconds. */
static bool hears(struct t *t, handle dir, uint32_t filter, bool tree, const char *want)
{
    int64_t until = t_now_ms() + 10000;

    while (t_now_ms() < until)
        if (nt_notify(t, dir, filter, tree, 1000) == STATUS_SUCCESS && strstr(nt_told(t), want))
            return true;
    return false;
}

/* An open directory whose watch has begun. */
static handle watch(struct t *t, const char *name, uint32_t filter, bool tree)
{
    handle d = OPEN(t, name, .access = FILE_LIST_DIRECTORY);

    EXPECT(t, STATUS_TIMEOUT, nt_notify(t, d, filter, tree, 0));
    return d;
}

static void a_new_file_is_told(struct t *t)
{
    handle d = watch(t, "", NAMES, false);

    MAKE_FILE(t, "f");
    OK(t, nt_notify(t, d, NAMES, false, 1000));
    TEXT(t, "+f", nt_told(t));
}

static void a_new_directory_is_told(struct t *t)
{
    handle d = watch(t, "", FILE_NOTIFY_CHANGE_DIR_NAME, false);

    MAKE_FILE(t, "f");
    MKDIR(t, "d");
    OK(t, nt_notify(t, d, FILE_NOTIFY_CHANGE_DIR_NAME, false, 1000));
    TEXT(t, "+d", nt_told(t));
}

static void a_deleted_file_is_told(struct t *t)
{
    host_puts(t, "f", "");
    handle d = watch(t, "", NAMES, false);

    OK(t, nt_remove(t, "f"));
    OK(t, nt_notify(t, d, NAMES, false, 1000));
    TEXT(t, "-f", nt_told(t));
}

static void a_rename_is_told_with_both_names(struct t *t)
{
    host_puts(t, "f", "");
    handle d = watch(t, "", NAMES, false);

    OK(t, nt_move(t, "f", "g", false));
    OK(t, nt_notify(t, d, NAMES, false, 1000));
    TEXT(t, "<f >g", nt_told(t));
}

static void a_longer_file_is_told(struct t *t)
{
    host_puts(t, "f", "");
    handle d = watch(t, "", CHANGE, false);
    handle h = OPEN(t, "f");

    nt_puts(t, h, 0, "text");
    nt_close(t, h);
    CHECK(t, hears(t, d, CHANGE, false, "*f"));
}

static void what_happens_below_is_told_to_who_watches_the_tree(struct t *t)
{
    host_mkdir(t, "a");
    host_mkdir(t, "a\\b");
    handle d = watch(t, "", NAMES, true);

    MAKE_FILE(t, "a\\b\\f");
    OK(t, nt_notify(t, d, NAMES, true, 1000));
    TEXT(t, "+a\\b\\f", nt_told(t));
}

static void what_happens_below_is_not_told_otherwise(struct t *t)
{
    host_mkdir(t, "a");
    handle d = watch(t, "", NAMES, false);

    MAKE_FILE(t, "a\\f");
    EXPECT(t, STATUS_TIMEOUT, nt_notify(t, d, NAMES, false, 200));
}

static void what_was_refused_is_not_told(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "");
    handle d = watch(t, "", NAMES, false);

    EXPECT(t, STATUS_DIRECTORY_NOT_EMPTY, nt_remove(t, "d"));
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION, TRY(t, "d", .disposition = FILE_CREATE));
    EXPECT(t, STATUS_TIMEOUT, nt_notify(t, d, NAMES, false, 200));
}

static void a_file_cannot_be_watched(struct t *t)
{
    host_puts(t, "f", "");
    EXPECT(t, STATUS_INVALID_PARAMETER,
           nt_notify(t, OPEN(t, "f", .access = FILE_READ_DATA), NAMES, false, 0));
}

/* ---- the host -------------------------------------------------------------------------------- */

/* The directory was read for the first time: only what comes after it is a change. */
static handle watch_host(struct t *t, const char *name, uint32_t filter)
{
    handle d = watch(t, name, filter, false);

    EXPECT(t, STATUS_TIMEOUT, nt_notify(t, d, filter, false, 2500));
    return d;
}

static void a_file_that_the_host_makes_is_told(struct t *t)
{
    handle d = watch_host(t, "", NAMES);

    host_puts(t, "f", "text");
    CHECK(t, hears(t, d, NAMES, false, "+f"));
}

static void a_file_that_the_host_deletes_is_told(struct t *t)
{
    host_puts(t, "f", "text");
    handle d = watch_host(t, "", NAMES);

    host_remove(t, "f");
    CHECK(t, hears(t, d, NAMES, false, "-f"));
}

static void a_file_that_the_host_writes_is_told(struct t *t)
{
    host_puts(t, "f", "text");
    handle d = watch_host(t, "", CHANGE);

    host_append(t, "f", " and more");
    CHECK(t, hears(t, d, CHANGE, false, "*f"));
}

static void a_directory_that_the_host_makes_is_told(struct t *t)
{
    handle d = watch_host(t, "", FILE_NOTIFY_CHANGE_DIR_NAME);

    host_mkdir(t, "d");
    CHECK(t, hears(t, d, FILE_NOTIFY_CHANGE_DIR_NAME, false, "+d"));
}

static void a_file_that_the_host_renames_goes_and_comes(struct t *t)
{
    host_puts(t, "f", "text");
    handle d = watch_host(t, "", NAMES);

    host_rename(t, "f", "g");
    CHECK(t, hears(t, d, NAMES, false, "-f"));
}

static void what_is_told_can_be_opened(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f"));
    handle d = watch_host(t, "", NAMES);

    host_puts(t, "f", "text");
    CHECK(t, hears(t, d, NAMES, false, "+f"));
    TEXT(t, "text", nt_gets(t, OPEN(t, "f"), 0));
    TEXT(t, "f", nt_names(t, "", NULL));
}

static void many_files_of_the_host_are_all_told(struct t *t)
{
    handle d = watch_host(t, "", NAMES);
    unsigned seen = 0;
    int64_t until = t_now_ms() + 10000;

    for (unsigned i = 0; i < 50; i++)
        host_puts(t, keep_printf(t, "file-%02u", i), "");
    while (seen < 50 && t_now_ms() < until)
        if (nt_notify(t, d, NAMES, false, 1000) == STATUS_SUCCESS)
            for (const char *p = nt_told(t); (p = strstr(p, "+file-")); p++)
                seen++;
    EQUAL(t, 50, seen);
}

static void nothing_is_told_when_nothing_happens(struct t *t)
{
    host_puts(t, "f", "text");
    handle d = watch_host(t, "", NAMES | CHANGE);

    EXPECT(t, STATUS_TIMEOUT, nt_notify(t, d, NAMES | CHANGE, false, 3000));
}

static const struct test_case cases[] = {
    CASE(a_new_file_is_told),
    CASE(a_new_directory_is_told),
    CASE(a_deleted_file_is_told),
    CASE(a_rename_is_told_with_both_names),
    CASE(a_longer_file_is_told),
    CASE(what_happens_below_is_told_to_who_watches_the_tree),
    CASE(what_happens_below_is_not_told_otherwise),
    CASE(what_was_refused_is_not_told),
    CASE(a_file_cannot_be_watched),
    CASE_ON(a_file_that_the_host_makes_is_told, VOLUME_POLL),
    CASE_ON(a_file_that_the_host_deletes_is_told, VOLUME_POLL),
    CASE_ON(a_file_that_the_host_writes_is_told, VOLUME_POLL),
    CASE_ON(a_directory_that_the_host_makes_is_told, VOLUME_POLL),
    CASE_ON(a_file_that_the_host_renames_goes_and_comes, VOLUME_POLL),
    CASE_ON(what_is_told_can_be_opened, VOLUME_POLL),
    CASE_ON(many_files_of_the_host_are_all_told, VOLUME_POLL),
    CASE_ON(nothing_is_told_when_nothing_happens, VOLUME_POLL),
};
GROUP(notify, cases);
