// SPDX-License-Identifier: BSD-3-Clause
/*
 * dosattrib.h - user.DOSATTRIB: Windows' attributes and creation time of a file, as Samba keeps them
 */
#ifndef VIOFS_META_DOSATTRIB_H
#define VIOFS_META_DOSATTRIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOSATTRIB_NAME "user.DOSATTRIB"
/* What is longer is not Samba's: it reads no more than this itself. */
#define DOSATTRIB_MAX  256
#define DOSATTRIB_SIZE 24 /* of what is written */

struct dosattrib {
    uint32_t attributes;  /* FILE_ATTRIBUTE_*; of a directory with FILE_ATTRIBUTE_DIRECTORY */
    uint64_t create_time; /* 100 ns since 1601, 0: none stored; never above INT64_MAX */
};

bool dosattrib_decode(const void *value, size_t len, struct dosattrib *out);
void dosattrib_encode(const struct dosattrib *d, uint8_t out[DOSATTRIB_SIZE]);

#endif
