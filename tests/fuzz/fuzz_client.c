// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuzz_client.c - the Windows service's FUSE client before a host that lies
 *
 * Input: one byte of options, one with the number of steps (up to 64), two bytes for each step (what, and with
 * which names, nodes and sizes), and then what becomes of the host's answers (client_liar.h).
 *
 * Whatever the host says, the client must stay within its memory, end every call, and hold nothing after
 * cli_close(). A host that never lied must get every lookup back that it gave, and not one more.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/fuse/fuse_proto.h"
#include "service/client/client.h"
#include "service/client/linux_errno.h"
#include "tests/fuzz/client_liar.h"
#include "tests/fuzz/fuzz_must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NODES = 8, FILES = 4, DIRS = 3, TRANSFERS = 6, WATCHES = 4, DATA = 20000, MAX_STEPS = 64 };

struct transfer {
    struct cli_io io;
    bool busy;
    unsigned *ended;
};

/* The user of the client: what it holds. */
struct user {
    struct liar liar;
    struct cli *c;
    struct cli_node *node[NODES]; /* [0] is the root */
    struct cli_file *file[FILES];
    struct cli_dir *dir[DIRS];
    struct transfer transfer[TRANSFERS];
    struct cli_node *watched[WATCHES];
    uint8_t *data; /* DATA bytes, of the transfers that wait */
    uint8_t arg;   /* of the step */
    bool recovered;
    unsigned sessions;
};

static const char *const words[] = {"a",   "bee", "BEE", "cc", "missing", "long name of a file",
                                    "new", "B"};

static struct cli_name name(const struct user *u, unsigned shift)
{
    const char *word = words[u->arg >> shift & 7];

    return (struct cli_name){word, (uint32_t)strlen(word)};
}

static struct cli_node *node(const struct user *u)
{
    struct cli_node *n = u->node[u->arg & (NODES - 1)];

    return n ? n : u->node[0];
}

/* Keep a node in the place of an older one. */
static void keep(struct user *u, int e, struct cli_node *n)
{
    struct cli_node **slot = &u->node[1 + (u->arg >> 3) % (NODES - 1)];

    if (e)
        return;
    MUST(n);
    cli_node_put(u->c, *slot);
    *slot = n;
}

static struct cli_file *file(const struct user *u)
{
    return u->file[u->arg % FILES];
}

static void keep_file(struct user *u, int e, struct cli_file *f)
{
    struct cli_file **slot = &u->file[u->arg % FILES];

    if (e)
        return;
    MUST(f);
    cli_file_close(u->c, *slot);
    *slot = f;
}

/* ---- steps: names and nodes ------------------------------------------------------------------------ */

static void do_lookup(struct user *u)
{
    struct cli_node *n = NULL;
    char actual[256];

    keep(u, cli_lookup(u->c, node(u), name(u, 3), &n, actual), n);
}

static void do_walk(struct user *u)
{
    struct cli_name names[3] = {name(u, 0), name(u, 2), name(u, 5)};
    struct cli_walk w;
    int e = cli_walk(u->c, names, u->arg % 4, &w);

    if (e == 0) {
        MUST(w.node && w.spelling_len <= CLI_SPELLING_MAX);
        keep(u, 0, cli_node_get(w.node));
    }
    cli_walk_end(u->c, &w);
}

static void do_create(struct user *u)
{
    struct cli_node *n = NULL;
    struct cli_file *f = NULL;
    bool open = u->arg & 1;
    int e = cli_create(u->c, node(u), name(u, 3), 0644, CLI_READ | CLI_WRITE, &n, open ? &f : NULL);

    keep(u, e, n);
    if (open)
        keep_file(u, e, f);
}

static void do_make(struct user *u)
{
    struct cli_node *n = NULL;
    int e;

    if (u->arg & 0x80)
        e = cli_mkdir(u->c, node(u), name(u, 3), 0755, &n);
    else if (u->arg & 0x40)
        e = cli_symlink(u->c, node(u), name(u, 3), "target", &n);
    else
        e = cli_mknod(u->c, node(u), name(u, 3), 0010644, 0, &n);
    keep(u, e, n);
}

static void do_remove(struct user *u)
{
    if (u->arg & 0x80)
        cli_unlink(u->c, node(u), name(u, 3));
    else
        cli_rmdir(u->c, node(u), name(u, 3));
}

static void do_rename(struct user *u)
{
    struct cli_node *to = u->node[u->arg >> 4 & (NODES - 1)];

    cli_rename(u->c, node(u), name(u, 3), to ? to : u->node[0], name(u, 5), u->arg >> 6);
}

static void do_readlink(struct user *u)
{
    char target[64];
    int n = cli_readlink(u->c, node(u), target, u->arg & 0x80 ? 5 : sizeof(target));

    MUST(n < (int)sizeof(target));
    if (n >= 0)
        MUST(strlen(target) <= (size_t)n);
}

static void do_put(struct user *u)
{
    struct cli_node **slot = &u->node[1 + (u->arg >> 3) % (NODES - 1)];

    cli_node_put(u->c, *slot);
    *slot = NULL;
}

static void do_forget(struct user *u)
{
    struct cli_name none = {NULL, 0};

    cli_forget_name(u->c, node(u), u->arg & 0x80 ? none : name(u, 3));
    cli_forget_attr(u->c, node(u));
}

/* ---- steps: attributes ------------------------------------------------------------------------------- */

static void do_getattr(struct user *u)
{
    struct cli_attr a;

    if (cli_getattr(u->c, node(u), u->arg & 0x80, &a) == 0) {
        MUST(a.size <= INT64_MAX && a.mtime.nsec < 1000000000);
        MUST((a.mode & 0170000) == cli_node_type(node(u)));
    }
}

static void do_setattr(struct user *u)
{
    struct cli_attr a = {.size = u->arg, .mode = 0600}, now;

    cli_setattr(u->c, node(u), 1u << (u->arg >> 5), &a, &now);
}

static void do_statfs(struct user *u)
{
    struct cli_statfs s;

    cli_statfs(u->c, &s);
    if (u->arg & 1)
        cli_syncfs(u->c);
}

static void do_xattr(struct user *u)
{
    char value[32];
    int n = 0;

    switch (u->arg >> 6) {
    case 0:
        n = cli_getxattr(u->c, node(u), "user.a", value, u->arg & 8 ? 0 : sizeof(value));
        break;
    case 1:
        n = cli_listxattr(u->c, node(u), value, u->arg & 8 ? 0 : sizeof(value));
        break;
    case 2:
        cli_setxattr(u->c, node(u), "user.a", u->data, u->arg & 8 ? 5000 : 5, 0);
        break;
    default:
        cli_removexattr(u->c, node(u), "user.a");
    }
    MUST(n <= (u->arg & 8 ? 65536 : (int)sizeof(value)));
}

/* ---- steps: data --------------------------------------------------------------------------------------- */

static void do_open(struct user *u)
{
    struct cli_file *f = NULL;

    keep_file(u, cli_file_open(u->c, node(u), 1 + (u->arg >> 3) % 3, &f), f);
}

static void do_close(struct user *u)
{
    struct cli_file **slot = &u->file[u->arg % FILES];

    cli_file_close(u->c, *slot);
    *slot = NULL;
}

static struct cli_io shape(const struct user *u, uint8_t *buf)
{
    static const uint32_t lens[] = {0, 1, 100, 4096, 4097, 9000, 16384, DATA};
    static const uint64_t offsets[] = {0, 500, 9000, INT64_MAX};

    return (struct cli_io){.buf = buf,
                           .len = lens[u->arg >> 2 & 7],
                           .offset = offsets[u->arg >> 5 & 3],
                           .flags = u->arg >> 6};
}

static void do_io(struct user *u, bool write)
{
    struct cli_io io = shape(u, u->data);
    int e;

    if (!file(u))
        return;
    liar_answer_all(&u->liar); /* an append waits for those before it, and there is one thread */
    e = write ? cli_write(u->c, file(u), &io) : cli_read(u->c, file(u), &io);
    MUST(e <= 0);
    if (e == 0)
        MUST(io.bytes <= io.len && io.error <= 0);
}

static void do_read(struct user *u)
{
    do_io(u, false);
}

static void do_write(struct user *u)
{
    do_io(u, true);
}

static void transfer_done(struct cli_io *io)
{
    struct transfer *t = io->user;

    MUST(t->busy && io->bytes <= io->len && io->error <= 0);
    t->busy = false;
}

static void do_transfer(struct user *u)
{
    struct transfer *t = &u->transfer[u->arg % TRANSFERS];
    int e;

    if (t->busy || !file(u))
        return;
    free(t->io.buf);
    t->io = shape(u, NULL);
    t->io.buf =
        calloc(1, t->io.len ? t->io.len : 1); /* its own, so that ASan sees a byte too much */
    MUST(t->io.buf);
    t->io.done = transfer_done;
    t->io.user = t;
    t->busy = true;
    u->liar.may_wait = true;
    e = u->arg & 1 ? cli_write(u->c, file(u), &t->io) : cli_read(u->c, file(u), &t->io);
    u->liar.may_wait = false;
    if (e)
        t->busy = false;
}

static void do_cancel(struct user *u)
{
    struct transfer *t = &u->transfer[u->arg % TRANSFERS];

    if (t->busy)
        cli_io_cancel(u->c, &t->io);
}

static void do_sync(struct user *u)
{
    cli_fsync(u->c, node(u));
    if (file(u))
        cli_allocate(u->c, file(u), 0, u->arg);
}

/* ---- steps: listings ------------------------------------------------------------------------------------- */

static void do_dir_open(struct user *u)
{
    struct cli_dir **slot = &u->dir[u->arg % DIRS], *d;

    if (cli_dir_open(u->c, node(u), &d))
        return;
    cli_dir_close(u->c, *slot);
    *slot = d;
}

struct taking {
    struct user *u;
    unsigned left;
};

static bool take(void *arg, const struct cli_dirent *e)
{
    struct taking *t = arg;

    MUST(e->name_len >= 1 && e->name_len <= 255 && !memchr(e->name, '/', e->name_len));
    MUST(!memchr(e->name, 0, e->name_len));
    return t->left-- > 0;
}

static void do_dir_read(struct user *u)
{
    struct cli_dir *d = u->dir[u->arg % DIRS];
    struct taking t = {.u = u, .left = u->arg & 0x80 ? 100 : 2};
    int e = d ? cli_dir_read(u->c, d, u->arg >> 2 & 7, take, &t) : 0;

    MUST(e <= 1);
}

static void do_dir_close(struct user *u)
{
    struct cli_dir **slot = &u->dir[u->arg % DIRS];

    cli_dir_close(u->c, *slot);
    *slot = NULL;
}

/* ---- steps: the session ------------------------------------------------------------------------------------ */

static void do_tick(struct user *u)
{
    cli_tick(u->c);
    cli_responding(u->c);
    cli_owner_set(u->c, u->arg, u->arg);
}

static void do_answer(struct user *u)
{
    liar_answer_all(&u->liar);
}

static void do_recover(struct user *u)
{
    liar_answer_all(&u->liar);
    u->liar.epoch++;
    u->liar.ended = false;
    u->recovered = true;
    u->sessions++;
    cli_recover(u->c);
}

/* ---- steps: changes -------------------------------------------------------------------------------------- */

/* What is told is made of names, whatever the host has said. */
static void changed(void *arg, const struct cli_change *change)
{
    const char *at = change->path, *end = at + change->path_len;

    (void)arg;
    MUST(change->action >= VIOFS_ADDED && change->action <= VIOFS_UNCOVERED);
    MUST(change->path_len <= CLI_SPELLING_MAX);
    MUST(!memchr(at, 0, change->path_len));
    while (at < end) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        size_t len = (size_t)((slash ? slash : end) - at);

        MUST(len >= 1 && len <= 255 && !(at[0] == '.' && len == 1) &&
             !(len == 2 && memcmp(at, "..", 2) == 0));
        MUST(!slash || slash + 1 < end);
        at += len + (slash != NULL);
    }
}

static void do_changes(struct user *u)
{
    liar_tell(&u->liar);
}

/* The next ones are there before they have been asked for. */
static void do_flood(struct user *u)
{
    u->liar.flood = u->arg * 4u;
    liar_tell(&u->liar);
    u->liar.flood = 0;
}

static void unwatch(struct user *u, struct cli_node **slot)
{
    if (*slot)
        cli_unwatch(u->c, *slot);
    cli_node_put(u->c, *slot);
    *slot = NULL;
}

static void do_watch(struct user *u)
{
    struct cli_node **slot = &u->watched[u->arg >> 3 & (WATCHES - 1)];

    if (*slot)
        unwatch(u, slot);
    else if (cli_watch(u->c, node(u), u->arg & 0x80 ? 1000 : 0) == 0)
        *slot = cli_node_get(node(u));
}

static void (*const steps[])(struct user *u) = {
    do_lookup, do_walk,     do_create,  do_make,   do_remove,   do_rename,   do_readlink,  do_put,
    do_forget, do_getattr,  do_setattr, do_statfs, do_xattr,    do_open,     do_close,     do_read,
    do_write,  do_transfer, do_cancel,  do_sync,   do_dir_open, do_dir_read, do_dir_close, do_tick,
    do_answer, do_recover,  do_changes, do_flood,  do_watch,
};

/* ---- a session ------------------------------------------------------------------------------------------------ */

static void give_back(struct user *u)
{
    for (unsigned i = 0; i < FILES; i++)
        cli_file_close(u->c, u->file[i]);
    for (unsigned i = 0; i < DIRS; i++)
        cli_dir_close(u->c, u->dir[i]);
    for (unsigned i = 0; i < WATCHES; i++)
        unwatch(u, &u->watched[i]);
    for (unsigned i = 0; i < NODES; i++)
        cli_node_put(u->c, u->node[i]);
    liar_answer_all(&u->liar);
    for (unsigned i = 0; i < TRANSFERS; i++) {
        MUST(!u->transfer[i].busy);
        free(u->transfer[i].io.buf);
    }
}

static void run(struct user *u, const uint8_t *script, unsigned n)
{
    u->node[0] = cli_root(u->c);
    for (unsigned i = 0; i < n; i++) {
        u->arg = script[2 * i + 1];
        steps[script[2 * i] % (sizeof(steps) / sizeof(steps[0]))](u);
    }
    give_back(u);
    cli_close(u->c);
    MUST(!u->liar.events &&
         u->liar.asked <= u->liar.told + u->sessions); /* one more after each answer */
    for (unsigned id = 2; id < LIAR_IDS + 2; id++)
        MUST(u->liar.lied || u->liar.lookups[id] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t space[DATA];
    struct user u = {.data = space, .sessions = 1};
    struct cli_options o = {.max_nodes = 4, .max_names = 12};
    unsigned n;

    if (size < 2)
        return 0;
    o.case_insensitive = data[0] & 1;
    o.no_extension = data[0] & 2;
    o.want_btime = data[0] & 4;
    o.want_meta = o.want_dos = data[0] & 32;
    o.read_only = data[0] & 8;
    o.want_feed = data[0] & 64;
    o.changed = changed;
    n = data[1] % (MAX_STEPS + 1);
    if (size - 2 < 2 * (size_t)n)
        n = (unsigned)((size - 2) / 2);
    liar_init(&u.liar, data + 2 + (size_t)2 * n, size - 2 - (size_t)2 * n);
    u.liar.echoes = data[0] & 128;
    u.liar.in_flags_off = data[0] & 16 ? 1u << 13 /* FUSE_DO_READDIRPLUS */ : 0;
    if (cli_open(&u.c, &u.liar.transport, &o) == 0)
        run(&u, data + 2, n);
    return 0;
}
