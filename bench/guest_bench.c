// SPDX-License-Identifier: BSD-3-Clause
/*
 * guest_bench.c - what a program in a guest sees: DIR TURNS ROUNDS SECONDS
 *
 * Runs inside a guest on a mounted share. DIR is a directory there, TURNS a directory of the host's that
 * the guest sees. When the files are there it makes TURNS/done-0-ready-0-0. Before each kind of work in each round it waits for the file TURNS/go-ROUND-NAME, and
 * afterwards makes TURNS/done-ROUND-NAME-OPERATIONS-MICROSECONDS: so that two guests can take turns, and
 * whatever else the machine does meets both alike. (Names of files, because contents would wait in the
 * guest's page cache.)
 *
 * bench/uml.py mounts shares whose daemons were told not to let the guest cache, so that every operation
 * reaches them.
 *
 * Ownership and locks: none.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define N_FILES 500u
#define BIG     (32u << 20)
#define MIB     (1u << 20)

static uint8_t *buffer; /* 1 MiB, page-aligned */
static int big_fd;
static unsigned turn;
static uint32_t seed = 2463534242u;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static off_t random_page(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return (off_t)(seed % (BIG / 4096)) * 4096;
}

static int make_file(const char *name, size_t bytes)
{
    int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

    for (size_t at = 0; fd >= 0 && at < bytes; at += bytes < MIB ? bytes : MIB)
        if (write(fd, buffer, bytes < MIB ? bytes : MIB) < 0)
            return -1;
    return fd < 0 ? -1 : close(fd);
}

/* Each does some work and returns how many operations that was, or -1. */

static int do_stat(void)
{
    struct stat st;
    char name[32];

    snprintf(name, sizeof(name), "f%u", turn++ % N_FILES);
    return stat(name, &st) == 0 ? 1 : -1;
}

static int do_stat_missing(void)
{
    struct stat st;
    char name[32];

    snprintf(name, sizeof(name), "missing%u", turn++);
    return stat(name, &st) < 0 && errno == ENOENT ? 1 : -1;
}

static int do_open_read(void)
{
    char name[32];
    ssize_t n;
    int fd;

    snprintf(name, sizeof(name), "f%u", turn++ % N_FILES);
    fd = open(name, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, buffer, 4096);
    return fd >= 0 && close(fd) == 0 && n == 4096 ? 1 : -1;
}

static int do_create(void)
{
    char name[32];

    snprintf(name, sizeof(name), "new%u", turn++);
    return make_file(name, 4096) == 0 && unlink(name) == 0 ? 1 : -1;
}

static int do_list(void)
{
    DIR *d = opendir(".");
    int n = 0;

    if (!d)
        return -1;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        struct stat st;

        n += fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    }
    closedir(d);
    return n;
}

static int do_read4k(void)
{
    return pread(big_fd, buffer, 4096, random_page()) == 4096 ? 1 : -1;
}

static int do_write4k(void)
{
    return pwrite(big_fd, buffer, 4096, random_page()) == 4096 ? 1 : -1;
}

static int do_read1m(void)
{
    return pread(big_fd, buffer, MIB, (off_t)(turn++ % (BIG / MIB)) * MIB) == MIB ? 1 : -1;
}

static int do_write1m(void)
{
    return pwrite(big_fd, buffer, MIB, (off_t)(turn++ % (BIG / MIB)) * MIB) == MIB ? 1 : -1;
}

static const struct {
    const char *name;
    int (*work)(void);
} table[] = {
    {"stat", do_stat},           {"stat-missing", do_stat_missing},
    {"open-read", do_open_read}, {"create", do_create},
    {"list", do_list},           {"read4k", do_read4k},
    {"write4k", do_write4k},     {"read1m", do_read1m},
    {"write1m", do_write1m},
};

static int prepare(const char *dir)
{
    buffer = aligned_alloc(4096, MIB);
    if (!buffer || chdir(dir) < 0 || (mkdir("bench", 0755) < 0 && errno != EEXIST) ||
        chdir("bench") < 0)
        return -1;
    memset(buffer, 'x', MIB);
    for (unsigned i = 0; i < N_FILES; i++) {
        char name[32];

        snprintf(name, sizeof(name), "f%u", i);
        if (make_file(name, 4096) < 0)
            return -1;
    }
    if (make_file("../big", BIG) < 0)
        return -1;
    big_fd = open("../big", O_RDWR | O_DIRECT | O_CLOEXEC);
    return big_fd < 0 ? -1 : 0;
}

/* Return: 0 when it is our turn, -1 when it does not come within two minutes. */
static int wait_for_turn(const char *turns, unsigned round, const char *name)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/go-%u-%s", turns, round, name);
    for (unsigned i = 0; i < 60000; i++) {
        if (access(path, F_OK) == 0)
            return 0;
        usleep(2000);
    }
    return -1;
}

static int tell(const char *turns, unsigned round, const char *name, long ops, double seconds)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/done-%u-%s-%ld-%.0f", turns, round, name, ops, seconds * 1e6);
    return mknod(path, S_IFREG | 0644, 0);
}

static int take_turn(const char *turns, unsigned round, const char *name, int (*work)(void),
                     double seconds)
{
    double start, end;
    long ops = 0;

    if (wait_for_turn(turns, round, name) < 0)
        return -1;
    for (start = end = now(); end - start < seconds; end = now()) {
        int n = work();

        if (n < 0)
            return -1;
        ops += n;
    }
    return tell(turns, round, name, ops, end - start);
}

int main(int argc, char **argv)
{
    if (argc != 5 || prepare(argv[1]) < 0) {
        perror("guest_bench");
        return 1;
    }
    if (tell(argv[2], 0, "ready", 0, 0) < 0)
        return 1;
    for (unsigned round = 0; round < (unsigned)atoi(argv[3]); round++) {
        for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
            if (take_turn(argv[2], round, table[i].name, table[i].work, atof(argv[4])) < 0) {
                perror(table[i].name);
                return 1;
            }
        }
    }
    return 0;
}
