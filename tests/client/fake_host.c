// SPDX-License-Identifier: BSD-3-Clause
/*
 * fake_host.c - the host in memory: a tree, and the answers about it
 *
 * A node keeps its index as long as it has a name or a lookup. Ids are the index plus a salt of the session.
 *
 * Locks: f->lock is held by whoever calls fake_serve(); the functions of the host's side take it.
 */
#include <string.h>

#include "tests/client/fake_transport.h"

#define NOBODY UINT32_MAX

uint64_t fake_id(const struct fake *f, uint32_t node)
{
    return node == 0 ? FUSE_ROOT_ID : f->salt + node;
}

/* ---- the tree ------------------------------------------------------------------------------------------ */

static uint32_t find(const struct fake *f, uint32_t dir, const char *name)
{
    for (uint32_t i = 0; i < FAKE_NAMES; i++) {
        if (f->name[i].used && f->name[i].dir == dir && strcmp(f->name[i].text, name) == 0)
            return i;
    }
    return NOBODY;
}

static uint32_t new_node(struct fake *f, uint32_t mode)
{
    static uint64_t made;

    for (uint32_t i = 1; i < FAKE_NODES; i++) {
        struct fake_node *n = &f->node[i];
        if (n->used || n->lookups)
            continue;
        made++;
        *n = (struct fake_node){
            .used = true,
            .mode = mode,
            .nlink = 0,
            .generation = made,
            .ino = 5000 + made,
            .mtime = ++f->clock,
            .ctime = f->clock,
            .btime = f->clock,
        };
        return i;
    }
    return NOBODY;
}

static void touch_dir(struct fake *f, uint32_t dir)
{
    f->node[dir].mtime = f->node[dir].ctime = ++f->clock;
}

static bool put_name(struct fake *f, uint32_t dir, const char *name, uint32_t node)
{
    for (uint32_t i = 0; i < FAKE_NAMES; i++) {
        if (f->name[i].used)
            continue;
        f->name[i].used = true;
        f->name[i].dir = dir;
        f->name[i].node = node;
        strncpy(f->name[i].text, name, sizeof(f->name[i].text) - 1);
        f->node[node].nlink++;
        touch_dir(f, dir);
        return true;
    }
    return false;
}

static void drop_name(struct fake *f, uint32_t i)
{
    struct fake_node *n = &f->node[f->name[i].node];

    f->name[i].used = false;
    n->ctime = ++f->clock;
    if (--n->nlink == 0)
        n->used = false;
    touch_dir(f, f->name[i].dir);
}

uint32_t fake_add(struct fake *f, uint32_t dir, const char *name, uint32_t mode)
{
    pthread_mutex_lock(&f->lock);
    uint32_t node = new_node(f, mode);
    put_name(f, dir, name, node);
    pthread_mutex_unlock(&f->lock);
    return node;
}

void fake_link(struct fake *f, uint32_t dir, const char *name, uint32_t node)
{
    pthread_mutex_lock(&f->lock);
    put_name(f, dir, name, node);
    pthread_mutex_unlock(&f->lock);
}

void fake_remove(struct fake *f, uint32_t dir, const char *name)
{
    pthread_mutex_lock(&f->lock);
    uint32_t i = find(f, dir, name);
    if (i != NOBODY)
        drop_name(f, i);
    pthread_mutex_unlock(&f->lock);
}

uint32_t fake_find(struct fake *f, uint32_t dir, const char *name)
{
    pthread_mutex_lock(&f->lock);
    uint32_t i = find(f, dir, name);
    uint32_t node = i == NOBODY ? NOBODY : f->name[i].node;
    pthread_mutex_unlock(&f->lock);
    return node;
}

uint64_t fake_lookups(struct fake *f)
{
    uint64_t sum = 0;

    pthread_mutex_lock(&f->lock);
    for (unsigned i = 1; i < FAKE_NODES; i++)
        sum += f->node[i].lookups;
    pthread_mutex_unlock(&f->lock);
    return sum;
}

/* ---- building answers ------------------------------------------------------------------------------------ */

static struct fuse_attr attr_of(const struct fake_node *n)
{
    return (struct fuse_attr){
        .ino = n->ino,
        .size = n->size,
        .mode = n->mode,
        .nlink = n->nlink,
        .mtime = (uint64_t)n->mtime,
        .ctime = (uint64_t)n->ctime,
        .atime = (uint64_t)n->mtime,
        .blksize = 4096,
    };
}

static int32_t put(struct fake_call *c, uint32_t at, const void *p, size_t len)
{
    if (at + len <= c->cap)
        memcpy(c->reply + at, p, len);
    return (int32_t)(at + len);
}

static struct fuse_viofs_ext ext_of(const struct fake_node *n)
{
    struct fuse_viofs_ext ext = n->meta;

    ext.btime = n->btime;
    ext.flags |= n->btime ? VIOFS_EXT_BTIME : 0;
    return ext;
}

static struct fuse_entry_out entry_of(const struct fake *f, uint32_t node)
{
    return (struct fuse_entry_out){
        .nodeid = fake_id(f, node),
        .generation = f->node[node].generation,
        .entry_valid = f->entry_ms / 1000,
        .entry_valid_nsec = f->entry_ms % 1000 * 1000000,
        .attr_valid = f->attr_ms / 1000,
        .attr_valid_nsec = f->attr_ms % 1000 * 1000000,
        .attr = attr_of(&f->node[node]),
    };
}

static int32_t put_entry(struct fake *f, struct fake_call *c, uint32_t node, bool ext)
{
    struct fuse_entry_out e = entry_of(f, node);
    struct fuse_viofs_ext x = ext_of(&f->node[node]);
    int32_t len = put(c, 0, &e, sizeof(e));

    f->node[node].lookups++;
    return ext ? put(c, (uint32_t)len, &x, sizeof(x)) : len;
}

static int32_t put_attr(struct fake *f, struct fake_call *c, uint32_t node, bool ext)
{
    struct fuse_attr_out a = {
        .attr_valid = f->attr_ms / 1000,
        .attr_valid_nsec = f->attr_ms % 1000 * 1000000,
        .attr = attr_of(&f->node[node]),
    };
    struct fuse_viofs_ext x = ext_of(&f->node[node]);
    int32_t len = put(c, 0, &a, sizeof(a));

    return ext ? put(c, (uint32_t)len, &x, sizeof(x)) : len;
}

/* ---- requests --------------------------------------------------------------------------------------------- */

/* The node that an id names, if the client may name it. */
static uint32_t node_of(struct fake *f, uint64_t id)
{
    if (id == FUSE_ROOT_ID)
        return 0;
    if (id <= f->salt || id >= f->salt + FAKE_NODES || !f->node[id - f->salt].lookups) {
        f->wrong++;
        return NOBODY;
    }
    return (uint32_t)(id - f->salt);
}

static int32_t lookup(struct fake *f, struct fake_call *c, uint32_t dir, bool ext)
{
    struct fuse_entry_out none = {.entry_valid = f->missing_ms / 1000,
                                  .entry_valid_nsec = f->missing_ms % 1000 * 1000000};
    struct fuse_viofs_ext x = {0};
    uint32_t i = find(f, dir, (const char *)c->arg);

    if (i != NOBODY)
        return put_entry(f, c, f->name[i].node, ext);
    if (!f->missing_ms)
        return -LE_ENOENT;
    int32_t len = put(c, 0, &none, sizeof(none));
    return ext ? put(c, (uint32_t)len, &x, sizeof(x)) : len;
}

static int32_t make(struct fake *f, struct fake_call *c, uint32_t dir, uint32_t mode, uint32_t skip,
                    bool ext)
{
    const char *name = (const char *)c->arg + skip;

    if (find(f, dir, name) != NOBODY)
        return -LE_EEXIST;
    uint32_t node = new_node(f, mode);
    if (node == NOBODY || !put_name(f, dir, name, node))
        return -LE_ENOSPC;
    if ((mode & 0170000) == 0120000)
        strncpy(f->node[node].target, name + strlen(name) + 1, sizeof(f->node[node].target) - 1);
    return put_entry(f, c, node, ext);
}

static int32_t create(struct fake *f, struct fake_call *c, uint32_t dir, bool ext)
{
    struct fuse_create_in in;
    struct fuse_open_out open = {.fh = ++f->next_fh};

    memcpy(&in, c->arg, sizeof(in));
    int32_t len = make(f, c, dir, in.mode, sizeof(in), ext);
    if (len < 0)
        return len;
    f->open_handles++;
    return put(c, (uint32_t)len, &open, sizeof(open));
}

static int32_t remove_name(struct fake *f, struct fake_call *c, uint32_t dir, bool rmdir)
{
    uint32_t i = find(f, dir, (const char *)c->arg);

    if (i == NOBODY)
        return -LE_ENOENT;
    bool is_dir = (f->node[f->name[i].node].mode & 0170000) == 0040000;
    if (is_dir != rmdir)
        return is_dir ? -LE_EISDIR : -LE_ENOTDIR;
    for (uint32_t k = 0; rmdir && k < FAKE_NAMES; k++) {
        if (f->name[k].used && f->name[k].dir == f->name[i].node)
            return -LE_ENOTEMPTY;
    }
    drop_name(f, i);
    return 0;
}

static bool is_below(const struct fake *f, uint32_t node, uint32_t dir)
{
    for (unsigned hops = 0; dir != 0 && hops < FAKE_NAMES; hops++) {
        if (dir == node)
            return true;
        for (uint32_t i = 0; i < FAKE_NAMES; i++) {
            if (f->name[i].used && f->name[i].node == dir) {
                dir = f->name[i].dir;
                break;
            }
        }
    }
    return false;
}

static int32_t rename_name(struct fake *f, struct fake_call *c, uint32_t from, bool two)
{
    struct fuse_rename2_in in = {0};
    uint32_t skip = two ? sizeof(in) : sizeof(struct fuse_rename_in);

    memcpy(&in, c->arg, skip);
    const char *old = (const char *)c->arg + skip, *new = old + strlen(old) + 1;
    uint32_t to = node_of(f, in.newdir), i = find(f, from, old), k = find(f, to, new);
    if (two && in.flags && f->noreplace_is_einval)
        return -LE_EINVAL;
    if (i == NOBODY || to == NOBODY)
        return -LE_ENOENT;
    if (is_below(f, f->name[i].node, to))
        return -LE_EINVAL;
    if (k != NOBODY && (in.flags & 1))
        return -LE_EEXIST;
    if (k == i || (k != NOBODY && f->name[k].node == f->name[i].node && !(in.flags & 2)))
        return 0;
    if (in.flags & 2) {
        if (k == NOBODY)
            return -LE_ENOENT;
        uint32_t node = f->name[i].node;
        f->name[i].node = f->name[k].node;
        f->name[k].node = node;
    } else {
        if (k != NOBODY)
            drop_name(f, k);
        f->name[i].dir = to;
        memset(f->name[i].text, 0, sizeof(f->name[i].text));
        strncpy(f->name[i].text, new, sizeof(f->name[i].text) - 1);
    }
    touch_dir(f, from);
    touch_dir(f, to);
    return 0;
}

static int32_t set_attr(struct fake *f, struct fake_call *c, uint32_t node)
{
    struct fuse_setattr_in in;
    struct fake_node *n = &f->node[node];

    memcpy(&in, c->arg, sizeof(in));
    if (in.valid & FATTR_SIZE)
        n->size = in.size;
    if (in.valid & FATTR_MODE)
        n->mode = (n->mode & 0170000) | (in.mode & 07777);
    if (in.valid & FATTR_MTIME)
        n->mtime = (int64_t)in.mtime;
    n->ctime = ++f->clock;
    return put_attr(f, c, node, false);
}

static int32_t statx(struct fake *f, struct fake_call *c, uint32_t node)
{
    const struct fake_node *n = &f->node[node];
    struct viofs_statx_out out = {
        .attr_valid = f->attr_ms / 1000,
        .attr_valid_nsec = f->attr_ms % 1000 * 1000000,
        .stat = {.mask = 0xfff,
                 .ino = n->ino,
                 .size = n->size,
                 .mode = (uint16_t)n->mode,
                 .nlink = n->nlink,
                 .mtime.tv_sec = n->mtime,
                 .ctime.tv_sec = n->ctime,
                 .atime.tv_sec = n->mtime,
                 .btime.tv_sec = n->btime},
    };

    return put(c, 0, &out, sizeof(out));
}

static int32_t read_dir(struct fake *f, struct fake_call *c, uint32_t dir, bool plus, bool ext)
{
    struct fuse_read_in in;
    uint32_t at = 0;

    memcpy(&in, c->arg, sizeof(in));
    for (uint32_t i = (uint32_t)in.offset; i < FAKE_NAMES; i++) {
        if (!f->name[i].used || f->name[i].dir != dir)
            continue;
        uint32_t node = f->name[i].node, len = (uint32_t)strlen(f->name[i].text);
        uint32_t before = plus ? (uint32_t)sizeof(struct fuse_entry_out) +
                                     (ext ? (uint32_t)sizeof(struct fuse_viofs_ext) : 0)
                               : 0;
        struct fuse_dirent d = {.ino = f->node[node].ino,
                                .off = i + 1,
                                .namelen = len,
                                .type = f->node[node].mode >> 12};
        uint32_t size = (uint32_t)FUSE_REC_ALIGN(before + FUSE_NAME_OFFSET + len);
        if (at + size > c->cap || at + size > in.size)
            break;
        memset(c->reply + at, 0, size);
        if (plus) {
            struct fake_call one = {.reply = c->reply + at, .cap = before};
            put_entry(f, &one, node, ext);
        }
        memcpy(c->reply + at + before, &d, FUSE_NAME_OFFSET);
        memcpy(c->reply + at + before + FUSE_NAME_OFFSET, f->name[i].text, len);
        at += size;
    }
    return (int32_t)at;
}

static int32_t init(struct fake *f, struct fake_call *c)
{
    struct fuse_init_out out = {
        .major = 7,
        .minor = 38,
        .max_write = 1 << 20,
        .max_pages = 256,
    };

    memcpy(&f->init, c->arg, sizeof(f->init));
    out.flags = f->init.flags & (uint32_t)(f->offered_flags ? f->offered_flags : UINT64_MAX);
    f->initialized = true;
    return put(c, 0, &out, sizeof(out));
}

static int32_t probe(struct fake *f, struct fake_call *c)
{
    struct fuse_viofs_probe_in in;

    memcpy(&in, c->arg, sizeof(in));
    struct fuse_viofs_probe_out out = {1, in.wanted & (f->features | VIOFS_FEATURE_BTIME),
                                       sizeof(struct fuse_viofs_ext), 0};

    return f->extension ? put(c, 0, &out, sizeof(out)) : -LE_ENOSYS;
}

static int32_t open_any(struct fake *f, struct fake_call *c)
{
    struct fuse_open_out out = {.fh = ++f->next_fh};

    f->open_handles++;
    return put(c, 0, &out, sizeof(out));
}

static int32_t open_with_attr(struct fake *f, struct fake_call *c, uint32_t node)
{
    struct fuse_open_out out = {.fh = ++f->next_fh};

    f->open_handles++;
    memcpy(c->reply, &out, sizeof(out));
    c->reply += sizeof(out);
    c->cap -= (uint32_t)sizeof(out);
    int32_t r = put_attr(f, c, node, true);
    return r < 0 ? r : r + (int32_t)sizeof(out);
}

static int32_t watch(struct fake *f, struct fake_call *c)
{
    struct fuse_viofs_watch_out out = {.flags = f->watch_partial ? 0 : VIOFS_WATCH_WHOLE,
                                       .took_ms = f->watch_took_ms};
    struct fuse_viofs_watch_in in;
    unsigned i;

    memcpy(&in, c->arg, sizeof(in));
    for (i = 0; i < 16 && f->watch[i].watch; i++)
        f->wrong += f->watch[i].watch == in.watch;
    if (i == 16)
        return -LE_ENOSPC;
    f->watch[i].watch = in.watch;
    f->watch[i].nodeid = c->in.nodeid;
    f->watch[i].age_ms = in.age_ms;
    return put(c, 0, &out, sizeof(out));
}

static int32_t unwatch(struct fake *f, const struct fake_call *c)
{
    struct fuse_viofs_unwatch_in in;

    memcpy(&in, c->arg, sizeof(in));
    for (unsigned i = 0; i < 16; i++) {
        if (f->watch[i].watch == in.watch) {
            f->watch[i].watch = 0;
            return 0;
        }
    }
    return -LE_ENOENT;
}

static int32_t read_link(const struct fake *f, struct fake_call *c, uint32_t node)
{
    return put(c, 0, f->node[node].target, strlen(f->node[node].target));
}

static int32_t serve_data(struct fake *f, struct fake_call *c, uint32_t node)
{
    struct fuse_statfs_out st = {.st = {.blocks = 1000,
                                        .bfree = 500,
                                        .bavail = 400,
                                        .bsize = 4096,
                                        .frsize = 512,
                                        .namelen = 255}};

    switch (c->in.opcode) {
    case FUSE_READLINK:
        return read_link(f, c, node);
    case FUSE_STATFS:
        return put(c, 0, &st, sizeof(st));
    case FUSE_SYNCFS:
        return 0;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        return open_any(f, c);
    case VIOFS_OPEN:
        return open_with_attr(f, c, node);
    case VIOFS_WATCH:
        return watch(f, c);
    case VIOFS_UNWATCH:
        return unwatch(f, c);
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
        f->open_handles--;
        return 0;
    case FUSE_READDIR:
        return read_dir(f, c, node, false, false);
    case FUSE_READDIRPLUS:
        return read_dir(f, c, node, true, false);
    case VIOFS_READDIRPLUS:
        return read_dir(f, c, node, true, true);
    default:
        return -LE_ENOSYS;
    }
}

static int32_t serve_changes(struct fake *f, struct fake_call *c, uint32_t node)
{
    struct fuse_mknod_in mk;
    struct fuse_mkdir_in dir;

    switch (c->in.opcode) {
    case FUSE_SETATTR:
        return set_attr(f, c, node);
    case FUSE_CREATE:
        return create(f, c, node, false);
    case VIOFS_CREATE:
        return create(f, c, node, true);
    case FUSE_MKDIR:
        memcpy(&dir, c->arg, sizeof(dir));
        return make(f, c, node, 0040000 | dir.mode, sizeof(dir), false);
    case FUSE_MKNOD:
        memcpy(&mk, c->arg, sizeof(mk));
        return make(f, c, node, mk.mode, sizeof(mk), false);
    case FUSE_SYMLINK:
        return make(f, c, node, 0120777, 0, false);
    case FUSE_UNLINK:
        return remove_name(f, c, node, false);
    case FUSE_RMDIR:
        return remove_name(f, c, node, true);
    case FUSE_RENAME:
        return rename_name(f, c, node, false);
    case FUSE_RENAME2:
        return f->no_rename2 ? -LE_ENOSYS : rename_name(f, c, node, true);
    default:
        return serve_data(f, c, node);
    }
}

/** fake_serve() - one request. Return: payload bytes or -errno. */
int32_t fake_serve(struct fake *f, struct fake_call *c)
{
    if (c->in.opcode == FUSE_INIT)
        return init(f, c);
    if (c->in.opcode == FUSE_DESTROY) {
        f->destroyed = true;
        return 0;
    }
    if (c->in.opcode < 64 && (f->enosys >> c->in.opcode & 1))
        return -LE_ENOSYS;
    if (c->in.opcode == VIOFS_PROBE)
        return probe(f, c);
    if (c->in.opcode >= VIOFS_PROBE && !f->extension)
        return -LE_ENOSYS;
    uint32_t node = node_of(f, c->in.nodeid);
    if (node == NOBODY)
        return -LE_ESTALE;
    switch (c->in.opcode) {
    case FUSE_LOOKUP:
        return lookup(f, c, node, false);
    case VIOFS_LOOKUP:
        return lookup(f, c, node, true);
    case FUSE_GETATTR:
        return put_attr(f, c, node, false);
    case VIOFS_GETATTR:
        return put_attr(f, c, node, true);
    case VIOFS_FUSE_STATX:
        return f->statx ? statx(f, c, node) : -LE_ENOSYS;
    default:
        return serve_changes(f, c, node);
    }
}

/** fake_serve_forget() - FORGET's batch: more than was counted is a mistake of the client's */
void fake_serve_forget(struct fake *f, const struct fuse_in_header *in, const uint8_t *arg,
                       uint32_t len)
{
    struct fuse_batch_forget_in head;
    struct fuse_forget_one one;

    if (f->hook) {
        struct fake_call call = {.in = *in, .arg = arg, .arg_len = len};
        if (f->hook(f, &call) != FAKE_PASS)
            return;
    }
    memcpy(&head, arg, sizeof(head));
    if (in->opcode != FUSE_BATCH_FORGET || len != sizeof(head) + head.count * sizeof(one)) {
        f->wrong++;
        return;
    }
    for (uint32_t i = 0; i < head.count; i++) {
        memcpy(&one, arg + sizeof(head) + i * sizeof(one), sizeof(one));
        uint32_t node = node_of(f, one.nodeid);
        if (node == NOBODY)
            continue;
        if (node == 0 || f->node[node].lookups < one.nlookup)
            f->wrong++;
        else
            f->node[node].lookups -= one.nlookup;
        f->forgotten += one.nlookup;
    }
}
