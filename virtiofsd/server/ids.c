// SPDX-License-Identifier: BSD-3-Clause
/*
 * ids.c - --translate-uid and --translate-gid
 *
 * Theory of operation
 *
 *   Guest and host may number their users differently without a user namespace: each request's ids are
 *   translated to the host's, each reply's to the guest's. The rules are few, so they are searched in the
 *   order given; the first that covers the id decides, and an id that none covers passes unchanged.
 *
 * Ownership: borrows the configuration.   Locks: none.
 */
#include <errno.h>

#include "server/request.h"

static bool covers(uint32_t base, uint32_t count, uint32_t id)
{
    return id >= base && id - base < count;
}

static int to_host(const struct conf_xlate *rules, size_t n, uint32_t *id)
{
    for (size_t i = 0; i < n; i++) {
        const struct conf_xlate *x = &rules[i];
        if (x->kind == XLATE_HOST || x->kind == XLATE_SQUASH_HOST ||
            !covers(x->from, x->count, *id))
            continue;
        if (x->kind == XLATE_FORBID_GUEST)
            return -EPERM;
        *id = x->kind == XLATE_SQUASH_GUEST ? x->to : x->to + (*id - x->from);
        return 0;
    }
    return 0;
}

static uint32_t to_guest(const struct conf_xlate *rules, size_t n, uint32_t id)
{
    for (size_t i = 0; i < n; i++) {
        const struct conf_xlate *x = &rules[i];
        switch (x->kind) {
        case XLATE_HOST:
            if (covers(x->from, x->count, id))
                return x->to + (id - x->from);
            break;
        case XLATE_SQUASH_HOST:
            if (covers(x->from, x->count, id))
                return x->to;
            break;
        case XLATE_MAP:
            if (covers(x->to, x->count, id))
                return x->from + (id - x->to);
            break;
        case XLATE_GUEST:
        case XLATE_SQUASH_GUEST:
        case XLATE_FORBID_GUEST:
            break;
        }
    }
    return id;
}

int idmap_uid_to_host(const struct server *srv, uint32_t *uid)
{
    return to_host(srv->conf->xlate_uid, srv->conf->n_xlate_uid, uid);
}

int idmap_gid_to_host(const struct server *srv, uint32_t *gid)
{
    return to_host(srv->conf->xlate_gid, srv->conf->n_xlate_gid, gid);
}

uint32_t idmap_uid_to_guest(const struct server *srv, uint32_t uid)
{
    return to_guest(srv->conf->xlate_uid, srv->conf->n_xlate_uid, uid);
}

uint32_t idmap_gid_to_guest(const struct server *srv, uint32_t gid)
{
    return to_guest(srv->conf->xlate_gid, srv->conf->n_xlate_gid, gid);
}
