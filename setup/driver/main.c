// SPDX-License-Identifier: BSD-3-Clause
/*
 * main.c - viofs-driver.exe: the driver package in and out
 *
 * Theory of operation
 *
 *   install   The package goes into the driver store first, so that a device which comes later finds it; then the
 *             devices that are there get it. Done again, it changes nothing. A device that works with another
 *             vendor's driver is left alone unless --takeover says otherwise.
 *   remove    Devices that use our package are taken out of the tree, the package out of the store, the
 *             driver's service out of the registry if nobody else can need it; then the buses look again, and
 *             Windows gives the devices what else it has for them.
 *   status    Says what is there.
 *
 *   What counts is what is there afterwards, so each command looks; see package.c.
 *
 * Ownership: none.   Locks: none; one thread.
 */
#include <wchar.h>

#include <windows.h>

#include <setupapi.h>

#include "service/win/text.h"
#include "setup/driver/device.h"
#include "setup/driver/package.h"
#include "setup/helper/helper.h"

enum { FLAG_TAKEOVER = 1, FLAG_QUIET = 2 };

#define PROBLEM_NEEDS_RESTART 14 /* CM_PROB_NEED_RESTART */
#define PROBLEM_UNSIGNED      52 /* CM_PROB_UNSIGNED_DRIVER */

struct scene {
    struct pkg_info package[PKG_MOST];
    struct dev_info device[DEV_MOST];
    unsigned packages, devices;
};

static void look(struct scene *s)
{
    s->packages = pkg_list(s->package);
    s->devices = dev_list(s->device);
}

static const struct pkg_info *package_of(const struct scene *s, const struct dev_info *d)
{
    for (unsigned i = 0; i < s->packages; i++)
        if (_wcsicmp(s->package[i].name, d->inf) == 0)
            return &s->package[i];
    return NULL;
}

static bool uses_ours(const struct scene *s, const struct dev_info *d)
{
    const struct pkg_info *p = package_of(s, d);

    return p && p->ours;
}

/* Return: a package of viofs (or of anybody else), or NULL. */
static const struct pkg_info *find_package(const struct scene *s, bool ours)
{
    for (unsigned i = 0; i < s->packages; i++)
        if (s->package[i].ours == ours)
            return &s->package[i];
    return NULL;
}

static DWORD done(bool reboot)
{
    if (!reboot)
        return ERROR_SUCCESS;
    svc_print(L"Restart Windows to finish this.\r\n");
    return ERROR_SUCCESS_REBOOT_REQUIRED;
}

/* ---- install -------------------------------------------------------------------------------- */

/* Is this INF there, and a package of viofs? @path: room for MAX_PATH, gets its full path. */
static DWORD read_own(const wchar_t *inf, wchar_t *path, struct pkg_info *package)
{
    DWORD error, len = GetFullPathNameW(inf, MAX_PATH, path, NULL);

    if (len == 0 || len >= MAX_PATH)
        return hlp_fail(len ? ERROR_FILENAME_EXCED_RANGE : GetLastError(), inf);
    if (GetFileAttributesW(path) == INVALID_FILE_ATTRIBUTES)
        return hlp_fail(GetLastError(), path);
    error = pkg_read(path, package);
    if (error)
        return hlp_fail(error, path);
    if (package->ours)
        return ERROR_SUCCESS;
    svc_print(L"%ls is not viofs' driver package\r\n", path);
    return ERROR_INVALID_DATA;
}

static DWORD refuse_others(const struct scene *s)
{
    const struct pkg_info *other = find_package(s, false);

    if (!other || find_package(s, true))
        return ERROR_SUCCESS;
    svc_print(
        L"Another driver for virtio-fs devices is installed: %ls, %ls %ls.\r\nNothing was "
        L"changed. Use --takeover to give its devices to viofs; its package stays in the driver "
        L"store.\r\n",
        other->name, other->provider, other->version);
    return ERROR_ALREADY_EXISTS;
}

/* Does every device have our driver now, in this version, and does it work? */
static DWORD check_devices(const struct scene *s, const struct pkg_info *want, bool *reboot)
{
    DWORD error = ERROR_SUCCESS;

    for (unsigned i = 0; i < s->devices; i++) {
        const struct dev_info *d = &s->device[i];
        const struct pkg_info *p = package_of(s, d);

        if (!p || !p->ours || wcscmp(p->version, want->version) != 0) {
            svc_print(L"%ls did not get the driver; it has %ls\r\n", d->id,
                      d->inf[0] ? d->inf : L"none");
            error = ERROR_GEN_FAILURE;
        } else if (d->problem == PROBLEM_NEEDS_RESTART) {
            *reboot = true;
        } else if (d->problem == PROBLEM_UNSIGNED) {
            svc_print(
                L"%ls: Windows does not load the driver, because its signature is not trusted "
                L"(code "
                L"52);\r\nsee \"Install\" in docs/windows.md about test mode and signatures.\r\n",
                d->id);
            error = PKG_NOT_TRUSTED;
        } else if (d->problem) {
            svc_print(L"%ls does not work (Device Manager's code %lu)\r\n", d->id, d->problem);
            error = ERROR_GEN_FAILURE;
        } else {
            svc_print(L"%ls: viofs.sys, %ls\r\n", d->id, p->version);
        }
    }
    return error;
}

/* Was the driver given to an earlier device of the list, and so to all that have its hardware id? */
static bool was_updated(const struct scene *s, unsigned device, const wchar_t *name)
{
    for (unsigned i = 0; i < device; i++)
        if (_wcsicmp(s->device[i].inf, name) != 0 &&
            _wcsicmp(s->device[i].hardware_id, s->device[device].hardware_id) == 0)
            return true;
    return false;
}

/*
 * @name: of the published package. That a device has a package of the same version is not enough: somebody may
 * have built it anew.
 */
static DWORD update_devices(const struct scene *s, const wchar_t *name, const wchar_t *inf,
                            bool *reboot)
{
    DWORD error = ERROR_SUCCESS;

    for (unsigned i = 0; i < s->devices && !error; i++)
        if (_wcsicmp(s->device[i].inf, name) != 0 && !was_updated(s, i, name))
            error = dev_update(s->device[i].hardware_id, inf, reboot);
    return error;
}

/* Other packages of ours that no device uses any more. */
static void withdraw_old(const struct scene *s, const wchar_t *name)
{
    for (unsigned i = 0; i < s->packages; i++) {
        const struct pkg_info *p = &s->package[i];
        bool used = false;

        for (unsigned d = 0; d < s->devices; d++)
            used |= _wcsicmp(s->device[d].inf, p->name) == 0;
        if (p->ours && !used && _wcsicmp(p->name, name) != 0 &&
            pkg_withdraw(p->name) == ERROR_SUCCESS)
            svc_print(L"%ls, %ls, is no longer needed\r\n", p->name, p->version);
    }
}

static DWORD run_install(const wchar_t *inf, unsigned flags)
{
    wchar_t path[MAX_PATH], name[64];
    struct pkg_info package;
    bool reboot = false;
    struct scene s;
    DWORD error;

    SetupSetNonInteractiveMode((flags & FLAG_QUIET) != 0);
    error = read_own(inf, path, &package);
    if (error)
        return error;
    look(&s);
    error = flags & FLAG_TAKEOVER ? ERROR_SUCCESS : refuse_others(&s);
    if (!error)
        error = pkg_publish(path, name);
    if (error)
        return error;
    svc_print(L"The driver package is in the driver store as %ls.\r\n", name);
    look(&s);
    if (s.devices == 0)
        svc_print(L"No virtio-fs device is there; the first one that comes gets the driver.\r\n");
    error = update_devices(&s, name, path, &reboot);
    look(&s);
    if (!error)
        error = check_devices(&s, &package, &reboot);
    if (error)
        return error;
    withdraw_old(&s, name);
    return done(reboot);
}

/* ---- remove --------------------------------------------------------------------------------- */

/* The driver's service is left behind by Windows. It goes unless a device or another package may need it. */
static DWORD remove_service(const struct scene *before, bool had_device)
{
    SC_HANDLE manager, service;
    DWORD error = ERROR_SUCCESS;

    if (dev_uses(VIOFS_DRIVER_SERVICE) || (find_package(before, false) && !had_device))
        return ERROR_SUCCESS;
    manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    service = manager ? OpenServiceW(manager, VIOFS_DRIVER_SERVICE, DELETE | SERVICE_STOP) : NULL;
    if (service) {
        SERVICE_STATUS status;

        ControlService(service, SERVICE_CONTROL_STOP, &status); /* started without a device */
        if (!DeleteService(service) && GetLastError() != ERROR_SERVICE_MARKED_FOR_DELETE)
            error = hlp_fail(GetLastError(), VIOFS_DRIVER_SERVICE);
        CloseServiceHandle(service);
    } else if (GetLastError() != ERROR_SERVICE_DOES_NOT_EXIST) {
        error = hlp_fail(GetLastError(), VIOFS_DRIVER_SERVICE);
    }
    if (manager)
        CloseServiceHandle(manager);
    return error;
}

static DWORD remove_devices(const struct scene *s, bool *had, bool *reboot)
{
    DWORD error = ERROR_SUCCESS;

    for (unsigned i = 0; i < s->devices; i++) {
        DWORD e = ERROR_SUCCESS;

        if (!uses_ours(s, &s->device[i]))
            continue;
        *had = true;
        e = dev_remove(&s->device[i], reboot);
        if (!error)
            error = e;
    }
    return error;
}

static DWORD run_remove(const wchar_t *operand, unsigned flags)
{
    bool reboot = false, had_device = false;
    DWORD error, e;
    struct scene s;

    (void)operand;
    SetupSetNonInteractiveMode((flags & FLAG_QUIET) != 0);
    look(&s);
    if (!find_package(&s, true)) {
        svc_print(L"No driver package of viofs is installed.\r\n");
        return ERROR_SUCCESS;
    }
    error = remove_devices(&s, &had_device, &reboot);
    for (unsigned i = 0; i < s.packages; i++) {
        if (!s.package[i].ours)
            continue;
        e = pkg_withdraw(s.package[i].name);
        if (e == ERROR_SUCCESS)
            svc_print(L"%ls is out of the driver store.\r\n", s.package[i].name);
        if (!error)
            error = e;
    }
    e = remove_service(&s, had_device);
    if (!error)
        error = e;
    dev_rescan();
    return error ? error : done(reboot);
}

/* ---- status --------------------------------------------------------------------------------- */

static DWORD run_status(const wchar_t *operand, unsigned flags)
{
    struct scene s;

    (void)operand;
    (void)flags;
    look(&s);
    for (unsigned i = 0; i < s.packages; i++)
        svc_print(L"package  %ls, %ls %ls%ls\r\n", s.package[i].name, s.package[i].provider,
                  s.package[i].version, s.package[i].ours ? L"" : L" (not viofs')");
    for (unsigned i = 0; i < s.devices; i++) {
        const struct dev_info *d = &s.device[i];

        svc_print(L"device   %ls, %ls", d->id, d->inf[0] ? d->inf : L"no driver");
        if (d->problem)
            svc_print(L", does not work (Device Manager's code %lu)", d->problem);
        svc_print(L"\r\n");
    }
    if (find_package(&s, true))
        return ERROR_SUCCESS;
    if (find_package(&s, false))
        return ERROR_ALREADY_EXISTS;
    svc_print(L"No driver package for virtio-fs devices is installed.\r\n");
    return ERROR_NOT_FOUND;
}

/* ---- */

static const struct hlp_command commands[] = {
    {L"install", L"viofs.inf", true, run_install,
     L"put the package into the driver store, and give it to the devices that are there"},
    {L"remove", NULL, true, run_remove, L"take the package away from devices and store"},
    {L"status", NULL, false, run_status, L"packages and devices of virtio-fs, viofs' and others'"},
    {0},
};

static const struct hlp_flag flags[] = {
    {L"--takeover", FLAG_TAKEOVER, L"install: also where another vendor's driver is installed"},
    {L"--quiet", FLAG_QUIET, L"no questions of Windows; what it would ask about fails"},
    {0},
};

static const struct hlp_program program = {
    L"viofs-driver.exe", commands, flags,
    L"   0  done; status: viofs' package is installed\r\n"
    L"3010  done, after a restart of Windows\r\n"
    L"   2  there is no such INF\r\n"
    L"   5  no administrator\r\n"
    L"  13  the INF is not viofs'\r\n"
    L"  31  Windows said yes, but the package or a device is not as it should be\r\n"
    L"  87  the command line is wrong\r\n"
    L" 183  another vendor's package is installed, and viofs' is not\r\n"
    L" 577  Windows does not trust the signature\r\n"
    L"1168  status: no package is installed\r\n"
    L"others are Windows' own reasons\r\n"};

int wmain(int argc, wchar_t **argv)
{
    return hlp_main(&program, argc, argv);
}
