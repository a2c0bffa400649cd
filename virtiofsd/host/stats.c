// SPDX-License-Identifier: BSD-3-Clause
/*
 * stats.c - counters of each thread, and the socket that shows them
 *
 * Theory of operation
 *
 *   A thread counts in a block of its own, which nobody else writes: relaxed loads and stores, no
 *   locked instruction, no shared cache line. A block is the same array of numbers as the sum, so
 *   summing up and folding a finished thread's block in are one loop.
 *
 *   One thread, "stats", answers connections one after the other. A reader that sends nothing is
 *   served after WAIT_MS (socat), one that says "GET " gets an HTTP header first (curl, Prometheus).
 *   A reader has DEADLINE_MS in all to take the text; others wait in the socket's backlog. Nothing that
 *   a reader does touches the threads that serve the guest.
 *
 *   Of several shares each has counters and gauges of its own, and the process' struct only the socket. A thread that
 *   serves another share now gives its block back and takes one of that share's: there are as many as threads ever
 *   served the share at one time, and none for a share that nobody uses.
 *
 * Ownership: stats owns the socket, its shares, its blocks' list and the sum of finished blocks; a block belongs to
 * its thread from stats_block_new() to stats_block_done(), or from stats_block_take() to stats_block_give().
 * Locks: lock guards blocks and finished. Gauges are fixed once stats_serve() has been called, and read
 * without it, so that their callbacks may take locks of their own.
 *
 * syscalls: accept4 recvfrom sendto setsockopt shutdown poll ppoll close
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "host/stats.h"
#include "host/stats_int.h"
#include "host/thread.h"

#define WAIT_MS     100
#define DEADLINE_MS 2000
#define BACKLOG     8

#define N_NUMBERS (sizeof(struct stats_sum) / sizeof(uint64_t))

struct stats_block {
    union {
        struct stats_sum names; /* for offsets only */
        _Atomic uint64_t number[N_NUMBERS];
    };
    struct stats_block *next, *prev;
    struct stats_block *next_idle; /* given back, to be taken again */
} __attribute__((aligned(64)));

/* The process' (of stats_new()), which counts for the only share; or one of its shares' (of stats_share()). */
struct stats {
    const char *label;   /* of a share: its name */
    struct stats *next;  /* another share of the process */
    struct stats *first; /* of the process: its shares */
    unsigned n_shares;
    int listen_fd; /* -1: a share's */
    pthread_t thread;
    bool serving;
    atomic_bool stopping;
    struct stats_gauge gauge[STATS_MAX_GAUGES];
    unsigned n_gauges;
    pthread_mutex_t lock;
    struct stats_block *blocks, *idle;
    struct stats_sum finished;
    struct stats_sum shown; /* of the stats thread only: the sum that is being printed */
};

/* ---- counting ---------------------------------------------------------------------------- */

struct stats_block *stats_block_new(struct stats *stats)
{
    if (!stats)
        return NULL;
    struct stats_block *b = aligned_alloc(64, sizeof(*b));
    if (!b)
        return NULL;
    memset(b, 0, sizeof(*b));
    pthread_mutex_lock(&stats->lock);
    b->next = stats->blocks;
    if (b->next)
        b->next->prev = b;
    stats->blocks = b;
    pthread_mutex_unlock(&stats->lock);
    return b;
}

static void fold(struct stats_sum *into, struct stats_block *b)
{
    uint64_t *sum = (uint64_t *)into;

    for (size_t i = 0; i < N_NUMBERS; i++)
        sum[i] += atomic_load_explicit(&b->number[i], memory_order_relaxed);
}

void stats_block_done(struct stats *stats, struct stats_block *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&stats->lock);
    fold(&stats->finished, b);
    if (b->next)
        b->next->prev = b->prev;
    if (b->prev)
        b->prev->next = b->next;
    else
        stats->blocks = b->next;
    pthread_mutex_unlock(&stats->lock);
    free(b);
}

struct stats_block *stats_block_take(struct stats *stats)
{
    if (!stats)
        return NULL;
    pthread_mutex_lock(&stats->lock);
    struct stats_block *b = stats->idle;
    if (b)
        stats->idle = b->next_idle;
    pthread_mutex_unlock(&stats->lock);
    return b ? b : stats_block_new(stats);
}

void stats_block_give(struct stats *stats, struct stats_block *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&stats->lock);
    b->next_idle = stats->idle;
    stats->idle = b;
    pthread_mutex_unlock(&stats->lock);
}

/* @number: address in b->names; only the block's own thread writes. */
static void add(struct stats_block *b, const uint64_t *number, uint64_t n)
{
    _Atomic uint64_t *at = &b->number[number - (const uint64_t *)&b->names];

    atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static unsigned bucket_of(uint64_t ns)
{
    if (ns <= 1u << STATS_FIRST_LOG2)
        return 0;
    unsigned b = 64u - (unsigned)__builtin_clzll(ns - 1) - STATS_FIRST_LOG2;
    return b < STATS_BUCKETS ? b : STATS_BUCKETS - 1;
}

void stats_count(struct stats_block *b, unsigned op, int err, uint64_t ns)
{
    if (!b || op >= FUSE_N_OPS)
        return;
    add(b, &b->names.bucket[op][bucket_of(ns)], 1);
    add(b, &b->names.ns[op], ns);
    if (err)
        add(b, &b->names.errors[op][err < 0 && err > -STATS_ERRNOS ? -err : 0], 1);
}

static int add_gauge(struct stats *stats, const struct stats_gauge *gauge)
{
    if (stats->serving || stats->n_gauges == STATS_MAX_GAUGES)
        return -ENOSPC;
    stats->gauge[stats->n_gauges++] = *gauge;
    return 0;
}

int stats_gauge(struct stats *stats, const char *name, const char *help,
                uint64_t (*read)(void *ctx), void *ctx)
{
    return add_gauge(stats, &(struct stats_gauge){name, help, read, ctx, false});
}

int stats_seconds(struct stats *stats, const char *name, const char *help,
                  uint64_t (*read)(void *ctx), void *ctx)
{
    return add_gauge(stats, &(struct stats_gauge){name, help, read, ctx, true});
}

/* ---- answering --------------------------------------------------------------------------- */

static const struct stats_sum *sum_up(void *ctx, const struct stats *of)
{
    struct stats *process = ctx, *stats = (struct stats *)of;
    struct stats_sum *sum = &process->shown;

    pthread_mutex_lock(&stats->lock);
    *sum = stats->finished;
    for (struct stats_block *b = stats->blocks; b; b = b->next)
        fold(sum, b);
    pthread_mutex_unlock(&stats->lock);
    return sum;
}

/* What is shown of one of them. */
static struct stats_source source_of(const struct stats *stats)
{
    return (struct stats_source){stats, stats->label, stats->gauge, stats->n_gauges};
}

/* The whole text on the heap, or NULL when out of memory. */
static char *make_text(struct stats *stats, size_t *len)
{
    unsigned n = stats->first ? stats->n_shares : 1, i = 0;
    cleanup_free struct stats_source *source = malloc(n * sizeof(*source));
    char *text = NULL;
    FILE *f = source ? open_memstream(&text, len) : NULL;

    if (!f)
        return NULL; /* cppcheck-suppress memleak ; `source` frees itself */
    if (!stats->first)
        source[i++] = source_of(stats);
    for (const struct stats *s = stats->first; s; s = s->next)
        source[i++] = source_of(s);
    stats_print(f, source, n, sum_up, stats);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/*
 * Take what the reader sends, up to the empty line that ends an HTTP request: bytes left unread would
 * reset the connection when it is closed. Return: true if it speaks HTTP.
 */
static bool read_request(int fd)
{
    char buf[2048];
    size_t n = 0;

    while (n < sizeof(buf) - 1) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, WAIT_MS) <= 0)
            break;
        ssize_t r = recv(fd, buf + n, sizeof(buf) - 1 - n, MSG_DONTWAIT);
        if (r <= 0)
            break;
        n += (size_t)r;
        buf[n] = '\0';
        if (strstr(buf, "\r\n\r\n"))
            break;
    }
    return n >= 4 && memcmp(buf, "GET ", 4) == 0;
}

static bool send_all(int fd, const char *data, size_t len, int64_t deadline)
{
    while (len) {
        int64_t left = deadline - now_ms();
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            return false;
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static void answer(struct stats *stats, int fd)
{
    int64_t deadline = now_ms() + DEADLINE_MS;
    bool http = read_request(fd);
    size_t len = 0;
    cleanup_free char *text = make_text(stats, &len);
    char head[160];

    if (!text)
        return;
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     len);
    if (!http || send_all(fd, head, (size_t)n, deadline))
        send_all(fd, text, len, deadline);
    shutdown(fd, SHUT_WR);
}

static void *serve(void *arg)
{
    struct stats *stats = arg;

    thread_name("stats");
    while (!atomic_load(&stats->stopping)) {
        cleanup_close int fd = accept4(stats->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            answer(stats, fd);
        } else if (!atomic_load(&stats->stopping) && errno != EINTR && errno != ECONNABORTED) {
            /* Out of descriptors, most likely: the guest's requests come first. */
            log_warn_limited("--stats-socket: %s", strerror(errno));
            poll(NULL, 0, DEADLINE_MS);
        }
    }
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------- */

/* Is the socket at this address left over from a process that is gone? */
static bool is_stale(const struct sockaddr_un *addr)
{
    struct stat st;

    if (lstat(addr->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 &&
           errno == ECONNREFUSED;
}

static int bind_socket(int fd, const struct sockaddr_un *addr)
{
    mode_t mask = umask(0077);
    int err = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;

    if (err == -EADDRINUSE && is_stale(addr) && unlink(addr->sun_path) == 0)
        err = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
    umask(mask);
    return err;
}

int stats_listen(const char *socket_path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    size_t len = strlen(socket_path);

    if (len >= sizeof(addr.sun_path))
        return -ENAMETOOLONG;
    memcpy(addr.sun_path, socket_path, len + 1);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int err = bind_socket(fd, &addr);
    if (err)
        return err;
    if (listen(fd, BACKLOG) < 0)
        return -errno;
    return steal_fd(&fd);
}

int stats_new(struct stats **out, const char *socket_path)
{
    cleanup_close int fd = socket_path ? stats_listen(socket_path) : -1;

    if (socket_path && fd < 0)
        return fd;
    struct stats *stats = calloc(1, sizeof(*stats));
    if (!stats)
        return -ENOMEM;
    pthread_mutex_init(&stats->lock, NULL);
    stats->listen_fd = steal_fd(&fd);
    *out = stats;
    return 0;
}

int stats_share(struct stats **out, struct stats *process, const char *name)
{
    struct stats *stats = calloc(1, sizeof(*stats));

    if (!stats)
        return -ENOMEM;
    pthread_mutex_init(&stats->lock, NULL);
    stats->listen_fd = -1;
    stats->label = name;
    struct stats **last = &process->first;
    while (*last)
        last = &(*last)->next;
    *last = stats;
    process->n_shares++;
    *out = stats;
    return 0;
}

void stats_adopt(struct stats *stats, int listen_fd)
{
    stats->listen_fd = listen_fd;
}

int stats_serve(struct stats *stats)
{
    int err = thread_start(&stats->thread, serve, stats);

    stats->serving = err == 0;
    return err;
}

void stats_stop(struct stats *stats)
{
    if (!stats->serving)
        return;
    atomic_store(&stats->stopping, true);
    shutdown(stats->listen_fd, SHUT_RDWR); /* wakes accept() */
    pthread_join(stats->thread, NULL);
    stats->serving = false;
}

void stats_free(struct stats *stats)
{
    if (!stats)
        return;
    stats_stop(stats);
    while (stats->first) {
        struct stats *share = stats->first;
        stats->first = share->next;
        stats_free(share);
    }
    while (stats->blocks)
        stats_block_done(stats, stats->blocks);
    if (stats->listen_fd >= 0)
        close(stats->listen_fd);
    pthread_mutex_destroy(&stats->lock);
    free(stats);
}
