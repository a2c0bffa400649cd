// SPDX-License-Identifier: BSD-3-Clause
/*
 * server_share.h - the directory that fuzz_server shares, and what must stay out of reach
 */
#ifndef VIOFS_TESTS_SERVER_SHARE_H
#define VIOFS_TESTS_SERVER_SHARE_H

#include <stdbool.h>
#include <stdint.h>

/* What the host may do between two requests: step.op less STEP_HOST. */
enum host_op {
    HOST_RENAME,  /* step.node to step.fh, both among paths */
    HOST_REMOVE,  /* a name, whatever it is */
    HOST_SYMLINK, /* the name is a symlink out of the share now */
    HOST_MKDIR,
    HOST_WRITE, /* a file */
    HOST_LINK,
    HOST_LOCK,   /* flock() and a record lock by another program; again: unlock */
    HOST_HURRY,  /* the queue is stopped: server_ops.cancel_later() */
    HOST_RESET,  /* the front end is gone: server_ops.session_reset() */
    HOST_BUSY,   /* all threads of the pool have something else to do; again: they have not */
    HOST_OPENS,  /* not the host, but a guest that opens as much as it may */
    HOST_STARVE, /* the allocation of that number, counted from the next request on, fails */
    HOST_OPS
};

/** share_open() - a tmpfs of our own with share/ and outside/ in it. Return: path of the share. */
const char *share_open(void);
/** share_fd() - of the share's directory, for the host's own business; not to be closed */
int share_fd(void);
/** share_enter(), share_leave() - limits, umask and cwd as servers like them, and as libFuzzer does */
void share_enter(void);
void share_leave(void);

/** share_host_step() - HOST_RENAME .. HOST_LOCK */
void share_host_step(enum host_op op, uint8_t from, uint8_t to);

/** share_must_be_alone() - abort if anything beside the share was changed or read */
void share_must_be_alone(void);
/** share_must_be_unchanged() - abort if anything in the share was changed since share_enter() */
void share_must_be_unchanged(void);
/** share_is_outside() - is this the number of a file that a guest must not see? */
bool share_is_outside(uint64_t ino);
/** share_renew() - as it was after share_open() */
void share_renew(void);

#endif
