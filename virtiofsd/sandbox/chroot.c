// SPDX-License-Identifier: BSD-3-Clause
/*
 * chroot.c - sandbox=chroot: for root where namespaces are not to be had
 *
 * Theory of operation
 *
 *   The share becomes the root directory of the process. CAP_SYS_CHROOT goes with the other capabilities
 *   (caps.c), so there is no way back through a second chroot(2), and no descriptor of a directory outside
 *   stays but proc_fd. Weaker than namespaces: the host's processes and network stay in sight, and mounts
 *   keep the host's flags. A single file is served from an empty directory without a name.
 *
 *   proc is opened before; mountinfo after, because the kernel shows the mounts below the root directory
 *   that the opener had. (The share's own mount is listed only if the share is a mount point.)
 *
 * Ownership: descriptors go to struct sandbox.   Locks: none.
 */
#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/cleanup.h"

/* A directory that nobody can reach or fill, and that is gone when we are. */
static int open_empty_directory(void)
{
    char path[] = "/tmp/virtiofsd-XXXXXX";
    int fd, err;

    if (!mkdtemp(path))
        return -errno;
    fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    err = -errno;
    if (rmdir(path) < 0)
        log_warn("%s: cannot be removed: %s", path, strerror(errno));
    return fd < 0 ? err : fd;
}

/* What leads to this process. */
static int open_self(int *self, struct sandbox *sb)
{
    *self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    sb->proc_fd = *self < 0 ? -1 : openat(*self, "fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (sb->proc_fd < 0)
        return confine_fail(-errno, "/proc/self/fd cannot be opened (is /proc mounted?)");
    return 0;
}

static int open_view(const struct conf *conf, struct sandbox *sb)
{
    sb->mount_prefix = "";
    sb->root_fd = open(conf->source, O_PATH | O_CLOEXEC);
    return sb->root_fd < 0 ? confine_fail(-errno, "the share cannot be opened") : 0;
}

static int go(int where, int self, struct sandbox *sb)
{
    if (fchdir(where) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return confine_fail(-errno, "chroot to the share");
    sb->mountinfo_fd = openat(self, "mountinfo", O_RDONLY | O_CLOEXEC);
    return sb->mountinfo_fd < 0 ? confine_fail(-errno, "mountinfo cannot be opened") : 0;
}

static int must_be_root(void)
{
    if (geteuid() == 0)
        return 0;
    log_error("--sandbox=chroot is for root; use --sandbox=namespace, which any user may");
    return -EPERM;
}

/** chroot_enter_shares() - an empty directory becomes the root directory. Return: 0 or -errno (message printed). */
int chroot_enter_shares(const struct conf_shares *shares, struct sandbox *sb)
{
    cleanup_close int jail = -1, self = -1;
    int err = must_be_root();

    if (!err)
        err = open_self(&self, sb);
    for (size_t i = 0; i < shares->n && !err; i++) {
        log_share(shares->at[i].name);
        err = open_view(&shares->at[i], &sb[i]);
    }
    log_share(NULL);
    if (err)
        return err;
    jail = open_empty_directory();
    if (jail < 0)
        return confine_fail(jail, "no empty directory for the root");
    return go(jail, self, sb);
}

/**
 * chroot_enter() - the share becomes the root directory
 * @type: S_IFDIR or S_IFREG, what the source is
 * @sb:   root_fd, proc_fd, mountinfo_fd and mount_prefix are filled
 *
 * Return: 0 or -errno (message printed).
 */
int chroot_enter(const struct conf *conf, mode_t type, struct sandbox *sb)
{
    cleanup_close int jail = -1, self = -1;
    int err = must_be_root();

    if (!err)
        err = open_self(&self, sb);
    if (!err)
        err = open_view(conf, sb);
    if (err)
        return err;
    if (type != S_IFDIR) {
        jail = open_empty_directory();
        if (jail < 0)
            return confine_fail(jail, "no empty directory for the root");
    }
    return go(jail >= 0 ? jail : sb->root_fd, self, sb);
}
