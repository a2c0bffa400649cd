// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_walk.c - trees larger than what may be kept: memory here and inodes there stay bounded
 *
 * 50,000 files in `make test`, a million in `make soak`. Only our daemon says how many inodes it holds.
 */
#include "tests/client/rig.h"

#include <poll.h>

enum { PER_DIR = 1000, MAX_NODES = 4096 };

static struct rig *big_rig(unsigned dirs)
{
    char path[64];
    struct rig *r = rig_start(&(struct rig_options){
        .timeout = 600,
        .stats = rig_is_ours(),
        .cli = {.max_nodes = MAX_NODES, .max_names = 2 * MAX_NODES},
    });

    for (unsigned d = 0; d < dirs; d++) {
        snprintf(path, sizeof(path), "d%u", d);
        host_mkdir(r, path);
        for (unsigned f = 0; f < PER_DIR; f++) {
            snprintf(path, sizeof(path), "d%u/f%u", d, f);
            int fd = open(host(r, path), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
            assert_true(fd >= 0);
            close(fd);
        }
    }
    return r;
}

/* Bytes of memory of this process that are its own. */
static size_t resident(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long total, pages, shared;

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu %lu", &total, &pages, &shared), 3);
    fclose(f);
    return (pages - shared) * (size_t)sysconf(_SC_PAGESIZE);
}

struct bounds {
    uint32_t nodes, names;
    long inodes;
    size_t memory;
};

static void measure(struct rig *r, struct bounds *b)
{
    struct cli_counters n;
    size_t memory = resident();
    long inodes = rig_is_ours() ? rig_gauge(r, "virtiofsd_inodes") : 0;

    cli_counters_get(r->c, &n);
    b->nodes = n.nodes > b->nodes ? n.nodes : b->nodes;
    b->names = n.names > b->names ? n.names : b->names;
    b->inodes = inodes > b->inodes ? inodes : b->inodes;
    b->memory = memory > b->memory ? memory : b->memory;
}

static bool count_one(void *user, const struct cli_dirent *e)
{
    uint32_t *n = user;

    (void)e;
    ++*n;
    return true;
}

static void list_one(struct rig *r, unsigned d)
{
    struct cli_dir *dir;
    char path[16];
    uint32_t n = 0;

    snprintf(path, sizeof(path), "d%u", d);
    struct cli_node *node = node_at(r, path);
    assert_ok(cli_dir_open(r->c, node, &dir));
    assert_ok(cli_dir_read(r->c, dir, 0, count_one, &n));
    assert_int_equal(n, PER_DIR);
    cli_dir_close(r->c, dir);
    put(r, node);
}

static void stat_one(struct rig *r, unsigned d)
{
    struct cli_attr a;
    char path[32];

    for (unsigned f = 0; f < PER_DIR; f += 7) {
        snprintf(path, sizeof(path), "d%u/f%u", d, f);
        struct cli_node *n = node_at(r, path);
        assert_ok(cli_getattr(r->c, n, false, &a));
        put(r, n);
    }
}

/* What is to be forgotten is on its way at the next tick; a page of names may be entered meanwhile. */
static void assert_bounded(struct rig *r, unsigned dirs, const struct bounds *b,
                           size_t memory_before)
{
    struct cli_counters n;

    print_message("%u files: at most %u nodes and %u names here, %ld inodes there, %zu KiB more\n",
                  dirs * PER_DIR, b->nodes, b->names, b->inodes,
                  b->memory > memory_before ? (b->memory - memory_before) / 1024 : 0);
    assert_true(b->nodes <= MAX_NODES + 1000);
    assert_true(b->names <= 2 * MAX_NODES + 1000);
    assert_true(b->inodes <= MAX_NODES + 8000);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
    assert_true(b->memory <= memory_before + (16u << 20));
#endif
    cli_counters_get(r->c, &n);
    assert_true(n.forgotten >= dirs * PER_DIR - 2 * MAX_NODES);
}

static void test_a_walk_of_very_many_files_keeps_few_of_them(void **state)
{
    const unsigned dirs = rig_soak() ? 1000 : 50;
    struct rig *r = big_rig(dirs);
    struct bounds b = {0};
    size_t before = resident();

    (void)state;
    for (unsigned d = 0; d < dirs; d++) {
        list_one(r, d);
        stat_one(r, d);
        cli_tick(r->c);
        measure(r, &b);
    }
    assert_bounded(r, dirs, &b, before);
    if (!rig_is_ours())
        return;
    for (int ms = 0; rig_gauge(r, "virtiofsd_inodes") > MAX_NODES + 8; ms += 10) {
        assert_true(ms < PATIENCE_MS);
        cli_tick(r->c);
        poll(NULL, 0, 10);
    }
}

static void test_a_walk_by_name_keeps_few_of_them_too(void **state)
{
    const unsigned dirs = rig_soak() ? 1000 : 12;
    struct rig *r = big_rig(dirs);
    struct bounds b = {0};
    char path[32];

    (void)state;
    size_t before = resident();
    for (unsigned d = 0; d < dirs; d++) {
        for (unsigned f = 0; f < PER_DIR; f++) {
            snprintf(path, sizeof(path), "d%u/f%u", d, f);
            put(r, node_at(r, path));
        }
        cli_tick(r->c);
        measure(r, &b);
    }
    assert_bounded(r, dirs, &b, before);
}

static void test_files_in_use_are_kept_however_many_others_pass_by(void **state)
{
    struct rig *r = big_rig(8);
    struct cli_file *f[50];
    char path[32], text[8], got[8];

    (void)state;
    for (unsigned i = 0; i < ARRAY(f); i++) {
        snprintf(path, sizeof(path), "d0/f%u", i);
        f[i] = open_at(r, path, CLI_READ | CLI_WRITE);
        snprintf(text, sizeof(text), "%07u", i);
        assert_int_equal(write_at(r, f[i], text, 7, 0, 0), 7);
    }
    for (unsigned d = 1; d < 8; d++)
        list_one(r, d);
    for (unsigned i = 0; i < ARRAY(f); i++) {
        snprintf(text, sizeof(text), "%07u", i);
        assert_int_equal(read_at(r, f[i], got, 7, 0), 7);
        assert_memory_equal(got, text, 7);
        cli_file_close(r->c, f[i]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_a_walk_of_very_many_files_keeps_few_of_them),
        RIG_TEST(test_a_walk_by_name_keeps_few_of_them_too),
        RIG_TEST(test_files_in_use_are_kept_however_many_others_pass_by),
    };

    return rig_main("walk", argc, argv, tests, ARRAY(tests));
}
