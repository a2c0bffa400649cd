// SPDX-License-Identifier: BSD-3-Clause
/*
 * scm.c - under the service control manager
 *
 * Theory of operation
 *
 *   The manager starts a service's process and waits for StartServiceCtrlDispatcher(). Called in a console
 *   that fails, but under Wine only after ten seconds; so main() asks first who the parent is.
 *
 *   The service is up when what was there at its start is mounted or has failed once. A device that comes
 *   later is mounted later; none at all is no reason to fail. What cannot be mounted is no reason either:
 *   other shares are served, and the log says what is wrong. Only a bad command line and a missing WinFsp
 *   end the service, with a Win32 error that the manager shows and its recovery actions see.
 *
 *   While unmounting takes its time the manager is told once a second that it goes on.
 *
 * Ownership: ServiceMain owns the process; the dispatcher's thread waits until it is done.
 * Globals: `service`, because ServiceMain gets no context.
 *
 * Source: "Service Control Handler Function" and "Service State Transitions" in the Win32 documentation.
 */
#include "service/win/process.h"

#include <winternl.h>

#include "service/win/text.h"

#define SERVICE_NAME L"VirtioFsSvc"
#define START_HINT   20000u
#define SETTLE_MS    10000u
#define STOP_HINT    5000u

static struct {
    int argc;
    const wchar_t *const *argv;
    SERVICE_STATUS_HANDLE handle;
    SERVICE_STATUS status;
    HANDLE stop;    /* manual-reset */
    HANDLE resumed; /* auto-reset: the machine woke up */
    struct svc_process process;
    DWORD exit_code;
} service;

/* ---- who started us ------------------------------------------------------------------------- */

/* PROCESS_BASIC_INFORMATION; headers disagree on the names of its fields. */
struct basic_information {
    void *exit_status, *peb;
    ULONG_PTR affinity, priority, pid, parent_pid;
};

static bool parent_id(DWORD *out)
{
    struct basic_information info;

    if (NtQueryInformationProcess(GetCurrentProcess(), ProcessBasicInformation, &info, sizeof(info),
                                  NULL) < 0)
        return false;
    *out = (DWORD)info.parent_pid;
    return true;
}

enum svc_parent svc_parent(void)
{
    wchar_t path[MAX_PATH], manager[MAX_PATH];
    DWORD pid, units = ARRAYSIZE(path);
    HANDLE process;
    bool known;

    if (!parent_id(&pid))
        return SVC_PARENT_UNKNOWN;
    process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid);
    if (!process)
        return GetLastError() == ERROR_ACCESS_DENIED ? SVC_PARENT_UNKNOWN : SVC_PARENT_OTHER;
    known = QueryFullProcessImageNameW(process, 0, path, &units);
    CloseHandle(process);
    units = GetSystemDirectoryW(manager, ARRAYSIZE(manager));
    if (!known || units == 0 || units + 16 > ARRAYSIZE(manager))
        return SVC_PARENT_UNKNOWN;
    wcscat(manager, L"\\services.exe");
    return _wcsicmp(path, manager) == 0 ? SVC_PARENT_SCM : SVC_PARENT_OTHER;
}

/* ---- the manager ---------------------------------------------------------------------------- */

static void report(DWORD state, DWORD hint)
{
    SERVICE_STATUS *s = &service.status;

    s->dwServiceType = SERVICE_WIN32_OWN_PROCESS;
    s->dwCheckPoint = s->dwCurrentState == state && hint ? s->dwCheckPoint + 1 : 0;
    s->dwCurrentState = state;
    s->dwWaitHint = hint;
    s->dwControlsAccepted =
        state == SERVICE_RUNNING
            ? SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN | SERVICE_ACCEPT_POWEREVENT
            : 0;
    s->dwWin32ExitCode = state == SERVICE_STOPPED ? service.exit_code : NO_ERROR;
    SetServiceStatus(service.handle, s);
}

static void still_stopping(void *user)
{
    (void)user;
    report(SERVICE_STOP_PENDING, STOP_HINT);
}

static DWORD WINAPI on_control(DWORD control, DWORD type, void *data, void *context)
{
    (void)data;
    (void)context;
    switch (control) {
    case SERVICE_CONTROL_STOP:
    case SERVICE_CONTROL_SHUTDOWN:
        report(SERVICE_STOP_PENDING, STOP_HINT);
        SetEvent(service.stop);
        return NO_ERROR;
    case SERVICE_CONTROL_POWEREVENT:
        if (type == PBT_APMRESUMEAUTOMATIC)
            SetEvent(service.resumed);
        return NO_ERROR;
    case SERVICE_CONTROL_INTERROGATE:
        return NO_ERROR;
    default:
        return ERROR_CALL_NOT_IMPLEMENTED;
    }
}

/* A service's own arguments, or those of its command line (sc create ... binPath= "virtiofs.exe -t x"). */
static bool parse(struct svc_options *o, DWORD argc, wchar_t **argv)
{
    struct svc_log *log = service.process.log;
    struct svc_error error;
    bool own = argc > 1;

    if (!svc_options_parse(o, own ? (int)argc : service.argc,
                           own ? (const wchar_t *const *)argv : service.argv, &error)) {
        svc_say(log, SVC_LOG_ERROR, L"%ls. %ls", error.text, svc_usage_pointer);
        return false;
    }
    if (o->command != SVC_SERVE) {
        svc_say(log, SVC_LOG_ERROR, L"a service can only mount. %ls", svc_usage_pointer);
        return false;
    }
    return true;
}

static DWORD serve(DWORD argc, wchar_t **argv)
{
    const HANDLE events[] = {service.stop, service.resumed};
    struct svc_options options;
    DWORD error;

    if (!parse(&options, argc, argv))
        return ERROR_INVALID_PARAMETER;
    error = svc_process_start(&service.process, &options, true);
    if (error)
        return error;
    svc_shares_settle(service.process.shares, SETTLE_MS);
    report(SERVICE_RUNNING, 0);
    while (WaitForMultipleObjects(2, events, FALSE, INFINITE) == WAIT_OBJECT_0 + 1)
        svc_shares_resumed(service.process.shares);
    report(SERVICE_STOP_PENDING, STOP_HINT);
    svc_process_stop(&service.process, still_stopping, NULL);
    return NO_ERROR;
}

static void WINAPI service_main(DWORD argc, wchar_t **argv)
{
    service.handle =
        RegisterServiceCtrlHandlerExW(argc > 0 ? argv[0] : SERVICE_NAME, on_control, NULL);
    service.stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    service.resumed = CreateEventW(NULL, FALSE, FALSE, NULL);
    if (!service.handle || !service.stop || !service.resumed)
        return;
    report(SERVICE_START_PENDING, START_HINT);
    service.process.log = svc_log_open(false, true);
    service.exit_code = serve(argc, argv);
    if (!service.process.hangs)
        svc_log_close(service.process.log);
    report(SERVICE_STOPPED, 0);
}

bool svc_scm_run(int argc, const wchar_t *const *argv, DWORD *exit_code)
{
    SERVICE_TABLE_ENTRYW table[] = {{(wchar_t *)SERVICE_NAME, service_main}, {NULL, NULL}};

    service.argc = argc;
    service.argv = argv;
    if (!StartServiceCtrlDispatcherW(table))
        return false;
    *exit_code = service.exit_code;
    return true;
}
