// SPDX-License-Identifier: BSD-3-Clause
/*
 * dirty.c - the dirty-page log of a migration
 *
 * Theory of operation
 *
 *   While the front end migrates the guest, each page that the device writes is marked in a bitmap in
 *   shared memory, after the write and before the used index says so. The front end clears bits while
 *   we set them, so each byte is changed with an atomic OR.
 *
 * Source: vhost-user specification, "Migration". Locks: none, see device.h.
 *
 * syscalls: mmap munmap
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "host/log.h"
#include "vhost/dirty.h"
#include "vhost/guard.h"

/** dirty_open() - see dirty.h. Return: 0, -EINVAL for an impossible size, -errno of mmap. */
int dirty_open(struct dirty *d, const struct vu_log *log, int fd)
{
    if (log->mmap_size == 0 || log->mmap_size > INT64_MAX / 2 || log->mmap_offset > INT64_MAX / 2)
        return -EINVAL;
    uint64_t lead = log->mmap_offset & (VU_LOG_PAGE - 1);
    size_t map_len = (log->mmap_size + lead + VU_LOG_PAGE - 1) & ~(size_t)(VU_LOG_PAGE - 1);
    void *map = mmap(NULL, map_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                     (off_t)(log->mmap_offset - lead));
    if (map == MAP_FAILED) {
        int err = -errno;
        log_error("cannot map the dirty-page log, %#llx bytes: %s",
                  (unsigned long long)log->mmap_size, strerror(-err));
        return err;
    }
    unsigned guard;
    int err = guard_add(map, map_len, VU_LOG_PAGE, &d->lost, &guard);
    if (err < 0) {
        munmap(map, map_len);
        return err;
    }
    dirty_close(d);
    d->bits = (uint8_t *)map + lead;
    d->len = log->mmap_size;
    d->map = map;
    d->map_len = map_len;
    d->guard = guard;
    return 0;
}

/** dirty_close() - unmap the log; without one, nothing */
void dirty_close(struct dirty *d)
{
    if (!d->bits)
        return;
    guard_drop(d->guard);
    munmap(d->map, d->map_len);
    d->bits = NULL;
    d->len = 0;
}

/** dirty_mark() - see dirty.h */
void dirty_mark(struct dirty *d, uint64_t gpa, uint64_t len)
{
    if (len == 0)
        return;
    uint64_t page = gpa / VU_LOG_PAGE, last = (gpa + (len - 1)) / VU_LOG_PAGE;

    while (page <= last && page / 8 < d->len) {
        uint8_t bits = 0;
        uint8_t *at = &d->bits[page / 8];
        do {
            bits |= (uint8_t)(1u << (page % 8));
            page++;
        } while (page <= last && page % 8 != 0);
        __atomic_fetch_or(at, bits, __ATOMIC_RELEASE);
    }
}

/** dirty_mark_host() - see dirty.h */
void dirty_mark_host(struct dirty *d, const struct mem *m, const void *host, uint64_t len)
{
    while (len > 0) {
        uint64_t gpa, part = len;
        if (!mem_to_gpa(m, host, &gpa, &part))
            return;
        dirty_mark(d, gpa, part);
        host = (const uint8_t *)host + part;
        len -= part;
    }
}
