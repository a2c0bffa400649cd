// SPDX-License-Identifier: BSD-3-Clause
/*
 * fsd_info.c - IRP_MJ_QUERY_INFORMATION
 *
 * Structures: MS-FSCC 2.4. What is answered without the file system, which classes WinFsp refuses and with what:
 * WinFsp src/sys/fileinfo.c.
 *
 * Ownership: none.   Locks: node.gate shared while the file system is asked.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/standin.h"

/* FILE_INFORMATION_CLASS, as far as names are missing or differ between headers */
enum {
    CLASS_BASIC = 4,
    CLASS_STANDARD = 5,
    CLASS_INTERNAL = 6,
    CLASS_EA = 7,
    CLASS_NAME = 9,
    CLASS_POSITION = 14,
    CLASS_ALL = 18,
    CLASS_ALTERNATE_NAME = 21,
    CLASS_STREAM = 22,
    CLASS_NETWORK_OPEN = 34,
    CLASS_ATTRIBUTE_TAG = 35,
    CLASS_HARD_LINK = 46,
    CLASS_NORMALIZED_NAME = 48,
};

static uint32_t attributes_of(const struct winfsp_file_info *i)
{
    return i->file_attributes ? i->file_attributes : FILE_ATTRIBUTE_NORMAL;
}

static uint32_t ea_size_of(const struct file *f, const struct winfsp_file_info *i)
{
    uint32_t size = volume_flag(f->vol, WINFSP_EXTENDED_ATTRIBUTES) ? i->ea_size : 0;
    return size ? size + 4 : 0;
}

static void fill_basic(const struct winfsp_file_info *i, FILE_BASIC_INFORMATION *out)
{
    memset(out, 0, sizeof *out);
    out->CreationTime.QuadPart = (LONGLONG)i->creation_time;
    out->LastAccessTime.QuadPart = (LONGLONG)i->last_access_time;
    out->LastWriteTime.QuadPart = (LONGLONG)i->last_write_time;
    out->ChangeTime.QuadPart = (LONGLONG)i->change_time;
    out->FileAttributes = attributes_of(i);
}

static void fill_standard(const struct file *f, const struct winfsp_file_info *i,
                          FILE_STANDARD_INFORMATION *out)
{
    memset(out, 0, sizeof *out);
    out->AllocationSize.QuadPart = (LONGLONG)i->allocation_size;
    out->EndOfFile.QuadPart = (LONGLONG)i->file_size;
    out->NumberOfLinks = 1;
    out->DeletePending = f->node->delete_pending || f->delete_pending;
    out->Directory = f->node->is_directory;
}

static void fill_network(const struct winfsp_file_info *i, FILE_NETWORK_OPEN_INFORMATION *out)
{
    memset(out, 0, sizeof *out);
    out->CreationTime.QuadPart = (LONGLONG)i->creation_time;
    out->LastAccessTime.QuadPart = (LONGLONG)i->last_access_time;
    out->LastWriteTime.QuadPart = (LONGLONG)i->last_write_time;
    out->ChangeTime.QuadPart = (LONGLONG)i->change_time;
    out->AllocationSize.QuadPart = (LONGLONG)i->allocation_size;
    out->EndOfFile.QuadPart = (LONGLONG)i->file_size;
    out->FileAttributes = attributes_of(i);
}

static NTSTATUS put(void *buf, uint32_t cap, uint32_t *len, const void *from, uint32_t size)
{
    if (cap < size)
        return STATUS_BUFFER_TOO_SMALL;
    memcpy(buf, from, size);
    *len = size;
    return STATUS_SUCCESS;
}

/* FILE_STREAM_INFORMATION: ":NAME:$DATA" for each; the last one may be cut (src/sys/fileinfo.c). */
static NTSTATUS put_streams(const uint8_t *list, uint32_t list_len, uint8_t *buf, uint32_t cap,
                            uint32_t *len)
{
    static const WCHAR type[] = {':', '$', 'D', 'A', 'T', 'A'};
    uint32_t at = 0, last = 0, from = 0;
    while (from + sizeof(struct winfsp_stream_info) <= list_len) {
        const struct winfsp_stream_info *s = (const void *)(list + from);
        WCHAR name[1 + WINFSP_NAME_UNITS + ARRAY_SIZE(type)] = {':'};
        if (s->size < sizeof *s)
            break;
        uint32_t bytes = s->size - (uint32_t)sizeof *s, copy;
        if (bytes > WINFSP_NAME_UNITS * sizeof(WCHAR))
            return STATUS_INTERNAL_ERROR;
        memcpy(name + 1, s->name, bytes);
        memcpy(name + 1 + UNITS(bytes), type, sizeof type);
        bytes += (uint32_t)(sizeof(WCHAR) + sizeof type);
        if (at + 24 > cap)
            return *len ? STATUS_BUFFER_OVERFLOW : STATUS_BUFFER_TOO_SMALL;
        copy = bytes < cap - at - 24 ? bytes : cap - at - 24;
        uint32_t head[2] = {0, bytes}, step = at - last;
        if (at)
            memcpy(buf + last, &step, 4);
        memcpy(buf + at, head, 8);
        memcpy(buf + at + 8, &s->stream_size, 8);
        memcpy(buf + at + 16, &s->stream_allocation_size, 8);
        memcpy(buf + at + 24, name, copy);
        *len = at + 24 + copy;
        if (copy < bytes)
            return STATUS_BUFFER_OVERFLOW;
        last = at;
        at = (*len + 7u) & ~7u;
        from += (s->size + 7u) & ~7u;
    }
    return STATUS_SUCCESS;
}

/* The streams of a file, asked on it or on any of them. */
static NTSTATUS query_streams(struct file *f, void *buf, uint32_t cap, uint32_t *len)
{
    struct node *n = f->node->main ? f->node->main : f->node;
    uint8_t *list = NULL;
    uint32_t list_len = 0;
    if (!volume_flag(f->vol, WINFSP_NAMED_STREAMS))
        return STATUS_INVALID_PARAMETER;
    NTSTATUS status =
        fsd_blob(f, n, WINFSP_KIND_QUERY_STREAM_INFORMATION, &n->streams,
                 f->vol->params.stream_info_timeout, DIR_BUFFER_MAX, &list, &list_len);
    if (NT_SUCCESS(status))
        status = put_streams(list, list_len, buf, cap, len);
    free(list);
    return status;
}

static NTSTATUS put_name(struct file *f, uint8_t *buf, uint32_t cap, uint32_t *len)
{
    uint32_t room = cap - 4, bytes;
    if (cap < 4)
        return STATUS_BUFFER_TOO_SMALL;
    pthread_mutex_lock(&f->vol->table);
    bytes = f->node->path_len * (uint32_t)sizeof(WCHAR);
    memcpy(buf, &bytes, 4);
    memcpy(buf + 4, f->node->path, bytes < room ? bytes : room);
    pthread_mutex_unlock(&f->vol->table);
    *len = 4 + (bytes < room ? bytes : room);
    return bytes > room ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

static NTSTATUS put_all(struct file *f, const struct winfsp_file_info *i, uint8_t *buf,
                        uint32_t cap, uint32_t *len)
{
    FILE_ALL_INFORMATION all;
    const uint32_t head = offsetof(FILE_ALL_INFORMATION, NameInformation);
    memset(&all, 0, sizeof all);
    fill_basic(i, &all.BasicInformation);
    fill_standard(f, i, &all.StandardInformation);
    all.InternalInformation.IndexNumber.QuadPart = (LONGLONG)f->node->index_number;
    all.EaInformation.EaSize = ea_size_of(f, i);
    all.AccessInformation.AccessFlags = f->access;
    all.PositionInformation.CurrentByteOffset.QuadPart = (LONGLONG)f->position;
    all.ModeInformation.Mode = f->options & 0x103Eu;
    memcpy(buf, &all, head);
    NTSTATUS status = put_name(f, buf + head, cap - head, len);
    *len += head;
    return status;
}

/* From the cache, or from the file system, whose answer is stored unless a newer one is there. */
static NTSTATUS get_info(struct file *f, struct winfsp_file_info *info)
{
    struct node *n = f->node;
    gate_shared(&n->gate);
    if (node_get_info(n, info)) {
        gate_release(&n->gate);
        return STATUS_SUCCESS;
    }
    pthread_mutex_lock(&n->lock);
    uint32_t change = n->info_life.change;
    pthread_mutex_unlock(&n->lock);
    struct op *op = fsd_op(f, WINFSP_KIND_QUERY_INFORMATION, 0);
    NTSTATUS status = op_call(f->vol, op, false);
    if (NT_SUCCESS(status)) {
        pthread_mutex_lock(&n->lock);
        bool newer = n->info_life.change != change;
        pthread_mutex_unlock(&n->lock);
        if (!newer)
            node_set_info(n, &op->rsp->file_info, false);
        node_get_info(n, info);
    }
    gate_release(&n->gate);
    op_free(op);
    return status;
}

static uint32_t least_room(uint32_t class)
{
    switch (class) {
    case CLASS_ALL:
        return sizeof(FILE_ALL_INFORMATION);
    case CLASS_ATTRIBUTE_TAG:
        return 8;
    case CLASS_BASIC:
        return sizeof(FILE_BASIC_INFORMATION);
    case CLASS_EA:
        return 4;
    case CLASS_NETWORK_OPEN:
        return sizeof(FILE_NETWORK_OPEN_INFORMATION);
    case CLASS_STANDARD:
        return sizeof(FILE_STANDARD_INFORMATION);
    default:
        return 0;
    }
}

static NTSTATUS without_asking(struct file *f, uint32_t class, void *buf, uint32_t cap,
                               uint32_t *len)
{
    switch (class) {
    case CLASS_INTERNAL:
        return put(buf, cap, len, &f->node->index_number, 8);
    case CLASS_NAME:
    case CLASS_NORMALIZED_NAME:
        return put_name(f, buf, cap, len);
    case CLASS_POSITION:
        return put(buf, cap, len, &f->position, 8);
    case CLASS_ALTERNATE_NAME:
        return STATUS_OBJECT_NAME_NOT_FOUND;
    case CLASS_HARD_LINK:
        return STATUS_NOT_SUPPORTED;
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

NTSTATUS fsd_query_info(struct file *f, uint32_t class, void *buf, uint32_t cap, uint32_t *len)
{
    struct winfsp_file_info info;
    *len = 0;
    if (!f->node)
        return STATUS_INVALID_PARAMETER;
    uint32_t least = least_room(class);
    if (class == CLASS_STREAM)
        return query_streams(f, buf, cap, len);
    if (!least)
        return without_asking(f, class, buf, cap, len);
    if (cap < least)
        return STATUS_BUFFER_TOO_SMALL;
    NTSTATUS status = get_info(f, &info);
    if (!NT_SUCCESS(status))
        return status;
    switch (class) {
    case CLASS_ALL:
        return put_all(f, &info, buf, cap, len);
    case CLASS_ATTRIBUTE_TAG: {
        uint32_t tag[2] = {attributes_of(&info), info.reparse_tag};
        return put(buf, cap, len, tag, sizeof tag);
    }
    case CLASS_BASIC: {
        FILE_BASIC_INFORMATION b;
        fill_basic(&info, &b);
        return put(buf, cap, len, &b, sizeof b);
    }
    case CLASS_EA: {
        uint32_t size = ea_size_of(f, &info);
        return put(buf, cap, len, &size, sizeof size);
    }
    case CLASS_NETWORK_OPEN: {
        FILE_NETWORK_OPEN_INFORMATION o;
        fill_network(&info, &o);
        return put(buf, cap, len, &o, sizeof o);
    }
    default: {
        FILE_STANDARD_INFORMATION s;
        fill_standard(f, &info, &s);
        return put(buf, cap, len, &s, sizeof s);
    }
    }
}
