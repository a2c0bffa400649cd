// SPDX-License-Identifier: BSD-3-Clause
/*
 * pace.c - how fast a share serves, and how much of it at once
 *
 * Theory of operation
 *
 *   Operations and bytes have a bucket each (host/bucket.h). A worker asks before each chain whether both are
 *   paid for; if not, it leaves the chain in the ring and sleeps until they are. So nothing is queued here,
 *   no timer runs, and a guest sees a slow device. What a request costs is charged when it is known: an operation
 *   when it is taken, bytes by the handlers of READ, WRITE and COPY_FILE_RANGE. What
 *   comes by hiprio (FORGET, INTERRUPT) costs nothing and never waits, for it gives back what the daemon holds.
 *
 *   All queues of a share ask the same buckets. So that none of them is always the first, each adds up what its
 *   requests have cost, and one that is more than QUANTUM_NS ahead of another that wants to go on stands back.
 *   One that was idle starts at most twice as far behind the others; one that does not come back for its turn
 *   (it was stopped) holds nobody up for longer than OVERDUE_NS.
 *
 *   In flight is what a worker serves and what the pool has: it takes a slot before its chain is taken and has it until
 *   its reply is ready. Requests that may wait for ever - for a lock, for a change (SETLKW, EVENTS) - leave
 *   their slot when they begin to wait: others would starve, and the one that ends the wait could be among them.
 *   They are bounded by kept.c. A queue that finds no slot marks itself, looks once more, and sleeps; who
 *   releases one wakes all that are marked.
 *
 * Locks: none; atomics. A queue's own part belongs to the worker that has the queue.
 * syscalls: clock_gettime
 */
#include "server/pace.h"

#define QUANTUM_NS    10000000u
#define STAND_BACK_NS 1000000u /* as fine as a worker sleeps */
#define OVERDUE_NS    20000000u

void pace_init(struct pace *p, const struct conf *conf)
{
    p->ops.rate = (uint64_t)conf->limit_ops;
    p->bytes.rate = (uint64_t)conf->limit_bandwidth;
    p->max_in_flight = (uint32_t)conf->limit_in_flight;
    p->on = p->ops.rate || p->bytes.rate || p->max_in_flight;
}

/* ---- slots ---------------------------------------------------------------------------------- */

static bool slot_take(struct pace *p)
{
    uint32_t n = atomic_load(&p->in_flight);

    do {
        if (n >= p->max_in_flight)
            return false;
    } while (!atomic_compare_exchange_weak(&p->in_flight, &n, n + 1));
    return true;
}

static bool slot_take_or_wait(struct pace *p, struct vq *vq)
{
    unsigned i = vq_index(vq);

    if (slot_take(p))
        return true;
    p->queue[i].vq = vq;
    atomic_fetch_or(&p->waiting[i / 64], UINT64_C(1) << i % 64);
    /* One may have been released before the mark was seen. A wake that comes late does no harm. */
    return slot_take(p);
}

void pace_release(struct pace *p)
{
    atomic_fetch_sub(&p->in_flight, 1);
    for (unsigned w = 0; w < PACE_WORDS; w++) {
        uint64_t marked = atomic_load(&p->waiting[w]) ? atomic_exchange(&p->waiting[w], 0) : 0;
        for (; marked; marked &= marked - 1)
            vq_wake(p->queue[w * 64 + (unsigned)__builtin_ctzll(marked)].vq);
    }
}

/* ---- turns ----------------------------------------------------------------------------------- */

/* Is another queue to go first? */
static bool stands_back(struct pace *p, unsigned index, uint64_t now)
{
    uint64_t mine = atomic_load_explicit(&p->queue[index].spent, memory_order_relaxed);

    for (unsigned w = 0; w < PACE_WORDS; w++) {
        uint64_t marked = atomic_load_explicit(&p->paused[w], memory_order_relaxed);
        for (; marked; marked &= marked - 1) {
            struct pace_queue *other = &p->queue[w * 64 + (unsigned)__builtin_ctzll(marked)];
            if (mine > atomic_load_explicit(&other->spent, memory_order_relaxed) + QUANTUM_NS &&
                now < atomic_load_explicit(&other->due, memory_order_relaxed) + OVERDUE_NS)
                return true;
        }
    }
    return false;
}

static void mark(struct pace *p, unsigned index, bool paused)
{
    uint64_t bit = UINT64_C(1) << index % 64;

    if (p->queue[index].marked == paused)
        return;
    p->queue[index].marked = paused;
    if (paused)
        atomic_fetch_or_explicit(&p->paused[index / 64], bit, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&p->paused[index / 64], ~bit, memory_order_relaxed);
}

/* The worker's queue has cost so much more. Who comes back after a while cannot claim what it left to others. */
static void spend(struct pace *p, struct pace_queue *q, uint64_t ns)
{
    uint64_t most = atomic_load_explicit(&p->most_spent, memory_order_relaxed);
    uint64_t least = most > 2 * QUANTUM_NS ? most - 2 * QUANTUM_NS : 0;
    uint64_t spent = atomic_load_explicit(&q->spent, memory_order_relaxed);

    if (spent < least)
        ns += least - spent;
    spent = atomic_fetch_add_explicit(&q->spent, ns, memory_order_relaxed) + ns;
    if (spent > most)
        atomic_store_explicit(&p->most_spent, spent, memory_order_relaxed);
}

void pace_reset(struct pace *p)
{
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++) {
        p->queue[i].slot = false;
        mark(p, i, false);
    }
    atomic_store(&p->in_flight, 0);
}

/* ---- a worker's questions --------------------------------------------------------------------- */

static uint64_t wait_for_rate(struct pace *p, unsigned index, uint64_t now)
{
    uint64_t ops = p->ops.rate ? bucket_wait(&p->ops, now) : 0;
    uint64_t bytes = p->bytes.rate ? bucket_wait(&p->bytes, now) : 0;
    uint64_t ns = ops > bytes ? ops : bytes;

    if (ns == 0 && stands_back(p, index, now))
        ns = STAND_BACK_NS;
    if (ns)
        atomic_store_explicit(&p->queue[index].due, now + ns, memory_order_relaxed);
    mark(p, index, ns != 0);
    return ns;
}

static uint64_t wait_for(struct pace *p, struct vq *vq, uint64_t now)
{
    struct pace_queue *q = &p->queue[vq_index(vq)];
    uint64_t ns = p->ops.rate || p->bytes.rate ? wait_for_rate(p, vq_index(vq), now) : 0;

    if (ns || !p->max_in_flight || q->slot)
        return ns;
    q->slot = slot_take_or_wait(p, vq);
    return q->slot ? 0 : VU_UNTIL_WOKEN;
}

uint64_t pace_pause(struct pace *p, struct vq *vq, uint64_t now)
{
    struct pace_queue *q = &p->queue[vq_index(vq)];
    uint64_t ns = wait_for(p, vq, now);

    if (ns && !q->paused_since)
        q->paused_since = now;
    if (!ns && q->paused_since) {
        atomic_fetch_add_explicit(&p->paused_ns, now - q->paused_since, memory_order_relaxed);
        q->paused_since = 0;
    }
    return ns;
}

bool pace_begin(struct pace *p, unsigned queue, uint64_t now)
{
    bool slot = p->queue[queue].slot;

    p->queue[queue].slot = false;
    spend(p, &p->queue[queue], bucket_take(&p->ops, 1, now));
    return slot;
}

/* ---- statistics -------------------------------------------------------------------------------- */

static uint64_t read_ops(void *ctx)
{
    return ((struct pace *)ctx)->ops.rate;
}

static uint64_t read_bytes(void *ctx)
{
    return ((struct pace *)ctx)->bytes.rate;
}

static uint64_t read_max_in_flight(void *ctx)
{
    return ((struct pace *)ctx)->max_in_flight;
}

static uint64_t read_in_flight(void *ctx)
{
    return atomic_load(&((struct pace *)ctx)->in_flight);
}

static uint64_t read_paused(void *ctx)
{
    return atomic_load(&((struct pace *)ctx)->paused_ns);
}

int pace_gauges(struct pace *p, struct stats *stats)
{
    int r = 0;

    if (p->ops.rate)
        r = stats_gauge(stats, "virtiofsd_limit_operations_per_second",
                        "Operations a second that the guest may ask for", read_ops, p);
    if (r == 0 && p->bytes.rate)
        r = stats_gauge(stats, "virtiofsd_limit_bandwidth_bytes_per_second",
                        "Bytes a second that the guest may read, write and copy", read_bytes, p);
    if (r == 0 && p->max_in_flight)
        r = stats_gauge(stats, "virtiofsd_limit_in_flight", "Requests that may be served at once",
                        read_max_in_flight, p);
    if (r == 0 && p->max_in_flight)
        r = stats_gauge(stats, "virtiofsd_limited_in_flight",
                        "Requests being served, of those that a limit counts", read_in_flight, p);
    if (r == 0 && p->on)
        r = stats_seconds(stats, "virtiofsd_throttled_seconds_total",
                          "Time that queues have waited for a limit", read_paused, p);
    return r;
}
