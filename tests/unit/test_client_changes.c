// SPDX-License-Identifier: BSD-3-Clause
/* Making, removing and renaming; lookups stay exact whatever happens. */
#include "tests/unit/client_rig.h"

static void make_file(struct rig *g, struct cli_node *dir, const char *name)
{
    struct cli_node *n;

    assert_int_equal(cli_create(g->c, dir, N(name), 0644, CLI_WRITE, &n, NULL), 0);
    cli_node_put(g->c, n);
}

/* ---- making --------------------------------------------------------------------------------------------- */

static int32_t done_and_lost(struct fake *f, struct fake_call *call)
{
    if (call->in.opcode != FUSE_SETATTR)
        return FAKE_PASS;
    (void)fake_serve(f, call);
    return -LE_ETIMEDOUT;
}

static void test_a_change_whose_answer_is_lost_may_have_happened(void **state)
{
    struct rig *g = *state;
    struct cli_attr a, new = {.size = 4711};

    fake_add(&g->f, 0, "a", FILE_MODE);
    g->f.hook = done_and_lost;
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(a.size, 0);
    assert_int_equal(cli_setattr(g->c, n, CLI_SET_SIZE, &new, NULL), -LE_ETIMEDOUT);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(a.size, 4711);
    cli_node_put(g->c, n);
}

static void test_creating_a_file_costs_one_trip_beside_its_release(void **state)
{
    struct rig *g = rig_up(state);
    struct cli_node *n;
    struct cli_attr a;

    assert_int_equal(cli_create(g->c, g->root, N("a"), 0640, CLI_READ | CLI_WRITE, &n, NULL), 0);
    assert_int_equal(g->f.count[FUSE_CREATE], 1);
    assert_int_equal(g->f.count[FUSE_LOOKUP], 0);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(a.mode, 0100640);
    cli_node_put(g->c, n);
    rig_trips(g);
    assert_int_equal(rig_try(g, g->root, "a"), 0);
    assert_int_equal(rig_trips(g), 0);
}

static void test_what_exists_is_not_created(void **state)
{
    struct rig *g = *state;
    struct cli_node *n;

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    assert_int_equal(cli_create(g->c, g->root, N("a"), 0644, CLI_WRITE, &n, NULL), -LE_EEXIST);
    assert_int_equal(cli_mkdir(g->c, g->root, N("a"), 0755, &n), -LE_EEXIST);
}

static void test_things_are_made_as_their_owner_and_looked_up_as_root(void **state)
{
    struct rig *g = rig_up(state);
    struct cli_req r = {.opcode = FUSE_SYNCFS};
    struct cli_node *n;

    cli_owner_set(g->c, 1000, 2000);
    assert_int_equal(cli_mkdir(g->c, g->root, N("d"), 0755, &n), 0);
    cli_node_put(g->c, n);
    assert_int_equal(g->f.last_in.uid, 1000);
    assert_int_equal(g->f.last_in.gid, 2000);
    (void)cli_call(g->c, &r);
    assert_int_equal(g->f.last_in.uid, 0);
}

static void test_a_link_says_where_it_leads(void **state)
{
    struct rig *g = rig_up(state);
    struct cli_node *n;
    char buf[64];

    assert_int_equal(cli_symlink(g->c, g->root, N("l"), "../there", &n), 0);
    assert_int_equal(cli_node_type(n), LX_S_IFLNK);
    assert_int_equal(cli_readlink(g->c, n, buf, sizeof(buf)), 8);
    assert_string_equal(buf, "../there");
    assert_int_equal(cli_readlink(g->c, n, buf, 8), -LE_ERANGE);
    assert_int_equal(cli_readlink(g->c, g->root, buf, 8), -LE_EINVAL);
    cli_node_put(g->c, n);
}

static void test_a_device_is_made_as_what_it_is(void **state)
{
    struct rig *g = rig_up(state);
    struct cli_node *n;

    assert_int_equal(cli_mknod(g->c, g->root, N("p"), LX_S_IFIFO | 0600, 0, &n), 0);
    assert_int_equal(cli_node_type(n), LX_S_IFIFO);
    cli_node_put(g->c, n);
}

/* ---- removing -------------------------------------------------------------------------------------------- */

static void test_a_removed_name_is_gone_and_its_node_stays_usable(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    rig_trips(g);
    assert_int_equal(cli_unlink(g->c, g->root, N("a")), 0);
    assert_int_equal(rig_trips(g), 1);
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOENT);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(a.nlink, 0);
    cli_node_put(g->c, n);
}

static void test_directories_and_files_are_removed_each_in_its_way(void **state)
{
    struct rig *g = *state;

    fake_add(&g->f, fake_add(&g->f, 0, "d", DIR_MODE), "x", FILE_MODE);
    fake_add(&g->f, 0, "f", FILE_MODE);
    rig_up(state);
    assert_int_equal(cli_rmdir(g->c, g->root, N("f")), -LE_ENOTDIR);
    assert_int_equal(cli_unlink(g->c, g->root, N("d")), -LE_EISDIR);
    assert_int_equal(cli_rmdir(g->c, g->root, N("d")), -LE_ENOTEMPTY);
    assert_int_equal(cli_unlink(g->c, g->root, N("no")), -LE_ENOENT);
}

/* ---- renaming -------------------------------------------------------------------------------------------- */

static void test_a_renamed_file_is_known_under_its_new_name(void **state)
{
    struct rig *g = *state;

    fake_add(&g->f, 0, "a", FILE_MODE);
    fake_add(&g->f, 0, "d", DIR_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a"), *d = rig_lookup(g, g->root, "d");
    assert_int_equal(cli_rename(g->c, g->root, N("a"), d, N("b"), 0), 0);
    rig_trips(g);
    struct cli_node *again = rig_lookup(g, d, "b");
    assert_int_equal(rig_trips(g), 0);
    assert_ptr_equal(again, n);
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOENT);
    cli_node_put(g->c, again);
    cli_node_put(g->c, n);
    cli_node_put(g->c, d);
}

static void test_noreplace_does_not_replace(void **state)
{
    struct rig *g = *state;

    fake_add(&g->f, 0, "a", FILE_MODE);
    uint32_t b = fake_add(&g->f, 0, "b", FILE_MODE);
    rig_up(state);
    assert_int_equal(cli_rename(g->c, g->root, N("a"), g->root, N("b"), CLI_RENAME_NOREPLACE),
                     -LE_EEXIST);
    assert_int_equal(fake_find(&g->f, 0, "b"), b);
    assert_int_equal(cli_rename(g->c, g->root, N("a"), g->root, N("b"), 0), 0);
    assert_int_not_equal(fake_find(&g->f, 0, "b"), b);
}

static void fallback_does_not_replace(struct rig *g)
{
    uint32_t b = fake_find(&g->f, 0, "b");

    assert_int_equal(cli_rename(g->c, g->root, N("a"), g->root, N("b"), CLI_RENAME_NOREPLACE),
                     -LE_EEXIST);
    assert_int_equal(g->f.count[FUSE_RENAME], 0);
    assert_int_equal(fake_find(&g->f, 0, "b"), b);
    assert_int_equal(cli_rename(g->c, g->root, N("a"), g->root, N("c"), CLI_RENAME_NOREPLACE), 0);
    assert_int_equal(g->f.count[FUSE_RENAME], 1);
    assert_int_not_equal(fake_find(&g->f, 0, "c"), UINT32_MAX);
}

static void test_without_noreplace_on_the_host_the_fallback_does_not_replace(void **state)
{
    struct rig *g = *state;

    g->f.noreplace_is_einval = true;
    fake_add(&g->f, 0, "a", FILE_MODE);
    fake_add(&g->f, 0, "b", FILE_MODE);
    rig_up(state);
    fallback_does_not_replace(g);
}

static void test_without_rename2_on_the_host_the_fallback_does_not_replace(void **state)
{
    struct rig *g = *state;

    g->f.no_rename2 = true;
    fake_add(&g->f, 0, "a", FILE_MODE);
    fake_add(&g->f, 0, "b", FILE_MODE);
    rig_up(state);
    fallback_does_not_replace(g);
    assert_int_equal(g->f.count[FUSE_RENAME2], 1);
}

static void test_the_fallback_believes_no_cache_about_its_target(void **state)
{
    struct rig *g = *state;

    g->f.noreplace_is_einval = true;
    g->f.missing_ms = 60000;
    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    assert_int_equal(rig_try(g, g->root, "b"), -LE_ENOENT);
    fake_add(&g->f, 0, "b", FILE_MODE);
    assert_int_equal(cli_rename(g->c, g->root, N("a"), g->root, N("b"), CLI_RENAME_NOREPLACE),
                     -LE_EEXIST);
}

static void test_exchanged_names_lead_to_each_others_nodes(void **state)
{
    struct rig *g = *state;

    fake_add(&g->f, 0, "a", FILE_MODE);
    fake_add(&g->f, 0, "d", DIR_MODE);
    rig_up(state);
    struct cli_node *a = rig_lookup(g, g->root, "a"), *d = rig_lookup(g, g->root, "d");
    assert_int_equal(cli_rename(g->c, g->root, N("a"), g->root, N("d"), CLI_RENAME_EXCHANGE), 0);
    struct cli_node *now_d = rig_lookup(g, g->root, "d"), *now_a = rig_lookup(g, g->root, "a");
    assert_ptr_equal(now_d, a);
    assert_ptr_equal(now_a, d);
    cli_node_put(g->c, a);
    cli_node_put(g->c, d);
    cli_node_put(g->c, now_a);
    cli_node_put(g->c, now_d);
}

/* ---- ESTALE ---------------------------------------------------------------------------------------------- */

struct stale {
    uint64_t id;      /* that is stale */
    unsigned answers; /* so many times */
};

static int32_t say_stale(struct fake *f, struct fake_call *call)
{
    struct stale *s = f->user;

    if (call->in.nodeid != s->id || s->answers == 0)
        return FAKE_PASS;
    s->answers--;
    return -LE_ESTALE;
}

static void test_a_stale_node_is_found_again_by_its_name(void **state)
{
    struct rig *g = *state;
    struct stale s;
    struct cli_attr a;
    uint32_t node = fake_add(&g->f, 0, "a", FILE_MODE);

    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    s = (struct stale){fake_id(&g->f, node), 1};
    g->f.user = &s;
    g->f.hook = say_stale;
    rig_trips(g);
    assert_int_equal(cli_getattr(g->c, n, true, &a), 0);
    assert_int_equal(rig_trips(g), 3); /* the failure, the lookup, the success */
    cli_node_put(g->c, n);
}

static void test_a_node_whose_name_is_another_file_now_stays_stale(void **state)
{
    struct rig *g = *state;
    struct stale s;
    struct cli_attr a;
    uint32_t node = fake_add(&g->f, 0, "a", FILE_MODE);

    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    fake_remove(&g->f, 0, "a");
    fake_add(&g->f, 0, "a", FILE_MODE);
    s = (struct stale){fake_id(&g->f, node), 1};
    g->f.user = &s;
    g->f.hook = say_stale;
    assert_int_equal(cli_getattr(g->c, n, true, &a), -LE_ESTALE);
    struct cli_node *other = rig_lookup(g, g->root, "a");
    assert_ptr_not_equal(other, n);
    cli_node_put(g->c, other);
    cli_node_put(g->c, n);
}

static void test_a_walk_through_a_stale_directory_asks_for_the_way_again(void **state)
{
    struct rig *g = *state;
    struct cli_name names[] = {N("d"), N("x")};
    struct cli_walk w;
    struct stale s;
    uint32_t d = fake_add(&g->f, 0, "d", DIR_MODE);

    rig_up(state);
    cli_node_put(g->c, rig_lookup(g, g->root, "d"));
    fake_remove(&g->f, 0, "d");
    fake_add(&g->f, fake_add(&g->f, 0, "d", DIR_MODE), "x", FILE_MODE);
    s = (struct stale){fake_id(&g->f, d), 9};
    g->f.user = &s;
    g->f.hook = say_stale;
    assert_int_equal(cli_walk(g->c, names, 2, &w), 0);
    cli_walk_end(g->c, &w);
}

static void test_a_host_that_says_estale_for_ever_is_not_asked_for_ever(void **state)
{
    struct rig *g = *state;
    struct stale s;
    struct cli_attr a;
    uint32_t node = fake_add(&g->f, 0, "a", FILE_MODE);

    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    s = (struct stale){fake_id(&g->f, node), UINT32_MAX};
    g->f.user = &s;
    g->f.hook = say_stale;
    rig_trips(g);
    assert_int_equal(cli_getattr(g->c, n, true, &a), -LE_ESTALE);
    assert_true(rig_trips(g) < 10);
    cli_node_put(g->c, n);
}

/* ---- counts ---------------------------------------------------------------------------------------------- */

static void test_lookups_of_one_node_by_many_names_are_all_given_back(void **state)
{
    struct rig *g = *state;
    char name[16];

    g->f.entry_ms = 0;
    uint32_t node = fake_add(&g->f, 0, "n0", FILE_MODE);
    for (int i = 1; i < 40; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        fake_link(&g->f, 0, name, node);
    }
    rig_up(state);
    struct cli_node *first = rig_lookup(g, g->root, "n0");
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "n%d", i % 40);
        struct cli_node *n = rig_lookup(g, g->root, name);
        assert_ptr_equal(n, first);
        cli_node_put(g->c, n);
    }
    assert_int_equal(g->f.node[node].lookups, 201);
    assert_true(first->n_names <= 8);
    cli_node_put(g->c, first);
}

static void test_few_nodes_are_kept_and_the_rest_is_forgotten(void **state)
{
    struct rig *g = *state;
    struct cli_counters k;
    char name[16];

    g->o.max_nodes = 16;
    rig_up(state);
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        fake_add(&g->f, 0, name, FILE_MODE);
        assert_int_equal(rig_try(g, g->root, name), 0);
        cli_counters_get(g->c, &k);
        assert_true(k.nodes <= 18);
    }
    assert_true(g->f.forgets >= 4);
    assert_true(g->f.forgets <= 6); /* in batches */
    cli_tick(g->c);
    assert_true(fake_lookups(&g->f) <= 18);
}

/* As long as the host counts lookups of it, a deleted file keeps its blocks. */
static void test_a_deleted_file_is_forgotten_within_a_tick(void **state)
{
    struct rig *g = *state;
    uint32_t node = fake_add(&g->f, 0, "a", FILE_MODE);

    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    assert_int_equal(cli_unlink(g->c, g->root, N("a")), 0);
    cli_tick(g->c);
    assert_int_equal(g->f.node[node].lookups, 1); /* still in use */
    cli_node_put(g->c, n);
    cli_tick(g->c);
    assert_int_equal(g->f.node[node].lookups, 0);
}

static void test_few_names_are_kept(void **state)
{
    struct rig *g = *state;
    struct cli_counters k;
    char name[16];

    g->o.max_names = 32;
    g->f.missing_ms = 60000;
    rig_up(state);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "no%d", i);
        assert_int_equal(rig_try(g, g->root, name), -LE_ENOENT);
    }
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        fake_add(&g->f, 0, name, FILE_MODE);
        assert_int_equal(rig_try(g, g->root, name), 0);
    }
    cli_counters_get(g->c, &k);
    assert_true(k.names <= 33);
}

static void test_a_directory_stays_while_something_in_it_does(void **state)
{
    struct rig *g = *state;
    uint32_t d = fake_add(&g->f, 0, "d", DIR_MODE), x = fake_add(&g->f, d, "x", FILE_MODE);
    char name[16];

    g->o.max_nodes = 4;
    rig_up(state);
    struct cli_node *dir = rig_lookup(g, g->root, "d"), *n = rig_lookup(g, dir, "x");
    cli_node_put(g->c, dir);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        fake_add(&g->f, 0, name, FILE_MODE);
        assert_int_equal(rig_try(g, g->root, name), 0);
    }
    cli_tick(g->c);
    assert_int_equal(g->f.node[d].lookups, 1);
    assert_int_equal(g->f.node[x].lookups, 1);
    cli_node_put(g->c, n);
}

/* One step of a random user: any operation on any of a few names in any of a few directories. */
static void random_step(struct rig *g, struct cli_node **dir, unsigned *seed)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    struct cli_node *from = dir[rand_r(seed) % 3], *to = dir[rand_r(seed) % 3], *n = NULL;
    struct cli_name one = N(names[rand_r(seed) % 6]), two = N(names[rand_r(seed) % 6]);
    struct cli_attr a = {.size = 3};

    switch (rand_r(seed) % 10) {
    case 0:
        (void)cli_create(g->c, from, one, 0644, CLI_WRITE, &n, NULL);
        break;
    case 1:
        (void)cli_mkdir(g->c, from, one, 0755, &n);
        break;
    case 2:
        (void)cli_unlink(g->c, from, one);
        break;
    case 3:
        (void)cli_rmdir(g->c, from, one);
        break;
    case 4:
    case 5:
        (void)cli_rename(g->c, from, one, to, two, (uint32_t)rand_r(seed) % 3);
        break;
    case 6:
        (void)cli_symlink(g->c, from, one, "x", &n);
        break;
    case 7:
        (void)cli_getattr(g->c, from, rand_r(seed) % 2, &a);
        break;
    default:
        (void)cli_lookup(g->c, from, one, &n, NULL);
        break;
    }
    if (n && cli_node_type(n) == LX_S_IFREG)
        (void)cli_setattr(g->c, n, CLI_SET_SIZE, &a, NULL);
    cli_node_put(g->c, n);
}

static void random_users(struct rig *g, unsigned seed)
{
    struct cli_node *dir[3] = {g->root};

    fake_add(&g->f, 0, "one", DIR_MODE);
    fake_add(&g->f, 0, "two", DIR_MODE);
    dir[1] = rig_lookup(g, g->root, "one");
    dir[2] = rig_lookup(g, g->root, "two");
    for (int i = 0; i < 4000; i++) {
        random_step(g, dir, &seed);
        if (i % 500 == 0)
            cli_tick(g->c);
    }
    cli_node_put(g->c, dir[1]);
    cli_node_put(g->c, dir[2]);
}

/* That the balance is exact is what every test's teardown demands. */
static void test_random_operations_leave_no_lookup_behind(void **state)
{
    rig_up(state);
    random_users(*state, 1);
}

static void test_random_operations_in_a_tiny_cache_leave_no_lookup_behind(void **state)
{
    struct rig *g = *state;

    g->o.max_nodes = 2;
    g->o.max_names = 4;
    g->f.entry_ms = g->f.attr_ms = 0;
    g->f.missing_ms = 1000;
    rig_up(state);
    random_users(g, 2);
}

static void test_random_operations_regardless_of_case_leave_no_lookup_behind(void **state)
{
    struct rig *g = *state;

    g->o.case_insensitive = true;
    rig_up(state);
    random_users(g, 3);
}

static void test_files_with_a_handle_are_created_and_closed(void **state)
{
    struct rig *g = rig_up(state);
    struct cli_node *n;
    struct cli_file *file;

    assert_int_equal(cli_create(g->c, g->root, N("a"), 0644, CLI_WRITE, &n, &file), 0);
    assert_int_equal(g->f.open_handles, 1);
    cli_file_close(g->c, file);
    cli_node_put(g->c, n);
    make_file(g, g->root, "b");
    assert_int_equal(g->f.open_handles, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_a_change_whose_answer_is_lost_may_have_happened),
        RIG_TEST(test_creating_a_file_costs_one_trip_beside_its_release),
        RIG_TEST(test_what_exists_is_not_created),
        RIG_TEST(test_things_are_made_as_their_owner_and_looked_up_as_root),
        RIG_TEST(test_a_link_says_where_it_leads),
        RIG_TEST(test_a_device_is_made_as_what_it_is),
        RIG_TEST(test_a_removed_name_is_gone_and_its_node_stays_usable),
        RIG_TEST(test_directories_and_files_are_removed_each_in_its_way),
        RIG_TEST(test_a_renamed_file_is_known_under_its_new_name),
        RIG_TEST(test_noreplace_does_not_replace),
        RIG_TEST(test_without_noreplace_on_the_host_the_fallback_does_not_replace),
        RIG_TEST(test_without_rename2_on_the_host_the_fallback_does_not_replace),
        RIG_TEST(test_the_fallback_believes_no_cache_about_its_target),
        RIG_TEST(test_exchanged_names_lead_to_each_others_nodes),
        RIG_TEST(test_a_stale_node_is_found_again_by_its_name),
        RIG_TEST(test_a_node_whose_name_is_another_file_now_stays_stale),
        RIG_TEST(test_a_walk_through_a_stale_directory_asks_for_the_way_again),
        RIG_TEST(test_a_host_that_says_estale_for_ever_is_not_asked_for_ever),
        RIG_TEST(test_lookups_of_one_node_by_many_names_are_all_given_back),
        RIG_TEST(test_few_nodes_are_kept_and_the_rest_is_forgotten),
        RIG_TEST(test_a_deleted_file_is_forgotten_within_a_tick),
        RIG_TEST(test_few_names_are_kept),
        RIG_TEST(test_a_directory_stays_while_something_in_it_does),
        RIG_TEST(test_random_operations_leave_no_lookup_behind),
        RIG_TEST(test_random_operations_in_a_tiny_cache_leave_no_lookup_behind),
        RIG_TEST(test_random_operations_regardless_of_case_leave_no_lookup_behind),
        RIG_TEST(test_files_with_a_handle_are_created_and_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
