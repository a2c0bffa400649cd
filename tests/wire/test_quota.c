// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_quota.c - bytes and inodes of a share, on a file system that enforces project quotas
 *
 * $VIOFS_QUOTA_DIR is a directory of such a file system, at least 64 MiB of it free; the stage `limits` makes one. It
 * must be used by nobody else.
 */
#include "tests/wire/wire.h"

#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <linux/fs.h>

#define MIB (UINT64_C(1) << 20)

static uint8_t block[FC_MAX_DATA];
static char dir[64];
static unsigned number; /* of the directory, and of its project: no test has another's */

static const char *fresh_dir(void)
{
    number++;
    snprintf(dir, sizeof(dir), "%s/%u", getenv("VIOFS_QUOTA_DIR"), 1000 + number);
    assert_ok(mkdir(dir, 0777));
    return dir;
}

static const char *project_option(void)
{
    static char text[32];

    snprintf(text, sizeof(text), "--project-id=%u", 1000 + number);
    return text;
}

#define quota_up(...)                                                                              \
    wire_start(&(struct wire_options){.args = (const char *const[]){__VA_ARGS__, NULL},            \
                                      .daemon = {.share = dir}})

/* The daemon must not start, and say so. */
static void refused(const char *says, const char *const *args)
{
    struct daemon d;
    int status = 0;

    assert_ok(daemon_start_ours(&d, args, &(struct daemon_options){.no_wait = true, .share = dir}));
    assert_ok(daemon_wait(&d, PATIENCE_MS, &status));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    if (!daemon_log_has(&d, says, 0))
        fail_msg("its log does not say '%s': %s", says, daemon_log(&d));
    daemon_end(&d);
}
#define REFUSED(says, ...) refused(says, (const char *const[]){__VA_ARGS__, NULL})

static void shell(const char *format, const char *arg)
{
    char command[512];

    snprintf(command, sizeof(command), format, arg, arg, arg);
    assert_ok(system(command));
}

/* Write until nothing more goes. Return: the error; *@put what went. */
static int fill(struct wire *w, const char *name, uint64_t *put)
{
    struct fuse_entry_out e;
    uint64_t fh;
    ssize_t n;

    *put = 0;
    assert_ok(fc_create(&w->c, FC_ROOT, name, O_RDWR, 0644, &e, &fh));
    while ((n = fc_write(&w->c, e.nodeid, fh, block, sizeof(block), *put)) > 0)
        *put += (uint64_t)n;
    assert_ok(fc_release(&w->c, e.nodeid, fh));
    return (int)n;
}

static bool is_full(int err)
{
    return err == -ENOSPC || err == -EDQUOT;
}

static void test_share_is_as_large_as_its_limit_and_no_larger(void **state)
{
    struct fuse_kstatfs st;
    uint64_t put;
    (void)state;

    fresh_dir();
    struct wire *w = quota_up("--limit-bytes=8M", project_option());
    assert_ok(fc_statfs(&w->c, FC_ROOT, &st));
    assert_int_equal(st.blocks * st.frsize, 8 * MIB);
    assert_in_range(st.bavail * st.frsize, 8 * MIB - MIB / 2, 8 * MIB);
    memset(block, 'b', sizeof(block));
    assert_true(is_full(fill(w, "f", &put)));
    assert_in_range(put, 7 * MIB, 8 * MIB);
    assert_int_equal(host_stat(w, "f").st_size, put);
    uint64_t f = node(w, FC_ROOT, "f");
    assert_ok(fc_statfs(&w->c, f, &st)); /* of a file, as df does */
    assert_int_equal(st.blocks * st.frsize, 8 * MIB);
    assert_in_range(st.bavail * st.frsize, 0, MIB);
    assert_ok(fc_unlink(&w->c, FC_ROOT, "f"));
    assert_ok(fc_forget(&w->c, f, 2));
    for (unsigned i = 0; i < 200; i++) { /* XFS frees in the background */
        assert_ok(fc_statfs(&w->c, FC_ROOT, &st));
        if (st.bavail * st.frsize > 7 * MIB)
            break;
        usleep(20000);
    }
    assert_true(is_full(fill(w, "g", &put)));
    assert_in_range(put, 7 * MIB, 8 * MIB);
}

static void test_no_more_files_than_the_limit(void **state)
{
    struct fuse_kstatfs st;
    struct fuse_entry_out e;
    char name[16];
    int err = 0;
    unsigned n = 0;
    (void)state;

    fresh_dir();
    struct wire *w = quota_up("--limit-inodes=20", project_option());
    assert_ok(fc_statfs(&w->c, FC_ROOT, &st));
    assert_int_equal(st.files, 20);
    for (; n < 40 && err == 0; n++) {
        snprintf(name, sizeof(name), "f%u", n);
        err = fc_mknod(&w->c, FC_ROOT, name, S_IFREG | 0644, 0, &e);
    }
    assert_true(is_full(err));
    assert_in_range(n, 18, 20);
    assert_ok(fc_statfs(&w->c, FC_ROOT, &st));
    assert_int_equal(st.ffree, 0);
    assert_ok(fc_unlink(&w->c, FC_ROOT, "f0"));
}

static void test_limits_and_what_is_left_of_them_are_exported(void **state)
{
    char path[64], option[96];
    uint64_t put;
    (void)state;

    fresh_dir();
    snprintf(path, sizeof(path), "/run/viofs-quota-%d", (int)getpid());
    snprintf(option, sizeof(option), "--stats-socket=%s", path);
    struct wire *w = quota_up("--limit-bytes=4M", "--limit-inodes=50", project_option(), option);
    assert_true(wire_metric(path, "virtiofsd_limit_bytes") == 4 * MIB);
    assert_true(wire_metric(path, "virtiofsd_limit_bytes_free") > 3 * MIB);
    assert_true(wire_metric(path, "virtiofsd_limit_inodes") == 50);
    double left = wire_metric(path, "virtiofsd_limit_inodes_free");
    assert_true(is_full(fill(w, "f", &put)));
    assert_true(wire_metric(path, "virtiofsd_limit_bytes_free") < MIB);
    assert_true(wire_metric(path, "virtiofsd_limit_inodes_free") == left - 1);
    unlink(path);
}

static void test_free_space_is_no_more_than_the_file_system_has(void **state)
{
    struct fuse_kstatfs st;
    struct statfs s;
    char limit[64], other[96];
    (void)state;

    fresh_dir();
    assert_ok(statfs(dir, &s));
    uint64_t whole = (uint64_t)s.f_bavail * (uint64_t)s.f_bsize;
    snprintf(limit, sizeof(limit), "--limit-bytes=%llu", (unsigned long long)whole);
    struct wire *w = quota_up(limit, project_option());
    snprintf(other, sizeof(other), "%s/other", getenv("VIOFS_QUOTA_DIR"));
    int fd = open(other, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_ok(posix_fallocate(fd, 0, (off_t)(whole / 2)));
    assert_ok(fc_statfs(&w->c, FC_ROOT, &st));
    assert_in_range(st.bavail * st.frsize, 1, whole * 6 / 10);
    close(fd);
    unlink(other);
}

static void test_guest_cannot_leave_its_project(void **state)
{
    struct fsxattr x;
    (void)state;

    fresh_dir();
    struct wire *w = quota_up("--limit-bytes=8M", project_option());
    struct {
        struct fuse_ioctl_in in;
        struct fsxattr x;
    } set = {.in = {.fh = open_dir(w, FC_ROOT),
                    .cmd = FS_IOC_FSSETXATTR,
                    .flags = FUSE_IOCTL_DIR,
                    .in_size = sizeof(x)}};
    assert_errno(raw(w, FUSE_IOCTL, FC_ROOT, &set, sizeof(set), NULL, 64), EPERM);
    host_write(w, "f", "");
    int fd = open(host(w, "f"), O_RDONLY | O_CLOEXEC);
    assert_ok(ioctl(fd, FS_IOC_FSGETXATTR, &x));
    assert_int_equal(x.fsx_projid, 1000 + number);
    close(fd);
}

static void test_rename_and_link_into_another_project_are_exdev(void **state)
{
    struct fuse_entry_out e;
    (void)state;

    fresh_dir();
    struct wire *w = quota_up("--limit-bytes=8M", project_option());
    host_mkdir(w, "other");
    shell("chattr -p 99 %s/other && chattr +P %s/other", dir);
    host_write(w, "f", "text");
    uint64_t other = node(w, FC_ROOT, "other");
    assert_errno(fc_rename(&w->c, FC_ROOT, "f", other, "f", 0), EXDEV);
    assert_errno(fc_link(&w->c, node(w, FC_ROOT, "f"), other, "g", &e), EXDEV);
    assert_string_equal(host_read(w, "f"), "text");
}

static void test_limit_is_there_again_for_the_next_daemon(void **state)
{
    uint64_t put;
    (void)state;

    fresh_dir();
    struct wire *w = quota_up("--limit-bytes=4M", project_option());
    assert_true(is_full(fill(w, "f", &put)));
    assert_ok(wire_teardown(NULL));
    w = quota_up("--limit-bytes=6M"); /* it has its project now */
    assert_true(daemon_log_has(&w->d, "and uses ", 0));
    assert_true(is_full(fill(w, "g", &put)));
    assert_in_range(put, MIB, 2 * MIB);
    assert_ok(wire_teardown(NULL));
    w = quota_up("--limit-bytes=2M");
    assert_true(daemon_log_has(&w->d, "is full: its limit is reached already", 0));
}

static void test_directory_without_a_project_needs_a_number(void **state)
{
    (void)state;
    fresh_dir();
    REFUSED("add --project-id=NUMBER", "--limit-bytes=8M");
}

static void test_number_that_others_have_is_refused(void **state)
{
    (void)state;
    fresh_dir();
    REFUSED("files elsewhere are of this project", "--limit-bytes=8M", "--project-id=1001");
}

static void test_other_number_than_the_directory_has_is_refused(void **state)
{
    (void)state;
    fresh_dir();
    shell("chattr -p 4711 %s && chattr +P %s", dir);
    REFUSED("is of project 4711; leave the option out", "--limit-bytes=8M", project_option());
}

static void test_tree_without_a_project_is_refused_with_what_makes_it_one(void **state)
{
    char command[320];
    (void)state;

    fresh_dir();
    shell("mkdir %s/sub && echo text >%s/f && echo text >%s/sub/g", dir);
    REFUSED("then 'find ", "--limit-bytes=8M", project_option());
    snprintf(command, sizeof(command), "chattr -R -p %u %s && find %s -type d -exec chattr +P {} +",
             1000 + number, dir, dir);
    assert_ok(system(command));
    wire_alive(quota_up("--limit-bytes=8M"));
}

static void test_part_of_another_project_is_refused(void **state)
{
    (void)state;
    fresh_dir();
    shell("chattr -p 4712 %s && chattr +P %s && mkdir %s/sub", dir);
    strcat(dir, "/sub");
    REFUSED("would share the limit", "--limit-bytes=8M");
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_share_is_as_large_as_its_limit_and_no_larger),
    WIRE_TEST(test_no_more_files_than_the_limit),
    WIRE_TEST(test_limits_and_what_is_left_of_them_are_exported),
    WIRE_TEST(test_free_space_is_no_more_than_the_file_system_has),
    WIRE_TEST(test_guest_cannot_leave_its_project),
    WIRE_TEST(test_rename_and_link_into_another_project_are_exdev),
    WIRE_TEST(test_limit_is_there_again_for_the_next_daemon),
    WIRE_TEST(test_directory_without_a_project_needs_a_number),
    WIRE_TEST(test_number_that_others_have_is_refused),
    WIRE_TEST(test_other_number_than_the_directory_has_is_refused),
    WIRE_TEST(test_tree_without_a_project_is_refused_with_what_makes_it_one),
    WIRE_TEST(test_part_of_another_project_is_refused),
};
WIRE_MAIN("quota", tests)
