// SPDX-License-Identifier: BSD-3-Clause
/*
 * limits.c - how many files the daemon may have open
 *
 * Theory of operation
 *
 *   A guest decides how many files are open, so the daemon has a limit of its own, below what the
 *   whole host has (CVE-2020-10717), and the descriptor cache works inside it. Without --rlimit-nofile
 *   the limit is the smallest of one million, fs.nr_open and fs.file-max less a margin for the rest of
 *   the host; a process that may not raise its hard limit stays at that. A number on the command line is
 *   honoured or refused, never rounded. 0 leaves the limit as it was inherited.
 *
 * Ownership: none.   Locks: none; called once, from main().
 */
#include "confine.h"

#include <errno.h>
#include <stdlib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define DEFAULT_FILES 1000000
#define HOST_MARGIN   16384 /* files left to the rest of the host */

/* A sysctl that is one number; -1 when it cannot be read. */
static int64_t read_sysctl(const char *path)
{
    FILE *f = fopen(path, "re");
    char text[32];

    if (!f)
        return -1;
    char *line = fgets(text, sizeof(text), f);
    fclose(f);
    char *end = text;
    errno = 0;
    unsigned long long value = line ? strtoull(text, &end, 10) : 0;
    if (end == text || errno)
        return -1;
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

/**
 * limits_pick_nofile() - the limit to ask for when the administrator names none
 * @nr_open:  fs.nr_open, the most that one process may have; -1 when unknown
 * @file_max: fs.file-max, the most that the host has; -1 when unknown
 *
 * Return: number of files.
 */
int64_t limits_pick_nofile(int64_t nr_open, int64_t file_max)
{
    int64_t want = DEFAULT_FILES;

    if (nr_open > 0 && nr_open < want)
        want = nr_open;
    if (file_max > 0) {
        int64_t share = file_max > 2 * HOST_MARGIN ? file_max - HOST_MARGIN : file_max / 2;

        if (share < want)
            want = share;
    }
    return want;
}

/* Soft and hard limit both: what is not needed cannot be taken back later. */
static int set_nofile(int64_t n)
{
    struct rlimit rl = {.rlim_cur = (rlim_t)n, .rlim_max = (rlim_t)n};

    return setrlimit(RLIMIT_NOFILE, &rl) < 0 ? -errno : 0;
}

/* The number that the administrator gave, exactly. */
static int64_t set_requested(int64_t n, const struct rlimit *old, int64_t nr_open)
{
    int err = set_nofile(n);

    if (!err)
        return n;
    if (nr_open > 0 && n > nr_open)
        log_error("--rlimit-nofile=%" PRId64 ": this kernel allows a process at most %" PRId64
                  " open files; ask for less, or raise the sysctl fs.nr_open",
                  n, nr_open);
    else
        log_error("--rlimit-nofile=%" PRId64 ": %s: the hard limit is %" PRIu64
                  "; ask for at most that, or start virtiofsd with a higher one (ulimit -Hn, "
                  "LimitNOFILE= of a systemd unit)",
                  n, strerror(-err), (uint64_t)old->rlim_max);
    return err;
}

/* As many as we like to have, or as many as we may. */
static int64_t set_default(const struct rlimit *old, int64_t nr_open)
{
    int64_t want = limits_pick_nofile(nr_open, read_sysctl("/proc/sys/fs/file-max"));
    int err = set_nofile(want);

    if (!err)
        return want;
    if (err == -EPERM && old->rlim_max != RLIM_INFINITY) {
        err = set_nofile((int64_t)old->rlim_max);
        if (!err) {
            log_info("open files: limited to the hard limit of %" PRIu64 " (%" PRId64
                     " would be taken if this process might raise it)",
                     (uint64_t)old->rlim_max, want);
            return (int64_t)old->rlim_max;
        }
    }
    log_error("the limit of open files cannot be set to %" PRId64
              ": %s; --rlimit-nofile=0 leaves it as it is",
              want, strerror(-err));
    return err;
}

/**
 * sandbox_limits() - settle RLIMIT_NOFILE
 *
 * To be called while /proc is still in sight. Return: the soft limit in force, or -errno (message
 * printed): -EPERM for what may not be had, -EINVAL for less than SANDBOX_MIN_FILES.
 */
int64_t sandbox_limits(const struct conf *conf)
{
    int64_t nr_open = read_sysctl("/proc/sys/fs/nr_open");
    struct rlimit old;
    int64_t got;

    if (conf->rlimit_nofile > 0 && conf->rlimit_nofile < SANDBOX_MIN_FILES) {
        log_error("--rlimit-nofile=%" PRId64 ": virtiofsd needs at least %d open files",
                  conf->rlimit_nofile, SANDBOX_MIN_FILES);
        return -EINVAL;
    }
    if (getrlimit(RLIMIT_NOFILE, &old) < 0)
        return -errno;

    if (conf->rlimit_nofile > 0)
        got = set_requested(conf->rlimit_nofile, &old, nr_open);
    else if (conf->rlimit_nofile == 0)
        got = old.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)old.rlim_cur;
    else
        got = set_default(&old, nr_open);

    if (got >= 0 && got < SANDBOX_MIN_FILES) {
        log_error("the limit of open files is %" PRId64
                  ": virtiofsd needs at least %d; start it with a higher hard limit (ulimit -Hn, "
                  "LimitNOFILE= of a systemd unit)",
                  got, SANDBOX_MIN_FILES);
        return -EINVAL;
    }
    return got;
}
