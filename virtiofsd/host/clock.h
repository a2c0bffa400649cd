// SPDX-License-Identifier: BSD-3-Clause
/*
 * clock.h - how long something took
 */
#ifndef VIOFS_CLOCK_H
#define VIOFS_CLOCK_H

#include <stdint.h>
#include <time.h>

/** clock_ns() - CLOCK_MONOTONIC in nanoseconds */
static inline uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
