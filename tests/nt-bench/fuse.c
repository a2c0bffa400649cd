// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse.c - FUSE messages for scenarios
 */
#include "tests/nt-bench/fuse.h"

static uint64_t next_unique = 2;

ULONG fuse_msg(struct fuse_msg *m, uint32_t opcode, uint64_t node, const void *args, ULONG n)
{
    RtlZeroMemory(m, sizeof(*m));
    REQUIRE(n <= sizeof(m->args), "arguments of %u bytes", n);
    m->h.len = (uint32_t)sizeof(m->h) + n;
    m->h.opcode = opcode;
    m->h.unique = __atomic_fetch_add(&next_unique, 2, __ATOMIC_RELAXED);
    m->h.nodeid = node;
    m->h.pid = 4;
    if (n)
        RtlCopyMemory(m->args, args, n);
    return m->h.len;
}

ULONG fuse_msg_name(struct fuse_msg *m, uint32_t opcode, uint64_t node, const void *args, ULONG n,
                    const char *name)
{
    ULONG len = 0;

    fuse_msg(m, opcode, node, args, n);
    while (name[len])
        len++;
    REQUIRE(n + len + 1 <= sizeof(m->args), "name of %u bytes", len);
    RtlCopyMemory(m->args + n, name, len + 1);
    m->h.len += len + 1;
    return m->h.len;
}

NTSTATUS fuse_call(struct handle *h, const struct fuse_msg *m, void *payload, ULONG room,
                   ULONG *got)
{
    return rig_ioctl(h, IOCTL_VIOFS_REQUEST, m, m->h.len, payload, room, got);
}

NTSTATUS fuse_compat(struct handle *h, const struct fuse_msg *m, void *reply, ULONG room,
                     ULONG *got)
{
    return rig_ioctl(h, IOCTL_VIRTFS_FUSE_REQUEST, m, m->h.len, reply, room, got);
}

NTSTATUS fuse_try_init(struct handle *h)
{
    struct fuse_init_in in = {.major = 7,
                              .minor = 36,
                              .max_readahead = 0,
                              .flags = FUSE_MAX_PAGES | FUSE_DO_READDIRPLUS | FUSE_ASYNC_READ};
    struct fuse_init_out out;
    struct fuse_msg m;
    ULONG got = 0;
    NTSTATUS status;

    fuse_msg(&m, FUSE_INIT, 0, &in, sizeof(in));
    status = fuse_call(h, &m, &out, sizeof(out), &got);
    if (NT_SUCCESS(status))
        CHECK(got == sizeof(out) && out.major == 7, "INIT: %u bytes, version %u", got, out.major);
    return status;
}

void fuse_init(struct handle *h)
{
    NTSTATUS status = fuse_try_init(h);

    /* The session before may be about to end: its DESTROY was not answered in time. */
    for (int ms = 0; status == STATUS_DEVICE_BUSY && ms < 2000; ms += 10) {
        clk_sleep_ms(10);
        status = fuse_try_init(h);
    }
    REQUIRE(NT_SUCCESS(status), "FUSE_INIT failed with %#x", status);
}

struct rig_io *fuse_send_getattr(struct handle *h)
{
    struct fuse_getattr_in in = {0};
    struct fuse_msg m;
    struct rig_io *io;

    fuse_msg(&m, FUSE_GETATTR, FUSE_ROOT_ID, &in, sizeof(in));
    io = rig_io_new(h, IOCTL_VIOFS_REQUEST, &m, m.h.len, sizeof(struct fuse_attr_out), NULL);
    (void)rig_io_send(io);
    return io;
}

uint64_t fuse_lookup(struct handle *h, const char *name)
{
    struct fuse_entry_out e;
    struct fuse_msg m;
    NTSTATUS status;

    fuse_msg_name(&m, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, name);
    status = fuse_call(h, &m, &e, sizeof(e), NULL);
    REQUIRE(NT_SUCCESS(status), "LOOKUP of %s failed with %#x", name, status);
    return e.nodeid;
}

uint64_t fuse_open(struct handle *h, uint64_t node, uint32_t flags)
{
    struct fuse_open_in in = {.flags = flags};
    struct fuse_open_out out;
    struct fuse_msg m;
    NTSTATUS status;

    fuse_msg(&m, FUSE_OPEN, node, &in, sizeof(in));
    status = fuse_call(h, &m, &out, sizeof(out), NULL);
    REQUIRE(NT_SUCCESS(status), "OPEN failed with %#x", status);
    return out.fh;
}

void fuse_release(struct handle *h, uint64_t node, uint64_t fh)
{
    struct fuse_release_in in = {.fh = fh};
    struct fuse_msg m;
    NTSTATUS status;

    fuse_msg(&m, FUSE_RELEASE, node, &in, sizeof(in));
    status = fuse_call(h, &m, NULL, 0, NULL);
    CHECK(NT_SUCCESS(status), "RELEASE failed with %#x", status);
}

uint64_t fuse_create(struct handle *h, const char *name, uint64_t *fh)
{
    struct fuse_create_in in = {.flags = 2 /* O_RDWR */, .mode = 0100644};
    struct {
        struct fuse_entry_out e;
        struct fuse_open_out o;
    } out;
    struct fuse_msg m;
    NTSTATUS status;

    fuse_msg_name(&m, FUSE_CREATE, FUSE_ROOT_ID, &in, sizeof(in), name);
    status = fuse_call(h, &m, &out, sizeof(out), NULL);
    REQUIRE(NT_SUCCESS(status), "CREATE of %s failed with %#x", name, status);
    *fh = out.o.fh;
    return out.e.nodeid;
}

ULONG fuse_read_msg(struct fuse_msg *m, uint64_t node, uint64_t fh, uint64_t offset, ULONG n)
{
    struct fuse_read_in in = {.fh = fh, .offset = offset, .size = n};

    return fuse_msg(m, FUSE_READ, node, &in, sizeof(in));
}

ULONG fuse_write_msg(struct fuse_msg *m, uint64_t node, uint64_t fh, uint64_t offset, ULONG n)
{
    struct fuse_write_in in = {.fh = fh, .offset = offset, .size = n};
    ULONG len = fuse_msg(m, FUSE_WRITE, node, &in, sizeof(in));

    m->h.len += n;
    return len;
}
