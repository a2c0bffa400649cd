// SPDX-License-Identifier: BSD-3-Clause
/*
 * fold_name.c - names compared regardless of case, as NTFS does
 *
 * Theory of operation
 *
 *   NTFS puts each UTF-16 unit of a name through a table and compares the results; nothing is composed,
 *   expanded or made dependent on a language. A character beyond the Basic Multilingual Plane is two units
 *   that the table leaves alone, so here, where names are UTF-8, its code point stands for itself. Bytes that
 *   are not UTF-8 are equal to themselves only.
 *
 * The table is made at build time by upcase.py.   Locks: none.
 */
#include "service/client/fold.h"

#include "service/client/upcase_table.h"

enum { NOT_UTF8 = 0x110000 }; /* first number past Unicode: plus the byte */

/* Bytes of the sequence that `first` begins, 0 for none; *bits: those of the code point in it. */
static unsigned sequence(uint8_t first, uint32_t *bits)
{
    if (first < 0x80) {
        *bits = first;
        return 1;
    }
    if (first >= 0xc2 && first < 0xe0) {
        *bits = first & 0x1f;
        return 2;
    }
    if (first >= 0xe0 && first < 0xf0) {
        *bits = first & 0x0f;
        return 3;
    }
    if (first >= 0xf0 && first < 0xf5) {
        *bits = first & 0x07;
        return 4;
    }
    return 0;
}

/* The next code point, or NOT_UTF8 plus a byte; moves on. */
static uint32_t next(struct cli_name *name)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *s = (const uint8_t *)name->bytes;
    uint32_t code = 0;
    unsigned len = sequence(s[0], &code), used = 1;

    while (used < len && used < name->len && (s[used] & 0xc0) == 0x80)
        code = code << 6 | (s[used++] & 0x3f);
    if (len == 0 || used < len || code < least[len] || code >= NOT_UTF8) {
        code = NOT_UTF8 + s[0];
        used = 1;
    }
    name->bytes += used;
    name->len -= used;
    return code;
}

static uint32_t next_folded(struct cli_name *name)
{
    uint32_t code = next(name);

    return code < 0x10000 ? (code + upcase_delta[upcase_page[code >> 8]][code & 0xff]) & 0xffff
                          : code;
}

bool cli_fold_equal(struct cli_name a, struct cli_name b)
{
    while (a.len && b.len) {
        if (next_folded(&a) != next_folded(&b))
            return false;
    }
    return a.len == b.len;
}

uint32_t cli_fold_hash(struct cli_name name)
{
    uint64_t h = 0xcbf29ce484222325u;

    while (name.len)
        h = (h ^ next_folded(&name)) * 0x100000001b3u;
    return (uint32_t)(h ^ h >> 32);
}
