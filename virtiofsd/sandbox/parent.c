// SPDX-License-Identifier: BSD-3-Clause
/*
 * parent.c - the process that stays outside and waits
 *
 * Theory of operation
 *
 *   The daemon proper is the first process of a PID namespace. What the administrator started, and
 *   what systemd or libvirt watch, is its parent: it keeps standard error and one end of a pipe, no
 *   capability and hardly a system call, passes SIGTERM, SIGINT and SIGHUP on, and ends with the
 *   daemon's status. If it is killed the kernel kills the daemon (PR_SET_PDEATHSIG).
 *
 *   A daemon that a signal ended is reported here, for it cannot do so itself: exit status 128 plus
 *   the signal's number, as a shell would say.
 *
 * Ownership: takes over the process.   Locks: none.
 *
 * syscalls of the parent are listed in seccomp.c.
 */
#include "confine.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nothing that belongs to the daemon may be held open here: a front end must see it go. */
static void close_all_but(int keep)
{
    if (keep > 3)
        close_range(3, (unsigned)keep - 1, 0);
    close_range((unsigned)keep + 1, UINT_MAX, 0);
}

static void confine_parent(const struct conf *conf, int hold_fd)
{
    close_all_but(hold_fd);
    log_to_fd(STDERR_FILENO);
    if (conf->syslog && log_init(conf->log_level, true) < 0)
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

/**
 * parent_run() - wait for @child, pass signals on, end as it ends
 * @hold_fd: pipe end whose closing tells the child that we are gone; a byte starts the child
 * @signals: SIGCHLD and what is passed on; blocked in this thread
 */
_Noreturn void parent_run(const struct conf *conf, pid_t child, int hold_fd,
                          const sigset_t *signals)
{
    confine_parent(conf, hold_fd);
    if (TEMP_FAILURE_RETRY(write(hold_fd, "", 1)) != 1)
        log_warn("the daemon's process ended before it began");

    for (;;) {
        siginfo_t info;
        int sig = sigwaitinfo(signals, &info);
        int status;

        if (sig == SIGCHLD) {
            if (waitpid(child, &status, WNOHANG) == child && !WIFSTOPPED(status))
                end_as(status, conf->supervise);
        } else if (sig > 0 && info.si_code != SI_KERNEL) {
            /* (A terminal's signal has reached the whole process group already.) */
            kill(child, sig);
        }
    }
}
