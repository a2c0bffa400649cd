// SPDX-License-Identifier: BSD-3-Clause
/*
 * quota.h - bytes and inodes that a share may use (quota.c has the theory)
 */
#ifndef VIOFS_QUOTA_H
#define VIOFS_QUOTA_H

#include "conf.h"

/**
 * quota_set() - --limit-bytes and --limit-inodes, where the share's file system has project quotas
 *
 * While the host's paths are in sight and CAP_SYS_ADMIN is held. Without these options nothing is done.
 * Return: 0 or -errno (message printed).
 */
int quota_set(const struct conf *conf);

#endif
