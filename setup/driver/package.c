// SPDX-License-Identifier: BSD-3-Clause
/*
 * package.c - driver packages for virtio-fs devices
 *
 * Theory of operation
 *
 *   Windows publishes a package's INF as %SystemRoot%\INF\oemN.inf, with a number of its own. Nothing that we
 *   remember of N can be trusted: packages come and go by Device Manager and pnputil as well. So published
 *   INFs are read again each time, and one is ours if its provider, its catalog and a hardware id say so.
 *
 *   A call that succeeded is not believed: after each one it is looked whether the file is there, or gone.
 *
 * Ownership: none; an INF is open only while it is read.   Locks: none.
 *
 * Facts: SetupCopyOEMInf, SetupUninstallOEMInf and "INF Manufacturer Section" in Microsoft's documentation.
 */
#include "setup/driver/package.h"

#include <wchar.h>

#include <setupapi.h>

#include "service/win/text.h"
#include "setup/helper/helper.h"

#define PROVIDER L"viofs"
#define CATALOG  L"viofs.cat"

/* What Windows answers when it does not trust a package. */
static const DWORD distrust[] = {
    ERROR_NO_CATALOG_FOR_OEM_INF,
    ERROR_NO_AUTHENTICODE_CATALOG,
    ERROR_AUTHENTICODE_DISALLOWED,
    ERROR_AUTHENTICODE_TRUSTED_PUBLISHER,
    ERROR_AUTHENTICODE_TRUST_NOT_ESTABLISHED,
    ERROR_AUTHENTICODE_PUBLISHER_NOT_TRUSTED,
    ERROR_SIGNATURE_OSATTRIBUTE_MISMATCH,
    0xE000024B, /* ERROR_FILE_HASH_NOT_IN_CATALOG, which mingw's setupapi.h lacks */
    (DWORD)TRUST_E_NOSIGNATURE,
    (DWORD)CERT_E_EXPIRED,
    (DWORD)CERT_E_UNTRUSTEDROOT,
    (DWORD)CERT_E_CHAINING,
    (DWORD)CERT_E_WRONG_USAGE,
    (DWORD)TRUST_E_EXPLICIT_DISTRUST,
    (DWORD)TRUST_E_BAD_DIGEST,
};

bool pkg_is_hardware_id(const wchar_t *id)
{
    size_t len = wcslen(PKG_HARDWARE_ID);

    return _wcsnicmp(id, PKG_HARDWARE_ID, len) == 0 && (id[len] == 0 || id[len] == L'&');
}

/* ---- reading an INF ------------------------------------------------------------------------- */

static void read_version(HINF inf, const wchar_t *key, wchar_t *to, DWORD units)
{
    INFCONTEXT line;

    to[0] = 0;
    if (SetupFindFirstLineW(inf, L"Version", key, &line) &&
        !SetupGetLineTextW(&line, NULL, NULL, NULL, to, units, NULL))
        to[0] = 0;
}

/* description = install-section, id, id ... */
static bool models_have_id(HINF inf, const wchar_t *section)
{
    INFCONTEXT line;
    wchar_t id[256];

    if (!SetupFindFirstLineW(inf, section, NULL, &line))
        return false;
    do {
        for (DWORD field = 2; field <= SetupGetFieldCount(&line); field++)
            if (SetupGetStringFieldW(&line, field, id, ARRAYSIZE(id), NULL) &&
                pkg_is_hardware_id(id))
                return true;
    } while (SetupFindNextLine(&line, &line));
    return false;
}

/* manufacturer = models-section, decoration, decoration ... */
static bool inf_has_id(HINF inf)
{
    INFCONTEXT line;
    wchar_t section[256], decoration[128], full[400];

    if (!SetupFindFirstLineW(inf, L"Manufacturer", NULL, &line))
        return false;
    do {
        if (!SetupGetStringFieldW(&line, 1, section, ARRAYSIZE(section), NULL))
            continue;
        if (models_have_id(inf, section))
            return true;
        for (DWORD field = 2; field <= SetupGetFieldCount(&line); field++) {
            if (!SetupGetStringFieldW(&line, field, decoration, ARRAYSIZE(decoration), NULL))
                continue;
            svc_format(full, ARRAYSIZE(full), L"%ls.%ls", section, decoration);
            if (models_have_id(inf, full))
                return true;
        }
    } while (SetupFindNextLine(&line, &line));
    return false;
}

DWORD pkg_read(const wchar_t *path, struct pkg_info *out)
{
    HINF inf = SetupOpenInfFileW(path, NULL, INF_STYLE_WIN4, NULL);
    wchar_t catalog[64];

    *out = (struct pkg_info){0};
    if (inf == INVALID_HANDLE_VALUE)
        return GetLastError();
    read_version(inf, L"Provider", out->provider, ARRAYSIZE(out->provider));
    read_version(inf, L"DriverVer", out->version, ARRAYSIZE(out->version));
    read_version(inf, L"CatalogFile", catalog, ARRAYSIZE(catalog));
    out->for_virtio_fs = inf_has_id(inf);
    out->ours = out->for_virtio_fs && _wcsicmp(out->provider, PROVIDER) == 0 &&
                _wcsicmp(catalog, CATALOG) == 0;
    SetupCloseInfFile(inf);
    return ERROR_SUCCESS;
}

/* ---- the store ------------------------------------------------------------------------------ */

static void published_path(const wchar_t *name, wchar_t *path, size_t units)
{
    wchar_t windows[MAX_PATH];

    if (!GetWindowsDirectoryW(windows, ARRAYSIZE(windows)))
        windows[0] = 0;
    svc_format(path, units, L"%ls\\INF\\%ls", windows, name);
}

static bool is_published(const wchar_t *name)
{
    wchar_t path[MAX_PATH + 80];

    published_path(name, path, ARRAYSIZE(path));
    return GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES;
}

/* Add what matches a pattern to the list. Return: how many are in it now. */
static unsigned list_matching(const wchar_t *pattern, struct pkg_info *out, unsigned count)
{
    wchar_t path[MAX_PATH + 80];
    WIN32_FIND_DATAW found;
    HANDLE find;

    published_path(pattern, path, ARRAYSIZE(path));
    find = FindFirstFileW(path, &found);
    if (find == INVALID_HANDLE_VALUE)
        return count;
    do {
        if (wcslen(found.cFileName) >= ARRAYSIZE(out->name))
            continue;
        published_path(found.cFileName, path, ARRAYSIZE(path));
        if (count == PKG_MOST)
            break;
        if (pkg_read(path, &out[count]) == ERROR_SUCCESS && out[count].for_virtio_fs)
            wcscpy(out[count++].name, found.cFileName);
    } while (FindNextFileW(find, &found));
    FindClose(find);
    return count;
}

unsigned pkg_list(struct pkg_info *out)
{
    /* Wine publishes an INF under its own name; Windows has none of its own that is called so. */
    return list_matching(L"viofs.inf", out, list_matching(L"oem*.inf", out, 0));
}

static DWORD not_trusted(DWORD error)
{
    for (size_t i = 0; i < ARRAYSIZE(distrust); i++) {
        if (error != distrust[i])
            continue;
        svc_print(
            L"Windows does not trust the driver package (0x%08lX). It needs viofs.cat, signed by "
            L"somebody whom this machine trusts:\r\nsee \"Install\" in docs/windows.md about "
            L"test mode and signatures.\r\n",
            error);
        return PKG_NOT_TRUSTED;
    }
    return hlp_fail(error, L"the driver package cannot be put into the driver store");
}

DWORD pkg_publish(const wchar_t *path, wchar_t *name)
{
    wchar_t published[MAX_PATH], *last = NULL;

    if (!SetupCopyOEMInfW(path, NULL, SPOST_PATH, 0, published, ARRAYSIZE(published), NULL, &last))
        return not_trusted(GetLastError());
    if (!last || wcslen(last) >= 64 || !is_published(last)) {
        svc_print(
            L"Windows said that it took the driver package, but there is no published INF\r\n");
        return ERROR_GEN_FAILURE;
    }
    wcscpy(name, last);
    return ERROR_SUCCESS;
}

DWORD pkg_withdraw(const wchar_t *name)
{
    if (!SetupUninstallOEMInfW(name, SUOI_FORCEDELETE, NULL) &&
        GetLastError() != ERROR_FILE_NOT_FOUND)
        return hlp_fail(GetLastError(), L"the driver package cannot be taken out of the store");
    if (!is_published(name))
        return ERROR_SUCCESS;
    svc_print(L"Windows said that it removed %ls, but it is still there\r\n", name);
    return ERROR_GEN_FAILURE;
}
