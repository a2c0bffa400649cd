// SPDX-License-Identifier: BSD-3-Clause
/*
 * meta.c - what Windows wants to know of a file with each entry, from its extended attributes
 *
 * Theory of operation
 *
 *   For a client that asked for VIOFS_FEATURE_META each entry of the extension tells DOS attributes and creation time,
 *   the size of all EAs, and whether there are streams or a stored ACL (docs/protocol.md). A file without any of
 *   these, as most are, costs one system call: listing its attributes. A file with DOS attributes costs one more, and
 *   one for each EA, whose length only its value tells. Clients that did not ask cost nothing.
 *
 *   Regular files and directories are looked at, by the paths of xattr.c: a descriptor's magic link, or in a listing
 *   "DIRECTORY/NAME", where the last component is never followed. Between the statx of an entry and this, the
 *   host may put another file under the name; then what is told is that of the newer file, until the entry expires.
 *
 *   --xattrmap applies: the client hears of what it would see if it asked for the attributes itself.
 *
 *   What cannot be told completely (a list beyond 64 KiB, very many EAs, no permission) goes without
 *   VIOFS_EXT_META, and the client asks for what it needs.
 *
 * Locks: none.
 * syscalls: listxattr llistxattr getxattr lgetxattr
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <linux/limits.h>

#include "lib/meta/dosattrib.h"
#include "lib/meta/names.h"
#include "server/request.h"
#include "server/xattrmap.h"

enum {
    USUAL_LIST = 1024, /* most files have no attribute, or one */
    MOST_EAS = 256,    /* whose sizes are asked for */
};

/* A file to be looked at. */
struct target {
    const char *path; /* below /proc/self/fd, where this thread is */
    bool follow;      /* the path is a magic link */
};

static ssize_t list_names(const struct target *t, char *list, size_t size)
{
    ssize_t n = t->follow ? listxattr(t->path, list, size) : llistxattr(t->path, list, size);

    return n < 0 ? -errno : n;
}

static ssize_t get_value(const struct target *t, const char *name, void *value, size_t size)
{
    ssize_t n =
        t->follow ? getxattr(t->path, name, value, size) : lgetxattr(t->path, name, value, size);

    return n < 0 ? -errno : n;
}

/* A value that nobody can read, us or Samba, is none. */
static void add_dosattrib(const struct target *t, const char *name, struct fuse_viofs_ext *ext)
{
    uint8_t value[DOSATTRIB_MAX];
    struct dosattrib d;
    ssize_t n = get_value(t, name, value, sizeof(value));

    if (n < 0 || !dosattrib_decode(value, (size_t)n, &d))
        return;
    ext->dos_attributes = d.attributes;
    ext->flags |= VIOFS_EXT_DOS;
    if (d.create_time) {
        ext->create_time = d.create_time;
        ext->flags |= VIOFS_EXT_CREATED;
    }
}

/* Return: false when there are too many to be told. */
static bool add_ea(const struct target *t, const char *host, const char *guest, unsigned *eas,
                   struct fuse_viofs_ext *ext)
{
    ssize_t n;

    if (++*eas > MOST_EAS)
        return false;
    n = get_value(t, host, NULL, 0);
    if (n > 0)
        ext->ea_size += meta_ea_size(guest, (uint64_t)n);
    return true;
}

/* @list: terminated names of @len bytes in all */
static bool add_names(struct srv_req *rq, const struct target *t, const char *list, size_t len,
                      struct fuse_viofs_ext *ext)
{
    const struct xattrmap *map = rq->srv->xattrmap;
    unsigned eas = 0;

    for (size_t at = 0; at < len; at += strlen(list + at) + 1) {
        const char *guest = map ? xattrmap_to_guest(map, list + at) : list + at;

        switch (guest ? meta_kind_of(guest) : META_NONE) {
        case META_DOSATTRIB:
            add_dosattrib(t, list + at, ext);
            break;
        case META_STREAM:
            ext->flags |= VIOFS_EXT_STREAMS;
            break;
        case META_ACL:
            ext->flags |= VIOFS_EXT_ACL;
            break;
        case META_EA:
            if (!add_ea(t, list + at, guest, &eas, ext))
                return false;
            break;
        default:
            break;
        }
    }
    return true;
}

/* Return: false when the names cannot be had. */
static bool add_all(struct srv_req *rq, const struct target *t, struct fuse_viofs_ext *ext)
{
    char usual[USUAL_LIST + 1], *large = NULL, *list = usual;
    ssize_t n = list_names(t, usual, USUAL_LIST);
    bool whole;

    if (n == -ERANGE) {
        list = large = malloc(XATTR_LIST_MAX + 1);
        if (!large)
            return false;
        n = list_names(t, large, XATTR_LIST_MAX);
    }
    if (n >= 0)
        list[n] = '\0'; /* a file system's last name may lack its end */
    whole = n >= 0 ? add_names(rq, t, list, (size_t)n, ext) : n == -EOPNOTSUPP;
    free(large);
    return whole;
}

static void add(struct srv_req *rq, const struct target *t, struct fuse_viofs_ext *ext)
{
    struct fuse_viofs_ext all = *ext;

    if (add_all(rq, t, &all)) {
        all.flags |= VIOFS_EXT_META;
        *ext = all;
    }
}

static bool is_looked_at(mode_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode);
}

/** meta_wanted() - did this session's client ask for metadata? */
bool meta_wanted(const struct srv_req *rq)
{
    return atomic_load_explicit(&rq->srv->session.features, memory_order_relaxed) &
           VIOFS_FEATURE_META;
}

/** ext_add_inode() - tell an inode's metadata, if it is wanted; only then the inode is reached */
void ext_add_inode(struct srv_req *rq, struct inode *inode, struct fuse_viofs_ext *ext)
{
    struct inode_fd f;
    char path[16];

    if (!meta_wanted(rq) || !is_looked_at(inode_type(inode)) ||
        inode_fd_get(rq->srv->tree, inode, &f) < 0)
        return;
    if (xattr_path(rq, f.fd, path) == 0)
        add(rq, &(struct target){path, true}, ext);
    inode_fd_put(rq->srv->tree, &f);
}

/**
 * ext_add_name() - the same for a name in a directory, without a descriptor
 * @name: a component, never "." or ".."
 */
void ext_add_name(struct srv_req *rq, int dirfd, const char *name, mode_t mode,
                  struct fuse_viofs_ext *ext)
{
    char path[16 + NAME_MAX + 1], dir[16];

    if (!meta_wanted(rq) || !is_looked_at(mode) || xattr_path(rq, dirfd, dir) < 0)
        return;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) < sizeof(path))
        add(rq, &(struct target){path, false}, ext);
}

/** ext_add_new() - the same for a file that was made just now: it has nothing yet */
void ext_add_new(const struct srv_req *rq, struct fuse_viofs_ext *ext)
{
    if (meta_wanted(rq))
        ext->flags |= VIOFS_EXT_META;
}
