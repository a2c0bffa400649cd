// SPDX-License-Identifier: BSD-3-Clause
/*
 * iomgr.c - the I/O manager: what NtCreateFile and its family check, and links followed
 *
 * Theory of operation
 *
 *   The rights that a handle needs for a call are the documented ones of each Nt function and information
 *   class (ntifs.h documentation: NtQueryInformationFile, NtSetInformationFile, ...). A create that meets a
 *   link starts again with the path that the file system gave, at most NO_REPARSE_LOOP times; a path that leads
 *   out of the volume ends the create with STATUS_REPARSE and that path.
 *
 *   A rename to another directory opens that directory first, as NtSetInformationFile does: with the right to
 *   add a file or a directory, shared with everybody.
 *
 * Ownership: see standin.h.   Locks: none.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/wine/winfsp/standin.h"

enum {
    CLASS_BASIC = 4,
    CLASS_ACCESS = 8,
    CLASS_RENAME = 10,
    CLASS_DISPOSITION = 13,
    CLASS_MODE = 16,
    CLASS_ALIGNMENT = 17,
    CLASS_ALL = 18,
    CLASS_ALLOCATION = 19,
    CLASS_END_OF_FILE = 20,
    CLASS_NETWORK_OPEN = 34,
    CLASS_ATTRIBUTE_TAG = 35,
    CLASS_EA = 7,
    CLASS_DISPOSITION_EX = 64,
    CLASS_RENAME_EX = 65,
};

#define SYNC_OPTIONS (FILE_SYNCHRONOUS_IO_ALERT | FILE_SYNCHRONOUS_IO_NONALERT)

/* MS-FSA 2.1.5.1, NtCreateFile's own checks. */
static NTSTATUS check_create(const struct create_args *a)
{
    bool directory = a->options & FILE_DIRECTORY_FILE;
    if (a->disposition > FILE_OVERWRITE_IF)
        return STATUS_INVALID_PARAMETER;
    if ((a->options & SYNC_OPTIONS) == SYNC_OPTIONS)
        return STATUS_INVALID_PARAMETER;
    if ((a->options & SYNC_OPTIONS) && !(a->access & SYNCHRONIZE))
        return STATUS_INVALID_PARAMETER;
    if (directory && a->disposition != FILE_CREATE && a->disposition != FILE_OPEN &&
        a->disposition != FILE_OPEN_IF)
        return STATUS_INVALID_PARAMETER;
    if ((a->options & FILE_DELETE_ON_CLOSE) && !(a->access & DELETE))
        return STATUS_INVALID_PARAMETER;
    if ((a->options & FILE_NO_INTERMEDIATE_BUFFERING) && (a->access & FILE_APPEND_DATA) &&
        !(a->access & FILE_WRITE_DATA))
        return STATUS_INVALID_PARAMETER;
    return STATUS_SUCCESS;
}

static uint32_t map_access(uint32_t access)
{
    uint32_t out = access & 0x0FFFFFFFu;
    out |= access & GENERIC_READ ? FILE_GENERIC_READ : 0;
    out |= access & GENERIC_WRITE ? FILE_GENERIC_WRITE : 0;
    out |= access & GENERIC_EXECUTE ? FILE_GENERIC_EXECUTE : 0;
    return out | (access & GENERIC_ALL ? FILE_ALL_ACCESS : 0);
}

/* Is it a path of the NT namespace that leads back to this volume? Then *path becomes the rest. */
static bool leads_back(const struct volume *v, struct name *path)
{
    static const WCHAR dos[] = {'\\', '?', '?', '\\'};
    struct name volume = name_of(v->fs.volume_name);
    struct name mount = v->fs.mount_point ? name_of(v->fs.mount_point) : (struct name){NULL, 0};
    struct name rest = *path;
    if (rest.len > volume.len && name_equal((struct name){rest.at, volume.len}, volume, true)) {
        *path = (struct name){rest.at + volume.len, rest.len - volume.len};
        return true;
    }
    if (rest.len < 4 || memcmp(rest.at, dos, sizeof dos))
        return false;
    rest = (struct name){rest.at + 4, rest.len - 4};
    if (mount.len != 2 || rest.len < 3 || !name_equal((struct name){rest.at, 2}, mount, true))
        return false;
    *path = (struct name){rest.at + 2, rest.len - 2};
    return true;
}

NTSTATUS nt_create(struct volume *v, const struct create_args *given, struct create_result *r)
{
    struct create_args a = *given;
    WCHAR *path = NULL;
    a.access = map_access(a.access);
    memset(r, 0, sizeof *r);
    NTSTATUS status = a.target_directory ? STATUS_SUCCESS : check_create(&a);
    for (unsigned links = 0; !status; links++) {
        status = fsd_create(v, &a, r);
        free(path);
        path = r->reparse_path;
        if (status != STATUS_REPARSE)
            break;
        a.path = (struct name){path, r->reparse_len};
        a.related = NULL;
        if (r->reparse_outside && !leads_back(v, &a.path))
            return STATUS_REPARSE; /* the caller has the path */
        status = links == NO_REPARSE_LOOP ? STATUS_REPARSE_POINT_NOT_RESOLVED : STATUS_SUCCESS;
    }
    if (status)
        free(path);
    if (status)
        r->reparse_path = NULL;
    return status;
}

void nt_cleanup(struct file *f)
{
    fsd_cleanup(f);
}

void nt_close(struct file *f)
{
    fsd_cleanup(f);
    fsd_close(f);
}

static NTSTATUS need(const struct file *f, uint32_t any)
{
    return f->access & any ? STATUS_SUCCESS : STATUS_ACCESS_DENIED;
}

static NTSTATUS aligned(const struct file *f, uint64_t offset, uint32_t len)
{
    uint32_t sector = f->vol->params.sector_size;
    return (f->options & FILE_NO_INTERMEDIATE_BUFFERING) && (len % sector || offset % sector)
               ? STATUS_INVALID_PARAMETER
               : STATUS_SUCCESS;
}

#define CURRENT_POSITION (UINT64_MAX - 1) /* FILE_USE_FILE_POINTER_POSITION */

NTSTATUS nt_read(struct file *f, uint64_t offset, uint32_t len, uint32_t flags, void *buf,
                 uint32_t *got)
{
    bool paging = flags & DOOR_IO_PAGING;
    *got = 0;
    if (offset >= CURRENT_POSITION)
        offset = f->position;
    NTSTATUS status = paging ? STATUS_SUCCESS : need(f, FILE_READ_DATA | FILE_EXECUTE);
    if (!status && !paging)
        status = aligned(f, offset, len);
    if (!status && (int64_t)offset < 0)
        status = STATUS_INVALID_PARAMETER;
    return status ? status : fsd_read(f, offset, len, paging, buf, got);
}

NTSTATUS nt_write(struct file *f, uint64_t offset, const void *buf, uint32_t len, uint32_t flags,
                  uint32_t *put)
{
    bool paging = flags & DOOR_IO_PAGING;
    *put = 0;
    if (paging)
        return fsd_write(f, offset, buf, len, true, put);
    NTSTATUS status = need(f, FILE_WRITE_DATA | FILE_APPEND_DATA);
    if (status)
        return status;
    if (offset == CURRENT_POSITION)
        offset = f->position;
    if (!(f->access & FILE_WRITE_DATA)) /* only allowed to append: whatever the offset says */
        offset = UINT64_MAX;
    status = aligned(f, offset == UINT64_MAX ? 0 : offset, len);
    if (!status && offset != UINT64_MAX && (int64_t)offset < 0)
        status = STATUS_INVALID_PARAMETER;
    return status ? status : fsd_write(f, offset, buf, len, false, put);
}

NTSTATUS nt_flush(struct file *f)
{
    NTSTATUS status = need(f, FILE_WRITE_DATA | FILE_APPEND_DATA);
    return status ? status : fsd_flush(f);
}

NTSTATUS nt_query_info(struct file *f, uint32_t class, void *buf, uint32_t cap, uint32_t *len)
{
    uint32_t own = class == CLASS_ACCESS ? f->access
                   : class == CLASS_MODE ? f->options & 0x103Eu
                                         : 0;
    NTSTATUS status = STATUS_SUCCESS;
    *len = 0;
    switch (class) {
    case CLASS_ACCESS:
    case CLASS_MODE:
    case CLASS_ALIGNMENT:
        if (cap < 4)
            return STATUS_INFO_LENGTH_MISMATCH;
        memcpy(buf, &own, 4);
        *len = 4;
        return STATUS_SUCCESS;
    case CLASS_BASIC:
    case CLASS_ALL:
    case CLASS_NETWORK_OPEN:
    case CLASS_ATTRIBUTE_TAG:
        status = need(f, FILE_READ_ATTRIBUTES);
        break;
    case CLASS_EA:
        break;
    }
    return status ? status : fsd_query_info(f, class, buf, cap, len);
}

/* The directory that a rename goes to, opened as IopOpenLinkOrRenameTarget does. */
static NTSTATUS open_target(struct file *f, struct name path, struct file *root,
                            struct create_result *r)
{
    struct create_args a = {
        .path = path,
        .related = root,
        .access = (f->node->is_directory ? FILE_ADD_SUBDIRECTORY : FILE_ADD_FILE) | SYNCHRONIZE,
        .disposition = FILE_OPEN,
        .options = FILE_OPEN_FOR_BACKUP_INTENT,
        .share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
        .target_directory = true,
        .token = f->token,
        .pid = f->pid,
    };
    NTSTATUS status = nt_create(f->vol, &a, r);
    if (status == STATUS_REPARSE) {
        free(r->reparse_path);
        return STATUS_NOT_SAME_DEVICE;
    }
    return status;
}

static NTSTATUS rename_file(struct file *f, uint32_t class, const void *buf, uint32_t len,
                            struct file *root)
{
    uint32_t bytes;
    struct create_result r = {0};
    if (len < 24)
        return STATUS_INFO_LENGTH_MISMATCH;
    memcpy(&bytes, (const uint8_t *)buf + 16, 4);
    if (!bytes || (bytes & 1) || bytes > len - 20)
        return STATUS_INVALID_PARAMETER;
    struct name path = {(const WCHAR *)(const void *)((const uint8_t *)buf + 20), UNITS(bytes)};
    if (!f->node)
        return STATUS_INVALID_PARAMETER;
    if (path.at[0] == '\\' || root) {
        NTSTATUS status = open_target(f, path, root, &r);
        if (status)
            return status;
    }
    NTSTATUS status = fsd_rename(f, r.file, class, buf, len);
    if (r.file)
        nt_close(r.file);
    return status;
}

NTSTATUS nt_set_info(struct file *f, uint32_t class, const void *buf, uint32_t len,
                     struct file *root)
{
    NTSTATUS status = STATUS_SUCCESS;
    switch (class) {
    case CLASS_BASIC:
        status = need(f, FILE_WRITE_ATTRIBUTES);
        break;
    case CLASS_ALLOCATION:
    case CLASS_END_OF_FILE:
        status = need(f, FILE_WRITE_DATA);
        break;
    case CLASS_DISPOSITION:
    case CLASS_DISPOSITION_EX:
        status = need(f, DELETE);
        return status ? status : fsd_set_disposition(f, class, buf, len);
    case CLASS_RENAME:
    case CLASS_RENAME_EX:
        status = need(f, DELETE);
        return status ? status : rename_file(f, class, buf, len, root);
    }
    return status ? status : fsd_set_info(f, class, buf, len);
}

NTSTATUS nt_query_dir(struct file *f, uint32_t class, struct name pattern, uint32_t flags,
                      void *buf, uint32_t cap, uint32_t *len)
{
    *len = 0;
    NTSTATUS status = need(f, FILE_LIST_DIRECTORY);
    return status ? status : fsd_query_dir(f, class, pattern, flags, buf, cap, len);
}

NTSTATUS nt_query_security(struct file *f, uint32_t what, void *buf, uint32_t cap, uint32_t *len)
{
    uint32_t read =
        OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    *len = 0;
    if ((what & read) && need(f, READ_CONTROL))
        return STATUS_ACCESS_DENIED;
    if ((what & SACL_SECURITY_INFORMATION) && need(f, ACCESS_SYSTEM_SECURITY))
        return STATUS_ACCESS_DENIED;
    return fsd_query_security(f, what, buf, cap, len);
}

NTSTATUS nt_set_security(struct file *f, uint32_t what, const void *sd, uint32_t len)
{
    if (!sd_valid(sd, len))
        return STATUS_INVALID_SECURITY_DESCR;
    if ((what & DACL_SECURITY_INFORMATION) && need(f, WRITE_DAC))
        return STATUS_ACCESS_DENIED;
    if ((what & (OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION)) && need(f, WRITE_OWNER))
        return STATUS_ACCESS_DENIED;
    return fsd_set_security(f, what, sd, len);
}

NTSTATUS nt_query_ea(struct file *f, bool restart, void *buf, uint32_t cap, uint32_t *len)
{
    *len = 0;
    NTSTATUS status = need(f, FILE_READ_EA);
    return status ? status : fsd_query_ea(f, restart, buf, cap, len);
}

NTSTATUS nt_set_ea(struct file *f, const void *ea, uint32_t len, uint64_t *information)
{
    NTSTATUS status = need(f, FILE_WRITE_EA);
    return status ? status : fsd_set_ea(f, ea, len, information);
}

NTSTATUS nt_fsctl(struct file *f, uint32_t code, const void *in, uint32_t in_len, void *out,
                  uint32_t cap, uint32_t *len)
{
    uint32_t access = code >> 14 & 3; /* CTL_CODE's: 1 read, 2 write */
    *len = 0;
    if (((access & 1) && need(f, FILE_READ_DATA)) || ((access & 2) && need(f, FILE_WRITE_DATA)))
        return STATUS_ACCESS_DENIED;
    return fsd_fsctl(f, code, in, in_len, out, cap, len);
}

NTSTATUS nt_notify(struct file *f, uint32_t filter, bool tree, uint32_t wait_ms, uint8_t *buf,
                   uint32_t cap, uint32_t *len)
{
    *len = 0;
    if (!filter || (filter & ~0xFFFu))
        return STATUS_INVALID_PARAMETER;
    NTSTATUS status = need(f, FILE_LIST_DIRECTORY);
    return status ? status : fsd_notify(f, filter, tree, wait_ms, buf, cap, len);
}

NTSTATUS nt_lock(struct file *f, uint64_t offset, uint64_t length, bool exclusive)
{
    NTSTATUS status = need(f, FILE_READ_DATA | FILE_WRITE_DATA | FILE_EXECUTE);
    return status ? status : fsd_lock(f, offset, length, exclusive);
}
