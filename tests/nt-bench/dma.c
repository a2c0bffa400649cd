// SPDX-License-Identifier: BSD-3-Clause
/*
 * dma.c - which memory a device may touch, and at which bus address
 *
 * Theory of operation
 *
 *   Each device has a table of bus pages. Without an IOMMU the bus page is the physical page and the
 *   table only says whether the driver has asked, through its DMA adapter, for the device to touch it,
 *   which bytes of it and in which direction. With an IOMMU every mapping gets bus pages of its own
 *   that were not in use before, so a physical or a stale bus address leads nowhere.
 *
 *   While the device holds a chain its pages are pinned. To unmap a pinned page is the error that
 *   corrupts memory on a real machine; it is reported at the moment it is made.
 *
 *   Where two mappings share a page the bytes allowed are the hull of both.
 *
 * Ownership: a table per device.   Locks: one mutex per table, innermost.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/nt-bench/bench_host.h"

#define BUS_BASE  0x40000000000ull
#define BUS_PAGES (1u << 22)

struct bus_page {
    uint32_t phys; /* page number, from MEM_PHYS_BASE */
    uint16_t from, to;
    uint16_t maps;
    uint8_t dir;
    uint8_t pad;
    uint32_t pins;
};

struct dma {
    pthread_mutex_t lock;
    bool iommu;
    struct bus_page *page;
    uint32_t next; /* IOMMU: first bus page to try */
    uint32_t live; /* pages with mappings */
    uint64_t pinned;
};

/* The table of a device that went and left it all clear, for the next one: it is large. */
static struct bus_page *spare;

struct dma *dma_new(bool iommu)
{
    struct dma *d = calloc(1, sizeof(*d));

    if (!d)
        ver_stop("bench", "out of memory");
    pthread_mutex_init(&d->lock, NULL);
    d->iommu = iommu;
    d->page = __atomic_exchange_n(&spare, NULL, __ATOMIC_ACQ_REL);
    if (d->page)
        return d;
    d->page = mmap(NULL, BUS_PAGES * sizeof(*d->page), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (d->page == MAP_FAILED)
        ver_stop("bench", "out of memory");
    return d;
}

void dma_free(struct dma *d)
{
    if (d->live == 0 && d->pinned == 0)
        d->page = __atomic_exchange_n(&spare, d->page, __ATOMIC_ACQ_REL);
    if (d->page)
        munmap(d->page, BUS_PAGES * sizeof(*d->page));
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static uint64_t bus_base(const struct dma *d)
{
    return d->iommu ? BUS_BASE : MEM_PHYS_BASE;
}

static struct bus_page *page_at(const struct dma *d, uint64_t bus)
{
    uint64_t n = (bus - bus_base(d)) / BENCH_PAGE;

    return bus < bus_base(d) || n >= BUS_PAGES ? NULL : &d->page[n];
}

bool dma_iommu(const struct vdev *v)
{
    return vdev_dma((struct vdev *)(uintptr_t)v)->iommu;
}

/* ---- mapping --------------------------------------------------------------------------------- */

static void allow(struct dma *d, struct bus_page *p, uint32_t phys, uint32_t from, uint32_t to,
                  uint8_t dir)
{
    if (p->maps++ == 0) {
        d->live++;
        p->from = (uint16_t)from;
        p->to = (uint16_t)to;
        p->dir = 0;
    }
    p->phys = phys;
    p->from = from < p->from ? (uint16_t)from : p->from;
    p->to = to > p->to ? (uint16_t)to : p->to;
    p->dir |= dir;
}

/* A run of unused bus pages, with an unused one after it. */
static uint32_t fresh_run(struct dma *d, uint32_t n)
{
    uint32_t start = d->next;

    for (uint32_t run = 0, tried = 0; tried < 2 * BUS_PAGES; tried++) {
        if (start + run >= BUS_PAGES) {
            start = 0;
            run = 0;
        }
        if (d->page[start + run].maps) {
            start += run + 1;
            run = 0;
        } else if (++run == n + 1) {
            d->next = start + n + 1;
            return start;
        }
    }
    ver_stop("bench", "no bus addresses left");
}

/* [@offset, @offset + @size) of the listed pages, from bus page @first on */
static void map_run(struct dma *d, uint32_t first, const uint64_t *numbers, uint32_t offset,
                    uint64_t size, enum dma_direction dir)
{
    for (uint32_t i = 0; size > 0; i++) {
        uint32_t n = size < BENCH_PAGE - offset ? (uint32_t)size : BENCH_PAGE - offset;

        allow(d, &d->page[first + i], (uint32_t)(numbers[i] - MEM_PHYS_BASE / BENCH_PAGE), offset,
              offset + n, (uint8_t)dir);
        size -= n;
        offset = 0;
    }
}

static uint32_t pages_of(uint32_t offset, uint64_t size)
{
    return (uint32_t)((offset + size + BENCH_PAGE - 1) / BENCH_PAGE);
}

uint64_t dma_map_pages(struct vdev *v, const uint64_t *numbers, uint32_t offset, uint64_t size,
                       enum dma_direction dir)
{
    struct dma *d = vdev_dma(v);
    uint32_t first;

    pthread_mutex_lock(&d->lock);
    first = fresh_run(d, pages_of(offset, size));
    map_run(d, first, numbers, offset, size, dir);
    pthread_mutex_unlock(&d->lock);
    return BUS_BASE + (uint64_t)first * BENCH_PAGE + offset;
}

uint64_t dma_map(struct vdev *v, uint64_t phys, uint64_t size, enum dma_direction dir)
{
    struct dma *d = vdev_dma(v);
    uint32_t offset = (uint32_t)(phys % BENCH_PAGE);
    uint32_t n = pages_of(offset, size);
    uint64_t *numbers = malloc((n + 1) * sizeof(*numbers));
    uint64_t bus = phys;

    if (!numbers)
        ver_stop("bench", "out of memory");
    for (uint32_t i = 0; i < n; i++)
        numbers[i] = phys / BENCH_PAGE + i;
    if (d->iommu) {
        bus = dma_map_pages(v, numbers, offset, size, dir);
    } else {
        pthread_mutex_lock(&d->lock);
        map_run(d, (uint32_t)((phys - MEM_PHYS_BASE) / BENCH_PAGE), numbers, offset, size, dir);
        pthread_mutex_unlock(&d->lock);
    }
    free(numbers);
    return bus;
}

void dma_unmap(struct vdev *v, uint64_t bus, uint64_t size, const char *what)
{
    struct dma *d = vdev_dma(v);
    uint32_t n = pages_of((uint32_t)(bus % BENCH_PAGE), size);
    bool pinned = false;

    pthread_mutex_lock(&d->lock);
    for (uint32_t i = 0; i < n; i++) {
        struct bus_page *p = page_at(d, bus + (uint64_t)i * BENCH_PAGE);

        if (!p || p->maps == 0)
            ver_stop("bench", "unmapping bus address %#llx, which is not mapped",
                     (unsigned long long)bus);
        if (--p->maps > 0)
            continue;
        d->live--;
        pinned |= p->pins > 0;
    }
    pthread_mutex_unlock(&d->lock);
    if (pinned)
        ver_complain("dma-in-flight", "%s given back while the device owns it (bus %#llx)", what,
                     (unsigned long long)bus);
}

/* ---- the device's side ----------------------------------------------------------------------- */

void *dma_translate(struct dma *d, uint64_t bus, uint64_t *len)
{
    struct bus_page *p;
    void *host = NULL;

    pthread_mutex_lock(&d->lock);
    p = page_at(d, bus);
    if (p && p->maps) {
        uint64_t got = BENCH_PAGE - bus % BENCH_PAGE;
        uint32_t phys = p->phys;

        host = mem_linear(MEM_PHYS_BASE + (uint64_t)phys * BENCH_PAGE + bus % BENCH_PAGE, NULL);
        while (got < *len && (p = page_at(d, bus + got)) && p->maps && p->phys == phys + 1) {
            phys++;
            got += BENCH_PAGE;
        }
        *len = got < *len ? got : *len;
    }
    pthread_mutex_unlock(&d->lock);
    return host;
}

bool dma_check(struct dma *d, uint64_t bus, uint64_t len, enum dma_direction dir, const char *what)
{
    const char *wrong = NULL;

    pthread_mutex_lock(&d->lock);
    for (uint64_t at = bus; at < bus + len && !wrong;) {
        uint64_t in_page = at % BENCH_PAGE;
        uint64_t n = BENCH_PAGE - in_page < bus + len - at ? BENCH_PAGE - in_page : bus + len - at;
        const struct bus_page *p = page_at(d, at);

        if (!p || p->maps == 0)
            wrong = mem_linear(at, NULL) ? "not mapped for DMA" : "no bus address of this device";
        else if (in_page < p->from || in_page + n > p->to)
            wrong = "beyond what is mapped for DMA";
        else if ((p->dir & dir) != dir)
            wrong = "mapped for the other direction";
        at += n;
    }
    pthread_mutex_unlock(&d->lock);
    if (wrong)
        ver_complain("dma-address", "%s at bus address %#llx, %llu bytes: %s", what,
                     (unsigned long long)bus, (unsigned long long)len, wrong);
    return wrong == NULL;
}

void dma_pin(struct dma *d, uint64_t bus, uint64_t len, int delta)
{
    uint32_t n = pages_of((uint32_t)(bus % BENCH_PAGE), len);

    pthread_mutex_lock(&d->lock);
    for (uint32_t i = 0; i < n; i++) {
        struct bus_page *p = page_at(d, bus + (uint64_t)i * BENCH_PAGE);

        if (p)
            p->pins += (uint32_t)delta;
    }
    d->pinned += (uint64_t)(int64_t)delta;
    pthread_mutex_unlock(&d->lock);
}

uint64_t dma_pinned(const struct dma *d)
{
    return d->pinned;
}
