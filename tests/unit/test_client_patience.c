// SPDX-License-Identifier: BSD-3-Clause
/* Requests that wait for the next session, errors that may mean that there is none, and a feed that pauses. */
#include "tests/unit/client_rig.h"

#define PATIENCE 5000

static struct rig *rig_patient(void **state)
{
    struct rig *g = *state;

    g->o.patience_ms = PATIENCE;
    return rig_up(state);
}

/* A host whose READs the test decides: how many are still to fail, and how. */
struct reads {
    unsigned failing;
    int32_t error;
    uint64_t handles[4]; /* that READs came with */
    unsigned n;
};

static int32_t serve_reads(struct fake *f, struct fake_call *call)
{
    struct reads *r = f->user;
    struct fuse_read_in in;

    if (call->in.opcode != FUSE_READ)
        return FAKE_PASS;
    memcpy(&in, call->arg, sizeof(in));
    assert_true(r->n < 4);
    r->handles[r->n++] = in.fh;
    if (r->failing) {
        r->failing--;
        f->epoch += r->error == -LE_ENOTCONN; /* the device is reset under the request */
        return r->error;
    }
    memset(call->reply, 'r', in.size);
    return (int32_t)in.size;
}

struct transfer {
    struct cli_io io;
    uint8_t buf[16];
    unsigned ended;
};

static void ended(struct cli_io *io)
{
    ((struct transfer *)io->user)->ended++;
}

static struct cli_file *start_read(struct rig *g, struct reads *r, struct transfer *t)
{
    struct cli_node *n = rig_lookup(g, g->root, "f");
    struct cli_file *file;

    g->f.hook = serve_reads;
    g->f.user = r;
    *t = (struct transfer){.io = {.buf = t->buf, .len = 16, .done = ended, .user = t}};
    assert_int_equal(cli_file_open(g->c, n, CLI_READ, &file), 0);
    cli_node_put(g->c, n);
    assert_int_equal(cli_read(g->c, file, &t->io), 0);
    return file;
}

/* ---- errors that may mean that there is no session -------------------------------------------------- */

static int32_t sick_file_system(struct fake *f, struct fake_call *call)
{
    (void)f;
    return call->in.opcode == VIOFS_PROBE || call->in.opcode == FUSE_INIT ? FAKE_PASS : -LE_EIO;
}

static void test_a_file_system_that_fails_whatever_is_asked_is_no_lost_session(void **state)
{
    struct rig *g = rig_patient(state);

    g->f.hook = sick_file_system;
    assert_int_equal(rig_try(g, g->root, "a"), -LE_EIO);
    cli_tick(g->c);
    cli_tick(g->c);
    g->f.hook = NULL;
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOENT);
    assert_int_equal(g->f.count[FUSE_INIT], 1);
}

static int32_t sick_plain_host(struct fake *f, struct fake_call *call)
{
    (void)f;
    return call->in.opcode == VIOFS_PROBE ? -LE_ENOSYS : -LE_EIO;
}

static void test_nor_is_it_on_a_host_without_the_extension(void **state)
{
    struct rig *g = *state;

    g->f.extension = false;
    rig_patient(state);
    g->f.hook = sick_plain_host;
    assert_int_equal(rig_try(g, g->root, "a"), -LE_EIO);
    g->f.hook = NULL;
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOENT);
    assert_int_equal(g->f.count[FUSE_INIT], 1);
}

static void test_a_handle_that_the_host_does_not_know_is_replaced(void **state)
{
    struct rig *g = *state;
    struct reads r = {.failing = 1, .error = -LE_EBADF};
    struct transfer t;

    fake_add(&g->f, 0, "f", FILE_MODE);
    rig_patient(state);
    struct cli_file *file = start_read(g, &r, &t);
    assert_int_equal(t.ended, 0);
    cli_tick(g->c);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.io.error, 0);
    assert_int_equal(t.io.bytes, 16);
    assert_int_equal(r.n, 2);
    assert_int_not_equal(r.handles[0], r.handles[1]);
    assert_int_equal(g->f.count[FUSE_INIT], 1);
    cli_file_close(g->c, file);
}

static void test_it_is_replaced_once_and_then_believed(void **state)
{
    struct rig *g = *state;
    struct reads r = {.failing = 4, .error = -LE_EBADF};
    struct transfer t;

    fake_add(&g->f, 0, "f", FILE_MODE);
    rig_patient(state);
    struct cli_file *file = start_read(g, &r, &t);
    cli_tick(g->c);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.io.error, -LE_EBADF);
    assert_int_equal(r.n, 2);
    cli_file_close(g->c, file);
}

static void test_a_bad_disk_is_told_at_once(void **state)
{
    struct rig *g = *state;
    struct reads r = {.failing = 1, .error = -LE_EIO};
    struct transfer t;

    fake_add(&g->f, 0, "f", FILE_MODE);
    rig_patient(state);
    struct cli_file *file = start_read(g, &r, &t);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.io.error, -LE_EIO);
    assert_int_equal(r.n, 1);
    cli_file_close(g->c, file);
}

/* ---- waiting ------------------------------------------------------------------------------------------ */

static void test_a_parked_read_goes_on_in_the_next_session(void **state)
{
    struct rig *g = *state;
    struct reads r = {.failing = 1, .error = -LE_ENOTCONN};
    struct transfer t;

    fake_add(&g->f, 0, "f", FILE_MODE);
    rig_patient(state);
    struct cli_file *file = start_read(g, &r, &t);
    assert_int_equal(t.ended, 0);
    fake_revive(&g->f);
    assert_int_equal(cli_recover(g->c), 0);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.io.bytes, 16);
    cli_file_close(g->c, file);
}

static struct cli_file *park(void **state, struct reads *r, struct transfer *t)
{
    struct rig *g = *state;

    *r = (struct reads){.failing = 1, .error = -LE_EBADF};
    fake_add(&g->f, 0, "f", FILE_MODE);
    rig_patient(state);
    struct cli_file *file = start_read(g, r, t);
    assert_int_equal(t->ended, 0);
    return file;
}

static void test_a_parked_read_can_be_cancelled(void **state)
{
    struct reads r;
    struct transfer t;
    struct cli_file *file = park(state, &r, &t);
    struct rig *g = *state;

    cli_io_cancel(g->c, &t.io);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.io.error, -LE_EINTR);
    assert_int_equal(t.io.bytes, 0);
    cli_tick(g->c);
    assert_int_equal(t.ended, 1);
    cli_file_close(g->c, file);
}

static void test_who_is_in_a_hurry_ends_what_is_parked(void **state)
{
    struct reads r;
    struct transfer t;
    struct cli_file *file = park(state, &r, &t);
    struct rig *g = *state;

    cli_hurry(g->c);
    assert_int_equal(t.ended, 1);
    assert_int_equal(t.io.error, -LE_EBADF);
    fake_die(&g->f);
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOTCONN); /* and does not wait */
    fake_revive(&g->f);
    assert_int_equal(cli_recover(g->c), 0);
    cli_file_close(g->c, file);
}

static void count_lost(void *user)
{
    ++*(unsigned *)user;
}

static void test_the_end_of_a_session_is_told_once(void **state)
{
    struct rig *g = *state;
    unsigned lost = 0;

    g->o.lost = count_lost;
    g->o.log_user = &lost;
    rig_up(state); /* without patience: it must not wait here for itself */
    fake_die(&g->f);
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOTCONN);
    assert_int_equal(rig_try(g, g->root, "a"), -LE_ENOTCONN);
    cli_tick(g->c);
    assert_int_equal(lost, 1);
    fake_revive(&g->f);
    assert_int_equal(cli_recover(g->c), 0);
    assert_int_equal(lost, 1);
    fake_revive(&g->f);
    cli_tick(g->c); /* notices the epoch */
    assert_int_equal(lost, 2);
    assert_int_equal(cli_recover(g->c), 0);
}

/* ---- another share under the same tag ----------------------------------------------------------------- */

static void test_under_another_root_equal_numbers_prove_nothing(void **state)
{
    struct rig *g = *state;
    struct cli_attr a;

    g->f.extension = false; /* no birth times */
    fake_add(&g->f, 0, "f", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "f");
    fake_die(&g->f);
    g->f.node[0].ino++;
    fake_revive(&g->f);
    assert_int_equal(cli_recover(g->c), 0);
    assert_int_equal(cli_getattr(g->c, n, true, &a), -LE_ESTALE);
    struct cli_node *other = rig_lookup(g, g->root, "f");
    assert_ptr_not_equal(other, n);
    assert_int_equal(cli_getattr(g->c, other, true, &a), 0);
    cli_node_put(g->c, other);
    fake_die(&g->f); /* back home: what is known now is of the other share */
    g->f.node[0].ino--;
    fake_revive(&g->f);
    assert_int_equal(cli_recover(g->c), 0);
    assert_int_equal(cli_getattr(g->c, n, true, &a), -LE_ESTALE);
    cli_node_put(g->c, n);
}

/* ---- a feed that pauses ---------------------------------------------------------------------------------- */

struct heard {
    unsigned n, rescans;
};

static void hear(void *user, const struct cli_change *change)
{
    struct heard *h = user;

    h->n++;
    h->rescans += change->action == VIOFS_RESCAN;
}

static void test_a_machine_that_pauses_keeps_its_feed(void **state)
{
    struct rig *g = *state;
    struct heard h = {0};

    g->f.features = VIOFS_FEATURE_FEED;
    g->o.want_feed = true;
    g->o.changed = hear;
    g->o.log_user = &h;
    fake_add(&g->f, 0, "d", DIR_MODE);
    rig_up(state);
    for (unsigned i = 0; i < 3; i++) {
        fake_answer_events(&g->f, NULL, 0, -LE_EINTR); /* its device stops */
        assert_null(g->f.events);
        cli_tick(g->c);
        assert_non_null(g->f.events);
    }
    fake_event(&g->f, 1, VIOFS_ADDED, 0, "x");
    assert_int_equal(h.n, 1);
    assert_int_equal(h.rescans, 0);
    fake_answer_events(&g->f, NULL, 0, -LE_EINTR); /* and the rest of the test while it pauses */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_a_file_system_that_fails_whatever_is_asked_is_no_lost_session),
        RIG_TEST(test_nor_is_it_on_a_host_without_the_extension),
        RIG_TEST(test_a_handle_that_the_host_does_not_know_is_replaced),
        RIG_TEST(test_it_is_replaced_once_and_then_believed),
        RIG_TEST(test_a_bad_disk_is_told_at_once),
        RIG_TEST(test_a_parked_read_goes_on_in_the_next_session),
        RIG_TEST(test_a_parked_read_can_be_cancelled),
        RIG_TEST(test_who_is_in_a_hurry_ends_what_is_parked),
        RIG_TEST(test_the_end_of_a_session_is_told_once),
        RIG_TEST(test_under_another_root_equal_numbers_prove_nothing),
        RIG_TEST(test_a_machine_that_pauses_keeps_its_feed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
