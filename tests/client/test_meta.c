// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_meta.c - what is stored of a file, with real daemons: what is heard, and what it costs
 *
 * Our daemon tells it with each entry; others are asked for user.DOSATTRIB (service/client/meta.c).
 */
#include "tests/client/rig.h"

#include <sys/xattr.h>

#include "lib/meta/dosattrib.h"

#define LONG    600u
#define HIDDEN  0x2u
#define CREATED 0x01c07468aa5cc080u /* 2001-01-02 03:04:05 */

static struct rig *meta_rig(bool stored)
{
    struct rig *r = rig_start(
        &(struct rig_options){.timeout = LONG, .cli = {.want_meta = true, .want_dos = true}});
    uint8_t value[DOSATTRIB_SIZE];

    host_write(r, "f", "data", 4);
    dosattrib_encode(&(struct dosattrib){HIDDEN, CREATED}, value);
    if (stored && setxattr(host(r, "f"), DOSATTRIB_NAME, value, sizeof(value), 0) < 0)
        skip(); /* not on this file system */
    return r;
}

/* Requests beside the extension's: one GETXATTR for each file that is looked at. */
static uint64_t asking(void)
{
    return rig_has_extension() ? 0 : 1;
}

static void test_stored_attributes_cost_one_request_more_at_most(void **state)
{
    struct rig *r = meta_rig(true);
    struct cli_attr a;

    (void)state;
    uint64_t before = requests(r);
    struct cli_node *n = node_at(r, "f");
    assert_ok(cli_getattr(r->c, n, false, &a));
    assert_int_equal(requests(r) - before, 1 + asking());
    assert_true(a.meta_known && a.has_dos);
    assert_int_equal(a.dos_attributes, HIDDEN);
    assert_int_equal(a.create_time, CREATED);
    before = requests(r);
    assert_ok(cli_getattr(r->c, n, false, &a));
    assert_int_equal(requests(r) - before, 0);
    put(r, n);
}

static void test_nothing_stored_costs_the_same(void **state)
{
    struct rig *r = meta_rig(false);
    struct cli_attr a;

    (void)state;
    uint64_t before = requests(r);
    struct cli_node *n = node_at(r, "f");
    assert_ok(cli_getattr(r->c, n, false, &a));
    assert_int_equal(requests(r) - before, 1 + asking());
    assert_true(a.meta_known);
    assert_false(a.has_dos);
    put(r, n);
}

static void test_a_new_file_is_one_request_and_known_to_have_nothing(void **state)
{
    struct rig *r = meta_rig(false);
    struct cli_file *f;
    struct cli_node *n;
    struct cli_attr a;

    (void)state;
    uint64_t before = requests(r);
    assert_ok(cli_create(r->c, r->root, name_of("new"), 0644, CLI_WRITE, &n, &f));
    assert_ok(cli_getattr(r->c, n, false, &a));
    assert_int_equal(requests(r) - before, 1);
    assert_true(a.meta_known);
    assert_false(a.has_dos);
    cli_file_close(r->c, f);
    put(r, n);
}

static void test_storing_costs_one_request_and_is_known_at_once(void **state)
{
    struct rig *r = meta_rig(true);
    uint8_t value[DOSATTRIB_SIZE];
    struct dosattrib d;
    struct cli_attr a;

    (void)state;
    struct cli_node *n = node_at(r, "f");
    assert_ok(cli_getattr(r->c, n, false, &a));
    uint64_t before = requests(r);
    assert_ok(cli_dos_set(r->c, n, 0x4, CREATED + 10));
    assert_ok(cli_getattr(r->c, n, false, &a));
    assert_int_equal(requests(r) - before, 1);
    assert_int_equal(a.dos_attributes, 0x4);
    assert_int_equal(a.create_time, CREATED + 10);
    assert_int_equal(getxattr(host(r, "f"), DOSATTRIB_NAME, value, sizeof(value)), sizeof(value));
    assert_true(dosattrib_decode(value, sizeof(value), &d));
    assert_int_equal(d.attributes, 0x4);
    put(r, n);
}

static const struct CMUnitTest tests[] = {
    RIG_TEST(test_stored_attributes_cost_one_request_more_at_most),
    RIG_TEST(test_nothing_stored_costs_the_same),
    RIG_TEST(test_a_new_file_is_one_request_and_known_to_have_nothing),
    RIG_TEST(test_storing_costs_one_request_and_is_known_at_once),
};
RIG_MAIN("client_meta", tests)
