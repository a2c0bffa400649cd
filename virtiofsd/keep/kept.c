// SPDX-License-Identifier: BSD-3-Clause
/*
 * kept.c - what the supervisor holds of one share (see kept.h)
 *
 * Nothing here looks into what it holds. Kinds and indices come from a worker, which a guest may have taken over:
 * both are bounded, and so is the number of descriptors (supervisor.c).
 *
 * Source: memfd_create(2). Ownership: struct kept owns its descriptors. Locks: none, one thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "keep/channel.h"
#include "keep/kept.h"

#define SEND_MS 10000

/** kept_init() - see kept.h */
int kept_init(struct kept *k, uint64_t id)
{
    *k = (struct kept){.id = id};
    for (unsigned r = 0; r < KEEP_REGIONS; r++) {
        k->region[r] = memfd_create("virtiofsd", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (k->region[r] < 0)
            return -errno;
    }
    return 0;
}

static int grow(struct kept *k, unsigned kind, uint32_t index)
{
    uint32_t had = k->room[kind], room = had ? had : 64;

    while (room <= index)
        room *= 2;
    int32_t *more = realloc(k->fd[kind], room * sizeof(*more));
    if (!more)
        return -ENOMEM;
    for (uint32_t i = had; i < room; i++)
        more[i] = -1;
    k->fd[kind] = more;
    k->room[kind] = room;
    return 0;
}

/** kept_put() - see kept.h. @fd is closed on error. */
int kept_put(struct kept *k, unsigned kind, uint32_t index, int fd)
{
    int err = kind > 0 && kind < KEEP_KINDS && index <= KEEP_INDEX_MAX ? 0 : -EINVAL;

    if (err == 0 && index >= k->room[kind])
        err = grow(k, kind, index);
    if (err < 0) {
        close(fd);
        return err;
    }
    int more = 1 - kept_drop(k, kind, index);
    k->fd[kind][index] = fd;
    return more;
}

/** kept_drop() - see kept.h */
int kept_drop(struct kept *k, unsigned kind, uint32_t index)
{
    if (kind >= KEEP_KINDS || index >= k->room[kind] || k->fd[kind][index] < 0)
        return 0;
    close(k->fd[kind][index]);
    k->fd[kind][index] = -1;
    return 1;
}

/** kept_drop_all() - see kept.h */
uint32_t kept_drop_all(struct kept *k, unsigned kind)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < k->room[kind]; i++)
        n += (uint32_t)kept_drop(k, kind, i);
    free(k->fd[kind]);
    k->fd[kind] = NULL;
    k->room[kind] = 0;
    return n;
}

/** kept_send() - see kept.h */
int kept_send(const struct kept *k, int channel, uint16_t share)
{
    int err = 0;

    for (unsigned kind = 1; kind < KEEP_KINDS; kind++) {
        for (uint32_t i = 0; err == 0 && i < k->room[kind]; i++) {
            struct channel_msg m = {
                .op = CHANNEL_FD, .kind = (uint8_t)kind, .share = share, .index = i};
            if (k->fd[kind][i] >= 0)
                err = channel_send(channel, &m, k->fd[kind][i], SEND_MS);
        }
    }
    return err;
}
