// SPDX-License-Identifier: BSD-3-Clause
/*
 * links.c - where symbolic links lead
 *
 * Windows marks a link to a directory, so each link that is shown is followed: a READLINK and a walk the
 * first time, answered from the client's caches later. Links on the way are followed too, up to a bound;
 * a loop, or a target that is missing or outside, is not a directory.
 *
 * Ownership: each call allocates what it needs. Locks: those of the client.
 */
#include "service/winfsp/svc.h"

#include <stdlib.h>
#include <string.h>

#include "service/winfsp/targets.h"

enum { FOLLOW_MAX = 32 };

/**
 * svc_link_target() - what a link says [1]
 * @target: SVC_TARGET_BYTES, terminated
 *
 * Return: bytes, at least 1; -LE_EIO for an empty one, -LE_ENAMETOOLONG, -errno.
 */
int svc_link_target(struct svc_volume *v, struct cli_node *link, char *target)
{
    int len = cli_readlink(v->client, link, target, SVC_TARGET_BYTES);

    if (len == -LE_ERANGE)
        return -LE_ENAMETOOLONG;
    return len == 0 ? -LE_EIO : len;
}

struct chase {
    struct svc_joined at;
    struct svc_path directory;
    struct cli_name names[SVC_DEPTH_MAX];
    struct cli_walk walk;
    char target[SVC_TARGET_BYTES];
};

/* From `at`, whose last component is the link, to where the link leads. */
static int follow(struct svc_volume *v, struct chase *h, struct cli_node *link)
{
    int len = svc_link_target(v, link, h->target);

    return len < 0 ? len : svc_joined_append(&h->at, h->target, (uint32_t)len);
}

/* A link on the way: go where it leads, then on with what came behind it. */
static int detour(struct svc_volume *v, struct chase *h, int count)
{
    struct svc_joined whole = h->at;
    const char *end = h->names[count - 1].bytes + h->names[count - 1].len;
    const char *rest = h->names[h->walk.depth].bytes + h->names[h->walk.depth].len;
    uint32_t kept = (uint32_t)(h->names[h->walk.depth].bytes - h->at.bytes);
    uint32_t rest_at = (uint32_t)(rest - h->at.bytes), rest_len = (uint32_t)(end - rest);
    int error;

    h->at.len = kept > 0 ? kept - 1 : 0;
    error = follow(v, h, h->walk.node);
    if (error)
        return error;
    /* the rest starts with '/', which would mean the root */
    return rest_len > 1 ? svc_joined_append(&h->at, whole.bytes + rest_at + 1, rest_len - 1) : 0;
}

/* One step. Return: 1 a directory, 0 something else, -LE_EAGAIN to go on, -errno. */
static int step(struct svc_volume *v, struct chase *h)
{
    int count = svc_joined_split(&h->at, h->names, SVC_DEPTH_MAX), r;

    if (count < 0)
        return count;
    r = cli_walk(v->client, h->names, (unsigned)count, &h->walk);
    if (r == 0 && cli_node_type(h->walk.node) == SVC_IFLNK) {
        svc_joined_cut(&h->at);
        r = follow(v, h, h->walk.node);
        r = r ? r : -LE_EAGAIN;
    } else if (r == 0) {
        r = cli_node_type(h->walk.node) == SVC_IFDIR;
    } else if (r == CLI_WALK_SYMLINK) {
        r = h->walk.depth < (unsigned)count ? detour(v, h, count) : -LE_EIO;
        r = r ? r : -LE_EAGAIN;
    }
    cli_walk_end(v->client, &h->walk);
    return r;
}

static int start(struct svc_volume *v, struct chase *h, const WCHAR *directory,
                 struct cli_node *link)
{
    int error = svc_path_parse(directory, &h->directory);

    h->at.len = 0;
    for (uint32_t i = 0; !error && i < h->directory.count; i++)
        error = svc_joined_append(&h->at, h->directory.names[i].bytes, h->directory.names[i].len);
    return error ? error : follow(v, h, link);
}

/**
 * svc_link_is_directory() - does a symbolic link lead to a directory of the share?
 * @directory: path of the directory that the link is in, as Windows spells it
 */
bool svc_link_is_directory(struct svc_volume *v, const WCHAR *directory, struct cli_node *link)
{
    struct chase *h = malloc(sizeof(*h));
    int r;

    if (!h)
        return false;
    r = start(v, h, directory, link);
    r = r ? r : -LE_EAGAIN;
    for (int i = 0; i < FOLLOW_MAX && r == -LE_EAGAIN; i++)
        r = step(v, h);
    free(h);
    return r == 1;
}
