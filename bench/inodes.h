// SPDX-License-Identifier: BSD-3-Clause
/*
 * inodes.h - what an inode costs that the guest never forgets
 */
#ifndef VIOFS_BENCH_INODES_H
#define VIOFS_BENCH_INODES_H

#include "bench/peer.h"

/**
 * measure_inodes() - make @n files in @share, look each up once, print an "inodes" line; then look some up again, and
 * print "again PEER n" with the daemon's and the bare host calls' ns of CPU for a lookup: daemon of few, of all; host likewise
 */
void measure_inodes(struct peer *p, const char *share, uint64_t n);

#endif
