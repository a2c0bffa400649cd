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

/* What is printed now, and of which share. */
struct page {
    FILE *f;
    const char *label;
    const struct stats_sum *sum;
};

/* "{share="name",": labels of a line that has others as well. */
static void begin_labels(const struct page *p)
{
    if (p->label)
        fprintf(p->f, "{share=\"%s\",", p->label);
    else
        fputc('{', p->f);
}

static void print_requests(const struct page *p, unsigned op)
{
    if (requests(p->sum, op) == 0)
        return;
    fputs("virtiofsd_requests_total", p->f);
    begin_labels(p);
    fprintf(p->f, "op=\"%s\"} %" PRIu64 "\n", op_name(op), requests(p->sum, op));
}

static void print_errors(const struct page *p, unsigned op)
{
    for (unsigned e = 0; e < STATS_ERRNOS; e++) {
        const char *name = e ? strerrorname_np((int)e) : "other";
        if (p->sum->errors[op][e] == 0)
            continue;
        fputs("virtiofsd_errors_total", p->f);
        begin_labels(p);
        fprintf(p->f, "op=\"%s\",errno=\"%s\"} %" PRIu64 "\n", op_name(op), name ? name : "other",
                p->sum->errors[op][e]);
    }
}

#define DURATION "virtiofsd_request_duration_seconds"

static void print_bucket(const struct page *p, unsigned op, const char *le, uint64_t n)
{
    fputs(DURATION "_bucket", p->f);
    begin_labels(p);
    fprintf(p->f, "op=\"%s\",le=\"%s\"} %" PRIu64 "\n", op_name(op), le, n);
}

static void print_histogram(const struct page *p, unsigned op)
{
    uint64_t n = 0;
    char le[32];

    if (requests(p->sum, op) == 0)
        return;
    for (unsigned b = 0; b < STATS_BUCKETS - 1; b++) {
        n += p->sum->bucket[op][b];
        snprintf(le, sizeof(le), "%.9g", (double)(1ULL << (b + STATS_FIRST_LOG2)) / 1e9);
        print_bucket(p, op, le, n);
    }
    n += p->sum->bucket[op][STATS_BUCKETS - 1];
    print_bucket(p, op, "+Inf", n);
    fputs(DURATION "_sum", p->f);
    begin_labels(p);
    fprintf(p->f, "op=\"%s\"} %.9f\n", op_name(op), (double)p->sum->ns[op] / 1e9);
    fputs(DURATION "_count", p->f);
    begin_labels(p);
    fprintf(p->f, "op=\"%s\"} %" PRIu64 "\n", op_name(op), n);
}

static bool is_gauge(const struct stats_gauge *g, const char *name)
{
    return g->name == name || strcmp(g->name, name) == 0;
}

static void print_gauge(FILE *f, const struct stats_gauge *g, const char *label)
{
    uint64_t value = g->read(g->ctx);

    fputs(g->name, f);
    if (label)
        fprintf(f, "{share=\"%s\"}", label);
    if (g->seconds)
        fprintf(f, " %.9f\n", (double)value / 1e9);
    else
        fprintf(f, " %" PRIu64 "\n", value);
}

/* A gauge of all shares that have it. */
static void print_gauges(FILE *f, const struct stats_source *source, unsigned n,
                         const struct stats_gauge *like)
{
    head(f, like->name, like->seconds ? "counter" : "gauge", like->help);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned g = 0; g < source[i].n_gauges; g++) {
            if (is_gauge(&source[i].gauge[g], like->name))
                print_gauge(f, &source[i].gauge[g], source[i].label);
        }
    }
}

/* Each gauge that some share has, once. Return: how many. */
static unsigned list_gauges(const struct stats_source *source, unsigned n,
                            const struct stats_gauge *list[static STATS_MAX_GAUGES])
{
    unsigned n_list = 0;

    for (unsigned i = 0; i < n; i++) {
        for (unsigned g = 0; g < source[i].n_gauges; g++) {
            unsigned k = 0;
            while (k < n_list && !is_gauge(list[k], source[i].gauge[g].name))
                k++;
            if (k == n_list && n_list < STATS_MAX_GAUGES)
                list[n_list++] = &source[i].gauge[g];
        }
    }
    return n_list;
}

static const struct {
    const char *name, *type, *help;
    void (*print)(const struct page *p, unsigned op);
} counters[] = {
    {"virtiofsd_requests_total", "counter", "Requests answered", print_requests},
    {"virtiofsd_errors_total", "counter", "Requests answered with an error", print_errors},
    {DURATION, "histogram", "Time from request taken to reply ready", print_histogram},
};

void stats_print(FILE *f, const struct stats_source *source, unsigned n,
                 const struct stats_sum *(*sum)(void *ctx, const struct stats *stats), void *ctx)
{
    head(f, "virtiofsd_build_info", "gauge", "What is running");
    fprintf(f, "virtiofsd_build_info{version=\"%s\"} 1\n", VIOFS_VERSION);

    const struct stats_gauge *gauge[STATS_MAX_GAUGES];
    unsigned n_gauges = list_gauges(source, n, gauge);
    for (unsigned g = 0; g < n_gauges; g++)
        print_gauges(f, source, n, gauge[g]);
    for (size_t c = 0; c < sizeof(counters) / sizeof(counters[0]); c++) {
        head(f, counters[c].name, counters[c].type, counters[c].help);
        for (unsigned i = 0; i < n; i++) {
            struct page p = {f, source[i].label, sum(ctx, source[i].stats)};
            for (unsigned op = 0; op < FUSE_N_OPS; op++)
                counters[c].print(&p, op);
        }
    }
}
