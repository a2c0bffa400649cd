// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_notify.c - systemd's two protocols: readiness and sockets handed over
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "virtiofsd/host/notify.h"

/* A service manager at @name ('@': abstract). Return: its socket. */
static int listen_at(const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    memcpy(addr.sun_path, name, len);
    if (name[0] == '@')
        addr.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (struct sockaddr *)&addr,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void assert_ready_arrives(int manager)
{
    char text[64] = "";
    int fd = notify_open();

    assert_true(fd >= 0);
    assert_null(getenv("NOTIFY_SOCKET"));
    notify_send(fd, "READY=1");
    assert_int_equal(recv(manager, text, sizeof(text), 0), 7);
    assert_string_equal(text, "READY=1");
    close(fd);
    close(manager);
}

static void test_readiness_reaches_a_socket_in_the_file_system(void **state)
{
    char dir[] = "/tmp/viofs-notify-XXXXXX", path[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/sock", dir);
    assert_ready_arrives(listen_at(path));
    unlink(path);
    rmdir(dir);
}

static void test_readiness_reaches_an_abstract_socket(void **state)
{
    char name[64];

    (void)state;
    snprintf(name, sizeof(name), "@viofs-test-%d", (int)getpid());
    assert_ready_arrives(listen_at(name));
}

static void test_without_a_manager_there_is_nobody_to_tell(void **state)
{
    static const char *const bad[] = {"", "/", "relative", "/nonexistent/socket"};

    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_open(), -1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        setenv("NOTIFY_SOCKET", bad[i], 1);
        assert_int_equal(notify_open(), -1);
    }
    notify_send(-1, "READY=1");
}

static void test_a_manager_that_does_not_listen_does_not_block(void **state)
{
    char name[64];

    (void)state;
    snprintf(name, sizeof(name), "@viofs-deaf-%d", (int)getpid());
    int manager = listen_at(name), fd = notify_open();
    for (int i = 0; i < 10000; i++)
        notify_send(fd, "STATUS=busy");
    close(manager);
    notify_send(fd, "READY=1");
    close(fd);
}

static int listen_fd_with(const char *pid, const char *fds)
{
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", fds, 1);
    setenv("LISTEN_FDNAMES", "x", 1);
    int fd = notify_listen_fd();
    assert_null(getenv("LISTEN_PID"));
    assert_null(getenv("LISTEN_FDS"));
    assert_null(getenv("LISTEN_FDNAMES"));
    return fd;
}

static void test_one_socket_for_this_process_is_descriptor_3(void **state)
{
    char me[16];

    (void)state;
    snprintf(me, sizeof(me), "%d", (int)getpid());
    assert_int_equal(listen_fd_with(me, "1"), 3);
}

static void test_sockets_of_another_process_are_not_ours(void **state)
{
    char me[16], like_me[20];

    (void)state;
    snprintf(me, sizeof(me), "%d", (int)getpid());
    snprintf(like_me, sizeof(like_me), "%sx", me);
    assert_int_equal(listen_fd_with("1", "1"), NOTIFY_NO_SOCKET);
    assert_int_equal(listen_fd_with("", "1"), NOTIFY_NO_SOCKET);
    assert_int_equal(listen_fd_with(like_me, "1"), NOTIFY_NO_SOCKET);
    assert_int_equal(listen_fd_with(me, "0"), NOTIFY_NO_SOCKET);
    assert_int_equal(notify_listen_fd(), NOTIFY_NO_SOCKET);
}

static void test_several_sockets_are_not_one(void **state)
{
    char me[16];

    (void)state;
    snprintf(me, sizeof(me), "%d", (int)getpid());
    assert_int_equal(listen_fd_with(me, "2"), NOTIFY_MANY_SOCKETS);
    assert_int_equal(listen_fd_with(me, "many"), NOTIFY_MANY_SOCKETS);
}

static void test_several_sockets_have_their_names(void **state)
{
    struct notify_fds fds;
    char me[16];

    (void)state;
    snprintf(me, sizeof(me), "%d", (int)getpid());
    setenv("LISTEN_PID", me, 1);
    setenv("LISTEN_FDS", "3", 1);
    setenv("LISTEN_FDNAMES", "home::srv", 1);
    notify_listen_fds(&fds);
    assert_int_equal(fds.first, 3);
    assert_int_equal(fds.n, 3);
    assert_string_equal(notify_fd_name(&fds, 0), "home");
    assert_string_equal(notify_fd_name(&fds, 1), "");
    assert_string_equal(notify_fd_name(&fds, 2), "srv");
    notify_free_fds(&fds);
}

static void test_names_that_are_not_as_many_as_sockets_are_none(void **state)
{
    struct notify_fds fds;
    char me[16];

    (void)state;
    snprintf(me, sizeof(me), "%d", (int)getpid());
    setenv("LISTEN_PID", me, 1);
    setenv("LISTEN_FDS", "2", 1);
    setenv("LISTEN_FDNAMES", "home", 1);
    notify_listen_fds(&fds);
    assert_int_equal(fds.n, 2);
    assert_string_equal(notify_fd_name(&fds, 1), "");
    notify_free_fds(&fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readiness_reaches_a_socket_in_the_file_system),
        cmocka_unit_test(test_readiness_reaches_an_abstract_socket),
        cmocka_unit_test(test_without_a_manager_there_is_nobody_to_tell),
        cmocka_unit_test(test_a_manager_that_does_not_listen_does_not_block),
        cmocka_unit_test(test_one_socket_for_this_process_is_descriptor_3),
        cmocka_unit_test(test_sockets_of_another_process_are_not_ours),
        cmocka_unit_test(test_several_sockets_are_not_one),
        cmocka_unit_test(test_several_sockets_have_their_names),
        cmocka_unit_test(test_names_that_are_not_as_many_as_sockets_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
