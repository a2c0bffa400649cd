// SPDX-License-Identifier: BSD-3-Clause
/*
 * stress.c - many threads use a volume while its daemon is killed and replaced; nothing acknowledged may be lost
 *
 * usage: stress DOOR SHARE [SEED]
 *
 * Theory of operation: each thread has a connection, a directory \tNN and a model of it: SLOTS names, for each
 * whether it is there and its bytes. It does random operations and compares every answer with the model. The
 * script that kills the daemon writes "down" to standard input before and "up" after it was replaced. An
 * operation that fails while the daemon is away, or within GRACE_MS of its return, may have happened or not
 * (and so may a removal that succeeds): the thread asks until it gets an answer, which must be the old state or
 * the new one (for data: byte by byte, a write may be cut), and goes on from there. A failure at any other time
 * is a finding. At the end the models are compared with the volume and with the shared directory on the host.
 *
 * Ownership: each thread its model.   Locks: none; the state of the daemon and the findings are atomic.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/wine/door_client.h"

#define THREADS    16u
#define SLOTS      24u
#define ROOM       (64u << 10)
#define PIECE      (16u << 10)
#define GRACE_MS   4000
#define RESOLVE_MS 60000

enum op { CREATE, WRITE, APPEND, RESIZE, READ, STAT, RENAME, REMOVE, LIST, OPS };
static const char *const op_names[OPS] = {"create", "write",  "append", "resize", "read",
                                          "stat",   "rename", "remove", "list"};

struct slot {
    bool there;
    uint32_t size;
    uint8_t *bytes;
};

struct worker {
    unsigned id;
    uint64_t random;
    struct door_client *d;
    struct slot slots[SLOTS];
    struct slot before[2]; /* the slots of the operation as they were */
    uint64_t held;         /* handle that stays open over several operations, of held_slot */
    unsigned held_slot, held_for;
    uint64_t done[OPS], failed;
};

static struct {
    const char *door, *share;
    _Atomic bool over, down;
    _Atomic int64_t up_at;
    _Atomic unsigned outages, findings;
} run;

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static unsigned any(struct worker *w, unsigned below)
{
    w->random ^= w->random << 13; /* xorshift64 */
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (unsigned)((w->random >> 20) % below);
}

static void finding(struct worker *w, const char *format, ...)
{
    va_list args;
    char text[256];

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    run.findings++;
    fprintf(stderr, "not ok: t%02u: %s\n", w->id, text);
}

static const char *slot_path(struct worker *w, unsigned slot, char *path, size_t room)
{
    snprintf(path, room, "\\t%02u\\f%02u", w->id, slot);
    return path;
}

/* ---- the volume ---------------------------------------------------------------------------- */

static uint32_t open_slot(struct worker *w, unsigned slot, uint32_t access, uint64_t *h)
{
    char path[64];

    return door_open_path(w->d, slot_path(w, slot, path, sizeof(path)), access, h);
}

static void let_go(struct worker *w)
{
    if (w->held)
        door_close(w->d, w->held);
    w->held = 0;
}

/* A handle of the slot, the one that is held if it is for it. */
static uint32_t borrow(struct worker *w, unsigned slot, uint64_t *h)
{
    uint32_t status;

    if (w->held && w->held_slot == slot && w->held_for) {
        w->held_for--;
        *h = w->held;
        return STATUS_SUCCESS;
    }
    let_go(w);
    status = open_slot(w, slot, FILE_ALL_ACCESS, h);
    if (!status) {
        w->held = *h;
        w->held_slot = slot;
        w->held_for = any(w, 20);
    }
    return status;
}

/* What is really there. */
static uint32_t look(struct worker *w, unsigned slot, struct slot *found)
{
    uint64_t h;
    uint32_t got = 0, status = open_slot(w, slot, FILE_READ_DATA | FILE_READ_ATTRIBUTES, &h);

    found->there = !status;
    found->size = 0;
    if (status)
        return status == STATUS_OBJECT_NAME_NOT_FOUND ? STATUS_SUCCESS : status;
    status = door_read(w->d, h, 0, found->bytes, ROOM, DOOR_IO_NOCACHE, &got);
    door_close(w->d, h);
    found->size = got;
    return status == STATUS_END_OF_FILE ? STATUS_SUCCESS : status;
}

/* ---- the model ----------------------------------------------------------------------------- */

static void copy_slot(struct slot *to, const struct slot *from)
{
    to->there = from->there;
    to->size = from->size;
    memcpy(to->bytes, from->bytes, from->size);
}

static bool same(const struct slot *a, const struct slot *b)
{
    return a->there == b->there && a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

/* Is @found what a change from @old to @wanted may leave when it is cut? */
static bool between(const struct slot *found, const struct slot *old, const struct slot *wanted)
{
    uint32_t least = old->size < wanted->size ? old->size : wanted->size;
    uint32_t most = old->size > wanted->size ? old->size : wanted->size;

    if (!found->there || !old->there || !wanted->there)
        return same(found, old) || same(found, wanted);
    if (found->size < least || found->size > most)
        return false;
    for (uint32_t i = 0; i < found->size; i++)
        if (!(i < old->size && found->bytes[i] == old->bytes[i]) &&
            !(i < wanted->size && found->bytes[i] == wanted->bytes[i]))
            return false;
    return true;
}

static bool may_fail(int64_t started, unsigned outages)
{
    return run.down || run.outages != outages || started < run.up_at + GRACE_MS;
}

/* After a failure: find out how slots[which] is now. before[i] is how it was, slots[] how it should have become. */
static void resolve(struct worker *w, enum op op, unsigned slot, unsigned i)
{
    struct slot found = {.bytes = malloc(ROOM)};
    int64_t end = now_ms() + RESOLVE_MS;
    uint32_t status;

    while ((status = look(w, slot, &found)) && now_ms() < end)
        usleep(50000);
    if (status)
        finding(w, "%s: f%02u still answers %#x after %d s", op_names[op], slot, status,
                RESOLVE_MS / 1000);
    else if (!between(&found, &w->before[i], &w->slots[slot]))
        finding(w, "%s cut short: f%02u is %d/%u, was %d/%u, should become %d/%u", op_names[op],
                slot, found.there, found.size, w->before[i].there, w->before[i].size,
                w->slots[slot].there, w->slots[slot].size);
    copy_slot(&w->slots[slot], status ? &w->before[i] : &found);
    free(found.bytes);
}

/* ---- operations ---------------------------------------------------------------------------- */

static uint32_t do_create(struct worker *w, unsigned slot)
{
    char path[64];
    uint64_t h;
    uint32_t status = door_make(w->d, slot_path(w, slot, path, sizeof(path)), 0, &h);

    w->slots[slot].there = true;
    w->slots[slot].size = 0;
    return status ? status : door_close(w->d, h);
}

static uint32_t do_write(struct worker *w, unsigned slot, bool append)
{
    struct slot *s = &w->slots[slot];
    uint32_t len = 1 + any(w, PIECE), at = append ? s->size : any(w, s->size + 1), put = 0;
    uint8_t *to;
    uint64_t h;
    uint32_t status = borrow(w, slot, &h);

    if (status || at + len > ROOM)
        return status;
    to = s->bytes + at;
    memset(to, (int)any(w, 256), len);
    if (at + len > s->size)
        s->size = at + len;
    status = door_write(w->d, h, append ? UINT64_MAX : at, to, len, 0, &put);
    if (!status && put != len)
        finding(w, "a write of %u wrote %u", len, put);
    return status;
}

static uint32_t do_resize(struct worker *w, unsigned slot)
{
    struct slot *s = &w->slots[slot];
    uint32_t size = any(w, ROOM);
    uint64_t h;
    uint32_t status = borrow(w, slot, &h);

    if (status)
        return status;
    if (size > s->size)
        memset(s->bytes + s->size, 0, size - s->size);
    s->size = size;
    return door_set_size(w->d, h, size);
}

static uint32_t do_read(struct worker *w, unsigned slot)
{
    struct slot *s = &w->slots[slot];
    uint8_t buf[PIECE];
    uint32_t at = any(w, s->size + 1), got = 0;
    uint32_t expect = s->size - at < PIECE ? s->size - at : PIECE;
    uint64_t h;
    uint32_t status = borrow(w, slot, &h);

    if (status)
        return status;
    status = door_read(w->d, h, at, buf, PIECE, 0, &got);
    if (status == STATUS_END_OF_FILE && expect == 0)
        return STATUS_SUCCESS;
    if (!status && (got != expect || memcmp(buf, s->bytes + at, got) != 0))
        finding(w, "read: f%02u from %u has %u bytes, or others; not the %u written", slot, at, got,
                expect);
    return status;
}

static uint32_t do_stat(struct worker *w, unsigned slot)
{
    struct slot *s = &w->slots[slot];
    struct door_info info;
    char path[64];
    uint32_t status = door_info_of(w->d, slot_path(w, slot, path, sizeof(path)), &info);

    if (status == STATUS_OBJECT_NAME_NOT_FOUND && !s->there)
        return STATUS_SUCCESS;
    if (!status && (!s->there || info.size != s->size))
        finding(w, "stat: f%02u has %llu bytes, not %d/%u", slot, (unsigned long long)info.size,
                s->there, s->size);
    return status;
}

static uint32_t do_rename(struct worker *w, unsigned from, unsigned to)
{
    char path[64];
    uint64_t h;
    uint32_t status = open_slot(w, from, DELETE | FILE_READ_ATTRIBUTES, &h);

    copy_slot(&w->slots[to], &w->before[0]);
    w->slots[from].there = false;
    w->slots[from].size = 0;
    if (status)
        return status;
    status = door_rename(w->d, h, slot_path(w, to, path, sizeof(path)), true);
    door_close(w->d, h);
    return status;
}

static uint32_t do_remove(struct worker *w, unsigned slot)
{
    char path[64];

    w->slots[slot].there = false;
    w->slots[slot].size = 0;
    return door_remove(w->d, slot_path(w, slot, path, sizeof(path)));
}

static uint32_t do_list(struct worker *w)
{
    char path[64];
    uint64_t h;
    uint32_t status;
    unsigned n = 0, expect = 0;
    struct door_entry *all;

    snprintf(path, sizeof(path), "\\t%02u", w->id);
    status = door_open_path(w->d, path, FILE_LIST_DIRECTORY, &h);
    if (status)
        return status;
    all = door_list_all(w->d, h, NULL, &n, &status);
    door_close(w->d, h);
    for (unsigned i = 0; i < SLOTS; i++)
        expect += w->slots[i].there;
    if (!status && n != expect + 2)
        finding(w, "list: %u names, not %u", n - 2, expect);
    free(all);
    return status;
}

/* One random operation that makes sense for its slot. */
static enum op choose(struct worker *w, unsigned slot)
{
    static const enum op often[] = {WRITE, WRITE, APPEND, APPEND, RESIZE, READ, READ,
                                    READ,  STAT,  STAT,   RENAME, REMOVE, LIST};

    if (!w->slots[slot].there)
        return any(w, 4) ? CREATE : STAT;
    return often[any(w, sizeof(often) / sizeof(often[0]))];
}

static uint32_t act(struct worker *w, enum op op, unsigned slot, unsigned to)
{
    switch (op) {
    case CREATE:
        return do_create(w, slot);
    case WRITE:
    case APPEND:
        return do_write(w, slot, op == APPEND);
    case RESIZE:
        return do_resize(w, slot);
    case READ:
        return do_read(w, slot);
    case STAT:
        return do_stat(w, slot);
    case RENAME:
        return do_rename(w, slot, to);
    case REMOVE:
        return do_remove(w, slot);
    default:
        return do_list(w);
    }
}

static void step(struct worker *w)
{
    unsigned slot = any(w, SLOTS), to = (slot + 1 + any(w, SLOTS - 1)) % SLOTS;
    unsigned outages = run.outages;
    int64_t started = now_ms();
    enum op op = choose(w, slot);
    uint32_t status;

    if (op == RENAME || op == REMOVE)
        let_go(w);
    copy_slot(&w->before[0], &w->slots[slot]);
    copy_slot(&w->before[1], &w->slots[to]);
    status = act(w, op, slot, to);
    /* Windows removes when the handle is closed, which cannot fail. */
    if (!status && !(op == REMOVE && may_fail(started, outages))) {
        w->done[op]++;
        return;
    }
    w->failed++;
    if (status && !may_fail(started, outages))
        finding(w, "%s: f%02u: status %#x while the daemon is well", op_names[op], slot, status);
    let_go(w);
    resolve(w, op, slot, 0);
    if (op == RENAME)
        resolve(w, op, to, 1);
}

static void *work(void *arg)
{
    struct worker *w = arg;

    while (!run.over)
        step(w);
    let_go(w);
    return NULL;
}

/* ---- the end ------------------------------------------------------------------------------- */

/* Through the volume. */
static void check_volume(struct worker *w)
{
    struct slot found = {.bytes = malloc(ROOM)};

    for (unsigned i = 0; i < SLOTS; i++) {
        uint32_t status = look(w, i, &found);

        if (status)
            finding(w, "at the end: f%02u answers %#x", i, status);
        else if (!same(&found, &w->slots[i]))
            finding(w, "at the end: f%02u is %d/%u, not %d/%u", i, found.there, found.size,
                    w->slots[i].there, w->slots[i].size);
    }
    free(found.bytes);
}

/* On the host. */
static void check_host(struct worker *w)
{
    struct slot found = {.bytes = malloc(ROOM + 1)};
    unsigned names = 0, expect = 0;
    char path[4200];

    snprintf(path, sizeof(path), "%s/t%02u", run.share, w->id);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        names += e->d_name[0] != '.';
    if (dir)
        closedir(dir);
    for (unsigned i = 0; i < SLOTS; i++) {
        snprintf(path, sizeof(path), "%s/t%02u/f%02u", run.share, w->id, i);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, found.bytes, ROOM + 1);

        found.there = fd >= 0;
        found.size = n < 0 ? 0 : (uint32_t)n;
        if (fd >= 0)
            close(fd);
        if (n < 0 || n > ROOM || !same(&found, &w->slots[i]))
            finding(w, "on the host: f%02u is %d/%u, not %d/%u", i, found.there, found.size,
                    w->slots[i].there, w->slots[i].size);
        expect += w->slots[i].there;
    }
    if (names != expect)
        finding(w, "on the host: %u names, not %u", names, expect);
    free(found.bytes);
}

static void report(struct worker *w, double seconds)
{
    uint64_t all = 0, failed = 0;

    for (unsigned op = 0; op < OPS; op++) {
        uint64_t n = 0;

        for (unsigned i = 0; i < THREADS; i++)
            n += w[i].done[op];
        printf("# %-7s %10llu\n", op_names[op], (unsigned long long)n);
        all += n;
    }
    for (unsigned i = 0; i < THREADS; i++)
        failed += w[i].failed;
    printf("# %llu operations by %u threads in %.0f s, %llu cut short by %u outages, %u findings\n",
           (unsigned long long)all, THREADS, seconds, (unsigned long long)failed, run.outages,
           run.findings);
    if (!all)
        finding(w, "nothing was done");
}

static struct slot new_slot(void)
{
    struct slot s = {.bytes = calloc(1, ROOM)};

    if (!s.bytes)
        abort();
    return s;
}

static void prepare(struct worker *w, unsigned id, uint64_t seed)
{
    char path[64];
    uint64_t h;
    uint32_t status;

    w->id = id;
    w->random = (seed + id + 1) * 0x9E3779B97F4A7C15u;
    w->d = door_connect(run.door, 5000);
    if (!w->d)
        exit(2);
    for (unsigned i = 0; i < SLOTS; i++)
        w->slots[i] = new_slot();
    w->before[0] = new_slot();
    w->before[1] = new_slot();
    snprintf(path, sizeof(path), "\\t%02u", id);
    status = door_make(w->d, path, FILE_DIRECTORY_FILE, &h);
    if (status)
        finding(w, "no directory: %#x", status);
    else
        door_close(w->d, h);
}

static void release(struct worker *w)
{
    for (unsigned i = 0; i < SLOTS; i++)
        free(w->slots[i].bytes);
    free(w->before[0].bytes);
    free(w->before[1].bytes);
    door_disconnect(w->d);
}

/* "down", "up" and, at last, "end"; or the end of the input. */
static void follow_the_daemon(void)
{
    char line[16];

    while (fgets(line, sizeof(line), stdin) && strcmp(line, "end\n") != 0) {
        if (strcmp(line, "down\n") == 0) {
            run.outages++;
            run.down = true;
        } else {
            run.up_at = now_ms();
            run.down = false;
        }
        puts("ok");
        fflush(stdout);
    }
    run.over = true;
}

int main(int argc, char **argv)
{
    static struct worker workers[THREADS];
    pthread_t threads[THREADS];
    int64_t start = now_ms();

    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: stress DOOR SHARE [SEED]\n");
        return 2;
    }
    run.door = argv[1];
    run.share = argv[2];
    run.up_at = -GRACE_MS;
    for (unsigned i = 0; i < THREADS; i++)
        prepare(&workers[i], i, argc == 4 ? strtoull(argv[3], NULL, 10) : (uint64_t)start);
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, &workers[i]))
            abort();
    follow_the_daemon();
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        check_volume(&workers[i]);
        check_host(&workers[i]);
    }
    report(workers, (double)(now_ms() - start) / 1000);
    for (unsigned i = 0; i < THREADS; i++)
        release(&workers[i]);
    return run.findings ? 1 : 0;
}
