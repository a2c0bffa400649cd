// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuzz_state.c - a guest's state from a host, or from a process, that lies
 *
 * Theory of operation
 *
 *   The first byte of an input says what it is, and with which options the server runs (state_rig.c).
 *
 *   A stream, as a migration brings it: a byte of flags, then records, each with its kind (u8), its length (u16) and its
 *   bytes. The head is put before them, and an end with the right count and checksum behind, unless a flag
 *   wants otherwise. A file handle of one byte is replaced by the real one of a path, inside the share or outside.
 *   What loads must be saveable, and what was saved must load again.
 *
 *   Kept regions, as the next worker finds them: a guest's life of a few requests (the second byte leaves
 *   parts of it out), and what the device notes of it; then the worker "ends", and the rest of the input is written over what it
 *   left: a place (u8, and an offset of u16), a length (u8) and bytes. A worker that was merely killed writes none of
 *   that, but one that a guest has taken over may.
 *
 *   After either the guest goes on; then nothing may be left, no descriptor either, and what lies beside
 *   the share has not been touched.
 *
 *   "fuzz_state --write-seeds DIR" makes seeds from what real servers write.
 *
 * Locks: none; one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/lock_kept.h"
#include "state/stream.h"
#include "tests/fuzz/fuzz_must.h"
#include "tests/fuzz/server_share.h"
#include "tests/fuzz/state_rig.h"
#include "tests/unit/keep_rig.h"
#include "tree/move.h"
#include "tree/tree_int.h"
#include "vhost/resume.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
const char *__asan_default_options(void);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Byte 0. */
enum { KEPT = 0x80, CHANGES = 0x40, ROW = 0x07 };

/* Byte 1 of a stream. */
enum {
    WRONG_SUM = 1,
    WRONG_COUNT = 2,
    NO_END = 4,
    NOT_AT_END = 8, /* something follows */
    RAW = 16,       /* the records come as they would on the wire */
};

#define STREAM_MAX 0x40000u
#define HEAD_BYTES 12u
#define GUEST_SIZE 0x10000u

static struct {
    struct keep *keep;
    int memory, event, file; /* guest memory; an eventfd; what a stream goes through */
    uint8_t bytes[STREAM_MAX];
    size_t n;
} run;

/* ---- streams ------------------------------------------------------------------------------------- */

static void put(const void *p, size_t len)
{
    if (len > STREAM_MAX - 64 - run.n)
        len = STREAM_MAX - 64 - run.n; /* 64: there is always room for an end */
    memcpy(run.bytes + run.n, p, len);
    run.n += len;
}

static void put_number(uint64_t v, unsigned bytes)
{
    uint8_t le[8];

    for (unsigned i = 0; i < bytes; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    memcpy(run.bytes + run.n, le, bytes);
    run.n += bytes;
}

/* The handle of a path of the host's, as the file system makes it now. */
static unsigned real_handle(uint8_t which, uint8_t *to, int32_t *type)
{
    static const char *const path[] = {"a", "dir", "dir/a", "link", "../outside/secret", ".."};
    union {
        struct file_handle h;
        uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } got = {.h.handle_bytes = MAX_HANDLE_SZ};
    int mount;

    if (name_to_handle_at(share_fd(), path[which % 6], &got.h, &mount, 0) < 0)
        return 0;
    memcpy(to, got.h.f_handle, got.h.handle_bytes);
    *type = got.h.handle_type;
    return got.h.handle_bytes;
}

/* An INODE's last two fields are the type (u32) and the bytes (u16 and so many) of its handle. */
static void put_record(unsigned kind, const uint8_t *p, size_t len)
{
    uint8_t handle[MAX_HANDLE_SZ];
    unsigned n = 0;
    int32_t type;

    if (kind == STREAM_INODE && len >= 7 && p[len - 3] == 1 && p[len - 2] == 0)
        n = real_handle(p[len - 1], handle, &type);
    put_number(kind, 2);
    put_number(n ? len - 1 + n : len, 4);
    put(p, n ? len - 7 : len);
    if (n) {
        put_number((uint32_t)type, 4);
        put_number(n, 2);
        put(handle, n);
    }
}

static uint64_t sum_of(const uint8_t *p, size_t len)
{
    uint64_t x = 0xcbf29ce484222325u;

    for (size_t i = 0; i < len; i++)
        x = (x ^ p[i]) * 0x100000001b3u;
    return x;
}

static void make_stream(const uint8_t *data, size_t size, unsigned flags)
{
    uint64_t records = 0;

    run.n = 0;
    put("viofsst\n", 8);
    put_number(STREAM_VERSION, 4);
    if (flags & RAW)
        put(data, size);
    while (!(flags & RAW) && size >= 3 && run.n < STREAM_MAX / 2) {
        size_t len = data[1] | (size_t)data[2] << 8;
        if (len > size - 3)
            len = size - 3;
        put_record(data[0], data + 3, len);
        records++;
        data += 3 + len;
        size -= 3 + len;
    }
    if (flags & NO_END)
        return;
    uint64_t sum = sum_of(run.bytes, run.n);
    put_number(STREAM_END, 2);
    put_number(16, 4);
    put_number(records + !!(flags & WRONG_COUNT), 8);
    put_number(sum + !!(flags & WRONG_SUM), 8);
    if (flags & NOT_AT_END)
        put_number(0, 1);
}

static int transfer(struct rig *r, uint32_t direction)
{
    r->vu->proto_features |= UINT64_C(1) << VU_PROTO_DEVICE_STATE;
    MUST(lseek(run.file, 0, SEEK_SET) == 0);
    rig_inline();
    int err =
        transfer_begin(r->vu, direction, VU_STATE_STOPPED, fcntl(run.file, F_DUPFD_CLOEXEC, 0));
    return err < 0 ? err : transfer_check(r->vu);
}

/* Return: as loading goes. */
static int load(struct rig *r)
{
    MUST(ftruncate(run.file, 0) == 0 && pwrite(run.file, run.bytes, run.n, 0) == (ssize_t)run.n);
    return transfer(r, VU_STATE_LOAD);
}

static void save(struct rig *r)
{
    MUST(ftruncate(run.file, 0) == 0);
    MUST(transfer(r, VU_STATE_SAVE) == 0);
    ssize_t n = pread(run.file, run.bytes, sizeof(run.bytes), 0);
    MUST(n > 0 && (size_t)n < sizeof(run.bytes));
    run.n = (size_t)n;
}

static void heads_have_records(const struct vu *vu)
{
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++) {
        for (uint32_t j = 0; j < vu->queue[i].deferred.n; j++)
            MUST(vu->queue[i].deferred.head[j] < RING_MAX_SIZE);
    }
}

static void goes_on(struct rig *r, unsigned row)
{
    struct rig other;

    heads_have_records(r->vu);
    save(r);
    MUST(rig_up(&other, row, NULL) == 0);
    MUST(load(&other) == 0);
    rig_leave(&other);
    rig_down(&other);
}

static void try_stream(const uint8_t *data, size_t size)
{
    struct rig r;

    make_stream(data + 2, size - 2, data[1]);
    MUST(rig_up(&r, data[0] & ROW, NULL) == 0);
    int err = load(&r);
    heads_have_records(r.vu);
    MUST(err == 0 || (tree_inodes(r.srv->tree) == 1 && !r.srv->session.live));
    if (err == 0) {
        rig_look(&r, data[0] & CHANGES);
        goes_on(&r, data[0] & ROW);
    }
    device_reset(r.vu);
    rig_leave(&r);
    rig_down(&r);
}

/* ---- kept regions --------------------------------------------------------------------------------- */

enum { NODES = 10, FEW = 10 };

/* What may be written over, and what is saved while the worker that "ended" cleans up. */
static const struct part {
    enum keep_region region;
    size_t at, bytes;
} part[] = {
    {KEEP_SESSION, sizeof(struct keep_head),
     sizeof(struct kept_session) - sizeof(struct keep_head)},
    {KEEP_INODES, sizeof(struct keep_head), NODES * sizeof(struct inode)},
    {KEEP_MOUNTS, sizeof(struct keep_head), 2500},
    {KEEP_HANDLES, sizeof(struct keep_head), FEW * 16},
    {KEEP_LOCKS, sizeof(struct keep_head), FEW * sizeof(struct kept_lock)},
    {KEEP_LOCKS, offsetof(struct kept_locks, ranges), 128},
    {KEEP_NAMES, sizeof(struct keep_head), 4},
    {KEEP_DEVICE, sizeof(struct keep_head),
     offsetof(struct journal, queue) + 2 * sizeof(struct journal_queue)},
    {KEEP_DEVICE, offsetof(struct journal, record) + sizeof(struct vu_record[RING_MAX_SIZE]),
     FEW * sizeof(struct vu_record)},
};
enum { PARTS = sizeof(part) / sizeof(part[0]), A_NAME = PARTS, A_HANDLE, PLACES };
#define NAMES_BYTES (16u * 4096u) /* a page for each lane that is used, and more */
#define NAMES_UNITS (1u << 17)

/* A front end is connected, has given one page of queue memory, and three requests are out. */
static void note_device(struct rig *r, int conn)
{
    struct journal *j = r->vu->journal;
    struct journal_state *s = &j->state[0];

    *s = (struct journal_state){.features = 1ull << 32, .session = true, .n_mem = 1};
    s->mem[0] = (struct journal_mem){.size = GUEST_SIZE, .uva = 0x100000, .slot = 0};
    s->ring[1] = (struct journal_ring){.desc = 0x100000,
                                       .avail = 0x101000,
                                       .used = 0x102000,
                                       .size = 8,
                                       .started = true,
                                       .enabled = true};
    j->current = 0;
    j->queue[1] = (struct journal_queue){.next = 3, .open = 1, .used = 1};
    for (unsigned i = 0; i < 3; i++)
        j->record[1][i] = (struct vu_record){
            .order = i, .len = 16, .used_at = 0, .state = (uint8_t)(VU_RECORD_TAKEN + i)};
    keep_put(run.keep, KEEP_CONN, 0, conn);
    keep_put(run.keep, KEEP_MEMORY, 0, run.memory);
    keep_put(run.keep, KEEP_KICK, 1, run.event);
    keep_put(run.keep, KEEP_CALL, 1, run.event);
}

/* The worker lives and ends. What it left is in the regions. */
static void live_and_end(unsigned row, unsigned how, int conn)
{
    static uint8_t saved[PARTS][0x20000], names[NAMES_BYTES];
    uint8_t *all_names = keep_rig_region(run.keep, KEEP_NAMES);
    struct rig r;

    keep_rig_resumes(run.keep, false);
    MUST(rig_up(&r, row, run.keep) == 0);
    rig_live(&r, how);
    note_device(&r, conn);
    keep_rig_freeze(run.keep, true);
    for (unsigned i = 0; i < PARTS; i++) {
        MUST(part[i].bytes <= sizeof(saved[i]));
        memcpy(saved[i], (uint8_t *)keep_rig_region(run.keep, part[i].region) + part[i].at,
               part[i].bytes);
    }
    memcpy(names, all_names, sizeof(names));
    /* A process that ends gives back what it had; this one has to do it by hand. */
    server_ops.session_reset(r.srv);
    rig_down(&r);
    for (unsigned i = 0; i < PARTS; i++)
        memcpy((uint8_t *)keep_rig_region(run.keep, part[i].region) + part[i].at, saved[i],
               part[i].bytes);
    memcpy(all_names, names, sizeof(names));
}

/* Where place @which begins. @bytes: of it; 0: it is not there. */
static uint8_t *place(unsigned which, unsigned index, size_t *bytes)
{
    const struct inode *inodes = keep_rig_region(run.keep, KEEP_INODES);
    uint8_t *names = keep_rig_region(run.keep, KEEP_NAMES);

    if (which < PARTS) {
        *bytes = part[which].bytes;
        return (uint8_t *)keep_rig_region(run.keep, part[which].region) + part[which].at;
    }
    const struct inode *inode = &inodes[1 + index % (NODES - 1)];
    uint32_t unit = which == A_NAME ? place_of(inode).name : inode->handle;
    *bytes = unit < NAMES_BYTES / 8 - 32 ? 256 : 0;
    return names + (size_t)unit * 8;
}

static void write_over(const uint8_t *data, size_t size)
{
    while (size >= 4) {
        size_t bytes, at = data[1] | (size_t)data[2] << 8, len = data[3] % 32;
        uint8_t *to = place(data[0] % PLACES, data[2], &bytes);
        data += 4;
        size -= 4;
        if (len > size)
            len = size;
        if (bytes > 0) {
            at %= bytes;
            memcpy(to + at, data, len < bytes - at ? len : bytes - at);
        }
        data += len;
        size -= len;
    }
    /* Any number up to the region's size is fine, and only takes time to go through. */
    uint32_t *used =
        (void *)((uint8_t *)keep_rig_region(run.keep, KEEP_NAMES) + sizeof(struct keep_head));
    if (*used > NAMES_UNITS)
        *used = NAMES_UNITS;
}

static void resume(unsigned row, bool change)
{
    struct rig r;

    keep_rig_resumes(run.keep, true);
    if (rig_up(&r, row, run.keep) < 0)
        return;
    int err = server_resume(r.srv);
    bool served = err == 0;
    if (err == 0)
        err = vu_resume(r.vu);
    heads_have_records(r.vu);
    if (served)
        rig_look(&r, change);
    if (r.vu->conn_fd >= 0 && err == 0)
        device_serve(r.vu, r.vu->conn_fd); /* who has hung up */
    else if (r.vu->conn_fd >= 0)
        device_end(r.vu, 0);
    if (served)
        rig_leave(&r);
    rig_down(&r);
}

static void try_kept(const uint8_t *data, size_t size)
{
    int pair[2];

    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    keep_rig_wipe(run.keep);
    live_and_end(data[0] & ROW, data[1], pair[0]);
    close(pair[0]);
    close(pair[1]);
    write_over(data + 2, size - 2);
    resume(data[0] & ROW, data[0] & CHANGES);
    keep_rig_freeze(run.keep, false);
    keep_rig_wipe(run.keep);
}

/* ---- seeds ----------------------------------------------------------------------------------------- */

static void write_seed(const char *dir, const char *kind, unsigned row, unsigned how,
                       const uint8_t *bytes, size_t n)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s-%u-%u", dir, kind, row, how);
    FILE *f = fopen(path, "w");
    MUST(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0);
}

/* A stream as an input says it: without head and end, lengths of two bytes. */
static size_t retell(unsigned row, uint8_t *to)
{
    size_t n = 2;

    to[0] = (uint8_t)row;
    to[1] = 0;
    for (size_t at = HEAD_BYTES; at + 6 <= run.n && run.bytes[at] != STREAM_END;) {
        size_t len = run.bytes[at + 2] | (size_t)run.bytes[at + 3] << 8;
        to[n] = run.bytes[at];
        to[n + 1] = run.bytes[at + 2];
        to[n + 2] = run.bytes[at + 3];
        memcpy(to + n + 3, run.bytes + at + 6, len);
        n += 3 + len;
        at += 6 + len;
    }
    return n;
}

static void write_stream_seed(const char *dir, unsigned row, unsigned how)
{
    static uint8_t input[STREAM_MAX];
    struct rig r;

    MUST(rig_up(&r, row, NULL) == 0);
    rig_live(&r, how);
    for (unsigned i = 0; i < 2; i++)
        r.vu->queue[i].size = 8;
    MUST(queue_set_deferred(&r.vu->queue[1], 3, (const uint16_t[]){2, 0}, 2) == 0);
    save(&r);
    write_seed(dir, "stream", row, how, input, retell(row, input));
    device_reset(r.vu);
    rig_leave(&r);
    rig_down(&r);
    share_renew();
}

/* What no real server writes: handles by path, of what has no name and of what is outside. */
static void write_handle_seeds(const char *dir)
{
    static uint8_t input[STREAM_MAX];

    write_stream_seed(dir, 1, 8);
    for (uint8_t which = 0; which < 6; which++) {
        size_t n = retell(1, input);
        for (size_t at = 2; at < n; at += 3 + (input[at + 1] | (size_t)input[at + 2] << 8)) {
            size_t len = input[at + 1] | (size_t)input[at + 2] << 8;
            uint8_t *body = input + at + 3;
            if (input[at] != STREAM_INODE || len < 52)
                continue;
            memset(body + 8, 0, 8); /* no parent, and so no name; a handle of one byte */
            memcpy(body + 41, (const uint8_t[]){TREE_MOVED_HANDLE, 1, 0, 0, 1, 0, 0, 0, 1, 0}, 10);
            body[51] = which;
            memmove(input + at + 3 + 52, input + at + 3 + len, n - (at + 3 + len));
            n -= len - 52;
            input[at + 1] = 52;
            input[at + 2] = 0;
            break;
        }
        write_seed(dir, "handle", 1, which, input, n);
    }
}

static void write_seeds(const char *dir)
{
    static const uint8_t how[] = {0, 1, 2, 4, 8, 16, 3, 12};

    for (unsigned row = 0; row < RIG_ROWS; row++) {
        for (uint8_t i = 0; i < sizeof(how); i++) {
            write_stream_seed(dir, row, how[i] | (row == 0 ? 8 : 0));
            for (uint8_t where = 0; where < PLACES; where++) {
                const uint8_t kept[] = {(uint8_t)(KEPT | row), how[i], where, i, 0, 4, 1, 0, 0, 0};
                write_seed(dir, "kept", row * 16 + where, i, kept, sizeof(kept));
            }
        }
    }
    write_handle_seeds(dir);
}

/* ---- harness --------------------------------------------------------------------------------------- */

const char *__asan_default_options(void)
{
    return "malloc_context_size=3:quarantine_size_mb=16";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned long inputs;
    size_t fds;

    if (size < 2)
        return 0;
    fds = rig_fds();
    share_enter();
    if (data[0] & KEPT)
        try_kept(data, size);
    else
        try_stream(data, size);
    share_must_be_alone();
    share_renew();
    share_leave();
    MUST(inputs++ == 0 || rig_fds() == fds); /* libFuzzer opens what it wants */
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    rig_open();
    run.keep = keep_rig_open();
    run.memory = memfd_create("guest", MFD_CLOEXEC);
    run.file = memfd_create("stream", MFD_CLOEXEC);
    run.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    MUST(run.memory >= 0 && run.file >= 0 && run.event >= 0 &&
         ftruncate(run.memory, GUEST_SIZE) == 0);
    if (*argc == 3 && strcmp((*argv)[1], "--write-seeds") == 0) {
        write_seeds((*argv)[2]);
        exit(EXIT_SUCCESS);
    }
    return 0;
}
