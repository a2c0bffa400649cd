// SPDX-License-Identifier: BSD-3-Clause
/*
 * main.c - run scenarios, each in a process of its own, and say in TAP how they went
 *
 * Theory of operation
 *
 *   A scenario is a machine from power-on to shutdown: memory, kernel threads, the driver loaded, devices
 *   plugged in, the driver unloaded, the ledger closed. It runs in a child process, so that whatever a
 *   broken driver does stays there, and under a watchdog, so that a hang is a failure that says so.
 *   A few run at a time.
 *
 *   A scenario fails when anybody complained: the verifier, the scenario itself, or the daemon. Its output is
 *   shown then, or always with -v.
 *
 * usage: nt-bench [-v] [-l] [-g DIRECTORY] [-j JOBS] [-t SECONDS] [-d DRIVER] [TEXT...]
 *   runs the scenarios whose names contain one of the texts; $VIOFS_DAEMON names the virtiofsd.
 *   -g: in a virtual machine, on its devices, one scenario at a time; DIRECTORY is the host's (share.c)
 *   -l: print the names instead, with -g only of those that real devices can play
 * usage: nt-bench --serve SOCKET ...
 *   one device for callers in other processes; see serve.c
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/nt-bench/bench_host.h"

#define GRACE_S 3 /* after its own watchdog, a child that is still there is killed */

struct job {
    pid_t pid;
    unsigned scenario;
    int output;
    uint64_t started_us;
    bool killed;
};

static struct {
    const char *driver;
    const char *guest;
    bool verbose;
    unsigned jobs;
    unsigned seconds;
    unsigned n_done, n_failed;
} bench = {.driver = "dist/guest/viofs.sys", .jobs = 2, .seconds = 20};

const char *bench_driver(void)
{
    return bench.driver;
}

void bench_set_driver(const char *path)
{
    bench.driver = path;
}

const char *bench_guest(void)
{
    return bench.guest;
}

/* An emulated processor is slow. */
uint32_t bench_patience(void)
{
    return bench.guest ? 4 : 1;
}

/* ---- the child ------------------------------------------------------------------------------- */

static void on_alarm(int sig)
{
    (void)sig;
    ver_stop("watchdog", "not finished after %u seconds", bench.seconds);
}

static _Noreturn void run_scenario(const struct scenario *s)
{
    signal(SIGALRM, on_alarm);
    alarm(bench.seconds);
    mem_init();
    thr_init();
    trap_init();
    share_prepare();
    nt_begin();
    s->run();
    nt_end();
    share_stop();
    ver_leaks();
    _exit(ver_complaints() ? BENCH_EXIT_COMPLAINED : BENCH_EXIT_PASSED);
}

static void start_job(struct job *j, const struct scenario *s, unsigned index)
{
    *j = (struct job){.scenario = index, .output = memfd_create("output", MFD_CLOEXEC)};
    j->started_us = clk_real_us();
    fflush(NULL);
    j->pid = fork();
    if (j->pid < 0 || j->output < 0) {
        perror("nt-bench");
        exit(2);
    }
    if (j->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(j->output, STDOUT_FILENO);
        dup2(j->output, STDERR_FILENO);
        run_scenario(s);
    }
}

/* ---- the parent ------------------------------------------------------------------------------ */

static void show_output(int fd)
{
    char buffer[4096];
    ssize_t n;

    lseek(fd, 0, SEEK_SET);
    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        fwrite(buffer, 1, (size_t)n, stderr);
}

static void finish_job(struct job *j, const struct scenario *s, int status)
{
    bool passed = WIFEXITED(status) && WEXITSTATUS(status) == BENCH_EXIT_PASSED && !j->killed;
    unsigned ms = (unsigned)((clk_real_us() - j->started_us) / 1000);

    if (bench.guest)
        vfio_quiet();
    bench.n_done++;
    bench.n_failed += !passed;
    if (!passed || bench.verbose) {
        fprintf(stderr, "# ---- %s (%u ms)\n", s->name, ms);
        show_output(j->output);
        if (j->killed)
            fprintf(stderr, "# STOPPED watchdog: killed\n");
        else if (WIFSIGNALED(status))
            fprintf(stderr, "# STOPPED signal: %d\n", WTERMSIG(status));
    }
    printf("%sok %u - %s\n", passed ? "" : "not ", bench.n_done, s->name);
    fflush(stdout);
    close(j->output);
    j->pid = 0;
}

/* Wait for one job to end; kill those that outlive their own watchdog. */
static void reap_one(struct job *jobs, const struct scenario *s)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);

        for (unsigned i = 0; i < bench.jobs; i++) {
            struct job *j = &jobs[i];

            if (pid > 0 && j->pid == pid) {
                finish_job(j, &s[j->scenario], status);
                return;
            }
            if (j->pid && !j->killed &&
                clk_real_us() - j->started_us > (bench.seconds + GRACE_S) * 1000000ull) {
                kill(j->pid, SIGKILL);
                j->killed = true;
            }
        }
        if (pid <= 0)
            poll(NULL, 0, 2);
    }
}

static bool wanted(const struct scenario *s, char **texts)
{
    const char *name = s->name;

    if (bench.guest && s->where == MODEL_ONLY)
        return false;
    if (!*texts)
        return true;
    for (; *texts; texts++)
        if (strstr(name, *texts))
            return true;
    return false;
}

static unsigned run_all(const struct scenario *s, unsigned n, char **texts)
{
    struct job *jobs = calloc(bench.jobs, sizeof(*jobs));
    unsigned running = 0, started = 0;

    if (!jobs)
        return 2;
    for (unsigned i = 0; i < n; i++) {
        unsigned slot = 0;

        if (!wanted(&s[i], texts))
            continue;
        if (running == bench.jobs) {
            reap_one(jobs, s);
            running--;
        }
        while (jobs[slot].pid)
            slot++;
        start_job(&jobs[slot], &s[i], i);
        running++;
        started++;
    }
    for (; running > 0; running--)
        reap_one(jobs, s);
    free(jobs);
    printf("1..%u\n", started);
    return started == 0 || bench.n_failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    unsigned n;
    const struct scenario *s = nt_scenarios(&n);
    bool list = false;
    int c;

    if (argc > 1 && strcmp(argv[1], "--serve") == 0)
        return serve_main(argc, argv);
    while ((c = getopt(argc, argv, "vlg:j:t:d:")) != -1) {
        switch (c) {
        case 'v':
            bench.verbose = true;
            break;
        case 'l':
            list = true;
            break;
        case 'g':
            bench.guest = optarg;
            break;
        case 'j':
            bench.jobs = (unsigned)atoi(optarg) ? (unsigned)atoi(optarg) : 1;
            break;
        case 't':
            bench.seconds = (unsigned)atoi(optarg);
            break;
        case 'd':
            bench.driver = optarg;
            break;
        default:
            fprintf(stderr,
                    "usage: %s [-v] [-l] [-g DIRECTORY] [-j JOBS] [-t SECONDS] [-d DRIVER] "
                    "[TEXT...]\n",
                    argv[0]);
            return 2;
        }
    }
    if (list) {
        for (unsigned i = 0; i < n; i++)
            if (wanted(&s[i], argv + optind))
                puts(s[i].name);
        return 0;
    }
    if (bench.guest) {
        bench.jobs = 1; /* they share the devices */
        vfio_survey();
    }
    return (int)run_all(s, n, argv + optind);
}
