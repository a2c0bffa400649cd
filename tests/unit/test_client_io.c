// SPDX-License-Identifier: BSD-3-Clause
/* Data, handles and listings before a host whose every answer the test decides. */
#include "tests/unit/client_rig.h"

#define MIB (1u << 20)

/* What the host does with data; the hook's user. */
struct disk {
    uint64_t size;    /* of the file: reads end here */
    uint64_t room;    /* bytes that may still be written */
    uint32_t at_once; /* most bytes that one WRITE writes */
    uint64_t fail_at; /* offset at which READ and WRITE fail... */
    int32_t fail;     /* ...with this, or 0 */
    uint32_t lie;     /* what WRITE claims instead, or 0 */
    bool write_only;  /* opening for reading is EACCES */
};

static int32_t serve_open(struct fake *f, struct fake_call *call, const struct disk *d)
{
    struct fuse_open_in in;

    memcpy(&in, call->arg, sizeof(in));
    return d->write_only && (in.flags & 3) != LX_O_WRONLY ? -LE_EACCES : fake_serve(f, call);
}

static int32_t serve_read(struct fake_call *call, const struct disk *d)
{
    struct fuse_read_in in;

    memcpy(&in, call->arg, sizeof(in));
    if (d->fail && in.offset == d->fail_at)
        return d->fail;
    uint64_t left = in.offset < d->size ? d->size - in.offset : 0;
    uint32_t n = left < in.size ? (uint32_t)left : in.size;
    memset(call->reply, 'r', n);
    return (int32_t)n;
}

static int32_t serve_write(struct fake_call *call, struct disk *d)
{
    struct fuse_write_in in;
    struct fuse_write_out out;

    memcpy(&in, call->arg, sizeof(in));
    if (d->fail && in.offset == d->fail_at)
        return d->fail;
    if (d->room == 0)
        return -LE_ENOSPC;
    out.size = in.size < d->at_once ? in.size : d->at_once;
    out.size = out.size < d->room ? out.size : (uint32_t)d->room;
    d->room -= out.size;
    out.size = d->lie ? d->lie - 1 : out.size;
    out.padding = 0;
    memcpy(call->reply, &out, sizeof(out));
    return sizeof(out);
}

static int32_t serve_disk(struct fake *f, struct fake_call *call)
{
    struct disk *d = f->user;

    switch (call->in.opcode) {
    case FUSE_OPEN:
        return serve_open(f, call, d);
    case FUSE_READ:
        return serve_read(call, d);
    case FUSE_WRITE:
        return serve_write(call, d);
    default:
        return FAKE_PASS;
    }
}

static struct disk plenty(void)
{
    return (struct disk){.size = 16 * MIB, .room = UINT64_MAX, .at_once = UINT32_MAX};
}

static struct cli_file *open_file(void **state, struct disk *d)
{
    struct rig *g = *state;
    struct cli_file *file;

    fake_add(&g->f, 0, "f", FILE_MODE);
    rig_up(state);
    g->f.user = d;
    g->f.hook = serve_disk;
    struct cli_node *n = rig_lookup(g, g->root, "f");
    assert_int_equal(cli_file_open(g->c, n, CLI_WRITE, &file), 0);
    cli_node_put(g->c, n);
    return file;
}

static struct cli_io transfer(uint32_t len, uint32_t flags)
{
    struct cli_io io = {.buf = malloc(len), .len = len, .flags = flags};

    assert_non_null(io.buf);
    memset(io.buf, 'w', len);
    return io;
}

/* ---- writes -------------------------------------------------------------------------------------------- */

static void test_a_write_that_the_host_cuts_short_goes_on(void **state)
{
    struct rig *g = *state;
    struct disk d = plenty();
    struct cli_file *f = open_file(state, &d);
    struct cli_io io = transfer(5500, 0);

    d.at_once = 1000;
    assert_int_equal(cli_write(g->c, f, &io), 0);
    assert_int_equal(io.error, 0);
    assert_int_equal(io.bytes, 5500);
    assert_int_equal(g->f.count[FUSE_WRITE], 6);
    cli_file_close(g->c, f);
    free(io.buf);
}

static void test_a_full_disk_is_named_and_what_fitted_is_counted(void **state)
{
    struct rig *g = *state;
    struct disk d = plenty();
    struct cli_file *f = open_file(state, &d);
    struct cli_io io = transfer(4 * MIB, 0);

    d.room = MIB + 512;
    assert_int_equal(cli_write(g->c, f, &io), 0);
    assert_int_equal(io.error, -LE_ENOSPC);
    assert_int_equal(io.bytes, MIB + 512);
    cli_file_close(g->c, f);
    free(io.buf);
}

static void test_a_write_counts_up_to_the_first_error(void **state)
{
    struct rig *g = *state;
    struct disk d = plenty();
    struct cli_file *f = open_file(state, &d);
    struct cli_io io = transfer(4 * MIB, 0);

    d.fail = -LE_EDQUOT;
    d.fail_at = 2 * MIB;
    assert_int_equal(cli_write(g->c, f, &io), 0);
    assert_int_equal(io.error, -LE_EDQUOT);
    assert_int_equal(io.bytes, 2 * MIB);
    cli_file_close(g->c, f);
    free(io.buf);
}

static void test_after_an_error_the_size_is_asked_for(void **state)
{
    struct rig *g = *state;
    struct disk d = plenty();
    struct cli_file *f = open_file(state, &d);
    struct cli_io io = transfer(2 * MIB, 0);
    struct cli_attr a;

    d.fail = -LE_EIO;
    d.fail_at = MIB;
    assert_int_equal(cli_getattr(g->c, cli_file_node(f), false, &a), 0);
    assert_int_equal(cli_write(g->c, f, &io), 0);
    rig_trips(g);
    assert_int_equal(cli_getattr(g->c, cli_file_node(f), false, &a), 0);
    assert_int_equal(rig_trips(g), 1);
    cli_file_close(g->c, f);
    free(io.buf);
}

static void test_a_host_that_wrote_more_than_it_got_or_nothing_is_not_believed(void **state)
{
    static const uint32_t claims[] = {0, 101, UINT32_MAX - 1};
    struct rig *g = *state;
    struct disk d = plenty();
    struct cli_file *f = open_file(state, &d);
    struct cli_io io = transfer(100, 0);

    for (unsigned i = 0; i < 3; i++) {
        d.lie = claims[i] + 1;
        assert_int_equal(cli_write(g->c, f, &io), 0);
        assert_int_equal(io.error, -LE_EIO);
        assert_int_equal(io.bytes, 0);
    }
    cli_file_close(g->c, f);
    free(io.buf);
}

static void test_an_append_stops_at_its_first_error(void **state)
{
    struct rig *g = *state;
    struct disk d = plenty();
    struct cli_file *f = open_file(state, &d);
    struct cli_io io = transfer(4 * MIB, CLI_IO_APPEND);

    d.room = MIB + 5;
    assert_int_equal(cli_write(g->c, f, &io), 0);
    assert_int_equal(io.error, -LE_ENOSPC);
    assert_int_equal(io.bytes, MIB + 5);
    /* one whole part, one in two, and none after the error */
    assert_int_equal(g->f.count[FUSE_WRITE], 3);
    cli_file_close(g->c, f);
    free(io.buf);
}

/* ---- reads --------------------------------------------------------------------------------------------- */

static void test_a_read_counts_up_to_its_first_error(void **state)
{
    struct rig *g = *state;
    struct disk d = plenty();
    struct cli_file *f = open_file(state, &d);
    struct cli_io io = transfer(4 * MIB, 0);

    d.fail = -LE_EIO;
    d.fail_at = 3 * MIB;
    assert_int_equal(cli_read(g->c, f, &io), 0);
    assert_int_equal(io.error, -LE_EIO);
    assert_int_equal(io.bytes, 3 * MIB);
    cli_file_close(g->c, f);
    free(io.buf);
}

static void test_an_error_beyond_the_end_of_the_file_is_none(void **state)
{
    struct rig *g = *state;
    struct disk d = plenty();
    struct cli_file *f = open_file(state, &d);
    struct cli_io io = transfer(4 * MIB, 0);

    d.size = MIB + 10;
    d.fail = -LE_EIO;
    d.fail_at = 2 * MIB;
    assert_int_equal(cli_read(g->c, f, &io), 0);
    assert_int_equal(io.error, 0);
    assert_int_equal(io.bytes, MIB + 10);
    cli_file_close(g->c, f);
    free(io.buf);
}

/* ---- a deep stack is never needed ------------------------------------------------------------------------- */

struct small_stack {
    struct rig *g;
    struct cli_file *f;
    struct cli_io io;
    int result;
};

static void *transfer_on_it(void *arg)
{
    struct small_stack *s = arg;

    s->result = cli_write(s->g->c, s->f, &s->io);
    return NULL;
}

/* The host answers before submit() returns: parts must not call each other. */
static void long_transfer_on_a_small_stack(void **state, uint32_t flags, uint32_t at_once)
{
    struct rig *g = *state;
    struct disk d = plenty();
    struct small_stack s = {.g = g, .io = transfer(4 * MIB, flags)};
    pthread_attr_t attr;
    pthread_t t;

    g->f.max_transfer = 4096;
    s.f = open_file(state, &d);
    d.at_once = at_once;
    pthread_attr_init(&attr);
    assert_int_equal(pthread_attr_setstacksize(&attr, 256 << 10), 0);
    assert_int_equal(pthread_create(&t, &attr, transfer_on_it, &s), 0);
    pthread_join(t, NULL);
    pthread_attr_destroy(&attr);
    assert_int_equal(s.result, 0);
    assert_int_equal(s.io.error, 0);
    assert_int_equal(s.io.bytes, 4 * MIB);
    cli_file_close(g->c, s.f);
    free(s.io.buf);
}

static void test_an_append_of_a_thousand_parts_needs_no_deep_stack(void **state)
{
    long_transfer_on_a_small_stack(state, CLI_IO_APPEND, UINT32_MAX);
}

static void test_a_write_in_very_small_pieces_needs_no_deep_stack(void **state)
{
    long_transfer_on_a_small_stack(state, 0, 100);
}

/* ---- handles ------------------------------------------------------------------------------------------------ */

static void test_a_file_that_may_be_written_but_not_read_is_written(void **state)
{
    struct rig *g = *state;
    struct disk d = plenty();
    struct cli_io io = transfer(10, 0);

    d.write_only = true;
    struct cli_file *f = open_file(state, &d);
    assert_int_equal(g->f.count[FUSE_OPEN], 2);
    assert_int_equal(cli_write(g->c, f, &io), 0);
    assert_int_equal(io.bytes, 10);
    assert_int_equal(cli_read(g->c, f, &io), -LE_EACCES);
    cli_file_close(g->c, f);
    free(io.buf);
}

struct opener {
    struct rig *g;
    struct cli_node *n;
    struct cli_file *f;
    int result;
};

static void *open_one(void *arg)
{
    struct opener *o = arg;

    o->result = cli_file_open(o->g->c, o->n, CLI_READ, &o->f);
    return NULL;
}

static void test_openers_at_the_same_time_send_one_request(void **state)
{
    struct rig *g = *state;
    struct opener o[8];
    pthread_t t[8];

    fake_add(&g->f, 0, "f", FILE_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "f");
    fake_hush(&g->f);
    for (unsigned i = 0; i < 8; i++) {
        o[i] = (struct opener){.g = g, .n = n};
        assert_int_equal(pthread_create(&t[i], NULL, open_one, &o[i]), 0);
    }
    usleep(20000); /* most of them wait by now; whoever is late finds the handle */
    fake_speak(&g->f);
    for (unsigned i = 0; i < 8; i++)
        pthread_join(t[i], NULL);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(o[i].result, 0);
        cli_file_close(g->c, o[i].f);
    }
    assert_int_equal(g->f.count[FUSE_OPEN], 1);
    assert_int_equal(g->f.count[FUSE_RELEASE], 1);
    cli_node_put(g->c, n);
}

static void test_every_handle_of_a_file_is_released_with_its_last_opener(void **state)
{
    struct rig *g = *state;
    struct disk d = plenty();
    struct cli_file *f = open_file(state, &d), *second;
    struct cli_io io = transfer(10, CLI_IO_APPEND);

    assert_int_equal(cli_file_open(g->c, cli_file_node(f), CLI_READ, &second), 0);
    assert_int_equal(cli_write(g->c, f, &io), 0);
    assert_int_equal(g->f.open_handles, 2); /* for writing, which reads too, and for appending */
    cli_file_close(g->c, f);
    assert_int_equal(g->f.open_handles, 2);
    cli_file_close(g->c, second);
    assert_int_equal(g->f.open_handles, 0);
    free(io.buf);
}

/* ---- listings --------------------------------------------------------------------------------------------------- */

static struct cli_dir *open_root(struct rig *g)
{
    struct cli_dir *d;

    assert_int_equal(cli_dir_open(g->c, g->root, &d), 0);
    return d;
}

static bool take_some(void *user, const struct cli_dirent *e)
{
    uint32_t *left = user;

    (void)e;
    return (*left)-- > 0;
}

static void test_entries_that_nobody_took_are_given_back_all_the_same(void **state)
{
    struct rig *g = *state;
    uint32_t left = 1;

    g->o.max_nodes = 1;
    fake_add(&g->f, 0, "a", FILE_MODE);
    fake_add(&g->f, 0, "b", FILE_MODE);
    fake_add(&g->f, 0, "c", DIR_MODE);
    rig_up(state);
    struct cli_dir *d = open_root(g);
    assert_int_equal(cli_dir_read(g->c, d, 0, take_some, &left), 1);
    assert_int_equal(fake_lookups(&g->f), 3);
    cli_dir_close(g->c, d);
} /* the teardown demands that none is left */

static int32_t fail_listing(struct fake *f, struct fake_call *call)
{
    (void)f;
    return call->in.opcode == VIOFS_READDIRPLUS ? -LE_EACCES : FAKE_PASS;
}

static void test_an_error_of_a_listing_is_reported(void **state)
{
    struct rig *g = rig_up(state);
    struct cli_dir *d = open_root(g);
    uint32_t left = 100;

    g->f.hook = fail_listing;
    assert_int_equal(cli_dir_read(g->c, d, 0, take_some, &left), -LE_EACCES);
    assert_int_equal(left, 100);
    cli_dir_close(g->c, d);
}

/* Pages that a test makes up: one entry of a name and a cookie. */
struct page {
    const char *name;
    uint64_t cookie;
    int32_t cut; /* bytes that are missing at its end */
    uint32_t asked;
};

static int32_t make_up(struct fake *f, struct fake_call *call)
{
    struct page *p = f->user;
    struct fuse_dirent d = {.namelen = (uint32_t)strlen(p->name)};
    uint32_t before = sizeof(struct fuse_entry_out) + sizeof(struct fuse_viofs_ext);

    if (call->in.opcode != VIOFS_READDIRPLUS)
        return FAKE_PASS;
    d.off = p->cookie ? p->cookie : ++p->asked; /* 0: always another one */
    memset(call->reply, 0, before + 64);
    memcpy(call->reply + before, &d, FUSE_NAME_OFFSET);
    memcpy(call->reply + before + FUSE_NAME_OFFSET, p->name, d.namelen);
    return (int32_t)FUSE_REC_ALIGN(before + FUSE_NAME_OFFSET + d.namelen) - p->cut;
}

static int list_made_up(void **state, struct page *p)
{
    struct rig *g = rig_up(state);
    struct cli_dir *d = open_root(g);
    uint32_t left = 1000;

    g->lies = true;
    g->f.user = p;
    g->f.hook = make_up;
    int e = cli_dir_read(g->c, d, 0, take_some, &left);
    cli_dir_close(g->c, d);
    return e;
}

static void test_a_page_that_is_cut_off_is_an_error(void **state)
{
    struct page p = {.name = "name", .cookie = 5, .cut = 8};

    assert_int_equal(list_made_up(state, &p), -LE_EIO);
}

static void test_a_name_with_a_slash_is_an_error(void **state)
{
    struct page p = {.name = "../name", .cookie = 5};

    assert_int_equal(list_made_up(state, &p), -LE_EIO);
}

static void test_cookies_that_stand_still_are_an_error(void **state)
{
    struct page p = {.name = "name", .cookie = 5};

    assert_int_equal(list_made_up(state, &p), -LE_EIO);
}

static void test_pages_without_end_and_without_names_are_an_error(void **state)
{
    struct page p = {.name = "..", .cookie = 0};

    assert_int_equal(list_made_up(state, &p), -LE_EIO);
    assert_true(p.asked < 100);
}

static void test_names_without_end_are_the_readers_business(void **state)
{
    struct page p = {.name = "again", .cookie = 0};

    assert_int_equal(list_made_up(state, &p), 1);
    assert_int_equal(p.asked, 1001);
}

static bool wants_attributes(void *user, const struct cli_dirent *e)
{
    uint32_t *n = user;

    assert_true(e->has_attr);
    assert_int_equal(e->attr.mode & LX_S_IFMT, e->type);
    ++*n;
    return true;
}

static void test_a_host_that_lists_names_only_is_asked_for_each(void **state)
{
    struct rig *g = *state;
    uint32_t n = 0;

    g->f.extension = false;
    g->f.offered_flags = ~(uint64_t)FUSE_DO_READDIRPLUS;
    fake_add(&g->f, 0, "a", FILE_MODE);
    fake_add(&g->f, 0, "d", DIR_MODE);
    rig_up(state);
    struct cli_dir *d = open_root(g);
    assert_int_equal(cli_dir_read(g->c, d, 0, wants_attributes, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(g->f.count[FUSE_READDIRPLUS], 0);
    assert_int_equal(g->f.count[FUSE_LOOKUP], 2);
    cli_dir_close(g->c, d);
}

static void test_a_host_that_turns_out_to_list_names_only_is_asked_for_each(void **state)
{
    struct rig *g = *state;
    uint32_t n = 0;

    g->f.extension = false;
    g->f.enosys = 1ull << FUSE_READDIRPLUS;
    fake_add(&g->f, 0, "a", FILE_MODE);
    rig_up(state);
    struct cli_dir *d = open_root(g);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(cli_dir_read(g->c, d, 0, wants_attributes, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(g->f.count[FUSE_READDIRPLUS], 1); /* it is asked once */
    cli_dir_close(g->c, d);
}

/* ---- extended attributes --------------------------------------------------------------------------------------------- */

static void test_a_host_without_extended_attributes_is_asked_once(void **state)
{
    struct rig *g = rig_up(state); /* the host in memory knows none of these requests */
    char value[8];

    rig_trips(g);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(cli_getxattr(g->c, g->root, "user.a", value, 8), -LE_EOPNOTSUPP);
        assert_int_equal(cli_setxattr(g->c, g->root, "user.a", "x", 1, 0), -LE_EOPNOTSUPP);
        assert_int_equal(cli_listxattr(g->c, g->root, value, 8), -LE_EOPNOTSUPP);
        assert_int_equal(cli_removexattr(g->c, g->root, "user.a"), -LE_EOPNOTSUPP);
        assert_int_equal(rig_trips(g), i ? 0 : 4);
    }
}

static void test_a_host_that_cannot_allocate_is_asked_once(void **state)
{
    struct rig *g = *state;
    struct disk d = plenty();
    struct cli_file *f = open_file(state, &d);

    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(cli_allocate(g->c, f, 0, 100), -LE_EOPNOTSUPP);
    assert_int_equal(g->f.count[FUSE_FALLOCATE], 1);
    cli_file_close(g->c, f);
}

static void test_a_host_that_does_not_know_fsync_has_nothing_to_sync(void **state)
{
    struct rig *g = *state;
    struct disk d = plenty();
    struct cli_file *f = open_file(state, &d);

    assert_int_equal(cli_fsync(g->c, cli_file_node(f)), 0);
    assert_int_equal(g->f.count[FUSE_FSYNC], 1);
    cli_file_close(g->c, f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_a_host_without_extended_attributes_is_asked_once),
        RIG_TEST(test_a_host_that_cannot_allocate_is_asked_once),
        RIG_TEST(test_a_host_that_does_not_know_fsync_has_nothing_to_sync),
        RIG_TEST(test_a_write_that_the_host_cuts_short_goes_on),
        RIG_TEST(test_a_full_disk_is_named_and_what_fitted_is_counted),
        RIG_TEST(test_a_write_counts_up_to_the_first_error),
        RIG_TEST(test_after_an_error_the_size_is_asked_for),
        RIG_TEST(test_a_host_that_wrote_more_than_it_got_or_nothing_is_not_believed),
        RIG_TEST(test_an_append_stops_at_its_first_error),
        RIG_TEST(test_a_read_counts_up_to_its_first_error),
        RIG_TEST(test_an_error_beyond_the_end_of_the_file_is_none),
        RIG_TEST(test_an_append_of_a_thousand_parts_needs_no_deep_stack),
        RIG_TEST(test_a_write_in_very_small_pieces_needs_no_deep_stack),
        RIG_TEST(test_a_file_that_may_be_written_but_not_read_is_written),
        RIG_TEST(test_openers_at_the_same_time_send_one_request),
        RIG_TEST(test_every_handle_of_a_file_is_released_with_its_last_opener),
        RIG_TEST(test_entries_that_nobody_took_are_given_back_all_the_same),
        RIG_TEST(test_an_error_of_a_listing_is_reported),
        RIG_TEST(test_a_page_that_is_cut_off_is_an_error),
        RIG_TEST(test_a_name_with_a_slash_is_an_error),
        RIG_TEST(test_cookies_that_stand_still_are_an_error),
        RIG_TEST(test_pages_without_end_and_without_names_are_an_error),
        RIG_TEST(test_names_without_end_are_the_readers_business),
        RIG_TEST(test_a_host_that_lists_names_only_is_asked_for_each),
        RIG_TEST(test_a_host_that_turns_out_to_list_names_only_is_asked_for_each),
    };

    return cmocka_run_group_tests_name("client_io", tests, NULL, NULL);
}
