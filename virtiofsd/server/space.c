// SPDX-License-Identifier: BSD-3-Clause
/*
 * space.c - how much room a share has
 *
 * Theory of operation
 *
 *   ext4 and XFS answer statfs of a directory that passes its project on (PROJINHERIT) with the project's limits
 *   and what is left of them, and of a file with the whole file system. A guest may ask of any file, so the
 *   directory's answer counts. Kernels before 6.13 leave it at that and tell more than the file system has left
 *   when it is overcommitted: the file system's own numbers bound it.
 *
 *   That file is one without a name, held open: the kernel applies project quotas to statfs of directories only.
 *
 * Ownership: space_open() makes whole_fd, space_close() closes it.   Locks: none; constant in between.
 * syscalls: openat fstatfs close
 */
#include "server/space.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static bool same_file_system(const struct statfs *a, const struct statfs *b)
{
    return a->f_type == b->f_type && memcmp(&a->f_fsid, &b->f_fsid, sizeof(a->f_fsid)) == 0;
}

#define AT_MOST(value, limit) ((value) = (value) > (limit) ? (limit) : (value))

void space_narrow(struct statfs *s, const struct statfs *share, const struct statfs *whole)
{
    if (!same_file_system(s, share))
        return;
    if (share->f_blocks <
        s->f_blocks) { /* a directory below may have a limit of its own, and a tighter one */
        s->f_blocks = share->f_blocks;
        s->f_bfree = share->f_bfree;
        s->f_bavail = share->f_bavail;
    }
    if (share->f_files < s->f_files) {
        s->f_files = share->f_files;
        s->f_ffree = share->f_ffree;
    }
    if (!whole || !same_file_system(s, whole))
        return;
    AT_MOST(s->f_bfree, whole->f_bfree);
    AT_MOST(s->f_bavail, whole->f_bavail);
    AT_MOST(s->f_ffree, whole->f_ffree);
}

void space_open(struct space *sp, const struct conf *conf, int root_fd)
{
    *sp = (struct space){.conf = conf, .root_fd = root_fd, .whole_fd = -1};
    /* Without it (the limit is reached already, say) the quota's numbers have to do. */
    if ((conf->limit_bytes || conf->limit_inodes) && !conf->readonly)
        sp->whole_fd = openat(root_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

void space_close(struct space *sp)
{
    if (sp->whole_fd >= 0)
        close(sp->whole_fd);
    sp->whole_fd = -1;
}

void space_of(const struct space *sp, struct statfs *s)
{
    struct statfs share, whole;

    if (fstatfs(sp->root_fd, &share) < 0)
        return;
    bool has_whole = sp->whole_fd >= 0 && fstatfs(sp->whole_fd, &whole) == 0;
    space_narrow(s, &share, has_whole ? &whole : NULL);
}

/* ---- statistics ------------------------------------------------------------------------------ */

static uint64_t limit_of_bytes(void *ctx)
{
    return (uint64_t)((struct space *)ctx)->conf->limit_bytes;
}

static uint64_t limit_of_inodes(void *ctx)
{
    return (uint64_t)((struct space *)ctx)->conf->limit_inodes;
}

static uint64_t free_bytes(void *ctx)
{
    const struct space *sp = ctx;
    struct statfs s;

    if (fstatfs(sp->root_fd, &s) < 0)
        return 0;
    space_of(sp, &s);
    return (uint64_t)s.f_bavail * (uint64_t)(s.f_frsize ? s.f_frsize : s.f_bsize);
}

static uint64_t free_inodes(void *ctx)
{
    const struct space *sp = ctx;
    struct statfs s;

    if (fstatfs(sp->root_fd, &s) < 0)
        return 0;
    space_of(sp, &s);
    return s.f_ffree;
}

int space_gauges(struct space *sp, struct stats *stats)
{
    int r = 0;

    if (sp->conf->limit_bytes)
        r = stats_gauge(stats, "virtiofsd_limit_bytes", "Bytes that the share may use",
                        limit_of_bytes, sp);
    if (r == 0 && sp->conf->limit_bytes)
        r = stats_gauge(stats, "virtiofsd_limit_bytes_free",
                        "Bytes that it may use yet, and that there are", free_bytes, sp);
    if (r == 0 && sp->conf->limit_inodes)
        r = stats_gauge(stats, "virtiofsd_limit_inodes", "Inodes that the share may have",
                        limit_of_inodes, sp);
    if (r == 0 && sp->conf->limit_inodes)
        r = stats_gauge(stats, "virtiofsd_limit_inodes_free",
                        "Inodes that it may have yet, and that there are", free_inodes, sp);
    return r;
}
