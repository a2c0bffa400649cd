// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_dpc.c - deferred procedure calls and timers
 *
 * Theory of operation
 *
 *   Two threads run DPCs, so two different ones, or one that was queued again while it runs, may run at
 *   once, as on a real machine. A third thread lets timers expire on the virtual clock.
 *
 *   What is queued lies in the driver's memory; that it is still there is checked when memory is freed
 *   (nt_check_freed) and when the driver unloads (nt_check_idle).
 *
 * Locks: queue and timer list under the big lock.
 */
#include "tests/nt-bench/nt.h"

#define DPC_THREADS 2
#define DPC_TYPE    19

static LIST_ENTRY dpc_queue, timers;
static LONG running;             /* DPC routines under way */
static ULONG64 queued, finished; /* ever */
static PKDPC current[DPC_THREADS];

/* ---- DPCs ------------------------------------------------------------------------------------ */

VOID NTAPI KeInitializeDpc(PRKDPC d, PKDEFERRED_ROUTINE routine, PVOID context)
{
    RtlZeroMemory(d, sizeof(*d));
    d->Type = DPC_TYPE;
    d->DeferredRoutine = routine;
    d->DeferredContext = context;
}

/* With the big lock. DpcData says whether it is queued, as in Windows. */
static BOOLEAN insert(PRKDPC d, PVOID a, PVOID b)
{
    if (d->Type != DPC_TYPE)
        ver_stop("dpc", "queued without KeInitializeDpc");
    if (d->DpcData)
        return FALSE;
    d->DpcData = &dpc_queue;
    d->SystemArgument1 = a;
    d->SystemArgument2 = b;
    InsertTailList(&dpc_queue, &d->DpcListEntry);
    queued++;
    k_wake();
    return TRUE;
}

BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC d, PVOID a, PVOID b)
{
    BOOLEAN inserted;

    k_lock();
    inserted = insert(d, a, b);
    k_unlock();
    return inserted;
}

BOOLEAN NTAPI KeRemoveQueueDpc(PRKDPC d)
{
    BOOLEAN was_queued;

    k_lock();
    was_queued = d->DpcData != NULL;
    if (was_queued) {
        RemoveEntryList(&d->DpcListEntry);
        d->DpcData = NULL;
        finished++;
        k_wake();
    }
    k_unlock();
    return was_queued;
}

static void run_one(int thread)
{
    PKDPC d = CONTAINING_RECORD(RemoveHeadList(&dpc_queue), KDPC, DpcListEntry);
    PKDEFERRED_ROUTINE routine = d->DeferredRoutine;
    PVOID context = d->DeferredContext, a = d->SystemArgument1, b = d->SystemArgument2;
    struct nt_guard g;

    d->DpcData = NULL;
    current[thread] = d;
    running++;
    k_unlock();
    g = nt_enter(DISPATCH_LEVEL);
    routine(d, context, a, b);
    nt_leave(&g, DISPATCH_LEVEL, "DPC routine", (PVOID)routine);
    __atomic_fetch_add(&ver_costs()->dpcs, 1, __ATOMIC_RELAXED);
    k_lock();
    current[thread] = NULL;
    running--;
    finished++;
    k_wake();
}

static HOST void dpc_thread(void *arg)
{
    int thread = (int)(LONG_PTR)arg;

    k_lock();
    for (;;) {
        while (IsListEmpty(&dpc_queue))
            k_wait(K_FOREVER);
        run_one(thread);
    }
}

VOID NTAPI KeFlushQueuedDpcs(VOID)
{
    nt_irql("KeFlushQueuedDpcs", PASSIVE_LEVEL, PASSIVE_LEVEL, CALLER);
    k_lock();
    for (ULONG64 until = queued; finished < until;)
        k_wait(K_FOREVER);
    k_unlock();
}

/* ---- timers ---------------------------------------------------------------------------------- */

VOID NTAPI KeInitializeTimerEx(PKTIMER t, TIMER_TYPE type)
{
    RtlZeroMemory(t, sizeof(*t));
    t->Header.Type = (UCHAR)(TimerNotificationObject + type);
    InitializeListHead(&t->Header.WaitListHead);
}

VOID NTAPI KeInitializeTimer(PKTIMER t)
{
    KeInitializeTimerEx(t, NotificationTimer);
}

/* TimerListEntry.Flink is NULL while the timer is not set. */
static BOOLEAN unset(PKTIMER t)
{
    if (!t->TimerListEntry.Flink)
        return FALSE;
    RemoveEntryList(&t->TimerListEntry);
    t->TimerListEntry.Flink = NULL;
    return TRUE;
}

static BOOLEAN set(PKTIMER t, LARGE_INTEGER due, LONG period, PKDPC dpc)
{
    BOOLEAN was_set = unset(t);

    t->DueTime.QuadPart = (ULONGLONG)(due.QuadPart < 0 ? clk_now() - due.QuadPart : due.QuadPart);
    t->Period = (ULONG)period;
    t->Dpc = dpc;
    t->Header.SignalState = 0;
    InsertTailList(&timers, &t->TimerListEntry);
    k_wake();
    return was_set;
}

BOOLEAN NTAPI KeSetTimerEx(PKTIMER t, LARGE_INTEGER due, LONG period, PKDPC dpc)
{
    BOOLEAN was_set;

    nt_irql("KeSetTimerEx", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    k_lock();
    was_set = set(t, due, period, dpc);
    k_unlock();
    return was_set;
}

BOOLEAN NTAPI KeSetTimer(PKTIMER t, LARGE_INTEGER due, PKDPC dpc)
{
    return KeSetTimerEx(t, due, 0, dpc);
}

BOOLEAN NTAPI KeCancelTimer(PKTIMER t)
{
    BOOLEAN was_set;

    nt_irql("KeCancelTimer", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    k_lock();
    was_set = unset(t);
    k_unlock();
    return was_set;
}

static void expire(PKTIMER t)
{
    t->Header.SignalState = 1;
    if (t->Period)
        t->DueTime.QuadPart += (ULONGLONG)t->Period * 10000;
    else
        unset(t);
    if (t->Dpc)
        insert(t->Dpc, NULL, NULL);
    k_wake();
}

static HOST void timer_thread(void *arg)
{
    (void)arg;
    k_lock();
    for (;;) {
        int64_t next = K_FOREVER;
        PLIST_ENTRY e, after;

        for (e = timers.Flink; e != &timers; e = after) {
            PKTIMER t = CONTAINING_RECORD(e, KTIMER, TimerListEntry);

            after = e->Flink;
            if ((int64_t)t->DueTime.QuadPart <= clk_now())
                expire(t);
            if (t->TimerListEntry.Flink && (int64_t)t->DueTime.QuadPart < next)
                next = (int64_t)t->DueTime.QuadPart;
        }
        k_wait(next);
    }
}

/* ---- checks ---------------------------------------------------------------------------------- */

static BOOLEAN within(const void *p, const void *base, size_t size)
{
    return (const char *)p >= (const char *)base && (const char *)p < (const char *)base + size;
}

void nt_check_freed(const void *base, size_t size)
{
    k_lock();
    for (PLIST_ENTRY e = dpc_queue.Flink; e != &dpc_queue; e = e->Flink)
        if (within(e, base, size))
            ver_complain("freed-dpc", "memory at %p freed with a DPC queued in it", base);
    for (PLIST_ENTRY e = timers.Flink; e != &timers; e = e->Flink)
        if (within(e, base, size))
            ver_complain("freed-timer", "memory at %p freed with a timer set in it", base);
    for (int i = 0; i < DPC_THREADS; i++)
        if (current[i] && within(current[i], base, size))
            ver_complain("freed-dpc", "memory at %p freed with its DPC running", base);
    k_unlock();
}

void nt_check_idle(void)
{
    k_lock();
    if (!IsListEmpty(&dpc_queue) || running)
        ver_complain("unload", "a DPC is queued or running");
    if (!IsListEmpty(&timers))
        ver_complain("unload", "a timer is set");
    k_unlock();
}

void nt_quiesce(void)
{
    k_lock();
    while (!IsListEmpty(&dpc_queue) || running)
        k_wait(K_FOREVER);
    k_unlock();
    while (nt_work_pending())
        thr_yield();
}

void nt_dpc_start(void)
{
    InitializeListHead(&dpc_queue);
    InitializeListHead(&timers);
    for (LONG_PTR i = 0; i < DPC_THREADS; i++)
        thr_start("DPC", dpc_thread, (void *)i);
    thr_start("timer", timer_thread, NULL);
}
