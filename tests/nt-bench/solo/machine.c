// SPDX-License-Identifier: BSD-3-Clause
/*
 * machine.c - one machine from power-on to removal, step by step as a script says
 *
 * Theory of operation
 *
 *   A script is bytes: a few for the set-up, then steps of one byte and its arguments; what a script does not
 *   say is 0. Everything a driver can meet is a step: programs open, send, cancel and close; the PnP and
 *   power managers act; the device takes, answers, lies, scribbles, interrupts; allocations fail; time
 *   passes; processors overtake each other.
 *
 *   Each mode has its own table of steps: with a hostile device the callers are well behaved, and the other
 *   way round. A device that is not hostile answers everything, and then a request that does not
 *   end is a fault of the driver.
 *
 *   At the end everybody who has a right to leaves: handles are closed, the device goes. Then every
 *   request must have ended, and nothing may be left.
 *
 * Ownership: one machine at a time.   Locks: none, one thread.
 */
#include "tests/nt-bench/solo/machine.h"

#define MOST_STEPS  160
#define LAST_WAIT_S 60

struct machine solo_machine;

/* ---- the script ------------------------------------------------------------------------------ */

uint8_t script_u8(struct machine *m)
{
    if (m->left == 0)
        return 0;
    m->left--;
    return *m->at++;
}

uint16_t script_u16(struct machine *m)
{
    uint16_t low = script_u8(m);

    return (uint16_t)(low | script_u8(m) << 8);
}

uint32_t script_u32(struct machine *m)
{
    uint32_t low = script_u16(m);

    return low | (uint32_t)script_u16(m) << 16;
}

/* ---- the PnP and power managers -------------------------------------------------------------- */

static void restart(struct machine *m)
{
    if (!NT_SUCCESS(rig_pnp(m->rig, IRP_MN_QUERY_STOP_DEVICE)))
        return;
    clk_sleep_ms(m->pnp_pause);
    (void)rig_pnp(m->rig, IRP_MN_STOP_DEVICE);
    clk_sleep_ms(m->pnp_pause);
    if (!NT_SUCCESS(rig_start(m->rig)))
        m->state = MACHINE_FAILED;
}

static void query_and_cancel(struct machine *m, UCHAR query, UCHAR cancel)
{
    (void)rig_pnp(m->rig, query);
    clk_sleep_ms(m->pnp_pause);
    (void)rig_pnp(m->rig, cancel);
}

static void sleep_and_wake(struct machine *m, SYSTEM_POWER_STATE to)
{
    (void)rig_query_power(m->rig, to);
    (void)rig_power(m->rig, to);
    clk_sleep_ms(m->pnp_pause);
    (void)rig_power(m->rig, PowerSystemWorking);
}

static void surprise(struct machine *m, BOOLEAN pulled_out)
{
    m->state = MACHINE_GONE;
    if (pulled_out)
        rig_yank(m->rig);
    else
        (void)rig_pnp(m->rig, IRP_MN_SURPRISE_REMOVAL);
}

static HOST void manager(void *arg)
{
    struct machine *m = arg;

    switch (m->pnp_what % 8) {
    case 0:
        restart(m);
        break;
    case 1:
        query_and_cancel(m, IRP_MN_QUERY_STOP_DEVICE, IRP_MN_CANCEL_STOP_DEVICE);
        break;
    case 2:
        query_and_cancel(m, IRP_MN_QUERY_REMOVE_DEVICE, IRP_MN_CANCEL_REMOVE_DEVICE);
        break;
    case 3:
        sleep_and_wake(m, PowerSystemSleeping3);
        break;
    case 4:
        sleep_and_wake(m, PowerSystemHibernate);
        break;
    case 5:
        (void)rig_pnp(m->rig, IRP_MN_QUERY_PNP_DEVICE_STATE);
        break;
    case 6:
        query_and_cancel(m, IRP_MN_QUERY_STOP_DEVICE, IRP_MN_CANCEL_STOP_DEVICE);
        (void)rig_pnp(m->rig, IRP_MN_CANCEL_REMOVE_DEVICE);
        break;
    default:
        surprise(m, m->pnp_pause & 1);
    }
    m->pnp_busy = FALSE;
}

static void step_pnp(struct machine *m)
{
    uint8_t what = script_u8(m), pause = script_u8(m);

    if (m->pnp_busy || m->state != MACHINE_STARTED)
        return;
    m->pnp_busy = TRUE;
    m->disturbed = TRUE;
    m->pnp_what = what;
    m->pnp_pause = pause;
    thr_start("PnP manager", manager, m);
}

/* ---- the device ------------------------------------------------------------------------------ */

static void step_serve(struct machine *m)
{
    (void)solo_serve(m->rig->device, script_u8(m) * 8u);
}

static void step_take(struct machine *m)
{
    (void)solo_take(m->rig->device, script_u8(m) % 4);
}

/* An answer, right but for what the script changes. */
static void step_give(struct machine *m)
{
    struct vdev *d = m->rig->device;
    uint8_t which = script_u8(m), how = script_u8(m);
    struct solo_reply r = solo_honest(d, which, how >> 4);

    if (how & 1)
        r.used_len = script_u32(m);
    if (how & 2)
        r.len = script_u32(m);
    if (how & 4)
        r.error = (int32_t)script_u32(m);
    if (how & 8)
        r.id_xor = script_u8(m);
    if ((how & 0xf0) == 0xf0)
        r.unique_xor = 1;
    if ((how & 0xf0) == 0xe0)
        r.word = script_u32(m);
    if ((how & 0xf0) == 0xd0)
        r.with_header = FALSE;
    solo_give(d, which, &r);
}

static void step_publish(struct machine *m)
{
    uint8_t how = script_u8(m);

    if (solo_publish(m->rig->device, how % 4) || (how & 0x80))
        solo_interrupt(m->rig->device, how % 4);
}

static void step_used_index(struct machine *m)
{
    uint8_t queue = script_u8(m) % 4;

    solo_used_index(m->rig->device, queue, script_u16(m));
}

static void step_scribble(struct machine *m)
{
    uint8_t where = script_u8(m);
    uint16_t at = script_u16(m);

    solo_scribble(m->rig->device, where >> 4, where, at, script_u8(m));
}

static void step_interrupt(struct machine *m)
{
    uint8_t which = script_u8(m);

    solo_message(m->rig->device, which & 15);
    solo_line(m->rig->device, which >> 4);
}

static void step_needs_reset(struct machine *m)
{
    m->disturbed = TRUE;
    solo_needs_reset(m->rig->device);
}

static void step_lie(struct machine *m)
{
    struct solo_lie l = {.at = script_u16(m) & 0x3ff};

    l.skip = script_u8(m);
    l.count = script_u8(m);
    l.value = script_u32(m);
    solo_lie(m->rig->device, &l);
}

static void step_stick(struct machine *m)
{
    solo_stick(m->rig->device, script_u8(m) & 1);
}

static void step_unplug(struct machine *m)
{
    if (script_u8(m) == 0xff)
        vdev_unplug(m->rig->device);
}

/* ---- the machine itself ---------------------------------------------------------------------- */

static void step_time(struct machine *m)
{
    uint8_t n = script_u8(m);

    clk_sleep_ms(n < 128 ? n : (n - 127u) * 400u);
}

static void step_settle(struct machine *m)
{
    (void)m;
    solo_settle();
}

static void step_preempt(struct machine *m)
{
    uint8_t n = script_u8(m);

    solo_preempt(n, script_u8(m) % 8);
}

static void step_fail(struct machine *m)
{
    m->disturbed = TRUE;
    fail_after(script_u8(m) % 64);
}

static void step_defer(struct machine *m)
{
    nt_dma_defer = script_u8(m) & 1;
}

typedef void (*step_fn)(struct machine *m);

static const step_fn hostile_device[] = {
    step_send_well, step_send_well, step_send_well, step_give,        step_give,
    step_take,      step_publish,   step_publish,   step_used_index,  step_scribble,
    step_scribble,  step_interrupt, step_lie,       step_needs_reset, step_settle,
    step_time,      step_serve,     step_open,      step_close,       step_cancel,
    step_preempt,   step_stick,     step_pnp,       step_unplug,      step_fail,
};

static const step_fn hostile_caller[] = {
    step_send,   step_send,    step_send,  step_send_well,   step_send_well, step_open,
    step_cancel, step_cancel,  step_close, step_close,       step_serve,     step_serve,
    step_take,   step_publish, step_give,  step_settle,      step_time,      step_preempt,
    step_pnp,    step_fail,    step_defer, step_needs_reset,
};

/* A device that is only slow: chains that it took and did not answer yet. */
static void step_answer(struct machine *m)
{
    struct vdev *d = m->rig->device;
    uint8_t which = script_u8(m);
    struct solo_reply r = solo_honest(d, which % 32, script_u8(m) * 16u);

    if (which & 0x80)
        r = (struct solo_reply){.with_header = true, .used_len = 16, .len = 16, .error = -2};
    if (solo_held(d) > which % 32u && solo_held_opcode(d, which % 32) != 2)
        solo_give(d, which % 32, &r);
}

static step_fn next_step(struct machine *m)
{
    uint8_t n = script_u8(m);
    step_fn f;

    if (m->mode == SOLO_DEVICE)
        return hostile_device[n % RTL_NUMBER_OF(hostile_device)];
    f = hostile_caller[n % RTL_NUMBER_OF(hostile_caller)];
    return f == step_give ? step_answer : f;
}

/* ---- from power-on to removal ---------------------------------------------------------------- */

static ULONG queue_size(uint8_t b)
{
    static const ULONG sizes[] = {4, 8, 1, 2, 16, 32, 64, 3};

    return b == 0xff ? 1024 : sizes[b % 8];
}

static void power_on(struct machine *m)
{
    uint8_t how = script_u8(m), size = script_u8(m), queues = script_u8(m);
    struct rig_options o = {
        .device = {.request_queues = 1 + queues % 3, .queue_size = queue_size(size)},
        .messages = 1 + queues / 4 % 5,
        .no_messages = (how & 1) != 0,
        .slow_bus = (how & 2) != 0,
    };

    o.device.withhold = (how & 4 ? 1ull << 28 : 0) | (how & 8 ? 1ull << 29 : 0);
    o.device.iommu = (how & 16) != 0;
    o.device.bad_tag = (how & 32) != 0;
    m->pulled_out = (how & 64) != 0;
    m->disturbed = m->mode == SOLO_DEVICE;
    m->rig = rig_plug_only(&o);
    if (m->mode == SOLO_DEVICE) {
        for (uint8_t n = script_u8(m) % 8; n > 0; n--) {
            uint8_t at = script_u8(m);

            solo_patch(m->rig->device, at, script_u8(m));
        }
        for (uint8_t n = script_u8(m) % 4; n > 0; n--)
            step_lie(m);
    }
    if (how & 128)
        step_fail(m);
    if (!NT_SUCCESS(rig_add(m->rig)))
        m->state = MACHINE_NONE;
    else
        m->state = NT_SUCCESS(rig_start(m->rig)) ? MACHINE_STARTED : MACHINE_FAILED;
}

static void wait_for_manager(struct machine *m)
{
    for (int i = 0; m->pnp_busy && i < LAST_WAIT_S * 10; i++)
        clk_sleep_ms(100);
    REQUIRE(!m->pnp_busy, "PnP operation %u does not end", m->pnp_what % 8);
}

/* A good device answers everything: then everything ends. */
static void expect_answers(struct machine *m)
{
    int enough =
        nt_dma_defer ? 6 * MACHINE_IOS : 8; /* a mapping that comes late takes a millisecond */

    if (m->disturbed || m->state != MACHINE_STARTED)
        return;
    for (int quiet = 0; quiet < enough;) {
        solo_settle();
        quiet = solo_serve(m->rig->device, 64) ? 0 : quiet + 1;
        clk_sleep_ms(1);
    }
    for (ULONG i = 0; i < MACHINE_IOS; i++)
        CHECK(!m->io[i].io || rig_io_done(m->io[i].io), "request %#x never ends",
              m->io[i].io->code);
}

static void power_off(struct machine *m)
{
    fail_after(0);
    solo_no_preemption();
    wait_for_manager(m);
    solo_settle();
    expect_answers(m);
    close_all(m);
    if (m->state == MACHINE_FAILED || (m->state == MACHINE_STARTED && still_busy(m)))
        surprise(m, m->pulled_out);
    end_all(m, LAST_WAIT_S);
    if (m->state == MACHINE_STARTED && !m->pulled_out)
        rig_eject(m->rig);
    else
        rig_remove(m->rig);
}

static void judge(const struct machine *m)
{
    static const enum mem_kind kinds[] = {MEM_POOL, MEM_DEVICE_EXTENSION, MEM_IRP,
                                          MEM_MDL,  MEM_SYSTEM_BUFFER,    MEM_COMMON_BUFFER,
                                          MEM_USER, MEM_MAPPING,          MEM_BENCH};
    BOOLEAN left = FALSE;

    (void)m;
    for (int i = 0; i < VER_THINGS; i++)
        left |= ver_count((enum ver_thing)i) > 0;
    for (size_t i = 0; i < RTL_NUMBER_OF(kinds); i++)
        left |= mem_live_bytes(kinds[i]) > 0;
    if (left)
        ver_leaks();
    CHECK(!left, "something is left");
    nt_check_idle();
    if (ver_complaints())
        ver_stop("bench", "%u complaints", ver_complaints());
}

HOST void solo_run(enum solo_mode mode, const uint8_t *bytes, size_t n)
{
    struct machine *m = &solo_machine;

    RtlZeroMemory(m, sizeof(*m));
    m->mode = mode;
    m->at = bytes;
    m->left = n;
    nt_dma_defer = FALSE;
    power_on(m);
    for (int i = 0; i < MOST_STEPS && m->left > 0; i++) {
        next_step(m)(m);
        reap(m);
    }
    power_off(m);
    judge(m);
}
