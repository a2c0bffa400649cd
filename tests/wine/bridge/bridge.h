// SPDX-License-Identifier: BSD-3-Clause
/*
 * bridge.h - viofs-bridge.sys: the device of viofs.sys as Wine sees it, carried to the NT bench
 *
 * Theory of operation
 *
 *   Wine's kernel has no PCI, no interrupts and no DPCs, so the driver that ships runs in the NT bench
 *   (tests/nt-bench). Programs in Wine reach it through this driver, which is loaded by winedevice.exe like any other
 *   and is a Linux library at the same time (winelib): it shows a device with viofs' interface, and
 *   carries each request to the bench over a socket (tests/nt-bench/serve.h).
 *
 *   Each PnP device root\viofs-bridge is a slot: nothing is in it until a bench connects to
 *   $VIOFS_BRIDGE_DIR/slot<N>. Then the interface is enabled, and stays so until that connection ends. Arrival and
 *   removal are thereby what a program sees of a device that is plugged in and pulled out.
 *
 *   Each handle has a connection to the bench and a thread of its own, which completes requests. Requests are
 *   pended always and sent by the dispatching thread, so any number is under way at once.
 *
 *   Where Wine's I/O manager is not Windows':
 *
 *   - It sends no IRP_MJ_CLEANUP. IRP_MJ_CLOSE is the moment when the last handle was closed, and requests of that
 *     handle may still be under way. So CLOSE here stands for CLEANUP there; the bench sends the driver its
 *     IRP_MJ_CLOSE when everything has come back.
 *   - CloseHandle() does not wait for it. An OPEN carries the number of CLOSEs before it, and the bench does
 *     them first, so that whoever closes and opens again meets what Windows would show.
 *   - CreateFile() does not wait for IRP_MJ_CREATE; handle_create() says what becomes of a refusal.
 *   - One thread dispatches and cancels.
 *
 * Ownership: a struct slot lives in its device object's extension. A struct handle is shared by its file object and
 *   its thread; the last of both frees it. Locks: handle.send_lock, handle.lock, slot.lock, in this order.
 */
#ifndef VIOFS_BRIDGE_H
#define VIOFS_BRIDGE_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIN32_NO_STATUS
#include <windef.h>
#include <winbase.h>
#undef WIN32_NO_STATUS
#include <ntstatus.h>
#include <winternl.h>
#include <winioctl.h>
#include <ddk/wdm.h>

#include "tests/nt-bench/serve.h"
#include "tests/nt-bench/wire.h"

struct slot {
    DEVICE_OBJECT *self, *lower, *pdo;
    UNICODE_STRING interface;
    unsigned number;
    int listener;
    pthread_mutex_t lock; /* guards what follows */
    bool removed;
    int plug;                                              /* connection of the bench, or -1 */
    char device[sizeof(((struct serve_plug *)0)->device)]; /* while plug >= 0 */
    uint32_t plugged;                                      /* so many times */
    uint32_t closed;                                       /* CLOSEs sent since then */
};

/* ---- slot.c ---- */

/** slot_start() - listen, and have a thread wait for a bench. Return: NTSTATUS */
NTSTATUS slot_start(struct slot *s);
/** slot_stop() - the PnP device goes: the interface too */
void slot_stop(struct slot *s);
/**
 * slot_device() - where the device in the slot is
 * @path: as long as slot.device. Return: false when the slot is empty.
 */
bool slot_device(struct slot *s, char *path, uint32_t *plugged, uint32_t *closed);
/** slot_closed() - a CLOSE was sent to the device that was plugged in as number @plugged */
void slot_closed(struct slot *s, uint32_t plugged);

/* ---- handle.c: dispatch routines ---- */

NTSTATUS WINAPI handle_create(DEVICE_OBJECT *object, IRP *irp);
NTSTATUS WINAPI handle_control(DEVICE_OBJECT *object, IRP *irp);
NTSTATUS WINAPI handle_close(DEVICE_OBJECT *object, IRP *irp);

/* ---- driver.c ---- */

/** bridge_complete() - end an IRP. Return: @status */
NTSTATUS bridge_complete(IRP *irp, NTSTATUS status, ULONG_PTR information);

/** bridge_thread() - start a thread that may call NT routines. Return: false when there is none */
bool bridge_thread(void(WINAPI *routine)(void *), void *context);

#endif
