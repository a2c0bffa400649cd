// SPDX-License-Identifier: BSD-3-Clause
/*
 * devices.h - virtio-fs devices that are there
 */
#ifndef VIOFS_SERVICE_DEVICES_H
#define VIOFS_SERVICE_DEVICES_H

#include <windows.h>

#define SVC_MAX_DEVICES                                                                            \
    64 /* a machine has 32 slots a bus; a host that plugs more is not followed */
#define SVC_DEVICE_UNITS 299 /* of an interface's path; real ones have about 120 */

extern const GUID svc_interface_guid;

struct svc_device_list {
    unsigned count;
    wchar_t *path[SVC_MAX_DEVICES]; /* of the device interface; in the order of their names */
};

/** svc_devices_list() - interfaces that are there now. Return: ERROR_SUCCESS or a Win32 error. */
DWORD svc_devices_list(struct svc_device_list *out);
void svc_devices_free(struct svc_device_list *list);

#endif
