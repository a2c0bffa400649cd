// SPDX-License-Identifier: BSD-3-Clause
/*
 * kept.h - the supervisor's side of one share: its memory and its descriptors
 */
#ifndef VIOFS_KEEP_KEPT_H
#define VIOFS_KEEP_KEPT_H

#include "keep/keep.h"

/* By kind a table of descriptors, -1 where there is none. Owned by the supervisor; all zeros but region[] is empty. */
struct kept {
    uint64_t id; /* keep_share_id() */
    int region[KEEP_REGIONS];
    int32_t *fd[KEEP_KINDS];
    uint32_t room[KEEP_KINDS];
};

/** kept_init() - make the regions' memory, empty. Return: 0 or -errno. */
int kept_init(struct kept *k, uint64_t id);

/** kept_put() - take @fd over under a key. Return: by how many descriptors there are more now (0 or 1), or -errno. */
int kept_put(struct kept *k, unsigned kind, uint32_t index, int fd);
/** kept_drop() - close what is under a key. Return: how many descriptors there are less (0 or 1). */
int kept_drop(struct kept *k, unsigned kind, uint32_t index);
/** kept_drop_all() - all of a kind. Return: how many there were. */
uint32_t kept_drop_all(struct kept *k, unsigned kind);

/** kept_send() - everything, as CHANNEL_FD of @share. Return: 0 or -errno. */
int kept_send(const struct kept *k, int channel, uint16_t share);

#endif
