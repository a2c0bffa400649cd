// SPDX-License-Identifier: BSD-3-Clause
/*
 * stats_int.h - shared by stats.c (counting, serving) and stats_text.c (printing)
 */
#ifndef VIOFS_STATS_INT_H
#define VIOFS_STATS_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/fuse/fuse_call.h"

/* Buckets of times: at most 2^10 ns (about 1 us), 2^11, ... 2^34 (about 17 s), longer. */
#define STATS_FIRST_LOG2 10
#define STATS_BUCKETS    26
#define STATS_ERRNOS     134 /* Linux has 1..133; 0 counts whatever else comes */
#define STATS_MAX_GAUGES 48

struct stats_sum {
    uint64_t bucket[FUSE_N_OPS][STATS_BUCKETS];
    uint64_t ns[FUSE_N_OPS];
    uint64_t errors[FUSE_N_OPS][STATS_ERRNOS];
};

struct stats_gauge {
    const char *name, *help;
    uint64_t (*read)(void *ctx);
    void *ctx;
    bool seconds; /* a counter, read in ns */
};

struct stats;

/* What is shown of a share. */
struct stats_source {
    const struct stats *stats;
    const char *label; /* NULL: the only one */
    const struct stats_gauge *gauge;
    unsigned n_gauges;
};

/** stats_print() - write everything as Prometheus text; callbacks of gauges are called
 *  @sum: of one share's counters, valid until the next call */
void stats_print(FILE *f, const struct stats_source *source, unsigned n,
                 const struct stats_sum *(*sum)(void *ctx, const struct stats *stats), void *ctx);

#endif
