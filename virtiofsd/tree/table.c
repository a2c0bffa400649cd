// SPDX-License-Identifier: BSD-3-Clause
/*
 * table.c - ten million inodes in little memory
 *
 * Theory of operation
 *
 *   A node id is a slot number (low half) and the slot's generation (high half). Slots are an array in kept
 *   memory (keep/keep.h), 64 bytes each, mapped once in its full size and touched as it is used. Generations grow
 *   when a slot is freed: an id is never used twice.
 *
 *   inode_get() takes a reference if the count is not zero and then checks the generation. The slot
 *   may have been freed and taken again between the two steps, but a reference on the wrong inode is
 *   simply put back: memory is not returned while anybody might look, so looking is always safe.
 *
 *   This process may end between any two instructions, and the next one finds the slots (resume.c). So what a
 *   slot says is stored first, and then, in one store, what makes it count: nlookup for an inode, parent and
 *   name together for its place. What goes is taken away in the opposite order.
 *
 *   Identities are found through 64 shards, each a mutex and a chained hash of slot numbers (4 bytes a
 *   bucket, at most half of them used, 4 a link).
 *
 *   Life: nlookup > 0 is worth one reference, so are each child, handle and running request. The last
 *   inode_put() takes the inode out of its shard; a lookup that meets it there with a count of zero
 *   passes it by.
 */
#include "tree/tree_int.h"
#include "host/log.h"
#include "tree/region.h"

#define INITIAL_BUCKETS 64u
#define MAX_BUCKETS     (1u << 26)
#define LARGE_PAGE      ((size_t)2 << 20)
#define NEAR_BITS       8
#define NEAR_MASK       ((1u << NEAR_BITS) - 1)
#define TABLE_VERSION   1u
#define REGION_BYTES    (sizeof(struct inode) * (size_t)MAX_SLOTS)

uint64_t inode_id(const struct inode *inode)
{
    return (uint64_t)atomic_load_explicit(&inode->gen, memory_order_relaxed) << 32 |
           inode_slot(inode);
}

mode_t inode_type(const struct inode *inode)
{
    return (mode_t)inode->type << 12;
}

struct mount *inode_mount(struct tree *t, const struct inode *inode)
{
    return mount_at(t->mounts, inode->mount);
}

bool inode_mount_local(struct tree *t, const struct inode *inode)
{
    return inode_mount(t, inode)->local;
}

bool inode_mount_zeroes(struct tree *t, const struct inode *inode)
{
    return inode_mount(t, inode)->zeroes;
}

bool inode_on_controls(struct tree *t, const struct inode *inode)
{
    return inode_mount(t, inode)->controls;
}

bool inode_on_other_mount(const struct inode *inode, const struct inode *parent)
{
    return inode->mount != parent->mount;
}

int inode_keep(struct tree *t, struct inode *inode, int fd)
{
    if (!keep_is_supervised(t->p.keep))
        return 0;
    atomic_fetch_or(&inode->flags,
                    INODE_KEPT); /* first: what is put, and not told here, would never go */
    return keep_put(t->p.keep, KEEP_INODE, inode_slot(inode), fd);
}

int inode_give(struct tree *t, struct inode *inode, int fd)
{
    if (keep_is_supervised(t->p.keep))
        atomic_fetch_or(&inode->flags, INODE_KEPT);
    return keep_give(t->p.keep, KEEP_INODE, inode_slot(inode), fd);
}

void inode_say_kept(int r)
{
    if (r < 0)
        log_warn_limited("a file without a name will be lost if the daemon is replaced: %s",
                         strerror(-r));
}

uint32_t inode_number(const struct inode *inode)
{
    return inode_slot(inode);
}

void inode_unkeep(struct tree *t, struct inode *inode)
{
    if (atomic_fetch_and(&inode->flags, (uint8_t)~INODE_KEPT) & INODE_KEPT)
        keep_drop(t->p.keep, KEEP_INODE, inode_slot(inode));
}

void inode_linked(struct inode *inode, bool linked)
{
    if (linked)
        atomic_fetch_and_explicit(&inode->flags, (uint8_t)~INODE_UNLINKED, memory_order_relaxed);
    else
        atomic_fetch_or_explicit(&inode->flags, INODE_UNLINKED, memory_order_relaxed);
}

bool inode_try_ref(struct inode *inode)
{
    uint32_t r = atomic_load_explicit(&inode->refs, memory_order_relaxed);

    do {
        if (r == 0 || r == UINT32_MAX)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&inode->refs, &r, r + 1, memory_order_acquire,
                                                    memory_order_relaxed));
    return true;
}

struct inode *inode_ref(struct inode *inode)
{
    atomic_fetch_add_explicit(&inode->refs, 1, memory_order_relaxed);
    return inode;
}

struct inode *inode_get(struct tree *t, uint64_t id)
{
    uint32_t slot = (uint32_t)id;

    if (!slot_is_used(t, slot))
        return NULL;
    struct inode *inode = slot_inode(t, slot);
    if (!inode_try_ref(inode))
        return NULL;
    if (atomic_load_explicit(&inode->gen, memory_order_relaxed) != id >> 32) {
        inode_put(t, inode);
        return NULL;
    }
    return inode;
}

/* ---- shards ------------------------------------------------------------------------------- */

/*
 * Files that were made together have numbers in a row and are listed together: 256 of them share a shard and
 * a KiB of its buckets, so that a listing finds both in the cache. Of the stamp only what is coarser than
 * eight seconds of birth time counts for that.
 */
uint64_t identity_hash(const struct identity *id)
{
    uint64_t x = (id->ino >> NEAR_BITS) * 0x9e3779b97f4a7c15u;

    x ^= ((id->stamp >> 33) + id->mount) * 0xc2b2ae3d27d4eb4fu;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return (x & ~(uint64_t)NEAR_MASK) | (id->ino & NEAR_MASK);
}

static uint64_t inode_hash(const struct inode *inode)
{
    struct identity id = {inode->ino, inode->stamp, inode->mount, inode->type};

    return identity_hash(&id);
}

struct shard *hash_shard(struct tree *t, uint64_t hash)
{
    return &t->shard[hash >> 58];
}

struct shard *inode_shard(struct tree *t, const struct inode *inode)
{
    return hash_shard(t, inode_hash(inode));
}

/* The arena's lane that the shard's lock guards. */
static unsigned shard_lane(const struct tree *t, const struct shard *s)
{
    return (unsigned)(s - t->shard);
}

static uint32_t *hash_bucket(struct shard *s, uint64_t hash)
{
    uint32_t far = (uint32_t)(hash >> 16) << NEAR_BITS;

    return &s->bucket[(far | (hash & NEAR_MASK)) & s->mask];
}

struct inode *table_find(struct tree *t, struct shard *s, uint64_t hash, const struct identity *id)
{
    for (uint32_t slot = *hash_bucket(s, hash); slot;) {
        struct inode *inode = slot_inode(t, slot);
        if (identity_is(id, inode) && inode_try_ref(inode))
            return inode;
        slot = inode->next;
    }
    return NULL;
}

/* Zeros; on large pages where they fill them. @n: a power of two. NULL: no memory. */
static uint32_t *new_buckets(uint32_t n)
{
    size_t bytes = n * sizeof(uint32_t);

    if (bytes < LARGE_PAGE)
        return calloc(n, sizeof(uint32_t));
    uint32_t *bucket = aligned_alloc(LARGE_PAGE, bytes);
    if (bucket) {
        region_large_pages(bucket, bytes, true);
        memset(bucket, 0, bytes);
    }
    return bucket;
}

/* Double the buckets. Failure is harmless: chains get longer. */
static void shard_grow(struct tree *t, struct shard *s)
{
    uint32_t size = (s->mask + 1) * 2;
    uint32_t *bucket = new_buckets(size);

    if (!bucket)
        return;
    uint32_t *old = s->bucket;
    uint32_t old_size = s->mask + 1;
    s->bucket = bucket;
    s->mask = size - 1;
    for (uint32_t i = 0; i < old_size; i++) {
        for (uint32_t slot = old[i], next; slot; slot = next) {
            struct inode *inode = slot_inode(t, slot);
            uint32_t *b = hash_bucket(s, inode_hash(inode));
            next = inode->next;
            inode->next = *b;
            *b = slot;
        }
    }
    free(old);
}

void shard_clear(struct shard *s, uint32_t expected)
{
    uint32_t size = INITIAL_BUCKETS;

    while (size < MAX_BUCKETS && size / 2 < expected)
        size *= 2;
    uint32_t *bucket = size == s->mask + 1 ? NULL : new_buckets(size);
    s->count = 0;
    if (bucket) {
        free(s->bucket);
        s->bucket = bucket;
        s->mask = size - 1;
    } else {
        memset(s->bucket, 0, ((size_t)s->mask + 1) * sizeof(*s->bucket));
    }
}

void table_hash(struct tree *t, struct shard *s, uint64_t hash, struct inode *inode)
{
    /* At most half full: to learn that an inode is new should not cost a look at another's cache line. */
    if (s->count > s->mask / 2 && s->mask < MAX_BUCKETS)
        shard_grow(t, s);
    uint32_t *b = hash_bucket(s, hash);
    inode->next = *b;
    *b = inode_slot(inode);
    inode->flags |= INODE_HASHED;
    s->count++;
}

static void table_unhash(struct tree *t, struct shard *s, struct inode *inode)
{
    uint32_t slot = inode_slot(inode);

    for (uint32_t *p = hash_bucket(s, inode_hash(inode)); *p; p = &slot_inode(t, *p)->next) {
        if (*p == slot) {
            *p = inode->next;
            s->count--;
            return;
        }
    }
}

/* ---- slots -------------------------------------------------------------------------------- */

/* Next never-used slot; alloc_lock held. 0 when the table is full. */
static uint32_t slot_extend(struct tree *t)
{
    uint32_t slot = atomic_load_explicit(&t->head->n_slots, memory_order_relaxed);

    if (slot == MAX_SLOTS || (t->p.max_inodes && slot > t->p.max_inodes)) {
        log_warn_limited("the guest knows %u inodes and may not know more", slot);
        return 0;
    }
    if (slot == REGION_LARGE / sizeof(struct inode))
        region_large_pages(t->head, REGION_BYTES, true);
    struct inode *inode = slot_inode(t, slot);
    inode->slot = slot;
    inode->nlookup = 0;
    atomic_store_explicit(&inode->refs, 0, memory_order_relaxed);
    /* Zeros in memory that is new; but what was kept may be anything. */
    place_set(inode, (struct place){0, 0});
    inode->handle = 0;
    atomic_store_explicit(&inode->flags, 0, memory_order_relaxed);
    atomic_store_explicit(&inode->gen, 0, memory_order_relaxed);
    atomic_store_explicit(&t->head->n_slots, slot + 1, memory_order_release);
    return slot;
}

/* alloc_lock held; statistics read the number without it. */
static void count_inodes(struct tree *t, int more)
{
    uint64_t n = atomic_load_explicit(&t->n_inodes, memory_order_relaxed);

    atomic_store_explicit(&t->n_inodes, n + (uint64_t)more, memory_order_relaxed);
}

static struct inode *fill_slot(struct inode *inode, const struct identity *id, mode_t type)
{
    inode->ino = id->ino;
    inode->stamp = id->stamp;
    inode->mount = id->mount;
    inode->type = (uint8_t)((type & S_IFMT) >> 12);
    inode->next = 0; /* nlookup, place, handle and flags are 0 in a slot that is free */
    atomic_store_explicit(&inode->fd, 0, memory_order_relaxed);
    atomic_store_explicit(&inode->refs, 1, memory_order_release);
    return inode;
}

struct inode *table_new(struct tree *t, const struct identity *id, mode_t type)
{
    pthread_mutex_lock(&t->alloc_lock);
    uint32_t slot = t->free_head;
    struct inode *inode;
    if (slot) {
        inode = slot_inode(t, slot);
        t->free_head = inode->next;
    } else {
        slot = slot_extend(t);
        inode = slot ? slot_inode(t, slot) : NULL;
    }
    count_inodes(t, inode ? 1 : 0);
    pthread_mutex_unlock(&t->alloc_lock);
    return inode ? fill_slot(inode, id, type) : NULL;
}

struct inode *table_new_at(struct tree *t, uint64_t node, const struct identity *id, mode_t type)
{
    uint32_t slot = (uint32_t)node;
    struct inode *inode = NULL;

    pthread_mutex_lock(&t->alloc_lock);
    while (t->head->n_slots <= slot && slot_extend(t))
        ;
    if (slot > TREE_ROOT_ID && slot < t->head->n_slots &&
        atomic_load(&slot_inode(t, slot)->refs) == 0) {
        inode = slot_inode(t, slot);
        atomic_store(&inode->gen, (uint32_t)(node >> 32));
        count_inodes(t, 1);
    }
    pthread_mutex_unlock(&t->alloc_lock);
    return inode ? fill_slot(inode, id, type) : NULL;
}

void table_link_free(struct tree *t)
{
    pthread_mutex_lock(&t->alloc_lock);
    t->free_head = 0;
    /* Downwards, so that the lowest slots are used first. */
    for (uint32_t slot = t->head->n_slots - 1; slot > TREE_ROOT_ID; slot--) {
        struct inode *inode = slot_inode(t, slot);
        if (atomic_load(&inode->refs) == 0) {
            inode->next = t->free_head;
            t->free_head = slot;
        }
    }
    pthread_mutex_unlock(&t->alloc_lock);
}

/* The last reference has gone. Return: the parent, to be put. */
static struct inode *inode_destroy(struct tree *t, struct inode *inode)
{
    struct shard *s = inode_shard(t, inode);
    unsigned lane = shard_lane(t, s);

    pthread_mutex_lock(&s->lock);
    uint8_t flags = inode->flags;
    if (flags & INODE_HASHED)
        table_unhash(t, s, inode);
    struct place was = place_of(inode);
    place_set(inode, (struct place){0, 0});
    uint32_t handle = inode->handle;
    __atomic_store_n(&inode->handle, 0, __ATOMIC_RELEASE);
    arena_drop(t->arena, lane, was.name);
    arena_drop(t->arena, lane, handle);
    inode->flags = 0;
    pthread_mutex_unlock(&s->lock);

    if (flags & INODE_COVERED)
        t->uncover(t->uncover_ctx, inode_id(inode));
    if (flags & INODE_KEPT)
        keep_drop(t->p.keep, KEEP_INODE, inode_slot(inode));
    fdcache_drop(t, inode);
    pthread_mutex_lock(&t->alloc_lock);
    atomic_fetch_add_explicit(&inode->gen, 1, memory_order_relaxed);
    inode->next = t->free_head;
    t->free_head = inode_slot(inode);
    count_inodes(t, -1);
    pthread_mutex_unlock(&t->alloc_lock);
    return was.parent ? slot_inode(t, was.parent) : NULL;
}

void inode_put(struct tree *t, struct inode *inode)
{
    /* A loop and not recursion: a guest may nest directories as deep as it likes. */
    while (inode && atomic_fetch_sub_explicit(&inode->refs, 1, memory_order_acq_rel) == 1)
        inode = inode_destroy(t, inode);
}

struct inode *inode_parent(struct tree *t, struct inode *inode)
{
    struct shard *s = inode_shard(t, inode);

    pthread_mutex_lock(&s->lock);
    uint32_t slot = place_of(inode).parent;
    struct inode *parent = inode_ref(slot ? slot_inode(t, slot) : inode);
    pthread_mutex_unlock(&s->lock);
    return parent;
}

bool inode_name(struct tree *t, const struct inode *inode, char name[static NAME_MAX + 1])
{
    struct place p = place_of(inode);
    size_t len;

    if (!p.name)
        return false;
    const void *bytes = arena_at(t->arena, p.name, &len);
    memcpy(name, bytes, len);
    name[len] = '\0';
    return true;
}

static bool is_named(struct tree *t, uint32_t block, const char *name, size_t len)
{
    size_t has;
    const void *bytes = arena_at(t->arena, block, &has);

    return has == len && memcmp(bytes, name, len) == 0;
}

/* Never 0. */
static uint32_t hash_name(const char *name, size_t len)
{
    const uint64_t odd = 0x9e3779b97f4a7c15u;
    uint64_t h = len * odd, word;

    for (; len >= sizeof(word); len -= sizeof(word), name += sizeof(word)) {
        memcpy(&word, name, sizeof(word));
        h = (h ^ word) * odd;
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, name, len);
    h = (h ^ word) * odd;
    h ^= h >> 29;
    h *= odd;
    return (uint32_t)(h >> 32) ?: 1;
}

struct inode *inode_set_name(struct tree *t, struct inode *inode, struct inode *parent,
                             const char *name)
{
    struct place was = place_of(inode), is = {inode_slot(parent), 0};
    unsigned lane = shard_lane(t, inode_shard(t, inode));
    size_t len = strlen(name);

    if (inode_slot(inode) == TREE_ROOT_ID)
        return NULL; /* the root has no name */
    uint32_t hash = hash_name(name, len);
    if (was.parent == is.parent && was.name) {
        if (inode->name_hash == hash)
            return NULL;
        if (is_named(t, was.name, name, len)) {
            inode->name_hash = hash;
            return NULL;
        }
    }
    is.name = len <= NAME_MAX ? arena_store(t->arena, lane, name, len) : 0;
    if (!is.name)
        return NULL; /* the old name stays: at worst the inode goes stale */
    inode_ref(parent);
    place_set(inode, is);
    __atomic_store_n(&inode->name_hash, hash, __ATOMIC_RELEASE);
    arena_drop(t->arena, lane, was.name);
    return was.parent ? slot_inode(t, was.parent) : NULL;
}

struct inode *inode_unname(struct tree *t, struct inode *inode)
{
    struct shard *s = inode_shard(t, inode);

    pthread_mutex_lock(&s->lock);
    struct place was = place_of(inode);
    place_set(inode, (struct place){0, 0});
    arena_drop(t->arena, shard_lane(t, s), was.name);
    pthread_mutex_unlock(&s->lock);
    return was.parent ? slot_inode(t, was.parent) : NULL;
}

bool inode_handle(struct tree *t, struct inode *inode, struct fhandle *h)
{
    struct shard *s = inode_shard(t, inode);

    pthread_mutex_lock(&s->lock);
    bool has = inode->handle;
    if (has) {
        size_t len;
        const void *bytes = arena_at(t->arena, inode->handle, &len);
        memcpy(&h->type, bytes, len);
        h->bytes = (uint32_t)(len - sizeof(h->type));
    }
    pthread_mutex_unlock(&s->lock);
    return has;
}

void inode_keep_handle(struct tree *t, struct inode *inode, const struct fhandle *h)
{
    struct shard *s = inode_shard(t, inode);

    pthread_mutex_lock(&s->lock);
    if (!inode->handle) {
        uint32_t block =
            arena_store(t->arena, shard_lane(t, s), &h->type, sizeof(h->type) + h->bytes);
        __atomic_store_n(&inode->handle, block, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&s->lock);
}

int tree_forget(struct tree *t, uint64_t id, uint64_t n)
{
    struct inode *inode = inode_get(t, id);

    if (!inode)
        return -ESTALE;
    if (id == TREE_ROOT_ID) {
        inode_put(t, inode); /* the root is never forgotten */
        return 0;
    }
    struct shard *s = inode_shard(t, inode);
    pthread_mutex_lock(&s->lock);
    bool last = n && inode->nlookup && n >= inode->nlookup;
    if (n > inode->nlookup)
        log_debug("FORGET of %llu lookups of node %llu, which has %llu", (unsigned long long)n,
                  (unsigned long long)id, (unsigned long long)inode->nlookup);
    inode->nlookup = last ? 0 : inode->nlookup - (inode->nlookup ? n : 0);
    pthread_mutex_unlock(&s->lock);
    if (last && (atomic_load_explicit(&inode->flags, memory_order_relaxed) & INODE_COVERED))
        t->uncover(t->uncover_ctx, id);
    if (last)
        inode_put(t, inode);
    inode_put(t, inode);
    return 0;
}

/* ---- the whole ---------------------------------------------------------------------------- */

int table_init(struct tree *t)
{
    int r = arena_new(&t->arena, t->p.keep);

    if (r < 0)
        return r;
    t->head = keep_map(t->p.keep, KEEP_INODES, REGION_BYTES, TABLE_VERSION);
    if (!t->head)
        return -errno;
    pthread_mutex_init(&t->alloc_lock, NULL);
    pthread_mutex_init(&t->move_lock, NULL);
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct shard *s = &t->shard[i];
        pthread_mutex_init(&s->lock, NULL);
        s->bucket = new_buckets(INITIAL_BUCKETS);
        if (!s->bucket)
            return -ENOMEM;
        s->mask = INITIAL_BUCKETS - 1;
    }
    return 0;
}

void table_free(struct tree *t)
{
    for (uint32_t i = 0; i < SHARDS; i++) {
        free(t->shard[i].bucket);
        pthread_mutex_destroy(&t->shard[i].lock);
    }
    if (t->head)
        keep_unmap(t->p.keep, t->head);
    arena_free(t->arena);
    pthread_mutex_destroy(&t->alloc_lock);
    pthread_mutex_destroy(&t->move_lock);
}

/*
 * The memory of a table that holds nothing but the root goes back. Ids begin anew then, as they may in a session that
 * does. What is put late, by a request that has outlived its session, keeps the memory as it is.
 */
static void table_shrink(struct tree *t)
{
    struct inode *root = slot_inode(t, TREE_ROOT_ID);
    struct shard *s = inode_shard(t, root);

    pthread_mutex_lock(&s->lock);
    pthread_mutex_lock(&t->alloc_lock);
    uint32_t n = t->head->n_slots;
    if (n > TREE_ROOT_ID + 1 && atomic_load(&t->n_inodes) == 1) {
        root->handle = 0;
        atomic_store_explicit(&t->head->n_slots, TREE_ROOT_ID + 1, memory_order_release);
        t->free_head = 0;
        if (n > REGION_LARGE / sizeof(struct inode))
            region_large_pages(t->head, REGION_BYTES, false);
        region_give_back(slot_inode(t, TREE_ROOT_ID + 1),
                         (size_t)(n - TREE_ROOT_ID - 1) * sizeof(struct inode));
        arena_clear(t->arena);
        for (uint32_t i = 0; i < SHARDS; i++)
            if (t->shard[i].count == 0) /* all but the root's */
                shard_clear(&t->shard[i], 0);
    }
    pthread_mutex_unlock(&t->alloc_lock);
    pthread_mutex_unlock(&s->lock);
}

/*
 * Runs alone. Lookups are dropped slot by slot; parents follow their children through inode_put(), so the
 * order does not matter.
 */
void tree_reset(struct tree *t)
{
    uint32_t n = t->head->n_slots;

    for (uint32_t slot = TREE_ROOT_ID + 1; slot < n; slot++) {
        struct inode *inode = slot_inode(t, slot);
        if (atomic_load_explicit(&inode->refs, memory_order_relaxed) == 0 || inode->nlookup == 0)
            continue;
        inode->nlookup = 0;
        inode_put(t, inode);
    }
    table_shrink(t);
}

uint64_t tree_inodes(void *tree)
{
    return atomic_load_explicit(&((struct tree *)tree)->n_inodes, memory_order_relaxed);
}
