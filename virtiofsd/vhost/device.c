// SPDX-License-Identifier: BSD-3-Clause
/*
 * device.c - life of a vhost-user device: front ends come and go
 *
 * Theory of operation
 *
 *   vu_run() accepts one front end at a time. device_serve() reads its messages until it hangs up, breaks
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

#include "host/log.h"
#include "vhost/device.h"
#include "vhost/guard.h"

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
        if (vu->queue[i].worker)
            pthread_mutex_lock(&vu->queue[i].lock);
    }
}

/** device_thaw() - see device.h. A queue that cannot go on stays parked, with a line in the log. */
void device_thaw(struct vu *vu)
{
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++) {
        queue_set_logging(&vu->queue[i]);
        if (vu->queue[i].worker)
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
}

/** device_serve() - see device.h. Return: 0, or -errno when the connection ended with an error. */
int device_serve(struct vu *vu, int conn)
{
    struct vu_msg *m = malloc(sizeof(*m));
    int err = -ENOMEM;

    vu->conn_fd = conn;
    vu->mem = mem_new();
    atomic_store(&vu->lost_reported, false);
    if (m && vu->mem) {
        while ((err = vu_msg_recv(conn, vu->stop_fd, m)) > 0) {
            err = control_handle(vu, m);
            vu_msg_drop_fds(m);
            if (err < 0)
                break;
        }
    }
    free(m);
    end_session(vu);
    if (err == -ECONNRESET || err == -EPIPE || err == -ECANCELED)
        err = 0; /* it left, or we are to stop */
    if (err < 0)
        log_error("the connection to the front end ended: %s", strerror(-err));
    return err;
}

/* ---- life ------------------------------------------------------------------------------------ */

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
        int conn = accept4(vu->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (conn >= 0)
            return conn;
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            log_warn_limited("no front end can be accepted for now: %s", strerror(errno));
            poll(p + 1, 1, 1000); /* a shortage passes */
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED || errno == EAGAIN)
            continue; /* it has gone again */
        return -errno;
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
    vu->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (vu->stop_fd < 0) {
        err = -errno;
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
        int conn = await_front_end(vu);
        if (conn == -ECANCELED)
            return 0;
        if (conn < 0) {
            log_error("cannot accept a front end: %s", strerror(-conn));
            return conn;
        }
        if (!vu->keep_listening) {
            /* A second front end is to be refused, not to wait for ever. */
            close(vu->listen_fd);
            vu->listen_fd = -1;
        }
        log_info("a front end has connected");
        err = device_serve(vu, conn);
        log_info("the front end has left");
    } while (vu->keep_listening);
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

/** vu_free() - release a device that is not running; NULL is fine */
void vu_free(struct vu *vu)
{
    if (!vu)
        return;
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++)
        queue_destroy(&vu->queue[i]);
    if (vu->listen_fd >= 0)
        close(vu->listen_fd);
    if (vu->stop_fd >= 0)
        close(vu->stop_fd);
    keep_unmap(vu->keep, vu->journal);
    free(vu);
}
