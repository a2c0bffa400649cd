// SPDX-License-Identifier: BSD-3-Clause
/* A host that lies: what it says is refused in one place, and nothing is read or written out of bounds. */
#include "tests/unit/client_rig.h"

/* What the hook makes of an honest answer. */
struct lie {
    uint32_t opcode;
    void (*edit)(struct fuse_entry_out *e);
    int32_t length; /* if not 0: so many bytes, whatever is in them */
};

static int32_t tell(struct fake *f, struct fake_call *call)
{
    const struct lie *l = f->user;
    struct fuse_entry_out e;

    if (call->in.opcode != l->opcode)
        return FAKE_PASS;
    int32_t r = fake_serve(f, call);
    if (r >= (int32_t)sizeof(e) && l->edit) {
        memcpy(&e, call->reply, sizeof(e));
        l->edit(&e);
        memcpy(call->reply, &e, sizeof(e));
    }
    return l->length ? l->length : r;
}

static struct rig *up(void **state, struct lie *l)
{
    struct rig *g = *state;

    g->lies = true;
    fake_add(&g->f, 0, "a", FILE_MODE);
    fake_add(&g->f, 0, "d", DIR_MODE);
    rig_up(state);
    g->f.user = l;
    g->f.hook = tell;
    return g;
}

/* ---- entries ------------------------------------------------------------------------------------------------ */

static void no_type(struct fuse_entry_out *e)
{
    e->attr.mode = 0644;
}
static void odd_type(struct fuse_entry_out *e)
{
    e->attr.mode = 0170000 | 0644;
}
static void huge_size(struct fuse_entry_out *e)
{
    e->attr.size = UINT64_MAX;
}
static void root_id(struct fuse_entry_out *e)
{
    e->nodeid = FUSE_ROOT_ID;
}
static void long_validity(struct fuse_entry_out *e)
{
    e->entry_valid = e->attr_valid = UINT64_MAX;
    e->entry_valid_nsec = e->attr_valid_nsec = UINT32_MAX;
    e->attr.mtimensec = UINT32_MAX;
    e->attr.blocks = UINT64_MAX;
}

static void test_entries_of_no_type_or_size_are_refused(void **state)
{
    struct lie l = {.opcode = VIOFS_LOOKUP};
    struct rig *g = up(state, &l);
    void (*const edits[])(struct fuse_entry_out *) = {no_type, odd_type, huge_size, root_id};

    for (unsigned i = 0; i < 4; i++) {
        l.edit = edits[i];
        assert_int_equal(rig_try(g, g->root, "a"), -LE_EIO);
    }
}

static void test_times_and_validities_are_brought_into_bounds(void **state)
{
    struct lie l = {.opcode = VIOFS_LOOKUP, .edit = long_validity};
    struct rig *g = up(state, &l);
    struct cli_attr a;
    struct cli_node *n = rig_lookup(g, g->root, "a");

    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    assert_true(a.mtime.nsec < 1000000000u);
    assert_true(a.blocks <= INT64_MAX / 512);
    assert_int_equal(cli_ms(UINT64_MAX, UINT32_MAX), 24 * 60 * 60 * 1000);
    cli_node_put(g->c, n);
}

static uint64_t forced_id;
static uint64_t forced_generation;
static void force_id(struct fuse_entry_out *e)
{
    e->nodeid = forced_id;
    e->generation = forced_generation;
}

static void test_a_node_does_not_change_its_type(void **state)
{
    struct lie l = {.opcode = VIOFS_LOOKUP};
    struct rig *g = up(state, &l);
    struct cli_node *a = rig_lookup(g, g->root, "a");

    forced_id = a->id;
    forced_generation = a->generation;
    l.edit = force_id;
    assert_int_equal(rig_try(g, g->root, "d"), -LE_EIO);
    assert_int_equal(cli_node_type(a), LX_S_IFREG);
    l.edit = NULL;
    struct cli_node *d = rig_lookup(g, g->root, "d"); /* and the lie is not remembered */
    assert_int_equal(cli_node_type(d), LX_S_IFDIR);
    cli_node_put(g->c, d);
    cli_node_put(g->c, a);
}

static void test_another_generation_is_another_node(void **state)
{
    struct lie l = {.opcode = VIOFS_LOOKUP};
    struct rig *g = up(state, &l);
    struct cli_node *a = rig_lookup(g, g->root, "a");

    forced_id = a->id;
    forced_generation = a->generation + 1;
    l.edit = force_id;
    struct cli_node *d = rig_lookup(g, g->root, "d");
    assert_ptr_not_equal(a, d);
    assert_int_equal(cli_node_type(d), LX_S_IFDIR);
    cli_node_put(g->c, a);
    cli_node_put(g->c, d);
}

static int32_t getattr_of_another_type(struct fake *f, struct fake_call *call)
{
    if (call->in.opcode != VIOFS_GETATTR)
        return FAKE_PASS;
    f->node[1].mode ^= 0140000; /* a regular file becomes a directory, for this answer */
    int32_t r = fake_serve(f, call);
    f->node[1].mode ^= 0140000;
    return r;
}

static void test_attributes_of_another_type_are_refused(void **state)
{
    struct lie l = {0};
    struct rig *g = up(state, &l);
    struct cli_node *a = rig_lookup(g, g->root, "a");
    struct cli_attr attr;

    g->f.hook = getattr_of_another_type;
    assert_int_equal(cli_getattr(g->c, a, true, &attr), -LE_EIO);
    cli_node_put(g->c, a);
}

static void test_a_directory_is_not_put_below_itself(void **state)
{
    struct lie l = {.opcode = VIOFS_LOOKUP};
    struct rig *g = up(state, &l);
    uint32_t inner = fake_add(&g->f, fake_find(&g->f, 0, "d"), "inner", DIR_MODE);
    fake_add(&g->f, inner, "x", DIR_MODE);
    struct cli_node *d = rig_lookup(g, g->root, "d"), *in = rig_lookup(g, d, "inner");

    forced_id = d->id;
    forced_generation = d->generation;
    l.edit = force_id;
    assert_int_equal(rig_try(g, in, "x"), -LE_EIO);
    forced_id = in->id;
    forced_generation = in->generation;
    assert_int_equal(rig_try(g, in, "x"), -LE_EIO);
    cli_node_put(g->c, in);
    cli_node_put(g->c, d);
}

/* ---- lengths --------------------------------------------------------------------------------------------------- */

static void test_answers_of_a_wrong_length_are_refused(void **state)
{
    struct lie l = {.opcode = VIOFS_LOOKUP};
    struct rig *g = up(state, &l);
    const int32_t lengths[] = {1,
                               40,
                               sizeof(struct fuse_entry_out) - 1,
                               sizeof(struct fuse_entry_out),
                               100000,
                               INT32_MAX - 1,
                               -4096,
                               INT32_MIN};

    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        l.length = lengths[i];
        assert_int_equal(rig_try(g, g->root, "a"), -LE_EIO);
    }
}

static void test_short_answers_to_anything_are_refused(void **state)
{
    struct lie l = {.length = 4};
    struct rig *g = up(state, &l);
    struct cli_node *a = rig_lookup(g, g->root, "a"), *n;
    struct cli_statfs s;
    struct cli_attr attr = {0};

    l.opcode = VIOFS_CREATE;
    assert_int_equal(cli_create(g->c, g->root, N("new"), 0644, 0, &n, NULL), -LE_EIO);
    l.opcode = FUSE_MKDIR;
    assert_int_equal(cli_mkdir(g->c, g->root, N("new2"), 0755, &n), -LE_EIO);
    l.opcode = FUSE_STATFS;
    assert_int_equal(cli_statfs(g->c, &s), -LE_EIO);
    l.opcode = FUSE_SETATTR;
    assert_int_equal(cli_setattr(g->c, a, CLI_SET_MODE, &attr, NULL), -LE_EIO);
    l.opcode = VIOFS_GETATTR;
    assert_int_equal(cli_getattr(g->c, a, true, &attr), -LE_EIO);
    cli_node_put(g->c, a);
}

static void test_what_was_made_must_be_what_was_asked_for(void **state)
{
    struct lie l = {.opcode = FUSE_MKDIR};
    struct rig *g = up(state, &l);
    struct cli_node *n;

    l.edit = odd_type;
    assert_int_equal(cli_mkdir(g->c, g->root, N("x"), 0755, &n), -LE_EIO);
    forced_id = 0;
    l.edit = force_id;
    assert_int_equal(cli_mkdir(g->c, g->root, N("y"), 0755, &n), -LE_EIO);
}

static int32_t link_with_nul(struct fake *f, struct fake_call *call)
{
    (void)f;
    if (call->in.opcode != FUSE_READLINK)
        return FAKE_PASS;
    memcpy(call->reply, "a\0b", 3);
    return 3;
}

static void test_a_link_with_a_nul_in_it_is_refused(void **state)
{
    struct lie l = {0};
    struct rig *g = up(state, &l);
    struct cli_node *n;
    char buf[16];

    fake_add(&g->f, 0, "l", LINK_MODE);
    n = rig_lookup(g, g->root, "l");
    g->f.hook = link_with_nul;
    assert_int_equal(cli_readlink(g->c, n, buf, sizeof(buf)), -LE_EIO);
    cli_node_put(g->c, n);
}

/* ---- pages of directories ------------------------------------------------------------------------------------- */

struct page {
    uint8_t bytes[4096];
    uint32_t len;
};

static void add_dirent(struct page *p, const char *name, uint32_t namelen, uint32_t type)
{
    struct fuse_dirent d = {.ino = 7, .off = p->len + 1, .namelen = namelen, .type = type};

    memcpy(p->bytes + p->len, &d, FUSE_NAME_OFFSET);
    memcpy(p->bytes + p->len + FUSE_NAME_OFFSET, name, strlen(name));
    p->len += (uint32_t)FUSE_REC_ALIGN(FUSE_NAME_OFFSET + namelen);
}

static int read_page(const struct page *p, enum cli_page kind)
{
    struct cli_rawent e;
    uint32_t pos = 0;
    int n = 0, r;

    while ((r = cli_dirent_next(p->bytes, p->len, &pos, kind, &e)) > 0) {
        assert_true(e.name_len >= 1 && e.name_len <= 1024);
        n++;
    }
    return r < 0 ? r : n;
}

static void test_an_honest_page_is_read_to_its_end(void **state)
{
    struct page p = {.len = 0};

    (void)state;
    add_dirent(&p, ".", 1, 4);
    add_dirent(&p, "a", 1, 8);
    add_dirent(&p, "longer-name", 11, 10);
    assert_int_equal(read_page(&p, CLI_PAGE_PLAIN), 3);
    p.len -= 5; /* the padding of the last one may be missing */
    assert_int_equal(read_page(&p, CLI_PAGE_PLAIN), 3);
}

static void test_names_that_are_no_names_spoil_a_page(void **state)
{
    struct page p;

    (void)state;
    p = (struct page){.len = 0};
    add_dirent(&p, "a/b", 3, 8);
    assert_int_equal(read_page(&p, CLI_PAGE_PLAIN), -LE_EIO);
    p = (struct page){.len = 0};
    add_dirent(&p, "a", 3, 8); /* two NULs after it */
    assert_int_equal(read_page(&p, CLI_PAGE_PLAIN), -LE_EIO);
    p = (struct page){.len = 0};
    add_dirent(&p, "", 0, 8);
    assert_int_equal(read_page(&p, CLI_PAGE_PLAIN), -LE_EIO);
}

static void test_names_that_do_not_fit_spoil_a_page(void **state)
{
    const uint32_t lengths[] = {UINT32_MAX, UINT32_MAX - 24, 0x80000000u, 1025, 200};
    struct page p;

    (void)state;
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct fuse_dirent d = {.namelen = lengths[i]};
        p = (struct page){.len = 64};
        memcpy(p.bytes, &d, FUSE_NAME_OFFSET);
        assert_int_equal(read_page(&p, CLI_PAGE_PLAIN), -LE_EIO);
    }
}

static void test_a_long_name_is_left_out_and_an_odd_type_is_unknown(void **state)
{
    struct page p = {.len = 0};
    struct cli_rawent e;
    char name[301] = {0};
    uint32_t pos = 0;

    (void)state;
    memset(name, 'x', 300);
    add_dirent(&p, name, 300, 8);
    add_dirent(&p, "a", 1, 0xfffff008);
    assert_int_equal(cli_dirent_next(p.bytes, p.len, &pos, CLI_PAGE_PLAIN, &e), 1);
    assert_true(e.skip);
    assert_int_equal(cli_dirent_next(p.bytes, p.len, &pos, CLI_PAGE_PLAIN, &e), 1);
    assert_false(e.skip);
    assert_int_equal(e.type, 0);
}

static void test_a_node_of_no_type_in_a_listing_is_given_back(void **state)
{
    struct page p = {.len = 0};
    struct fuse_entry_out entry = {.nodeid = 42, .attr.mode = 0};
    struct cli_rawent e;
    uint32_t pos = 0;

    (void)state;
    memcpy(p.bytes, &entry, sizeof(entry));
    p.len = sizeof(entry);
    add_dirent(&p, "a", 1, 8);
    assert_int_equal(cli_dirent_next(p.bytes, p.len, &pos, CLI_PAGE_PLUS, &e), 1);
    assert_false(e.has_entry);
    assert_int_equal(e.orphan, 42);
}

static void test_random_pages_are_read_within_their_bounds(void **state)
{
    unsigned seed = 5;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint32_t len = (uint32_t)rand_r(&seed) % 700, pos = 0;
        uint8_t *page = malloc(len ? len : 1); /* exact, so that a sanitizer sees the end */
        struct cli_rawent e;
        for (uint32_t k = 0; k < len; k++)
            page[k] = (uint8_t)(rand_r(&seed) % 4 ? 0 : rand_r(&seed) % 32);
        while (cli_dirent_next(page, len, &pos, (enum cli_page)(i % 3), &e) > 0)
            assert_true(pos <= len);
        free(page);
    }
}

static int32_t endless_listing(struct fake *f, struct fake_call *call)
{
    struct fuse_dirent d = {.ino = 7, .off = 1, .namelen = 1, .type = 8};

    (void)f;
    if (call->in.opcode != FUSE_READDIR)
        return FAKE_PASS;
    memset(call->reply, 0, 32);
    memcpy(call->reply, &d, FUSE_NAME_OFFSET);
    call->reply[FUSE_NAME_OFFSET] = 'x';
    return 32;
}

static void test_a_listing_that_does_not_get_on_is_ended(void **state)
{
    struct rig *g = *state;
    struct lie l = {0};

    g->o.case_insensitive = true;
    up(state, &l);
    g->f.hook = endless_listing;
    rig_trips(g);
    assert_int_equal(rig_try(g, g->root, "no"), -LE_EIO);
    assert_true(rig_trips(g) < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_entries_of_no_type_or_size_are_refused),
        RIG_TEST(test_times_and_validities_are_brought_into_bounds),
        RIG_TEST(test_a_node_does_not_change_its_type),
        RIG_TEST(test_another_generation_is_another_node),
        RIG_TEST(test_attributes_of_another_type_are_refused),
        RIG_TEST(test_a_directory_is_not_put_below_itself),
        RIG_TEST(test_answers_of_a_wrong_length_are_refused),
        RIG_TEST(test_short_answers_to_anything_are_refused),
        RIG_TEST(test_what_was_made_must_be_what_was_asked_for),
        RIG_TEST(test_a_link_with_a_nul_in_it_is_refused),
        cmocka_unit_test(test_an_honest_page_is_read_to_its_end),
        cmocka_unit_test(test_names_that_are_no_names_spoil_a_page),
        cmocka_unit_test(test_names_that_do_not_fit_spoil_a_page),
        cmocka_unit_test(test_a_long_name_is_left_out_and_an_odd_type_is_unknown),
        cmocka_unit_test(test_a_node_of_no_type_in_a_listing_is_given_back),
        cmocka_unit_test(test_random_pages_are_read_within_their_bounds),
        RIG_TEST(test_a_listing_that_does_not_get_on_is_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
