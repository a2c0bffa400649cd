// SPDX-License-Identifier: BSD-3-Clause
/*
 * inodes.c - what an inode costs that the guest never forgets
 *
 * Files are made 1000 to a directory; then every one is looked up and none forgotten, as a guest does
 * whose caches are large (and as the older Windows guest does always). The daemon's private memory
 * before and after, divided by what was looked up, is the cost; the lookup rate of the first and of the
 * last twentieth shows whether it slows down. A peer that fails on the way is reported with the number
 * that it reached.
 *
 * Ownership and locks: none of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/inodes.h"
#include "virtiofsd/host/cleanup.h"

#define PER_DIR 1000u

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int make_dir_of_files(int root, uint64_t number)
{
    cleanup_close int dir = -1;
    char name[32];

    snprintf(name, sizeof(name), "d%05" PRIu64, number);
    if (mkdirat(root, name, 0755) < 0)
        return -errno;
    dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    for (unsigned i = 0; i < PER_DIR; i++) {
        snprintf(name, sizeof(name), "f%05u", i);
        if (mknodat(dir, name, S_IFREG | 0644, 0) < 0)
            return -errno;
    }
    return 0;
}

static int make_files(const char *share, uint64_t n)
{
    cleanup_close int root = open(share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = root < 0 ? -errno : 0;

    for (uint64_t d = 0; d < n / PER_DIR && err == 0; d++)
        err = make_dir_of_files(root, d);
    return err;
}

struct walk {
    uint64_t reached, wanted;
    double first, last; /* seconds for a twentieth */
};

static int look_all_up(struct peer *p, struct walk *w)
{
    uint64_t part = w->wanted / 20;
    struct fuse_entry_out dir = {0}, e;
    double since = now();
    char name[32];
    int err = 0;

    for (; w->reached < w->wanted; w->reached++) {
        if (w->reached % PER_DIR == 0) {
            snprintf(name, sizeof(name), "d%05" PRIu64, w->reached / PER_DIR);
            err = fc_lookup(&p->c, FC_ROOT, name, &dir);
        }
        snprintf(name, sizeof(name), "f%05u", (unsigned)(w->reached % PER_DIR));
        if (err == 0)
            err = fc_lookup(&p->c, dir.nodeid, name, &e);
        if (err < 0)
            return err;
        if (part && (w->reached + 1) % part == 0) {
            w->last = now() - since;
            if (w->first == 0)
                w->first = w->last;
            since = now();
        }
    }
    return 0;
}

void measure_inodes(struct peer *p, const char *share, uint64_t n)
{
    struct walk w = {.wanted = n / PER_DIR * PER_DIR};
    int64_t before, after;
    int err = make_files(share, n);

    if (err < 0) {
        printf("dead %s inodes %d\n", p->name, -err);
        return;
    }
    before = peer_anon_bytes(p);
    err = look_all_up(p, &w);
    after = peer_anon_bytes(p);
    printf("inodes %s %" PRIu64 " %" PRIu64 " %.1f %.0f %.0f %d\n", p->name, w.reached, w.wanted,
           w.reached ? (double)(after - before) / (double)w.reached : 0,
           w.first > 0 ? (double)(w.wanted / 20) / w.first : 0,
           w.last > 0 ? (double)(w.wanted / 20) / w.last : 0, -err);
    fflush(stdout);
}
