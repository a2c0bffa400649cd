// SPDX-License-Identifier: BSD-3-Clause
/*
 * power.c - IRP_MJ_POWER
 *
 * Theory of operation
 *
 *   We own the device's power policy: working means D0, any sleep means D3. A system IRP goes down first;
 *   on its way up we request the device IRP that belongs to it, and complete the system IRP when that is
 *   done.
 *
 *   Device IRP down: requests end, the device is reset, the epoch grows, then the bus driver turns the
 *   power off. Device IRP up: the bus driver turns it on, and a work item (the completion routine may run
 *   at DISPATCH_LEVEL) brings virtio up and completes the IRP. If the device does not come back the IRP
 *   still succeeds, since there is nothing else that power management could do; the device has failed and
 *   the PnP manager is told.
 *
 *   DO_POWER_PAGABLE is set, so these IRPs arrive at PASSIVE_LEVEL.
 *
 * Locks: drv_device.state, inside.
 */
#include "driver/drv.h"

/* The device IRP that we asked for is done: so is the system IRP. IRQL: <= DISPATCH_LEVEL. */
static void NTAPI device_power_done(DEVICE_OBJECT *object, UCHAR minor, POWER_STATE state,
                                    void *context, IO_STATUS_BLOCK *io)
{
    IRP *irp = context;
    struct drv_device *dev = drv_of(IoGetCurrentIrpStackLocation(irp)->DeviceObject);

    UNREFERENCED_PARAMETER(object);
    UNREFERENCED_PARAMETER(minor);
    UNREFERENCED_PARAMETER(state);
    drv_complete(irp, io->Status, 0);
    IoReleaseRemoveLock(&dev->remove_lock, irp);
}

/* A system IRP comes up from the bus driver. IRQL: <= DISPATCH_LEVEL. */
static NTSTATUS NTAPI system_power_passed(DEVICE_OBJECT *object, IRP *irp, void *context)
{
    struct drv_device *dev = context;
    POWER_STATE state;
    NTSTATUS status = irp->IoStatus.Status;

    UNREFERENCED_PARAMETER(object);
    if (NT_SUCCESS(status)) {
        SYSTEM_POWER_STATE system =
            IoGetCurrentIrpStackLocation(irp)->Parameters.Power.State.SystemState;

        state.DeviceState = system == PowerSystemWorking ? PowerDeviceD0 : PowerDeviceD3;
        status = PoRequestPowerIrp(dev->pdo, IRP_MN_SET_POWER, state, device_power_done, irp, NULL);
        if (status == STATUS_PENDING)
            return STATUS_MORE_PROCESSING_REQUIRED;
        irp->IoStatus.Status = status;
    }
    IoReleaseRemoveLock(&dev->remove_lock, irp);
    return STATUS_CONTINUE_COMPLETION;
}

/* Device power is on. IRQL: <= DISPATCH_LEVEL. */
static NTSTATUS NTAPI device_power_on(DEVICE_OBJECT *object, IRP *irp, void *context)
{
    struct drv_device *dev = context;

    UNREFERENCED_PARAMETER(object);
    if (NT_SUCCESS(irp->IoStatus.Status)) {
        dev->power_irp = irp;
        IoQueueWorkItem(dev->power_work, drv_power_up, DelayedWorkQueue, dev);
        return STATUS_MORE_PROCESSING_REQUIRED;
    }
    IoReleaseRemoveLock(&dev->remove_lock, irp);
    return STATUS_CONTINUE_COMPLETION;
}

/** drv_power_up() - work item: bring virtio up after a sleep. IRQL: PASSIVE_LEVEL. */
void NTAPI drv_power_up(DEVICE_OBJECT *object, void *context)
{
    struct drv_device *dev = context;
    IRP *irp = dev->power_irp;
    POWER_STATE state;

    dev->power_irp = NULL;
    drv_device_lock(dev);
    drv_interrupt_mute(dev, false);
    if (!dev->in_d0 && dev->resources && !drv_load(&dev->failed) &&
        !NT_SUCCESS(drv_device_arm(dev))) {
        drv_swap(&dev->failed, 1);
        drv_log(dev, IO_ERR_CONTROLLER_ERROR, DRV_WHY_GAVE_UP, 0);
        IoInvalidateDeviceState(dev->pdo);
    }
    dev->in_d0 = true;
    drv_device_unlock(dev);
    state.DeviceState = PowerDeviceD0;
    PoSetPowerState(object, DevicePowerState, state);
    drv_complete(irp, STATUS_SUCCESS, irp->IoStatus.Information);
    IoReleaseRemoveLock(&dev->remove_lock, irp);
}

/* Pass an IRP on and see it again in @routine, which releases the remove lock or has it released. */
static NTSTATUS pass_with(struct drv_device *dev, IRP *irp, PIO_COMPLETION_ROUTINE routine)
{
    IoMarkIrpPending(irp);
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, routine, dev, TRUE, TRUE, TRUE);
    IoCallDriver(dev->lower, irp);
    return STATUS_PENDING;
}

/* Device power goes off. IRQL: PASSIVE_LEVEL. */
static NTSTATUS power_down(struct drv_device *dev, IRP *irp, POWER_STATE state)
{
    NTSTATUS status;

    drv_device_lock(dev);
    if (dev->in_d0)
        drv_device_disarm(dev, STATUS_DEVICE_NOT_READY, true);
    drv_interrupt_mute(dev, true);
    dev->in_d0 = false;
    drv_device_unlock(dev);
    PoSetPowerState(dev->self, DevicePowerState, state);
    irp->IoStatus.Status = STATUS_SUCCESS;
    status = drv_pass_down(dev, irp);
    IoReleaseRemoveLock(&dev->remove_lock, irp);
    return status;
}

/** drv_dispatch_power() - IRP_MJ_POWER. IRQL: PASSIVE_LEVEL. */
NTSTATUS NTAPI drv_dispatch_power(DEVICE_OBJECT *object, IRP *irp)
{
    struct drv_device *dev = drv_of(object);
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    NTSTATUS status = IoAcquireRemoveLock(&dev->remove_lock, irp);

    if (!NT_SUCCESS(status))
        return drv_complete(irp, status, 0);
    if (stack->MinorFunction == IRP_MN_SET_POWER) {
        if (stack->Parameters.Power.Type == SystemPowerState)
            return pass_with(dev, irp, system_power_passed);
        if (stack->Parameters.Power.State.DeviceState != PowerDeviceD0)
            return power_down(dev, irp, stack->Parameters.Power.State);
        return pass_with(dev, irp, device_power_on);
    }
    if (stack->MinorFunction == IRP_MN_QUERY_POWER)
        irp->IoStatus.Status = STATUS_SUCCESS;
    status = drv_pass_down(dev, irp);
    IoReleaseRemoveLock(&dev->remove_lock, irp);
    return status;
}
