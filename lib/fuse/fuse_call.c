// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse_call.c - check a FUSE request
 *
 * Theory of operation
 *
 *   A request is: header (40 bytes), the opcode's argument struct, then what the opcode's row in
 *   fuse_ops.c names, in this order: one or two NUL-terminated names, a value or payload, extensions.
 *   Nothing is padded, so only header and arguments are aligned. The header's own length is where the
 *   request ends; bytes that the guest offers beyond it are ignored, and so are bytes between the
 *   last part and that end.
 *
 *   struct cursor walks the private copy; it never moves beyond the end, and every step that would is
 *   an error. Members of struct fuse_call that an opcode does not use are set to "none"; nothing large
 *   is zeroed, because this runs for every request.
 *
 * Ownership: borrows the copy.   Locks: none.   Errors: negative Linux errno values, own enum.
 */
#include "lib/fuse/fuse_call.h"

#include <string.h>

enum {
    IN_HEADER = sizeof(struct fuse_in_header),
    OUT_HEADER = sizeof(struct fuse_out_header),
    XATTR_NAME_MAX_ = 255,       /* linux/limits.h: XATTR_NAME_MAX */
    XATTR_SIZE_MAX_ = 64 * 1024, /* linux/limits.h: XATTR_SIZE_MAX */
    SYMLINK_MAX = 4095,          /* PATH_MAX less the NUL */
};

struct cursor {
    const char *p;
    const char *end;
};

static size_t left(const struct cursor *at)
{
    return (size_t)(at->end - at->p);
}

/** fuse_copy_len() - described in fuse_call.h */
int64_t fuse_copy_len(const struct fuse_in_header *head, uint64_t total)
{
    const struct fuse_op *op;
    uint64_t want = head->len;

    if (total < IN_HEADER)
        return -FUSE_ERR_PROTO;
    op = fuse_op_find(head->opcode);
    if (!op)
        want = IN_HEADER;
    else if (op->flags & OP_DATA && want > (uint64_t)IN_HEADER + op->arg_len)
        want = (uint64_t)IN_HEADER + op->arg_len;
    if (want > total)
        want = total;
    if (want > FUSE_COPY_MAX)
        want = FUSE_COPY_MAX;
    return want < IN_HEADER ? IN_HEADER : (int64_t)want;
}

/* How many bytes of arguments this client sends: the whole struct but for the two that grew. */
static size_t arg_bytes(const struct fuse_op *op, const struct fuse_dialect *dialect, size_t have)
{
    if (op->arg_min == op->arg_len)
        return op->arg_len;
    if (op->opcode == FUSE_SETXATTR)
        return dialect->setxattr_ext ? op->arg_len : op->arg_min;
    if (have >= op->arg_len)
        return op->arg_len;
    return op->arg_min;
}

static int take_arg(struct fuse_call *c, const struct fuse_dialect *dialect, struct cursor *at)
{
    const struct fuse_op *op = c->op;
    size_t n = arg_bytes(op, dialect, left(at));

    if (left(at) < n)
        return -FUSE_ERR_INVAL;
    c->arg = at->p;
    if (n < op->arg_len) {
        memcpy(c->arg_space, at->p, n);
        memset((char *)c->arg_space + n, 0, op->arg_len - n);
        c->arg = c->arg_space;
    }
    at->p += n;
    return 0;
}

static int take_string(struct fuse_str *to, struct cursor *at)
{
    const char *nul = memchr(at->p, '\0', left(at));

    if (!nul)
        return -FUSE_ERR_INVAL;
    to->s = at->p;
    to->len = (uint32_t)(nul - at->p);
    at->p = nul + 1;
    return 0;
}

static int check_xattr_name(const struct fuse_str *name)
{
    /* Linux answers ERANGE for both: setxattr(2), fs/xattr.c. */
    return name->len == 0 || name->len > XATTR_NAME_MAX_ ? -FUSE_ERR_RANGE : 0;
}

static int check_target(const struct fuse_str *target)
{
    if (target->len == 0)
        return -FUSE_ERR_INVAL;
    return target->len > SYMLINK_MAX ? -FUSE_ERR_NAMETOOLONG : 0;
}

static int take_names(struct fuse_call *c, struct cursor *at)
{
    unsigned flags = c->op->flags;
    enum name_kind kind = flags & OP_DOT_OK ? NAME_LOOKUP : NAME_CHANGES_DIRECTORY;
    int err;

    err = take_string(&c->name[0], at);
    if (err || flags & OP_NAME_VOID)
        return err;
    if (flags & OP_XATTR_NAME)
        return check_xattr_name(&c->name[0]);
    err = name_check(c->name[0].s, c->name[0].len, kind);
    if (err || !(flags & OP_NAME2))
        return err;
    err = take_string(&c->name[1], at);
    if (err)
        return err;
    if (flags & OP_TARGET2)
        return check_target(&c->name[1]);
    return name_check(c->name[1].s, c->name[1].len, kind);
}

static int take_value(struct fuse_call *c, struct cursor *at, uint64_t bytes)
{
    if (bytes > left(at))
        return -FUSE_ERR_INVAL;
    c->value = at->p;
    c->value_len = (uint32_t)bytes;
    at->p += bytes;
    return 0;
}

/* ---- extensions --------------------------------------------------------------------------- */

/*
 * Security context (7.36): a header whose second word counts contexts, then for each a struct
 * fuse_secctx, a name with its NUL, and the value. Linux sends none or one, padded to 8 bytes.
 */
static int take_secctx(struct fuse_call *c, uint32_t count, struct cursor *at)
{
    struct fuse_secctx ctx;
    int err;

    if (count == 0)
        return 0;
    if (count > 1 || c->secctx_name.len || left(at) < sizeof(ctx))
        return -FUSE_ERR_INVAL;
    memcpy(&ctx, at->p, sizeof(ctx));
    at->p += sizeof(ctx);
    if (ctx.size > XATTR_SIZE_MAX_)
        return -FUSE_ERR_2BIG;
    err = take_string(&c->secctx_name, at);
    if (!err)
        err = check_xattr_name(&c->secctx_name);
    if (!err && ctx.size > left(at))
        err = -FUSE_ERR_INVAL;
    if (err)
        return err;
    c->secctx = at->p;
    c->secctx_len = ctx.size;
    return 0;
}

/* Supplementary groups (7.38): a count, then that many ids, padded to 8 bytes. */
static int take_groups(struct fuse_call *c, struct cursor *at)
{
    struct viofs_supp_groups head;

    if (c->n_groups || left(at) < sizeof(head))
        return -FUSE_ERR_INVAL;
    memcpy(&head, at->p, sizeof(head));
    at->p += sizeof(head);
    if (head.nr_groups > left(at) / sizeof(uint32_t))
        return -FUSE_ERR_INVAL;
    if (head.nr_groups > FUSE_MAX_GROUPS)
        return -FUSE_ERR_2BIG;
    memcpy(c->groups, at->p, head.nr_groups * sizeof(uint32_t));
    c->n_groups = head.nr_groups;
    return 0;
}

static int take_extension(struct fuse_call *c, const struct fuse_dialect *dialect,
                          struct cursor *at)
{
    struct fuse_ext_header head;
    struct cursor body;

    if (left(at) < sizeof(head))
        return -FUSE_ERR_INVAL;
    memcpy(&head, at->p, sizeof(head));
    if (head.size < sizeof(head) || head.size > left(at))
        return -FUSE_ERR_INVAL;
    body.p = at->p + sizeof(head);
    body.end = at->p + head.size;
    at->p = body.end;

    /* A type up to FUSE_MAX_NR_SECCTX is the count of a security context header. */
    if (head.type <= FUSE_MAX_NR_SECCTX)
        return dialect->security_ctx ? take_secctx(c, head.type, &body) : -FUSE_ERR_INVAL;
    if (head.type == VIOFS_FUSE_EXT_GROUPS)
        return dialect->supp_group ? take_groups(c, &body) : -FUSE_ERR_INVAL;
    return -FUSE_ERR_INVAL;
}

/*
 * Extensions reach from the last name to the end of the request. Kernels before 7.38 send a security
 * context without saying so in total_extlen; where it is given (8-byte units) it has to agree.
 */
static int take_extensions(struct fuse_call *c, const struct fuse_dialect *dialect,
                           struct cursor *at)
{
    if (!dialect->security_ctx && !dialect->supp_group)
        return 0;
    if (c->in.total_extlen && c->in.total_extlen * 8u != left(at))
        return -FUSE_ERR_INVAL;
    while (left(at)) {
        int err = take_extension(c, dialect, at);
        if (err)
            return err;
    }
    return 0;
}

/* ---- sizes that an argument names --------------------------------------------------------- */

static int take_write(struct fuse_call *c, const struct fuse_dialect *dialect)
{
    const struct fuse_write_in *in = c->arg;

    /* The payload stayed behind: count from the header's length, which fits what was offered. */
    if (in->size > c->in.len - IN_HEADER - sizeof(*in) || in->size > dialect->max_write)
        return -FUSE_ERR_INVAL;
    c->data_len = in->size;
    return 0;
}

static int check_reply_size(const struct fuse_call *c, uint64_t payload)
{
    return payload > c->reply_room - OUT_HEADER ? -FUSE_ERR_INVAL : 0;
}

static int check_xattr_reply(const struct fuse_call *c)
{
    const struct fuse_getxattr_in *in = c->arg;

    /* Size 0 asks how long the answer would be. */
    return check_reply_size(c, in->size ? in->size : sizeof(struct fuse_getxattr_out));
}

static int take_setxattr(struct fuse_call *c, struct cursor *at)
{
    const struct fuse_setxattr_in *in = c->arg;

    return in->size > XATTR_SIZE_MAX_ ? -FUSE_ERR_2BIG : take_value(c, at, in->size);
}

static int take_ioctl(struct fuse_call *c, struct cursor *at)
{
    const struct fuse_ioctl_in *in = c->arg;
    int err = take_value(c, at, in->in_size);

    return err ? err : check_reply_size(c, sizeof(struct fuse_ioctl_out) + (uint64_t)in->out_size);
}

static int take_forgets(struct fuse_call *c, struct cursor *at)
{
    const struct fuse_batch_forget_in *in = c->arg;

    return take_value(c, at, (uint64_t)in->count * sizeof(struct fuse_forget_one));
}

/* The few opcodes whose arguments name a size. */
static int take_rest(struct fuse_call *c, const struct fuse_dialect *dialect, struct cursor *at)
{
    switch (c->op->opcode) {
    case FUSE_READ:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
    case VIOFS_READDIRPLUS:
        return check_reply_size(c, ((const struct fuse_read_in *)c->arg)->size);
    case FUSE_WRITE:
        return take_write(c, dialect);
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
        return check_xattr_reply(c);
    case FUSE_SETXATTR:
        return take_setxattr(c, at);
    case FUSE_IOCTL:
        return take_ioctl(c, at);
    case FUSE_BATCH_FORGET:
        return take_forgets(c, at);
    default:
        return 0;
    }
}

/* ------------------------------------------------------------------------------------------- */

static void nothing_yet(struct fuse_call *c, uint64_t room)
{
    c->op = NULL;
    c->arg = NULL;
    c->name[0] = c->name[1] = c->secctx_name = (struct fuse_str){"", 0};
    c->value = c->secctx = NULL;
    c->value_len = c->secctx_len = 0;
    c->data_len = 0;
    c->n_groups = 0;
    c->reply_room = room;
}

static int take_body(struct fuse_call *c, const struct fuse_dialect *dialect, struct cursor *at)
{
    int err = take_arg(c, dialect, at);

    if (!err && c->op->flags & OP_NAME1)
        err = take_names(c, at);
    if (!err)
        err = take_rest(c, dialect, at);
    if (!err && c->op->flags & OP_EXT)
        err = take_extensions(c, dialect, at);
    return err;
}

/** fuse_decode() - described in fuse_call.h */
int fuse_decode(struct fuse_call *c, const struct fuse_dialect *dialect, const void *buf,
                size_t len, uint64_t total, uint64_t room)
{
    struct cursor at;

    if (len < IN_HEADER || total < IN_HEADER)
        return -FUSE_ERR_PROTO;
    memcpy(&c->in, buf, sizeof(c->in));
    nothing_yet(c, room);
    c->op = fuse_op_find(c->in.opcode);
    if (room < OUT_HEADER && !(c->op && c->op->flags & OP_NO_REPLY))
        return -FUSE_ERR_PROTO;
    if (!c->op)
        return -FUSE_ERR_NOSYS;
    if (c->in.len < IN_HEADER || c->in.len > total)
        return -FUSE_ERR_INVAL;
    if (c->op->reply_min && room - OUT_HEADER < c->op->reply_min)
        return -FUSE_ERR_INVAL;
    at.p = (const char *)buf + IN_HEADER;
    at.end = (const char *)buf + (c->in.len < len ? c->in.len : len);
    return take_body(c, dialect, &at);
}
