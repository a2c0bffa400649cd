// SPDX-License-Identifier: BSD-3-Clause
/*
 * sandbox.h - confine the process before it meets a guest
 *
 * Order in main(): conf_parse, sockets and pid files made, sandbox_limits(), sandbox_enter(),
 * sandbox_lock() (capabilities and seccomp), daemon state built, then threads and the first guest.
 */
#ifndef VIOFS_SANDBOX_H
#define VIOFS_SANDBOX_H

#include "conf.h"

/* Descriptors without which the daemon cannot work: rings of 65 queues, 509 memory slots, reserve. */
#define SANDBOX_MIN_FILES 768

struct sandbox {
    int root_fd;      /* O_PATH of the shared directory (or file), inside the new mount namespace */
    int proc_fd;      /* O_PATH|O_DIRECTORY of /proc/self/fd, to reopen O_PATH descriptors */
    int mountinfo_fd; /* /proc/self/mountinfo, readable; re-read with pread from 0 */
    bool nodev; /* device nodes in the share cannot be opened: the mounts that are there at start
                       * are nodev. One that the host adds later brings its own flags. */
    bool can_handles; /* open_by_handle_at works (CAP_DAC_READ_SEARCH in the first user namespace);
                       * known after sandbox_lock() */
    bool can_setid;   /* CAP_SETUID and CAP_SETGID kept and more ids than our own are mapped: acting
                       * as another user works (-EINVAL for ids that are not mapped); known after
                       * sandbox_lock() */
    int fanotify_fd;  /* made outside (share.c), or -1 */
    const char *mount_prefix; /* what mountinfo_fd shows before a path inside the share: "" when the
                               * share is the root directory, else its absolute path */
};

/*
 * What is to be done with the daemon's descriptors when the daemon has ended: the process that waits for it shares them
 * with it, then. Only with a supervisor; such a daemon is a child in every sandbox.
 */
struct sandbox_heir {
    void *ctx;
    void (*begun)(void *ctx,
                  int process_fd); /* in the parent. @process_fd: a pidfd of the daemon */
    void (*ended)(void *ctx); /* in the parent, confined, with hardly a system call (seccomp.c) */
    int parent_fd; /* -1; then in the daemon a pidfd of the parent, with which it does not die. -1: nothing is shared */
};

/** sandbox_limits() - RLIMIT_NOFILE. Return: the limit in force, or -errno (message printed). */
int64_t sandbox_limits(const struct conf *conf);

/**
 * sandbox_enter() - namespaces or chroot, ids, supplementary groups, no_new_privs
 *
 * With new namespaces, and with @heir (or NULL), this forks: the parent waits for the child and exits with its status; only the
 * child returns. SIGTERM, SIGINT and SIGHUP end that child until the caller installs handlers of its own
 * (it is the first process of its PID namespace, which has no default actions). One thread only.
 * Return: 0 or -errno (message printed).
 */
int sandbox_enter(const struct conf *conf, struct sandbox *sb, struct sandbox_heir *heir);

/**
 * sandbox_enter_shares() - the same for several shares
 * @sb: one for each of @shares. Their root_fd lead to views that are apart from each other; proc_fd and mountinfo_fd
 *      are the same in all. The root directory of the process is empty.
 *
 * What the host mounts inside a share later does not appear in it. Return: as sandbox_enter().
 */
int sandbox_enter_shares(const struct conf_shares *shares, struct sandbox *sb,
                         struct sandbox_heir *heir);

/** sandbox_lock_shares() - as sandbox_lock(), for what sandbox_enter_shares() filled */
int sandbox_lock_shares(const struct conf_shares *shares, struct sandbox *sb);

/** sandbox_lock() - capabilities down to what is needed, then the seccomp filter. Return: 0 or -errno
 *  (message printed). */
int sandbox_lock(const struct conf *conf, struct sandbox *sb);

#endif
