// SPDX-License-Identifier: BSD-3-Clause
/*
 * main.c - program.exe DIRECTORY: run all cases below a directory of the drive, TAP on standard output
 *
 * Exit status: 0 all passed, 1 some failed, 2 wrong arguments.
 */
#include <stdlib.h>
#include <string.h>

#include "program.h"

static bool failed;

void program_failed(const char *file, int line, const char *what, DWORD error)
{
    const char *base = strrchr(file, '/');

    printf("# %s:%d: %s (error %lu)\n", base ? base + 1 : file, line, what, error);
    failed = true;
}

const wchar_t *program_path(const wchar_t *dir, const wchar_t *name)
{
    static wchar_t buffer[8][1200];
    static unsigned turn;
    wchar_t *to = buffer[turn++ % 8];

    _snwprintf(to, 1200, L"%ls\\%ls", dir, name);
    to[1199] = 0;
    return to;
}

static uint8_t pattern(uint32_t at, uint8_t seed)
{
    return (uint8_t)(at + at / 251 + seed);
}

bool program_make(const wchar_t *path, uint32_t len, uint8_t seed)
{
    HANDLE f =
        CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
    uint8_t *bytes = malloc(len + 1);
    DWORD n = 0;
    bool good = f != INVALID_HANDLE_VALUE && bytes;

    for (uint32_t i = 0; good && i < len; i++)
        bytes[i] = pattern(i, seed);
    good = good && WriteFile(f, bytes, len, &n, NULL) && n == len;
    free(bytes);
    return (f == INVALID_HANDLE_VALUE || CloseHandle(f)) && good;
}

bool program_holds(const wchar_t *path, uint32_t len, uint8_t seed)
{
    HANDLE f =
        CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                    NULL, OPEN_EXISTING, 0, NULL);
    uint8_t *bytes = malloc(len + 1);
    DWORD n = 0;
    bool good =
        f != INVALID_HANDLE_VALUE && bytes && ReadFile(f, bytes, len + 1, &n, NULL) && n == len;

    for (uint32_t i = 0; good && i < len; i++)
        good = bytes[i] == pattern(i, seed);
    free(bytes);
    if (f != INVALID_HANDLE_VALUE)
        CloseHandle(f);
    return good;
}

bool program_exists(const wchar_t *path)
{
    return GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES;
}

int wmain(int argc, wchar_t **argv)
{
    const struct program_case *groups[] = {program_files, program_names, program_mappings};
    unsigned number = 0, failures = 0;

    if (argc != 2) {
        fprintf(stderr, "program: one argument, a directory of the drive\n");
        return 2;
    }
    for (unsigned g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
        for (const struct program_case *c = groups[g]; c->name; c++) {
            wchar_t dir[1200];
            _snwprintf(dir, 1200, L"%ls\\%hs", argv[1], c->name);
            failed = false;
            if (!CreateDirectoryW(dir, NULL))
                program_failed(__FILE__, __LINE__, "CreateDirectory for the case", GetLastError());
            else
                c->run(dir);
            printf("%sok %u - a Windows program: %s\n", failed ? "not " : "", ++number, c->name);
            fflush(stdout);
            failures += failed;
        }
    }
    printf("1..%u\n", number);
    return failures > 0;
}
