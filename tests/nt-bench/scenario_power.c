// SPDX-License-Identifier: BSD-3-Clause
/*
 * scenario_power.c - sleep, hibernation, shutdown
 */
#include "tests/nt-bench/fuse.h"

static const struct rig_options alone = {.device = {.no_daemon = true}};

static void sleep_and_wake(struct rig *r, SYSTEM_POWER_STATE state)
{
    CHECK(NT_SUCCESS(rig_query_power(r, state)), "the query is refused");
    CHECK(NT_SUCCESS(rig_power(r, state)), "going to sleep fails");
    CHECK(nt_pdo_of(r->pdo)->power == PowerDeviceD3, "the device is not in D3");
    CHECK(!vdev_running(r->device), "the device runs");
    CHECK(NT_SUCCESS(rig_power(r, PowerSystemWorking)), "waking up fails");
    CHECK(nt_pdo_of(r->pdo)->power == PowerDeviceD0, "the device is not in D0");
    CHECK(vdev_running(r->device), "the device does not run");
}

static void cycle(const struct rig_options *o, SYSTEM_POWER_STATE state)
{
    struct rig *r = rig_up(o);
    struct handle *h = rig_open(r);
    uint64_t epoch = rig_epoch(h);

    fuse_init(h);
    for (int i = 0; i < 3; i++) {
        struct rig_io *io;

        sleep_and_wake(r, state);
        CHECK(rig_epoch(h) > epoch, "the epoch did not grow");
        epoch = rig_epoch(h);
        io = fuse_send_getattr(h);
        CHECK(!NT_SUCCESS(rig_io_wait(io, 1000)), "the old session goes on");
        rig_io_free(io);
        fuse_init(h);
        io = fuse_send_getattr(h);
        CHECK(NT_SUCCESS(rig_io_wait(io, 1000)) || o->device.no_daemon, "%#x", io->status);
        rig_io_free(io);
    }
    rig_close(h);
    rig_eject(r);
}

static void a_machine_sleeps_and_wakes(void)
{
    struct rig_options o = {.messages = 0};

    cycle(&o, PowerSystemSleeping3);
}

static void a_machine_hibernates_and_wakes(void)
{
    cycle(&alone, PowerSystemHibernate);
}

static void a_machine_with_a_slow_bus_sleeps_and_wakes(void)
{
    struct rig_options o = alone;

    o.slow_bus = TRUE;
    cycle(&o, PowerSystemSleeping3);
}

static void sleep_ends_requests_in_flight(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io[150];

    fuse_init(h);
    vdev_fault(r->device, FAULT_HOLD);
    for (int i = 0; i < 150; i++)
        io[i] = fuse_send_getattr(h);
    CHECK(vdev_wait_held(r->device, 128), "not with the device");
    clk_speed(20);
    CHECK(NT_SUCCESS(rig_power(r, PowerSystemSleeping3)), "going to sleep fails");
    for (int i = 0; i < 150; i++) {
        CHECK(!NT_SUCCESS(rig_io_wait(io[i], 2000)), "request %d succeeded", i);
        rig_io_free(io[i]);
    }
    vdev_fault(r->device, FAULT_NONE);
    CHECK(NT_SUCCESS(rig_power(r, PowerSystemWorking)), "waking up fails");
    fuse_init(h);
    rig_close(h);
    rig_eject(r);
}

static void requests_of_a_sleeping_machine_end_or_wait(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io;

    fuse_init(h);
    CHECK(NT_SUCCESS(rig_power(r, PowerSystemSleeping3)), "going to sleep fails");
    io = fuse_send_getattr(h);
    (void)rig_query(h);
    CHECK(NT_SUCCESS(rig_power(r, PowerSystemWorking)), "waking up fails");
    (void)rig_io_wait(io, 1000);
    rig_io_free(io);
    rig_close(h);
    rig_eject(r);
}

static void a_sleeping_device_may_be_pulled_out(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);

    fuse_init(h);
    CHECK(NT_SUCCESS(rig_power(r, PowerSystemSleeping3)), "going to sleep fails");
    rig_yank(r);
    rig_close(h);
    rig_remove(r);
}

static void a_sleeping_device_is_removed_untouched(void)
{
    struct rig *r = rig_up(&alone);

    CHECK(NT_SUCCESS(rig_power(r, PowerSystemSleeping3)), "going to sleep fails");
    rig_remove(r);
}

static void a_handle_closes_while_the_machine_sleeps(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);

    fuse_init(h);
    CHECK(NT_SUCCESS(rig_power(r, PowerSystemSleeping3)), "going to sleep fails");
    clk_speed(10);
    rig_close(h);
    CHECK(NT_SUCCESS(rig_power(r, PowerSystemWorking)), "waking up fails");
    h = rig_open(r);
    fuse_init(h);
    rig_close(h);
    rig_eject(r);
}

static void shutdown_stops_the_device(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);

    fuse_init(h);
    rig_close(h);
    CHECK(NT_SUCCESS(rig_power(r, PowerSystemShutdown)), "shutdown fails");
    CHECK(!vdev_running(r->device), "the device runs on");
    rig_remove(r);
}

static void power_requests_before_the_start_are_passed_down(void)
{
    struct rig *r = rig_plug(&alone);

    CHECK(NT_SUCCESS(rig_query_power(r, PowerSystemSleeping3)), "the query is refused");
    CHECK(NT_SUCCESS(rig_power(r, PowerSystemSleeping3)), "going to sleep fails");
    CHECK(NT_SUCCESS(rig_power(r, PowerSystemWorking)), "waking up fails");
    rig_remove(r);
}

static void busy_program(void *ctx, unsigned number)
{
    struct rig *r = ((void **)ctx)[0];
    struct handle *h = ((void **)ctx)[1];

    if (number == 0) {
        for (int i = 0; i < 5; i++) {
            clk_sleep_ms(3);
            sleep_and_wake(r, PowerSystemSleeping3);
        }
        return;
    }
    for (int i = 0; i < 200; i++) {
        struct rig_io *io = fuse_send_getattr(h);

        (void)rig_io_wait(io, 5000);
        rig_io_free(io);
        if (i % 10 == 0)
            (void)fuse_try_init(h);
    }
}

static void programs_go_on_while_the_machine_sleeps_and_wakes(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    void *ctx[2] = {r, h};

    fuse_init(h);
    rig_together(3, busy_program, ctx);
    rig_close(h);
    rig_eject(r);
}

const struct scenario scenarios_power[] = {
    {"a machine sleeps and wakes", a_machine_sleeps_and_wakes, ANYWHERE},
    {"a machine hibernates and wakes", a_machine_hibernates_and_wakes, ANYWHERE},
    {"a machine with a slow bus sleeps and wakes", a_machine_with_a_slow_bus_sleeps_and_wakes,
     ANYWHERE},
    {"sleep ends requests in flight", sleep_ends_requests_in_flight, ANYWHERE},
    {"requests of a sleeping machine end or wait", requests_of_a_sleeping_machine_end_or_wait,
     ANYWHERE},
    {"a sleeping device may be pulled out", a_sleeping_device_may_be_pulled_out, ANYWHERE},
    {"a sleeping device is removed untouched", a_sleeping_device_is_removed_untouched, ANYWHERE},
    {"a handle closes while the machine sleeps", a_handle_closes_while_the_machine_sleeps,
     ANYWHERE},
    {"shutdown stops the device", shutdown_stops_the_device, ANYWHERE},
    {"power requests before the start are passed down",
     power_requests_before_the_start_are_passed_down, ANYWHERE},
    {"programs go on while the machine sleeps and wakes",
     programs_go_on_while_the_machine_sleeps_and_wakes, ANYWHERE},
};
const unsigned n_scenarios_power = RTL_NUMBER_OF(scenarios_power);
