// SPDX-License-Identifier: BSD-3-Clause
/*
 * journal.h - what of a vhost-user device outlives the process: the region KEEP_DEVICE
 *
 * Theory of operation
 *
 *   Chains: each queue has a record for each head (struct vu_record) and counts the chains that it takes. A record is
 *   written before the count, the count's low 16 bits are the available index. So a process that ended between the
 *   two is noticed: there is a record with the count that comes next.
 *
 *   Giving back: a record says ANSWERED when the reply is in place, PUSHED with its place in the used ring
 *   before that is published, and NONE after. Whether a pushed one was published is read off the guest's
 *   used index, as vhost-user's own in-flight description does with its last batch.
 *
 *   All of it is plain stores, in this order for the compiler; a process that ends does not lose stores that it made.
 *
 * Ownership: the mapping is struct vu's. Locks: a record belongs to who has the chain; state is stored with
 * release semantics.
 */
#ifndef VIOFS_VHOST_JOURNAL_H
#define VIOFS_VHOST_JOURNAL_H

#include <string.h>

#include "abi/vhost_user.h"
#include "keep/keep.h"
#include "vhost/memory.h"
#include "vhost/vhost.h"

#define JOURNAL_VERSION 1u

/* What changes while a queue runs. */
struct journal_queue {
    _Alignas(64) uint64_t next; /* order of the chain to be taken next */
    uint8_t open;               /* chains may have been taken since it was opened */
    uint8_t used;               /* it was open once in this session */
    uint8_t broken;             /* the guest corrupted the ring */
};

#define JOURNAL_SLOTS 1024u /* of files behind guest memory: those of two tables */

struct journal_mem {
    uint64_t gpa, size, uva, offset;
    uint32_t slot;
};

struct journal_ring {
    uint64_t desc, avail, used, used_gpa;
    uint32_t size;
    uint8_t used_logged, started, enabled; /* bytes: what is read may be any number */
};

/* What messages change (resume.c). */
struct journal_state {
    uint64_t features, proto_features;
    struct vu_log log;
    uint8_t session, logs;
    uint32_t n_mem;
    struct journal_mem mem[MEM_MAX_REGIONS];
    struct journal_ring ring[VU_MAX_QUEUES];
};

enum journal_phase {
    JOURNAL_NONE,
    JOURNAL_OWED,    /* the answer is due; the request is in the socket, or just was */
    JOURNAL_SENDING, /* the request is not there any more */
};

struct journal_message {
    uint32_t phase;  /* enum journal_phase */
    uint32_t length; /* of the request */
    uint32_t size;   /* of the answer's payload */
    struct vu_header request;
    uint8_t bytes[512];
};

struct journal {
    struct keep_head head;
    uint32_t current; /* which state is valid */
    struct journal_state state[2];
    struct journal_message message;
    struct journal_queue queue[VU_MAX_QUEUES];
    struct vu_record record[VU_MAX_QUEUES][RING_MAX_SIZE];
};

/** journal_take() - a chain of this head was taken. Return: its record (@spare while the head is out already). */
static inline struct vu_record *journal_take(struct journal_queue *live, struct vu_record *record,
                                             struct vu_record *spare, uint16_t head)
{
    struct vu_record *r = &record[head];
    uint64_t order = live->next;

    if (__builtin_expect(__atomic_load_n(&r->state, __ATOMIC_ACQUIRE) != VU_RECORD_NONE, 0))
        r = spare; /* nobody goes by it: the guest loses one of the two if this process ends */
    memset(r->intent, 0, sizeof(r->intent));
    r->order = order;
    r->again = 0;
    __atomic_store_n(&r->state, (uint8_t)VU_RECORD_TAKEN, __ATOMIC_RELEASE);
    __atomic_store_n(&live->next, order + 1, __ATOMIC_RELEASE);
    return r;
}

/** journal_retake() - a chain that was deferred, here or elsewhere, is served from the beginning. Return: its record. */
static inline struct vu_record *journal_retake(const struct journal_queue *live,
                                               struct vu_record *r)
{
    if (__atomic_load_n(&r->state, __ATOMIC_ACQUIRE) == VU_RECORD_NONE)
        *r = (struct vu_record){.order = live->next - 1};
    __atomic_store_n(&r->state, (uint8_t)VU_RECORD_TAKEN, __ATOMIC_RELEASE);
    return r;
}

/** journal_kept() - serve() returned VU_LATER; the chain may have been given back already */
static inline void journal_kept(struct vu_record *r)
{
    uint8_t taken = VU_RECORD_TAKEN;

    __atomic_compare_exchange_n(&r->state, &taken, (uint8_t)VU_RECORD_LATER, false,
                                __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/** journal_push() - the used ring gets this head at @used_at; journal_given() - and it has been published */
static inline void journal_push(struct vu_record *r, uint32_t len, uint16_t used_at)
{
    r->len = len;
    r->used_at = used_at;
    __atomic_store_n(&r->state, (uint8_t)VU_RECORD_PUSHED, __ATOMIC_RELEASE);
}

static inline void journal_given(struct vu_record *r)
{
    __atomic_store_n(&r->state, (uint8_t)VU_RECORD_NONE, __ATOMIC_RELEASE);
}

#endif
