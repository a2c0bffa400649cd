// SPDX-License-Identifier: BSD-3-Clause
/*
 * thread.c - virtual processors, their IRQL, the bench's clock and its one condition
 *
 * Theory of operation
 *
 *   Every thread of the process plays a processor of its own: it has an IRQL (read and written by the
 *   driver's own `mov cr8` instructions through trap.c), a list of the spin locks it holds, and a
 *   processor control region in gs, where inline code of the driver looks for its thread and
 *   processor number (gs:0x188, gs:0x184). fs stays libc's.
 *
 *   More threads than processors can exist; processor numbers repeat then.
 *
 *   Everything that waits (events, timers, DPC queues) waits on one condition under one mutex. A
 *   scenario has few threads, so waking all of them costs nothing that matters.
 *
 *   The clock is virtual so that a watchdog of 30 seconds can be seen to bark in a test of one.
 *
 * Ownership: a struct thr lives as long as its thread. Locks: the big lock, innermost but for the
 * verifier's and the memory's.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/nt-bench/bench_host.h"

#define CPUS 4u
/* An emulated processor needs real time for what the driver gives a device some seconds for. */
#define GUEST_SPEED 20u

/* Offsets in the x64 KPCR that mingw's inline routines read. */
#define KPCR_SELF     0x18
#define KPCR_CPU      0x184
#define KPCR_THREAD   0x188
#define KTHREAD_BYTES 0x1000

static pthread_mutex_t big_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static atomic_uint next_cpu;
static _Thread_local struct thr *self;

static struct {
    atomic_uint factor;
    atomic_llong base_virtual;
    atomic_llong base_real;
} clk = {.factor = 1};

void thr_init(void)
{
    pthread_condattr_t a;

    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &a);
    pthread_condattr_destroy(&a);
    clk_speed(1);
    (void)thr_self();
}

struct thr *thr_self(void)
{
    uint8_t *pcr;

    if (self)
        return self;
    pcr = aligned_alloc(BENCH_PAGE, BENCH_PAGE);
    self = calloc(1, sizeof(*self));
    if (!pcr || !self || !(self->kthread = calloc(1, KTHREAD_BYTES)))
        ver_stop("bench", "out of memory");
    memset(pcr, 0, BENCH_PAGE);
    self->cpu = atomic_fetch_add(&next_cpu, 1) % CPUS;
    self->name = "main";
    /* cppcheck-suppress pointerSize ; the pointer is what is stored */
    memcpy(pcr + KPCR_SELF, &pcr, sizeof(pcr));
    memcpy(pcr + KPCR_CPU, &self->cpu, sizeof(self->cpu));
    memcpy(pcr + KPCR_THREAD, &self->kthread, sizeof(self->kthread));
    if (syscall(SYS_arch_prctl, ARCH_SET_GS, pcr) < 0)
        ver_stop("bench", "arch_prctl(ARCH_SET_GS)");
    return self;
}

struct start {
    void (*fn)(void *);
    void *arg;
    const char *name;
};

static void *thread_main(void *arg)
{
    struct start s = *(struct start *)arg;

    free(arg);
    thr_self()->name = s.name;
    s.fn(s.arg);
    return NULL;
}

void thr_start(const char *name, void (*fn)(void *), void *arg)
{
    struct start *s = malloc(sizeof(*s));
    pthread_t t;

    if (!s)
        ver_stop("bench", "out of memory");
    *s = (struct start){fn, arg, name};
    if (pthread_create(&t, NULL, thread_main, s) != 0)
        ver_stop("bench", "no thread for %s", name);
    pthread_detach(t);
}

uint32_t thr_cpus(void)
{
    return CPUS;
}

void thr_yield(void)
{
    sched_yield();
}

void thr_point(void)
{
}

/* ---- clock ----------------------------------------------------------------------------------- */

static int64_t real_100ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 10000000 + t.tv_nsec / 100;
}

int64_t clk_now(void)
{
    return atomic_load(&clk.base_virtual) +
           (real_100ns() - atomic_load(&clk.base_real)) * (int64_t)atomic_load(&clk.factor);
}

void clk_speed(uint32_t factor)
{
    int64_t now = clk_now();
    int64_t real = real_100ns();

    if (bench_guest() && factor > GUEST_SPEED)
        factor = GUEST_SPEED;
    k_lock();
    atomic_store(&clk.base_virtual, atomic_load(&clk.base_real) ? now : 1000000000);
    atomic_store(&clk.base_real, real);
    atomic_store(&clk.factor, factor);
    k_wake();
    k_unlock();
}

void clk_sleep_ms(uint32_t real_ms)
{
    struct timespec t = {real_ms / 1000, (long)(real_ms % 1000) * 1000000};

    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

uint64_t clk_real_us(void)
{
    return (uint64_t)real_100ns() / 10;
}

/* ---- waiting --------------------------------------------------------------------------------- */

void k_lock(void)
{
    pthread_mutex_lock(&big_lock);
}

void k_unlock(void)
{
    pthread_mutex_unlock(&big_lock);
}

void k_wait(int64_t until)
{
    int64_t left = until == K_FOREVER ? INT64_MAX : until - clk_now();
    struct timespec t;

    if (until == K_FOREVER) {
        pthread_cond_wait(&changed, &big_lock);
        return;
    }
    if (left <= 0)
        return;
    left = left / (int64_t)atomic_load(&clk.factor) + 1000;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += left / 10000000;
    t.tv_nsec += (left % 10000000) * 100;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&changed, &big_lock, &t);
}

void k_wake(void)
{
    pthread_cond_broadcast(&changed);
}
