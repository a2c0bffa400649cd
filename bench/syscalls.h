// SPDX-License-Identifier: BSD-3-Clause
/*
 * syscalls.h - how many system calls a daemon makes for an operation
 */
#ifndef VIOFS_BENCH_SYSCALLS_H
#define VIOFS_BENCH_SYSCALLS_H

#include "bench/workload.h"

/**
 * count_syscalls() - run about @want operations with strace on all threads of the daemon
 * Not for timing: strace slows every call. Return: 0 with *@ops and *@calls; -ENOENT without strace.
 */
int count_syscalls(struct peer *p, const struct workload *w, unsigned want, int64_t *ops,
                   int64_t *calls);

#endif
