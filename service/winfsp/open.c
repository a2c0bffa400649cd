// SPDX-License-Identifier: BSD-3-Clause
/*
 * open.c - opening what is there: GetSecurityByName and Open
 *
 * Theory of operation
 *
 *   WinFsp asks for attributes and security of a path and checks access itself; then it opens the path. Both
 *   share one walk (find.c), so an open costs what the walk costs, and one FUSE OPEN if data access was
 *   granted that no handle of the node has yet. Opens for attributes, deletion or listing send none.
 *
 *   A handle's data access is taken from what was granted: whatever may read or execute needs a readable
 *   handle, whatever may write or append a writable one. The host's refusal shows here, not later.
 *
 *   With case-insensitive names WinFsp wants to know how the path is really spelled, or would show it in
 *   capitals everywhere.
 *
 * Ownership: see svc.h. Locks: those of the client.
 */
#include "service/winfsp/svc.h"

#include <stdlib.h>
#include <string.h>

/* ---- GetSecurityByName ------------------------------------------------------------------------------ */

static bool is_link_to_directory(struct svc_volume *v, const WCHAR *path, struct cli_node *n)
{
    const WCHAR *last = wcsrchr(path, L'\\');
    WCHAR directory[SVC_PATH_UNITS];

    if (cli_node_type(n) != SVC_IFLNK || !last || last - path >= SVC_PATH_UNITS)
        return false;
    memcpy(directory, path, (size_t)(last - path) * sizeof(*path));
    directory[last - path] = 0;
    return svc_link_is_directory(v, directory, n);
}

static NTSTATUS security_of_found(struct svc_volume *v, const WCHAR *path,
                                  const struct svc_found *f, UINT32 *attributes, void *sd,
                                  SIZE_T *sd_size)
{
    struct cli_attr a;
    int error;

    if (!attributes && !sd_size)
        return STATUS_SUCCESS;
    error = svc_getmode(v, f->node, &a);
    if (error)
        return svc_status(error, SVC_ABOUT_NAME);
    if (f->count == 0)
        svc_owner_set(v, &a);
    if (attributes) {
        *attributes =
            svc_attributes(&v->rules, &a, f->count > 0 && svc_is_hidden(v, svc_found_name(f)),
                           is_link_to_directory(v, path, f->node));
        /* In an access check it would forbid new files in a directory, which is not what it means. */
        if (*attributes & SVC_ATTRIBUTE_DIRECTORY)
            *attributes &= ~(uint32_t)SVC_ATTRIBUTE_READONLY;
    }
    return sd_size ? svc_security(v, f->node, &a, sd, sd_size) : STATUS_SUCCESS;
}

/**
 * svc_cb_get_security_by_name() - attributes and security of a path, before it is opened
 *
 * Return: STATUS_REPARSE with *attributes = units before the link when a link is on the way; BUFFER_OVERFLOW
 * with *sd_size = need.
 */
NTSTATUS WINAPI svc_cb_get_security_by_name(struct winfsp_file_system *fs, WCHAR *path,
                                            UINT32 *attributes, void *sd, SIZE_T *sd_size)
{
    struct svc_volume *v = svc_volume_of(fs);
    struct svc_stream_path stream;
    bool named = svc_stream_path(v, path, &stream);
    const WCHAR *file = named ? stream.file : path;
    struct svc_found f;
    int r = svc_find(v, file, &f);
    NTSTATUS status;

    if (r == 0)
        status = security_of_found(v, file, &f, attributes, sd, sd_size);
    else
        status = svc_find_status(r, &f);
    if (NT_SUCCESS(status) && r == 0 && named)
        status = svc_stream_check(v, &f, stream.name, attributes);
    if (status == STATUS_REPARSE && attributes)
        *attributes = f.link_units;
    svc_found_end(v, &f);
    return status;
}

/* ---- handles ---------------------------------------------------------------------------------------- */

/** svc_access_of() - enum cli_access that granted rights call for */
uint32_t svc_access_of(uint32_t granted)
{
    uint32_t access = 0;

    if (granted & (FILE_READ_DATA | FILE_EXECUTE))
        access |= CLI_READ;
    if (granted & (FILE_WRITE_DATA | FILE_APPEND_DATA))
        access |= CLI_WRITE;
    return access;
}

/** svc_open_path_set() - o->lock held, or nobody else has seen the handle */
NTSTATUS svc_open_path_set(struct svc_open *o, const WCHAR *path)
{
    WCHAR *copy = _wcsdup(path), *before;

    if (!copy)
        return STATUS_INSUFFICIENT_RESOURCES;
    AcquireSRWLockExclusive(&o->v->opens_lock);
    before = o->path;
    o->path = copy;
    ReleaseSRWLockExclusive(&o->v->opens_lock);
    free(before);
    return STATUS_SUCCESS;
}

static void list_handle(struct svc_open *o)
{
    struct svc_volume *v = o->v;

    AcquireSRWLockExclusive(&v->opens_lock);
    o->next = v->opens;
    o->link = &v->opens;
    if (v->opens)
        v->opens->link = &o->next;
    v->opens = o;
    ReleaseSRWLockExclusive(&v->opens_lock);
}

static void unlist_handle(struct svc_open *o)
{
    if (!o->link)
        return;
    AcquireSRWLockExclusive(&o->v->opens_lock);
    *o->link = o->next;
    if (o->next)
        o->next->link = o->link;
    o->link = NULL;
    ReleaseSRWLockExclusive(&o->v->opens_lock);
}

/* The path as the host spells it, with -i; as it was asked for otherwise, because then it is the same. */
static NTSTATUS set_spelled_path(struct svc_open *o, const struct svc_found *f, const WCHAR *path)
{
    WCHAR spelled[SVC_PATH_UNITS];

    if (o->v->options.case_insensitive && f->spelling_len > 0 &&
        svc_path_spell(f->spelling, f->spelling_len, spelled, SVC_PATH_UNITS) > 0)
        return svc_open_path_set(o, spelled);
    return svc_open_path_set(o, path);
}

/**
 * svc_open_new() - a handle for what was found
 * @f: node set; its references stay the caller's
 * @access: what was granted
 *
 * Return: STATUS_SHARING_VIOLATION when another spelling is open (twins.c); svc_open_free() undoes it.
 */
NTSTATUS svc_open_new(struct svc_volume *v, const struct svc_found *f, const WCHAR *path,
                      UINT32 access, struct svc_open **out)
{
    struct svc_open *o = calloc(1, sizeof(*o));
    NTSTATUS status;

    if (!o)
        return STATUS_INSUFFICIENT_RESOURCES;
    o->v = v;
    o->node = cli_node_get(f->node);
    o->parent = f->parent ? cli_node_get(f->parent) : NULL;
    o->lists = cli_node_type(f->node) == SVC_IFDIR && (access & FILE_LIST_DIRECTORY);
    o->opened_ms = GetTickCount64();
    o->hidden = f->count > 0 && svc_is_hidden(v, svc_found_name(f));
    status = set_spelled_path(o, f, path);
    if (NT_SUCCESS(status) && f->count > 0)
        status = svc_twin_open(o, svc_found_name(f));
    if (!NT_SUCCESS(status)) {
        svc_open_free(o);
        return status;
    }
    list_handle(o);
    *out = o;
    return STATUS_SUCCESS;
}

/** svc_open_free() - everything that a handle holds goes back; nobody uses it any more */
void svc_open_free(struct svc_open *o)
{
    struct cli *c = o->v->client;

    unlist_handle(o);
    svc_snapshot_free(o->snapshot);
    if (o->watched)
        cli_unwatch(c, o->node);
    svc_twin_close(o);
    if (o->file)
        cli_file_close(c, o->file);
    if (o->dir)
        cli_dir_close(c, o->dir);
    svc_stream_put(o->stream);
    cli_node_put(c, o->node);
    cli_node_put(c, o->parent);
    free(o->path);
    free(o);
}

/**
 * svc_open_data() - make sure that the handle has a file of the client [1, or none]
 * @access: enum cli_access that the file is opened for, if it must be
 *
 * Once there it stays until the handle is closed. The client finds a FUSE handle that can do what is asked,
 * whatever this one was opened for. Takes o->lock. Return: STATUS_INVALID_DEVICE_REQUEST for what has no
 * data.
 */
NTSTATUS svc_open_data(struct svc_open *o, uint32_t access)
{
    bool there;
    int error = 0;

    if (cli_node_type(o->node) != SVC_IFREG)
        return STATUS_INVALID_DEVICE_REQUEST;
    AcquireSRWLockShared(&o->lock);
    there = o->file != NULL;
    ReleaseSRWLockShared(&o->lock);
    if (there)
        return STATUS_SUCCESS;
    AcquireSRWLockExclusive(&o->lock);
    if (!o->file)
        error = cli_file_open(o->v->client, o->node, access, &o->file);
    ReleaseSRWLockExclusive(&o->lock);
    return svc_status(error, SVC_ABOUT_NAME);
}

/** svc_normalize() - tell WinFsp how the path of a new handle is really spelled, with -i */
void svc_normalize(const struct svc_open *o, struct winfsp_file_info *info)
{
    /* WinFsp: the file_info of create and open lies in a struct winfsp_open_file_info */
    struct winfsp_open_file_info *open_info = (struct winfsp_open_file_info *)(void *)info;
    size_t bytes = wcslen(o->path) * sizeof(*o->path);

    if (!o->v->options.case_insensitive || !open_info->normalized_name ||
        bytes > open_info->normalized_name_size || bytes >= SVC_PATH_UNITS * sizeof(WCHAR))
        return;
    memcpy(open_info->normalized_name, o->path, bytes);
    open_info->normalized_name_size = (uint16_t)bytes;
}

/* ---- Open ------------------------------------------------------------------------------------------- */

static NTSTATUS check_kind(UINT32 options, const struct winfsp_file_info *info)
{
    bool directory = (info->file_attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;

    if ((options & SVC_OPTION_DIRECTORY) && !directory)
        return STATUS_NOT_A_DIRECTORY;
    if ((options & SVC_OPTION_NOT_DIRECTORY) && directory)
        return STATUS_FILE_IS_A_DIRECTORY;
    return STATUS_SUCCESS;
}

static NTSTATUS open_found(struct svc_volume *v, const struct svc_found *f, const WCHAR *path,
                           UINT32 options, UINT32 access, void **ctx, struct winfsp_file_info *info)
{
    uint32_t data = svc_access_of(access);
    struct svc_open *o;
    NTSTATUS status = svc_open_new(v, f, path, access, &o);

    if (!NT_SUCCESS(status))
        return status;
    status = svc_info(o, info);
    if (NT_SUCCESS(status))
        status = check_kind(options, info);
    if (NT_SUCCESS(status) && data && cli_node_type(o->node) == SVC_IFREG) {
        status = svc_open_data(o, data);
        if (NT_SUCCESS(status)) /* with what the host said when it opened the file */
            status = svc_info(o, info);
    }
    if (!NT_SUCCESS(status)) {
        svc_open_free(o);
        return status;
    }
    svc_normalize(o, info);
    svc_cached_open(o);
    *ctx = o;
    return STATUS_SUCCESS;
}

/**
 * svc_cb_open() - open what is there
 * @options: of NtCreateFile, with the disposition in the upper 8 bits
 * @access:  what was granted
 */
NTSTATUS WINAPI svc_cb_open(struct winfsp_file_system *fs, WCHAR *path, UINT32 options,
                            UINT32 access, void **ctx, struct winfsp_file_info *info)
{
    struct svc_volume *v = svc_volume_of(fs);
    struct svc_stream_path stream;
    struct svc_found f;
    NTSTATUS status;
    int r;

    if (svc_stream_path(v, path, &stream))
        return svc_stream_open(v, &stream, options, ctx, info);
    r = svc_find(v, path, &f);
    if (r == 0)
        status = open_found(v, &f, path, options, access, ctx, info);
    else
        status = svc_find_failure(r, &f); /* kernel openers are not asked about links first */
    svc_found_end(v, &f);
    return status;
}
