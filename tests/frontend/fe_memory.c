// SPDX-License-Identifier: BSD-3-Clause
/*
 * fe_memory.c - guest memory of the test front end
 *
 * Theory of operation
 *
 *   A region is a memfd, mapped shared, with a guest address that has nothing to do with where it is
 *   mapped, so that a daemon that mixes the two kinds of address fails at once. Guest addresses go up
 *   from FIRST_GPA with holes between regions.
 *
 *   The allocator serves the first region: powers of two, one free list a size, links in the free
 *   blocks themselves (nobody but the daemon under test could damage them, and then the test fails).
 *
 * Ownership: struct fe owns regions.   Locks: alloc_lock for the allocator; regions change on one thread.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/frontend/frontend_internal.h"

#define FIRST_GPA  0x10000000ull
#define REGION_GAP 0x00200000ull

uint64_t fe_memory_top(const struct fe *fe)
{
    uint64_t top = FIRST_GPA;

    for (unsigned i = 0; i < FE_MAX_REGIONS; i++) {
        const struct fe_region *r = &fe->region[i];

        if (r->live && r->gpa + r->size > top)
            top = r->gpa + r->size;
    }
    return top;
}

static void region_release(struct fe_region *r)
{
    if (r->map)
        munmap(r->map, r->size);
    if (r->fd >= 0)
        close(r->fd);
    *r = (struct fe_region){.fd = -1};
}

/* @fd is taken over, in the error case too. */
static int region_map(struct fe *fe, struct fe_region *r, int fd, size_t size)
{
    uint64_t top = fe_memory_top(fe);

    *r = (struct fe_region){.fd = fd, .size = size};
    r->gpa = top == FIRST_GPA ? top : (top + 2 * REGION_GAP - 1) / REGION_GAP * REGION_GAP;
    r->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (r->map == MAP_FAILED) {
        int err = -errno;

        r->map = NULL;
        region_release(r);
        return err;
    }
    r->live = true;
    return 0;
}

static int region_make(struct fe *fe, struct fe_region *r, size_t size)
{
    int fd = memfd_create("guest-memory", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size) < 0) {
        int err = -errno;

        close(fd);
        return err;
    }
    return region_map(fe, r, fd, size);
}

int fe_memory_init(struct fe *fe)
{
    for (unsigned i = 0; i < FE_MAX_REGIONS; i++)
        fe->region[i].fd = -1;
    return region_make(fe, &fe->region[0], fe->o.memory);
}

void fe_memory_release(struct fe *fe)
{
    for (unsigned i = 0; i < FE_MAX_REGIONS; i++)
        region_release(&fe->region[i]);
}

static unsigned size_shift(size_t size)
{
    unsigned shift = FE_MIN_SHIFT;

    while (((size_t)1 << shift) < size)
        shift++;
    return shift;
}

void *fe_alloc(struct fe *fe, size_t size)
{
    unsigned shift = size_shift(size);
    size_t bytes = (size_t)1 << shift;
    size_t align = bytes < FE_PAGE ? bytes : FE_PAGE;
    void *p = NULL;

    if (shift > FE_MAX_SHIFT)
        return NULL;
    pthread_mutex_lock(&fe->alloc_lock);
    if (fe->free_list[shift]) {
        p = fe->free_list[shift];
        memcpy(&fe->free_list[shift], p, sizeof(void *));
    } else {
        size_t start = (fe->brk + align - 1) / align * align;

        if (start + bytes <= fe->region[0].size) {
            p = fe->region[0].map + start;
            fe->brk = start + bytes;
        }
    }
    pthread_mutex_unlock(&fe->alloc_lock);
    return p;
}

void fe_free_mem(struct fe *fe, void *p, size_t size)
{
    unsigned shift = size_shift(size);

    if (!p)
        return;
    pthread_mutex_lock(&fe->alloc_lock);
    memcpy(p, &fe->free_list[shift], sizeof(void *));
    fe->free_list[shift] = p;
    pthread_mutex_unlock(&fe->alloc_lock);
}

uint64_t fe_gpa(const struct fe *fe, const void *p)
{
    const uint8_t *b = p;

    for (unsigned i = 0; i < FE_MAX_REGIONS; i++) {
        const struct fe_region *r = &fe->region[i];

        if (r->live && b >= r->map && b < r->map + r->size)
            return r->gpa + (uint64_t)(b - r->map);
    }
    fprintf(stderr, "frontend: %p is not guest memory\n", p);
    abort();
}

/* The vhost-user description of a region (vhost-user spec, "Memory region description"). */
static struct vu_mem_region describe(const struct fe_region *r)
{
    return (struct vu_mem_region){
        .guest_addr = r->gpa, .size = r->size, .user_addr = (uintptr_t)r->map, .mmap_offset = 0};
}

static int send_one_region(struct fe *fe, uint32_t request, const struct fe_region *r)
{
    struct vu_mem_reg_msg m = {.region = describe(r)};

    return fe_vu_set(fe, request, &m, sizeof(m), &r->fd, 1);
}

int fe_send_mem_table(struct fe *fe, unsigned extra)
{
    struct {
        struct vu_mem_table t;
        uint8_t tail[256];
    } m = {0};
    int fds[VU_MAX_MEM_TABLE];
    unsigned n = 0;

    for (unsigned i = 0; i < FE_MAX_REGIONS; i++) {
        if (!fe->region[i].live)
            continue;
        if (n == VU_MAX_MEM_TABLE)
            return -E2BIG;
        m.t.region[n] = describe(&fe->region[i]);
        fds[n++] = fe->region[i].fd;
    }
    m.t.n_regions = n;
    return fe_vu_set(
        fe, VU_SET_MEM_TABLE, &m,
        offsetof(struct vu_mem_table, region) + n * sizeof(struct vu_mem_region) + extra, fds, n);
}

int fe_send_regions(struct fe *fe)
{
    int err = 0;

    for (unsigned i = 0; i < FE_MAX_REGIONS && err == 0; i++)
        if (fe->region[i].live)
            err = send_one_region(fe, VU_ADD_MEM_REG, &fe->region[i]);
    return err;
}

static int free_region(const struct fe *fe)
{
    for (int i = 0; i < (int)FE_MAX_REGIONS; i++)
        if (!fe->region[i].live)
            return i;
    return -ENOSPC;
}

/* Tell the daemon about a new region. Return: its index or -errno, and then it is gone again. */
static int announce(struct fe *fe, int i)
{
    int err = 0;

    if (fe->sock >= 0)
        err = fe_has_proto(fe, VU_PROTO_CONFIGURE_MEM_SLOTS)
                  ? send_one_region(fe, VU_ADD_MEM_REG, &fe->region[i])
                  : fe_send_mem_table(fe, 0);
    if (err < 0)
        region_release(&fe->region[i]);
    return err < 0 ? err : i;
}

int fe_region_add(struct fe *fe, size_t size)
{
    int i = free_region(fe);
    int err = i < 0 ? i : region_make(fe, &fe->region[i], size);

    return err < 0 ? err : announce(fe, i);
}

int fe_region_add_file(struct fe *fe, int fd)
{
    int i = free_region(fe);
    struct stat st;
    int copy, err;

    if (i < 0)
        return i;
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return -errno;
    if (fstat(copy, &st) < 0) {
        err = -errno;
        close(copy);
        return err;
    }
    err = region_map(fe, &fe->region[i], copy, (size_t)st.st_size);
    return err < 0 ? err : announce(fe, i);
}

int fe_region_remove(struct fe *fe, int region)
{
    struct fe_region *r = &fe->region[region];
    int err = 0;

    if (!r->live)
        return -ENOENT;
    r->live = false;
    if (fe->sock >= 0)
        err = fe_has_proto(fe, VU_PROTO_CONFIGURE_MEM_SLOTS)
                  ? send_one_region(fe, VU_REM_MEM_REG, r)
                  : fe_send_mem_table(fe, 0);
    region_release(r);
    return err;
}

void *fe_region(const struct fe *fe, int region, size_t *size, uint64_t *gpa)
{
    const struct fe_region *r = &fe->region[region];

    if (size)
        *size = r->size;
    if (gpa)
        *gpa = r->gpa;
    return r->map;
}

int fe_region_truncate(struct fe *fe, int region, size_t size)
{
    return ftruncate(fe->region[region].fd, (off_t)size) < 0 ? -errno : 0;
}
