// SPDX-License-Identifier: BSD-3-Clause
/*
 * dll_create.c - a create request, from the access check to create or open
 *
 * The order of calls by disposition is WinFsp's (src/dll/fsop.c): OPEN checks and opens; CREATE checks the
 * directory and creates; OPEN_IF and OVERWRITE_IF try to open first, and create when the name is not there;
 * overwriting is opening, with the overwrite callback following as a request of its own (fsd_create.c).
 * A create that collides with a link resolves the link; one that collides with a directory, and wants none,
 * says FILE_IS_A_DIRECTORY.
 *
 * Ownership: borrows the request; the response's buffer carries the normalised name.   Locks: none.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/contract.h"

static WCHAR *path_of(struct winfsp_request *req)
{
    return (WCHAR *)(void *)req->buffer;
}

static NTSTATUS resolve(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp,
                        uint32_t index)
{
    IO_STATUS_BLOCK io = {{0}, 0};
    SIZE_T size = RESPONSE_ROOM;
    if (!v->fs.interface_->resolve_reparse_points)
        return STATUS_INVALID_DEVICE_REQUEST;
    COUNTED(v, resolve_reparse_points);
    NTSTATUS status = v->fs.interface_->resolve_reparse_points(
        &v->fs, path_of(req), index, !(req->create.create_options & FILE_OPEN_REPARSE_POINT), &io,
        rsp->buffer, &size);
    contract_status(v, "resolve_reparse_points", status, false);
    if (!NT_SUCCESS(status))
        return status;
    if (size > RESPONSE_ROOM) {
        violation(v, "resolve_reparse_points returned %zu bytes", (size_t)size);
        return STATUS_REPARSE_POINT_NOT_RESOLVED;
    }
    rsp->information = (uint32_t)io.Information;
    rsp->size = (uint16_t)(sizeof *rsp + size);
    rsp->span = (struct winfsp_span){0, (uint16_t)size};
    return STATUS_REPARSE;
}

/* The check; a link on the way is followed here. `granted` gets what the handle will have. */
static NTSTATUS check(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp,
                      struct access_check *c, uint32_t masked, uint32_t *granted)
{
    NTSTATUS status = access_check(v, req, c);
    if (status == STATUS_REPARSE)
        return resolve(v, req, rsp, c->granted);
    if (!NT_SUCCESS(status))
        return status;
    *granted = c->granted;
    if (!(req->create.desired_access & MAXIMUM_ALLOWED))
        *granted &= ~masked | (req->create.desired_access & masked);
    *granted |= req->create.granted_access;
    return STATUS_SUCCESS;
}

static NTSTATUS check_open(struct volume *v, struct winfsp_request *req,
                           struct winfsp_response *rsp, uint32_t *granted, uint8_t **descriptor,
                           uint32_t *descriptor_len)
{
    uint32_t del = req->create.create_options & FILE_DELETE_ON_CLOSE ? DELETE : 0;
    struct access_check c = {.traverse = true,
                             .desired = req->create.desired_access | del,
                             .want_descriptor =
                                 req->create.flags & WINFSP_CREATE_ACCEPTS_SECURITY_DESCRIPTOR};
    NTSTATUS status = check(v, req, rsp, &c, DELETE, granted);
    *descriptor = c.descriptor;
    *descriptor_len = c.descriptor_len;
    return status;
}

static NTSTATUS check_overwrite(struct volume *v, struct winfsp_request *req,
                                struct winfsp_response *rsp, uint32_t *granted)
{
    bool supersede = req->create.create_options >> 24 == FILE_SUPERSEDE;
    uint32_t del = req->create.create_options & FILE_DELETE_ON_CLOSE ? DELETE : 0;
    struct access_check c = {.traverse = true,
                             .desired = req->create.desired_access | del |
                                        (supersede ? DELETE : FILE_WRITE_DATA)};
    return check(v, req, rsp, &c, DELETE | FILE_WRITE_DATA, granted);
}

/* A stream is made by who may write to its file. */
static NTSTATUS check_create_stream(struct volume *v, struct winfsp_request *req,
                                    struct winfsp_response *rsp, bool traverse, uint32_t *granted)
{
    uint32_t del = req->create.create_options & FILE_DELETE_ON_CLOSE ? DELETE : 0;
    struct access_check c = {.main = true,
                             .traverse = traverse,
                             .desired = req->create.desired_access | FILE_WRITE_DATA | del};
    if (req->create.flags & WINFSP_CREATE_HAS_TRAILING_BACKSLASH)
        return STATUS_OBJECT_NAME_INVALID;
    return check(v, req, rsp, &c, DELETE | FILE_WRITE_DATA, granted);
}

static NTSTATUS check_create(struct volume *v, struct winfsp_request *req,
                             struct winfsp_response *rsp, bool traverse, uint32_t *granted,
                             uint8_t **parent)
{
    uint32_t options = req->create.create_options;
    *parent = NULL;
    if (req->create.named_stream)
        return check_create_stream(v, req, rsp, traverse, granted);
    if ((req->create.flags & WINFSP_CREATE_HAS_TRAILING_BACKSLASH) &&
        !(options & FILE_DIRECTORY_FILE))
        return STATUS_OBJECT_NAME_INVALID;
    if ((req->create.file_attributes & FILE_ATTRIBUTE_READONLY) && (options & FILE_DELETE_ON_CLOSE))
        return STATUS_CANNOT_DELETE;
    struct access_check c = {.parent = true,
                             .traverse = traverse,
                             .want_descriptor = true,
                             .desired = options & FILE_DIRECTORY_FILE ? FILE_ADD_SUBDIRECTORY
                                                                      : FILE_ADD_FILE};
    NTSTATUS status = access_check(v, req, &c);
    if (status == STATUS_REPARSE)
        return resolve(v, req, rsp, c.granted);
    *parent = c.descriptor;
    *granted = (req->create.desired_access & MAXIMUM_ALLOWED ? FILE_ALL_ACCESS
                                                             : req->create.desired_access) |
               req->create.granted_access;
    return status;
}

struct opened {
    void *ctx;
    uint32_t granted;
    struct winfsp_open_file_info info;
    uint8_t *sd; /* what the driver may cache with the open, or NULL; free() */
    uint32_t sd_len;
};

static void room_for_name(struct winfsp_response *rsp, struct opened *o)
{
    memset(o, 0, sizeof *o);
    o->info.normalized_name = (WCHAR *)(void *)rsp->buffer;
    o->info.normalized_name_size = (uint16_t)RESPONSE_ROOM;
}

static NTSTATUS judge(struct volume *v, const char *callback, NTSTATUS status, struct opened *o)
{
    contract_status(v, callback, status, false);
    if (!NT_SUCCESS(status))
        return status;
    contract_info(v, callback, &o->info.file_info);
    if (!o->ctx)
        violation(v, "%s succeeded with a NULL context", callback);
    return status;
}

static NTSTATUS do_open(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp,
                        WCHAR *path, uint32_t options, uint32_t granted, struct opened *o)
{
    room_for_name(rsp, o);
    o->granted = granted;
    COUNTED(v, open);
    NTSTATUS status =
        v->fs.interface_->open(&v->fs, path, options, granted, &o->ctx, &o->info.file_info);
    (void)req;
    return judge(v, "open", status, o);
}

static NTSTATUS do_create(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp,
                          bool traverse, struct opened *o)
{
    const struct winfsp_interface *i = v->fs.interface_;
    const struct token *t = token_of((uint32_t)req->create.access_token);
    struct winfsp_span sd = req->create.security_descriptor, ea = req->create.ea;
    bool directory = req->create.create_options & FILE_DIRECTORY_FILE;
    uint8_t *parent, *own;
    uint32_t granted = 0, own_len;
    NTSTATUS status = check_create(v, req, rsp, traverse, &granted, &parent);
    if (status != STATUS_SUCCESS) {
        free(parent);
        return status;
    }
    own = req->create.named_stream ? NULL
                                   : sd_inherit(parent, sd.offset ? req->buffer + sd.offset : NULL,
                                                directory, t, &own_len);
    free(parent);
    room_for_name(rsp, o);
    o->granted = granted;
    if (i->create_ex) {
        COUNTED(v, create_ex);
        status = i->create_ex(&v->fs, path_of(req), req->create.create_options, granted,
                              req->create.file_attributes, own, req->create.allocation_size,
                              ea.size ? req->buffer + ea.offset : NULL, ea.size,
                              (req->create.flags & WINFSP_CREATE_EA_IS_REPARSE_POINT) != 0, &o->ctx,
                              &o->info.file_info);
    } else {
        COUNTED(v, create);
        status = i->create(&v->fs, path_of(req), req->create.create_options, granted,
                           req->create.file_attributes, own, req->create.allocation_size, &o->ctx,
                           &o->info.file_info);
    }
    if (NT_SUCCESS(status) && (req->create.flags & WINFSP_CREATE_ACCEPTS_SECURITY_DESCRIPTOR)) {
        o->sd = own;
        o->sd_len = own_len;
    } else {
        free(own);
    }
    return judge(v, "create", status, o);
}

/* The descriptor goes behind the name, for the driver's cache. */
static void add_descriptor(struct winfsp_response *rsp, struct opened *o)
{
    uint32_t at = (rsp->opened.file_name.size + 7u) & ~7u;
    if (o->sd && at + o->sd_len <= RESPONSE_ROOM) {
        memcpy(rsp->buffer + at, o->sd, o->sd_len);
        rsp->opened.security_descriptor = (struct winfsp_span){(uint16_t)at, (uint16_t)o->sd_len};
        rsp->opened.flags |= OPENED_HAS_DESCRIPTOR;
        rsp->size = (uint16_t)(sizeof *rsp + at + o->sd_len);
    }
    free(o->sd);
}

static NTSTATUS reply(struct volume *v, struct winfsp_response *rsp, struct opened *o,
                      uint32_t information)
{
    uint16_t size = o->info.normalized_name_size;
    if (size <= WINFSP_PATH_UNITS * sizeof(WCHAR)) {
        rsp->opened.file_name = (struct winfsp_span){0, size};
        rsp->size = (uint16_t)(sizeof *rsp + size);
    } else if (size > RESPONSE_ROOM) {
        violation(v, "a normalised name of %u bytes in room for %zu", size, RESPONSE_ROOM);
    }
    rsp->information = information;
    if (v->fs.context_is_user_context2)
        rsp->opened.user_context2 = (uintptr_t)o->ctx;
    else
        rsp->opened.user_context = (uintptr_t)o->ctx;
    rsp->opened.granted_access = o->granted;
    rsp->opened.file_info = o->info.file_info;
    add_descriptor(rsp, o);
    return STATUS_SUCCESS;
}

/* Opens the directory that the name lies in: the target of a rename. */
static NTSTATUS target_directory(struct volume *v, struct winfsp_request *req,
                                 struct winfsp_response *rsp)
{
    WCHAR root[2] = {'\\', 0}, *path = path_of(req);
    struct access_check c = {
        .parent = true, .traverse = true, .desired = req->create.desired_access};
    struct name parent, last;
    struct opened o;
    uint32_t granted = 0;
    NTSTATUS status = check(v, req, rsp, &c, 0, &granted);
    if (status != STATUS_SUCCESS)
        return status;
    name_split(name_of(path), &parent, &last);
    WCHAR *cut = path + (last.at - path) - 1;
    if (cut != path)
        *cut = 0;
    status = do_open(v, req, rsp, cut == path ? root : path,
                     (req->create.create_options | FILE_DIRECTORY_FILE) & ~FILE_NON_DIRECTORY_FILE,
                     granted, &o);
    *cut = '\\';
    if (!NT_SUCCESS(status))
        return status;
    uint32_t information = FILE_OPENED;
    if (v->fs.interface_->get_security_by_name) {
        COUNTED(v, get_security_by_name);
        information =
            NT_SUCCESS(v->fs.interface_->get_security_by_name(&v->fs, path, NULL, NULL, NULL))
                ? FILE_EXISTS
                : FILE_DOES_NOT_EXIST;
    }
    return reply(v, rsp, &o, information);
}

static NTSTATUS collision(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp)
{
    uint32_t attributes = 0;
    struct name parent, last;
    if (!v->fs.interface_->get_security_by_name)
        return STATUS_OBJECT_NAME_COLLISION;
    COUNTED(v, get_security_by_name);
    if (v->fs.interface_->get_security_by_name(&v->fs, path_of(req), &attributes, NULL, NULL) !=
        STATUS_SUCCESS)
        return STATUS_OBJECT_NAME_COLLISION;
    if ((req->create.create_options & FILE_NON_DIRECTORY_FILE) &&
        (attributes & FILE_ATTRIBUTE_DIRECTORY))
        return STATUS_FILE_IS_A_DIRECTORY;
    if ((req->create.create_options & FILE_OPEN_REPARSE_POINT) ||
        !(attributes & FILE_ATTRIBUTE_REPARSE_POINT))
        return STATUS_OBJECT_NAME_COLLISION;
    name_split(name_of(path_of(req)), &parent, &last);
    return resolve(v, req, rsp, (uint32_t)(last.at - path_of(req))) == STATUS_REPARSE
               ? STATUS_REPARSE
               : STATUS_OBJECT_NAME_COLLISION;
}

static NTSTATUS open_existing(struct volume *v, struct winfsp_request *req,
                              struct winfsp_response *rsp, uint32_t disposition)
{
    bool overwrites = disposition != FILE_OPEN && disposition != FILE_OPEN_IF;
    uint32_t granted = 0, sd_len = 0;
    uint8_t *sd = NULL;
    struct opened o;
    NTSTATUS status = overwrites ? check_overwrite(v, req, rsp, &granted)
                                 : check_open(v, req, rsp, &granted, &sd, &sd_len);
    if (status == STATUS_SUCCESS)
        status = do_open(v, req, rsp, path_of(req), req->create.create_options, granted, &o);
    if (status != STATUS_SUCCESS) {
        free(sd);
        return status;
    }
    o.sd = sd;
    o.sd_len = sd_len;
    return reply(v, rsp, &o,
                 disposition == FILE_SUPERSEDE ? FILE_SUPERSEDED
                 : overwrites                  ? FILE_OVERWRITTEN
                                               : FILE_OPENED);
}

static NTSTATUS by_disposition(struct volume *v, struct winfsp_request *req,
                               struct winfsp_response *rsp)
{
    uint32_t disposition = req->create.create_options >> 24;
    bool may_create = disposition != FILE_OPEN && disposition != FILE_OVERWRITE;
    struct opened o;
    if (disposition != FILE_CREATE) {
        NTSTATUS status = open_existing(v, req, rsp, disposition);
        if (status != STATUS_OBJECT_NAME_NOT_FOUND || !may_create)
            return status;
    }
    NTSTATUS status = do_create(v, req, rsp, disposition == FILE_CREATE, &o);
    return status == STATUS_SUCCESS ? reply(v, rsp, &o, FILE_CREATED) : status;
}

NTSTATUS dll_create(struct volume *v, struct winfsp_request *req, struct winfsp_response *rsp)
{
    const struct winfsp_interface *i = v->fs.interface_;
    if ((!i->create && !i->create_ex) || !i->open || (!i->overwrite && !i->overwrite_ex))
        return STATUS_INVALID_DEVICE_REQUEST;
    if (req->create.flags & WINFSP_CREATE_OPEN_TARGET_DIRECTORY)
        return target_directory(v, req, rsp);
    NTSTATUS status = by_disposition(v, req, rsp);
    return status == STATUS_OBJECT_NAME_COLLISION ? collision(v, req, rsp) : status;
}
