// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_share.c - share modes, between handles of one guest
 *
 * WinFsp's driver enforces them; what is tested here is that the service's opens take part (twins, links, the close
 * of an open that lost).
 */
#include "tests/wine/conformance/conf.h"

static void reading_excludes_writers_that_it_does_not_share_with(struct t *t)
{
    host_puts(t, "f", "x");
    OPEN(t, "f", .access = FILE_GENERIC_READ, .share = FILE_SHARE_READ);
    EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "f", .access = FILE_GENERIC_WRITE));
    OK(t, TRY(t, "f", .access = FILE_GENERIC_READ));
}

static void a_writer_is_not_joined_by_who_does_not_share_writing(struct t *t)
{
    host_puts(t, "f", "x");
    OPEN(t, "f", .access = FILE_GENERIC_WRITE);
    EXPECT(t, STATUS_SHARING_VIOLATION,
           TRY(t, "f", .access = FILE_GENERIC_READ, .share = FILE_SHARE_READ));
    OK(t, TRY(t, "f", .access = FILE_GENERIC_READ));
}

static void sharing_nothing_excludes_everybody(struct t *t)
{
    host_puts(t, "f", "x");
    OPEN(t, "f", .share = SHARE_NONE);
    EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "f", .access = FILE_GENERIC_READ));
    EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "f", .access = FILE_GENERIC_WRITE));
    EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "f", .access = DELETE));
}

static void attributes_are_read_whatever_is_shared(struct t *t)
{
    host_puts(t, "f", "x");
    OPEN(t, "f", .share = SHARE_NONE);
    OK(t, TRY(t, "f", .access = FILE_READ_ATTRIBUTES));
}

static void deleting_needs_shared_deletion(struct t *t)
{
    host_puts(t, "f", "x");
    OPEN(t, "f", .share = FILE_SHARE_READ | FILE_SHARE_WRITE);
    EXPECT(t, STATUS_SHARING_VIOLATION, nt_remove(t, "f"));
    CHECK(t, host_exists(t, "f"));
}

static void renaming_needs_shared_deletion(struct t *t)
{
    host_puts(t, "f", "x");
    OPEN(t, "f", .share = FILE_SHARE_READ | FILE_SHARE_WRITE);
    EXPECT(t, STATUS_SHARING_VIOLATION, nt_move(t, "f", "g", false));
    TEXT(t, "f", host_names(t, ""));
}

static void what_was_closed_excludes_nobody(struct t *t)
{
    host_puts(t, "f", "x");
    nt_close(t, OPEN(t, "f", .share = SHARE_NONE));
    OK(t, TRY(t, "f"));
}

static void what_was_cleaned_up_excludes_nobody(struct t *t)
{
    host_puts(t, "f", "x");
    nt_cleanup(t, OPEN(t, "f", .share = SHARE_NONE));
    OK(t, TRY(t, "f"));
}

static void a_refused_open_leaves_nothing_open(struct t *t)
{
    host_puts(t, "f", "x");
    handle h = OPEN(t, "f", .share = FILE_SHARE_READ);

    for (int i = 0; i < 20; i++)
        EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "f", .access = FILE_GENERIC_WRITE));
    nt_close(t, h);
    OK(t, TRY(t, "f", .share = SHARE_NONE));
}

static void a_program_that_dies_gives_its_files_up(struct t *t)
{
    host_puts(t, "f", "x");
    struct t *other = another(t);

    OPEN(other, "f", .share = SHARE_NONE);
    EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "f"));
    t_die(other);
    EVENTUALLY(t, TRY(t, "f") == STATUS_SUCCESS);
}

/* Incumbent: a link opens with file handle 0, which later calls take for a real one (B.4, Open). */
static void a_link_and_its_target_are_one_file_to_share_modes(struct t *t)
{
    host_puts(t, "f", "x");
    host_symlink(t, "l", "f");
    OPEN(t, "l", .share = SHARE_NONE);
    EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "f"));
}

static void directories_have_share_modes_too(struct t *t)
{
    host_mkdir(t, "d");
    OPEN(t, "d", .access = FILE_LIST_DIRECTORY, .share = FILE_SHARE_READ,
         .options = FILE_DIRECTORY_FILE);
    OK(t, TRY(t, "d", .access = FILE_LIST_DIRECTORY, .options = FILE_DIRECTORY_FILE));
    EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "d", .access = DELETE));
}

static void a_new_file_excludes_others_at_once(struct t *t)
{
    MAKE(t, "f", .share = SHARE_NONE);
    EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "f", .access = FILE_GENERIC_READ));
}

static void the_host_does_not_know_of_share_modes(struct t *t)
{
    MAKE(t, "f", .share = SHARE_NONE);
    host_puts(t, "f", "host");
    TEXT(t, "host", host_gets(t, "f"));
}

static const struct test_case cases[] = {
    CASE(reading_excludes_writers_that_it_does_not_share_with),
    CASE(a_writer_is_not_joined_by_who_does_not_share_writing),
    CASE(sharing_nothing_excludes_everybody),
    CASE(attributes_are_read_whatever_is_shared),
    CASE(deleting_needs_shared_deletion),
    CASE(renaming_needs_shared_deletion),
    CASE(what_was_closed_excludes_nobody),
    CASE(what_was_cleaned_up_excludes_nobody),
    CASE(a_refused_open_leaves_nothing_open),
    CASE(a_program_that_dies_gives_its_files_up),
    CASE(a_link_and_its_target_are_one_file_to_share_modes),
    CASE(directories_have_share_modes_too),
    CASE(a_new_file_excludes_others_at_once),
    CASE(the_host_does_not_know_of_share_modes),
};
GROUP(share, cases);
