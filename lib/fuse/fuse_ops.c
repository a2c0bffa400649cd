// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse_ops.c - what each FUSE request looks like
 *
 * Theory of operation
 *
 *   One row an opcode. fuse_decode() knows how to check a request; this table tells it what to expect,
 *   and dispatch, statistics and tests walk the same rows. An opcode without a row is unknown: ENOSYS.
 *
 *   Row order is the dense index (fuse_op.index), so that counters stay small arrays. An opcode is
 *   found through one byte: standard opcodes are below 64, our own count from VIOFS_PROBE and follow.
 *
 *   Sizes are those of linux/fuse.h. A shorter argument struct exists only where a minor from 7.27 on
 *   made it longer: INIT (7.36) and SETXATTR (7.33, by negotiation).
 *
 * Ownership: constant data.   Locks: none.
 */
#include "lib/fuse/fuse_call.h"

enum {
    ENTRY = sizeof(struct fuse_entry_out),
    ATTR = sizeof(struct fuse_attr_out),
    OPENED = sizeof(struct fuse_open_out),
    EXT = sizeof(struct fuse_viofs_ext),
    LONGEST_NAME = 256,    /* of one component, padded: an event with it must fit */
    INIT_BEFORE_7_36 = 16, /* the struct ended with the first word of flags */

    CHANGES_NAME = OP_NAME1 | OP_WRITES,
    MAKES_INODE = OP_NAME1 | OP_WRITES | OP_EXT,
};

#define SZ(type) sizeof(struct type)

/* X(opcode, name, flags, argument bytes, least argument bytes, fixed reply bytes) */
#define OPS(X)                                                                                     \
    X(FUSE_LOOKUP, "LOOKUP", OP_NAME1 | OP_DOT_OK, 0, 0, ENTRY)                                    \
    X(FUSE_FORGET, "FORGET", OP_NO_REPLY, SZ(fuse_forget_in), SZ(fuse_forget_in), 0)               \
    X(FUSE_GETATTR, "GETATTR", 0, SZ(fuse_getattr_in), SZ(fuse_getattr_in), ATTR)                  \
    X(FUSE_SETATTR, "SETATTR", OP_WRITES, SZ(fuse_setattr_in), SZ(fuse_setattr_in), ATTR)          \
    X(FUSE_READLINK, "READLINK", 0, 0, 0, 0)                                                       \
    X(FUSE_SYMLINK, "SYMLINK", MAKES_INODE | OP_NAME2 | OP_TARGET2, 0, 0, ENTRY)                   \
    X(FUSE_MKNOD, "MKNOD", MAKES_INODE, SZ(fuse_mknod_in), SZ(fuse_mknod_in), ENTRY)               \
    X(FUSE_MKDIR, "MKDIR", MAKES_INODE, SZ(fuse_mkdir_in), SZ(fuse_mkdir_in), ENTRY)               \
    X(FUSE_UNLINK, "UNLINK", CHANGES_NAME, 0, 0, 0)                                                \
    X(FUSE_RMDIR, "RMDIR", CHANGES_NAME, 0, 0, 0)                                                  \
    X(FUSE_RENAME, "RENAME", CHANGES_NAME | OP_NAME2, SZ(fuse_rename_in), SZ(fuse_rename_in), 0)   \
    X(FUSE_LINK, "LINK", CHANGES_NAME, SZ(fuse_link_in), SZ(fuse_link_in), ENTRY)                  \
    X(FUSE_OPEN, "OPEN", 0, SZ(fuse_open_in), SZ(fuse_open_in), OPENED)                            \
    X(FUSE_READ, "READ", 0, SZ(fuse_read_in), SZ(fuse_read_in), 0)                                 \
    X(FUSE_WRITE, "WRITE", OP_DATA | OP_WRITES, SZ(fuse_write_in), SZ(fuse_write_in),              \
      SZ(fuse_write_out))                                                                          \
    X(FUSE_STATFS, "STATFS", 0, 0, 0, SZ(fuse_statfs_out))                                         \
    X(FUSE_RELEASE, "RELEASE", 0, SZ(fuse_release_in), SZ(fuse_release_in), 0)                     \
    X(FUSE_FSYNC, "FSYNC", 0, SZ(fuse_fsync_in), SZ(fuse_fsync_in), 0)                             \
    X(FUSE_SETXATTR, "SETXATTR", CHANGES_NAME | OP_XATTR_NAME | OP_VALUE, SZ(fuse_setxattr_in),    \
      FUSE_COMPAT_SETXATTR_IN_SIZE, 0)                                                             \
    X(FUSE_GETXATTR, "GETXATTR", OP_NAME1 | OP_XATTR_NAME, SZ(fuse_getxattr_in),                   \
      SZ(fuse_getxattr_in), 0)                                                                     \
    X(FUSE_LISTXATTR, "LISTXATTR", 0, SZ(fuse_getxattr_in), SZ(fuse_getxattr_in), 0)               \
    X(FUSE_REMOVEXATTR, "REMOVEXATTR", CHANGES_NAME | OP_XATTR_NAME, 0, 0, 0)                      \
    X(FUSE_FLUSH, "FLUSH", 0, SZ(fuse_flush_in), SZ(fuse_flush_in), 0)                             \
    X(FUSE_INIT, "INIT", 0, SZ(fuse_init_in), INIT_BEFORE_7_36, SZ(fuse_init_out))                 \
    X(FUSE_OPENDIR, "OPENDIR", 0, SZ(fuse_open_in), SZ(fuse_open_in), OPENED)                      \
    X(FUSE_READDIR, "READDIR", 0, SZ(fuse_read_in), SZ(fuse_read_in), 0)                           \
    X(FUSE_RELEASEDIR, "RELEASEDIR", 0, SZ(fuse_release_in), SZ(fuse_release_in), 0)               \
    X(FUSE_FSYNCDIR, "FSYNCDIR", 0, SZ(fuse_fsync_in), SZ(fuse_fsync_in), 0)                       \
    X(FUSE_GETLK, "GETLK", 0, SZ(fuse_lk_in), SZ(fuse_lk_in), SZ(fuse_lk_out))                     \
    X(FUSE_SETLK, "SETLK", 0, SZ(fuse_lk_in), SZ(fuse_lk_in), 0)                                   \
    X(FUSE_SETLKW, "SETLKW", 0, SZ(fuse_lk_in), SZ(fuse_lk_in), 0)                                 \
    X(FUSE_ACCESS, "ACCESS", 0, SZ(fuse_access_in), SZ(fuse_access_in), 0)                         \
    X(FUSE_CREATE, "CREATE", MAKES_INODE, SZ(fuse_create_in), SZ(fuse_create_in), ENTRY + OPENED)  \
    X(FUSE_INTERRUPT, "INTERRUPT", OP_NO_REPLY, SZ(fuse_interrupt_in), SZ(fuse_interrupt_in), 0)   \
    X(FUSE_DESTROY, "DESTROY", 0, 0, 0, 0)                                                         \
    X(FUSE_IOCTL, "IOCTL", OP_VALUE, SZ(fuse_ioctl_in), SZ(fuse_ioctl_in), SZ(fuse_ioctl_out))     \
    X(FUSE_BATCH_FORGET, "BATCH_FORGET", OP_NO_REPLY | OP_VALUE, SZ(fuse_batch_forget_in),         \
      SZ(fuse_batch_forget_in), 0)                                                                 \
    X(FUSE_FALLOCATE, "FALLOCATE", OP_WRITES, SZ(fuse_fallocate_in), SZ(fuse_fallocate_in), 0)     \
    X(FUSE_READDIRPLUS, "READDIRPLUS", 0, SZ(fuse_read_in), SZ(fuse_read_in), 0)                   \
    X(FUSE_RENAME2, "RENAME2", CHANGES_NAME | OP_NAME2, SZ(fuse_rename2_in), SZ(fuse_rename2_in),  \
      0)                                                                                           \
    X(FUSE_LSEEK, "LSEEK", 0, SZ(fuse_lseek_in), SZ(fuse_lseek_in), SZ(fuse_lseek_out))            \
    X(FUSE_COPY_FILE_RANGE, "COPY_FILE_RANGE", OP_WRITES, SZ(fuse_copy_file_range_in),             \
      SZ(fuse_copy_file_range_in), SZ(fuse_write_out))                                             \
    X(FUSE_SYNCFS, "SYNCFS", 0, SZ(fuse_syncfs_in), SZ(fuse_syncfs_in), 0)                         \
    X(FUSE_TMPFILE, "TMPFILE", MAKES_INODE | OP_NAME_VOID, SZ(fuse_create_in), SZ(fuse_create_in), \
      ENTRY + OPENED)                                                                              \
    X(VIOFS_FUSE_STATX, "STATX", 0, SZ(viofs_statx_in), SZ(viofs_statx_in), SZ(viofs_statx_out))   \
    X(VIOFS_PROBE, "VIOFS_PROBE", 0, SZ(fuse_viofs_probe_in), SZ(fuse_viofs_probe_in),             \
      SZ(fuse_viofs_probe_out))                                                                    \
    X(VIOFS_LOOKUP, "VIOFS_LOOKUP", OP_NAME1 | OP_DOT_OK, 0, 0, ENTRY + EXT)                       \
    X(VIOFS_CREATE, "VIOFS_CREATE", MAKES_INODE, SZ(fuse_create_in), SZ(fuse_create_in),           \
      ENTRY + EXT + OPENED)                                                                        \
    X(VIOFS_GETATTR, "VIOFS_GETATTR", 0, SZ(fuse_getattr_in), SZ(fuse_getattr_in), ATTR + EXT)     \
    X(VIOFS_READDIRPLUS, "VIOFS_READDIRPLUS", 0, SZ(fuse_read_in), SZ(fuse_read_in), 0)            \
    X(VIOFS_OPEN, "VIOFS_OPEN", 0, SZ(fuse_open_in), SZ(fuse_open_in), OPENED + ATTR + EXT)        \
    X(VIOFS_WATCH, "VIOFS_WATCH", 0, SZ(fuse_viofs_watch_in), SZ(fuse_viofs_watch_in),             \
      SZ(fuse_viofs_watch_out))                                                                    \
    X(VIOFS_UNWATCH, "VIOFS_UNWATCH", 0, SZ(fuse_viofs_unwatch_in), SZ(fuse_viofs_unwatch_in), 0)  \
    X(VIOFS_EVENTS, "VIOFS_EVENTS", 0, SZ(fuse_viofs_events_in), SZ(fuse_viofs_events_in),         \
      SZ(fuse_viofs_event) + LONGEST_NAME)

#define INDEX(op, ...) INDEX_##op,
enum { OPS(INDEX) N_OPS };

#define ROW(op, name_, flags_, arg, least, reply)                                                  \
    [INDEX_##op] = {                                                                               \
        .opcode = (op),                                                                            \
        .name = (name_),                                                                           \
        .flags = (flags_),                                                                         \
        .arg_len = (arg),                                                                          \
        .arg_min = (least),                                                                        \
        .reply_min = (reply),                                                                      \
        .index = INDEX_##op,                                                                       \
    },
static const struct fuse_op ops[N_OPS] = {OPS(ROW)};

/* Where an opcode's row number, plus one, is kept. */
enum { STANDARD_SLOTS = 64, OUR_SLOTS = 16, N_SLOTS = STANDARD_SLOTS + OUR_SLOTS };
#define SLOT(op)        ((op) >= VIOFS_PROBE ? (op)-VIOFS_PROBE + STANDARD_SLOTS : (op))
#define ROW_OF(op, ...) [SLOT(op)] = INDEX_##op + 1,
static const uint8_t row_of[N_SLOTS] = {OPS(ROW_OF)};

_Static_assert(N_OPS <= FUSE_N_OPS, "fuse_op.index is used to index arrays of FUSE_N_OPS");
#define FITS(op, name_, flags_, arg, least, reply)                                                 \
    _Static_assert((arg) <= sizeof(((struct fuse_call *)0)->arg_space) && (arg) % 8 == 0 &&        \
                       (least) <= (arg),                                                           \
                   name_);
// NOLINTNEXTLINE(bugprone-sizeof-expression): a size against the size that must hold it
OPS(FITS)

/**
 * fuse_op_find() - the row of an opcode
 * Return: constant data, or NULL for an opcode that nobody here serves.
 */
const struct fuse_op *fuse_op_find(uint32_t opcode)
{
    uint32_t slot = opcode;

    if (opcode >= STANDARD_SLOTS) {
        slot = opcode - VIOFS_PROBE;
        if (slot >= OUR_SLOTS)
            return NULL;
        slot += STANDARD_SLOTS;
    }
    return row_of[slot] ? &ops[row_of[slot] - 1] : NULL;
}

/** fuse_op_at() - the row of an index. Return: constant data, or NULL past the last. */
const struct fuse_op *fuse_op_at(unsigned index)
{
    return index < N_OPS ? &ops[index] : NULL;
}
