// SPDX-License-Identifier: BSD-3-Clause
/*
 * driver.c - viofs-bridge.sys: loading, and plug and play of its slots
 *
 * Ownership: one device object for each PnP device, from AddDevice to REMOVE_DEVICE.   Locks: none.
 */
#include <stdlib.h>
#include <unistd.h>

#include "abi/viofs_ioctl.h"
#include "tests/wine/bridge/bridge.h"

NTSTATUS WINAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path);

static const GUID interface_guid = VIOFS_INTERFACE_GUID;

NTSTATUS bridge_complete(IRP *irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

bool bridge_thread(void(WINAPI *routine)(void *), void *context)
{
    HANDLE thread;

    if (PsCreateSystemThread(&thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, routine, context))
        return false;
    ZwClose(thread);
    return true;
}

static NTSTATUS start_device(struct slot *s)
{
    NTSTATUS status = IoRegisterDeviceInterface(s->pdo, &interface_guid, NULL, &s->interface);

    return NT_SUCCESS(status) ? slot_start(s) : status;
}

static NTSTATUS WINAPI pnp(DEVICE_OBJECT *object, IRP *irp)
{
    struct slot *s = object->DeviceExtension;
    DEVICE_OBJECT *lower = s->lower;
    NTSTATUS status;

    switch (IoGetCurrentIrpStackLocation(irp)->MinorFunction) {
    case IRP_MN_START_DEVICE:
        status = start_device(s);
        if (!NT_SUCCESS(status))
            return bridge_complete(irp, status, 0);
        irp->IoStatus.Status = STATUS_SUCCESS;
        break;
    case IRP_MN_REMOVE_DEVICE:
        slot_stop(s);
        irp->IoStatus.Status = STATUS_SUCCESS;
        IoSkipCurrentIrpStackLocation(irp);
        status = IoCallDriver(lower, irp);
        IoDetachDevice(lower);
        return status; /* the device object stays: its thread may still look at it */
    default:
        break;
    }
    IoSkipCurrentIrpStackLocation(irp);
    return IoCallDriver(lower, irp);
}

static NTSTATUS WINAPI add_device(DRIVER_OBJECT *driver, DEVICE_OBJECT *pdo)
{
    static unsigned number;
    DEVICE_OBJECT *object;
    struct slot *s;
    NTSTATUS status =
        IoCreateDevice(driver, sizeof(*s), NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &object);

    if (!NT_SUCCESS(status))
        return status;
    s = object->DeviceExtension;
    s->self = object;
    s->pdo = pdo;
    s->number = number++;
    s->lower = IoAttachDeviceToDeviceStack(object, pdo);
    object->Flags &= ~(ULONG)DO_DEVICE_INITIALIZING;
    return STATUS_SUCCESS;
}

static void WINAPI unload(DRIVER_OBJECT *driver)
{
    (void)driver; /* winedevice ends with it, and its threads and sockets too */
}

NTSTATUS WINAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path)
{
    (void)registry_path;
    if (!getenv("VIOFS_BRIDGE_DIR"))
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    driver->DriverUnload = unload;
    driver->DriverExtension->AddDevice = add_device;
    driver->MajorFunction[IRP_MJ_CREATE] = handle_create;
    driver->MajorFunction[IRP_MJ_CLOSE] = handle_close;
    driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = handle_control;
    driver->MajorFunction[IRP_MJ_PNP] = pnp;
    return STATUS_SUCCESS;
}
