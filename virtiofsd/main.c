// SPDX-License-Identifier: BSD-3-Clause
/*
 * main.c - from the command line to serving a guest, and back out
 *
 * Theory of operation
 *
 *   Everything that needs the host's paths or privileges happens first: sockets, pid file, syslog,
 *   descriptor limit. Then the sandbox closes, and privileges and system calls that serving does not
 *   take are given up: what is left (file handles, acting as other users) is what the server plans
 *   with. Only after that is state built, do threads start and is a byte read that a guest wrote.
 *
 *   With --daemonize the work is done by a child, and the process that was started stays until the
 *   child says over a pipe that a guest can connect, or is gone. The pipe closes with the last process
 *   that holds it, so a child that fails at any point is noticed.
 *
 *   With --supervise the process that was started does none of this but parse its arguments; it starts this
 *   program again as its worker (keep/supervisor.c).
 *
 *   SIGTERM, SIGINT and SIGHUP end the service in good order, with exit status 0. Until there is
 *   something to end, they kill as usual.
 *
 *   Several shares (sections of a configuration file) have a hub, which is the control side of all; one share without
 *   a name runs by itself, with a thread for each queue. What exists once a share is in share.c; here is what the process has once.
 *
 * Ownership: struct daemon holds all parts; stop() releases them in reverse order.
 * Locks: none. stop_this is for the signal handler, and set once.
 *
 * syscalls: write close sendto rt_sigaction exit_group rt_sigreturn
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "host/cleanup.h"
#include "host/log.h"
#include "host/notify.h"
#include "host/stats.h"
#include "sandbox/sandbox.h"
#include "share.h"
#include "supervise.h"
#include "vhost/hub.h"

#define SHARE_MIN_FILES 256 /* of each of several shares, whatever there is */
/* A large table is mapped by itself, and what of it is not used takes no memory: glibc would raise this bound. */
#define LARGE_TABLE (64 * 1024)
#define POOL_PART   8u /* threads for requests that block, of the pool of several shares */

struct daemon {
    struct conf_shares conf;
    struct share *share; /* conf.n of them */
    struct stats *stats;
    struct pool *pool;
    struct keep_worker *worker; /* of a supervisor; NULL: there is none */
    struct hub *hub;            /* NULL: one share without a name, which runs by itself */
    struct serving serving;     /* of a worker: all that */
    int notify_fd;              /* service manager, or -1 */
    int ready_fd;               /* to the process that --daemonize keeps waiting, or -1 */
};

/* Of these there is one. */
static struct vu *stop_this;
static struct hub *stop_all;

static void on_signal(int sig)
{
    (void)sig;
    if (stop_all)
        hub_stop(stop_all);
    else
        vu_stop(stop_this);
}

/* Options that all shares have in common. */
static const struct conf *process_conf(const struct daemon *d)
{
    return &d->conf.at[0];
}

static bool has_sections(const struct daemon *d)
{
    return process_conf(d)->name;
}

/* For steps that do not print their own errors. Return: @err. */
static int check(const char *step, int err)
{
    if (err < 0)
        log_error("%s: %s", step, strerror(-err));
    return err;
}

static int on_ending_signals(void (*handler)(int))
{
    static const int ending[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_RESTART};

    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++) {
        if (sigaction(ending[i], &sa, NULL) < 0)
            return -errno;
    }
    return 0;
}

/* Descriptors 0 to 2 exist, so that no socket of ours is ever taken for stderr. */
static int fill_standard_fds(void)
{
    int fd;

    do {
        fd = open("/dev/null", O_RDWR);
        if (fd < 0)
            return -errno;
    } while (fd <= STDERR_FILENO);
    close(fd);
    return 0;
}

/* In the background there is only syslog to speak to. */
static int open_log(struct conf_shares *shares)
{
    struct conf *conf = &shares->at[0]; /* the process that waits outside reads this one, too */
    int err = log_init(conf->log_level, conf->syslog || conf->daemonize);

    if (err && conf->syslog) {
        log_error("--syslog: /dev/log: %s; start a syslog service or leave the option out",
                  strerror(-err));
        return err;
    }
    if (err)
        log_warn("--daemonize: /dev/log: %s; messages after the start go nowhere", strerror(-err));
    conf->syslog = !err && (conf->syslog || conf->daemonize);
    return 0;
}

/*
 * Standard descriptors go to /dev/null. Messages still reach the old stderr until the start is over; the
 * process that the sandbox leaves outside does not keep it open.
 */
static int leave_terminal(void)
{
    cleanup_close int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    int err_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

    if (null_fd < 0 || err_fd < 0)
        return -errno;
    log_to_fd(err_fd);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (dup2(null_fd, fd) < 0)
            return -errno;
    }
    return 0;
}

/*
 * --daemonize: returns in the child only. The parent leaves with 0 when the child writes to the pipe,
 * with 1 when the pipe closes without a word.
 */
static int into_background(struct daemon *d)
{
    int pipefd[2];
    char byte;

    if (pipe2(pipefd, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid < 0) {
        int err = -errno;
        close(pipefd[0]);
        close(pipefd[1]);
        return err;
    }
    if (pid > 0) {
        close(pipefd[1]);
        ssize_t n = TEMP_FAILURE_RETRY(read(pipefd[0], &byte, 1));
        _exit(n == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    close(pipefd[0]);
    d->ready_fd = pipefd[1];
    setsid();
    /* a supervisor's worker shall be heard first */
    return process_conf(d)->supervise ? 0 : leave_terminal();
}

/* What needs the host's paths. Prints what goes wrong. */
static int open_outside(struct daemon *d)
{
    const struct conf *c = process_conf(d);
    int err = 0;

    d->notify_fd = notify_open();
    for (size_t i = 0; i < d->conf.n && !err; i++) {
        log_share(d->conf.at[i].name);
        err = share_open(&d->share[i]);
    }
    log_share(NULL);
    if (err < 0)
        return err;
    if (c->stats_socket && (err = stats_new(&d->stats, d->worker ? NULL : c->stats_socket)) < 0) {
        log_error("--stats-socket: %s: %s; use a path that can be made there", c->stats_socket,
                  strerror(-err));
        return err;
    }
    return c->daemonize && chdir("/") < 0 ? check("--daemonize: /", -errno) : 0;
}

/* Into the sandbox; the shares' descriptors in it go to the shares. */
static int enter_sandbox(struct daemon *d, int64_t nofile)
{
    cleanup_free struct sandbox *sb = calloc(d->conf.n, sizeof(*sb));
    struct sandbox_heir to, *heir = worker_heir(d->worker, &to, nofile) ? &to : NULL;
    int err;

    if (!sb)
        return check("sandbox", -ENOMEM);
    if (has_sections(d))
        err = sandbox_enter_shares(&d->conf, sb, heir);
    else
        err = sandbox_enter(process_conf(d), sb, heir);
    if (!err && heir && heir->parent_fd >= 0)
        keep_hold(d->worker, heir->parent_fd);
    if (!err)
        err = sandbox_lock_shares(&d->conf, sb);
    for (size_t i = 0; i < d->conf.n; i++)
        d->share[i].sandbox = sb[i];
    return err;
}

/* An even part of what the process may have; a little more than that where there is not enough. */
static int64_t files_of_each(const struct daemon *d, int64_t nofile)
{
    int64_t n = (int64_t)d->conf.n, part = nofile / n;

    if (part >= SHARE_MIN_FILES || n == 1)
        return part;
    log_warn("%lld open files for %lld shares: each may use %d, and if all did there would not be "
             "enough; raise "
             "--rlimit-nofile (LimitNOFILE= of a systemd unit)",
             (long long)nofile, (long long)n, SHARE_MIN_FILES);
    return SHARE_MIN_FILES;
}

static int start_shares(struct daemon *d, int64_t nofile)
{
    struct share_means means = {.nofile = files_of_each(d, nofile), .pool = d->pool, .hub = d->hub};
    int err = 0;

    if (d->hub)
        means.pool_most = POOL_PART;
    for (size_t i = 0; i < d->conf.n && !err; i++) {
        const char *name = d->conf.at[i].name;
        log_share(name);
        means.stats = d->stats;
        if (d->stats && name)
            err = check("statistics", stats_share(&means.stats, d->stats, name));
        if (!err)
            err = share_start(&d->share[i], &means);
    }
    log_share(NULL);
    return err;
}

/* Everything up to the moment when a guest may connect. Prints what goes wrong. */
static int start(struct daemon *d)
{
    const struct conf *c = process_conf(d);
    int err;

    if ((err = open_outside(d)) < 0)
        return err;
    int64_t nofile = sandbox_limits(c);
    if (nofile < 0)
        return (int)nofile;
    if ((err = enter_sandbox(d, nofile)) < 0 ||
        (err = check("threads", server_pool(&d->pool, c))) < 0)
        return err;
    if (has_sections(d))
        mallopt(M_MMAP_THRESHOLD, LARGE_TABLE);
    if (has_sections(d) && (err = check("threads", hub_new(&d->hub, &server_ops))) < 0)
        return err;
    if ((err = start_shares(d, nofile)) < 0)
        return err;
    stop_all = d->hub;
    stop_this = d->share[0].vu;
    d->serving = (struct serving){d->share, d->conf.n, d->hub, d->stats};
    if (d->worker && (err = worker_take_turn(d->worker, &d->serving)) < 0)
        return err;
    if ((err = check("signals", on_ending_signals(on_signal))) < 0)
        return err;
    return d->stats ? check("statistics", stats_serve(d->stats)) : 0;
}

/* Tell everyone who waits that a guest can connect. */
static void say_ready(struct daemon *d)
{
    log_started();
    if (d->ready_fd >= 0) {
        (void)!write(d->ready_fd, "", 1);
        close(steal_fd(&d->ready_fd));
    }
    notify_send(d->notify_fd, "READY=1");
}

static void stop(struct daemon *d)
{
    notify_send(d->notify_fd, "STOPPING=1");
    on_ending_signals(SIG_IGN); /* it ends already */
    if (d->stats)
        stats_stop(d->stats); /* its gauges read the parts that go now */
    hub_free(d->hub);
    pool_free(d->pool);
    for (size_t i = 0; i < d->conf.n; i++)
        share_stop(&d->share[i]);
    stats_free(d->stats);
    free(d->share);
    conf_free_shares(&d->conf);
}

/* Serve until told to stop, or until the guest of the only share has left. */
static int serve(struct daemon *d)
{
    if (d->hub)
        return hub_run(d->hub);
    return check("connection to the virtual machine", vu_run(d->share[0].vu));
}

/* The first worker serves. */
static void supervisor_ready(void *ctx)
{
    struct daemon *d = ctx;

    if (process_conf(d)->daemonize)
        check("--daemonize", leave_terminal());
    say_ready(d);
}

static int be_worker(struct daemon *d, int keep_fd)
{
    int err = worker_begin(&d->worker, keep_fd, &d->conf);

    for (size_t i = 0; i < d->conf.n; i++)
        d->share[i].keep = keep_of_share(d->worker, (unsigned)i);
    return err == -EXDEV ? err : check("supervisor", err);
}

int main(int argc, char **argv)
{
    static struct daemon d = {.notify_fd = -1, .ready_fd = -1};
    int keep_fd = keep_worker_descriptor();
    int err = fill_standard_fds();
    int what = err ? err : conf_parse_shares(&d.conf, argc, argv);

    if (what == CONF_DONE)
        return EXIT_SUCCESS;
    if (what != CONF_RUN)
        return EXIT_FAILURE;
    d.share = calloc(d.conf.n, sizeof(*d.share));
    if (!d.share)
        return EXIT_FAILURE;
    for (size_t i = 0; i < d.conf.n; i++)
        share_init(&d.share[i], &d.conf.at[i]);
    for (size_t i = 0; i < d.conf.n && keep_fd >= 0; i++)
        d.conf.at[i].supervise = true; /* whatever a file may say by now */
    signal(SIGPIPE, SIG_IGN);
    if (!process_conf(&d)->supervise || keep_fd >= 0)
        signal(SIGUSR2, SIG_IGN); /* `systemctl reload`: only a supervisor can */
    if (open_log(&d.conf) < 0)
        return EXIT_FAILURE;
    if (process_conf(&d)->daemonize &&
        check("--daemonize", keep_fd < 0 ? into_background(&d) : leave_terminal()) < 0)
        return EXIT_FAILURE;
    if (process_conf(&d)->supervise && keep_fd < 0) {
        d.notify_fd = notify_open();
        return supervise(&d.conf, argv, d.notify_fd, supervisor_ready, &d);
    }
    if (keep_fd >= 0 && be_worker(&d, keep_fd) < 0)
        return EXIT_FAILURE;
    err = start(&d);
    if (err && d.worker)
        _exit(EXIT_FAILURE); /* its queues may run already; the next one goes on with the rest */
    if (!err) {
        say_ready(&d);
        err = serve(&d);
        if (err == VU_QUIESCED)
            _exit(EXIT_SUCCESS); /* everything is another process' now */
        keep_bye(d.worker);
    }
    stop(&d);
    return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
