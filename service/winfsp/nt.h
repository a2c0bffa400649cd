// SPDX-License-Identifier: BSD-3-Clause
/*
 * nt.h - Windows' types and status codes, for sources that are also tested natively
 *
 * Include it first: on Windows it brings <windows.h> and all of <ntstatus.h>, which clash unless taken in
 * this order. Elsewhere it defines the few that the portable sources (status.c, names.c, sd.c ...) need,
 * and the list is checked against <ntstatus.h> in every Windows build.
 */
#ifndef VIOFS_SERVICE_NT_H
#define VIOFS_SERVICE_NT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* MS-ERREF 2.3.1 */
#define SVC_STATUSES(X)                                                                            \
    X(SUCCESS, 0x00000000u)                                                                        \
    X(REPARSE, 0x00000104u)                                                                        \
    X(BUFFER_OVERFLOW, 0x80000005u)                                                                \
    X(UNSUCCESSFUL, 0xC0000001u)                                                                   \
    X(NOT_IMPLEMENTED, 0xC0000002u)                                                                \
    X(INVALID_HANDLE, 0xC0000008u)                                                                 \
    X(INVALID_PARAMETER, 0xC000000Du)                                                              \
    X(NO_SUCH_DEVICE, 0xC000000Eu)                                                                 \
    X(INVALID_DEVICE_REQUEST, 0xC0000010u)                                                         \
    X(ACCESS_DENIED, 0xC0000022u)                                                                  \
    X(BUFFER_TOO_SMALL, 0xC0000023u)                                                               \
    X(OBJECT_NAME_INVALID, 0xC0000033u)                                                            \
    X(OBJECT_NAME_NOT_FOUND, 0xC0000034u)                                                          \
    X(OBJECT_NAME_COLLISION, 0xC0000035u)                                                          \
    X(OBJECT_PATH_NOT_FOUND, 0xC000003Au)                                                          \
    X(SHARING_VIOLATION, 0xC0000043u)                                                              \
    X(EAS_NOT_SUPPORTED, 0xC000004Fu)                                                              \
    X(EA_TOO_LARGE, 0xC0000050u)                                                                   \
    X(NO_EAS_ON_FILE, 0xC0000052u)                                                                 \
    X(FILE_LOCK_CONFLICT, 0xC0000054u)                                                             \
    X(DISK_FULL, 0xC000007Fu)                                                                      \
    X(FILE_INVALID, 0xC0000098u)                                                                   \
    X(INSUFFICIENT_RESOURCES, 0xC000009Au)                                                         \
    X(DEVICE_NOT_CONNECTED, 0xC000009Du)                                                           \
    X(MEDIA_WRITE_PROTECTED, 0xC00000A2u)                                                          \
    X(IO_TIMEOUT, 0xC00000B5u)                                                                     \
    X(FILE_IS_A_DIRECTORY, 0xC00000BAu)                                                            \
    X(NOT_SUPPORTED, 0xC00000BBu)                                                                  \
    X(NOT_SAME_DEVICE, 0xC00000D4u)                                                                \
    X(CANT_WAIT, 0xC00000D8u)                                                                      \
    X(DIRECTORY_NOT_EMPTY, 0xC0000101u)                                                            \
    X(NOT_A_DIRECTORY, 0xC0000103u)                                                                \
    X(NAME_TOO_LONG, 0xC0000106u)                                                                  \
    X(TOO_MANY_OPENED_FILES, 0xC000011Fu)                                                          \
    X(CANCELLED, 0xC0000120u)                                                                      \
    X(FILE_CLOSED, 0xC0000128u)                                                                    \
    X(PIPE_BROKEN, 0xC000014Bu)                                                                    \
    X(IO_DEVICE_ERROR, 0xC0000185u)                                                                \
    X(POSSIBLE_DEADLOCK, 0xC0000194u)                                                              \
    X(NOT_FOUND, 0xC0000225u)                                                                      \
    X(TOO_MANY_LINKS, 0xC0000265u)                                                                 \
    X(REPARSE_POINT_NOT_RESOLVED, 0xC0000280u)                                                     \
    X(FILE_TOO_LARGE, 0xC0000904u)

#ifdef _WIN32

#define WIN32_NO_STATUS
#include <windows.h>
#undef WIN32_NO_STATUS
#include <winternl.h>
#include <ntstatus.h>

#define X(name, value) _Static_assert((uint32_t)STATUS_##name == (value), "MS-ERREF");
SVC_STATUSES(X)
#undef X

#else

typedef int32_t NTSTATUS;
#define X(name, value) STATUS_##name = (NTSTATUS)(value),
enum { SVC_STATUSES(X) };
#undef X

#endif
#endif
