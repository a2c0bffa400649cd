// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse_request.h - build FUSE requests for tests, well-formed or not
 *
 * A request is written piece by piece into one exact-size heap copy, so that ASan sees a read of one
 * byte too many. Decoding goes through fuse_copy_len() as the daemon does.
 */
#ifndef TEST_FUSE_REQUEST_H
#define TEST_FUSE_REQUEST_H

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fuse/fuse_call.h"

struct request {
    struct fuse_dialect dialect;
    struct fuse_call call;
    uint64_t room; /* for the reply */
    size_t len;
    void *copy; /* what was decoded; the call points into it */
    _Alignas(8) char bytes[256 * 1024];
};

static inline void put(struct request *r, const void *data, size_t len)
{
    assert(len <= sizeof(r->bytes) - r->len);
    memcpy(r->bytes + r->len, data, len);
    r->len += len;
}

static inline void put_zeros(struct request *r, size_t len)
{
    assert(len <= sizeof(r->bytes) - r->len);
    memset(r->bytes + r->len, 0, len);
    r->len += len;
}

static inline void put_text(struct request *r, const char *text)
{
    put(r, text, strlen(text) + 1);
}

static inline void put_run(struct request *r, char c, size_t len)
{
    assert(len < sizeof(r->bytes) - r->len);
    memset(r->bytes + r->len, c, len);
    r->bytes[r->len + len] = '\0';
    r->len += len + 1;
}

static inline struct fuse_in_header *head(struct request *r)
{
    return (struct fuse_in_header *)r->bytes;
}

/* Start a request: a header, and a modern client with plenty of room. */
static inline struct request *request(uint32_t opcode)
{
    struct fuse_in_header in = {.opcode = opcode, .unique = 7, .nodeid = 1};
    struct request *r = calloc(1, sizeof(*r));

    assert(r);
    r->dialect = (struct fuse_dialect){.minor = FUSE_OUR_MINOR, .max_write = 1u << 20};
    r->room = 1u << 20;
    put(r, &in, sizeof(in));
    return r;
}

/* Decode what was put, @offered bytes of it, with a header that says @says. */
static inline int decode_as(struct request *r, uint32_t says, size_t offered)
{
    int64_t n;

    head(r)->len = says;
    n = fuse_copy_len(head(r), offered);
    if (n < 0)
        return (int)n;
    free(r->copy);
    r->copy = malloc((size_t)n);
    assert(r->copy && (size_t)n <= sizeof(r->bytes));
    memcpy(r->copy, r->bytes, (size_t)n);
    memset(&r->call, 0xa5, sizeof(r->call));
    return fuse_decode(&r->call, &r->dialect, r->copy, (size_t)n, offered, r->room);
}

static inline int decode(struct request *r)
{
    return decode_as(r, (uint32_t)r->len, r->len);
}

static inline void done(struct request *r)
{
    free(r->copy);
    free(r);
}

#endif
