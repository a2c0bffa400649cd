// SPDX-License-Identifier: BSD-3-Clause
/*
 * sha256.h - the hash SHA-256 (FIPS 180-4) of a few hundred bytes
 */
#ifndef VIOFS_META_SHA256_H
#define VIOFS_META_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

void sha256(const void *bytes, size_t len, uint8_t out[SHA256_SIZE]);

#endif
