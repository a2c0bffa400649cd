// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_data.c - what is written is what is read, whoever asks and however long
 */
#include "tests/client/rig.h"

#define KIB 1024u
#define MIB (1024u * KIB)

/* ---- the end of a file ------------------------------------------------------------------------- */

static void test_a_long_read_of_a_file_that_ends_between_two_requests_gets_all_of_it(void **state)
{
    struct rig *r = rig_up();
    struct cli_session s;
    uint8_t *p = buffer(3 * MIB);

    (void)state;
    cli_session_get(r->c, &s);
    assert_true(s.max_read <= MIB);
    host_pattern(r, "file", s.max_read, 1);
    struct cli_file *f = open_at(r, "file", CLI_READ);
    struct cli_io io = {.buf = p, .len = 3 * s.max_read};
    assert_ok(cli_read(r->c, f, &io));
    assert_int_equal(io.error, 0);
    assert_int_equal(io.bytes, s.max_read);
    assert_pattern(p, s.max_read, 0, 1);
    cli_file_close(r->c, f);
    free(p);
}

static void test_reads_of_any_length_end_where_the_file_ends(void **state)
{
    struct rig *r = rig_up();
    struct cli_session s;

    (void)state;
    cli_session_get(r->c, &s);
    const uint32_t m = s.max_read;
    const uint32_t sizes[] = {0, 1, 4095, 4096, m - 1, m, m + 1, 2 * m, 2 * m + 5};
    const uint32_t lens[] = {1, 4096, m, m + 1, 3 * m};
    uint8_t *p = buffer(3 * (size_t)m + 1);

    for (unsigned i = 0; i < ARRAY(sizes); i++) {
        const uint32_t offsets[] = {0, 1, sizes[i] / 2, sizes[i], sizes[i] + 7};
        char name[16];

        snprintf(name, sizeof(name), "f%u", i);
        host_pattern(r, name, sizes[i], i);
        struct cli_file *f = open_at(r, name, CLI_READ);
        for (unsigned j = 0; j < ARRAY(lens) * ARRAY(offsets); j++) {
            uint32_t len = lens[j % ARRAY(lens)], at = offsets[j / ARRAY(lens)];
            uint32_t left = at < sizes[i] ? sizes[i] - at : 0;
            uint32_t want = left < len ? left : len;

            p[want] = 0xa5;
            assert_int_equal(read_at(r, f, p, len, at), want);
            assert_pattern(p, want, at, i);
            assert_true(want == len || p[want] == 0xa5); /* nothing beyond the end is touched */
        }
        cli_file_close(r->c, f);
    }
    free(p);
}

static void test_an_empty_transfer_asks_nothing(void **state)
{
    struct rig *r = rig_up();
    struct cli_file *f = create(r, "f", CLI_READ | CLI_WRITE);
    uint64_t before = requests(r);
    uint8_t p[1];

    (void)state;
    assert_int_equal(read_at(r, f, p, 0, 0), 0);
    assert_int_equal(write_at(r, f, p, 0, 5, 0), 0);
    assert_int_equal(requests(r), before);
    cli_file_close(r->c, f);
}

static void test_offsets_that_no_file_has_are_refused(void **state)
{
    struct rig *r = rig_up();
    struct cli_file *f = create(r, "f", CLI_READ | CLI_WRITE);
    uint8_t p[8] = {0};

    (void)state;
    assert_int_equal(read_at(r, f, p, 8, INT64_MAX - 3ull), -LE_EINVAL);
    assert_int_equal(write_at(r, f, p, 8, INT64_MAX - 3ull, 0), -LE_EFBIG);
    assert_int_equal(write_at(r, f, p, 8, UINT64_MAX, 0), -LE_EFBIG);
    cli_file_close(r->c, f);
}

/* ---- any opener serves any I/O ------------------------------------------------------------------- */

static void test_paging_writes_go_through_an_opener_that_only_reads(void **state)
{
    struct rig *r = rig_up();
    uint8_t p[100], got[100];

    (void)state;
    host_pattern(r, "f", 100, 1);
    struct cli_file *reader = open_at(r, "f", CLI_READ);
    struct cli_file *writer = open_at(r, "f", CLI_WRITE);
    fill(p, 50, 0, 2);
    assert_int_equal(write_at(r, reader, p, 50, 0, CLI_IO_CONSTRAINED), 50);
    assert_int_equal(host_read(r, "f", got, sizeof(got)), 100);
    assert_memory_equal(got, p, 50);
    assert_pattern(got + 50, 50, 50, 1);
    cli_file_close(r->c, writer);
    cli_file_close(r->c, reader);
}

static void test_paging_reads_go_through_an_opener_that_only_writes(void **state)
{
    struct rig *r = rig_up();
    uint8_t p[100];

    (void)state;
    host_pattern(r, "f", 100, 1);
    struct cli_file *f = open_at(r, "f", CLI_WRITE);
    assert_int_equal(read_at(r, f, p, 100, 0), 100);
    assert_pattern(p, 100, 0, 1);
    cli_file_close(r->c, f);
}

static void test_paging_writes_never_make_a_file_longer(void **state)
{
    struct rig *r = rig_up();
    uint8_t p[4096] = {0};

    (void)state;
    host_pattern(r, "f", 100, 1);
    struct cli_file *f = open_at(r, "f", CLI_WRITE);
    assert_int_equal(write_at(r, f, p, 4096, 0, CLI_IO_CONSTRAINED), 100);
    assert_int_equal(write_at(r, f, p, 4096, 60, CLI_IO_CONSTRAINED), 40);
    assert_int_equal(write_at(r, f, p, 4096, 100, CLI_IO_CONSTRAINED), 0);
    assert_int_equal(write_at(r, f, p, 4096, 5000, CLI_IO_CONSTRAINED), 0);
    assert_int_equal(host_stat(r, "f").st_size, 100);
    cli_file_close(r->c, f);
}

/* ---- sizes without asking ------------------------------------------------------------------------ */

static void test_a_write_tells_the_new_size_without_a_request(void **state)
{
    struct rig *r = rig_up();
    struct cli_file *f = create(r, "f", CLI_READ | CLI_WRITE);
    struct cli_attr a;
    uint8_t p[300] = {0};

    (void)state;
    assert_int_equal(write_at(r, f, p, 300, 1000, 0), 300);
    uint64_t before = requests(r);
    assert_ok(cli_getattr(r->c, cli_file_node(f), false, &a));
    assert_int_equal(a.size, 1300);
    assert_int_equal(write_at(r, f, p, 10, 0, 0), 10);
    assert_ok(cli_getattr(r->c, cli_file_node(f), false, &a));
    assert_int_equal(a.size, 1300);
    assert_int_equal(write_at(r, f, p, 7, 0, CLI_IO_APPEND), 7);
    assert_ok(cli_getattr(r->c, cli_file_node(f), false, &a));
    assert_int_equal(a.size, 1307);
    /* the two writes, OPEN for appending; and each size, if the host lets nothing be kept */
    assert_int_equal(requests(r), before + (rig_caches() ? 3 : 6));
    cli_file_close(r->c, f);
}

static void test_an_append_tells_where_it_went(void **state)
{
    struct rig *r = rig_up();
    struct cli_file *f = create(r, "f", CLI_WRITE);
    uint8_t p[300] = {0};
    struct cli_io io = {.buf = p, .len = 300, .flags = CLI_IO_APPEND, .offset = 7};

    (void)state;
    /* without a size that holds nobody can know */
    assert_ok(cli_write(r->c, f, &io));
    assert_true(io.at == (rig_caches() ? 0 : UINT64_MAX));
    assert_ok(cli_write(r->c, f, &io));
    assert_true(io.at == (rig_caches() ? 300 : UINT64_MAX));
    assert_int_equal(host_stat(r, "f").st_size, 600);
    cli_file_close(r->c, f);
}

static void test_sizes_after_truncation_are_those_of_the_host(void **state)
{
    struct rig *r = rig_up();
    struct cli_file *f = create(r, "f", CLI_READ | CLI_WRITE);
    struct cli_attr a = {.size = 5}, now;
    uint8_t p[300], got[300];

    (void)state;
    fill(p, 300, 0, 1);
    assert_int_equal(write_at(r, f, p, 300, 0, 0), 300);
    assert_ok(cli_setattr(r->c, cli_file_node(f), CLI_SET_SIZE, &a, &now));
    assert_int_equal(now.size, 5);
    assert_int_equal(write_at(r, f, p, 3, 0, 0), 3);
    assert_ok(cli_getattr(r->c, cli_file_node(f), false, &now));
    assert_int_equal(now.size, 5);
    assert_int_equal(write_at(r, f, p + 5, 4, 0, CLI_IO_APPEND), 4);
    assert_int_equal(read_at(r, f, got, 300, 0), 9);
    assert_memory_equal(got, p, 9);
    cli_file_close(r->c, f);
}

/* ---- many at once ---------------------------------------------------------------------------------- */

struct model_thread {
    struct rig *r;
    struct cli_file *f;
    uint64_t seed;
    uint8_t *want; /* what the file is */
    uint32_t size;
    unsigned steps;
    const char *failed;
};

#define MODEL_MAX (3u * MIB)

static const char *model_write(struct model_thread *m, uint64_t *s, uint8_t *p, bool append)
{
    uint32_t at = append ? m->size : rng(s) % (m->size + 5000);
    uint32_t len = rng(s) % 8 ? 1 + rng(s) % 9000 : 1 + rng(s) % (2 * MIB);

    if (at >= MODEL_MAX)
        return NULL;
    len = at + len > MODEL_MAX ? MODEL_MAX - at : len;
    fill(p, len, at, rng(s));
    if (write_at(m->r, m->f, p, len, at, append ? CLI_IO_APPEND : 0) != len)
        return "a write was short";
    if (at > m->size)
        memset(m->want + m->size, 0, at - m->size);
    memcpy(m->want + at, p, len);
    m->size = at + len > m->size ? at + len : m->size;
    return NULL;
}

static const char *model_read(struct model_thread *m, uint64_t *s, uint8_t *p)
{
    uint32_t at = rng(s) % (m->size + 100), len = 1 + rng(s) % (rng(s) % 8 ? 9000 : MODEL_MAX);
    uint32_t left = at < m->size ? m->size - at : 0;
    uint32_t want = left < len ? left : len;

    if (read_at(m->r, m->f, p, len, at) != want)
        return "a read has the wrong length";
    return memcmp(p, m->want + at, want) ? "a read has the wrong bytes" : NULL;
}

static const char *model_truncate(struct model_thread *m, uint64_t *s)
{
    struct cli_attr a = {.size = rng(s) % (m->size + 5000)};
    struct cli_attr now;

    if (a.size > MODEL_MAX)
        return NULL;
    if (cli_setattr(m->r->c, cli_file_node(m->f), CLI_SET_SIZE, &a, &now) != 0)
        return "a truncation failed";
    if (a.size > m->size)
        memset(m->want + m->size, 0, a.size - m->size);
    m->size = (uint32_t)a.size;
    return NULL;
}

static const char *model_size(struct model_thread *m)
{
    struct cli_attr a;

    if (cli_getattr(m->r->c, cli_file_node(m->f), false, &a) != 0)
        return "no attributes";
    return a.size == m->size ? NULL : "attributes have the wrong size";
}

static void *model_run(void *arg)
{
    struct model_thread *m = arg;
    uint8_t *p = malloc(MODEL_MAX + 1);
    uint64_t s = m->seed;

    for (unsigned i = 0; i < m->steps && !m->failed; i++) {
        uint32_t what = rng(&s) % 16;

        if (what < 5)
            m->failed = model_write(m, &s, p, false);
        else if (what < 7)
            m->failed = model_write(m, &s, p, true);
        else if (what < 13)
            m->failed = model_read(m, &s, p);
        else if (what < 14)
            m->failed = model_truncate(m, &s);
        else
            m->failed = model_size(m);
    }
    free(p);
    return NULL;
}

static void test_random_work_of_several_threads_leaves_what_the_model_has(void **state)
{
    struct rig *r = rig_start(&(struct rig_options){.vht = {.queues = rig_is_ours() ? 3 : 1}});
    struct model_thread m[4] = {0};
    pthread_t t[ARRAY(m)];
    uint8_t *got = buffer(MODEL_MAX + 1);

    (void)state;
    for (unsigned i = 0; i < ARRAY(m); i++) {
        char name[16];

        snprintf(name, sizeof(name), "f%u", i);
        m[i] = (struct model_thread){
            .r = r, .seed = i + 1, .steps = rig_soak() ? 20000 : 300, .want = buffer(MODEL_MAX)};
        m[i].f = create(r, name, CLI_READ | CLI_WRITE);
        assert_ok(pthread_create(&t[i], NULL, model_run, &m[i]));
    }
    for (unsigned i = 0; i < ARRAY(m); i++) {
        char name[16];

        pthread_join(t[i], NULL);
        snprintf(name, sizeof(name), "f%u", i);
        if (m[i].failed)
            print_error("seed %u: %s\n", i + 1, m[i].failed);
        assert_null(m[i].failed);
        assert_int_equal(host_read(r, name, got, MODEL_MAX + 1), m[i].size);
        assert_memory_equal(got, m[i].want, m[i].size);
        cli_file_close(r->c, m[i].f);
        free(m[i].want);
    }
    free(got);
}

/* ---- appends --------------------------------------------------------------------------------------- */

#define RECORDS 24u

struct append_thread {
    struct rig *r;
    uint32_t number, record;
    bool failed;
};

static void *append_run(void *arg)
{
    struct append_thread *a = arg;
    struct cli_file *f = open_at(a->r, "log", CLI_WRITE);
    uint32_t *p = malloc(a->record);

    for (uint32_t i = 0; i < RECORDS && !a->failed; i++) {
        for (uint32_t j = 0; j < a->record / 4; j++)
            p[j] = a->number << 24 | i << 16 | (j & 0xffff);
        a->failed = write_at(a->r, f, p, a->record, 0, CLI_IO_APPEND) != a->record;
    }
    free(p);
    cli_file_close(a->r->c, f);
    return NULL;
}

/* Records of all threads lie there whole, each thread's in order. */
static void check_log(struct rig *r, uint32_t threads, uint32_t record)
{
    size_t len = (size_t)threads * RECORDS * record;
    uint32_t *p = (uint32_t *)(void *)buffer(len + 1), next[256] = {0};

    assert_int_equal(host_read(r, "log", p, len + 1), len);
    for (size_t at = 0; at < len / 4; at += record / 4) {
        uint32_t who = p[at] >> 24, which = p[at] >> 16 & 0xff;

        assert_true(who < threads);
        assert_int_equal(which, next[who]++);
        for (uint32_t j = 0; j < record / 4; j++)
            if (p[at + j] != (who << 24 | which << 16 | (j & 0xffff)))
                fail_msg("record %u of thread %u is torn at %u", which, who, j);
    }
    free(p);
}

static void append_from_threads(uint32_t record)
{
    struct rig *r = rig_start(&(struct rig_options){.vht = {.queues = rig_is_ours() ? 3 : 1}});
    struct append_thread a[6];
    pthread_t t[ARRAY(a)];

    host_write(r, "log", "", 0);
    for (uint32_t i = 0; i < ARRAY(a); i++) {
        a[i] = (struct append_thread){.r = r, .number = i, .record = record};
        assert_ok(pthread_create(&t[i], NULL, append_run, &a[i]));
    }
    for (uint32_t i = 0; i < ARRAY(a); i++) {
        pthread_join(t[i], NULL);
        assert_false(a[i].failed);
    }
    check_log(r, ARRAY(a), record);
}

static void test_appends_of_several_threads_do_not_overwrite_each_other(void **state)
{
    (void)state;
    append_from_threads(4000);
}

static void test_appends_longer_than_a_request_stay_whole(void **state)
{
    (void)state;
    append_from_threads(MIB + 64 * KIB);
}

static void test_appends_do_not_overwrite_what_the_host_appends(void **state)
{
    struct rig *r = rig_up();
    uint8_t got[4096];

    (void)state;
    host_write(r, "log", "", 0);
    struct cli_file *f = open_at(r, "log", CLI_WRITE);
    int fd = open(host(r, "log"), O_WRONLY | O_APPEND | O_CLOEXEC);
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(write(fd, "host", 4), 4);
        assert_int_equal(write_at(r, f, "mine", 4, 0, CLI_IO_APPEND), 4);
    }
    close(fd);
    assert_int_equal(host_read(r, "log", got, sizeof(got)), 512);
    for (unsigned i = 0; i < 64; i++)
        assert_memory_equal(got + (size_t)i * 8, "hostmine", 8);
    cli_file_close(r->c, f);
}

/* ---- the rest ------------------------------------------------------------------------------------------ */

static void test_openers_share_a_handle(void **state)
{
    struct rig *r = rig_up();
    struct cli_file *f[8];

    (void)state;
    host_pattern(r, "f", 10, 1);
    for (unsigned i = 0; i < ARRAY(f); i++)
        f[i] = open_at(r, "f", i ? CLI_READ : CLI_READ | CLI_WRITE);
    assert_int_equal(requests_of(r, FUSE_OPEN), 1);
    for (unsigned i = 0; i < ARRAY(f); i++)
        cli_file_close(r->c, f[i]);
    assert_int_equal(requests_of(r, FUSE_RELEASE), 1);
}

static void test_what_is_not_a_regular_file_is_not_opened(void **state)
{
    struct rig *r = rig_up();
    struct cli_file *f;

    (void)state;
    host_mkdir(r, "dir");
    assert_ok(symlink("x", host(r, "link")));
    assert_ok(mkfifo(host(r, "pipe"), 0644));
    struct cli_node *dir = node_at(r, "dir"), *link = node_at(r, "link"),
                    *pipe = node_at(r, "pipe");
    assert_int_equal(cli_file_open(r->c, dir, CLI_READ, &f), -LE_EISDIR);
    assert_int_equal(cli_file_open(r->c, link, CLI_READ, &f), -LE_ELOOP);
    assert_int_equal(cli_file_open(r->c, pipe, CLI_READ, &f), -LE_ENXIO);
    assert_int_equal(requests_of(r, FUSE_OPEN), 0);
    put(r, dir);
    put(r, link);
    put(r, pipe);
}

static void test_an_open_file_that_was_deleted_still_has_its_data(void **state)
{
    struct rig *r = rig_up();
    struct cli_attr a = {.size = 50}, now;
    uint8_t p[100];

    (void)state;
    host_pattern(r, "f", 100, 1);
    struct cli_file *f = open_at(r, "f", CLI_READ | CLI_WRITE);
    assert_ok(cli_unlink(r->c, r->root, name_of("f")));
    assert_int_equal(read_at(r, f, p, 100, 0), 100);
    assert_pattern(p, 100, 0, 1);
    assert_ok(cli_setattr(r->c, cli_file_node(f), CLI_SET_SIZE, &a, &now));
    assert_int_equal(read_at(r, f, p, 100, 0), 50);
    cli_file_close(r->c, f);
}

static void test_a_read_only_share_is_not_even_asked(void **state)
{
    struct rig *r = rig_start(&(struct rig_options){.cli = {.read_only = true}});
    struct cli_file *f;
    uint8_t p[10] = {0};

    (void)state;
    host_pattern(r, "f", 10, 1);
    struct cli_node *n = node_at(r, "f");
    assert_int_equal(cli_file_open(r->c, n, CLI_WRITE, &f), -LE_EROFS);
    f = open_at(r, "f", CLI_READ);
    assert_int_equal(write_at(r, f, p, 10, 0, 0), -LE_EROFS);
    assert_int_equal(cli_allocate(r->c, f, 0, 100), -LE_EROFS);
    assert_int_equal(requests_of(r, FUSE_WRITE), 0);
    cli_file_close(r->c, f);
    put(r, n);
}

static void test_space_is_allocated_and_the_size_stays(void **state)
{
    struct rig *r = rig_up();
    struct cli_file *f = create(r, "f", CLI_WRITE);
    struct cli_attr a;

    (void)state;
    int e = cli_allocate(r->c, f, 0, MIB);
    assert_ok(e);
    assert_int_equal(host_stat(r, "f").st_size, 0);
    assert_true(host_stat(r, "f").st_blocks >= MIB / 512);
    assert_ok(cli_getattr(r->c, cli_file_node(f), false, &a));
    assert_int_equal(a.size, 0);
    assert_true(a.blocks >= MIB / 512);
    assert_int_equal(cli_allocate(r->c, f, 1, INT64_MAX), -LE_EFBIG);
    cli_file_close(r->c, f);
}

static void test_files_and_directories_are_synced_open_or_not(void **state)
{
    struct rig *r = rig_up();
    struct cli_file *f = create(r, "f", CLI_WRITE);
    struct cli_node *n = cli_node_get(cli_file_node(f));

    (void)state;
    assert_ok(cli_fsync(r->c, n));
    assert_int_equal(requests_of(r, FUSE_FSYNC), 1);
    assert_int_equal(requests_of(r, FUSE_OPEN), 0);
    cli_file_close(r->c, f);
    assert_ok(cli_fsync(r->c, n));
    assert_int_equal(requests_of(r, FUSE_FSYNC), 2);
    assert_ok(cli_fsync(r->c, r->root));
    assert_int_equal(requests_of(r, FUSE_FSYNCDIR), 1);
    put(r, n);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_a_long_read_of_a_file_that_ends_between_two_requests_gets_all_of_it),
        RIG_TEST(test_reads_of_any_length_end_where_the_file_ends),
        RIG_TEST(test_an_empty_transfer_asks_nothing),
        RIG_TEST(test_offsets_that_no_file_has_are_refused),
        RIG_TEST(test_paging_writes_go_through_an_opener_that_only_reads),
        RIG_TEST(test_paging_reads_go_through_an_opener_that_only_writes),
        RIG_TEST(test_paging_writes_never_make_a_file_longer),
        RIG_TEST(test_a_write_tells_the_new_size_without_a_request),
        RIG_TEST(test_an_append_tells_where_it_went),
        RIG_TEST(test_sizes_after_truncation_are_those_of_the_host),
        RIG_TEST(test_random_work_of_several_threads_leaves_what_the_model_has),
        RIG_TEST(test_appends_of_several_threads_do_not_overwrite_each_other),
        RIG_TEST(test_appends_longer_than_a_request_stay_whole),
        RIG_TEST(test_appends_do_not_overwrite_what_the_host_appends),
        RIG_TEST(test_openers_share_a_handle),
        RIG_TEST(test_what_is_not_a_regular_file_is_not_opened),
        RIG_TEST(test_an_open_file_that_was_deleted_still_has_its_data),
        RIG_TEST(test_a_read_only_share_is_not_even_asked),
        RIG_TEST(test_space_is_allocated_and_the_size_stays),
        RIG_TEST(test_files_and_directories_are_synced_open_or_not),
    };

    return rig_main("data", argc, argv, tests, ARRAY(tests));
}
