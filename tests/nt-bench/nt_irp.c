// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_irp.c - I/O request packets: their life, and the rules of completing them
 *
 * Theory of operation
 *
 *   An IRP lies in a block of its own, behind a box with what the bench knows of it. When the last
 *   completion routine has run, what its owner wants to know is copied out and the block is freed: whoever
 *   touches the IRP after that faults.
 *
 *   Checked: completion at DISPATCH_LEVEL or below, with no spin lock held, once, with a final status, without
 *   a cancel routine; a dispatch routine's return value against what became of the IRP (STATUS_PENDING
 *   exactly when it was marked, else the status that it was completed with before the return).
 *
 * Source: WDK documentation, "Handling IRPs", "IoMarkIrpPending", "Canceling IRPs".
 * Locks: the cancel spin lock is Windows'; boxes are guarded by the big lock.
 */
#include "tests/nt-bench/nt.h"

#define IRP_TYPE      6
#define IRP_COMPLETED 0x66

struct irp_box {
    struct nt_outcome *outcome; /* NULL: the driver's own IRP */
    BOOLEAN marked_pending;
    IRP irp; /* stack locations follow */
};

static KSPIN_LOCK cancel_lock;

static void judge(const struct nt_outcome *o);

static struct irp_box *box_of(PIRP irp)
{
    return CONTAINING_RECORD(irp, struct irp_box, irp);
}

static PIRP new_irp(CCHAR stack_size, const void *caller)
{
    struct irp_box *b;
    size_t size = sizeof(*b) + (size_t)stack_size * sizeof(IO_STACK_LOCATION);

    b = mem_alloc(MEM_IRP, size, 0, 0, caller);
    if (!b)
        ver_stop("bench", "no memory for an IRP");
    RtlZeroMemory(b, size);
    b->irp.Type = IRP_TYPE;
    b->irp.Size = (USHORT)(size - FIELD_OFFSET(struct irp_box, irp));
    b->irp.StackCount = stack_size;
    b->irp.CurrentLocation = (CHAR)(stack_size + 1);
    b->irp.Tail.Overlay.CurrentStackLocation = (PIO_STACK_LOCATION)(&b->irp + 1) + stack_size;
    b->irp.Tail.Overlay.Thread = thr_self()->kthread;
    InitializeListHead(&b->irp.ThreadListEntry);
    return &b->irp;
}

static void free_irp(PIRP irp)
{
    mem_free(MEM_IRP, box_of(irp));
}

/* ---- calling drivers ------------------------------------------------------------------------- */

NTSTATUS FASTCALL IofCallDriver(PDEVICE_OBJECT device, PIRP irp)
{
    PIO_STACK_LOCATION s;
    PDRIVER_DISPATCH routine;
    struct nt_guard g;
    uint64_t irql = thr_self()->irql;
    NTSTATUS status;

    nt_irql("IofCallDriver", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (thr_self()->n_locks)
        ver_complain("spin-lock", "IofCallDriver with a lock held at %s", ver_where(CALLER));
    if (irp->Type != IRP_TYPE)
        ver_stop("irp", "sent on after it was completed, at %s", ver_where(CALLER));
    if (irp->CurrentLocation <= 1)
        ver_stop("irp", "no stack location left, at %s", ver_where(CALLER));
    irp->CurrentLocation--;
    s = --irp->Tail.Overlay.CurrentStackLocation;
    s->DeviceObject = device;
    routine = device->DriverObject->MajorFunction[s->MajorFunction];
    g = nt_enter((KIRQL)irql);
    status = routine(device, irp);
    nt_leave(&g, (KIRQL)irql, "dispatch routine", (PVOID)routine);
    return status;
}

NTSTATUS NTAPI PoCallDriver(PDEVICE_OBJECT device, PIRP irp)
{
    return IofCallDriver(device, irp);
}

VOID NTAPI PoStartNextPowerIrp(PIRP irp)
{
    (void)irp;
}

/* ---- completing ------------------------------------------------------------------------------ */

static void check_completion(PIRP irp, const void *caller)
{
    nt_irql("IofCompleteRequest", PASSIVE_LEVEL, DISPATCH_LEVEL, caller);
    if (irp->Type != IRP_TYPE)
        ver_stop("irp-double", "completed twice, at %s", ver_where(caller));
    if (thr_self()->n_locks)
        ver_complain("spin-lock", "IofCompleteRequest with a lock held at %s", ver_where(caller));
    if (irp->IoStatus.Status == STATUS_PENDING || irp->IoStatus.Status == -1)
        ver_complain("irp-status", "completed with status %#x at %s", irp->IoStatus.Status,
                     ver_where(caller));
    if (__atomic_load_n(&irp->CancelRoutine, __ATOMIC_ACQUIRE))
        ver_complain("irp-cancel", "completed with a cancel routine set, at %s", ver_where(caller));
    if (irp->CurrentLocation > irp->StackCount)
        ver_stop("irp", "completed by nobody's stack location, at %s", ver_where(caller));
}

static BOOLEAN wants_call(PIRP irp, PIO_STACK_LOCATION s)
{
    if (!s->CompletionRoutine)
        return FALSE;
    if (__atomic_load_n(&irp->Cancel, __ATOMIC_RELAXED) && (s->Control & SL_INVOKE_ON_CANCEL))
        return TRUE;
    return (s->Control &
            (NT_SUCCESS(irp->IoStatus.Status) ? SL_INVOKE_ON_SUCCESS : SL_INVOKE_ON_ERROR)) != 0;
}

static NTSTATUS call_completion(PIRP irp, PIO_STACK_LOCATION s, BOOLEAN top)
{
    PIO_COMPLETION_ROUTINE routine = s->CompletionRoutine;
    uint64_t irql = thr_self()->irql;
    struct nt_guard g = nt_enter((KIRQL)irql);
    NTSTATUS status = routine(top ? NULL : s[1].DeviceObject, irp, s->Context);

    nt_leave(&g, (KIRQL)irql, "completion routine", (PVOID)routine);
    return status;
}

/* The owner's turn: keep what it wants to know, and let the IRP go. */
static void finish(PIRP irp)
{
    struct irp_box *b = box_of(irp);
    struct nt_outcome *o = b->outcome;
    PIO_STATUS_BLOCK user = irp->UserIosb;
    PKEVENT event = irp->UserEvent;
    BOOLEAN cancelling;

    irp->Type = IRP_COMPLETED;
    if (o) {
        o->status = irp->IoStatus.Status;
        o->information = irp->IoStatus.Information;
        o->marked_pending = b->marked_pending;
        if (o->finish)
            o->finish(o, irp);
        k_lock();
        cancelling = o->cancelling > 0;
        o->left_behind = cancelling;
        if (!cancelling)
            o->irp = NULL;
        k_unlock();
        if (!cancelling)
            free_irp(irp);
        k_lock();
        o->done = TRUE;
        if (o->has_returned)
            judge(o);
        k_wake();
        k_unlock();
        return;
    }
    if (user)
        *user = irp->IoStatus;
    (void)ver_give(VER_IRP, irp, NULL);
    free_irp(irp);
    if (event)
        KeSetEvent(event, 0, FALSE);
}

VOID FASTCALL IofCompleteRequest(PIRP irp, CCHAR boost)
{
    (void)boost;
    check_completion(irp, CALLER);
    while (irp->CurrentLocation <= irp->StackCount) {
        PIO_STACK_LOCATION s = irp->Tail.Overlay.CurrentStackLocation++;
        BOOLEAN top = ++irp->CurrentLocation > irp->StackCount;

        irp->PendingReturned = (s->Control & SL_PENDING_RETURNED) != 0;
        if (top)
            box_of(irp)->marked_pending = irp->PendingReturned;
        if (wants_call(irp, s)) {
            if (call_completion(irp, s, top) == STATUS_MORE_PROCESSING_REQUIRED)
                return;
        } else if (irp->PendingReturned && !top) {
            s[1].Control |= SL_PENDING_RETURNED;
        }
    }
    finish(irp);
}

/* ---- the bench's own requests ---------------------------------------------------------------- */

PIRP nt_irp_new(PDEVICE_OBJECT top, UCHAR major, UCHAR minor, struct nt_outcome *o)
{
    PIRP irp = new_irp(top->StackSize, NULL);

    RtlZeroMemory(o, sizeof(*o));
    box_of(irp)->outcome = o;
    o->irp = irp;
    irp->RequestorMode = KernelMode;
    IoGetNextIrpStackLocation(irp)->MajorFunction = major;
    IoGetNextIrpStackLocation(irp)->MinorFunction = minor;
    return irp;
}

/* The return value of the dispatch routine against what became of the IRP; with the big lock. */
static void judge(const struct nt_outcome *o)
{
    if (o->returned == STATUS_PENDING) {
        if (!o->marked_pending)
            ver_complain("irp-pending", "%u.%u: STATUS_PENDING without IoMarkIrpPending", o->major,
                         o->minor);
        return;
    }
    if (o->marked_pending)
        ver_complain("irp-pending", "%u.%u: marked pending, but returned %#x", o->major, o->minor,
                     o->returned);
    if (o->status != o->returned)
        ver_complain("irp-status", "%u.%u: returned %#x, completed with %#x", o->major, o->minor,
                     o->returned, o->status);
}

NTSTATUS nt_irp_send(PDEVICE_OBJECT top, PIRP irp, struct nt_outcome *o)
{
    NTSTATUS status;

    o->major = IoGetNextIrpStackLocation(irp)->MajorFunction;
    o->minor = IoGetNextIrpStackLocation(irp)->MinorFunction;
    status = IofCallDriver(top, irp);
    k_lock();
    o->returned = status;
    o->has_returned = TRUE;
    if (o->done)
        judge(o);
    else if (status != STATUS_PENDING)
        ver_stop("irp-pending", "%u.%u: returned %#x and did not complete the IRP", o->major,
                 o->minor, status);
    k_unlock();
    return status;
}

BOOLEAN nt_outcome_wait(struct nt_outcome *o, ULONG ms)
{
    uint64_t until = clk_real_us() + (uint64_t)ms * 1000 * bench_patience();
    BOOLEAN done;

    k_lock();
    while (!o->done && clk_real_us() < until)
        k_wait(clk_now() + 100000);
    done = o->done;
    k_unlock();
    return done;
}

void nt_outcome_cancel(struct nt_outcome *o)
{
    PIRP irp;
    BOOLEAN ours;

    k_lock();
    irp = o->irp;
    if (irp)
        o->cancelling++;
    k_unlock();
    if (!irp)
        return;
    IoCancelIrp(irp);
    k_lock();
    ours = --o->cancelling == 0 && o->left_behind;
    if (ours)
        o->irp = NULL;
    k_unlock();
    if (ours)
        free_irp(irp);
}

/* ---- cancelling ------------------------------------------------------------------------------ */

VOID NTAPI IoAcquireCancelSpinLock(PKIRQL irql)
{
    *irql = KeAcquireSpinLockRaiseToDpc(&cancel_lock);
}

VOID NTAPI IoReleaseCancelSpinLock(KIRQL irql)
{
    KeReleaseSpinLock(&cancel_lock, irql);
}

BOOLEAN NTAPI IoCancelIrp(PIRP irp)
{
    struct thr *t = thr_self();
    struct nt_guard g = {t->irql, t->n_locks};
    PDRIVER_CANCEL routine;
    KIRQL irql;

    IoAcquireCancelSpinLock(&irql);
    __atomic_store_n(&irp->Cancel, TRUE, __ATOMIC_RELAXED); /* drivers look without the lock */
    routine = (PDRIVER_CANCEL)IoSetCancelRoutine(irp, NULL);
    if (!routine) {
        IoReleaseCancelSpinLock(irql);
        return FALSE;
    }
    irp->CancelIrql = irql;
    routine(IoGetCurrentIrpStackLocation(irp)->DeviceObject, irp);
    nt_leave(&g, irql, "cancel routine", (PVOID)routine);
    return TRUE;
}

/* ---- the driver's own requests --------------------------------------------------------------- */

PIRP NTAPI IoBuildSynchronousFsdRequest(ULONG major, PDEVICE_OBJECT device, PVOID buffer,
                                        ULONG length, PLARGE_INTEGER offset, PKEVENT event,
                                        PIO_STATUS_BLOCK iosb)
{
    PIRP irp;

    (void)buffer;
    (void)length;
    (void)offset;
    nt_irql("IoBuildSynchronousFsdRequest", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (fail_now())
        return NULL;
    irp = new_irp(device->StackSize, CALLER);
    irp->UserEvent = event;
    irp->UserIosb = iosb;
    IoGetNextIrpStackLocation(irp)->MajorFunction = (UCHAR)major;
    ver_take(VER_IRP, irp, major, CALLER);
    return irp;
}

PIRP NTAPI IoAllocateIrp(CCHAR stack_size, BOOLEAN charge)
{
    PIRP irp;

    (void)charge;
    nt_irql("IoAllocateIrp", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (fail_now())
        return NULL;
    irp = new_irp(stack_size, CALLER);
    ver_take(VER_IRP, irp, 0, CALLER);
    return irp;
}

VOID NTAPI IoFreeIrp(PIRP irp)
{
    if (!ver_give(VER_IRP, irp, NULL))
        ver_complain("irp", "IoFreeIrp of another's IRP at %s", ver_where(CALLER));
    free_irp(irp);
}

static NTSTATUS NTAPI forwarded(PDEVICE_OBJECT device, PIRP irp, PVOID event)
{
    (void)device;
    (void)irp;
    KeSetEvent(event, 0, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

BOOLEAN NTAPI IoForwardIrpSynchronously(PDEVICE_OBJECT device, PIRP irp)
{
    KEVENT event;

    nt_irql("IoForwardIrpSynchronously", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (irp->CurrentLocation <= 1)
        return FALSE;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, forwarded, &event, TRUE, TRUE, TRUE);
    IofCallDriver(device, irp);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    return TRUE;
}

/* ---- power requests -------------------------------------------------------------------------- */

struct power_request {
    PDEVICE_OBJECT device, top;
    UCHAR minor;
    POWER_STATE state;
    PREQUEST_POWER_COMPLETE done;
    PVOID context;
};

static HOST void send_power(void *arg)
{
    struct power_request r = *(struct power_request *)arg;
    struct nt_outcome o;
    IO_STATUS_BLOCK iosb;
    PIRP irp;

    bench_free(arg);
    irp = nt_irp_new(r.top, IRP_MJ_POWER, r.minor, &o);
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    IoGetNextIrpStackLocation(irp)->Parameters.Power.Type = DevicePowerState;
    IoGetNextIrpStackLocation(irp)->Parameters.Power.State = r.state;
    (void)nt_irp_send(r.top, irp, &o);
    while (!nt_outcome_wait(&o, 1000))
        ;
    iosb.Status = o.status;
    iosb.Information = o.information;
    if (r.done) {
        struct nt_guard g = nt_enter(PASSIVE_LEVEL);

        r.done(r.device, r.minor, r.state, r.context, &iosb);
        nt_leave(&g, PASSIVE_LEVEL, "power completion", (PVOID)r.done);
    }
}

NTSTATUS NTAPI PoRequestPowerIrp(PDEVICE_OBJECT device, UCHAR minor, POWER_STATE state,
                                 PREQUEST_POWER_COMPLETE done, PVOID context, PIRP *irp)
{
    struct power_request *r;

    nt_irql("PoRequestPowerIrp", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (irp)
        *irp = NULL;
    if (fail_now())
        return STATUS_INSUFFICIENT_RESOURCES;
    r = bench_alloc(sizeof(*r));
    *r = (struct power_request){device, nt_top(device), minor, state, done, context};
    thr_start("power", send_power, r);
    return STATUS_PENDING;
}

POWER_STATE NTAPI PoSetPowerState(PDEVICE_OBJECT device, POWER_STATE_TYPE type, POWER_STATE state)
{
    (void)device;
    (void)type;
    nt_irql("PoSetPowerState", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    return state;
}
