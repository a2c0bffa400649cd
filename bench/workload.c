// SPDX-License-Identifier: BSD-3-Clause
/*
 * workload.c - what is measured: the table, and the work on names and attributes
 *
 * One step function an operation, and beside it the bare system calls that any daemon would have to
 * make at least, which is the limit. Data is in workload_data.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/workload.h"

#define LIST_BYTES 32768u /* of one READDIRPLUS reply */
#define NEVER      UINT32_MAX

/* ---- lookups --------------------------------------------------------------------------------- */

static void known_name(struct peer *p, char *name)
{
    snprintf(name, 32, "k%05u", (unsigned)(p->turn++ % N_KNOWN));
}

/* Names of many/ in an order that no directory has: 7919 is prime to N_MANY. */
static void many_name(struct peer *p, char *name)
{
    snprintf(name, 32, "m%05u", (unsigned)(p->turn++ * 7919 % N_MANY));
}

static int64_t step_lookup_known(struct peer *p)
{
    struct fuse_entry_out e;
    char name[32];
    int err;

    known_name(p, name);
    err = fc_lookup(&p->c, p->known_dir, name, &e);
    if (err == 0)
        err = peer_owe(p, e.nodeid);
    return err ? err : 1;
}

static int64_t step_lookup_new(struct peer *p)
{
    struct fuse_entry_out e;
    char name[32];
    int err;

    many_name(p, name);
    err = fc_lookup(&p->c, p->many_dir, name, &e);
    if (err == 0)
        err = peer_owe(p, e.nodeid);
    return err ? err : 1;
}

static int64_t step_lookup_missing(struct peer *p)
{
    struct fuse_entry_out e;
    char name[32];
    int err;

    snprintf(name, sizeof(name), "missing%llu", (unsigned long long)p->turn++);
    err = fc_lookup(&p->c, p->known_dir, name, &e);
    if (err == 0 && e.nodeid != 0)
        return -EEXIST;
    return err == -ENOENT || err == 0 ? 1 : err;
}

static int64_t host_stat_known(struct peer *p)
{
    struct stat st;
    char name[32];

    known_name(p, name);
    return fstatat(p->known_dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 1;
}

/* A name not seen before must at least be pinned and looked at. */
static int64_t host_pin_new(struct peer *p)
{
    struct stat st;
    char name[32];
    int fd, err;

    many_name(p, name);
    fd = openat(p->many_dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    err = fstat(fd, &st) < 0 ? -errno : 0;
    close(fd);
    return err ? err : 1;
}

static int64_t host_stat_missing(struct peer *p)
{
    struct stat st;
    char name[32];

    snprintf(name, sizeof(name), "missing%llu", (unsigned long long)p->turn++);
    return fstatat(p->known_dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? -EEXIST : 1;
}

/* ---- attributes ------------------------------------------------------------------------------ */

static int64_t step_getattr(struct peer *p)
{
    struct fuse_attr a;
    int err = fc_getattr(&p->c, p->known[p->turn++ % N_KNOWN], &a);

    return err ? err : 1;
}

static int64_t host_getattr(struct peer *p)
{
    struct stat st;

    return fstat(p->known_fd[p->turn++ % N_KNOWN], &st) < 0 ? -errno : 1;
}

/* ---- small files ----------------------------------------------------------------------------- */

static int64_t step_open_read(struct peer *p)
{
    uint64_t node = p->known[p->turn++ % N_KNOWN], fh;
    ssize_t n;
    int err = fc_open_file(&p->c, node, O_RDONLY, &fh);

    if (err < 0)
        return err;
    n = fc_read(&p->c, node, fh, NULL, 4096, 0);
    err = fc_release(&p->c, node, fh);
    return n != 4096 ? -EIO : err ? err : 1;
}

static int64_t host_open_read(struct peer *p)
{
    char name[32];
    ssize_t n;
    int fd;

    known_name(p, name);
    fd = openat(p->known_dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    n = pread(fd, p->buffer, 4096, 0);
    close(fd);
    return n == 4096 ? 1 : -EIO;
}

static int64_t step_create(struct peer *p)
{
    struct fuse_entry_out e;
    uint64_t fh;
    char name[32];
    ssize_t n;
    int err;

    snprintf(name, sizeof(name), "new%llu", (unsigned long long)p->turn++);
    err = fc_create(&p->c, p->known_dir, name, O_WRONLY | O_CREAT | O_EXCL, 0644, &e, &fh);
    if (err < 0)
        return err;
    n = fc_write(&p->c, e.nodeid, fh, NULL, 4096, 0);
    err = fc_release(&p->c, e.nodeid, fh);
    if (err == 0)
        err = fc_unlink(&p->c, p->known_dir, name);
    if (err == 0)
        err = peer_owe(p, e.nodeid);
    return n != 4096 ? -EIO : err ? err : 1;
}

static int64_t host_create(struct peer *p)
{
    char name[32];
    ssize_t n;
    int fd;

    snprintf(name, sizeof(name), "new%llu", (unsigned long long)p->turn++);
    fd = openat(p->known_dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    n = pwrite(fd, p->buffer, 4096, 0);
    close(fd);
    if (unlinkat(p->known_dir_fd, name, 0) < 0)
        return -errno;
    return n == 4096 ? 1 : -EIO;
}

/* ---- listings -------------------------------------------------------------------------------- */

struct listing {
    struct peer *p;
    int64_t entries;
    uint64_t next;
};

static int take_entry(void *ctx, const struct fc_entry *e)
{
    struct listing *l = ctx;

    l->entries++;
    l->next = e->off;
    return e->entry->nodeid && strcmp(e->name, ".") != 0 && strcmp(e->name, "..") != 0
               ? peer_owe(l->p, e->entry->nodeid)
               : 0;
}

static int64_t list_many(struct peer *p, uint32_t bytes)
{
    struct listing l = {.p = p};
    ssize_t n;
    uint64_t fh;
    int err = fc_opendir(&p->c, p->many_dir, &fh);

    if (err < 0)
        return err;
    while ((n = fc_readdir_raw(&p->c, p->many_dir, fh, l.next, bytes, true)) > 0) {
        err = fc_parse_dirents(p->c.data, (size_t)n, true, take_entry, &l);
        if (err < 0)
            return err;
    }
    err = fc_releasedir(&p->c, p->many_dir, fh);
    return n < 0 ? n : err ? err : l.entries;
}

/* The lookups of the listing before are given back outside the measured time: all entries are new. */
static int64_t step_list_new(struct peer *p)
{
    return list_many(p, LIST_BYTES);
}

static int64_t step_list_4k(struct peer *p)
{
    return list_many(p, 4096);
}

static int64_t host_list(struct peer *p)
{
    uint8_t buf[LIST_BYTES];
    int64_t entries = 0;
    long n;

    lseek(p->many_dir_fd, 0, SEEK_SET);
    while ((n = syscall(SYS_getdents64, p->many_dir_fd, buf, sizeof(buf))) > 0) {
        for (long at = 0; at < n; entries++) {
            struct {
                uint64_t ino, off;
                uint16_t reclen;
                uint8_t type;
                char name[];
            } __attribute__((packed)) *d = (void *)(buf + at);
            struct stat st;

            if (fstatat(p->many_dir_fd, d->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
            at += d->reclen;
        }
    }
    return n < 0 ? -errno : entries;
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct workload table[] = {
    {"lookup-known", "LOOKUP of a known name", step_lookup_known, host_stat_known, NULL, 20000},
    {"lookup-new", "LOOKUP of a new name", step_lookup_new, host_pin_new, NULL, N_MANY},
    {"lookup-missing", "LOOKUP of a missing name", step_lookup_missing, host_stat_missing, NULL,
     NEVER},
    {"getattr", "GETATTR", step_getattr, host_getattr, NULL, NEVER},
    {"open-read", "OPEN + READ 4 KiB + RELEASE", step_open_read, host_open_read, NULL, NEVER},
    {"create", "CREATE + WRITE 4 KiB + RELEASE + UNLINK", step_create, host_create, NULL, 256},
    {"list", "READDIRPLUS, an entry", step_list_new, host_list, NULL, 1},
    {"list-known", "READDIRPLUS, a known entry", step_list_new, host_list, NULL, 20 * N_MANY},
    {"list-4k", "READDIRPLUS in 4 KiB replies, an entry", step_list_4k, host_list, NULL, 1},
    {"read4k", "random READ 4 KiB, depth 1", step_read4k_1, host_read4k, NULL, NEVER},
    {"write4k", "random WRITE 4 KiB, depth 1", step_write4k_1, host_write4k, NULL, NEVER},
    {"read4k-32", "random READ 4 KiB, depth 32", step_read4k_32, host_read4k, finish_flights,
     NEVER},
    {"write4k-32", "random WRITE 4 KiB, depth 32", step_write4k_32, host_write4k, finish_flights,
     NEVER},
    {"read1m", "sequential READ 1 MiB", step_read1m, host_read1m, NULL, NEVER},
    {"write1m", "sequential WRITE 1 MiB", step_write1m, host_write1m, NULL, NEVER},
};

const struct workload *workload_at(unsigned i)
{
    return i < sizeof(table) / sizeof(table[0]) ? &table[i] : NULL;
}
