// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_parent.c - the process that waits outside, as whoever started it sees it
 */
#include "cmocka_all.h"
#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The daemon's side says that it is up by writing here, and is seen to end by the hang-up. */
static int up[2];

static void start_up(void)
{
    assert_return_code(pipe2(up, O_CLOEXEC), errno);
}

/* Wait until the daemon's side is inside; the test's own copy of the write end is closed. */
static void wait_until_up(void)
{
    char byte;

    close(up[1]);
    assert_int_equal(read(up[0], &byte, 1), 1);
}

/* true when the daemon's side goes */
static bool is_gone(void)
{
    struct pollfd p = {.fd = up[0], .events = POLLIN};

    return poll(&p, 1, 20000) == 1 && (p.revents & POLLHUP);
}

static int say_up(void)
{
    return write(up[1], "", 1) == 1 ? 0 : 1;
}

static int ends_with_7(struct jail *jail, struct sandbox *sb)
{
    (void)jail;
    (void)sb;
    return 7;
}

static void test_exit_status_is_the_daemons(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    jail.inside = ends_with_7;
    assert_int_equal(jail_run(&jail), 7);
    jail_free(&jail);
}

static int crashes(struct jail *jail, struct sandbox *sb)
{
    const struct rlimit none = {0, 0};

    (void)jail;
    (void)sb;
    setrlimit(RLIMIT_CORE, &none);
    __builtin_trap();
}

static void test_a_crash_is_reported_as_128_plus_the_signal(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    jail.inside = crashes;
    assert_int_equal(jail_run(&jail), 128 + SIGILL);
    jail_free(&jail);
}

static volatile sig_atomic_t got;

static void remember_signal(int sig)
{
    got = sig;
}

static int waits_for_a_signal(struct jail *jail, struct sandbox *sb)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    sigset_t blocked, open;

    (void)jail;
    (void)sb;
    sigemptyset(&open);
    sigemptyset(&blocked);
    for (size_t i = 0; i < 3; i++) {
        struct sigaction action = {.sa_handler = remember_signal};

        sigaddset(&blocked, signals[i]);
        INSIDE(sigaction(signals[i], &action, NULL) == 0);
    }
    INSIDE(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
    INSIDE(say_up() == 0);
    while (!got)
        sigsuspend(&open);
    return 100 + got;
}

static void test_signals_are_passed_on(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};

    (void)state;
    ROOT_ONLY();
    for (size_t i = 0; i < 3; i++) {
        struct jail jail;
        pid_t pid;

        jail_make(&jail, SANDBOX_NAMESPACE);
        start_up();
        jail.inside = waits_for_a_signal;
        pid = jail_start(&jail);
        wait_until_up();
        assert_return_code(kill(pid, signals[i]), errno);
        assert_int_equal(jail_wait(pid), 100 + signals[i]);
        close(up[0]);
        jail_free(&jail);
    }
}

static int sleeps_without_handlers(struct jail *jail, struct sandbox *sb)
{
    (void)jail;
    (void)sb;
    INSIDE(say_up() == 0);
    sleep(30);
    return 0;
}

static void test_sigterm_ends_a_daemon_that_has_no_handler_yet(void **state)
{
    struct jail jail;
    pid_t pid;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    start_up();
    jail.inside = sleeps_without_handlers;
    pid = jail_start(&jail);
    wait_until_up();
    assert_return_code(kill(pid, SIGTERM), errno);
    assert_int_equal(jail_wait(pid), 128 + SIGTERM);
    close(up[0]);
    jail_free(&jail);
}

static void test_the_daemon_dies_with_its_parent(void **state)
{
    struct jail jail;
    pid_t pid;

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    start_up();
    jail.inside = sleeps_without_handlers;
    pid = jail_start(&jail);
    wait_until_up();
    assert_false(poll(&(struct pollfd){.fd = up[0], .events = POLLIN}, 1, 0));
    assert_return_code(kill(pid, SIGKILL), errno);
    assert_int_equal(jail_wait(pid), 1000 + SIGKILL);
    assert_true(is_gone());
    close(up[0]);
    jail_free(&jail);
}

/* A number or word from /proc/PID/status. */
static void read_status(pid_t pid, const char *key, char *value)
{
    char path[64], line[256];
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    f = fopen(path, "re");
    assert_non_null(f);
    value[0] = '\0';
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
            sscanf(line + strlen(key) + 1, "%63s", value);
    fclose(f);
}

static size_t open_files(pid_t pid)
{
    char path[64];
    size_t n = 0;

    for (int fd = 3; fd < 1024; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
        n += faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    }
    return n;
}

static void test_the_parent_has_no_rights_and_holds_nothing_open(void **state)
{
    struct jail jail;
    char value[64];
    pid_t pid;
    int extra[2];

    (void)state;
    ROOT_ONLY();
    jail_make(&jail, SANDBOX_NAMESPACE);
    assert_return_code(pipe(extra), errno); /* as a listening socket would be */
    start_up();
    jail.inside = sleeps_without_handlers;
    pid = jail_start(&jail);
    wait_until_up();
    read_status(pid, "CapPrm", value);
    assert_string_equal(value, "0000000000000000");
    read_status(pid, "CapBnd", value);
    assert_string_equal(value, "0000000000000000");
    read_status(pid, "NoNewPrivs", value);
    assert_string_equal(value, "1");
    assert_int_equal(open_files(pid), 1);
    assert_return_code(kill(pid, SIGTERM), errno);
    assert_int_equal(jail_wait(pid), 128 + SIGTERM);
    close(extra[0]);
    close(extra[1]);
    close(up[0]);
    jail_free(&jail);
}

/* ---- with an heir ------------------------------------------------------------------------- */

/* What both processes see of it. */
static struct {
    int fd; /* of the daemon's, opened when the two were apart already */
    int process_fd;
} * inheritance;

static void begins(void *ctx, int process_fd)
{
    (void)ctx;
    inheritance->process_fd = process_fd;
}

static void inherits(void *ctx)
{
    (void)ctx;
    (void)!write(inheritance->fd, "heir", 4);
}

static struct sandbox_heir heir;

static void give_heir(struct jail *jail, enum conf_sandbox mode)
{
    heir = (struct sandbox_heir){.begun = begins, .ended = inherits, .parent_fd = -1};
    inheritance =
        mmap(NULL, sizeof(*inheritance), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(inheritance != MAP_FAILED);
    jail_make(jail, mode);
    start_up();
    jail->heir = &heir;
}

static void take_heir(struct jail *jail)
{
    close(up[0]);
    munmap(inheritance, sizeof(*inheritance));
    jail_free(jail);
}

static int leaves_something(struct jail *jail, struct sandbox *sb)
{
    INSIDE(heir.parent_fd >= 0);
    inheritance->fd = fcntl(up[1], F_DUPFD_CLOEXEC, 100);
    INSIDE(inheritance->fd >= 100);
    return crashes(jail, sb);
}

static void test_heir_has_what_the_daemon_had_open(void **state)
{
    static const enum conf_sandbox modes[] = {SANDBOX_NONE, SANDBOX_CHROOT, SANDBOX_NAMESPACE};

    (void)state;
    ROOT_ONLY();
    for (size_t i = 0; i < 3; i++) {
        struct jail jail;
        char word[8] = "";

        give_heir(&jail, modes[i]);
        jail.lock = true;
        jail.inside = leaves_something;
        assert_int_equal(jail_run(&jail), 128 + SIGILL);
        close(up[1]);
        assert_int_equal(read(up[0], word, sizeof(word)), 4);
        assert_string_equal(word, "heir");
        assert_true(inheritance->process_fd > 2);
        take_heir(&jail);
    }
}

static int sees_its_parent_end(struct jail *jail, struct sandbox *sb)
{
    struct pollfd p = {.fd = heir.parent_fd, .events = POLLIN};

    (void)jail;
    (void)sb;
    INSIDE(say_up() == 0);
    INSIDE(poll(&p, 1, 20000) == 1 && (p.revents & POLLIN));
    INSIDE(write(up[1], "last", 4) == 4);
    return 0;
}

static void test_daemon_with_an_heir_survives_its_parent_and_sees_its_end(void **state)
{
    struct jail jail;
    char word[8] = "";
    pid_t pid;

    (void)state;
    ROOT_ONLY();
    give_heir(&jail, SANDBOX_NAMESPACE);
    jail.inside = sees_its_parent_end;
    pid = jail_start(&jail);
    wait_until_up();
    assert_return_code(kill(pid, SIGKILL), errno);
    assert_int_equal(jail_wait(pid), 1000 + SIGKILL);
    assert_int_equal(read(up[0], word, sizeof(word)), 4);
    assert_string_equal(word, "last");
    assert_true(is_gone());
    take_heir(&jail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_status_is_the_daemons),
        cmocka_unit_test(test_a_crash_is_reported_as_128_plus_the_signal),
        cmocka_unit_test(test_signals_are_passed_on),
        cmocka_unit_test(test_sigterm_ends_a_daemon_that_has_no_handler_yet),
        cmocka_unit_test(test_the_daemon_dies_with_its_parent),
        cmocka_unit_test(test_the_parent_has_no_rights_and_holds_nothing_open),
        cmocka_unit_test(test_heir_has_what_the_daemon_had_open),
        cmocka_unit_test(test_daemon_with_an_heir_survives_its_parent_and_sees_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
