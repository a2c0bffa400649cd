// SPDX-License-Identifier: BSD-3-Clause
/*
 * rename.c - rename(2) and renameat2(2)
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "posix.h"

static void check_files(void)
{
    make_file("a", "from a", 0644);
    ino_t a = status_of("a").st_ino;
    expect("rename", rename("a", "b"), 0);
    expect_that("the old name is gone", !exists("a"));
    expect_that("the inode is the same", status_of("b").st_ino == a);
    make_file("c", "from c", 0644);
    expect("rename over a file", rename("b", "c"), 0);
    expect_that("the content moved", holds("c", "from a"));
    expect("rename of nothing", rename("none", "x"), ENOENT);
    expect("rename to nowhere", rename("c", "none/x"), ENOENT);
    expect("rename below a file", rename("c", "c/x"), ENOTDIR);
    expect("rename onto itself", rename("c", "c"), 0);
    expect("link it", link("c", "c2"), 0);
    expect("rename onto its other name", rename("c", "c2"), 0);
    expect_that("leaves both names", exists("c") && exists("c2"));
    if (symlink("c", "s") == 0) {
        expect("rename of a link", rename("s", "s2"), 0);
        expect_that("moves the link itself", S_ISLNK(status_of("s2").st_mode) && exists("c"));
    }
}

static void check_dirs(void)
{
    make_dir("d1", 0755);
    make_dir("d1/inner", 0755);
    make_dir("d2", 0755);
    make_dir("full", 0755);
    make_file("full/f", "", 0644);
    make_file("file", "", 0644);
    expect("directory over a file", rename("d1", "file"), ENOTDIR);
    expect("file over a directory", rename("file", "d2"), EISDIR);
    expect("directory over a full one", rename("d1", "full"), ENOTEMPTY);
    expect("directory into itself", rename("d1", "d1/inner/x"), EINVAL);
    expect("directory over its own parent", rename("d1/inner", "d1"), ENOTEMPTY);
    expect("directory over an empty one", rename("d1", "d2"), 0);
    expect_that("what was in it is in it", exists("d2/inner"));
    expect("directory to another parent", rename("d2/inner", "moved"), 0);
    long links = (long)status_of("d2").st_nlink;
    expect_that("the old parent lost a link", links == 2 || links == 1);
    expect("file to another directory", rename("file", "moved/file"), 0);
    expect_that("is found there", exists("moved/file"));
    expect("a directory named ..", rename("moved/..", "x"), EBUSY);
    expect("a directory named .", rename("moved/.", "x"), EBUSY);
}

static void check_flags(void)
{
    make_file("p", "p", 0644);
    make_file("q", "q", 0644);
    make_dir("dir", 0755);
    expect("no-replace over a file", renameat2(AT_FDCWD, "p", AT_FDCWD, "q", RENAME_NOREPLACE),
           EEXIST);
    expect("no-replace to a new name", renameat2(AT_FDCWD, "p", AT_FDCWD, "r", RENAME_NOREPLACE),
           0);
    expect("exchange", renameat2(AT_FDCWD, "r", AT_FDCWD, "q", RENAME_EXCHANGE), 0);
    expect_that("both moved", holds("q", "p") && holds("r", "q"));
    expect("exchange with a directory", renameat2(AT_FDCWD, "r", AT_FDCWD, "dir", RENAME_EXCHANGE),
           0);
    expect_that("both changed kind",
                S_ISDIR(status_of("r").st_mode) && S_ISREG(status_of("dir").st_mode));
    expect("exchange with nothing", renameat2(AT_FDCWD, "q", AT_FDCWD, "none", RENAME_EXCHANGE),
           ENOENT);
    expect("both flags",
           renameat2(AT_FDCWD, "q", AT_FDCWD, "z", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
}

static void check_open_target(void)
{
    make_file("old", "old content", 0644);
    make_file("new", "new content", 0644);
    int fd = open("old", O_RDWR | O_CLOEXEC);
    char seen[32];
    struct stat st;
    expect("rename over an open file", rename("new", "old"), 0);
    expect_that("the name has the new content", holds("old", "new content"));
    expect_number("the open file can be read", pread(fd, seen, sizeof(seen), 0), 11);
    expect_that("and has the old content", seen[0] == 'o');
    expect("fstat it", fstat(fd, &st), 0);
    expect_number("its links", (long)st.st_nlink, 0);
    close(fd);
}

void check_rename(void)
{
    check_files();
    check_dirs();
    check_flags();
    check_open_target();
}
