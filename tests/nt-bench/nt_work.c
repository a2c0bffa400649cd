// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_work.c - work items
 *
 * Theory of operation
 *
 *   Two worker threads take items in order and run them at PASSIVE_LEVEL. As in Windows, an item may be
 *   freed or queued again by its own routine, and keeps its device object referenced while it is queued.
 *
 * Locks: the queue is under the big lock.
 */
#include "tests/nt-bench/nt.h"

#define WORKERS 2

struct _IO_WORKITEM {
    LIST_ENTRY link;
    PDEVICE_OBJECT device;
    PIO_WORKITEM_ROUTINE routine;
    PVOID context;
    BOOLEAN queued;
};

static LIST_ENTRY queue;
static LONG pending;

PIO_WORKITEM NTAPI IoAllocateWorkItem(PDEVICE_OBJECT device)
{
    PIO_WORKITEM w;

    nt_irql("IoAllocateWorkItem", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    if (fail_now())
        return NULL;
    w = mem_alloc(MEM_POOL, sizeof(*w), 0x206f6957, 0, CALLER);
    if (!w)
        return NULL;
    RtlZeroMemory(w, sizeof(*w));
    w->device = device;
    ver_take(VER_WORK_ITEM, w, 0, CALLER);
    return w;
}

VOID NTAPI IoFreeWorkItem(PIO_WORKITEM w)
{
    nt_irql("IoFreeWorkItem", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    k_lock();
    if (w->queued)
        ver_complain("work-item", "freed while queued, at %s", ver_where(CALLER));
    k_unlock();
    if (!ver_give(VER_WORK_ITEM, w, NULL))
        ver_complain("work-item", "freed twice, at %s", ver_where(CALLER));
    mem_free(MEM_POOL, w);
}

VOID NTAPI IoQueueWorkItem(PIO_WORKITEM w, PIO_WORKITEM_ROUTINE routine, WORK_QUEUE_TYPE type,
                           PVOID context)
{
    (void)type;
    nt_irql("IoQueueWorkItem", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    k_lock();
    if (w->queued)
        ver_stop("work-item", "queued twice, at %s", ver_where(CALLER));
    w->queued = TRUE;
    w->routine = routine;
    w->context = context;
    InsertTailList(&queue, &w->link);
    pending++;
    k_wake();
    k_unlock();
}

static HOST void worker(void *arg)
{
    (void)arg;
    k_lock();
    for (;;) {
        PIO_WORKITEM w;
        PIO_WORKITEM_ROUTINE routine;
        PDEVICE_OBJECT device;
        PVOID context;
        struct nt_guard g;

        while (IsListEmpty(&queue))
            k_wait(K_FOREVER);
        w = CONTAINING_RECORD(RemoveHeadList(&queue), struct _IO_WORKITEM, link);
        routine = w->routine;
        device = w->device;
        context = w->context;
        w->queued = FALSE;
        k_unlock();
        g = nt_enter(PASSIVE_LEVEL);
        routine(device, context);
        nt_leave(&g, PASSIVE_LEVEL, "work item routine", (PVOID)routine);
        k_lock();
        pending--;
        k_wake();
    }
}

unsigned nt_work_pending(void)
{
    unsigned n;

    k_lock();
    n = (unsigned)pending;
    k_unlock();
    return n;
}

void nt_work_start(void)
{
    InitializeListHead(&queue);
    for (int i = 0; i < WORKERS; i++)
        thr_start("worker", worker, NULL);
}
