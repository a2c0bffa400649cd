// SPDX-License-Identifier: BSD-3-Clause
/*
 * session.c - one FUSE session a device, one handle that owns it
 *
 * Theory of operation
 *
 *   The handle that sends INIT owns the session until its cleanup. Others get STATUS_SHARING_VIOLATION for
 *   FUSE messages; before any INIT, and on our own codes also between a lost session and the next INIT,
 *   it is STATUS_INVALID_DEVICE_STATE. (virtio-win's service cannot know that a session was lost, and its
 *   daemon may well have kept it: its messages go through.)
 *
 *   Cleanup releases ownership first: from then on no request of the handle can enter a queue
 *   (drv_session_owns() is asked under the queue's lock). It cancels what is there, gives it a moment to
 *   end, and sends DESTROY if the host may have a session. Until DESTROY is answered the session is
 *   "closing" and INIT gets STATUS_DEVICE_BUSY, so a late DESTROY cannot end the next owner's session.
 *
 *   The epoch grows with every loss of the session that nobody asked for. It starts with a clock, so that a
 *   device that was removed and came back has a greater one.
 *
 * Locks: drv_device.lock, inside.
 */
#include "driver/drv.h"

/** drv_session_init() - nobody owns it. IRQL: PASSIVE_LEVEL, once per device object. */
void drv_session_init(struct drv_device *dev)
{
    struct drv_session *s = &dev->session;

    KeInitializeSpinLock(&dev->lock);
    KeInitializeEvent(&s->closed, NotificationEvent, TRUE);
    s->epoch = (uint64_t)KeQueryPerformanceCounter(NULL).QuadPart;
}

/** drv_session_owns() - may this file's requests go to the device? IRQL: any; see the head comment. */
bool drv_session_owns(struct drv_device *dev, FILE_OBJECT *file)
{
    return drv_load(&dev->session.owner) == file;
}

static void set_owner(struct drv_session *s, FILE_OBJECT *file)
{
    drv_store(&s->owner, file);
}

static NTSTATUS enter(struct drv_session *s, FILE_OBJECT *file, uint32_t opcode, bool ours)
{
    if (s->owner && s->owner != file)
        return STATUS_SHARING_VIOLATION;
    if (opcode == DRV_FUSE_INIT) {
        if (s->closing)
            return STATUS_DEVICE_BUSY;
        set_owner(s, file);
        s->init_sent = true;
        return STATUS_SUCCESS;
    }
    if (!s->owner || (ours && !s->live))
        return STATUS_INVALID_DEVICE_STATE;
    if (opcode == DRV_FUSE_DESTROY)
        s->live = false;
    return STATUS_SUCCESS;
}

/**
 * drv_session_enter() - may @file send this opcode? INIT makes it the owner
 * @ours: through one of our own codes
 *
 * IRQL: <= DISPATCH_LEVEL.
 */
NTSTATUS drv_session_enter(struct drv_device *dev, FILE_OBJECT *file, uint32_t opcode, bool ours)
{
    NTSTATUS status;
    KIRQL irql;

    KeAcquireSpinLock(&dev->lock, &irql);
    status = enter(&dev->session, file, opcode, ours);
    KeReleaseSpinLock(&dev->lock, irql);
    return status;
}

/** drv_session_replied() - the host answered the owner's INIT or DESTROY. IRQL: <= DISPATCH_LEVEL. */
void drv_session_replied(struct drv_device *dev, uint32_t opcode, int32_t error)
{
    KIRQL irql;

    if ((opcode != DRV_FUSE_INIT && opcode != DRV_FUSE_DESTROY) || error != 0)
        return;
    KeAcquireSpinLock(&dev->lock, &irql);
    if (opcode == DRV_FUSE_DESTROY)
        dev->session.init_sent = false;
    dev->session.live = dev->session.init_sent;
    KeReleaseSpinLock(&dev->lock, irql);
}

/** drv_session_lost() - the device was reset: no session, a new epoch. IRQL: <= DISPATCH_LEVEL. */
void drv_session_lost(struct drv_device *dev)
{
    struct drv_session *s = &dev->session;
    KIRQL irql;

    KeAcquireSpinLock(&dev->lock, &irql);
    s->live = s->init_sent = false;
    s->closing = false;
    drv_store(&s->destroy_due, false); /* looked at without the lock */
    s->epoch++;
    KeSetEvent(&s->closed, IO_NO_INCREMENT, FALSE);
    KeReleaseSpinLock(&dev->lock, irql);
}

/**
 * drv_session_send_destroy() - send the DESTROY that is due, if a slot is free
 *
 * Called again whenever slots of the first request queue came free. IRQL: <= DISPATCH_LEVEL, no lock.
 */
void drv_session_send_destroy(struct drv_device *dev)
{
    struct drv_session *s = &dev->session;
    struct drv_fuse_in *in;
    struct drv_slot *slot;
    bool due;
    KIRQL irql;

    if (!drv_load(&s->destroy_due))
        return;
    slot = drv_slot_take(&dev->queue[VIRTIO_FS_QUEUE_REQUEST]);
    if (!slot)
        return;
    KeAcquireSpinLock(&dev->lock, &irql);
    due = s->destroy_due;
    drv_store(&s->destroy_due, false);
    KeReleaseSpinLock(&dev->lock, irql);
    if (!due) {
        drv_slot_return(slot);
        return;
    }
    in = (void *)slot->request;
    slot->kind = DRV_KIND_DESTROY;
    slot->opcode = DRV_FUSE_DESTROY;
    slot->request_len = sizeof(*in);
    slot->reply_room = sizeof(struct drv_fuse_out);
    RtlZeroMemory(in, sizeof(*in));
    in->len = sizeof(*in);
    in->opcode = DRV_FUSE_DESTROY;
    in->unique = 1ull << 63;
    drv_slot_ready(slot);
}

/** drv_session_destroyed() - our DESTROY came back, whatever it says. IRQL: <= DISPATCH_LEVEL. */
void drv_session_destroyed(struct drv_device *dev)
{
    KIRQL irql;

    KeAcquireSpinLock(&dev->lock, &irql);
    dev->session.closing = false;
    KeSetEvent(&dev->session.closed, IO_NO_INCREMENT, FALSE);
    KeReleaseSpinLock(&dev->lock, irql);
}

/* Give up ownership. Return: true if @file had it. */
static bool release(struct drv_device *dev, FILE_OBJECT *file, bool *closing)
{
    struct drv_session *s = &dev->session;
    bool mine;
    KIRQL irql;

    KeAcquireSpinLock(&dev->lock, &irql);
    mine = s->owner == file;
    if (mine) {
        set_owner(s, NULL);
        s->closing = s->init_sent;
        s->live = s->init_sent = false;
        if (s->closing)
            KeClearEvent(&s->closed);
    }
    *closing = mine && s->closing;
    KeReleaseSpinLock(&dev->lock, irql);
    return mine;
}

/* Wait a moment for what the handle had in flight, so that DESTROY comes last. */
static void settle(struct drv_device *dev)
{
    for (uint32_t i = 0; i < drv_n_queues(dev); i++)
        if (!drv_queue_drain(&dev->queue[i], DRV_SETTLE_MS))
            return;
}

/**
 * drv_session_cleanup() - the last handle of @file was closed
 *
 * If it owned the session: cancels its requests and has DESTROY sent. Waits for that, but not for long:
 * a host that does not answer keeps the session closing, not the caller. IRQL: PASSIVE_LEVEL.
 */
void drv_session_cleanup(struct drv_device *dev, FILE_OBJECT *file)
{
    struct drv_session *s = &dev->session;
    LARGE_INTEGER timeout;
    bool closing;
    KIRQL irql;

    if (!release(dev, file, &closing))
        return;
    drv_cancel_file(dev, file);
    if (!closing)
        return;
    settle(dev);
    KeAcquireSpinLock(&dev->lock, &irql);
    drv_store(&s->destroy_due, s->closing); /* lost it meanwhile: not due */
    KeReleaseSpinLock(&dev->lock, irql);
    drv_session_send_destroy(dev);
    timeout.QuadPart = -10000LL * DRV_DESTROY_MS;
    KeWaitForSingleObject(&s->closed, Executive, KernelMode, FALSE, &timeout);
}

/* Tag to UTF-16. A tag that is not UTF-8 is shown with replacement characters, as the routine does. */
void drv_session_set_tag(struct drv_device *dev, const struct virtio_fs_config *config)
{
    uint16_t tag[VIOFS_TAG_CHARS + 1] = {0};
    ULONG len = 0, bytes = 0;
    KIRQL irql;

    while (len < VIRTIO_FS_TAG_MAX && config->tag[len] != 0)
        len++;
    RtlUTF8ToUnicodeN((WCHAR *)tag, VIOFS_TAG_CHARS * sizeof(tag[0]), &bytes,
                      (const char *)config->tag, len);
    KeAcquireSpinLock(&dev->lock, &irql);
    RtlCopyMemory(dev->session.tag, tag, sizeof(tag));
    KeReleaseSpinLock(&dev->lock, irql);
}
