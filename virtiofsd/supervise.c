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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "host/stats.h"
#include "keep/supervisor.h"
#include "vhost/hub.h"

/* The sockets. Return: 0 or -errno (message printed). */
static int open_sockets(const struct conf_shares *shares, struct supervisor *sup)
{
    const char *stats = shares->at[0].stats_socket;
    int fd, err = 0;

    for (unsigned i = 0; i < shares->n && err == 0; i++) {
        log_share(shares->at[i].name);
        fd = share_listen(&shares->at[i]);
        err = fd < 0 ? fd : supervisor_keep(sup, i, KEEP_LISTEN, fd);
    }
    log_share(NULL);
    if (err < 0 || !stats)
        return err;
    fd = stats_listen(stats);
    if (fd < 0) {
        log_error("--stats-socket: %s: %s; use a path that can be made there", stats,
                  strerror(-fd));
        return fd;
    }
    return supervisor_keep(sup, 0, KEEP_STATS, fd);
}

/*
 * What a worker is told of systemd's sockets: that they are there, and whose they are. Return: how many, of which the
 * names are in @names ("a:b", to be freed), or -ENOMEM.
 */
static int tell_activated(const struct conf_shares *shares, char **names)
{
    size_t room = 1;
    int n = 0;

    for (size_t i = 0; i < shares->n; i++)
        room += shares->at[i].name ? strlen(shares->at[i].name) + 1 : 0;
    char *text = *names = calloc(1, room);
    if (!text)
        return -ENOMEM;
    for (size_t i = 0; i < shares->n; i++) {
        if (!shares->at[i].activated)
            continue;
        if (shares->at[i].name)
            text += sprintf(text, "%s%s", n > 0 ? ":" : "", shares->at[i].name);
        n++;
    }
    return n;
}

/* Return: 0 or -ENOMEM. */
static int set_ids(const struct conf_shares *shares, uint64_t **ids)
{
    *ids = calloc(shares->n, sizeof(**ids));
    for (size_t i = 0; *ids && i < shares->n; i++)
        (*ids)[i] = keep_share_id(shares->at[i].name);
    return *ids ? 0 : -ENOMEM;
}

/* What the supervisor has of the configuration: for workers that are started again, and for the next one. */
struct texts {
    struct conf_texts now, next;
    void (*ready)(void *ctx);
    void *ctx;
};

static void on_ready(void *ctx)
{
    const struct texts *t = ctx;

    t->ready(t->ctx);
}

static int pass_texts(void *ctx, bool next)
{
    const struct texts *t = ctx;

    return conf_texts_pass(next ? &t->next : &t->now);
}

static int read_texts_again(void *ctx, int dir_fd)
{
    struct texts *t = ctx;

    conf_texts_free(&t->next);
    return conf_texts_again(&t->now, dir_fd, &t->next);
}

static void take_next_texts(void *ctx)
{
    struct texts *t = ctx;

    conf_texts_free(&t->now);
    t->now = t->next;
    t->next = (struct conf_texts){0};
}

int supervise(struct conf_shares *shares, char **argv, int notify_fd, void (*ready)(void *ctx),
              void *ctx)
{
    static struct texts texts; /* these until the process ends */
    struct supervisor_params p = {.notify_fd = notify_fd,
                                  .ready = on_ready,
                                  .pass = pass_texts,
                                  .look_again = read_texts_again,
                                  .taken = take_next_texts,
                                  .ctx = &texts};
    static struct supervisor *sup;
    static char *names;
    char number[16];
    cleanup_free uint64_t *ids = NULL;
    int n = tell_activated(shares, &names);

    texts = (struct texts){.now = shares->texts, .ready = ready, .ctx = ctx};
    shares->texts = (struct conf_texts){0};
    if (n < 0 || set_ids(shares, &ids) < 0) {
        log_error("--supervise: %s", strerror(ENOMEM));
        return EXIT_FAILURE;
    }
    snprintf(number, sizeof(number), "%d", n);
    p.listen_fds = n > 0 ? number : NULL;
    p.listen_names = *names ? names : NULL;
    if (supervisor_new(&sup, argv, (unsigned)shares->n, ids) < 0 || open_sockets(shares, sup) < 0)
        return EXIT_FAILURE;
    /* Workers still start in the directory that relative paths are meant for. */
    if (shares->at[0].daemonize && chdir("/") < 0) {
        log_error("--daemonize: /: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    return supervisor_run(sup, &p);
}

/* ---- the worker ------------------------------------------------------------------------------ */

int worker_begin(struct keep_worker **w, int fd, const struct conf_shares *shares)
{
    cleanup_free uint64_t *ids = NULL;
    int err = set_ids(shares, &ids);

    return err < 0 ? err : keep_worker_new(w, fd, (unsigned)shares->n, ids);
}

bool worker_heir(struct keep_worker *w, struct sandbox_heir *heir, int64_t nofile)
{
    *heir = (struct sandbox_heir){
        .ctx = w, .begun = keep_parent_of, .ended = keep_bequeath, .parent_fd = -1};
    return w && keep_prepare(w, (uint64_t)nofile);
}

static void on_quiesce(void *ctx)
{
    const struct serving *s = ctx;

    if (s->hub)
        hub_quiesce(s->hub);
    else
        vu_quiesce(s->share->vu);
}

static void on_lost(void *ctx)
{
    const struct serving *s = ctx;

    if (s->hub)
        hub_stop_listening(s->hub);
    else
        vu_stop_listening(s->share->vu);
}

static bool has_served(void *ctx)
{
    const struct serving *s = ctx;

    return s->hub ? hub_has_served(s->hub) : vu_has_served(s->share->vu);
}

/* Each share its own. Return: 0 or -errno (message printed). */
static int resume_all(const struct serving *s)
{
    int err = 0;

    for (size_t i = 0; i < s->n && err == 0; i++) {
        log_share(s->share[i].conf->name);
        err = share_resume(&s->share[i]);
    }
    log_share(NULL);
    return err;
}

int worker_take_turn(struct keep_worker *w, struct serving *s)
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
    if (s->stats)
        stats_adopt(s->stats, keep_take(s->share[0].keep, KEEP_STATS, 0));
    if ((err = resume_all(s)) < 0)
        return err;
    if ((err = keep_listen(w, &events)) < 0)
        log_error("the supervisor cannot be listened to: %s", strerror(-err));
    return err;
}
