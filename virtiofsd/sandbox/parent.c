// SPDX-License-Identifier: BSD-3-Clause
/*
 * parent.c - the process that stays outside and waits
 *
 * Theory of operation
 *
 *   The daemon proper is a child of what the administrator started, and what systemd or libvirt watch: with namespaces
 *   because only a child can be in a new PID namespace, with a supervisor so that something outlives it that has
 *   what it had open. The parent keeps standard error, no capability and hardly a system call, passes SIGTERM, SIGINT
 *   and SIGHUP on, and ends with the daemon's status.
 *
 *   The two hold a pipe. The child waits for a byte from it, so the parent has let go of everything before the daemon
 *   starts; and a parent that dies before the child has asked for its death signal is seen by the hang-up. If the parent is
 *   killed later the kernel kills the daemon (PR_SET_PDEATHSIG).
 *
 *   With an heir (sandbox.h) the two share one table of open files, so the parent closes nothing, and a pipe between
 *   them never hangs up. The child has a pidfd of its parent instead and is not killed with it: it has to settle its affairs first.
 *   Sharing takes clone(2), because fork() copies the table. What fork() does besides is little where there is one
 *   thread: the kernel writes the new thread's number where libc keeps it, which is the address that it was told at the
 *   start (PR_GET_TID_ADDRESS). Where a kernel or a container does not allow this the two are made by fork(), as without
 *   an heir.
 *
 *   A daemon that a signal ended is reported here, for it cannot do so itself: exit status 128 plus
 *   the signal's number, as a shell would say.
 *
 * Ownership: takes over the process. The pipe's ends belong to one process each, or both to the child.
 * Locks: none; one thread.
 *
 * syscalls of the parent are listed in seccomp.c.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/cleanup.h"

#ifndef CLONE_PIDFD /* glibc 2.31 and newer have it */
#define CLONE_PIDFD 0x00001000
#endif

/* Signals that the parent passes on; end the child when nobody has taken them. */
static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP};
#define N_PASSED_ON (sizeof passed_on / sizeof passed_on[0])

/* ---- the parent ------------------------------------------------------------------------------ */

/* Nothing that belongs to the daemon may be held open here: a front end must see it go. */
static void close_all_but(int keep)
{
    if (keep > 3)
        close_range(3, (unsigned)keep - 1, 0);
    close_range((unsigned)keep + 1, UINT_MAX, 0);
}

static void confine_parent(const struct conf *conf, int hold_fd, bool shared)
{
    if (!shared)
        close_all_but(hold_fd);
    log_to_fd(STDERR_FILENO);
    if (!shared && conf->syslog && log_init(conf->log_level, true) < 0)
        log_warn("the waiting process cannot reach syslog");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || caps_drop_all() < 0 ||
        seccomp_lock_parent(conf) < 0)
        log_warn("the waiting process keeps more rights than it needs");
}

static _Noreturn void end_as(int status, bool supervised)
{
    int sig;

    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    sig = WTERMSIG(status);
    if (supervised && sig != SIGSYS) /* the supervisor says what comes of it */
        log_warn("virtiofsd ended with signal %d (%s)", sig, strsignal(sig));
    else if (sig == SIGSYS)
        log_error("stopped by seccomp: a system call that is not in virtiofsd's list. The kernel "
                  "log has its number (audit type=1326); --seccomp=trap prints its name");
    else if (sig == SIGKILL)
        log_error("virtiofsd was killed, by an administrator or by the kernel for want of memory. "
                  "Its share does not answer any more: restart the virtual machine");
    else if (sig != SIGTERM)
        log_error("virtiofsd ended with signal %d (%s)", sig, strsignal(sig));
    _exit(128 + sig);
}

/*
 * Wait for @child, pass signals on, end as it ends.
 * @hold_fd: pipe end whose closing tells the child that we are gone; a byte starts the child
 * @heir:    NULL: the two do not share their descriptors
 * @signals: SIGCHLD and what is passed on; blocked in this thread
 */
static _Noreturn void run_parent(const struct conf *conf, pid_t child, int hold_fd,
                                 const struct sandbox_heir *heir, const sigset_t *signals)
{
    confine_parent(conf, hold_fd, heir);
    if (TEMP_FAILURE_RETRY(write(hold_fd, "", 1)) != 1)
        log_warn("the daemon's process ended before it began");

    for (;;) {
        siginfo_t info;
        int sig = sigwaitinfo(signals, &info);
        int status;

        if (sig == SIGCHLD) {
            if (waitpid(child, &status, WNOHANG) != child || WIFSTOPPED(status))
                continue;
            if (heir)
                heir->ended(heir->ctx);
            end_as(status, conf->supervise);
        } else if (sig > 0 && info.si_code != SI_KERNEL) {
            /* (A terminal's signal has reached the whole process group already.) */
            kill(child, sig);
        }
    }
}

/* ---- the child ------------------------------------------------------------------------------- */

static void end_at_once(int sig)
{
    _exit(128 + sig);
}

/* The first process of a PID namespace ignores signals that it has no handler for (pid_namespaces(7)). */
static void give_signals_an_effect(void)
{
    for (size_t i = 0; i < N_PASSED_ON; i++) {
        struct sigaction old, end = {.sa_handler = end_at_once};

        if (sigaction(passed_on[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(passed_on[i], &end, NULL);
    }
}

/* Die when the parent dies, also if it has died already. */
static int follow_parent(int hold_fd)
{
    struct pollfd p = {.fd = hold_fd, .events = POLLIN};
    char word;

    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
        return confine_fail(-errno, "no death signal from the parent");
    if (TEMP_FAILURE_RETRY(read(hold_fd, &word, 1)) != 1)
        return -ESRCH;
    if (poll(&p, 1, 0) > 0 && (p.revents & POLLHUP))
        return -ESRCH;
    return 0;
}

/* The same where the pipe does not hang up; later deaths are for whom the heir has told. */
static int await_parent(int hold_fd, int parent_fd)
{
    struct pollfd p[] = {{.fd = hold_fd, .events = POLLIN}, {.fd = parent_fd, .events = POLLIN}};
    char word;

    while (poll(p, 2, -1) < 0 && errno == EINTR)
        continue;
    return p[1].revents || TEMP_FAILURE_RETRY(read(hold_fd, &word, 1)) != 1 ? -ESRCH : 0;
}

/* ---- the two --------------------------------------------------------------------------------- */

/* As fork(), with one table of open files for both. @pidfd: the child's. Return: as fork(), but -errno. */
static pid_t fork_with_files(int *pidfd)
{
    pid_t *tid = NULL;

    if (prctl(PR_GET_TID_ADDRESS, &tid, 0, 0, 0) < 0)
        return -errno;
    if (!tid || *tid != (pid_t)syscall(SYS_gettid))
        return -ENOTSUP;
    const unsigned long flags =
        CLONE_FILES | CLONE_PIDFD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
    /* Machines disagree whether the child's number is the fourth or the fifth; the other one is not looked at. */
#ifdef __s390__
    long pid = syscall(SYS_clone, NULL, flags, pidfd, tid, tid);
#else
    long pid = syscall(SYS_clone, flags, NULL, pidfd, tid, tid);
#endif
    return pid < 0 ? -errno : (pid_t)pid;
}

/* A child that shares its descriptors with us. Return: as fork(); -errno: it cannot be had. */
static pid_t fork_for_heir(struct sandbox_heir *heir)
{
    int child_fd = -1;
    int parent_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    pid_t child = parent_fd < 0 ? -errno : fork_with_files(&child_fd);

    if (child == 0)
        heir->parent_fd = parent_fd;
    else if (child > 0)
        heir->begun(heir->ctx, child_fd);
    else if (parent_fd >= 0)
        close(parent_fd);
    return child;
}

/* One table of descriptors: what is not needed any more is closed by the child, for both. */
static int begin_child(const int hold[2], const struct sandbox_heir *heir)
{
    int err = heir ? await_parent(hold[0], heir->parent_fd) : 0;

    close(hold[1]);
    if (!heir)
        err = follow_parent(hold[0]);
    close(hold[0]);
    give_signals_an_effect();
    return err;
}

/** parent_split() - see confine.h */
int parent_split(const struct conf *conf, struct sandbox_heir *heir)
{
    sigset_t waited, before;
    int hold[2], err = 0;
    pid_t child = -1;

    sigemptyset(&waited);
    sigaddset(&waited, SIGCHLD);
    for (size_t i = 0; i < N_PASSED_ON; i++)
        sigaddset(&waited, passed_on[i]);
    if (pipe2(hold, O_CLOEXEC) < 0)
        return confine_fail(-errno, "no pipe");
    sigprocmask(SIG_BLOCK, &waited, &before);
    if (heir && (child = fork_for_heir(heir)) < 0) {
        log_debug("sandbox: descriptors cannot be shared with the waiting process: %s",
                  strerror(-child));
        heir = NULL;
    }
    if (child < 0 && (child = fork()) < 0)
        err = confine_fail(-errno, "no process for the daemon");
    if (child > 0) {
        if (!heir)
            close(hold[0]);
        run_parent(conf, child, hold[1], heir, &waited);
    }
    if (child == 0) {
        err = begin_child(hold, heir);
    } else {
        close(hold[0]);
        close(hold[1]);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return err;
}
