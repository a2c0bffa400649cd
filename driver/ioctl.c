// SPDX-License-Identifier: BSD-3-Clause
/*
 * ioctl.c - the control codes of abi/viofs_ioctl.h: who may, what is well formed, and where it goes
 *
 * Theory of operation
 *
 *   Everything that can be refused is refused here, before the request is pending: lengths, opcode, owner.
 *   What passes is pended always, and ends through drv_irp_done(): the I/O manager writes the status of a
 *   request that failed with a customer code to the caller only if it was pended.
 *
 *   The system buffer is the kernel's copy, which the caller cannot change under us.
 *
 * Locks: none of its own.
 */
#include "driver/drv.h"

static ULONG in_length(IRP *irp)
{
    return IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.InputBufferLength;
}

static ULONG out_length(IRP *irp)
{
    return IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.OutputBufferLength;
}

/* A header whose length is that of what was sent, with @data more bytes in the other buffer. */
static NTSTATUS check_header(IRP *irp, uint32_t least, uint32_t most, uint32_t data)
{
    const struct drv_fuse_in *in = irp->AssociatedIrp.SystemBuffer;

    if (in_length(irp) < least)
        return STATUS_BUFFER_TOO_SMALL;
    if (in_length(irp) > most)
        return STATUS_INVALID_BUFFER_SIZE;
    if (in->len != in_length(irp) + data || !drv_fuse_known(in->opcode))
        return STATUS_INVALID_PARAMETER;
    return STATUS_SUCCESS;
}

static NTSTATUS check_request(struct drv_device *dev, IRP *irp)
{
    const struct drv_fuse_in *in = irp->AssociatedIrp.SystemBuffer;
    NTSTATUS status = check_header(irp, sizeof(*in), DRV_MAX_REQUEST, 0);

    if (!NT_SUCCESS(status))
        return status;
    if (drv_fuse_no_reply(in->opcode) || in->opcode == DRV_FUSE_WRITE)
        return STATUS_INVALID_PARAMETER;
    return out_length(irp) <= drv_load(&dev->most_payload) ? STATUS_SUCCESS
                                                           : STATUS_INVALID_BUFFER_SIZE;
}

static NTSTATUS check_write(struct drv_device *dev, IRP *irp)
{
    const struct drv_fuse_in *in = irp->AssociatedIrp.SystemBuffer;
    const struct drv_fuse_write_in *arg = (const void *)(in + 1);
    NTSTATUS status;

    if (out_length(irp) > drv_load(&dev->most_payload))
        return STATUS_INVALID_BUFFER_SIZE;
    status = check_header(irp, sizeof(*in) + sizeof(*arg), DRV_REQUEST_ROOM, out_length(irp));
    if (!NT_SUCCESS(status))
        return status;
    return in->opcode == DRV_FUSE_WRITE && arg->size == out_length(irp) ? STATUS_SUCCESS
                                                                        : STATUS_INVALID_PARAMETER;
}

static NTSTATUS check_no_reply(IRP *irp)
{
    const struct drv_fuse_in *in = irp->AssociatedIrp.SystemBuffer;
    NTSTATUS status = check_header(irp, sizeof(*in), DRV_MAX_REQUEST, 0);

    if (!NT_SUCCESS(status))
        return status;
    return drv_fuse_no_reply(in->opcode) ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

/* The virtqueue for an opcode. INIT and DESTROY go one way, so that one cannot overtake the other. */
static struct drv_queue *queue_for(struct drv_device *dev, uint32_t opcode)
{
    if (drv_fuse_no_reply(opcode))
        return &dev->queue[VIRTIO_FS_QUEUE_HIPRIO];
    if (opcode == DRV_FUSE_INIT || opcode == DRV_FUSE_DESTROY)
        return &dev->queue[VIRTIO_FS_QUEUE_REQUEST];
    return drv_queue_pick(dev);
}

/* Check a FUSE message. Return: success when it may be pended. */
static NTSTATUS check(struct drv_device *dev, IRP *irp, ULONG code)
{
    const struct drv_fuse_in *in = irp->AssociatedIrp.SystemBuffer;
    bool ours = true;
    NTSTATUS status;

    switch (code) {
    case IOCTL_VIOFS_REQUEST:
        status = check_request(dev, irp);
        break;
    case IOCTL_VIOFS_WRITE:
        status = check_write(dev, irp);
        break;
    case IOCTL_VIOFS_NO_REPLY:
        status = check_no_reply(irp);
        break;
    default:
        ours = false;
        status = drv_compat_check(irp);
        break;
    }
    if (NT_SUCCESS(status))
        status =
            drv_session_enter(dev, IoGetCurrentIrpStackLocation(irp)->FileObject, in->opcode, ours);
    if (NT_SUCCESS(status) && code == IOCTL_VIRTFS_FUSE_REQUEST_READ)
        status = drv_compat_read_buffer(irp);
    return status;
}

/* Limits as of the last start. */
static void query_limits(struct drv_device *dev, struct viofs_query_out *out)
{
    uint32_t n = drv_n_queues(dev);

    out->num_queues = n > 1 ? n - 1 : 0;
    for (uint32_t i = VIRTIO_FS_QUEUE_REQUEST; i < n; i++) {
        uint32_t size = drv_load(&dev->queue[i].size);

        out->max_in_flight += size;
        if (out->queue_size == 0 || size < out->queue_size)
            out->queue_size = size;
    }
    out->max_request = DRV_MAX_REQUEST;
    out->max_transfer = drv_load(&dev->max_transfer);
}

/* IOCTL_VIOFS_QUERY */
static NTSTATUS query(struct drv_device *dev, IRP *irp, ULONG_PTR *information)
{
    FILE_OBJECT *file = IoGetCurrentIrpStackLocation(irp)->FileObject;
    const struct viofs_query_in *in = irp->AssociatedIrp.SystemBuffer;
    struct viofs_query_out out;
    KIRQL irql;

    if (in_length(irp) < sizeof(*in) || out_length(irp) < sizeof(out))
        return STATUS_BUFFER_TOO_SMALL;
    if (in->version == 0)
        return STATUS_INVALID_PARAMETER;
    RtlZeroMemory(&out, sizeof(out));
    out.size = sizeof(out);
    out.version = min(in->version, VIOFS_IOCTL_VERSION);
    query_limits(dev, &out);
    if (drv_load(&dev->watch.stalled))
        out.flags |= VIOFS_QUERY_STALLED;
    KeAcquireSpinLock(&dev->lock, &irql);
    out.epoch = dev->session.epoch;
    if (dev->session.owner)
        out.flags |= VIOFS_QUERY_OWNED;
    if (dev->session.owner == file)
        out.flags |= VIOFS_QUERY_MINE;
    RtlCopyMemory(out.tag, dev->session.tag, sizeof(dev->session.tag));
    KeReleaseSpinLock(&dev->lock, irql);

    RtlCopyMemory(irp->AssociatedIrp.SystemBuffer, &out, sizeof(out)); /* in and out share it */
    *information = sizeof(out);
    return STATUS_SUCCESS;
}

/* Answers at once. Return: STATUS_PENDING for a code that is none of these. */
static NTSTATUS answer(struct drv_device *dev, IRP *irp, ULONG code, ULONG_PTR *information)
{
    switch (code) {
    case IOCTL_VIRTFS_GET_VOLUME_NAME:
        return drv_compat_volume_name(dev, irp, information);
    case IOCTL_VIOFS_QUERY:
        return query(dev, irp, information);
    case IOCTL_VIRTFS_FUSE_REQUEST:
    case IOCTL_VIRTFS_FUSE_REQUEST_READ:
    case IOCTL_VIOFS_REQUEST:
    case IOCTL_VIOFS_WRITE:
    case IOCTL_VIOFS_NO_REPLY:
        return STATUS_PENDING;
    default:
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}

/** drv_dispatch_control() - IRP_MJ_DEVICE_CONTROL. IRQL: PASSIVE_LEVEL, in the caller's context. */
NTSTATUS NTAPI drv_dispatch_control(DEVICE_OBJECT *object, IRP *irp)
{
    struct drv_device *dev = drv_of(object);
    ULONG code = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.IoControlCode;
    const struct drv_fuse_in *in = irp->AssociatedIrp.SystemBuffer;
    struct drv_queue *q = NULL;
    ULONG_PTR information = 0;
    NTSTATUS status = IoAcquireRemoveLock(&dev->remove_lock, irp);

    if (!NT_SUCCESS(status))
        return drv_complete(irp, status, 0);
    RtlZeroMemory(irp->Tail.Overlay.DriverContext, sizeof(irp->Tail.Overlay.DriverContext));
    status = answer(dev, irp, code, &information);
    if (status == STATUS_PENDING) {
        status = check(dev, irp, code);
        if (NT_SUCCESS(status)) {
            q = queue_for(dev, in->opcode);
            if (!q)
                status = STATUS_DEVICE_NOT_READY;
        }
    }
    if (!q) {
        drv_compat_release(irp);
        drv_complete(irp, status, information);
        IoReleaseRemoveLock(&dev->remove_lock, irp);
        return status;
    }
    IoMarkIrpPending(irp);
    drv_submit(q, irp);
    return STATUS_PENDING;
}
