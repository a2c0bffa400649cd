// SPDX-License-Identifier: BSD-3-Clause
/*
 * device.c - virtio-fs devices of this machine, and which driver they have
 *
 * Theory of operation
 *
 *   A device is one of ours if one of its hardware ids names virtio-fs, whatever bus it is on. Which package its
 *   driver is from stands in its driver key, where Windows writes the published INF's name.
 *
 * Ownership: device sets live as long as the function that made them.   Locks: none.
 */
#include "setup/driver/device.h"

#include <wchar.h>

#include <cfgmgr32.h>
#include <newdev.h>
#include <setupapi.h>

#include "service/win/text.h"
#include "setup/driver/package.h"
#include "setup/helper/helper.h"

/* A REG_SZ or REG_MULTI_SZ property; empty if the device has none. */
static void read_property(HDEVINFO set, SP_DEVINFO_DATA *device, DWORD property, wchar_t *to,
                          DWORD units)
{
    memset(to, 0, units * sizeof(*to));
    if (!SetupDiGetDeviceRegistryPropertyW(set, device, property, NULL, (BYTE *)to,
                                           (units - 2) * (DWORD)sizeof(*to), NULL))
        to[0] = 0;
}

static bool is_virtio_fs(HDEVINFO set, SP_DEVINFO_DATA *device)
{
    wchar_t ids[1024];

    read_property(set, device, SPDRP_HARDWAREID, ids, ARRAYSIZE(ids));
    for (const wchar_t *id = ids; *id; id += wcslen(id) + 1)
        if (pkg_is_hardware_id(id))
            return true;
    return false;
}

static void read_inf_name(HDEVINFO set, SP_DEVINFO_DATA *device, wchar_t *to, DWORD units)
{
    HKEY key = SetupDiOpenDevRegKey(set, device, DICS_FLAG_GLOBAL, 0, DIREG_DRV, KEY_QUERY_VALUE);
    DWORD size = units * (DWORD)sizeof(*to);

    to[0] = 0;
    if (key == INVALID_HANDLE_VALUE)
        return;
    if (RegGetValueW(key, NULL, L"InfPath", RRF_RT_REG_SZ, NULL, to, &size) != ERROR_SUCCESS)
        to[0] = 0;
    RegCloseKey(key);
}

static void describe(HDEVINFO set, SP_DEVINFO_DATA *device, struct dev_info *out)
{
    ULONG status = 0, problem = 0;
    wchar_t ids[1024];

    *out = (struct dev_info){0};
    if (!SetupDiGetDeviceInstanceIdW(set, device, out->id, ARRAYSIZE(out->id), NULL))
        out->id[0] = 0;
    read_property(set, device, SPDRP_HARDWAREID, ids, ARRAYSIZE(ids));
    svc_format(out->hardware_id, ARRAYSIZE(out->hardware_id), L"%ls", ids);
    read_property(set, device, SPDRP_SERVICE, out->service, ARRAYSIZE(out->service));
    read_inf_name(set, device, out->inf, ARRAYSIZE(out->inf));
    if (CM_Get_DevNode_Status(&status, &problem, device->DevInst, 0) == CR_SUCCESS &&
        (status & DN_HAS_PROBLEM))
        out->problem = problem;
}

static HDEVINFO all_devices(void)
{
    return SetupDiGetClassDevsW(NULL, NULL, NULL, DIGCF_ALLCLASSES | DIGCF_PRESENT);
}

unsigned dev_list(struct dev_info *out)
{
    SP_DEVINFO_DATA device = {.cbSize = sizeof(device)};
    HDEVINFO set = all_devices();
    unsigned count = 0;

    if (set == INVALID_HANDLE_VALUE)
        return 0;
    for (DWORD i = 0; count < DEV_MOST && SetupDiEnumDeviceInfo(set, i, &device); i++)
        if (is_virtio_fs(set, &device))
            describe(set, &device, &out[count++]);
    SetupDiDestroyDeviceInfoList(set);
    return count;
}

bool dev_uses(const wchar_t *service)
{
    struct dev_info list[DEV_MOST];
    unsigned count = dev_list(list);

    for (unsigned i = 0; i < count; i++)
        if (_wcsicmp(list[i].service, service) == 0)
            return true;
    return false;
}

DWORD dev_update(const wchar_t *hardware_id, const wchar_t *inf, bool *reboot)
{
    BOOL wants = FALSE;
    DWORD error;

    if (UpdateDriverForPlugAndPlayDevicesW(NULL, hardware_id, inf, INSTALLFLAG_FORCE, &wants)) {
        *reboot |= wants;
        return ERROR_SUCCESS;
    }
    error = GetLastError();
    if (error == ERROR_NO_MORE_ITEMS) /* what they have is as good */
        return ERROR_SUCCESS;
    return hlp_fail(error, L"the devices cannot be given the driver");
}

static DWORD remove_from(HDEVINFO set, SP_DEVINFO_DATA *device, bool *reboot)
{
    SP_DEVINSTALL_PARAMS_W params = {.cbSize = sizeof(params)};

    if (!SetupDiCallClassInstaller(DIF_REMOVE, set, device))
        return GetLastError();
    if (SetupDiGetDeviceInstallParamsW(set, device, &params) &&
        (params.Flags & (DI_NEEDREBOOT | DI_NEEDRESTART)))
        *reboot = true;
    return ERROR_SUCCESS;
}

DWORD dev_remove(const struct dev_info *device, bool *reboot)
{
    SP_DEVINFO_DATA data = {.cbSize = sizeof(data)};
    HDEVINFO set = SetupDiCreateDeviceInfoList(NULL, NULL);
    DWORD error;

    if (set == INVALID_HANDLE_VALUE)
        return hlp_fail(GetLastError(), L"the device tree cannot be read");
    if (!SetupDiOpenDeviceInfoW(set, device->id, NULL, 0, &data))
        error = GetLastError();
    else
        error = remove_from(set, &data, reboot);
    SetupDiDestroyDeviceInfoList(set);
    return error ? hlp_fail(error, device->id) : ERROR_SUCCESS;
}

void dev_rescan(void)
{
    DEVINST root;

    /* Nothing depends on it: a device that is not found now is found at the next start. */
    if (CM_Locate_DevNodeW(&root, NULL, CM_LOCATE_DEVNODE_NORMAL) == CR_SUCCESS)
        CM_Reenumerate_DevNode(root, 0);
}
