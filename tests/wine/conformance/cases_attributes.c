// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_attributes.c - file attributes and the mode bits behind them
 */
#include "tests/wine/conformance/conf.h"

static void set_attributes(struct t *t, const char *name, uint32_t attributes)
{
    handle h = OPEN(t, name, .access = FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | SYNCHRONIZE);

    OK(t, nt_set_attributes(t, h, attributes));
    nt_close(t, h);
}

static void a_plain_file_is_neither_directory_nor_link(struct t *t)
{
    host_puts(t, "f", "");
    EQUAL(t, 0,
          nt_attributes(t, "f") &
              (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_READONLY));
}

static void a_directory_is_one(struct t *t)
{
    host_mkdir(t, "d");
    CHECK(t, nt_attributes(t, "d") & FILE_ATTRIBUTE_DIRECTORY);
}

static void a_file_without_write_bits_is_read_only(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0555);
    CHECK(t, nt_attributes(t, "f") & FILE_ATTRIBUTE_READONLY);
}

static void a_file_that_its_owner_may_write_is_not_read_only(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0600);
    EQUAL(t, 0, nt_attributes(t, "f") & FILE_ATTRIBUTE_READONLY);
}

static void read_only_takes_the_write_bits(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0664);
    set_attributes(t, "f", FILE_ATTRIBUTE_READONLY);
    EQUAL(t, 0444, host_mode(t, "f"));
}

/* Incumbent: 0444 or 0664 whatever the mode was: programs lose their bits (B.4, SetBasicInfo). */
static void read_only_leaves_the_other_bits(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0751);
    set_attributes(t, "f", FILE_ATTRIBUTE_READONLY);
    EQUAL(t, 0551, host_mode(t, "f"));
}

static void setuid_survives_attributes(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 04755);
    set_attributes(t, "f", FILE_ATTRIBUTE_ARCHIVE);
    EQUAL(t, 04755, host_mode(t, "f"));
}

static void taking_read_only_off_gives_the_owner_writing(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0551);
    set_attributes(t, "f", FILE_ATTRIBUTE_NORMAL);
    EQUAL(t, 0200, host_mode(t, "f") & 0200);
    EQUAL(t, 0551, host_mode(t, "f") & 0555);
}

static void attributes_that_do_not_change_leave_the_mode(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0600);
    set_attributes(t, "f", FILE_ATTRIBUTE_NORMAL);
    EQUAL(t, 0600, host_mode(t, "f"));
    set_attributes(t, "f", FILE_ATTRIBUTE_ARCHIVE);
    EQUAL(t, 0600, host_mode(t, "f"));
}

static void hidden_and_system_are_accepted(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0640);
    set_attributes(t, "f", FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM);
    EQUAL(t, 0640, host_mode(t, "f"));
}

static void attributes_of_zero_leave_them(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0444);
    set_attributes(t, "f", 0);
    EQUAL(t, 0444, host_mode(t, "f"));
    CHECK(t, nt_attributes(t, "f") & FILE_ATTRIBUTE_READONLY);
}

static void a_directory_keeps_its_bits_when_attributes_are_set(struct t *t)
{
    host_mkdir(t, "d");
    host_chmod(t, "d", 0750);
    set_attributes(t, "d", FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_ARCHIVE);
    EQUAL(t, 0750, host_mode(t, "d"));
}

/* On Windows READONLY of a directory is a mark for the shell; it must not keep programs from creating in it. */
static void a_read_only_directory_can_be_filled(struct t *t)
{
    host_mkdir(t, "d");
    set_attributes(t, "d", FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_READONLY);
    MAKE_FILE(t, "d\\f");
    CHECK(t, host_exists(t, "d\\f"));
}

/* NTFS says INVALID_PARAMETER; WinFsp's driver takes the attribute out of the request. */
static void a_file_does_not_become_a_directory(struct t *t)
{
    host_puts(t, "f", "");
    handle h = OPEN(t, "f");

    OK(t, nt_set_attributes(t, h, FILE_ATTRIBUTE_DIRECTORY));
    EQUAL(t, 0, nt_attributes(t, "f") & FILE_ATTRIBUTE_DIRECTORY);
}

static void setting_attributes_needs_the_right_to(struct t *t)
{
    host_puts(t, "f", "");
    EXPECT(
        t, STATUS_ACCESS_DENIED,
        nt_set_attributes(t, OPEN(t, "f", .access = FILE_GENERIC_READ), FILE_ATTRIBUTE_READONLY));
}

static void others_see_new_attributes(struct t *t)
{
    host_puts(t, "f", "");
    handle a = OPEN(t, "f"), b = OPEN(t, "f");

    OK(t, nt_set_attributes(t, a, FILE_ATTRIBUTE_READONLY));
    CHECK(t, nt_basic(t, b).attributes & FILE_ATTRIBUTE_READONLY);
}

static void a_listing_has_the_same_attributes(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0444);
    host_mkdir(t, "d");
    const struct listing *l = nt_list(t, OPEN(t, "", .access = FILE_LIST_DIRECTORY), NULL);

    EQUAL(t, nt_attributes(t, "f"), find(t, l, "f")->attributes);
    EQUAL(t, nt_attributes(t, "d"), find(t, l, "d")->attributes);
}

static void a_read_only_file_stays_so_after_the_writer_closes(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "text");
    OK(t, nt_set_attributes(t, h, FILE_ATTRIBUTE_READONLY));
    nt_puts(t, h, 4, "more");
    nt_close(t, h);
    EQUAL(t, 0, host_mode(t, "f") & 0222);
    TEXT(t, "textmore", host_gets(t, "f"));
}

static void a_plain_file_has_no_reparse_tag(struct t *t)
{
    host_puts(t, "f", "");
    EQUAL(t, 0, nt_tag(t, OPEN(t, "f")).tag);
}

/* WinFsp: one link, whatever the host has. */
static void the_number_of_links_is_one(struct t *t)
{
    host_puts(t, "f", "");
    EQUAL(t, 1, nt_standard(t, OPEN(t, "f")).links);
}

static const struct test_case cases[] = {
    CASE(a_plain_file_is_neither_directory_nor_link),
    CASE(a_directory_is_one),
    CASE(a_file_without_write_bits_is_read_only),
    CASE(a_file_that_its_owner_may_write_is_not_read_only),
    CASE(read_only_takes_the_write_bits),
    CASE(read_only_leaves_the_other_bits),
    CASE(setuid_survives_attributes),
    CASE(taking_read_only_off_gives_the_owner_writing),
    CASE(attributes_that_do_not_change_leave_the_mode),
    CASE(hidden_and_system_are_accepted),
    CASE(attributes_of_zero_leave_them),
    CASE(a_directory_keeps_its_bits_when_attributes_are_set),
    CASE(a_read_only_directory_can_be_filled),
    CASE(a_file_does_not_become_a_directory),
    CASE(setting_attributes_needs_the_right_to),
    CASE(others_see_new_attributes),
    CASE(a_listing_has_the_same_attributes),
    CASE(a_read_only_file_stays_so_after_the_writer_closes),
    CASE(a_plain_file_has_no_reparse_tag),
    CASE(the_number_of_links_is_one),
};
GROUP(attributes, cases);
