// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_flush.c - FlushFileBuffers, of files in every state; see cases_volume.c for the volume's
 *
 * Incumbent: sends FLUSH, which makes nothing durable; a volume's flush ends the service (0.8).
 */
#include "tests/wine/conformance/conf.h"

enum { SLOT_FLUSH = 10 }; /* of WinFsp's interface */

static void each_flush_reaches_the_file_system(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "text");
    nt_stats(t);
    OK(t, nt_flush(t, h));
    OK(t, nt_flush(t, h));
    EQUAL(t, 2, nt_stats(t).calls[SLOT_FLUSH]);
}

static void a_flush_needs_a_handle_that_may_write(struct t *t)
{
    host_puts(t, "f", "text");
    EXPECT(t, STATUS_ACCESS_DENIED, nt_flush(t, OPEN(t, "f", .access = FILE_GENERIC_READ)));
}

static void a_handle_that_may_only_append_is_flushed(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f", .access = FILE_APPEND_DATA | SYNCHRONIZE);

    nt_puts(t, h, -1, " more");
    OK(t, nt_flush(t, h));
    TEXT(t, "text more", host_gets(t, "f"));
}

static void a_file_that_nobody_wrote_is_flushed(struct t *t)
{
    host_puts(t, "f", "text");
    OK(t, nt_flush(t, OPEN(t, "f")));
}

static void a_file_that_the_host_deleted_is_flushed(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    nt_puts(t, h, 0, "TEXT");
    host_remove(t, "f");
    OK(t, nt_flush(t, h));
}

static void a_renamed_file_is_flushed(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "text");
    OK(t, nt_rename(t, h, "g", false));
    OK(t, nt_flush(t, h));
    TEXT(t, "text", host_gets(t, "g"));
}

static void a_flush_knows_the_size(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "text");
    OK(t, nt_flush(t, h));
    EQUAL(t, 4, nt_standard(t, h).size);
}

static void a_flush_of_a_read_only_file_made_just_now_works(struct t *t)
{
    handle h = MAKE(t, "f", .attributes = FILE_ATTRIBUTE_READONLY);

    nt_puts(t, h, 0, "text");
    OK(t, nt_flush(t, h));
    TEXT(t, "text", host_gets(t, "f"));
}

static void write_and_flush(struct t *t, unsigned number, void *ctx)
{
    handle h = MAKE(t, keep_printf(t, "f%u", number));

    (void)ctx;
    nt_barrier(t, 1, 4);
    for (unsigned i = 0; i < 10; i++) {
        nt_puts(t, h, (int64_t)i * 4, "text");
        OK(t, nt_flush(t, number ? h : 0)); /* 0: the volume */
    }
}

static void files_and_the_volume_are_flushed_side_by_side(struct t *t)
{
    together(t, 4, write_and_flush, NULL);
    for (unsigned i = 0; i < 4; i++)
        EQUAL(t, 40, host_stat(t, keep_printf(t, "f%u", i)).st_size);
}

static const struct test_case cases[] = {
    CASE(each_flush_reaches_the_file_system),
    CASE(a_flush_needs_a_handle_that_may_write),
    CASE(a_handle_that_may_only_append_is_flushed),
    CASE(a_file_that_nobody_wrote_is_flushed),
    CASE(a_file_that_the_host_deleted_is_flushed),
    CASE(a_renamed_file_is_flushed),
    CASE(a_flush_knows_the_size),
    CASE(a_flush_of_a_read_only_file_made_just_now_works),
    CASE(files_and_the_volume_are_flushed_side_by_side),
};
GROUP(flush, cases);
