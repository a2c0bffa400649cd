// SPDX-License-Identifier: BSD-3-Clause
/*
 * open.c - open(2): creation, exclusiveness, kinds of files, modes, unnamed files
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "posix.h"

/* try_open() - open and close again; only the outcome counts */
static int try_open(const char *path, int flags, unsigned mode)
{
    int fd = open(path, flags | O_CLOEXEC, mode);
    if (fd >= 0)
        close(fd);
    return fd;
}

static void check_creation(void)
{
    expect("a missing file", try_open("missing", O_RDONLY, 0), ENOENT);
    expect("create", try_open("new", O_CREAT | O_WRONLY, 0640), 0);
    expect_octal("mode of a created file", status_of("new").st_mode, S_IFREG | 0640);
    expect("create again", try_open("new", O_CREAT | O_WRONLY, 0600), 0);
    expect_octal("mode of a file that was there", status_of("new").st_mode, S_IFREG | 0640);
    expect("create exclusively over a file", try_open("new", O_CREAT | O_EXCL | O_RDWR, 0600),
           EEXIST);
    umask(077);
    expect("create under umask 077", try_open("masked", O_CREAT | O_RDWR, 0666), 0);
    umask(022);
    expect_octal("mode under umask 077", status_of("masked").st_mode, S_IFREG | 0600);
    expect("create read-only and write through it",
           try_open("readonly", O_CREAT | O_EXCL | O_RDWR, 0400), 0);
    expect("create with an empty name", try_open("", O_CREAT | O_RDWR, 0600), ENOENT);
    expect("create below a file", try_open("new/x", O_CREAT | O_RDWR, 0600), ENOTDIR);
    expect("create below nothing", try_open("none/x", O_CREAT | O_RDWR, 0600), ENOENT);
    expect("create with a slash behind", try_open("slash/", O_CREAT | O_RDWR, 0600), EISDIR);
    expect("open a file with a slash behind", try_open("new/", O_RDONLY, 0), ENOTDIR);
}

static void check_links(void)
{
    make_file("target", "text", 0644);
    if (symlink("target", "link") != 0 || symlink("nothing", "dangling") != 0 ||
        symlink("loop", "loop") != 0)
        return;
    expect("open through a link", try_open("link", O_RDONLY, 0), 0);
    expect("a link with O_NOFOLLOW", try_open("link", O_RDONLY | O_NOFOLLOW, 0), ELOOP);
    expect("a link with O_NOFOLLOW and O_PATH", try_open("link", O_NOFOLLOW | O_PATH, 0), 0);
    expect("a link to nothing", try_open("dangling", O_RDONLY, 0), ENOENT);
    expect("exclusively over a link to nothing",
           try_open("dangling", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
    expect("create through a link to nothing", try_open("dangling", O_CREAT | O_RDWR, 0600), 0);
    expect_that("the link's target was made", exists("nothing"));
    expect("a link to itself", try_open("loop", O_RDONLY, 0), ELOOP);
    expect("below a link to itself", try_open("loop/x", O_RDONLY, 0), ELOOP);
}

static void check_kinds(void)
{
    make_dir("dir", 0755);
    make_file("file", "text", 0644);
    expect("a directory for reading", try_open("dir", O_RDONLY, 0), 0);
    expect("a directory for writing", try_open("dir", O_WRONLY, 0), EISDIR);
    expect("a directory with O_CREAT", try_open("dir", O_RDONLY | O_CREAT, 0600), EISDIR);
    expect("a file as a directory", try_open("file", O_RDONLY | O_DIRECTORY, 0), ENOTDIR);
    expect("a file with O_DIRECT", try_open("file", O_RDONLY | O_DIRECT, 0), 0);
    expect("truncate by opening", try_open("file", O_WRONLY | O_TRUNC, 0), 0);
    expect_number("size after O_TRUNC", status_of("file").st_size, 0);
    if (mkfifo("fifo", 0600) != 0)
        return;
    expect("a fifo without a reader", try_open("fifo", O_WRONLY | O_NONBLOCK, 0), ENXIO);
    expect("a fifo for reading, not waiting", try_open("fifo", O_RDONLY | O_NONBLOCK, 0), 0);
    if (mknod("socket", S_IFSOCK | 0600, 0) != 0)
        return;
    expect("a socket", try_open("socket", O_RDWR, 0), ENXIO);
}

void check_unnamed(void)
{
    char path[64];
    int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
    if (fd < 0 && errno == EOPNOTSUPP) {
        /* Linux' FUSE client has had O_TMPFILE since 6.2. */
        skip("files without a name", "this kernel's file system has none");
        return;
    }
    expect("an unnamed file", fd, 0);
    struct stat st;
    expect("write to it", write(fd, "unnamed", 7), 0);
    expect("fstat it", fstat(fd, &st), 0);
    expect_number("its links", (long)st.st_nlink, 0);
    expect_number("its size", st.st_size, 7);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    expect("give it a name", linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW), 0);
    expect_that("its content under the name", holds("named", "unnamed"));
    expect_number("links under the name", (long)status_of("named").st_nlink, 1);
    close(fd);
    fd = open(".", O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0644);
    expect("an unnamed file for ever", fd, 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    expect("which gets no name", linkat(AT_FDCWD, path, AT_FDCWD, "named2", AT_SYMLINK_FOLLOW),
           ENOENT);
    close(fd);
}

static void check_lengths(void)
{
    char name[300];
    memset(name, 'n', sizeof(name));
    name[255] = '\0';
    expect("a name of 255 bytes", try_open(name, O_CREAT | O_RDWR, 0600), 0);
    expect_that("it is there", exists(name));
    name[255] = 'n';
    name[256] = '\0';
    expect("a name of 256 bytes", try_open(name, O_CREAT | O_RDWR, 0600), ENAMETOOLONG);
    static const char *const odd[] = {" ",        "...",  "-rf", "a\nb", "\xc3\xa4",
                                      "\xff\xfe", "a\\b", "a:b", "*"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        expect("an odd name", try_open(odd[i], O_CREAT | O_EXCL | O_RDWR, 0600), 0);
        expect_that("is found under that name", exists(odd[i]));
    }
}

static void check_append(void)
{
    make_file("log", "12345", 0644);
    int fd = open("log", O_WRONLY | O_APPEND | O_CLOEXEC);
    expect("open for append", fd, 0);
    expect("append", write(fd, "67", 2), 0);
    make_file("log", "", 0644);
    expect("append after truncation", write(fd, "8", 1), 0);
    close(fd);
    expect_that("lands at the end", holds("log", "8"));
}

void check_open(void)
{
    check_creation();
    check_links();
    check_kinds();
    check_lengths();
    check_append();
}
