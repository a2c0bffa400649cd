// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_interrupt.c - connecting and delivering interrupts
 *
 * Theory of operation
 *
 *   A message-based connection gets the messages that the PDO was granted; without any, the request falls
 *   back to the line, as IoConnectInterruptEx does, and says so in Version. Service routines run on the
 *   device's thread at DIRQL with the interrupt's spin lock held.
 */
#include "tests/nt-bench/nt.h"

#define DIRQL        8
#define MAX_MESSAGES 64
#define VECTOR_BASE  0x70

struct nt_interrupt {
    PDEVICE_OBJECT pdo;
    ULONG version;
    ULONG messages;
    PKMESSAGE_SERVICE_ROUTINE message_routine;
    PKSERVICE_ROUTINE line_routine;
    PVOID context;
    KSPIN_LOCK lock[MAX_MESSAGES];
    struct _KINTERRUPT {
        struct nt_interrupt *owner;
        ULONG message;
    } object[MAX_MESSAGES];
};

static HOST void on_message(void *ctx, uint32_t message)
{
    struct nt_interrupt *i = ctx;
    struct nt_guard g = nt_enter(DIRQL);
    BOOLEAN claimed;

    KeAcquireSpinLockAtDpcLevel(&i->lock[message]);
    claimed = i->message_routine(&i->object[message], i->context, message);
    if (!claimed)
        ver_complain("interrupt", "message %u was not claimed", message);
    KeReleaseSpinLockFromDpcLevel(&i->lock[message]);
    nt_leave(&g, DIRQL, "message service routine", (PVOID)i->message_routine);
}

static HOST bool on_line(void *ctx)
{
    struct nt_interrupt *i = ctx;
    struct nt_guard g = nt_enter(DIRQL);
    BOOLEAN claimed;

    KeAcquireSpinLockAtDpcLevel(&i->lock[0]);
    claimed = i->line_routine(&i->object[0], i->context);
    KeReleaseSpinLockFromDpcLevel(&i->lock[0]);
    nt_leave(&g, DIRQL, "service routine", (PVOID)i->line_routine);
    return claimed;
}

static PIO_INTERRUPT_MESSAGE_INFO make_table(struct nt_interrupt *i)
{
    ULONG n = i->messages;
    PIO_INTERRUPT_MESSAGE_INFO t;
    size_t size = sizeof(*t) + n * sizeof(t->MessageInfo[0]);
    IO_INTERRUPT_MESSAGE_INFO_ENTRY *entry;

    t = mem_alloc(MEM_BENCH, size, 0, 0, CALLER);
    RtlZeroMemory(t, size);
    t->UnifiedIrql = DIRQL;
    t->MessageCount = n;
    entry = t->MessageInfo;
    for (ULONG m = 0; m < n; m++, entry++) {
        entry->MessageAddress.QuadPart = 0xfee00000;
        entry->TargetProcessorSet = 1;
        entry->InterruptObject = &i->object[m];
        entry->MessageData = entry->Vector = VECTOR_BASE + m;
        entry->Irql = DIRQL;
        entry->Mode = Latched;
        entry->Polarity = InterruptActiveHigh;
    }
    return t;
}

static struct nt_interrupt *make(PDEVICE_OBJECT pdo, ULONG messages, PVOID context)
{
    struct nt_interrupt *i = bench_alloc(sizeof(*i));

    i->pdo = pdo;
    i->messages = messages;
    i->context = context;
    for (ULONG m = 0; m < MAX_MESSAGES; m++) {
        i->object[m].owner = i;
        i->object[m].message = m;
    }
    return i;
}

static void connect(struct nt_pdo *p, struct nt_interrupt *i)
{
    struct vdev_irq irq = {on_message, on_line, i};

    p->interrupt = i;
    vdev_connect(p->device, &irq, i->messages);
}

static NTSTATUS connect_messages(PIO_CONNECT_INTERRUPT_PARAMETERS p, const void *caller)
{
    struct nt_pdo *pdo = nt_pdo_of(p->MessageBased.PhysicalDeviceObject);
    struct nt_interrupt *i;

    if (!pdo->messages && !p->MessageBased.FallBackServiceRoutine)
        return STATUS_NOT_FOUND;
    i = make(p->MessageBased.PhysicalDeviceObject, pdo->messages, p->MessageBased.ServiceContext);
    i->message_routine = p->MessageBased.MessageServiceRoutine;
    i->line_routine = p->MessageBased.FallBackServiceRoutine;
    if (pdo->messages) {
        pdo->table = make_table(i);
        *p->MessageBased.ConnectionContext.InterruptMessageTable = pdo->table;
        ver_take(VER_INTERRUPT, pdo->table, 0, caller);
    } else {
        p->Version = CONNECT_LINE_BASED;
        *p->MessageBased.ConnectionContext.InterruptObject = &i->object[0];
        ver_take(VER_INTERRUPT, &i->object[0], 0, caller);
    }
    i->version = p->Version;
    connect(pdo, i);
    return STATUS_SUCCESS;
}

static NTSTATUS connect_line(PIO_CONNECT_INTERRUPT_PARAMETERS p, const void *caller)
{
    struct nt_pdo *pdo = nt_pdo_of(p->LineBased.PhysicalDeviceObject);
    struct nt_interrupt *i;

    if (pdo->messages)
        return STATUS_NOT_FOUND;
    i = make(p->LineBased.PhysicalDeviceObject, 0, p->LineBased.ServiceContext);
    i->line_routine = p->LineBased.ServiceRoutine;
    i->version = p->Version;
    *p->LineBased.InterruptObject = &i->object[0];
    ver_take(VER_INTERRUPT, &i->object[0], 0, caller);
    connect(pdo, i);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI IoConnectInterruptEx(PIO_CONNECT_INTERRUPT_PARAMETERS p)
{
    nt_irql("IoConnectInterruptEx", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (fail_now())
        return STATUS_INSUFFICIENT_RESOURCES;
    if (p->Version == CONNECT_MESSAGE_BASED)
        return connect_messages(p, CALLER);
    if (p->Version == CONNECT_LINE_BASED)
        return connect_line(p, CALLER);
    ver_complain("interrupt", "connection of version %u at %s", p->Version, ver_where(CALLER));
    return STATUS_NOT_SUPPORTED;
}

VOID NTAPI IoDisconnectInterruptEx(PIO_DISCONNECT_INTERRUPT_PARAMETERS p)
{
    PVOID key = p->ConnectionContext.Generic;
    struct nt_interrupt *i;
    struct nt_pdo *pdo;

    nt_irql("IoDisconnectInterruptEx", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (!ver_give(VER_INTERRUPT, key, NULL)) {
        ver_complain("interrupt", "disconnected at %s but not connected", ver_where(CALLER));
        return;
    }
    i = p->Version == CONNECT_MESSAGE_BASED
            ? ((PIO_INTERRUPT_MESSAGE_INFO)key)->MessageInfo[0].InterruptObject->owner
            : ((PKINTERRUPT)key)->owner;
    if (p->Version != i->version)
        ver_stop("interrupt", "disconnected at %s with version %u", ver_where(CALLER), p->Version);
    pdo = nt_pdo_of(i->pdo);
    vdev_disconnect(pdo->device);
    pdo->interrupt = NULL;
    if (pdo->table)
        mem_free(MEM_BENCH, pdo->table);
    pdo->table = NULL;
    bench_free(i);
}

KIRQL NTAPI KeAcquireInterruptSpinLock(PKINTERRUPT object)
{
    struct thr *t = thr_self();
    KIRQL old = (KIRQL)t->irql;

    nt_irql("KeAcquireInterruptSpinLock", PASSIVE_LEVEL, DIRQL, CALLER);
    t->irql = DIRQL;
    KeAcquireSpinLockAtDpcLevel(&object->owner->lock[object->message]);
    return old;
}

VOID NTAPI KeReleaseInterruptSpinLock(PKINTERRUPT object, KIRQL old)
{
    KeReleaseSpinLockFromDpcLevel(&object->owner->lock[object->message]);
    thr_self()->irql = old;
}
