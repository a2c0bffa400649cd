// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_posix.c - deleting and replacing with POSIX semantics, while others have the file open
 *
 * Incumbent: SupportsPosixUnlinkRename is off (B.4): all of this is refused, and a name in use is neither deleted nor
 * replaced.
 */
#include <string.h>

#include "tests/wine/conformance/conf.h"

#define POSIX_DELETE (FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS)
#define POSIX_MOVE   (FILE_RENAME_REPLACE_IF_EXISTS | FILE_RENAME_POSIX_SEMANTICS)

/* Deletes the POSIX way and closes. */
static void unlink_now(struct t *t, const char *name)
{
    handle h = OPEN(t, name, .access = DELETE);

    OK(t, nt_delete_ex(t, h, POSIX_DELETE));
    nt_close(t, h);
}

static uint32_t move_now(struct t *t, const char *name, const char *to, uint32_t flags)
{
    handle h = OPEN(t, name, .access = DELETE | FILE_READ_ATTRIBUTES);
    uint32_t status = nt_rename_ex(t, h, to, flags);

    nt_close(t, h);
    return status;
}

static void an_open_file_goes_at_once(struct t *t)
{
    host_puts(t, "f", "text");
    OPEN(t, "f");
    unlink_now(t, "f");
    CHECK(t, !host_exists(t, "f"));
}

static void the_name_is_there_until_the_deleter_closes(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f", .access = DELETE);

    OK(t, nt_delete_ex(t, h, POSIX_DELETE));
    CHECK(t, host_exists(t, "f"));
    nt_close(t, h);
    CHECK(t, !host_exists(t, "f"));
}

static void who_had_it_open_goes_on_reading(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    unlink_now(t, "f");
    TEXT(t, "text", nt_gets(t, h, 0));
}

static void who_had_it_open_goes_on_writing(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    unlink_now(t, "f");
    nt_puts(t, h, 4, " and more");
    TEXT(t, "text and more", nt_gets(t, h, 0));
    OK(t, nt_flush(t, h));
}

static void who_had_it_open_changes_its_size(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    unlink_now(t, "f");
    OK(t, nt_set_size(t, h, 2));
    TEXT(t, "te", nt_gets(t, h, 0));
}

static void lazy_writes_reach_a_file_without_a_name(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    unlink_now(t, "f");
    OK(t, nt_write_flags(t, h, 0, "TE", 2, DOOR_IO_PAGING));
    TEXT(t, "TExt", nt_gets(t, h, 0));
}

static void a_new_file_of_that_name_is_another_one(struct t *t)
{
    host_puts(t, "f", "old");
    handle old = OPEN(t, "f");

    unlink_now(t, "f");
    handle new = MAKE(t, "f");
    nt_puts(t, new, 0, "new");
    TEXT(t, "old", nt_gets(t, old, 0));
    TEXT(t, "new", host_gets(t, "f"));
}

static void closing_the_old_file_leaves_the_new_one(struct t *t)
{
    host_puts(t, "f", "old");
    handle old = OPEN(t, "f");

    unlink_now(t, "f");
    MAKE_FILE(t, "f");
    nt_close(t, old);
    nt_control(t, DOOR_CONTROL_SETTLE, 0);
    CHECK(t, host_exists(t, "f"));
}

static void it_is_not_found_by_its_name(struct t *t)
{
    host_puts(t, "f", "text");
    OPEN(t, "f");
    unlink_now(t, "f");
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f"));
}

static void it_is_not_listed(struct t *t)
{
    host_puts(t, "f", "text");
    host_puts(t, "g", "text");
    OPEN(t, "f");
    unlink_now(t, "f");
    TEXT(t, "g", nt_names(t, "", NULL));
}

static void its_handle_knows_that_it_is_deleted(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    unlink_now(t, "f");
    EQUAL(t, 1, nt_standard(t, h).delete_pending);
}

static void it_is_not_deleted_twice(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    unlink_now(t, "f");
    EXPECT(t, STATUS_FILE_DELETED, nt_delete(t, h, true));
}

static void it_gets_no_other_name(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    unlink_now(t, "f");
    EXPECT(t, STATUS_ACCESS_DENIED, nt_rename(t, h, "g", false));
    TEXT(t, "", host_names(t, ""));
}

static void a_deletion_is_called_off_before_the_close(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f", .access = DELETE);

    OK(t, nt_delete_ex(t, h, POSIX_DELETE));
    OK(t, nt_delete_ex(t, h, 0));
    nt_close(t, h);
    TEXT(t, "text", host_gets(t, "f"));
}

static void a_directory_that_is_open_goes_at_once(struct t *t)
{
    host_mkdir(t, "d");
    OPEN(t, "d", .access = FILE_LIST_DIRECTORY);
    unlink_now(t, "d");
    CHECK(t, !host_exists(t, "d"));
    MKDIR(t, "d");
}

static void deletion_at_close_can_not_be_switched_on_later(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f", .access = DELETE);

    EXPECT(t, STATUS_NOT_SUPPORTED,
           nt_delete_ex(t, h, FILE_DISPOSITION_DELETE | FILE_DISPOSITION_ON_CLOSE));
    nt_close(t, h);
    CHECK(t, host_exists(t, "f"));
}

/* ---- replacing ------------------------------------------------------------------------------- */

static void an_open_target_is_replaced_and_read_on(struct t *t)
{
    host_puts(t, "f", "new");
    host_puts(t, "g", "old");
    handle old = OPEN(t, "g");

    OK(t, move_now(t, "f", "g", POSIX_MOVE));
    TEXT(t, "new", host_gets(t, "g"));
    TEXT(t, "old", nt_gets(t, old, 0));
}

static void writing_the_replaced_file_leaves_the_new_one(struct t *t)
{
    host_puts(t, "f", "new");
    host_puts(t, "g", "old");
    handle old = OPEN(t, "g");

    OK(t, move_now(t, "f", "g", POSIX_MOVE));
    nt_puts(t, old, 0, "gone");
    nt_close(t, old);
    TEXT(t, "new", host_gets(t, "g"));
}

static void an_open_target_that_does_not_share_deletion_stays(struct t *t)
{
    host_puts(t, "f", "new");
    host_puts(t, "g", "old");
    OPEN(t, "g", .share = FILE_SHARE_READ | FILE_SHARE_WRITE);
    EXPECT(t, STATUS_SHARING_VIOLATION, move_now(t, "f", "g", POSIX_MOVE));
    TEXT(t, "old", host_gets(t, "g"));
    TEXT(t, "new", host_gets(t, "f"));
}

static void a_directory_replaces_an_empty_one(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    host_mkdir(t, "e");
    OK(t, move_now(t, "d", "e", POSIX_MOVE));
    TEXT(t, "e", host_names(t, ""));
    TEXT(t, "text", host_gets(t, "e\\f"));
}

static void a_directory_does_not_replace_a_full_one(struct t *t)
{
    host_mkdir(t, "d");
    host_mkdir(t, "e");
    host_puts(t, "e\\f", "text");
    EXPECT(t, STATUS_DIRECTORY_NOT_EMPTY, move_now(t, "d", "e", POSIX_MOVE));
    TEXT(t, "d e", host_names(t, ""));
}

static void a_file_does_not_replace_a_directory_either(struct t *t)
{
    host_puts(t, "f", "text");
    host_mkdir(t, "d");
    EXPECT(t, STATUS_ACCESS_DENIED, move_now(t, "f", "d", POSIX_MOVE));
    TEXT(t, "d f", host_names(t, ""));
}

static void a_read_only_target_is_replaced_when_told_so(struct t *t)
{
    host_puts(t, "f", "new");
    host_puts(t, "g", "old");
    host_chmod(t, "g", 0444);
    OK(t, move_now(t, "f", "g", POSIX_MOVE | FILE_RENAME_IGNORE_READONLY_ATTRIBUTE));
    TEXT(t, "new", host_gets(t, "g"));
}

static void open_files_follow_their_directory(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    handle h = OPEN(t, "d\\f");

    OK(t, move_now(t, "d", "e", FILE_RENAME_POSIX_SEMANTICS));
    TEXT(t, (keep_printf(t, "%s\\e\\f", case_dir(t))), nt_name(t, h));
    nt_puts(t, h, 0, "TEXT");
    TEXT(t, "TEXT", host_gets(t, "e\\f"));
}

static void a_file_that_followed_is_deleted_where_it_is(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    handle h = OPEN(t, "d\\f");

    OK(t, move_now(t, "d", "e", FILE_RENAME_POSIX_SEMANTICS));
    OK(t, nt_delete(t, h, true));
    nt_close(t, h);
    TEXT(t, "", host_names(t, "e"));
}

static const struct test_case cases[] = {
    CASE(an_open_file_goes_at_once),
    CASE(the_name_is_there_until_the_deleter_closes),
    CASE(who_had_it_open_goes_on_reading),
    CASE(who_had_it_open_goes_on_writing),
    CASE(who_had_it_open_changes_its_size),
    CASE(lazy_writes_reach_a_file_without_a_name),
    CASE(a_new_file_of_that_name_is_another_one),
    CASE(closing_the_old_file_leaves_the_new_one),
    CASE(it_is_not_found_by_its_name),
    CASE(it_is_not_listed),
    CASE(its_handle_knows_that_it_is_deleted),
    CASE(it_is_not_deleted_twice),
    CASE(it_gets_no_other_name),
    CASE(a_deletion_is_called_off_before_the_close),
    CASE(a_directory_that_is_open_goes_at_once),
    CASE(deletion_at_close_can_not_be_switched_on_later),
    CASE(an_open_target_is_replaced_and_read_on),
    CASE(writing_the_replaced_file_leaves_the_new_one),
    CASE(an_open_target_that_does_not_share_deletion_stays),
    CASE(a_directory_replaces_an_empty_one),
    CASE(a_directory_does_not_replace_a_full_one),
    CASE(a_file_does_not_replace_a_directory_either),
    CASE(a_read_only_target_is_replaced_when_told_so),
    CASE(open_files_follow_their_directory),
    CASE(a_file_that_followed_is_deleted_where_it_is),
};
GROUP(posix, cases);
