// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_delete.c - deleting, the Windows way and the POSIX way
 */
#include "tests/wine/conformance/conf.h"

static void a_file_is_deleted(struct t *t)
{
    host_puts(t, "f", "text");
    OK(t, nt_remove(t, "f"));
    CHECK(t, !host_exists(t, "f"));
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f"));
}

static void an_empty_directory_is_deleted(struct t *t)
{
    host_mkdir(t, "d");
    OK(t, nt_remove(t, "d"));
    CHECK(t, !host_exists(t, "d"));
}

/* Incumbent: counts the entries of the first buffer, and takes "." and ".." for granted (B.4, CanDelete). */
static void a_directory_with_something_in_it_is_not(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    EXPECT(t, STATUS_DIRECTORY_NOT_EMPTY, nt_remove(t, "d"));
    TEXT(t, "text", host_gets(t, "d\\f"));
}

static void a_directory_with_a_dot_file_in_it_is_not(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\.hidden", "");
    EXPECT(t, STATUS_DIRECTORY_NOT_EMPTY, nt_remove(t, "d"));
    CHECK(t, host_exists(t, "d"));
}

static void a_tree_is_deleted_from_the_leaves(struct t *t)
{
    MKDIR(t, "a");
    MKDIR(t, "a\\b");
    for (int i = 0; i < 20; i++)
        MAKE_FILE(t, keep_printf(t, "a\\b\\%d", i));
    for (int i = 0; i < 20; i++)
        OK(t, nt_remove(t, keep_printf(t, "a\\b\\%d", i)));
    OK(t, nt_remove(t, "a\\b"));
    OK(t, nt_remove(t, "a"));
    TEXT(t, "", host_names(t, ""));
}

static void a_file_stays_until_its_handle_is_closed(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");
    OK(t, nt_delete(t, h, true));
    CHECK(t, host_exists(t, "f"));
    nt_close(t, h);
    CHECK(t, !host_exists(t, "f"));
}

static void a_file_to_be_deleted_is_not_opened_again(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");
    OK(t, nt_delete(t, h, true));
    EXPECT(t, STATUS_DELETE_PENDING, TRY(t, "f"));
}

static void a_file_stays_until_its_last_handle_is_closed(struct t *t)
{
    host_puts(t, "f", "text");
    handle a = OPEN(t, "f"), b = OPEN(t, "f");
    OK(t, nt_delete(t, a, true));
    nt_close(t, a);
    CHECK(t, host_exists(t, "f"));
    TEXT(t, "text", nt_gets(t, b, 0));
    nt_close(t, b);
    CHECK(t, !host_exists(t, "f"));
}

static void a_deletion_is_called_off(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");
    OK(t, nt_delete(t, h, true));
    OK(t, nt_delete(t, h, false));
    nt_close(t, h);
    TEXT(t, "text", host_gets(t, "f"));
}

static void standard_information_says_that_it_will_be_deleted(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");
    EQUAL(t, 0, nt_standard(t, h).delete_pending);
    OK(t, nt_delete(t, h, true));
    EQUAL(t, 1, nt_standard(t, h).delete_pending);
}

static void a_read_only_file_is_not_deleted(struct t *t)
{
    host_puts(t, "f", "text");
    host_chmod(t, "f", 0444);
    EXPECT(t, STATUS_CANNOT_DELETE, nt_remove(t, "f"));
    CHECK(t, host_exists(t, "f"));
}

static void deleting_needs_the_right_to(struct t *t)
{
    host_puts(t, "f", "text");
    EXPECT(t, STATUS_ACCESS_DENIED, nt_delete(t, OPEN(t, "f", .access = FILE_GENERIC_READ), true));
}

static void the_root_is_not_deleted(struct t *t)
{
    CHECK(t, nt_remove(t, "\\") != STATUS_SUCCESS);
}

static void a_link_is_deleted_and_its_target_stays(struct t *t)
{
    host_puts(t, "f", "text");
    host_symlink(t, "l", "f");
    OK(t, nt_remove(t, "l"));
    TEXT(t, "f", host_names(t, ""));
    TEXT(t, "text", host_gets(t, "f"));
}

static void a_link_to_a_directory_is_deleted_and_its_target_stays(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    host_symlink(t, "l", "d");
    OK(t, nt_remove(t, "l"));
    TEXT(t, "d", host_names(t, ""));
    TEXT(t, "f", host_names(t, "d"));
}

static void a_dangling_link_is_deleted(struct t *t)
{
    host_symlink(t, "l", "nowhere");
    OK(t, nt_remove(t, "l"));
    TEXT(t, "", host_names(t, ""));
}

static void a_fifo_is_deleted(struct t *t)
{
    host_mknod(t, "p", S_IFIFO | 0644);
    OK(t, nt_remove(t, "p"));
    TEXT(t, "", host_names(t, ""));
}

/* ---- POSIX ----------------------------------------------------------------------------------- */

static void posix_deletion_takes_the_name_at_the_close_of_the_deleter(struct t *t)
{
    host_puts(t, "f", "text");
    handle a = OPEN(t, "f"), b = OPEN(t, "f", .access = DELETE);
    OK(t, nt_delete_ex(t, b, FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS));
    nt_close(t, b);
    CHECK(t, !host_exists(t, "f"));
    TEXT(t, "text", nt_gets(t, a, 0));
}

static void a_name_deleted_the_posix_way_can_be_made_again(struct t *t)
{
    host_puts(t, "f", "old");
    handle a = OPEN(t, "f"), b = OPEN(t, "f", .access = DELETE);
    OK(t, nt_delete_ex(t, b, FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS));
    nt_close(t, b);
    handle c = MAKE(t, "f");
    nt_puts(t, c, 0, "new");
    TEXT(t, "old", nt_gets(t, a, 0));
    TEXT(t, "new", host_gets(t, "f"));
}

static void a_file_deleted_the_posix_way_tells_its_size(struct t *t)
{
    host_puts(t, "f", "12345");
    handle a = OPEN(t, "f"), b = OPEN(t, "f", .access = DELETE);
    OK(t, nt_delete_ex(t, b, FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS));
    nt_close(t, b);
    nt_control(t, DOOR_CONTROL_DROP_INFO_CACHE, 0);
    EQUAL(t, 5, nt_standard(t, a).size);
    OK(t, nt_set_size(t, a, 2));
    EQUAL(t, 2, nt_standard(t, a).size);
}

static void a_directory_with_something_in_it_is_not_deleted_the_posix_way(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "");
    handle h = OPEN(t, "d", .access = DELETE, .options = FILE_DIRECTORY_FILE);
    EXPECT(t, STATUS_DIRECTORY_NOT_EMPTY,
           nt_delete_ex(t, h, FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS));
    CHECK(t, host_exists(t, "d"));
}

static void read_only_is_ignored_when_told_so(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0444);
    handle h = OPEN(t, "f", .access = DELETE);
    OK(t, nt_delete_ex(t, h,
                       FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS |
                           FILE_DISPOSITION_IGNORE_READONLY_ATTRIBUTE));
    nt_close(t, h);
    CHECK(t, !host_exists(t, "f"));
}

static void the_other_projects_class_works_without_posix_too(struct t *t)
{
    host_puts(t, "f", "");
    handle h = OPEN(t, "f", .access = DELETE);
    OK(t, nt_delete_ex(t, h, FILE_DISPOSITION_DELETE));
    nt_close(t, h);
    CHECK(t, !host_exists(t, "f"));
}

/* Incumbent: errors of the deletion are ignored, and the name that goes may be another file's (B.4, Cleanup; #985). */
static void a_file_that_the_host_put_there_meanwhile_is_not_deleted(struct t *t)
{
    host_puts(t, "f", "ours");
    handle h = OPEN(t, "f");
    OK(t, nt_delete(t, h, true));
    host_rename(t, "f", "moved");
    host_puts(t, "f", "another");
    t_wait_for_names(t);
    nt_close(t, h);
    TEXT(t, "another", host_gets(t, "f"));
}

static void deleting_what_the_host_deleted_does_no_harm(struct t *t)
{
    host_puts(t, "f", "");
    handle h = OPEN(t, "f");
    OK(t, nt_delete(t, h, true));
    host_remove(t, "f");
    nt_close(t, h);
    TEXT(t, "", host_names(t, ""));
}

static void a_listing_does_not_show_what_was_deleted(struct t *t)
{
    host_puts(t, "f", "");
    host_puts(t, "g", "");
    TEXT(t, "f g", nt_names(t, "", NULL));
    OK(t, nt_remove(t, "f"));
    TEXT(t, "g", nt_names(t, "", NULL));
}

static void a_link_of_the_host_keeps_the_data(struct t *t)
{
    host_puts(t, "f", "text");
    host_link(t, "g", "f");
    OK(t, nt_remove(t, "f"));
    TEXT(t, "g", host_names(t, ""));
    TEXT(t, "text", nt_gets(t, OPEN(t, "g"), 0));
}

static const struct test_case cases[] = {
    CASE(a_file_is_deleted),
    CASE(an_empty_directory_is_deleted),
    CASE(a_directory_with_something_in_it_is_not),
    CASE(a_directory_with_a_dot_file_in_it_is_not),
    CASE(a_tree_is_deleted_from_the_leaves),
    CASE(a_file_stays_until_its_handle_is_closed),
    CASE(a_file_to_be_deleted_is_not_opened_again),
    CASE(a_file_stays_until_its_last_handle_is_closed),
    CASE(a_deletion_is_called_off),
    CASE(standard_information_says_that_it_will_be_deleted),
    CASE(a_read_only_file_is_not_deleted),
    CASE(deleting_needs_the_right_to),
    CASE(the_root_is_not_deleted),
    CASE(a_link_is_deleted_and_its_target_stays),
    CASE(a_link_to_a_directory_is_deleted_and_its_target_stays),
    CASE(a_dangling_link_is_deleted),
    CASE(a_fifo_is_deleted),
    CASE(posix_deletion_takes_the_name_at_the_close_of_the_deleter),
    CASE(a_name_deleted_the_posix_way_can_be_made_again),
    CASE(a_file_deleted_the_posix_way_tells_its_size),
    CASE(a_directory_with_something_in_it_is_not_deleted_the_posix_way),
    CASE(read_only_is_ignored_when_told_so),
    CASE(the_other_projects_class_works_without_posix_too),
    CASE(a_file_that_the_host_put_there_meanwhile_is_not_deleted),
    CASE(deleting_what_the_host_deleted_does_no_harm),
    CASE(a_listing_does_not_show_what_was_deleted),
    CASE(a_link_of_the_host_keeps_the_data),
};
GROUP(delete, cases);
