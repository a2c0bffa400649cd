// SPDX-License-Identifier: BSD-3-Clause
/*
 * quota.c - bytes and inodes that a share may use
 *
 * Theory of operation
 *
 *   The file system keeps the account, by project quota: every inode has a project id, a directory with
 *   the flag PROJINHERIT gives its own to what is made in it, and a project has limits. So the limit holds whoever
 *   writes, nothing is counted here, and statfs of the directory shows it (server/space.c). A guest
 *   can change neither ids nor flag (server/ioctl.c), and the daemon has no CAP_SYS_RESOURCE, to which ext4 knows
 *   no limit.
 *
 *   All this asks for is checked before a guest comes, since a limit that does not hold is worse than none: quotas
 *   are enforced; the directory has a project, which it passes on; its parent is not in it as well; the names in it are, as
 *   far as a look at the first level tells. An id is never made up: the directory has one, or it is told which, and one
 *   that has files already is not taken. A directory with files in it is not converted here, which may take hours,
 *   but the message has the command.
 *
 *   Limits stay in the file system when the daemon ends, as quotas do.
 *
 * Source: quotactl(2) and linux/dqblk_xfs.h, whose commands all file systems with quotas understand;
 * ioctl_xfs_fsgetxattr(2). quotactl_fd is Linux 5.14.
 * Ownership: none.   Locks: none; called once for each share, from the main thread.
 */
#include "quota.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/quota.h>

#include "host/cleanup.h"

#define PROJECT        2 /* PRJQUOTA; linux/quota.h has it as an enum in newer versions only */
#define XFS_MAGIC      0x58465342
#define BLOCK          512u /* of struct fs_disk_quota */
#define MOST_LOOKED_AT 4096 /* names in the share */

/* One share's account. */
struct account {
    const struct conf *conf;
    const char *option; /* what asks for it, for messages */
    int fd;             /* the directory */
    uint32_t id;
};

static int project_quota(const struct account *a, int cmd, void *data)
{
    long r = syscall(SYS_quotactl_fd, (unsigned)a->fd, (unsigned)QCMD(cmd, PROJECT), a->id, data);

    return r < 0 ? -errno : 0;
}

static int get_project(int fd, struct fsxattr *x)
{
    return ioctl(fd, FS_IOC_FSGETXATTR, x) < 0 ? -errno : 0;
}

/* ---- does the file system enforce any? --------------------------------------------------------- */

static const char *how_to_enforce(int fd)
{
    struct statfs s;

    if (fstatfs(fd, &s) == 0 && s.f_type == EXT4_SUPER_MAGIC)
        return "unmount it, 'tune2fs -O project,quota DEVICE', and mount it with -o prjquota";
    if (fstatfs(fd, &s) == 0 && s.f_type == XFS_MAGIC)
        return "mount it with -o prjquota";
    return "ext4 and XFS can; else give the share a file system of its own of that size, and leave "
           "the option out";
}

static int check_enforced(const struct account *a)
{
    struct fs_quota_statv state = {.qs_version = FS_QSTATV_VERSION1};
    int err = project_quota(a, Q_XGETQSTATV, &state);

    if (err == 0 && (state.qs_flags & FS_QUOTA_PDQ_ENFD))
        return 0;
    if (err == -ENOSYS && syscall(SYS_quotactl_fd, -1, 0, 0, NULL) < 0 && errno == ENOSYS)
        log_error("--%s: this kernel is older than Linux 5.14; leave the option out", a->option);
    else
        log_error("--%s: the file system of %s does not enforce project quotas: %s", a->option,
                  a->conf->source, how_to_enforce(a->fd));
    return -EOPNOTSUPP;
}

/* ---- whose account is it? ------------------------------------------------------------------- */

/* What is to be done about a tree that is not of one project. */
static int complain_of_tree(const struct account *a, const char *what)
{
    const char *dir = a->conf->source;

    log_error("--%s: %s; 'chattr -R -p %u %s' and then 'find %s -type d -exec chattr +P {} +' make "
              "all of it project %u",
              a->option, what, a->id, dir, dir, a->id);
    return -EINVAL;
}

/* Is the directory that the share lies in of the same project? Its limits would not be the share's. */
static int check_parent(const struct account *a)
{
    cleanup_close int up = openat(a->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat here, there;
    struct fsxattr x;

    if (up < 0 || fstat(a->fd, &here) < 0 || fstat(up, &there) < 0)
        return -errno;
    if (here.st_dev != there.st_dev || here.st_ino == there.st_ino || get_project(up, &x) < 0 ||
        x.fsx_projid != a->id)
        return 0;
    log_error("--%s: %s and the directory that it is in are both of project %u, and would share "
              "the limit; "
              "'chattr -R -p NUMBER %s' gives it one of its own",
              a->option, a->conf->source, a->id, a->conf->source);
    return -EINVAL;
}

/* Is what is in the directory of its project? Return: 1 yes, 0 no (*@name says which is not), or -errno. */
static int is_of_project(const struct account *a, int dir_fd, const struct dirent *d)
{
    cleanup_close int fd = -1;
    struct stat here, st;
    struct fsxattr x;

    if (d->d_type != DT_DIR && d->d_type != DT_REG)
        return 1;
    fd = openat(dir_fd, d->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(dir_fd, &here) < 0 || fstat(fd, &st) < 0)
        return errno == ENOENT || errno == ELOOP ? 1 : -errno;
    if (st.st_dev != here.st_dev)
        return 1; /* a mount point: another account */
    int err = get_project(fd, &x);
    if (err < 0)
        return err;
    return x.fsx_projid == a->id && (!S_ISDIR(st.st_mode) || (x.fsx_xflags & FS_XFLAG_PROJINHERIT));
}

/* The first name that is not of the project, on the heap; NULL when all are. */
static int find_stranger(const struct account *a, char **name)
{
    int fd = openat(a->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *d;
    int of = 1;

    *name = NULL;
    if (!dir) {
        int err = -errno;
        if (fd >= 0)
            close(fd);
        return err;
    }
    for (int n = 0; of == 1 && n < MOST_LOOKED_AT && (d = readdir(dir)); n++) {
        /* mkfs makes the last one, and only fsck puts anything there. */
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
            strcmp(d->d_name, "lost+found") == 0)
            continue;
        of = is_of_project(a, fd, d);
        if (of == 0 && !(*name = strdup(d->d_name)))
            of = -ENOMEM;
    }
    closedir(dir);
    return of < 0 ? of : 0;
}

static int check_tree(const struct account *a)
{
    cleanup_free char *name = NULL;
    char what[512];
    int err = find_stranger(a, &name);

    if (err < 0) {
        log_error("--%s: %s: %s", a->option, a->conf->source, strerror(-err));
        return err;
    }
    if (!name)
        return 0;
    snprintf(what, sizeof(what), "'%s' in %s is not of its project %u, or does not pass it on",
             name, a->conf->source, a->id);
    return complain_of_tree(a, what);
}

/* A directory without a project gets the one that the administrator names, if nobody else has it. */
static int join_project(const struct account *a, struct fsxattr *x)
{
    struct fs_disk_quota used = {0};
    int err = project_quota(a, Q_XGETQUOTA, &used);

    if (err == 0 && x->fsx_projid != a->id && (used.d_icount > 0 || used.d_bcount > 0)) {
        log_error("--project-id=%u: files elsewhere are of this project; choose a number that no "
                  "directory has ('lsattr -pd DIR' shows one's)",
                  a->id);
        return -EBUSY;
    }
    if ((err = check_tree(a)) < 0)
        return err;
    x->fsx_projid = a->id;
    x->fsx_xflags |= FS_XFLAG_PROJINHERIT;
    if (ioctl(a->fd, FS_IOC_FSSETXATTR, x) < 0) {
        err = -errno;
        log_error("--%s: %s cannot be made project %u: %s", a->option, a->conf->source, a->id,
                  strerror(-err));
        return err;
    }
    log_info("%s is project %u of its file system from now on", a->conf->source, a->id);
    return 0;
}

static int settle_project(struct account *a)
{
    const struct conf *c = a->conf;
    struct fsxattr x;
    int err = get_project(a->fd, &x);

    if (err < 0) {
        log_error("--%s: the project of %s cannot be told: %s", a->option, c->source,
                  strerror(-err));
        return err;
    }
    a->id = c->project_id < 0 ? x.fsx_projid : (uint32_t)c->project_id;
    if (a->id == 0) {
        log_error(
            "--%s: %s belongs to no project; choose a number that no other directory has, and "
            "add --project-id=NUMBER",
            a->option, c->source);
        return -EINVAL;
    }
    if (x.fsx_projid != 0 && x.fsx_projid != a->id) {
        log_error("--project-id=%u: %s is of project %u; leave the option out to use that one",
                  a->id, c->source, x.fsx_projid);
        return -EINVAL;
    }
    if ((err = check_parent(a)) < 0)
        return err;
    if (x.fsx_projid == a->id && (x.fsx_xflags & FS_XFLAG_PROJINHERIT))
        return check_tree(a);
    return join_project(a, &x);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static int set_limits(const struct account *a)
{
    const struct conf *c = a->conf;
    struct fs_disk_quota q = {
        .d_version = FS_DQUOT_VERSION,
        .d_flags = FS_PROJ_QUOTA,
        .d_id = a->id,
        .d_blk_hardlimit = (uint64_t)c->limit_bytes / BLOCK,
        .d_ino_hardlimit = (uint64_t)c->limit_inodes,
    };

    /* A soft limit would turn into a hard one after some days. */
    if (c->limit_bytes)
        q.d_fieldmask |= FS_DQ_BHARD | FS_DQ_BSOFT;
    if (c->limit_inodes)
        q.d_fieldmask |= FS_DQ_IHARD | FS_DQ_ISOFT;
    int err = project_quota(a, Q_XSETQLIM, &q);
    if (err < 0)
        log_error(
            "--%s: the quota of project %u cannot be set: %s%s", a->option, a->id, strerror(-err),
            err == -EPERM ? "; this takes root, or set it by hand and leave the option out: the "
                            "guest is shown what is free of it all the same"
                          : "");
    return err;
}

static void report(const struct account *a)
{
    struct fs_disk_quota q = {0};
    const struct conf *c = a->conf;

    if (project_quota(a, Q_XGETQUOTA, &q) < 0)
        return;
    log_info("%s is project %u and uses %" PRIu64 " bytes and %" PRIu64 " inodes of its limits",
             c->source, a->id, (uint64_t)q.d_bcount * BLOCK, (uint64_t)q.d_icount);
    if ((c->limit_bytes && q.d_bcount * BLOCK >= (uint64_t)c->limit_bytes) ||
        (c->limit_inodes && q.d_icount >= (uint64_t)c->limit_inodes))
        log_warn("%s is full: its limit is reached already", c->source);
}

int quota_set(const struct conf *c)
{
    cleanup_close int fd = -1;
    struct account a = {.conf = c, .option = c->limit_bytes ? "limit-bytes" : "limit-inodes"};
    int err;

    if (!c->limit_bytes && !c->limit_inodes)
        return 0;
    fd = open(c->source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        err = -errno;
        log_error("--%s: %s: %s; only a directory can have a limit", a.option, c->source,
                  strerror(-err));
        return err;
    }
    a.fd = fd;
    if ((err = check_enforced(&a)) < 0 || (err = settle_project(&a)) < 0 ||
        (err = set_limits(&a)) < 0)
        return err;
    report(&a);
    return 0;
}
