// SPDX-License-Identifier: BSD-3-Clause
/*
 * mappings.c - files in memory, and programs that run from the drive
 */
#include <string.h>

#include "program.h"

struct view {
    HANDLE file, mapping;
    uint8_t *bytes;
};

static bool map(struct view *v, const wchar_t *path, uint32_t size, bool write)
{
    *v = (struct view){INVALID_HANDLE_VALUE, NULL, NULL};
    v->file = CreateFileW(path, GENERIC_READ | (write ? GENERIC_WRITE : 0),
                          FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_ALWAYS,
                          FILE_ATTRIBUTE_NORMAL, NULL);
    if (v->file == INVALID_HANDLE_VALUE)
        return false;
    v->mapping =
        CreateFileMappingW(v->file, NULL, write ? PAGE_READWRITE : PAGE_READONLY, 0, size, NULL);
    if (v->mapping)
        v->bytes = MapViewOfFile(v->mapping, write ? FILE_MAP_WRITE : FILE_MAP_READ, 0, 0, 0);
    return v->bytes;
}

static bool unmap(struct view *v)
{
    bool good = !v->bytes || UnmapViewOfFile(v->bytes);

    good = (!v->mapping || CloseHandle(v->mapping)) && good;
    return (v->file == INVALID_HANDLE_VALUE || CloseHandle(v->file)) && good;
}

static void a_mapped_file_shows_its_bytes(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"file");
    struct view v;

    CHECK(program_make(path, 300000, 4));
    CHECK(map(&v, path, 0, false));
    for (uint32_t i = 0; i < 300000; i += 997)
        CHECK(v.bytes[i] == (uint8_t)(i + i / 251 + 4));
    CHECK(unmap(&v));
}

static void what_is_written_to_memory_reaches_the_file(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"file");
    struct view v;

    CHECK(map(&v, path, 200000, true));
    for (uint32_t i = 0; i < 200000; i++)
        v.bytes[i] = (uint8_t)(i + i / 251 + 6);
    CHECK(FlushViewOfFile(v.bytes, 0) && FlushFileBuffers(v.file));
    CHECK(unmap(&v));
    CHECK(program_holds(path, 200000, 6));
}

static void a_mapping_can_make_a_file_longer(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"file");
    LARGE_INTEGER size;
    struct view v;

    CHECK(program_make(path, 10, 1));
    CHECK(map(&v, path, 70000, true));
    CHECK(GetFileSizeEx(v.file, &size) && size.QuadPart == 70000);
    CHECK(v.bytes[9] == 10 && v.bytes[69999] == 0);
    CHECK(unmap(&v));
}

static void a_mapped_file_sees_a_write_through_a_handle(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"file");
    struct view v;
    DWORD n;

    CHECK(program_make(path, 8192, 0));
    CHECK(map(&v, path, 0, true));
    LARGE_INTEGER at = {.QuadPart = 5000};
    CHECK(SetFilePointerEx(v.file, at, NULL, FILE_BEGIN) &&
          WriteFile(v.file, "news", 4, &n, NULL) && n == 4);
    CHECK(memcmp(v.bytes + 5000, "news", 4) == 0);
    CHECK(unmap(&v));
}

static void a_program_runs_from_the_drive(const wchar_t *dir)
{
    STARTUPINFOW start = {.cb = sizeof(start)};
    PROCESS_INFORMATION p;
    wchar_t self[1200], line[1300];
    DWORD status = 0;

    /* Itself, copied there and called wrongly, says so with status 2. */
    CHECK(GetModuleFileNameW(NULL, self, 1200));
    CHECK(CopyFileW(self, program_path(dir, L"copy.exe"), TRUE));
    _snwprintf(line, 1300, L"\"%ls\"", program_path(dir, L"copy.exe"));
    CHECK(CreateProcessW(NULL, line, NULL, NULL, FALSE, 0, NULL, NULL, &start, &p));
    CHECK(WaitForSingleObject(p.hProcess, 30000) == WAIT_OBJECT_0);
    CHECK(GetExitCodeProcess(p.hProcess, &status) && status == 2);
    CHECK(CloseHandle(p.hThread) && CloseHandle(p.hProcess));
}

const struct program_case program_mappings[] = {
    {"a_mapped_file_shows_its_bytes", a_mapped_file_shows_its_bytes},
    {"what_is_written_to_memory_reaches_the_file", what_is_written_to_memory_reaches_the_file},
    {"a_mapping_can_make_a_file_longer", a_mapping_can_make_a_file_longer},
    {"a_mapped_file_sees_a_write_through_a_handle", a_mapped_file_sees_a_write_through_a_handle},
    {"a_program_runs_from_the_drive", a_program_runs_from_the_drive},
    {0},
};
