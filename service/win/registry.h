// SPDX-License-Identifier: BSD-3-Clause
/*
 * registry.h - settings in HKEY_LOCAL_MACHINE
 */
#ifndef VIOFS_SERVICE_REGISTRY_H
#define VIOFS_SERVICE_REGISTRY_H

#include "service/win/config.h"

#define SVC_REGISTRY_KEY  L"Software\\virtiofs"
#define SVC_REGISTRY_KEYS 2

/* HKLM\Software\virtiofs, then HKLM\Software\VirtIO-FS. */
extern const struct svc_source svc_registry_sources[SVC_REGISTRY_KEYS];

/* Where they are in HKEY_LOCAL_MACHINE. */
extern const wchar_t *const svc_registry_paths[SVC_REGISTRY_KEYS];

#endif
