// SPDX-License-Identifier: BSD-3-Clause
/*
 * jail.c - run a piece of a test inside the sandbox; see jail.h
 */
#include "cmocka_all.h"
#include "jail.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 10000

void jail_make(struct jail *jail, enum conf_sandbox mode)
{
    memset(jail, 0, sizeof *jail);
    strcpy(jail->dir, "/tmp/viofs-jail-XXXXXX");
    assert_non_null(mkdtemp(jail->dir));
    assert_return_code(chmod(jail->dir, 0755), errno);
    snprintf(jail->share, sizeof jail->share, "%s/share", jail->dir);
    assert_return_code(mkdir(jail->share, 0755), errno);
    jail->conf = (struct conf){
        .source = jail->share,
        .listen_fd = -1,
        .rlimit_nofile = -1,
        .sandbox = mode,
        .seccomp = SECCOMP_NONE,
        .log_level = LOG_INFO_,
    };
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void jail_free(struct jail *jail)
{
    assert_return_code(nftw(jail->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT), errno);
}

const char *jail_path(const struct jail *jail, const char *rel)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/%s", jail->dir, rel);
    return path;
}

void jail_write(const struct jail *jail, const char *rel, const char *text)
{
    int fd = open(jail_path(jail, rel), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

    assert_return_code(fd, errno);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int become(uid_t uid)
{
    if (uid == 0)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
        return -errno;
    /* A program started by this user would be dumpable, and so own its files in /proc. */
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static _Noreturn void child_main(struct jail *jail)
{
    struct sandbox sb;

    static const int crashes[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGSYS, SIGABRT};

    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
        signal(crashes[i], SIG_DFL); /* cmocka catches them */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (jail->before)
        jail->before(jail);
    if (jail->uid && become(jail->uid) < 0)
        _exit(98);
    if (sandbox_enter(&jail->conf, &sb, jail->heir) < 0)
        _exit(99);
    if (jail->lock && sandbox_lock(&jail->conf, &sb) < 0)
        _exit(97);
    _exit(jail->inside(jail, &sb));
}

pid_t jail_start(struct jail *jail)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    assert_return_code(pid, errno);
    if (pid == 0)
        child_main(jail);
    return pid;
}

int jail_wait(pid_t pid)
{
    int status;

    for (int ms = 0; ms < WAIT_MS; ms += 5) {
        struct timespec pause = {.tv_nsec = 5000000};
        pid_t ended = waitpid(pid, &status, WNOHANG);

        if (ended == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
        nanosleep(&pause, NULL);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return -1;
}

int jail_run(struct jail *jail)
{
    return jail_wait(jail_start(jail));
}

bool is_root(void)
{
    int status;
    pid_t pid;

    if (geteuid() != 0)
        return false;
    pid = fork();
    if (pid == 0)
        _exit(unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET) < 0);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}
