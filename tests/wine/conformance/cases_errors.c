// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_errors.c - what the host refuses, and what Windows hears of it
 *
 * Small and read-only file systems are mounted on directories of the share for a case (host_tmpfs()).
 *
 * Incumbent: its table has the numbers of Microsoft's <errno.h> and not Linux', so nearly all of this is
 * STATUS_UNSUCCESSFUL there (0.4, B.7).
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/wine/conformance/conf.h"

#define MIB 1048576u

static void *mebibytes(struct t *t, unsigned n)
{
    uint8_t *p = keep(t, n * (size_t)MIB);

    pattern(p, 0, n * (size_t)MIB, 7);
    return p;
}

/* A directory "full" on which one mebibyte fits. */
static void small(struct t *t)
{
    host_tmpfs(t, "full", "size=1m");
}

static void a_write_that_does_not_fit_is_disk_full(struct t *t)
{
    small(t);
    handle h = MAKE(t, "full\\f");

    nt_write(t, h, 0, mebibytes(t, 1), MIB);
    EXPECT(t, STATUS_DISK_FULL, nt_write(t, h, MIB, mebibytes(t, 1), MIB));
}

/* Programs of Windows do not look at the count: a short write must not pass for one. */
static void a_write_that_fits_in_part_is_no_success(struct t *t)
{
    small(t);
    EXPECT(t, STATUS_DISK_FULL, nt_write(t, MAKE(t, "full\\f"), 0, mebibytes(t, 2), 2 * MIB));
}

static void what_fitted_before_is_still_there(struct t *t)
{
    uint8_t *bytes = mebibytes(t, 1), *back = keep(t, MIB / 2);
    uint32_t got;

    small(t);
    handle h = MAKE(t, "full\\f");
    OK(t, nt_write(t, h, 0, bytes, MIB / 2));
    CHECK(t, nt_write(t, h, MIB, bytes, MIB) != STATUS_SUCCESS);
    OK(t, nt_read(t, h, 0, back, MIB / 2, &got));
    EQUAL(t, MIB / 2, got);
    CHECK(t, memcmp(bytes, back, MIB / 2) == 0);
}

static void an_append_that_does_not_fit_is_disk_full(struct t *t)
{
    uint32_t status = STATUS_SUCCESS;

    small(t);
    handle h = MAKE(t, "full\\f");
    for (int i = 0; i < 5 && status == STATUS_SUCCESS; i++)
        status = nt_write(t, h, -1, mebibytes(t, 1), MIB / 2);
    EXPECT(t, STATUS_DISK_FULL, status);
}

static void after_making_room_writing_works_again(struct t *t)
{
    small(t);
    host_write(t, "full\\big", mebibytes(t, 1), MIB - 65536);
    handle h = MAKE(t, "full\\f");

    EXPECT(t, STATUS_DISK_FULL, nt_write(t, h, 0, mebibytes(t, 1), MIB / 2));
    OK(t, nt_remove(t, "full\\big"));
    /* the host frees the room when it is told to forget the file, with the next tick of the service */
    EVENTUALLY(t, nt_write(t, h, 0, mebibytes(t, 1), MIB / 2) == STATUS_SUCCESS);
    EQUAL(t, MIB / 2, host_stat(t, "full\\f").st_size);
}

static void room_that_is_not_there_is_not_reserved(struct t *t)
{
    small(t);
    handle h = MAKE(t, "full\\f");

    EXPECT(t, STATUS_DISK_FULL, nt_set_allocation(t, h, 16 * MIB));
    EQUAL(t, 0, host_stat(t, "full\\f").st_size);
}

/* Incumbent: the file, its handle and a lookup are left behind (B.4, Create). */
static void a_new_file_whose_room_is_not_there_is_not_made(struct t *t)
{
    small(t);
    EXPECT(t, STATUS_DISK_FULL,
           TRY(t, "full\\f", .disposition = FILE_CREATE, .allocation = 16 * MIB));
    TEXT(t, "", host_names(t, "full"));
}

static void without_inodes_nothing_is_created(struct t *t)
{
    host_tmpfs(t, "full", "size=1m,nr_inodes=2");
    MAKE_FILE(t, "full\\f");
    EXPECT(t, STATUS_DISK_FULL, TRY(t, "full\\g", .disposition = FILE_CREATE));
    EXPECT(t, STATUS_DISK_FULL,
           TRY(t, "full\\d", .disposition = FILE_CREATE, .options = FILE_DIRECTORY_FILE));
    TEXT(t, "f", host_names(t, "full"));
}

static void a_link_that_finds_no_inode_leaves_its_placeholder(struct t *t)
{
    host_tmpfs(t, "full", "size=1m,nr_inodes=2");
    EXPECT(t, STATUS_DISK_FULL, nt_symlink(t, "full\\l", "target", false, true));
    TEXT(t, "l", host_names(t, "full"));
    CHECK(t, S_ISREG(host_stat(t, "full\\l").st_mode));
}

/* ---- read-only ------------------------------------------------------------------------------- */

/* A directory "frozen" with a file "f" and a directory "d" that nobody can change. */
static void frozen(struct t *t)
{
    host_tmpfs(t, "frozen", "size=1m");
    host_puts(t, "frozen\\f", "text");
    host_mkdir(t, "frozen\\d");
    host_freeze(t, "frozen");
}

static void nothing_is_created_where_the_host_cannot_write(struct t *t)
{
    frozen(t);
    EXPECT(t, STATUS_MEDIA_WRITE_PROTECTED, TRY(t, "frozen\\g", .disposition = FILE_CREATE));
    EXPECT(t, STATUS_MEDIA_WRITE_PROTECTED,
           TRY(t, "frozen\\e", .disposition = FILE_CREATE, .options = FILE_DIRECTORY_FILE));
}

static void nothing_is_opened_for_writing_there(struct t *t)
{
    frozen(t);
    EXPECT(t, STATUS_MEDIA_WRITE_PROTECTED, TRY(t, "frozen\\f", .access = FILE_GENERIC_WRITE));
    TEXT(t, "text", nt_gets(t, OPEN(t, "frozen\\f", .access = FILE_GENERIC_READ), 0));
}

static void nothing_is_overwritten_there(struct t *t)
{
    frozen(t);
    EXPECT(t, STATUS_MEDIA_WRITE_PROTECTED,
           TRY(t, "frozen\\f", .access = FILE_GENERIC_READ, .disposition = FILE_OVERWRITE));
    TEXT(t, "text", host_gets(t, "frozen\\f"));
}

static void nothing_is_renamed_there(struct t *t)
{
    frozen(t);
    EXPECT(t, STATUS_MEDIA_WRITE_PROTECTED, nt_move(t, "frozen\\f", "frozen\\g", false));
    TEXT(t, "d f", host_names(t, "frozen"));
}

static void attributes_are_not_changed_there(struct t *t)
{
    frozen(t);
    handle h = OPEN(t, "frozen\\f", .access = FILE_WRITE_ATTRIBUTES | FILE_READ_ATTRIBUTES);

    EXPECT(t, STATUS_MEDIA_WRITE_PROTECTED, nt_set_attributes(t, h, FILE_ATTRIBUTE_READONLY));
    EQUAL(t, 0644, host_mode(t, "frozen\\f"));
}

/* A close cannot fail: the file is simply still there, and known to be. */
static void a_file_that_cannot_be_deleted_is_found_again(struct t *t)
{
    frozen(t);
    nt_remove(t, "frozen\\f");
    CHECK(t, host_exists(t, "frozen\\f"));
    TEXT(t, "text", nt_gets(t, OPEN(t, "frozen\\f", .access = FILE_GENERIC_READ), 0));
}

/* ---- other refusals -------------------------------------------------------------------------- */

/* Explorer copies when it hears this, and gives up otherwise. */
static void a_move_to_another_file_system_says_so(struct t *t)
{
    host_tmpfs(t, "other", "size=1m");
    host_puts(t, "f", "text");
    EXPECT(t, STATUS_NOT_SAME_DEVICE, nt_move(t, "f", "other\\f", false));
    TEXT(t, "text", host_gets(t, "f"));
    TEXT(t, "", host_names(t, "other"));
}

static void a_mount_point_is_in_use(struct t *t)
{
    host_tmpfs(t, "other", "size=1m");
    EXPECT(t, STATUS_SHARING_VIOLATION, nt_move(t, "other", "another", false));
    CHECK(t, host_exists(t, "other"));
}

static void files_of_two_file_systems_have_different_numbers(struct t *t)
{
    host_tmpfs(t, "a", "size=1m");
    host_tmpfs(t, "b", "size=1m");
    host_puts(t, "a\\f", "one");
    host_puts(t, "b\\f", "two");
    TEXT(t, "one", nt_gets(t, OPEN(t, "a\\f"), 0));
    TEXT(t, "two", nt_gets(t, OPEN(t, "b\\f"), 0));
}

static void a_program_that_the_host_runs_is_in_use(struct t *t)
{
    pid_t child;
    static char seconds[] = "30", name[] = "sleep";
    char *argv[] = {name, seconds, NULL};
    static uint8_t bytes[MIB];
    size_t n;
    int fd = open("/bin/sleep", O_RDONLY | O_CLOEXEC);

    CHECK(t, fd >= 0);
    n = (size_t)read(fd, bytes, sizeof(bytes));
    close(fd);
    host_write(t, "program", bytes, n);
    host_chmod(t, "program", 0755);
    const char *path = host_path(t, "program");
    int gone[2];
    CHECK(t, pipe2(gone, O_CLOEXEC) == 0);
    child = fork();
    if (child == 0) {
        execv(path, argv);
        _exit(1);
    }
    /* the pipe's end closes when the program has started */
    close(gone[1]);
    (void)!read(gone[0], &n, 1);
    close(gone[0]);
    uint32_t status = TRY(t, "program", .access = FILE_GENERIC_WRITE);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    EXPECT(t, STATUS_SHARING_VIOLATION, status);
}

static void set_flag(struct t *t, const char *name, int flag, bool on)
{
    int fd = open(host_path(t, name), O_RDONLY | O_CLOEXEC), flags = 0;

    CHECK(t, fd >= 0);
    CHECK(t, ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0);
    flags = on ? flags | flag : flags & ~flag;
    CHECK(t, ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0);
    close(fd);
}

/* chattr +i; taken off again before anything is checked, or nobody could clear the directory away */
static void an_immutable_file_denies_writing_and_renaming(struct t *t)
{
    uint32_t write, rename;

    host_puts(t, "f", "text");
    set_flag(t, "f", FS_IMMUTABLE_FL, true);
    write = TRY(t, "f", .access = FILE_GENERIC_WRITE);
    rename = nt_move(t, "f", "g", false);
    set_flag(t, "f", FS_IMMUTABLE_FL, false);
    EXPECT(t, STATUS_ACCESS_DENIED, write);
    EXPECT(t, STATUS_ACCESS_DENIED, rename);
    TEXT(t, "f", host_names(t, ""));
}

static void an_append_only_file_denies_writing(struct t *t)
{
    uint32_t write;

    host_puts(t, "f", "text");
    set_flag(t, "f", FS_APPEND_FL, true);
    write = TRY(t, "f", .access = FILE_WRITE_DATA);
    set_flag(t, "f", FS_APPEND_FL, false);
    EXPECT(t, STATUS_ACCESS_DENIED, write);
    TEXT(t, "text", host_gets(t, "f"));
}

static void a_size_that_no_file_can_have_is_refused(struct t *t)
{
    handle h = MAKE(t, "f");

    EXPECT(t, STATUS_INVALID_PARAMETER, nt_set_size(t, h, -2));
    EQUAL(t, 0, host_stat(t, "f").st_size);
}

static void an_unknown_information_class_is_refused(struct t *t)
{
    uint8_t bytes[64] = {0};
    handle h = MAKE(t, "f");

    CHECK(t, nt_query(t, h, 200, bytes, sizeof(bytes)) != STATUS_SUCCESS);
    CHECK(t, nt_set(t, h, 200, bytes, sizeof(bytes)) != STATUS_SUCCESS);
}

static void a_control_code_that_nobody_knows_is_refused(struct t *t)
{
    handle h = MAKE(t, "f");

    EXPECT(t, STATUS_INVALID_DEVICE_REQUEST, nt_fsctl(t, h, 0x000900C4u, NULL, 0, 0));
}

static void errors_do_not_leave_handles_behind(struct t *t)
{
    host_mkdir(t, "d");
    for (int i = 0; i < 200; i++) {
        EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, "d\\none"));
        EXPECT(t, STATUS_FILE_IS_A_DIRECTORY, TRY(t, "d", .options = FILE_NON_DIRECTORY_FILE));
    }
    OK(t, nt_remove(t, "d"));
    CHECK(t, !host_exists(t, "d"));
}

static const struct test_case cases[] = {
    CASE(a_write_that_does_not_fit_is_disk_full),
    CASE(a_write_that_fits_in_part_is_no_success),
    CASE(what_fitted_before_is_still_there),
    CASE(an_append_that_does_not_fit_is_disk_full),
    CASE(after_making_room_writing_works_again),
    CASE(room_that_is_not_there_is_not_reserved),
    CASE(a_new_file_whose_room_is_not_there_is_not_made),
    CASE(without_inodes_nothing_is_created),
    CASE(a_link_that_finds_no_inode_leaves_its_placeholder),
    CASE(nothing_is_created_where_the_host_cannot_write),
    CASE(nothing_is_opened_for_writing_there),
    CASE(nothing_is_overwritten_there),
    CASE(nothing_is_renamed_there),
    CASE(attributes_are_not_changed_there),
    CASE(a_file_that_cannot_be_deleted_is_found_again),
    CASE(a_move_to_another_file_system_says_so),
    CASE(a_mount_point_is_in_use),
    CASE(files_of_two_file_systems_have_different_numbers),
    CASE(a_program_that_the_host_runs_is_in_use),
    CASE(an_immutable_file_denies_writing_and_renaming),
    CASE(an_append_only_file_denies_writing),
    CASE(a_size_that_no_file_can_have_is_refused),
    CASE(an_unknown_information_class_is_refused),
    CASE(a_control_code_that_nobody_knows_is_refused),
    CASE(errors_do_not_leave_handles_behind),
};
GROUP(errors, cases);
