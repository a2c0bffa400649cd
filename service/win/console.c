// SPDX-License-Identifier: BSD-3-Clause
/*
 * console.c - in a console, or started by WinFsp.Launcher
 *
 * Theory of operation
 *
 *   The shares stay mounted until somebody says stop: Ctrl-C or Ctrl-Break in the console (WinFsp.Launcher
 *   stops an instance by CTRL_BREAK), closing its window, logging off, shutting down. The last three end
 *   the process when the handler returns, so the handler waits until everything is unmounted.
 *
 *   Logging off is told to every console program of the system's session too, where it means that some
 *   other user has left; there it is ignored.
 *
 *   When the options select one share and that cannot be mounted, there is nothing to stay for: the
 *   process ends with the reason as its exit code.
 *
 * Ownership: the process and its events.
 * Globals: `console`, because a control handler gets no context. Set before the handler is.
 */
#include "service/win/process.h"

#include "service/win/text.h"

static struct {
    HANDLE stop; /* manual-reset: somebody said so */
    HANDLE done; /* manual-reset: everything is unmounted */
} console;

static bool in_system_session(void)
{
    DWORD session;

    return ProcessIdToSessionId(GetCurrentProcessId(), &session) && session == 0;
}

static BOOL WINAPI on_control(DWORD control)
{
    if (control == CTRL_LOGOFF_EVENT && in_system_session())
        return TRUE;
    SetEvent(console.stop);
    if (control != CTRL_C_EVENT && control != CTRL_BREAK_EVENT)
        WaitForSingleObject(console.done, INFINITE);
    return TRUE;
}

static DWORD serve(struct svc_process *p, const struct svc_options *o)
{
    HANDLE ends[2];
    DWORD error = svc_process_start(p, o, false);

    if (error)
        return error;
    ends[0] = console.stop;
    ends[1] = p->give_up;
    WaitForMultipleObjects(2, ends, FALSE, INFINITE);
    return svc_process_stop(p, NULL, NULL);
}

DWORD svc_console_run(const struct svc_options *o)
{
    struct svc_process p = {.log = svc_log_open(true, in_system_session())};
    DWORD error;

    console.stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    console.done = CreateEventW(NULL, TRUE, FALSE, NULL);
    p.give_up = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!console.stop || !console.done || !p.give_up || !SetConsoleCtrlHandler(on_control, TRUE)) {
        error = GetLastError();
        svc_say(p.log, SVC_LOG_ERROR, L"cannot start (error %lu)", error);
    } else {
        error = serve(&p, o);
    }
    if (!p.hangs)
        svc_log_close(p.log);
    if (console.done)
        SetEvent(console.done);
    return error;
}
