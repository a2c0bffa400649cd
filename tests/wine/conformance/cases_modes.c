// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_modes.c - what is different in shares that are set otherwise than by default
 *
 * Each case belongs to one mode (--mode), which says what the share is set to: `long` and `strict` are values of Cache, `quiet`
 * is ChangeNotify=off, `few` a daemon with a small --watch-limit; the others are named after their settings.
 * tests/wine/chain/conform.py has the list.
 *
 * `long`: that Windows keeps contents is modelled by the stand-in (tests/wine/winfsp/cache.c). Only this guest writes there, so
 * what a case has the host do is what the host tells of in time.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "tests/wine/conformance/conf.h"

#define NAMES (FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_DIR_NAME)

enum { SLOT_READ = 8, SLOT_WRITE = 9, MIB = 1 << 20 };

/* ---- Cache=long ------------------------------------------------------------------------------ */

static void what_was_read_is_not_read_again(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    TEXT(t, "text", nt_gets(t, h, 0));
    (void)nt_stats(t);
    TEXT(t, "text", nt_gets(t, h, 0));
    EQUAL(t, 0, nt_stats(t).calls[SLOT_READ]);
}

static void what_is_written_is_read_before_it_is_on_the_host(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "text");
    TEXT(t, "text", nt_gets(t, h, 0));
    EQUAL(t, 0, nt_stats(t).calls[SLOT_WRITE]);
}

static void the_lazy_writer_brings_it_to_the_host(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "text");
    EVENTUALLY(t, strcmp(host_gets_now(t, "f"), "text") == 0);
}

static void a_flush_brings_it_to_the_host(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "text");
    OK(t, nt_flush(t, h));
    TEXT(t, "text", host_gets_now(t, "f"));
}

static void the_last_close_brings_it_to_the_host(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "text");
    nt_close(t, h);
    TEXT(t, "text", host_gets_now(t, "f"));
}

static void writing_through_is_not_kept_back(struct t *t)
{
    handle h = MAKE(t, "f", .options = FILE_WRITE_THROUGH);

    nt_puts(t, h, 0, "text");
    TEXT(t, "text", host_gets_now(t, "f"));
}

static void a_change_of_the_host_drops_what_was_kept(struct t *t)
{
    host_puts(t, "f", "first");
    handle h = OPEN(t, "f");

    TEXT(t, "first", nt_gets(t, h, 0));
    host_puts(t, "f", "other");
    EVENTUALLY(t, strcmp(nt_gets(t, h, 0), "other") == 0);
}

static void a_file_that_the_host_made_longer_is_read_whole(struct t *t)
{
    host_puts(t, "f", "short");
    handle h = OPEN(t, "f");

    TEXT(t, "short", nt_gets(t, h, 0));
    host_append(t, "f", " and long");
    EVENTUALLY(t, nt_standard(t, h).size == 14);
    TEXT(t, "short and long", nt_gets(t, h, 0));
}

static void what_was_written_survives_a_change_of_the_host(struct t *t)
{
    host_puts(t, "f", "....host");
    handle h = OPEN(t, "f");

    nt_puts(t, h, 0, "WIN.");
    host_chmod(t, "f", 0600);
    EVENTUALLY(t, strcmp(host_gets_now(t, "f"), "WIN.host") == 0);
    TEXT(t, "WIN.host", nt_gets(t, h, 0));
}

static void pages_go_through_a_handle_that_is_closed(struct t *t)
{
    host_puts(t, "f", "0123456789");
    handle first = OPEN(t, "f", .access = FILE_GENERIC_READ);
    handle second = OPEN(t, "f");

    TEXT(t, "0123456789", nt_gets(t, first, 0));
    nt_close(t, first);
    nt_puts(t, second, 4, "xyz");
    OK(t, nt_flush(t, second));
    TEXT(t, "0123xyz789", host_gets_now(t, "f"));
    nt_puts(t, second, 8000, "end");
    TEXT(t, "end", nt_gets(t, second, 8000));
    nt_close(t, second);
    EQUAL(t, 8003, host_stat(t, "f").st_size);
}

static void cutting_and_growing_leaves_zeroes(struct t *t)
{
    uint8_t bytes[10000];
    handle h = MAKE(t, "f");

    pattern(bytes, 0, sizeof(bytes), 1);
    OK(t, nt_write(t, h, 0, bytes, sizeof(bytes)));
    OK(t, nt_set_size(t, h, 4000));
    OK(t, nt_set_size(t, h, 9000));
    OK(t, nt_read(t, h, 0, bytes, 9000, NULL));
    CHECK(t, pattern_is(bytes, 0, 4000, 1));
    for (unsigned i = 4000; i < 9000; i++)
        CHECK(t, bytes[i] == 0);
}

static void past_the_cache_everything_is_seen(struct t *t)
{
    static uint8_t sector[512];
    handle h = MAKE(t, "f");
    handle past = OPEN(t, "f", .options = FILE_NO_INTERMEDIATE_BUFFERING);

    memset(sector, 'a', sizeof(sector));
    OK(t, nt_write(t, h, 0, sector, 512));
    memset(sector, 0, sizeof(sector));
    OK(t, nt_read(t, past, 0, sector, 512, NULL));
    CHECK(t, sector[0] == 'a' && sector[511] == 'a');
    memset(sector, 'b', sizeof(sector));
    OK(t, nt_write(t, past, 0, sector, 512));
    memset(sector, 0, sizeof(sector));
    OK(t, nt_read(t, h, 0, sector, 512, NULL));
    CHECK(t, sector[0] == 'b' && sector[511] == 'b');
}

/* What programs that copy files do: write, set the time, close. The pages come to the host after that. */
static void a_time_that_was_set_outlives_the_pages(struct t *t)
{
    handle h = MAKE(t, "f");
    struct basic_info info = {0};

    nt_puts(t, h, 0, "text");
    info.written = 126227808000000000; /* 2001-01-01 */
    OK(t, nt_set(t, h, FileBasicInformation, &info, sizeof(info)));
    nt_close(t, h);
    TEXT(t, "text", host_gets_now(t, "f"));
    EQUAL(t, info.written, filetime(host_stat(t, "f").st_mtim));
}

static void a_time_holds_when_another_handle_has_the_pages(struct t *t)
{
    host_puts(t, "f", "....");
    handle reader = OPEN(t, "f", .access = FILE_GENERIC_READ);
    handle h = OPEN(t, "f");
    struct basic_info info = {.written = 126227808000000000};

    TEXT(t, "....", nt_gets(t, reader, 0));
    nt_close(t, reader);
    nt_puts(t, h, 0, "text");
    OK(t, nt_set(t, h, FileBasicInformation, &info, sizeof(info)));
    nt_close(t, h);
    TEXT(t, "text", host_gets_now(t, "f"));
    EQUAL(t, info.written, filetime(host_stat(t, "f").st_mtim));
}

static void two_names_of_one_file_are_not_kept_twice(struct t *t)
{
    host_puts(t, "f", "text");
    host_link(t, "g", "f");
    handle f = OPEN(t, "f"), g = OPEN(t, "g");

    TEXT(t, "text", nt_gets(t, f, 0));
    nt_puts(t, g, 0, "TEXT");
    TEXT(t, "TEXT", nt_gets(t, f, 0));
    TEXT(t, "TEXT", host_gets_now(t, "f"));
}

static void a_stream_is_with_the_host_at_once(struct t *t)
{
    char value[16];
    handle h = MAKE(t, "f:s");

    nt_puts(t, h, 0, "text");
    EQUAL(t, 5, getxattr(host_path(t, "f"), "user.DosStream.s:$DATA", value, sizeof(value)));
    EQUAL(t, 1, nt_stats(t).calls[SLOT_WRITE]);
}

static void what_finds_no_room_is_refused_before_it_is_lost(struct t *t)
{
    uint8_t *bytes = keep(t, 2 * MIB);

    host_tmpfs(t, "full", "size=1m");
    handle h = MAKE(t, "full\\f");
    EXPECT(t, STATUS_DISK_FULL, nt_write(t, h, 0, bytes, 2 * MIB));
    nt_puts(t, h, 0, "fits");
    nt_close(t, h);
    TEXT(t, "fits", host_gets_now(t, "full\\f"));
}

/* Against a copy in memory; the host looks each time the file is closed. */
static void random_work_leaves_what_it_should(struct t *t)
{
    enum { ROOM = 200000, STEPS = 400 };
    uint8_t *copy = keep(t, ROOM), *part = keep(t, ROOM);
    size_t size = 0;
    unsigned seed = 7;
    handle h = MAKE(t, "f");

    for (unsigned i = 0; i < STEPS; i++) {
        size_t at = (size_t)rand_r(&seed) % (ROOM / 2), n = 1 + (size_t)rand_r(&seed) % 30000;
        uint32_t got;

        switch (rand_r(&seed) % 8) {
        case 0:
            OK(t, nt_set_size(t, h, (int64_t)at));
            if (at < size)
                memset(copy + at, 0, size - at);
            size = at;
            break;
        case 1:
            OK(t, nt_flush(t, h));
            break;
        case 2:
            nt_close(t, h);
            EQUAL(t, size, host_read(t, "f", part, ROOM));
            CHECK(t, memcmp(part, copy, size) == 0);
            h = OPEN(t, "f");
            break;
        case 3:
        case 4:
            if (at >= size)
                break;
            OK(t, nt_read(t, h, (int64_t)at, part, (uint32_t)n, &got));
            EQUAL(t, n < size - at ? n : size - at, got);
            CHECK(t, memcmp(part, copy + at, got) == 0);
            break;
        default:
            pattern(part, at, n, i);
            OK(t, nt_write(t, h, (int64_t)at, part, (uint32_t)n));
            memcpy(copy + at, part, n);
            size = at + n > size ? at + n : size;
        }
    }
}

/* ---- Cache=strict, ChangeNotify=off, a small --watch-limit ------------------------------------- */

static void what_the_host_makes_is_seen_after_a_second(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f"));
    TEXT(t, "", nt_names(t, "", NULL));
    host_puts(t, "f", "text");
    t_wait_for_names(t);
    OK(t, TRY(t, "f"));
    TEXT(t, "f", nt_names(t, "", NULL));
    host_remove(t, "f");
    t_wait_for_names(t);
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f"));
}

static void what_the_host_changes_is_seen_after_a_second(struct t *t)
{
    host_puts(t, "f", "short");
    handle h = OPEN(t, "f");

    EQUAL(t, 5, nt_standard(t, h).size);
    host_append(t, "f", " and long");
    t_wait_for_names(t);
    nap(t); /* and WinFsp's second */
    EQUAL(t, 14, nt_standard(t, h).size);
    TEXT(t, "short and long", nt_gets(t, h, 0));
}

static handle watch(struct t *t, const char *name)
{
    handle d = OPEN(t, name, .access = FILE_LIST_DIRECTORY);

    nt_list(t, d, NULL);
    EXPECT(t, STATUS_TIMEOUT, nt_notify(t, d, NAMES, false, 0));
    return d;
}

static void changes_are_still_told(struct t *t)
{
    handle d = watch(t, "");

    host_puts(t, "f", "");
    OK(t, nt_notify(t, d, NAMES, false, 5000));
    TEXT(t, "+f", nt_told(t));
}

static void what_the_host_does_is_not_told(struct t *t)
{
    handle d = watch(t, "");

    host_puts(t, "f", "");
    EXPECT(t, STATUS_TIMEOUT, nt_notify(t, d, NAMES, false, 2500));
    MAKE_FILE(t, "g"); /* WinFsp tells that */
    OK(t, nt_notify(t, d, NAMES, false, 1000));
    TEXT(t, "+g", nt_told(t));
}

/* The limit is sixteen directories. */
static void beyond_the_limit_names_are_asked_for_again(struct t *t)
{
    enum { MANY = 40 };

    for (unsigned i = 0; i < MANY; i++) {
        host_mkdir(t, keep_printf(t, "d%u", i));
        EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, keep_printf(t, "d%u\\f", i)));
        TEXT(t, "", nt_names(t, keep_printf(t, "d%u", i), NULL));
    }
    for (unsigned i = 0; i < MANY; i++)
        host_puts(t, keep_printf(t, "d%u\\f", i), "text");
    t_wait_for_names(t);
    for (unsigned i = 0; i < MANY; i++) {
        TEXT(t, "f", nt_names(t, keep_printf(t, "d%u", i), NULL));
        TEXT(t, "text", nt_gets(t, OPEN(t, keep_printf(t, "d%u\\f", i)), 0));
    }
}

static void a_tree_beyond_the_limit_is_said_to_be_lost(struct t *t)
{
    for (unsigned i = 0; i < 40; i++)
        host_mkdir(t, keep_printf(t, "d%u", i));
    handle d = OPEN(t, "", .access = FILE_LIST_DIRECTORY);
    uint32_t status = nt_notify(t, d, NAMES, true, 10000);

    CHECK(t, status == STATUS_NOTIFY_ENUM_DIR ||
                 (status == STATUS_SUCCESS && strstr(nt_told(t), "-~")));
}

/* ---- what is off ----------------------------------------------------------------------------- */

static void attributes_are_taken_and_not_kept(struct t *t)
{
    host_puts(t, "f", "");
    handle h = OPEN(t, "f");

    OK(t, nt_set_attributes(t, h, FILE_ATTRIBUTE_HIDDEN));
    nt_close(t, h);
    CHECK(t, !(nt_attributes(t, "f") & FILE_ATTRIBUTE_HIDDEN));
    CHECK(t, host_xattr(t, "f", "user.DOSATTRIB") == NULL);
}

static void read_only_takes_the_write_bits(struct t *t)
{
    host_puts(t, "f", "");
    handle h = OPEN(t, "f");

    OK(t, nt_set_attributes(t, h, FILE_ATTRIBUTE_READONLY));
    nt_close(t, h);
    EQUAL(t, 0, host_mode(t, "f") & 0222);
    CHECK(t, nt_attributes(t, "f") & FILE_ATTRIBUTE_READONLY);
    CHECK(t, host_xattr(t, "f", "user.DOSATTRIB") == NULL);
}

static void what_is_stored_is_not_shown(struct t *t)
{
    host_puts(t, "f", "");
    host_setxattr(t, "f", "user.DOSATTRIB", "0x6");
    CHECK(t, !(nt_attributes(t, "f") & (FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM)));
}

static void read_only_is_an_attribute_and_the_mode_stays(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0644);
    handle h = OPEN(t, "f");

    OK(t, nt_set_attributes(t, h, FILE_ATTRIBUTE_READONLY));
    nt_close(t, h);
    EQUAL(t, 0644, host_mode(t, "f"));
    CHECK(t, nt_attributes(t, "f") & FILE_ATTRIBUTE_READONLY);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "f", .access = FILE_GENERIC_WRITE));
}

static void a_mode_without_write_bits_is_read_only_until_something_is_stored(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0444);
    CHECK(t, nt_attributes(t, "f") & FILE_ATTRIBUTE_READONLY);
    handle h = OPEN(t, "f", .access = FILE_WRITE_ATTRIBUTES);
    OK(t, nt_set_attributes(t, h, FILE_ATTRIBUTE_ARCHIVE));
    nt_close(t, h);
    CHECK(t, !(nt_attributes(t, "f") & FILE_ATTRIBUTE_READONLY));
}

static void a_stream_has_no_name(struct t *t)
{
    host_puts(t, "f", "");
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "f:s", .disposition = FILE_OPEN_IF));
}

static void nobody_asks_for_streams(struct t *t)
{
    uint8_t buf[1024];

    host_puts(t, "f", "");
    EXPECT(t, STATUS_INVALID_PARAMETER,
           nt_query(t, OPEN(t, "f"), FileStreamInformation, buf, sizeof(buf)));
}

static void there_is_no_security(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0222);
    EXPECT(t, STATUS_INVALID_DEVICE_REQUEST, nt_security(t, OPEN(t, "f"), 7, 4096));
    OK(t, TRY(t, "f",
              .access = FILE_GENERIC_READ)); /* the host's daemon may, and nobody else is asked */
}

static void names_that_begin_with_a_dot_are_hidden(struct t *t)
{
    host_puts(t, ".f", "");
    host_puts(t, "f", "");
    host_mkdir(t, ".d");
    CHECK(t, nt_attributes(t, ".f") & FILE_ATTRIBUTE_HIDDEN);
    CHECK(t, nt_attributes(t, ".d") & FILE_ATTRIBUTE_HIDDEN);
    CHECK(t, !(nt_attributes(t, "f") & FILE_ATTRIBUTE_HIDDEN));
    const struct listing *l = nt_list(t, OPEN(t, "", .access = FILE_LIST_DIRECTORY), NULL);
    CHECK(t, find(t, l, ".f")->attributes & FILE_ATTRIBUTE_HIDDEN);
    CHECK(t, !(find(t, l, "f")->attributes & FILE_ATTRIBUTE_HIDDEN));
    CHECK(t, host_xattr(t, ".f", "user.DOSATTRIB") == NULL);
}

static void a_renamed_dot_file_is_shown(struct t *t)
{
    host_puts(t, ".f", "");
    OK(t, nt_move(t, ".f", "f", false));
    CHECK(t, !(nt_attributes(t, "f") & FILE_ATTRIBUTE_HIDDEN));
}

/* ---- a daemon without our extension ------------------------------------------------------------ */

/* MS-FSCC 2.4.14: FileFullDirectoryInformation. */
enum { EA_SIZE_AT = 64 };

static uint32_t listed_ea_size(struct t *t, const char *name)
{
    struct listing l = {0};
    uint32_t size;
    handle d = OPEN(t, "", .access = FILE_LIST_DIRECTORY);

    OK(t, nt_query_dir(t, d, name, FileFullDirectoryInformation, 4096, DOOR_DIR_RESTART, &l));
    EQUAL(t, 1, l.n);
    CHECK(t, nt_data_len(t) >= EA_SIZE_AT + sizeof(size));
    memcpy(&size, (const uint8_t *)nt_data(t) + EA_SIZE_AT, sizeof(size));
    nt_close(t, d);
    return size;
}

static uint32_t ea_size(struct t *t, handle h)
{
    uint32_t size = 99;

    OK(t, nt_query(t, h, FileEaInformation, &size, sizeof(size)));
    return size;
}

static void the_size_of_eas_is_nothing_everywhere(struct t *t)
{
    uint8_t bytes[64];

    host_puts(t, "f", "");
    host_setxattr(t, "f", "user.COLOUR", "blue");
    handle h = OPEN(t, "f");
    EQUAL(t, 0, ea_size(t, h));
    EQUAL(t, 0, listed_ea_size(t, "f"));
    OK(t, nt_ea(t, h, 1024));
    EQUAL(t, 0, ea_size(t, h));
    OK(t, nt_set_ea(t, h, bytes, ea_entry(bytes, "N", "1", 1, true)));
    EQUAL(t, 0, ea_size(t, h));
    TEXT(t, "1", host_xattr(t, "f", "user.N"));
}

/* The default with our daemon; kept beside the case above. */
static void the_size_of_eas_is_the_same_everywhere(struct t *t)
{
    host_puts(t, "f", "");
    host_setxattr(t, "f", "user.COLOUR", "blue");
    handle h = OPEN(t, "f");
    EQUAL(t, 4 + 5 + 6 + 4, ea_size(t, h));
    EQUAL(t, 4 + 5 + 6 + 4, listed_ea_size(t, "f"));
    nt_puts(t, h, 0, "text");
    EQUAL(t, 4 + 5 + 6 + 4, ea_size(t, h));
}

/* ---- the feed, and more of it than cases_watch.c --------------------------------------------------- */

/* Is a watch told of this within ten seconds? A rename may come in two pieces. */
static bool hears_of(struct t *t, handle dir, const char *what)
{
    for (int64_t until = t_now_ms() + 10000; t_now_ms() < until;)
        if (nt_notify(t, dir, NAMES, false, 1000) == STATUS_SUCCESS && strstr(nt_told(t), what))
            return true;
    return false;
}

static void told_names_are_found_in_any_case(struct t *t)
{
    host_mkdir(t, "Sub");
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "SUB\\name"));
    handle d = watch(t, "sub");

    host_puts(t, "Sub\\Name", "text");
    CHECK(t, hears_of(t, d, "+Name"));
    TEXT(t, "text", nt_gets(t, OPEN(t, "sUB\\NAME"), 0));
    host_rename(t, "Sub\\Name", "Sub\\Other");
    CHECK(t, hears_of(t, d, ">Other"));
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "sub\\name"));
    OK(t, TRY(t, "sub\\other"));
    host_remove(t, "Sub\\Other");
    CHECK(t, hears_of(t, d, "-Other"));
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "SUB\\OTHER"));
}

static void rename_or_change(struct t *t, unsigned number, void *ctx)
{
    enum { TIMES = 60 };

    (void)ctx;
    for (unsigned i = 0; i < TIMES; i++) {
        if (number == 0)
            host_puts(t, keep_printf(t, "d\\f%02u", i), "");
        else
            OK(t, nt_move(t, i % 2 ? "b" : "a", i % 2 ? "a" : "b", false));
    }
}

/* While Windows renames, WinFsp takes no notifications (STATUS_CANT_WAIT): they come all the same. */
static void changes_are_told_although_windows_renames(struct t *t)
{
    unsigned told = 0;

    host_mkdir(t, "d");
    host_puts(t, "a", "");
    handle d = watch(t, "d");

    /* Of its first seconds a watch may be told that something may have been missed. */
    for (int64_t until = t_now_ms() + 3000; t_now_ms() < until;)
        (void)nt_notify(t, d, NAMES, false, 1000);
    together(t, 2, rename_or_change, NULL);
    for (int64_t until = t_now_ms() + 20000; told < 60 && t_now_ms() < until;)
        if (nt_notify(t, d, NAMES, false, 1000) == STATUS_SUCCESS)
            for (const char *p = nt_told(t); (p = strstr(p, "+f")); p++)
                told++;
    EQUAL(t, 60, told);
}

static const struct test_case cases[] = {
    CASE(the_size_of_eas_is_the_same_everywhere),
    CASE(changes_are_told_although_windows_renames),
    CASE_ON(told_names_are_found_in_any_case, VOLUME_FOLD),
    CASE_IN(the_size_of_eas_is_nothing_everywhere, "peer"),
    CASE_IN(what_was_read_is_not_read_again, "long"),
    CASE_IN(what_is_written_is_read_before_it_is_on_the_host, "long"),
    CASE_IN(the_lazy_writer_brings_it_to_the_host, "long"),
    CASE_IN(a_flush_brings_it_to_the_host, "long"),
    CASE_IN(the_last_close_brings_it_to_the_host, "long"),
    CASE_IN(writing_through_is_not_kept_back, "long"),
    CASE_IN(a_change_of_the_host_drops_what_was_kept, "long"),
    CASE_IN(a_file_that_the_host_made_longer_is_read_whole, "long"),
    CASE_IN(what_was_written_survives_a_change_of_the_host, "long"),
    CASE_IN(pages_go_through_a_handle_that_is_closed, "long"),
    CASE_IN(cutting_and_growing_leaves_zeroes, "long"),
    CASE_IN(past_the_cache_everything_is_seen, "long"),
    CASE_IN(a_time_that_was_set_outlives_the_pages, "long"),
    CASE_IN(a_time_holds_when_another_handle_has_the_pages, "long"),
    CASE_IN(two_names_of_one_file_are_not_kept_twice, "long"),
    CASE_IN(a_stream_is_with_the_host_at_once, "long"),
    CASE_IN(what_finds_no_room_is_refused_before_it_is_lost, "long"),
    CASE_IN(random_work_leaves_what_it_should, "long"),
    CASE_IN(what_the_host_makes_is_seen_after_a_second, "strict"),
    CASE_IN(what_the_host_changes_is_seen_after_a_second, "strict"),
    CASE_IN(changes_are_still_told, "strict"),
    CASE_IN(what_the_host_makes_is_seen_after_a_second, "quiet"),
    CASE_IN(what_the_host_changes_is_seen_after_a_second, "quiet"),
    CASE_IN(what_the_host_does_is_not_told, "quiet"),
    CASE_IN(beyond_the_limit_names_are_asked_for_again, "few"),
    CASE_IN(a_tree_beyond_the_limit_is_said_to_be_lost, "few"),
    CASE_IN(names_that_begin_with_a_dot_are_hidden, "dot-files"),
    CASE_IN(a_renamed_dot_file_is_shown, "dot-files"),
    CASE_IN(attributes_are_taken_and_not_kept, "attributes-mode"),
    CASE_IN(read_only_takes_the_write_bits, "attributes-mode"),
    CASE_IN(what_is_stored_is_not_shown, "attributes-mode"),
    CASE_IN(read_only_is_an_attribute_and_the_mode_stays, "read-only-stored"),
    CASE_IN(a_mode_without_write_bits_is_read_only_until_something_is_stored, "read-only-stored"),
    CASE_IN(a_stream_has_no_name, "streams-off"),
    CASE_IN(nobody_asks_for_streams, "streams-off"),
    CASE_IN(there_is_no_security, "acl-off"),
};
GROUP(modes, cases);
