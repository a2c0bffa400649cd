// SPDX-License-Identifier: BSD-3-Clause
/*
 * directories.c - listings; extended attributes; locks between processes
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "posix.h"

#define MANY 1500

/* count_names() - names with the prefix "n", each of which must come once; -1 if one came twice */
static long count_names(DIR *dir)
{
    static bool seen[MANY];
    memset(seen, 0, sizeof(seen));
    long count = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] != 'n')
            continue;
        unsigned long which = strtoul(e->d_name + 1, NULL, 10);
        if (which >= MANY || seen[which])
            return -1;
        seen[which] = true;
        count++;
    }
    return count;
}

static void check_listing(void)
{
    char name[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "n%04d-with-a-rather-long-tail", i);
        make_file(name, "", 0644);
    }
    DIR *dir = opendir(".");
    expect_number("a long listing has each name once", count_names(dir), MANY);
    rewinddir(dir);
    expect_number("and again after rewinding", count_names(dir), MANY);
    rewinddir(dir);
    for (int i = 0; i < MANY / 2; i++)
        readdir(dir);
    long at = telldir(dir);
    struct dirent *e = readdir(dir);
    char there[256];
    snprintf(there, sizeof(there), "%s", e ? e->d_name : "");
    while (readdir(dir))
        ;
    seekdir(dir, at);
    e = readdir(dir);
    expect_that("seekdir comes back to the same name", e && strcmp(e->d_name, there) == 0);
    closedir(dir);

    dir = opendir(".");
    long removed = 0, listed = 0;
    while ((e = readdir(dir)) != NULL) {
        if (e->d_name[0] != 'n')
            continue;
        listed++;
        removed += unlink(e->d_name) == 0;
    }
    closedir(dir);
    expect_number("names removed while listing", removed, MANY);
    expect_number("names listed meanwhile", listed, MANY);
}

static void check_entries(void)
{
    make_file("file", "", 0644);
    make_dir("dir", 0755);
    if (symlink("x", "link") != 0 || mkfifo("fifo", 0644) != 0)
        return;
    bool dot = false, dotdot = false, types = true, inodes = true;
    DIR *dir = opendir(".");
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        dot |= strcmp(e->d_name, ".") == 0;
        dotdot |= strcmp(e->d_name, "..") == 0;
        if (e->d_name[0] == '.')
            continue;
        struct stat st = status_of(e->d_name);
        types &= e->d_type == IFTODT(st.st_mode);
        inodes &= e->d_ino == st.st_ino;
    }
    closedir(dir);
    expect_that("a listing has .", dot);
    expect_that("a listing has ..", dotdot);
    expect_that("its kinds are those of stat", types);
    expect_that("its inode numbers are those of stat", inodes);
    expect_that("opendir of a file", opendir("file") == NULL && errno == ENOTDIR);
    expect_that(".. of a directory is its parent",
                status_of("dir/..").st_ino == status_of(".").st_ino);
}

void check_directories(void)
{
    check_listing();
    check_entries();
}

void check_xattr(void)
{
    char seen[256];
    make_file("f", "", 0644);
    expect("set", setxattr("f", "user.one", "value", 5, 0), 0);
    expect_number("get", getxattr("f", "user.one", seen, sizeof(seen)), 5);
    expect_that("the value", memcmp(seen, "value", 5) == 0);
    expect_number("the length only", getxattr("f", "user.one", NULL, 0), 5);
    expect("get into too little", getxattr("f", "user.one", seen, 2), ERANGE);
    expect("get what is not there", getxattr("f", "user.none", seen, sizeof(seen)), ENODATA);
    expect("create what is there", setxattr("f", "user.one", "x", 1, XATTR_CREATE), EEXIST);
    expect("replace what is not there", setxattr("f", "user.two", "x", 1, XATTR_REPLACE), ENODATA);
    expect("set an empty value", setxattr("f", "user.empty", "", 0, 0), 0);
    expect_number("get an empty value", getxattr("f", "user.empty", seen, sizeof(seen)), 0);
    expect("list", listxattr("f", seen, sizeof(seen)), 0);
    expect_that("the list has the name", memmem(seen, sizeof(seen), "user.one", 9) != NULL);
    expect("remove", removexattr("f", "user.one"), 0);
    expect("remove again", removexattr("f", "user.one"), ENODATA);
    expect("no such namespace", setxattr("f", "nonsense.x", "x", 1, 0), EOPNOTSUPP);
    if (symlink("f", "l") == 0)
        expect("user attributes of a link", lsetxattr("l", "user.x", "x", 1, 0), EPERM);
    make_owned("f", ALICE, ALICE, 0644);
    become(BOB, BOB, 0);
    expect("set on another's file", setxattr("f", "user.x", "x", 1, 0), EACCES);
    become(0, 0, 0);
}

/* in_child() - run in another process, for locks; its result is 0 or an errno */
static void in_child(const char *what, int (*function)(void), int want)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(function());
    int status = -1;
    waitpid(pid, &status, 0);
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
    expect(what, errno ? -1 : 0, want);
}

static int lock_range(off_t start, short type)
{
    int fd = open("f", O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = 10};
    return fcntl(fd, F_SETLK, &lock) == 0 ? 0 : errno;
}
static int lock_same(void)
{
    return lock_range(5, F_WRLCK);
}
static int lock_other(void)
{
    return lock_range(100, F_WRLCK);
}
static int find_owner(void)
{
    int fd = open("f", O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    if (fcntl(fd, F_GETLK, &lock) != 0)
        return errno;
    return lock.l_type == F_WRLCK && lock.l_pid == getppid() ? 0 : ESRCH;
}
static int flock_other(void)
{
    int fd = open("g", O_RDWR | O_CLOEXEC);
    return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
}

void check_locks(void)
{
    make_file("f", "", 0644);
    make_file("g", "", 0644);
    int fd = open("f", O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10};
    expect("lock a range", fcntl(fd, F_SETLK, &lock), 0);
    in_child("lock it in another process", lock_same, EAGAIN);
    in_child("lock another range there", lock_other, 0);
    in_child("ask there who has it", find_owner, 0);
    lock.l_type = F_UNLCK;
    expect("unlock", fcntl(fd, F_SETLK, &lock), 0);
    in_child("lock it in another process now", lock_same, 0);
    close(fd);

    fd = open("g", O_RDWR | O_CLOEXEC);
    expect("flock", flock(fd, LOCK_EX), 0);
    in_child("flock in another process", flock_other, EAGAIN);
    expect("flock shared", flock(fd, LOCK_SH), 0);
    expect("unlock it", flock(fd, LOCK_UN), 0);
    in_child("flock in another process now", flock_other, 0);
    close(fd);
}
