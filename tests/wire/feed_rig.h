// SPDX-License-Identifier: BSD-3-Clause
/*
 * feed_rig.h - a guest that listens for changes, for the tests of the feed
 *
 * Theory of operation
 *
 *   One EVENTS request is out all the time. What it brings is kept as text, a line a record: "ADDED sub/f",
 *   with the path from the root of the share where the node's own path is known (rig_name()).
 *
 *   No test waits for a time to pass to learn that nothing comes: the host makes one more change, a fence, and
 *   whatever was to be told of earlier ones is there when the fence is.
 */
#ifndef VIOFS_TESTS_FEED_RIG_H
#define VIOFS_TESTS_FEED_RIG_H

#include "tests/wire/wire.h"

#define FEED_TEXT 262144u /* what is older goes when half of it is full */

struct feed_rig {
    struct wire *w;
    struct fe_req events;
    uint64_t unique;
    bool out; /* EVENTS is on the ring */
    unsigned fences;
    struct {
        uint64_t node;
        const char *path;
    } name[16];
    unsigned n_names;
    char text[FEED_TEXT]; /* records since the last feed_take() */
    size_t len;
    const char *waits_for; /* for a message */
    uint64_t records;      /* ever */
    uint32_t last_flags;
    struct fe_req watch;
    uint64_t watch_unique;
};

/** feed_up() - daemon with options, PROBE for the feed, root looked at, EVENTS out. NULL ends the options. */
#define feed_up(...)                                                                               \
    feed_start(&(struct wire_options){.args = (const char *const[]){__VA_ARGS__, NULL}})
struct feed_rig *feed_start(const struct wire_options *o);
/** feed_backend() - the --watch option of this run ($VIOFS_TEST_WATCH) */
const char *feed_backend(void);
/** feed_probe() - Return: the features that were agreed */
uint32_t feed_probe(struct wire *w, uint32_t wanted);

/** feed_send() - put EVENTS on the ring again */
void feed_send(struct feed_rig *r, uint32_t room);
/** feed_wait() - for EVENTS' answer. Return: payload bytes or -errno */
ssize_t feed_wait(struct feed_rig *r);
/** feed_poll() - has it been answered? */
bool feed_poll(struct feed_rig *r);
/** feed_changes() - all that has been told up to now, once; the fence is made in the root */
const char *feed_changes(struct feed_rig *r);
/** feed_next() - wait for one reply and add what it brings */
void feed_next(struct feed_rig *r);
/** feed_until() - wait for records until one line is @line */
void feed_until(struct feed_rig *r, const char *line);

/** feed_look() - LOOKUP by the extension; looks into the parent. Return: the entry */
struct fuse_entry_out feed_lookup(struct feed_rig *r, uint64_t parent, const char *name);
/** feed_enter() - look up @name and look into it, so that it is covered. Return: its node */
uint64_t feed_enter(struct feed_rig *r, uint64_t parent, const char *name, const char *path);

/** feed_watch() - WATCH and wait. Return: flags or -errno */
int feed_watch(struct feed_rig *r, uint64_t node, uint64_t number, uint32_t age_ms);
int feed_unwatch(struct feed_rig *r, uint64_t number);

#endif
