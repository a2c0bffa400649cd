// SPDX-License-Identifier: BSD-3-Clause
/*
 * mount.h - where a volume appears
 */
#ifndef VIOFS_SERVICE_MOUNT_H
#define VIOFS_SERVICE_MOUNT_H

#include "service/winfsp/nt.h"

#include "abi/winfsp.h"

NTSTATUS svc_mount(const struct winfsp_api *api, struct winfsp_file_system *fs, const WCHAR *where);

#endif
