// SPDX-License-Identifier: BSD-3-Clause
/*
 * cache.c - cached data of files, where FileInfoTimeout is forever
 *
 * Theory of operation
 *
 *   What Windows' cache manager and the driver do together (WinFsp src/sys/read.c, write.c, cleanup.c, file.c). Reads and
 *   writes work on pages in memory. A page that is missing is paged in, with those after it that are missing, too; pages
 *   that were written are dirty until they are paged out: by the lazy writer about a second later, by a flush, by the
 *   cleanup of the last handle, or before the file system's notification drops the pages. Paging I/O comes in whole pages,
 *   goes through the file object that began to cache, whoever wrote, and does not end with its cleanup: its close is held
 *   back until the pages go.
 *
 *   A write past the end first sets the end of file, and waits for it. The size that was last heard counts; a
 *   notification does not change it, the next question for information does. What pages out tells nobody of new times.
 *   What cannot be paged out stays dirty, and is lost with the last cleanup: that cannot fail.
 *
 *   Only FlushAndPurgeOnCleanup is modelled: no page outlives the last cleanup.
 *
 * Ownership: pages belong to their node.
 * Locks: node.gate exclusively for everything, but cache_cut() (node.lock, and the gate at least shared).
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/standin.h"

enum { PAGE = 4096, BUCKETS = 1024, RUN = 16, LAZY_MS = 1000, LOOK_MS = 50 };

struct page {
    struct page *next;
    uint64_t number;
    bool dirty;
    uint8_t bytes[PAGE];
};

struct pages {
    struct file *owner; /* began to cache: paging I/O goes through it */
    unsigned dirty;
    struct page *bucket[BUCKETS];
};

static struct page **place_of(struct pages *c, uint64_t number)
{
    struct page **at = &c->bucket[number % BUCKETS];
    while (*at && (*at)->number != number)
        at = &(*at)->next;
    return at;
}

static struct page *page_of(struct pages *c, uint64_t number)
{
    return *place_of(c, number);
}

static struct page *page_add(struct pages *c, uint64_t number)
{
    struct page **at = place_of(c, number);
    if (!*at) {
        *at = calloc(1, sizeof **at);
        (*at)->number = number;
    }
    return *at;
}

static void page_drop(struct pages *c, struct page **at)
{
    struct page *p = *at;
    *at = p->next;
    c->dirty -= p->dirty;
    free(p);
}

static struct pages *pages_of(struct file *f)
{
    struct node *n = f->node;
    if (!n->pages) {
        n->pages = calloc(1, sizeof *n->pages);
        n->pages->owner = f;
    }
    return n->pages;
}

/* ---- paging -------------------------------------------------------------------------------- */

/* This page and the missing ones behind it, as far as the file goes. */
static NTSTATUS page_in(struct node *n, uint64_t number)
{
    struct pages *c = n->pages;
    uint64_t end = (n->file_size + PAGE - 1) / PAGE;
    uint8_t buf[RUN * PAGE];
    uint32_t count = 1, got = 0;
    while (count < RUN && number + count < end && !page_of(c, number + count))
        count++;
    NTSTATUS status = fsd_page_in(c->owner, number * PAGE, count * PAGE, buf, &got);
    if (status && status != STATUS_END_OF_FILE)
        return status;
    memset(buf + got, 0, count * PAGE - got);
    for (uint32_t i = 0; i < count; i++)
        memcpy(page_add(c, number + i)->bytes, buf + i * PAGE, PAGE);
    return STATUS_SUCCESS;
}

static NTSTATUS page_out(struct node *n, uint64_t number)
{
    struct pages *c = n->pages;
    uint8_t buf[RUN * PAGE];
    uint32_t count = 0;
    struct page *p;
    while (count < RUN && (p = page_of(c, number + count)) && p->dirty)
        memcpy(buf + PAGE * count++, p->bytes, PAGE);
    NTSTATUS status = fsd_page_out(c->owner, number * PAGE, buf, count * PAGE);
    for (uint32_t i = 0; !status && i < count; i++)
        page_of(c, number + i)->dirty = false;
    c->dirty -= status ? 0 : count;
    return status;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

NTSTATUS cache_flush(struct node *n)
{
    struct pages *c = n->pages;
    if (!c || !c->dirty)
        return STATUS_SUCCESS;
    unsigned count = 0;
    uint64_t *list = malloc(c->dirty * sizeof *list);
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct page *p = c->bucket[i]; p; p = p->next)
            if (p->dirty)
                list[count++] = p->number;
    qsort(list, count, sizeof *list, by_number);
    NTSTATUS first = STATUS_SUCCESS;
    for (unsigned i = 0; i < count; i++) {
        struct page *p = page_of(c, list[i]);
        NTSTATUS status = p && p->dirty ? page_out(n, list[i]) : STATUS_SUCCESS;
        first = first ? first : status;
    }
    free(list);
    return first;
}

void cache_purge(struct node *n)
{
    struct pages *c = n->pages;
    for (unsigned i = 0; c && i < BUCKETS; i++)
        while (c->bucket[i])
            page_drop(c, &c->bucket[i]);
}

struct file *cache_end(struct node *n)
{
    struct file *owner = n->pages ? n->pages->owner : NULL;
    cache_purge(n);
    free(n->pages);
    n->pages = NULL;
    return owner;
}

bool cache_owned_by(const struct node *n, const struct file *f)
{
    return n->pages && n->pages->owner == f;
}

void cache_cut(struct node *n, uint64_t size)
{
    struct pages *c = n->pages;
    for (unsigned i = 0; c && i < BUCKETS; i++)
        for (struct page **at = &c->bucket[i]; *at;) {
            uint64_t from = (*at)->number * PAGE;
            if (from >= size) {
                page_drop(c, at);
                continue;
            }
            if (size - from < PAGE)
                memset((*at)->bytes + (size - from), 0, PAGE - (size - from));
            at = &(*at)->next;
        }
}

/* ---- the lazy writer ----------------------------------------------------------------------- */

static struct node *next_dirty(struct volume *v, unsigned *bucket)
{
    struct node *n = NULL;
    pthread_mutex_lock(&v->table);
    for (; *bucket < ARRAY_SIZE(v->buckets) && !n; ++*bucket)
        for (n = v->buckets[*bucket]; n && !atomic_load(&n->written); n = n->next)
            ;
    if (n)
        n->refs++;
    pthread_mutex_unlock(&v->table);
    return n;
}

void cache_flush_all(struct volume *v)
{
    unsigned bucket = 0;
    for (struct node *n; (n = next_dirty(v, &bucket));) {
        gate_exclusive(&n->gate);
        if (!cache_flush(n))
            atomic_store(&n->written, false);
        gate_release(&n->gate);
        node_put(n);
    }
}

static DWORD WINAPI lazy_writer(void *arg)
{
    struct volume *v = arg;
    for (unsigned slept = 0; !atomic_load(&v->lazy_stop); slept += LOOK_MS) {
        if (slept >= LAZY_MS) {
            cache_flush_all(v);
            slept = 0;
        }
        Sleep(LOOK_MS);
    }
    return 0;
}

void cache_start_writer(struct volume *v)
{
    v->lazy_thread = CreateThread(NULL, 0, lazy_writer, v, 0, NULL);
    if (!v->lazy_thread)
        stop_loudly("a cache without a lazy writer");
}

void cache_stop_writer(struct volume *v)
{
    if (!v->lazy_thread)
        return;
    atomic_store(&v->lazy_stop, true);
    WaitForSingleObject(v->lazy_thread, INFINITE);
    CloseHandle(v->lazy_thread);
    v->lazy_thread = NULL;
}

/* ---- reads and writes ---------------------------------------------------------------------- */

NTSTATUS cache_read(struct file *f, uint64_t offset, uint32_t len, void *buf)
{
    struct pages *c = pages_of(f);
    for (uint32_t done = 0, part; done < len; done += part) {
        uint64_t at = offset + done;
        uint32_t within = (uint32_t)(at % PAGE);
        part = PAGE - within < len - done ? PAGE - within : len - done;
        NTSTATUS status = page_of(c, at / PAGE) ? STATUS_SUCCESS : page_in(f->node, at / PAGE);
        if (status)
            return status;
        memcpy((uint8_t *)buf + done, page_of(c, at / PAGE)->bytes + within, part);
    }
    return STATUS_SUCCESS;
}

NTSTATUS cache_write(struct file *f, uint64_t offset, const void *buf, uint32_t len)
{
    struct pages *c = pages_of(f);
    for (uint32_t done = 0, part; done < len; done += part) {
        uint64_t at = offset + done;
        uint32_t within = (uint32_t)(at % PAGE);
        part = PAGE - within < len - done ? PAGE - within : len - done;
        if (part < PAGE && !page_of(c, at / PAGE)) {
            NTSTATUS status = page_in(f->node, at / PAGE);
            if (status)
                return status;
        }
        struct page *p = page_add(c, at / PAGE);
        memcpy(p->bytes + within, (const uint8_t *)buf + done, part);
        c->dirty += !p->dirty;
        p->dirty = true;
    }
    atomic_store(&f->node->written, true);
    return STATUS_SUCCESS;
}

void cache_patch(struct node *n, uint64_t offset, const void *buf, uint32_t len)
{
    struct pages *c = n->pages;
    for (uint32_t done = 0, part; c && done < len; done += part) {
        uint64_t at = offset + done;
        uint32_t within = (uint32_t)(at % PAGE);
        struct page *p = page_of(c, at / PAGE);
        part = PAGE - within < len - done ? PAGE - within : len - done;
        if (p)
            memcpy(p->bytes + within, (const uint8_t *)buf + done, part);
    }
}
