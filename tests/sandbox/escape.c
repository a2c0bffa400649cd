// SPDX-License-Identifier: BSD-3-Clause
/*
 * escape.c - a prize outside the share, and proof that nobody got it; see escape.h
 */
#include "tests/sandbox/escape.h"

#include <dirent.h>
#include <limits.h>

static const struct timespec long_ago[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};

const char *prize(const struct wire *w, const char *rel)
{
    static char path[4][PATH_MAX];
    static unsigned turn;

    turn = (turn + 1) % 4;
    snprintf(path[turn], PATH_MAX, "%s/outside%s%s", w->d.dir, *rel ? "/" : "", rel);
    return path[turn];
}

void prize_make(struct wire *w)
{
    int fd;

    assert_ok(mkdir(prize(w, ""), 0755));
    assert_ok(mkdir(prize(w, "room"), 0755));
    fd = open(prize(w, "secret"), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, SECRET, strlen(SECRET)), strlen(SECRET));
    close(fd);
    assert_ok(utimensat(AT_FDCWD, prize(w, "secret"), long_ago, 0));
    assert_ok(utimensat(AT_FDCWD, prize(w, "room"), long_ago, 0));
    assert_ok(utimensat(AT_FDCWD, prize(w, ""), long_ago, 0));
}

static void assert_as_made(const char *path, mode_t mode, nlink_t links)
{
    struct stat st;

    assert_ok(lstat(path, &st));
    assert_int_equal(st.st_mode, mode);
    assert_int_equal(st.st_nlink, links);
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(st.st_gid, getegid());
    assert_int_equal(st.st_mtim.tv_sec, long_ago[1].tv_sec);
}

void prize_untouched(struct wire *w)
{
    char text[64] = "";
    int fd, n = 0;
    DIR *dir;

    wire_alive(w);
    assert_as_made(prize(w, ""), S_IFDIR | 0755, 3);
    assert_as_made(prize(w, "room"), S_IFDIR | 0755, 2);
    assert_as_made(prize(w, "secret"), S_IFREG | 0640, 1);
    fd = open(prize(w, "secret"), O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof(text) - 1), strlen(SECRET));
    assert_string_equal(text, SECRET);
    close(fd);
    dir = opendir(prize(w, ""));
    while (readdir(dir))
        n++;
    closedir(dir);
    assert_int_equal(n, 4); /* ., .., room, secret */
}

ssize_t read_node(struct wire *w, uint64_t node_id, char *text, size_t size)
{
    uint64_t fh;
    ssize_t n = fc_open_file(&w->c, node_id, O_RDONLY, &fh);

    text[0] = '\0';
    if (n < 0)
        return n;
    n = fc_read(&w->c, node_id, fh, text, size - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    fc_release(&w->c, node_id, fh);
    return n;
}
