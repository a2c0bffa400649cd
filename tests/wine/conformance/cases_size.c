// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_size.c - end of file and allocation
 */
#include <string.h>

#include "tests/wine/conformance/conf.h"

static void the_size_of_a_file_is_the_hosts(struct t *t)
{
    host_puts(t, "f", "12345");
    handle h = OPEN(t, "f");

    EQUAL(t, 5, nt_standard(t, h).size);
    EQUAL(t, 5, nt_network(t, h).size);
}

static void a_file_is_cut(struct t *t)
{
    host_puts(t, "f", "0123456789");
    handle h = OPEN(t, "f");

    OK(t, nt_set_size(t, h, 4));
    EQUAL(t, 4, nt_standard(t, h).size);
    TEXT(t, "0123", host_gets(t, "f"));
}

static void a_file_is_cut_to_nothing(struct t *t)
{
    host_puts(t, "f", "0123456789");
    OK(t, nt_set_size(t, OPEN(t, "f"), 0));
    EQUAL(t, 0, host_stat(t, "f").st_size);
}

static void a_file_is_extended_with_zeroes(struct t *t)
{
    char buf[8];

    host_puts(t, "f", "ab");
    OK(t, nt_set_size(t, OPEN(t, "f"), 5));
    EQUAL(t, 5, host_read(t, "f", buf, sizeof(buf)));
    CHECK(t, memcmp(buf, "ab\0\0\0", 5) == 0);
}

static void a_file_is_extended_far(struct t *t)
{
    handle h = MAKE(t, "f");

    OK(t, nt_set_size(t, h, 5ll << 30));
    EQUAL(t, 5ll << 30, nt_standard(t, h).size);
    EQUAL(t, 5ll << 30, host_stat(t, "f").st_size);
}

static void data_beyond_four_gibibytes_is_where_it_belongs(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, (4ll << 30) + 5, "far");
    nt_puts(t, h, 5, "near");
    TEXT(t, "far", nt_gets(t, h, (4ll << 30) + 5));
    EQUAL(t, (4ll << 30) + 8, host_stat(t, "f").st_size);
}

static void a_negative_size_is_refused(struct t *t)
{
    host_puts(t, "f", "x");
    EXPECT(t, STATUS_INVALID_PARAMETER, nt_set_size(t, OPEN(t, "f"), -2));
}

static void the_size_of_a_file_needs_the_right_to_write(struct t *t)
{
    host_puts(t, "f", "text");
    EXPECT(t, STATUS_ACCESS_DENIED, nt_set_size(t, OPEN(t, "f", .access = FILE_GENERIC_READ), 0));
    TEXT(t, "text", host_gets(t, "f"));
}

static void others_see_a_new_size(struct t *t)
{
    host_puts(t, "f", "0123456789");
    handle a = OPEN(t, "f"), b = OPEN(t, "f");

    OK(t, nt_set_size(t, a, 3));
    EQUAL(t, 3, nt_standard(t, b).size);
}

static void a_directory_has_no_size(struct t *t)
{
    host_mkdir(t, "d");
    handle h = OPEN(t, "d", .access = FILE_LIST_DIRECTORY | FILE_READ_ATTRIBUTES);

    EQUAL(t, 0, nt_standard(t, h).size);
}

/* Incumbent: every allocation is at least the size, so sparse files seem full (B.6); here it is what is used. */
static void the_allocation_covers_what_was_written(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "text");
    OK(t, nt_flush(t, h));
    CHECK(t, nt_standard(t, h).allocation >= 4);
    CHECK(t, nt_standard(t, h).allocation <= 65536);
}

static void an_allocation_leaves_the_size(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    OK(t, nt_set_allocation(t, h, 1 << 20));
    EQUAL(t, 4, nt_standard(t, h).size);
    TEXT(t, "text", host_gets(t, "f"));
}

static void an_allocation_below_the_size_cuts_the_file(struct t *t)
{
    host_puts(t, "f", "0123456789");
    handle h = OPEN(t, "f");

    OK(t, nt_set_allocation(t, h, 0));
    EQUAL(t, 0, nt_standard(t, h).size);
    EQUAL(t, 0, host_stat(t, "f").st_size);
}

static void allocated_room_is_given_back_at_the_close(struct t *t)
{
    handle h = MAKE(t, "f");

    OK(t, nt_set_allocation(t, h, 4 << 20));
    nt_puts(t, h, 0, "text");
    nt_close(t, h);
    EQUAL(t, 4, host_stat(t, "f").st_size);
    CHECK(t, host_stat(t, "f").st_blocks * 512 < 1 << 20);
}

static void cutting_a_file_that_others_write_does_not_fail(struct t *t)
{
    handle a = MAKE(t, "f"), b = OPEN(t, "f");

    nt_puts(t, a, 0, "0123456789");
    OK(t, nt_set_size(t, b, 2));
    nt_puts(t, a, 4, "x");
    EQUAL(t, 5, nt_standard(t, b).size);
    EQUAL(t, 5, host_stat(t, "f").st_size);
}

static const struct test_case cases[] = {
    CASE(the_size_of_a_file_is_the_hosts),
    CASE(a_file_is_cut),
    CASE(a_file_is_cut_to_nothing),
    CASE(a_file_is_extended_with_zeroes),
    CASE(a_file_is_extended_far),
    CASE(data_beyond_four_gibibytes_is_where_it_belongs),
    CASE(a_negative_size_is_refused),
    CASE(the_size_of_a_file_needs_the_right_to_write),
    CASE(others_see_a_new_size),
    CASE(a_directory_has_no_size),
    CASE(the_allocation_covers_what_was_written),
    CASE(an_allocation_leaves_the_size),
    CASE(an_allocation_below_the_size_cuts_the_file),
    CASE(allocated_room_is_given_back_at_the_close),
    CASE(cutting_a_file_that_others_write_does_not_fail),
};
GROUP(size, cases);
