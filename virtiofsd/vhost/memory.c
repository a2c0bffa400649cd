// SPDX-License-Identifier: BSD-3-Clause
/*
 * memory.c - guest memory
 *
 * Theory of operation
 *
 *   The front end sends descriptors of the files that are the guest's memory; each is mapped shared and
 *   found again by guest address with a binary search, or at once through the caller's hint: a guest
 *   rarely has more than two regions that carry data.
 *
 *   A file offset need not be a multiple of the file's page size (hugetlbfs): the mapping starts at
 *   the page that holds it.
 *
 * Source: vhost-user specification, "Memory region description", "Memory access".
 * Ownership: a struct mem owns its mappings. Locks: none, see device.h.
 *
 * syscalls: mmap munmap madvise fstat newfstatat
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "host/log.h"
#include "vhost/guard.h"
#include "vhost/memory.h"

/** mem_new() - see memory.h */
struct mem *mem_new(void)
{
    return calloc(1, sizeof(struct mem));
}

/** mem_complain_not_shared() - see memory.h */
void mem_complain_not_shared(void)
{
    log_error("guest memory is not shared with this daemon. QEMU: add \"-object "
              "memory-backend-memfd,id=mem,size=SIZE,share=on -machine memory-backend=mem\" "
              "(or -numa node,memdev=mem); libvirt: add <memoryBacking><source type='memfd'/>"
              "<access mode='shared'/></memoryBacking> to the domain");
}

/* Where a region of this guest address belongs: the first one that ends after it. */
static unsigned place_of(const struct mem *m, uint64_t gpa)
{
    unsigned lo = 0, hi = m->n;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        if (m->region[mid].gpa + (m->region[mid].size - 1) < gpa)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int check_region(const struct mem *m, const struct vu_mem_region *r)
{
    if (r->size == 0 || r->guest_addr > UINT64_MAX - r->size ||
        r->user_addr > UINT64_MAX - r->size || r->mmap_offset > INT64_MAX - r->size ||
        r->size > INT64_MAX) {
        log_error("vhost-user: impossible memory region: %#llx bytes at %#llx, file offset %#llx",
                  (unsigned long long)r->size, (unsigned long long)r->guest_addr,
                  (unsigned long long)r->mmap_offset);
        return -EINVAL;
    }
    if (m->n == MEM_MAX_REGIONS) {
        log_error("vhost-user: more than %u memory regions", MEM_MAX_REGIONS);
        return -ENOSPC;
    }
    unsigned at = place_of(m, r->guest_addr);
    if (at < m->n && m->region[at].gpa < r->guest_addr + r->size) {
        log_error("vhost-user: memory region at %#llx overlaps another",
                  (unsigned long long)r->guest_addr);
        return -EINVAL;
    }
    return 0;
}

/* Granularity of mappings of this file: hugetlbfs tells its page size as the block size. */
static size_t page_of(int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || st.st_blksize < 4096 || (st.st_blksize & (st.st_blksize - 1)) != 0)
        return 4096;
    return (size_t)st.st_blksize;
}

static int map_region(struct mem *m, struct mem_region *to, const struct vu_mem_region *r, int fd)
{
    size_t page = page_of(fd);
    uint64_t lead = r->mmap_offset & (page - 1);
    size_t len = (r->size + lead + page - 1) & ~(page - 1);
    void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
                     (off_t)(r->mmap_offset - lead));

    if (map == MAP_FAILED) {
        int err = -errno;
        log_error("cannot map guest memory at %#llx, %#llx bytes: %s",
                  (unsigned long long)r->guest_addr, (unsigned long long)r->size, strerror(-err));
        if (err == -EACCES || err == -ENODEV)
            mem_complain_not_shared();
        return err;
    }
    *to = (struct mem_region){
        .gpa = r->guest_addr,
        .size = r->size,
        .uva = r->user_addr,
        .host = (uint8_t *)map + lead,
        .map = map,
        .map_len = len,
        .offset = r->mmap_offset,
        .slot = MEM_NOT_KEPT,
    };
    int err = guard_add(map, len, page, &m->lost, &to->guard);
    if (err < 0) {
        munmap(map, len);
        return err;
    }
    madvise(map, len, MADV_DONTDUMP); /* a core of ours need not hold the guest; only a wish */
    return 0;
}

/** mem_add() - see memory.h */
int mem_add(struct mem *m, const struct vu_mem_region *r, int fd)
{
    struct mem_region region;
    int err = check_region(m, r);

    if (err < 0)
        return err;
    if (fd < 0) {
        mem_complain_not_shared();
        return -EINVAL;
    }
    if ((err = map_region(m, &region, r, fd)) < 0)
        return err;
    unsigned at = place_of(m, r->guest_addr);
    memmove(&m->region[at + 1], &m->region[at], (m->n - at) * sizeof(m->region[0]));
    m->region[at] = region;
    m->n++;
    return 0;
}

/** mem_find() - see memory.h */
int mem_find(const struct mem *m, const struct vu_mem_region *r)
{
    unsigned at = place_of(m, r->guest_addr);

    if (at == m->n || m->region[at].gpa != r->guest_addr || m->region[at].uva != r->user_addr ||
        m->region[at].size != r->size)
        return -ENOENT;
    return (int)at;
}

/** mem_remove() - see memory.h */
void mem_remove(struct mem *m, unsigned i)
{
    guard_drop(m->region[i].guard);
    munmap(m->region[i].map, m->region[i].map_len);
    m->n--;
    memmove(&m->region[i], &m->region[i + 1], (m->n - i) * sizeof(m->region[0]));
}

/** mem_free() - see memory.h */
void mem_free(struct mem *m)
{
    if (!m)
        return;
    while (m->n > 0)
        mem_remove(m, m->n - 1);
    free(m);
}

/** mem_from_gpa() - see memory.h */
void *mem_from_gpa(const struct mem *m, unsigned *hint, uint64_t gpa, uint64_t *len)
{
    unsigned i = *hint;

    if (i >= m->n || gpa - m->region[i].gpa >= m->region[i].size) {
        i = place_of(m, gpa);
        if (i == m->n || gpa < m->region[i].gpa)
            return NULL;
        *hint = i;
    }
    const struct mem_region *r = &m->region[i];
    uint64_t off = gpa - r->gpa;
    if (*len > r->size - off)
        *len = r->size - off;
    return r->host + off;
}

/** mem_from_uva() - see memory.h */
void *mem_from_uva(const struct mem *m, uint64_t uva, uint64_t len)
{
    for (unsigned i = 0; i < m->n; i++) {
        const struct mem_region *r = &m->region[i];
        uint64_t off = uva - r->uva;
        if (off < r->size && len <= r->size - off)
            return r->host + off;
    }
    return NULL;
}

/** mem_to_gpa() - see memory.h */
bool mem_to_gpa(const struct mem *m, const void *host, uint64_t *gpa, uint64_t *len)
{
    for (unsigned i = 0; i < m->n; i++) {
        const struct mem_region *r = &m->region[i];
        uint64_t off = (uint64_t)((uintptr_t)host - (uintptr_t)r->host);
        if (off < r->size) {
            *gpa = r->gpa + off;
            if (*len > r->size - off)
                *len = r->size - off;
            return true;
        }
    }
    return false;
}
