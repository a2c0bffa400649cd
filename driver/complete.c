// SPDX-License-Identifier: BSD-3-Clause
/*
 * complete.c - what comes back from the device
 *
 * Theory of operation
 *
 *   The queue's DPC takes used chains in batches under the lock, and finishes them without it: unmap,
 *   make a status of the reply, complete the IRP. Then the slots are freed together and the line moves
 *   up. Only when the ring is empty does it ask for the next interrupt, and looks once more.
 *
 *   A used element that does not belong to a chain in flight, or claims more bytes than were offered,
 *   means that the device cannot be trusted with the rest either: the device is reset (device.c).
 *
 * Locks: drv_queue.lock, inside.
 */
#include "driver/drv.h"

#define BATCH  64u /* chains taken at once */
#define ROUNDS 16u /* batches before other DPCs get a turn */

/*
 * Take up to a batch of used chains.
 * Return: 1 when there may be more, 0 when the ring is empty and an interrupt will tell of the next,
 * -RING_EPROTO when the device broke its contract.
 */
static int collect(struct drv_queue *q, LIST_ENTRY *done)
{
    int rc = 0;

    KeAcquireSpinLockAtDpcLevel(&q->lock);
    if (q->armed && !q->distrusted) {
        uint32_t n = 0;
        uint32_t used_len;
        void *token;

        ring_drv_no_interrupts(&q->ring);
        while (n < BATCH && (rc = ring_drv_get(&q->ring, &token, &used_len)) == 1) {
            struct drv_slot *slot = token;

            slot->used_len = used_len;
            slot->state = DRV_SLOT_PREPARING;
            q->in_flight -= !slot->may_block;
            q->completions++;
            n++;
            if (drv_slot_claim(slot))
                InsertTailList(done, &slot->link);
        }
        if (rc == 0)
            rc = ring_drv_want_interrupt(&q->ring);
        else if (rc < 0)
            q->distrusted = true;
    }
    KeReleaseSpinLockFromDpcLevel(&q->lock);
    return rc;
}

/** drv_queue_dpc() - a queue's interrupt happened, or was shared. IRQL: DISPATCH_LEVEL. */
void NTAPI drv_queue_dpc(KDPC *dpc, void *context, void *arg1, void *arg2)
{
    struct drv_queue *q = context;
    LIST_ENTRY done;
    int rc = 1;

    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(arg1);
    UNREFERENCED_PARAMETER(arg2);
    for (uint32_t i = 0; i < ROUNDS && rc > 0; i++) {
        InitializeListHead(&done);
        rc = collect(q, &done);
        drv_finish_list(q, &done);
    }
    if (rc > 0)
        KeInsertQueueDpc(&q->dpc, NULL, NULL);
    else if (rc < 0)
        drv_device_broken(q->dev, DRV_WHY_USED_RING, q->index);
}

/**
 * drv_slot_finish() - unmap, and complete the IRP if there is one
 *
 * The caller has the slot, and frees it. IRQL: <= DISPATCH_LEVEL, no lock.
 */
void drv_slot_finish(struct drv_slot *slot)
{
    struct drv_device *dev = slot->queue->dev;
    ULONG_PTR information = 0;
    NTSTATUS status = slot->status;

    drv_unmap_slot(slot);
    if (slot->irp) {
        if (NT_SUCCESS(status))
            status = drv_request_reply(slot, &information);
        drv_irp_done(dev, slot->irp, status, information);
    } else if (slot->kind == DRV_KIND_DESTROY) {
        drv_session_destroyed(dev);
    }
}

/**
 * drv_finish_list() - finish slots of one queue, free them, and start what waited for them
 *
 * IRQL: <= DISPATCH_LEVEL, no lock.
 */
void drv_finish_list(struct drv_queue *q, LIST_ENTRY *done)
{
    bool waiting;
    KIRQL irql;

    if (IsListEmpty(done))
        return;
    for (LIST_ENTRY *e = done->Flink; e != done; e = e->Flink)
        drv_slot_finish(CONTAINING_RECORD(e, struct drv_slot, link));

    KeAcquireSpinLock(&q->lock, &irql);
    while (!IsListEmpty(done))
        drv_slot_put(CONTAINING_RECORD(RemoveHeadList(done), struct drv_slot, link));
    waiting = !IsListEmpty(&q->waiting) || !IsListEmpty(&q->blocked);
    KeReleaseSpinLock(&q->lock, irql);

    if (waiting)
        drv_pump(q);
    if (drv_load(&q->dev->interrupts_due) > 0)
        drv_interrupts_send(q->dev);
    if (q->index == VIRTIO_FS_QUEUE_REQUEST)
        drv_session_send_destroy(q->dev);
}
