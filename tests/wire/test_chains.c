// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_chains.c - a guest that breaks the rules of the ring and of its own memory
 *
 * A malformed chain comes back with length 0 and its queue goes on. A broken ring stops its queue until
 * the guest sets it up again. Neither disturbs the other queues, of which one keeps serving here.
 */
#include "tests/wire/wire.h"

#define RAW      2u /* the queue that is used raw */
#define NEXT     RING_DESC_F_NEXT
#define WRITE    RING_DESC_F_WRITE
#define INDIRECT RING_DESC_F_INDIRECT
#define REPLY    256u

/* A good GETATTR of the root in guest memory, and a page for tables. */
struct rig {
    struct wire *w;
    struct fuse_in_header *request; /* header and fuse_getattr_in */
    uint8_t *reply;
    struct ring_desc *table;
    uint64_t request_bus, reply_bus, table_bus;
};

static struct rig rig_up(void)
{
    struct rig r = {.w = wire_start(&(struct wire_options){.fe = {.queues = 3}})};
    struct fe *fe = r.w->fe;

    r.request = fe_alloc(fe, 56);
    r.reply = fe_alloc(fe, REPLY);
    r.table = fe_alloc(fe, 65536);
    assert_true(r.request && r.reply && r.table);
    memset(r.request, 0, 56);
    *r.request = (struct fuse_in_header){
        .len = 56, .opcode = FUSE_GETATTR, .unique = 4242, .nodeid = FC_ROOT};
    r.request_bus = fe_gpa(fe, r.request);
    r.reply_bus = fe_gpa(fe, r.reply);
    r.table_bus = fe_gpa(fe, r.table);
    return r;
}

static struct ring_desc out_desc(const struct rig *r, uint16_t flags, uint16_t next)
{
    return (struct ring_desc){r->request_bus, 56, flags, next};
}

static struct ring_desc in_desc(const struct rig *r)
{
    return (struct ring_desc){r->reply_bus, REPLY, WRITE, 0};
}

/* Descriptors 0.. as given, head 0; what comes back. */
static struct ring_used_elem offer(struct rig *r, const struct ring_desc *d, unsigned n)
{
    static const uint16_t at[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct ring_used_elem e = {0};

    assert_ok(fe_raw_chain(r->w->fe, RAW, d, at, n, 0));
    assert_int_equal(fe_raw_used(r->w->fe, RAW, &e, PATIENCE_MS), 1);
    assert_int_equal(e.id, 0);
    return e;
}

static void assert_queue_works(struct rig *r)
{
    struct ring_desc d[2] = {out_desc(r, NEXT, 1), in_desc(r)};
    struct fuse_out_header *h = (void *)r->reply;

    memset(r->reply, 0, REPLY);
    assert_int_equal(offer(r, d, 2).len, 16 + sizeof(struct fuse_attr_out));
    assert_int_equal(h->unique, 4242);
    assert_int_equal(h->error, 0);
}

static void assert_refused(struct rig *r, const struct ring_desc *d, unsigned n)
{
    assert_int_equal(offer(r, d, n).len, 0);
    assert_queue_works(r);
    wire_alive(r->w);
}

static void test_raw_queue_serves_a_good_chain(void **state)
{
    (void)state;
    struct rig r = rig_up();

    assert_queue_works(&r);
}

static void test_loops_come_back_empty(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct ring_desc self[1] = {out_desc(&r, NEXT, 0)};
    struct ring_desc two[2] = {out_desc(&r, NEXT, 1), out_desc(&r, NEXT, 0)};
    struct ring_desc empty[1] = {{r.request_bus, 0, NEXT, 0}};

    assert_refused(&r, self, 1);
    assert_refused(&r, two, 2);
    assert_refused(&r, empty, 1);
    for (unsigned i = 0; i < 4096; i++)
        r.table[i] = (struct ring_desc){r.request_bus, 0, NEXT, (uint16_t)((i + 1) % 4096)};
    struct ring_desc ind[1] = {{r.table_bus, 65536, INDIRECT, 0}};
    assert_refused(&r, ind, 1);
}

static void test_links_out_of_the_table_come_back_empty(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct ring_desc far[1] = {out_desc(&r, NEXT, 256)};
    struct ring_desc farther[1] = {out_desc(&r, NEXT, 0xffff)};

    assert_refused(&r, far, 1);
    assert_refused(&r, farther, 1);
}

static void test_addresses_out_of_memory_come_back_empty(void **state)
{
    (void)state;
    struct rig r = rig_up();
    static const struct {
        uint64_t addr;
        uint32_t len;
    } bad[] = {{0, 56},
               {1, UINT32_MAX},
               {UINT64_MAX, 1},
               {UINT64_MAX - 55, 56},
               {UINT64_MAX - 10, 4096},
               {1ULL << 63, 56}};

    for (unsigned i = 0; i < ARRAY(bad); i++) {
        struct ring_desc o[2] = {{bad[i].addr, bad[i].len, NEXT, 1}, in_desc(&r)};
        struct ring_desc in[2] = {out_desc(&r, NEXT, 1), {bad[i].addr, bad[i].len, WRITE, 0}};
        struct ring_desc table[1] = {{bad[i].addr, bad[i].len & ~15u, INDIRECT, 0}};
        assert_refused(&r, o, 2);
        assert_refused(&r, in, 2);
        assert_refused(&r, table, 1);
    }
}

static void test_length_beyond_the_end_of_memory_comes_back_empty(void **state)
{
    (void)state;
    struct rig r = rig_up();
    size_t size;
    uint64_t gpa;

    fe_region(r.w->fe, 0, &size, &gpa);
    struct ring_desc over[2] = {out_desc(&r, NEXT, 1), {gpa + size - 100, 101, WRITE, 0}};
    struct ring_desc huge[2] = {out_desc(&r, NEXT, 1), {r.reply_bus, UINT32_MAX, WRITE, 0}};
    assert_refused(&r, over, 2);
    assert_refused(&r, huge, 2);
}

static void test_request_after_reply_comes_back_empty(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct ring_desc d[2] = {in_desc(&r), out_desc(&r, 0, 0)};

    d[0].flags |= NEXT;
    d[0].next = 1;
    assert_refused(&r, d, 2);
}

static void test_broken_indirect_tables_come_back_empty(void **state)
{
    (void)state;
    struct rig r = rig_up();
    static const uint32_t length[] = {0, 1, 15, 17, 33, UINT32_MAX};

    r.table[0] = out_desc(&r, NEXT, 1);
    r.table[1] = in_desc(&r);
    for (unsigned i = 0; i < ARRAY(length); i++) {
        struct ring_desc d[1] = {{r.table_bus, length[i], INDIRECT, 0}};
        assert_refused(&r, d, 1);
    }
    struct ring_desc with_next[2] = {{r.table_bus, 32, INDIRECT | NEXT, 1}, in_desc(&r)};
    assert_refused(&r, with_next, 2);
    r.table[1] = (struct ring_desc){r.table_bus, 32, INDIRECT, 0};
    struct ring_desc nested[1] = {{r.table_bus, 32, INDIRECT, 0}};
    assert_refused(&r, nested, 1);
}

static void test_more_segments_than_are_served_come_back_empty(void **state)
{
    (void)state;
    struct rig r = rig_up();

    for (unsigned i = 0; i < 2000; i++) /* the same byte over and over cannot be merged */
        r.table[i] = (struct ring_desc){r.reply_bus, 1, NEXT | WRITE, (uint16_t)(i + 1)};
    r.table[0] = out_desc(&r, NEXT, 1);
    r.table[1999].flags = WRITE;
    struct ring_desc d[1] = {{r.table_bus, 2000 * 16, INDIRECT, 0}};
    assert_refused(&r, d, 1);
}

static void test_request_in_single_bytes_is_served(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct fuse_out_header *h = (void *)r.reply;
    unsigned n = 0;

    memset(r.reply, 0, REPLY);
    for (unsigned i = 0; i < 56; i++, n++)
        r.table[n] = (struct ring_desc){r.request_bus + i, 1, NEXT, (uint16_t)(n + 1)};
    for (unsigned i = 0; i < 200; i++, n++)
        r.table[n] = (struct ring_desc){r.reply_bus + i, 1, NEXT | WRITE, (uint16_t)(n + 1)};
    r.table[n - 1].flags = WRITE;
    struct ring_desc d[1] = {{r.table_bus, n * 16, INDIRECT, 0}};
    assert_int_equal(offer(&r, d, 1).len, 16 + sizeof(struct fuse_attr_out));
    assert_int_equal(h->unique, 4242);
}

static void test_chain_without_any_segment_comes_back_empty(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct ring_desc nothing[1] = {{0, 0, 0, 0}};
    struct ring_desc only_in[1] = {in_desc(&r)};
    struct ring_desc only_out[1] = {out_desc(&r, 0, 0)};

    assert_refused(&r, nothing, 1);
    assert_refused(&r, only_in, 1);
    assert_refused(&r, only_out, 1);
}

static void test_reply_may_overlap_the_request(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct ring_desc d[2] = {out_desc(&r, NEXT, 1), {r.request_bus, 56, WRITE, 0}};
    struct fuse_out_header *h = (void *)r.request;

    offer(&r, d, 2); /* a reply of 120 bytes does not fit: an error, over the request */
    assert_int_equal(h->unique, 4242);
    assert_int_equal(h->error, -EINVAL);
    wire_alive(r.w);
}

static void test_head_offered_twice_is_served_twice(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct ring_desc d[2] = {out_desc(&r, NEXT, 1), in_desc(&r)};
    static const uint16_t at[2] = {0, 1};
    struct ring_used_elem e;

    for (unsigned i = 0; i < 200; i++)
        assert_ok(fe_raw_chain(r.w->fe, RAW, d, at, 2, 0));
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(fe_raw_used(r.w->fe, RAW, &e, PATIENCE_MS), 1);
    wire_alive(r.w);
}

/* ---- rings that break ------------------------------------------------------------------------------- */

/* The raw queue is dead: nothing comes back. The other one lives, and a new set-up revives this one. */
static void assert_queue_broke_alone(struct rig *r)
{
    struct ring_used_elem e;

    assert_true(daemon_log_has(&r->w->d, "corrupted", PATIENCE_MS));
    assert_int_equal(fe_raw_used(r->w->fe, RAW, &e, 50), 0);
    wire_alive(r->w);
    assert_ok(fe_queue_stop(r->w->fe, RAW, NULL));
    assert_ok(fe_queue_start(r->w->fe, RAW));
    assert_queue_works(r);
}

static void test_head_out_of_range_stops_its_queue_only(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct ring_desc d[2] = {out_desc(&r, NEXT, 1), in_desc(&r)};
    static const uint16_t at[2] = {0, 1};

    assert_ok(fe_raw_chain(r.w->fe, RAW, d, at, 2, 256));
    assert_queue_broke_alone(&r);
}

static void test_available_index_that_jumps_stops_its_queue_only(void **state)
{
    (void)state;
    struct rig r = rig_up();

    assert_ok(fe_raw_set_avail(r.w->fe, RAW, 257));
    assert_queue_broke_alone(&r);
}

static void test_memory_that_changes_under_the_daemon_does_no_harm(void **state)
{
    (void)state;
    struct rig r = rig_up();
    struct ring_desc d[2] = {out_desc(&r, NEXT, 1), in_desc(&r)};
    static const uint16_t at[2] = {0, 1};
    volatile struct fuse_in_header *h = r.request;

    for (unsigned i = 0; i < 2000; i++) {
        assert_ok(fe_raw_chain(r.w->fe, RAW, d, at, 2, 0));
        for (unsigned k = 0; k < 50; k++) {
            h->len = k % 3 ? UINT32_MAX : 56;
            h->opcode = k % 60;
            h->nodeid = k;
        }
    }
    struct ring_used_elem e;
    for (unsigned i = 0; i < 2000; i++)
        if (fe_raw_used(r.w->fe, RAW, &e, 2000) != 1)
            break;            /* the guest overran its own ring: the queue may have stopped */
    h->opcode = FUSE_GETATTR; /* one of those may have been a DESTROY */
    assert_ok(fc_init(&r.w->c));
    wire_alive(r.w);
}

/* ---- memory that goes away --------------------------------------------------------------------------- */

/*
 * A second region is plugged in, used, and its file cut off. Whatever lies there is lost; the daemon is not,
 * and serves the next guest.
 */
struct lost {
    struct wire *w;
    uint8_t *mem;
    size_t size;
    struct fe_req req;
    int region;
};

static struct lost lost_up(void)
{
    struct lost l = {.w = wire_up("--keep-listening")};
    uint64_t gpa;

    host_write(l.w, "f", "0123456789");
    l.region = fe_region_add(l.w->fe, 1 << 20);
    assert_true(l.region > 0);
    l.mem = fe_region(l.w->fe, l.region, &l.size, &gpa);
    return l;
}

static void assert_next_guest_is_served(struct lost *l)
{
    assert_true(daemon_running(&l->w->d));
    wire_disconnect(l->w);
    wire_connect(l->w, NULL, true);
    uint64_t f = node(l->w, FC_ROOT, "f"), fh = opened(l->w, f, O_RDONLY);
    assert_int_equal(fc_read(&l->w->c, f, fh, NULL, 100, 0), 10);
}

static void test_request_in_truncated_memory_loses_the_device_and_not_the_daemon(void **state)
{
    (void)state;
    struct lost l = lost_up();
    struct fe_req r = {.out = l.mem, .out_len = 56, .in = l.mem + 4096, .in_len = 256};

    *(struct fuse_in_header *)r.out =
        (struct fuse_in_header){.len = 56, .opcode = FUSE_GETATTR, .unique = 6, .nodeid = FC_ROOT};
    assert_ok(fe_call(l.w->fe, FE_REQUESTS, &r));
    assert_int_equal(r.used, 120);
    assert_ok(fe_region_truncate(l.w->fe, l.region, 0));
    assert_ok(fe_submit(l.w->fe, FE_REQUESTS, &r, false));
    assert_true(daemon_log_has(&l.w->d, "truncated", PATIENCE_MS));
    assert_next_guest_is_served(&l);
}

static void test_reply_into_truncated_memory_loses_the_device_and_not_the_daemon(void **state)
{
    (void)state;
    struct lost l = lost_up();
    uint8_t *out = fe_alloc(l.w->fe, 64);
    struct fe_req r = {.out = out, .out_len = 56, .in = l.mem, .in_len = 256};

    memset(out, 0, 64);
    *(struct fuse_in_header *)r.out =
        (struct fuse_in_header){.len = 56, .opcode = FUSE_GETATTR, .unique = 6, .nodeid = FC_ROOT};
    assert_ok(fe_region_truncate(l.w->fe, l.region, 0));
    assert_ok(fe_submit(l.w->fe, FE_REQUESTS, &r, false));
    assert_true(daemon_log_has(&l.w->d, "truncated", PATIENCE_MS));
    assert_next_guest_is_served(&l);
}

/* Here a system call meets the hole, and answers EFAULT. */
static void test_payload_in_truncated_memory_is_an_error_of_its_request(void **state)
{
    (void)state;
    struct lost l = lost_up();
    struct fc *c = &l.w->c;
    uint64_t f = node(l.w, FC_ROOT, "f"), fh = opened(l.w, f, O_RDWR);
    struct fuse_read_in in = {.fh = fh, .size = 4096};
    struct fc_part p = {&in, sizeof(in)};
    struct fuse_write_in wr = {.fh = fh, .size = 4096};
    struct fc_part q = {&wr, sizeof(wr)};

    assert_ok(fe_region_truncate(l.w->fe, l.region, 0));
    c->req.out_data_len = 0;
    c->req.in_data = l.mem;
    c->req.in_data_len = 4096;
    uint64_t unique = fc_build(c, &c->req, FUSE_READ, f, &p, 1, 0);
    assert_ok(fe_call(l.w->fe, FE_REQUESTS, &c->req));
    assert_true(fc_result(&c->req, unique) < 0);
    c->req.in_data_len = 0;
    c->req.out_data = l.mem;
    c->req.out_data_len = 4096;
    unique = fc_build(c, &c->req, FUSE_WRITE, f, &q, 1, sizeof(struct fuse_write_out));
    assert_ok(fe_call(l.w->fe, FE_REQUESTS, &c->req));
    assert_true(fc_result(&c->req, unique) < 0);
    c->req.out_data_len = 0;
    wire_alive(l.w);
    assert_string_equal(host_read(l.w, "f"), "0123456789");
    assert_next_guest_is_served(&l);
}

static void
test_indirect_table_in_truncated_memory_loses_the_device_and_not_the_daemon(void **state)
{
    (void)state;
    struct lost l = lost_up();
    uint64_t gpa;
    size_t size;
    static const uint16_t at = 0;

    wire_disconnect(l.w);
    wire_connect(l.w, &(struct fe_options){.queues = 3}, true);
    l.region = fe_region_add(l.w->fe, 1 << 20);
    assert_true(l.region > 0);
    fe_region(l.w->fe, l.region, &size, &gpa);
    assert_ok(fe_region_truncate(l.w->fe, l.region, 0));
    struct ring_desc d = {gpa, 32, INDIRECT, 0};
    assert_ok(fe_raw_chain(l.w->fe, RAW, &d, &at, 1, 0));
    assert_true(daemon_log_has(&l.w->d, "truncated", PATIENCE_MS));
    assert_next_guest_is_served(&l);
}

static void test_rings_in_truncated_memory_lose_the_device_and_not_the_daemon(void **state)
{
    (void)state;
    struct lost l = lost_up();

    /* The whole of the first region goes, rings and all; from here on the kick descriptor is all we use. */
    assert_ok(fe_region_truncate(l.w->fe, 0, 0));
    assert_ok(fe_kick(l.w->fe, FE_REQUESTS));
    assert_true(daemon_log_has(&l.w->d, "truncated", PATIENCE_MS));
    assert_true(daemon_running(&l.w->d));
    l.w->c = (struct fc){0}; /* its buffers are in that memory, and go with the front end */
    wire_disconnect(l.w);
    wire_connect(l.w, NULL, true);
    wire_alive(l.w);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_raw_queue_serves_a_good_chain),
    WIRE_TEST(test_loops_come_back_empty),
    WIRE_TEST(test_links_out_of_the_table_come_back_empty),
    WIRE_TEST(test_addresses_out_of_memory_come_back_empty),
    WIRE_TEST(test_length_beyond_the_end_of_memory_comes_back_empty),
    WIRE_TEST(test_request_after_reply_comes_back_empty),
    WIRE_TEST(test_broken_indirect_tables_come_back_empty),
    WIRE_TEST(test_more_segments_than_are_served_come_back_empty),
    WIRE_TEST(test_request_in_single_bytes_is_served),
    WIRE_TEST(test_chain_without_any_segment_comes_back_empty),
    WIRE_TEST(test_reply_may_overlap_the_request),
    WIRE_TEST(test_head_offered_twice_is_served_twice),
    WIRE_TEST(test_head_out_of_range_stops_its_queue_only),
    WIRE_TEST(test_available_index_that_jumps_stops_its_queue_only),
    WIRE_TEST(test_memory_that_changes_under_the_daemon_does_no_harm),
    WIRE_TEST(test_request_in_truncated_memory_loses_the_device_and_not_the_daemon),
    WIRE_TEST(test_reply_into_truncated_memory_loses_the_device_and_not_the_daemon),
    WIRE_TEST(test_payload_in_truncated_memory_is_an_error_of_its_request),
    WIRE_TEST(test_indirect_table_in_truncated_memory_loses_the_device_and_not_the_daemon),
    WIRE_TEST(test_rings_in_truncated_memory_lose_the_device_and_not_the_daemon),
};
WIRE_MAIN("chains", tests)
