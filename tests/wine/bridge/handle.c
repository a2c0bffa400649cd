// SPDX-License-Identifier: BSD-3-Clause
/*
 * handle.c - requests on their way to the bench and back
 *
 * Theory of operation
 *
 *   A request is numbered, put on its handle's list, and sent. The handle's thread receives replies, takes the
 *   request with that number off the list, and completes it. Cancelling sends SERVE_CANCEL and leaves the request where
 *   it is: the driver in the bench decides when it ends, and with what.
 *
 *   The number is also in the IRP, because a cancel routine may not look at an IRP for longer than it holds
 *   the cancel lock. The thread takes that lock once before it completes, so that a routine which has begun has
 *   read the number by then.
 *
 *   When the connection breaks, everything on the list ends with STATUS_DEVICE_NOT_CONNECTED.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/wine/bridge/bridge.h"

struct handle {
    struct slot *slot;
    uint32_t plugged; /* slot.plugged when it was opened */
    int fd;
    pthread_mutex_t send_lock;
    pthread_mutex_t lock; /* guards what follows */
    LIST_ENTRY irps;      /* sent and not completed */
    uint64_t next_id;
    NTSTATUS broken; /* not 0: nothing is sent any more, and why */
    unsigned references;
};

static uint64_t *id_of(IRP *irp)
{
    return (uint64_t *)&irp->Tail.Overlay.DriverContext[0];
}

static void put(struct handle *h)
{
    bool last;

    pthread_mutex_lock(&h->lock);
    last = --h->references == 0;
    pthread_mutex_unlock(&h->lock);
    if (!last)
        return;
    close(h->fd);
    pthread_mutex_destroy(&h->lock);
    pthread_mutex_destroy(&h->send_lock);
    free(h);
}

/* With send_lock. */
static int send_locked(struct handle *h, const struct serve_call *c, const void *in,
                       const void *out)
{
    return wire_send(h->fd, c, sizeof(*c), in, c->in_len, out, c->data_len - c->in_len);
}

/* A call without data; when it cannot be sent, the thread finds out and ends everything. */
static void send_call(struct handle *h, const struct serve_call *c)
{
    pthread_mutex_lock(&h->send_lock);
    if (send_locked(h, c, NULL, NULL) < 0)
        shutdown(h->fd, SHUT_RDWR);
    pthread_mutex_unlock(&h->send_lock);
}

/* ---- completing ------------------------------------------------------------------------------ */

static IRP *take(struct handle *h, uint64_t id)
{
    IRP *found = NULL;

    pthread_mutex_lock(&h->lock);
    for (LIST_ENTRY *e = h->irps.Flink; e != &h->irps && !found; e = e->Flink) {
        IRP *irp = CONTAINING_RECORD(e, IRP, Tail.Overlay.ListEntry);

        if (*id_of(irp) == id)
            found = irp;
    }
    if (found)
        RemoveEntryList(&found->Tail.Overlay.ListEntry);
    pthread_mutex_unlock(&h->lock);
    return found;
}

static void finish(IRP *irp, NTSTATUS status, ULONG_PTR information)
{
    KIRQL irql;

    IoAcquireCancelSpinLock(&irql);
    IoSetCancelRoutine(irp, NULL);
    IoReleaseCancelSpinLock(irql);
    bridge_complete(irp, status, information);
}

/* Where output of this request goes, and how much fits. */
static void *output_of(IRP *irp, uint32_t *room)
{
    IO_STACK_LOCATION *s = IoGetCurrentIrpStackLocation(irp);

    *room = s->Parameters.DeviceIoControl.OutputBufferLength;
    if ((s->Parameters.DeviceIoControl.IoControlCode & 3) == METHOD_BUFFERED)
        return irp->AssociatedIrp.SystemBuffer;
    return irp->MdlAddress ? MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority)
                           : NULL;
}

static bool finish_control(struct handle *h, const struct serve_reply *r)
{
    IRP *irp = take(h, r->id);
    uint32_t room = 0;
    void *to = irp ? output_of(irp, &room) : NULL;

    if (!irp)
        return false;
    if (r->data_len > room || (r->data_len && !to) || wire_receive(h->fd, to, r->data_len) < 0) {
        finish(irp, STATUS_DEVICE_PROTOCOL_ERROR, 0);
        return false;
    }
    finish(irp, (NTSTATUS)r->status, r->information);
    return true;
}

/* Nothing is on its way after this. Senders hold send_lock for as long as they use an IRP. */
static void break_connection(struct handle *h, NTSTATUS status)
{
    shutdown(h->fd, SHUT_RDWR);
    pthread_mutex_lock(&h->send_lock);
    pthread_mutex_lock(&h->lock);
    h->broken = status;
    pthread_mutex_unlock(&h->lock);
    while (!IsListEmpty(&h->irps)) {
        LIST_ENTRY *e = RemoveHeadList(&h->irps);

        finish(CONTAINING_RECORD(e, IRP, Tail.Overlay.ListEntry), status, 0);
    }
    pthread_mutex_unlock(&h->send_lock);
}

/* Replies until the handle is refused, closed, or the bench is gone. */
static void WINAPI handle_main(void *context)
{
    struct handle *h = context;
    NTSTATUS status = STATUS_DEVICE_NOT_CONNECTED;
    struct serve_reply r;

    while (wire_receive(h->fd, &r, sizeof(r)) == 0) {
        if (r.op == SERVE_OPEN && !NT_SUCCESS((NTSTATUS)r.status)) {
            status = (NTSTATUS)r.status;
            break;
        }
        if (r.op == SERVE_CLOSE || (r.op == SERVE_IOCTL && !finish_control(h, &r)))
            break;
    }
    break_connection(h, status);
    put(h);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

/* ---- dispatch routines ----------------------------------------------------------------------- */

static struct handle *new_handle(struct slot *s, int fd)
{
    struct handle *h = calloc(1, sizeof(*h));

    if (!h)
        return NULL;
    h->slot = s;
    h->fd = fd;
    h->references = 2;
    h->next_id = 1;
    InitializeListHead(&h->irps);
    pthread_mutex_init(&h->lock, NULL);
    pthread_mutex_init(&h->send_lock, NULL);
    return h;
}

/**
 * handle_create() - IRP_MJ_CREATE
 *
 * Wine lets the program go on without waiting for it, so the first requests may be here before the driver has
 * answered; if it refuses, they fail with its status.
 */
NTSTATUS WINAPI handle_create(DEVICE_OBJECT *object, IRP *irp)
{
    struct slot *s = object->DeviceExtension;
    struct serve_call c = {.op = SERVE_OPEN, .id = (uint64_t)(ULONG_PTR)PsGetCurrentProcessId()};
    char path[sizeof(s->device)];
    struct handle *h;
    uint32_t plugged;
    int fd;

    if (!slot_device(s, path, &plugged, &c.code))
        return bridge_complete(irp, STATUS_DEVICE_NOT_CONNECTED, 0);
    fd = wire_connect(path);
    h = fd < 0 ? NULL : new_handle(s, fd);
    if (!h) {
        if (fd >= 0)
            close(fd);
        return bridge_complete(irp, STATUS_DEVICE_NOT_CONNECTED, 0);
    }
    h->plugged = plugged;
    send_call(h, &c);
    if (!bridge_thread(handle_main, h)) {
        put(h);
        put(h);
        return bridge_complete(irp, STATUS_INSUFFICIENT_RESOURCES, 0);
    }
    IoGetCurrentIrpStackLocation(irp)->FileObject->FsContext = h;
    return bridge_complete(irp, STATUS_SUCCESS, 0);
}

/* On the thread that dispatches: winedevice has one for both, so this never runs while a request is being sent. */
static void WINAPI cancel(DEVICE_OBJECT *object, IRP *irp)
{
    struct handle *h = IoGetCurrentIrpStackLocation(irp)->FileObject->FsContext;
    struct serve_call c = {.op = SERVE_CANCEL, .id = *id_of(irp)};

    (void)object;
    IoReleaseCancelSpinLock(irp->CancelIrql);
    if (h)
        send_call(h, &c); /* the file object has a reference on the handle */
}

/* With send_lock, under which the IRP stays ours until it is sent. */
static NTSTATUS enlist(struct handle *h, IRP *irp)
{
    NTSTATUS status;

    pthread_mutex_lock(&h->lock);
    status = h->broken;
    if (!status) {
        *id_of(irp) = h->next_id++;
        IoMarkIrpPending(irp);
        IoSetCancelRoutine(irp, cancel);
        InsertTailList(&h->irps, &irp->Tail.Overlay.ListEntry);
    }
    pthread_mutex_unlock(&h->lock);
    return status;
}

/* The call that stands for this IRP. Return: false when it cannot be carried. */
static bool describe(IRP *irp, struct serve_call *c, const void **out)
{
    IO_STACK_LOCATION *s = IoGetCurrentIrpStackLocation(irp);
    uint32_t room;

    *c = (struct serve_call){.op = SERVE_IOCTL,
                             .code = s->Parameters.DeviceIoControl.IoControlCode,
                             .in_len = s->Parameters.DeviceIoControl.InputBufferLength,
                             .out_len = s->Parameters.DeviceIoControl.OutputBufferLength};
    *out = NULL;
    if (c->in_len > SERVE_MAX_DATA || c->out_len > SERVE_MAX_DATA ||
        (c->code & 3) == METHOD_NEITHER)
        return false;
    c->data_len = c->in_len;
    if ((c->code & 3) == METHOD_IN_DIRECT && c->out_len) {
        *out = output_of(irp, &room);
        c->data_len += c->out_len;
    }
    return c->data_len <= SERVE_MAX_DATA;
}

/** handle_control() - IRP_MJ_DEVICE_CONTROL: goes to the bench as it is, buffers included */
NTSTATUS WINAPI handle_control(DEVICE_OBJECT *object, IRP *irp)
{
    struct handle *h = IoGetCurrentIrpStackLocation(irp)->FileObject->FsContext;
    const void *out;
    struct serve_call c;
    NTSTATUS status;

    (void)object;
    if (!h)
        return bridge_complete(irp, STATUS_INVALID_HANDLE, 0);
    if (!describe(irp, &c, &out))
        return bridge_complete(irp, STATUS_NOT_SUPPORTED, 0);
    pthread_mutex_lock(&h->send_lock);
    status = enlist(h, irp);
    if (NT_SUCCESS(status)) {
        c.id = *id_of(irp);
        if (send_locked(h, &c, irp->AssociatedIrp.SystemBuffer, out) < 0)
            shutdown(h->fd, SHUT_RDWR); /* the thread ends everything */
    }
    pthread_mutex_unlock(&h->send_lock);
    return NT_SUCCESS(status) ? STATUS_PENDING : bridge_complete(irp, status, 0);
}

/** handle_close() - IRP_MJ_CLOSE, which stands for CLEANUP too: bridge.h says why */
NTSTATUS WINAPI handle_close(DEVICE_OBJECT *object, IRP *irp)
{
    FILE_OBJECT *file = IoGetCurrentIrpStackLocation(irp)->FileObject;
    struct handle *h = file->FsContext;
    struct serve_call c = {.op = SERVE_CLOSE};

    (void)object;
    if (!h)
        return bridge_complete(irp, STATUS_SUCCESS, 0);
    pthread_mutex_lock(&h->send_lock);
    if (send_locked(h, &c, NULL, NULL) == 0)
        slot_closed(h->slot, h->plugged);
    pthread_mutex_unlock(&h->send_lock);
    file->FsContext = NULL;
    put(h);
    return bridge_complete(irp, STATUS_SUCCESS, 0);
}
