// SPDX-License-Identifier: BSD-3-Clause
/*
 * names.c - directories: listing, finding, renaming, replacing, removing
 */
#include <string.h>

#include "program.h"

/* Number of entries that match, "." and ".." left out; -1 when the search cannot begin. */
static int count_matches(const wchar_t *pattern)
{
    WIN32_FIND_DATAW e;
    HANDLE h = FindFirstFileW(pattern, &e);
    int n = 0;

    if (h == INVALID_HANDLE_VALUE)
        return GetLastError() == ERROR_FILE_NOT_FOUND ? 0 : -1;
    do {
        if (wcscmp(e.cFileName, L".") && wcscmp(e.cFileName, L".."))
            n++;
    } while (FindNextFileW(h, &e));
    bool complete = GetLastError() == ERROR_NO_MORE_FILES;
    FindClose(h);
    return complete ? n : -1;
}

static void a_long_listing_is_complete(const wchar_t *dir)
{
    enum { FILES = 200 }; /* Wine reads the whole directory for each name that is not there yet */
    wchar_t name[64];

    for (unsigned i = 0; i < FILES; i++) {
        _snwprintf(name, 64, L"a file with a somewhat longer name %04u.dat", i);
        CHECK(program_make(program_path(dir, name), 0, 0));
    }
    CHECK(count_matches(program_path(dir, L"*")) == FILES);
}

static void patterns_choose_names(const wchar_t *dir)
{
    CHECK(program_make(program_path(dir, L"one.txt"), 0, 0));
    CHECK(program_make(program_path(dir, L"two.txt"), 0, 0));
    CHECK(program_make(program_path(dir, L"three.doc"), 0, 0));
    CHECK(count_matches(program_path(dir, L"*.txt")) == 2);
    CHECK(count_matches(program_path(dir, L"t*")) == 2);
    CHECK(count_matches(program_path(dir, L"?ne.txt")) == 1);
    CHECK(count_matches(program_path(dir, L"*.pdf")) == 0);
}

static void names_of_all_scripts_survive(const wchar_t *dir)
{
    const wchar_t *names[] = {
        L"\u65e5\u672c\u8a9e.txt", L"\u0440\u0443\u0441\u0441\u043a\u0438\u0439",
        L"\u00fcml\u00e4ut",       L"\U0001F600 smile",
        L" leading space",         L"with.many.dots.x"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CHECK(program_make(program_path(dir, names[i]), 100, (uint8_t)i));
        WIN32_FIND_DATAW e;
        HANDLE h = FindFirstFileW(program_path(dir, names[i]), &e);
        CHECK(h != INVALID_HANDLE_VALUE);
        FindClose(h);
        CHECK(wcscmp(e.cFileName, names[i]) == 0);
        CHECK(program_holds(program_path(dir, names[i]), 100, (uint8_t)i));
    }
    CHECK(count_matches(program_path(dir, L"*")) == sizeof(names) / sizeof(names[0]));
}

static void a_name_of_255_units_works(const wchar_t *dir)
{
    wchar_t name[257];

    for (unsigned i = 0; i < 256; i++)
        name[i] = L'n';
    name[255] = 0;
    wchar_t path[1600];
    _snwprintf(path, 1600, L"\\\\?\\%ls\\%ls", dir, name);
    CHECK(program_make(path, 3, 0));
    CHECK(program_holds(path, 3, 0));
    CHECK(DeleteFileW(path));
}

static void a_rename_moves_between_directories(const wchar_t *dir)
{
    CHECK(CreateDirectoryW(program_path(dir, L"a"), NULL) &&
          CreateDirectoryW(program_path(dir, L"b"), NULL));
    CHECK(program_make(program_path(dir, L"a\\file"), 50, 5));
    CHECK(MoveFileW(program_path(dir, L"a\\file"), program_path(dir, L"b\\other")));
    CHECK(!program_exists(program_path(dir, L"a\\file")));
    CHECK(program_holds(program_path(dir, L"b\\other"), 50, 5));
}

static void a_rename_never_replaces_unless_told_to(const wchar_t *dir)
{
    const wchar_t *from = program_path(dir, L"from"), *to = program_path(dir, L"to");

    CHECK(program_make(from, 10, 1) && program_make(to, 20, 2));
    CHECK_FAILS(MoveFileW(from, to), ERROR_ALREADY_EXISTS);
    CHECK(program_holds(from, 10, 1) && program_holds(to, 20, 2));
    CHECK(MoveFileExW(from, to, MOVEFILE_REPLACE_EXISTING));
    CHECK(!program_exists(from) && program_holds(to, 10, 1));
}

static void a_directory_is_renamed_with_what_is_in_it(const wchar_t *dir)
{
    CHECK(CreateDirectoryW(program_path(dir, L"New folder"), NULL));
    CHECK(program_make(program_path(dir, L"New folder\\file"), 8, 8));
    CHECK(MoveFileW(program_path(dir, L"New folder"), program_path(dir, L"Project")));
    CHECK(program_holds(program_path(dir, L"Project\\file"), 8, 8));
    CHECK(!program_exists(program_path(dir, L"New folder")));
}

static void replace_file_keeps_a_backup(const wchar_t *dir)
{
    const wchar_t *doc = program_path(dir, L"document"),
                  *fresh = program_path(dir, L"document.tmp"),
                  *backup = program_path(dir, L"document.bak");

    CHECK(program_make(doc, 100, 1) && program_make(fresh, 200, 2));
    CHECK(ReplaceFileW(doc, fresh, backup, 0, NULL, NULL));
    CHECK(program_holds(doc, 200, 2) && program_holds(backup, 100, 1) && !program_exists(fresh));
}

static void a_full_directory_is_not_removed(const wchar_t *dir)
{
    CHECK(CreateDirectoryW(program_path(dir, L"d"), NULL));
    CHECK(program_make(program_path(dir, L"d\\file"), 1, 1));
    CHECK_FAILS(RemoveDirectoryW(program_path(dir, L"d")), ERROR_DIR_NOT_EMPTY);
    CHECK(DeleteFileW(program_path(dir, L"d\\file")) && RemoveDirectoryW(program_path(dir, L"d")));
    CHECK(!program_exists(program_path(dir, L"d")));
}

static void a_file_is_no_directory(const wchar_t *dir)
{
    CHECK(program_make(program_path(dir, L"file"), 1, 1));
    CHECK_FAILS(RemoveDirectoryW(program_path(dir, L"file")), ERROR_DIRECTORY);
    CHECK_FAILS(CreateDirectoryW(program_path(dir, L"file"), NULL), ERROR_ALREADY_EXISTS);
    CHECK(program_holds(program_path(dir, L"file"), 1, 1));
}

static void temporary_names_do_not_collide(const wchar_t *dir)
{
    wchar_t a[MAX_PATH], b[MAX_PATH];

    CHECK(GetTempFileNameW(dir, L"tmp", 0, a) && GetTempFileNameW(dir, L"tmp", 0, b));
    CHECK(wcscmp(a, b) != 0 && program_exists(a) && program_exists(b));
}

const struct program_case program_names[] = {
    {"a_long_listing_is_complete", a_long_listing_is_complete},
    {"patterns_choose_names", patterns_choose_names},
    {"names_of_all_scripts_survive", names_of_all_scripts_survive},
    {"a_name_of_255_units_works", a_name_of_255_units_works},
    {"a_rename_moves_between_directories", a_rename_moves_between_directories},
    {"a_rename_never_replaces_unless_told_to", a_rename_never_replaces_unless_told_to},
    {"a_directory_is_renamed_with_what_is_in_it", a_directory_is_renamed_with_what_is_in_it},
    {"replace_file_keeps_a_backup", replace_file_keeps_a_backup},
    {"a_full_directory_is_not_removed", a_full_directory_is_not_removed},
    {"a_file_is_no_directory", a_file_is_no_directory},
    {"temporary_names_do_not_collide", temporary_names_do_not_collide},
    {0},
};
