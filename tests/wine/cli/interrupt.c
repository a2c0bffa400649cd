// SPDX-License-Identifier: BSD-3-Clause
/*
 * interrupt.c - starts a program in a console and stops it there: interrupt SECONDS COMMAND...
 *
 * WinFsp.Launcher, and whoever types, ends a console program by a control event. The launcher sends
 * CTRL_BREAK to a process group; Wine delivers CTRL_C only, which takes the same way to the same handler.
 * Prints "EXIT n" with the program's exit code, or "HUNG" if it did not end within ten seconds.
 */
#include <windows.h>

#include <stdbool.h>
#include <stdio.h>
#include <wchar.h>

int wmain(int argc, wchar_t **argv);

/* The command line behind the first two words, as it was typed. */
static wchar_t *rest_of_line(void)
{
    wchar_t *p = GetCommandLineW();

    for (int words = 0; words < 2; words++) {
        bool quoted = false;

        for (; *p && (quoted || *p != L' '); p++)
            if (*p == L'"')
                quoted = !quoted;
        while (*p == L' ')
            p++;
    }
    return p;
}

static BOOL WINAPI stay(DWORD control)
{
    return control == CTRL_C_EVENT;
}

int wmain(int argc, wchar_t **argv)
{
    STARTUPINFOW start = {.cb = sizeof(start), .dwFlags = STARTF_USESTDHANDLES};
    PROCESS_INFORMATION process;
    DWORD code;

    if (argc < 3)
        return 2;
    start.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
    start.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
    start.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    FreeConsole();
    if (!AllocConsole() ||
        !CreateProcessW(NULL, rest_of_line(), NULL, NULL, TRUE, 0, NULL, NULL, &start, &process)) {
        printf("cannot start: %lu\n", GetLastError());
        return 1;
    }
    Sleep(1000 * wcstoul(argv[1], NULL, 10));
    SetConsoleCtrlHandler(stay, TRUE);
    if (!GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0))
        printf("no CTRL_C: %lu\n", GetLastError());
    if (WaitForSingleObject(process.hProcess, 10000) != WAIT_OBJECT_0) {
        TerminateProcess(process.hProcess, 99);
        puts("HUNG");
        return 1;
    }
    GetExitCodeProcess(process.hProcess, &code);
    printf("EXIT %lu\n", code);
    return 0;
}
