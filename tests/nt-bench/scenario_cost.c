// SPDX-License-Identifier: BSD-3-Clause
/*
 * scenario_cost.c - what requests cost, measured and held to what is promised
 *
 * Each writes a line "figures ..." that bench/driver.py reads. A program keeps so many requests in flight
 * against a real daemon, and sends the next as the oldest ends.
 */
#include "tests/nt-bench/fuse.h"

#define REQUESTS 2000u
#define DEEP     32u
#define READ_LEN 65536u

typedef struct rig_io *(*send_fn)(struct handle *h, uint64_t node, uint64_t fh);

static struct rig_io *send_getattr(struct handle *h, uint64_t node, uint64_t fh)
{
    (void)node;
    (void)fh;
    return fuse_send_getattr(h);
}

static struct rig_io *send_read(struct handle *h, uint64_t node, uint64_t fh)
{
    struct fuse_msg m;
    struct rig_io *io;

    fuse_read_msg(&m, node, fh, 0, READ_LEN);
    io = rig_io_new(h, IOCTL_VIOFS_REQUEST, &m, m.h.len, READ_LEN, NULL);
    (void)rig_io_send(io);
    return io;
}

static void end_one(struct rig_io *io)
{
    CHECK(NT_SUCCESS(rig_io_wait(io, 5000)), "%#x", io->status);
    rig_io_free(io);
}

static void stream(const char *what, send_fn send, ULONG depth, struct handle *h, uint64_t node,
                   uint64_t fh)
{
    struct rig_io *io[DEEP];
    struct ver_costs c;
    uint64_t us;

    for (ULONG i = 0; i < depth; i++)
        io[i] = send(h, node, fh);
    (void)ver_costs_take();
    us = clk_real_us();
    for (ULONG n = 0; n < REQUESTS; n++) {
        end_one(io[n % depth]);
        io[n % depth] = send(h, node, fh);
    }
    us = clk_real_us() - us;
    c = ver_costs_take();
    for (ULONG i = 0; i < depth; i++)
        end_one(io[i]);
    ver_note("figures what=%s depth=%u requests=%u us=%llu kicks=%llu interrupts=%llu pool=%llu "
             "mappings=%llu",
             what, depth, REQUESTS, (unsigned long long)us, (unsigned long long)c.kicks,
             (unsigned long long)c.interrupts, (unsigned long long)c.pool_allocations,
             (unsigned long long)c.payload_mappings);
    CHECK(c.pool_allocations == 0, "%llu pool allocations", (unsigned long long)c.pool_allocations);
    CHECK(c.kicks <= REQUESTS + depth && c.interrupts <= REQUESTS + depth,
          "more kicks or interrupts than requests");
}

static void at_depth(ULONG depth)
{
    struct rig *r = rig_up(NULL);
    struct handle *h = rig_open(r);
    uint64_t fh, node;
    static uint8_t bytes[READ_LEN];

    share_write("file", bytes, sizeof(bytes));
    fuse_init(h);
    node = fuse_lookup(h, "file");
    fh = fuse_open(h, node, 0);
    stream("GETATTR", send_getattr, depth, h, node, fh);
    stream("READ-64K", send_read, depth, h, node, fh);
    fuse_release(h, node, fh);
    rig_close(h);
    rig_eject(r);
}

static void figures_at_depth_1(void)
{
    at_depth(1);
}

static void figures_at_depth_32(void)
{
    at_depth(DEEP);
}

const struct scenario scenarios_cost[] = {
    {"what a request costs alone", figures_at_depth_1, MODEL_ONLY},
    {"what a request costs among 32", figures_at_depth_32, MODEL_ONLY},
};
const unsigned n_scenarios_cost = RTL_NUMBER_OF(scenarios_cost);
