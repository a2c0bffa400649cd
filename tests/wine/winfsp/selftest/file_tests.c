// SPDX-License-Identifier: BSD-3-Clause
/*
 * file_tests.c - what is done with open files: data, information, renames, listings, security, EAs, caches, watches
 */
#include <pthread.h>
#include <unistd.h>

#include "tests/wine/winfsp/selftest/selftest.h"

static void test_data_come_back(void)
{
    char buf[16];
    uint64_t h;
    uint32_t got, put;
    OK(door_make(door, "\\data", 0, &h));
    OK(door_write(door, h, 0, "hello world", 11, 0, &put));
    CHECK(put == 11);
    OK(door_read(door, h, 6, buf, sizeof buf, 0, &got));
    CHECK(got == 5 && !memcmp(buf, "world", 5));
    CHECK_STATUS(door_read(door, h, 11, buf, 1, 0, NULL), STATUS_END_OF_FILE);
    OK(door_close(door, h));
}

static void test_position_append_and_end(void)
{
    char buf[8];
    uint64_t h;
    uint32_t got;
    make_file("\\append", "abc");
    OK(door_open_path(door, "\\append", FILE_APPEND_DATA | SYNCHRONIZE, &h));
    OK(door_write(door, h, 0, "def", 3, 0, NULL)); /* append access: the offset does not count */
    OK(door_close(door, h));
    OK(door_open_path(door, "\\append", FILE_READ_DATA | FILE_WRITE_DATA, &h));
    OK(door_read(door, h, UINT64_MAX, buf, 4, 0, &got));
    OK(door_read(door, h, UINT64_MAX, buf + 4, 4, 0, &got));
    CHECK(got == 2 && !memcmp(buf, "abcdef", 6));
    OK(door_write(door, h, UINT64_MAX, "g", 1, 0, NULL));
    OK(door_read(door, h, 6, buf, 4, 0, &got));
    CHECK(got == 1 && buf[0] == 'g');
    OK(door_close(door, h));
}

static void test_paging_writes_do_not_extend_and_need_no_right(void)
{
    struct door_info info;
    uint64_t h;
    uint32_t put;
    make_file("\\paged", "0123456789");
    OK(door_open_path(door, "\\paged", FILE_READ_DATA | FILE_READ_ATTRIBUTES, &h));
    OK(door_write(door, h, 8, "xxxxxx", 6, DOOR_IO_PAGING, &put));
    CHECK(put == 2);
    OK(door_info(door, h, &info));
    CHECK(info.size == 10);
    CHECK_STATUS(door_write(door, h, UINT64_MAX, "x", 1, DOOR_IO_PAGING, NULL),
                 STATUS_INVALID_PARAMETER);
    OK(door_close(door, h));
}

static void *pended_read(void *arg)
{
    struct door_client *d = door_connect(door_path, 1000);
    uint64_t h;
    char buf[4];
    uint32_t got;
    door_open_path(d, arg, FILE_READ_DATA, &h);
    door_barrier(d, 7, 4);
    uint32_t status = door_read(d, h, 0, buf, 4, 0, &got);
    door_disconnect(d);
    return (void *)(uintptr_t)(status || got != 4);
}

static void test_pended_reads_run_together(void)
{
    pthread_t threads[4];
    void *bad, *any = NULL;
    make_file("\\slow", "data");
    stats();
    for (unsigned i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, pended_read, "\\slow");
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], &bad);
        any = any ? any : bad;
    }
    struct door_stats s = stats();
    CHECK(!any && s.pended == 4 && s.most_at_once >= 4);
}

static void test_locked_ranges_stop_others(void)
{
    uint64_t a, b;
    char c;
    make_file("\\locked", "0123456789");
    OK(door_open_path(door, "\\locked", FILE_READ_DATA | FILE_WRITE_DATA, &a));
    OK(door_open_path(door, "\\locked", FILE_READ_DATA | FILE_WRITE_DATA, &b));
    OK(door_lock(door, a, 2, 4, true));
    CHECK_STATUS(door_lock(door, b, 5, 1, false), STATUS_LOCK_NOT_GRANTED);
    CHECK_STATUS(door_read(door, b, 5, &c, 1, 0, NULL), STATUS_FILE_LOCK_CONFLICT);
    CHECK_STATUS(door_write(door, b, 2, "x", 1, 0, NULL), STATUS_FILE_LOCK_CONFLICT);
    OK(door_read(door, b, 6, &c, 1, 0, NULL));
    OK(door_read(door, a, 3, &c, 1, 0, NULL));
    CHECK_STATUS(door_unlock(door, a, 2, 3), STATUS_RANGE_NOT_LOCKED);
    OK(door_close(door, a));
    OK(door_read(door, b, 5, &c, 1, 0, NULL));
    OK(door_close(door, b));
}

static void test_file_info_is_cached_until_it_expires(void)
{
    struct door_info info;
    uint64_t h;
    make_file("\\info", "12345");
    OK(door_open_path(door, "\\info", FILE_READ_ATTRIBUTES, &h));
    stats();
    OK(door_info(door, h, &info));
    CHECK(info.size == 5 && info.allocation == 4096 && !info.directory);
    CHECK(stats().calls[SLOT_GET_FILE_INFO] == 0);
    door_control(door, DOOR_CONTROL_DROP_INFO_CACHE);
    OK(door_info(door, h, &info));
    CHECK(stats().calls[SLOT_GET_FILE_INFO] == 1);
    OK(door_close(door, h));
}

static void test_times_and_attributes_of_nothing_stay(void)
{
    struct door_info before, after;
    uint64_t h;
    make_file("\\basic", "");
    OK(door_open_path(door, "\\basic", FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES, &h));
    OK(door_info(door, h, &before));
    OK(door_set_basic(door, h, 0, 0, UINT64_MAX, 132000000000000000ull, 0));
    OK(door_info(door, h, &after));
    CHECK(after.write == 132000000000000000ull && after.access == before.access &&
          after.attributes == before.attributes);
    OK(door_set_basic(door, h, FILE_ATTRIBUTE_NORMAL, 0, 0, 0, 0));
    OK(door_info(door, h, &after));
    CHECK(after.attributes == FILE_ATTRIBUTE_NORMAL);
    OK(door_close(door, h));
}

static void test_writing_leaves_traces_in_the_cleanup(void)
{
    uint64_t h;
    struct door_info info;
    make_file("\\traces", "");
    OK(door_open_path(door, "\\traces", FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES, &h));
    OK(door_set_basic(door, h, FILE_ATTRIBUTE_NORMAL, 0, 0, 0, 0));
    OK(door_close(door, h));
    OK(door_open_path(door, "\\traces", FILE_WRITE_DATA, &h));
    OK(door_write(door, h, 0, "x", 1, 0, NULL));
    stats();
    OK(door_close(door, h));
    CHECK(stats().calls[SLOT_CLEANUP] == 1);
    OK(door_info_of(door, "\\traces", &info));
    CHECK(info.attributes & FILE_ATTRIBUTE_ARCHIVE);
}

static void test_renames_move_and_replace(void)
{
    uint64_t h;
    make_dir("\\to");
    make_file("\\from", "from");
    make_file("\\to\\there", "there");
    OK(door_open_path(door, "\\from", DELETE, &h));
    CHECK_STATUS(door_rename(door, h, "\\to\\there", false), STATUS_OBJECT_NAME_COLLISION);
    OK(door_rename(door, h, "\\to\\new", false));
    OK(door_rename(door, h, "\\to\\there", true));
    OK(door_rename(door, h, "THERE", false));
    OK(door_close(door, h));
    CHECK_STATUS(door_exists(door, "\\from"), STATUS_OBJECT_NAME_NOT_FOUND);
    OK(door_open_path(door, "\\to\\there", FILE_READ_DATA, &h));
    CHECK(!strcmp(door_text(door), "\\to\\THERE"));
    OK(door_close(door, h));
    OK(door_open_path(door, "\\to", DELETE, &h));
    CHECK_STATUS(door_rename(door, h, "\\nowhere\\x", false), STATUS_OBJECT_PATH_NOT_FOUND);
    OK(door_close(door, h));
}

static void test_renames_wait_for_nobody(void)
{
    uint64_t h, in, target;
    make_dir("\\busy");
    make_file("\\busy\\file", "");
    make_file("\\mover", "");
    make_file("\\target", "");
    OK(door_open_path(door, "\\busy\\file", FILE_READ_DATA, &in));
    OK(door_open_path(door, "\\busy", DELETE, &h));
    CHECK_STATUS(door_rename(door, h, "idle", false), STATUS_ACCESS_DENIED);
    OK(door_close(door, h));
    OK(door_close(door, in));
    OK(door_open_path(door, "\\mover", DELETE, &h));
    OK(door_open_path(door, "\\target", FILE_READ_DATA, &target));
    CHECK_STATUS(door_rename(door, h, "target", true), STATUS_ACCESS_DENIED);
    OK(door_rename_ex(door, h, "target",
                      FILE_RENAME_REPLACE_IF_EXISTS | FILE_RENAME_POSIX_SEMANTICS));
    OK(door_close(door, target));
    OK(door_close(door, h));
    OK(door_exists(door, "\\target"));
}

static void test_open_files_follow_their_renamed_directory(void)
{
    uint64_t dir, h;
    make_dir("\\moved");
    make_file("\\moved\\file", "");
    OK(door_open_path(door, "\\moved\\file", FILE_READ_DATA | FILE_READ_ATTRIBUTES, &h));
    OK(door_open_path(door, "\\moved", DELETE, &dir));
    OK(door_rename_ex(door, dir, "gone", FILE_RENAME_POSIX_SEMANTICS));
    OK(door_query(door, h, FileNameInformation, 200));
    const uint8_t *name = door_data(door, NULL);
    CHECK(name[0] == 2 * 10 && name[4 + 2] == 'g'); /* \gone\file */
    OK(door_close(door, h));
    OK(door_close(door, dir));
}

static void test_listings_page_and_match(void)
{
    struct door_entry entries[8], *all;
    uint64_t dir;
    unsigned count;
    uint32_t status;
    char path[64];
    make_dir("\\listed");
    for (unsigned i = 0; i < 300; i++) {
        snprintf(path, sizeof path, "\\listed\\file-number-%03u.%s", i, i % 3 ? "txt" : "dat");
        make_file(path, "");
    }
    OK(door_open_path(door, "\\listed", FILE_LIST_DIRECTORY, &dir));
    all = door_list_all(door, dir, NULL, &count, &status);
    CHECK(all && count == 300);
    free(all);
    all = door_list_all(door, dir, "*.dat", &count, &status);
    CHECK(all && count == 100);
    free(all);
    OK(door_list(door, dir, "*1?.txt", DOOR_DIR_RESTART | DOOR_DIR_SINGLE, 1000, entries, 8,
                 &count));
    CHECK(count == 1 && !strcmp(entries[0].name, "file-number-010.txt"));
    CHECK_STATUS(door_list(door, dir, "nothing*", DOOR_DIR_RESTART, 1000, entries, 8, &count),
                 STATUS_NO_SUCH_FILE);
    CHECK_STATUS(door_list(door, dir, "*", DOOR_DIR_RESTART, 104, entries, 8, &count),
                 STATUS_BUFFER_TOO_SMALL);
    CHECK_STATUS(door_list(door, dir, "*", DOOR_DIR_RESTART, 110, entries, 8, &count),
                 STATUS_BUFFER_OVERFLOW);
    OK(door_close(door, dir));
}

static void test_plain_names_are_asked_for_by_name(void)
{
    struct door_entry entries[4];
    uint64_t dir;
    unsigned count;
    make_dir("\\by-name");
    make_file("\\by-name\\One", "1");
    OK(door_open_path(door, "\\by-name", FILE_LIST_DIRECTORY, &dir));
    stats();
    OK(door_list(door, dir, "one", DOOR_DIR_RESTART, 1000, entries, 4, &count));
    CHECK(count == 1 && !strcmp(entries[0].name, "One") && entries[0].info.size == 1);
    CHECK_STATUS(door_list(door, dir, NULL, 0, 1000, entries, 4, &count), STATUS_NO_MORE_FILES);
    CHECK_STATUS(door_list(door, dir, "two", DOOR_DIR_RESTART, 1000, entries, 4, &count),
                 STATUS_NO_SUCH_FILE);
    struct door_stats s = stats();
    CHECK(s.calls[SLOT_GET_DIR_INFO_BY_NAME] == 2 && s.calls[SLOT_READ_DIRECTORY] == 0);
    OK(door_close(door, dir));
}

static void test_listings_are_cached_until_something_changes(void)
{
    struct door_entry *all;
    uint64_t a, b;
    unsigned count;
    uint32_t status;
    make_dir("\\cached");
    make_file("\\cached\\one", "");
    OK(door_open_path(door, "\\cached", FILE_LIST_DIRECTORY, &a));
    OK(door_open_path(door, "\\cached", FILE_LIST_DIRECTORY, &b));
    free(door_list_all(door, a, NULL, &count, &status));
    stats();
    free(door_list_all(door, b, NULL, &count, &status));
    CHECK(count == 1 && stats().calls[SLOT_READ_DIRECTORY] == 0);
    make_file("\\cached\\two", "");
    all = door_list_all(door, b, NULL, &count, &status);
    CHECK(all && count == 2);
    free(all);
    OK(door_close(door, a));
    OK(door_close(door, b));
}

static void test_volume_figures_are_told(void)
{
    OK(door_query_volume(door, FileFsAttributeInformation, 100));
    const uint8_t *p = door_data(door, NULL);
    CHECK(p[8] == 10 && p[12] == 'M');
    OK(door_query_volume(door, FileFsFullSizeInformation, 32));
    CHECK(*(const uint64_t *)door_data(door, NULL) == (1u << 30) / 4096);
    OK(door_set_label(door, "renamed"));
    OK(door_query_volume(door, FileFsVolumeInformation, 100));
    p = door_data(door, NULL);
    CHECK(p[12] == 14 && p[18] == 'r');
    CHECK_STATUS(door_query_volume(door, FileFsVolumeInformation, 20), STATUS_BUFFER_TOO_SMALL);
}

static void test_flushes_reach_files_and_the_volume(void)
{
    uint64_t h, dir;
    make_file("\\flushed", "x");
    make_dir("\\flushed-dir");
    OK(door_open_path(door, "\\flushed", FILE_WRITE_DATA, &h));
    stats();
    OK(door_flush(door, h));
    OK(door_flush(door, 0));
    CHECK(stats().calls[SLOT_FLUSH] == 2);
    OK(door_open_path(door, "\\flushed-dir", FILE_ADD_FILE, &dir));
    OK(door_flush(door, dir));
    CHECK(stats().calls[SLOT_FLUSH] == 0);
    OK(door_close(door, h));
    OK(door_close(door, dir));
}

static void test_security_is_given_in_parts_and_cached(void)
{
    uint64_t h;
    uint32_t len;
    make_file("\\sd", "");
    OK(door_open_path(door, "\\sd", READ_CONTROL, &h));
    stats();
    OK(door_query_security(door, h, OWNER_SECURITY_INFORMATION, 1000));
    const uint8_t *sd = door_data(door, &len);
    CHECK(len >= 20 + 12 && sd[4] == 20 && sd[16] == 0);
    CHECK_STATUS(door_query_security(door, h, DACL_SECURITY_INFORMATION, 20),
                 STATUS_BUFFER_TOO_SMALL);
    CHECK(stats().calls[SLOT_GET_SECURITY] == 1);
    CHECK_STATUS(door_set_security(door, h, DACL_SECURITY_INFORMATION, "x", 1),
                 STATUS_INVALID_SECURITY_DESCR);
    OK(door_close(door, h));
}

static void test_new_files_inherit_their_descriptor(void)
{
    uint64_t h;
    uint32_t len;
    make_dir("\\heirs");
    make_file("\\heirs\\heir", "");
    OK(door_open_path(door, "\\heirs\\heir", READ_CONTROL, &h));
    OK(door_query_security(door, h, DACL_SECURITY_INFORMATION, 1000));
    const uint8_t *sd = door_data(door, &len);
    uint32_t at;
    memcpy(&at, sd + 16, 4);
    CHECK(at && sd[at + 4] == 3 && (sd[at + 9] & 0x10)); /* three entries, inherited */
    OK(door_close(door, h));
}

static void test_extended_attributes_are_kept_in_upper_case(void)
{
    uint8_t ea[64], other[64];
    uint64_t h;
    uint32_t n = door_ea(ea, "colour", "blue", 4), len;
    OK(door_make(door, "\\ea", 0, &h));
    CHECK_STATUS(door_query_ea(door, h, true, 200), STATUS_NO_EAS_ON_FILE);
    OK(door_set_ea(door, h, ea, n));
    OK(door_query_ea(door, h, true, 200));
    const uint8_t *got = door_data(door, &len);
    CHECK(len == n && !memcmp(got + 8, "COLOUR", 7));
    CHECK_STATUS(door_query_ea(door, h, true, 10), STATUS_BUFFER_TOO_SMALL);
    memcpy(other, ea, n);
    other[5] = 200;
    CHECK_STATUS(door_set_ea(door, h, other, n), STATUS_EA_LIST_INCONSISTENT);
    OK(door_close(door, h));
}

static void test_watchers_hear_of_changes(void)
{
    uint64_t dir;
    uint32_t len;
    make_dir("\\watched");
    OK(door_open_path(door, "\\watched", FILE_LIST_DIRECTORY, &dir));
    CHECK_STATUS(door_notify(door, dir, FILE_NOTIFY_CHANGE_FILE_NAME, false, 10), STATUS_TIMEOUT);
    make_file("\\watched\\new", "");
    OK(door_notify(door, dir, FILE_NOTIFY_CHANGE_FILE_NAME, false, 1000));
    const uint8_t *p = door_data(door, &len);
    CHECK(len == 12 + 6 && p[4] == FILE_ACTION_ADDED && p[12] == 'n');
    OK(door_close(door, dir));
}

static void test_changes_that_the_file_system_reports_drop_caches(void)
{
    struct door_info info;
    uint64_t h, root;
    char path[512];
    make_file("\\behind", "");
    OK(door_open_path(door, "\\behind", FILE_READ_ATTRIBUTES, &h));
    OK(door_open_path(door, "\\", FILE_LIST_DIRECTORY, &root));
    CHECK_STATUS(door_notify(door, root, FILE_NOTIFY_CHANGE_SIZE, false, 0), STATUS_TIMEOUT);
    snprintf(path, sizeof path, "%s/memfs-change", control_dir);
    fclose(fopen(path, "w"));
    OK(door_notify(door, root, FILE_NOTIFY_CHANGE_SIZE, false, 5000));
    OK(door_info(door, h, &info));
    CHECK(info.size == 77);
    OK(door_close(door, h));
    OK(door_close(door, root));
}

static void test_nothing_is_cached_without_a_timeout(void)
{
    struct door_info info;
    uint64_t h;
    uint32_t status;
    unsigned count;
    make_dir("\\uncached");
    OK(door_open_path(door, "\\uncached", FILE_READ_ATTRIBUTES | FILE_LIST_DIRECTORY, &h));
    stats();
    OK(door_info(door, h, &info));
    free(door_list_all(door, h, NULL, &count, &status));
    free(door_list_all(door, h, NULL, &count, &status));
    struct door_stats s = stats();
    CHECK(s.calls[SLOT_GET_FILE_INFO] == 2 && s.calls[SLOT_READ_DIRECTORY] == 2);
    OK(door_close(door, h));
}

static void test_names_apart_in_case_are_two_files(void)
{
    uint64_t a, b;
    make_file("\\case", "");
    make_file("\\CASE", "");
    struct door_open o = {.path = "\\case",
                          .access = FILE_READ_DATA,
                          .disposition = FILE_OPEN,
                          .share = DOOR_SHARE_NONE};
    OK(door_create(door, &o, &a));
    o.path = "\\CASE";
    OK(door_create(door, &o, &b));
    OK(door_close(door, a));
    OK(door_close(door, b));
}

static void test_deletion_of_plain_files_need_not_be_asked_for(void)
{
    uint64_t h;
    make_file("\\unasked", "");
    OK(door_open_path(door, "\\unasked", DELETE, &h));
    stats();
    OK(door_delete_ex(door, h,
                      FILE_DISPOSITION_DELETE | FILE_DISPOSITION_IGNORE_READONLY_ATTRIBUTE));
    CHECK(stats().calls[SLOT_SET_DELETE] == 0);
    OK(door_close(door, h));
    CHECK_STATUS(door_exists(door, "\\unasked"), STATUS_OBJECT_NAME_NOT_FOUND);
}

static void test_the_descriptor_comes_along_with_an_open(void)
{
    uint64_t h;
    make_file("\\along", "");
    OK(door_open_path(door, "\\along", READ_CONTROL, &h));
    stats();
    OK(door_query_security(door, h, OWNER_SECURITY_INFORMATION, 1000));
    CHECK(stats().calls[SLOT_GET_SECURITY] == 0);
    OK(door_close(door, h));
}

static void test_a_stopped_driver_cancels_what_comes(void)
{
    uint64_t h;
    make_file("\\last", "");
    door_control(door, DOOR_CONTROL_STOP_DRIVER);
    CHECK_STATUS(door_open_path(door, "\\last", FILE_READ_DATA, &h), STATUS_VOLUME_DISMOUNTED);
}

const struct selftest file_tests[] = {
    TEST(ALWAYS, test_data_come_back),
    TEST(ALWAYS, test_position_append_and_end),
    TEST(ALWAYS, test_paging_writes_do_not_extend_and_need_no_right),
    TEST(ALWAYS, test_pended_reads_run_together),
    TEST(ALWAYS, test_locked_ranges_stop_others),
    TEST(FOLDED, test_file_info_is_cached_until_it_expires),
    TEST(ALWAYS, test_times_and_attributes_of_nothing_stay),
    TEST(ALWAYS, test_writing_leaves_traces_in_the_cleanup),
    TEST(FOLDED, test_renames_move_and_replace),
    TEST(ALWAYS, test_renames_wait_for_nobody),
    TEST(ALWAYS, test_open_files_follow_their_renamed_directory),
    TEST(ALWAYS, test_listings_page_and_match),
    TEST(FOLDED, test_plain_names_are_asked_for_by_name),
    TEST(FOLDED, test_listings_are_cached_until_something_changes),
    TEST(ALWAYS, test_volume_figures_are_told),
    TEST(ALWAYS, test_flushes_reach_files_and_the_volume),
    TEST(FOLDED, test_security_is_given_in_parts_and_cached),
    TEST(ALWAYS, test_new_files_inherit_their_descriptor),
    TEST(ALWAYS, test_extended_attributes_are_kept_in_upper_case),
    TEST(ALWAYS, test_watchers_hear_of_changes),
    TEST(ALWAYS, test_changes_that_the_file_system_reports_drop_caches),
    TEST(EXACT, test_nothing_is_cached_without_a_timeout),
    TEST(EXACT, test_names_apart_in_case_are_two_files),
    TEST(EXACT, test_deletion_of_plain_files_need_not_be_asked_for),
    TEST(WHEN_NAMED, test_the_descriptor_comes_along_with_an_open),
    TEST(WHEN_NAMED, test_a_stopped_driver_cancels_what_comes),
};
const unsigned file_test_count = sizeof file_tests / sizeof file_tests[0];
