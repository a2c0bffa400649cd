// SPDX-License-Identifier: BSD-3-Clause
/*
 * dosattrib.c - user.DOSATTRIB: Windows' attributes and creation time of a file, as Samba keeps them
 *
 * Theory of operation
 *
 *   The value is a structure in NDR, little-endian, described by Samba's librpc/idl/xattr.idl and seen in values
 *   that Debian 12's smbd has written (tests/unit/test_dosattrib.c):
 *
 *     text      the attributes as "0x" and hexadecimal digits, with a NUL. Empty in versions 4 and 5.
 *               Before version 1 (Samba 3.2) this was all, with or without the NUL.
 *     version   16 bits, at the next even offset; then the same number again, as the tag of a union
 *     fields    from the next multiple of 4, 64-bit ones aligned like 32-bit ones:
 *
 *       1   attributes, EA size, size(8), allocation(8), creation(8), change(8)
 *       2   flags, attributes, EA size, size(8), allocation(8), creation(8), change(8), write(8), name
 *       3   flags, attributes, EA size, size(8), allocation(8), creation(8), change(8)
 *       4   flags, attributes, first creation(8), creation(8)
 *       5   flags, attributes, creation(8)
 *
 *   Flag 0x01 says that there are attributes, 0x10 that there is a creation time. Samba looks at the second
 *   one only, believes the attributes always and no time of version 2; so does this. Bytes behind the fields
 *   are ignored. Version 5 is what Samba writes since 4.15, with both flags; so does this.
 *
 * Ownership: borrows everything.   Locks: none. Portable: both halves use it.
 */
#include <string.h>

#include "lib/meta/dosattrib.h"

enum {
    VERSION_WRITTEN = 5,
    HAS_ATTRIBUTES = 0x01,
    HAS_CREATE_TIME = 0x10,
    NONE = 0xff,
};

/* Where the fields of a version are, counted from the first one. */
struct layout {
    uint8_t flags, attributes, create_time, end;
};
static const struct layout layouts[] = {
    [1] = {NONE, 0, 24, 40}, [2] = {0, 4, NONE, 52}, [3] = {0, 4, 28, 44},
    [4] = {0, 4, 16, 24},    [5] = {0, 4, 8, 16},
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static void put(uint8_t *p, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}

static int digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The text, when it is all there is. */
static bool decode_text(const uint8_t *text, size_t len, struct dosattrib *out)
{
    if (len < 3 || len > 2 + 8 || text[0] != '0' || (text[1] | 0x20) != 'x')
        return false;
    for (size_t i = 2; i < len; i++) {
        int d = digit(text[i]);

        if (d < 0)
            return false;
        out->attributes = out->attributes << 4 | (uint32_t)d;
    }
    return true;
}

static bool decode_fields(const uint8_t *p, size_t len, uint16_t version, struct dosattrib *out)
{
    const struct layout *l = &layouts[version];

    if (len < l->end)
        return false;
    out->attributes = get32(p + l->attributes);
    if (l->create_time != NONE && (l->flags == NONE || (get32(p + l->flags) & HAS_CREATE_TIME)))
        out->create_time = get64(p + l->create_time);
    if (out->create_time > INT64_MAX)
        out->create_time = 0; /* Windows has no such times; Samba's -1 and -2 mean none */
    return true;
}

/**
 * dosattrib_decode() - what a value says, whoever wrote it
 * @len: 0..SIZE_MAX
 * @out: zero where the value says nothing; undefined on failure
 *
 * Return: false for what Samba would not have written in any version, and past DOSATTRIB_MAX bytes.
 */
bool dosattrib_decode(const void *value, size_t len, struct dosattrib *out)
{
    const uint8_t *p = value;

    *out = (struct dosattrib){0};
    if (len == 0 || len > DOSATTRIB_MAX)
        return false;
    const uint8_t *nul = memchr(p, 0, len);
    if (!nul || nul + 1 == p + len)
        return decode_text(p, nul ? (size_t)(nul - p) : len, out);

    size_t at = ((size_t)(nul - p) + 2) & ~(size_t)1;
    if (len < at + 4)
        return false;
    uint16_t version = get16(p + at);
    if (version == 0 || version >= sizeof(layouts) / sizeof(layouts[0]) ||
        get16(p + at + 2) != version)
        return false;
    at = (at + 4 + 3) & ~(size_t)3;
    return at <= len && decode_fields(p + at, len - at, version, out);
}

/**
 * dosattrib_encode() - the value that Samba 4.15 and later write
 * @d: create_time 0 says that there is none
 */
void dosattrib_encode(const struct dosattrib *d, uint8_t out[DOSATTRIB_SIZE])
{
    memset(out, 0, DOSATTRIB_SIZE);
    put(out + 2, VERSION_WRITTEN, 2);
    put(out + 4, VERSION_WRITTEN, 2);
    put(out + 8, HAS_ATTRIBUTES | (d->create_time ? HAS_CREATE_TIME : 0u), 4);
    put(out + 12, d->attributes, 4);
    put(out + 16, d->create_time, 8);
}
