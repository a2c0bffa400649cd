// SPDX-License-Identifier: BSD-3-Clause
/*
 * handle.c - open files and directories
 *
 * Theory of operation
 *
 *   A handle number is a slot (low half) and its generation (high half), as node ids are: slots are
 *   never freed, a reference is taken without a lock, and a stale or invented number is refused. A request
 *   must also name the inode that the handle was opened on, and the right kind.
 *
 *   The guest holds one reference from OPEN to RELEASE; running requests hold others, so that a RELEASE
 *   cannot close a descriptor under a READ of another queue.
 *
 *   What a handle is, is kept (KEEP_HANDLES): 16 bytes, in which the inode's slot is stored last. The next worker opens
 *   its file again when it is first used, by the inode; a file without a name is reached through the descriptor that
 *   is kept of its inode. Kept besides are the descriptors that hold a flock(), and those whose file's mode
 *   would not let this process open it again.
 *
 * Locks: one mutex for the free list, and for a file that is opened again; everything else in a handle is constant
 * while it lives, except dir (its own mutex), flocked and released (atomic). Order: it is held across inode_open().
 * syscalls: close
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/log.h"
#include "server/dir.h"
#include "server/request.h"

#define HANDLES_VERSION 1u

enum kept_bits {
    KEPT_FLOCKED = 1,
    KEPT_RELEASED = 2, /* RELEASE has been served */
    KEPT_FD = 4,       /* the descriptor is kept (KEEP_HANDLE) */
    KEPT_SHARED = 8,   /* what it has locked by flock() */
    KEPT_EXCLUSIVE = 16,
};

/* What is kept of one. */
struct kept_handle {
    uint32_t gen;
    _Atomic uint32_t inode; /* slot; 0: no handle */
    uint32_t flags;
    uint8_t kind;
    _Atomic uint8_t bits;
    uint16_t spare;
};
_Static_assert(sizeof(struct kept_handle) == sizeof(struct keep_head), "slot 0 is the head");

/* In place of slot 1. */
struct kept_count {
    _Atomic uint32_t used; /* slots that have been used, ever */
    uint32_t spare[3];
};

struct handles {
    pthread_mutex_t lock;
    struct keep *keep;
    struct kept_handle *kept; /* by slot + 1 */
    struct handle *at;        /* 1..max; memory appears as it is used */
    uint32_t max, used_slots, free_head, count;
    uint32_t *next_free;
};

static struct kept_handle *kept_of(struct handles *hs, uint32_t slot)
{
    return &hs->kept[slot + 1];
}

static struct kept_count *kept_count(struct handles *hs)
{
    return (struct kept_count *)&hs->kept[1];
}

int handles_new(struct handles **out, uint32_t max, struct keep *k)
{
    struct handles *hs = calloc(1, sizeof(*hs));

    if (!hs)
        return -ENOMEM;
    pthread_mutex_init(&hs->lock, NULL);
    hs->keep = k;
    hs->max = max;
    hs->at = calloc((size_t)max + 1, sizeof(*hs->at));
    hs->next_free = calloc((size_t)max + 1, sizeof(*hs->next_free));
    hs->kept = keep_map(k, KEEP_HANDLES, sizeof(*hs->kept) * (HANDLES_MAX + 2), HANDLES_VERSION);
    if (!hs->at || !hs->next_free || !hs->kept) {
        handles_free(hs);
        return -ENOMEM;
    }
    *out = hs;
    return 0;
}

void handles_free(struct handles *hs)
{
    if (!hs)
        return;
    if (hs->kept)
        keep_unmap(hs->keep, hs->kept);
    free(hs->at);
    free(hs->next_free);
    pthread_mutex_destroy(&hs->lock);
    free(hs);
}

uint64_t handles_count(void *ctx)
{
    struct handles *hs = ctx;

    pthread_mutex_lock(&hs->lock);
    uint64_t n = hs->count;
    pthread_mutex_unlock(&hs->lock);
    return n;
}

/* The inode's slot, which makes it count, comes last. */
static void record(struct handles *hs, uint32_t slot, uint32_t gen, uint32_t inode, int flags,
                   enum handle_kind kind, uint8_t bits)
{
    struct kept_handle *k = kept_of(hs, slot);

    k->gen = gen;
    k->flags = (uint32_t)flags;
    k->kind = (uint8_t)kind;
    atomic_store_explicit(&k->bits, bits, memory_order_relaxed);
    atomic_store_explicit(&k->inode, inode, memory_order_release);
}

int handle_new(struct handles *hs, struct inode *inode, int fd, int flags, enum handle_kind kind,
               struct inode_fd hold, uint64_t *fh)
{
    struct dir_stream *dir = NULL;

    if (kind == HANDLE_DIR) {
        dir = dir_stream_new();
        if (!dir)
            return -ENOMEM;
    }
    pthread_mutex_lock(&hs->lock);
    uint32_t slot = hs->free_head;
    if (slot)
        hs->free_head = hs->next_free[slot];
    else if (hs->used_slots < hs->max)
        atomic_store(&kept_count(hs)->used, slot = ++hs->used_slots);
    hs->count += slot != 0;
    pthread_mutex_unlock(&hs->lock);
    if (!slot) {
        dir_stream_free(dir);
        return -ENFILE;
    }
    struct handle *h = &hs->at[slot];
    h->fd = fd;
    h->flags = flags;
    h->kind = kind;
    h->inode = inode_ref(inode);
    h->hold = hold;
    h->dir = dir;
    h->flocked = false;
    h->flock = F_UNLCK;
    h->released = false;
    h->no_nowait = false;
    uint32_t gen = atomic_load_explicit(&h->gen, memory_order_relaxed);
    *fh = (uint64_t)gen << 32 | slot;
    record(hs, slot, gen, inode_number(inode), flags, kind, 0);
    atomic_store_explicit(&h->refs, 1, memory_order_release);
    return 0;
}

/* A reference on the handle of that number, whatever it is. */
static struct handle *handle_find(struct handles *hs, uint64_t fh)
{
    uint32_t slot = (uint32_t)fh;

    if (slot == 0 || slot > hs->max)
        return NULL;
    struct handle *h = &hs->at[slot];
    uint32_t r = atomic_load_explicit(&h->refs, memory_order_relaxed);
    do {
        if (r == 0)
            return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&h->refs, &r, r + 1, memory_order_acquire,
                                                    memory_order_relaxed));
    return h;
}

static bool handle_is(const struct handle *h, uint64_t fh, enum handle_kind kind,
                      const struct inode *inode)
{
    return atomic_load_explicit(&h->gen, memory_order_relaxed) == fh >> 32 && h->kind == kind &&
           h->inode == inode;
}

static void set_bits(struct handles *hs, const struct handle *h, uint8_t bits)
{
    atomic_fetch_or(&kept_of(hs, (uint32_t)(h - hs->at))->bits, bits);
}

void opened_close(struct server *srv, struct inode *inode, int fd, struct inode_fd *hold)
{
    if (hold->fd == fd) {
        inode_return_fd(srv->tree, inode, hold); /* a lent descriptor is the cache's to close */
    } else {
        inode_fd_put(srv->tree, hold);
        keep_close(srv->keep, fd);
    }
}

static void handle_close(struct server *srv, struct handle *h)
{
    struct handles *hs = srv->handles;
    struct inode *inode = h->inode;
    uint32_t slot = (uint32_t)(h - hs->at);

    locks_release(srv->locks, h);
    /* First: it is to be closed now. (KEPT_RELEASED is set.) */
    if (atomic_load_explicit(&kept_of(hs, slot)->bits, memory_order_relaxed) & KEPT_FD)
        keep_drop(hs->keep, KEEP_HANDLE, slot);
    if (h->fd >= 0)
        opened_close(srv, inode, h->fd, &h->hold);
    dir_stream_free(h->dir);
    inode_put(srv->tree, inode);
}

static void handle_recycle(struct handles *hs, struct handle *h)
{
    uint32_t slot = (uint32_t)(h - hs->at);
    struct kept_handle *k = kept_of(hs, slot);

    atomic_store_explicit(&k->inode, 0, memory_order_release);
    pthread_mutex_lock(&hs->lock);
    k->gen = atomic_fetch_add_explicit(&h->gen, 1, memory_order_relaxed) + 1;
    hs->next_free[slot] = hs->free_head;
    hs->free_head = slot;
    hs->count--;
    pthread_mutex_unlock(&hs->lock);
}

void handle_put(struct server *srv, struct handle *h)
{
    if (atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) != 1)
        return;
    handle_close(srv, h);
    handle_recycle(srv->handles, h);
}

/*
 * A file that is appended to is opened without O_APPEND, which would send the pages of a shared mapping to
 * its end too; op_write() tells the two kinds of write apart. Not where another host may append as well.
 */
int flags_for_append(struct server *srv, const struct inode *inode, int flags)
{
    return inode_mount_local(srv->tree, inode) ? flags & ~O_APPEND : flags;
}

int open_file(struct server *srv, struct inode *inode, int flags, struct inode_fd *hold)
{
    int fd = inode_open(srv->tree, inode, flags_for_append(srv, inode, flags), hold);

    if (fd == -EPERM && (flags & O_APPEND)) /* chattr +a */
        fd = inode_open(srv->tree, inode, flags, hold);
    return fd;
}

/* A handle of another worker's is used for the first time here. */
static int reopen(struct server *srv, struct handle *h)
{
    struct handles *hs = srv->handles;
    int r = 0;

    pthread_mutex_lock(&hs->lock);
    if (h->fd < 0) {
        struct inode_fd hold = {-1, 0};
        int fd = open_file(srv, h->inode, h->flags & ~(O_TRUNC | O_CREAT | O_EXCL), &hold);
        h->hold = hold;
        r = fd < 0 ? fd : 0;
        __atomic_store_n(&h->fd, fd < 0 ? -1 : fd, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&hs->lock);
    if (r < 0)
        log_warn_limited("a file that was open before the daemon was replaced cannot be opened "
                         "again: %s",
                         strerror(-r));
    return r;
}

struct handle *handle_get(struct server *srv, uint64_t fh, enum handle_kind kind,
                          const struct inode *inode)
{
    struct handle *h = handle_find(srv->handles, fh);

    if (!h)
        return NULL;
    if (handle_is(h, fh, kind, inode) &&
        (__builtin_expect(__atomic_load_n(&h->fd, __ATOMIC_ACQUIRE) >= 0, 1) ||
         reopen(srv, h) == 0))
        return h;
    handle_put(srv, h);
    return NULL;
}

/* Only one RELEASE may take the guest's reference, however many are sent. */
static void release(struct server *srv, struct handle *h)
{
    if (atomic_exchange(&h->released, true))
        return;
    set_bits(srv->handles, h, KEPT_RELEASED);
    handle_put(srv, h);
}

int handle_release(struct server *srv, uint64_t fh, enum handle_kind kind,
                   const struct inode *inode)
{
    struct handle *h = handle_find(srv->handles, fh);

    if (!h)
        return -EBADF;
    bool is = handle_is(h, fh, kind, inode);
    if (is)
        release(srv, h);
    handle_put(srv, h);
    return is ? 0 : -EBADF;
}

int handle_keep(struct server *srv, struct handle *h)
{
    struct handles *hs = srv->handles;
    uint32_t slot = (uint32_t)(h - hs->at);
    struct kept_handle *k = kept_of(hs, slot);

    if (!keep_is_supervised(hs->keep) || atomic_load(&k->bits) & KEPT_FD)
        return 0;
    set_bits(hs, h, KEPT_FD); /* first: what is put, and not told here, would never go */
    return keep_put(hs->keep, KEEP_HANDLE, slot, h->fd);
}

int handle_flocks(struct server *srv, struct handle *h)
{
    int r = handle_keep(srv, h);

    if (r == 0)
        set_bits(srv->handles, h, KEPT_FLOCKED);
    return r;
}

void handle_flocked_as(struct server *srv, struct handle *h, uint8_t type)
{
    struct kept_handle *k = kept_of(srv->handles, (uint32_t)(h - srv->handles->at));

    atomic_store(&h->flock, type);
    atomic_fetch_and(&k->bits, (uint8_t) ~(KEPT_SHARED | KEPT_EXCLUSIVE));
    if (type != F_UNLCK)
        atomic_fetch_or(&k->bits, (uint8_t)(type == F_WRLCK ? KEPT_EXCLUSIVE : KEPT_SHARED));
}

void handles_reset(struct server *srv)
{
    struct handles *hs = srv->handles;

    for (uint32_t slot = 1; slot <= hs->used_slots; slot++) {
        struct handle *h = &hs->at[slot];
        if (atomic_load_explicit(&h->refs, memory_order_relaxed))
            release(srv, h);
    }
}

/* ---- of another worker, or of another host ------------------------------------------------ */

/* A slot as its record says. Return: false when there is no such handle. */
static bool revive(struct server *srv, uint32_t slot)
{
    struct handles *hs = srv->handles;
    struct kept_handle *k = kept_of(hs, slot);
    struct handle *h = &hs->at[slot];
    uint8_t bits = atomic_load(&k->bits);
    uint32_t inode = atomic_load(&k->inode);

    if (inode == 0 || (bits & KEPT_RELEASED) || k->kind > HANDLE_DIR)
        return false;
    h->dir = k->kind == HANDLE_DIR ? dir_stream_new() : NULL;
    h->inode = k->kind == HANDLE_DIR && !h->dir ? NULL : tree_hold(srv->tree, inode);
    if (!h->inode) {
        dir_stream_free(h->dir);
        return false;
    }
    h->gen = k->gen;
    h->flags = (int)k->flags;
    h->kind = k->kind;
    h->hold = (struct inode_fd){-1, 0};
    h->released = h->no_nowait = false;
    h->flocked = bits & KEPT_FLOCKED;
    h->flock = bits & KEPT_EXCLUSIVE ? F_WRLCK : bits & KEPT_SHARED ? F_RDLCK : F_UNLCK;
    h->fd = bits & KEPT_FD ? keep_take(hs->keep, KEEP_HANDLE, slot) : -1;
    if (h->flocked && h->fd < 0)
        log_warn_limited("a lock on a whole file was lost when the daemon was replaced");
    atomic_store(&h->refs, 1);
    return true;
}

/* Free slots, with a number that has not been given out. */
static void settle(struct handles *hs)
{
    hs->free_head = hs->count = 0;
    for (uint32_t slot = hs->used_slots; slot > 0; slot--) {
        struct kept_handle *k = kept_of(hs, slot);
        if (atomic_load(&hs->at[slot].refs)) {
            hs->count++;
            continue;
        }
        if (atomic_load(&k->bits) & KEPT_FD)
            keep_drop(hs->keep, KEEP_HANDLE, slot);
        atomic_store(&k->inode, 0);
        atomic_store(&k->bits, 0);
        hs->at[slot].gen = ++k->gen;
        hs->next_free[slot] = hs->free_head;
        hs->free_head = slot;
    }
}

void handles_resume(struct server *srv)
{
    struct handles *hs = srv->handles;
    uint32_t used = atomic_load(&kept_count(hs)->used);

    if (used > hs->max) {
        log_warn("fewer files may be open than were before the daemon was replaced: %u of %u",
                 hs->max, used);
        used = hs->max;
    }
    hs->used_slots = used;
    for (uint32_t slot = 1; slot <= used; slot++)
        (void)revive(srv, slot);
    settle(hs);
}

int handles_each(struct server *srv, int (*fn)(void *ctx, const struct handle_record *r), void *ctx)
{
    struct handles *hs = srv->handles;
    int r = 0;

    for (uint32_t slot = 1; r == 0 && slot <= hs->used_slots; slot++) {
        const struct handle *h = &hs->at[slot];
        if (h->refs == 0 || h->released)
            continue;
        const struct handle_record record = {.fh = (uint64_t)h->gen << 32 | slot,
                                             .node = inode_id(h->inode),
                                             .flags = h->flags,
                                             .kind = h->kind,
                                             .flock = h->flock};
        r = fn(ctx, &record);
    }
    return r;
}

int handles_place(struct server *srv, const struct handle_record *r)
{
    struct handles *hs = srv->handles;
    uint32_t slot = (uint32_t)r->fh;

    if (slot == 0 || (uint32_t)r->node == 0 || (unsigned)r->kind > HANDLE_DIR)
        return -EINVAL;
    if (slot > hs->max)
        return -ENFILE;
    if (hs->at[slot].refs)
        return -EEXIST;
    if (slot > hs->used_slots)
        atomic_store(&kept_count(hs)->used, hs->used_slots = slot);
    record(hs, slot, (uint32_t)(r->fh >> 32), (uint32_t)r->node, r->flags, r->kind, 0);
    return revive(srv, slot) ? 0 : -ESTALE;
}

void handles_settle(struct server *srv)
{
    settle(srv->handles);
}
