// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_seccomp.c - a call that is not in the list ends the process, whichever thread makes it
 *
 * The forbidden calls are made with arguments that do nothing if they get through, so a filter that lets one
 * pass shows as a normal exit. seccomp_threads.c does the same to a running daemon.
 */
#include "cmocka_all.h"
#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#define KILLED (128 + SIGSYS)

static const struct {
    int nr;
    const char *name;
} never[] = {
#define SECCOMP_NEVER(name, nr) {nr, #name},
#include "seccomp_list.h"
#undef SECCOMP_NEVER
};
#define N_NEVER (sizeof never / sizeof never[0])

/* What to do inside, once locked. Return: exit status. */
static long nr, args[4];
static bool in_thread;

static void *make_call(void *unused)
{
    (void)unused;
    (void)syscall(nr, args[0], args[1], args[2], args[3]);
    return NULL;
}

static int call_it(struct jail *jail, struct sandbox *sb)
{
    const struct rlimit no_core = {0, 0};
    pthread_t thread;

    (void)jail;
    (void)sb;
    INSIDE(setrlimit(RLIMIT_CORE, &no_core) == 0);
    INSIDE(sandbox_lock(&jail->conf, sb) == 0);
    if (!in_thread) {
        make_call(NULL);
        _exit(0);
    }
    INSIDE(pthread_create(&thread, NULL, make_call, NULL) == 0);
    pthread_join(thread, NULL);
    _exit(0);
}

static int try_call(struct jail *jail, long number, long a, long b, long c, long d)
{
    nr = number;
    args[0] = a;
    args[1] = b;
    args[2] = c;
    args[3] = d;
    return jail_run(jail);
}

/* --sandbox=none has no parent, so the status is the signal itself. */
static void make_locked_jail(struct jail *jail)
{
    jail_make(jail, SANDBOX_NONE);
    jail->conf.seccomp = SECCOMP_KILL;
    jail->inside = call_it;
}

static void make_every_forbidden_call(void)
{
    struct jail jail;

    make_locked_jail(&jail);
    for (size_t i = 0; i < N_NEVER; i++) {
        int status;

        if (never[i].nr < 0) /* not on this machine */
            continue;
        status = try_call(&jail, never[i].nr, -1, -1, -1, -1);
        if (status != 1000 + SIGSYS)
            print_error("%s: status %d\n", never[i].name, status);
        assert_int_equal(status, 1000 + SIGSYS);
    }
    jail_free(&jail);
}

static void test_every_forbidden_call_kills_from_the_main_thread(void **state)
{
    (void)state;
    assert_true(N_NEVER > 40);
    in_thread = false;
    make_every_forbidden_call();
}

static void test_every_forbidden_call_kills_from_another_thread(void **state)
{
    (void)state;
    in_thread = true;
    make_every_forbidden_call();
    in_thread = false;
}

static void test_modcaps_do_not_open_the_filter(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    make_locked_jail(&jail);
    jail.conf.modcaps = "+sys_admin:+sys_chroot:+sys_ptrace";
    assert_int_equal(try_call(&jail, SYS_mount, 0, 0, 0, 0), 1000 + SIGSYS);
    assert_int_equal(try_call(&jail, SYS_setns, -1, 0, 0, 0), 1000 + SIGSYS);
    assert_int_equal(try_call(&jail, SYS_bpf, 0, 0, 0, 0), 1000 + SIGSYS);
    assert_int_equal(try_call(&jail, SYS_chroot, 0, 0, 0, 0), 1000 + SIGSYS);
    jail_free(&jail);
}

static void test_calls_that_are_on_no_list_kill(void **state)
{
    struct jail jail;

    (void)state;
    make_locked_jail(&jail);
    assert_int_equal(try_call(&jail, SYS_getppid, 0, 0, 0, 0), 1000 + SIGSYS);
    assert_int_equal(try_call(&jail, 9999, 0, 0, 0, 0), 1000 + SIGSYS);
    jail_free(&jail);
}

#ifdef __x86_64__
static int call_as_32_bit(struct jail *jail, struct sandbox *sb)
{
    const struct rlimit no_core = {0, 0};
    long result;

    INSIDE(setrlimit(RLIMIT_CORE, &no_core) == 0);
    INSIDE(sandbox_lock(&jail->conf, sb) == 0);
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L /* getpid there */) : "memory");
    _exit(0);
}

static void test_calls_of_other_machines_kill(void **state)
{
    struct jail jail;

    (void)state;
    make_locked_jail(&jail);
    assert_int_equal(try_call(&jail, 0x40000000 | SYS_getpid, 0, 0, 0, 0), 1000 + SIGSYS);
    jail.inside = call_as_32_bit;
    assert_int_equal(jail_run(&jail), 1000 + SIGSYS);
    jail_free(&jail);
}
#endif

static void test_arguments_decide_where_a_call_is_needed_for_something_else(void **state)
{
    struct jail jail;
    const long anon = MAP_PRIVATE | MAP_ANONYMOUS;

    (void)state;
    make_locked_jail(&jail);
    /* no code */
    assert_int_equal(try_call(&jail, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, anon), 0);
    assert_int_equal(try_call(&jail, SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, anon),
                     1000 + SIGSYS);
    assert_int_equal(try_call(&jail, SYS_mprotect, 0, 4096, PROT_EXEC, 0), 1000 + SIGSYS);
    /* no process, no namespace */
    assert_int_equal(try_call(&jail, SYS_clone, SIGCHLD, 0, 0, 0), 1000 + SIGSYS);
    assert_int_equal(try_call(&jail, SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0), 1000 + SIGSYS);
    assert_int_equal(
        try_call(&jail, SYS_clone, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWNS, 0, 0, 0),
        1000 + SIGSYS);
    assert_int_equal(try_call(&jail, SYS_clone3, 0, 0, 0, 0), 0);
    /* no new securebits, no dumpable, no death signal */
    assert_int_equal(try_call(&jail, SYS_prctl, PR_SET_SECUREBITS, 0, 0, 0), 1000 + SIGSYS);
    assert_int_equal(try_call(&jail, SYS_prctl, PR_SET_NAME, (long)"name", 0, 0), 0);
    /* no signal to others */
    assert_int_equal(try_call(&jail, SYS_tgkill, getpid(), getpid(), 0, 0), 1000 + SIGSYS);
    jail_free(&jail);
}

static int opens_by_handle(struct jail *jail, struct sandbox *sb)
{
    const struct rlimit no_core = {0, 0};

    INSIDE(setrlimit(RLIMIT_CORE, &no_core) == 0);
    INSIDE(sandbox_lock(&jail->conf, sb) == 0);
    (void)syscall(SYS_open_by_handle_at, -1, NULL, 0);
    _exit(0);
}

static void test_file_handles_are_opened_only_where_that_works(void **state)
{
    struct jail jail;

    (void)state;
    make_locked_jail(&jail);
    jail.inside = opens_by_handle;
    jail.conf.inode_file_handles = HANDLES_NEVER;
    assert_int_equal(jail_run(&jail), 1000 + SIGSYS);
    if (is_root()) {
        jail.conf.inode_file_handles = HANDLES_PREFER;
        assert_int_equal(jail_run(&jail), 0);
    }
    jail_free(&jail);
}

static int works_as_usual(struct jail *jail, struct sandbox *sb)
{
    pthread_t threads[8];
    int fd;

    INSIDE(sandbox_lock(&jail->conf, sb) == 0);
    for (size_t i = 0; i < 8; i++) {
        nr = SYS_getpid;
        INSIDE(pthread_create(&threads[i], NULL, make_call, NULL) == 0);
    }
    for (size_t i = 0; i < 8; i++)
        INSIDE(pthread_join(threads[i], NULL) == 0);
    for (size_t size = 16; size < (64u << 20); size *= 4) {
        char *p = malloc(size);

        INSIDE(p != NULL);
        memset(p, 1, size);
        free(p);
    }
    fd = openat(sb->root_fd, "file", O_RDONLY | O_CLOEXEC);
    INSIDE(fd >= 0);
    close(fd);
    log_error("(not an error: the log works inside)");
    return 0;
}

static void test_threads_memory_files_and_log_work_under_the_filter(void **state)
{
    struct jail jail;

    (void)state;
    make_locked_jail(&jail);
    jail_write(&jail, "share/file", "x");
    jail.inside = works_as_usual;
    assert_int_equal(jail_run(&jail), 0);
    jail_free(&jail);
}

static void test_the_parent_outlives_a_killed_daemon_and_says_so(void **state)
{
    struct jail jail;

    (void)state;
    ROOT_ONLY();
    make_locked_jail(&jail);
    jail.conf.sandbox = SANDBOX_NAMESPACE;
    assert_int_equal(try_call(&jail, SYS_mount, 0, 0, 0, 0), KILLED);
    jail_free(&jail);
}

/* ---- the other actions --------------------------------------------------------------------- */

static void test_log_lets_the_call_through(void **state)
{
    struct jail jail;

    (void)state;
    make_locked_jail(&jail);
    jail.conf.seccomp = SECCOMP_LOG;
    assert_int_equal(try_call(&jail, SYS_getppid, 0, 0, 0, 0), 0);
    jail_free(&jail);
}

static void test_none_filters_nothing(void **state)
{
    struct jail jail;

    (void)state;
    make_locked_jail(&jail);
    jail.conf.seccomp = SECCOMP_NONE;
    assert_int_equal(try_call(&jail, SYS_getppid, 0, 0, 0, 0), 0);
    jail_free(&jail);
}

static void stderr_to_file(struct jail *jail)
{
    int fd = open(jail_path(jail, "stderr"), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(96);
}

static void test_trap_names_the_call(void **state)
{
    struct jail jail;
    char text[512] = "";
    int fd;

    (void)state;
    make_locked_jail(&jail);
    jail.conf.seccomp = SECCOMP_TRAP;
    jail.before = stderr_to_file;
    assert_int_equal(try_call(&jail, SYS_getppid, 0, 0, 0, 0), 1000 + SIGILL);
    fd = open(jail_path(&jail, "stderr"), O_RDONLY);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    assert_non_null(strstr(text, "(getppid)"));
    jail_free(&jail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_forbidden_call_kills_from_the_main_thread),
        cmocka_unit_test(test_every_forbidden_call_kills_from_another_thread),
        cmocka_unit_test(test_modcaps_do_not_open_the_filter),
        cmocka_unit_test(test_calls_that_are_on_no_list_kill),
#ifdef __x86_64__
        cmocka_unit_test(test_calls_of_other_machines_kill),
#endif
        cmocka_unit_test(test_arguments_decide_where_a_call_is_needed_for_something_else),
        cmocka_unit_test(test_file_handles_are_opened_only_where_that_works),
        cmocka_unit_test(test_threads_memory_files_and_log_work_under_the_filter),
        cmocka_unit_test(test_the_parent_outlives_a_killed_daemon_and_says_so),
        cmocka_unit_test(test_log_lets_the_call_through),
        cmocka_unit_test(test_none_filters_nothing),
        cmocka_unit_test(test_trap_names_the_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
