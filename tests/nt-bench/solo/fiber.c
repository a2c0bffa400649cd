// SPDX-License-Identifier: BSD-3-Clause
/*
 * fiber.c - threads that are fibers, and a clock that jumps
 *
 * Theory of operation
 *
 *   thread.c's functions for a process of one thread. A fiber runs until it waits, yields, or passes a
 *   thr_point() at which it was told to step aside; the next one in turn goes on. When all wait, the clock
 *   jumps to the earliest moment that anybody waits for, so a second costs nothing; when nobody waits for
 *   a moment, the machine hangs for ever, and that is said.
 *
 *   The big lock is only a count: nobody steps aside while holding it.
 *
 *   A fiber at DISPATCH_LEVEL or with a spin lock may be made to step aside, too: it then is another
 *   processor that is slow.
 *
 * Ownership: fibers are the process', stacks are used again.   Locks: none.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/nt-bench/bench_host.h"
#include "tests/nt-bench/solo/solo.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#endif
#ifdef FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define MAX_FIBERS  48u
#define STACK_BYTES (256u * 1024u)
#define CPUS        4u
#define YIELD_100NS 100 /* what a turn of a spinning processor takes */
#define PREEMPTIONS 16u

enum fiber_state { UNUSED, READY, WAITING };

struct fiber {
    struct thr t;
    enum fiber_state state;
    bool woken;    /* somebody called k_wake() since it waits */
    int64_t until; /* while WAITING */
    void *sp;
    void *fake; /* AddressSanitizer's */
    const void *bottom;
    size_t size;
    uint8_t *stack;
    void (*fn)(void *);
    void *arg;
};

static struct {
    struct fiber fiber[MAX_FIBERS]; /* 0: the process' own stack */
    struct fiber *current, *left;
    uint32_t highest; /* used so far */
    uint32_t next_cpu;
    uint32_t locked;
    int64_t now;
    struct {
        uint32_t after, pick;
    } preempt[PREEMPTIONS];
    uint32_t n_preempt;
} s;

/* ---- switching ------------------------------------------------------------------------------- */

/* System V: rbx, rbp, r12 to r15 belong to the caller. */
__attribute__((naked, noinline)) static void swap_stacks(void **save __attribute__((unused)),
                                                         void *load __attribute__((unused)))
{
    __asm__("push %rbp\n\tpush %rbx\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
            "mov %rsp, (%rdi)\n\tmov %rsi, %rsp\n\t"
            "pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbx\n\tpop %rbp\n\tret");
}

static void arrived(void)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(s.current->fake, &s.left->bottom, &s.left->size);
#endif
}

static void switch_to(struct fiber *f)
{
    struct fiber *from = s.current;

    if (f == from)
        return;
    s.left = from;
    s.current = f;
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(from->state == UNUSED ? NULL : &from->fake, f->bottom, f->size);
#endif
    swap_stacks(&from->sp, f->sp);
    arrived();
}

static bool runnable(const struct fiber *f)
{
    return f->state == READY || (f->state == WAITING && (f->woken || f->until <= s.now));
}

/* The @pick-th runnable fiber after the current one in turn, itself last; NULL when there is none. */
static struct fiber *in_turn(uint32_t pick)
{
    uint32_t me = (uint32_t)(s.current - s.fiber);
    struct fiber *found = NULL;

    for (uint32_t i = 1; i <= s.highest; i++) {
        struct fiber *f = &s.fiber[(me + i) % s.highest];

        if (!runnable(f) || (f == s.current && found))
            continue;
        found = f;
        if (pick-- == 0)
            break;
    }
    return found;
}

/* Nobody can run: to the next moment that somebody waits for. */
static void pass_time(void)
{
    int64_t next = K_FOREVER;

    for (uint32_t i = 0; i < s.highest; i++)
        if (s.fiber[i].state == WAITING && s.fiber[i].until < next)
            next = s.fiber[i].until;
    if (next == K_FOREVER)
        ver_stop("deadlock", "everybody waits for ever");
    s.now = next > s.now ? next : s.now;
}

static void go_on(void)
{
    struct fiber *f;

    while (!(f = in_turn(0)))
        pass_time();
    f->state = READY;
    switch_to(f);
}

static _Noreturn void fiber_main(void)
{
    arrived();
    s.current->fn(s.current->arg);
    s.current->state = UNUSED;
    go_on();
    __builtin_unreachable();
}

void thr_start(const char *name, void (*fn)(void *), void *arg)
{
    struct fiber *f = s.fiber + 1;
    void **top;

    while (f < s.fiber + MAX_FIBERS && f->state != UNUSED)
        f++;
    if (f == s.fiber + MAX_FIBERS)
        ver_stop("bench", "too many threads");
    if (!f->stack) {
        f->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (f->stack == MAP_FAILED)
            ver_stop("bench", "no stack for %s", name);
    }
    if (f >= s.fiber + s.highest)
        s.highest = (uint32_t)(f - s.fiber) + 1;
    f->t = (struct thr){.kthread = f, .cpu = s.next_cpu++ % CPUS, .name = name};
    f->fn = fn;
    f->arg = arg;
    f->bottom = f->stack;
    f->size = STACK_BYTES;
    f->fake = NULL;
    f->state = READY;
    top = (void **)(void *)(f->stack + STACK_BYTES);
    *--top = NULL;
    *--top = (void *)(uintptr_t)fiber_main;
    top -= 6;
    memset(top, 0, 6 * sizeof(*top));
    f->sp = top;
}

void thr_init(void)
{
    s.current = &s.fiber[0];
    s.current->state = READY;
    s.current->t = (struct thr){.kthread = s.current, .name = "main"};
    s.highest = 1;
    s.next_cpu = 1;
    s.now = 1000000000;
}

struct thr *thr_self(void)
{
    return &s.current->t;
}

uint32_t thr_cpus(void)
{
    return CPUS;
}

void thr_yield(void)
{
    struct fiber *f;

    s.now += YIELD_100NS;
    f = in_turn(0);
    if (f == s.current)
        pass_time(); /* everybody else sleeps, and one of them is waited for */
    f = in_turn(0);
    f->state = READY;
    switch_to(f);
}

void thr_point(void)
{
    struct fiber *f;

    if (s.n_preempt == 0 || s.locked || --s.preempt[0].after > 0)
        return;
    f = in_turn(s.preempt[0].pick);
    s.n_preempt--;
    memmove(s.preempt, s.preempt + 1, s.n_preempt * sizeof(s.preempt[0]));
    if (!f || f == s.current)
        return;
    f->state = READY;
    switch_to(f);
}

void solo_preempt(uint32_t n, uint32_t pick)
{
    if (s.n_preempt == PREEMPTIONS)
        return;
    s.preempt[s.n_preempt].after = n + 1;
    s.preempt[s.n_preempt++].pick = pick;
}

void solo_no_preemption(void)
{
    s.n_preempt = 0;
}

void solo_settle(void)
{
    for (uint32_t i = 0; i < 4 * MAX_FIBERS; i++) {
        struct fiber *f = in_turn(0);

        if (f == s.current)
            return;
        f->state = READY;
        switch_to(f);
    }
}

/* ---- waiting and time ------------------------------------------------------------------------ */

void k_lock(void)
{
    s.locked++;
}

void k_unlock(void)
{
    s.locked--;
}

void k_wait(int64_t until)
{
    struct fiber *me = s.current;

    if (until <= s.now)
        return;
    me->state = WAITING;
    me->woken = false;
    me->until = until;
    s.locked--;
    go_on();
    me->state = READY;
    s.locked++;
}

void k_wake(void)
{
    for (uint32_t i = 0; i < s.highest; i++)
        s.fiber[i].woken = true;
}

int64_t clk_now(void)
{
    return s.now;
}

void clk_speed(uint32_t factor)
{
    (void)factor;
}

void clk_sleep_ms(uint32_t ms)
{
    int64_t until = s.now + (int64_t)ms * 10000;

    k_lock();
    while (s.now < until)
        k_wait(until);
    k_unlock();
}

uint64_t clk_real_us(void)
{
    return (uint64_t)s.now / 10;
}

/* ---- the rest of the Linux half that there is no use for ------------------------------------- */

void solo_init(void)
{
    mem_init();
    thr_init();
    ver_hush();
    nt_begin();
}

/* verifier.c: the machine stops. libFuzzer keeps what led to it. */
void share_abandon(void)
{
    abort();
}

/* rig.c: the scenarios of the bench; there are none here */
const char *bench_driver(void)
{
    return NULL;
}

/* Time costs nothing here, so nobody need be in a hurry. */
uint32_t bench_patience(void)
{
    return 12;
}
