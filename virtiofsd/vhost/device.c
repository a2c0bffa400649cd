// SPDX-License-Identifier: BSD-3-Clause
/*
 * device.c - life of a vhost-user device: front ends come and go
 *
 * Theory of operation
 *
 *   vu_run() accepts one front end at a time (hub.c does it for several devices). device_serve() reads its messages until it hangs up, breaks
 *   the protocol or vu_stop() is called, and then ends the session in this order: queues stop; chains that
 *   the server kept come back; the FUSE session is forgotten; descriptors, memory and log are released.
 *   Nothing of a front end outlives its connection.
 *
 *   Freezing is how memory and log are exchanged under running queues: see device.h.
 *
 * Source: vhost-user specification, "Communication", "Ring states", RESET_DEVICE.
 * Ownership: struct vu owns everything in it. Locks: see device.h.
 *
 * syscalls: poll ppoll accept4 close eventfd2 write
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/clock.h"
#include "host/log.h"
#include "vhost/device.h"
#include "vhost/guard.h"
#include "vhost/hub.h"
#include "vhost/resume.h"

#define SHORTAGE_MS 1000 /* how long to wait when there are no descriptors, say */

/* ---- all queues ------------------------------------------------------------------------------ */

static void park_all(struct vu *vu)
{
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++)
        queue_order_park(&vu->queue[i]);
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++)
        queue_await_parked(&vu->queue[i]);
}

/** device_freeze() - see device.h. A queue that never had a worker has no chain out, so no lock. */
void device_freeze(struct vu *vu)
{
    park_all(vu);
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++) {
        if (queue_manned(&vu->queue[i]))
            pthread_mutex_lock(&vu->queue[i].lock);
    }
}

/** device_thaw() - see device.h. A queue that cannot go on stays parked, with a line in the log. */
void device_thaw(struct vu *vu)
{
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++) {
        queue_set_logging(&vu->queue[i]);
        if (queue_manned(&vu->queue[i]))
            pthread_mutex_unlock(&vu->queue[i].lock);
    }
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++)
        queue_update(&vu->queue[i]);
}

/** device_drain() - see device.h */
void device_drain(struct vu *vu)
{
    park_all(vu);
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++)
        queue_drain(&vu->queue[i], false);
}

/** device_reset() - see device.h */
void device_reset(struct vu *vu)
{
    park_all(vu);
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++) {
        queue_stop(&vu->queue[i], true);
        queue_forget_deferred(&vu->queue[i]);
        vu->queue[i].enabled = false;
        vu->queue[i].live->next = 0;
    }
    vu->ops->session_reset(vu->ctx);
}

/* ---- one front end --------------------------------------------------------------------------- */

static void end_session(struct vu *vu)
{
    transfer_end(vu);
    vu->transfers.saved = false;
    park_all(vu);
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++)
        queue_reset(&vu->queue[i]);
    vu->ops->session_reset(vu->ctx);
    mem_free(vu->mem);
    vu->mem = NULL;
    dirty_close(&vu->dirty);
    if (vu->backend_fd >= 0)
        close(vu->backend_fd);
    vu->backend_fd = -1;
    vu->features = 0;
    vu->proto_features = 0;
    close(vu->conn_fd);
    vu->conn_fd = -1;
    resume_save(vu);
    resume_forget_memory(vu);
    resume_keep(vu, KEEP_LOG, 0, -1);
    resume_keep(vu, KEEP_BACKEND, 0, -1);
    resume_keep(vu, KEEP_CONN, 0, -1);
}

/* Has the front end said something? Return: true also when it is to be looked at why not. */
static bool says_more(struct vu *vu, int linger_ms)
{
    struct pollfd p[2] = {{.fd = vu->conn_fd, .events = POLLIN},
                          {.fd = vu->stop_fd, .events = POLLIN}};

    return linger_ms < 0 || poll(p, 2, linger_ms) != 0;
}

/*
 * Read and handle messages until there are no more, or none for @linger_ms. Return: as vu_msg_recv(), 0 when told to
 * stop; 1 after @linger_ms.
 */
static int converse(struct vu *vu, struct vu_msg *m, int linger_ms)
{
    bool peek = keep_is_supervised(vu->keep);
    int err = 1;

    while (says_more(vu, linger_ms) && (err = vu_msg_recv(vu->conn_fd, vu->stop_fd, peek, m)) > 0) {
        err = control_handle(vu, m);
        vu->again = false;
        atomic_store(&vu->conversed, true);
        if (err >= 0)
            err = resume_handled(vu, m);
        vu_msg_drop_fds(m);
        if (err < 0)
            break;
        err = 1;
    }
    return err;
}

/* A connection of which nothing is known yet. */
static int begin_session(struct vu *vu, int conn)
{
    resume_keep(vu, KEEP_CONN, 0, conn);
    vu->conn_fd = conn;
    vu->mem = mem_new();
    resume_save(vu);
    return vu->mem ? 0 : -ENOMEM;
}

/** device_begin() - see device.h */
int device_begin(struct vu *vu, int conn)
{
    /* Without memory it had only just been accepted, and nothing had been said. */
    bool goes_on = device_goes_on(vu) && vu->mem;
    int err;

    if (!goes_on)
        log_info("a front end has connected");
    atomic_store(&vu->lost_reported, false);
    err = goes_on ? resume_finish_message(vu) : begin_session(vu, conn);
    if (err == 0 && keep_is_supervised(vu->keep))
        err = vu_msg_can_peek(conn);
    vu->again = goes_on;
    return err;
}

/** device_talk() - see device.h */
int device_talk(struct vu *vu, int linger_ms)
{
    struct vu_msg *m = calloc(1, sizeof(*m));
    int err = m ? converse(vu, m, linger_ms) : -ENOMEM;

    free(m);
    return err;
}

/** device_end() - see device.h */
int device_end(struct vu *vu, int err)
{
    end_session(vu);
    if (err == -ECONNRESET || err == -EPIPE || err == -ECANCELED)
        err = 0; /* it left, or we are to stop */
    if (err < 0)
        log_error("the connection to the front end ended: %s", strerror(-err));
    log_info("the front end has left");
    return err;
}

/** device_leave() - see device.h */
void device_leave(struct vu *vu)
{
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++)
        queue_order_park(&vu->queue[i]);
}

/** device_settle() - see device.h */
void device_settle(struct vu *vu, uint64_t until_ns)
{
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++)
        queue_await_parked(&vu->queue[i]);
    while (vu_in_flight(vu) > 0 && clock_ns() < until_ns)
        poll(NULL, 0, 1);
}

/** device_serve() - see device.h */
int device_serve(struct vu *vu, int conn)
{
    int err = device_begin(vu, conn);

    if (err == 0)
        err = device_talk(vu, -1);
    if (!atomic_load(&vu->quiescing) || (err < 0 && err != -ECANCELED))
        return device_end(vu, err);
    device_leave(vu);
    device_settle(vu, clock_ns() + VU_QUIESCE_NS);
    return VU_QUIESCED;
}

/* ---- life ------------------------------------------------------------------------------------ */

/** device_accept() - see device.h */
int device_accept(struct vu *vu)
{
    int conn = accept4(vu->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (conn >= 0)
        return conn;
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        struct pollfd stop = {.fd = vu->stop_fd, .events = POLLIN};
        log_warn_limited("no front end can be accepted for now: %s", strerror(errno));
        poll(&stop, 1, SHORTAGE_MS);
        return -EAGAIN;
    }
    if (errno == EINTR || errno == ECONNABORTED || errno == EAGAIN)
        return -EAGAIN; /* it has gone again */
    return -errno;
}

/* Return: connected socket; -ECANCELED for vu_stop(); -errno. */
static int await_front_end(struct vu *vu)
{
    struct pollfd p[2] = {{.fd = vu->listen_fd, .events = POLLIN},
                          {.fd = vu->stop_fd, .events = POLLIN}};

    for (;;) {
        if (poll(p, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return -errno;
        }
        if (p[1].revents != 0)
            return -ECANCELED;
        if (p[0].revents == 0)
            continue;
        int conn = device_accept(vu);
        if (conn != -EAGAIN)
            return conn;
    }
}

/** vu_new() - see vhost.h. Return: 0, -EINVAL for a tag that is empty or too long, -errno. */
int vu_new(struct vu **out, const struct vu_params *p)
{
    size_t tag_len = p->tag ? strlen(p->tag) : 0;

    if (p->tag && (tag_len == 0 || tag_len > VIRTIO_FS_TAG_MAX))
        return -EINVAL;
    int err = guard_install();
    if (err < 0)
        return err;
    signal(SIGPIPE, SIG_IGN); /* the reader of a call pipe may be gone: write() says so too */
    struct vu *vu = aligned_alloc(64, (sizeof(*vu) + 63) & ~(size_t)63);
    if (!vu)
        return -ENOMEM;
    memset(vu, 0, sizeof(*vu));
    vu->ops = p->ops;
    vu->ctx = p->ctx;
    vu->listen_fd = vu->conn_fd = vu->backend_fd = -1;
    vu->keep_listening = p->keep_listening;
    vu->paced = p->paced;
    vu->keep = p->keep;
    vu->journal = keep_map(vu->keep, KEEP_DEVICE, sizeof(*vu->journal), JOURNAL_VERSION);
    if (!vu->journal) {
        err = -errno;
        free(vu);
        return err;
    }
    vu->name = p->name;
    vu->has_config = p->tag;
    if (p->tag)
        memcpy(vu->config.tag, p->tag, tag_len);
    vu->config.num_request_queues = 1;
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++) {
        if ((err = queue_init(&vu->queue[i], vu, i)) < 0) {
            while (i-- > 0)
                queue_destroy(&vu->queue[i]);
            keep_unmap(vu->keep, vu->journal);
            free(vu);
            return err;
        }
    }
    vu->stop_is_hubs = p->hub;
    vu->stop_fd = p->hub ? hub_stop_fd(p->hub) : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (vu->stop_fd < 0) {
        err = -errno;
        vu_free(vu);
        return err;
    }
    if (p->hub && (err = hub_add(p->hub, vu)) < 0) {
        vu_free(vu);
        return err;
    }
    vu->listen_fd = p->listen_fd;
    *out = vu;
    return 0;
}

/** vu_run() - see vhost.h. With keep_listening a front end's protocol error ends only its session. */
int vu_run(struct vu *vu)
{
    int err;

    do {
        bool goes_on = device_goes_on(vu);
        atomic_store(&vu->idle, !goes_on);
        int conn = goes_on ? vu->conn_fd : await_front_end(vu);
        atomic_store(&vu->idle, false);
        if (conn == -ECANCELED)
            return atomic_load(&vu->quiescing) ? VU_QUIESCED : 0;
        if (conn < 0) {
            log_error("cannot accept a front end: %s", strerror(-conn));
            return conn;
        }
        if (!atomic_load(&vu->keep_listening) && vu->listen_fd >= 0) {
            /* A second front end is to be refused, not to wait for ever. */
            resume_keep(vu, KEEP_CONN, 0, conn);
            close(vu->listen_fd);
            vu->listen_fd = -1;
            resume_keep(vu, KEEP_LISTEN, 0, -1);
        }
        err = device_serve(vu, conn);
    } while (err != VU_QUIESCED && atomic_load(&vu->keep_listening));
    return err;
}

/** vu_stop() - see vhost.h */
void vu_stop(struct vu *vu)
{
    const uint64_t one = 1;
    int saved = errno;

    if (write(vu->stop_fd, &one, sizeof(one)) < 0) {
        /* Only a full counter fails, and that says the same. */
    }
    errno = saved;
}

/** vu_quiesce() - see vhost.h */
void vu_quiesce(struct vu *vu)
{
    atomic_store(&vu->quiescing, true);
    vu_stop(vu);
}

/** vu_stop_listening() - see vhost.h */
void vu_stop_listening(struct vu *vu)
{
    atomic_store(&vu->keep_listening, false);
    if (atomic_load(&vu->idle))
        vu_stop(vu);
}

/** vu_free() - release a device that is not running; NULL is fine */
void vu_free(struct vu *vu)
{
    if (!vu)
        return;
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++)
        queue_destroy(&vu->queue[i]);
    if (vu->listen_fd >= 0)
        close(vu->listen_fd);
    if (vu->stop_fd >= 0 && !vu->stop_is_hubs)
        close(vu->stop_fd);
    keep_unmap(vu->keep, vu->journal);
    free(vu);
}
