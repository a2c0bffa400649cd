// SPDX-License-Identifier: BSD-3-Clause
/*
 * stats_text.c - the counters as Prometheus text
 *
 * Format: "text-based exposition format" 0.0.4 of the Prometheus documentation. An operation that has
 * not been asked for yet has no lines.
 *
 * Ownership: prints what the caller has summed up.   Locks: none.
 */
#include <inttypes.h>
#include <string.h>

#include "host/stats_int.h"
#include "lib/fuse/fuse_call.h"

static uint64_t requests(const struct stats_sum *s, unsigned op)
{
    uint64_t n = 0;

    for (unsigned b = 0; b < STATS_BUCKETS; b++)
        n += s->bucket[op][b];
    return n;
}

static const char *op_name(unsigned op)
{
    const struct fuse_op *row = fuse_op_at(op);

    return row ? row->name : "unknown";
}

static void head(FILE *f, const char *name, const char *type, const char *help)
{
    fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_gauge(FILE *f, const struct stats_gauge *g)
{
    uint64_t value = g->read(g->ctx);

    head(f, g->name, g->seconds ? "counter" : "gauge", g->help);
    if (g->seconds)
        fprintf(f, "%s %.9f\n", g->name, (double)value / 1e9);
    else
        fprintf(f, "%s %" PRIu64 "\n", g->name, value);
}

static void print_errors(FILE *f, const struct stats_sum *s, unsigned op)
{
    for (unsigned e = 0; e < STATS_ERRNOS; e++) {
        const char *name = e ? strerrorname_np((int)e) : "other";
        if (s->errors[op][e])
            fprintf(f, "virtiofsd_errors_total{op=\"%s\",errno=\"%s\"} %" PRIu64 "\n", op_name(op),
                    name ? name : "other", s->errors[op][e]);
    }
}

static void print_histogram(FILE *f, const struct stats_sum *s, unsigned op)
{
    const char *metric = "virtiofsd_request_duration_seconds", *name = op_name(op);
    uint64_t n = 0;

    for (unsigned b = 0; b < STATS_BUCKETS - 1; b++) {
        n += s->bucket[op][b];
        fprintf(f, "%s_bucket{op=\"%s\",le=\"%.9g\"} %" PRIu64 "\n", metric, name,
                (double)(1ULL << (b + STATS_FIRST_LOG2)) / 1e9, n);
    }
    n += s->bucket[op][STATS_BUCKETS - 1];
    fprintf(f, "%s_bucket{op=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", metric, name, n);
    fprintf(f, "%s_sum{op=\"%s\"} %.9f\n", metric, name, (double)s->ns[op] / 1e9);
    fprintf(f, "%s_count{op=\"%s\"} %" PRIu64 "\n", metric, name, n);
}

void stats_print(FILE *f, const struct stats_sum *s, const struct stats_gauge *gauge,
                 unsigned n_gauges)
{
    head(f, "virtiofsd_build_info", "gauge", "What is running");
    fprintf(f, "virtiofsd_build_info{version=\"%s\"} 1\n", VIOFS_VERSION);

    for (unsigned i = 0; i < n_gauges; i++)
        print_gauge(f, &gauge[i]);

    head(f, "virtiofsd_requests_total", "counter", "Requests answered");
    for (unsigned op = 0; op < FUSE_N_OPS; op++) {
        if (requests(s, op))
            fprintf(f, "virtiofsd_requests_total{op=\"%s\"} %" PRIu64 "\n", op_name(op),
                    requests(s, op));
    }
    head(f, "virtiofsd_errors_total", "counter", "Requests answered with an error");
    for (unsigned op = 0; op < FUSE_N_OPS; op++)
        print_errors(f, s, op);
    head(f, "virtiofsd_request_duration_seconds", "histogram",
         "Time from request taken to reply ready");
    for (unsigned op = 0; op < FUSE_N_OPS; op++) {
        if (requests(s, op))
            print_histogram(f, s, op);
    }
}
