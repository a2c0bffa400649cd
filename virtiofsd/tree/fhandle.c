// SPDX-License-Identifier: BSD-3-Clause
/*
 * fhandle.c - file handles: names that survive renames
 *
 * Theory of operation
 *
 *   name_to_handle_at(2) needs no privilege and no open; open_by_handle_at(2) needs
 *   CAP_DAC_READ_SEARCH in the initial user namespace. Handles never come from a guest, only from
 *   objects that were reached inside the share, and what one opens is compared with the identity it was
 *   taken from, so they cannot lead out of the share.
 *
 * Ownership: allocates nothing.   Locks: none.
 * syscalls: name_to_handle_at open_by_handle_at
 */
#include <fcntl.h>

#include "tree/tree_int.h"

int fhandle_get(int dirfd, const char *name, struct fhandle *h)
{
    union {
        struct file_handle h;
        uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } buf;
    int mount_id;

    buf.h.handle_bytes = MAX_HANDLE_SZ;
    if (name_to_handle_at(dirfd, name, &buf.h, &mount_id, *name ? 0 : AT_EMPTY_PATH) < 0)
        return -errno;
    if (buf.h.handle_bytes > MAX_HANDLE_SZ)
        return -EOVERFLOW;
    h->bytes = buf.h.handle_bytes;
    h->type = buf.h.handle_type;
    memcpy(h->data, buf.h.f_handle, h->bytes);
    return 0;
}

int fhandle_open(int mount_fd, const struct fhandle *h, int flags)
{
    union {
        struct file_handle h;
        uint8_t room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } buf;

    buf.h.handle_bytes = h->bytes;
    buf.h.handle_type = h->type;
    memcpy(buf.h.f_handle, h->data, h->bytes);
    int fd = open_by_handle_at(mount_fd, &buf.h, flags);
    return fd < 0 ? -errno : fd;
}

/* FNV-1a with a final mix: collisions of two live files of equal inode number are what matters. */
uint64_t fhandle_hash(const struct fhandle *h)
{
    uint64_t x = 0xcbf29ce484222325u ^ (uint64_t)(uint32_t)h->type;

    for (uint32_t i = 0; i < h->bytes; i++)
        x = (x ^ h->data[i]) * 0x100000001b3u;
    return x ^ (x >> 29);
}

void save_handle(struct tree *t, struct inode *inode, int fd)
{
    struct mount *m = inode_mount(t, inode);
    struct fhandle h;

    if (!t->p.can_handles || t->p.handles == HANDLES_NEVER || !m->handles)
        return;
    if (__atomic_load_n(&inode->handle, __ATOMIC_RELAXED) == 0 &&
        mount_handle_fd(t->mounts, m, fd, inode_type(inode), t->p.proc_fd) >= 0 &&
        fhandle_get(fd, "", &h) == 0)
        inode_keep_handle(t, inode, &h);
}
