// SPDX-License-Identifier: BSD-3-Clause
/*
 * records.h - changes that wait for the client
 *
 * A queue with a bound. Records leave it as they lie on the wire (struct fuse_viofs_event).
 */
#ifndef VIOFS_WATCH_RECORDS_H
#define VIOFS_WATCH_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/fuse/fuse_proto.h"

#define RECORDS_MAX       65536u
#define RECORDS_BYTES_MAX (8u << 20)

struct records;

/* What is to be told. */
struct record {
    uint64_t node;    /* 0: all of the share, with VIOFS_RESCAN */
    uint32_t action;  /* enum viofs_action */
    uint32_t flags;   /* VIOFS_EVENT_* */
    const char *path; /* @path_len bytes, not terminated; NULL with 0 */
    size_t path_len;
};

/** records_new() - @max, @max_bytes: bounds, 0 for those above. Return: 0 or -ENOMEM. */
int records_new(struct records **rs, uint32_t max, size_t max_bytes);
void records_free(struct records *rs);

/**
 * records_add() - one more change
 *
 * What is waiting already, and need not be told twice, is not. What does not fit, or finds no memory, turns all
 * that waits into one RESCAN of everything.
 */
void records_add(struct records *rs, const struct record *r);
/**
 * records_pair_begin(), records_pair_end() - around the RENAMED_FROM and the RENAMED_TO of one rename
 *
 * They stay together. One whose other half was not added becomes REMOVED or ADDED.
 */
void records_pair_begin(struct records *rs);
void records_pair_end(struct records *rs);
/** records_lost() - something happened that nobody knows: RESCAN of everything */
void records_lost(struct records *rs);

/**
 * records_take() - as many as fit, as bytes for the reply
 * @room: at least RECORDS_ROOM_MIN
 * Return: bytes at @buf, a multiple of 8; 0 when nothing waits.
 *
 * A record that would not fit into an empty reply becomes a RESCAN of its directory.
 */
size_t records_take(struct records *rs, void *buf, size_t room);
#define RECORDS_ROOM_MIN 64u

uint32_t records_count(const struct records *rs);
/** records_rescans() - how often records were lost since records_new() */
uint64_t records_rescans(const struct records *rs);
void records_clear(struct records *rs);

#endif
