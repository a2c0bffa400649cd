// SPDX-License-Identifier: BSD-3-Clause
/*
 * expect.h - which events are of the daemon's own making, where the kernel does not say (inotify)
 */
#ifndef VIOFS_WATCH_EXPECT_H
#define VIOFS_WATCH_EXPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct expects;
struct expected;

int expects_new(struct expects **xs);
void expects_free(struct expects *xs);

/**
 * expect_begin() - a change of ours begins
 * @dir:   any number that names the watched directory
 * @name:  @len bytes; 0: the directory itself
 * @kinds: WATCH_* bits, each of which it may raise once
 * @from:  position of the stream of events before it
 *
 * Return: to be given to expect_end(), or NULL without memory: the events will be told.
 */
struct expected *expect_begin(struct expects *xs, uint64_t dir, const char *name, size_t len,
                              unsigned kinds, uint64_t from);
/**
 * expect_end() - it is done: what comes at @to or later is not ours
 * @done: kinds that it may have raised after all; 0: it failed
 * Return: the other kinds that were taken for ours meanwhile, and are to be told now.
 */
unsigned expect_end(struct expects *xs, struct expected *e, uint64_t to, unsigned done);

/** expect_ours() - is the event of @kinds at position @at ours? Then it is used up. */
bool expect_ours(struct expects *xs, uint64_t dir, const char *name, size_t len, unsigned kinds,
                 uint64_t at);
/** expect_read() - all events before @at have been looked at */
void expect_read(struct expects *xs, uint64_t at);
/** expect_clear() - events were lost: forget those that have ended */
void expect_clear(struct expects *xs);
uint32_t expect_count(const struct expects *xs);

#endif
