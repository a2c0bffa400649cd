// SPDX-License-Identifier: BSD-3-Clause
/*
 * scenario_caller.c - programs that send nonsense
 */
#include "tests/nt-bench/fuse.h"

static const struct rig_options alone = {.device = {.no_daemon = true}};

static const ULONG codes[] = {
    IOCTL_VIRTFS_GET_VOLUME_NAME,
    IOCTL_VIRTFS_FUSE_REQUEST,
    IOCTL_VIRTFS_FUSE_REQUEST_READ,
    IOCTL_VIOFS_QUERY,
    IOCTL_VIOFS_REQUEST,
    IOCTL_VIOFS_WRITE,
    IOCTL_VIOFS_NO_REPLY,
};

static void send_and_wait(struct handle *h, ULONG code, const void *in, ULONG in_len, ULONG out_len)
{
    struct rig_io *io = rig_io_new(h, code, in, in_len, out_len, NULL);

    if (out_len)
        RtlZeroMemory(io->out, out_len);
    (void)rig_io_send(io);
    (void)rig_io_wait(io, 5000);
    rig_io_free(io);
}

static void every_code_survives_every_size(void)
{
    static const ULONG sizes[] = {0,  1,  4,  7,  8,  15,  16,  23,   24,
                                  39, 40, 41, 79, 80, 119, 120, 4096, 70000};
    static uint8_t zeroes[70000];
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);

    fuse_init(h);
    for (size_t c = 0; c < RTL_NUMBER_OF(codes); c++)
        for (size_t i = 0; i < RTL_NUMBER_OF(sizes); i++)
            for (size_t o = 0; o < RTL_NUMBER_OF(sizes); o++)
                send_and_wait(h, codes[c], zeroes, sizes[i], sizes[o]);
    CHECK(vdev_queue_count(r->device, 1) <= 1, "nonsense reached the device");
    fuse_init(h);
    rig_close(h);
    rig_eject(r);
}

static void codes_that_are_none_are_refused(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h = rig_open(r);
    uint8_t buffer[64] = {0};

    for (ULONG code = 0x220000; code < 0x230000; code += 0x4b)
        if (code != IOCTL_VIOFS_QUERY && code != IOCTL_VIRTFS_GET_VOLUME_NAME && (code & 3) != 3)
            CHECK(!NT_SUCCESS(rig_ioctl(h, code, buffer, 64, buffer, 64, NULL)), "code %#x", code);
    CHECK(!NT_SUCCESS(rig_ioctl(h, 0x22e007, NULL, 0, NULL, 0, NULL)), "a METHOD_NEITHER code");
    rig_close(h);
    rig_eject(r);
}

/* A header that is right but for a few random bits. */
static void almost_valid(struct fuse_msg *m, ULONG *seed, ULONG *in_len)
{
    static const uint32_t opcodes[] = {
        FUSE_GETATTR,   FUSE_LOOKUP, FUSE_READ, FUSE_WRITE, FUSE_FORGET, FUSE_BATCH_FORGET,
        FUSE_INTERRUPT, FUSE_OPEN,   0,         9999,       FUSE_DESTROY};
    ULONG n = rig_random(seed) % (FUSE_MOST_ARGS + 1);

    fuse_msg(m, opcodes[rig_random(seed) % RTL_NUMBER_OF(opcodes)], rig_random(seed) % 3, NULL, 0);
    for (ULONG i = 0; i < FUSE_MOST_ARGS; i++)
        m->args[i] = (uint8_t)(rig_random(seed) % 5 ? 0 : rig_random(seed));
    m->h.len = (uint32_t)sizeof(m->h) + n;
    *in_len = m->h.len;
    switch (rig_random(seed) % 6) {
    case 0:
        m->h.len = rig_random(seed);
        break;
    case 1:
        m->h.len = ~0u;
        break;
    case 2:
        *in_len = rig_random(seed) % sizeof(*m);
        break;
    default:
        break;
    }
}

static void nonsense(void *ctx, unsigned number)
{
    struct rig *r = ctx;
    struct handle *h = rig_open_as(r, number ? RIG_USER2 : RIG_USER1, NULL);
    ULONG seed = number * 104729 + 11;

    for (int i = 0; i < 600; i++) {
        ULONG code = codes[rig_random(&seed) % RTL_NUMBER_OF(codes)];
        ULONG out_len = rig_random(&seed) % 3 ? rig_random(&seed) % 300 : rig_random(&seed) % 9000;
        struct fuse_msg m;
        ULONG in_len;

        almost_valid(&m, &seed, &in_len);
        send_and_wait(h, code, &m, in_len, out_len);
        if (i % 20 == 0)
            (void)fuse_try_init(h);
    }
    rig_close(h);
}

static void nonsense_of_several_programs_does_no_harm(void)
{
    struct rig *r = rig_up(&alone);
    struct handle *h;

    rig_together(3, nonsense, r);
    h = rig_open(r);
    fuse_init(h);
    rig_close(h);
    rig_eject(r);
}

static void expect_too_large(struct handle *h, ULONG bytes)
{
    struct fuse_msg m;
    struct rig_io *io;

    fuse_read_msg(&m, FUSE_ROOT_ID, 1, 0, bytes);
    io = rig_io_new(h, IOCTL_VIOFS_REQUEST, &m, m.h.len, bytes, NULL);
    (void)rig_io_send(io);
    CHECK(rig_io_wait(io, 1000) == STATUS_INVALID_BUFFER_SIZE, "READ of %u bytes: %#x", bytes,
          io->status);
    rig_io_free(io);
}

/* With indirect tables more than promised is tried, up to 1 MiB; without, nothing longer would fit. */
static void a_request_that_cannot_fit_is_refused(void)
{
    for (int indirect = 0; indirect < 2; indirect++) {
        struct rig_options o = alone;
        struct rig *r;
        struct handle *h;

        o.device.withhold = indirect ? 0 : 1ull << 28;
        r = rig_up(&o);
        h = rig_open(r);
        fuse_init(h);
        expect_too_large(h, indirect ? (1u << 20) + 1 : rig_query(h).max_transfer + 1);
        rig_close(h);
        rig_eject(r);
    }
}

static void requests_of_other_kinds_are_refused(void)
{
    static const UCHAR majors[] = {IRP_MJ_READ,           IRP_MJ_WRITE,
                                   IRP_MJ_FLUSH_BUFFERS,  IRP_MJ_QUERY_INFORMATION,
                                   IRP_MJ_SYSTEM_CONTROL, IRP_MJ_INTERNAL_DEVICE_CONTROL};
    struct rig *r = rig_up(&alone);

    for (size_t i = 0; i < RTL_NUMBER_OF(majors); i++) {
        struct nt_outcome o;
        PDEVICE_OBJECT top = nt_top(r->pdo);
        PIRP irp = nt_irp_new(top, majors[i], 0, &o);

        irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
        (void)nt_irp_send(top, irp, &o);
        REQUIRE(nt_outcome_wait(&o, 1000), "request %u hangs", majors[i]);
        CHECK(!NT_SUCCESS(o.status), "request %u succeeded", majors[i]);
    }
    rig_eject(r);
}

const struct scenario scenarios_caller[] = {
    {"every code survives every size", every_code_survives_every_size, MODEL_ONLY},
    {"codes that are none are refused", codes_that_are_none_are_refused, MODEL_ONLY},
    {"nonsense of several programs does no harm", nonsense_of_several_programs_does_no_harm,
     ANYWHERE},
    {"a request that cannot fit is refused", a_request_that_cannot_fit_is_refused, ANYWHERE},
    {"requests of other kinds are refused", requests_of_other_kinds_are_refused, ANYWHERE},
};
const unsigned n_scenarios_caller = RTL_NUMBER_OF(scenarios_caller);
