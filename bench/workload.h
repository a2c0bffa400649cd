// SPDX-License-Identifier: BSD-3-Clause
/*
 * workload.h - what is measured, as a table
 */
#ifndef VIOFS_BENCH_WORKLOAD_H
#define VIOFS_BENCH_WORKLOAD_H

#include "bench/peer.h"

struct workload {
    const char *name;
    const char *unit; /* what one operation is */

    /* Do some of it. Return: operations done, or -errno. */
    int64_t (*step)(struct peer *p);
    int64_t (*host)(struct peer *p); /* the same with bare system calls */

    /* Measured: take back what is in flight. Return: operations done, or -errno. May be NULL. */
    int64_t (*finish)(struct peer *p);

    /* Not measured: every @tidy_every operations and at the end, give lookups back. */
    uint32_t tidy_every;
};

/** workload_at() - by number, NULL past the last */
const struct workload *workload_at(unsigned i);

/* workload_data.c */
int64_t step_read4k_1(struct peer *p);
int64_t step_write4k_1(struct peer *p);
int64_t step_read4k_32(struct peer *p);
int64_t step_write4k_32(struct peer *p);
int64_t finish_flights(struct peer *p);
int64_t step_read1m(struct peer *p);
int64_t step_write1m(struct peer *p);
int64_t host_read4k(struct peer *p);
int64_t host_write4k(struct peer *p);
int64_t host_read1m(struct peer *p);
int64_t host_write1m(struct peer *p);

#endif
