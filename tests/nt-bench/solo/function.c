// SPDX-License-Identifier: BSD-3-Clause
/*
 * function.c - a virtio-fs PCI function that does as the script says
 *
 * Theory of operation
 *
 *   Registers as virtio 1.2, 4.1.4 has them, without the bench's opinion on the order in which they are
 *   used (registers.c): a device that lies gets odd answers. What stays an error is to touch them after they
 *   were unmapped, powered down, stopped or promised not to be touched.
 *
 *   A register can be made to say something else, for a number of reads or for good, and configuration space
 *   can be changed byte by byte.
 *
 * Ownership: the caller of vdev_new(); one at a time.   Locks: none, one thread.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "abi/virtio_fs.h"
#include "tests/nt-bench/solo/function.h"

#define PCI_SPACE  0x100u
#define BAR_VIRTIO 4u
#define BAR_PHYS   0xE0000000ull
#define BAR_SIZE   0x4000u
#define MAPS       64u
#define AREA(at)   ((at) >> 12)
#define FEATURES                                                                                   \
    (1ull << RING_F_VERSION_1 | 1ull << RING_F_INDIRECT_DESC | 1ull << RING_F_EVENT_IDX)
#define ACCESS_PLATFORM (1ull << VIRTIO_F_ACCESS_PLATFORM)

enum area { AREA_COMMON, AREA_ISR, AREA_CONFIG, AREA_NOTIFY };

/* Mappings of registers: each at addresses of its own, which are never used again by the same machine. */
static struct {
    uint8_t *space;
    struct {
        uintptr_t at;
        size_t size;
        uint32_t offset;
        bool live;
    } map[MAPS];
    uint32_t n;
    struct vdev *d;
} maps;

static struct vdev the_function;

/* ---- life ------------------------------------------------------------------------------------ */

static void clear_registers(struct vdev *d)
{
    solo_data_stop(d);
    d->feature_select = d->guest_select = 0;
    d->guest_features = 0;
    d->config_vector = VIRTIO_MSI_NO_VECTOR;
    d->queue_select = 0;
    d->status = d->isr = 0;
    d->running = false;
    for (uint32_t i = 0; i < SOLO_QUEUES; i++) {
        memset(&d->queue[i], 0, sizeof(d->queue[i]));
        d->queue[i].size = (uint16_t)d->o.queue_size;
        d->queue[i].vector = VIRTIO_MSI_NO_VECTOR;
    }
}

static void fill_config(struct vdev *d)
{
    static const uint8_t types[] = {VIRTIO_PCI_CAP_COMMON, VIRTIO_PCI_CAP_ISR,
                                    VIRTIO_PCI_CAP_DEVICE, VIRTIO_PCI_CAP_NOTIFY};
    uint32_t bar = (uint32_t)BAR_PHYS | PCI_BAR_TYPE_64, vendor = 0x105a1af4;

    memcpy(d->config, &vendor, sizeof(vendor));
    memcpy(d->config + PCI_REG_BAR0 + 4 * BAR_VIRTIO, &bar, sizeof(bar));
    d->config[PCI_REG_STATUS] = PCI_STATUS_CAPABILITIES;
    d->config[PCI_REG_CAPABILITIES] = 0x40;
    for (uint32_t i = 0; i < sizeof(types); i++) {
        struct virtio_pci_cap c = {.cap_vndr = PCI_CAP_VENDOR,
                                   .cap_len = 20,
                                   .cfg_type = types[i],
                                   .bar = BAR_VIRTIO,
                                   .offset = i << 12,
                                   .length = 0x1000,
                                   .notify_off_multiplier = 4};

        c.cap_next = i + 1 < sizeof(types) ? (uint8_t)(0x54 + 0x14 * i) : 0;
        memcpy(d->config + 0x40 + 0x14 * i, &c, sizeof(c));
    }
}

struct vdev *vdev_new(const struct vdev_options *o)
{
    struct vdev *d = &the_function;

    memset(d, 0, offsetof(struct vdev, chain));
    for (uint32_t i = 0; i < SOLO_HELD; i++)
        d->chain[i].live = false;
    if (!maps.space)
        maps.space = mmap(NULL, (size_t)MAPS * 4 * BAR_SIZE, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (maps.space == MAP_FAILED)
        ver_stop("bench", "out of addresses");
    maps.n = 0;
    maps.d = d;
    d->o = *o;
    fill_config(d);
    d->dma = dma_new(o->iommu);
    clear_registers(d);
    return d;
}

void vdev_free(struct vdev *d)
{
    solo_data_stop(d);
    dma_free(d->dma);
}

struct dma *vdev_dma(struct vdev *d)
{
    return d->dma;
}

/* ---- configuration space and mappings -------------------------------------------------------- */

void vdev_config(struct vdev *d, uint32_t at, void *bytes, uint32_t n, bool write)
{
    if (at > PCI_SPACE || n > PCI_SPACE - at)
        ver_complain("pci-config", "access to offset %u, %u bytes", at, n);
    else if (!write && d->unplugged)
        memset(bytes, 0xff, n);
    else if (!write)
        memcpy(bytes, d->config + at, n);
    else if (at == PCI_REG_COMMAND && n == 2)
        memcpy(d->config + at, bytes, n);
    else
        ver_complain("pci-config", "offset %u written", at);
    if (!vdev_bus_master(d))
        solo_data_stop(d);
}

bool vdev_bar(const struct vdev *d, unsigned i, uint64_t *phys, uint64_t *size)
{
    (void)d;
    *phys = BAR_PHYS;
    *size = BAR_SIZE;
    return i == BAR_VIRTIO;
}

void *vdev_map(uint64_t phys, size_t size)
{
    uint32_t n = maps.n++;

    if (phys < BAR_PHYS || phys + size > BAR_PHYS + BAR_SIZE || n >= MAPS)
        return NULL;
    maps.map[n].at = (uintptr_t)maps.space + (size_t)n * 4 * BAR_SIZE + BAR_SIZE;
    maps.map[n].size = size;
    maps.map[n].offset = (uint32_t)(phys - BAR_PHYS);
    maps.map[n].live = true;
    return (void *)maps.map[n].at;
}

bool vdev_unmap(void *at, size_t size)
{
    for (uint32_t i = 0; i < maps.n; i++)
        if (maps.map[i].live && maps.map[i].at == (uintptr_t)at && maps.map[i].size == size) {
            maps.map[i].live = false;
            return true;
        }
    return false;
}

/* ---- registers ------------------------------------------------------------------------------- */

static uint64_t offered(const struct vdev *d)
{
    return (FEATURES | (d->o.iommu ? ACCESS_PLATFORM : 0)) & ~d->o.withhold;
}

#define REG(field) offsetof(struct virtio_pci_common, field)

static uint32_t read_queue(const struct vdev *d, uint32_t at)
{
    const struct solo_queue *q = &d->queue[d->queue_select];

    if (d->queue_select > d->o.request_queues)
        return 0;
    switch (at) {
    case REG(queue_size):
        return q->size;
    case REG(queue_msix_vector):
        return q->vector;
    case REG(queue_enable):
        return q->enabled;
    case REG(queue_notify_off):
        return d->queue_select;
    default:
        return at >= REG(queue_desc_lo) ? q->address[(at - REG(queue_desc_lo)) / 4 % 6] : 0;
    }
}

static uint32_t read_common(const struct vdev *d, uint32_t at)
{
    switch (at) {
    case REG(device_feature):
        return d->feature_select < 2 ? (uint32_t)(offered(d) >> (32 * d->feature_select)) : 0;
    case REG(config_msix_vector):
        return d->config_vector;
    case REG(num_queues):
        return d->o.request_queues + 1;
    case REG(device_status):
        return d->status;
    case REG(config_generation):
        return d->generation;
    default:
        return read_queue(d, at);
    }
}

static void write_status(struct vdev *d, uint8_t v)
{
    if (v == 0) {
        d->resets++;
        if (!d->stuck)
            clear_registers(d);
        return;
    }
    d->status = (uint8_t)(v | (d->status & VIRTIO_STATUS_NEEDS_RESET));
    if ((v & VIRTIO_STATUS_DRIVER_OK) && !d->running) {
        d->running = true;
        solo_data_start(d);
    }
}

static void write_queue(struct vdev *d, uint32_t at, uint32_t v)
{
    struct solo_queue *q = &d->queue[d->queue_select];

    if (d->queue_select > d->o.request_queues)
        return;
    switch (at) {
    case REG(queue_size):
        q->size = (uint16_t)v;
        break;
    case REG(queue_msix_vector):
        q->vector = v < d->messages ? (uint16_t)v : VIRTIO_MSI_NO_VECTOR;
        break;
    case REG(queue_enable):
        q->enabled = (uint16_t)v;
        break;
    default:
        if (at >= REG(queue_desc_lo) && at < sizeof(struct virtio_pci_common))
            q->address[(at - REG(queue_desc_lo)) / 4] = v;
    }
}

static void write_common(struct vdev *d, uint32_t at, uint32_t v)
{
    switch (at) {
    case REG(device_feature_select):
        d->feature_select = v;
        break;
    case REG(driver_feature_select):
        d->guest_select = v;
        break;
    case REG(driver_feature):
        if (d->guest_select < 2)
            memcpy((uint8_t *)&d->guest_features + 4 * d->guest_select, &v, 4);
        break;
    case REG(config_msix_vector):
        d->config_vector = v < d->messages ? (uint16_t)v : VIRTIO_MSI_NO_VECTOR;
        break;
    case REG(device_status):
        write_status(d, (uint8_t)v);
        break;
    case REG(queue_select):
        d->queue_select = (uint16_t)(v < SOLO_QUEUES ? v : SOLO_QUEUES - 1);
        break;
    default:
        write_queue(d, at, v);
    }
}

static uint32_t read_config(const struct vdev *d, uint32_t at, unsigned bytes)
{
    struct virtio_fs_config c = {.tag = "solo", .num_request_queues = d->o.request_queues};
    uint32_t v = 0;

    if (d->o.bad_tag)
        memset(c.tag, 0xe2, sizeof(c.tag));
    if (at + bytes <= sizeof(c))
        memcpy(&v, (const uint8_t *)&c + at, bytes);
    return v;
}

static uint32_t read_honestly(struct vdev *d, uint32_t at, unsigned bytes)
{
    uint32_t v = 0;

    switch (AREA(at)) {
    case AREA_COMMON:
        return read_common(d, at);
    case AREA_ISR:
        v = d->isr;
        d->isr = 0;
        return v;
    case AREA_CONFIG:
        return read_config(d, at & 0xfff, bytes);
    default:
        return 0;
    }
}

static uint32_t read_register(struct vdev *d, uint32_t at, unsigned bytes)
{
    uint32_t v = read_honestly(d, at, bytes);
    uint32_t key = AREA(at) << 8 | (at & 0xff);

    for (uint32_t i = 0; i < d->n_lies; i++) {
        struct solo_lie *l = &d->lie[i];

        if (l->at != key || l->count == UINT8_MAX)
            continue;
        if (l->skip > 0) {
            l->skip--;
            continue;
        }
        v = l->value;
        if (l->count > 0 && --l->count == 0)
            l->count = UINT8_MAX; /* used up */
    }
    return v;
}

static void doorbell(struct vdev *d, uint32_t at)
{
    uint32_t q = at / 4;

    __atomic_fetch_add(&ver_costs()->kicks, 1, __ATOMIC_RELAXED);
    if (!d->running && !d->lied)
        ver_complain("virtio-order", "queue %u kicked before DRIVER_OK or after reset", q);
    else if (q < SOLO_QUEUES)
        d->queue[q].kicked = true;
}

static void access_function(struct vdev *d, uint32_t at, unsigned bytes, bool write, uint64_t *v)
{
    bool decodes = d->config[PCI_REG_COMMAND] & PCI_COMMAND_MEMORY;

    if (d->forbidden)
        ver_complain("register-access", "register %#x touched %s", at, d->forbidden);
    if (d->powered_down || !decodes)
        ver_complain("register-access", "register %#x touched while the function is off", at);
    if (d->unplugged || d->powered_down || !decodes) {
        *v = write ? *v : ~0ull;
        return;
    }
    if (!write)
        *v = read_register(d, at, bytes);
    else if (AREA(at) == AREA_COMMON)
        write_common(d, at, (uint32_t)*v);
    else if (AREA(at) == AREA_NOTIFY)
        doorbell(d, at & 0xfff);
}

bool vdev_access(uintptr_t address, unsigned bytes, bool write, uint64_t *v)
{
    for (uint32_t i = 0; i < maps.n; i++) {
        uintptr_t off = address - maps.map[i].at;

        if (address < maps.map[i].at || off >= maps.map[i].size)
            continue;
        if (!maps.map[i].live)
            ver_stop("register-access", "register %#zx touched after MmUnmapIoSpace", (size_t)off);
        if (address % bytes || bytes > maps.map[i].size - off)
            ver_complain("virtio-width", "misaligned %u-byte access", bytes);
        __atomic_fetch_add(&ver_costs()->register_accesses, 1, __ATOMIC_RELAXED);
        access_function(maps.d, (uint32_t)off + maps.map[i].offset, bytes, write, v);
        return true;
    }
    return false;
}

/* ---- state ----------------------------------------------------------------------------------- */

void vdev_set_power(struct vdev *d, enum vdev_power p)
{
    if (p != VDEV_D0 && dma_pinned(d->dma))
        ver_complain("power", "powered down while the device owns memory");
    clear_registers(d);
    d->powered_down = p != VDEV_D0;
}

void vdev_unplug(struct vdev *d)
{
    clear_registers(d);
    d->unplugged = true;
}

void vdev_forbid(struct vdev *d, const char *why)
{
    d->forbidden = why;
}

void vdev_decode(struct vdev *d, bool on)
{
    d->config[PCI_REG_COMMAND] = on ? PCI_COMMAND_MEMORY : 0;
    d->running &= on;
    solo_data_stop(d);
}

bool vdev_bus_master(const struct vdev *d)
{
    return (d->config[PCI_REG_COMMAND] & PCI_COMMAND_MASTER) != 0;
}

bool vdev_running(const struct vdev *d)
{
    return d->running;
}

/* ---- interrupts ------------------------------------------------------------------------------ */

void vdev_connect(struct vdev *d, const struct vdev_irq *irq, uint32_t messages)
{
    d->irq = *irq;
    d->messages = messages;
    d->connected = true;
}

void vdev_disconnect(struct vdev *d)
{
    d->connected = false;
    while (d->delivering)
        thr_yield();
}

static bool audible(const struct vdev *d)
{
    return d->connected && !d->unplugged && !d->powered_down;
}

void solo_message(struct vdev *d, uint32_t message)
{
    if (!audible(d) || message >= d->messages)
        return;
    d->delivering++;
    __atomic_fetch_add(&ver_costs()->interrupts, 1, __ATOMIC_RELAXED);
    d->irq.message(d->irq.ctx, message);
    d->delivering--;
}

void solo_line(struct vdev *d, uint8_t isr)
{
    if (!audible(d) || d->messages)
        return;
    d->isr |= isr;
    d->delivering++;
    __atomic_fetch_add(&ver_costs()->interrupts, 1, __ATOMIC_RELAXED);
    (void)d->irq.line(d->irq.ctx); /* the line may be shared, and what ISR says may be a lie */
    d->delivering--;
}

void solo_interrupt(struct vdev *d, uint32_t queue)
{
    if (d->messages)
        solo_message(d, d->queue[queue % SOLO_QUEUES].vector);
    else
        solo_line(d, VIRTIO_ISR_QUEUE);
}

void solo_needs_reset(struct vdev *d)
{
    d->status |= VIRTIO_STATUS_NEEDS_RESET;
    if (d->messages)
        solo_message(d, d->config_vector);
    else
        solo_line(d, VIRTIO_ISR_CONFIG);
}

/* ---- orders ---------------------------------------------------------------------------------- */

void solo_lie(struct vdev *d, const struct solo_lie *lie)
{
    if (d->n_lies < SOLO_LIES)
        d->lie[d->n_lies++] = *lie;
    d->lied = true;
}

/* The command register is the root port's to guard, not the function's. */
void solo_patch(struct vdev *d, uint8_t at, uint8_t value)
{
    if (at != PCI_REG_COMMAND && at != PCI_REG_COMMAND + 1)
        d->config[at] = value;
    d->lied = true;
}

void solo_stick(struct vdev *d, bool stuck)
{
    d->stuck = stuck;
}
