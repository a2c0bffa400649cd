// SPDX-License-Identifier: BSD-3-Clause
/*
 * seccomp_threads.c - a forbidden call ends the running daemon, in every kind of its threads
 *
 * Theory of operation
 *
 *   The daemon that ships has no door for this, so the test makes one: it attaches to a thread of the
 *   real, serving daemon with ptrace, sets its registers as if it were about to call mount(2), and lets it
 *   go. The daemon must die of SIGSYS. Threads are found in /proc, named by kind ("q0" and "q1" are one
 *   kind), and each kind gets a fresh daemon. The process that waits outside the sandbox is a kind of its
 *   own.
 *
 *   What it does not prove: that the list of allowed calls is short. test_seccomp.c looks at that.
 */
#include "tests/wire/wire.h"

#include <ctype.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#define MAX_KINDS 16

struct kind {
    char name[17];
    pid_t tid; /* in the daemon that was looked at last */
};

static const char *const every_thread[] = {"--thread-pool-size=2", "--stats-socket={work}/stats",
                                           "--seccomp=kill",       "-o",
                                           "posix_lock",           NULL};

/* A lock that waits for another owner's: there is a thread for those. */
static void wait_for_a_lock(struct wire *w)
{
    struct fuse_lk_in in = {.owner = 2, .lk = {.end = INT64_MAX, .type = F_WRLCK}};
    struct fc_part part = {&in, sizeof(in)};
    struct fe_req *waiting = calloc(1, sizeof(*waiting)); /* never comes back */
    uint64_t file;

    host_write(w, "file", "x");
    file = node(w, FC_ROOT, "file");
    in.fh = opened(w, file, O_RDWR);
    assert_ok(fc_setlk(&w->c, file, in.fh, 1, F_WRLCK, 0, INT64_MAX, false));
    assert_non_null(waiting);
    assert_ok(fe_req_init(w->fe, waiting, 4096, 4096));
    fc_build(&w->c, waiting, FUSE_SETLKW, file, &part, 1, 0);
    assert_ok(fe_submit(w->fe, FE_REQUESTS, waiting, false));
    wire_alive(w);
}

/* Kinds of threads of the process @pid; the number of them. */
static unsigned find_kinds(pid_t pid, struct kind *kinds)
{
    char path[64];
    unsigned n = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        char name[17] = "";
        unsigned i;
        FILE *f;

        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", (int)pid, e->d_name);
        f = fopen(path, "re");
        assert_non_null(f);
        assert_int_equal(fscanf(f, "%16[^\n0-9]", name), 1);
        fclose(f);
        for (i = 0; i < n && strcmp(kinds[i].name, name) != 0; i++)
            ;
        assert_true(i < MAX_KINDS);
        snprintf(kinds[i].name, sizeof(kinds[i].name), "%s", name);
        kinds[i].tid = atoi(e->d_name);
        n += i == n;
    }
    closedir(dir);
    return n;
}

/* A daemon with all kinds of threads: main, queues, pool, locks, statistics. */
static struct wire *start_serving(void)
{
    const struct wire_options o = {.args = every_thread};
    struct wire *w = wire_start(&o);
    struct kind kinds[MAX_KINDS];

    wait_for_a_lock(w);
    for (int ms = 0; find_kinds(daemon_worker_pid(&w->d), kinds) < 5; ms += 5) {
        assert_true(ms < PATIENCE_MS);
        poll(NULL, 0, 5);
    }
    return w;
}

#ifdef __x86_64__
/* Stop a thread in a system call. false: it was not in one. */
static bool stop_in_call(pid_t tid, struct user_regs_struct *regs)
{
    int status;

    assert_ok(ptrace(PTRACE_SEIZE, tid, NULL, NULL));
    assert_ok(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL));
    assert_int_equal(waitpid(tid, &status, __WALL), tid);
    assert_true(WIFSTOPPED(status));
    assert_ok(ptrace(PTRACE_GETREGS, tid, NULL, regs));
    errno = 0;
    /* "syscall" is 0f 05, and the thread stands behind it */
    if ((ptrace(PTRACE_PEEKTEXT, tid, (void *)(regs->rip - 2), NULL) & 0xffff) == 0x050f)
        return true;
    assert_ok(ptrace(PTRACE_DETACH, tid, NULL, NULL));
    return false;
}

/* Make @tid call mount(NULL, NULL, NULL, 0, NULL), which changes nothing if it gets through. */
static void inject_mount(pid_t tid)
{
    struct user_regs_struct regs;
    int tries = 0;

    while (!stop_in_call(tid, &regs)) {
        assert_true(++tries < 200);
        poll(NULL, 0, 5);
    }
    regs.rip -= 2;
    regs.rax = SYS_mount;
    regs.orig_rax = (unsigned long long)-1; /* no restart of the interrupted call */
    regs.rdi = regs.rsi = regs.rdx = regs.r10 = regs.r8 = 0;
    assert_ok(ptrace(PTRACE_SETREGS, tid, NULL, &regs));
    assert_ok(ptrace(PTRACE_DETACH, tid, NULL, NULL));
}

/* The daemon ends, and says (itself or through its parent) that it was SIGSYS. */
static void assert_killed_by_filter(struct wire *w, bool by_its_parent)
{
    int status;

    assert_ok(daemon_wait(&w->d, 5000, &status));
    w->ended = true;
    if (by_its_parent) {
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 128 + SIGSYS);
    } else {
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
    }
}

static bool may_trace(void)
{
    return geteuid() == 0;
}

static void test_a_forbidden_call_in_any_kind_of_thread_ends_the_daemon(void **state)
{
    struct kind kinds[MAX_KINDS];
    struct wire *w;
    unsigned n, seen = 0;

    (void)state;
    if (!may_trace())
        skip();
    w = start_serving();
    n = find_kinds(daemon_worker_pid(&w->d), kinds);
    for (unsigned i = 0; i < n; i++) {
        struct kind now[MAX_KINDS];
        unsigned m, k;

        print_message("in a thread of kind \"%s\"\n", kinds[i].name);
        if (i > 0)
            w = start_serving();
        m = find_kinds(daemon_worker_pid(&w->d), now);
        for (k = 0; k < m && strcmp(now[k].name, kinds[i].name) != 0; k++)
            ;
        assert_true(k < m);
        inject_mount(now[k].tid);
        assert_killed_by_filter(w, strcmp(wire_sandbox(), "namespace") == 0);
        seen++;
    }
    assert_true(seen >= 5);
}

static void test_a_process_that_waits_outside_is_filtered_too(void **state)
{
    struct wire *w;
    pid_t worker;

    (void)state;
    if (!may_trace())
        skip();
    w = start_serving();
    worker = daemon_worker_pid(&w->d);
    if (strcmp(wire_sandbox(), "namespace") != 0) {
        assert_int_equal(worker, w->d.pid); /* there is none */
        return;
    }
    assert_int_not_equal(worker, w->d.pid);
    inject_mount(w->d.pid);
    assert_killed_by_filter(w, false);
    for (int ms = 0; ms < PATIENCE_MS && kill(worker, 0) == 0; ms += 10)
        poll(NULL, 0, 10);
    assert_true(kill(worker, 0) < 0 && errno == ESRCH);
}
#else
static void test_a_forbidden_call_in_any_kind_of_thread_ends_the_daemon(void **state)
{
    (void)state;
    skip(); /* registers are set for x86-64 only */
}

static void test_a_process_that_waits_outside_is_filtered_too(void **state)
{
    (void)state;
    skip();
}
#endif

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_a_forbidden_call_in_any_kind_of_thread_ends_the_daemon),
    WIRE_TEST(test_a_process_that_waits_outside_is_filtered_too),
};
WIRE_MAIN("seccomp_threads", tests)
