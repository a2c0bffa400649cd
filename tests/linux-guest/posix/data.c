// SPDX-License-Identifier: BSD-3-Clause
/*
 * data.c - reading, writing, holes, allocation, copies; and files whose last name is gone
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "posix.h"

static void check_read_write(void)
{
    char seen[32];
    make_file("f", "0123456789", 0644);
    int fd = open("f", O_RDWR | O_CLOEXEC);
    expect_number("read beyond the end", pread(fd, seen, sizeof(seen), 100), 0);
    expect_number("read across the end", pread(fd, seen, sizeof(seen), 8), 2);
    expect("read at less than nothing", pread(fd, seen, 1, -1), EINVAL);
    expect_number("write beyond the end", pwrite(fd, "x", 1, 5000), 1);
    expect_number("makes the file longer", status_of("f").st_size, 5001);
    expect_number("a read in the gap", pread(fd, seen, 16, 2000), 16);
    expect_that("gives zeros", seen[0] == 0 && seen[15] == 0);
    struct iovec parts[2] = {{.iov_base = (char[]){"ab"}, .iov_len = 2},
                             {.iov_base = (char[]){"cd"}, .iov_len = 2}};
    expect_number("writev", pwritev(fd, parts, 2, 0), 4);
    expect_number("read it", pread(fd, seen, 4, 0), 4);
    expect_that("both parts are there", memcmp(seen, "abcd", 4) == 0);
    expect("fsync", fsync(fd), 0);
    expect("fdatasync", fdatasync(fd), 0);
    expect("syncfs", syncfs(fd), 0);
    close(fd);
    fd = open("f", O_RDONLY | O_CLOEXEC);
    expect("write to a read-only descriptor", write(fd, "x", 1), EBADF);
    close(fd);
    fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    expect("read of a directory", read(fd, seen, 1), EISDIR);
    expect("fsync of a directory", fsync(fd), 0);
    close(fd);
}

static void check_large(void)
{
    static char block[3 << 20];
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (char)(i * 31 + i / 4096);
    int fd = open("large", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    expect_number("write three megabytes at once", pwrite(fd, block, sizeof(block), 12345),
                  sizeof(block));
    close(fd);
    fd = open("large", O_RDONLY | O_CLOEXEC);
    char *seen = malloc(sizeof(block));
    expect_number("read them at once", pread(fd, seen, sizeof(block), 12345), sizeof(block));
    expect_that("every byte is right", memcmp(seen, block, sizeof(block)) == 0);
    free(seen);
    close(fd);
}

static void check_space(void)
{
    struct stat st;
    struct statfs fs;
    int fd = open("space", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    expect("fallocate", fallocate(fd, 0, 0, 100000), 0);
    expect_number("makes the file longer", status_of("space").st_size, 100000);
    expect_that("takes space", status_of("space").st_blocks * 512 >= 100000);
    expect("fallocate beyond the end", fallocate(fd, FALLOC_FL_KEEP_SIZE, 200000, 1000), 0);
    expect_number("does not if told so", status_of("space").st_size, 100000);
    expect_number("fill it", pwrite(fd, "data", 4, 8192), 4);
    expect("punch a hole", fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 8192, 4096),
           0);
    char seen[4] = "xxxx";
    expect_number("read in the hole", pread(fd, seen, 4, 8192), 4);
    expect_that("gives zeros", memcmp(seen, "\0\0\0\0", 4) == 0);
    expect("fallocate of nothing", fallocate(fd, 0, 0, 0), EINVAL);
    expect("fallocate at less than nothing", fallocate(fd, 0, -1, 10), EINVAL);
    close(fd);

    fd = open("sparse", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    expect("make a sparse file", ftruncate(fd, 8 << 20), 0);
    expect_number("with data in the middle", pwrite(fd, "d", 1, 4 << 20), 1);
    expect("fsync it", fsync(fd), 0);
    expect_number("SEEK_DATA finds it", lseek(fd, 0, SEEK_DATA), 4 << 20);
    expect_number("SEEK_HOLE at the start", lseek(fd, 0, SEEK_HOLE), 0);
    expect_that("SEEK_HOLE behind it", lseek(fd, 4 << 20, SEEK_HOLE) > 4 << 20);
    expect("SEEK_DATA at the end", lseek(fd, 8 << 20, SEEK_DATA), ENXIO);
    expect("fstat it", fstat(fd, &st), 0);
    expect_that("it takes little space", st.st_blocks * 512 < 1 << 20);
    expect("fstatfs", fstatfs(fd, &fs), 0);
    expect_number("the longest name", (long)fs.f_namelen, 255);
    expect_that("sizes make sense", fs.f_bsize > 0 && fs.f_bfree <= fs.f_blocks);
    close(fd);
}

static void check_copy(void)
{
    make_file("source", "copy this text", 0644);
    int in = open("source", O_RDONLY | O_CLOEXEC);
    int out = open("copy", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    expect_number("copy_file_range", copy_file_range(in, NULL, out, NULL, 100, 0), 14);
    expect_that("copies the text", holds("copy", "copy this text"));
    off_t at = 5;
    expect_number("sendfile", sendfile(out, in, &at, 4), 4);
    expect_that("appends a part", holds("copy", "copy this textthis"));
    expect("copy_file_range from a write-only file",
           copy_file_range(open("copy", O_WRONLY | O_CLOEXEC), NULL, out, NULL, 1, 0), EBADF);
    close(in);
    close(out);
}

void check_data(void)
{
    check_read_write();
    check_large();
    check_space();
    check_copy();
}

static void check_unlinked_file(void)
{
    struct stat st;
    char seen[16], path[64];
    make_file("f", "content", 0644);
    int fd = open("f", O_RDWR | O_CLOEXEC);
    ino_t inode = status_of("f").st_ino;
    expect("unlink an open file", unlink("f"), 0);
    expect_that("the name is gone", !exists("f"));
    expect("fstat", fstat(fd, &st), 0);
    expect_number("no links", (long)st.st_nlink, 0);
    expect_that("the same inode", st.st_ino == inode);
    expect_number("read", pread(fd, seen, sizeof(seen), 0), 7);
    expect_number("write", pwrite(fd, "CONTENT!", 8, 0), 8);
    expect("ftruncate", ftruncate(fd, 4), 0);
    expect("fstat again", fstat(fd, &st), 0);
    expect_number("the new size", st.st_size, 4);
    expect("fchmod", fchmod(fd, 0600), 0);
    expect("fchown", fchown(fd, ALICE, BOB), 0);
    expect("futimens", futimens(fd, (struct timespec[2]){{.tv_sec = 7}, {.tv_sec = 8}}), 0);
    expect("fstat once more", fstat(fd, &st), 0);
    expect_octal("the new mode", st.st_mode & 07777, 0600);
    expect_that("the new owner", st.st_uid == ALICE && st.st_gid == BOB);
    expect_number("the new time", st.st_mtim.tv_sec, 8);
    expect("fsync", fsync(fd), 0);
    make_file("f", "another", 0644);
    expect_that("the name can be used again", holds("f", "another"));
    expect("fstat with another file of the name", fstat(fd, &st), 0);
    expect_number("the old size", st.st_size, 4);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_CLOEXEC);
    expect("open it again through /proc", again, 0);
    expect_number("and read it", pread(again, seen, sizeof(seen), 0), 4);
    close(again);
    close(fd);
}

static void check_unlinked_directory(void)
{
    struct stat st;
    make_dir("d", 0755);
    int fd = open("d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    expect("rmdir an open directory", rmdir("d"), 0);
    expect("fstat", fstat(fd, &st), 0);
    expect("create in it", openat(fd, "x", O_CREAT | O_RDWR | O_CLOEXEC, 0600), ENOENT);
    expect("mkdir in it", mkdirat(fd, "x", 0700), ENOENT);
    expect("look into it", fstatat(fd, "x", &st, 0), ENOENT);
    close(fd);
}

void check_unlinked(void)
{
    check_unlinked_file();
    check_unlinked_directory();
}
