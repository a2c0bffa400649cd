// SPDX-License-Identifier: BSD-3-Clause
/*
 * attr.c - struct winfsp_file_info from attributes of the host
 *
 * Creation time is the one that was set, else the host's birth time; where the host has none it is the oldest of the
 * other times, which at least does not move forward with every chmod. HardLinks stays 0, as WinFsp wants. Links, sockets and
 * other special files have no size: what they contain is their reparse data.
 *
 * Ownership, locks: none of its own.
 */
#include "service/winfsp/svc.h"

#include <string.h>

/** svc_is_hidden() - is this a dot file, and are those to be hidden? */
bool svc_is_hidden(const struct svc_volume *v, struct cli_name name)
{
    return v->options.hide_dot_files && name.len > 1 && name.bytes[0] == '.' &&
           !(name.len == 2 && name.bytes[1] == '.');
}

static void fill(const struct svc_volume *v, const struct cli_attr *a, bool hidden,
                 bool link_to_directory, struct winfsp_file_info *out)
{
    bool data = (a->mode & SVC_IFMT) == SVC_IFREG;

    memset(out, 0, sizeof(*out));
    out->file_attributes = svc_attributes(&v->rules, a, hidden, link_to_directory);
    out->reparse_tag = svc_reparse_tag(a->mode);
    out->file_size = data ? a->size : 0;
    out->allocation_size = svc_allocation(a);
    out->creation_time = svc_creation_time(&v->rules, a);
    out->last_access_time = svc_time_from_host(a->atime);
    out->last_write_time = svc_time_from_host(a->mtime);
    out->change_time = svc_time_from_host(a->ctime);
    out->index_number = a->ino;
    out->ea_size = a->eas_known && v->has_eas ? a->ea_size : 0;
}

void svc_info_of(struct svc_volume *v, const struct cli_attr *a, struct cli_name name,
                 bool link_to_directory, struct winfsp_file_info *out)
{
    fill(v, a, svc_is_hidden(v, name), link_to_directory, out);
}

/* The directory that a handle's file is in, as Windows spells it. Return: false if it does not fit. */
static bool directory_of(struct svc_open *o, WCHAR *out)
{
    const WCHAR *last = wcsrchr(o->path, L'\\');
    size_t units = last ? (size_t)(last - o->path) : 0;

    if (units >= SVC_PATH_UNITS)
        return false;
    memcpy(out, o->path, units * sizeof(*out));
    out[units] = 0;
    return true;
}

static bool leads_to_directory(struct svc_open *o)
{
    WCHAR directory[SVC_PATH_UNITS];

    return cli_node_type(o->node) == SVC_IFLNK && directory_of(o, directory) &&
           svc_link_is_directory(o->v, directory, o->node);
}

/**
 * svc_info() - of an open file or stream [1, none while the attributes hold; more for a link]
 */
NTSTATUS svc_info(struct svc_open *o, struct winfsp_file_info *out)
{
    struct cli_attr a;
    int error = svc_getattr(o->v, o->node, &a);

    if (error)
        return svc_status(error, SVC_ABOUT_HANDLE);
    fill(o->v, &a, o->hidden, leads_to_directory(o), out);
    return o->stream ? svc_stream_info(o, out) : STATUS_SUCCESS;
}
