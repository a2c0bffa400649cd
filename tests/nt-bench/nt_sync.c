// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_sync.c - events, mutexes, waiting, time
 *
 * Theory of operation
 *
 *   The objects keep their state where Windows keeps it, in the dispatcher header, guarded by the
 *   bench's big lock; every change wakes every waiter, who looks again.
 */
#include "tests/nt-bench/nt.h"

#define QPC_FREQUENCY 10000000 /* what Windows reports since 8.1 */

VOID NTAPI KeInitializeEvent(PRKEVENT e, EVENT_TYPE type, BOOLEAN state)
{
    e->Header.Type = (UCHAR)type;
    e->Header.SignalState = state;
    InitializeListHead(&e->Header.WaitListHead);
}

LONG NTAPI KeSetEvent(PRKEVENT e, KPRIORITY increment, BOOLEAN wait)
{
    LONG old;

    (void)increment;
    if (wait)
        ver_complain("wait", "KeSetEvent with Wait at %s", ver_where(CALLER));
    nt_irql("KeSetEvent", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    k_lock();
    old = e->Header.SignalState;
    e->Header.SignalState = 1;
    k_wake();
    k_unlock();
    return old;
}

VOID NTAPI KeClearEvent(PRKEVENT e)
{
    nt_irql("KeClearEvent", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    k_lock();
    e->Header.SignalState = 0;
    k_unlock();
}

LONG NTAPI KeResetEvent(PRKEVENT e)
{
    LONG old;

    nt_irql("KeResetEvent", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    k_lock();
    old = e->Header.SignalState;
    e->Header.SignalState = 0;
    k_unlock();
    return old;
}

LONG NTAPI KeReadStateEvent(PRKEVENT e)
{
    LONG state;

    k_lock();
    state = e->Header.SignalState;
    k_unlock();
    return state;
}

/* ---- mutexes --------------------------------------------------------------------------------- */

VOID NTAPI KeInitializeMutex(PRKMUTEX m, ULONG level)
{
    (void)level;
    RtlZeroMemory(m, sizeof(*m));
    m->Header.Type = MutantObject;
    m->Header.SignalState = 1;
    InitializeListHead(&m->Header.WaitListHead);
}

LONG NTAPI KeReleaseMutex(PRKMUTEX m, BOOLEAN wait)
{
    LONG old;

    (void)wait;
    nt_irql("KeReleaseMutex", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    k_lock();
    if (m->OwnerThread != thr_self()->kthread)
        ver_complain("mutex", "released at %s by a thread that does not own it", ver_where(CALLER));
    old = m->Header.SignalState++;
    if (m->Header.SignalState == 1)
        m->OwnerThread = NULL;
    k_wake();
    k_unlock();
    return old;
}

#undef ExAcquireFastMutex
#undef ExReleaseFastMutex
#undef ExInitializeFastMutex

VOID FASTCALL ExAcquireFastMutex(PFAST_MUTEX m)
{
    struct thr *t = thr_self();

    nt_irql("ExAcquireFastMutex", PASSIVE_LEVEL, APC_LEVEL, CALLER);
    k_lock();
    if (m->Owner == t->kthread)
        ver_stop("mutex", "fast mutex acquired again by its holder at %s", ver_where(CALLER));
    while (m->Count != 1)
        k_wait(K_FOREVER);
    m->Count = 0;
    m->Owner = t->kthread;
    m->OldIrql = (ULONG)t->irql;
    t->irql = APC_LEVEL;
    k_unlock();
}

VOID FASTCALL ExReleaseFastMutex(PFAST_MUTEX m)
{
    struct thr *t = thr_self();

    nt_irql("ExReleaseFastMutex", APC_LEVEL, APC_LEVEL, CALLER);
    k_lock();
    if (m->Owner != t->kthread)
        ver_complain("mutex", "fast mutex released at %s by another thread", ver_where(CALLER));
    m->Owner = NULL;
    m->Count = 1;
    t->irql = m->OldIrql;
    k_wake();
    k_unlock();
}

/* ---- waiting --------------------------------------------------------------------------------- */

static BOOLEAN ready(DISPATCHER_HEADER *h)
{
    if (h->Type == MutantObject && ((PKMUTEX)h)->OwnerThread == thr_self()->kthread)
        return TRUE;
    return h->SignalState > 0;
}

/* Consume the signal, as the object's kind says. */
static void satisfy(DISPATCHER_HEADER *h)
{
    if (h->Type == MutantObject) {
        h->SignalState--;
        ((PKMUTEX)h)->OwnerThread = thr_self()->kthread;
    } else if (h->Type == SynchronizationEvent || h->Type == TimerSynchronizationObject) {
        h->SignalState = 0;
    }
}

/* Relative times are negative; absolute ones are on the same clock here. */
static int64_t deadline(PLARGE_INTEGER timeout)
{
    if (!timeout)
        return K_FOREVER;
    return timeout->QuadPart <= 0 ? clk_now() - timeout->QuadPart : timeout->QuadPart;
}

NTSTATUS NTAPI KeWaitForSingleObject(PVOID object, KWAIT_REASON reason, KPROCESSOR_MODE mode,
                                     BOOLEAN alertable, PLARGE_INTEGER timeout)
{
    DISPATCHER_HEADER *h = object;
    int64_t until = deadline(timeout);
    NTSTATUS status = STATUS_SUCCESS;
    BOOLEAN may_wait = !timeout || timeout->QuadPart != 0;

    (void)reason;
    (void)alertable;
    nt_irql("KeWaitForSingleObject", PASSIVE_LEVEL, may_wait ? APC_LEVEL : DISPATCH_LEVEL, CALLER);
    if (mode != KernelMode)
        ver_complain("wait", "wait in user mode at %s: the stack may be paged out",
                     ver_where(CALLER));
    if (may_wait && thr_self()->n_locks)
        ver_complain("wait", "waiting at %s with a spin lock held", ver_where(CALLER));
    k_lock();
    while (!ready(h) && clk_now() < until)
        k_wait(until);
    if (ready(h))
        satisfy(h);
    else
        status = STATUS_TIMEOUT;
    k_unlock();
    return status;
}

NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE mode, BOOLEAN alertable,
                                      PLARGE_INTEGER interval)
{
    int64_t until = deadline(interval);

    (void)mode;
    (void)alertable;
    nt_irql("KeDelayExecutionThread", PASSIVE_LEVEL, APC_LEVEL, CALLER);
    k_lock();
    while (clk_now() < until)
        k_wait(until);
    k_unlock();
    return STATUS_SUCCESS;
}

VOID NTAPI KeStallExecutionProcessor(ULONG us)
{
    uint64_t until = clk_real_us() + us;

    if (us > 50)
        ver_complain("stall", "%u microseconds at %s", us, ver_where(CALLER));
    while (clk_real_us() < until)
        thr_yield();
}

/* ---- time ------------------------------------------------------------------------------------ */

LARGE_INTEGER NTAPI KeQueryPerformanceCounter(PLARGE_INTEGER frequency)
{
    LARGE_INTEGER now;

    if (frequency)
        frequency->QuadPart = QPC_FREQUENCY;
    now.QuadPart = clk_now();
    return now;
}

ULONG64 NTAPI KeQueryInterruptTimePrecise(PULONG64 qpc)
{
    ULONG64 now = (ULONG64)clk_now();

    if (qpc)
        *qpc = now;
    return now;
}
