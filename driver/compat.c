// SPDX-License-Identifier: BSD-3-Clause
/*
 * compat.c - virtio-win's control codes, so that its service runs on this driver
 *
 * Theory of operation
 *
 *   Raw FUSE messages both ways. Differences that a caller cannot see: many may be in flight, FORGET needs
 *   no room for a reply, and the header's length must not exceed the buffer.
 *
 *   The READ code carries a pointer into the caller's address space. It is read once, and its pages are
 *   probed and locked before the request is pended: at PASSIVE_LEVEL and in the caller's context, the only
 *   place where the pointer means anything. Probing raises an exception for a bad one; that takes a
 *   compiler with __try (compat_seh.c).
 *
 * Ownership: the MDL of a READ is in the IRP's DriverContext from drv_compat_read_buffer() to
 * drv_compat_release().   Locks: none.
 */
#include "driver/drv.h"

/** drv_compat_check() - lengths and opcode of either FUSE code. IRQL: PASSIVE_LEVEL. */
NTSTATUS drv_compat_check(IRP *irp)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    const struct drv_fuse_in *in = irp->AssociatedIrp.SystemBuffer;
    ULONG in_len = stack->Parameters.DeviceIoControl.InputBufferLength;
    ULONG out_len = stack->Parameters.DeviceIoControl.OutputBufferLength;
    bool read = stack->Parameters.DeviceIoControl.IoControlCode == IOCTL_VIRTFS_FUSE_REQUEST_READ;

    if (in_len < sizeof(*in))
        return STATUS_BUFFER_TOO_SMALL;
    if (in->len < sizeof(*in) || in->len > in_len || !drv_fuse_known(in->opcode))
        return STATUS_INVALID_PARAMETER;
    if (in->len > DRV_MAX_MAPPED)
        return STATUS_INVALID_BUFFER_SIZE;
    if (read) {
        if (out_len < sizeof(struct viofs_read_by_pointer))
            return STATUS_BUFFER_TOO_SMALL;
        return in->opcode == DRV_FUSE_READ ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
    }
    if (out_len < sizeof(struct drv_fuse_out) && !drv_fuse_no_reply(in->opcode))
        return STATUS_BUFFER_TOO_SMALL;
    return STATUS_SUCCESS;
}

/**
 * drv_compat_read_buffer() - lock the pages that a READ by pointer is for
 *
 * IRQL: PASSIVE_LEVEL, in the caller's context. The output buffer is shared with the caller, who may be
 * writing to it now: length and pointer are read once.
 */
NTSTATUS drv_compat_read_buffer(IRP *irp)
{
    struct viofs_read_by_pointer *arg =
        MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority | MdlMappingNoExecute);
    NTSTATUS status;
    uint64_t pointer;
    uint32_t len;
    MDL *mdl;

    if (!arg)
        return STATUS_INSUFFICIENT_RESOURCES;
    irp->Tail.Overlay.DriverContext[DRV_CTX_USER_VA] = arg;
    len = drv_load(&arg->len);
    pointer = drv_load(&arg->pointer);
    if (len == 0)
        return STATUS_SUCCESS;
    if (len > DRV_MAX_TRANSFER)
        return STATUS_INVALID_BUFFER_SIZE;
    mdl = IoAllocateMdl((void *)(ULONG_PTR)pointer, len, FALSE, FALSE, NULL);
    if (!mdl)
        return STATUS_INSUFFICIENT_RESOURCES;
    status = drv_compat_lock(mdl, irp->RequestorMode);
    if (!NT_SUCCESS(status)) {
        IoFreeMdl(mdl);
        return status;
    }
    irp->Tail.Overlay.DriverContext[DRV_CTX_USER_MDL] = mdl;
    return STATUS_SUCCESS;
}

/** drv_compat_release() - unlock what drv_compat_read_buffer() locked, if it did. IRQL: <= DISPATCH_LEVEL. */
void drv_compat_release(IRP *irp)
{
    MDL *mdl = irp->Tail.Overlay.DriverContext[DRV_CTX_USER_MDL];

    if (!mdl)
        return;
    irp->Tail.Overlay.DriverContext[DRV_CTX_USER_MDL] = NULL;
    MmUnlockPages(mdl);
    IoFreeMdl(mdl);
}

/** drv_compat_volume_name() - IOCTL_VIRTFS_GET_VOLUME_NAME: the tag, terminated. IRQL: PASSIVE_LEVEL. */
NTSTATUS drv_compat_volume_name(struct drv_device *dev, IRP *irp, ULONG_PTR *information)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    uint16_t tag[VIOFS_TAG_CHARS + 1];
    ULONG size = sizeof(tag[0]);
    KIRQL irql;

    KeAcquireSpinLock(&dev->lock, &irql);
    RtlCopyMemory(tag, dev->session.tag, sizeof(tag));
    KeReleaseSpinLock(&dev->lock, irql);
    for (int i = 0; tag[i] != 0; i++)
        size += sizeof(tag[0]);
    if (stack->Parameters.DeviceIoControl.OutputBufferLength < size)
        return STATUS_BUFFER_TOO_SMALL;
    RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, tag, size);
    *information = size;
    return STATUS_SUCCESS;
}
