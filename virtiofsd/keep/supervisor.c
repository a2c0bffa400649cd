// SPDX-License-Identifier: BSD-3-Clause
/*
 * supervisor.c - the process that starts workers and keeps what they must not lose
 *
 * Theory of operation
 *
 *   One thread, one poll(): signals, and the channels of at most two workers: the one that serves and, during a
 *   reload, the next one. A worker is this program, executed anew with the same arguments; it does the whole
 *   start, sandbox included, and says READY. It is told to GO when no other one is left: then it gets
 *   all kept descriptors.
 *
 *   A worker that has ended is buried first: what it sent before its end is read until the channel is empty.
 *   If it did not say BYE it has crashed and is started again, from the same executable (a descriptor, so that
 *   a package upgrade changes nothing). Five in a row that end at once, without having completed a request, are
 *   enough; or sixty that worked for a while, for what they were at (an fsync, say) may take longer than the time
 *   from one accident to the next.
 *
 *   The process that is started need not be the one that serves: it may be its parent, which waits for it and sends what it
 *   kept when it has ended (hold.c). If that parent is killed the other one ends by itself; one that does not is killed.
 *
 *   SIGUSR2 starts a next worker from what now is at the executable's path. When that one is READY the other is
 *   told to leave. If it ends before, nothing has happened but a line in the log.
 *
 *   What is read from a worker are numbers of fixed size, checked, and descriptors, counted. Nothing else is looked
 *   at: a guest that has taken a worker over finds no parser here. What the regions hold is for workers.
 *
 * Ownership: struct supervisor lives as long as the process. Locks: none, one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/clock.h"
#include "host/log.h"
#include "host/notify.h"
#include "keep/channel.h"
#include "keep/kept.h"
#include "keep/supervisor.h"

#define CRASHES_MAX  5   /* in a row that ended at once */
#define FRUITLESS    60  /* in a row that ended, however long they worked */
#define AT_ONCE_MS   200 /* who ends that soon after GO has met what the next one meets as well */
#define SEND_MS      10000
#define LEAVE_MS     5000 /* for requests that are being served when a reload asks */
#define RESERVE_FDS  64   /* the supervisor's own descriptors */
#define SHARE_FDS    12   /* the least that each share may have kept: what a device takes */
#define BURY_MS      10000
#define LINGER_MS    3000 /* for the process that serves, when its parent has ended */
#define LISTEN_START 3    /* sd_listen_fds(3) */

struct worker_process {
    pid_t pid;      /* 0: none */
    int fd;         /* channel */
    int exe_fd;     /* what it was started from */
    int process_fd; /* a pidfd of its child that serves, or -1 */
    bool ready;     /* it waits for its turn */
    bool serving;
    bool done;    /* it said BYE */
    bool leaving; /* it was told to */
    bool complained;
};

static const struct worker_process no_worker = {.fd = -1, .exe_fd = -1, .process_fd = -1};

struct supervisor {
    char **argv;
    char path[PATH_MAX]; /* of the executable */
    int exe_fd;          /* the one that serves was started from it */
    int cwd_fd;
    struct rlimit files; /* as it was inherited */
    const struct supervisor_params *p;
    struct worker_process now, next;
    bool served;        /* a worker has been told to GO */
    bool ending;        /* a signal said so */
    unsigned crashes;   /* in a row, at once, without a completed request */
    unsigned fruitless; /* in a row, without a completed request */
    uint64_t go_at;     /* CLOCK_MONOTONIC ns: when the one that serves was told to GO */
    uint64_t leave_by;  /* when the one that was told to leave is ended */
    uint64_t start_at;  /* CLOCK_MONOTONIC ns: when to start the next one; 0: not planned */
    uint64_t n_kept, max_kept;
    unsigned n_shares;
    struct kept share[];
};

/* ---- what is kept ---------------------------------------------------------------------------- */

/* What a supervisor and a starting worker have open, without what is kept. */
static uint64_t own_files(const struct supervisor *s)
{
    return RESERVE_FDS + (uint64_t)s->n_shares * KEEP_REGIONS;
}

/* As many descriptors as may be had. Return: 0, -EMFILE if they are too few (message printed), -errno. */
static int raise_limit(struct supervisor *s)
{
    uint64_t least = own_files(s) + (uint64_t)s->n_shares * SHARE_FDS;
    struct rlimit rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
        return -errno;
    s->files = rl;
    rl.rlim_cur = rl.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &rl) < 0)
        rl.rlim_cur = s->files.rlim_cur;
    if (rl.rlim_cur < least) {
        log_error(
            "--supervise: %u shares take %llu open files here, and the limit is %llu; raise it "
            "(ulimit -Hn, LimitNOFILE= of a systemd unit), or divide the shares among several "
            "processes",
            s->n_shares, (unsigned long long)least, (unsigned long long)rl.rlim_cur);
        return -EMFILE;
    }
    s->max_kept = rl.rlim_cur - own_files(s);
    return 0;
}

/** supervisor_new() - see supervisor.h */
int supervisor_new(struct supervisor **out, char **argv, unsigned n_shares, const uint64_t *ids)
{
    struct supervisor *s = calloc(1, sizeof(*s) + n_shares * sizeof(s->share[0]));

    if (!s)
        return -ENOMEM;
    s->argv = argv;
    s->n_shares = n_shares;
    s->now = s->next = no_worker;
    int err = raise_limit(s);
    if (err < 0)
        return err;
    ssize_t n = readlink("/proc/self/exe", s->path, sizeof(s->path) - 1);
    s->exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    s->cwd_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (n < 0 || s->exe_fd < 0 || s->cwd_fd < 0) {
        err = -errno;
        log_error(
            "--supervise: /proc/self/exe or the working directory: %s; both are needed to start "
            "the process that serves",
            strerror(-err));
        return err;
    }
    for (unsigned i = 0; i < n_shares; i++) {
        if ((err = kept_init(&s->share[i], ids[i])) < 0) {
            log_error("--supervise: no memory to share with workers: %s", strerror(-err));
            return err;
        }
    }
    *out = s;
    return 0;
}

/** supervisor_keep() - see supervisor.h */
int supervisor_keep(struct supervisor *s, unsigned share, int kind, int fd)
{
    int more = kept_put(&s->share[share], (unsigned)kind, 0, fd);

    if (more < 0)
        return more;
    s->n_kept += (uint64_t)more;
    return 0;
}

static void put(struct supervisor *s, struct worker_process *w, const struct channel_msg *m, int fd)
{
    int more = -EINVAL;

    if (m->share >= s->n_shares || s->n_kept >= s->max_kept)
        close(fd);
    else
        more = kept_put(&s->share[m->share], m->kind, m->index, fd);
    if (more >= 0)
        s->n_kept += (uint64_t)more;
    else if (!w->complained)
        log_warn("the worker sent a descriptor that cannot be kept");
    w->complained |= more < 0;
}

/* ---- starting a worker ----------------------------------------------------------------------- */

static int send_start(const struct supervisor *s, int fd)
{
    struct channel_msg m = {.op = CHANNEL_HELLO,
                            .kind = CHANNEL_TAKES_BACK,
                            .index = CHANNEL_VERSION,
                            .value = s->max_kept};
    int err = channel_send(fd, &m, -1, SEND_MS);

    for (unsigned i = 0; i < s->n_shares; i++) {
        for (unsigned r = 0; err == 0 && r < KEEP_REGIONS; r++) {
            m = (struct channel_msg){.op = CHANNEL_REGION,
                                     .kind = (uint8_t)r,
                                     .share = (uint16_t)i,
                                     .value = s->share[i].id};
            err = channel_send(fd, &m, s->share[i].region[r], SEND_MS);
        }
    }
    m = (struct channel_msg){.op = CHANNEL_STARTED, .value = s->served};
    return err < 0 ? err : channel_send(fd, &m, -1, SEND_MS);
}

/* In the child. */
static _Noreturn void become_worker(const struct supervisor *s, bool next, int exe_fd, int fd)
{
    char number[16];
    sigset_t none;
    struct rlimit files = s->files;

    snprintf(number, sizeof(number), "%d", fd);
    setenv(CHANNEL_ENV, number, 1);
    if (s->p->listen_fds) {
        snprintf(number, sizeof(number), "%ld", (long)getpid());
        setenv("LISTEN_PID", number, 1);
        setenv("LISTEN_FDS", s->p->listen_fds, 1);
        if (s->p->listen_names)
            setenv("LISTEN_FDNAMES", s->p->listen_names, 1);
    }
    int err = s->p->pass(s->p->ctx, next); /* under our limit: we have much open */
    if (err < 0)
        log_warn("a worker reads the configuration as it is now: %s", strerror(-err));
    if (files.rlim_cur < own_files(s)) /* it raises its limit when it has these */
        files.rlim_cur = own_files(s);
    setrlimit(RLIMIT_NOFILE, &files);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (fcntl(fd, F_SETFD, 0) < 0 || fchdir(s->cwd_fd) < 0)
        _exit(126);
    fexecve(exe_fd, s->argv, environ);
    log_error("a worker cannot be started: %s", strerror(errno));
    _exit(126);
}

/* Start a worker from @exe_fd (taken over). Return: 0 or -errno (message printed). */
static int start_worker(struct supervisor *s, struct worker_process *w, int exe_fd)
{
    int pair[2], err;

    *w = no_worker;
    w->exe_fd = exe_fd;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        err = -errno;
        log_error("a worker cannot be started: %s", strerror(-err));
        close(exe_fd);
        return err;
    }
    pid_t pid = fork();
    if (pid == 0)
        become_worker(s, w == &s->next, exe_fd, pair[1]);
    err = pid < 0 ? -errno : 0;
    close(pair[1]);
    if (err < 0) {
        log_error("a worker cannot be started: %s", strerror(-err));
        close(pair[0]);
        close(exe_fd);
        return err;
    }
    w->pid = pid;
    w->fd = pair[0];
    if ((err = send_start(s, w->fd)) < 0)
        log_debug("the worker did not take what it needs: %s",
                  strerror(-err)); /* it has ended, or will be */
    return 0;
}

static int start_now(struct supervisor *s)
{
    int fd = fcntl(s->exe_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    s->start_at = 0;
    return fd < 0 ? -errno : start_worker(s, &s->now, fd);
}

static void let_go(struct supervisor *s)
{
    struct worker_process *w = &s->now;
    struct channel_msg m = {.op = CHANNEL_GO, .kind = s->crashes == 0 ? CHANNEL_LASTED : 0};
    int err = 0;

    for (unsigned i = 0; err == 0 && i < s->n_shares; i++)
        err = kept_send(&s->share[i], w->fd, (uint16_t)i);
    if (err == 0)
        err = channel_send(w->fd, &m, -1, SEND_MS);
    if (err < 0 && err != -EPIPE) {
        log_error("a worker does not take what was kept for it: %s", strerror(-err));
        kill(w->pid, SIGKILL);
    }
    w->serving = true;
    s->go_at = clock_ns();
    if (!s->served)
        s->p->ready(s->p->ctx);
    s->served = true;
}

/* ---- a worker speaks -------------------------------------------------------------------------- */

/* The worker has what guests decide about, and its parent sends it back. */
static void let_worker_hold(struct supervisor *s)
{
    static const enum keep_kind kinds[] = {KEEP_INODE, KEEP_HANDLE, KEEP_LOCK};

    for (unsigned i = 0; i < s->n_shares; i++) {
        for (unsigned n = 0; n < sizeof(kinds) / sizeof(kinds[0]); n++)
            s->n_kept -= kept_drop_all(&s->share[i], kinds[n]);
    }
}

static void hear(struct supervisor *s, struct worker_process *w, const struct channel_msg *m,
                 int fd)
{
    if (m->op == CHANNEL_PUT && fd >= 0 && w->serving) {
        put(s, w, m, fd);
        return;
    }
    /* Not from a worker that may have met a guest: it is what will be killed. */
    if (m->op == CHANNEL_PROCESS && fd >= 0 && w->process_fd < 0 && !w->ready) {
        w->process_fd = fd;
        return;
    }
    if (fd >= 0)
        close(fd);
    if (m->op == CHANNEL_DROP && w->serving && m->share < s->n_shares)
        s->n_kept -= (uint64_t)kept_drop(&s->share[m->share], m->kind, m->index);
    else if (m->op == CHANNEL_HELD && w->serving)
        let_worker_hold(s);
    else if (m->op == CHANNEL_READY)
        w->ready = true;
    else if (m->op == CHANNEL_ALIVE)
        s->crashes = s->fruitless = 0;
    else if (m->op == CHANNEL_BYE)
        w->done = true;
}

static void hear_many(struct supervisor *s, struct worker_process *w, const struct channel_many *m,
                      const int *fd)
{
    for (unsigned i = 0; i < m->head.index; i++) {
        const struct channel_key *k = &m->key[i];
        const struct channel_msg put = {
            .op = CHANNEL_PUT, .kind = k->kind, .share = k->share, .index = k->index};
        hear(s, w, &put, fd[i]);
    }
}

/* Take one message. Return: false when no more can come (for now, if @wait is false). */
static bool listen_to(struct supervisor *s, struct worker_process *w, int wait_ms)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN};
    struct channel_many m;
    int fd[CHANNEL_KEYS];
    unsigned n;

    if (poll(&p, 1, wait_ms) <= 0)
        return false;
    int r = channel_recv_many(w->fd, &m, fd, &n);
    if (r > 0 && m.head.op == CHANNEL_MANY)
        hear_many(s, w, &m, fd);
    else if (r > 0)
        hear(s, w, &m.head, n > 0 ? fd[0] : -1);
    else if (r == -EPROTO)
        log_warn("the worker sent what cannot be understood");
    return r > 0 || r == -EPROTO;
}

/* ---- a worker ends ---------------------------------------------------------------------------- */

static void say_ended(pid_t pid, int status)
{
    if (WIFSIGNALED(status))
        log_warn("worker %ld ended with signal %d", (long)pid, WTERMSIG(status));
    else
        log_warn("worker %ld ended with exit status %d", (long)pid, WEXITSTATUS(status));
}

static int exit_status(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Read what it sent until its end; then it is gone. */
static void bury(struct supervisor *s, struct worker_process *w)
{
    while (listen_to(s, w, w->process_fd >= 0 ? LINGER_MS : BURY_MS))
        continue;
    if (w->process_fd >= 0) {
        syscall(SYS_pidfd_send_signal, w->process_fd, SIGKILL, NULL, 0); /* if it is still there */
        while (listen_to(s, w, BURY_MS))
            continue;
        close(w->process_fd);
    }
    close(w->fd);
    close(w->exe_fd);
    *w = (struct worker_process){.fd = -1, .exe_fd = -1, .process_fd = -1, .done = w->done};
}

static uint64_t delay_ns(unsigned crashes)
{
    static const unsigned ms[CRASHES_MAX + 1] = {0, 0, 20, 100, 500, 2000};

    return ms[crashes <= CRASHES_MAX ? crashes : CRASHES_MAX] * UINT64_C(1000000);
}

static void take_over(struct supervisor *s)
{
    s->now = s->next;
    s->p->taken(s->p->ctx);
    s->leave_by = 0;
    s->next = no_worker;
    if (s->now.serving || !s->now.ready)
        return;
    close(s->exe_fd);
    s->exe_fd = fcntl(s->now.exe_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    let_go(s);
    log_info("reload: the new worker (process %ld) serves", (long)s->now.pid);
    notify_send(s->p->notify_fd, "READY=1");
}

/* The one that served has ended. Return: -1 to go on, or the supervisor's exit status. */
static int now_ended(struct supervisor *s, int status)
{
    struct worker_process w = s->now;
    bool at_once = !w.serving || clock_ns() - s->go_at < AT_ONCE_MS * UINT64_C(1000000);

    bury(s, &s->now);
    w.done = s->now.done;
    if (w.done || s->ending || !s->served) {
        if (!s->ending)
            notify_send(s->p->notify_fd, "STOPPING=1");
        if (!s->served && WIFSIGNALED(status))
            say_ended(w.pid, status);
        return s->ending && !w.done ? EXIT_SUCCESS : exit_status(status);
    }
    if (!w.leaving) {
        say_ended(w.pid, status);
        s->fruitless++;
        s->crashes = at_once ? s->crashes + 1 : 0;
        if (s->crashes >= CRASHES_MAX || s->fruitless >= FRUITLESS) {
            log_error("%u workers in a row ended before they had served a request: giving up. The "
                      "guest must be "
                      "restarted; what they said before says why",
                      s->fruitless);
            return EXIT_FAILURE;
        }
    }
    if (s->next.pid > 0) {
        if (s->next.ready)
            take_over(s);
        return -1;
    }
    s->start_at = clock_ns() + delay_ns(s->crashes);
    return -1;
}

static void next_ended(struct supervisor *s)
{
    bury(s, &s->next);
    log_error("reload: the new worker cannot take over, for the reason that it gave: the old one "
              "goes on");
    notify_send(s->p->notify_fd, "READY=1");
    if (s->now.pid == 0)
        s->start_at = clock_ns();
}

/* SIGCHLD. Return: -1 to go on, or the supervisor's exit status. */
static int reap(struct supervisor *s)
{
    int status, result = -1;
    pid_t pid;

    while (result < 0 && (pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == s->now.pid)
            result = now_ended(s, status);
        else if (pid == s->next.pid)
            next_ended(s);
    }
    return result;
}

/* ---- signals ---------------------------------------------------------------------------------- */

static void reload(struct supervisor *s)
{
    char text[96];

    if (s->ending || s->next.pid > 0 || !s->now.serving || s->now.pid == 0) {
        log_warn("reload: a worker is being started already; ask again when it serves");
        return;
    }
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)(clock_ns() / 1000));
    notify_send(s->p->notify_fd, text);
    int fd = open(s->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        log_error("reload: %s: %s; the worker goes on as it is", s->path, strerror(errno));
    if (fd >= 0 && s->p->look_again(s->p->ctx, s->cwd_fd) < 0) {
        close(fd);
        fd = -1;
    }
    if (fd < 0 || start_worker(s, &s->next, fd) < 0)
        notify_send(s->p->notify_fd, "READY=1");
}

/* SIGTERM and the like. Return: -1 to go on, or the exit status. */
static int end(struct supervisor *s, const struct signalfd_siginfo *info)
{
    s->ending = true;
    notify_send(s->p->notify_fd, "STOPPING=1");
    if (s->next.pid > 0)
        kill(s->next.pid, SIGKILL);
    if (s->now.pid == 0)
        return EXIT_SUCCESS;
    if (info->ssi_code != SI_KERNEL) /* a terminal's signal has reached the whole process group */
        kill(s->now.pid, (int)info->ssi_signo);
    return -1;
}

static int on_signals(struct supervisor *s, int fd)
{
    struct signalfd_siginfo info;
    int result = -1;

    while (result < 0 && read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            result = reap(s);
        else if (info.ssi_signo == SIGUSR2)
            reload(s);
        else
            result = end(s, &info);
    }
    return result;
}

static int open_signals(void)
{
    sigset_t set;

    signal(SIGCHLD, SIG_DFL); /* where it is ignored, children cannot be waited for */
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* ---- the loop --------------------------------------------------------------------------------- */

/* Whose turn is it? */
static void decide(struct supervisor *s)
{
    struct channel_msg leave = {.op = CHANNEL_QUIESCE};

    if (s->now.ready && !s->now.serving)
        let_go(s);
    if (s->next.ready && s->now.pid == 0)
        take_over(s);
    if (s->next.ready && !s->now.leaving && s->now.pid > 0) {
        s->now.leaving = true;
        s->leave_by = clock_ns() + LEAVE_MS * UINT64_C(1000000);
        channel_send(s->now.fd, &leave, -1, SEND_MS);
    }
}

/* Until something is due at @at. Return: ms, -1: nothing is. */
static int until_ms(uint64_t at)
{
    uint64_t now = clock_ns();

    if (at == 0)
        return -1;
    return now >= at ? 0 : (int)((at - now + 999999) / 1000000);
}

/* What time has made due. Return: 0 or -errno. */
static int on_time(struct supervisor *s)
{
    if (s->leave_by != 0 && until_ms(s->leave_by) == 0) {
        s->leave_by = 0;
        if (s->now.pid > 0 && s->now.leaving)
            kill(s->now.pid, SIGKILL);
    }
    return s->start_at != 0 && until_ms(s->start_at) == 0 ? start_now(s) : 0;
}

/** supervisor_run() - see supervisor.h */
int supervisor_run(struct supervisor *s, const struct supervisor_params *p)
{
    int signals = open_signals(), result = -1;

    s->p = p;
    if (signals < 0 || start_now(s) < 0) {
        log_error("--supervise: no worker can be started");
        return EXIT_FAILURE;
    }
    while (result < 0) {
        struct pollfd fds[3] = {{.fd = signals, .events = POLLIN},
                                {.fd = s->now.fd, .events = POLLIN},
                                {.fd = s->next.fd, .events = POLLIN}};
        int n = poll(fds, 3, until_ms(s->start_at ? s->start_at : s->leave_by));
        if (n < 0 && errno != EINTR)
            return EXIT_FAILURE;
        if (n > 0 && fds[1].revents != 0 && !listen_to(s, &s->now, 0))
            poll(&fds[0], 1, 10); /* its end will be told by a signal */
        if (n > 0 && fds[2].revents != 0 && !listen_to(s, &s->next, 0))
            poll(&fds[0], 1, 10);
        decide(s);
        if (n > 0 && fds[0].revents != 0)
            result = on_signals(s, signals);
        if (result < 0 && on_time(s) < 0)
            result = EXIT_FAILURE;
    }
    return result;
}
