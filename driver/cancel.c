// SPDX-License-Identifier: BSD-3-Clause
/*
 * cancel.c - requests that nobody waits for any more
 *
 * Theory of operation
 *
 *   Where an IRP is when its cancel routine gets the queue's lock decides what happens:
 *
 *   in line              it leaves the line and ends.
 *   blocked              its slot leaves the list and ends.
 *   with the device,
 *     slot owns buffers  the IRP ends at once; the slot stays with the device without it. (A lock that is
 *                        waited for is called off by FUSE_INTERRUPT: nobody would hold it.)
 *     caller's pages     the device is asked to hurry (FUSE_INTERRUPT, once) and the IRP waits for it:
 *                        the pages stay locked until the device gave them back or was reset.
 *   back already         the DPC found the cancel routine gone from the IRP and left the slot to us
 *                        (drv_slot_claim()); the request ends with its real result.
 *
 *   Whoever clears the cancel routine of an IRP, the DPC or one of the routines here, completes it; the
 *   I/O manager clears it before it calls us. A request whose cancel routine has run and found the
 *   device using the caller's pages (cancel_ran) belongs to the DPC again.
 *
 *   Cleanup of a handle and the watchdog sweep a queue: the same decisions for many requests.
 *
 * Locks: drv_queue.lock, inside; never those of two queues at once.
 */
#include "driver/drv.h"

/*
 * Decide about an IRP whose request the device has, and whose cancel routine is cleared. Lock held.
 * Return: true if it ends now; false if it waits for the device.
 */
static bool let_go(struct drv_slot *slot)
{
    if (!slot->owned || slot->may_block) {
        slot->interrupt_due = true;
        drv_add(&slot->queue->dev->interrupts_due, 1);
    }
    if (slot->owned)
        slot->irp = NULL;
    else
        slot->cancel_ran = true;
    return slot->owned;
}

/** drv_cancel() - cancel routine of every IRP in our hands. IRQL: DISPATCH_LEVEL, cancel lock held. */
void NTAPI drv_cancel(DEVICE_OBJECT *object, IRP *irp)
{
    struct drv_device *dev = drv_of(object);
    struct drv_queue *q = irp->Tail.Overlay.DriverContext[DRV_CTX_QUEUE];
    struct drv_slot *slot, *finish = NULL;
    bool done = true;
    KIRQL irql;

    IoReleaseCancelSpinLock(irp->CancelIrql);
    KeAcquireSpinLock(&q->lock, &irql);
    slot = irp->Tail.Overlay.DriverContext[DRV_CTX_SLOT];
    if (!slot) {
        RemoveEntryList(&irp->Tail.Overlay.ListEntry);
    } else if (slot->returned) {
        finish = slot;
    } else if (slot->state == DRV_SLOT_BLOCKED) {
        RemoveEntryList(&slot->link);
        slot->state = DRV_SLOT_PREPARING;
        slot->status = STATUS_CANCELLED;
        finish = slot;
    } else {
        done = let_go(slot);
    }
    KeReleaseSpinLock(&q->lock, irql);

    if (finish)
        drv_slot_fail(finish, finish->status);
    else if (done)
        drv_irp_done(dev, irp, STATUS_CANCELLED, 0);
    drv_interrupts_send(dev);
}

/* Is this IRP of the file that is swept? NULL sweeps all. */
static bool matches(IRP *irp, FILE_OBJECT *file)
{
    return !file || IoGetCurrentIrpStackLocation(irp)->FileObject == file;
}

/* Move IRPs that stand in line to @irps. Lock held. */
static void sweep_waiting(struct drv_queue *q, FILE_OBJECT *file, LIST_ENTRY *irps)
{
    LIST_ENTRY *next;

    for (LIST_ENTRY *e = q->waiting.Flink; e != &q->waiting; e = next) {
        IRP *irp = CONTAINING_RECORD(e, IRP, Tail.Overlay.ListEntry);

        next = e->Flink;
        if (matches(irp, file) && IoSetCancelRoutine(irp, NULL)) {
            RemoveEntryList(e);
            InsertTailList(irps, e);
        }
    }
}

/*
 * Decide about one slot. Lock held. The IRP of one that is neither blocked nor with the device is in other
 * hands, and perhaps completed already.
 */
static void sweep_slot(struct drv_slot *slot, FILE_OBJECT *file, LIST_ENTRY *irps,
                       LIST_ENTRY *slots, NTSTATUS status)
{
    IRP *irp = slot->irp;

    if (slot->state != DRV_SLOT_DEVICE && slot->state != DRV_SLOT_BLOCKED)
        return;
    if (!irp || slot->cancel_ran || !matches(irp, file))
        return;
    if (!file && (!slot->owned || slot->may_block) && slot->state == DRV_SLOT_DEVICE)
        return; /* of a stalled device only what can be let go, and is no lock that is waited for */
    if (!IoSetCancelRoutine(irp, NULL))
        return; /* its cancel routine is on its way */
    if (slot->state == DRV_SLOT_BLOCKED) {
        RemoveEntryList(&slot->link);
        slot->state = DRV_SLOT_PREPARING;
        slot->status = status;
        InsertTailList(slots, &slot->link);
    } else if (let_go(slot)) {
        InsertTailList(irps, &irp->Tail.Overlay.ListEntry);
    }
}

/* End what can be ended of @file, or of all, with @status. IRQL: <= DISPATCH_LEVEL. */
static void sweep(struct drv_queue *q, FILE_OBJECT *file, NTSTATUS status)
{
    LIST_ENTRY irps, slots;
    KIRQL irql;

    InitializeListHead(&irps);
    InitializeListHead(&slots);
    KeAcquireSpinLock(&q->lock, &irql);
    sweep_waiting(q, file, &irps);
    for (uint32_t i = 0; q->slots && i < q->size; i++)
        sweep_slot(&q->slots[i], file, &irps, &slots, status);
    KeReleaseSpinLock(&q->lock, irql);

    while (!IsListEmpty(&irps)) {
        LIST_ENTRY *e = RemoveHeadList(&irps);
        drv_irp_done(q->dev, CONTAINING_RECORD(e, IRP, Tail.Overlay.ListEntry), status, 0);
    }
    drv_finish_list(q, &slots);
}

/** drv_cancel_file() - cancel all requests of a handle that is being closed. IRQL: <= DISPATCH_LEVEL. */
void drv_cancel_file(struct drv_device *dev, FILE_OBJECT *file)
{
    for (uint32_t i = 0; i < drv_n_queues(dev); i++)
        sweep(&dev->queue[i], file, STATUS_CANCELLED);
    drv_interrupts_send(dev);
}

/** drv_cancel_stalled() - the device does not respond: let go who can be let go. IRQL: <= DISPATCH_LEVEL. */
void drv_cancel_stalled(struct drv_device *dev)
{
    for (uint32_t i = 0; i < drv_n_queues(dev); i++)
        sweep(&dev->queue[i], NULL, STATUS_IO_TIMEOUT);
}

/* Find a request that is to be interrupted and is still with the device. */
static bool next_due(struct drv_device *dev, uint64_t *unique)
{
    for (uint32_t n = VIRTIO_FS_QUEUE_REQUEST; n < drv_n_queues(dev); n++) {
        struct drv_queue *q = &dev->queue[n];
        bool found = false;
        KIRQL irql;

        KeAcquireSpinLock(&q->lock, &irql);
        for (uint32_t i = 0; q->slots && i < q->size && !found; i++) {
            struct drv_slot *slot = &q->slots[i];

            if (!slot->interrupt_due)
                continue;
            slot->interrupt_due = false;
            drv_add(&dev->interrupts_due, -1);
            found = slot->state == DRV_SLOT_DEVICE;
            *unique = slot->unique;
        }
        KeReleaseSpinLock(&q->lock, irql);
        if (found)
            return true;
    }
    return false;
}

/**
 * drv_interrupts_send() - send FUSE_INTERRUPT for the requests that want one, as far as slots go
 *
 * Called again whenever slots came free. IRQL: <= DISPATCH_LEVEL, no lock.
 */
void drv_interrupts_send(struct drv_device *dev)
{
    while (drv_load(&dev->interrupts_due) > 0) {
        struct drv_slot *slot = drv_slot_take(&dev->queue[VIRTIO_FS_QUEUE_HIPRIO]);
        struct drv_fuse_interrupt_in *arg;
        struct drv_fuse_in *in;
        uint64_t unique;

        if (!slot)
            return;
        slot->kind = DRV_KIND_INTERRUPT;
        if (!next_due(dev, &unique)) {
            drv_slot_return(slot);
            return;
        }
        in = (void *)slot->request;
        arg = (void *)(in + 1);
        slot->request_len = sizeof(*in) + sizeof(*arg);
        RtlZeroMemory(in, slot->request_len);
        in->len = slot->request_len;
        in->opcode = DRV_FUSE_INTERRUPT;
        in->unique = unique | 1ull << 63; /* no reply comes; it only must not be a request's own */
        arg->unique = unique;
        drv_slot_ready(slot);
    }
}
