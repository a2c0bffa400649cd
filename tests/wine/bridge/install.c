// SPDX-License-Identifier: BSD-3-Clause
/*
 * install.c - put slots into a Wine prefix: install INF-FILE N
 *
 * Creates root\viofs-bridge devices and installs the driver for them, as a device manager would. Wine has no pnputil.
 */
#include <windows.h>
#include <newdev.h>
#include <setupapi.h>
#include <stdio.h>
#include <stdlib.h>

static const GUID system_class = {
    0x4d36e97d, 0xe325, 0x11ce, {0xbf, 0xc1, 0x08, 0x00, 0x2b, 0xe1, 0x03, 0x18}};
static const WCHAR hardware_id[] = L"root\\viofs-bridge\0"; /* REG_MULTI_SZ */

static int fail(const char *what)
{
    fprintf(stderr, "install: %s: error %lu\n", what, GetLastError());
    return 1;
}

static int create_slot(unsigned number)
{
    HDEVINFO set = SetupDiCreateDeviceInfoList(NULL, NULL);
    SP_DEVINFO_DATA d = {.cbSize = sizeof(d)};
    WCHAR id[64];
    int err = 0;

    swprintf(id, ARRAYSIZE(id), L"root\\viofs-bridge\\%u", number);
    if (!SetupDiCreateDeviceInfoW(set, id, &system_class, NULL, NULL, 0, &d))
        err = fail("create");
    else if (!SetupDiSetDeviceRegistryPropertyW(set, &d, SPDRP_HARDWAREID,
                                                (const BYTE *)hardware_id, sizeof(hardware_id)))
        err = fail("hardware id");
    else if (!SetupDiCallClassInstaller(DIF_REGISTERDEVICE, set, &d))
        err = fail("register");
    SetupDiDestroyDeviceInfoList(set);
    return err;
}

int wmain(int argc, wchar_t **argv)
{
    WCHAR inf[MAX_PATH];
    BOOL reboot = FALSE;

    if (argc != 3 || !GetFullPathNameW(argv[1], ARRAYSIZE(inf), inf, NULL)) {
        fprintf(stderr, "usage: install INF-FILE SLOTS\n");
        return 2;
    }
    for (unsigned i = 0; i < (unsigned)_wtoi(argv[2]); i++)
        if (create_slot(i))
            return 1;
    if (!UpdateDriverForPlugAndPlayDevicesW(NULL, L"root\\viofs-bridge", inf, INSTALLFLAG_FORCE,
                                            &reboot))
        return fail("update driver");
    return 0;
}
