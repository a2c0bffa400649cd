// SPDX-License-Identifier: BSD-3-Clause
/* What the host tells of changes, and what the client makes of it. */
#include "tests/unit/client_rig.h"

#define PATHS 16

/* What opt.changed has heard. */
struct heard {
    unsigned n;
    struct {
        uint32_t action;
        bool is_dir;
        char path[64];
    } change[PATHS];
};

static void hear(void *user, const struct cli_change *change)
{
    struct heard *h = user;

    assert_true(h->n < PATHS);
    h->change[h->n].action = change->action;
    h->change[h->n].is_dir = change->is_dir;
    assert_true(change->path_len < sizeof(h->change[0].path));
    memcpy(h->change[h->n].path, change->path, change->path_len);
    h->change[h->n].path[change->path_len] = '\0';
    h->n++;
}

static void assert_heard(const struct heard *h, unsigned i, uint32_t action, const char *path)
{
    assert_true(i < h->n);
    assert_int_equal(h->change[i].action, action);
    assert_string_equal(h->change[i].path, path);
}

/* A session with a feed, and /d/f on the host. The changes go to `h`. */
static struct rig *rig_feed(void **state, struct heard *h, uint32_t *d, uint32_t *file)
{
    struct rig *g = *state;

    memset(h, 0, sizeof(*h));
    g->f.features = VIOFS_FEATURE_FEED | VIOFS_FEATURE_OPEN;
    g->f.entry_ms = g->f.attr_ms = g->f.missing_ms = 3600000;
    g->o.want_feed = true;
    g->o.changed = hear;
    g->o.log_user = h;
    *d = fake_add(&g->f, 0, "d", DIR_MODE);
    *file = fake_add(&g->f, *d, "f", FILE_MODE);
    return rig_up(state);
}

static uint64_t trips(struct rig *g)
{
    struct cli_counters k;
    static uint64_t before;

    cli_counters_get(g->c, &k);
    uint64_t since = k.requests - before;
    before = k.requests;
    return since;
}

static void test_one_request_for_changes_is_always_out_and_is_no_stall(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = *state;

    g->o.stall_ms = 60;
    rig_feed(state, &h, &d, &file);
    assert_non_null(g->f.events);
    fake_event(&g->f, 1, VIOFS_ADDED, 0, "x");
    assert_non_null(g->f.events);
    for (int i = 0; i < 12; i++) {
        usleep(10000);
        cli_tick(g->c);
    }
    assert_true(cli_responding(g->c));
}

static void test_without_wanting_it_nothing_is_asked(void **state)
{
    struct rig *g = *state;

    g->f.features = VIOFS_FEATURE_FEED | VIOFS_FEATURE_OPEN;
    rig_up(state);
    assert_null(g->f.events);
    assert_int_equal(cli_watch(g->c, g->root, 0), -LE_EOPNOTSUPP);
}

static void test_a_change_is_told_with_its_path_from_the_root(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d");

    fake_event(&g->f, fake_id(&g->f, d), VIOFS_MODIFIED, 0, "f");
    fake_event(&g->f, 1, VIOFS_ADDED, VIOFS_EVENT_DIR, "new/deep");
    fake_event(&g->f, 1, VIOFS_ATTRIB, 0, "");
    fake_event(&g->f, 0, VIOFS_RESCAN, 0, "");
    assert_int_equal(h.n, 4);
    assert_heard(&h, 0, VIOFS_MODIFIED, "d/f");
    assert_false(h.change[0].is_dir);
    assert_heard(&h, 1, VIOFS_ADDED, "new/deep");
    assert_true(h.change[1].is_dir);
    assert_heard(&h, 2, VIOFS_ATTRIB, "");
    assert_heard(&h, 3, VIOFS_RESCAN, "");
    cli_node_put(g->c, dir);
}

static void test_what_nobody_changed_is_not_asked_again(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d");
    struct cli_attr a;

    assert_int_equal(rig_try(g, dir, "f"), 0);
    assert_int_equal(rig_try(g, dir, "missing"), -LE_ENOENT);
    fake_event(&g->f, fake_id(&g->f, d), VIOFS_ADDED, 0, "other");
    trips(g);
    assert_int_equal(rig_try(g, dir, "f"), 0);
    assert_int_equal(rig_try(g, dir, "missing"), -LE_ENOENT);
    assert_int_equal(trips(g), 0);
    assert_int_equal(cli_getattr(g->c, dir, false, &a), 0);
    assert_int_equal(trips(g), 1); /* a directory's times change with its names */
    assert_int_equal(rig_try(g, dir, "f"), 0);
    assert_int_equal(trips(g), 0);
    cli_node_put(g->c, dir);
}

static void test_a_name_that_appeared_is_found_and_one_that_went_is_not(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d");

    assert_int_equal(rig_try(g, dir, "new"), -LE_ENOENT);
    fake_add(&g->f, d, "new", FILE_MODE);
    assert_int_equal(rig_try(g, dir, "new"), -LE_ENOENT); /* not told yet */
    fake_event(&g->f, fake_id(&g->f, d), VIOFS_ADDED, 0, "new");
    assert_int_equal(rig_try(g, dir, "new"), 0);
    fake_remove(&g->f, d, "new");
    fake_event(&g->f, fake_id(&g->f, d), VIOFS_REMOVED, 0, "new");
    assert_int_equal(rig_try(g, dir, "new"), -LE_ENOENT);
    cli_node_put(g->c, dir);
}

static void test_attributes_are_asked_for_after_a_change_wherever_it_was_told_from(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d"), *n = rig_lookup(g, dir, "f");
    struct cli_attr a;

    g->f.node[file].size = 77;
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(a.size, 0);
    fake_event(&g->f, fake_id(&g->f, d), VIOFS_MODIFIED, 0, "f");
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(a.size, 77);
    g->f.node[file].size = 78;
    fake_event(&g->f, 1, VIOFS_MODIFIED, 0, "d/f"); /* from above */
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(a.size, 78);
    cli_node_put(g->c, n);
    cli_node_put(g->c, dir);
}

static int32_t change_on_the_way(struct fake *f, struct fake_call *call)
{
    if (call->in.opcode != VIOFS_LOOKUP)
        return FAKE_PASS;
    /* The host looks, then the file changes, and its news overtake the answer. */
    int32_t r = fake_serve(f, call);
    pthread_mutex_unlock(&f->lock);
    fake_event(f, call->in.nodeid, *(uint32_t *)f->user, 0, (const char *)call->arg);
    pthread_mutex_lock(&f->lock);
    return r;
}

static void test_news_that_overtake_an_answer_make_it_old(void **state)
{
    static uint32_t actions[] = {VIOFS_MODIFIED, VIOFS_ATTRIB, VIOFS_REMOVED, VIOFS_RESCAN,
                                 VIOFS_UNCOVERED};
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d");

    for (unsigned i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        char name[8] = {'n', (char)('0' + i), 0};
        struct cli_attr a;

        fake_add(&g->f, d, name, FILE_MODE);
        g->f.user = &actions[i];
        g->f.hook = change_on_the_way;
        struct cli_node *n = rig_lookup(g, dir, name);
        g->f.hook = NULL;
        trips(g);
        assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
        assert_int_equal(trips(g), 1);
        cli_node_put(g->c, n);
    }
    cli_node_put(g->c, dir);
}

static void test_a_directory_whose_lookup_was_overtaken_has_a_path(void **state)
{
    static uint32_t added = VIOFS_ADDED;
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);

    g->f.user = &added;
    g->f.hook = change_on_the_way;
    struct cli_node *dir = rig_lookup(g, g->root, "d");
    g->f.hook = NULL;
    assert_heard(&h, 0, VIOFS_ADDED, "d");
    struct cli_node *n = rig_lookup(g, dir, "f");
    fake_event(&g->f, fake_id(&g->f, d), VIOFS_ATTRIB, 0, "f");
    assert_heard(&h, 1, VIOFS_ATTRIB, "d/f");
    struct cli_attr a;
    trips(g);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(trips(g), 1);
    cli_node_put(g->c, n);
    cli_node_put(g->c, dir);
}

static void test_rescan_leaves_nothing_believed(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d"), *n = rig_lookup(g, dir, "f");
    struct cli_attr a;

    assert_int_equal(rig_try(g, dir, "missing"), -LE_ENOENT);
    fake_event(&g->f, 0, VIOFS_RESCAN, 0, "");
    trips(g);
    assert_int_equal(rig_try(g, dir, "missing"), -LE_ENOENT);
    assert_int_equal(rig_try(g, dir, "f"), 0);
    assert_int_equal(trips(g), 2);
    fake_event(&g->f, 0, VIOFS_RESCAN, 0, "");
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(trips(g), 1);
    cli_node_put(g->c, n);
    cli_node_put(g->c, dir);
}

static void test_rescan_of_a_directory_concerns_what_is_below_it(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    uint32_t sub = fake_add(&g->f, d, "sub", DIR_MODE);

    fake_add(&g->f, sub, "deep", FILE_MODE);
    fake_add(&g->f, 0, "beside", FILE_MODE);
    struct cli_node *dir = rig_lookup(g, g->root, "d"), *below = rig_lookup(g, dir, "sub");
    struct cli_node *deep = rig_lookup(g, below, "deep"),
                    *beside = rig_lookup(g, g->root, "beside");
    struct cli_attr a;

    fake_event(&g->f, fake_id(&g->f, d), VIOFS_RESCAN, 0, "");
    trips(g);
    assert_int_equal(cli_getattr(g->c, beside, false, &a), 0);
    assert_int_equal(rig_try(g, g->root, "d"), 0);
    assert_int_equal(trips(g), 0);
    assert_int_equal(cli_getattr(g->c, deep, false, &a), 0);
    assert_int_equal(rig_try(g, below, "deep"), 0);
    assert_int_equal(trips(g), 2);
    cli_node_put(g->c, beside);
    cli_node_put(g->c, deep);
    cli_node_put(g->c, below);
    cli_node_put(g->c, dir);
}

static void test_an_uncovered_directory_loses_its_names_and_no_others(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d");

    assert_int_equal(rig_try(g, dir, "f"), 0);
    fake_event(&g->f, fake_id(&g->f, d), VIOFS_UNCOVERED, 0, "");
    trips(g);
    assert_int_equal(rig_try(g, dir, "f"), 0);
    assert_int_equal(trips(g), 1);
    assert_int_equal(rig_try(g, g->root, "d"), 0);
    assert_int_equal(trips(g), 0);
    cli_node_put(g->c, dir);
}

static void test_the_end_of_the_feed_is_the_end_of_long_validities(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d");

    assert_int_equal(rig_try(g, dir, "f"), 0);
    fake_answer_events(&g->f, NULL, 0, -LE_ENOSYS);
    assert_int_equal(h.n, 1);
    assert_heard(&h, 0, VIOFS_RESCAN, "");
    assert_null(g->f.events);
    trips(g);
    assert_int_equal(rig_try(g, dir, "f"), 0);
    assert_int_equal(trips(g), 1);
    usleep(1100000); /* what is heard now holds for a second, whatever the host says */
    assert_int_equal(rig_try(g, dir, "f"), 0);
    assert_int_equal(trips(g), 1);
    cli_node_put(g->c, dir);
}

static void test_strict_caching_believes_for_as_long_as_it_was_told(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = *state;

    g->o.longest_ms = 30;
    rig_feed(state, &h, &d, &file);
    assert_int_equal(rig_try(g, g->root, "d"), 0);
    usleep(40000);
    trips(g);
    assert_int_equal(rig_try(g, g->root, "d"), 0);
    assert_int_equal(trips(g), 1);
}

static void test_an_open_brings_fresh_attributes_in_one_request(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d"), *n = rig_lookup(g, dir, "f");
    struct cli_file *f;
    struct cli_attr a;

    g->f.node[file].size = 99; /* stored through a mapping: nothing is told */
    trips(g);
    assert_int_equal(cli_file_open(g->c, n, CLI_READ, &f), 0);
    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_int_equal(a.size, 99);
    assert_int_equal(trips(g), 1);
    cli_file_close(g->c, f);
    cli_node_put(g->c, n);
    cli_node_put(g->c, dir);
}

static void test_a_watch_is_asked_for_once_and_taken_back_by_the_last(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d");

    assert_int_equal(cli_watch(g->c, dir, 1000), 0);
    assert_int_equal(cli_watch(g->c, dir, 1000), 0);
    assert_int_equal(g->f.watch[0].nodeid, fake_id(&g->f, d));
    assert_int_equal(g->f.watch[1].watch, 0);
    cli_unwatch(g->c, dir);
    assert_int_not_equal(g->f.watch[0].watch, 0);
    cli_unwatch(g->c, dir);
    assert_int_equal(g->f.watch[0].watch, 0);
    cli_unwatch(g->c, dir);
    cli_node_put(g->c, dir);
}

static unsigned said; /* that not everything is told */

static void listen_to_log(void *user, int level, const char *text)
{
    (void)user;
    said += level == 1 && strstr(text, "not told in all directories");
}

static void test_what_the_host_cannot_cover_is_known_and_said_once(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = *state;

    g->o.log = listen_to_log;
    said = 0;
    rig_feed(state, &h, &d, &file);
    fake_add(&g->f, 0, "e", DIR_MODE);
    struct cli_node *dir = rig_lookup(g, g->root, "d"), *other = rig_lookup(g, g->root, "e");
    assert_false(cli_watched(g->c, dir));
    assert_int_equal(cli_watch(g->c, dir, 0), 0);
    assert_true(cli_watched(g->c, dir));
    assert_int_equal(said, 0);
    g->f.watch_partial = true;
    assert_int_equal(cli_watch(g->c, other, 0), 0);
    assert_int_equal(cli_watch(g->c, g->root, 0), 0);
    assert_false(cli_watched(g->c, other));
    assert_true(cli_watched(g->c, dir));
    assert_int_equal(said, 1);
    fake_event(&g->f, fake_id(&g->f, d), VIOFS_UNCOVERED, 0, "");
    assert_false(cli_watched(g->c, dir));
    cli_unwatch(g->c, g->root);
    cli_unwatch(g->c, other);
    cli_unwatch(g->c, dir);
    assert_false(cli_watched(g->c, dir));
    cli_node_put(g->c, other);
    cli_node_put(g->c, dir);
}

static int32_t slow_watch(struct fake *f, struct fake_call *call)
{
    if (call->in.opcode == VIOFS_WATCH) {
        pthread_mutex_unlock(&f->lock);
        usleep((VIOFS_WATCH_MARGIN_MS + 50) * 1000);
        pthread_mutex_lock(&f->lock);
    }
    return FAKE_PASS;
}

static void test_a_watch_that_was_long_on_its_way_may_have_missed_something(void **state)
{
    static const struct {
        uint32_t age_ms, took_ms;
        bool lost;
    } cases[] = {{1000, 0, true}, {1000, 100, false}, {0, 0, false}};
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d");

    g->f.hook = slow_watch;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        h.n = 0;
        g->f.watch_took_ms = cases[i].took_ms;
        assert_int_equal(cli_watch(g->c, dir, cases[i].age_ms), 0);
        assert_in_range(g->f.watch[0].age_ms, cases[i].age_ms, cases[i].age_ms * 10);
        assert_int_equal(h.n, cases[i].lost);
        if (cases[i].lost)
            assert_heard(&h, 0, VIOFS_RESCAN, "d");
        cli_unwatch(g->c, dir);
    }
    g->f.hook = NULL;
    cli_node_put(g->c, dir);
}

static void test_a_new_session_has_the_feed_and_the_watches_again(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d");

    assert_int_equal(cli_watch(g->c, dir, 0), 0);
    fake_die(&g->f);
    assert_heard(&h, 0, VIOFS_RESCAN, "");
    memset(g->f.watch, 0, sizeof(g->f.watch));
    usleep(20000);
    fake_revive(&g->f);
    assert_int_equal(cli_recover(g->c), 0);
    assert_non_null(g->f.events);
    assert_int_equal(g->f.watch[0].nodeid, fake_id(&g->f, d));
    assert_in_range(g->f.watch[0].age_ms, 20, 20000); /* nobody told what happened in between */
    fake_event(&g->f, fake_id(&g->f, d), VIOFS_ADDED, 0, "x");
    assert_heard(&h, 1, VIOFS_ADDED, "d/x");
    cli_unwatch(g->c, dir);
    cli_node_put(g->c, dir);
}

/* Whatever changes something is told back as if somebody else had done it. */
static int32_t echo_changes(struct fake *f, struct fake_call *call)
{
    uint32_t op = call->in.opcode, action;
    const char *name = "own";

    if (op == VIOFS_CREATE || op == FUSE_MKDIR)
        action = VIOFS_ADDED;
    else if (op == FUSE_UNLINK || op == FUSE_RMDIR)
        action = VIOFS_REMOVED;
    else if (op == FUSE_SETATTR || op == FUSE_WRITE)
        action = VIOFS_MODIFIED;
    else
        return FAKE_PASS;
    int32_t r = fake_serve(f, call);
    uint64_t dir = action == VIOFS_MODIFIED ? *(uint64_t *)f->user : call->in.nodeid;
    pthread_mutex_unlock(&f->lock);
    fake_event(f, dir, action, op == FUSE_MKDIR || op == FUSE_RMDIR ? VIOFS_EVENT_DIR : 0, name);
    pthread_mutex_lock(&f->lock);
    return r;
}

static void test_own_changes_that_come_back_cost_little_and_end(void **state)
{
    enum { TIMES = 3 };
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    uint64_t dir_id = fake_id(&g->f, d);
    struct cli_node *dir = rig_lookup(g, g->root, "d");
    struct cli_attr a = {.size = 5, .mode = 0600};

    g->f.user = &dir_id;
    g->f.hook = echo_changes;
    trips(g);
    for (unsigned i = 0; i < TIMES; i++) {
        struct cli_node *n;
        struct cli_file *f;
        struct cli_io io = {.buf = (char[]){"text"}, .len = 4};

        h.n = 0;
        assert_int_equal(cli_create(g->c, dir, N("own"), 0644, CLI_READ | CLI_WRITE, &n, &f), 0);
        assert_int_equal(cli_write(g->c, f, &io), 0);
        assert_int_equal(cli_setattr(g->c, n, CLI_SET_MODE, &a, NULL), 0);
        cli_file_close(g->c, f);
        assert_int_equal(cli_unlink(g->c, dir, N("own")), 0);
        cli_node_put(g->c, n);
        assert_int_equal(h.n, 4); /* told once each */
    }
    uint64_t took = trips(g);
    assert_in_range(took, 4 * TIMES, 6 * TIMES); /* something is asked again, not more and more */
    for (unsigned i = 0; i < 5; i++)
        cli_tick(g->c);
    assert_int_equal(trips(g), 0);
    assert_non_null(g->f.events);
    g->f.hook = NULL;
    cli_node_put(g->c, dir);
}

static void test_an_answer_without_changes_ends_the_feed(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);

    g->lies = true;
    fake_answer_events(&g->f, NULL, 0, 0);
    assert_heard(&h, 0, VIOFS_RESCAN, "");
    assert_null(g->f.events); /* such a host could have us ask for ever */
    assert_int_equal(rig_try(g, g->root, "d"), 0);
}

static void test_news_of_a_node_that_is_not_known_are_nothing(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);

    fake_event(&g->f, 123456, VIOFS_ADDED, 0, "x");
    assert_int_equal(h.n, 0);
    assert_non_null(g->f.events);
}

static void test_records_that_cannot_be_end_the_feed_and_nothing_else(void **state)
{
    static const struct {
        struct fuse_viofs_event e;
        char name[8];
        uint32_t len;
    } bad[] = {
        {{.nodeid = 1, .action = 0, .name_len = 1}, "x", 32},
        {{.nodeid = 1, .action = 99, .name_len = 1}, "x", 32},
        {{.nodeid = 1, .action = VIOFS_ADDED, .name_len = 200}, "x", 32},
        {{.nodeid = 1, .action = VIOFS_ADDED, .name_len = UINT32_MAX}, "x", 32},
        {{.nodeid = 1, .action = VIOFS_ADDED, .name_len = 2}, "..", 32},
        {{.nodeid = 1, .action = VIOFS_ADDED, .name_len = 4}, "/etc", 32},
        {{.nodeid = 1, .action = VIOFS_ADDED, .name_len = 2}, "d/", 32},
        {{.nodeid = 1, .action = VIOFS_ADDED, .name_len = 4}, "a//b", 32},
        {{.nodeid = 1, .action = VIOFS_ADDED, .name_len = 6}, "a/../b", 32},
        {{.nodeid = 1, .action = VIOFS_ADDED, .name_len = 3}, "a\0b", 32},
        {{.nodeid = 1, .action = VIOFS_ADDED, .name_len = 1}, "x", 23},
    };
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);

    g->lies = true;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t page[64] = {0};

        memcpy(page, &bad[i].e, sizeof(bad[i].e));
        memcpy(page + sizeof(bad[i].e), bad[i].name, sizeof(bad[i].name));
        h.n = 0;
        fake_answer_events(&g->f, page, bad[i].len, 0);
        assert_heard(&h, 0, VIOFS_RESCAN, "");
        assert_null(g->f.events);
        assert_int_equal(rig_try(g, g->root, "d"), 0);
        assert_int_equal(cli_recover(g->c), 0);
    }
}

/* ---- listings ---------------------------------------------------------------------------------------- */

struct listed {
    unsigned n, most;
    uint64_t cookie;
    char names[400];
};

static bool list_one(void *user, const struct cli_dirent *e)
{
    struct listed *l = user;

    if (l->n == l->most)
        return false;
    assert_true(e->has_attr);
    l->n++;
    l->cookie = e->cookie;
    strncat(l->names, e->name, e->name_len);
    strcat(l->names, " ");
    return true;
}

static struct listed list(struct rig *g, struct cli_node *dir)
{
    struct listed l = {.most = UINT32_MAX};
    struct cli_dir *d;

    assert_int_equal(cli_dir_open(g->c, dir, &d), 0);
    assert_int_equal(cli_dir_read(g->c, d, 0, list_one, &l), 0);
    cli_dir_close(g->c, d);
    return l;
}

static void test_a_watched_directory_is_read_once(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d");

    fake_add(&g->f, d, "e", FILE_MODE);
    fake_add(&g->f, d, "sub", DIR_MODE);
    struct listed first = list(g, dir);
    assert_int_equal(first.n, 3);
    trips(g);
    struct listed second = list(g, dir);
    assert_int_equal(trips(g), 0);
    assert_string_equal(first.names, second.names);

    fake_add(&g->f, d, "new", FILE_MODE);
    fake_event(&g->f, fake_id(&g->f, d), VIOFS_ADDED, 0, "new");
    second = list(g, dir);
    assert_int_equal(second.n, 4);
    trips(g);
    assert_int_equal(list(g, dir).n, 4);
    assert_int_equal(trips(g), 0);
    cli_node_put(g->c, dir);
}

static void test_a_kept_listing_goes_on_where_its_reader_stopped(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d");
    struct listed l = {.most = 2};
    struct cli_dir *stream;

    fake_add(&g->f, d, "a", FILE_MODE);
    fake_add(&g->f, d, "b", FILE_MODE);
    struct listed whole = list(g, dir);
    trips(g);
    assert_int_equal(cli_dir_open(g->c, dir, &stream), 0);
    assert_int_equal(cli_dir_read(g->c, stream, 0, list_one, &l), 1);
    assert_int_equal(l.n, 2);
    l.most = 99;
    assert_int_equal(cli_dir_read(g->c, stream, l.cookie, list_one, &l), 0);
    assert_string_equal(l.names, whole.names);
    assert_int_equal(trips(g), 0);
    cli_dir_close(g->c, stream);
    cli_node_put(g->c, dir);
}

static void test_our_own_changes_show_in_the_next_listing(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d"), *n;

    assert_int_equal(list(g, dir).n, 1);
    assert_int_equal(cli_mkdir(g->c, dir, N("made"), 0755, &n), 0);
    assert_int_equal(list(g, dir).n, 2);
    cli_node_put(g->c, n);
    assert_int_equal(cli_rmdir(g->c, dir, N("made")), 0);
    assert_int_equal(list(g, dir).n, 1);
    cli_node_put(g->c, dir);
}

static void test_a_changed_file_is_asked_for_and_not_the_whole_directory(void **state)
{
    struct heard h;
    uint32_t d, file;
    struct rig *g = rig_feed(state, &h, &d, &file);
    struct cli_node *dir = rig_lookup(g, g->root, "d");

    fake_add(&g->f, d, "other", FILE_MODE);
    assert_int_equal(list(g, dir).n, 2);
    g->f.node[file].size = 5;
    fake_event(&g->f, fake_id(&g->f, d), VIOFS_MODIFIED, 0, "f");
    trips(g);
    assert_int_equal(list(g, dir).n, 2);
    assert_int_equal(trips(g), 1);
    cli_node_put(g->c, dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_one_request_for_changes_is_always_out_and_is_no_stall),
        RIG_TEST(test_without_wanting_it_nothing_is_asked),
        RIG_TEST(test_a_change_is_told_with_its_path_from_the_root),
        RIG_TEST(test_what_nobody_changed_is_not_asked_again),
        RIG_TEST(test_a_name_that_appeared_is_found_and_one_that_went_is_not),
        RIG_TEST(test_attributes_are_asked_for_after_a_change_wherever_it_was_told_from),
        RIG_TEST(test_news_that_overtake_an_answer_make_it_old),
        RIG_TEST(test_a_directory_whose_lookup_was_overtaken_has_a_path),
        RIG_TEST(test_rescan_leaves_nothing_believed),
        RIG_TEST(test_rescan_of_a_directory_concerns_what_is_below_it),
        RIG_TEST(test_an_uncovered_directory_loses_its_names_and_no_others),
        RIG_TEST(test_the_end_of_the_feed_is_the_end_of_long_validities),
        RIG_TEST(test_strict_caching_believes_for_as_long_as_it_was_told),
        RIG_TEST(test_an_open_brings_fresh_attributes_in_one_request),
        RIG_TEST(test_a_watch_is_asked_for_once_and_taken_back_by_the_last),
        RIG_TEST(test_what_the_host_cannot_cover_is_known_and_said_once),
        RIG_TEST(test_a_watch_that_was_long_on_its_way_may_have_missed_something),
        RIG_TEST(test_a_new_session_has_the_feed_and_the_watches_again),
        RIG_TEST(test_own_changes_that_come_back_cost_little_and_end),
        RIG_TEST(test_an_answer_without_changes_ends_the_feed),
        RIG_TEST(test_news_of_a_node_that_is_not_known_are_nothing),
        RIG_TEST(test_records_that_cannot_be_end_the_feed_and_nothing_else),
        RIG_TEST(test_a_watched_directory_is_read_once),
        RIG_TEST(test_a_kept_listing_goes_on_where_its_reader_stopped),
        RIG_TEST(test_our_own_changes_show_in_the_next_listing),
        RIG_TEST(test_a_changed_file_is_asked_for_and_not_the_whole_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
