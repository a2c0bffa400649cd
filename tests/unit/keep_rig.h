// SPDX-License-Identifier: BSD-3-Clause
/*
 * keep_rig.h - memory and descriptors that outlive a process, without a supervisor
 *
 * Stands for keep/keep.c, whose functions it takes the place of: regions are memory that a forked child shares with
 * the test, descriptors are sent to the test over a socket. It does not prove anything of keep.c itself.
 */
#ifndef VIOFS_KEEP_RIG_H
#define VIOFS_KEEP_RIG_H

#include <sys/types.h>

#include "keep/keep.h"

/** keep_rig_open() - nothing kept yet */
struct keep *keep_rig_open(void);
void keep_rig_close(struct keep *k);

/** keep_rig_fork() - a child that is the worker; in the child 0 */
pid_t keep_rig_fork(struct keep *k);
/** keep_rig_kill() - the worker ends, wherever it is; what it had put is here. Return: its wait status. */
int keep_rig_kill(struct keep *k, pid_t worker);
/** keep_rig_wait() - the same for one that ends by itself */
int keep_rig_wait(struct keep *k, pid_t worker);
/** keep_rig_resumes() - from now on this process is the next worker */
void keep_rig_resumes(struct keep *k, bool resumes);
/** keep_rig_freeze() - until it is called again keep_put() and keep_drop() change nothing */
void keep_rig_freeze(struct keep *k, bool freeze);
/** keep_rig_region() - where a region lies */
void *keep_rig_region(struct keep *k, enum keep_region region);
/** keep_rig_wipe() - nothing is kept any more: regions are zeros, descriptors closed */
void keep_rig_wipe(struct keep *k);
/** keep_rig_count() - descriptors that are kept */
unsigned keep_rig_count(const struct keep *k);

#endif
