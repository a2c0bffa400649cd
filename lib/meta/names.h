// SPDX-License-Identifier: BSD-3-Clause
/*
 * names.h - what an extended attribute of the host means to Windows, by its name
 */
#ifndef VIOFS_META_NAMES_H
#define VIOFS_META_NAMES_H

#include <stdint.h>

#define META_PREFIX        "user."
#define META_PREFIX_LEN    5
#define META_STREAM_PREFIX "user.DosStream." /* then NAME:$DATA */

enum meta_kind {
    META_NONE,      /* nothing: security.selinux, system.posix_acl_access ... */
    META_EA,        /* user.NAME: the EA NAME */
    META_DOSATTRIB, /* user.DOSATTRIB */
    META_STREAM,    /* user.DosStream.NAME:$DATA */
    META_ACL,       /* user.NTACL, security.NTACL */
    META_PRIVATE    /* Samba's own notes, which it shows to no client either */
};

enum meta_kind meta_kind_of(const char *xattr);
uint32_t meta_ea_size(const char *xattr, uint64_t value_len);

#endif
