// SPDX-License-Identifier: BSD-3-Clause
/*
 * memory.c - the machine's physical memory and the addresses that a driver sees it at
 *
 * Theory of operation
 *
 *   Physical memory is one memfd, shared with the daemon. Its first part hands out contiguous runs; in
 *   the rest, pages come in an order that never makes two neighbours of an allocation neighbours in
 *   physical memory, so code that believes in contiguity fails at once.
 *
 *   An allocation maps its pages at fresh addresses in a large reserved range, with nothing on either
 *   side. Small blocks end at the end of a page, so the first byte past them faults; what lies before
 *   them on their page carries a pattern that is checked when they are freed. Freed addresses fault
 *   for ever: they are never handed out again. The physical pages are, after being filled with a pattern.
 *
 *   In a virtual machine it is real physical memory: the part from MEM_PHYS_BASE on, which Linux was told
 *   to leave alone, so that it can be mapped from /dev/mem as freely as a file, at addresses that a
 *   real device understands.
 *
 *   A machine that runs for long (serve.c) would use its addresses up. After mem_recycle() a freed address is
 *   used again for a block of as many pages, when many others of that size have been freed after it.
 *
 *   A program's memory (mem_user) is mapped inaccessible: a driver that touches it by its user
 *   address, instead of through a mapping of locked pages, faults.
 *
 * Ownership: the process' single machine.   Locks: one mutex; the tables are read without it by the
 * fault handler, which is about to stop anyway.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/nt-bench/bench_host.h"

#define CONTIGUOUS_PAGES (48u << 8) /* 48 MiB */
#define SCATTERED_PAGES  (96u << 8)
#define ALL_PAGES        (CONTIGUOUS_PAGES + SCATTERED_PAGES)

#define SPACE_BYTES (64ull << 30)
#define SPACE_PAGES (SPACE_BYTES / BENCH_PAGE)
#define MAX_BLOCKS  (1u << 22)

#define POOL_ALIGN 16u
#define FILL_FRESH 0xA5
#define FILL_SLACK 0x5C
#define FILL_FREED 0xDD

/* With mem_recycle(): so many freed blocks of one size rest before the oldest is used again. */
#define RECYCLED_PAGES 2304u /* larger blocks never are */
#define REST(n_pages)  ((n_pages) <= 16 ? 8192u : 128u)

struct block {
    struct mem_info info;
    uint32_t next_freed; /* of the same size */
    uint32_t first_page; /* in the address space, without the guard */
    uint32_t n_pages;
    bool borrowed; /* pages belong to another block */
};

static struct {
    pthread_mutex_t lock;
    int fd;
    off_t start;        /* of the machine's memory in fd */
    uint8_t *linear;    /* all of physical memory */
    uint8_t *space;     /* reserved addresses */
    uint32_t *block_of; /* by page of the space; 0: none */
    uint32_t *phys_of;  /* by page of the space: physical page number */
    struct block *block;
    uint32_t n_blocks;
    uint64_t next_page;
    uint32_t *free_scattered;
    uint32_t n_free_scattered;
    uint8_t used_contiguous[CONTIGUOUS_PAGES];
    uint32_t contiguous_hint;
    uint64_t live_bytes[MEM_BENCH + 1];
    bool recycle;
    struct {
        uint32_t first, last, n;
    } freed[RECYCLED_PAGES]; /* by size, oldest first */
} m = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const kind_names[] = {
    "nothing",       "pool",          "device extension", "IRP",     "MDL",
    "system buffer", "common buffer", "program's memory", "mapping", "bench's object",
};

static void *reserve(size_t bytes, int protection)
{
    void *p = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        ver_stop("bench", "cannot reserve %zu bytes of address space", bytes);
    return p;
}

/* Every page's neighbours in the list are far away from it in memory. */
static void scatter_pages(void)
{
    uint32_t n = SCATTERED_PAGES;
    uint32_t step = 7919; /* prime, so that it visits all pages */

    m.free_scattered = malloc(n * sizeof(*m.free_scattered));
    if (!m.free_scattered)
        ver_stop("bench", "out of memory");
    for (uint32_t i = 0; i < n; i++)
        m.free_scattered[i] = CONTIGUOUS_PAGES + (uint32_t)((uint64_t)i * step % n);
    m.n_free_scattered = n;
}

static void open_memory(size_t bytes)
{
    if (bench_guest()) {
        m.fd = open("/dev/mem", O_RDWR | O_CLOEXEC);
        m.start = (off_t)MEM_PHYS_BASE;
    } else {
        m.fd = memfd_create("physical-memory", MFD_CLOEXEC);
    }
    if (m.fd < 0 || (!bench_guest() && ftruncate(m.fd, (off_t)bytes) < 0))
        ver_stop("bench", "no memory for the machine");
}

void mem_init(void)
{
    size_t bytes = (size_t)ALL_PAGES * BENCH_PAGE;

    open_memory(bytes);
    m.linear = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, m.start);
    if (m.linear == MAP_FAILED)
        ver_stop("bench", "cannot map the machine's memory");
    m.space = reserve(SPACE_BYTES, PROT_NONE);
    m.block_of = reserve(SPACE_PAGES * sizeof(*m.block_of), PROT_READ | PROT_WRITE);
    m.phys_of = reserve(SPACE_PAGES * sizeof(*m.phys_of), PROT_READ | PROT_WRITE);
    m.block = reserve(MAX_BLOCKS * sizeof(*m.block), PROT_READ | PROT_WRITE);
    m.n_blocks = 1;
    m.next_page = 1;
    scatter_pages();
}

int mem_fd(void)
{
    return m.fd;
}

uint64_t mem_phys_size(void)
{
    return (uint64_t)ALL_PAGES * BENCH_PAGE;
}

/* ---- physical pages -------------------------------------------------------------------------- */

static bool take_contiguous(uint32_t *pages, uint32_t n)
{
    uint32_t start = m.contiguous_hint;

    for (uint32_t tried = 0; tried < CONTIGUOUS_PAGES; tried++, start++) {
        uint32_t run = 0;

        if (start + n > CONTIGUOUS_PAGES)
            start = 0;
        while (run < n && !m.used_contiguous[start + run])
            run++;
        if (run == n) {
            memset(m.used_contiguous + start, 1, n);
            for (uint32_t i = 0; i < n; i++)
                pages[i] = start + i;
            m.contiguous_hint = start + n;
            return true;
        }
        start += run;
        tried += run;
    }
    return false;
}

static bool take_pages(uint32_t *pages, uint32_t n, unsigned flags)
{
    if (flags & MEM_CONTIGUOUS)
        return take_contiguous(pages, n);
    if (m.n_free_scattered < n)
        return false;
    for (uint32_t i = 0; i < n; i++)
        pages[i] = m.free_scattered[--m.n_free_scattered];
    return true;
}

static void return_page(uint32_t page)
{
    memset(m.linear + (size_t)page * BENCH_PAGE, FILL_FREED, BENCH_PAGE);
    if (page < CONTIGUOUS_PAGES)
        m.used_contiguous[page] = 0;
    else
        m.free_scattered[m.n_free_scattered++] = page;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

void mem_recycle(void)
{
    m.recycle = true;
}

/* The addresses of a block that was freed long ago; NULL: none */
static struct block *recycled_block(uint32_t n_pages)
{
    struct block *b;

    if (!m.recycle || n_pages >= RECYCLED_PAGES || m.freed[n_pages].n <= REST(n_pages))
        return NULL;
    b = &m.block[m.freed[n_pages].first];
    m.freed[n_pages].first = b->next_freed;
    m.freed[n_pages].n--;
    b->borrowed = false;
    return b;
}

static void rest_block(struct block *b)
{
    uint32_t serial = (uint32_t)b->info.serial;

    if (!m.recycle || b->n_pages >= RECYCLED_PAGES)
        return;
    b->next_freed = 0;
    if (m.freed[b->n_pages].n++ == 0)
        m.freed[b->n_pages].first = serial;
    else
        m.block[m.freed[b->n_pages].last].next_freed = serial;
    m.freed[b->n_pages].last = serial;
}

static struct block *new_block(uint32_t n_pages)
{
    struct block *b = recycled_block(n_pages);

    if (b)
        return b;
    if (m.n_blocks == MAX_BLOCKS || m.next_page + n_pages + 1 > SPACE_PAGES)
        ver_stop("bench", "address space used up");
    b = &m.block[m.n_blocks];
    b->first_page = (uint32_t)m.next_page;
    b->n_pages = n_pages;
    b->info.serial = m.n_blocks++;
    for (uint32_t i = 0; i < n_pages; i++)
        m.block_of[b->first_page + i] = (uint32_t)b->info.serial;
    m.next_page += n_pages + 1;
    return b;
}

static uint8_t *block_address(const struct block *b)
{
    return m.space + (size_t)b->first_page * BENCH_PAGE;
}

/* Map physical pages at the block's addresses, in as few calls as they allow. */
static void map_pages(const struct block *b, const uint32_t *pages, int protection)
{
    for (uint32_t i = 0, run; i < b->n_pages; i += run) {
        uint8_t *at = block_address(b) + (size_t)i * BENCH_PAGE;

        for (run = 1; i + run < b->n_pages && pages[i + run] == pages[i] + run; run++)
            ;
        if (mmap(at, (size_t)run * BENCH_PAGE, protection, MAP_SHARED | MAP_FIXED, m.fd,
                 m.start + (off_t)pages[i] * BENCH_PAGE) == MAP_FAILED)
            ver_stop("bench", "cannot map %u pages", run);
    }
    memcpy(&m.phys_of[b->first_page], pages, b->n_pages * sizeof(*pages));
}

static void unmap_block(struct block *b)
{
    if (mmap(block_address(b), (size_t)b->n_pages * BENCH_PAGE, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
        ver_stop("bench", "cannot unmap");
    b->info.live = false;
    m.live_bytes[b->info.kind] -= b->info.size;
    rest_block(b);
}

static struct block *block_at(const void *p)
{
    uintptr_t off = (uintptr_t)p - (uintptr_t)m.space;

    if ((const uint8_t *)p < m.space || off >= SPACE_BYTES || !m.block_of[off / BENCH_PAGE])
        return NULL;
    return &m.block[m.block_of[off / BENCH_PAGE]];
}

static void settle(struct block *b, enum mem_kind kind, uint8_t *base, size_t size, uint32_t tag,
                   const void *caller)
{
    b->info.kind = kind;
    b->info.live = true;
    b->info.base = base;
    b->info.size = size;
    b->info.tag = tag;
    b->info.caller = caller;
    m.live_bytes[kind] += size;
}

/* Fill a fresh block's physical pages: pattern for the owner, another around it. */
static void paint(const struct block *b, const uint32_t *pages, size_t lead, size_t size)
{
    for (uint32_t i = 0; i < b->n_pages; i++)
        memset(m.linear + (size_t)pages[i] * BENCH_PAGE, FILL_FRESH, BENCH_PAGE);
    memset(m.linear + (size_t)pages[0] * BENCH_PAGE, FILL_SLACK, lead);
    if ((lead + size) % BENCH_PAGE)
        memset(m.linear + (size_t)pages[b->n_pages - 1] * BENCH_PAGE + (lead + size) % BENCH_PAGE,
               FILL_SLACK, BENCH_PAGE - (lead + size) % BENCH_PAGE);
}

static struct block *make_block(enum mem_kind kind, size_t lead, size_t size, uint32_t tag,
                                unsigned flags, int protection, const void *caller)
{
    uint32_t n = (uint32_t)((lead + size + BENCH_PAGE - 1) / BENCH_PAGE);
    uint32_t *pages = malloc((n + 1) * sizeof(*pages));
    struct block *b = NULL;

    if (!pages)
        ver_stop("bench", "out of memory");
    n = n ? n : 1;
    pthread_mutex_lock(&m.lock);
    if (take_pages(pages, n, flags)) {
        b = new_block(n);
        paint(b, pages, lead, size);
        map_pages(b, pages, protection);
        settle(b, kind, block_address(b) + lead, size, tag, caller);
    }
    pthread_mutex_unlock(&m.lock);
    free(pages);
    return b;
}

void *mem_alloc(enum mem_kind kind, size_t size, uint32_t tag, unsigned flags, const void *caller)
{
    size_t rounded = (size + POOL_ALIGN - 1) / POOL_ALIGN * POOL_ALIGN;
    size_t lead = 0;
    struct block *b;

    if (!(flags & MEM_PAGE_START) && size < BENCH_PAGE && rounded)
        lead = BENCH_PAGE - rounded;
    b = make_block(kind, lead, size, tag, flags, PROT_READ | PROT_WRITE, caller);
    return b ? b->info.base : NULL;
}

static bool painted(const uint8_t *from, const uint8_t *to)
{
    while (from < to && *from == FILL_SLACK)
        from++;
    return from >= to;
}

static void check_slack(const struct block *b)
{
    const uint8_t *start = block_address(b);
    const uint8_t *end = start + (size_t)b->n_pages * BENCH_PAGE;

    if (!painted(start, b->info.base) || !painted(b->info.base + b->info.size, end))
        ver_complain("stray-write", "bytes around the %s of %zu bytes from %s were overwritten",
                     kind_names[b->info.kind], b->info.size, ver_where(b->info.caller));
}

static void release(struct block *b)
{
    uint32_t *page = &m.phys_of[b->first_page];

    unmap_block(b);
    if (!b->borrowed)
        for (uint32_t i = 0; i < b->n_pages; i++)
            return_page(page[i]); /* cppcheck-suppress objectIndex ; an array's tail */
}

void mem_free(enum mem_kind kind, void *p)
{
    struct block *b = block_at(p);

    if (!b || b->info.kind != kind || b->info.base != p)
        ver_stop("bad-free", "%p is not a %s", p, kind_names[kind]);
    if (!b->info.live)
        ver_stop("double-free", "%s %p, allocated at %s", kind_names[kind], p,
                 ver_where(b->info.caller));
    if (kind != MEM_MAPPING)
        check_slack(b);
    pthread_mutex_lock(&m.lock);
    release(b);
    pthread_mutex_unlock(&m.lock);
}

/* ---- looking --------------------------------------------------------------------------------- */

bool mem_look(const void *p, struct mem_info *info)
{
    struct block *b = block_at(p);

    if (b)
        *info = b->info;
    return b != NULL;
}

bool mem_live(const void *p, size_t size)
{
    const struct block *b = block_at(p);
    const uint8_t *q = p;

    return b && b->info.live && q >= b->info.base && size <= b->info.size &&
           (size_t)(q - b->info.base) <= b->info.size - size;
}

uint64_t mem_phys(const void *p)
{
    const struct block *b = block_at(p);
    uintptr_t off = (uintptr_t)p - (uintptr_t)m.space;

    if (!b || !b->info.live)
        ver_stop("bad-address", "%p is not memory of the machine", p);
    return MEM_PHYS_BASE + (uint64_t)m.phys_of[off / BENCH_PAGE] * BENCH_PAGE + off % BENCH_PAGE;
}

uint8_t *mem_linear(uint64_t phys, uint64_t *contiguous)
{
    if (phys < MEM_PHYS_BASE || phys >= MEM_PHYS_BASE + mem_phys_size())
        return NULL;
    if (contiguous)
        *contiguous = MEM_PHYS_BASE + mem_phys_size() - phys;
    return m.linear + (phys - MEM_PHYS_BASE);
}

uint64_t mem_live_bytes(enum mem_kind kind)
{
    uint64_t n;

    pthread_mutex_lock(&m.lock);
    n = m.live_bytes[kind];
    pthread_mutex_unlock(&m.lock);
    return n;
}

void mem_leaks(void)
{
    for (uint32_t i = 1; i < m.n_blocks; i++) {
        const struct mem_info *b = &m.block[i].info;

        if (!b->live || b->kind == MEM_BENCH || b->kind == MEM_USER)
            continue;
        ver_complain("leak", "%s of %zu bytes, tag %.4s, from %s", kind_names[b->kind], b->size,
                     b->tag ? (const char *)&b->tag : "none", ver_where(b->caller));
    }
}

void mem_describe(const void *address, char *text, size_t room)
{
    const uint8_t *a = address;
    const struct block *b = block_at(address);
    const char *how = "in";

    if (!b && (b = block_at(a - BENCH_PAGE)))
        how = "past the end of";
    else if (!b && (b = block_at(a + BENCH_PAGE)))
        how = "before";
    if (!b)
        snprintf(text, room, "which is no memory");
    else
        snprintf(text, room, "%s a %s%s of %zu bytes (offset %td, tag %.4s) from %s", how,
                 b->info.live ? "" : "freed ", kind_names[b->info.kind], b->info.size,
                 a - b->info.base, b->info.tag ? (const char *)&b->info.tag : "none",
                 ver_where(b->info.caller));
}

/* ---- second addresses ------------------------------------------------------------------------ */

static struct block *alias_block(const uint32_t *pages, uint32_t n, int protection)
{
    struct block *b;

    pthread_mutex_lock(&m.lock);
    b = new_block(n);
    b->borrowed = true;
    map_pages(b, pages, protection);
    pthread_mutex_unlock(&m.lock);
    return b;
}

void *mem_alias(const uint64_t *page_numbers, uint32_t n, bool writable, const void *caller)
{
    uint32_t *pages = malloc((n + 1) * sizeof(*pages));
    struct block *b;

    if (!pages)
        ver_stop("bench", "out of memory");
    for (uint32_t i = 0; i < n; i++)
        pages[i] = (uint32_t)(page_numbers[i] - MEM_PHYS_BASE / BENCH_PAGE);
    b = alias_block(pages, n, PROT_READ | (writable ? PROT_WRITE : 0));
    free(pages);
    pthread_mutex_lock(&m.lock);
    settle(b, MEM_MAPPING, block_address(b), (size_t)n * BENCH_PAGE, 0, caller);
    pthread_mutex_unlock(&m.lock);
    return b->info.base;
}

/* ---- a program's memory ---------------------------------------------------------------------- */

/* The bench's view of a program's memory lies in the block right after it. */
void *mem_user(size_t size, uint32_t offset, unsigned flags, void *process, uint8_t **view)
{
    struct block *b = make_block(MEM_USER, offset, size, 0, flags, PROT_NONE, NULL);
    struct block *v;

    if (!b)
        ver_stop("bench", "no memory for a program's %zu bytes", size);
    b->info.process = process;
    v = alias_block(&m.phys_of[b->first_page], b->n_pages, PROT_READ | PROT_WRITE);
    pthread_mutex_lock(&m.lock);
    settle(v, MEM_BENCH, block_address(v) + offset, size, 0, NULL);
    pthread_mutex_unlock(&m.lock);
    b->info.tag = (uint32_t)v->info.serial;
    if (view)
        *view = v->info.base;
    return b->info.base;
}

static void check_user_slack(const struct block *v)
{
    const uint8_t *start = block_address(v);

    if (!painted(start, v->info.base) ||
        !painted(v->info.base + v->info.size, start + (size_t)v->n_pages * BENCH_PAGE))
        ver_complain("stray-write", "bytes around a program's buffer of %zu bytes were overwritten",
                     v->info.size);
}

void mem_user_free(void *user)
{
    struct block *b = block_at(user);
    struct block *v;

    if (!b || b->info.kind != MEM_USER || b->info.base != user || !b->info.live)
        ver_stop("bench", "%p is not a program's memory", user);
    v = &m.block[b->info.tag];
    check_user_slack(v);
    pthread_mutex_lock(&m.lock);
    unmap_block(v);
    release(b);
    pthread_mutex_unlock(&m.lock);
}
