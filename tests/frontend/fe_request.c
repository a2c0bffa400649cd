// SPDX-License-Identifier: BSD-3-Clause
/*
 * fe_request.c - requests on rings, and waiting for them
 *
 * Theory of operation
 *
 *   fe_submit() turns the four buffers of a request into segments: first all that the device reads,
 *   then all that it writes (virtio 1.2, 2.7.4.2). With FE_PAGES the payloads go in 4 KiB pieces; with
 *   FE_SCATTER neighbouring pages change places, so that no two segments can be merged.
 *
 *   A sleeping queue arms its interrupt before it publishes, as a Linux driver does, which leaves it
 *   armed from the end of one interrupt on: a daemon that answers while fe_submit() has not even
 *   returned still signals. With EVENT_IDX an arming is good for one signal.
 *
 * Ownership: requests belong to the caller; their indirect tables are guest memory, freed by
 * fe_req_release().   Locks: none, one thread a queue.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "tests/frontend/frontend_internal.h"

#define MAX_SEGS       2200u /* two payloads of 4 MiB in pages, and headers */
#define LOOKS_PER_TEST 4096u /* FE_SPIN: looks at the ring between looks at clock and socket */

struct segs {
    struct ring_bus_seg seg[MAX_SEGS];
    uint32_t n;
};

int fe_req_init(struct fe *fe, struct fe_req *r, uint32_t out, uint32_t in)
{
    *r = (struct fe_req){.out = fe_alloc(fe, out), .in = fe_alloc(fe, in)};
    if (r->out && r->in)
        return 0;
    fe_req_release(fe, r, out, in);
    return -ENOMEM;
}

void fe_req_release(struct fe *fe, struct fe_req *r, uint32_t out, uint32_t in)
{
    fe_free_mem(fe, r->out, out);
    fe_free_mem(fe, r->in, in);
    fe_free_mem(fe, r->table, r->table_len * sizeof(*r->table));
    *r = (struct fe_req){0};
}

static int put_seg(struct fe *fe, struct segs *s, const void *p, uint32_t len)
{
    if (s->n == MAX_SEGS)
        return -EINVAL;
    s->seg[s->n++] = (struct ring_bus_seg){.addr = fe_gpa(fe, p), .len = len};
    return 0;
}

/* Header and arguments, split where Linux splits them. */
static int put_head(struct fe *fe, struct segs *s, const uint8_t *p, uint32_t len, uint32_t split)
{
    int err = 0;

    if (split == 0 || split >= len)
        return len ? put_seg(fe, s, p, len) : 0;
    err = put_seg(fe, s, p, split);
    return err ? err : put_seg(fe, s, p + split, len - split);
}

/* Which page of a payload comes i-th. */
static uint32_t page_at(uint32_t i, uint32_t full_pages, unsigned layout)
{
    return (layout & FE_SCATTER) && (i | 1) < full_pages ? i ^ 1 : i;
}

static int put_data(struct fe *fe, struct segs *s, const uint8_t *p, uint32_t len, unsigned layout)
{
    uint32_t pages = (len + FE_PAGE - 1) / FE_PAGE;
    int err = 0;

    if (!(layout & FE_PAGES))
        return len ? put_seg(fe, s, p, len) : 0;
    for (uint32_t i = 0; i < pages && !err; i++) {
        uint32_t at = page_at(i, len / FE_PAGE, layout) * FE_PAGE;

        err = put_seg(fe, s, p + at, len - at < FE_PAGE ? len - at : FE_PAGE);
    }
    return err;
}

void fe_scatter(void *buf, size_t len)
{
    uint8_t *p = buf, page[FE_PAGE];

    for (size_t at = 0; at + (size_t)2 * FE_PAGE <= len; at += (size_t)2 * FE_PAGE) {
        memcpy(page, p + at, FE_PAGE);
        memcpy(p + at, p + at + FE_PAGE, FE_PAGE);
        memcpy(p + at + FE_PAGE, page, FE_PAGE);
    }
}

static int want_table(struct fe *fe, struct fe_req *r, uint32_t n)
{
    if (r->table_len >= n)
        return 0;
    fe_free_mem(fe, r->table, r->table_len * sizeof(*r->table));
    r->table_len = 0;
    r->table = fe_alloc(fe, n * sizeof(*r->table));
    if (!r->table)
        return -ENOMEM;
    r->table_len = n;
    return 0;
}

int fe_submit(struct fe *fe, unsigned q, struct fe_req *r, bool more)
{
    struct fe_queue *fq = &fe->queue[q];
    bool indirect = fq->layout & FE_INDIRECT;
    struct segs s;
    uint32_t n_out;
    int err;

    if (r->in_flight)
        return -EBUSY;
    s.n = 0;
    err = put_head(fe, &s, r->out, r->out_len, r->out_split);
    if (!err)
        err = put_data(fe, &s, r->out_data, r->out_data_len, fq->layout);
    n_out = s.n;
    if (!err)
        err = put_head(fe, &s, r->in, r->in_len, r->in_split);
    if (!err)
        err = put_data(fe, &s, r->in_data, r->in_data_len, fq->layout);
    if (!err && indirect)
        err = want_table(fe, r, s.n);
    if (err)
        return err;
    err = ring_drv_add(&fq->drv, s.seg, n_out, s.n - n_out, indirect ? r->table : NULL,
                       indirect ? fe_gpa(fe, r->table) : 0, r);
    if (err)
        return err;
    r->done = false;
    r->used = 0;
    r->in_flight = true;
    return more ? 0 : fe_publish(fe, q);
}

/* Return: true when a completion is there already. */
static bool arm(struct fe_queue *fq)
{
    if (fq->armed && (!fq->drv.event_idx || fq->armed_at == fq->drv.last_used))
        return false;
    fq->armed = true;
    fq->armed_at = fq->drv.last_used;
    return ring_drv_want_interrupt(&fq->drv);
}

int fe_publish(struct fe *fe, unsigned q)
{
    struct fe_queue *fq = &fe->queue[q];

    if (fq->wait == FE_SLEEP)
        arm(fq);
    return ring_drv_publish(&fq->drv) ? fe_kick(fe, q) : 0;
}

static int take(struct fe_queue *fq, struct fe_req **r)
{
    void *token = NULL;
    uint32_t used = 0;
    int n = ring_drv_get(&fq->drv, &token, &used);

    if (n <= 0)
        return n;
    fq->counts.completed++;
    *r = token;
    (*r)->used = used;
    (*r)->done = true;
    (*r)->in_flight = false;
    return 1;
}

/* Look at the ring for a while, giving the CPU away between looks. Return: as take(), or -errno. */
static int spin(struct fe *fe, struct fe_queue *fq, int64_t end, struct fe_req **r)
{
    for (unsigned i = 0; i < LOOKS_PER_TEST; i++) {
        int n;

        sched_yield();
        n = take(fq, r);
        if (n)
            return n;
    }
    if (fe_hung_up(fe))
        return -ECONNRESET;
    return fe_now_ms() >= end ? -ETIMEDOUT : 0;
}

struct fe_req *fe_reap(struct fe *fe, unsigned q, bool wait, int *err)
{
    struct fe_queue *fq = &fe->queue[q];
    struct fe_req *r = NULL;
    int n = take(fq, &r);
    int64_t end = 0;

    while (n == 0 && wait) {
        if (fq->wait == FE_SLEEP && arm(fq)) {
            n = take(fq, &r);
            continue;
        }
        if (end == 0)
            end = fe_now_ms() + fe->o.timeout_ms;
        if (fq->wait == FE_SPIN) {
            n = spin(fe, fq, end, &r);
        } else {
            n = fe_queue_sleep(fe, q, (int)(end - fe_now_ms() > 0 ? end - fe_now_ms() : 0));
            fq->armed = fq->armed && !fq->drv.event_idx;
            if (n == 0)
                n = take(fq, &r);
        }
    }
    *err = n < 0 ? n : 0;
    return n > 0 ? r : NULL;
}

int fe_call(struct fe *fe, unsigned q, struct fe_req *r)
{
    int err = fe_submit(fe, q, r, false);

    while (err == 0 && !r->done)
        fe_reap(fe, q, true, &err);
    return err;
}
