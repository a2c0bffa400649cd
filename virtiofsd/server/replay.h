// SPDX-License-Identifier: BSD-3-Clause
/*
 * replay.h - requests that a worker was at when it ended
 */
#ifndef VIOFS_REPLAY_H
#define VIOFS_REPLAY_H

#include "server/request.h"

/* What the functions below say to a handler that is about to do something. */
enum replay {
    REPLAY_DO = 0,   /* it has not been done */
    REPLAY_DONE = 1, /* it has: only what follows in this process is left */
};

/** replay_making() - before a call that makes a name */
void replay_making(struct srv_req *rq);
/* What a request was to make. */
struct replay_thing {
    mode_t type;        /* S_IFMT bits; 0: as @source */
    const char *target; /* of a symlink */
    int source;         /* of a link: a descriptor; else -1 */
};
/**
 * replay_made() - the call that makes @name in @dirfd has returned @r (0 or -errno)
 * Return: @r; 0 when it is -EEXIST because this very request has made it before.
 */
int replay_made(struct srv_req *rq, int r, int dirfd, const char *name,
                const struct replay_thing *thing);

/** replay_removing() - before the request's name in @dirfd goes, which shows @victim if it shows anything */
enum replay replay_removing(struct srv_req *rq, int dirfd, const struct tree_mark *victim);

/** replay_moving() - before a rename of the request's two names. REPLAY_*, or -EIO: nobody knows. */
int replay_moving(struct srv_req *rq, int from_fd, int to_fd, unsigned flags);

/**
 * replay_appending() - before @n bytes at @seg are appended to @fd
 * Return: how many of them are there already, 0..@n; -EIO: nobody knows, or -errno.
 */
int64_t replay_appending(struct srv_req *rq, int fd, const struct ring_seg *seg, uint32_t n_seg,
                         uint64_t n);

/** replay_shifting() - before what lies behind is moved by fallocate(2). REPLAY_*, or -EIO: nobody knows. */
int replay_shifting(struct srv_req *rq, int fd, uint32_t mode, uint64_t len);

/** replay_set() - setxattr(@path) has returned @r. Return: @r; 0 when the attribute is as was asked before. */
int replay_set(struct srv_req *rq, int r, const char *path, const char *name, const void *value,
               size_t len);

/** replay_gone() - what was to go has gone before: @gone stands for success. Return: @r, or 0. */
int replay_gone(const struct srv_req *rq, int r, int gone);

#endif
