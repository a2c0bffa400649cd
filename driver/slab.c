// SPDX-License-Identifier: BSD-3-Clause
/*
 * slab.c - memory that the device reads and writes, all of it allocated before the first request
 *
 * Theory of operation
 *
 *   A queue has one common buffer for its ring, and chunks of 64 KiB, each cut into slots. (One buffer for
 *   all slots would ask for megabytes of contiguous memory, which a machine that has run for a while does
 *   not have.) Each slot also gets a buffer for one scatter/gather list, of the size that the DMA adapter
 *   names for the largest transfer.
 *
 *   Memory is kept while the device sleeps or recovers, and used again if the device still has queues of
 *   the same size.
 *
 * Ownership: from drv_queue_alloc() to drv_queue_free(), which the caller may call only when the device
 * can no longer reach memory.   Locks: the caller holds drv_device.state; the queue is not armed.
 */
#include "driver/drv.h"

static void *pool(size_t len)
{
    void *p = ExAllocatePoolWithTag(NonPagedPoolNx, len, DRV_TAG);

    if (p)
        RtlZeroMemory(p, len);
    return p;
}

static void pool_free(void *p)
{
    if (p)
        ExFreePoolWithTag(p, DRV_TAG);
}

static void *common(struct drv_device *dev, ULONG len, PHYSICAL_ADDRESS *bus)
{
    void *p = dev->dma->DmaOperations->AllocateCommonBuffer(dev->dma, len, bus, TRUE);

    if (p)
        RtlZeroMemory(p, len);
    return p;
}

static void common_free(struct drv_device *dev, ULONG len, PHYSICAL_ADDRESS bus, void *p)
{
    if (p)
        dev->dma->DmaOperations->FreeCommonBuffer(dev->dma, len, bus, p, TRUE);
}

/**
 * drv_dma_open() - get the DMA adapter and learn its limits
 *
 * Sets @dev->dma, list_len, dma_transfer. IRQL: PASSIVE_LEVEL.
 */
NTSTATUS drv_dma_open(struct drv_device *dev)
{
    DEVICE_DESCRIPTION d;
    ULONG registers = 0, need = 0;
    NTSTATUS status;

    RtlZeroMemory(&d, sizeof(d));
    d.Version = DEVICE_DESCRIPTION_VERSION2;
    d.Master = TRUE;
    d.ScatterGather = TRUE;
    d.Dma32BitAddresses = TRUE;
    d.Dma64BitAddresses = TRUE;
    d.InterfaceType = PCIBus;
    d.MaximumLength = DRV_MAX_MAPPED;
    dev->dma = IoGetDmaAdapter(dev->pdo, &d, &registers);
    if (!dev->dma)
        return STATUS_INSUFFICIENT_RESOURCES;

    /* The worst alignment: the first byte is the last one of its page. */
    status = dev->dma->DmaOperations->CalculateScatterGatherList(
        dev->dma, NULL, (void *)(ULONG_PTR)(PAGE_SIZE - 1), DRV_MAX_MAPPED, &dev->list_len, &need);
    if (NT_SUCCESS(status) && registers < 2)
        status = STATUS_INSUFFICIENT_RESOURCES;
    if (!NT_SUCCESS(status)) {
        drv_dma_close(dev);
        return status;
    }
    dev->dma_transfer = DRV_MAX_TRANSFER;
    if (registers <= DRV_MAX_TRANSFER / PAGE_SIZE)
        dev->dma_transfer = (registers - 1) * PAGE_SIZE;
    return STATUS_SUCCESS;
}

/** drv_dma_close() - give the adapter back, after all that was allocated through it. IRQL: PASSIVE_LEVEL. */
void drv_dma_close(struct drv_device *dev)
{
    if (dev->dma)
        dev->dma->DmaOperations->PutDmaAdapter(dev->dma);
    dev->dma = NULL;
}

/* Cut chunk @n into @size slots or as many as fit. */
static NTSTATUS chunk_alloc(struct drv_queue *q, struct drv_slot *slots, uint32_t size, uint32_t n)
{
    struct drv_chunk *c = &q->chunks[n];
    uint32_t first = n * DRV_CHUNK_SLOTS;

    c->va = common(q->dev, DRV_CHUNK_BYTES, &c->bus);
    c->lists = ExAllocatePoolWithTag(NonPagedPoolNx, (SIZE_T)DRV_CHUNK_SLOTS * q->dev->list_len,
                                     DRV_TAG); /* as it is: the adapter fills what is used */
    if (!c->va || !c->lists)
        return STATUS_INSUFFICIENT_RESOURCES;
    for (uint32_t i = 0; i < DRV_CHUNK_SLOTS && first + i < size; i++) {
        struct drv_slot *slot = &slots[first + i];
        uint8_t *va = (uint8_t *)c->va + i * DRV_SLOT_BYTES;
        uint64_t bus = (uint64_t)c->bus.QuadPart + i * DRV_SLOT_BYTES;

        slot->queue = q;
        slot->request = va;
        slot->request_bus = bus;
        slot->reply = va + DRV_SLOT_REPLY_AT;
        slot->reply_bus = bus + DRV_SLOT_REPLY_AT;
        slot->table = (struct ring_desc *)(void *)(va + DRV_SLOT_TABLE_AT);
        slot->table_bus = bus + DRV_SLOT_TABLE_AT;
        slot->list_buffer = (uint8_t *)c->lists + (size_t)i * q->dev->list_len;
        InsertTailList(&q->free, &slot->link);
    }
    return STATUS_SUCCESS;
}

/* The sweeps of cancel.c look at the slots of any queue at any time: both change together. */
static void set_slots(struct drv_queue *q, struct drv_slot *slots, uint32_t size)
{
    KIRQL irql;

    KeAcquireSpinLock(&q->lock, &irql);
    q->slots = slots;
    q->size = size;
    KeReleaseSpinLock(&q->lock, irql);
}

/**
 * drv_queue_alloc() - give a queue memory for a ring of @size entries and as many requests
 *
 * Keeps what it has if the size is the same. After an error nothing is held. IRQL: PASSIVE_LEVEL.
 */
NTSTATUS drv_queue_alloc(struct drv_queue *q, uint32_t size)
{
    NTSTATUS status = STATUS_SUCCESS;
    struct drv_slot *slots;

    if (q->size == size)
        return STATUS_SUCCESS;
    drv_queue_free(q);
    q->n_chunks = (size + (uint32_t)DRV_CHUNK_SLOTS - 1) / (uint32_t)DRV_CHUNK_SLOTS;
    /* descriptors, available ring, and on a page of its own (the device writes it) the used ring */
    q->ring_len = (ULONG)(DRV_PAGE_UP(ring_desc_bytes(size) + ring_avail_bytes(size)) +
                          ring_used_bytes(size));
    q->ring_mem = common(q->dev, q->ring_len, &q->ring_bus);
    q->ring_slots = pool(size * sizeof(*q->ring_slots));
    q->segs = pool(DRV_MAX_SEGS * sizeof(*q->segs));
    q->chunks = pool(q->n_chunks * sizeof(*q->chunks));
    slots = pool(size * sizeof(*slots));
    if (!q->ring_mem || !q->ring_slots || !q->segs || !slots || !q->chunks)
        status = STATUS_INSUFFICIENT_RESOURCES;
    for (uint32_t n = 0; n < q->n_chunks && NT_SUCCESS(status); n++)
        status = chunk_alloc(q, slots, size, n);
    set_slots(q, slots, size);
    if (!NT_SUCCESS(status))
        drv_queue_free(q);
    return status;
}

/** drv_queue_free() - undo drv_queue_alloc(), also a part of it. IRQL: PASSIVE_LEVEL. */
void drv_queue_free(struct drv_queue *q)
{
    struct drv_device *dev = q->dev;
    struct drv_slot *slots = q->slots;

    set_slots(q, NULL, 0);
    InitializeListHead(&q->free);
    for (uint32_t n = 0; q->chunks && n < q->n_chunks; n++) {
        common_free(dev, DRV_CHUNK_BYTES, q->chunks[n].bus, q->chunks[n].va);
        pool_free(q->chunks[n].lists);
    }
    common_free(dev, q->ring_len, q->ring_bus, q->ring_mem);
    pool_free(q->ring_slots);
    pool_free(q->segs);
    pool_free(slots);
    pool_free(q->chunks);
    q->ring_mem = NULL;
    q->ring_slots = NULL;
    q->segs = NULL;
    q->chunks = NULL;
    q->n_chunks = 0;
}
