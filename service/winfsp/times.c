// SPDX-License-Identifier: BSD-3-Clause
/*
 * times.c - Windows' times and file attributes from Linux' and back
 *
 * Theory of operation
 *
 *   Of the attributes only READONLY has a home in a Linux mode: no write bit at all. Setting it takes the
 *   write bits away, clearing it gives the owner's back; no other bit is ever touched, so programs stay
 *   executable and set-id bits stay. A directory never shows READONLY: on Windows it would forbid new files
 *   in WinFsp's access check, which is not what the attribute means there, and the security descriptor
 *   already tells who may write.
 *
 *   HIDDEN, SYSTEM and ARCHIVE are taken from what the host stores, where it stores them.
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
 * svc_attributes() - FILE_ATTRIBUTE_* of a file of the host
 * @stored:            DOS attributes that the host keeps, or 0
 * @hidden:            a dot file, where those are to be hidden
 * @link_to_directory: a symbolic link whose target is a directory
 */
uint32_t svc_attributes(uint32_t mode, uint32_t stored, bool hidden, bool link_to_directory)
{
    uint32_t type = mode & SVC_IFMT;
    uint32_t out = stored & (SVC_ATTRIBUTE_HIDDEN | SVC_ATTRIBUTE_SYSTEM | SVC_ATTRIBUTE_ARCHIVE);

    if (hidden)
        out |= SVC_ATTRIBUTE_HIDDEN;
    if (type == SVC_IFDIR)
        return out | SVC_ATTRIBUTE_DIRECTORY;
    if (svc_reparse_tag(mode) != 0) {
        out |= SVC_ATTRIBUTE_REPARSE_POINT;
        return link_to_directory ? out | SVC_ATTRIBUTE_DIRECTORY : out;
    }
    if (stored == 0)
        out |= SVC_ATTRIBUTE_ARCHIVE;
    if ((mode & 0222) == 0)
        out |= SVC_ATTRIBUTE_READONLY;
    return out;
}

/** svc_mode_with_attributes() - the permission bits of a file after its attributes were set */
uint32_t svc_mode_with_attributes(uint32_t mode, uint32_t attributes)
{
    bool read_only = (attributes & SVC_ATTRIBUTE_READONLY) != 0;

    if ((mode & SVC_IFMT) != SVC_IFREG || read_only == ((mode & 0222) == 0))
        return mode & 07777;
    return read_only ? mode & 07777 & ~0222u : (mode & 07777) | 0200;
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
