// SPDX-License-Identifier: BSD-3-Clause
/*
 * log.c - what the service says of itself
 *
 * Theory of operation
 *
 *   Up to three places: standard error (console mode), the Event Log (service, and whatever runs in session
 *   0, where nobody sees standard error), and a debug file. Errors, warnings and news go to all that are
 *   open, debug lines only to the file, or to standard error when there is none.
 *
 *   The Event Log is shared with the whole system, and a host can cause errors as often as it likes. So
 *   there is an allowance: 60 entries at once, one more every ten seconds. What goes beyond is counted and
 *   the count is told with the next entry.
 *
 *   The Event Log's viewer shows an entry with texts of a message file: this program's resources
 *   (events.mc). The registry must say so; the service sees to that when it starts, because it may have
 *   been moved since it was installed.
 *
 * Ownership: handles are the log's.   Locks: svc_log.lock guards the allowance and orders lines of the
 *   file. It is held while a line is written, never while anything of ours is called.
 *
 * Source: "Reporting Events" and "Event Sources" in the Win32 documentation.
 */
#include "service/win/log.h"

#include <stdint.h>
#include <stdlib.h>
#include <wchar.h>

#include "service/win/text.h"
#include "events.h"

#define LINE_UNITS      1024
#define EVENTS_AT_ONCE  60u
#define EVENT_PERIOD_MS 10000u
#define EVENT_SOURCE    L"virtiofs"
#define EVENT_KEY       L"SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\" EVENT_SOURCE

struct svc_log {
    SRWLOCK lock;
    HANDLE file;   /* or INVALID_HANDLE_VALUE */
    HANDLE errors; /* standard error, or INVALID_HANDLE_VALUE */
    HANDLE events; /* or NULL */
    bool debug, file_is_stderr;
    unsigned allowance; /* entries that the Event Log may get now */
    unsigned left_out;
    uint64_t refilled; /* when the allowance last grew, ms */
};

static struct svc_log nowhere = {
    .lock = SRWLOCK_INIT, .file = INVALID_HANDLE_VALUE, .errors = INVALID_HANDLE_VALUE};

/* Tells the viewer where our texts are. Fails for other users than administrators, which does no harm. */
static void register_source(void)
{
    wchar_t path[MAX_PATH];
    DWORD types = EVENTLOG_ERROR_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_INFORMATION_TYPE;
    DWORD n = GetModuleFileNameW(NULL, path, ARRAYSIZE(path));
    HKEY key;

    if (n == 0 || n == ARRAYSIZE(path) ||
        RegCreateKeyExW(HKEY_LOCAL_MACHINE, EVENT_KEY, 0, NULL, 0, KEY_SET_VALUE, NULL, &key, NULL))
        return;
    RegSetValueExW(key, L"EventMessageFile", 0, REG_EXPAND_SZ, (const BYTE *)path,
                   (DWORD)((n + 1) * sizeof(wchar_t)));
    RegSetValueExW(key, L"TypesSupported", 0, REG_DWORD, (const BYTE *)&types, sizeof(types));
    RegCloseKey(key);
}

struct svc_log *svc_log_open(bool to_stderr, bool to_event_log)
{
    struct svc_log *log = malloc(sizeof(*log));

    if (!log)
        return &nowhere;
    *log = nowhere;
    log->allowance = EVENTS_AT_ONCE;
    log->refilled = GetTickCount64();
    if (to_stderr)
        log->errors = GetStdHandle(STD_ERROR_HANDLE);
    if (to_event_log) {
        register_source();
        log->events = RegisterEventSourceW(NULL, EVENT_SOURCE);
    }
    return log;
}

void svc_log_close(struct svc_log *log)
{
    if (log == &nowhere)
        return;
    if (log->file != INVALID_HANDLE_VALUE && !log->file_is_stderr)
        CloseHandle(log->file);
    if (log->events)
        DeregisterEventSource(log->events);
    free(log);
}

DWORD svc_log_file(struct svc_log *log, const wchar_t *path)
{
    HANDLE file;

    if (wcscmp(path, L"-") == 0) {
        log->file = GetStdHandle(STD_ERROR_HANDLE);
        log->file_is_stderr = true;
        log->errors = INVALID_HANDLE_VALUE; /* once is enough */
        return ERROR_SUCCESS;
    }
    file = CreateFileW(path, FILE_APPEND_DATA | SYNCHRONIZE, FILE_SHARE_READ | FILE_SHARE_WRITE,
                       NULL, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return GetLastError();
    log->file = file;
    return ERROR_SUCCESS;
}

void svc_log_debug(struct svc_log *log, bool on)
{
    if (log != &nowhere)
        log->debug = on;
}

HANDLE svc_log_handle(struct svc_log *log)
{
    return log->file != INVALID_HANDLE_VALUE ? log->file : log->errors;
}

/* ---- lines ---------------------------------------------------------------------------------- */

/* May the Event Log have one more? `left_out` gets how many it did not get since the last one. */
static bool event_allowed(struct svc_log *log, unsigned *left_out)
{
    uint64_t now = GetTickCount64();
    uint64_t more = (now - log->refilled) / EVENT_PERIOD_MS;

    if (more > 0) {
        log->refilled += more * EVENT_PERIOD_MS;
        log->allowance = (unsigned)(log->allowance + more > EVENTS_AT_ONCE ? EVENTS_AT_ONCE
                                                                           : log->allowance + more);
    }
    if (log->allowance == 0) {
        log->left_out++;
        return false;
    }
    log->allowance--;
    *left_out = log->left_out;
    log->left_out = 0;
    return true;
}

static void report_event(struct svc_log *log, enum svc_log_level level, const wchar_t *line)
{
    wchar_t longer[LINE_UNITS + 64];
    const wchar_t *texts[] = {line};
    unsigned left_out = 0;
    bool allowed;

    if (!log->events || level == SVC_LOG_DEBUG)
        return;
    AcquireSRWLockExclusive(&log->lock);
    allowed = event_allowed(log, &left_out);
    ReleaseSRWLockExclusive(&log->lock);
    if (!allowed)
        return;
    if (left_out > 0) {
        svc_format(longer, ARRAYSIZE(longer), L"%ls (%u entries before this one were left out)",
                   line, left_out);
        texts[0] = longer;
    }
    ReportEventW(log->events,
                 level == SVC_LOG_ERROR     ? EVENTLOG_ERROR_TYPE
                 : level == SVC_LOG_WARNING ? EVENTLOG_WARNING_TYPE
                                            : EVENTLOG_INFORMATION_TYPE,
                 0,
                 level == SVC_LOG_ERROR     ? SVC_EVENT_ERROR
                 : level == SVC_LOG_WARNING ? SVC_EVENT_WARNING
                                            : SVC_EVENT_INFORMATION,
                 NULL, 1, 0, texts, NULL);
}

static void write_file(struct svc_log *log, enum svc_log_level level, const wchar_t *line)
{
    static const wchar_t *const names[] = {L"error", L"warning", L"debug", L"info"};
    wchar_t stamped[LINE_UNITS + 64];
    SYSTEMTIME t;

    if (log->file == INVALID_HANDLE_VALUE)
        return;
    GetLocalTime(&t);
    svc_format(stamped, ARRAYSIZE(stamped), L"%04u-%02u-%02u %02u:%02u:%02u.%03u %ls: %ls\r\n",
               t.wYear, t.wMonth, t.wDay, t.wHour, t.wMinute, t.wSecond, t.wMilliseconds,
               names[level], line);
    AcquireSRWLockExclusive(&log->lock);
    svc_write(log->file, stamped);
    ReleaseSRWLockExclusive(&log->lock);
}

static void write_stderr(struct svc_log *log, enum svc_log_level level, const wchar_t *line)
{
    wchar_t full[LINE_UNITS + 64];

    if (log->errors == INVALID_HANDLE_VALUE)
        return;
    if (level == SVC_LOG_DEBUG && log->file != INVALID_HANDLE_VALUE)
        return;
    svc_format(full, ARRAYSIZE(full), L"virtiofs: %ls%ls\r\n",
               level == SVC_LOG_ERROR     ? L"error: "
               : level == SVC_LOG_WARNING ? L"warning: "
                                          : L"",
               line);
    svc_write(log->errors, full);
}

void svc_say(struct svc_log *log, enum svc_log_level level, const wchar_t *format, ...)
{
    wchar_t line[LINE_UNITS];
    va_list args;

    if (level == SVC_LOG_DEBUG && !log->debug)
        return;
    va_start(args, format);
    svc_format_list(line, ARRAYSIZE(line), format, args);
    va_end(args);
    write_file(log, level, line);
    write_stderr(log, level, line);
    report_event(log, level, line);
}
