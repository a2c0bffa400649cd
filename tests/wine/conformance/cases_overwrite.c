// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_overwrite.c - OVERWRITE, OVERWRITE_IF, SUPERSEDE on what is there
 */
#include "tests/wine/conformance/conf.h"

static void overwriting_empties_the_file(struct t *t)
{
    host_puts(t, "f", "old text");
    OK(t, TRY(t, "f", .disposition = FILE_OVERWRITE));
    EQUAL(t, FILE_OVERWRITTEN, nt_information(t));
    EQUAL(t, 0, host_stat(t, "f").st_size);
}

static void overwrite_if_empties_the_file(struct t *t)
{
    host_puts(t, "f", "old text");
    OK(t, TRY(t, "f", .disposition = FILE_OVERWRITE_IF));
    EQUAL(t, FILE_OVERWRITTEN, nt_information(t));
    EQUAL(t, 0, host_stat(t, "f").st_size);
}

static void superseding_empties_the_file(struct t *t)
{
    host_puts(t, "f", "old text");
    OK(t, TRY(t, "f", .disposition = FILE_SUPERSEDE));
    EQUAL(t, FILE_SUPERSEDED, nt_information(t));
    EQUAL(t, 0, host_stat(t, "f").st_size);
}

/* Incumbent: the size becomes AllocationSize, the file is full of zeroes (B.4, Overwrite). */
static void overwriting_with_an_allocation_empties_the_file(struct t *t)
{
    host_puts(t, "f", "old text");
    handle h = OPEN(t, "f", .disposition = FILE_OVERWRITE_IF, .allocation = 8192);

    EQUAL(t, 0, nt_standard(t, h).size);
    EQUAL(t, 0, host_stat(t, "f").st_size);
    TEXT(t, "", nt_gets(t, h, 0));
}

/* Incumbent: any overwrite sets the mode to 0664 (B.4, Overwrite). */
static void overwriting_keeps_the_bits_of_a_program(struct t *t)
{
    host_puts(t, "f", "#!/bin/sh");
    host_chmod(t, "f", 0750);
    OK(t, TRY(t, "f", .disposition = FILE_OVERWRITE_IF, .attributes = FILE_ATTRIBUTE_ARCHIVE));
    EQUAL(t, 0750, host_mode(t, "f"));
}

static void overwriting_with_normal_attributes_keeps_the_mode(struct t *t)
{
    host_puts(t, "f", "x");
    host_chmod(t, "f", 0640);
    OK(t, TRY(t, "f", .disposition = FILE_OVERWRITE, .attributes = FILE_ATTRIBUTE_NORMAL));
    EQUAL(t, 0640, host_mode(t, "f"));
}

static void superseding_keeps_the_bits_of_a_program(struct t *t)
{
    host_puts(t, "f", "#!/bin/sh");
    host_chmod(t, "f", 0755);
    OK(t, TRY(t, "f", .disposition = FILE_SUPERSEDE, .attributes = FILE_ATTRIBUTE_NORMAL));
    EQUAL(t, 0111, host_mode(t, "f") & 0111);
}

static void overwriting_keeps_the_inode(struct t *t)
{
    host_puts(t, "f", "x");
    ino_t before = host_stat(t, "f").st_ino;

    OK(t, TRY(t, "f", .disposition = FILE_OVERWRITE_IF));
    EQUAL(t, before, host_stat(t, "f").st_ino);
}

static void overwriting_keeps_the_links_of_the_host(struct t *t)
{
    host_puts(t, "f", "x");
    host_link(t, "g", "f");
    OK(t, TRY(t, "f", .disposition = FILE_OVERWRITE_IF));
    EQUAL(t, 0, host_stat(t, "g").st_size);
}

static void a_directory_is_not_overwritten(struct t *t)
{
    host_mkdir(t, "d");
    EXPECT(t, STATUS_FILE_IS_A_DIRECTORY,
           TRY(t, "d", .disposition = FILE_OVERWRITE_IF, .options = FILE_NON_DIRECTORY_FILE));
}

static void a_directory_is_not_superseded(struct t *t)
{
    host_mkdir(t, "d");
    CHECK(t, TRY(t, "d", .disposition = FILE_SUPERSEDE) != STATUS_SUCCESS);
    CHECK(t, S_ISDIR(host_stat(t, "d").st_mode));
}

static void a_read_only_file_is_not_overwritten(struct t *t)
{
    host_puts(t, "f", "old");
    host_chmod(t, "f", 0444);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "f", .disposition = FILE_OVERWRITE_IF));
    TEXT(t, "old", host_gets(t, "f"));
}

static void overwriting_may_make_the_file_read_only(struct t *t)
{
    host_puts(t, "f", "old");
    OK(t, TRY(t, "f", .disposition = FILE_OVERWRITE_IF, .attributes = FILE_ATTRIBUTE_READONLY));
    EQUAL(t, 0, host_mode(t, "f") & 0222);
}

static void what_others_have_open_for_writing_is_overwritten_when_they_share(struct t *t)
{
    handle a = MAKE(t, "f");

    nt_puts(t, a, 0, "old");
    OK(t, TRY(t, "f", .disposition = FILE_OVERWRITE_IF));
    EQUAL(t, 0, nt_standard(t, a).size);
    TEXT(t, "", nt_gets(t, a, 0));
}

static void what_others_do_not_share_is_not_overwritten(struct t *t)
{
    handle a = MAKE(t, "f", .share = FILE_SHARE_READ);

    nt_puts(t, a, 0, "old");
    EXPECT(t, STATUS_SHARING_VIOLATION,
           TRY(t, "f", .access = FILE_READ_ATTRIBUTES, .disposition = FILE_OVERWRITE_IF));
    TEXT(t, "old", nt_gets(t, a, 0));
}

static void overwriting_a_link_overwrites_what_it_points_to(struct t *t)
{
    host_puts(t, "f", "old");
    host_symlink(t, "l", "f");
    OK(t, TRY(t, "l", .disposition = FILE_OVERWRITE_IF));
    EQUAL(t, 0, host_stat(t, "f").st_size);
    TEXT(t, "f", host_readlink(t, "l"));
}

static const struct test_case cases[] = {
    CASE(overwriting_empties_the_file),
    CASE(overwrite_if_empties_the_file),
    CASE(superseding_empties_the_file),
    CASE(overwriting_with_an_allocation_empties_the_file),
    CASE(overwriting_keeps_the_bits_of_a_program),
    CASE(overwriting_with_normal_attributes_keeps_the_mode),
    CASE(superseding_keeps_the_bits_of_a_program),
    CASE(overwriting_keeps_the_inode),
    CASE(overwriting_keeps_the_links_of_the_host),
    CASE(a_directory_is_not_overwritten),
    CASE(a_directory_is_not_superseded),
    CASE(a_read_only_file_is_not_overwritten),
    CASE(overwriting_may_make_the_file_read_only),
    CASE(what_others_have_open_for_writing_is_overwritten_when_they_share),
    CASE(what_others_do_not_share_is_not_overwritten),
    CASE(overwriting_a_link_overwrites_what_it_points_to),
};
GROUP(overwrite, cases);
