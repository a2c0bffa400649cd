// SPDX-License-Identifier: BSD-3-Clause
/*
 * guard_key.c - which lock an operation on a path takes
 *
 * The key is a hash of the path's directory, so that everything that happens to the names of one directory
 * has one key. With case-insensitive names two spellings of a directory must share it: ASCII letters are
 * hashed as capitals and all other characters alike, which is coarser than any case table and needs none.
 * Paths that share a key by chance only wait for each other.
 *
 * Ownership, locks: none. Portable: no call into any system.
 */
#include "service/winfsp/guard_key.h"

static uint32_t folded(uint32_t c)
{
    if (c >= 0x80)
        return 0x80;
    return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c;
}

/**
 * svc_guard_key() - a hash of the directory that a path is in
 * @path:  from the volume's root; @units of it count, or all before a terminator
 * @fold:  names are not case-sensitive
 *
 * Repeated separators count once. The root is taken to be in itself.
 */
uint32_t svc_guard_key(const uint16_t *path, uint32_t units, bool fold)
{
    uint32_t hash = 2166136261u, before = hash;

    for (uint32_t i = 0; i < units && path[i] != 0;) {
        uint32_t begin = i;

        while (i < units && path[i] == '\\')
            i++;
        if (i == begin || i == units || path[i] == 0) {
            if (i == begin)
                i++; /* a path without a leading separator */
            continue;
        }
        before = hash;
        hash = (hash ^ '\\') * 16777619u;
        for (; i < units && path[i] != 0 && path[i] != '\\'; i++) {
            uint32_t c = fold ? folded(path[i]) : path[i];

            hash = (hash ^ c) * 16777619u;
        }
    }
    return before ^ before >> 16;
}
