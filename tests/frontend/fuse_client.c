// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse_client.c - FUSE requests as function calls: the core, session, names and attributes
 *
 * Theory of operation
 *
 *   Every helper ends in transact(): the parts of the request are copied behind a header in the request
 *   buffer, payloads stay in c->data, the queue's layout decides how both become descriptors, and the
 *   reply is checked by fc_result() before anything of it is used.
 *
 *   Data, directories, extended attributes and locks are in fuse_client_io.c.
 *
 * Ownership and locks: see fuse_client.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/frontend/fuse_client_internal.h"

#define OUT_BYTES (256u << 10)
#define IN_BYTES  (256u << 10)
#define MAX_ERRNO 4095

int fc_open(struct fc *c, struct fe *fe, unsigned queue)
{
    *c = (struct fc){.fe = fe, .queue = queue, .pid = (uint32_t)getpid()};
    c->data = c->own_data = fe_alloc(fe, FC_MAX_DATA);
    if (c->data && fe_req_init(fe, &c->req, OUT_BYTES, IN_BYTES) == 0)
        return 0;
    fe_free_mem(fe, c->data, FC_MAX_DATA);
    return -ENOMEM;
}

void fc_close(struct fc *c)
{
    fe_free_mem(c->fe, c->own_data, FC_MAX_DATA);
    fe_req_release(c->fe, &c->req, OUT_BYTES, IN_BYTES);
    *c = (struct fc){0};
}

uint64_t fc_build(struct fc *c, struct fe_req *r, uint32_t opcode, uint64_t nodeid,
                  const struct fc_part *parts, unsigned n_parts, uint32_t room)
{
    struct fuse_in_header *h = r->out;
    uint8_t *p = (uint8_t *)(h + 1);

    c->unique += 2; /* Linux keeps odd numbers for interrupts */
    for (unsigned i = 0; i < n_parts; i++)
        p = (uint8_t *)mempcpy(p, parts[i].p, parts[i].len);
    r->out_len = (uint32_t)(p - (uint8_t *)r->out);
    r->out_split = sizeof(*h);
    r->in_len = sizeof(struct fuse_out_header) + room;
    r->in_split = sizeof(struct fuse_out_header);
    *h = (struct fuse_in_header){.len = r->out_len + r->out_data_len,
                                 .opcode = opcode,
                                 .unique = c->unique,
                                 .nodeid = nodeid,
                                 .uid = c->uid,
                                 .gid = c->gid,
                                 .pid = c->pid};
    return c->unique;
}

ssize_t fc_result(const struct fe_req *r, uint64_t unique)
{
    const struct fuse_out_header *h = r->in;
    uint64_t room = (uint64_t)r->in_len + r->in_data_len;

    if (r->used < sizeof(*h) || h->len != r->used || h->len > room || h->unique != unique)
        return -EPROTO;
    if (h->error > 0 || h->error < -MAX_ERRNO || (h->error && h->len != sizeof(*h)))
        return -EPROTO;
    return h->error ? h->error : (ssize_t)(h->len - sizeof(*h));
}

ssize_t fc_transact(struct fc *c, const struct fc_shape *s)
{
    uint64_t unique;
    size_t total = 0;
    int err;

    for (unsigned i = 0; i < s->n_parts; i++)
        total += s->parts[i].len;
    if (total + sizeof(struct fuse_in_header) > OUT_BYTES ||
        s->room + sizeof(struct fuse_out_header) > IN_BYTES)
        return -E2BIG;
    c->req.out_data = c->req.in_data = c->data;
    c->req.out_data_len = s->out_data;
    c->req.in_data_len = s->in_data;
    unique = fc_build(c, &c->req, s->opcode, s->node, s->parts, s->n_parts, s->room);
    err = fe_call(c->fe, c->queue, &c->req);
    return err ? err : fc_result(&c->req, unique);
}

ssize_t fc_call(struct fc *c, uint32_t opcode, uint64_t nodeid, const struct fc_part *parts,
                unsigned n_parts, void *reply, size_t room)
{
    struct fc_shape s = {opcode, nodeid, parts, n_parts, (uint32_t)room, 0, 0};
    ssize_t n = fc_transact(c, &s);

    if (n > 0 && reply)
        memcpy(reply, (uint8_t *)c->req.in + sizeof(struct fuse_out_header), (size_t)n);
    return n;
}

int fc_send(struct fc *c, unsigned queue, uint32_t opcode, uint64_t nodeid,
            const struct fc_part *parts, unsigned n_parts)
{
    struct fe_req *r = &c->req;
    int err;

    r->out_data_len = r->in_data_len = 0;
    fc_build(c, r, opcode, nodeid, parts, n_parts, 0);
    r->in_len = 0;
    err = fe_call(c->fe, queue, r);
    if (err == 0 && r->used != 0)
        err = -EPROTO;
    return err;
}

int fc_exact(struct fc *c, uint32_t opcode, uint64_t nodeid, const struct fc_part *parts,
             unsigned n_parts, void *reply, size_t size)
{
    ssize_t n = fc_call(c, opcode, nodeid, parts, n_parts, reply, size);

    if (n < 0)
        return (int)n;
    return (size_t)n == size ? 0 : -EPROTO;
}

/* ---- session --------------------------------------------------------------------------------- */

int fc_init_as(struct fc *c, uint32_t minor, uint64_t flags)
{
    struct fuse_init_in in = {.major = FUSE_KERNEL_VERSION,
                              .minor = minor,
                              .max_readahead = 128 << 10,
                              .flags = (uint32_t)flags,
                              .flags2 = (uint32_t)(flags >> 32)};
    size_t len = flags & FUSE_INIT_EXT ? sizeof(in) : offsetof(struct fuse_init_in, flags2);
    struct fc_part p = {&in, len};
    int err = fc_exact(c, FUSE_INIT, 0, &p, 1, &c->init, sizeof(c->init));

    if (err < 0)
        return err;
    c->init_flags = c->init.flags;
    if (c->init.flags & FUSE_INIT_EXT)
        c->init_flags |= (uint64_t)c->init.flags2 << 32;
    return 0;
}

int fc_init(struct fc *c)
{
    return fc_init_as(c, FUSE_KERNEL_MINOR_VERSION, FC_LINUX_FLAGS);
}

int fc_destroy(struct fc *c)
{
    return fc_exact(c, FUSE_DESTROY, 0, NULL, 0, NULL, 0);
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct fc_part name_part(const char *name)
{
    return (struct fc_part){name, strlen(name) + 1};
}

int fc_lookup(struct fc *c, uint64_t parent, const char *name, struct fuse_entry_out *e)
{
    struct fc_part p = name_part(name);

    return fc_exact(c, FUSE_LOOKUP, parent, &p, 1, e, sizeof(*e));
}

int fc_lookup_path(struct fc *c, const char *path, struct fuse_entry_out *e)
{
    char copy[4096], *save = NULL;
    uint64_t node = FC_ROOT;

    if (strlen(path) >= sizeof(copy))
        return -ENAMETOOLONG;
    strcpy(copy, path);
    for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
        int err = fc_lookup(c, node, name, e);

        if (err < 0)
            return err;
        node = e->nodeid;
    }
    return 0;
}

int fc_forget(struct fc *c, uint64_t node, uint64_t nlookup)
{
    struct fuse_forget_in in = {nlookup};
    struct fc_part p = {&in, sizeof(in)};

    return fc_send(c, FE_HIPRIO, FUSE_FORGET, node, &p, 1);
}

int fc_forget_many(struct fc *c, const uint64_t *nodes, unsigned n)
{
    struct fuse_forget_one one[4000];
    struct fuse_batch_forget_in in = {.count = n};
    struct fc_part p[2] = {{&in, sizeof(in)}, {one, n * sizeof(one[0])}};

    if (n > sizeof(one) / sizeof(one[0]))
        return -E2BIG;
    for (unsigned i = 0; i < n; i++)
        one[i] = (struct fuse_forget_one){.nodeid = nodes[i], .nlookup = 1};
    return fc_send(c, FE_HIPRIO, FUSE_BATCH_FORGET, 0, p, 2);
}

int fc_mkdir(struct fc *c, uint64_t parent, const char *name, mode_t mode, struct fuse_entry_out *e)
{
    struct fuse_mkdir_in in = {.mode = mode};
    struct fc_part p[2] = {{&in, sizeof(in)}, name_part(name)};

    return fc_exact(c, FUSE_MKDIR, parent, p, 2, e, sizeof(*e));
}

int fc_mknod(struct fc *c, uint64_t parent, const char *name, mode_t mode, uint32_t rdev,
             struct fuse_entry_out *e)
{
    struct fuse_mknod_in in = {.mode = mode, .rdev = rdev};
    struct fc_part p[2] = {{&in, sizeof(in)}, name_part(name)};

    return fc_exact(c, FUSE_MKNOD, parent, p, 2, e, sizeof(*e));
}

int fc_unlink(struct fc *c, uint64_t parent, const char *name)
{
    struct fc_part p = name_part(name);

    return fc_exact(c, FUSE_UNLINK, parent, &p, 1, NULL, 0);
}

int fc_rmdir(struct fc *c, uint64_t parent, const char *name)
{
    struct fc_part p = name_part(name);

    return fc_exact(c, FUSE_RMDIR, parent, &p, 1, NULL, 0);
}

int fc_symlink(struct fc *c, uint64_t parent, const char *name, const char *target,
               struct fuse_entry_out *e)
{
    struct fc_part p[2] = {name_part(name), name_part(target)};

    return fc_exact(c, FUSE_SYMLINK, parent, p, 2, e, sizeof(*e));
}

int fc_link(struct fc *c, uint64_t node, uint64_t new_parent, const char *name,
            struct fuse_entry_out *e)
{
    struct fuse_link_in in = {.oldnodeid = node};
    struct fc_part p[2] = {{&in, sizeof(in)}, name_part(name)};

    return fc_exact(c, FUSE_LINK, new_parent, p, 2, e, sizeof(*e));
}

int fc_rename(struct fc *c, uint64_t parent, const char *name, uint64_t new_parent,
              const char *new_name, uint32_t flags)
{
    struct fuse_rename2_in in2 = {.newdir = new_parent, .flags = flags};
    struct fuse_rename_in in = {.newdir = new_parent};
    struct fc_part p[3] = {{&in, sizeof(in)}, name_part(name), name_part(new_name)};

    if (flags)
        p[0] = (struct fc_part){&in2, sizeof(in2)};
    return fc_exact(c, flags ? FUSE_RENAME2 : FUSE_RENAME, parent, p, 3, NULL, 0);
}

ssize_t fc_readlink(struct fc *c, uint64_t node, char *buf, size_t size)
{
    ssize_t n = fc_call(c, FUSE_READLINK, node, NULL, 0, buf, size - 1);

    if (n >= 0)
        buf[n] = '\0';
    return n;
}

/* ---- attributes ------------------------------------------------------------------------------ */

static int getattr(struct fc *c, uint64_t node, const struct fuse_getattr_in *in,
                   struct fuse_attr *a)
{
    struct fc_part p = {in, sizeof(*in)};
    struct fuse_attr_out out;
    int err = fc_exact(c, FUSE_GETATTR, node, &p, 1, &out, sizeof(out));

    if (err == 0)
        *a = out.attr;
    return err;
}

int fc_getattr(struct fc *c, uint64_t node, struct fuse_attr *a)
{
    return getattr(c, node, &(struct fuse_getattr_in){0}, a);
}

int fc_getattr_fh(struct fc *c, uint64_t node, uint64_t fh, struct fuse_attr *a)
{
    return getattr(c, node, &(struct fuse_getattr_in){.getattr_flags = FUSE_GETATTR_FH, .fh = fh},
                   a);
}

int fc_setattr(struct fc *c, uint64_t node, const struct fuse_setattr_in *in, struct fuse_attr *a)
{
    struct fc_part p = {in, sizeof(*in)};
    struct fuse_attr_out out;
    int err = fc_exact(c, FUSE_SETATTR, node, &p, 1, &out, sizeof(out));

    if (err == 0 && a)
        *a = out.attr;
    return err;
}

int fc_chmod(struct fc *c, uint64_t node, mode_t mode)
{
    return fc_setattr(c, node, &(struct fuse_setattr_in){.valid = FATTR_MODE, .mode = mode}, NULL);
}

int fc_truncate(struct fc *c, uint64_t node, uint64_t size)
{
    return fc_setattr(c, node, &(struct fuse_setattr_in){.valid = FATTR_SIZE, .size = size}, NULL);
}

int fc_statx(struct fc *c, uint64_t node, uint32_t mask, struct viofs_statx *sx)
{
    struct viofs_statx_in in = {.sx_mask = mask};
    struct viofs_statx_out out;
    struct fc_part p = {&in, sizeof(in)};
    int err = fc_exact(c, VIOFS_FUSE_STATX, node, &p, 1, &out, sizeof(out));

    if (err == 0)
        *sx = out.stat;
    return err;
}

int fc_statfs(struct fc *c, uint64_t node, struct fuse_kstatfs *st)
{
    return fc_exact(c, FUSE_STATFS, node, NULL, 0, st, sizeof(*st));
}

int fc_access(struct fc *c, uint64_t node, uint32_t mask)
{
    struct fuse_access_in in = {.mask = mask};
    struct fc_part p = {&in, sizeof(in)};

    return fc_exact(c, FUSE_ACCESS, node, &p, 1, NULL, 0);
}
