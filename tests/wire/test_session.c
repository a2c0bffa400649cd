// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_session.c - INIT, DESTROY, FORGET, INTERRUPT, and requests that are no requests
 */
#include "tests/wire/wire.h"

#include "lib/fuse/fuse_call.h"

static struct wire *not_yet_initialised(void)
{
    return wire_start(&(struct wire_options){.no_init = true});
}

static void test_init_agrees_on_the_older_minor(void **state)
{
    (void)state;
    struct wire *w = not_yet_initialised();

    assert_ok(fc_init_as(&w->c, 31, FUSE_DO_READDIRPLUS | FUSE_MAX_PAGES)); /* virtio-win's guest */
    assert_int_equal(w->c.init.major, 7);
    assert_int_equal(w->c.init.minor, 31);
    assert_true(w->c.init.max_write >= 1 << 20);
    assert_int_equal(w->c.init.max_pages, 256);
    assert_ok(fc_init_as(&w->c, 99, FC_LINUX_FLAGS));
    assert_int_equal(w->c.init.minor, FUSE_OUR_MINOR);
    wire_alive(w);
}

static void test_init_offers_no_flag_that_was_not_asked_for(void **state)
{
    (void)state;
    struct wire *w = not_yet_initialised();

    assert_ok(fc_init_as(&w->c, 38, 0));
    assert_int_equal(w->c.init_flags, 0);
    assert_int_equal(w->c.init.flags2, 0);
    assert_ok(fc_init_as(&w->c, 38, FUSE_ASYNC_READ));
    assert_int_equal(w->c.init_flags, FUSE_ASYNC_READ);
}

static void test_init_of_a_newer_major_is_told_ours(void **state)
{
    (void)state;
    struct wire *w = not_yet_initialised();
    struct fuse_init_in in = {.major = 8, .minor = 0};
    struct fuse_init_out out;

    assert_true(raw(w, FUSE_INIT, 0, &in, sizeof(in), &out, sizeof(out)) >= 8);
    assert_int_equal(out.major, 7);
    /* No session has begun by that. */
    struct fuse_attr a;
    assert_true(fc_getattr(&w->c, FC_ROOT, &a) < 0);
    assert_ok(fc_init(&w->c));
    wire_alive(w);
}

static void test_init_of_a_too_old_version_is_refused(void **state)
{
    (void)state;
    static const struct fuse_init_in old[] = {
        {.major = 7, .minor = 26}, {.major = 6, .minor = 99}, {0}};
    struct wire *w = not_yet_initialised();
    struct fuse_init_out out;

    for (unsigned i = 0; i < ARRAY(old); i++)
        assert_errno(raw(w, FUSE_INIT, 0, &old[i], sizeof(old[i]), &out, sizeof(out)), EPROTO);
    assert_ok(fc_init_as(&w->c, 27, FUSE_BIG_WRITES));
    wire_alive(w);
}

static void test_init_in_the_short_form_of_old_kernels_is_served(void **state)
{
    (void)state;
    struct wire *w = not_yet_initialised();
    struct fuse_init_in in = {.major = 7, .minor = 31, .flags = FUSE_MAX_PAGES};
    struct fuse_init_out out;

    assert_int_equal(raw(w, FUSE_INIT, 0, &in, 16, &out, sizeof(out)), sizeof(out));
    assert_int_equal(out.minor, 31);
    wire_alive(w);
    assert_errno(raw(w, FUSE_INIT, 0, &in, 15, &out, sizeof(out)), EINVAL);
    wire_alive(w);
}

/* A well-formed body for any opcode: zeroes, then two names. Return: its length. */
static size_t any_body(const struct fuse_op *op, uint8_t body[512])
{
    size_t arg = op->opcode == FUSE_SETXATTR ? op->arg_min : op->arg_len;

    memset(body, 0, 512);
    memcpy(body + arg, "name\0second", 12);
    return arg + 12;
}

static void test_nothing_is_served_before_init(void **state)
{
    (void)state;
    static const uint32_t no_session_needed[] = {FUSE_INIT, FUSE_DESTROY, FUSE_FORGET,
                                                 FUSE_BATCH_FORGET, FUSE_INTERRUPT};
    struct wire *w = not_yet_initialised();
    uint8_t body[512], reply[1024];

    for (unsigned i = 0; fuse_op_at(i); i++) {
        const struct fuse_op *op = fuse_op_at(i);
        bool exempt = false;
        for (unsigned k = 0; k < ARRAY(no_session_needed); k++)
            exempt = exempt || op->opcode == no_session_needed[k];
        if (!exempt)
            assert_errno(
                raw(w, op->opcode, FC_ROOT, body, any_body(op, body), reply, sizeof(reply)), EIO);
    }
    assert_ok(fc_init(&w->c));
    wire_alive(w);
}

static void test_second_init_begins_a_new_session(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "text");
    uint64_t n = node(w, FC_ROOT, "f"), fh = opened(w, n, O_RDWR);
    for (unsigned i = 0; i < 20; i++)
        assert_ok(fc_init(&w->c));
    /* What the first session knew is gone; what it means now must not be the old file by accident. */
    assert_true(fc_getattr(&w->c, n, &a) < 0);
    assert_true(fc_read(&w->c, n, fh, NULL, 4, 0) < 0);
    n = node(w, FC_ROOT, "f");
    fh = opened(w, n, O_RDONLY);
    assert_int_equal(fc_read(&w->c, n, fh, NULL, 10, 0), 4);
}

static void test_destroy_ends_the_session_at_any_time(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "text");
    uint64_t n = node(w, FC_ROOT, "f"), fh = opened(w, n, O_RDWR);
    int fds = daemon_fd_count(&w->d);
    for (unsigned i = 0; i < 3; i++) {
        assert_ok(fc_destroy(&w->c));
        assert_true(fc_getattr(&w->c, FC_ROOT, &a) < 0);
        assert_true(fc_read(&w->c, n, fh, NULL, 4, 0) < 0);
    }
    assert_true(daemon_fd_count(&w->d) < fds); /* the open file is closed */
    assert_ok(fc_init(&w->c));
    wire_alive(w);
}

static void test_destroy_before_init_is_fine(void **state)
{
    (void)state;
    struct wire *w = not_yet_initialised();

    assert_ok(fc_destroy(&w->c));
    assert_ok(fc_init(&w->c));
    wire_alive(w);
}

static void test_node_ids_are_never_reused_within_a_session(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "");
    uint64_t first = node(w, FC_ROOT, "f");
    assert_ok(fc_forget(&w->c, first, 1));
    assert_errno(fc_getattr(&w->c, first, &a), ESTALE);
    uint64_t last = first;
    for (unsigned i = 0; i < 200; i++) {
        uint64_t n = node(w, FC_ROOT, "f");
        assert_int_not_equal(n, first);
        assert_int_not_equal(n, last);
        assert_ok(fc_forget(&w->c, n, 1));
        last = n;
    }
    assert_errno(fc_getattr(&w->c, first, &a), ESTALE);
}

static void test_known_file_keeps_its_node_id(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "");
    uint64_t n = node(w, FC_ROOT, "f");
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(node(w, FC_ROOT, "f"), n);
    assert_ok(fc_forget(&w->c, n, 5));
    assert_ok(fc_getattr(&w->c, n, &a)); /* six lookups, five forgotten */
    assert_ok(fc_forget(&w->c, n, 1));
    assert_errno(fc_getattr(&w->c, n, &a), ESTALE);
}

static void test_forget_of_more_than_was_looked_up_is_clamped(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "text");
    uint64_t n = node(w, FC_ROOT, "f");
    assert_ok(fc_forget(&w->c, n, UINT64_MAX));
    assert_errno(fc_getattr(&w->c, n, &a), ESTALE);
    uint64_t again = node(w, FC_ROOT, "f");
    assert_ok(fc_getattr(&w->c, again, &a));
    assert_int_equal(a.size, 4);
}

static void test_forget_of_unknown_nodes_and_of_the_root_is_harmless(void **state)
{
    (void)state;
    static const uint64_t odd[] = {0, 2, 12345, UINT32_MAX, 1ULL << 32, UINT64_MAX, FC_ROOT};
    struct wire *w = wire_up(NULL);

    for (unsigned i = 0; i < ARRAY(odd); i++) {
        assert_ok(fc_forget(&w->c, odd[i], 1));
        assert_ok(fc_forget(&w->c, odd[i], UINT64_MAX));
    }
    assert_ok(fc_forget_many(&w->c, odd, ARRAY(odd)));
    wire_alive(w);
}

static void test_batch_forget_forgets_each_of_its_nodes(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    uint64_t n[100];
    struct fuse_attr a;
    char name[16];

    for (unsigned i = 0; i < ARRAY(n); i++) {
        snprintf(name, sizeof(name), "f%u", i);
        host_write(w, name, "");
        n[i] = node(w, FC_ROOT, name);
    }
    assert_ok(fc_forget_many(&w->c, n, ARRAY(n) - 1));
    for (unsigned i = 0; i < ARRAY(n) - 1; i++)
        assert_errno(fc_getattr(&w->c, n[i], &a), ESTALE);
    assert_ok(fc_getattr(&w->c, n[ARRAY(n) - 1], &a));
}

static void test_batch_forget_that_claims_more_than_it_brings_is_ignored(void **state)
{
    (void)state;
    static const uint32_t counts[] = {2, 1000, 0x10000000, UINT32_MAX};
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "");
    uint64_t n = node(w, FC_ROOT, "f");
    for (unsigned i = 0; i < ARRAY(counts); i++) {
        struct fuse_batch_forget_in in = {.count = counts[i]};
        struct fuse_forget_one one = {.nodeid = n, .nlookup = 1};
        struct fc_part p[2] = {{&in, sizeof(in)}, {&one, sizeof(one)}};
        assert_ok(fc_send(&w->c, FE_HIPRIO, FUSE_BATCH_FORGET, 0, p, 2));
        assert_ok(fc_getattr(&w->c, n, &a));
    }
}

static void test_forget_may_come_on_a_request_queue(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_forget_in in = {.nlookup = 1};
    struct fc_part p = {&in, sizeof(in)};
    struct fuse_attr a;

    host_write(w, "f", "");
    uint64_t n = node(w, FC_ROOT, "f");
    assert_ok(fc_send(&w->c, FE_REQUESTS, FUSE_FORGET, n, &p, 1));
    assert_errno(fc_getattr(&w->c, n, &a), ESTALE);
}

static void test_interrupt_of_nothing_is_harmless(void **state)
{
    (void)state;
    static const uint64_t odd[] = {0, 1, 4242, UINT64_MAX};
    struct wire *w = wire_up(NULL);

    for (unsigned i = 0; i < ARRAY(odd); i++) {
        struct fuse_interrupt_in in = {.unique = odd[i]};
        struct fc_part p = {&in, sizeof(in)};
        assert_ok(fc_send(&w->c, FE_HIPRIO, FUSE_INTERRUPT, 0, &p, 1));
    }
    wire_alive(w);
}

static void test_unknown_opcodes_are_enosys(void **state)
{
    (void)state;
    static const uint32_t unknown[] = {
        0,  7,  19, 37 /* BMAP */, 40 /* POLL */, 41,         48,         49,
        53, 63, 64, 1000,          4096,          0x76660009, 0x7666ffff, UINT32_MAX};
    struct wire *w = wire_up(NULL);
    uint8_t arg[64] = {0};

    for (unsigned i = 0; i < ARRAY(unknown); i++)
        assert_errno(raw(w, unknown[i], FC_ROOT, arg, sizeof(arg), NULL, 256), ENOSYS);
    wire_alive(w);
}

static void test_unknown_node_is_estale_for_every_opcode(void **state)
{
    (void)state;
    static const uint64_t bad[] = {0, 2, 99999, 1ULL << 40, UINT64_MAX};
    struct wire *w = wire_up(NULL);
    uint8_t body[512], reply[1024];

    for (unsigned i = 0; fuse_op_at(i); i++) {
        const struct fuse_op *op = fuse_op_at(i);
        if ((op->flags & OP_NO_REPLY) || op->opcode == FUSE_INIT || op->opcode == FUSE_DESTROY ||
            op->opcode == VIOFS_PROBE || op->opcode == VIOFS_UNWATCH)
            continue; /* they name no node */
        size_t len = any_body(op, body);
        for (unsigned k = 0; k < ARRAY(bad); k++)
            assert_errno(raw(w, op->opcode, bad[k], body, len, reply, sizeof(reply)), ESTALE);
    }
    wire_alive(w);
}

/* Every opcode with its body cut off at every length, and with nothing but 0xff in it. */
static void test_truncated_and_garbage_bodies_are_answered(void **state)
{
    (void)state;
    struct wire *w = wire_up("--xattr", "--posix-lock", "--flock", NULL);
    uint8_t arg[512];

    for (unsigned fill = 0; fill < 2; fill++) {
        memset(arg, fill ? 0xff : 0, sizeof(arg));
        for (unsigned i = 0; fuse_op_at(i); i++) {
            const struct fuse_op *op = fuse_op_at(i);
            struct fc_part p = {arg, 0};
            for (p.len = 0; p.len <= op->arg_len + 8u; p.len++) {
                if (op->flags & OP_NO_REPLY)
                    assert_ok(fc_send(&w->c, FE_HIPRIO, op->opcode, FC_ROOT, &p, 1));
                else /* an answer, whatever it is, that passes the client's checks */
                    assert_int_not_equal(raw(w, op->opcode, FC_ROOT, arg, p.len, NULL, 8192),
                                         -ETIMEDOUT);
            }
            assert_ok(fc_init(&w->c));
        }
    }
    wire_alive(w);
    assert_false(fe_hung_up(w->fe));
}

/* One request whose header lies about its length; @used: what must be answered. */
static void header_len_is(struct wire *w, uint32_t claim, int expected)
{
    struct fe_req *r = &w->c.req;
    struct fuse_getattr_in in = {0};
    struct fc_part p = {&in, sizeof(in)};

    r->out_data_len = r->in_data_len = 0;
    uint64_t unique = fc_build(&w->c, r, FUSE_GETATTR, FC_ROOT, &p, 1, 1024);
    ((struct fuse_in_header *)r->out)->len = claim;
    assert_ok(fe_call(w->fe, FE_REQUESTS, r));
    assert_int_equal(fc_result(r, unique), expected);
}

static void test_header_length_is_checked_against_what_arrived(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    header_len_is(w, 56, sizeof(struct fuse_attr_out));
    header_len_is(w, 0, -EINVAL);
    header_len_is(w, 39, -EINVAL);
    header_len_is(w, 40, -EINVAL); /* no room for the argument */
    header_len_is(w, 55, -EINVAL);
    header_len_is(w, 57, -EINVAL);
    header_len_is(w, UINT32_MAX, -EINVAL);
    wire_alive(w);
}

static void test_request_shorter_than_a_header_is_given_back_unanswered(void **state)
{
    (void)state;
    static const uint32_t len[] = {1, 8, 39};
    struct wire *w = wire_up(NULL);
    struct fe_req *r = &w->c.req;

    for (unsigned i = 0; i < ARRAY(len); i++) {
        r->out_data_len = r->in_data_len = 0;
        fc_build(&w->c, r, FUSE_GETATTR, FC_ROOT, NULL, 0, 1024);
        r->out_len = len[i];
        assert_ok(fe_call(w->fe, FE_REQUESTS, r));
        assert_int_equal(r->used, 0);
    }
    wire_alive(w);
}

static void test_reply_without_room_for_a_header_is_given_back_unanswered(void **state)
{
    (void)state;
    static const uint32_t room[] = {0, 1, 15};
    struct wire *w = wire_up(NULL);
    struct fe_req *r = &w->c.req;
    struct fuse_getattr_in in = {0};
    struct fc_part p = {&in, sizeof(in)};

    for (unsigned i = 0; i < ARRAY(room); i++) {
        r->out_data_len = r->in_data_len = 0;
        fc_build(&w->c, r, FUSE_GETATTR, FC_ROOT, &p, 1, 0);
        r->in_len = room[i];
        assert_ok(fe_call(w->fe, FE_REQUESTS, r));
        assert_int_equal(r->used, 0);
    }
    wire_alive(w);
}

static void test_reply_that_does_not_fit_is_an_error(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_getattr_in in = {0};

    assert_errno(raw(w, FUSE_GETATTR, FC_ROOT, &in, sizeof(in), NULL, 103), EINVAL);
    assert_int_equal(raw(w, FUSE_GETATTR, FC_ROOT, &in, sizeof(in), NULL, 104), 104);
    assert_errno(raw(w, FUSE_STATFS, FC_ROOT, NULL, 0, NULL, 8), EINVAL);
    assert_errno(raw(w, FUSE_LOOKUP, FC_ROOT, "x", 2, NULL, 127), EINVAL);
    wire_alive(w);
}

static void test_no_reply_opcodes_write_nothing_even_when_given_room(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fe_req *r = &w->c.req;
    struct fuse_forget_in in = {.nlookup = 1};
    struct fc_part p = {&in, sizeof(in)};

    r->out_data_len = r->in_data_len = 0;
    fc_build(&w->c, r, FUSE_FORGET, 77, &p, 1, 64);
    memset(r->in, 0xa5, 80);
    assert_ok(fe_call(w->fe, FE_REQUESTS, r));
    assert_int_equal(r->used, 0);
    for (unsigned i = 0; i < 80; i++)
        assert_int_equal(((uint8_t *)r->in)[i], 0xa5);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_init_agrees_on_the_older_minor),
    WIRE_TEST(test_init_offers_no_flag_that_was_not_asked_for),
    WIRE_TEST(test_init_of_a_newer_major_is_told_ours),
    WIRE_TEST(test_init_of_a_too_old_version_is_refused),
    WIRE_TEST(test_init_in_the_short_form_of_old_kernels_is_served),
    WIRE_TEST(test_nothing_is_served_before_init),
    WIRE_TEST(test_second_init_begins_a_new_session),
    WIRE_TEST(test_destroy_ends_the_session_at_any_time),
    WIRE_TEST(test_destroy_before_init_is_fine),
    WIRE_TEST(test_node_ids_are_never_reused_within_a_session),
    WIRE_TEST(test_known_file_keeps_its_node_id),
    WIRE_TEST(test_forget_of_more_than_was_looked_up_is_clamped),
    WIRE_TEST(test_forget_of_unknown_nodes_and_of_the_root_is_harmless),
    WIRE_TEST(test_batch_forget_forgets_each_of_its_nodes),
    WIRE_TEST(test_batch_forget_that_claims_more_than_it_brings_is_ignored),
    WIRE_TEST(test_forget_may_come_on_a_request_queue),
    WIRE_TEST(test_interrupt_of_nothing_is_harmless),
    WIRE_TEST(test_unknown_opcodes_are_enosys),
    WIRE_TEST(test_unknown_node_is_estale_for_every_opcode),
    WIRE_TEST(test_truncated_and_garbage_bodies_are_answered),
    WIRE_TEST(test_header_length_is_checked_against_what_arrived),
    WIRE_TEST(test_request_shorter_than_a_header_is_given_back_unanswered),
    WIRE_TEST(test_reply_without_room_for_a_header_is_given_back_unanswered),
    WIRE_TEST(test_reply_that_does_not_fit_is_an_error),
    WIRE_TEST(test_no_reply_opcodes_write_nothing_even_when_given_room),
};
WIRE_MAIN("session", tests)
