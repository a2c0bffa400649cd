// SPDX-License-Identifier: BSD-3-Clause
/*
 * rig.c - the I/O manager, the PnP manager and the power manager, as far as scenarios need them
 *
 * Ownership: scenarios own rigs, handles and I/O, and give them back.   Locks: none of its own.
 */
#include "tests/nt-bench/rig.h"

#define WAIT_MS 10000

static DRIVER_OBJECT driver;
static DRIVER_EXTENSION driver_extension;

PDRIVER_OBJECT rig_driver(void)
{
    return &driver;
}

/* ---- devices --------------------------------------------------------------------------------- */

struct rig *rig_plug_only(const struct rig_options *o)
{
    static const struct rig_options defaults;
    struct rig *r = bench_alloc(sizeof(*r));
    struct vdev_options v;
    ULONG messages;

    o = o ? o : &defaults;
    v = o->device;
    messages = o->messages ? o->messages : (v.request_queues ? v.request_queues : 1) + 2;
    v.messages = o->no_messages ? 0 : messages;
    thr_self()->exempt++;
    r->device = vdev_new(&v);
    r->pdo = nt_pdo_new(r->device, o->no_messages ? 0 : messages);
    nt_pdo_of(r->pdo)->slow = o->slow_bus;
    r->resources = nt_pdo_resources(r->pdo);
    thr_self()->exempt--;
    return r;
}

NTSTATUS rig_add(struct rig *r)
{
    struct nt_guard g = nt_enter(PASSIVE_LEVEL);
    NTSTATUS status = driver_extension.AddDevice(&driver, r->pdo);

    nt_leave(&g, PASSIVE_LEVEL, "AddDevice", (PVOID)driver_extension.AddDevice);
    r->fdo = r->pdo->AttachedDevice;
    if (NT_SUCCESS(status) && !r->fdo)
        ver_stop("pnp", "AddDevice succeeded and attached nothing");
    if (NT_SUCCESS(status) && (r->fdo->Flags & DO_DEVICE_INITIALIZING))
        ver_complain("pnp", "DO_DEVICE_INITIALIZING is still set after AddDevice");
    if (NT_SUCCESS(status) && !(r->fdo->Flags & DO_POWER_PAGABLE))
        ver_complain("power", "DO_POWER_PAGABLE of the lower device was not copied");
    return status;
}

struct rig *rig_plug(const struct rig_options *o)
{
    struct rig *r = rig_plug_only(o);
    NTSTATUS status = rig_add(r);

    REQUIRE(NT_SUCCESS(status), "AddDevice failed with %#x", status);
    return r;
}

static NTSTATUS send_pnp(struct rig *r, UCHAR minor, NTSTATUS initial)
{
    struct nt_outcome o;
    PDEVICE_OBJECT top = nt_top(r->pdo);
    PIRP irp = nt_irp_new(top, IRP_MJ_PNP, minor, &o);
    PIO_STACK_LOCATION s = IoGetNextIrpStackLocation(irp);

    irp->IoStatus.Status = initial;
    if (minor == IRP_MN_START_DEVICE) {
        s->Parameters.StartDevice.AllocatedResources = r->resources;
        s->Parameters.StartDevice.AllocatedResourcesTranslated = r->resources;
    }
    nt_pdo_of(r->pdo)->seen &= ~(1ull << (minor & 63));
    (void)nt_irp_send(top, irp, &o);
    REQUIRE(nt_outcome_wait(&o, WAIT_MS), "PnP request %u does not end", minor);
    return o.status;
}

/* Requests that every driver must pass down, whatever it thinks of them. */
static void check_passed_down(struct rig *r, UCHAR minor, NTSTATUS status)
{
    BOOLEAN seen = (nt_pdo_of(r->pdo)->seen >> (minor & 63) & 1) != 0;

    if (!seen && NT_SUCCESS(status))
        ver_complain("pnp", "request %u succeeded and did not reach the bus driver", minor);
}

NTSTATUS rig_pnp(struct rig *r, UCHAR minor)
{
    NTSTATUS status = send_pnp(r, minor, STATUS_NOT_SUPPORTED);

    check_passed_down(r, minor, status);
    return status;
}

NTSTATUS rig_start(struct rig *r)
{
    return rig_pnp(r, IRP_MN_START_DEVICE);
}

struct rig *rig_up(const struct rig_options *o)
{
    struct rig *r = rig_plug(o);
    NTSTATUS status = rig_start(r);

    REQUIRE(NT_SUCCESS(status), "START_DEVICE failed with %#x", status);
    return r;
}

static void free_rig(struct rig *r)
{
    nt_quiesce();
    vdev_free(r->device);
    nt_pdo_free(r->pdo);
    bench_free(r->resources);
    bench_free(r);
}

void rig_remove(struct rig *r)
{
    NTSTATUS status;

    if (r->fdo) {
        if (r->open_handles)
            ver_stop("bench", "the PnP manager removes no device with open handles");
        status = rig_pnp(r, IRP_MN_REMOVE_DEVICE);
        CHECK(NT_SUCCESS(status), "REMOVE_DEVICE failed with %#x", status);
        if (r->pdo->AttachedDevice)
            ver_complain("pnp", "still attached after REMOVE_DEVICE");
    }
    free_rig(r);
}

void rig_eject(struct rig *r)
{
    NTSTATUS status = rig_pnp(r, IRP_MN_QUERY_REMOVE_DEVICE);

    CHECK(NT_SUCCESS(status), "QUERY_REMOVE_DEVICE failed with %#x", status);
    rig_remove(r);
}

void rig_yank(struct rig *r)
{
    NTSTATUS status;

    vdev_unplug(r->device);
    status = rig_pnp(r, IRP_MN_SURPRISE_REMOVAL);
    CHECK(NT_SUCCESS(status), "SURPRISE_REMOVAL failed with %#x", status);
    vdev_forbid(r->device, "after surprise removal");
}

/* ---- power ----------------------------------------------------------------------------------- */

static NTSTATUS send_power(struct rig *r, UCHAR minor, SYSTEM_POWER_STATE state)
{
    struct nt_outcome o;
    PDEVICE_OBJECT top = nt_top(r->pdo);
    PIRP irp = nt_irp_new(top, IRP_MJ_POWER, minor, &o);
    PIO_STACK_LOCATION s = IoGetNextIrpStackLocation(irp);

    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    s->Parameters.Power.Type = SystemPowerState;
    s->Parameters.Power.State.SystemState = state;
    s->Parameters.Power.ShutdownType = state == PowerSystemHibernate ? PowerActionHibernate
                                       : state == PowerSystemWorking ? PowerActionNone
                                                                     : PowerActionSleep;
    (void)nt_irp_send(top, irp, &o);
    REQUIRE(nt_outcome_wait(&o, WAIT_MS), "power request %u to S%d does not end", minor, state - 1);
    return o.status;
}

NTSTATUS rig_query_power(struct rig *r, SYSTEM_POWER_STATE state)
{
    return send_power(r, IRP_MN_QUERY_POWER, state);
}

NTSTATUS rig_power(struct rig *r, SYSTEM_POWER_STATE state)
{
    return send_power(r, IRP_MN_SET_POWER, state);
}

/* ---- handles --------------------------------------------------------------------------------- */

static NTSTATUS send_file(struct handle *h, UCHAR major)
{
    struct nt_outcome o;
    PIRP irp = nt_irp_new(h->top, major, 0, &o);
    PIO_STACK_LOCATION s = IoGetNextIrpStackLocation(irp);
    IO_SECURITY_CONTEXT security = {.DesiredAccess = GENERIC_READ | GENERIC_WRITE};
    PVOID process = thr_self()->process;

    s->FileObject = h->file;
    irp->Tail.Overlay.OriginalFileObject = h->file;
    irp->RequestorMode = UserMode;
    if (major == IRP_MJ_CREATE)
        s->Parameters.Create.SecurityContext = &security;
    thr_self()->process = h->process;
    (void)nt_irp_send(h->top, irp, &o);
    thr_self()->process = process;
    REQUIRE(nt_outcome_wait(&o, WAIT_MS), "request %u of a file does not end", major);
    return o.status;
}

/* What the I/O manager and the rig count of a handle; several programs open and close at the same time. */
static void count_handle(struct handle *h, LONG by)
{
    __atomic_fetch_add(&h->top->ReferenceCount, by, __ATOMIC_RELAXED);
    __atomic_fetch_add(&h->rig->open_handles, (ULONG)by, __ATOMIC_RELAXED);
}

struct handle *rig_open_as(struct rig *r, PVOID process, NTSTATUS *status)
{
    struct handle *h = bench_alloc(sizeof(*h));
    NTSTATUS s;

    h->rig = r;
    h->top = nt_top(r->pdo);
    h->process = process;
    h->file = mem_alloc(MEM_BENCH, sizeof(*h->file), 0, 0, NULL);
    RtlZeroMemory(h->file, sizeof(*h->file));
    h->file->Type = 5;
    h->file->Size = sizeof(*h->file);
    h->file->DeviceObject = h->top;
    count_handle(h, 1);
    s = send_file(h, IRP_MJ_CREATE);
    if (status)
        *status = s;
    if (NT_SUCCESS(s))
        return h;
    count_handle(h, -1);
    mem_free(MEM_BENCH, h->file);
    bench_free(h);
    return NULL;
}

struct handle *rig_open(struct rig *r)
{
    NTSTATUS status;
    struct handle *h = rig_open_as(r, RIG_USER1, &status);

    REQUIRE(h, "open failed with %#x", status);
    return h;
}

void rig_cleanup(struct handle *h)
{
    NTSTATUS status = send_file(h, IRP_MJ_CLEANUP);

    CHECK(NT_SUCCESS(status), "CLEANUP failed with %#x", status);
    h->file->Flags |= FO_CLEANUP_COMPLETE;
}

void rig_close(struct handle *h)
{
    NTSTATUS status;

    if (!(h->file->Flags & FO_CLEANUP_COMPLETE))
        rig_cleanup(h);
    status = send_file(h, IRP_MJ_CLOSE);
    CHECK(NT_SUCCESS(status), "CLOSE failed with %#x", status);
    count_handle(h, -1);
    mem_free(MEM_BENCH, h->file);
    bench_free(h);
}

/* ---- I/O ------------------------------------------------------------------------------------- */

#define TAG_SYSTEM_BUFFER 0x20706174

static BOOLEAN buffered(const struct rig_io *io)
{
    return (io->code & 3) == METHOD_BUFFERED;
}

struct rig_io *rig_io_new(struct handle *h, ULONG code, const void *in, ULONG in_len, ULONG out_len,
                          const struct rig_buffer *b)
{
    static const struct rig_buffer any;
    struct rig_io *io = bench_alloc(sizeof(*io));
    ULONG n;

    b = b ? b : &any;
    io->h = h;
    io->code = code;
    io->in_len = in_len;
    io->out_len = out_len;
    n = buffered(io) && out_len > in_len ? out_len : in_len;
    if (out_len)
        io->user =
            mem_user(out_len, b->offset, b->contiguous ? MEM_CONTIGUOUS : 0, h->process, &io->out);
    if (n)
        io->system_buffer = mem_alloc(MEM_SYSTEM_BUFFER, n, TAG_SYSTEM_BUFFER, 0, NULL);
    if (in_len)
        RtlCopyMemory(io->system_buffer, in, in_len);
    return io;
}

/* Sixteen bytes that nobody wrote since the pool handed them out. */
static BOOLEAN untouched(const uint8_t *p, ULONG n)
{
    for (ULONG run = 0; n > 0; p++, n--) {
        run = *p == 0xA5 ? run + 1 : 0;
        if (run == 16)
            return TRUE;
    }
    return FALSE;
}

static void finish_io(struct nt_outcome *o, PIRP irp)
{
    struct rig_io *io = CONTAINING_RECORD(o, struct rig_io, o);
    ULONG information = (ULONG)o->information;

    (void)irp;
    thr_self()->exempt++;
    if (o->information > io->out_len && !NT_ERROR(o->status)) {
        ver_complain("irp-information", "%llu bytes returned in a buffer of %u, code %#x",
                     (unsigned long long)o->information, io->out_len, io->code);
        information = io->out_len;
    }
    if (buffered(io) && !NT_ERROR(o->status) && information) {
        if (information > io->in_len &&
            untouched((uint8_t *)io->system_buffer + io->in_len, information - io->in_len))
            ver_complain("irp-information", "uninitialised memory returned, code %#x", io->code);
        RtlCopyMemory(io->out, io->system_buffer, information);
    }
    if (io->mdl) {
        MmUnlockPages(io->mdl);
        IoFreeMdl(io->mdl);
        io->mdl = NULL;
    }
    if (io->system_buffer)
        mem_free(MEM_SYSTEM_BUFFER, io->system_buffer);
    io->system_buffer = NULL;
    io->status = o->status;
    io->information = (ULONG)o->information;
    thr_self()->exempt--;
}

static void lock_user_buffer(struct rig_io *io, PIRP irp)
{
    LOCK_OPERATION op = (io->code & 3) == METHOD_IN_DIRECT ? IoReadAccess : IoWriteAccess;

    io->mdl = IoAllocateMdl(io->user, io->out_len, FALSE, TRUE, irp);
    if (!NT_SUCCESS(nt_probe_and_lock(io->mdl, UserMode, op, NULL)))
        ver_stop("bench", "cannot lock a program's buffer");
}

NTSTATUS rig_io_send(struct rig_io *io)
{
    PIRP irp = nt_irp_new(io->h->top, IRP_MJ_DEVICE_CONTROL, 0, &io->o);
    PIO_STACK_LOCATION s = IoGetNextIrpStackLocation(irp);
    PVOID process = thr_self()->process;
    NTSTATUS status;

    io->o.finish = finish_io;
    irp->RequestorMode = UserMode;
    irp->AssociatedIrp.SystemBuffer = io->system_buffer;
    irp->UserBuffer = io->user;
    irp->Tail.Overlay.OriginalFileObject = io->h->file;
    s->FileObject = io->h->file;
    s->Parameters.DeviceIoControl.IoControlCode = io->code;
    s->Parameters.DeviceIoControl.InputBufferLength = io->in_len;
    s->Parameters.DeviceIoControl.OutputBufferLength = io->out_len;
    thr_self()->process = io->h->process;
    thr_self()->exempt++;
    if (!buffered(io) && (io->code & 3) != METHOD_NEITHER && io->out_len)
        lock_user_buffer(io, irp);
    thr_self()->exempt--;
    status = nt_irp_send(io->h->top, irp, &io->o);
    thr_self()->process = process;
    return status;
}

BOOLEAN rig_io_done(struct rig_io *io)
{
    return nt_outcome_wait(&io->o, 0);
}

NTSTATUS rig_io_wait(struct rig_io *io, ULONG ms)
{
    REQUIRE(nt_outcome_wait(&io->o, ms), "I/O %#x is not done after %u ms", io->code, ms);
    return io->status;
}

void rig_io_cancel(struct rig_io *io)
{
    nt_outcome_cancel(&io->o);
}

void rig_io_free(struct rig_io *io)
{
    if (!nt_outcome_wait(&io->o, 0))
        ver_stop("bench", "I/O %#x is freed before it is done", io->code);
    if (io->user)
        mem_user_free(io->user);
    bench_free(io);
}

NTSTATUS rig_ioctl(struct handle *h, ULONG code, const void *in, ULONG in_len, void *out,
                   ULONG out_len, ULONG *information)
{
    struct rig_io *io = rig_io_new(h, code, in, in_len, out_len, NULL);
    NTSTATUS status;

    (void)rig_io_send(io);
    status = rig_io_wait(io, WAIT_MS);
    if (information)
        *information = io->information;
    if (out && out_len)
        RtlCopyMemory(out, io->out, out_len);
    rig_io_free(io);
    return status;
}

struct viofs_query_out rig_query(struct handle *h)
{
    struct viofs_query_in in = {.version = VIOFS_IOCTL_VERSION};
    struct viofs_query_out out;
    ULONG got;
    NTSTATUS status = rig_ioctl(h, IOCTL_VIOFS_QUERY, &in, sizeof(in), &out, sizeof(out), &got);

    REQUIRE(NT_SUCCESS(status) && got == sizeof(out), "query: %#x, %u bytes", status, got);
    return out;
}

uint64_t rig_epoch(struct handle *h)
{
    return rig_query(h).epoch;
}

/* ---- threads --------------------------------------------------------------------------------- */

struct member {
    void (*fn)(void *ctx, unsigned number);
    void *ctx;
    unsigned number;
    unsigned *left;
};

static HOST void member_main(void *arg)
{
    struct member m = *(struct member *)arg;

    bench_free(arg);
    m.fn(m.ctx, m.number);
    k_lock();
    --*m.left;
    k_wake();
    k_unlock();
}

void rig_together(unsigned n, void (*fn)(void *ctx, unsigned number), void *ctx)
{
    unsigned left = n;

    for (unsigned i = 0; i < n; i++) {
        struct member *m = bench_alloc(sizeof(*m));

        *m = (struct member){fn, ctx, i, &left};
        thr_start("program", member_main, m);
    }
    k_lock();
    while (left > 0)
        k_wait(K_FOREVER);
    k_unlock();
}

ULONG rig_random(ULONG *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* ---- the driver ------------------------------------------------------------------------------ */

#ifdef BENCH_NATIVE
extern DRIVER_INITIALIZE DriverEntry;
#endif

static PDRIVER_INITIALIZE load(void)
{
#ifdef BENCH_NATIVE
    return DriverEntry;
#else
    return (PDRIVER_INITIALIZE)(ULONG_PTR)pe_load(bench_driver(), nt_resolve)->entry;
#endif
}

static NTSTATUS NTAPI no_such_function(PDEVICE_OBJECT device, PIRP irp)
{
    (void)device;
    irp->IoStatus.Status = STATUS_INVALID_DEVICE_REQUEST;
    IofCompleteRequest(irp, IO_NO_INCREMENT);
    return STATUS_INVALID_DEVICE_REQUEST;
}

HOST void nt_begin(void)
{
    PDRIVER_INITIALIZE entry;
    UNICODE_STRING path;
    struct nt_guard g;
    NTSTATUS status;

    nt_dpc_start();
    nt_work_start();
    entry = load();
    RtlInitUnicodeString(&path,
                         L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\VirtioFsDrv");
    driver.Type = 4;
    driver.Size = sizeof(driver);
    driver.DriverExtension = &driver_extension;
    driver_extension.DriverObject = &driver;
    for (int i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++)
        driver.MajorFunction[i] = no_such_function;
    g = nt_enter(PASSIVE_LEVEL);
    status = entry(&driver, &path);
    nt_leave(&g, PASSIVE_LEVEL, "DriverEntry", (PVOID)entry);
    REQUIRE(NT_SUCCESS(status), "DriverEntry failed with %#x", status);
    REQUIRE(driver_extension.AddDevice, "no AddDevice routine");
}

HOST void nt_end(void)
{
    nt_quiesce();
    nt_check_idle();
    if (!driver.DriverUnload)
        ver_complain("unload", "the driver cannot be unloaded");
    else
        driver.DriverUnload(&driver);
}
