// SPDX-License-Identifier: BSD-3-Clause
/*
 * ioctl.c - the few ioctls that mean something through a share
 *
 * Theory of operation
 *
 *   Inode flags travel as ioctls: lsattr and chattr, xfs_io, and Linux' own fileattr interface end in
 *   FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR on an open file or
 *   directory. They are "restricted" ioctls: the command names its sizes, and the data travels in the
 *   request and the reply. Everything else is ENOTTY, unrestricted ioctls (CUSE) too.
 *
 *   Cloning is not here. FICLONE and FICLONERANGE name the source by a descriptor number of the guest,
 *   which means nothing on this side, and a Linux guest turns them into EOPNOTSUPP before they reach
 *   a FUSE server. What a guest can do is COPY_FILE_RANGE, and the host shares blocks then where its
 *   file system is able to.
 *
 * Policy for changes
 *
 *   - Immutable and append-only: the guest's kernel asks for CAP_LINUX_IMMUTABLE of its user, the host's
 *     for that of the daemon, which has it only with --modcaps=+linux_immutable: EPERM otherwise. A
 *     guest cannot make files that the host's root has to unlock first.
 *   - Project ids and their inheritance account for space on the host and may limit this guest: EPERM.
 *   - Other flags that user space can change anywhere pass; any other bit is EOPNOTSUPP.
 *
 *   The check reads the flags, compares and writes. A concurrent change on the host between the two can
 *   be lost, as it can for chattr itself.
 *
 * Locks: none.
 * syscalls: ioctl fstat newfstatat
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <linux/fs.h>

#include "server/request.h"

/* What FS_IOC_SETFLAGS may change; immutable and append-only are the kernel's to refuse. */
#define MAY_CHANGE_FLAGS                                                                           \
    (FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL | FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL |        \
     FS_NODUMP_FL | FS_NOATIME_FL | FS_NOCOMP_FL | FS_JOURNAL_DATA_FL | FS_NOTAIL_FL |             \
     FS_DIRSYNC_FL | FS_TOPDIR_FL | FS_NOCOW_FL | FS_DAX_FL | FS_CASEFOLD_FL)

/* What FS_IOC_FSSETXATTR may change. */
#define MAY_CHANGE_XFLAGS                                                                          \
    (FS_XFLAG_IMMUTABLE | FS_XFLAG_APPEND | FS_XFLAG_SYNC | FS_XFLAG_NOATIME | FS_XFLAG_NODUMP |   \
     FS_XFLAG_NOSYMLINKS | FS_XFLAG_EXTSIZE | FS_XFLAG_EXTSZINHERIT | FS_XFLAG_NODEFRAG |          \
     FS_XFLAG_DAX | FS_XFLAG_COWEXTSIZE)

/* Longest data of the four: struct fsxattr. Flags are 4 bytes; the command's number says 8. */
#define DATA_MAX 32u
_Static_assert(sizeof(struct fsxattr) == 28, "linux/fs.h");

static int get_flags(int fd, void *data, size_t *len)
{
    *len = sizeof(int);
    return ioctl(fd, FS_IOC_GETFLAGS, data) < 0 ? -errno : 0;
}

static int get_fsxattr(int fd, void *data, size_t *len)
{
    *len = sizeof(struct fsxattr);
    return ioctl(fd, FS_IOC_FSGETXATTR, data) < 0 ? -errno : 0;
}

static int set_flags(int fd, const void *data, size_t len)
{
    int old, flags;
    unsigned changed;

    if (len < sizeof(flags))
        return -EINVAL;
    memcpy(&flags, data, sizeof(flags));
    if (ioctl(fd, FS_IOC_GETFLAGS, &old) < 0)
        return -errno;
    changed = (unsigned)(old ^ flags);
    if (changed & FS_PROJINHERIT_FL)
        return -EPERM;
    if (changed & ~(unsigned)MAY_CHANGE_FLAGS)
        return -EOPNOTSUPP;
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 ? -errno : 0;
}

static int set_fsxattr(int fd, const void *data, size_t len)
{
    struct fsxattr old, new;
    unsigned changed;

    if (len < sizeof(new))
        return -EINVAL;
    memcpy(&new, data, sizeof(new));
    if (ioctl(fd, FS_IOC_FSGETXATTR, &old) < 0)
        return -errno;
    changed = old.fsx_xflags ^ new.fsx_xflags;
    if (new.fsx_projid != old.fsx_projid || changed & FS_XFLAG_PROJINHERIT)
        return -EPERM;
    if (changed & ~(unsigned)MAY_CHANGE_XFLAGS)
        return -EOPNOTSUPP;
    return ioctl(fd, FS_IOC_FSSETXATTR, &new) < 0 ? -errno : 0;
}

/* Commands that read fill @data and *@len. */
/*
 * May the request's user change flags? Linux guests before 5.13 do not ask. A uid of -1 is a guest with
 * idmapped mounts, which has asked.
 */
static int may_change(const struct srv_req *rq, int fd)
{
    uint32_t uid = rq->c->in.uid;
    struct stat st;

    if (rq->srv->conf->readonly)
        return -EROFS;
    if (uid == 0 || uid == UINT32_MAX)
        return 0;
    if (fstat(fd, &st) < 0)
        return -errno;
    return idmap_uid_to_guest(rq->srv, st.st_uid) == uid ? 0 : -EPERM;
}

static int run(const struct srv_req *rq, uint32_t cmd, int fd, void *data, size_t *len)
{
    int err = 0;

    if (cmd == FS_IOC_SETFLAGS || cmd == FS_IOC_FSSETXATTR)
        err = may_change(rq, fd);
    if (err)
        return err;
    switch (cmd) {
    case FS_IOC_GETFLAGS:
        return get_flags(fd, data, len);
    case FS_IOC_FSGETXATTR:
        return get_fsxattr(fd, data, len);
    case FS_IOC_SETFLAGS:
        return set_flags(fd, rq->c->value, rq->c->value_len);
    case FS_IOC_FSSETXATTR:
        return set_fsxattr(fd, rq->c->value, rq->c->value_len);
    default:
        return -ENOTTY;
    }
}

int64_t op_ioctl(struct srv_req *rq)
{
    const struct fuse_ioctl_in *in = rq->c->arg;
    enum handle_kind kind = in->flags & FUSE_IOCTL_DIR ? HANDLE_DIR : HANDLE_FILE;
    struct {
        struct fuse_ioctl_out out;
        uint8_t data[DATA_MAX];
    } reply = {0};
    struct handle *h;
    size_t len = 0;
    int err;

    if (in->flags & FUSE_IOCTL_UNRESTRICTED)
        return rq_error(rq, -ENOTTY);
    h = handle_get(rq->srv, in->fh, kind, rq->inode);
    if (!h)
        return rq_error(rq, -EBADF);
    err = run(rq, in->cmd, h->fd, reply.data, &len);
    handle_put(rq->srv, h);
    /* A Linux guest takes exactly the bytes that it asked for: 4 for flags, or the command's own 8. */
    if (!err && len && (in->out_size < len || in->out_size > DATA_MAX))
        err = -EINVAL;
    if (err)
        return rq_error(rq, err);
    return rq_reply(rq, &reply, sizeof(reply.out) + (len ? in->out_size : 0));
}
