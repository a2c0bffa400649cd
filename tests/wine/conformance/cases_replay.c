// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_replay.c - the calls that programs make for what users do
 *
 * Sequences of NT calls as Windows' own libraries make them (ReplaceFile, MoveFileEx, SetFileTime, DeleteFile ...), in the
 * order in which the programs use them. What counts is what is on the host afterwards.
 */
#include <string.h>

#include "tests/wine/conformance/conf.h"

#define MIB 1048576u

/* CreateFile(CREATE_ALWAYS), WriteFile, CloseHandle */
static void save(struct t *t, const char *name, const char *text)
{
    handle h = OPEN(t, name, .access = FILE_GENERIC_WRITE | FILE_READ_ATTRIBUTES,
                    .disposition = FILE_OVERWRITE_IF, .options = FILE_NON_DIRECTORY_FILE,
                    .share = FILE_SHARE_READ);

    nt_puts(t, h, 0, text);
    nt_close(t, h);
}

/* MoveFileEx: the source is opened for DELETE, links themselves, and renamed. */
static uint32_t move_file(struct t *t, const char *from, const char *to, bool replace)
{
    handle h;
    uint32_t status = nt_create(t, from,
                                HOW(.access = FILE_READ_ATTRIBUTES | DELETE | SYNCHRONIZE,
                                    .options = FILE_OPEN_REPARSE_POINT),
                                &h);

    if (status != STATUS_SUCCESS)
        return status;
    /* Windows 10 tries POSIX semantics first */
    status = nt_rename_ex(
        t, h, to, (replace ? FILE_RENAME_REPLACE_IF_EXISTS : 0) | FILE_RENAME_POSIX_SEMANTICS);
    nt_close(t, h);
    return status;
}

/* DeleteFile of Windows 10: POSIX semantics and read-only ignored, the old class if that is refused. */
static uint32_t delete_file(struct t *t, const char *name)
{
    handle h;
    uint32_t status = nt_create(
        t, name, HOW(.access = FILE_READ_ATTRIBUTES | DELETE, .options = FILE_OPEN_REPARSE_POINT),
        &h);

    if (status != STATUS_SUCCESS)
        return status;
    status = nt_delete_ex(t, h, FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS);
    if (status == STATUS_INVALID_PARAMETER || status == STATUS_NOT_SUPPORTED)
        status = nt_delete(t, h, true);
    nt_close(t, h);
    return status;
}

/*
 * ReplaceFile(replaced, replacement, backup): both opened, attributes and security carried over to the new one, the old
 * one renamed to the backup through its handle, the new one to the old name.
 */
static void replace_file(struct t *t, const char *name, const char *by, const char *backup)
{
    handle old = OPEN(t, name, .access = FILE_GENERIC_READ | DELETE | FILE_WRITE_ATTRIBUTES,
                      .options = FILE_NON_DIRECTORY_FILE);
    handle new = OPEN(t, by, .access = FILE_GENERIC_READ | FILE_GENERIC_WRITE | DELETE | WRITE_DAC,
                      .options = FILE_NON_DIRECTORY_FILE);
    struct basic_info b = nt_basic(t, old);
    uint8_t sd[512];
    uint32_t n;

    b.accessed = b.written = b.changed = 0;
    OK(t, nt_set(t, new, FileBasicInformation, &b, sizeof(b)));
    OK(t, nt_security(t, old, DACL_SECURITY_INFORMATION, sizeof(sd)));
    n = nt_data_len(t);
    memcpy(sd, nt_data(t), n);
    OK(t, nt_set_security(t, new, DACL_SECURITY_INFORMATION, sd, n));
    if (backup)
        OK(t, nt_rename(t, old, backup, true));
    OK(t, nt_rename_ex(t, new, name,
                       backup ? 0 : FILE_RENAME_REPLACE_IF_EXISTS | FILE_RENAME_POSIX_SEMANTICS));
    nt_close(t, old);
    nt_close(t, new);
}

/* ---- documents ------------------------------------------------------------------------------- */

static void word_saves_a_document(struct t *t)
{
    host_puts(t, "Letter.docx", "old");
    host_chmod(t, "Letter.docx", 0640);
    handle document = OPEN(t, "Letter.docx", .access = FILE_GENERIC_READ, .share = FILE_SHARE_ALL);
    save(t, "~$Letter.docx", "owner");
    save(t, "~WRD0001.tmp", "new");
    nt_close(t, document);
    replace_file(t, "Letter.docx", "~WRD0001.tmp", "~WRL0002.tmp");
    OK(t, delete_file(t, "~WRL0002.tmp"));
    OK(t, delete_file(t, "~$Letter.docx"));
    TEXT(t, "Letter.docx", host_names(t, ""));
    TEXT(t, "new", host_gets(t, "Letter.docx"));
}

static void word_saves_without_a_backup(struct t *t)
{
    host_puts(t, "Letter.docx", "old");
    save(t, "~WRD0001.tmp", "new");
    replace_file(t, "Letter.docx", "~WRD0001.tmp", NULL);
    TEXT(t, "Letter.docx", host_names(t, ""));
    TEXT(t, "new", host_gets(t, "Letter.docx"));
}

static void excel_saves_a_sheet(struct t *t)
{
    host_puts(t, "Sheet.xlsx", "old");
    handle lock = OPEN(t, "~$Sheet.xlsx", .disposition = FILE_OVERWRITE_IF,
                       .attributes = FILE_ATTRIBUTE_HIDDEN, .share = FILE_SHARE_READ,
                       .options = FILE_DELETE_ON_CLOSE);
    save(t, "8A3C0000", "new");
    /* renamed in two steps, with the document closed */
    OK(t, move_file(t, "Sheet.xlsx", "8A3C1000", false));
    OK(t, move_file(t, "8A3C0000", "Sheet.xlsx", false));
    OK(t, delete_file(t, "8A3C1000"));
    nt_close(t, lock);
    TEXT(t, "Sheet.xlsx", host_names(t, ""));
    TEXT(t, "new", host_gets(t, "Sheet.xlsx"));
}

static void a_second_excel_hears_that_the_sheet_is_in_use(struct t *t)
{
    host_puts(t, "Sheet.xlsx", "text");
    OPEN(t, "Sheet.xlsx", .access = FILE_GENERIC_READ | FILE_GENERIC_WRITE,
         .share = FILE_SHARE_READ);
    struct t *other = another(t);

    EXPECT(other, STATUS_SHARING_VIOLATION,
           TRY(other, "Sheet.xlsx", .access = FILE_GENERIC_READ | FILE_GENERIC_WRITE,
               .share = FILE_SHARE_READ));
    OK(other, TRY(other, "Sheet.xlsx", .access = FILE_GENERIC_READ,
                  .share = FILE_SHARE_READ | FILE_SHARE_WRITE));
}

/* ---- Explorer -------------------------------------------------------------------------------- */

static void a_new_folder_is_made_and_named(struct t *t)
{
    EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "New folder", .access = FILE_READ_ATTRIBUTES));
    nt_close(t, MAKE(t, "New folder", .options = FILE_DIRECTORY_FILE,
                     .access = FILE_LIST_DIRECTORY | SYNCHRONIZE));
    TEXT(t, "New folder", nt_names(t, "", NULL));
    OK(t, move_file(t, "New folder", "Photos", false));
    TEXT(t, "Photos", nt_names(t, "", NULL));
    TEXT(t, "Photos", host_names(t, ""));
}

static void a_second_new_folder_gets_a_number(struct t *t)
{
    MKDIR(t, "New folder");
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION,
           TRY(t, "New folder", .disposition = FILE_CREATE, .options = FILE_DIRECTORY_FILE));
    MKDIR(t, "New folder (2)");
    TEXT(t, "New folder New folder (2)", host_names(t, ""));
}

/* CopyFile: the size first, then the data, then the times, with all of it shared for reading. */
static void a_file_is_copied_with_its_times(struct t *t)
{
    uint8_t *bytes = keep(t, MIB), *back = keep(t, MIB);
    struct basic_info b;

    pattern(bytes, 0, MIB, 5);
    host_write(t, "f", bytes, MIB);
    host_times(t, "f", 1000000000, 1100000000);
    handle from = OPEN(t, "f", .access = FILE_GENERIC_READ);
    handle to = OPEN(t, "copy", .access = FILE_GENERIC_READ | FILE_GENERIC_WRITE | DELETE,
                     .disposition = FILE_OVERWRITE_IF, .attributes = FILE_ATTRIBUTE_ARCHIVE);
    b = nt_basic(t, from);
    OK(t, nt_set_size(t, to, MIB));
    for (uint32_t at = 0; at < MIB; at += 262144) {
        OK(t, nt_read(t, from, at, back, 262144, NULL));
        OK(t, nt_write(t, to, at, back, 262144));
    }
    OK(t, nt_set(t, to, FileBasicInformation, &b, sizeof(b)));
    nt_close(t, to);
    EQUAL(t, MIB, host_read(t, "copy", back, MIB));
    CHECK(t, pattern_is(back, 0, MIB, 5));
    EQUAL(t, 1100000000, host_stat(t, "copy").st_mtim.tv_sec);
}

/* rd /s: what is found is deleted while the listing goes on. */
static void delete_tree(struct t *t, const char *name)
{
    handle d = OPEN(t, name, .access = FILE_LIST_DIRECTORY | DELETE | SYNCHRONIZE);
    struct listing *l = keep(t, sizeof(*l));
    unsigned done = 0;

    while (nt_query_dir(t, d, NULL, FileIdBothDirectoryInformation, 1024, 0, l) == STATUS_SUCCESS)
        for (; done < l->n; done++) {
            const struct entry *e = &l->entry[done];
            const char *path = keep_printf(t, "%s\\%s", name, e->name);

            if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
                continue;
            if ((e->attributes & FILE_ATTRIBUTE_DIRECTORY) &&
                !(e->attributes & FILE_ATTRIBUTE_REPARSE_POINT))
                delete_tree(t, path);
            else
                OK(t, delete_file(t, path));
        }
    EXPECT(t, STATUS_NO_MORE_FILES, l->status);
    OK(t, nt_delete_ex(t, d, FILE_DISPOSITION_DELETE | FILE_DISPOSITION_POSIX_SEMANTICS));
    nt_close(t, d);
}

static void a_tree_is_removed(struct t *t)
{
    host_mkdir(t, "tree");
    for (unsigned i = 0; i < 5; i++) {
        host_mkdir(t, keep_printf(t, "tree\\d%u", i));
        for (unsigned k = 0; k < 40; k++)
            host_puts(t, keep_printf(t, "tree\\d%u\\file number %u", i, k), "x");
    }
    host_mkdir(t, "kept");
    host_puts(t, "kept\\f", "text");
    host_symlink(t, "tree\\link", "../kept");
    delete_tree(t, "tree");
    TEXT(t, "kept", host_names(t, ""));
    TEXT(t, "text", host_gets(t, "kept\\f"));
}

/* ---- developers ------------------------------------------------------------------------------ */

/* A lock file made exclusively, filled, and renamed over what it locks. */
static void git_rewrites_its_index(struct t *t)
{
    host_mkdir(t, ".git");
    host_puts(t, ".git\\index", "old");
    handle lock = MAKE(t, ".git\\index.lock", .access = FILE_GENERIC_READ | FILE_GENERIC_WRITE);
    nt_puts(t, lock, 0, "new");
    OK(t, nt_flush(t, lock));
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION, TRY(t, ".git\\index.lock", .disposition = FILE_CREATE));
    nt_close(t, lock);
    OK(t, move_file(t, ".git\\index.lock", ".git\\index", true));
    TEXT(t, "index", host_names(t, ".git"));
    TEXT(t, "new", host_gets(t, ".git\\index"));
}

/* Objects are written once and read-only; the name comes with a rename. */
static void git_writes_an_object(struct t *t)
{
    host_mkdir(t, "objects");
    MKDIR(t, "objects\\1f");
    save(t, "objects\\1f\\tmp_obj_a", "blob");
    handle h = OPEN(t, "objects\\1f\\tmp_obj_a", .access = FILE_WRITE_ATTRIBUTES | SYNCHRONIZE);
    OK(t, nt_set_attributes(t, h, FILE_ATTRIBUTE_READONLY));
    nt_close(t, h);
    OK(t, move_file(t, "objects\\1f\\tmp_obj_a", "objects\\1f\\2e", true));
    EQUAL(t, 0, host_mode(t, "objects\\1f\\2e") & 0222);
    EXPECT(t, STATUS_CANNOT_DELETE, delete_file(t, "objects\\1f\\2e"));
    TEXT(t, "blob", host_gets(t, "objects\\1f\\2e"));
}

/* Incumbent: 0664 for whatever was overwritten: scripts lose their x (B.4, Overwrite). */
static void git_checks_out_another_branch(struct t *t)
{
    host_puts(t, "script.sh", "old");
    host_chmod(t, "script.sh", 0755);
    host_puts(t, "gone.c", "old");
    host_mkdir(t, "dir");
    host_puts(t, "dir\\only.c", "old");
    OK(t, delete_file(t, "gone.c"));
    OK(t, delete_file(t, "dir\\only.c"));
    OK(t, nt_remove(t, "dir"));
    save(t, "script.sh", "new");
    MKDIR(t, "src");
    save(t, "src\\main.c", "new");
    handle h = OPEN(t, "src\\main.c", .access = FILE_READ_ATTRIBUTES);
    EQUAL(t, 3, nt_network(t, h).size);
    TEXT(t, "script.sh src", host_names(t, ""));
    EQUAL(t, 0755, host_mode(t, "script.sh"));
}

/* The output is new when it was written last; an old creation time must not move. Incumbent: it does (#1024). */
static void msbuild_compares_times(struct t *t)
{
    host_puts(t, "main.cs", "source");
    save(t, "main.dll", "first");
    handle h = OPEN(t, "main.dll", .access = FILE_READ_ATTRIBUTES);
    struct basic_info first = nt_basic(t, h);

    nt_close(t, h);
    save(t, "main.dll", "second");
    h = OPEN(t, "main.dll", .access = FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES);
    struct basic_info second = nt_basic(t, h), b = {.written = second.written + 10000000};
    EQUAL(t, first.created, second.created);
    CHECK(t, second.written >= first.written);
    OK(t, nt_set(t, h, FileBasicInformation, &b, sizeof(b)));
    EQUAL(t, b.written, nt_basic(t, h).written);
    EQUAL(t, b.written, filetime(host_stat(t, "main.dll").st_mtim));
}

static void a_compiler_writes_through_a_temporary_file(struct t *t)
{
    handle h = MAKE(t, "main.obj.tmp", .attributes = FILE_ATTRIBUTE_TEMPORARY, .allocation = 65536);

    for (unsigned i = 0; i < 16; i++)
        OK(t, nt_write(t, h, (int64_t)i * 1024, keep(t, 1024), 1024));
    OK(t, nt_set_size(t, h, 16000));
    OK(t,
       nt_rename_ex(t, h, "main.obj", FILE_RENAME_REPLACE_IF_EXISTS | FILE_RENAME_POSIX_SEMANTICS));
    nt_close(t, h);
    EQUAL(t, 16000, host_stat(t, "main.obj").st_size);
    TEXT(t, "main.obj", host_names(t, ""));
}

/* ---- programs -------------------------------------------------------------------------------- */

/* Room first, then pieces in any order, a check of all, and the old file goes. */
static void steam_updates_a_game(struct t *t)
{
    uint8_t *piece = keep(t, MIB), *back = keep(t, MIB);

    host_puts(t, "game.pak", "old");
    handle h = MAKE(t, "game.pak.new");
    OK(t, nt_set_allocation(t, h, 8 * MIB));
    OK(t, nt_set_size(t, h, 8 * MIB));
    for (unsigned i = 0; i < 8; i++) {
        uint64_t at = (uint64_t)(i * 3 % 8) * MIB;

        pattern(piece, at, MIB, 11);
        OK(t, nt_write(t, h, (int64_t)at, piece, MIB));
    }
    for (uint64_t at = 0; at < 8 * MIB; at += MIB) {
        OK(t, nt_read(t, h, (int64_t)at, back, MIB, NULL));
        CHECK(t, pattern_is(back, at, MIB, 11));
    }
    OK(t, nt_flush(t, h));
    nt_close(t, h);
    OK(t, delete_file(t, "game.pak"));
    OK(t, move_file(t, "game.pak.new", "game.pak", false));
    EQUAL(t, 8 * MIB, host_stat(t, "game.pak").st_size);
    TEXT(t, "game.pak", host_names(t, ""));
}

/* A program is opened to be executed and read as a section: paging I/O through a handle that shares no deletion. */
static void an_installer_is_started_from_the_drive(struct t *t)
{
    uint8_t *image = keep(t, 65536), *back = keep(t, 65536);

    pattern(image, 0, 65536, 13);
    host_write(t, "setup.exe", image, 65536);
    host_chmod(t, "setup.exe", 0644);
    handle h = OPEN(t, "setup.exe", .access = FILE_GENERIC_READ | FILE_GENERIC_EXECUTE,
                    .share = FILE_SHARE_READ);
    OK(t, nt_read_flags(t, h, 0, back, 4096, NULL, DOOR_IO_PAGING));
    OK(t, nt_read_flags(t, h, 4096, back + 4096, 61440, NULL, DOOR_IO_PAGING));
    CHECK(t, pattern_is(back, 0, 65536, 13));
    EXPECT(t, STATUS_SHARING_VIOLATION, TRY(t, "setup.exe", .access = FILE_GENERIC_WRITE));
    EXPECT(t, STATUS_SHARING_VIOLATION, delete_file(t, "setup.exe"));
}

/* A database: unbuffered writes in sectors, write-through, a second handle that reads. */
static void a_database_writes_its_log(struct t *t)
{
    uint8_t sector[512], back[512];
    handle log = MAKE(t, "db.log", .options = FILE_NO_INTERMEDIATE_BUFFERING | FILE_WRITE_THROUGH);
    handle reader = OPEN(t, "db.log", .access = FILE_GENERIC_READ);

    for (unsigned i = 0; i < 32; i++) {
        pattern(sector, i * 512u, 512, 17);
        OK(t, nt_write(t, log, i * 512, sector, 512));
    }
    EXPECT(t, STATUS_INVALID_PARAMETER, nt_write(t, log, 100, sector, 100));
    for (unsigned i = 0; i < 32; i++) {
        OK(t, nt_read(t, reader, i * 512, back, 512, NULL));
        CHECK(t, pattern_is(back, i * 512u, 512, 17));
    }
    EQUAL(t, 32 * 512, host_stat(t, "db.log").st_size);
}

/* A journal that exists while a transaction does: made, deleted while it is open, made again. */
static void sqlite_commits_twice(struct t *t)
{
    handle db = OPEN(t, "app.db", .disposition = FILE_OPEN_IF);

    for (unsigned i = 0; i < 2; i++) {
        handle journal = OPEN(t, "app.db-journal", .disposition = FILE_OPEN_IF);
        EQUAL(t, FILE_CREATED, nt_information(t));
        nt_puts(t, journal, 0, "before");
        OK(t, nt_flush(t, journal));
        OK(t, nt_lock(t, db, 0x40000000, 1, true));
        nt_puts(t, db, 0, i ? "second" : "first!");
        OK(t, nt_flush(t, db));
        OK(t, nt_unlock(t, db, 0x40000000, 1));
        nt_close(t, journal);
        OK(t, delete_file(t, "app.db-journal"));
        EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "app.db-journal"));
    }
    TEXT(t, "second", host_gets(t, "app.db"));
}

static const struct test_case cases[] = {
    CASE(word_saves_a_document),
    CASE(word_saves_without_a_backup),
    CASE(excel_saves_a_sheet),
    CASE(a_second_excel_hears_that_the_sheet_is_in_use),
    CASE(a_new_folder_is_made_and_named),
    CASE(a_second_new_folder_gets_a_number),
    CASE(a_file_is_copied_with_its_times),
    CASE(a_tree_is_removed),
    CASE(git_rewrites_its_index),
    CASE(git_writes_an_object),
    CASE(git_checks_out_another_branch),
    CASE(msbuild_compares_times),
    CASE(a_compiler_writes_through_a_temporary_file),
    CASE(steam_updates_a_game),
    CASE(an_installer_is_started_from_the_drive),
    CASE(a_database_writes_its_log),
    CASE(sqlite_commits_twice),
};
GROUP(replay, cases);
