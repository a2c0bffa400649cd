// SPDX-License-Identifier: BSD-3-Clause
/*
 * device.h - virtio-fs devices of this machine, and which driver they have
 */
#ifndef VIOFS_SETUP_DEVICE_H
#define VIOFS_SETUP_DEVICE_H

#include <stdbool.h>

#include <windows.h>

struct dev_info {
    wchar_t id[200];          /* device instance id */
    wchar_t hardware_id[200]; /* the first, most special one */
    wchar_t inf[64];          /* published INF of its driver: "oem3.inf"; empty: no driver */
    wchar_t service[64];
    DWORD problem; /* Device Manager's code; 0: none */
};

#define DEV_MOST 32

/** dev_list() - devices that are there. @out has room for DEV_MOST. Return: how many. */
unsigned dev_list(struct dev_info *out);

/** dev_uses() - is a device there whose driver service is @service? */
bool dev_uses(const wchar_t *service);

/**
 * dev_update() - give devices the driver of a package, even if Windows thinks that what they have is as good
 * @hardware_id: of the devices; all that have it get the driver
 * @inf:         full path
 * @reboot:      set when Windows wants a restart
 *
 * Return: ERROR_SUCCESS, also when there is nothing to change; else Windows' reason, said.
 */
DWORD dev_update(const wchar_t *hardware_id, const wchar_t *inf, bool *reboot);

/**
 * dev_remove() - take a device out of the device tree, so that nothing uses its driver
 *
 * A bus finds its device again with dev_rescan(); one that somebody put there by hand is gone.
 */
DWORD dev_remove(const struct dev_info *device, bool *reboot);

/** dev_rescan() - have the buses look for devices again, as Device Manager's "Scan for hardware changes" */
void dev_rescan(void);

#endif
