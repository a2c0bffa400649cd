// SPDX-License-Identifier: BSD-3-Clause
/*
 * memfs.c - a file system in memory, as small as the stand-in's tests allow (a PE program, no part of viofs)
 *
 * Theory of operation
 *
 *   It answers the callbacks of WinFsp as a good file system does, so that the tests see what the stand-in makes
 *   of programs' calls. Files live in one list by full path. Names of files switch on what is wanted:
 *
 *     \slow...      reads and writes pend and are answered by another thread
 *     \bad-info...  get_file_info succeeds without filling the info
 *     \bad-read...  read claims more bytes than it was asked for
 *     \bad-over...  read writes past its buffer
 *
 *   Arguments: MOUNTPOINT [flags in hex [FileInfoTimeout]], then it waits for C:\memfs-stop to appear.
 *
 * Ownership: nodes live until their last close.   Locks: one critical section.
 */
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#define WIN32_NO_STATUS
#include <windows.h>
#undef WIN32_NO_STATUS
#include <ntstatus.h>

#include "abi/winfsp.h"

#define PATH_MAX_UNITS 1024
#define FILES_MOST     4096

struct memfile {
    WCHAR path[PATH_MAX_UNITS];
    struct winfsp_file_info info;
    uint8_t *data, *sd, *reparse, *ea;
    uint32_t sd_len, reparse_len, ea_len;
    unsigned opens;
    BOOL gone;
};

static struct winfsp_api api;
static CRITICAL_SECTION lock;
static struct memfile *files[FILES_MOST];
static WCHAR label[32] = L"memory";
static BOOL folds;
static uint64_t next_index = 1;
static uint32_t volume_flags;

/* O:BA G:BA D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;WD), self-relative */
static uint8_t root_sd[] = {
    1,    0,    0x04, 0x90, 20, 0,    0,    0,  36, 0, 0, 0,    0,  0,  0, 0, 52,   0, 0, 0,  1,
    2,    0,    0,    0,    0,  0,    5,    32, 0,  0, 0, 0x20, 2,  0,  0, 1, 2,    0, 0, 0,  0,
    0,    5,    32,   0,    0,  0,    0x20, 2,  0,  0, 2, 0,    72, 0,  3, 0, 0,    0, 0, 3,  20,
    0,    0xFF, 1,    0x1F, 0,  1,    1,    0,  0,  0, 0, 0,    5,  18, 0, 0, 0,    0, 3, 24, 0,
    0xFF, 1,    0x1F, 0,    1,  2,    0,    0,  0,  0, 0, 5,    32, 0,  0, 0, 0x20, 2, 0, 0,  0,
    3,    20,   0,    0xA9, 0,  0x12, 0,    1,  1,  0, 0, 0,    0,  0,  1, 0, 0,    0, 0};

static uint64_t now(void)
{
    FILETIME t;
    GetSystemTimeAsFileTime(&t);
    return (uint64_t)t.dwHighDateTime << 32 | t.dwLowDateTime;
}

static int compare(const WCHAR *a, const WCHAR *b, size_t n)
{
    return folds ? _wcsnicmp(a, b, n) : wcsncmp(a, b, n);
}

static struct memfile *find(const WCHAR *path)
{
    for (unsigned i = 0; i < FILES_MOST; i++)
        if (files[i] && !files[i]->gone && !compare(files[i]->path, path, PATH_MAX_UNITS))
            return files[i];
    return NULL;
}

static void parent_of(const WCHAR *path, WCHAR *out)
{
    const WCHAR *slash = wcsrchr(path, '\\');
    size_t n = slash == path ? 1 : (size_t)(slash - path);
    memcpy(out, path, n * sizeof(WCHAR));
    out[n] = 0;
}

static NTSTATUS missing(const WCHAR *path)
{
    WCHAR parent[PATH_MAX_UNITS];
    parent_of(path, parent);
    return find(parent) ? STATUS_OBJECT_NAME_NOT_FOUND : STATUS_OBJECT_PATH_NOT_FOUND;
}

static struct memfile *add(const WCHAR *path, uint32_t attributes, const void *sd, uint32_t sd_len)
{
    unsigned i = 0;
    while (i < FILES_MOST && files[i])
        i++;
    if (i == FILES_MOST)
        return NULL;
    struct memfile *f = calloc(1, sizeof *f);
    wcsncpy(f->path, path, PATH_MAX_UNITS - 1);
    f->info.file_attributes = attributes;
    f->info.creation_time = f->info.last_access_time = f->info.last_write_time =
        f->info.change_time = now();
    f->info.index_number = next_index++;
    f->sd = malloc(sd_len);
    memcpy(f->sd, sd, sd_len);
    f->sd_len = sd_len;
    files[i] = f;
    return f;
}

static void drop(struct memfile *f)
{
    if (f->opens || !f->gone)
        return;
    for (unsigned i = 0; i < FILES_MOST; i++)
        if (files[i] == f)
            files[i] = NULL;
    free(f->data);
    free(f->sd);
    free(f->reparse);
    free(f->ea);
    free(f);
}

static BOOL is_dir(const struct memfile *f)
{
    return (f->info.file_attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

/* "\dir\name" under "\dir"? Then "name". */
static const WCHAR *child_name(const struct memfile *dir, const struct memfile *f)
{
    size_t n = wcslen(dir->path);
    if (f->gone || f == dir || compare(f->path, dir->path, n))
        return NULL;
    const WCHAR *name = f->path + n;
    if (n > 1 && *name++ != '\\')
        return NULL;
    return *name && !wcschr(name, '\\') ? name : NULL;
}

#define FS struct winfsp_file_system *fs

static NTSTATUS WINAPI get_volume_info(FS, struct winfsp_volume_info *info)
{
    (void)fs;
    info->total_size = 1ull << 30;
    info->free_size = 1ull << 29;
    info->volume_label_length = (uint16_t)(wcslen(label) * sizeof(WCHAR));
    memcpy(info->volume_label, label, info->volume_label_length);
    return STATUS_SUCCESS;
}

static NTSTATUS WINAPI set_volume_label(FS, WCHAR *text, struct winfsp_volume_info *info)
{
    wcsncpy(label, text, 31);
    return get_volume_info(fs, info);
}

static NTSTATUS WINAPI by_name(FS, void *user, WCHAR *path, BOOLEAN directory, void *buf,
                               SIZE_T *size)
{
    (void)fs;
    (void)user;
    (void)directory;
    EnterCriticalSection(&lock);
    struct memfile *f = find(path);
    NTSTATUS status = !f            ? STATUS_OBJECT_NAME_NOT_FOUND
                      : !f->reparse ? STATUS_NOT_A_REPARSE_POINT
                                    : STATUS_SUCCESS;
    if (status == STATUS_SUCCESS && buf) {
        memcpy(buf, f->reparse, f->reparse_len);
        *size = f->reparse_len;
    }
    LeaveCriticalSection(&lock);
    return status;
}

static NTSTATUS copy_sd(const struct memfile *f, void *sd, SIZE_T *size)
{
    SIZE_T room = *size;
    *size = f->sd_len;
    if (f->sd_len > room)
        return STATUS_BUFFER_OVERFLOW;
    if (sd)
        memcpy(sd, f->sd, f->sd_len);
    return STATUS_SUCCESS;
}

static NTSTATUS WINAPI get_security_by_name(FS, WCHAR *path, UINT32 *attributes, void *sd,
                                            SIZE_T *sd_size)
{
    UINT32 index;
    NTSTATUS status = STATUS_SUCCESS;
    EnterCriticalSection(&lock);
    struct memfile *f = find(path);
    if (f && attributes)
        *attributes = f->info.file_attributes;
    if (f && sd_size)
        status = copy_sd(f, sd, sd_size);
    LeaveCriticalSection(&lock);
    if (f)
        return status;
    if (api.find_reparse_point(fs, by_name, NULL, path, &index)) {
        if (attributes)
            *attributes = index;
        return STATUS_REPARSE;
    }
    EnterCriticalSection(&lock);
    status = missing(path);
    LeaveCriticalSection(&lock);
    return status;
}

static void opened(struct memfile *f, void **ctx, struct winfsp_file_info *info)
{
    struct winfsp_open_file_info *open = (struct winfsp_open_file_info *)info;
    f->opens++;
    *ctx = f;
    *info = f->info;
    open->normalized_name_size = (uint16_t)(wcslen(f->path) * sizeof(WCHAR));
    memcpy(open->normalized_name, f->path, open->normalized_name_size);
}

static void set_size(struct memfile *f, uint64_t size)
{
    f->data = realloc(f->data, (size_t)size + 1);
    if (size > f->info.file_size)
        memset(f->data + f->info.file_size, 0, (size_t)(size - f->info.file_size));
    f->info.file_size = size;
    f->info.allocation_size = (size + 4095) & ~4095ull;
    f->info.last_write_time = f->info.change_time = now();
}

static NTSTATUS WINAPI create_ex(FS, WCHAR *path, UINT32 options, UINT32 access, UINT32 attributes,
                                 void *sd, UINT64 allocation, void *extra, ULONG extra_len,
                                 BOOLEAN is_reparse, void **ctx, struct winfsp_file_info *info)
{
    (void)fs;
    (void)options;
    (void)access;
    (void)allocation;
    NTSTATUS status = STATUS_SUCCESS;
    EnterCriticalSection(&lock);
    if (find(path)) {
        status = STATUS_OBJECT_NAME_COLLISION;
    } else {
        struct memfile *f = add(path, attributes, sd ? sd : root_sd,
                                sd ? GetSecurityDescriptorLength(sd) : sizeof root_sd);
        if (f && extra_len && !is_reparse) {
            f->ea = malloc(extra_len);
            memcpy(f->ea, extra, extra_len);
            f->ea_len = f->info.ea_size = extra_len;
        }
        if (f)
            opened(f, ctx, info);
        else
            status = STATUS_DISK_FULL;
    }
    LeaveCriticalSection(&lock);
    return status;
}

static NTSTATUS WINAPI open_file(FS, WCHAR *path, UINT32 options, UINT32 access, void **ctx,
                                 struct winfsp_file_info *info)
{
    (void)fs;
    (void)options;
    (void)access;
    EnterCriticalSection(&lock);
    struct memfile *f = find(path);
    NTSTATUS status = f ? STATUS_SUCCESS : missing(path);
    if (f)
        opened(f, ctx, info);
    LeaveCriticalSection(&lock);
    return status;
}

static NTSTATUS WINAPI overwrite(FS, void *ctx, UINT32 attributes, BOOLEAN replace,
                                 UINT64 allocation, struct winfsp_file_info *info)
{
    struct memfile *f = ctx;
    (void)fs;
    (void)allocation;
    EnterCriticalSection(&lock);
    if (wcsstr(f->path, L"no-overwrite")) {
        LeaveCriticalSection(&lock);
        return STATUS_DISK_FULL;
    }
    set_size(f, 0);
    f->info.file_attributes =
        replace ? attributes : f->info.file_attributes | attributes | FILE_ATTRIBUTE_ARCHIVE;
    *info = f->info;
    LeaveCriticalSection(&lock);
    return STATUS_SUCCESS;
}

static VOID WINAPI cleanup(FS, void *ctx, WCHAR *path, ULONG flags)
{
    struct memfile *f = ctx;
    (void)fs;
    (void)path;
    EnterCriticalSection(&lock);
    if (flags & WINFSP_CLEANUP_DELETE)
        f->gone = TRUE;
    if (flags & WINFSP_CLEANUP_SET_ARCHIVE_BIT)
        f->info.file_attributes |= FILE_ATTRIBUTE_ARCHIVE;
    LeaveCriticalSection(&lock);
}

static VOID WINAPI close_file(FS, void *ctx)
{
    struct memfile *f = ctx;
    (void)fs;
    EnterCriticalSection(&lock);
    f->opens--;
    drop(f);
    LeaveCriticalSection(&lock);
}

static NTSTATUS do_read(struct memfile *f, void *buf, UINT64 offset, ULONG len, ULONG *got)
{
    if (offset >= f->info.file_size)
        return STATUS_END_OF_FILE;
    *got = f->info.file_size - offset < len ? (ULONG)(f->info.file_size - offset) : len;
    memcpy(buf, f->data + offset, *got);
    if (wcsstr(f->path, L"bad-read"))
        *got = len + 1;
    if (wcsstr(f->path, L"bad-over"))
        ((uint8_t *)buf)[len] = 0;
    return STATUS_SUCCESS;
}

static NTSTATUS do_write(struct memfile *f, const void *buf, UINT64 offset, ULONG len,
                         BOOLEAN to_end, BOOLEAN constrained, ULONG *put,
                         struct winfsp_file_info *info)
{
    if (to_end)
        offset = f->info.file_size;
    *put = 0;
    if (constrained && offset >= f->info.file_size)
        len = 0;
    else if (constrained && offset + len > f->info.file_size)
        len = (ULONG)(f->info.file_size - offset);
    if (len && offset + len > f->info.file_size)
        set_size(f, offset + len);
    if (len)
        memcpy(f->data + offset, buf, len);
    *put = len;
    f->info.last_write_time = f->info.change_time = now();
    *info = f->info;
    return STATUS_SUCCESS;
}

struct pended {
    FS;
    struct memfile *f;
    void *buf;
    UINT64 offset;
    ULONG len;
    BOOLEAN write, to_end, constrained;
    struct winfsp_response rsp;
};

static DWORD WINAPI answer(void *arg)
{
    struct pended *p = arg;
    ULONG done = 0;
    Sleep(30);
    EnterCriticalSection(&lock);
    NTSTATUS status = p->write ? do_write(p->f, p->buf, p->offset, p->len, p->to_end,
                                          p->constrained, &done, &p->rsp.file_info)
                               : do_read(p->f, p->buf, p->offset, p->len, &done);
    LeaveCriticalSection(&lock);
    p->rsp.size = sizeof p->rsp;
    p->rsp.status = (uint32_t)status;
    p->rsp.information = done;
    api.send_response(p->fs, &p->rsp);
    free(p);
    return 0;
}

static BOOL pend(FS, struct memfile *f, void *buf, UINT64 offset, ULONG len, BOOLEAN write,
                 BOOLEAN to_end, BOOLEAN constrained)
{
    if (!wcsstr(f->path, L"slow"))
        return FALSE;
    struct winfsp_operation_context *c = api.operation_context();
    struct pended *p = calloc(1, sizeof *p);
    *p = (struct pended){fs, f, buf, offset, len, write, to_end, constrained, {0}};
    p->rsp.kind = c->request->kind;
    p->rsp.hint = c->request->hint;
    CloseHandle(CreateThread(NULL, 0, answer, p, 0, NULL));
    return TRUE;
}

static NTSTATUS WINAPI read_file(FS, void *ctx, void *buf, UINT64 offset, ULONG len, ULONG *got)
{
    if (pend(fs, ctx, buf, offset, len, FALSE, FALSE, FALSE))
        return STATUS_PENDING;
    EnterCriticalSection(&lock);
    NTSTATUS status = do_read(ctx, buf, offset, len, got);
    LeaveCriticalSection(&lock);
    return status;
}

static NTSTATUS WINAPI write_file(FS, void *ctx, void *buf, UINT64 offset, ULONG len,
                                  BOOLEAN to_end, BOOLEAN constrained, ULONG *put,
                                  struct winfsp_file_info *info)
{
    if (pend(fs, ctx, buf, offset, len, TRUE, to_end, constrained))
        return STATUS_PENDING;
    EnterCriticalSection(&lock);
    NTSTATUS status = do_write(ctx, buf, offset, len, to_end, constrained, put, info);
    LeaveCriticalSection(&lock);
    return status;
}

static NTSTATUS WINAPI get_file_info(FS, void *ctx, struct winfsp_file_info *info)
{
    struct memfile *f = ctx;
    (void)fs;
    EnterCriticalSection(&lock);
    if (!wcsstr(f->path, L"bad-info"))
        *info = f->info;
    LeaveCriticalSection(&lock);
    return STATUS_SUCCESS;
}

static NTSTATUS WINAPI flush(FS, void *ctx, struct winfsp_file_info *info)
{
    return ctx ? get_file_info(fs, ctx, info) : STATUS_SUCCESS;
}

static NTSTATUS WINAPI set_basic_info(FS, void *ctx, UINT32 attributes, UINT64 creation,
                                      UINT64 access, UINT64 write, UINT64 change,
                                      struct winfsp_file_info *info)
{
    struct memfile *f = ctx;
    (void)fs;
    EnterCriticalSection(&lock);
    f->info.file_attributes = attributes == UINT32_MAX ? f->info.file_attributes : attributes;
    f->info.creation_time = creation ? creation : f->info.creation_time;
    f->info.last_access_time = access ? access : f->info.last_access_time;
    f->info.last_write_time = write ? write : f->info.last_write_time;
    f->info.change_time = change ? change : f->info.change_time;
    *info = f->info;
    LeaveCriticalSection(&lock);
    return STATUS_SUCCESS;
}

static NTSTATUS WINAPI set_file_size(FS, void *ctx, UINT64 size, BOOLEAN allocation,
                                     struct winfsp_file_info *info)
{
    struct memfile *f = ctx;
    (void)fs;
    EnterCriticalSection(&lock);
    if (!allocation || size < f->info.file_size)
        set_size(f, size);
    if (allocation)
        f->info.allocation_size = size;
    *info = f->info;
    LeaveCriticalSection(&lock);
    return STATUS_SUCCESS;
}

static NTSTATUS WINAPI set_delete(FS, void *ctx, WCHAR *path, BOOLEAN del)
{
    struct memfile *dir = ctx;
    NTSTATUS status = STATUS_SUCCESS;
    (void)fs;
    (void)path;
    EnterCriticalSection(&lock);
    for (unsigned i = 0; del && is_dir(dir) && i < FILES_MOST; i++)
        if (files[i] && child_name(dir, files[i]))
            status = STATUS_DIRECTORY_NOT_EMPTY;
    LeaveCriticalSection(&lock);
    return status;
}

static NTSTATUS WINAPI rename_file(FS, void *ctx, WCHAR *path, WCHAR *new_path, BOOLEAN replace)
{
    NTSTATUS status = STATUS_SUCCESS;
    WCHAR moved[PATH_MAX_UNITS];
    size_t n = wcslen(path);
    (void)fs;
    EnterCriticalSection(&lock);
    struct memfile *there = find(new_path);
    if (there && there != ctx) {
        if (!replace)
            status = STATUS_OBJECT_NAME_COLLISION;
        else if (is_dir(there))
            status = STATUS_ACCESS_DENIED;
        else
            there->gone = TRUE;
        if (!status)
            drop(there);
    }
    for (unsigned i = 0; !status && i < FILES_MOST; i++) {
        struct memfile *f = files[i];
        if (!f || f->gone || compare(f->path, path, n) || (f->path[n] && f->path[n] != '\\'))
            continue;
        _snwprintf(moved, PATH_MAX_UNITS, L"%ls%ls", new_path, f->path + n);
        memcpy(f->path, moved, sizeof moved);
    }
    LeaveCriticalSection(&lock);
    return status;
}

static NTSTATUS WINAPI get_security(FS, void *ctx, void *sd, SIZE_T *size)
{
    (void)fs;
    EnterCriticalSection(&lock);
    NTSTATUS status = copy_sd(ctx, sd, size);
    LeaveCriticalSection(&lock);
    return status;
}

static NTSTATUS WINAPI set_security(FS, void *ctx, SECURITY_INFORMATION what, void *sd)
{
    struct memfile *f = ctx;
    (void)fs;
    (void)what;
    EnterCriticalSection(&lock);
    free(f->sd);
    f->sd_len = GetSecurityDescriptorLength(sd);
    f->sd = malloc(f->sd_len);
    memcpy(f->sd, sd, f->sd_len);
    LeaveCriticalSection(&lock);
    return STATUS_SUCCESS;
}

static BOOL add_entry(const struct memfile *f, const WCHAR *name, uint64_t offset, uint8_t *buf,
                      ULONG len, ULONG *got)
{
    struct winfsp_dir_info d = {0};
    ULONG bytes = (ULONG)(wcslen(name) * sizeof(WCHAR));
    d.size = (uint16_t)(sizeof d + bytes);
    d.file_info = f->info;
    d.next_offset = offset;
    ULONG step = (d.size + 7u) & ~7u;
    if (*got + step > len)
        return FALSE;
    memcpy(buf + *got, &d, sizeof d);
    memcpy(buf + *got + sizeof d, name, bytes);
    *got += step;
    return TRUE;
}

/* The order is that of the table; the marker a name, or the next place in it. */
static NTSTATUS WINAPI read_directory(FS, void *ctx, WCHAR *pattern, WCHAR *marker, void *buf,
                                      ULONG len, ULONG *got)
{
    struct memfile *dir = ctx;
    unsigned i = 0;
    uint64_t offset = 0;
    uint16_t end = 0;
    (void)fs;
    (void)pattern;
    EnterCriticalSection(&lock);
    if (marker && (volume_flags & WINFSP_DIRECTORY_MARKER_AS_NEXT_OFFSET)) {
        memcpy(&offset, marker, 8);
        i = (unsigned)offset;
    } else if (marker) {
        while (i < FILES_MOST && !(files[i] && child_name(dir, files[i]) &&
                                   !compare(child_name(dir, files[i]), marker, PATH_MAX_UNITS)))
            i++;
        i++;
    }
    BOOL more = TRUE;
    for (; more && i < FILES_MOST; i++) {
        const WCHAR *name = files[i] ? child_name(dir, files[i]) : NULL;
        if (name)
            more = add_entry(files[i], name, i + 1, buf, len, got);
    }
    LeaveCriticalSection(&lock);
    if (more && *got + sizeof end <= len) {
        memcpy((uint8_t *)buf + *got, &end, sizeof end);
        *got += sizeof end;
    }
    return STATUS_SUCCESS;
}

static NTSTATUS WINAPI get_dir_info_by_name(FS, void *ctx, WCHAR *name,
                                            struct winfsp_dir_info *info)
{
    struct memfile *dir = ctx;
    NTSTATUS status = STATUS_OBJECT_NAME_NOT_FOUND;
    (void)fs;
    EnterCriticalSection(&lock);
    for (unsigned i = 0; i < FILES_MOST && status; i++) {
        const WCHAR *child = files[i] ? child_name(dir, files[i]) : NULL;
        if (!child || compare(child, name, PATH_MAX_UNITS))
            continue;
        size_t bytes = wcslen(child) * sizeof(WCHAR);
        info->size = (uint16_t)(sizeof *info + bytes);
        info->file_info = files[i]->info;
        memcpy(info->name, child, bytes);
        status = STATUS_SUCCESS;
    }
    LeaveCriticalSection(&lock);
    return status;
}

static NTSTATUS WINAPI resolve_reparse_points(FS, WCHAR *path, UINT32 index, BOOLEAN last,
                                              IO_STATUS_BLOCK *io, void *buf, SIZE_T *size)
{
    return api.resolve_reparse_points(fs, by_name, NULL, path, index, last, io, buf, size);
}

static NTSTATUS WINAPI get_reparse_point(FS, void *ctx, WCHAR *path, void *buf, SIZE_T *size)
{
    struct memfile *f = ctx;
    (void)fs;
    (void)path;
    if (!f->reparse)
        return STATUS_NOT_A_REPARSE_POINT;
    memcpy(buf, f->reparse, f->reparse_len);
    *size = f->reparse_len;
    return STATUS_SUCCESS;
}

static NTSTATUS WINAPI set_reparse_point(FS, void *ctx, WCHAR *path, void *buf, SIZE_T size)
{
    struct memfile *f = ctx;
    (void)fs;
    (void)path;
    EnterCriticalSection(&lock);
    free(f->reparse);
    f->reparse = malloc(size);
    memcpy(f->reparse, buf, size);
    f->reparse_len = (uint32_t)size;
    f->info.file_attributes |= FILE_ATTRIBUTE_REPARSE_POINT;
    memcpy(&f->info.reparse_tag, buf, 4);
    LeaveCriticalSection(&lock);
    return STATUS_SUCCESS;
}

static NTSTATUS WINAPI delete_reparse_point(FS, void *ctx, WCHAR *path, void *buf, SIZE_T size)
{
    struct memfile *f = ctx;
    (void)fs;
    (void)path;
    (void)buf;
    (void)size;
    if (!f->reparse)
        return STATUS_NOT_A_REPARSE_POINT;
    EnterCriticalSection(&lock);
    free(f->reparse);
    f->reparse = NULL;
    f->info.file_attributes &= ~(uint32_t)FILE_ATTRIBUTE_REPARSE_POINT;
    f->info.reparse_tag = 0;
    LeaveCriticalSection(&lock);
    return STATUS_SUCCESS;
}

static NTSTATUS WINAPI get_ea(FS, void *ctx, struct winfsp_full_ea *ea, ULONG len, ULONG *got)
{
    struct memfile *f = ctx;
    (void)fs;
    if (f->ea_len > len)
        return STATUS_BUFFER_OVERFLOW;
    if (f->ea_len)
        memcpy(ea, f->ea, f->ea_len);
    *got = f->ea_len;
    return STATUS_SUCCESS;
}

static NTSTATUS WINAPI set_ea(FS, void *ctx, struct winfsp_full_ea *ea, ULONG len,
                              struct winfsp_file_info *info)
{
    struct memfile *f = ctx;
    (void)fs;
    EnterCriticalSection(&lock);
    free(f->ea);
    f->ea = malloc(len);
    memcpy(f->ea, ea, len);
    f->ea_len = f->info.ea_size = len;
    *info = f->info;
    LeaveCriticalSection(&lock);
    return STATUS_SUCCESS;
}

static VOID WINAPI dispatcher_stopped(FS, BOOLEAN normally)
{
    (void)fs;
    printf("dispatcher stopped %s\n", normally ? "normally" : "by the driver");
    fflush(stdout);
}

static const struct winfsp_interface callbacks = {
    .get_volume_info = get_volume_info,
    .set_volume_label = set_volume_label,
    .get_security_by_name = get_security_by_name,
    .open = open_file,
    .overwrite = overwrite,
    .cleanup = cleanup,
    .close = close_file,
    .read = read_file,
    .write = write_file,
    .flush = flush,
    .get_file_info = get_file_info,
    .set_basic_info = set_basic_info,
    .set_file_size = set_file_size,
    .rename = rename_file,
    .get_security = get_security,
    .set_security = set_security,
    .read_directory = read_directory,
    .resolve_reparse_points = resolve_reparse_points,
    .get_reparse_point = get_reparse_point,
    .set_reparse_point = set_reparse_point,
    .delete_reparse_point = delete_reparse_point,
    .get_dir_info_by_name = get_dir_info_by_name,
    .set_delete = set_delete,
    .create_ex = create_ex,
    .get_ea = get_ea,
    .set_ea = set_ea,
    .dispatcher_stopped = dispatcher_stopped,
};

static BOOL load(void)
{
    HMODULE dll = LoadLibraryA("winfsp-x64.dll");
    if (!dll) {
        printf("no winfsp-x64.dll: %lu\n", GetLastError());
        return FALSE;
    }
#define X(member, export, result, parameters)                                                      \
    *(FARPROC *)&api.member = GetProcAddress(dll, #export);                                        \
    if (!api.member) {                                                                             \
        printf("no %s\n", #export);                                                                \
        return FALSE;                                                                              \
    }
    WINFSP_API_FUNCTIONS(X)
#undef X
    return TRUE;
}

/* A change that nobody made through the volume: what a host would do. */
static void change_behind(FS)
{
    _Alignas(8) uint8_t buf[64] = {0};
    struct winfsp_notify_info *n = (struct winfsp_notify_info *)buf;
    EnterCriticalSection(&lock);
    struct memfile *f = find(L"\\behind");
    if (f)
        set_size(f, 77);
    LeaveCriticalSection(&lock);
    memcpy(n->name, L"\\behind", 14);
    n->size = 12 + 14;
    n->filter = FILE_NOTIFY_CHANGE_SIZE;
    n->action = FILE_ACTION_MODIFIED;
    if (api.notify_begin(fs, 1000) == STATUS_SUCCESS) {
        api.notify(fs, n, n->size);
        api.notify_end(fs);
    }
}

int main(int argc, char **argv)
{
    struct winfsp_volume_params params = {.version = sizeof params, .sector_size = 512};
    struct winfsp_file_system *fs;
    WCHAR mount[64];
    params.sectors_per_allocation_unit = 8;
    volume_flags = params.flags = argc > 2 ? strtoul(argv[2], NULL, 16) : 0;
    params.file_info_timeout = argc > 3 ? strtoul(argv[3], NULL, 10) : 1000;
    params.volume_serial_number = 0x1234;
    params.volume_creation_time = now();
    folds = !(params.flags & WINFSP_CASE_SENSITIVE_SEARCH);
    memcpy(params.file_system_name, L"MEMFS", 12);
    InitializeCriticalSection(&lock);
    add(L"\\", FILE_ATTRIBUTE_DIRECTORY, root_sd, sizeof root_sd);
    if (argc < 2 || !load())
        return 1;
    MultiByteToWideChar(CP_UTF8, 0, argv[1], -1, mount, 64);
    NTSTATUS status = api.create_fs((WCHAR *)WINFSP_DISK_DEVICE, &params, &callbacks, &fs);
    if (!status)
        status = api.set_mount_point(fs, mount, NULL);
    if (!status)
        status = api.start_dispatcher(fs, 0);
    printf("mounted: %#lx at %ls\n", (unsigned long)status, fs ? fs->mount_point : L"");
    fflush(stdout);
    if (status)
        return 1;
    while (GetFileAttributesA("C:\\memfs-stop") == INVALID_FILE_ATTRIBUTES) {
        if (DeleteFileA("C:\\memfs-change"))
            change_behind(fs);
        Sleep(50);
    }
    api.stop_dispatcher(fs);
    api.delete_fs(fs);
    printf("ended\n");
    return 0;
}
