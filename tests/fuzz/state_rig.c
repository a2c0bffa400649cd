// SPDX-License-Identifier: BSD-3-Clause
/*
 * state_rig.c - servers with a guest that fuzz_state takes away (see state_rig.h)
 *
 * Theory of operation
 *
 *   Servers and devices are the daemon's own, with --sandbox=none over the directory of server_share.h. There is one
 *   thread: the linker puts this file between the daemon and thread_start(), so that a transfer runs in place of its
 *   thread's start, and queues have workers that never come to run (they stay parked, and end at once).
 *
 *   Birth times are made of inode numbers, which on a fresh tmpfs are the same each time: a seed that was written by
 *   another process finds its files.
 *
 * Locks: none.
 */
#include "tests/fuzz/state_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/log.h"
#include "sandbox/sandbox.h"
#include "server/dispatch.h"
#include "tests/fuzz/fuzz_must.h"
#include "tests/fuzz/server_share.h"

static struct {
    struct conf conf[RIG_ROWS];
    struct sandbox sb;
    struct srv_thread *thread;
    bool now; /* rig_inline() */
    struct ring_chain chain;
} all;

/* ---- in place of the system's ------------------------------------------------------------------ */

int __wrap_thread_start(pthread_t *id, void *(*main)(void *arg), void *arg);
int __wrap_pthread_join(pthread_t id, void **result);
int __real_pthread_join(pthread_t id, void **result);
int __real_statx(int dir, const char *path, int flags, unsigned mask, struct statx *stx);
int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *stx);
long __real_sysconf(int name);
long __wrap_sysconf(int name);

void rig_inline(void)
{
    all.now = true;
}

int __wrap_thread_start(pthread_t *id, void *(*main)(void *arg), void *arg)
{
    bool now = all.now;

    *id = 0;
    all.now = false;
    if (now)
        main(arg);
    return 0;
}

int __wrap_pthread_join(pthread_t id, void **result)
{
    return id == 0 ? 0 : __real_pthread_join(id, result);
}

int __wrap_statx(int dir, const char *path, int flags, unsigned mask, struct statx *stx)
{
    int r = __real_statx(dir, path, flags, mask, stx);

    if (r == 0)
        stx->stx_btime = (struct statx_timestamp){.tv_sec = 1, .tv_nsec = (uint32_t)stx->stx_ino};
    return r;
}

/* A host with 16 MiB of memory: a table that fills its part of it is small. */
long __wrap_sysconf(int name)
{
    return name == _SC_PHYS_PAGES ? 4096 : __real_sysconf(name);
}

/* ---- servers ----------------------------------------------------------------------------------- */

static const char *const options[RIG_ROWS][6] = {
    {"--flock", "--posix-lock", "--xattr"},
    {"--flock", "--posix-lock", "--migration-mode=file-handles"},
    {"--flock", "--posix-lock", "--migration-mode=file-handles",
     "--migration-on-error=guest-error"},
    {"--readonly", "--cache=always", "--inode-file-handles=never"},
};

void rig_open(void)
{
    const char *share = share_open();

    log_threshold = LOG_OFF_;
    for (unsigned row = 0; row < RIG_ROWS; row++) {
        char *argv[20] = {"fuzz_state",    "--shared-dir",        (char *)(uintptr_t)share,
                          "--fd=0",        "--sandbox=none",      "--seccomp=none",
                          "--watch=never", "--thread-pool-size=0"};
        int argc = 8;
        for (const char *const *o = options[row]; *o; o++)
            argv[argc++] = (char *)(uintptr_t)*o;
        MUST(conf_parse(&all.conf[row], argc, argv) == CONF_RUN);
    }
    MUST(sandbox_enter(&all.conf[0], &all.sb, NULL) == 0 &&
         sandbox_lock(&all.conf[0], &all.sb) == 0);
    all.thread = server_ops.thread_begin(NULL);
    MUST(all.thread);
}

int rig_up(struct rig *r, unsigned row, struct keep *k)
{
    *r = (struct rig){.unique = 1};
    int err = server_new(&r->srv, &all.conf[row % RIG_ROWS], &all.sb, NULL, 250, k);
    if (err < 0)
        return err;
    struct vu_params p = {
        .listen_fd = -1, .tag = "fuzz", .ops = &server_ops, .ctx = r->srv, .keep = k};
    err = vu_new(&r->vu, &p);
    if (err < 0)
        server_free(r->srv);
    else
        server_start(r->srv, NULL, 0);
    return err;
}

void rig_down(struct rig *r)
{
    vu_free(r->vu);
    server_free(r->srv);
    all.thread->srv = NULL; /* the next one may be at the same address */
    all.thread->cwd_is_fds = false;
}

/* ---- requests ----------------------------------------------------------------------------------- */

int64_t rig_ask(struct rig *r, uint32_t opcode, uint64_t node, const void *arg, size_t len,
                const char *name, void *reply, size_t room)
{
    size_t n_name = name ? strlen(name) + 1 : 0, out = sizeof(struct fuse_in_header) + len + n_name;
    size_t in = sizeof(struct fuse_out_header) + room;
    struct ring_chain *c = &all.chain;
    struct vu_record record = {.state = VU_RECORD_TAKEN};
    uint8_t *asks = malloc(out), *says = malloc(in); /* of exact size, for ASan */
    struct fuse_out_header head;

    MUST(asks && says);
    const struct fuse_in_header h = {
        .len = (uint32_t)out, .opcode = opcode, .unique = r->unique++, .nodeid = node};
    memcpy(asks, &h, sizeof(h));
    if (len)
        memcpy(asks + sizeof(h), arg, len);
    if (n_name)
        memcpy(asks + sizeof(h) + len, name, n_name);
    *c = (struct ring_chain){.n_out = 1, .n_in = 1, .out_len = out, .in_len = in};
    c->seg[0] = (struct ring_seg){.base = asks, .len = out};
    c->seg[1] = (struct ring_seg){.base = says, .len = in};
    server_ops.batch_begin(r->srv, all.thread);
    int64_t used = dispatch_serve(r->srv, all.thread, &r->vu->queue[1], c, &record);
    server_ops.batch_end(r->srv, all.thread);

    MUST(used >= 0 && used <= (int64_t)in);
    memset(&head, 0, sizeof(head));
    memcpy(&head, says, (size_t)used < sizeof(head) ? (size_t)used : sizeof(head));
    if (head.error == 0 && used > (int64_t)sizeof(head) && reply)
        memcpy(reply, says + sizeof(head), (size_t)used - sizeof(head));
    free(asks);
    free(says);
    return head.error ? head.error : used ? used - (int64_t)sizeof(head) : 0;
}

static uint64_t lookup(struct rig *r, uint64_t parent, const char *name)
{
    struct fuse_entry_out e = {0};

    return rig_ask(r, FUSE_LOOKUP, parent, NULL, 0, name, &e, sizeof(e)) > 0 ? e.nodeid : 0;
}

static uint64_t open_as(struct rig *r, uint32_t opcode, uint64_t node, uint32_t flags)
{
    const struct fuse_open_in in = {.flags = flags};
    struct fuse_open_out out = {0};

    return rig_ask(r, opcode, node, &in, sizeof(in), NULL, &out, sizeof(out)) > 0 ? out.fh : 0;
}

static void lock(struct rig *r, uint64_t node, uint64_t fh, uint64_t owner, uint32_t flags,
                 struct fuse_file_lock lk)
{
    const struct fuse_lk_in in = {.fh = fh, .owner = owner, .lk = lk, .lk_flags = flags};

    rig_ask(r, FUSE_SETLK, node, &in, sizeof(in), NULL, NULL, 0);
}

static void init(struct rig *r)
{
    const struct fuse_init_in in = {.major = 7,
                                    .minor = 38,
                                    .flags = FUSE_INIT_EXT | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS |
                                             FUSE_MAX_PAGES | FUSE_BIG_WRITES};
    struct fuse_init_out out;

    MUST(rig_ask(r, FUSE_INIT, 0, &in, sizeof(in), NULL, &out, sizeof(out)) > 0);
}

enum { NO_FILES = 1, NO_LOCKS = 2, NO_DEEP = 4, NO_GOING = 8, NO_INIT = 16 };

void rig_live(struct rig *r, unsigned how)
{
    if (how & NO_INIT)
        return;
    init(r);
    uint64_t a = r->node[0] = lookup(r, FUSE_ROOT_ID, "a");
    uint64_t dir = r->node[1] = lookup(r, FUSE_ROOT_ID, "dir");
    r->node[2] = lookup(r, FUSE_ROOT_ID, "link");
    if (!(how & NO_DEEP))
        r->node[3] = lookup(r, dir, "a");
    if (!(how & NO_FILES)) {
        r->fh[0] = open_as(r, FUSE_OPEN, a, O_RDONLY);
        r->fh[1] = open_as(r, FUSE_OPENDIR, dir, O_RDONLY);
        r->fh[2] = open_as(r, FUSE_OPEN, r->node[3], O_RDWR);
    }
    if (!(how & (NO_LOCKS | NO_FILES))) {
        lock(r, a, r->fh[0], 7, 0, (struct fuse_file_lock){0, 9, F_RDLCK, 1});
        lock(r, a, r->fh[0], 8, 0, (struct fuse_file_lock){5, INT64_MAX, F_RDLCK, 2});
        lock(r, a, r->fh[0], 7, 0, (struct fuse_file_lock){3, 4, F_UNLCK, 1});
        lock(r, a, r->fh[0], 9, FUSE_LK_FLOCK, (struct fuse_file_lock){0, INT64_MAX, F_RDLCK, 1});
    }
    if (!(how & NO_GOING))
        rig_ask(r, FUSE_UNLINK, dir, NULL, 0, "a", NULL, 0);
}

/* ---- looking ------------------------------------------------------------------------------------ */

static void look_at(struct rig *r, uint64_t node)
{
    const struct fuse_getattr_in in = {0};
    uint8_t reply[512];

    rig_ask(r, FUSE_GETATTR, node, &in, sizeof(in), NULL, reply, sizeof(struct fuse_attr_out));
    lookup(r, node, "..");
    lookup(r, node, "a");
    rig_ask(r, FUSE_READLINK, node, NULL, 0, NULL, reply, sizeof(reply));
}

static void look_into(struct rig *r, uint64_t node, uint64_t fh, bool change)
{
    const struct fuse_read_in in = {.fh = fh, .size = 256};
    const struct fuse_lk_in lk = {
        .fh = fh, .owner = 7, .lk = {.start = 2, .end = INT64_MAX, .type = F_WRLCK}};
    const struct fuse_release_in out = {.fh = fh};
    struct fuse_lk_out who;
    uint8_t reply[512];

    rig_ask(r, FUSE_READ, node, &in, sizeof(in), NULL, reply, 256);
    rig_ask(r, FUSE_READDIR, node, &in, sizeof(in), NULL, reply, 256);
    rig_ask(r, FUSE_READDIRPLUS, node, &in, sizeof(in), NULL, reply, 256);
    rig_ask(r, FUSE_GETLK, node, &lk, sizeof(lk), NULL, &who, sizeof(who));
    if (!change)
        return;
    lock(r, node, fh, 7, 0, (struct fuse_file_lock){1, 6, F_WRLCK, 1});
    lock(r, node, fh, 8, 0, (struct fuse_file_lock){0, INT64_MAX, F_UNLCK, 1});
    rig_ask(r, FUSE_RELEASE, node, &out, sizeof(out), NULL, NULL, 0);
    rig_ask(r, FUSE_RELEASEDIR, node, &out, sizeof(out), NULL, NULL, 0);
}

void rig_look(struct rig *r, bool change)
{
    for (uint64_t node = 1; node < 7; node++)
        look_at(r, node);
    for (unsigned i = 0; i < RIG_NODES; i++) {
        for (unsigned j = 0; r->node[i] && j < RIG_FILES; j++)
            look_into(r, r->node[i], r->fh[j], change);
    }
    for (uint64_t fh = 1; fh < 4; fh++)
        look_into(r, fh + 1, fh, change);
    if (change) {
        const struct {
            struct fuse_rename_in in;
            char names[4];
        } to = {.in.newdir = 3, .names = "a\0b"};
        rig_ask(r, FUSE_RENAME, FUSE_ROOT_ID, &to, sizeof(to.in) + 4, NULL, NULL, 0);
        rig_ask(r, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, "a", NULL, 0);
        rig_ask(r, FUSE_FORGET, 3, &(struct fuse_forget_in){1}, sizeof(struct fuse_forget_in), NULL,
                NULL, 0);
    }
}

void rig_leave(struct rig *r)
{
    server_ops.session_reset(r->srv);
    MUST(handles_count(r->srv->handles) == 0);
    MUST(tree_inodes(r->srv->tree) == 1 && tree_fds(r->srv->tree) <= 1);
}

size_t rig_fds(void)
{
    struct stat st;
    size_t n = 0;

    /* Linux 6.2: the size of this directory is their number. */
    MUST(fstat(all.sb.proc_fd, &st) == 0);
    if (st.st_size > 0)
        return (size_t)st.st_size;
    DIR *dir = opendir("/proc/self/fd");
    MUST(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 3; /* itself and two dots */
}
