// SPDX-License-Identifier: BSD-3-Clause
/*
 * scenario_cancel.c - requests that are cancelled, and handles that are closed, at every moment
 */
#include "tests/nt-bench/fuse.h"

static const struct rig_options alone = {.device = {.no_daemon = true}};

static struct rig_io *send_read(struct handle *h, ULONG n)
{
    struct fuse_msg m;
    struct rig_io *io;

    fuse_read_msg(&m, FUSE_ROOT_ID, 1, 0, n);
    io = rig_io_new(h, IOCTL_VIOFS_REQUEST, &m, m.h.len, n, NULL);
    (void)rig_io_send(io);
    return io;
}

static BOOLEAN sent(struct rig *r, uint32_t opcode)
{
    static uint32_t opcodes[4096];
    uint32_t n = vdev_opcodes(r->device, opcodes, RTL_NUMBER_OF(opcodes));

    for (uint32_t i = 0; i < n && i < RTL_NUMBER_OF(opcodes); i++)
        if (opcodes[i] == opcode)
            return TRUE;
    return FALSE;
}

static BOOLEAN wait_sent(struct rig *r, uint32_t opcode)
{
    for (int ms = 0; ms < 500; ms++) {
        if (sent(r, opcode))
            return TRUE;
        clk_sleep_ms(1);
    }
    return FALSE;
}

static void free_all(struct rig_io **io, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        (void)rig_io_wait(io[i], 3000);
        rig_io_free(io[i]);
    }
}

static void a_request_in_line_is_cancelled_at_once(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io[140];

    fuse_init(h);
    vdev_fault(r->device, FAULT_HOLD);
    for (int i = 0; i < 140; i++)
        io[i] = fuse_send_getattr(h);
    CHECK(vdev_wait_held(r->device, 128), "not with the device");
    for (int i = 130; i < 140; i++) {
        rig_io_cancel(io[i]);
        CHECK(rig_io_done(io[i]) && io[i]->status == STATUS_CANCELLED, "request %d: %#x", i,
              io[i]->status);
    }
    vdev_fault(r->device, FAULT_NONE);
    vdev_release(r->device, 0);
    free_all(io, 140);
    rig_close(h);
    rig_eject(r);
}

static void a_request_whose_buffers_are_the_drivers_is_cancelled_at_once(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io;

    fuse_init(h);
    vdev_fault(r->device, FAULT_HOLD);
    io = fuse_send_getattr(h);
    CHECK(vdev_wait_held(r->device, 1), "not with the device");
    rig_io_cancel(io);
    CHECK(rig_io_done(io) && io->status == STATUS_CANCELLED, "%#x", io->status);
    rig_io_free(io);
    vdev_fault(r->device, FAULT_NONE);
    vdev_release(r->device, 0);
    io = fuse_send_getattr(h);
    (void)rig_io_wait(io, 1000);
    rig_io_free(io);
    rig_close(h);
    rig_eject(r);
}

static void a_request_on_the_callers_pages_waits_for_the_device(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io;

    fuse_init(h);
    vdev_fault(r->device, FAULT_HOLD);
    io = send_read(h, 65536);
    CHECK(vdev_wait_held(r->device, 1), "not with the device");
    rig_io_cancel(io);
    CHECK(wait_sent(r, FUSE_INTERRUPT), "the host was not asked to hurry");
    CHECK(!rig_io_done(io), "completed while the device may write to the caller's pages");
    vdev_fault(r->device, FAULT_NONE);
    vdev_release(r->device, 0);
    (void)rig_io_wait(io, 1000);
    rig_io_free(io);
    rig_close(h);
    rig_eject(r);
}

static void a_cancelled_request_ends_when_the_device_is_pulled_out(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io;

    fuse_init(h);
    vdev_fault(r->device, FAULT_HOLD);
    io = send_read(h, 65536);
    CHECK(vdev_wait_held(r->device, 1), "not with the device");
    rig_io_cancel(io);
    rig_yank(r);
    CHECK(!NT_SUCCESS(rig_io_wait(io, 1000)), "succeeded");
    rig_io_free(io);
    rig_close(h);
    rig_remove(r);
}

static void cancelling_what_is_done_is_harmless(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io;

    fuse_init(h);
    io = fuse_send_getattr(h);
    (void)rig_io_wait(io, 1000);
    rig_io_cancel(io);
    rig_io_free(io);
    rig_close(h);
    rig_eject(r);
}

/* ---- races ----------------------------------------------------------------------------------- */

static void cancel_at_random(void *ctx, unsigned number)
{
    struct handle *h = ctx;
    ULONG seed = number * 7919 + 1;

    for (int i = 0; i < 250; i++) {
        struct rig_io *io = rig_random(&seed) % 3 ? fuse_send_getattr(h) : send_read(h, 20000);
        ULONG pause = rig_random(&seed) % 200;

        for (ULONG spin = 0; spin < pause; spin++)
            thr_yield();
        if (pause % 4)
            rig_io_cancel(io);
        (void)rig_io_wait(io, 5000);
        rig_io_free(io);
    }
}

static void cancels_race_with_completions(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);

    fuse_init(h);
    rig_together(3, cancel_at_random, h);
    rig_close(h);
    rig_eject(r);
}

static void cancels_race_with_completions_of_a_real_daemon(void)
{
    struct rig_options o = {.device = {.request_queues = 2}};
    struct rig *r = rig_up(&o);
    struct handle *h = rig_open(r);

    fuse_init(h);
    rig_together(3, cancel_at_random, h);
    rig_close(h);
    rig_eject(r);
}

struct storm {
    struct rig *r;
    struct handle *h;
    struct rig_io *io[64];
};

static void storm_member(void *ctx, unsigned number)
{
    struct storm *s = ctx;

    if (number == 0)
        rig_cleanup(s->h);
    else
        for (int i = 0; i < 64; i++)
            rig_io_cancel(s->io[i]);
}

static void cleanup_races_with_cancels(void)
{
    struct rig *r = rig_up(&alone);

    clk_speed(10);
    for (int round = 0; round < 10; round++) {
        struct storm s = {.r = r, .h = rig_open(r)};

        fuse_init(s.h);
        vdev_fault(r->device, FAULT_HOLD);
        for (int i = 0; i < 64; i++)
            s.io[i] = i % 5 ? fuse_send_getattr(s.h) : send_read(s.h, 8192);
        CHECK(vdev_wait_held(r->device, 64), "not with the device");
        vdev_fault(r->device, FAULT_NONE);
        if (round & 1)
            vdev_release(r->device, 0);
        rig_together(2, storm_member, &s);
        vdev_release(r->device, 0);
        free_all(s.io, 64);
        rig_close(s.h);
    }
    rig_eject(r);
}

/* ---- owners ---------------------------------------------------------------------------------- */

static void cleanup_ends_the_session_and_its_requests(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io[10];

    fuse_init(h);
    vdev_fault(r->device, FAULT_HOLD);
    for (int i = 0; i < 10; i++)
        io[i] = fuse_send_getattr(h);
    CHECK(vdev_wait_held(r->device, 10), "not with the device");
    clk_speed(20);
    rig_cleanup(h);
    for (int i = 0; i < 10; i++) {
        CHECK(rig_io_wait(io[i], 1000) == STATUS_CANCELLED, "%#x", io[i]->status);
        rig_io_free(io[i]);
    }
    rig_close(h);
    vdev_fault(r->device, FAULT_NONE);
    vdev_release(r->device, 0);
    CHECK(wait_sent(r, FUSE_DESTROY), "DESTROY was not sent");
    rig_eject(r);
}

static void a_session_has_one_owner(void)
{
    struct rig *r = rig_up(NULL);
    struct handle *h = rig_open(r), *other = rig_open_as(r, RIG_USER2, NULL);
    struct fuse_getattr_in in = {0};
    struct fuse_attr_out out;
    struct fuse_msg m;
    WCHAR name[40];

    fuse_init(h);
    CHECK(fuse_try_init(other) == STATUS_SHARING_VIOLATION, "a second INIT");
    fuse_msg(&m, FUSE_GETATTR, FUSE_ROOT_ID, &in, sizeof(in));
    CHECK(fuse_call(other, &m, &out, sizeof(out), NULL) == STATUS_SHARING_VIOLATION, "a message");
    CHECK(NT_SUCCESS(
              rig_ioctl(other, IOCTL_VIRTFS_GET_VOLUME_NAME, NULL, 0, name, sizeof(name), NULL)),
          "the tag is not open to all");
    CHECK((rig_query(other).flags & (VIOFS_QUERY_OWNED | VIOFS_QUERY_MINE)) == VIOFS_QUERY_OWNED,
          "flags of the other");
    CHECK((rig_query(h).flags & (VIOFS_QUERY_OWNED | VIOFS_QUERY_MINE)) ==
              (VIOFS_QUERY_OWNED | VIOFS_QUERY_MINE),
          "flags of the owner");
    rig_close(h);
    CHECK(sent(r, FUSE_DESTROY), "the daemon was not told");
    CHECK(!(rig_query(other).flags & VIOFS_QUERY_OWNED), "still owned");
    fuse_init(other);
    CHECK(NT_SUCCESS(fuse_call(other, &m, &out, sizeof(out), NULL)), "the next owner fails");
    rig_close(other);
    rig_eject(r);
}

static void before_init_there_is_no_session(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io = fuse_send_getattr(h);

    CHECK(!NT_SUCCESS(rig_io_wait(io, 1000)), "a message before INIT");
    CHECK(vdev_queue_count(r->device, 1) == 0, "went to the device");
    rig_io_free(io);
    rig_close(h);
    rig_eject(r);
}

static void another_handle_may_close_without_harm(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r), *other = rig_open(r);
    struct rig_io *io;

    fuse_init(h);
    rig_close(other);
    CHECK(!sent(r, FUSE_DESTROY), "the session ended with another's handle");
    io = fuse_send_getattr(h);
    (void)rig_io_wait(io, 1000);
    rig_io_free(io);
    rig_close(h);
    rig_eject(r);
}

const struct scenario scenarios_cancel[] = {
    {"a request in line is cancelled at once", a_request_in_line_is_cancelled_at_once, ANYWHERE},
    {"a request whose buffers are the driver's is cancelled at once",
     a_request_whose_buffers_are_the_drivers_is_cancelled_at_once, ANYWHERE},
    {"a request on the caller's pages waits for the device",
     a_request_on_the_callers_pages_waits_for_the_device, ANYWHERE},
    {"a cancelled request ends when the device is pulled out",
     a_cancelled_request_ends_when_the_device_is_pulled_out, ANYWHERE},
    {"cancelling what is done is harmless", cancelling_what_is_done_is_harmless, ANYWHERE},
    {"cancels race with completions", cancels_race_with_completions, ANYWHERE},
    {"cancels race with completions of a real daemon",
     cancels_race_with_completions_of_a_real_daemon, ANYWHERE},
    {"cleanup races with cancels", cleanup_races_with_cancels, ANYWHERE},
    {"cleanup ends the session and its requests", cleanup_ends_the_session_and_its_requests,
     ANYWHERE},
    {"a session has one owner", a_session_has_one_owner, ANYWHERE},
    {"before INIT there is no session", before_init_there_is_no_session, ANYWHERE},
    {"another handle may close without harm", another_handle_may_close_without_harm, ANYWHERE},
};
const unsigned n_scenarios_cancel = RTL_NUMBER_OF(scenarios_cancel);
