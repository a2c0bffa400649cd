// SPDX-License-Identifier: BSD-3-Clause
/*
 * dma.c - callers' buffers as the device sees them
 *
 * Theory of operation
 *
 *   Payload is not copied: the pages of the caller's MDL are mapped through the DMA adapter, whose
 *   addresses need not be physical ones, into a list that lives in the slot.
 *
 *   The adapter may call back later, when map registers come free. And it wants one caller at a time for
 *   a device, which must not be inside the callback (GetScatterGatherList's documentation; the same
 *   machinery serves BuildScatterGatherList). So there is a gate: drv_device.mapping is the slot that is
 *   being mapped, others stand in map_waiting, and whoever finishes one goes on with the next. With 64-bit
 *   addresses the callback has always happened when BuildScatterGatherList returns; when it has not, a DPC
 *   of ours goes on from there.
 *
 * Ownership: a list belongs to its slot from drv_map_slot() to drv_unmap_slot().
 * Locks: drv_device.map_lock, inside, for the gate.
 */
#include "driver/drv.h"

/* AdapterListControl: the list is there. IRQL: DISPATCH_LEVEL. */
static void NTAPI mapped(DEVICE_OBJECT *object, IRP *irp, SCATTER_GATHER_LIST *list, void *context)
{
    struct drv_map *map = context;

    UNREFERENCED_PARAMETER(irp);
    map->list = list;
    if (drv_swap(&map->phase, DRV_MAP_MAPPED) == DRV_MAP_LATE)
        KeInsertQueueDpc(&drv_of(object)->map_dpc, NULL, NULL);
}

/*
 * Map what the slot has not mapped yet. Return: STATUS_PENDING when map_dpc goes on later.
 * IRQL: DISPATCH_LEVEL, through the gate.
 */
static NTSTATUS build(struct drv_slot *slot)
{
    struct drv_device *dev = slot->queue->dev;

    for (int i = 0; i < DRV_MAPS; i++) {
        struct drv_map *map = &slot->map[i];
        NTSTATUS status;

        if (!map->mdl || map->list)
            continue;
        drv_store(&map->phase, DRV_MAP_BUILDING);
        status = dev->dma->DmaOperations->BuildScatterGatherList(
            dev->dma, dev->self, map->mdl, map->va, map->len, mapped, map, i == DRV_MAP_OUT,
            map->list_buffer, dev->list_len);
        if (!NT_SUCCESS(status))
            return status;
        if (drv_swap(&map->phase, DRV_MAP_LATE) == DRV_MAP_BUILDING)
            return STATUS_PENDING;
    }
    return STATUS_SUCCESS;
}

/* Map @slot and those that come behind it. IRQL: DISPATCH_LEVEL, @slot is dev->mapping. */
static void run(struct drv_device *dev, struct drv_slot *slot)
{
    while (slot) {
        struct drv_slot *next = NULL;
        NTSTATUS status = build(slot);

        if (status == STATUS_PENDING)
            return;
        KeAcquireSpinLockAtDpcLevel(&dev->map_lock);
        if (!IsListEmpty(&dev->map_waiting))
            next = CONTAINING_RECORD(RemoveHeadList(&dev->map_waiting), struct drv_slot, link);
        dev->mapping = next;
        KeReleaseSpinLockFromDpcLevel(&dev->map_lock);

        if (NT_SUCCESS(status))
            drv_slot_ready(slot);
        else
            drv_slot_fail(slot, status);
        slot = next;
    }
}

/** drv_map_dpc() - a list came late; go on with its slot. IRQL: DISPATCH_LEVEL. */
void NTAPI drv_map_dpc(KDPC *dpc, void *context, void *arg1, void *arg2)
{
    struct drv_device *dev = context;

    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(arg1);
    UNREFERENCED_PARAMETER(arg2);
    run(dev, dev->mapping);
}

/* The slot has one list buffer; the rare request that maps both ways allocates another. */
static NTSTATUS list_buffers(struct drv_slot *slot)
{
    void *own = slot->list_buffer;

    for (int i = 0; i < DRV_MAPS; i++) {
        struct drv_map *map = &slot->map[i];

        map->list = NULL;
        map->own_list = false;
        if (!map->mdl)
            continue;
        map->list_buffer = own;
        if (!own) {
            map->list_buffer =
                ExAllocatePoolWithTag(NonPagedPoolNx, slot->queue->dev->list_len, DRV_TAG);
            map->own_list = map->list_buffer != NULL;
        }
        if (!map->list_buffer)
            return STATUS_INSUFFICIENT_RESOURCES;
        own = NULL;
    }
    return STATUS_SUCCESS;
}

/**
 * drv_map_slot() - map the slot's buffers; ends in drv_slot_ready() or drv_slot_fail(), perhaps later
 *
 * IRQL: <= DISPATCH_LEVEL, no lock.
 */
void drv_map_slot(struct drv_slot *slot)
{
    struct drv_device *dev = slot->queue->dev;
    NTSTATUS status = list_buffers(slot);
    bool first;
    KIRQL irql;

    if (!NT_SUCCESS(status)) {
        drv_slot_fail(slot, status);
        return;
    }
    KeRaiseIrql(DISPATCH_LEVEL, &irql); /* BuildScatterGatherList wants it */
    KeAcquireSpinLockAtDpcLevel(&dev->map_lock);
    first = !dev->mapping;
    if (first)
        dev->mapping = slot;
    else
        InsertTailList(&dev->map_waiting, &slot->link);
    KeReleaseSpinLockFromDpcLevel(&dev->map_lock);
    if (first)
        run(dev, slot);
    KeLowerIrql(irql);
}

/** drv_unmap_slot() - undo drv_map_slot(), also a part of it. IRQL: <= DISPATCH_LEVEL. */
void drv_unmap_slot(struct drv_slot *slot)
{
    struct drv_device *dev = slot->queue->dev;

    for (int i = 0; i < DRV_MAPS; i++) {
        struct drv_map *map = &slot->map[i];
        KIRQL irql;

        if (!map->mdl)
            continue;
        if (map->list) {
            KeRaiseIrql(DISPATCH_LEVEL, &irql);
            dev->dma->DmaOperations->PutScatterGatherList(dev->dma, map->list, i == DRV_MAP_OUT);
            KeLowerIrql(irql);
        }
        if (map->own_list)
            ExFreePoolWithTag(map->list_buffer, DRV_TAG);
        if (map->own_mdl)
            IoFreeMdl(map->mdl);
        map->list = NULL;
        map->own_list = map->own_mdl = false;
        map->mdl = NULL;
    }
}

/* Append a run, or lengthen the last one of the same direction. Return: false when there is no room. */
static bool seg_add(struct ring_bus_seg *segs, uint32_t *n, uint32_t group, uint64_t addr,
                    uint32_t len)
{
    if (len == 0)
        return true;
    if (*n > group && segs[*n - 1].addr + segs[*n - 1].len == addr &&
        len <= UINT32_MAX - segs[*n - 1].len) {
        segs[*n - 1].len += len;
        return true;
    }
    if (*n == DRV_MAX_SEGS)
        return false;
    segs[*n].addr = addr;
    segs[*n].len = len;
    (*n)++;
    return true;
}

/* Append a mapped buffer. */
static bool map_add(struct ring_bus_seg *segs, uint32_t *n, uint32_t group,
                    const struct drv_map *map)
{
    const SCATTER_GATHER_ELEMENT *e;

    if (!map->mdl)
        return true;
    e = map->list->Elements; /* a pointer: gcc believes the header's array of one */
    for (ULONG i = 0; i < map->list->NumberOfElements; i++)
        if (!seg_add(segs, n, group, (uint64_t)e[i].Address.QuadPart, e[i].Length))
            return false;
    return true;
}

/**
 * drv_slot_segments() - a slot as runs of bus addresses: header, data, reply header, payload
 * @segs:  DRV_MAX_SEGS of them
 * @n_out: set to the number that the device reads; they come first
 *
 * Return: number of segments, 0 when they are too many. IRQL: <= DISPATCH_LEVEL.
 */
uint32_t drv_slot_segments(struct drv_slot *slot, struct ring_bus_seg *segs, uint32_t *n_out)
{
    uint32_t n = 0;

    if (!seg_add(segs, &n, 0, slot->request_bus, slot->request_len) ||
        !map_add(segs, &n, 0, &slot->map[DRV_MAP_OUT]))
        return 0;
    *n_out = n;
    if (!seg_add(segs, &n, *n_out, slot->reply_bus, slot->reply_room) ||
        !map_add(segs, &n, *n_out, &slot->map[DRV_MAP_IN]))
        return 0;
    return n;
}
