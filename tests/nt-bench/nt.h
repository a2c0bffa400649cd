// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt.h - common to the files of the NT half
 *
 * They implement NT routines under their true names, from mingw's declarations, so a wrong prototype
 * does not compile.
 */
#ifndef VIOFS_NT_BENCH_NT_H
#define VIOFS_NT_BENCH_NT_H

#include <ntifs.h>
#include <wdmguid.h>
#include <stdarg.h>

#include "tests/nt-bench/bench.h"

/* The caller of an NT routine, for reports. */
#define CALLER __builtin_return_address(0)

/* Types of dispatcher objects that wdm.h leaves out (KOBJECTS). */
enum { MutantObject = 2, TimerNotificationObject = 8, TimerSynchronizationObject = 9 };

/* Newer than mingw's headers. */
ULONG64 NTAPI KeQueryInterruptTimePrecise(PULONG64 qpc);

/* ---- nt_irql.c ---- */

/* nt_irql() - complain when a routine is called outside the IRQLs that its documentation allows */
void nt_irql(const char *routine, KIRQL lowest, KIRQL highest, const void *caller);

/* Around every call into the driver: it must come back as it went. */
struct nt_guard {
    uint64_t irql;
    uint32_t n_locks;
};
struct nt_guard nt_enter(KIRQL irql);
/* @what: kind of routine; @routine: its address. Restores the IRQL that nt_enter() found. */
void nt_leave(const struct nt_guard *g, KIRQL irql, const char *what, const void *routine);

/* ---- nt_sync.c, nt_dpc.c ---- */

void nt_dpc_start(void);
/* nt_check_freed() - nothing queued (DPC, timer) may lie in memory that is being freed */
void nt_check_freed(const void *base, size_t size);
/* nt_check_idle() - at unload: no timer set, no DPC queued or running */
void nt_check_idle(void);
/* nt_quiesce() - wait until DPCs and work items have run */
void nt_quiesce(void);

/* ---- nt_work.c ---- */

void nt_work_start(void);
unsigned nt_work_pending(void);

/* ---- nt_irp.c ---- */

/*
 * What becomes of an IRP, when its owner is the bench. Filled when the last completion routine is done; the
 * IRP itself is freed at that moment, and touching it faults.
 */
struct nt_outcome {
    BOOLEAN done, has_returned;
    UCHAR major, minor;
    NTSTATUS returned; /* by the dispatch routine */
    NTSTATUS status;
    ULONG_PTR information;
    BOOLEAN marked_pending;                         /* the top driver called IoMarkIrpPending */
    void (*finish)(struct nt_outcome *o, PIRP irp); /* before the IRP goes; may be NULL */
    PIRP irp;                                       /* NULL once it is gone */
    LONG cancelling;
    BOOLEAN left_behind; /* done while being cancelled: the canceller frees the IRP */
};
PIRP nt_irp_new(PDEVICE_OBJECT top, UCHAR major, UCHAR minor, struct nt_outcome *o);
/* nt_irp_send() - call the top driver and check what it returns. Return: what it returned. */
NTSTATUS nt_irp_send(PDEVICE_OBJECT top, PIRP irp, struct nt_outcome *o);
/* nt_outcome_wait() - Return: false after @ms milliseconds of real time */
BOOLEAN nt_outcome_wait(struct nt_outcome *o, ULONG ms);
void nt_outcome_cancel(struct nt_outcome *o);

/* ---- nt_io.c ---- */

extern ULONG nt_error_logs; /* entries written */
PDEVICE_OBJECT nt_top(PDEVICE_OBJECT d);

/* ---- nt_mm.c ---- */

/* MmProbeAndLockPages without the exception. Return: what it would raise, or success. */
NTSTATUS nt_probe_and_lock(PMDL mdl, KPROCESSOR_MODE mode, LOCK_OPERATION op, const void *caller);
uint64_t nt_mdl_page(PMDL mdl, ULONG i);

/* ---- nt_dma.c ---- */

/* How the HAL behaves: 1 calls back from a thread of its own, because map registers are short. */
extern BOOLEAN nt_dma_defer;
/* nt_dma_check_unlock() - complain if a scatter/gather list of this MDL is alive */
void nt_dma_check_unlock(PMDL mdl, const void *caller);

/* ---- nt_pdo.c ---- */

/* What the bus driver hangs on its PDO. */
struct nt_pdo {
    struct vdev *device;
    ULONG messages;     /* granted; 0: the line */
    BOOLEAN fail_start; /* START_DEVICE fails here */
    BOOLEAN slow;       /* completes requests from another thread */
    BOOLEAN started, removed, surprise;
    ULONG64 seen;          /* minor functions of PnP requests that got here, by bit */
    BOOLEAN state_invalid; /* IoInvalidateDeviceState was called */
    DEVICE_POWER_STATE power;
    PIO_INTERRUPT_MESSAGE_INFO table; /* while connected by message */
    struct nt_interrupt *interrupt;
};
struct nt_pdo *nt_pdo_of(PDEVICE_OBJECT pdo);
PDEVICE_OBJECT nt_pdo_new(struct vdev *d, ULONG messages);
void nt_pdo_free(PDEVICE_OBJECT pdo);
PCM_RESOURCE_LIST nt_pdo_resources(PDEVICE_OBJECT pdo);

/* ---- nt_exports.c ---- */

HOST void *nt_resolve(const char *name);

#endif
