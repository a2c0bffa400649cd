// SPDX-License-Identifier: BSD-3-Clause
/*
 * interrupt.c - messages, or a line
 *
 * Theory of operation
 *
 *   The PnP manager grants as many MSI-X messages as it likes, down to one, or none. Message 0 is for
 *   changes of configuration; queue q gets message 1 + q while there are enough, and shares otherwise.
 *   Without messages the line is used: the ISR register says what happened, and reading it quiets the
 *   line (virtio 1.2, 4.1.4.5). A service routine does nothing but queue DPCs.
 *
 * Ownership: the connection is held from drv_interrupt_connect() to drv_interrupt_disconnect().
 * Locks: service routines take none; the line's is held off while it is muted.
 */
#include "driver/drv.h"

/* One message of MSI-X. IRQL: DIRQL. Return: TRUE, messages are never shared. */
static BOOLEAN NTAPI message_isr(PKINTERRUPT object, void *context, ULONG message)
{
    struct drv_device *dev = context;

    UNREFERENCED_PARAMETER(object);
    if (message == 0)
        KeInsertQueueDpc(&dev->config_dpc, NULL, NULL);
    for (uint32_t i = 0; i < drv_n_queues(dev); i++)
        if (dev->queue[i].vector == message)
            KeInsertQueueDpc(&dev->queue[i].dpc, NULL, NULL);
    return TRUE;
}

/* The line, perhaps another device's. IRQL: DIRQL. */
static BOOLEAN NTAPI line_isr(PKINTERRUPT object, void *context)
{
    struct drv_device *dev = context;
    UCHAR cause = dev->irq_muted ? 0 : READ_REGISTER_UCHAR(dev->pci.isr);

    UNREFERENCED_PARAMETER(object);
    if (cause == 0 || cause == 0xFF) /* all ones: the device is gone, and raised nothing */
        return FALSE;
    if (cause & VIRTIO_ISR_CONFIG)
        KeInsertQueueDpc(&dev->config_dpc, NULL, NULL);
    if (cause & VIRTIO_ISR_QUEUE)
        for (uint32_t i = 0; i < drv_n_queues(dev); i++)
            KeInsertQueueDpc(&dev->queue[i].dpc, NULL, NULL);
    return TRUE;
}

/* Choose each queue's message. Nothing is raised yet: the device was reset. */
static void assign(struct drv_device *dev)
{
    uint32_t spare = dev->irq_messages > 1 ? dev->irq_messages - 1 : 0;

    for (uint32_t i = 0; i < DRV_MAX_QUEUES; i++)
        dev->queue[i].vector = (uint16_t)(spare > 0 ? 1 + i % spare : 0);
}

/**
 * drv_interrupt_connect() - have interrupts delivered
 *
 * Sets @dev->irq_version and irq_messages. IRQL: PASSIVE_LEVEL, state mutex held.
 */
NTSTATUS drv_interrupt_connect(struct drv_device *dev)
{
    IO_CONNECT_INTERRUPT_PARAMETERS p;
    NTSTATUS status;

    RtlZeroMemory(&p, sizeof(p));
    p.Version = CONNECT_MESSAGE_BASED;
    p.MessageBased.PhysicalDeviceObject = dev->pdo;
    p.MessageBased.ConnectionContext.Generic = &dev->irq_object;
    p.MessageBased.MessageServiceRoutine = message_isr;
    p.MessageBased.FallBackServiceRoutine = line_isr;
    p.MessageBased.ServiceContext = dev;
    status = IoConnectInterruptEx(&p);
    if (!NT_SUCCESS(status)) {
        drv_log(dev, IO_ERR_CONFIGURATION_ERROR, DRV_WHY_INTERRUPT, (uint32_t)status);
        return status;
    }
    dev->irq_connected = true;
    dev->irq_muted = false;
    dev->irq_version = p.Version; /* what became of it */
    dev->irq_messages = p.Version == CONNECT_MESSAGE_BASED
                            ? ((IO_INTERRUPT_MESSAGE_INFO *)dev->irq_object)->MessageCount
                            : 0;
    assign(dev);
    return STATUS_SUCCESS;
}

/**
 * drv_interrupt_mute() - the line's service routine must leave the registers alone, or may read them again
 *
 * A line is shared: other devices' interrupts come while ours has no power. On return no service routine is
 * reading. IRQL: PASSIVE_LEVEL, state mutex held.
 */
void drv_interrupt_mute(struct drv_device *dev, bool mute)
{
    KIRQL irql;

    if (!dev->irq_connected || dev->irq_version != CONNECT_LINE_BASED)
        return; /* a message is nobody else's, and its routine reads nothing */
    irql = KeAcquireInterruptSpinLock(dev->irq_object);
    dev->irq_muted = mute;
    KeReleaseInterruptSpinLock(dev->irq_object, irql);
}

/** drv_interrupt_disconnect() - no service routine runs after this. IRQL: PASSIVE_LEVEL. */
void drv_interrupt_disconnect(struct drv_device *dev)
{
    IO_DISCONNECT_INTERRUPT_PARAMETERS p;

    if (!dev->irq_connected)
        return;
    RtlZeroMemory(&p, sizeof(p));
    p.Version = dev->irq_version;
    p.ConnectionContext.Generic = dev->irq_object;
    IoDisconnectInterruptEx(&p);
    dev->irq_connected = false;
}
