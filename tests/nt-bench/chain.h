// SPDX-License-Identifier: BSD-3-Clause
/*
 * chain.h - descriptor chains as the device sees them, checked against what it may touch
 */
#ifndef VIOFS_NT_BENCH_CHAIN_H
#define VIOFS_NT_BENCH_CHAIN_H

#include "tests/nt-bench/bench_host.h"

struct chain_seg {
    uint64_t bus;
    uint32_t len;
    bool write; /* the device may write it */
};

/* The segments of one chain. @seg and @room are the caller's. */
struct chain_list {
    struct chain_seg *seg;
    uint32_t room;
    uint32_t n;
    uint64_t out_len, in_len; /* bytes to read, bytes to write */
};

/**
 * chain_walk() - collect the segments of the chain at @head, direct or indirect
 * @table: descriptors of the ring, @size entries
 *
 * Return: false after a complaint: the chain has no end, is malformed, or names memory that the device may
 * not touch in this direction.
 */
bool chain_walk(struct dma *m, struct chain_list *c, const struct ring_desc *table, uint32_t size,
                uint16_t head);

/** chain_copy() - copy between @bytes and the chain's writable or readable part */
void chain_copy(struct dma *m, const struct chain_list *c, bool writable, uint64_t offset,
                void *bytes, uint64_t n);

/** chain_pin() - the device owns the chain's memory (@delta 1), or gives it back (-1) */
void chain_pin(struct dma *m, const struct chain_list *c, int delta);

#endif
