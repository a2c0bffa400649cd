// SPDX-License-Identifier: BSD-3-Clause
/*
 * pnp.c - IRP_MJ_PNP
 *
 * Theory of operation
 *
 *   start          the bus driver first, then we (device.c), then the interface is announced
 *   query stop     always yes; requests wait in line until stop or cancel
 *   stop           requests end, the device is reset; the session does not survive, the epoch says so
 *   query remove   always yes (the PnP manager says no by itself while handles are open)
 *   surprise       as a stop that will not be followed by a start; handles may still be open
 *   remove         as well, then wait for the last request to be gone, then detach and delete
 *
 *   What changes is done under the state mutex, because power requests and the recovery work item change
 *   it too. Every IRP holds the remove lock while it is in our hands.
 *
 * Locks: drv_device.state, inside.
 */
#include "driver/drv.h"

static void announce(struct drv_device *dev, bool on)
{
    if (dev->interface_on == on)
        return;
    dev->interface_on = NT_SUCCESS(IoSetDeviceInterfaceState(&dev->link, on)) ? on : false;
}

static NTSTATUS start(struct drv_device *dev, IRP *irp)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    NTSTATUS status = STATUS_UNSUCCESSFUL;

    if (IoForwardIrpSynchronously(dev->lower, irp))
        status = irp->IoStatus.Status;
    if (NT_SUCCESS(status)) {
        drv_device_lock(dev);
        status = drv_device_start(dev, stack->Parameters.StartDevice.AllocatedResources,
                                  stack->Parameters.StartDevice.AllocatedResourcesTranslated);
        if (NT_SUCCESS(status)) {
            dev->pnp = DRV_PNP_STARTED;
            dev->in_d0 = true;
            announce(dev, true);
        }
        drv_device_unlock(dev);
    }
    return drv_complete(irp, status, 0);
}

/* On the way to a stop or a removal that may still be called off. */
static NTSTATUS query(struct drv_device *dev, IRP *irp, enum drv_pnp_state state)
{
    drv_device_lock(dev);
    dev->pnp_before = dev->pnp;
    dev->pnp = state;
    if (state == DRV_PNP_STOP_PENDING)
        for (uint32_t i = 0; i < drv_n_queues(dev); i++)
            drv_queue_hold(&dev->queue[i], true);
    drv_device_unlock(dev);
    irp->IoStatus.Status = STATUS_SUCCESS;
    return drv_pass_down(dev, irp);
}

/* Called off, also when nobody asked us (a driver above us had refused). */
static NTSTATUS called_off(struct drv_device *dev, IRP *irp, enum drv_pnp_state state)
{
    NTSTATUS status = STATUS_UNSUCCESSFUL;

    if (IoForwardIrpSynchronously(dev->lower, irp))
        status = irp->IoStatus.Status;
    drv_device_lock(dev);
    if (dev->pnp == state) {
        dev->pnp = dev->pnp_before;
        if (state == DRV_PNP_STOP_PENDING)
            for (uint32_t i = 0; i < drv_n_queues(dev); i++)
                drv_queue_hold(&dev->queue[i], false);
    }
    drv_device_unlock(dev);
    return drv_complete(irp, status, 0);
}

/* Take the device down for good, or until the next start. */
static void take_down(struct drv_device *dev, enum drv_pnp_state state, NTSTATUS status,
                      bool quiesce)
{
    drv_device_lock(dev);
    if (state != DRV_PNP_STOPPED)
        announce(dev, false);
    drv_device_disarm(dev, status, quiesce);
    drv_device_release(dev);
    dev->pnp = state;
    drv_device_unlock(dev);
}

static NTSTATUS stop(struct drv_device *dev, IRP *irp)
{
    take_down(dev, DRV_PNP_STOPPED, STATUS_DEVICE_NOT_READY, true);
    irp->IoStatus.Status = STATUS_SUCCESS;
    return drv_pass_down(dev, irp);
}

static NTSTATUS surprise(struct drv_device *dev, IRP *irp)
{
    take_down(dev, DRV_PNP_SURPRISE, STATUS_DEVICE_REMOVED, false);
    irp->IoStatus.Status = STATUS_SUCCESS;
    return drv_pass_down(dev, irp);
}

/* The remove lock is held once, by this IRP, and given up for good. */
static NTSTATUS remove_device(struct drv_device *dev, IRP *irp)
{
    NTSTATUS status;

    take_down(dev, DRV_PNP_REMOVED, STATUS_DEVICE_REMOVED, dev->pnp != DRV_PNP_SURPRISE);
    IoReleaseRemoveLockAndWait(&dev->remove_lock, irp);
    KeFlushQueuedDpcs(); /* one of them may have released the lock, and not returned yet */
    irp->IoStatus.Status = STATUS_SUCCESS;
    status = drv_pass_down(dev, irp);
    IoDetachDevice(dev->lower);
    RtlFreeUnicodeString(&dev->link);
    IoFreeWorkItem(dev->power_work);
    IoFreeWorkItem(dev->recover_work);
    IoDeleteDevice(dev->self);
    return status;
}

static NTSTATUS capabilities(struct drv_device *dev, IRP *irp)
{
    DEVICE_CAPABILITIES *caps =
        IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceCapabilities.Capabilities;
    NTSTATUS status = STATUS_UNSUCCESSFUL;

    if (IoForwardIrpSynchronously(dev->lower, irp))
        status = irp->IoStatus.Status;
    if (NT_SUCCESS(status))
        caps->SurpriseRemovalOK = TRUE; /* nothing of ours is lost when the device goes */
    return drv_complete(irp, status, irp->IoStatus.Information);
}

static NTSTATUS device_state(struct drv_device *dev, IRP *irp)
{
    if (drv_load(&dev->failed)) {
        irp->IoStatus.Information |= PNP_DEVICE_FAILED;
        irp->IoStatus.Status = STATUS_SUCCESS;
    }
    return drv_pass_down(dev, irp);
}

/* A file system over a network of sorts is no place for paging, hibernation or crash dump files. */
static NTSTATUS usage(struct drv_device *dev, IRP *irp)
{
    if (IoGetCurrentIrpStackLocation(irp)->Parameters.UsageNotification.InPath)
        return drv_complete(irp, STATUS_NOT_SUPPORTED, 0);
    return drv_pass_down(dev, irp);
}

/** drv_dispatch_pnp() - IRP_MJ_PNP. IRQL: PASSIVE_LEVEL. */
NTSTATUS NTAPI drv_dispatch_pnp(DEVICE_OBJECT *object, IRP *irp)
{
    struct drv_device *dev = drv_of(object);
    NTSTATUS status = IoAcquireRemoveLock(&dev->remove_lock, irp);

    if (!NT_SUCCESS(status))
        return drv_complete(irp, status, 0);
    switch (IoGetCurrentIrpStackLocation(irp)->MinorFunction) {
    case IRP_MN_START_DEVICE:
        status = start(dev, irp);
        break;
    case IRP_MN_QUERY_STOP_DEVICE:
        status = query(dev, irp, DRV_PNP_STOP_PENDING);
        break;
    case IRP_MN_CANCEL_STOP_DEVICE:
        status = called_off(dev, irp, DRV_PNP_STOP_PENDING);
        break;
    case IRP_MN_STOP_DEVICE:
        status = stop(dev, irp);
        break;
    case IRP_MN_QUERY_REMOVE_DEVICE:
        status = query(dev, irp, DRV_PNP_REMOVE_PENDING);
        break;
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        status = called_off(dev, irp, DRV_PNP_REMOVE_PENDING);
        break;
    case IRP_MN_SURPRISE_REMOVAL:
        status = surprise(dev, irp);
        break;
    case IRP_MN_REMOVE_DEVICE:
        return remove_device(dev, irp);
    case IRP_MN_QUERY_CAPABILITIES:
        status = capabilities(dev, irp);
        break;
    case IRP_MN_QUERY_PNP_DEVICE_STATE:
        status = device_state(dev, irp);
        break;
    case IRP_MN_DEVICE_USAGE_NOTIFICATION:
        status = usage(dev, irp);
        break;
    default:
        status = drv_pass_down(dev, irp);
        break;
    }
    IoReleaseRemoveLock(&dev->remove_lock, irp);
    return status;
}
