// SPDX-License-Identifier: BSD-3-Clause
/*
 * devices.c - virtio-fs devices that are there
 *
 * Theory of operation
 *
 *   A driver (ours or virtio-win's) announces each device by an interface. An interface's path contains the
 *   place of the device in the machine, so sorting by path gives the same order in each boot, and with it
 *   the same drive letters.
 *
 *   SetupAPI and not the newer CM_Get_Device_Interface_List(), because Wine, where this runs in the tests,
 *   has only the former.
 *
 * Ownership: the list owns its paths.   Locks: none.
 */
#include "service/win/devices.h"

#include <stdlib.h>
#include <wchar.h>

#include <setupapi.h>

#include "abi/viofs_ioctl.h"

const GUID svc_interface_guid = VIOFS_INTERFACE_GUID;

#define MAX_PATH_BYTES 4096

/* The path of one interface, to be freed; NULL if it is gone, too long, or memory is short. */
static wchar_t *interface_path(HDEVINFO devices, SP_DEVICE_INTERFACE_DATA *interface)
{
    SP_DEVICE_INTERFACE_DETAIL_DATA_W *detail = malloc(MAX_PATH_BYTES);
    wchar_t *path = NULL;

    if (detail) {
        detail->cbSize = sizeof(*detail);
        if (SetupDiGetDeviceInterfaceDetailW(devices, interface, detail, MAX_PATH_BYTES, NULL,
                                             NULL) &&
            wcslen(detail->DevicePath) <= SVC_DEVICE_UNITS)
            path = _wcsdup(detail->DevicePath);
    }
    free(detail);
    return path;
}

static int by_name(const void *a, const void *b)
{
    return _wcsicmp(*(wchar_t *const *)a, *(wchar_t *const *)b);
}

DWORD svc_devices_list(struct svc_device_list *out)
{
    SP_DEVICE_INTERFACE_DATA interface = {.cbSize = sizeof(interface)};
    HDEVINFO devices = SetupDiGetClassDevsW(&svc_interface_guid, NULL, NULL,
                                            DIGCF_PRESENT | DIGCF_DEVICEINTERFACE);

    *out = (struct svc_device_list){0};
    if (devices == INVALID_HANDLE_VALUE)
        return GetLastError();
    for (DWORD i = 0;
         out->count < SVC_MAX_DEVICES &&
         SetupDiEnumDeviceInterfaces(devices, NULL, &svc_interface_guid, i, &interface);
         i++) {
        wchar_t *path = interface_path(devices, &interface);

        if (path)
            out->path[out->count++] = path;
    }
    SetupDiDestroyDeviceInfoList(devices);
    qsort(out->path, out->count, sizeof(out->path[0]), by_name);
    return ERROR_SUCCESS;
}

void svc_devices_free(struct svc_device_list *list)
{
    while (list->count > 0)
        free(list->path[--list->count]);
}
