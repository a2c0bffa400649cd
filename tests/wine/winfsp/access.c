// SPDX-License-Identifier: BSD-3-Clause
/*
 * access.c - may this caller open that name so?
 *
 * Theory of operation
 *
 *   WinFsp checks access in the DLL, before it opens anything, with what get_security_by_name says of the
 *   name (or, for creates, of the directory around it): src/dll/security.c, FspAccessCheckEx. Along the way it
 *   learns whether the name is a reparse point, a directory, read-only. Callers without the privilege to
 *   traverse are checked for every directory above as well.
 *
 *   A file that denies DELETE or FILE_READ_ATTRIBUTES may still be deleted or looked at when its directory
 *   gives FILE_DELETE_CHILD or FILE_LIST_DIRECTORY.
 *
 * Ownership: the descriptor, when asked for, is the caller's to free().   Locks: none.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/contract.h"

#define FIRST_ROOM 1024u /* WinFsp tries with so much */
#define WRITES_TO_DATA                                                                             \
    (FILE_WRITE_DATA | FILE_APPEND_DATA | FILE_ADD_SUBDIRECTORY | FILE_DELETE_CHILD)

struct look {
    uint32_t attributes;
    struct guarded sd;
    size_t sd_size;
};

/* get_security_by_name, with a larger buffer when it asks for one. */
static NTSTATUS look_at(struct volume *v, WCHAR *path, struct look *l)
{
    size_t room = FIRST_ROOM;
    for (unsigned tries = 0; tries < 4; tries++) {
        SIZE_T size = room;
        l->attributes = 0;
        l->sd = guarded_new(room);
        COUNTED(v, get_security_by_name);
        NTSTATUS status =
            v->fs.interface_->get_security_by_name(&v->fs, path, &l->attributes, l->sd.at, &size);
        contract_status(v, "get_security_by_name", status, false);
        guarded_check(v, "get_security_by_name", l->sd);
        if (status != STATUS_BUFFER_OVERFLOW) {
            l->sd_size = NT_SUCCESS(status) && status != STATUS_REPARSE ? size : 0;
            if (l->sd_size && !contract_sd(v, "get_security_by_name", l->sd.at, size, room))
                l->sd_size = 0;
            return status;
        }
        guarded_free(l->sd);
        l->sd = (struct guarded){NULL, 0, 0};
        if (size <= room)
            violation(v, "get_security_by_name overflows %zu bytes but asks for %zu", room,
                      (size_t)size);
        room = size;
    }
    stop_loudly("a file system whose descriptor grows each time");
}

static unsigned last_component(const WCHAR *path)
{
    struct name parent, last;
    name_split(name_of(path), &parent, &last);
    return (unsigned)(last.at - path);
}

/* Every directory above the name must be one, and let the caller pass. */
static NTSTATUS check_traverse(struct volume *v, WCHAR *path, const struct token *t,
                               struct access_check *c)
{
    WCHAR root[2] = {'\\', 0};
    for (WCHAR *at = path; *at; at++) {
        if (*at == ':')
            break;
        if (*at != '\\')
            continue;
        struct look l;
        uint32_t granted;
        *at = 0;
        NTSTATUS status = look_at(v, at == path ? root : path, &l);
        uint32_t index = at == path ? 0 : last_component(path);
        *at = '\\';
        if (status == STATUS_SUCCESS && (l.attributes & FILE_ATTRIBUTE_REPARSE_POINT)) {
            c->granted = index;
            status = STATUS_REPARSE;
        } else if (status == STATUS_REPARSE) {
            c->granted = l.attributes;
        } else if (status == STATUS_OBJECT_NAME_NOT_FOUND) {
            status = STATUS_OBJECT_PATH_NOT_FOUND;
        } else if (status == STATUS_SUCCESS && !(l.attributes & FILE_ATTRIBUTE_DIRECTORY)) {
            status = STATUS_OBJECT_PATH_NOT_FOUND;
        } else if (status == STATUS_SUCCESS && l.sd_size) {
            status = sd_check(l.sd.at, t, FILE_TRAVERSE, &granted);
        }
        guarded_free(l.sd);
        if (status != STATUS_SUCCESS)
            return status;
    }
    return STATUS_SUCCESS;
}

/* The directory's word for what the file itself refuses. */
static NTSTATUS ask_parent(struct volume *v, struct winfsp_request *req, struct access_check *c,
                           const struct look *l, const struct token *t)
{
    uint32_t any = MAXIMUM_ALLOWED & c->desired;
    struct access_check p = {.parent = true};
    if (any || (c->desired & DELETE))
        p.desired |= FILE_DELETE_CHILD;
    if (any || (c->desired & FILE_READ_ATTRIBUTES))
        p.desired |= FILE_LIST_DIRECTORY;
    if (!p.desired || name_is_root(name_of((WCHAR *)(void *)req->buffer)))
        return STATUS_ACCESS_DENIED;
    if (access_check(v, req, &p) != STATUS_SUCCESS)
        return STATUS_ACCESS_DENIED;
    uint32_t given = (p.granted & FILE_DELETE_CHILD ? DELETE : 0) |
                     (p.granted & FILE_LIST_DIRECTORY ? FILE_READ_ATTRIBUTES : 0);
    uint32_t rest = c->desired & ~given;
    if (rest && sd_check(l->sd.at, t, rest, &c->granted) != STATUS_SUCCESS)
        return STATUS_ACCESS_DENIED;
    c->granted |= given;
    return STATUS_SUCCESS;
}

static NTSTATUS check_kind(struct volume *v, const struct winfsp_request *req,
                           const struct access_check *c, const struct look *l)
{
    uint32_t options = req->create.create_options;
    bool reparse = (l->attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0;
    bool directory = (l->attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    if (reparse && (c->parent || !(options & FILE_OPEN_REPARSE_POINT)))
        return STATUS_REPARSE;
    if (c->main)
        return STATUS_SUCCESS;
    if (c->parent)
        return directory ? STATUS_SUCCESS : STATUS_NOT_A_DIRECTORY;
    if (reparse && volume_flag(v, WINFSP_NO_REPARSE_POINTS_DIR_CHECK))
        return STATUS_SUCCESS;
    if ((options & FILE_DIRECTORY_FILE) && !directory)
        return STATUS_NOT_A_DIRECTORY;
    return (options & FILE_NON_DIRECTORY_FILE) && directory ? STATUS_FILE_IS_A_DIRECTORY
                                                            : STATUS_SUCCESS;
}

static NTSTATUS check_read_only(const struct winfsp_request *req, struct access_check *c,
                                const struct look *l)
{
    bool read_only = (l->attributes & FILE_ATTRIBUTE_READONLY) != 0;
    bool file = !(l->attributes & FILE_ATTRIBUTE_DIRECTORY);
    if (read_only && file && (c->desired & WRITES_TO_DATA))
        return STATUS_ACCESS_DENIED;
    if (read_only && (req->create.create_options & FILE_DELETE_ON_CLOSE))
        return STATUS_CANNOT_DELETE;
    if (!l->sd_size)
        c->granted = c->desired & MAXIMUM_ALLOWED ? FILE_ALL_ACCESS : c->desired;
    if (read_only && file && (c->desired & MAXIMUM_ALLOWED))
        c->granted &= ~(uint32_t)WRITES_TO_DATA;
    return STATUS_SUCCESS;
}

static NTSTATUS check_one(struct volume *v, struct winfsp_request *req, struct access_check *c,
                          WCHAR *path, struct look *l)
{
    const struct token *t = token_of((uint32_t)req->create.access_token);
    NTSTATUS status = STATUS_SUCCESS;
    if (c->traverse && !(req->create.flags & WINFSP_CREATE_HAS_TRAVERSE_PRIVILEGE) &&
        !name_is_root(name_of(path)))
        status = check_traverse(v, path, t, c);
    if (status != STATUS_SUCCESS)
        return status;
    status = look_at(v, path, l);
    if (status == STATUS_REPARSE) {
        c->granted = l->attributes;
        if (l->attributes >= name_of(path).len)
            violation(v, "get_security_by_name: the link's index %u lies past the path",
                      l->attributes);
    }
    if (status != STATUS_SUCCESS)
        return status;
    if (!c->parent && !c->main && (req->create.flags & WINFSP_CREATE_HAS_TRAILING_BACKSLASH) &&
        !(l->attributes & FILE_ATTRIBUTE_DIRECTORY))
        return STATUS_OBJECT_NAME_INVALID;
    if (l->sd_size && c->desired) {
        status = sd_check(l->sd.at, t, c->desired, &c->granted);
        if (status == STATUS_ACCESS_DENIED &&
            (c->desired & (MAXIMUM_ALLOWED | DELETE | FILE_READ_ATTRIBUTES)) && !c->parent)
            status = ask_parent(v, req, c, l, t);
        if (status != STATUS_SUCCESS)
            return status;
    }
    status = check_kind(v, req, c, l);
    if (status == STATUS_REPARSE)
        c->granted = last_component(path);
    return status == STATUS_SUCCESS ? check_read_only(req, c, l) : status;
}

NTSTATUS access_check(struct volume *v, struct winfsp_request *req, struct access_check *c)
{
    WCHAR *path = (WCHAR *)(void *)req->buffer;
    WCHAR root[2] = {'\\', 0};
    WCHAR *cut = NULL;
    struct look l = {0};
    c->granted = 0;
    c->descriptor = NULL;
    if (c->parent && name_is_root(name_of(path)))
        return STATUS_INVALID_PARAMETER;
    if (!v->fs.interface_->get_security_by_name) {
        c->granted = c->desired & MAXIMUM_ALLOWED ? FILE_ALL_ACCESS : c->desired;
        return STATUS_SUCCESS;
    }
    if (c->parent) {
        struct name parent, last;
        name_split(name_of(path), &parent, &last);
        cut = path + (last.at - path) - 1;
        if (cut == path)
            path = root;
        else
            *cut = 0;
    }
    if (c->main) {
        cut = path + UNITS(req->create.named_stream);
        *cut = 0;
    }
    NTSTATUS status = check_one(v, req, c, path, &l);
    if (cut)
        *cut = c->main ? ':' : '\\';
    if (c->parent && status == STATUS_OBJECT_NAME_NOT_FOUND)
        status = STATUS_OBJECT_PATH_NOT_FOUND;
    if (status == STATUS_SUCCESS && c->want_descriptor && l.sd_size) {
        c->descriptor = malloc(l.sd_size);
        c->descriptor_len = (uint32_t)l.sd_size;
        memcpy(c->descriptor, l.sd.at, l.sd_size);
    }
    guarded_free(l.sd);
    return status;
}
