// SPDX-License-Identifier: BSD-3-Clause
/*
 * compat_seh.c - the one routine that needs structured exceptions
 *
 * Built by clang: gcc has no __try. MmProbeAndLockPages raises when a page of the range cannot be had,
 * which for an address that a caller made up is the ordinary case. A build without structured exceptions
 * (the native one, for sanitizers) brings its own drv_compat_lock().
 */
#include "driver/drv.h"

/**
 * drv_compat_lock() - probe and lock the pages of @mdl, for the device to write them
 *
 * Return: success, or the code of the exception (STATUS_ACCESS_VIOLATION and the like).
 * IRQL: PASSIVE_LEVEL, in the context of the process whose addresses these are.
 */
NTSTATUS drv_compat_lock(MDL *mdl, KPROCESSOR_MODE mode)
{
    NTSTATUS status = STATUS_SUCCESS;

    __try {
        MmProbeAndLockPages(mdl, mode, IoWriteAccess);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        status = (NTSTATUS)GetExceptionCode();
    }
    return status;
}
