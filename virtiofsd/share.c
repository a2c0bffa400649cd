// SPDX-License-Identifier: BSD-3-Clause
/*
 * share.c - life of one share, from its socket to its device (see share.h)
 *
 * Ownership: struct share holds all parts; share_stop() releases them in reverse order.
 * Locks: none; main thread only.
 */
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "keep/keep.h"
#include "sandbox/quota.h"
#include "watch/watch.h"

void share_init(struct share *s, const struct conf *conf)
{
    *s = (struct share){.conf = conf, .listen_fd = -1, .mark_fd = -1};
}

/* For steps that do not print their own errors. Return: @err. */
static int check(const char *step, int err)
{
    if (err < 0)
        log_error("%s: %s", step, strerror(-err));
    return err;
}

/*
 * --fd or systemd: whoever started us must have called bind() and listen(), not connect(). Memory is passed as
 * descriptors, which only a UNIX stream does.
 */
static int check_listen_fd(const struct conf *c)
{
    const char *what = c->activated ? "the socket from systemd: descriptor" : "--fd";
    int fd = c->listen_fd, listening = 0, domain = 0, type = 0;
    socklen_t len = sizeof(int);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
        log_error("%s %d: %s; pass a listening UNIX socket", what, fd, strerror(errno));
        return -EINVAL;
    }
    if (domain != AF_UNIX || type != SOCK_STREAM) {
        log_error("%s %d: not a UNIX stream socket; a guest's memory can come over no other%s",
                  what, fd, c->activated ? ": give ListenStream= a path" : "");
        return -EINVAL;
    }
    if (!listening) {
        log_error("%s %d: the socket does not listen; call bind() and listen() on it first%s", what,
                  fd, c->activated ? " (a .socket unit has Accept=no)" : "");
        return -EINVAL;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return check("--fd", -errno);
    return fd;
}

int share_listen(const struct conf *c)
{
    int err = quota_set(c);

    if (err < 0)
        return err;
    return c->socket_path ? vu_listen(c->socket_path, c->socket_group) : check_listen_fd(c);
}

int share_open(struct share *s)
{
    const struct conf *c = s->conf;

    if (!s->keep && (s->listen_fd = share_listen(c)) < 0)
        return s->listen_fd;
    if (c->watch == WATCH_FANOTIFY && (s->mark_fd = watch_mark(c->source)) < 0)
        return s->mark_fd;
    return 0;
}

static uint64_t read_in_flight(void *ctx)
{
    return vu_in_flight(ctx);
}

int share_start(struct share *s, const struct share_means *means)
{
    struct stats *stats = means->stats;
    int err;

    s->sandbox.fanotify_fd = steal_fd(&s->mark_fd);
    if ((err = server_new(&s->server, s->conf, &s->sandbox, stats, means->nofile, s->keep)) < 0)
        return err;

    struct vu_params p = {.listen_fd = steal_fd(&s->listen_fd),
                          .tag = s->conf->tag,
                          .keep = s->keep,
                          .keep_listening = s->conf->keep_listening,
                          .paced = server_paced(s->server),
                          .ops = &server_ops,
                          .ctx = s->server,
                          .hub = means->hub,
                          .name = s->conf->name};
    if ((err = check("vhost-user", vu_new(&s->vu, &p))) < 0)
        return err;
    if (stats &&
        (err = check("statistics", stats_gauge(stats, "virtiofsd_requests_in_flight",
                                               "Requests taken from the guest and not yet answered",
                                               read_in_flight, s->vu))) < 0)
        return err;
    server_start(s->server, means->pool, means->pool_most);
    return 0;
}

int share_resume(struct share *s)
{
    int err = keep_resumes(s->keep) ? server_resume(s->server) : 0;

    if (err == 0)
        err = vu_resume(s->vu);
    keep_settle(s->keep);
    return err;
}

void share_stop(struct share *s)
{
    /* First the server: its threads (locks, changes) may be behind the last step of giving a chain back. */
    server_free(s->server);
    vu_free(s->vu);
    struct keep *keep = s->keep;
    share_init(s, s->conf);
    s->keep = keep;
}
