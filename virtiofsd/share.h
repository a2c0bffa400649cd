// SPDX-License-Identifier: BSD-3-Clause
/*
 * share.h - one shared directory: its socket, its device and its server
 *
 * A process serves a list of shares. What is the process' own (sandbox, log, signals, pid file, background) is
 * main.c's; everything that exists once a share is here. The order is: share_open() while the host's paths
 * are in sight, sandbox_enter() and sandbox_lock(), share_start(), the device runs, share_stop().
 *
 * Locks: none; the main thread only.
 */
#ifndef VIOFS_SHARE_H
#define VIOFS_SHARE_H

#include "conf.h"
#include "host/stats.h"
#include "sandbox/sandbox.h"
#include "server/server.h"
#include "vhost/vhost.h"

/* Made by share_init(). All pointers but conf are the share's own, NULL before share_start(). */
struct share {
    const struct conf *conf; /* borrowed */
    struct sandbox sandbox;  /* filled by sandbox_enter() */
    int listen_fd;           /* until the device takes it, else -1 */
    int mark_fd;             /* --watch=fanotify's mark until the sandbox is entered, else -1 */
    struct keep *keep;       /* what outlives the process; NULL without a supervisor; main.c's */
    struct server *server;
    struct vu *vu;
};

/** share_init() - all is empty; @conf must outlive the share */
void share_init(struct share *s, const struct conf *conf);

/**
 * share_listen() - what is done once, however often the process that serves is replaced: quotas, and the
 * listening socket. Return: that, or -errno (message printed).
 */
int share_listen(const struct conf *conf);

/** share_open() - what needs the host's paths: the listening socket, a mark for changes.
 *  With a supervisor it is that who listens. Return: 0 or -errno (message printed). */
int share_open(struct share *s);

/* What the process gives to a share, all borrowed until share_stop(). */
struct share_means {
    struct stats *stats; /* NULL: none are kept */
    int64_t nofile;      /* descriptors that it may use */
    struct pool *pool;   /* for requests that block, or NULL */
    unsigned pool_most;  /* threads of it that the share may have at a time; 0: all */
    struct hub *hub;     /* of several shares; NULL: vu_run() */
};

/**
 * share_start() - build server and device; inside the locked sandbox
 * Return: 0 or -errno (message printed); share_stop() is due either way.
 */
int share_start(struct share *s, const struct share_means *means);

/** share_resume() - with a supervisor, when it is our turn: take over what another worker left. Return: 0 or -errno. */
int share_resume(struct share *s);

/** share_stop() - release what there is, in reverse order; the device has stopped */
void share_stop(struct share *s);

#endif
