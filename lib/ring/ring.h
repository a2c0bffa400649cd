// SPDX-License-Identifier: BSD-3-Clause
/*
 * ring.h - the split virtqueue, seen from both of its ends
 *
 * Theory of operation
 *
 *   A virtqueue (virtio 1.2, 2.7) is three arrays in guest memory: descriptors, the available ring
 *   that the driver writes, and the used ring that the device writes. Whoever reads memory that the
 *   other side may change reads each field once, into a local, and checks the local.
 *
 *   Device side (struct ring_dev): ring_dev_pop() takes one chain, walks it (direct or indirect) and
 *   returns its segments as host addresses, with adjacent segments merged. ring_dev_push() places a
 *   used element; nothing is visible to the driver until ring_dev_publish(), which makes a whole
 *   batch visible with one barrier and says whether the driver asked to be signalled.
 *
 *   Driver side (struct ring_drv): ring_drv_add() places a chain, ring_drv_publish() makes a batch
 *   visible and says whether the device asked to be kicked, ring_drv_get() takes a used element and
 *   validates it: an id that is not in flight or a length beyond what was offered is -EPROTO.
 *
 * Portability: no OS call, no allocation, no errno variable; builds for Linux and for the Windows
 * kernel. Error codes are negative values of enum ring_error, chosen equal to Linux errno numbers.
 *
 * Ownership: the caller owns all memory.
 * Locks: none. One thread at a time on the avail side and one on the used side of a ring_dev may run
 * concurrently with each other (they share no writable field); the same holds for a ring_drv only
 * under the caller's lock, because both sides use its free list.
 */
#ifndef VIOFS_RING_H
#define VIOFS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Linux errno numbers by value: the Windows compiler's <errno.h> has others. */
enum ring_error {
    RING_EINVAL = 22,
    RING_ENOSPC = 28,
    RING_EPROTO = 71,
};

/* virtio 1.2, 2.7: a queue has at most 32768 entries, a power of two. */
#define RING_MAX_SIZE 32768u

/*
 * Segments in one chain, after merging, that the device side accepts. A 1 MiB transfer in 4 KiB
 * pages needs 256 and two or three headers; Linux and QEMU never exceed 1024 descriptors a chain,
 * and 1024 is also Linux' IOV_MAX.
 */
#define RING_MAX_SEGS 1024u

/* virtio 1.2, 2.7.5 */
#define RING_DESC_F_NEXT     1u
#define RING_DESC_F_WRITE    2u
#define RING_DESC_F_INDIRECT 4u

/* virtio 1.2, 2.7.6 and 2.7.8 */
#define RING_AVAIL_F_NO_INTERRUPT 1u
#define RING_USED_F_NO_NOTIFY     1u

/* virtio 1.2, 6: feature bits that the ring itself understands */
#define RING_F_INDIRECT_DESC 28
#define RING_F_EVENT_IDX     29
#define RING_F_VERSION_1     32

struct ring_desc {
    uint64_t addr; /* guest physical (bus) address */
    uint32_t len;  /* bytes */
    uint16_t flags;
    uint16_t next;
};

struct ring_avail {
    uint16_t flags;
    uint16_t idx;
    uint16_t ring[]; /* size entries, then used_event (EVENT_IDX) */
};

struct ring_used_elem {
    uint32_t id;  /* head of the chain */
    uint32_t len; /* bytes that the device wrote */
};

struct ring_used {
    uint16_t flags;
    uint16_t idx;
    struct ring_used_elem ring[]; /* size entries, then avail_event (EVENT_IDX) */
};

_Static_assert(sizeof(struct ring_desc) == 16, "virtio 1.2, 2.7.5");
_Static_assert(sizeof(struct ring_avail) == 4, "virtio 1.2, 2.7.6");
_Static_assert(sizeof(struct ring_used_elem) == 8, "virtio 1.2, 2.7.8");
_Static_assert(offsetof(struct ring_used, ring) == 4, "virtio 1.2, 2.7.8");
#if defined(__BYTE_ORDER__)
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ring fields are little-endian");
#endif

/** Bytes of the three areas of a ring of @size entries, each with its EVENT_IDX word. */
static inline size_t ring_desc_bytes(uint32_t size)
{
    return (size_t)size * sizeof(struct ring_desc);
}
static inline size_t ring_avail_bytes(uint32_t size)
{
    return sizeof(struct ring_avail) + 2u * (size_t)size + 2u;
}
static inline size_t ring_used_bytes(uint32_t size)
{
    return sizeof(struct ring_used) + sizeof(struct ring_used_elem) * (size_t)size + 2u;
}

/* One run of memory. Laid out as struct iovec; the Linux side asserts it. */
struct ring_seg {
    void *base;
    size_t len;
};

/* ---- device side ------------------------------------------------------------------------- */

/**
 * ring_translate_fn - guest address to host address
 * @ctx:  as given to ring_dev_init()
 * @addr: guest physical address
 * @len:  in: bytes wanted, at least 1, often far more than one descriptor names (the rest of the address
 *        space: the answer is kept for the other descriptors of the chain; @addr + @len never wraps);
 *        out: bytes that are contiguous from @addr, 1..@len
 *
 * Return: host address, or NULL when @addr is outside guest memory. Called on the avail side only. The
 * answer must hold until the ring_dev_pop() that asked returns.
 */
typedef void *ring_translate_fn(void *ctx, uint64_t addr, uint64_t *len);

/* One chain, taken from the ring. Segments point into guest memory, which may change at any time. */
struct ring_chain {
    uint16_t head;    /* to be given to ring_dev_push() */
    uint16_t n_out;   /* segments that the device reads, seg[0 .. n_out) */
    uint16_t n_in;    /* segments that the device writes, seg[n_out .. n_out + n_in) */
    uint64_t out_len; /* bytes in the first group */
    uint64_t in_len;  /* bytes in the second */
    struct ring_seg seg[RING_MAX_SEGS];
};

struct ring_dev {
    uint32_t size;
    bool event_idx;
    bool indirect;
    /* avail side */
    uint16_t last_avail; /* next entry of the available ring to take */
    uint16_t
        seen_avail; /* avail->idx as last read: saves its cache line on all but the first of a batch */
    /* used side */
    uint16_t next_used; /* next entry of the used ring to fill */
    uint16_t published; /* value of used->idx that the driver sees */
    bool signalled;     /* false until the first signal of this life, which is given unasked */
    const struct ring_desc *desc;
    struct ring_avail *avail;
    struct ring_used *used;
    ring_translate_fn *translate;
    void *translate_ctx;
};

/**
 * ring_dev_init() - take over a ring that the driver has laid out
 * @r:         state to fill
 * @size:      entries, a power of two in 1..RING_MAX_SIZE
 * @desc, @avail, @used: host addresses of the areas, whole (see ring_*_bytes()) and aligned (16, 2, 4)
 * @base:      index at which to go on in the available and the used ring (0 on a fresh ring)
 * @features:  negotiated virtio feature bits
 *
 * Return: 0, or -RING_EINVAL for a bad size or a misaligned area.
 */
int ring_dev_init(struct ring_dev *r, uint32_t size, void *desc, void *avail, void *used,
                  uint16_t base, uint64_t features, ring_translate_fn *translate, void *ctx);

/**
 * ring_dev_pop() - take the next available chain
 *
 * Return: 1 with *@c filled; 0 when there is none; -RING_EPROTO when the chain cannot be served but the
 * ring is sound (a loop, an address outside memory, read-after-write order, nested indirect, an indirect
 * table that was not negotiated, is empty, or is not whole entries, too many segments, 4 GiB or more,
 * a bad index): @c->head is then to be pushed with length 0; -RING_EINVAL when the ring itself is broken
 * (head out of range, avail->idx more than size ahead): the queue must stop. Empty descriptors are skipped.
 *
 * A driver that offers a head again before it was given back gets it served again: whoever keeps chains
 * bounds how many it keeps.
 */
int ring_dev_pop(struct ring_dev *r, struct ring_chain *c);

/**
 * ring_dev_again() - read a chain that was taken before and not given back
 * @head: as it was then, perhaps from another process's ring_dev
 *
 * Nothing of the available ring is consumed. Return: 1 with *@c filled; -RING_EPROTO as ring_dev_pop() says,
 * also when there is no such head; @c->head is @head in any case.
 */
int ring_dev_again(const struct ring_dev *r, uint16_t head, struct ring_chain *c);

/** ring_dev_waiting() - chains that the driver has made available and nobody has taken, 0..size */
uint32_t ring_dev_waiting(const struct ring_dev *r);

/** ring_dev_push() - give a chain back; @len: bytes written. Invisible until ring_dev_publish(). */
void ring_dev_push(struct ring_dev *r, uint16_t head, uint32_t len);

/** ring_dev_publish() - make pushed chains visible. Return: true if the driver wants a signal. */
bool ring_dev_publish(struct ring_dev *r);

/** ring_dev_no_kicks() - tell the driver that kicks are not needed while the device is looking */
void ring_dev_no_kicks(struct ring_dev *r);

/** ring_dev_want_kick() - ask for a kick on the next chain. Return: true if one is waiting already. */
bool ring_dev_want_kick(struct ring_dev *r);

/* ---- driver side ------------------------------------------------------------------------- */

/* Per-chain driver state: one per ring entry, the caller's array of ring size. */
struct ring_slot {
    void *token;     /* the caller's, returned by ring_drv_get(); not NULL while in flight */
    uint32_t in_len; /* bytes offered to the device, bounds the used length */
    uint16_t n_desc; /* descriptors in the main table */
    uint16_t next;   /* the driver's private copy of the free list and of the chain links */
};

/* One run of memory as the device sees it. */
struct ring_bus_seg {
    uint64_t addr;
    uint32_t len;
};

struct ring_drv {
    uint32_t size;
    bool event_idx;
    uint16_t free_head;
    uint32_t n_free;
    uint16_t next_avail; /* next value of avail->idx */
    uint16_t published;  /* value of avail->idx that the device sees */
    uint16_t last_used;  /* next used entry to take */
    uint32_t reclaimed;  /* slots that ring_drv_reclaim() has looked at */
    struct ring_desc *desc;
    struct ring_avail *avail;
    struct ring_used *used;
    struct ring_slot *slot;
};

/**
 * ring_drv_init() - lay out an empty ring in zeroed or dirty memory
 * Arguments as ring_dev_init(); @slots: array of @size. Return: 0 or -RING_EINVAL.
 */
int ring_drv_init(struct ring_drv *r, uint32_t size, void *desc, void *avail, void *used,
                  struct ring_slot *slots, uint64_t features);

/**
 * ring_drv_add() - place one chain
 * @seg:      @n_out segments for the device to read, then @n_in to write
 * @table:    indirect table of at least n_out + n_in entries, or NULL for a direct chain; only when
 *            RING_F_INDIRECT_DESC was negotiated
 * @table_bus: address of @table as the device sees it
 * @token:    returned by ring_drv_get(); not NULL
 *
 * Return: 0; -RING_ENOSPC when descriptors are short (nothing changed); -RING_EINVAL for an empty chain,
 * a NULL token, a zero-length segment, a total beyond 32 bits, or more segments than could ever fit.
 */
int ring_drv_add(struct ring_drv *r, const struct ring_bus_seg *seg, uint32_t n_out, uint32_t n_in,
                 struct ring_desc *table, uint64_t table_bus, void *token);

/** ring_drv_publish() - make added chains visible. Return: true if the device wants a kick. */
bool ring_drv_publish(struct ring_drv *r);

/**
 * ring_drv_get() - take one used chain
 * Return: 1 with *@token and *@len; 0 when there is none; -RING_EPROTO when the device returned an id that
 * is not in flight or a length above what was offered: the device must be reset.
 */
int ring_drv_get(struct ring_drv *r, void **token, uint32_t *len);

/**
 * ring_drv_no_interrupts(), ring_drv_want_interrupt() - as their device-side twins, for signals
 *
 * With EVENT_IDX one call of ring_drv_want_interrupt() buys one signal: call it before each sleep.
 */
void ring_drv_no_interrupts(struct ring_drv *r);
bool ring_drv_want_interrupt(struct ring_drv *r);

/**
 * ring_drv_reclaim() - after a device reset: take back the next chain still in flight
 * Return: its token, or NULL when none is left; then ring_drv_init() before the ring is used again.
 */
void *ring_drv_reclaim(struct ring_drv *r);

#endif
