// SPDX-License-Identifier: BSD-3-Clause
/*
 * callers.c - programs with handles: what they send, right and wrong
 *
 * Theory of operation
 *
 *   A request is sent by the script's own thread or by one of its own, and lies in a table until it is done and
 *   the call that sent it has returned. A handle's CLEANUP runs in a thread of its own, because it waits for
 *   the host; CLOSE follows when no request of the handle is left, as in Windows.
 */
#include "driver/fuse_wire.h"
#include "tests/nt-bench/solo/machine.h"

#define MOST_IN   (256u * 1024u)
#define HEADER    ((ULONG)sizeof(struct drv_fuse_in))
#define WRITE_ARG ((ULONG)sizeof(struct drv_fuse_write_in))

static uint8_t message[MOST_IN];

/* ---- handles --------------------------------------------------------------------------------- */

void step_open(struct machine *m)
{
    uint8_t which = script_u8(m);
    struct machine_handle *s = &m->handle[which % MACHINE_HANDLES];

    if (!s->h && m->rig->fdo && m->state != MACHINE_GONE)
        s->h = rig_open_as(m->rig, which & 0x80 ? RIG_USER2 : RIG_USER1, NULL);
}

static HOST void leave(void *arg)
{
    struct machine_handle *s = arg;

    rig_cleanup(s->h);
    s->left = TRUE;
}

static void start_leaving(struct machine_handle *s)
{
    if (!s->h || s->leaving)
        return;
    s->leaving = TRUE;
    thr_start("closing program", leave, s);
}

void step_close(struct machine *m)
{
    start_leaving(&m->handle[script_u8(m) % MACHINE_HANDLES]);
}

void close_all(struct machine *m)
{
    for (ULONG i = 0; i < MACHINE_HANDLES; i++)
        start_leaving(&m->handle[i]);
    for (int i = 0; i < 10; i++) {
        clk_sleep_ms(1000);
        reap(m);
    }
}

/* ---- the table of requests ------------------------------------------------------------------- */

static BOOLEAN has_requests(struct machine *m, const struct machine_handle *s)
{
    for (ULONG i = 0; i < MACHINE_IOS; i++)
        if (m->io[i].io && m->io[i].handle == s)
            return TRUE;
    return FALSE;
}

void reap(struct machine *m)
{
    for (ULONG i = 0; i < MACHINE_IOS; i++) {
        struct machine_io *s = &m->io[i];

        if (!s->io || !s->sent || !rig_io_done(s->io))
            continue;
        rig_io_free(s->io);
        if (s->pointer)
            mem_user_free(s->pointer);
        RtlZeroMemory(s, sizeof(*s));
    }
    for (ULONG i = 0; i < MACHINE_HANDLES; i++) {
        struct machine_handle *s = &m->handle[i];

        if (!s->h || !s->left || has_requests(m, s))
            continue;
        rig_close(s->h);
        RtlZeroMemory(s, sizeof(*s));
    }
}

BOOLEAN still_busy(struct machine *m)
{
    for (ULONG i = 0; i < MACHINE_IOS; i++)
        if (m->io[i].io)
            return TRUE;
    return FALSE;
}

void end_all(struct machine *m, ULONG seconds)
{
    for (ULONG i = 0; i < seconds * 10 && m->rig->open_handles > 0; i++) {
        clk_sleep_ms(100);
        reap(m);
    }
    for (ULONG i = 0; i < MACHINE_IOS; i++)
        REQUIRE(!m->io[i].io, "request %#x does not end with its device", m->io[i].io->code);
    REQUIRE(m->rig->open_handles == 0, "a handle cannot be closed");
}

static struct machine_io *unused_io(struct machine *m)
{
    for (ULONG i = 0; i < MACHINE_IOS; i++)
        if (!m->io[i].io)
            return &m->io[i];
    return NULL;
}

void step_cancel(struct machine *m)
{
    struct machine_io *s = &m->io[script_u8(m) % MACHINE_IOS];

    if (s->io)
        rig_io_cancel(s->io);
}

/* ---- sending --------------------------------------------------------------------------------- */

static HOST void send(void *arg)
{
    struct machine_io *s = arg;

    (void)rig_io_send(s->io);
    s->sent = TRUE;
}

/* Everything that one request is made of. */
struct request {
    ULONG code, in_len, out_len;
    struct drv_fuse_in header;
    struct rig_buffer where;
    uint32_t by_pointer; /* bytes that a READ by pointer wants */
    uint8_t pointer;     /* where it points: see name_pointer() */
    BOOLEAN own_thread;
};

static void name_pointer(struct machine_io *s, const struct request *q, PVOID process)
{
    struct viofs_read_by_pointer p = {.len = q->by_pointer};
    PVOID other = process == RIG_USER1 ? RIG_USER2 : RIG_USER1;

    if (q->out_len < sizeof(p))
        return;
    s->pointer = mem_user(q->by_pointer % 70000 + 1, q->where.offset, 0,
                          q->pointer % 8 == 1 ? other : process, NULL);
    p.pointer = (uint64_t)(ULONG_PTR)s->pointer;
    if (q->pointer % 8 == 2)
        p.pointer = (uint64_t)(ULONG_PTR)s->io->h->file; /* the kernel's */
    else if (q->pointer % 8 == 3)
        p.pointer = ~0ull - q->pointer;
    else if (q->pointer % 8 == 4)
        p.pointer += 4096;
    RtlCopyMemory(s->io->out, &p, sizeof(p));
}

static void issue(struct machine *m, struct machine_handle *h, const struct request *q)
{
    struct machine_io *s = unused_io(m);

    if (!s || !h->h || h->leaving)
        return;
    if (q->in_len >= HEADER)
        RtlCopyMemory(message, &q->header, HEADER);
    s->handle = h;
    s->io = rig_io_new(h->h, q->code, message, q->in_len, q->out_len, &q->where);
    if (q->code == IOCTL_VIRTFS_FUSE_REQUEST_READ)
        name_pointer(s, q, h->h->process);
    if (q->own_thread)
        thr_start("program", send, s);
    else
        send(s);
}

static const ULONG codes[] = {
    IOCTL_VIOFS_REQUEST,
    IOCTL_VIOFS_WRITE,
    IOCTL_VIOFS_NO_REPLY,
    IOCTL_VIRTFS_FUSE_REQUEST,
    IOCTL_VIRTFS_FUSE_REQUEST_READ,
    IOCTL_VIOFS_QUERY,
    IOCTL_VIRTFS_GET_VOLUME_NAME,
};

/* Lengths at which something changes; long ones are rare, because they cost. */
static ULONG length(uint8_t b)
{
    static const ULONG edges[] = {0,    1,    8,    15,   16,   17,   23,   24,   39,   40,  41,
                                  48,   56,   72,   79,   80,   81,   104,  119,  120,  128, 1007,
                                  1008, 1009, 1023, 1024, 1025, 1040, 4095, 4096, 4097, 8192};

    if (b < 240)
        return edges[b % 32];
    return b < 252 ? 1u << (b - 240 + 6) : 131072u + b - 253;
}

static ULONG out_length(uint8_t b)
{
    return b == 255 ? (1u << 20) + 65536u + 1 : b == 254 ? 1u << 20 : length(b);
}

void step_send(struct machine *m)
{
    struct request q = {.own_thread = FALSE};
    uint8_t who = script_u8(m), how = script_u8(m), n;
    struct machine_handle *h = &m->handle[who % MACHINE_HANDLES];

    q.own_thread = (who & 0x80) != 0;
    q.code = codes[how % RTL_NUMBER_OF(codes)];
    q.in_len = length(script_u8(m));
    q.out_len = out_length(script_u8(m));
    q.header.len = q.in_len + (q.code == IOCTL_VIOFS_WRITE ? q.out_len : 0);
    q.header.opcode = script_u8(m);
    q.header.unique = m->unique += 2;
    q.where.offset = (who & 0x40) != 0 ? script_u16(m) % 4096 : 0;
    if (how & 0x80)
        q.header.len = script_u32(m);
    if (how & 0x40)
        q.header.opcode = script_u32(m);
    if (how & 0x20)
        q.code = script_u32(m);
    q.by_pointer = script_u16(m);
    q.pointer = script_u8(m);
    n = script_u8(m) % 64;
    for (uint8_t i = 0; i < n; i++)
        message[HEADER + i] = script_u8(m);
    if (q.code == IOCTL_VIOFS_WRITE && !(how & 0x10)) /* get past the first checks now and then */
        RtlCopyMemory(message + HEADER + FIELD_OFFSET(struct drv_fuse_write_in, size), &q.out_len,
                      4);
    issue(m, h, &q);
}

/* A request as virtiofs.exe or virtio-win's service makes it. */
static struct request well_formed(uint8_t kind, uint64_t unique)
{
    static const struct {
        ULONG code, args, out;
        uint32_t opcode;
    } kinds[] = {
        {IOCTL_VIOFS_REQUEST, 16, 104, 3 /* GETATTR */},
        {IOCTL_VIOFS_REQUEST, 5, 128, 1 /* LOOKUP */},
        {IOCTL_VIOFS_REQUEST, 40, 4096, DRV_FUSE_READ},
        {IOCTL_VIOFS_REQUEST, 40, 20000, DRV_FUSE_READ},
        {IOCTL_VIOFS_WRITE, WRITE_ARG, 5000, DRV_FUSE_WRITE},
        {IOCTL_VIOFS_NO_REPLY, 8, 0, DRV_FUSE_FORGET},
        {IOCTL_VIRTFS_FUSE_REQUEST, 16, 120, 3},
        {IOCTL_VIRTFS_FUSE_REQUEST, 40, 4112, DRV_FUSE_READ},
        {IOCTL_VIRTFS_FUSE_REQUEST, 4000, 24, DRV_FUSE_WRITE},
        {IOCTL_VIRTFS_FUSE_REQUEST_READ, 40, 24, DRV_FUSE_READ},
        {IOCTL_VIOFS_REQUEST, 48, 0, DRV_FUSE_SETLKW},
        {IOCTL_VIOFS_REQUEST, 2000, 104, 21 /* SETXATTR */},
        {IOCTL_VIRTFS_FUSE_REQUEST, 2000, 4096, 28 /* READDIR, and mapped both ways */},
        {IOCTL_VIOFS_REQUEST, 0, 0, DRV_FUSE_DESTROY},
        {IOCTL_VIOFS_REQUEST, 16, 64, DRV_FUSE_INIT},
        {IOCTL_VIRTFS_FUSE_REQUEST, 16, 80, DRV_FUSE_INIT},
    };
    uint8_t k = kind % RTL_NUMBER_OF(kinds);
    struct request q = {.code = kinds[k].code, .in_len = HEADER + kinds[k].args};

    q.out_len = kinds[k].out;
    q.header.len = q.in_len + (q.code == IOCTL_VIOFS_WRITE ? q.out_len : 0);
    q.header.opcode = kinds[k].opcode;
    q.header.unique = unique;
    q.by_pointer = 6000;
    return q;
}

void step_send_well(struct machine *m)
{
    uint8_t who = script_u8(m), kind = script_u8(m);
    struct machine_handle *h = &m->handle[who % MACHINE_HANDLES];
    struct request q = well_formed(kind, m->unique += 2);

    if (!h->h && m->rig->fdo && m->state == MACHINE_STARTED)
        h->h = rig_open_as(m->rig, RIG_USER1, NULL);
    q.own_thread = (who & 0x80) != 0;
    q.where.offset = (who & 0x40) != 0 ? 4000 : 0;
    RtlZeroMemory(message + HEADER, WRITE_ARG);
    if (q.code == IOCTL_VIOFS_WRITE)
        RtlCopyMemory(message + HEADER + FIELD_OFFSET(struct drv_fuse_write_in, size), &q.out_len,
                      4);
    issue(m, h, &q);
}
