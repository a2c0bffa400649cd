// SPDX-License-Identifier: BSD-3-Clause
/*
 * session.c - INIT, DESTROY and the requests that are about the session itself
 *
 * Theory of operation
 *
 *   A session begins with INIT and ends with DESTROY, another INIT, a device reset or the guest's
 *   disconnection. Ending it drops every handle, lock and inode. The session gate makes sure that no
 *   handler runs meanwhile: the worker that serves INIT gives up its hold for reading, takes the gate for
 *   writing, and goes back. The gate prefers writers.
 *
 *   Flags are agreed in one place, agree(): a flag is offered if and only if the code behind it honours
 *   it and the administrator's options ask for it.
 */
#include <errno.h>
#include <string.h>

#include "host/log.h"
#include "server/feed.h"
#include "server/request.h"

#define MAX_WRITE (1u << 20)
#define MAX_PAGES (MAX_WRITE / 4096)

#define SESSION_VERSION 1u

int session_map(struct server *srv)
{
    srv->kept_session =
        keep_map(srv->keep, KEEP_SESSION, sizeof(*srv->kept_session), SESSION_VERSION);
    return srv->kept_session ? 0 : -errno;
}

/* The session is as srv->session says. */
static void session_record(struct server *srv)
{
    struct kept_session *k = srv->kept_session;

    k->flags = srv->session.flags;
    k->epoch = srv->session.epoch;
    k->dialect = srv->session.dialect;
    atomic_store(&k->features, atomic_load(&srv->session.features));
    atomic_store_explicit(&k->live, srv->session.live, memory_order_release);
}

/* How requests of a session with these FUSE_* flags are read. */
static struct fuse_dialect dialect_of(uint32_t minor, uint64_t flags)
{
    return (struct fuse_dialect){
        .minor = minor,
        .setxattr_ext = flags & FUSE_SETXATTR_EXT,
        .security_ctx = flags & FUSE_SECURITY_CTX,
        .supp_group = flags & FUSE_CREATE_SUPP_GROUP,
        .max_write = MAX_WRITE,
    };
}

void session_resume(struct server *srv)
{
    const struct kept_session *k = srv->kept_session;

    srv->session.epoch = k->epoch;
    if (!atomic_load(&k->live))
        return;
    srv->session.flags = k->flags;
    srv->session.dialect = dialect_of(k->dialect.minor, k->flags);
    srv->session.live = true;
    atomic_store(&srv->session.features, atomic_load(&k->features));
    if (feed_on(srv) && !(srv->feed && feed_resume(srv)))
        atomic_fetch_and(&srv->session.features, ~VIOFS_FEATURE_FEED);
}

void session_reset(struct server *srv)
{
    atomic_store(&srv->kept_session->live, 0);
    kept_cancel(srv, NULL);
    locks_reset(srv->locks);
    handles_reset(srv);
    feed_reset(srv);
    tree_reset(srv->tree);
    pthread_mutex_lock(&srv->kept_lock);
    memset(srv->early, 0, sizeof(srv->early));
    pthread_mutex_unlock(&srv->kept_lock);
    uint64_t epoch = srv->session.epoch + 1;
    memset(&srv->session, 0, sizeof(srv->session));
    srv->session.epoch = epoch;
}

/* What there is of the extension, whoever asks. */
static uint32_t offered_features(const struct server *srv)
{
    return VIOFS_FEATURE_BTIME | VIOFS_FEATURE_OPEN | (srv->feed ? VIOFS_FEATURE_FEED : 0) |
           (srv->conf->xattr ? VIOFS_FEATURE_META : 0);
}

void session_begin(struct server *srv, uint32_t minor, uint64_t flags, uint32_t features)
{
    srv->session.live = true;
    srv->session.flags = flags;
    srv->session.dialect = dialect_of(minor, flags);
    atomic_store(&srv->session.features, features & offered_features(srv));
    session_record(srv);
    if (feed_on(srv) && !(srv->feed && feed_resume(srv)))
        atomic_fetch_and(&srv->session.features, ~VIOFS_FEATURE_FEED);
}

static void exclusive_begin(struct server *srv)
{
    pthread_rwlock_unlock(&srv->gate);
    kept_cancel(srv,
                NULL); /* what the pool is at holds the gate: hurry it up before waiting for it */
    pthread_rwlock_wrlock(&srv->gate);
}

static void exclusive_end(struct server *srv)
{
    pthread_rwlock_unlock(&srv->gate);
    pthread_rwlock_rdlock(&srv->gate);
}

/* What we can and want to do, whoever asks. */
static uint64_t offer(const struct server *srv)
{
    const struct conf *conf = srv->conf;
    uint64_t f = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_PARALLEL_DIROPS | FUSE_AUTO_INVAL_DATA |
                 FUSE_ASYNC_DIO | FUSE_HAS_IOCTL_DIR | FUSE_ATOMIC_O_TRUNC | FUSE_MAX_PAGES |
                 FUSE_INIT_EXT | FUSE_CREATE_SUPP_GROUP | FUSE_EXPORT_SUPPORT | FUSE_ALLOW_IDMAP;

    if (conf->announce_submounts)
        f |= FUSE_SUBMOUNTS;
    if (conf->readdirplus)
        f |= FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO;
    if (conf->writeback)
        f |= FUSE_WRITEBACK_CACHE;
    if (conf->flock)
        f |= FUSE_FLOCK_LOCKS;
    if (conf->posix_lock)
        f |= FUSE_POSIX_LOCKS;
    if (conf->posix_acl != WHEN_NEVER)
        f |= FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT;
    if (conf->security_label != WHEN_NEVER)
        f |= FUSE_SECURITY_CTX;
    if (conf->allow_mmap)
        f |= FUSE_DIRECT_IO_ALLOW_MMAP;
    if (conf->cache != CACHE_NEVER)
        f |= FUSE_CACHE_SYMLINKS;
    if (conf->killpriv_v2 == WHEN_ALWAYS || (conf->killpriv_v2 == WHEN_AUTO && srv->local))
        f |= FUSE_HANDLE_KILLPRIV_V2;
    return f;
}

/* Some flags only make sense together, and some were demanded. Return: 0 or -EPROTO. */
static int agree(const struct server *srv, uint64_t capable, uint64_t *flags)
{
    const uint64_t acl = FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT;
    uint64_t f = offer(srv) & capable;

    if ((f & acl) != acl) {
        if (srv->conf->posix_acl == WHEN_ALWAYS) {
            log_error("--posix-acl: the guest's kernel does not support ACLs over FUSE; use "
                      "--posix-acl=auto to serve it without");
            return -EPROTO;
        }
        f &= ~acl;
    }
    if (srv->conf->security_label == WHEN_ALWAYS && !(f & FUSE_SECURITY_CTX)) {
        log_error("--security-label: the guest's kernel does not send security contexts; use "
                  "--security-label=auto to serve it without");
        return -EPROTO;
    }
    if (!(f & FUSE_INIT_EXT))
        f &= 0xffffffffu; /* the upper half would not fit into the reply */
    *flags = f;
    return 0;
}

int session_may_begin(const struct server *srv, uint32_t minor, uint64_t flags)
{
    uint64_t offered = offer(srv);

    if (minor < FUSE_MIN_MINOR || minor > FUSE_OUR_MINOR) {
        log_error("migration: the guest speaks FUSE 7.%u, which this virtiofsd does not", minor);
        return -EPROTO;
    }
    if (flags & ~offered) {
        log_error("migration: the guest relies on FUSE features %#llx that this virtiofsd does not "
                  "offer; start it with the options of the one that the guest comes from",
                  (unsigned long long)(flags & ~offered));
        return -EPROTO;
    }
    return 0;
}

int64_t op_init(struct srv_req *rq)
{
    struct server *srv = rq->srv;
    const struct fuse_init_in *in = rq->c->arg;
    struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_OUR_MINOR};

    if (in->major > FUSE_KERNEL_VERSION)
        return rq_reply(rq, &out, sizeof(out)); /* the client comes again with our major */
    if (in->major < FUSE_KERNEL_VERSION || in->minor < FUSE_MIN_MINOR) {
        log_error("the guest speaks FUSE %u.%u; the oldest version that is served is %u.%u",
                  in->major, in->minor, FUSE_KERNEL_VERSION, FUSE_MIN_MINOR);
        return rq_error(rq, -EPROTO);
    }
    uint64_t capable = in->flags;
    if (in->flags & FUSE_INIT_EXT)
        capable |= (uint64_t)in->flags2 << 32;
    uint64_t flags;
    int r = agree(srv, capable, &flags);
    if (r < 0)
        return rq_error(rq, r);
    out.minor = in->minor < FUSE_OUR_MINOR ? in->minor : FUSE_OUR_MINOR;
    out.max_readahead = in->max_readahead;
    out.flags = (uint32_t)flags;
    out.flags2 = (uint32_t)(flags >> 32);
    out.max_background = UINT16_MAX;
    out.congestion_threshold = UINT16_MAX / 4 * 3;
    out.max_write = flags & FUSE_MAX_PAGES ? MAX_WRITE : 32 * 4096;
    out.time_gran = 1;
    out.max_pages = flags & FUSE_MAX_PAGES ? MAX_PAGES : 0;

    exclusive_begin(srv);
    if (srv->session.live)
        log_info("the guest starts a new session");
    session_reset(srv);
    session_begin(srv, out.minor, flags, 0);
    exclusive_end(srv);
    log_debug("INIT: FUSE %u.%u, flags %#llx of %#llx", in->major, out.minor,
              (unsigned long long)flags, (unsigned long long)capable);
    return rq_reply(rq, &out, sizeof(out));
}

int64_t op_destroy(struct srv_req *rq)
{
    exclusive_begin(rq->srv);
    session_reset(rq->srv);
    exclusive_end(rq->srv);
    return rq_error(rq, 0);
}

int64_t op_forget(struct srv_req *rq)
{
    const struct fuse_forget_in *in = rq->c->arg;

    vu_answered(rq->record, 0); /* what is counted down once must not be again */
    tree_forget(rq->srv->tree, rq->c->in.nodeid, in->nlookup);
    return 0;
}

int64_t op_batch_forget(struct srv_req *rq)
{
    const struct fuse_batch_forget_in *in = rq->c->arg;
    const struct fuse_forget_one *one = rq->c->value;

    vu_answered(rq->record, 0);
    for (uint32_t i = 0; i < in->count; i++)
        tree_forget(rq->srv->tree, one[i].nodeid, one[i].nlookup);
    return 0;
}

int64_t op_interrupt(struct srv_req *rq)
{
    const struct fuse_interrupt_in *in = rq->c->arg;

    /* Not found: answered already, or about to wait and then found by rq_keep(). */
    if (!kept_interrupt(rq->srv, in->unique))
        log_debug("INTERRUPT of request %llu, which is not waiting",
                  (unsigned long long)in->unique);
    return 0;
}

int64_t op_probe(struct srv_req *rq)
{
    const struct fuse_viofs_probe_in *in = rq->c->arg;
    struct fuse_viofs_probe_out out = {
        .version = in->version < VIOFS_EXT_VERSION ? in->version : VIOFS_EXT_VERSION,
        .features = in->wanted & offered_features(rq->srv),
        .ext_len = sizeof(struct fuse_viofs_ext),
    };

    if (out.version == 0)
        return rq_error(rq, -EINVAL);
    if ((out.features & VIOFS_FEATURE_FEED) && !feed_start(rq))
        out.features &= ~VIOFS_FEATURE_FEED;
    atomic_store_explicit(&rq->srv->session.features, out.features, memory_order_relaxed);
    atomic_store(&rq->srv->kept_session->features, out.features);
    return rq_reply(rq, &out, sizeof(out));
}
