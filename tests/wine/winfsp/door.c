// SPDX-License-Identifier: BSD-3-Clause
/*
 * door.c - the NT door: a socket that speaks door.h
 *
 * Theory of operation
 *
 *   Each connection is served by a thread of its own, which plays the thread of a Windows program: it sleeps
 *   in the driver as long as that would. Handles belong to the connection that opened them, and are closed
 *   with it. The socket is $VIOFS_DOOR.SUFFIX, with the suffix of the mount point (mount.c); $VIOFS_DOOR itself
 *   becomes a symbolic link to it, unless there is one that works already.
 *
 * Ownership: a door belongs to its volume, a client to its thread.
 * Locks: door.lock guards the list of clients and barriers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/wine/winfsp/standin.h"

#define HANDLES_MOST  65536u
#define BARRIERS_MOST 64u
#define FIRST_PID     1000u

struct barrier {
    uint32_t id, arrived, round;
};

struct client {
    struct client *next;
    struct door *door;
    int fd;
    uint32_t pid;
    const struct token *token;
    struct file **files; /* by handle - 1 */
    uint32_t file_count;
};

struct door {
    struct volume *vol;
    int listener;
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    HANDLE thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct client *clients;
    struct barrier barriers[BARRIERS_MOST];
    uint32_t next_pid;
};

static bool receive_all(int fd, void *buf, size_t len)
{
    uint8_t *at = buf;
    while (len) {
        ssize_t got = recv(fd, at, len, 0);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            return false;
        if (got > 0) {
            at += got;
            len -= (size_t)got;
        }
    }
    return true;
}

static bool send_all(int fd, const void *buf, size_t len)
{
    const uint8_t *at = buf;
    while (len) {
        ssize_t put = send(fd, at, len, MSG_NOSIGNAL);
        if (put <= 0 && !(put < 0 && errno == EINTR))
            return false;
        if (put > 0) {
            at += put;
            len -= (size_t)put;
        }
    }
    return true;
}

/* ---- handles ------------------------------------------------------------------------------ */

static struct file *file_of(struct client *c, uint64_t handle)
{
    return handle && handle <= c->file_count ? c->files[handle - 1] : NULL;
}

static uint64_t handle_new(struct client *c, struct file *f)
{
    uint32_t at = 0;
    while (at < c->file_count && c->files[at])
        at++;
    if (at == c->file_count) {
        if (at == HANDLES_MOST)
            return 0;
        c->files = realloc(c->files, (at + 64) * sizeof *c->files);
        memset(c->files + at, 0, 64 * sizeof *c->files);
        c->file_count += 64;
    }
    c->files[at] = f;
    return at + 1;
}

/* ---- calls -------------------------------------------------------------------------------- */

struct call {
    struct client *client;
    struct door_call head;
    struct name name;
    uint8_t *data;
    struct file *file;
    struct door_reply reply;
    uint8_t *out; /* reply.data_len bytes of it are sent */
    uint32_t room;
};

static NTSTATUS do_create(struct call *c)
{
    uint32_t *u = c->head.u32;
    struct create_args a = {
        .path = c->name,
        .access = u[0],
        .disposition = u[1],
        .options = u[2],
        .attributes = u[3],
        .share = u[4],
        .sd = u[5] ? c->data : NULL,
        .sd_len = u[5],
        .allocation = c->head.u64[0],
        .target_directory = u[7] & DOOR_CREATE_TARGET_DIRECTORY,
        .token = c->client->token,
        .pid = c->client->pid,
    };
    struct create_result r;
    if ((uint64_t)u[5] + u[6] > c->head.data_len || (u[5] && !sd_valid(c->data, u[5])))
        return STATUS_INVALID_PARAMETER;
    if (!(u[7] & DOOR_CREATE_REPARSE)) {
        a.extra = c->data + u[5];
        a.extra_len = u[6];
    }
    if (c->head.u64[1]) {
        a.related = file_of(c->client, c->head.u64[1]);
        if (!a.related)
            return STATUS_INVALID_HANDLE;
    }
    NTSTATUS status = nt_create(c->client->door->vol, &a, &r);
    if (status == STATUS_REPARSE) {
        c->reply.data_len = r.reparse_len * (uint32_t)sizeof(WCHAR);
        memcpy(c->out, r.reparse_path, c->reply.data_len);
        free(r.reparse_path);
        return status;
    }
    if (!r.file)
        return status;
    c->reply.handle = handle_new(c->client, r.file);
    c->reply.information = r.information;
    if (!c->reply.handle) {
        nt_close(r.file);
        return STATUS_TOO_MANY_OPENED_FILES;
    }
    if (r.file->node) {
        pthread_mutex_lock(&r.file->vol->table);
        c->reply.data_len = r.file->node->path_len * (uint32_t)sizeof(WCHAR);
        memcpy(c->out, r.file->node->path, c->reply.data_len);
        pthread_mutex_unlock(&r.file->vol->table);
    }
    return status;
}

static NTSTATUS do_close(struct call *c)
{
    if (c->head.op == DOOR_CLEANUP) {
        nt_cleanup(c->file);
        return STATUS_SUCCESS;
    }
    c->client->files[c->head.handle - 1] = NULL;
    nt_close(c->file);
    return STATUS_SUCCESS;
}

static NTSTATUS do_set_info(struct call *c)
{
    struct file *root = NULL;
    uint64_t handle = 0;
    if ((c->head.u32[0] == 10 || c->head.u32[0] == 65) && c->head.data_len >= 24) {
        memcpy(&handle, c->data + 8, 8);
        root = file_of(c->client, handle);
        if (handle && !root)
            return STATUS_INVALID_HANDLE;
    }
    return nt_set_info(c->file, c->head.u32[0], c->data, c->head.data_len, root);
}

static NTSTATUS do_stats(struct call *c)
{
    struct volume *v = c->client->door->vol;
    struct door_stats s;
    queue_settle(v);
    for (unsigned i = 0; i < ARRAY_SIZE(s.calls); i++)
        s.calls[i] = atomic_exchange(&v->calls[i], 0);
    s.pended = atomic_exchange(&v->pended, 0);
    s.most_at_once = atomic_exchange(&v->most_at_once, 0);
    s.violations = atomic_exchange(&v->violations, 0);
    memcpy(c->out, &s, sizeof s);
    c->reply.data_len = sizeof s;
    return STATUS_SUCCESS;
}

static NTSTATUS do_barrier(struct call *c)
{
    struct door *d = c->client->door;
    uint32_t id = c->head.u32[0], count = c->head.u32[1];
    struct barrier *b = &d->barriers[id % BARRIERS_MOST];
    pthread_mutex_lock(&d->lock);
    if (b->arrived && b->id != id) {
        pthread_mutex_unlock(&d->lock);
        return STATUS_INVALID_PARAMETER;
    }
    b->id = id;
    uint32_t round = b->round;
    if (++b->arrived >= count) {
        b->arrived = 0;
        b->round++;
        pthread_cond_broadcast(&d->changed);
    }
    while (b->round == round)
        pthread_cond_wait(&d->changed, &d->lock);
    pthread_mutex_unlock(&d->lock);
    return STATUS_SUCCESS;
}

static NTSTATUS do_control(struct call *c)
{
    struct volume *v = c->client->door->vol;
    switch (c->head.u32[0]) {
    case DOOR_CONTROL_DROP_INFO_CACHE:
        atomic_fetch_add(&v->generation, 1);
        return STATUS_SUCCESS;
    case DOOR_CONTROL_STOP_DRIVER:
        queue_stop(v, false, false);
        return STATUS_SUCCESS;
    case DOOR_CONTROL_SETTLE:
        queue_settle(v);
        return STATUS_SUCCESS;
    case DOOR_CONTROL_WRITE_BACK:
        cache_flush_all(v);
        return STATUS_SUCCESS;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

static NTSTATUS do_token(struct call *c)
{
    c->client->token = token_of(c->head.u32[0]);
    return STATUS_SUCCESS;
}

static NTSTATUS data_call(struct call *c)
{
    uint32_t *u = c->head.u32, put = 0;
    struct file *f = c->file;
    NTSTATUS status;
    switch (c->head.op) {
    case DOOR_READ:
        status = nt_read(f, c->head.u64[0], c->room, u[1], c->out, &c->reply.data_len);
        c->reply.information = c->reply.data_len;
        return status;
    case DOOR_WRITE:
        status = nt_write(f, c->head.u64[0], c->data, c->head.data_len, u[1], &put);
        c->reply.information = put;
        return status;
    case DOOR_QUERY_INFO:
        return nt_query_info(f, u[0], c->out, c->room, &c->reply.data_len);
    case DOOR_QUERY_DIR:
        return nt_query_dir(f, u[0], c->name, u[2], c->out, c->room, &c->reply.data_len);
    case DOOR_QUERY_SECURITY:
        status = nt_query_security(f, u[0], c->out, c->room, &c->reply.data_len);
        c->reply.information = c->reply.data_len;
        if (status)
            c->reply.data_len = 0;
        return status;
    case DOOR_QUERY_EA:
        return nt_query_ea(f, u[0], c->out, c->room, &c->reply.data_len);
    case DOOR_FSCTL:
        return nt_fsctl(f, u[0], c->data, c->head.data_len, c->out, c->room, &c->reply.data_len);
    default:
        return nt_notify(f, u[0], u[1], u[2], c->out, c->room, &c->reply.data_len);
    }
}

static NTSTATUS file_call(struct call *c)
{
    uint32_t *u = c->head.u32;
    struct file *f = c->file;
    switch (c->head.op) {
    case DOOR_CLEANUP:
    case DOOR_CLOSE:
        return do_close(c);
    case DOOR_SET_INFO:
        return do_set_info(c);
    case DOOR_SET_SECURITY:
        return nt_set_security(f, u[0], c->data, c->head.data_len);
    case DOOR_SET_EA:
        return nt_set_ea(f, c->data, c->head.data_len, &c->reply.information);
    case DOOR_LOCK:
        return nt_lock(f, c->head.u64[0], c->head.u64[1], u[0]);
    case DOOR_UNLOCK:
        return fsd_unlock(f, c->head.u64[0], c->head.u64[1]);
    case DOOR_FLUSH:
        return nt_flush(f);
    default:
        return data_call(c);
    }
}

static NTSTATUS serve_call(struct call *c)
{
    struct volume *v = c->client->door->vol;
    uint32_t *u = c->head.u32;
    switch (c->head.op) {
    case DOOR_CREATE:
        return do_create(c);
    case DOOR_QUERY_VOLUME:
        return fsd_query_volume(v, u[0], c->out, c->room, &c->reply.data_len);
    case DOOR_SET_VOLUME:
        return fsd_set_volume(v, u[0], c->data, c->head.data_len);
    case DOOR_TOKEN:
        return do_token(c);
    case DOOR_STATS:
        return do_stats(c);
    case DOOR_BARRIER:
        return do_barrier(c);
    case DOOR_CONTROL:
        return do_control(c);
    }
    if (c->head.op > DOOR_CONTROL)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (c->head.op == DOOR_FLUSH && !c->head.handle) {
        struct file whole = {.vol = v};
        return fsd_flush(&whole);
    }
    c->file = file_of(c->client, c->head.handle);
    return c->file ? file_call(c) : STATUS_INVALID_HANDLE;
}

static bool next_call(struct client *client)
{
    struct call c = {.client = client};
    uint8_t *in = NULL;
    bool ok = receive_all(client->fd, &c.head, sizeof c.head);
    if (ok && (c.head.name_len > 65535 * sizeof(WCHAR) || c.head.data_len > DOOR_MAX_DATA))
        ok = false;
    if (ok) {
        uint32_t name_room = (c.head.name_len + 7u) & ~7u;
        in = malloc(name_room + c.head.data_len + 8u);
        ok = receive_all(client->fd, in, c.head.name_len) &&
             receive_all(client->fd, in + name_room, c.head.data_len);
        c.name = (struct name){(const WCHAR *)(void *)in, UNITS(c.head.name_len)};
        c.data = in + name_room;
    }
    if (ok) {
        c.room = c.head.op == DOOR_READ ? c.head.u32[0] : c.head.u32[1];
        if (c.head.op == DOOR_NOTIFY)
            c.room = 65536;
        if (c.room > DOOR_MAX_DATA)
            c.room = DOOR_MAX_DATA;
        c.out = malloc((c.room < 70000 ? 70000 : c.room) + 8u);
        c.reply.status = (uint32_t)serve_call(&c);
        ok = send_all(client->fd, &c.reply, sizeof c.reply) &&
             send_all(client->fd, c.out, c.reply.data_len);
        free(c.out);
    }
    free(in);
    return ok;
}

/* ---- connections -------------------------------------------------------------------------- */

static DWORD WINAPI serve_client(void *arg)
{
    struct client *c = arg;
    struct door *d = c->door;
    while (next_call(c)) {
    }
    for (uint32_t i = 0; i < c->file_count; i++)
        if (c->files[i])
            nt_close(c->files[i]);
    pthread_mutex_lock(&d->lock);
    struct client **at = &d->clients;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    close(c->fd);
    free(c->files);
    free(c);
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static DWORD WINAPI listen_here(void *arg)
{
    struct door *d = arg;
    for (;;) {
        int fd = accept4(d->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0)
            return 0;
        struct client *c = calloc(1, sizeof *c);
        c->door = d;
        c->fd = fd;
        c->token = token_of(DOOR_TOKEN_ADMIN);
        pthread_mutex_lock(&d->lock);
        c->pid = FIRST_PID + d->next_pid++;
        c->next = d->clients;
        d->clients = c;
        pthread_mutex_unlock(&d->lock);
        HANDLE thread = CreateThread(NULL, 0, serve_client, c, 0, NULL);
        if (!thread)
            stop_loudly("more threads than the system has");
        CloseHandle(thread);
    }
}

static bool works(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0;
    close(fd);
    return ok;
}

void door_open(struct volume *v)
{
    const char *base = getenv("VIOFS_DOOR");
    char suffix[64];
    if (!base)
        return;
    struct door *d = v->door ? v->door : calloc(1, sizeof *d);
    if (!v->door) {
        pthread_mutex_init(&d->lock, NULL);
        pthread_cond_init(&d->changed, NULL);
    }
    d->vol = v;
    v->door = d;
    door_suffix(v, suffix, sizeof suffix);
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if ((size_t)snprintf(d->path, sizeof d->path, "%s.%s", base, suffix) >= sizeof d->path)
        stop_loudly("a socket path as long as %s", base);
    memcpy(addr.sun_path, d->path, sizeof addr.sun_path);
    unlink(d->path);
    d->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(d->listener, (struct sockaddr *)&addr, sizeof addr) || listen(d->listener, 64))
        stop_loudly("a socket at %s: %s", d->path, strerror(errno));
    d->thread = CreateThread(NULL, 0, listen_here, d, 0, NULL);
    if (!works(base)) {
        const char *file = strrchr(d->path, '/');
        unlink(base);
        if (symlink(file ? file + 1 : d->path, base))
            note("no link %s: %s", base, strerror(errno));
    }
}

void door_shut(struct volume *v)
{
    struct door *d = v->door;
    if (!d || !d->thread)
        return;
    unlink(d->path);
    shutdown(d->listener, SHUT_RDWR);
    WaitForSingleObject(d->thread, INFINITE);
    CloseHandle(d->thread);
    close(d->listener);
    d->thread = NULL;
}

void door_end(struct volume *v)
{
    struct door *d = v->door;
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    for (struct client *c = d->clients; c; c = c->next)
        shutdown(c->fd, SHUT_RDWR);
    while (d->clients)
        pthread_cond_wait(&d->changed, &d->lock);
    pthread_mutex_unlock(&d->lock);
    v->door = NULL;
    free(d);
}
