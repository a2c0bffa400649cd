// SPDX-License-Identifier: BSD-3-Clause
/*
 * scenario_pnp.c - plug and play: start, stop, remove, in every order that Windows knows
 */
#include "tests/nt-bench/fuse.h"

static const struct rig_options alone = {.device = {.no_daemon = true}};

static NTSTATUS getattr(struct handle *h)
{
    struct rig_io *io = fuse_send_getattr(h);
    NTSTATUS status = rig_io_wait(io, 3000);

    rig_io_free(io);
    return status;
}

/* A device without a daemon knows no GETATTR, and says so. */
static BOOLEAN answered(NTSTATUS status)
{
    return NT_SUCCESS(status) || (uint32_t)status == viofs_status(-38);
}

static void a_device_starts_talks_and_is_removed(void)
{
    struct rig *r = rig_up(NULL);
    struct handle *h = rig_open(r);
    struct rig_io *io;

    fuse_init(h);
    io = fuse_send_getattr(h);
    CHECK(NT_SUCCESS(rig_io_wait(io, 1000)), "GETATTR ended with %#x", io->status);
    CHECK(((struct fuse_attr_out *)io->out)->attr.ino == share_stat_ino("."), "another root");
    rig_io_free(io);
    rig_close(h);
    rig_eject(r);
}

static void a_device_that_never_starts_is_removed(void)
{
    rig_remove(rig_plug(&alone));
}

static void a_start_that_the_bus_refuses_fails_and_leaves_nothing(void)
{
    struct rig *r = rig_plug(&alone);

    nt_pdo_of(r->pdo)->fail_start = TRUE;
    CHECK(!NT_SUCCESS(rig_start(r)), "started although the bus driver refused");
    rig_remove(r);
}

static void a_stopped_device_starts_again_with_a_new_epoch(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    uint64_t epoch = rig_epoch(h);

    fuse_init(h);
    for (int i = 0; i < 3; i++) {
        CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_QUERY_STOP_DEVICE)), "stop refused");
        CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_STOP_DEVICE)), "stop failed");
        CHECK(NT_SUCCESS(rig_start(r)), "restart failed");
        CHECK(rig_epoch(h) > epoch, "the epoch did not grow");
        CHECK(!answered(getattr(h)), "an old session goes on");
        fuse_init(h);
        CHECK(answered(getattr(h)), "the new session does not work");
        epoch = rig_epoch(h);
    }
    rig_close(h);
    rig_eject(r);
}

static void requests_wait_while_a_stop_is_pending_and_go_on_when_it_is_called_off(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    uint64_t epoch = rig_epoch(h);
    struct rig_io *io[8];

    fuse_init(h);
    CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_QUERY_STOP_DEVICE)), "stop refused");
    for (int i = 0; i < 8; i++)
        io[i] = fuse_send_getattr(h);
    clk_sleep_ms(20);
    for (int i = 0; i < 8; i++)
        CHECK(!rig_io_done(io[i]), "a request went to a device that is about to stop");
    CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_CANCEL_STOP_DEVICE)), "cancel-stop failed");
    for (int i = 0; i < 8; i++) {
        CHECK(answered(rig_io_wait(io[i], 1000)), "ended with %#x", io[i]->status);
        rig_io_free(io[i]);
    }
    CHECK(rig_epoch(h) == epoch, "the epoch grew although the session lives");
    rig_close(h);
    rig_eject(r);
}

static void requests_that_wait_for_a_stop_end_with_it(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io[8];

    fuse_init(h);
    vdev_fault(r->device, FAULT_HOLD);
    for (int i = 0; i < 4; i++)
        io[i] = fuse_send_getattr(h);
    CHECK(vdev_wait_held(r->device, 4), "not with the device");
    CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_QUERY_STOP_DEVICE)), "stop refused");
    for (int i = 4; i < 8; i++)
        io[i] = fuse_send_getattr(h);
    clk_speed(10);
    CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_STOP_DEVICE)), "stop failed");
    for (int i = 0; i < 8; i++) {
        CHECK(!NT_SUCCESS(rig_io_wait(io[i], 1000)), "request %d succeeded", i);
        rig_io_free(io[i]);
    }
    rig_close(h);
    rig_remove(r);
}

static void a_removal_that_is_called_off_changes_nothing(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);

    fuse_init(h);
    CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_QUERY_REMOVE_DEVICE)), "removal refused");
    CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_CANCEL_REMOVE_DEVICE)), "cancel-remove failed");
    CHECK(answered(getattr(h)), "the session is gone");
    rig_close(h);
    rig_eject(r);
}

static void a_cancel_without_a_query_is_harmless(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);

    fuse_init(h);
    CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_CANCEL_STOP_DEVICE)), "cancel-stop failed");
    CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_CANCEL_REMOVE_DEVICE)), "cancel-remove failed");
    CHECK(answered(getattr(h)), "the session is gone");
    rig_close(h);
    rig_eject(r);
}

static void an_idle_device_may_be_pulled_out(void)
{
    struct rig *r = rig_up(&alone);

    rig_yank(r);
    rig_remove(r);
}

static void a_device_that_never_started_may_be_pulled_out(void)
{
    struct rig *r = rig_plug(&alone);

    rig_yank(r);
    rig_remove(r);
}

/* Requests with the device, driver-owned and not, and in line behind them. */
static unsigned fill(struct rig *r, struct handle *h, struct rig_io **io, unsigned n)
{
    vdev_fault(r->device, FAULT_HOLD);
    for (unsigned i = 0; i < n; i++) {
        struct fuse_msg m;

        if (i % 4 != 1) {
            io[i] = fuse_send_getattr(h);
            continue;
        }
        fuse_read_msg(&m, FUSE_ROOT_ID, 1, 0, 65536);
        io[i] = rig_io_new(h, IOCTL_VIOFS_REQUEST, &m, m.h.len, 65536, NULL);
        (void)rig_io_send(io[i]);
    }
    CHECK(vdev_wait_held(r->device, n < 128 ? n : 128), "%u with the device", vdev_held(r->device));
    return n;
}

static void drain(struct rig_io **io, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        CHECK(!NT_SUCCESS(rig_io_wait(io[i], 3000)), "request %u succeeded", i);
        rig_io_free(io[i]);
    }
}

static void a_busy_device_may_be_pulled_out(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io[160];
    struct rig_io *late;

    fuse_init(h);
    fill(r, h, io, 160);
    rig_yank(r);
    drain(io, 160);
    late = fuse_send_getattr(h);
    CHECK(!NT_SUCCESS(rig_io_wait(late, 1000)), "a request succeeded without a device");
    rig_io_free(late);
    rig_close(h);
    rig_remove(r);
}

static void stop_ends_requests_in_flight(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io[160];

    fuse_init(h);
    fill(r, h, io, 160);
    clk_speed(10);
    CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_QUERY_STOP_DEVICE)), "stop refused");
    CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_STOP_DEVICE)), "stop failed");
    drain(io, 160);
    vdev_fault(r->device, FAULT_NONE);
    CHECK(NT_SUCCESS(rig_start(r)), "restart failed");
    fuse_init(h);
    rig_close(h);
    rig_eject(r);
}

static void a_slow_bus_changes_nothing(void)
{
    struct rig_options o = alone;
    struct rig *r;
    struct handle *h;

    o.slow_bus = TRUE;
    r = rig_up(&o);
    h = rig_open(r);
    fuse_init(h);
    CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_QUERY_STOP_DEVICE)), "stop refused");
    CHECK(NT_SUCCESS(rig_pnp(r, IRP_MN_STOP_DEVICE)), "stop failed");
    CHECK(NT_SUCCESS(rig_start(r)), "restart failed");
    fuse_init(h);
    CHECK(answered(getattr(h)), "no answer");
    rig_close(h);
    rig_eject(r);
}

static void several_devices_do_not_know_of_each_other(void)
{
    struct rig *r[3];
    struct handle *h[3];

    for (int i = 0; i < 3; i++) {
        struct rig_options o = {.device = {.tag = i == 0 ? "one" : i == 1 ? "two" : "three"}};

        r[i] = rig_up(&o);
        h[i] = rig_open(r[i]);
        fuse_init(h[i]);
    }
    rig_close(h[1]);
    rig_eject(r[1]);
    CHECK(NT_SUCCESS(getattr(h[0])), "the first stopped working");
    CHECK(NT_SUCCESS(getattr(h[2])), "the third stopped working");
    rig_yank(r[0]);
    CHECK(NT_SUCCESS(getattr(h[2])), "the third stopped working");
    rig_close(h[0]);
    rig_remove(r[0]);
    rig_close(h[2]);
    rig_eject(r[2]);
}

static void a_device_that_comes_back_has_a_later_epoch(void)
{
    uint64_t epoch = 0;

    for (int i = 0; i < 3; i++) {
        struct rig *r = rig_up(&alone);
        struct handle *h = rig_open(r);

        CHECK(rig_epoch(h) > epoch, "the epoch went back");
        epoch = rig_epoch(h);
        rig_close(h);
        rig_eject(r);
    }
}

static void unknown_requests_are_passed_down_with_their_status(void)
{
    static const UCHAR minors[] = {IRP_MN_QUERY_DEVICE_TEXT,
                                   IRP_MN_QUERY_ID,
                                   IRP_MN_QUERY_BUS_INFORMATION,
                                   IRP_MN_QUERY_RESOURCES,
                                   0x19,
                                   0x7f};
    struct rig *r = rig_up(&alone);

    for (size_t i = 0; i < RTL_NUMBER_OF(minors); i++)
        CHECK(rig_pnp(r, minors[i]) == STATUS_NOT_SUPPORTED, "request %u changed", minors[i]);
    CHECK(nt_pdo_of(r->pdo)->seen >> IRP_MN_QUERY_ID & 1, "not passed down");
    rig_eject(r);
}

static void a_handle_that_is_open_when_the_device_goes_still_closes(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r), *other = rig_open_as(r, RIG_USER2, NULL);

    fuse_init(h);
    rig_yank(r);
    rig_close(other);
    rig_close(h);
    rig_remove(r);
}

static void start_and_removal_at_every_speed(void)
{
    for (int i = 0; i < 20; i++) {
        struct rig *r = rig_up(&alone);
        struct handle *h = rig_open(r);
        struct rig_io *io;

        fuse_init(h);
        io = fuse_send_getattr(h);
        if (i & 1)
            clk_sleep_ms(1);
        rig_cleanup(h);
        (void)rig_io_wait(io, 3000);
        rig_io_free(io);
        rig_close(h);
        rig_eject(r);
    }
}

const struct scenario scenarios_pnp[] = {
    {"a device starts, talks and is removed", a_device_starts_talks_and_is_removed, ANYWHERE},
    {"a device that never starts is removed", a_device_that_never_starts_is_removed, ANYWHERE},
    {"a start that the bus refuses fails and leaves nothing",
     a_start_that_the_bus_refuses_fails_and_leaves_nothing, ANYWHERE},
    {"a stopped device starts again with a new epoch",
     a_stopped_device_starts_again_with_a_new_epoch, ANYWHERE},
    {"requests wait while a stop is pending and go on when it is called off",
     requests_wait_while_a_stop_is_pending_and_go_on_when_it_is_called_off, ANYWHERE},
    {"requests that wait for a stop end with it", requests_that_wait_for_a_stop_end_with_it,
     ANYWHERE},
    {"a removal that is called off changes nothing", a_removal_that_is_called_off_changes_nothing,
     ANYWHERE},
    {"a cancel without a query is harmless", a_cancel_without_a_query_is_harmless, ANYWHERE},
    {"an idle device may be pulled out", an_idle_device_may_be_pulled_out, ANYWHERE},
    {"a device that never started may be pulled out", a_device_that_never_started_may_be_pulled_out,
     ANYWHERE},
    {"a busy device may be pulled out", a_busy_device_may_be_pulled_out, ANYWHERE},
    {"a stop ends requests in flight", stop_ends_requests_in_flight, ANYWHERE},
    {"a slow bus changes nothing", a_slow_bus_changes_nothing, ANYWHERE},
    {"several devices do not know of each other", several_devices_do_not_know_of_each_other,
     ANYWHERE},
    {"a device that comes back has a later epoch", a_device_that_comes_back_has_a_later_epoch,
     ANYWHERE},
    {"unknown PnP requests are passed down with their status",
     unknown_requests_are_passed_down_with_their_status, ANYWHERE},
    {"a handle that is open when the device goes still closes",
     a_handle_that_is_open_when_the_device_goes_still_closes, ANYWHERE},
    {"start, close with a request in flight, and removal, twenty times",
     start_and_removal_at_every_speed, ANYWHERE},
};
const unsigned n_scenarios_pnp = RTL_NUMBER_OF(scenarios_pnp);
