// SPDX-License-Identifier: BSD-3-Clause
/*
 * targets.h - targets of symbolic links, and paths of the host joined by '/'
 */
#ifndef VIOFS_SERVICE_TARGETS_H
#define VIOFS_SERVICE_TARGETS_H

#include <stdint.h>

#include "service/winfsp/names.h"

/* A path from the share's root: components joined by '/', none for the root. */
struct svc_joined {
    uint32_t len;
    char bytes[CLI_SPELLING_MAX];
};

int svc_joined_append(struct svc_joined *j, const char *target, uint32_t len);
int svc_joined_split(const struct svc_joined *j, struct cli_name *names, uint32_t room);
void svc_joined_cut(struct svc_joined *j);
int svc_joined_relative(const struct svc_joined *from, const struct svc_joined *to, char *out,
                        uint32_t room);

int svc_target_from_host(const char *target, uint32_t len, uint16_t *out, uint32_t room);
int svc_target_to_host(const uint16_t *units, uint32_t count, char *out, uint32_t room);

#endif
