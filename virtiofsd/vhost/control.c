// SPDX-License-Identifier: BSD-3-Clause
/*
 * control.c - what each vhost-user message does
 *
 * Theory of operation
 *
 *   A table says of each request how much payload it needs at least and whether it is answered; a
 *   handler does the work and leaves the answer, if any, in the message. More payload than needed is
 *   accepted: User-mode Linux always sends room for two memory regions. Descriptors that a handler
 *   does not take are closed by the caller.
 *
 *   A handler that fails has logged why. The front end learns of it through REPLY_ACK; where it did not
 *   ask for that, the connection ends, because it would go on with a device in another state
 *   than it thinks. A request that we do not know and that wants no answer is ignored.
 *
 *   Queues are changed with their worker parked; queue_update() lets them go on. Guest memory is
 *   unmapped only when no chain is out.
 *
 * Source: vhost-user specification, "Front-end message types", "Back-end ring states".
 * Ownership: control thread only. Locks: see device.h.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "host/cleanup.h"
#include "host/log.h"
#include "vhost/resume.h"

#define BIT(n) (UINT64_C(1) << (n))

static const uint64_t our_features = BIT(RING_F_VERSION_1) | BIT(RING_F_INDIRECT_DESC) |
                                     BIT(RING_F_EVENT_IDX) | BIT(VU_F_LOG_ALL) |
                                     BIT(VU_F_PROTOCOL_FEATURES);

static const uint64_t our_proto = BIT(VU_PROTO_MQ) | BIT(VU_PROTO_LOG_SHMFD) |
                                  BIT(VU_PROTO_REPLY_ACK) | BIT(VU_PROTO_BACKEND_REQ) |
                                  BIT(VU_PROTO_BACKEND_SEND_FD) | BIT(VU_PROTO_RESET_DEVICE) |
                                  BIT(VU_PROTO_CONFIGURE_MEM_SLOTS);

static uint64_t offered_proto(const struct vu *vu)
{
    return our_proto | (vu->has_config ? BIT(VU_PROTO_CONFIG) : 0) |
           (vu->ops->save ? BIT(VU_PROTO_DEVICE_STATE) : 0);
}

/* ---- features -------------------------------------------------------------------------------- */

static int get_features(struct vu *vu, struct vu_msg *m)
{
    (void)vu;
    m->u64 = our_features;
    return 0;
}

static int set_features(struct vu *vu, struct vu_msg *m)
{
    if ((m->u64 & ~our_features) != 0) {
        log_error("vhost-user: feature bits %#llx were never offered",
                  (unsigned long long)(m->u64 & ~our_features));
        return -EINVAL;
    }
    /* During migration this comes while queues run, to switch the log on or off. */
    device_freeze(vu);
    vu->features = m->u64;
    device_thaw(vu);
    return 0;
}

static int get_protocol_features(struct vu *vu, struct vu_msg *m)
{
    m->u64 = offered_proto(vu);
    return 0;
}

static int set_protocol_features(struct vu *vu, struct vu_msg *m)
{
    if ((m->u64 & ~offered_proto(vu)) != 0) {
        log_error("vhost-user: protocol features %#llx were never offered",
                  (unsigned long long)(m->u64 & ~offered_proto(vu)));
        return -EINVAL;
    }
    vu->proto_features = m->u64;
    return 0;
}

static int get_queue_num(struct vu *vu, struct vu_msg *m)
{
    (void)vu;
    m->u64 = VU_MAX_QUEUES;
    return 0;
}

static int set_owner(struct vu *vu, struct vu_msg *m)
{
    (void)vu;
    (void)m;
    return 0; /* a connection has one owner */
}

static int reset_device(struct vu *vu, struct vu_msg *m)
{
    (void)m;
    device_reset(vu);
    return 0;
}

static int set_backend_req_fd(struct vu *vu, struct vu_msg *m)
{
    int fd = vu_msg_take_fd(m, 0);

    if (fd < 0) {
        log_error("vhost-user: SET_BACKEND_REQ_FD without a descriptor");
        return -EINVAL;
    }
    if (vu->backend_fd >= 0)
        close(vu->backend_fd);
    resume_keep(vu, KEEP_BACKEND, 0, fd);
    vu->backend_fd = fd;
    return 0;
}

/* ---- configuration space --------------------------------------------------------------------- */

/* Any offset and size: what lies beyond the structure reads as zeros. */
static int get_config(struct vu *vu, struct vu_msg *m)
{
    uint32_t offset = m->config.head.offset, size = m->config.head.size;

    if (!vu->has_config || size > VU_CONFIG_MAX)
        return -EINVAL;
    memset(m->config.region, 0, sizeof(m->config.region));
    if (offset < sizeof(vu->config)) {
        uint32_t part = (uint32_t)sizeof(vu->config) - offset;
        memcpy(m->config.region, (const uint8_t *)&vu->config + offset, part < size ? part : size);
    }
    return 0;
}

static int set_config(struct vu *vu, struct vu_msg *m)
{
    (void)vu;
    (void)m;
    log_error("vhost-user: the configuration of a file system device cannot be written");
    return -EPERM;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Put @mem in place of the present memory. Queues go on with their rings found anew. */
static void swap_memory(struct vu *vu, struct mem *mem)
{
    device_drain(vu);
    for (unsigned i = 0; i < VU_MAX_QUEUES; i++)
        queue_close_ring(&vu->queue[i]);
    device_freeze(vu);
    struct mem *old = vu->mem;
    vu->mem = mem;
    atomic_store(&vu->lost_reported, false);
    device_thaw(vu);
    mem_free(old);
}

static int set_mem_table(struct vu *vu, struct vu_msg *m)
{
    uint32_t n = m->table.n_regions;

    if (n > VU_MAX_MEM_TABLE || m->head.size < 8 + n * sizeof(m->table.region[0])) {
        log_error("vhost-user: SET_MEM_TABLE names %u regions in %u bytes", n, m->head.size);
        return -EINVAL;
    }
    if (m->n_fds < n)
        mem_complain_not_shared();
    if (m->n_fds != n) {
        log_error("vhost-user: SET_MEM_TABLE has %u regions and %u descriptors", n, m->n_fds);
        return -EINVAL;
    }
    struct mem *mem = mem_new();
    if (!mem)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++) {
        int err = mem_add(mem, &m->table.region[i], m->fd[i]);
        if (err < 0) {
            mem_free(mem);
            return err;
        }
        resume_keep_memory(vu, mem, &m->table.region[i], m->fd[i]);
    }
    swap_memory(vu, mem);
    return 0;
}

static int get_max_mem_slots(struct vu *vu, struct vu_msg *m)
{
    (void)vu;
    m->u64 = MEM_MAX_REGIONS;
    return 0;
}

/* Nothing moves, so chains that are out may stay out. */
static int add_mem_reg(struct vu *vu, struct vu_msg *m)
{
    if (m->n_fds > 1)
        return -EINVAL;
    if (vu->again && mem_find(vu->mem, &m->region.region) >= 0)
        return 0; /* the process that handled this message before got as far as that */
    device_freeze(vu);
    int err = mem_add(vu->mem, &m->region.region, m->n_fds > 0 ? m->fd[0] : -1);
    if (err == 0)
        resume_keep_memory(vu, vu->mem, &m->region.region, m->fd[0]);
    device_thaw(vu);
    return err;
}

static int rem_mem_reg(struct vu *vu, struct vu_msg *m)
{
    int i = mem_find(vu->mem, &m->region.region);

    if (i < 0 && vu->again)
        return 0; /* as in add_mem_reg() */
    if (i < 0) {
        log_error("vhost-user: REM_MEM_REG of a region that is not there (%#llx bytes at %#llx)",
                  (unsigned long long)m->region.region.size,
                  (unsigned long long)m->region.region.guest_addr);
        return i;
    }
    device_drain(vu);
    for (unsigned q = 0; q < VU_MAX_QUEUES; q++)
        queue_close_ring(&vu->queue[q]);
    device_freeze(vu);
    mem_remove(vu->mem, (unsigned)i);
    device_thaw(vu);
    return 0;
}

/* ---- migration log --------------------------------------------------------------------------- */

static int set_log_base(struct vu *vu, struct vu_msg *m)
{
    if (!vu_has_proto(vu, VU_PROTO_LOG_SHMFD) || m->n_fds != 1) {
        log_error("vhost-user: SET_LOG_BASE without shared memory");
        return -EINVAL;
    }
    device_freeze(vu);
    int err = dirty_open(&vu->dirty, &m->log, m->fd[0]);
    if (err == 0) {
        vu->log = m->log;
        resume_keep(vu, KEEP_LOG, 0, m->fd[0]);
    }
    device_thaw(vu);
    m->u64 = err < 0;
    return err;
}

/* The descriptor would be signalled when pages were logged; the front end looks by itself. */
static int set_log_fd(struct vu *vu, struct vu_msg *m)
{
    (void)vu;
    (void)m;
    return 0;
}

/* ---- device state ---------------------------------------------------------------------------- */

/* Both always have an answer, which says whether it went well. */
static int set_device_state_fd(struct vu *vu, struct vu_msg *m)
{
    struct vu_state_transfer t = m->transfer;
    int fd = vu_msg_take_fd(m, 0);

    if (fd < 0)
        log_error("vhost-user: SET_DEVICE_STATE_FD without a descriptor");
    int err = fd < 0 ? -EINVAL : transfer_begin(vu, t.direction, t.phase, fd);
    m->u64 = VU_STATE_NO_FD | (err < 0);
    return 0;
}

static int check_device_state(struct vu *vu, struct vu_msg *m)
{
    m->u64 = transfer_check(vu) < 0;
    return 0;
}

/* ---- queues ---------------------------------------------------------------------------------- */

static struct vq *queue_at(struct vu *vu, uint64_t index)
{
    if (index < VU_MAX_QUEUES)
        return &vu->queue[index];
    log_error("vhost-user: there is no queue %llu, only %u", (unsigned long long)index,
              VU_MAX_QUEUES);
    return NULL;
}

static int set_vring_num(struct vu *vu, struct vu_msg *m)
{
    struct vq *q = queue_at(vu, m->state.index);
    uint32_t num = m->state.num;

    if (!q)
        return -EINVAL;
    if (num == 0 || num > RING_MAX_SIZE || (num & (num - 1)) != 0) {
        log_error("queue %u: %u is not a queue size", q->index, num);
        return -EINVAL;
    }
    queue_drain(q, false);
    queue_close_ring(q);
    q->size = num;
    return queue_update(q);
}

static int set_vring_base(struct vu *vu, struct vu_msg *m)
{
    struct vq *q = queue_at(vu, m->state.index);

    if (!q || m->state.num > UINT16_MAX)
        return -EINVAL;
    queue_drain(q, false);
    queue_close_ring(q);
    queue_rebase(q, (uint16_t)m->state.num);
    return queue_update(q);
}

/* Comes for running queues too, when logging begins and ends: then only the flag changes. */
static int set_vring_addr(struct vu *vu, struct vu_msg *m)
{
    const struct vu_vring_addr *a = &m->addr;
    struct vq *q = queue_at(vu, a->index);

    if (!q)
        return -EINVAL;
    if (a->desc != q->desc_uva || a->avail != q->avail_uva || a->used != q->used_uva) {
        queue_drain(q, false);
        queue_close_ring(q);
        q->desc_uva = a->desc;
        q->avail_uva = a->avail;
        q->used_uva = a->used;
    }
    queue_order_park(q);
    queue_await_parked(q);
    pthread_mutex_lock(&q->lock);
    q->used_gpa = a->log;
    q->used_logged = (a->flags & VU_VRING_F_LOG) != 0;
    pthread_mutex_unlock(&q->lock);
    return queue_update(q);
}

/* Stops the queue; where it was is the answer. */
static int get_vring_base(struct vu *vu, struct vu_msg *m)
{
    struct vq *q = queue_at(vu, m->state.index);

    if (!q)
        return -EINVAL;
    queue_stop(q, false);
    m->state.num = (uint16_t)q->live->next;
    return 0;
}

/* The descriptor of KICK, CALL and ERR. Return: 0 with *@q and *@fd (-1: none), taken over. */
static int take_vring_fd(struct vu *vu, struct vu_msg *m, struct vq **q, int *fd)
{
    *q = queue_at(vu, m->u64 & VU_VRING_INDEX_MASK);
    if (!*q)
        return -EINVAL;
    *fd = -1;
    if ((m->u64 & VU_VRING_NO_FD) == 0) {
        *fd = vu_msg_take_fd(m, 0);
        if (*fd < 0) {
            log_error("queue %u: a descriptor was announced and is missing", (*q)->index);
            return -EINVAL;
        }
    }
    return 0;
}

static int set_vring_kick(struct vu *vu, struct vu_msg *m)
{
    struct vq *q;
    int fd, err = take_vring_fd(vu, m, &q, &fd);

    if (err < 0)
        return err;
    if (fd < 0) {
        log_error("queue %u: the front end wants it polled; only queues with a kick descriptor "
                  "are served",
                  q->index);
        return -EOPNOTSUPP;
    }
    transfer_settle(vu);
    err = queue_set_kick(q, fd);
    if (err < 0)
        return err;
    /* "Ring states": without protocol features a ring starts enabled */
    if (!vu_has(vu, VU_F_PROTOCOL_FEATURES))
        q->enabled = true;
    return queue_update(q);
}

static int set_vring_call(struct vu *vu, struct vu_msg *m)
{
    struct vq *q;
    int fd, err = take_vring_fd(vu, m, &q, &fd);

    if (err < 0)
        return err;
    queue_set_call(q, fd);
    /* A signal may have gone to the old descriptor, or nowhere. One too many does no harm. */
    if (q->open)
        queue_call(q);
    return 0;
}

static int set_vring_err(struct vu *vu, struct vu_msg *m)
{
    struct vq *q;
    int fd, err = take_vring_fd(vu, m, &q, &fd);

    if (err < 0)
        return err;
    queue_set_err(q, fd);
    return queue_update(q);
}

static int set_vring_enable(struct vu *vu, struct vu_msg *m)
{
    struct vq *q = queue_at(vu, m->state.index);

    if (!q || m->state.num > 1)
        return -EINVAL;
    q->enabled = m->state.num == 1;
    return queue_update(q);
}

/* ---- dispatch -------------------------------------------------------------------------------- */

enum answer { ANSWER_NONE, ANSWER_U64, ANSWER_STATE, ANSWER_CONFIG };

struct request {
    int (*handle)(struct vu *vu, struct vu_msg *m);
    uint16_t size; /* bytes of payload that it needs */
    uint8_t answer;
};

static const struct request requests[] = {
    [VU_GET_FEATURES] = {get_features, 0, ANSWER_U64},
    [VU_SET_FEATURES] = {set_features, sizeof(uint64_t), ANSWER_NONE},
    [VU_SET_OWNER] = {set_owner, 0, ANSWER_NONE},
    [VU_RESET_OWNER] = {reset_device, 0, ANSWER_NONE},
    [VU_SET_MEM_TABLE] = {set_mem_table, 8, ANSWER_NONE},
    [VU_SET_LOG_BASE] = {set_log_base, sizeof(struct vu_log), ANSWER_U64},
    [VU_SET_LOG_FD] = {set_log_fd, 0, ANSWER_NONE},
    [VU_SET_VRING_NUM] = {set_vring_num, sizeof(struct vu_vring_state), ANSWER_NONE},
    [VU_SET_VRING_ADDR] = {set_vring_addr, sizeof(struct vu_vring_addr), ANSWER_NONE},
    [VU_SET_VRING_BASE] = {set_vring_base, sizeof(struct vu_vring_state), ANSWER_NONE},
    [VU_GET_VRING_BASE] = {get_vring_base, sizeof(struct vu_vring_state), ANSWER_STATE},
    [VU_SET_VRING_KICK] = {set_vring_kick, sizeof(uint64_t), ANSWER_NONE},
    [VU_SET_VRING_CALL] = {set_vring_call, sizeof(uint64_t), ANSWER_NONE},
    [VU_SET_VRING_ERR] = {set_vring_err, sizeof(uint64_t), ANSWER_NONE},
    [VU_GET_PROTOCOL_FEATURES] = {get_protocol_features, 0, ANSWER_U64},
    [VU_SET_PROTOCOL_FEATURES] = {set_protocol_features, sizeof(uint64_t), ANSWER_NONE},
    [VU_GET_QUEUE_NUM] = {get_queue_num, 0, ANSWER_U64},
    [VU_SET_VRING_ENABLE] = {set_vring_enable, sizeof(struct vu_vring_state), ANSWER_NONE},
    [VU_SET_BACKEND_REQ_FD] = {set_backend_req_fd, 0, ANSWER_NONE},
    [VU_GET_CONFIG] = {get_config, sizeof(struct vu_config), ANSWER_CONFIG},
    [VU_SET_CONFIG] = {set_config, sizeof(struct vu_config), ANSWER_NONE},
    [VU_RESET_DEVICE] = {reset_device, 0, ANSWER_NONE},
    [VU_SET_DEVICE_STATE_FD] = {set_device_state_fd, sizeof(struct vu_state_transfer), ANSWER_U64},
    [VU_CHECK_DEVICE_STATE] = {check_device_state, 0, ANSWER_U64},
    [VU_GET_MAX_MEM_SLOTS] = {get_max_mem_slots, 0, ANSWER_U64},
    [VU_ADD_MEM_REG] = {add_mem_reg, sizeof(struct vu_mem_reg_msg), ANSWER_NONE},
    [VU_REM_MEM_REG] = {rem_mem_reg, sizeof(struct vu_mem_reg_msg), ANSWER_NONE},
};

static const struct request *request_of(uint32_t number)
{
    if (number >= sizeof(requests) / sizeof(requests[0]) || !requests[number].handle)
        return NULL;
    return &requests[number];
}

static int answer(struct vu *vu, struct vu_msg *m, enum answer kind, int err)
{
    uint32_t size = 0;

    if (kind == ANSWER_CONFIG) {
        /* "Virtio device config space": a failed GET_CONFIG is answered without payload */
        size = err < 0 ? 0 : (uint32_t)sizeof(struct vu_config) + m->config.head.size;
    } else if (err < 0) {
        return err; /* nothing in the answer could say so */
    } else if (kind == ANSWER_STATE) {
        size = sizeof(m->state);
    } else {
        size = sizeof(m->u64);
    }
    return resume_reply(vu, m, size);
}

/** control_handle() - see device.h */
int control_handle(struct vu *vu, struct vu_msg *m)
{
    const struct request *r = request_of(m->head.request);
    bool asks = (m->head.flags & VU_NEED_REPLY) != 0;
    bool wants_ack;
    int err;

    log_debug("vhost-user: request %u, %u bytes, %u descriptors", m->head.request, m->head.size,
              m->n_fds);
    if (!r) {
        log_warn("vhost-user: request %u is not known here", m->head.request);
        err = asks && vu_has_proto(vu, VU_PROTO_REPLY_ACK) ? -EOPNOTSUPP : 0;
    } else if (m->head.size < r->size) {
        log_error("vhost-user: request %u with %u bytes, needs %u", m->head.request, m->head.size,
                  r->size);
        return -EPROTO;
    } else {
        err = r->handle(vu, m);
        if (err < 0)
            log_warn("vhost-user: request %u failed: %s", m->head.request, strerror(-err));
    }
    if (r && r->answer != ANSWER_NONE)
        return answer(vu, m, r->answer, err);
    /* User-mode Linux asks for an answer to the very request that turns REPLY_ACK on */
    wants_ack = asks && vu_has_proto(vu, VU_PROTO_REPLY_ACK);
    if (!wants_ack)
        return err;
    m->u64 = err < 0;
    return resume_reply(vu, m, sizeof(m->u64));
}
