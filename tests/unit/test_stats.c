// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_stats.c - counters, as a reader of the socket sees them
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/fuse/fuse_call.h"
#include "virtiofsd/host/stats.h"

struct rig {
    struct stats *stats;
    char dir[32], path[64];
    char text[512 * 1024];
};

static uint64_t answer_42(void *ctx)
{
    (*(int *)ctx)++;
    return 42;
}

static int gauge_reads;

static int setup(void **state)
{
    static struct rig r;

    strcpy(r.dir, "/tmp/viofs-stats-XXXXXX");
    if (!mkdtemp(r.dir))
        return -1;
    snprintf(r.path, sizeof(r.path), "%s/sock", r.dir);
    *state = &r;
    return stats_new(&r.stats, r.path) ||
           stats_gauge(r.stats, "virtiofsd_inodes", "Inodes that the guest knows", answer_42,
                       &gauge_reads) ||
           stats_serve(r.stats);
}

static int teardown(void **state)
{
    struct rig *r = *state;

    stats_free(r->stats);
    unlink(r->path);
    return rmdir(r->dir);
}

static int connect_to(const struct rig *r)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(addr.sun_path, r->path);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

/* Send @request (may be empty) and read until the end. */
static const char *scrape(struct rig *r, const char *request)
{
    int fd = connect_to(r);
    size_t n = 0;
    ssize_t k;

    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    while ((k = read(fd, r->text + n, sizeof(r->text) - 1 - n)) > 0)
        n += (size_t)k;
    assert_int_equal(k, 0);
    close(fd);
    r->text[n] = '\0';
    return r->text;
}

/* The value of a metric with its labels; fails when it is not there exactly once. */
static double value_of(const char *text, const char *metric)
{
    double value = -1;
    size_t len = strlen(metric);
    unsigned found = 0;

    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, metric, len) == 0 && line[len] == ' ') {
            value = strtod(line + len, NULL);
            found++;
        }
    }
    if (found != 1)
        fail_msg("%s is there %u times in\n%s", metric, found, text);
    return value;
}

static unsigned op(uint32_t opcode)
{
    return fuse_op_find(opcode)->index;
}

static void test_requests_and_errors_are_counted_by_operation(void **state)
{
    struct rig *r = *state;
    struct stats_block *b = stats_block_new(r->stats);

    for (int i = 0; i < 5; i++)
        stats_count(b, op(FUSE_LOOKUP), i < 2 ? -ENOENT : 0, 3000);
    stats_count(b, op(FUSE_LOOKUP), -EACCES, 3000);
    stats_count(b, op(FUSE_READ), 0, 1000000);
    const char *t = scrape(r, "");
    assert_true(value_of(t, "virtiofsd_requests_total{op=\"LOOKUP\"}") == 6);
    assert_true(value_of(t, "virtiofsd_requests_total{op=\"READ\"}") == 1);
    assert_true(value_of(t, "virtiofsd_errors_total{op=\"LOOKUP\",errno=\"ENOENT\"}") == 2);
    assert_true(value_of(t, "virtiofsd_errors_total{op=\"LOOKUP\",errno=\"EACCES\"}") == 1);
    assert_null(strstr(t, "errors_total{op=\"READ\""));
    assert_null(strstr(t, "op=\"WRITE\""));
    stats_block_done(r->stats, b);
}

static void test_times_fall_into_buckets_that_include_their_bound(void **state)
{
    struct rig *r = *state;
    struct stats_block *b = stats_block_new(r->stats);
    static const uint64_t ns[] = {
        0, 1024, 1025, 2048, 1ULL << 34, (1ULL << 34) + 1, UINT64_MAX / 64};
    static const char m[] = "virtiofsd_request_duration_seconds_bucket{op=\"WRITE\",le=";
    char name[128];

    for (size_t i = 0; i < sizeof(ns) / sizeof(ns[0]); i++)
        stats_count(b, op(FUSE_WRITE), 0, ns[i]);
    const char *t = scrape(r, "");
    snprintf(name, sizeof(name), "%s\"1.024e-06\"}", m);
    assert_true(value_of(t, name) == 2);
    snprintf(name, sizeof(name), "%s\"2.048e-06\"}", m);
    assert_true(value_of(t, name) == 4);
    snprintf(name, sizeof(name), "%s\"17.1798692\"}", m);
    assert_true(value_of(t, name) == 5);
    snprintf(name, sizeof(name), "%s\"+Inf\"}", m);
    assert_true(value_of(t, name) == 7);
    assert_true(value_of(t, "virtiofsd_request_duration_seconds_count{op=\"WRITE\"}") == 7);
    assert_true(value_of(t, "virtiofsd_request_duration_seconds_sum{op=\"WRITE\"}") > 34);
    stats_block_done(r->stats, b);
}

static void test_counts_outlive_their_thread(void **state)
{
    struct rig *r = *state;
    struct stats_block *a = stats_block_new(r->stats), *b = stats_block_new(r->stats),
                       *c = stats_block_new(r->stats);

    stats_count(a, op(FUSE_OPEN), 0, 1);
    stats_count(b, op(FUSE_OPEN), -EIO, 1);
    stats_count(c, op(FUSE_OPEN), 0, 1);
    stats_block_done(r->stats, b);
    stats_block_done(r->stats, c);
    const char *t = scrape(r, "");
    assert_true(value_of(t, "virtiofsd_requests_total{op=\"OPEN\"}") == 3);
    assert_true(value_of(t, "virtiofsd_errors_total{op=\"OPEN\",errno=\"EIO\"}") == 1);
    stats_block_done(r->stats, a);
}

static void test_odd_numbers_are_not_lost_and_do_no_harm(void **state)
{
    struct rig *r = *state;
    struct stats_block *b = stats_block_new(r->stats);

    stats_count(b, FUSE_N_OPS, 0, 1);
    stats_count(b, UINT32_MAX, 0, 1);
    stats_count(b, op(FUSE_FLUSH), -4095, 1);
    stats_count(b, op(FUSE_FLUSH), 5, 1);
    stats_count(NULL, op(FUSE_FLUSH), 0, 1);
    assert_null(stats_block_new(NULL));
    stats_block_done(r->stats, NULL);
    const char *t = scrape(r, "");
    assert_true(value_of(t, "virtiofsd_errors_total{op=\"FLUSH\",errno=\"other\"}") == 2);
    assert_true(value_of(t, "virtiofsd_requests_total{op=\"FLUSH\"}") == 2);
    stats_block_done(r->stats, b);
}

static void test_gauges_are_read_when_somebody_asks(void **state)
{
    struct rig *r = *state;

    gauge_reads = 0;
    assert_true(value_of(scrape(r, ""), "virtiofsd_inodes") == 42);
    assert_int_equal(gauge_reads, 1);
    assert_int_equal(stats_gauge(r->stats, "virtiofsd_late", "Too late", answer_42, NULL), -ENOSPC);
}

static void test_the_text_is_what_prometheus_expects(void **state)
{
    struct rig *r = *state;
    struct stats_block *b = stats_block_new(r->stats);

    stats_count(b, op(FUSE_GETATTR), -EIO, 5000);
    char *t = (char *)scrape(r, "");
    assert_true(value_of(t, "virtiofsd_build_info{version=\"" VIOFS_VERSION "\"}") == 1);
    for (char *line = strtok(t, "\n"); line; line = strtok(NULL, "\n")) {
        char name[128], rest[256];
        if (strncmp(line, "# HELP virtiofsd_", 17) == 0 ||
            strncmp(line, "# TYPE virtiofsd_", 17) == 0)
            continue;
        assert_int_equal(sscanf(line, "%127[a-z_]%255[^\n]", name, rest), 2);
        assert_true(rest[0] == ' ' || (rest[0] == '{' && strstr(rest, "\"} ")));
    }
    stats_block_done(r->stats, b);
}

static void test_http_gets_a_header_with_the_right_length(void **state)
{
    struct rig *r = *state;
    const char *t = scrape(r, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n");
    const char *body = strstr(t, "\r\n\r\n"), *length = strstr(t, "Content-Length: ");

    assert_int_equal(strncmp(t, "HTTP/1.0 200 OK\r\n", 17), 0);
    assert_non_null(strstr(t, "Content-Type: text/plain; version=0.0.4\r\n"));
    assert_true(body && length && length < body);
    assert_int_equal(strtoul(length + 16, NULL, 10), strlen(body + 4));
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_a_reader_that_takes_nothing_is_dropped(void **state)
{
    struct rig *r = *state;
    struct stats_block *b = stats_block_new(r->stats);
    int small = 1, slow;

    /* More text than the socket's buffers hold. */
    for (unsigned i = 0; fuse_op_at(i); i++) {
        for (int e = 1; e < 134; e++)
            stats_count(b, i, -e, 1);
    }
    slow = connect_to(r);
    setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    double begin = seconds();
    assert_true(value_of(scrape(r, ""), "virtiofsd_inodes") == 42);
    assert_true(seconds() - begin < 20);
    close(slow);
    stats_block_done(r->stats, b);
}

static void *count_much(void *arg)
{
    struct stats_block *b = stats_block_new(arg);

    for (unsigned i = 0; i < 100000; i++)
        stats_count(b, op(FUSE_READ), 0, i);
    stats_block_done(arg, b);
    return NULL;
}

static void test_threads_may_count_come_and_go_while_somebody_reads(void **state)
{
    struct rig *r = *state;
    pthread_t t[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, count_much, r->stats), 0);
    scrape(r, "GET / HTTP/1.0\r\n\r\n");
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_true(value_of(scrape(r, ""), "virtiofsd_requests_total{op=\"READ\"}") == 400000);
}

static void test_only_the_owner_may_connect(void **state)
{
    struct rig *r = *state;
    struct stat st;

    assert_int_equal(stat(r->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void test_a_socket_in_use_is_left_alone_and_a_stale_one_replaced(void **state)
{
    struct rig *r = *state;
    struct stats *other;

    assert_int_equal(stats_new(&other, r->path), -EADDRINUSE);
    stats_free(r->stats);
    assert_int_equal(stats_new(&r->stats, r->path), 0);
    assert_int_equal(stats_serve(r->stats), 0);
    assert_non_null(strstr(scrape(r, ""), "virtiofsd_build_info"));
}

static void test_a_file_in_the_way_is_not_removed(void **state)
{
    struct rig *r = *state;
    struct stats *other;
    char path[128];

    snprintf(path, sizeof(path), "%s/file", r->dir);
    fclose(fopen(path, "w"));
    assert_int_equal(stats_new(&other, path), -EADDRINUSE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(stats_new(&other, "/nonexistent/dir/sock"), -ENOENT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_requests_and_errors_are_counted_by_operation),
        T(test_times_fall_into_buckets_that_include_their_bound),
        T(test_counts_outlive_their_thread),
        T(test_odd_numbers_are_not_lost_and_do_no_harm),
        T(test_gauges_are_read_when_somebody_asks),
        T(test_the_text_is_what_prometheus_expects),
        T(test_http_gets_a_header_with_the_right_length),
        T(test_a_reader_that_takes_nothing_is_dropped),
        T(test_threads_may_count_come_and_go_while_somebody_reads),
        T(test_only_the_owner_may_connect),
        T(test_a_socket_in_use_is_left_alone_and_a_stale_one_replaced),
        T(test_a_file_in_the_way_is_not_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
