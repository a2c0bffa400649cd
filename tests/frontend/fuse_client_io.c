// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse_client_io.c - FUSE requests as function calls: data, directories, extended attributes, locks
 *
 * Payloads travel in c->data. On a queue with FE_SCATTER its pages are in another order on the wire;
 * put_straight() is what makes buffers look the same with every layout.
 *
 * Ownership and locks: see fuse_client.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "tests/frontend/frontend_internal.h"
#include "tests/frontend/fuse_client_internal.h"
#include "virtiofsd/host/cleanup.h"

/* @len: bytes of the payload's segments, which is what decides which pages are full. */
static void put_straight(struct fc *c, size_t len)
{
    if (c->fe->queue[c->queue].layout & FE_SCATTER)
        fe_scatter(c->data, len);
}

/* ---- data ------------------------------------------------------------------------------------ */

int fc_open_file(struct fc *c, uint64_t node, uint32_t flags, uint64_t *fh)
{
    struct fuse_open_in in = {.flags = flags};
    struct fc_part p = {&in, sizeof(in)};
    struct fuse_open_out out;
    int err = fc_exact(c, FUSE_OPEN, node, &p, 1, &out, sizeof(out));

    if (err == 0)
        *fh = out.fh;
    return err;
}

static int create(struct fc *c, uint32_t opcode, uint64_t parent, const char *name,
                  const struct fuse_create_in *in, struct fuse_entry_out *e, uint64_t *fh)
{
    struct fc_part p[2] = {{in, sizeof(*in)}, {name, strlen(name) + 1}};
    struct {
        struct fuse_entry_out e;
        struct fuse_open_out o;
    } out;
    int err = fc_exact(c, opcode, parent, p, 2, &out, sizeof(out));

    if (err == 0) {
        *e = out.e;
        *fh = out.o.fh;
    }
    return err;
}

int fc_create(struct fc *c, uint64_t parent, const char *name, uint32_t flags, mode_t mode,
              struct fuse_entry_out *e, uint64_t *fh)
{
    struct fuse_create_in in = {.flags = flags, .mode = mode};

    return create(c, FUSE_CREATE, parent, name, &in, e, fh);
}

int fc_tmpfile(struct fc *c, uint64_t parent, uint32_t flags, mode_t mode, struct fuse_entry_out *e,
               uint64_t *fh)
{
    struct fuse_create_in in = {.flags = flags, .mode = mode};

    return create(c, FUSE_TMPFILE, parent, "/", &in, e, fh); /* Linux sends the name "/" */
}

/* READ, READDIR and READDIRPLUS: a payload of up to @size bytes into c->data. */
static ssize_t read_data(struct fc *c, uint32_t opcode, uint64_t node, uint64_t fh, uint32_t size,
                         uint64_t offset)
{
    struct fuse_read_in in = {.fh = fh, .offset = offset, .size = size};
    struct fc_part p = {&in, sizeof(in)};
    struct fc_shape s = {opcode, node, &p, 1, 0, 0, size};
    ssize_t n = size <= FC_MAX_DATA ? fc_transact(c, &s) : -EINVAL;

    if (n > 0)
        put_straight(c, size);
    return n;
}

ssize_t fc_read(struct fc *c, uint64_t node, uint64_t fh, void *buf, size_t size, uint64_t offset)
{
    ssize_t n =
        size <= FC_MAX_DATA ? read_data(c, FUSE_READ, node, fh, (uint32_t)size, offset) : -EINVAL;

    if (n > 0 && buf)
        memcpy(buf, c->data, (size_t)n);
    return n;
}

ssize_t fc_write(struct fc *c, uint64_t node, uint64_t fh, const void *buf, size_t size,
                 uint64_t offset)
{
    struct fuse_write_in in = {.fh = fh, .offset = offset, .size = (uint32_t)size};
    struct fc_part p = {&in, sizeof(in)};
    struct fc_shape s = {FUSE_WRITE, node, &p, 1, sizeof(struct fuse_write_out), (uint32_t)size, 0};
    struct fuse_write_out out;
    ssize_t n;

    if (size > FC_MAX_DATA)
        return -EINVAL;
    if (buf)
        memcpy(c->data, buf, size);
    put_straight(c, size);
    n = fc_transact(c, &s);
    put_straight(c, size);
    if (n < 0)
        return n;
    memcpy(&out, (uint8_t *)c->req.in + sizeof(struct fuse_out_header), sizeof(out));
    return n == sizeof(out) && out.size <= size ? (ssize_t)out.size : -EPROTO;
}

int fc_flush(struct fc *c, uint64_t node, uint64_t fh, uint64_t lock_owner)
{
    struct fuse_flush_in in = {.fh = fh, .lock_owner = lock_owner};
    struct fc_part p = {&in, sizeof(in)};

    return fc_exact(c, FUSE_FLUSH, node, &p, 1, NULL, 0);
}

static int sync_handle(struct fc *c, uint32_t opcode, uint64_t node, uint64_t fh, bool data_only)
{
    struct fuse_fsync_in in = {.fh = fh, .fsync_flags = data_only ? FUSE_FSYNC_FDATASYNC : 0};
    struct fc_part p = {&in, sizeof(in)};

    return fc_exact(c, opcode, node, &p, 1, NULL, 0);
}

int fc_fsync(struct fc *c, uint64_t node, uint64_t fh, bool data_only)
{
    return sync_handle(c, FUSE_FSYNC, node, fh, data_only);
}

static int release(struct fc *c, uint32_t opcode, uint64_t node, uint64_t fh)
{
    struct fuse_release_in in = {.fh = fh};
    struct fc_part p = {&in, sizeof(in)};

    return fc_exact(c, opcode, node, &p, 1, NULL, 0);
}

int fc_release(struct fc *c, uint64_t node, uint64_t fh)
{
    return release(c, FUSE_RELEASE, node, fh);
}

int fc_fallocate(struct fc *c, uint64_t node, uint64_t fh, uint64_t offset, uint64_t length,
                 uint32_t mode)
{
    struct fuse_fallocate_in in = {.fh = fh, .offset = offset, .length = length, .mode = mode};
    struct fc_part p = {&in, sizeof(in)};

    return fc_exact(c, FUSE_FALLOCATE, node, &p, 1, NULL, 0);
}

int64_t fc_lseek(struct fc *c, uint64_t node, uint64_t fh, uint64_t offset, uint32_t whence)
{
    struct fuse_lseek_in in = {.fh = fh, .offset = offset, .whence = whence};
    struct fc_part p = {&in, sizeof(in)};
    struct fuse_lseek_out out;
    int err = fc_exact(c, FUSE_LSEEK, node, &p, 1, &out, sizeof(out));

    return err ? err : (int64_t)out.offset;
}

ssize_t fc_copy_file_range(struct fc *c, uint64_t node_in, uint64_t fh_in, uint64_t off_in,
                           uint64_t node_out, uint64_t fh_out, uint64_t off_out, uint64_t len)
{
    struct fuse_copy_file_range_in in = {.fh_in = fh_in,
                                         .off_in = off_in,
                                         .nodeid_out = node_out,
                                         .fh_out = fh_out,
                                         .off_out = off_out,
                                         .len = len};
    struct fc_part p = {&in, sizeof(in)};
    struct fuse_write_out out;
    int err = fc_exact(c, FUSE_COPY_FILE_RANGE, node_in, &p, 1, &out, sizeof(out));

    return err ? err : (ssize_t)out.size;
}

int fc_syncfs(struct fc *c, uint64_t node)
{
    struct fuse_syncfs_in in = {0};
    struct fc_part p = {&in, sizeof(in)};

    return fc_exact(c, FUSE_SYNCFS, node, &p, 1, NULL, 0);
}

/* ---- directories ----------------------------------------------------------------------------- */

int fc_opendir(struct fc *c, uint64_t node, uint64_t *fh)
{
    struct fuse_open_in in = {.flags = O_RDONLY | O_DIRECTORY};
    struct fc_part p = {&in, sizeof(in)};
    struct fuse_open_out out;
    int err = fc_exact(c, FUSE_OPENDIR, node, &p, 1, &out, sizeof(out));

    if (err == 0)
        *fh = out.fh;
    return err;
}

int fc_releasedir(struct fc *c, uint64_t node, uint64_t fh)
{
    return release(c, FUSE_RELEASEDIR, node, fh);
}

int fc_fsyncdir(struct fc *c, uint64_t node, uint64_t fh, bool data_only)
{
    return sync_handle(c, FUSE_FSYNCDIR, node, fh, data_only);
}

ssize_t fc_readdir_raw(struct fc *c, uint64_t node, uint64_t fh, uint64_t offset, uint32_t size,
                       bool plus)
{
    return read_data(c, plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, fh, size, offset);
}

int fc_parse_dirents(const uint8_t *buf, size_t len, bool plus, fc_each_entry *each, void *ctx)
{
    size_t prefix = plus ? sizeof(struct fuse_entry_out) : 0;
    size_t at = 0;
    int n = 0;

    while (at < len) {
        const struct fuse_dirent *d = (const void *)(buf + at + prefix);
        char name[256];
        struct fc_entry e;
        int stop;

        if (len - at < prefix + FUSE_NAME_OFFSET)
            return -EPROTO;
        if (d->namelen == 0 || d->namelen > 255 ||
            len - at < FUSE_DIRENT_ALIGN(prefix + FUSE_NAME_OFFSET + d->namelen))
            return -EPROTO;
        memcpy(name, d->name, d->namelen);
        name[d->namelen] = '\0';
        if (strlen(name) != d->namelen || strchr(name, '/'))
            return -EPROTO;
        e = (struct fc_entry){name, d->ino, d->off, d->type,
                              plus ? (const void *)(buf + at) : NULL};
        stop = each ? each(ctx, &e) : 0;
        if (stop)
            return stop;
        at += FUSE_DIRENT_ALIGN(prefix + FUSE_NAME_OFFSET + d->namelen);
        n++;
    }
    return n;
}

struct list_walk {
    fc_each_entry *each;
    void *ctx;
    uint64_t next;
    int stopped;
};

static int list_entry(void *ctx, const struct fc_entry *e)
{
    struct list_walk *w = ctx;

    w->next = e->off;
    w->stopped = w->each ? w->each(w->ctx, e) : 0;
    return w->stopped;
}

/* The callback may send requests, which use c->data: walk a copy. */
static int list_page(struct fc *c, size_t len, bool plus, struct list_walk *w)
{
    cleanup_free uint8_t *copy = malloc(len);

    if (!copy)
        return -ENOMEM;
    memcpy(copy, c->data, len);
    return fc_parse_dirents(copy, len, plus, list_entry, w);
}

int fc_list(struct fc *c, uint64_t node, bool plus, uint32_t size, fc_each_entry *each, void *ctx)
{
    struct list_walk w = {.each = each, .ctx = ctx};
    int total = 0, result, err;
    uint64_t fh = 0;

    err = fc_opendir(c, node, &fh);
    if (err < 0)
        return err;
    for (;;) {
        ssize_t n = fc_readdir_raw(c, node, fh, w.next, size, plus);

        if (n <= 0) {
            result = n < 0 ? (int)n : total;
            break;
        }
        result = list_page(c, (size_t)n, plus, &w);
        if (result < 0 || w.stopped)
            break;
        total += result;
    }
    err = fc_releasedir(c, node, fh);
    return result < 0 || err == 0 ? result : err;
}

/* ---- extended attributes --------------------------------------------------------------------- */

int fc_setxattr(struct fc *c, uint64_t node, const char *name, const void *value, size_t len,
                uint32_t flags)
{
    struct fuse_setxattr_in in = {.size = (uint32_t)len, .flags = flags};
    size_t head = c->init_flags & FUSE_SETXATTR_EXT ? sizeof(in) : FUSE_COMPAT_SETXATTR_IN_SIZE;
    struct fc_part p[3] = {{&in, head}, {name, strlen(name) + 1}, {value, len}};

    return fc_exact(c, FUSE_SETXATTR, node, p, 3, NULL, 0);
}

/* GETXATTR and LISTXATTR: @size 0 asks for the length only. */
static ssize_t get_or_list(struct fc *c, uint32_t opcode, uint64_t node, const char *name,
                           void *value, size_t size)
{
    struct fuse_getxattr_in in = {.size = (uint32_t)size};
    struct fc_part p[2] = {{&in, sizeof(in)}, {name, name ? strlen(name) + 1 : 0}};
    struct fuse_getxattr_out out;
    int err;

    if (size)
        return fc_call(c, opcode, node, p, name ? 2 : 1, value, size);
    err = fc_exact(c, opcode, node, p, name ? 2 : 1, &out, sizeof(out));
    return err ? err : (ssize_t)out.size;
}

ssize_t fc_getxattr(struct fc *c, uint64_t node, const char *name, void *value, size_t size)
{
    return get_or_list(c, FUSE_GETXATTR, node, name, value, size);
}

ssize_t fc_listxattr(struct fc *c, uint64_t node, char *list, size_t size)
{
    return get_or_list(c, FUSE_LISTXATTR, node, NULL, list, size);
}

int fc_removexattr(struct fc *c, uint64_t node, const char *name)
{
    struct fc_part p = {name, strlen(name) + 1};

    return fc_exact(c, FUSE_REMOVEXATTR, node, &p, 1, NULL, 0);
}

/* ---- locks ----------------------------------------------------------------------------------- */

int fc_setlk(struct fc *c, uint64_t node, uint64_t fh, uint64_t owner, uint32_t type,
             uint64_t start, uint64_t end, bool wait)
{
    struct fuse_lk_in in = {
        .fh = fh, .owner = owner, .lk = {.start = start, .end = end, .type = type, .pid = c->pid}};
    struct fc_part p = {&in, sizeof(in)};

    return fc_exact(c, wait ? FUSE_SETLKW : FUSE_SETLK, node, &p, 1, NULL, 0);
}

int fc_getlk(struct fc *c, uint64_t node, uint64_t fh, uint64_t owner, struct fuse_file_lock *lk)
{
    struct fuse_lk_in in = {.fh = fh, .owner = owner, .lk = *lk};
    struct fc_part p = {&in, sizeof(in)};
    struct fuse_lk_out out;
    int err = fc_exact(c, FUSE_GETLK, node, &p, 1, &out, sizeof(out));

    if (err == 0)
        *lk = out.lk;
    return err;
}

int fc_flock(struct fc *c, uint64_t node, uint64_t fh, uint64_t owner, int op)
{
    uint32_t type = op & LOCK_UN ? F_UNLCK : op & LOCK_EX ? F_WRLCK : F_RDLCK;
    struct fuse_lk_in in = {.fh = fh,
                            .owner = owner,
                            .lk = {.end = INT64_MAX, .type = type, .pid = c->pid},
                            .lk_flags = FUSE_LK_FLOCK};
    struct fc_part p = {&in, sizeof(in)};

    return fc_exact(c, op & LOCK_NB ? FUSE_SETLK : FUSE_SETLKW, node, &p, 1, NULL, 0);
}
