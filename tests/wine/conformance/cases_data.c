// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_data.c - reading and writing
 */
#include <string.h>

#include "tests/wine/conformance/conf.h"

#define KIB 1024u
#define MIB (1024u * KIB)

/* A file of the host with @n bytes of pattern. */
static void host_pattern(struct t *t, const char *name, uint32_t n, uint32_t seed)
{
    void *bytes = keep(t, n);

    pattern(bytes, 0, n, seed);
    host_write(t, name, bytes, n);
}

static void expect_host_pattern(struct t *t, const char *name, uint32_t n, uint32_t seed)
{
    void *bytes = keep(t, n + 1u);

    EQUAL(t, n, host_read(t, name, bytes, n + 1u));
    CHECK(t, pattern_is(bytes, 0, n, seed));
}

static void write_pattern(struct t *t, handle h, uint64_t at, uint32_t n, uint32_t seed)
{
    void *bytes = keep(t, n);

    pattern(bytes, at, n, seed);
    OK(t, nt_write(t, h, (int64_t)at, bytes, n));
    EQUAL(t, n, nt_information(t));
}

static void expect_read(struct t *t, handle h, uint64_t at, uint32_t want, uint32_t n,
                        uint32_t seed)
{
    void *bytes = keep(t, want);
    uint32_t got;

    OK(t, nt_read(t, h, (int64_t)at, bytes, want, &got));
    EQUAL(t, n, got);
    CHECK(t, pattern_is(bytes, at, n, seed));
}

/* ---- reading --------------------------------------------------------------------------------- */

static void a_byte_is_read(struct t *t)
{
    host_pattern(t, "f", 100, 1);
    expect_read(t, OPEN(t, "f"), 37, 1, 1, 1);
}

static void four_kibibytes_are_read_anywhere(struct t *t)
{
    host_pattern(t, "f", 64 * KIB, 2);
    handle h = OPEN(t, "f");

    for (uint32_t at = 0; at < 60 * KIB; at += 7777)
        expect_read(t, h, at, 4096, 4096, 2);
}

static void a_mebibyte_is_read(struct t *t)
{
    host_pattern(t, "f", MIB + 100, 3);
    expect_read(t, OPEN(t, "f"), 50, MIB, MIB, 3);
}

static void sixteen_mebibytes_are_read_at_once(struct t *t)
{
    host_pattern(t, "f", 16 * MIB, 4);
    expect_read(t, OPEN(t, "f"), 0, 16 * MIB, 16 * MIB, 4);
}

static void a_read_across_the_end_is_short(struct t *t)
{
    host_pattern(t, "f", 10000, 5);
    expect_read(t, OPEN(t, "f"), 9000, 4096, 1000, 5);
}

/* Incumbent: END_OF_FILE and no data when the file ends where a chunk of a long read ends (0.11a). */
static void a_long_read_of_a_file_of_one_mebibyte_has_all_of_it(struct t *t)
{
    host_pattern(t, "f", MIB, 6);
    expect_read(t, OPEN(t, "f"), 0, 2 * MIB, MIB, 6);
}

/* Incumbent: the same at two chunks. */
static void a_long_read_of_a_file_of_two_mebibytes_has_all_of_it(struct t *t)
{
    host_pattern(t, "f", 2 * MIB, 7);
    expect_read(t, OPEN(t, "f"), 0, 8 * MIB, 2 * MIB, 7);
}

static void a_read_at_the_end_says_so(struct t *t)
{
    char c;

    host_pattern(t, "f", 100, 8);
    EXPECT(t, STATUS_END_OF_FILE, nt_read(t, OPEN(t, "f"), 100, &c, 1, NULL));
}

static void a_read_beyond_the_end_says_so(struct t *t)
{
    char c;

    host_pattern(t, "f", 100, 9);
    EXPECT(t, STATUS_END_OF_FILE, nt_read(t, OPEN(t, "f"), 1 << 20, &c, 1, NULL));
}

static void a_read_of_an_empty_file_says_so(struct t *t)
{
    char buf[512];

    host_puts(t, "f", "");
    EXPECT(t, STATUS_END_OF_FILE, nt_read(t, OPEN(t, "f"), 0, buf, sizeof(buf), NULL));
}

static void a_read_of_nothing_succeeds(struct t *t)
{
    char c;
    uint32_t got = 1;

    host_puts(t, "f", "text");
    OK(t, nt_read(t, OPEN(t, "f"), 0, &c, 0, &got));
    EQUAL(t, 0, got);
}

static void the_position_moves_with_reads(struct t *t)
{
    char buf[8] = "";

    host_puts(t, "f", "abcdefgh");
    handle h = OPEN(t, "f");
    OK(t, nt_read(t, h, 0, buf, 3, NULL));
    OK(t, nt_read(t, h, -1, buf, 3, NULL));
    CHECK(t, memcmp(buf, "def", 3) == 0);
}

static void a_directory_has_no_data(struct t *t)
{
    char c;

    host_mkdir(t, "d");
    CHECK(t, nt_read(t, OPEN(t, "d", .access = FILE_LIST_DIRECTORY), 0, &c, 1, NULL) !=
                 STATUS_SUCCESS);
}

static void a_hole_of_the_host_reads_as_zeroes(struct t *t)
{
    uint8_t *buf = keep(t, 8192), *zero = keep(t, 8192);

    handle h = MAKE(t, "f");
    OK(t, nt_set_size(t, h, 100000));
    OK(t, nt_read(t, h, 50000, buf, 8192, NULL));
    CHECK(t, memcmp(buf, zero, 8192) == 0);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void a_byte_is_written(struct t *t)
{
    host_puts(t, "f", "abc");
    OK(t, nt_write(t, OPEN(t, "f"), 1, "X", 1));
    TEXT(t, "aXc", host_gets(t, "f"));
}

static void sixty_four_kibibytes_are_written(struct t *t)
{
    write_pattern(t, MAKE(t, "f"), 0, 64 * KIB, 11);
    expect_host_pattern(t, "f", 64 * KIB, 11);
}

static void a_mebibyte_and_a_bit_are_written(struct t *t)
{
    write_pattern(t, MAKE(t, "f"), 0, MIB + 13, 12);
    expect_host_pattern(t, "f", MIB + 13, 12);
}

static void sixteen_mebibytes_are_written_at_once(struct t *t)
{
    write_pattern(t, MAKE(t, "f"), 0, 16 * MIB, 13);
    expect_host_pattern(t, "f", 16 * MIB, 13);
}

static void writing_in_the_middle_leaves_the_rest(struct t *t)
{
    host_puts(t, "f", "0123456789");
    OK(t, nt_write(t, OPEN(t, "f"), 4, "xyz", 3));
    TEXT(t, "0123xyz789", host_gets(t, "f"));
}

static void writing_beyond_the_end_leaves_zeroes_between(struct t *t)
{
    char buf[8] = "";

    host_puts(t, "f", "ab");
    OK(t, nt_write(t, OPEN(t, "f"), 5, "c", 1));
    EQUAL(t, 6, host_read(t, "f", buf, 8));
    CHECK(t, memcmp(buf, "ab\0\0\0c", 6) == 0);
}

static void the_size_grows_with_a_write(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 10, "text");
    EQUAL(t, 14, nt_standard(t, h).size);
    EQUAL(t, 14, nt_network(t, h).size);
}

static void writing_nothing_changes_nothing(struct t *t)
{
    host_puts(t, "f", "text");
    OK(t, nt_write(t, OPEN(t, "f"), 100, "", 0));
    TEXT(t, "text", host_gets(t, "f"));
}

static void writes_go_where_they_are_told_while_the_file_grows(struct t *t)
{
    handle h = MAKE(t, "f");

    for (uint32_t i = 0; i < 32; i++)
        write_pattern(t, h, i * 5000ull, 5000, 14);
    expect_host_pattern(t, "f", 160000, 14);
}

static void backwards_writes_make_the_same_file(struct t *t)
{
    handle h = MAKE(t, "f");

    for (uint32_t i = 20; i-- > 0;)
        write_pattern(t, h, i * 3001ull, 3001, 15);
    expect_host_pattern(t, "f", 20 * 3001, 15);
}

static void a_write_is_read_back_through_another_handle(struct t *t)
{
    handle a = MAKE(t, "f"), b = OPEN(t, "f", .access = FILE_GENERIC_READ);

    write_pattern(t, a, 0, 100000, 16);
    expect_read(t, b, 0, 100000, 100000, 16);
}

static void a_write_of_the_host_is_read(struct t *t)
{
    host_puts(t, "f", "first");
    handle h = OPEN(t, "f");

    TEXT(t, "first", nt_gets(t, h, 0));
    host_puts(t, "f", "other");
    TEXT(t, "other", nt_gets(t, h, 0));
}

static void a_write_to_a_directory_is_refused(struct t *t)
{
    host_mkdir(t, "d");
    handle h = OPEN(t, "d", .access = FILE_LIST_DIRECTORY | FILE_ADD_FILE);

    CHECK(t, nt_write(t, h, 0, "x", 1) != STATUS_SUCCESS);
}

static void a_file_that_was_deleted_is_still_written_and_read(struct t *t)
{
    handle a = MAKE(t, "f"), b = OPEN(t, "f", .access = DELETE);

    nt_puts(t, a, 0, "first");
    OK(t, nt_delete_ex(t, b, FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS));
    nt_close(t, b);
    CHECK(t, !host_exists(t, "f"));
    nt_puts(t, a, 5, " second");
    TEXT(t, "first second", nt_gets(t, a, 0));
}

static void a_file_that_was_renamed_is_still_written(struct t *t)
{
    handle h = MAKE(t, "f");

    OK(t, nt_rename(t, h, "g", false));
    nt_puts(t, h, 0, "text");
    TEXT(t, "text", host_gets(t, "g"));
}

/* ---- paging: any handle of the file may carry it --------------------------------------------- */

/* Incumbent: a handle opened for reading cannot write, so lazy writes through the first handle fail (B.4, C.5). */
static void a_paging_write_goes_through_a_handle_that_was_opened_for_reading(struct t *t)
{
    host_puts(t, "f", "0123456789");
    handle reader = OPEN(t, "f", .access = FILE_GENERIC_READ);

    OPEN(t, "f", .access = FILE_GENERIC_WRITE);
    OK(t, nt_write_flags(t, reader, 2, "xy", 2, DOOR_IO_PAGING));
    TEXT(t, "01xy456789", host_gets(t, "f"));
}

static void a_paging_read_goes_through_a_handle_that_was_opened_for_writing(struct t *t)
{
    char buf[4];

    host_puts(t, "f", "0123456789");
    handle writer = OPEN(t, "f", .access = FILE_GENERIC_WRITE);

    OK(t, nt_read_flags(t, writer, 4, buf, 4, NULL, DOOR_IO_PAGING));
    CHECK(t, memcmp(buf, "4567", 4) == 0);
}

static void a_paging_write_does_not_extend_the_file(struct t *t)
{
    host_puts(t, "f", "0123456789");
    handle h = OPEN(t, "f");

    OK(t, nt_write_flags(t, h, 8, "abcdef", 6, DOOR_IO_PAGING));
    TEXT(t, "01234567ab", host_gets(t, "f"));
}

static void a_paging_write_beyond_the_end_does_nothing(struct t *t)
{
    host_puts(t, "f", "0123456789");
    handle h = OPEN(t, "f");

    OK(t, nt_write_flags(t, h, 4096, "abcdef", 6, DOOR_IO_PAGING));
    TEXT(t, "0123456789", host_gets(t, "f"));
}

static void a_paging_write_after_the_host_cut_the_file_does_not_extend_it(struct t *t)
{
    uint8_t *page = keep(t, 4096);

    host_pattern(t, "f", 8192, 17);
    handle h = OPEN(t, "f");
    host_puts(t, "f", "short");
    OK(t, nt_write_flags(t, h, 4096, page, 4096, DOOR_IO_PAGING));
    TEXT(t, "short", host_gets(t, "f"));
}

static void a_paging_read_beyond_the_end_says_so(struct t *t)
{
    uint8_t *page = keep(t, 4096);

    host_puts(t, "f", "text");
    EXPECT(t, STATUS_END_OF_FILE,
           nt_read_flags(t, OPEN(t, "f"), 4096, page, 4096, NULL, DOOR_IO_PAGING));
}

/* ---- locks ----------------------------------------------------------------------------------- */

static void a_locked_range_is_not_read_by_others(struct t *t)
{
    char c;

    host_puts(t, "f", "0123456789");
    handle a = OPEN(t, "f"), b = OPEN(t, "f");
    OK(t, nt_lock(t, a, 2, 4, true));
    EXPECT(t, STATUS_FILE_LOCK_CONFLICT, nt_read(t, b, 3, &c, 1, NULL));
    OK(t, nt_read(t, b, 7, &c, 1, NULL));
    OK(t, nt_unlock(t, a, 2, 4));
    OK(t, nt_read(t, b, 3, &c, 1, NULL));
}

static void a_locked_range_is_not_locked_again(struct t *t)
{
    host_puts(t, "f", "0123456789");
    handle a = OPEN(t, "f"), b = OPEN(t, "f");
    OK(t, nt_lock(t, a, 0, 10, true));
    EXPECT(t, STATUS_LOCK_NOT_GRANTED, nt_lock(t, b, 5, 1, true));
    nt_close(t, a);
    OK(t, nt_lock(t, b, 5, 1, true));
}

static void a_shared_lock_is_shared(struct t *t)
{
    host_puts(t, "f", "0123456789");
    handle a = OPEN(t, "f"), b = OPEN(t, "f");
    OK(t, nt_lock(t, a, 0, 10, false));
    OK(t, nt_lock(t, b, 0, 10, false));
    EXPECT(t, STATUS_FILE_LOCK_CONFLICT, nt_write(t, b, 0, "x", 1));
}

static const struct test_case cases[] = {
    CASE(a_byte_is_read),
    CASE(four_kibibytes_are_read_anywhere),
    CASE(a_mebibyte_is_read),
    CASE(sixteen_mebibytes_are_read_at_once),
    CASE(a_read_across_the_end_is_short),
    CASE(a_long_read_of_a_file_of_one_mebibyte_has_all_of_it),
    CASE(a_long_read_of_a_file_of_two_mebibytes_has_all_of_it),
    CASE(a_read_at_the_end_says_so),
    CASE(a_read_beyond_the_end_says_so),
    CASE(a_read_of_an_empty_file_says_so),
    CASE(a_read_of_nothing_succeeds),
    CASE(the_position_moves_with_reads),
    CASE(a_directory_has_no_data),
    CASE(a_hole_of_the_host_reads_as_zeroes),
    CASE(a_byte_is_written),
    CASE(sixty_four_kibibytes_are_written),
    CASE(a_mebibyte_and_a_bit_are_written),
    CASE(sixteen_mebibytes_are_written_at_once),
    CASE(writing_in_the_middle_leaves_the_rest),
    CASE(writing_beyond_the_end_leaves_zeroes_between),
    CASE(the_size_grows_with_a_write),
    CASE(writing_nothing_changes_nothing),
    CASE(writes_go_where_they_are_told_while_the_file_grows),
    CASE(backwards_writes_make_the_same_file),
    CASE(a_write_is_read_back_through_another_handle),
    CASE(a_write_of_the_host_is_read),
    CASE(a_write_to_a_directory_is_refused),
    CASE(a_file_that_was_deleted_is_still_written_and_read),
    CASE(a_file_that_was_renamed_is_still_written),
    CASE(a_paging_write_goes_through_a_handle_that_was_opened_for_reading),
    CASE(a_paging_read_goes_through_a_handle_that_was_opened_for_writing),
    CASE(a_paging_write_does_not_extend_the_file),
    CASE(a_paging_write_beyond_the_end_does_nothing),
    CASE(a_paging_write_after_the_host_cut_the_file_does_not_extend_it),
    CASE(a_paging_read_beyond_the_end_says_so),
    CASE(a_locked_range_is_not_read_by_others),
    CASE(a_locked_range_is_not_locked_again),
    CASE(a_shared_lock_is_shared),
};
GROUP(data, cases);
