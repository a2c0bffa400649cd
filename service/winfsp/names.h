// SPDX-License-Identifier: BSD-3-Clause
/*
 * names.h - Windows' paths and Linux' names, both ways
 */
#ifndef VIOFS_SERVICE_NAMES_H
#define VIOFS_SERVICE_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "service/client/client.h"

#define SVC_NAME_UNITS 255  /* UTF-16 units of a component */
#define SVC_NAME_BYTES 255  /* bytes of a component on the host */
#define SVC_PATH_UNITS 1024 /* UTF-16 units of a path, terminator included: WinFsp's bound */
#define SVC_DEPTH_MAX  512  /* components of the longest path: a separator and a unit each */

/* A path taken apart; names point into bytes. */
struct svc_path {
    uint32_t count;
    uint16_t start[SVC_DEPTH_MAX]; /* units before each component in the Windows path */
    struct cli_name names[SVC_DEPTH_MAX];
    char bytes[SVC_PATH_UNITS * 3];
};

uint32_t svc_utf8_get(const unsigned char *s, uint32_t len, uint32_t *c);
uint32_t svc_utf8_put(char *out, uint32_t c);
uint32_t svc_utf16_get(const uint16_t *units, uint32_t count, uint32_t *c);

int svc_name_to_host(const uint16_t *units, uint32_t count, char *out);
uint32_t svc_name_from_host(const char *bytes, uint32_t len, uint16_t *out);

int svc_path_parse(const uint16_t *path, struct svc_path *out);
int svc_path_spell(const char *joined, uint32_t len, uint16_t *out, uint32_t room);

bool svc_path_is_parent(const uint16_t *parent, const uint16_t *path);

#endif
