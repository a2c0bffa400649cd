// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_watch.c - changes of the host, as the daemon's feed tells them
 *
 * A watch here is the NT door's: programs' own watches are pended by WinFsp's driver, which the stand-in plays.
 *
 * What is below a directory is covered a second or two after it was opened; what happened in the meantime is told then, or
 * said to be lost. watch_tree() waits until a change is told where the tree is deepest.
 *
 * Incumbent: nothing of the host is ever told (C).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/wine/conformance/conf.h"

#define NAMES  (FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_DIR_NAME)
#define CHANGE (FILE_NOTIFY_CHANGE_SIZE | FILE_NOTIFY_CHANGE_LAST_WRITE)
#define ALL    0xfffu

enum { SOON_MS = 5000, QUIET_MS = 300 };

/* A directory that Windows has listed: what happens in it is told from then on, and of this case's second all is. */
static handle watch_listed(struct t *t, const char *name, uint32_t filter)
{
    handle d = OPEN(t, name, .access = FILE_LIST_DIRECTORY);

    nt_list(t, d, NULL);
    EXPECT(t, STATUS_TIMEOUT, nt_notify(t, d, filter, false, 0));
    return d;
}

/* Make files whose names begin like this ("...probe") until one is told; what is told besides is not looked at. */
static void until_told(struct t *t, handle d, const char *name)
{
    int64_t until = t_now_ms() + 10000;
    bool told = false;

    for (unsigned i = 0; !told; i++) {
        CHECK(t, t_now_ms() < until);
        host_puts(t, keep_printf(t, "%s-%u", name, i), "");
        host_remove(t, keep_printf(t, "%s-%u", name, i));
        told = nt_notify(t, d, NAMES, true, 200) == STATUS_SUCCESS && strstr(nt_told(t), "probe");
    }
    while (nt_notify(t, d, NAMES, true, QUIET_MS) != STATUS_TIMEOUT)
        CHECK(t, t_now_ms() < until);
}

/* A tree of which Windows has seen nothing. @deepest: a directory in it, with a separator at its end */
static handle watch_tree(struct t *t, const char *name, const char *deepest)
{
    handle d = OPEN(t, name, .access = FILE_LIST_DIRECTORY);

    EXPECT(t, STATUS_TIMEOUT, nt_notify(t, d, NAMES, true, 0));
    until_told(t, d, keep_printf(t, "%sprobe", deepest));
    return d;
}

/* All that a watch is told until nothing more comes: as nt_told(), joined by ' '. */
static const char *hears(struct t *t, handle dir, uint32_t filter, bool tree)
{
    char *all = keep(t, 65536);

    for (uint32_t ms = SOON_MS; nt_notify(t, dir, filter, tree, ms) == STATUS_SUCCESS;
         ms = QUIET_MS) {
        const char *some = nt_told(t);

        CHECK(t, strlen(all) + strlen(some) + 2 < 65536);
        if (*all)
            strcat(all, " ");
        strcat(all, some);
    }
    return all;
}

/* ---- what happens ---------------------------------------------------------------------------- */

static void a_new_file_is_told(struct t *t)
{
    handle d = watch_listed(t, "", NAMES);

    host_puts(t, "f", "text");
    TEXT(t, "+f", hears(t, d, NAMES, false));
}

static void a_written_file_is_told(struct t *t)
{
    host_puts(t, "f", "text");
    handle d = watch_listed(t, "", CHANGE);

    host_append(t, "f", " and more");
    TEXT(t, "*f", hears(t, d, CHANGE, false));
}

static void a_deleted_file_is_told(struct t *t)
{
    host_puts(t, "f", "");
    handle d = watch_listed(t, "", NAMES);

    host_remove(t, "f");
    TEXT(t, "-f", hears(t, d, NAMES, false));
}

static void a_renamed_file_is_told_with_both_names(struct t *t)
{
    host_puts(t, "f", "");
    handle d = watch_listed(t, "", NAMES);

    host_rename(t, "f", "g");
    TEXT(t, "<f >g", hears(t, d, NAMES, false));
}

static void a_renamed_directory_is_told_with_both_names(struct t *t)
{
    host_mkdir(t, "d");
    handle d = watch_listed(t, "", FILE_NOTIFY_CHANGE_DIR_NAME);

    host_rename(t, "d", "e");
    TEXT(t, "<d >e", hears(t, d, FILE_NOTIFY_CHANGE_DIR_NAME, false));
}

static void a_move_to_another_directory_is_told_as_two_changes(struct t *t)
{
    host_mkdir(t, "a");
    host_mkdir(t, "b");
    host_puts(t, "a\\f", "");
    handle d = watch_tree(t, "", "a\\");

    until_told(t, d, "b\\probe");
    host_rename(t, "a\\f", "b\\g");
    TEXT(t, "-a\\f +b\\g", hears(t, d, NAMES, true));
}

static void a_file_that_is_moved_away_is_removed(struct t *t)
{
    host_mkdir(t, "a");
    host_puts(t, "a\\f", "");
    handle d = watch_listed(t, "a", NAMES);

    host_rename(t, "a\\f", "f");
    TEXT(t, "-f", hears(t, d, NAMES, false));
}

static void a_changed_mode_is_told_to_who_asks_for_attributes(struct t *t)
{
    host_puts(t, "f", "");
    handle d = watch_listed(t, "", FILE_NOTIFY_CHANGE_ATTRIBUTES);

    host_chmod(t, "f", 0444);
    TEXT(t, "*f", hears(t, d, FILE_NOTIFY_CHANGE_ATTRIBUTES, false));
}

static void a_changed_mode_is_told_to_who_asks_for_security(struct t *t)
{
    host_puts(t, "f", "");
    handle d = watch_listed(t, "", FILE_NOTIFY_CHANGE_SECURITY);

    host_chmod(t, "f", 0600);
    TEXT(t, "*f", hears(t, d, FILE_NOTIFY_CHANGE_SECURITY, false));
}

static void a_set_xattr_is_told(struct t *t)
{
    host_puts(t, "f", "");
    handle d = watch_listed(t, "", FILE_NOTIFY_CHANGE_EA);

    host_setxattr(t, "f", "user.colour", "red");
    TEXT(t, "*f", hears(t, d, FILE_NOTIFY_CHANGE_EA, false));
}

static void who_watches_names_is_not_told_of_writes(struct t *t)
{
    host_puts(t, "f", "");
    handle d = watch_listed(t, "", NAMES);

    host_append(t, "f", "text");
    host_chmod(t, "f", 0600);
    host_puts(t, "fence", "");
    TEXT(t, "+fence", hears(t, d, NAMES, false));
}

/* ---- where it happens ------------------------------------------------------------------------ */

static void what_happens_below_is_told_to_who_watches_the_tree(struct t *t)
{
    host_mkdir(t, "a");
    host_mkdir(t, "a\\b");
    host_mkdir(t, "a\\b\\c");
    handle d = watch_tree(t, "", "a\\b\\c\\");

    host_puts(t, "a\\b\\c\\f", "");
    TEXT(t, "+a\\b\\c\\f", hears(t, d, NAMES, true));
}

static void what_happens_below_is_not_told_otherwise(struct t *t)
{
    host_mkdir(t, "a");
    handle d = watch_listed(t, "", NAMES);

    host_puts(t, "a\\f", "");
    host_puts(t, "fence", "");
    TEXT(t, "+fence", hears(t, d, NAMES, false));
}

static void a_tree_that_is_made_is_told_whole(struct t *t)
{
    handle d = watch_tree(t, "", "");

    host_mkdir(t, "a");
    host_mkdir(t, "a\\b");
    host_puts(t, "a\\b\\f", "");
    const char *all = hears(t, d, NAMES, true);
    CHECK(t, strstr(all, "+a ") == all);
    CHECK(t, strstr(all, "+a\\b ") != NULL);
    CHECK(t, strstr(all, "+a\\b\\f") != NULL);
}

static void a_directory_that_is_moved_is_watched_on(struct t *t)
{
    host_mkdir(t, "a");
    host_mkdir(t, "a\\b");
    handle d = watch_tree(t, "", "a\\b\\");

    host_rename(t, "a\\b", "c");
    TEXT(t, "-a\\b +c", hears(t, d, NAMES, true));
    host_puts(t, "c\\f", "");
    TEXT(t, "+c\\f", hears(t, d, NAMES, true));
}

/* ---- what Windows does ----------------------------------------------------------------------- */

static void own_changes_are_told_once(struct t *t)
{
    handle d = watch_listed(t, "", NAMES);

    for (unsigned i = 0; i < 4; i++)
        MAKE_FILE(t, keep_printf(t, "f%u", i));
    OK(t, nt_move(t, "f0", "g", false));
    OK(t, nt_remove(t, "f1"));
    host_puts(t, "fence", "");
    TEXT(t, "+f0 +f1 +f2 +f3 <f0 >g -f1 +fence", hears(t, d, NAMES, false));
}

static void own_writes_are_not_told_by_the_host_as_well(struct t *t)
{
    host_puts(t, "f", "");
    handle h = OPEN(t, "f");
    handle d = watch_listed(
        t, "", FILE_NOTIFY_CHANGE_EA); /* the host's events say this, WinFsp's do not */

    nt_puts(t, h, 0, "text");
    nt_close(t, h);
    host_setxattr(t, "f", "user.fence", "1");
    TEXT(t, "*f", hears(t, d, FILE_NOTIFY_CHANGE_EA, false));
}

/* ---- what is cached -------------------------------------------------------------------------- */

/* Without a nap, which drops WinFsp's caches: the change must do that. */
static void what_is_told_is_seen_at_once(struct t *t)
{
    host_puts(t, "f", "short");
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "g"));
    TEXT(t, "f", nt_names(t, "", NULL));
    handle h = OPEN(t, "f");
    EQUAL(t, 5, nt_standard(t, h).size);
    handle d = watch_listed(t, "", NAMES | CHANGE);
    TEXT(t, "f", nt_names(t, "", NULL));
    EQUAL(t, 5, nt_standard(t, h).size);

    host_append(t, "f", " and long");
    TEXT(t, "*f", hears(t, d, NAMES | CHANGE, false));
    EQUAL(t, 14, nt_standard(t, h).size);
    host_mkdir(t, "g");
    TEXT(t, "+g", hears(t, d, NAMES | CHANGE, false));
    TEXT(t, "f g", nt_names(t, "", NULL));
    OK(t, TRY(t, "g", .access = FILE_LIST_DIRECTORY));
    host_remove(t, "g");
    TEXT(t, "-g", hears(t, d, NAMES | CHANGE, false));
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "g"));
}

/* ---- how much, and how soon ------------------------------------------------------------------ */

static void the_first_second_is_not_silence(struct t *t)
{
    handle d = OPEN(t, "", .access = FILE_LIST_DIRECTORY);

    EXPECT(t, STATUS_TIMEOUT, nt_notify(t, d, NAMES, false, 0));
    host_puts(t, "f", "");
    uint32_t status = nt_notify(t, d, NAMES, false, SOON_MS);
    CHECK(t, status == STATUS_NOTIFY_ENUM_DIR || status == STATUS_SUCCESS);
}

static void a_quiet_directory_is_told_nothing(struct t *t)
{
    host_mkdir(t, "d");
    host_mkdir(t, "d\\s");
    usleep(500000); /* a little more is looked back than the directory is open */
    handle d = OPEN(t, "d", .access = FILE_LIST_DIRECTORY);

    EXPECT(t, STATUS_TIMEOUT, nt_notify(t, d, ALL, true, 3500));
    host_puts(t, "d\\s\\fence", "");
    TEXT(t, "+s\\fence", hears(t, d, NAMES, true)); /* and it is watched by now */
}

/* Two watches: the first one's program is slow, the second one's tells when all has been said. */
static void what_is_lost_is_more_than_a_buffer_holds(struct t *t)
{
    host_mkdir(t, "a");
    host_mkdir(t, "b");
    handle quick = watch_tree(t, "a", "a\\"), slow = OPEN(t, "a", .access = FILE_LIST_DIRECTORY);
    int64_t until = t_now_ms() + 10000;
    uint32_t status;

    EXPECT(t, STATUS_TIMEOUT, nt_notify(t, slow, NAMES, false, 0));
    host_rename(t, "b", "a\\b"); /* where it was, nobody watched what happened in it */
    do {
        CHECK(t, t_now_ms() < until);
        status = nt_notify(t, quick, NAMES, true, 200);
    } while (status != STATUS_NOTIFY_ENUM_DIR &&
             !(status == STATUS_SUCCESS && strstr(nt_told(t), "-~")));
    until_told(t, quick, "a\\probe");
    EXPECT(t, STATUS_NOTIFY_ENUM_DIR, nt_notify(t, slow, NAMES, false, 0));
    host_puts(t, "a\\after", "");
    TEXT(t, "+after", hears(t, slow, NAMES, false));
}

static void many_changes_are_told_or_said_to_be_lost(struct t *t)
{
    enum { MANY = 20000 };
    handle d = watch_listed(t, "", NAMES);
    unsigned told = 0;
    bool lost = false;
    uint32_t status;

    for (unsigned i = 0; i < MANY; i++) {
        bool made = symlink("x", host_path(t, "l")) == 0 && unlink(host_path(t, "l")) == 0;
        CHECK(t, made);
    }
    host_puts(t, "fence", "");
    while ((status = nt_notify(t, d, NAMES, false, 2000)) != STATUS_TIMEOUT) {
        lost |= status == STATUS_NOTIFY_ENUM_DIR;
        for (const char *p = status ? "" : nt_told(t); *p; p++)
            told += *p == 'l';
    }
    CHECK(t, lost || told == 2 * MANY);
    host_puts(t, "after", "");
    TEXT(t, "+after", hears(t, d, NAMES, false));
}

static int by_value(const void *a, const void *b)
{
    return (*(const int64_t *)a > *(const int64_t *)b) -
           (*(const int64_t *)a < *(const int64_t *)b);
}

/* A timer on the way would show: the median is of changes that nothing else hurries. */
static void a_change_arrives_within_twenty_milliseconds(struct t *t)
{
    enum { TIMES = 21 };
    handle d = watch_listed(t, "", NAMES);
    int64_t took[TIMES];

    for (unsigned i = 0; i < TIMES; i++) {
        int64_t since = t_now_ms();
        host_puts(t, keep_printf(t, "f%u", i), "");
        OK(t, nt_notify(t, d, NAMES, false, SOON_MS));
        took[i] = t_now_ms() - since;
    }
    qsort(took, TIMES, sizeof(*took), by_value);
    CHECK(t, took[TIMES / 2] < 20);
}

static const struct test_case cases[] = {
    CASE(a_new_file_is_told),
    CASE(a_written_file_is_told),
    CASE(a_deleted_file_is_told),
    CASE(a_renamed_file_is_told_with_both_names),
    CASE(a_renamed_directory_is_told_with_both_names),
    CASE(a_move_to_another_directory_is_told_as_two_changes),
    CASE(a_file_that_is_moved_away_is_removed),
    CASE(a_changed_mode_is_told_to_who_asks_for_attributes),
    CASE(a_changed_mode_is_told_to_who_asks_for_security),
    CASE(a_set_xattr_is_told),
    CASE(who_watches_names_is_not_told_of_writes),
    CASE(what_happens_below_is_told_to_who_watches_the_tree),
    CASE(what_happens_below_is_not_told_otherwise),
    CASE(a_tree_that_is_made_is_told_whole),
    CASE(a_directory_that_is_moved_is_watched_on),
    CASE(own_changes_are_told_once),
    CASE(own_writes_are_not_told_by_the_host_as_well),
    CASE(what_is_told_is_seen_at_once),
    CASE(the_first_second_is_not_silence),
    CASE(a_quiet_directory_is_told_nothing),
    CASE(what_is_lost_is_more_than_a_buffer_holds),
    CASE(many_changes_are_told_or_said_to_be_lost),
    CASE(a_change_arrives_within_twenty_milliseconds),
};
GROUP(watch, cases);
