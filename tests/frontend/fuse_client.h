// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse_client.h - FUSE requests as function calls, over a front end
 *
 * Each helper sends one request and waits for its reply. Replies are checked as a careful client checks
 * them: unique, length against the used length, error range; a reply that fails is -EPROTO, which no
 * daemon sends as an error of its own here. Everything else negative is the daemon's errno.
 *
 * fc_call() sends anything, right or wrong; the helpers are thin over it.
 *
 * Ownership: struct fc borrows the front end and owns its buffers. Locks: none: one thread, one fc, one
 * queue.
 */
#ifndef VIOFS_TESTS_FUSE_CLIENT_H
#define VIOFS_TESTS_FUSE_CLIENT_H

#include <sys/types.h>

#include "lib/fuse/fuse_proto.h"
#include "tests/frontend/frontend.h"

#define FC_ROOT     FUSE_ROOT_ID
#define FC_MAX_DATA (1u << 20) /* payload of one READ or WRITE */

struct fc {
    struct fe *fe;
    unsigned queue;
    struct fe_req
        req;       /* out: 64 KiB and a bit, in: 64 KiB and a bit; data: whatever fits the call */
    uint8_t *data; /* guest memory, FC_MAX_DATA bytes: payload of the last READ, READDIR, ... */
    uint8_t *own_data; /* what fc_open() allocated for it; data may be pointed elsewhere */
    uint64_t unique;
    uint32_t uid, gid, pid;    /* sent in every header; 0 at first */
    struct fuse_init_out init; /* the daemon's, after fc_init() */
    uint64_t init_flags;       /* flags and flags2 together */
};

/** fc_open() - a client on a request queue, before or after FUSE_INIT. Return: 0 or -ENOMEM. */
int fc_open(struct fc *c, struct fe *fe, unsigned queue);
void fc_close(struct fc *c);

/* One part of a request: copied after the header, in order. */
struct fc_part {
    const void *p;
    size_t len;
};

/**
 * fc_call() - send any request
 * @parts:  what follows the header; the total is at most 128 KiB
 * @reply:  where to copy the reply's payload, may be NULL
 * @room:   bytes that the daemon is given for the payload, and the size of @reply
 *
 * Return: bytes of payload (at most @room), or -errno.
 */
ssize_t fc_call(struct fc *c, uint32_t opcode, uint64_t nodeid, const struct fc_part *parts,
                unsigned n_parts, void *reply, size_t room);

/** fc_send() - the same without a reply (FORGET, INTERRUPT); on queue @queue, waits for the used entry */
int fc_send(struct fc *c, unsigned queue, uint32_t opcode, uint64_t nodeid,
            const struct fc_part *parts, unsigned n_parts);

/* ---- session --------------------------------------------------------------------------------- */

/* What Linux 6.1 offers a virtiofs daemon, flags2 in the upper half. */
#define FC_LINUX_FLAGS                                                                             \
    (FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT |              \
     FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_SPLICE_WRITE | FUSE_SPLICE_MOVE | FUSE_SPLICE_READ |  \
     FUSE_FLOCK_LOCKS | FUSE_HAS_IOCTL_DIR | FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS |          \
     FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_WRITEBACK_CACHE | FUSE_NO_OPEN_SUPPORT |        \
     FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV | FUSE_POSIX_ACL | FUSE_ABORT_ERROR |             \
     FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT | FUSE_EXPLICIT_INVAL_DATA |   \
     FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_INIT_EXT | FUSE_SUBMOUNTS)

/** fc_init_as() - FUSE_INIT 7.@minor with the given flags (struct fuse_init_in in full) */
int fc_init_as(struct fc *c, uint32_t minor, uint64_t flags);

/** fc_init() - as Linux 6.1: 7.38, FC_LINUX_FLAGS */
int fc_init(struct fc *c);
int fc_destroy(struct fc *c);

/* ---- names ----------------------------------------------------------------------------------- */

int fc_lookup(struct fc *c, uint64_t parent, const char *name, struct fuse_entry_out *e);

/** fc_lookup_path() - look a '/'-separated relative path up, one component at a time */
int fc_lookup_path(struct fc *c, const char *path, struct fuse_entry_out *e);

/** fc_forget() - on hiprio; fc_forget_many() - BATCH_FORGET of up to 4000 nodes, one lookup each */
int fc_forget(struct fc *c, uint64_t node, uint64_t nlookup);
int fc_forget_many(struct fc *c, const uint64_t *nodes, unsigned n);

int fc_mkdir(struct fc *c, uint64_t parent, const char *name, mode_t mode,
             struct fuse_entry_out *e);
int fc_mknod(struct fc *c, uint64_t parent, const char *name, mode_t mode, uint32_t rdev,
             struct fuse_entry_out *e);
int fc_unlink(struct fc *c, uint64_t parent, const char *name);
int fc_rmdir(struct fc *c, uint64_t parent, const char *name);
int fc_symlink(struct fc *c, uint64_t parent, const char *name, const char *target,
               struct fuse_entry_out *e);
int fc_link(struct fc *c, uint64_t node, uint64_t new_parent, const char *name,
            struct fuse_entry_out *e);

/** fc_rename() - RENAME for @flags 0, else RENAME2 */
int fc_rename(struct fc *c, uint64_t parent, const char *name, uint64_t new_parent,
              const char *new_name, uint32_t flags);

/** fc_readlink() - NUL-terminated into @buf. Return: length or -errno. */
ssize_t fc_readlink(struct fc *c, uint64_t node, char *buf, size_t size);

/* ---- attributes ------------------------------------------------------------------------------ */

int fc_getattr(struct fc *c, uint64_t node, struct fuse_attr *a);
int fc_getattr_fh(struct fc *c, uint64_t node, uint64_t fh, struct fuse_attr *a);

/** fc_setattr() - @in->valid says what; @a may be NULL */
int fc_setattr(struct fc *c, uint64_t node, const struct fuse_setattr_in *in, struct fuse_attr *a);
int fc_chmod(struct fc *c, uint64_t node, mode_t mode);
int fc_truncate(struct fc *c, uint64_t node, uint64_t size);
int fc_statx(struct fc *c, uint64_t node, uint32_t mask, struct viofs_statx *sx);
int fc_statfs(struct fc *c, uint64_t node, struct fuse_kstatfs *st);
int fc_access(struct fc *c, uint64_t node, uint32_t mask);

/* ---- data ------------------------------------------------------------------------------------ */

/** fc_open_file() - OPEN; @out may be NULL. Return: 0 with *@fh. */
int fc_open_file(struct fc *c, uint64_t node, uint32_t flags, uint64_t *fh);
int fc_create(struct fc *c, uint64_t parent, const char *name, uint32_t flags, mode_t mode,
              struct fuse_entry_out *e, uint64_t *fh);
int fc_tmpfile(struct fc *c, uint64_t parent, uint32_t flags, mode_t mode, struct fuse_entry_out *e,
               uint64_t *fh);

/** fc_read() / fc_write() - up to FC_MAX_DATA bytes. Return: bytes or -errno. @buf NULL: see c->data. */
ssize_t fc_read(struct fc *c, uint64_t node, uint64_t fh, void *buf, size_t size, uint64_t offset);
ssize_t fc_write(struct fc *c, uint64_t node, uint64_t fh, const void *buf, size_t size,
                 uint64_t offset);
int fc_flush(struct fc *c, uint64_t node, uint64_t fh, uint64_t lock_owner);
int fc_fsync(struct fc *c, uint64_t node, uint64_t fh, bool data_only);
int fc_release(struct fc *c, uint64_t node, uint64_t fh);
int fc_fallocate(struct fc *c, uint64_t node, uint64_t fh, uint64_t offset, uint64_t length,
                 uint32_t mode);
int64_t fc_lseek(struct fc *c, uint64_t node, uint64_t fh, uint64_t offset, uint32_t whence);
ssize_t fc_copy_file_range(struct fc *c, uint64_t node_in, uint64_t fh_in, uint64_t off_in,
                           uint64_t node_out, uint64_t fh_out, uint64_t off_out, uint64_t len);
int fc_syncfs(struct fc *c, uint64_t node);

/* ---- directories ----------------------------------------------------------------------------- */

int fc_opendir(struct fc *c, uint64_t node, uint64_t *fh);
int fc_releasedir(struct fc *c, uint64_t node, uint64_t fh);
int fc_fsyncdir(struct fc *c, uint64_t node, uint64_t fh, bool data_only);

/** fc_readdir_raw() - one READDIR or READDIRPLUS (@plus) into c->data. Return: bytes or -errno. */
ssize_t fc_readdir_raw(struct fc *c, uint64_t node, uint64_t fh, uint64_t offset, uint32_t size,
                       bool plus);

/* One entry, as fc_list() gives it. */
struct fc_entry {
    const char *name; /* NUL-terminated */
    uint64_t ino, off;
    uint32_t type;
    const struct fuse_entry_out *entry; /* READDIRPLUS only; nodeid 0: none */
};

/** fc_each_entry - return 0 to go on, anything else to stop with it */
typedef int fc_each_entry(void *ctx, const struct fc_entry *e);

/**
 * fc_parse_dirents() - walk a READDIR(PLUS) reply, checking every length
 * Return: number of entries, -EPROTO for a malformed one, or what @each returned.
 */
int fc_parse_dirents(const uint8_t *buf, size_t len, bool plus, fc_each_entry *each, void *ctx);

/** fc_list() - a whole directory: OPENDIR, READDIR(PLUS) to the end in @size steps, RELEASEDIR */
int fc_list(struct fc *c, uint64_t node, bool plus, uint32_t size, fc_each_entry *each, void *ctx);

/* ---- extended attributes ----------------------------------------------------------------------- */

/** fc_setxattr() - in the short form, or the long one when SETXATTR_EXT was agreed */
int fc_setxattr(struct fc *c, uint64_t node, const char *name, const void *value, size_t len,
                uint32_t flags);
/** fc_getxattr() / fc_listxattr() - @size 0 asks for the length. Return: bytes or -errno. */
ssize_t fc_getxattr(struct fc *c, uint64_t node, const char *name, void *value, size_t size);
ssize_t fc_listxattr(struct fc *c, uint64_t node, char *list, size_t size);
int fc_removexattr(struct fc *c, uint64_t node, const char *name);

/* ---- locks ------------------------------------------------------------------------------------- */

/** fc_setlk() - POSIX lock @type (F_RDLCK, F_WRLCK, F_UNLCK) on [start, end]; @wait: SETLKW */
int fc_setlk(struct fc *c, uint64_t node, uint64_t fh, uint64_t owner, uint32_t type,
             uint64_t start, uint64_t end, bool wait);
int fc_getlk(struct fc *c, uint64_t node, uint64_t fh, uint64_t owner, struct fuse_file_lock *lk);
/** fc_flock() - @op: LOCK_SH, LOCK_EX, LOCK_UN with LOCK_NB */
int fc_flock(struct fc *c, uint64_t node, uint64_t fh, uint64_t owner, int op);

/* ---- many at once -------------------------------------------------------------------------------- */

/**
 * fc_build() - fill @r (from fe_req_init(), big enough) with a request instead of sending it
 * @in_data: for a READ: guest memory for the payload; the caller sets r->in_data and r->out_data itself
 * Return: its unique; r->in_len is set to header + @room.
 */
uint64_t fc_build(struct fc *c, struct fe_req *r, uint32_t opcode, uint64_t nodeid,
                  const struct fc_part *parts, unsigned n_parts, uint32_t room);

/**
 * fc_result() - check the reply of a completed request
 * Return: payload bytes (in r->in after the 16-byte header, then r->in_data) or -errno, -EPROTO.
 */
ssize_t fc_result(const struct fe_req *r, uint64_t unique);

#endif
