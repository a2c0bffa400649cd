// SPDX-License-Identifier: BSD-3-Clause
/* More names than the client may keep. */
#include "tests/unit/client_rig.h"

enum { WALKED = 1000000 };

/* The root has a million files, "0" to "999999", made up as they are asked for. */
struct million {
    uint16_t lookups[WALKED];
    uint64_t held, most, wrong;
    uint64_t limit; /* lookups that the host has descriptors for, 0: any number */
    uint64_t refused;
};

static int32_t answer_number(struct million *m, struct fake_call *call)
{
    unsigned long k = strtoul((const char *)call->arg, NULL, 10);
    struct fuse_entry_out e = {
        .nodeid = 1000 + k,
        .entry_valid = 60,
        .attr_valid = 60,
        .attr = {.ino = 1000 + k, .mode = FILE_MODE, .nlink = 1},
    };
    struct fuse_viofs_ext x = {.btime = 1, .flags = VIOFS_EXT_BTIME};

    m->lookups[k]++;
    if (++m->held > m->most)
        m->most = m->held;
    memcpy(call->reply, &e, sizeof(e));
    memcpy(call->reply + sizeof(e), &x, sizeof(x));
    return sizeof(e) + sizeof(x);
}

static int32_t forget_numbers(struct million *m, const struct fake_call *call)
{
    struct fuse_batch_forget_in head;
    struct fuse_forget_one one;

    memcpy(&head, call->arg, sizeof(head));
    for (uint32_t i = 0; i < head.count; i++) {
        memcpy(&one, call->arg + sizeof(head) + i * sizeof(one), sizeof(one));
        if (one.nodeid < 1000 || one.nodeid >= 1000 + WALKED ||
            m->lookups[one.nodeid - 1000] < one.nlookup) {
            m->wrong++;
            continue;
        }
        m->lookups[one.nodeid - 1000] = (uint16_t)(m->lookups[one.nodeid - 1000] - one.nlookup);
        m->held -= one.nlookup;
    }
    return 0;
}

static int32_t a_million(struct fake *f, struct fake_call *call)
{
    struct million *m = f->user;

    if (call->in.opcode == VIOFS_LOOKUP && m->limit && m->held >= m->limit) {
        m->refused++;
        return -LE_EMFILE;
    }
    if (call->in.opcode == VIOFS_LOOKUP)
        return answer_number(m, call);
    if (call->in.opcode == FUSE_BATCH_FORGET)
        return forget_numbers(f->user, call);
    return FAKE_PASS;
}

static void test_a_walk_over_a_million_names_is_bounded_on_both_sides(void **state)
{
    struct rig *g = *state;
    struct million *m = calloc(1, sizeof(*m));
    struct cli_counters k;
    char name[16];

    g->o.max_nodes = 1000;
    g->o.max_names = 1500;
    g->f.user = m;
    g->f.hook = a_million;
    rig_up(state);
    for (int i = 0; i < WALKED; i++) {
        snprintf(name, sizeof(name), "%d", i);
        if (rig_try(g, g->root, name) != 0)
            fail_msg("name %d", i);
    }
    cli_counters_get(g->c, &k);
    assert_true(k.nodes <= 1002);
    assert_true(k.names <= 1002);
    assert_int_equal(k.requests, WALKED + 3);
    assert_true(m->most < 1000 + 2 * CLI_FORGET_BATCH);
    assert_true(k.no_replies < WALKED / CLI_FORGET_BATCH + 2);
    cli_node_put(g->c, g->root);
    cli_close(g->c);
    g->c = NULL;
    assert_int_equal(m->held, 0);
    assert_int_equal(m->wrong, 0);
    free(m);
}

static void test_a_host_without_descriptors_gets_some_back_and_is_asked_again(void **state)
{
    struct rig *g = *state;
    struct million *m = calloc(1, sizeof(*m));
    char name[16];

    m->limit = 5000;
    g->f.user = m;
    g->f.hook = a_million;
    rig_up(state);
    for (int i = 0; i < 50000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        if (rig_try(g, g->root, name) != 0)
            fail_msg("name %d", i);
    }
    assert_in_range(m->refused, 1, 2); /* after that, fewer are kept */
    assert_true(m->most <= m->limit);
    cli_node_put(g->c, g->root);
    cli_close(g->c);
    g->c = NULL;
    assert_int_equal(m->wrong, 0);
    free(m);
}

static void test_a_host_that_never_has_descriptors_is_an_error_in_the_end(void **state)
{
    struct rig *g = *state;
    struct million *m = calloc(1, sizeof(*m));
    char name[16];

    g->f.user = m;
    g->f.hook = a_million;
    rig_up(state);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(rig_try(g, g->root, name), 0);
    }
    m->limit = 1;
    assert_int_equal(rig_try(g, g->root, "1000"), -LE_EMFILE);
    assert_in_range(m->refused, 2, 5);
    cli_node_put(g->c, g->root);
    cli_close(g->c);
    g->c = NULL;
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_a_walk_over_a_million_names_is_bounded_on_both_sides),
        RIG_TEST(test_a_host_without_descriptors_gets_some_back_and_is_asked_again),
        RIG_TEST(test_a_host_that_never_has_descriptors_is_an_error_in_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
