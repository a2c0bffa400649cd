// SPDX-License-Identifier: BSD-3-Clause
/*
 * share.c - the daemons behind the devices, and the directory that they share
 *
 * Each device has a virtiofsd of its own, because one serves one machine's device; all of a process share
 * one directory, which a scenario looks at through ordinary system calls.
 *
 * Ownership: the process.   Locks: none; daemons are started by one thread.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/frontend/daemon.h"
#include "tests/nt-bench/bench_host.h"

#define MAX_DAEMONS 8

static struct daemon daemons[MAX_DAEMONS];
static unsigned n_daemons;
static bool killed;

/* A fresh daemon for each caller. */
const char *share_socket(void)
{
    static const char *const extra[] = {"--sandbox=none", "--thread-pool-size=4", NULL};
    struct daemon_options o = {.share = n_daemons ? daemons[0].share : NULL};
    struct daemon *d = &daemons[n_daemons];

    if (n_daemons == MAX_DAEMONS)
        ver_stop("bench", "too many daemons");
    if (daemon_start_ours(d, extra, &o) < 0)
        ver_stop("bench", "no daemon");
    n_daemons++;
    return d->socket;
}

void share_show_log(void)
{
    for (unsigned i = 0; i < n_daemons; i++) {
        char *log = daemon_log(&daemons[i]);

        if (log && *log)
            fprintf(stderr, "# daemon %u said:\n%s", i, log);
        free(log);
    }
}

/* What a daemon says when a guest misbehaves. */
static bool log_complains(const struct daemon *d)
{
    static const char *const signs[] = {"rror", "arning", "malformed", "broken", "invalid", "bad "};
    char *log = daemon_log(d);
    bool found = daemon_complained(d);

    for (size_t i = 0; log && i < sizeof(signs) / sizeof(signs[0]); i++)
        found |= strstr(log, signs[i]) != NULL;
    free(log);
    return found;
}

void share_stop(void)
{
    while (n_daemons > 0) {
        struct daemon *d = &daemons[n_daemons - 1];
        int status = killed ? 0 : daemon_stop(d);

        if (!killed && status > 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
            ver_complain("daemon", "ended with status %#x", status);
        if (log_complains(d)) {
            ver_complain("daemon", "complained");
            share_show_log();
        }
        daemon_end(d);
        n_daemons--;
    }
}

void share_abandon(void)
{
    share_show_log();
    while (n_daemons > 0) {
        daemon_kill(&daemons[n_daemons - 1], SIGKILL);
        daemon_end(&daemons[--n_daemons]);
    }
}

bool share_daemon_killed(void)
{
    return killed;
}

void share_kill_daemon(void)
{
    int status;

    killed = true;
    for (unsigned i = 0; i < n_daemons; i++) {
        daemon_kill(&daemons[i], SIGKILL);
        daemon_wait(&daemons[i], 2000, &status);
    }
}

const char *share_path(void)
{
    return daemons[0].share;
}

static int open_in_share(const char *name, int flags)
{
    char path[PATH_MAX];
    int fd = open(daemon_share_path(&daemons[0], name, path), flags | O_CLOEXEC, 0644);

    if (fd < 0)
        ver_stop("bench", "cannot open %s on the host", path);
    return fd;
}

void share_write(const char *name, const void *bytes, size_t n)
{
    int fd = open_in_share(name, O_WRONLY | O_CREAT | O_TRUNC);

    if (write(fd, bytes, n) != (ssize_t)n)
        ver_stop("bench", "cannot write %s on the host", name);
    close(fd);
}

size_t share_read(const char *name, void *bytes, size_t room)
{
    int fd = open_in_share(name, O_RDONLY);
    ssize_t n = read(fd, bytes, room);

    if (n < 0)
        ver_stop("bench", "cannot read %s on the host", name);
    close(fd);
    return (size_t)n;
}

uint64_t share_stat_ino(const char *name)
{
    char path[PATH_MAX];
    struct stat st;

    if (stat(daemon_share_path(&daemons[0], name, path), &st) < 0)
        ver_stop("bench", "cannot stat %s on the host", path);
    return st.st_ino;
}
