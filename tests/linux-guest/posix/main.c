// SPDX-License-Identifier: BSD-3-Clause
/*
 * main.c - what POSIX and Linux promise about files, checked one call at a time
 *
 * Usage: posix DIRECTORY - run as root; works in DIRECTORY/posix.PID, which it removes
 *
 * Prints TAP. The caller runs it on a file system of the host and on the same one through the daemon,
 * wants no "not ok", and compares the two outputs line by line.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "posix.h"

static int n_checks, n_failed;
static const char *family_name;

static void result(bool good, const char *what, const char *saw, const char *wanted)
{
    n_checks++;
    n_failed += !good;
    printf("%sok %d - %s: %s: %s", good ? "" : "not ", n_checks, family_name, what, saw);
    printf(good ? "\n" : ", wanted %s\n", wanted);
}

void expect(const char *what, long status, int want)
{
    int got = status < 0 ? errno : 0;
    result(got == want, what, got ? strerrorname_np(got) : "done",
           want ? strerrorname_np(want) : "done");
}

void expect_that(const char *what, bool statement)
{
    result(statement, what, statement ? "yes" : "no", "yes");
}

void expect_number(const char *what, long seen, long want)
{
    char saw[32], wanted[32];
    snprintf(saw, sizeof(saw), "%ld", seen);
    snprintf(wanted, sizeof(wanted), "%ld", want);
    result(seen == want, what, saw, wanted);
}

void expect_octal(const char *what, unsigned seen, unsigned want)
{
    char saw[32], wanted[32];
    snprintf(saw, sizeof(saw), "%#o", seen);
    snprintf(wanted, sizeof(wanted), "%#o", want);
    result(seen == want, what, saw, wanted);
}

void skip(const char *what, const char *reason)
{
    n_checks++;
    printf("ok %d - %s: %s # SKIP %s\n", n_checks, family_name, what, reason);
}

static __attribute__((noreturn)) void cannot(const char *what, const char *path)
{
    printf("Bail out! cannot %s %s: %s\n", what, path, strerror(errno));
    exit(2);
}

void become(unsigned uid, unsigned gid, unsigned supplementary)
{
    gid_t groups[1] = {supplementary};
    if (seteuid(0) != 0 || setgroups(supplementary ? 1 : 0, groups) != 0 || setegid(gid) != 0 ||
        seteuid(uid) != 0)
        cannot("become", "a user");
}

void make_file(const char *path, const char *text, unsigned mode)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode);
    size_t length = strlen(text);
    if (fd < 0 || write(fd, text, length) != (ssize_t)length || fchmod(fd, mode) != 0 ||
        close(fd) != 0)
        cannot("make", path);
}

void make_dir(const char *path, unsigned mode)
{
    if (mkdir(path, 0700) != 0 || chmod(path, mode) != 0)
        cannot("make directory", path);
}

void make_owned(const char *path, unsigned uid, unsigned gid, unsigned mode)
{
    if (chown(path, uid, gid) != 0 || chmod(path, mode) != 0)
        cannot("give away", path);
}

struct stat status_of(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        cannot("stat", path);
    return st;
}

bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

bool holds(const char *path, const char *text)
{
    char seen[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, seen, sizeof(seen));
    close(fd);
    return got == (ssize_t)strlen(text) && memcmp(seen, text, (size_t)got) == 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

static void remove_tree(const char *path)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        cannot("remove", path);
}

static void run(const char *name, void (*family)(void))
{
    family_name = name;
    make_dir(name, 0755);
    if (chdir(name) != 0)
        cannot("enter", name);
    family();
    become(0, 0, 0);
    umask(022);
    if (chdir("..") != 0)
        cannot("leave", name);
    remove_tree(name);
}

int main(int argc, char **argv)
{
    char work[64];
    if (argc != 2 || chdir(argv[1]) != 0 || geteuid() != 0) {
        fprintf(stderr, "usage: posix DIRECTORY (as root)\n");
        return 2;
    }
    umask(022);
    snprintf(work, sizeof(work), "posix.%d", getpid());
    make_dir(work, 0755);
    if (chdir(work) != 0)
        cannot("enter", work);

    run("open", check_open);
    run("unnamed", check_unnamed);
    run("names", check_names);
    run("rename", check_rename);
    run("attributes", check_attributes);
    run("permissions", check_permissions);
    run("times", check_times);
    run("data", check_data);
    run("unlinked", check_unlinked);
    run("directories", check_directories);
    run("xattr", check_xattr);
    run("locks", check_locks);

    if (chdir("..") != 0)
        cannot("leave", work);
    remove_tree(work);
    printf("1..%d\n", n_checks);
    return n_failed != 0;
}
