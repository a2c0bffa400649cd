// SPDX-License-Identifier: BSD-3-Clause
/*
 * cost.c - a steady stream of requests, for callgrind to count the driver's instructions
 *
 * The device answers at once. @depth requests are in flight, and as one ends the next is sent.
 */
#include "driver/fuse_wire.h"
#include "tests/nt-bench/rig.h"
#include "tests/nt-bench/solo/solo.h"

#define MOST_DEPTH 64
#define ATTR_ARGS  16u
#define ATTR_OUT   104u

static struct rig_io *send_one(struct handle *h, uint64_t unique)
{
    struct {
        struct drv_fuse_in h;
        uint8_t args[ATTR_ARGS];
    } m = {.h = {.len = sizeof(m), .opcode = 3 /* GETATTR */, .unique = unique}};
    struct rig_io *io = rig_io_new(h, IOCTL_VIOFS_REQUEST, &m, sizeof(m), ATTR_OUT, NULL);

    (void)rig_io_send(io);
    return io;
}

static void init(struct rig *r, struct handle *h)
{
    struct {
        struct drv_fuse_in h;
        uint8_t args[ATTR_ARGS];
    } m = {.h = {.len = sizeof(m), .opcode = DRV_FUSE_INIT, .unique = 2}};
    struct rig_io *io = rig_io_new(h, IOCTL_VIOFS_REQUEST, &m, sizeof(m), 64, NULL);

    (void)rig_io_send(io);
    (void)solo_serve(r->device, 64);
    REQUIRE(NT_SUCCESS(rig_io_wait(io, 1000)), "INIT: %#x", io->status);
    rig_io_free(io);
}

HOST struct ver_costs solo_cost(uint32_t n, uint32_t depth)
{
    struct ver_costs costs;
    struct rig_options o = {.device = {.request_queues = 1, .queue_size = 128}, .messages = 3};
    struct rig *r = rig_up(&o);
    struct handle *h = rig_open(r);
    struct rig_io *io[MOST_DEPTH];

    REQUIRE(depth > 0 && depth <= MOST_DEPTH, "depth %u", depth);
    init(r, h);
    (void)ver_costs_take();
    for (uint32_t done = 0; done < n; done += depth) {
        for (uint32_t i = 0; i < depth; i++)
            io[i] = send_one(h, 4 + 2ull * (done + i));
        (void)solo_serve(r->device, ATTR_OUT);
        solo_settle();
        for (uint32_t i = 0; i < depth; i++) {
            REQUIRE(NT_SUCCESS(rig_io_wait(io[i], 1000)), "GETATTR: %#x", io[i]->status);
            rig_io_free(io[i]);
        }
    }
    costs = ver_costs_take();
    rig_close(h);
    rig_remove(r);
    return costs;
}
