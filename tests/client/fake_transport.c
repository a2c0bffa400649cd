// SPDX-License-Identifier: BSD-3-Clause
/*
 * fake_transport.c - the transport before a host in memory
 *
 * call() and submit() are served at once, on the caller's thread, one at a time; done() is called without
 * the lock. While the host is hushed, call() waits and submit() queues.
 *
 * Ownership: see fake_transport.h.   Locks: f->lock.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/client/fake_transport.h"

static struct fake *fake_of(struct cli_transport *t)
{
    return (struct fake *)(void *)((char *)t - offsetof(struct fake, transport));
}

/* ---- the books --------------------------------------------------------------------------------------- */

static void note(struct fake *f, const struct fuse_in_header *in)
{
    static const uint32_t standard[] = {63, FUSE_LOOKUP, FUSE_CREATE, FUSE_GETATTR,
                                        FUSE_READDIRPLUS};
    uint32_t opcode = in->opcode;

    if (opcode >= VIOFS_PROBE && opcode <= VIOFS_READDIRPLUS)
        opcode = standard[opcode - VIOFS_PROBE];
    if (opcode < FAKE_OPCODES)
        f->count[opcode]++;
    if (in->unique == f->last_unique)
        f->wrong++;
    f->last_unique = in->unique;
}

static int32_t serve(struct fake *f, struct cli_msg *m)
{
    struct fake_call call = {.reply = m->reply, .cap = m->reply_cap};

    f->unanswered++;
    pthread_cond_broadcast(&f->changed);
    while (f->silent && !f->dead)
        pthread_cond_wait(&f->changed, &f->lock);
    f->unanswered--;
    if (f->dead)
        return -LE_ENOTCONN;
    if (m->req_len < sizeof(call.in) || m->req_len > f->max_request) {
        f->wrong++;
        return -LE_EIO;
    }
    memcpy(&call.in, m->req, sizeof(call.in));
    if (call.in.len != m->req_len + m->data_len)
        f->wrong++;
    call.arg = (const uint8_t *)m->req + sizeof(call.in);
    call.arg_len = m->req_len - (uint32_t)sizeof(call.in);
    if (!f->initialized &&
        call.in.opcode != FUSE_INIT) /* as the driver does, and as the daemon does */
        return f->swapped ? -LE_EIO : -LE_ENOTCONN;
    f->requests++;
    f->last_in = call.in;
    note(f, &call.in);
    int32_t r = f->hook ? f->hook(f, &call) : FAKE_PASS;
    if (r == FAKE_PASS)
        r = fake_serve(f, &call);
    return r > (int32_t)m->reply_cap ? -LE_EIO : r; /* as a transport answers for a longer reply */
}

/* ---- the transport ------------------------------------------------------------------------------------ */

static int fake_limits(struct cli_transport *t, struct cli_limits *out)
{
    struct fake *f = fake_of(t);
    int r = 0;

    pthread_mutex_lock(&f->lock);
    *out = (struct cli_limits){
        .epoch = f->epoch,
        .max_in_flight = f->max_in_flight,
        .side_by_side = true,
        .max_request = f->max_request,
        .max_transfer = f->max_transfer,
        .tag = "fake",
    };
    if (f->dead)
        r = -LE_ENOTCONN;
    pthread_mutex_unlock(&f->lock);
    return r;
}

static int32_t fake_call(struct cli_transport *t, struct cli_msg *m)
{
    struct fake *f = fake_of(t);

    pthread_mutex_lock(&f->lock);
    m->result = serve(f, m);
    pthread_mutex_unlock(&f->lock);
    return m->result;
}

struct waiting {
    struct cli_transport *t;
    struct cli_msg *m;
};

static void *answer_later(void *arg)
{
    struct waiting w = *(struct waiting *)arg;

    free(arg);
    fake_call(w.t, w.m);
    w.m->done(w.m);
    return NULL;
}

static int fake_submit(struct cli_transport *t, struct cli_msg *m)
{
    struct fake *f = fake_of(t);
    struct waiting *w;
    pthread_t thread;

    struct fuse_in_header in;

    memcpy(&in, m->req, sizeof(in));
    pthread_mutex_lock(&f->lock);
    if (in.opcode == VIOFS_EVENTS && !f->dead && f->initialized) {
        if (f->events)
            f->wrong++;
        f->events = m;
        pthread_mutex_unlock(&f->lock);
        return 0;
    }
    bool wait = f->silent;
    pthread_mutex_unlock(&f->lock);
    if (!wait) {
        fake_call(t, m);
        m->done(m);
        return 0;
    }
    w = malloc(sizeof(*w));
    *w = (struct waiting){t, m};
    if (pthread_create(&thread, NULL, answer_later, w) != 0)
        abort();
    pthread_detach(thread);
    return 0;
}

static int fake_post(struct cli_transport *t, const void *req, uint32_t len)
{
    struct fake *f = fake_of(t);
    struct fuse_in_header in;
    int r = 0;

    pthread_mutex_lock(&f->lock);
    memcpy(&in, req, sizeof(in));
    if (in.len != len || len > f->max_request)
        f->wrong++;
    note(f, &in);
    f->forgets++;
    if (f->dead || !f->initialized)
        r = -LE_ENOTCONN;
    else
        fake_serve_forget(f, &in, (const uint8_t *)req + sizeof(in), len - (uint32_t)sizeof(in));
    pthread_mutex_unlock(&f->lock);
    return r;
}

static void fake_cancel(struct cli_transport *t, struct cli_msg *m)
{
    if (fake_of(t)->events == m)
        fake_answer_events(fake_of(t), NULL, 0, -LE_EINTR);
    /* Whatever else is out is answered when the host speaks again. */
}

void fake_answer_events(struct fake *f, const void *page, uint32_t len, int32_t error)
{
    pthread_mutex_lock(&f->lock);
    struct cli_msg *m = f->events;
    f->events = NULL;
    pthread_mutex_unlock(&f->lock);
    if (!m)
        abort();
    if (len > 0)
        memcpy(m->reply, page, len);
    m->result = error ? error : (int32_t)len;
    m->done(m);
}

void fake_event(struct fake *f, uint64_t nodeid, uint32_t action, uint32_t flags, const char *name)
{
    struct fuse_viofs_event e = {
        .nodeid = nodeid, .action = action, .flags = flags, .name_len = (uint32_t)strlen(name)};
    uint8_t page[sizeof(e) + 512] = {0};

    memcpy(page, &e, sizeof(e));
    memcpy(page + sizeof(e), name, e.name_len);
    fake_answer_events(f, page, (uint32_t)FUSE_REC_ALIGN(sizeof(e) + e.name_len), 0);
}

static const struct cli_transport_ops ops = {
    .limits = fake_limits,
    .call = fake_call,
    .submit = fake_submit,
    .post = fake_post,
    .cancel = fake_cancel,
};

void fake_init(struct fake *f)
{
    memset(f, 0, sizeof(*f));
    f->transport.ops = &ops;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->entry_ms = f->attr_ms = 60000;
    f->extension = f->statx = true;
    f->max_in_flight = 64;
    f->max_request = 4096;
    f->max_transfer = 1 << 20;
    f->epoch = 1;
    f->salt = 1000;
    f->clock = 1000000;
    f->node[0] = (struct fake_node){.used = true,
                                    .mode = 0040755,
                                    .nlink = 2,
                                    .ino = 5000,
                                    .mtime = f->clock,
                                    .ctime = f->clock};
}

void fake_end(struct fake *f)
{
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->changed);
}

/* ---- fates ---------------------------------------------------------------------------------------------- */

void fake_die(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    f->dead = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    if (f->events)
        fake_answer_events(f, NULL, 0, -LE_ENOTCONN);
}

/* f->lock held */
static void other_daemon(struct fake *f)
{
    f->salt += 10000;
    f->open_handles = 0;
    f->initialized = false;
    for (unsigned i = 0; i < FAKE_NODES; i++)
        f->node[i].lookups = 0;
}

void fake_revive(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    f->dead = false;
    f->epoch++;
    other_daemon(f);
    pthread_mutex_unlock(&f->lock);
}

void fake_swap(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    f->swapped = true;
    other_daemon(f);
    pthread_mutex_unlock(&f->lock);
}

void fake_hush(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    f->silent = true;
    pthread_mutex_unlock(&f->lock);
}

void fake_wait_asked(struct fake *f, uint32_t n)
{
    pthread_mutex_lock(&f->lock);
    while (f->unanswered < n)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

void fake_speak(struct fake *f)
{
    pthread_mutex_lock(&f->lock);
    f->silent = false;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}
