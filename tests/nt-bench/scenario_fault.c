// SPDX-License-Identifier: BSD-3-Clause
/*
 * scenario_fault.c - a device that lies, stalls, breaks or dies
 *
 * The guest may lose its share, and gets a log entry; requests end, nothing leaks, nothing hangs.
 */
#include "tests/nt-bench/fuse.h"

static const struct rig_options alone = {.device = {.no_daemon = true}};

#define FEW 8

static void send_few(struct handle *h, struct rig_io **io)
{
    for (int i = 0; i < FEW; i++)
        io[i] = fuse_send_getattr(h);
}

static void end_few(struct rig_io **io, BOOLEAN must_fail)
{
    for (int i = 0; i < FEW; i++) {
        NTSTATUS status = rig_io_wait(io[i], 8000);

        /* a device without a daemon answers GETATTR with ENOSYS; a real one has a daemon */
        CHECK(!NT_SUCCESS(status) || (bench_guest() && !must_fail), "request %d succeeded", i);
        CHECK(!must_fail || (uint32_t)status != viofs_status(-38), "request %d was answered", i);
        rig_io_free(io[i]);
    }
}

/* The device is reset and runs again, and a session can be opened. */
static void expect_recovery(struct rig *r, struct handle *h, uint32_t resets)
{
    NTSTATUS status;

    for (int i = 0; i < 400; i++) {
        if (vdev_resets(r->device) > resets && vdev_running(r->device))
            break;
        clk_sleep_ms(5);
    }
    CHECK(vdev_resets(r->device) > resets, "the device was not reset");
    for (int i = 0; i < 200; i++) {
        status = fuse_try_init(h);
        if (NT_SUCCESS(status))
            return;
        clk_sleep_ms(5);
    }
    CHECK(NT_SUCCESS(status), "no session after the fault: %#x", status);
}

/* A fault of the ring: the device is reset, the fault is logged, and when it is over life goes on. */
static void ring_fault(enum vdev_fault fault)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    uint64_t epoch = rig_epoch(h);
    uint32_t resets = vdev_resets(r->device);
    struct rig_io *io[FEW];

    fuse_init(h);
    clk_speed(20);
    nt_error_logs = 0;
    vdev_fault(r->device, fault);
    send_few(h, io);
    end_few(io, FALSE);
    vdev_fault(r->device, FAULT_NONE);
    vdev_release(r->device, 0);
    expect_recovery(r, h, resets);
    CHECK(nt_error_logs > 0, "no entry in the log");
    CHECK(rig_epoch(h) > epoch, "the epoch did not grow");
    rig_close(h);
    rig_eject(r);
}

static void an_id_beyond_the_ring_resets_the_device(void)
{
    ring_fault(FAULT_USED_ID_RANGE);
}

static void an_id_that_is_not_in_flight_resets_the_device(void)
{
    ring_fault(FAULT_USED_ID_IDLE);
}

static void a_chain_that_comes_back_twice_resets_the_device(void)
{
    ring_fault(FAULT_USED_TWICE);
}

static void a_length_beyond_the_buffer_resets_the_device(void)
{
    ring_fault(FAULT_USED_LEN_LONG);
}

static void a_used_index_that_jumps_resets_the_device(void)
{
    ring_fault(FAULT_USED_JUMP);
}

static void a_device_that_asks_for_it_is_reset(void)
{
    ring_fault(FAULT_NEEDS_RESET);
}

/* A fault of one reply: that request fails, the session goes on. */
static void reply_fault(enum vdev_fault fault)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    uint64_t epoch = rig_epoch(h);
    uint32_t resets = vdev_resets(r->device);
    struct rig_io *io[FEW];

    fuse_init(h);
    vdev_fault(r->device, fault);
    send_few(h, io);
    end_few(io, TRUE);
    vdev_fault(r->device, FAULT_NONE);
    send_few(h, io);
    end_few(io, FALSE);
    CHECK(vdev_resets(r->device) == resets && rig_epoch(h) == epoch, "the device was reset");
    rig_close(h);
    rig_eject(r);
}

static void a_reply_too_short_for_a_header_fails_one_request(void)
{
    reply_fault(FAULT_USED_LEN_SHORT);
}

static void an_empty_reply_fails_one_request(void)
{
    reply_fault(FAULT_USED_LEN_ZERO);
}

static void a_reply_whose_header_lies_about_its_length_fails_one_request(void)
{
    reply_fault(FAULT_REPLY_LEN);
}

static void a_reply_to_another_request_fails_one_request(void)
{
    reply_fault(FAULT_REPLY_UNIQUE);
}

static void a_reply_with_an_impossible_error_fails_one_request(void)
{
    reply_fault(FAULT_REPLY_ERROR);
}

static void other_projects_callers_survive_bad_replies(void)
{
    static const enum vdev_fault faults[] = {FAULT_USED_LEN_SHORT, FAULT_USED_LEN_ZERO,
                                             FAULT_REPLY_LEN, FAULT_REPLY_UNIQUE,
                                             FAULT_REPLY_ERROR};
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct fuse_getattr_in in = {0};
    uint8_t reply[4096];
    struct fuse_msg m;

    fuse_init(h);
    for (size_t i = 0; i < RTL_NUMBER_OF(faults); i++) {
        vdev_fault(r->device, faults[i]);
        fuse_msg(&m, FUSE_GETATTR, FUSE_ROOT_ID, &in, sizeof(in));
        (void)fuse_compat(h, &m, reply, 120, NULL);
        (void)fuse_compat(h, &m, reply, sizeof(reply), NULL);
    }
    vdev_fault(r->device, FAULT_NONE);
    rig_close(h);
    rig_eject(r);
}

/* ---- stalls ---------------------------------------------------------------------------------- */

static void a_device_that_never_answers_is_reported_and_requests_are_let_go(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io[FEW];

    fuse_init(h);
    vdev_fault(r->device, FAULT_HOLD);
    send_few(h, io);
    CHECK(vdev_wait_held(r->device, FEW), "not with the device");
    CHECK(!(rig_query(h).flags & VIOFS_QUERY_STALLED), "stalled at once");
    nt_error_logs = 0;
    clk_speed(50);
    for (int i = 0; i < FEW; i++) {
        CHECK(rig_io_wait(io[i], 3000) == STATUS_IO_TIMEOUT, "%#x", io[i]->status);
        rig_io_free(io[i]);
    }
    CHECK(rig_query(h).flags & VIOFS_QUERY_STALLED, "not reported");
    CHECK(nt_error_logs > 0, "no entry in the log");
    vdev_fault(r->device, FAULT_NONE);
    vdev_release(r->device, 0);
    send_few(h, io);
    end_few(io, FALSE);
    clk_sleep_ms(100);
    CHECK(!(rig_query(h).flags & VIOFS_QUERY_STALLED), "still reported");
    rig_close(h);
    rig_eject(r);
}

/* The change feed's request may be out for days while the share is idle. */
static void a_request_that_waits_for_news_is_no_stall(void)
{
    enum { VIOFS_EVENTS = 0x76660008 }; /* lib/fuse/fuse_proto.h */
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct fuse_msg m;
    struct rig_io *io;
    uint64_t in = 0;

    fuse_init(h);
    vdev_fault(r->device, FAULT_HOLD);
    fuse_msg(&m, VIOFS_EVENTS, FUSE_ROOT_ID, &in, sizeof(in));
    io = rig_io_new(h, IOCTL_VIOFS_REQUEST, &m, m.h.len, 4096, NULL);
    CHECK(rig_io_send(io) == STATUS_PENDING, "not pending");
    CHECK(vdev_wait_held(r->device, 1), "not with the device");
    nt_error_logs = 0;
    clk_speed(50);
    clk_sleep_ms(800); /* forty seconds of its time */
    CHECK(!rig_io_done(io), "let go");
    CHECK(!(rig_query(h).flags & VIOFS_QUERY_STALLED), "reported");
    CHECK(nt_error_logs == 0, "%d entries in the log", (int)nt_error_logs);
    vdev_fault(r->device, FAULT_NONE);
    vdev_release(r->device, 0);
    (void)rig_io_wait(io, 8000);
    rig_io_free(io);
    rig_close(h);
    rig_eject(r);
}

static void a_reset_that_never_ends_fails_the_device(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io[FEW];

    fuse_init(h);
    clk_speed(50);
    vdev_fault(r->device, FAULT_HOLD);
    send_few(h, io);
    CHECK(vdev_wait_held(r->device, FEW), "not with the device");
    vdev_fault(r->device, FAULT_STUCK_RESET);
    vdev_needs_reset(r->device);
    for (int i = 0; i < FEW; i++) {
        CHECK(!NT_SUCCESS(rig_io_wait(io[i], 8000)), "succeeded");
        rig_io_free(io[i]);
    }
    CHECK(!NT_SUCCESS(fuse_try_init(h)), "a session on a device that cannot be reset");
    rig_close(h);
    rig_remove(r);
}

static void a_device_that_breaks_now_and_then_is_recovered_each_time(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);

    fuse_init(h);
    clk_speed(50);
    for (int i = 0; i < 12; i++) {
        uint32_t resets = vdev_resets(r->device);

        clk_sleep_ms(200); /* ten seconds of its time */
        vdev_needs_reset(r->device);
        expect_recovery(r, h, resets);
    }
    rig_close(h);
    rig_eject(r);
}

static void a_device_that_breaks_as_soon_as_it_runs_is_given_up(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    NTSTATUS status = STATUS_SUCCESS;

    fuse_init(h);
    for (int i = 0; i < 5; i++) {
        uint32_t resets = vdev_resets(r->device);

        vdev_needs_reset(r->device);
        expect_recovery(r, h, resets);
    }
    vdev_needs_reset(r->device);
    for (int i = 0; i < 400 && vdev_running(r->device); i++)
        clk_sleep_ms(5);
    for (int i = 0; i < 20; i++) {
        status = fuse_try_init(h);
        CHECK(!NT_SUCCESS(status), "a session on a device that was given up");
        clk_sleep_ms(5);
    }
    rig_close(h);
    rig_remove(r);
}

static void a_killed_daemon_costs_the_share_and_nothing_else(void)
{
    static const struct rig_options o = {.device = {.mortal = true}};
    struct rig *r = rig_up(&o);
    struct handle *h = rig_open(r);
    struct rig_io *io[FEW];

    fuse_init(h);
    share_kill_daemon(vdev_options(r->device)->tag);
    send_few(h, io);
    clk_speed(50);
    for (int i = 0; i < FEW; i++) {
        CHECK(rig_io_wait(io[i], 5000) == STATUS_IO_TIMEOUT, "%#x", io[i]->status);
        rig_io_free(io[i]);
    }
    rig_close(h);
    rig_eject(r);
}

static void a_killed_daemon_does_not_keep_the_machine_from_sleeping(void)
{
    static const struct rig_options o = {.device = {.mortal = true}};
    struct rig *r = rig_up(&o);
    struct handle *h = rig_open(r);
    struct rig_io *io[FEW];

    fuse_init(h);
    share_kill_daemon(vdev_options(r->device)->tag);
    send_few(h, io);
    clk_speed(50);
    CHECK(NT_SUCCESS(rig_power(r, PowerSystemSleeping3)), "going to sleep fails");
    for (int i = 0; i < FEW; i++) {
        CHECK(!NT_SUCCESS(rig_io_wait(io[i], 3000)), "succeeded");
        rig_io_free(io[i]);
    }
    CHECK(NT_SUCCESS(rig_power(r, PowerSystemWorking)), "waking up fails");
    rig_close(h);
    rig_remove(r);
}

static void interrupts_with_nothing_to_tell_are_harmless(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    struct rig_io *io[FEW];

    fuse_init(h);
    vdev_fault(r->device, FAULT_SPURIOUS);
    send_few(h, io);
    vdev_fault(r->device, FAULT_SPURIOUS);
    end_few(io, FALSE);
    rig_close(h);
    rig_eject(r);
}

static void garbage_in_the_configuration_is_harmless(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    uint8_t garbage[40];
    struct rig_io *io[FEW];

    fuse_init(h);
    RtlFillMemory(garbage, sizeof(garbage), 0xff);
    for (int i = 0; i < 10; i++)
        vdev_config_change(r->device, garbage, sizeof(garbage));
    send_few(h, io);
    end_few(io, FALSE);
    rig_close(h);
    rig_eject(r);
}

/* ---- lies at the start ----------------------------------------------------------------------- */

static void start_fails(enum vdev_lie lie)
{
    struct rig *r = rig_plug(&alone);
    NTSTATUS status;

    clk_speed(50);
    vdev_lie(r->device, lie);
    status = rig_start(r);
    CHECK(!NT_SUCCESS(status), "started: %#x", status);
    CHECK(!vdev_running(r->device), "the device runs");
    rig_remove(r);
}

static void a_device_without_queues_does_not_start(void)
{
    start_fails(LIE_NO_QUEUES);
}

static void a_queue_without_entries_does_not_start(void)
{
    start_fails(LIE_QUEUE_SIZE_ZERO);
}

static void a_doorbell_outside_the_bar_does_not_start(void)
{
    start_fails(LIE_NOTIFY_FAR);
}

static void a_device_that_refuses_the_features_does_not_start(void)
{
    start_fails(LIE_FEATURES_REFUSED);
}

static void a_device_without_version_1_does_not_start(void)
{
    start_fails(LIE_NO_VERSION_1);
}

static void a_capability_in_a_bar_that_is_none_does_not_start(void)
{
    start_fails(LIE_CAP_BAR);
}

static void a_capability_beyond_its_bar_does_not_start(void)
{
    start_fails(LIE_CAP_LENGTH);
}

static void a_device_without_a_doorbell_capability_does_not_start(void)
{
    start_fails(LIE_CAP_MISSING);
}

static void a_loop_of_capabilities_ends(void)
{
    struct rig *r = rig_plug(&alone);

    vdev_lie(r->device, LIE_CAP_LOOP);
    (void)rig_start(r);
    rig_remove(r);
}

static void four_billion_queues_are_not_believed(void)
{
    struct rig *r = rig_plug(&alone);

    vdev_lie(r->device, LIE_MANY_QUEUES);
    if (NT_SUCCESS(rig_start(r))) {
        struct handle *h = rig_open(r);

        CHECK(rig_query(h).num_queues <= 64, "%u queues", rig_query(h).num_queues);
        rig_close(h);
    }
    rig_remove(r);
}

static void a_queue_size_that_is_no_power_of_two_is_no_trouble(void)
{
    struct rig *r = rig_plug(&alone);

    vdev_lie(r->device, LIE_QUEUE_SIZE_ODD);
    (void)rig_start(r);
    rig_remove(r);
}

static void a_device_that_gives_no_vectors_does_no_harm(void)
{
    struct rig *r = rig_plug(&alone);

    vdev_lie(r->device, LIE_NO_VECTOR);
    (void)rig_start(r);
    rig_remove(r);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static void talk(const struct rig_options *o)
{
    struct rig *r = rig_up(o);
    struct handle *h = rig_open(r);

    fuse_init(h);
    for (int i = 0; i < 20; i++) {
        struct rig_io *io = fuse_send_getattr(h);

        CHECK(NT_SUCCESS(rig_io_wait(io, 2000)), "%#x", io->status);
        rig_io_free(io);
    }
    rig_close(h);
    rig_eject(r);
}

static void any_number_of_messages_will_do(void)
{
    for (ULONG n = 1; n <= 4; n++) {
        struct rig_options o = {.device = {.request_queues = 2}, .messages = n};

        talk(&o);
    }
}

static void a_line_will_do(void)
{
    struct rig_options o = {.device = {.request_queues = 2}, .no_messages = TRUE};

    talk(&o);
}

static void a_device_on_a_line_may_be_pulled_out(void)
{
    struct rig_options o = {.device = {.no_daemon = true}, .no_messages = TRUE};
    struct rig *r = rig_up(&o);
    struct handle *h = rig_open(r);
    struct rig_io *io[FEW];

    fuse_init(h);
    vdev_fault(r->device, FAULT_HOLD);
    send_few(h, io);
    rig_yank(r);
    end_few(io, TRUE);
    rig_close(h);
    rig_remove(r);
}

const struct scenario scenarios_fault[] = {
    {"an id beyond the ring resets the device", an_id_beyond_the_ring_resets_the_device,
     MODEL_ONLY},
    {"an id that is not in flight resets the device", an_id_that_is_not_in_flight_resets_the_device,
     MODEL_ONLY},
    {"a chain that comes back twice resets the device",
     a_chain_that_comes_back_twice_resets_the_device, MODEL_ONLY},
    {"a length beyond the buffer resets the device", a_length_beyond_the_buffer_resets_the_device,
     MODEL_ONLY},
    {"a used index that jumps resets the device", a_used_index_that_jumps_resets_the_device,
     MODEL_ONLY},
    {"a device that asks for it is reset", a_device_that_asks_for_it_is_reset, MODEL_ONLY},
    {"a reply too short for a header fails one request",
     a_reply_too_short_for_a_header_fails_one_request, MODEL_ONLY},
    {"an empty reply fails one request", an_empty_reply_fails_one_request, MODEL_ONLY},
    {"a reply whose header lies about its length fails one request",
     a_reply_whose_header_lies_about_its_length_fails_one_request, MODEL_ONLY},
    {"a reply to another request fails one request", a_reply_to_another_request_fails_one_request,
     MODEL_ONLY},
    {"a reply with an impossible error fails one request",
     a_reply_with_an_impossible_error_fails_one_request, MODEL_ONLY},
    {"other projects' callers survive bad replies", other_projects_callers_survive_bad_replies,
     MODEL_ONLY},
    {"a device that never answers is reported, and requests are let go",
     a_device_that_never_answers_is_reported_and_requests_are_let_go, ANYWHERE},
    {"a request that waits for news is no stall", a_request_that_waits_for_news_is_no_stall,
     ANYWHERE},
    {"a device that breaks now and then is recovered each time",
     a_device_that_breaks_now_and_then_is_recovered_each_time, MODEL_ONLY},
    {"a device that breaks as soon as it runs is given up",
     a_device_that_breaks_as_soon_as_it_runs_is_given_up, MODEL_ONLY},
    {"a reset that never ends fails the device", a_reset_that_never_ends_fails_the_device,
     MODEL_ONLY},
    {"a killed daemon costs the share and nothing else",
     a_killed_daemon_costs_the_share_and_nothing_else, ANYWHERE},
    {"a killed daemon does not keep the machine from sleeping",
     a_killed_daemon_does_not_keep_the_machine_from_sleeping, ANYWHERE},
    {"interrupts with nothing to tell are harmless", interrupts_with_nothing_to_tell_are_harmless,
     MODEL_ONLY},
    {"garbage in the configuration is harmless", garbage_in_the_configuration_is_harmless,
     MODEL_ONLY},
    {"a device without queues does not start", a_device_without_queues_does_not_start, MODEL_ONLY},
    {"a queue without entries does not start", a_queue_without_entries_does_not_start, MODEL_ONLY},
    {"a doorbell outside the BAR does not start", a_doorbell_outside_the_bar_does_not_start,
     MODEL_ONLY},
    {"a device that refuses the features does not start",
     a_device_that_refuses_the_features_does_not_start, MODEL_ONLY},
    {"a device without VERSION_1 does not start", a_device_without_version_1_does_not_start,
     MODEL_ONLY},
    {"a capability in a BAR that is none does not start",
     a_capability_in_a_bar_that_is_none_does_not_start, MODEL_ONLY},
    {"a capability beyond its BAR does not start", a_capability_beyond_its_bar_does_not_start,
     MODEL_ONLY},
    {"a device without a doorbell capability does not start",
     a_device_without_a_doorbell_capability_does_not_start, MODEL_ONLY},
    {"a loop of capabilities ends", a_loop_of_capabilities_ends, MODEL_ONLY},
    {"four billion queues are not believed", four_billion_queues_are_not_believed, MODEL_ONLY},
    {"a queue size that is no power of two is no trouble",
     a_queue_size_that_is_no_power_of_two_is_no_trouble, MODEL_ONLY},
    {"a device that gives no vectors does no harm", a_device_that_gives_no_vectors_does_no_harm,
     MODEL_ONLY},
    {"any number of messages will do", any_number_of_messages_will_do, ANYWHERE},
    {"a line will do", a_line_will_do, ANYWHERE},
    {"a device on a line may be pulled out", a_device_on_a_line_may_be_pulled_out, ANYWHERE},
};
const unsigned n_scenarios_fault = RTL_NUMBER_OF(scenarios_fault);
