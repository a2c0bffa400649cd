// SPDX-License-Identifier: BSD-3-Clause
/*
 * held.h - which open descriptors of this process are kept, and as what (held.c has the theory)
 */
#ifndef VIOFS_KEEP_HELD_H
#define VIOFS_KEEP_HELD_H

#include <stdbool.h>
#include <stdint.h>

struct held;

struct held_key {
    uint8_t kind; /* not 0 */
    uint16_t share;
    uint32_t index;
};

/** held_new() - for descriptors below @max. Children of this process see what is noted in it. Return: 0 or -ENOMEM. */
int held_new(struct held **out, uint64_t max);

/** held_find() - the descriptor under a key, -1: none */
int held_find(const struct held *h, struct held_key key);
/** held_is() - is a descriptor noted? Needs no lock, if nobody else notes this one. */
bool held_is(const struct held *h, int fd);
/** held_key_of() - as what. Return: false when it is not noted. */
bool held_key_of(const struct held *h, int fd, struct held_key *key);

/**
 * held_note() - a descriptor that is not noted yet; another one under the same key is to be struck after
 * @own: it is the table's to close
 * Return: 0; -ENFILE: its number is beyond the table (it is not taken over then).
 */
int held_note(struct held *h, struct held_key key, int fd, bool own);
/** held_own() - it is the table's from now on */
void held_own(struct held *h, int fd);
/** held_strike() - it is not kept any more; closed if it was the table's. Return: was it? */
bool held_strike(struct held *h, int fd);
/** held_end() - for good: nothing is kept, whatever the table says */
void held_end(struct held *h);

/** held_next() - the first one from @from on, for a process that did not write the table. Return: it, -1: no more. */
int held_next(const struct held *h, int from, struct held_key *key);

#endif
