// SPDX-License-Identifier: BSD-3-Clause
/*
 * confine.h - the parts of the sandbox, as they see each other
 *
 * Every function prints its own message (what failed, why, and what to do) and returns 0 or -errno.
 */
#ifndef VIOFS_CONFINE_H
#define VIOFS_CONFINE_H

#include <signal.h>
#include <sys/types.h>

#include "sandbox.h"

/** confine_fail() - "sandbox: @what: reason" as an error line. Return: @err. */
int confine_fail(int err, const char *what);

/* ---- limits.c ------------------------------------------------------------------------------ */

/** limits_pick_nofile() - the limit to ask for when the administrator names none */
int64_t limits_pick_nofile(int64_t nr_open, int64_t file_max);

/* ---- idmap.c: user namespaces -------------------------------------------------------------- */

struct idmap_helper {
    pid_t pid; /* 0: none was needed */
    int go;    /* write end of the pipe that starts it, or -1 */
};

/** idmap_wanted() - does this process need a user namespace? */
bool idmap_wanted(const struct conf *conf);
/** idmap_prepare() - before unshare(): start the helper that can write maps from outside */
int idmap_prepare(const struct conf *conf, struct idmap_helper *helper);
/** idmap_cancel() - give up between prepare and apply */
void idmap_cancel(struct idmap_helper *helper);
/**
 * idmap_apply() - after unshare(): maps in force, and we are id 0 where 0 is mapped
 * @uid, @gid: who we were before
 */
int idmap_apply(const struct conf *conf, struct idmap_helper *helper, uid_t uid, gid_t gid);
/** idmap_one_id() - is only one user or only one group mapped? */
bool idmap_one_id(const struct conf *conf);

/* ---- ways to confine ----------------------------------------------------------------------- */

/** ids_drop_groups() - no supplementary groups; nothing to do for a user who may not change them */
int ids_drop_groups(void);

int namespace_enter(const struct conf *conf, mode_t type, struct sandbox *sb,
                    struct sandbox_heir *heir);
/** namespace_enter_shares(), chroot_enter_shares() - likewise for several shares */
int namespace_enter_shares(const struct conf_shares *shares, struct sandbox *sb,
                           struct sandbox_heir *heir);
int chroot_enter_shares(const struct conf_shares *shares, struct sandbox *sb);
/** mounts_enter_shares() - each share becomes a detached tree of mounts, the root directory an empty one */
int mounts_enter_shares(const struct conf_shares *shares, bool user_ns, struct sandbox *sb);
int chroot_enter(const struct conf *conf, mode_t type, struct sandbox *sb);

/** mounts_enter() - in a fresh mount namespace: the share becomes the root directory */
int mounts_enter(const struct conf *conf, mode_t type, bool user_ns, struct sandbox *sb);

/**
 * parent_split() - fork(): the child becomes the daemon, the parent waits for it and ends as it ends
 * @heir: NULL: the parent is to have nothing of the daemon's open. Otherwise parent_fd is set if the two share their
 *        descriptors.
 * Returns in the child. Return: 0 or -errno (message printed).
 */
int parent_split(const struct conf *conf, struct sandbox_heir *heir);

/* ---- caps.c -------------------------------------------------------------------------------- */

/** caps_limit() - permitted, effective and bounding set down to what the daemon uses, for any number of shares */
int caps_limit(const struct conf_shares *shares, struct sandbox *sb);
/** caps_drop_all() */
int caps_drop_all(void);

/* ---- seccomp.c ----------------------------------------------------------------------------- */

/** seccomp_lock() - the daemon's filter, on all threads */
int seccomp_lock(const struct conf *conf, const struct sandbox *sb);
/** seccomp_lock_parent() - the waiting parent's filter */
int seccomp_lock_parent(const struct conf *conf);

#endif
