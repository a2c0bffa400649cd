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
 *   A record that was kept has no mount id until the mount is met. A new (mount id, device) pair takes the record of
 *   the same device whose place, the path of what was met there first, is the nearest above its own; what the file
 *   system promises must be the same as before. Guests walk down from the root, so that first thing is the mount's root. In the
 *   sandboxes the paths that /proc tells begin at the share, or at least at the same directory for each worker.
 *
 * syscalls: fstatfs close readlinkat
 */
#include <fcntl.h>
#include <limits.h>
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

#define MOUNTS_VERSION 1u
#define PLACE_MAX      968u

/* What is kept of one. */
struct mount_record {
    uint32_t dev_major, dev_minor;
    int64_t f_type;
    uint8_t stamp, handles;
    uint8_t spare[38];
    char place[PLACE_MAX]; /* "": too long */
};
_Static_assert(sizeof(struct mount_record) == 1024, "four a page");

struct mounts_region {
    struct keep_head keep;
    _Atomic uint32_t n;
    uint32_t spare[11];
    struct mount_record at[MAX_MOUNTS];
};

struct mounts {
    struct keep *keep;
    int proc_fd; /* borrowed; /proc/self/fd */
    struct mounts_region *kept;
    uint32_t n_unmet; /* records without a mount id */
    pthread_mutex_t lock;
    _Atomic(struct mount *) *at; /* MAX_MOUNTS + 1; pages appear as they are used */
    uint16_t *next;              /* hash chains, by index + 1 */
    uint16_t bucket[MOUNT_BUCKETS];
    uint32_t n;
};

int mounts_new(struct mounts **out, struct keep *k, int proc_fd)
{
    struct mounts *ms = calloc(1, sizeof(*ms));

    if (!ms)
        return -ENOMEM;
    pthread_mutex_init(&ms->lock, NULL);
    ms->keep = k;
    ms->proc_fd = proc_fd;
    ms->at = calloc(MAX_MOUNTS + 1, sizeof(*ms->at));
    ms->next = calloc(MAX_MOUNTS + 1, sizeof(*ms->next));
    ms->kept = keep_map(k, KEEP_MOUNTS, sizeof(*ms->kept), MOUNTS_VERSION);
    if (!ms->at || !ms->next || !ms->kept) {
        int r = ms->at && ms->next ? -errno : -ENOMEM;
        mounts_free(ms);
        return r;
    }
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
    if (ms->kept)
        keep_unmap(ms->keep, ms->kept);
    pthread_mutex_destroy(&ms->lock);
    free(ms->at);
    free(ms->next);
    free(ms);
}

uint32_t mounts_count(struct mounts *ms)
{
    pthread_mutex_lock(&ms->lock);
    uint32_t n = ms->n;
    pthread_mutex_unlock(&ms->lock);
    return n;
}

struct mount *mount_at(struct mounts *ms, uint16_t index)
{
    return atomic_load_explicit(&ms->at[index], memory_order_acquire);
}

static bool mount_is(const struct mount *m, const struct statx *stx)
{
    /* Read without the lock: an index that a lookup brings along is tried first. */
    return m && __atomic_load_n(&m->mnt_id, __ATOMIC_RELAXED) == stx->stx_mnt_id &&
           m->dev_minor == stx->stx_dev_minor && m->dev_major == stx->stx_dev_major;
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

/* What is known of a file system from its type alone. */
static void mount_type(struct mount *m, int64_t f_type)
{
    m->f_type = f_type;
    m->local = is_local(f_type);
    m->controls = is_controls(f_type);
    /* Linux hands the mode to a FUSE server unread, and not each server reads it: GlusterFS 10 allocates, zeroes
     * nothing and reports success. Which server it is nobody can tell. */
    m->zeroes = f_type != FUSE_SUPER_MAGIC;
}

/* Find out what the file system can promise; @fd is an object in it. */
static int mount_probe(struct mount *m, const struct statx *stx, int fd)
{
    struct statfs sfs;
    struct fhandle h;

    if (fstatfs(fd, &sfs) < 0)
        return -errno;
    mount_type(m, (int64_t)sfs.f_type);
    m->mnt_id = stx->stx_mnt_id;
    m->dev_major = stx->stx_dev_major;
    m->dev_minor = stx->stx_dev_minor;
    m->fd = -1;
    m->handles = m->f_type != FUSE_SUPER_MAGIC && fhandle_get(fd, "", &h) == 0;
    if ((stx->stx_mask & STATX_BTIME) && m->f_type != OVERLAYFS_SUPER_MAGIC)
        m->stamp = STAMP_BTIME;
    else if (m->handles)
        m->stamp = STAMP_HANDLE;
    else
        m->stamp = STAMP_NONE;
    return 0;
}

/* ---- kept records ------------------------------------------------------------------------- */

static void place_of_fd(int fd, int proc_fd, char place[static PLACE_MAX])
{
    char path[12];

    tree_proc_path(path, fd);
    ssize_t n = readlinkat(proc_fd, path, place, PLACE_MAX);
    if (n < 0 || n >= (ssize_t)PLACE_MAX)
        n = 0;
    place[n] = '\0';
}

/* Is @place at or below @top? Return: by how many bytes of path; -1: it is not. */
static int depth_below(const char *top, const char *place)
{
    size_t n = strlen(top);

    if (n == 1 && top[0] == '/')
        n = 0;
    if (strncmp(top, place, n) != 0 || (place[n] != '\0' && place[n] != '/'))
        return -1;
    return (int)strlen(place + n);
}

static bool promises_the_same(const struct mount *m, const struct mount *probed)
{
    return m->dev_major == probed->dev_major && m->dev_minor == probed->dev_minor &&
           m->f_type == probed->f_type && m->stamp == probed->stamp &&
           m->handles == probed->handles;
}

/* The kept record that is this mount's. Return: index, or -1. Lock held. */
static int find_unmet(struct mounts *ms, const struct mount *probed, const char *place)
{
    int best = -1, best_depth = INT_MAX;

    for (uint32_t i = 0; ms->n_unmet && i < ms->n; i++) {
        const struct mount *m = mount_at(ms, (uint16_t)i);
        if (m->mnt_id != MOUNT_UNMET || !promises_the_same(m, probed))
            continue;
        int depth = depth_below(ms->kept->at[i].place, place);
        if (depth >= 0 && depth < best_depth) {
            best = (int)i;
            best_depth = depth;
        }
    }
    return best;
}

static void record_mount(struct mounts *ms, uint32_t index, const struct mount *m,
                         const char *place)
{
    struct mount_record *r = &ms->kept->at[index];

    *r = (struct mount_record){.dev_major = m->dev_major,
                               .dev_minor = m->dev_minor,
                               .f_type = m->f_type,
                               .stamp = (uint8_t)m->stamp,
                               .handles = m->handles};
    memcpy(r->place, place, strlen(place) + 1);
    atomic_store_explicit(&ms->kept->n, index + 1, memory_order_release);
}

/* Descriptors that vouched for identities have gone with their process. */
static void say_what_is_lost(struct mounts *ms)
{
    bool lost = false;

    for (uint32_t i = 0; i < ms->n; i++)
        lost |= mount_at(ms, (uint16_t)i)->stamp == STAMP_NONE;
    if (lost)
        log_warn("a file system of the share tells files apart by their numbers alone (overlayfs "
                 "and FUSE do): what the host moved or replaced while the daemon was replaced is "
                 "stale in the guest until it looks there again");
}

int mounts_begin(struct mounts *ms)
{
    uint32_t n = keep_resumes(ms->keep) ? atomic_load(&ms->kept->n) : 0;

    if (n == 0 || n > MAX_MOUNTS) {
        atomic_store(&ms->kept->n, 0);
        return 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct mount_record *r = &ms->kept->at[i];
        struct mount *m = calloc(1, sizeof(*m));
        if (!m)
            return -ENOMEM;
        r->place[PLACE_MAX - 1] = '\0'; /* it has one already, if one of us wrote it */
        mount_type(m, r->f_type);
        m->mnt_id = MOUNT_UNMET;
        m->dev_major = r->dev_major;
        m->dev_minor = r->dev_minor;
        m->stamp = r->stamp;
        m->handles = r->handles;
        m->fd = -1;
        atomic_store_explicit(&ms->at[i], m, memory_order_release);
        ms->n = i + 1;
    }
    ms->n_unmet = n;
    say_what_is_lost(ms);
    return 0;
}

/* ---- finding ------------------------------------------------------------------------------ */

static void link_mount(struct mounts *ms, uint32_t index, uint32_t bucket)
{
    ms->next[index] = ms->bucket[bucket];
    ms->bucket[bucket] = (uint16_t)(index + 1);
}

static int new_mount(struct mounts *ms, struct mount *probed, const char *place, uint32_t bucket)
{
    if (ms->n == MAX_MOUNTS) {
        log_warn_limited("more than %u mounts in the share: refusing another", MAX_MOUNTS);
        return -ENFILE;
    }
    struct mount *m = malloc(sizeof(*m));
    if (!m)
        return -ENOMEM;
    *m = *probed;
    uint32_t index = ms->n++;
    record_mount(ms, index, m, place);
    link_mount(ms, index, bucket);
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

/* Not met yet by this process; @dirfd/@name reach an object in it. */
static int meet_mount(struct mounts *ms, const struct statx *stx, int dirfd, const char *name,
                      uint32_t bucket)
{
    cleanup_close int opened = -1;
    struct mount probed = {0};
    char place[PLACE_MAX];
    int fd = dirfd;

    if (*name) {
        opened = open_child_path(dirfd, name);
        if (opened < 0)
            return opened;
        fd = opened;
    }
    int r = mount_probe(&probed, stx, fd);
    if (r < 0)
        return r;
    place_of_fd(fd, ms->proc_fd, place);
    int index = find_unmet(ms, &probed, place);
    if (index < 0)
        return new_mount(ms, &probed, place, bucket);
    __atomic_store_n(&mount_at(ms, (uint16_t)index)->mnt_id, probed.mnt_id, __ATOMIC_RELAXED);
    ms->n_unmet--;
    link_mount(ms, (uint32_t)index, bucket);
    return index;
}

static int mount_find_locked(struct mounts *ms, const struct statx *stx, int dirfd,
                             const char *name)
{
    uint32_t b = mount_hash(stx);

    for (uint32_t i = ms->bucket[b]; i; i = ms->next[i - 1])
        if (mount_is(mount_at(ms, (uint16_t)(i - 1)), stx))
            return (int)(i - 1);
    return meet_mount(ms, stx, dirfd, name, b);
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
