// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_budget.c - round trips, counted exactly
 *
 * What each operation may cost is in docs/service.md. A host that lets nothing be kept (--host=never) has
 * budgets of its own: every name on the way and every size is asked for.
 */
#include "tests/client/rig.h"

#include <poll.h>

/* Names that hold for the length of any test. */
#define LONG 600u

static struct rig *warm_rig(void)
{
    return rig_start(&(struct rig_options){.timeout = LONG});
}

/* Depth of what host_tree() makes: a/b/c/f. */
static void host_tree(struct rig *r)
{
    host_mkdir(r, "a");
    host_mkdir(r, "a/b");
    host_mkdir(r, "a/b/c");
    host_write(r, "a/b/c/f", "data", 4);
    host_write(r, "a/b/c/g", "data", 4);
}

/* Directories are known, and their names hold if anything does. */
static void warm_up(struct rig *r)
{
    put(r, node_at(r, "a/b/c"));
}

/* Requests that asking for the directories of a/b/c costs each time, where nothing holds. */
static uint64_t way(void)
{
    return rig_caches() ? 0 : 3;
}

#define assert_costs(r, before, n) assert_int_equal(requests(r) - (before), (n))

static void test_a_stat_by_name_costs_one_request_and_none_the_second_time(void **state)
{
    struct rig *r = warm_rig();
    struct cli_attr a;

    (void)state;
    host_tree(r);
    warm_up(r);
    uint64_t before = requests(r);
    struct cli_node *n = node_at(r, "a/b/c/f");
    assert_costs(r, before, way() + 1);
    assert_ok(cli_getattr(r->c, n, false, &a));
    assert_costs(r, before, way() + 1 + !rig_caches());
    put(r, n);
    before = requests(r);
    n = node_at(r, "a/b/c/f");
    assert_ok(cli_getattr(r->c, n, false, &a));
    assert_costs(r, before, rig_caches() ? 0 : way() + 2);
    put(r, n);
}

static void test_a_missing_name_costs_one_request_at_most(void **state)
{
    struct rig *r = warm_rig();
    struct cli_node *n;
    uint64_t before, again;

    (void)state;
    host_tree(r);
    warm_up(r);
    before = requests(r);
    assert_int_equal(walk(r, "a/b/c/missing", &n), -LE_ENOENT);
    assert_costs(r, before, way() + 1);
    again = requests(r);
    assert_int_equal(walk(r, "a/b/c/missing", &n), -LE_ENOENT);
    /* whether that may be kept is the host's choice */
    assert_true(requests(r) - again <= way() + 1);
}

static void test_opening_a_known_file_costs_one_request_and_closing_it_none(void **state)
{
    struct rig *r = warm_rig();
    struct cli_file *f, *g;

    (void)state;
    host_tree(r);
    put(r, node_at(r, "a/b/c/f"));
    uint64_t before = requests(r);
    f = open_at(r, "a/b/c/f", CLI_READ | CLI_WRITE);
    assert_costs(r, before, way() + 1 + !rig_caches());
    before = requests(r);
    g = open_at(r, "a/b/c/f", CLI_READ);
    assert_costs(r, before, way() + !rig_caches());
    cli_file_close(r->c, g);
    vht_hold(r->t, true); /* nothing is answered, so what returns did not wait */
    cli_file_close(r->c, f);
    vht_hold(r->t, false);
    assert_int_equal(requests_of(r, FUSE_RELEASE), 1);
    assert_int_equal(requests_of(r, FUSE_FLUSH), 0);
}

static void test_making_things_costs_one_request_each(void **state)
{
    struct rig *r = warm_rig();
    struct cli_node *dir, *n;
    struct cli_file *f;
    struct cli_attr a;
    uint64_t before;

    (void)state;
    host_tree(r);
    dir = node_at(r, "a/b/c");
    before = requests(r);
    assert_ok(cli_create(r->c, dir, name_of("new"), 0644, CLI_READ | CLI_WRITE, &n, &f));
    assert_costs(r, before, 1);
    assert_ok(cli_getattr(r->c, n, false, &a));
    assert_costs(r, before, 1 + !rig_caches());
    cli_file_close(r->c, f);
    put(r, n);
    before = requests(r);
    assert_ok(cli_mkdir(r->c, dir, name_of("newdir"), 0755, &n));
    assert_costs(r, before, 1);
    put(r, n);
    before = requests(r);
    assert_ok(cli_symlink(r->c, dir, name_of("newlink"), "target", &n));
    assert_costs(r, before, 1);
    put(r, n);
    put(r, dir);
}

static void test_removing_and_renaming_cost_one_request_each(void **state)
{
    struct rig *r = warm_rig();
    struct cli_node *dir;
    uint64_t before;

    (void)state;
    host_tree(r);
    host_mkdir(r, "a/b/c/d");
    dir = node_at(r, "a/b/c");
    /* The C daemon answers EIO for a name that was never looked up; a Windows program has opened it before. */
    put(r, node_at(r, "a/b/c/f"));
    put(r, node_at(r, "a/b/c/g"));
    put(r, node_at(r, "a/b/c/d"));
    before = requests(r);
    assert_ok(cli_unlink(r->c, dir, name_of("f")));
    assert_costs(r, before, 1);
    before = requests(r);
    assert_ok(cli_rename(r->c, dir, name_of("g"), dir, name_of("h"), CLI_RENAME_NOREPLACE));
    assert_costs(r, before, 1);
    before = requests(r);
    assert_ok(cli_rmdir(r->c, dir, name_of("d")));
    assert_costs(r, before, 1);
    put(r, dir);
}

static void test_data_costs_one_request_for_each_transfer(void **state)
{
    struct rig *r = warm_rig();
    struct cli_session s;
    uint64_t before;

    (void)state;
    cli_session_get(r->c, &s);
    uint8_t *p = calloc(16, s.max_read);
    struct cli_file *f = create(r, "f", CLI_READ | CLI_WRITE);
    before = requests(r);
    assert_int_equal(write_at(r, f, p, 4096, 0, 0), 4096);
    assert_costs(r, before, 1);
    before = requests(r);
    assert_int_equal(write_at(r, f, p, 16 * s.max_write, 0, 0), 16 * s.max_write);
    assert_costs(r, before, 16);
    before = requests(r);
    assert_int_equal(read_at(r, f, p, 16 * s.max_read, 0), 16 * s.max_read);
    assert_costs(r, before, 16);
    before = requests(r);
    assert_int_equal(write_at(r, f, p, 100, 0, CLI_IO_APPEND), 100); /* opens for appending */
    assert_costs(r, before, 2);
    before = requests(r);
    assert_int_equal(write_at(r, f, p, 100, 0, CLI_IO_APPEND), 100);
    assert_costs(r, before, 1);
    before = requests(r);
    assert_int_equal(write_at(r, f, p, 100, 0, CLI_IO_CONSTRAINED), 100);
    assert_costs(r, before, 1 + !rig_caches());
    cli_file_close(r->c, f);
    free(p);
}

/* ---- listings -------------------------------------------------------------------------------------- */

static bool count_one(void *user, const struct cli_dirent *e)
{
    uint32_t *n = user;

    (void)e;
    ++*n;
    return true;
}

static void host_files(struct rig *r, const char *dir, uint32_t n)
{
    char path[300];

    host_mkdir(r, dir);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(path, sizeof(path), "%s/file%05u", dir, i);
        host_write(r, path, "", 0);
    }
}

static void test_a_listing_costs_one_request_a_megabyte_and_two_more(void **state)
{
    static const uint32_t sizes[] = {0, 10, 1000, 10000};
    struct rig *r = warm_rig();

    (void)state;
    for (unsigned i = 0; i < ARRAY(sizes); i++) {
        char dir[16];
        struct cli_dir *d;
        uint32_t n = 0;

        snprintf(dir, sizeof(dir), "d%u", i);
        host_files(r, dir, sizes[i]);
        struct cli_node *node = node_at(r, dir);
        uint64_t before = requests(r);
        assert_ok(cli_dir_open(r->c, node, &d));
        assert_ok(cli_dir_read(r->c, d, 0, count_one, &n));
        uint64_t cost = requests(r) - before;
        assert_int_equal(n, sizes[i]);
        cli_dir_close(r->c, d);
        put(r, node);
        /* without attributes in the listing each name is looked up */
        uint64_t lookups = rig_lists_attributes() && (rig_caches() || rig_has_extension()) ? 0 : n;
        uint64_t pages = n ? (n * 200ull + (1 << 20) - 1) >> 20 : 1; /* "." and ".." */
        print_message("%5u entries: %3llu requests\n", n, (unsigned long long)cost);
        assert_true(cost <= pages + 2 + lookups);
    }
}

/* ---- a walk, as `git status` does it ----------------------------------------------------------------- */

enum { DIRS = 100, FILES = 100 };

static void host_work_tree(struct rig *r)
{
    char path[64];

    for (unsigned d = 0; d < DIRS; d++) {
        snprintf(path, sizeof(path), "dir%02u", d);
        host_files(r, path, FILES);
    }
}

static uint64_t stat_all(struct rig *r)
{
    uint64_t before = requests(r);
    struct cli_attr a;
    char path[64];

    for (unsigned d = 0; d < DIRS; d++) {
        for (unsigned f = 0; f < FILES; f++) {
            snprintf(path, sizeof(path), "dir%02u/file%05u", d, f);
            struct cli_node *n = node_at(r, path);
            assert_ok(cli_getattr(r->c, n, false, &a));
            assert_true(S_ISREG(a.mode));
            put(r, n);
        }
    }
    return requests(r) - before;
}

static void test_a_walk_of_ten_thousand_files_costs_one_request_a_file_and_then_none(void **state)
{
    struct rig *r = warm_rig();
    uint64_t cold, warm;

    (void)state;
    host_work_tree(r);
    cold = stat_all(r);
    warm = stat_all(r);
    print_message("10000 files: %llu requests cold, %llu warm\n", (unsigned long long)cold,
                  (unsigned long long)warm);
    if (rig_caches()) {
        assert_true(cold <= DIRS * FILES * 12 / 10);
        assert_true(warm <= DIRS * FILES / 20);
    } else {
        assert_true(cold <= DIRS * FILES * 3); /* directory, file, attributes */
    }
}

static void test_a_listed_tree_costs_hardly_any_request_a_file(void **state)
{
    struct rig *r = warm_rig();
    uint64_t before, listed;

    (void)state;
    host_work_tree(r);
    before = requests(r);
    for (unsigned i = 0; i < DIRS; i++) {
        struct cli_dir *d;
        char path[16];
        uint32_t n = 0;

        snprintf(path, sizeof(path), "dir%02u", i);
        struct cli_node *node = node_at(r, path);
        assert_ok(cli_dir_open(r->c, node, &d));
        assert_ok(cli_dir_read(r->c, d, 0, count_one, &n));
        assert_int_equal(n, FILES);
        cli_dir_close(r->c, d);
        put(r, node);
    }
    listed = requests(r) - before;
    if (rig_lists_attributes() && (rig_caches() || rig_has_extension()))
        assert_true(listed <= DIRS * 5); /* LOOKUP, OPENDIR, a page, its end, RELEASEDIR */
    if (rig_caches())
        assert_int_equal(stat_all(r), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_a_stat_by_name_costs_one_request_and_none_the_second_time),
        RIG_TEST(test_a_missing_name_costs_one_request_at_most),
        RIG_TEST(test_opening_a_known_file_costs_one_request_and_closing_it_none),
        RIG_TEST(test_making_things_costs_one_request_each),
        RIG_TEST(test_removing_and_renaming_cost_one_request_each),
        RIG_TEST(test_data_costs_one_request_for_each_transfer),
        RIG_TEST(test_a_listing_costs_one_request_a_megabyte_and_two_more),
        RIG_TEST(test_a_walk_of_ten_thousand_files_costs_one_request_a_file_and_then_none),
        RIG_TEST(test_a_listed_tree_costs_hardly_any_request_a_file),
    };

    return rig_main("budget", argc, argv, tests, ARRAY(tests));
}
