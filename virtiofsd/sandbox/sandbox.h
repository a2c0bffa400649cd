// SPDX-License-Identifier: BSD-3-Clause
/*
 * sandbox.h - confine the process before it meets a guest
 *
 * Order in main(): conf_parse, sockets and pid files made, sandbox_limits(), sandbox_enter(),
 * daemon state built, sandbox_lock() (capabilities and seccomp), then threads and the first guest.
 */
#ifndef VIOFS_SANDBOX_H
#define VIOFS_SANDBOX_H

#include "conf.h"

struct sandbox {
    int root_fd;       /* O_PATH of the shared directory (or file), inside the new mount namespace */
    int proc_fd;       /* O_PATH|O_DIRECTORY of /proc/self/fd, to reopen O_PATH descriptors */
    int mountinfo_fd;  /* /proc/self/mountinfo, readable; re-read with pread from 0 */
    bool nodev;        /* device nodes in the share cannot be opened (nodev mount) */
    bool can_handles;  /* CAP_DAC_READ_SEARCH kept: open_by_handle_at works */
    bool can_setid;    /* CAP_SETUID and CAP_SETGID kept: acting as another user works */
};

/** sandbox_limits() - RLIMIT_NOFILE. Return: the limit in force, or -errno (message printed). */
int64_t sandbox_limits(const struct conf *conf);

/**
 * sandbox_enter() - namespaces or chroot, ids, supplementary groups, no_new_privs
 *
 * With new namespaces this forks: the parent waits for the child and exits with its status; only the
 * child returns. Return: 0 or -errno (message printed).
 */
int sandbox_enter(const struct conf *conf, struct sandbox *sb);

/** sandbox_lock() - capabilities down to what is needed, then the seccomp filter. Return: 0 or -errno. */
int sandbox_lock(const struct conf *conf, struct sandbox *sb);

#endif
