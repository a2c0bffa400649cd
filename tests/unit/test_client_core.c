// SPDX-License-Identifier: BSD-3-Clause
/* What the client asks, and what it knows without asking. */
#include "tests/unit/client_rig.h"

/* ---- the session ------------------------------------------------------------------------------------ */

static void test_opening_costs_init_probe_and_the_root(void **state)
{
    struct rig *g = rig_up(state);

    assert_int_equal(g->f.requests, 3);
    assert_int_equal(g->f.count[FUSE_INIT], 1);
    assert_int_equal(g->f.count[63], 1);
    assert_int_equal(g->f.count[FUSE_GETATTR], 1);
}

static void test_init_offers_what_the_client_honours(void **state)
{
    struct rig *g = rig_up(state);
    const uint32_t want = FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |
                          FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_DO_READDIRPLUS | FUSE_DONT_MASK |
                          FUSE_HANDLE_KILLPRIV_V2 | FUSE_SUBMOUNTS | FUSE_INIT_EXT;

    assert_int_equal(g->f.init.flags & want, want);
    assert_false(g->f.init.flags & (FUSE_ATOMIC_O_TRUNC | FUSE_WRITEBACK_CACHE | FUSE_POSIX_ACL));
    assert_int_equal(g->f.init.major, 7);
}

static void test_sizes_are_the_smaller_of_host_and_transport(void **state)
{
    struct rig *g = *state;
    struct cli_session s;

    g->f.max_transfer = 65536;
    rig_up(state);
    cli_session_get(g->c, &s);
    assert_int_equal(s.max_read, 65536);
    assert_int_equal(s.max_write, 65536);
    assert_true(s.extension);
}

static void test_a_host_without_the_extension_is_asked_in_standard_words(void **state)
{
    struct rig *g = *state;
    struct cli_session s;

    g->f.extension = false;
    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    cli_session_get(g->c, &s);
    assert_false(s.extension);
    cli_node_put(g->c, rig_lookup(g, g->root, "a"));
}

static void test_a_transport_that_is_too_narrow_is_refused(void **state)
{
    struct rig *g = *state;
    struct cli *c;

    g->f.max_request = 100;
    assert_int_equal(cli_open(&c, &g->f.transport, NULL), -LE_EINVAL);
}

static int32_t old_minor(struct fake *f, struct fake_call *call)
{
    struct fuse_init_out out = {.major = 7, .minor = 12};

    (void)f;
    if (call->in.opcode != FUSE_INIT)
        return FAKE_PASS;
    memcpy(call->reply, &out, sizeof(out));
    return sizeof(out);
}

static void test_a_host_that_is_too_old_is_refused(void **state)
{
    struct rig *g = *state;
    struct cli *c;

    g->f.hook = old_minor;
    assert_int_equal(cli_open(&c, &g->f.transport, NULL), -LE_EOPNOTSUPP);
}

/* ---- names ------------------------------------------------------------------------------------------- */

static void test_a_known_name_is_not_asked_again(void **state)
{
    struct rig *g = *state;

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    cli_node_put(g->c, rig_lookup(g, g->root, "a"));
    rig_trips(g);
    cli_node_put(g->c, rig_lookup(g, g->root, "a"));
    assert_int_equal(rig_trips(g), 0);
}

static void test_a_name_is_asked_again_when_its_time_is_over(void **state)
{
    struct rig *g = *state;

    g->f.entry_ms = 20;
    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    cli_node_put(g->c, rig_lookup(g, g->root, "a"));
    usleep(30000);
    rig_trips(g);
    cli_node_put(g->c, rig_lookup(g, g->root, "a"));
    assert_int_equal(rig_trips(g), 1);
}

static void test_a_name_without_validity_is_asked_each_time(void **state)
{
    struct rig *g = *state;

    g->f.entry_ms = 0;
    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    rig_trips(g);
    for (int i = 0; i < 3; i++)
        cli_node_put(g->c, rig_lookup(g, g->root, "a"));
    assert_int_equal(rig_trips(g), 3);
}

static void test_the_same_node_comes_back_for_the_same_id(void **state)
{
    struct rig *g = *state;

    g->f.entry_ms = 0;
    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_node *a = rig_lookup(g, g->root, "a"), *b = rig_lookup(g, g->root, "a");
    assert_ptr_equal(a, b);
    cli_node_put(g->c, a);
    cli_node_put(g->c, b);
}

static void test_a_missing_name_is_believed_as_long_as_the_host_says(void **state)
{
    struct rig *g = *state;

    g->f.missing_ms = 60000;
    rig_up(state);
    assert_int_equal(rig_try(g, g->root, "no"), -LE_ENOENT);
    rig_trips(g);
    assert_int_equal(rig_try(g, g->root, "no"), -LE_ENOENT);
    assert_int_equal(rig_trips(g), 0);
}

static void test_a_missing_name_without_validity_is_asked_each_time(void **state)
{
    struct rig *g = rig_up(state);

    rig_trips(g);
    assert_int_equal(rig_try(g, g->root, "no"), -LE_ENOENT);
    assert_int_equal(rig_try(g, g->root, "no"), -LE_ENOENT);
    assert_int_equal(rig_trips(g), 2);
}

static void test_making_a_missing_name_ends_the_belief(void **state)
{
    struct rig *g = *state;
    struct cli_node *n;

    g->f.missing_ms = 60000;
    rig_up(state);
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOENT);
    assert_int_equal(cli_mkdir(g->c, g->root, N("a"), 0755, &n), 0);
    cli_node_put(g->c, n);
    rig_trips(g);
    assert_int_equal(rig_try(g, g->root, "a"), 0);
    assert_int_equal(rig_trips(g), 0);
}

static void test_a_new_mtime_of_the_directory_ends_all_belief_in_its_names(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    g->f.missing_ms = 60000;
    fake_add(&g->f, 0, "old", FILE_MODE);
    rig_up(state);
    assert_int_equal(rig_try(g, g->root, "old"), 0);
    assert_int_equal(rig_try(g, g->root, "new"), -LE_ENOENT);
    fake_add(&g->f, 0, "new", FILE_MODE);
    assert_int_equal(cli_getattr(g->c, g->root, true, &a), 0);
    rig_trips(g);
    assert_int_equal(rig_try(g, g->root, "new"), 0);
    assert_int_equal(rig_try(g, g->root, "old"), 0);
    assert_int_equal(rig_trips(g), 2);
}

static void test_our_own_change_does_not_end_belief_in_other_names(void **state)
{
    struct rig *g = *state;
    struct cli_node *n;
    struct cli_attr a;

    fake_add(&g->f, 0, "old", FILE_MODE);
    rig_up(state);
    assert_int_equal(rig_try(g, g->root, "old"), 0);
    assert_int_equal(cli_mkdir(g->c, g->root, N("d"), 0755, &n), 0);
    cli_node_put(g->c, n);
    assert_int_equal(cli_getattr(g->c, g->root, false, &a), 0);
    rig_trips(g);
    assert_int_equal(rig_try(g, g->root, "old"), 0);
    assert_int_equal(rig_trips(g), 0);
}

static void test_a_forgotten_name_is_asked_again(void **state)
{
    struct rig *g = *state;

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    assert_int_equal(rig_try(g, g->root, "a"), 0);
    cli_forget_name(g->c, g->root, N("a"));
    rig_trips(g);
    assert_int_equal(rig_try(g, g->root, "a"), 0);
    assert_int_equal(rig_trips(g), 1);
    cli_forget_name(g->c, g->root, (struct cli_name){0});
    assert_int_equal(rig_try(g, g->root, "a"), 0);
    assert_int_equal(rig_trips(g), 1);
}

static void test_names_that_are_none_are_refused_without_asking(void **state)
{
    struct rig *g = rig_up(state);
    char longest[300];
    struct cli_node *n;

    memset(longest, 'x', sizeof(longest));
    rig_trips(g);
    assert_int_equal(rig_try(g, g->root, "a/b"), -LE_EINVAL);
    assert_int_equal(rig_try(g, g->root, ".."), -LE_EINVAL);
    assert_int_equal(rig_try(g, g->root, ""), -LE_EINVAL);
    assert_int_equal(cli_lookup(g->c, g->root, (struct cli_name){longest, 256}, &n, NULL),
                     -LE_ENAMETOOLONG);
    assert_int_equal(rig_trips(g), 0);
}

/* ---- paths -------------------------------------------------------------------------------------------- */

static void test_a_walk_asks_for_what_is_unknown_only(void **state)
{
    struct rig *g = *state;
    struct cli_name names[] = {N("a"), N("b"), N("c")};
    struct cli_walk w;

    fake_add(&g->f, fake_add(&g->f, fake_add(&g->f, 0, "a", DIR_MODE), "b", DIR_MODE), "c",
             FILE_MODE);
    rig_up(state);
    rig_trips(g);
    assert_int_equal(cli_walk(g->c, names, 3, &w), 0);
    assert_int_equal(rig_trips(g), 3);
    assert_int_equal(w.depth, 3);
    assert_int_equal(w.spelling_len, 5);
    assert_memory_equal(w.spelling, "a/b/c", 5);
    assert_int_equal(cli_node_type(w.parent), LX_S_IFDIR);
    cli_walk_end(g->c, &w);
    assert_int_equal(cli_walk(g->c, names, 3, &w), 0);
    cli_walk_end(g->c, &w);
    assert_int_equal(rig_trips(g), 0);
}

static void test_a_walk_to_the_root_has_no_parent(void **state)
{
    struct rig *g = rig_up(state);
    struct cli_walk w;

    assert_int_equal(cli_walk(g->c, NULL, 0, &w), 0);
    assert_ptr_equal(w.node, g->root);
    assert_null(w.parent);
    cli_walk_end(g->c, &w);
}

static void test_a_walk_tells_a_missing_name_from_a_missing_path(void **state)
{
    struct rig *g = *state;
    struct cli_name last[] = {N("a"), N("no")}, middle[] = {N("no"), N("x"), N("y")};
    struct cli_walk w;

    fake_add(&g->f, 0, "a", DIR_MODE);
    rig_up(state);
    assert_int_equal(cli_walk(g->c, last, 2, &w), -LE_ENOENT);
    assert_int_equal(w.depth, 1);
    assert_null(w.node);
    assert_non_null(w.parent);
    cli_walk_end(g->c, &w);
    assert_int_equal(cli_walk(g->c, middle, 3, &w), -LE_ENOENT);
    assert_int_equal(w.depth, 0);
    assert_null(w.parent);
    cli_walk_end(g->c, &w);
}

static void test_a_walk_stops_at_a_link_and_at_a_file_in_its_way(void **state)
{
    struct rig *g = *state;
    struct cli_name link[] = {N("d"), N("l"), N("x")}, file[] = {N("f"), N("x")};
    struct cli_walk w;
    uint32_t d;

    d = fake_add(&g->f, 0, "d", DIR_MODE);
    fake_add(&g->f, d, "l", LINK_MODE);
    fake_add(&g->f, 0, "f", FILE_MODE);
    rig_up(state);
    assert_int_equal(cli_walk(g->c, link, 3, &w), CLI_WALK_SYMLINK);
    assert_int_equal(w.depth, 1);
    assert_int_equal(cli_node_type(w.node), LX_S_IFLNK);
    assert_memory_equal(w.spelling, "d", 1);
    cli_walk_end(g->c, &w);
    assert_int_equal(cli_walk(g->c, file, 2, &w), -LE_ENOTDIR);
    assert_int_equal(w.depth, 0);
    cli_walk_end(g->c, &w);
}

static void test_a_link_at_the_end_of_a_walk_is_not_followed(void **state)
{
    struct rig *g = *state;
    struct cli_name names[] = {N("l")};
    struct cli_walk w;

    fake_add(&g->f, 0, "l", LINK_MODE);
    rig_up(state);
    assert_int_equal(cli_walk(g->c, names, 1, &w), 0);
    assert_int_equal(cli_node_type(w.node), LX_S_IFLNK);
    cli_walk_end(g->c, &w);
}

/* ---- attributes ------------------------------------------------------------------------------------------ */

static void test_attributes_come_with_the_name(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    g->f.node[fake_add(&g->f, 0, "a", FILE_MODE)].size = 77;
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    rig_trips(g);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(rig_trips(g), 0);
    assert_int_equal(a.size, 77);
    assert_true(a.has_btime);
    assert_int_equal(cli_getattr(g->c, n, true, &a), 0);
    assert_int_equal(rig_trips(g), 1);
    cli_node_put(g->c, n);
}

static void test_attributes_without_validity_are_asked_each_time(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    g->f.attr_ms = 0;
    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    rig_trips(g);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(rig_trips(g), 2);
    cli_node_put(g->c, n);
}

static void test_setting_attributes_brings_the_new_ones_in_one_trip(void **state)
{
    struct rig *g = *state;
    struct cli_attr a = {.size = 5, .mode = 0600}, out;

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    rig_trips(g);
    assert_int_equal(cli_setattr(g->c, n, CLI_SET_SIZE | CLI_SET_MODE, &a, &out), 0);
    assert_int_equal(out.size, 5);
    assert_int_equal(out.mode, 0100600);
    assert_true(out.has_btime);
    assert_int_equal(cli_getattr(g->c, n, false, &out), 0);
    assert_int_equal(out.size, 5);
    assert_int_equal(rig_trips(g), 1);
    cli_node_put(g->c, n);
}

static void test_an_answer_older_than_our_change_is_not_kept(void **state)
{
    struct rig *g = *state;
    struct cli_attr a, old;

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    uint64_t stamp = cli_stamp(g->c);
    assert_int_equal(cli_getattr(g->c, n, true, &old), 0);
    a = old;
    a.size = 9;
    assert_int_equal(cli_setattr(g->c, n, CLI_SET_SIZE, &a, NULL), 0);
    assert_int_equal(cli_attr_store(g->c, n, &old, 60000, stamp), 0);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(a.size, 9);
    cli_node_put(g->c, n);
}

static void test_a_write_makes_the_cached_file_longer(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    g->f.node[fake_add(&g->f, 0, "a", FILE_MODE)].size = 10;
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    uint64_t stamp = cli_stamp(g->c);
    cli_attr_wrote(g->c, n, 100, stamp);
    rig_trips(g);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(a.size, 100);
    assert_int_equal(rig_trips(g), 0);
    cli_attr_wrote(g->c, n, 50, stamp);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(a.size, 100);
    cli_node_put(g->c, n);
}

static void test_a_write_asked_for_before_a_truncation_leaves_the_size_open(void **state)
{
    struct rig *g = *state;
    struct cli_attr a = {.size = 0};

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    uint64_t stamp = cli_stamp(g->c);
    assert_int_equal(cli_setattr(g->c, n, CLI_SET_SIZE, &a, NULL), 0);
    cli_attr_wrote(g->c, n, 100, stamp);
    rig_trips(g);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(rig_trips(g), 1);
    assert_int_equal(a.size, 0);
    cli_node_put(g->c, n);
}

static void test_birth_times_of_a_plain_host_cost_one_statx_per_node(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    g->f.extension = false;
    g->f.attr_ms = 0;
    g->o.want_btime = true;
    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
        assert_true(a.has_btime);
    }
    assert_int_equal(g->f.count[VIOFS_FUSE_STATX], 2); /* the root's is the other */
    cli_node_put(g->c, n);
}

static void test_a_host_that_does_not_know_statx_is_asked_once(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    g->f.extension = g->f.statx = false;
    g->f.attr_ms = 0;
    g->o.want_btime = true;
    rig_up(state);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cli_getattr(g->c, g->root, true, &a), 0);
    assert_false(a.has_btime);
    assert_int_equal(g->f.count[VIOFS_FUSE_STATX], 1);
}

static void test_attributes_hold_on_a_host_without_birth_times(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    g->f.extension = g->f.statx = false;
    g->o.want_btime = true;
    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    assert_int_equal(cli_getattr(g->c, g->root, true, &a), 0); /* hears ENOSYS */
    struct cli_node *n = rig_lookup(g, g->root, "a");
    rig_trips(g);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(rig_trips(g), 0);
    cli_node_put(g->c, n);
}

/* ---- ENOSYS and the like ----------------------------------------------------------------------------------- */

static void test_what_the_host_does_not_know_is_asked_once(void **state)
{
    struct rig *g = *state;

    g->f.enosys = 1ull << FUSE_SYNCFS;
    rig_up(state);
    assert_int_equal(cli_syncfs(g->c), -LE_ENOSYS);
    assert_int_equal(cli_syncfs(g->c), -LE_ENOSYS);
    assert_int_equal(g->f.count[FUSE_SYNCFS], 1);
}

static void test_enosys_for_what_every_host_knows_is_not_remembered(void **state)
{
    struct rig *g = *state;

    fake_add(&g->f, 0, "a", FILE_MODE);
    g->f.extension = false;
    rig_up(state);
    g->f.enosys = 1ull << FUSE_LOOKUP;
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOSYS);
    g->f.enosys = 0;
    assert_int_equal(rig_try(g, g->root, "a"), 0);
}

static void test_a_read_only_share_refuses_changes_without_asking(void **state)
{
    struct rig *g = *state;
    struct cli_node *n;
    struct cli_attr a = {0};

    g->o.read_only = true;
    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    rig_trips(g);
    assert_int_equal(cli_mkdir(g->c, g->root, N("d"), 0755, &n), -LE_EROFS);
    assert_int_equal(cli_create(g->c, g->root, N("f"), 0644, CLI_WRITE, &n, NULL), -LE_EROFS);
    assert_int_equal(cli_unlink(g->c, g->root, N("a")), -LE_EROFS);
    assert_int_equal(cli_rename(g->c, g->root, N("a"), g->root, N("b"), 0), -LE_EROFS);
    assert_int_equal(cli_setattr(g->c, g->root, CLI_SET_MODE, &a, NULL), -LE_EROFS);
    assert_int_equal(rig_trips(g), 0);
    assert_int_equal(rig_try(g, g->root, "a"), 0);
}

static void test_space_is_asked_once_a_second(void **state)
{
    struct rig *g = rig_up(state);
    struct cli_statfs s;

    assert_int_equal(cli_statfs(g->c, &s), 0);
    assert_int_equal(cli_statfs(g->c, &s), 0);
    assert_int_equal(s.frsize, 512);
    assert_int_equal(g->f.count[FUSE_STATFS], 1);
}

static int32_t own_enotconn(struct fake *f, struct fake_call *call)
{
    (void)f;
    return call->in.opcode == FUSE_SYNCFS ? -LE_ENOTCONN : FAKE_PASS;
}

static void test_a_file_system_that_says_enotconn_does_not_end_the_session(void **state)
{
    struct rig *g = rig_up(state);

    g->f.hook = own_enotconn;
    assert_int_equal(cli_syncfs(g->c), -LE_EIO);
    assert_int_equal(rig_try(g, g->root, "no"), -LE_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_opening_costs_init_probe_and_the_root),
        RIG_TEST(test_init_offers_what_the_client_honours),
        RIG_TEST(test_sizes_are_the_smaller_of_host_and_transport),
        RIG_TEST(test_a_host_without_the_extension_is_asked_in_standard_words),
        RIG_TEST(test_a_transport_that_is_too_narrow_is_refused),
        RIG_TEST(test_a_host_that_is_too_old_is_refused),
        RIG_TEST(test_a_known_name_is_not_asked_again),
        RIG_TEST(test_a_name_is_asked_again_when_its_time_is_over),
        RIG_TEST(test_a_name_without_validity_is_asked_each_time),
        RIG_TEST(test_the_same_node_comes_back_for_the_same_id),
        RIG_TEST(test_a_missing_name_is_believed_as_long_as_the_host_says),
        RIG_TEST(test_a_missing_name_without_validity_is_asked_each_time),
        RIG_TEST(test_making_a_missing_name_ends_the_belief),
        RIG_TEST(test_a_new_mtime_of_the_directory_ends_all_belief_in_its_names),
        RIG_TEST(test_our_own_change_does_not_end_belief_in_other_names),
        RIG_TEST(test_a_forgotten_name_is_asked_again),
        RIG_TEST(test_names_that_are_none_are_refused_without_asking),
        RIG_TEST(test_a_walk_asks_for_what_is_unknown_only),
        RIG_TEST(test_a_walk_to_the_root_has_no_parent),
        RIG_TEST(test_a_walk_tells_a_missing_name_from_a_missing_path),
        RIG_TEST(test_a_walk_stops_at_a_link_and_at_a_file_in_its_way),
        RIG_TEST(test_a_link_at_the_end_of_a_walk_is_not_followed),
        RIG_TEST(test_attributes_come_with_the_name),
        RIG_TEST(test_attributes_without_validity_are_asked_each_time),
        RIG_TEST(test_setting_attributes_brings_the_new_ones_in_one_trip),
        RIG_TEST(test_an_answer_older_than_our_change_is_not_kept),
        RIG_TEST(test_a_write_makes_the_cached_file_longer),
        RIG_TEST(test_a_write_asked_for_before_a_truncation_leaves_the_size_open),
        RIG_TEST(test_birth_times_of_a_plain_host_cost_one_statx_per_node),
        RIG_TEST(test_a_host_that_does_not_know_statx_is_asked_once),
        RIG_TEST(test_attributes_hold_on_a_host_without_birth_times),
        RIG_TEST(test_what_the_host_does_not_know_is_asked_once),
        RIG_TEST(test_enosys_for_what_every_host_knows_is_not_remembered),
        RIG_TEST(test_a_read_only_share_refuses_changes_without_asking),
        RIG_TEST(test_space_is_asked_once_a_second),
        RIG_TEST(test_a_file_system_that_says_enotconn_does_not_end_the_session),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
