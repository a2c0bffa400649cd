// SPDX-License-Identifier: BSD-3-Clause
/*
 * entry.c - viofs.sys is loaded, meets its devices, and hands their IRPs to the right file
 *
 * Theory of operation
 *
 *   One device object for each virtio file system device, attached above the bus driver's. Programs reach
 *   it through the device interface. Who may is said in the INF (SYSTEM and Administrators);
 *   FILE_DEVICE_SECURE_OPEN makes that hold for every name below the device, and there are none.
 *
 * Locks: none.
 */
#include "driver/drv.h"

static const GUID interface_guid = VIOFS_INTERFACE_GUID;

/** drv_complete() - complete an IRP. Return: @status. IRQL: <= DISPATCH_LEVEL, no lock. */
NTSTATUS drv_complete(IRP *irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

/** drv_pass_down() - the lower driver's business from here on. IRQL: as it came. */
NTSTATUS drv_pass_down(struct drv_device *dev, IRP *irp)
{
    IoSkipCurrentIrpStackLocation(irp);
    return IoCallDriver(dev->lower, irp);
}

/* IRP_MJ_CREATE and IRP_MJ_CLOSE. IRQL: PASSIVE_LEVEL. */
static NTSTATUS NTAPI dispatch_open(DEVICE_OBJECT *object, IRP *irp)
{
    struct drv_device *dev = drv_of(object);
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    NTSTATUS status;

    if (stack->MajorFunction == IRP_MJ_CLOSE)
        return drv_complete(irp, STATUS_SUCCESS, 0);
    status = IoAcquireRemoveLock(&dev->remove_lock, irp);
    if (!NT_SUCCESS(status))
        return drv_complete(irp, status, 0);
    if (stack->FileObject && stack->FileObject->FileName.Length > 0)
        status = STATUS_OBJECT_NAME_NOT_FOUND;
    drv_complete(irp, status, 0);
    IoReleaseRemoveLock(&dev->remove_lock, irp);
    return status;
}

/* IRP_MJ_CLEANUP: the last handle was closed. Never fails. IRQL: PASSIVE_LEVEL. */
static NTSTATUS NTAPI dispatch_cleanup(DEVICE_OBJECT *object, IRP *irp)
{
    struct drv_device *dev = drv_of(object);

    if (!NT_SUCCESS(IoAcquireRemoveLock(&dev->remove_lock, irp)))
        return drv_complete(irp, STATUS_SUCCESS, 0);
    drv_session_cleanup(dev, IoGetCurrentIrpStackLocation(irp)->FileObject);
    drv_complete(irp, STATUS_SUCCESS, 0);
    IoReleaseRemoveLock(&dev->remove_lock, irp);
    return STATUS_SUCCESS;
}

/* IRP_MJ_SYSTEM_CONTROL: we are no WMI provider. IRQL: PASSIVE_LEVEL. */
static NTSTATUS NTAPI dispatch_wmi(DEVICE_OBJECT *object, IRP *irp)
{
    struct drv_device *dev = drv_of(object);
    NTSTATUS status = IoAcquireRemoveLock(&dev->remove_lock, irp);

    if (!NT_SUCCESS(status))
        return drv_complete(irp, status, 0);
    status = drv_pass_down(dev, irp);
    IoReleaseRemoveLock(&dev->remove_lock, irp);
    return status;
}

static void init_device(struct drv_device *dev, DEVICE_OBJECT *self, DEVICE_OBJECT *pdo)
{
    dev->self = self;
    dev->pdo = pdo;
    IoInitializeRemoveLock(&dev->remove_lock, DRV_TAG, 0, 0);
    KeInitializeMutex(&dev->state, 0);
    KeInitializeSpinLock(&dev->map_lock);
    InitializeListHead(&dev->map_waiting);
    KeInitializeDpc(&dev->map_dpc, drv_map_dpc, dev);
    KeInitializeDpc(&dev->config_dpc, drv_device_config_dpc, dev);
    for (uint16_t i = 0; i < DRV_MAX_QUEUES; i++)
        drv_queue_init(dev, &dev->queue[i], i);
    drv_session_init(dev);
    drv_watch_init(dev);
}

/* A device was found. IRQL: PASSIVE_LEVEL. */
static NTSTATUS NTAPI add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *pdo)
{
    struct drv_device *dev;
    DEVICE_OBJECT *self;
    NTSTATUS status = IoCreateDevice(driver, sizeof(*dev), NULL, FILE_DEVICE_UNKNOWN,
                                     FILE_DEVICE_SECURE_OPEN, FALSE, &self);

    if (!NT_SUCCESS(status))
        return status;
    dev = drv_of(self);
    init_device(dev, self, pdo);
    dev->power_work = IoAllocateWorkItem(self);
    dev->recover_work = IoAllocateWorkItem(self);
    status = STATUS_INSUFFICIENT_RESOURCES;
    if (dev->power_work && dev->recover_work)
        status = IoRegisterDeviceInterface(pdo, &interface_guid, NULL, &dev->link);
    if (NT_SUCCESS(status))
        status = IoAttachDeviceToDeviceStackSafe(self, pdo, &dev->lower);
    if (!NT_SUCCESS(status)) {
        if (dev->power_work)
            IoFreeWorkItem(dev->power_work);
        if (dev->recover_work)
            IoFreeWorkItem(dev->recover_work);
        RtlFreeUnicodeString(&dev->link);
        IoDeleteDevice(self);
        return status;
    }
    self->Flags |= DO_POWER_PAGABLE;
    self->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

/* All devices are gone. IRQL: PASSIVE_LEVEL. */
static void NTAPI unload(DRIVER_OBJECT *driver)
{
    UNREFERENCED_PARAMETER(driver);
}

/*
 * "used" keeps it in memory although gcc could do without. It holds the driver's only absolute addresses;
 * without any the file would have no relocations, and the loader could not move it.
 */
static const __attribute__((used)) struct {
    UCHAR major;
    PDRIVER_DISPATCH routine;
} dispatch[] = {
    {IRP_MJ_CREATE, dispatch_open},        {IRP_MJ_CLOSE, dispatch_open},
    {IRP_MJ_CLEANUP, dispatch_cleanup},    {IRP_MJ_DEVICE_CONTROL, drv_dispatch_control},
    {IRP_MJ_PNP, drv_dispatch_pnp},        {IRP_MJ_POWER, drv_dispatch_power},
    {IRP_MJ_SYSTEM_CONTROL, dispatch_wmi},
};

/** DriverEntry() - the driver was loaded. IRQL: PASSIVE_LEVEL. */
NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path)
{
    UNREFERENCED_PARAMETER(path);
    for (size_t i = 0; i < RTL_NUMBER_OF(dispatch); i++)
        driver->MajorFunction[dispatch[i].major] = dispatch[i].routine;
    driver->DriverExtension->AddDevice = add_device;
    driver->DriverUnload = unload;
    return STATUS_SUCCESS;
}
