// SPDX-License-Identifier: BSD-3-Clause
/*
 * hub.h - several devices in one process: who listens, who talks to front ends, who serves their queues
 *
 * One hub is made before the devices; vu_params.hub makes each a member. hub_run() takes the place of vu_run() for
 * all. Members listen again when their front end has left.
 */
#ifndef VIOFS_VHOST_HUB_H
#define VIOFS_VHOST_HUB_H

#include "vhost/vhost.h"

struct hub;

/** hub_new() - @ops: those of every member; its crew starts. Return: 0 or -errno. */
int hub_new(struct hub **hub, const struct vu_ops *ops);
/** hub_stop_fd() - readable from hub_stop() on; the hub's */
int hub_stop_fd(const struct hub *hub);
/** hub_add() - vu_new()'s: @vu is a member, from before hub_run() until hub_free(). Return: 0 or -ENOMEM. */
int hub_add(struct hub *hub, struct vu *vu);
/**
 * hub_run() - serve all until hub_stop(); all sessions have ended then
 * Return: 0; VU_QUIESCED after hub_quiesce(): as vu_run(); -errno (logged).
 */
int hub_run(struct hub *hub);
/** hub_stop() - make hub_run() return; async-signal-safe */
void hub_stop(struct hub *hub);
/** hub_quiesce(), hub_stop_listening(), hub_has_served() - as vu_quiesce() and the others, of all members. Any thread. */
void hub_quiesce(struct hub *hub);
void hub_stop_listening(struct hub *hub);
bool hub_has_served(struct hub *hub);
/** hub_free() - after hub_run() and before vu_free() of its members; NULL is fine */
void hub_free(struct hub *hub);

#endif
