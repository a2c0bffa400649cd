// SPDX-License-Identifier: BSD-3-Clause
/*
 * dirty.h - the dirty-page log of a migration
 */
#ifndef VIOFS_VHOST_DIRTY_H
#define VIOFS_VHOST_DIRTY_H

#include <stdatomic.h>
#include <stdint.h>

#include "abi/vhost_user.h"
#include "vhost/memory.h"

/* One bit for each 4 KiB of guest memory, shared with the front end. Protected as struct mem is. */
struct dirty {
    uint8_t *bits; /* NULL: no log */
    size_t len;
    void *map;
    size_t map_len;
    unsigned guard;
    atomic_bool lost; /* the log was truncated: marks go nowhere */
};

/** dirty_open() - map the log that @fd holds, in place of an earlier one; @fd is not taken over */
int dirty_open(struct dirty *d, const struct vu_log *log, int fd);
void dirty_close(struct dirty *d);

/** dirty_mark() - guest memory @gpa, @len bytes, was written; beyond the log: ignored */
void dirty_mark(struct dirty *d, uint64_t gpa, uint64_t len);

/** dirty_mark_host() - the same for a run of host addresses in guest memory */
void dirty_mark_host(struct dirty *d, const struct mem *m, const void *host, uint64_t len);

#endif
