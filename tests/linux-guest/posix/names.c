// SPDX-License-Identifier: BSD-3-Clause
/*
 * names.c - mkdir, rmdir, link, unlink, symlink, mknod
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "posix.h"

static void check_mkdir(void)
{
    long links = (long)status_of(".").st_nlink;
    umask(027);
    expect("mkdir", mkdir("dir", 0777), 0);
    umask(022);
    expect_octal("mode of a directory under umask 027", status_of("dir").st_mode, S_IFDIR | 0750);
    expect_number("links of an empty directory", (long)status_of("dir").st_nlink,
                  links > 1 ? 2 : 1);
    expect_number("links of its parent", (long)status_of(".").st_nlink, links > 1 ? links + 1 : 1);
    make_file("file", "", 0644);
    expect("mkdir over a directory", mkdir("dir", 0777), EEXIST);
    expect("mkdir over a file", mkdir("file", 0777), EEXIST);
    expect("mkdir below a file", mkdir("file/x", 0777), ENOTDIR);
    expect("mkdir below nothing", mkdir("none/x", 0777), ENOENT);
    expect("mkdir with a slash behind", mkdir("slash/", 0777), 0);
    expect("mkdir of .", mkdir(".", 0777), EEXIST);
    expect("mkdir with a sticky bit", mkdir("sticky", 01777), 0);
    expect_octal("mode with a sticky bit", status_of("sticky").st_mode, S_IFDIR | 01755);
    if (symlink("nowhere", "link") == 0)
        expect("mkdir over a link to nothing", mkdir("link", 0777), EEXIST);
    char name[257];
    memset(name, 'd', 256);
    name[256] = '\0';
    expect("mkdir with 256 bytes", mkdir(name, 0777), ENAMETOOLONG);
    name[255] = '\0';
    expect("mkdir with 255 bytes", mkdir(name, 0777), 0);
    expect("rmdir with 255 bytes", rmdir(name), 0);
}

static void check_rmdir(void)
{
    make_dir("full", 0755);
    make_dir("full/inner", 0755);
    make_file("plain", "", 0644);
    expect("rmdir of a full directory", rmdir("full"), ENOTEMPTY);
    expect("rmdir of a file", rmdir("plain"), ENOTDIR);
    expect("rmdir of nothing", rmdir("none"), ENOENT);
    expect("rmdir of .", rmdir("full/."), EINVAL);
    expect("rmdir of ..", rmdir("full/inner/.."), ENOTEMPTY);
    expect("unlink of a directory", unlink("full"), EISDIR);
    expect("rmdir of the inner one", rmdir("full/inner"), 0);
    expect("rmdir of the emptied one", rmdir("full"), 0);
    expect_that("it is gone", !exists("full"));
    if (symlink("plain", "tolink") == 0)
        expect("rmdir of a link", rmdir("tolink"), ENOTDIR);
}

static void check_link(void)
{
    make_file("one", "shared", 0644);
    expect("link", link("one", "two"), 0);
    expect_number("links of the first name", (long)status_of("one").st_nlink, 2);
    expect_that("both names are one inode", status_of("one").st_ino == status_of("two").st_ino);
    make_file("two", "changed", 0644);
    expect_that("a change shows under both", holds("one", "changed"));
    expect("link over a file", link("one", "two"), EEXIST);
    expect("link of nothing", link("none", "three"), ENOENT);
    expect("link below a file", link("one", "two/x"), ENOTDIR);
    make_dir("d", 0755);
    expect("link of a directory", link("d", "d2"), EPERM);
    expect("unlink the first name", unlink("one"), 0);
    expect_number("links of the second name", (long)status_of("two").st_nlink, 1);
    if (symlink("two", "sym") == 0) {
        expect("link of a link", link("sym", "sym2"), 0);
        expect_that("makes a second link", S_ISLNK(status_of("sym2").st_mode));
        expect("linkat that follows", linkat(AT_FDCWD, "sym", AT_FDCWD, "two2", AT_SYMLINK_FOLLOW),
               0);
        expect_that("makes a second file", S_ISREG(status_of("two2").st_mode));
    }
}

static void check_unlink(void)
{
    make_file("u", "", 0644);
    expect("unlink below a file", unlink("u/x"), ENOTDIR);
    expect("unlink", unlink("u"), 0);
    expect("unlink again", unlink("u"), ENOENT);
    expect_that("stat finds nothing", !exists("u"));
    make_file("u", "again", 0644);
    expect_that("the name can be used again", holds("u", "again"));
}

static void check_symlink(void)
{
    char target[4097], seen[4200];
    expect("symlink", symlink("../some/where", "s"), 0);
    expect_number("length of its text", readlink("s", seen, sizeof(seen)), 13);
    expect_number("its size", status_of("s").st_size, 13);
    expect_octal("its mode", status_of("s").st_mode, S_IFLNK | 0777);
    expect("symlink over a link", symlink("x", "s"), EEXIST);
    expect("symlink with an empty text", symlink("", "empty"), ENOENT);
    expect("readlink of a directory", readlink(".", seen, sizeof(seen)), EINVAL);
    expect("readlink of nothing", readlink("none", seen, sizeof(seen)), ENOENT);
    expect_number("readlink into four bytes", readlink("s", seen, 4), 4);
    memset(target, 't', sizeof(target));
    target[1000] = '\0';
    expect("a text of 1000 bytes", symlink(target, "long"), 0);
    expect_number("is read whole", readlink("long", seen, sizeof(seen)), 1000);
    target[1000] = 't';
    target[4096] = '\0';
    expect("a text of 4096 bytes", symlink(target, "longer"), ENAMETOOLONG);
    expect("symlink that leaves", symlink("/etc/../../../..", "leaves"), 0);
    expect_number("is kept as it is", readlink("leaves", seen, sizeof(seen)), 16);
}

static void check_mknod(void)
{
    expect("mkfifo", mkfifo("fifo", 0640), 0);
    expect_octal("mode of a fifo", status_of("fifo").st_mode, S_IFIFO | 0640);
    expect("mknod of a file", mknod("reg", S_IFREG | 0644, 0), 0);
    expect_octal("mode of that file", status_of("reg").st_mode, S_IFREG | 0644);
    expect("mknod of a socket", mknod("sock", S_IFSOCK | 0600, 0), 0);
    expect_octal("mode of a socket", status_of("sock").st_mode, S_IFSOCK | 0600);
    expect("mknod over a file", mknod("reg", S_IFREG | 0644, 0), EEXIST);
    expect("mknod of a character device", mknod("null", S_IFCHR | 0600, makedev(1, 3)), 0);
    if (exists("null")) {
        expect_octal("its mode", status_of("null").st_mode, S_IFCHR | 0600);
        expect_that("its number", status_of("null").st_rdev == makedev(1, 3));
    }
    expect("mknod of a block device", mknod("block", S_IFBLK | 0600, makedev(259, 1048575)), 0);
    if (exists("block"))
        expect_that("its large number", status_of("block").st_rdev == makedev(259, 1048575));
    expect("rename of a fifo", rename("fifo", "fifo2"), 0);
    expect("unlink of a fifo", unlink("fifo2"), 0);
}

void check_names(void)
{
    check_mkdir();
    check_rmdir();
    check_link();
    check_unlink();
    check_symlink();
    check_mknod();
}
