// SPDX-License-Identifier: BSD-3-Clause
/*
 * watch.h - devices that come and go
 */
#ifndef VIOFS_SERVICE_WATCH_H
#define VIOFS_SERVICE_WATCH_H

#include <stdbool.h>

#include <windows.h>

struct svc_watch;
struct svc_watch_handle;

/**
 * svc_watch_open() - have changed() called when a virtio-fs device came or went
 * @changed: called on a thread of Windows; must not wait
 *
 * Return: NULL if it cannot be had; devices that come later are not seen then.
 */
struct svc_watch *svc_watch_open(void (*changed)(void *user), void *user);

/** svc_watch_close() - not from within changed(). NULL is fine. */
void svc_watch_close(struct svc_watch *w);

/* What Windows wants of somebody who has a device open. */
struct svc_watch_handle_ops {
    /** leave() - close the handle, as the device is to be removed. Return: false to refuse. May wait. */
    bool (*leave)(void *user);
    /** stayed() - it was not removed after all */
    void (*stayed)(void *user);
    /** gone() - it was pulled; the handle should be closed soon. Must not wait. */
    void (*gone)(void *user);
};

/**
 * svc_watch_handle() - be asked before the device of an open handle is removed
 *
 * Goes on when the handle was closed, until svc_unwatch_handle(). Return: NULL if it cannot be had.
 */
struct svc_watch_handle *svc_watch_handle(HANDLE device, const struct svc_watch_handle_ops *ops,
                                          void *user);

/** svc_unwatch_handle() - waits for a call of ops that is under way; not from within one. NULL is fine. */
void svc_unwatch_handle(struct svc_watch_handle *h);

#endif
