// SPDX-License-Identifier: BSD-3-Clause
/*
 * keep.h - what outlives the process that serves
 *
 * Theory of operation
 *
 *   With --supervise the process that was started, the supervisor, does nothing but hold: descriptors, and
 *   the memory in which a worker's state lives. The worker is a process of its own that serves the guest. When
 *   it ends (a crash, or a replacement that was asked for) the supervisor starts the next one, which finds
 *   everything again and goes on. The guest sees a pause.
 *
 *   Memory: each region is a memfd of its full, mostly untouched size, sealed against growing and shrinking,
 *   that worker after worker maps. The state is not copied there: the tables themselves live in it, so that
 *   the journal costs nothing while all goes well. They may have been left in the middle of a change. Whoever
 *   owns a region writes so that each entry is whole or recognisably not, and at resume rebuilds what ties
 *   entries together (references, chains, free lists, locks, descriptors). No pointers in it: slots and
 *   offsets. Each region begins with struct keep_head; another layout version than the binary's own makes it
 *   refuse to resume (a reload then leaves the old worker serving).
 *
 *   Descriptors: once keep_put() has returned, the descriptor survives the death of this process, whatever happens: for
 *   those of a device a copy lies in a socket's queue or in the supervisor; those of inodes, handles and locks are
 *   noted in a table, which costs nothing, and come to the supervisor when this process has ended (hold.c). Put what
 *   cannot be opened again before the guest learns that it exists. The latter kinds stay their owner's and are to be
 *   closed by keep_close().
 *
 *   Without a supervisor the same calls give private memory and do nothing: there is one way through the code. A
 *   struct keep * may be NULL then.
 *
 *   The process that waits for the worker (sandbox/parent.c) is to share its open files for that; where it cannot,
 *   everything is sent.
 *
 *   When it may be touched: keep_map() also while another worker still serves (a reload starts the new one before
 *   it stops the old one), so it only maps and compares versions. What is inside may be looked at, and
 *   kept descriptors may be taken, in the resume functions (server_resume(), vu_run()): the other one is gone then.
 *
 * Ownership: a struct keep belongs to one share. Locks: keep_put() and keep_drop() may be called by any
 * thread; the rest while there is one.
 */
#ifndef VIOFS_KEEP_H
#define VIOFS_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keep;

enum keep_region {
    KEEP_DEVICE, /* vhost: features, memory slots, queues, the message being handled, requests in flight */
    KEEP_SESSION, /* server: what INIT agreed, the feed's subtrees */
    KEEP_INODES,  /* tree: the table */
    KEEP_NAMES,   /* tree: names and file handles of inodes */
    KEEP_MOUNTS,  /* tree: file systems met */
    KEEP_HANDLES, /* server: open files and directories */
    KEEP_LOCKS,   /* server: record locks and flock */
    KEEP_REGIONS
};

/* At the start of each region; written by keep_map() when the region is new. */
struct keep_head {
    uint32_t magic;   /* KEEP_MAGIC */
    uint32_t version; /* the owner's layout */
    uint64_t bytes;   /* of the region, this header included */
};
#define KEEP_MAGIC 0x6b656570u
_Static_assert(sizeof(struct keep_head) == 16, "two words and a long one");

/* What a kept descriptor is; a key is the kind and an index of the owner's. */
enum keep_kind {
    KEEP_LISTEN = 1, /* the listening socket */
    KEEP_CONN,       /* the connection with the front end */
    KEEP_MEMORY,     /* index: memory slot */
    KEEP_KICK,       /* index: queue; so are the next two */
    KEEP_CALL,
    KEEP_ERR,
    KEEP_LOG,     /* the dirty-page log */
    KEEP_BACKEND, /* SET_BACKEND_REQ_FD */
    KEEP_INODE,   /* index: inode slot; an inode that has no name any more (O_PATH) */
    KEEP_HANDLE,  /* index: handle slot; a file that cannot be opened again */
    KEEP_LOCK,    /* index: lock descriptor slot */
    KEEP_STATS,   /* the socket that answers with statistics; the first share's */
    KEEP_KINDS
};
#define KEEP_INDEX_MAX ((1u << 28) - 1) /* of any index */

/**
 * keep_map() - a region of @bytes (header included), page-aligned, zeros when new
 *
 * The memory appears as it is touched. @version: the layout that the caller knows.
 * Return: the region; NULL with errno: ENOMEM, or EPROTO when what is there has another layout or size.
 */
void *keep_map(struct keep *k, enum keep_region region, size_t bytes, uint32_t version);
/** keep_unmap() - at an orderly end */
void keep_unmap(struct keep *k, void *region);

/** keep_resumes() - this worker goes on where another stopped; false without a supervisor */
bool keep_resumes(const struct keep *k);
/** keep_lasted() - the worker before this one did not end at once: what it was at need not be what ended it */
bool keep_lasted(const struct keep *k);
/** keep_is_supervised() - false: keep_put() keeps nothing, and need not be prepared for */
bool keep_is_supervised(const struct keep *k);

/**
 * keep_put() - keep @fd under a key; what was there is replaced
 * No round trip. Return: 0 (also without a supervisor), or -errno: it is not kept (-ENFILE: too many are).
 */
int keep_put(struct keep *k, enum keep_kind kind, uint32_t index, int fd);
/** keep_give() - likewise; @fd is taken over, also on error */
int keep_give(struct keep *k, enum keep_kind kind, uint32_t index, int fd);
/** keep_close() - close a descriptor that may have been put as inode, handle or lock, or taken; it stays kept until
 *  it is dropped */
void keep_close(struct keep *k, int fd);
/** keep_allow() - how many may be open only because they are kept, beside those that their owners have open */
void keep_allow(struct keep *k, uint64_t n);
/** keep_drop() - what is kept under the key goes; nothing there is fine */
void keep_drop(struct keep *k, enum keep_kind kind, uint32_t index);
/** keep_take() - at resume: the kept descriptor, the caller's from now on, and kept as before. -1: none. */
int keep_take(struct keep *k, enum keep_kind kind, uint32_t index);

/* ---- the process: main() only ---------------------------------------------------------------- */

struct keep_worker;

/* Called by a thread of its own. */
struct keep_events {
    void *ctx;
    void (*quiesce)(void *ctx);  /* another worker takes over: stop as soon as it goes, and end */
    void (*lost)(void *ctx);     /* the supervisor has ended */
    bool (*progress)(void *ctx); /* has a request been completed, or a message? */
};

/** keep_worker_descriptor() - what connects this process with a supervisor, or -1: it has none. Once, before threads. */
int keep_worker_descriptor(void);

/** keep_share_id() - what supervisor and worker call a share of several, so as to mean the same; NULL: the only one */
uint64_t keep_share_id(const char *name);

/**
 * keep_worker_new() - be a worker; @fd is taken over. Before the sandbox.
 * @ids: of the shares that this process knows
 * Return: 0; -EXDEV: the supervisor has others (message printed); -errno.
 */
int keep_worker_new(struct keep_worker **w, int fd, unsigned n_shares, const uint64_t *ids);
/** keep_of_share() - of share 0.. of the process; NULL without a worker */
struct keep *keep_of_share(struct keep_worker *w, unsigned share);

/** keep_prepare() - before this process gets a child that shares its descriptors; they are below @max_fds. May it? */
bool keep_prepare(struct keep_worker *w, uint64_t max_fds);
/** keep_hold() - in that child, which is the worker now. @parent_fd: a pidfd of its parent. Before keep_await_turn(). */
void keep_hold(struct keep_worker *w, int parent_fd);
/** keep_parent_of() - in the parent. @process_fd: a pidfd of the child */
void keep_parent_of(void *worker, int process_fd);
/** keep_bequeath() - in the parent, when the child has ended: what it kept goes to the supervisor */
void keep_bequeath(void *worker);

/** keep_await_turn() - ready; wait until the worker before has ended. Return: 0; -EPIPE: not wanted any more; -errno. */
int keep_await_turn(struct keep_worker *w);
/** keep_listen() - start the thread that hears the supervisor. Return: 0 or -errno. */
int keep_listen(struct keep_worker *w, const struct keep_events *events);
/** keep_settle() - all is mapped and taken: close the rest */
void keep_settle(struct keep *k);
/** keep_bye() - this process ends because its work is done: it is not to be replaced. No
 *  event comes any more. NULL is fine. */
void keep_bye(struct keep_worker *w);

#endif
