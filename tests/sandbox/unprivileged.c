// SPDX-License-Identifier: BSD-3-Clause
/*
 * unprivileged.c - virtiofsd started by an ordinary user, alone and with id maps
 *
 * Theory of operation
 *
 *   Started as root, the program gives the user "nobody" a range of ids (files of its own over
 *   /etc/subuid and /etc/subgid, in a private mount namespace), copies the daemon to where that user
 *   can run it, and becomes that user for good. Started as anyone else it tests what that user may,
 *   and skips what takes a range.
 */
#include "tests/sandbox/escape.h"

#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>

#define NOBODY 65534u
#define RANGE  200000u /* host ids 200000..200999 are guest ids 1..1000 */

static bool have_range;

/* ---- one user, one id --------------------------------------------------------------------------- */

static void test_a_user_shares_his_directory_without_any_privilege(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;
    struct fuse_attr a;
    uint64_t fh;

    /* the guest's root is nobody here: what it makes is the user's */
    assert_ok(fc_create(&w->c, FC_ROOT, "file", O_RDWR, 0644, &e, &fh));
    assert_int_equal(fc_write(&w->c, e.nodeid, fh, "text", 4, 0), 4);
    assert_ok(fc_release(&w->c, e.nodeid, fh));
    assert_string_equal(host_read(w, "file"), "text");
    assert_int_equal(host_stat(w, "file").st_uid, geteuid());
    assert_ok(fc_getattr(&w->c, e.nodeid, &a));
    assert_int_equal(a.uid, geteuid());
    assert_ok(fc_mkdir(&w->c, FC_ROOT, "dir", 0755, &e));
    assert_ok(fc_rename(&w->c, FC_ROOT, "file", e.nodeid, "moved", 0));
    assert_ok(fc_unlink(&w->c, e.nodeid, "moved"));
}

static void test_a_user_cannot_give_files_away(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_setattr_in owner = {.valid = FATTR_UID, .uid = geteuid() + 1};

    host_write(w, "file", "x");
    assert_true(fc_setattr(&w->c, node(w, FC_ROOT, "file"), &owner, NULL) < 0);
    assert_int_equal(host_stat(w, "file").st_uid, geteuid());
}

static void test_a_user_makes_no_device_nodes(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    struct fuse_entry_out e;

    assert_errno(fc_mknod(&w->c, FC_ROOT, "null", S_IFCHR | 0666, (uint32_t)makedev(1, 3), &e),
                 EPERM);
    assert_ok(fc_mknod(&w->c, FC_ROOT, "fifo", S_IFIFO | 0666, 0, &e));
}

static void test_a_user_reads_nothing_that_he_could_not_read_before(void **state)
{
    (void)state;
    struct wire *w = wire_up(NULL);
    uint64_t fh, file;

    host_write(w, "file", "x");
    assert_ok(chmod(host(w, "file"), 0));
    file = node(w, FC_ROOT, "file");
    /* his own, in his own namespace: the mode does not bind its owner's daemon there */
    (void)fc_open_file(&w->c, file, O_RDONLY, &fh);
    prize_make(w);
    assert_ok(symlink(prize(w, "secret"), host(w, "link")));
    assert_true(fc_open_file(&w->c, node(w, FC_ROOT, "link"), O_RDONLY, &fh) < 0);
    prize_untouched(w);
}

static void test_file_handles_cannot_be_demanded(void **state)
{
    (void)state;
    struct daemon d;
    const char *const args[] = {"--inode-file-handles=mandatory", NULL};
    int status;

    if (daemon_start_ours(&d, args, NULL) < 0)
        return; /* it ended before its socket was seen */
    assert_ok(daemon_wait(&d, 5000, &status));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    assert_true(daemon_log_has(&d, "mandatory", 0));
    daemon_end(&d);
}

/* ---- a range of ids ----------------------------------------------------------------------------- */

/* As libvirt gives them in session mode. */
static struct wire *up_with_maps(void)
{
    return wire_up("--uid-map=:0:65534:1:", "--uid-map=:1:200000:1000:", "--gid-map=:0:65534:1:",
                   "--gid-map=:1:200000:1000:");
}

static void test_with_maps_each_guest_id_is_one_of_the_users_ids(void **state)
{
    (void)state;
    if (!have_range)
        skip();
    struct wire *w = up_with_maps();
    struct fuse_entry_out e;
    uint64_t fh;

    assert_ok(fc_create(&w->c, FC_ROOT, "by-0", O_RDWR, 0644, &e, &fh));
    assert_int_equal(e.attr.uid, 0);
    assert_int_equal(host_stat(w, "by-0").st_uid, NOBODY);
    w->c.uid = w->c.gid = 5;
    assert_ok(fc_create(&w->c, FC_ROOT, "by-5", O_RDWR, 0644, &e, &fh));
    assert_int_equal(e.attr.uid, 5);
    assert_int_equal(e.attr.gid, 5);
    assert_int_equal(host_stat(w, "by-5").st_uid, RANGE + 4);
    assert_int_equal(host_stat(w, "by-5").st_gid, RANGE + 4);
}

static void test_with_maps_files_can_be_given_to_mapped_ids_only(void **state)
{
    (void)state;
    if (!have_range)
        skip();
    struct wire *w = up_with_maps();
    struct fuse_setattr_in owner = {.valid = FATTR_UID | FATTR_GID, .uid = 1000, .gid = 7};
    struct fuse_entry_out e;
    uint64_t fh;

    host_write(w, "file", "x");
    uint64_t file = node(w, FC_ROOT, "file");
    assert_ok(fc_setattr(&w->c, file, &owner, NULL));
    assert_int_equal(host_stat(w, "file").st_uid, RANGE + 999);
    assert_int_equal(host_stat(w, "file").st_gid, RANGE + 6);
    owner.uid = 1001;
    assert_true(fc_setattr(&w->c, file, &owner, NULL) < 0);
    w->c.uid = 1001;
    assert_true(fc_create(&w->c, FC_ROOT, "by-1001", O_RDWR, 0644, &e, &fh) < 0);
    assert_false(host_exists(w, "by-1001"));
}

static void test_ranges_that_were_not_granted_end_the_start(void **state)
{
    (void)state;
    if (!have_range)
        skip();
    struct daemon d;
    const char *const args[] = {"--uid-map=:0:100:50:", NULL};
    int status;

    if (daemon_start_ours(&d, args, NULL) < 0)
        return;
    assert_ok(daemon_wait(&d, 5000, &status));
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    assert_true(daemon_log_has(&d, "/etc/subuid", 0));
    daemon_end(&d);
}

/* ---- becoming that user ------------------------------------------------------------------------- */

static bool write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    return f && fputs(text, f) >= 0 && fclose(f) == 0;
}

static bool grant(void)
{
    char path[] = "/tmp/viofs-sub-XXXXXX";
    int fd = mkstemp(path);
    bool done;

    if (fd < 0)
        return false;
    close(fd);
    done = chmod(path, 0644) == 0 && write_file(path, "nobody:200000:1000\n") &&
           unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0 &&
           mount(path, "/etc/subuid", NULL, MS_BIND, NULL) == 0 &&
           mount(path, "/etc/subgid", NULL, MS_BIND, NULL) == 0;
    unlink(path);
    return done;
}

static char copy_path[64];

/* The build directory may be root's alone. */
static bool copy_daemon(void)
{
    const char *daemon = getenv("VIOFS_DAEMON");
    int from = daemon ? open(daemon, O_RDONLY | O_CLOEXEC) : -1, to;
    struct stat st;
    bool done;

    strcpy(copy_path, "/tmp/viofs-daemon-XXXXXX");
    to = mkostemp(copy_path, O_CLOEXEC);
    if (from < 0 || to < 0 || fstat(from, &st) < 0)
        return false;
    for (ssize_t n = 1; n > 0;)
        n = copy_file_range(from, NULL, to, NULL, (size_t)st.st_size, 0);
    done = lseek(to, 0, SEEK_END) == st.st_size && fchmod(to, 0755) == 0 &&
           fchown(to, NOBODY, NOBODY) == 0;
    close(from);
    close(to);
    return done && setenv("VIOFS_DAEMON", copy_path, 1) == 0;
}

static bool become_nobody(void)
{
    return setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
           setresuid(NOBODY, NOBODY, NOBODY) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0;
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_a_user_shares_his_directory_without_any_privilege),
    WIRE_TEST(test_a_user_cannot_give_files_away),
    WIRE_TEST(test_a_user_makes_no_device_nodes),
    WIRE_TEST(test_a_user_reads_nothing_that_he_could_not_read_before),
    WIRE_TEST(test_file_handles_cannot_be_demanded),
    WIRE_TEST(test_with_maps_each_guest_id_is_one_of_the_users_ids),
    WIRE_TEST(test_with_maps_files_can_be_given_to_mapped_ids_only),
    WIRE_TEST(test_ranges_that_were_not_granted_end_the_start),
};

int main(int argc, char **argv)
{
    int result;

    if (geteuid() == 0) {
        have_range = grant();
        if (!copy_daemon() || !become_nobody()) {
            perror("becoming an ordinary user");
            return 77; /* skipped, for meson */
        }
    }
    result = wire_main("unprivileged", argc, argv, tests, ARRAY(tests));
    if (*copy_path)
        unlink(copy_path);
    return result;
}
