// SPDX-License-Identifier: BSD-3-Clause
/*
 * guard.h - survive guest memory that is taken away
 */
#ifndef VIOFS_VHOST_GUARD_H
#define VIOFS_VHOST_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/** guard_install() - make ours the SIGBUS handler of the process, if it is not. Return: 0 or -errno. */
int guard_install(void);

/**
 * guard_add() - watch a mapping of a file that somebody else may truncate
 * @map, @len: the mapping, whole pages
 * @page:      granularity at which it can be replaced: the huge page size of hugetlbfs, else 4096
 * @lost:      set to true by the handler when a page was replaced by zeros
 * @slot:      for guard_drop()
 *
 * The mapping and @lost must stay until guard_drop(). Return: 0, or -ENOSPC when the table is full.
 */
int guard_add(void *map, size_t len, size_t page, atomic_bool *lost, unsigned *slot);

/** guard_drop() - stop watching; no thread may be using the mapping */
void guard_drop(unsigned slot);

#endif
