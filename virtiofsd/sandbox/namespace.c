// SPDX-License-Identifier: BSD-3-Clause
/*
 * namespace.c - sandbox=namespace: nothing of the host in sight but the share
 *
 * Theory of operation
 *
 *   New PID, mount and network namespaces: no process to signal, no file outside the share to name,
 *   no network. Started by anyone but root, or with id maps, a new user namespace comes with them
 *   (idmap.c). A PID namespace holds children only, so we fork: the parent waits (parent.c), the child
 *   moves into the share (mounts.c) and becomes the daemon.
 *
 *   The two hold a pipe. The child waits for a byte from it, so the parent has let go of everything
 *   before the daemon starts; and a parent that dies before the child has asked for its death signal
 *   is seen by the hang-up.
 *
 * Ownership: the pipe's ends belong to one process each.   Locks: none; one thread.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "host/cleanup.h"

/* Signals that the parent passes on; end the child when nobody has taken them. */
static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP};
#define N_PASSED_ON (sizeof passed_on / sizeof passed_on[0])

static void explain_unshare(int err, bool user_ns)
{
    if (user_ns)
        log_error(
            "no user namespace: %s. Allow them to this user (sysctl user.max_user_namespaces, "
            "kernel.unprivileged_userns_clone, "
            "kernel.apparmor_restrict_unprivileged_userns), start virtiofsd as root, or use "
            "--sandbox=none",
            strerror(-err));
    else
        log_error("no new namespaces: %s. This needs CAP_SYS_ADMIN, which a container's root often "
                  "lacks; use --sandbox=chroot or --sandbox=none there",
                  strerror(-err));
}

static int make_namespaces(const struct conf *conf, bool user_ns)
{
    struct idmap_helper helper = {.go = -1};
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int err = 0;

    if (user_ns)
        err = idmap_prepare(conf, &helper);
    if (err)
        return err;
    if (unshare((user_ns ? CLONE_NEWUSER : 0) | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET) < 0) {
        err = -errno;
        explain_unshare(err, user_ns);
        idmap_cancel(&helper);
        return err;
    }
    if (user_ns)
        err = idmap_apply(conf, &helper, uid, gid);
    return err;
}

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

/* fork(); does not return in the parent. */
static int split(const struct conf *conf)
{
    sigset_t waited, before;
    int hold[2], err;
    pid_t child;

    sigemptyset(&waited);
    sigaddset(&waited, SIGCHLD);
    for (size_t i = 0; i < N_PASSED_ON; i++)
        sigaddset(&waited, passed_on[i]);
    if (pipe2(hold, O_CLOEXEC) < 0)
        return confine_fail(-errno, "no pipe");
    sigprocmask(SIG_BLOCK, &waited, &before);
    child = fork();
    if (child < 0) {
        err = -errno;
        confine_fail(err, "no process for the daemon");
        close(hold[0]);
        close(hold[1]);
        sigprocmask(SIG_SETMASK, &before, NULL);
        return err;
    }
    if (child > 0) {
        close(hold[0]);
        parent_run(conf, child, hold[1], &waited);
    }
    close(hold[1]);
    err = follow_parent(hold[0]);
    close(hold[0]);
    give_signals_an_effect();
    sigprocmask(SIG_SETMASK, &before, NULL);
    return err;
}

/* Into namespaces of our own; on success in a child. */
static int leave(const struct conf *conf, bool user_ns)
{
    int err = ids_drop_groups(); /* as root of the host, or not at all */

    if (!err)
        err = make_namespaces(conf, user_ns);
    if (!err && user_ns)
        err = ids_drop_groups(); /* as root of the user namespace */
    if (!err)
        err = split(conf);
    return err;
}

/**
 * namespace_enter() - leave the host's namespaces
 * @type: S_IFDIR or S_IFREG, what the source is
 * @sb:   root_fd, proc_fd, mountinfo_fd, nodev and mount_prefix are filled
 *
 * Returns in a child process. Return: 0 or -errno (message printed).
 */
int namespace_enter(const struct conf *conf, mode_t type, struct sandbox *sb)
{
    bool user_ns = idmap_wanted(conf);
    int err = leave(conf, user_ns);

    if (!err)
        err = mounts_enter(conf, type, user_ns, sb);
    if (!err && user_ns && idmap_one_id(conf))
        sb->can_setid = false;
    return err;
}

/** namespace_enter_shares() - likewise; proc_fd, mountinfo_fd and can_setid are those of the first */
int namespace_enter_shares(const struct conf_shares *shares, struct sandbox *sb)
{
    const struct conf *conf = &shares->at[0]; /* for what all have in common */
    bool user_ns = idmap_wanted(conf);
    int err = leave(conf, user_ns);

    if (!err)
        err = mounts_enter_shares(shares, user_ns, sb);
    if (!err && user_ns && idmap_one_id(conf))
        sb->can_setid = false;
    return err;
}
