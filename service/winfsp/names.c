// SPDX-License-Identifier: BSD-3-Clause
/*
 * names.c - Windows' paths and Linux' names, both ways
 *
 * Theory of operation
 *
 *   Linux allows every byte but '/' and NUL in a name; Windows wants UTF-16 without " * : < > ? | \ and
 *   control characters, and its Win32 layer strips dots and spaces from the end. What Windows cannot
 *   spell is moved to the private use area as WinFsp, Cygwin and Samba do: character c becomes U+F000 + c.
 *   We add the bytes of names that are not UTF-8: byte b (0x80..0xFF) becomes U+F000 + b.
 *
 *   The code works on single components, so a '\' inside a Linux name never turns into a separator, and it
 *   is a bijection between what we list and what we open: a host name that itself contains a character we
 *   would have produced is escaped byte by byte, and a Windows name that is not how we would list its host
 *   name is refused. Two Windows names for one file would defeat WinFsp's share modes, which go by name.
 *   U+F000 and U+F02F are refused too: they would become NUL and '/'.
 *
 *   A component never grows in units (a byte makes one unit at most), so every host name fits in 255 units.
 *
 * Ownership, locks: none. Portable: no call into any system.
 */
#include "service/winfsp/names.h"

#include <string.h>

#include "service/client/linux_errno.h"

#define PRIVATE_BASE  0xF000u /* start of the 256 code points that stand for bytes */
#define IS_PRIVATE(c) (((c) & ~0xFFu) == PRIVATE_BASE)

/* Characters that no Windows name may contain (MS-FSCC 2.1.5.1; '/' cannot be in a Linux name). */
static bool is_reserved(uint32_t c)
{
    return c < 0x20 || (c < 0x80 && strchr("\"*:<>?|\\", (int)c) != NULL);
}

/* Does Windows need `byte` moved away at this place? */
static bool needs_escape(uint32_t byte, bool last)
{
    return byte >= 0x80 || is_reserved(byte) || (last && (byte == '.' || byte == ' '));
}

/**
 * svc_utf8_get() - one character of strict UTF-8: no overlong forms, no surrogates, at most U+10FFFF
 * @len: 1 or more bytes at @s
 *
 * Unicode 3.9, table 3-7. Return: bytes of it, 0 when it is none.
 */
uint32_t svc_utf8_get(const unsigned char *s, uint32_t len, uint32_t *c)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t n = s[0] < 0x80   ? 1
                 : s[0] < 0xC2 ? 0
                 : s[0] < 0xE0 ? 2
                 : s[0] < 0xF0 ? 3
                 : s[0] < 0xF5 ? 4
                               : 0;

    if (n == 0 || n > len)
        return 0;
    *c = n == 1 ? s[0] : s[0] & (0x7Fu >> n);
    for (uint32_t i = 1; i < n; i++) {
        if ((s[i] & 0xC0) != 0x80)
            return 0;
        *c = *c << 6 | (s[i] & 0x3Fu);
    }
    if (*c < smallest[n] || *c > 0x10FFFF || (*c >= 0xD800 && *c < 0xE000))
        return 0;
    return n;
}

/** svc_utf8_put() - @out: room for 4 bytes. Return: bytes written, 1..4 */
uint32_t svc_utf8_put(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/**
 * svc_name_from_host() - how Windows sees a name of the host
 * @bytes: the component, not terminated
 * @len:   1..255
 * @out:   room for 255 units
 *
 * Return: units written, 1..255.
 */
uint32_t svc_name_from_host(const char *bytes, uint32_t len, uint16_t *out)
{
    const unsigned char *s = (const unsigned char *)bytes;
    uint32_t units = 0;

    for (uint32_t i = 0; i < len;) {
        uint32_t c = 0, n = svc_utf8_get(s + i, len - i, &c);
        bool last = i + n == len;

        if (n == 0) {
            out[units++] = (uint16_t)(PRIVATE_BASE | s[i++]);
            continue;
        }
        if (IS_PRIVATE(c)) {
            uint32_t low = c & 0xFF;

            if (low == '/' || needs_escape(low, last)) {
                for (uint32_t k = 0; k < n; k++)
                    out[units++] = (uint16_t)(PRIVATE_BASE | s[i + k]);
            } else {
                out[units++] = (uint16_t)c;
            }
        } else if (c < 0x80 && needs_escape(c, last)) {
            out[units++] = (uint16_t)(PRIVATE_BASE | c);
        } else if (c < 0x10000) {
            out[units++] = (uint16_t)c;
        } else {
            out[units++] = (uint16_t)(0xD800 + ((c - 0x10000) >> 10));
            out[units++] = (uint16_t)(0xDC00 + ((c - 0x10000) & 0x3FF));
        }
        i += n;
    }
    return units;
}

/** svc_utf16_get() - one character of UTF-16. Return: its units, 0 for half a surrogate pair */
uint32_t svc_utf16_get(const uint16_t *units, uint32_t count, uint32_t *c)
{
    *c = units[0];
    if (units[0] < 0xD800 || units[0] > 0xDFFF)
        return 1;
    if (units[0] > 0xDBFF || count < 2 || units[1] < 0xDC00 || units[1] > 0xDFFF)
        return 0;
    *c = 0x10000u + ((units[0] - 0xD800u) << 10) + (units[1] - 0xDC00u);
    return 2;
}

/* "." and "..", which no listing contains but an escaped dot could make. */
static bool is_dots(const char *bytes, uint32_t len)
{
    return len <= 2 && memcmp(bytes, "..", len) == 0;
}

/* Would we list `bytes` as `units`? */
static bool is_how_we_list(const char *bytes, uint32_t len, const uint16_t *units, uint32_t count)
{
    uint16_t listed[SVC_NAME_UNITS];

    return svc_name_from_host(bytes, len, listed) == count &&
           memcmp(listed, units, count * sizeof(*units)) == 0;
}

/**
 * svc_name_to_host() - the host's name for a component that Windows names
 * @units: not terminated
 * @count: number of them
 * @out:   room for 255 bytes
 *
 * Return: bytes written (1..255), -LE_ENAMETOOLONG, or -LE_EILSEQ for a name that no listing of ours
 *   contains: reserved characters as they are, a dot or space at the end, half a surrogate pair, escapes
 *   of characters that need none.
 */
int svc_name_to_host(const uint16_t *units, uint32_t count, char *out)
{
    uint32_t len = 0;

    if (count == 0)
        return -LE_EILSEQ;
    if (count > SVC_NAME_UNITS)
        return -LE_ENAMETOOLONG;
    for (uint32_t i = 0; i < count;) {
        char utf8[4];
        uint32_t c, bytes, n = svc_utf16_get(units + i, count - i, &c);

        if (n == 0 || c == '/' || c == (PRIVATE_BASE | '/') || c == PRIVATE_BASE ||
            (c < 0x80 && is_reserved(c)))
            return -LE_EILSEQ;
        i += n;
        if (IS_PRIVATE(c) && needs_escape(c & 0xFF, i == count)) {
            utf8[0] = (char)(c & 0xFF);
            bytes = 1;
        } else {
            bytes = svc_utf8_put(utf8, c);
        }
        if (len + bytes > SVC_NAME_BYTES)
            return -LE_ENAMETOOLONG;
        memcpy(out + len, utf8, bytes);
        len += bytes;
    }
    if (is_dots(out, len) || !is_how_we_list(out, len, units, count))
        return -LE_EILSEQ;
    return (int)len;
}

/**
 * svc_path_parse() - take a path of WinFsp apart
 * @path: from the volume's root, terminated; separators are '\', one or more
 *
 * Return: 0; count is 0 for the root. -LE_ENAMETOOLONG for a path of more than 1023 units or a name that
 *   is too long, -LE_EILSEQ for a name that the host cannot have.
 */
int svc_path_parse(const uint16_t *path, struct svc_path *out)
{
    uint32_t used = 0;

    out->count = 0;
    for (uint32_t i = 0; path[i] != 0;) {
        char name[SVC_NAME_BYTES];
        uint32_t begin = i;
        int len;

        if (path[i] == '\\') {
            i++;
            continue;
        }
        while (i < SVC_PATH_UNITS && path[i] != 0 && path[i] != '\\')
            i++;
        if (i >= SVC_PATH_UNITS || out->count == SVC_DEPTH_MAX)
            return -LE_ENAMETOOLONG;
        len = svc_name_to_host(path + begin, i - begin, name);
        if (len < 0)
            return len;
        if (used + (uint32_t)len > sizeof(out->bytes))
            return -LE_ENAMETOOLONG; /* cannot be: a unit makes three bytes at most */
        memcpy(out->bytes + used, name, (size_t)len);
        out->start[out->count] = (uint16_t)begin;
        out->names[out->count].bytes = out->bytes + used;
        out->names[out->count].len = (uint32_t)len;
        out->count++;
        used += (uint32_t)len;
    }
    return 0;
}

/**
 * svc_path_spell() - the Windows path of names of the host
 * @joined: components joined by '/', none for the root
 * @room:   units at out, terminator included
 *
 * Return: units written without the terminator, or -LE_ENAMETOOLONG.
 */
int svc_path_spell(const char *joined, uint32_t len, uint16_t *out, uint32_t room)
{
    uint32_t units = 0;

    for (uint32_t i = 0; i < len || units == 0;) {
        uint16_t name[SVC_NAME_UNITS];
        uint32_t begin = i, n = 0;

        while (i < len && joined[i] != '/')
            i++;
        if (i - begin > SVC_NAME_BYTES)
            return -LE_ENAMETOOLONG;
        if (i > begin)
            n = svc_name_from_host(joined + begin, i - begin, name);
        if (units + 1 + n + 1 > room)
            return -LE_ENAMETOOLONG;
        out[units++] = '\\';
        memcpy(out + units, name, n * sizeof(*name));
        units += n;
        i++;
    }
    out[units] = 0;
    return (int)units;
}

/**
 * svc_path_is_parent() - is `parent` the path of the directory that `path` is in?
 *
 * Both as WinFsp gives them, terminated. The root is the parent of what is in it, and of nothing else.
 */
bool svc_path_is_parent(const uint16_t *parent, const uint16_t *path)
{
    uint32_t last = 0, end = 0, length = 0;

    for (; path[end] != 0; end++) {
        if (path[end] == '\\')
            last = end;
    }
    if (end < 2)
        return false;
    while (parent[length] != 0)
        length++;
    if (last == 0)
        return length == 1 && parent[0] == '\\';
    return length == last && memcmp(parent, path, last * sizeof(*path)) == 0;
}
