// SPDX-License-Identifier: BSD-3-Clause
/*
 * mount.c - the file systems that make up the share (see mount.h)
 *
 * Theory of operation
 *
 *   What a file system can promise about identity is probed once, on the first object seen in it:
 *   - a birth time that statx reports, and that stays with the file: stamp of first choice. Not on
 *     overlayfs, where a copy-up makes a new file under the old number;
 *   - file handles, which carry a generation: the stamp where there is no birth time. Not on FUSE, whose
 *     handles are node ids: they change whenever the host's kernel forgets an inode, and a server may
 *     give one to another file with the same generation. They are not opened there either;
 *   - else nothing: known inodes are kept open so that their numbers cannot be reused.
 *
 *   File systems whose files are controls of the host's kernel, or windows into its processes, are shown
 *   and not touched (inode_on_controls()). They come into sight where a share holds a chroot, or is "/".
 *   The daemon is root: a guest that may write core_pattern or uevent_helper runs programs on the host,
 *   one that may write the daemon's own /proc/PID/mem runs code in it.
 *
 *   Records are found through the parent's index first (one comparison), then through a hash.
 *
 * syscalls: fstatfs close
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "tree/tree_int.h"

#define MAX_MOUNTS    65535u
#define MOUNT_BUCKETS 1024u

#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#ifndef CONFIGFS_MAGIC
#define CONFIGFS_MAGIC 0x62656570
#endif
/* Known to their own sources only (fs/fuse/control.c, fs/nfsd/nfsctl.c, net/sunrpc/rpc_pipe.c). */
#define FUSECTL_MAGIC    0x65735543
#define NFSD_MAGIC       0x6e667364
#define RPC_PIPEFS_MAGIC 0x67596969
#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

struct mounts {
    pthread_mutex_t lock;
    _Atomic(struct mount *) *at; /* MAX_MOUNTS + 1; pages appear as they are used */
    uint16_t *next;              /* hash chains, by index + 1 */
    uint16_t bucket[MOUNT_BUCKETS];
    uint32_t n;
};

int mounts_new(struct mounts **out)
{
    struct mounts *ms = calloc(1, sizeof(*ms));

    if (!ms)
        return -ENOMEM;
    ms->at = calloc(MAX_MOUNTS + 1, sizeof(*ms->at));
    ms->next = calloc(MAX_MOUNTS + 1, sizeof(*ms->next));
    if (!ms->at || !ms->next) {
        free(ms->at);
        free(ms->next);
        free(ms);
        return -ENOMEM;
    }
    pthread_mutex_init(&ms->lock, NULL);
    *out = ms;
    return 0;
}

void mounts_free(struct mounts *ms)
{
    if (!ms)
        return;
    for (uint32_t i = 0; i < ms->n; i++) {
        struct mount *m = mount_at(ms, (uint16_t)i);
        if (m->fd >= 0)
            close(m->fd);
        free(m);
    }
    pthread_mutex_destroy(&ms->lock);
    free(ms->at);
    free(ms->next);
    free(ms);
}

struct mount *mount_at(struct mounts *ms, uint16_t index)
{
    return atomic_load_explicit(&ms->at[index], memory_order_acquire);
}

static bool mount_is(const struct mount *m, const struct statx *stx)
{
    return m && m->mnt_id == stx->stx_mnt_id && m->dev_minor == stx->stx_dev_minor &&
           m->dev_major == stx->stx_dev_major;
}

static uint32_t mount_hash(const struct statx *stx)
{
    uint64_t x = stx->stx_mnt_id * 0x9e3779b97f4a7c15u ^ stx->stx_dev_major ^
                 ((uint64_t)stx->stx_dev_minor << 20);
    return (uint32_t)((x * 0x9e3779b97f4a7c15u) >> 54) % MOUNT_BUCKETS;
}

static bool is_local(int64_t f_type)
{
    switch (f_type) {
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case F2FS_SUPER_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
    case RAMFS_MAGIC:
        return true;
    default:
        return false; /* NFS, CIFS, FUSE, Ceph ...: close() may report errors */
    }
}

static bool is_controls(int64_t f_type)
{
    switch (f_type) {
    case PROC_SUPER_MAGIC:
    case SYSFS_MAGIC:
    case CGROUP_SUPER_MAGIC:
    case CGROUP2_SUPER_MAGIC:
    case DEBUGFS_MAGIC:
    case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC:
    case SELINUX_MAGIC:
    case SMACK_MAGIC:
    case AAFS_MAGIC:
    case EFIVARFS_MAGIC:
    case PSTOREFS_MAGIC:
    case BPF_FS_MAGIC:
    case BINFMTFS_MAGIC:
    case CONFIGFS_MAGIC:
    case NSFS_MAGIC:
    case XENFS_SUPER_MAGIC:
    case FUSECTL_MAGIC:
    case NFSD_MAGIC:
    case RPC_PIPEFS_MAGIC:
    case RDTGROUP_SUPER_MAGIC:
    case USBDEVICE_SUPER_MAGIC:
        return true;
    default:
        return false;
    }
}

/* Find out what the file system can promise; @dirfd/@name reach an object in it. */
static int mount_probe(struct mount *m, const struct statx *stx, int dirfd, const char *name)
{
    struct statfs sfs;
    cleanup_close int opened = -1;
    int fd = dirfd;

    if (*name) {
        opened = open_child_path(dirfd, name);
        if (opened < 0)
            return opened;
        fd = opened;
    }
    if (fstatfs(fd, &sfs) < 0)
        return -errno;
    m->mnt_id = stx->stx_mnt_id;
    m->dev_major = stx->stx_dev_major;
    m->dev_minor = stx->stx_dev_minor;
    m->f_type = (int64_t)sfs.f_type;
    m->local = is_local(m->f_type);
    m->controls = is_controls(m->f_type);
    /* Linux hands the mode to a FUSE server unread, and not each server reads it: GlusterFS 10 allocates, zeroes
     * nothing and reports success. Which server it is nobody can tell. */
    m->zeroes = m->f_type != FUSE_SUPER_MAGIC;
    m->fd = -1;
    struct fhandle *h = NULL;
    m->handles = m->f_type != FUSE_SUPER_MAGIC && fhandle_get(fd, "", &h) == 0;
    free(h);
    if ((stx->stx_mask & STATX_BTIME) && m->f_type != OVERLAYFS_SUPER_MAGIC)
        m->stamp = STAMP_BTIME;
    else if (m->handles)
        m->stamp = STAMP_HANDLE;
    else
        m->stamp = STAMP_NONE;
    return 0;
}

static int mount_find_locked(struct mounts *ms, const struct statx *stx, int dirfd,
                             const char *name)
{
    uint32_t b = mount_hash(stx);

    for (uint32_t i = ms->bucket[b]; i; i = ms->next[i - 1])
        if (mount_is(mount_at(ms, (uint16_t)(i - 1)), stx))
            return (int)(i - 1);
    if (ms->n == MAX_MOUNTS) {
        log_warn_limited("more than %u mounts in the share: refusing another", MAX_MOUNTS);
        return -ENFILE;
    }
    struct mount *m = calloc(1, sizeof(*m));
    if (!m)
        return -ENOMEM;
    int r = mount_probe(m, stx, dirfd, name);
    if (r < 0) {
        free(m);
        return r;
    }
    uint32_t index = ms->n++;
    ms->next[index] = ms->bucket[b];
    ms->bucket[b] = (uint16_t)(index + 1);
    atomic_store_explicit(&ms->at[index], m, memory_order_release);
    if (m->controls)
        log_warn("the share shows controls of the host's kernel (file system type %#llx): a guest "
                 "may list them, but not open or change anything there",
                 (unsigned long long)m->f_type);
    log_debug("mount %llu (%u:%u): type %#llx, identity by %s", (unsigned long long)m->mnt_id,
              m->dev_major, m->dev_minor, (unsigned long long)m->f_type,
              m->stamp == STAMP_BTIME    ? "birth time"
              : m->stamp == STAMP_HANDLE ? "file handle"
                                         : "open descriptor");
    return (int)index;
}

int mount_find(struct mounts *ms, uint16_t hint, const struct statx *stx, int dirfd,
               const char *name)
{
    if (mount_is(mount_at(ms, hint), stx))
        return hint;
    pthread_mutex_lock(&ms->lock);
    int r = mount_find_locked(ms, stx, dirfd, name);
    pthread_mutex_unlock(&ms->lock);
    return r;
}

int mount_handle_fd(struct mounts *ms, struct mount *m, int fd, mode_t type, int proc_fd)
{
    pthread_mutex_lock(&ms->lock);
    if (m->fd < 0 && !m->controls && type == S_IFDIR) {
        char path[12];
        tree_proc_path(path, fd);
        m->fd = openat(proc_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    int r = m->fd >= 0 ? m->fd : -EBADF;
    pthread_mutex_unlock(&ms->lock);
    return r;
}
