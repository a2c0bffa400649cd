// SPDX-License-Identifier: BSD-3-Clause
/*
 * stored.c - attributes and creation times into user.DOSATTRIB
 *
 * Theory of operation
 *
 *   attributes.c says what is to be stored; most changes need nothing. A host that cannot store it (no extended
 *   attributes there, or not for this user) is told of once in the log, and the change is accepted and dropped but for
 *   what mode bits can say, as on every file system without a place for attributes: programs that copy files give up
 *   otherwise.
 *
 * Locks: none of its own.
 */
#include "service/winfsp/svc.h"

#include "lib/meta/dosattrib.h"

static bool cannot_store(int error)
{
    return error == -LE_EOPNOTSUPP || error == -LE_ENOSYS || error == -LE_EPERM ||
           error == -LE_EACCES;
}

/* Was not told by the host with the rest (very many EAs, say): what is there must not be overwritten unseen. */
static void look(struct svc_open *o, struct cli_attr *a)
{
    uint8_t value[DOSATTRIB_MAX];
    struct dosattrib d;
    int len;

    if (a->meta_known)
        return;
    len = cli_getxattr(o->v->client, o->node, DOSATTRIB_NAME, value, sizeof(value));
    if (len < 0 || !dosattrib_decode(value, (size_t)len, &d))
        return;
    a->has_dos = true;
    a->dos_attributes = d.attributes;
    a->create_time = d.create_time;
}

/**
 * svc_store() - attributes and creation time of an open file [1, or none]
 * @now: as it is
 * @attributes, @creation: see svc_to_store()
 */
NTSTATUS svc_store(struct svc_open *o, const struct cli_attr *now, uint32_t attributes,
                   uint64_t creation)
{
    struct svc_volume *v = o->v;
    struct cli_attr a = *now;
    struct svc_stored s;
    int error;

    if (!v->rules.stored)
        return STATUS_SUCCESS;
    look(o, &a);
    if (!svc_to_store(&v->rules, &a, attributes, creation, &s))
        return STATUS_SUCCESS;
    error = cli_dos_set(v->client, o->node, s.attributes, s.creation);
    if (!cannot_store(error))
        return svc_status(error, SVC_ABOUT_HANDLE);
    if (InterlockedCompareExchange(&v->said_unstored, error, 0) == 0)
        svc_volume_log(v, 1,
                       L"%ls: the host does not store its attributes (error %d); such changes are "
                       L"dropped but for read-only, here and elsewhere",
                       o->path, -error);
    return STATUS_SUCCESS;
}

/**
 * svc_store_new() - attributes of what was made just now [1, or none]
 *
 * Nothing is stored of it yet, and its creation time is the host's.
 */
NTSTATUS svc_store_new(struct svc_open *o, uint32_t attributes)
{
    struct cli_attr a;

    if (!o->v->rules.stored)
        return STATUS_SUCCESS;
    if (cli_node_type(o->node) == SVC_IFREG)
        attributes |= SVC_ATTRIBUTE_ARCHIVE; /* NTFS: a new file is to be archived */
    if ((attributes & ~(uint32_t)SVC_ATTRIBUTE_DIRECTORY) ==
        (cli_node_type(o->node) == SVC_IFREG ? SVC_ATTRIBUTE_ARCHIVE : 0u))
        return STATUS_SUCCESS; /* as it is shown anyway */
    if (svc_getattr(o->v, o->node, &a) < 0)
        return STATUS_SUCCESS; /* svc_info() tells */
    return svc_store(o, &a, attributes, 0);
}

/** svc_store_archive() - the file was written to: to be archived, where what is stored says otherwise [1, or none] */
void svc_store_archive(struct svc_open *o)
{
    struct cli_attr a;

    if (cli_node_type(o->node) != SVC_IFREG || !cli_attr_known(o->v->client, o->node, &a) ||
        !a.has_dos || (a.dos_attributes & SVC_ATTRIBUTE_ARCHIVE))
        return;
    (void)svc_store(o, &a, a.dos_attributes | SVC_ATTRIBUTE_ARCHIVE, 0);
}
