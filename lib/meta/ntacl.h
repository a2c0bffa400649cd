// SPDX-License-Identifier: BSD-3-Clause
/*
 * ntacl.h - user.NTACL, security.NTACL: Windows' security descriptor of a file, as Samba keeps it
 */
#ifndef VIOFS_META_NTACL_H
#define VIOFS_META_NTACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/meta/ntsd.h"
#include "lib/meta/sha256.h"

#define NTACL_USER     "user.NTACL"
#define NTACL_SECURITY "security.NTACL"
#define NTACL_HEAD     160 /* before the descriptor, in what is written */
#define NTACL_MAX      (NTACL_HEAD + NTSD_MAX)

/* The host's own side of a file, which a stored descriptor is bound to. */
struct ntacl_host {
    uint32_t mode; /* type bits included */
    uint32_t uid, gid;
    const void *access, *fallback; /* values of system.posix_acl_access and _default, or NULL */
    size_t access_len, fallback_len;
};

enum ntacl_bond {
    NTACL_UNBOUND, /* holds whatever the host does (versions 1 and 2) */
    NTACL_BOUND,   /* holds while ntacl_host_hash() is `hash` (version 4) */
    NTACL_UNKNOWN  /* bound to what only Samba can compute (version 3) */
};

struct ntacl {
    enum ntacl_bond bond;
    uint8_t hash[SHA256_SIZE];
    struct ntsd sd; /* its parts lie in the value */
};

bool ntacl_decode(const void *value, size_t len, struct ntacl *out);
size_t ntacl_encode(const struct ntsd *sd, const uint8_t hash[SHA256_SIZE], uint64_t now,
                    uint8_t *out);
bool ntacl_host_hash(const struct ntacl_host *h, uint8_t out[SHA256_SIZE]);

#endif
