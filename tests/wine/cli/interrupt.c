// SPDX-License-Identifier: BSD-3-Clause
/*
 * interrupt.c - starts a program in a console and stops it there: interrupt WORD COMMAND...
 *
 * WinFsp.Launcher, and whoever types, ends a console program by a control event. The launcher sends
 * CTRL_BREAK to a process group; Wine delivers CTRL_C only, which takes the same way to the same handler.
 * It comes when the program has printed WORD, or after thirty seconds without it.
 *
 * Repeats what the program prints, then "EXIT n" with its exit code, or "HUNG" if it did not end within
 * thirty seconds of the event.
 */
#include <windows.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#define WAIT_MS 30000

int wmain(int argc, wchar_t **argv);

/* What one thread hears and another waits for. */
struct ear {
    HANDLE pipe, heard;
    char word[64];
    char said[16384]; /* the last of it is lost when there is more; nothing here says so much */
};

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

static DWORD WINAPI listen_to(void *arg)
{
    struct ear *ear = arg;
    DWORD got, len = 0;

    while (len < sizeof(ear->said) - 1 &&
           ReadFile(ear->pipe, ear->said + len, (DWORD)sizeof(ear->said) - 1 - len, &got, NULL)) {
        fwrite(ear->said + len, 1, got, stdout);
        len += got;
        if (strstr(ear->said, ear->word))
            SetEvent(ear->heard);
    }
    SetEvent(ear->heard);
    return 0;
}

/* Start the command with its output in a pipe, of which ear has the other end. */
static bool start(struct ear *ear, HANDLE *process)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof(inherited), .bInheritHandle = TRUE};
    STARTUPINFOW info = {.cb = sizeof(info), .dwFlags = STARTF_USESTDHANDLES};
    PROCESS_INFORMATION made;

    info.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
    FreeConsole();
    if (!AllocConsole() || !CreatePipe(&ear->pipe, &info.hStdOutput, &inherited, 0) ||
        !SetHandleInformation(ear->pipe, HANDLE_FLAG_INHERIT, 0))
        return false;
    info.hStdError = info.hStdOutput;
    if (!CreateProcessW(NULL, rest_of_line(), NULL, NULL, TRUE, 0, NULL, NULL, &info, &made))
        return false;
    CloseHandle(info.hStdOutput);
    *process = made.hProcess;
    return true;
}

int wmain(int argc, wchar_t **argv)
{
    static struct ear ear;
    HANDLE process, listener;
    DWORD code;

    if (argc < 3)
        return 2;
    snprintf(ear.word, sizeof(ear.word), "%ls", argv[1]);
    ear.heard = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (!start(&ear, &process)) {
        printf("cannot start: %lu\n", GetLastError());
        return 1;
    }
    listener = CreateThread(NULL, 0, listen_to, &ear, 0, NULL);
    if (WaitForSingleObject(ear.heard, WAIT_MS) != WAIT_OBJECT_0)
        printf("not said within %d s: %s\n", WAIT_MS / 1000, ear.word);
    SetConsoleCtrlHandler(stay, TRUE);
    if (!GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0))
        printf("no CTRL_C: %lu\n", GetLastError());
    if (WaitForSingleObject(process, WAIT_MS) != WAIT_OBJECT_0) {
        TerminateProcess(process, 99);
        puts("HUNG");
        return 1;
    }
    WaitForSingleObject(listener, WAIT_MS);
    GetExitCodeProcess(process, &code);
    printf("EXIT %lu\n", code);
    return 0;
}
