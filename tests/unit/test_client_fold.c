// SPDX-License-Identifier: BSD-3-Clause
/* Names in any case: what is the same name, and what finding it costs. */
#include "tests/unit/client_rig.h"

#include "service/client/fold.h"

/* ---- which names are the same ----------------------------------------------------------------------------- */

static bool same(const char *a, const char *b)
{
    bool equal = cli_fold_equal(N(a), N(b));

    if (equal)
        assert_int_equal(cli_fold_hash(N(a)), cli_fold_hash(N(b)));
    return equal;
}

static void test_ascii_letters_fold(void **state)
{
    (void)state;
    assert_true(same("readme.TXT", "README.txt"));
    assert_false(same("readme", "readme1"));
    assert_false(same("a[", "a{")); /* neighbours of letters are none */
    assert_false(same("a@", "a`"));
}

static void test_letters_beyond_ascii_fold_as_in_ntfs(void **state)
{
    (void)state;
    assert_true(same("\xc3\xa4.txt", "\xc3\x84.TXT")); /* a with diaeresis */
    assert_true(same("\xd0\xb6", "\xd0\x96"));         /* Cyrillic zhe */
    assert_true(same("\xcf\x83", "\xce\xa3"));         /* sigma */
    assert_true(same("\xef\xbd\x81", "\xef\xbc\xa1")); /* full-width a */
    assert_false(same("\xc4\xb1", "i"));               /* dotless i is no i */
    assert_false(same("\xc4\xb1", "I"));
    assert_false(same("\xc5\xbf", "S"));        /* long s is no s */
    assert_false(same("\xc2\xb5", "\xce\x9c")); /* micro sign is no mu */
    assert_false(same("\xc3\x9f", "SS"));       /* sharp s has no single capital */
    assert_false(same("\xe2\x84\xaa", "k"));    /* the Kelvin sign is no k */
}

static void test_characters_of_two_units_do_not_fold(void **state)
{
    (void)state;
    assert_true(same("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"));
    assert_false(same("\xf0\x90\x90\xa8", "\xf0\x90\x90\x80")); /* Deseret */
}

static void test_bytes_that_are_no_utf8_are_themselves(void **state)
{
    (void)state;
    assert_true(same("\xff"
                     "A",
                     "\xff"
                     "a"));
    assert_false(same("\xe4", "\xc4"));          /* Latin-1 */
    assert_false(same("\xc3", "\xc3\xa4"));      /* cut off */
    assert_false(same("\xc0\xa1", "!"));         /* too long a form */
    assert_false(same("\xf4\x90\x80\x80", "x")); /* past Unicode */
}

/* ---- finding ------------------------------------------------------------------------------------------------ */

static struct rig *up(void **state)
{
    struct rig *g = *state;

    g->o.case_insensitive = true;
    return rig_up(state);
}

static void test_a_name_is_found_in_any_case_with_its_own_spelling(void **state)
{
    struct rig *g = *state;
    struct cli_node *n;
    char actual[256];

    fake_add(&g->f, 0, "Readme.Txt", FILE_MODE);
    up(state);
    assert_int_equal(cli_lookup(g->c, g->root, N("README.TXT"), &n, actual), 0);
    assert_string_equal(actual, "Readme.Txt");
    cli_node_put(g->c, n);
}

static void test_a_walk_spells_as_the_host_does(void **state)
{
    struct rig *g = *state;
    struct cli_name names[] = {N("DIR"), N("file")};
    struct cli_walk w;

    fake_add(&g->f, fake_add(&g->f, 0, "Dir", DIR_MODE), "File", FILE_MODE);
    up(state);
    assert_int_equal(cli_walk(g->c, names, 2, &w), 0);
    assert_int_equal(w.spelling_len, 8);
    assert_memory_equal(w.spelling, "Dir/File", 8);
    cli_walk_end(g->c, &w);
}

static void test_the_very_spelling_comes_first(void **state)
{
    struct rig *g = *state;
    struct cli_node *n;
    char actual[256];

    fake_add(&g->f, 0, "AB", FILE_MODE);
    fake_add(&g->f, 0, "ab", FILE_MODE);
    fake_add(&g->f, 0, "Ab", FILE_MODE);
    up(state);
    assert_int_equal(cli_lookup(g->c, g->root, N("ab"), &n, actual), 0);
    assert_string_equal(actual, "ab");
    cli_node_put(g->c, n);
    assert_int_equal(cli_lookup(g->c, g->root, N("aB"), &n, actual), 0);
    assert_string_equal(actual, "AB");
    cli_node_put(g->c, n);
    assert_int_equal(cli_lookup(g->c, g->root, N("Ab"), &n, actual), 0);
    assert_string_equal(actual, "Ab");
    cli_node_put(g->c, n);
}

static void test_an_exact_name_costs_one_trip_and_no_listing(void **state)
{
    struct rig *g = *state;

    fake_add(&g->f, 0, "a", FILE_MODE);
    up(state);
    rig_trips(g);
    assert_int_equal(rig_try(g, g->root, "a"), 0);
    assert_int_equal(rig_trips(g), 1);
    assert_int_equal(g->f.count[FUSE_OPENDIR], 0);
}

static void add_many(struct rig *g)
{
    char name[32];

    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "File%d.dll", i);
        fake_add(&g->f, 0, name, FILE_MODE);
    }
}

static void test_only_the_first_miss_reads_the_directory(void **state)
{
    struct rig *g = *state;
    char name[32];

    add_many(g);
    up(state);
    assert_int_equal(rig_try(g, g->root, "no"), -LE_ENOENT);
    assert_int_equal(g->f.count[FUSE_OPENDIR], 1);
    assert_int_equal(g->f.count[FUSE_RELEASEDIR], 1);
    rig_trips(g);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "no%d.dll", i);
        assert_int_equal(rig_try(g, g->root, name), -LE_ENOENT);
    }
    assert_int_equal(rig_trips(g), 0); /* the directory's attributes are valid */
    assert_int_equal(g->f.count[FUSE_OPENDIR], 1);
}

static void test_a_miss_costs_one_validation_at_most(void **state)
{
    struct rig *g = *state;
    char name[32];

    g->f.attr_ms = g->f.entry_ms = 0;
    add_many(g);
    up(state);
    assert_int_equal(rig_try(g, g->root, "no"), -LE_ENOENT);
    rig_trips(g);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "no%d.dll", i);
        assert_int_equal(rig_try(g, g->root, name), -LE_ENOENT);
    }
    assert_int_equal(rig_trips(g), 50);
    assert_int_equal(g->f.count[FUSE_OPENDIR], 1);
}

static void test_a_change_by_the_host_is_seen_by_the_next_miss(void **state)
{
    struct rig *g = *state;

    g->f.attr_ms = 0;
    up(state);
    assert_int_equal(rig_try(g, g->root, "NEW"), -LE_ENOENT);
    fake_add(&g->f, 0, "new", FILE_MODE);
    assert_int_equal(rig_try(g, g->root, "NEW"), 0);
    fake_remove(&g->f, 0, "new");
    g->f.entry_ms = 0;
    cli_forget_name(g->c, g->root, N("new"));
    assert_int_equal(rig_try(g, g->root, "NEW"), -LE_ENOENT);
}

static void test_our_own_changes_do_not_cost_another_listing(void **state)
{
    struct rig *g = *state;
    struct cli_node *n;

    g->f.attr_ms = 0;
    up(state);
    assert_int_equal(rig_try(g, g->root, "x"), -LE_ENOENT);
    assert_int_equal(cli_mkdir(g->c, g->root, N("New"), 0755, &n), 0);
    cli_node_put(g->c, n);
    assert_int_equal(rig_try(g, g->root, "nEW"), 0);
    assert_int_equal(cli_rename(g->c, g->root, N("new"), g->root, N("Other"), 0), 0);
    assert_int_equal(rig_try(g, g->root, "NEW"), -LE_ENOENT);
    assert_int_equal(rig_try(g, g->root, "OTHER"), 0);
    assert_int_equal(cli_rmdir(g->c, g->root, N("oTHER")), 0);
    assert_int_equal(rig_try(g, g->root, "OTHER"), -LE_ENOENT);
    assert_int_equal(g->f.count[FUSE_OPENDIR], 1);
}

static void test_a_change_by_the_host_after_one_of_ours_is_seen(void **state)
{
    struct rig *g = *state;
    struct cli_node *n;

    g->f.attr_ms = 0;
    up(state);
    assert_int_equal(rig_try(g, g->root, "x"), -LE_ENOENT);
    assert_int_equal(cli_mkdir(g->c, g->root, N("Ours"), 0755, &n), 0);
    cli_node_put(g->c, n);
    assert_int_equal(rig_try(g, g->root, "theirs"), -LE_ENOENT);
    fake_add(&g->f, 0, "Theirs", FILE_MODE);
    assert_int_equal(rig_try(g, g->root, "theirs"), 0);
}

static void test_a_change_in_the_tick_of_the_one_before_is_seen_a_little_later(void **state)
{
    struct rig *g = *state;

    fake_add(&g->f, 0, "first", FILE_MODE);
    up(state);
    assert_int_equal(rig_try(g, g->root, "SECOND"), -LE_ENOENT);
    int64_t tick = g->f.node[0].mtime;
    fake_add(&g->f, 0, "second", FILE_MODE);
    g->f.node[0].mtime = g->f.node[0].ctime = tick;
    usleep(2600000);
    assert_int_equal(rig_try(g, g->root, "SECOND"), 0);
    assert_int_equal(g->f.count[FUSE_OPENDIR], 2);
    assert_int_equal(rig_try(g, g->root, "THIRD"), -LE_ENOENT);
    usleep(2600000);
    assert_int_equal(rig_try(g, g->root, "THIRD"), -LE_ENOENT);
    assert_int_equal(g->f.count[FUSE_OPENDIR], 2); /* now it is settled */
}

static void test_a_directory_that_is_older_than_something_else_is_read_once(void **state)
{
    struct rig *g = *state;
    uint32_t old = fake_add(&g->f, 0, "old", DIR_MODE);

    g->f.clock += 100;
    fake_add(&g->f, 0, "young", FILE_MODE);
    up(state);
    assert_int_equal(g->f.node[old].ctime + 100 < g->f.clock, 1);
    struct cli_node *n = rig_lookup(g, g->root, "old");
    assert_int_equal(rig_try(g, g->root, "young"), 0);
    assert_int_equal(rig_try(g, n, "no"), -LE_ENOENT);
    assert_int_equal(n->fold->distrust_ms, 0);
    cli_node_put(g->c, n);
}

static void test_an_exact_name_that_the_host_made_later_is_found(void **state)
{
    struct rig *g = *state;

    g->f.attr_ms = 0;
    fake_add(&g->f, 0, "Foo", FILE_MODE);
    up(state);
    struct cli_node *n, *m;
    char actual[256];
    assert_int_equal(cli_lookup(g->c, g->root, N("foo"), &n, actual), 0);
    assert_string_equal(actual, "Foo");
    fake_add(&g->f, 0, "foo", FILE_MODE);
    assert_int_equal(cli_lookup(g->c, g->root, N("foo"), &m, actual), 0);
    assert_string_equal(actual, "foo");
    cli_node_put(g->c, n);
    cli_node_put(g->c, m);
}

/* ---- changes regardless of case ------------------------------------------------------------------------------ */

static void test_a_twin_is_not_made(void **state)
{
    struct rig *g = *state;
    struct cli_node *n;

    fake_add(&g->f, 0, "Foo", FILE_MODE);
    up(state);
    assert_int_equal(cli_create(g->c, g->root, N("FOO"), 0644, CLI_WRITE, &n, NULL), -LE_EEXIST);
    assert_int_equal(cli_mkdir(g->c, g->root, N("fOO"), 0755, &n), -LE_EEXIST);
    assert_int_equal(cli_symlink(g->c, g->root, N("foo"), "x", &n), -LE_EEXIST);
}

static void test_making_many_files_costs_one_trip_each(void **state)
{
    struct rig *g = up(state);
    struct cli_node *n;
    char name[16];

    assert_int_equal(rig_try(g, g->root, "x"), -LE_ENOENT);
    rig_trips(g);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "Dir%d", i);
        assert_int_equal(cli_mkdir(g->c, g->root, N(name), 0755, &n), 0);
        cli_node_put(g->c, n);
    }
    assert_int_equal(rig_trips(g), 20);
}

static void test_a_file_is_renamed_to_another_case_of_its_name(void **state)
{
    struct rig *g = *state;

    uint32_t foo = fake_add(&g->f, 0, "foo", FILE_MODE);
    up(state);
    assert_int_equal(cli_rename(g->c, g->root, N("foo"), g->root, N("FOO"), CLI_RENAME_NOREPLACE),
                     0);
    assert_int_equal(fake_find(&g->f, 0, "FOO"), foo);
    assert_int_equal(fake_find(&g->f, 0, "foo"), UINT32_MAX);
}

static void test_a_rename_respects_and_replaces_names_of_another_case(void **state)
{
    struct rig *g = *state;

    uint32_t a = fake_add(&g->f, 0, "a", FILE_MODE);
    fake_add(&g->f, 0, "Bee", FILE_MODE);
    up(state);
    assert_int_equal(cli_rename(g->c, g->root, N("A"), g->root, N("BEE"), CLI_RENAME_NOREPLACE),
                     -LE_EEXIST);
    assert_int_equal(cli_rename(g->c, g->root, N("A"), g->root, N("BEE"), 0), 0);
    assert_int_equal(fake_find(&g->f, 0, "Bee"), a);
    assert_int_equal(fake_find(&g->f, 0, "BEE"), UINT32_MAX);
}

static void test_a_file_is_removed_by_a_name_of_another_case(void **state)
{
    struct rig *g = *state;

    fake_add(&g->f, 0, "Foo", FILE_MODE);
    up(state);
    assert_int_equal(cli_unlink(g->c, g->root, N("FOO")), 0);
    assert_int_equal(fake_find(&g->f, 0, "Foo"), UINT32_MAX);
}

/* ---- the index ------------------------------------------------------------------------------------------------ */

static void test_what_is_known_weighs_more_than_what_is_listed(void **state)
{
    struct cli_fold *f = cli_fold_new();
    char actual[256];

    (void)state;
    assert_int_equal(cli_fold_put(f, N("gone"), false, false), 0);
    assert_int_equal(cli_fold_put(f, N("gone"), true, true), 0);
    assert_int_equal(cli_fold_get(f, N("GONE"), actual), -LE_ENOENT);
    assert_int_equal(cli_fold_put(f, N("gone"), true, false), 0);
    assert_int_equal(cli_fold_get(f, N("GONE"), actual), 4);
    cli_fold_free(f);
}

static void test_a_large_index_finds_each_of_its_names(void **state)
{
    struct cli_fold *f = cli_fold_new();
    char name[32], upper[32], actual[256];

    (void)state;
    for (int i = 0; i < 50000; i++) {
        snprintf(name, sizeof(name), "name-%d", i);
        assert_int_equal(cli_fold_put(f, N(name), true, true), 0);
    }
    assert_int_equal(f->live, 50000);
    for (int i = 0; i < 50000; i += 7) {
        snprintf(name, sizeof(name), "name-%d", i);
        snprintf(upper, sizeof(upper), "NAME-%d", i);
        assert_int_equal(cli_fold_get(f, N(upper), actual), strlen(name));
        assert_string_equal(actual, name);
    }
    assert_int_equal(cli_fold_get(f, N("name-50000"), actual), -LE_ENOENT);
    assert_true(cli_fold_size(f) < 50000 * 64);
    cli_fold_free(f);
}

static void test_an_index_that_only_grows_is_thrown_away(void **state)
{
    struct rig *g = *state;
    struct cli_node *n;
    char name[32];

    up(state);
    assert_int_equal(rig_try(g, g->root, "x"), -LE_ENOENT);
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), "tmp%d", i);
        assert_int_equal(cli_mkdir(g->c, g->root, N(name), 0755, &n), 0);
        cli_node_put(g->c, n);
        assert_int_equal(cli_rmdir(g->c, g->root, N(name)), 0);
        assert_true(atomic_load(&g->c->fold_bytes) < 65536);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ascii_letters_fold),
        cmocka_unit_test(test_letters_beyond_ascii_fold_as_in_ntfs),
        cmocka_unit_test(test_characters_of_two_units_do_not_fold),
        cmocka_unit_test(test_bytes_that_are_no_utf8_are_themselves),
        RIG_TEST(test_a_name_is_found_in_any_case_with_its_own_spelling),
        RIG_TEST(test_a_walk_spells_as_the_host_does),
        RIG_TEST(test_the_very_spelling_comes_first),
        RIG_TEST(test_an_exact_name_costs_one_trip_and_no_listing),
        RIG_TEST(test_only_the_first_miss_reads_the_directory),
        RIG_TEST(test_a_miss_costs_one_validation_at_most),
        RIG_TEST(test_a_change_by_the_host_is_seen_by_the_next_miss),
        RIG_TEST(test_our_own_changes_do_not_cost_another_listing),
        RIG_TEST(test_a_change_by_the_host_after_one_of_ours_is_seen),
        RIG_TEST(test_a_change_in_the_tick_of_the_one_before_is_seen_a_little_later),
        RIG_TEST(test_a_directory_that_is_older_than_something_else_is_read_once),
        RIG_TEST(test_an_exact_name_that_the_host_made_later_is_found),
        RIG_TEST(test_a_twin_is_not_made),
        RIG_TEST(test_making_many_files_costs_one_trip_each),
        RIG_TEST(test_a_file_is_renamed_to_another_case_of_its_name),
        RIG_TEST(test_a_rename_respects_and_replaces_names_of_another_case),
        RIG_TEST(test_a_file_is_removed_by_a_name_of_another_case),
        cmocka_unit_test(test_what_is_known_weighs_more_than_what_is_listed),
        cmocka_unit_test(test_a_large_index_finds_each_of_its_names),
        RIG_TEST(test_an_index_that_only_grows_is_thrown_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
