// SPDX-License-Identifier: BSD-3-Clause
/*
 * program.h - a Windows program that uses a drive as programs do
 *
 * What it stands for: the Win32 file calls of ordinary programs. What it does not prove: Windows' own
 * translation of them into NT calls; Wine makes Linux calls of them, which reach the volume through the
 * stand-in's FUSE door. What NT itself would ask of the volume is tested through the NT door.
 *
 * Each case works in a directory of its own and says what failed with the line and GetLastError(). The
 * program prints one TAP line a case; the test that runs it checks the same files from the host's side.
 */
#ifndef VIOFS_TESTS_PROGRAM_H
#define VIOFS_TESTS_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <windows.h>

/* A case returns normally when all is well; CHECK leaves it otherwise. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            program_failed(__FILE__, __LINE__, #cond, GetLastError());                             \
            return;                                                                                \
        }                                                                                          \
    } while (0)

/* As CHECK, for a call that must fail with @error. */
#define CHECK_FAILS(call, error)                                                                   \
    do {                                                                                           \
        SetLastError(0);                                                                           \
        if ((call) || GetLastError() != (error)) {                                                 \
            program_failed(__FILE__, __LINE__, #call " fails with " #error, GetLastError());       \
            return;                                                                                \
        }                                                                                          \
    } while (0)

struct program_case {
    const char *name;                /* a sentence with underscores */
    void (*run)(const wchar_t *dir); /* an empty directory that stays */
};

extern const struct program_case program_files[], program_names[], program_mappings[];

void program_failed(const char *file, int line, const char *what, DWORD error);

/** program_path() - "dir\name" in one of eight static buffers, for one expression's use */
const wchar_t *program_path(const wchar_t *dir, const wchar_t *name);

/** program_make() - a file of @len bytes that count up from @seed. Return: success */
bool program_make(const wchar_t *path, uint32_t len, uint8_t seed);
/** program_holds() - is the file exactly that? */
bool program_holds(const wchar_t *path, uint32_t len, uint8_t seed);
bool program_exists(const wchar_t *path);

#endif
