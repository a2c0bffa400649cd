// SPDX-License-Identifier: BSD-3-Clause
/*
 * text.h - texts on their way out
 */
#ifndef VIOFS_SERVICE_TEXT_H
#define VIOFS_SERVICE_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <windows.h>

/** svc_write() - a text to a console in its own characters, to anything else in UTF-8. INVALID_HANDLE_VALUE is fine. */
void svc_write(HANDLE to, const wchar_t *text);

/** svc_print() - formatted, to standard output; at most 2047 units */
void svc_print(const wchar_t *format, ...);

/** svc_format() - like swprintf(), always terminated. `units` is the room at `to`, at least 1. */
void svc_format(wchar_t *to, size_t units, const wchar_t *format, ...);
void svc_format_list(wchar_t *to, size_t units, const wchar_t *format, va_list args);

/**
 * svc_error_text() - Windows' own words for a Win32 error, without a line end, or "error N"
 *
 * At most 255 units at @to, which has room for 256.
 */
void svc_error_text(DWORD error, wchar_t *to);

/** svc_win32_error() - the Win32 error for an NTSTATUS */
DWORD svc_win32_error(uint32_t status);

#endif
