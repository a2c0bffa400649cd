// SPDX-License-Identifier: BSD-3-Clause
/*
 * fuzz_ntacl.c - any bytes as a user.NTACL, and as the POSIX ACLs beside one
 *
 * The value is decoded from an exact-size heap copy, so ASan reports a read of one byte too many. A descriptor that was
 * accepted must be accepted again after it was put together, as Windows has it and as Samba does, with the same parts.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/meta/ntacl.h"
#include "tests/fuzz/fuzz_must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_part(struct ntsd_part a, struct ntsd_part b, uint32_t but)
{
    MUST(a.len == b.len && !a.bytes == !b.bytes);
    for (uint32_t i = 0; i < a.len; i++)
        MUST(a.bytes[i] == b.bytes[i] || (but && (i == 2 || i == 3)));
}

static void same(const struct ntsd *a, const struct ntsd *b)
{
    MUST((a->control | NTSD_SELF_RELATIVE) == b->control);
    same_part(a->owner, b->owner, 0);
    same_part(a->group, b->group, 0);
    same_part(a->sacl, b->sacl, 1);
    same_part(a->dacl, b->dacl, 1);
}

static void there_and_back(const struct ntacl *a)
{
    size_t size = ntsd_size(&a->sd), len;
    uint8_t *windows = malloc(size), *samba = malloc(NTACL_HEAD + size);
    struct ntacl again;
    struct ntsd sd;

    MUST(windows && samba && size <= NTSD_MAX);
    ntsd_put(&a->sd, 0, windows);
    MUST(ntsd_parse(windows, size, 0, &sd));
    same(&a->sd, &sd);
    len = ntacl_encode(&a->sd, a->hash, 1, samba);
    MUST(len == NTACL_HEAD + size && ntacl_decode(samba, len, &again));
    MUST(again.bond == NTACL_BOUND && memcmp(again.hash, a->hash, SHA256_SIZE) == 0);
    same(&a->sd, &again.sd);
    free(windows);
    free(samba);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1), hash[SHA256_SIZE];
    struct ntacl a;

    MUST(copy);
    if (size)
        memcpy(copy, data, size);
    if (ntacl_decode(copy, size, &a))
        there_and_back(&a);
    if (size > 1) {
        size_t access = copy[0] < size ? copy[0] : size;
        struct ntacl_host h = {.mode = copy[1] & 1 ? 040755 : 0100644,
                               .access = copy,
                               .access_len = access,
                               .fallback = copy + access,
                               .fallback_len = size - access};

        (void)ntacl_host_hash(&h, hash);
    }
    free(copy);
    return 0;
}
