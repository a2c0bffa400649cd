// SPDX-License-Identifier: BSD-3-Clause
/*
 * fsreg.c - a stand-in for WinFsp's fsreg.bat: fsreg NAME EXECUTABLE COMMANDLINE [SECURITY], fsreg -u NAME
 *
 * Writes the values that fsreg.bat writes, to the same key. A program, because Wine's cmd.exe expands the %1 in an
 * argument of a batch file once more than Windows' does.
 */
#include <windows.h>

#include <stdio.h>
#include <wchar.h>

#define CLASSES L"SOFTWARE\\WinFsp\\Services\\"

int wmain(int argc, wchar_t **argv);

static int set_text(HKEY key, const wchar_t *name, const wchar_t *text)
{
    return RegSetValueExW(key, name, 0, REG_SZ, (const BYTE *)text,
                          (DWORD)((wcslen(text) + 1) * sizeof(wchar_t))) != ERROR_SUCCESS;
}

static int add(int argc, wchar_t **argv)
{
    const DWORD job_control = 1;
    wchar_t path[256], executable[MAX_PATH];
    HKEY key;
    int failed;

    if (!GetFullPathNameW(argv[2], ARRAYSIZE(executable), executable, NULL) ||
        GetFileAttributesW(executable) == INVALID_FILE_ATTRIBUTES) {
        fprintf(stderr, "executable %ls not found\n", argv[2]);
        return 2;
    }
    swprintf(path, ARRAYSIZE(path), CLASSES L"%ls", argv[1]);
    if (RegCreateKeyExW(HKEY_LOCAL_MACHINE, path, 0, NULL, 0, KEY_WRITE | KEY_WOW64_32KEY, NULL,
                        &key, NULL) != ERROR_SUCCESS)
        return 2;
    failed = set_text(key, L"Executable", executable) || set_text(key, L"CommandLine", argv[3]) ||
             (argc > 4 && set_text(key, L"Security", argv[4])) ||
             RegSetValueExW(key, L"JobControl", 0, REG_DWORD, (const BYTE *)&job_control,
                            sizeof(job_control)) != ERROR_SUCCESS;
    RegCloseKey(key);
    return failed ? 2 : 0;
}

int wmain(int argc, wchar_t **argv)
{
    wchar_t path[256];

    if (argc == 3 && wcscmp(argv[1], L"-u") == 0) {
        swprintf(path, ARRAYSIZE(path), CLASSES L"%ls", argv[2]);
        return RegDeleteKeyExW(HKEY_LOCAL_MACHINE, path, KEY_WOW64_32KEY, 0) ? 2 : 0;
    }
    if (argc != 4 && argc != 5) {
        fputs("usage: fsreg NAME EXECUTABLE COMMANDLINE [SECURITY] | fsreg -u NAME\n", stderr);
        return 2;
    }
    return add(argc, argv);
}
