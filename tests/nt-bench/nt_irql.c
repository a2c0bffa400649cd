// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt_irql.c - IRQL rules and spin locks
 *
 * Theory of operation
 *
 *   Each thread has an IRQL and a list of the spin locks that it holds. Acquiring a lock twice would
 *   hang a machine and stops the scenario; releasing one that is not held, or at another IRQL than it was
 *   taken at, is a complaint. Around every call into the driver, nt_enter() and nt_leave() see that it
 *   comes back at the same IRQL with the same locks.
 *
 * Source: the IRQL lines of each routine's page in the WDK documentation; "Spin Locks".
 */
#include "tests/nt-bench/nt.h"

#define SPIN_LIMIT_US 10000000u

/* Every routine begins here, which makes it the place for others to overtake. */
void nt_irql(const char *routine, KIRQL lowest, KIRQL highest, const void *caller)
{
    uint64_t irql = thr_self()->irql;

    if (irql < lowest || irql > highest)
        ver_complain("irql", "%s called at IRQL %u from %s, allowed are %u to %u", routine,
                     (unsigned)irql, ver_where(caller), lowest, highest);
    thr_point();
}

struct nt_guard nt_enter(KIRQL irql)
{
    struct thr *t = thr_self();
    struct nt_guard g = {t->irql, t->n_locks};

    t->irql = irql;
    return g;
}

void nt_leave(const struct nt_guard *g, KIRQL irql, const char *what, const void *routine)
{
    struct thr *t = thr_self();

    if (t->irql != irql)
        ver_complain("irql", "%s %s entered at IRQL %u and left at %u", what, ver_where(routine),
                     irql, (unsigned)t->irql);
    if (t->n_locks != g->n_locks)
        ver_complain("spin-lock", "%s %s left with %d more locks held than it came with", what,
                     ver_where(routine), (int)(t->n_locks - g->n_locks));
    t->n_locks = g->n_locks;
    t->irql = g->irql;
}

/* ---- spin locks ------------------------------------------------------------------------------ */

#undef KeInitializeSpinLock
VOID NTAPI KeInitializeSpinLock(PKSPIN_LOCK lock)
{
    *lock = 0;
}

static void take(PKSPIN_LOCK lock, uint64_t old_irql, const void *caller)
{
    struct thr *t = thr_self();
    uint64_t since = 0;

    for (uint32_t i = 0; i < t->n_locks; i++)
        if (t->lock[i] == lock)
            ver_stop("spin-lock", "%p acquired again by its holder at %s", (void *)lock,
                     ver_where(caller));
    if (t->n_locks == THR_MAX_LOCKS)
        ver_stop("spin-lock", "too many held at %s", ver_where(caller));
    while (__atomic_exchange_n(lock, (KSPIN_LOCK)t | 1, __ATOMIC_ACQUIRE) != 0) {
        if (since == 0)
            since = clk_real_us();
        else if (clk_real_us() - since > SPIN_LIMIT_US)
            ver_stop("deadlock", "spinning on %p at %s", (void *)lock, ver_where(caller));
        thr_yield();
    }
    t->lock[t->n_locks] = lock;
    t->lock_old_irql[t->n_locks++] = old_irql;
}

static void give(PKSPIN_LOCK lock, uint64_t new_irql, const void *caller)
{
    struct thr *t = thr_self();
    uint32_t i = t->n_locks;

    while (i > 0 && t->lock[i - 1] != lock)
        i--;
    if (i == 0) {
        ver_complain("spin-lock", "%p released at %s but not held", (void *)lock,
                     ver_where(caller));
        return;
    }
    i--;
    if (t->irql < DISPATCH_LEVEL)
        ver_complain("irql", "spin lock released at IRQL %u at %s", (unsigned)t->irql,
                     ver_where(caller));
    if (new_irql > t->irql)
        ver_complain("irql", "releasing a spin lock raises IRQL to %u at %s", (unsigned)new_irql,
                     ver_where(caller));
    if (i == t->n_locks - 1 && t->lock_old_irql[i] != new_irql)
        ver_complain("irql", "spin lock taken at IRQL %u released to %u at %s",
                     (unsigned)t->lock_old_irql[i], (unsigned)new_irql, ver_where(caller));
    t->n_locks--;
    for (; i < t->n_locks; i++) {
        t->lock[i] = t->lock[i + 1];
        t->lock_old_irql[i] = t->lock_old_irql[i + 1];
    }
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK lock)
{
    struct thr *t = thr_self();
    KIRQL old = (KIRQL)t->irql;

    nt_irql("KeAcquireSpinLockRaiseToDpc", PASSIVE_LEVEL, DISPATCH_LEVEL, CALLER);
    t->irql = DISPATCH_LEVEL;
    take(lock, old, CALLER);
    return old;
}

VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK lock, KIRQL irql)
{
    give(lock, irql, CALLER);
    thr_self()->irql = irql;
}

VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK lock)
{
    nt_irql("KeAcquireSpinLockAtDpcLevel", DISPATCH_LEVEL, HIGH_LEVEL, CALLER);
    take(lock, thr_self()->irql, CALLER);
}

VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK lock)
{
    give(lock, thr_self()->irql, CALLER);
}

/* ---- processors ------------------------------------------------------------------------------ */

ULONG NTAPI KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER number)
{
    ULONG cpu = thr_self()->cpu;

    if (number) {
        number->Group = 0;
        number->Number = (UCHAR)cpu;
        number->Reserved = 0;
    }
    return cpu;
}

ULONG NTAPI KeQueryActiveProcessorCountEx(USHORT group)
{
    (void)group;
    return thr_cpus();
}

#undef IoGetCurrentProcess
PEPROCESS NTAPI IoGetCurrentProcess(VOID)
{
    return thr_self()->process;
}
