// SPDX-License-Identifier: BSD-3-Clause
/*
 * fsd_meta.c - security descriptors, extended attributes, reparse points
 *
 * WinFsp src/sys/security.c, ea.c, fsctl.c. Descriptors and EAs are asked for whole, cached for their timeouts,
 * and cut to what the program wanted. Names of EAs are given in upper case unless the volume preserves theirs.
 *
 * Ownership: none.   Locks: node.gate; node.lock around the caches.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/standin.h"

static uint32_t change_of(struct node *n, struct cached *c)
{
    pthread_mutex_lock(&n->lock);
    uint32_t change = c->change;
    pthread_mutex_unlock(&n->lock);
    return change;
}

/* A copy of what is cached, or NULL. */
static uint8_t *cached_copy(struct node *n, struct cached *c, uint32_t *len)
{
    uint8_t *copy = NULL;
    pthread_mutex_lock(&n->lock);
    if (cache_alive(n->vol, c) && c->data) {
        *len = c->len;
        copy = malloc(c->len + 1u);
        memcpy(copy, c->data, c->len);
    }
    pthread_mutex_unlock(&n->lock);
    return copy;
}

NTSTATUS fsd_blob(struct file *f, struct node *n, uint32_t kind, struct cached *c, uint32_t timeout,
                  uint32_t max, uint8_t **out, uint32_t *len)
{
    gate_shared(&n->gate);
    *out = cached_copy(n, c, len);
    if (*out) {
        gate_release(&n->gate);
        return STATUS_SUCCESS;
    }
    uint32_t change = change_of(n, c);
    struct op *op = fsd_op(f, kind, 0);
    NTSTATUS status = op_call(f->vol, op, false);
    if (NT_SUCCESS(status)) {
        *len = op->rsp->span.size;
        *out = malloc(*len + 1u);
        memcpy(*out, op->rsp->buffer, *len);
        pthread_mutex_lock(&n->lock);
        if (c->change == change)
            cache_store(f->vol, c, *out, *len, timeout, max);
        pthread_mutex_unlock(&n->lock);
    }
    gate_release(&n->gate);
    op_free(op);
    return status;
}

NTSTATUS fsd_query_security(struct file *f, uint32_t what, void *buf, uint32_t cap, uint32_t *len)
{
    uint8_t *sd = NULL;
    uint32_t sd_len;
    *len = 0;
    if (!f->node)
        return STATUS_INVALID_DEVICE_REQUEST;
    NTSTATUS status = fsd_blob(f, f->node, WINFSP_KIND_QUERY_SECURITY, &f->node->security,
                               f->vol->params.security_timeout, SECURITY_MAX, &sd, &sd_len);
    if (NT_SUCCESS(status)) {
        *len = sd_select(sd, what, buf, cap);
        if (*len > cap)
            status = STATUS_BUFFER_TOO_SMALL;
    }
    free(sd);
    return status;
}

NTSTATUS fsd_set_security(struct file *f, uint32_t what, const void *sd, uint32_t sd_len)
{
    struct node *n = f->node;
    if (!n)
        return STATUS_INVALID_DEVICE_REQUEST;
    struct op *op = fsd_op(f, WINFSP_KIND_SET_SECURITY, sd_len);
    if (!op)
        return STATUS_INVALID_PARAMETER;
    REQ_AS(req_security, op->req)->what = what;
    REQ_AS(req_security, op->req)->span = (struct winfsp_span){0, (uint16_t)sd_len};
    memcpy(op->req->buffer, sd, sd_len);
    gate_exclusive(&n->gate);
    NTSTATUS status = op_call(f->vol, op, false);
    if (NT_SUCCESS(status)) {
        pthread_mutex_lock(&n->lock);
        cache_store(f->vol, &n->security, NULL, 0, 0, 0);
        pthread_mutex_unlock(&n->lock);
        f->did_security = f->did_metadata = true;
        fsd_changed(n, FILE_NOTIFY_CHANGE_SECURITY, FILE_ACTION_MODIFIED, false);
    }
    gate_release(&n->gate);
    op_free(op);
    return status;
}

/* ---- extended attributes ------------------------------------------------------------------ */

bool ea_valid(const uint8_t *ea, uint32_t len, uint32_t *bad)
{
    uint32_t at = 0;
    for (;;) {
        struct winfsp_full_ea head;
        *bad = at;
        if (len - at < sizeof head)
            return false;
        memcpy(&head, ea + at, sizeof head);
        uint32_t size = (uint32_t)sizeof head + head.name_length + 1u + head.value_length;
        if (!head.name_length || len - at < size || ea[at + sizeof head + head.name_length])
            return false;
        if (!head.next_entry_offset)
            return true;
        if ((head.next_entry_offset & 3) || head.next_entry_offset < size ||
            head.next_entry_offset > len - at)
            return false;
        at += head.next_entry_offset;
    }
}

/* From the index'th EA on, as many as fit; *index counts on. */
static NTSTATUS copy_eas(struct file *f, const uint8_t *from, uint32_t from_len, uint8_t *out,
                         uint32_t cap, uint32_t *len)
{
    bool keep_case = volume_flag(f->vol, WINFSP_CASE_PRESERVED_EXTENDED_ATTRIBUTES);
    uint32_t at = 0, index = 0, last = 0, next = 0;
    bool more = from_len != 0;
    while (more) {
        struct winfsp_full_ea head;
        memcpy(&head, from + at, sizeof head);
        uint32_t size = (uint32_t)sizeof head + head.name_length + 1u + head.value_length;
        if (index++ >= f->ea_index) {
            if (next + size > cap)
                break;
            memcpy(out + next, from + at, size);
            memset(out + next, 0, 4);
            for (unsigned i = 0; i < head.name_length && !keep_case; i++) {
                uint8_t *c = out + next + sizeof head + i;
                *c = (uint8_t)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
            }
            uint32_t step = next - last;
            if (*len)
                memcpy(out + last, &step, 4);
            last = next;
            *len = next + size;
            next = (*len + 3u) & ~3u;
            f->ea_index = index;
        }
        more = head.next_entry_offset != 0;
        at += head.next_entry_offset;
    }
    if (*len)
        return more ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
    if (more)
        return STATUS_BUFFER_TOO_SMALL;
    return from_len ? STATUS_NO_MORE_EAS : STATUS_NO_EAS_ON_FILE;
}

NTSTATUS fsd_query_ea(struct file *f, bool restart, void *buf, uint32_t cap, uint32_t *len)
{
    struct node *n = f->node;
    uint8_t *ea = NULL;
    uint32_t ea_len = 0, bad;
    *len = 0;
    if (!n || !volume_flag(f->vol, WINFSP_EXTENDED_ATTRIBUTES))
        return STATUS_INVALID_DEVICE_REQUEST;
    NTSTATUS status = fsd_blob(f, f->node, WINFSP_KIND_QUERY_EA, &n->ea, f->vol->params.ea_timeout,
                               DIR_BUFFER_MAX, &ea, &ea_len);
    if (NT_SUCCESS(status) && ea_len && !ea_valid(ea, ea_len, &bad)) {
        violation(f->vol, "get_ea returned an inconsistent list (at %u of %u)", bad, ea_len);
        status = STATUS_EA_LIST_INCONSISTENT;
    }
    if (NT_SUCCESS(status) && !restart && f->ea_index && f->ea_changes != n->ea_changes)
        status = STATUS_EA_CORRUPT_ERROR;
    if (NT_SUCCESS(status)) {
        if (restart)
            f->ea_index = 0;
        f->ea_changes = n->ea_changes;
        status = copy_eas(f, ea, ea_len, buf, cap, len);
    }
    free(ea);
    return status;
}

NTSTATUS fsd_set_ea(struct file *f, const void *ea, uint32_t ea_len, uint64_t *information)
{
    struct node *n = f->node;
    uint32_t bad = 0;
    if (!n || !volume_flag(f->vol, WINFSP_EXTENDED_ATTRIBUTES))
        return STATUS_INVALID_DEVICE_REQUEST;
    if (!ea_valid(ea, ea_len, &bad)) {
        *information = bad;
        return STATUS_EA_LIST_INCONSISTENT;
    }
    struct op *op = fsd_op(f, WINFSP_KIND_SET_EA, ea_len);
    if (!op)
        return STATUS_INVALID_PARAMETER;
    REQ_AS(req_span, op->req)->span = (struct winfsp_span){0, (uint16_t)ea_len};
    memcpy(op->req->buffer, ea, ea_len);
    gate_exclusive(&n->gate);
    NTSTATUS status = op_call(f->vol, op, false);
    if (NT_SUCCESS(status)) {
        node_set_info(n, &op->rsp->file_info, false);
        pthread_mutex_lock(&n->lock);
        cache_store(f->vol, &n->ea, NULL, 0, 0, 0);
        n->ea_changes++;
        pthread_mutex_unlock(&n->lock);
        fsd_changed(n, FILE_NOTIFY_CHANGE_EA, FILE_ACTION_MODIFIED, false);
    }
    gate_release(&n->gate);
    op_free(op);
    return status;
}

/* ---- reparse points ----------------------------------------------------------------------- */

/* FsRtlValidateReparsePointBuffer, for the tags that are Microsoft's, and those with a GUID. */
NTSTATUS reparse_valid(const void *data, uint32_t len)
{
    const struct winfsp_reparse_data *r = data;
    if (len < 8 || len > 16384)
        return STATUS_IO_REPARSE_DATA_INVALID;
    bool microsoft = r->tag & 0x80000000u;
    if (r->data_length + (microsoft ? 8u : 24u) != len)
        return STATUS_IO_REPARSE_DATA_INVALID;
    if (r->tag <= 1)
        return STATUS_IO_REPARSE_TAG_INVALID;
    if (r->tag == IO_REPARSE_TAG_SYMLINK) {
        uint32_t room = len - 20;
        if (len < 20 ||
            r->symlink.substitute_name_offset + r->symlink.substitute_name_length > room ||
            r->symlink.print_name_offset + r->symlink.print_name_length > room ||
            (r->symlink.substitute_name_offset | r->symlink.substitute_name_length) & 1)
            return STATUS_IO_REPARSE_DATA_INVALID;
    }
    return STATUS_SUCCESS;
}

static NTSTATUS check_reparse_in(struct file *f, uint32_t code, const void *in, uint32_t in_len,
                                 uint32_t cap)
{
    const struct winfsp_reparse_data *r = in;
    if (!in_len)
        return STATUS_INVALID_BUFFER_SIZE;
    if (cap)
        return STATUS_INVALID_PARAMETER;
    if (code == FSCTL_SET_REPARSE_POINT) {
        NTSTATUS status = reparse_valid(in, in_len);
        if (status)
            return status;
    } else {
        if (in_len != 8 && in_len != 24)
            return STATUS_IO_REPARSE_DATA_INVALID;
        if (r->data_length)
            return STATUS_IO_REPARSE_DATA_INVALID;
        if (r->tag <= 1)
            return STATUS_IO_REPARSE_TAG_INVALID;
        if (!(r->tag & 0x80000000u) && in_len != 24)
            return STATUS_IO_REPARSE_DATA_INVALID;
    }
    if (!(f->access & (FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_WRITE_ATTRIBUTES)))
        return STATUS_ACCESS_DENIED;
    if (r->tag == IO_REPARSE_TAG_SYMLINK &&
        volume_flag(f->vol, WINFSP_REPARSE_POINTS_ACCESS_CHECK) && !f->token->create_symlinks)
        return STATUS_PRIVILEGE_NOT_HELD;
    return STATUS_SUCCESS;
}

static NTSTATUS reparse_out(struct file *f, const struct op *op, void *out, uint32_t cap,
                            uint32_t *len)
{
    uint32_t size = op->rsp->span.size;
    NTSTATUS status = reparse_valid(op->rsp->buffer, size);
    if (status) {
        violation(f->vol, "get_reparse_point returned invalid reparse data");
        return status;
    }
    if (size > cap)
        return STATUS_BUFFER_TOO_SMALL;
    memcpy(out, op->rsp->buffer, size);
    *len = size;
    return STATUS_SUCCESS;
}

static NTSTATUS reparse_point(struct file *f, uint32_t code, const void *in, uint32_t in_len,
                              void *out, uint32_t cap, uint32_t *len)
{
    struct node *n = f->node;
    bool get = code == FSCTL_GET_REPARSE_POINT;
    uint16_t at;
    if (!volume_flag(f->vol, WINFSP_REPARSE_POINTS))
        return STATUS_INVALID_DEVICE_REQUEST;
    if (!n)
        return STATUS_INVALID_PARAMETER;
    if (get && in_len)
        return STATUS_INVALID_PARAMETER;
    if (get && !cap)
        return STATUS_INVALID_USER_BUFFER;
    NTSTATUS status = get ? STATUS_SUCCESS : check_reparse_in(f, code, in, in_len, cap);
    if (status)
        return status;
    struct op *op = fsd_op_path(f, WINFSP_KIND_FILE_SYSTEM_CONTROL, in_len, &at);
    if (!op)
        return STATUS_IO_REPARSE_DATA_INVALID;
    REQ_AS(req_control, op->req)->code = code;
    if (in_len) {
        REQ_AS(req_control, op->req)->span = (struct winfsp_span){at, (uint16_t)in_len};
        memcpy(op->req->buffer + at, in, in_len);
    }
    if (get)
        gate_shared(&n->gate);
    else
        gate_exclusive(&n->gate);
    status = op_call(f->vol, op, false);
    if (NT_SUCCESS(status) && get) {
        status = reparse_out(f, op, out, cap, len);
    } else if (NT_SUCCESS(status)) {
        node_drop_info(n);
        f->did_metadata = true;
    }
    gate_release(&n->gate);
    op_free(op);
    return status;
}

NTSTATUS fsd_fsctl(struct file *f, uint32_t code, const void *in, uint32_t in_len, void *out,
                   uint32_t cap, uint32_t *len)
{
    *len = 0;
    switch (code) {
    case FSCTL_GET_REPARSE_POINT:
    case FSCTL_SET_REPARSE_POINT:
    case FSCTL_DELETE_REPARSE_POINT:
        return reparse_point(f, code, in, in_len, out, cap, len);
    default: /* oplocks, statistics and the rest: as a file system without them */
        return STATUS_INVALID_DEVICE_REQUEST;
    }
}
