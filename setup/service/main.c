// SPDX-License-Identifier: BSD-3-Clause
/*
 * main.c - viofs-service.exe: the service VirtioFsSvc in, out, up and down
 *
 * Theory of operation
 *
 *   The installer needs of a service what `sc` does not give: to wait until it has stopped and its process has let go
 *   of its file, to know whose it is, and to be told by an exit code.
 *
 *   A service is ours when its program is the virtiofs.exe that the command names. What its user changed about it
 *   (start type, options after the program, recovery) stays; what is missing is added, so a run that was cut
 *   short is completed by the next one. A service of that name with another program is virtio-win's, or
 *   somebody's who followed the quick start: it is left alone unless --takeover says otherwise.
 *
 * Ownership: handles are closed by the function that opened them.   Locks: none; one thread.
 */
#include <wchar.h>

#include "service/win/text.h"
#include "setup/helper/helper.h"

#define SERVICE      L"VirtioFsSvc"
#define DISPLAY_NAME L"VirtIO-FS Service"
#define DESCRIPTION  L"Mounts directories that the host shares over virtio-fs as drives."
#define DEPENDS_ON   VIOFS_DRIVER_SERVICE L"\0"
#define PATIENCE_MS  30000 /* for starting and stopping: a share may have data to write */
#define POLL_MS      50
#define CONFIG_MOST  8192 /* bytes; QueryServiceConfig's documented most */

enum { FLAG_TAKEOVER = 1 };

struct service {
    SC_HANDLE manager, handle; /* handle: NULL when the service does not exist */
};

static void close_service(struct service *s)
{
    if (s->handle)
        CloseServiceHandle(s->handle);
    if (s->manager)
        CloseServiceHandle(s->manager);
}

/* Return: ERROR_SUCCESS, also when it does not exist; else Windows' reason, said. */
static DWORD open_service(struct service *s, DWORD access)
{
    DWORD error;

    *s = (struct service){
        .manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT | SC_MANAGER_CREATE_SERVICE)};
    if (!s->manager)
        return hlp_fail(GetLastError(), L"the service control manager");
    s->handle = OpenServiceW(s->manager, SERVICE, access);
    error = s->handle ? ERROR_SUCCESS : GetLastError();
    if (error == ERROR_SUCCESS || error == ERROR_SERVICE_DOES_NOT_EXIST)
        return ERROR_SUCCESS;
    close_service(s);
    return hlp_fail(error, SERVICE);
}

/* ---- whose is it? --------------------------------------------------------------------------- */

/* The program of a command line, with or without quotation marks, is it this file? */
static bool runs(const wchar_t *command, const wchar_t *program)
{
    size_t len = wcslen(program);
    bool quoted = command[0] == L'"';

    command += quoted;
    if (_wcsnicmp(command, program, len) != 0)
        return false;
    return command[len] == 0 || command[len] == (quoted ? L'"' : L' ');
}

/* Return: ERROR_SUCCESS with the service's command line in @to (room for CONFIG_MOST bytes). */
static DWORD read_command(const struct service *s, wchar_t *to)
{
    _Alignas(QUERY_SERVICE_CONFIGW) BYTE buffer[CONFIG_MOST];
    QUERY_SERVICE_CONFIGW *config = (QUERY_SERVICE_CONFIGW *)buffer;
    DWORD needed;

    to[0] = 0;
    if (!QueryServiceConfigW(s->handle, config, sizeof(buffer), &needed))
        return hlp_fail(GetLastError(), SERVICE);
    svc_format(to, CONFIG_MOST / sizeof(*to), L"%ls", config->lpBinaryPathName);
    return ERROR_SUCCESS;
}

static DWORD run_status(const wchar_t *program, unsigned flags)
{
    wchar_t command[CONFIG_MOST / sizeof(wchar_t)];
    SERVICE_STATUS status = {0};
    struct service s;
    DWORD error;

    (void)flags;
    s = (struct service){.manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT)};
    if (s.manager)
        s.handle = OpenServiceW(s.manager, SERVICE, SERVICE_QUERY_CONFIG | SERVICE_QUERY_STATUS);
    if (!s.handle) {
        error = hlp_fail(GetLastError(), SERVICE);
        close_service(&s);
        return error;
    }
    error = read_command(&s, command);
    if (!error && !QueryServiceStatus(s.handle, &status))
        error = hlp_fail(GetLastError(), SERVICE);
    close_service(&s);
    if (error)
        return error;
    if (!runs(command, program)) {
        svc_print(L"%ls\r\n", command);
        return ERROR_SERVICE_EXISTS;
    }
    svc_print(L"%ls is %ls: %ls\r\n", SERVICE,
              status.dwCurrentState == SERVICE_STOPPED ? L"stopped" : L"running", command);
    return status.dwCurrentState == SERVICE_STOPPED ? ERROR_SERVICE_NOT_ACTIVE : ERROR_SUCCESS;
}

/* ---- install -------------------------------------------------------------------------------- */

static void set_recovery(const struct service *s)
{
    /* docs/windows.md says the same in sc's words: sooner the first time, then each minute */
    SC_ACTION steps[3] = {
        {SC_ACTION_RESTART, 5000}, {SC_ACTION_RESTART, 60000}, {SC_ACTION_RESTART, 60000}};
    SERVICE_FAILURE_ACTIONSW actions = {
        .dwResetPeriod = 86400, .cActions = ARRAYSIZE(steps), .lpsaActions = steps};
    SERVICE_FAILURE_ACTIONS_FLAG always = {.fFailureActionsOnNonCrashFailures = TRUE};
    _Alignas(SERVICE_FAILURE_ACTIONSW) BYTE buffer[CONFIG_MOST];
    DWORD needed;

    if (QueryServiceConfig2W(s->handle, SERVICE_CONFIG_FAILURE_ACTIONS, buffer, sizeof(buffer),
                             &needed) &&
        ((SERVICE_FAILURE_ACTIONSW *)buffer)->cActions > 0)
        return; /* set by an earlier run, or changed by its user */
    if (!ChangeServiceConfig2W(s->handle, SERVICE_CONFIG_FAILURE_ACTIONS, &actions) ||
        !ChangeServiceConfig2W(s->handle, SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, &always))
        svc_print(L"The service's recovery actions could not be set (%lu); it will not be started "
                  L"again by itself.\r\n",
                  GetLastError());
}

static DWORD create(struct service *s, const wchar_t *command)
{
    s->handle = CreateServiceW(s->manager, SERVICE, DISPLAY_NAME, SERVICE_ALL_ACCESS,
                               SERVICE_WIN32_OWN_PROCESS, SERVICE_AUTO_START, SERVICE_ERROR_NORMAL,
                               command, NULL, NULL, DEPENDS_ON, NULL, NULL);
    return s->handle ? ERROR_SUCCESS : hlp_fail(GetLastError(), SERVICE);
}

static DWORD take(const struct service *s, const wchar_t *command)
{
    if (!ChangeServiceConfigW(s->handle, SERVICE_WIN32_OWN_PROCESS, SERVICE_AUTO_START,
                              SERVICE_ERROR_NORMAL, command, NULL, NULL, DEPENDS_ON, NULL, NULL,
                              DISPLAY_NAME))
        return hlp_fail(GetLastError(), SERVICE);
    return ERROR_SUCCESS;
}

/* Windows may say yes and do nothing. */
static DWORD check_created(const struct service *s, const wchar_t *program)
{
    wchar_t command[CONFIG_MOST / sizeof(wchar_t)];
    DWORD error = read_command(s, command);

    if (error || runs(command, program))
        return error;
    svc_print(L"Windows said yes, but %ls runs %ls\r\n", SERVICE, command);
    return ERROR_GEN_FAILURE;
}

static DWORD create_or_keep(struct service *s, const wchar_t *program, bool takeover)
{
    wchar_t command[CONFIG_MOST / sizeof(wchar_t)], quoted[MAX_PATH + 3];
    DWORD error;

    svc_format(quoted, ARRAYSIZE(quoted), L"\"%ls\"", program);
    if (!s->handle)
        return create(s, quoted);
    error = read_command(s, command);
    if (error || runs(command, program))
        return error;
    if (takeover)
        return take(s, quoted);
    svc_print(L"%ls exists already, and runs another program: %ls\r\nNothing was changed. Use "
              L"--takeover to have it run %ls.\r\n",
              SERVICE, command, program);
    return ERROR_SERVICE_EXISTS;
}

static DWORD run_install(const wchar_t *program, unsigned flags)
{
    SERVICE_DESCRIPTIONW description = {.lpDescription = (wchar_t *)DESCRIPTION};
    struct service s;
    DWORD error;

    if (wcslen(program) > MAX_PATH || GetFileAttributesW(program) == INVALID_FILE_ATTRIBUTES)
        return hlp_fail(ERROR_FILE_NOT_FOUND, program);
    error = open_service(&s, SERVICE_ALL_ACCESS);
    if (error)
        return error;
    error = create_or_keep(&s, program, flags & FLAG_TAKEOVER);
    if (!error)
        error = check_created(&s, program);
    if (!error && !ChangeServiceConfig2W(s.handle, SERVICE_CONFIG_DESCRIPTION, &description))
        error = hlp_fail(GetLastError(), L"the service's description");
    if (!error)
        set_recovery(&s);
    close_service(&s);
    if (!error)
        svc_print(L"The service %ls is registered.\r\n", SERVICE);
    return error;
}

/* ---- up and down ---------------------------------------------------------------------------- */

static DWORD wait_for(const struct service *s, DWORD wanted, SERVICE_STATUS_PROCESS *status)
{
    ULONGLONG end = GetTickCount64() + PATIENCE_MS;
    DWORD needed;

    for (;;) {
        if (!QueryServiceStatusEx(s->handle, SC_STATUS_PROCESS_INFO, (BYTE *)status,
                                  sizeof(*status), &needed))
            return hlp_fail(GetLastError(), SERVICE);
        if (status->dwCurrentState == wanted || status->dwCurrentState == SERVICE_STOPPED)
            return ERROR_SUCCESS;
        if (GetTickCount64() > end)
            return ERROR_SERVICE_REQUEST_TIMEOUT;
        Sleep(POLL_MS);
    }
}

static DWORD start(const struct service *s)
{
    SERVICE_STATUS_PROCESS status;
    DWORD error = StartServiceW(s->handle, 0, NULL) ? ERROR_SUCCESS : GetLastError();

    if (error && error != ERROR_SERVICE_ALREADY_RUNNING)
        return hlp_fail(error, L"the service cannot be started");
    error = wait_for(s, SERVICE_RUNNING, &status);
    if (!error && status.dwCurrentState == SERVICE_STOPPED)
        error = status.dwWin32ExitCode ? status.dwWin32ExitCode : ERROR_SERVICE_NOT_ACTIVE;
    return error ? hlp_fail(error, L"the service did not start; the Event Log says why")
                 : ERROR_SUCCESS;
}

static DWORD run_start(const wchar_t *operand, unsigned flags)
{
    struct service s;
    DWORD error = open_service(&s, SERVICE_START | SERVICE_QUERY_STATUS);

    (void)operand;
    (void)flags;
    if (error)
        return error;
    error = s.handle ? start(&s) : hlp_fail(ERROR_SERVICE_DOES_NOT_EXIST, SERVICE);
    close_service(&s);
    return error;
}

/* Return: ERROR_SUCCESS when it does not run any more and its process is gone. */
static DWORD stop(const struct service *s)
{
    SERVICE_STATUS_PROCESS status = {0};
    SERVICE_STATUS told;
    HANDLE process = NULL;
    DWORD needed, error;

    if (QueryServiceStatusEx(s->handle, SC_STATUS_PROCESS_INFO, (BYTE *)&status, sizeof(status),
                             &needed) &&
        status.dwProcessId)
        process = OpenProcess(SYNCHRONIZE, FALSE, status.dwProcessId);
    error = ControlService(s->handle, SERVICE_CONTROL_STOP, &told) ? ERROR_SUCCESS : GetLastError();
    if (error == ERROR_SERVICE_NOT_ACTIVE)
        error = ERROR_SUCCESS;
    if (!error)
        error = wait_for(s, SERVICE_STOPPED, &status);
    if (!error && process && WaitForSingleObject(process, PATIENCE_MS) == WAIT_TIMEOUT)
        error = ERROR_SERVICE_REQUEST_TIMEOUT;
    if (process)
        CloseHandle(process);
    return error ? hlp_fail(error, L"the service cannot be stopped") : ERROR_SUCCESS;
}

static DWORD run_stop(const wchar_t *operand, unsigned flags)
{
    struct service s;
    DWORD error = open_service(&s, SERVICE_STOP | SERVICE_QUERY_STATUS);

    (void)operand;
    (void)flags;
    if (error)
        return error;
    if (s.handle)
        error = stop(&s);
    close_service(&s);
    return error;
}

/* ---- remove --------------------------------------------------------------------------------- */

static DWORD remove_ours(const struct service *s, const wchar_t *program)
{
    wchar_t command[CONFIG_MOST / sizeof(wchar_t)];
    DWORD error = read_command(s, command);

    if (error)
        return error;
    if (!runs(command, program)) {
        svc_print(L"%ls runs another program and stays: %ls\r\n", SERVICE, command);
        return ERROR_SUCCESS;
    }
    error = stop(s);
    if (!DeleteService(s->handle) && GetLastError() != ERROR_SERVICE_MARKED_FOR_DELETE)
        return hlp_fail(GetLastError(), SERVICE);
    if (!error)
        svc_print(L"The service %ls is removed.\r\n", SERVICE);
    return error;
}

static DWORD run_remove(const wchar_t *program, unsigned flags)
{
    struct service s;
    DWORD error =
        open_service(&s, SERVICE_STOP | SERVICE_QUERY_STATUS | SERVICE_QUERY_CONFIG | DELETE);

    (void)flags;
    if (error)
        return error;
    if (s.handle)
        error = remove_ours(&s, program);
    close_service(&s);
    return error;
}

/* ---- */

static const struct hlp_command commands[] = {
    {L"install", L"PATH\\virtiofs.exe", true, run_install,
     L"register the service: automatic start, "
     L"after " VIOFS_DRIVER_SERVICE L", started again after a failure"},
    {L"remove", L"PATH\\virtiofs.exe", true, run_remove,
     L"stop and remove the service, if that is its program"},
    {L"start", NULL, true, run_start, L"start it, and wait until it runs"},
    {L"stop", NULL, true, run_stop, L"stop it, and wait until its process is gone"},
    {L"status", L"PATH\\virtiofs.exe", false, run_status, L"does it run, and is that its program?"},
    {0},
};

static const struct hlp_flag flags[] = {
    {L"--takeover", FLAG_TAKEOVER, L"install: also if the service runs another program now"},
    {0},
};

static const struct hlp_program program = {
    L"viofs-service.exe", commands, flags,
    L"   0  done; status: it runs\r\n"
    L"   2  there is no such program\r\n"
    L"   5  no administrator\r\n"
    L"  31  Windows said yes, but the service is not as it should be\r\n"
    L"  87  the command line is wrong\r\n"
    L"1053  it did not start or stop in half a minute\r\n"
    L"1060  there is no service VirtioFsSvc\r\n"
    L"1062  status: it does not run\r\n"
    L"1073  the service runs another program\r\n"
    L"others are Windows' own reasons, or the service's own exit code\r\n"};

int wmain(int argc, wchar_t **argv)
{
    return hlp_main(&program, argc, argv);
}
