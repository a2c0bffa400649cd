// SPDX-License-Identifier: BSD-3-Clause
/*
 * log.c - entries in the system's event log
 *
 * Theory of operation
 *
 *   Only what an administrator should know: the device broke its contract, stalled, was reset, was given
 *   up. The texts are those of the system's own message file (iologmsg.dll), which the INF names as ours;
 *   what exactly happened is in the dump data: the reason and one number.
 *
 * Locks: none.
 */
#include "driver/drv.h"

/**
 * drv_log() - write an entry
 * @code:   IO_ERR_* of ntiologc.h, chooses the text
 * @why:    first word of the dump data
 * @detail: second word
 *
 * IRQL: <= DISPATCH_LEVEL. An entry that cannot be allocated is lost.
 */
void drv_log(struct drv_device *dev, NTSTATUS code, enum drv_reason why, uint32_t detail)
{
    UCHAR size = (UCHAR)(FIELD_OFFSET(IO_ERROR_LOG_PACKET, DumpData) + 2 * sizeof(ULONG));
    IO_ERROR_LOG_PACKET *entry;

    DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_WARNING_LEVEL, "viofs: reason %u, %x\n", (ULONG)why,
               (ULONG)detail);
    entry = IoAllocateErrorLogEntry(dev->self, size);
    if (!entry)
        return;
    RtlZeroMemory(entry, size);
    entry->ErrorCode = code;
    entry->UniqueErrorValue = (ULONG)why;
    entry->DumpDataSize = 2 * sizeof(ULONG);
    entry->DumpData[0] = (ULONG)why;
    entry->DumpData[1] = detail;
    IoWriteErrorLogEntry(entry);
}
