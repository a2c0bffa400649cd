// SPDX-License-Identifier: BSD-3-Clause
/*
 * streams.c - what alternate data streams contain
 *
 * Theory of operation
 *
 *   A stream is the value of an extended attribute (stream_name.c): its bytes and one NUL behind them, as Samba's
 *   vfs_streams_xattr writes it. The last byte is not looked at, for Samba does not either: whatever it is, it is
 *   not the stream's. An attribute without even that byte is no stream.
 *
 *   Linux changes such a value as a whole, so all handles of a stream share one struct svc_stream, whose lock makes
 *   a change of a part of it one step: what is there, with the change, is sent to the host before the write is
 *   answered. The value that was read is believed for as long as attributes are without news (HOLDS_MS). A host
 *   that writes to a stream at the same time as Windows is not serialised with it; Samba's clients are not either.
 *
 *   What does not fit is refused before anything changes: more than 65535 bytes by us, less by the host, whose file
 *   systems keep 4 to 64 KiB (ENOSPC, E2BIG, ERANGE: STATUS_DISK_FULL).
 *
 *   A file of which the host says that it has no streams costs no request.
 *
 * Ownership: counted by users; each holds a reference to its node. Locks: v->streams_lock for the table and the
 *   counts, stream->lock for the value, held across round trips.
 */
#include "service/winfsp/svc.h"

#include <stdlib.h>
#include <string.h>

#include "service/winfsp/stream_name.h"

enum {
    HOLDS_MS = 1000,
    SMALL = 4096,    /* most values fit: one request */
    XATTR_CREATE = 1 /* linux/xattr.h */
};

struct svc_stream {
    struct svc_volume *v;
    struct cli_node *node;
    uint32_t users; /* v->streams_lock, and the next two */
    struct svc_stream *next, **link;
    char xattr[SVC_XATTR_ROOM];

    SRWLOCK lock;         /* for what follows */
    bool deleted;         /* by us; what is made under its name afterwards is another */
    uint64_t known_until; /* GetTickCount64() */
    uint32_t len;         /* of the stream; the value is one byte longer */
    uint8_t *value;
};

/* ---- the table -------------------------------------------------------------------------------------- */

/* With a reference. @fold: a spelling that differs in case will do. NULL: not in use. */
static struct svc_stream *in_use(struct svc_volume *v, struct cli_node *n, const char *xattr,
                                 bool fold)
{
    struct svc_stream *s;

    AcquireSRWLockExclusive(&v->streams_lock);
    for (s = v->streams; s; s = s->next) {
        if (s->node == n &&
            (strcmp(s->xattr, xattr) == 0 || (fold && svc_stream_same(s->xattr, xattr)))) {
            s->users++;
            break;
        }
    }
    ReleaseSRWLockExclusive(&v->streams_lock);
    return s;
}

/* v->streams_lock held */
static void unlist(struct svc_stream *s)
{
    if (!s->link)
        return;
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    s->link = NULL;
}

/* The stream of this attribute, whether the host has it or not; NULL without memory. */
static struct svc_stream *get(struct svc_volume *v, struct cli_node *n, const char *xattr)
{
    struct svc_stream *s = in_use(v, n, xattr, false), *other;

    if (s)
        return s;
    s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->v = v;
    s->node = cli_node_get(n);
    s->users = 1;
    memcpy(s->xattr, xattr, strlen(xattr) + 1);
    AcquireSRWLockExclusive(&v->streams_lock);
    for (other = v->streams; other; other = other->next) {
        if (other->node == n && strcmp(other->xattr, xattr) == 0)
            break;
    }
    if (other) {
        other->users++;
    } else {
        s->next = v->streams;
        s->link = &v->streams;
        if (v->streams)
            v->streams->link = &s->next;
        v->streams = s;
    }
    ReleaseSRWLockExclusive(&v->streams_lock);
    if (!other)
        return s;
    cli_node_put(v->client, s->node);
    free(s);
    return other;
}

/** svc_stream_put() - a reference goes; NULL is none */
void svc_stream_put(struct svc_stream *s)
{
    bool last;

    if (!s)
        return;
    AcquireSRWLockExclusive(&s->v->streams_lock);
    last = --s->users == 0;
    if (last)
        unlist(s);
    ReleaseSRWLockExclusive(&s->v->streams_lock);
    if (!last)
        return;
    cli_node_put(s->v->client, s->node);
    free(s->value);
    free(s);
}

/** svc_stream_name() - as it was made; @units: room for SVC_NAME_UNITS. Return: units */
uint32_t svc_stream_name(const struct svc_stream *s, WCHAR *units)
{
    int count = svc_stream_from_host(s->xattr, units);

    return count < 0 ? 0 : (uint32_t)count;
}

/* ---- values ----------------------------------------------------------------------------------------- */

/* s->lock held. Takes the value, which has one byte more than the stream. */
static void take(struct svc_stream *s, uint8_t *value, uint32_t len)
{
    free(s->value);
    s->value = value;
    s->len = len;
    s->known_until = GetTickCount64() + HOLDS_MS;
}

/* All of an attribute's value. Return: its bytes at *out (free it), or -errno. */
static int fetch(struct svc_stream *s, uint8_t **out)
{
    static const uint32_t rooms[] = {SMALL, SVC_STREAM_MAX + 1};
    int len = -LE_ERANGE;

    *out = NULL;
    for (unsigned i = 0; i < ARRAYSIZE(rooms) && len == -LE_ERANGE; i++) {
        free(*out);
        *out = malloc(rooms[i]);
        if (!*out)
            return -LE_ENOMEM;
        len = cli_getxattr(s->v->client, s->node, s->xattr, *out, rooms[i]);
    }
    if (len < 0) {
        free(*out);
        *out = NULL;
    }
    return len;
}

/* s->lock held exclusively. Return: 0 when s->value is what the host has; -LE_ENODATA when there is no stream. */
static int load(struct svc_stream *s)
{
    uint8_t *value;
    int len;

    if (s->deleted)
        return -LE_ENODATA;
    if (GetTickCount64() < s->known_until)
        return 0;
    len = fetch(s, &value);
    if (len == 0) {
        free(value);
        len = -LE_ENODATA;
    }
    if (len < 0)
        return len;
    take(s, value, (uint32_t)len - 1);
    return 0;
}

/* s->lock held exclusively. The stream becomes @len bytes of @value, which has a byte more; takes it in any case. */
static int send(struct svc_stream *s, uint8_t *value, uint32_t len, uint32_t flags)
{
    int error;

    value[len] = 0;
    error = cli_setxattr(s->v->client, s->node, s->xattr, value, len + 1, flags);
    if (error) {
        s->known_until = 0;
        free(value);
        return error;
    }
    take(s, value, len);
    return 0;
}

/* A copy of the value with room for @len bytes and one, zeros behind what is there. */
static uint8_t *copy(const struct svc_stream *s, uint32_t len)
{
    uint8_t *value = calloc(1, (size_t)len + 1);

    if (value)
        memcpy(value, s->value, len < s->len ? len : s->len);
    return value;
}

/* ---- finding and making ----------------------------------------------------------------------------- */

static bool may_have_streams(struct svc_volume *v, struct cli_node *n)
{
    uint32_t type = cli_node_type(n);
    struct cli_attr a;

    if (type != SVC_IFREG && type != SVC_IFDIR)
        return false;
    return svc_getattr(v, n, &a) < 0 || !a.eas_known || a.has_streams;
}

/* Is it there? Takes the reference unless it is. */
static int try(struct svc_stream *s, struct svc_stream **out)
{
    int error;

    if (!s)
        return -LE_ENOMEM;
    AcquireSRWLockExclusive(&s->lock);
    error = load(s);
    ReleaseSRWLockExclusive(&s->lock);
    if (error)
        svc_stream_put(s);
    else
        *out = s;
    return error;
}

/* Another spelling. Return: 0 with *out, -LE_ENODATA, -errno. */
static int find_folded(struct svc_volume *v, struct cli_node *n, const char *xattr,
                       struct svc_stream **out)
{
    char *names;
    int bytes = svc_xattr_names(v, n, &names), error = -LE_ENODATA;

    if (bytes < 0)
        return bytes;
    for (int i = 0; i < bytes && error == -LE_ENODATA; i += (int)strlen(names + i) + 1) {
        if (strcmp(names + i, xattr) != 0 && svc_stream_same(names + i, xattr))
            error = try(get(v, n, names + i), out);
    }
    free(names);
    return error;
}

/**
 * svc_stream_find() - a stream that is there [1, or none; with the wrong case 3]
 * @name: without type, terminated
 * @out:  svc_stream_put() it
 *
 * Return: 0; -LE_ENODATA when there is none; -LE_EILSEQ, -LE_ENAMETOOLONG for a name that none can have.
 */
int svc_stream_find(struct svc_volume *v, struct cli_node *n, const WCHAR *name,
                    struct svc_stream **out)
{
    char xattr[SVC_XATTR_ROOM];
    struct svc_stream *s;
    int error = svc_stream_to_host(name, (uint32_t)wcslen(name), xattr);

    *out = NULL;
    if (error)
        return error;
    s = in_use(v, n, xattr, true);
    if (s && try(s, out) == 0)
        return 0;
    if (!may_have_streams(v, n))
        return -LE_ENODATA;
    error = try(get(v, n, xattr), out);
    return error == -LE_ENODATA ? find_folded(v, n, xattr, out) : error;
}

/* s->lock held. What is in its way is no stream as long as it is empty. */
static int make(struct svc_stream *s)
{
    uint8_t *value = calloc(1, 1), *there;
    int error, len;

    if (!value)
        return -LE_ENOMEM;
    error = send(s, value, 0, XATTR_CREATE);
    if (error != -LE_EEXIST)
        return error;
    len = fetch(s, &there);
    free(there);
    if (len != 0)
        return len < 0 ? len : -LE_EEXIST;
    value = calloc(1, 1);
    return value ? send(s, value, 0, 0) : -LE_ENOMEM;
}

/**
 * svc_stream_make() - an empty stream [1, or none less than svc_stream_find() and 1]
 *
 * Return: 0; -LE_EEXIST when it is there, in whatever case; -LE_EOPNOTSUPP for what can have none; -errno.
 */
int svc_stream_make(struct svc_volume *v, struct cli_node *n, const WCHAR *name,
                    struct svc_stream **out)
{
    uint32_t type = cli_node_type(n);
    char xattr[SVC_XATTR_ROOM];
    struct svc_stream *s;
    int error;

    if (type != SVC_IFREG && type != SVC_IFDIR)
        return -LE_EOPNOTSUPP;
    error = svc_stream_find(v, n, name, &s);
    if (error == 0) {
        svc_stream_put(s);
        return -LE_EEXIST;
    }
    if (error == -LE_ENODATA)
        error = svc_stream_to_host(name, (uint32_t)wcslen(name), xattr);
    if (error)
        return error;
    s = get(v, n, xattr);
    if (!s)
        return -LE_ENOMEM;
    AcquireSRWLockExclusive(&s->lock);
    error = s->deleted ? -LE_ENODATA : make(s);
    ReleaseSRWLockExclusive(&s->lock);
    if (error)
        svc_stream_put(s);
    else
        *out = s;
    return error;
}

/* ---- reading and writing ---------------------------------------------------------------------------- */

/** svc_stream_size() - in bytes, or -errno; -LE_ENODATA when it has gone [1, or none] */
int svc_stream_size(struct svc_stream *s)
{
    int result;

    AcquireSRWLockExclusive(&s->lock);
    result = load(s);
    if (result == 0)
        result = (int)s->len;
    ReleaseSRWLockExclusive(&s->lock);
    return result;
}

/** svc_stream_read() - Return: bytes at @buf, 0 at the end and behind it; -errno [1, or none] */
int svc_stream_read(struct svc_stream *s, void *buf, uint64_t offset, uint32_t len)
{
    int result;

    AcquireSRWLockExclusive(&s->lock);
    result = load(s);
    if (result == 0 && offset < s->len) {
        result = (int)(len < s->len - offset ? len : s->len - offset);
        memcpy(buf, s->value + offset, (uint32_t)result);
    }
    ReleaseSRWLockExclusive(&s->lock);
    return result;
}

/* s->lock held */
static int write_locked(struct svc_stream *s, const void *buf, uint64_t offset, uint32_t len,
                        uint32_t flags)
{
    uint8_t *value;
    int error = load(s);

    if (error)
        return error;
    if (flags & CLI_IO_APPEND)
        offset = s->len;
    if (flags & CLI_IO_CONSTRAINED) {
        if (offset >= s->len)
            return 0;
        len = len < s->len - offset ? len : (uint32_t)(s->len - offset);
    }
    if (len == 0)
        return 0;
    if (offset > SVC_STREAM_MAX || len > SVC_STREAM_MAX - offset)
        return -LE_E2BIG;
    value = copy(s, offset + len > s->len ? (uint32_t)offset + len : s->len);
    if (!value)
        return -LE_ENOMEM;
    memcpy(value + offset, buf, len);
    error = send(s, value, offset + len > s->len ? (uint32_t)offset + len : s->len, 0);
    return error ? error : (int)len;
}

/**
 * svc_stream_write() - all of it, or nothing [1 or 2]
 * @flags: CLI_IO_APPEND: at the end, wherever @offset is; CLI_IO_CONSTRAINED: never past the end
 *
 * Return: bytes written, fewer only if constrained; -LE_E2BIG for a stream that would be too long.
 */
int svc_stream_write(struct svc_stream *s, const void *buf, uint64_t offset, uint32_t len,
                     uint32_t flags)
{
    int result;

    AcquireSRWLockExclusive(&s->lock);
    result = write_locked(s, buf, offset, len, flags);
    ReleaseSRWLockExclusive(&s->lock);
    return result;
}

/* s->lock held */
static int resize_locked(struct svc_stream *s, uint64_t size)
{
    uint8_t *value;
    int error = load(s);

    if (error || size == s->len)
        return error;
    if (size > SVC_STREAM_MAX)
        return -LE_E2BIG;
    value = copy(s, (uint32_t)size);
    return value ? send(s, value, (uint32_t)size, 0) : -LE_ENOMEM;
}

/** svc_stream_resize() - cut it, or extend it with zeros [1 or 2]; 0 or -errno */
int svc_stream_resize(struct svc_stream *s, uint64_t size)
{
    int error;

    AcquireSRWLockExclusive(&s->lock);
    error = resize_locked(s, size);
    ReleaseSRWLockExclusive(&s->lock);
    return error;
}

/** svc_stream_delete() - [1] 0, also when the host was first; -errno. Other handles find nothing any more. */
int svc_stream_delete(struct svc_stream *s)
{
    int error = 0;

    AcquireSRWLockExclusive(&s->lock);
    if (!s->deleted)
        error = cli_removexattr(s->v->client, s->node, s->xattr);
    if (error == -LE_ENODATA)
        error = 0;
    s->deleted = s->deleted || error == 0;
    ReleaseSRWLockExclusive(&s->lock);
    if (error == 0) {
        AcquireSRWLockExclusive(&s->v->streams_lock);
        unlist(s);
        ReleaseSRWLockExclusive(&s->v->streams_lock);
    }
    return error;
}

/* ---- all of a file's -------------------------------------------------------------------------------- */

/**
 * svc_streams_clear() - delete those that nobody has open [1 and 1 for each, or none]
 *
 * For a file that is overwritten. WinFsp deletes the others at their cleanup.
 */
int svc_streams_clear(struct svc_volume *v, struct cli_node *n)
{
    uint16_t name[SVC_NAME_UNITS];
    char *names;
    int bytes, error = 0;

    if (!may_have_streams(v, n))
        return 0;
    bytes = svc_xattr_names(v, n, &names);
    if (bytes < 0)
        return bytes;
    for (int i = 0; i < bytes && !error; i += (int)strlen(names + i) + 1) {
        struct svc_stream *s;

        if (svc_stream_from_host(names + i, name) < 0)
            continue;
        s = in_use(v, n, names + i, false);
        if (!s)
            error = cli_removexattr(v->client, n, names + i);
        svc_stream_put(s);
        if (error == -LE_ENODATA)
            error = 0;
    }
    free(names);
    return error;
}

/**
 * svc_streams_list() - tell of each stream [1 and 1 for each, or none]
 * @tell: false ends it
 *
 * Return: 0, or -errno.
 */
int svc_streams_list(struct svc_volume *v, struct cli_node *n,
                     bool (*tell)(void *user, const WCHAR *name, uint32_t units, uint32_t size),
                     void *user)
{
    uint16_t name[SVC_NAME_UNITS];
    char *names;
    int bytes, more = 1;

    if (!may_have_streams(v, n))
        return 0;
    bytes = svc_xattr_names(v, n, &names);
    if (bytes < 0)
        return bytes;
    for (int i = 0; i < bytes && more > 0; i += (int)strlen(names + i) + 1) {
        int units = svc_stream_from_host(names + i, name), len;

        if (units < 0)
            continue;
        len = cli_getxattr(v->client, n, names + i, NULL, 0);
        if (len < 0 && len != -LE_ENODATA)
            more = len;
        else if (len > 0)
            more = tell(user, name, (uint32_t)units, (uint32_t)len - 1);
    }
    free(names);
    return more < 0 ? more : 0;
}
