// SPDX-License-Identifier: BSD-3-Clause
/*
 * attributes.c - Windows' file attributes from modes and from what is stored, and back
 *
 * Theory of operation
 *
 *   Of the attributes only READONLY has a home in a Linux mode: no write bit at all. Setting it takes the
 *   write bits away, clearing it gives the owner's back; no other bit is ever touched, so programs stay
 *   executable and set-id bits stay.
 *
 *   All others, and a creation time that was set, are kept in user.DOSATTRIB, where Samba keeps them (lib/meta).
 *   A file without it has ARCHIVE, a directory nothing, both the birth time of the host; only what differs from
 *   this is stored, so an ordinary file costs nothing. What is stored is always both, as Samba does it.
 *
 *   A directory's READONLY is a mark for the shell and says nothing of writing; it is stored, never in the mode. Links
 *   and special files have no place for attributes.
 *
 *   Bits that Windows programs do not set (sparse, compressed, whatever Samba may invent) stay as they are.
 *
 * Ownership, locks: none. Portable: no call into any system.
 */
#include "service/winfsp/attributes.h"

#include "service/winfsp/times.h"

/* What SetFileAttributes sets on NTFS; MS-FSCC 2.6. */
#define SETTABLE                                                                                   \
    (SVC_ATTRIBUTE_READONLY | SVC_ATTRIBUTE_HIDDEN | SVC_ATTRIBUTE_SYSTEM |                        \
     SVC_ATTRIBUTE_ARCHIVE | SVC_ATTRIBUTE_TEMPORARY | SVC_ATTRIBUTE_OFFLINE |                     \
     SVC_ATTRIBUTE_NOT_CONTENT_INDEXED)

static bool is_stored(const struct svc_attribute_rules *r, const struct cli_attr *a)
{
    return r->stored && a->has_dos;
}

static bool is_read_only(const struct svc_attribute_rules *r, const struct cli_attr *a)
{
    bool mode = (a->mode & 0222) == 0;
    bool bit = is_stored(r, a) && (a->dos_attributes & SVC_ATTRIBUTE_READONLY);

    switch (r->stored ? r->read_only : SVC_READ_ONLY_MODE) {
    case SVC_READ_ONLY_BOTH:
        return mode || bit;
    case SVC_READ_ONLY_STORED:
        return a->has_dos ? bit : mode;
    default:
        return mode;
    }
}

/**
 * svc_attributes() - FILE_ATTRIBUTE_* of a file of the host
 * @hidden:            a dot file, where those are to be hidden
 * @link_to_directory: a symbolic link whose target is a directory
 */
uint32_t svc_attributes(const struct svc_attribute_rules *r, const struct cli_attr *a, bool hidden,
                        bool link_to_directory)
{
    uint32_t out = hidden ? SVC_ATTRIBUTE_HIDDEN : 0;

    if (svc_reparse_tag(a->mode) != 0) {
        out |= SVC_ATTRIBUTE_REPARSE_POINT;
        return link_to_directory ? out | SVC_ATTRIBUTE_DIRECTORY : out;
    }
    if (is_stored(r, a))
        out |= a->dos_attributes & SETTABLE;
    if ((a->mode & SVC_IFMT) == SVC_IFDIR)
        return out | SVC_ATTRIBUTE_DIRECTORY;
    if (!is_stored(r, a))
        out |= SVC_ATTRIBUTE_ARCHIVE;
    out &= ~(uint32_t)SVC_ATTRIBUTE_READONLY;
    return is_read_only(r, a) ? out | SVC_ATTRIBUTE_READONLY : out;
}

/** svc_creation_time() - the one that was set, else the host's birth time (or the oldest that it knows) */
uint64_t svc_creation_time(const struct svc_attribute_rules *r, const struct cli_attr *a)
{
    return r->stored && a->create_time ? a->create_time : svc_time_from_host(a->btime);
}

/** svc_mode_with_attributes() - the permission bits of a file after its attributes were set */
uint32_t svc_mode_with_attributes(const struct svc_attribute_rules *r, uint32_t mode,
                                  uint32_t attributes)
{
    bool read_only = (attributes & SVC_ATTRIBUTE_READONLY) != 0;

    if (r->stored && r->read_only == SVC_READ_ONLY_STORED)
        return mode & 07777;
    if ((mode & SVC_IFMT) != SVC_IFREG || read_only == ((mode & 0222) == 0))
        return mode & 07777;
    return read_only ? mode & 07777 & ~0222u : (mode & 07777) | 0200;
}

/* What is shown of a file without user.DOSATTRIB, as far as it would have to be stored to be shown. */
static uint32_t unstored(const struct svc_attribute_rules *r, const struct cli_attr *a)
{
    if ((a->mode & SVC_IFMT) == SVC_IFDIR)
        return SVC_ATTRIBUTE_DIRECTORY;
    if (r->read_only == SVC_READ_ONLY_STORED && (a->mode & 0222) == 0)
        return SVC_ATTRIBUTE_ARCHIVE | SVC_ATTRIBUTE_READONLY;
    return SVC_ATTRIBUTE_ARCHIVE;
}

/**
 * svc_to_store() - what user.DOSATTRIB has to say after a change
 * @a:          as the file is now
 * @attributes: to be set, or SVC_ATTRIBUTES_AS_THEY_ARE
 * @creation:   to be set, or 0
 *
 * Return: false when there is nothing to store: the file is shown as it should be without it.
 */
bool svc_to_store(const struct svc_attribute_rules *r, const struct cli_attr *a,
                  uint32_t attributes, uint64_t creation, struct svc_stored *out)
{
    bool directory = (a->mode & SVC_IFMT) == SVC_IFDIR;
    uint32_t now = a->has_dos ? a->dos_attributes : unstored(r, a), settable = SETTABLE;
    uint64_t created = svc_creation_time(r, a);

    if (!r->stored || svc_reparse_tag(a->mode) != 0)
        return false;
    if (!directory && r->read_only == SVC_READ_ONLY_MODE)
        settable &= ~(uint32_t)SVC_ATTRIBUTE_READONLY;
    out->attributes = now;
    if (attributes != SVC_ATTRIBUTES_AS_THEY_ARE)
        out->attributes = (now & ~settable) | (attributes & settable);
    if (directory)
        out->attributes |= SVC_ATTRIBUTE_DIRECTORY;
    out->creation = creation ? creation : created;
    return out->attributes != now || out->creation != created;
}
