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
static int open_view(const struct conf *conf, struct sandbox *sb)
{
    sb->root_fd = open(conf->source, O_PATH | O_CLOEXEC);
    if (sb->root_fd < 0)
        return confine_fail(-errno, "the share cannot be opened");
    sb->mount_prefix = strcmp(conf->source, "/") == 0 ? "" : conf->source;
    return 0;
}

static int none_enter(const struct conf *conf, struct sandbox *sb)
{
    int err = ids_drop_groups();

    if (err)
        return err;
    err = open_view(conf, sb);
    if (err)
        return err;
    sb->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (sb->proc_fd < 0)
        return confine_fail(-errno, "/proc/self/fd cannot be opened (is /proc mounted?)");
    sb->mountinfo_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (sb->mountinfo_fd < 0)
        return confine_fail(-errno, "mountinfo cannot be opened");
    return 0;
}

/* The same for several: what leads to the process is theirs in common. */
static int none_enter_shares(const struct conf_shares *shares, struct sandbox *sb)
{
    int err = none_enter(&shares->at[0], &sb[0]);

    for (size_t i = 1; i < shares->n && !err; i++)
        err = open_view(&shares->at[i], &sb[i]);
    return err;
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

static int no_new_privs(void)
{
    umask(0); /* modes are the guest's business */
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? confine_fail(-errno, "no_new_privs") : 0;
}

/* Namespaces need a child by themselves (namespace.c). */
static int split_for_heir(const struct conf *conf, struct sandbox_heir *heir)
{
    return heir && conf->sandbox != SANDBOX_NAMESPACE ? parent_split(conf, heir) : 0;
}

/* All of them into one sandbox. */
static int enter_shares(const struct conf_shares *shares, struct sandbox *sb,
                        struct sandbox_heir *heir)
{
    int err = split_for_heir(&shares->at[0], heir);

    if (err)
        return err;
    switch (shares->at[0].sandbox) {
    case SANDBOX_NAMESPACE:
        return namespace_enter_shares(shares, sb, heir);
    case SANDBOX_CHROOT:
        err = ids_drop_groups();
        return err ? err : chroot_enter_shares(shares, sb);
    case SANDBOX_NONE:
        return none_enter_shares(shares, sb);
    }
    return -EINVAL;
}

/** sandbox_enter_shares() - see sandbox.h */
int sandbox_enter_shares(const struct conf_shares *shares, struct sandbox *sb,
                         struct sandbox_heir *heir)
{
    int err = check_id_maps(&shares->at[0]);

    for (size_t i = 0; i < shares->n && !err; i++) {
        sb[i] =
            (struct sandbox){.root_fd = -1, .proc_fd = -1, .mountinfo_fd = -1, .can_setid = true};
        log_share(shares->at[i].name);
        int64_t type = source_type(&shares->at[i]);
        err = type < 0 ? (int)type : 0;
    }
    log_share(NULL);
#if SANITIZED
    no_proc = shares->at[0].sandbox != SANDBOX_NONE;
#endif
    if (!err)
        err = enter_shares(shares, sb, heir);
    for (size_t i = 1; i < shares->n && !err; i++) {
        sb[i].proc_fd = sb[0].proc_fd;
        sb[i].mountinfo_fd = sb[0].mountinfo_fd;
        sb[i].can_setid = sb[0].can_setid;
        if (!sb[i].mount_prefix)
            sb[i].mount_prefix = "";
    }
    return err ? err : no_new_privs();
}

/**
 * sandbox_enter() - leave the host behind; see sandbox.h
 * @sb: filled but for what sandbox_lock() finds out
 *
 * On error the process is in an unknown place between outside and inside and must end.
 */
int sandbox_enter(const struct conf *conf, struct sandbox *sb, struct sandbox_heir *heir)
{
    int64_t type = source_type(conf);
    int err;

    *sb = (struct sandbox){.root_fd = -1, .proc_fd = -1, .mountinfo_fd = -1, .can_setid = true};
    if (type < 0)
        return (int)type;
    err = check_id_maps(conf);
    if (!err)
        err = split_for_heir(conf, heir);
    if (err)
        return err;
#if SANITIZED
    no_proc = conf->sandbox != SANDBOX_NONE;
#endif
    switch (conf->sandbox) {
    case SANDBOX_NAMESPACE:
        err = namespace_enter(conf, (mode_t)type, sb, heir);
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

    return no_new_privs();
}

/**
 * sandbox_lock() - give up what building the daemon's state needed and serving does not; see sandbox.h
 */
int sandbox_lock(const struct conf *conf, struct sandbox *sb)
{
    return sandbox_lock_shares(&(struct conf_shares){.at = (struct conf *)conf, .n = 1}, sb);
}

/** sandbox_lock_shares() - see sandbox.h */
int sandbox_lock_shares(const struct conf_shares *shares, struct sandbox *sb)
{
    int err = caps_limit(shares, sb);
    struct sandbox all = *sb;

    for (size_t i = 0; i < shares->n; i++)
        all.can_handles = all.can_handles || sb[i].can_handles;
    return err ? err : seccomp_lock(&shares->at[0], &all);
}
