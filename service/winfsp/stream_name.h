// SPDX-License-Identifier: BSD-3-Clause
/*
 * stream_name.h - names of alternate data streams, and the extended attributes that hold them
 */
#ifndef VIOFS_SERVICE_STREAM_NAME_H
#define VIOFS_SERVICE_STREAM_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/meta/names.h"
#include "service/winfsp/names.h"

#define SVC_STREAM_SUFFIX     ":$DATA"
#define SVC_STREAM_SUFFIX_LEN 6
#define SVC_XATTR_ROOM        256   /* linux/limits.h: XATTR_NAME_MAX and a NUL */
#define SVC_STREAM_MAX        65535 /* bytes of a stream: XATTR_SIZE_MAX less the NUL behind them */

int svc_stream_to_host(const uint16_t *units, uint32_t count, char *xattr);
int svc_stream_from_host(const char *xattr, uint16_t *units);
bool svc_stream_same(const char *a, const char *b);

#endif
