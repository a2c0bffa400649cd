// SPDX-License-Identifier: BSD-3-Clause
/*
 * server_guest.h - what fuzz_server's guest knows, and how it makes requests of that
 */
#ifndef VIOFS_TESTS_SERVER_GUEST_H
#define VIOFS_TESTS_SERVER_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/fuzz/server_script.h"

#define GUEST_NODES   256u
#define GUEST_FILES   64u
#define GUEST_REQUEST (160u * 1024u) /* bytes, more than the server copies */

struct node {
    uint64_t id, lookups;
};
struct file {
    uint64_t fh, nodeid;
    bool dir;
};

/* What one input has learnt. */
struct guest {
    uint64_t unique; /* of the last request */
    struct node node[GUEST_NODES];
    struct file file[GUEST_FILES];
    unsigned n_nodes, n_files;
    bool lost;  /* more than fits the tables */
    bool locks; /* the server may know lock owners, who go with a FLUSH each */
};

/* What a reply is matched with. */
struct asked {
    uint32_t opcode;
    uint64_t unique, nodeid;
    bool restarts; /* INIT, of a major that is served */
};

/* A request being written; what does not fit is left out. */
struct writer {
    size_t len;
    uint8_t buf[GUEST_REQUEST];
};
void writer_put(struct writer *w, const void *p, size_t n);

/**
 * guest_request() - write the request of @s
 * @setxattr_ext: which of two structs SETXATTR has in this session
 * Return: bytes of room for the reply.
 */
uint32_t guest_request(struct guest *g, const struct step *s, bool setxattr_ext, struct writer *w);

/** guest_asks() - take note of a request that is about to be sent */
struct asked guest_asks(struct guest *g, const struct writer *w);

/** guest_learn() - check the payload of a successful reply and take note of what it gave */
void guest_learn(struct guest *g, const struct asked *q, const uint8_t *payload, size_t len);
/** guest_session_gone() - handles and lookups are no more; their numbers may still be tried */
void guest_session_gone(struct guest *g);

#endif
