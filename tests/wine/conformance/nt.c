// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt.c - the connection to the NT door; opening, data, locks, control
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/nt-bench/wire.h"
#include "tests/wine/conformance/conf_int.h"

#define PATIENCE_S 30 /* for any one call */

/* ---- the connection -------------------------------------------------------------------------- */

void t_open(struct t *t)
{
    struct timeval tv = {.tv_sec = PATIENCE_S};

    t->fd = wire_connect(t->door);
    if (t->fd < 0)
        t_fail(t, __FILE__, __LINE__, "the door %s: %s", t->door, strerror(-t->fd));
    setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

void t_close(struct t *t)
{
    while (t->others) {
        struct t *o = t->others;

        t->others = o->next;
        t_close(o);
        free(o);
    }
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    host_unmount(t);
    while (t->kept) {
        struct kept *k = t->kept;

        t->kept = k->next;
        free(k);
    }
    free(t->data);
    t->data = NULL;
    t->data_room = 0;
}

static void make_room(struct t *t, uint32_t n)
{
    if (n <= t->data_room)
        return;
    free(t->data);
    t->data_room = n;
    t->data = malloc(n);
    if (!t->data)
        t_fail(t, __FILE__, __LINE__, "out of memory");
}

static struct door_reply exchange(struct t *t, const struct door_call *c, const void *name,
                                  const void *data)
{
    struct door_reply r;
    int err = wire_send(t->fd, c, sizeof(*c), name, c->name_len, data, c->data_len);

    if (err == 0)
        err = wire_receive(t->fd, &r, sizeof(r));
    if (err == 0 && r.data_len > DOOR_MAX_DATA)
        err = -EPROTO;
    if (err == 0) {
        make_room(t, r.data_len + 1);
        err = wire_receive(t->fd, t->data, r.data_len);
    }
    if (err == -EAGAIN)
        t_fail(t, __FILE__, __LINE__, "call %u is not answered within %d s", c->op, PATIENCE_S);
    if (err < 0)
        t_fail(t, __FILE__, __LINE__, "the door is closed: %s", strerror(-err));
    t->data_len = r.data_len;
    t->data[r.data_len] = 0;
    t->information = r.information;
    return r;
}

uint32_t nt_call(struct t *t, const struct door_call *c, const void *name, const void *data)
{
    return exchange(t, c, name, data).status;
}

const void *nt_data(const struct t *t)
{
    return t->data;
}

uint32_t nt_data_len(const struct t *t)
{
    return t->data_len;
}

uint64_t nt_information(const struct t *t)
{
    return t->information;
}

/* ---- opening --------------------------------------------------------------------------------- */

uint32_t nt_create(struct t *t, const char *name, const struct how *how, handle *h)
{
    uint32_t share = how->share ? how->share & FILE_SHARE_ALL : FILE_SHARE_ALL;
    uint16_t *units = malloc(NAME_ROOM);
    uint8_t *extra = malloc(how->sd_len + how->ea_len + 1u);
    struct door_call c = {
        .op = DOOR_CREATE,
        .u32 = {how->access, how->disposition, how->options, how->attributes, share, how->sd_len,
                how->ea_len},
        .u64 = {how->allocation, how->in},
    };
    struct door_reply r;

    if (!units || !extra)
        t_fail(t, __FILE__, __LINE__, "out of memory");
    c.name_len =
        how->in ? to_utf16(t, name, units, NAME_ROOM) : full_name(t, name, units, NAME_ROOM);
    if (how->sd_len)
        memcpy(extra, how->sd, how->sd_len);
    if (how->ea_len)
        memcpy(extra + how->sd_len, how->ea, how->ea_len);
    c.data_len = how->sd_len + how->ea_len;
    r = exchange(t, &c, units, extra);
    free(units);
    free(extra);
    if ((int32_t)r.status >= 0)
        to_utf8(t->data, t->data_len, t->path, sizeof(t->path));
    if (h)
        *h = (int32_t)r.status >= 0 ? r.handle : 0;
    else if ((int32_t)r.status >= 0)
        nt_close(t, r.handle);
    t->information = r.information;
    return r.status;
}

handle nt_open(struct t *t, const char *file, int line, const char *name, const struct how *how)
{
    handle h;
    uint32_t status = nt_create(t, name, how, &h);

    if (status != STATUS_SUCCESS)
        t_fail(t, file, line, "%s cannot be opened: %#x", name, status);
    return h;
}

void nt_close(struct t *t, handle h)
{
    struct door_call c = {.op = DOOR_CLOSE, .handle = h};
    uint64_t information = t->information;

    OK(t, nt_call(t, &c, NULL, NULL));
    t->information = information;
}

void nt_cleanup(struct t *t, handle h)
{
    struct door_call c = {.op = DOOR_CLEANUP, .handle = h};

    OK(t, nt_call(t, &c, NULL, NULL));
}

const char *nt_path(const struct t *t)
{
    return t->path;
}

/* ---- data ------------------------------------------------------------------------------------ */

uint32_t nt_read_flags(struct t *t, handle h, int64_t offset, void *buf, uint32_t n, uint32_t *got,
                       uint32_t flags)
{
    struct door_call c = {
        .op = DOOR_READ, .handle = h, .u32 = {n, flags}, .u64 = {(uint64_t)offset}};
    uint32_t status = nt_call(t, &c, NULL, NULL);

    if (t->data_len > n)
        t_fail(t, __FILE__, __LINE__, "%u bytes were read where %u were wanted", t->data_len, n);
    memcpy(buf, t->data, t->data_len);
    if (got)
        *got = t->data_len;
    return status;
}

uint32_t nt_read(struct t *t, handle h, int64_t offset, void *buf, uint32_t n, uint32_t *got)
{
    return nt_read_flags(t, h, offset, buf, n, got, 0);
}

uint32_t nt_write_flags(struct t *t, handle h, int64_t offset, const void *buf, uint32_t n,
                        uint32_t flags)
{
    struct door_call c = {
        .op = DOOR_WRITE, .handle = h, .data_len = n, .u32 = {0, flags}, .u64 = {(uint64_t)offset}};

    return nt_call(t, &c, NULL, buf);
}

uint32_t nt_write(struct t *t, handle h, int64_t offset, const void *buf, uint32_t n)
{
    return nt_write_flags(t, h, offset, buf, n, 0);
}

void nt_puts(struct t *t, handle h, int64_t offset, const char *text)
{
    uint32_t n = (uint32_t)strlen(text);

    OK(t, nt_write(t, h, offset, text, n));
    EQUAL(t, n, t->information);
}

const char *nt_gets(struct t *t, handle h, int64_t offset)
{
    char *text = keep(t, 4096);
    uint32_t got = 0, status = nt_read(t, h, offset, text, 4095, &got);

    if (status != STATUS_END_OF_FILE)
        OK(t, status);
    text[got] = '\0';
    return text;
}

uint32_t nt_flush(struct t *t, handle h)
{
    return nt_call(t, &(struct door_call){.op = DOOR_FLUSH, .handle = h}, NULL, NULL);
}

uint32_t nt_lock(struct t *t, handle h, uint64_t offset, uint64_t n, bool exclusive)
{
    struct door_call c = {.op = DOOR_LOCK, .handle = h, .u32 = {exclusive}, .u64 = {offset, n}};

    return nt_call(t, &c, NULL, NULL);
}

uint32_t nt_unlock(struct t *t, handle h, uint64_t offset, uint64_t n)
{
    return nt_call(t, &(struct door_call){.op = DOOR_UNLOCK, .handle = h, .u64 = {offset, n}}, NULL,
                   NULL);
}

/* ---- who calls, and how many ----------------------------------------------------------------- */

void nt_run_as(struct t *t, enum door_token token)
{
    OK(t, nt_call(t, &(struct door_call){.op = DOOR_TOKEN, .u32 = {token}}, NULL, NULL));
}

void nt_control(struct t *t, uint32_t control, uint32_t value)
{
    OK(t, nt_call(t, &(struct door_call){.op = DOOR_CONTROL, .u32 = {control, value}}, NULL, NULL));
}

struct door_stats nt_stats(struct t *t)
{
    struct door_stats s;

    OK(t, nt_call(t, &(struct door_call){.op = DOOR_STATS}, NULL, NULL));
    EQUAL(t, sizeof(s), t->data_len);
    memcpy(&s, t->data, sizeof(s));
    return s;
}

void nt_barrier(struct t *t, uint32_t id, uint32_t n)
{
    OK(t, nt_call(t, &(struct door_call){.op = DOOR_BARRIER, .u32 = {id, n}}, NULL, NULL));
}

/* The new one shares nothing with @t but names; it fails on its own. */
static struct t *fork_t(struct t *t)
{
    struct t *o = calloc(1, sizeof(*o));

    if (!o)
        t_fail(t, __FILE__, __LINE__, "out of memory");
    o->door = t->door;
    o->share = t->share;
    strcpy(o->dir, t->dir);
    o->cached = t->cached;
    o->fd = -1;
    o->next = t->others;
    t->others = o;
    return o;
}

struct t *another(struct t *t)
{
    struct t *o = fork_t(t);

    memcpy(&o->end, &t->end, sizeof(o->end)); /* a failure of it is one of the case */
    t_open(o);
    return o;
}

void t_die(struct t *other)
{
    close(other->fd);
    other->fd = -1;
}

struct member {
    pthread_t thread;
    struct t *t;
    unsigned number;
    void (*fn)(struct t *t, unsigned number, void *ctx);
    void *ctx;
};

static void *member_main(void *arg)
{
    struct member *m = arg;

    if (setjmp(m->t->end) == 0) {
        t_open(m->t);
        m->fn(m->t, m->number, m->ctx);
    }
    return NULL;
}

void together(struct t *t, unsigned n, void (*fn)(struct t *t, unsigned number, void *ctx),
              void *ctx)
{
    struct member *m = keep(t, n * sizeof(*m));

    for (unsigned i = 0; i < n; i++) {
        m[i] = (struct member){.t = fork_t(t), .number = i, .fn = fn, .ctx = ctx};
        if (pthread_create(&m[i].thread, NULL, member_main, &m[i]) != 0)
            t_fail(t, __FILE__, __LINE__, "no thread");
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(m[i].thread, NULL);
    for (unsigned i = 0; i < n; i++)
        if (m[i].t->failed)
            t_fail(t, __FILE__, __LINE__, "thread %u: %s", i, m[i].t->why);
}
