// SPDX-License-Identifier: BSD-3-Clause
/*
 * watch.c - changes in the share that others make: the thread, and the door to the other files
 *
 * Theory of operation
 *
 *   Nothing is watched until a client wants it: watch_start() opens the kernel's side, and starts the thread the
 *   first time; the session's end closes the kernel's side again, which gives all watches back at once.
 *
 *   The thread reads events until there are none, then does one piece of other work (a directory to be crawled,
 *   some that nobody needs any more) and looks again, so that an event waits for a directory at most. With
 *   nothing to do it sleeps in epoll_wait(2), without a timeout: there is no timer between a change and its record.
 *
 * Ownership: struct watch owns all of it but the tree.
 * Locks: see watch.h. Callbacks are called without it.
 * syscalls: sched_yield epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 write unshare fchdir close futex
 */
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "host/log.h"
#include "host/thread.h"
#include "watch/watch_int.h"

/*
 * How often to look for the other half of a rename. The kernel queues it a moment after the first one, in the same
 * system call, perhaps on another processor; or never, if the other directory is not watched.
 */
#define MOVE_LOOKS 20u

/* For a watch that begins late: some milliseconds of the thread's time. */
#define FILES_LOOKED_AT 10000u

static void wake(struct watch *w)
{
    eventfd_write(w->wake_fd, 1);
}

static int poll_fd(struct watch *w, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events};

    return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* What the thread sleeps on. */
static int open_waiting(struct watch *w)
{
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->epoll_fd < 0 || w->wake_fd < 0)
        return -errno;
    return poll_fd(w, w->wake_fd, EPOLLIN | EPOLLET);
}

int watch_new(struct watch **out, const struct watch_params *p)
{
    if (p->how == WATCH_NEVER)
        return -EOPNOTSUPP;
    struct watch *w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->p = *p;
    w->epoll_fd = w->wake_fd = w->fd = w->mark_fd = w->fs_fd = -1;
    w->own_pid = getpid();
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->idle, NULL);
    int r = open_waiting(w);
    if (r == 0)
        r = records_new(&w->records, 0, 0);
    if (r == 0)
        r = expects_new(&w->expects);
    if (r < 0) {
        watch_free(w);
        return r;
    }
    *out = w;
    return 0;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* One look at the events, or else a piece of work. Return: was there anything? lock not held */
static bool step(struct watch *w)
{
    pthread_mutex_lock(&w->lock);
    size_t n = w->backend ? w->backend->read(w) : 0;
    if (n == 0 && w->moving.from && w->moving.looks++ < MOVE_LOOKS) {
        pthread_mutex_unlock(&w->lock);
        sched_yield();
        return true;
    }
    if (n == 0)
        dirs_settle(w);
    bool crawl = n == 0 && w->crawl_first, sweep = n == 0 && !crawl && w->sweep;
    if (sweep)
        dirs_sweep(w);
    bool waiting = records_count(w->records) > 0;
    w->crawls = crawl;
    pthread_mutex_unlock(&w->lock);
    if (waiting)
        w->p.ready(w->p.ctx);
    if (crawl) {
        crawl_one(w);
        pthread_mutex_lock(&w->lock);
        w->crawls = false;
        pthread_cond_broadcast(&w->idle);
        pthread_mutex_unlock(&w->lock);
    }
    return n > 0 || crawl || sweep;
}

static bool stopping(struct watch *w)
{
    pthread_mutex_lock(&w->lock);
    bool stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    return stop;
}

static void *watch_main(void *arg)
{
    struct watch *w = arg;
    struct epoll_event ev[2];

    thread_name("watch");
    log_share(w->share);
    /* Paths are numbers of descriptors (inotify.c). */
    if (unshare(CLONE_FS) < 0 || fchdir(w->p.proc_fd) < 0)
        log_error("watch: no working directory: %s", strerror(errno));
    while (!stopping(w)) {
        if (step(w))
            continue;
        crawl_answer(w);
        if (epoll_wait(w->epoll_fd, ev, 2, -1) < 0 && errno != EINTR) {
            log_error("watch: %s", strerror(errno));
            break;
        }
    }
    return NULL;
}

static void close_backend(struct watch *w)
{
    if (w->backend)
        w->backend->close(w);
    w->backend = NULL;
}

static int open_backend(struct watch *w)
{
    const struct backend *b = w->p.how == WATCH_FANOTIFY ? &backend_fanotify : &backend_inotify;
    int fd = b->open(w);

    if (fd < 0) {
        b->close(w);
        return fd;
    }
    w->backend = b;
    atomic_store(&w->needs_own, b->position != NULL);
    int r = poll_fd(w, fd, EPOLLIN);
    if (r < 0)
        close_backend(w);
    else
        log_debug("watch: changes are told by %s", b->name);
    return r;
}

int watch_start(struct watch *w)
{
    int r = 0;

    pthread_mutex_lock(&w->lock);
    if (!w->backend) {
        if (!w->started) {
            w->share = log_of_share();
            r = thread_start(&w->thread, watch_main, w);
        }
        w->started = r == 0;
        if (r == 0)
            r = open_backend(w);
        if (r < 0 && !w->told_failure) {
            log_warn("changes on the host cannot be watched: %s (sysctl "
                     "fs.inotify.max_user_instances?); the guest looks again every second instead",
                     strerror(-r));
            w->told_failure = true;
        }
    }
    pthread_mutex_unlock(&w->lock);
    return r;
}

static void free_subtrees(struct watch *w)
{
    while (w->subtrees) {
        struct subtree *s = w->subtrees;
        w->subtrees = s->next;
        free(s);
    }
    w->n_subtrees = 0;
    w->crawling_for = NULL;
}

void watch_lost(struct watch *w)
{
    pthread_mutex_lock(&w->lock);
    records_lost(w->records);
    pthread_mutex_unlock(&w->lock);
    wake(w);
}

void watch_reset(struct watch *w)
{
    pthread_mutex_lock(&w->lock);
    dirs_clear(w);
    free_subtrees(w);
    close_backend(w);
    expect_clear(w->expects);
    records_clear(w->records);
    while (w->crawls) /* it sees at its next look that there is nothing to crawl for */
        pthread_cond_wait(&w->idle, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    if (w->started) {
        pthread_mutex_lock(&w->lock);
        w->stop = true;
        pthread_mutex_unlock(&w->lock);
        wake(w);
        pthread_join(w->thread, NULL);
    }
    watch_reset(w);
    if (w->wake_fd >= 0)
        close(w->wake_fd);
    if (w->epoll_fd >= 0)
        close(w->epoll_fd);
    records_free(w->records);
    expects_free(w->expects);
    pthread_cond_destroy(&w->idle);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

/* ---- covering -------------------------------------------------------------------------------- */

static bool is_covered(struct watch *w, struct inode *dir)
{
    struct wdir *d = dir_by_node(w, inode_id(dir));

    if (d && d->key.len)
        inode_set_covered(dir);
    return d && d->key.len;
}

/* Lock held. @fd: the directory */
static bool cover(struct watch *w, struct inode *dir, int fd)
{
    if (!w->backend || is_covered(w, dir))
        return w->backend;
    struct wdir *d = dir_new(w), *one = d;
    if (!d)
        return false;
    int r = dir_watch(w, &one, fd);
    if (r < 0 || one != d)
        dir_free(w, d);
    if (r < 0)
        return false;
    dir_set_node(w, one, inode_id(dir));
    inode_set_covered(dir);
    return true;
}

bool watch_cover(struct watch *w, struct inode *dir)
{
    struct inode_fd f;

    if (inode_type(dir) != S_IFDIR || inode_on_controls(w->p.tree, dir))
        return false;
    pthread_mutex_lock(&w->lock);
    bool covered = w->backend && is_covered(w, dir);
    pthread_mutex_unlock(&w->lock);
    if (covered || inode_fd_get(w->p.tree, dir, &f) < 0)
        return covered;
    pthread_mutex_lock(&w->lock);
    covered = cover(w, dir, f.fd);
    bool told = records_count(w->records) > 0;
    pthread_mutex_unlock(&w->lock);
    inode_fd_put(w->p.tree, &f);
    if (told)
        wake(w); /* another one was given up */
    return covered;
}

/*
 * Lock held. @dir is new and covered now; the client does not know of it yet, so what is in it by now was made by
 * others.
 */
static void place_made(struct watch *w, struct wdir *parent, const char *name, struct inode *dir,
                       bool empty)
{
    struct wdir *d = dir_by_node(w, inode_id(dir));

    if (!d || dir_place(w, d, parent, name, strlen(name)) < 0) {
        dir_tell(w, parent, VIOFS_UNCOVERED, true, name, strlen(name));
    } else if (!empty) {
        dir_tell(w, d, VIOFS_RESCAN, true, NULL, 0);
        crawl_add(w, d, NULL, ARRIVAL_KNOWN);
    }
}

void watch_made(struct watch *w, struct inode *parent, const char *name, struct inode *dir)
{
    pthread_mutex_lock(&w->lock);
    struct wdir *p = w->backend && !w->backend->whole ? dir_by_node(w, inode_id(parent)) : NULL;
    bool wanted = p && dir_wanted(p);
    pthread_mutex_unlock(&w->lock);
    if (!wanted)
        return;
    bool empty = watch_cover(w, dir) && crawl_is_empty(w, dir);
    pthread_mutex_lock(&w->lock);
    p = dir_by_node(w, inode_id(parent));
    if (p && dir_wanted(p))
        place_made(w, p, name, dir, empty);
    bool told = records_count(w->records) > 0 || w->crawl_first;
    pthread_mutex_unlock(&w->lock);
    if (told)
        wake(w);
}

void watch_forgotten(void *ctx, uint64_t id)
{
    struct watch *w = ctx;

    pthread_mutex_lock(&w->lock);
    struct wdir *d = dir_by_node(w, id);
    if (d && dir_wanted(d)) {
        dir_set_node(w, d, 0);
    } else if (d) {
        if (d->key.len)
            w->backend->remove(w, &d->key);
        dir_free(w, d);
    }
    pthread_mutex_unlock(&w->lock);
}

/* ---- subtrees -------------------------------------------------------------------------------- */

static struct subtree **find_subtree(struct watch *w, uint64_t number)
{
    struct subtree **p = &w->subtrees;

    while (*p && (*p)->number != number)
        p = &(*p)->next;
    return p;
}

/* Lock held. */
static int add_subtree(struct watch *w, struct inode *dir, uint64_t number, uint32_t age_ms)
{
    if (*find_subtree(w, number))
        return -EEXIST;
    if (w->n_subtrees >= WATCH_SUBTREES_MAX)
        return -ENOSPC;
    struct subtree *s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->number = number;
    s->looks = FILES_LOOKED_AT;
    s->since =
        age_ms ? watch_now() - ((int64_t)age_ms + VIOFS_WATCH_MARGIN_MS) * 1000000 : INT64_MAX;
    s->partial = !inode_mount_local(w->p.tree, dir);
    s->root = dir_by_node(w, inode_id(dir));
    if (w->backend->whole && w->has_mounts)
        s->partial = true;
    if (w->backend->refresh)
        w->backend->refresh(w);
    s->next = w->subtrees;
    w->subtrees = s;
    w->n_subtrees++;
    if (s->root) {
        s->root->roots++;
        if (w->backend->whole ? w->missed_at >= s->since : age_ms && s->partial)
            dir_tell(w, s->root, VIOFS_RESCAN, true, NULL, 0);
        crawl_add(w, s->root, s, ARRIVAL_KNOWN);
    }
    return 0;
}

int watch_subtree(struct watch *w, struct inode *dir, uint64_t number, uint32_t age_ms)
{
    (void)watch_cover(w, dir); /* if it cannot be, that is the answer */
    pthread_mutex_lock(&w->lock);
    int r = add_subtree(w, dir, number, age_ms);
    pthread_mutex_unlock(&w->lock);
    if (r == 0)
        wake(w);
    return r;
}

int watch_end_subtree(struct watch *w, uint64_t number)
{
    pthread_mutex_lock(&w->lock);
    struct subtree **p = find_subtree(w, number), *s = *p;
    if (s) {
        *p = s->next;
        w->n_subtrees--;
        if (s->root)
            s->root->roots--;
        for (struct wdir *d = w->crawl_first; d; d = d->crawl_next)
            if (d->job == s)
                d->job = NULL;
        if (w->crawling_for == s)
            w->crawling_for = NULL;
        free(s);
        w->sweep = w->first;
    }
    pthread_mutex_unlock(&w->lock);
    if (s)
        wake(w);
    return s ? 0 : -ENOENT;
}

/* ---- records and changes of our own ---------------------------------------------------------- */

size_t watch_take(struct watch *w, void *buf, size_t room)
{
    pthread_mutex_lock(&w->lock);
    size_t n = records_take(w->records, buf, room);
    pthread_mutex_unlock(&w->lock);
    return n;
}

bool watch_needs_own(struct watch *w)
{
    return atomic_load_explicit(&w->needs_own, memory_order_relaxed);
}

void watch_own_begin(struct watch *w, const struct watch_change *c, unsigned n,
                     struct watch_own *own)
{
    own->n = 0;
    pthread_mutex_lock(&w->lock);
    if (w->backend && w->backend->position) {
        uint64_t from = w->backend->position(w);
        for (unsigned i = 0; i < n; i++) {
            struct wdir *d = dir_by_node(w, inode_id(c[i].dir));
            own->expected[i] = d && d->key.len
                                   ? expect_begin(w->expects, key_number(&d->key), c[i].name,
                                                  strlen(c[i].name), c[i].kinds, from)
                                   : NULL;
        }
        own->n = n;
    }
    pthread_mutex_unlock(&w->lock);
}

/* Lock held: events that were taken for ours, and are not. */
static void tell_after_all(struct watch *w, const struct watch_change *c, unsigned kinds)
{
    static const uint32_t actions[] = {VIOFS_ADDED,  VIOFS_REMOVED, VIOFS_MODIFIED,
                                       VIOFS_ATTRIB, VIOFS_REMOVED, VIOFS_ADDED};
    struct wdir *d = dir_by_node(w, inode_id(c->dir));

    for (unsigned i = 0; d && i < sizeof(actions) / sizeof(actions[0]); i++)
        if (kinds & 1u << i)
            dir_tell(w, d, actions[i], false, c->name, strlen(c->name));
}

void watch_own_end(struct watch *w, const struct watch_change *c, unsigned n, struct watch_own *own,
                   unsigned done)
{
    bool told = false;

    if (own->n == 0)
        return;
    pthread_mutex_lock(&w->lock);
    /* The session cannot have ended: its requests are waited for. */
    unsigned kinds = 0;
    for (unsigned i = 0; i < n; i++)
        kinds |= own->expected[i] ? c[i].kinds : 0;
    if (kinds & (WATCH_MODIFY | WATCH_ATTRIB))
        w->backend->mark(w);
    uint64_t to = w->backend->position(w);
    for (unsigned i = 0; i < n; i++) {
        if (!own->expected[i])
            continue;
        unsigned tell = expect_end(w->expects, own->expected[i], to, c[i].kinds & done);
        if (tell)
            tell_after_all(w, &c[i], tell);
        told |= tell != 0;
    }
    pthread_mutex_unlock(&w->lock);
    if (told)
        wake(w);
}

/* ---- numbers --------------------------------------------------------------------------------- */

#define NUMBER(name, value)                                                                        \
    uint64_t name(void *ctx)                                                                       \
    {                                                                                              \
        struct watch *w = ctx;                                                                     \
        pthread_mutex_lock(&w->lock);                                                              \
        uint64_t n = value;                                                                        \
        pthread_mutex_unlock(&w->lock);                                                            \
        return n;                                                                                  \
    }
NUMBER(watch_count, w->n_covered)
NUMBER(watch_subtrees, w->n_subtrees)
NUMBER(watch_records, records_count(w->records))
NUMBER(watch_overflows, w->overflows)
NUMBER(watch_rescans, records_rescans(w->records))
