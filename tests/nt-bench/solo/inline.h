// SPDX-License-Identifier: BSD-3-Clause
/*
 * inline.h - included before the driver's sources: what the kernel's headers do inline, as calls
 *
 * On the bench these are instructions that fault and are carried out by trap.c; a fault costs more than a
 * whole request does here.
 */
#ifndef VIOFS_NT_BENCH_SOLO_INLINE_H
#define VIOFS_NT_BENCH_SOLO_INLINE_H

#include <ntddk.h>

#include "tests/nt-bench/bench.h"

static inline KIRQL solo_raise(KIRQL to)
{
    KIRQL old = (KIRQL)thr_self()->irql;

    thr_self()->irql = to;
    return old;
}

static inline uint64_t solo_read(const volatile void *reg, unsigned bytes)
{
    uint64_t v = 0;

    if (!vdev_access((uintptr_t)reg, bytes, false, &v))
        ver_stop("register-access", "%p is no register", (const void *)(uintptr_t)reg);
    return v;
}

static inline void solo_write(volatile void *reg, unsigned bytes, uint64_t v)
{
    if (!vdev_access((uintptr_t)reg, bytes, true, &v))
        ver_stop("register-access", "%p is no register", (void *)(uintptr_t)reg);
}

#undef KeRaiseIrql
#undef KeLowerIrql
#define KeRaiseIrql(to, old)        (*(old) = solo_raise(to))
#define KeLowerIrql(to)             ((void)solo_raise(to))
#define READ_REGISTER_UCHAR(r)      ((UCHAR)solo_read((r), 1))
#define READ_REGISTER_USHORT(r)     ((USHORT)solo_read((r), 2))
#define READ_REGISTER_ULONG(r)      ((ULONG)solo_read((r), 4))
#define WRITE_REGISTER_UCHAR(r, v)  solo_write((r), 1, (v))
#define WRITE_REGISTER_USHORT(r, v) solo_write((r), 2, (v))
#define WRITE_REGISTER_ULONG(r, v)  solo_write((r), 4, (v))

#endif
