// SPDX-License-Identifier: BSD-3-Clause
/* Many threads on one client, and daemons that come and go meanwhile. */
#include "tests/unit/client_rig.h"

enum { THREADS = 16, STEPS = 250 };

struct user {
    struct rig *g;
    unsigned seed;
    pthread_t thread;
};

/* ---- a crowd ------------------------------------------------------------------------------------------------ */

static void change_something(struct rig *g, struct cli_node *dir, unsigned *seed)
{
    static const char *const names[] = {"a", "B", "c", "D", "e", "one", "two"};
    struct cli_name one = N(names[rand_r(seed) % 7]), two = N(names[rand_r(seed) % 5]);
    struct cli_attr a = {.size = 7};
    struct cli_node *n = NULL;

    switch (rand_r(seed) % 8) {
    case 0:
        (void)cli_create(g->c, dir, one, 0644, CLI_WRITE, &n, NULL);
        break;
    case 1:
        (void)cli_mkdir(g->c, dir, one, 0755, &n);
        break;
    case 2:
        (void)cli_unlink(g->c, dir, one);
        break;
    case 3:
        (void)cli_rename(g->c, dir, one, g->root, two, (uint32_t)rand_r(seed) % 2);
        break;
    case 4:
        (void)cli_getattr(g->c, dir, true, &a);
        break;
    default:
        (void)cli_lookup(g->c, dir, one, &n, NULL);
        break;
    }
    if (n && cli_node_type(n) == LX_S_IFREG)
        (void)cli_setattr(g->c, n, CLI_SET_SIZE, &a, NULL);
    cli_node_put(g->c, n);
}

static void *use(void *arg)
{
    struct user *u = arg;
    struct cli_name path[] = {N("one"), N("two")};

    for (int i = 0; i < STEPS; i++) {
        struct cli_walk w;
        int r = cli_walk(u->g->c, path, (unsigned)rand_r(&u->seed) % 3, &w);
        if (r == 0 && w.node && cli_node_type(w.node) == LX_S_IFDIR)
            change_something(u->g, w.node, &u->seed);
        cli_walk_end(u->g->c, &w);
        if (i % 50 == 0)
            cli_tick(u->g->c);
    }
    return NULL;
}

static void crowd(struct rig *g, void (*meanwhile)(struct rig *g))
{
    struct user user[THREADS];

    fake_add(&g->f, fake_add(&g->f, 0, "one", DIR_MODE), "two", DIR_MODE);
    for (unsigned i = 0; i < THREADS; i++) {
        user[i] = (struct user){.g = g, .seed = i};
        assert_int_equal(pthread_create(&user[i].thread, NULL, use, &user[i]), 0);
    }
    if (meanwhile)
        meanwhile(g);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(user[i].thread, NULL);
}

static void test_many_threads_leave_no_lookup_behind(void **state)
{
    crowd(rig_up(state), NULL);
}

static void test_many_threads_in_a_tiny_cache_leave_no_lookup_behind(void **state)
{
    struct rig *g = *state;

    g->o.max_nodes = 3;
    g->o.max_names = 6;
    g->f.entry_ms = g->f.attr_ms = 1;
    g->f.missing_ms = 2;
    crowd(rig_up(state), NULL);
}

static void test_many_threads_regardless_of_case_leave_no_lookup_behind(void **state)
{
    struct rig *g = *state;

    g->o.case_insensitive = true;
    g->f.attr_ms = 1;
    crowd(rig_up(state), NULL);
}

static void replace_daemons(struct rig *g)
{
    for (int i = 0; i < 12; i++) {
        usleep(10000);
        fake_die(&g->f);
        usleep(1000);
        fake_revive(&g->f);
        assert_int_equal(cli_recover(g->c), 0);
    }
}

static void test_many_threads_survive_many_daemons(void **state)
{
    struct rig *g = rig_up(state);

    crowd(g, replace_daemons);
    assert_int_equal(rig_try(g, g->root, "surely-not"), -LE_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_many_threads_leave_no_lookup_behind),
        RIG_TEST(test_many_threads_in_a_tiny_cache_leave_no_lookup_behind),
        RIG_TEST(test_many_threads_regardless_of_case_leave_no_lookup_behind),
        RIG_TEST(test_many_threads_survive_many_daemons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
