// SPDX-License-Identifier: BSD-3-Clause
/*
 * frontend.h - the virtual machine's end of a vhost-user-fs connection, for tests and the bench
 *
 * What it stands for: QEMU's vhost-user front end together with the guest's virtio-fs driver. It
 * connects to any daemon's socket, gives it memory and rings as QEMU does, and puts FUSE messages on
 * the rings as Linux does. What it does not prove: that a real guest driver lays its chains out like
 * this; the tests with real kernels do that.
 *
 * Theory of operation
 *
 *   struct fe is one virtual machine: guest memory (memfds, mapped shared, at guest addresses that
 *   differ from the process' own), N queues and a socket. fe_start() does everything that QEMU does until
 *   the guest's driver is up. Every step is also a function of its own, for tests that do it in
 *   another order, twice, or wrong.
 *
 *   struct fe_req is one FUSE message: a request part and a reply part in guest memory, each with an
 *   optional payload apart. fe_submit() puts it on a ring and kicks if the device wants a kick; fe_reap()
 *   takes completions; fe_call() is both, for one request.
 *
 *   Waiting is FE_SLEEP (interrupts armed as Linux arms them: always, except while completions are
 *   being taken; the thread sleeps on the call descriptor) or FE_SPIN (no interrupts, looking at the
 *   ring with sched_yield() between looks). Every wait ends after options.timeout_ms with -ETIMEDOUT
 *   and at once with -ECONNRESET when the daemon hangs up, so no test hangs.
 *
 * Ownership: struct fe owns memory, queues and descriptors; a struct fe_req belongs to its caller but
 * must outlive its flight. Locks: none. Different queues of one struct fe may be driven by different
 * threads once fe_start() has returned; one queue, one thread. fe_alloc()/fe_free() are for all threads
 * (one mutex). Errors: negative errno.
 */
#ifndef VIOFS_TESTS_FRONTEND_H
#define VIOFS_TESTS_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "lib/ring/ring.h"

struct fe;

#define FE_HIPRIO      0u
#define FE_REQUESTS    1u
#define FE_MAX_QUEUES  66u /* one more than our daemon takes, to see it refused */
#define FE_MAX_REGIONS 64u
#define FE_MAX_FDS     8u /* in one vhost-user message */

enum fe_wait { FE_SLEEP, FE_SPIN };

/* How a queue puts messages on its ring; may be changed between requests. */
enum fe_layout {
    FE_DIRECT = 0, /* a chain of descriptors in the ring */
    FE_INDIRECT =
        1 << 0, /* one descriptor in the ring that names a table (needs RING_F_INDIRECT_DESC) */
    FE_PAGES = 1 << 1,   /* payload in 4 KiB segments, as a guest with scattered pages sends it */
    FE_SCATTER = 1 << 2, /* with FE_PAGES: pages in an order that cannot be merged */
};

/* All zero is a good default: what QEMU and a Linux guest do. */
struct fe_options {
    unsigned queues;        /* hiprio included; 0: 2 */
    uint32_t queue_size;    /* entries, a power of two; 0: 256 */
    size_t memory;          /* bytes of the first region; 0: 64 MiB */
    uint64_t refuse_virtio; /* virtio feature bits not to acknowledge though offered */
    uint64_t refuse_proto;  /* vhost-user protocol feature bits likewise */
    bool want_config;       /* acknowledge PROTOCOL_F_CONFIG where offered (QEMU does not) */
    bool pipes;             /* kick and call through pipes instead of eventfds (UML does) */
    unsigned layout;        /* enum fe_layout, for all queues; default FE_INDIRECT if negotiated */
    bool force_layout;      /* take layout as it is, FE_DIRECT (0) too */
    enum fe_wait wait;
    int timeout_ms; /* 0: 20 s */
};

/* ---- life ---------------------------------------------------------------------------------- */

/** fe_new() - memory and bookkeeping, no connection yet. Return: 0 or -errno. */
int fe_new(struct fe **fe, const struct fe_options *o);

/** fe_connect() - connect to the daemon's socket, waiting up to 5 s for it to listen */
int fe_connect(struct fe *fe, const char *socket_path);

/** fe_connect_fd() - use a connected socket; taken over */
int fe_connect_fd(struct fe *fe, int fd);

/** fe_handshake() - features, owner, protocol features, queue count, back-end channel, memory table */
int fe_handshake(struct fe *fe);

/**
 * fe_start() - fe_connect(), fe_handshake(), and all queues
 * Return: 0 or -errno; on error the connection is closed and fe_start() may be called again.
 */
int fe_start(struct fe *fe, const char *socket_path);

/** fe_open() - fe_new() and fe_start() */
int fe_open(struct fe **fe, const struct fe_options *o, const char *socket_path);

/** fe_disconnect() - close the socket as a killed machine does; memory stays, requests in flight are lost */
void fe_disconnect(struct fe *fe);

/** fe_free() - disconnect and release everything; NULL is fine */
void fe_free(struct fe *fe);

/** fe_reset_device() - what a rebooting guest does: stop queues, RESET_DEVICE if offered, start again */
int fe_reset_device(struct fe *fe);

/** fe_hung_up() - has the daemon closed the connection? */
bool fe_hung_up(struct fe *fe);

uint64_t fe_virtio_offered(const struct fe *fe);
uint64_t fe_virtio(const struct fe *fe); /* negotiated */
uint64_t fe_proto_offered(const struct fe *fe);
uint64_t fe_proto(const struct fe *fe);
unsigned fe_max_queues(const struct fe *fe); /* GET_QUEUE_NUM's answer, 0 without MQ */
int fe_socket(const struct fe *fe);
const struct fe_options *fe_options(const struct fe *fe); /* with the defaults filled in */

/* ---- guest memory -------------------------------------------------------------------------- */

/**
 * fe_alloc() - guest memory, in the first region
 * Aligned to 64 bytes, from 4 KiB on to 4 KiB. Contents undefined. Return: NULL when there is none left.
 */
void *fe_alloc(struct fe *fe, size_t size);
void fe_free_mem(struct fe *fe, void *p, size_t size);

/** fe_gpa() - guest physical address of a pointer into any region; aborts for other pointers */
uint64_t fe_gpa(const struct fe *fe, const void *p);

/**
 * fe_region_add() - plug a memory module
 * Told to the daemon at once when connected: ADD_MEM_REG if negotiated, else SET_MEM_TABLE.
 * Return: index of the region, or -errno. fe_region() gives its mapping.
 */
int fe_region_add(struct fe *fe, size_t size);

/** fe_region_add_file() - the same with memory that is there already: all of @fd, which is duplicated */
int fe_region_add_file(struct fe *fe, int fd);
int fe_region_remove(struct fe *fe, int region);
void *fe_region(const struct fe *fe, int region, size_t *size, uint64_t *gpa);

/** fe_region_truncate() - shrink the file behind a region (0 is the first), the mapping stays */
int fe_region_truncate(struct fe *fe, int region, size_t size);

/** fe_send_mem_table() - SET_MEM_TABLE with all regions; @extra: zero bytes more payload (UML sends 32) */
int fe_send_mem_table(struct fe *fe, unsigned extra);

/* ---- queues -------------------------------------------------------------------------------- */

/** fe_queue_start() - fresh ring, NUM, BASE, ADDR, KICK, CALL, ENABLE */
int fe_queue_start(struct fe *fe, unsigned q);

/**
 * fe_queue_stop() - GET_VRING_BASE; @base: the daemon's next avail index, may be NULL
 * Requests in flight that were not answered before are dropped by the front end.
 */
int fe_queue_stop(struct fe *fe, unsigned q, uint32_t *base);

/** fe_queue_resume() - after fe_queue_stop(): go on at @base with the ring as it is */
int fe_queue_resume(struct fe *fe, unsigned q, uint32_t base);
int fe_queue_enable(struct fe *fe, unsigned q, bool on);

void fe_queue_layout(struct fe *fe, unsigned q, unsigned layout);
void fe_queue_wait(struct fe *fe, unsigned q, enum fe_wait wait);

/** fe_ring() - the driver side itself, for tests that put things on it which fe_submit() would not */
struct ring_drv *fe_ring(struct fe *fe, unsigned q);
int fe_kick_fd(struct fe *fe, unsigned q);
int fe_call_fd(struct fe *fe, unsigned q);

/** fe_kick() - kick, wanted or not */
int fe_kick(struct fe *fe, unsigned q);

struct fe_queue_counts {
    uint64_t kicks;     /* written by us */
    uint64_t signals;   /* sum of what was read from the call descriptor */
    uint64_t sleeps;    /* times the thread went to sleep */
    uint64_t completed; /* chains */
};
const struct fe_queue_counts *fe_queue_counts(const struct fe *fe, unsigned q);

/* ---- messages ------------------------------------------------------------------------------ */

/*
 * One message. All four buffers are guest memory (fe_alloc(), or a part of such); a length of 0 leaves
 * the segment out. On the ring: out, out_data, in, in_data, each one segment; with FE_PAGES the data
 * parts in pages; and out and in split at out_split / in_split (Linux puts headers and arguments apart)
 * when those are not 0.
 */
struct fe_req {
    void *out;
    uint32_t out_len, out_split;
    void *out_data;
    uint32_t out_data_len;
    void *in;
    uint32_t in_len, in_split;
    void *in_data;
    uint32_t in_data_len;

    void *user; /* the caller's */

    /* the library's */
    uint32_t used; /* bytes that the daemon says it wrote */
    bool done;
    bool in_flight;
    struct ring_desc *table; /* indirect table, kept between flights */
    uint32_t table_len;
};

/** fe_req_init() - a request with buffers for @out bytes and @in bytes. Return: 0 or -ENOMEM. */
int fe_req_init(struct fe *fe, struct fe_req *r, uint32_t out, uint32_t in);

/** fe_req_release() - free what fe_req_init() and fe_submit() took; data parts are the caller's */
void fe_req_release(struct fe *fe, struct fe_req *r, uint32_t out, uint32_t in);

/**
 * fe_submit() - put a request on the ring
 * @more: another follows at once: do not publish and kick yet (see fe_publish())
 * Return: 0, -ENOSPC when the ring is full, -EINVAL, -ENOMEM.
 */
int fe_submit(struct fe *fe, unsigned q, struct fe_req *r, bool more);

/** fe_publish() - make submitted requests visible and kick if the device wants it */
int fe_publish(struct fe *fe, unsigned q);

/**
 * fe_reap() - take one completion
 * @wait: false: return at once
 * Return: the request; NULL with *@err 0 (none, @wait false), -ETIMEDOUT, -ECONNRESET, or -EPROTO (the
 * daemon returned an id that was not in flight, or a length above what it was given).
 */
struct fe_req *fe_reap(struct fe *fe, unsigned q, bool wait, int *err);

/** fe_scatter() - what FE_SCATTER does to a payload, and undoes: neighbouring full pages change places */
void fe_scatter(void *buf, size_t len);

/** fe_call() - submit and wait for this one; others that complete meanwhile are marked done. 0 or -errno. */
int fe_call(struct fe *fe, unsigned q, struct fe_req *r);

/* ---- raw chains ---------------------------------------------------------------------------- */

/**
 * fe_raw_chain() - put descriptors on the ring exactly as given and make the first one available
 * @desc:  descriptors; @at: their places in the ring's table, next fields are not touched
 * @head:  what to write to the available ring, valid or not
 * The ring's own bookkeeping is bypassed: use a queue for this only, and fe_raw_used() to look.
 */
int fe_raw_chain(struct fe *fe, unsigned q, const struct ring_desc *desc, const uint16_t *at,
                 unsigned n, uint16_t head);

/**
 * fe_raw_used() - wait for the next used element of a queue that is used raw
 * Return: 1, 0 when @timeout_ms passed, -ECONNRESET.
 */
int fe_raw_used(struct fe *fe, unsigned q, struct ring_used_elem *elem, int timeout_ms);

/** fe_raw_set_avail() - write avail->idx itself and kick */
int fe_raw_set_avail(struct fe *fe, unsigned q, uint16_t idx);

/* ---- vhost-user messages ------------------------------------------------------------------- */

/**
 * fe_vu_send() - one message, as given
 * @flags: header flags, version included (VU_VERSION is 1)
 * @claim: size to put in the header; (uint32_t)-1 for @len
 */
int fe_vu_send(struct fe *fe, uint32_t request, uint32_t flags, uint32_t claim, const void *payload,
               size_t len, const int *fds, unsigned n_fds);

/**
 * fe_vu_recv() - one reply
 * @room: bytes at @payload; @fd: may be NULL; a received descriptor, or -1
 * Return: bytes of payload, -EPROTO, -ETIMEDOUT, -ECONNRESET.
 */
int fe_vu_recv(struct fe *fe, uint32_t *request, uint32_t *flags, void *payload, size_t room,
               int *fd);

/**
 * fe_vu_set() - a request without a reply of its own; asks for an acknowledgement when REPLY_ACK is on
 * Return: 0; -EREMOTEIO when the daemon acknowledged with an error; -errno.
 */
int fe_vu_set(struct fe *fe, uint32_t request, const void *payload, size_t len, const int *fds,
              unsigned n_fds);
int fe_vu_set_u64(struct fe *fe, uint32_t request, uint64_t value);

/** fe_vu_get() - a request with a reply of exactly @len bytes (@in: request payload, may be NULL) */
int fe_vu_get(struct fe *fe, uint32_t request, const void *in, size_t in_len, void *payload,
              size_t len);
int fe_vu_get_u64(struct fe *fe, uint32_t request, uint64_t *value);

/** fe_get_config() - GET_CONFIG. Return: 0 with @len bytes, or -errno. */
int fe_get_config(struct fe *fe, uint32_t offset, uint32_t len, void *to);

/**
 * fe_log_start() - hand over a dirty-page log for all of memory and mark the rings logged
 * @bitmap: one bit per 4 KiB of guest physical address, mapped until fe_log_stop(); @bytes: its size.
 * Return: 0; -EOPNOTSUPP when the daemon does not offer LOG_SHMFD and LOG_ALL; -errno.
 */
int fe_log_start(struct fe *fe, uint8_t **bitmap, size_t *bytes);
int fe_log_stop(struct fe *fe);

/* ---- live migration (fe_state.c) ----------------------------------------------------------- */

/** fe_suspend() - stop all queues; fe_resume() - let them go on where they were. Return: 0 or -errno. */
int fe_suspend(struct fe *fe);
int fe_resume(struct fe *fe);

/** fe_state_save() - the daemon's state, to be freed. Return: 0; -EREMOTEIO: it will not; -errno. */
int fe_state_save(struct fe *fe, uint8_t **bytes, size_t *len);
/** fe_state_load() - give it to the present daemon. Return: as fe_state_save(). */
int fe_state_load(struct fe *fe, const uint8_t *bytes, size_t len);
/** fe_state_begin() - SET_DEVICE_STATE_FD alone. @fd: our end; fe_state_check() - CHECK_DEVICE_STATE */
int fe_state_begin(struct fe *fe, uint32_t direction, int *fd);
int fe_state_check(struct fe *fe);

/** fe_move() - leave this daemon and shake hands with another one; the queues stay as they are, stopped */
int fe_move(struct fe *fe, const char *socket_path);

#endif
