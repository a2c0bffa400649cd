// SPDX-License-Identifier: BSD-3-Clause
/*
 * server.c - the server's beginning and end, and its threads
 *
 * Theory of operation
 *
 *   The server is built inside the sandbox and starts its pool when it is complete. Each thread
 *   that serves requests, worker or pool, passes through thread_begin(), which gives it scratch memory, a
 *   cwd and umask of its own, and the one signal that INTERRUPT uses.
 *
 *   Descriptors: what RLIMIT_NOFILE allows, less a reserve for the daemon itself and for record
 *   locks, is shared between the guest's open files and the descriptor cache. Each open file may hold
 *   one of the cache's. --limit-files narrows this for a share.
 *
 * syscalls: sysinfo unshare rt_sigaction rt_sigprocmask geteuid geteuid32 getegid getegid32
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/log.h"
#include "server/dispatch.h"
#include "server/feed.h"
#include "server/xattrmap.h"
#include "state/state.h"

enum {
    FD_RESERVE = 160,     /* sockets, rings, memory regions, logs, one transient per thread */
    FD_CACHE_MAX = 65536, /* more descriptors only pin more of the host's memory */
    POOL_SHARED_IDLE = 2, /* the same for several shares, of which each has a part */
    POOL_SHARED_MAX = 32,
    POOL_DEFAULT = 8, /* threads for requests that block; they cost a stack each when idle */
};

static void on_interrupt(int sig)
{
    (void)sig; /* its only purpose is EINTR */
}

/* A thread of the process' pools serves one share after the other: it counts and speaks for this one now. */
static void bind_share(struct srv_thread *t, struct server *srv)
{
    if (t->srv)
        stats_block_give(t->srv->stats, t->stats);
    t->srv = srv;
    t->stats = srv ? stats_block_take(srv->stats) : NULL;
    log_share(srv ? srv->conf->name : NULL);
}

void thread_for(struct srv_thread *t, struct server *srv)
{
    if (__builtin_expect(t->srv != srv, 0))
        bind_share(t, srv);
}

static void *thread_begin(void *ctx)
{
    struct srv_thread *t = aligned_alloc(64, (sizeof(*t) + 63) & ~(size_t)63);
    sigset_t set;

    (void)ctx;
    if (!t)
        return NULL;
    memset(t, 0, offsetof(struct srv_thread, iov));
    if (unshare(CLONE_FS) < 0) {
        log_error("cannot give a thread its own working directory: %s", strerror(errno));
        free(t);
        return NULL;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    return t;
}

static void thread_end(void *ctx, void *thread)
{
    struct srv_thread *t = thread;

    (void)ctx;
    if (!t)
        return;
    bind_share(t, NULL);
    free(t->out);
    free(t);
}

static void batch_begin(void *ctx, void *thread)
{
    thread_for(thread, ctx);
    pthread_rwlock_rdlock(&((struct server *)ctx)->gate);
}

static void batch_end(void *ctx, void *thread)
{
    (void)thread;
    pthread_rwlock_unlock(&((struct server *)ctx)->gate);
}

static uint64_t pause_ns(void *ctx, struct vq *vq)
{
    return pace_pause(&((struct server *)ctx)->pace, vq, clock_ns());
}

static void cancel_later(void *ctx, struct vq *vq)
{
    kept_cancel(ctx, vq);
}

static void defer_later(void *ctx, struct vq *vq)
{
    kept_defer(ctx, vq);
}

static void reset(void *ctx)
{
    struct server *srv = ctx;

    pthread_rwlock_wrlock(&srv->gate);
    session_reset(srv);
    pace_reset(&srv->pace);
    pthread_rwlock_unlock(&srv->gate);
}

const struct vu_ops server_ops = {
    .serve = dispatch_serve,
    .thread_begin = thread_begin,
    .thread_end = thread_end,
    .batch_begin = batch_begin,
    .batch_end = batch_end,
    .pause_ns = pause_ns,
    .cancel_later = cancel_later,
    .defer_later = defer_later,
    .save = state_save,
    .load = state_load,
    .resumed = state_resumed,
    .session_reset = reset,
};

/* Entry and attribute timeouts: those of the existing daemons. */
static void set_timeouts(struct server *srv)
{
    double t = srv->conf->timeout;

    if (t < 0) {
        switch (srv->conf->cache) {
        case CACHE_NEVER:
            t = 0;
            break;
        case CACHE_AUTO:
            t = 1;
            break;
        case CACHE_ALWAYS:
        case CACHE_METADATA:
            t = 86400;
            break;
        }
    }
    uint64_t ns = (uint64_t)(t * 1e9);
    srv->entry_valid_s = srv->attr_valid_s = ns / 1000000000u;
    srv->entry_valid_ns = srv->attr_valid_ns = (uint32_t)(ns % 1000000000u);
}

static uint64_t kept_count(void *ctx)
{
    struct server *srv = ctx;

    pthread_mutex_lock(&srv->kept_lock);
    uint64_t n = srv->n_kept;
    pthread_mutex_unlock(&srv->kept_lock);
    return n;
}

static uint64_t limit_of_files(void *ctx)
{
    return (uint64_t)((struct server *)ctx)->conf->limit_files;
}

static int register_gauges(struct server *srv)
{
    const struct {
        const char *name, *help;
        uint64_t (*read)(void *);
        void *ctx;
    } gauges[] = {
        {"virtiofsd_inodes", "Inodes that the guest knows", tree_inodes, srv->tree},
        {"virtiofsd_cached_descriptors", "Descriptors in the inode cache", tree_fds, srv->tree},
        {"virtiofsd_open_handles", "Files and directories that the guest has open", handles_count,
         srv->handles},
        {"virtiofsd_kept_requests", "Requests waiting in the pool or for a lock", kept_count, srv},
    };

    for (size_t i = 0; srv->stats && i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        int r =
            stats_gauge(srv->stats, gauges[i].name, gauges[i].help, gauges[i].read, gauges[i].ctx);
        if (r < 0)
            return r;
    }
    int r = srv->stats ? feed_gauges(srv) : 0;
    if (srv->stats && r == 0 && srv->conf->limit_files)
        r = stats_gauge(srv->stats, "virtiofsd_limit_files",
                        "Descriptors that the guest may use up", limit_of_files, srv);
    if (srv->stats && r == 0)
        r = space_gauges(&srv->space, srv->stats);
    return srv->stats && r == 0 ? pace_gauges(&srv->pace, srv->stats) : r;
}

static int init_locks(struct server *srv)
{
    pthread_rwlockattr_t attr;

    pthread_rwlockattr_init(&attr);
    /* INIT and DESTROY must not starve behind a stream of requests. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    int r = pthread_rwlock_init(&srv->gate, &attr);
    pthread_rwlockattr_destroy(&attr);
    if (r == 0)
        r = pthread_mutex_init(&srv->kept_lock, NULL);
    return -r;
}

/* A guest that never forgets may fill a quarter of the host's memory, at about 128 bytes an inode. */
static uint32_t inodes_that_fit(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t fit = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 4 / 128 : 1u << 20;

    return fit > UINT32_MAX ? UINT32_MAX : (uint32_t)fit;
}

/* --limit-files: as if the process might not have more. */
static int limit_files(const struct conf *conf, int64_t *nofile)
{
    if (conf->limit_files == 0)
        return 0;
    if (conf->limit_files > *nofile - FD_RESERVE) {
        log_error("--limit-files=%lld: the daemon may have %lld open files, %d of them for itself; "
                  "ask for "
                  "fewer, or raise --rlimit-nofile",
                  (long long)conf->limit_files, (long long)*nofile, FD_RESERVE);
        return -EINVAL;
    }
    *nofile = conf->limit_files + FD_RESERVE;
    return 0;
}

static int build(struct server *srv, int64_t nofile)
{
    const struct conf *conf = srv->conf;
    int r = limit_files(conf, &nofile);
    if (r < 0)
        return r;
    uint32_t lock_fds = locks_fds(conf, nofile);
    int64_t guest_fds = nofile - FD_RESERVE - lock_fds;

    if (guest_fds < 64) {
        log_error("the limit of %lld open files is too low; raise it or use --rlimit-nofile",
                  (long long)nofile);
        return -EMFILE;
    }
    /* An eighth for files without a name that the cache has no room for, or that a handle's descriptor may not keep. */
    int64_t kept = keep_is_supervised(srv->keep) ? guest_fds / 8 : 0;
    keep_allow(srv->keep, (uint64_t)kept);
    guest_fds -= kept;
    /* Two thirds for the cache, since an open file may hold an entry besides its own descriptor. */
    int64_t cache = guest_fds * 2 / 3;
    struct tree_params tp = {
        .keep = srv->keep,
        .root_fd = srv->sb.root_fd,
        .proc_fd = srv->sb.proc_fd,
        .can_handles = srv->sb.can_handles,
        .handles = conf->inode_file_handles,
        .max_fds = (uint32_t)(cache > FD_CACHE_MAX ? FD_CACHE_MAX : cache),
        .max_inodes = inodes_that_fit(),
    };
    int64_t handles = guest_fds - tp.max_fds;
    if (handles > (int64_t)HANDLES_MAX)
        handles = HANDLES_MAX;
    r = init_locks(srv);
    if (r == 0)
        r = session_map(srv);
    if (r == 0)
        r = tree_new(&srv->tree, &tp);
    if (r == 0)
        r = handles_new(&srv->handles, (uint32_t)handles, srv->keep);
    if (r == 0)
        r = locks_new(&srv->locks, srv, lock_fds);
    if (r == 0 && conf->xattrmap)
        r = xattrmap_new(&srv->xattrmap, conf->xattrmap);
    if (r == 0)
        r = feed_new(srv);
    if (r == 0)
        r = register_gauges(srv);
    return r;
}

static void look_at_root(struct server *srv)
{
    struct inode *root = inode_get(srv->tree, TREE_ROOT_ID);

    srv->local = inode_mount_local(srv->tree, root);
    inode_put(srv->tree, root);
}

int server_new(struct server **out, const struct conf *conf, const struct sandbox *sb,
               struct stats *stats, int64_t nofile, struct keep *keep)
{
    struct server *srv = calloc(1, sizeof(*srv));

    if (!srv)
        return -ENOMEM;
    srv->conf = conf;
    srv->sb = *sb;
    srv->keep = keep;
    srv->supervised = keep_is_supervised(keep);
    srv->stats = stats;
    srv->own_uid = geteuid();
    srv->own_gid = getegid();
    srv->can_setid = sb->can_setid;
    set_timeouts(srv);
    space_open(&srv->space, conf, srv->sb.root_fd);
    pace_init(&srv->pace, conf);
    dispatch_init(srv);
    int r = build(srv, nofile);
    if (r < 0) {
        server_free(srv);
        return r;
    }
    if (!keep_resumes(keep))
        look_at_root(srv);
    *out = srv;
    return 0;
}

int server_resume(struct server *srv)
{
    int r = tree_resume(srv->tree);

    if (r < 0)
        return r;
    handles_resume(srv);
    r = locks_resume(srv->locks);
    if (r == 0)
        r = tree_settle(srv->tree);
    if (r < 0) {
        log_error("cannot go on where the daemon stopped: %s", strerror(-r));
        return r;
    }
    look_at_root(srv);
    session_resume(srv);
    return 0;
}

bool server_paced(const struct server *srv)
{
    return srv->pace.on;
}

int server_pool(struct pool **pool, const struct conf *conf)
{
    int n = conf->thread_pool_size;
    struct sigaction sa = {.sa_handler = on_interrupt};

    *pool = NULL;
    /* No SA_RESTART: the system call that it interrupts is to end. */
    if (sigaction(SIGUSR1, &sa, NULL) < 0)
        return -errno;
    if (n == 0)
        return 0;
    struct pool_params p = {.name = "pool",
                            .n_threads = n > 0 ? (unsigned)n : POOL_DEFAULT,
                            .thread_begin = thread_begin,
                            .thread_end = thread_end};
    if (n < 0 && conf->name) {
        p.n_threads = POOL_SHARED_IDLE;
        p.max_threads = POOL_SHARED_MAX;
    }
    return pool_start(pool, &p);
}

void server_start(struct server *srv, struct pool *pool, unsigned most)
{
    pool_lane_init(&srv->lane, most);
    srv->pool = pool;
}

void server_free(struct server *srv)
{
    if (!srv)
        return;
    /* What a supervised one leaves is the next one's. */
    if (srv->tree && srv->handles && srv->locks && !keep_is_supervised(srv->keep))
        reset(srv);
    if (srv->locks)
        locks_free(srv->locks);
    if (srv->xattrmap)
        xattrmap_free(srv->xattrmap);
    handles_free(srv->handles);
    feed_free(srv);
    space_close(&srv->space);
    tree_free(srv->tree);
    keep_unmap(srv->keep, srv->kept_session);
    pthread_rwlock_destroy(&srv->gate);
    pthread_mutex_destroy(&srv->kept_lock);
    free(srv);
}
