// SPDX-License-Identifier: BSD-3-Clause
/*
 * helper.h - what viofs-driver.exe and viofs-service.exe have in common
 */
#ifndef VIOFS_SETUP_HELPER_H
#define VIOFS_SETUP_HELPER_H

#include <stdbool.h>

#include <windows.h>

#define VIOFS_DRIVER_SERVICE L"VirtioFsDrv"

struct hlp_command {
    const wchar_t *name;
    const wchar_t *operand; /* what the command needs, for the usage text; NULL: nothing */
    bool changes;           /* needs an administrator */
    /* @operand is NULL where the command takes none. Return: exit code. */
    DWORD (*run)(const wchar_t *operand, unsigned flags);
    const wchar_t *what;
};

struct hlp_flag {
    const wchar_t *name; /* with its dashes */
    unsigned bit;
    const wchar_t *what;
};

struct hlp_program {
    const wchar_t *name;
    const struct hlp_command *commands; /* ends with a command without a name */
    const struct hlp_flag *flags;       /* ends with a flag without a name */
    const wchar_t *codes;               /* the exit codes, for the usage text */
};

/**
 * hlp_main() - read the command line, see to the rights, run the command
 *
 * Return: the process' exit code, a Win32 error; ERROR_INVALID_PARAMETER after a line that says what is wrong
 *   with the command line, ERROR_ACCESS_DENIED when a command that changes something has no administrator.
 */
int hlp_main(const struct hlp_program *program, int argc, wchar_t **argv);

/** hlp_fail() - say "WHAT: Windows' words for the error", to standard output. Return: @error. */
DWORD hlp_fail(DWORD error, const wchar_t *what);

#endif
