// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuzz_fuse_decode.c - any bytes as a FUSE request
 *
 * Input: one byte of dialect, one of reply room, two of bytes offered beyond the message (a WRITE's
 * payload, which is never copied), then the message. It is decoded from an exact-size heap copy, so
 * ASan reports a read of one byte too many; what decoding accepted is then held to what handlers rely
 * on.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fuse/fuse_call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where accepted pointers may point. */
struct bounds {
    const char *from, *to;
};

#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond))                                                                               \
            abort();                                                                               \
    } while (0)

static void must_be_inside(const struct bounds *b, const void *p, size_t len)
{
    const char *at = p;

    MUST(at >= b->from && at <= b->to && len <= (size_t)(b->to - at));
}

static void must_be_terminated(const struct bounds *b, const struct fuse_str *s)
{
    must_be_inside(b, s->s, (size_t)s->len + 1);
    MUST(s->s[s->len] == '\0' && strlen(s->s) == s->len);
}

static void check_names(const struct fuse_call *c, const struct bounds *b)
{
    unsigned flags = c->op->flags;

    if (flags & OP_NAME1)
        must_be_terminated(b, &c->name[0]);
    if (flags & OP_NAME2)
        must_be_terminated(b, &c->name[1]);
    if (!(flags & OP_NAME1) || flags & (OP_XATTR_NAME | OP_NAME_VOID))
        return;
    MUST(c->name[0].len >= 1 && c->name[0].len <= 255 && !strchr(c->name[0].s, '/'));
    if (!(flags & OP_DOT_OK))
        MUST(strcmp(c->name[0].s, ".") != 0 && strcmp(c->name[0].s, "..") != 0);
}

static void check_accepted(const struct fuse_call *c, const struct fuse_dialect *dialect,
                           const struct bounds *b, uint64_t total)
{
    MUST(c->op && c->op->opcode == c->in.opcode && (uintptr_t)c->arg % 8 == 0);
    if (c->arg != c->arg_space)
        must_be_inside(b, c->arg, c->op->arg_len);
    check_names(c, b);
    if (c->value_len)
        must_be_inside(b, c->value, c->value_len);
    MUST(c->data_len <= total && c->data_len <= dialect->max_write);
    MUST(c->n_groups <= FUSE_MAX_GROUPS && (!c->n_groups || dialect->supp_group));
    if (c->secctx_name.len) {
        MUST(dialect->security_ctx);
        must_be_terminated(b, &c->secctx_name);
        must_be_inside(b, c->secctx, c->secctx_len);
    }
    if (!(c->op->flags & OP_NO_REPLY))
        MUST(c->reply_room >= 16u + c->op->reply_min);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t rooms[] = {0, 15, 16, 24, 80, 160, 304, 4096, 1u << 20};
    struct fuse_dialect dialect = {.minor = 36, .max_write = 4096};
    struct fuse_in_header head;
    struct fuse_call *c;
    struct bounds b;
    uint64_t total;
    int64_t len;
    char *copy;

    if (size < 4 + sizeof(head))
        return 0;
    dialect.setxattr_ext = data[0] & 1;
    dialect.security_ctx = data[0] & 2;
    dialect.supp_group = data[0] & 4;
    memcpy(&head, data + 4, sizeof(head));
    total = size - 4 + data[2] + 256u * data[3];
    len = fuse_copy_len(&head, total);
    MUST(len >= 40 && len <= FUSE_COPY_MAX);
    if ((size_t)len > size - 4) {
        total = size - 4;
        len = fuse_copy_len(&head, total);
    }
    copy = malloc((size_t)len);
    c = malloc(sizeof(*c));
    MUST(copy && c);
    memcpy(copy, data + 4, (size_t)len);
    b.from = copy;
    b.to = copy + len;
    memset(c, 0xa5, sizeof(*c));
    if (fuse_decode(c, &dialect, copy, (size_t)len, total,
                    rooms[data[1] % (sizeof(rooms) / sizeof(rooms[0]))]) == 0)
        check_accepted(c, &dialect, &b, total);
    free(c);
    free(copy);
    return 0;
}
