// SPDX-License-Identifier: BSD-3-Clause
/*
 * queue.c - the life of a virtqueue: armed, open, closed, drained, hushed, reclaimed
 *
 * Theory of operation
 *
 *   A queue is "armed" while its ring may be touched and "open" while requests may come in. It is closed
 *   first, with the status that later requests get, which also ends those that wait for a slot. What the
 *   device has may then end by itself (drain). Then it is hushed: no doorbell rings from there on, since a
 *   device that was reset must not be notified. Only after the reset, when the device cannot write any more,
 *   does drv_queue_reclaim() take the rest back.
 *
 *   The structure itself lives as long as the device object: its lock is always valid, so a request that
 *   comes late finds a closed queue instead of freed memory.
 *
 * Locks: drv_queue.lock, as each routine says.
 */
#include "driver/drv.h"

/** drv_queue_init() - make an empty, closed queue. IRQL: PASSIVE_LEVEL, once per device object. */
void drv_queue_init(struct drv_device *dev, struct drv_queue *q, uint16_t index)
{
    q->dev = dev;
    q->index = index;
    q->closed_status = STATUS_DEVICE_NOT_READY;
    KeInitializeSpinLock(&q->lock);
    KeInitializeEvent(&q->drained, NotificationEvent, FALSE);
    KeInitializeDpc(&q->dpc, drv_queue_dpc, q);
    InitializeListHead(&q->waiting);
    InitializeListHead(&q->blocked);
    InitializeListHead(&q->free);
}

/** drv_queue_arm() - lay out the ring; the queue stays closed. IRQL: PASSIVE_LEVEL, has memory. */
NTSTATUS drv_queue_arm(struct drv_queue *q)
{
    size_t used_at = DRV_PAGE_UP(ring_desc_bytes(q->size) + ring_avail_bytes(q->size));
    uint8_t *mem = q->ring_mem;
    int rc = ring_drv_init(&q->ring, q->size, mem, mem + ring_desc_bytes(q->size), mem + used_at,
                           q->ring_slots, q->dev->features);
    KIRQL irql;

    if (rc != 0)
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    KeAcquireSpinLock(&q->lock, &irql);
    q->armed = true;
    q->distrusted = q->hushed = false;
    KeReleaseSpinLock(&q->lock, irql);
    return STATUS_SUCCESS;
}

/** drv_queue_open() - let requests in. IRQL: PASSIVE_LEVEL, after DRIVER_OK. */
void drv_queue_open(struct drv_queue *q)
{
    KIRQL irql;

    KeAcquireSpinLock(&q->lock, &irql);
    q->open = true;
    q->hold = false;
    (void)ring_drv_want_interrupt(&q->ring);
    KeReleaseSpinLock(&q->lock, irql);
}

/**
 * drv_queue_close() - no more requests; those without a place in the ring end with @status
 *
 * IRQL: <= DISPATCH_LEVEL.
 */
void drv_queue_close(struct drv_queue *q, NTSTATUS status)
{
    LIST_ENTRY irps, blocked;
    KIRQL irql;

    InitializeListHead(&irps);
    InitializeListHead(&blocked);
    KeAcquireSpinLock(&q->lock, &irql);
    q->open = false;
    q->hold = false;
    q->closed_status = status;
    while (!IsListEmpty(&q->waiting)) {
        LIST_ENTRY *e = RemoveHeadList(&q->waiting);
        IRP *irp = CONTAINING_RECORD(e, IRP, Tail.Overlay.ListEntry);

        InitializeListHead(
            e); /* its cancel routine, if it is on its way, takes it out of no list */
        if (IoSetCancelRoutine(irp, NULL))
            InsertTailList(&irps, e);
    }
    while (!IsListEmpty(&q->blocked)) {
        struct drv_slot *slot =
            CONTAINING_RECORD(RemoveHeadList(&q->blocked), struct drv_slot, link);

        slot->state = DRV_SLOT_PREPARING;
        slot->status = status;
        if (drv_slot_claim(slot))
            InsertTailList(&blocked, &slot->link);
    }
    KeReleaseSpinLock(&q->lock, irql);

    while (!IsListEmpty(&irps)) {
        LIST_ENTRY *e = RemoveHeadList(&irps);
        drv_irp_done(q->dev, CONTAINING_RECORD(e, IRP, Tail.Overlay.ListEntry), status, 0);
    }
    drv_finish_list(q, &blocked);
}

/** drv_queue_hold() - let new requests wait, or go on with them. IRQL: <= DISPATCH_LEVEL. */
void drv_queue_hold(struct drv_queue *q, bool hold)
{
    KIRQL irql;

    KeAcquireSpinLock(&q->lock, &irql);
    q->hold = hold;
    KeReleaseSpinLock(&q->lock, irql);
    if (hold)
        return;
    drv_pump(q);
    drv_interrupts_send(q->dev);
    drv_session_send_destroy(q->dev);
}

/**
 * drv_queue_drain() - wait until no slot is in use
 * @ms: at most so long
 *
 * Return: true if none is. IRQL: PASSIVE_LEVEL. One thread at a time has a use for this: the holder of the
 * state mutex, or a cleanup while the queue is open; either way waiting longer than needed is harmless.
 */
bool drv_queue_drain(struct drv_queue *q, uint32_t ms)
{
    LARGE_INTEGER timeout;
    bool idle;
    KIRQL irql;

    KeAcquireSpinLock(&q->lock, &irql);
    idle = q->busy == 0;
    if (!idle) {
        q->drain_wanted = true;
        KeClearEvent(&q->drained);
    }
    KeReleaseSpinLock(&q->lock, irql);
    if (idle)
        return true;

    timeout.QuadPart = -10000LL * ms;
    KeWaitForSingleObject(&q->drained, Executive, KernelMode, FALSE, &timeout);
    KeAcquireSpinLock(&q->lock, &irql);
    idle = q->busy == 0;
    KeReleaseSpinLock(&q->lock, irql);
    return idle;
}

/**
 * drv_queue_hush() - the doorbell does not ring any more
 *
 * The driver notifies no device between its reset and DRIVER_OK (virtio 1.2, 3.1.1). On return no thread is
 * about to. IRQL: PASSIVE_LEVEL, state mutex held, queue closed.
 */
void drv_queue_hush(struct drv_queue *q)
{
    KIRQL irql;

    KeAcquireSpinLock(&q->lock, &irql);
    q->hushed = true;
    KeReleaseSpinLock(&q->lock, irql);
    while (drv_load(&q->kickers) > 0)
        drv_sleep(1);
}

/**
 * drv_queue_reclaim() - take everything back from a device that can no longer write
 * @status: for the requests that it had
 *
 * On return no slot is in use and the ring may be laid out anew.
 * IRQL: PASSIVE_LEVEL, state mutex held, queue closed and hushed.
 */
void drv_queue_reclaim(struct drv_queue *q, NTSTATUS status)
{
    struct drv_slot *slot;
    LIST_ENTRY done;
    KIRQL irql;

    InitializeListHead(&done);
    KeAcquireSpinLock(&q->lock, &irql);
    while (q->armed && (slot = ring_drv_reclaim(&q->ring)) != NULL) {
        slot->state = DRV_SLOT_PREPARING;
        slot->status = status;
        if (drv_slot_claim(slot))
            InsertTailList(&done, &slot->link);
    }
    q->armed = false;
    q->in_flight = 0;
    KeReleaseSpinLock(&q->lock, irql);
    drv_finish_list(q, &done);
    /* What is still busy is in the hands of a thread that runs, or waits for map registers. */
    while (!drv_queue_drain(q, 1))
        drv_sleep(1);
}

/** drv_queue_pick() - the request queue for this processor, or NULL before the first start. IRQL: any. */
struct drv_queue *drv_queue_pick(struct drv_device *dev)
{
    uint32_t n = drv_n_queues(dev);

    if (n < 2)
        return NULL;
    return &dev->queue[VIRTIO_FS_QUEUE_REQUEST + KeGetCurrentProcessorNumberEx(NULL) % (n - 1)];
}
