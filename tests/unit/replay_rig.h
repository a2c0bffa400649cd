// SPDX-License-Identifier: BSD-3-Clause
/*
 * replay_rig.h - workers that end right before or right after a system call, and the next ones
 *
 * Both are forked children with a whole server in them; the system calls of the first are wrapped by the linker, so
 * that it can be killed at the one that matters. Memory that is kept is shared by keep_rig.h; there is no queue:
 * chains are handed to dispatch_serve() with a record of their own, as a worker thread would.
 */
#ifndef VIOFS_REPLAY_RIG_H
#define VIOFS_REPLAY_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/request.h"
#include "tests/unit/keep_rig.h"

/* System calls at which a worker may end. */
enum call {
    NO_CALL,
    MKDIR,
    MKNOD,
    SYMLINK,
    LINK,
    UNLINK,
    RENAME,
    OPEN,
    PWRITEV2,
    SETXATTR,
    REMOVEXATTR,
    FALLOCATE
};
enum moment { BEFORE, AFTER };

struct shared {
    struct vu_record record;
    uint64_t node, other, fh; /* what the first worker's guest has learned */
    int32_t error;            /* of the reply */
    _Alignas(8) uint8_t reply[1024];
};

/* A share, what is kept of its worker, and one chain. */
struct world {
    char dir[64];
    int fd;
    struct keep *keep;
    struct shared *s;
    struct server *srv;
    void *thread;
};

struct request {
    _Alignas(8) uint8_t bytes[2048];
    size_t len;
};

/* What a case is: what there is before, and the request. */
struct attempt {
    void (*prepare)(struct world *w);             /* on the host */
    void (*learn)(struct world *w);               /* in the first worker */
    struct request (*ask)(const struct world *w); /* in both */
    enum call call;
};

int world_open(void **state);
int world_close(void **state);
void start(struct world *w);
void put(struct request *r, const void *data, size_t len);
struct request request(uint32_t opcode, uint64_t node);
void put_text(struct request *r, const char *text);
void serve(struct world *w, struct request *r, struct vu_record *record);
const void *ask(struct world *w, struct request r);
void init(struct world *w);
uint64_t look_up(struct world *w, const char *name);
uint64_t open_node(struct world *w, uint64_t node, uint32_t flags);
int next_worker(struct world *w, const struct attempt *a);
void end_first(struct world *w, const struct attempt *a, enum moment moment);
int outcome(struct world *w, const struct attempt *a, enum moment moment);
void host_file(const struct world *w, const char *name, const char *text);
void has_text(const struct world *w, const char *name, const char *text);
bool exists(const struct world *w, const char *name);
void past_the_clock_tick(void);

#endif
