// SPDX-License-Identifier: BSD-3-Clause
/*
 * device.c - a virtio-fs PCI function
 *
 * Theory of operation
 *
 *   What QEMU's vhost-user-fs-pci shows a guest: configuration space with the four modern virtio
 *   capabilities and MSI-X, a memory BAR with the common configuration, the interrupt status, the
 *   device configuration and the doorbells, and one with the MSI-X table. Registers are reached by
 *   trapped accesses (trap.c); writes that break the order of virtio 1.2, 3.1.1 are complaints.
 *
 *   DRIVER_OK hands the queues to the proxy (ring_proxy.c), which plays the device's data path.
 *
 *   The function has the states of a real one: powered, unplugged (all registers read as ones), and
 *   forbidden, when the driver has promised not to touch it any more.
 *
 * Ownership: the caller of vdev_new(). Locks: d->lock guards registers; it is never held while an interrupt
 * is delivered or the proxy is stopped. The table of mappings has its own.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "abi/virtio_fs.h"
#include "tests/nt-bench/bench_host.h"

#define MAX_QUEUES  34u
#define MAX_VDEVS   8u
#define MAX_MAPS    256u
#define CONFIG_SIZE 256u

/* BAR 4: the four virtio areas, one page each; BAR 1: MSI-X. Physical addresses as QEMU lays them out. */
#define BAR_VIRTIO      4u
#define BAR_MSIX        1u
#define BAR_VIRTIO_SIZE 0x4000u
#define BAR_MSIX_SIZE   0x1000u
#define BAR_PHYS(n)     (0xE0000000ull + (uint64_t)(n)*0x100000u)

enum area { AREA_COMMON, AREA_ISR, AREA_CONFIG, AREA_NOTIFY };
#define NOTIFY_MULTIPLIER 4u

/* PCI 3.0, 6.2.2 */
#define PCI_COMMAND    0x04u
#define PCI_MEMORY     2u
#define PCI_BUS_MASTER 4u

/* virtio 1.2, 4.1.4: capability types */
#define CAP_VENDOR 0x09u
#define CAP_MSIX   0x11u
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI = 5 };

/* virtio 1.2, 2.1 */
enum {
    STATUS_ACKNOWLEDGE = 1,
    STATUS_DRIVER = 2,
    STATUS_DRIVER_OK = 4,
    STATUS_FEATURES_OK = 8,
    STATUS_NEEDS_RESET = 64,
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
#define NO_VECTOR 0xffffu

struct queue {
    uint16_t size, vector, enable;
    uint64_t address[3]; /* desc, avail, used */
};

struct vdev {
    pthread_mutex_t lock;
    struct vdev_options o;
    char tag[64];
    unsigned slot;
    struct dma *dma;
    struct proxy *proxy;
    uint8_t config[CONFIG_SIZE];
    /* registers */
    uint32_t feature_select, guest_select;
    uint64_t guest_features;
    uint16_t config_vector, queue_select;
    uint8_t status, isr, generation;
    bool features_read_back, reset_seen;
    struct queue queue[MAX_QUEUES];
    struct virtio_fs_config fs;
    enum vdev_lie lie;
    bool stuck;
    /* state of the function */
    bool unplugged, powered_down, running;
    atomic_uint resets;
    const char *forbidden;
    struct vdev_irq irq;
    uint32_t messages; /* connected; 0: line or none */
    bool connected;
    atomic_uint delivering; /* interrupts under way */
};

struct map {
    uintptr_t at;
    size_t size;
    struct vdev *d;
    unsigned bar;
    uint32_t offset;
    bool live;
};

static struct vdev *vdevs[MAX_VDEVS];
static struct map maps[MAX_MAPS];
static atomic_uint n_maps;
static pthread_mutex_t maps_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- making one ------------------------------------------------------------------------------ */

static uint8_t put_capability(struct vdev *d, uint8_t at, uint8_t next, uint8_t type, uint32_t area)
{
    uint8_t *c = d->config + at;
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
static void fill_config(struct vdev *d)
{
    static const uint8_t head[] = {0xf4, 0x1a, 0x5a, 0x10, 0x00, 0x00,
                                   0x10, 0x00, 0x01, 0x00, 0x80, 0x01};
    uint8_t *c = d->config;
    uint32_t bar1 = (uint32_t)BAR_PHYS(2 * d->slot + 1);
    uint64_t bar4 = BAR_PHYS(2 * d->slot) | 0xc;

    memcpy(c, head, sizeof(head));
    memcpy(c + 0x10 + 4 * BAR_MSIX, &bar1, 4);
    memcpy(c + 0x10 + 4 * BAR_VIRTIO, &bar4, 8);
    c[0x2c] = 0xf4;
    c[0x2d] = 0x1a;
    c[0x2f] = 0x11;
    c[0x34] = d->o.messages ? 0x98 : 0x84;
    c[0x3d] = 1; /* INTA */
    if (d->o.messages) {
        c[0x98] = CAP_MSIX;
        c[0x99] = 0x84;
        c[0x9a] = (uint8_t)(d->o.messages - 1);
        c[0x9c] = BAR_MSIX;
        c[0xa0] = BAR_MSIX;
        c[0xa1] = 0x08;
    }
    put_capability(d, 0x84, 0x70, CAP_PCI, 0);
    put_capability(d, 0x70, 0x60, CAP_NOTIFY, AREA_NOTIFY);
    put_capability(d, 0x60, 0x50, CAP_DEVICE, AREA_CONFIG);
    put_capability(d, 0x50, 0x40, CAP_ISR, AREA_ISR);
    put_capability(d, 0x40, 0x00, CAP_COMMON, AREA_COMMON);
}

static uint32_t n_queues(const struct vdev *d)
{
    return d->o.request_queues + 1;
}

static void clear_registers(struct vdev *d)
{
    d->feature_select = d->guest_select = 0;
    d->guest_features = 0;
    d->config_vector = NO_VECTOR;
    d->queue_select = 0;
    d->status = d->isr = 0;
    d->features_read_back = false;
    for (unsigned q = 0; q < MAX_QUEUES; q++)
        d->queue[q] = (struct queue){.size = (uint16_t)d->o.queue_size, .vector = NO_VECTOR};
}

struct vdev *vdev_new(const struct vdev_options *o)
{
    struct vdev *d = calloc(1, sizeof(*d));

    if (!d)
        ver_stop("bench", "out of memory");
    pthread_mutex_init(&d->lock, NULL);
    d->o = *o;
    d->o.tag = o->tag ? o->tag : "bench";
    d->o.request_queues = o->request_queues ? o->request_queues : 1;
    d->o.queue_size = o->queue_size ? o->queue_size : 128;
    while (d->slot < MAX_VDEVS && vdevs[d->slot])
        d->slot++;
    if (d->slot == MAX_VDEVS || n_queues(d) > MAX_QUEUES)
        ver_stop("bench", "too many devices or queues");
    vdevs[d->slot] = d;
    strncpy((char *)d->fs.tag, d->o.tag, sizeof(d->fs.tag));
    if (d->o.bad_tag)
        memcpy(d->fs.tag, "\xff\xfe\xc0\x80", 4);
    d->fs.num_request_queues = d->o.request_queues;
    d->reset_seen = true;
    fill_config(d);
    clear_registers(d);
    d->dma = dma_new(o->iommu);
    d->proxy = proxy_new(d);
    return d;
}

void vdev_free(struct vdev *d)
{
    proxy_free(d->proxy);
    dma_free(d->dma);
    vdevs[d->slot] = NULL;
    pthread_mutex_destroy(&d->lock);
    free(d);
}

const struct vdev_options *vdev_options(const struct vdev *d)
{
    return &d->o;
}

struct dma *vdev_dma(struct vdev *d)
{
    return d->dma;
}

/* ---- configuration space and mappings -------------------------------------------------------- */

void vdev_config(struct vdev *d, uint32_t offset, void *bytes, uint32_t n, bool write)
{
    if (offset > CONFIG_SIZE || n > CONFIG_SIZE - offset)
        ver_complain("pci-config", "access to offset %u, %u bytes", offset, n);
    else if (d->unplugged && !write)
        memset(bytes, 0xff, n);
    else if (!write)
        memcpy(bytes, d->config + offset, n);
    else if (offset < 0x40)
        memcpy(d->config + offset, bytes, n);
    if (write && !(d->config[PCI_COMMAND] & PCI_BUS_MASTER))
        proxy_stop(d->proxy); /* cut off from memory */
}

bool vdev_bar(const struct vdev *d, unsigned i, uint64_t *phys, uint64_t *size)
{
    if (i == BAR_VIRTIO)
        *size = BAR_VIRTIO_SIZE;
    else if (i == BAR_MSIX && d->o.messages)
        *size = BAR_MSIX_SIZE;
    else
        return false;
    *phys = BAR_PHYS(2 * d->slot + (i == BAR_MSIX));
    return true;
}

static struct vdev *owner_of(uint64_t phys, size_t size, unsigned *bar, uint32_t *offset)
{
    static const unsigned bars[] = {BAR_VIRTIO, BAR_MSIX};

    for (unsigned s = 0; s < MAX_VDEVS; s++)
        for (unsigned i = 0; vdevs[s] && i < 2; i++) {
            uint64_t start, n;

            if (!vdev_bar(vdevs[s], bars[i], &start, &n) || phys < start || phys >= start + n ||
                size > start + n - phys)
                continue;
            *bar = bars[i];
            *offset = (uint32_t)(phys - start);
            return vdevs[s];
        }
    return NULL;
}

void *vdev_map(uint64_t phys, size_t size)
{
    struct map map = {.size = size, .live = true};
    unsigned n;
    void *at;

    map.d = owner_of(phys, size, &map.bar, &map.offset);
    if (!map.d)
        return NULL;
    at = mmap(NULL, size + 2 * BENCH_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
              -1, 0);
    if (at == MAP_FAILED)
        ver_stop("bench", "out of addresses");
    map.at = (uintptr_t)at + BENCH_PAGE + phys % BENCH_PAGE;
    pthread_mutex_lock(&maps_lock);
    n = atomic_load(&n_maps);
    if (n == MAX_MAPS)
        ver_stop("bench", "too many register mappings");
    maps[n] = map;
    atomic_store(&n_maps, n + 1);
    pthread_mutex_unlock(&maps_lock);
    return (void *)map.at;
}

bool vdev_unmap(void *mapping, size_t size)
{
    for (unsigned i = 0; i < atomic_load(&n_maps); i++)
        if (maps[i].at == (uintptr_t)mapping && maps[i].live && maps[i].size == size) {
            maps[i].live = false;
            return true;
        }
    return false;
}

/* ---- common configuration: reading ----------------------------------------------------------- */

static uint64_t offered(struct vdev *d)
{
    uint64_t f = proxy_features(d->proxy) & ~d->o.withhold;

    return d->lie == LIE_NO_VERSION_1 ? f & ~(1ull << RING_F_VERSION_1) : f;
}

static uint64_t read_queue(struct vdev *d, uint32_t at)
{
    const struct queue *q = &d->queue[d->queue_select];

    if (d->queue_select >= n_queues(d))
        return at == REG_QUEUE_VECTOR ? NO_VECTOR : 0;
    switch (at) {
    case REG_QUEUE_SIZE:
        return d->lie == LIE_QUEUE_SIZE_ZERO ? 0 : d->lie == LIE_QUEUE_SIZE_ODD ? 100 : q->size;
    case REG_QUEUE_VECTOR:
        return d->lie == LIE_NO_VECTOR ? NO_VECTOR : q->vector;
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
        return d->lie == LIE_NO_QUEUES ? 0 : n_queues(d);
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
    clear_registers(d);
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
    struct proxy_queue q[MAX_QUEUES];

    if (!(d->status & STATUS_FEATURES_OK))
        ver_complain("virtio-order", "DRIVER_OK before FEATURES_OK");
    else if (!d->features_read_back)
        ver_complain("virtio-order", "FEATURES_OK was not read back");
    if (!(d->config[PCI_COMMAND] & PCI_BUS_MASTER))
        ver_complain("virtio-order", "DRIVER_OK while the function is no bus master");
    for (uint32_t i = 0; i < n_queues(d); i++)
        q[i] = (struct proxy_queue){
            .enabled = d->queue[i].enable == 1,
            .size = d->queue[i].size,
            .desc = d->queue[i].address[0],
            .avail = d->queue[i].address[1],
            .used = d->queue[i].address[2],
        };
    if (!proxy_start(d->proxy, q, n_queues(d), d->guest_features)) {
        d->status |= STATUS_NEEDS_RESET;
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
    if ((d->status & v) != (d->status & ~STATUS_NEEDS_RESET))
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
    struct queue *q = &d->queue[d->queue_select];
    uint64_t *a;

    if (d->queue_select >= n_queues(d)) {
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
        q->vector = v < d->messages ? (uint16_t)v : NO_VECTOR;
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
        d->config_vector = v < d->messages ? (uint16_t)v : NO_VECTOR;
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
        if (!(d->status & STATUS_NEEDS_RESET))
            ver_complain("virtio-order", "queue %u kicked before DRIVER_OK or after reset", q);
        return;
    }
    if (q >= n_queues(d) || (v & 0xffff) != q)
        ver_complain("virtio-notify", "doorbell %u rung with %llu", q, (unsigned long long)v);
    else
        proxy_kick(d->proxy, q);
    __atomic_fetch_add(&ver_costs()->kicks, 1, __ATOMIC_RELAXED);
}

static void access_area(struct vdev *d, uint32_t at, unsigned bytes, bool write, uint64_t *v)
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

static void access_device(struct vdev *d, const struct map *map, uint32_t at, unsigned bytes,
                          bool write, uint64_t *v)
{
    pthread_mutex_lock(&d->lock);
    if (d->forbidden)
        ver_complain("register-access", "register %#x touched %s", at, d->forbidden);
    if (d->powered_down)
        ver_complain("register-access", "register %#x touched while powered down", at);
    if (!(d->config[PCI_COMMAND] & PCI_MEMORY))
        ver_complain("register-access", "register %#x touched while the function is stopped", at);
    if (d->unplugged || d->powered_down || !(d->config[PCI_COMMAND] & PCI_MEMORY)) {
        if (!write)
            *v = ~0ull;
    } else if (map->bar == BAR_VIRTIO) {
        access_area(d, at, bytes, write, v);
    } else if (!write) {
        *v = 0;
    }
    pthread_mutex_unlock(&d->lock);
}

bool vdev_access(uintptr_t address, unsigned bytes, bool write, uint64_t *v)
{
    for (unsigned i = atomic_load(&n_maps); i-- > 0;) {
        const struct map *map = &maps[i];

        if (address < map->at || address >= map->at + map->size)
            continue;
        if (!map->live)
            ver_stop("register-access", "register %#zx touched after MmUnmapIoSpace",
                     (size_t)(address - map->at));
        __atomic_fetch_add(&ver_costs()->register_accesses, 1, __ATOMIC_RELAXED);
        if (address % bytes)
            ver_complain("virtio-width", "misaligned %u-byte access", bytes);
        access_device(map->d, map, (uint32_t)(address - map->at) + map->offset, bytes, write, v);
        if (!write && bytes < 8)
            *v &= (1ull << (8 * bytes)) - 1;
        return true;
    }
    return false;
}

/* ---- state of the function ------------------------------------------------------------------- */

void vdev_set_power(struct vdev *d, enum vdev_power p)
{
    bool down = p != VDEV_D0;

    if (down && !d->powered_down && d->running && vdev_bus_master(d))
        ver_complain("power", "powered down while the device is running");
    if (down && dma_pinned(d->dma))
        ver_complain("power", "powered down while the device owns memory");
    proxy_stop(d->proxy);
    pthread_mutex_lock(&d->lock);
    clear_registers(d);
    d->running = false;
    d->powered_down = down;
    pthread_mutex_unlock(&d->lock);
}

void vdev_unplug(struct vdev *d)
{
    pthread_mutex_lock(&d->lock);
    d->unplugged = true;
    d->running = false;
    pthread_mutex_unlock(&d->lock);
    proxy_stop(d->proxy);
}

void vdev_forbid(struct vdev *d, const char *why)
{
    pthread_mutex_lock(&d->lock);
    d->forbidden = why;
    pthread_mutex_unlock(&d->lock);
}

void vdev_decode(struct vdev *d, bool on)
{
    pthread_mutex_lock(&d->lock);
    d->config[PCI_COMMAND] = on ? PCI_MEMORY : 0;
    d->running &= on;
    pthread_mutex_unlock(&d->lock);
    proxy_stop(d->proxy);
}

bool vdev_bus_master(const struct vdev *d)
{
    return (d->config[PCI_COMMAND] & PCI_BUS_MASTER) !=
           0; /* changed by one thread, the asking one */
}

bool vdev_running(const struct vdev *d)
{
    struct vdev *v = (struct vdev *)(uintptr_t)d;
    bool running;

    pthread_mutex_lock(&v->lock);
    running = v->running;
    pthread_mutex_unlock(&v->lock);
    return running;
}

uint32_t vdev_resets(const struct vdev *d)
{
    return atomic_load(&((struct vdev *)(uintptr_t)d)->resets);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

void vdev_connect(struct vdev *d, const struct vdev_irq *irq, uint32_t messages)
{
    pthread_mutex_lock(&d->lock);
    d->irq = *irq;
    d->messages = messages;
    d->connected = true;
    pthread_mutex_unlock(&d->lock);
}

void vdev_disconnect(struct vdev *d)
{
    pthread_mutex_lock(&d->lock);
    d->connected = false;
    pthread_mutex_unlock(&d->lock);
    while (atomic_load(&d->delivering))
        thr_yield();
}

/* One interrupt: by message @vector, or by the line until the handler lets it down. */
static void deliver(struct vdev *d, uint16_t vector, uint8_t isr)
{
    struct vdev_irq irq;
    uint32_t messages;
    bool connected;

    pthread_mutex_lock(&d->lock);
    irq = d->irq;
    messages = d->messages;
    connected = d->connected && !d->unplugged && !d->powered_down;
    if (messages == 0)
        d->isr |= isr;
    if (connected)
        atomic_fetch_add(&d->delivering, 1);
    pthread_mutex_unlock(&d->lock);
    if (!connected)
        return;
    if (messages && vector < messages) {
        __atomic_fetch_add(&ver_costs()->interrupts, 1, __ATOMIC_RELAXED);
        irq.message(irq.ctx, vector);
    } else if (messages == 0) {
        __atomic_fetch_add(&ver_costs()->interrupts, 1, __ATOMIC_RELAXED);
        if (!irq.line(irq.ctx))
            ver_complain("interrupt", "nobody claimed the line interrupt");
        else if (d->isr)
            ver_complain("interrupt", "the line is still asserted after the handler");
    }
    atomic_fetch_sub(&d->delivering, 1);
}

void vdev_interrupt(struct vdev *d, uint32_t queue)
{
    deliver(d, d->queue[queue].vector, 1);
}

void vdev_needs_reset(struct vdev *d)
{
    pthread_mutex_lock(&d->lock);
    d->status |= STATUS_NEEDS_RESET;
    pthread_mutex_unlock(&d->lock);
    deliver(d, d->config_vector, 2);
}

void vdev_config_change(struct vdev *d, const void *config, uint32_t n)
{
    pthread_mutex_lock(&d->lock);
    memcpy(&d->fs, config, n < sizeof(d->fs) ? n : sizeof(d->fs));
    d->generation++;
    pthread_mutex_unlock(&d->lock);
    deliver(d, d->config_vector, 2);
}

/* ---- misbehaviour ---------------------------------------------------------------------------- */

static void lie_about_capabilities(struct vdev *d, enum vdev_lie lie)
{
    if (lie == LIE_CAP_LOOP)
        d->config[0x41] = 0x70;
    else if (lie == LIE_CAP_BAR)
        d->config[0x44] = 9;
    else if (lie == LIE_CAP_LENGTH)
        memset(d->config + 0x48, 0xff, 8);
    else if (lie == LIE_CAP_MISSING)
        d->config[0x51] = 0;
}

void vdev_lie(struct vdev *d, enum vdev_lie lie)
{
    d->lie = lie;
    lie_about_capabilities(d, lie);
}

void vdev_fault(struct vdev *d, enum vdev_fault f)
{
    pthread_mutex_lock(&d->lock);
    d->stuck = f == FAULT_STUCK_RESET;
    pthread_mutex_unlock(&d->lock);
    if (f == FAULT_NEEDS_RESET) {
        proxy_fault(d->proxy, FAULT_HOLD);
        vdev_needs_reset(d);
        return;
    }
    proxy_fault(d->proxy, f);
    if (f == FAULT_SPURIOUS && d->messages)
        for (uint32_t q = 0; q < n_queues(d); q++)
            for (int i = 0; i < 10; i++)
                vdev_interrupt(d, q);
}

void vdev_release(struct vdev *d, uint32_t n)
{
    proxy_release(d->proxy, n);
}

uint32_t vdev_held(const struct vdev *d)
{
    return proxy_held(d->proxy);
}

bool vdev_wait_held(struct vdev *d, uint32_t n)
{
    for (int ms = 0; ms < 1000; ms++) {
        if (proxy_held(d->proxy) >= n)
            return true;
        clk_sleep_ms(1);
    }
    return false;
}

uint32_t vdev_opcodes(const struct vdev *d, uint32_t *opcodes, uint32_t room)
{
    return proxy_opcodes(d->proxy, opcodes, room);
}

uint64_t vdev_queue_count(const struct vdev *d, uint32_t queue)
{
    return proxy_count(d->proxy, queue);
}
