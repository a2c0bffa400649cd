// SPDX-License-Identifier: BSD-3-Clause
/*
 * held.c - which open descriptors of this process are kept, and as what
 *
 * Theory of operation
 *
 *   One word for each descriptor number says under which key it is kept; zero: it is not. The words lie in memory that
 *   this process shares with the one that waits for it, which shares its descriptors, too (hold.c): what they say
 *   when this process ends, between whatever two instructions, is what survives.
 *
 *   So a word must never name another file than its key's. A descriptor is open before its word is stored, and its word
 *   is zero before it is closed: its number may be somebody else's in the next moment. A key that moves to another
 *   descriptor is noted there first, and struck from the old one then; between the two both are kept, and either is
 *   right. All of this is one store each, in program order, which a process that ends cannot leave halfway.
 *
 *   What finds a descriptor by its key is this process' own: chains by hash, through the numbers.
 *
 * Ownership: descriptors that were noted as the table's. Lives until the process ends. Locks: the caller's, but for
 * held_is().
 *
 * syscalls: close
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "keep/held.h"

#define MAX_FDS     (1u << 22) /* numbers are given out from below: more are never in use */
#define MIN_BUCKETS 64u

/* What both processes see, zeros at first. */
struct held_words {
    _Atomic uint32_t top; /* no number from here on has ever been noted */
    _Atomic bool over;    /* there is nothing to go on with */
    _Atomic uint64_t key[];
};

struct held {
    struct held_words *words;
    uint32_t max, mask;
    uint32_t *bucket; /* first descriptor of each chain, plus one; 0: none */
    uint32_t *next;   /* by descriptor: the same */
    bool *own;        /* by descriptor */
};

static uint64_t word_of(struct held_key k)
{
    return (uint64_t)k.kind << 48 | (uint64_t)k.share << 32 | k.index;
}

static uint32_t *bucket_of(const struct held *h, uint64_t word)
{
    return &h->bucket[(word * UINT64_C(0x9e3779b97f4a7c15)) >> 40 & h->mask];
}

/** held_new() - see held.h */
int held_new(struct held **out, uint64_t max)
{
    struct held *h = calloc(1, sizeof(*h));
    uint32_t buckets = MIN_BUCKETS;

    if (!h)
        return -ENOMEM;
    h->max = max < MAX_FDS ? (uint32_t)max : MAX_FDS;
    while (buckets < h->max / 4 && buckets < 1u << 20)
        buckets *= 2;
    h->mask = buckets - 1;
    h->bucket = calloc(buckets, sizeof(*h->bucket));
    h->next = calloc(h->max, sizeof(*h->next));
    h->own = calloc(h->max, sizeof(*h->own));
    h->words = mmap(NULL, sizeof(*h->words) + h->max * sizeof(h->words->key[0]),
                    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (h->bucket && h->next && h->own && h->words != MAP_FAILED) {
        *out = h;
        return 0;
    }
    if (h->words != MAP_FAILED)
        munmap(h->words, sizeof(*h->words) + h->max * sizeof(h->words->key[0]));
    free(h->bucket);
    free(h->next);
    free(h->own);
    free(h);
    return -ENOMEM;
}

static uint64_t word_at(const struct held *h, uint32_t fd)
{
    return atomic_load_explicit(&h->words->key[fd], memory_order_relaxed);
}

/** held_is() - see held.h */
bool held_is(const struct held *h, int fd)
{
    return fd >= 0 && (uint32_t)fd < h->max && word_at(h, (uint32_t)fd) != 0;
}

/** held_key_of() - see held.h */
bool held_key_of(const struct held *h, int fd, struct held_key *key)
{
    uint64_t word = fd >= 0 && (uint32_t)fd < h->max ? word_at(h, (uint32_t)fd) : 0;

    *key = (struct held_key){
        .kind = (uint8_t)(word >> 48), .share = (uint16_t)(word >> 32), .index = (uint32_t)word};
    return key->kind != 0;
}

/** held_find() - see held.h */
int held_find(const struct held *h, struct held_key key)
{
    const uint64_t word = word_of(key);

    for (uint32_t at = *bucket_of(h, word); at != 0; at = h->next[at - 1]) {
        if (word_at(h, at - 1) == word)
            return (int)at - 1;
    }
    return -1;
}

/** held_note() - see held.h */
int held_note(struct held *h, struct held_key key, int fd, bool own)
{
    const uint64_t word = word_of(key);
    const uint32_t at = (uint32_t)fd;

    if (at >= h->max)
        return -ENFILE;
    if (at >= atomic_load_explicit(&h->words->top, memory_order_relaxed))
        atomic_store(&h->words->top, at + 1);
    atomic_store(&h->words->key[at], word);
    h->own[at] = own;
    uint32_t *bucket = bucket_of(h, word);
    h->next[at] = *bucket;
    *bucket = at + 1;
    return 0;
}

/** held_strike() - see held.h */
bool held_strike(struct held *h, int fd)
{
    const uint32_t at = (uint32_t)fd;
    const bool own = h->own[at];
    uint32_t *link = bucket_of(h, word_at(h, at));

    while (*link != 0 && *link != at + 1)
        link = &h->next[*link - 1];
    if (*link != 0)
        *link = h->next[at];
    h->own[at] = false;
    atomic_store(&h->words->key[at], 0);
    if (own)
        close(fd);
    return own;
}

/** held_own() - see held.h */
void held_own(struct held *h, int fd)
{
    h->own[fd] = true;
}

/** held_end() - see held.h */
void held_end(struct held *h)
{
    atomic_store(&h->words->over, true);
}

/** held_next() - see held.h */
int held_next(const struct held *h, int from, struct held_key *key)
{
    uint32_t top = atomic_load(&h->words->over) ? 0 : atomic_load(&h->words->top);

    for (uint32_t at = (uint32_t)from; at < top && at < h->max; at++) {
        if (held_key_of(h, (int)at, key))
            return (int)at;
    }
    return -1;
}
