// SPDX-License-Identifier: BSD-3-Clause
/*
 * supervise.h - what main() does as a supervisor, and as a worker of one
 */
#ifndef VIOFS_SUPERVISE_H
#define VIOFS_SUPERVISE_H

#include "keep/keep.h"
#include "share.h"

struct hub;

/**
 * supervise() - be the supervisor: open what needs no worker, and start workers until the work is done
 * @shares:    the texts of their files are taken over
 * @argv:      of this process
 * @notify_fd: service manager, or -1
 * @ready:     called once, when a guest can connect
 * Return: the exit status; messages printed.
 */
int supervise(struct conf_shares *shares, char **argv, int notify_fd, void (*ready)(void *ctx),
              void *ctx);

/** worker_begin() - be a worker; @fd leads to the supervisor and is taken over. Return: as keep_worker_new(). */
int worker_begin(struct keep_worker **w, int fd, const struct conf_shares *shares);

/**
 * worker_heir() - who gets what this worker has open when it ends
 * @w:      NULL: no worker, then nobody
 * @nofile: the limit of open files
 * Return: is there anybody? @heir is for sandbox_enter() then.
 */
bool worker_heir(struct keep_worker *w, struct sandbox_heir *heir, int64_t nofile);

/* What a worker serves; lives as long as the process. */
struct serving {
    struct share *share;
    size_t n;
    struct hub *hub;     /* NULL: vu_run() of the only one */
    struct stats *stats; /* gets its socket; NULL: none are kept */
};

/**
 * worker_take_turn() - the shares are started: wait for our turn, and take over what another worker left
 * Return: 0; -ECANCELED when we are not wanted any more; -errno (message printed).
 */
int worker_take_turn(struct keep_worker *w, struct serving *s);

#endif
