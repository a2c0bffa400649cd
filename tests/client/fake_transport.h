// SPDX-License-Identifier: BSD-3-Clause
/*
 * fake_transport.h - a host in memory, for tests of the client's core
 *
 * Theory of operation
 *
 *   Behind the transport is a small tree of inodes and names that answers FUSE requests as a daemon does,
 *   and keeps books: how often each opcode came, how many lookups it has counted for each inode, and what
 *   the client did wrong (an id that it has no lookup for, more forgotten than was counted). It is honest;
 *   a test that wants a lie puts a hook before it.
 *
 *   It stands for any daemon, in what the protocol demands. It does not prove that a real one behaves so;
 *   the programs of tests/client/test_*.c run against real daemons.
 *
 * Locks: one for everything, so any number of threads may use the client on it. A hook is called with it held.
 */
#ifndef VIOFS_TESTS_CLIENT_FAKE_TRANSPORT_H
#define VIOFS_TESTS_CLIENT_FAKE_TRANSPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/fuse/fuse_proto.h"
#include "service/client/linux_errno.h"
#include "service/client/transport.h"

#define FAKE_NODES   4096
#define FAKE_NAMES   4096
#define FAKE_OPCODES 64 /* those of the extension count as their standard ones, the probe as 63 */

struct fake_node {
    bool used;
    uint32_t mode, nlink;
    uint64_t generation, size, ino;
    int64_t mtime, ctime, btime; /* nanoseconds are 0 */
    uint64_t lookups;            /* in this session */
    char target[64];             /* of a link */
    struct fuse_viofs_ext meta;  /* what the extension tells, but for the birth time */
};

struct fake_name {
    bool used;
    uint32_t dir, node; /* indexes of nodes */
    char text[256];
};

struct fake;

/* A request as the hook and the host see it. */
struct fake_call {
    struct fuse_in_header in;
    const uint8_t *arg; /* after the header */
    uint32_t arg_len;
    uint8_t *reply;
    uint32_t cap;
};
#define FAKE_PASS INT32_MAX /* the hook leaves the request to the host */

struct fake {
    struct cli_transport transport;
    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* how it behaves; set before use */
    uint32_t entry_ms, attr_ms, missing_ms; /* validities; missing_ms 0: ENOENT */
    uint32_t features;                      /* of the extension, but BTIME: VIOFS_FEATURE_* */
    bool extension, statx, no_rename2, noreplace_is_einval;
    uint64_t enosys;        /* opcodes that are unknown */
    uint64_t offered_flags; /* of INIT; 0: all that are asked for */
    uint32_t max_in_flight, max_request, max_transfer;
    int32_t (*hook)(struct fake *f, struct fake_call *call);
    void *user;

    /* the world */
    struct fake_node node[FAKE_NODES]; /* [0] is the root */
    struct fake_name name[FAKE_NAMES];
    int64_t clock; /* of mtimes: every change is later than the one before */

    /* the session */
    uint64_t epoch, salt;
    bool swapped; /* fake_swap(): this daemon has seen no INIT, and the device does not know */
    bool dead;    /* everything is -LE_ENOTCONN, until fake_revive() */
    bool silent;  /* nothing is answered, until fake_speak() */
    bool initialized, destroyed;
    uint64_t next_fh;
    uint32_t open_handles;

    struct cli_msg *events; /* a VIOFS_EVENTS that is out */
    struct {
        uint64_t watch, nodeid;
        uint32_t age_ms;
    } watch[16];            /* number 0: unused */
    uint32_t watch_took_ms; /* as the answer says */
    bool watch_partial;     /* likewise */

    /* the books */
    uint64_t count[FAKE_OPCODES];
    uint64_t requests, forgets, forgotten;
    uint32_t unanswered; /* requests that wait for fake_speak() */
    uint32_t wrong;      /* what an honest client never does */
    struct fuse_init_in init;
    struct fuse_in_header last_in; /* of the last request with an answer */
    uint64_t last_unique;
};

void fake_init(struct fake *f);
void fake_end(struct fake *f);

/** fake_add() - the host's side makes a name: a file, a directory or whatever the mode says. Return: its node. */
uint32_t fake_add(struct fake *f, uint32_t dir, const char *name, uint32_t mode);
void fake_link(struct fake *f, uint32_t dir, const char *name, uint32_t node);
void fake_remove(struct fake *f, uint32_t dir, const char *name);
/** fake_find() - Return: the node, or UINT32_MAX */
uint32_t fake_find(struct fake *f, uint32_t dir, const char *name);

uint64_t fake_id(const struct fake *f, uint32_t node); /* in this session */
/** fake_lookups() - lookups that the host counts, over all nodes but the root */
uint64_t fake_lookups(struct fake *f);

/** fake_die(), fake_revive() - the daemon goes; another one comes: new ids, new handles, no lookups */
void fake_die(struct fake *f);
void fake_revive(struct fake *f);
/** fake_swap() - another daemon takes over and nobody is told: everything but INIT is -LE_EIO */
void fake_swap(struct fake *f);
/** fake_hush(), fake_speak() - requests are not answered meanwhile */
void fake_hush(struct fake *f);
void fake_speak(struct fake *f);
/** fake_wait_asked() - until n requests wait for fake_speak() */
void fake_wait_asked(struct fake *f, uint32_t n);

/** fake_event() - the host reports a change; a VIOFS_EVENTS must be out. Its answer is taken when this returns. */
void fake_event(struct fake *f, uint64_t nodeid, uint32_t action, uint32_t flags, const char *name);
/** fake_answer_events() - the same with any bytes, or an error */
void fake_answer_events(struct fake *f, const void *page, uint32_t len, int32_t error);

/* fake_host.c */
int32_t fake_serve(struct fake *f, struct fake_call *call);
void fake_serve_forget(struct fake *f, const struct fuse_in_header *in, const uint8_t *arg,
                       uint32_t len);

#endif
