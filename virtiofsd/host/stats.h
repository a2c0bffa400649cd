// SPDX-License-Identifier: BSD-3-Clause
/*
 * stats.h - counters, kept only when --stats-socket asks for them
 *
 * Each thread counts in its own block (no shared cache line on the hot path); a reader sums the blocks.
 * stats_serve() starts a thread that answers each connection on the UNIX socket with Prometheus text
 * and closes it; a connection that begins with "GET " gets an HTTP/1.0 header first.
 *
 * Locks: a mutex guards the list of blocks and gauges; counters are relaxed atomics.
 */
#ifndef VIOFS_STATS_H
#define VIOFS_STATS_H

#include <stdbool.h>
#include <stdint.h>

struct stats;
struct stats_block;

/** stats_new() - bind @socket_path (before the sandbox closes); NULL: stats_adopt() follows. Return: 0 or -errno. */
int stats_new(struct stats **stats, const char *socket_path);
/** stats_listen() - only bind @socket_path. Return: the socket or -errno. */
int stats_listen(const char *socket_path);
/** stats_adopt() - answer on this listening socket, taken over; before stats_serve() */
void stats_adopt(struct stats *stats, int listen_fd);
/**
 * stats_share() - counters of one of several shares, shown with the label share="@name"
 * @name: letters, digits, '.', '_' and '-'; lives as long as @process, which frees what is made here
 * Before stats_serve(@process). Return: 0 or -ENOMEM.
 */
int stats_share(struct stats **stats, struct stats *process, const char *name);
/**
 * stats_gauge() - register a value read at scrape time; before stats_serve()
 * @name: begins with "virtiofsd_"; @name and @help live as long as @stats
 * @read: called on the stats thread, with no lock held
 * Return: 0, or -ENOSPC when there is no room for another one.
 */
int stats_gauge(struct stats *stats, const char *name, const char *help,
                uint64_t (*read)(void *ctx), void *ctx);
/** stats_seconds() - the same for a total of time: @read is in ns, and never falls */
int stats_seconds(struct stats *stats, const char *name, const char *help,
                  uint64_t (*read)(void *ctx), void *ctx);
/** stats_serve() - start answering (after the sandbox and seccomp are up). Return: 0 or -errno. */
int stats_serve(struct stats *stats);
/** stats_stop() - stop answering; before anything goes that a gauge reads */
void stats_stop(struct stats *stats);
/** stats_free() - once no thread counts any more; NULL does nothing */
void stats_free(struct stats *stats);

/**
 * stats_block_new() - a thread's counters; stats_block_done() folds them into the total
 *
 * Return: NULL when @stats is NULL or memory is out: the thread then counts nothing, which
 * stats_count() and stats_block_done() understand.
 */
struct stats_block *stats_block_new(struct stats *stats);
void stats_block_done(struct stats *stats, struct stats_block *block);
/**
 * stats_block_take() - as stats_block_new(), but one that was given back, if there is one
 * stats_block_give() - another thread may take it; what was counted stays
 */
struct stats_block *stats_block_take(struct stats *stats);
void stats_block_give(struct stats *stats, struct stats_block *block);
/** stats_count() - one request. @op_index: fuse_op.index; @err: 0 or negative errno; @ns: service time */
void stats_count(struct stats_block *block, unsigned op_index, int err, uint64_t ns);

#endif
