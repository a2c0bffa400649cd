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
 * Then names are looked up again, some of the first 10,000 and some of all, in turn, in an order by chance that is the
 * same for the daemon and for the bare host calls (statx in a directory that is open). What of the daemon's
 * CPU time is left without the host's is its own: its table of inodes must not slow it down.
 *
 * Ownership and locks: none of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/inodes.h"
#include "virtiofsd/host/cleanup.h"

#define PER_DIR 1000u
#define FEW     10000u
#define TURNS   5u      /* of which the median counts */
#define LOOKUPS 200000u /* in a turn */

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

/* ---- looking up again -------------------------------------------------------------------------- */

struct again {
    struct peer *p;
    uint64_t n; /* files that are known */
    uint64_t *dir;
    int *dir_fd;
    char name[PER_DIR][8];
    struct flight flight[MAX_DEPTH];
};

static uint64_t next_file(uint32_t *random, uint64_t n)
{
    *random ^= *random << 13;
    *random ^= *random >> 17;
    *random ^= *random << 5;
    return *random % n;
}

static int open_dirs(struct again *a, const char *share)
{
    cleanup_close int root = open(share, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct rlimit rl;
    struct fuse_entry_out e;
    char name[32];
    int err = root < 0 ? -errno : 0;

    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        setrlimit(RLIMIT_NOFILE, &rl);
    }
    for (uint64_t d = 0; err == 0 && d < a->n / PER_DIR; d++) {
        snprintf(name, sizeof(name), "d%05" PRIu64, d);
        err = fc_lookup(&a->p->c, FC_ROOT, name, &e);
        a->dir[d] = e.nodeid;
        a->dir_fd[d] = openat(root, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (a->dir_fd[d] < 0 && err == 0)
            err = -errno;
    }
    for (unsigned i = 0; err == 0 && i < MAX_DEPTH; i++)
        err = fe_req_init(a->p->fe, &a->flight[i].req, 256, 256);
    for (unsigned i = 0; i < PER_DIR; i++)
        snprintf(a->name[i], sizeof(a->name[i]), "f%05u", i);
    return err;
}

/* Seconds of the daemon's CPU time, or negative errno. */
static double ask_daemon(struct again *a, uint64_t of)
{
    struct cost begun, total = {0};
    uint32_t random = 1;
    int err = 0;

    cost_begin(a->p, &begun);
    for (unsigned done = 0; done < LOOKUPS && err == 0; done += MAX_DEPTH) {
        for (unsigned i = 0; i < MAX_DEPTH && err == 0; i++) {
            uint64_t file = next_file(&random, of);
            const char *name = a->name[file % PER_DIR];
            const struct fc_part part = {name, strlen(name) + 1};
            struct flight *f = &a->flight[i];
            f->unique = fc_build(&a->p->c, &f->req, FUSE_LOOKUP, a->dir[file / PER_DIR], &part, 1,
                                 sizeof(struct fuse_entry_out));
            err = fe_submit(a->p->fe, FE_REQUESTS, &f->req, i + 1 < MAX_DEPTH);
        }
        for (unsigned i = 0; i < MAX_DEPTH && err == 0; i++)
            fe_reap(a->p->fe, FE_REQUESTS, true, &err);
        for (unsigned i = 0; i < MAX_DEPTH && err == 0; i++) {
            ssize_t r = fc_result(&a->flight[i].req, a->flight[i].unique);
            err = r < 0 ? (int)r : 0;
        }
    }
    cost_end(a->p, &begun, &total);
    return err < 0 ? err : total.cpu;
}

/* Seconds of our own CPU time for the same files. */
static double ask_host(struct again *a, uint64_t of)
{
    const unsigned mask = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;
    struct cost begun, total = {0};
    uint32_t random = 1;
    struct statx stx;

    cost_begin(a->p, &begun);
    for (unsigned done = 0; done < LOOKUPS; done++) {
        uint64_t file = next_file(&random, of);
        if (statx(a->dir_fd[file / PER_DIR], a->name[file % PER_DIR],
                  AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, mask, &stx) < 0)
            return -errno;
    }
    cost_end(a->p, &begun, &total);
    return total.client;
}

static int by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void look_up_again(struct again *a)
{
    double few[TURNS], all[TURNS], host_few[TURNS], host_all[TURNS];
    double *of[] = {few, all, host_few, host_all};

    for (unsigned turn = 0; turn < TURNS; turn++) {
        few[turn] = ask_daemon(a, FEW);
        all[turn] = ask_daemon(a, a->n);
        host_few[turn] = ask_host(a, FEW);
        host_all[turn] = ask_host(a, a->n);
    }
    printf("again %s %" PRIu64, a->p->name, a->n);
    for (unsigned i = 0; i < 4; i++) {
        qsort(of[i], TURNS, sizeof(double), by_size);
        printf(" %.0f", of[i][0] < 0 ? -1 : of[i][TURNS / 2] / LOOKUPS * 1e9);
    }
    printf("\n");
    fflush(stdout);
}

static void measure_again(struct peer *p, const char *share, uint64_t n)
{
    cleanup_free struct again *a = calloc(1, sizeof(*a));
    cleanup_free uint64_t *dir = calloc(n / PER_DIR, sizeof(*dir));
    cleanup_free int *fd = calloc(n / PER_DIR, sizeof(*fd));

    if (!a || !dir || !fd)
        return;
    a->p = p;
    a->n = n;
    a->dir = dir;
    a->dir_fd = fd;
    int err = open_dirs(a, share);
    if (err == 0)
        look_up_again(a);
    else
        printf("dead %s again %d\n", p->name, -err);
    for (uint64_t d = 0; d < n / PER_DIR; d++) {
        if (fd[d] > 0)
            close(fd[d]);
    }
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
    if (err == 0 && w.reached > FEW)
        measure_again(p, share, w.reached);
}
