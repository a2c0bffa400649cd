// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_vhost_serve.c - queues that serve: batches, signals, pipes, kept chains
 */
// clang-format off: cmocka.h needs these first
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#include "tests/unit/vhost_rig.h"

static void say(struct fe *fe, struct fe_req *r, const char *text)
{
    assert_int_equal(fe_req_init(fe, r, 64, 64), 0);
    r->out_len = r->in_len = 64;
    memset(r->in, 0, 64);
    strcpy(r->out, text);
}

static void test_a_chain_is_served_and_answered(void **state)
{
    struct rig rig;
    struct fe *fe;
    struct fe_req r = {0};
    (void)state;

    rig_start(&rig, NULL, false);
    assert_int_equal(fe_open(&fe, NULL, rig.socket), 0);
    say(fe, &r, "hello");
    assert_int_equal(fe_call(fe, FE_REQUESTS, &r), 0);
    assert_string_equal(r.in, "hello");
    assert_int_equal(r.used, 64);
    fe_free(fe);
    assert_int_equal(rig_end(&rig), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_chain_is_served_and_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
