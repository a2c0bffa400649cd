// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_watch_records.c - changes that wait for the client: order, aggregation, bounds
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "watch/records.h"

#define ROOM 4096u

struct rig {
    struct records *rs;
};

static struct rig rig;

static int up(void **state)
{
    (void)state;
    return records_new(&rig.rs, 0, 0);
}

static int down(void **state)
{
    (void)state;
    records_free(rig.rs);
    return 0;
}

static void add(uint64_t node, uint32_t action, const char *path)
{
    struct record r = {.node = node, .action = action, .path = path, .path_len = strlen(path)};

    records_add(rig.rs, &r);
}

/* What waits, as "action:path " each, taken with that much room. */
static const char *taken(size_t room)
{
    static char text[ROOM];
    static _Alignas(8) uint8_t buf[65536];
    size_t n = records_take(rig.rs, buf, room), len = 0;

    text[0] = '\0';
    assert_true(n <= room);
    assert_int_equal(n % 8, 0);
    for (size_t at = 0; at < n;) {
        const struct fuse_viofs_event *e = (const void *)(buf + at);
        len +=
            (size_t)snprintf(text + len, sizeof(text) - len, "%llu:%u:%.*s ",
                             (unsigned long long)e->nodeid, e->action, (int)e->name_len, e->name);
        at += (sizeof(*e) + e->name_len + 7) & ~(size_t)7;
    }
    return text;
}

static void test_records_come_out_in_their_order(void **state)
{
    (void)state;
    add(1, VIOFS_ADDED, "a");
    add(2, VIOFS_MODIFIED, "b/c");
    add(1, VIOFS_REMOVED, "a");
    add(1, VIOFS_ADDED, "a");
    assert_string_equal(taken(ROOM), "1:1:a 2:3:b/c 1:2:a 1:1:a ");
    assert_string_equal(taken(ROOM), "");
}

static void test_change_that_waits_already_is_not_added(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        add(1, VIOFS_MODIFIED, "f");
        add(1, VIOFS_ATTRIB, "f");
        add(1, VIOFS_MODIFIED, "g");
    }
    assert_string_equal(taken(ROOM), "1:3:f 1:4:f 1:3:g ");
    add(1, VIOFS_MODIFIED, "f"); /* taken: it is news again */
    assert_string_equal(taken(ROOM), "1:3:f ");
}

static void test_change_after_a_new_file_took_the_name_is_another(void **state)
{
    (void)state;
    add(1, VIOFS_MODIFIED, "f");
    add(1, VIOFS_REMOVED, "f");
    add(1, VIOFS_ADDED, "f");
    add(1, VIOFS_MODIFIED, "f");
    add(1, VIOFS_MODIFIED, "f");
    add(1, VIOFS_ADDED, "f"); /* seen by event and by reading the directory */
    assert_string_equal(taken(ROOM), "1:3:f 1:2:f 1:1:f 1:3:f ");
}

static void pair(uint64_t from, uint64_t to)
{
    records_pair_begin(rig.rs);
    if (from)
        add(from, VIOFS_RENAMED_FROM, "old");
    if (to)
        add(to, VIOFS_RENAMED_TO, "new");
    records_pair_end(rig.rs);
}

static void test_halves_of_a_rename_share_a_reply(void **state)
{
    (void)state;
    add(1, VIOFS_MODIFIED, "f");
    pair(1, 2);
    assert_string_equal(taken(3 * 32 - 8), "1:3:f ");
    assert_string_equal(taken(64), "1:5:old 2:6:new ");
}

static void test_half_a_rename_is_a_name_that_comes_or_goes(void **state)
{
    (void)state;
    pair(1, 0);
    pair(0, 1);
    assert_string_equal(taken(ROOM), "1:2:old 1:1:new ");
}

static void test_what_fits_no_reply_is_a_rescan_of_its_directory(void **state)
{
    (void)state;
    char path[300];

    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    add(5, VIOFS_ADDED, path);
    add(6, VIOFS_ADDED, "f");
    assert_string_equal(taken(RECORDS_ROOM_MIN), "5:7: ");
    assert_string_equal(taken(RECORDS_ROOM_MIN), "6:1:f ");
}

static void test_too_many_become_a_rescan_of_everything(void **state)
{
    (void)state;
    char name[16];

    for (unsigned i = 0; i < RECORDS_MAX + 1; i++) {
        snprintf(name, sizeof(name), "%u", i);
        add(1, VIOFS_ADDED, name);
    }
    assert_int_equal(records_rescans(rig.rs), 1);
    add(1, VIOFS_REMOVED, "late");
    assert_string_equal(taken(ROOM), "0:7: 1:2:late ");
}

static void test_too_many_bytes_become_a_rescan_of_everything(void **state)
{
    (void)state;
    char path[4096];

    memset(path, 'x', sizeof(path));
    for (unsigned i = 0; i < RECORDS_BYTES_MAX / sizeof(path); i++) {
        struct record r = {.node = i + 1, .action = VIOFS_ADDED, .path = path, .path_len = 4096};
        records_add(rig.rs, &r);
    }
    assert_int_equal(records_rescans(rig.rs), 1);
    assert_true(records_count(rig.rs) < 100);
}

static void test_rename_that_finds_no_room_is_a_rescan(void **state)
{
    (void)state;
    records_free(rig.rs);
    assert_int_equal(records_new(&rig.rs, 2, 0), 0);
    add(1, VIOFS_MODIFIED, "f");
    pair(1, 2);
    assert_memory_equal(taken(ROOM), "0:7: ", 5);
    assert_int_equal(records_count(rig.rs), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, up, down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(test_records_come_out_in_their_order),
        T(test_change_that_waits_already_is_not_added),
        T(test_change_after_a_new_file_took_the_name_is_another),
        T(test_halves_of_a_rename_share_a_reply),
        T(test_half_a_rename_is_a_name_that_comes_or_goes),
        T(test_what_fits_no_reply_is_a_rescan_of_its_directory),
        T(test_too_many_become_a_rescan_of_everything),
        T(test_too_many_bytes_become_a_rescan_of_everything),
        T(test_rename_that_finds_no_room_is_a_rescan),
    };
    return cmocka_run_group_tests_name("watch_records", tests, NULL, NULL);
}
