// SPDX-License-Identifier: BSD-3-Clause
/*
 * xattr.c - extended attributes
 *
 * Theory of operation
 *
 *   One request each, nothing is cached. The two questions have one answer in two shapes: without room
 *   the host tells the size, with room it sends the bytes. A host that does not know a request has no
 *   extended attributes: -LE_EOPNOTSUPP, remembered (call.c).
 *
 *   A value travels with the arguments if it fits there, else apart as the data of a WRITE does.
 *
 * Ownership: borrows everything.   Locks: none.
 */
#include <string.h>

#include "service/client/client_int.h"

enum {
    XATTR_NAME_MAX_ = 255,   /* linux/limits.h, XATTR_NAME_MAX */
    XATTR_SIZE_MAX_ = 65536, /* XATTR_SIZE_MAX and XATTR_LIST_MAX */
};

static int32_t refusal(int32_t result)
{
    return result == -LE_ENOSYS ? -LE_EOPNOTSUPP : result;
}

/* Return: bytes of a name with its NUL, or -LE_ERANGE as Linux says of one that cannot be. */
static int name_bytes(const char *name)
{
    size_t len = strlen(name);

    return len == 0 || len > XATTR_NAME_MAX_ ? -LE_ERANGE : (int)len + 1;
}

/* GETXATTR and LISTXATTR; @name NULL for the list. */
static int ask(struct cli *c, struct cli_node *n, uint32_t opcode, const char *name, void *to,
               uint32_t cap)
{
    struct fuse_getxattr_out size = {0};
    struct fuse_getxattr_in in = {.size = cap < XATTR_SIZE_MAX_ ? cap : XATTR_SIZE_MAX_};
    struct cli_req r = {
        .opcode = opcode,
        .node = n,
        .arg = {{&in, sizeof(in)}},
        .reply = in.size ? to : &size,
        .reply_cap = in.size ? in.size : sizeof(size),
        .reply_min = in.size ? 0 : sizeof(size),
    };
    int32_t result = name ? name_bytes(name) : 0;

    if (result < 0)
        return result;
    r.arg[1] = (struct cli_arg){name, (uint32_t)result};
    result = cli_call(c, &r);
    if (result < 0)
        return refusal(result);
    if (in.size)
        return result;
    return size.size > XATTR_SIZE_MAX_ ? -LE_EIO : (int)size.size;
}

/** cli_getxattr() - see client.h */
int cli_getxattr(struct cli *c, struct cli_node *n, const char *name, void *value, uint32_t cap)
{
    return ask(c, n, FUSE_GETXATTR, name, value, cap);
}

/** cli_listxattr() - see client.h */
int cli_listxattr(struct cli *c, struct cli_node *n, char *list, uint32_t cap)
{
    return ask(c, n, FUSE_LISTXATTR, NULL, list, cap);
}

/* Send what changes an attribute; the node's times change with it. */
static int change(struct cli *c, struct cli_node *n, struct cli_req *r)
{
    int32_t result = cli_call(c, r);

    if (result >= 0)
        cli_attr_changed(c, n);
    return result < 0 ? refusal(result) : 0;
}

/** cli_setxattr() - see client.h */
int cli_setxattr(struct cli *c, struct cli_node *n, const char *name, const void *value,
                 uint32_t len, uint32_t flags)
{
    enum { ARGS = sizeof(struct fuse_in_header) + FUSE_COMPAT_SETXATTR_IN_SIZE };
    struct fuse_setxattr_in in = {.size = len, .flags = flags};
    int name_len = name_bytes(name);
    struct cli_limits limits;
    struct cli_req r = {.opcode = FUSE_SETXATTR, .node = n};
    int e;

    if (name_len < 0)
        return name_len;
    if (len > XATTR_SIZE_MAX_)
        return -LE_E2BIG;
    e = c->transport->ops->limits(c->transport, &limits);
    if (e)
        return e;
    /* The short form: the long one is for who offers FUSE_SETXATTR_EXT, which we do not. */
    r.arg[0] = (struct cli_arg){&in, FUSE_COMPAT_SETXATTR_IN_SIZE};
    r.arg[1] = (struct cli_arg){name, (uint32_t)name_len};
    if (ARGS + (uint32_t)name_len + len <= limits.max_request) {
        r.arg[2] = (struct cli_arg){value, len};
    } else {
        r.data = value;
        r.data_len = len;
    }
    return change(c, n, &r);
}

/** cli_removexattr() - see client.h */
int cli_removexattr(struct cli *c, struct cli_node *n, const char *name)
{
    int len = name_bytes(name);
    struct cli_req r = {.opcode = FUSE_REMOVEXATTR, .node = n};

    if (len < 0)
        return len;
    r.arg[0] = (struct cli_arg){name, (uint32_t)len};
    return change(c, n, &r);
}
