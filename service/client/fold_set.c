// SPDX-License-Identifier: BSD-3-Clause
/*
 * fold_set.c - the set behind a directory's folded index
 *
 * Theory of operation
 *
 *   Names lie one behind the other in one block, each with its hash; an open-addressed table of offsets
 *   leads to them. Nothing is moved or freed one by one: an index is thrown away as a whole.
 *
 * Ownership: the caller's.   Locks: the caller's.
 */
#include <stdlib.h>
#include <string.h>

#include "service/client/fold.h"

enum { FIRST_SLOTS = 16, FIRST_BYTES = 512, MOST_BYTES = 1 << 30 };

/* In the block, 4-byte aligned, followed by the name. */
struct record {
    uint32_t hash;
    uint8_t there;
    uint8_t len;
    char name[];
};

static struct record *record_at(const struct cli_fold *f, uint32_t slot)
{
    return (struct record *)(void *)(f->bytes + f->slot[slot] - 1);
}

struct cli_fold *cli_fold_new(void)
{
    struct cli_fold *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->slots = FIRST_SLOTS;
    f->slot = calloc(f->slots, sizeof(*f->slot));
    f->cap = FIRST_BYTES;
    f->bytes = malloc(f->cap);
    if (!f->slot || !f->bytes) {
        cli_fold_free(f);
        return NULL;
    }
    return f;
}

void cli_fold_free(struct cli_fold *f)
{
    if (!f)
        return;
    free(f->slot);
    free(f->bytes);
    free(f);
}

uint64_t cli_fold_size(const struct cli_fold *f)
{
    return sizeof(*f) + f->cap + (uint64_t)f->slots * sizeof(*f->slot);
}

static void fill_slot(struct cli_fold *f, uint32_t offset, uint32_t hash)
{
    uint32_t i = hash & (f->slots - 1);

    while (f->slot[i])
        i = (i + 1) & (f->slots - 1);
    f->slot[i] = offset + 1;
}

static int grow_slots(struct cli_fold *f)
{
    uint32_t *old = f->slot, slots = f->slots;

    f->slot = calloc((size_t)slots * 2, sizeof(*f->slot));
    if (!f->slot) {
        f->slot = old;
        return -LE_ENOMEM;
    }
    f->slots = slots * 2;
    for (uint32_t i = 0; i < slots; i++) {
        if (old[i]) {
            const struct record *r = (const void *)(f->bytes + old[i] - 1);
            fill_slot(f, old[i] - 1, r->hash);
        }
    }
    free(old);
    return 0;
}

static int grow_bytes(struct cli_fold *f, uint32_t more)
{
    uint32_t cap = f->cap;

    while (cap - f->used < more)
        cap *= 2;
    if (cap > MOST_BYTES)
        return -LE_ENOMEM;
    uint8_t *bytes = realloc(f->bytes, cap);
    if (!bytes)
        return -LE_ENOMEM;
    f->bytes = bytes;
    f->cap = cap;
    return 0;
}

static int append(struct cli_fold *f, struct cli_name name, uint32_t hash, bool there)
{
    uint32_t size = (uint32_t)(offsetof(struct record, name) + name.len + 3) & ~3u;

    if ((f->live + f->dead) * 2 >= f->slots && grow_slots(f) < 0)
        return -LE_ENOMEM;
    if (f->cap - f->used < size && grow_bytes(f, size) < 0)
        return -LE_ENOMEM;
    struct record *r = (void *)(f->bytes + f->used);
    *r = (struct record){.hash = hash, .there = there, .len = (uint8_t)name.len};
    memcpy(r->name, name.bytes, name.len);
    fill_slot(f, f->used, hash);
    f->used += size;
    *(there ? &f->live : &f->dead) += 1;
    return 0;
}

static struct cli_name name_of(const struct record *r)
{
    return (struct cli_name){r->name, r->len};
}

static bool same_bytes(struct cli_name a, struct cli_name b)
{
    return a.len == b.len && memcmp(a.bytes, b.bytes, a.len) == 0;
}

int cli_fold_put(struct cli_fold *f, struct cli_name name, bool there, bool listed)
{
    uint32_t hash = cli_fold_hash(name);

    for (uint32_t i = hash & (f->slots - 1); f->slot[i]; i = (i + 1) & (f->slots - 1)) {
        struct record *r = record_at(f, i);
        if (r->hash != hash || !same_bytes(name_of(r), name))
            continue;
        if (!listed && r->there != there) {
            r->there = there;
            f->live += there ? 1 : -1;
            f->dead += there ? -1 : 1;
        }
        return 0;
    }
    return append(f, name, hash, there);
}

bool cli_fold_better(struct cli_name name, struct cli_name a, struct cli_name b)
{
    uint32_t shorter = a.len < b.len ? a.len : b.len;
    int order;

    if (same_bytes(b, name))
        return false;
    if (same_bytes(a, name))
        return true;
    order = memcmp(a.bytes, b.bytes, shorter);
    return order < 0 || (order == 0 && a.len < b.len);
}

int cli_fold_get(const struct cli_fold *f, struct cli_name name, char *actual)
{
    uint32_t hash = cli_fold_hash(name);
    const struct record *best = NULL;

    for (uint32_t i = hash & (f->slots - 1); f->slot[i]; i = (i + 1) & (f->slots - 1)) {
        const struct record *r = record_at(f, i);
        if (r->there && r->hash == hash && cli_fold_equal(name_of(r), name) &&
            (!best || cli_fold_better(name, name_of(r), name_of(best))))
            best = r;
    }
    if (!best)
        return -LE_ENOENT;
    memcpy(actual, best->name, best->len);
    actual[best->len] = '\0';
    return best->len;
}
