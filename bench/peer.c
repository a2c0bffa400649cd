// SPDX-License-Identifier: BSD-3-Clause
/*
 * peer.c - one daemon under measurement, or the host itself
 *
 * Theory of operation
 *
 *   CPU time is read from the process' CPU clock, which the kernel keeps in nanoseconds over all its
 *   threads; a daemon that forks for its sandbox is followed to the process that serves. The host "peer"
 *   does the same work with bare system calls in our process and is charged with our thread's clock.
 *
 * Ownership and locks: see peer.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/peer.h"
#include "virtiofsd/host/cleanup.h"

#define MAX_WORDS 48

/* ---- the tree -------------------------------------------------------------------------------- */

static int make_file(int dir, const char *name, size_t bytes)
{
    static const uint8_t zeros[65536];
    cleanup_close int fd = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

    if (fd < 0)
        return -errno;
    for (size_t at = 0; at < bytes; at += sizeof(zeros)) {
        size_t n = bytes - at < sizeof(zeros) ? bytes - at : sizeof(zeros);

        if (write(fd, zeros, n) != (ssize_t)n)
            return -errno;
    }
    return 0;
}

static int make_files(int root, const char *dir, const char *prefix, unsigned n, size_t bytes)
{
    cleanup_close int fd = -1;
    int err = 0;

    if (mkdirat(root, dir, 0755) < 0)
        return -errno;
    fd = openat(root, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (unsigned i = 0; i < n && err == 0; i++) {
        char name[32];

        snprintf(name, sizeof(name), "%s%05u", prefix, i);
        err = make_file(fd, name, bytes);
    }
    return err;
}

static int make_tree(const char *share)
{
    cleanup_close int root = open(share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err;

    if (root < 0)
        return -errno;
    err = make_files(root, "known", "k", N_KNOWN, 4096);
    if (err == 0)
        err = make_files(root, "many", "m", N_MANY, 0);
    return err ? err : make_file(root, "big", BIG_BYTES);
}

static int make_payload(struct ground *g)
{
    size_t size = FC_MAX_DATA + MAX_DEPTH * 4096;

    g->payload_fd = memfd_create("payload", MFD_CLOEXEC);
    if (g->payload_fd < 0 || ftruncate(g->payload_fd, (off_t)size) < 0)
        return -errno;
    g->payload = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, g->payload_fd, 0);
    if (g->payload == MAP_FAILED) {
        g->payload = NULL;
        return -errno;
    }
    memset(g->payload, 'x', size);
    return 0;
}

int ground_make(struct ground *g, bool tree)
{
    int err;

    *g = (struct ground){.payload_fd = -1};
    err = daemon_start(&g->dirs, NULL, NULL);
    if (err == 0 && tree)
        err = make_tree(g->dirs.share);
    if (err == 0)
        err = make_payload(g);
    if (err < 0)
        ground_clear(g);
    return err;
}

void ground_clear(struct ground *g)
{
    if (g->payload)
        munmap(g->payload, FC_MAX_DATA + MAX_DEPTH * 4096);
    if (g->payload_fd >= 0)
        close(g->payload_fd);
    daemon_end(&g->dirs);
}

static int look_tree_up(struct peer *p)
{
    struct fuse_entry_out e;
    int err = fc_lookup(&p->c, FC_ROOT, "many", &e);

    p->many_dir = e.nodeid;
    if (err == 0)
        err = fc_lookup(&p->c, FC_ROOT, "big", &e);
    p->big = e.nodeid;
    if (err == 0)
        err = fc_open_file(&p->c, p->big, O_RDWR, &p->big_fh);
    if (err == 0)
        err = fc_lookup(&p->c, FC_ROOT, "known", &e);
    p->known_dir = e.nodeid;
    for (unsigned i = 0; i < N_KNOWN && err == 0; i++) {
        char name[32];

        snprintf(name, sizeof(name), "k%05u", i);
        err = fc_lookup(&p->c, p->known_dir, name, &e);
        p->known[i] = e.nodeid;
    }
    return err;
}

static int open_tree_here(struct peer *p, const char *share)
{
    cleanup_close int root = open(share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    p->known_dir_fd = openat(root, "known", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->many_dir_fd = openat(root, "many", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    p->big_fd = openat(root, "big", O_RDWR | O_CLOEXEC);
    if (root < 0 || p->known_dir_fd < 0 || p->many_dir_fd < 0 || p->big_fd < 0)
        return -errno;
    for (unsigned i = 0; i < N_KNOWN; i++) {
        char name[32];

        snprintf(name, sizeof(name), "k%05u", i);
        p->known_fd[i] = openat(p->known_dir_fd, name, O_PATH | O_CLOEXEC);
        if (p->known_fd[i] < 0)
            return -errno;
    }
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static unsigned split_words(char *text, const char **words)
{
    char *save = NULL;
    unsigned n = 0;

    for (char *w = strtok_r(text, " ", &save); w && n < MAX_WORDS; w = strtok_r(NULL, " ", &save))
        words[n++] = w;
    words[n] = NULL;
    return n;
}

/* Payloads go to the common memory; headers and rings stay in the peer's own. */
static int use_payload(struct peer *p, const struct ground *g)
{
    int region = fe_region_add_file(p->fe, g->payload_fd);
    uint8_t *pages;

    if (region < 0)
        return region;
    p->c.data = fe_region(p->fe, region, NULL, NULL);
    pages = p->c.data + FC_MAX_DATA;
    for (unsigned i = 0; i < MAX_DEPTH; i++) {
        struct flight *f = &p->flight[i];

        f->data = pages + (size_t)i * 4096;
        f->req.user = f;
    }
    return 0;
}

static int make_flights(struct peer *p)
{
    int err = 0;

    for (unsigned i = 0; i < MAX_DEPTH && err == 0; i++)
        err = fe_req_init(p->fe, &p->flight[i].req, 256, 256);
    return err;
}

static int connect_peer(struct peer *p, const struct ground *g, const struct peer_options *o)
{
    struct fe_options fo = {.queue_size = o->queue_size,
                            .layout = o->layout,
                            .force_layout = o->force_layout,
                            .timeout_ms = 60000};
    int err = fe_open(&p->fe, &fo, p->d.socket);

    if (err == 0)
        err = fc_open(&p->c, p->fe, FE_REQUESTS);
    if (err == 0)
        err = fc_init(&p->c);
    if (err == 0)
        err = make_flights(p);
    if (err == 0)
        err = use_payload(p, g);
    p->worker = daemon_worker_pid(&p->d);
    return err;
}

int peer_start(struct peer *p, const struct ground *g, const char *name, const char *command,
               const struct peer_options *o)
{
    struct daemon_options d = {.cpu = o->cpu, .nofile = o->nofile, .share = g->dirs.share};
    cleanup_free char *text = strdup(command);
    const char *words[MAX_WORDS + 1];
    int err;

    *p = (struct peer){.random = 2463534242u};
    snprintf(p->name, sizeof(p->name), "%s", name);
    if (!text || split_words(text, words) == 0)
        return -EINVAL;
    err = daemon_start(&p->d, words, &d);
    if (err == 0)
        err = connect_peer(p, g, o);
    if (err == 0 && !o->bare)
        err = look_tree_up(p);
    if (err < 0)
        fprintf(stderr, "%s: cannot be measured: %s\n", name, strerror(-err));
    return err;
}

int peer_start_host(struct peer *p, const struct ground *g)
{
    *p = (struct peer){.name = "host", .is_host = true, .random = 2463534242u};
    p->buffer = g->payload;
    return open_tree_here(p, g->dirs.share);
}

void peer_end(struct peer *p)
{
    if (p->fe)
        fc_close(&p->c);
    fe_free(p->fe);
    daemon_end(&p->d);
    free(p->owed);
    p->fe = NULL;
}

/* ---- lookups that are owed ------------------------------------------------------------------- */

int peer_owe(struct peer *p, uint64_t node)
{
    if (p->n_owed == p->owed_room) {
        uint32_t room = p->owed_room ? 2 * p->owed_room : 4096;
        uint64_t *more = realloc(p->owed, room * sizeof(*more));

        if (!more)
            return -ENOMEM;
        p->owed = more;
        p->owed_room = room;
    }
    p->owed[p->n_owed++] = node;
    return 0;
}

int peer_settle(struct peer *p)
{
    int err = 0;

    while (p->n_owed && err == 0) {
        uint32_t n = p->n_owed < 1000 ? p->n_owed : 1000;

        p->n_owed -= n;
        err = fc_forget_many(&p->c, p->owed + p->n_owed, n);
    }
    return err;
}

uint32_t peer_random(struct peer *p)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 17;
    p->random ^= p->random << 5;
    return p->random;
}

/* ---- what it costs --------------------------------------------------------------------------- */

static double seconds(clockid_t clock)
{
    struct timespec t = {0};

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A number from "key: value" of a status file; 0 when it is not there. */
static double status_value(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    return at ? strtod(at + strlen(key), NULL) : 0;
}

static bool read_text(const char *path, char *buf, size_t size)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    buf[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static void count_switches(const struct peer *p, struct cost *c)
{
    char path[320], text[4096];
    DIR *tasks;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)p->worker);
    tasks = opendir(path);
    if (!tasks)
        return;
    for (struct dirent *e = readdir(tasks); e; e = readdir(tasks)) {
        snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)p->worker, e->d_name);
        if (e->d_name[0] == '.' || !read_text(path, text, sizeof(text)))
            continue;
        c->switches += status_value(text, "\nvoluntary_ctxt_switches:");
        c->preempted += status_value(text, "\nnonvoluntary_ctxt_switches:");
    }
    closedir(tasks);
}

static void read_clocks(const struct peer *p, struct cost *c)
{
    clockid_t clock;

    c->client = seconds(CLOCK_THREAD_CPUTIME_ID);
    c->wall = seconds(CLOCK_MONOTONIC);
    if (p->is_host)
        c->cpu = c->client;
    else if (clock_getcpuclockid(p->worker, &clock) == 0)
        c->cpu = seconds(clock);
}

static void cost_add(struct cost *to, const struct cost *earlier, const struct cost *later)
{
    to->wall += later->wall - earlier->wall;
    to->cpu += later->cpu - earlier->cpu;
    to->client += later->client - earlier->client;
    to->switches += later->switches - earlier->switches;
    to->preempted += later->preempted - earlier->preempted;
    to->kicks += later->kicks - earlier->kicks;
    to->signals += later->signals - earlier->signals;
}

/* Counting switches takes time of ours: it is done outside the clocks. */
static void read_counters(const struct peer *p, struct cost *c)
{
    const struct fe_queue_counts *q = fe_queue_counts(p->fe, FE_REQUESTS);

    count_switches(p, c);
    c->kicks = (double)q->kicks;
    c->signals = (double)q->signals;
}

void cost_begin(const struct peer *p, struct cost *c)
{
    *c = (struct cost){0};
    if (!p->is_host)
        read_counters(p, c);
    read_clocks(p, c);
}

void cost_end(const struct peer *p, const struct cost *begun, struct cost *total)
{
    struct cost now = {0};

    read_clocks(p, &now);
    if (!p->is_host)
        read_counters(p, &now);
    cost_add(total, begun, &now);
}

int64_t peer_anon_bytes(const struct peer *p)
{
    char path[64], text[4096];

    snprintf(path, sizeof(path), "/proc/%d/status", (int)p->worker);
    if (!read_text(path, text, sizeof(text)))
        return -errno;
    return (int64_t)status_value(text, "\nRssAnon:") * 1024;
}
