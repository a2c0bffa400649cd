// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_streams.c - alternate data streams, which the host keeps as user.DosStream.NAME:$DATA
 *
 * What the host has is looked at as it is: the stream's bytes and one NUL (Samba's vfs_streams_xattr).
 *
 * Incumbent: has none: "The filename, directory name, or volume label syntax is incorrect".
 */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "tests/wine/conformance/conf_int.h"

#define STREAM_MAX 65535

static const char *attribute_of(struct t *t, const char *stream)
{
    return keep_printf(t, "user.DosStream.%s:$DATA", stream);
}

/* Bytes of the value, -1: none. */
static ssize_t value_of(struct t *t, const char *name, const char *stream, void *buf, size_t room)
{
    return lgetxattr(host_path(t, name), attribute_of(t, stream), buf, room);
}

/* Does the host have this stream, with these bytes and the NUL? */
static bool host_has(struct t *t, const char *name, const char *stream, const void *bytes, size_t n)
{
    uint8_t *value = keep(t, STREAM_MAX + 1);

    return value_of(t, name, stream, value, STREAM_MAX + 1) == (ssize_t)n + 1 &&
           memcmp(value, bytes, n) == 0 && value[n] == 0;
}

static bool host_lacks(struct t *t, const char *name, const char *stream)
{
    return value_of(t, name, stream, NULL, 0) < 0 && errno == ENODATA;
}

static void host_stream(struct t *t, const char *name, const char *stream, const void *value,
                        size_t n)
{
    CHECK(t, lsetxattr(host_path(t, name), attribute_of(t, stream), value, n, 0) == 0);
}

static void put(struct t *t, const char *name, const char *text)
{
    handle h = OPEN(t, name, .disposition = FILE_OVERWRITE_IF);

    nt_puts(t, h, 0, text);
    nt_close(t, h);
}

/* Names and sizes of FILE_STREAM_INFORMATION: ":one:$DATA=3 ::$DATA=10", in the order of the answer. */
static const char *streams_of(struct t *t, handle h)
{
    uint8_t *buf = keep(t, 65536);
    const char *all = "";
    uint32_t next = 1;

    OK(t, nt_query(t, h, FileStreamInformation, buf, 65536));
    for (const uint8_t *p = buf; next && nt_data_len(t); p += next) {
        char name[1024];
        uint32_t bytes;
        int64_t size;

        memcpy(&next, p, 4);
        memcpy(&bytes, p + 4, 4);
        memcpy(&size, p + 8, 8);
        CHECK(t, p + 24 + bytes <= buf + nt_data_len(t));
        to_utf8(p + 24, bytes, name, sizeof(name));
        all = keep_printf(t, "%s%s%s=%lld", all, *all ? " " : "", name, (long long)size);
    }
    return all;
}

static void a_stream_is_made_and_read(struct t *t)
{
    host_puts(t, "f", "text");
    put(t, "f:s", "stream");
    TEXT(t, "stream", nt_gets(t, OPEN(t, "f:s"), 0));
    CHECK(t, host_has(t, "f", "s", "stream", 6));
    TEXT(t, "text", host_gets(t, "f"));
}

static void one_of_the_host_is_read(struct t *t)
{
    host_puts(t, "f", "");
    host_stream(t, "f", "s", "stream", 7);
    TEXT(t, "stream", nt_gets(t, OPEN(t, "f:s"), 0));
    EQUAL(t, 6, nt_standard(t, OPEN(t, "f:s")).size);
}

static void the_type_of_data_may_be_named(struct t *t)
{
    host_puts(t, "f", "text");
    put(t, "f:s:$DATA", "stream");
    CHECK(t, host_has(t, "f", "s", "stream", 6));
    TEXT(t, "text", nt_gets(t, OPEN(t, "f::$DATA"), 0));
}

static void no_other_type_is_known(struct t *t)
{
    host_puts(t, "f", "text");
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "f:s:$EA", .disposition = FILE_OPEN_IF));
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "f:", .disposition = FILE_OPEN_IF));
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "f:a:b:$DATA", .disposition = FILE_OPEN_IF));
}

static void one_that_is_not_there_is_not_found(struct t *t)
{
    host_puts(t, "f", "");
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f:s"));
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "missing:s"));
    CHECK(t, !host_exists(t, "missing"));
}

static void a_stream_of_a_file_that_is_not_there_makes_the_file(struct t *t)
{
    put(t, "f:s", "stream");
    EQUAL(t, 0, host_stat(t, "f").st_size);
    CHECK(t, host_has(t, "f", "s", "stream", 6));
}

static void each_disposition_says_what_it_did(struct t *t)
{
    host_puts(t, "f", "");
    OK(t, TRY(t, "f:s", .disposition = FILE_CREATE));
    EQUAL(t, FILE_CREATED, nt_information(t));
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION, TRY(t, "f:s", .disposition = FILE_CREATE));
    OK(t, TRY(t, "f:s", .disposition = FILE_OPEN_IF));
    EQUAL(t, FILE_OPENED, nt_information(t));
    OK(t, TRY(t, "f:s", .disposition = FILE_OVERWRITE));
    EQUAL(t, FILE_OVERWRITTEN, nt_information(t));
    OK(t, TRY(t, "f:s", .disposition = FILE_SUPERSEDE));
    EQUAL(t, FILE_SUPERSEDED, nt_information(t));
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f:other", .disposition = FILE_OVERWRITE));
}

static void overwriting_a_stream_empties_it_alone(struct t *t)
{
    host_puts(t, "f", "text");
    put(t, "f:s", "stream");
    put(t, "f:other", "stays");
    OK(t, TRY(t, "f:s", .disposition = FILE_OVERWRITE));
    CHECK(t, host_has(t, "f", "s", "", 0));
    CHECK(t, host_has(t, "f", "other", "stays", 5));
    TEXT(t, "text", host_gets(t, "f"));
}

static void overwriting_a_file_takes_its_streams(struct t *t)
{
    host_puts(t, "f", "text");
    put(t, "f:s", "stream");
    OK(t, TRY(t, "f", .disposition = FILE_OVERWRITE));
    CHECK(t, host_lacks(t, "f", "s"));
}

static void a_part_is_written_in_its_place(struct t *t)
{
    host_puts(t, "f", "");
    host_stream(t, "f", "s", "0123456789", 11);
    handle h = OPEN(t, "f:s");
    nt_puts(t, h, 3, "abc");
    CHECK(t, host_has(t, "f", "s", "012abc6789", 10));
    TEXT(t, "c67", keep_printf(t, "%.3s", nt_gets(t, h, 5)));
}

static void a_write_behind_the_end_fills_with_zeros(struct t *t)
{
    host_puts(t, "f", "");
    handle h = MAKE(t, "f:s");
    nt_puts(t, h, 4, "x");
    CHECK(t, host_has(t, "f", "s", "\0\0\0\0x", 5));
    EQUAL(t, 5, nt_standard(t, h).size);
}

static void an_append_goes_to_the_end(struct t *t)
{
    host_puts(t, "f", "");
    host_stream(t, "f", "s", "one", 4);
    handle h = OPEN(t, "f:s", .access = FILE_APPEND_DATA | SYNCHRONIZE);
    nt_puts(t, h, 0, "two");
    CHECK(t, host_has(t, "f", "s", "onetwo", 6));
}

static void reading_at_the_end_says_so(struct t *t)
{
    char byte;

    host_puts(t, "f", "");
    host_stream(t, "f", "s", "one", 4);
    handle h = OPEN(t, "f:s");
    EXPECT(t, STATUS_END_OF_FILE, nt_read(t, h, 3, &byte, 1, NULL));
    EXPECT(t, STATUS_END_OF_FILE, nt_read(t, h, 300000, &byte, 1, NULL));
}

static void a_stream_is_cut_and_extended(struct t *t)
{
    host_puts(t, "f", "text");
    host_stream(t, "f", "s", "0123456789", 11);
    handle h = OPEN(t, "f:s");
    OK(t, nt_set_size(t, h, 4));
    CHECK(t, host_has(t, "f", "s", "0123", 4));
    OK(t, nt_set_size(t, h, 6));
    CHECK(t, host_has(t, "f", "s", "0123\0\0", 6));
    TEXT(t, "text", host_gets(t, "f"));
}

static void a_smaller_allocation_cuts_and_a_larger_does_nothing(struct t *t)
{
    host_puts(t, "f", "");
    host_stream(t, "f", "s", "0123456789", 11);
    handle h = OPEN(t, "f:s");
    OK(t, nt_set_allocation(t, h, 20000));
    EQUAL(t, 10, nt_standard(t, h).size);
    OK(t, nt_set_allocation(t, h, 0));
    CHECK(t, host_has(t, "f", "s", "", 0));
}

static void the_longest_stream_is_kept_whole(struct t *t)
{
    uint8_t *bytes = keep(t, STREAM_MAX);

    pattern(bytes, 0, STREAM_MAX, 7);
    host_puts(t, "f", "");
    handle h = MAKE(t, "f:s");
    OK(t, nt_write(t, h, 0, bytes, STREAM_MAX));
    CHECK(t, host_has(t, "f", "s", bytes, STREAM_MAX));
}

static void one_byte_more_finds_the_disk_full(struct t *t)
{
    uint8_t *bytes = keep(t, STREAM_MAX + 1);

    host_puts(t, "f", "");
    handle h = MAKE(t, "f:s");
    nt_puts(t, h, 0, "kept");
    EXPECT(t, STATUS_DISK_FULL, nt_write(t, h, 0, bytes, STREAM_MAX + 1));
    EXPECT(t, STATUS_DISK_FULL, nt_write(t, h, STREAM_MAX, "x", 1));
    EXPECT(t, STATUS_DISK_FULL, nt_set_size(t, h, STREAM_MAX + 1));
    EXPECT(t, STATUS_DISK_FULL, nt_set_allocation(t, h, 1 << 20));
    CHECK(t, host_has(t, "f", "s", "kept", 4));
}

static void streams_are_listed_with_their_sizes(struct t *t)
{
    host_puts(t, "f", "text");
    put(t, "f:one", "123");
    put(t, "f:two", "12345");
    const char *all = streams_of(t, OPEN(t, "f"));
    CHECK(t, strncmp(all, "::$DATA=4", 9) == 0);
    CHECK(t, strstr(all, " :one:$DATA=3") && strstr(all, " :two:$DATA=5"));
    EQUAL(t, strlen("::$DATA=4 :one:$DATA=3 :two:$DATA=5"), strlen(all));
}

static void a_file_without_streams_lists_its_data(struct t *t)
{
    host_puts(t, "f", "text");
    TEXT(t, "::$DATA=4", streams_of(t, OPEN(t, "f")));
}

static void a_directory_has_streams_and_no_data(struct t *t)
{
    host_mkdir(t, "d");
    put(t, "d:s", "stream");
    CHECK(t, host_has(t, "d", "s", "stream", 6));
    TEXT(t, ":s:$DATA=6", streams_of(t, OPEN(t, "d", .access = FILE_READ_ATTRIBUTES)));
    handle h = OPEN(t, "d:s", .options = FILE_NON_DIRECTORY_FILE);
    CHECK(t, !nt_standard(t, h).directory);
    TEXT(t, "stream", nt_gets(t, h, 0));
}

static void the_root_has_streams(struct t *t)
{
    put(t, "\\:conformance", "of the root");
    handle h = OPEN(t, "\\:conformance");
    TEXT(t, "of the root", nt_gets(t, h, 0));
    nt_close(t, h);
    OK(t, nt_remove(t, "\\:conformance"));
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "\\:conformance"));
}

static void no_stream_is_a_directory(struct t *t)
{
    host_puts(t, "f", "");
    EXPECT(t, STATUS_NOT_A_DIRECTORY,
           TRY(t, "f:s", .disposition = FILE_CREATE, .options = FILE_DIRECTORY_FILE));
}

static void a_deleted_stream_is_gone_and_the_file_stays(struct t *t)
{
    host_puts(t, "f", "text");
    put(t, "f:s", "stream");
    OK(t, nt_remove(t, "f:s"));
    CHECK(t, host_lacks(t, "f", "s"));
    TEXT(t, "text", host_gets(t, "f"));
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f:s"));
    TEXT(t, "::$DATA=4", streams_of(t, OPEN(t, "f")));
}

static void delete_on_close_deletes_a_stream(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = MAKE(t, "f:s", .options = FILE_DELETE_ON_CLOSE);
    nt_puts(t, h, 0, "x");
    CHECK(t, host_has(t, "f", "s", "x", 1));
    nt_close(t, h);
    CHECK(t, host_lacks(t, "f", "s"));
    CHECK(t, host_exists(t, "f"));
}

static void a_deleted_stream_is_made_anew_empty(struct t *t)
{
    host_puts(t, "f", "");
    put(t, "f:s", "stream");
    OK(t, nt_remove(t, "f:s"));
    handle h = MAKE(t, "f:s");
    EQUAL(t, 0, nt_standard(t, h).size);
    CHECK(t, host_has(t, "f", "s", "", 0));
}

static void deleting_the_file_deletes_all(struct t *t)
{
    host_puts(t, "f", "text");
    put(t, "f:s", "stream");
    OK(t, nt_remove(t, "f"));
    CHECK(t, !host_exists(t, "f"));
}

static void a_file_with_an_open_stream_goes_with_the_streams_handle(struct t *t)
{
    host_puts(t, "f", "text");
    put(t, "f:s", "stream");
    handle h = OPEN(t, "f:s");
    OK(t, nt_remove(t, "f"));
    EXPECT(t, STATUS_DELETE_PENDING, TRY(t, "f"));
    nt_close(t, h);
    CHECK(t, !host_exists(t, "f"));
}

static void names_differ_by_more_than_case(struct t *t)
{
    host_puts(t, "f", "");
    put(t, "f:Stream", "one");
    handle h = OPEN(t, "f:sTREAM");
    TEXT(t, "one", nt_gets(t, h, 0));
    nt_close(t, h);
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION, TRY(t, "f:STREAM", .disposition = FILE_CREATE));
    put(t, "f:stream", "two");
    CHECK(t, host_has(t, "f", "Stream", "two", 3));
    CHECK(t, host_lacks(t, "f", "stream"));
    OK(t, nt_remove(t, "f:STREAM"));
    CHECK(t, host_lacks(t, "f", "Stream"));
}

static void a_file_is_found_in_any_case_with_its_stream(struct t *t)
{
    host_puts(t, "File", "");
    put(t, "File:Stream", "one");
    TEXT(t, "one", nt_gets(t, OPEN(t, "FILE:STREAM"), 0));
    TEXT(t, keep_printf(t, "%s\\File:Stream", case_dir(t)), nt_name(t, OPEN(t, "fILE:sTREAM")));
}

static void handles_of_one_stream_see_each_others_writes(struct t *t)
{
    host_puts(t, "f", "");
    handle a = MAKE(t, "f:s"), b = OPEN(t, "f:s");
    nt_puts(t, a, 0, "one");
    TEXT(t, "one", nt_gets(t, b, 0));
    nt_puts(t, b, 3, "two");
    TEXT(t, "onetwo", nt_gets(t, a, 0));
    CHECK(t, host_has(t, "f", "s", "onetwo", 6));
}

static void write_own_bytes(struct t *t, unsigned number, void *ctx)
{
    handle h = OPEN(t, number % 2 ? "f:s" : "f:S"); /* two names for WinFsp, one stream for us */

    (void)ctx;
    for (unsigned i = 0; i < 16; i++)
        nt_puts(t, h, number * 16 + i, keep_printf(t, "%c", 'a' + (int)number));
    nt_close(t, h);
}

static void writers_at_once_lose_nothing(struct t *t)
{
    char want[65] = "";

    host_puts(t, "f", "");
    nt_close(t, MAKE(t, "f:s"));
    together(t, 4, write_own_bytes, NULL);
    for (unsigned i = 0; i < 64; i++)
        want[i] = (char)('a' + i / 16);
    CHECK(t, host_has(t, "f", "s", want, 64));
}

static void links_lead_to_the_streams_of_their_targets(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    host_symlink(t, "l", "d/f");
    host_symlink(t, "dl", "d");
    put(t, "l:s", "stream");
    CHECK(t, host_has(t, "d\\f", "s", "stream", 6));
    TEXT(t, "stream", nt_gets(t, OPEN(t, "dl\\f:s"), 0));
    TEXT(t, "text", host_gets(t, "d\\f"));
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "dl\\f:other"));
}

static void a_write_of_the_host_is_seen(struct t *t)
{
    host_puts(t, "f", "");
    put(t, "f:s", "stream");
    handle h = OPEN(t, "f:s");
    host_stream(t, "f", "s", "of the host", 12);
    EVENTUALLY(t, strcmp(nt_gets(t, h, 0), "of the host") == 0);
}

static void one_that_the_host_makes_is_found(struct t *t)
{
    host_puts(t, "f", "text");
    TEXT(t, "::$DATA=4", streams_of(t, OPEN(t, "f")));
    host_stream(t, "f", "s", "x", 2);
    EVENTUALLY(t, TRY(t, "f:s") == STATUS_SUCCESS);
}

static void what_samba_would_not_read_is_not_there(struct t *t)
{
    host_puts(t, "f", "text");
    host_stream(t, "f", "empty", "", 0);
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f:empty"));
    TEXT(t, "::$DATA=4", streams_of(t, OPEN(t, "f")));
    put(t, "f:empty", "now");
    CHECK(t, host_has(t, "f", "empty", "now", 3));
}

static void the_last_byte_is_no_part_of_it_whatever_it_is(struct t *t)
{
    host_puts(t, "f", "");
    host_stream(t, "f", "s", "abcX", 4);
    handle h = OPEN(t, "f:s");
    TEXT(t, "abc", nt_gets(t, h, 0));
    nt_puts(t, h, 1, "Y");
    CHECK(t, host_has(t, "f", "s", "aYc", 3));
}

static void odd_names_are_kept_as_they_are(struct t *t)
{
    static const char name[] = "\xc3\xa9 \"<*?>|\xf0\x9f\x98\x80.";

    host_puts(t, "f", "");
    put(t, keep_printf(t, "f:%s", name), "x");
    CHECK(t, host_has(t, "f", name, "x", 1));
    CHECK(t, strstr(streams_of(t, OPEN(t, "f")), keep_printf(t, ":%s:$DATA=1", name)) != NULL);
}

static void a_name_too_long_for_the_host_is_refused(struct t *t)
{
    char name[240] = "f:";

    memset(name + 2, 'n', 235);
    host_puts(t, "f", "");
    EXPECT(t, STATUS_NAME_TOO_LONG, TRY(t, name, .disposition = FILE_CREATE));
    name[2 + 234] = '\0';
    OK(t, TRY(t, name, .disposition = FILE_CREATE));
}

static void what_the_host_calls_what_no_stream_can_be_called_is_not_shown(struct t *t)
{
    host_puts(t, "f", "text");
    host_stream(t, "f", "a:b", "x", 2);
    host_stream(t, "f", "a\\b", "x", 2);
    host_stream(t, "f", "\xff", "x", 2);
    host_setxattr(t, "f", "user.DosStream.untyped", "x");
    TEXT(t, "::$DATA=4", streams_of(t, OPEN(t, "f")));
}

static void attributes_and_times_are_the_files(struct t *t)
{
    host_puts(t, "f", "text");
    host_times(t, "f", 1000000000, 1100000000);
    put(t, "f:s", "stream");
    handle h = OPEN(t, "f:s");
    struct basic_info b = nt_basic(t, h), file = nt_basic(t, OPEN(t, "f"));
    EQUAL(t, file.written, b.written);
    EQUAL(t, file.created, b.created);
    EQUAL(t, file.attributes, b.attributes);
    EQUAL(t, nt_index(t, OPEN(t, "f")), nt_index(t, h));
    b = (struct basic_info){.written = file.written + 10000000};
    OK(t, nt_set(t, h, FileBasicInformation, &b, sizeof(b)));
    EQUAL(t, 1100000001, host_stat(t, "f").st_mtime);
}

static void a_stream_is_not_renamed(struct t *t)
{
    host_puts(t, "f", "");
    put(t, "f:s", "stream");
    EXPECT(t, STATUS_INVALID_PARAMETER, nt_move(t, "f:s", "g", false));
    CHECK(t, host_has(t, "f", "s", "stream", 6));
}

static void streams_go_along_when_the_file_is_renamed(struct t *t)
{
    host_puts(t, "f", "");
    put(t, "f:s", "stream");
    OK(t, nt_move(t, "f", "g", false));
    TEXT(t, "stream", nt_gets(t, OPEN(t, "g:s"), 0));
}

static void a_file_with_an_open_stream_is_not_renamed(struct t *t)
{
    host_puts(t, "f", "");
    handle h = MAKE(t, "f:s");
    EXPECT(t, STATUS_ACCESS_DENIED, nt_move(t, "f", "g", false));
    nt_close(t, h);
    OK(t, nt_move(t, "f", "g", false));
}

static void a_stream_keeps_others_out_as_a_file_does(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = MAKE(t, "f:s", .share = SHARE_NONE);
    EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "f:s"));
    EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "f", .access = DELETE));
    OK(t, TRY(t, "f", .access = FILE_READ_DATA));
    OK(t, TRY(t, "f:other", .disposition = FILE_CREATE));
    nt_close(t, h);
    OK(t, TRY(t, "f:s"));
}

static void a_read_only_file_gets_no_stream(struct t *t)
{
    host_puts(t, "f", "text");
    host_chmod(t, "f", 0444);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "f:s", .disposition = FILE_CREATE));
    CHECK(t, host_lacks(t, "f", "s"));
}

static void a_read_only_volume_gets_no_stream(struct t *t)
{
    host_puts(t, "f", "text");
    host_stream(t, "f", "s", "stream", 7);
    TEXT(t, "stream", nt_gets(t, OPEN(t, "f:s", .access = FILE_GENERIC_READ), 0));
    CHECK(t, TRY(t, "f:t", .disposition = FILE_CREATE) != STATUS_SUCCESS);
    CHECK(t, host_lacks(t, "f", "t"));
}

static void streams_are_no_eas(struct t *t)
{
    host_puts(t, "f", "");
    put(t, "f:s", "stream");
    EXPECT(t, STATUS_NO_EAS_ON_FILE, nt_ea(t, OPEN(t, "f"), 1024));
}

static void streams_are_in_no_listing(struct t *t)
{
    host_puts(t, "f", "");
    put(t, "f:s", "stream");
    TEXT(t, "f", nt_names(t, "", NULL));
}

static void the_zone_of_a_download_is_kept(struct t *t)
{
    static const char zone[] = "[ZoneTransfer]\r\nZoneId=3\r\n";

    host_puts(t, "setup.exe", "MZ");
    put(t, "setup.exe:Zone.Identifier", zone);
    CHECK(t, host_has(t, "setup.exe", "Zone.Identifier", zone, strlen(zone)));
    handle h = OPEN(t, "setup.exe:Zone.Identifier");
    TEXT(t, zone, nt_gets(t, h, 0));
    nt_close(t, h);
    TEXT(t, "::$DATA=2 :Zone.Identifier:$DATA=26", streams_of(t, OPEN(t, "setup.exe")));
    OK(t, nt_remove(t, "setup.exe:Zone.Identifier"));
    CHECK(t, host_lacks(t, "setup.exe", "Zone.Identifier"));
}

static void the_volume_says_that_it_has_streams(struct t *t)
{
    enum { FILE_NAMED_STREAMS_ = 0x40000 };
    union {
        struct fs_attribute_head head;
        uint8_t room[256];
    } fs;

    OK(t, nt_query_volume(t, OPEN(t, "", .access = FILE_READ_ATTRIBUTES),
                          FileFsAttributeInformation, &fs, sizeof(fs)));
    CHECK(t, fs.head.flags & FILE_NAMED_STREAMS_);
}

static const struct test_case cases[] = {
    CASE(a_stream_is_made_and_read),
    CASE(one_of_the_host_is_read),
    CASE(the_type_of_data_may_be_named),
    CASE(no_other_type_is_known),
    CASE(one_that_is_not_there_is_not_found),
    CASE(a_stream_of_a_file_that_is_not_there_makes_the_file),
    CASE(each_disposition_says_what_it_did),
    CASE(overwriting_a_stream_empties_it_alone),
    CASE(overwriting_a_file_takes_its_streams),
    CASE(a_part_is_written_in_its_place),
    CASE(a_write_behind_the_end_fills_with_zeros),
    CASE(an_append_goes_to_the_end),
    CASE(reading_at_the_end_says_so),
    CASE(a_stream_is_cut_and_extended),
    CASE(a_smaller_allocation_cuts_and_a_larger_does_nothing),
    CASE(the_longest_stream_is_kept_whole),
    CASE(one_byte_more_finds_the_disk_full),
    CASE(streams_are_listed_with_their_sizes),
    CASE(a_file_without_streams_lists_its_data),
    CASE(a_directory_has_streams_and_no_data),
    CASE(the_root_has_streams),
    CASE(no_stream_is_a_directory),
    CASE(a_deleted_stream_is_gone_and_the_file_stays),
    CASE(delete_on_close_deletes_a_stream),
    CASE(a_deleted_stream_is_made_anew_empty),
    CASE(deleting_the_file_deletes_all),
    CASE(a_file_with_an_open_stream_goes_with_the_streams_handle),
    CASE(names_differ_by_more_than_case),
    CASE_ON(a_file_is_found_in_any_case_with_its_stream, VOLUME_FOLD),
    CASE(handles_of_one_stream_see_each_others_writes),
    CASE(writers_at_once_lose_nothing),
    CASE(links_lead_to_the_streams_of_their_targets),
    CASE(a_write_of_the_host_is_seen),
    CASE(one_that_the_host_makes_is_found),
    CASE(what_samba_would_not_read_is_not_there),
    CASE(the_last_byte_is_no_part_of_it_whatever_it_is),
    CASE(odd_names_are_kept_as_they_are),
    CASE(a_name_too_long_for_the_host_is_refused),
    CASE(what_the_host_calls_what_no_stream_can_be_called_is_not_shown),
    CASE(attributes_and_times_are_the_files),
    CASE(a_stream_is_not_renamed),
    CASE(streams_go_along_when_the_file_is_renamed),
    CASE(a_file_with_an_open_stream_is_not_renamed),
    CASE(a_stream_keeps_others_out_as_a_file_does),
    CASE(a_read_only_file_gets_no_stream),
    CASE_ON(a_read_only_volume_gets_no_stream, VOLUME_READONLY),
    CASE(streams_are_no_eas),
    CASE(streams_are_in_no_listing),
    CASE(the_zone_of_a_download_is_kept),
    CASE(the_volume_says_that_it_has_streams),
};
GROUP(streams, cases);
