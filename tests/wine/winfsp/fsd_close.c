// SPDX-License-Identifier: BSD-3-Clause
/*
 * fsd_close.c - IRP_MJ_CLEANUP and IRP_MJ_CLOSE: the last handle goes, then the file object
 *
 * WinFsp src/sys/cleanup.c, close.c: the cleanup decides on deletion and says what changed; it is only posted
 * when there is something to say, if the file system asked for that (PostCleanupWhenModifiedOnly). It carries
 * the path only when the file goes. The close is posted and not waited for; a file through which others still do paging
 * I/O is closed when the last of them is cleaned up.
 *
 * Ownership: fsd_close() frees the file.   Locks: node.gate, volume.table.
 */
#include <stdlib.h>

#include "tests/wine/winfsp/standin.h"

enum cleanup_bit {
    BIT_DELETE = 1,
    BIT_ALLOCATION = 2,
    BIT_ARCHIVE = 4,
    BIT_ACCESS = 8,
    BIT_WRITE = 16,
    BIT_CHANGE = 32
};

/* What becomes of the file: the last handle deletes, a POSIX deletion does not wait for it. */
static uint32_t decide(struct file *f)
{
    struct node *n = f->node;
    pthread_mutex_lock(&f->vol->table);
    if (f->delete_on_close)
        n->delete_pending = true;
    bool single = n->handles == 1, gone = false;
    bool truncate = !n->delete_pending && n->truncate_on_close;
    if (!n->posix_delete && f->posix_delete)
        n->posix_delete = gone = true;
    else if (!n->posix_delete && single)
        gone = n->delete_pending;
    pthread_mutex_unlock(&f->vol->table);
    return (gone ? BIT_DELETE : 0u) | (single && truncate ? BIT_ALLOCATION : 0u);
}

static uint32_t flags_of(struct file *f)
{
    uint32_t flags = decide(f);
    flags |= (f->modified || f->did_security) && !f->did_attributes ? BIT_ARCHIVE : 0u;
    flags |= !f->did_access_time ? BIT_ACCESS : 0u;
    flags |= f->modified && !f->did_write_time ? BIT_WRITE : 0u;
    flags |= (f->modified || f->did_metadata) && !f->did_change_time ? BIT_CHANGE : 0u;
    return flags;
}

static void tell(struct file *f, uint32_t flags)
{
    struct node *n = f->node;
    uint32_t filter = 0, action = FILE_ACTION_MODIFIED;
    if (flags & BIT_DELETE) {
        filter = n->is_directory ? FILE_NOTIFY_CHANGE_DIR_NAME : FILE_NOTIFY_CHANGE_FILE_NAME;
        action = FILE_ACTION_REMOVED;
    } else if (!n->posix_delete) {
        filter |= flags & BIT_ARCHIVE ? FILE_NOTIFY_CHANGE_ATTRIBUTES : 0u;
        filter |= flags & BIT_WRITE ? FILE_NOTIFY_CHANGE_LAST_WRITE : 0u;
    }
    if (filter)
        fsd_changed(n, filter, action, true);
    else if (f->did_metadata)
        node_drop_parent_dir(n);
}

/* With the last handle the pages go. Flushing comes first, unless the file is being deleted. */
static void flush_last(struct node *n)
{
    pthread_mutex_lock(&n->vol->table);
    bool wanted = n->handles == 1 && !n->delete_pending;
    pthread_mutex_unlock(&n->vol->table);
    if (wanted)
        (void)cache_flush(n); /* a cleanup cannot fail */
}

static void post_close(struct file *f)
{
    struct op *op = fsd_op(f, WINFSP_KIND_CLOSE, 0);
    node_close(f->node, NULL, false);
    op_post(f->vol, op);
}

static void finish_close(struct file *f)
{
    free(f->pattern);
    free(f->marker);
    free(f);
}

static void let_go(struct file *f, bool deleted)
{
    struct node *n = f->node;
    struct file *owner = NULL;
    pthread_mutex_lock(&f->vol->table);
    node_unshare(n, f);
    if (deleted) {
        node_unlist(n);
        node_unlist_streams(n);
    }
    bool last = --n->handles == 0;
    if (last)
        n->truncate_on_close = false;
    pthread_mutex_unlock(&f->vol->table);
    if (last)
        owner = cache_end(n);
    if (owner && owner->close_due) {
        post_close(owner); /* the node stays: `f` has it open */
        finish_close(owner);
    }
}

void fsd_cleanup(struct file *f)
{
    struct node *n = f->node;
    if (!n || f->cleaned)
        return;
    f->cleaned = true;
    gate_exclusive(&n->gate);
    uint32_t flags = flags_of(f);
    if (n->is_directory)
        watch_close(f);
    fsd_unlock_all(f);
    flush_last(n);
    if ((flags & ~(uint32_t)BIT_ACCESS) ||
        !volume_flag(f->vol, WINFSP_POST_CLEANUP_WHEN_MODIFIED_ONLY)) {
        struct op *op = flags & BIT_DELETE ? fsd_op_path(f, WINFSP_KIND_CLEANUP, 0, NULL)
                                           : fsd_op(f, WINFSP_KIND_CLEANUP, 0);
        op->req->file.cleanup.flags = flags;
        if (NT_SUCCESS(op_call(f->vol, op, true)))
            tell(f, flags);
        op_free(op);
    } else if (f->did_metadata) {
        node_drop_parent_dir(n);
    }
    let_go(f, flags & BIT_DELETE);
    gate_release(&n->gate);
}

void fsd_close(struct file *f)
{
    struct file *stream_of = f->main;
    bool due = false;
    f->main = NULL;
    if (f->node) {
        gate_exclusive(&f->node->gate);
        due = f->close_due = cache_owned_by(f->node, f); /* then somebody else's cleanup does it */
        gate_release(&f->node->gate);
        if (!due)
            post_close(f);
    }
    if (!due)
        finish_close(f);
    if (stream_of) {
        fsd_cleanup(stream_of);
        fsd_close(stream_of);
    }
}
