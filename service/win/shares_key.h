// SPDX-License-Identifier: BSD-3-Clause
/*
 * shares_key.h - HKLM\Software\virtiofs\Shares: what is kept for each share
 */
#ifndef VIOFS_SERVICE_SHARES_KEY_H
#define VIOFS_SERVICE_SHARES_KEY_H

#include <stdbool.h>

#include <windows.h>

#include "service/win/settings.h"

struct svc_shares_lock {
    HANDLE mutex; /* or NULL */
};

/**
 * svc_shares_lock() - keep others from changing what is kept, and finish what one that was killed has begun
 * @ms: how long to wait for others
 *
 * Return: ERROR_SUCCESS; ERROR_BUSY when the time is over, ERROR_ACCESS_DENIED for who is no administrator.
 *   Whoever only reads may go on without it. svc_shares_unlock() is for all results.
 */
DWORD svc_shares_lock(struct svc_shares_lock *l, DWORD ms);
void svc_shares_unlock(struct svc_shares_lock *l);

/** svc_shares_may_write() - ERROR_ACCESS_DENIED for who is no administrator; else ERROR_SUCCESS */
DWORD svc_shares_may_write(void);

/**
 * svc_shares_keep() - the settings of a share that are one share's become these, all of them or none
 * @tag: svc_tag_is_key()
 *
 * Under the lock. Values that are not of viofs stay. Return: a Win32 error; after one, what was there is
 * there.
 */
DWORD svc_shares_keep(const wchar_t *tag, const struct svc_settings *s);

/** svc_shares_forget() - under the lock. Return: ERROR_FILE_NOT_FOUND when nothing is kept; or another error */
DWORD svc_shares_forget(const wchar_t *tag);

/**
 * svc_shares_each() - all tags for which something is kept, by virtiofs.exe or for virtio-win's service
 * @each: @ours: in our key; @mount_point: "" if that is not kept. Returns false to stop.
 */
void svc_shares_each(bool (*each)(void *user, const wchar_t *tag, bool ours,
                                  const wchar_t *mount_point),
                     void *user);

/** svc_shares_letters() - drive letters that are kept for shares, there or not; bit 0 is A: */
uint32_t svc_shares_letters(void);

struct svc_shares_watch;

/** svc_shares_watch_open() - hear of changes from now on. Return: NULL where that cannot be had. One thread. */
struct svc_shares_watch *svc_shares_watch_open(void);
void svc_shares_watch_close(struct svc_shares_watch *w);

/** svc_shares_watch_event() - auto-reset; set at the first change after each svc_shares_watch_arm() */
HANDLE svc_shares_watch_event(struct svc_shares_watch *w);
void svc_shares_watch_arm(struct svc_shares_watch *w);

#endif
