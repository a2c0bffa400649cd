// SPDX-License-Identifier: BSD-3-Clause
/*
 * io.c - reading and writing
 *
 * Theory of operation
 *
 *   A transfer becomes a struct job with one struct part for each request that it takes (max_read or
 *   max_write bytes each). All parts are sent at once; the transport queues what the rings cannot take.
 *   No thread belongs to a transfer: the last part to be answered ends it, on whatever thread the
 *   transport calls back.
 *
 *   The result is what one request for all of it would have given. A read counts its parts in order up to
 *   and including the first short one: that is where the file ended, also when it ended between two parts.
 *   A write counts its parts in order up to the first error. A host that wrote less than a part without an error
 *   is asked for the rest of it, and so names its reason (a full disk).
 *
 *   Appends to one node go one after the other, in the order they came, each as long as it takes; the
 *   parts of one append are sent one after the other, too. So appends of any length through this client never
 *   interleave. A single part is atomic against everybody (O_APPEND on the host).
 *
 *   Writing that must not make the file longer (paging) is clipped to the size that the client believes,
 *   as the host knows no such request.
 *
 *   A transfer that ends with the session is parked (patience.c) and begun again from its start, with a new handle, when there
 *   is a new one: a read, and a write to a place. An append is not: nobody knows whether the host has done it. A handle
 *   that the host does not know although it knows the session (EBADF: a daemon that took a session over without all of
 *   its handles, GlusterFS after an outage) is replaced by a new one in the same way, once.
 *
 *   Opening what is missing, and asking for a size that is not known, happens before anything is sent and
 *   is waited for by the caller's thread; both are rare.
 *
 * Ownership: a job is counted: one for all requests that are out, one for a thread that waits, one for a
 *   thread that starts or cancels it. It holds a handle until its end. The struct cli_io is the caller's
 *   again when done() is called, and its buffer is not touched any more.
 * Locks: struct io_private.lock (which job a transfer belongs to) and job->lock (waiting) are taken with no
 *   other; node->lock guards the queue of appends. done() and cli_submit() are called without any.
 */
#include <stdlib.h>
#include <string.h>

#include "service/client/file_int.h"

/* What a struct cli_io keeps in its private words. */
struct io_private {
    cli_mutex lock;
    struct job *job; /* lock; NULL once it has ended */
};
_Static_assert(sizeof(struct io_private) <= sizeof(((struct cli_io *)0)->priv), "cli_io.priv");
_Static_assert(_Alignof(struct io_private) <= _Alignof(uint64_t), "cli_io.priv");

enum part_state { PART_SENDING, PART_WAITING, PART_ANSWERED };

struct part {
    struct cli_async async;
    struct job *job;
    atomic_int state;    /* enum part_state */
    uint32_t start, len; /* of the caller's buffer */
    uint32_t got;        /* bytes that were transferred */
    int32_t error;       /* 0 or -errno: why there were no more */
    struct fuse_write_out written;
};

struct job {
    struct cli *c;
    struct cli_io *io; /* the caller's; not touched after its end */
    struct cli_open *open;
    atomic_uint users;
    atomic_uint out; /* parts that are not answered; of an append, 1 until its end */
    atomic_bool cancelled;
    bool write, append, kill_suid;
    bool known_end; /* append: where the file ended, when it started */
    uint64_t end;
    uint64_t stamp; /* before anything was sent */
    uint64_t offset;
    struct cli_link queued; /* append: in open->appends */
    struct cli_parked parked;
    bool reopened; /* its handle was unknown once */

    cli_mutex lock;
    cli_cond ended_cond;
    bool ended;

    uint32_t n_parts;
    struct part part[];
};

static struct io_private *private_of(struct cli_io *io)
{
    return (struct io_private *)io->priv;
}

static void job_drop(struct job *j)
{
    if (atomic_fetch_sub(&j->users, 1) == 1)
        free(j);
}

/* ---- the end of a job -------------------------------------------------------------------------- */

/* What one request would have said. */
static void sum_up(const struct job *j, struct cli_io *io)
{
    for (uint32_t i = 0; i < j->n_parts; i++) {
        const struct part *p = &j->part[i];

        io->bytes += p->got;
        io->error = p->error;
        if (p->got < p->len)
            return;
    }
}

/* How far the parts reached in the file, those after an error as well. */
static uint64_t reached(const struct job *j, uint64_t base)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < j->n_parts; i++)
        if (j->part[i].got)
            end = base + j->part[i].start + j->part[i].got;
    return end;
}

/* Did nobody but this append change the node since it started? Else nobody knows where it went. */
static bool end_still_known(const struct job *j)
{
    struct cli_node *n = j->open->node;
    bool known = j->known_end;

    cli_mutex_lock(&n->lock);
    known = known && n->attr_changed <= j->stamp;
    cli_mutex_unlock(&n->lock);
    return known;
}

/* The attribute cache learns of what was written, before anybody hears of it. */
static void account(struct job *j)
{
    struct cli_node *n = j->open->node;
    bool known = !j->append || end_still_known(j);
    uint64_t base = j->append ? j->end : j->offset;
    uint64_t end = known ? reached(j, base) : 0;

    j->io->at = known ? base : UINT64_MAX;
    if (end)
        cli_attr_wrote(j->c, n, end, j->stamp);
    if (j->io->error)
        cli_attr_changed(j->c, n);
    else if (!known)
        cli_attr_appended(j->c, n, reached(j, 0));
}

static void append_next(struct cli_open *o);

/* What the caller is told. */
static void job_finish(struct job *j)
{
    struct cli_io *io = j->io;
    struct io_private *private = private_of(io);
    struct cli *c = j->c;

    sum_up(j, io);
    if (j->write)
        account(j);
    if (j->append)
        append_next(j->open);
    cli_open_drop(c, j->open);
    cli_mutex_lock(&private->lock);
    private->job = NULL;
    cli_mutex_unlock(&private->lock);
    if (io->done) {
        io->done(io);
    } else {
        cli_mutex_lock(&j->lock);
        j->ended = true;
        cli_cond_wake_all(&j->ended_cond);
        cli_mutex_unlock(&j->lock);
    }
    job_drop(j);
}

static int32_t first_error(const struct job *j)
{
    for (uint32_t i = 0; i < j->n_parts; i++)
        if (j->part[i].error)
            return j->part[i].error;
    return 0;
}

/* All parts are answered. */
static void job_end(struct job *j)
{
    int32_t error = first_error(j);
    bool doubt = cli_may_be_lost(error);

    if (!j->append && (error == -LE_ENOTCONN || doubt) &&
        cli_park(j->c, &j->parked, doubt ? j->open->session : 0))
        return;
    if (j->append && error == -LE_EBADF)
        atomic_store(&j->open->unknown, true); /* the next one opens another */
    job_finish(j);
}

static void part_out(struct job *j)
{
    if (atomic_fetch_sub(&j->out, 1) == 1)
        job_end(j);
}

/* ---- parts --------------------------------------------------------------------------------------- */

static void part_done(struct cli_async *a);

/* Send what is left of a part. Return: 0: part_done() will be called; -errno. */
static int part_send(struct part *p)
{
    struct job *j = p->job;
    struct cli *c = j->c;
    uint8_t *buf = (uint8_t *)j->io->buf + p->start + p->got;
    uint64_t offset = j->append ? 0 : j->offset + p->start + p->got;
    uint32_t len = p->len - p->got;
    struct fuse_read_in rd = {.fh = j->open->fh, .offset = offset, .size = len};
    struct fuse_write_in wr = {.fh = j->open->fh, .offset = offset, .size = len};
    struct cli_req r = {
        .opcode = j->write ? FUSE_WRITE : FUSE_READ,
        .node = j->open->node,
        .session = j->open->session,
    };

    if (atomic_load(&j->cancelled))
        return -LE_EINTR;
    if (j->write) {
        /* No Windows program is privileged on the host: what it writes to is not setuid any more. */
        if (j->kill_suid)
            wr.write_flags = FUSE_WRITE_KILL_SUIDGID;
        r.arg[0] = (struct cli_arg){&wr, sizeof(wr)};
        r.data = buf;
        r.data_len = len;
        r.reply = &p->written;
        r.reply_cap = r.reply_min = sizeof(p->written);
    } else {
        r.arg[0] = (struct cli_arg){&rd, sizeof(rd)};
        r.reply = buf;
        r.reply_cap = len;
    }
    p->async.done = part_done;
    int e = cli_submit(c, &p->async, &r);

    /* The handle's session has ended: to the caller that is one thing, whenever it happened. */
    return e == -LE_ESTALE && cli_session_no(c) != j->open->session ? -LE_ENOTCONN : e;
}

/* What a WRITE was answered with. Return: bytes, or -errno. */
static int32_t written(const struct part *p, int32_t result)
{
    uint32_t size = p->written.size;

    if (result < 0)
        return result;
    return size == 0 || size > p->len - p->got ? -LE_EIO : (int32_t)size;
}

/* Take an answer. Return: is there more to send of this part? */
static bool part_answered(struct part *p)
{
    struct job *j = p->job;
    int32_t n = p->async.msg.result;

    if (j->write)
        n = written(p, n);
    if (n < 0)
        p->error = n;
    else
        p->got += (uint32_t)n;
    return j->write && !p->error && p->got < p->len;
}

/*
 * Send a part until there is nothing left of it, in an append those after it as well; then part_out().
 *
 * Answers may come before cli_submit() returns, on this thread too. Whoever of this function and part_done()
 * is second goes on, so that neither calls the other and the stack stays flat.
 */
static void part_run(struct part *p, bool answered)
{
    struct job *j = p->job;

    for (;;) {
        if (!answered) {
            atomic_store(&p->state, PART_SENDING);
            p->error = part_send(p);
            if (p->error)
                break;
            if (atomic_exchange(&p->state, PART_WAITING) == PART_SENDING)
                return;
        }
        answered = false;
        if (part_answered(p))
            continue;
        if (!j->append || p->error || p + 1 == j->part + j->n_parts)
            break;
        p++;
    }
    part_out(j);
}

static void part_done(struct cli_async *a)
{
    struct part *p = CLI_CONTAINER(a, struct part, async);

    if (atomic_exchange(&p->state, PART_ANSWERED) == PART_WAITING)
        part_run(p, true);
}

/* ---- in the next session ------------------------------------------------------------------------- */

static struct job *job_of(struct cli_parked *p)
{
    return CLI_CONTAINER(p, struct job, parked);
}

static void job_give_up(struct cli_parked *p, int32_t error)
{
    struct job *j = job_of(p);

    if (error) {
        for (uint32_t i = 0; i < j->n_parts; i++)
            j->part[i].got = 0;
        j->part[0].error = error;
    }
    job_finish(j);
}

/* Does what fitted the session that is over fit this one, too? */
static bool still_fits(const struct job *j)
{
    struct cli_session s;

    cli_session_get(j->c, &s);
    return j->part[0].len <= (j->write ? s.max_write : s.max_read);
}

static void job_again(struct cli_parked *p)
{
    struct job *j = job_of(p);
    struct cli_open *o = NULL, *old = j->open;
    int e = -LE_EIO;

    if (still_fits(j))
        e = cli_open_hold_now(j->c, old->node, j->write ? CLI_FOR_WRITE : CLI_FOR_READ, &o);
    if (e == -LE_ENOTCONN && cli_park(j->c, p, 0))
        return;
    if (e) {
        job_give_up(p, e);
        return;
    }
    j->open = o;
    cli_open_drop(j->c, old);
    for (uint32_t i = 0; i < j->n_parts; i++) {
        j->part[i].got = 0;
        j->part[i].error = 0;
    }
    j->stamp = cli_stamp(j->c);
    uint32_t n = j->n_parts;
    atomic_store(&j->out, n);
    for (uint32_t i = 0; i < n; i++) /* with the last of them the job may end */
        part_run(&j->part[i], false);
}

/* The host knows the session, but maybe not the handle. */
static void job_meant(struct cli_parked *p)
{
    struct job *j = job_of(p);

    if (first_error(j) == -LE_EBADF && !j->reopened) {
        j->reopened = true;
        atomic_store(&j->open->unknown, true);
        if (cli_park(j->c, p, 0))
            return;
    }
    job_finish(j);
}

/* ---- appends: one after the other ---------------------------------------------------------------- */

static void append_start(struct job *j)
{
    struct cli_attr attr;

    /* The stamp first: what changes after it is noticed. */
    j->stamp = cli_stamp(j->c);
    j->known_end = cli_attr_peek(j->c, j->open->node, &attr);
    j->end = j->known_end ? attr.size : 0;
    part_run(&j->part[0], false);
}

/* Start an append when no other is under way, else leave it in the queue. */
static void append_enter(struct job *j)
{
    struct cli_open *o = j->open;
    bool now;

    cli_mutex_lock(&o->node->lock);
    now = !o->appending;
    o->appending = true;
    if (!now)
        cli_list_add(&o->appends, &j->queued);
    cli_mutex_unlock(&o->node->lock);
    if (now)
        append_start(j);
}

/* An append has ended: it is the next one's turn. */
static void append_next(struct cli_open *o)
{
    struct job *j = NULL;

    cli_mutex_lock(&o->node->lock);
    if (cli_list_empty(&o->appends)) {
        o->appending = false;
    } else {
        j = CLI_CONTAINER(o->appends.next, struct job, queued);
        cli_list_del(&j->queued);
    }
    cli_mutex_unlock(&o->node->lock);
    if (j)
        append_start(j);
}

/* ---- starting ---------------------------------------------------------------------------------- */

static struct job *job_new(struct cli *c, struct cli_io *io, struct cli_open *o, uint32_t len,
                           bool write)
{
    struct cli_session s;
    uint32_t max, n;
    struct job *j;

    cli_session_get(c, &s);
    max = write ? s.max_write : s.max_read;
    n = (len - 1) / max + 1;
    j = calloc(1, sizeof(*j) + n * sizeof(j->part[0]));
    if (!j)
        return NULL;
    j->c = c;
    j->io = io;
    j->open = o;
    j->write = write;
    j->append = write && (io->flags & CLI_IO_APPEND);
    j->kill_suid = s.flags & FUSE_HANDLE_KILLPRIV_V2;
    j->offset = io->offset;
    j->parked = (struct cli_parked){
        .cancelled = &j->cancelled, .again = job_again, .meant = job_meant, .give_up = job_give_up};
    j->n_parts = n;
    atomic_init(&j->users, 2); /* its end, and start() */
    atomic_init(&j->out, j->append ? 1 : n);
    for (uint32_t i = 0; i < n; i++) {
        struct part *p = &j->part[i];

        p->job = j;
        p->start = i * max;
        p->len = len - p->start < max ? len - p->start : max;
    }
    return j;
}

static void start(struct job *j)
{
    struct cli_io *io = j->io;
    struct io_private *private = private_of(io);
    bool wait = !io->done;

    cli_mutex_lock(&private->lock);
    private->job = j;
    cli_mutex_unlock(&private->lock);
    j->stamp = cli_stamp(j->c);
    if (j->append)
        append_enter(j);
    else
        for (uint32_t i = 0; i < j->n_parts; i++)
            part_run(&j->part[i], false);
    if (wait) {
        cli_mutex_lock(&j->lock);
        while (!j->ended)
            cli_cond_wait(&j->ended_cond, &j->lock);
        cli_mutex_unlock(&j->lock);
    }
    job_drop(j);
}

/* How much of a transfer there is to do. Return: 0 or -errno. */
static int measure(struct cli *c, struct cli_node *n, const struct cli_io *io, bool write,
                   uint32_t *len)
{
    bool append = write && (io->flags & CLI_IO_APPEND);
    struct cli_attr attr;
    int e;

    *len = io->len;
    if (write && c->opt.read_only)
        return -LE_EROFS;
    if (!append && (io->offset > INT64_MAX || io->len > INT64_MAX - io->offset))
        return write ? -LE_EFBIG : -LE_EINVAL;
    if (!write || io->len == 0)
        return 0;
    if (append && (io->flags & CLI_IO_CONSTRAINED)) {
        *len = 0;
        return 0;
    }
    /* Whoever hears of the write is told the size, without asking: so it has to be right before. */
    if ((io->flags & CLI_IO_CONSTRAINED) || !cli_size_known(c, n, append)) {
        e = cli_getattr(c, n, false, &attr);
        if (e)
            return e;
    }
    if (!(io->flags & CLI_IO_CONSTRAINED))
        return 0;
    if (io->offset >= attr.size)
        *len = 0;
    else if (attr.size - io->offset < *len)
        *len = (uint32_t)(attr.size - io->offset);
    return 0;
}

static int transfer(struct cli *c, struct cli_node *n, struct cli_io *io, bool write)
{
    enum cli_purpose purpose = CLI_FOR_READ;
    struct cli_open *o;
    struct job *j;
    uint32_t len;
    int e = measure(c, n, io, write, &len);

    if (e)
        return e;
    io->error = 0;
    io->bytes = 0;
    io->at = io->offset;
    memset(io->priv, 0, sizeof(io->priv));
    if (len == 0) {
        if (io->done)
            io->done(io);
        return 0;
    }
    if (write)
        purpose = io->flags & CLI_IO_APPEND ? CLI_FOR_APPEND : CLI_FOR_WRITE;
    e = cli_open_hold(c, n, purpose, &o);
    if (e)
        return e;
    j = job_new(c, io, o, len, write);
    if (!j) {
        cli_open_drop(c, o);
        return -LE_ENOMEM;
    }
    start(j);
    return 0;
}

/** cli_read() - see client.h */
int cli_read(struct cli *c, struct cli_file *f, struct cli_io *io)
{
    return transfer(c, f->node, io, false);
}

/** cli_write() - see client.h */
int cli_write(struct cli *c, struct cli_file *f, struct cli_io *io)
{
    return transfer(c, f->node, io, true);
}

/** cli_io_cancel() - see client.h */
void cli_io_cancel(struct cli *c, struct cli_io *io)
{
    struct io_private *private = private_of(io);
    struct job *j;

    cli_mutex_lock(&private->lock);
    j = private->job;
    if (j)
        atomic_fetch_add(&j->users, 1);
    cli_mutex_unlock(&private->lock);
    if (!j)
        return;
    atomic_store(&j->cancelled, true);
    for (uint32_t i = 0; i < j->n_parts; i++)
        if (atomic_load(&j->part[i].state) == PART_WAITING)
            c->transport->ops->cancel(c->transport, &j->part[i].async.msg);
    if (cli_unpark(c, &j->parked))
        job_give_up(&j->parked, -LE_EINTR);
    job_drop(j);
}
