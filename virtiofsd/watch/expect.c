// SPDX-License-Identifier: BSD-3-Clause
/*
 * expect.c - which events are of the daemon's own making, where the kernel does not say (inotify)
 *
 * Theory of operation
 *
 *   inotify tells that a file was changed, and not by whom. What the guest does through this daemon must not
 *   come back to it as news; what a process of the host does must, also when both change one file at the same
 *   moment. When in doubt, it is told.
 *
 *   Events of one inotify descriptor form a stream: bytes in the order in which things happened. A position in
 *   it is what has been read so far and what waits to be read (FIONREAD). Before a request changes something it
 *   says which events it may raise, and notes the position; when it has finished, its events are in
 *   the stream, for the kernel queues them before the system call returns, and the position is noted again. An
 *   event is ours if it lies between the two positions of a request that may raise it, and no request
 *   accounts for more events than it raises: each kind once. When the stream has been read up to the
 *   second position the request is forgotten, whether its events came or not.
 *
 *   The trap is merging. The kernel drops an event that equals the last one in the queue: the host writes to a
 *   file just after the guest did, and there is one MODIFY for both, at the guest's position. So a request
 *   that may raise MODIFY or ATTRIB puts another event behind its own before it notes the second position
 *   (inotify.c: a mark, a change of mode of a private memory file that is watched by the same descriptor). The
 *   host's event then finds a mark before it, and is an event of its own, past our end. When the host's came
 *   first and ours is merged into it, the event lies before our beginning, and is told.
 *
 *   What remains is the host changing the same file while our system call runs: those two are one event, and
 *   it is told if the counts do not match, and else not. fanotify, which names the process, has no such gap,
 *   and is used where it can be.
 *
 *   A request that fails after an event was taken for its own (somebody of the host made the name first)
 *   hands the event back: expect_end() says what is to be told.
 *
 *   Names are compared by a hash of 64 bits; one that is equal by chance or by design hides an event of
 *   a directory that the guest changes itself.
 *
 * Ownership: an expectation is the caller's until expect_end(), then the table's. Locks: none; the caller's.
 */
#include <errno.h>
#include <stdlib.h>

#include "watch/expect.h"

#define BUCKETS 1024u

struct expected {
    struct expected *chain;
    struct expected *next; /* of those that have ended, by their end */
    uint64_t hash;
    uint64_t from, to;
    unsigned kinds; /* that may still come */
    unsigned used;
};

struct expects {
    struct expected *bucket[BUCKETS];
    struct expected *ended, **last;
    uint64_t read; /* position up to which all is known */
    uint32_t n;
};

int expects_new(struct expects **out)
{
    struct expects *xs = calloc(1, sizeof(*xs));

    if (!xs)
        return -ENOMEM;
    xs->last = &xs->ended;
    *out = xs;
    return 0;
}

static uint64_t hash_of(uint64_t dir, const char *name, size_t len)
{
    uint64_t x = 0xcbf29ce484222325u ^ (dir * 0x9e3779b97f4a7c15u);

    for (size_t i = 0; i < len; i++)
        x = (x ^ (uint8_t)name[i]) * 0x100000001b3u;
    return x ^ (x >> 31);
}

static void forget(struct expects *xs, struct expected *e)
{
    struct expected **p = &xs->bucket[e->hash % BUCKETS];

    while (*p != e)
        p = &(*p)->chain;
    *p = e->chain;
    xs->n--;
    free(e);
}

static void drop_ended(struct expects *xs, uint64_t at)
{
    while (xs->ended && xs->ended->to <= at) {
        struct expected *e = xs->ended;
        xs->ended = e->next;
        if (!xs->ended)
            xs->last = &xs->ended;
        forget(xs, e);
    }
}

void expects_free(struct expects *xs)
{
    if (!xs)
        return;
    expect_clear(xs);
    free(xs);
}

struct expected *expect_begin(struct expects *xs, uint64_t dir, const char *name, size_t len,
                              unsigned kinds, uint64_t from)
{
    struct expected *e = malloc(sizeof(*e));

    if (!e)
        return NULL;
    *e = (struct expected){
        .hash = hash_of(dir, name, len), .from = from, .to = UINT64_MAX, .kinds = kinds};
    e->chain = xs->bucket[e->hash % BUCKETS];
    xs->bucket[e->hash % BUCKETS] = e;
    xs->n++;
    return e;
}

unsigned expect_end(struct expects *xs, struct expected *e, uint64_t to, unsigned done)
{
    unsigned tell = e->used & ~done;

    e->kinds &= done;
    if (e->kinds == 0 || xs->read >= to) {
        forget(xs, e);
        return tell;
    }
    /* Ends come in order: positions only grow. */
    e->to = to;
    *xs->last = e;
    xs->last = &e->next;
    return tell;
}

bool expect_ours(struct expects *xs, uint64_t dir, const char *name, size_t len, unsigned kinds,
                 uint64_t at)
{
    if (xs->n == 0)
        return false;
    uint64_t hash = hash_of(dir, name, len);
    for (struct expected *e = xs->bucket[hash % BUCKETS]; e; e = e->chain) {
        if (e->hash == hash && e->from <= at && at < e->to && (e->kinds & kinds) == kinds) {
            e->kinds &= ~kinds;
            e->used |= kinds;
            return true;
        }
    }
    return false;
}

void expect_read(struct expects *xs, uint64_t at)
{
    xs->read = at;
    drop_ended(xs, at);
}

void expect_clear(struct expects *xs)
{
    drop_ended(xs, UINT64_MAX);
}

uint32_t expect_count(const struct expects *xs)
{
    return xs->n;
}
