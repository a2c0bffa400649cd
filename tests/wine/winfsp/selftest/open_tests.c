// SPDX-License-Identifier: BSD-3-Clause
/*
 * open_tests.c - creates and closes: order of calls, dispositions, options, access, share modes, deletion, names
 */
#include "tests/wine/winfsp/selftest/selftest.h"

static uint32_t open_with(const char *path, uint32_t access, uint32_t disposition, uint32_t options,
                          uint32_t share, uint64_t *h, uint64_t *information)
{
    struct door_open o = {.path = path,
                          .access = access,
                          .disposition = disposition,
                          .options = options,
                          .share = share};
    uint32_t status = door_create(door, &o, h);
    if (information)
        *information = o.information;
    return status;
}

static void test_opening_asks_for_security_first_and_closing_only_closes(void)
{
    uint64_t h;
    make_file("\\order", "x");
    stats();
    OK(door_open_path(door, "\\order", FILE_READ_DATA, &h));
    struct door_stats s = stats();
    CHECK(s.calls[SLOT_GET_SECURITY_BY_NAME] == 1 && s.calls[SLOT_OPEN] == 1);
    OK(door_close(door, h));
    s = stats();
    CHECK(s.calls[SLOT_CLEANUP] == 0 && s.calls[SLOT_CLOSE] == 1);
}

static void test_creating_looks_at_the_parent_only(void)
{
    uint64_t h;
    OK(door_make(door, "\\created", 0, &h));
    struct door_stats s = stats();
    CHECK(s.calls[SLOT_GET_SECURITY_BY_NAME] == 1 && s.calls[SLOT_CREATE_EX] == 1 &&
          s.calls[SLOT_OPEN] == 0);
    OK(door_close(door, h));
}

static void test_dispositions_say_what_they_did(void)
{
    static const struct {
        uint32_t disposition, there, information, missing, missing_information;
    } cases[] = {
        {FILE_OPEN, STATUS_SUCCESS, FILE_OPENED, STATUS_OBJECT_NAME_NOT_FOUND, 0},
        {FILE_CREATE, STATUS_OBJECT_NAME_COLLISION, 0, STATUS_SUCCESS, FILE_CREATED},
        {FILE_OPEN_IF, STATUS_SUCCESS, FILE_OPENED, STATUS_SUCCESS, FILE_CREATED},
        {FILE_OVERWRITE, STATUS_SUCCESS, FILE_OVERWRITTEN, STATUS_OBJECT_NAME_NOT_FOUND, 0},
        {FILE_OVERWRITE_IF, STATUS_SUCCESS, FILE_OVERWRITTEN, STATUS_SUCCESS, FILE_CREATED},
        {FILE_SUPERSEDE, STATUS_SUCCESS, FILE_SUPERSEDED, STATUS_SUCCESS, FILE_CREATED},
    };
    make_file("\\disposed", "content");
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t h, information;
        char path[32];
        CHECK_STATUS(open_with("\\disposed", FILE_READ_DATA | FILE_WRITE_DATA | DELETE,
                               cases[i].disposition, 0, 0, &h, &information),
                     cases[i].there);
        if (!cases[i].there) {
            CHECK(information == cases[i].information);
            OK(door_close(door, h));
        }
        snprintf(path, sizeof path, "\\not-there-%u", i);
        CHECK_STATUS(open_with(path, FILE_WRITE_DATA, cases[i].disposition, 0, 0, &h, &information),
                     cases[i].missing);
        if (!cases[i].missing) {
            CHECK(information == cases[i].missing_information);
            OK(door_close(door, h));
        }
    }
}

static void test_overwriting_empties_the_file(void)
{
    struct door_info info;
    uint64_t h;
    make_file("\\emptied", "content");
    OK(open_with("\\emptied", FILE_WRITE_DATA, FILE_OVERWRITE, 0, 0, &h, NULL));
    OK(door_close(door, h));
    CHECK(stats().calls[SLOT_OVERWRITE] == 1);
    OK(door_info_of(door, "\\emptied", &info));
    CHECK(info.size == 0);
}

static void test_a_failed_overwrite_leaves_nothing_open(void)
{
    uint64_t h;
    make_file("\\no-overwrite", "content");
    stats();
    CHECK_STATUS(open_with("\\no-overwrite", FILE_WRITE_DATA, FILE_OVERWRITE, 0, 0, &h, NULL),
                 STATUS_DISK_FULL);
    struct door_stats s = stats();
    CHECK(s.calls[SLOT_OPEN] == 1 && s.calls[SLOT_CLOSE] == 1 && s.calls[SLOT_CLEANUP] == 0);
    OK(open_with("\\no-overwrite", FILE_READ_DATA, FILE_OPEN, 0, DOOR_SHARE_NONE, &h, NULL));
    OK(door_close(door, h));
}

static void test_hidden_files_are_overwritten_only_as_hidden(void)
{
    struct door_open o = {.path = "\\hidden",
                          .access = FILE_WRITE_DATA,
                          .disposition = FILE_CREATE,
                          .attributes = FILE_ATTRIBUTE_HIDDEN};
    uint64_t h;
    OK(door_create(door, &o, &h));
    OK(door_close(door, h));
    o.disposition = FILE_OVERWRITE_IF;
    o.attributes = FILE_ATTRIBUTE_NORMAL;
    CHECK_STATUS(door_create(door, &o, &h), STATUS_ACCESS_DENIED);
    o.attributes = FILE_ATTRIBUTE_HIDDEN;
    OK(door_create(door, &o, &h));
    OK(door_close(door, h));
}

static void test_kinds_asked_for_are_checked(void)
{
    uint64_t h;
    make_file("\\kind-file", "");
    make_dir("\\kind-dir");
    CHECK_STATUS(
        open_with("\\kind-file", FILE_READ_ATTRIBUTES, FILE_OPEN, FILE_DIRECTORY_FILE, 0, &h, NULL),
        STATUS_NOT_A_DIRECTORY);
    CHECK_STATUS(open_with("\\kind-dir", FILE_READ_ATTRIBUTES, FILE_OPEN, FILE_NON_DIRECTORY_FILE,
                           0, &h, NULL),
                 STATUS_FILE_IS_A_DIRECTORY);
    CHECK_STATUS(
        open_with("\\kind-dir", FILE_WRITE_DATA, FILE_CREATE, FILE_NON_DIRECTORY_FILE, 0, &h, NULL),
        STATUS_FILE_IS_A_DIRECTORY);
    CHECK_STATUS(open_with("\\kind-file\\", FILE_READ_ATTRIBUTES, FILE_OPEN, 0, 0, &h, NULL),
                 STATUS_OBJECT_NAME_INVALID);
    CHECK_STATUS(open_with("\\kind-file", FILE_READ_DATA, FILE_OPEN,
                           FILE_DIRECTORY_FILE | FILE_NON_DIRECTORY_FILE, 0, &h, NULL),
                 STATUS_INVALID_PARAMETER);
}

static void test_bad_names_never_reach_the_file_system(void)
{
    static const char *bad[] = {"\\a:b", "\\a*",   "\\a\\\\b", "\\a?",
                                "\\<",   "\\a\"b", "\\|",      "\\\x01"};
    uint64_t h;
    stats();
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_STATUS(door_open_path(door, bad[i], FILE_READ_ATTRIBUTES, &h),
                     STATUS_OBJECT_NAME_INVALID);
    char name[260] = "\\";
    memset(name + 1, 'n', 256);
    CHECK_STATUS(door_open_path(door, name, FILE_READ_ATTRIBUTES, &h), STATUS_OBJECT_NAME_INVALID);
    CHECK(stats().calls[SLOT_GET_SECURITY_BY_NAME] == 0);
    name[256] = 0;
    CHECK_STATUS(door_open_path(door, name, FILE_READ_ATTRIBUTES, &h),
                 STATUS_OBJECT_NAME_NOT_FOUND);
}

static void test_what_is_not_supported_is_refused(void)
{
    uint64_t h;
    CHECK_STATUS(
        open_with("\\", FILE_READ_ATTRIBUTES, FILE_OPEN, FILE_OPEN_BY_FILE_ID, 0, &h, NULL),
        STATUS_NOT_IMPLEMENTED);
    CHECK_STATUS(
        open_with("\\", FILE_READ_ATTRIBUTES, FILE_CREATE, FILE_DIRECTORY_FILE, 0, &h, NULL),
        STATUS_ACCESS_DENIED);
    CHECK_STATUS(open_with("\\", DELETE, FILE_OPEN, FILE_DELETE_ON_CLOSE, 0, &h, NULL),
                 STATUS_CANNOT_DELETE);
    OK(door_open_path(door, "\\", FILE_ALL_ACCESS, &h));
    CHECK_STATUS(door_set(door, h, FileLinkInformation, "", 0), STATUS_NOT_SUPPORTED);
    CHECK_STATUS(door_query(door, h, FileHardLinkInformation, 100), STATUS_NOT_SUPPORTED);
    CHECK_STATUS(door_query(door, h, FileAlternateNameInformation, 100),
                 STATUS_OBJECT_NAME_NOT_FOUND);
    OK(door_close(door, h));
}

static void test_relative_opens_start_at_their_directory(void)
{
    uint64_t dir, h;
    make_dir("\\base");
    make_file("\\base\\inside", "");
    OK(door_open_path(door, "\\base", FILE_LIST_DIRECTORY, &dir));
    struct door_open o = {
        .path = "inside", .access = FILE_READ_DATA, .disposition = FILE_OPEN, .directory = dir};
    OK(door_create(door, &o, &h));
    CHECK(!strcmp(door_text(door), "\\base\\inside"));
    OK(door_close(door, h));
    o.path = "\\inside";
    CHECK_STATUS(door_create(door, &o, &h), STATUS_INVALID_PARAMETER);
    OK(door_close(door, dir));
}

static void test_share_modes_work_both_ways(void)
{
    uint64_t a, b;
    make_file("\\shared", "");
    OK(open_with("\\shared", FILE_READ_DATA, FILE_OPEN, 0, FILE_SHARE_READ, &a, NULL));
    OK(open_with("\\shared", FILE_READ_DATA, FILE_OPEN, 0, FILE_SHARE_READ, &b, NULL));
    OK(door_close(door, b));
    CHECK_STATUS(open_with("\\shared", FILE_WRITE_DATA, FILE_OPEN, 0, FILE_SHARE_ALL, &b, NULL),
                 STATUS_SHARING_VIOLATION);
    CHECK_STATUS(open_with("\\shared", FILE_READ_DATA, FILE_OPEN, 0, FILE_SHARE_WRITE, &b, NULL),
                 STATUS_SHARING_VIOLATION);
    CHECK_STATUS(open_with("\\shared", FILE_READ_DATA, FILE_OVERWRITE, 0, FILE_SHARE_ALL, &b, NULL),
                 STATUS_SHARING_VIOLATION);
    OK(open_with("\\shared", FILE_READ_ATTRIBUTES, FILE_OPEN, 0, DOOR_SHARE_NONE, &b, NULL));
    OK(door_close(door, b));
    OK(door_close(door, a));
    OK(open_with("\\shared", FILE_WRITE_DATA, FILE_OPEN, 0, DOOR_SHARE_NONE, &b, NULL));
    OK(door_close(door, b));
}

static void test_an_open_refused_by_share_modes_is_closed_without_cleanup(void)
{
    uint64_t a, b;
    make_file("\\alone", "");
    OK(open_with("\\alone", FILE_READ_DATA, FILE_OPEN, 0, DOOR_SHARE_NONE, &a, NULL));
    stats();
    CHECK_STATUS(open_with("\\alone", FILE_READ_DATA, FILE_OPEN, 0, FILE_SHARE_ALL, &b, NULL),
                 STATUS_SHARING_VIOLATION);
    struct door_stats s = stats();
    CHECK(s.calls[SLOT_OPEN] == 1 && s.calls[SLOT_CLOSE] == 1 && s.calls[SLOT_CLEANUP] == 0);
    OK(door_close(door, a));
}

static void test_names_that_fold_together_are_one_file(void)
{
    uint64_t a, b;
    make_file("\\Folded", "");
    OK(open_with("\\FOLDED", FILE_READ_DATA, FILE_OPEN, 0, DOOR_SHARE_NONE, &a, NULL));
    CHECK(!strcmp(door_text(door), "\\Folded"));
    CHECK_STATUS(open_with("\\folded", FILE_READ_DATA, FILE_OPEN, 0, FILE_SHARE_ALL, &b, NULL),
                 STATUS_SHARING_VIOLATION);
    OK(door_close(door, a));
}

static void test_users_get_what_the_descriptor_gives(void)
{
    uint64_t h;
    make_file("\\secured", "");
    door_token(door, DOOR_TOKEN_USER);
    OK(door_open_path(door, "\\secured", GENERIC_READ, &h));
    OK(door_close(door, h));
    CHECK_STATUS(door_open_path(door, "\\secured", FILE_WRITE_DATA, &h), STATUS_ACCESS_DENIED);
    OK(door_open_path(door, "\\secured", MAXIMUM_ALLOWED, &h));
    OK(door_query(door, h, FileAccessInformation, 4));
    CHECK(!(*(const uint32_t *)door_data(door, NULL) & FILE_WRITE_DATA));
    OK(door_close(door, h));
    CHECK_STATUS(door_make(door, "\\by-user", 0, &h), STATUS_ACCESS_DENIED);
}

static void test_handles_do_what_they_were_opened_for(void)
{
    uint64_t h;
    char c;
    make_file("\\rights", "x");
    OK(door_open_path(door, "\\rights", FILE_READ_ATTRIBUTES, &h));
    CHECK_STATUS(door_read(door, h, 0, &c, 1, 0, NULL), STATUS_ACCESS_DENIED);
    CHECK_STATUS(door_write(door, h, 0, &c, 1, 0, NULL), STATUS_ACCESS_DENIED);
    CHECK_STATUS(door_set_delete(door, h, true), STATUS_ACCESS_DENIED);
    CHECK_STATUS(door_rename(door, h, "elsewhere", false), STATUS_ACCESS_DENIED);
    CHECK_STATUS(door_set_size(door, h, 0), STATUS_ACCESS_DENIED);
    OK(door_close(door, h));
}

static void test_read_only_files_refuse_writers_and_deletion(void)
{
    struct door_open o = {.path = "\\read-only",
                          .access = FILE_ALL_ACCESS,
                          .disposition = FILE_CREATE,
                          .attributes = FILE_ATTRIBUTE_READONLY};
    uint64_t h;
    OK(door_create(door, &o, &h));
    OK(door_close(door, h));
    CHECK_STATUS(door_open_path(door, "\\read-only", FILE_WRITE_DATA, &h), STATUS_ACCESS_DENIED);
    CHECK_STATUS(door_remove(door, "\\read-only"), STATUS_CANNOT_DELETE);
    OK(door_open_path(door, "\\read-only", DELETE, &h));
    OK(door_delete_ex(door, h,
                      FILE_DISPOSITION_DELETE | FILE_DISPOSITION_IGNORE_READONLY_ATTRIBUTE));
    OK(door_close(door, h));
    CHECK_STATUS(door_exists(door, "\\read-only"), STATUS_OBJECT_NAME_NOT_FOUND);
}

static void test_deletion_waits_for_the_last_handle(void)
{
    uint64_t a, b, c;
    make_file("\\deleted", "");
    OK(door_open_path(door, "\\deleted", DELETE, &a));
    OK(door_open_path(door, "\\deleted", FILE_READ_DATA, &b));
    OK(door_set_delete(door, a, true));
    OK(door_close(door, a));
    CHECK_STATUS(door_open_path(door, "\\deleted", FILE_READ_DATA, &c), STATUS_DELETE_PENDING);
    OK(door_close(door, b));
    CHECK_STATUS(door_exists(door, "\\deleted"), STATUS_OBJECT_NAME_NOT_FOUND);
}

static void test_posix_deletion_takes_the_name_at_once(void)
{
    uint64_t a, b;
    char c = 0;
    make_file("\\unlinked", "x");
    OK(door_open_path(door, "\\unlinked", FILE_READ_DATA, &b));
    OK(door_open_path(door, "\\unlinked", DELETE, &a));
    OK(door_delete_ex(door, a, FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS));
    OK(door_close(door, a));
    CHECK_STATUS(door_exists(door, "\\unlinked"), STATUS_OBJECT_NAME_NOT_FOUND);
    make_file("\\unlinked", "new");
    OK(door_read(door, b, 0, &c, 1, 0, NULL));
    CHECK(c == 'x');
    OK(door_close(door, b));
    OK(door_exists(door, "\\unlinked"));
}

static void test_delete_on_close_deletes_at_cleanup(void)
{
    uint64_t h;
    make_file("\\fleeting", "");
    OK(open_with("\\fleeting", DELETE, FILE_OPEN, FILE_DELETE_ON_CLOSE, 0, &h, NULL));
    OK(door_cleanup(door, h));
    CHECK_STATUS(door_exists(door, "\\fleeting"), STATUS_OBJECT_NAME_NOT_FOUND);
    OK(door_close(door, h));
}

static void test_full_directories_stay(void)
{
    make_dir("\\full");
    make_file("\\full\\file", "");
    CHECK_STATUS(door_remove(door, "\\full"), STATUS_DIRECTORY_NOT_EMPTY);
    OK(door_remove(door, "\\full\\file"));
    OK(door_remove(door, "\\full"));
}

static void test_a_connection_that_ends_closes_its_files(void)
{
    uint64_t h;
    make_file("\\dying", "");
    struct door_client *other = door_connect(door_path, 1000);
    struct door_open o = {.path = "\\dying",
                          .access = FILE_READ_DATA,
                          .disposition = FILE_OPEN,
                          .share = DOOR_SHARE_NONE};
    OK(door_create(other, &o, &h));
    CHECK_STATUS(door_open_path(door, "\\dying", FILE_READ_DATA, &h), STATUS_SHARING_VIOLATION);
    door_disconnect(other);
    uint32_t status = STATUS_SHARING_VIOLATION;
    for (unsigned i = 0; i < 100 && status == STATUS_SHARING_VIOLATION; i++)
        status = door_open_path(door, "\\dying", FILE_READ_DATA, &h);
    OK(status);
    OK(door_close(door, h));
}

static void test_links_are_followed_unless_asked_for(void)
{
    const char *target;
    uint64_t h;
    make_dir("\\real");
    make_file("\\real\\file", "content");
    make_link("\\link", "real");
    make_link("\\real\\up", "..\\real\\file");
    OK(door_open_path(door, "\\link\\file", FILE_READ_DATA, &h));
    CHECK(!strcmp(door_text(door), "\\real\\file"));
    OK(door_close(door, h));
    OK(door_open_path(door, "\\link\\up", FILE_READ_DATA, &h));
    CHECK(!strcmp(door_text(door), "\\real\\file"));
    OK(door_close(door, h));
    OK(open_with("\\link", FILE_READ_ATTRIBUTES, FILE_OPEN, FILE_OPEN_REPARSE_POINT, 0, &h, NULL));
    OK(door_get_symlink(door, h, &target, NULL));
    CHECK(!strcmp(target, "real"));
    OK(door_close(door, h));
}

static void test_links_in_a_circle_end(void)
{
    uint64_t h;
    make_link("\\round", "about");
    make_link("\\about", "round");
    CHECK_STATUS(door_open_path(door, "\\round", FILE_READ_DATA, &h),
                 STATUS_REPARSE_POINT_NOT_RESOLVED);
}

static void test_links_out_of_the_volume_say_where_they_lead(void)
{
    uint64_t h;
    make_link("\\outside", "\\??\\C:\\windows");
    CHECK_STATUS(door_open_path(door, "\\outside", FILE_READ_DATA, &h), STATUS_REPARSE);
    CHECK(!h && !strcmp(door_text(door), "\\??\\C:\\windows"));
}

const struct selftest open_tests[] = {
    TEST(ALWAYS, test_opening_asks_for_security_first_and_closing_only_closes),
    TEST(ALWAYS, test_creating_looks_at_the_parent_only),
    TEST(ALWAYS, test_dispositions_say_what_they_did),
    TEST(ALWAYS, test_overwriting_empties_the_file),
    TEST(ALWAYS, test_a_failed_overwrite_leaves_nothing_open),
    TEST(ALWAYS, test_hidden_files_are_overwritten_only_as_hidden),
    TEST(ALWAYS, test_kinds_asked_for_are_checked),
    TEST(ALWAYS, test_bad_names_never_reach_the_file_system),
    TEST(ALWAYS, test_what_is_not_supported_is_refused),
    TEST(ALWAYS, test_relative_opens_start_at_their_directory),
    TEST(ALWAYS, test_share_modes_work_both_ways),
    TEST(ALWAYS, test_an_open_refused_by_share_modes_is_closed_without_cleanup),
    TEST(FOLDED, test_names_that_fold_together_are_one_file),
    TEST(ALWAYS, test_users_get_what_the_descriptor_gives),
    TEST(ALWAYS, test_handles_do_what_they_were_opened_for),
    TEST(ALWAYS, test_read_only_files_refuse_writers_and_deletion),
    TEST(ALWAYS, test_deletion_waits_for_the_last_handle),
    TEST(ALWAYS, test_posix_deletion_takes_the_name_at_once),
    TEST(ALWAYS, test_delete_on_close_deletes_at_cleanup),
    TEST(ALWAYS, test_full_directories_stay),
    TEST(ALWAYS, test_a_connection_that_ends_closes_its_files),
    TEST(ALWAYS, test_links_are_followed_unless_asked_for),
    TEST(ALWAYS, test_links_in_a_circle_end),
    TEST(ALWAYS, test_links_out_of_the_volume_say_where_they_lead),
};
const unsigned open_test_count = sizeof open_tests / sizeof open_tests[0];
