// SPDX-License-Identifier: BSD-3-Clause
/*
 * vhost.h - the vhost-user back end, as the rest of the daemon sees it
 *
 * Theory of operation
 *
 *   vu_run() is the control thread: it accepts a front end, speaks vhost-user with it, maps its memory
 *   and starts one worker thread for each queue that is enabled and kicked. A worker takes chains,
 *   calls vu_ops.serve() for each, and publishes completions in batches. A chain that serve() keeps
 *   (VU_LATER) is given back from any thread with vq_complete().
 *
 *   Queue 0 is hiprio (FORGET, INTERRUPT), requests come from queue 1 (virtio 1.2, 5.11.2).
 *
 *   Each chain has a record in memory that outlives this process (keep/keep.h), from the moment it is taken until it
 *   is given back. After a restart chains that were answered are only given back; those that were merely
 *   taken are served again, in the order in which they had been taken, with record->again saying so.
 *
 * Locks: a queue's used side is under its own mutex, taken by vq_complete() and by the worker when it
 * publishes; no callback is ever called with it held.
 */
#ifndef VIOFS_VHOST_H
#define VIOFS_VHOST_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ring/ring.h"

#define VU_LATER       (-1)
#define VU_UNTIL_WOKEN UINT64_MAX
#define VU_MAX_QUEUES  65 /* hiprio and 64 request queues */

struct hub;
struct keep;
struct vu;
struct vq;
struct stream_in;
struct stream_out;

enum vu_record_state {
    VU_RECORD_NONE,     /* no chain of this head is out */
    VU_RECORD_TAKEN,    /* serve() has been called, or is about to be */
    VU_RECORD_LATER,    /* serve() has kept it */
    VU_RECORD_ANSWERED, /* the reply is in place: it only has to be given back */
    VU_RECORD_PUSHED,   /* it is in the used ring at used_at, which may not be published yet */
};

/*
 * What is known of a chain that was taken: one cache line, written with plain stores. intent is the server's: zeros when
 * the chain is taken for the first time, as it was left when the chain is served again.
 */
#define VU_AT_ONCE 16u
struct vu_record {
    _Alignas(64) uint64_t intent[6];
    uint64_t
        order;    /* the how manieth chain of its queue; its low 16 bits are the available index */
    uint32_t len; /* from ANSWERED on: bytes written */
    uint16_t used_at; /* PUSHED: index in the used ring */
    uint8_t state;    /* enum vu_record_state */
    uint8_t
        again; /* 0: served for the first time; else VU_AT_ONCE for each process that ended at once
                  while it served this, 1 for each that had worked for a while */
};
_Static_assert(sizeof(struct vu_record) == 64, "one cache line");

/**
 * vu_answered() - from now on this chain is only given back, whatever happens to this process
 * Before an effect that must not come twice (FORGET). What serve() returns must be @len, too.
 */
static inline void vu_answered(struct vu_record *record, uint32_t len)
{
    record->len = len;
    __atomic_store_n(&record->state, VU_RECORD_ANSWERED, __ATOMIC_RELEASE);
}

struct vu_ops {
    /**
     * serve() - serve one chain
     * @thread: what thread_begin() returned on this thread
     * @chain:  valid until serve() returns
     * @record: valid until the chain is given back
     * Return: bytes written (used length), or VU_LATER: vq_complete() will be called exactly once.
     */
    int64_t (*serve)(void *ctx, void *thread, struct vq *vq, struct ring_chain *chain,
                     struct vu_record *record);
    /** thread_begin()/thread_end() - on each worker thread, once; NULL: it cannot serve (no end then) */
    void *(*thread_begin)(void *ctx);
    void (*thread_end)(void *ctx, void *thread);
    /** batch_begin()/batch_end() - around every run of serve() calls on a worker, never while it sleeps */
    void (*batch_begin)(void *ctx, void *thread);
    void (*batch_end)(void *ctx, void *thread);
    /**
     * pause_ns() - may a chain of this queue be taken? Only where vu_params.paced says so.
     *
     * Asked by the queue's worker when there is a chain, before each; not for hiprio. Without the gate of
     * batch_begin() is as good as with it.
     * Return: 0: take it, serve() follows; else leave it in the ring and ask again after so many ns, or
     *         with VU_UNTIL_WOKEN after vq_wake().
     */
    uint64_t (*pause_ns)(void *ctx, struct vq *vq);
    /** cancel_later() - hurry: complete the kept chains of this queue (it is being reset) */
    void (*cancel_later)(void *ctx, struct vq *vq);
    /**
     * defer_later() - the queue stops and may go on, here or elsewhere: kept chains that have not begun are given
     * up with vq_defer(), to be served anew then; what has begun is completed. Its worker is parked.
     */
    void (*defer_later)(void *ctx, struct vq *vq);
    /**
     * save(), load() - the server's part of a migration; NULL: there is none. All queues are stopped; a thread of
     * its own, with @thread as for serve().
     * @kind: load(): of the first record that is not the back end's, read already. Reads to the end.
     * Return: 0; -errno (reason logged), after a load without a session.
     */
    int (*save)(void *ctx, void *thread, struct stream_out *out);
    int (*load)(void *ctx, void *thread, struct stream_in *in, int kind);
    /** resumed() - queues run again after a save(): the guest stays here. Control thread. */
    void (*resumed)(void *ctx);
    /** session_reset() - front end gone or device reset; no queue is running; forget the FUSE session */
    void (*session_reset)(void *ctx);
};

struct vu_params {
    int listen_fd;       /* listening socket, owned by vu */
    const char *tag;     /* NULL: PROTOCOL_F_CONFIG is not offered (QEMU 7.1-8.0 crashes on it) */
    struct keep *keep;   /* NULL: nothing outlives the process */
    bool keep_listening; /* serve the next front end after a disconnect */
    bool paced;          /* ops->pause_ns() is to be asked */
    const struct vu_ops *ops;
    void *ctx;
    struct hub *hub;  /* NULL: vu_run() serves it alone, with a thread for each queue; see hub.h */
    const char *name; /* with a hub: for the log; lives on */
};

/**
 * vu_listen() - make the socket, with its .pid lock file
 *
 * The lock and its descriptor stay until the process ends (and in children that it forks). The file
 * holds the caller's process id. Return: fd, or -errno (message printed).
 */
int vu_listen(const char *path, const char *group);

/**
 * vu_new() - make a device; process-wide, it installs the SIGBUS handler and ignores SIGPIPE
 * Return: 0; -EINVAL for a tag that is empty or longer than 36 bytes; -errno.
 */
int vu_new(struct vu **vu, const struct vu_params *p);

/**
 * vu_resume() - once, before vu_run(), where there is a supervisor: take the listening socket, and the device over from
 * another worker if that is what keep_resumes() says. Return: 0 or -errno (logged).
 */
int vu_resume(struct vu *vu);

/** vu_run() - serve until the front end leaves (or vu_stop()). Return: 0, VU_QUIESCED or -errno. */
#define VU_QUIESCED 1
int vu_run(struct vu *vu);

/** vu_stop() - make vu_run() return; async-signal-safe */
void vu_stop(struct vu *vu);

/**
 * vu_quiesce() - another process takes over: vu_run() returns VU_QUIESCED once no worker is serving; what is kept
 * stays in the journal. The process must end then, and must not touch anything. Any thread.
 */
void vu_quiesce(struct vu *vu);

/** vu_stop_listening() - no further front end: vu_run() ends with this one, or now if there is none. Any thread. */
void vu_stop_listening(struct vu *vu);

/** vu_has_served() - has a chain been given back, or a message handled, since the start? Any thread. */
bool vu_has_served(struct vu *vu);

/** vu_free() - after vu_run(); threads that call vq_complete() have been joined */
void vu_free(struct vu *vu);

/** vu_in_flight() - chains taken and not given back, all queues; for statistics */
uint32_t vu_in_flight(struct vu *vu);

/** vq_index() - 0 hiprio, 1.. request queues */
unsigned vq_index(const struct vq *vq);

/** vq_waiting() - chains that the driver has made available and no one has taken (worker thread only) */
uint32_t vq_waiting(const struct vq *vq);

/** vq_wake() - a queue that pause_ns() made wait is to ask again; any thread, at any time */
void vq_wake(struct vq *vq);

/**
 * vq_complete() - give back a chain that serve() kept; any thread
 * @written: the segments that were written, for the dirty-page log; may be NULL when @len is 0
 */
void vq_complete(struct vq *vq, uint16_t head, uint32_t len, const struct ring_seg *written,
                 uint32_t n_written);

/**
 * vq_defer() - give up a chain that serve() kept; any thread, while its queue is being stopped
 *
 * It stays taken, and serve() gets it once more when the queue goes on. Nothing may have been written to it.
 * Return: false when that cannot be (the guest offered one head again and again): vq_complete() is due.
 */
bool vq_defer(struct vq *vq, uint16_t head);

#endif
