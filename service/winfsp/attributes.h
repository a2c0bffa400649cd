// SPDX-License-Identifier: BSD-3-Clause
/*
 * attributes.h - Windows' file attributes from modes and from what is stored, and back
 */
#ifndef VIOFS_SERVICE_ATTRIBUTES_H
#define VIOFS_SERVICE_ATTRIBUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "service/client/client.h"

/* MS-FSCC 2.6 */
enum svc_attribute {
    SVC_ATTRIBUTE_READONLY = 0x1,
    SVC_ATTRIBUTE_HIDDEN = 0x2,
    SVC_ATTRIBUTE_SYSTEM = 0x4,
    SVC_ATTRIBUTE_DIRECTORY = 0x10,
    SVC_ATTRIBUTE_ARCHIVE = 0x20,
    SVC_ATTRIBUTE_TEMPORARY = 0x100,
    SVC_ATTRIBUTE_REPARSE_POINT = 0x400,
    SVC_ATTRIBUTE_OFFLINE = 0x1000,
    SVC_ATTRIBUTE_NOT_CONTENT_INDEXED = 0x2000
};

#define SVC_ATTRIBUTES_AS_THEY_ARE UINT32_MAX /* INVALID_FILE_ATTRIBUTES */

/* Where READONLY is kept. */
enum svc_read_only {
    SVC_READ_ONLY_BOTH, /* as an attribute, and no write bit in the mode; either makes a file read-only */
    SVC_READ_ONLY_MODE, /* as the mode, as without stored attributes */
    SVC_READ_ONLY_STORED /* as an attribute; the mode tells where none are stored, and is left alone */
};

/* Of a volume. */
struct svc_attribute_rules {
    bool stored; /* attributes and creation times are kept in user.DOSATTRIB */
    enum svc_read_only read_only;
};

/* What user.DOSATTRIB is to say. */
struct svc_stored {
    uint32_t attributes;
    uint64_t creation;
};

uint32_t svc_attributes(const struct svc_attribute_rules *r, const struct cli_attr *a, bool hidden,
                        bool link_to_directory);
uint64_t svc_creation_time(const struct svc_attribute_rules *r, const struct cli_attr *a);
uint32_t svc_mode_with_attributes(const struct svc_attribute_rules *r, uint32_t mode,
                                  uint32_t attributes);
bool svc_to_store(const struct svc_attribute_rules *r, const struct cli_attr *a,
                  uint32_t attributes, uint64_t creation, struct svc_stored *out);

#endif
