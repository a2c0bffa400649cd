// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_negotiate.c - what INIT agrees on, and what follows from the options: flags, timeouts, open flags
 */
#include "tests/wire/wire.h"

static struct wire *up_without_init(const char *const *args)
{
    return wire_start(&(struct wire_options){.args = args, .no_init = true});
}

/* ---- INIT ----------------------------------------------------------------------------------- */

static void test_flags_follow_the_options(void **state)
{
    (void)state;
    static const struct {
        const char *args[3];
        uint64_t on, off;
    } rows[] = {
        {{NULL},
         FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS | FUSE_ATOMIC_O_TRUNC |
             FUSE_MAX_PAGES | FUSE_SUBMOUNTS | FUSE_EXPORT_SUPPORT,
         FUSE_WRITEBACK_CACHE | FUSE_POSIX_ACL | FUSE_FLOCK_LOCKS | FUSE_POSIX_LOCKS |
             FUSE_NO_OPEN_SUPPORT | FUSE_SPLICE_READ},
        {{"--no-readdirplus"}, 0, FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO},
        {{"--cache=never"}, 0, FUSE_DO_READDIRPLUS | FUSE_CACHE_SYMLINKS},
        {{"--writeback"}, FUSE_WRITEBACK_CACHE, 0},
        {{"--xattr", "--posix-acl"}, FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT, 0},
        {{"--flock", "--posix-lock"}, FUSE_FLOCK_LOCKS | FUSE_POSIX_LOCKS, 0},
        {{"--no-announce-submounts"}, 0, FUSE_SUBMOUNTS},
        {{"--killpriv-v2"}, FUSE_HANDLE_KILLPRIV_V2, 0},
        {{"--no-killpriv-v2"}, 0, FUSE_HANDLE_KILLPRIV_V2},
    };

    for (unsigned i = 0; i < ARRAY(rows); i++) {
        struct wire *w = up_without_init(rows[i].args);
        assert_ok(fc_init(&w->c));
        assert_int_equal(w->c.init_flags & rows[i].on, rows[i].on);
        assert_int_equal(w->c.init_flags & rows[i].off, 0);
        assert_int_equal(w->c.init_flags & ~FC_LINUX_FLAGS, 0); /* only what was offered */
    }
}

static void test_old_clients_are_served_from_7_27(void **state)
{
    (void)state;
    struct wire *w = up_without_init(NULL);

    assert_errno(fc_init_as(&w->c, 26, 0), EPROTO);
    assert_ok(fc_init_as(&w->c, 27, 0));
    assert_int_equal(w->c.init.minor, 27);
    assert_true(w->c.init.max_write <= 32 * 4096); /* no MAX_PAGES */
    wire_alive(w);
}

static void test_a_newer_client_gets_what_we_know(void **state)
{
    (void)state;
    struct wire *w = up_without_init(NULL);

    assert_ok(fc_init_as(&w->c, 1000, FC_LINUX_FLAGS));
    assert_int_equal(w->c.init.minor, FUSE_OUR_MINOR);
    assert_int_equal(w->c.init.max_write, 1 << 20);
    assert_int_equal(w->c.init.max_pages, 256);
}

static void test_a_newer_major_is_told_ours(void **state)
{
    (void)state;
    struct wire *w = up_without_init(NULL);
    struct fuse_init_in in = {.major = 8, .minor = 0};
    struct fuse_init_out out = {0};

    assert_true(raw(w, FUSE_INIT, 0, &in, sizeof(in), &out, sizeof(out)) > 0);
    assert_int_equal(out.major, 7);
    assert_ok(fc_init(&w->c));
}

static void test_the_upper_flags_need_init_ext(void **state)
{
    (void)state;
    struct wire *w = up_without_init(NULL);

    assert_ok(fc_init_as(&w->c, 38, FUSE_CREATE_SUPP_GROUP)); /* flags2 set, INIT_EXT not */
    assert_int_equal(w->c.init_flags >> 32, 0);
    assert_ok(fc_init_as(&w->c, 38, FUSE_CREATE_SUPP_GROUP | FUSE_INIT_EXT));
    assert_int_equal(w->c.init_flags, FUSE_CREATE_SUPP_GROUP | FUSE_INIT_EXT);
}

static void test_acls_that_were_demanded_are_demanded_of_the_guest(void **state)
{
    (void)state;
    struct wire *w = up_without_init((const char *[]){"--xattr", "--posix-acl=always", NULL});

    assert_errno(fc_init_as(&w->c, 31, FUSE_MAX_PAGES), EPROTO);
    assert_ok(fc_init(&w->c));
}

static void test_acls_on_auto_are_left_out_for_a_guest_without(void **state)
{
    (void)state;
    struct wire *w = up_without_init((const char *[]){"--xattr", "--posix-acl=auto", NULL});

    assert_ok(fc_init_as(&w->c, 38, FUSE_POSIX_ACL)); /* but neither DONT_MASK nor SETXATTR_EXT */
    assert_int_equal(w->c.init_flags, 0);
}

/* ---- caching -------------------------------------------------------------------------------- */

static void test_timeouts_and_open_flags_follow_the_cache_mode(void **state)
{
    (void)state;
    static const struct {
        const char *args[3];
        uint64_t valid;
        uint32_t valid_ns, open_on, open_off, dir_on;
    } rows[] = {
        {{"--cache=auto"}, 1, 0, 0, FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE, 0},
        {{"--cache=never"}, 0, 0, FOPEN_DIRECT_IO, FOPEN_KEEP_CACHE, 0},
        {{"--cache=always"}, 86400, 0, FOPEN_KEEP_CACHE, FOPEN_DIRECT_IO, FOPEN_CACHE_DIR},
        {{"--cache=metadata"}, 86400, 0, FOPEN_DIRECT_IO, FOPEN_KEEP_CACHE, FOPEN_CACHE_DIR},
        {{"--cache=auto", "--timeout=2.5"}, 2, 500000000, 0, FOPEN_DIRECT_IO, 0},
    };

    for (unsigned i = 0; i < ARRAY(rows); i++) {
        struct wire *w = wire_start(&(struct wire_options){.args = rows[i].args});
        struct fuse_entry_out e;
        struct fuse_open_in in = {.flags = O_RDONLY};
        struct fuse_open_out out;

        host_write(w, "f", "text");
        assert_ok(fc_lookup(&w->c, FC_ROOT, "f", &e));
        assert_int_equal(e.entry_valid, rows[i].valid);
        assert_int_equal(e.attr_valid, rows[i].valid);
        assert_int_equal(e.attr_valid_nsec, rows[i].valid_ns);
        assert_true(raw(w, FUSE_OPEN, e.nodeid, &in, sizeof(in), &out, sizeof(out)) > 0);
        assert_int_equal(out.open_flags & rows[i].open_on, rows[i].open_on);
        assert_int_equal(out.open_flags & rows[i].open_off, 0);
        assert_true(raw(w, FUSE_OPENDIR, FC_ROOT, &in, sizeof(in), &out, sizeof(out)) > 0);
        assert_int_equal(out.open_flags & rows[i].dir_on, rows[i].dir_on);
    }
}

static void test_close_costs_no_flush_unless_locks_need_it(void **state)
{
    (void)state;
    static const struct {
        const char *args[2];
        bool noflush;
    } rows[] = {{{NULL}, true}, {{"--posix-lock"}, false}};

    for (unsigned i = 0; i < ARRAY(rows); i++) {
        struct wire *w = wire_start(&(struct wire_options){.args = rows[i].args});
        struct fuse_open_in in = {.flags = O_RDONLY};
        struct fuse_open_out out;

        host_write(w, "f", "text");
        uint64_t f = node(w, FC_ROOT, "f");
        assert_true(raw(w, FUSE_OPEN, f, &in, sizeof(in), &out, sizeof(out)) > 0);
        assert_int_equal(!!(out.open_flags & FOPEN_NOFLUSH), rows[i].noflush);
        assert_ok(fc_flush(&w->c, f, out.fh, 0)); /* a guest that sends it anyway is answered */
    }
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_flags_follow_the_options),
    WIRE_TEST(test_old_clients_are_served_from_7_27),
    WIRE_TEST(test_a_newer_client_gets_what_we_know),
    WIRE_TEST(test_a_newer_major_is_told_ours),
    WIRE_TEST(test_the_upper_flags_need_init_ext),
    WIRE_TEST(test_acls_that_were_demanded_are_demanded_of_the_guest),
    WIRE_TEST(test_acls_on_auto_are_left_out_for_a_guest_without),
    WIRE_TEST(test_timeouts_and_open_flags_follow_the_cache_mode),
    WIRE_TEST(test_close_costs_no_flush_unless_locks_need_it),
};

WIRE_MAIN("negotiate", tests)
