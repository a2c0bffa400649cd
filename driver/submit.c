// SPDX-License-Identifier: BSD-3-Clause
/*
 * submit.c - the way of a request to the device
 *
 * Theory of operation
 *
 *   drv_submit() gives an IRP a slot if one is free and nobody waits, else a place in line. A slot is built
 *   (request.c) and mapped (dma.c) without the lock; drv_slot_ready() then puts it into the ring. Whoever
 *   frees slots calls drv_pump(), which starts those that wait; only one thread pumps a queue at a time,
 *   so a start that fails and frees its slot does not recurse. While it pumps, chains are added to the
 *   ring unseen, and one publication and one kick at the end serve the whole batch.
 *
 *   The cancel routine of an IRP is set exactly while the IRP stands in the line, is blocked, or is with
 *   the device, and is set and cleared under the queue's lock. See cancel.c.
 *
 * Locks: drv_queue.lock, inside.
 */
#include "driver/drv.h"

/* Make what was added visible. Return: true if the caller, having released the lock, must ring. */
static bool publish(struct drv_queue *q)
{
    if (q->pumping || q->hushed || !q->armed || !ring_drv_publish(&q->ring))
        return false;
    drv_add(&q->kickers, 1);
    return true;
}

static void ring_doorbell(struct drv_queue *q)
{
    WRITE_REGISTER_USHORT(q->doorbell, q->index);
    drv_add(&q->kickers, -1);
}

/* A free slot, taken, or NULL. Lock held. */
static struct drv_slot *take(struct drv_queue *q)
{
    struct drv_slot *slot;

    if (IsListEmpty(&q->free))
        return NULL;
    slot = CONTAINING_RECORD(RemoveHeadList(&q->free), struct drv_slot, link);
    slot->state = DRV_SLOT_PREPARING;
    slot->irp = NULL;
    slot->owned = slot->may_block = slot->returned = slot->cancel_ran = slot->interrupt_due = false;
    slot->status = STATUS_SUCCESS;
    slot->used_len = slot->request_len = slot->reply_room = 0;
    slot->user = NULL;
    slot->user_len = 0;
    slot->map[DRV_MAP_OUT].mdl = slot->map[DRV_MAP_IN].mdl = NULL;
    q->busy++;
    return slot;
}

static void attach(struct drv_slot *slot, IRP *irp)
{
    slot->irp = irp;
    irp->Tail.Overlay.DriverContext[DRV_CTX_SLOT] = slot;
}

/* Build and map; ends in drv_slot_ready() or drv_slot_fail(). IRQL: <= DISPATCH_LEVEL, no lock. */
static void start(struct drv_slot *slot)
{
    NTSTATUS status = drv_request_build(slot);

    if (!NT_SUCCESS(status))
        drv_slot_fail(slot, status);
    else if (slot->map[DRV_MAP_OUT].mdl || slot->map[DRV_MAP_IN].mdl)
        drv_map_slot(slot);
    else
        drv_slot_ready(slot);
}

/**
 * drv_submit() - send a checked IRP on its way
 *
 * The IRP is marked pending and holds the remove lock; it is completed in every case, perhaps before this
 * returns. IRQL: <= DISPATCH_LEVEL.
 */
void drv_submit(struct drv_queue *q, IRP *irp)
{
    FILE_OBJECT *file = IoGetCurrentIrpStackLocation(irp)->FileObject;
    struct drv_slot *slot = NULL;
    NTSTATUS status = STATUS_SUCCESS;
    KIRQL irql;

    irp->Tail.Overlay.DriverContext[DRV_CTX_QUEUE] = q;
    irp->Tail.Overlay.DriverContext[DRV_CTX_SLOT] = NULL;
    KeAcquireSpinLock(&q->lock, &irql);
    if (!q->open) {
        status = q->closed_status;
    } else if (!drv_session_owns(q->dev, file)) {
        status = STATUS_CANCELLED; /* the handle was closed meanwhile, and its requests swept */
    } else if (q->hold || !IsListEmpty(&q->waiting) || !(slot = take(q))) {
        IoSetCancelRoutine(irp, drv_cancel);
        if (drv_load(&irp->Cancel) && IoSetCancelRoutine(irp, NULL)) {
            status = STATUS_CANCELLED;
        } else {
            /* also when a cancel routine is on its way: it finds the IRP here */
            InsertTailList(&q->waiting, &irp->Tail.Overlay.ListEntry);
        }
    } else {
        attach(slot, irp);
    }
    KeReleaseSpinLock(&q->lock, irql);

    if (!NT_SUCCESS(status))
        drv_irp_done(q->dev, irp, status, 0);
    else if (slot)
        start(slot);
}

/* Fill q->segs. Return: their number, 0 when they would not fit an empty ring. Lock held. */
static uint32_t segments(struct drv_slot *slot, bool *indirect, uint32_t *n_out)
{
    struct drv_queue *q = slot->queue;
    uint32_t n = drv_slot_segments(slot, q->segs, n_out);

    /* one segment needs one descriptor either way */
    *indirect = n > 1 && (q->dev->features >> RING_F_INDIRECT_DESC & 1);
    return *indirect || n <= q->size ? n : 0;
}

/* Into the ring. Return: 0, -RING_ENOSPC for later, -RING_EINVAL for never. Lock held. */
static int add(struct drv_slot *slot)
{
    struct drv_queue *q = slot->queue;
    uint32_t n_out = 0;
    bool indirect;
    uint32_t n = segments(slot, &indirect, &n_out);
    int rc;

    if (n == 0)
        return -RING_EINVAL;
    rc = ring_drv_add(&q->ring, q->segs, n_out, n - n_out, indirect ? slot->table : NULL,
                      slot->table_bus, slot);
    if (rc == 0) {
        slot->state = DRV_SLOT_DEVICE;
        q->in_flight += !slot->may_block;
    }
    return rc;
}

/* As add(), but behind the slots that wait for descriptors. Lock held. */
static int add_in_turn(struct drv_slot *slot)
{
    uint32_t n_out;
    bool indirect;

    if (IsListEmpty(&slot->queue->blocked))
        return add(slot);
    return segments(slot, &indirect, &n_out) > 0 ? -RING_ENOSPC : -RING_EINVAL;
}

/* May this slot still go, and is its IRP to be cancellable from now on? Lock held. */
static NTSTATUS admit(struct drv_slot *slot)
{
    struct drv_queue *q = slot->queue;

    if (!q->open)
        return q->closed_status;
    if (!slot->irp)
        return STATUS_SUCCESS;
    if (!drv_session_owns(q->dev, IoGetCurrentIrpStackLocation(slot->irp)->FileObject))
        return STATUS_CANCELLED;
    IoSetCancelRoutine(slot->irp, drv_cancel);
    if (drv_load(&slot->irp->Cancel) && IoSetCancelRoutine(slot->irp, NULL))
        return STATUS_CANCELLED;
    return STATUS_SUCCESS;
}

/**
 * drv_slot_ready() - a built and mapped slot goes to the device, or fails
 *
 * The slot is not the caller's any more. IRQL: <= DISPATCH_LEVEL.
 */
void drv_slot_ready(struct drv_slot *slot)
{
    struct drv_queue *q = slot->queue;
    bool kick = false;
    NTSTATUS status;
    KIRQL irql;

    KeAcquireSpinLock(&q->lock, &irql);
    status = admit(slot);
    if (NT_SUCCESS(status)) {
        int rc = add_in_turn(slot);

        if (rc == -RING_ENOSPC) {
            slot->state = DRV_SLOT_BLOCKED;
            InsertTailList(&q->blocked, &slot->link);
        } else if (rc != 0) {
            slot->status = status = STATUS_INVALID_BUFFER_SIZE;
            if (!drv_slot_claim(slot)) /* a cancel routine finishes it, with this status */
                status = STATUS_SUCCESS;
        } else {
            kick = publish(q);
        }
    }
    KeReleaseSpinLock(&q->lock, irql);
    if (kick)
        ring_doorbell(q);
    if (!NT_SUCCESS(status))
        drv_slot_fail(slot, status);
}

/**
 * drv_slot_fail() - end a slot in PREPARING that the caller has, with @status
 *
 * IRQL: <= DISPATCH_LEVEL.
 */
void drv_slot_fail(struct drv_slot *slot, NTSTATUS status)
{
    LIST_ENTRY done;

    InitializeListHead(&done);
    slot->status = status;
    InsertTailList(&done, &slot->link);
    drv_finish_list(slot->queue, &done);
}

/** drv_slot_take() - a slot for a message of the driver's own, or NULL. IRQL: <= DISPATCH_LEVEL. */
struct drv_slot *drv_slot_take(struct drv_queue *q)
{
    struct drv_slot *slot;
    KIRQL irql;

    KeAcquireSpinLock(&q->lock, &irql);
    slot = q->open && !q->hold ? take(q) : NULL;
    KeReleaseSpinLock(&q->lock, irql);
    return slot;
}

/** drv_slot_put() - to the free slots. IRQL: DISPATCH_LEVEL, queue's lock held. */
void drv_slot_put(struct drv_slot *slot)
{
    struct drv_queue *q = slot->queue;

    if (slot->interrupt_due) {
        slot->interrupt_due = false; /* too late */
        drv_add(&q->dev->interrupts_due, -1);
    }
    slot->state = DRV_SLOT_FREE;
    slot->irp = NULL;
    InsertHeadList(&q->free, &slot->link); /* the warmest memory first */
    if (--q->busy == 0 && q->drain_wanted) {
        q->drain_wanted = false;
        KeSetEvent(&q->drained, IO_NO_INCREMENT, FALSE);
    }
}

/**
 * drv_slot_claim() - does the caller finish this slot?
 *
 * Return: true when there is no IRP or nobody else will complete it; false when its cancel routine is on
 * its way and finishes the slot (@slot->returned is then set). IRQL: DISPATCH_LEVEL, queue's lock held.
 */
bool drv_slot_claim(struct drv_slot *slot)
{
    if (!slot->irp || slot->cancel_ran || IoSetCancelRoutine(slot->irp, NULL))
        return true;
    slot->returned = true;
    return false;
}

/* Put blocked slots into the ring, in order, as far as they fit. Lock held. */
static void unblock(struct drv_queue *q)
{
    while (!IsListEmpty(&q->blocked)) {
        struct drv_slot *slot = CONTAINING_RECORD(q->blocked.Flink, struct drv_slot, link);

        if (add(slot) != 0) /* -RING_ENOSPC: it would fit an empty ring */
            break;
        RemoveEntryList(q->blocked.Flink);
    }
}

/* The next IRP in line with a slot, ready to be started, or NULL. Lock held. */
static struct drv_slot *next(struct drv_queue *q)
{
    while (q->open && !q->hold && !IsListEmpty(&q->waiting) && !IsListEmpty(&q->free)) {
        LIST_ENTRY *e = RemoveHeadList(&q->waiting);
        IRP *irp = CONTAINING_RECORD(e, IRP, Tail.Overlay.ListEntry);
        struct drv_slot *slot;

        InitializeListHead(e);
        if (!IoSetCancelRoutine(irp, NULL))
            continue; /* its cancel routine is on its way and completes it */
        slot = take(q);
        attach(slot, irp);
        return slot;
    }
    return NULL;
}

/** drv_pump() - start what waits, as far as slots and descriptors go. IRQL: <= DISPATCH_LEVEL, no lock. */
void drv_pump(struct drv_queue *q)
{
    struct drv_slot *slot;
    bool kick;
    KIRQL irql;

    KeAcquireSpinLock(&q->lock, &irql);
    if (q->pumping || !q->armed) {
        KeReleaseSpinLock(&q->lock, irql);
        return;
    }
    q->pumping = true;
    unblock(q);
    while ((slot = next(q)) != NULL) {
        KeReleaseSpinLock(&q->lock, irql);
        start(slot);
        KeAcquireSpinLock(&q->lock, &irql);
    }
    q->pumping = false;
    kick = publish(q);
    KeReleaseSpinLock(&q->lock, irql);
    if (kick)
        ring_doorbell(q);
}

/** drv_slot_return() - give back a slot of drv_slot_take() unused. IRQL: <= DISPATCH_LEVEL, no lock. */
void drv_slot_return(struct drv_slot *slot)
{
    struct drv_queue *q = slot->queue;
    KIRQL irql;

    KeAcquireSpinLock(&q->lock, &irql);
    drv_slot_put(slot);
    KeReleaseSpinLock(&q->lock, irql);
    drv_pump(q);
}
