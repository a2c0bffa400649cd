// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse_client_internal.h - what the two files of the FUSE client share
 */
#ifndef VIOFS_TESTS_FUSE_CLIENT_INTERNAL_H
#define VIOFS_TESTS_FUSE_CLIENT_INTERNAL_H

#include "tests/frontend/fuse_client.h"

/* One request: what is sent and what room there is for the answer. */
struct fc_shape {
    uint32_t opcode;
    uint64_t node;
    const struct fc_part *parts;
    unsigned n_parts;
    uint32_t room;     /* reply payload in the request's own buffer */
    uint32_t out_data; /* bytes of c->data that follow the request */
    uint32_t in_data;  /* bytes of c->data for the reply's payload */
};

/** fc_transact() - send, wait, check. Return: payload bytes or -errno. */
ssize_t fc_transact(struct fc *c, const struct fc_shape *s);

/** fc_exact() - fc_call() with a reply of exactly @size bytes. Return: 0, -EPROTO, -errno. */
int fc_exact(struct fc *c, uint32_t opcode, uint64_t nodeid, const struct fc_part *parts,
             unsigned n_parts, void *reply, size_t size);

#endif
