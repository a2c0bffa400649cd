// SPDX-License-Identifier: BSD-3-Clause
/*
 * ea.c - extended attributes
 *
 * Theory of operation
 *
 *   An EA "NAME" is the host's extended attribute "user.NAME", with its case kept. What Samba and we keep there for
 *   other purposes (attributes, streams, ACLs) is not shown, and cannot be set as an EA (lib/meta/names.c). Nor is what
 *   has no value: Windows takes such an EA for a broken one. A volume says that it has EAs only if its root answers
 *   LISTXATTR.
 *
 *   How many bytes of EAs a file has our daemon tells with the attributes. Other hosts would have to be asked for
 *   every open; the size that WinFsp shows is then what went through the handle, 0 before. Programs that ask for
 *   the EAs themselves get them.
 *
 * All lengths in EA lists are checked (MS-FSCC 2.4.15), whoever made them.
 */
#include "service/winfsp/svc.h"

#include <stdlib.h>
#include <string.h>

#include "lib/meta/names.h"

#define PREFIX     META_PREFIX
#define PREFIX_LEN META_PREFIX_LEN

enum { NAME_ROOM = 256, LIST_ROOM = 65536, EA_ALIGNMENT = 4 };

/** svc_eas_work() - does this volume have EAs? */
bool svc_eas_work(struct svc_volume *v)
{
    return v->has_eas;
}

/* The host's name. Return: false for a name that it cannot have. */
static bool host_name(const char *name, uint32_t len, char out[NAME_ROOM])
{
    if (len == 0 || len > NAME_ROOM - 1 - PREFIX_LEN)
        return false;
    for (uint32_t i = 0; i < len; i++) {
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    }
    memcpy(out, PREFIX, PREFIX_LEN);
    memcpy(out + PREFIX_LEN, name, len);
    out[PREFIX_LEN + len] = '\0';
    return true;
}

static bool is_shown(const char *host)
{
    return meta_kind_of(host) == META_EA && strlen(host + PREFIX_LEN) <= UINT8_MAX;
}

/** svc_xattr_names() - all names, each terminated [1]. Return: bytes at *out (free it), or -errno */
int svc_xattr_names(struct svc_volume *v, struct cli_node *n, char **out)
{
    int len;

    *out = malloc(LIST_ROOM + 1);
    if (!*out)
        return -LE_ENOMEM;
    len = cli_listxattr(v->client, n, *out, LIST_ROOM);
    if (len < 0) {
        free(*out);
        *out = NULL;
        return len == -LE_ENODATA ? 0 : len;
    }
    (*out)[len] = '\0';
    return len;
}

/* ---- reading ---------------------------------------------------------------------------------------- */

struct packing {
    uint8_t *buf;
    ULONG room, used;
    struct winfsp_full_ea *last;
};

/* One more EA. Return: STATUS_BUFFER_OVERFLOW when it does not fit. */
static NTSTATUS pack(struct svc_open *o, struct packing *p, const char *host)
{
    uint32_t name_len = (uint32_t)strlen(host) - PREFIX_LEN;
    ULONG at = (p->used + EA_ALIGNMENT - 1) & ~(ULONG)(EA_ALIGNMENT - 1);
    ULONG head = (ULONG)sizeof(struct winfsp_full_ea) + name_len + 1;
    struct winfsp_full_ea *ea = (struct winfsp_full_ea *)(void *)(p->buf + at);
    uint32_t room;
    int len;

    if (at > p->room || p->room - at < head)
        return STATUS_BUFFER_OVERFLOW;
    room = p->room - at - head < UINT16_MAX ? p->room - at - head : UINT16_MAX;
    len = cli_getxattr(o->v->client, o->node, host, ea->name + name_len + 1, room);
    if (len == -LE_ENODATA || len == 0)
        return STATUS_SUCCESS; /* gone meanwhile, or none that Windows would know */
    if (len == -LE_ERANGE || (room == 0 && len > 0))
        return STATUS_BUFFER_OVERFLOW;
    if (len < 0)
        return svc_status(len, SVC_ABOUT_EA);
    ea->next_entry_offset = 0;
    ea->flags = 0;
    ea->name_length = (uint8_t)name_len;
    ea->value_length = (uint16_t)len;
    memcpy(ea->name, host + PREFIX_LEN, name_len + 1);
    if (p->last)
        p->last->next_entry_offset = (uint32_t)((uint8_t *)ea - (uint8_t *)p->last);
    p->last = ea;
    p->used = at + head + (ULONG)len;
    return STATUS_SUCCESS;
}

/** svc_cb_get_ea() - all EAs, STATUS_BUFFER_OVERFLOW if they do not fit [1 and 1 for each] */
NTSTATUS WINAPI svc_cb_get_ea(struct winfsp_file_system *fs, void *ctx, struct winfsp_full_ea *ea,
                              ULONG len, ULONG *got)
{
    struct svc_open *o = ctx;
    struct packing p = {.buf = (uint8_t *)ea, .room = len};
    NTSTATUS status = STATUS_SUCCESS;
    char *names;
    int bytes;

    *got = 0;
    if (!svc_eas_work(svc_volume_of(fs)))
        return STATUS_EAS_NOT_SUPPORTED;
    bytes = svc_xattr_names(o->v, o->node, &names);
    if (bytes < 0)
        return svc_status(bytes, SVC_ABOUT_EA);
    for (int i = 0; i < bytes && NT_SUCCESS(status); i += (int)strlen(names + i) + 1) {
        if (is_shown(names + i))
            status = pack(o, &p, names + i);
    }
    free(names);
    if (!NT_SUCCESS(status))
        return status;
    *got = p.used;
    return STATUS_SUCCESS;
}

/* ---- writing ---------------------------------------------------------------------------------------- */

/* One EA of a list. An empty value removes it. */
static NTSTATUS set_one(struct svc_open *o, const struct winfsp_full_ea *ea)
{
    const char *value = ea->name + ea->name_length + 1;
    char host[NAME_ROOM];
    int error;

    if (!host_name(ea->name, ea->name_length, host) || !is_shown(host))
        return STATUS_INVALID_EA_NAME;
    if (ea->value_length > 0) {
        error = cli_setxattr(o->v->client, o->node, host, value, ea->value_length, 0);
    } else {
        error = cli_removexattr(o->v->client, o->node, host);
        if (error == -LE_ENODATA)
            error = 0;
    }
    return svc_status(error, SVC_ABOUT_EA);
}

/** svc_eas_set() - a list of EAs, of @len bytes [1 for each] */
NTSTATUS svc_eas_set(struct svc_open *o, const struct winfsp_full_ea *ea, uint32_t len)
{
    const uint8_t *at = (const uint8_t *)ea;

    for (;;) {
        const struct winfsp_full_ea *one = (const struct winfsp_full_ea *)(const void *)at;
        NTSTATUS status;

        if (len < sizeof(*one) ||
            len - sizeof(*one) < (uint32_t)one->name_length + 1u + one->value_length ||
            (uintptr_t)at % EA_ALIGNMENT)
            return STATUS_EA_LIST_INCONSISTENT;
        status = set_one(o, one);
        if (!NT_SUCCESS(status) || one->next_entry_offset == 0)
            return status;
        if (one->next_entry_offset > len || one->next_entry_offset < sizeof(*one))
            return STATUS_EA_LIST_INCONSISTENT;
        at += one->next_entry_offset;
        len -= one->next_entry_offset;
    }
}

/** svc_eas_clear() - remove all that is shown [1 and 1 for each] */
NTSTATUS svc_eas_clear(struct svc_open *o)
{
    char *names;
    int bytes = svc_xattr_names(o->v, o->node, &names), error = 0;

    if (bytes < 0)
        return bytes == -LE_EOPNOTSUPP || bytes == -LE_ENOSYS ? STATUS_SUCCESS
                                                              : svc_status(bytes, SVC_ABOUT_EA);
    for (int i = 0; i < bytes && !error; i += (int)strlen(names + i) + 1) {
        if (is_shown(names + i))
            error = cli_removexattr(o->v->client, o->node, names + i);
        if (error == -LE_ENODATA)
            error = 0;
    }
    free(names);
    return svc_status(error, SVC_ABOUT_EA);
}

/** svc_cb_set_ea() */
NTSTATUS WINAPI svc_cb_set_ea(struct winfsp_file_system *fs, void *ctx, struct winfsp_full_ea *ea,
                              ULONG len, struct winfsp_file_info *info)
{
    struct svc_open *o = ctx;
    NTSTATUS status;

    if (!svc_eas_work(svc_volume_of(fs)))
        return STATUS_EAS_NOT_SUPPORTED;
    status = svc_eas_set(o, ea, len);
    return NT_SUCCESS(status) ? svc_info(o, info) : status;
}
