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
 *   SIGTERM, SIGINT and SIGHUP end the service in good order, with exit status 0. Until there is
 *   something to end, they kill as usual.
 *
 * Ownership: struct daemon holds all parts; stop() releases them in reverse order.
 * Locks: none. stop_this is for the signal handler, and set once.
 *
 * syscalls: write close sendto rt_sigaction exit_group rt_sigreturn
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf.h"
#include "host/cleanup.h"
#include "host/log.h"
#include "host/notify.h"
#include "host/stats.h"
#include "sandbox/sandbox.h"
#include "server/server.h"
#include "vhost/vhost.h"
#include "watch/watch.h"

struct daemon {
    struct conf conf;
    struct sandbox sandbox;
    struct stats *stats;
    struct server *server;
    struct vu *vu;
    int listen_fd; /* until vu_new() takes it */
    int notify_fd; /* service manager, or -1 */
    int ready_fd;  /* to the process that --daemonize keeps waiting, or -1 */
};

static struct vu *stop_this;

static void on_signal(int sig)
{
    (void)sig;
    vu_stop(stop_this);
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

/*
 * --fd or systemd: whoever started us must have called bind() and listen(), not connect(). Memory is passed as
 * descriptors, which only a UNIX stream does.
 */
static int check_listen_fd(const struct conf *c)
{
    const char *what = c->activated ? "the socket from systemd: descriptor" : "--fd";
    int fd = c->listen_fd, listening = 0, domain = 0, type = 0;
    socklen_t len = sizeof(int);

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
        log_error("%s %d: %s; pass a listening UNIX socket", what, fd, strerror(errno));
        return -EINVAL;
    }
    if (domain != AF_UNIX || type != SOCK_STREAM) {
        log_error("%s %d: not a UNIX stream socket; a guest's memory can come over no other%s",
                  what, fd, c->activated ? ": give ListenStream= a path" : "");
        return -EINVAL;
    }
    if (!listening) {
        log_error("%s %d: the socket does not listen; call bind() and listen() on it first%s", what,
                  fd, c->activated ? " (a .socket unit has Accept=no)" : "");
        return -EINVAL;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return check("--fd", -errno);
    return fd;
}

/* In the background there is only syslog to speak to. */
static int open_log(struct conf *conf)
{
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
    return leave_terminal();
}

/* What needs the host's paths. Prints what goes wrong. */
static int open_outside(struct daemon *d)
{
    const struct conf *c = &d->conf;
    int err;

    d->notify_fd = notify_open();
    d->listen_fd = c->socket_path ? vu_listen(c->socket_path, c->socket_group) : check_listen_fd(c);
    if (d->listen_fd < 0)
        return d->listen_fd;
    if (c->stats_socket && (err = stats_new(&d->stats, c->stats_socket)) < 0) {
        log_error("--stats-socket: %s: %s; use a path that can be made there", c->stats_socket,
                  strerror(-err));
        return err;
    }
    return c->daemonize && chdir("/") < 0 ? check("--daemonize: /", -errno) : 0;
}

static uint64_t read_in_flight(void *ctx)
{
    return vu_in_flight(ctx);
}

/* Everything up to the moment when a guest may connect. Prints what goes wrong. */
static int start(struct daemon *d)
{
    const struct conf *c = &d->conf;
    int err;

    if ((err = open_outside(d)) < 0)
        return err;
    int64_t nofile = sandbox_limits(c);
    if (nofile < 0)
        return (int)nofile;
    int mark = c->watch == WATCH_FANOTIFY ? watch_mark(c->source) : -1;
    if (c->watch == WATCH_FANOTIFY && mark < 0)
        return mark;
    if ((err = sandbox_enter(c, &d->sandbox)) < 0)
        return err;
    d->sandbox.fanotify_fd = mark;
    if ((err = sandbox_lock(c, &d->sandbox)) < 0 ||
        (err = server_new(&d->server, c, &d->sandbox, d->stats, nofile)) < 0)
        return err;

    struct vu_params p = {.listen_fd = steal_fd(&d->listen_fd),
                          .tag = c->tag,
                          .keep_listening = c->keep_listening,
                          .ops = &server_ops,
                          .ctx = d->server};
    if ((err = check("vhost-user", vu_new(&d->vu, &p))) < 0)
        return err;
    stop_this = d->vu;
    if ((err = check("signals", on_ending_signals(on_signal))) < 0)
        return err;
    if (d->stats &&
        (err = check("statistics", stats_gauge(d->stats, "virtiofsd_requests_in_flight",
                                               "Requests taken from the guest and not yet answered",
                                               read_in_flight, d->vu))) < 0)
        return err;
    if ((err = check("threads", server_start(d->server))) < 0)
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
    if (d->vu)
        vu_free(d->vu);
    server_free(d->server);
    stats_free(d->stats);
    conf_free(&d->conf);
}

int main(int argc, char **argv)
{
    static struct daemon d = {.listen_fd = -1, .notify_fd = -1, .ready_fd = -1};
    int err = fill_standard_fds();
    int what = err ? err : conf_parse(&d.conf, argc, argv);

    if (what == CONF_DONE)
        return EXIT_SUCCESS;
    if (what < 0)
        return EXIT_FAILURE;
    signal(SIGPIPE, SIG_IGN);
    if (open_log(&d.conf) < 0)
        return EXIT_FAILURE;
    if (d.conf.daemonize && check("--daemonize", into_background(&d)) < 0)
        return EXIT_FAILURE;
    err = start(&d);
    if (!err) {
        say_ready(&d);
        err = check("connection to the virtual machine", vu_run(d.vu));
    }
    stop(&d);
    return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
