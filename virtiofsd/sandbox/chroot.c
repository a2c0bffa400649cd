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

    if (geteuid() != 0) {
        log_error("--sandbox=chroot is for root; use --sandbox=namespace, which any user may");
        return -EPERM;
    }
    self = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    sb->proc_fd = self < 0 ? -1 : openat(self, "fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    sb->root_fd = open(conf->source, O_PATH | O_CLOEXEC);
    if (sb->root_fd < 0)
        return confine_fail(-errno, "the share cannot be opened");
    if (sb->proc_fd < 0)
        return confine_fail(-errno, "/proc/self/fd cannot be opened (is /proc mounted?)");
    if (type != S_IFDIR) {
        jail = open_empty_directory();
        if (jail < 0)
            return confine_fail(jail, "no empty directory for the root");
    }
    if (fchdir(jail >= 0 ? jail : sb->root_fd) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return confine_fail(-errno, "chroot to the share");
    sb->mountinfo_fd = openat(self, "mountinfo", O_RDONLY | O_CLOEXEC);
    if (sb->mountinfo_fd < 0)
        return confine_fail(-errno, "mountinfo cannot be opened");
    sb->mount_prefix = "";
    return 0;
}
