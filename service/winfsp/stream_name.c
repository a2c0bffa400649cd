// SPDX-License-Identifier: BSD-3-Clause
/*
 * stream_name.c - names of alternate data streams, and the extended attributes that hold them
 *
 * Theory of operation
 *
 *   The stream NAME of a file is its extended attribute "user.DosStream.NAME:$DATA", as Samba's vfs_streams_xattr
 *   keeps it: NAME in UTF-8, nothing moved away, with the spelling that the stream was made with. Streams are
 *   looked for as NTFS and Samba do, regardless of case.
 *
 *   A stream's name may contain what a file's may not, wildcards and control characters among them, but no '\',
 *   '/' or ':' (MS-FSCC 2.1.5.3). An attribute whose name Windows could not spell is not shown.
 *
 * Ownership, locks: none. Portable: no call into any system.
 */
#include "service/winfsp/stream_name.h"

#include <string.h>

#include "service/client/client_int.h"
#include "service/client/linux_errno.h"

enum {
    PREFIX_LEN = sizeof(META_STREAM_PREFIX) - 1,
    NAME_BYTES = SVC_XATTR_ROOM - 1 - PREFIX_LEN - SVC_STREAM_SUFFIX_LEN
};

static bool is_forbidden(uint32_t c)
{
    return c == 0 || c == '\\' || c == '/' || c == ':';
}

/**
 * svc_stream_to_host() - the attribute that holds a stream
 * @units: the stream's name, without type, not terminated
 * @xattr: room for SVC_XATTR_ROOM bytes, terminated
 *
 * Return: 0; -LE_EILSEQ for what is no name of a stream; -LE_ENAMETOOLONG when the attribute's name would be
 *   longer than 255 bytes.
 */
int svc_stream_to_host(const uint16_t *units, uint32_t count, char *xattr)
{
    uint32_t len = PREFIX_LEN;

    if (count == 0)
        return -LE_EILSEQ;
    memcpy(xattr, META_STREAM_PREFIX, PREFIX_LEN);
    for (uint32_t i = 0; i < count;) {
        char utf8[4];
        uint32_t c, bytes, n = svc_utf16_get(units + i, count - i, &c);

        if (n == 0 || is_forbidden(c))
            return -LE_EILSEQ;
        i += n;
        bytes = svc_utf8_put(utf8, c);
        if (len - PREFIX_LEN + bytes > NAME_BYTES)
            return -LE_ENAMETOOLONG;
        memcpy(xattr + len, utf8, bytes);
        len += bytes;
    }
    memcpy(xattr + len, SVC_STREAM_SUFFIX, SVC_STREAM_SUFFIX_LEN + 1);
    return 0;
}

/* The name inside. Return: false for an attribute that holds no stream. */
static bool name_in(const char *xattr, struct cli_name *name)
{
    size_t len = strlen(xattr);

    if (len <= PREFIX_LEN + SVC_STREAM_SUFFIX_LEN || len >= SVC_XATTR_ROOM ||
        memcmp(xattr, META_STREAM_PREFIX, PREFIX_LEN) != 0 ||
        memcmp(xattr + len - SVC_STREAM_SUFFIX_LEN, SVC_STREAM_SUFFIX, SVC_STREAM_SUFFIX_LEN) != 0)
        return false;
    *name =
        (struct cli_name){xattr + PREFIX_LEN, (uint32_t)(len - PREFIX_LEN - SVC_STREAM_SUFFIX_LEN)};
    return true;
}

/**
 * svc_stream_from_host() - the stream that an attribute holds
 * @xattr: the host's name of an attribute, terminated, as long as it likes
 * @units: room for SVC_NAME_UNITS
 *
 * Return: units of the stream's name; -LE_EILSEQ for an attribute that holds none, or none that Windows can name.
 */
int svc_stream_from_host(const char *xattr, uint16_t *units)
{
    struct cli_name name;
    uint32_t count = 0;

    if (!name_in(xattr, &name))
        return -LE_EILSEQ;
    for (uint32_t i = 0; i < name.len;) {
        uint32_t c, n = svc_utf8_get((const unsigned char *)name.bytes + i, name.len - i, &c);

        if (n == 0 || is_forbidden(c))
            return -LE_EILSEQ;
        if (c < 0x10000) {
            units[count++] = (uint16_t)c;
        } else {
            units[count++] = (uint16_t)(0xD800 + ((c - 0x10000) >> 10));
            units[count++] = (uint16_t)(0xDC00 + ((c - 0x10000) & 0x3FF));
        }
        i += n;
    }
    return (int)count;
}

/** svc_stream_same() - do two attributes hold a stream of the same name, but for case? */
bool svc_stream_same(const char *a, const char *b)
{
    struct cli_name x, y;

    return name_in(a, &x) && name_in(b, &y) && cli_fold_equal(x, y);
}
