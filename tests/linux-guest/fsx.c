// SPDX-License-Identifier: BSD-3-Clause
/*
 * fsx.c - random operations on one file, checked against a reference in memory
 *
 * Theory of operation
 *
 *   The program does to a file and to an array the same random sequence of reads, writes, appends,
 *   mapped accesses, truncations, allocations, holes, copies and reopenings, and compares what the file
 *   system says with the array after each step. The sequence depends on the seed alone, so a mismatch
 *   can be repeated; the last operations are printed with it.
 *
 *   An operation that the file system does not have (EOPNOTSUPP, ENODEV for shared mappings) is left
 *   out from then on and named at the end: the caller decides whether that is right.
 *
 * Usage: fsx [-s SEED] [-n OPERATIONS] [-l MAXIMUM SIZE] [-o REFERENCE] [-d] FILE
 *   -o  writes the array to REFERENCE at the end, for a comparison from the other side
 *   -d  O_DIRECT, everything aligned to 4096 bytes, no mappings
 *
 * Locks: none; one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_LINES 60
#define PAGE      4096u

enum op {
    OP_READ,
    OP_WRITE,
    OP_APPEND,
    OP_MAP_READ,
    OP_MAP_WRITE,
    OP_TRUNCATE,
    OP_ALLOCATE,
    OP_PUNCH,
    OP_ZERO,
    OP_COPY,
    OP_REOPEN,
    OP_SYNC,
    OP_COUNT
};
static const char *const op_name[OP_COUNT] = {"read",         "write",    "append",   "mapped read",
                                              "mapped write", "truncate", "allocate", "punch hole",
                                              "zero range",   "copy",     "reopen",   "sync"};

struct fsx {
    const char *path;
    int fd;
    bool direct;
    uint8_t *good;   /* what the file must hold, max bytes, zero beyond size */
    uint8_t *buffer; /* page-aligned, max bytes */
    size_t size, max;
    uint64_t random;
    bool missing[OP_COUNT];
    unsigned done[OP_COUNT];
    char log[LOG_LINES][120];
    unsigned log_next;
};

static uint32_t pick(struct fsx *f, uint32_t below)
{
    /* xorshift64*: the same sequence everywhere */
    f->random ^= f->random >> 12;
    f->random ^= f->random << 25;
    f->random ^= f->random >> 27;
    return (uint32_t)((f->random * 2685821657736338717ull) >> 32) % below;
}

__attribute__((format(printf, 2, 3))) static void note(struct fsx *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(f->log[f->log_next++ % LOG_LINES], sizeof(f->log[0]), format, args);
    va_end(args);
}

__attribute__((format(printf, 2, 3), noreturn)) static void die(struct fsx *f, const char *format,
                                                                ...)
{
    unsigned from = f->log_next > LOG_LINES ? f->log_next - LOG_LINES : 0;
    for (unsigned i = from; i < f->log_next; i++)
        printf("  %6u %s\n", i, f->log[i % LOG_LINES]);
    va_list args;
    va_start(args, format);
    printf("fsx: %s: ", f->path);
    vprintf(format, args);
    printf("\n");
    va_end(args);
    exit(1);
}

/* unsupported() - remember an operation that is not there; anything else ends the program */
static void unsupported(struct fsx *f, enum op op)
{
    if (errno != EOPNOTSUPP && errno != ENODEV && errno != ENOSYS)
        die(f, "%s: %s", op_name[op], strerror(errno));
    f->missing[op] = true;
    note(f, "  (not supported: %s)", strerror(errno));
}

static void compare(struct fsx *f, const uint8_t *seen, size_t offset, size_t length)
{
    if (memcmp(seen, f->good + offset, length) == 0)
        return;
    size_t i = 0;
    while (seen[i] == f->good[offset + i])
        i++;
    size_t bad = 0;
    for (size_t k = i; k < length; k++)
        bad += seen[k] != f->good[offset + k];
    die(f, "offset %#zx holds %#x instead of %#x, %zu wrong bytes in the range", offset + i,
        seen[i], f->good[offset + i], bad);
}

static void check_size(struct fsx *f)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        die(f, "fstat: %s", strerror(errno));
    if (st.st_size != (off_t)f->size)
        die(f, "size is %#llx instead of %#zx", (unsigned long long)st.st_size, f->size);
}

static void open_file(struct fsx *f, int flags)
{
    f->fd = open(f->path, flags | O_RDWR | O_CLOEXEC | (f->direct ? O_DIRECT : 0), 0644);
    if (f->fd < 0)
        die(f, "open: %s", strerror(errno));
}

/* fill() - bytes that tell where and when they were written */
static void fill(struct fsx *f, size_t length)
{
    uint8_t mark = (uint8_t)pick(f, 255);
    for (size_t i = 0; i < length; i++)
        f->buffer[i] = (uint8_t)(mark + 1 + (i & 7) + (i >> 8));
}

/* grow() - the file now ends at @end or later */
static void grow(struct fsx *f, size_t end)
{
    if (end > f->size)
        f->size = end;
}

static void read_range(struct fsx *f, size_t offset, size_t length)
{
    size_t there = offset >= f->size ? 0 : f->size - offset;
    size_t want = length < there ? length : there;
    ssize_t got = pread(f->fd, f->buffer, length, (off_t)offset);
    if (got < 0)
        die(f, "read: %s", strerror(errno));
    if ((size_t)got != want)
        die(f, "read gave %zd bytes instead of %zu", got, want);
    compare(f, f->buffer, offset, want);
}

static void write_range(struct fsx *f, size_t offset, size_t length, bool append)
{
    fill(f, length);
    ssize_t put;
    if (append) {
        int fd = open(f->path, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (fd < 0)
            die(f, "open for append: %s", strerror(errno));
        put = write(fd, f->buffer, length);
        if (close(fd) != 0)
            die(f, "close: %s", strerror(errno));
    } else {
        put = pwrite(f->fd, f->buffer, length, (off_t)offset);
    }
    if (put != (ssize_t)length)
        die(f, "write gave %zd instead of %zu: %s", put, length,
            put < 0 ? strerror(errno) : "short");
    memcpy(f->good + offset, f->buffer, length);
    grow(f, offset + length);
}

/* map_range() - read or write through a shared mapping; stays inside the file's pages */
static void map_range(struct fsx *f, size_t offset, size_t length, enum op op)
{
    size_t start = offset & ~(size_t)(PAGE - 1);
    if (offset + length > f->size) {
        if (op == OP_MAP_READ || ftruncate(f->fd, (off_t)(offset + length)) != 0)
            return;
        grow(f, offset + length);
    }
    size_t span = offset + length - start;
    uint8_t *map = mmap(NULL, span, op == OP_MAP_READ ? PROT_READ : PROT_READ | PROT_WRITE,
                        MAP_SHARED, f->fd, (off_t)start);
    if (map == MAP_FAILED) {
        unsupported(f, op);
        return;
    }
    if (op == OP_MAP_READ) {
        compare(f, map + (offset - start), offset, length);
    } else {
        fill(f, length);
        memcpy(map + (offset - start), f->buffer, length);
        memcpy(f->good + offset, f->buffer, length);
        if (pick(f, 4) == 0 && msync(map, span, MS_SYNC) != 0)
            die(f, "msync: %s", strerror(errno));
    }
    munmap(map, span);
}

static void truncate_to(struct fsx *f, size_t size)
{
    if (ftruncate(f->fd, (off_t)size) != 0)
        die(f, "ftruncate: %s", strerror(errno));
    if (size < f->size)
        memset(f->good + size, 0, f->size - size);
    f->size = size;
}

static void allocate_range(struct fsx *f, size_t offset, size_t length, enum op op)
{
    bool keep = op == OP_PUNCH || pick(f, 2);
    int mode = keep ? FALLOC_FL_KEEP_SIZE : 0;
    if (op == OP_PUNCH)
        mode |= FALLOC_FL_PUNCH_HOLE;
    if (op == OP_ZERO)
        mode |= FALLOC_FL_ZERO_RANGE;
    if (fallocate(f->fd, mode, (off_t)offset, (off_t)length) != 0) {
        unsupported(f, op);
        return;
    }
    size_t end = offset + length;
    if (op != OP_ALLOCATE && offset < f->size)
        memset(f->good + offset, 0, (end < f->size ? end : f->size) - offset);
    if (!keep)
        grow(f, end);
}

/* copy_range() - copy_file_range() inside the file, source and target apart from each other */
static void copy_range(struct fsx *f, size_t from, size_t length)
{
    if (from >= f->size)
        return;
    if (length > f->size - from)
        length = f->size - from;
    size_t to = pick(f, (uint32_t)(f->max - length));
    if (f->direct)
        to &= ~(size_t)(PAGE - 1);
    if (to + length > from && from + length > to)
        return;
    note(f, "  copy to %#zx", to);
    off_t in = (off_t)from, out = (off_t)to;
    for (size_t left = length; left > 0;) {
        ssize_t put = copy_file_range(f->fd, &in, f->fd, &out, left, 0);
        if (put < 0 && left == length) {
            unsupported(f, OP_COPY);
            return;
        }
        if (put <= 0)
            die(f, "copy_file_range stopped %zu bytes early: %s", left, strerror(errno));
        left -= (size_t)put;
    }
    memmove(f->good + to, f->good + from, length);
    grow(f, to + length);
}

static void reopen(struct fsx *f)
{
    if (close(f->fd) != 0)
        die(f, "close: %s", strerror(errno));
    open_file(f, 0);
}

static void step(struct fsx *f)
{
    enum op op = (enum op)pick(f, OP_COUNT);
    size_t offset = pick(f, (uint32_t)f->max);
    size_t room = f->max - offset;
    size_t length =
        1 + pick(f, (uint32_t)(pick(f, 3) ? (room < PAGE * 3 ? room : PAGE * 3) : room));
    if (f->direct) {
        offset &= ~(size_t)(PAGE - 1);
        length = (length + PAGE - 1) & ~(size_t)(PAGE - 1);
    }
    if (op == OP_APPEND) {
        offset = f->size;
        if (offset + length > f->max)
            return;
    }
    if (f->missing[op])
        return;
    note(f, "%s %#zx..%#zx (size %#zx)", op_name[op], offset, offset + length, f->size);
    f->done[op]++;
    switch (op) {
    case OP_READ:
        read_range(f, offset, length);
        break;
    case OP_WRITE:
    case OP_APPEND:
        write_range(f, offset, length, op == OP_APPEND);
        break;
    case OP_MAP_READ:
    case OP_MAP_WRITE:
        map_range(f, offset, length, op);
        break;
    case OP_TRUNCATE:
        truncate_to(f, offset);
        break;
    case OP_ALLOCATE:
    case OP_PUNCH:
    case OP_ZERO:
        allocate_range(f, offset, length, op);
        break;
    case OP_COPY:
        copy_range(f, offset, length);
        break;
    case OP_REOPEN:
        reopen(f);
        break;
    case OP_SYNC:
        if (fsync(f->fd) != 0)
            die(f, "fsync: %s", strerror(errno));
        break;
    case OP_COUNT:
        break;
    }
    check_size(f);
}

static void write_reference(struct fsx *f, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, f->good, f->size) != (ssize_t)f->size || close(fd) != 0)
        die(f, "cannot write the reference %s: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
    struct fsx f = {.random = 1, .max = 256 * 1024};
    unsigned long operations = 2000;
    const char *reference = NULL;
    for (int c; (c = getopt(argc, argv, "s:n:l:o:d")) != -1;) {
        switch (c) {
        case 's':
            f.random = strtoull(optarg, NULL, 0) * 2 + 1;
            break;
        case 'n':
            operations = strtoul(optarg, NULL, 0);
            break;
        case 'l':
            f.max = strtoul(optarg, NULL, 0) & ~(size_t)(PAGE - 1);
            break;
        case 'o':
            reference = optarg;
            break;
        case 'd':
            f.direct = true;
            break;
        default:
            return 2;
        }
    }
    if (optind + 1 != argc || f.max < PAGE || f.max > UINT32_MAX) {
        fprintf(stderr, "usage: fsx [-s SEED] [-n OPS] [-l MAX] [-o REFERENCE] [-d] FILE\n");
        return 2;
    }
    f.path = argv[optind];
    f.good = calloc(1, f.max);
    f.buffer = aligned_alloc(PAGE, f.max);
    if (!f.good || !f.buffer)
        return 2;
    if (f.direct)
        f.missing[OP_MAP_READ] = f.missing[OP_MAP_WRITE] = true;

    open_file(&f, O_CREAT | O_TRUNC);
    for (unsigned long i = 0; i < operations; i++)
        step(&f);
    reopen(&f);
    read_range(&f, 0, f.max);
    if (reference)
        write_reference(&f, reference);

    printf("fsx: %lu operations agree; without:", operations);
    bool all = true;
    for (int op = 0; op < OP_COUNT; op++) {
        if (f.missing[op] || f.done[op] == 0) {
            printf(" %s,", op_name[op]);
            all = false;
        }
    }
    printf("%s\n", all ? " nothing" : "");
    return 0;
}
