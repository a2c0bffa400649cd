// SPDX-License-Identifier: BSD-3-Clause
/*
 * vfio_pci.c - one PCI function through Linux' VFIO
 *
 * Theory of operation
 *
 *   VFIO gives a process what a driver has: configuration space (with the parts that belong to the
 *   machine virtualised), the BARs mapped, and interrupts as eventfds. It wants an IOMMU, which the
 *   virtual machine has; nothing is mapped in it, because a virtio device that does not offer
 *   ACCESS_PLATFORM goes around it and uses physical addresses (virtio 1.2, 6.1).
 *
 *   The functions were bound to vfio-pci before. Linux resets a function when it is opened; after that the bench
 *   does it itself, the way a driver does.
 *
 * Source: Linux' Documentation/driver-api/vfio.rst and linux/vfio.h.
 *
 * Ownership: descriptors and mappings live as long as the process.   Locks: none.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/nt-bench/vfio.h"

#define FUNCTIONS "/sys/bus/pci/drivers/vfio-pci"
#define BAR0      0x10u

/* ---- finding functions ----------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

unsigned vfio_pci_list(char (*address)[VFIO_ADDRESS_ROOM], unsigned room)
{
    DIR *dir = opendir(FUNCTIONS);
    struct dirent *e;
    unsigned n = 0;

    while (dir && n < room && (e = readdir(dir)))
        if (strchr(e->d_name, ':') && strlen(e->d_name) < VFIO_ADDRESS_ROOM)
            strcpy(address[n++], e->d_name);
    if (dir)
        closedir(dir);
    qsort(address, n, sizeof(*address), by_name);
    return n;
}

static int open_group(const char *address)
{
    char link[128], group[128], path[160];
    const char *number;
    ssize_t n;

    snprintf(link, sizeof(link), FUNCTIONS "/%s/iommu_group", address);
    n = readlink(link, group, sizeof(group) - 1);
    if (n < 0)
        return -1;
    group[n] = '\0';
    number = strrchr(group, '/');
    snprintf(path, sizeof(path), "/dev/vfio/%s", number ? number + 1 : group);
    return open(path, O_RDWR | O_CLOEXEC);
}

/* ---- opening one ----------------------------------------------------------------------------- */

static struct vfio_region_info region(const struct vfio_pci *p, uint32_t index)
{
    struct vfio_region_info r = {.argsz = sizeof(r), .index = index};

    if (ioctl(p->device, VFIO_DEVICE_GET_REGION_INFO, &r) < 0)
        ver_stop("bench", "VFIO knows no region %u", index);
    return r;
}

/* Where the firmware put the BAR. PCI 3.0, 6.2.5.1 */
static uint64_t bar_address(const struct vfio_pci *p, unsigned i)
{
    uint32_t low, high = 0;

    vfio_pci_config(p, BAR0 + 4 * i, &low, sizeof(low), false);
    if (low & 4)
        vfio_pci_config(p, BAR0 + 4 * i + 4, &high, sizeof(high), false);
    return (uint64_t)high << 32 | (low & ~0xfu);
}

static void map_bar(struct vfio_pci *p, unsigned i)
{
    struct vfio_region_info r = region(p, VFIO_PCI_BAR0_REGION_INDEX + i);

    if (r.size == 0 || !(r.flags & VFIO_REGION_INFO_FLAG_MMAP))
        return;
    p->bar[i].size = r.size;
    p->bar[i].phys = bar_address(p, i);
    p->bar[i].map =
        mmap(NULL, r.size, PROT_READ | PROT_WRITE, MAP_SHARED, p->device, (off_t)r.offset);
    if (p->bar[i].map == MAP_FAILED)
        ver_stop("bench", "cannot map BAR %u", i);
}

void vfio_pci_open(struct vfio_pci *p, const char *address)
{
    struct vfio_irq_info irq = {.argsz = sizeof(irq), .index = VFIO_PCI_MSIX_IRQ_INDEX};

    memset(p, 0, sizeof(*p));
    p->group = open_group(address);
    p->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
    if (p->group < 0 || p->container < 0 ||
        ioctl(p->group, VFIO_GROUP_SET_CONTAINER, &p->container) < 0 ||
        ioctl(p->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
        ver_stop("bench", "cannot open %s through VFIO: %s", address, strerror(errno));
    p->device = ioctl(p->group, VFIO_GROUP_GET_DEVICE_FD, address);
    if (p->device < 0 || ioctl(p->device, VFIO_DEVICE_GET_IRQ_INFO, &irq) < 0)
        ver_stop("bench", "cannot open %s through VFIO: %s", address, strerror(errno));
    p->messages = irq.count;
    p->config_at = region(p, VFIO_PCI_CONFIG_REGION_INDEX).offset;
    for (unsigned i = 0; i < VFIO_BARS; i++)
        map_bar(p, i);
}

/* ---- using it -------------------------------------------------------------------------------- */

void vfio_pci_config(const struct vfio_pci *p, uint32_t offset, void *bytes, uint32_t n, bool write)
{
    off_t at = (off_t)(p->config_at + offset);
    ssize_t r = write ? pwrite(p->device, bytes, n, at) : pread(p->device, bytes, n, at);

    if (r != (ssize_t)n)
        ver_stop("bench", "configuration space at %u, %u bytes: %s", offset, n, strerror(errno));
}

void vfio_pci_access(const struct vfio_pci *p, unsigned bar, uint32_t at, unsigned bytes,
                     bool write, uint64_t *v)
{
    volatile uint8_t *reg;

    if (!p->bar[bar].map || at > p->bar[bar].size || bytes > p->bar[bar].size - at)
        ver_stop("bench", "no register at %#x of BAR %u", at, bar);
    reg = p->bar[bar].map + at;
    if (bytes == 1 && write)
        *reg = (uint8_t)*v;
    else if (bytes == 1)
        *v = *reg;
    else if (bytes == 2 && write)
        *(volatile uint16_t *)reg = (uint16_t)*v;
    else if (bytes == 2)
        *v = *(volatile uint16_t *)reg;
    else if (bytes == 4 && write)
        *(volatile uint32_t *)reg = (uint32_t)*v;
    else if (bytes == 4)
        *v = *(volatile uint32_t *)reg;
    else if (write)
        *(volatile uint64_t *)reg = *v;
    else
        *v = *(volatile uint64_t *)reg;
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static int set_irqs(const struct vfio_pci *p, uint32_t index, uint32_t flags, const int *events,
                    uint32_t n)
{
    struct vfio_irq_set *set = bench_alloc(sizeof(*set) + n * sizeof(int));
    int r;

    *set = (struct vfio_irq_set){
        .argsz = (uint32_t)(sizeof(*set) + (events ? n * sizeof(int) : 0)),
        .flags = flags | (events ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE),
        .index = index,
        .count = n,
    };
    if (events)
        memcpy(set->data, events, n * sizeof(int));
    r = ioctl(p->device, VFIO_DEVICE_SET_IRQS, set);
    bench_free(set);
    return r;
}

void vfio_pci_connect(const struct vfio_pci *p, const int *events, uint32_t n)
{
    uint32_t index = n ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_INTX_IRQ_INDEX;

    if (set_irqs(p, index, VFIO_IRQ_SET_ACTION_TRIGGER, events, n ? n : 1) < 0)
        ver_stop("bench", "cannot connect %u messages: %s", n, strerror(errno));
}

void vfio_pci_disconnect(const struct vfio_pci *p)
{
    static const uint32_t index[] = {VFIO_PCI_MSIX_IRQ_INDEX, VFIO_PCI_INTX_IRQ_INDEX};

    /* EINVAL: not connected this way */
    for (unsigned i = 0; i < 2; i++)
        if (set_irqs(p, index[i], VFIO_IRQ_SET_ACTION_TRIGGER, NULL, 0) < 0 && errno != EINVAL)
            ver_stop("bench", "cannot disconnect interrupts: %s", strerror(errno));
}

void vfio_pci_unmask(const struct vfio_pci *p)
{
    if (set_irqs(p, VFIO_PCI_INTX_IRQ_INDEX, VFIO_IRQ_SET_ACTION_UNMASK, NULL, 1) < 0)
        ver_stop("bench", "cannot unmask the line: %s", strerror(errno));
}
