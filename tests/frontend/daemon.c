// SPDX-License-Identifier: BSD-3-Clause
/*
 * daemon.c - start any vhost-user-fs daemon on a scratch directory, and see how it ends
 *
 * Theory of operation
 *
 *   One fork and exec. The child gets a log file as its output, dies with its parent, and is ready when
 *   its socket exists. Everything it makes lies in one work directory, which daemon_end() removes.
 *
 *   A daemon may fork (a sandbox with a PID namespace does): the process that serves is then found
 *   through /proc/PID/task/PID/children.
 *
 * Ownership: see daemon.h.   Locks: none.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/frontend/daemon.h"
#include "virtiofsd/host/cleanup.h"

#define STEP_MS  5
#define MAX_ARGS 64

/* ---- argument vector ------------------------------------------------------------------------- */

/* "{socket}", "{dir}", "{work}" replaced; to be freed. */
static char *expand(const struct daemon *d, const char *word)
{
    const struct {
        const char *key, *value;
    } map[] = {{"{socket}", d->socket}, {"{dir}", d->share}, {"{work}", d->dir}};
    char out[2 * PATH_MAX];
    size_t n = 0;

    while (*word && n + PATH_MAX < sizeof(out)) {
        unsigned i;

        for (i = 0; i < 3 && strncmp(word, map[i].key, strlen(map[i].key)) != 0; i++)
            ;
        if (i == 3) {
            out[n++] = *word++;
            continue;
        }
        n = (size_t)(stpcpy(out + n, map[i].value) - out);
        word += strlen(map[i].key);
    }
    out[n] = '\0';
    return strdup(out);
}

static void free_args(char **args)
{
    for (char **a = args; *a; a++)
        free(*a);
}

static int expand_args(const struct daemon *d, const char *const *argv, char **args)
{
    unsigned n = 0;

    for (; n < MAX_ARGS && argv[n]; n++)
        if (!(args[n] = expand(d, argv[n])))
            return -ENOMEM;
    args[n] = NULL;
    return n ? 0 : -EINVAL;
}

/* ---- starting -------------------------------------------------------------------------------- */

static int make_dirs(struct daemon *d, const struct daemon_options *o)
{
    const char *parent = o->parent                       ? o->parent
                         : access("/dev/shm", W_OK) == 0 ? "/dev/shm"
                                                         : "/tmp";

    if ((size_t)snprintf(d->dir, sizeof(d->dir), "%s/viofs-test.XXXXXX", parent) >= sizeof(d->dir))
        return -ENAMETOOLONG;
    if (!mkdtemp(d->dir))
        return -errno;
    snprintf(d->socket, sizeof(d->socket), "%s/sock", d->dir);
    snprintf(d->log, sizeof(d->log), "%s/log", d->dir);
    if (o->user && chown(d->dir, o->user, o->user) < 0)
        return -errno;
    d->own_share = !o->share;
    if (!d->own_share) {
        if (strlen(o->share) >= sizeof(d->share))
            return -ENAMETOOLONG;
        strcpy(d->share, o->share);
        return 0;
    }
    snprintf(d->share, sizeof(d->share), "%s/share", d->dir);
    if (mkdir(d->share, 0755) < 0 || (o->user && chown(d->share, o->user, o->user) < 0))
        return -errno;
    return 0;
}

/* In the child: never returns. */
static _Noreturn void become_daemon(const struct daemon *d, char **args,
                                    const struct daemon_options *o, pid_t parent)
{
    int log = open(d->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    int null = open("/dev/null", O_RDONLY);

    int program = o->user ? open(args[0], O_PATH | O_CLOEXEC) : -1;

    if (o->user && (setgroups(0, NULL) < 0 || setresgid(o->user, o->user, o->user) < 0 ||
                    setresuid(o->user, o->user, o->user) < 0))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* another user's process would not have it any more */
    if (getppid() != parent)
        _exit(126);
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    if (log > STDERR_FILENO)
        close(log);
    if (null > STDERR_FILENO)
        close(null);
    if (o->cpu) {
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(o->cpu - 1, &set);
        sched_setaffinity(0, sizeof(set), &set);
    }
    if (o->nofile) {
        struct rlimit l = {(rlim_t)o->nofile, (rlim_t)o->nofile};

        setrlimit(RLIMIT_NOFILE, &l);
    }
    if (o->user) /* it may lie where this user may not go */
        fexecve(program, args, environ);
    else
        execvp(args[0], args);
    dprintf(STDERR_FILENO, "exec %s: %s\n", args[0], strerror(errno));
    _exit(127);
}

static int wait_for_socket(struct daemon *d)
{
    struct stat st;

    for (int ms = 0; ms < PATIENCE_MS; ms += STEP_MS) {
        int status;

        if (stat(d->socket, &st) == 0 && S_ISSOCK(st.st_mode))
            return 0;
        if (waitpid(d->pid, &status, WNOHANG) == d->pid) {
            d->pid = 0;
            return -ECHILD;
        }
        poll(NULL, 0, STEP_MS);
    }
    return -ETIMEDOUT;
}

static void show_log(const struct daemon *d)
{
    cleanup_free char *log = daemon_log(d);

    fprintf(stderr, "--- log of the daemon on %s\n%s---\n", d->share, log ? log : "");
}

int daemon_start(struct daemon *d, const char *const *argv, const struct daemon_options *o)
{
    static const struct daemon_options defaults;
    char *args[MAX_ARGS + 1] = {0};
    pid_t parent = getpid();
    int err;

    o = o ? o : &defaults;
    *d = (struct daemon){0};
    err = make_dirs(d, o);
    if (err == 0 && !argv)
        return 0;
    if (err == 0)
        err = expand_args(d, argv, args);
    if (err == 0) {
        fflush(NULL);
        d->pid = fork();
        if (d->pid == 0)
            become_daemon(d, args, o, parent);
        if (d->pid < 0) {
            err = -errno;
            d->pid = 0;
        }
    }
    free_args(args);
    if (err == 0 && !o->no_wait)
        err = wait_for_socket(d);
    if (err < 0) {
        show_log(d);
        daemon_end(d);
    }
    return err;
}

int daemon_start_ours(struct daemon *d, const char *const *extra, const struct daemon_options *o)
{
    const char *argv[MAX_ARGS + 1] = {getenv("VIOFS_DAEMON"), "--socket-path={socket}",
                                      "--shared-dir={dir}"};
    unsigned n = 3;

    if (!argv[0]) {
        fprintf(stderr, "VIOFS_DAEMON is not set: it names the virtiofsd to test\n");
        return -ENOENT;
    }
    for (; extra && *extra && n < MAX_ARGS; extra++)
        argv[n++] = *extra;
    return daemon_start(d, argv, o);
}

/* ---- ending ---------------------------------------------------------------------------------- */

int daemon_wait(struct daemon *d, int timeout_ms, int *status)
{
    for (int ms = 0;; ms += STEP_MS) {
        if (waitpid(d->pid, status, WNOHANG) == d->pid) {
            d->pid = 0;
            return 0;
        }
        if (ms >= timeout_ms)
            return -ETIMEDOUT;
        poll(NULL, 0, STEP_MS);
    }
}

int daemon_kill(struct daemon *d, int sig)
{
    return d->pid == 0 ? -ESRCH : kill(d->pid, sig) < 0 ? -errno : 0;
}

int daemon_stop(struct daemon *d)
{
    int status = 0;

    if (daemon_kill(d, SIGTERM) < 0)
        return -ESRCH;
    if (daemon_wait(d, PATIENCE_MS, &status) == 0)
        return status;
    fprintf(stderr, "daemon %d does not heed SIGTERM\n", (int)d->pid);
    daemon_kill(d, SIGKILL);
    return daemon_wait(d, PATIENCE_MS, &status) == 0 ? status : -ETIMEDOUT;
}

bool daemon_running(struct daemon *d)
{
    siginfo_t info = {0};

    return d->pid && waitid(P_PID, (id_t)d->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path) < 0 ? -errno : 0;
}

int daemon_end(struct daemon *d)
{
    int status = daemon_stop(d);

    if (d->dir[0])
        nftw(d->dir, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    d->dir[0] = '\0';
    return status;
}

/* ---- looking at it --------------------------------------------------------------------------- */

char *daemon_log(const struct daemon *d)
{
    FILE *f = fopen(d->log, "re");
    char *text = NULL;
    size_t size = 0;

    if (!f)
        return strdup("");
    if (getdelim(&text, &size, '\0', f) < 0 && text)
        text[0] = '\0';
    fclose(f);
    return text ? text : strdup("");
}

bool daemon_complained(const struct daemon *d)
{
    static const char *const signs[] = {"Sanitizer", "runtime error:",   "panicked",
                                        "Assertion", "assertion failed", "core dumped"};
    cleanup_free char *log = daemon_log(d);

    for (size_t i = 0; log && i < sizeof(signs) / sizeof(signs[0]); i++) {
        if (strstr(log, signs[i])) {
            show_log(d);
            return true;
        }
    }
    return false;
}

bool daemon_log_has(const struct daemon *d, const char *text, int timeout_ms)
{
    for (int ms = 0;; ms += STEP_MS) {
        cleanup_free char *log = daemon_log(d);

        if (log && strstr(log, text))
            return true;
        if (ms >= timeout_ms)
            return false;
        poll(NULL, 0, STEP_MS);
    }
}

pid_t daemon_worker_pid(const struct daemon *d)
{
    pid_t pid = d->pid;

    for (int depth = 0; depth < 8; depth++) {
        char path[64];
        int child, last = 0;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
        f = fopen(path, "re");
        if (!f)
            break;
        while (fscanf(f, "%d", &child) == 1)
            last = child;
        fclose(f);
        if (last == 0)
            break;
        pid = last;
    }
    return pid;
}

static int count_entries(const struct daemon *d, const char *what)
{
    char path[64];
    DIR *dir;
    int n = 0;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)daemon_worker_pid(d), what);
    dir = opendir(path);
    if (!dir)
        return -errno;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

int daemon_fd_count(const struct daemon *d)
{
    return count_entries(d, "fd");
}

int daemon_thread_count(const struct daemon *d)
{
    return count_entries(d, "task");
}

long daemon_cpu_ticks(const struct daemon *d)
{
    char path[64];
    long user, system;
    int n;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)daemon_worker_pid(d));
    FILE *f = fopen(path, "re");
    if (!f)
        return -errno;
    n = fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user,
               &system);
    fclose(f);
    return n == 2 ? user + system : -EPROTO;
}

char *daemon_share_path(const struct daemon *d, const char *rel, char *buf)
{
    snprintf(buf, PATH_MAX, "%s/%s", d->share, rel);
    return buf;
}
