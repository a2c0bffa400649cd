// SPDX-License-Identifier: BSD-3-Clause
/*
 * channel.h - what supervisor and worker say to each other
 *
 * Messages of one size on a SOCK_SEQPACKET pair, each with at most one descriptor; but for CHANNEL_MANY. Neither side
 * waits for an answer while a guest is served.
 */
#ifndef VIOFS_KEEP_CHANNEL_H
#define VIOFS_KEEP_CHANNEL_H

#include <stdint.h>

/* The number of the worker's descriptor; set by the supervisor between fork() and exec. */
#define CHANNEL_ENV     "VIRTIOFSD_WORKER"
#define CHANNEL_VERSION 1u

enum channel_op {
    /* to the worker, at its start */
    /* index: CHANNEL_VERSION, value: how many descriptors it may have kept, kind: CHANNEL_TAKES_BACK */
    CHANNEL_HELLO = 1,
    CHANNEL_REGION,  /* kind: enum keep_region, value: keep_share_id(); with the memory */
    CHANNEL_STARTED, /* that was all; value: another worker has been at work before */
    /* to the worker when it is its turn, and once to the one that must leave */
    CHANNEL_FD, /* kind, index: a kept descriptor */
    CHANNEL_GO, /* that was all: serve; kind: CHANNEL_LASTED */
    CHANNEL_QUIESCE,
    /* to the supervisor */
    CHANNEL_READY, /* everything that can be done beforehand is done */
    CHANNEL_PUT,   /* kind, index; with a descriptor */
    CHANNEL_DROP,  /* kind, index */
    CHANNEL_ALIVE, /* a request has been completed */
    CHANNEL_BYE,   /* the process ends because it is done, whatever its exit status */
    CHANNEL_HELD, /* inodes, handles and locks that were given are the worker's to bequeath (hold.c) */
    CHANNEL_PROCESS, /* before READY; with a pidfd of the process that serves, a child of the one that was started */
    CHANNEL_MANY, /* as many of CHANNEL_PUT; index: how many */
    CHANNEL_OPS
};

/* This supervisor knows CHANNEL_HELD, CHANNEL_PROCESS and CHANNEL_MANY. */
#define CHANNEL_TAKES_BACK 1u
/* The worker before did not end at once. (Older supervisors do not say so.) */
#define CHANNEL_LASTED 1u

struct channel_msg {
    uint8_t op;
    uint8_t kind;
    uint16_t share;
    uint32_t index;
    uint64_t value;
};
_Static_assert(sizeof(struct channel_msg) == 16,
               "the same for worker and supervisor of any version");

struct channel_key {
    uint8_t kind;
    uint8_t spare;
    uint16_t share;
    uint32_t index;
};

#define CHANNEL_KEYS 64u
struct channel_many {
    struct channel_msg head;
    struct channel_key key[CHANNEL_KEYS]; /* head.index of them, each with a descriptor */
};

/**
 * channel_send() - one message
 * @pass: a descriptor to go along, -1: none
 * @ms:   how long to wait while the other side has no room
 * Return: 0; -EPIPE when the other side is gone; -ETIMEDOUT; -errno.
 */
int channel_send(int fd, const struct channel_msg *m, int pass, int ms);

/**
 * channel_recv() - one message; waits unless the socket says that it does not
 * @got: the descriptor that came along (close-on-exec, the caller's), -1: none
 * Return: 1; 0 when the other side is gone; -EPROTO for what cannot be a message; -EAGAIN; -errno.
 */
int channel_recv(int fd, struct channel_msg *m, int *got);

/** channel_send_many() - CHANNEL_MANY of up to CHANNEL_KEYS keys and descriptors. Return: as channel_send(). */
int channel_send_many(int fd, const struct channel_key *key, const int *pass, unsigned n, int ms);

/**
 * channel_recv_many() - one message of either size
 * @got: room for CHANNEL_KEYS descriptors; @n: how many came along. Of CHANNEL_MANY as many as keys.
 * Return: as channel_recv().
 */
int channel_recv_many(int fd, struct channel_many *m, int *got, unsigned *n);

#endif
