// SPDX-License-Identifier: BSD-3-Clause
/*
 * fake_winfsp.c - a winfsp-x64.dll with which nothing can be mounted
 *
 * Stands for WinFsp where a test only asks whether virtiofs.exe finds, loads and names it. It has every
 * export that the service uses, or, compiled with TOO_OLD, one less. It proves nothing about file systems;
 * tests/wine/winfsp does.
 */
#include "abi/winfsp.h"

#define EXPORT(name) __declspec(dllexport) NTSTATUS WINAPI name(void)
#define REFUSE(name)                                                                               \
    EXPORT(name);                                                                                  \
    EXPORT(name)                                                                                   \
    {                                                                                              \
        return (NTSTATUS)0xC0000002; /* STATUS_NOT_IMPLEMENTED */                                  \
    }

__declspec(dllexport) NTSTATUS WINAPI FspVersion(UINT32 *version);
__declspec(dllexport) NTSTATUS WINAPI FspVersion(UINT32 *version)
{
    *version = 2u << 16 | 7;
    return 0;
}

__declspec(dllexport) VOID WINAPI FspDebugLogSetHandle(HANDLE handle);
__declspec(dllexport) VOID WINAPI FspDebugLogSetHandle(HANDLE handle)
{
    DWORD done;

    WriteFile(handle, "WinFsp may write here\r\n", 23, &done, NULL);
}

REFUSE(FspFileSystemCreate)
REFUSE(FspFileSystemDelete)
REFUSE(FspFileSystemSetMountPointEx)
REFUSE(FspFileSystemRemoveMountPoint)
REFUSE(FspFileSystemStartDispatcher)
REFUSE(FspFileSystemStopDispatcher)
REFUSE(FspFileSystemSendResponse)
REFUSE(FspFileSystemGetOperationContext)
REFUSE(FspFileSystemSetDebugLogF)
REFUSE(FspFileSystemNotifyBegin)
REFUSE(FspFileSystemNotify)
REFUSE(FspFileSystemNotifyEnd)
REFUSE(FspFileSystemResolveReparsePoints)
#ifndef TOO_OLD
REFUSE(FspFileSystemFindReparsePoint)
#endif
