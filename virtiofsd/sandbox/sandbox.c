// SPDX-License-Identifier: BSD-3-Clause
/*
 * sandbox.c - from a process of the host to one that can reach only the share
 *
 * Theory of operation
 *
 *   A guest that takes the daemon over must find as little as possible. In this order: the supplementary
 *   groups go (files must not inherit root's groups, CVE-2022-0358), the share becomes all that can be
 *   named (namespace.c, chroot.c), no program can gain privileges (no_new_privs); then, when the daemon
 *   has built its state, capabilities (caps.c) and system calls (seccomp.c) shrink to what its code uses.
 *
 *   None of this is what keeps a guest's names inside the share: server/ and tree/ do that under every
 *   mode, --sandbox=none too.
 *
 * Ownership: struct sandbox's descriptors live as long as the process.   Locks: none; one thread.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/sanitize.h"

#if SANITIZED
/* At the end LeakSanitizer looks at /proc; where that is out of sight it must not try. */
static bool no_proc;

int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return no_proc;
}
#endif

int confine_fail(int err, const char *what)
{
    log_error("sandbox: %s: %s", what, strerror(-err));
    return err;
}

/**
 * ids_drop_groups() - no supplementary groups
 *
 * Who may not call setgroups(2) has only groups that are the user's own anyway. Return: 0 or -errno
 * (message printed).
 */
int ids_drop_groups(void)
{
    int err;

    if (setgroups(0, NULL) == 0)
        return 0;
    err = -errno;
    if (err == -EPERM) {
        if (getgroups(0, NULL) > 0)
            log_debug("sandbox: the user's supplementary groups stay");
        return 0;
    }
    return confine_fail(err, "supplementary groups cannot be dropped");
}

/* sandbox=none: only the descriptors. */
static int none_enter(const struct conf *conf, struct sandbox *sb)
{
    int err = ids_drop_groups();

    if (err)
        return err;
    sb->root_fd = open(conf->source, O_PATH | O_CLOEXEC);
    if (sb->root_fd < 0)
        return confine_fail(-errno, "the share cannot be opened");
    sb->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (sb->proc_fd < 0)
        return confine_fail(-errno, "/proc/self/fd cannot be opened (is /proc mounted?)");
    sb->mountinfo_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (sb->mountinfo_fd < 0)
        return confine_fail(-errno, "mountinfo cannot be opened");
    sb->mount_prefix = strcmp(conf->source, "/") == 0 ? "" : conf->source;
    return 0;
}

/* What is shared: S_IFDIR or S_IFREG; or -errno (message printed). */
static int64_t source_type(const struct conf *conf)
{
    struct stat st;

    if (stat(conf->source, &st) < 0) {
        int err = -errno;

        log_error("%s cannot be shared: %s", conf->source, strerror(-err));
        return err;
    }
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
        log_error("%s cannot be shared: it is neither a directory nor a regular file",
                  conf->source);
        return -ENOTDIR;
    }
    return st.st_mode & S_IFMT;
}

static int check_id_maps(const struct conf *conf)
{
    if ((conf->n_uid_map > 0 || conf->n_gid_map > 0) && conf->sandbox != SANDBOX_NAMESPACE) {
        log_error("--uid-map and --gid-map make a user namespace, which only --sandbox=namespace "
                  "has; --translate-uid and --translate-gid work in every mode");
        return -EINVAL;
    }
    return 0;
}

/**
 * sandbox_enter() - leave the host behind; see sandbox.h
 * @sb: filled but for what sandbox_lock() finds out
 *
 * On error the process is in an unknown place between outside and inside and must end.
 */
int sandbox_enter(const struct conf *conf, struct sandbox *sb)
{
    int64_t type = source_type(conf);
    int err;

    *sb = (struct sandbox){.root_fd = -1, .proc_fd = -1, .mountinfo_fd = -1, .can_setid = true};
    if (type < 0)
        return (int)type;
    err = check_id_maps(conf);
    if (err)
        return err;
#if SANITIZED
    no_proc = conf->sandbox != SANDBOX_NONE;
#endif
    switch (conf->sandbox) {
    case SANDBOX_NAMESPACE:
        err = namespace_enter(conf, (mode_t)type, sb);
        break;
    case SANDBOX_CHROOT:
        err = ids_drop_groups();
        if (!err)
            err = chroot_enter(conf, (mode_t)type, sb);
        break;
    case SANDBOX_NONE:
        err = none_enter(conf, sb);
        break;
    }
    if (err)
        return err;

    umask(0); /* modes are the guest's business */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return confine_fail(-errno, "no_new_privs");
    return 0;
}

/**
 * sandbox_lock() - give up what building the daemon's state needed and serving does not; see sandbox.h
 */
int sandbox_lock(const struct conf *conf, struct sandbox *sb)
{
    int err = caps_limit(conf, sb);

    if (!err)
        err = seccomp_lock(conf, sb);
    return err;
}
