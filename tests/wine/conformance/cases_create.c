// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_create.c - what NtCreateFile makes
 */
#include "tests/wine/conformance/conf.h"

static void a_new_file_is_reported_as_created(struct t *t)
{
    MAKE_FILE(t, "new");
    EQUAL(t, FILE_CREATED, nt_information(t));
    CHECK(t, S_ISREG(host_stat(t, "new").st_mode));
    EQUAL(t, 0, host_stat(t, "new").st_size);
}

static void a_new_directory_is_reported_as_created(struct t *t)
{
    MKDIR(t, "new");
    EQUAL(t, FILE_CREATED, nt_information(t));
    CHECK(t, S_ISDIR(host_stat(t, "new").st_mode));
}

static void open_if_creates_what_is_not_there(struct t *t)
{
    OK(t, TRY(t, "f", .disposition = FILE_OPEN_IF));
    EQUAL(t, FILE_CREATED, nt_information(t));
    CHECK(t, host_exists(t, "f"));
}

static void open_if_opens_what_is_there(struct t *t)
{
    host_puts(t, "f", "old");
    OK(t, TRY(t, "f", .disposition = FILE_OPEN_IF));
    EQUAL(t, FILE_OPENED, nt_information(t));
    TEXT(t, "old", host_gets(t, "f"));
}

static void open_if_creates_a_directory_too(struct t *t)
{
    OK(t, TRY(t, "d", .disposition = FILE_OPEN_IF, .options = FILE_DIRECTORY_FILE));
    EQUAL(t, FILE_CREATED, nt_information(t));
    CHECK(t, S_ISDIR(host_stat(t, "d").st_mode));
}

static void overwrite_if_creates_what_is_not_there(struct t *t)
{
    OK(t, TRY(t, "f", .disposition = FILE_OVERWRITE_IF));
    EQUAL(t, FILE_CREATED, nt_information(t));
    CHECK(t, host_exists(t, "f"));
}

static void supersede_creates_what_is_not_there(struct t *t)
{
    OK(t, TRY(t, "f", .disposition = FILE_SUPERSEDE));
    EQUAL(t, FILE_CREATED, nt_information(t));
    CHECK(t, host_exists(t, "f"));
}

static void creating_what_is_there_is_a_collision(struct t *t)
{
    host_puts(t, "f", "old");
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION, TRY(t, "f", .disposition = FILE_CREATE));
    TEXT(t, "old", host_gets(t, "f"));
}

static void creating_a_directory_over_a_file_is_a_collision(struct t *t)
{
    host_puts(t, "f", "old");
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION,
           TRY(t, "f", .disposition = FILE_CREATE, .options = FILE_DIRECTORY_FILE));
    TEXT(t, "old", host_gets(t, "f"));
}

static void creating_a_directory_that_is_there_is_a_collision(struct t *t)
{
    host_mkdir(t, "d");
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION,
           TRY(t, "d", .disposition = FILE_CREATE, .options = FILE_DIRECTORY_FILE));
}

/* NTFS says OBJECT_NAME_COLLISION; WinFsp's DLL puts its own status in place of it. */
static void creating_a_file_over_a_directory_says_what_it_is(struct t *t)
{
    host_mkdir(t, "d");
    EXPECT(t, STATUS_FILE_IS_A_DIRECTORY,
           TRY(t, "d", .disposition = FILE_CREATE, .options = FILE_NON_DIRECTORY_FILE));
}

/* Incumbent: OBJECT_NAME_NOT_FOUND, and the walk that failed is not looked at before creating (B.4). */
static void creating_below_a_missing_directory_finds_no_path(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_PATH_NOT_FOUND, TRY(t, "none\\f", .disposition = FILE_CREATE));
    TEXT(t, "", host_names(t, ""));
}

static void creating_below_two_missing_directories_makes_nothing(struct t *t)
{
    host_mkdir(t, "d");
    EXPECT(t, STATUS_OBJECT_PATH_NOT_FOUND,
           TRY(t, "d\\none\\none2\\f", .disposition = FILE_OPEN_IF));
    TEXT(t, "", host_names(t, "d"));
}

/* NTFS says OBJECT_PATH_NOT_FOUND; WinFsp's DLL looks at the directory before it asks for the create. */
static void creating_below_a_file_finds_no_directory(struct t *t)
{
    host_puts(t, "f", "");
    EXPECT(t, STATUS_NOT_A_DIRECTORY, TRY(t, "f\\g", .disposition = FILE_CREATE));
}

static void a_file_in_a_directory_made_by_the_host_is_created(struct t *t)
{
    host_mkdir(t, "d");
    host_mkdir(t, "d\\e");
    MAKE_FILE(t, "d\\e\\f");
    CHECK(t, host_exists(t, "d\\e\\f"));
}

/* Incumbent: 0664 whatever the directory is, and as root (B.4). */
static void a_new_file_is_no_program(struct t *t)
{
    MAKE_FILE(t, "f");
    EQUAL(t, 0, host_mode(t, "f") & 0111);
    EQUAL(t, 0600, host_mode(t, "f") & 0600);
}

static void a_new_directory_can_be_searched(struct t *t)
{
    MKDIR(t, "d");
    EQUAL(t, 0700, host_mode(t, "d") & 0700);
}

static void a_new_read_only_file_has_no_write_bits(struct t *t)
{
    MAKE(t, "f", .attributes = FILE_ATTRIBUTE_READONLY);
    EQUAL(t, 0, host_mode(t, "f") & 0222);
    CHECK(t, nt_attributes(t, "f") & FILE_ATTRIBUTE_READONLY);
}

static void the_creator_of_a_read_only_file_may_write_it(struct t *t)
{
    handle h = MAKE(t, "f", .attributes = FILE_ATTRIBUTE_READONLY);

    nt_puts(t, h, 0, "text");
    nt_close(t, h);
    TEXT(t, "text", host_gets(t, "f"));
}

/* Incumbent: AllocationSize of a create may leave a file behind that the caller never got (B.4). */
static void an_allocation_size_is_not_a_size(struct t *t)
{
    handle h = MAKE(t, "f", .allocation = 65536);

    EQUAL(t, 0, nt_standard(t, h).size);
    CHECK(t, nt_standard(t, h).allocation >= 65536);
    EQUAL(t, 0, host_stat(t, "f").st_size);
}

static void a_file_deleted_on_close_goes_with_its_handle(struct t *t)
{
    handle h = MAKE(t, "f", .options = FILE_DELETE_ON_CLOSE);

    CHECK(t, host_exists(t, "f"));
    nt_close(t, h);
    CHECK(t, !host_exists(t, "f"));
}

static void a_directory_deleted_on_close_goes_with_its_handle(struct t *t)
{
    handle h = MAKE(t, "d", .options = FILE_DELETE_ON_CLOSE | FILE_DIRECTORY_FILE);

    nt_close(t, h);
    CHECK(t, !host_exists(t, "d"));
}

static void delete_on_close_needs_the_right_to_delete(struct t *t)
{
    EXPECT(t, STATUS_INVALID_PARAMETER,
           TRY(t, "f", .disposition = FILE_CREATE, .access = FILE_GENERIC_WRITE,
               .options = FILE_DELETE_ON_CLOSE));
    CHECK(t, !host_exists(t, "f"));
}

static void directory_and_not_directory_at_once_are_refused(struct t *t)
{
    EXPECT(t, STATUS_INVALID_PARAMETER,
           TRY(t, "x", .disposition = FILE_CREATE,
               .options = FILE_DIRECTORY_FILE | FILE_NON_DIRECTORY_FILE));
}

static void a_directory_cannot_be_overwritten_into_being(struct t *t)
{
    EXPECT(t, STATUS_INVALID_PARAMETER,
           TRY(t, "d", .disposition = FILE_OVERWRITE_IF, .options = FILE_DIRECTORY_FILE));
    CHECK(t, !host_exists(t, "d"));
}

static void a_directory_with_a_trailing_backslash_is_created(struct t *t)
{
    OK(t, TRY(t, "d\\", .disposition = FILE_CREATE, .options = FILE_DIRECTORY_FILE));
    CHECK(t, S_ISDIR(host_stat(t, "d").st_mode));
}

static void a_file_with_a_trailing_backslash_is_no_name(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_INVALID,
           TRY(t, "f\\", .disposition = FILE_CREATE, .options = FILE_NON_DIRECTORY_FILE));
    CHECK(t, !host_exists(t, "f"));
}

static void a_file_is_created_relative_to_a_directory(struct t *t)
{
    host_mkdir(t, "d");
    handle d = OPEN(t, "d", .options = FILE_DIRECTORY_FILE);

    OK(t, TRY(t, "f", .disposition = FILE_CREATE, .in = d));
    CHECK(t, host_exists(t, "d\\f"));
}

/* Incumbent: always the same pair of ids per process; links as root (B.1, B.4). */
static void what_is_created_belongs_to_the_owner_of_the_root(struct t *t)
{
    struct stat root = host_stat(t, "\\");

    MAKE_FILE(t, "f");
    MKDIR(t, "d");
    EQUAL(t, root.st_uid, host_stat(t, "f").st_uid);
    EQUAL(t, root.st_gid, host_stat(t, "f").st_gid);
    EQUAL(t, root.st_uid, host_stat(t, "d").st_uid);
}

static void a_new_file_can_be_written_and_read_through_its_handle(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "hello");
    TEXT(t, "hello", nt_gets(t, h, 0));
    TEXT(t, "hello", host_gets(t, "f"));
}

static void a_new_files_index_is_the_hosts(struct t *t)
{
    handle h = MAKE(t, "f");

    EQUAL(t, host_stat(t, "f").st_ino, nt_index(t, h));
}

static void the_directory_lists_a_new_file_at_once(struct t *t)
{
    TEXT(t, "", nt_names(t, "", NULL));
    MAKE_FILE(t, "f");
    TEXT(t, "f", nt_names(t, "", NULL));
}

static void a_name_that_was_missing_is_found_after_it_is_created(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "f"));
    MAKE_FILE(t, "f");
    OK(t, TRY(t, "f"));
}

static void a_file_made_again_after_it_was_deleted_is_another_one(struct t *t)
{
    handle h = MAKE(t, "f");

    nt_puts(t, h, 0, "first");
    nt_close(t, h);
    OK(t, nt_remove(t, "f"));
    h = MAKE(t, "f");
    EQUAL(t, 0, nt_standard(t, h).size);
    TEXT(t, "", nt_gets(t, h, 0));
}

static void the_root_cannot_be_created(struct t *t)
{
    EXPECT(t, STATUS_ACCESS_DENIED,
           TRY(t, "\\", .disposition = FILE_CREATE, .options = FILE_DIRECTORY_FILE));
}

static void open_if_of_the_root_opens_it(struct t *t)
{
    OK(t, TRY(t, "\\", .access = FILE_LIST_DIRECTORY | SYNCHRONIZE, .disposition = FILE_OPEN_IF,
              .options = FILE_DIRECTORY_FILE));
    EQUAL(t, FILE_OPENED, nt_information(t));
}

static void a_file_is_created_for_reading_only(struct t *t)
{
    handle h = MAKE(t, "f", .access = FILE_GENERIC_READ);
    char c;

    EXPECT(t, STATUS_END_OF_FILE, nt_read(t, h, 0, &c, 1, NULL));
    EXPECT(t, STATUS_ACCESS_DENIED, nt_write(t, h, 0, "x", 1));
}

static void a_file_is_created_for_its_attributes_only(struct t *t)
{
    handle h = MAKE(t, "f", .access = FILE_READ_ATTRIBUTES);

    CHECK(t, (nt_basic(t, h).attributes & FILE_ATTRIBUTE_DIRECTORY) == 0);
    CHECK(t, host_exists(t, "f"));
}

static const struct test_case cases[] = {
    CASE(a_new_file_is_reported_as_created),
    CASE(a_new_directory_is_reported_as_created),
    CASE(open_if_creates_what_is_not_there),
    CASE(open_if_opens_what_is_there),
    CASE(open_if_creates_a_directory_too),
    CASE(overwrite_if_creates_what_is_not_there),
    CASE(supersede_creates_what_is_not_there),
    CASE(creating_what_is_there_is_a_collision),
    CASE(creating_a_directory_over_a_file_is_a_collision),
    CASE(creating_a_directory_that_is_there_is_a_collision),
    CASE(creating_a_file_over_a_directory_says_what_it_is),
    CASE(creating_below_a_missing_directory_finds_no_path),
    CASE(creating_below_two_missing_directories_makes_nothing),
    CASE(creating_below_a_file_finds_no_directory),
    CASE(a_file_in_a_directory_made_by_the_host_is_created),
    CASE(a_new_file_is_no_program),
    CASE(a_new_directory_can_be_searched),
    CASE(a_new_read_only_file_has_no_write_bits),
    CASE(the_creator_of_a_read_only_file_may_write_it),
    CASE(an_allocation_size_is_not_a_size),
    CASE(a_file_deleted_on_close_goes_with_its_handle),
    CASE(a_directory_deleted_on_close_goes_with_its_handle),
    CASE(delete_on_close_needs_the_right_to_delete),
    CASE(directory_and_not_directory_at_once_are_refused),
    CASE(a_directory_cannot_be_overwritten_into_being),
    CASE(a_directory_with_a_trailing_backslash_is_created),
    CASE(a_file_with_a_trailing_backslash_is_no_name),
    CASE(a_file_is_created_relative_to_a_directory),
    CASE(what_is_created_belongs_to_the_owner_of_the_root),
    CASE(a_new_file_can_be_written_and_read_through_its_handle),
    CASE(a_new_files_index_is_the_hosts),
    CASE(the_directory_lists_a_new_file_at_once),
    CASE(a_name_that_was_missing_is_found_after_it_is_created),
    CASE(a_file_made_again_after_it_was_deleted_is_another_one),
    CASE(the_root_cannot_be_created),
    CASE(open_if_of_the_root_opens_it),
    CASE(a_file_is_created_for_reading_only),
    CASE(a_file_is_created_for_its_attributes_only),
};
GROUP(create, cases);
