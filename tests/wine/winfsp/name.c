// SPDX-License-Identifier: BSD-3-Clause
/*
 * name.c - paths and patterns as WinFsp's driver sees them
 *
 * Names are compared as NTFS compares them: unit by unit, folded with the table of simple upper cases that
 * RtlUpcaseUnicodeChar has. What is a legal name: WinFsp src/sys/name.c; wildcards: MS-FSA 2.1.4.4.
 *
 * Ownership: borrows everything.   Locks: none.
 */
#include <string.h>

#include "tests/wine/winfsp/standin.h"

struct name name_of(const WCHAR *terminated)
{
    unsigned n = 0;
    while (terminated[n])
        n++;
    return (struct name){terminated, n};
}

static WCHAR fold_unit(WCHAR c, bool fold)
{
    return fold ? RtlUpcaseUnicodeChar(c) : c;
}

bool name_equal(struct name a, struct name b, bool fold)
{
    if (a.len != b.len)
        return false;
    for (unsigned i = 0; i < a.len; i++)
        if (fold_unit(a.at[i], fold) != fold_unit(b.at[i], fold))
            return false;
    return true;
}

uint32_t name_hash(struct name n, bool fold)
{
    uint32_t h = 2166136261u;
    for (unsigned i = 0; i < n.len; i++)
        h = (h ^ fold_unit(n.at[i], fold)) * 16777619u;
    return h;
}

void name_upcase(WCHAR *at, unsigned len)
{
    for (unsigned i = 0; i < len; i++)
        at[i] = RtlUpcaseUnicodeChar(at[i]);
}

// NTFS: no control characters, none of "*/:<>?| in names; the wildcards among them only in patterns.
static bool unit_legal(WCHAR c, bool wildcards)
{
    static const char never[] = "/:|";
    static const char wild[] = "\"*<>?";
    if (c >= 0x80)
        return true;
    if (c < 0x20 || strchr(never, c))
        return false;
    return wildcards || !strchr(wild, c);
}

// The stream's name may contain everything but separators; its type can only be $DATA.
static bool stream_valid(struct name rest, unsigned max_component, struct name *stream, bool *typed)
{
    static const WCHAR data[] = {'$', 'D', 'A', 'T', 'A'};
    unsigned n = 0;
    while (n < rest.len && rest.at[n] != ':') {
        if (rest.at[n] == '\\' || rest.at[n] == '/' || !rest.at[n])
            return false;
        n++;
    }
    *stream = (struct name){rest.at, n};
    if (n > max_component)
        return false;
    if (n == rest.len)
        return n > 0;
    *typed = true;
    return name_equal((struct name){rest.at + n + 1, rest.len - n - 1},
                      (struct name){data, ARRAY_SIZE(data)}, false);
}

bool name_path_valid(struct name path, unsigned max_component, struct name *stream, bool *typed)
{
    if (path.len == 0)
        return false;
    unsigned length = 0;
    for (unsigned i = 0; i < path.len; i++) {
        if (path.at[i] == ':' && stream)
            return stream_valid((struct name){path.at + i + 1, path.len - i - 1}, max_component,
                                stream, typed);
        if (path.at[i] == '\\') {
            if (i + 1 < path.len && path.at[i + 1] == '\\')
                return false;
            length = 0;
        } else if (!unit_legal(path.at[i], false) || ++length > max_component) {
            return false;
        }
    }
    return true;
}

bool name_pattern_valid(struct name pattern, unsigned max_component)
{
    for (unsigned i = 0; i < pattern.len; i++)
        if (pattern.at[i] == '\\' || !unit_legal(pattern.at[i], true))
            return false;
    return pattern.len <= max_component;
}

bool name_has_wildcards(struct name n)
{
    for (unsigned i = 0; i < n.len; i++)
        if (n.at[i] < 0x80 && strchr("\"*<>?", n.at[i]))
            return true;
    return false;
}

static bool has_dot(const WCHAR *at, const WCHAR *end)
{
    while (at < end && *at != '.')
        at++;
    return at < end;
}

/*
 * FsRtlIsNameInExpression: '*' any run, '?' one unit; the translated forms of DOS: '<' any run up to the last
 * dot, '>' one unit or nothing before a dot or the end, '"' a dot or nothing at the end.
 */
static bool matches(const WCHAR *p, const WCHAR *pe, const WCHAR *n, const WCHAR *ne, bool fold)
{
    for (; p < pe; p++) {
        switch (*p) {
        case '*':
            for (const WCHAR *at = n; at <= ne; at++)
                if (matches(p + 1, pe, at, ne, fold))
                    return true;
            return false;
        case '<': /* anything, but not past the last dot of the name */
            for (const WCHAR *at = n;; at++) {
                if (matches(p + 1, pe, at, ne, fold))
                    return true;
                if (at == ne || (*at == '.' && !has_dot(at + 1, ne)))
                    return false;
            }
        case '>':
            if (n < ne && *n != '.')
                n++;
            break;
        case '"':
            if (n < ne && *n == '.')
                n++;
            else if (n < ne)
                return false;
            break;
        case '?':
            if (n == ne)
                return false;
            n++;
            break;
        default:
            if (n == ne || fold_unit(*p, fold) != fold_unit(*n, fold))
                return false;
            n++;
        }
    }
    return n == ne;
}

bool name_matches(struct name pattern, struct name n, bool fold)
{
    return matches(pattern.at, pattern.at + pattern.len, n.at, n.at + n.len, fold);
}

bool name_is_root(struct name path)
{
    return path.len == 1 && path.at[0] == '\\';
}

void name_split(struct name path, struct name *parent, struct name *last)
{
    unsigned slash = path.len;
    while (slash && path.at[slash - 1] != '\\')
        slash--;
    *last = (struct name){path.at + slash, path.len - slash};
    *parent = (struct name){path.at, slash > 1 ? slash - 1 : slash};
}

bool name_below(struct name path, struct name dir, bool fold)
{
    if (name_is_root(dir))
        return path.len > 1;
    return path.len > dir.len && path.at[dir.len] == '\\' &&
           name_equal((struct name){path.at, dir.len}, dir, fold);
}

size_t name_to_utf8(struct name n, char *buf, size_t cap)
{
    size_t out = 0;
    for (unsigned i = 0; i < n.len; i++) {
        uint32_t c = n.at[i];
        if (c >= 0xD800 && c < 0xDC00 && i + 1 < n.len && (n.at[i + 1] & 0xFC00) == 0xDC00)
            c = 0x10000 + ((c & 0x3FF) << 10) + (n.at[++i] & 0x3FF);
        char bytes[4];
        size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        if (out + len >= cap)
            break;
        for (size_t k = len; k-- > 1; c >>= 6)
            bytes[k] = (char)(0x80 | (c & 0x3F));
        bytes[0] = (char)(len == 1 ? c : (0xF00u >> len & 0xFFu) | c);
        memcpy(buf + out, bytes, len);
        out += len;
    }
    buf[out] = '\0';
    return out;
}

int name_from_utf8(const char *text, WCHAR *buf, unsigned cap)
{
    unsigned out = 0;
    const uint8_t *s = (const uint8_t *)text;
    while (*s) {
        unsigned more = *s < 0x80 ? 0 : *s < 0xE0 ? 1 : *s < 0xF0 ? 2 : 3;
        uint32_t c = more ? *s & (0x3Fu >> more) : *s;
        if (*s++ >= 0xF8)
            return -1;
        for (; more; more--, s++) {
            if ((*s & 0xC0) != 0x80)
                return -1;
            c = c << 6 | (*s & 0x3F);
        }
        if (out + (c > 0xFFFF ? 2 : 1) > cap)
            return -1;
        if (c > 0xFFFF) {
            buf[out++] = (WCHAR)(0xD800 + ((c - 0x10000) >> 10));
            c = 0xDC00 + (c & 0x3FF);
        }
        buf[out++] = (WCHAR)c;
    }
    return (int)out;
}

const char *name_print(struct name n, char *buf, size_t cap)
{
    name_to_utf8(n, buf, cap);
    return buf;
}
