// SPDX-License-Identifier: BSD-3-Clause
/*
 * text.c - names in both encodings, and memory of a case
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/wine/conformance/conf_int.h"

void *keep(struct t *t, size_t n)
{
    struct kept *k = calloc(1, sizeof(*k) + n);

    if (!k)
        t_fail(t, __FILE__, __LINE__, "out of memory");
    k->next = t->kept;
    t->kept = k;
    return k->bytes;
}

char *keep_printf(struct t *t, const char *format, ...)
{
    va_list args;
    char *text;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    text = keep(t, (size_t)n + 1);
    va_start(args, format);
    vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return text;
}

/* One character of UTF-8. "\xED\xA0\x80" and the like give a lone surrogate: such names are tested. */
static uint32_t next_char(struct t *t, const uint8_t **at)
{
    const uint8_t *p = *at;
    unsigned more = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : *p >= 0xC0 ? 1 : 0;
    uint32_t c = more ? *p & (0x3Fu >> more) : *p;

    if (*p >= 0x80 && *p < 0xC0)
        t_fail(t, __FILE__, __LINE__, "a name of this test is not UTF-8");
    for (p++; more > 0; more--, p++)
        c = c << 6 | (*p & 0x3Fu);
    *at = p;
    return c;
}

uint32_t to_utf16(struct t *t, const char *text, uint16_t *to, uint32_t room)
{
    const uint8_t *p = (const uint8_t *)text;
    uint32_t n = 0;

    while (*p) {
        uint32_t c = next_char(t, &p);

        if (2 * n + 4 > room)
            t_fail(t, __FILE__, __LINE__, "a name of this test is too long");
        if (c >= 0x10000) {
            to[n++] = (uint16_t)(0xD800 + ((c - 0x10000) >> 10));
            c = 0xDC00 + ((c - 0x10000) & 0x3FF);
        }
        to[n++] = (uint16_t)c;
    }
    return 2 * n;
}

static char *put_char(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xC0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *to++ = (char)(0xE0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    } else {
        *to++ = (char)(0xF0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3F));
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    }
    return to;
}

void to_utf8(const void *units, uint32_t n, char *to, size_t room)
{
    const char *end = to + room - 5;

    for (uint32_t i = 0; i + 2 <= n && to < end; i += 2) {
        uint16_t u, low = 0;
        uint32_t c;

        memcpy(&u, (const char *)units + i, 2);
        if (i + 4 <= n)
            memcpy(&low, (const char *)units + i + 2, 2);
        c = u;
        if ((u & 0xFC00) == 0xD800 && (low & 0xFC00) == 0xDC00) {
            c = 0x10000u + ((u & 0x3FFu) << 10) + (low & 0x3FFu);
            i += 2;
        }
        to = put_char(to, c);
    }
    *to = '\0';
}

uint32_t full_name(struct t *t, const char *name, uint16_t *to, uint32_t room)
{
    uint32_t n = 0;

    if (name[0] != '\\') {
        n = to_utf16(t, "\\", to, room);
        n += to_utf16(t, t->dir, to + n / 2, room - n);
        if (name[0])
            n += to_utf16(t, "\\", to + n / 2, room - n);
    }
    n += to_utf16(t, name, to + n / 2, room - n);
    for (uint32_t i = 0; i < n / 2; i++)
        if (to[i] == '/')
            to[i] = '\\';
    return n;
}

char drive_letter(const struct t *t)
{
    return t->door[strlen(t->door) - 1];
}

const char *case_dir(const struct t *t)
{
    return keep_printf((struct t *)(uintptr_t)t, "\\%s", t->dir);
}

static uint8_t pattern_byte(uint64_t at, uint32_t seed)
{
    uint64_t x = (at / 8 + seed) * 0x9E3779B97F4A7C15u;

    return (uint8_t)(x >> (8 * (at % 8)));
}

void pattern(void *to, uint64_t offset, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)to)[i] = pattern_byte(offset + i, seed);
}

bool pattern_is(const void *p, uint64_t offset, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        if (((const uint8_t *)p)[i] != pattern_byte(offset + i, seed))
            return false;
    return true;
}
