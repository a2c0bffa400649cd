// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse_call.h - a FUSE request, checked
 *
 * Theory of operation
 *
 *   The bytes of a request come from a guest that may change them at any time. The caller copies the
 *   prefix that fuse_copy_len() asks for into private memory, once, and fuse_decode() turns it into a
 *   struct fuse_call whose every field has been checked: header length against what arrived, the
 *   fixed argument struct (zero-extended when an older minor sends a shorter one), names (see
 *   name_check()), value lengths, extensions, and the room for the reply. No handler checks a length
 *   or a name again, and none can forget to.
 *
 *   What each opcode looks like is one row of the table in fuse_ops.c.
 *
 *   WRITE payload is never copied: data_len says how many bytes follow the prefix in guest memory.
 *
 * Ownership: a fuse_call borrows the private copy.   Locks: none.   Errors: negative Linux errno values.
 */
#ifndef VIOFS_FUSE_CALL_H
#define VIOFS_FUSE_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/fuse/fuse_proto.h"

/* Longest prefix that is ever copied: header, arguments, a 64 KiB xattr value or a batch of forgets. */
#define FUSE_COPY_MAX (132u * 1024u)

/* Linux errno numbers by value: the Windows compiler's <errno.h> has others. */
enum fuse_error {
    FUSE_ERR_IO = 5,
    FUSE_ERR_2BIG = 7,
    FUSE_ERR_INVAL = 22,
    FUSE_ERR_RANGE = 34,
    FUSE_ERR_NAMETOOLONG = 36,
    FUSE_ERR_NOSYS = 38,
    FUSE_ERR_PROTO = 71,
};

/* What an opcode's request consists of, after the header. */
enum fuse_op_flags {
    OP_NAME1 = 1 << 0,      /* a NUL-terminated name follows the arguments */
    OP_NAME2 = 1 << 1,      /* and a second one */
    OP_TARGET2 = 1 << 2,    /* the second is a symlink target: 1..4095 bytes of anything but NUL */
    OP_XATTR_NAME = 1 << 3, /* the name is an xattr's: 1..255 bytes, any but NUL */
    OP_VALUE = 1 << 4,      /* bytes follow, copied: value, value_len */
    OP_DATA = 1 << 5,       /* bytes follow, left in guest memory: data_len */
    OP_EXT = 1 << 6,        /* extensions may follow (security context, supplementary groups) */
    OP_NO_REPLY = 1 << 7,   /* FORGET, BATCH_FORGET, INTERRUPT: nothing is written back */
    OP_DOT_OK = 1 << 8,     /* "." and ".." are legal names: LOOKUP only */
    OP_WRITES = 1 << 9,     /* changes the share: refused when it is read-only */
    OP_NAME_VOID = 1 << 10, /* the name says nothing: TMPFILE carries "/" */
};

struct fuse_op {
    uint32_t opcode;
    const char *name; /* "LOOKUP" */
    uint16_t flags;
    uint16_t arg_len; /* bytes of the argument struct in the newest minor */
    uint16_t arg_min; /* bytes that the oldest accepted client sends (7.27) */
    uint16_t
        reply_min;  /* payload bytes that the reply must have room for, when it has a fixed size */
    uint16_t index; /* dense 0..FUSE_N_OPS-1, for counters */
};
#define FUSE_N_OPS 64 /* upper bound of fuse_op.index, for arrays */

/** fuse_op_find() - the row of an opcode, or NULL; fuse_op_at() - by index, or NULL past the last */
const struct fuse_op *fuse_op_find(uint32_t opcode);
const struct fuse_op *fuse_op_at(unsigned index);

struct fuse_str {
    const char *s; /* NUL-terminated, in the private copy */
    uint32_t len;
};

/* Session state that decides how bytes are read; set by INIT. */
struct fuse_dialect {
    uint32_t minor;    /* negotiated: smaller of both sides */
    bool setxattr_ext; /* FUSE_SETXATTR_EXT was agreed */
    bool security_ctx; /* FUSE_SECURITY_CTX was agreed */
    bool supp_group;   /* FUSE_CREATE_SUPP_GROUP was agreed */
    uint32_t max_write;
};

#define FUSE_MAX_GROUPS 32 /* the kernel sends at most one; room for a few */

struct fuse_call {
    struct fuse_in_header in;
    const struct fuse_op *op;
    const void *arg; /* op->arg_len bytes, 8-byte aligned */
    struct fuse_str name[2];
    const void *value;
    uint32_t value_len;
    uint64_t data_len;   /* WRITE: equals fuse_write_in.size */
    uint64_t reply_room; /* bytes that the guest gave for header and payload */
    uint32_t n_groups;
    uint32_t groups[FUSE_MAX_GROUPS];
    struct fuse_str secctx_name; /* len 0: none */
    const void *secctx;
    uint32_t secctx_len;
    uint64_t arg_space[16]; /* where a short argument struct is zero-extended */
};

/**
 * fuse_copy_len() - how much of a request to copy before decoding
 * @head:  the first min(total, 40) bytes, copied
 * @total: bytes that the guest offers
 *
 * Return: bytes from the start of the request, at most FUSE_COPY_MAX; -EPROTO if @total is below 40.
 */
int64_t fuse_copy_len(const struct fuse_in_header *head, uint64_t total);

/**
 * fuse_decode() - check a request
 * @c:      filled as far as decoding got; c->in is valid whenever the return is not -EPROTO
 * @buf:    private copy, 8-byte aligned, fuse_copy_len() bytes
 * @len:    that number
 * @total:  bytes that the guest offers (header, arguments, data)
 * @room:   bytes that it gave for the reply
 *
 * Return: 0; -EPROTO when not even an error can be sent (no header; a reply needed and room < 16);
 * -ENOSYS for an unknown opcode; -EINVAL, -ENAMETOOLONG, -E2BIG, -ERANGE to be sent back as the reply.
 */
int fuse_decode(struct fuse_call *c, const struct fuse_dialect *dialect, const void *buf,
                size_t len, uint64_t total, uint64_t room);

enum name_kind { NAME_CHANGES_DIRECTORY, NAME_LOOKUP };
int name_check(const char *name, size_t len, enum name_kind kind);

#endif
