// SPDX-License-Identifier: BSD-3-Clause
/*
 * supervise.c - what main() does as a supervisor, and as a worker of one (see supervise.h)
 *
 * The supervisor makes the sockets, so that their paths and lock file are there as long as it is, whatever
 * happens to workers; workers get them as kept descriptors. Everything else that a start consists of is the
 * worker's, each time anew.
 *
 * Ownership: nothing is freed before the process ends. Locks: none.
 */
#include "supervise.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/log.h"
#include "host/stats.h"
#include "keep/supervisor.h"

/* The sockets. Return: 0 or -errno (message printed). */
static int open_sockets(const struct conf *conf, struct supervisor *sup)
{
    int fd = share_listen(conf);

    if (fd < 0)
        return fd;
    int err = supervisor_keep(sup, 0, KEEP_LISTEN, fd);
    if (err < 0 || !conf->stats_socket)
        return err;
    fd = stats_listen(conf->stats_socket);
    if (fd < 0) {
        log_error("--stats-socket: %s: %s; use a path that can be made there", conf->stats_socket,
                  strerror(-fd));
        return fd;
    }
    return supervisor_keep(sup, 0, KEEP_STATS, fd);
}

int supervise(const struct conf *conf, char **argv, int notify_fd, void (*ready)(void *ctx),
              void *ctx)
{
    struct supervisor_params p = {
        .activated = conf->activated, .notify_fd = notify_fd, .ready = ready, .ctx = ctx};
    static struct supervisor *sup; /* until the process ends */

    if (supervisor_new(&sup, argv, 1) < 0 || open_sockets(conf, sup) < 0)
        return EXIT_FAILURE;
    /* Workers still start in the directory that relative paths are meant for. */
    if (conf->daemonize && chdir("/") < 0) {
        log_error("--daemonize: /: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    return supervisor_run(sup, &p);
}

/* ---- the worker ------------------------------------------------------------------------------ */

static void on_quiesce(void *ctx)
{
    vu_quiesce(((struct share *)ctx)->vu);
}

static void on_lost(void *ctx)
{
    vu_stop_listening(((struct share *)ctx)->vu);
}

static bool has_served(void *ctx)
{
    return vu_has_served(((struct share *)ctx)->vu);
}

int worker_take_turn(struct keep_worker *w, struct share *s, struct stats *stats)
{
    const struct keep_events events = {
        .ctx = s, .quiesce = on_quiesce, .lost = on_lost, .progress = has_served};
    int err = keep_await_turn(w);

    if (err == -EPIPE)
        return -ECANCELED;
    if (err < 0) {
        log_error("the supervisor does not hand over: %s", strerror(-err));
        return err;
    }
    if (stats)
        stats_adopt(stats, keep_take(s->keep, KEEP_STATS, 0));
    if ((err = share_resume(s)) < 0)
        return err;
    if ((err = keep_listen(w, &events)) < 0)
        log_error("the supervisor cannot be listened to: %s", strerror(-err));
    return err;
}
