// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_append.c - writes to the end of the file
 */
#include <stdio.h>
#include <string.h>

#include "tests/wine/conformance/conf.h"

#define APPEND (FILE_APPEND_DATA | FILE_READ_ATTRIBUTES | SYNCHRONIZE)

static void offset_minus_one_is_the_end(struct t *t)
{
    host_puts(t, "f", "abc");
    handle h = OPEN(t, "f");

    OK(t, nt_write(t, h, -1, "def", 3));
    TEXT(t, "abcdef", host_gets(t, "f"));
    EQUAL(t, 6, nt_standard(t, h).size);
}

static void the_right_to_append_alone_writes_to_the_end(struct t *t)
{
    host_puts(t, "f", "abc");
    OK(t, nt_write(t, OPEN(t, "f", .access = APPEND), 0, "def", 3));
    TEXT(t, "abcdef", host_gets(t, "f"));
}

static void the_right_to_append_alone_gives_no_reading(struct t *t)
{
    char c;

    host_puts(t, "f", "abc");
    EXPECT(t, STATUS_ACCESS_DENIED, nt_read(t, OPEN(t, "f", .access = APPEND), 0, &c, 1, NULL));
}

/* Incumbent: asks for the size, then writes there: what came in between is overwritten (B.4, Write). */
static void appending_follows_what_the_host_appended(struct t *t)
{
    host_puts(t, "f", "abc");
    handle h = OPEN(t, "f");

    OK(t, nt_write(t, h, -1, "def", 3));
    host_puts(t, "f", "a longer text of the host, ");
    OK(t, nt_write(t, h, -1, "guest", 5));
    TEXT(t, "a longer text of the host, guest", host_gets(t, "f"));
}

static void append_64(struct t *t, unsigned number, void *ctx)
{
    handle h = OPEN(t, "log", .access = APPEND);
    char line[32];

    (void)ctx;
    for (int i = 0; i < 16; i++) {
        int n = snprintf(line, sizeof(line), "%u:%02d;", number, i);

        OK(t, nt_write(t, h, -1, line, (uint32_t)n));
    }
}

/* Incumbent: not atomic (B.4, Write). */
static void appends_of_four_threads_lose_nothing(struct t *t)
{
    char *text;

    host_puts(t, "log", "");
    together(t, 4, append_64, NULL);
    text = keep(t, 4096);
    EQUAL(t, 4 * 16 * 5, host_read(t, "log", text, 4095));
    for (int n = 0; n < 4; n++)
        for (int i = 0; i < 16; i++)
            CHECK(t, strstr(text, keep_printf(t, "%d:%02d;", n, i)));
}

static void appending_to_an_empty_file_begins_it(struct t *t)
{
    OK(t, nt_write(t, MAKE(t, "f", .access = APPEND), -1, "abc", 3));
    TEXT(t, "abc", host_gets(t, "f"));
}

static void a_positioned_write_after_an_append_goes_to_its_place(struct t *t)
{
    host_puts(t, "f", "abc");
    handle h = OPEN(t, "f");

    OK(t, nt_write(t, h, -1, "def", 3));
    OK(t, nt_write(t, h, 0, "X", 1));
    OK(t, nt_write(t, h, -1, "ghi", 3));
    TEXT(t, "Xbcdefghi", host_gets(t, "f"));
}

static void a_mebibyte_is_appended_in_order(struct t *t)
{
    uint8_t *bytes = keep(t, 3u << 20), *back = keep(t, 3u << 20);

    pattern(bytes, 0, 3u << 20, 21);
    handle h = MAKE(t, "f");
    for (uint32_t at = 0; at < 3u << 20; at += 1u << 20)
        OK(t, nt_write(t, h, -1, bytes + at, 1u << 20));
    EQUAL(t, 3u << 20, host_read(t, "f", back, 3u << 20));
    CHECK(t, memcmp(bytes, back, 3u << 20) == 0);
}

static const struct test_case cases[] = {
    CASE(offset_minus_one_is_the_end),
    CASE(the_right_to_append_alone_writes_to_the_end),
    CASE(the_right_to_append_alone_gives_no_reading),
    CASE(appending_follows_what_the_host_appended),
    CASE(appends_of_four_threads_lose_nothing),
    CASE(appending_to_an_empty_file_begins_it),
    CASE(a_positioned_write_after_an_append_goes_to_its_place),
    CASE(a_mebibyte_is_appended_in_order),
};
GROUP(append, cases);
