// SPDX-License-Identifier: BSD-3-Clause
/*
 * door_bench.c - NT operations on a mounted volume, one for each line of standard input
 *
 * Theory of operation: bench/service.py counts what the daemon served between two lines. Each line is answered
 * by "ok N" (N: operations, entries or bytes) or "failed STATUS". A rate is measured by as many threads as it is
 * told, each with a connection of its own, which is a thread of a Windows program.
 *
 *   settle                    posted closes are served, WinFsp remembers nothing of files
 *   open|stat|create|delete|list|walk|hold PATH;  read|write|append BYTES and drop (of what is held)
 *   rename PATH NAME;  copy FROM TO;  miss PATH COUNT
 *   rate OPERATION THREADS MILLISECONDS     in \rate\0 ... \rate\15 and \rate\one; adds "ms most": the time
 *                                           taken, the most callbacks in progress at once
 *
 * Ownership: main() owns the first connection, each thread its own.   Locks: none; the barrier of a rate.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/wine/door_client.h"

#define MOST_THREADS 16u
#define MOST_BYTES   (16u << 20)

static const char *door_path;
static struct door_client *door;
static uint64_t held;
static uint8_t *bytes;

static double now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* ---- operations ---------------------------------------------------------------------------- */

static uint32_t open_close(struct door_client *d, const char *path)
{
    uint64_t h;
    uint32_t status = door_open_path(d, path, FILE_READ_DATA | FILE_READ_ATTRIBUTES, &h);

    return status ? status : door_close(d, h);
}

/* What GetFileAttributesEx() does. */
static uint32_t stat_name(struct door_client *d, const char *path)
{
    uint64_t h;
    uint32_t status = door_open_path(d, path, FILE_READ_ATTRIBUTES | SYNCHRONIZE, &h);

    if (status)
        return status;
    status = door_query(d, h, FileNetworkOpenInformation, 56);
    door_close(d, h);
    return status;
}

static uint32_t create_close(struct door_client *d, const char *path)
{
    uint64_t h;
    uint32_t status = door_make(d, path, 0, &h);

    return status ? status : door_close(d, h);
}

static uint32_t create_delete(struct door_client *d, const char *path)
{
    uint32_t status = create_close(d, path);

    return status ? status : door_remove(d, path);
}

static uint32_t rename_path(const char *path, const char *to)
{
    uint64_t h;
    uint32_t status = door_open_path(door, path, DELETE | FILE_READ_ATTRIBUTES, &h);

    if (status)
        return status;
    status = door_rename(door, h, to, false);
    door_close(door, h);
    return status;
}

/* Return: entries without "." and "..", or NULL. */
static struct door_entry *entries_of(const char *path, unsigned *n, uint32_t *status)
{
    struct door_entry *all;
    uint64_t h;

    *status = door_open_path(door, path, FILE_LIST_DIRECTORY | FILE_READ_ATTRIBUTES, &h);
    if (*status)
        return NULL;
    all = door_list_all(door, h, NULL, n, status);
    door_close(door, h);
    for (unsigned i = 0; all && i < *n;) {
        if (strcmp(all[i].name, ".") == 0 || strcmp(all[i].name, "..") == 0)
            all[i] = all[--*n];
        else
            i++;
    }
    return all;
}

static uint32_t list(const char *path, uint64_t *n)
{
    uint32_t status;
    unsigned count = 0;

    free(entries_of(path, &count, &status));
    *n = count;
    return status;
}

/* As git status does without its cache: list every directory, ask for every file by its name. */
static uint32_t walk(const char *path, uint64_t *files)
{
    uint32_t status;
    unsigned n = 0;
    struct door_entry *all = entries_of(path, &n, &status);

    for (unsigned i = 0; all && i < n && !status; i++) {
        char name[2048];

        snprintf(name, sizeof(name), "%s\\%s", path, all[i].name);
        if (all[i].info.directory) {
            status = walk(name, files);
        } else {
            status = stat_name(door, name);
            ++*files;
        }
    }
    free(all);
    return status;
}

/* As CopyFile() does: data, then the times. */
static uint32_t copy_file(const char *from, const char *to)
{
    struct door_info info;
    uint64_t in, out;
    uint32_t got = 0;
    uint32_t status = door_open_path(door, from, FILE_READ_DATA | FILE_READ_ATTRIBUTES, &in);

    if (status)
        return status;
    status = door_info(door, in, &info);
    if (!status && info.size > MOST_BYTES)
        status = STATUS_FILE_TOO_LARGE;
    if (!status)
        status = door_read(door, in, 0, bytes, (uint32_t)info.size, 0, &got);
    if (!status)
        status = door_make(door, to, 0, &out);
    door_close(door, in);
    if (status)
        return status;
    status = door_write(door, out, 0, bytes, got, 0, NULL);
    if (!status)
        status = door_set_basic(door, out, 0, 0, 0, info.write, 0);
    door_close(door, out);
    return status;
}

static uint32_t copy(const char *from, const char *to, uint64_t *files)
{
    uint32_t status;
    unsigned n = 0;
    struct door_entry *all = entries_of(from, &n, &status);

    for (unsigned i = 0; all && i < n && !status; i++) {
        char a[2048], b[2048];

        snprintf(a, sizeof(a), "%s\\%s", from, all[i].name);
        snprintf(b, sizeof(b), "%s\\%s", to, all[i].name);
        status = copy_file(a, b);
        ++*files;
    }
    free(all);
    return status;
}

static uint32_t miss(const char *path, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char name[1024];
        uint32_t status;

        snprintf(name, sizeof(name), "%s\\None%u", path, i);
        status = stat_name(door, name);
        if (status != STATUS_OBJECT_NAME_NOT_FOUND)
            return status ? status : STATUS_UNSUCCESSFUL;
    }
    return STATUS_SUCCESS;
}

/* ---- rates --------------------------------------------------------------------------------- */

enum rate_op { RATE_OPEN, RATE_STAT, RATE_READ, RATE_WRITE, RATE_ONE, RATE_MANY, RATE_OPS };
static const char *const rate_names[RATE_OPS] = {"open", "stat", "read", "write", "one", "many"};

static struct {
    enum rate_op op;
    pthread_barrier_t ready;
    _Atomic bool over;
    _Atomic uint32_t status;
    _Atomic uint64_t done;
} rate;

static uint32_t rate_step(struct door_client *d, unsigned thread, uint64_t step, uint64_t h)
{
    uint8_t page[4096];
    uint64_t at = step % 256 * sizeof(page);
    char path[64];

    memset(page, (int)thread, sizeof(page));
    snprintf(path, sizeof(path), "\\rate\\%u\\f", thread);
    switch (rate.op) {
    case RATE_OPEN:
        return open_close(d, path);
    case RATE_STAT:
        return stat_name(d, path);
    case RATE_READ:
        return door_read(d, h, at, page, sizeof(page), DOOR_IO_NOCACHE, NULL);
    case RATE_WRITE:
        return door_write(d, h, at, page, sizeof(page), DOOR_IO_NOCACHE, NULL);
    case RATE_ONE:
        snprintf(path, sizeof(path), "\\rate\\one\\%u.%u", thread, (unsigned)(step % 8));
        return create_delete(d, path);
    default:
        snprintf(path, sizeof(path), "\\rate\\%u\\%u", thread, (unsigned)(step % 8));
        return create_delete(d, path);
    }
}

static void *rate_thread(void *arg)
{
    unsigned thread = (unsigned)(uintptr_t)arg;
    struct door_client *d = door_connect(door_path, 1000);
    uint32_t status = STATUS_UNSUCCESSFUL;
    uint64_t n = 0, h = 0;
    char path[64];

    snprintf(path, sizeof(path), "\\rate\\%u\\f", thread);
    if (d)
        status = STATUS_SUCCESS;
    if (d && (rate.op == RATE_READ || rate.op == RATE_WRITE))
        status = door_open_path(d, path, FILE_READ_DATA | FILE_WRITE_DATA, &h);
    if (!status)
        status = rate_step(d, thread, 0, h);
    pthread_barrier_wait(&rate.ready);
    while (!status && !rate.over)
        status = rate_step(d, thread, ++n, h);
    rate.done += n;
    if (status)
        rate.status = status;
    if (d)
        door_disconnect(d);
    return NULL;
}

static uint32_t measure(const char *name, unsigned threads, unsigned ms, uint64_t *done, char *more,
                        size_t room)
{
    pthread_t t[MOST_THREADS];
    struct door_stats stats;
    double start;

    for (rate.op = 0; rate.op < RATE_OPS && strcmp(rate_names[rate.op], name) != 0; rate.op++)
        ;
    if (rate.op == RATE_OPS || threads == 0 || threads > MOST_THREADS)
        return STATUS_INVALID_PARAMETER;
    rate.over = false;
    rate.status = 0;
    rate.done = 0;
    door_stats(door, &stats);
    pthread_barrier_init(&rate.ready, NULL, threads + 1);
    for (unsigned i = 0; i < threads; i++)
        if (pthread_create(&t[i], NULL, rate_thread, (void *)(uintptr_t)i))
            abort(); /* the barrier waits for all of them */
    pthread_barrier_wait(&rate.ready);
    start = now_ms();
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
    rate.over = true;
    for (unsigned i = 0; i < threads; i++)
        pthread_join(t[i], NULL);
    start = now_ms() - start;
    pthread_barrier_destroy(&rate.ready);
    door_stats(door, &stats);
    snprintf(more, room, " %.3f %llu", start, (unsigned long long)stats.most_at_once);
    *done = rate.done;
    return rate.status;
}

/* ---- lines --------------------------------------------------------------------------------- */

static uint32_t on_held(const char *what, uint32_t len, uint64_t *n)
{
    uint32_t got = 0, status = STATUS_INVALID_PARAMETER;

    if (len > MOST_BYTES)
        return status;
    if (strcmp(what, "read") == 0)
        status = door_read(door, held, 0, bytes, len, DOOR_IO_NOCACHE, &got);
    else
        status = door_write(door, held, strcmp(what, "append") == 0 ? UINT64_MAX : 0, bytes, len,
                            DOOR_IO_NOCACHE, &got);
    *n = got;
    return status;
}

static uint32_t serve(const char *op, const char *a, const char *b, const char *c, uint64_t *n,
                      char *more, size_t room)
{
    *n = 1;
    if (strcmp(op, "settle") == 0) {
        door_control(door, DOOR_CONTROL_SETTLE);
        door_control(door, DOOR_CONTROL_DROP_INFO_CACHE);
        return STATUS_SUCCESS;
    }
    if (strcmp(op, "open") == 0)
        return open_close(door, a);
    if (strcmp(op, "stat") == 0)
        return stat_name(door, a);
    if (strcmp(op, "create") == 0)
        return create_close(door, a);
    if (strcmp(op, "delete") == 0)
        return door_remove(door, a);
    if (strcmp(op, "rename") == 0)
        return rename_path(a, b);
    if (strcmp(op, "hold") == 0)
        return door_open_path(door, a, FILE_READ_DATA | FILE_WRITE_DATA | FILE_APPEND_DATA, &held);
    if (strcmp(op, "drop") == 0)
        return door_close(door, held);
    if (strcmp(op, "read") == 0 || strcmp(op, "write") == 0 || strcmp(op, "append") == 0)
        return on_held(op, (uint32_t)strtoul(a, NULL, 10), n);
    if (strcmp(op, "list") == 0)
        return list(a, n);
    *n = 0;
    if (strcmp(op, "walk") == 0)
        return walk(a, n);
    if (strcmp(op, "copy") == 0)
        return copy(a, b, n);
    if (strcmp(op, "miss") == 0)
        return miss(a, (unsigned)(*n = strtoul(b, NULL, 10)));
    if (strcmp(op, "rate") == 0)
        return measure(a, (unsigned)strtoul(b, NULL, 10), (unsigned)strtoul(c, NULL, 10), n, more,
                       room);
    return STATUS_INVALID_DEVICE_REQUEST;
}

int main(int argc, char **argv)
{
    char line[4096];

    if (argc != 2) {
        fprintf(stderr, "usage: door_bench DOOR\n");
        return 2;
    }
    door_path = argv[1];
    door = door_connect(door_path, 5000);
    bytes = calloc(1, MOST_BYTES);
    if (!door || !bytes) {
        fprintf(stderr, "door_bench: no door at %s\n", door_path);
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof(line), stdin)) {
        char op[16] = "", a[1024] = "", b[1024] = "", c[16] = "", more[64] = "";
        uint64_t n = 0;
        uint32_t status;

        sscanf(line, "%15s %1023s %1023s %15s", op, a, b, c);
        status = serve(op, a, b, c, &n, more, sizeof(more));
        if (status)
            printf("failed %#x\n", status);
        else
            printf("ok %llu%s\n", (unsigned long long)n, more);
    }
    door_disconnect(door);
    free(bytes);
    return 0;
}
