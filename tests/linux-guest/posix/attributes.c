// SPDX-License-Identifier: BSD-3-Clause
/*
 * attributes.c - chmod, chown, truncate, utimensat, and who may do them
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "posix.h"

static unsigned mode_of(const char *path)
{
    return status_of(path).st_mode & 07777;
}

static void check_chmod(void)
{
    make_file("file", "", 0644);
    expect("chmod", chmod("file", 04751), 0);
    expect_octal("mode after chmod", mode_of("file"), 04751);
    expect("chmod of nothing", chmod("none", 0), ENOENT);
    if (symlink("file", "link") == 0)
        expect("chmod through a link", chmod("link", 0600), 0);
    expect_octal("mode of the link's target", mode_of("file"), 0600);
    make_dir("dir", 0755);
    expect("sticky and setgid on a directory", chmod("dir", 03777), 0);
    expect_octal("mode of the directory", mode_of("dir"), 03777);
}

static void check_chown(void)
{
    make_file("owned", "", 0644);
    expect("chown", chown("owned", ALICE, BOB), 0);
    struct stat st = status_of("owned");
    expect_that("owner and group", st.st_uid == ALICE && st.st_gid == BOB);
    expect("chown of nobody", chown("owned", (uid_t)-1, (gid_t)-1), 0);
    st = status_of("owned");
    expect_that("leaves owner and group", st.st_uid == ALICE && st.st_gid == BOB);
    expect("chown of the group only", chown("owned", (uid_t)-1, ALICE), 0);
    st = status_of("owned");
    expect_that("changes the group only", st.st_uid == ALICE && st.st_gid == ALICE);
    if (symlink("owned", "olink") == 0) {
        expect("lchown", lchown("olink", BOB, BOB), 0);
        expect_that("changes the link", status_of("olink").st_uid == BOB);
        expect_that("and not its target", status_of("owned").st_uid == ALICE);
    }
}

static void check_truncate(void)
{
    char seen[16];
    make_file("t", "0123456789", 0644);
    expect("truncate", truncate("t", 4), 0);
    expect_that("cuts", holds("t", "0123"));
    expect("truncate to more", truncate("t", 8), 0);
    int fd = open("t", O_RDONLY | O_CLOEXEC);
    expect_number("reads the whole", read(fd, seen, sizeof(seen)), 8);
    expect_that("fills with zeros", seen[3] == '3' && seen[4] == 0 && seen[7] == 0);
    expect("ftruncate of a read-only descriptor", ftruncate(fd, 0), EINVAL);
    close(fd);
    expect("truncate to less than nothing", truncate("t", -1), EINVAL);
    expect("truncate of a directory", truncate(".", 0), EISDIR);
    expect("truncate of nothing", truncate("none", 0), ENOENT);
    expect("truncate to a terabyte", truncate("t", 1ll << 40), 0);
    expect_that("is a terabyte", status_of("t").st_size == 1ll << 40);
    expect_that("takes little space", status_of("t").st_blocks < 100);
}

void check_attributes(void)
{
    check_chmod();
    check_chown();
    check_truncate();
}

static void check_other_users(void)
{
    make_file("alices", "secret", 0600);
    make_owned("alices", ALICE, ALICE, 0600);
    make_file("group", "text", 0640);
    make_owned("group", ALICE, BOB, 0640);
    make_dir("closed", 0700);
    make_file("closed/f", "", 0644);

    become(BOB, BOB, 0);
    expect("open another's file", open("alices", O_RDONLY | O_CLOEXEC), EACCES);
    expect("chmod another's file", chmod("alices", 0644), EPERM);
    expect("chown another's file", chown("alices", BOB, BOB), EPERM);
    expect("truncate another's file", truncate("alices", 0), EACCES);
    expect("read through the group", holds("group", "text") ? 0 : -1, 0);
    expect("write through the group", open("group", O_WRONLY | O_CLOEXEC), EACCES);
    expect("access to read", faccessat(AT_FDCWD, "group", R_OK, AT_EACCESS), 0);
    expect("access to write", faccessat(AT_FDCWD, "group", W_OK, AT_EACCESS), EACCES);
    expect("create in another's directory", open("new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600),
           EACCES);
    expect("mkdir in another's directory", mkdir("newdir", 0700), EACCES);
    expect("unlink in another's directory", unlink("group"), EACCES);
    expect("rename in another's directory", rename("group", "g2"), EACCES);
    expect("look into a closed directory", faccessat(AT_FDCWD, "closed/f", F_OK, AT_EACCESS),
           EACCES);
    become(ALICE, ALICE, 0);
    expect("give a file away", chown("alices", BOB, (gid_t)-1), EPERM);
    expect("set a group one is not in", chown("alices", (uid_t)-1, BOB), EPERM);
    become(ALICE, ALICE, BOB);
    expect("set a supplementary group", chown("alices", (uid_t)-1, BOB), 0);
    become(0, 0, 0);
    make_file("nobodys", "", 0);
    expect("root opens a file of mode 0", open("nobodys", O_RDWR | O_CLOEXEC), 0);
}

static void check_sticky(void)
{
    make_dir("common", 01777);
    become(ALICE, ALICE, 0);
    make_file("common/alices", "", 0666);
    make_dir("common/alicesdir", 0777);
    become(BOB, BOB, 0);
    make_file("common/bobs", "", 0644);
    expect("unlink another's in a sticky directory", unlink("common/alices"), EPERM);
    expect("rename another's in a sticky directory", rename("common/alices", "common/x"), EPERM);
    expect("rename over another's", rename("common/bobs", "common/alices"), EPERM);
    expect("rmdir another's", rmdir("common/alicesdir"), EPERM);
    expect("unlink one's own", unlink("common/bobs"), 0);
    become(0, 0, 0);
}

static void check_new_owners(void)
{
    make_dir("open", 0777);
    make_dir("setgid", 0777);
    make_owned("setgid", 0, BOB, 02777);
    become(ALICE, ALICE, 0);
    make_file("open/file", "", 0644);
    make_dir("open/dir", 0755);
    expect("symlink as a user", symlink("x", "open/link"), 0);
    expect("mkfifo as a user", mkfifo("open/fifo", 0600), 0);
    expect("mknod of a device as a user", mknod("open/dev", S_IFCHR | 0600, 0x103), EPERM);
    expect("mkdir in a setgid directory", mkdir("setgid/dir", 0755), 0);
    int fd = open("setgid/file", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 02755);
    expect("create in a setgid directory", fd, 0);
    close(fd);
    become(0, 0, 0);
    expect_that("a file is its maker's", status_of("open/file").st_uid == ALICE);
    expect_that("so is its group", status_of("open/file").st_gid == ALICE);
    expect_that("a directory is its maker's", status_of("open/dir").st_uid == ALICE);
    expect_that("a link is its maker's", status_of("open/link").st_uid == ALICE);
    expect_that("a fifo is its maker's", status_of("open/fifo").st_uid == ALICE);
    expect_that("the group of the directory is inherited", status_of("setgid/dir").st_gid == BOB);
    expect_octal("and its setgid bit", mode_of("setgid/dir"), 02755);
    expect_that("a file inherits the group", status_of("setgid/file").st_gid == BOB);
    expect_octal("and may not be setgid for a group its maker is not in", mode_of("setgid/file"),
                 0755);
}

static void check_privilege_bits(void)
{
    make_file("suid", "text", 0755);
    make_owned("suid", ALICE, ALICE, 06777);
    become(BOB, BOB, 0);
    int fd = open("suid", O_WRONLY | O_CLOEXEC);
    expect("write to another's setuid file", write(fd, "x", 1), 0);
    close(fd);
    become(0, 0, 0);
    expect_octal("a write clears setuid and setgid", mode_of("suid"), 0777);

    make_owned("suid", ALICE, ALICE, 06777);
    become(BOB, BOB, 0);
    expect("truncate another's setuid file", truncate("suid", 1), 0);
    become(0, 0, 0);
    expect_octal("truncation clears them", mode_of("suid"), 0777);

    make_owned("suid", ALICE, ALICE, 06755);
    become(ALICE, ALICE, BOB);
    expect("chown one's setuid file", chown("suid", (uid_t)-1, BOB), 0);
    become(0, 0, 0);
    expect_octal("chown clears them", mode_of("suid"), 0755);

    make_owned("suid", ALICE, BOB, 0755);
    become(ALICE, ALICE, 0);
    expect("setgid for a group one is not in", chmod("suid", 02755), 0);
    become(0, 0, 0);
    expect_octal("is left out", mode_of("suid"), 0755);
}

void check_permissions(void)
{
    check_other_users();
    check_sticky();
    check_new_owners();
    check_privilege_bits();
}

static int64_t nanoseconds(struct timespec t)
{
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void check_times(void)
{
    struct timespec set[2] = {{.tv_sec = 1000000000, .tv_nsec = 123456789},
                              {.tv_sec = 2000000000, .tv_nsec = 987654321}};
    make_file("file", "text", 0644);
    expect("utimensat", utimensat(AT_FDCWD, "file", set, 0), 0);
    struct stat st = status_of("file");
    expect_that("atime to the nanosecond", nanoseconds(st.st_atim) == nanoseconds(set[0]));
    expect_that("mtime to the nanosecond", nanoseconds(st.st_mtim) == nanoseconds(set[1]));
    expect_that("ctime is now", st.st_ctim.tv_sec > 1700000000);

    struct timespec keep[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 5, .tv_nsec = 0}};
    expect("mtime only", utimensat(AT_FDCWD, "file", keep, 0), 0);
    st = status_of("file");
    expect_that("atime is kept", nanoseconds(st.st_atim) == nanoseconds(set[0]));
    expect_number("mtime is set", st.st_mtim.tv_sec, 5);

    if (symlink("file", "link") == 0) {
        expect("of a link", utimensat(AT_FDCWD, "link", set, AT_SYMLINK_NOFOLLOW), 0);
        expect_that("mtime of the link",
                    nanoseconds(status_of("link").st_mtim) == nanoseconds(set[1]));
        expect_number("mtime of its target", status_of("file").st_mtim.tv_sec, 5);
    }
    make_owned("file", ALICE, ALICE, 0666);
    become(BOB, BOB, 0);
    expect("another may say now", utimensat(AT_FDCWD, "file", NULL, 0), 0);
    expect("another may not say when", utimensat(AT_FDCWD, "file", set, 0), EPERM);
    become(0, 0, 0);
    expect_that("now is now", status_of("file").st_mtim.tv_sec > 1700000000);

    utimensat(AT_FDCWD, "file", set, 0);
    int fd = open("file", O_WRONLY | O_CLOEXEC);
    expect("write", write(fd, "x", 1), 0);
    close(fd);
    expect_that("a write changes mtime", status_of("file").st_mtim.tv_sec != 2000000000);
    make_dir("dir", 0755);
    utimensat(AT_FDCWD, "dir", set, 0);
    make_file("dir/new", "", 0644);
    expect_that("a new name changes its directory's mtime",
                status_of("dir").st_mtim.tv_sec != 2000000000);
    utimensat(AT_FDCWD, "dir", set, 0);
    expect("unlink it", unlink("dir/new"), 0);
    expect_that("a lost name does, too", status_of("dir").st_mtim.tv_sec != 2000000000);
}
