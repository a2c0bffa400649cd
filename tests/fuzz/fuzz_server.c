// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuzz_server.c - a hostile guest, and a careless host, against the server
 *
 * Theory of operation
 *
 *   An input is a script (server_script.h): requests and doings of the host, in order. They go to the
 *   real dispatch_serve() of a real server, as main() would build it with --sandbox=none, over a small
 *   directory (server_share.h). Which of a few servers, with other options each, is the script's choice.
 *
 *   Node ids and handles are those that replies returned, by number, or made up. Every segment of a
 *   chain is a heap block of exact size, so that ASan sees one byte too many, and every reply is held to
 *   what a guest's driver and FUSE client rely on.
 *
 *   After each input: no request is left unanswered; DESTROY has left no inode, handle or descriptor;
 *   when everything was closed and forgotten politely, nothing was left before it either; and what lies
 *   beside the share has not been touched.
 *
 *   With FUZZ_TRACE in the environment it says what happens.
 *   "fuzz_server --write-seeds DIR" writes the seeds anew that tests/fuzz/seeds/server keeps.
 *
 * Double: struct vq here is not the daemon's. It stands for a queue whose driver has as many chains in
 * flight as it likes; it records completions and proves nothing about rings or guest memory (fuzz_ring does).
 *
 * Locks: run.lock guards completions, which come from pool and lock threads too.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/dispatch.h"
#include "tests/fuzz/fuzz_must.h"
#include "tests/fuzz/server_guest.h"
#include "tests/fuzz/server_share.h"
#include "tree/tree_int.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
const char *__asan_default_options(void);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    SERVERS = 6,
    POOL = 2,       /* threads, where there is one */
    IN_FLIGHT = 32, /* requests that may be kept at a time */
    CACHED_FDS = 3, /* of a server that lives with few, besides the root's */
    PATIENCE_S = 5, /* for kept requests to end */
};

struct vq {
    unsigned index;
    uint32_t waiting;
};

enum request_state { FREE, SERVED, KEPT, DONE };

/* A chain in the server's hands. */
struct request {
    enum request_state state; /* run.lock */
    uint32_t used;            /* run.lock */
    struct asked asked;
    struct ring_chain *chain;
    struct vu_record record;
};

static struct {
    struct server *srv[SERVERS];
    struct srv_thread *thread[SERVERS];
    struct vq vq[2];
    pthread_t self;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool trace;         /* say what happens */
    struct guest guest; /* this input's, and the server it talks to */
    struct server *srv_now;
    struct srv_thread *thread_now;
    unsigned starve; /* which allocation is to fail; 0: none */
    bool serving;    /* the server is called, on this program's own thread */
    bool host_acted; /* in the share */
    bool busy;       /* the pool has nothing but run.job; with run.lock */
    unsigned n_busy; /* run.lock */
    struct pool_job job[POOL];
    uint8_t head[SCRIPT_HEAD];
    uint64_t chance;
    struct request request[IN_FLIGHT];
} run = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

/* ---- the queue's double -------------------------------------------------------------------- */

unsigned vq_index(const struct vq *vq)
{
    return vq->index;
}

uint32_t vq_waiting(const struct vq *vq)
{
    return vq->waiting;
}

/* No queue is ever paced here: the options set no limits. */
void vq_wake(struct vq *vq)
{
    (void)vq;
    abort();
}

void vq_complete(struct vq *vq, uint16_t head, uint32_t len, const struct ring_seg *written,
                 uint32_t n_written)
{
    MUST((vq == &run.vq[0] || vq == &run.vq[1]) && head < IN_FLIGHT);
    struct request *r = &run.request[head];

    pthread_mutex_lock(&run.lock);
    MUST(r->state == SERVED || r->state == KEPT); /* exactly once */
    MUST(len == 0 || n_written == r->chain->n_in);
    for (uint32_t i = 0; len && i < n_written; i++)
        MUST(written[i].base == r->chain->seg[r->chain->n_out + i].base);
    r->used = len;
    r->state = DONE;
    pthread_cond_broadcast(&run.done);
    pthread_mutex_unlock(&run.lock);
}

/* The server's scripts stop no queue for good: a request that is put off ends as if it had been interrupted. */
bool vq_defer(struct vq *vq, uint16_t head)
{
    (void)vq;
    (void)head;
    return false;
}

/* ---- memory that runs out (the linker's --wrap leads here) ------------------------------------ */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);

static bool runs_out(void)
{
    if (run.starve == 0 || !run.serving || !pthread_equal(pthread_self(), run.self))
        return false;
    return --run.starve == 0;
}

void *__wrap_malloc(size_t size)
{
    return runs_out() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return runs_out() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return runs_out() ? NULL : __real_realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
    return runs_out() ? NULL : __real_strdup(s);
}

/* ---- replies ------------------------------------------------------------------------------- */

static void free_request(struct request *r)
{
    for (unsigned i = 0; i < (unsigned)r->chain->n_out + r->chain->n_in; i++)
        free(r->chain->seg[i].base);
    r->state = FREE;
}

/* Is what came back a FUSE reply to this request? */
static void settle(struct request *r)
{
    static uint8_t reply[GUEST_REQUEST];
    const struct ring_chain *c = r->chain;
    const struct asked *q = &r->asked;
    const struct fuse_op *op = fuse_op_find(q->opcode);
    struct fuse_out_header head;

    MUST(r->used <= c->in_len && r->used <= sizeof(reply));
    if (r->used == 0) {
        MUST((op && op->flags & OP_NO_REPLY) || c->in_len < sizeof(head) ||
             c->out_len < sizeof(struct fuse_in_header));
    } else {
        MUST(r->used >= sizeof(head));
        MUST(!op || !(op->flags & OP_NO_REPLY));
        MUST(seg_copy_out(reply, r->used, c->seg + c->n_out, c->n_in, 0) == r->used);
        memcpy(&head, reply, sizeof(head));
        MUST(head.len == r->used && head.unique == q->unique);
        MUST(head.error <= 0 && head.error > -4096);
        MUST(head.error == 0 || head.len == sizeof(head));
        if (head.error == 0)
            guest_learn(&run.guest, q, reply + sizeof(head), r->used - sizeof(head));
    }
    if (run.trace)
        fprintf(stderr, "%llu: %s node %llx -> %d, %u bytes\n", (unsigned long long)q->unique,
                op ? op->name : "?", (unsigned long long)q->nodeid, r->used ? head.error : 0,
                r->used);
    free_request(r);
}

static struct request *next_done(void)
{
    struct request *r = NULL;

    pthread_mutex_lock(&run.lock);
    for (unsigned i = 0; i < IN_FLIGHT && !r; i++)
        if (run.request[i].state == DONE)
            r = &run.request[i];
    pthread_mutex_unlock(&run.lock);
    return r;
}

static void settle_done(void)
{
    struct request *r;

    while ((r = next_done()))
        settle(r);
}

static unsigned count_kept(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < IN_FLIGHT; i++)
        n += run.request[i].state == KEPT;
    return n;
}

/* Whoever was asked to hurry ends soon. */
static void await_kept(void)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&run.lock);
    while (count_kept() > 0)
        MUST(pthread_cond_timedwait(&run.done, &run.lock, &until) == 0);
    pthread_mutex_unlock(&run.lock);
    settle_done();
}

/* ---- chains -------------------------------------------------------------------------------- */

enum cut { CUT_NOT, CUT_HEADER, CUT_PAGES, CUT_ANYHOW };

static uint64_t chance(void)
{
    run.chance ^= run.chance << 13;
    run.chance ^= run.chance >> 7;
    run.chance ^= run.chance << 17;
    return run.chance >> 16;
}

static size_t next_cut(enum cut how, size_t header, bool first, size_t left)
{
    size_t n = left;

    switch (how) {
    case CUT_NOT:
        break;
    case CUT_HEADER:
        n = first ? header : left;
        break;
    case CUT_PAGES:
        n = first ? header : 4096;
        break;
    case CUT_ANYHOW:
        n = 1 + chance() % (left / 4 + 17);
        break;
    }
    return n < left ? n : left;
}

/* Cut @len bytes into blocks of their own; @from: their content, or NULL. Return: how many. */
static uint16_t cut_up(struct ring_seg *seg, const uint8_t *from, size_t len, enum cut how,
                       size_t header)
{
    uint16_t n = 0;

    for (size_t at = 0; at < len; n++) {
        size_t part = next_cut(how, header, n == 0, len - at);
        seg[n].base = malloc(part);
        MUST(seg[n].base);
        if (from)
            memcpy(seg[n].base, from + at, part);
        seg[n].len = part;
        at += part;
    }
    return n;
}

/* ---- serving ------------------------------------------------------------------------------- */

static struct request *free_slot(void)
{
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        if (run.request[i].state == FREE)
            return &run.request[i];
    return NULL;
}

static void serve(struct request *r, struct vq *vq)
{
    r->state = SERVED;
    r->record = (struct vu_record){.state = VU_RECORD_TAKEN};
    run.serving = true;
    server_ops.batch_begin(run.srv_now, run.thread_now);
    int64_t used = dispatch_serve(run.srv_now, run.thread_now, vq, r->chain, &r->record);
    server_ops.batch_end(run.srv_now, run.thread_now);
    run.serving = false;

    pthread_mutex_lock(&run.lock);
    if (used == VU_LATER) {
        if (r->state == SERVED)
            r->state = KEPT;
    } else {
        MUST(r->state == SERVED && used >= 0 && used <= UINT32_MAX);
        r->used = (uint32_t)used;
        r->state = DONE;
    }
    pthread_mutex_unlock(&run.lock);
    settle_done();
}

/* The request in @w, with @room for its reply. */
static void send_request(const struct writer *w, uint8_t shape, uint32_t room)
{
    struct request *r = free_slot();
    struct vq *vq = &run.vq[!(shape & SHAPE_HIPRIO)];

    if (!r)
        return; /* the ring is full */
    r->asked = guest_asks(&run.guest, w);
    struct ring_chain *c = r->chain;
    c->head = (uint16_t)(r - run.request);
    c->out_len = w->len;
    c->in_len = room;
    c->n_out = cut_up(c->seg, w->buf, w->len, shape & SHAPE_OUT, sizeof(struct fuse_in_header));
    c->n_in = cut_up(c->seg + c->n_out, NULL, room, (shape & SHAPE_IN) >> 2,
                     sizeof(struct fuse_out_header));
    vq->waiting = shape & SHAPE_CROWDED ? 8 : 0;
    serve(r, vq);
}

/* A plain request without a name, for what this file itself has to say. */
static void say(uint32_t opcode, uint64_t nodeid, const void *arg, size_t len)
{
    static struct writer w;
    struct fuse_in_header head = {.len = (uint32_t)(sizeof(head) + len),
                                  .opcode = opcode,
                                  .unique = ++run.guest.unique,
                                  .nodeid = nodeid};

    w.len = 0;
    writer_put(&w, &head, sizeof(head));
    writer_put(&w, arg, len);
    send_request(&w, 0, 304);
}

static void do_request(const struct step *s)
{
    static struct writer w;
    uint32_t room = guest_request(&run.guest, s, run.srv_now->session.dialect.setxattr_ext, &w);

    send_request(&w, s->shape, room);
}

/* A job of somebody else, for each thread of the pool. */
static void stay_busy(struct pool_job *job, void *thread)
{
    (void)job, (void)thread;
    pthread_mutex_lock(&run.lock);
    while (run.busy)
        pthread_cond_wait(&run.done, &run.lock);
    run.n_busy--;
    pthread_cond_broadcast(&run.done);
    pthread_mutex_unlock(&run.lock);
}

static void pool_busy(void)
{
    if (!run.srv_now->pool)
        return;
    run.busy = true;
    run.n_busy = POOL;
    for (unsigned i = 0; i < POOL; i++) {
        run.job[i].run = stay_busy;
        pool_submit(run.srv_now->pool, &run.job[i]);
    }
}

static void pool_idle(void)
{
    pthread_mutex_lock(&run.lock);
    run.busy = false;
    pthread_cond_broadcast(&run.done);
    while (run.n_busy > 0)
        pthread_cond_wait(&run.done, &run.lock);
    pthread_mutex_unlock(&run.lock);
}

static void open_all(void)
{
    struct fuse_open_in in = {0};
    unsigned before;

    do {
        before = run.guest.n_files;
        say(FUSE_OPENDIR, FUSE_ROOT_ID, &in, sizeof(in));
    } while (run.guest.n_files > before);
}

static void host_resets(void)
{
    server_ops.cancel_later(run.srv_now, &run.vq[0]);
    server_ops.cancel_later(run.srv_now, &run.vq[1]);
    await_kept();
    server_ops.session_reset(run.srv_now);
    guest_session_gone(&run.guest);
}

static void do_host(const struct step *s)
{
    enum host_op op = (s->op - STEP_HOST) % HOST_OPS;

    switch (op) {
    case HOST_HURRY:
        if (s->node & 2)
            server_ops.defer_later(run.srv_now, &run.vq[s->node & 1]);
        server_ops.cancel_later(run.srv_now, &run.vq[s->node & 1]);
        break;
    case HOST_RESET:
        host_resets();
        break;
    case HOST_BUSY:
        if (run.busy)
            pool_idle();
        else
            pool_busy();
        break;
    case HOST_OPENS:
        open_all();
        break;
    case HOST_STARVE:
        run.starve = 1 + s->node % 16;
        break;
    default:
        share_host_step(op, s->node, s->fh);
        run.host_acted = true;
    }
    if (run.trace)
        fprintf(stderr, "host: %d %u %u\n", op, s->node, s->fh);
}

/* ---- before and after ---------------------------------------------------------------------- */

static void say_init(void)
{
    static const uint64_t groups[8] = {
        FUSE_INIT_EXT,  FUSE_POSIX_ACL,          FUSE_SECURITY_CTX, FUSE_CREATE_SUPP_GROUP,
        FUSE_DONT_MASK, FUSE_HANDLE_KILLPRIV_V2, FUSE_FLOCK_LOCKS,  FUSE_WRITEBACK_CACHE};
    uint64_t flags = ~0ULL;

    for (unsigned i = 0; i < 8; i++)
        if (run.head[1] & 1u << i)
            flags &= ~groups[i];
    struct fuse_init_in in = {.major = 7,
                              .minor = 41u - run.head[2] % 16u,
                              .flags = (uint32_t)flags,
                              .flags2 = (uint32_t)(flags >> 32)};
    say(FUSE_INIT, 0, &in, sizeof(in));
}

/* The thread that covers subtrees may just be looking at a directory (watch/crawl.c). */
static bool only_root_is_known(void)
{
    const struct timespec nap = {.tv_nsec = 1000000};

    for (unsigned ms = 0; tree_inodes(run.srv_now->tree) > 1 && ms < PATIENCE_S * 1000; ms++)
        nanosleep(&nap, NULL);
    return tree_inodes(run.srv_now->tree) == 1;
}

/* Whoever closes and forgets all that it was told of leaves nothing behind. */
static void leave_politely(void)
{
    server_ops.cancel_later(run.srv_now, &run.vq[0]);
    server_ops.cancel_later(run.srv_now, &run.vq[1]);
    await_kept();
    for (unsigned i = 0; i < run.guest.n_files; i++) {
        struct fuse_release_in in = {.fh = run.guest.file[i].fh};
        say(run.guest.file[i].dir ? FUSE_RELEASEDIR : FUSE_RELEASE, run.guest.file[i].nodeid, &in,
            sizeof(in));
    }
    for (unsigned i = 0; i < run.guest.n_nodes; i++) {
        struct fuse_forget_in in = {run.guest.node[i].lookups};
        say(FUSE_FORGET, run.guest.node[i].id, &in, sizeof(in));
    }
    if (run.guest.lost)
        return;
    MUST(handles_count(run.srv_now->handles) == 0);
    MUST(run.guest.locks || only_root_is_known());
}

/* Descriptors that are open, O_PATH ones included. */
static size_t count_fds(void)
{
    struct stat st;
    size_t n = 0;

    /* Linux 6.2: the size of this directory is their number. */
    MUST(fstat(run.srv[0]->sb.proc_fd, &st) == 0);
    if (st.st_size > 0)
        return (size_t)st.st_size;
    DIR *dir = opendir("/proc/self/fd");
    MUST(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 3; /* itself and two dots */
}

/* Each tree keeps one for opening file handles, once it has needed it. */
static size_t lasting_fds(void)
{
    size_t n = 0;

    for (unsigned i = 0; i < SERVERS; i++)
        n += mount_at(run.srv[i]->tree->mounts, 0)->fd >= 0;
    return n;
}

static void nothing_is_left(void)
{
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        MUST(run.request[i].state == FREE);
    MUST(run.srv_now->n_kept == 0 && !run.srv_now->kept);
    MUST(handles_count(run.srv_now->handles) == 0);
    MUST(tree_inodes(run.srv_now->tree) == 1 && tree_fds(run.srv_now->tree) == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script;
    struct step step;

    if (size < SCRIPT_HEAD)
        return 0;
    /* Now: libFuzzer has opened what it wants, and between inputs its symbolizer comes and goes. */
    const size_t fds = count_fds() - lasting_fds();
    memset(&run.guest, 0, sizeof(run.guest));
    memcpy(run.head, data, SCRIPT_HEAD);
    unsigned which = (data[0] & HEAD_SERVER) % SERVERS;
    run.srv_now = run.srv[which];
    run.thread_now = run.thread[which];
    run.host_acted = false;
    run.starve = 0;
    run.chance = 0x9e3779b97f4a7c15u * (data[3] + 1u);
    share_enter();
    if (!(data[0] & HEAD_NO_INIT))
        say_init();
    script_begin(&script, data, size);
    while (script_next(&script, &step)) {
        if (step.op >= STEP_HOST && step.op < STEP_UNKNOWN)
            do_host(&step);
        else
            do_request(&step);
    }
    run.starve = 0;
    if (data[0] & HEAD_POLITE)
        leave_politely();
    say(FUSE_DESTROY, 0, "", 0);
    await_kept();
    pool_idle();
    share_must_be_alone();
    if (run.srv_now->conf->readonly && !run.host_acted)
        share_must_be_unchanged();
    share_renew();
    nothing_is_left();
    run.thread_now->cwd_is_fds = false;
    share_leave();
    MUST(count_fds() == fds + lasting_fds());
    return 0;
}

/* ---- servers ------------------------------------------------------------------------------- */

/*
 * Options beside the sandbox and what is shared. Byte 0 of a script chooses a row. Only one row has the change feed
 * (server_script.c: FEED_SERVER): the kernel takes 10 ms to end an inotify descriptor.
 */
static const char *const options[SERVERS][10] = {
    {"--xattr", "--posix-acl=auto", "--security-label=auto", "--flock", "--posix-lock",
     "--allow-direct-io", "--watch=never"},
    {"--thread-pool-size=2", "--xattr", "--flock", "--posix-lock", "--cache=never",
     "--preserve-noatime", "--watch=never"},
    {"--xattrmap=:map::user.host.:", "--cache=always", "--writeback", "--inode-file-handles=never",
     "--translate-uid=squash-host:0:1000:5", "--killpriv-v2=always", "--watch=never"},
    {"--readonly", "--xattr", "--cache=metadata", "--watch=never"},
    {"--xattr", "--flock", "--watch-limit=16"},
    {"--no-readdirplus", "--posix-lock", "--watch=never"},
};

/* What the share's own file system is not like. */
static const struct server_kind {
    bool few_fds; /* as if others were held */
    bool remote;
    bool mandatory; /* handles, where they can be opened */
    enum mount_stamp stamp;
} kinds[SERVERS] = {
    {.stamp = STAMP_BTIME},
    {.stamp = STAMP_BTIME, .remote = true},
    {.stamp = STAMP_BTIME, .few_fds = true},
    {.stamp = STAMP_BTIME},
    {.stamp = STAMP_HANDLE, .few_fds = true, .mandatory = true},
    {.stamp = STAMP_NONE},
};

static void parse(struct conf *conf, const char *share, unsigned which)
{
    char *argv[20] = {"fuzz_server",    "--shared-dir",   (char *)(uintptr_t)share, "--fd=0",
                      "--sandbox=none", "--seccomp=none", "--thread-pool-size=0"};
    int argc = 7;

    for (const char *const *o = options[which]; *o; o++)
        argv[argc++] = (char *)(uintptr_t)*o;
    MUST(conf_parse(conf, argc, argv) == CONF_RUN);
}

/* Leave only a few slots in the cache. */
static void cut_cache(struct fd_cache *c)
{
    uint32_t slot = c->free_head;

    for (int i = 1; i < CACHED_FDS; i++)
        slot = c->entry[slot].next_free;
    c->entry[slot].next_free = 0;
}

static void change_kind(struct server *srv, const struct server_kind *kind)
{
    struct mount *m = mount_at(srv->tree->mounts, 0);

    m->stamp = kind->stamp;
    if (kind->remote)
        m->local = srv->local = false;
    if (kind->mandatory && srv->tree->p.can_handles)
        srv->tree->p.handles = HANDLES_MANDATORY;
    if (kind->few_fds)
        cut_cache(&srv->tree->fds);
}

static void start_servers(const char *share)
{
    static struct conf conf[SERVERS];
    struct sandbox sb;

    log_threshold = LOG_OFF_;
    for (unsigned i = 0; i < SERVERS; i++) {
        parse(&conf[i], share, i);
        if (i == 0) {
            MUST(sandbox_enter(&conf[0], &sb, NULL) == 0);
            MUST(sandbox_lock(&conf[0], &sb) == 0);
        }
        MUST(server_new(&run.srv[i], &conf[i], &sb, NULL, 250, NULL) == 0);
        struct pool *pool;
        MUST(server_pool(&pool, &conf[i]) == 0);
        server_start(run.srv[i], pool, 0);
        run.thread[i] = server_ops.thread_begin(run.srv[i]);
        MUST(run.thread[i]);
        change_kind(run.srv[i], &kinds[i]);
    }
}

/* Half of the time would go into the call stacks of allocations otherwise. */
const char *__asan_default_options(void)
{
    return "malloc_context_size=3:quarantine_size_mb=32";
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    if (*argc == 3 && strcmp((*argv)[1], "--write-seeds") == 0)
        exit(script_write_seeds((*argv)[2]) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    run.trace = getenv("FUZZ_TRACE") != NULL;
    start_servers(share_open());
    run.vq[1].index = 1;
    run.self = pthread_self();
    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        run.request[i].chain = malloc(sizeof(*run.request[i].chain));
        MUST(run.request[i].chain);
    }
    return 0;
}
