// SPDX-License-Identifier: BSD-3-Clause
/*
 * log.h - what the service says of itself
 */
#ifndef VIOFS_SERVICE_WIN_LOG_H
#define VIOFS_SERVICE_WIN_LOG_H

#include <stdbool.h>

#include <windows.h>

/* The first three are those of volume.h. */
enum svc_log_level { SVC_LOG_ERROR, SVC_LOG_WARNING, SVC_LOG_DEBUG, SVC_LOG_INFO };

struct svc_log;

/**
 * svc_log_open() - errors, warnings and news to standard error, to the Event Log, or both
 *
 * Return: never NULL; where memory is short everything goes nowhere.
 */
struct svc_log *svc_log_open(bool to_stderr, bool to_event_log);
void svc_log_close(struct svc_log *log);

/**
 * svc_log_file() - from now on also to a file; "-" is standard error. Debug lines go only there.
 *
 * Appends; others may read and write it meanwhile. Return: ERROR_SUCCESS or a Win32 error.
 */
DWORD svc_log_file(struct svc_log *log, const wchar_t *path);

/** svc_log_debug() - debug lines, too? Off at first; without a file they go to standard error. */
void svc_log_debug(struct svc_log *log, bool on);

/** svc_log_handle() - for WinFsp's own debug lines: file or standard error; INVALID_HANDLE_VALUE if neither */
HANDLE svc_log_handle(struct svc_log *log);

/** svc_say() - one line, without line end, at most 1023 units. Any thread. */
void svc_say(struct svc_log *log, enum svc_log_level level, const wchar_t *format, ...);

#endif
