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

#define GUARD_BYTES 64
#define GUARD_BYTE  0xA5
#define GARBAGE     0xCDCDCDCDCDCDCDCDull

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

struct guarded guarded_new(size_t len)
{
    struct guarded g = {NULL, len};
    /* Wine must know the memory, or refuses to have a device write there */
    g.at = VirtualAlloc(NULL, len + GUARD_BYTES, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
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
    if (g.at)
        VirtualFree(g.at, 0, MEM_RELEASE);
}
