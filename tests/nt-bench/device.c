// SPDX-License-Identifier: BSD-3-Clause
/*
 * device.c - a virtio-fs PCI function
 *
 * Theory of operation
 *
 *   What QEMU's vhost-user-fs-pci shows a guest: configuration space with the four modern virtio
 *   capabilities and MSI-X, a memory BAR with the common configuration, the interrupt status, the
 *   device configuration and the doorbells, and one with the MSI-X table. Registers are reached by
 *   trapped accesses (trap.c); what they do is in registers.c.
 *
 *   DRIVER_OK hands the queues to the proxy (ring_proxy.c), which plays the device's data path.
 *
 *   The function has the states of a real one: powered, unplugged (all registers read as ones), and
 *   forbidden, when the driver has promised not to touch it any more.
 *
 * Ownership: the caller of vdev_new(). Locks: d->lock guards registers; it is never held while an interrupt
 * is delivered or the proxy is stopped. The table of mappings has its own.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/nt-bench/device.h"

#define MAX_VDEVS 8u
#define MAX_MAPS  256u

/* BAR 4: the four virtio areas, one page each; BAR 1: MSI-X. Physical addresses as QEMU lays them out. */
#define BAR_VIRTIO      4u
#define BAR_MSIX        1u
#define BAR_VIRTIO_SIZE 0x4000u
#define BAR_MSIX_SIZE   0x1000u
#define BAR_PHYS(n)     (0xE0000000ull + (uint64_t)(n)*0x100000u)

/* virtio 1.2, 4.1.4: capability types */
#define CAP_VENDOR 0x09u
#define CAP_MSIX   0x11u
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4, CAP_PCI = 5 };

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
    if (d->slot == MAX_VDEVS || vdev_queues(d) > VDEV_MAX_QUEUES)
        ver_stop("bench", "too many devices or queues");
    vdevs[d->slot] = d;
    strncpy((char *)d->fs.tag, d->o.tag, sizeof(d->fs.tag));
    if (d->o.bad_tag)
        memcpy(d->fs.tag, "\xff\xfe\xc0\x80", 4);
    d->fs.num_request_queues = d->o.request_queues;
    d->reset_seen = true;
    fill_config(d);
    registers_clear(d);
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
    if (offset > VDEV_CONFIG_SIZE || n > VDEV_CONFIG_SIZE - offset)
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

/* ---- one access ------------------------------------------------------------------------------ */

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
        registers_access(d, at, bytes, write, v);
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
    registers_clear(d);
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
    d->status |= VDEV_STATUS_NEEDS_RESET;
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
        for (uint32_t q = 0; q < vdev_queues(d); q++)
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
