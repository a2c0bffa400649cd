// SPDX-License-Identifier: BSD-3-Clause
/*
 * server_g->c - what fuzz_server's guest knows, and how it makes requests of that
 *
 * Ownership: the caller's.   Locks: none; one thread.
 */
#include "tests/fuzz/server_guest.h"

#include <string.h>

#include "lib/fuse/fuse_call.h"
#include "tests/fuzz/fuzz_must.h"
#include "tests/fuzz/server_share.h"

/* ---- what replies tell --------------------------------------------------------------------- */

static void learn_node(struct guest *g, const struct fuse_entry_out *e)
{
    MUST(e->nodeid != 0 && !share_is_outside(e->attr.ino));
    for (unsigned i = 0; i < g->n_nodes; i++) {
        if (g->node[i].id == e->nodeid) {
            g->node[i].lookups++;
            return;
        }
    }
    if (g->n_nodes == GUEST_NODES)
        g->lost = true;
    else
        g->node[g->n_nodes++] = (struct node){e->nodeid, 1};
}

static void learn_file(struct guest *g, uint64_t fh, uint64_t nodeid, bool dir)
{
    for (unsigned i = 0; i < g->n_files; i++)
        MUST(g->file[i].fh != fh || g->file[i].dir != dir || g->file[i].nodeid != nodeid);
    if (g->n_files == GUEST_FILES)
        g->lost = true;
    else
        g->file[g->n_files++] = (struct file){fh, nodeid, dir};
}

/* What lies between two entries must not be what was there before. */
static void check_padding(const uint8_t *from, const uint8_t *to)
{
    while (from < to)
        MUST(*from++ == 0);
}

/* {entry, [ext,] dirent, name, padding} ... */
static void learn_listing(struct guest *g, const uint8_t *p, size_t len, size_t ext)
{
    while (len) {
        struct fuse_direntplus d;
        const size_t fixed = sizeof(d) + ext;
        MUST(len >= fixed);
        memcpy(&d.entry_out, p, sizeof(d.entry_out));
        memcpy(&d.dirent, p + sizeof(d.entry_out) + ext, sizeof(d.dirent));
        MUST(d.dirent.namelen > 0 && d.dirent.namelen <= 255);
        size_t size = (fixed + d.dirent.namelen + 7) & ~(size_t)7;
        MUST(len >= size && !memchr(p + fixed, '/', d.dirent.namelen));
        check_padding(p + fixed + d.dirent.namelen, p + size);
        if (d.entry_out.nodeid)
            learn_node(g, &d.entry_out);
        p += size;
        len -= size;
    }
}

static void check_listing(const uint8_t *p, size_t len)
{
    while (len) {
        struct fuse_dirent d;
        MUST(len >= sizeof(d));
        memcpy(&d, p, sizeof(d));
        size_t size = (sizeof(d) + d.namelen + 7) & ~(size_t)7;
        MUST(d.namelen > 0 && d.namelen <= 255 && len >= size);
        check_padding(p + sizeof(d) + d.namelen, p + size);
        p += size;
        len -= size;
    }
}

void guest_session_gone(struct guest *g)
{
    for (unsigned i = 0; i < g->n_nodes; i++)
        g->node[i].lookups = 0; /* the ids may still be tried */
    g->lost = false;
    g->locks = false;
}

void guest_learn(struct guest *g, const struct asked *q, const uint8_t *p, size_t len)
{
    const struct fuse_op *op = fuse_op_find(q->opcode);
    struct fuse_entry_out entry;
    struct fuse_open_out opened;

    MUST(op);
    /* Events differ in length: what must be there is room for the longest. */
    MUST(len >= (op->opcode == VIOFS_EVENTS ? sizeof(struct fuse_viofs_event) : op->reply_min));
    if (len >= sizeof(entry))
        memcpy(&entry, p, sizeof(entry));
    if (len >= sizeof(opened))
        memcpy(&opened, p + len - sizeof(opened), sizeof(opened));
    switch (q->opcode) {
    case VIOFS_LOOKUP:
        if (entry.nodeid == 0) { /* there is nothing of that name, and the guest may keep that */
            MUST(entry.entry_valid != 0 && entry.attr.ino == 0);
            break;
        }
        learn_node(g, &entry);
        break;
    case FUSE_LOOKUP:
    case FUSE_SYMLINK:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_LINK:
        learn_node(g, &entry);
        break;
    case FUSE_CREATE:
    case VIOFS_CREATE:
    case FUSE_TMPFILE:
        learn_node(g, &entry);
        learn_file(g, opened.fh, entry.nodeid, false);
        break;
    case VIOFS_OPEN:
        memcpy(&opened, p, len < sizeof(opened) ? len : sizeof(opened));
        learn_file(g, opened.fh, q->nodeid, false);
        break;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        learn_file(g, opened.fh, q->nodeid, q->opcode == FUSE_OPENDIR);
        break;
    case FUSE_READDIR:
        check_listing(p, len);
        break;
    case FUSE_READDIRPLUS:
    case VIOFS_READDIRPLUS:
        learn_listing(g, p, len, q->opcode == FUSE_READDIRPLUS ? 0 : sizeof(struct fuse_viofs_ext));
        break;
    case FUSE_INIT:
        if (q->restarts)
            guest_session_gone(g);
        break;
    case FUSE_DESTROY:
        guest_session_gone(g);
        break;
    default:
        break;
    }
}

/* ---- what a request is made of ------------------------------------------------------------- */

/* Where arguments hold ids, -1 for none. */
static const struct ids {
    uint32_t opcode;
    int8_t fh, node2, fh2;
} ids[] = {
    {FUSE_GETATTR, 8, -1, -1}, {VIOFS_GETATTR, 8, -1, -1},    {VIOFS_FUSE_STATX, 8, -1, -1},
    {FUSE_SETATTR, 8, -1, -1}, {FUSE_READ, 0, -1, -1},        {FUSE_WRITE, 0, -1, -1},
    {FUSE_READDIR, 0, -1, -1}, {FUSE_READDIRPLUS, 0, -1, -1}, {VIOFS_READDIRPLUS, 0, -1, -1},
    {FUSE_RELEASE, 0, -1, -1}, {FUSE_RELEASEDIR, 0, -1, -1},  {FUSE_FLUSH, 0, -1, -1},
    {FUSE_FSYNC, 0, -1, -1},   {FUSE_FSYNCDIR, 0, -1, -1},    {FUSE_GETLK, 0, -1, -1},
    {FUSE_SETLK, 0, -1, -1},   {FUSE_SETLKW, 0, -1, -1},      {FUSE_FALLOCATE, 0, -1, -1},
    {FUSE_LSEEK, 0, -1, -1},   {FUSE_IOCTL, 0, -1, -1},       {FUSE_COPY_FILE_RANGE, 0, 16, 24},
    {FUSE_RENAME, -1, 0, -1},  {FUSE_RENAME2, -1, 0, -1},     {FUSE_LINK, -1, 0, -1},
};

#define X16  "xxxxxxxxxxxxxxxx"
#define X255 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 "xxxxxxxxxxxxxxx"
static const char *const names[] = {"a",  "b",   "c", "dir", "sub",    "link", "fifo", ".",
                                    "..", "a/b", "",  X255,  X255 "x", "A",    "-",    "..."};
static const char *const xattr_names[] = {"user.a",
                                          "user.b",
                                          "security.capability",
                                          "system.posix_acl_access",
                                          "system.posix_acl_default",
                                          "trusted.a",
                                          "security.selinux",
                                          "user." X16,
                                          "user.host.a",
                                          "",
                                          "user.",
                                          X255,
                                          "virtiofs.user.a",
                                          "security.a",
                                          "system.a",
                                          X255 "x"};
static const char *const targets[] = {"a",       "../outside", "/",           "../outside/secret",
                                      "dir/sub", ".",          X255 "/" X255, ""};
static const uint32_t sizes[] = {0,  1,   4,   7,   8,    16,   24,    28,
                                 40, 100, 256, 512, 4096, 5000, 20000, 65536};
static const uint32_t rooms[] = {16, 0,   1,   15,  16,   17,   24,    40,
                                 80, 144, 160, 304, 8208, 1040, 32784, 66000};

void writer_put(struct writer *w, const void *p, size_t n)
{
    if (n > sizeof(w->buf) - w->len)
        n = sizeof(w->buf) - w->len;
    memcpy(w->buf + w->len, p, n);
    w->len += n;
}

static void put_pattern(struct writer *w, size_t n)
{
    if (n > sizeof(w->buf) - w->len)
        n = sizeof(w->buf) - w->len;
    for (size_t i = 0; i < n; i++)
        w->buf[w->len + i] = (uint8_t)(i * 7 + 1);
    w->len += n;
}

static uint64_t odd_id(uint8_t sel, uint64_t id)
{
    switch (sel & 7) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return id + (1ULL << 32);
    case 3:
        return id + 1;
    case 4:
        return id & UINT32_MAX;
    case 5:
        return id + 4096;
    case 6:
        return 4096;
    default:
        return UINT32_MAX;
    }
}

static struct file pick_file(const struct guest *g, uint8_t sel)
{
    struct file f = {0, FUSE_ROOT_ID, false};

    if (g->n_files)
        f = g->file[sel % g->n_files];
    if (sel >= ID_ODD)
        f.fh = odd_id(sel, f.fh);
    return f;
}

static uint64_t pick_node(const struct guest *g, uint8_t sel, uint8_t fh)
{
    if (sel >= NODE_OF_HANDLE && sel < ID_ODD)
        return pick_file(g, fh).nodeid;
    uint64_t id = sel && g->n_nodes ? g->node[(sel - 1u) % g->n_nodes].id : FUSE_ROOT_ID;
    return sel >= ID_ODD ? odd_id(sel, id) : id;
}

/* The step's bytes from an offset on; what is missing reads as zero. */
static void step_copy(const struct step *s, size_t off, void *to, size_t n)
{
    size_t have = off < s->n ? s->n - off : 0;

    memset(to, 0, n);
    if (have)
        memcpy(to, s->bytes + off, have < n ? have : n);
}

static uint8_t step_byte(const struct step *s, size_t off)
{
    return off < s->n ? s->bytes[off] : 0;
}

static void set64(uint8_t *arg, int off, uint64_t v)
{
    if (off >= 0)
        memcpy(arg + off, &v, sizeof(v));
}

/* Ids of what is known where the arguments hold ids. */
static void fill_ids(const struct guest *g, const struct step *s, const struct fuse_op *op,
                     uint8_t *arg)
{
    uint8_t second = step_byte(s, op->arg_len), second_fh = step_byte(s, op->arg_len + 1u);

    if (op->opcode == FUSE_INTERRUPT) {
        /* One that was sent, or that is to come. */
        uint64_t n = s->fh % 16;
        set64(arg, 0, n < 12 ? g->unique - 1 - n : g->unique + n - 11);
        return;
    }
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        if (ids[i].opcode != op->opcode)
            continue;
        set64(arg, ids[i].fh, pick_file(g, s->fh).fh);
        set64(arg, ids[i].node2, pick_node(g, second, second_fh));
        set64(arg, ids[i].fh2, pick_file(g, second_fh).fh);
        return;
    }
}

static void put_name(struct writer *w, const struct step *s, const struct fuse_op *op, int which)
{
    const char *name = names[s->name[which] % 16];
    uint8_t sel = s->name[which];

    if (op->flags & OP_XATTR_NAME)
        name = xattr_names[sel % 16];
    else if (which && op->flags & OP_TARGET2)
        name = targets[sel % 8];
    if (sel < NAME_RAW) {
        writer_put(w, name, strlen(name) + 1);
        return;
    }
    uint8_t raw[64];
    step_copy(s, op->arg_len + 2u, raw, sizeof(raw));
    writer_put(w, raw, sel & 0x3f);
    writer_put(w, "", 1);
}

/* How many bytes follow, told where the arguments tell it. */
static void fill_size(const struct step *s, const struct fuse_op *op, uint8_t *arg)
{
    static const struct {
        uint32_t opcode;
        size_t off;
    } at[] = {{FUSE_WRITE, offsetof(struct fuse_write_in, size)},
              {FUSE_SETXATTR, offsetof(struct fuse_setxattr_in, size)},
              {FUSE_IOCTL, offsetof(struct fuse_ioctl_in, in_size)}};
    uint32_t size = sizes[s->len & LEN_SIZE];

    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        if (at[i].opcode == op->opcode)
            memcpy(arg + at[i].off, &size, sizeof(size));
    if (op->opcode == FUSE_BATCH_FORGET) {
        size = s->len & LEN_SIZE;
        memcpy(arg, &size, sizeof(size));
    }
}

static void put_forgets(const struct guest *g, struct writer *w, const struct step *s)
{
    for (unsigned i = 0; i < (s->len & LEN_SIZE); i++) {
        struct fuse_forget_one one = {pick_node(g, (uint8_t)(s->node + i), s->fh), 1 + (s->fh & 3)};
        writer_put(w, &one, sizeof(one));
    }
}

/* An extension: a security context or groups, by the step's size. */
static void put_extension(struct writer *w, const struct step *s)
{
    uint32_t kind = s->len & LEN_SIZE;
    const char *name = xattr_names[s->name[1] % 16];
    size_t name_len = strlen(name) + 1;

    if (kind < 8)
        return;
    if (kind < 12) {
        struct fuse_secctx ctx = {.size = sizes[kind - 8]};
        uint32_t size = (uint32_t)((8 + sizeof(ctx) + name_len + ctx.size + 7) & ~7u);
        size_t end = w->len + size;
        struct fuse_ext_header head = {size, 1};
        writer_put(w, &head, sizeof(head));
        writer_put(w, &ctx, sizeof(ctx));
        writer_put(w, name, name_len);
        put_pattern(w, end - w->len);
        return;
    }
    uint32_t groups[] = {16, VIOFS_FUSE_EXT_GROUPS, kind - 12, 1000};
    if (kind == 15)
        groups[0] = step_byte(s, 0);
    writer_put(w, groups, sizeof(groups));
}

static void put_body(const struct guest *g, struct writer *w, const struct step *s,
                     const struct fuse_op *op, bool setxattr_ext)
{
    uint8_t arg[128];

    MUST(op->arg_len <= sizeof(arg));
    step_copy(s, 0, arg, op->arg_len);
    if (!(s->shape & SHAPE_RAW_IDS))
        fill_ids(g, s, op, arg);
    if (!(s->len & LEN_RAW))
        fill_size(s, op, arg);
    writer_put(w, arg, op->opcode == FUSE_SETXATTR && !setxattr_ext ? op->arg_min : op->arg_len);
    if (op->flags & OP_NAME1)
        put_name(w, s, op, 0);
    if (op->flags & OP_NAME2)
        put_name(w, s, op, 1);
    if (op->opcode == FUSE_BATCH_FORGET)
        put_forgets(g, w, s);
    else if (op->flags & (OP_VALUE | OP_DATA))
        put_pattern(w, sizes[s->len & LEN_SIZE]);
    if (op->flags & OP_EXT)
        put_extension(w, s);
}

uint32_t guest_request(struct guest *g, const struct step *s, bool setxattr_ext, struct writer *w)
{
    static unsigned n_ops;
    struct step rest = *s;
    uint32_t word;

    while (fuse_op_at(n_ops))
        n_ops++;
    const struct fuse_op *op = fuse_op_at(s->op % n_ops);
    struct fuse_in_header head = {.opcode = op->opcode,
                                  .unique = ++g->unique,
                                  .nodeid = pick_node(g, s->node, s->fh),
                                  .uid = s->shape & SHAPE_USER ? 1000 : 0};
    head.gid = head.uid;
    if (s->op >= STEP_UNKNOWN) {
        step_copy(s, 0, &word, sizeof(word));
        head.opcode = word;
        op = fuse_op_find(word);
        rest.n = s->n > 4 ? s->n - 4 : 0;
        rest.bytes = s->bytes + (s->n - rest.n);
    }
    w->len = 0;
    writer_put(w, &head, sizeof(head));
    if (op)
        put_body(g, w, &rest, op, setxattr_ext);
    head.len = (uint32_t)w->len;
    if (s->len & LEN_LIES)
        step_copy(s, s->n > 4 ? s->n - 4u : 0, &head.len, sizeof(head.len));
    memcpy(w->buf, &head, sizeof(head));
    if (s->len & LEN_LONG)
        put_pattern(w, 33);
    if (s->len & LEN_SHORT)
        w->len -= w->len * (s->name[1] & 15) / 16 + 1;
    return s->room == 0 && op ? 16u + op->reply_min : rooms[s->room % 16];
}

struct asked guest_asks(struct guest *g, const struct writer *w)
{
    struct fuse_in_header head = {0};
    uint32_t major = 0;

    memcpy(&head, w->buf, w->len < sizeof(head) ? w->len : sizeof(head));
    if (w->len >= sizeof(head) + sizeof(major))
        memcpy(&major, w->buf + sizeof(head), sizeof(major));
    if (head.opcode == FUSE_SETLK || head.opcode == FUSE_SETLKW)
        g->locks = true;
    return (struct asked){head.opcode, head.unique, head.nodeid, major == FUSE_KERNEL_VERSION};
}
