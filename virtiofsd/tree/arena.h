// SPDX-License-Identifier: BSD-3-Clause
/*
 * arena.h - names and file handles of inodes, in kept memory
 */
#ifndef VIOFS_ARENA_H
#define VIOFS_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keep/keep.h"

#define ARENA_LANES     64u
#define ARENA_BYTES_MAX 255u

struct arena;

/** arena_new() - map the region. Return: 0 or -errno (-EPROTO: it has another layout). */
int arena_new(struct arena **arena, struct keep *k);
void arena_free(struct arena *a);

/**
 * arena_store() - keep a copy of @len bytes, 0..ARENA_BYTES_MAX
 * @lane: whose lock the caller holds, below ARENA_LANES
 * Return: where; 0 when the arena is full. Whole before it is returned: a reference to it may be published.
 */
uint32_t arena_store(struct arena *a, unsigned lane, const void *bytes, size_t len);
/** arena_drop() - what nothing refers to any more goes; the lane that stored it. 0 is fine. */
void arena_drop(struct arena *a, unsigned lane, uint32_t at);
/** arena_at() - what arena_store() kept, valid until it is dropped. @at is not 0. */
const void *arena_at(const struct arena *a, uint32_t at, size_t *len);

/** arena_clear() - nothing is referred to any more: memory goes back to the system */
void arena_clear(struct arena *a);

/*
 * At resume what is free is found from what is not: arena_mark_begin(), arena_mark() for each reference,
 * arena_mark_end(). No other call in between.
 */

/** arena_mark_begin() - Return: 0 or -ENOMEM */
int arena_mark_begin(struct arena *a);
/** arena_mark() - @at is referred to. Return: false when there is nothing, or somebody else's: do not keep it. */
bool arena_mark(struct arena *a, uint32_t at);
void arena_mark_end(struct arena *a);

#endif
