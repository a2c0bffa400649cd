// SPDX-License-Identifier: BSD-3-Clause
/*
 * fsd_set.c - IRP_MJ_SET_INFORMATION: times, attributes, sizes, deletion, renaming
 *
 * WinFsp src/sys/fileinfo.c. Attributes of 0 mean "as they are" (the file system sees -1), times of 0 and -1
 * too (it sees 0). A deletion is a promise until the last cleanup; with POSIX semantics until the handle's own.
 *
 * Ownership: none.   Locks: volume.rename exclusive for renames, node.gate.
 */
#include <string.h>

#include "tests/wine/winfsp/standin.h"

enum {
    CLASS_BASIC = 4,
    CLASS_RENAME = 10,
    CLASS_LINK = 11,
    CLASS_DISPOSITION = 13,
    CLASS_POSITION = 14,
    CLASS_ALLOCATION = 19,
    CLASS_END_OF_FILE = 20,
    CLASS_DISPOSITION_EX = 64,
    CLASS_RENAME_EX = 65,
    CLASS_LINK_EX = 72,
};
enum {
    DISPOSE_DELETE = 1,
    DISPOSE_POSIX = 2,
    DISPOSE_FORCE = 4,
    DISPOSE_ON_CLOSE = 8,
    DISPOSE_IGNORE_READONLY = 0x10
};
enum { RENAME_REPLACE = 1, RENAME_POSIX = 2, RENAME_IGNORE_READONLY = 0x40 };

static uint64_t time_of(int64_t given)
{
    return given == -1 ? 0 : (uint64_t)given;
}

static void basic_request(struct file *f, const FILE_BASIC_INFORMATION *b, struct op *op)
{
    uint32_t attributes = b->FileAttributes;
    if (!attributes) {
        attributes = UINT32_MAX;
    } else {
        attributes &= ~(uint32_t)(FILE_ATTRIBUTE_NORMAL | FILE_ATTRIBUTE_DIRECTORY);
        attributes |= f->node->is_directory ? FILE_ATTRIBUTE_DIRECTORY : 0;
    }
    op->req->file.set_information.basic.file_attributes = attributes;
    op->req->file.set_information.basic.creation_time = time_of(b->CreationTime.QuadPart);
    op->req->file.set_information.basic.last_access_time = time_of(b->LastAccessTime.QuadPart);
    op->req->file.set_information.basic.last_write_time = time_of(b->LastWriteTime.QuadPart);
    op->req->file.set_information.basic.change_time = time_of(b->ChangeTime.QuadPart);
}

static void basic_done(struct file *f, const struct op *op)
{
    uint32_t filter = 0;
    node_set_info(f->node, &op->rsp->file_info, false);
    if (f->node->main)
        node_drop_info(f->node->main);
    if (op->req->file.set_information.basic.file_attributes != UINT32_MAX) {
        f->did_attributes = true;
        filter |= FILE_NOTIFY_CHANGE_ATTRIBUTES;
    }
    if (op->req->file.set_information.basic.creation_time)
        filter |= FILE_NOTIFY_CHANGE_CREATION;
    if (op->req->file.set_information.basic.last_access_time) {
        f->did_access_time = true;
        filter |= FILE_NOTIFY_CHANGE_LAST_ACCESS;
    }
    if (op->req->file.set_information.basic.last_write_time) {
        f->did_write_time = true;
        filter |= FILE_NOTIFY_CHANGE_LAST_WRITE;
    }
    if (op->req->file.set_information.basic.change_time)
        f->did_change_time = true;
    f->did_metadata = true;
    if (filter)
        fsd_changed(f->node, filter, FILE_ACTION_MODIFIED, true);
}

static NTSTATUS basic_check(struct file *f, const FILE_BASIC_INFORMATION *b, uint32_t len)
{
    if (len < sizeof *b)
        return STATUS_INVALID_PARAMETER;
    return f->node->is_directory && (b->FileAttributes & FILE_ATTRIBUTE_TEMPORARY)
               ? STATUS_INVALID_PARAMETER
               : STATUS_SUCCESS;
}

NTSTATUS fsd_set_info(struct file *f, uint32_t class, const void *buf, uint32_t len)
{
    uint64_t size = 0, unit = volume_unit(f->vol);
    NTSTATUS status = STATUS_SUCCESS;
    if (!f->node)
        return STATUS_INVALID_PARAMETER;
    switch (class) {
    case CLASS_BASIC:
        status = basic_check(f, buf, len);
        break;
    case CLASS_POSITION:
        if (len < 8)
            return STATUS_INVALID_PARAMETER;
        memcpy(&f->position, buf, 8);
        return STATUS_SUCCESS;
    case CLASS_ALLOCATION:
    case CLASS_END_OF_FILE:
        if (len < 8)
            return STATUS_INVALID_PARAMETER;
        memcpy(&size, buf, 8);
        if (class == CLASS_ALLOCATION)
            size = (size + unit - 1) / unit * unit;
        break;
    case CLASS_LINK:
    case CLASS_LINK_EX:
        return class == CLASS_LINK ? STATUS_NOT_SUPPORTED : STATUS_INVALID_PARAMETER;
    default:
        return STATUS_INVALID_PARAMETER;
    }
    if (status)
        return status;
    struct node *n = f->node;
    struct op *op = fsd_op(f, WINFSP_KIND_SET_INFORMATION, 0);
    op->req->file.set_information.information_class = class;
    if (class == CLASS_BASIC)
        basic_request(f, buf, op);
    else
        op->req->file.set_information.resize.size = size;
    gate_exclusive(&n->gate);
    status = op_call(f->vol, op, false);
    if (NT_SUCCESS(status) && class == CLASS_BASIC) {
        basic_done(f, op);
    } else if (NT_SUCCESS(status)) {
        node_set_info(n, &op->rsp->file_info, true);
        f->modified = true;
        fsd_changed(n, FILE_NOTIFY_CHANGE_SIZE, FILE_ACTION_MODIFIED, false);
    }
    gate_release(&n->gate);
    op_free(op);
    return status;
}

/* With PostDispositionWhenNecessaryOnly the file system is asked for directories and read-only files only. */
static bool must_ask(const struct file *f, uint32_t flags)
{
    if (!volume_flag(f->vol, WINFSP_POST_DISPOSITION_WHEN_NECESSARY_ONLY) || f->node->is_directory)
        return true;
    return !(flags & DISPOSE_IGNORE_READONLY);
}

static NTSTATUS dispose(struct file *f, uint32_t class, uint32_t flags)
{
    struct node *n = f->node;
    if (n->posix_delete)
        return STATUS_FILE_DELETED;
    if ((flags & ~(uint32_t)DISPOSE_POSIX) == DISPOSE_DELETE && f->disposition)
        return f->disposition;
    f->disposition = STATUS_SUCCESS;
    NTSTATUS status = STATUS_SUCCESS;
    if (must_ask(f, flags)) {
        struct op *op = fsd_op_path(f, WINFSP_KIND_SET_INFORMATION, 0, NULL);
        op->req->file.set_information.information_class = class;
        op->req->file.set_information.disposition.flags = flags;
        status = op_call(f->vol, op, false);
        op_free(op);
    }
    if (!NT_SUCCESS(status)) {
        /* Windows asks again without POSIX semantics: the same answer, without asking */
        if ((status == STATUS_ACCESS_DENIED || status == STATUS_DIRECTORY_NOT_EMPTY ||
             status == STATUS_CANNOT_DELETE) &&
            (flags & ~(uint32_t)DISPOSE_POSIX) == DISPOSE_DELETE)
            f->disposition = status;
        return status;
    }
    pthread_mutex_lock(&f->vol->table);
    n->delete_pending = f->delete_pending = flags & DISPOSE_DELETE;
    pthread_mutex_unlock(&f->vol->table);
    f->posix_delete = (flags & DISPOSE_DELETE) && (f->posix_delete || (flags & DISPOSE_POSIX));
    return STATUS_SUCCESS;
}

NTSTATUS fsd_set_disposition(struct file *f, uint32_t class, const void *buf, uint32_t len)
{
    uint32_t flags = 0;
    if (!f->node)
        return STATUS_INVALID_PARAMETER;
    if (class == CLASS_DISPOSITION) {
        if (len < 1)
            return STATUS_INVALID_PARAMETER;
        flags = *(const uint8_t *)buf ? DISPOSE_DELETE : 0;
    } else {
        if (!volume_flag(f->vol, WINFSP_SUPPORTS_POSIX_UNLINK_RENAME) || len < 4)
            return STATUS_INVALID_PARAMETER;
        memcpy(&flags, buf, 4);
        if (flags & DISPOSE_ON_CLOSE)
            return STATUS_NOT_SUPPORTED;
    }
    if (f->node->is_root)
        return STATUS_CANNOT_DELETE;
    flags = flags & DISPOSE_DELETE
                ? flags & (DISPOSE_DELETE | DISPOSE_POSIX | DISPOSE_IGNORE_READONLY)
                : 0;
    gate_exclusive(&f->node->gate);
    NTSTATUS status = dispose(f, class, flags);
    gate_release(&f->node->gate);
    return status;
}

/* The new path: the target's directory, or the file's own, and the last component of the name given. */
static bool new_path(struct file *f, struct file *target, struct name given, WCHAR *buf,
                     unsigned cap, struct name *out)
{
    struct volume *v = f->vol;
    struct name parent, last, own_last;
    if (given.len > 1 && given.at[given.len - 1] == '\\')
        given.len--;
    name_split(given, &parent, &last);
    if (!last.len || !name_path_valid(last, v->params.max_component_length, NULL, NULL))
        return false;
    pthread_mutex_lock(&v->table);
    name_split(node_name(f->node), &parent, &own_last);
    if (target)
        parent = node_name(target->node);
    unsigned n = parent.len, slash = !name_is_root(parent);
    bool fits = n + slash + last.len <= cap;
    if (fits) {
        memcpy(buf, parent.at, n * sizeof(WCHAR));
        if (slash)
            buf[n] = '\\';
        memcpy(buf + n + slash, last.at, last.len * sizeof(WCHAR));
        *out = (struct name){buf, n + slash + last.len};
    }
    pthread_mutex_unlock(&v->table);
    return fits;
}

static NTSTATUS ask_rename(struct file *f, uint32_t class, uint32_t flags, struct name to)
{
    struct node *n = f->node;
    uint16_t at;
    struct op *op = fsd_op_path(f, WINFSP_KIND_SET_INFORMATION, (to.len + 1) * sizeof(WCHAR), &at);
    if (!op)
        return STATUS_INVALID_PARAMETER;
    memcpy(op->req->buffer + at, to.at, to.len * sizeof(WCHAR));
    op->req->file.set_information.information_class = class;
    op->req->file.set_information.rename.new_name =
        (struct winfsp_span){at, (uint16_t)((to.len + 1) * sizeof(WCHAR))};
    op->req->file.set_information.rename.flags = flags;
    if (flags & RENAME_REPLACE)
        op->req->file.set_information.rename.access_token = token_handle(f->pid, f->token);
    NTSTATUS status = op_call(f->vol, op, false);
    op_free(op);
    if (!NT_SUCCESS(status))
        return status;
    uint32_t filter = n->is_directory ? FILE_NOTIFY_CHANGE_DIR_NAME : FILE_NOTIFY_CHANGE_FILE_NAME;
    fsd_changed(n, filter, FILE_ACTION_RENAMED_OLD_NAME, true);
    node_rename(n, to);
    fsd_changed(n, filter, FILE_ACTION_RENAMED_NEW_NAME, true);
    return STATUS_SUCCESS;
}

static NTSTATUS rename_locked(struct file *f, struct file *target, uint32_t class, uint32_t flags,
                              struct name given)
{
    struct node *n = f->node;
    WCHAR buf[REQUEST_MAX / sizeof(WCHAR) / 2];
    struct name to;
    bool posix = flags & RENAME_POSIX;
    if (n->posix_delete)
        return STATUS_ACCESS_DENIED;
    if (!new_path(f, target, given, buf, ARRAY_SIZE(buf), &to))
        return STATUS_INVALID_PARAMETER;
    NTSTATUS status = node_rename_check(f->vol, n, node_name(n), true, posix);
    if (status)
        return status;
    if (!name_equal(node_name(n), to, volume_folds(f->vol)))
        status = node_rename_check(f->vol, n, to, false, posix);
    else if (name_equal(node_name(n), to, false))
        return STATUS_SUCCESS; /* the very same name: nothing to ask */
    return status ? status : ask_rename(f, class, flags, to);
}

NTSTATUS fsd_rename(struct file *f, struct file *target, uint32_t class, const void *buf,
                    uint32_t len)
{
    const uint8_t *b = buf;
    uint32_t bytes, flags = 0;
    if (!f->node || len < 24)
        return STATUS_INVALID_PARAMETER;
    memcpy(&bytes, b + 16, 4);
    if (bytes < sizeof(WCHAR) || bytes > len - 20)
        return STATUS_INVALID_PARAMETER;
    if (class == CLASS_RENAME_EX) {
        if (!volume_flag(f->vol, WINFSP_SUPPORTS_POSIX_UNLINK_RENAME))
            return STATUS_INVALID_PARAMETER;
        memcpy(&flags, b, 4);
        flags &= RENAME_REPLACE | RENAME_POSIX | RENAME_IGNORE_READONLY;
    } else {
        flags = b[0] ? RENAME_REPLACE : 0;
    }
    if (f->node->is_root || f->node->main || (target && !target->node))
        return STATUS_INVALID_PARAMETER;
    struct name given = {(const WCHAR *)(const void *)(b + 20), UNITS(bytes)};
    gate_exclusive(&f->vol->rename);
    gate_exclusive(&f->node->gate);
    NTSTATUS status = rename_locked(f, target, class, flags, given);
    gate_release(&f->node->gate);
    gate_release(&f->vol->rename);
    return status;
}
