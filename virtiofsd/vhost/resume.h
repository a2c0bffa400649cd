// SPDX-License-Identifier: BSD-3-Clause
/*
 * resume.h - what the control thread keeps for its successor
 *
 * All of it does nothing without a supervisor.
 */
#ifndef VIOFS_VHOST_RESUME_H
#define VIOFS_VHOST_RESUME_H

#include "vhost/device.h"

/** resume_save() - the device as it is now is what a successor finds; before queues run, and when a message was handled */
void resume_save(struct vu *vu);

/** resume_keep() - keep @fd under a key of the device, or what is there no more (-1). Failures are logged. */
void resume_keep(struct vu *vu, enum keep_kind kind, uint32_t index, int fd);

/** resume_keep_memory() - keep the file behind region @r of @mem */
void resume_keep_memory(struct vu *vu, struct mem *mem, const struct vu_mem_region *r, int fd);
/** resume_forget_memory() - drop the files of regions that are gone; after resume_save() */
void resume_forget_memory(struct vu *vu);

/** resume_reply() - the answer to the message being handled, exactly once as far as can be. Return: as vu_msg_reply(). */
int resume_reply(struct vu *vu, struct vu_msg *m, uint32_t size);
/** resume_handled() - a message was handled. Return: 0 or -errno. */
int resume_handled(struct vu *vu, struct vu_msg *m);

/** resume_finish_message() - at resume: send an answer that is owed. Return: 0 or -errno. */
int resume_finish_message(struct vu *vu);

#endif
