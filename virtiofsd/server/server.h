// SPDX-License-Identifier: BSD-3-Clause
/*
 * server.h - the FUSE server, as main() sees it
 *
 * One server serves one share to one guest at a time. It is the vu_ops context of the vhost-user back end. Threads that
 * server_ops.thread_begin() made may serve any server.
 */
#ifndef VIOFS_SERVER_H
#define VIOFS_SERVER_H

#include "conf.h"
#include "host/pool.h"
#include "host/stats.h"
#include "sandbox/sandbox.h"
#include "vhost/vhost.h"

struct server;

/**
 * server_new() - after sandbox_lock(), which settles what @sb promises
 * @stats:    NULL when no statistics are kept; gauges are registered here
 * @nofile:   RLIMIT_NOFILE in force
 * @keep:     where the server's state lives; may be NULL. It is mapped, not looked at: another worker may still
 *            be using it.
 * Return: 0 or -errno (message printed).
 */
int server_new(struct server **server, const struct conf *conf, const struct sandbox *sb,
               struct stats *stats, int64_t nofile, struct keep *keep);
/**
 * server_resume() - go on where another worker stopped; that one has ended, no request is served yet
 * Called once, after server_new(), when keep_resumes(). Return: 0 or -errno (message printed).
 */
int server_resume(struct server *server);
/**
 * server_pool() - the threads that requests go to which block, for all shares of the process
 * @pool: NULL with --thread-pool-size=0; to be freed before any server
 */
int server_pool(struct pool **pool, const struct conf *conf);
/** server_start() - @pool: borrowed, may be NULL; @most: threads of it that this share may have at a time, 0: all */
void server_start(struct server *server, struct pool *pool, unsigned most);
extern const struct vu_ops server_ops; /* ctx: the server */

/** server_paced() - has the share limits, for which vu_params.paced must be set? */
bool server_paced(const struct server *srv);
void server_free(struct server *server);

#endif
