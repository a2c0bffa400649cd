// SPDX-License-Identifier: BSD-3-Clause
/*
 * treerace.c - several processes create, rename, link, delete and walk one tree at the same time
 *
 * Theory of operation
 *
 *   The processes draw names from a small set, so they meet all the time. Losing a race is no error:
 *   each kind of step knows the errors that a correct file system may give when another process was
 *   faster, and any other error ends the run.
 *
 *   A file is written once, whole, by the process that created it, and says in its content which file
 *   it is (creator, number, checksum). Whoever opens any file checks that it is empty (not written
 *   yet) or says something consistent, and that the inode number it was listed or opened under holds:
 *   a file system that confuses two inodes is caught here.
 *
 *   At the end the tree is left as it is: the caller lists it from both sides and compares.
 *
 * Usage: treerace [-p PROCESSES] [-t SECONDS] [-s SEED] [-b] DIRECTORY (must exist and be empty)
 *   -b  a listing may break off with EBADFD: GlusterFS' answer when the server that lists it is gone
 *
 * Locks: none; the processes share the tree and nothing else.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NAMES     12 /* in one directory */
#define DEPTH     3
#define PATH_ROOM 128

struct content {
    uint64_t creator, number, check;
    char text[PATH_ROOM + 16];
};

struct racer {
    bool listings_break;
    uint64_t random, number;
    uint64_t steps, lost;
};

static uint32_t pick(struct racer *r, uint32_t below)
{
    r->random ^= r->random >> 12;
    r->random ^= r->random << 25;
    r->random ^= r->random >> 27;
    return (uint32_t)((r->random * 2685821657736338717ull) >> 32) % below;
}

static void pick_path(struct racer *r, char path[PATH_ROOM])
{
    size_t at = 0;
    for (unsigned level = 0, depth = 1 + pick(r, DEPTH); level < depth; level++)
        at += (size_t)snprintf(path + at, PATH_ROOM - at, "%s%c%u", level ? "/" : "",
                               level + 1 < depth ? 'd' : "df"[pick(r, 2)], pick(r, NAMES));
}

static __attribute__((noreturn)) void die(const char *what, const char *path, int error)
{
    printf("treerace: %s %s: %s\n", what, path, error ? strerror(error) : "wrong");
    fflush(stdout);
    _exit(1);
}

/*
 * settle() - was the step done, or lost in a way that is allowed?
 * @allowed: errors, ended by 0; ENOENT, ENOTDIR and ELOOP (a directory replaced by a link) always are
 */
static bool settle(struct racer *r, int status, const char *what, const char *path,
                   const int *allowed)
{
    r->steps++;
    if (status >= 0)
        return true;
    r->lost++;
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
        return false;
    for (; *allowed; allowed++) {
        if (errno == *allowed)
            return false;
    }
    die(what, path, errno);
}

static uint64_t check_of(const struct content *c)
{
    return (c->creator * 0x9e3779b97f4a7c15ull) ^ (c->number + 0x2545f4914f6cdd1dull);
}

static void create_file(struct racer *r, const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
    if (!settle(r, fd, "create", path, (int[]){EEXIST, 0}))
        return;
    struct content c = {.creator = (uint64_t)getpid(), .number = r->number++};
    c.check = check_of(&c);
    snprintf(c.text, sizeof(c.text), "%d:%s", getpid(), path);
    if (write(fd, &c, sizeof(c)) != sizeof(c))
        die("write", path, errno);
    if (close(fd) != 0)
        die("close", path, errno);
}

static void check_file(struct racer *r, int dir, const char *path)
{
    int fd = openat(dir, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (!settle(r, fd, "open", path, (int[]){0}))
        return;
    struct stat before, after;
    struct content c;
    if (fstat(fd, &before) != 0)
        die("fstat", path, errno);
    if (S_ISREG(before.st_mode)) {
        ssize_t got = read(fd, &c, sizeof(c));
        if (got < 0)
            die("read", path, errno);
        if (got != 0 && (got != sizeof(c) || c.check != check_of(&c)))
            die("content of", path, 0);
        if (fstat(fd, &after) != 0)
            die("fstat after read", path, errno);
        if (after.st_ino != before.st_ino || !S_ISREG(after.st_mode))
            die("identity of", path, 0);
    }
    close(fd);
}

static void walk(struct racer *r, int parent, const char *name, unsigned depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (!settle(r, fd, "open directory", name, (int[]){0}))
        return;
    DIR *dir = fdopendir(fd);
    if (!dir)
        die("fdopendir", name, errno);
    unsigned seen = 0;
    for (struct dirent *e; errno = 0, (e = readdir(dir)) != NULL;) {
        if (++seen > 10000)
            die("endless listing of", name, 0);
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        struct stat st;
        if (!settle(r, fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW), "stat", e->d_name,
                    (int[]){0}))
            continue;
        if (S_ISREG(st.st_mode))
            check_file(r, fd, e->d_name);
        else if (S_ISDIR(st.st_mode) && depth < DEPTH * 2)
            walk(r, fd, e->d_name, depth + 1);
    }
    if (errno != 0 && errno != ENOENT && !(errno == EBADFD && r->listings_break))
        die("readdir", name, errno);
    closedir(dir);
}

static void step(struct racer *r)
{
    char a[PATH_ROOM], b[PATH_ROOM];
    pick_path(r, a);
    pick_path(r, b);
    switch (pick(r, 16)) {
    case 0 ... 3:
        create_file(r, a);
        break;
    case 4 ... 5:
        settle(r, mkdir(a, 0755), "mkdir", a, (int[]){EEXIST, 0});
        break;
    case 6 ... 7:
        check_file(r, AT_FDCWD, a);
        break;
    case 8 ... 9:
        settle(r, rename(a, b), "rename", a, (int[]){EISDIR, ENOTEMPTY, EEXIST, EINVAL, 0});
        break;
    case 10:
        settle(r, link(a, b), "link", a, (int[]){EEXIST, EPERM, 0});
        break;
    case 11:
        settle(r, symlink(a, b), "symlink", b, (int[]){EEXIST, 0});
        break;
    case 12 ... 13:
        settle(r, unlink(a), "unlink", a, (int[]){EISDIR, 0});
        break;
    case 14:
        settle(r, rmdir(a), "rmdir", a, (int[]){ENOTEMPTY, 0});
        break;
    default:
        walk(r, AT_FDCWD, ".", 0);
        break;
    }
}

static void race(unsigned which, uint64_t seed, unsigned seconds, bool listings_break)
{
    struct racer r = {.random = seed * 1000003 + which * 7919 + 1,
                      .listings_break = listings_break};
    struct timespec now, start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        for (int i = 0; i < 16; i++)
            step(&r);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < (time_t)seconds);
    printf("treerace: process %u: %llu steps, %llu races lost\n", which,
           (unsigned long long)r.steps, (unsigned long long)r.lost);
    fflush(stdout);
    _exit(0);
}

int main(int argc, char **argv)
{
    unsigned processes = 4, seconds = 2;
    uint64_t seed = 1;
    bool listings_break = false;
    for (int c; (c = getopt(argc, argv, "p:t:s:b")) != -1;) {
        if (c == 'p')
            processes = (unsigned)strtoul(optarg, NULL, 0);
        else if (c == 't')
            seconds = (unsigned)strtoul(optarg, NULL, 0);
        else if (c == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (c == 'b')
            listings_break = true;
        else
            return 2;
    }
    if (optind + 1 != argc || chdir(argv[optind]) != 0) {
        fprintf(stderr, "usage: treerace [-p PROCESSES] [-t SECONDS] [-s SEED] [-b] DIRECTORY\n");
        return 2;
    }
    for (unsigned i = 0; i < processes; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return 2;
        if (pid == 0)
            race(i, seed, seconds, listings_break);
    }
    int failed = 0;
    for (int status; wait(&status) > 0;)
        failed |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    return failed;
}
