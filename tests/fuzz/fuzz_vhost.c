// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuzz_vhost.c - the vhost-user back end against a front end that sends anything
 *
 * The input is a list of records. A record is sent when the back end has served all before it and
 * waits, with workers that serve whatever memory and rings they were given:
 *
 *     request  u8   a vhost-user request; or POKE: the payload is an offset (u16) in guest memory and
 *                   what to write there; KICK: write to the eventfd; RAW: the payload is sent as it is
 *     flags    u8   bits 0-3: header flags, xor VU_VERSION; bits 4-6: number of descriptors;
 *                   bit 7: the header claims the length that the first four bytes of payload say
 *     length   u8   of payload; then the payload, then one byte a descriptor: its kind
 *
 * Guest memory starts out with a ring that a seed can use: descriptors at 0, available ring at
 * 0x1000, used ring at 0x2000, eight chains waiting.
 *
 * After each input: no descriptor may be left over, no chain and no worker.
 *
 * Workers are coroutines and the socket is memory (vhost_turns.h), so that an input is cheap and always does the
 * same; one input in THREADS_ONE_IN, always the same ones, is served by threads over a real socket. The front end's memory and descriptors are kept from input
 * to input, in the state of a new one.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/log.h"
#include "tests/fuzz/fuzz_must.h"
#include "tests/fuzz/vhost_turns.h"
#include "vhost/device.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** __asan_default_options() - freed memory is held back long enough for an input, and stays in the cache */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=4:thread_local_quarantine_size_kb=512";
}

#define POKE 0xffu
#define KICK 0xfeu
#define RAW  0xfdu

#define GUEST_BYTES  0x10000u
#define MAX_MESSAGES 64u
#define MAX_KEPT     4u

#define THREADS_ONE_IN 64u

/* ---- a device that keeps some chains ---------------------------------------------------------- */

struct kept {
    struct vq *vq;
    uint16_t head;
};

struct device {
    pthread_mutex_t lock;
    unsigned served, n_kept;
    struct kept kept[MAX_KEPT];
};

static void *thread_begin(void *ctx)
{
    return ctx;
}

static void thread_hook(void *ctx, void *thread)
{
    MUST(thread == ctx);
}

static void batch_begin(void *ctx, void *thread)
{
    thread_hook(ctx, thread);
    turns_pause(); /* what a batch writes can be the ring that says there is more */
}

static int64_t serve(void *ctx, void *thread, struct vq *vq, struct ring_chain *c,
                     struct vu_record *record)
{
    struct device *d = ctx;
    uint8_t sum = 0;
    (void)thread;
    (void)record;

    for (unsigned i = 0; i < c->n_out; i++)
        sum ^= *(volatile uint8_t *)c->seg[i].base;
    for (unsigned i = 0; i < c->n_in; i++)
        *(volatile uint8_t *)c->seg[c->n_out + i].base = sum;
    pthread_mutex_lock(&d->lock);
    bool keep = ++d->served % 3 == 0 && d->n_kept < MAX_KEPT;
    if (keep) {
        d->kept[d->n_kept].vq = vq;
        d->kept[d->n_kept++].head = c->head;
    }
    pthread_mutex_unlock(&d->lock);
    return keep ? VU_LATER : (int64_t)c->in_len;
}

static void cancel_later(void *ctx, struct vq *vq)
{
    struct device *d = ctx;
    (void)vq;

    for (;;) {
        struct kept one = {0};
        pthread_mutex_lock(&d->lock);
        if (d->n_kept > 0)
            one =
                d->kept[--d->n_kept]; /* copied: another queue's worker may use the place at once */
        pthread_mutex_unlock(&d->lock);
        if (!one.vq)
            return;
        vq_complete(one.vq, one.head, 0, NULL, 0);
    }
}

/* Every other one of that queue's; the rest ends. */
static void defer_later(void *ctx, struct vq *vq)
{
    struct device *d = ctx;

    pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < d->n_kept;) {
        struct kept *k = &d->kept[i];
        if (k->vq == vq && k->head % 2 == 0 && vq_defer(vq, k->head))
            *k = d->kept[--d->n_kept];
        else
            i++;
    }
    pthread_mutex_unlock(&d->lock);
    cancel_later(ctx, vq);
}

static void session_reset(void *ctx)
{
    MUST(((struct device *)ctx)->n_kept == 0);
}

static const struct vu_ops ops = {
    .serve = serve,
    .thread_begin = thread_begin,
    .thread_end = thread_hook,
    .batch_begin = batch_begin,
    .batch_end = thread_hook,
    .cancel_later = cancel_later,
    .defer_later = defer_later,
    .session_reset = session_reset,
};

/* ---- a front end ------------------------------------------------------------------------------ */

struct front {
    int sock;
    int memory, event, pipe[2];
    uint8_t *guest;
    const uint8_t *data; /* records to come */
    size_t size;
    unsigned n_sent;
    bool threads; /* this input is served by threads, over the real socket */
};

static void lay_out_ring(uint8_t *guest)
{
    struct ring_desc *desc = (void *)guest;
    struct ring_avail *avail = (void *)(guest + 0x1000);

    for (uint16_t i = 0; i < 8; i++) {
        desc[2 * i] = (struct ring_desc){.addr = 0x4000u + 0x100u * i,
                                         .len = 64,
                                         .flags = RING_DESC_F_NEXT,
                                         .next = (uint16_t)(2 * i + 1)};
        desc[2 * i + 1] = (struct ring_desc){
            .addr = 0x8000u + 0x100u * i, .len = 128, .flags = RING_DESC_F_WRITE};
        avail->ring[i] = (uint16_t)(2 * i);
    }
    avail->idx = 8;
}

/* Once in a process. */
static void front_make(struct front *f)
{
    f->memory = memfd_create("guest", MFD_CLOEXEC);
    MUST(f->memory >= 0 && ftruncate(f->memory, GUEST_BYTES) == 0);
    f->guest = mmap(NULL, GUEST_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->memory, 0);
    MUST(f->guest != MAP_FAILED);
    f->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    MUST(f->event >= 0 && pipe2(f->pipe, O_CLOEXEC | O_NONBLOCK) == 0);
}

/* Before each input: as if just made. */
static void front_renew(struct front *f, int sock, const uint8_t *data, size_t size)
{
    uint8_t sink[4096];

    memset(f->guest, 0, GUEST_BYTES);
    lay_out_ring(f->guest);
    while (read(f->event, sink, sizeof(uint64_t)) > 0)
        ;
    while (read(f->pipe[0], sink, sizeof(sink)) > 0)
        ;
    f->sock = sock;
    f->data = data;
    f->size = size;
    f->n_sent = 0;
}

static int fd_of_kind(const struct front *f, uint8_t kind)
{
    const int fds[] = {f->memory, f->event, f->pipe[0], f->pipe[1], f->sock, STDIN_FILENO};

    return fds[kind % (sizeof(fds) / sizeof(fds[0]))];
}

static void send_record(const struct front *f, const void *head, size_t head_len,
                        const uint8_t *payload, size_t len, const uint8_t *kinds, unsigned n_fds)
{
    struct iovec iov[2] = {{(void *)(uintptr_t)head, head_len}, {(void *)(uintptr_t)payload, len}};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(7 * sizeof(int))] = {0};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = 2};

    if (!f->threads) {
        int fds[7];
        for (unsigned i = 0; i < n_fds; i++)
            fds[i] = fd_of_kind(f, kinds[i]);
        turns_send(iov, 2, fds, n_fds);
        return;
    }
    if (n_fds > 0) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        for (unsigned i = 0; i < n_fds; i++) {
            int fd = fd_of_kind(f, kinds[i]);
            memcpy(CMSG_DATA(c) + i * sizeof(fd), &fd, sizeof(fd));
        }
    }
    sendmsg(f->sock, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Return: bytes of the record, 0 at the end of the input. */
static size_t play_record(const struct front *f, const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    unsigned request = data[0], n_fds = data[1] >> 4 & 7, len = data[2];
    const uint8_t *payload = data + 3;

    if (size - 3 < len + n_fds)
        return 0;
    struct vu_header h = {request, (data[1] & 0xf) ^ VU_VERSION, len};
    if ((data[1] & 0x80) != 0 && len >= sizeof(h.size))
        memcpy(&h.size, payload, sizeof(h.size));

    if (request == POKE && len >= 2) {
        uint16_t at;
        memcpy(&at, payload, sizeof(at));
        for (unsigned i = 2; i < len; i++)
            f->guest[(uint16_t)(at + i - 2)] = payload[i];
    } else if (request == KICK) {
        eventfd_write(f->event, 1);
    } else if (request == RAW && len > 0) {
        send_record(f, payload, len, NULL, 0, payload + len, n_fds);
    } else {
        send_record(f, &h, sizeof(h), payload, len, payload + len, n_fds);
    }
    return 3 + len + n_fds;
}

/* The back end waits: the next record, or the end. */
static void play_next(void *ctx)
{
    struct front *f = ctx;
    size_t n = f->n_sent < MAX_MESSAGES ? play_record(f, f->data, f->size) : 0;

    if (n == 0) {
        turns_hang_up();
        shutdown(f->sock, SHUT_WR);
        return;
    }
    f->data += n;
    f->size -= n;
    f->n_sent++;
}

/* ---- harness ---------------------------------------------------------------------------------- */

/* The lowest free descriptor tells whether one was left open. */
static int lowest_free_fd(void)
{
    int fd = dup(STDIN_FILENO);

    MUST(fd >= 0);
    close(fd);
    return fd;
}

static bool wants_threads(const uint8_t *data, size_t size)
{
    unsigned sum = 0;

    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + data[i];
    return sum % THREADS_ONE_IN == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct device device = {.lock = PTHREAD_MUTEX_INITIALIZER};
    static struct front front;
    static struct vu *vu;
    int pair[2];

    if (!vu) {
        struct vu_params p = {.listen_fd = -1, .tag = "fuzz", .ops = &ops, .ctx = &device};
        log_threshold = LOG_OFF_;
        MUST(vu_new(&vu, &p) == 0);
        front_make(&front);
    }
    int before = lowest_free_fd();
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    front_renew(&front, pair[0], data, size);
    device.served = 0;
    front.threads = wants_threads(data, size);
    turns_begin(front.threads, play_next, &front);
    device_serve(vu, pair[1]);
    turns_end();
    close(front.sock);
    MUST(vu_in_flight(vu) == 0);
    MUST(lowest_free_fd() == before);
    return 0;
}
