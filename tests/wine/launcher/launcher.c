// SPDX-License-Identifier: BSD-3-Clause
/*
 * launcher.c - a stand-in for the service WinFsp.Launcher
 *
 * Theory of operation
 *
 *   A class of file systems is a key HKLM\SOFTWARE\WOW6432Node\WinFsp\Services\<class>, which fsreg.bat writes:
 *   Executable, CommandLine, JobControl, Security. "start" makes an instance of it: the command line is the
 *   executable and CommandLine, each of %0 to %9 replaced by its argument between quotes (%0: the executable).
 *   An instance is a process without a standard output, in a job that ends with the launcher if JobControl says so.
 *   "start" says OK as soon as there is a process; what becomes of it nobody asks. "stop" sends a control event,
 *   says OK, and ends the process five seconds later if it is still there.
 *
 *   What is not as there:
 *
 *   - WinFsp.Launcher has one console for all instances, makes each a process group, and sends CTRL_BREAK to the
 *     group. Wine's GenerateConsoleCtrlEvent() refuses CTRL_BREAK with ERROR_INVALID_HANDLE, and its CTRL_C reaches
 *     no process that was made a group. So each instance has a console of its own here, to which the launcher goes
 *     and sends CTRL_C; console.c of virtiofs.exe has one handler for both events. That CTRL_BREAK arrives
 *     is therefore not proved.
 *   - Security is read and must be a descriptor. Who may start an instance by it is not asked: all are administrators.
 *   - Secrets, RunAs, WorkDirectory, Stderr, Recovery and %U, %P, %T are not built; a class that has one is refused.
 *
 * Ownership: `instances` owns processes. Locks: none; one thread serves the pipe.
 * Source: what WinFsp 2.x documents of the launcher, and how its sources behave; none of its code.
 */
#include <windows.h>

#include <stdbool.h>
#include <stdio.h>
#include <wchar.h>

#include <sddl.h>

#include "tests/wine/launcher/pipe.h"

#define CLASSES       L"SOFTWARE\\WinFsp\\Services\\"
#define KILL_MS       5000
#define MAX_INSTANCES 8

int wmain(void);

struct instance {
    wchar_t class_name[64], name[64];
    HANDLE process, stopper; /* NULL: the slot is free */
    DWORD pid;
};

static struct {
    SERVICE_STATUS_HANDLE handle;
    HANDLE stop, job;
    struct instance instances[MAX_INSTANCES];
} launcher;

/* ---- classes -------------------------------------------------------------------------------- */

struct class
{
    wchar_t executable[MAX_PATH], command_line[512], security[512];
    DWORD job_control;
};

static bool text_of(HKEY key, const wchar_t *name, wchar_t *to, DWORD bytes)
{
    return RegGetValueW(key, NULL, name, RRF_RT_REG_SZ, NULL, to, &bytes) == ERROR_SUCCESS;
}

static DWORD check_security(const struct class *c)
{
    PSECURITY_DESCRIPTOR descriptor;

    if (!c->security[0])
        return ERROR_SUCCESS;
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(c->security, SDDL_REVISION_1,
                                                              &descriptor, NULL))
        return GetLastError();
    LocalFree(descriptor);
    return ERROR_SUCCESS;
}

static DWORD read_class(const wchar_t *name, struct class *c)
{
    static const wchar_t *const unknown[] = {L"RunAs", L"WorkDirectory", L"Stderr", L"Recovery",
                                             L"Credentials"};
    wchar_t path[256];
    DWORD size = sizeof(c->job_control);
    DWORD error;
    HKEY key;

    *c = (struct class){.job_control = 0};
    swprintf(path, ARRAYSIZE(path), CLASSES L"%ls", name);
    error = (DWORD)RegOpenKeyExW(HKEY_LOCAL_MACHINE, path, 0, KEY_READ | KEY_WOW64_32KEY, &key);
    if (error)
        return error;
    if (!text_of(key, L"Executable", c->executable, sizeof(c->executable)))
        error = ERROR_FILE_NOT_FOUND;
    text_of(key, L"CommandLine", c->command_line, sizeof(c->command_line));
    text_of(key, L"Security", c->security, sizeof(c->security));
    RegGetValueW(key, NULL, L"JobControl", RRF_RT_REG_DWORD, NULL, &c->job_control, &size);
    for (unsigned i = 0; i < ARRAYSIZE(unknown); i++)
        if (RegQueryValueExW(key, unknown[i], NULL, NULL, NULL, NULL) == ERROR_SUCCESS)
            error = ERROR_NOT_SUPPORTED;
    RegCloseKey(key);
    return error ? error : check_security(c);
}

/* ---- instances ------------------------------------------------------------------------------ */

static struct instance *find(const wchar_t *class_name, const wchar_t *name)
{
    for (unsigned i = 0; i < MAX_INSTANCES; i++) {
        struct instance *in = &launcher.instances[i];

        if (in->process && _wcsicmp(in->class_name, class_name) == 0 &&
            _wcsicmp(in->name, name) == 0)
            return in;
    }
    return NULL;
}

/* Instances that have ended are forgotten. */
static void reap(void)
{
    for (unsigned i = 0; i < MAX_INSTANCES; i++) {
        struct instance *in = &launcher.instances[i];

        if (!in->process || WaitForSingleObject(in->process, 0) != WAIT_OBJECT_0)
            continue;
        CloseHandle(in->process);
        if (in->stopper)
            CloseHandle(in->stopper);
        *in = (struct instance){.pid = 0};
    }
}

/* "%0 " and the class's line, with arguments. Return: false when it does not fit. */
static bool command_line(const struct class *c, unsigned count, wchar_t **words, wchar_t *to,
                         size_t units)
{
    wchar_t template[ARRAYSIZE(c->command_line) + 4];
    size_t len = 0;

    swprintf(template, ARRAYSIZE(template), L"%%0 %ls", c->command_line);
    for (const wchar_t *p = template; *p; p++) {
        const wchar_t *argument = L"";
        int n;

        if (p[0] != L'%' || p[1] < L'0' || p[1] > L'9') {
            if (len + 1 >= units)
                return false;
            to[len++] = *p;
            continue;
        }
        p++;
        if (*p == L'0')
            argument = c->executable;
        else if ((unsigned)(*p - L'0') <= count)
            argument = words[*p - L'1'];
        n = swprintf(to + len, units - len, L"\"%ls\"", argument);
        if (n < 0)
            return false;
        len += (size_t)n;
    }
    to[len] = 0;
    return true;
}

static DWORD create(struct instance *in, const struct class *c, wchar_t *line)
{
    STARTUPINFOW start = {.cb = sizeof(start)};
    PROCESS_INFORMATION process;

    if (!CreateProcessW(c->executable, line, NULL, NULL, FALSE,
                        CREATE_SUSPENDED | CREATE_NEW_CONSOLE, NULL, NULL, &start, &process))
        return GetLastError();
    if (c->job_control)
        AssignProcessToJobObject(launcher.job, process.hProcess);
    ResumeThread(process.hThread);
    CloseHandle(process.hThread);
    in->process = process.hProcess;
    in->pid = process.dwProcessId;
    return ERROR_SUCCESS;
}

static DWORD start_instance(unsigned count, wchar_t **words)
{
    static struct class c;
    static wchar_t line[1024];
    DWORD error = read_class(words[0], &c);

    if (find(words[0], words[1]))
        return ERROR_ALREADY_EXISTS;
    if (error)
        return error;
    if (!command_line(&c, count - 2, words + 2, line, ARRAYSIZE(line)))
        return ERROR_INVALID_PARAMETER;
    for (unsigned i = 0; i < MAX_INSTANCES; i++) {
        struct instance *in = &launcher.instances[i];

        if (in->process)
            continue;
        wcsncpy(in->class_name, words[0], ARRAYSIZE(in->class_name) - 1);
        wcsncpy(in->name, words[1], ARRAYSIZE(in->name) - 1);
        return create(in, &c, line);
    }
    return ERROR_NO_SYSTEM_RESOURCES;
}

static DWORD WINAPI kill_later(void *context)
{
    struct instance *in = context;

    if (WaitForSingleObject(in->process, KILL_MS) == WAIT_TIMEOUT)
        TerminateProcess(in->process, 0);
    return 0;
}

static BOOL WINAPI stay(DWORD control)
{
    return control == CTRL_C_EVENT;
}

/* See the head comment. */
static bool interrupt(DWORD pid)
{
    bool sent;

    FreeConsole();
    if (!AttachConsole(pid))
        return false;
    SetConsoleCtrlHandler(stay, TRUE);
    sent = GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, pid) ||
           GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0);
    Sleep(100); /* our own handler is called, too; then it may go */
    FreeConsole();
    return sent;
}

static DWORD stop_instance(wchar_t **words)
{
    struct instance *in = find(words[0], words[1]);

    if (!in)
        return ERROR_FILE_NOT_FOUND;
    if (!interrupt(in->pid))
        TerminateProcess(in->process, 0);
    else if (!in->stopper)
        in->stopper = CreateThread(NULL, 0, kill_later, in, 0, NULL);
    return ERROR_SUCCESS;
}

/* ---- the pipe ------------------------------------------------------------------------------- */

static void list_instances(wchar_t *answer)
{
    wcscpy(answer, L"OK");
    for (unsigned i = 0; i < MAX_INSTANCES; i++)
        if (launcher.instances[i].process)
            swprintf(answer + wcslen(answer), PIPE_UNITS - wcslen(answer), L"\n%ls %ls",
                     launcher.instances[i].class_name, launcher.instances[i].name);
}

static void obey(unsigned count, wchar_t **words, wchar_t *answer)
{
    DWORD error = ERROR_INVALID_PARAMETER;

    reap();
    if (count == 1 && wcscmp(words[0], L"list") == 0) {
        list_instances(answer);
        return;
    }
    if (count >= 3 && wcscmp(words[0], L"start") == 0)
        error = start_instance(count - 1, words + 1);
    else if (count == 3 && wcscmp(words[0], L"stop") == 0)
        error = stop_instance(words + 1);
    swprintf(answer, PIPE_UNITS, error ? L"KO launcher: error %lu" : L"OK", error);
}

static unsigned split(wchar_t *message, DWORD units, wchar_t **words)
{
    unsigned count = 0;

    for (DWORD at = 0; at < units && count < PIPE_WORDS; at += (DWORD)wcslen(message + at) + 1)
        words[count++] = message + at;
    return count;
}

static DWORD WINAPI serve_pipe(void *context)
{
    static wchar_t message[PIPE_UNITS + 1], answer[PIPE_UNITS];
    HANDLE pipe = CreateNamedPipeW(PIPE_NAME, PIPE_ACCESS_DUPLEX,
                                   PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_WAIT, 1,
                                   sizeof(message), sizeof(message), 0, NULL);

    (void)context;
    while (pipe != INVALID_HANDLE_VALUE) {
        wchar_t *words[PIPE_WORDS];
        DWORD bytes, done;

        if (!ConnectNamedPipe(pipe, NULL) && GetLastError() != ERROR_PIPE_CONNECTED)
            break;
        if (ReadFile(pipe, message, sizeof(message) - sizeof(wchar_t), &bytes, NULL)) {
            message[bytes / sizeof(wchar_t)] = 0;
            obey(split(message, bytes / sizeof(wchar_t), words), words, answer);
            WriteFile(pipe, answer, (DWORD)((wcslen(answer) + 1) * sizeof(wchar_t)), &done, NULL);
            FlushFileBuffers(pipe);
        }
        DisconnectNamedPipe(pipe);
    }
    return 1;
}

/* ---- the service ---------------------------------------------------------------------------- */

static void report(DWORD state)
{
    SERVICE_STATUS status = {.dwServiceType = SERVICE_WIN32_OWN_PROCESS,
                             .dwCurrentState = state,
                             .dwControlsAccepted =
                                 state == SERVICE_RUNNING ? SERVICE_ACCEPT_STOP : 0};

    SetServiceStatus(launcher.handle, &status);
}

static void WINAPI on_control(DWORD control)
{
    if (control == SERVICE_CONTROL_STOP)
        SetEvent(launcher.stop);
}

static bool make_job(void)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {.BasicLimitInformation.LimitFlags =
                                                       JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE};

    launcher.job = CreateJobObjectW(NULL, NULL);
    return launcher.job && SetInformationJobObject(launcher.job, JobObjectExtendedLimitInformation,
                                                   &limits, sizeof(limits));
}

static void stop_all(void)
{
    for (unsigned i = 0; i < MAX_INSTANCES; i++) {
        struct instance *in = &launcher.instances[i];

        if (in->process && interrupt(in->pid))
            WaitForSingleObject(in->process, KILL_MS);
    }
}

static void WINAPI service_main(DWORD argc, wchar_t **argv)
{
    (void)argc;
    (void)argv;
    launcher.handle = RegisterServiceCtrlHandlerW(L"WinFsp.Launcher", on_control);
    launcher.stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (make_job() && CreateThread(NULL, 0, serve_pipe, NULL, 0, NULL)) {
        report(SERVICE_RUNNING);
        WaitForSingleObject(launcher.stop, INFINITE);
        stop_all();
    }
    report(SERVICE_STOPPED); /* the job ends what is left */
}

int wmain(void)
{
    SERVICE_TABLE_ENTRYW table[] = {{(wchar_t *)L"WinFsp.Launcher", service_main}, {NULL, NULL}};

    return StartServiceCtrlDispatcherW(table) ? 0 : (int)GetLastError();
}
