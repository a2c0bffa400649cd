// SPDX-License-Identifier: BSD-3-Clause
/*
 * model.c - a function of our own
 *
 * Theory of operation
 *
 *   What QEMU's vhost-user-fs-pci shows a guest: configuration space with the four modern virtio
 *   capabilities and MSI-X, a memory BAR with the common configuration, the interrupt status, the
 *   device configuration and the doorbells (registers.c), and one with the MSI-X table.
 *
 *   DRIVER_OK hands the queues to the proxy (ring_proxy.c), which plays the device's data path.
 *
 * Ownership: device.c. Locks: v.lock guards registers; it is never held while an interrupt is delivered or
 * the proxy is stopped.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/nt-bench/model.h"

/* BAR 4: the four virtio areas, one page each; BAR 1: MSI-X. Physical addresses as QEMU lays them out. */
#define BAR_VIRTIO      4u
#define BAR_MSIX        1u
#define BAR_VIRTIO_SIZE 0x4000u
#define BAR_MSIX_SIZE   0x1000u
#define BAR_PHYS(n)     (0xE0000000ull + (uint64_t)(n)*0x100000u)

static struct model *model_of(struct vdev *d)
{
    return (struct model *)d;
}

/* ---- making one ------------------------------------------------------------------------------ */

static uint8_t put_capability(struct model *m, uint8_t at, uint8_t next, uint8_t type,
                              uint32_t area)
{
    uint8_t *c = m->config + at;
    uint32_t offset = area * 0x1000u, length = 0x1000;

    c[0] = CAP_VENDOR;
    c[1] = next;
    c[2] = type == CAP_NOTIFY || type == CAP_PCI ? 20 : 16;
    c[3] = type;
    c[4] = BAR_VIRTIO;
    memcpy(c + 8, &offset, 4);
    memcpy(c + 12, &length, 4);
    if (type == CAP_NOTIFY)
        c[16] = NOTIFY_MULTIPLIER;
    return next;
}

/* As QEMU: MSI-X first, then the virtio capabilities; PCI 3.0, 6.1 and 6.8.2. */
static void fill_config(struct model *m, unsigned slot)
{
    static const uint8_t head[] = {0xf4, 0x1a, 0x5a, 0x10, 0x00, 0x00,
                                   0x10, 0x00, 0x01, 0x00, 0x80, 0x01};
    uint8_t *c = m->config;
    uint32_t bar1 = (uint32_t)BAR_PHYS(2 * slot + 1);
    uint64_t bar4 = BAR_PHYS(2 * slot) | 0xc;

    memcpy(c, head, sizeof(head));
    memcpy(c + 0x10 + 4 * BAR_MSIX, &bar1, 4);
    memcpy(c + 0x10 + 4 * BAR_VIRTIO, &bar4, 8);
    c[0x2c] = 0xf4;
    c[0x2d] = 0x1a;
    c[0x2f] = 0x11;
    c[0x34] = m->v.o.messages ? 0x98 : 0x84;
    c[0x3d] = 1; /* INTA */
    if (m->v.o.messages) {
        c[0x98] = CAP_MSIX;
        c[0x99] = 0x84;
        c[0x9a] = (uint8_t)(m->v.o.messages - 1);
        c[0x9c] = BAR_MSIX;
        c[0xa0] = BAR_MSIX;
        c[0xa1] = 0x08;
    }
    put_capability(m, 0x84, 0x70, CAP_PCI, 0);
    put_capability(m, 0x70, 0x60, CAP_NOTIFY, AREA_NOTIFY);
    put_capability(m, 0x60, 0x50, CAP_DEVICE, AREA_CONFIG);
    put_capability(m, 0x50, 0x40, CAP_ISR, AREA_ISR);
    put_capability(m, 0x40, 0x00, CAP_COMMON, AREA_COMMON);
}

static void model_free(struct vdev *d)
{
    struct model *m = model_of(d);

    proxy_free(m->proxy);
    dma_free(d->dma);
    pthread_mutex_destroy(&d->lock);
    free(m);
}

/* ---- configuration space --------------------------------------------------------------------- */

static bool model_bar(const struct vdev *d, unsigned i, uint64_t *phys, uint64_t *size)
{
    const struct model *m = (const struct model *)d;
    uint32_t low;

    if (i == BAR_VIRTIO)
        *size = BAR_VIRTIO_SIZE;
    else if (i == BAR_MSIX && d->o.messages)
        *size = BAR_MSIX_SIZE;
    else
        return false;
    memcpy(&low, m->config + 0x10 + 4 * i, sizeof(low));
    *phys = low & ~0xfu;
    return true;
}

static void model_config(struct vdev *d, uint32_t offset, void *bytes, uint32_t n, bool write)
{
    struct model *m = model_of(d);

    pthread_mutex_lock(&d->lock);
    if (!write)
        memcpy(bytes, m->config + offset, n);
    else if (offset < 0x40)
        memcpy(m->config + offset, bytes, n);
    memcpy(&d->command, m->config + PCI_COMMAND, sizeof(d->command));
    bool mute = write && !(d->command & PCI_BUS_MASTER);
    pthread_mutex_unlock(&d->lock);
    if (mute)
        proxy_stop(m->proxy); /* cut off from memory */
}

static void model_decode(struct vdev *d, bool on)
{
    struct model *m = model_of(d);

    pthread_mutex_lock(&d->lock);
    d->command = on ? PCI_MEMORY : 0;
    memcpy(m->config + PCI_COMMAND, &d->command, sizeof(d->command));
    m->running &= on;
    pthread_mutex_unlock(&d->lock);
    proxy_stop(m->proxy);
}

/* ---- state of the function ------------------------------------------------------------------- */

static void model_access(struct vdev *d, unsigned bar, uint32_t at, unsigned bytes, bool write,
                         uint64_t *v)
{
    if (bar == BAR_VIRTIO)
        registers_access(model_of(d), at, bytes, write, v);
    else if (!write)
        *v = 0;
}

static void model_power(struct vdev *d, bool on)
{
    struct model *m = model_of(d);

    (void)on;
    proxy_stop(m->proxy);
    pthread_mutex_lock(&d->lock);
    registers_clear(m);
    m->running = false;
    pthread_mutex_unlock(&d->lock);
}

static void model_unplug(struct vdev *d)
{
    struct model *m = model_of(d);

    pthread_mutex_lock(&d->lock);
    m->running = false;
    pthread_mutex_unlock(&d->lock);
    proxy_stop(m->proxy);
}

static bool model_running(struct vdev *d)
{
    return model_of(d)->running;
}

/* ---- interrupts ------------------------------------------------------------------------------ */

/* The proxy and the registers raise them by themselves. */
static void model_connect(struct vdev *d)
{
    (void)d;
}

/* One interrupt: by the message that is in @which now, or by the line until the handler lets it down. */
static void deliver(struct model *m, const uint16_t *which, uint8_t isr)
{
    enum vdev_raised r;
    uint16_t vector;
    bool line, up;

    pthread_mutex_lock(&m->v.lock);
    vector = *which;
    line = m->v.messages == 0;
    if (line)
        m->isr |= isr;
    pthread_mutex_unlock(&m->v.lock);
    r = vdev_raise(&m->v, vector);
    pthread_mutex_lock(&m->v.lock);
    up = m->isr != 0;
    pthread_mutex_unlock(&m->v.lock);
    if (line && r == VDEV_REFUSED)
        ver_complain("interrupt", "nobody claimed the line interrupt");
    else if (line && r == VDEV_CLAIMED && up)
        ver_complain("interrupt", "the line is still asserted after the handler");
}

void vdev_interrupt(struct vdev *d, uint32_t queue)
{
    deliver(model_of(d), &model_of(d)->queue[queue].vector, 1);
}

static void model_needs_reset(struct vdev *d)
{
    struct model *m = model_of(d);

    pthread_mutex_lock(&d->lock);
    m->status |= STATUS_NEEDS_RESET;
    pthread_mutex_unlock(&d->lock);
    deliver(m, &m->config_vector, 2);
}

void model_replace_daemon(struct vdev *d, bool tell)
{
    proxy_replace_daemon(model_of(d)->proxy);
    if (tell)
        model_needs_reset(d);
}

static void model_config_change(struct vdev *d, const void *config, uint32_t n)
{
    struct model *m = model_of(d);

    pthread_mutex_lock(&d->lock);
    memcpy(&m->fs, config, n < sizeof(m->fs) ? n : sizeof(m->fs));
    m->generation++;
    pthread_mutex_unlock(&d->lock);
    deliver(m, &m->config_vector, 2);
}

/* ---- misbehaviour and observation ------------------------------------------------------------ */

static void model_lie(struct vdev *d, enum vdev_lie lie)
{
    struct model *m = model_of(d);

    m->lie = lie;
    if (lie == LIE_CAP_LOOP)
        m->config[0x41] = 0x70;
    else if (lie == LIE_CAP_BAR)
        m->config[0x44] = 9;
    else if (lie == LIE_CAP_LENGTH)
        memset(m->config + 0x48, 0xff, 8);
    else if (lie == LIE_CAP_MISSING)
        m->config[0x51] = 0;
}

static void model_fault(struct vdev *d, enum vdev_fault f)
{
    struct model *m = model_of(d);

    pthread_mutex_lock(&d->lock);
    m->stuck = f == FAULT_STUCK_RESET;
    pthread_mutex_unlock(&d->lock);
    if (f == FAULT_NEEDS_RESET) {
        proxy_fault(m->proxy, FAULT_HOLD);
        model_needs_reset(d);
        return;
    }
    proxy_fault(m->proxy, f);
    if (f == FAULT_SPURIOUS && d->messages)
        for (uint32_t q = 0; q < vdev_queues(d); q++)
            for (int i = 0; i < 10; i++)
                vdev_interrupt(d, q);
}

static void model_release(struct vdev *d, uint32_t n)
{
    proxy_release(model_of(d)->proxy, n);
}

static uint32_t model_held(struct vdev *d)
{
    return proxy_held(model_of(d)->proxy);
}

static uint32_t model_opcodes(struct vdev *d, uint32_t *opcodes, uint32_t room)
{
    return proxy_opcodes(model_of(d)->proxy, opcodes, room);
}

static uint64_t model_queue_count(struct vdev *d, uint32_t queue)
{
    return proxy_count(model_of(d)->proxy, queue);
}

static const struct vdev_back_end back_end = {
    .free = model_free,
    .bar = model_bar,
    .config = model_config,
    .access = model_access,
    .decode = model_decode,
    .power = model_power,
    .unplug = model_unplug,
    .running = model_running,
    .connect = model_connect,
    .disconnect = model_connect,
    .fault = model_fault,
    .release = model_release,
    .needs_reset = model_needs_reset,
    .config_change = model_config_change,
    .lie = model_lie,
    .held = model_held,
    .opcodes = model_opcodes,
    .queue_count = model_queue_count,
};

struct vdev *model_new(const struct vdev_options *o, unsigned slot)
{
    struct model *m = bench_alloc(sizeof(*m));
    struct vdev *d = &m->v;

    d->ops = &back_end;
    pthread_mutex_init(&d->lock, NULL);
    d->o = *o;
    d->o.tag = o->tag ? o->tag : "bench";
    d->o.request_queues = o->request_queues ? o->request_queues : 1;
    d->o.queue_size = o->queue_size ? o->queue_size : 128;
    if (vdev_queues(d) > VDEV_MAX_QUEUES)
        ver_stop("bench", "too many queues");
    strncpy((char *)m->fs.tag, d->o.tag, sizeof(m->fs.tag));
    if (o->bad_tag)
        memcpy(m->fs.tag, "\xff\xfe\xc0\x80", 4);
    m->fs.num_request_queues = d->o.request_queues;
    m->reset_seen = true;
    fill_config(m, slot);
    registers_clear(m);
    d->dma = dma_new(o->iommu);
    m->proxy = proxy_new(d);
    return d;
}
