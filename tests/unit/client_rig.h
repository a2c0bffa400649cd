// SPDX-License-Identifier: BSD-3-Clause
/*
 * client_rig.h - the client's core on a host in memory, for one test
 *
 * rig_teardown() closes the session and demands what every test must leave behind: all lookups given back,
 * all handles released, nothing done that an honest client never does, DESTROY said.
 */
#ifndef VIOFS_CLIENT_RIG_H
#define VIOFS_CLIENT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "service/client/client_int.h"
#include "tests/client/fake_transport.h"

#define DIR_MODE  0040755u
#define FILE_MODE 0100644u
#define LINK_MODE 0120777u

struct rig {
    struct fake f;
    struct cli_options o;
    struct cli *c;
    struct cli_node *root;
    bool lies; /* the host lied: its books are worth nothing */
};

static inline struct cli_name N(const char *text) {
    return (struct cli_name){text, (uint32_t)strlen(text)};
}

static inline int
rig_setup(void **state)
{
    struct rig *g = calloc(1, sizeof(*g));

    fake_init(&g->f);
    *state = g;
    return 0;
}

/* The session begins here, after the test has said how host and client behave. */
static inline struct rig *rig_up(void **state)
{
    struct rig *g = *state;

    assert_int_equal(cli_open(&g->c, &g->f.transport, &g->o), 0);
    g->root = cli_root(g->c);
    return g;
}

static inline int rig_teardown(void **state)
{
    struct rig *g = *state;

    g->f.hook = NULL; /* what it uses may be gone with the test's stack */
    if (g->c) {
        cli_node_put(g->c, g->root);
        assert_int_equal(cli_close(g->c), 0);
    }
    if (g->c && !g->lies && !g->f.dead) {
        assert_int_equal(fake_lookups(&g->f), 0);
        assert_int_equal(g->f.open_handles, 0);
        assert_int_equal(g->f.wrong, 0);
        assert_true(g->f.destroyed);
    }
    fake_end(&g->f);
    free(g);
    return 0;
}

static inline struct cli_node *rig_lookup(struct rig *g, struct cli_node *dir, const char *name)
{
    struct cli_node *n = NULL;

    assert_int_equal(cli_lookup(g->c, dir, N(name), &n, NULL), 0);
    assert_non_null(n);
    return n;
}

static inline int rig_try(struct rig *g, struct cli_node *dir, const char *name)
{
    struct cli_node *n = NULL;
    int r = cli_lookup(g->c, dir, N(name), &n, NULL);

    if (r == 0)
        cli_node_put(g->c, n);
    return r;
}

/* Requests with an answer since the last call of it. */
static inline uint64_t rig_trips(struct rig *g)
{
    static uint64_t before;
    uint64_t now = g->f.requests, since = now - before;

    before = now;
    return since;
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

#endif
