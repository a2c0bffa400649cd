// SPDX-License-Identifier: BSD-3-Clause
/*
 * registry.c - settings in HKEY_LOCAL_MACHINE
 *
 * Theory of operation
 *
 *   The quick start documents HKLM\Software\virtiofs, virtio-win's service reads HKLM\Software\VirtIO-FS.
 *   Both are sources of config.c, which decides what counts. Values are REG_SZ, REG_EXPAND_SZ (expanded)
 *   or REG_DWORD.
 *
 * Ownership: none; a key is open only while it is read.   Locks: none.
 */
#include "service/win/registry.h"

#include <windows.h>

#include "service/win/text.h"

const wchar_t *const svc_registry_paths[SVC_REGISTRY_KEYS] = {SVC_REGISTRY_KEY,
                                                              L"Software\\VirtIO-FS"};

static void read_value(void *user, const wchar_t *share, const wchar_t *name, struct svc_value *out)
{
    wchar_t path[256];
    DWORD type, size = sizeof(out->text);
    LSTATUS error;

    svc_format(path, ARRAYSIZE(path), L"%ls%ls%ls", (const wchar_t *)user,
               share ? L"\\Shares\\" : L"", share ? share : L"");
    error = RegGetValueW(HKEY_LOCAL_MACHINE, path, name, RRF_RT_REG_SZ | RRF_RT_REG_DWORD, &type,
                         out->text, &size);
    if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND) {
        out->kind = SVC_VALUE_ABSENT;
    } else if (error != ERROR_SUCCESS) {
        out->kind = SVC_VALUE_WRONG_TYPE;
    } else if (type == REG_DWORD) {
        out->kind = SVC_VALUE_NUMBER;
        out->number = *(const DWORD *)(const void *)out->text;
    } else {
        out->kind = SVC_VALUE_TEXT;
    }
}

const struct svc_source svc_registry_sources[SVC_REGISTRY_KEYS] = {
    {L"HKLM\\Software\\virtiofs", read_value, (void *)SVC_REGISTRY_KEY},
    {L"HKLM\\Software\\VirtIO-FS", read_value, (void *)L"Software\\VirtIO-FS"},
};
