// SPDX-License-Identifier: BSD-3-Clause
/*
 * vubench.c - measure vhost-user-fs daemons side by side
 *
 * Theory of operation
 *
 *   All peers are started first, on one directory and with one payload memory (see peer.h). Then, for
 *   every workload and way of waiting, the peers take turns in short slices, round after round, so that
 *   whatever else the machine does meets all of them alike. One line a slice goes to stdout, with blanks
 *   between the fields; bench/run makes medians, tables and plots of them.
 *
 *   Client and daemons run on one CPU unless told otherwise: the figures are then what a request costs,
 *   not how two CPUs wake each other.
 *
 *   sample  WORKLOAD sleep|spin PEER ops wall-s cpu-s client-s switches preempted kicks signals
 *   syscalls WORKLOAD PEER ops calls
 *   idle    PEER wall-s cpu-s switches
 *   inodes  PEER reached wanted bytes-per-inode first-per-s last-per-s errno
 *   peer    PEER virtio-features protocol-features
 *   dead    PEER WORKLOAD errno
 *
 * Ownership: main() owns the peers.   Locks: none, one thread.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/inodes.h"
#include "bench/syscalls.h"
#include "bench/workload.h"

#define MAX_PEERS 8u

struct plan {
    const char *peer_arg[MAX_PEERS]; /* "name=command" */
    unsigned n_peers;
    bool host;
    const char *only; /* "a,b", NULL: all */
    unsigned rounds;
    double slice;      /* seconds */
    double idle;       /* seconds */
    unsigned syscalls; /* operations under strace, 0: none */
    uint64_t inodes;   /* files of the inode run, 0: none */
    struct peer_options peer;
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool chosen(const struct plan *plan, const char *name)
{
    size_t len = strlen(name);

    if (!plan->only)
        return true;
    for (const char *at = strstr(plan->only, name); at; at = strstr(at + 1, name))
        if ((at == plan->only || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}

static void declare_dead(struct peer *p, const char *during, int64_t err)
{
    p->dead = (int)err;
    printf("dead %s %s %d\n", p->name, during, (int)-err);
    fprintf(stderr, "%s: %s: %s\n", p->name, during, strerror((int)-err));
}

/* Measured: steps until @ops operations are done or the time is up. Return: operations or -errno. */
static int64_t stretch(struct peer *p, const struct workload *w, uint64_t ops, double end)
{
    int64_t done = 0;

    while ((uint64_t)done < ops && now() < end) {
        int64_t n = p->is_host ? w->host(p) : w->step(p);

        if (n < 0)
            return n;
        done += n;
    }
    if (w->finish && !p->is_host) {
        int64_t n = w->finish(p);

        return n < 0 ? n : done + n;
    }
    return done;
}

/* One slice: measured stretches with what is not measured in between. Return: operations or -errno. */
static int64_t slice(struct peer *p, const struct workload *w, double seconds, struct cost *total)
{
    double end = now() + seconds;
    int64_t ops = 0;

    do {
        struct cost begun;
        int64_t n;
        int err;

        cost_begin(p, &begun);
        n = stretch(p, w, w->tidy_every, end);
        cost_end(p, &begun, total);
        if (n < 0)
            return n;
        ops += n;
        err = peer_settle(p);
        if (err < 0)
            return err;
    } while (now() < end);
    return ops;
}

static void one_sample(const struct plan *plan, struct peer *p, const struct workload *w,
                       enum fe_wait wait)
{
    struct cost c = {0};
    int64_t ops;

    if (p->dead || (p->is_host && wait == FE_SPIN))
        return;
    if (!p->is_host)
        fe_queue_wait(p->fe, FE_REQUESTS, wait);
    ops = slice(p, w, plan->slice, &c);
    if (ops <= 0) {
        declare_dead(p, w->name, ops ? ops : -ETIMEDOUT);
        return;
    }
    printf("sample %s %s %s %" PRId64 " %.6f %.9f %.9f %.0f %.0f %.0f %.0f\n", w->name,
           wait == FE_SPIN ? "spin" : "sleep", p->name, ops, c.wall, c.cpu, c.client, c.switches,
           c.preempted, c.kicks, c.signals);
    fflush(stdout);
}

static void measure_workload(const struct plan *plan, struct peer *peers, unsigned n,
                             const struct workload *w)
{
    for (unsigned round = 0; round < plan->rounds; round++)
        for (int wait = FE_SLEEP; wait <= FE_SPIN; wait++)
            for (unsigned i = 0; i < n; i++)
                one_sample(plan, &peers[i], w, (enum fe_wait)wait);
}

static void measure_syscalls(const struct plan *plan, struct peer *p, const struct workload *w)
{
    int64_t ops = 0, calls = 0;
    int err;

    if (p->dead || p->is_host)
        return;
    fe_queue_wait(p->fe, FE_REQUESTS, FE_SLEEP);
    err = count_syscalls(p, w, plan->syscalls, &ops, &calls);
    if (err < 0)
        fprintf(stderr, "%s: %s: cannot count system calls: %s\n", p->name, w->name,
                strerror(-err));
    else
        printf("syscalls %s %s %" PRId64 " %" PRId64 "\n", w->name, p->name, ops, calls);
}

static void measure_idle(const struct plan *plan, struct peer *p)
{
    struct cost begun, total = {0};

    if (p->dead || p->is_host)
        return;
    fe_queue_wait(p->fe, FE_REQUESTS, FE_SLEEP);
    poll(NULL, 0, 50); /* what it still polls for after the last request is not idleness */
    cost_begin(p, &begun);
    poll(NULL, 0, (int)(plan->idle * 1000));
    cost_end(p, &begun, &total);
    printf("idle %s %.3f %.9f %.0f\n", p->name, total.wall, total.cpu, total.switches);
}

static void measure_all(const struct plan *plan, struct peer *peers, unsigned n)
{
    const struct workload *w;

    for (unsigned k = 0; (w = workload_at(k)); k++) {
        if (!chosen(plan, w->name))
            continue;
        fprintf(stderr, "%s\n", w->name);
        measure_workload(plan, peers, n, w);
        for (unsigned i = 0; plan->syscalls && i < n; i++)
            measure_syscalls(plan, &peers[i], w);
    }
    for (unsigned i = 0; plan->idle > 0 && i < n; i++)
        measure_idle(plan, &peers[i]);
}

/* ---- peers ----------------------------------------------------------------------------------- */

static int start_one(const struct plan *plan, const struct ground *g, struct peer *p,
                     const char *arg)
{
    const char *eq = strchr(arg, '=');
    char name[32];
    int err;

    if (!eq || (size_t)(eq - arg) >= sizeof(name))
        return -EINVAL;
    memcpy(name, arg, (size_t)(eq - arg));
    name[eq - arg] = '\0';
    err = peer_start(p, g, name, eq + 1, &plan->peer);
    if (err == 0)
        printf("peer %s %#" PRIx64 " %#" PRIx64 "\n", p->name, fe_virtio(p->fe), fe_proto(p->fe));
    return err;
}

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu - 1, &set);
    if (cpu && sched_setaffinity(0, sizeof(set), &set) < 0)
        perror("sched_setaffinity");
}

/* Every peer in turn, each with fresh files of its own. */
static int run_inodes(const struct plan *plan)
{
    int failed = 0;

    for (unsigned i = 0; i < plan->n_peers; i++) {
        struct ground g;
        struct peer p = {0};

        if (ground_make(&g, false) < 0)
            return 1;
        if (start_one(plan, &g, &p, plan->peer_arg[i]) == 0)
            measure_inodes(&p, g.dirs.share, plan->inodes);
        else
            failed = 1;
        peer_end(&p);
        ground_clear(&g);
    }
    return failed;
}

static int run_operations(const struct plan *plan)
{
    static struct peer peers[MAX_PEERS + 1];
    struct ground g;
    unsigned n = 0;
    int failed = 0;

    if (ground_make(&g, true) < 0)
        return 1;
    for (unsigned i = 0; i < plan->n_peers; i++) {
        if (start_one(plan, &g, &peers[n], plan->peer_arg[i]) == 0) {
            n++;
        } else {
            peer_end(&peers[n]);
            failed = 1;
        }
    }
    if (plan->host && peer_start_host(&peers[n], &g) == 0)
        n++;
    measure_all(plan, peers, n);
    for (unsigned i = 0; i < n; i++) {
        failed |= peers[i].dead != 0;
        peer_end(&peers[i]);
    }
    ground_clear(&g);
    return failed;
}

/* ---- options --------------------------------------------------------------------------------- */

static const char usage[] =
    "usage: vubench --peer NAME=COMMAND ... [options]; {socket} and {dir} are filled in\n"
    "  --host            the bare system calls too\n"
    "  --only A,B        these workloads only (--list shows them)\n"
    "  --rounds N        turns of every peer (5)      --slice S   seconds a turn (0.2)\n"
    "  --cpu N           pin everything to CPU N (0 is the first; default: do not pin)\n"
    "  --queue-size N    (256)   --direct   no indirect descriptors\n"
    "  --nofile N        RLIMIT_NOFILE of the daemons\n"
    "  --idle S          CPU use of an idle connection, S seconds\n"
    "  --syscalls N      count system calls of N operations with strace\n"
    "  --inodes N        instead: look N files up and never forget them\n";

enum {
    O_HOST = 256,
    O_ONLY,
    O_ROUNDS,
    O_SLICE,
    O_CPU,
    O_QUEUE,
    O_DIRECT_,
    O_NOFILE,
    O_IDLE,
    O_SYSC,
    O_INODES,
    O_LIST,
    O_PEER
};

static void list_workloads(void)
{
    const struct workload *w;

    for (unsigned k = 0; (w = workload_at(k)); k++)
        printf("%s\t%s\n", w->name, w->unit);
}

static int parse(int argc, char **argv, struct plan *plan)
{
    static const struct option options[] = {
        {"peer", 1, 0, O_PEER},        {"host", 0, 0, O_HOST},
        {"only", 1, 0, O_ONLY},        {"rounds", 1, 0, O_ROUNDS},
        {"slice", 1, 0, O_SLICE},      {"cpu", 1, 0, O_CPU},
        {"queue-size", 1, 0, O_QUEUE}, {"direct", 0, 0, O_DIRECT_},
        {"nofile", 1, 0, O_NOFILE},    {"idle", 1, 0, O_IDLE},
        {"syscalls", 1, 0, O_SYSC},    {"inodes", 1, 0, O_INODES},
        {"list", 0, 0, O_LIST},        {0}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case O_PEER:
            if (plan->n_peers < MAX_PEERS)
                plan->peer_arg[plan->n_peers++] = optarg;
            break;
        case O_HOST:
            plan->host = true;
            break;
        case O_ONLY:
            plan->only = optarg;
            break;
        case O_ROUNDS:
            plan->rounds = (unsigned)atoi(optarg);
            break;
        case O_SLICE:
            plan->slice = atof(optarg);
            break;
        case O_CPU:
            plan->peer.cpu = atoi(optarg) + 1;
            break;
        case O_QUEUE:
            plan->peer.queue_size = (uint32_t)atoi(optarg);
            break;
        case O_DIRECT_:
            plan->peer.force_layout = true;
            plan->peer.layout &= ~(unsigned)FE_INDIRECT;
            break;
        case O_NOFILE:
            plan->peer.nofile = atol(optarg);
            break;
        case O_IDLE:
            plan->idle = atof(optarg);
            break;
        case O_SYSC:
            plan->syscalls = (unsigned)atoi(optarg);
            break;
        case O_INODES:
            plan->inodes = strtoull(optarg, NULL, 10);
            plan->peer.bare = true;
            break;
        case O_LIST:
            list_workloads();
            exit(0);
        default:
            return -EINVAL;
        }
    }
    return optind == argc && (plan->n_peers || plan->host) ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
    struct plan plan = {.rounds = 5, .slice = 0.2, .peer = {.layout = FE_PAGES}};

    if (parse(argc, argv, &plan) < 0) {
        fputs(usage, stderr);
        return 2;
    }
    pin(plan.peer.cpu);
    return plan.inodes ? run_inodes(&plan) : run_operations(&plan);
}
