// SPDX-License-Identifier: BSD-3-Clause
/*
 * fe_vhost.c - the vhost-user socket of the test front end
 *
 * Theory of operation
 *
 *   Messages are sent whole and answered whole. When REPLY_ACK is negotiated every request that has no
 *   reply of its own asks for an acknowledgement, so an error shows where it was made; without it such
 *   a request is fire and forget, as the protocol is.
 *
 *   The handshake sends what QEMU sends, in QEMU's order, with one choice: memory goes region by region
 *   (ADD_MEM_REG) where CONFIGURE_MEM_SLOTS is negotiated, else as one table.
 *
 * Ownership: struct fe owns the socket.   Locks: none, one thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/frontend/frontend_internal.h"

#define BIT(n) (1ull << (n))

#define WANTED_VIRTIO                                                                              \
    (BIT(RING_F_VERSION_1) | BIT(RING_F_INDIRECT_DESC) | BIT(RING_F_EVENT_IDX) |                   \
     BIT(VU_F_PROTOCOL_FEATURES))
#define WANTED_PROTO                                                                               \
    (BIT(VU_PROTO_MQ) | BIT(VU_PROTO_LOG_SHMFD) | BIT(VU_PROTO_REPLY_ACK) |                        \
     BIT(VU_PROTO_BACKEND_REQ) | BIT(VU_PROTO_RESET_DEVICE) | BIT(VU_PROTO_CONFIGURE_MEM_SLOTS) |  \
     BIT(VU_PROTO_DEVICE_STATE))

#define CONNECT_MS 20000

/* ---- life ------------------------------------------------------------------------------------ */

int fe_new(struct fe **out, const struct fe_options *o)
{
    struct fe *fe = calloc(1, sizeof(*fe));
    int err;

    if (!fe)
        return -ENOMEM;
    fe->o = o ? *o : (struct fe_options){0};
    fe->o.queues = fe->o.queues ? fe->o.queues : 2;
    fe->o.queue_size = fe->o.queue_size ? fe->o.queue_size : 256;
    fe->o.memory = fe->o.memory ? fe->o.memory : (size_t)64 << 20;
    fe->o.timeout_ms = fe->o.timeout_ms ? fe->o.timeout_ms : 20000;
    fe->sock = fe->backend_req = fe->log_fd = -1;
    pthread_mutex_init(&fe->alloc_lock, NULL);
    for (unsigned q = 0; q < FE_MAX_QUEUES; q++)
        fe_queue_init(fe, q);
    err = fe->o.queues > FE_MAX_QUEUES ? -EINVAL : fe_memory_init(fe);
    if (err < 0) {
        fe_free(fe);
        return err;
    }
    *out = fe;
    return 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void log_release(struct fe *fe)
{
    if (fe->log)
        munmap(fe->log, fe->log_size);
    fe->log = NULL;
    fe->logging = false;
    close_fd(&fe->log_fd);
}

void fe_hang_up(struct fe *fe)
{
    close_fd(&fe->sock);
    close_fd(&fe->backend_req);
    log_release(fe);
}

void fe_disconnect(struct fe *fe)
{
    fe_hang_up(fe);
    for (unsigned q = 0; q < FE_MAX_QUEUES; q++) {
        fe_queue_drop(fe, q);
        fe_queue_release(fe, q);
    }
    fe->virtio = fe->proto = fe->virtio_offered = fe->proto_offered = 0;
}

void fe_free(struct fe *fe)
{
    if (!fe)
        return;
    fe_disconnect(fe);
    fe_memory_release(fe);
    pthread_mutex_destroy(&fe->alloc_lock);
    free(fe);
}

int fe_connect_fd(struct fe *fe, int fd)
{
    fe_disconnect(fe);
    fe->sock = fd;
    return 0;
}

int fe_dial(struct fe *fe, const char *socket_path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int64_t end = fe_now_ms() + CONNECT_MS;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    if (strlen(socket_path) >= sizeof(a.sun_path)) {
        close(fd);
        return -ENAMETOOLONG;
    }
    strcpy(a.sun_path, socket_path);
    while (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
        int err = -errno;

        if ((err != -ENOENT && err != -ECONNREFUSED) || fe_now_ms() >= end) {
            close(fd);
            return err;
        }
        poll(NULL, 0, 10);
    }
    fe->sock = fd;
    return 0;
}

int fe_connect(struct fe *fe, const char *socket_path)
{
    fe_disconnect(fe);
    return fe_dial(fe, socket_path);
}

bool fe_hung_up(struct fe *fe)
{
    struct pollfd p = {.fd = fe->sock, .events = POLLRDHUP};

    return fe->sock < 0 || (poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)));
}

/* ---- messages -------------------------------------------------------------------------------- */

int fe_vu_send(struct fe *fe, uint32_t request, uint32_t flags, uint32_t claim, const void *payload,
               size_t len, const int *fds, unsigned n_fds)
{
    struct vu_header h = {request, flags, claim == UINT32_MAX ? (uint32_t)len : claim};
    struct iovec iov[2] = {{&h, sizeof(h)}, {(void *)(uintptr_t)payload, len}};
    union {
        char space[CMSG_SPACE(sizeof(int) * FE_MAX_FDS)];
        struct cmsghdr align;
    } c;
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};
    ssize_t n;

    if (n_fds > FE_MAX_FDS)
        return -E2BIG;
    if (n_fds) {
        struct cmsghdr *cm = &c.align;

        memset(&c, 0, sizeof(c));
        cm->cmsg_level = SOL_SOCKET;
        cm->cmsg_type = SCM_RIGHTS;
        cm->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(cm), fds, sizeof(int) * n_fds);
        m.msg_control = &c;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
    }
    n = sendmsg(fe->sock, &m, MSG_NOSIGNAL);
    if (n < 0)
        return errno == EPIPE ? -ECONNRESET : -errno;
    return (size_t)n == sizeof(h) + len ? 0 : -EPROTO;
}

static int recv_part(struct fe *fe, void *to, size_t len, int *fd, int64_t end)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } c;
    size_t got = 0;

    while (got < len) {
        struct iovec iov = {(uint8_t *)to + got, len - got};
        struct msghdr m = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
        struct pollfd p = {.fd = fe->sock, .events = POLLIN};
        int64_t left = end - fe_now_ms();
        struct cmsghdr *cm;
        ssize_t n;

        if (poll(&p, 1, left > 0 ? (int)left : 0) <= 0)
            return -ETIMEDOUT;
        n = recvmsg(fe->sock, &m, MSG_CMSG_CLOEXEC);
        if (n <= 0)
            return n == 0 || errno == ECONNRESET ? -ECONNRESET : -errno;
        cm = CMSG_FIRSTHDR(&m);
        if (cm && cm->cmsg_type == SCM_RIGHTS)
            memcpy(fd, CMSG_DATA(cm), sizeof(*fd));
        got += (size_t)n;
    }
    return 0;
}

int fe_vu_recv(struct fe *fe, uint32_t *request, uint32_t *flags, void *payload, size_t room,
               int *fd)
{
    int64_t end = fe_now_ms() + fe->o.timeout_ms;
    struct vu_header h;
    int got = -1;
    int err = recv_part(fe, &h, sizeof(h), &got, end);

    if (err == 0 && h.size > room)
        err = -EPROTO;
    if (err == 0)
        err = recv_part(fe, payload, h.size, &got, end);
    if (fd && err == 0)
        *fd = got;
    else
        close_fd(&got);
    if (err < 0)
        return err;
    *request = h.request;
    *flags = h.flags;
    return (int)h.size;
}

/* The reply to @request: exactly @len bytes. */
static int recv_reply(struct fe *fe, uint32_t request, void *payload, size_t len)
{
    uint32_t answered, flags;
    int n = fe_vu_recv(fe, &answered, &flags, payload, len, NULL);

    if (n < 0)
        return n;
    if (answered != request || !(flags & VU_REPLY) || (flags & VU_VERSION_MASK) != VU_VERSION)
        return -EPROTO;
    return (size_t)n == len ? 0 : -EPROTO;
}

int fe_vu_set(struct fe *fe, uint32_t request, const void *payload, size_t len, const int *fds,
              unsigned n_fds)
{
    bool ack = fe_has_proto(fe, VU_PROTO_REPLY_ACK);
    uint64_t failed = 0;
    int err = fe_vu_send(fe, request, VU_VERSION | (ack ? VU_NEED_REPLY : 0), UINT32_MAX, payload,
                         len, fds, n_fds);

    if (err == 0 && ack)
        err = recv_reply(fe, request, &failed, sizeof(failed));
    return err ? err : failed ? -EREMOTEIO : 0;
}

int fe_vu_set_u64(struct fe *fe, uint32_t request, uint64_t value)
{
    return fe_vu_set(fe, request, &value, sizeof(value), NULL, 0);
}

int fe_vu_get(struct fe *fe, uint32_t request, const void *in, size_t in_len, void *payload,
              size_t len)
{
    int err = fe_vu_send(fe, request, VU_VERSION, UINT32_MAX, in, in_len, NULL, 0);

    return err ? err : recv_reply(fe, request, payload, len);
}

int fe_vu_get_u64(struct fe *fe, uint32_t request, uint64_t *value)
{
    return fe_vu_get(fe, request, NULL, 0, value, sizeof(*value));
}

int fe_get_config(struct fe *fe, uint32_t offset, uint32_t len, void *to)
{
    struct {
        struct vu_config c;
        uint8_t bytes[VU_CONFIG_MAX];
    } m = {.c = {.offset = offset, .size = len}};
    int err;

    if (len > sizeof(m.bytes))
        return -EINVAL;
    err = fe_vu_get(fe, VU_GET_CONFIG, &m, sizeof(m.c) + len, &m, sizeof(m.c) + len);
    if (err == 0)
        memcpy(to, m.bytes, len);
    return err;
}

/* ---- handshake ------------------------------------------------------------------------------- */

static int negotiate_proto(struct fe *fe)
{
    uint64_t wanted = WANTED_PROTO | (fe->o.want_config ? BIT(VU_PROTO_CONFIG) : 0);
    int err = fe_vu_get_u64(fe, VU_GET_PROTOCOL_FEATURES, &fe->proto_offered);

    if (err == 0) {
        uint64_t take = fe->proto_offered & wanted & ~fe->o.refuse_proto;

        err = fe_vu_set_u64(fe, VU_SET_PROTOCOL_FEATURES, take);
        fe->proto = take;
    }
    if (err == 0 && fe_has_proto(fe, VU_PROTO_MQ))
        err = fe_vu_get_u64(fe, VU_GET_QUEUE_NUM, &fe->max_queues);
    if (err == 0 && fe_has_proto(fe, VU_PROTO_CONFIGURE_MEM_SLOTS))
        err = fe_vu_get_u64(fe, VU_GET_MAX_MEM_SLOTS, &fe->max_slots);
    return err;
}

static int send_backend_channel(struct fe *fe)
{
    int pair[2];
    int err;

    if (!fe_has_proto(fe, VU_PROTO_BACKEND_REQ))
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    err = fe_vu_set(fe, VU_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1);
    close(pair[1]);
    fe->backend_req = pair[0];
    return err;
}

static int send_memory(struct fe *fe)
{
    if (!fe_has_proto(fe, VU_PROTO_CONFIGURE_MEM_SLOTS))
        return fe_send_mem_table(fe, 0);
    return fe_send_regions(fe);
}

static int set_features(struct fe *fe)
{
    fe->virtio = fe->virtio_offered & WANTED_VIRTIO & ~fe->o.refuse_virtio;
    return fe_vu_set_u64(fe, VU_SET_FEATURES, fe->virtio | (fe->logging ? BIT(VU_F_LOG_ALL) : 0));
}

int fe_handshake(struct fe *fe)
{
    int err = fe_vu_get_u64(fe, VU_GET_FEATURES, &fe->virtio_offered);

    if (err == 0 && (fe->virtio_offered & BIT(VU_F_PROTOCOL_FEATURES)))
        err = negotiate_proto(fe);
    if (err == 0)
        err = send_backend_channel(fe);
    if (err == 0)
        err = fe_vu_set(fe, VU_SET_OWNER, NULL, 0, NULL, 0);
    if (err == 0)
        err = set_features(fe);
    if (err == 0)
        err = send_memory(fe);
    return err;
}

static int start_queues(struct fe *fe)
{
    int err = 0;

    for (unsigned q = 0; q < fe->o.queues && err == 0; q++)
        err = fe_queue_start(fe, q);
    return err;
}

int fe_start(struct fe *fe, const char *socket_path)
{
    int err = fe_connect(fe, socket_path);

    if (err == 0)
        err = fe_handshake(fe);
    if (err == 0)
        err = start_queues(fe);
    if (err < 0)
        fe_disconnect(fe);
    return err;
}

int fe_open(struct fe **fe, const struct fe_options *o, const char *socket_path)
{
    int err = fe_new(fe, o);

    if (err < 0)
        return err;
    err = fe_start(*fe, socket_path);
    if (err < 0) {
        fe_free(*fe);
        *fe = NULL;
    }
    return err;
}

int fe_reset_device(struct fe *fe)
{
    int err = 0;

    for (unsigned q = 0; q < fe->o.queues && err == 0; q++) {
        if (fe->queue[q].running)
            err = fe_queue_stop(fe, q, NULL);
        fe_queue_drop(fe, q);
    }
    if (err == 0 && fe_has_proto(fe, VU_PROTO_RESET_DEVICE))
        err = fe_vu_set(fe, VU_RESET_DEVICE, NULL, 0, NULL, 0);
    if (err == 0)
        err = set_features(fe);
    return err ? err : start_queues(fe);
}

/* ---- dirty-page log -------------------------------------------------------------------------- */

static int log_make(struct fe *fe)
{
    fe->log_size = (size_t)(fe_memory_top(fe) / VU_LOG_PAGE / 8 + FE_PAGE) / FE_PAGE * FE_PAGE;
    fe->log_fd = memfd_create("dirty-log", MFD_CLOEXEC);
    if (fe->log_fd < 0 || ftruncate(fe->log_fd, (off_t)fe->log_size) < 0)
        return -errno;
    fe->log = mmap(NULL, fe->log_size, PROT_READ | PROT_WRITE, MAP_SHARED, fe->log_fd, 0);
    if (fe->log == MAP_FAILED) {
        fe->log = NULL;
        return -errno;
    }
    return 0;
}

/* SET_LOG_BASE has a reply of its own with LOG_SHMFD, whatever REPLY_ACK says; its payload is unused. */
static int send_log(struct fe *fe)
{
    struct vu_log l = {.mmap_size = fe->log_size};
    uint32_t request, flags;
    uint8_t ignored[64];
    int err =
        fe_vu_send(fe, VU_SET_LOG_BASE, VU_VERSION, UINT32_MAX, &l, sizeof(l), &fe->log_fd, 1);

    if (err == 0)
        err = fe_vu_recv(fe, &request, &flags, ignored, sizeof(ignored), NULL);
    if (err < 0)
        return err;
    return request == VU_SET_LOG_BASE ? 0 : -EPROTO;
}

/* Tell the daemon whether writes are to be logged: feature bit and ring flags. */
static int set_logging(struct fe *fe, bool on)
{
    int err;

    fe->logging = on;
    err = set_features(fe);
    for (unsigned q = 0; q < fe->o.queues && err == 0; q++)
        if (fe->queue[q].running)
            err = fe_send_vring_addr(fe, q);
    return err;
}

int fe_log_start(struct fe *fe, uint8_t **bitmap, size_t *bytes)
{
    int err = -EOPNOTSUPP;

    if (fe_has_proto(fe, VU_PROTO_LOG_SHMFD) && (fe->virtio_offered & BIT(VU_F_LOG_ALL)))
        err = log_make(fe);
    if (err == 0)
        err = send_log(fe);
    if (err == 0)
        err = set_logging(fe, true);
    if (err < 0) {
        log_release(fe);
        return err;
    }
    *bitmap = fe->log;
    *bytes = fe->log_size;
    return 0;
}

int fe_log_stop(struct fe *fe)
{
    int err = set_logging(fe, false);

    log_release(fe);
    return err;
}

/* ---- what was agreed ------------------------------------------------------------------------- */

uint64_t fe_virtio_offered(const struct fe *fe)
{
    return fe->virtio_offered;
}

uint64_t fe_virtio(const struct fe *fe)
{
    return fe->virtio;
}

uint64_t fe_proto_offered(const struct fe *fe)
{
    return fe->proto_offered;
}

uint64_t fe_proto(const struct fe *fe)
{
    return fe->proto;
}

unsigned fe_max_queues(const struct fe *fe)
{
    return (unsigned)fe->max_queues;
}

int fe_socket(const struct fe *fe)
{
    return fe->sock;
}

const struct fe_options *fe_options(const struct fe *fe)
{
    return &fe->o;
}
