// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuse_reply.h - build replies
 *
 * A reply is gathered into the device-writable segments of its chain. Guest memory is written, never
 * read back. Every function returns the used length of the chain.
 *
 * Ownership: borrows everything.   Locks: none.
 */
#ifndef VIOFS_FUSE_REPLY_H
#define VIOFS_FUSE_REPLY_H

#include "lib/fuse/fuse_proto.h"
#include "lib/ring/ring.h"

/* Where a reply goes. */
struct fuse_out {
    const struct ring_seg *seg;
    uint32_t n_seg;
    uint64_t room; /* sum of the segments */
};

/** fuse_reply_error() - header only; @err: negative errno or 0. Return: 16, or 0 when there is no room. */
uint32_t fuse_reply_error(const struct fuse_out *out, uint64_t unique, int err);

/**
 * fuse_reply_data() - header and payload
 * @parts: up to a few private buffers, in order
 * Return: 16 + payload; what does not fit becomes an -EIO reply (callers size their payload first).
 */
uint32_t fuse_reply_data(const struct fuse_out *out, uint64_t unique, const struct ring_seg *parts,
                         uint32_t n_parts);

/** fuse_reply_buf() - the common case of one payload buffer */
uint32_t fuse_reply_buf(const struct fuse_out *out, uint64_t unique, const void *payload,
                        size_t len);

/** fuse_reply_header() - the payload is in place already (READ); @payload: its bytes */
uint32_t fuse_reply_header(const struct fuse_out *out, uint64_t unique, uint64_t payload);

/**
 * seg_slice() - a view of part of a segment list
 * @skip: bytes to leave out at the front; @len: bytes wanted; @to: array of @max
 * Return: segments written to @to; *@got (may be NULL) says how many bytes they cover.
 */
uint32_t seg_slice(const struct ring_seg *seg, uint32_t n, uint64_t skip, uint64_t len,
                   struct ring_seg *to, uint32_t max, uint64_t *got);

/** seg_copy_out() / seg_copy_in() - copy from / into a segment list at an offset. Return: bytes copied. */
size_t seg_copy_out(void *to, size_t len, const struct ring_seg *seg, uint32_t n, uint64_t skip);
size_t seg_copy_in(const struct ring_seg *seg, uint32_t n, uint64_t skip, const void *from,
                   size_t len);

/* A guest can use no longer name (name_check()); callers leave longer ones out of a listing. */
#define FUSE_LONGEST_NAME 255u

/**
 * fuse_dirent_put() - append one READDIR entry
 * @off: cookie of the entry *after* this one.   Return: bytes used, 0 when it does not fit.
 */
size_t fuse_dirent_put(void *buf, size_t room, uint64_t ino, uint64_t off, uint32_t type,
                       const char *name, size_t name_len);

/** fuse_direntplus_size() - bytes that a READDIRPLUS entry takes, with @ext bytes of our extension */
size_t fuse_direntplus_size(size_t name_len, size_t ext);

/**
 * fuse_direntplus_put() - append one READDIRPLUS entry
 * @entry: may be @buf itself, where the caller has filled it in
 * @ext, @ext_len: NULL, 0 for the standard layout; our extension puts struct fuse_viofs_ext between
 *                 the entry and the dirent.
 */
size_t fuse_direntplus_put(void *buf, size_t room, const struct fuse_entry_out *entry,
                           const void *ext, size_t ext_len, uint64_t ino, uint64_t off,
                           uint32_t type, const char *name, size_t name_len);

#endif
