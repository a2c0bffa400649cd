// SPDX-License-Identifier: BSD-3-Clause
/*
 * check.c - `virtiofs.exe check`: is everything there that mounting needs?
 *
 * Theory of operation
 *
 *   One line for each thing that must be there, in the order in which it would be missed: WinFsp, the
 *   driver, devices, the service. What is not as it should be is followed by what to do about it. The exit
 *   code is that of the first problem, the one that mounting would fail with.
 *
 *   Nothing is changed, and nothing is sent to a host.
 *
 * Ownership: everything is this command's.   Locks: none.
 */
#include "service/win/process.h"

#include <wchar.h>

#include <cfgmgr32.h>
#include <setupapi.h>

#include "service/win/text.h"
#include "service/win/transport.h"

#define DRIVER_SERVICE    L"VirtioFsDrv"
#define SERVICE           L"VirtioFsSvc"
#define HARDWARE_ID       L"PCI\\VEN_1AF4&DEV_105A" /* virtio 1.2, 4.1.2: 0x1040 and device type 26 */
#define PROBLEM_NO_DRIVER 28                        /* CM_PROB_FAILED_INSTALL */

struct result {
    DWORD first_problem; /* exit code */
};

static void good(const wchar_t *format, ...)
{
    wchar_t text[1024];
    va_list args;

    va_start(args, format);
    svc_format_list(text, ARRAYSIZE(text), format, args);
    va_end(args);
    svc_print(L"ok       %ls\r\n", text);
}

static void problem(struct result *r, DWORD code, const wchar_t *what, const wchar_t *remedy)
{
    svc_print(L"PROBLEM  %ls\r\n", what);
    svc_print(L"         -> %ls\r\n", remedy);
    if (r->first_problem == ERROR_SUCCESS)
        r->first_problem = code;
}

static void check_winfsp(struct result *r)
{
    struct svc_winfsp winfsp;
    struct svc_error reason;
    DWORD error = svc_winfsp_load(&winfsp, &reason);

    if (error)
        problem(r, error, L"WinFsp cannot be used", reason.text);
    else
        good(L"WinFsp %u.%u: %ls", winfsp.version >> 16, winfsp.version & 0xFFFF, winfsp.path);
}

/* ---- services ------------------------------------------------------------------------------- */

enum service_state {
    SERVICE_IS_ABSENT,
    SERVICE_IS_STOPPED,
    SERVICE_IS_RUNNING,
    SERVICE_IS_UNKNOWN
};

static enum service_state state_of(const wchar_t *name, DWORD *exit_code)
{
    enum service_state state = SERVICE_IS_UNKNOWN;
    SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    SC_HANDLE service = manager ? OpenServiceW(manager, name, SERVICE_QUERY_STATUS) : NULL;
    SERVICE_STATUS status;

    *exit_code = NO_ERROR;
    if (!service) {
        if (manager && GetLastError() == ERROR_SERVICE_DOES_NOT_EXIST)
            state = SERVICE_IS_ABSENT;
    } else {
        if (QueryServiceStatus(service, &status)) {
            state =
                status.dwCurrentState == SERVICE_STOPPED ? SERVICE_IS_STOPPED : SERVICE_IS_RUNNING;
            *exit_code = status.dwWin32ExitCode;
        }
        CloseServiceHandle(service);
    }
    if (manager)
        CloseServiceHandle(manager);
    return state;
}

static void check_service(struct result *r)
{
    wchar_t text[256], what[512];
    DWORD error;

    switch (state_of(SERVICE, &error)) {
    case SERVICE_IS_RUNNING:
        good(L"the service " SERVICE L" is running");
        return;
    case SERVICE_IS_UNKNOWN:
        good(L"the service " SERVICE L" cannot be asked by this user");
        return;
    case SERVICE_IS_ABSENT:
        problem(r, ERROR_SERVICE_DOES_NOT_EXIST, L"the service " SERVICE L" is not registered",
                L"sc create " SERVICE L" binPath=\"<path>\\virtiofs.exe\" start=auto "
                L"depend=" DRIVER_SERVICE);
        return;
    case SERVICE_IS_STOPPED:
        svc_error_text(error, text);
        svc_format(what, ARRAYSIZE(what), L"the service " SERVICE L" is not running%ls%ls%ls",
                   error && error != ERROR_SERVICE_NEVER_STARTED ? L" (it ended with: " : L"",
                   error && error != ERROR_SERVICE_NEVER_STARTED ? text : L"",
                   error && error != ERROR_SERVICE_NEVER_STARTED ? L")" : L"");
        problem(r, ERROR_SERVICE_NOT_ACTIVE, what,
                L"sc start " SERVICE L", unless WinFsp.Launcher is to run the shares");
        return;
    }
}

static void check_driver(struct result *r)
{
    DWORD error;

    switch (state_of(DRIVER_SERVICE, &error)) {
    case SERVICE_IS_RUNNING:
        good(L"the driver " DRIVER_SERVICE L" is running");
        break;
    case SERVICE_IS_STOPPED:
        good(L"the driver " DRIVER_SERVICE L" is installed; it starts with its first device");
        break;
    case SERVICE_IS_UNKNOWN:
        good(L"the driver " DRIVER_SERVICE L" cannot be asked by this user");
        break;
    case SERVICE_IS_ABSENT:
        problem(r, ERROR_SERVICE_DOES_NOT_EXIST, L"the driver " DRIVER_SERVICE L" is not installed",
                L"pnputil /add-driver viofs.inf /install");
        break;
    }
}

/* ---- devices -------------------------------------------------------------------------------- */

static bool is_virtio_fs(HDEVINFO devices, SP_DEVINFO_DATA *device)
{
    wchar_t ids[1024];

    if (!SetupDiGetDeviceRegistryPropertyW(devices, device, SPDRP_HARDWAREID, NULL, (BYTE *)ids,
                                           sizeof(ids) - 2 * sizeof(wchar_t), NULL))
        return false;
    ids[ARRAYSIZE(ids) - 2] = ids[ARRAYSIZE(ids) - 1] = 0;
    for (const wchar_t *id = ids; *id; id += wcslen(id) + 1)
        if (_wcsnicmp(id, HARDWARE_ID, wcslen(HARDWARE_ID)) == 0)
            return true;
    return false;
}

static void check_hardware_one(struct result *r, HDEVINFO devices, SP_DEVINFO_DATA *device)
{
    ULONG status = 0, number = 0;
    wchar_t id[256] = L"?", what[512];

    SetupDiGetDeviceInstanceIdW(devices, device, id, ARRAYSIZE(id), NULL);
    if (CM_Get_DevNode_Status(&status, &number, device->DevInst, 0) != CR_SUCCESS ||
        !(status & DN_HAS_PROBLEM)) {
        good(L"device %ls", id);
        return;
    }
    svc_format(what, ARRAYSIZE(what), L"device %ls does not work (Device Manager's code %lu)", id,
               number);
    problem(r, ERROR_DEVICE_NOT_AVAILABLE, what,
            number == PROBLEM_NO_DRIVER
                ? L"it has no driver: pnputil /add-driver viofs.inf /install"
                : L"Device Manager says more about this code; the System log may, too");
}

/* PCI functions, with or without a driver. Return: how many. */
static unsigned check_hardware(struct result *r)
{
    HDEVINFO devices = SetupDiGetClassDevsW(NULL, L"PCI", NULL, DIGCF_PRESENT | DIGCF_ALLCLASSES);
    SP_DEVINFO_DATA device = {.cbSize = sizeof(device)};
    unsigned count = 0;

    if (devices == INVALID_HANDLE_VALUE)
        return 0;
    for (DWORD i = 0; SetupDiEnumDeviceInfo(devices, i, &device); i++) {
        if (!is_virtio_fs(devices, &device))
            continue;
        count++;
        check_hardware_one(r, devices, &device);
    }
    SetupDiDestroyDeviceInfoList(devices);
    return count;
}

static void check_share(struct result *r, const wchar_t *path)
{
    struct svc_device_facts facts;
    struct dev_io *d;
    wchar_t what[512];
    DWORD error = dev_io_open(&d, path, 1);
    uint32_t status;

    if (error == ERROR_ACCESS_DENIED) {
        good(L"a share is offered; its tag can be seen by administrators only");
        return;
    }
    status = error ? 0 : svc_device_ask(d, &facts);
    if (error || status) {
        svc_format(what, ARRAYSIZE(what), L"the driver does not answer for %ls", path);
        problem(r, error ? error : svc_win32_error(status), what,
                L"disable and enable the device in Device Manager; the System log may say more");
    } else if (facts.stalled) {
        svc_format(what, ARRAYSIZE(what), L"share '%ls': the host does not answer", facts.tag);
        problem(r, ERROR_TIMEOUT, what, L"look for virtiofsd on the host");
    } else {
        good(L"share '%ls' (%ls)%ls", facts.tag,
             facts.ours ? L"viofs.sys" : L"virtio-win's driver: slower, one request at a time",
             facts.owned ? L", mounted" : L"");
    }
    if (!error)
        dev_io_close(d);
}

static void check_devices(struct result *r)
{
    unsigned hardware = check_hardware(r);
    struct svc_device_list list;

    if (svc_devices_list(&list) != ERROR_SUCCESS)
        return;
    for (unsigned i = 0; i < list.count; i++)
        check_share(r, list.path[i]);
    if (list.count == 0 && hardware == 0)
        problem(r, ERROR_DEV_NOT_EXIST, L"this machine has no virtio-fs device",
                L"give it one on the host: QEMU's -device vhost-user-fs-pci, or libvirt's "
                L"<filesystem> with <driver type='virtiofs'/>");
    else if (list.count == 0)
        problem(r, ERROR_DEV_NOT_EXIST, L"no driver offers a share",
                L"install the driver: pnputil /add-driver viofs.inf /install");
    svc_devices_free(&list);
}

DWORD svc_check_run(void)
{
    struct result r = {ERROR_SUCCESS};

    svc_print(L"virtiofs.exe " VIOFS_VERSION L"\r\n\r\n");
    check_winfsp(&r);
    check_driver(&r);
    check_devices(&r);
    check_service(&r);
    svc_print(r.first_problem ? L"\r\nSolve the first problem first.\r\n"
                              : L"\r\nEverything is there.\r\n");
    return r.first_problem;
}
