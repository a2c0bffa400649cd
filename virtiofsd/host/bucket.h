// SPDX-License-Identifier: BSD-3-Clause
/*
 * bucket.h - so much a second, on average
 *
 * Theory of operation
 *
 *   A token bucket kept as one number: the time at which all that was taken so far is paid for. Taking moves it
 *   on by what the amount costs in time; who wants to take more waits until it has come. Nothing is refused: a
 *   large amount makes a debt, and the next one waits for it. What is not used is saved up for BUCKET_BURST_NS
 *   at most. (This is the "generic cell rate algorithm" of ATM, ITU-T I.371, with one cell of debt allowed.)
 *
 *   The caller brings the clock, so that tests have one of their own.
 *
 * Locks: none; one atomic word.
 */
#ifndef VIOFS_BUCKET_H
#define VIOFS_BUCKET_H

#include <stdatomic.h>
#include <stdint.h>

#define BUCKET_BURST_NS 100000000u /* a tenth of a second's worth may be taken at once */

struct bucket {
    uint64_t rate;            /* a second; 0: without limit. Constant. */
    _Atomic uint64_t paid_at; /* ns */
};

/* What @amount costs in ns, rounded up; amount < 2^34 and a rate that is not 0. */
static inline uint64_t bucket_cost(const struct bucket *b, uint64_t amount)
{
    return (amount * 1000000000u + b->rate - 1) / b->rate;
}

/** bucket_take() - @amount has been used at @now. Return: what it costs in ns; 0 without a limit. */
static inline uint64_t bucket_take(struct bucket *b, uint64_t amount, uint64_t now)
{
    if (b->rate == 0)
        return 0;
    uint64_t least = now > BUCKET_BURST_NS ? now - BUCKET_BURST_NS : 0;
    uint64_t cost = bucket_cost(b, amount);
    uint64_t old = atomic_load_explicit(&b->paid_at, memory_order_relaxed), paid;

    do {
        paid = (old > least ? old : least) + cost;
    } while (!atomic_compare_exchange_weak_explicit(&b->paid_at, &old, paid, memory_order_relaxed,
                                                    memory_order_relaxed));
    return cost;
}

/** bucket_return() - @amount of what was taken has not been used. Return: what it would have cost. */
static inline uint64_t bucket_return(struct bucket *b, uint64_t amount)
{
    if (b->rate == 0 || amount == 0)
        return 0;
    uint64_t cost = amount * 1000000000u / b->rate;
    uint64_t old = atomic_load_explicit(&b->paid_at, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(&b->paid_at, &old, old > cost ? old - cost : 0,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    return cost;
}

/** bucket_wait() - ns from @now until more may be taken; 0: now */
static inline uint64_t bucket_wait(const struct bucket *b, uint64_t now)
{
    uint64_t paid = atomic_load_explicit(&b->paid_at, memory_order_relaxed);

    return paid > now ? paid - now : 0;
}

#endif
