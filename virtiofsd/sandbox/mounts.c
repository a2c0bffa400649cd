// SPDX-License-Identifier: BSD-3-Clause
/*
 * mounts.c - the share becomes the root directory
 *
 * Theory of operation
 *
 *   In a mount namespace of our own, everything is first made a slave of the host's mounts: what the
 *   host mounts inside the share later appears here too, nothing of ours appears there. The share is
 *   cloned with all that is mounted in it, its copy gets stricter flags before it is visible anywhere,
 *   is moved over an empty place and becomes the root by pivot_root(2); the host's tree is detached. A
 *   single file is put into an empty, read-only file system and that becomes the root.
 *
 *   Flags of the copy, on every mount in it, which the stored files never see:
 *     nodev        device nodes, the host's or the guest's own, cannot be opened
 *     nosuid       matters to exec only, which never happens here; set-id bits and file capabilities are
 *                  stored and shown as before
 *     nosymfollow  the kernel never resolves a symlink of the share; readlink works (Linux 5.14)
 *     read-only    with --readonly: also access times stay
 *   noexec is left out: access(2) would then deny X_OK to guests.
 *
 *   The old root has a fresh proc, which shows this PID namespace only and goes with the rest. Two
 *   descriptors survive. proc_fd is a detached mount whose root is our fd directory, so there is
 *   nothing above it. mountinfo is opened after the pivot, because the kernel shows the mounts below
 *   the root directory that the opener had. Nothing of proc is below root_fd, so no name from a guest can
 *   reach it.
 *
 *   In a user namespace a new proc may be refused, when the host's own is partly covered (containers):
 *   the host's proc serves then, with the same two descriptors. Without open_tree(2) a bind mount is
 *   used; without mount_setattr(2) the flags are left out, and the daemon's own checks do the work.
 *
 * Ownership: descriptors go to struct sandbox; on error the process is about to end.   Locks: none.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/cleanup.h"

#define STAGE                                                                                      \
    "/proc" /* a directory that is always there; covered, first by proc, then by the share */
#define FILE_NAME  "share" /* of a single shared file in its small root */
#define FILE_STAGE STAGE "/" FILE_NAME

/* Flags of the clone. Return: 0; -ENOSYS where the kernel cannot. */
static int restrict_clone(int tree_fd, bool readonly)
{
    struct mount_attr attr = {
        .attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOSYMFOLLOW |
                    (readonly ? MOUNT_ATTR_RDONLY : 0),
    };
    const unsigned flags = AT_EMPTY_PATH | AT_RECURSIVE;

    if (mount_setattr(tree_fd, "", flags, &attr, sizeof attr) == 0)
        return 0;
    if (errno == EINVAL) { /* Linux 5.12 and 5.13 do not know nosymfollow here */
        attr.attr_set &= ~(uint64_t)MOUNT_ATTR_NOSYMFOLLOW;
        if (mount_setattr(tree_fd, "", flags, &attr, sizeof attr) == 0)
            return 0;
    }
    return -errno;
}

/*
 * Clone the share, detached. Return: descriptor; -ENOSYS if only a bind mount can do it (old kernel, or
 * a container's filter that answers for it); other -errno (message printed).
 */
static int clone_share(const struct conf *conf, struct sandbox *sb)
{
    cleanup_close int fd =
        open_tree(AT_FDCWD, conf->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    int err;

    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return -ENOSYS;
    if (fd < 0)
        return confine_fail(-errno, "the shared directory cannot be cloned");
    err = restrict_clone(fd, conf->readonly);
    if (err && err != -ENOSYS && err != -EPERM)
        return confine_fail(err, "the share's mounts cannot be made nodev");
    if (err)
        log_info("sandbox: this kernel cannot make the share's mounts nodev (mount_setattr: %s)",
                 strerror(-err));
    sb->nodev = err == 0;
    return steal_fd(&fd);
}

/* proc for our own descriptors; @self_fd is given back for mountinfo. */
static int open_proc(bool user_ns, int *self_fd, struct sandbox *sb)
{
    cleanup_close int self = -1;
    int err;

    if (mount("proc", STAGE, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
        err = -errno;
        if (!user_ns)
            return confine_fail(err, "proc cannot be mounted");
        log_debug("sandbox: no new proc (%s): the one that is there serves", strerror(-err));
    }
    self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (self < 0)
        return confine_fail(-errno, "/proc/self cannot be opened");
    sb->proc_fd = open_tree(self, "fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (sb->proc_fd < 0)
        sb->proc_fd = openat(self, "fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (sb->proc_fd < 0)
        return confine_fail(-errno, "/proc/self/fd cannot be opened");
    *self_fd = steal_fd(&self);
    return 0;
}

/* An empty root with one file, for a share that is a file. */
static int make_file_root(void)
{
    cleanup_close int fd = -1;

    if (mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=0755") < 0)
        return confine_fail(-errno, "no tmpfs for the root directory");
    fd = open(FILE_STAGE, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
    if (fd < 0)
        return confine_fail(-errno, "no place for the shared file");
    return 0;
}

/* Put the clone (or, without one, a bind mount) over the stage. */
static int place_share(const struct conf *conf, mode_t type, int tree_fd)
{
    const char *where = type == S_IFDIR ? STAGE : FILE_STAGE;
    int err = type == S_IFDIR ? 0 : make_file_root();

    if (err)
        return err;
    if (tree_fd >= 0) {
        if (move_mount(tree_fd, "", AT_FDCWD, where, MOVE_MOUNT_F_EMPTY_PATH) < 0)
            return confine_fail(-errno, "the shared directory cannot be mounted");
        return 0;
    }
    if (mount(conf->source, where, NULL, MS_BIND | MS_REC, NULL) < 0)
        return confine_fail(-errno, "the shared directory cannot be bind-mounted");
    log_info("sandbox: this kernel has no open_tree: the share's mounts are not nodev");
    return 0;
}

/* pivot_root(2), "pivot_root(".", ".")": the old root ends on top of the new one, and is taken off. */
static int pivot(void)
{
    if (chdir(STAGE) < 0)
        return confine_fail(-errno, "chdir to the share");
    if (syscall(SYS_pivot_root, ".", ".") < 0) {
        if (errno == EINVAL)
            log_error("sandbox: pivot_root is not possible here (a host that runs from its "
                      "initramfs?); use --sandbox=chroot");
        return confine_fail(-errno, "pivot_root");
    }
    if (umount2(".", MNT_DETACH) < 0)
        return confine_fail(-errno, "the host's tree cannot be detached");
    if (chdir("/") < 0)
        return confine_fail(-errno, "chdir to the new root");
    return 0;
}

/* The share's descriptor in the new tree. */
static int open_root(mode_t type, struct sandbox *sb)
{
    if (type == S_IFDIR) {
        sb->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    } else {
        if (mount(NULL, "/", NULL,
                  MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
            return confine_fail(-errno, "the small root directory cannot be made read-only");
        sb->root_fd = open("/" FILE_NAME, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    }
    return sb->root_fd < 0 ? confine_fail(-errno, "the share cannot be opened") : 0;
}

/**
 * mounts_enter() - in a fresh mount namespace: the share becomes the root directory
 * @type:    S_IFDIR or S_IFREG, what the source is
 * @user_ns: in a user namespace too, where less may be allowed
 * @sb:      root_fd, proc_fd, mountinfo_fd, nodev and mount_prefix are filled
 *
 * Return: 0 or -errno (message printed).
 */
int mounts_enter(const struct conf *conf, mode_t type, bool user_ns, struct sandbox *sb)
{
    cleanup_close int tree = -1, self = -1;
    int err;

    if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
        return confine_fail(-errno, "mounts cannot be separated from the host's");
    tree = clone_share(conf, sb);
    if (tree < 0 && tree != -ENOSYS)
        return tree;
    err = open_proc(user_ns, &self, sb);
    if (!err)
        err = place_share(conf, type, tree);
    if (!err)
        err = pivot();
    if (!err)
        err = open_root(type, sb);
    if (err)
        return err;
    sb->mountinfo_fd = openat(self, "mountinfo", O_RDONLY | O_CLOEXEC);
    if (sb->mountinfo_fd < 0)
        return confine_fail(-errno, "mountinfo cannot be opened");
    sb->mount_prefix = "";
    return 0;
}

/*
 * One of several shares: a detached tree of mounts, with nothing above its root. Without open_tree(2) it is a
 * descriptor of the directory, from which the kernel takes what is mounted in it when the host's tree goes.
 */
static int open_view(const struct conf *conf, struct sandbox *sb)
{
    sb->mount_prefix = "";
    sb->root_fd = clone_share(conf, sb);
    if (sb->root_fd != -ENOSYS)
        return sb->root_fd < 0 ? sb->root_fd : 0;
    log_info("sandbox: this kernel has no open_tree: what is mounted inside the share is not seen");
    sb->root_fd = open(conf->source, O_PATH | O_CLOEXEC);
    return sb->root_fd < 0 ? confine_fail(-errno, "the share cannot be opened") : 0;
}

/**
 * mounts_enter_shares() - in a fresh mount namespace: an empty, read-only directory becomes the root
 * @sb: of each share root_fd, nodev and mount_prefix are filled, and of the first proc_fd and mountinfo_fd
 *
 * The shares are in nobody's mount namespace: a ".." at the root of one leads nowhere, and no path leads from one to
 * another. Return: 0 or -errno (message printed).
 */
int mounts_enter_shares(const struct conf_shares *shares, bool user_ns, struct sandbox *sb)
{
    cleanup_close int self = -1;
    int err = 0;

    if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
        return confine_fail(-errno, "mounts cannot be separated from the host's");
    for (size_t i = 0; i < shares->n && !err; i++) {
        log_share(shares->at[i].name);
        err = open_view(&shares->at[i], &sb[i]);
    }
    log_share(NULL);
    if (!err)
        err = open_proc(user_ns, &self, sb);
    if (!err && mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
                      "size=64k,mode=0555") < 0)
        err = confine_fail(-errno, "no tmpfs for the root directory");
    if (!err)
        err = pivot();
    if (err)
        return err;
    sb->mountinfo_fd = openat(self, "mountinfo", O_RDONLY | O_CLOEXEC);
    return sb->mountinfo_fd < 0 ? confine_fail(-errno, "mountinfo cannot be opened") : 0;
}
