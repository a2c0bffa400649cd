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

/** svc_registry_letters() - drive letters that Shares\* gives to shares, there or not; bit 0 is A: */
uint32_t svc_registry_letters(void);

#endif
