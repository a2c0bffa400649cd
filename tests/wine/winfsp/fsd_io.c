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
 *   Cached files (FileInfoTimeout of forever, and not turned off for the open) are not modelled.
 *
 *   Flushing the root directory or the volume is a request with a NULL context; flushing another directory
 *   does nothing (src/sys/flush.c).
 *
 * Ownership: none.   Locks: node.gate; node.lock for ranges.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/contract.h"

static void need_uncached(const struct file *f, bool paging)
{
    if (f->caches && !paging)
        stop_loudly("cached files: a FileInfoTimeout of forever");
}

NTSTATUS fsd_read(struct file *f, uint64_t offset, uint32_t len, bool paging, void *buf,
                  uint32_t *got)
{
    struct node *n = f->node;
    *got = 0;
    if (!n)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (n->is_directory)
        return STATUS_INVALID_PARAMETER;
    if (!len)
        return STATUS_SUCCESS;
    need_uncached(f, paging);
    gate_shared(&n->gate);
    if (!paging && !fsd_range_free(f, offset, len, false)) {
        gate_release(&n->gate);
        return STATUS_FILE_LOCK_CONFLICT;
    }
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
        if (!paging)
            f->position = offset + information;
    }
    gate_release(&n->gate);
    guarded_free(g);
    return status;
}

static void written(struct file *f, uint64_t offset, uint32_t put, bool paging,
                    const struct winfsp_file_info *info)
{
    struct node *n = f->node;
    uint64_t before = n->file_size;
    contract_info(f->vol, "write", info);
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
    *put = 0;
    if (!n)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (n->is_directory || (paging && offset == UINT64_MAX))
        return STATUS_INVALID_PARAMETER;
    if (!len)
        return STATUS_SUCCESS;
    need_uncached(f, paging);
    gate_exclusive(&n->gate);
    if (!paging && !fsd_range_free(f, offset, len, true)) {
        gate_release(&n->gate);
        return STATUS_FILE_LOCK_CONFLICT;
    }
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
        written(f, offset, *put, paging, &op->rsp->file_info);
    }
    gate_release(&n->gate);
    op_free(op);
    guarded_free(g);
    return status;
}

NTSTATUS fsd_flush(struct file *f)
{
    struct node *n = f->node;
    bool volume = !n || n->is_root;
    if (!volume && n->is_directory)
        return STATUS_SUCCESS;
    struct op *op = fsd_op(f, WINFSP_KIND_FLUSH_BUFFERS, 0);
    if (volume)
        op->req->file.user_context = op->req->file.user_context2 = 0;
    else
        gate_exclusive(&n->gate);
    NTSTATUS status = op_call(f->vol, op, false);
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
