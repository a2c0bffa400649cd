// SPDX-License-Identifier: BSD-3-Clause
/*
 * fe_queue.c - the queues of the test front end
 *
 * Theory of operation
 *
 *   The ring areas are allocated in guest memory once and keep their place over stops, restarts and
 *   reconnections. Starting a queue sends what QEMU sends, in its order: NUM, BASE, ADDR, KICK, CALL,
 *   then ENABLE.
 *
 *   Raw access writes to the same areas without the driver side's bookkeeping: fe_raw_*() keep two
 *   indexes of their own, which start from what is in the ring.
 *
 * Ownership: struct fe owns its queues.   Locks: none, one thread a queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/frontend/frontend_internal.h"

int64_t fe_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void fe_queue_init(struct fe *fe, unsigned q)
{
    fe->queue[q] = (struct fe_queue){
        .kick_rd = -1, .kick_wr = -1, .call_rd = -1, .call_wr = -1, .wait = fe->o.wait};
}

static void close_pair(int *rd, int *wr)
{
    if (*rd >= 0)
        close(*rd);
    if (*wr >= 0 && *wr != *rd)
        close(*wr);
    *rd = *wr = -1;
}

void fe_queue_drop(struct fe *fe, unsigned q)
{
    struct fe_queue *fq = &fe->queue[q];
    struct fe_req *r;

    while (fq->slots && (r = ring_drv_reclaim(&fq->drv)))
        r->in_flight = false;
    fq->running = false;
}

void fe_queue_release(struct fe *fe, unsigned q)
{
    struct fe_queue *fq = &fe->queue[q];

    close_pair(&fq->kick_rd, &fq->kick_wr);
    close_pair(&fq->call_rd, &fq->call_wr);
    free(fq->slots);
    fq->slots = NULL;
    fq->running = false;
}

static int make_pair(struct fe *fe, int *rd, int *wr)
{
    int fds[2];

    if (*rd >= 0)
        return 0;
    if (!fe->o.pipes) {
        *rd = *wr = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return *rd < 0 ? -errno : 0;
    }
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    *rd = fds[0];
    *wr = fds[1];
    return 0;
}

/* What a queue needs on our side; kept when it is there already. */
static int queue_make(struct fe *fe, struct fe_queue *fq)
{
    uint32_t size = fe->o.queue_size;
    int err = make_pair(fe, &fq->kick_rd, &fq->kick_wr);

    if (err == 0)
        err = make_pair(fe, &fq->call_rd, &fq->call_wr);
    if (err < 0)
        return err;
    if (!fq->slots)
        fq->slots = calloc(size, sizeof(*fq->slots));
    if (!fq->desc)
        fq->desc = fe_alloc(fe, ring_desc_bytes(size));
    if (!fq->avail)
        fq->avail = fe_alloc(fe, ring_avail_bytes(size));
    if (!fq->used)
        fq->used = fe_alloc(fe, ring_used_bytes(size));
    return fq->slots && fq->desc && fq->avail && fq->used ? 0 : -ENOMEM;
}

int fe_send_vring_addr(struct fe *fe, unsigned q)
{
    struct fe_queue *fq = &fe->queue[q];
    struct vu_vring_addr a = {
        .index = q,
        .flags = fe->logging ? VU_VRING_F_LOG : 0,
        .desc = (uintptr_t)fq->desc,
        .used = (uintptr_t)fq->used,
        .avail = (uintptr_t)fq->avail,
        .log = fe->logging ? fe_gpa(fe, fq->used) : 0,
    };

    return fe_vu_set(fe, VU_SET_VRING_ADDR, &a, sizeof(a), NULL, 0);
}

static int set_state(struct fe *fe, uint32_t request, unsigned q, uint32_t num)
{
    struct vu_vring_state s = {.index = q, .num = num};

    return fe_vu_set(fe, request, &s, sizeof(s), NULL, 0);
}

static int set_fd(struct fe *fe, uint32_t request, unsigned q, int fd)
{
    uint64_t index = q;

    return fe_vu_set(fe, request, &index, sizeof(index), &fd, 1);
}

int fe_queue_enable(struct fe *fe, unsigned q, bool on)
{
    return set_state(fe, VU_SET_VRING_ENABLE, q, on);
}

int fe_queue_resume(struct fe *fe, unsigned q, uint32_t base)
{
    struct fe_queue *fq = &fe->queue[q];
    int err = set_state(fe, VU_SET_VRING_NUM, q, fe->o.queue_size);

    if (err == 0)
        err = set_state(fe, VU_SET_VRING_BASE, q, base);
    if (err == 0)
        err = fe_send_vring_addr(fe, q);
    if (err == 0)
        err = set_fd(fe, VU_SET_VRING_KICK, q, fq->kick_rd);
    if (err == 0)
        err = set_fd(fe, VU_SET_VRING_CALL, q, fq->call_wr);
    if (err == 0 && (fe->virtio_offered >> VU_F_PROTOCOL_FEATURES & 1))
        err = fe_queue_enable(fe, q, true);
    fq->running = err == 0;
    return err;
}

int fe_queue_start(struct fe *fe, unsigned q)
{
    struct fe_queue *fq = &fe->queue[q];
    int err = queue_make(fe, fq);

    if (err < 0)
        return err;
    err = ring_drv_init(&fq->drv, fe->o.queue_size, fq->desc, fq->avail, fq->used, fq->slots,
                        fe->virtio);
    if (err < 0)
        return err;
    fq->armed = false;
    fq->raw_avail = fq->raw_used = 0;
    fq->layout = fe->o.layout;
    if (!fe->o.force_layout && fe_has_virtio(fe, RING_F_INDIRECT_DESC))
        fq->layout |= FE_INDIRECT;
    return fe_queue_resume(fe, q, 0);
}

int fe_queue_stop(struct fe *fe, unsigned q, uint32_t *base)
{
    struct vu_vring_state s = {.index = q};
    int err = fe_vu_get(fe, VU_GET_VRING_BASE, &s, sizeof(s), &s, sizeof(s));

    if (err == 0 && base)
        *base = s.num;
    fe->queue[q].running = false;
    return err;
}

void fe_queue_layout(struct fe *fe, unsigned q, unsigned layout)
{
    fe->queue[q].layout = layout;
}

void fe_queue_wait(struct fe *fe, unsigned q, enum fe_wait wait)
{
    struct fe_queue *fq = &fe->queue[q];

    fq->wait = wait;
    fq->armed = false;
    if (wait == FE_SPIN)
        ring_drv_no_interrupts(&fq->drv);
}

struct ring_drv *fe_ring(struct fe *fe, unsigned q)
{
    return &fe->queue[q].drv;
}

int fe_kick_fd(struct fe *fe, unsigned q)
{
    return fe->queue[q].kick_wr;
}

int fe_call_fd(struct fe *fe, unsigned q)
{
    return fe->queue[q].call_rd;
}

const struct fe_queue_counts *fe_queue_counts(const struct fe *fe, unsigned q)
{
    return &fe->queue[q].counts;
}

int fe_kick(struct fe *fe, unsigned q)
{
    struct fe_queue *fq = &fe->queue[q];
    uint64_t one = 1;

    fq->counts.kicks++;
    if (write(fq->kick_wr, &one, sizeof(one)) < 0 && errno != EAGAIN)
        return -errno;
    return 0;
}

/* Eventfd: one number. Pipe: as many as were written. */
static void drain_call(struct fe_queue *fq)
{
    uint64_t v[64];
    ssize_t n = read(fq->call_rd, v, sizeof(v));

    for (ssize_t i = 0; i < n / (ssize_t)sizeof(v[0]); i++)
        fq->counts.signals += v[i];
}

int fe_queue_sleep(struct fe *fe, unsigned q, int timeout_ms)
{
    struct fe_queue *fq = &fe->queue[q];
    struct pollfd p[2] = {
        {.fd = fq->call_rd, .events = POLLIN},
        {.fd = fe->sock, .events = POLLRDHUP},
    };
    int n;

    fq->counts.sleeps++;
    n = poll(p, 2, timeout_ms);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -ETIMEDOUT;
    if (p[0].revents & POLLIN)
        drain_call(fq);
    else if (p[1].revents)
        return -ECONNRESET;
    return 0;
}

int fe_raw_set_avail(struct fe *fe, unsigned q, uint16_t idx)
{
    struct fe_queue *fq = &fe->queue[q];

    fq->raw_avail = idx;
    __atomic_store_n(&fq->avail->idx, idx, __ATOMIC_RELEASE);
    return fe_kick(fe, q);
}

int fe_raw_chain(struct fe *fe, unsigned q, const struct ring_desc *desc, const uint16_t *at,
                 unsigned n, uint16_t head)
{
    struct fe_queue *fq = &fe->queue[q];

    for (unsigned i = 0; i < n; i++)
        fq->desc[at[i] % fe->o.queue_size] = desc[i];
    fq->avail->ring[fq->raw_avail % fe->o.queue_size] = head;
    return fe_raw_set_avail(fe, q, (uint16_t)(fq->raw_avail + 1));
}

int fe_raw_used(struct fe *fe, unsigned q, struct ring_used_elem *elem, int timeout_ms)
{
    struct fe_queue *fq = &fe->queue[q];
    int64_t end = fe_now_ms() + timeout_ms;

    while (__atomic_load_n(&fq->used->idx, __ATOMIC_ACQUIRE) == fq->raw_used) {
        if (fe_hung_up(fe))
            return -ECONNRESET;
        if (fe_now_ms() >= end)
            return 0;
        poll(NULL, 0, 1);
    }
    *elem = fq->used->ring[fq->raw_used++ % fe->o.queue_size];
    return 1;
}
