// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_data.c - OPEN, CREATE, TMPFILE, READ, WRITE, FLUSH, FSYNC, RELEASE, FALLOCATE, LSEEK, COPY_FILE_RANGE
 */
#include "tests/wire/wire.h"

#include <linux/falloc.h>
#include <signal.h>
#include <sys/wait.h>

static uint8_t out[FC_MAX_DATA], in[FC_MAX_DATA];

static void fill(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 31 + (i >> 12) * 7);
}

/* A file that exists on the host, looked up and opened. */
struct open_file {
    uint64_t node, fh;
};

static struct open_file make_file(struct wire *w, const char *name, const char *text,
                                  uint32_t flags)
{
    host_write(w, name, text);
    struct open_file f = {.node = node(w, FC_ROOT, name)};
    f.fh = opened(w, f.node, flags);
    return f;
}

/* ---- OPEN, CREATE, TMPFILE, RELEASE -------------------------------------------------------------- */

static void test_create_makes_opens_and_writes(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    uint64_t fh;

    assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR, 0640, &e, &fh));
    assert_int_equal(e.attr.mode, S_IFREG | 0640);
    assert_int_equal(host_stat(w, "f").st_mode, S_IFREG | 0640);
    assert_int_equal(fc_write(&w->c, e.nodeid, fh, "hello", 5, 0), 5);
    assert_string_equal(host_read(w, "f"), "hello");
    assert_ok(fc_release(&w->c, e.nodeid, fh));
}

static void test_create_honours_excl_and_trunc(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    uint64_t fh;

    host_write(w, "f", "old");
    assert_errno(fc_create(&w->c, FC_ROOT, "f", O_RDWR | O_EXCL, 0644, &e, &fh), EEXIST);
    assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR, 0644, &e, &fh));
    assert_int_equal(e.attr.size, 3);
    assert_ok(fc_create(&w->c, FC_ROOT, "f", O_RDWR | O_TRUNC, 0644, &e, &fh));
    assert_string_equal(host_read(w, "f"), "");
}

static void test_create_does_not_follow_a_symlink_out_of_the_share(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    char outside[300];
    uint64_t fh;

    snprintf(outside, sizeof(outside), "%s/outside", w->d.dir);
    assert_ok(symlink(outside, host(w, "l")));
    assert_true(fc_create(&w->c, FC_ROOT, "l", O_RDWR, 0644, &e, &fh) < 0);
    assert_true(fc_create(&w->c, FC_ROOT, "l", O_RDWR | O_EXCL, 0644, &e, &fh) < 0);
    assert_int_equal(access(outside, F_OK), -1);
}

static void test_create_over_a_directory_or_fifo_is_refused(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    uint64_t fh;

    host_mkdir(w, "d");
    assert_ok(mkfifo(host(w, "p"), 0644));
    assert_errno(fc_create(&w->c, FC_ROOT, "d", O_RDWR, 0644, &e, &fh), EISDIR);
    assert_true(fc_create(&w->c, FC_ROOT, "p", O_RDONLY, 0644, &e, &fh) < 0);
    assert_true(fc_create(&w->c, FC_ROOT, "p", O_RDWR, 0644, &e, &fh) < 0);
}

static void test_open_of_directories_and_symlinks_as_files_is_refused(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    uint64_t fh;

    host_mkdir(w, "d");
    assert_ok(symlink("/etc/passwd", host(w, "l")));
    assert_true(fc_open_file(&w->c, node(w, FC_ROOT, "d"), O_RDWR, &fh) < 0);
    assert_errno(fc_open_file(&w->c, node(w, FC_ROOT, "l"), O_RDONLY, &fh), ELOOP);
}

static void test_open_with_trunc_empties_the_file(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    make_file(w, "f", "text", O_RDWR | O_TRUNC);
    assert_string_equal(host_read(w, "f"), "");
}

static void test_open_never_creates(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    uint64_t fh;

    host_mkdir(w, "d");
    host_write(w, "f", "text");
    uint64_t f = node(w, FC_ROOT, "f"), d = node(w, FC_ROOT, "d");
    assert_true(fc_open_file(&w->c, f, O_RDWR | O_CREAT | O_EXCL, &fh) <= 0);
    assert_true(fc_open_file(&w->c, d, O_RDWR | O_TMPFILE, &fh) < 0);
    assert_string_equal(host_read(w, "f"), "text");
}

static void test_tmpfile_has_no_name_until_it_is_linked(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e, linked;
    uint64_t fh;

    assert_ok(fc_tmpfile(&w->c, FC_ROOT, O_RDWR, 0600, &e, &fh));
    assert_int_equal(e.attr.nlink, 0);
    assert_int_equal(fc_write(&w->c, e.nodeid, fh, "secret", 6, 0), 6);
    assert_int_equal(fc_read(&w->c, e.nodeid, fh, in, 100, 0), 6);
    assert_int_equal(host_stat(w, ".").st_nlink, 2);
    assert_ok(fc_link(&w->c, e.nodeid, FC_ROOT, "named", &linked));
    assert_int_equal(linked.nodeid, e.nodeid);
    assert_string_equal(host_read(w, "named"), "secret");
    assert_ok(fc_release(&w->c, e.nodeid, fh));
}

/* Another process of the host: holds a lease on @path and gives it back when it is told to. */
static pid_t lease_holder(const char *path)
{
    int ready[2];
    char byte;

    assert_ok(pipe(ready));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        sigset_t set;
        int sig, fd = open(path, O_RDWR);
        sigemptyset(&set);
        sigaddset(&set, SIGIO);
        sigprocmask(SIG_BLOCK, &set, NULL);
        if (fd < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0 || write(ready[1], "", 1) != 1)
            _exit(1);
        sigwait(&set, &sig);
        usleep(20000);
        fcntl(fd, F_SETLEASE, F_UNLCK);
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void open_under_a_lease(struct wire *w)
{
    int status = -1;

    host_write(w, "f", "x");
    uint64_t f = node(w, FC_ROOT, "f");
    pid_t pid = lease_holder(host(w, "f"));
    opened(w, f, O_RDONLY);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_open_waits_for_a_lease_with_and_without_a_pool(void **state)
{
    (void)state;

    open_under_a_lease(wire_up("--thread-pool-size=1"));
    open_under_a_lease(wire_up("--thread-pool-size=0"));
}

static void test_released_handle_is_gone(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "text", O_RDWR);

    assert_ok(fc_release(&w->c, f.node, f.fh));
    assert_errno(fc_read(&w->c, f.node, f.fh, in, 4, 0), EBADF);
    assert_errno(fc_write(&w->c, f.node, f.fh, "x", 1, 0), EBADF);
    assert_errno(fc_release(&w->c, f.node, f.fh), EBADF);
}

/* ---- READ and WRITE ------------------------------------------------------------------------------- */

static void test_data_of_all_sizes_and_offsets_survives(void **state)
{
    (void)state;
    static const size_t size[] = {0, 1, 511, 4095, 4096, 4097, 65536, FC_MAX_DATA - 1, FC_MAX_DATA};
    static const uint64_t at[] = {0, 1, 4095, 4096, (1ULL << 32) - 3, (1ULL << 40) + 5};
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "", O_RDWR);

    fill(out, sizeof(out));
    for (unsigned s = 0; s < ARRAY(size); s++) {
        for (unsigned o = 0; o < ARRAY(at); o++) {
            memset(in, 0, size[s]);
            assert_int_equal(fc_write(&w->c, f.node, f.fh, out, size[s], at[o]), size[s]);
            assert_int_equal(fc_read(&w->c, f.node, f.fh, in, size[s], at[o]), size[s]);
            assert_memory_equal(in, out, size[s]);
        }
    }
}

static void test_data_in_scattered_pages_arrives_in_order(void **state)
{
    (void)state;
    static const unsigned layout[] = {FE_DIRECT, FE_DIRECT | FE_PAGES, FE_INDIRECT | FE_PAGES,
                                      FE_INDIRECT | FE_PAGES | FE_SCATTER};
    struct wire *w = wire_start(&(struct wire_options){.fe = {.queue_size = 1024}});
    struct open_file f = make_file(w, "f", "", O_RDWR);

    fill(out, sizeof(out));
    for (unsigned i = 0; i < ARRAY(layout); i++) {
        fe_queue_layout(w->fe, FE_REQUESTS, layout[i]);
        memset(in, 0, sizeof(in));
        assert_int_equal(fc_write(&w->c, f.node, f.fh, out, sizeof(out), 0), sizeof(out));
        assert_int_equal(fc_read(&w->c, f.node, f.fh, in, sizeof(in), 0), sizeof(in));
        assert_memory_equal(in, out, sizeof(out));
    }
}

static void test_read_stops_at_the_end_of_the_file(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "0123456789", O_RDONLY);

    assert_int_equal(fc_read(&w->c, f.node, f.fh, in, 4096, 0), 10);
    assert_int_equal(fc_read(&w->c, f.node, f.fh, in, 4096, 7), 3);
    assert_int_equal(fc_read(&w->c, f.node, f.fh, in, 4096, 10), 0);
    assert_int_equal(fc_read(&w->c, f.node, f.fh, in, 4096, 1ULL << 50), 0);
}

static void test_offsets_beyond_what_files_have_are_refused(void **state)
{
    (void)state;
    static const uint64_t bad[] = {1ULL << 63, UINT64_MAX, UINT64_MAX - 3};
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "text", O_RDWR);

    for (unsigned i = 0; i < ARRAY(bad); i++) {
        assert_true(fc_read(&w->c, f.node, f.fh, in, 4096, bad[i]) < 0);
        assert_true(fc_write(&w->c, f.node, f.fh, "x", 1, bad[i]) < 0);
    }
    assert_true(fc_write(&w->c, f.node, f.fh, "xyz", 3, INT64_MAX - 1) < 0);
    assert_string_equal(host_read(w, "f"), "text");
}

static void test_handle_opened_for_one_direction_refuses_the_other(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "text", O_RDONLY);
    uint64_t wr = opened(w, f.node, O_WRONLY);

    assert_errno(fc_write(&w->c, f.node, f.fh, "x", 1, 0), EBADF);
    assert_errno(fc_read(&w->c, f.node, wr, in, 4, 0), EBADF);
}

static void test_append_handle_appends_wherever_it_is_told_to_write(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "one", O_WRONLY | O_APPEND);

    assert_int_equal(fc_write(&w->c, f.node, f.fh, "two", 3, 3), 3);
    assert_string_equal(host_read(w, "f"), "onetwo");
    struct fuse_entry_out e;
    assert_ok(fc_create(&w->c, FC_ROOT, "new", O_WRONLY | O_APPEND, 0644, &e, &f.fh));
    host_write(w, "new", "by the host, ");
    assert_int_equal(fc_write(&w->c, e.nodeid, f.fh, "by us", 5, 0), 5);
    assert_string_equal(host_read(w, "new"), "by the host, by us");
}

static void test_pages_written_through_an_append_handle_keep_their_place(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "0123456789", O_RDWR | O_APPEND);
    struct {
        struct fuse_write_in in;
        char data[2];
    } rq = {.in = {.fh = f.fh, .size = 2, .write_flags = FUSE_WRITE_CACHE}, .data = "AB"};
    struct fuse_write_out written;

    assert_int_equal(raw(w, FUSE_WRITE, f.node, &rq, sizeof(rq.in) + 2, &written, sizeof(written)),
                     sizeof(written));
    assert_string_equal(host_read(w, "f"), "AB23456789");
}

static void test_read_size_that_the_reply_cannot_hold_is_refused(void **state)
{
    (void)state;
    static const uint32_t size[] = {4097, 1 << 20, UINT32_MAX, UINT32_MAX - 15};
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "text", O_RDONLY);

    for (unsigned i = 0; i < ARRAY(size); i++) {
        struct fuse_read_in r = {.fh = f.fh, .size = size[i]};
        assert_errno(raw(w, FUSE_READ, f.node, &r, sizeof(r), in, 4096), EINVAL);
    }
    struct fuse_read_in r = {.fh = f.fh, .size = 4096};
    assert_int_equal(raw(w, FUSE_READ, f.node, &r, sizeof(r), in, 4096), 4);
}

static void test_write_size_that_the_request_does_not_bring_is_refused(void **state)
{
    (void)state;
    static const uint32_t size[] = {5, 4096, 1 << 20, UINT32_MAX};
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "text", O_RDWR);

    for (unsigned i = 0; i < ARRAY(size); i++) {
        struct fuse_write_in wr = {.fh = f.fh, .size = size[i]};
        struct fc_part p[2] = {{&wr, sizeof(wr)}, {"abcd", 4}};
        struct fuse_write_out reply;
        assert_errno(fc_call(&w->c, FUSE_WRITE, f.node, p, 2, &reply, sizeof(reply)), EINVAL);
    }
    assert_string_equal(host_read(w, "f"), "text");
}

static void test_write_of_less_than_the_request_brings_writes_that_much(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "", O_RDWR);
    struct fuse_write_in wr = {.fh = f.fh, .size = 2};
    struct fc_part p[2] = {{&wr, sizeof(wr)}, {"abcd", 4}};
    struct fuse_write_out reply;

    assert_int_equal(fc_call(&w->c, FUSE_WRITE, f.node, p, 2, &reply, sizeof(reply)),
                     sizeof(reply));
    assert_int_equal(reply.size, 2);
    assert_string_equal(host_read(w, "f"), "ab");
}

static void test_setuid_bit_goes_when_the_kernel_says_so(void **state)
{
    (void)state;
    struct wire *w = wire_up("--killpriv-v2", NULL);
    struct open_file f = make_file(w, "f", "text", O_RDWR);
    struct fuse_write_in wr = {.fh = f.fh, .size = 1, .write_flags = FUSE_WRITE_KILL_SUIDGID};
    struct fc_part p[2] = {{&wr, sizeof(wr)}, {"X", 1}};
    struct fuse_write_out reply;

    assert_ok(chmod(host(w, "f"), 06755));
    assert_int_equal(fc_write(&w->c, f.node, f.fh, "Y", 1, 1), 1);
    assert_int_equal(host_stat(w, "f").st_mode & 07777, 06755);
    assert_int_equal(fc_call(&w->c, FUSE_WRITE, f.node, p, 2, &reply, sizeof(reply)),
                     sizeof(reply));
    assert_int_equal(host_stat(w, "f").st_mode & 07777, 0755);
}

/* ---- handles of the wrong kind -------------------------------------------------------------------- */

static void test_invented_handles_are_ebadf(void **state)
{
    (void)state;
    static const uint64_t bad[] = {0, 1, 2, 77, UINT32_MAX, 1ULL << 32, 3ULL << 32 | 1, UINT64_MAX};
    struct wire *w = wire_up(NULL);

    host_write(w, "f", "text");
    uint64_t f = node(w, FC_ROOT, "f");
    for (unsigned i = 0; i < ARRAY(bad); i++) {
        uint64_t fh = bad[i];
        assert_errno(fc_read(&w->c, f, fh, in, 4, 0), EBADF);
        assert_errno(fc_write(&w->c, f, fh, "x", 1, 0), EBADF);
        assert_errno(fc_flush(&w->c, f, fh, 1), EBADF);
        assert_errno(fc_fsync(&w->c, f, fh, false), EBADF);
        assert_errno(fc_fallocate(&w->c, f, fh, 0, 10, 0), EBADF);
        assert_errno(fc_lseek(&w->c, f, fh, 0, SEEK_DATA), EBADF);
        assert_errno(fc_release(&w->c, f, fh), EBADF);
        assert_errno(fc_copy_file_range(&w->c, f, fh, 0, f, fh, 0, 4), EBADF);
    }
    assert_string_equal(host_read(w, "f"), "text");
}

static void test_directory_handle_is_no_file_handle(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);

    host_mkdir(w, "d");
    uint64_t d = node(w, FC_ROOT, "d"), fh = open_dir(w, d);
    assert_errno(fc_read(&w->c, d, fh, in, 4, 0), EBADF);
    assert_errno(fc_write(&w->c, d, fh, "x", 1, 0), EBADF);
    assert_errno(fc_fsync(&w->c, d, fh, false), EBADF);
    assert_errno(fc_release(&w->c, d, fh), EBADF);
    assert_ok(fc_releasedir(&w->c, d, fh));
}

static void test_file_handle_is_no_directory_handle(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "text", O_RDWR);

    assert_errno(fc_readdir_raw(&w->c, f.node, f.fh, 0, 4096, false), EBADF);
    assert_errno(fc_readdir_raw(&w->c, f.node, f.fh, 0, 4096, true), EBADF);
    assert_errno(fc_fsyncdir(&w->c, f.node, f.fh, false), EBADF);
    assert_errno(fc_releasedir(&w->c, f.node, f.fh), EBADF);
    assert_int_equal(fc_read(&w->c, f.node, f.fh, in, 10, 0), 4);
}

static void test_handle_of_another_inode_is_ebadf(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "ffff", O_RDWR), g = make_file(w, "g", "gggg", O_RDWR);

    assert_errno(fc_read(&w->c, f.node, g.fh, in, 4, 0), EBADF);
    assert_errno(fc_write(&w->c, g.node, f.fh, "x", 1, 0), EBADF);
    assert_errno(fc_flush(&w->c, f.node, g.fh, 1), EBADF);
    assert_errno(fc_fsync(&w->c, f.node, g.fh, true), EBADF);
    assert_errno(fc_release(&w->c, f.node, g.fh), EBADF);
    assert_errno(fc_read(&w->c, FC_ROOT, g.fh, in, 4, 0), EBADF);
    assert_string_equal(host_read(w, "f"), "ffff");
    assert_string_equal(host_read(w, "g"), "gggg");
}

/* ---- the rest --------------------------------------------------------------------------------------- */

static void test_flush_and_fsync_succeed_on_an_open_file(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "text", O_RDWR);

    assert_ok(fc_flush(&w->c, f.node, f.fh, 42));
    assert_ok(fc_fsync(&w->c, f.node, f.fh, false));
    assert_ok(fc_fsync(&w->c, f.node, f.fh, true));
}

static void test_fallocate_extends_and_punches(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "0123456789", O_RDWR);

    assert_ok(fc_fallocate(&w->c, f.node, f.fh, 0, 8192, 0));
    assert_int_equal(host_stat(w, "f").st_size, 8192);
    assert_ok(fc_fallocate(&w->c, f.node, f.fh, 2, 4, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE));
    assert_int_equal(fc_read(&w->c, f.node, f.fh, in, 10, 0), 10);
    assert_memory_equal(in,
                        "01\0\0\0\0"
                        "6789",
                        10);
    assert_true(fc_fallocate(&w->c, f.node, f.fh, 0, 0, 0) < 0);
    assert_true(fc_fallocate(&w->c, f.node, f.fh, UINT64_MAX, 10, 0) < 0);
    assert_true(fc_fallocate(&w->c, f.node, f.fh, 0, 10, 0x8000) < 0);
}

static void test_fallocate_needs_a_writable_handle(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "text", O_RDONLY);

    assert_errno(fc_fallocate(&w->c, f.node, f.fh, 0, 8192, 0), EBADF);
    assert_int_equal(host_stat(w, "f").st_size, 4);
}

static void test_lseek_finds_data_and_holes(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "", O_RDWR);

    assert_int_equal(fc_write(&w->c, f.node, f.fh, "data", 4, 1 << 20), 4);
    assert_int_equal(fc_lseek(&w->c, f.node, f.fh, 0, SEEK_DATA), 1 << 20);
    assert_int_equal(fc_lseek(&w->c, f.node, f.fh, 0, SEEK_HOLE), 0);
    assert_int_equal(fc_lseek(&w->c, f.node, f.fh, 1 << 20, SEEK_HOLE), (1 << 20) + 4);
    assert_errno(fc_lseek(&w->c, f.node, f.fh, 1 << 21, SEEK_DATA), ENXIO);
    assert_errno(fc_lseek(&w->c, f.node, f.fh, 0, 99), EINVAL);
}

static void test_copy_file_range_copies_between_files(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "0123456789", O_RDONLY),
                     g = make_file(w, "g", "", O_RDWR);

    assert_int_equal(fc_copy_file_range(&w->c, f.node, f.fh, 2, g.node, g.fh, 1, 5), 5);
    assert_int_equal(fc_read(&w->c, g.node, g.fh, in, 10, 0), 6);
    assert_memory_equal(in, "\00023456", 6);
    assert_int_equal(fc_copy_file_range(&w->c, f.node, f.fh, 100, g.node, g.fh, 0, 5), 0);
    assert_true(fc_copy_file_range(&w->c, g.node, g.fh, 0, f.node, f.fh, 0, 5) < 0);
    assert_true(fc_copy_file_range(&w->c, f.node, g.fh, 0, g.node, g.fh, 9, 5) < 0);
    assert_true(fc_copy_file_range(&w->c, f.node, f.fh, 0, 424242, g.fh, 9, 5) < 0);
}

static void test_copy_file_range_of_a_huge_length_stops_at_the_end(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "0123456789", O_RDONLY),
                     g = make_file(w, "g", "", O_RDWR);
    ssize_t n = fc_copy_file_range(&w->c, f.node, f.fh, 0, g.node, g.fh, 0, UINT64_MAX);

    assert_true(n == 10 || n == -EINVAL || n == -EOVERFLOW || n == -EFBIG);
    assert_int_equal(fc_copy_file_range(&w->c, f.node, f.fh, 0, g.node, g.fh, 0, 1 << 30), 10);
    wire_alive(w);
}

/* ---- open files whose name goes ------------------------------------------------------------------------ */

static void test_unlinked_open_file_goes_on_working(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "text", O_RDWR);
    struct fuse_attr a;

    assert_ok(fc_unlink(&w->c, FC_ROOT, "f"));
    assert_int_equal(fc_read(&w->c, f.node, f.fh, in, 10, 0), 4);
    assert_int_equal(fc_write(&w->c, f.node, f.fh, "more", 4, 4), 4);
    assert_ok(fc_getattr_fh(&w->c, f.node, f.fh, &a));
    assert_int_equal(a.size, 8);
    assert_int_equal(a.nlink, 0);
    assert_ok(fc_getattr(&w->c, f.node, &a)); /* fstat() of the guest may come without a handle */
    assert_int_equal(a.size, 8);
    assert_ok(fc_truncate(&w->c, f.node, 2));
    assert_ok(fc_chmod(&w->c, f.node, 0600));
    assert_int_equal(fc_read(&w->c, f.node, f.fh, in, 10, 0), 2);
    assert_ok(fc_release(&w->c, f.node, f.fh));
}

static void test_unlinked_file_that_is_only_known_stays_reachable(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_attr a;

    host_write(w, "f", "text");
    uint64_t f = node(w, FC_ROOT, "f");
    assert_ok(fc_unlink(&w->c, FC_ROOT, "f"));
    assert_ok(fc_getattr(&w->c, f, &a));
    assert_int_equal(a.nlink, 0);
    uint64_t fh = opened(w, f, O_RDONLY); /* as /proc/PID/fd lets a guest do */
    assert_int_equal(fc_read(&w->c, f, fh, in, 10, 0), 4);
}

static void test_file_that_was_renamed_over_goes_on_working(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "old", O_RDWR);
    struct fuse_attr a;

    host_write(w, "g", "newer");
    uint64_t g = node(w, FC_ROOT, "g");
    assert_ok(fc_rename(&w->c, FC_ROOT, "g", FC_ROOT, "f", 0));
    assert_int_equal(fc_read(&w->c, f.node, f.fh, in, 10, 0), 3);
    assert_ok(fc_getattr(&w->c, f.node, &a));
    assert_int_equal(a.size, 3);
    assert_int_equal(node(w, FC_ROOT, "f"), g);
}

static void test_forgotten_node_lives_as_long_as_its_handle(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct open_file f = make_file(w, "f", "text", O_RDWR);

    assert_ok(fc_forget(&w->c, f.node, 1));
    assert_int_equal(fc_read(&w->c, f.node, f.fh, in, 4, 0), 4);
    assert_ok(fc_release(&w->c, f.node, f.fh));
    assert_errno(fc_read(&w->c, f.node, f.fh, in, 4, 0), ESTALE);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_create_makes_opens_and_writes),
    WIRE_TEST(test_create_honours_excl_and_trunc),
    WIRE_TEST(test_create_does_not_follow_a_symlink_out_of_the_share),
    WIRE_TEST(test_create_over_a_directory_or_fifo_is_refused),
    WIRE_TEST(test_open_of_directories_and_symlinks_as_files_is_refused),
    WIRE_TEST(test_open_with_trunc_empties_the_file),
    WIRE_TEST(test_open_never_creates),
    WIRE_TEST(test_tmpfile_has_no_name_until_it_is_linked),
    WIRE_TEST(test_open_waits_for_a_lease_with_and_without_a_pool),
    WIRE_TEST(test_released_handle_is_gone),
    WIRE_TEST(test_data_of_all_sizes_and_offsets_survives),
    WIRE_TEST(test_data_in_scattered_pages_arrives_in_order),
    WIRE_TEST(test_read_stops_at_the_end_of_the_file),
    WIRE_TEST(test_offsets_beyond_what_files_have_are_refused),
    WIRE_TEST(test_handle_opened_for_one_direction_refuses_the_other),
    WIRE_TEST(test_append_handle_appends_wherever_it_is_told_to_write),
    WIRE_TEST(test_pages_written_through_an_append_handle_keep_their_place),
    WIRE_TEST(test_read_size_that_the_reply_cannot_hold_is_refused),
    WIRE_TEST(test_write_size_that_the_request_does_not_bring_is_refused),
    WIRE_TEST(test_write_of_less_than_the_request_brings_writes_that_much),
    WIRE_TEST(test_setuid_bit_goes_when_the_kernel_says_so),
    WIRE_TEST(test_invented_handles_are_ebadf),
    WIRE_TEST(test_directory_handle_is_no_file_handle),
    WIRE_TEST(test_file_handle_is_no_directory_handle),
    WIRE_TEST(test_handle_of_another_inode_is_ebadf),
    WIRE_TEST(test_flush_and_fsync_succeed_on_an_open_file),
    WIRE_TEST(test_fallocate_extends_and_punches),
    WIRE_TEST(test_fallocate_needs_a_writable_handle),
    WIRE_TEST(test_lseek_finds_data_and_holes),
    WIRE_TEST(test_copy_file_range_copies_between_files),
    WIRE_TEST(test_copy_file_range_of_a_huge_length_stops_at_the_end),
    WIRE_TEST(test_unlinked_open_file_goes_on_working),
    WIRE_TEST(test_unlinked_file_that_is_only_known_stays_reachable),
    WIRE_TEST(test_file_that_was_renamed_over_goes_on_working),
    WIRE_TEST(test_forgotten_node_lives_as_long_as_its_handle),
};
WIRE_MAIN("data", tests)
