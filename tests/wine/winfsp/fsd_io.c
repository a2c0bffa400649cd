// SPDX-License-Identifier: BSD-3-Clause
/*
 * fsd_io.c - reads, writes, flushes and byte ranges
 *
 * Theory of operation
 *
 *   Without caching every read and write is one request, whatever its length (WinFsp src/sys/read.c, write.c);
 *   reads share the node, writes have it for themselves. Paging I/O comes on any open of the file, is
 *   constrained, and neither looks at byte ranges nor moves the file's position.
 *
 *   With a FileInfoTimeout of forever, and unless the file system or the program turned it off for the open, both work on
 *   the cache (cache.c), which paging I/O fills and empties. I/O past it finds nothing dirty there.
 *
 *   Flushing the root directory or the volume is a request with a NULL context; flushing another directory
 *   does nothing (src/sys/flush.c).
 *
 * Ownership: none.   Locks: node.gate; node.lock for ranges.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/contract.h"

static bool caches(const struct file *f)
{
    return f->vol->params.file_info_timeout == WINFSP_FOREVER;
}

/* ---- what the file system is asked --------------------------------------------------------- */

static NTSTATUS ask_read(struct file *f, uint64_t offset, uint32_t len, void *buf, uint32_t *got)
{
    struct guarded g = guarded_new(len);
    struct op *op = fsd_op(f, WINFSP_KIND_READ, 0);
    op->req->file.io.address = (uintptr_t)g.at;
    op->req->file.io.offset = offset;
    op->req->file.io.length = len;
    NTSTATUS status = op_call(f->vol, op, false);
    guarded_check(f->vol, "read", g);
    uint32_t information = op->rsp->information;
    op_free(op);
    if (NT_SUCCESS(status) && information > len) {
        violation(f->vol, "read returned %u bytes of %u", information, len);
        status = STATUS_INTERNAL_ERROR;
    } else if (NT_SUCCESS(status)) {
        if (!information)
            violation(f->vol, "read succeeded with no bytes (the end is STATUS_END_OF_FILE)");
        memcpy(buf, g.at, information);
        *got = information;
    }
    guarded_free(g);
    return status;
}

/* @info: as the file is then, if it succeeds */
static NTSTATUS ask_write(struct file *f, uint64_t offset, const void *buf, uint32_t len,
                          bool paging, uint32_t *put, struct winfsp_file_info *info)
{
    struct guarded g = guarded_new(len);
    memcpy(g.at, buf, len);
    struct op *op = fsd_op(f, WINFSP_KIND_WRITE, 0);
    op->req->file.io.address = (uintptr_t)g.at;
    op->req->file.io.offset = offset;
    op->req->file.io.length = len;
    op->req->file.io.constrained = paging;
    NTSTATUS status = op_call(f->vol, op, false);
    guarded_check(f->vol, "write", g);
    if (NT_SUCCESS(status) && memcmp(g.at, buf, len))
        violation(f->vol, "write changed the data it was given (they may be read-only)");
    if (NT_SUCCESS(status) && op->rsp->information > len) {
        violation(f->vol, "write took %u bytes of %u", op->rsp->information, len);
        status = STATUS_INTERNAL_ERROR;
    } else if (NT_SUCCESS(status)) {
        *put = op->rsp->information;
        *info = op->rsp->file_info;
        contract_info(f->vol, "write", info);
    }
    op_free(op);
    guarded_free(g);
    return status;
}

NTSTATUS fsd_page_in(struct file *f, uint64_t offset, uint32_t len, void *buf, uint32_t *got)
{
    return ask_read(f, offset, len, buf, got);
}

NTSTATUS fsd_page_out(struct file *f, uint64_t offset, const void *buf, uint32_t len)
{
    struct winfsp_file_info info;
    uint32_t put = 0;
    return ask_write(f, offset, buf, len, true, &put, &info);
}

/* ---- with the cache ------------------------------------------------------------------------ */

static NTSTATUS read_cached(struct file *f, uint64_t offset, uint32_t len, void *buf, uint32_t *got)
{
    struct node *n = f->node;
    NTSTATUS status = STATUS_FILE_LOCK_CONFLICT;
    gate_exclusive(&n->gate);
    if (fsd_range_free(f, offset, len, false)) {
        status = offset < n->file_size ? STATUS_SUCCESS : STATUS_END_OF_FILE;
        if (!status && len > n->file_size - offset)
            len = (uint32_t)(n->file_size - offset);
        if (!status)
            status = cache_read(f, offset, len, buf);
    }
    if (!status) {
        *got = len;
        f->position = offset + len;
    }
    gate_release(&n->gate);
    return status;
}

/* The end of file comes first, by a request of its own. */
static NTSTATUS extend(struct file *f, uint64_t end)
{
    struct node *n = f->node;
    struct op *op = fsd_op(f, WINFSP_KIND_SET_INFORMATION, 0);
    op->req->file.set_information.information_class = 20; /* FileEndOfFileInformation */
    op->req->file.set_information.resize.size = end;
    NTSTATUS status = op_call(f->vol, op, false);
    if (NT_SUCCESS(status)) {
        node_set_info(n, &op->rsp->file_info, true);
        fsd_changed(n, FILE_NOTIFY_CHANGE_SIZE, FILE_ACTION_MODIFIED, false);
    }
    op_free(op);
    return NT_SUCCESS(status) && n->file_size < end ? STATUS_INTERNAL_ERROR : status;
}

static NTSTATUS write_cached(struct file *f, uint64_t offset, const void *buf, uint32_t len,
                             uint32_t *put)
{
    struct node *n = f->node;
    NTSTATUS status = STATUS_FILE_LOCK_CONFLICT;
    gate_exclusive(&n->gate);
    if (fsd_range_free(f, offset, len, true)) {
        if (offset == UINT64_MAX)
            offset = n->file_size;
        status = offset + len > n->file_size ? extend(f, offset + len) : STATUS_SUCCESS;
        if (!status)
            status = cache_write(f, offset, buf, len);
        if (!status && (f->options & FILE_WRITE_THROUGH))
            status = cache_flush(n);
    }
    if (!status) {
        *put = len;
        f->position = offset + len;
        f->modified = true;
    }
    gate_release(&n->gate);
    return status;
}

/* ---- reads and writes ---------------------------------------------------------------------- */

NTSTATUS fsd_read(struct file *f, uint64_t offset, uint32_t len, bool paging, void *buf,
                  uint32_t *got)
{
    struct node *n = f->node;
    NTSTATUS status = STATUS_SUCCESS;
    *got = 0;
    if (!n)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (n->is_directory)
        return STATUS_INVALID_PARAMETER;
    if (!len)
        return STATUS_SUCCESS;
    if (f->caches && !paging)
        return read_cached(f, offset, len, buf, got);
    if (caches(f)) { /* past the cache: what is dirty goes first */
        gate_exclusive(&n->gate);
        status = cache_flush(n);
    } else {
        gate_shared(&n->gate);
    }
    if (!status && !paging && !fsd_range_free(f, offset, len, false))
        status = STATUS_FILE_LOCK_CONFLICT;
    if (!status)
        status = ask_read(f, offset, len, buf, got);
    if (!status && !paging)
        f->position = offset + *got;
    gate_release(&n->gate);
    return status;
}

static void written(struct file *f, uint64_t offset, uint32_t put, bool paging,
                    const struct winfsp_file_info *info)
{
    struct node *n = f->node;
    uint64_t before = n->file_size;
    node_set_info(n, info, true);
    if (before != info->file_size)
        fsd_changed(n, FILE_NOTIFY_CHANGE_SIZE, FILE_ACTION_MODIFIED, false);
    if (paging)
        return;
    f->position = offset == UINT64_MAX ? info->file_size : offset + put;
    f->modified = true;
}

NTSTATUS fsd_write(struct file *f, uint64_t offset, const void *buf, uint32_t len, bool paging,
                   uint32_t *put)
{
    struct node *n = f->node;
    struct winfsp_file_info info;
    *put = 0;
    if (!n)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (n->is_directory || (paging && offset == UINT64_MAX))
        return STATUS_INVALID_PARAMETER;
    if (!len)
        return STATUS_SUCCESS;
    if (f->caches && !paging)
        return write_cached(f, offset, buf, len, put);
    gate_exclusive(&n->gate);
    NTSTATUS status =
        paging || fsd_range_free(f, offset, len, true) ? STATUS_SUCCESS : STATUS_FILE_LOCK_CONFLICT;
    if (!status && !paging && n->pages) { /* past the cache */
        status = cache_flush(n);
        cache_purge(n);
    }
    if (!status)
        status = ask_write(f, offset, buf, len, paging, put, &info);
    if (NT_SUCCESS(status)) {
        if (paging) /* a mapped page: Windows has but one of each */
            cache_patch(n, offset, buf, *put);
        written(f, offset, *put, paging, &info);
    }
    gate_release(&n->gate);
    return status;
}

NTSTATUS fsd_flush(struct file *f)
{
    struct node *n = f->node;
    bool volume = !n || n->is_root;
    NTSTATUS status = STATUS_SUCCESS;
    if (!volume && n->is_directory)
        return STATUS_SUCCESS;
    struct op *op = fsd_op(f, WINFSP_KIND_FLUSH_BUFFERS, 0);
    if (volume) {
        op->req->file.user_context = op->req->file.user_context2 = 0;
        cache_flush_all(f->vol);
    } else {
        gate_exclusive(&n->gate);
        status = cache_flush(n);
    }
    if (!status)
        status = op_call(f->vol, op, false);
    if (!volume) {
        if (NT_SUCCESS(status))
            node_set_info(n, &op->rsp->file_info, true);
        gate_release(&n->gate);
    }
    op_free(op);
    return status;
}

/* ---- byte ranges (MS-FSA 2.1.4.10, FsRtl's rules) ------------------------------------------ */

static bool overlaps(const struct lock_range *r, uint64_t offset, uint64_t length)
{
    if (!length || !r->length)
        return false;
    uint64_t end = offset + length - 1, r_end = r->offset + r->length - 1;
    return offset <= r_end && r->offset <= end;
}

bool fsd_range_free(struct file *f, uint64_t offset, uint64_t length, bool write)
{
    struct node *n = f->node;
    bool ok = true;
    pthread_mutex_lock(&n->lock);
    uint64_t at = offset == UINT64_MAX ? n->file_size : offset;
    for (struct lock_range *r = n->ranges; r && ok; r = r->next)
        if (overlaps(r, at, length))
            ok = r->exclusive ? r->owner == f : !write;
    pthread_mutex_unlock(&n->lock);
    return ok;
}

NTSTATUS fsd_lock(struct file *f, uint64_t offset, uint64_t length, bool exclusive)
{
    struct node *n = f->node;
    if (!n || n->is_directory)
        return STATUS_INVALID_PARAMETER;
    NTSTATUS status = STATUS_SUCCESS;
    pthread_mutex_lock(&n->lock);
    for (struct lock_range *r = n->ranges; r && !status; r = r->next)
        if (overlaps(r, offset, length) && (exclusive || r->exclusive) &&
            !(r->owner == f && !exclusive))
            status = STATUS_LOCK_NOT_GRANTED;
    if (!status) {
        struct lock_range *r = malloc(sizeof *r);
        *r = (struct lock_range){n->ranges, f, offset, length, exclusive};
        n->ranges = r;
    }
    pthread_mutex_unlock(&n->lock);
    return status;
}

NTSTATUS fsd_unlock(struct file *f, uint64_t offset, uint64_t length)
{
    struct node *n = f->node;
    NTSTATUS status = STATUS_RANGE_NOT_LOCKED;
    if (!n || n->is_directory)
        return STATUS_INVALID_PARAMETER;
    pthread_mutex_lock(&n->lock);
    for (struct lock_range **at = &n->ranges, *r; (r = *at); at = &r->next)
        if (r->owner == f && r->offset == offset && r->length == length) {
            *at = r->next;
            free(r);
            status = STATUS_SUCCESS;
            break;
        }
    pthread_mutex_unlock(&n->lock);
    return status;
}

void fsd_unlock_all(struct file *f)
{
    struct node *n = f->node;
    pthread_mutex_lock(&n->lock);
    for (struct lock_range **at = &n->ranges, *r; (r = *at);) {
        if (r->owner != f) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        free(r);
    }
    pthread_mutex_unlock(&n->lock);
}
