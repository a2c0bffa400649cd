// SPDX-License-Identifier: BSD-3-Clause
/*
 * guard_key.h - which lock an operation on a path takes
 */
#ifndef VIOFS_SERVICE_GUARD_KEY_H
#define VIOFS_SERVICE_GUARD_KEY_H

#include <stdbool.h>
#include <stdint.h>

uint32_t svc_guard_key(const uint16_t *path, uint32_t units, bool fold);

#endif
