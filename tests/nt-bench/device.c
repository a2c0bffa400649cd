// SPDX-License-Identifier: BSD-3-Clause
/*
 * device.c - a virtio-fs PCI function, as the machine treats it
 *
 * Theory of operation
 *
 *   A function is a back end (device.h): one that we model, or, inside a virtual machine, a real one. What
 *   holds for both is here: which ranges of addresses are its registers, whether the driver may touch
 *   them now, and whom an interrupt is delivered to.
 *
 *   Register ranges are mapped inaccessible; each access traps (trap.c) and is carried out here. The
 *   function has the states of a real one: powered, unplugged (all registers read as ones), and
 *   forbidden, when the driver has promised not to touch it any more.
 *
 * Ownership: the caller of vdev_new(). Locks: d->lock guards the function's state and is held during an
 * access; it is never held while an interrupt is delivered. The table of mappings has its own.
 */
#include <string.h>
#include <sys/mman.h>

#include "tests/nt-bench/device.h"

#define MAX_MAPS 256u
#define BARS     6u

struct map {
    uintptr_t at;
    size_t size;
    struct vdev *d;
    unsigned bar;
    uint32_t offset;
    bool live;
};

static struct vdev *vdevs[VDEV_MAX];
static struct map maps[MAX_MAPS];
static atomic_uint n_maps;
static pthread_mutex_t maps_lock = PTHREAD_MUTEX_INITIALIZER;

/* The observers of bench.h take a const device; a lock is not part of what they promise to leave alone. */
static struct vdev *lockable(const struct vdev *d)
{
    return (struct vdev *)(uintptr_t)d;
}

/* ---- making one ------------------------------------------------------------------------------ */

static unsigned free_slot(void)
{
    unsigned slot = 0;

    while (slot < VDEV_MAX && vdevs[slot])
        slot++;
    if (slot == VDEV_MAX)
        ver_stop("bench", "too many devices");
    return slot;
}

struct vdev *vdev_new(const struct vdev_options *o)
{
    unsigned slot = free_slot();
    struct vdev *d = bench_guest() ? vfio_new(o) : model_new(o, slot);

    d->slot = slot;
    vdevs[slot] = d;
    return d;
}

void vdev_free(struct vdev *d)
{
    vdevs[d->slot] = NULL;
    d->ops->free(d);
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
    else if (!d->unplugged)
        d->ops->config(d, offset, bytes, n, write);
    else if (!write)
        memset(bytes, 0xff, n);
}

bool vdev_bar(const struct vdev *d, unsigned i, uint64_t *phys, uint64_t *size)
{
    return d->ops->bar(d, i, phys, size);
}

static struct vdev *owner_of(uint64_t phys, size_t size, unsigned *bar, uint32_t *offset)
{
    for (unsigned s = 0; s < VDEV_MAX; s++)
        for (unsigned i = 0; vdevs[s] && i < BARS; i++) {
            uint64_t start, n;

            if (!vdev_bar(vdevs[s], i, &start, &n) || phys < start || phys >= start + n ||
                size > start + n - phys)
                continue;
            *bar = i;
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

static void access_device(struct vdev *d, unsigned bar, uint32_t at, unsigned bytes, bool write,
                          uint64_t *v)
{
    pthread_mutex_lock(&d->lock);
    if (d->forbidden)
        ver_complain("register-access", "register %#x touched %s", at, d->forbidden);
    if (d->powered_down)
        ver_complain("register-access", "register %#x touched while powered down", at);
    if (!(d->command & PCI_MEMORY))
        ver_complain("register-access", "register %#x touched while the function is stopped", at);
    if (!d->unplugged && !d->powered_down && (d->command & PCI_MEMORY))
        d->ops->access(d, bar, at, bytes, write, v);
    else if (!write)
        *v = ~0ull;
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
        access_device(map->d, map->bar, (uint32_t)(address - map->at) + map->offset, bytes, write,
                      v);
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

    if (down && !d->powered_down && vdev_bus_master(d) && vdev_running(d))
        ver_complain("power", "powered down while the device is running");
    if (down && dma_pinned(d->dma))
        ver_complain("power", "powered down while the device owns memory");
    if (down) {
        pthread_mutex_lock(&d->lock);
        d->powered_down = true;
        pthread_mutex_unlock(&d->lock);
    }
    d->ops->power(d, !down);
    pthread_mutex_lock(&d->lock);
    d->powered_down = down;
    pthread_mutex_unlock(&d->lock);
}

void vdev_unplug(struct vdev *d)
{
    pthread_mutex_lock(&d->lock);
    d->unplugged = true;
    pthread_mutex_unlock(&d->lock);
    d->ops->unplug(d);
}

void vdev_forbid(struct vdev *d, const char *why)
{
    pthread_mutex_lock(&d->lock);
    d->forbidden = why;
    pthread_mutex_unlock(&d->lock);
}

void vdev_decode(struct vdev *d, bool on)
{
    d->ops->decode(d, on);
}

bool vdev_bus_master(const struct vdev *d)
{
    return (d->command & PCI_BUS_MASTER) != 0; /* changed by one thread, the asking one */
}

bool vdev_running(const struct vdev *d)
{
    struct vdev *v = lockable(d);
    bool running;

    pthread_mutex_lock(&v->lock);
    running = !v->unplugged && !v->powered_down && v->ops->running(v);
    pthread_mutex_unlock(&v->lock);
    return running;
}

uint32_t vdev_resets(const struct vdev *d)
{
    return atomic_load(&lockable(d)->resets);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

void vdev_connect(struct vdev *d, const struct vdev_irq *irq, uint32_t messages)
{
    pthread_mutex_lock(&d->lock);
    d->irq = *irq;
    d->messages = messages;
    d->connected = true;
    pthread_mutex_unlock(&d->lock);
    d->ops->connect(d);
}

void vdev_disconnect(struct vdev *d)
{
    pthread_mutex_lock(&d->lock);
    d->connected = false;
    pthread_mutex_unlock(&d->lock);
    d->ops->disconnect(d);
    while (atomic_load(&d->delivering))
        thr_yield();
}

enum vdev_raised vdev_raise(struct vdev *d, uint32_t vector)
{
    struct vdev_irq irq;
    uint32_t messages;
    bool heard;

    pthread_mutex_lock(&d->lock);
    irq = d->irq;
    messages = d->messages;
    heard =
        d->connected && !d->unplugged && !d->powered_down && (messages == 0 || vector < messages);
    if (heard)
        atomic_fetch_add(&d->delivering, 1);
    pthread_mutex_unlock(&d->lock);
    if (!heard)
        return VDEV_UNHEARD;
    __atomic_fetch_add(&ver_costs()->interrupts, 1, __ATOMIC_RELAXED);
    if (messages)
        irq.message(irq.ctx, vector);
    else
        heard = irq.line(irq.ctx);
    atomic_fetch_sub(&d->delivering, 1);
    return heard ? VDEV_CLAIMED : VDEV_REFUSED;
}

/* ---- misbehaviour and observation ------------------------------------------------------------ */

void vdev_fault(struct vdev *d, enum vdev_fault f)
{
    d->ops->fault(d, f);
}

void vdev_needs_reset(struct vdev *d)
{
    d->ops->needs_reset(d);
}

void vdev_config_change(struct vdev *d, const void *config, uint32_t n)
{
    d->ops->config_change(d, config, n);
}

void vdev_lie(struct vdev *d, enum vdev_lie lie)
{
    d->ops->lie(d, lie);
}

void vdev_release(struct vdev *d, uint32_t n)
{
    d->ops->release(d, n);
}

uint32_t vdev_held(const struct vdev *d)
{
    return d->ops->held(lockable(d));
}

bool vdev_wait_held(struct vdev *d, uint32_t n)
{
    for (uint32_t ms = 0; ms < 1000 * bench_patience(); ms++) {
        if (vdev_held(d) >= n)
            return true;
        clk_sleep_ms(1);
    }
    return false;
}

uint32_t vdev_opcodes(const struct vdev *d, uint32_t *opcodes, uint32_t room)
{
    return d->ops->opcodes(lockable(d), opcodes, room);
}

uint64_t vdev_queue_count(const struct vdev *d, uint32_t queue)
{
    return d->ops->queue_count(lockable(d), queue);
}
