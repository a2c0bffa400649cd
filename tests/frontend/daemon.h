// SPDX-License-Identifier: BSD-3-Clause
/*
 * daemon.h - start any vhost-user-fs daemon on a scratch directory, and see how it ends
 *
 * Ownership: struct daemon owns its work directory (socket, log, and the share unless it was given) and
 * its child process. Locks: none.
 */
#ifndef VIOFS_TESTS_DAEMON_H
#define VIOFS_TESTS_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How long a test waits for what must come, in milliseconds: much longer than a slow machine with other tests at
 * work takes, because only a failure takes that long. */
#define PATIENCE_MS 20000

struct daemon {
    pid_t pid;        /* 0: not running */
    char dir[128];    /* work directory, below /dev/shm or $TMPDIR */
    char share[256];  /* the shared directory: dir/share unless given */
    char socket[160]; /* dir/sock */
    char log[160];    /* dir/log: the daemon's stdout and stderr */
    bool own_share;
};

struct daemon_options {
    const char *share;  /* directory to share; NULL: a fresh one in the work directory */
    const char *parent; /* where the work directory goes; NULL: /dev/shm, else /tmp */
    int cpu;            /* pin to CPU cpu-1; 0: do not pin */
    long nofile;        /* RLIMIT_NOFILE, soft and hard; 0: leave */
    unsigned user;      /* become this user and group first, of no other; 0: stay */
    bool no_wait;       /* return without waiting for the socket */
};

/**
 * daemon_start() - run a daemon
 * @argv: NULL-terminated; in every word "{socket}", "{dir}", "{work}" stand for the socket's path, the
 *        shared directory and the work directory. NULL: make the directories only, run nothing
 * @o:    may be NULL
 *
 * Returns when the socket is there (at most 10 s). The child dies with us (PDEATHSIG).
 * Return: 0; -errno with the daemon's log on stderr when it ended before it was ready.
 */
int daemon_start(struct daemon *d, const char *const *argv, const struct daemon_options *o);

/** daemon_start_ours() - $VIOFS_DAEMON (set by the build) on {socket} and {dir}, with @extra options */
int daemon_start_ours(struct daemon *d, const char *const *extra, const struct daemon_options *o);

/** daemon_stop() - SIGTERM, SIGKILL after 5 s. Return: wait status, or -errno if it was not running. */
int daemon_stop(struct daemon *d);

/** daemon_kill() - a signal, without waiting */
int daemon_kill(struct daemon *d, int sig);

/** daemon_wait() - wait until it ends by itself. Return: 0 with *@status, -ETIMEDOUT. */
int daemon_wait(struct daemon *d, int timeout_ms, int *status);

/** daemon_running() */
bool daemon_running(struct daemon *d);

/** daemon_log() - the log so far, NUL-terminated, to be freed; NULL when out of memory */
char *daemon_log(const struct daemon *d);

/**
 * daemon_complained() - does the log show a sanitizer report, a panic, an assertion, or a crash?
 * Return: true, with the report on stderr.
 */
bool daemon_complained(const struct daemon *d);

/** daemon_log_has() - does the log contain @text? waits up to @timeout_ms for it */
bool daemon_log_has(const struct daemon *d, const char *text, int timeout_ms);

/** daemon_fd_count(), daemon_thread_count() - of the process that serves (a sandbox may fork) */
int daemon_fd_count(const struct daemon *d);
int daemon_thread_count(const struct daemon *d);

/** daemon_worker_pid() - the process that serves: the youngest descendant, or the daemon itself */
pid_t daemon_worker_pid(const struct daemon *d);

/** daemon_cpu_ticks() - user and system time of the process that serves, in clock ticks; -errno */
long daemon_cpu_ticks(const struct daemon *d);

/** daemon_share_path() - "share/rel" into @buf (PATH_MAX bytes). Return: @buf. */
char *daemon_share_path(const struct daemon *d, const char *rel, char *buf);

/** daemon_end() - stop it if it runs and remove the work directory. Return: as daemon_stop(). */
int daemon_end(struct daemon *d);

#endif
