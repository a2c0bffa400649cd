// SPDX-License-Identifier: BSD-3-Clause
/*
 * files.c - contents: reading, writing, appending, truncating, sharing, deleting
 */
#include <string.h>

#include "program.h"

static HANDLE open_file(const wchar_t *path, DWORD access, DWORD disposition)
{
    return CreateFileW(path, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                       disposition, FILE_ATTRIBUTE_NORMAL, NULL);
}

static void what_is_written_is_read(const wchar_t *dir)
{
    const uint32_t sizes[] = {0, 1, 4095, 4096, 65537, 1 << 20, (1 << 20) + 13, 5 << 20};

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        wchar_t name[32];
        _snwprintf(name, 32, L"size-%u", sizes[i]);
        CHECK(program_make(program_path(dir, name), sizes[i], (uint8_t)i));
        CHECK(program_holds(program_path(dir, name), sizes[i], (uint8_t)i));
    }
}

static void create_new_refuses_what_exists(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"file");

    CHECK(program_make(path, 10, 1));
    CHECK_FAILS(open_file(path, GENERIC_WRITE, CREATE_NEW) != INVALID_HANDLE_VALUE,
                ERROR_FILE_EXISTS);
    CHECK(program_holds(path, 10, 1));
}

static void open_existing_says_which_part_is_missing(const wchar_t *dir)
{
    CHECK_FAILS(open_file(program_path(dir, L"none"), GENERIC_READ, OPEN_EXISTING) !=
                    INVALID_HANDLE_VALUE,
                ERROR_FILE_NOT_FOUND);
    CHECK_FAILS(open_file(program_path(dir, L"none\\file"), GENERIC_READ, OPEN_EXISTING) !=
                    INVALID_HANDLE_VALUE,
                ERROR_PATH_NOT_FOUND);
}

static void create_always_empties_a_file(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"file");

    CHECK(program_make(path, 5000, 1));
    HANDLE f = open_file(path, GENERIC_WRITE, CREATE_ALWAYS);
    CHECK(f != INVALID_HANDLE_VALUE);
    CHECK(CloseHandle(f));
    CHECK(program_holds(path, 0, 0));
}

static void appends_go_to_the_end(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"log");
    DWORD n;
    char text[32] = "";

    for (unsigned i = 0; i < 5; i++) {
        HANDLE f = open_file(path, FILE_APPEND_DATA, OPEN_ALWAYS);
        CHECK(f != INVALID_HANDLE_VALUE);
        CHECK(WriteFile(f, "line\n", 5, &n, NULL) && n == 5);
        CHECK(CloseHandle(f));
    }
    HANDLE f = open_file(path, GENERIC_READ, OPEN_EXISTING);
    CHECK(f != INVALID_HANDLE_VALUE);
    CHECK(ReadFile(f, text, sizeof(text), &n, NULL) && n == 25);
    CHECK(CloseHandle(f));
    CHECK(memcmp(text, "line\nline\nline\nline\nline\n", 25) == 0);
}

static void a_file_grows_and_shrinks_to_where_the_pointer_is(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"file");
    LARGE_INTEGER at = {.QuadPart = 100000}, size;

    HANDLE f = open_file(path, GENERIC_READ | GENERIC_WRITE, CREATE_NEW);
    CHECK(f != INVALID_HANDLE_VALUE);
    CHECK(SetFilePointerEx(f, at, NULL, FILE_BEGIN) && SetEndOfFile(f));
    CHECK(GetFileSizeEx(f, &size) && size.QuadPart == 100000);
    at.QuadPart = 7;
    CHECK(SetFilePointerEx(f, at, NULL, FILE_BEGIN) && SetEndOfFile(f));
    CHECK(GetFileSizeEx(f, &size) && size.QuadPart == 7);
    CHECK(CloseHandle(f));
}

static void offsets_beyond_four_gigabytes_work(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"sparse");
    LARGE_INTEGER at = {.QuadPart = 5LL << 30};
    char byte = 0;
    DWORD n;

    HANDLE f = open_file(path, GENERIC_READ | GENERIC_WRITE, CREATE_NEW);
    CHECK(f != INVALID_HANDLE_VALUE);
    CHECK(SetFilePointerEx(f, at, NULL, FILE_BEGIN) && WriteFile(f, "x", 1, &n, NULL) && n == 1);
    CHECK(SetFilePointerEx(f, at, NULL, FILE_BEGIN) && ReadFile(f, &byte, 1, &n, NULL) && n == 1 &&
          byte == 'x');
    at.QuadPart = 1LL << 30;
    CHECK(SetFilePointerEx(f, at, NULL, FILE_BEGIN) && ReadFile(f, &byte, 1, &n, NULL) && n == 1 &&
          byte == 0);
    CHECK(CloseHandle(f));
    CHECK(DeleteFileW(path));
}

static void reading_at_the_end_gives_nothing(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"file");
    LARGE_INTEGER at = {.QuadPart = 1 << 20};
    char byte;
    DWORD n = 1;

    CHECK(program_make(path, 1 << 20, 9));
    HANDLE f = open_file(path, GENERIC_READ, OPEN_EXISTING);
    CHECK(f != INVALID_HANDLE_VALUE);
    CHECK(SetFilePointerEx(f, at, NULL, FILE_BEGIN) && ReadFile(f, &byte, 1, &n, NULL) && n == 0);
    CHECK(CloseHandle(f));
}

static void a_file_that_is_not_shared_cannot_be_opened_twice(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"file");

    CHECK(program_make(path, 1, 0));
    HANDLE f = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    CHECK(f != INVALID_HANDLE_VALUE);
    CHECK_FAILS(open_file(path, GENERIC_READ, OPEN_EXISTING) != INVALID_HANDLE_VALUE,
                ERROR_SHARING_VIOLATION);
    CHECK(CloseHandle(f));
    CHECK(program_holds(path, 1, 0));
}

static void a_file_can_go_when_it_is_closed(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"temporary");

    HANDLE f = CreateFileW(path, GENERIC_WRITE, FILE_SHARE_DELETE, NULL, CREATE_NEW,
                           FILE_FLAG_DELETE_ON_CLOSE, NULL);
    CHECK(f != INVALID_HANDLE_VALUE);
    CHECK(CloseHandle(f));
    CHECK(!program_exists(path));
}

static void overlapped_reads_find_their_places(const wchar_t *dir)
{
    enum { PIECES = 16, PIECE = 8192 };
    const wchar_t *path = program_path(dir, L"file");
    static uint8_t got[PIECES][PIECE];
    OVERLAPPED o[PIECES];
    DWORD n;

    CHECK(program_make(path, PIECES * PIECE, 3));
    HANDLE f = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING,
                           FILE_FLAG_OVERLAPPED, NULL);
    CHECK(f != INVALID_HANDLE_VALUE);
    for (unsigned i = 0; i < PIECES; i++) {
        o[i] = (OVERLAPPED){.Offset = (PIECES - 1 - i) * PIECE,
                            .hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
        CHECK(ReadFile(f, got[PIECES - 1 - i], PIECE, NULL, &o[i]) ||
              GetLastError() == ERROR_IO_PENDING);
    }
    for (unsigned i = 0; i < PIECES; i++) {
        CHECK(GetOverlappedResult(f, &o[i], &n, TRUE) && n == PIECE);
        CloseHandle(o[i].hEvent);
    }
    CHECK(CloseHandle(f));
    const uint8_t *all = &got[0][0];
    for (uint32_t i = 0; i < PIECES * PIECE; i++)
        CHECK(all[i] == (uint8_t)(i + i / 251 + 3));
}

static void a_copy_is_the_same(const wchar_t *dir)
{
    CHECK(program_make(program_path(dir, L"from"), 3000000, 77));
    CHECK(CopyFileW(program_path(dir, L"from"), program_path(dir, L"to"), TRUE));
    CHECK(program_holds(program_path(dir, L"to"), 3000000, 77));
    CHECK_FAILS(CopyFileW(program_path(dir, L"from"), program_path(dir, L"to"), TRUE),
                ERROR_FILE_EXISTS);
}

static void flushing_works(const wchar_t *dir)
{
    DWORD n;

    HANDLE f = open_file(program_path(dir, L"file"), GENERIC_WRITE, CREATE_NEW);
    CHECK(f != INVALID_HANDLE_VALUE);
    CHECK(WriteFile(f, "data", 4, &n, NULL) && FlushFileBuffers(f));
    CHECK(CloseHandle(f));
}

static void file_times_stay_as_they_are_set(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"file");
    FILETIME write = {.dwLowDateTime = 0xD53E8000, .dwHighDateTime = 0x019DB1DE},
             got; /* 1970-01-01 */

    write.dwHighDateTime += 0x00100000; /* some years later */
    CHECK(program_make(path, 4, 0));
    HANDLE f = open_file(path, FILE_WRITE_ATTRIBUTES, OPEN_EXISTING);
    CHECK(f != INVALID_HANDLE_VALUE);
    CHECK(SetFileTime(f, NULL, NULL, &write));
    CHECK(CloseHandle(f));
    f = open_file(path, GENERIC_READ, OPEN_EXISTING);
    CHECK(f != INVALID_HANDLE_VALUE);
    CHECK(GetFileTime(f, NULL, NULL, &got));
    CHECK(CloseHandle(f));
    CHECK(CompareFileTime(&write, &got) == 0);
}

static void a_read_only_file_is_not_written(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"file");

    CHECK(program_make(path, 4, 0));
    CHECK(SetFileAttributesW(path, FILE_ATTRIBUTE_READONLY));
    CHECK(GetFileAttributesW(path) & FILE_ATTRIBUTE_READONLY);
    CHECK_FAILS(open_file(path, GENERIC_WRITE, OPEN_EXISTING) != INVALID_HANDLE_VALUE,
                ERROR_ACCESS_DENIED);
    CHECK(SetFileAttributesW(path, FILE_ATTRIBUTE_NORMAL));
    CHECK(!(GetFileAttributesW(path) & FILE_ATTRIBUTE_READONLY));
    CHECK(program_make(path, 5, 0));
}

static void two_handles_of_a_file_have_the_same_number(const wchar_t *dir)
{
    const wchar_t *path = program_path(dir, L"file");
    BY_HANDLE_FILE_INFORMATION a, b;

    CHECK(program_make(path, 4, 0));
    HANDLE f = open_file(path, GENERIC_READ, OPEN_EXISTING),
           g = open_file(path, GENERIC_READ, OPEN_EXISTING);
    CHECK(GetFileInformationByHandle(f, &a) && GetFileInformationByHandle(g, &b));
    CHECK(a.nFileIndexLow == b.nFileIndexLow && a.nFileIndexHigh == b.nFileIndexHigh &&
          a.nFileSizeLow == 4);
    CHECK(CloseHandle(f) && CloseHandle(g));
}

static void the_volume_has_a_size_and_free_space(const wchar_t *dir)
{
    ULARGE_INTEGER mine, total, free_bytes;

    CHECK(GetDiskFreeSpaceExW(dir, &mine, &total, &free_bytes));
    CHECK(total.QuadPart > 0 && free_bytes.QuadPart <= total.QuadPart &&
          mine.QuadPart <= free_bytes.QuadPart);
}

const struct program_case program_files[] = {
    {"what_is_written_is_read", what_is_written_is_read},
    {"create_new_refuses_what_exists", create_new_refuses_what_exists},
    {"open_existing_says_which_part_is_missing", open_existing_says_which_part_is_missing},
    {"create_always_empties_a_file", create_always_empties_a_file},
    {"appends_go_to_the_end", appends_go_to_the_end},
    {"a_file_grows_and_shrinks_to_where_the_pointer_is",
     a_file_grows_and_shrinks_to_where_the_pointer_is},
    {"offsets_beyond_four_gigabytes_work", offsets_beyond_four_gigabytes_work},
    {"reading_at_the_end_gives_nothing", reading_at_the_end_gives_nothing},
    {"a_file_that_is_not_shared_cannot_be_opened_twice",
     a_file_that_is_not_shared_cannot_be_opened_twice},
    {"a_file_can_go_when_it_is_closed", a_file_can_go_when_it_is_closed},
    {"overlapped_reads_find_their_places", overlapped_reads_find_their_places},
    {"a_copy_is_the_same", a_copy_is_the_same},
    {"flushing_works", flushing_works},
    {"file_times_stay_as_they_are_set", file_times_stay_as_they_are_set},
    {"a_read_only_file_is_not_written", a_read_only_file_is_not_written},
    {"two_handles_of_a_file_have_the_same_number", two_handles_of_a_file_have_the_same_number},
    {"the_volume_has_a_size_and_free_space", the_volume_has_a_size_and_free_space},
    {0},
};
