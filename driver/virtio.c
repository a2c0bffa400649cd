// SPDX-License-Identifier: BSD-3-Clause
/*
 * virtio.c - the common registers: reset, features, configuration, queues
 *
 * Theory of operation
 *
 *   The order of virtio 1.2, 3.1.1 is spread over drv_device_arm(), which calls the routines below one
 *   after the other: reset, ACKNOWLEDGE and DRIVER, features, FEATURES_OK and its second look, queues,
 *   DRIVER_OK. VERSION_1 is required; INDIRECT_DESC, EVENT_IDX and ACCESS_PLATFORM are taken when offered;
 *   nothing else is (a notification queue would move the request queues).
 *
 *   A 64-bit register is two 32-bit ones (4.1.3.1). Whatever is read may come from a device that lies or
 *   that is gone: all ones, which no valid status is.
 *
 * Locks: the caller holds drv_device.state, except for drv_virtio_status().
 */
#include "driver/drv.h"

#define CONFIG_TRIES 10 /* for a configuration that does not change while it is read */

static void write_u16(volatile uint16_t *reg, uint16_t value)
{
    WRITE_REGISTER_USHORT((volatile USHORT *)reg, value);
}

static void write_u32(volatile uint32_t *reg, uint32_t value)
{
    WRITE_REGISTER_ULONG((volatile ULONG *)reg, value);
}

static uint16_t read_u16(volatile uint16_t *reg)
{
    return READ_REGISTER_USHORT((volatile USHORT *)reg);
}

static uint32_t read_u32(volatile uint32_t *reg)
{
    return READ_REGISTER_ULONG((volatile ULONG *)reg);
}

/** drv_virtio_status() - the device status register. IRQL: any, while the BARs are mapped. */
uint8_t drv_virtio_status(struct drv_device *dev)
{
    return READ_REGISTER_UCHAR((volatile UCHAR *)&dev->pci.common->device_status);
}

/** drv_virtio_add_status() - set @bits. IRQL: PASSIVE_LEVEL. */
void drv_virtio_add_status(struct drv_device *dev, uint8_t bits)
{
    uint8_t status = (uint8_t)(drv_virtio_status(dev) | bits);

    WRITE_REGISTER_UCHAR((volatile UCHAR *)&dev->pci.common->device_status, status);
}

/**
 * drv_virtio_reset() - reset the device and see that it happened (virtio 1.2, 4.1.4.3.1)
 *
 * Return: success; STATUS_DEVICE_NOT_CONNECTED when no device answers (see drv_pci_gone());
 * STATUS_IO_TIMEOUT when it does not obey within DRV_RESET_MS. IRQL: PASSIVE_LEVEL.
 */
NTSTATUS drv_virtio_reset(struct drv_device *dev)
{
    WRITE_REGISTER_UCHAR((volatile UCHAR *)&dev->pci.common->device_status, 0);
    for (uint32_t ms = 0; ms <= DRV_RESET_MS; ms++) {
        uint8_t status = drv_virtio_status(dev);

        if (status == 0)
            return STATUS_SUCCESS;
        if (status == VIRTIO_STATUS_GONE)
            return STATUS_DEVICE_NOT_CONNECTED;
        drv_sleep(1);
    }
    return STATUS_IO_TIMEOUT;
}

/**
 * drv_virtio_negotiate() - after a reset: agree on features
 *
 * Return: success with @dev->features; STATUS_DEVICE_CONFIGURATION_ERROR when the device is too old or
 * takes its offer back. IRQL: PASSIVE_LEVEL.
 */
NTSTATUS drv_virtio_negotiate(struct drv_device *dev)
{
    volatile struct virtio_pci_common *c = dev->pci.common;
    const uint64_t wanted = (1ull << RING_F_VERSION_1) | (1ull << RING_F_INDIRECT_DESC) |
                            (1ull << RING_F_EVENT_IDX) | (1ull << VIRTIO_F_ACCESS_PLATFORM);
    uint64_t offered = 0;

    drv_virtio_add_status(dev, VIRTIO_STATUS_ACKNOWLEDGE);
    drv_virtio_add_status(dev, VIRTIO_STATUS_DRIVER);
    for (uint32_t word = 0; word < 2; word++) {
        write_u32(&c->device_feature_select, word);
        offered |= (uint64_t)read_u32(&c->device_feature) << (32 * word);
    }
    dev->features = offered & wanted;
    if (!(dev->features >> RING_F_VERSION_1 & 1))
        goto refuse;
    for (uint32_t word = 0; word < 2; word++) {
        write_u32(&c->driver_feature_select, word);
        write_u32(&c->driver_feature, (uint32_t)(dev->features >> (32 * word)));
    }
    drv_virtio_add_status(dev, VIRTIO_STATUS_FEATURES_OK);
    if ((drv_virtio_status(dev) & VIRTIO_STATUS_FEATURES_OK) &&
        drv_virtio_status(dev) != VIRTIO_STATUS_GONE)
        return STATUS_SUCCESS;
refuse:
    drv_virtio_add_status(dev, VIRTIO_STATUS_FAILED);
    drv_log(dev, IO_ERR_CONFIGURATION_ERROR, DRV_WHY_FEATURES, (uint32_t)(offered >> 32));
    return STATUS_DEVICE_CONFIGURATION_ERROR;
}

/**
 * drv_virtio_config() - read the device's configuration, whole and from one generation (4.1.4.3.1)
 *
 * Return: success; STATUS_DEVICE_CONFIGURATION_ERROR when it has no request queue or never holds still.
 * IRQL: PASSIVE_LEVEL.
 */
NTSTATUS drv_virtio_config(struct drv_device *dev, struct virtio_fs_config *config)
{
    volatile UCHAR *generation = (volatile UCHAR *)&dev->pci.common->config_generation;

    for (int i = 0; i < CONFIG_TRIES; i++) {
        UCHAR before = READ_REGISTER_UCHAR(generation);

        for (uint32_t at = 0; at < VIRTIO_FS_TAG_MAX; at++)
            config->tag[at] = READ_REGISTER_UCHAR((volatile UCHAR *)dev->pci.config + at);
        config->num_request_queues =
            read_u32((volatile uint32_t *)(void *)(dev->pci.config + VIRTIO_FS_TAG_MAX));
        if (READ_REGISTER_UCHAR(generation) == before) {
            if (config->num_request_queues == 0 || config->num_request_queues > 0xFFFF)
                break;
            return STATUS_SUCCESS;
        }
    }
    drv_log(dev, IO_ERR_CONFIGURATION_ERROR, DRV_WHY_CONFIG, config->num_request_queues);
    return STATUS_DEVICE_CONFIGURATION_ERROR;
}

/** drv_virtio_config_vector() - message 0 tells of changes. IRQL: PASSIVE_LEVEL. */
NTSTATUS drv_virtio_config_vector(struct drv_device *dev)
{
    if (dev->irq_version == CONNECT_LINE_BASED)
        return STATUS_SUCCESS;
    write_u16(&dev->pci.common->config_msix_vector, 0);
    /* 4.1.5.1.2.1: a device that cannot spare the resources answers NO_VECTOR */
    return read_u16(&dev->pci.common->config_msix_vector) == 0 ? STATUS_SUCCESS
                                                               : STATUS_DEVICE_BUSY;
}

/**
 * drv_virtio_queue_size() - entries that a queue can have
 *
 * Return: a power of two, 0 when the device has no such queue or is already using it (after a reset it
 * must not be). Larger than RING_MAX_SIZE is capped, another number rounded down. IRQL: PASSIVE_LEVEL.
 */
uint32_t drv_virtio_queue_size(struct drv_device *dev, uint16_t index)
{
    volatile struct virtio_pci_common *c = dev->pci.common;
    uint32_t most, size = 1;

    if (index >= read_u16(&c->num_queues))
        return 0;
    write_u16(&c->queue_select, index);
    most = read_u16(&c->queue_size);
    if (most == 0 || read_u16(&c->queue_enable) != 0)
        return 0;
    while (size * 2 <= most && size < RING_MAX_SIZE)
        size *= 2;
    return size;
}

/**
 * drv_virtio_queue_enable() - tell the device where a queue's ring is and which message it raises
 *
 * Sets @q->doorbell. Return: success; STATUS_DEVICE_BUSY when the vector is refused;
 * STATUS_DEVICE_CONFIGURATION_ERROR when the doorbell would be outside its BAR. IRQL: PASSIVE_LEVEL.
 */
NTSTATUS drv_virtio_queue_enable(struct drv_device *dev, struct drv_queue *q)
{
    volatile struct virtio_pci_common *c = dev->pci.common;
    uint64_t desc = (uint64_t)q->ring_bus.QuadPart;
    uint64_t avail = desc + (uint64_t)((uint8_t *)q->ring.avail - (uint8_t *)q->ring_mem);
    uint64_t used = desc + (uint64_t)((uint8_t *)q->ring.used - (uint8_t *)q->ring_mem);

    write_u16(&c->queue_select, q->index);
    write_u16(&c->queue_size, (uint16_t)q->size);
    if (dev->irq_version == CONNECT_MESSAGE_BASED) {
        write_u16(&c->queue_msix_vector, q->vector);
        if (read_u16(&c->queue_msix_vector) != q->vector)
            return STATUS_DEVICE_BUSY;
    }
    uint64_t at = (uint64_t)read_u16(&c->queue_notify_off) * dev->pci.notify_mult;
    if (at + 2 > dev->pci.notify_len || (at & 1))
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    q->doorbell = (volatile USHORT *)(void *)(dev->pci.notify + at);

    write_u32(&c->queue_desc_lo, (uint32_t)desc);
    write_u32(&c->queue_desc_hi, (uint32_t)(desc >> 32));
    write_u32(&c->queue_driver_lo, (uint32_t)avail);
    write_u32(&c->queue_driver_hi, (uint32_t)(avail >> 32));
    write_u32(&c->queue_device_lo, (uint32_t)used);
    write_u32(&c->queue_device_hi, (uint32_t)(used >> 32));
    write_u16(&c->queue_enable, 1);
    return STATUS_SUCCESS;
}
