// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_open.c - opening what is there
 */
#include <string.h>
#include <unistd.h>

#include "tests/wine/conformance/conf.h"

static void a_file_of_the_host_is_opened(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f");

    EQUAL(t, FILE_OPENED, nt_information(t));
    TEXT(t, "text", nt_gets(t, h, 0));
}

static void a_missing_file_is_not_found(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f"));
}

/* Incumbent: OBJECT_NAME_NOT_FOUND (B.4, "path walk"). */
static void below_a_missing_directory_the_path_is_not_found(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_PATH_NOT_FOUND, TRY(t, "none\\f"));
}

static void far_below_a_missing_directory_the_path_is_not_found(struct t *t)
{
    host_mkdir(t, "d");
    EXPECT(t, STATUS_OBJECT_PATH_NOT_FOUND, TRY(t, "d\\none\\a\\b\\c"));
}

/* Incumbent: UNSUCCESSFUL (B.7, ENOTDIR). */
static void below_a_file_the_path_is_not_found(struct t *t)
{
    host_puts(t, "f", "");
    EXPECT(t, STATUS_OBJECT_PATH_NOT_FOUND, TRY(t, "f\\g"));
}

static void a_directory_is_opened(struct t *t)
{
    host_mkdir(t, "d");
    handle h = OPEN(t, "d", .options = FILE_DIRECTORY_FILE);

    CHECK(t, nt_basic(t, h).attributes & FILE_ATTRIBUTE_DIRECTORY);
    EQUAL(t, 1, nt_standard(t, h).directory);
}

static void a_directory_is_opened_without_saying_so(struct t *t)
{
    host_mkdir(t, "d");
    OK(t, TRY(t, "d", .access = FILE_READ_ATTRIBUTES));
}

static void a_file_is_no_directory(struct t *t)
{
    host_puts(t, "f", "");
    EXPECT(t, STATUS_NOT_A_DIRECTORY, TRY(t, "f", .options = FILE_DIRECTORY_FILE));
}

static void a_directory_is_no_file(struct t *t)
{
    host_mkdir(t, "d");
    EXPECT(t, STATUS_FILE_IS_A_DIRECTORY, TRY(t, "d", .options = FILE_NON_DIRECTORY_FILE));
}

static void the_root_is_opened(struct t *t)
{
    handle h = OPEN(t, "\\", .access = FILE_LIST_DIRECTORY | FILE_READ_ATTRIBUTES);

    CHECK(t, nt_basic(t, h).attributes & FILE_ATTRIBUTE_DIRECTORY);
}

static void a_file_is_opened_relative_to_a_directory(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    handle d = OPEN(t, "d", .options = FILE_DIRECTORY_FILE);
    handle f = OPEN(t, "f", .in = d);

    TEXT(t, "text", nt_gets(t, f, 0));
}

static void an_empty_relative_name_opens_the_directory_again(struct t *t)
{
    host_mkdir(t, "d");
    handle d = OPEN(t, "d", .options = FILE_DIRECTORY_FILE);
    handle again = OPEN(t, "", .in = d);

    EQUAL(t, nt_index(t, d), nt_index(t, again));
}

static void the_name_of_a_handle_is_its_path(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "");
    handle h = OPEN(t, "d\\f");

    TEXT(t, (keep_printf(t, "%s\\d\\f", case_dir(t))), nt_name(t, h));
}

/* Incumbent: a directory is whatever has bit 040000 in its mode, which block devices and sockets have (B.4, B.8). */
static void a_socket_is_no_directory(struct t *t)
{
    host_mknod(t, "s", S_IFSOCK | 0644);
    CHECK(t, !(nt_attributes(t, "s") & FILE_ATTRIBUTE_DIRECTORY));
}

static void a_block_device_is_no_directory(struct t *t)
{
    host_mknod(t, "b", S_IFBLK | 0644);
    CHECK(t, !(nt_attributes(t, "b") & FILE_ATTRIBUTE_DIRECTORY));
}

/* Incumbent: fifo, socket and device look like plain files (B.6); an open of a fifo hangs in the daemon. */
static void a_fifo_is_a_reparse_point_and_opening_it_does_not_block(struct t *t)
{
    host_mknod(t, "p", S_IFIFO | 0644);
    handle h = OPEN(t, "p", .access = FILE_READ_ATTRIBUTES, .options = FILE_OPEN_REPARSE_POINT);

    CHECK(t, nt_tag(t, h).attributes & FILE_ATTRIBUTE_REPARSE_POINT);
    EQUAL(t, IO_REPARSE_TAG_LX_FIFO, nt_tag(t, h).tag);
}

static void a_second_open_sees_what_the_first_wrote(struct t *t)
{
    handle a = MAKE(t, "f");
    handle b = OPEN(t, "f");

    nt_puts(t, a, 0, "text");
    TEXT(t, "text", nt_gets(t, b, 0));
    EQUAL(t, 4, nt_standard(t, b).size);
}

static void reading_needs_the_right_to_read(struct t *t)
{
    char c;

    host_puts(t, "f", "text");
    handle h = OPEN(t, "f", .access = FILE_GENERIC_WRITE);

    EXPECT(t, STATUS_ACCESS_DENIED, nt_read(t, h, 0, &c, 1, NULL));
}

static void writing_needs_the_right_to_write(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f", .access = FILE_GENERIC_READ);

    EXPECT(t, STATUS_ACCESS_DENIED, nt_write(t, h, 0, "x", 1));
    TEXT(t, "text", host_gets(t, "f"));
}

static void a_handle_for_attributes_gives_no_data(struct t *t)
{
    char c;

    host_puts(t, "f", "text");
    handle h = OPEN(t, "f", .access = FILE_READ_ATTRIBUTES);

    EXPECT(t, STATUS_ACCESS_DENIED, nt_read(t, h, 0, &c, 1, NULL));
}

static void a_read_only_file_is_not_opened_for_writing(struct t *t)
{
    host_puts(t, "f", "text");
    host_chmod(t, "f", 0444);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "f", .access = FILE_GENERIC_WRITE));
    OK(t, TRY(t, "f", .access = FILE_GENERIC_READ));
}

static void a_read_only_file_is_not_opened_to_be_deleted_on_close(struct t *t)
{
    host_puts(t, "f", "text");
    host_chmod(t, "f", 0444);
    EXPECT(t, STATUS_CANNOT_DELETE, TRY(t, "f", .access = DELETE, .options = FILE_DELETE_ON_CLOSE));
    CHECK(t, host_exists(t, "f"));
}

static void maximum_allowed_lets_the_system_read_and_write(struct t *t)
{
    host_puts(t, "f", "text");
    handle h = OPEN(t, "f", .access = MAXIMUM_ALLOWED);

    TEXT(t, "text", nt_gets(t, h, 0));
    nt_puts(t, h, 0, "TEXT");
}

static void a_file_deleted_by_the_host_is_not_found(struct t *t)
{
    host_puts(t, "f", "text");
    OK(t, TRY(t, "f"));
    host_remove(t, "f");
    nt_control(t, DOOR_CONTROL_DROP_INFO_CACHE, 0);
    /* The service may believe the host's answer for as long as the host allowed it. */
    uint32_t status = STATUS_SUCCESS;
    for (int i = 0; i < 300 && status == STATUS_SUCCESS; i++) {
        usleep(10000);
        status = TRY(t, "f");
    }
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, status);
}

static void a_file_created_by_the_host_is_found(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f"));
    host_puts(t, "f", "text");
    EVENTUALLY(t, TRY(t, "f") == STATUS_SUCCESS);
}

static void names_differ_by_case(struct t *t)
{
    host_puts(t, "name", "small");
    host_puts(t, "NAME", "large");
    TEXT(t, "small", nt_gets(t, OPEN(t, "name"), 0));
    TEXT(t, "large", nt_gets(t, OPEN(t, "NAME"), 0));
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "Name"));
}

static void overwrite_of_a_missing_file_is_not_found(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f", .disposition = FILE_OVERWRITE));
    CHECK(t, !host_exists(t, "f"));
}

static void dot_and_dot_dot_are_no_names(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "..", .access = FILE_READ_ATTRIBUTES));
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, ".", .access = FILE_READ_ATTRIBUTES));
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "..\\..\\etc", .access = FILE_READ_ATTRIBUTES));
}

static void two_backslashes_in_a_row_are_no_name(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "");
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "d\\\\f"));
}

static void wildcards_are_no_names(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "*"));
    EXPECT(t, STATUS_OBJECT_NAME_INVALID, TRY(t, "f?"));
}

static void opening_by_file_id_is_refused(struct t *t)
{
    host_puts(t, "f", "");
    CHECK(t, TRY(t, "f", .options = FILE_OPEN_BY_FILE_ID) != STATUS_SUCCESS);
}

/* Incumbent: the directory's and the file's lookups are leaked one by one and never forgotten (0.3). */
static void a_file_can_be_opened_a_thousand_times(struct t *t)
{
    host_puts(t, "f", "text");
    for (int i = 0; i < 1000; i++)
        OK(t, TRY(t, "f", .access = FILE_READ_ATTRIBUTES));
}

static const struct test_case cases[] = {
    CASE(a_file_of_the_host_is_opened),
    CASE(a_missing_file_is_not_found),
    CASE(below_a_missing_directory_the_path_is_not_found),
    CASE(far_below_a_missing_directory_the_path_is_not_found),
    CASE(below_a_file_the_path_is_not_found),
    CASE(a_directory_is_opened),
    CASE(a_directory_is_opened_without_saying_so),
    CASE(a_file_is_no_directory),
    CASE(a_directory_is_no_file),
    CASE(the_root_is_opened),
    CASE(a_file_is_opened_relative_to_a_directory),
    CASE(an_empty_relative_name_opens_the_directory_again),
    CASE(the_name_of_a_handle_is_its_path),
    CASE(a_socket_is_no_directory),
    CASE(a_block_device_is_no_directory),
    CASE(a_fifo_is_a_reparse_point_and_opening_it_does_not_block),
    CASE(a_second_open_sees_what_the_first_wrote),
    CASE(reading_needs_the_right_to_read),
    CASE(writing_needs_the_right_to_write),
    CASE(a_handle_for_attributes_gives_no_data),
    CASE(a_read_only_file_is_not_opened_for_writing),
    CASE(a_read_only_file_is_not_opened_to_be_deleted_on_close),
    CASE(maximum_allowed_lets_the_system_read_and_write),
    CASE(a_file_deleted_by_the_host_is_not_found),
    CASE(a_file_created_by_the_host_is_found),
    CASE(names_differ_by_case),
    CASE(overwrite_of_a_missing_file_is_not_found),
    CASE(dot_and_dot_dot_are_no_names),
    CASE(two_backslashes_in_a_row_are_no_name),
    CASE(wildcards_are_no_names),
    CASE(opening_by_file_id_is_refused),
    CASE(a_file_can_be_opened_a_thousand_times),
};
GROUP(open, cases);
