// SPDX-License-Identifier: BSD-3-Clause
/*
 * supervise.h - what main() does as a supervisor, and as a worker of one
 */
#ifndef VIOFS_SUPERVISE_H
#define VIOFS_SUPERVISE_H

#include "keep/keep.h"
#include "share.h"

/**
 * supervise() - be the supervisor: open what needs no worker, and start workers until the work is done
 * @argv:      of this process
 * @notify_fd: service manager, or -1
 * @ready:     called once, when a guest can connect
 * Return: the exit status; messages printed.
 */
int supervise(const struct conf *conf, char **argv, int notify_fd, void (*ready)(void *ctx),
              void *ctx);

/**
 * worker_take_turn() - the share is started: wait for our turn, and take over what another worker left
 * @stats: gets its socket; NULL: none are kept
 * Return: 0; -ECANCELED when we are not wanted any more; -errno (message printed).
 */
int worker_take_turn(struct keep_worker *w, struct share *s, struct stats *stats);

#endif
