// SPDX-License-Identifier: BSD-3-Clause
/*
 * winfsp_dll.h - finding and loading WinFsp
 */
#ifndef VIOFS_SERVICE_WINFSP_DLL_H
#define VIOFS_SERVICE_WINFSP_DLL_H

#include "abi/winfsp.h"
#include "service/win/settings.h"

#define SVC_WINFSP_URL L"https://winfsp.dev/rel/"

struct svc_winfsp {
    HMODULE module;
    struct winfsp_api api;
    uint32_t version; /* major << 16 | minor */
    wchar_t path[MAX_PATH];
};

/**
 * svc_winfsp_load() - load the DLL that the registry names and resolve all that is used of it
 *
 * Return: ERROR_SUCCESS; ERROR_DELAY_LOAD_FAILED with a sentence in @error that says what to do. The DLL
 *   stays loaded as long as the process lives: its threads may be in it.
 */
DWORD svc_winfsp_load(struct svc_winfsp *w, struct svc_error *error);

#endif
