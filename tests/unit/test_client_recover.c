// SPDX-License-Identifier: BSD-3-Clause
/* The daemon goes and another one comes; the daemon is silent. */
#include "tests/unit/client_rig.h"

static void replace_daemon(struct rig *g)
{
    fake_die(&g->f);
    fake_revive(&g->f);
    assert_int_equal(cli_recover(g->c), 0);
}

/* ---- another session ------------------------------------------------------------------------------------- */

static void test_after_the_session_everything_is_enotconn_until_recovery(void **state)
{
    struct rig *g = *state;

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    fake_die(&g->f);
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOTCONN);
    fake_revive(&g->f);
    rig_trips(g);
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOTCONN);
    assert_int_equal(rig_trips(g), 0);
    assert_int_equal(cli_recover(g->c), 0);
    assert_int_equal(rig_try(g, g->root, "a"), 0);
    assert_int_equal(g->f.count[FUSE_INIT], 2);
}

static void test_a_tick_notices_a_new_epoch(void **state)
{
    struct rig *g = rig_up(state);

    fake_revive(&g->f); /* a reset that no request ran into */
    cli_tick(g->c);
    assert_int_equal(cli_session_no(g->c), 0);
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOTCONN);
    assert_int_equal(cli_recover(g->c), 0);
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOENT);
}

static void test_recovery_fails_while_nobody_is_there(void **state)
{
    struct rig *g = rig_up(state);

    fake_die(&g->f);
    assert_int_equal(cli_recover(g->c), -LE_ENOTCONN);
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOTCONN);
    fake_revive(&g->f);
    assert_int_equal(cli_recover(g->c), 0);
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOENT);
}

static void test_attributes_of_the_old_session_are_not_believed(void **state)
{
    struct rig *g = *state;
    uint32_t file = fake_add(&g->f, 0, "a", FILE_MODE);
    struct cli_attr a;

    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    fake_die(&g->f);
    g->f.node[file].size = 12345;
    fake_revive(&g->f);
    assert_int_equal(cli_recover(g->c), 0);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(a.size, 12345);
    cli_node_put(g->c, n);
}

static void test_a_node_deep_in_the_tree_is_found_again_when_used(void **state)
{
    struct rig *g = *state;
    struct cli_name names[] = {N("a"), N("b"), N("c")};
    struct cli_walk w;
    struct cli_attr a;
    uint32_t c;

    c = fake_add(&g->f, fake_add(&g->f, fake_add(&g->f, 0, "a", DIR_MODE), "b", DIR_MODE), "c",
                 FILE_MODE);
    rig_up(state);
    assert_int_equal(cli_walk(g->c, names, 3, &w), 0);
    struct cli_node *n = cli_node_get(w.node);
    cli_walk_end(g->c, &w);
    g->f.node[c].size = 99;
    replace_daemon(g);
    rig_trips(g);
    assert_int_equal(cli_getattr(g->c, n, true, &a), 0);
    assert_int_equal(a.size, 99);
    assert_int_equal(rig_trips(g), 4); /* three lookups and the question itself */
    cli_node_put(g->c, n);
}

static void test_recovery_itself_asks_for_no_node(void **state)
{
    struct rig *g = *state;

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    rig_trips(g);
    replace_daemon(g);
    assert_int_equal(rig_trips(g), 3); /* INIT, the probe, the root */
    cli_node_put(g->c, n);
}

static void test_another_file_of_the_same_name_is_not_taken_for_the_same(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    fake_die(&g->f);
    fake_remove(&g->f, 0, "a");
    fake_add(&g->f, 0, "a", FILE_MODE);
    fake_revive(&g->f);
    assert_int_equal(cli_recover(g->c), 0);
    assert_int_equal(cli_getattr(g->c, n, true, &a), -LE_ESTALE);
    assert_int_equal(cli_getattr(g->c, n, true, &a), -LE_ESTALE);
    struct cli_node *other = rig_lookup(g, g->root, "a");
    assert_ptr_not_equal(other, n);
    assert_int_equal(cli_getattr(g->c, other, true, &a), 0);
    cli_node_put(g->c, other);
    cli_node_put(g->c, n);
}

static void test_without_birth_times_the_inode_number_tells_files_apart(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    g->f.extension = false;
    fake_add(&g->f, 0, "a", FILE_MODE);
    fake_add(&g->f, 0, "b", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a"), *m = rig_lookup(g, g->root, "b");
    fake_die(&g->f);
    fake_remove(&g->f, 0, "a");
    fake_add(&g->f, 0, "a", FILE_MODE);
    fake_revive(&g->f);
    assert_int_equal(cli_recover(g->c), 0);
    assert_int_equal(cli_getattr(g->c, n, true, &a), -LE_ESTALE);
    assert_int_equal(cli_getattr(g->c, m, true, &a), 0);
    cli_node_put(g->c, n);
    cli_node_put(g->c, m);
}

static void test_a_reused_inode_number_is_told_by_its_birth_time(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    uint32_t old = fake_add(&g->f, 0, "a", FILE_MODE);
    uint64_t ino = g->f.node[old].ino;
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    fake_die(&g->f);
    fake_remove(&g->f, 0, "a");
    g->f.node[fake_add(&g->f, 0, "a", FILE_MODE)].ino = ino;
    fake_revive(&g->f);
    assert_int_equal(cli_recover(g->c), 0);
    assert_int_equal(cli_getattr(g->c, n, true, &a), -LE_ESTALE);
    cli_node_put(g->c, n);
}

static void test_a_file_that_is_gone_is_stale(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    fake_remove(&g->f, 0, "a");
    replace_daemon(g);
    assert_int_equal(cli_getattr(g->c, n, true, &a), -LE_ESTALE);
    cli_node_put(g->c, n);
}

static void test_a_file_with_two_names_is_found_by_the_one_that_is_left(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    uint32_t node = fake_add(&g->f, 0, "a", FILE_MODE);
    fake_link(&g->f, 0, "b", node);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a"), *m = rig_lookup(g, g->root, "b");
    assert_ptr_equal(n, m);
    fake_remove(&g->f, 0, "a");
    replace_daemon(g);
    assert_int_equal(cli_getattr(g->c, n, true, &a), 0);
    cli_node_put(g->c, n);
    cli_node_put(g->c, m);
}

static void test_a_file_entered_anew_by_another_name_is_shared(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    uint32_t node = fake_add(&g->f, 0, "a", FILE_MODE);
    fake_link(&g->f, 0, "b", node);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    replace_daemon(g);
    struct cli_node *m = rig_lookup(g, g->root, "b"); /* a name that n does not know */
    assert_int_equal(cli_getattr(g->c, n, true, &a), 0);
    assert_int_equal(cli_getattr(g->c, m, true, &a), 0);
    assert_int_equal(g->f.node[node].lookups, 2);
    cli_node_put(g->c, m);
    assert_int_equal(cli_getattr(g->c, n, true, &a), 0);
    cli_node_put(g->c, n);
}

static void test_a_file_that_we_renamed_is_found_by_its_new_name(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    assert_int_equal(cli_rename(g->c, g->root, N("a"), g->root, N("b"), 0), 0);
    replace_daemon(g);
    assert_int_equal(cli_getattr(g->c, n, true, &a), 0);
    cli_node_put(g->c, n);
}

static void test_a_handle_of_the_old_session_is_not_sent_to_the_new_one(void **state)
{
    struct rig *g = *state;
    struct cli_node *n;
    struct cli_file *file;

    rig_up(state);
    assert_int_equal(cli_create(g->c, g->root, N("a"), 0644, CLI_WRITE, &n, &file), 0);
    replace_daemon(g);
    uint64_t before = g->f.count[FUSE_RELEASE];
    cli_file_close(g->c, file);
    assert_int_equal(g->f.count[FUSE_RELEASE], before);
    cli_node_put(g->c, n);
}

static void test_lookups_of_the_old_session_are_not_given_to_the_new_one(void **state)
{
    struct rig *g = *state;
    char name[16];

    g->o.max_nodes = 8;
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        fake_add(&g->f, 0, name, FILE_MODE);
    }
    rig_up(state);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        assert_int_equal(rig_try(g, g->root, name), 0);
    }
    replace_daemon(g);
    cli_forget(g->c, 1, 2000, 1); /* as a thread that comes late */
    cli_tick(g->c);
    assert_int_equal(g->f.forgotten, 0);
    assert_int_equal(g->f.wrong, 0);
}

static void test_an_answer_of_the_old_session_makes_no_node_in_the_new_one(void **state)
{
    struct rig *g = rig_up(state);
    struct cli_entry late = {.id = 77, .entry_ms = 60000, .attr.mode = FILE_MODE, .session = 1};

    late.stamp = cli_stamp(g->c);
    replace_daemon(g);
    assert_int_equal(cli_enter(g->c, g->root, N("late"), &late, NULL), -LE_ENOTCONN);
    assert_int_equal(rig_try(g, g->root, "late"), -LE_ENOENT);
}

static void test_what_a_new_daemon_does_not_know_is_asked_again(void **state)
{
    struct rig *g = *state;

    g->f.enosys = 1ull << FUSE_SYNCFS;
    rig_up(state);
    assert_int_equal(cli_syncfs(g->c), -LE_ENOSYS);
    g->f.enosys = 0;
    replace_daemon(g);
    assert_int_equal(cli_syncfs(g->c), 0);
}

static void test_the_new_daemon_may_lack_the_extension(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    g->f.extension = false;
    replace_daemon(g);
    assert_int_equal(cli_getattr(g->c, n, true, &a), 0);
    assert_true(a.has_btime); /* it is still the same */
    cli_node_put(g->c, n);
}

static void test_a_daemon_that_was_swapped_behind_our_back_is_noticed(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    fake_swap(&g->f);
    assert_int_equal(cli_getattr(g->c, n, true, &a), -LE_EIO);
    cli_tick(g->c);
    assert_int_equal(cli_getattr(g->c, n, true, &a), -LE_ENOTCONN);
    assert_int_equal(cli_recover(g->c), 0);
    assert_int_equal(cli_getattr(g->c, n, true, &a), 0);
    cli_node_put(g->c, n);
}

static int32_t bad_disk(struct fake *f, struct fake_call *call)
{
    (void)f;
    return call->in.opcode == VIOFS_LOOKUP ? -LE_EIO : FAKE_PASS;
}

static void test_a_bad_disk_does_not_end_the_session(void **state)
{
    struct rig *g = rig_up(state);

    g->f.hook = bad_disk;
    assert_int_equal(rig_try(g, g->root, "a"), -LE_EIO);
    cli_tick(g->c);
    assert_int_equal(rig_try(g, g->root, "a"), -LE_EIO);
    assert_int_not_equal(cli_session_no(g->c), 0);
    rig_trips(g);
    cli_tick(g->c);
    cli_tick(g->c);
    assert_int_equal(rig_trips(g), 1); /* one doubt, one probe */
}

/* ---- silence ---------------------------------------------------------------------------------------------- */

static void *ask_something(void *arg)
{
    struct rig *g = arg;

    (void)rig_try(g, g->root, "a");
    return NULL;
}

static void test_a_silent_host_is_noticed_and_so_is_its_voice(void **state)
{
    struct rig *g = *state;
    pthread_t thread;

    g->o.stall_ms = 60;
    rig_up(state);
    cli_tick(g->c);
    assert_true(cli_responding(g->c));
    fake_hush(&g->f);
    pthread_create(&thread, NULL, ask_something, g);
    fake_wait_asked(&g->f, 1);
    usleep(30000);
    assert_true(cli_responding(g->c));
    cli_tick(g->c); /* sends the probe */
    usleep(60000);
    cli_tick(g->c);
    assert_false(cli_responding(g->c));
    assert_int_equal(rig_try(g, g->root, "b"), -LE_ETIMEDOUT); /* and does not wait */
    fake_speak(&g->f);
    pthread_join(thread, NULL);
    for (int i = 0; i < 4000 && !cli_responding(g->c); i++)
        usleep(5000);
    cli_tick(g->c);
    assert_true(cli_responding(g->c));
}

static void test_closing_does_not_wait_for_a_silent_host_for_ever(void **state)
{
    struct rig *g = *state;
    pthread_t thread;

    g->o.stall_ms = 60;
    rig_up(state);
    fake_hush(&g->f);
    pthread_create(&thread, NULL, ask_something, g);
    fake_wait_asked(&g->f, 1);
    cli_node_put(g->c, g->root);
    assert_int_equal(cli_close(g->c), -LE_ETIMEDOUT);
    assert_int_equal(cli_recover(g->c), -LE_ETIMEDOUT);
    fake_speak(&g->f);
    pthread_join(thread, NULL);
    assert_int_equal(cli_close(g->c), 0);
    assert_true(g->f.destroyed);
    g->c = NULL;
}

static void test_an_idle_share_is_not_probed(void **state)
{
    struct rig *g = *state;

    g->o.stall_ms = 30;
    rig_up(state);
    rig_trips(g);
    usleep(50000);
    cli_tick(g->c);
    assert_true(cli_responding(g->c));
    assert_int_equal(rig_trips(g), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_after_the_session_everything_is_enotconn_until_recovery),
        RIG_TEST(test_a_tick_notices_a_new_epoch),
        RIG_TEST(test_recovery_fails_while_nobody_is_there),
        RIG_TEST(test_attributes_of_the_old_session_are_not_believed),
        RIG_TEST(test_a_node_deep_in_the_tree_is_found_again_when_used),
        RIG_TEST(test_recovery_itself_asks_for_no_node),
        RIG_TEST(test_another_file_of_the_same_name_is_not_taken_for_the_same),
        RIG_TEST(test_without_birth_times_the_inode_number_tells_files_apart),
        RIG_TEST(test_a_reused_inode_number_is_told_by_its_birth_time),
        RIG_TEST(test_a_file_that_is_gone_is_stale),
        RIG_TEST(test_a_file_with_two_names_is_found_by_the_one_that_is_left),
        RIG_TEST(test_a_file_entered_anew_by_another_name_is_shared),
        RIG_TEST(test_a_file_that_we_renamed_is_found_by_its_new_name),
        RIG_TEST(test_a_handle_of_the_old_session_is_not_sent_to_the_new_one),
        RIG_TEST(test_lookups_of_the_old_session_are_not_given_to_the_new_one),
        RIG_TEST(test_an_answer_of_the_old_session_makes_no_node_in_the_new_one),
        RIG_TEST(test_what_a_new_daemon_does_not_know_is_asked_again),
        RIG_TEST(test_the_new_daemon_may_lack_the_extension),
        RIG_TEST(test_a_daemon_that_was_swapped_behind_our_back_is_noticed),
        RIG_TEST(test_a_bad_disk_does_not_end_the_session),
        RIG_TEST(test_a_silent_host_is_noticed_and_so_is_its_voice),
        RIG_TEST(test_closing_does_not_wait_for_a_silent_host_for_ever),
        RIG_TEST(test_an_idle_share_is_not_probed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
