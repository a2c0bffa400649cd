// SPDX-License-Identifier: BSD-3-Clause
/*
 * text.c - texts on their way out
 *
 * Theory of operation
 *
 *   The C library's wide streams write in the console's old code page. Here a console gets UTF-16 and
 *   everything else (a file, a pipe) UTF-8, whatever the code page.
 *
 * Ownership: none.   Locks: none.
 */
#include "service/win/text.h"

#include <stdlib.h>
#include <wchar.h>

#include <winternl.h>

static void write_bytes(HANDLE to, const char *bytes, DWORD len)
{
    DWORD done;

    while (len > 0 && WriteFile(to, bytes, len, &done, NULL) && done > 0) {
        bytes += done;
        len -= done;
    }
}

void svc_write(HANDLE to, const wchar_t *text)
{
    DWORD mode, done;
    int units = (int)wcslen(text);
    char *bytes;

    if (!to || to == INVALID_HANDLE_VALUE || units == 0)
        return;
    if (GetConsoleMode(to, &mode)) {
        WriteConsoleW(to, text, (DWORD)units, &done, NULL);
        return;
    }
    bytes = malloc((size_t)units * 3);
    if (!bytes)
        return;
    write_bytes(to, bytes,
                (DWORD)WideCharToMultiByte(CP_UTF8, 0, text, units, bytes, units * 3, NULL, NULL));
    free(bytes);
}

void svc_format_list(wchar_t *to, size_t units, const wchar_t *format, va_list args)
{
    if (vswprintf(to, units, format, args) < 0)
        to[units - 1] = 0;
}

void svc_format(wchar_t *to, size_t units, const wchar_t *format, ...)
{
    va_list args;

    va_start(args, format);
    svc_format_list(to, units, format, args);
    va_end(args);
}

void svc_print(const wchar_t *format, ...)
{
    wchar_t line[2048];
    va_list args;

    va_start(args, format);
    svc_format_list(line, ARRAYSIZE(line), format, args);
    va_end(args);
    svc_write(GetStdHandle(STD_OUTPUT_HANDLE), line);
}

void svc_error_text(DWORD error, wchar_t *to)
{
    DWORD n = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS |
                                 FORMAT_MESSAGE_MAX_WIDTH_MASK,
                             NULL, error, 0, to, 256, NULL);

    while (n > 0 && (to[n - 1] <= L' ' || to[n - 1] == L'.'))
        to[--n] = 0;
    if (n == 0)
        svc_format(to, 256, L"error %lu", error);
}

DWORD svc_win32_error(uint32_t status)
{
    return RtlNtStatusToDosError((NTSTATUS)status);
}
