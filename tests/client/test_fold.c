// SPDX-License-Identifier: BSD-3-Clause
/* Names in any case on real directories. */
#include "tests/client/rig.h"

static struct rig *up(void)
{
    return rig_start(&(struct rig_options){.cli.case_insensitive = true});
}

static int look(struct rig *r, const char *name)
{
    struct cli_node *n = NULL;
    int e = cli_lookup(r->c, r->root, name_of(name), &n, NULL);

    put(r, n);
    return e;
}

static void fill_directory(struct rig *r, int files)
{
    char name[32];

    for (int i = 0; i < files; i++) {
        snprintf(name, sizeof(name), "Library%d.dll", i);
        host_write(r, name, "x", 1);
    }
}

static void test_a_path_in_another_case_leads_to_the_file_as_it_is_spelled(void **state)
{
    struct rig *r = *state = up();
    struct cli_name names[] = {name_of("PROGRAM files"), name_of("README.TXT")};
    struct cli_walk w;

    host_mkdir(r, "Program Files");
    host_write(r, "Program Files/ReadMe.txt", "hello", 5);
    assert_ok(cli_walk(r->c, names, 2, &w));
    assert_int_equal(w.spelling_len, strlen("Program Files/ReadMe.txt"));
    assert_memory_equal(w.spelling, "Program Files/ReadMe.txt", w.spelling_len);
    cli_walk_end(r->c, &w);
}

static void test_a_large_directory_is_read_once_for_many_misses(void **state)
{
    struct rig *r = *state = up();
    char name[32];

    fill_directory(r, 3000);
    assert_errno(look(r, "none.dll"), LE_ENOENT);
    uint64_t before = requests(r);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "missing%d.DLL", i);
        assert_errno(look(r, name), LE_ENOENT);
    }
    assert_true(requests(r) - before <= 200);
    assert_true(requests_of(r, FUSE_OPENDIR) <= 2);
    assert_ok(look(r, "LIBRARY2999.DLL"));
}

static void test_what_the_host_adds_is_found_by_the_next_search(void **state)
{
    struct rig *r = *state = up();

    fill_directory(r, 10);
    assert_errno(look(r, "LATER"), LE_ENOENT);
    usleep(50000); /* another tick of the file system's clock */
    host_write(r, "later", "x", 1);
    if (rig_caches())
        usleep(1200000);
    assert_ok(look(r, "LATER"));
}

static void test_changes_regardless_of_case_show_on_the_host(void **state)
{
    struct rig *r = *state = up();
    struct cli_node *n;

    host_write(r, "Mixed", "x", 1);
    assert_ok(look(r, "mixed")); /* Debian's daemon changes no name that was not looked up */
    assert_errno(cli_mkdir(r->c, r->root, name_of("MIXED"), 0755, &n), LE_EEXIST);
    assert_ok(cli_rename(r->c, r->root, name_of("mixed"), r->root, name_of("MIXED"),
                         CLI_RENAME_NOREPLACE));
    assert_int_equal(access(host(r, "MIXED"), F_OK), 0);
    assert_int_not_equal(access(host(r, "Mixed"), F_OK), 0);
    assert_ok(cli_unlink(r->c, r->root, name_of("mixed")));
    assert_int_not_equal(access(host(r, "MIXED"), F_OK), 0);
}

static const struct CMUnitTest tests[] = {
    RIG_TEST(test_a_path_in_another_case_leads_to_the_file_as_it_is_spelled),
    RIG_TEST(test_a_large_directory_is_read_once_for_many_misses),
    RIG_TEST(test_what_the_host_adds_is_found_by_the_next_search),
    RIG_TEST(test_changes_regardless_of_case_show_on_the_host),
};

RIG_MAIN("client_fold", tests)
