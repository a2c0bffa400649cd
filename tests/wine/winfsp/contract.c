// SPDX-License-Identifier: BSD-3-Clause
/*
 * contract.c - checks of what a file system hands to WinFsp
 *
 * WinFsp believes most of this blindly; what it would pass on to programs, or trip over, is reported here.
 *
 * Ownership: none.   Locks: none.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/contract.h"

#define GUARD_BYTES   64
#define GUARD_BYTE    0xA5
#define UNFILLED_BYTE 0xEE /* what a read that fills nothing hands out */
#define GARBAGE       0xCDCDCDCDCDCDCDCDull

void contract_status(struct volume *v, const char *callback, NTSTATUS status, bool may_pend)
{
    if (status == STATUS_PENDING && !may_pend)
        violation(v, "%s returned STATUS_PENDING", callback);
    else if (status > 0 && status != STATUS_PENDING && status != STATUS_REPARSE)
        violation(v, "%s returned %#x, which is no NTSTATUS of a file system", callback,
                  (unsigned)status);
}

void contract_garbage(struct winfsp_file_info *info)
{
    memset(info, 0xCD, sizeof *info);
}

void contract_info(struct volume *v, const char *callback, const struct winfsp_file_info *info)
{
    if (info->creation_time == GARBAGE || info->file_size == GARBAGE)
        violation(v, "%s succeeded without touching its file info", callback);
    else if (!info->creation_time && !info->last_write_time)
        violation(v, "%s succeeded with an empty file info", callback);
    else if (info->file_attributes == UINT32_MAX)
        violation(v, "%s reports attributes of -1", callback);
    else if ((info->file_attributes & FILE_ATTRIBUTE_REPARSE_POINT) && !info->reparse_tag)
        violation(v, "%s reports a reparse point without a tag", callback);
}

bool contract_sd(struct volume *v, const char *callback, const void *sd, size_t size, size_t room)
{
    if (size > room) {
        violation(v, "%s returned %zu bytes of descriptor in room for %zu", callback, size, room);
        return false;
    }
    if (!sd_valid(sd, size)) {
        violation(v, "%s returned no valid self-relative security descriptor", callback);
        return false;
    }
    return true;
}

void contract_dir(struct volume *v, const uint8_t *buf, uint32_t got, uint32_t room)
{
    if (got > room) {
        violation(v, "read_directory returned %u bytes in room for %u", got, room);
        return;
    }
    for (uint32_t at = 0; at + sizeof(uint16_t) <= got;) {
        const struct winfsp_dir_info *d = (const void *)(buf + at);
        if (d->size < sizeof *d) {
            if (d->size)
                violation(v, "read_directory returned an entry of %u bytes", d->size);
            return;
        }
        unsigned units = UNITS(d->size - sizeof *d);
        if (at + d->size > got || (d->size & 1) || !units || units > v->params.max_component_length)
            violation(v, "read_directory returned an entry of %u bytes at %u of %u", d->size, at,
                      got);
        for (unsigned i = 0; i < units; i++)
            if (!d->name[i] || d->name[i] == '\\') {
                violation(v, "read_directory returned a name with a %s",
                          d->name[i] ? "backslash" : "NUL");
                break;
            }
        at += (d->size + 7u) & ~7u;
    }
}

void contract_streams(struct volume *v, const uint8_t *buf, uint32_t got, uint32_t room)
{
    uint32_t at = 0;
    if (got > room) {
        violation(v, "get_stream_info returned %u bytes in room for %u", got, room);
        return;
    }
    while (at + sizeof(uint16_t) <= got) {
        const struct winfsp_stream_info *s = (const void *)(buf + at);
        if (!s->size)
            return;
        if (s->size < sizeof *s || (s->size & 1) || at + s->size > got) {
            violation(v, "get_stream_info returned an entry of %u bytes at %u of %u", s->size, at,
                      got);
            return;
        }
        for (unsigned i = 0; i < UNITS(s->size - sizeof *s); i++)
            if (!s->name[i] || s->name[i] == ':' || s->name[i] == '\\')
                violation(v, "get_stream_info returned a name that no stream can have");
        at += (s->size + 7u) & ~7u;
    }
    violation(v, "get_stream_info returned a list without an end");
}

/* Buffers of 4, 8, ... 64 KiB and a guard that wait for their next use. */
#define POOL_CLASSES 5
#define POOL_DEPTH   32
static struct {
    pthread_mutex_t lock;
    uint8_t *free[POOL_CLASSES][POOL_DEPTH];
    unsigned count[POOL_CLASSES];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER};

static unsigned pool_class(size_t room)
{
    unsigned class = 0;
    while (class < POOL_CLASSES && ((size_t)4096 << class) + GUARD_BYTES < room)
        class ++;
    return class;
}

struct guarded guarded_new(size_t len)
{
    unsigned class = pool_class(len + GUARD_BYTES);
    struct guarded g = {NULL, len, len + GUARD_BYTES};
    if (class < POOL_CLASSES) {
        g.room = ((size_t)4096 << class) + GUARD_BYTES;
        pthread_mutex_lock(&pool.lock);
        if (pool.count[class])
            g.at = pool.free[class][--pool.count[class]];
        pthread_mutex_unlock(&pool.lock);
    }
    if (!g.at)
        g.at = VirtualAlloc(NULL, g.room, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
    if (!g.at)
        stop_loudly("being out of memory");
    memset(g.at + len, GUARD_BYTE, GUARD_BYTES);
    return g;
}

void guarded_check(struct volume *v, const char *callback, struct guarded g)
{
    for (unsigned i = 0; i < GUARD_BYTES; i++)
        if (g.at[g.len + i] != GUARD_BYTE) {
            violation(v, "%s wrote past the end of its buffer of %zu bytes", callback, g.len);
            return;
        }
}

void guarded_free(struct guarded g)
{
    unsigned class = pool_class(g.room);
    if (!g.at)
        return;
    if (class < POOL_CLASSES) {
        memset(g.at, UNFILLED_BYTE, g.len);
        pthread_mutex_lock(&pool.lock);
        if (pool.count[class] < POOL_DEPTH) {
            pool.free[class][pool.count[class]++] = g.at;
            g.at = NULL;
        }
        pthread_mutex_unlock(&pool.lock);
    }
    if (g.at)
        VirtualFree(g.at, 0, MEM_RELEASE);
}
