// SPDX-License-Identifier: BSD-3-Clause
/*
 * ops.c - what changes directories: make, remove, rename
 *
 * Theory of operation
 *
 *   Every change is one request. What it did is put into the caches at once, and what other answers on
 *   their way say about the names concerned is not believed any more (cli_dir_changed()).
 *
 *   In a share whose case does not matter a new name must not differ from an existing one in case only, and
 *   an old name is found however it is spelled; both cost what fold.c costs, and nothing for names that are
 *   known in their very spelling.
 *
 * Locks: c->tree for the caches.
 */
#include <string.h>

#include "service/client/client_int.h"

enum { TARGET_MAX = 4095 }; /* bytes of a symbolic link, Linux' PATH_MAX without the NUL */

/* A name as it travels. */
struct text {
    char bytes[CLI_NAME_BYTES + 1];
    uint32_t len; /* without the NUL */
};

static void text_set(struct text *t, struct cli_name name)
{
    memcpy(t->bytes, name.bytes, name.len);
    t->bytes[name.len] = '\0';
    t->len = name.len;
}

static struct cli_name text_name(const struct text *t)
{
    return (struct cli_name){t->bytes, t->len};
}

static struct cli_arg text_arg(const struct text *t)
{
    return (struct cli_arg){t->bytes, t->len + 1};
}

/* ---- making ------------------------------------------------------------------------------------------ */

/* May the name be made, as far as case is concerned? Return: 0, -LE_EEXIST, -errno. */
static int check_new(struct cli *c, struct cli_node *dir, struct cli_name name)
{
    char actual[CLI_NAME_BYTES + 1];
    int r = cli_name_ok(dir, name);

    if (r < 0 || !c->opt.case_insensitive)
        return r;
    r = cli_fold_find(c, dir, name, actual);
    if (r >= 0)
        return -LE_EEXIST;
    return r == -LE_ENOENT ? 0 : r;
}

/* The answer to having made something: it must be a node of that type. */
static int enter_made(struct cli *c, struct cli_node *dir, struct cli_name name, uint32_t type,
                      const struct cli_entry *e, struct cli_node **out)
{
    if (e->id == 0)
        return -LE_EIO;
    if ((e->attr.mode & LX_S_IFMT) != type) {
        cli_forget(c, e->session, e->id, 1);
        return -LE_EIO;
    }
    return cli_enter(c, dir, name, e, out);
}

/*
 * Send a request that makes something, and enter what was made.
 * @r: opcode and arguments. @open: see cli_entry_call().
 */
static int make(struct cli *c, struct cli_node *dir, const struct text *name, uint32_t type,
                struct cli_req *r, uint32_t viofs, struct fuse_open_out *open,
                struct cli_node **out)
{
    struct cli_entry e;

    r->node = dir;
    r->owner = true;
    int result = cli_entry_call(c, r, viofs, open, &e);
    if (result == -LE_EEXIST)
        cli_forget_name(c, dir, text_name(name)); /* we may have thought otherwise */
    if (result < 0)
        return result;
    e.attr.meta_known = true; /* nothing can be stored of it yet */
    result = enter_made(c, dir, text_name(name), type, &e, out);
    cli_dir_changed(c, dir, text_name(name));
    cli_fold_added(c, dir, text_name(name));
    return result;
}

/** cli_create() - see client.h */
int cli_create(struct cli *c, struct cli_node *dir, struct cli_name name, uint32_t mode,
               uint32_t access, struct cli_node **out, struct cli_file **file)
{
    static const uint32_t modes[] = {LX_O_RDONLY, LX_O_RDONLY, LX_O_WRONLY, LX_O_RDWR};
    struct fuse_create_in in = {
        .flags = LX_O_CREAT | LX_O_EXCL | modes[access & (CLI_READ | CLI_WRITE)],
        .mode = LX_S_IFREG | (mode & 07777),
    };
    struct fuse_open_out open;
    struct text text;
    int e = check_new(c, dir, name);

    if (e < 0)
        return e;
    text_set(&text, name);
    open.fh = 0;
    struct cli_req r = {.opcode = FUSE_CREATE, .arg = {{&in, sizeof(in)}, text_arg(&text)}};
    e = make(c, dir, &text, LX_S_IFREG, &r, VIOFS_CREATE, &open, out);
    if (e < 0)
        return e;
    if (!file) {
        cli_release(c, *out, open.fh, r.session, false);
        return 0;
    }
    e = cli_file_adopt(c, *out, access, open.fh, open.open_flags, r.session, file);
    if (e < 0) {
        cli_node_put(c, *out);
        *out = NULL;
    }
    return e;
}

/** cli_mkdir() - see client.h */
int cli_mkdir(struct cli *c, struct cli_node *dir, struct cli_name name, uint32_t mode,
              struct cli_node **out)
{
    struct fuse_mkdir_in in = {.mode = mode & 07777};
    struct text text;
    int e = check_new(c, dir, name);

    if (e < 0)
        return e;
    text_set(&text, name);
    struct cli_req r = {.opcode = FUSE_MKDIR, .arg = {{&in, sizeof(in)}, text_arg(&text)}};
    return make(c, dir, &text, LX_S_IFDIR, &r, 0, NULL, out);
}

/** cli_symlink() - see client.h */
int cli_symlink(struct cli *c, struct cli_node *dir, struct cli_name name, const char *target,
                struct cli_node **out)
{
    size_t len = strlen(target);
    struct text text;
    int e = check_new(c, dir, name);

    if (e < 0)
        return e;
    if (len == 0 || len > TARGET_MAX)
        return len ? -LE_ENAMETOOLONG : -LE_ENOENT;
    text_set(&text, name);
    struct cli_req r = {.opcode = FUSE_SYMLINK,
                        .arg = {text_arg(&text), {target, (uint32_t)len + 1}}};
    return make(c, dir, &text, LX_S_IFLNK, &r, 0, NULL, out);
}

/** cli_mknod() - see client.h */
int cli_mknod(struct cli *c, struct cli_node *dir, struct cli_name name, uint32_t mode,
              uint32_t rdev, struct cli_node **out)
{
    struct fuse_mknod_in in = {.mode = mode, .rdev = rdev};
    struct text text;
    int e = check_new(c, dir, name);

    if (e < 0)
        return e;
    text_set(&text, name);
    struct cli_req r = {.opcode = FUSE_MKNOD, .arg = {{&in, sizeof(in)}, text_arg(&text)}};
    return make(c, dir, &text, mode & LX_S_IFMT, &r, 0, NULL, out);
}

/** cli_readlink() - see client.h */
int cli_readlink(struct cli *c, struct cli_node *n, char *buf, uint32_t cap)
{
    char target[TARGET_MAX + 1];
    struct cli_req r = {
        .opcode = FUSE_READLINK,
        .node = n,
        .reply = target,
        .reply_cap = TARGET_MAX,
        .reply_min = 1,
    };

    if (n->type != LX_S_IFLNK)
        return -LE_EINVAL;
    int len = cli_call(c, &r);
    if (len < 0)
        return len;
    if (memchr(target, '\0', (size_t)len))
        return -LE_EIO;
    if ((uint32_t)len >= cap)
        return -LE_ERANGE;
    memcpy(buf, target, (size_t)len);
    buf[len] = '\0';
    return len;
}

/* ---- removing ---------------------------------------------------------------------------------------- */

/* The name as it is on the host, for what is to be removed or renamed. Return: 0 or -errno. */
static int find_old(struct cli *c, struct cli_node *dir, struct cli_name name, struct text *out)
{
    int r = cli_name_ok(dir, name);

    if (r < 0)
        return r;
    text_set(out, name);
    if (!c->opt.case_insensitive || cli_fold_guess(c, dir, name) == CLI_GUESS_EXACT)
        return 0;
    r = cli_fold_find(c, dir, name, out->bytes);
    if (r < 0)
        return r;
    out->len = (uint32_t)r;
    return 0;
}

/* A name leads nowhere any more. Return: the node that it led to, held, or NULL. */
static struct cli_node *drop_name(struct cli *c, struct cli_node *dir, struct cli_name name)
{
    struct cli_node *n = NULL;

    cli_mutex_lock(&c->tree);
    struct cli_dentry *d = cli_name_find(c, dir, name);
    if (d) {
        n = d->node;
        if (n)
            cli_node_hold(c, n);
        cli_name_del(c, d);
    }
    cli_mutex_unlock(&c->tree);
    return n;
}

static int remove_name(struct cli *c, struct cli_node *dir, struct cli_name name, uint32_t opcode)
{
    struct text text;
    int e = find_old(c, dir, name, &text);

    if (e < 0)
        return e;
    struct cli_req r = {.opcode = opcode, .node = dir, .arg = {text_arg(&text)}};
    e = cli_call(c, &r);
    if (e < 0 && e != -LE_ENOENT)
        return e;
    struct cli_node *n = drop_name(c, dir, text_name(&text));
    if (n) {
        cli_attr_changed(c, n); /* links, ctime */
        cli_node_put(c, n);
    }
    cli_dir_changed(c, dir, text_name(&text));
    cli_fold_removed(c, dir, text_name(&text));
    return e < 0 ? e : 0;
}

/** cli_unlink() - see client.h */
int cli_unlink(struct cli *c, struct cli_node *dir, struct cli_name name)
{
    return remove_name(c, dir, name, FUSE_UNLINK);
}

/** cli_rmdir() - see client.h */
int cli_rmdir(struct cli *c, struct cli_node *dir, struct cli_name name)
{
    return remove_name(c, dir, name, FUSE_RMDIR);
}

/* ---- renaming ---------------------------------------------------------------------------------------- */

struct move {
    struct cli_node *from, *to;
    struct text old_name, new_name;
};

static int ask_rename(struct cli *c, const struct move *m, uint32_t flags)
{
    struct fuse_rename2_in in2 = {.flags = flags};
    struct fuse_rename_in in = {0};
    struct cli_req r = {
        .opcode = flags ? FUSE_RENAME2 : FUSE_RENAME,
        .node = m->from,
        .node2 = m->to,
        .node2_id = flags ? &in2.newdir : &in.newdir,
        .arg = {flags ? (struct cli_arg){&in2, sizeof(in2)} : (struct cli_arg){&in, sizeof(in)},
                text_arg(&m->old_name), text_arg(&m->new_name)},
    };

    return cli_call(c, &r);
}

/*
 * NOREPLACE where the host does not have it: look, then rename. Somebody on the host may still be faster
 * than that, but no guest's file is replaced that was there when we looked.
 */
static int rename_after_look(struct cli *c, const struct move *m)
{
    struct cli_node *there;
    int r = cli_ask(c, m->to, text_name(&m->new_name), NULL, &there);

    if (r == 0) {
        cli_node_put(c, there);
        return -LE_EEXIST;
    }
    return r == -LE_ENOENT ? ask_rename(c, m, 0) : r;
}

/* Where a name that differs in case only is in the way. Return: 0 or -errno; the new name may change. */
static int find_new(struct cli *c, struct move *m, uint32_t flags)
{
    struct text actual;
    int len;

    if (!c->opt.case_insensitive)
        return 0;
    len = cli_fold_find(c, m->to, text_name(&m->new_name), actual.bytes);
    if (len == -LE_ENOENT)
        return 0;
    if (len < 0)
        return len;
    actual.len = (uint32_t)len;
    if (m->from == m->to && actual.len == m->old_name.len &&
        memcmp(actual.bytes, m->old_name.bytes, actual.len) == 0)
        return 0; /* the file itself gets another spelling */
    if (flags & CLI_RENAME_NOREPLACE)
        return -LE_EEXIST;
    m->new_name = actual;
    return 0;
}

/* Takes a name out of the cache. Return: its node, held, or NULL; *until: how long the name held. */
static struct cli_node *take_name(struct cli *c, struct cli_node *dir, const struct text *name,
                                  uint64_t *until)
{
    struct cli_dentry *d = cli_name_find(c, dir, text_name(name));
    struct cli_node *n = d ? d->node : NULL;

    *until = n && cli_name_holds(d) ? d->until : 0;
    if (n)
        cli_node_hold(c, n);
    if (d)
        cli_name_del(c, d);
    return n;
}

/* What the caches know of a rename that has happened. */
static void move_names(struct cli *c, const struct move *m, bool exchange)
{
    uint64_t until, other_until;

    cli_mutex_lock(&c->tree);
    struct cli_node *n = take_name(c, m->from, &m->old_name, &until);
    struct cli_node *other = take_name(c, m->to, &m->new_name, &other_until);
    /* Without memory, or against a host that lies, the names are asked for again. */
    if (n)
        (void)cli_name_set(c, m->to, text_name(&m->new_name), n, until);
    if (other && exchange)
        (void)cli_name_set(c, m->from, text_name(&m->old_name), other, other_until);
    cli_mutex_unlock(&c->tree);
    if (n)
        cli_attr_changed(c, n);
    if (other)
        cli_attr_changed(c, other);
    cli_node_put(c, n);
    cli_node_put(c, other);
}

static void renamed(struct cli *c, const struct move *m, bool exchange)
{
    move_names(c, m, exchange);
    cli_dir_changed(c, m->from, text_name(&m->old_name));
    cli_dir_changed(c, m->to, text_name(&m->new_name));
    if (exchange)
        return;
    cli_fold_removed(c, m->from, text_name(&m->old_name));
    cli_fold_added(c, m->to, text_name(&m->new_name));
}

/** cli_rename() - see client.h */
int cli_rename(struct cli *c, struct cli_node *from, struct cli_name old_name, struct cli_node *to,
               struct cli_name new_name, uint32_t flags)
{
    struct move m = {.from = from, .to = to};
    int e = cli_name_ok(to, new_name);

    if (e < 0)
        return e;
    text_set(&m.new_name, new_name);
    e = find_old(c, from, old_name, &m.old_name);
    if (!e)
        e = find_new(c, &m, flags);
    if (e < 0)
        return e;
    e = ask_rename(c, &m, flags);
    if (flags == CLI_RENAME_NOREPLACE && (e == -LE_EINVAL || e == -LE_ENOSYS))
        e = rename_after_look(c, &m);
    if (e == -LE_EEXIST && (flags & CLI_RENAME_NOREPLACE))
        cli_forget_name(c, to, text_name(&m.new_name));
    if (e < 0)
        return e;
    renamed(c, &m, flags & CLI_RENAME_EXCHANGE);
    return 0;
}
