// SPDX-License-Identifier: BSD-3-Clause
/*
 * shares.h - all shares of one process: which device is mounted where
 */
#ifndef VIOFS_SERVICE_SHARES_H
#define VIOFS_SERVICE_SHARES_H

#include <stdbool.h>

#include "abi/winfsp.h"
#include "service/win/config.h"
#include "service/win/log.h"
#include "service/win/running.h"

struct svc_shares;

/* All of it must outlive the shares. */
struct svc_shares_env {
    const struct svc_config *config;
    const struct winfsp_api *api;
    struct svc_log *log;
    struct svc_running *running; /* or NULL */
    /*
     * Set when the one share that the options select cannot be mounted and waiting will not help. NULL: it
     * is tried again and again, as are all others.
     */
    HANDLE give_up;
};

/** svc_shares_start() - mount what is there, follow what comes and goes. Return: NULL when memory is short. */
struct svc_shares *svc_shares_start(const struct svc_shares_env *env);

/** svc_shares_settle() - wait until all that was there at the start is mounted or has failed once, at most @ms */
void svc_shares_settle(struct svc_shares *s, DWORD ms);

/** svc_shares_resumed() - the machine woke up: look at each session */
void svc_shares_resumed(struct svc_shares *s);

/**
 * svc_shares_stop() - unmount all, at most @ms
 * @waiting: called about once a second meanwhile, or NULL
 *
 * Return: true when all are gone and memory is freed; false when the time is over and a share hangs, which
 *   then only the end of the process ends.
 */
bool svc_shares_stop(struct svc_shares *s, DWORD ms, void (*waiting)(void *user), void *user);

/** svc_shares_error() - Win32 error why nothing was ever mounted; ERROR_SUCCESS if something was */
DWORD svc_shares_error(struct svc_shares *s);

#endif
