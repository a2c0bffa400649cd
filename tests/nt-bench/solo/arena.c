// SPDX-License-Identifier: BSD-3-Clause
/*
 * arena.c - the machine's physical memory
 *
 * Theory of operation
 *
 *   memory.c's functions without a system call for each block. One memfd is mapped twice: as the kernel sees
 *   it, where AddressSanitizer guards every byte that is not allocated, and as the device and the bench
 *   see it. A third range of the same size is never mapped: a program's addresses, which the driver may
 *   pass on and not touch. A program's pages can be read at their kernel address only while a locked
 *   MDL of them is mapped.
 *
 *   Pages of a block follow each other in each view, and lie scattered in physical addresses unless they
 *   were asked for otherwise. Small blocks end at the end of their page. Freed pages are not used
 *   again before a good part of the arena went by.
 *
 * Ownership: the process' single machine.   Locks: none, one thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/nt-bench/bench_host.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(p, n)   ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define ZONE_PAGES (48u << 8) /* 48 MiB contiguous, as many scattered */
#define ALL_PAGES  (2 * ZONE_PAGES)
#define SOFT_PAGES 768u  /* of a zone, before pages are used again: they stay in the cache */
#define STEP       7919u /* prime: neighbours lie far apart */
#define MAX_BLOCKS 8192u
#define POOL_ALIGN 16u
#define FILL_FRESH 0xA5
#define FILL_MOST  4096u /* of pool; what callers see is filled in any case */

struct block {
    struct mem_info info; /* base: as the owner sees it */
    uint32_t first, n;    /* pages */
    uint32_t mapped;      /* MEM_USER: second addresses */
};

static struct {
    int fd;
    uint8_t *kernel, *device, *user;
    uint16_t block_of[ALL_PAGES]; /* 0: none */
    uint32_t phys_of[ALL_PAGES], page_of[ALL_PAGES];
    uint32_t cursor[2];
    struct block block[MAX_BLOCKS];
    uint16_t free[MAX_BLOCKS];
    uint32_t n_free;
    uint64_t serial;
    uint64_t live[MEM_BENCH + 1];
} a;

static uint8_t *view(int protection)
{
    void *p =
        mmap(NULL, (size_t)ALL_PAGES * BENCH_PAGE, protection,
             protection == PROT_NONE ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED,
             protection == PROT_NONE ? -1 : a.fd, 0);

    if (p == MAP_FAILED)
        ver_stop("bench", "no memory for the machine");
    return p;
}

void mem_init(void)
{
    a.fd = memfd_create("physical-memory", MFD_CLOEXEC);
    if (a.fd < 0 || ftruncate(a.fd, (off_t)ALL_PAGES * BENCH_PAGE) < 0)
        ver_stop("bench", "no memory for the machine");
    a.kernel = view(PROT_READ | PROT_WRITE);
    a.device = view(PROT_READ | PROT_WRITE);
    a.user = view(PROT_NONE);
    for (uint32_t i = 0; i < ZONE_PAGES; i++) {
        a.phys_of[i] = i;
        a.phys_of[ZONE_PAGES + i] = ZONE_PAGES + (uint32_t)((uint64_t)i * STEP % ZONE_PAGES);
    }
    for (uint32_t i = 0; i < ALL_PAGES; i++)
        a.page_of[a.phys_of[i]] = i;
    for (uint32_t i = MAX_BLOCKS - 1; i > 0; i--)
        a.free[a.n_free++] = (uint16_t)i;
    ASAN_POISON_MEMORY_REGION(a.kernel, (size_t)ALL_PAGES * BENCH_PAGE);
}

int mem_fd(void)
{
    return a.fd;
}

uint64_t mem_phys_size(void)
{
    return (uint64_t)ALL_PAGES * BENCH_PAGE;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* @n unused pages of a zone in a row, with an unused one on each side. Return: the first, 0 for none. */
static uint32_t take_pages(uint32_t zone, uint32_t n)
{
    uint32_t base = zone * ZONE_PAGES, at = a.cursor[zone], run = 0;

    for (uint32_t tried = 0; tried < 2 * ZONE_PAGES; tried++, at++) {
        if (at >= ZONE_PAGES || (at >= SOFT_PAGES && tried == 0)) {
            at = 0;
            run = 0;
        }
        run = a.block_of[base + at] ? 0 : run + 1;
        if (run == n + 2) {
            a.cursor[zone] = at;
            return base + at - n;
        }
    }
    return 0;
}

static struct block *make_block(enum mem_kind kind, size_t lead, size_t size, unsigned flags)
{
    uint32_t n = (uint32_t)((lead + size + BENCH_PAGE - 1) / BENCH_PAGE), first;
    struct block *b;

    n = n ? n : 1;
    first = take_pages(flags & MEM_CONTIGUOUS ? 0 : 1, n);
    if (!first || a.n_free == 0)
        return NULL;
    b = &a.block[a.free[--a.n_free]];
    *b = (struct block){.first = first, .n = n};
    b->info = (struct mem_info){.kind = kind, .live = true, .size = size, .serial = ++a.serial};
    for (uint32_t i = 0; i < n; i++)
        a.block_of[first + i] = (uint16_t)(b - a.block);
    a.live[kind] += size;
    if (size <= FILL_MOST || kind == MEM_SYSTEM_BUFFER)
        memset(a.device + (size_t)first * BENCH_PAGE + lead, FILL_FRESH, size);
    return b;
}

static uint8_t *kernel_at(const struct block *b)
{
    return a.kernel + (size_t)b->first * BENCH_PAGE;
}

static void release(struct block *b)
{
    ASAN_POISON_MEMORY_REGION(kernel_at(b), (size_t)b->n * BENCH_PAGE);
    memset(&a.block_of[b->first], 0, b->n * sizeof(a.block_of[0]));
    a.live[b->info.kind] -= b->info.size;
    b->info.live = false;
    a.free[a.n_free++] = (uint16_t)(b - a.block);
}

/* The block that an address of any view belongs to. @page: number of its page */
static struct block *block_at(const void *p, uint32_t *page, bool *user)
{
    const uint8_t *const views[] = {a.kernel, a.device, a.user};

    for (int v = 0; v < 3; v++) {
        uintptr_t off = (uintptr_t)p - (uintptr_t)views[v];

        if (off >= mem_phys_size())
            continue;
        *page = (uint32_t)(off / BENCH_PAGE);
        *user = v == 2;
        return a.block_of[*page] ? &a.block[a.block_of[*page]] : NULL;
    }
    return NULL;
}

void *mem_alloc(enum mem_kind kind, size_t size, uint32_t tag, unsigned flags, const void *caller)
{
    size_t rounded = (size + POOL_ALIGN - 1) / POOL_ALIGN * POOL_ALIGN, lead = 0;
    struct block *b;

    if (!(flags & MEM_PAGE_START) && size < BENCH_PAGE && rounded)
        lead = BENCH_PAGE - rounded;
    b = make_block(kind, lead, size, flags);
    if (!b)
        return NULL;
    b->info.tag = tag;
    b->info.caller = caller;
    b->info.base = kernel_at(b) + lead;
    ASAN_UNPOISON_MEMORY_REGION(b->info.base, size);
    return b->info.base;
}

static void unmap_alias(struct block *b)
{
    if (b->mapped == 0)
        ver_stop("bad-free", "a mapping is undone that there is not");
    a.live[MEM_MAPPING]--;
    if (--b->mapped == 0)
        ASAN_POISON_MEMORY_REGION(kernel_at(b), (size_t)b->n * BENCH_PAGE);
}

void mem_free(enum mem_kind kind, void *p)
{
    uint32_t page;
    bool user;
    struct block *b = block_at(p, &page, &user);

    if (kind == MEM_MAPPING && b && b->info.kind == MEM_USER) {
        unmap_alias(b);
        return;
    }
    if (!b || b->info.kind != kind || b->info.base != p)
        ver_stop("bad-free", "%p is not live memory of kind %d", p, kind);
    release(b);
}

/* ---- looking --------------------------------------------------------------------------------- */

bool mem_look(const void *p, struct mem_info *info)
{
    uint32_t page;
    bool user;
    const struct block *b = block_at(p, &page, &user);

    if (!b)
        return false;
    *info = b->info;
    if (b->info.kind == MEM_USER && !user)
        info->kind = MEM_MAPPING;
    return true;
}

bool mem_live(const void *p, size_t size)
{
    uint32_t page;
    bool user;
    const struct block *b = block_at(p, &page, &user);
    const uint8_t *q = p;

    return b && q >= b->info.base && size <= b->info.size &&
           (size_t)(q - b->info.base) <= b->info.size - size;
}

uint64_t mem_phys(const void *p)
{
    uint32_t page;
    bool user;

    if (!block_at(p, &page, &user))
        ver_stop("bad-address", "%p is not memory of the machine", p);
    return MEM_PHYS_BASE + (uint64_t)a.phys_of[page] * BENCH_PAGE + (uintptr_t)p % BENCH_PAGE;
}

uint8_t *mem_linear(uint64_t phys, uint64_t *contiguous)
{
    uint64_t n = (phys - MEM_PHYS_BASE) / BENCH_PAGE;

    if (phys < MEM_PHYS_BASE || n >= ALL_PAGES)
        return NULL;
    if (contiguous)
        *contiguous = BENCH_PAGE - phys % BENCH_PAGE;
    return a.device + (size_t)a.page_of[n] * BENCH_PAGE + phys % BENCH_PAGE;
}

uint64_t mem_live_bytes(enum mem_kind kind)
{
    return a.live[kind];
}

void mem_leaks(void)
{
    for (uint32_t i = 1; i < MAX_BLOCKS; i++) {
        const struct mem_info *b = &a.block[i].info;

        if (b->live && b->kind != MEM_BENCH && b->kind != MEM_USER)
            ver_complain("leak", "memory of kind %d, %zu bytes, from %s", b->kind, b->size,
                         ver_where(b->caller));
    }
}

void mem_describe(const void *address, char *text, size_t room)
{
    struct mem_info info;

    if (mem_look(address, &info))
        snprintf(text, room, "memory of kind %d, %zu bytes", info.kind, info.size);
    else
        snprintf(text, room, "no memory");
}

/* ---- programs -------------------------------------------------------------------------------- */

void *mem_alias(const uint64_t *numbers, uint32_t n, bool writable, const void *caller)
{
    uint32_t first = a.page_of[numbers[0] - MEM_PHYS_BASE / BENCH_PAGE];
    struct block *b = &a.block[a.block_of[first]];

    (void)writable;
    (void)caller;
    for (uint32_t i = 0; i < n; i++)
        if (a.page_of[numbers[i] - MEM_PHYS_BASE / BENCH_PAGE] != first + i ||
            b->info.kind != MEM_USER)
            ver_stop("bench", "a mapping of pages that are not one program's buffer");
    b->mapped++;
    a.live[MEM_MAPPING]++;
    ASAN_UNPOISON_MEMORY_REGION(kernel_at(b) + (b->info.base - a.user) % BENCH_PAGE, b->info.size);
    return a.kernel + (size_t)first * BENCH_PAGE;
}

void *mem_user(size_t size, uint32_t offset, unsigned flags, void *process, uint8_t **seen)
{
    struct block *b = make_block(MEM_USER, offset, size, flags);

    if (!b)
        ver_stop("bench", "no memory for a program's %zu bytes", size);
    b->info.process = process;
    b->info.base = a.user + (size_t)b->first * BENCH_PAGE + offset;
    if (seen)
        *seen = a.device + (size_t)b->first * BENCH_PAGE + offset;
    return b->info.base;
}

void mem_user_free(void *p)
{
    uint32_t page;
    bool user;
    struct block *b = block_at(p, &page, &user);

    if (!b || b->info.kind != MEM_USER || b->info.base != p || b->mapped)
        ver_stop("bench", "%p is not a program's memory, or is still mapped", p);
    release(b);
}
