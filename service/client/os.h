// SPDX-License-Identifier: BSD-3-Clause
/*
 * os.h - the few things that the portable client asks of its system
 *
 * A mutex, a condition and a clock: POSIX threads where the client is tested, slim reader/writer locks
 * where it ships. Everything is inline; a zeroed mutex or condition is ready to use on both sides
 * (PTHREAD_MUTEX_INITIALIZER is all zero in glibc, SRWLOCK_INIT and CONDITION_VARIABLE_INIT are too).
 */
#ifndef VIOFS_CLIENT_OS_H
#define VIOFS_CLIENT_OS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef _WIN32

#include <windows.h>

typedef SRWLOCK cli_mutex;
typedef CONDITION_VARIABLE cli_cond;

static inline void cli_mutex_lock(cli_mutex *m)
{
    AcquireSRWLockExclusive(m);
}
static inline void cli_mutex_unlock(cli_mutex *m)
{
    ReleaseSRWLockExclusive(m);
}
static inline void cli_cond_wait(cli_cond *c, cli_mutex *m)
{
    SleepConditionVariableSRW(c, m, INFINITE, 0);
}
/** cli_cond_wait_ms() - the same for so many milliseconds at most; it may also return early */
static inline void cli_cond_wait_ms(cli_cond *c, cli_mutex *m, uint32_t ms)
{
    SleepConditionVariableSRW(c, m, ms, 0);
}
static inline void cli_cond_wake_all(cli_cond *c)
{
    WakeAllConditionVariable(c);
}

/** cli_clock_ms() - milliseconds that never go back; they stop while the machine sleeps or not */
static inline uint64_t cli_clock_ms(void)
{
    return GetTickCount64();
}

#else

#include <pthread.h>
#include <time.h>

typedef pthread_mutex_t cli_mutex;
typedef pthread_cond_t cli_cond;

static inline void cli_mutex_lock(cli_mutex *m)
{
    pthread_mutex_lock(m);
}
static inline void cli_mutex_unlock(cli_mutex *m)
{
    pthread_mutex_unlock(m);
}
static inline void cli_cond_wait(cli_cond *c, cli_mutex *m)
{
    pthread_cond_wait(c, m);
}
static inline void cli_cond_wait_ms(cli_cond *c, cli_mutex *m, uint32_t ms)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += (t.tv_nsec / 1000000 + ms) / 1000;
    t.tv_nsec = (t.tv_nsec / 1000000 + ms) % 1000 * 1000000;
    pthread_cond_timedwait(c, m, &t);
}
static inline void cli_cond_wake_all(cli_cond *c)
{
    pthread_cond_broadcast(c);
}
static inline uint64_t cli_clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

#endif
#endif
