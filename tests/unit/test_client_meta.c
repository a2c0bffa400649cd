// SPDX-License-Identifier: BSD-3-Clause
/* What is stored in extended attributes: told by the extension, asked for elsewhere, and what both cost. */
#include "lib/meta/dosattrib.h"
#include "tests/unit/client_rig.h"

enum { HIDDEN = 0x2, SYSTEM = 0x4 };
#define CREATED 0x01c07468aa5cc080u

/* user.DOSATTRIB of the one file that has any; a host that knows extended attributes. */
static struct {
    uint8_t value[300];
    int32_t len; /* or what GETXATTR answers */
    unsigned asked, set;
} host;

static int32_t with_xattrs(struct fake *f, struct fake_call *call)
{
    const uint8_t *value;

    (void)f;
    switch (call->in.opcode) {
    case FUSE_GETXATTR:
        host.asked++;
        assert_string_equal((const char *)call->arg + sizeof(struct fuse_getxattr_in),
                            DOSATTRIB_NAME);
        if (host.len >= 0)
            memcpy(call->reply, host.value, (size_t)host.len);
        return host.len;
    case FUSE_SETXATTR:
        value = call->arg + FUSE_COMPAT_SETXATTR_IN_SIZE + sizeof(DOSATTRIB_NAME);
        memcpy(host.value, value, DOSATTRIB_SIZE);
        host.len = DOSATTRIB_SIZE;
        host.set++;
        return 0;
    default:
        return FAKE_PASS;
    }
}

static void host_stores(uint32_t attributes, uint64_t create_time)
{
    dosattrib_encode(&(struct dosattrib){attributes, create_time}, host.value);
    host.len = DOSATTRIB_SIZE;
}

/* A host with a file "a" whose attributes hold for a minute. */
static struct rig *rig_with(void **state, bool extension, int32_t stored)
{
    struct rig *g = *state;

    memset(&host, 0, sizeof(host));
    host.len = stored;
    g->f.extension = extension;
    g->f.features = extension ? VIOFS_FEATURE_META : 0;
    g->f.attr_ms = g->f.entry_ms = 60000;
    g->f.hook = with_xattrs;
    g->o.want_meta = g->o.want_dos = true;
    fake_add(&g->f, 0, "a", FILE_MODE);
    return g;
}

static struct cli_attr attributes(struct rig *g, struct cli_node *n)
{
    struct cli_attr a;

    assert_int_equal(cli_getattr(g->c, n, false, &a), 0);
    return a;
}

static struct fake_node *file_of(struct rig *g)
{
    return &g->f.node[1];
}

/* ---- with the extension ----------------------------------------------------------------------------------- */

static void test_the_extension_tells_what_is_stored(void **state)
{
    struct rig *g = rig_with(state, true, -LE_ENODATA);

    file_of(g)->meta = (struct fuse_viofs_ext){.flags = VIOFS_EXT_META | VIOFS_EXT_DOS |
                                                        VIOFS_EXT_CREATED | VIOFS_EXT_STREAMS,
                                               .dos_attributes = HIDDEN,
                                               .create_time = CREATED,
                                               .ea_size = 33};
    rig_up(state);
    rig_trips(g);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    struct cli_attr a = attributes(g, n);

    assert_int_equal(rig_trips(g), 1);
    assert_true(a.meta_known && a.has_dos && a.eas_known && a.has_streams && !a.has_acl);
    assert_int_equal(a.dos_attributes, HIDDEN);
    assert_int_equal(a.create_time, CREATED);
    assert_int_equal(a.ea_size, 33);
    assert_int_equal(host.asked, 0);
    cli_node_put(g->c, n);
}

static void test_who_does_not_want_metadata_does_not_ask_for_it(void **state)
{
    struct rig *g = rig_with(state, true, -LE_ENODATA);
    struct cli_session s;

    g->o.want_meta = false;
    rig_up(state);
    cli_session_get(g->c, &s);
    assert_true(s.extension);
    assert_false(s.meta);
}

static void test_flags_without_meta_say_nothing(void **state)
{
    struct rig *g = rig_with(state, true, -LE_ENODATA);

    file_of(g)->meta = (struct fuse_viofs_ext){.flags = VIOFS_EXT_DOS, .dos_attributes = HIDDEN};
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    struct cli_attr a = attributes(g, n);

    assert_false(a.meta_known || a.has_dos || a.eas_known);
    cli_node_put(g->c, n);
}

static void test_a_creation_time_that_cannot_be_is_none(void **state)
{
    struct rig *g = rig_with(state, true, -LE_ENODATA);

    file_of(g)->meta = (struct fuse_viofs_ext){
        .flags = VIOFS_EXT_META | VIOFS_EXT_DOS | VIOFS_EXT_CREATED, .create_time = UINT64_MAX};
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");

    assert_int_equal(attributes(g, n).create_time, 0);
    cli_node_put(g->c, n);
}

static void test_changing_other_attributes_keeps_what_is_known(void **state)
{
    struct rig *g = rig_with(state, true, -LE_ENODATA);
    struct cli_attr a = {.mode = 0600};

    file_of(g)->meta =
        (struct fuse_viofs_ext){.flags = VIOFS_EXT_META | VIOFS_EXT_DOS, .dos_attributes = SYSTEM};
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    rig_trips(g);
    assert_int_equal(cli_setattr(g->c, n, CLI_SET_MODE, &a, NULL), 0);
    a = attributes(g, n);
    assert_int_equal(rig_trips(g), 1);
    assert_int_equal(a.mode & 0777, 0600);
    assert_int_equal(a.dos_attributes, SYSTEM);
    cli_node_put(g->c, n);
}

/* ---- without it --------------------------------------------------------------------------------------------- */

static void test_other_hosts_are_asked_beside_the_attributes(void **state)
{
    struct rig *g = rig_with(state, false, 0);

    host_stores(HIDDEN, CREATED);
    rig_up(state);
    host.asked = 0;
    rig_trips(g);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    struct cli_attr a = attributes(g, n);

    assert_int_equal(rig_trips(g), 2); /* LOOKUP, GETXATTR */
    assert_int_equal(host.asked, 1);
    assert_true(a.meta_known);
    assert_true(a.has_dos);
    assert_false(a.eas_known);
    assert_int_equal(a.dos_attributes, HIDDEN);
    assert_int_equal(a.create_time, CREATED);
    attributes(g, n);
    assert_int_equal(rig_trips(g), 0); /* known */
    cli_node_put(g->c, n);
}

static void test_that_there_is_nothing_is_known_as_well(void **state)
{
    struct rig *g = rig_with(state, false, -LE_ENODATA);

    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    assert_true(attributes(g, n).meta_known);
    rig_trips(g);
    assert_false(attributes(g, n).has_dos);
    assert_int_equal(rig_trips(g), 0);
    cli_node_put(g->c, n);
}

static void test_a_host_without_extended_attributes_is_asked_once(void **state)
{
    struct rig *g = rig_with(state, false, -LE_ENOSYS);

    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    rig_trips(g);
    assert_false(attributes(g, n).has_dos);
    assert_int_equal(rig_trips(g), 0);
    assert_int_equal(host.asked, 1); /* for the root */
    cli_node_put(g->c, n);
}

static void test_links_are_not_asked_for(void **state)
{
    struct rig *g = rig_with(state, false, -LE_ENODATA);

    fake_add(&g->f, 0, "l", LINK_MODE);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "l");
    host.asked = 0;
    attributes(g, n);
    assert_int_equal(host.asked, 0);
    cli_node_put(g->c, n);
}

static void test_nonsense_is_nothing(void **state)
{
    struct rig *g = rig_with(state, false, 7);

    memcpy(host.value, "garbage", 7);
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    assert_true(attributes(g, n).meta_known);
    assert_false(attributes(g, n).has_dos);
    cli_node_put(g->c, n);
}

static void test_who_does_not_want_attributes_does_not_ask_other_hosts(void **state)
{
    struct rig *g = rig_with(state, false, -LE_ENODATA);

    g->o.want_dos = false;
    rig_up(state);
    struct cli_node *n = rig_lookup(g, g->root, "a");
    attributes(g, n);
    assert_int_equal(host.asked, 0);
    cli_node_put(g->c, n);
}

/* ---- storing -------------------------------------------------------------------------------------------------- */

static void stores(struct rig *g)
{
    struct cli_node *n = rig_lookup(g, g->root, "a");
    struct dosattrib d;

    attributes(g, n);
    rig_trips(g);
    assert_int_equal(cli_dos_set(g->c, n, SYSTEM, CREATED), 0);
    assert_int_equal(host.set, 1);
    assert_true(dosattrib_decode(host.value, (size_t)host.len, &d));
    assert_int_equal(d.attributes, SYSTEM);
    assert_int_equal(d.create_time, CREATED);
    struct cli_attr a = attributes(g, n);
    assert_int_equal(rig_trips(g), 1); /* what was stored is known at once */
    assert_true(a.has_dos);
    assert_int_equal(a.dos_attributes, SYSTEM);
    assert_int_equal(a.create_time, CREATED);
    cli_node_put(g->c, n);
}

static void test_what_is_stored_is_known_at_once(void **state)
{
    struct rig *g = rig_with(state, true, -LE_ENODATA);

    file_of(g)->meta.flags = VIOFS_EXT_META;
    stores(rig_up(state));
}

static void test_what_is_stored_elsewhere_is_known_at_once(void **state)
{
    rig_with(state, false, -LE_ENODATA);
    stores(rig_up(state));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        RIG_TEST(test_the_extension_tells_what_is_stored),
        RIG_TEST(test_who_does_not_want_metadata_does_not_ask_for_it),
        RIG_TEST(test_flags_without_meta_say_nothing),
        RIG_TEST(test_a_creation_time_that_cannot_be_is_none),
        RIG_TEST(test_changing_other_attributes_keeps_what_is_known),
        RIG_TEST(test_other_hosts_are_asked_beside_the_attributes),
        RIG_TEST(test_that_there_is_nothing_is_known_as_well),
        RIG_TEST(test_a_host_without_extended_attributes_is_asked_once),
        RIG_TEST(test_links_are_not_asked_for),
        RIG_TEST(test_nonsense_is_nothing),
        RIG_TEST(test_who_does_not_want_attributes_does_not_ask_other_hosts),
        RIG_TEST(test_what_is_stored_is_known_at_once),
        RIG_TEST(test_what_is_stored_elsewhere_is_known_at_once),
    };
    return cmocka_run_group_tests_name("client_meta", tests, NULL, NULL);
}
