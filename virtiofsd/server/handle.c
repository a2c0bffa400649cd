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
 * Locks: one mutex for the free list; everything else in a handle is constant while it lives, except
 * dir (its own mutex), flocked and released (atomic).
 * syscalls: close
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/dir.h"
#include "server/request.h"

struct handles {
    pthread_mutex_t lock;
    struct handle *at; /* 1..max; memory appears as it is used */
    uint32_t max, used_slots, free_head, count;
    uint32_t *next_free;
};

int handles_new(struct handles **out, uint32_t max)
{
    struct handles *hs = calloc(1, sizeof(*hs));

    if (!hs)
        return -ENOMEM;
    hs->at = calloc((size_t)max + 1, sizeof(*hs->at));
    hs->next_free = calloc((size_t)max + 1, sizeof(*hs->next_free));
    pthread_mutex_init(&hs->lock, NULL);
    hs->max = max;
    if (!hs->at || !hs->next_free) {
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
        slot = ++hs->used_slots;
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
    h->released = false;
    h->no_nowait = false;
    *fh = (uint64_t)atomic_load_explicit(&h->gen, memory_order_relaxed) << 32 | slot;
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

void opened_close(struct server *srv, struct inode *inode, int fd, struct inode_fd *hold)
{
    if (hold->fd == fd) {
        inode_return_fd(srv->tree, inode, hold); /* a lent descriptor is the cache's to close */
    } else {
        inode_fd_put(srv->tree, hold);
        close(fd);
    }
}

static void handle_close(struct server *srv, struct handle *h)
{
    struct inode *inode = h->inode;

    locks_release(srv->locks, h);
    opened_close(srv, inode, h->fd, &h->hold);
    dir_stream_free(h->dir);
    inode_put(srv->tree, inode);
}

static void handle_recycle(struct handles *hs, struct handle *h)
{
    uint32_t slot = (uint32_t)(h - hs->at);

    pthread_mutex_lock(&hs->lock);
    atomic_fetch_add_explicit(&h->gen, 1, memory_order_relaxed);
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

struct handle *handle_get(struct server *srv, uint64_t fh, enum handle_kind kind,
                          const struct inode *inode)
{
    struct handle *h = handle_find(srv->handles, fh);

    if (!h)
        return NULL;
    if (atomic_load_explicit(&h->gen, memory_order_relaxed) == fh >> 32 && h->kind == kind &&
        h->inode == inode)
        return h;
    handle_put(srv, h);
    return NULL;
}

int handle_release(struct server *srv, uint64_t fh, enum handle_kind kind,
                   const struct inode *inode)
{
    struct handle *h = handle_get(srv, fh, kind, inode);

    if (!h)
        return -EBADF;
    /* Only one RELEASE may take the guest's reference, however many are sent. */
    if (!atomic_exchange(&h->released, true))
        handle_put(srv, h);
    handle_put(srv, h);
    return 0;
}

void handles_reset(struct server *srv)
{
    struct handles *hs = srv->handles;

    for (uint32_t slot = 1; slot <= hs->used_slots; slot++) {
        struct handle *h = &hs->at[slot];
        if (atomic_load_explicit(&h->refs, memory_order_relaxed) &&
            !atomic_exchange(&h->released, true))
            handle_put(srv, h);
    }
}
