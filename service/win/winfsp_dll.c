// SPDX-License-Identifier: BSD-3-Clause
/*
 * winfsp_dll.c - finding and loading WinFsp
 *
 * Theory of operation
 *
 *   WinFsp's installer is a 32-bit program and leaves the directory in HKLM\SOFTWARE\WOW6432Node\WinFsp,
 *   which is HKLM\SOFTWARE\WinFsp in the registry's 32-bit view. The DLL is loaded from there by its full
 *   path and by nothing else: a service that runs as LocalSystem must not find a DLL by search order.
 *
 * Ownership: the DLL is never unloaded.   Locks: none.
 *
 * WinFsp - Windows File System Proxy, Copyright (C) Bill Zissimopoulos, https://github.com/winfsp/winfsp
 */
#include "service/win/winfsp_dll.h"

#include "service/win/text.h"

static const struct {
    const char *name;
    size_t offset;
} exports[] = {
#define X(member, export, result, parameters) {#export, offsetof(struct winfsp_api, member)},
    WINFSP_API_FUNCTIONS(X)
#undef X
};

static bool find_dll(wchar_t *path, size_t units)
{
    wchar_t dir[MAX_PATH - 32];
    DWORD size = sizeof(dir);
    LSTATUS error;
    HKEY key;
    size_t len;

    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, L"SOFTWARE\\WinFsp", 0, KEY_QUERY_VALUE | KEY_WOW64_32KEY,
                      &key) != ERROR_SUCCESS)
        return false;
    error = RegGetValueW(key, NULL, L"InstallDir", RRF_RT_REG_SZ, NULL, dir, &size);
    RegCloseKey(key);
    if (error != ERROR_SUCCESS || svc_mount_kind(dir) != SVC_MOUNT_DIRECTORY)
        return false; /* a relative path would be searched for */
    len = wcslen(dir);
    svc_format(path, units, L"%ls%lsbin\\winfsp-x64.dll", dir, dir[len - 1] == L'\\' ? L"" : L"\\");
    return true;
}

/* Return: the name of what is missing, or NULL. */
static const char *resolve(struct svc_winfsp *w)
{
    for (size_t i = 0; i < ARRAYSIZE(exports); i++) {
        FARPROC f = GetProcAddress(w->module, exports[i].name);

        if (!f)
            return exports[i].name;
        memcpy((char *)&w->api + exports[i].offset, &f, sizeof(f));
    }
    return NULL;
}

DWORD svc_winfsp_load(struct svc_winfsp *w, struct svc_error *error)
{
    const char *missing;
    wchar_t why[256];

    *w = (struct svc_winfsp){0};
    if (!find_dll(w->path, ARRAYSIZE(w->path))) {
        svc_format(error->text, SVC_ERROR_UNITS,
                   L"WinFsp is not installed; get it "
                   L"from " SVC_WINFSP_URL L" and install it with the feature \"Core\"");
        return ERROR_DELAY_LOAD_FAILED;
    }
    w->module = LoadLibraryExW(w->path, NULL,
                               LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (!w->module) {
        svc_error_text(GetLastError(), why);
        svc_format(
            error->text, SVC_ERROR_UNITS,
            L"WinFsp cannot be loaded from %ls (%ls); install it again, from " SVC_WINFSP_URL,
            w->path, why);
        return ERROR_DELAY_LOAD_FAILED;
    }
    missing = resolve(w);
    if (missing || w->api.version(&w->version) < 0) {
        svc_format(error->text, SVC_ERROR_UNITS,
                   L"WinFsp in %ls is too old (it has no %hs); install version 2.0 or later, "
                   L"from " SVC_WINFSP_URL,
                   w->path, missing ? missing : "version");
        return ERROR_DELAY_LOAD_FAILED;
    }
    return ERROR_SUCCESS;
}
