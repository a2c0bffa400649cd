// SPDX-License-Identifier: BSD-3-Clause
/*
 * request.c - an IRP becomes a FUSE message in a slot, and the reply becomes a status
 *
 * Theory of operation
 *
 *   The request, header and arguments, is copied into the slot if it fits (DRV_REQUEST_ROOM), else the
 *   I/O manager's system buffer is mapped. The payload is mapped where it is. A reply with little payload
 *   and no file data lands in the slot and is copied to the caller, so that such a caller can leave at any
 *   time: every buffer the device knows is the driver's ("owned").
 *
 *   The reply header is in memory that the device may still write. It is read once, field by field, and
 *   believed only when it matches: length within what was used, our unique, an errno. A reply that does
 *   not is the daemon's fault and fails the one request; the ring is sound.
 *
 * Locks: none; the caller has the slot.
 */
#include "driver/drv.h"

/* Where the caller's direct buffer is in system space, for a copy. */
static NTSTATUS user_buffer(IRP *irp, uint32_t len, uint8_t **va)
{
    *va = NULL;
    if (len == 0)
        return STATUS_SUCCESS;
    *va = MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority | MdlMappingNoExecute);
    return *va ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

/* Let the device work on the first @len bytes of @mdl. */
static void map_mdl(struct drv_slot *slot, enum drv_map_index which, MDL *mdl, uint32_t len)
{
    struct drv_map *map = &slot->map[which];

    if (len == 0)
        return;
    map->mdl = mdl;
    map->va = MmGetMdlVirtualAddress(mdl);
    map->len = len;
    map->own_mdl = false;
    slot->owned = false;
}

/* Header and arguments, the first @len bytes of the system buffer. */
static NTSTATUS put_request(struct drv_slot *slot, uint32_t len)
{
    void *from = slot->irp->AssociatedIrp.SystemBuffer;
    MDL *mdl;

    if (len <= DRV_REQUEST_ROOM) {
        RtlCopyMemory(slot->request, from, len);
        slot->request_len = len;
        return STATUS_SUCCESS;
    }
    mdl = IoAllocateMdl(from, len, FALSE, FALSE, NULL);
    if (!mdl)
        return STATUS_INSUFFICIENT_RESOURCES;
    MmBuildMdlForNonPagedPool(mdl);
    map_mdl(slot, DRV_MAP_OUT, mdl, len);
    slot->map[DRV_MAP_OUT].own_mdl = true;
    return STATUS_SUCCESS;
}

/* Room for a reply of @head bytes in the slot plus @payload bytes that the caller gets. */
static NTSTATUS want_copied(struct drv_slot *slot, uint32_t head, uint32_t payload)
{
    slot->reply_room = head + payload;
    slot->user_len = payload;
    RtlZeroMemory(slot->reply, slot->reply_room); /* a device that writes less leaks nothing old */
    return user_buffer(slot->irp, payload, &slot->user);
}

static void want_header(struct drv_slot *slot)
{
    slot->reply_room = sizeof(struct drv_fuse_out);
    RtlZeroMemory(slot->reply, slot->reply_room);
}

static NTSTATUS build_ours(struct drv_slot *slot, uint32_t out_len)
{
    const uint32_t head = sizeof(struct drv_fuse_out);

    if (slot->kind == DRV_KIND_NO_REPLY)
        return STATUS_SUCCESS;
    if (slot->kind == DRV_KIND_WRITE) {
        map_mdl(slot, DRV_MAP_OUT, slot->irp->MdlAddress, out_len);
        slot->user_len = out_len;
        slot->reply_room = head + sizeof(struct drv_fuse_write_out);
        RtlZeroMemory(slot->reply, slot->reply_room);
        return STATUS_SUCCESS;
    }
    if (slot->opcode != DRV_FUSE_READ && head + out_len <= DRV_REPLY_ROOM)
        return want_copied(slot, head, out_len);
    want_header(slot);
    map_mdl(slot, DRV_MAP_IN, slot->irp->MdlAddress, out_len);
    return STATUS_SUCCESS;
}

static NTSTATUS build_compat(struct drv_slot *slot, uint32_t out_len)
{
    if (slot->kind == DRV_KIND_COMPAT_READ) {
        MDL *mdl = slot->irp->Tail.Overlay.DriverContext[DRV_CTX_USER_MDL];

        want_header(slot);
        slot->user = slot->irp->Tail.Overlay.DriverContext[DRV_CTX_USER_VA];
        if (mdl)
            map_mdl(slot, DRV_MAP_IN, mdl, MmGetMdlByteCount(mdl));
        return STATUS_SUCCESS;
    }
    if (out_len <= DRV_REPLY_ROOM)
        return want_copied(slot, 0, out_len);
    map_mdl(slot, DRV_MAP_IN, slot->irp->MdlAddress, min(out_len, DRV_MAX_MAPPED));
    return STATUS_SUCCESS;
}

static enum drv_kind kind_of(ULONG code, uint32_t opcode)
{
    switch (code) {
    case IOCTL_VIOFS_REQUEST:
        return DRV_KIND_REQUEST;
    case IOCTL_VIOFS_WRITE:
        return DRV_KIND_WRITE;
    case IOCTL_VIRTFS_FUSE_REQUEST:
        return drv_fuse_no_reply(opcode) ? DRV_KIND_NO_REPLY : DRV_KIND_COMPAT;
    case IOCTL_VIRTFS_FUSE_REQUEST_READ:
        return DRV_KIND_COMPAT_READ;
    default:
        return DRV_KIND_NO_REPLY;
    }
}

/**
 * drv_request_build() - fill a slot from its IRP, which ioctl.c has checked
 *
 * IRQL: <= DISPATCH_LEVEL. After an error the slot holds nothing but the IRP.
 */
NTSTATUS drv_request_build(struct drv_slot *slot)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(slot->irp);
    const struct drv_fuse_in *in = slot->irp->AssociatedIrp.SystemBuffer;
    ULONG code = stack->Parameters.DeviceIoControl.IoControlCode;
    uint32_t out_len = stack->Parameters.DeviceIoControl.OutputBufferLength;
    uint32_t in_len = stack->Parameters.DeviceIoControl.InputBufferLength;
    NTSTATUS status;

    slot->kind = kind_of(code, in->opcode);
    slot->opcode = in->opcode;
    slot->unique = in->unique;
    slot->may_block = drv_fuse_may_block(in->opcode);
    slot->owned = true;
    /* virtio-win's caller may pass more than its header says; header.len is at most in_len */
    status = put_request(slot, slot->kind == DRV_KIND_WRITE ? in_len : in->len);
    if (!NT_SUCCESS(status))
        return status;
    if (slot->kind == DRV_KIND_COMPAT || slot->kind == DRV_KIND_COMPAT_READ)
        return build_compat(slot, out_len);
    return build_ours(slot, out_len);
}

/* Read the reply header once. Return: false when it is none, or somebody else's. */
static bool reply_header(struct drv_slot *slot, struct drv_fuse_out *out)
{
    struct drv_fuse_out *from = (struct drv_fuse_out *)(void *)slot->reply;

    if (slot->used_len < sizeof(*out))
        return false;
    out->len = drv_load(&from->len);
    out->error = drv_load(&from->error);
    out->unique = drv_load(&from->unique);
    return out->len >= sizeof(*out) && out->len <= slot->used_len && out->unique == slot->unique &&
           out->error <= 0 && out->error > -4096 && (out->error == 0 || out->len == sizeof(*out));
}

/* Log the 1st, 2nd, 4th, 8th ... of these: the guest's log is not the host's to fill. */
static NTSTATUS bad_reply(struct drv_slot *slot)
{
    LONG n = drv_add(&slot->queue->dev->bad_replies, 1);

    if ((n & (n - 1)) == 0)
        drv_log(slot->queue->dev, IO_ERR_PROTOCOL, DRV_WHY_REPLY, slot->opcode);
    return STATUS_DEVICE_PROTOCOL_ERROR;
}

/* IOCTL_VIOFS_REQUEST and IOCTL_VIOFS_WRITE. */
static NTSTATUS reply_ours(struct drv_slot *slot, ULONG_PTR *information)
{
    struct drv_fuse_out out;
    uint32_t payload;

    /* not every daemon replies to DESTROY; that it was taken is all that counts */
    if (slot->opcode == DRV_FUSE_DESTROY && slot->used_len == 0) {
        drv_session_replied(slot->queue->dev, slot->opcode, 0);
        return STATUS_SUCCESS;
    }
    if (!reply_header(slot, &out))
        return bad_reply(slot);
    drv_session_replied(slot->queue->dev, slot->opcode, out.error);
    if (out.error != 0)
        return (NTSTATUS)viofs_status(out.error);
    payload = out.len - (uint32_t)sizeof(out);
    if (slot->kind == DRV_KIND_WRITE) {
        struct drv_fuse_write_out *w = (void *)(slot->reply + sizeof(out));
        uint32_t size;

        if (payload < sizeof(*w))
            return bad_reply(slot);
        size = drv_load(&w->size);
        if (size > slot->user_len)
            return bad_reply(slot);
        *information = size;
        return STATUS_SUCCESS;
    }
    if (slot->user)
        RtlCopyMemory(slot->user, slot->reply + sizeof(out), payload);
    *information = payload;
    return STATUS_SUCCESS;
}

/* IOCTL_VIRTFS_FUSE_REQUEST: the reply as it came, errors and all. */
static NTSTATUS reply_compat(struct drv_slot *slot, ULONG_PTR *information)
{
    struct drv_fuse_out out;

    *information = slot->used_len;
    if (slot->opcode == DRV_FUSE_DESTROY && slot->used_len == 0) {
        drv_session_replied(slot->queue->dev, slot->opcode, 0);
        return STATUS_SUCCESS;
    }
    if (slot->used_len < sizeof(out)) {
        *information = 0;
        return bad_reply(slot);
    }
    if (slot->user) {
        if (reply_header(slot, &out))
            drv_session_replied(slot->queue->dev, slot->opcode, out.error);
        RtlCopyMemory(slot->user, slot->reply, slot->used_len);
    } else {
        drv_session_replied(slot->queue->dev, slot->opcode, 0);
    }
    return STATUS_SUCCESS;
}

/* IOCTL_VIRTFS_FUSE_REQUEST_READ: the data is in place, the header goes to the control's own buffer. */
static NTSTATUS reply_compat_read(struct drv_slot *slot, ULONG_PTR *information)
{
    struct drv_fuse_out out;

    if (!reply_header(slot, &out))
        return bad_reply(slot);
    RtlCopyMemory(slot->user, &out, sizeof(out));
    *information = sizeof(out);
    return STATUS_SUCCESS;
}

/**
 * drv_request_reply() - what the device's answer means to the caller
 * @information: set to IoStatus.Information, zero before
 *
 * IRQL: <= DISPATCH_LEVEL. The slot has an IRP and was given back by the device.
 */
NTSTATUS drv_request_reply(struct drv_slot *slot, ULONG_PTR *information)
{
    switch (slot->kind) {
    case DRV_KIND_REQUEST:
    case DRV_KIND_WRITE:
        return reply_ours(slot, information);
    case DRV_KIND_COMPAT:
        return reply_compat(slot, information);
    case DRV_KIND_COMPAT_READ:
        return reply_compat_read(slot, information);
    default:
        return STATUS_SUCCESS;
    }
}

/**
 * drv_irp_done() - complete an IRP that drv_submit() took, and give up its remove lock
 *
 * No cancel routine is set. IRQL: <= DISPATCH_LEVEL, no lock.
 */
void drv_irp_done(struct drv_device *dev, IRP *irp, NTSTATUS status, ULONG_PTR information)
{
    drv_compat_release(irp);
    drv_complete(irp, status, information);
    IoReleaseRemoveLock(&dev->remove_lock, irp);
}
