// SPDX-License-Identifier: BSD-3-Clause
/*
 * device.c - the device as a whole: brought up, taken down, recovered
 *
 * Theory of operation
 *
 *   drv_device_start() takes resources (registers, DMA adapter, interrupts), drv_device_arm() brings
 *   virtio up and opens the queues, drv_device_disarm() closes them, resets the device and takes every
 *   request back, drv_device_release() gives resources and memory back. Start and removal use all four;
 *   sleep and recovery use the middle two and keep the memory.
 *
 *   After disarm the device cannot reach memory: it was reset, or is gone, or its bus master bit was
 *   cleared. Should none of that work, its memory is given up for good rather than given to someone else.
 *
 *   A device that breaks its contract or asks for a reset is recovered by a work item: disarm, arm, and the
 *   session is gone (the epoch says so). After a few of these it counts as failed: the PnP manager is told.
 *
 * Locks: drv_device.state is held by the callers of start, release, arm and disarm.
 */
#include "driver/drv.h"

/** drv_device_lock() - enter the state mutex. IRQL: PASSIVE_LEVEL. */
void drv_device_lock(struct drv_device *dev)
{
    KeWaitForSingleObject(&dev->state, Executive, KernelMode, FALSE, NULL);
}

/** drv_device_unlock() - IRQL: PASSIVE_LEVEL. */
void drv_device_unlock(struct drv_device *dev)
{
    KeReleaseMutex(&dev->state, FALSE);
}

/* How many request queues to use: no more than processors, each worth having. */
static uint32_t count_queues(const struct virtio_fs_config *config)
{
    uint32_t n = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);

    if (n > config->num_request_queues)
        n = config->num_request_queues;
    if (n > DRV_MAX_REQUEST_QUEUES)
        n = DRV_MAX_REQUEST_QUEUES;
    return n > 0 ? n : 1;
}

/* Entries of queue @i of @n: what the device offers, within the bound on memory. */
static uint32_t queue_entries(struct drv_device *dev, uint32_t i, uint32_t n)
{
    uint32_t size = drv_virtio_queue_size(dev, (uint16_t)i);
    uint32_t most = i == VIRTIO_FS_QUEUE_HIPRIO ? DRV_HIPRIO_SIZE : DRV_MAX_QUEUE_SIZE;

    while (size > most || (i != VIRTIO_FS_QUEUE_HIPRIO && size > DRV_MAX_SLOTS / n))
        size /= 2;
    return size;
}

static NTSTATUS arm_queues(struct drv_device *dev, uint32_t n_requests)
{
    NTSTATUS status = STATUS_SUCCESS;
    uint32_t i;

    for (i = 0; i <= n_requests && NT_SUCCESS(status); i++) {
        struct drv_queue *q = &dev->queue[i];
        uint32_t size = queue_entries(dev, i, n_requests);

        status = size > 0 ? drv_queue_alloc(q, size) : STATUS_DEVICE_CONFIGURATION_ERROR;
        if (NT_SUCCESS(status))
            status = drv_queue_arm(q);
        if (NT_SUCCESS(status))
            status = drv_virtio_queue_enable(dev, q);
    }
    if (!NT_SUCCESS(status)) {
        drv_log(dev, IO_ERR_CONFIGURATION_ERROR,
                status == STATUS_INSUFFICIENT_RESOURCES ? DRV_WHY_MEMORY : DRV_WHY_QUEUE, i - 1);
        return status;
    }
    for (; i < DRV_MAX_QUEUES; i++)
        drv_queue_free(&dev->queue[i]);
    drv_store(&dev->n_queues, n_requests + 1);
    return STATUS_SUCCESS;
}

/*
 * Payload of the largest request. A chain may be no longer than its queue (virtio 1.2, 2.7.5.3.1), which is
 * what callers are told. With indirect tables more is accepted, up to what a slot holds: callers of
 * virtio-win's interface ask nobody, and devices take it (docs/driver.md).
 */
static void limit_transfer(struct drv_device *dev)
{
    uint32_t most = dev->dma_transfer;

    for (uint32_t i = VIRTIO_FS_QUEUE_REQUEST; i < drv_n_queues(dev); i++) {
        /* two headers, and one page more than the length for a buffer that starts inside one */
        uint32_t pages = dev->queue[i].size > 4 ? dev->queue[i].size - 3 : 1;

        most = min(most, pages * PAGE_SIZE);
    }
    drv_store(&dev->max_transfer, most);
    drv_store(&dev->most_payload,
              dev->features >> RING_F_INDIRECT_DESC & 1 ? dev->dma_transfer : most);
}

/*
 * Does the device use the addresses that the adapter gives us? Without ACCESS_PLATFORM it takes them for
 * physical ones (virtio 1.2, 6.1), and would write to somebody else's memory where a DMA remapper is at work.
 */
static NTSTATUS check_addresses(struct drv_device *dev)
{
    struct drv_queue *q = &dev->queue[VIRTIO_FS_QUEUE_HIPRIO];

    if ((dev->features >> VIRTIO_F_ACCESS_PLATFORM & 1) ||
        MmGetPhysicalAddress(q->ring_mem).QuadPart == q->ring_bus.QuadPart)
        return STATUS_SUCCESS;
    drv_log(dev, IO_ERR_CONFIGURATION_ERROR, DRV_WHY_TRANSLATED, 0);
    return STATUS_DEVICE_CONFIGURATION_ERROR;
}

/* From reset to DRIVER_OK (virtio 1.2, 3.1.1). */
static NTSTATUS bring_up(struct drv_device *dev)
{
    struct virtio_fs_config config;
    NTSTATUS status = drv_virtio_reset(dev);

    if (NT_SUCCESS(status))
        status = drv_virtio_negotiate(dev);
    if (NT_SUCCESS(status))
        status = drv_virtio_config(dev, &config);
    if (!NT_SUCCESS(status))
        return status;
    drv_session_set_tag(dev, &config);
    status = drv_virtio_config_vector(dev);
    if (NT_SUCCESS(status))
        status = arm_queues(dev, count_queues(&config));
    if (NT_SUCCESS(status))
        status = check_addresses(dev);
    if (!NT_SUCCESS(status)) {
        drv_virtio_add_status(dev, VIRTIO_STATUS_FAILED);
        return status;
    }
    limit_transfer(dev);
    drv_virtio_add_status(dev, VIRTIO_STATUS_DRIVER_OK);
    return STATUS_SUCCESS;
}

/*
 * Make sure that the device does not touch memory any more. Also one that says it was reset loses its bus
 * master bit until it is armed again: the word of a device is not enough to free memory on.
 * Return: false if that cannot be had.
 */
static bool quiet(struct drv_device *dev)
{
    NTSTATUS status = drv_virtio_reset(dev);
    bool cut_off = drv_pci_bus_master(dev, false);

    if (NT_SUCCESS(status))
        return true;
    if (status == STATUS_DEVICE_NOT_CONNECTED && drv_pci_gone(dev)) {
        drv_log(dev, IO_ERR_NOT_READY, DRV_WHY_GONE, 0);
        return true;
    }
    drv_log(dev, IO_ERR_RESET, DRV_WHY_RESET_STUCK, drv_virtio_status(dev));
    drv_swap(&dev->failed, 1);
    return cut_off;
}

/**
 * drv_device_arm() - bring virtio up and open the queues
 *
 * IRQL: PASSIVE_LEVEL, state mutex held, resources are there. After an error the device is reset.
 */
NTSTATUS drv_device_arm(struct drv_device *dev)
{
    NTSTATUS status = STATUS_DEVICE_CONFIGURATION_ERROR;

    if (drv_pci_bus_master(dev, true))
        status = bring_up(dev);
    drv_store(&dev->armed, true); /* for disarm, also of a part */
    drv_swap(&dev->broken, 0);
    if (!NT_SUCCESS(status)) {
        drv_device_disarm(dev, STATUS_DEVICE_NOT_READY, false);
        return status;
    }
    for (uint32_t i = 0; i < drv_n_queues(dev); i++)
        drv_queue_open(&dev->queue[i]);
    drv_watch_start(dev);
    return STATUS_SUCCESS;
}

/**
 * drv_device_disarm() - close the queues, reset the device, end every request
 * @status:  for the requests that could not end by themselves, and for those to come
 * @quiesce: give them time to
 *
 * IRQL: PASSIVE_LEVEL, state mutex held. On return the device does not touch memory.
 */
void drv_device_disarm(struct drv_device *dev, NTSTATUS status, bool quiesce)
{
    bool drained = true;

    for (uint32_t i = 0; i < DRV_MAX_QUEUES; i++)
        drv_queue_close(&dev->queue[i], status);
    if (!dev->armed)
        return;
    drv_watch_stop(dev);
    for (uint32_t i = 0; quiesce && drained && i < DRV_MAX_QUEUES; i++)
        drained = drv_queue_drain(&dev->queue[i], DRV_QUIESCE_MS);
    for (uint32_t i = 0; i < DRV_MAX_QUEUES; i++)
        drv_queue_hush(&dev->queue[i]);
    if (!quiet(dev))
        dev->memory_lost = true;
    drv_store(&dev->armed, false);
    KeFlushQueuedDpcs();
    for (uint32_t i = 0; i < DRV_MAX_QUEUES; i++)
        drv_queue_reclaim(&dev->queue[i], status);
    drv_session_lost(dev);
}

/**
 * drv_device_start() - take the resources and bring the device up
 *
 * IRQL: PASSIVE_LEVEL, state mutex held. After an error nothing is held.
 */
NTSTATUS drv_device_start(struct drv_device *dev, CM_RESOURCE_LIST *raw,
                          CM_RESOURCE_LIST *translated)
{
    NTSTATUS status = STATUS_DEVICE_NOT_READY;

    if (!dev->memory_lost)
        status = drv_pci_map(dev, raw, translated);
    if (!NT_SUCCESS(status))
        return status;
    dev->resources = true;
    dev->recoveries = 0;
    drv_swap(&dev->failed, 0);
    status = drv_virtio_reset(dev); /* before an interrupt line can be stuck on us */
    if (NT_SUCCESS(status))
        status = drv_dma_open(dev);
    if (NT_SUCCESS(status))
        status = drv_interrupt_connect(dev);
    if (NT_SUCCESS(status))
        status = drv_device_arm(dev);
    if (!NT_SUCCESS(status))
        drv_device_release(dev);
    return status;
}

/** drv_device_release() - give everything back; disarmed. IRQL: PASSIVE_LEVEL, state mutex held. */
void drv_device_release(struct drv_device *dev)
{
    if (!dev->resources)
        return;
    dev->resources = false;
    drv_interrupt_disconnect(dev);
    KeFlushQueuedDpcs();
    if (!dev->memory_lost) {
        for (uint32_t i = 0; i < DRV_MAX_QUEUES; i++)
            drv_queue_free(&dev->queue[i]);
        drv_dma_close(dev);
    }
    drv_pci_unmap(dev);
}

/**
 * drv_device_broken() - the device cannot be used as it is: recover it
 *
 * Once, whoever finds out first. IRQL: <= DISPATCH_LEVEL, no lock.
 */
void drv_device_broken(struct drv_device *dev, enum drv_reason why, uint32_t detail)
{
    if (drv_swap(&dev->broken, 1) != 0)
        return;
    drv_log(dev, IO_ERR_CONTROLLER_ERROR, why, detail);
    if (!NT_SUCCESS(IoAcquireRemoveLock(&dev->remove_lock, dev->recover_work)))
        return; /* being removed: it is reset anyway */
    for (uint32_t i = 0; i < DRV_MAX_QUEUES; i++)
        drv_queue_close(&dev->queue[i], STATUS_IO_DEVICE_ERROR);
    IoQueueWorkItem(dev->recover_work, drv_device_recover, DelayedWorkQueue, dev);
}

/*
 * One more recovery. A host may replace its daemon every day for years, and each time the device asks for a reset;
 * one that asks again and again as soon as it runs is broken. Return: may it be tried? State mutex held.
 */
static bool may_recover(struct drv_device *dev)
{
    uint32_t now = (uint32_t)drv_load(&dev->watch.ticks);
    uint32_t forgiven = (now - dev->recovered_tick) / DRV_FORGIVE_TICKS;

    dev->recoveries -= min(dev->recoveries, forgiven);
    dev->recovered_tick = now;
    return ++dev->recoveries <= DRV_MAX_RECOVERIES && !drv_load(&dev->failed);
}

/** drv_device_recover() - work item: reset the device and start over. IRQL: PASSIVE_LEVEL. */
void NTAPI drv_device_recover(DEVICE_OBJECT *object, void *context)
{
    struct drv_device *dev = context;

    UNREFERENCED_PARAMETER(object);
    drv_device_lock(dev);
    if (dev->armed) {
        drv_device_disarm(dev, STATUS_IO_DEVICE_ERROR, false);
        if (!may_recover(dev) || !NT_SUCCESS(drv_device_arm(dev))) {
            drv_swap(&dev->failed, 1);
            drv_log(dev, IO_ERR_CONTROLLER_ERROR, DRV_WHY_GAVE_UP, dev->recoveries);
            IoInvalidateDeviceState(dev->pdo);
        } else {
            drv_log(dev, IO_ERR_RESET, DRV_WHY_RECOVERED, dev->recoveries);
        }
    }
    drv_device_unlock(dev);
    IoReleaseRemoveLock(&dev->remove_lock, dev->recover_work);
}

/**
 * drv_device_config_dpc() - the configuration changed, or somebody wonders: is the device well?
 *
 * The configuration of a file system device never changes while it runs, so the one thing that this can
 * mean is a device that asks for a reset (virtio 1.2, 2.1.2). IRQL: DISPATCH_LEVEL.
 */
void NTAPI drv_device_config_dpc(KDPC *dpc, void *context, void *arg1, void *arg2)
{
    struct drv_device *dev = context;
    uint8_t status;

    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(arg1);
    UNREFERENCED_PARAMETER(arg2);
    if (!drv_load(&dev->armed))
        return;
    status = drv_virtio_status(dev);
    if (status == VIRTIO_STATUS_GONE)
        drv_device_broken(dev, DRV_WHY_GONE, status);
    else if (status & VIRTIO_STATUS_NEEDS_RESET)
        drv_device_broken(dev, DRV_WHY_NEEDS_RESET, status);
}
