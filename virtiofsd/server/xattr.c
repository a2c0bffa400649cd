// SPDX-License-Identifier: BSD-3-Clause
/*
 * xattr.c - extended attributes
 *
 * Theory of operation
 *
 *   Inodes are reached through O_PATH descriptors, which fgetxattr() and its kin refuse, and devices,
 *   sockets and pipes must not be opened at all. So the calls go by path, through the magic links of
 *   /proc/self/fd: a link leads to the object itself, also when that is a symlink. /proc is not
 *   inside the sandbox, but a descriptor of /proc/self/fd is kept, and each server thread has a
 *   working directory of its own (unshared CLONE_FS): it moves there with its first attribute and
 *   stays. After that an operation is one system call, on every kernel and for every kind of file,
 *   without an open that could wake a tape drive or break a lease. (getxattrat() of Linux 6.13 does
 *   not take O_PATH descriptors either.)
 *
 * Policy
 *
 *   - Without --xattr every request is ENOSYS: Linux guests remember that and stop asking.
 *   - POSIX ACLs are refused unless FUSE_POSIX_ACL was agreed: a guest that does not know of them would
 *     change modes behind its own back. A client that asked for VIOFS_FEATURE_META may read them: what Windows stores
 *     is bound to them (lib/meta/ntacl.c).
 *   - security.*, trusted.* and user.* pass: the guest's kernel has decided whether its user may, and
 *     the host's kernel decides whether the daemon may (trusted.* takes CAP_SYS_ADMIN, security.*
 *     the label's own module, security.capability CAP_SETFCAP). Of those for which the kernel would ask for
 *     CAP_SYS_ADMIN in security.*, only security.NTACL may be changed.
 *   - With --xattrmap both policies look at the name on their own side: ACLs under both names.
 *
 * Locks: none.
 * syscalls: fchdir getxattr setxattr listxattr removexattr fremovexattr statx fchmodat unlinkat
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <sys/xattr.h>
#include <linux/limits.h>

#include "lib/meta/names.h"
#include "server/request.h"
#include "server/replay.h"
#include "server/xattrmap.h"

#define ACL_ACCESS  "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

/* An inode reached by a path; the path is good until reach_end(). */
struct reach {
    struct inode_fd fd;
    char path[16];
};

/** thread_to_fds() - the thread's cwd is /proc/self/fd from now on. Return: 0 or -errno. */
int thread_to_fds(struct srv_req *rq)
{
    if (!rq->t->cwd_is_fds) {
        if (fchdir(tree_proc_fd(rq->srv->tree)) < 0)
            return -errno;
        rq->t->cwd_is_fds = true;
    }
    return 0;
}

/**
 * xattr_path() - make @path name a descriptor for calls that take a path and follow links
 * @path: at least 16 bytes; good while @fd is open, in this thread
 *
 * Return: 0 or -errno.
 */
int xattr_path(struct srv_req *rq, int fd, char *path)
{
    int r = thread_to_fds(rq);

    tree_proc_path(path, fd);
    return r;
}

static int reach_begin(struct srv_req *rq, struct inode *inode, struct reach *r)
{
    int err = inode_fd_get(rq->srv->tree, inode, &r->fd);

    if (err)
        return err;
    err = xattr_path(rq, r->fd.fd, r->path);
    if (err)
        inode_fd_put(rq->srv->tree, &r->fd);
    return err;
}

static void reach_end(struct srv_req *rq, struct reach *r)
{
    inode_fd_put(rq->srv->tree, &r->fd);
}

static bool is_acl(const char *name)
{
    return strcmp(name, ACL_ACCESS) == 0 || strcmp(name, ACL_DEFAULT) == 0;
}

static bool acls_agreed(const struct srv_req *rq)
{
    return rq->srv->session.flags & FUSE_POSIX_ACL;
}

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

/*
 * Names in security.* that a kernel without CAP_SYS_ADMIN refuses stay refused when --modcaps=+sys_admin gives it, but for
 * security.NTACL, for which it is given: a guest must not write what IMA or EVM of the host believe.
 */
static bool is_settable(const char *host)
{
    static const char *const labels[] = {"security.selinux", "security.SMACK64",
                                         "security.apparmor"};

    if (!begins(host, "security.") || strcmp(host, "security.capability") == 0 ||
        meta_kind_of(host) == META_ACL)
        return true;
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        if (begins(host, labels[i]))
            return true;
    }
    return false;
}

/* The host's name for @guest, if the guest may use it. */
static int host_name(const struct srv_req *rq, const char *guest, bool change,
                     char host[XATTRMAP_NAME])
{
    const struct xattrmap *map = rq->srv->xattrmap;

    if (map) {
        int err = xattrmap_to_host(map, guest, host);
        if (err)
            return err;
    } else {
        memcpy(host, guest, strlen(guest) + 1); /* 255 bytes at most: fuse_decode() */
    }
    if (!acls_agreed(rq) && (is_acl(guest) || is_acl(host)) && (change || !meta_wanted(rq)))
        return -EOPNOTSUPP;
    return change && !is_settable(host) ? -EPERM : 0;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Answer with a value, or with its length when the guest only asks for that. */
static int64_t answer(struct srv_req *rq, uint32_t asked, const uint8_t *value, size_t len)
{
    struct fuse_getxattr_out out = {.size = (uint32_t)len};

    if (asked == 0)
        return rq_reply(rq, &out, sizeof(out));
    if (len > asked)
        return rq_error(rq, -ERANGE);
    return rq_reply(rq, value, len);
}

int64_t op_getxattr(struct srv_req *rq)
{
    const struct fuse_getxattr_in *in = rq->c->arg;
    size_t size = in->size < XATTR_SIZE_MAX ? in->size : XATTR_SIZE_MAX;
    char name[XATTRMAP_NAME];
    uint8_t *value = NULL;
    struct reach r;
    ssize_t n;
    int err;

    if (!rq->srv->conf->xattr)
        return rq_error(rq, -ENOSYS);
    err = host_name(rq, rq->c->name[0].s, false, name);
    if (err)
        return rq_error(rq, err == -EPERM ? -ENODATA : err); /* a hidden name is just not there */
    if (size) {
        value = thread_out(rq->t, size);
        if (!value)
            return rq_error(rq, -ENOMEM);
    }
    err = reach_begin(rq, rq->inode, &r);
    if (err)
        return rq_error(rq, err);
    n = getxattr(r.path, name, value, size);
    err = -errno;
    reach_end(rq, &r);
    return n < 0 ? rq_error(rq, err) : answer(rq, in->size, value, (size_t)n);
}

/* Turn host names into guest names, in place: a name never becomes longer. Return: bytes left. */
static size_t to_guest_list(const struct srv_req *rq, char *list, size_t len)
{
    const struct xattrmap *map = rq->srv->xattrmap;
    bool acls = acls_agreed(rq);
    size_t kept = 0;

    for (size_t at = 0; at < len;) {
        size_t bytes = strnlen(list + at, len - at) + 1;
        const char *guest = map ? xattrmap_to_guest(map, list + at) : list + at;

        if (guest && (acls || (!is_acl(guest) && !is_acl(list + at)))) {
            size_t n = strlen(guest) + 1;
            memmove(list + kept, guest, n);
            kept += n;
        }
        at += bytes;
    }
    return kept;
}

int64_t op_listxattr(struct srv_req *rq)
{
    const struct fuse_getxattr_in *in = rq->c->arg;
    struct reach r;
    uint8_t *list;
    ssize_t n;
    int err;

    if (!rq->srv->conf->xattr)
        return rq_error(rq, -ENOSYS);
    /* The whole list, whatever was asked for: what the guest may see of it decides its length. */
    list = thread_out(rq->t, XATTR_LIST_MAX + 1);
    if (!list)
        return rq_error(rq, -ENOMEM);
    err = reach_begin(rq, rq->inode, &r);
    if (err)
        return rq_error(rq, err);
    n = listxattr(r.path, (char *)list, XATTR_LIST_MAX);
    err = -errno;
    reach_end(rq, &r);
    if (n < 0)
        return rq_error(rq, err);
    list[n] = '\0'; /* a file system's last name may lack its end */
    return answer(rq, in->size, list, to_guest_list(rq, (char *)list, (size_t)n));
}

/* ---- changing ------------------------------------------------------------------------------ */

/*
 * The guest's user is not in the file's group and has no CAP_FSETID, so setting an access ACL has to take
 * the sgid bit away (FUSE_SETXATTR_ACL_KILL_SGID, 7.33). The host's kernel keeps it for a daemon that has
 * the capability. Group bits of the mode are the ACL's mask and are written back as they are.
 */
static int clear_sgid(const struct srv_req *rq, const struct reach *r)
{
    struct statx stx;

    if (statx(r->fd.fd, "", AT_EMPTY_PATH, STATX_MODE, &stx) < 0)
        return -errno;
    if (!(stx.stx_mode & S_ISGID))
        return 0;
    if (fchmodat(tree_proc_fd(rq->srv->tree), r->path, stx.stx_mode & 07777 & ~S_ISGID, 0) < 0)
        return -errno;
    return 0;
}

static int set(struct srv_req *rq, struct inode *inode, const char *name, const void *value,
               size_t len, int flags, bool kill_sgid)
{
    struct reach r;
    int err = reach_begin(rq, inode, &r);

    if (err)
        return err;
    if (setxattr(r.path, name, value, len, flags) < 0)
        err = replay_set(rq, -errno, r.path, name, value, len);
    if (!err && kill_sgid)
        err = clear_sgid(rq, &r);
    reach_end(rq, &r);
    return err;
}

int64_t op_setxattr(struct srv_req *rq)
{
    const struct fuse_setxattr_in *in = rq->c->arg;
    char name[XATTRMAP_NAME];
    int err;

    if (!rq->srv->conf->xattr)
        return rq_error(rq, -ENOSYS);
    err = host_name(rq, rq->c->name[0].s, true, name);
    if (err)
        return rq_error(rq, err);
    bool kill_sgid = in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID &&
                     strcmp(rq->c->name[0].s, ACL_ACCESS) == 0;
    return rq_error(
        rq, set(rq, rq->inode, name, rq->c->value, rq->c->value_len, (int)in->flags, kill_sgid));
}

static int remove_from(struct srv_req *rq, struct inode *inode, const char *name)
{
    struct reach r;
    int err = reach_begin(rq, inode, &r);

    if (err)
        return err;
    if (removexattr(r.path, name) < 0)
        err = -errno;
    reach_end(rq, &r);
    return err;
}

int64_t op_removexattr(struct srv_req *rq)
{
    char name[XATTRMAP_NAME];
    int err;

    if (!rq->srv->conf->xattr)
        return rq_error(rq, -ENOSYS);
    err = host_name(rq, rq->c->name[0].s, true, name);
    if (!err)
        err = replay_gone(rq, remove_from(rq, rq->inode, name), -ENODATA);
    return rq_error(rq, err);
}

/* ---- for other families -------------------------------------------------------------------- */

/* What could not be labelled must not stay: the guest hears of an error and of no file. */
static void take_away_again(struct srv_req *rq, const struct inode *inode)
{
    struct inode_fd dir;

    if (rq->c->op->flags & OP_NAME_VOID || inode_fd_get(rq->srv->tree, rq->inode, &dir) < 0)
        return; /* TMPFILE made no name */
    unlinkat(dir.fd, rq->c->name[0].s, inode_type(inode) == S_IFDIR ? AT_REMOVEDIR : 0);
    inode_fd_put(rq->srv->tree, &dir);
}

/**
 * xattr_label_new() - store the request's security context on what it has just created
 * Return: 0, also when the request brought none; -errno: the new name has been removed again.
 */
int xattr_label_new(struct srv_req *rq, struct inode *inode)
{
    const struct fuse_call *c = rq->c;
    char name[XATTRMAP_NAME];
    int err;

    if (c->secctx_name.len == 0)
        return 0;
    err = host_name(rq, c->secctx_name.s, true, name);
    if (!err)
        err = set(rq, inode, name, c->secctx, c->secctx_len, 0, false);
    if (err)
        take_away_again(rq, inode);
    return err;
}

/**
 * xattr_drop_capability() - after a change to a file's content or owner
 * @fd: the file, also an O_PATH descriptor
 *
 * The host's kernel removes security.capability itself; where --xattrmap keeps the guest's under another
 * name, this does (CVE-2021-20263). Costs nothing without such a map.
 * Return: 0 or -errno. A file without the attribute, or on a file system without any, is fine.
 */
int xattr_drop_capability(struct srv_req *rq, int fd)
{
    const struct xattrmap *map = rq->srv->xattrmap;
    const char *name = map ? xattrmap_capability(map) : NULL;
    char path[16];
    int err = 0;

    if (!name)
        return 0;
    if (fremovexattr(fd, name) < 0)
        err = -errno;
    if (err == -EBADF) {
        err = xattr_path(rq, fd, path);
        if (!err && removexattr(path, name) < 0)
            err = -errno;
    }
    return err == -ENODATA || err == -EOPNOTSUPP ? 0 : err;
}
