// SPDX-License-Identifier: BSD-3-Clause
/*
 * targets.c - targets of symbolic links, and paths of the host joined by '/'
 *
 * Theory of operation
 *
 *   A target is relative to the directory that the link is in. One that starts with '/' is taken from the
 *   root of the share, as for a guest that has the share as its root: the guest does not know where on the host
 *   the share lies. ".." never leads above the root.
 *
 *   Components are translated as file names are (names.c), "." and ".." stay, '/' becomes '\' and back.
 *
 * Ownership, locks: none. Portable: no call into any system.
 */
#include "service/winfsp/targets.h"

#include <string.h>

#include "service/client/linux_errno.h"

static bool is_dots(const char *s, uint32_t len, uint32_t dots)
{
    return len == dots && memcmp(s, "..", dots) == 0;
}

/** svc_joined_cut() - take the last component off; the root stays the root */
void svc_joined_cut(struct svc_joined *j)
{
    while (j->len > 0 && j->bytes[j->len - 1] != '/')
        j->len--;
    if (j->len > 0)
        j->len--;
}

static int push(struct svc_joined *j, const char *name, uint32_t len)
{
    if (len > SVC_NAME_BYTES || j->len + 1 + len > sizeof(j->bytes))
        return -LE_ENAMETOOLONG;
    if (j->len > 0)
        j->bytes[j->len++] = '/';
    memcpy(j->bytes + j->len, name, len);
    j->len += len;
    return 0;
}

/**
 * svc_joined_append() - follow a target from a directory
 * @j:      the directory; what the target names afterwards
 * @target: not terminated
 *
 * Return: 0 or -LE_ENAMETOOLONG.
 */
int svc_joined_append(struct svc_joined *j, const char *target, uint32_t len)
{
    if (len > 0 && target[0] == '/')
        j->len = 0;
    for (uint32_t i = 0; i < len;) {
        uint32_t begin = i;
        int error = 0;

        while (i < len && target[i] != '/')
            i++;
        if (is_dots(target + begin, i - begin, 2))
            svc_joined_cut(j);
        else if (i > begin && !is_dots(target + begin, i - begin, 1))
            error = push(j, target + begin, i - begin);
        if (error)
            return error;
        i++;
    }
    return 0;
}

/** svc_joined_split() - the names, which point into @j. Return: their number, or -LE_ENAMETOOLONG. */
int svc_joined_split(const struct svc_joined *j, struct cli_name *names, uint32_t room)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < j->len; i++) {
        uint32_t begin = i;

        while (i < j->len && j->bytes[i] != '/')
            i++;
        if (count == room)
            return -LE_ENAMETOOLONG;
        names[count].bytes = j->bytes + begin;
        names[count++].len = i - begin;
    }
    return (int)count;
}

static int append_bytes(char *out, uint32_t room, uint32_t *len, const char *bytes, uint32_t count)
{
    if (count >= room - *len)
        return -LE_ENAMETOOLONG;
    memcpy(out + *len, bytes, count);
    *len += count;
    out[*len] = '\0';
    return 0;
}

/* Bytes that both paths begin with, whole components only. */
static uint32_t common(const struct svc_joined *a, const struct svc_joined *b)
{
    uint32_t n = 0;

    for (uint32_t i = 0;; i++) {
        bool a_ends = i == a->len || a->bytes[i] == '/';
        bool b_ends = i == b->len || b->bytes[i] == '/';

        if (a_ends && b_ends)
            n = i;
        if (i >= a->len || i >= b->len || a->bytes[i] != b->bytes[i])
            return n;
    }
}

/**
 * svc_joined_relative() - the target that leads from a directory to a path
 * @out: terminated
 *
 * Return: bytes, or -LE_ENAMETOOLONG. "." for the directory itself.
 */
int svc_joined_relative(const struct svc_joined *from, const struct svc_joined *to, char *out,
                        uint32_t room)
{
    uint32_t shared = common(from, to), len = 0;
    uint32_t up = shared == 0 ? 0 : shared + 1, down = up;

    for (uint32_t i = up; i < from->len; i++) {
        if ((i == up || from->bytes[i - 1] == '/') && append_bytes(out, room, &len, "../", 3))
            return -LE_ENAMETOOLONG;
    }
    if (down < to->len && append_bytes(out, room, &len, to->bytes + down, to->len - down))
        return -LE_ENAMETOOLONG;
    if (len > 0 && out[len - 1] == '/')
        out[--len] = '\0';
    if (len == 0 && append_bytes(out, room, &len, ".", 1))
        return -LE_ENAMETOOLONG;
    return (int)len;
}

/* ---- Windows' form ---------------------------------------------------------------------------------- */

/**
 * svc_target_from_host() - a target as Windows spells it
 * @out: not terminated
 *
 * Return: units, or -LE_ENAMETOOLONG.
 */
int svc_target_from_host(const char *target, uint32_t len, uint16_t *out, uint32_t room)
{
    uint32_t units = 0;

    for (uint32_t i = 0; i < len;) {
        uint16_t name[SVC_NAME_UNITS] = {'.', '.'};
        uint32_t begin = i, n;

        if (target[i] == '/') {
            if (units == room)
                return -LE_ENAMETOOLONG;
            out[units++] = '\\';
            while (i < len && target[i] == '/')
                i++;
            continue;
        }
        while (i < len && target[i] != '/')
            i++;
        n = i - begin;
        if (n > SVC_NAME_BYTES)
            return -LE_ENAMETOOLONG;
        if (!is_dots(target + begin, n, 1) && !is_dots(target + begin, n, 2))
            n = svc_name_from_host(target + begin, n, name);
        if (n > room - units)
            return -LE_ENAMETOOLONG;
        memcpy(out + units, name, n * sizeof(*name));
        units += n;
    }
    return (int)units;
}

/* One component. Return: bytes or -errno. */
static int component_to_host(const uint16_t *units, uint32_t count, char *out)
{
    if (count <= 2 && units[0] == '.' && (count == 1 || units[1] == '.')) {
        memcpy(out, "..", count);
        return (int)count;
    }
    return svc_name_to_host(units, count, out);
}

/**
 * svc_target_to_host() - a target as the host spells it
 * @units: without a drive or other prefix; separators are '\' or '/'
 * @out:   terminated
 *
 * Return: bytes; -LE_EILSEQ for an empty target or a name that cannot be, -LE_ENAMETOOLONG.
 */
int svc_target_to_host(const uint16_t *units, uint32_t count, char *out, uint32_t room)
{
    uint32_t len = 0;

    for (uint32_t i = 0; i < count;) {
        char name[SVC_NAME_BYTES];
        uint32_t begin = i;
        int n;

        if (units[i] == '\\' || units[i] == '/') {
            if (append_bytes(out, room, &len, "/", 1))
                return -LE_ENAMETOOLONG;
            while (i < count && (units[i] == '\\' || units[i] == '/'))
                i++;
            continue;
        }
        while (i < count && units[i] != '\\' && units[i] != '/')
            i++;
        n = component_to_host(units + begin, i - begin, name);
        if (n < 0)
            return n;
        if (append_bytes(out, room, &len, name, (uint32_t)n))
            return -LE_ENAMETOOLONG;
    }
    return len > 0 ? (int)len : -LE_EILSEQ;
}
