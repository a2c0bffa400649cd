// SPDX-License-Identifier: BSD-3-Clause
/*
 * tree.h - the shared tree: which file a node id means, and how to reach it
 *
 * Theory of operation
 *
 *   A node id names an inode for as long as the guest remembers it (nlookup > 0). The table keeps
 *   64 bytes, a name and perhaps a file handle for each; descriptors are only a bounded cache beside
 *   it. An inode that has none is reached by its last known parent and name, or by its handle, and
 *   whatever is found there is compared with the inode's identity before it is used: the result of a
 *   host-side rename or replacement is -ESTALE, never another file.
 *
 *   Identity is (mount, device, inode number, stamp). The stamp is the birth time, or a hash of the
 *   file handle where there is none; file systems with neither keep a descriptor open for each known
 *   inode while the budget lasts, because their numbers alone prove nothing (tree/mount.h).
 *
 * References: a struct inode is valid while a reference is held. inode_get() and everything that
 * returns an inode gives one, inode_put() takes it back. Parents are referenced by their children.
 *
 * Locks: inode slots are type-stable, so inode_get() is lock-free. Everything else about an inode is
 * under the lock of its identity's shard. No lock is held across a system call except by the
 * descriptor cache when it evicts. Order: move (parents of directories), shard, then cache.
 */
#ifndef VIOFS_TREE_H
#define VIOFS_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "conf.h"
#include "keep/keep.h"

#define TREE_ROOT_ID 1u

struct tree;
struct inode;
struct mount;

struct tree_params {
    struct keep *keep; /* where the tables live; NULL: in private memory */
    int root_fd;       /* borrowed; O_PATH */
    int proc_fd;       /* borrowed; /proc/self/fd */
    bool can_handles;  /* open_by_handle_at is permitted */
    enum conf_handles handles;
    uint32_t max_fds;    /* size of the descriptor cache, at least 16 */
    uint32_t max_inodes; /* bound of the table; 0: as many as ids can name (268 million) */
};

/**
 * tree_new() - Return: 0 or -errno (message printed)
 * When keep_resumes(), the tables are only mapped; the tree is good for nothing before tree_resume(), the owners' calls of
 * tree_hold(), and tree_settle().
 */
int tree_new(struct tree **tree, const struct tree_params *p);
void tree_free(struct tree *tree);

/** tree_resume() - find what another worker left, which has ended. Return: 0 or -errno (message printed). */
int tree_resume(struct tree *tree);
/**
 * tree_hold() - between tree_resume() and tree_settle(): what a handle or lock refers to is alive
 * Return: a reference, or NULL for a slot that never was.
 */
struct inode *tree_hold(struct tree *tree, uint32_t slot);
/** tree_settle() - what nothing holds is gone; from now on the tree is as any. Return: 0 or -ENOMEM. */
int tree_settle(struct tree *tree);
uint32_t inode_number(const struct inode *inode); /* its slot: the low half of its id */

/** tree_reset() - forget every inode but the root. No request may be running. */
void tree_reset(struct tree *tree);

/** inode_get() - the inode that a guest names. Return: a reference, or NULL for an id that is not alive. */
struct inode *inode_get(struct tree *tree, uint64_t id);
struct inode *inode_ref(struct inode *inode);
void inode_put(struct tree *tree, struct inode *inode);

uint64_t inode_id(const struct inode *inode);
/** inode_type() - S_IFMT bits, which never change */
mode_t inode_type(const struct inode *inode);
struct mount *inode_mount(struct tree *tree, const struct inode *inode);
/** inode_mount_local() - on a file system whose close() has no news to tell (mount.h) */
bool inode_mount_local(struct tree *tree, const struct inode *inode);
/** inode_mount_zeroes() - on a file system that can be trusted to zero a range when it says so (mount.h) */
bool inode_mount_zeroes(struct tree *tree, const struct inode *inode);
/** inode_on_controls() - on proc, sysfs or the like (mount.h): nothing there may be opened or changed */
bool inode_on_controls(struct tree *tree, const struct inode *inode);
/**
 * inode_on_other_mount() - @inode is the root of a mount inside the share, seen from @parent; also of a
 * Btrfs subvolume, which is no mount but has inode numbers (and a device number) of its own
 */
bool inode_on_other_mount(const struct inode *inode, const struct inode *parent);
/* What an entry tells of an inode. */
struct tree_met {
    uint64_t id;
    bool other_mount; /* inode_on_other_mount() */
};
/** tree_met() - of @inode, met in @parent */
struct tree_met tree_met(const struct inode *inode, const struct inode *parent);
/** inode_keep() - @fd shows an inode without a name: the supervisor holds it as long as the inode is known. 0 or -errno. */
int inode_keep(struct tree *tree, struct inode *inode, int fd);
/** inode_linked() - the inode has a name again (LINK of a temporary file), or never had one */
void inode_linked(struct inode *inode, bool linked);
/** inode_place() - last known parent (a reference) and name; NULL when there is none (the root) */
struct inode *inode_place(struct tree *tree, struct inode *inode, char name[static NAME_MAX + 1]);
/** inode_parent() - last known parent, itself if there is none (the root). Return: a reference. */
struct inode *inode_parent(struct tree *tree, struct inode *inode);

/**
 * tree_lookup() - the inode behind a name: statx, then find it or make it known
 * @name: checked component, or "." / ".." (".." is answered from the table and never leaves the root)
 * @stx:  filled
 * @inode: a reference; its nlookup is one higher
 *
 * Return: 0 or -errno.
 */
int tree_lookup(struct tree *tree, struct inode *parent, const char *name, struct statx *stx,
                struct inode **inode);

/**
 * tree_adopt() - as tree_lookup() for a statx that the caller has made through @fd
 * @fd: open on the object (any kind), borrowed; -1 when only the name is known
 */
int tree_adopt(struct tree *tree, struct inode *parent, const char *name, int fd,
               const struct statx *stx, struct inode **inode);

/**
 * tree_meet_at() - as tree_adopt() by name, with the parent's descriptor in the caller's hand (READDIRPLUS)
 *
 * Counts a lookup and gives no reference: an entry of a listing should not cost more than it must.
 */
int tree_meet_at(struct tree *tree, struct inode *parent, int dirfd, const char *name,
                 const struct statx *stx, struct tree_met *met);

/** tree_forget() - the guest forgets @n lookups of @id; more than there are is clamped. 0 or -ESTALE. */
int tree_forget(struct tree *tree, uint64_t id, uint64_t n);

/** tree_renamed() - after a rename that we made: whatever is @name in @parent now is known by that name */
void tree_renamed(struct tree *tree, struct inode *parent, const char *name);

/* By what a file is told from others of the same directory, also by another process. Zeros: none. */
struct tree_mark {
    uint64_t ino, birth;
};
static inline struct tree_mark tree_mark(const struct statx *stx)
{
    uint64_t birth = (uint64_t)stx->stx_btime.tv_sec * 1000000000u + stx->stx_btime.tv_nsec;

    return (struct tree_mark){stx->stx_ino, stx->stx_mask & STATX_BTIME ? birth : 0};
}

/**
 * tree_victim() - before a name goes: keep what it names reachable if the guest still knows it
 *
 * To be called before unlink, rmdir and rename-over; tree_victim_done() follows. Best effort: when the cache
 * is full of pinned descriptors the inode becomes stale instead.
 * @mark: NULL, or what the name shows, known or not
 * Return: a reference, or NULL when nothing known goes.
 */
struct inode *tree_victim(struct tree *tree, struct inode *parent, const char *name,
                          struct tree_mark *mark);
/** tree_victim_done() - @gone: the name did go. Takes the reference back. @victim may be NULL. */
void tree_victim_done(struct tree *tree, struct inode *victim, bool gone);

/*
 * Linux 6.8 has mount ids that are never used twice; older kernels ignore the bit and give the short ones.
 */
#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x00004000U
#endif
#define TREE_STATX_MASK (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID | STATX_MNT_ID_UNIQUE)

/** inode_stat() - attributes, from a descriptor or by verified name. Return: 0 or -errno (-ESTALE). */
int inode_stat(struct tree *tree, struct inode *inode, struct statx *stx);

/*
 * Directories in which changes are watched (watch/): a mark on the inode, so that asking costs no lock. It says
 * no more than that: watch/ keeps it right.
 */

/** inode_covered() - is it marked? If so it also counts as looked at. */
bool inode_covered(struct inode *inode);
void inode_set_covered(struct inode *inode);
/** tree_covered(), tree_uncover() - by id, which need not be alive any more */
bool tree_covered(struct tree *tree, uint64_t id);
void tree_uncover(struct tree *tree, uint64_t id);
/** tree_cover_used() - has it been looked at since the last call? */
bool tree_cover_used(struct tree *tree, uint64_t id);
/** tree_parent_covered() - is its last known parent marked? */
bool tree_parent_covered(struct tree *tree, uint64_t id);
/** inode_in_covered_place() - is the inode still where it was last seen, and its parent marked? A statx. */
bool inode_in_covered_place(struct tree *tree, struct inode *inode);
/**
 * tree_on_uncover() - whom to tell when the guest forgets a marked directory; before the first request
 * @fn: called without a lock; more than once for one id at times
 */
void tree_on_uncover(struct tree *tree, void (*fn)(void *ctx, uint64_t id), void *ctx);

/* A descriptor of an inode, held in the cache until inode_fd_put(). */
struct inode_fd {
    int fd;        /* O_PATH, or a handle's own descriptor: for *at(), statx and /proc use only */
    uint32_t slot; /* the cache's */
};
/** inode_fd_get() - reach the inode. Return: 0 or -errno (-ESTALE when it cannot be found any more). */
int inode_fd_get(struct tree *tree, struct inode *inode, struct inode_fd *out);
void inode_fd_put(struct tree *tree, struct inode_fd *f);

/**
 * inode_open() - open for I/O
 * @flags: O_* of open(2) without O_CREAT and O_NOFOLLOW; O_CLOEXEC, O_NONBLOCK and O_NOCTTY are added
 * @hold:  NULL, or {-1, 0} to be filled as inode_lend_fd() does: while a handle is open its inode stays
 *         reachable whatever happens to its name. hold->fd may be the result itself, which then is the
 *         cache's to close (inode_return_fd()).
 *
 * Return: descriptor, the caller's; -errno. Anything but a regular file or directory is -ENXIO (the
 * guest's kernel opens its own special files); a symlink is -ELOOP; a file on controls of the host is -EACCES.
 */
int inode_open(struct tree *tree, struct inode *inode, int flags, struct inode_fd *hold);

/**
 * inode_lend_fd() - a new file's own descriptor serves as the inode's while its handle is open
 *
 * Fills @hold. Where the inode has a descriptor already that one is held; else hold->fd == @fd, the
 * descriptor belongs to the cache now, and inode_return_fd() takes it out again and closes it.
 */
void inode_lend_fd(struct tree *tree, struct inode *inode, int fd, struct inode_fd *hold);
/** inode_return_fd() - an inode whose last name has gone keeps an O_PATH descriptor instead */
void inode_return_fd(struct tree *tree, struct inode *inode, struct inode_fd *hold);

/** is_component() - a name that cannot lead out of its directory: no slash, not ".." */
bool is_component(const char *name);

/** tree_proc_path() - name of a descriptor relative to tree_proc_fd(); @buf at least 12 bytes */
void tree_proc_path(char *buf, int fd);
int tree_proc_fd(const struct tree *tree);

/** Numbers for statistics. */
uint64_t tree_inodes(void *tree);
uint64_t tree_fds(void *tree);

#endif
