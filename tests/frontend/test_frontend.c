// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_frontend.c - the test front end itself, against a daemon that is not ours
 *
 * If these fail, what other tests say about our daemon means nothing. The daemon is Debian's C
 * virtiofsd; without it the test is skipped (and the run says so).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/frontend/daemon.h"
#include "tests/frontend/fuse_client.h"

#define PEER "/usr/lib/qemu/virtiofsd"

static const char *const peer_argv[] = {PEER, "--socket-path={socket}", "-o", "source={dir}",
                                        "-o", "sandbox=chroot",         NULL};

struct rig {
    struct daemon d;
    struct fe *fe;
    struct fc c;
};

static void rig_up(struct rig *r, const struct fe_options *o)
{
    assert_int_equal(daemon_start(&r->d, peer_argv, NULL), 0);
    assert_int_equal(fe_open(&r->fe, o, r->d.socket), 0);
    assert_int_equal(fc_open(&r->c, r->fe, FE_REQUESTS), 0);
    assert_int_equal(fc_init(&r->c), 0);
}

static void rig_down(struct rig *r)
{
    fc_close(&r->c);
    fe_free(r->fe);
    assert_false(daemon_complained(&r->d));
    daemon_end(&r->d);
}

static void put_file(struct rig *r, const char *rel, const void *data, size_t len)
{
    char path[PATH_MAX];
    int fd = open(daemon_share_path(&r->d, rel, path), O_CREAT | O_WRONLY | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

/* A pattern in which no two pages are alike. */
static void fill(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 31 + (i >> 12) * 7);
}

static void write_and_read_back(const struct fe_options *o)
{
    static uint8_t out[FC_MAX_DATA], in[FC_MAX_DATA];
    struct fuse_entry_out e;
    struct rig r;
    uint64_t fh;

    rig_up(&r, o);
    fill(out, sizeof(out));
    assert_int_equal(fc_create(&r.c, FC_ROOT, "file", O_RDWR, 0644, &e, &fh), 0);
    assert_int_equal(fc_write(&r.c, e.nodeid, fh, out, sizeof(out), 0), sizeof(out));
    assert_int_equal(fc_read(&r.c, e.nodeid, fh, in, sizeof(in), 0), sizeof(in));
    assert_memory_equal(out, in, sizeof(in));
    assert_int_equal(fc_read(&r.c, e.nodeid, fh, in, 10000, 4097), 10000);
    assert_memory_equal(out + 4097, in, 10000);
    assert_int_equal(fc_release(&r.c, e.nodeid, fh), 0);
    rig_down(&r);
}

static void test_data_survives_direct_chains(void **state)
{
    (void)state;
    write_and_read_back(&(struct fe_options){.force_layout = true});
}

static void test_data_survives_indirect_chains(void **state)
{
    (void)state;
    write_and_read_back(&(struct fe_options){0});
}

static void test_data_survives_scattered_pages(void **state)
{
    (void)state;
    write_and_read_back(&(struct fe_options){.layout = FE_PAGES | FE_SCATTER, .queue_size = 1024});
}

static void test_data_survives_pipes_and_spinning(void **state)
{
    (void)state;
    write_and_read_back(&(struct fe_options){.pipes = true, .wait = FE_SPIN});
}

static void test_data_survives_without_event_idx(void **state)
{
    (void)state;
    write_and_read_back(&(struct fe_options){.refuse_virtio = 1ull << RING_F_EVENT_IDX});
}

static void test_names_and_attributes_are_those_of_the_host(void **state)
{
    struct fuse_entry_out e;
    struct fuse_attr a;
    char path[PATH_MAX];
    struct stat st;
    struct rig r;

    (void)state;
    rig_up(&r, NULL);
    put_file(&r, "hello", "hello\n", 6);
    assert_int_equal(fc_lookup(&r.c, FC_ROOT, "hello", &e), 0);
    assert_int_equal(fc_getattr(&r.c, e.nodeid, &a), 0);
    assert_int_equal(stat(daemon_share_path(&r.d, "hello", path), &st), 0);
    assert_int_equal(a.size, 6);
    assert_int_equal(a.ino, st.st_ino);
    assert_int_equal(fc_lookup(&r.c, FC_ROOT, "missing", &e), -ENOENT);
    assert_int_equal(fc_mkdir(&r.c, FC_ROOT, "dir", 0755, &e), 0);
    assert_int_equal(fc_rename(&r.c, FC_ROOT, "hello", e.nodeid, "there", 0), 0);
    assert_int_equal(fc_lookup_path(&r.c, "dir/there", &e), 0);
    assert_int_equal(fc_forget(&r.c, e.nodeid, 1), 0);
    rig_down(&r);
}

static int count(void *ctx, const struct fc_entry *e)
{
    int *n = ctx;

    *n += strcmp(e->name, ".") != 0 && strcmp(e->name, "..") != 0;
    return 0;
}

static void test_a_listing_has_every_name_in_both_forms(void **state)
{
    struct rig r;

    (void)state;
    rig_up(&r, NULL);
    for (int i = 0; i < 300; i++) {
        char name[32];

        snprintf(name, sizeof(name), "f%03d", i);
        put_file(&r, name, "x", 1);
    }
    for (int plus = 0; plus < 2; plus++) {
        int n = 0;

        assert_true(fc_list(&r.c, FC_ROOT, plus, 4096, count, &n) >= 300);
        assert_int_equal(n, 300);
    }
    rig_down(&r);
}

static void test_many_requests_in_flight_all_come_back(void **state)
{
    struct fuse_getattr_in in = {0};
    struct fc_part part = {&in, sizeof(in)};
    struct fe_req req[64];
    uint64_t unique[64];
    struct rig r;
    int err;

    (void)state;
    rig_up(&r, NULL);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(fe_req_init(r.fe, &req[i], 256, 256), 0);
        unique[i] =
            fc_build(&r.c, &req[i], FUSE_GETATTR, FC_ROOT, &part, 1, sizeof(struct fuse_attr_out));
        assert_int_equal(fe_submit(r.fe, FE_REQUESTS, &req[i], true), 0);
    }
    assert_int_equal(fe_publish(r.fe, FE_REQUESTS), 0);
    for (int i = 0; i < 64; i++)
        assert_non_null(fe_reap(r.fe, FE_REQUESTS, true, &err));
    for (int i = 0; i < 64; i++)
        assert_int_equal(fc_result(&req[i], unique[i]), sizeof(struct fuse_attr_out));
    assert_null(fe_reap(r.fe, FE_REQUESTS, false, &err));
    assert_int_equal(err, 0);
    rig_down(&r);
}

static void test_memory_plugged_later_carries_data(void **state)
{
    struct fuse_getattr_in in = {0};
    struct fc_part part = {&in, sizeof(in)};
    struct rig r;
    struct fe_req req = {0};
    uint64_t unique;
    uint8_t *mem;
    int region;

    (void)state;
    rig_up(&r, NULL);
    region = fe_region_add(r.fe, 1 << 20);
    assert_true(region > 0);
    mem = fe_region(r.fe, region, NULL, NULL);
    req.out = mem;
    req.in = mem + 4096;
    unique = fc_build(&r.c, &req, FUSE_GETATTR, FC_ROOT, &part, 1, sizeof(struct fuse_attr_out));
    fe_queue_layout(r.fe, FE_REQUESTS, FE_DIRECT);
    assert_int_equal(fe_call(r.fe, FE_REQUESTS, &req), 0);
    assert_int_equal(fc_result(&req, unique), sizeof(struct fuse_attr_out));
    assert_int_equal(fe_region_remove(r.fe, region), 0);
    rig_down(&r);
}

static void test_a_stopped_queue_goes_on_where_it_was(void **state)
{
    struct fuse_attr a;
    uint32_t base = 0;
    struct rig r;

    (void)state;
    rig_up(&r, NULL);
    for (int i = 0; i < 5; i++)
        assert_int_equal(fc_getattr(&r.c, FC_ROOT, &a), 0);
    assert_int_equal(fe_queue_stop(r.fe, FE_REQUESTS, &base), 0);
    assert_int_equal(base, 6); /* INIT too */
    assert_int_equal(fe_queue_resume(r.fe, FE_REQUESTS, base), 0);
    assert_int_equal(fc_getattr(&r.c, FC_ROOT, &a), 0);
    rig_down(&r);
}

static void test_the_daemons_death_is_noticed_at_once(void **state)
{
    struct fuse_attr a;
    struct rig r;

    (void)state;
    rig_up(&r, NULL);
    daemon_kill(&r.d, SIGKILL);
    assert_int_equal(fc_getattr(&r.c, FC_ROOT, &a), -ECONNRESET);
    assert_true(fe_hung_up(r.fe));
    fc_close(&r.c);
    fe_free(r.fe);
    daemon_end(&r.d);
}

static void test_a_raw_chain_is_answered_like_any_other(void **state)
{
    struct rig r;
    struct fuse_in_header *h;
    struct fuse_out_header *o;
    struct ring_used_elem used;
    uint64_t base = 0;
    uint8_t *mem;

    (void)state;
    assert_int_equal(daemon_start(&r.d, peer_argv, NULL), 0);
    assert_int_equal(fe_open(&r.fe, NULL, r.d.socket), 0);
    mem = fe_alloc(r.fe, 4096);
    base = fe_gpa(r.fe, mem);
    h = (void *)mem;
    o = (void *)(mem + 2048);
    *h = (struct fuse_in_header){.len = sizeof(*h), .opcode = 9999, .unique = 77, .nodeid = 1};
    struct ring_desc d[2] = {{base, sizeof(*h), RING_DESC_F_NEXT, 9},
                             {base + 2048, 64, RING_DESC_F_WRITE, 0}};
    uint16_t at[2] = {4, 9};
    assert_int_equal(fe_raw_chain(r.fe, FE_REQUESTS, d, at, 2, 4), 0);
    assert_int_equal(fe_raw_used(r.fe, FE_REQUESTS, &used, PATIENCE_MS), 1);
    assert_int_equal(used.id, 4);
    assert_int_equal(used.len, sizeof(*o));
    assert_int_equal(o->unique, 77);
    assert_true(o->error < 0);
    fe_free(r.fe);
    daemon_end(&r.d);
}

static void test_words_of_the_command_line_are_filled_in(void **state)
{
    static const char *const argv[] = {"/bin/sh", "-c", "echo {dir} ready; touch {work}/x; exit 3",
                                       NULL};
    struct daemon d;
    int status = 0;

    (void)state;
    assert_int_equal(daemon_start(&d, argv, &(struct daemon_options){.no_wait = true}), 0);
    assert_true(daemon_log_has(&d, "/share ready", PATIENCE_MS));
    assert_int_equal(daemon_wait(&d, PATIENCE_MS, &status), 0);
    assert_int_equal(WEXITSTATUS(status), 3);
    daemon_end(&d);
    assert_int_not_equal(access(d.log, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_of_the_command_line_are_filled_in),
        cmocka_unit_test(test_data_survives_direct_chains),
        cmocka_unit_test(test_data_survives_indirect_chains),
        cmocka_unit_test(test_data_survives_scattered_pages),
        cmocka_unit_test(test_data_survives_pipes_and_spinning),
        cmocka_unit_test(test_data_survives_without_event_idx),
        cmocka_unit_test(test_names_and_attributes_are_those_of_the_host),
        cmocka_unit_test(test_a_listing_has_every_name_in_both_forms),
        cmocka_unit_test(test_many_requests_in_flight_all_come_back),
        cmocka_unit_test(test_memory_plugged_later_carries_data),
        cmocka_unit_test(test_a_stopped_queue_goes_on_where_it_was),
        cmocka_unit_test(test_the_daemons_death_is_noticed_at_once),
        cmocka_unit_test(test_a_raw_chain_is_answered_like_any_other),
    };

    if (access(PEER, X_OK) != 0) {
        fprintf(stderr, "skipped: no %s\n", PEER);
        return 77;
    }
    return cmocka_run_group_tests_name("frontend", tests, NULL, NULL);
}
