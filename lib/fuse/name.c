// SPDX-License-Identifier: BSD-3-Clause
/*
 * name.c - names that a guest sends
 *
 * Theory of operation
 *
 *   A guest names files one component at a time. fuse_decode() passes every name through name_check()
 *   before any other code sees it, so nothing below can be asked to leave its directory, whatever
 *   sandbox the daemon runs in.
 *
 *   The check is on the private copy of the request: guest memory may change at any time.
 *
 * Ownership: borrows the name; allocates nothing.   Locks: none.
 */
#include "lib/fuse/fuse_call.h"

enum { COMPONENT_MAX = 255 }; /* NAME_MAX of Linux, in bytes */

/**
 * name_check() - may a guest use this name in this kind of request?
 * @name:   bytes of the component, not necessarily terminated
 * @len:    number of bytes, 0..SIZE_MAX
 * @kind:   what the request does with it
 *
 * Return: 0; -EINVAL for an empty name, a '/' or NUL inside, or "." / ".." where the request changes a
 * directory; -ENAMETOOLONG past 255 bytes.
 *
 * "." and ".." are legal in LOOKUP only: virtio-win's guest looks the root up as ".", and an NFS
 * server in a Linux guest asks for "..".
 */
int name_check(const char *name, size_t len, enum name_kind kind)
{
    if (len == 0)
        return -FUSE_ERR_INVAL;
    if (len > COMPONENT_MAX)
        return -FUSE_ERR_NAMETOOLONG;
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '/' || name[i] == '\0')
            return -FUSE_ERR_INVAL;
    }
    if (kind == NAME_CHANGES_DIRECTORY && name[0] == '.' &&
        (len == 1 || (len == 2 && name[1] == '.')))
        return -FUSE_ERR_INVAL;
    return 0;
}
