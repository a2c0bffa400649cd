// SPDX-License-Identifier: BSD-3-Clause
/*
 * ntdef.h - structures of NT's file calls, for a Linux program; the numbers are in tests/wine/nt_numbers.h
 *
 * Sources: MS-FSCC 2.4 and 2.5.
 */
#ifndef VIOFS_CONFORMANCE_NTDEF_H
#define VIOFS_CONFORMANCE_NTDEF_H

#include <stdint.h>

#include "tests/wine/nt_numbers.h"

/* ---- files ---- */

struct basic_info { /* MS-FSCC 2.4.7 */
    int64_t created, accessed, written, changed;
    uint32_t attributes, reserved;
};
struct standard_info { /* 2.4.47 */
    int64_t allocation, size;
    uint32_t links;
    uint8_t delete_pending, directory;
    uint16_t reserved;
};
struct network_info { /* 2.4.33 */
    int64_t created, accessed, written, changed, allocation, size;
    uint32_t attributes, reserved;
};
struct tag_info { /* 2.4.6 */
    uint32_t attributes, tag;
};
struct dir_entry_head { /* 2.4.10: FileDirectoryInformation; the others begin so */
    uint32_t next, index;
    int64_t created, accessed, written, changed, size, allocation;
    uint32_t attributes, name_len;
};
struct rename_head { /* 2.4.42, FileRenameInformationEx has flags in place of replace */
    uint32_t replace_or_flags;
    uint32_t reserved;
    uint64_t root;
    uint32_t name_len;
};
_Static_assert(sizeof(struct basic_info) == 40, "MS-FSCC");
_Static_assert(sizeof(struct standard_info) == 24, "MS-FSCC");
_Static_assert(sizeof(struct network_info) == 56, "MS-FSCC");
_Static_assert(sizeof(struct dir_entry_head) == 64, "MS-FSCC");

/* ---- volumes ---- */

struct fs_size { /* 2.5.8 */
    int64_t total, available;
    uint32_t sectors_per_unit, bytes_per_sector;
};
struct fs_full_size { /* 2.5.4 */
    int64_t total, available, free;
    uint32_t sectors_per_unit, bytes_per_sector;
};
struct fs_attribute_head { /* 2.5.1 */
    uint32_t flags, max_component, name_len;
};
struct __attribute__((packed)) fs_volume_head { /* 2.5.9 */
    int64_t created;
    uint32_t serial, label_len;
    uint8_t objects, reserved;
};

#endif
