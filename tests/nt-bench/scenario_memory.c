// SPDX-License-Identifier: BSD-3-Clause
/*
 * scenario_memory.c - every allocation fails once
 *
 * A life of the device is played again and again; each time one more allocation succeeds before one
 * fails. Whatever fails, the rest must go on or be refused, and nothing may be left when the device is gone.
 */
#include "tests/nt-bench/fuse.h"

#define MOST 2000

typedef void life(struct rig *r);

static void check_balance(unsigned n)
{
    for (int k = 0; k < VER_THINGS; k++)
        CHECK(ver_count((enum ver_thing)k) == 0,
              "allocation %u failed: something of kind %d is left", n, k);
    CHECK(mem_live_bytes(MEM_POOL) == 0, "allocation %u failed: %llu bytes of pool are left", n,
          (unsigned long long)mem_live_bytes(MEM_POOL));
    CHECK(mem_live_bytes(MEM_COMMON_BUFFER) == 0, "allocation %u failed: common buffers are left",
          n);
}

/* @arm_late: start the device before allocations fail */
static void every_allocation(life *play, BOOLEAN arm_late)
{
    static const struct rig_options o = {.device = {.no_daemon = true, .queue_size = 16}};
    unsigned n;

    clk_speed(20);
    for (n = 1; n < MOST; n++) {
        struct rig *r = rig_plug_only(&o);
        BOOLEAN happened;

        if (!arm_late)
            fail_after(n);
        if (NT_SUCCESS(rig_add(r))) {
            NTSTATUS status = rig_start(r);

            if (arm_late)
                fail_after(n);
            if (NT_SUCCESS(status) && play)
                play(r);
        }
        happened = fail_happened();
        fail_after(0);
        rig_remove(r);
        check_balance(n);
        if (!happened || ver_complaints())
            break;
    }
    ver_note("%u allocations", n - 1);
    CHECK(n > 1 && n < MOST, "%u allocations", n);
}

static void every_allocation_of_a_start_may_fail(void)
{
    every_allocation(NULL, FALSE);
}

static void requests(struct rig *r)
{
    struct handle *h = rig_open(r);
    static const ULONG sizes[] = {16, 200, 5000, 100000};
    uint8_t *view;
    void *user = mem_user(9000, 3, 0, RIG_USER1, &view);

    (void)fuse_try_init(h);
    for (size_t i = 0; i < RTL_NUMBER_OF(sizes); i++) {
        struct viofs_read_by_pointer p = {.len = 9000, .pointer = (uint64_t)(ULONG_PTR)user};
        struct fuse_msg m;
        struct rig_io *io;

        fuse_read_msg(&m, FUSE_ROOT_ID, 1, 0, sizes[i]);
        (void)rig_ioctl(h, IOCTL_VIOFS_REQUEST, &m, m.h.len, NULL, sizes[i], NULL);
        (void)rig_ioctl(h, IOCTL_VIRTFS_FUSE_REQUEST, &m, m.h.len, NULL, sizes[i] + 16, NULL);
        io = rig_io_new(h, IOCTL_VIRTFS_FUSE_REQUEST_READ, &m, m.h.len, sizeof(p), NULL);
        RtlCopyMemory(io->out, &p, sizeof(p));
        (void)rig_io_send(io);
        (void)rig_io_wait(io, 3000);
        rig_io_free(io);
        (void)rig_ioctl(h, IOCTL_VIOFS_WRITE, &m, fuse_write_msg(&m, 1, 1, 0, sizes[i]), NULL,
                        sizes[i], NULL);
    }
    mem_user_free(user);
    rig_close(h);
}

static void every_allocation_of_a_request_may_fail(void)
{
    every_allocation(requests, TRUE);
}

static void sleep_and_stop(struct rig *r)
{
    struct handle *h = rig_open(r);

    (void)rig_power(r, PowerSystemSleeping3);
    (void)rig_power(r, PowerSystemWorking);
    (void)rig_pnp(r, IRP_MN_QUERY_STOP_DEVICE);
    (void)rig_pnp(r, IRP_MN_STOP_DEVICE);
    (void)rig_start(r);
    (void)fuse_try_init(h);
    rig_close(h);
}

static void every_allocation_of_sleep_and_restart_may_fail(void)
{
    every_allocation(sleep_and_stop, TRUE);
}

static void broken_ring(struct rig *r)
{
    struct handle *h = rig_open(r);

    (void)fuse_try_init(h);
    vdev_fault(r->device, FAULT_USED_ID_RANGE);
    (void)fuse_try_init(h);
    vdev_fault(r->device, FAULT_NONE);
    (void)fuse_try_init(h);
    rig_close(h);
}

static void every_allocation_of_a_recovery_may_fail(void)
{
    every_allocation(broken_ring, TRUE);
}

const struct scenario scenarios_memory[] = {
    {"every allocation of a start may fail", every_allocation_of_a_start_may_fail, MODEL_ONLY},
    {"every allocation of a request may fail", every_allocation_of_a_request_may_fail, MODEL_ONLY},
    {"every allocation of sleep and restart may fail",
     every_allocation_of_sleep_and_restart_may_fail, MODEL_ONLY},
    {"every allocation of a recovery may fail", every_allocation_of_a_recovery_may_fail,
     MODEL_ONLY},
};
const unsigned n_scenarios_memory = RTL_NUMBER_OF(scenarios_memory);
