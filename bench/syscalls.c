// SPDX-License-Identifier: BSD-3-Clause
/*
 * syscalls.c - how many system calls a daemon makes for an operation
 *
 * strace -c -f is attached to the process that serves, the operations run, strace is told to detach, and
 * the "total" line of its summary is read. Attaching is finished when every thread has a tracer.
 *
 * Ownership: nothing outlives count_syscalls().   Locks: none.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/syscalls.h"

#define ATTACH_MS 3000

static bool thread_is_traced(pid_t pid, const char *tid)
{
    char path[320], line[256];
    bool traced = false;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, tid);
    f = fopen(path, "re");
    if (!f)
        return true; /* gone meanwhile */
    while (fgets(line, sizeof(line), f))
        if (strncmp(line, "TracerPid:", 10) == 0)
            traced = atoi(line + 10) != 0;
    fclose(f);
    return traced;
}

static bool all_traced(pid_t pid)
{
    char path[64];
    bool all = true;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    dir = opendir(path);
    if (!dir)
        return false;
    for (struct dirent *e = readdir(dir); e && all; e = readdir(dir))
        all = e->d_name[0] == '.' || thread_is_traced(pid, e->d_name);
    closedir(dir);
    return all;
}

static pid_t attach(pid_t target, const char *summary)
{
    char number[32];
    pid_t pid;

    snprintf(number, sizeof(number), "%d", (int)target);
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(126);
        execlp("strace", "strace", "-c", "-f", "-o", summary, "-p", number, (char *)NULL);
        _exit(127);
    }
    for (int ms = 0; pid > 0 && ms < ATTACH_MS; ms += 10) {
        if (all_traced(target))
            return pid;
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return -ENOENT;
        poll(NULL, 0, 10);
    }
    if (pid > 0) {
        kill(pid, SIGINT);
        waitpid(pid, NULL, 0);
    }
    return -ETIMEDOUT;
}

/* The summary's last line: "100.00    0.123456    12    34567    89 total", the errors may be absent. */
static int64_t read_total(const char *summary)
{
    char line[256];
    int64_t calls = -EPROTO;
    FILE *f = fopen(summary, "re");

    while (f && fgets(line, sizeof(line), f)) {
        long long n;
        char *end = line + strcspn(line, "\n");

        *end = '\0';
        if (end - line > 5 && strcmp(end - 5, "total") == 0 &&
            sscanf(line, "%*f %*f %*d %lld", &n) == 1)
            calls = n;
    }
    if (f)
        fclose(f);
    return calls;
}

int count_syscalls(struct peer *p, const struct workload *w, unsigned want, int64_t *ops,
                   int64_t *calls)
{
    char summary[256];
    int64_t n = 0;
    pid_t tracer;

    snprintf(summary, sizeof(summary), "%s/strace", p->d.dir);
    tracer = attach(p->worker, summary);
    if (tracer < 0)
        return tracer;
    for (*ops = 0; *ops < want && n >= 0; *ops += n)
        n = w->step(p);
    if (n >= 0 && w->finish)
        *ops += w->finish(p);
    kill(tracer, SIGINT);
    waitpid(tracer, NULL, 0);
    *calls = read_total(summary);
    unlink(summary);
    if (n >= 0)
        n = peer_settle(p);
    return n < 0 ? (int)n : *calls < 0 ? (int)*calls : 0;
}
