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
 * Locks: the caller holds d->lock. A reset gives it up while the data path stops, because that may be
 * delivering an interrupt whose handler reads a register.
 */
#include <string.h>

#include "tests/nt-bench/device.h"

/* virtio 1.2, 2.1 */
enum {
    STATUS_ACKNOWLEDGE = 1,
    STATUS_DRIVER = 2,
    STATUS_DRIVER_OK = 4,
    STATUS_FEATURES_OK = 8,
    STATUS_FAILED = 128,
};

/* virtio 1.2, 4.1.4.3: offsets in the common configuration */
enum {
    REG_FEATURE_SELECT = 0x00,
    REG_FEATURE = 0x04,
    REG_GUEST_SELECT = 0x08,
    REG_GUEST_FEATURE = 0x0c,
    REG_CONFIG_VECTOR = 0x10,
    REG_NUM_QUEUES = 0x12,
    REG_STATUS = 0x14,
    REG_GENERATION = 0x15,
    REG_QUEUE_SELECT = 0x16,
    REG_QUEUE_SIZE = 0x18,
    REG_QUEUE_VECTOR = 0x1a,
    REG_QUEUE_ENABLE = 0x1c,
    REG_QUEUE_NOTIFY = 0x1e,
    REG_QUEUE_DESC = 0x20,
    REG_QUEUE_AVAIL = 0x28,
    REG_QUEUE_USED = 0x30,
    REG_COMMON_END = 0x38,
};

void registers_clear(struct vdev *d)
{
    d->feature_select = d->guest_select = 0;
    d->guest_features = 0;
    d->config_vector = VDEV_NO_VECTOR;
    d->queue_select = 0;
    d->status = d->isr = 0;
    d->features_read_back = false;
    for (unsigned q = 0; q < VDEV_MAX_QUEUES; q++)
        d->queue[q] =
            (struct vdev_queue){.size = (uint16_t)d->o.queue_size, .vector = VDEV_NO_VECTOR};
}

/* ---- common configuration: reading ----------------------------------------------------------- */

static uint64_t offered(struct vdev *d)
{
    uint64_t f = proxy_features(d->proxy) & ~d->o.withhold;

    return d->lie == LIE_NO_VERSION_1 ? f & ~(1ull << RING_F_VERSION_1) : f;
}

static uint64_t read_queue(struct vdev *d, uint32_t at)
{
    const struct vdev_queue *q = &d->queue[d->queue_select];

    if (d->queue_select >= vdev_queues(d))
        return at == REG_QUEUE_VECTOR ? VDEV_NO_VECTOR : 0;
    switch (at) {
    case REG_QUEUE_SIZE:
        return d->lie == LIE_QUEUE_SIZE_ZERO ? 0 : d->lie == LIE_QUEUE_SIZE_ODD ? 100 : q->size;
    case REG_QUEUE_VECTOR:
        return d->lie == LIE_NO_VECTOR ? VDEV_NO_VECTOR : q->vector;
    case REG_QUEUE_ENABLE:
        return q->enable;
    case REG_QUEUE_NOTIFY:
        return d->lie == LIE_NOTIFY_FAR ? 0xfff0 : d->queue_select;
    default:
        return q->address[(at - REG_QUEUE_DESC) / 8] >> (at & 4 ? 32 : 0);
    }
}

static uint64_t read_common(struct vdev *d, uint32_t at)
{
    switch (at) {
    case REG_FEATURE_SELECT:
        return d->feature_select;
    case REG_FEATURE:
        return d->feature_select < 2 ? (uint32_t)(offered(d) >> (32 * d->feature_select)) : 0;
    case REG_GUEST_SELECT:
        return d->guest_select;
    case REG_GUEST_FEATURE:
        return d->guest_select < 2 ? (uint32_t)(d->guest_features >> (32 * d->guest_select)) : 0;
    case REG_CONFIG_VECTOR:
        return d->config_vector;
    case REG_NUM_QUEUES:
        return d->lie == LIE_NO_QUEUES ? 0 : vdev_queues(d);
    case REG_STATUS:
        d->reset_seen |= d->status == 0;
        d->features_read_back |= (d->status & STATUS_FEATURES_OK) != 0;
        return d->status;
    case REG_GENERATION:
        return d->generation;
    case REG_QUEUE_SELECT:
        return d->queue_select;
    default:
        return at < REG_COMMON_END ? read_queue(d, at) : 0;
    }
}

/* ---- common configuration: writing ----------------------------------------------------------- */

/*
 * Reset: the data path stops first, without the lock, because it may be delivering an interrupt
 * whose handler reads a register.
 */
static void reset(struct vdev *d)
{
    pthread_mutex_unlock(&d->lock);
    proxy_stop(d->proxy);
    pthread_mutex_lock(&d->lock);
    registers_clear(d);
    d->running = false;
    d->reset_seen = false;
    atomic_fetch_add(&d->resets, 1);
}

static void accept_features(struct vdev *d)
{
    uint64_t extra = d->guest_features & ~offered(d);

    if (!(d->status & STATUS_DRIVER))
        ver_complain("virtio-order", "FEATURES_OK before DRIVER");
    if (extra)
        ver_complain("virtio-features", "accepted features %#llx that were not offered",
                     (unsigned long long)extra);
    if (!(d->guest_features >> RING_F_VERSION_1 & 1)) {
        if (offered(d) >> RING_F_VERSION_1 & 1)
            ver_complain("virtio-features", "VERSION_1 was not accepted");
        return;
    }
    if (!extra && d->lie != LIE_FEATURES_REFUSED)
        d->status |= STATUS_FEATURES_OK;
}

static void go_live(struct vdev *d)
{
    struct proxy_queue q[VDEV_MAX_QUEUES];

    if (!(d->status & STATUS_FEATURES_OK))
        ver_complain("virtio-order", "DRIVER_OK before FEATURES_OK");
    else if (!d->features_read_back)
        ver_complain("virtio-order", "FEATURES_OK was not read back");
    if (!(d->config[PCI_COMMAND] & PCI_BUS_MASTER))
        ver_complain("virtio-order", "DRIVER_OK while the function is no bus master");
    for (uint32_t i = 0; i < vdev_queues(d); i++)
        q[i] = (struct proxy_queue){
            .enabled = d->queue[i].enable == 1,
            .size = d->queue[i].size,
            .desc = d->queue[i].address[0],
            .avail = d->queue[i].address[1],
            .used = d->queue[i].address[2],
        };
    if (!proxy_start(d->proxy, q, vdev_queues(d), d->guest_features)) {
        d->status |= VDEV_STATUS_NEEDS_RESET;
        return;
    }
    d->status |= STATUS_DRIVER_OK;
    d->running = true;
}

static void write_status(struct vdev *d, uint8_t v)
{
    if (v == 0 && d->stuck)
        return; /* goes on as if nothing had been written */
    if (v == 0) {
        reset(d);
        return;
    }
    if ((d->status & v) != (d->status & ~VDEV_STATUS_NEEDS_RESET))
        ver_complain("virtio-order", "status %#x written over %#x clears bits", v, d->status);
    if ((v & STATUS_DRIVER) && !(v & STATUS_ACKNOWLEDGE))
        ver_complain("virtio-order", "DRIVER without ACKNOWLEDGE");
    d->status |= v & (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FAILED);
    if ((v & STATUS_FEATURES_OK) && !(d->status & STATUS_FEATURES_OK))
        accept_features(d);
    if ((v & STATUS_DRIVER_OK) && !(d->status & STATUS_DRIVER_OK))
        go_live(d);
}

static void write_queue(struct vdev *d, uint32_t at, uint64_t v, unsigned bytes)
{
    struct vdev_queue *q = &d->queue[d->queue_select];
    uint64_t *a;

    if (d->queue_select >= vdev_queues(d)) {
        ver_complain("virtio-order", "queue %u does not exist", d->queue_select);
        return;
    }
    if (!(d->status & STATUS_FEATURES_OK))
        ver_complain("virtio-order", "queue set up before FEATURES_OK");
    if (d->running || (q->enable && at != REG_QUEUE_VECTOR))
        ver_complain("virtio-order", "queue %u changed while enabled", d->queue_select);
    switch (at) {
    case REG_QUEUE_SIZE:
        if (v == 0 || v > q->size || (v & (v - 1)))
            ver_complain("virtio-order", "queue size %u of %u", (unsigned)v, q->size);
        q->size = (uint16_t)v;
        break;
    case REG_QUEUE_VECTOR:
        q->vector = v < d->messages ? (uint16_t)v : VDEV_NO_VECTOR;
        break;
    case REG_QUEUE_ENABLE:
        if (v == 1 && (!q->address[0] || !q->address[1] || !q->address[2]))
            ver_complain("virtio-order", "queue %u enabled without addresses", d->queue_select);
        q->enable = (uint16_t)v;
        break;
    default:
        a = &q->address[(at - REG_QUEUE_DESC) / 8];
        memcpy((uint8_t *)a + (at & 4), &v, bytes == 8 ? 8 : 4);
    }
}

static void write_common(struct vdev *d, uint32_t at, uint64_t v, unsigned bytes)
{
    if (!d->reset_seen && at != REG_STATUS)
        ver_complain("virtio-order", "register %#x written before the reset was seen to end", at);
    switch (at) {
    case REG_FEATURE_SELECT:
        d->feature_select = (uint32_t)v;
        break;
    case REG_GUEST_SELECT:
        d->guest_select = (uint32_t)v;
        break;
    case REG_GUEST_FEATURE:
        if (d->status & STATUS_FEATURES_OK)
            ver_complain("virtio-order", "features changed after FEATURES_OK");
        if (d->guest_select < 2)
            memcpy((uint8_t *)&d->guest_features + 4 * d->guest_select, &v, 4);
        break;
    case REG_CONFIG_VECTOR:
        d->config_vector = v < d->messages ? (uint16_t)v : VDEV_NO_VECTOR;
        break;
    case REG_STATUS:
        write_status(d, (uint8_t)v);
        break;
    case REG_QUEUE_SELECT:
        d->queue_select = (uint16_t)v;
        break;
    case REG_QUEUE_SIZE:
    case REG_QUEUE_VECTOR:
    case REG_QUEUE_ENABLE:
        write_queue(d, at, v, bytes);
        break;
    default:
        if (at >= REG_QUEUE_DESC && at < REG_COMMON_END)
            write_queue(d, at, v, bytes);
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

static void access_common(struct vdev *d, uint32_t at, unsigned bytes, bool write, uint64_t *v)
{
    unsigned width = common_width(at);

    if (bytes != width && !(at >= REG_QUEUE_DESC && bytes == 8))
        ver_complain("virtio-width", "%u-byte access to register %#x", bytes, at);
    if (write)
        write_common(d, at, *v, bytes);
    else
        *v = read_common(d, at);
}

static uint64_t read_config(struct vdev *d, uint32_t at, unsigned bytes)
{
    uint64_t v = 0;

    if (d->lie == LIE_MANY_QUEUES && at == offsetof(struct virtio_fs_config, num_request_queues))
        return 0xffffffffu;
    if (at + bytes <= sizeof(d->fs))
        memcpy(&v, (uint8_t *)&d->fs + at, bytes);
    else
        ver_complain("virtio-width", "device configuration read at %u, %u bytes", at, bytes);
    return v;
}

static void notify(struct vdev *d, uint32_t at, uint64_t v)
{
    uint32_t q = at / NOTIFY_MULTIPLIER;

    if (!d->running) {
        if (!(d->status & VDEV_STATUS_NEEDS_RESET))
            ver_complain("virtio-order", "queue %u kicked before DRIVER_OK or after reset", q);
        return;
    }
    if (q >= vdev_queues(d) || (v & 0xffff) != q)
        ver_complain("virtio-notify", "doorbell %u rung with %llu", q, (unsigned long long)v);
    else
        proxy_kick(d->proxy, q);
    __atomic_fetch_add(&ver_costs()->kicks, 1, __ATOMIC_RELAXED);
}

void registers_access(struct vdev *d, uint32_t at, unsigned bytes, bool write, uint64_t *v)
{
    uint32_t in = at & 0xfff;

    switch (at >> 12) {
    case AREA_COMMON:
        access_common(d, in, bytes, write, v);
        break;
    case AREA_ISR:
        if (!write) {
            *v = d->isr; /* virtio 1.2, 4.1.4.5: reading clears */
            d->isr = 0;
        }
        break;
    case AREA_CONFIG:
        if (write)
            ver_complain("virtio-order", "device configuration is read-only");
        else
            *v = read_config(d, in, bytes);
        break;
    default:
        if (write)
            notify(d, in, *v);
        else
            *v = 0;
    }
}
