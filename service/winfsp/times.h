// SPDX-License-Identifier: BSD-3-Clause
/*
 * times.h - Windows' times, sizes and reparse tags from Linux' and back
 */
#ifndef VIOFS_SERVICE_TIMES_H
#define VIOFS_SERVICE_TIMES_H

#include <stdbool.h>
#include <stdint.h>

#include "service/client/client.h"

/* 100 ns units since 1601-01-01; never 0 or negative, which Windows takes for "none". */
uint64_t svc_time_from_host(struct cli_time t);
struct cli_time svc_time_to_host(uint64_t t);
/** svc_time_is_given() - SetBasicInfo leaves a time alone that is 0 or, as Windows' -1 and -2, negative */
bool svc_time_is_given(uint64_t t);

/* File type bits of a mode, as FUSE has them on every host. */
enum svc_mode {
    SVC_IFMT = 0170000,
    SVC_IFSOCK = 0140000,
    SVC_IFLNK = 0120000,
    SVC_IFREG = 0100000,
    SVC_IFBLK = 0060000,
    SVC_IFDIR = 0040000,
    SVC_IFCHR = 0020000,
    SVC_IFIFO = 0010000
};

/* MS-FSCC 2.1.2.1 */
#define SVC_TAG_SYMLINK 0xA000000Cu
#define SVC_TAG_AF_UNIX 0x80000023u
#define SVC_TAG_LX_FIFO 0x80000024u
#define SVC_TAG_LX_CHR  0x80000025u
#define SVC_TAG_LX_BLK  0x80000026u

uint32_t svc_reparse_tag(uint32_t mode);
uint64_t svc_allocation(const struct cli_attr *a);

#endif
