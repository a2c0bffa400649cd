// SPDX-License-Identifier: BSD-3-Clause
/*
 * params.h - what WinFsp is told of a volume
 */
#ifndef VIOFS_SERVICE_PARAMS_H
#define VIOFS_SERVICE_PARAMS_H

#include "service/winfsp/svc.h"

NTSTATUS svc_params(struct svc_volume *v, struct winfsp_volume_params *out);

#endif
