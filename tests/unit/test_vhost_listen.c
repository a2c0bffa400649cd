// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_vhost_listen.c - the listening socket and its lock file
 */
// clang-format off: cmocka.h needs these first
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/capture.h"
#include "virtiofsd/vhost/vhost.h"

static char dir[64], path[96], pid_path[104];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/viofs-listen-XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/sock", dir);
    snprintf(pid_path, sizeof(pid_path), "%s/sock.pid", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    unlink(pid_path);
    return rmdir(dir);
}

/* The lock is the process': each call is made in a child. Return: its errno (0: listening). */
static int listen_in_child(const char *at, const char *group, char *said, size_t room)
{
    int pipefd[2], status;
    size_t n = 0;

    assert_int_equal(pipe(pipefd), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipefd[1], STDERR_FILENO);
        close(pipefd[1]);
        int fd = vu_listen(at, group);
        _exit(fd < 0 ? -fd : 0);
    }
    close(pipefd[1]);
    for (ssize_t r; n < room - 1 && (r = read(pipefd[0], said + n, room - 1 - n)) > 0;)
        n += (size_t)r;
    said[n] = '\0';
    close(pipefd[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int can_connect(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(a.sun_path, path);
    int err = connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : 0;
    close(fd);
    return err;
}

static mode_t mode_of(const char *name)
{
    struct stat st;

    assert_int_equal(stat(name, &st), 0);
    return st.st_mode & 07777;
}

static void test_the_socket_is_for_the_owner_only(void **state)
{
    char said[512];
    (void)state;

    umask(022);
    assert_int_equal(listen_in_child(path, NULL, said, sizeof(said)), 0);
    assert_string_equal(said, "");
    assert_int_equal(mode_of(path), 0700);
    assert_int_equal(umask(022), 022);
}

static void test_a_group_may_be_let_in(void **state)
{
    char said[512];
    struct stat st;
    const struct group *g = getgrgid(getegid());
    (void)state;

    assert_non_null(g);
    assert_int_equal(listen_in_child(path, g->gr_name, said, sizeof(said)), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0770);
    assert_int_equal(st.st_gid, g->gr_gid);
}

static void test_an_unknown_group_is_named(void **state)
{
    char said[512];
    (void)state;

    assert_int_equal(listen_in_child(path, "no-such-group-here", said, sizeof(said)), EINVAL);
    assert_non_null(strstr(said, "no-such-group-here"));
    assert_int_equal(access(path, F_OK), -1);
}

static void test_the_lock_file_holds_the_process_id(void **state)
{
    char text[32] = "";
    (void)state;

    int fd = vu_listen(path, NULL);
    assert_true(fd >= 0);
    FILE *f = fopen(pid_path, "re");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    fclose(f);
    assert_int_equal(strtol(text, NULL, 10), getpid());
    assert_int_equal(can_connect(), 0);
    close(fd);
}

/* This process holds the lock of the test before for good, so this one has its own directory. */
static void test_a_second_daemon_is_refused_and_told_who_has_it(void **state)
{
    char said[512], pid[32];
    (void)state;

    int fd = vu_listen(path, NULL);
    assert_true(fd >= 0);
    assert_int_equal(listen_in_child(path, NULL, said, sizeof(said)), EADDRINUSE);
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    assert_non_null(strstr(said, pid));
    assert_non_null(strstr(said, "in use by another daemon"));
    assert_int_equal(can_connect(), 0); /* and the first one is unharmed */
    close(fd);
}

static void test_a_dead_daemons_socket_is_replaced(void **state)
{
    char said[512];
    (void)state;

    assert_int_equal(listen_in_child(path, NULL, said, sizeof(said)), 0);
    assert_int_equal(can_connect(), -ECONNREFUSED);
    int fd = vu_listen(path, NULL);
    assert_true(fd >= 0);
    assert_int_equal(can_connect(), 0);
    close(fd);
}

static void test_something_else_at_that_place_is_left_alone(void **state)
{
    char said[512];
    (void)state;

    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(listen_in_child(path, NULL, said, sizeof(said)), EEXIST);
    assert_non_null(strstr(said, "not a socket"));
    assert_int_equal(access(path, F_OK), 0);
}

static void test_a_missing_directory_is_named(void **state)
{
    char said[512], missing[128];
    (void)state;

    snprintf(missing, sizeof(missing), "%s/nowhere/sock", dir);
    assert_int_equal(listen_in_child(missing, NULL, said, sizeof(said)), ENOENT);
    assert_non_null(strstr(said, "directory does not exist"));
}

static void test_a_path_that_is_too_long_is_refused(void **state)
{
    char said[512], name[200];
    (void)state;

    memset(name, 'x', sizeof(name));
    memcpy(name, "/tmp/", 5);
    name[108] = '\0';
    assert_int_equal(listen_in_child(name, NULL, said, sizeof(said)), ENAMETOOLONG);
    assert_non_null(strstr(said, "107"));
}

static void test_a_symbolic_link_as_lock_file_is_not_followed(void **state)
{
    char said[512];
    (void)state;

    assert_int_equal(symlink("/tmp/viofs-victim", pid_path), 0);
    assert_int_equal(listen_in_child(path, NULL, said, sizeof(said)), ELOOP);
    assert_int_equal(access("/tmp/viofs-victim", F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_socket_is_for_the_owner_only),
        TEST(test_a_group_may_be_let_in),
        TEST(test_an_unknown_group_is_named),
        TEST(test_the_lock_file_holds_the_process_id),
        TEST(test_a_second_daemon_is_refused_and_told_who_has_it),
        TEST(test_a_dead_daemons_socket_is_replaced),
        TEST(test_something_else_at_that_place_is_left_alone),
        TEST(test_a_missing_directory_is_named),
        TEST(test_a_path_that_is_too_long_is_refused),
        TEST(test_a_symbolic_link_as_lock_file_is_not_followed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
