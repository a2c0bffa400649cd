// SPDX-License-Identifier: BSD-3-Clause
/*
 * owner.c - whom new files belong to on the host
 *
 * The Owner setting, or whoever owns the root directory of the share. In a user namespace an owner that has no
 * id inside shows as the overflow id ("nobody"); that one is not taken over, and what was known before stays.
 * The root is looked at when the share is mounted and whenever Windows asks for its security.
 *
 * Locks: those of the client.
 */
#include "service/winfsp/svc.h"

/** svc_owner_set() - take over what the settings or the root's attributes say */
void svc_owner_set(struct svc_volume *v, const struct cli_attr *root)
{
    const struct svc_volume_options *s = &v->options;
    uint32_t uid = s->owner_uid, gid = s->owner_gid;

    if (uid == SVC_NO_ID)
        uid = root->uid != s->overflow_uid ? root->uid : v->owner_uid;
    if (gid == SVC_NO_ID)
        gid = root->gid != s->overflow_gid ? root->gid : v->owner_gid;
    v->owner_uid = uid;
    v->owner_gid = gid;
    cli_owner_set(v->client, uid, gid);
}

/** svc_owner_find() - at the start, and in a new session [1] */
NTSTATUS svc_owner_find(struct svc_volume *v)
{
    struct cli_node *root = cli_root(v->client);
    struct cli_attr a;
    int error = cli_getattr(v->client, root, true, &a);

    cli_node_put(v->client, root);
    if (error)
        return svc_status(error, SVC_ABOUT_NAME);
    svc_owner_set(v, &a);
    return STATUS_SUCCESS;
}
