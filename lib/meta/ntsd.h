// SPDX-License-Identifier: BSD-3-Clause
/*
 * ntsd.h - self-relative security descriptors of Windows: checked, put together, changed in parts
 */
#ifndef VIOFS_META_NTSD_H
#define VIOFS_META_NTSD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Larger ones are not stored and not believed; no file system of Linux but XFS and tmpfs could keep them anyway. */
#define NTSD_MAX    16384
#define NTSD_HEADER 20

/* MS-DTYP 2.4.6 */
enum ntsd_control {
    NTSD_DACL_PRESENT = 0x0004,
    NTSD_DACL_DEFAULTED = 0x0008,
    NTSD_SACL_PRESENT = 0x0010,
    NTSD_SACL_DEFAULTED = 0x0020,
    NTSD_DACL_INHERIT_REQ = 0x0100,
    NTSD_SACL_INHERIT_REQ = 0x0200,
    NTSD_DACL_INHERITED = 0x0400,
    NTSD_SACL_INHERITED = 0x0800,
    NTSD_DACL_PROTECTED = 0x1000,
    NTSD_SACL_PROTECTED = 0x2000,
    NTSD_SELF_RELATIVE = 0x8000
};

/* MS-DTYP 2.4.7, SECURITY_INFORMATION */
#define NTSD_OWNER            0x00000001u
#define NTSD_GROUP            0x00000002u
#define NTSD_DACL             0x00000004u
#define NTSD_SACL             0x00000008u
#define NTSD_UNPROTECTED_SACL 0x10000000u
#define NTSD_UNPROTECTED_DACL 0x20000000u
#define NTSD_PROTECTED_SACL   0x40000000u
#define NTSD_PROTECTED_DACL   0x80000000u

struct ntsd_part {
    const uint8_t *bytes; /* NULL: none */
    uint32_t len;
};

/* A descriptor in parts, which lie in somebody else's bytes. */
struct ntsd {
    uint16_t control;
    struct ntsd_part owner, group, sacl, dacl;
};

bool ntsd_parse(const uint8_t *bytes, size_t len, size_t at, struct ntsd *out);
size_t ntsd_size(const struct ntsd *d);
void ntsd_put(const struct ntsd *d, size_t base, uint8_t *out);
void ntsd_change(struct ntsd *d, const struct ntsd *with, uint32_t what);

#endif
