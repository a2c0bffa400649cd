// SPDX-License-Identifier: BSD-3-Clause
/*
 * feed.c - telling a client what others change in the share
 *
 * Theory of operation
 *
 *   The client keeps one EVENTS request out. It is kept like a request that waits for a lock, without a thread:
 *   the watch thread, when it has made a record of a change, fills the reply and gives the chain back. Records
 *   that come while no EVENTS is out wait in their queue, and the next EVENTS takes them.
 *
 *   WATCH is kept, too, until all of its subtree is covered, which may take a while.
 *
 *   Validities: an entry may be kept for an hour if a change of it will be reported. That takes a directory that is
 *   covered (asked after the entry was read, so that one which was given up meanwhile does not count), a file
 *   system whose changes are all made through this kernel, one name only (through another name the change is
 *   reported elsewhere), the cache mode auto with its own timeout, and a client that listens. A reply may be
 *   overtaken by the record of a change after it; docs/protocol.md says what the client does about it.
 *
 *   The subtrees are kept (struct kept_session). Whoever goes on in this process's place covers them again.
 *
 * Locks: srv->kept_lock, then feed.lock, then watch/'s. cancel() comes with the first one held.
 * syscalls: openat fchdir close
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/clock.h"
#include "host/log.h"
#include "server/feed.h"

#define LONG_VALID_S 3600u
#define EVENTS_ROOM  65536u

/* A WATCH that is not answered yet. */
struct feed_wait {
    struct feed_wait *next;
    uint64_t number;
    uint64_t began_ns;
    struct srv_kept *kept;
};

struct feed {
    struct watch *watch;
    pthread_mutex_t lock;
    struct srv_kept *events;  /* lock: the EVENTS request that is out, or NULL */
    struct feed_wait *waits;  /* lock */
    atomic_bool listens;      /* there has been an EVENTS request in this session */
    bool long_valid;          /* the options allow long validities */
    uint8_t buf[EVENTS_ROOM]; /* the watch thread's */
};

/* ---- EVENTS ---------------------------------------------------------------------------------- */

static size_t reply_room(const struct srv_kept *k)
{
    uint64_t room = k->rq.out.room - sizeof(struct fuse_out_header);

    return room < EVENTS_ROOM ? (size_t)room : EVENTS_ROOM;
}

static void answer(struct srv_kept *k, const void *payload, size_t len)
{
    rq_done(k, fuse_reply_buf(&k->rq.out, k->call.in.unique, payload, len));
}

/* watch_params.ready: on the watch thread */
static void ready(void *ctx)
{
    struct feed *f = ((struct server *)ctx)->feed;

    pthread_mutex_lock(&f->lock);
    struct srv_kept *k = f->events;
    size_t n = k ? watch_take(f->watch, f->buf, reply_room(k)) : 0;
    if (n)
        f->events = NULL;
    pthread_mutex_unlock(&f->lock);
    if (n)
        answer(k, f->buf, n);
}

static bool cancel_events(struct srv_kept *k)
{
    struct feed *f = k->rq.srv->feed;

    pthread_mutex_lock(&f->lock);
    bool withdrawn = f->events == k;
    if (withdrawn)
        f->events = NULL;
    pthread_mutex_unlock(&f->lock);
    return withdrawn;
}

/* Return: what to answer at once: bytes in @buf, -EBUSY, -EINTR; 0: @k waits. */
static int64_t wait_for_events(struct srv_req *rq, struct srv_kept *k, uint8_t *buf)
{
    struct server *srv = rq->srv;
    struct feed *f = srv->feed;
    int64_t r = 0;

    pthread_mutex_lock(&srv->kept_lock);
    pthread_mutex_lock(&f->lock);
    if (f->events)
        r = -EBUSY;
    else if (k->hurry)
        r = -EINTR;
    else
        r = (int64_t)watch_take(f->watch, buf, reply_room(k));
    if (r == 0) {
        k->cancel = cancel_events;
        f->events = k;
    }
    pthread_mutex_unlock(&f->lock);
    pthread_mutex_unlock(&srv->kept_lock);
    return r;
}

int64_t op_events(struct srv_req *rq)
{
    uint8_t *buf = thread_out(rq->t, EVENTS_ROOM);

    if (!feed_on(rq->srv))
        return rq_error(rq, -ENOSYS);
    if (rq->c->in.nodeid != TREE_ROOT_ID)
        return rq_error(rq, -EINVAL);
    struct srv_kept *k = buf ? rq_keep(rq) : NULL;
    if (!k)
        return rq_error(rq, -ENOMEM);
    atomic_store(&rq->srv->feed->listens, true);
    int64_t r = wait_for_events(rq, k, buf);
    if (r > 0)
        answer(k, buf, (size_t)r);
    else if (r < 0)
        rq_done_error(k, (int)r);
    return VU_LATER;
}

/* ---- WATCH ----------------------------------------------------------------------------------- */

/* Lock held. Return: the waiting WATCH of that number, or for that request; out of the list, to be freed. */
static struct feed_wait *take_wait(struct feed *f, uint64_t number, const struct srv_kept *k)
{
    for (struct feed_wait **p = &f->waits; *p; p = &(*p)->next) {
        struct feed_wait *wait = *p;
        if (k ? wait->kept == k : wait->number == number) {
            *p = wait->next;
            return wait;
        }
    }
    return NULL;
}

/* watch_params.covered: on the watch thread */
static void covered(void *ctx, uint64_t number, bool whole)
{
    struct feed *f = ((struct server *)ctx)->feed;
    struct fuse_viofs_watch_out out = {.flags = whole ? VIOFS_WATCH_WHOLE : 0};

    pthread_mutex_lock(&f->lock);
    struct feed_wait *wait = take_wait(f, number, NULL);
    pthread_mutex_unlock(&f->lock);
    if (wait) {
        out.took_ms = (uint32_t)((clock_ns() - wait->began_ns) / 1000000);
        answer(wait->kept, &out, sizeof(out));
    }
    free(wait);
}

/* Subtrees are kept, by the client's number; feed.lock held. @node 0: it has gone. */
static void record_subtree(struct server *srv, uint64_t number, uint64_t node)
{
    struct kept_session *k = srv->kept_session;

    for (unsigned i = 0; i < WATCH_SUBTREES_MAX; i++) {
        bool is = node ? k->watch[i].node == 0 : k->watch[i].number == number;
        if (!is)
            continue;
        k->watch[i].number = node ? number : 0;
        atomic_store_explicit(&k->watch[i].node, node, memory_order_release);
        return;
    }
}

/* Lock held. */
static int end_subtree(struct server *srv, uint64_t number)
{
    record_subtree(srv, number, 0);
    return watch_end_subtree(srv->feed->watch, number);
}

static bool cancel_watch(struct srv_kept *k)
{
    struct feed *f = k->rq.srv->feed;

    pthread_mutex_lock(&f->lock);
    struct feed_wait *wait = take_wait(f, 0, k);
    if (wait)
        (void)end_subtree(k->rq.srv, wait->number);
    pthread_mutex_unlock(&f->lock);
    free(wait);
    return wait != NULL;
}

/* Return: 0 and the request waits, or has been answered; -errno. */
static int begin_watch(struct srv_req *rq, struct srv_kept *k, struct feed_wait *wait)
{
    const struct fuse_viofs_watch_in *in = rq->c->arg;
    struct feed *f = rq->srv->feed;

    uint64_t now = clock_ns();
    pthread_mutex_lock(&f->lock); /* covered() waits until the request can be found */
    if (rq->record->again)        /* it may have been covered for the client already */
        (void)end_subtree(rq->srv, in->watch);
    int r = watch_subtree(f->watch, rq->inode, in->watch, in->age_ms);
    if (r == 0) {
        *wait =
            (struct feed_wait){.next = f->waits, .number = in->watch, .began_ns = now, .kept = k};
        f->waits = wait;
        record_subtree(rq->srv, in->watch, rq->c->in.nodeid);
    }
    pthread_mutex_unlock(&f->lock);
    return r;
}

/* An INTERRUPT may have come before there was anything to withdraw. */
static void check_hurry(struct server *srv, struct srv_kept *k)
{
    struct feed_wait *wait = NULL;

    pthread_mutex_lock(&srv->kept_lock);
    pthread_mutex_lock(&srv->feed->lock);
    for (wait = srv->feed->waits; wait && wait->kept != k; wait = wait->next)
        ;
    bool hurry = wait && k->hurry; /* without a wait, k is not ours any more */
    pthread_mutex_unlock(&srv->feed->lock);
    bool withdrawn = hurry && cancel_watch(k);
    pthread_mutex_unlock(&srv->kept_lock);
    if (withdrawn)
        rq_done_error(k, -EINTR);
}

int64_t op_watch(struct srv_req *rq)
{
    const struct fuse_viofs_watch_in *in = rq->c->arg;
    struct server *srv = rq->srv;

    if (!feed_on(srv))
        return rq_error(rq, -ENOSYS);
    if (in->watch == 0)
        return rq_error(rq, -EINVAL);
    if (inode_type(rq->inode) != S_IFDIR)
        return rq_error(rq, -ENOTDIR);
    int r = thread_to_fds(rq);
    if (r < 0)
        return rq_error(rq, r);
    struct feed_wait *wait = malloc(sizeof(*wait));
    struct srv_kept *k = wait ? rq_keep(rq) : NULL;
    if (!k) {
        free(wait);
        return rq_error(rq, -ENOMEM);
    }
    pthread_mutex_lock(&srv->kept_lock);
    k->cancel = cancel_watch;
    pthread_mutex_unlock(&srv->kept_lock);
    r = begin_watch(rq, k, wait);
    if (r < 0) {
        free(wait);
        rq_done_error(k, r);
    } else {
        check_hurry(srv, k);
    }
    return VU_LATER;
}

int64_t op_unwatch(struct srv_req *rq)
{
    const struct fuse_viofs_unwatch_in *in = rq->c->arg;

    if (!feed_on(rq->srv))
        return rq_error(rq, -ENOSYS);
    struct feed *f = rq->srv->feed;
    pthread_mutex_lock(&f->lock);
    int r = end_subtree(rq->srv, in->watch);
    struct feed_wait *wait = r == 0 ? take_wait(f, in->watch, NULL) : NULL;
    pthread_mutex_unlock(&f->lock);
    if (wait)
        rq_done_error(wait->kept, -EINTR);
    free(wait);
    return rq_error(rq, r);
}

/* ---- looking, and validities ------------------------------------------------------------------ */

/* For a client that wants the feed; others never come here. */
void feed_watch(struct srv_req *rq, struct inode *dir)
{
    if (inode_covered(dir) || thread_to_fds(rq) < 0)
        return;
    if (inode_mount_local(rq->srv->tree, dir))
        (void)watch_cover(rq->srv->feed->watch, dir);
}

void feed_made(struct srv_req *rq, struct inode *made)
{
    if (feed_on(rq->srv) && inode_type(made) == S_IFDIR && thread_to_fds(rq) == 0)
        watch_made(rq->srv->feed->watch, rq->inode, rq->c->name[0].s, made);
}

/* May what is in @dir be kept for long? */
static bool keeps(struct srv_req *rq, struct inode *dir)
{
    struct server *srv = rq->srv;

    return feed_on(srv) && srv->feed->long_valid &&
           atomic_load_explicit(&srv->feed->listens, memory_order_relaxed) && inode_covered(dir) &&
           inode_mount_local(srv->tree, dir);
}

void feed_entry(struct srv_req *rq, struct inode *dir, const struct statx *stx, struct tree_met met,
                struct fuse_entry_out *e)
{
    if (met.other_mount || !keeps(rq, dir))
        return;
    e->entry_valid = LONG_VALID_S;
    e->entry_valid_nsec = 0;
    if (e->nodeid == 0)
        return;
    if (S_ISDIR(stx->stx_mode) ? tree_covered(rq->srv->tree, met.id) : stx->stx_nlink == 1) {
        e->attr_valid = LONG_VALID_S;
        e->attr_valid_nsec = 0;
    }
}

void feed_attr(struct srv_req *rq, struct inode *inode, const struct statx *stx,
               struct fuse_attr_out *a)
{
    struct server *srv = rq->srv;

    if (!feed_on(srv))
        return;
    bool good = S_ISDIR(stx->stx_mode)
                    ? keeps(rq, inode)
                    : stx->stx_nlink == 1 && srv->feed->long_valid &&
                          atomic_load_explicit(&srv->feed->listens, memory_order_relaxed) &&
                          inode_mount_local(srv->tree, inode) &&
                          inode_in_covered_place(srv->tree, inode);
    if (good) {
        a->attr_valid = LONG_VALID_S;
        a->attr_valid_nsec = 0;
    }
}

/* ---- life ------------------------------------------------------------------------------------- */

bool feed_start(struct srv_req *rq)
{
    struct server *srv = rq->srv;

    return srv->feed && thread_to_fds(rq) == 0 && watch_start(srv->feed->watch) == 0;
}

/* What another worker was asked to cover. Nobody waits until it is: what happens on the way is wanted, too. */
static void cover_again(struct server *srv)
{
    struct kept_session *k = srv->kept_session;

    for (unsigned i = 0; i < WATCH_SUBTREES_MAX; i++) {
        uint64_t node = atomic_load(&k->watch[i].node);
        struct inode *inode = node ? inode_get(srv->tree, node) : NULL;
        if (inode && watch_subtree(srv->feed->watch, inode, k->watch[i].number, 1) < 0)
            log_warn_limited("a subtree is not watched any more since the daemon was replaced");
        if (inode)
            inode_put(srv->tree, inode);
        else
            atomic_store(&k->watch[i].node, 0);
    }
}

bool feed_resume(struct server *srv)
{
    /* Covering needs a thread whose working directory is /proc/self/fd (watch.h); ours goes back. */
    cleanup_close int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool started = fchdir(srv->sb.proc_fd) == 0 && watch_start(srv->feed->watch) == 0;

    if (started) {
        cover_again(srv);
        watch_lost(srv->feed->watch);
    }
    if (here < 0 || fchdir(here) < 0)
        log_warn("the working directory is another one now: %s", strerror(errno));
    return started;
}

/* Nobody is running; what waits is withdrawn by kept_cancel(). */
void feed_reset(struct server *srv)
{
    if (!srv->feed)
        return;
    watch_reset(srv->feed->watch);
    memset(srv->kept_session->watch, 0, sizeof(srv->kept_session->watch));
    atomic_store(&srv->feed->listens, false);
}

int feed_new(struct server *srv)
{
    const struct conf *conf = srv->conf;
    struct feed *f;

    if (conf->watch == WATCH_NEVER)
        return 0;
    if (conf->watch == WATCH_FANOTIFY && !srv->sb.can_handles) {
        log_error(
            "--watch=fanotify needs file handles: leave --inode-file-handles=never out, or use "
            "--watch=inotify");
        return -EOPNOTSUPP;
    }
    f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    const struct watch_params p = {
        .tree = srv->tree,
        .proc_fd = srv->sb.proc_fd,
        .how = conf->watch,
        .limit = (uint32_t)conf->watch_limit,
        .fanotify_fd = srv->sb.fanotify_fd,
        .root_fd = srv->sb.root_fd,
        .mountinfo_fd = srv->sb.mountinfo_fd,
        .mount_prefix = srv->sb.mount_prefix,
        .ready = ready,
        .covered = covered,
        .ctx = srv,
    };
    int r = watch_new(&f->watch, &p);
    if (r < 0) {
        free(f);
        return r;
    }
    pthread_mutex_init(&f->lock, NULL);
    f->long_valid = conf->cache == CACHE_AUTO && conf->timeout < 0;
    srv->feed = f;
    srv->watch = f->watch;
    tree_on_uncover(srv->tree, watch_forgotten, f->watch);
    return 0;
}

void feed_free(struct server *srv)
{
    if (!srv->feed)
        return;
    watch_free(srv->feed->watch);
    pthread_mutex_destroy(&srv->feed->lock);
    free(srv->feed);
    srv->feed = NULL;
}

int feed_gauges(struct server *srv)
{
    const struct {
        const char *name, *help;
        uint64_t (*read)(void *);
    } gauges[] = {
        {"virtiofsd_watched_directories", "Directories in which changes are watched", watch_count},
        {"virtiofsd_watched_subtrees", "Subtrees that the guest asked to watch", watch_subtrees},
        {"virtiofsd_waiting_changes", "Changes that wait for the guest to take them",
         watch_records},
        {"virtiofsd_watch_overflows", "Times that the kernel lost events", watch_overflows},
        {"virtiofsd_watch_rescans", "Times that the guest was told to look at everything again",
         watch_rescans},
    };

    for (size_t i = 0; srv->feed && i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        int r = stats_gauge(srv->stats, gauges[i].name, gauges[i].help, gauges[i].read,
                            srv->feed->watch);
        if (r < 0)
            return r;
    }
    return 0;
}
