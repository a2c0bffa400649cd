// SPDX-License-Identifier: BSD-3-Clause
/*
 * server_script.c - inputs of fuzz_server: reading, drafting, mutating
 *
 * Theory of operation
 *
 *   Any bytes are a script. Steps have their own lengths, so libFuzzer's mutations alone would destroy
 *   everything behind the place where they insert; the custom mutator works on whole steps instead,
 *   drafts new ones from a table of values that mean something to an opcode, and leaves the bytes of a
 *   step to libFuzzer.
 *
 * Ownership: a script borrows the input.   Locks: none.
 */
#include "tests/fuzz/server_script.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/fuse/fuse_call.h"
#include "tests/fuzz/server_share.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                                 uint8_t *out, size_t max, unsigned seed);

/* ---- reading ------------------------------------------------------------------------------- */

void script_begin(struct script *s, const uint8_t *data, size_t size)
{
    *s = (struct script){data + SCRIPT_HEAD, data + size, SCRIPT_MAX_STEPS};
}

bool script_next(struct script *s, struct step *step)
{
    const uint8_t *p = s->at;

    if ((size_t)(s->end - p) < STEP_HEAD || s->left == 0)
        return false;
    *step = (struct step){p[0], p[1], p[2], p[3], {p[4], p[5]}, p[6], p[7], p[8], p + STEP_HEAD};
    size_t rest = (size_t)(s->end - p) - STEP_HEAD;
    if (step->n > rest)
        step->n = (uint8_t)rest;
    s->at += STEP_HEAD + step->n;
    s->left--;
    return true;
}

/* ---- drafting ------------------------------------------------------------------------------ */

struct rng {
    uint64_t x;
};

static uint32_t any(struct rng *r, uint32_t below)
{
    r->x ^= r->x << 13;
    r->x ^= r->x >> 7;
    r->x ^= r->x << 17;
    return (uint32_t)((r->x >> 33) % below);
}

/* Values that an argument may sensibly, or just not sensibly, have. */
#define N_VALUES 8
static const struct field {
    uint32_t opcode;
    uint8_t off, size;
    uint8_t n;
    uint64_t value[N_VALUES];
} fields[] = {
#define OPEN_FLAGS                                                                                 \
    O_RDWR, O_RDONLY, O_RDWR | O_TRUNC, O_WRONLY | O_APPEND, O_RDWR | O_DIRECT, O_RDWR | O_EXCL,   \
        O_RDWR | O_SYNC, O_WRONLY | O_NOATIME
#define CREATES(op)                                                                                \
    {op, 0, 4, 8, {OPEN_FLAGS}}, {op, 4, 4, 4, {0644, 0600, 06755, 0}},                            \
        {op, 8, 4, 3, {0, 022, 077}},                                                              \
    {                                                                                              \
        op, 12, 4, 2,                                                                              \
        {                                                                                          \
            0, 1                                                                                   \
        }                                                                                          \
    }
    {FUSE_OPEN, 0, 4, 8, {OPEN_FLAGS}},
    {FUSE_OPEN, 4, 4, 2, {0, FUSE_OPEN_KILL_SUIDGID}},
    {VIOFS_OPEN, 0, 4, 8, {OPEN_FLAGS}},
    CREATES(FUSE_CREATE),
    CREATES(VIOFS_CREATE),
    CREATES(FUSE_TMPFILE),
    {FUSE_MKNOD, 0, 4, 5, {S_IFREG | 0644, S_IFIFO | 0666, S_IFCHR | 0600, S_IFSOCK, 0}},
    {FUSE_MKNOD, 4, 4, 2, {0x103, 0}},
    {FUSE_MKDIR, 0, 4, 3, {0755, 02775, 0}},
    {FUSE_SETATTR,
     0,
     4,
     8,
     {FATTR_SIZE, FATTR_MODE, FATTR_UID | FATTR_GID, FATTR_ATIME | FATTR_MTIME,
      FATTR_SIZE | FATTR_FH, FATTR_SIZE | FATTR_KILL_SUIDGID,
      FATTR_MODE | FATTR_FH | FATTR_ATIME | FATTR_ATIME_NOW, 0x3ff}},
    {FUSE_SETATTR, 16, 8, 6, {0, 1, 5000, 70000, 1ULL << 40, ~0ULL}},
    {FUSE_SETATTR, 56, 4, 4, {0, 999999999, UTIME_NOW, UTIME_OMIT}},
    {FUSE_SETATTR, 60, 4, 4, {0, 999999999, UTIME_NOW, UTIME_OMIT}},
    {FUSE_SETATTR, 68, 4, 4, {0644, 0, 06777, 01777}},
    {FUSE_SETATTR, 76, 4, 3, {0, 1000, ~0ULL}},
    {FUSE_SETATTR, 80, 4, 3, {0, 1000, ~0ULL}},
#define READS(op)                                                                                  \
    {op, 8, 8, 6, {0, 0, 1, 4096, INT64_MAX, 1ULL << 63}},                                         \
    {                                                                                              \
        op, 16, 4, 6,                                                                              \
        {                                                                                          \
            4096, 100, 0, 8192, 65536, 1 << 20                                                     \
        }                                                                                          \
    }
    READS(FUSE_READ),
    READS(FUSE_READDIR),
    READS(FUSE_READDIRPLUS),
    READS(VIOFS_READDIRPLUS),
    {FUSE_WRITE, 8, 8, 5, {0, 1, 4095, 60000, INT64_MAX}},
    {FUSE_WRITE, 20, 4, 3, {0, FUSE_WRITE_KILL_SUIDGID, FUSE_WRITE_CACHE}},
    {FUSE_GETXATTR, 0, 4, 4, {0, 4096, 1, 65536}},
    {FUSE_LISTXATTR, 0, 4, 4, {0, 4096, 1, 65536}},
    {FUSE_SETXATTR, 4, 4, 3, {0, 1, 2}},
    {FUSE_SETXATTR, 8, 4, 2, {0, FUSE_SETXATTR_ACL_KILL_SGID}},
#define LOCKS(op)                                                                                  \
    {op, 8, 8, 3, {1, 2, 3}}, {op, 16, 8, 3, {0, 5, INT64_MAX}},                                   \
        {op, 24, 8, 4, {INT64_MAX, 9, 4, ~0ULL}}, {op, 32, 4, 4, {F_WRLCK, F_RDLCK, F_UNLCK, 7}},  \
    {                                                                                              \
        op, 40, 4, 2,                                                                              \
        {                                                                                          \
            0, FUSE_LK_FLOCK                                                                       \
        }                                                                                          \
    }
    LOCKS(FUSE_GETLK),
    LOCKS(FUSE_SETLK),
    LOCKS(FUSE_SETLKW),
    {FUSE_FALLOCATE, 8, 8, 4, {0, 4096, 100, 1ULL << 62}},
    {FUSE_FALLOCATE, 16, 8, 4, {4096, 20000, 0, 1ULL << 62}},
    {FUSE_FALLOCATE, 24, 4, 6, {0, 1, 3, 8, 0x10, 0x40}},
    {FUSE_LSEEK, 8, 8, 4, {0, 5000, 1ULL << 62, 1ULL << 63}},
    {FUSE_LSEEK, 16, 4, 4, {3, 4, 2, 0}},
    {FUSE_COPY_FILE_RANGE, 8, 8, 3, {0, 100, 1ULL << 63}},
    {FUSE_COPY_FILE_RANGE, 32, 8, 3, {0, 5000, 1ULL << 62}},
    {FUSE_COPY_FILE_RANGE, 40, 8, 4, {4096, 0, ~0ULL, 1}},
    {FUSE_FORGET, 0, 8, 4, {1, 2, 0, ~0ULL}},
    {FUSE_INIT, 0, 4, 4, {7, 7, 8, 6}},
    {FUSE_INIT, 4, 4, 5, {38, 31, 27, 26, 99}},
    {FUSE_INIT, 12, 4, 3, {~0ULL, 0, FUSE_INIT_EXT}},
    {FUSE_INIT, 16, 4, 2, {~0ULL, 0}},
    {FUSE_ACCESS, 0, 4, 4, {4, 7, 0, 8}},
    {FUSE_IOCTL, 8, 4, 3, {0, FUSE_IOCTL_DIR, FUSE_IOCTL_UNRESTRICTED}},
    {FUSE_IOCTL,
     12,
     4,
     5,
     {FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, FICLONE}},
    {FUSE_IOCTL, 28, 4, 5, {4, 28, 8, 0, 33}},
    {FUSE_RENAME2, 8, 4, 5, {0, 1, 2, 4, 5}},
    {FUSE_RELEASE, 12, 4, 3, {0, FUSE_RELEASE_FLUSH, FUSE_RELEASE_FLOCK_UNLOCK}},
    {FUSE_RELEASE, 16, 8, 3, {1, 2, 3}},
    {FUSE_FLUSH, 16, 8, 3, {1, 2, 3}},
    {FUSE_FSYNC, 8, 4, 2, {0, 1}},
    {FUSE_GETATTR, 0, 4, 2, {0, FUSE_GETATTR_FH}},
    {VIOFS_GETATTR, 0, 4, 2, {0, FUSE_GETATTR_FH}},
    {VIOFS_FUSE_STATX, 0, 4, 2, {0, FUSE_GETATTR_FH}},
    {VIOFS_PROBE, 0, 4, 3, {1, 0, 2}},
    {VIOFS_PROBE, 4, 4, 4, {~0ULL, VIOFS_FEATURE_BTIME, VIOFS_FEATURE_META, VIOFS_FEATURE_FEED}},
    {VIOFS_WATCH, 0, 8, 4, {1, 2, 0, ~0ULL}},
    {VIOFS_WATCH, 8, 4, 2, {0, 1000}},
    {VIOFS_UNWATCH, 0, 8, 3, {1, 2, 3}},
};

/* A step with its bytes in place, as the mutator handles it. */
struct draft {
    uint8_t head[STEP_HEAD]; /* the last is the number of bytes */
    uint8_t bytes[STEP_BYTES];
};

enum { D_OP, D_SHAPE, D_NODE, D_FH, D_NAME1, D_NAME2, D_ROOM, D_LEN, D_N };

static void draft_fields(struct draft *d, const struct fuse_op *op, struct rng *r)
{
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const struct field *f = &fields[i];
        if (f->opcode != op->opcode)
            continue;
        /* The first value is the one that works. */
        uint64_t v = f->value[any(r, 3) ? 0 : any(r, f->n)];
        memcpy(d->bytes + f->off, &v, f->size);
    }
}

static bool uses_handle(uint32_t opcode)
{
    switch (opcode) {
    case FUSE_READ:
    case FUSE_WRITE:
    case FUSE_RELEASE:
    case FUSE_FSYNC:
    case FUSE_FLUSH:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
    case VIOFS_READDIRPLUS:
    case FUSE_RELEASEDIR:
    case FUSE_FSYNCDIR:
    case FUSE_GETLK:
    case FUSE_SETLK:
    case FUSE_SETLKW:
    case FUSE_IOCTL:
    case FUSE_FALLOCATE:
    case FUSE_LSEEK:
    case FUSE_COPY_FILE_RANGE:
        return true;
    default:
        return false;
    }
}

static void draft_request(struct draft *d, const struct fuse_op *op, struct rng *r)
{
    memset(d, 0, sizeof(*d));
    d->head[D_OP] = (uint8_t)op->index;
    d->head[D_SHAPE] = (uint8_t)any(r, 16);
    if (any(r, 8) == 0)
        d->head[D_SHAPE] |= (uint8_t)(any(r, 16) << 4);
    d->head[D_NODE] =
        uses_handle(op->opcode) ? NODE_OF_HANDLE : (uint8_t)(any(r, 2) ? 0 : any(r, 6));
    d->head[D_FH] = (uint8_t)any(r, 4);
    d->head[D_NAME1] = (uint8_t)any(r, 6);
    d->head[D_NAME2] = (uint8_t)any(r, 6);
    d->head[D_ROOM] = (uint8_t)(any(r, 4) ? ROOM_AMPLE : any(r, 16));
    d->head[D_LEN] = (uint8_t)(any(r, 16));
    d->head[D_N] = (uint8_t)(op->arg_len + 2);
    draft_fields(d, op, r);
    d->bytes[op->arg_len] = (uint8_t)any(r, 4); /* the second node */
    d->bytes[op->arg_len + 1] = (uint8_t)any(r, 4);
}

static void draft_any(struct draft *d, struct rng *r)
{
    static unsigned n_ops;

    while (fuse_op_at(n_ops))
        n_ops++;
    if (any(r, 8)) {
        draft_request(d, fuse_op_at(any(r, n_ops)), r);
        return;
    }
    memset(d, 0, sizeof(*d));
    d->head[D_OP] = (uint8_t)(STEP_HOST + any(r, HOST_OPS));
    d->head[D_NODE] = (uint8_t)any(r, 12);
    d->head[D_FH] = (uint8_t)any(r, 12);
}

/* ---- mutating ------------------------------------------------------------------------------ */

struct draft_list {
    uint8_t head[SCRIPT_HEAD];
    unsigned n;
    struct draft at[SCRIPT_MAX_STEPS];
};

static void list_read(struct draft_list *l, const uint8_t *data, size_t size)
{
    struct script s;
    struct step step;

    l->n = 0;
    memset(l->head, 0, sizeof(l->head));
    memcpy(l->head, data, size < SCRIPT_HEAD ? size : SCRIPT_HEAD);
    if (size <= SCRIPT_HEAD)
        return;
    script_begin(&s, data, size);
    while (script_next(&s, &step)) {
        struct draft *d = &l->at[l->n++];
        memcpy(d->head, step.bytes - STEP_HEAD, STEP_HEAD);
        d->head[D_N] = step.n;
        memset(d->bytes, 0, sizeof(d->bytes));
        memcpy(d->bytes, step.bytes, step.n);
    }
}

static size_t list_write(const struct draft_list *l, uint8_t *to, size_t max)
{
    size_t at = SCRIPT_HEAD;

    if (max < SCRIPT_HEAD)
        return 0;
    memcpy(to, l->head, SCRIPT_HEAD);
    for (unsigned i = 0; i < l->n; i++) {
        const struct draft *d = &l->at[i];
        size_t n = STEP_HEAD + (size_t)d->head[D_N];
        if (n > max - at)
            break;
        memcpy(to + at, d->head, STEP_HEAD);
        memcpy(to + at + STEP_HEAD, d->bytes, d->head[D_N]);
        at += n;
    }
    return at;
}

static void list_insert(struct draft_list *l, unsigned at, const struct draft *d)
{
    if (l->n == SCRIPT_MAX_STEPS)
        return;
    memmove(&l->at[at + 1], &l->at[at], (l->n - at) * sizeof(*d));
    l->at[at] = *d;
    l->n++;
}

static void list_remove(struct draft_list *l, unsigned at)
{
    memmove(&l->at[at], &l->at[at + 1], (l->n - at - 1) * sizeof(l->at[0]));
    l->n--;
}

static void mutate_one(struct draft *d, struct rng *r)
{
    const struct fuse_op *op = d->head[D_OP] < STEP_HOST ? fuse_op_at(d->head[D_OP]) : NULL;
    uint32_t how = any(r, 4);

    if (how == 0)
        d->head[any(r, STEP_HEAD - 1)] = (uint8_t)any(r, 256);
    else if (how == 1)
        d->head[1 + any(r, 5)] = (uint8_t)any(r, 8); /* what is chosen, not how */
    else if (how == 2 && op && d->head[D_N] >= op->arg_len)
        draft_fields(d, op, r);
    else
        d->head[D_N] = (uint8_t)LLVMFuzzerMutate(d->bytes, d->head[D_N], STEP_BYTES);
}

static void mutate_list(struct draft_list *l, struct rng *r)
{
    struct draft d;
    unsigned i = l->n ? any(r, l->n) : 0;

    if (l->n == 0 || any(r, 3) == 0) {
        draft_any(&d, r);
        list_insert(l, any(r, l->n + 1), &d);
        return;
    }
    switch (any(r, 8)) {
    case 0:
        list_remove(l, i);
        break;
    case 1:
        d = l->at[i];
        list_insert(l, any(r, l->n + 1), &d);
        break;
    case 2:
        d = l->at[i];
        list_remove(l, i);
        list_insert(l, any(r, l->n + 1), &d);
        break;
    case 3:
        l->head[any(r, SCRIPT_HEAD)] = (uint8_t)any(r, 256);
        break;
    default:
        mutate_one(&l->at[i], r);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    static struct draft_list l;
    struct rng r = {seed * 0x9e3779b97f4a7c15u + 1};

    if (any(&r, 32) == 0)
        return LLVMFuzzerMutate(data, size, max);
    list_read(&l, data, size);
    for (unsigned n = 1 + any(&r, 3); n > 0; n--)
        mutate_list(&l, &r);
    return list_write(&l, data, max);
}

/* The head and the first steps of one, the last steps of another. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                                 uint8_t *out, size_t max, unsigned seed)
{
    static struct draft_list la, lb;
    struct rng r = {seed * 0x9e3779b97f4a7c15u + 1};

    list_read(&la, a, a_size);
    list_read(&lb, b, b_size);
    la.n = any(&r, la.n + 1);
    for (unsigned i = any(&r, lb.n + 1); i < lb.n && la.n < SCRIPT_MAX_STEPS; i++)
        la.at[la.n++] = lb.at[i];
    return list_write(&la, out, max);
}

/* ---- seeds --------------------------------------------------------------------------------- */

static void add_request(struct draft_list *l, uint32_t opcode, uint8_t node, uint8_t name)
{
    /* Chance that always takes the first value and never an oddity: see draft_fields(). */
    struct rng r = {1};
    struct draft *d = &l->at[l->n++];

    draft_request(d, fuse_op_find(opcode), &r);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (fields[i].opcode == opcode)
            memcpy(d->bytes + fields[i].off, &fields[i].value[0], fields[i].size);
    d->head[D_SHAPE] = 1 | 1 << 2;
    if (!uses_handle(opcode))
        d->head[D_NODE] = node;
    d->head[D_FH] = 0;
    d->head[D_NAME1] = name;
    d->head[D_NAME2] = (uint8_t)(name + 1);
    d->head[D_ROOM] = ROOM_AMPLE;
    d->head[D_LEN] = 7;
}

static int write_seed(const char *dir, const char *name, const struct draft_list *l)
{
    static uint8_t bytes[SCRIPT_HEAD + SCRIPT_MAX_STEPS * sizeof(struct draft)];
    char path[4096];
    size_t size = list_write(l, bytes, sizeof(bytes));

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f)
        return -errno;
    size_t put = fwrite(bytes, 1, size, f);
    return fclose(f) == 0 && put == size ? 0 : -EIO;
}

#define FEED_SERVER 4u /* fuzz_server.c: options */

/* What each request needs to find: two files and a directory looked up, something open. */
static void set_scene(struct draft_list *l, const struct fuse_op *op)
{
    bool dir = op->opcode == FUSE_READDIR || op->opcode == FUSE_READDIRPLUS ||
               op->opcode == VIOFS_READDIRPLUS || op->opcode == FUSE_RELEASEDIR ||
               op->opcode == FUSE_FSYNCDIR;

    *l = (struct draft_list){.head = {(uint8_t)(op->index % 6)}};
    if (op->opcode >= VIOFS_WATCH && op->opcode <= VIOFS_EVENTS)
        l->head[0] = FEED_SERVER;
    if (op->index & 1)
        l->head[0] |= HEAD_POLITE;
    if ((l->head[0] & ~HEAD_POLITE) == FEED_SERVER) {
        add_request(l, VIOFS_PROBE, 0, 0);
        add_request(l, VIOFS_EVENTS, 0, 0);
        add_request(l, VIOFS_WATCH, 0, 0);
    }
    if (dir)
        add_request(l, FUSE_OPENDIR, 0, 0);
    else
        add_request(l, FUSE_CREATE, 0, 0);
    if (op->opcode == FUSE_SETLKW) {
        add_request(l, FUSE_SETLK, 0, 0);
        l->at[l->n - 1].bytes[8] = 9; /* another owner */
    }
}

/* ---- seeds of several steps: what chance takes long to put together --------------------------- */

#define BY_HOST 0x80000000u
enum { A, B, C, DIR, SUB }; /* of names and of paths; then, of paths: */
enum { DIR_A = 5, DIR_SUB, DIR_B, SUB_DIR };

static const struct scene {
    const char *name;
    uint8_t head;
    struct scene_step {
        uint32_t opcode;
        uint8_t node, name, second; /* host: from, to */
        uint8_t off;                /* with a value: of an argument that matters */
        uint32_t value;
    } step[8];
} scenes[] = {
    {"scene-parents-in-a-ring",
     0,
     {{FUSE_LOOKUP, 0, DIR, 0, 0, 0},
      {FUSE_MKDIR, 1, SUB, 0, 0, 0},
      {FUSE_OPENDIR, 2, 0, 0, 0, 0},
      {BY_HOST | HOST_RENAME, DIR_SUB, SUB, 0, 0, 0},
      {BY_HOST | HOST_RENAME, DIR, SUB_DIR, 0, 0, 0},
      {FUSE_LOOKUP, 2, DIR, 0, 0, 0}}},
    {"scene-link-of-a-temporary-file",
     HEAD_POLITE,
     {{FUSE_TMPFILE, 0, 0, 0, 0, O_RDWR},
      {FUSE_LINK, 0, B, 1, 0, 0},
      {FUSE_UNLINK, 0, B, 0, 0, 0},
      {FUSE_GETATTR, 1, 0, 0, 0, 0}}},
    {"scene-rename-over-what-is-open",
     HEAD_POLITE | 2,
     {{FUSE_CREATE, 0, B, 0, 0, O_RDWR},
      {FUSE_LOOKUP, 0, A, 0, 0, 0},
      {FUSE_RENAME, 0, A, 0, 0, 0},
      {FUSE_WRITE, NODE_OF_HANDLE, 0, 0, 0, 0},
      {FUSE_GETATTR, 1, 0, 0, 0, 0}}},
    {"scene-replaced-by-a-symlink",
     0,
     {{FUSE_LOOKUP, 0, DIR, 0, 0, 0},
      {BY_HOST | HOST_SYMLINK, DIR, 0, 0, 0, 0},
      {FUSE_CREATE, 1, A, 0, 0, O_RDWR},
      {FUSE_OPENDIR, 1, 0, 0, 0, 0},
      {FUSE_LOOKUP, 0, DIR, 0, 0, 0}}},
    {"scene-interrupt-of-a-lock",
     0,
     {{FUSE_CREATE, 0, A, 0, 0, O_RDWR},
      {FUSE_SETLK, NODE_OF_HANDLE, 0, 0, 8, 9},
      {FUSE_SETLKW, NODE_OF_HANDLE, 0, 0, 8, 1},
      {FUSE_INTERRUPT, 0, 0, 0, 0, 0}}},
    {"scene-unlock-lets-another-in",
     0,
     {{FUSE_CREATE, 0, A, 0, 0, O_RDWR},
      {FUSE_SETLK, NODE_OF_HANDLE, 0, 0, 8, 9},
      {FUSE_SETLKW, NODE_OF_HANDLE, 0, 0, 8, 1},
      {FUSE_FLUSH, NODE_OF_HANDLE, 0, 0, 16, 9}}},
    {"scene-flock-until-the-end",
     HEAD_POLITE | 1,
     {{FUSE_CREATE, 0, A, 0, 0, O_RDWR},
      {BY_HOST | HOST_LOCK, A, 0, 0, 0, 0},
      {FUSE_SETLKW, NODE_OF_HANDLE, 0, 0, 40, FUSE_LK_FLOCK}}},
    {"scene-pool-is-busy",
     1,
     {{FUSE_CREATE, 0, A, 0, 0, O_RDWR},
      {BY_HOST | HOST_BUSY, 0, 0, 0, 0, 0},
      {FUSE_FSYNC, NODE_OF_HANDLE, 0, 0, 0, 0},
      {FUSE_FALLOCATE, NODE_OF_HANDLE, 0, 0, 24, 0},
      {FUSE_INTERRUPT, 0, 0, 0, 0, 0},
      {FUSE_FLUSH, NODE_OF_HANDLE, 0, 0, 0, 0},
      {BY_HOST | HOST_HURRY, 1, 0, 0, 0, 0}}},
    {"scene-no-handle-is-left",
     HEAD_POLITE | 4,
     {{BY_HOST | HOST_OPENS, 0, 0, 0, 0, 0},
      {FUSE_CREATE, 0, A, 0, 0, O_RDWR},
      {FUSE_CREATE, 0, B, 0, 0, O_RDWR},
      {FUSE_CREATE, 0, C, 0, 0, O_RDWR},
      {FUSE_TMPFILE, 0, 0, 0, 0, O_RDWR},
      {FUSE_OPENDIR, 0, 0, 0, 0, 0}}},
    {"scene-far-down-without-descriptors",
     HEAD_POLITE | 4,
     {{FUSE_LOOKUP, 0, DIR, 0, 0, 0},
      {FUSE_MKDIR, 1, C, 0, 0, 0},
      {FUSE_MKDIR, 2, B, 0, 0, 0},
      {FUSE_MKDIR, 3, B, 0, 0, 0},
      {FUSE_MKDIR, 4, B, 0, 0, 0},
      {FUSE_MKDIR, 0, SUB, 0, 0, 0},
      {FUSE_SETATTR, 6, 0, 0, 0, FATTR_MODE},
      {FUSE_OPENDIR, 5, 0, 0, 0, 0}}},
};

static void add_scene_step(struct draft_list *l, const struct scene_step *s)
{
    struct draft *d = &l->at[l->n];

    if (s->opcode & BY_HOST) {
        memset(d, 0, sizeof(*d));
        d->head[D_OP] = (uint8_t)(STEP_HOST + (s->opcode & ~BY_HOST));
        d->head[D_NODE] = s->node;
        d->head[D_FH] = s->name;
        l->n++;
        return;
    }
    add_request(l, s->opcode, s->node, s->name);
    d->bytes[fuse_op_find(s->opcode)->arg_len] = s->second;
    if (s->value)
        memcpy(d->bytes + s->off, &s->value, sizeof(s->value));
}

static int write_scenes(const char *dir)
{
    static struct draft_list l;
    int err = 0;

    for (size_t i = 0; !err && i < sizeof(scenes) / sizeof(scenes[0]); i++) {
        l = (struct draft_list){.head = {scenes[i].head}};
        for (const struct scene_step *s = scenes[i].step; s < scenes[i].step + 8 && s->opcode; s++)
            add_scene_step(&l, s);
        err = write_seed(dir, scenes[i].name, &l);
    }
    return err;
}

int script_write_seeds(const char *dir)
{
    static struct draft_list l;
    const struct fuse_op *op;
    int err = 0;

    for (unsigned i = 0; !err && (op = fuse_op_at(i)); i++) {
        set_scene(&l, op);
        add_request(&l, op->opcode, op->flags & OP_NAME1 && !(op->flags & OP_XATTR_NAME) ? 0 : 1,
                    2);
        err = write_seed(dir, op->name, &l);
    }
    return err ? err : write_scenes(dir);
}
