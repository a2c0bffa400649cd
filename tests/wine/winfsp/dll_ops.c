// SPDX-License-Identifier: BSD-3-Clause
/*
 * dll_ops.c - from a request to a callback of the file system (all kinds but create)
 *
 * What WinFsp's DLL does in src/dll/fsop.c: which callback serves which request, what stands in for a
 * missing one, what is cleared before and checked after. The checks of contract.c are ours.
 *
 * Ownership: borrows request and response.   Locks: none of its own; runs between enter and leave.
 */
#include <string.h>

#include "tests/wine/winfsp/contract.h"

#define CLASS_BASIC       4
#define CLASS_RENAME      10
#define CLASS_DISPOSITION 13
#define CLASS_ALLOCATION  19
#define CLASS_END_OF_FILE 20
#define CLASS_DISP_EX     64
#define CLASS_RENAME_EX   65

#define DISPOSITION_DELETE          1u
#define DISPOSITION_IGNORE_READONLY 0x10u

static void *context_of(struct volume *v, const struct winfsp_request *req)
{
    return (void *)(uintptr_t)(v->fs.context_is_user_context2 ? req->file.user_context2
                                                              : req->file.user_context);
}

static WCHAR *path_of(struct winfsp_request *req)
{
    return (WCHAR *)(void *)req->buffer;
}

static NTSTATUS overwrite(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp,
                          void *ctx)
{
    const struct winfsp_interface *i = v->fs.interface_;
    struct winfsp_file_info info = {0};
    const struct req_overwrite *o = REQ_AS(req_overwrite, req);
    NTSTATUS status;
    if (i->overwrite_ex) {
        COUNTED(v, overwrite_ex);
        status = i->overwrite_ex(&v->fs, ctx, o->attributes, o->supersede & 1, o->allocation,
                                 o->ea.size ? (void *)(req->buffer + o->ea.offset) : NULL,
                                 o->ea.size, &info);
    } else if (i->overwrite) {
        COUNTED(v, overwrite);
        status = i->overwrite(&v->fs, ctx, o->attributes, o->supersede & 1, o->allocation, &info);
    } else {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    contract_status(v, "overwrite", status, false);
    if (!NT_SUCCESS(status)) {
        if (i->close) { /* the driver considers the file closed */
            COUNTED(v, close);
            i->close(&v->fs, ctx);
        }
        return status;
    }
    contract_info(v, "overwrite", &info);
    rsp->file_info = info;
    return STATUS_SUCCESS;
}

static NTSTATUS cleanup(struct volume *v, struct winfsp_request *req, void *ctx)
{
    static const ULONG flags[] = {WINFSP_CLEANUP_DELETE,
                                  WINFSP_CLEANUP_SET_ALLOCATION_SIZE,
                                  WINFSP_CLEANUP_SET_ARCHIVE_BIT,
                                  WINFSP_CLEANUP_SET_LAST_ACCESS_TIME,
                                  WINFSP_CLEANUP_SET_LAST_WRITE_TIME,
                                  WINFSP_CLEANUP_SET_CHANGE_TIME};
    ULONG given = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++)
        given |= req->file.cleanup.flags >> i & 1 ? flags[i] : 0;
    if (v->fs.interface_->cleanup) {
        COUNTED(v, cleanup);
        v->fs.interface_->cleanup(&v->fs, ctx, req->file_name.size ? path_of(req) : NULL, given);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS close_file(struct volume *v, void *ctx)
{
    if (v->fs.interface_->close) {
        COUNTED(v, close);
        v->fs.interface_->close(&v->fs, ctx);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS read_file(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp,
                          void *ctx)
{
    uint32_t len = req->file.io.length;
    ULONG got = 0;
    if (!v->fs.interface_->read)
        return STATUS_INVALID_DEVICE_REQUEST;
    COUNTED(v, read);
    NTSTATUS status = v->fs.interface_->read(&v->fs, ctx, (void *)(uintptr_t)req->file.io.address,
                                             req->file.io.offset, len, &got);
    contract_status(v, "read", status, true);
    if (status == STATUS_SUCCESS)
        rsp->information = got;
    return status;
}

static NTSTATUS write_file(struct volume *v, struct winfsp_request *req,
                           struct winfsp_response *rsp, void *ctx)
{
    struct winfsp_file_info info;
    uint64_t offset = req->file.io.offset;
    uint32_t len = req->file.io.length;
    ULONG put = 0;
    if (!v->fs.interface_->write)
        return STATUS_INVALID_DEVICE_REQUEST;
    contract_garbage(&info); /* WinFsp does not clear it either */
    COUNTED(v, write);
    NTSTATUS status =
        v->fs.interface_->write(&v->fs, ctx, (void *)(uintptr_t)req->file.io.address, offset, len,
                                offset == UINT64_MAX, req->file.io.constrained & 1, &put, &info);
    contract_status(v, "write", status, true);
    if (status == STATUS_SUCCESS) {
        rsp->information = put;
        rsp->file_info = info;
    }
    return status;
}

static NTSTATUS flush(struct volume *v, struct winfsp_response *rsp, void *ctx)
{
    struct winfsp_file_info info = {0};
    NTSTATUS status;
    if (v->fs.interface_->flush) {
        COUNTED(v, flush);
        status = v->fs.interface_->flush(&v->fs, ctx, &info);
    } else {
        COUNTED(v, get_file_info);
        status = v->fs.interface_->get_file_info(&v->fs, ctx, &info);
    }
    contract_status(v, "flush", status, false);
    if (NT_SUCCESS(status) && ctx)
        contract_info(v, "flush", &info);
    rsp->file_info = info;
    return status;
}

static NTSTATUS query_info(struct volume *v, struct winfsp_response *rsp, void *ctx)
{
    struct winfsp_file_info info = {0};
    if (!v->fs.interface_->get_file_info)
        return STATUS_INVALID_DEVICE_REQUEST;
    COUNTED(v, get_file_info);
    NTSTATUS status = v->fs.interface_->get_file_info(&v->fs, ctx, &info);
    contract_status(v, "get_file_info", status, false);
    if (NT_SUCCESS(status))
        contract_info(v, "get_file_info", &info);
    rsp->file_info = info;
    return status;
}

static NTSTATUS dispose(struct volume *v, struct winfsp_request *req, void *ctx)
{
    const struct winfsp_interface *i = v->fs.interface_;
    uint32_t flags = req->file.set_information.disposition.flags;
    struct winfsp_file_info info = {0};
    if (!(flags & DISPOSITION_IGNORE_READONLY) && i->get_file_info) {
        COUNTED(v, get_file_info);
        NTSTATUS status = i->get_file_info(&v->fs, ctx, &info);
        if (NT_SUCCESS(status) && (info.file_attributes & FILE_ATTRIBUTE_READONLY))
            return STATUS_CANNOT_DELETE;
    }
    if (i->set_delete) {
        COUNTED(v, set_delete);
        return i->set_delete(&v->fs, ctx, path_of(req), flags & DISPOSITION_DELETE);
    }
    if (!i->can_delete)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (!(flags & DISPOSITION_DELETE))
        return STATUS_SUCCESS;
    COUNTED(v, can_delete);
    return i->can_delete(&v->fs, ctx, path_of(req));
}

/* The target of a replacing rename must give DELETE, and must not be read-only. */
static NTSTATUS rename_check(struct volume *v, struct winfsp_request *req)
{
    _Alignas(8) uint8_t fake[sizeof(struct winfsp_request) + WINFSP_PATH_UNITS * 32];
    struct winfsp_request *create = (void *)fake;
    struct winfsp_span to = req->file.set_information.rename.new_name;
    bool ignore_readonly = req->file.set_information.information_class == CLASS_RENAME_EX &&
                           (req->file.set_information.rename.flags & 0x40);
    memset(create, 0, sizeof *create);
    create->kind = WINFSP_KIND_CREATE;
    create->create.create_options =
        (ignore_readonly ? 0 : FILE_DELETE_ON_CLOSE) | FILE_OPEN_REPARSE_POINT;
    create->create.access_token = req->file.set_information.rename.access_token;
    create->create.flags = WINFSP_CREATE_USER_MODE | WINFSP_CREATE_HAS_TRAVERSE_PRIVILEGE;
    memcpy(create->buffer, req->buffer + to.offset, to.size);
    struct access_check check = {.desired = DELETE};
    NTSTATUS status = access_check(v, create, &check);
    return status == STATUS_REPARSE || status == STATUS_OBJECT_NAME_NOT_FOUND ||
                   status == STATUS_OBJECT_PATH_NOT_FOUND
               ? STATUS_SUCCESS
               : status;
}

static NTSTATUS rename_file(struct volume *v, struct winfsp_request *req, void *ctx)
{
    bool replace = req->file.set_information.rename.access_token != 0;
    if (!v->fs.interface_->rename)
        return STATUS_INVALID_DEVICE_REQUEST;
    NTSTATUS status = replace ? rename_check(v, req) : STATUS_SUCCESS;
    if (!NT_SUCCESS(status))
        return status;
    COUNTED(v, rename);
    return v->fs.interface_->rename(
        &v->fs, ctx, path_of(req),
        (WCHAR *)(void *)(req->buffer + req->file.set_information.rename.new_name.offset), replace);
}

static NTSTATUS resize(struct volume *v, struct winfsp_request *req, void *ctx,
                       struct winfsp_file_info *info)
{
    if (!v->fs.interface_->set_file_size)
        return STATUS_INVALID_DEVICE_REQUEST;
    COUNTED(v, set_file_size);
    return v->fs.interface_->set_file_size(
        &v->fs, ctx, req->file.set_information.resize.size,
        req->file.set_information.information_class == CLASS_ALLOCATION, info);
}

static NTSTATUS set_basic(struct volume *v, struct winfsp_request *req, void *ctx,
                          struct winfsp_file_info *info)
{
    if (!v->fs.interface_->set_basic_info)
        return STATUS_INVALID_DEVICE_REQUEST;
    COUNTED(v, set_basic_info);
    return v->fs.interface_->set_basic_info(&v->fs, ctx,
                                            req->file.set_information.basic.file_attributes,
                                            req->file.set_information.basic.creation_time,
                                            req->file.set_information.basic.last_access_time,
                                            req->file.set_information.basic.last_write_time,
                                            req->file.set_information.basic.change_time, info);
}

static NTSTATUS set_info(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp,
                         void *ctx)
{
    struct winfsp_file_info info = {0};
    NTSTATUS status;
    switch (req->file.set_information.information_class) {
    case CLASS_DISPOSITION:
    case CLASS_DISP_EX:
        status = dispose(v, req, ctx);
        contract_status(v, "set_delete", status, false);
        return status;
    case CLASS_RENAME:
    case CLASS_RENAME_EX:
        status = rename_file(v, req, ctx);
        contract_status(v, "rename", status, false);
        return status;
    case CLASS_ALLOCATION:
    case CLASS_END_OF_FILE:
        status = resize(v, req, ctx, &info);
        break;
    default:
        status = set_basic(v, req, ctx, &info);
    }
    contract_status(v, "set_basic_info or set_file_size", status, false);
    if (NT_SUCCESS(status))
        contract_info(v, "set_basic_info or set_file_size", &info);
    rsp->file_info = info;
    return status;
}

static NTSTATUS query_ea(struct volume *v, struct winfsp_response *rsp, void *ctx)
{
    ULONG got = 0;
    if (!v->fs.interface_->get_ea)
        return STATUS_INVALID_DEVICE_REQUEST;
    COUNTED(v, get_ea);
    NTSTATUS status =
        v->fs.interface_->get_ea(&v->fs, ctx, (void *)rsp->buffer, (ULONG)RESPONSE_ROOM, &got);
    contract_status(v, "get_ea", status, false);
    if (!NT_SUCCESS(status))
        return status == STATUS_BUFFER_OVERFLOW ? STATUS_EA_LIST_INCONSISTENT : status;
    if (got > RESPONSE_ROOM) {
        violation(v, "get_ea returned %u bytes in room for %zu", (unsigned)got, RESPONSE_ROOM);
        return STATUS_EA_LIST_INCONSISTENT;
    }
    rsp->size = (uint16_t)(sizeof *rsp + got);
    rsp->span = (struct winfsp_span){0, (uint16_t)got};
    return STATUS_SUCCESS;
}

static NTSTATUS set_ea(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp,
                       void *ctx)
{
    struct winfsp_file_info info = {0};
    if (!v->fs.interface_->set_ea)
        return STATUS_INVALID_DEVICE_REQUEST;
    COUNTED(v, set_ea);
    NTSTATUS status = v->fs.interface_->set_ea(&v->fs, ctx, (void *)req->buffer,
                                               REQ_AS(req_span, req)->span.size, &info);
    contract_status(v, "set_ea", status, false);
    if (NT_SUCCESS(status))
        contract_info(v, "set_ea", &info);
    rsp->file_info = info;
    return status;
}

static NTSTATUS query_streams(struct volume *v, struct winfsp_response *rsp, void *ctx)
{
    ULONG got = 0;
    if (!v->fs.interface_->get_stream_info)
        return STATUS_INVALID_DEVICE_REQUEST;
    COUNTED(v, get_stream_info);
    NTSTATUS status = v->fs.interface_->get_stream_info(&v->fs, ctx, (void *)rsp->buffer,
                                                        (ULONG)RESPONSE_ROOM, &got);
    contract_status(v, "get_stream_info", status, false);
    if (!NT_SUCCESS(status))
        return status;
    contract_streams(v, rsp->buffer, got, (uint32_t)RESPONSE_ROOM);
    if (got > RESPONSE_ROOM)
        return STATUS_INTERNAL_ERROR;
    rsp->size = (uint16_t)(sizeof *rsp + got);
    rsp->span = (struct winfsp_span){0, (uint16_t)got};
    return STATUS_SUCCESS;
}

static NTSTATUS volume_info(struct volume *v, struct winfsp_request *req,
                            struct winfsp_response *rsp)
{
    const struct winfsp_interface *i = v->fs.interface_;
    struct winfsp_volume_info info = {0};
    NTSTATUS status = STATUS_INVALID_DEVICE_REQUEST;
    if (req->kind == WINFSP_KIND_SET_VOLUME_INFORMATION && i->set_volume_label) {
        COUNTED(v, set_volume_label);
        status = i->set_volume_label(&v->fs, path_of(req), &info);
    } else if (req->kind == WINFSP_KIND_QUERY_VOLUME_INFORMATION && i->get_volume_info) {
        COUNTED(v, get_volume_info);
        status = i->get_volume_info(&v->fs, &info);
    }
    contract_status(v, "get_volume_info or set_volume_label", status, false);
    if (NT_SUCCESS(status) &&
        (!info.total_size || info.free_size > info.total_size ||
         info.volume_label_length > sizeof info.volume_label || (info.volume_label_length & 1)))
        violation(v, "volume info: total %llu, free %llu, %u bytes of label",
                  (unsigned long long)info.total_size, (unsigned long long)info.free_size,
                  info.volume_label_length);
    memcpy(rsp->largest, &info, sizeof info);
    return status;
}

static NTSTATUS by_name(struct volume *v, struct winfsp_request *req, void *ctx, ULONG *got)
{
    _Alignas(8) uint8_t buf[sizeof(struct winfsp_dir_info) + WINFSP_NAME_UNITS * sizeof(WCHAR)];
    struct winfsp_dir_info *info = (void *)buf;
    uint8_t *out = (uint8_t *)(uintptr_t)req->file.query_directory.address;
    memset(info, 0, sizeof *info);
    COUNTED(v, get_dir_info_by_name);
    NTSTATUS status = v->fs.interface_->get_dir_info_by_name(
        &v->fs, ctx, (WCHAR *)(void *)(req->buffer + req->file.query_directory.pattern.offset),
        info);
    contract_status(v, "get_dir_info_by_name", status, false);
    uint16_t end = 0;
    if (NT_SUCCESS(status)) {
        contract_info(v, "get_dir_info_by_name", &info->file_info);
        if (info->size <= sizeof *info || info->size > sizeof buf)
            violation(v, "get_dir_info_by_name returned an entry of %u bytes", info->size);
        uint32_t padded = (info->size + 7u) & ~7u;
        if (info->size <= sizeof buf && padded + 2 <= req->file.query_directory.length) {
            memcpy(out, info, info->size);
            *got = padded;
        }
    } else if (status == STATUS_OBJECT_NAME_NOT_FOUND) {
        status = STATUS_SUCCESS;
    }
    if (NT_SUCCESS(status)) {
        memcpy(out + *got, &end, sizeof end);
        *got += sizeof end;
    }
    return status;
}

static NTSTATUS query_directory(struct volume *v, struct winfsp_request *req,
                                struct winfsp_response *rsp, void *ctx)
{
    struct winfsp_span pattern = req->file.query_directory.pattern;
    struct winfsp_span marker = req->file.query_directory.marker;
    ULONG got = 0;
    NTSTATUS status;
    if (!v->fs.interface_->read_directory)
        return STATUS_INVALID_DEVICE_REQUEST;
    if (v->fs.interface_->get_dir_info_by_name && pattern.size &&
        (req->file.query_directory.flags & 2)) {
        status = by_name(v, req, ctx, &got);
    } else {
        COUNTED(v, read_directory);
        status = v->fs.interface_->read_directory(
            &v->fs, ctx, pattern.size ? (WCHAR *)(void *)(req->buffer + pattern.offset) : NULL,
            marker.size ? (WCHAR *)(void *)(req->buffer + marker.offset) : NULL,
            (void *)(uintptr_t)req->file.query_directory.address, req->file.query_directory.length,
            &got);
        contract_status(v, "read_directory", status, true);
    }
    if (status == STATUS_SUCCESS)
        rsp->information = got;
    return status;
}

static NTSTATUS fs_control(struct volume *v, struct winfsp_request *req,
                           struct winfsp_response *rsp, void *ctx)
{
    const struct winfsp_interface *i = v->fs.interface_;
    struct winfsp_span data = REQ_AS(req_control, req)->span;
    SIZE_T size = RESPONSE_ROOM;
    NTSTATUS status = STATUS_INVALID_DEVICE_REQUEST;
    switch (REQ_AS(req_control, req)->code) {
    case FSCTL_GET_REPARSE_POINT:
        if (!i->get_reparse_point)
            break;
        COUNTED(v, get_reparse_point);
        memset(rsp->buffer, 0, 32);
        status = i->get_reparse_point(&v->fs, ctx, path_of(req), rsp->buffer, &size);
        if (NT_SUCCESS(status) && size > RESPONSE_ROOM) {
            violation(v, "get_reparse_point returned %zu bytes", (size_t)size);
            return STATUS_IO_REPARSE_DATA_INVALID;
        }
        if (NT_SUCCESS(status)) {
            rsp->size = (uint16_t)(sizeof *rsp + size);
            rsp->span = (struct winfsp_span){0, (uint16_t)size};
        }
        break;
    case FSCTL_SET_REPARSE_POINT:
        if (!i->set_reparse_point)
            break;
        COUNTED(v, set_reparse_point);
        status =
            i->set_reparse_point(&v->fs, ctx, path_of(req), req->buffer + data.offset, data.size);
        break;
    case FSCTL_DELETE_REPARSE_POINT:
        if (!i->delete_reparse_point)
            break;
        COUNTED(v, delete_reparse_point);
        status = i->delete_reparse_point(&v->fs, ctx, path_of(req), req->buffer + data.offset,
                                         data.size);
        break;
    }
    contract_status(v, "a reparse point's callback", status, false);
    return status;
}

static NTSTATUS query_security(struct volume *v, struct winfsp_response *rsp, void *ctx)
{
    SIZE_T size = RESPONSE_ROOM;
    if (!v->fs.interface_->get_security)
        return STATUS_INVALID_DEVICE_REQUEST;
    COUNTED(v, get_security);
    NTSTATUS status = v->fs.interface_->get_security(&v->fs, ctx, rsp->buffer, &size);
    contract_status(v, "get_security", status, false);
    if (!NT_SUCCESS(status))
        return status == STATUS_BUFFER_OVERFLOW ? STATUS_INVALID_SECURITY_DESCR : status;
    if (!contract_sd(v, "get_security", rsp->buffer, size, RESPONSE_ROOM))
        return STATUS_INVALID_SECURITY_DESCR;
    rsp->size = (uint16_t)(sizeof *rsp + size);
    rsp->span = (struct winfsp_span){0, (uint16_t)size};
    return STATUS_SUCCESS;
}

static NTSTATUS set_security(struct volume *v, struct winfsp_request *req, void *ctx)
{
    if (!v->fs.interface_->set_security)
        return STATUS_INVALID_DEVICE_REQUEST;
    COUNTED(v, set_security);
    NTSTATUS status = v->fs.interface_->set_security(&v->fs, ctx, REQ_AS(req_security, req)->what,
                                                     (void *)req->buffer);
    contract_status(v, "set_security", status, false);
    return status;
}

static NTSTATUS operate(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp)
{
    void *ctx = context_of(v, req);
    switch (req->kind) {
    case WINFSP_KIND_CREATE:
        return dll_create(v, req, rsp);
    case WINFSP_KIND_OVERWRITE:
        return overwrite(v, req, rsp, ctx);
    case WINFSP_KIND_CLEANUP:
        return cleanup(v, req, ctx);
    case WINFSP_KIND_CLOSE:
        return close_file(v, ctx);
    case WINFSP_KIND_READ:
        return read_file(v, req, rsp, ctx);
    case WINFSP_KIND_WRITE:
        return write_file(v, req, rsp, ctx);
    case WINFSP_KIND_QUERY_INFORMATION:
        return query_info(v, rsp, ctx);
    case WINFSP_KIND_SET_INFORMATION:
        return set_info(v, req, rsp, ctx);
    case WINFSP_KIND_QUERY_EA:
        return query_ea(v, rsp, ctx);
    case WINFSP_KIND_QUERY_STREAM_INFORMATION:
        return query_streams(v, rsp, ctx);
    case WINFSP_KIND_SET_EA:
        return set_ea(v, req, rsp, ctx);
    case WINFSP_KIND_FLUSH_BUFFERS:
        return flush(v, rsp, ctx);
    case WINFSP_KIND_QUERY_VOLUME_INFORMATION:
    case WINFSP_KIND_SET_VOLUME_INFORMATION:
        return volume_info(v, req, rsp);
    case WINFSP_KIND_QUERY_DIRECTORY:
        return query_directory(v, req, rsp, ctx);
    case WINFSP_KIND_FILE_SYSTEM_CONTROL:
        return fs_control(v, req, rsp, ctx);
    case WINFSP_KIND_QUERY_SECURITY:
        return query_security(v, rsp, ctx);
    case WINFSP_KIND_SET_SECURITY:
        return set_security(v, req, ctx);
    default:
        stop_loudly("requests of kind %u", req->kind);
    }
}

void dll_operation(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp)
{
    rsp->status = (uint32_t)operate(v, req, rsp);
}
