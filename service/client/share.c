// SPDX-License-Identifier: BSD-3-Clause
/*
 * share.c - what concerns the share as a whole: its space, its stable storage, who owns what is made
 *
 * Locks: c->misc for what is kept here.
 */
#include "service/client/client_int.h"

enum { STATFS_HOLDS_MS = 1000 };

/** cli_owner_set() - see client.h */
void cli_owner_set(struct cli *c, uint32_t uid, uint32_t gid)
{
    cli_mutex_lock(&c->misc);
    c->uid = uid;
    c->gid = gid;
    cli_mutex_unlock(&c->misc);
}

static bool statfs_cached(struct cli *c, struct cli_statfs *out)
{
    bool holds;

    cli_mutex_lock(&c->misc);
    holds = cli_clock_ms() < c->statfs_until;
    *out = c->statfs;
    cli_mutex_unlock(&c->misc);
    return holds;
}

/** cli_statfs() - see client.h */
int cli_statfs(struct cli *c, struct cli_statfs *out)
{
    struct fuse_statfs_out reply;
    struct cli_req r = {
        .opcode = FUSE_STATFS,
        .node = c->root,
        .reply = &reply,
        .reply_cap = sizeof(reply),
        .reply_min = sizeof(reply),
    };

    if (statfs_cached(c, out))
        return 0;
    int e = cli_call(c, &r);
    if (e < 0)
        return e;
    *out = (struct cli_statfs){
        .blocks = reply.st.blocks,
        .bfree = reply.st.bfree,
        .bavail = reply.st.bavail,
        .files = reply.st.files,
        .ffree = reply.st.ffree,
        .bsize = reply.st.bsize,
        .frsize = reply.st.frsize,
        .namelen = reply.st.namelen,
    };
    cli_mutex_lock(&c->misc);
    c->statfs = *out;
    c->statfs_until = cli_clock_ms() + STATFS_HOLDS_MS;
    cli_mutex_unlock(&c->misc);
    return 0;
}

/** cli_syncfs() - see client.h */
int cli_syncfs(struct cli *c)
{
    struct fuse_syncfs_in in = {0};
    struct cli_req r = {.opcode = FUSE_SYNCFS, .node = c->root, .arg = {{&in, sizeof(in)}}};

    return cli_call(c, &r);
}
