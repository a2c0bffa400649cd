// SPDX-License-Identifier: BSD-3-Clause
/*
 * status.h - what a Linux error is called on Windows
 */
#ifndef VIOFS_SERVICE_STATUS_H
#define VIOFS_SERVICE_STATUS_H

#include "service/winfsp/nt.h"

/* What the error is about: Windows tells a missing file from a missing directory on the way to it. */
enum svc_about {
    SVC_ABOUT_NAME,   /* the last component of a path */
    SVC_ABOUT_PATH,   /* a directory on the way */
    SVC_ABOUT_HANDLE, /* an open file */
    SVC_ABOUT_EA,     /* its extended attributes */
    SVC_ABOUT_STREAM  /* a stream of it */
};

NTSTATUS svc_status(int error, enum svc_about about);

#endif
