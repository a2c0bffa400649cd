// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_host.c - files that the host, or another guest, changes under the handles of Windows
 *
 * What the service believes of the host is good for a second (nap()). What it must never do, however fast the host is:
 * delete, rename or overwrite something that is not the file of the handle.
 */
#include <string.h>

#include "tests/wine/conformance/conf.h"

/* Another file takes the name: as editors and package managers of the host do. */
static void host_replace(struct t *t, const char *name, const char *text)
{
    host_puts(t, "temporary", text);
    host_rename(t, "temporary", name);
}

static void a_longer_file_is_seen(struct t *t)
{
    host_puts(t, "f", "short");
    handle h = OPEN(t, "f");

    EQUAL(t, 5, nt_standard(t, h).size);
    host_append(t, "f", " and long");
    nap(t);
    EQUAL(t, 14, nt_standard(t, h).size);
    TEXT(t, "short and long", nt_gets(t, h, 0));
}

/* Data is never cached, so it is never old. */
static void what_the_host_writes_is_read_at_once(struct t *t)
{
    host_puts(t, "f", "one");
    handle h = OPEN(t, "f");

    TEXT(t, "one", nt_gets(t, h, 0));
    host_puts(t, "f", "two");
    TEXT(t, "two", nt_gets(t, h, 0));
}

static void a_file_cut_by_the_host_ends_there(struct t *t)
{
    char c[8];

    host_puts(t, "f", "long text");
    handle h = OPEN(t, "f");
    TEXT(t, "long text", nt_gets(t, h, 0));
    host_truncate(t, "f", 4);
    EXPECT(t, STATUS_END_OF_FILE, nt_read(t, h, 4, c, 5, NULL));
    TEXT(t, "long", nt_gets(t, h, 0));
}

/* Incumbent: asks for the size and then writes there (B.4, Write). */
static void an_append_goes_behind_what_the_host_appended(struct t *t)
{
    host_puts(t, "f", "one ");
    handle h = OPEN(t, "f", .access = FILE_APPEND_DATA | SYNCHRONIZE);

    nt_puts(t, h, -1, "two ");
    host_append(t, "f", "three ");
    nt_puts(t, h, -1, "four");
    TEXT(t, "one two three four", host_gets(t, "f"));
}

static void a_replaced_file_is_read_on(struct t *t)
{
    host_puts(t, "f", "old");
    handle h = OPEN(t, "f");

    host_replace(t, "f", "new");
    TEXT(t, "old", nt_gets(t, h, 0));
}

static void writing_a_replaced_file_leaves_the_new_one(struct t *t)
{
    host_puts(t, "f", "old");
    handle h = OPEN(t, "f");

    host_replace(t, "f", "new");
    nt_puts(t, h, 0, "OLD");
    TEXT(t, "new", host_gets(t, "f"));
    TEXT(t, "OLD", nt_gets(t, h, 0));
}

static void who_opens_a_replaced_file_gets_the_new_one(struct t *t)
{
    host_puts(t, "f", "old");
    OK(t, TRY(t, "f"));
    host_replace(t, "f", "new");
    nap(t);
    TEXT(t, "new", nt_gets(t, OPEN(t, "f"), 0));
}

/* Incumbent: Cleanup walks the path and unlinks whatever it finds there (B.4, Cleanup). */
static void deleting_a_replaced_file_leaves_the_new_one(struct t *t)
{
    host_puts(t, "f", "old");
    handle h = OPEN(t, "f");

    host_replace(t, "f", "new");
    nap(t);
    OK(t, nt_delete(t, h, true));
    nt_close(t, h);
    TEXT(t, "new", host_gets(t, "f"));
}

static void a_posix_deletion_of_a_replaced_file_leaves_the_new_one(struct t *t)
{
    host_puts(t, "f", "old");
    handle h = OPEN(t, "f");

    host_replace(t, "f", "new");
    nap(t);
    OK(t, nt_delete_ex(t, h, FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS));
    nt_close(t, h);
    TEXT(t, "new", host_gets(t, "f"));
}

static void a_file_deleted_on_close_and_replaced_leaves_the_new_one(struct t *t)
{
    host_puts(t, "f", "old");
    handle h = OPEN(t, "f", .options = FILE_DELETE_ON_CLOSE);

    host_replace(t, "f", "new");
    nap(t);
    nt_close(t, h);
    TEXT(t, "new", host_gets(t, "f"));
}

static void renaming_a_replaced_file_moves_nothing(struct t *t)
{
    host_puts(t, "f", "old");
    handle h = OPEN(t, "f");

    host_replace(t, "f", "new");
    nap(t);
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, nt_rename(t, h, "g", false));
    TEXT(t, "f", host_names(t, ""));
    TEXT(t, "new", host_gets(t, "f"));
}

static void a_file_deleted_by_the_host_is_read_and_written_on(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    host_remove(t, "f");
    TEXT(t, "text", nt_gets(t, h, 0));
    nt_puts(t, h, 0, "TEXT");
    TEXT(t, "TEXT", nt_gets(t, h, 0));
    OK(t, nt_flush(t, h));
}

static void a_file_deleted_by_the_host_is_not_renamed(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    host_remove(t, "f");
    nap(t);
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, nt_rename(t, h, "g", false));
    TEXT(t, "", host_names(t, ""));
}

static void a_file_renamed_by_the_host_is_written_on(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    host_rename(t, "f", "g");
    nt_puts(t, h, 0, "TEXT");
    TEXT(t, "TEXT", host_gets(t, "g"));
}

/* By its name, it is gone; and what has the other name now was not asked for. */
static void deleting_a_file_renamed_by_the_host_deletes_nothing(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    host_rename(t, "f", "g");
    nap(t);
    OK(t, nt_delete(t, h, true));
    nt_close(t, h);
    TEXT(t, "g", host_names(t, ""));
}

static void a_directory_removed_by_the_host_takes_no_new_files(struct t *t)
{
    host_mkdir(t, "d");
    handle d = OPEN(t, "d", .access = FILE_LIST_DIRECTORY | FILE_ADD_FILE);

    host_remove(t, "d");
    nap(t);
    EXPECT(t, STATUS_OBJECT_PATH_NOT_FOUND, TRY(t, "f", .in = d, .disposition = FILE_CREATE));
    TEXT(t, "", host_names(t, ""));
}

/* The same within the second that the directory is believed. */
static void a_directory_removed_just_now_takes_no_new_files(struct t *t)
{
    host_mkdir(t, "d");
    OK(t, TRY(t, "d", .access = FILE_LIST_DIRECTORY));
    host_remove(t, "d");
    EXPECT(t, STATUS_OBJECT_PATH_NOT_FOUND, TRY(t, "d\\f", .disposition = FILE_CREATE));
    TEXT(t, "", host_names(t, ""));
}

static void a_directory_made_anew_by_the_host_is_the_new_one(struct t *t)
{
    host_mkdir(t, "d");
    OK(t, TRY(t, "d", .access = FILE_LIST_DIRECTORY));
    host_remove(t, "d");
    host_mkdir(t, "d");
    nap(t);
    MAKE_FILE(t, "d\\f");
    CHECK(t, host_exists(t, "d\\f"));
}

static void a_file_in_place_of_a_directory_is_a_file(struct t *t)
{
    host_mkdir(t, "x");
    CHECK(t, nt_attributes(t, "x") & FILE_ATTRIBUTE_DIRECTORY);
    host_remove(t, "x");
    host_puts(t, "x", "text");
    nap(t);
    CHECK(t, !(nt_attributes(t, "x") & FILE_ATTRIBUTE_DIRECTORY));
    TEXT(t, "text", nt_gets(t, OPEN(t, "x"), 0));
}

static void a_link_in_place_of_a_file_is_followed(struct t *t)
{
    host_puts(t, "f", "file");
    host_puts(t, "g", "target");
    OK(t, TRY(t, "f"));
    host_remove(t, "f");
    host_symlink(t, "f", "g");
    nap(t);
    TEXT(t, "target", nt_gets(t, OPEN(t, "f"), 0));
}

static void times_changed_by_the_host_are_seen(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    nt_basic(t, h);
    host_times(t, "f", 1000000000, 1200000000);
    nap(t);
    EQUAL(t, filetime(host_stat(t, "f").st_mtim), nt_basic(t, h).written);
}

static void a_file_that_the_host_makes_is_not_overwritten_by_creating(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f"));
    host_puts(t, "f", "host");
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION, TRY(t, "f", .disposition = FILE_CREATE));
    TEXT(t, "host", host_gets(t, "f"));
}

static void a_file_that_the_host_makes_is_not_overwritten_by_renaming(struct t *t)
{
    host_puts(t, "f", "guest");
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "g"));
    host_puts(t, "g", "host");
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION, nt_move(t, "f", "g", false));
    TEXT(t, "host", host_gets(t, "g"));
}

static void open_if_opens_what_the_host_made_just_now(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f"));
    host_puts(t, "f", "host");
    handle h = OPEN(t, "f", .disposition = FILE_OPEN_IF);
    EQUAL(t, FILE_OPENED, nt_information(t));
    TEXT(t, "host", nt_gets(t, h, 0));
}

static void a_directory_filled_by_the_host_survives_its_deletion(struct t *t)
{
    host_mkdir(t, "d");
    handle h = OPEN(t, "d", .access = DELETE);

    OK(t, nt_delete(t, h, true));
    host_puts(t, "d\\f", "text");
    nt_close(t, h);
    TEXT(t, "text", host_gets(t, "d\\f"));
}

/* RELEASE is not waited for: give it a moment. */
static void a_closed_file_is_closed_on_the_host(struct t *t)
{
    host_puts(t, "f", "text");
    for (unsigned i = 0; i < 3; i++) {
        handle h = OPEN(t, "f");
        TEXT(t, "text", nt_gets(t, h, 0));
        CHECK(t, host_users(t, "f") > 0);
        nt_close(t, h);
    }
    nap(t);
    EQUAL(t, 0, host_users(t, "f"));
}

static const struct test_case cases[] = {
    CASE(a_longer_file_is_seen),
    CASE(what_the_host_writes_is_read_at_once),
    CASE(a_file_cut_by_the_host_ends_there),
    CASE(an_append_goes_behind_what_the_host_appended),
    CASE(a_replaced_file_is_read_on),
    CASE(writing_a_replaced_file_leaves_the_new_one),
    CASE(who_opens_a_replaced_file_gets_the_new_one),
    CASE(deleting_a_replaced_file_leaves_the_new_one),
    CASE(a_posix_deletion_of_a_replaced_file_leaves_the_new_one),
    CASE(a_file_deleted_on_close_and_replaced_leaves_the_new_one),
    CASE(renaming_a_replaced_file_moves_nothing),
    CASE(a_file_deleted_by_the_host_is_read_and_written_on),
    CASE(a_file_deleted_by_the_host_is_not_renamed),
    CASE(a_file_renamed_by_the_host_is_written_on),
    CASE(deleting_a_file_renamed_by_the_host_deletes_nothing),
    CASE(a_directory_removed_by_the_host_takes_no_new_files),
    CASE(a_directory_removed_just_now_takes_no_new_files),
    CASE(a_directory_made_anew_by_the_host_is_the_new_one),
    CASE(a_file_in_place_of_a_directory_is_a_file),
    CASE(a_link_in_place_of_a_file_is_followed),
    CASE(times_changed_by_the_host_are_seen),
    CASE(a_file_that_the_host_makes_is_not_overwritten_by_creating),
    CASE(a_file_that_the_host_makes_is_not_overwritten_by_renaming),
    CASE(open_if_opens_what_the_host_made_just_now),
    CASE(a_directory_filled_by_the_host_survives_its_deletion),
    CASE(a_closed_file_is_closed_on_the_host),
};
GROUP(host, cases);
