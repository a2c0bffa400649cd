// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse_reply.c - build replies
 *
 * Theory of operation
 *
 *   A guest gives room for a reply as one segment (header and payload together), as two (Linux:
 *   header, payload), or as many (a READ into pages). All three are written by the same walk over the
 *   segments; the first two finish in its first or second step.
 *
 *   Payload and header may be written in either order: the guest looks only after the used ring
 *   says so.
 *
 * Ownership: borrows everything.   Locks: none.
 */
#include "lib/fuse/fuse_reply.h"

#include <string.h>

#include "lib/fuse/fuse_call.h"

enum { OUT_HEADER = sizeof(struct fuse_out_header) };

/** seg_slice() - described in fuse_reply.h */
uint32_t seg_slice(const struct ring_seg *seg, uint32_t n, uint64_t skip, uint64_t len,
                   struct ring_seg *to, uint32_t max, uint64_t *got)
{
    uint64_t covered = 0;
    uint32_t k = 0;

    for (uint32_t i = 0; i < n && k < max && covered < len; i++) {
        uint64_t part;

        if (skip >= seg[i].len) {
            skip -= seg[i].len;
            continue;
        }
        part = seg[i].len - skip;
        if (part > len - covered)
            part = len - covered;
        to[k].base = (char *)seg[i].base + skip;
        to[k].len = (size_t)part;
        k++;
        covered += part;
        skip = 0;
    }
    if (got)
        *got = covered;
    return k;
}

/* Copy between a buffer and a segment list; exactly one of @out (from the list) and @in is given. */
static size_t seg_copy(const struct ring_seg *seg, uint32_t n, uint64_t skip, char *out,
                       const char *in, size_t len)
{
    size_t done = 0;

    for (uint32_t i = 0; i < n && done < len; i++) {
        size_t part;

        if (skip >= seg[i].len) {
            skip -= seg[i].len;
            continue;
        }
        part = seg[i].len - (size_t)skip;
        if (part > len - done)
            part = len - done;
        if (out)
            memcpy(out + done, (const char *)seg[i].base + skip, part);
        else
            memcpy((char *)seg[i].base + skip, in + done, part);
        done += part;
        skip = 0;
    }
    return done;
}

/** seg_copy_out() - described in fuse_reply.h */
size_t seg_copy_out(void *to, size_t len, const struct ring_seg *seg, uint32_t n, uint64_t skip)
{
    return seg_copy(seg, n, skip, to, NULL, len);
}

/** seg_copy_in() - described in fuse_reply.h */
size_t seg_copy_in(const struct ring_seg *seg, uint32_t n, uint64_t skip, const void *from,
                   size_t len)
{
    return seg_copy(seg, n, skip, NULL, from, len);
}

static uint32_t put_header(const struct fuse_out *out, uint64_t unique, int err, uint32_t payload)
{
    struct fuse_out_header head = {
        .len = OUT_HEADER + payload,
        .error = err,
        .unique = unique,
    };

    if (seg_copy_in(out->seg, out->n_seg, 0, &head, sizeof(head)) < sizeof(head))
        return 0;
    return head.len;
}

/** fuse_reply_error() - described in fuse_reply.h */
uint32_t fuse_reply_error(const struct fuse_out *out, uint64_t unique, int err)
{
    return out->room < OUT_HEADER ? 0 : put_header(out, unique, err, 0);
}

/** fuse_reply_header() - described in fuse_reply.h; a payload beyond the room becomes -EIO */
uint32_t fuse_reply_header(const struct fuse_out *out, uint64_t unique, uint64_t payload)
{
    if (out->room < OUT_HEADER)
        return 0;
    if (payload > out->room - OUT_HEADER || payload > UINT32_MAX - OUT_HEADER)
        return put_header(out, unique, -FUSE_ERR_IO, 0);
    return put_header(out, unique, 0, (uint32_t)payload);
}

/** fuse_reply_data() - described in fuse_reply.h */
uint32_t fuse_reply_data(const struct fuse_out *out, uint64_t unique, const struct ring_seg *parts,
                         uint32_t n_parts)
{
    uint64_t payload = 0;

    for (uint32_t i = 0; i < n_parts; i++) {
        if (out->room < OUT_HEADER || parts[i].len > out->room - OUT_HEADER - payload)
            return fuse_reply_error(out, unique, -FUSE_ERR_IO);
        seg_copy_in(out->seg, out->n_seg, OUT_HEADER + payload, parts[i].base, parts[i].len);
        payload += parts[i].len;
    }
    return fuse_reply_header(out, unique, payload);
}

/** fuse_reply_buf() - described in fuse_reply.h */
uint32_t fuse_reply_buf(const struct fuse_out *out, uint64_t unique, const void *payload,
                        size_t len)
{
    if (out->room < OUT_HEADER || len > out->room - OUT_HEADER)
        return fuse_reply_error(out, unique, -FUSE_ERR_IO);
    seg_copy_in(out->seg, out->n_seg, OUT_HEADER, payload, len);
    return fuse_reply_header(out, unique, len);
}

static size_t align8(size_t n)
{
    return (n + 7u) & ~(size_t)7u;
}

/* Write a dirent and its name at @at, which has the room, and zero what is left up to @end. */
static void put_dirent(char *at, const char *end, uint64_t ino, uint64_t off, uint32_t type,
                       const char *name, size_t name_len)
{
    struct fuse_dirent d = {.ino = ino, .off = off, .namelen = (uint32_t)name_len, .type = type};

    memcpy(at, &d, FUSE_NAME_OFFSET);
    at += FUSE_NAME_OFFSET;
    memcpy(at, name, name_len);
    at += name_len;
    memset(at, 0, (size_t)(end - at));
}

/** fuse_dirent_put() - described in fuse_reply.h */
size_t fuse_dirent_put(void *buf, size_t room, uint64_t ino, uint64_t off, uint32_t type,
                       const char *name, size_t name_len)
{
    size_t need;

    if (name_len > FUSE_LONGEST_NAME)
        return 0;
    need = align8(FUSE_NAME_OFFSET + name_len);
    if (need > room)
        return 0;
    put_dirent(buf, (char *)buf + need, ino, off, type, name, name_len);
    return need;
}

/** fuse_direntplus_size() - described in fuse_reply.h */
size_t fuse_direntplus_size(size_t name_len, size_t ext)
{
    return align8(FUSE_NAME_OFFSET_DIRENTPLUS + ext + name_len);
}

/** fuse_direntplus_put() - described in fuse_reply.h */
size_t fuse_direntplus_put(void *buf, size_t room, const struct fuse_entry_out *entry,
                           const void *ext, size_t ext_len, uint64_t ino, uint64_t off,
                           uint32_t type, const char *name, size_t name_len)
{
    char *at = buf;
    size_t need;

    if (name_len > FUSE_LONGEST_NAME)
        return 0;
    need = fuse_direntplus_size(name_len, ext_len);
    if (need > room)
        return 0;
    if (at != (const char *)entry)
        memcpy(at, entry, sizeof(*entry));
    at += sizeof(*entry);
    if (ext_len) {
        memcpy(at, ext, ext_len);
        at += ext_len;
    }
    put_dirent(at, (char *)buf + need, ino, off, type, name, name_len);
    return need;
}
