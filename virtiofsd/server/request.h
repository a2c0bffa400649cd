// SPDX-License-Identifier: BSD-3-Clause
/*
 * request.h - what a handler of one opcode gets, and how it answers
 *
 * Theory of operation
 *
 *   A worker (or pool) thread decodes a chain into its struct srv_thread, finds the handler in the table
 *   of dispatch.c and calls it. A handler answers by returning rq_error(), rq_ok(), rq_reply() …,
 *   which are used lengths; or it keeps the request with rq_keep() and returns VU_LATER, and
 *   rq_done() gives the chain back later, from any thread.
 *
 *   The session gate: handlers run with the session held for reading, so INIT, DESTROY and reset
 *   (session.c) see no handler running. Kept requests do not hold it while they wait.
 *
 * Ownership: rq->inode is a reference that the dispatcher takes and puts. Everything in a srv_req is
 * valid until the handler returns; a kept request has its own copy.
 */
#ifndef VIOFS_REQUEST_H
#define VIOFS_REQUEST_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "host/pool.h"
#include "lib/fuse/fuse_call.h"
#include "lib/fuse/fuse_reply.h"
#include "server/pace.h"
#include "server/lock_table.h"
#include "server/server.h"
#include "server/space.h"
#include "tree/tree.h"
#include "watch/watch.h"

struct handle;
struct feed;
struct handles;
struct locks;
struct watch;
struct xattrmap;

/*
 * INTERRUPT comes through the hiprio queue and may overtake what it means; so many that matched nothing are
 * remembered for requests that are about to wait.
 */
#define INTERRUPTS_EARLY 16

struct srv_req;
/** srv_handler - serve one decoded request. Return: used length, or VU_LATER. */
typedef int64_t srv_handler(struct srv_req *rq);

/* What INIT agreed; constant while the gate is held for reading. */
struct session {
    bool live; /* INIT has been answered */
    struct fuse_dialect dialect;
    uint64_t flags;            /* FUSE_* flags in force */
    uint64_t epoch;            /* grows with every reset */
    _Atomic uint32_t features; /* VIOFS_FEATURE_* that PROBE agreed, which may come at any time */
};

/*
 * What is kept of it (KEEP_SESSION). A session that is about to begin or to end is not live; the INIT or DESTROY that is
 * at it is served again.
 */
struct kept_session {
    struct keep_head keep;
    _Atomic uint32_t live;
    _Atomic uint32_t features;
    uint64_t flags, epoch;
    struct fuse_dialect dialect;
    struct {
        _Atomic uint64_t node;   /* 0: none */
        _Atomic uint64_t number; /* the client's */
    } watch[WATCH_SUBTREES_MAX]; /* subtrees of the feed */
};

struct server {
    const struct conf *conf;
    struct sandbox sb;
    struct keep *keep; /* NULL: nothing outlives the process */
    struct tree *tree;
    struct handles *handles;
    struct locks *locks;
    struct feed *feed;         /* NULL: --watch=never */
    struct watch *watch;       /* the feed's */
    struct xattrmap *xattrmap; /* NULL: names pass unchanged */
    struct stats *stats;       /* NULL: none kept */
    struct pool *pool;         /* NULL: everything inline; the process' */
    struct pool_lane lane;     /* this share's part of it */
    struct pace pace;
    struct space space;
    pthread_rwlock_t gate;
    struct session session;
    struct kept_session *kept_session;
    uid_t own_uid;
    gid_t own_gid;
    bool can_setid;
    bool supervised; /* another worker may have to go on: intents are written (replay.c) */
    uint64_t entry_valid_s, attr_valid_s; /* timeouts given to the guest */
    uint32_t entry_valid_ns, attr_valid_ns;
    pthread_mutex_t kept_lock; /* guards the list of kept requests */
    struct srv_kept *kept;
    uint32_t n_kept;
    uint64_t
        early[INTERRUPTS_EARLY]; /* INTERRUPTs that met nothing yet, under kept_lock; 0: none */
    uint32_t next_early;
    _Atomic uint32_t dir_buffers; /* directories that keep a buffer between requests */
    size_t kept_bytes;
    bool local;                       /* the shared directory is on a local file system */
    srv_handler *handler[FUSE_N_OPS]; /* by fuse_op.index; NULL: ENOSYS */
    bool needs_inode[FUSE_N_OPS];
    bool any_time[FUSE_N_OPS]; /* legal without a session */
};

/*
 * Per-thread state: scratch memory. Each server thread has unshared CLONE_FS: its cwd (xattr on O_PATH uses
 * fchdir) and its umask (ACL creation) are its own.
 */
struct srv_thread {
    struct server *srv;        /* that it serves now, or served last; NULL: none yet */
    struct stats_block *stats; /* of that one */
    struct fuse_call call;
    uint8_t *out; /* reply scratch, grown on demand by thread_out() */
    size_t out_size;
    bool cwd_is_fds; /* xattr.c has moved the thread's cwd to /proc/self/fd */
    struct ring_seg iov[RING_MAX_SEGS];
    _Alignas(16) uint8_t in[FUSE_COPY_MAX];
};

struct srv_req {
    struct server *srv;
    struct srv_thread *t;
    struct vq *vq;
    uint16_t head;
    struct vu_record *record; /* for whoever may have to serve it again */
    bool in_pool;             /* may block: nobody waits behind this request */
    bool slot;                /* has one of pace.in_flight */
    const struct fuse_call *c;
    struct inode *inode; /* of c->in.nodeid; NULL for opcodes that name none */
    struct fuse_out out; /* where the reply goes */
    const struct ring_seg
        *data_seg; /* WRITE: device-readable segments; payload starts at data_skip */
    uint32_t n_data_seg;
    uint64_t data_skip;
    uint64_t epoch; /* session.epoch when it was decoded */
    int err;        /* what was replied, for statistics */
    bool found;     /* CREATE: the file was there */
};

/* ---- answering --------------------------------------------------------------------------- */

/** rq_error() - reply with @err (negative errno; 0 is an empty success) */
int64_t rq_error(struct srv_req *rq, int err);
/** rq_reply() - success with a payload */
int64_t rq_reply(struct srv_req *rq, const void *payload, size_t len);
/** rq_replied() - success, @payload bytes are in place behind the header */
int64_t rq_replied(struct srv_req *rq, uint64_t payload);

/** thread_out() - scratch of at least @size bytes (at most 1 MiB + 64 KiB). NULL when out of memory. */
uint8_t *thread_out(struct srv_thread *t, size_t size);

/* ---- keeping a request ------------------------------------------------------------------- */

/* A request on the heap: its own copy of the call, the arguments and the segment list. */
struct srv_kept {
    struct pool_job job;
    struct srv_req rq; /* rq.t is NULL while it waits */
    struct fuse_call call;
    struct srv_kept *next, *prev; /* the server's list, under kept_lock */
    /**
     * cancel() - INTERRUPT, queue stop or reset wants it to end soon; called under kept_lock
     * Return: true if the request was withdrawn and the caller must rq_done(kept, -EINTR). May be NULL.
     */
    bool (*cancel)(struct srv_kept *kept);
    pthread_t runner;                /* thread that runs it, when running */
    struct srv_kept *next_withdrawn; /* kept_cancel()'s */
    size_t size;                     /* bytes of all of it */
    bool running;
    bool hurry;     /* it was asked to end, perhaps before cancel was set */
    bool defer;     /* its queue stops: rather than with EINTR it ends by vq_defer() */
    uint8_t *bytes; /* private copy that call points into */
    struct ring_seg seg[];
};

/**
 * rq_keep() - copy a request so that it outlives the handler
 * The handler must return VU_LATER after this succeeded. Return: NULL when out of memory.
 */
struct srv_kept *rq_keep(struct srv_req *rq);
/** rq_done() - give a kept request back with @used (a used length) and free it */
void rq_done(struct srv_kept *kept, int64_t used);
/** rq_done_error() - the same with an error reply */
void rq_done_error(struct srv_kept *kept, int err);

/** rq_slow() - this request takes long by nature (fsync): move it to the pool if there is one */
bool rq_slow(const struct srv_req *rq);
/** rq_crowded() - more than a few requests wait behind this one, and there is a pool */
bool rq_crowded(const struct srv_req *rq);
/** rq_pool() - hand the request to the pool, where the same handler runs again with in_pool set */
int64_t rq_pool(struct srv_req *rq);

/* ---- open files and directories (handle.c) ----------------------------------------------- */

enum handle_kind { HANDLE_FILE, HANDLE_DIR };

struct handle {
    _Atomic uint32_t refs; /* slots are type-stable, as inodes are */
    _Atomic uint32_t gen;
    int fd; /* the handle's own; -1: another worker's, and not used yet (handle_get() opens it) */
    int flags; /* O_* it was opened with */
    enum handle_kind kind;
    struct inode *inode;    /* a reference */
    struct inode_fd hold;   /* the inode's cached descriptor, slot 0: none */
    struct dir_stream *dir; /* HANDLE_DIR */
    _Atomic bool flocked;   /* flock() has been used through it */
    _Atomic uint8_t flock;  /* and this is what it has locked: F_RDLCK, F_WRLCK, F_UNLCK */
    _Atomic bool released;  /* RELEASE has been served */
    _Atomic bool no_nowait; /* RWF_NOWAIT does not work on this file */
};

/**
 * handle_new() - make @fd a guest-visible handle
 * On success @fd and @hold belong to the handle. Return: 0; -ENFILE when the budget is used up (the
 * caller still owns everything).
 */
int handle_new(struct handles *hs, struct inode *inode, int fd, int flags, enum handle_kind kind,
               struct inode_fd hold, uint64_t *fh);
/**
 * handle_get() - the handle that a request names
 * Return: a reference, or NULL when @fh is not alive, of another kind, or of another inode than @inode.
 */
struct handle *handle_get(struct server *srv, uint64_t fh, enum handle_kind kind,
                          const struct inode *inode);
void handle_put(struct server *srv, struct handle *h);
/** handle_release() - RELEASE: the guest's reference goes. 0 or -EBADF. */
int handle_release(struct server *srv, uint64_t fh, enum handle_kind kind,
                   const struct inode *inode);
/** opened_close() - undo inode_open() with a hold */
void opened_close(struct server *srv, struct inode *inode, int fd, struct inode_fd *hold);
#define HANDLES_MAX (1u << 20)
/** handles_new() - @max: at most HANDLES_MAX */
int handles_new(struct handles **hs, uint32_t max, struct keep *k);
/** handles_resume() - what another worker left, after tree_resume() and before tree_settle() */
void handles_resume(struct server *srv);
/**
 * handle_keep() - hand the descriptor to the supervisor: it could not be opened again
 * Return: 0, also without a supervisor; -errno.
 */
int handle_keep(struct server *srv, struct handle *h);
/** handle_flocks() - before the first flock() through it: that goes with the descriptor. 0 or -errno. */
int handle_flocks(struct server *srv, struct handle *h);
/** handle_flocked_as() - what it has locked since then */
void handle_flocked_as(struct server *srv, struct handle *h, uint8_t type);
/** flags_for_append() - what a file is opened with for O_APPEND; @inode: the file or, for a new one, its directory */
int flags_for_append(struct server *srv, const struct inode *inode, int flags);
/** open_file() - inode_open() with that in mind */
int open_file(struct server *srv, struct inode *inode, int flags, struct inode_fd *hold);

/* For whoever moves a session to another host, where handles keep their numbers. The guest is stopped meanwhile. */
struct handle_record {
    uint64_t fh, node;
    int flags; /* O_* */
    enum handle_kind kind;
    uint8_t flock; /* what flock() has locked through it: F_RDLCK, F_WRLCK, F_UNLCK */
};
/** handles_each() - @fn for each handle; stops at what is not 0 */
int handles_each(struct server *srv, int (*fn)(void *ctx, const struct handle_record *r),
                 void *ctx);
/**
 * handles_place() - its inode is there; its file is opened when it is first used
 * Return: 0; -EEXIST, -ENFILE, -EINVAL, -ESTALE. handles_settle() comes after the last one.
 */
int handles_place(struct server *srv, const struct handle_record *r);
void handles_settle(struct server *srv);
/** handles_reset() - close all; no request may be running */
void handles_reset(struct server *srv);
void handles_free(struct handles *hs);
uint64_t handles_count(void *hs);

/* ---- acting as the guest's user (cred.c) ------------------------------------------------- */

struct cred {
    bool switched;
    bool groups;
};
/**
 * cred_enter() - become the request's user for creating something
 * @full: drop every capability too, for ACCESS; else DAC_OVERRIDE is kept where the guest cannot tell its
 *        supplementary groups (it has checked permissions itself)
 * No system call when the ids are the daemon's own. Return: 0 or -errno.
 */
int cred_enter(struct srv_req *rq, struct cred *cred, bool full);
void cred_leave(struct srv_req *rq, struct cred *cred);
/** cred_drop_fsetid() / cred_raise_fsetid() - around a write that must clear suid and sgid */
int cred_drop_fsetid(void);
void cred_raise_fsetid(void);

/** umask_enter() / umask_leave() - with FUSE_DONT_MASK the guest's umask is applied here, so that default
 * ACLs can override it; the thread's umask is 0 otherwise */
void umask_enter(const struct srv_req *rq, uint32_t mask);
void umask_leave(const struct srv_req *rq);

/* ---- ids (ids.c) ------------------------------------------------------------------------ */

/** to host: 0 or -EPERM for a forbidden id; to guest: always answers */
int idmap_uid_to_host(const struct server *srv, uint32_t *uid);
int idmap_gid_to_host(const struct server *srv, uint32_t *gid);
uint32_t idmap_uid_to_guest(const struct server *srv, uint32_t uid);
uint32_t idmap_gid_to_guest(const struct server *srv, uint32_t gid);

/* ---- handlers, by family ------------------------------------------------------------------- */

srv_handler op_init, op_destroy, op_forget, op_batch_forget, op_interrupt, op_probe; /* session.c */
srv_handler op_lookup, op_mknod, op_mkdir, op_symlink, op_link, op_unlink, op_rmdir, op_rename,
    op_rename2, op_readlink;                                                /* name.c */
srv_handler op_create, op_tmpfile, op_open, op_release, op_flush, op_fsync; /* file.c */
srv_handler op_read, op_write, op_fallocate, op_lseek, op_copy_file_range;  /* data.c */
srv_handler op_getattr, op_setattr, op_statx, op_access, op_statfs;         /* attr.c */
srv_handler op_opendir, op_readdir, op_readdirplus, op_releasedir, op_fsyncdir,
    op_syncfs;                                                      /* dir.c */
srv_handler op_getxattr, op_setxattr, op_listxattr, op_removexattr; /* xattr.c */
srv_handler op_getlk, op_setlk, op_setlkw;                          /* lock.c */
srv_handler op_ioctl;                                               /* ioctl.c */
srv_handler op_watch, op_unwatch, op_events;                        /* feed.c */

/** session_map() - what is kept of the session. 0 or -errno. */
int session_map(struct server *srv);
/**
 * session_may_begin() - could a client have agreed these FUSE_* flags and minor version with this daemon?
 * Return: 0; -EPROTO (the reason is logged).
 */
int session_may_begin(const struct server *srv, uint32_t minor, uint64_t flags);
/** session_begin() - one that was agreed elsewhere goes on here. Gate held for writing. */
void session_begin(struct server *srv, uint32_t minor, uint64_t flags, uint32_t features);
/** session_resume() - the session that another worker served goes on */
void session_resume(struct server *srv);
/** session_reset() - no FUSE session any more: handles, locks, inodes go. Gate held for writing. */
void session_reset(struct server *srv);
/** kept_defer() - those of one queue that have not begun are served anew when it goes on (vu_ops.defer_later) */
void kept_defer(struct server *srv, struct vq *vq);
/** kept_cancel() - hurry kept requests up: all (@vq NULL) or those of one queue */
void kept_cancel(struct server *srv, const struct vq *vq);
/** kept_interrupt() - the one of that unique. Return: whether it was found. */
bool kept_interrupt(struct server *srv, uint64_t unique);

/* attr.c, for every reply that carries attributes */
void attr_fill(const struct server *srv, const struct statx *stx, struct fuse_attr *attr);
void entry_fill(const struct server *srv, struct tree_met met, const struct statx *stx,
                struct fuse_entry_out *e);
void ext_fill(const struct statx *stx, struct fuse_viofs_ext *ext);
/* What VIOFS_GETATTR replies, and VIOFS_OPEN at its end. */
struct attr_reply {
    struct fuse_attr_out attr;
    struct fuse_viofs_ext ext;
};
/** attr_reply_fill() - of rq->inode, with all that the client wants to know */
void attr_reply_fill(struct srv_req *rq, const struct statx *stx, struct attr_reply *out);

/* meta.c: ext_fill() first, then one of these */
bool meta_wanted(const struct srv_req *rq);
void ext_add_inode(struct srv_req *rq, struct inode *inode, struct fuse_viofs_ext *ext);
void ext_add_name(struct srv_req *rq, int dirfd, const char *name, mode_t mode,
                  struct fuse_viofs_ext *ext);
void ext_add_new(const struct srv_req *rq, struct fuse_viofs_ext *ext);

/* lock.c hooks. locks_new() starts no thread; the waiter thread starts with the first wait. */
uint32_t locks_fds(const struct conf *conf, int64_t nofile); /* to be set aside for record locks */
int locks_new(struct locks **locks, struct server *srv, uint32_t max_fds);
/** locks_resume() - what another worker left, after tree_resume() and before tree_settle(). 0 or -ENOMEM. */
int locks_resume(struct locks *locks);
/* For whoever moves a session to another host. The guest is stopped meanwhile. */
/** locks_each() - @fn for each owner of record locks; the file is the inode */
int locks_each(struct locks *locks, lock_each_fn *fn, void *ctx);
/** locks_flock() - as a guest's flock() without waiting; locks_record() - as a guest's SETLK. 0 or -errno. */
int locks_flock(struct locks *locks, struct handle *h, uint32_t type);
int locks_record(struct locks *locks, struct inode *inode, const struct fuse_lk_in *in);
/** locks_hand_over() - nothing is locked any more, as far as others see; locks_take_back() - as before */
void locks_hand_over(struct locks *locks);
void locks_take_back(struct locks *locks);
void locks_free(struct locks *locks);
/** locks_flush() - FLUSH by @owner: its POSIX locks on the inode go */
void locks_flush(struct locks *locks, struct inode *inode, uint64_t owner);
/** locks_release() - a handle goes (before its descriptor is closed) */
void locks_release(struct locks *locks, struct handle *h);
/** locks_reset() - all locks go, waiters end with EINTR; on return none of them uses a handle or inode */
void locks_reset(struct locks *locks);

/* xattrmap.c, xattr.c */
/**
 * xattr_label_new() - store the request's security context, if it brought one, on what it has just created
 * Return: 0, or -errno and what was created has no name any more.
 */
int xattr_label_new(struct srv_req *rq, struct inode *inode);
/** thread_to_fds() - the thread's cwd is /proc/self/fd from now on. 0 or -errno. */
int thread_to_fds(struct srv_req *rq);
/** xattr_path() - make @path name a descriptor for calls that take a path and follow links. 0 or -errno. */
int xattr_path(struct srv_req *rq, int fd, char *path);
/** xattr_drop_capability() - after a write when security.capability is stored under another name */
int xattr_drop_capability(struct srv_req *rq, int fd);

#endif
