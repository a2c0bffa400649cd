// SPDX-License-Identifier: BSD-3-Clause
/*
 * registers.c - the registers of a modern virtio-pci function
 *
 * Theory of operation
 *
 *   Common configuration, interrupt status, device configuration and doorbells, one page each. Reads and
 *   writes come in their own width; what breaks the order of virtio 1.2, 3.1.1 is a complaint, and so is
 *   a feature that was not offered, a queue that is touched while it is enabled, or a doorbell that is
 *   rung before DRIVER_OK.
 *
 * Locks: the caller holds v.lock. A reset gives it up while the data path stops, because that may be
 * delivering an interrupt whose handler reads a register.
 */
#include <string.h>

#include "tests/nt-bench/model.h"

void registers_clear(struct model *m)
{
    m->feature_select = m->guest_select = 0;
    m->guest_features = 0;
    m->config_vector = NO_VECTOR;
    m->queue_select = 0;
    m->status = m->isr = 0;
    m->features_read_back = false;
    for (unsigned q = 0; q < VDEV_MAX_QUEUES; q++)
        m->queue[q] =
            (struct model_queue){.size = (uint16_t)m->v.o.queue_size, .vector = NO_VECTOR};
}

/* ---- common configuration: reading ----------------------------------------------------------- */

#define ACCESS_PLATFORM (1ull << 33) /* virtio 1.2, 6 */

static uint64_t offered(struct model *m)
{
    uint64_t f = proxy_features(m->proxy);

    if (m->v.o.iommu) /* virtio 1.2, 6.2: a device behind an IOMMU must offer it */
        f |= ACCESS_PLATFORM;
    f &= ~m->v.o.withhold;

    return m->lie == LIE_NO_VERSION_1 ? f & ~(1ull << RING_F_VERSION_1) : f;
}

static uint64_t read_queue(struct model *m, uint32_t at)
{
    const struct model_queue *q = &m->queue[m->queue_select];

    if (m->queue_select >= vdev_queues(&m->v))
        return at == REG_QUEUE_VECTOR ? NO_VECTOR : 0;
    switch (at) {
    case REG_QUEUE_SIZE:
        return m->lie == LIE_QUEUE_SIZE_ZERO ? 0 : m->lie == LIE_QUEUE_SIZE_ODD ? 100 : q->size;
    case REG_QUEUE_VECTOR:
        return m->lie == LIE_NO_VECTOR ? NO_VECTOR : q->vector;
    case REG_QUEUE_ENABLE:
        return q->enable;
    case REG_QUEUE_NOTIFY:
        return m->lie == LIE_NOTIFY_FAR ? 0xfff0 : m->queue_select;
    default:
        return q->address[(at - REG_QUEUE_DESC) / 8] >> (at & 4 ? 32 : 0);
    }
}

static uint64_t read_common(struct model *m, uint32_t at)
{
    switch (at) {
    case REG_FEATURE_SELECT:
        return m->feature_select;
    case REG_FEATURE:
        return m->feature_select < 2 ? (uint32_t)(offered(m) >> (32 * m->feature_select)) : 0;
    case REG_GUEST_SELECT:
        return m->guest_select;
    case REG_GUEST_FEATURE:
        return m->guest_select < 2 ? (uint32_t)(m->guest_features >> (32 * m->guest_select)) : 0;
    case REG_CONFIG_VECTOR:
        return m->config_vector;
    case REG_NUM_QUEUES:
        return m->lie == LIE_NO_QUEUES ? 0 : vdev_queues(&m->v);
    case REG_STATUS:
        m->reset_seen |= m->status == 0;
        m->features_read_back |= (m->status & STATUS_FEATURES_OK) != 0;
        return m->status;
    case REG_GENERATION:
        return m->generation;
    case REG_QUEUE_SELECT:
        return m->queue_select;
    default:
        return at < REG_COMMON_END ? read_queue(m, at) : 0;
    }
}

/* ---- common configuration: writing ----------------------------------------------------------- */

/*
 * Reset: the data path stops first, without the lock, because it may be delivering an interrupt
 * whose handler reads a register.
 */
static void reset(struct model *m)
{
    pthread_mutex_unlock(&m->v.lock);
    proxy_stop(m->proxy);
    pthread_mutex_lock(&m->v.lock);
    registers_clear(m);
    m->running = false;
    m->reset_seen = false;
    atomic_fetch_add(&m->v.resets, 1);
}

static void accept_features(struct model *m)
{
    uint64_t extra = m->guest_features & ~offered(m);

    if (!(m->status & STATUS_DRIVER))
        ver_complain("virtio-order", "FEATURES_OK before DRIVER");
    if (extra)
        ver_complain("virtio-features", "accepted features %#llx that were not offered",
                     (unsigned long long)extra);
    if (!(m->guest_features >> RING_F_VERSION_1 & 1)) {
        if (offered(m) >> RING_F_VERSION_1 & 1)
            ver_complain("virtio-features", "VERSION_1 was not accepted");
        return;
    }
    if (offered(m) & ~m->guest_features & ACCESS_PLATFORM) {
        ver_complain("virtio-features", "ACCESS_PLATFORM was not accepted");
        return; /* virtio 1.2, 6.2: it may refuse to go on */
    }
    if (!extra && m->lie != LIE_FEATURES_REFUSED)
        m->status |= STATUS_FEATURES_OK;
}

static void go_live(struct model *m)
{
    struct proxy_queue q[VDEV_MAX_QUEUES];

    if (!(m->status & STATUS_FEATURES_OK))
        ver_complain("virtio-order", "DRIVER_OK before FEATURES_OK");
    else if (!m->features_read_back)
        ver_complain("virtio-order", "FEATURES_OK was not read back");
    if (!(m->v.command & PCI_BUS_MASTER))
        ver_complain("virtio-order", "DRIVER_OK while the function is no bus master");
    for (uint32_t i = 0; i < vdev_queues(&m->v); i++)
        q[i] = (struct proxy_queue){
            .enabled = m->queue[i].enable == 1,
            .size = m->queue[i].size,
            .desc = m->queue[i].address[0],
            .avail = m->queue[i].address[1],
            .used = m->queue[i].address[2],
        };
    if (!proxy_start(m->proxy, q, vdev_queues(&m->v), m->guest_features)) {
        m->status |= STATUS_NEEDS_RESET;
        return;
    }
    m->status |= STATUS_DRIVER_OK;
    m->running = true;
}

static void write_status(struct model *m, uint8_t v)
{
    if (v == 0 && m->stuck)
        return; /* goes on as if nothing had been written */
    if (v == 0) {
        reset(m);
        return;
    }
    if ((m->status & v) != (m->status & ~STATUS_NEEDS_RESET))
        ver_complain("virtio-order", "status %#x written over %#x clears bits", v, m->status);
    if ((v & STATUS_DRIVER) && !(v & STATUS_ACKNOWLEDGE))
        ver_complain("virtio-order", "DRIVER without ACKNOWLEDGE");
    m->status |= v & (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FAILED);
    if ((v & STATUS_FEATURES_OK) && !(m->status & STATUS_FEATURES_OK))
        accept_features(m);
    if ((v & STATUS_DRIVER_OK) && !(m->status & STATUS_DRIVER_OK))
        go_live(m);
}

static void write_queue(struct model *m, uint32_t at, uint64_t v, unsigned bytes)
{
    struct model_queue *q = &m->queue[m->queue_select];
    uint64_t *a;

    if (m->queue_select >= vdev_queues(&m->v)) {
        ver_complain("virtio-order", "queue %u does not exist", m->queue_select);
        return;
    }
    if (!(m->status & STATUS_FEATURES_OK))
        ver_complain("virtio-order", "queue set up before FEATURES_OK");
    if (m->running || (q->enable && at != REG_QUEUE_VECTOR))
        ver_complain("virtio-order", "queue %u changed while enabled", m->queue_select);
    switch (at) {
    case REG_QUEUE_SIZE:
        if (v == 0 || v > q->size || (v & (v - 1)))
            ver_complain("virtio-order", "queue size %u of %u", (unsigned)v, q->size);
        q->size = (uint16_t)v;
        break;
    case REG_QUEUE_VECTOR:
        q->vector = v < m->v.messages ? (uint16_t)v : NO_VECTOR;
        break;
    case REG_QUEUE_ENABLE:
        if (v == 1 && (!q->address[0] || !q->address[1] || !q->address[2]))
            ver_complain("virtio-order", "queue %u enabled without addresses", m->queue_select);
        q->enable = (uint16_t)v;
        break;
    default:
        a = &q->address[(at - REG_QUEUE_DESC) / 8];
        memcpy((uint8_t *)a + (at & 4), &v, bytes == 8 ? 8 : 4);
    }
}

static void write_common(struct model *m, uint32_t at, uint64_t v, unsigned bytes)
{
    if (!m->reset_seen && at != REG_STATUS)
        ver_complain("virtio-order", "register %#x written before the reset was seen to end", at);
    switch (at) {
    case REG_FEATURE_SELECT:
        m->feature_select = (uint32_t)v;
        break;
    case REG_GUEST_SELECT:
        m->guest_select = (uint32_t)v;
        break;
    case REG_GUEST_FEATURE:
        if (m->status & STATUS_FEATURES_OK)
            ver_complain("virtio-order", "features changed after FEATURES_OK");
        if (m->guest_select < 2)
            memcpy((uint8_t *)&m->guest_features + 4 * m->guest_select, &v, 4);
        break;
    case REG_CONFIG_VECTOR:
        m->config_vector = v < m->v.messages ? (uint16_t)v : NO_VECTOR;
        break;
    case REG_STATUS:
        write_status(m, (uint8_t)v);
        break;
    case REG_QUEUE_SELECT:
        m->queue_select = (uint16_t)v;
        break;
    case REG_QUEUE_SIZE:
    case REG_QUEUE_VECTOR:
    case REG_QUEUE_ENABLE:
        write_queue(m, at, v, bytes);
        break;
    default:
        if (at >= REG_QUEUE_DESC && at < REG_COMMON_END)
            write_queue(m, at, v, bytes);
        else
            ver_complain("virtio-order", "register %#x is read-only", at);
    }
}

/* ---- one access ------------------------------------------------------------------------------ */

/* virtio 1.2, 4.1.3.1: fields are accessed in their own width; 64-bit ones also in halves. */
static unsigned common_width(uint32_t at)
{
    if (at < REG_CONFIG_VECTOR)
        return 4;
    if (at == REG_STATUS || at == REG_GENERATION)
        return 1;
    return at < REG_QUEUE_DESC ? 2 : 4;
}

static void access_common(struct model *m, uint32_t at, unsigned bytes, bool write, uint64_t *v)
{
    unsigned width = common_width(at);

    if (bytes != width && !(at >= REG_QUEUE_DESC && bytes == 8))
        ver_complain("virtio-width", "%u-byte access to register %#x", bytes, at);
    if (write)
        write_common(m, at, *v, bytes);
    else
        *v = read_common(m, at);
}

static uint64_t read_config(struct model *m, uint32_t at, unsigned bytes)
{
    uint64_t v = 0;

    if (m->lie == LIE_MANY_QUEUES && at == offsetof(struct virtio_fs_config, num_request_queues))
        return 0xffffffffu;
    if (at + bytes <= sizeof(m->fs))
        memcpy(&v, (uint8_t *)&m->fs + at, bytes);
    else
        ver_complain("virtio-width", "device configuration read at %u, %u bytes", at, bytes);
    return v;
}

static void notify(struct model *m, uint32_t at, uint64_t v)
{
    uint32_t q = at / NOTIFY_MULTIPLIER;

    if (!m->running) {
        if (!(m->status & STATUS_NEEDS_RESET))
            ver_complain("virtio-order", "queue %u kicked before DRIVER_OK or after reset", q);
        return;
    }
    if (q >= vdev_queues(&m->v) || (v & 0xffff) != q)
        ver_complain("virtio-notify", "doorbell %u rung with %llu", q, (unsigned long long)v);
    else
        proxy_kick(m->proxy, q);
    __atomic_fetch_add(&ver_costs()->kicks, 1, __ATOMIC_RELAXED);
}

void registers_access(struct model *m, uint32_t at, unsigned bytes, bool write, uint64_t *v)
{
    uint32_t in = at & 0xfff;

    switch (at >> 12) {
    case AREA_COMMON:
        access_common(m, in, bytes, write, v);
        break;
    case AREA_ISR:
        if (!write) {
            *v = m->isr; /* virtio 1.2, 4.1.4.5: reading clears */
            m->isr = 0;
        }
        break;
    case AREA_CONFIG:
        if (write)
            ver_complain("virtio-order", "device configuration is read-only");
        else
            *v = read_config(m, in, bytes);
        break;
    default:
        if (write)
            notify(m, in, *v);
        else
            *v = 0;
    }
}
