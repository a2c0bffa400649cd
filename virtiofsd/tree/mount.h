// SPDX-License-Identifier: BSD-3-Clause
/*
 * mount.h - the file systems that make up the share
 *
 * One record for each (mount id, device) pair that a lookup has met: what identifies its inodes, whether
 * it is local, and a descriptor for open_by_handle_at(). Records live until the tree goes; there are at
 * most 65535, and a lookup that would need one more fails with -ENFILE.
 *
 * What inodes need of it over a restart is kept (KEEP_MOUNTS). The next worker has a mount namespace of its own,
 * where mounts have other ids; which is which shows when one is met again, by device and place.
 *
 * Locks: one mutex guards the table, mnt_id and fd; other fields are constant.
 */
#ifndef VIOFS_MOUNT_H
#define VIOFS_MOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

enum mount_stamp {
    STAMP_BTIME,  /* birth times are kept and never change */
    STAMP_HANDLE, /* a hash of the file handle */
    STAMP_NONE,   /* numbers prove nothing: a descriptor per known inode */
};

struct mount {
    uint64_t mnt_id; /* MOUNT_UNMET: of another worker's, and not met by this one yet */
    uint32_t dev_major, dev_minor;
    int64_t f_type; /* statfs */
    enum mount_stamp stamp;
    bool local;   /* close needs no FLUSH, killpriv is reliable */
    bool zeroes;  /* FALLOC_FL_ZERO_RANGE does what it reports */
    bool handles; /* file handles work and always mean the same file */
    /* proc, sysfs and their like: files that act on the host when they are written */
    bool controls;
    int fd; /* a directory inside the mount, or -1: for open_by_handle_at() */
};

#define MOUNT_UNMET UINT64_MAX

struct keep;
struct mounts;

/** mounts_new() - an empty table, or one that mounts_begin() fills. 0 or -errno. */
int mounts_new(struct mounts **mounts, struct keep *k, int proc_fd);
/** mounts_begin() - what was kept, or nothing, is there now. 0 or -ENOMEM. */
int mounts_begin(struct mounts *mounts);
uint32_t mounts_count(struct mounts *mounts);
void mounts_free(struct mounts *mounts);
struct mount *mount_at(struct mounts *mounts, uint16_t index);

/**
 * mount_find() - the record for what @stx describes
 * @hint: index to try first (the parent's)
 * @dirfd, @name: how to reach the object when the record is new
 * Return: index, or -errno.
 */
int mount_find(struct mounts *mounts, uint16_t hint, const struct statx *stx, int dirfd,
               const char *name);

/**
 * mount_handle_fd() - descriptor for open_by_handle_at()
 * @fd, @type, @proc_fd: an object inside, to open it from if there is none yet
 *
 * Only a directory serves: the descriptor lives as long as the mount is known, and an open file would
 * keep the space of a deleted one (or, over FUSE, its hidden name). Return: it, or -EBADF.
 */
int mount_handle_fd(struct mounts *mounts, struct mount *m, int fd, mode_t type, int proc_fd);

#endif
