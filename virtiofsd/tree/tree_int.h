// SPDX-License-Identifier: BSD-3-Clause
/*
 * tree_int.h - what the files of this room share
 *
 * struct inode is 64 bytes, one cache line, at ten million inodes the number that matters. Slots are an array
 * in kept memory that stays mapped while the tree lives (type-stable): a stale id can be looked at
 * without a lock and is refused by its generation.
 */
#ifndef VIOFS_TREE_INT_H
#define VIOFS_TREE_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>

#include "tree/arena.h"
#include "tree/mount.h"
#include "tree/tree.h"

#define MAX_SLOTS (1u << 28) /* bound of the table: 268 million inodes, 16 GiB of address space */
#define SHARDS    ARENA_LANES

enum inode_flags {
    INODE_HASHED = 1,   /* in its shard's table */
    INODE_UNLINKED = 2, /* its last name went while the guest knew it */
    INODE_WARM = 4,     /* has been used since it was looked up */
    INODE_COVERED = 8,  /* a directory in which changes are watched */
    INODE_LOOKED = 16,  /* and in which the guest has looked lately */
    INODE_KEPT = 32,    /* the supervisor has a descriptor of it (KEEP_INODE) */
    INODE_LOST = 64,    /* it came with a guest and could not be found here */
    INODE_UNSENT = 128, /* another daemon could not have found it (export.c) */
};

/*
 * One slot. What is kept over a crash is marked +; the rest is found again at resume (resume.c). A slot is alive if
 * nlookup is not 0, or if something that is alive refers to it; nlookup is stored when all else is there.
 */
struct inode {
    _Atomic uint32_t refs;
    _Atomic uint32_t gen;   /* + high half of the node id; grows when the slot is freed */
    uint64_t ino;           /* + identity: constant while refs > 0 */
    uint64_t stamp;         /* + identity */
    uint64_t nlookup;       /* + shard: lookups that the guest holds; > 0 is worth one reference */
    _Atomic uint64_t place; /* + shard: last known parent and name, in one store: place_of() */
    uint32_t handle;        /* + shard: file handle in the arena, 0: none */
    uint32_t next;          /* shard: next slot in the hash chain; free list when free */
    _Atomic uint32_t fd;    /* slot in the descriptor cache, 0: none */
    uint32_t slot;          /* + its own number */
    uint32_t name_hash;     /* + shard: of the name in its place; 0: not known */
    uint16_t mount;         /* + identity: index of its struct mount */
    uint8_t type;           /* + S_IFMT >> 12, constant */
    _Atomic uint8_t flags;  /* + written under the shard's lock */
};
_Static_assert(sizeof(struct inode) == 64, "one cache line an inode");

/* Slot 0 of the region is no inode. */
struct table_head {
    struct keep_head keep;
    _Atomic uint32_t n_slots; /* that have ever been used, this one included; 0: new */
    uint32_t spare[11];
};
_Static_assert(sizeof(struct table_head) == sizeof(struct inode), "takes the place of one");

/* Last known parent (a slot, referenced; 0: none) and name (in the arena; 0: none). */
struct place {
    uint32_t parent, name;
};

/* A file handle as name_to_handle_at(2) gives it. */
struct fhandle {
    uint32_t bytes;
    int32_t type; /* kept from here on */
    uint8_t data[MAX_HANDLE_SZ];
};
_Static_assert(sizeof(int32_t) + MAX_HANDLE_SZ <= ARENA_BYTES_MAX, "a handle is one block");

/* What two statx results must share to be the same file. */
struct identity {
    uint64_t ino, stamp;
    uint16_t mount;
    uint8_t type; /* S_IFMT >> 12 */
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    uint32_t *bucket; /* first slot of each chain, 0: empty */
    uint32_t mask;    /* buckets - 1 */
    uint32_t count;
};

struct fd_entry {
    _Atomic uint32_t pins; /* users; FD_EVICTING while it leaves */
    uint32_t owner;        /* inode slot; cache lock */
    int fd;
    uint32_t next_free;
    _Atomic bool used; /* second chance */
    _Atomic bool keep; /* not to be evicted */
    bool lent;         /* a handle's own descriptor */
};
#define FD_EVICTING 0x80000000u

struct fd_cache {
    pthread_mutex_t lock;
    struct keep *keeper;
    struct fd_entry *entry; /* 1..size; slot 0 means none */
    uint32_t size, free_head, hand, n_used, n_kept;
};

struct tree {
    struct tree_params p;
    struct mounts *mounts;
    union {
        struct table_head *head; /* kept */
        struct inode *at;        /* by slot; 0 is the head */
    };
    struct arena *arena;        /* names and handles; a lane for each shard */
    pthread_mutex_t alloc_lock; /* free list and high-water mark */
    pthread_mutex_t move_lock;  /* a known directory gets another parent; before shard locks */
    uint32_t free_head;
    bool begun; /* there is a root */
    _Atomic uint64_t n_inodes;
    struct shard shard[SHARDS];
    struct fd_cache fds;
    void (*uncover)(void *ctx, uint64_t id); /* tree_on_uncover() */
    void *uncover_ctx;
};

/* ---- table.c ------------------------------------------------------------------------------ */

static inline struct inode *slot_inode(struct tree *t, uint32_t slot)
{
    return &t->at[slot];
}
/* Is it one that has been used? What lies behind is nobody's, and may hold anything after a resume. */
static inline bool slot_is_used(struct tree *t, uint32_t slot)
{
    return slot != 0 && slot < atomic_load_explicit(&t->head->n_slots, memory_order_acquire);
}
static inline uint32_t inode_slot(const struct inode *inode)
{
    return inode->slot;
}
static inline struct place place_of(const struct inode *inode)
{
    uint64_t both = atomic_load_explicit(&inode->place, memory_order_relaxed);

    return (struct place){(uint32_t)both, (uint32_t)(both >> 32)};
}
/* What the name's block says must be there before. The hash is no other name's, wherever this process ends. */
static inline void place_set(struct inode *inode, struct place p)
{
    inode->name_hash = 0;
    atomic_store_explicit(&inode->place, (uint64_t)p.name << 32 | p.parent, memory_order_release);
}
bool inode_try_ref(struct inode *inode);
struct shard *inode_shard(struct tree *t, const struct inode *inode);
uint64_t identity_hash(const struct identity *id);
struct shard *hash_shard(struct tree *t, uint64_t hash);
int table_init(struct tree *t);
void table_free(struct tree *t);
/** shard_clear() - nothing is in it; as many as @expected will be. Nobody else is there. */
void shard_clear(struct shard *s, uint32_t expected);
/** table_find() - a reference to the inode of that identity, or NULL; shard lock held */
struct inode *table_find(struct tree *t, struct shard *s, uint64_t hash, const struct identity *id);
/** table_new() - a fresh inode with one reference, not hashed. NULL when full or out of memory. */
struct inode *table_new(struct tree *t, const struct identity *id, mode_t type);
/** table_new_at() - as table_new(), under that id, which nobody has. NULL also when somebody has. */
struct inode *table_new_at(struct tree *t, uint64_t node, const struct identity *id, mode_t type);
/** table_link_free() - after table_new_at(): what is free may be used again */
void table_link_free(struct tree *t);
/** table_hash() - make it findable; shard lock held */
void table_hash(struct tree *t, struct shard *s, uint64_t hash, struct inode *inode);
/**
 * inode_set_name() - new parent and name, shard lock held
 * A name that has the hash of the old one, in the same parent, is taken for it: what is looked up again and again costs no
 * look at the name. Of four billion that the host renames one goes stale by that.
 * Return: old parent, to be put unlocked.
 */
struct inode *inode_set_name(struct tree *t, struct inode *inode, struct inode *parent,
                             const char *name);
/** inode_give() - as inode_keep(); @fd is taken over, also on error */
int inode_give(struct tree *t, struct inode *inode, int fd);
/** inode_say_kept() - a line in the log if @r, of one of these, says that the file would be lost */
void inode_say_kept(int r);
/** inode_unkeep() - it need not be kept any more, if it is */
void inode_unkeep(struct tree *t, struct inode *inode);
/** inode_name() - copy out; shard lock held. Return: false without a name. */
bool inode_name(struct tree *t, const struct inode *inode, char name[static NAME_MAX + 1]);
/** inode_handle() - copy out; takes the shard's lock. Return: false when it has none. */
bool inode_handle(struct tree *t, struct inode *inode, struct fhandle *h);
/** inode_keep_handle() - the first one stays; takes the shard's lock */
void inode_keep_handle(struct tree *t, struct inode *inode, const struct fhandle *h);
/** inode_unname() - forget parent and name. Return: the old parent, to be put. */
struct inode *inode_unname(struct tree *t, struct inode *inode);

/* ---- resume.c ----------------------------------------------------------------------------- */

/** resume_begin() - what was left by another process is alive as far as something holds it. 0 or -errno. */
int resume_begin(struct tree *t);

/* ---- fdcache.c ---------------------------------------------------------------------------- */

int fdcache_init(struct fd_cache *c, uint32_t size, struct keep *k);
void fdcache_free(struct fd_cache *c);
/** fdcache_pin() - the cached descriptor, pinned; false when there is none */
bool fdcache_pin(struct tree *t, struct inode *inode, struct inode_fd *out);
enum fd_install { FD_NORMAL, FD_KEEP, FD_LENT, FD_IF_ROOM };
/**
 * fdcache_install() - give @fd to the cache, pinned
 * When another thread was first, @fd is closed and the other's is returned. When nothing can be evicted (or
 * FD_IF_ROOM finds no room) the descriptor stays uncached: out->slot is 0 and inode_fd_put() closes it.
 */
void fdcache_install(struct tree *t, struct inode *inode, int fd, enum fd_install how,
                     struct inode_fd *out);
/** fdcache_keep() - set or clear protection from eviction. Return: false if there is no descriptor. */
bool fdcache_keep(struct tree *t, struct inode *inode, bool keep);
/** fdcache_drop() - the inode goes: close its descriptor */
void fdcache_drop(struct tree *t, struct inode *inode);
bool fdcache_has_room(struct fd_cache *c);

/* ---- reach.c ------------------------------------------------------------------------------ */

/** identify() - identity of what @stx describes. @fd: the object, or -1 and then @dirfd/@name. */
int identify(struct tree *t, uint16_t hint, const struct statx *stx, int fd, int dirfd,
             const char *name, struct identity *id);
bool identity_is(const struct identity *id, const struct inode *inode);
/** verify_fd() - is @fd open on @inode? Return: 0, -ESTALE for anything else, -errno. */
int verify_fd(struct tree *t, const struct inode *inode, int fd);
int open_child_path(int dirfd, const char *name);
int name_statx(int dirfd, const char *name, struct statx *stx);

/** inode_is_at() - is it @name in @parent? Return: 0, -ESTALE for anything else, -errno. */
int inode_is_at(struct tree *t, struct inode *inode, struct inode *parent, const char *name);
/**
 * inode_vouch() - of a new inode: let it have what its file system and the options demand (lookup.c)
 * @fd, or @name in @dirfd: where it is
 * Return: 1: it may be found by its identity; 0: by its id alone; -errno: it may not be known.
 */
int inode_vouch(struct tree *t, struct inode *fresh, int fd, int dirfd, const char *name);

/* ---- fhandle.c ---------------------------------------------------------------------------- */

/** fhandle_get() - handle of @fd, or of @name in @dirfd. Return: 0 or -errno. */
int fhandle_get(int dirfd, const char *name, struct fhandle *out);
/** fhandle_open() - as open(2) with @flags. Return: descriptor or -errno. */
int fhandle_open(int mount_fd, const struct fhandle *h, int flags);
/** save_handle() - let the inode keep its handle, where handles can be opened; @fd shows the inode */
void save_handle(struct tree *t, struct inode *inode, int fd);
uint64_t fhandle_hash(const struct fhandle *h);

#endif
