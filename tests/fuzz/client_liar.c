// SPDX-License-Identifier: BSD-3-Clause
/*
 * client_liar.c - a host that lies (see client_liar.h)
 *
 * Theory of operation
 *
 *   The honest tree has no end and takes no memory: a name's node is a hash of its directory and itself, a
 *   node's type is its number's. "m..." is missing everywhere.
 */
#include <string.h>

#include "lib/fuse/fuse_proto.h"
#include "service/client/linux_errno.h"
#include "tests/fuzz/client_liar.h"
#include "tests/fuzz/fuzz_must.h"

#define SIZE 10000u /* of every file, as reads find it */

/* What an answer is being made of. */
struct answer {
    const struct fuse_in_header *in;
    const uint8_t *arg;
    uint32_t arg_len;
    uint8_t *to;
    uint32_t len, room;
};

uint8_t liar_byte(struct liar *l)
{
    if (l->len == 0)
        return 0;
    l->len--;
    return *l->data++;
}

/* ---- honest answers ------------------------------------------------------------------------------ */

static void put(struct answer *a, const void *p, size_t len)
{
    if (len > a->room - a->len)
        len = a->room - a->len;
    memcpy(a->to + a->len, p, len);
    a->len += (uint32_t)len;
}

static uint64_t child(uint64_t dir, const char *name, size_t len)
{
    uint64_t h = dir * 31;

    for (size_t i = 0; i < len; i++)
        h = h * 131 + (uint8_t)name[i];
    return 2 + (h ^ h >> 7) % LIAR_IDS;
}

static uint32_t mode_of(uint64_t id)
{
    static const uint32_t modes[] = {0100644, 0040755, 0100644, 0120777, 0100644, 0010644};

    return id == FUSE_ROOT_ID ? 0040755 : modes[id % (sizeof(modes) / sizeof(modes[0]))];
}

static struct fuse_attr attr_of(uint64_t id)
{
    return (struct fuse_attr){
        .ino = 100 + id, .size = 1000, .blocks = 8, .mtime = 5, .mode = mode_of(id), .nlink = 1};
}

static void put_ext(struct answer *a)
{
    struct fuse_viofs_ext ext = {.btime = 3, .flags = VIOFS_EXT_BTIME};

    if (a->in->opcode >= VIOFS_LOOKUP && a->in->opcode <= VIOFS_OPEN)
        put(a, &ext, sizeof(ext));
}

static void put_entry(struct liar *l, struct answer *a, uint64_t id)
{
    struct fuse_entry_out e = {.nodeid = id,
                               .generation = 1,
                               .entry_valid = id % 2 ? 100 : 0,
                               .attr_valid = id % 3 ? 100 : 0,
                               .attr = attr_of(id)};

    put(a, &e, sizeof(e));
    put_ext(a);
    if (id >= 2)
        l->lookups[id]++;
}

/* A new object has the type that it was made with: an id of that type. */
static uint64_t made(uint64_t dir, const char *name, size_t len, uint32_t type)
{
    uint64_t id = child(dir, name, len);

    while ((mode_of(id) & 0170000) != type)
        id = id == LIAR_IDS + 1 ? 2 : id + 1;
    return id;
}

/* A name among the arguments. Return: its length. */
static size_t name_at(const struct answer *a, size_t at, const char **name)
{
    *name = (const char *)a->arg + at;
    MUST(at < a->arg_len);
    return strnlen(*name, a->arg_len - at);
}

static int32_t look_up(struct liar *l, struct answer *a)
{
    const char *name;
    size_t len = name_at(a, 0, &name);

    if (name[0] == 'm')
        return -LE_ENOENT;
    put_entry(l, a, child(a->in->nodeid, name, len));
    return 0;
}

static void make(struct liar *l, struct answer *a, size_t at, uint32_t type)
{
    struct fuse_open_out open = {.fh = 7};
    const char *name;
    size_t len = name_at(a, at, &name);

    put_entry(l, a, made(a->in->nodeid, name, len, type));
    if (a->in->opcode == FUSE_CREATE || a->in->opcode == VIOFS_CREATE)
        put(a, &open, sizeof(open));
}

/* Five names, the last of which is there in another case too. */
static void list(struct liar *l, struct answer *a, bool plus)
{
    static const char *const names[] = {".", "..", "a", "Bee", "cc", "long name of a file", "BEE"};
    struct fuse_read_in in;

    memcpy(&in, a->arg, sizeof(in));
    for (uint64_t i = in.offset; i < sizeof(names) / sizeof(names[0]); i++) {
        uint32_t len = (uint32_t)strlen(names[i]);
        uint64_t id = i < 2 ? 0 : child(a->in->nodeid, names[i], len);
        struct fuse_dirent d = {.ino = 100 + id, .off = i + 1, .namelen = len};
        uint8_t zero[8] = {0};

        if (in.size - a->len < 128 + 24 + 24 + 32 || a->room - a->len < 128 + 24 + 24 + 32)
            return;
        d.type = (mode_of(id) & 0170000) >> 12;
        if (plus)
            put_entry(l, a, id);
        put(a, &d, FUSE_NAME_OFFSET);
        put(a, names[i], len);
        put(a, zero, (8 - len % 8) % 8);
    }
}

static void init(struct liar *l, struct answer *a)
{
    struct fuse_init_in in;
    struct fuse_init_out out = {.major = 7, .minor = 38, .max_write = 4096, .max_pages = 1};

    memcpy(&in, a->arg, sizeof(in) < a->arg_len ? sizeof(in) : a->arg_len);
    out.flags = in.flags & ~l->in_flags_off;
    out.flags2 = in.flags2;
    memset(l->lookups, 0, sizeof(l->lookups));
    put(a, &out, sizeof(out));
}

static void put_attr(struct answer *a)
{
    struct fuse_attr_out out = {.attr_valid = a->in->nodeid % 3 ? 100 : 0,
                                .attr = attr_of(a->in->nodeid)};

    put(a, &out, sizeof(out));
    put_ext(a);
}

static void probe(struct answer *a)
{
    struct fuse_viofs_probe_in in;
    struct fuse_viofs_probe_out out = {.version = 1, .ext_len = sizeof(struct fuse_viofs_ext)};

    memcpy(&in, a->arg, sizeof(in));
    out.features = VIOFS_FEATURE_BTIME;
    if (in.wanted &
        VIOFS_FEATURE_FEED) /* the same sessions as ever for those that do not want it */
        out.features |= in.wanted & (VIOFS_FEATURE_FEED | VIOFS_FEATURE_OPEN);
    put(a, &out, sizeof(out));
}

static void put_statx(struct answer *a)
{
    struct viofs_statx_out out = {.attr_valid = 100,
                                  .stat = {.mask = 0xfff,
                                           .mode = (uint16_t)mode_of(a->in->nodeid),
                                           .ino = 100 + a->in->nodeid,
                                           .size = 1000}};

    put(a, &out, sizeof(out));
}

static void put_data(struct answer *a)
{
    static const uint8_t zero[SIZE];
    struct fuse_read_in in;

    memcpy(&in, a->arg, sizeof(in));
    uint64_t left = in.offset < SIZE ? SIZE - in.offset : 0;
    put(a, zero, left < in.size ? left : in.size);
}

static void put_xattr(struct answer *a, const char *value, uint32_t len)
{
    struct fuse_getxattr_in in;
    struct fuse_getxattr_out out = {.size = len};

    memcpy(&in, a->arg, sizeof(in));
    if (in.size)
        put(a, value, len);
    else
        put(a, &out, sizeof(out));
}

static int32_t honest(struct liar *l, struct answer *a, uint32_t data_len)
{
    struct fuse_open_out open = {.fh = a->in->nodeid};
    struct fuse_write_out written = {.size = data_len};
    struct fuse_statfs_out statfs = {.st = {.blocks = 100, .bsize = 4096, .namelen = 255}};
    struct fuse_viofs_watch_out watch = {.flags = VIOFS_WATCH_WHOLE};

    switch (a->in->opcode) {
    case FUSE_INIT:
        init(l, a);
        break;
    case VIOFS_PROBE:
        probe(a);
        break;
    case VIOFS_WATCH:
        put(a, &watch, sizeof(watch));
        break;
    case VIOFS_OPEN:
        put(a, &open, sizeof(open));
        put_attr(a);
        break;
    case FUSE_LOOKUP:
    case VIOFS_LOOKUP:
        return look_up(l, a);
    case FUSE_GETATTR:
    case VIOFS_GETATTR:
    case FUSE_SETATTR:
        put_attr(a);
        break;
    case VIOFS_FUSE_STATX:
        put_statx(a);
        break;
    case FUSE_CREATE:
    case VIOFS_CREATE:
        make(l, a, sizeof(struct fuse_create_in), 0100000);
        break;
    case FUSE_MKDIR:
        make(l, a, sizeof(struct fuse_mkdir_in), 0040000);
        break;
    case FUSE_MKNOD:
        make(l, a, sizeof(struct fuse_mknod_in), 0010000);
        break;
    case FUSE_SYMLINK:
        make(l, a, 0, 0120000);
        break;
    case FUSE_READLINK:
        put(a, "dir/target", 10);
        break;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        put(a, &open, sizeof(open));
        break;
    case FUSE_READ:
        put_data(a);
        break;
    case FUSE_WRITE:
        put(a, &written, sizeof(written));
        break;
    case FUSE_READDIR:
        list(l, a, false);
        break;
    case FUSE_READDIRPLUS:
    case VIOFS_READDIRPLUS:
        list(l, a, true);
        break;
    case FUSE_STATFS:
        put(a, &statfs, sizeof(statfs));
        break;
    case FUSE_GETXATTR:
        put_xattr(a, "value", 5);
        break;
    case FUSE_LISTXATTR:
        put_xattr(a, "user.a\0user.b", 14);
        break;
    default:
        break;
    }
    return 0;
}

/* ---- lies ------------------------------------------------------------------------------------------ */

static uint32_t number(struct liar *l)
{
    uint32_t low = liar_byte(l);

    return low | (uint32_t)liar_byte(l) << 8;
}

static void overwrite(struct liar *l, struct answer *a, unsigned times)
{
    for (unsigned i = 0; i < times && a->len; i++) {
        uint32_t at = number(l) % a->len;

        a->to[at] = liar_byte(l);
    }
}

static void grow(struct liar *l, struct answer *a, uint32_t n)
{
    for (; n && a->len < a->room; n--)
        a->to[a->len++] = liar_byte(l);
}

static int32_t some_errno(struct liar *l)
{
#define X(name, number) -(number),
    static const int32_t errors[] = {LINUX_ERRNOS(X) - 4095, -4000};
#undef X
    int32_t e = errors[liar_byte(l) % (sizeof(errors) / sizeof(errors[0]))];

    if (e == -LE_ENOTCONN && liar_byte(l) % 2)
        l->ended = true;
    return e;
}

/* Return: the result that the client gets to see. */
static int32_t lie(struct liar *l, struct answer *a, int32_t result)
{
    uint8_t how = liar_byte(l);

    if (how < 0x60)
        return result < 0 ? result : (int32_t)a->len;
    l->lied = true;
    if (how < 0x80)
        return some_errno(l);
    if (how < 0xa0)
        a->len = a->len ? number(l) % a->len : 0;
    else if (how < 0xd0)
        overwrite(l, a, 1 + how % 8);
    else if (how < 0xe0)
        grow(l, a, 1 + number(l) % 300);
    else {
        a->len = 0;
        grow(l, a, 1 + number(l) % 300);
    }
    return (int32_t)a->len;
}

static int32_t answer(struct liar *l, struct cli_msg *m)
{
    const struct fuse_in_header *in = m->req;
    struct answer a = {.in = in,
                       .arg = (const uint8_t *)m->req + sizeof(*in),
                       .arg_len = m->req_len - (uint32_t)sizeof(*in),
                       .to = m->reply,
                       .room = m->reply_cap};

    MUST(m->req_len >= sizeof(*in) && in->len == m->req_len + m->data_len);
    MUST(m->reply_cap <= l->max_transfer && m->data_len <= l->max_transfer);
    if (l->ended)
        return -LE_ENOTCONN;
    l->requests++;
    return lie(l, &a, honest(l, &a, m->data_len));
}

/* ---- changes ---------------------------------------------------------------------------------------- */

/* Of a record; the last ones no honest host sends. */
static uint32_t put_path(struct liar *l, struct answer *a)
{
    static const struct {
        const char *text;
        uint8_t len;
    } parts[] = {{"a", 1},  {"bee", 3}, {"BEE", 3},  {"a/cc", 4}, {"bee/new/a", 9}, {"", 0},
                 {"a/", 2}, {"/a", 2},  {"..", 2},   {"a/..", 4}, {"a//b", 4},      {"a\0b", 3},
                 {".", 1},  {"\0", 1},  {"\xff", 1}, {"a\\b", 4}};
    uint8_t which = liar_byte(l) % (sizeof(parts) / sizeof(parts[0]));
    uint32_t at = a->len;

    l->lied |= which > 5;
    put(a, parts[which].text, parts[which].len);
    return a->len - at;
}

static void put_change(struct liar *l, struct answer *a)
{
    struct fuse_viofs_event e = {.nodeid =
                                     liar_byte(l) % (LIAR_IDS + 4), /* some of them never given */
                                 .action = liar_byte(l) % 11u,      /* 1 to 8 are real */
                                 .flags = liar_byte(l) & 3};
    uint32_t at = a->len;
    static const uint8_t zero[8];

    if (a->room - a->len < sizeof(e) + 16)
        return;
    put(a, &e, sizeof(e));
    e.name_len = put_path(l, a);
    uint8_t wrong = liar_byte(l);
    if (wrong >= 0xf0) {
        e.name_len = wrong & 1 ? number(l) : UINT32_MAX - wrong % 40;
        l->lied = true;
    }
    memcpy(a->to + at, &e, sizeof(e));
    put(a, zero, (8 - a->len % 8) % 8);
}

static void answer_events(struct liar *l, struct cli_msg *m)
{
    struct answer a = {.in = m->req, .to = m->reply, .room = m->reply_cap};

    for (unsigned n = 1 + liar_byte(l) % 8; n; n--)
        put_change(l, &a);
    m->result = lie(l, &a, 0);
    l->told++;
    l->lied = true; /* what was taken back meanwhile nobody counts */
}

void liar_tell(struct liar *l)
{
    struct cli_msg *m = l->events;

    if (!m)
        return;
    l->events = NULL;
    answer_events(l, m);
    m->done(m);
}

/* The client's own change comes back to it, as one of somebody else. */
static void echo(struct liar *l, const struct cli_msg *m)
{
    struct fuse_viofs_event e = {.action = VIOFS_MODIFIED, .name_len = 1};
    struct cli_msg *out = l->events;
    struct fuse_in_header in;

    memcpy(&in, m->req, sizeof(in));
    bool changes = in.opcode == FUSE_WRITE || in.opcode == FUSE_SETATTR ||
                   in.opcode == FUSE_MKDIR || in.opcode == FUSE_UNLINK ||
                   in.opcode == FUSE_RENAME2 || in.opcode == VIOFS_CREATE;
    if (!l->echoes || !out || !changes)
        return;
    e.nodeid = in.nodeid;
    if (in.opcode == FUSE_WRITE || in.opcode == FUSE_SETATTR)
        e.name_len = 0;
    else
        e.action = in.opcode == FUSE_UNLINK ? VIOFS_REMOVED : VIOFS_ADDED;
    l->events = NULL;
    memset(out->reply, 0, sizeof(e) + 8);
    memcpy(out->reply, &e, sizeof(e));
    if (e.name_len)
        ((char *)out->reply)[sizeof(e)] = 'a';
    out->result = (int32_t)sizeof(e) + (e.name_len ? 8 : 0);
    l->told++;
    out->done(out);
}

/* ---- the transport ------------------------------------------------------------------------------- */

static struct liar *liar_of(struct cli_transport *t)
{
    return (struct liar *)t;
}

static int limits(struct cli_transport *t, struct cli_limits *out)
{
    struct liar *l = liar_of(t);

    *out = (struct cli_limits){.epoch = l->epoch,
                               .max_in_flight = LIAR_QUEUE,
                               .max_request = 4096,
                               .max_transfer = l->max_transfer,
                               .side_by_side = true,
                               .tag = "liar"};
    return l->ended ? -LE_ENOTCONN : 0;
}

static int32_t call(struct cli_transport *t, struct cli_msg *m)
{
    m->result = answer(liar_of(t), m);
    echo(liar_of(t), m);
    return m->result;
}

static void answer_one(struct liar *l, unsigned i)
{
    struct cli_msg *m = l->waiting[i];

    l->waiting[i] = l->waiting[--l->n_waiting];
    m->result = answer(l, m);
    m->done(m);
}

void liar_answer_all(struct liar *l)
{
    while (l->n_waiting)
        answer_one(l, liar_byte(l) % l->n_waiting);
}

static uint32_t opcode_of(const struct cli_msg *m)
{
    struct fuse_in_header in;

    memcpy(&in, m->req, sizeof(in));
    return in.opcode;
}

static int submit_events(struct liar *l, struct cli_msg *m)
{
    MUST(!l->events);
    if (l->ended)
        return -LE_ENOTCONN;
    l->asked++;
    if (l->flood == 0) {
        l->events = m;
        return 0;
    }
    l->flood--;
    answer_events(l, m);
    m->done(m);
    return 0;
}

static int submit(struct cli_transport *t, struct cli_msg *m)
{
    struct liar *l = liar_of(t);

    if (opcode_of(m) == VIOFS_EVENTS)
        return submit_events(l, m);
    /* The client's one thread waits for a GETXATTR, so nobody would be there to answer it later. */
    if ((l->may_wait || opcode_of(m) == VIOFS_WATCH) && l->n_waiting < LIAR_QUEUE &&
        opcode_of(m) != FUSE_GETXATTR && liar_byte(l) & 1) {
        l->waiting[l->n_waiting++] = m;
        return 0;
    }
    if (l->may_wait && liar_byte(l) == 0xff)
        return -LE_ENOMEM;
    m->result = answer(l, m);
    m->done(m);
    return 0;
}

static void cancel(struct cli_transport *t, struct cli_msg *m)
{
    struct liar *l = liar_of(t);

    if (l->events == m) {
        l->events = NULL;
        m->result = -LE_EINTR;
        m->done(m);
        return;
    }
    for (unsigned i = 0; i < l->n_waiting; i++) {
        if (l->waiting[i] == m) {
            l->waiting[i] = l->waiting[--l->n_waiting];
            l->lied = true; /* an answer that never comes */
            m->result = -LE_EINTR;
            m->done(m);
            return;
        }
    }
}

static void take_back(struct liar *l, uint64_t id, uint64_t n)
{
    if (l->lied || id < 2 || id > LIAR_IDS + 1)
        return;
    l->lookups[id] -= (int64_t)n;
    MUST(l->lookups[id] >= 0);
}

static int post(struct cli_transport *t, const void *req, uint32_t len)
{
    struct liar *l = liar_of(t);
    const uint8_t *arg = (const uint8_t *)req + sizeof(struct fuse_in_header);
    struct fuse_in_header in;
    struct fuse_batch_forget_in batch;
    struct fuse_forget_in single;

    memcpy(&in, req, sizeof(in));
    MUST(in.len == len && len <= 4096);
    if (l->ended)
        return -LE_ENOTCONN;
    if (in.opcode == FUSE_FORGET) {
        memcpy(&single, arg, sizeof(single));
        take_back(l, in.nodeid, single.nlookup);
    }
    if (in.opcode != FUSE_BATCH_FORGET)
        return 0;
    memcpy(&batch, arg, sizeof(batch));
    MUST(len == sizeof(in) + sizeof(batch) + batch.count * sizeof(struct fuse_forget_one));
    for (uint32_t i = 0; i < batch.count; i++) {
        struct fuse_forget_one one;

        memcpy(&one, arg + sizeof(batch) + i * sizeof(one), sizeof(one));
        take_back(l, one.nodeid, one.nlookup);
    }
    return 0;
}

static const struct cli_transport_ops operations = {
    .limits = limits, .call = call, .submit = submit, .post = post, .cancel = cancel};

void liar_init(struct liar *l, const uint8_t *data, size_t len)
{
    *l = (struct liar){.transport.ops = &operations,
                       .data = data,
                       .len = len,
                       .epoch = 1,
                       .max_transfer = 1 << 16};
}
