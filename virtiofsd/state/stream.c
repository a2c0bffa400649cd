// SPDX-License-Identifier: BSD-3-Clause
/*
 * stream.c - records on their way to another daemon (see stream.h)
 *
 * syscalls: read write poll ppoll fcntl fcntl64
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "host/log.h"
#include "state/stream.h"

enum { HEAD_BYTES = 12, RECORD_HEAD = 6, END_BYTES = 16 };

static const uint8_t magic[8] = {'v', 'i', 'o', 'f', 's', 's', 't', '\n'};

#define SUM_START 0xcbf29ce484222325u

/* FNV-1a: what garbles a stream is chance. */
static uint64_t sum_of(uint64_t x, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        x = (x ^ p[i]) * 0x100000001b3u;
    return x;
}

static void put_le(uint8_t *to, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *from, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)from[i] << (8 * i);
    return v;
}

static int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

/* Until @fd is ready for @events. Return: 0, -ECANCELED when we are to stop, -errno. */
static int wait_for(int fd, short events, int stop_fd)
{
    struct pollfd p[2] = {{.fd = stop_fd, .events = POLLIN}, {.fd = fd, .events = events}};

    while (poll(p, 2, -1) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return p[0].revents ? -ECANCELED : 0;
}

/* ---- out ------------------------------------------------------------------------------------- */

void stream_out_begin(struct stream_out *o, int fd, int stop_fd)
{
    o->fd = fd;
    o->stop_fd = stop_fd;
    o->err = set_nonblocking(fd);
    o->sum = SUM_START;
    o->records = 0;
    memcpy(o->buf, magic, sizeof(magic));
    put_le(o->buf + sizeof(magic), STREAM_VERSION, 4);
    o->at = o->record = HEAD_BYTES;
}

/* Send everything up to @end, a boundary of records. */
static void flush(struct stream_out *o, size_t end)
{
    o->sum = sum_of(o->sum, o->buf, end);
    for (size_t sent = 0; sent < end && !o->err;) {
        ssize_t n = write(o->fd, o->buf + sent, end - sent);
        if (n >= 0)
            sent += (size_t)n;
        else if (errno == EAGAIN)
            o->err = wait_for(o->fd, POLLOUT, o->stop_fd);
        else if (errno != EINTR)
            o->err = -errno;
    }
    memmove(o->buf, o->buf + end, o->at - end);
    o->at -= end;
    o->record -= end;
}

void stream_record(struct stream_out *o, enum stream_kind kind)
{
    if (o->at > STREAM_ROOM - RECORD_HEAD - STREAM_RECORD_MAX)
        flush(o, o->at);
    o->record = o->at;
    put_le(o->buf + o->at, (uint64_t)kind, 2);
    o->at += RECORD_HEAD;
}

void stream_record_end(struct stream_out *o)
{
    put_le(o->buf + o->record + 2, o->at - o->record - RECORD_HEAD, 4);
    o->record = o->at;
    o->records++;
}

/* Room for @bytes in the open record. NULL: it would become too long. */
static uint8_t *room(struct stream_out *o, size_t bytes)
{
    if (!o->err && o->at - o->record - RECORD_HEAD + bytes > STREAM_RECORD_MAX)
        o->err = -E2BIG;
    if (o->err)
        return NULL;
    o->at += bytes;
    return o->buf + o->at - bytes;
}

static void put_number(struct stream_out *o, uint64_t v, unsigned bytes)
{
    uint8_t *to = room(o, bytes);

    if (to)
        put_le(to, v, bytes);
}

void stream_put_u8(struct stream_out *o, uint8_t v)
{
    put_number(o, v, 1);
}

void stream_put_u16(struct stream_out *o, uint16_t v)
{
    put_number(o, v, 2);
}

void stream_put_u32(struct stream_out *o, uint32_t v)
{
    put_number(o, v, 4);
}

void stream_put_u64(struct stream_out *o, uint64_t v)
{
    put_number(o, v, 8);
}

void stream_put_bytes(struct stream_out *o, const void *p, uint16_t len)
{
    stream_put_u16(o, len);
    uint8_t *to = room(o, len);
    if (to && len)
        memcpy(to, p, len);
}

int stream_out_end(struct stream_out *o)
{
    uint64_t records = o->records;

    if (!o->err)
        flush(o, o->at);
    if (!o->err) {
        uint64_t sum = o->sum;
        stream_record(o, STREAM_END);
        stream_put_u64(o, records);
        stream_put_u64(o, sum);
        stream_record_end(o);
        flush(o, o->at);
    }
    return o->err;
}

/* ---- in -------------------------------------------------------------------------------------- */

/* At least @want unread bytes, which fit. Return: 0; -EPROTO when there are no more; -errno. */
static int fill(struct stream_in *in, size_t want)
{
    if (in->at + want > sizeof(in->buf)) {
        memmove(in->buf, in->buf + in->at, in->end - in->at);
        in->end -= in->at;
        in->at = 0;
    }
    while (in->end - in->at < want) {
        ssize_t n = read(in->fd, in->buf + in->end, sizeof(in->buf) - in->end);
        int err = 0;
        if (n > 0)
            in->end += (size_t)n;
        else if (n == 0)
            return -EPROTO;
        else if (errno == EAGAIN)
            err = wait_for(in->fd, POLLIN, in->stop_fd);
        else if (errno != EINTR)
            err = -errno;
        if (err)
            return err;
    }
    return 0;
}

int stream_in_begin(struct stream_in *in, int fd, int stop_fd)
{
    in->fd = fd;
    in->stop_fd = stop_fd;
    in->sum = SUM_START;
    in->records = 0;
    in->at = in->end = in->record = in->r_end = 0;
    in->err = set_nonblocking(fd);
    if (!in->err)
        in->err = fill(in, HEAD_BYTES);
    if (in->err == -EPROTO || (!in->err && memcmp(in->buf, magic, sizeof(magic)) != 0)) {
        log_error("migration: what arrives is not the state of a virtiofsd of this project; both "
                  "hosts need it");
        in->err = -EPROTO;
    }
    if (in->err)
        return in->err;
    uint32_t version = (uint32_t)get_le(in->buf + sizeof(magic), 4);
    if (version != STREAM_VERSION) {
        log_error(
            "migration: the state has version %u, and this virtiofsd knows version %u; install "
            "the same release on both hosts",
            version, STREAM_VERSION);
        in->err = -EPROTO;
        return in->err;
    }
    in->sum = sum_of(in->sum, in->buf, HEAD_BYTES);
    in->at = HEAD_BYTES;
    return 0;
}

/* The end of the stream: nothing may follow it. */
static int check_end(struct stream_in *in, uint64_t sum)
{
    uint64_t records = stream_get_u64(in), told = stream_get_u64(in);

    if (stream_record_done(in) < 0 || records != in->records || told != sum)
        return -EPROTO;
    int err = fill(in, 1);
    return err == -EPROTO ? STREAM_END : err ? err : -EPROTO;
}

static int next(struct stream_in *in)
{
    uint64_t sum = in->sum;
    int err = fill(in, RECORD_HEAD);

    if (err)
        return err;
    int kind = (int)get_le(in->buf + in->at, 2);
    size_t len = (size_t)get_le(in->buf + in->at + 2, 4);
    if (len > STREAM_RECORD_MAX || (kind == STREAM_END && len != END_BYTES))
        return -EPROTO;
    if ((err = fill(in, RECORD_HEAD + len)))
        return err;
    in->sum = sum_of(sum, in->buf + in->at, RECORD_HEAD + len);
    in->record = in->at + RECORD_HEAD;
    in->at = in->r_end = in->record + len;
    if (kind == STREAM_END)
        return check_end(in, sum);
    in->records++;
    return kind;
}

int stream_next(struct stream_in *in)
{
    if (in->err)
        return in->err;
    int kind = next(in);
    if (kind < 0)
        in->err = kind;
    return kind;
}

/* @bytes of the present record, or NULL when it has no more. */
static const uint8_t *take(struct stream_in *in, size_t bytes)
{
    if (!in->err && in->r_end - in->record < bytes)
        in->err = -EPROTO;
    if (in->err)
        return NULL;
    in->record += bytes;
    return in->buf + in->record - bytes;
}

static uint64_t get_number(struct stream_in *in, unsigned bytes)
{
    const uint8_t *p = take(in, bytes);

    return p ? get_le(p, bytes) : 0;
}

uint8_t stream_get_u8(struct stream_in *in)
{
    return (uint8_t)get_number(in, 1);
}

uint16_t stream_get_u16(struct stream_in *in)
{
    return (uint16_t)get_number(in, 2);
}

uint32_t stream_get_u32(struct stream_in *in)
{
    return (uint32_t)get_number(in, 4);
}

uint64_t stream_get_u64(struct stream_in *in)
{
    return get_number(in, 8);
}

const uint8_t *stream_get_bytes(struct stream_in *in, uint16_t *len)
{
    *len = stream_get_u16(in);
    const uint8_t *p = take(in, *len);
    if (!p)
        *len = 0;
    return p;
}

int stream_record_done(struct stream_in *in)
{
    if (!in->err && in->record != in->r_end)
        in->err = -EPROTO;
    return in->err;
}
