// SPDX-License-Identifier: BSD-3-Clause
/*
 * share.c - the daemons behind the devices, and the directory that they share
 *
 * Each device has a virtiofsd of its own, because one serves one machine's device; all of a process share
 * one directory, which a scenario looks at through ordinary system calls.
 *
 * In a virtual machine the daemons are the host's. bench_guest() is a directory of the host that Linux' own
 * driver has mounted: share/ in it is what all devices share, and control/ is how the host is asked to
 * kill a daemon: it does so when kill.TAG appears, and then makes killed.TAG.
 *
 * Ownership: the process.   Locks: none; daemons are started by one thread.
 */
#include <dirent.h>
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
static const char *adopted; /* socket of a daemon that is not ours */

void share_adopt(const char *socket)
{
    adopted = socket;
}

/* A fresh daemon for each caller. */
const char *share_socket(void)
{
    static const char *const extra[] = {"--sandbox=none", "--thread-pool-size=4", NULL};
    struct daemon_options o = {.share = n_daemons ? daemons[0].share : NULL};
    struct daemon *d = &daemons[n_daemons];

    if (adopted)
        return adopted;
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
    return killed || adopted;
}

/* ---- in a virtual machine -------------------------------------------------------------------- */

void share_prepare(void)
{
    DIR *dir = bench_guest() ? opendir(share_path()) : NULL;
    struct dirent *e;

    while (dir && (e = readdir(dir)))
        (void)unlinkat(dirfd(dir), e->d_name, 0); /* "." and ".." stay */
    if (dir)
        closedir(dir);
}

static const char *control(const char *what, const char *tag)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/control/%s.%s", bench_guest(), what, tag);
    return path;
}

bool share_daemon_mortal(const char *tag)
{
    return strncmp(tag, "mortal", 6) == 0 && access(control("killed", tag), F_OK) < 0;
}

static void ask_host_to_kill(const char *tag)
{
    int fd = open(control("kill", tag), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0)
        ver_stop("bench", "cannot ask the host to kill the daemon of %s", tag);
    close(fd);
    for (int ms = 0; access(control("killed", tag), F_OK) < 0; ms += 10) {
        if (ms > 5000)
            ver_stop("bench", "the host does not kill the daemon of %s", tag);
        clk_sleep_ms(10);
    }
}

/* ---- for scenarios --------------------------------------------------------------------------- */

void share_kill_daemon(const char *tag)
{
    int status;

    killed = true;
    if (bench_guest())
        ask_host_to_kill(tag);
    for (unsigned i = 0; i < n_daemons; i++) {
        daemon_kill(&daemons[i], SIGKILL);
        daemon_wait(&daemons[i], 2000, &status);
    }
}

const char *share_path(void)
{
    static char path[PATH_MAX];

    if (!bench_guest())
        return daemons[0].share;
    snprintf(path, sizeof(path), "%s/share", bench_guest());
    return path;
}

static const char *path_of(const char *name, char path[PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s/%s", share_path(), name) >= PATH_MAX)
        ver_stop("bench", "the path of %s is too long", name);
    return path;
}

static int open_in_share(const char *name, int flags)
{
    char path[PATH_MAX];
    int fd = open(path_of(name, path), flags | O_CLOEXEC, 0644);

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

    if (stat(path_of(name, path), &st) < 0)
        ver_stop("bench", "cannot stat %s on the host", path);
    return st.st_ino;
}
