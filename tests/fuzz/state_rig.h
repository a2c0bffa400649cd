// SPDX-License-Identifier: BSD-3-Clause
/*
 * state_rig.h - servers with a guest that fuzz_state takes away, and what it finds afterwards
 */
#ifndef VIOFS_TESTS_STATE_RIG_H
#define VIOFS_TESTS_STATE_RIG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "server/request.h"
#include "vhost/device.h"

#define RIG_ROWS  4u /* sets of options */
#define RIG_NODES 8u
#define RIG_FILES 4u

struct rig {
    struct server *srv;
    struct vu *vu;
    uint64_t unique;
    uint64_t node[RIG_NODES], fh[RIG_FILES]; /* what rig_live() was told */
};

/** rig_open() - the share, and what all servers have in common; once */
void rig_open(void);

/** rig_up() - a server and its device, with the options of @row. @k: what it goes on with, or NULL. 0 or -errno. */
int rig_up(struct rig *r, unsigned row, struct keep *k);
void rig_down(struct rig *r);

/**
 * rig_ask() - one request of the guest's; @arg, then @name with its NUL unless that is NULL
 * Return: bytes of the reply's payload, which are copied to @reply; -errno.
 */
int64_t rig_ask(struct rig *r, uint32_t opcode, uint64_t node, const void *arg, size_t len,
                const char *name, void *reply, size_t room);

/** rig_live() - a guest that looks around, opens and locks; a bit of @how leaves a part of it out */
void rig_live(struct rig *r, unsigned how);

/** rig_look() - ask about everything that rig_live() may have been told of. @change: also change and close it */
void rig_look(struct rig *r, bool change);

/** rig_leave() - the session ends; abort unless nothing is left */
void rig_leave(struct rig *r);

/** rig_fds() - open descriptors */
size_t rig_fds(void);

/** rig_inline() - the next thread that is started runs at once, in place of its start */
void rig_inline(void);

#endif
