// SPDX-License-Identifier: BSD-3-Clause
/*
 * names.c - what an extended attribute of the host means to Windows, by its name
 *
 * Theory of operation
 *
 *   Samba keeps what Linux has no place for in extended attributes, and we keep it there, too. The EA "NAME" of
 *   Windows is "user.NAME". Names that carry something else are never EAs: whatever a program writes
 *   there would forge it. Samba compares them without regard to case (trans2.c), so that a client cannot make a
 *   "dosattrib" beside "DOSATTRIB"; so does this, and only the very spelling has the meaning.
 *
 * Ownership, locks: none. Portable: both halves use it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "lib/meta/names.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Does `name` begin with `start`, in any case of ASCII letters? */
static bool begins_like(const char *name, const char *start)
{
    while (*start && lower(*name) == lower(*start)) {
        name++;
        start++;
    }
    return *start == '\0';
}

/* Compared whole, behind "user.". AFP_AfpInfo of the module fruit, inheritance flags, depots, reparse points. */
static const char *const private_names[] = {"DOSATTRIB",     "NTACL",      "SAMBA_PAI",
                                            "SAMBA_STREAMS", "SmbReparse", "org.netatalk.Metadata"};

static bool is_private(const char *name)
{
    for (size_t i = 0; i < sizeof(private_names) / sizeof(private_names[0]); i++) {
        if (begins_like(name, private_names[i]) && !name[strlen(private_names[i])])
            return true;
    }
    return begins_like(name, "DosStream.");
}

/** meta_kind_of() - @xattr: the host's name, terminated */
enum meta_kind meta_kind_of(const char *xattr)
{
    if (strcmp(xattr, "security.NTACL") == 0)
        return META_ACL;
    if (strncmp(xattr, META_PREFIX, META_PREFIX_LEN) != 0 || !xattr[META_PREFIX_LEN])
        return META_NONE;
    if (!is_private(xattr + META_PREFIX_LEN))
        return META_EA;
    if (strcmp(xattr, "user.DOSATTRIB") == 0)
        return META_DOSATTRIB;
    if (strcmp(xattr, "user.NTACL") == 0)
        return META_ACL;
    return strncmp(xattr, META_STREAM_PREFIX, sizeof(META_STREAM_PREFIX) - 1) == 0 ? META_STREAM
                                                                                   : META_PRIVATE;
}

/**
 * meta_ea_size() - what one EA adds to a file's EaSize
 * @xattr: a name of kind META_EA
 *
 * NTFS counts EAs as OS/2 packed them: flags, two lengths and a NUL beside name and value (5 bytes). The length of the
 * list itself (4 bytes, if there are any) is added by WinFsp. Samba's sum is the same.
 *
 * Return: bytes; 0 for an EA that Windows cannot have: without a value, or with one that does not fit 16 bits.
 */
uint32_t meta_ea_size(const char *xattr, uint64_t value_len)
{
    if (value_len == 0 || value_len > UINT16_MAX)
        return 0;
    return (uint32_t)(5 + strlen(xattr) - META_PREFIX_LEN + value_len);
}
