// SPDX-License-Identifier: BSD-3-Clause
/*
 * export.c - telling another daemon of the inodes that a guest knows (see move.h)
 *
 * Ownership: a record's strings live until each() returns. Locks: a shard's, for names.
 * syscalls: statx readlinkat
 */
#include <unistd.h>

#include "tree/move.h"
#include "tree/tree_int.h"

/* The inodes to be told, from one upwards to the first that has been told. */
struct line {
    struct waiting {
        uint32_t slot;
        bool placed; /* its place is right */
    } * at;
    uint32_t n, room;
};

struct export
{
    struct tree *t;
    bool handles;
    uint8_t *told; /* a bit for each slot; following what has moved may make more known */
    size_t bytes;
    struct line line;
    int (*each)(void *ctx, const struct tree_moved *moved);
    void *ctx;
};

bool inode_unsent(const struct inode *inode)
{
    return atomic_load_explicit(&inode->flags, memory_order_relaxed) & INODE_UNSENT;
}

void tree_share_of(struct tree *t, struct tree_share *share)
{
    struct inode *root = slot_inode(t, TREE_ROOT_ID);
    struct mount *m = inode_mount(t, root);

    *share = (struct tree_share){
        .f_type = (uint64_t)m->f_type,
        .ino = root->ino,
        .stamp = root->stamp,
        .stamp_kind = (uint8_t)m->stamp,
    };
}

const char *tree_path(struct tree *t, struct inode *inode, char *buf, size_t size)
{
    char name[NAME_MAX + 1];
    struct inode *at = inode_ref(inode), *parent;
    size_t begin = size - 1;

    buf[begin] = '\0';
    while ((parent = inode_place(t, at, name))) {
        size_t len = strlen(name);
        inode_put(t, at);
        at = parent;
        if (len + 1 > begin)
            break; /* the end says most */
        begin -= len;
        memcpy(buf + begin, name, len);
        buf[--begin] = '/';
    }
    inode_put(t, at);
    return buf[begin] ? buf + begin + 1 : "(no name)";
}

/* ---- where an inode is ----------------------------------------------------------------------- */

/* Look @path up from the root, so that what is there is known by that name. Return: is it @inode? */
static bool meet(struct tree *t, char *path, const struct inode *inode)
{
    struct inode *at = inode_ref(slot_inode(t, TREE_ROOT_ID));
    struct statx stx;
    char *rest = path;

    for (char *name; (name = strtok_r(NULL, "/", &rest));) {
        struct inode *child;
        int r = tree_lookup(t, at, name, &stx, &child);
        inode_put(t, at);
        if (r < 0)
            return false;
        tree_forget(t, inode_id(child), 1); /* our reference holds it */
        at = child;
    }
    inode_put(t, at);
    return at == inode;
}

/* The host has moved it: where to, the kernel tells of a descriptor. Return: is it known by that name now? */
static bool follow(struct tree *t, struct inode *inode)
{
    char root[PATH_MAX], path[PATH_MAX], link[12];
    struct inode_fd f;

    if (inode_fd_get(t, inode, &f) < 0)
        return false;
    tree_proc_path(link, f.fd);
    ssize_t n = readlinkat(t->p.proc_fd, link, path, sizeof(path) - 1);
    inode_fd_put(t, &f);
    tree_proc_path(link, t->p.root_fd);
    ssize_t top = readlinkat(t->p.proc_fd, link, root, sizeof(root) - 1);
    if (n <= 0 || top <= 0)
        return false;
    path[n] = '\0';
    top -= root[top - 1] == '/';
    return n > top && memcmp(path, root, (size_t)top) == 0 && path[top] == '/' &&
           meet(t, path + top, inode);
}

/* Its place, verified. Return: the parent, a reference; NULL: it has none that could be told. */
static struct inode *true_place(struct tree *t, struct inode *inode, char name[static NAME_MAX + 1])
{
    if (atomic_load(&inode->flags) & INODE_UNLINKED)
        return NULL;
    struct inode *parent = inode_place(t, inode, name);
    if (parent && inode_is_at(t, inode, parent, name) == 0)
        return parent;
    inode_put(t, parent);
    return follow(t, inode) ? inode_place(t, inode, name) : NULL;
}

/* Its handle, if there is one that another daemon could open: on the share's own file system. */
static bool true_handle(struct tree *t, struct inode *inode, struct fhandle *h)
{
    struct inode_fd f;

    if (inode_on_other_mount(inode, slot_inode(t, TREE_ROOT_ID)) ||
        !inode_mount(t, inode)->handles || inode_fd_get(t, inode, &f) < 0)
        return false;
    bool has = fhandle_get(f.fd, "", h) == 0;
    inode_fd_put(t, &f);
    return has;
}

/* ---- telling --------------------------------------------------------------------------------- */

/* What is below a directory that cannot be found cannot be found by its name. */
static int tell(struct export *x, struct inode *inode, bool placed)
{
    struct tree *t = x->t;
    char name[NAME_MAX + 1] = "";
    struct fhandle handle;
    struct inode *parent = placed ? inode_place(t, inode, name) : NULL;

    if (parent && inode_unsent(parent)) {
        inode_put(t, parent);
        parent = NULL;
    }
    struct tree_moved moved = {
        .id = inode_id(inode),
        .parent = parent ? inode_id(parent) : 0,
        .nlookup = inode->nlookup,
        .ino = inode->ino,
        .stamp = inode->stamp,
        .root_mount = inode->mount == slot_inode(t, TREE_ROOT_ID)->mount,
        .type = inode->type,
        .name = parent ? name : "",
    };

    inode_put(t, parent);
    if (x->handles && true_handle(t, inode, &handle)) {
        moved.flags |= TREE_MOVED_HANDLE;
        moved.handle_type = handle.type;
        moved.handle_bytes = (uint16_t)handle.bytes;
        moved.handle = handle.data;
    }
    if (!parent && atomic_load(&inode->flags) & INODE_UNLINKED)
        moved.flags |= TREE_MOVED_UNLINKED;
    if (!parent && !(moved.flags & TREE_MOVED_HANDLE)) {
        moved.flags |= TREE_MOVED_LOST;
        atomic_fetch_or(&inode->flags, INODE_UNSENT);
    } else {
        atomic_fetch_and(&inode->flags, (uint8_t)~INODE_UNSENT);
    }
    return x->each(x->ctx, &moved);
}

static bool was_told(const struct export *x, uint32_t slot)
{
    return slot / 8 < x->bytes && x->told[slot / 8] & (1u << slot % 8);
}

static int mark_told(struct export *x, uint32_t slot)
{
    if (slot / 8 >= x->bytes) {
        size_t bytes = ((size_t)x->t->head->n_slots / 8 + 4096) & ~(size_t)4095;
        uint8_t *more = realloc(x->told, bytes);
        if (!more)
            return -ENOMEM;
        memset(more + x->bytes, 0, bytes - x->bytes);
        x->told = more;
        x->bytes = bytes;
    }
    x->told[slot / 8] |= (uint8_t)(1u << slot % 8);
    return 0;
}

static int line_up(struct line *l, uint32_t slot, bool placed)
{
    if (l->n == l->room) {
        uint32_t room = l->room ? l->room * 2 : 64;
        struct waiting *more = realloc(l->at, room * sizeof(*more));
        if (!more)
            return -ENOMEM;
        l->at = more;
        l->room = room;
    }
    l->at[l->n++] = (struct waiting){slot, placed};
    return 0;
}

/* An inode and, before it, those above it that have not been told. Looking for one may give it another parent. */
static int tell_from_above(struct export *x, uint32_t slot)
{
    struct tree *t = x->t;
    int r = 0;

    for (uint32_t at = slot; r == 0 && at > TREE_ROOT_ID && !was_told(x, at);) {
        struct inode *inode = slot_inode(t, at);
        char name[NAME_MAX + 1];
        struct inode *parent = true_place(t, inode, name);
        r = mark_told(x, at);
        if (r == 0)
            r = line_up(&x->line, at, parent);
        at = parent ? inode_slot(parent) : TREE_ROOT_ID;
        inode_put(t, parent);
    }
    while (x->line.n > 0) {
        struct waiting next = x->line.at[--x->line.n];
        if (r == 0)
            r = tell(x, slot_inode(t, next.slot), next.placed);
    }
    return r;
}

int tree_export(struct tree *t, bool handles,
                int (*each)(void *ctx, const struct tree_moved *moved), void *ctx)
{
    struct export x = {.t = t, .handles = handles, .each = each, .ctx = ctx};
    int r = 0;

    for (uint32_t slot = TREE_ROOT_ID + 1; r == 0 && slot < t->head->n_slots; slot++) {
        struct inode *inode = slot_inode(t, slot);
        if (was_told(&x, slot) || !inode_try_ref(inode))
            continue;
        r = tell_from_above(&x, slot);
        inode_put(t, inode);
    }
    free(x.told);
    free(x.line.at);
    return r;
}
