// SPDX-License-Identifier: BSD-3-Clause
/*
 * replay_rig.c - see replay_rig.h
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "tests/unit/replay_rig.h"

#include "conf.h"
#include "host/log.h"
#include "server/dispatch.h"
#include "server/request.h"

/* ---- system calls at which a worker may end ------------------------------------------------ */

static enum call armed;
static enum moment armed_moment;

static void at(enum call call, enum moment moment)
{
    if (armed == call && armed_moment == moment)
        raise(SIGKILL);
}

#define WRAP(call, type, name, params, args)                                                       \
    type __real_##name params;                                                                     \
    type __wrap_##name params;                                                                     \
    type __wrap_##name params                                                                      \
    {                                                                                              \
        at(call, BEFORE);                                                                          \
        type r = __real_##name args;                                                               \
        at(call, AFTER);                                                                           \
        return r;                                                                                  \
    }
WRAP(MKDIR, int, mkdirat, (int fd, const char *name, mode_t mode), (fd, name, mode))
WRAP(MKNOD, int, mknodat, (int fd, const char *name, mode_t mode, dev_t dev), (fd, name, mode, dev))
WRAP(SYMLINK, int, symlinkat, (const char *to, int fd, const char *name), (to, fd, name))
WRAP(LINK, int, linkat, (int from, const char *old, int to, const char *name, int flags),
     (from, old, to, name, flags))
WRAP(UNLINK, int, unlinkat, (int fd, const char *name, int flags), (fd, name, flags))
WRAP(RENAME, int, renameat2, (int from, const char *old, int to, const char *name, unsigned flags),
     (from, old, to, name, flags))
WRAP(SETXATTR, int, setxattr,
     (const char *path, const char *name, const void *value, size_t len, int flags),
     (path, name, value, len, flags))
WRAP(REMOVEXATTR, int, removexattr, (const char *path, const char *name), (path, name))

/* Under the names that a program with 64-bit offsets links to. */
WRAP(PWRITEV2, ssize_t, pwritev64v2, (int fd, const struct iovec *v, int n, off_t off, int flags),
     (fd, v, n, off, flags))
WRAP(FALLOCATE, int, fallocate64, (int fd, int mode, off_t off, off_t len), (fd, mode, off, len))

int __real_openat64(int fd, const char *name, int flags, ...);
int __wrap_openat64(int fd, const char *name, int flags, ...);
int __wrap_openat64(int fd, const char *name, int flags, ...)
{
    va_list ap;

    va_start(ap, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    if (flags & O_CREAT)
        at(OPEN, BEFORE);
    int r = __real_openat64(fd, name, flags, mode);
    if (flags & O_CREAT)
        at(OPEN, AFTER);
    return r;
}

/* ---- the world: a share, what is kept of its worker, and one chain -------------------------- */

int world_open(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    strcpy(w->dir, "/tmp/viofs-replay-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->fd = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    w->keep = keep_rig_open();
    w->s = mmap(NULL, sizeof(*w->s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(w->s != MAP_FAILED);
    armed = NO_CALL;
    *state = w;
    return 0;
}

int world_close(void **state)
{
    struct world *w = *state;
    char cmd[128];

    keep_rig_close(w->keep);
    munmap(w->s, sizeof(*w->s));
    close(w->fd);
    snprintf(cmd, sizeof(cmd), "rm -rf '%s'", w->dir);
    assert_int_equal(system(cmd), 0);
    free(w);
    return 0;
}

/* In a child. */
static void must(bool is, const char *what)
{
    if (!is) {
        fprintf(stderr, "worker: %s\n", what);
        _exit(99);
    }
}

void start(struct world *w)
{
    static struct conf conf;
    static struct sandbox sb;
    char *argv[] = {"worker",
                    "--shared-dir",
                    w->dir,
                    "--fd=0",
                    "--sandbox=none",
                    "--seccomp=none",
                    "--xattr",
                    "--flock",
                    "--posix-lock",
                    "--watch=never",
                    "--thread-pool-size=0"};

    alarm(60);
    must(conf_parse(&conf, 11, argv) == CONF_RUN, "options");
    must(sandbox_enter(&conf, &sb, NULL) == 0 && sandbox_lock(&conf, &sb) == 0, "sandbox");
    must(server_new(&w->srv, &conf, &sb, NULL, 1024, w->keep) == 0, "server");
    if (keep_resumes(w->keep))
        must(server_resume(w->srv) == 0, "resume");
    server_start(w->srv, NULL, 0);
    w->thread = server_ops.thread_begin(w->srv);
    must(w->thread, "thread");
}

/* ---- requests -------------------------------------------------------------------------------- */

void put(struct request *r, const void *data, size_t len)
{
    memcpy(r->bytes + r->len, data, len);
    r->len += len;
}

struct request request(uint32_t opcode, uint64_t node)
{
    static uint64_t unique;
    const struct fuse_in_header in = {.opcode = opcode, .nodeid = node, .unique = ++unique * 2};
    struct request r = {.len = 0};

    put(&r, &in, sizeof(in));
    return r;
}

void put_text(struct request *r, const char *text)
{
    put(r, text, strlen(text) + 1);
}

void serve(struct world *w, struct request *r, struct vu_record *record)
{
    static struct ring_chain chain;
    struct fuse_out_header out;

    ((struct fuse_in_header *)(void *)r->bytes)->len = (uint32_t)r->len;
    chain = (struct ring_chain){
        .n_out = 1, .n_in = 1, .out_len = r->len, .in_len = sizeof(w->s->reply)};
    chain.seg[0] = (struct ring_seg){r->bytes, r->len};
    chain.seg[1] = (struct ring_seg){w->s->reply, sizeof(w->s->reply)};
    server_ops.batch_begin(w->srv, w->thread);
    int64_t used = dispatch_serve(w->srv, w->thread, NULL, &chain, record);
    server_ops.batch_end(w->srv, w->thread);
    must(used >= 0, "a request that ends at once");
    if (used == 0)
        return;
    memcpy(&out, w->s->reply, sizeof(out));
    w->s->error = out.error;
}

/* One that is not under test. Return: the payload of its reply. */
const void *ask(struct world *w, struct request r)
{
    static struct vu_record record; /* AddressSanitizer's own stack does not align by 64 */

    record = (struct vu_record){0};
    serve(w, &r, &record);
    if (w->s->error)
        fprintf(stderr, "opcode %u: %s\n", ((struct fuse_in_header *)(void *)r.bytes)->opcode,
                strerror(-w->s->error));
    must(w->s->error == 0, "a request that succeeds");
    return w->s->reply + sizeof(struct fuse_out_header);
}

void init(struct world *w)
{
    const struct fuse_init_in in = {.major = 7,
                                    .minor = 38,
                                    .flags = FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_FLOCK_LOCKS |
                                             FUSE_POSIX_LOCKS};
    struct request r = request(FUSE_INIT, 0);

    put(&r, &in, sizeof(in));
    ask(w, r);
}

uint64_t look_up(struct world *w, const char *name)
{
    struct request r = request(FUSE_LOOKUP, 1);

    put_text(&r, name);
    return ((const struct fuse_entry_out *)ask(w, r))->nodeid;
}

uint64_t open_node(struct world *w, uint64_t node, uint32_t flags)
{
    const struct fuse_open_in in = {.flags = flags};
    struct request r = request(FUSE_OPEN, node);

    put(&r, &in, sizeof(in));
    return ((const struct fuse_open_out *)ask(w, r))->fh;
}

static int first_worker(struct world *w, const struct attempt *a, enum moment moment)
{
    pid_t worker = keep_rig_fork(w->keep);

    if (worker == 0) {
        start(w);
        init(w);
        if (a->learn)
            a->learn(w);
        struct request r = a->ask(w);
        armed = a->call;
        armed_moment = moment;
        serve(w, &r, &w->s->record);
        _exit(98); /* it was to be killed */
    }
    return keep_rig_wait(w->keep, worker);
}

/* Return: the reply's error. */
int next_worker(struct world *w, const struct attempt *a)
{
    keep_rig_resumes(w->keep, true);
    pid_t worker = keep_rig_fork(w->keep);
    if (worker == 0) {
        start(w);
        struct request r = a->ask(w);
        w->s->record.again++;
        w->s->error = 1;
        serve(w, &r, &w->s->record);
        _exit(0);
    }
    assert_int_equal(keep_rig_wait(w->keep, worker), 0);
    return w->s->error;
}

void end_first(struct world *w, const struct attempt *a, enum moment moment)
{
    if (a->prepare)
        a->prepare(w);
    int status = first_worker(w, a, moment);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int outcome(struct world *w, const struct attempt *a, enum moment moment)
{
    end_first(w, a, moment);
    return next_worker(w, a);
}

/* ---- on the host ------------------------------------------------------------------------------ */

void host_file(const struct world *w, const char *name, const char *text)
{
    int fd = openat(w->fd, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

void has_text(const struct world *w, const char *name, const char *text)
{
    char buf[256] = {0};
    int fd = openat(w->fd, name, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_true(read(fd, buf, sizeof(buf) - 1) >= 0);
    close(fd);
    assert_string_equal(buf, text);
}

bool exists(const struct world *w, const char *name)
{
    return faccessat(w->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void past_the_clock_tick(void)
{
    usleep(20000); /* the coarse clock's, at HZ=100 */
}
