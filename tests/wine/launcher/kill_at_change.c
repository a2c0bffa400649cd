// SPDX-License-Identifier: BSD-3-Clause
/*
 * kill_at_change.c - starts a program and ends it at one of its changes of HKLM\Software\virtiofs:
 * kill-at-change N COMMAND...
 *
 * N counts from 1. Prints "KILLED" or, if the program was done before, "EXIT n".
 */
#include <windows.h>

#include <stdbool.h>
#include <stdio.h>
#include <wchar.h>

int wmain(int argc, wchar_t **argv);

/* The command line behind the first two words, neither of which is quoted. */
static wchar_t *rest_of_line(void)
{
    wchar_t *p = GetCommandLineW();

    for (int words = 0; words < 2; words++) {
        p += wcscspn(p, L" ");
        p += wcsspn(p, L" ");
    }
    return p;
}

static bool watch(HKEY key, HANDLE changed)
{
    return RegNotifyChangeKeyValue(key, TRUE, REG_NOTIFY_CHANGE_NAME | REG_NOTIFY_CHANGE_LAST_SET,
                                   changed, TRUE) == ERROR_SUCCESS;
}

int wmain(int argc, wchar_t **argv)
{
    STARTUPINFOW start = {.cb = sizeof(start)};
    PROCESS_INFORMATION process;
    HANDLE events[2];
    unsigned left;
    DWORD code;
    HKEY key;

    if (argc < 3 || RegCreateKeyW(HKEY_LOCAL_MACHINE, L"Software\\virtiofs", &key))
        return 2;
    left = wcstoul(argv[1], NULL, 10);
    events[0] = CreateEventW(NULL, FALSE, FALSE, NULL);
    if (!watch(key, events[0]) ||
        !CreateProcessW(NULL, rest_of_line(), NULL, NULL, TRUE, 0, NULL, NULL, &start, &process))
        return 2;
    events[1] = process.hProcess;
    while (WaitForMultipleObjects(2, events, FALSE, 20000) == WAIT_OBJECT_0) {
        if (--left == 0) {
            TerminateProcess(process.hProcess, 99);
            puts("KILLED");
            return 0;
        }
        watch(key, events[0]);
    }
    GetExitCodeProcess(process.hProcess, &code);
    printf("EXIT %lu\n", code);
    return 0;
}
