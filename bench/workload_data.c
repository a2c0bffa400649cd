// SPDX-License-Identifier: BSD-3-Clause
/*
 * workload_data.c - what is measured: reading and writing
 *
 * At depth 32 a step waits for one completion, takes all that are there, sends as many again and kicks
 * once: what a guest with 32 jobs on one CPU does.
 */
#include <errno.h>
#include <unistd.h>

#include "bench/workload.h"

#define MIB (1u << 20)

static uint64_t random_offset(struct peer *p)
{
    return peer_random(p) % (BIG_BYTES / 4096) * 4096ull;
}

static uint64_t next_mib(struct peer *p)
{
    return p->turn++ % (BIG_BYTES / MIB) * MIB;
}

static int64_t whole(ssize_t n, ssize_t want)
{
    return n == want ? 1 : n < 0 ? n : -EIO;
}

int64_t step_read4k_1(struct peer *p)
{
    return whole(fc_read(&p->c, p->big, p->big_fh, NULL, 4096, random_offset(p)), 4096);
}

int64_t step_write4k_1(struct peer *p)
{
    return whole(fc_write(&p->c, p->big, p->big_fh, NULL, 4096, random_offset(p)), 4096);
}

int64_t step_read1m(struct peer *p)
{
    return whole(fc_read(&p->c, p->big, p->big_fh, NULL, MIB, next_mib(p)), MIB);
}

int64_t step_write1m(struct peer *p)
{
    return whole(fc_write(&p->c, p->big, p->big_fh, NULL, MIB, next_mib(p)), MIB);
}

int64_t host_read4k(struct peer *p)
{
    return whole(pread(p->big_fd, p->buffer, 4096, (off_t)random_offset(p)), 4096);
}

int64_t host_write4k(struct peer *p)
{
    return whole(pwrite(p->big_fd, p->buffer, 4096, (off_t)random_offset(p)), 4096);
}

int64_t host_read1m(struct peer *p)
{
    return whole(pread(p->big_fd, p->buffer, MIB, (off_t)next_mib(p)), MIB);
}

int64_t host_write1m(struct peer *p)
{
    return whole(pwrite(p->big_fd, p->buffer, MIB, (off_t)next_mib(p)), MIB);
}

/* ---- depth 32 -------------------------------------------------------------------------------- */

static int take_off(struct peer *p, struct flight *f, bool write)
{
    struct fe_req *r = &f->req;

    r->out_data = r->in_data = f->data;
    r->out_data_len = write ? 4096 : 0;
    r->in_data_len = write ? 0 : 4096;
    if (write) {
        struct fuse_write_in in = {.fh = p->big_fh, .offset = random_offset(p), .size = 4096};
        struct fc_part part = {&in, sizeof(in)};

        f->unique = fc_build(&p->c, r, FUSE_WRITE, p->big, &part, 1, sizeof(struct fuse_write_out));
    } else {
        struct fuse_read_in in = {.fh = p->big_fh, .offset = random_offset(p), .size = 4096};
        struct fc_part part = {&in, sizeof(in)};

        f->unique = fc_build(&p->c, r, FUSE_READ, p->big, &part, 1, 0);
    }
    return fe_submit(p->fe, FE_REQUESTS, r, true);
}

/* Take a completion. Return: 1, 0 when there is none and @wait is false, or -errno. */
static int land(struct peer *p, bool wait, struct flight **f)
{
    struct fe_req *r;
    ssize_t n;
    int err;

    r = fe_reap(p->fe, FE_REQUESTS, wait, &err);
    if (!r)
        return err;
    *f = r->user;
    p->in_flight--;
    n = fc_result(r, (*f)->unique);
    if (n < 0)
        return (int)n;
    return n == (r->in_data_len ? 4096 : (ssize_t)sizeof(struct fuse_write_out)) ? 1 : -EIO;
}

static int64_t step_32(struct peer *p, bool write)
{
    struct flight *f = NULL;
    int64_t done = 0;
    int n = 0;

    if (p->in_flight == 0) {
        for (; p->in_flight < MAX_DEPTH && n == 0; p->in_flight++)
            n = take_off(p, &p->flight[p->in_flight], write);
        if (n == 0)
            n = fe_publish(p->fe, FE_REQUESTS);
        if (n < 0)
            return n;
    }
    for (n = land(p, true, &f); n > 0; n = land(p, false, &f)) {
        int err = take_off(p, f, write);

        if (err < 0)
            return err;
        p->in_flight++;
        done++;
    }
    if (n == 0)
        n = fe_publish(p->fe, FE_REQUESTS);
    return n < 0 ? n : done;
}

int64_t step_read4k_32(struct peer *p)
{
    return step_32(p, false);
}

int64_t step_write4k_32(struct peer *p)
{
    return step_32(p, true);
}

int64_t finish_flights(struct peer *p)
{
    struct flight *f = NULL;
    int64_t done = 0;

    while (p->in_flight) {
        int n = land(p, true, &f);

        if (n < 0)
            return n;
        done++;
    }
    return done;
}
