// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_xattrmap.c - the rules language, by the examples of its manual and by its edges
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/xattrmap.h"

static struct xattrmap *parse(const char *rules)
{
    struct xattrmap *map = NULL;
    char why[512];

    if (xattrmap_parse(&map, rules, why, sizeof(why)) != 0)
        fail_msg("'%s': %s", rules, why);
    return map;
}

/* ---- what maps do -------------------------------------------------------------------------- */

enum side { TO_HOST, TO_GUEST };

/* One name through one map: @to is the other side's name, or NULL when it is refused (@err) or hidden. */
struct passage {
    enum side side;
    const char *from, *to;
    int err;
};

static void check(const char *rules, const struct passage *p, size_t n)
{
    struct xattrmap *map = parse(rules);

    for (size_t i = 0; i < n; i++) {
        char host[XATTRMAP_NAME] = "";

        if (p[i].side == TO_GUEST) {
            const char *guest = xattrmap_to_guest(map, p[i].from);
            if (p[i].to)
                assert_string_equal(guest, p[i].to);
            else
                assert_null(guest);
            continue;
        }
        assert_int_equal(xattrmap_to_host(map, p[i].from, host), p[i].err);
        if (p[i].to)
            assert_string_equal(host, p[i].to);
    }
    xattrmap_free(map);
}
#define CHECK(rules, ...)                                                                          \
    check(rules, (const struct passage[]){__VA_ARGS__},                                            \
          sizeof((const struct passage[]){__VA_ARGS__}) / sizeof(struct passage))

static const struct passage everything_prefixed[] = {
    {TO_HOST, "user.a", "user.virtiofs.user.a", 0},
    {TO_HOST, "security.selinux", "user.virtiofs.security.selinux", 0},
    {TO_GUEST, "user.virtiofs.user.a", "user.a", 0},
    {TO_GUEST, "user.a", NULL, 0},
    {TO_GUEST, "security.selinux", NULL, 0},
    {TO_GUEST, "user.virtiofs.", NULL, 0},
};

static void test_first_example_prefixes_everything(void **state)
{
    (void)state;
    check(":prefix:all::user.virtiofs.::bad:all:::", everything_prefixed, 6);
}

static void test_map_without_a_key_equals_the_first_example(void **state)
{
    (void)state;
    check(":map::user.virtiofs.:", everything_prefixed, 6);
}

static const struct passage trusted_prefixed[] = {
    {TO_HOST, "trusted.a", "user.virtiofs.trusted.a", 0},
    {TO_HOST, "user.a", "user.a", 0},
    {TO_HOST, "user.virtiofs.trusted.a", NULL, -EPERM},
    {TO_GUEST, "user.virtiofs.trusted.a", "trusted.a", 0},
    {TO_GUEST, "trusted.a", NULL, 0},
    {TO_GUEST, "user.a", "user.a", 0},
    {TO_GUEST, "security.selinux", "security.selinux", 0},
};

static void test_second_example_prefixes_trusted_and_guards_where_it_goes(void **state)
{
    (void)state;
    check("/prefix/all/trusted./user.virtiofs./\n"
          " /bad/server//trusted./\n"
          " /bad/client/user.virtiofs.//\n"
          " /ok/all///",
          trusted_prefixed, 7);
}

static void test_map_with_a_key_equals_the_second_example(void **state)
{
    (void)state;
    check("/map/trusted./user.virtiofs./", trusted_prefixed, 7);
}

static void test_third_example_hides_security(void **state)
{
    (void)state;
    CHECK("/bad/all/security./security./\n /ok/all///", {TO_HOST, "security.selinux", NULL, -EPERM},
          {TO_GUEST, "security.selinux", NULL, 0}, {TO_HOST, "user.a", "user.a", 0},
          {TO_GUEST, "user.a", "user.a", 0});
}

static void test_selinux_example_keeps_the_guests_label_apart(void **state)
{
    (void)state;
    CHECK(":map:security.selinux:trusted.virtiofs.:",
          {TO_HOST, "security.selinux", "trusted.virtiofs.security.selinux", 0},
          {TO_GUEST, "trusted.virtiofs.security.selinux", "security.selinux", 0},
          {TO_GUEST, "security.selinux", NULL, 0},
          {TO_HOST, "trusted.virtiofs.security.selinux", NULL, -EPERM},
          {TO_HOST, "security.capability", "security.capability", 0});
}

static void test_unsupported_says_so_and_hides(void **state)
{
    (void)state;
    CHECK("/unsupported/all/security.selinux/security.selinux//ok/all///",
          {TO_HOST, "security.selinux", NULL, -EOPNOTSUPP}, {TO_GUEST, "security.selinux", NULL, 0},
          {TO_HOST, "security.ima", "security.ima", 0});
}

static void test_scopes_match_one_side_only(void **state)
{
    (void)state;
    CHECK(":prefix:client:trusted.:user.virtiofs.::ok:all:::",
          {TO_HOST, "trusted.a", "user.virtiofs.trusted.a", 0},
          {TO_GUEST, "user.virtiofs.trusted.a", "user.virtiofs.trusted.a", 0});
    CHECK(":prefix:server::user.virtiofs.::ok:all:::", {TO_HOST, "trusted.a", "trusted.a", 0},
          {TO_GUEST, "user.virtiofs.trusted.a", "trusted.a", 0});
    CHECK(":ok:client:user.:::bad:all:::", {TO_HOST, "user.a", "user.a", 0},
          {TO_HOST, "trusted.a", NULL, -EPERM}, {TO_GUEST, "user.a", NULL, 0});
    CHECK(
        ":ok:server::security.::bad:all:::", {TO_GUEST, "security.selinux", "security.selinux", 0},
        {TO_GUEST, "user.a", NULL, 0}, {TO_HOST, "security.selinux", NULL, -EPERM});
}

static void test_first_rule_that_matches_decides(void **state)
{
    (void)state;
    CHECK(":ok:all:user.:user.::bad:all:user.secret:user.secret::bad:all:::",
          {TO_HOST, "user.secret", "user.secret", 0}, {TO_GUEST, "user.secret", "user.secret", 0});
    CHECK(":bad:all:user.secret:user.secret::ok:all:user.:user.::bad:all:::",
          {TO_HOST, "user.secret", NULL, -EPERM}, {TO_GUEST, "user.secret", NULL, 0},
          {TO_HOST, "user.a", "user.a", 0});
}

static void test_each_rule_has_its_own_separator(void **state)
{
    (void)state;
    CHECK("\t:bad:all:a:a: /ok/all/b/b/\n|prefix|all||x.|", {TO_HOST, "a", NULL, -EPERM},
          {TO_HOST, "b", "b", 0}, {TO_HOST, "c", "x.c", 0});
}

static void test_names_that_no_rule_matches_are_refused_and_hidden(void **state)
{
    struct xattrmap *map = NULL;
    char why[512];

    (void)state;
    CHECK(":ok:all:user.:user.:", {TO_HOST, "trusted.a", NULL, -EPERM},
          {TO_GUEST, "trusted.a", NULL, 0});
    assert_int_equal(xattrmap_parse(&map, ":ok:all:user.:user.:", why, sizeof(why)), 0);
    assert_non_null(strstr(why, "catches all"));
    xattrmap_free(map);
    assert_int_equal(xattrmap_parse(&map, ":ok:all:::", why, sizeof(why)), 0);
    assert_string_equal(why, "");
    xattrmap_free(map);
}

static void test_prefixed_names_end_at_255_bytes(void **state)
{
    struct xattrmap *map = parse(":map::0123456789:");
    char name[XATTRMAP_NAME], host[XATTRMAP_NAME];

    (void)state;
    memset(name, 'n', sizeof(name));
    name[245] = '\0';
    assert_int_equal(xattrmap_to_host(map, name, host), 0);
    assert_int_equal(strlen(host), 255);
    name[245] = 'n';
    name[246] = '\0';
    assert_int_equal(xattrmap_to_host(map, name, host), -ERANGE);
    xattrmap_free(map);
}

/* ---- security.capability ------------------------------------------------------------------- */

static void assert_capability(const char *rules, const char *kept_as)
{
    struct xattrmap *map = parse(rules);

    if (kept_as)
        assert_string_equal(xattrmap_capability(map), kept_as);
    else
        assert_null(xattrmap_capability(map));
    xattrmap_free(map);
}

static void test_moved_capabilities_are_known(void **state)
{
    (void)state;
    assert_capability(":map::user.virtiofs.:", "user.virtiofs.security.capability");
    assert_capability(":prefix:client:security.:trusted.::ok:all:::",
                      "trusted.security.capability");
    assert_capability(":map:trusted.:user.virtiofs.:", NULL);
    assert_capability(":ok:all:::", NULL);
    assert_capability(":bad:all:security.:security.::ok:all:::", NULL);
}

/* ---- what is refused ----------------------------------------------------------------------- */

static void assert_refused(const char *rules, const char *because)
{
    struct xattrmap *map = NULL;
    char why[512];

    assert_int_equal(xattrmap_parse(&map, rules, why, sizeof(why)), -EINVAL);
    assert_null(map);
    if (!strstr(why, because))
        fail_msg("'%s' was refused with '%s'", rules, why);
}

static void test_errors_name_the_rule_and_the_field(void **state)
{
    (void)state;
    assert_refused("", "no rule");
    assert_refused(" \n\t", "no rule");
    assert_refused(":", "rule 1: there is no ':' after its type");
    assert_refused(":prefix", "rule 1: there is no ':' after its type");
    assert_refused(":prefix:all", "after its scope");
    assert_refused(":prefix:all:key", "after its key");
    assert_refused(":prefix:all:key:prepend", "after its prepend");
    assert_refused(":prefixed:all:::", "rule 1: its type is 'prefixed'");
    assert_refused(":ok:everyone:::", "its scope is 'everyone'");
    assert_refused(":ok:all:::/bad/all///:huh:all:::", "rule 3: its type is 'huh'");
    assert_refused("::all:::", "its type is ''");
    assert_refused(":map:key:", "after its prepend");
    assert_refused(":ok:client:user.::bad:all:::", "rule 2 begins with 'b'");
}

static void test_map_must_be_the_last_rule(void **state)
{
    (void)state;
    assert_refused(":map::user.virtiofs.::ok:all:::", "rule 2 comes after a 'map'");
    assert_refused(":map:a:b::map:c:d:", "rule 2 comes after a 'map'");
    xattrmap_free(parse(":ok:all:user.:user.::map:trusted.:user.virtiofs.:"));
}

static void test_fields_end_at_255_bytes(void **state)
{
    char rules[1024];
    char run[257];

    (void)state;
    memset(run, 'k', 256);
    run[256] = '\0';
    snprintf(rules, sizeof(rules), ":ok:all:%s::", run);
    assert_refused(rules, "its key has more than 255 bytes");
    snprintf(rules, sizeof(rules), ":ok:all:%s::", run + 1);
    xattrmap_free(parse(rules));
}

/* Each rule of the shortest form, as many as fit: the table must have room for all. */
static void test_many_short_rules_fit(void **state)
{
    char *rules = malloc(65536);
    size_t n = 0;

    (void)state;
    for (; n + 10 < 65000; n += 10)
        memcpy(rules + n, ":ok:all:::", 10);
    memcpy(rules + n, ":map:a::", 9);
    xattrmap_free(parse(rules));
    free(rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_example_prefixes_everything),
        cmocka_unit_test(test_map_without_a_key_equals_the_first_example),
        cmocka_unit_test(test_second_example_prefixes_trusted_and_guards_where_it_goes),
        cmocka_unit_test(test_map_with_a_key_equals_the_second_example),
        cmocka_unit_test(test_third_example_hides_security),
        cmocka_unit_test(test_selinux_example_keeps_the_guests_label_apart),
        cmocka_unit_test(test_unsupported_says_so_and_hides),
        cmocka_unit_test(test_scopes_match_one_side_only),
        cmocka_unit_test(test_first_rule_that_matches_decides),
        cmocka_unit_test(test_each_rule_has_its_own_separator),
        cmocka_unit_test(test_names_that_no_rule_matches_are_refused_and_hidden),
        cmocka_unit_test(test_prefixed_names_end_at_255_bytes),
        cmocka_unit_test(test_moved_capabilities_are_known),
        cmocka_unit_test(test_errors_name_the_rule_and_the_field),
        cmocka_unit_test(test_map_must_be_the_last_rule),
        cmocka_unit_test(test_fields_end_at_255_bytes),
        cmocka_unit_test(test_many_short_rules_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
