// SPDX-License-Identifier: BSD-3-Clause
/*
 * peer.h - one daemon under measurement, or the host itself
 *
 * All peers share one directory, and their payloads go through the same memory: where the kernel
 * happens to put the pages of a file or a buffer makes more of a difference to a 1 MiB transfer than
 * anything that a daemon does, so it has to be the same for all. The tree:
 *
 *   known/   1000 files of 4 KiB    looked up once, before anything is measured
 *   many/    10000 empty files
 *   big      64 MiB
 *
 * Ownership: struct ground outlives the peers; struct peer owns daemon, front end and client. Locks:
 * none, one thread.
 */
#ifndef VIOFS_BENCH_PEER_H
#define VIOFS_BENCH_PEER_H

#include "tests/frontend/daemon.h"
#include "tests/frontend/fuse_client.h"

#define N_KNOWN   1000u
#define N_MANY    10000u
#define BIG_BYTES (64ull << 20)
#define MAX_DEPTH 32u

/* What all peers stand on. */
struct ground {
    struct daemon dirs; /* no daemon: its work directory holds the tree */
    int payload_fd;     /* a memfd: FC_MAX_DATA, then a page for each flight */
    uint8_t *payload;   /* mapped, for the host */
};

/** ground_make() - @tree: with the files. 0 or -errno. */
int ground_make(struct ground *g, bool tree);
void ground_clear(struct ground *g);

struct flight { /* one of the requests in flight at depth 32 */
    struct fe_req req;
    uint64_t unique;
    void *data;
};

struct peer {
    char name[32];
    bool is_host; /* no daemon: the bare system calls, in our own process */
    struct daemon d;
    pid_t worker;
    struct fe *fe;
    struct fc c;
    int dead; /* negative errno of the first failure; 0 while it works */

    /* the tree, as node ids (daemon) and descriptors (host) */
    uint64_t known_dir, many_dir, big, big_fh;
    uint64_t known[N_KNOWN];
    int known_dir_fd, many_dir_fd, big_fd;
    int known_fd[N_KNOWN];

    /* lookups to give back outside the measured time */
    uint64_t *owed;
    uint32_t n_owed, owed_room;

    /* state of workloads */
    uint64_t turn; /* counts steps */
    uint32_t random;
    struct flight flight[MAX_DEPTH];
    unsigned in_flight;
    void *buffer; /* the host's view of the payload memory */
};

struct peer_options {
    int cpu; /* pin daemon (and us) to this CPU, counted from 1; 0: do not */
    long nofile;
    uint32_t queue_size;
    unsigned layout;
    bool force_layout;
    bool bare; /* do not look the tree up: for the inode run */
};

/** peer_start() - daemon, connection, FUSE session, lookups. @command is split at blanks. 0 or -errno. */
int peer_start(struct peer *p, const struct ground *g, const char *name, const char *command,
               const struct peer_options *o);

/** peer_start_host() - open the tree ourselves */
int peer_start_host(struct peer *p, const struct ground *g);
void peer_end(struct peer *p);

/** peer_owe() - a lookup to be forgotten by the next peer_settle() */
int peer_owe(struct peer *p, uint64_t node);
int peer_settle(struct peer *p);

/** peer_random() - xorshift, the same sequence for every peer */
uint32_t peer_random(struct peer *p);

/* What a stretch of work cost. */
struct cost {
    double wall;     /* seconds */
    double cpu;      /* seconds of the daemon, all threads, user and system; the host: our own */
    double client;   /* seconds of ours */
    double switches; /* times that a thread of the daemon went to sleep */
    double preempted;
    double kicks, signals;
};

/** cost_begin() - start of a stretch; cost_end() - add what it cost to @total */
void cost_begin(const struct peer *p, struct cost *c);
void cost_end(const struct peer *p, const struct cost *begun, struct cost *total);

/** peer_anon_bytes() - private memory of the daemon */
int64_t peer_anon_bytes(const struct peer *p);

#endif
