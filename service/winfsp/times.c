// SPDX-License-Identifier: BSD-3-Clause
/*
 * times.c - Windows' times, sizes and reparse tags from Linux' and back
 *
 * Ownership, locks: none. Portable: no call into any system.
 */
#include "service/winfsp/times.h"

/* Between 1601-01-01 and 1970-01-01: 369 years with 89 leap days. */
#define EPOCH_SECONDS    11644473600
#define UNITS_PER_SECOND 10000000
#define ALLOCATION_UNIT  4096

/**
 * svc_time_from_host() - a time of the host, cut down to 100 ns
 *
 * Times before 1601 become the first moment of it, times past what fits in 63 bits the last.
 */
uint64_t svc_time_from_host(struct cli_time t)
{
    const int64_t last = INT64_MAX / UNITS_PER_SECOND - 1;

    if (t.sec <= -EPOCH_SECONDS)
        return 1;
    if (t.sec >= last - EPOCH_SECONDS)
        return INT64_MAX;
    return (uint64_t)(t.sec + EPOCH_SECONDS) * UNITS_PER_SECOND + t.nsec / 100 % UNITS_PER_SECOND;
}

struct cli_time svc_time_to_host(uint64_t t)
{
    struct cli_time out = {.sec = (int64_t)(t / UNITS_PER_SECOND) - EPOCH_SECONDS,
                           .nsec = (uint32_t)(t % UNITS_PER_SECOND) * 100};

    return out;
}

bool svc_time_is_given(uint64_t t)
{
    return t != 0 && t <= INT64_MAX;
}

/** svc_reparse_tag() - of what is neither file nor directory, else 0 */
uint32_t svc_reparse_tag(uint32_t mode)
{
    switch (mode & SVC_IFMT) {
    case SVC_IFLNK:
        return SVC_TAG_SYMLINK;
    case SVC_IFSOCK:
        return SVC_TAG_AF_UNIX;
    case SVC_IFIFO:
        return SVC_TAG_LX_FIFO;
    case SVC_IFCHR:
        return SVC_TAG_LX_CHR;
    case SVC_IFBLK:
        return SVC_TAG_LX_BLK;
    default:
        return 0;
    }
}

/**
 * svc_allocation() - bytes that Windows takes for allocated
 *
 * At least the size: only files that are marked as sparse may have less, and ours are not.
 */
uint64_t svc_allocation(const struct cli_attr *a)
{
    uint64_t bytes = a->blocks > UINT64_MAX / 1024 ? 0 : a->blocks * 512;

    if ((a->mode & SVC_IFMT) != SVC_IFREG)
        return 0;
    if (bytes < a->size)
        bytes = a->size;
    if (bytes > INT64_MAX - ALLOCATION_UNIT)
        return INT64_MAX - ALLOCATION_UNIT + 1;
    return (bytes + ALLOCATION_UNIT - 1) / ALLOCATION_UNIT * ALLOCATION_UNIT;
}
