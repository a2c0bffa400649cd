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
 * Ownership: none.   Locks: none; one thread.
 */
#include "confine.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

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

/* Into namespaces of our own; on success in a child. */
static int leave(const struct conf *conf, bool user_ns, struct sandbox_heir *heir)
{
    int err = ids_drop_groups(); /* as root of the host, or not at all */

    if (!err)
        err = make_namespaces(conf, user_ns);
    if (!err && user_ns)
        err = ids_drop_groups(); /* as root of the user namespace */
    if (!err)
        err = parent_split(conf, heir);
    return err;
}

/**
 * namespace_enter() - leave the host's namespaces
 * @type: S_IFDIR or S_IFREG, what the source is
 * @sb:   root_fd, proc_fd, mountinfo_fd, nodev and mount_prefix are filled
 *
 * Returns in a child process. Return: 0 or -errno (message printed).
 */
int namespace_enter(const struct conf *conf, mode_t type, struct sandbox *sb,
                    struct sandbox_heir *heir)
{
    bool user_ns = idmap_wanted(conf);
    int err = leave(conf, user_ns, heir);

    if (!err)
        err = mounts_enter(conf, type, user_ns, sb);
    if (!err && user_ns && idmap_one_id(conf))
        sb->can_setid = false;
    return err;
}

/** namespace_enter_shares() - likewise; proc_fd, mountinfo_fd and can_setid are those of the first */
int namespace_enter_shares(const struct conf_shares *shares, struct sandbox *sb,
                           struct sandbox_heir *heir)
{
    const struct conf *conf = &shares->at[0]; /* for what all have in common */
    bool user_ns = idmap_wanted(conf);
    int err = leave(conf, user_ns, heir);

    if (!err)
        err = mounts_enter_shares(shares, user_ns, sb);
    if (!err && user_ns && idmap_one_id(conf))
        sb->can_setid = false;
    return err;
}
