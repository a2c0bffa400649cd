// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_io.c - device objects, interfaces, remove locks, error log, references
 *
 * Everything that a driver takes here is in the ledger (verifier.c) until it gives it back.
 */
#include "tests/nt-bench/nt.h"

#define DEVICE_TYPE_TAG 3
#define TAG_LINK        0x6b6e694c /* "Link" */
#define TAG_ERROR_LOG   0x4c727245 /* "ErrL" */

ULONG nt_error_logs;

PDEVICE_OBJECT nt_top(PDEVICE_OBJECT d)
{
    while (d->AttachedDevice)
        d = d->AttachedDevice;
    return d;
}

/* ---- device objects -------------------------------------------------------------------------- */

NTSTATUS NTAPI IoCreateDevice(PDRIVER_OBJECT driver, ULONG extension, PUNICODE_STRING name,
                              DEVICE_TYPE type, ULONG characteristics, BOOLEAN exclusive,
                              PDEVICE_OBJECT *device)
{
    PDEVICE_OBJECT d;

    (void)name;
    (void)exclusive;
    nt_irql("IoCreateDevice", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    *device = NULL;
    if (fail_now())
        return STATUS_INSUFFICIENT_RESOURCES;
    d = mem_alloc(MEM_DEVICE_EXTENSION, sizeof(*d), 0, 0, CALLER);
    if (!d)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(d, sizeof(*d));
    if (extension) {
        d->DeviceExtension = mem_alloc(MEM_DEVICE_EXTENSION, extension, 0, 0, CALLER);
        RtlZeroMemory(d->DeviceExtension, extension);
    }
    d->Type = DEVICE_TYPE_TAG;
    d->Size = (USHORT)sizeof(*d);
    d->DriverObject = driver;
    d->DeviceType = type;
    d->Characteristics = characteristics;
    d->StackSize = 1;
    d->Flags = DO_DEVICE_INITIALIZING;
    d->NextDevice = driver->DeviceObject;
    driver->DeviceObject = d;
    ver_take(VER_DEVICE, d, 0, CALLER);
    *device = d;
    return STATUS_SUCCESS;
}

static void unlink_device(PDEVICE_OBJECT d)
{
    PDEVICE_OBJECT *at = &d->DriverObject->DeviceObject;

    while (*at && *at != d)
        at = &(*at)->NextDevice;
    if (*at)
        *at = d->NextDevice;
}

VOID NTAPI IoDeleteDevice(PDEVICE_OBJECT d)
{
    nt_irql("IoDeleteDevice", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (!ver_give(VER_DEVICE, d, NULL))
        ver_stop("device", "IoDeleteDevice of %p, which is none, at %s", (void *)d,
                 ver_where(CALLER));
    if (d->AttachedDevice)
        ver_complain("device", "deleted with another attached to it, at %s", ver_where(CALLER));
    if (ver_has(VER_ATTACHMENT, d, NULL))
        ver_complain("device", "deleted while attached to a stack, at %s", ver_where(CALLER));
    if (d->ReferenceCount)
        ver_complain("device", "deleted with %d open handles, at %s", d->ReferenceCount,
                     ver_where(CALLER));
    unlink_device(d);
    nt_check_freed(d, sizeof(*d));
    if (d->DeviceExtension) {
        struct mem_info info;

        if (mem_look(d->DeviceExtension, &info))
            nt_check_freed(info.base, info.size);
        mem_free(MEM_DEVICE_EXTENSION, d->DeviceExtension);
    }
    mem_free(MEM_DEVICE_EXTENSION, d);
}

PDEVICE_OBJECT NTAPI IoAttachDeviceToDeviceStack(PDEVICE_OBJECT source, PDEVICE_OBJECT target)
{
    PDEVICE_OBJECT lower = nt_top(target);

    nt_irql("IoAttachDeviceToDeviceStack", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (fail_now())
        return NULL;
    lower->AttachedDevice = source;
    source->StackSize = (CCHAR)(lower->StackSize + 1);
    source->AlignmentRequirement = lower->AlignmentRequirement;
    ver_take(VER_ATTACHMENT, source, (uint64_t)(ULONG_PTR)lower, CALLER);
    return lower;
}

NTSTATUS NTAPI IoAttachDeviceToDeviceStackSafe(PDEVICE_OBJECT source, PDEVICE_OBJECT target,
                                               PDEVICE_OBJECT *attached)
{
    *attached = IoAttachDeviceToDeviceStack(source, target);
    return *attached ? STATUS_SUCCESS : STATUS_NO_SUCH_DEVICE;
}

VOID NTAPI IoDetachDevice(PDEVICE_OBJECT lower)
{
    nt_irql("IoDetachDevice", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (!lower->AttachedDevice || !ver_give(VER_ATTACHMENT, lower->AttachedDevice, NULL))
        ver_complain("device", "IoDetachDevice of a device with nothing attached, at %s",
                     ver_where(CALLER));
    lower->AttachedDevice = NULL;
}

NTSTATUS NTAPI IoGetDeviceProperty(PDEVICE_OBJECT device, DEVICE_REGISTRY_PROPERTY property,
                                   ULONG length, PVOID buffer, PULONG needed)
{
    ULONG value = 0;

    (void)device;
    nt_irql("IoGetDeviceProperty", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    *needed = sizeof(value);
    if (property != DevicePropertyBusNumber && property != DevicePropertyAddress)
        return STATUS_OBJECT_NAME_NOT_FOUND;
    if (length < sizeof(value))
        return STATUS_BUFFER_TOO_SMALL;
    *(PULONG)buffer = value;
    return STATUS_SUCCESS;
}

VOID NTAPI IoInvalidateDeviceState(PDEVICE_OBJECT pdo)
{
    nt_irql("IoInvalidateDeviceState", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    nt_pdo_of(pdo)->state_invalid = TRUE;
}

/* ---- interfaces ------------------------------------------------------------------------------ */

NTSTATUS NTAPI IoRegisterDeviceInterface(PDEVICE_OBJECT pdo, CONST GUID *class,
                                         PUNICODE_STRING reference, PUNICODE_STRING link)
{
    static const WCHAR text[] =
        L"\\??\\PCI#VEN_1AF4&DEV_105A#1#{a1b0cbf2-f488-4b29-b89f-16c78e68c737}";

    (void)class;
    (void)reference;
    nt_irql("IoRegisterDeviceInterface", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (!nt_pdo_of(pdo))
        ver_complain("interface", "registered on something that is no PDO");
    if (fail_now())
        return STATUS_INSUFFICIENT_RESOURCES;
    link->Buffer = mem_alloc(MEM_POOL, sizeof(text), TAG_LINK, 0, CALLER);
    RtlCopyMemory(link->Buffer, text, sizeof(text));
    link->Length = (USHORT)(sizeof(text) - sizeof(WCHAR));
    link->MaximumLength = (USHORT)sizeof(text);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI IoSetDeviceInterfaceState(PUNICODE_STRING link, BOOLEAN enable)
{
    nt_irql("IoSetDeviceInterfaceState", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (!link->Buffer) {
        ver_complain("interface", "state of a nameless interface set at %s", ver_where(CALLER));
        return STATUS_INVALID_PARAMETER;
    }
    if (enable && ver_has(VER_INTERFACE, link->Buffer, NULL))
        return STATUS_OBJECT_NAME_EXISTS;
    if (enable && fail_now())
        return STATUS_INSUFFICIENT_RESOURCES;
    if (enable)
        ver_take(VER_INTERFACE, link->Buffer, 0, CALLER);
    else if (!ver_give(VER_INTERFACE, link->Buffer, NULL))
        return STATUS_OBJECT_NAME_NOT_FOUND;
    return STATUS_SUCCESS;
}

/* ---- remove locks ---------------------------------------------------------------------------- */

VOID NTAPI IoInitializeRemoveLockEx(PIO_REMOVE_LOCK lock, ULONG tag, ULONG minutes, ULONG high,
                                    ULONG size)
{
    (void)tag;
    (void)minutes;
    (void)high;
    nt_irql("IoInitializeRemoveLockEx", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    if (size != sizeof(IO_REMOVE_LOCK))
        ver_complain("remove-lock", "size %u", size);
    lock->Common.Removed = FALSE;
    lock->Common.IoCount = 1;
    KeInitializeEvent(&lock->Common.RemoveEvent, SynchronizationEvent, FALSE);
}

NTSTATUS NTAPI IoAcquireRemoveLockEx(PIO_REMOVE_LOCK lock, PVOID tag, PCSTR file, ULONG line,
                                     ULONG size)
{
    (void)file;
    (void)line;
    (void)size;
    nt_irql("IoAcquireRemoveLockEx", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    InterlockedIncrement(&lock->Common.IoCount);
    if (!lock->Common.Removed) {
        ver_take(VER_REMOVE_LOCK, tag, (uint64_t)(ULONG_PTR)lock, CALLER);
        return STATUS_SUCCESS;
    }
    if (InterlockedDecrement(&lock->Common.IoCount) == 0)
        KeSetEvent(&lock->Common.RemoveEvent, 0, FALSE);
    return STATUS_DELETE_PENDING;
}

static void release_remove_lock(PIO_REMOVE_LOCK lock, PVOID tag, const void *caller)
{
    LONG left;

    if (!ver_give(VER_REMOVE_LOCK, tag, NULL))
        ver_complain("remove-lock", "released at %s with a tag that did not acquire it",
                     ver_where(caller));
    left = InterlockedDecrement(&lock->Common.IoCount);
    if (left < 0)
        ver_stop("remove-lock", "released too often, at %s", ver_where(caller));
    if (left == 0)
        KeSetEvent(&lock->Common.RemoveEvent, 0, FALSE);
}

VOID NTAPI IoReleaseRemoveLockEx(PIO_REMOVE_LOCK lock, PVOID tag, ULONG size)
{
    (void)size;
    nt_irql("IoReleaseRemoveLockEx", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    release_remove_lock(lock, tag, CALLER);
}

VOID NTAPI IoReleaseRemoveLockAndWaitEx(PIO_REMOVE_LOCK lock, PVOID tag, ULONG size)
{
    (void)size;
    nt_irql("IoReleaseRemoveLockAndWaitEx", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    lock->Common.Removed = TRUE;
    release_remove_lock(lock, tag, CALLER);
    if (InterlockedDecrement(&lock->Common.IoCount) > 0)
        KeWaitForSingleObject(&lock->Common.RemoveEvent, Executive, KernelMode, FALSE, NULL);
}

/* ---- error log ------------------------------------------------------------------------------- */

PVOID NTAPI IoAllocateErrorLogEntry(PVOID object, UCHAR size)
{
    PVOID entry;

    nt_irql("IoAllocateErrorLogEntry", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (!mem_live(object, 2))
        ver_complain("error-log", "object %p is gone, at %s", object, ver_where(CALLER));
    if (size > ERROR_LOG_MAXIMUM_SIZE || size < sizeof(IO_ERROR_LOG_PACKET)) {
        ver_complain("error-log", "entry of %u bytes at %s", size, ver_where(CALLER));
        return NULL;
    }
    if (fail_now())
        return NULL;
    entry = mem_alloc(MEM_POOL, size, TAG_ERROR_LOG, 0, CALLER);
    RtlZeroMemory(entry, size);
    ver_take(VER_ERROR_LOG, entry, 0, CALLER);
    return entry;
}

VOID NTAPI IoWriteErrorLogEntry(PVOID entry)
{
    PIO_ERROR_LOG_PACKET p = entry;

    nt_irql("IoWriteErrorLogEntry", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (!ver_give(VER_ERROR_LOG, entry, NULL))
        ver_stop("error-log", "entry %p is none, at %s", entry, ver_where(CALLER));
    ver_note("error log: code %#x, status %#x, unique %u, data %x %x", p->ErrorCode, p->FinalStatus,
             p->UniqueErrorValue, p->DumpDataSize >= 4 ? p->DumpData[0] : 0,
             p->DumpDataSize >= 8 ? p->DumpData[1] : 0);
    __atomic_fetch_add(&nt_error_logs, 1, __ATOMIC_RELAXED);
    mem_free(MEM_POOL, entry);
}

VOID NTAPI IoFreeErrorLogEntry(PVOID entry)
{
    (void)ver_give(VER_ERROR_LOG, entry, NULL);
    mem_free(MEM_POOL, entry);
}

/* ---- references ------------------------------------------------------------------------------ */

LONG_PTR FASTCALL ObfReferenceObject(PVOID object)
{
    ver_take(VER_REFERENCE, object, 0, CALLER);
    return 2;
}

LONG_PTR FASTCALL ObfDereferenceObject(PVOID object)
{
    if (!ver_give(VER_REFERENCE, object, NULL))
        ver_complain("reference", "%p dereferenced more often than referenced, at %s", object,
                     ver_where(CALLER));
    return 1;
}

PDEVICE_OBJECT NTAPI IoGetAttachedDeviceReference(PDEVICE_OBJECT device)
{
    PDEVICE_OBJECT top = nt_top(device);

    ver_take(VER_REFERENCE, top, 0, CALLER);
    return top;
}
