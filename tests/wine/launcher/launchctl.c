// SPDX-License-Identifier: BSD-3-Clause
/*
 * launchctl.c - a stand-in for WinFsp's launchctl-x64.exe: start, stop, list
 *
 * Takes the words of WinFsp's, prints "OK" or "KO launcher: error N", and exits with 0 whenever the launcher has
 * answered, as that does: who wants to know whether a share is there has to look.
 */
#include <windows.h>

#include <stdio.h>
#include <wchar.h>

#include "tests/wine/launcher/pipe.h"

int wmain(int argc, wchar_t **argv);

static int usage(void)
{
    fputs("usage: launchctl start CLASS INSTANCE [ARGUMENT...] | stop CLASS INSTANCE | list\n",
          stderr);
    return ERROR_INVALID_PARAMETER;
}

int wmain(int argc, wchar_t **argv)
{
    static wchar_t message[PIPE_UNITS], answer[PIPE_UNITS];
    DWORD units = 0, got;

    if (argc < 2 || argc > PIPE_WORDS + 1 || (wcscmp(argv[1], L"list") != 0 && argc < 4))
        return usage();
    for (int i = 1; i < argc; i++) {
        if (units + wcslen(argv[i]) + 1 > PIPE_UNITS)
            return usage();
        wcscpy(message + units, argv[i]);
        units += (DWORD)wcslen(argv[i]) + 1;
    }
    if (!CallNamedPipeW(PIPE_NAME, message, units * sizeof(wchar_t), answer,
                        sizeof(answer) - sizeof(wchar_t), &got, 5000)) {
        fprintf(stderr, "KO CallNamedPipe = %lu\n", GetLastError());
        return (int)GetLastError();
    }
    printf("%ls\n", answer);
    return 0;
}
