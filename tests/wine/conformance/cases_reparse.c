// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_reparse.c - reparse points as programs set, ask for and step around them; see cases_link.c for following links
 *
 * Reparse data is put together by hand here (MS-FSCC 2.1.2).
 *
 * Incumbent: no GET and no DELETE; SET copies up to 16 KiB into 520 bytes of its stack, without looking at the tag (0.6).
 */
#include <string.h>

#include "tests/wine/conformance/conf.h"

struct data {
    uint32_t n;
    uint8_t bytes[2048];
};

static void put16(struct data *d, uint16_t v)
{
    memcpy(d->bytes + d->n, &v, 2);
    d->n += 2;
}

static void put_head(struct data *d, uint32_t tag, uint16_t len)
{
    d->n = 0;
    memcpy(d->bytes, &tag, 4);
    d->n = 4;
    put16(d, len);
    put16(d, 0);
}

/* Names of these cases are ASCII. */
static void put_text(struct data *d, const char *text)
{
    for (; *text; text++)
        put16(d, (uint8_t)*text);
}

/* A junction: its target is an NT path; the names are terminated. */
static struct data junction(const char *target)
{
    struct data d;
    uint16_t n = (uint16_t)(2 * strlen(target));

    put_head(&d, IO_REPARSE_TAG_MOUNT_POINT, (uint16_t)(8 + n + 2 + 2));
    put16(&d, 0);
    put16(&d, n);
    put16(&d, (uint16_t)(n + 2));
    put16(&d, 0);
    put_text(&d, target);
    put16(&d, 0);
    put16(&d, 0);
    return d;
}

static uint32_t set_data(struct t *t, const char *name, const struct data *d)
{
    handle h = OPEN(t, name, .access = FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES | SYNCHRONIZE,
                    .options = FILE_OPEN_REPARSE_POINT);
    uint32_t status = nt_fsctl(t, h, FSCTL_SET_REPARSE_POINT, d->bytes, d->n, 0);

    nt_close(t, h);
    return status;
}

static uint32_t delete_data(struct t *t, const char *name, uint32_t tag)
{
    struct data d;
    handle h = OPEN(t, name, .access = FILE_WRITE_DATA | FILE_WRITE_ATTRIBUTES | SYNCHRONIZE,
                    .options = FILE_OPEN_REPARSE_POINT);
    uint32_t status;

    put_head(&d, tag, 0);
    status = nt_fsctl(t, h, FSCTL_DELETE_REPARSE_POINT, d.bytes, d.n, 0);
    nt_close(t, h);
    return status;
}

/* ---- opening through links ------------------------------------------------------------------- */

static void overwriting_through_a_link_keeps_the_link(struct t *t)
{
    host_puts(t, "f", "old");
    host_symlink(t, "l", "f");
    handle h = OPEN(t, "l", .disposition = FILE_OVERWRITE_IF);
    EQUAL(t, FILE_OVERWRITTEN, nt_information(t));
    nt_puts(t, h, 0, "new");
    TEXT(t, "f", host_readlink(t, "l"));
    TEXT(t, "new", host_gets(t, "f"));
}

static void creating_what_a_link_leads_to_is_a_collision(struct t *t)
{
    host_puts(t, "f", "old");
    host_symlink(t, "l", "f");
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION, TRY(t, "l", .disposition = FILE_CREATE));
    TEXT(t, "old", host_gets(t, "f"));
}

static void creating_over_a_link_itself_is_a_collision(struct t *t)
{
    host_symlink(t, "l", "nowhere");
    EXPECT(t, STATUS_OBJECT_NAME_COLLISION,
           TRY(t, "l", .disposition = FILE_CREATE, .options = FILE_OPEN_REPARSE_POINT));
    TEXT(t, "l", host_names(t, ""));
}

static void a_link_itself_has_no_data(struct t *t)
{
    char c;

    host_puts(t, "f", "text");
    host_symlink(t, "l", "f");
    handle h = OPEN(t, "l", .access = FILE_GENERIC_READ, .options = FILE_OPEN_REPARSE_POINT);
    EQUAL(t, 0, nt_standard(t, h).size);
    CHECK(t, nt_read(t, h, 0, &c, 1, NULL) != STATUS_SUCCESS);
}

static void a_link_to_a_directory_is_marked_as_one(struct t *t)
{
    host_mkdir(t, "d");
    host_symlink(t, "l", "d");
    EQUAL(t, FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT,
          nt_attributes(t, "l") & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT));
}

static void a_link_to_a_file_is_not(struct t *t)
{
    host_puts(t, "f", "");
    host_symlink(t, "l", "f");
    EQUAL(t, FILE_ATTRIBUTE_REPARSE_POINT,
          nt_attributes(t, "l") & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT));
}

static void the_file_behind_a_link_is_known_by_its_own_name(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "");
    host_symlink(t, "l", "d");
    handle h = OPEN(t, "l\\f");

    TEXT(t, (keep_printf(t, "%s\\d\\f", case_dir(t))), nt_name(t, h));
}

static void a_path_goes_through_many_links(struct t *t)
{
    host_puts(t, "end", "text");
    host_symlink(t, "l00", "end");
    for (unsigned i = 1; i < 25; i++)
        host_symlink(t, keep_printf(t, "l%02u", i), keep_printf(t, "l%02u", i - 1));
    TEXT(t, "text", nt_gets(t, OPEN(t, "l24"), 0));
}

static void a_path_through_too_many_links_is_not_resolved(struct t *t)
{
    host_puts(t, "end", "text");
    host_symlink(t, "l00", "end");
    for (unsigned i = 1; i < 45; i++)
        host_symlink(t, keep_printf(t, "l%02u", i), keep_printf(t, "l%02u", i - 1));
    EXPECT(t, STATUS_REPARSE_POINT_NOT_RESOLVED, TRY(t, "l44"));
}

/* Incumbent: from the root of the share (0.6). */
static void dots_in_a_target_are_taken_from_where_the_link_is(struct t *t)
{
    host_mkdir(t, "a");
    host_mkdir(t, "a\\b");
    host_puts(t, "a\\f", "near");
    host_puts(t, "f", "far");
    host_symlink(t, "a\\b\\l", "./../f");
    TEXT(t, "near", nt_gets(t, OPEN(t, "a\\b\\l"), 0));
}

static void dots_above_the_root_stay_at_the_root(struct t *t)
{
    host_puts(t, "f", "text");
    host_symlink(t, "l", keep_printf(t, "../../../../../%s/f", case_dir(t) + 1));
    TEXT(t, "text", nt_gets(t, OPEN(t, "l"), 0));
}

static void an_absolute_target_begins_at_the_root_of_the_share(struct t *t)
{
    host_puts(t, "f", "text");
    host_symlink(t, "l", keep_printf(t, "/%s/f", case_dir(t) + 1));
    TEXT(t, "text", nt_gets(t, OPEN(t, "l"), 0));
}

static void reserved_characters_of_a_target_are_moved_away(struct t *t)
{
    host_puts(t, "a:b", "text");
    host_symlink(t, "l", "a:b");
    TEXT(t,
         "a\xEF\x80\xBA"
         "b",
         nt_readlink(t, "l", NULL));
    TEXT(t, "text", nt_gets(t, OPEN(t, "l"), 0));
}

/* ---- making and unmaking --------------------------------------------------------------------- */

static void an_absolute_link_inside_the_drive_becomes_relative(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "f", "text");
    OK(t, nt_symlink(t, "d\\l", keep_printf(t, "\\??\\%c:%s\\f", drive_letter(t), case_dir(t)),
                     false, false));
    TEXT(t, "../f", host_readlink(t, "d\\l"));
    TEXT(t, "text", nt_gets(t, OPEN(t, "d\\l"), 0));
}

static void a_junction_inside_the_drive_becomes_a_link(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    MKDIR(t, "j");
    struct data d = junction(keep_printf(t, "\\??\\%c:%s\\d", drive_letter(t), case_dir(t)));
    OK(t, set_data(t, "j", &d));
    TEXT(t, "d", host_readlink(t, "j"));
    TEXT(t, "text", nt_gets(t, OPEN(t, "j\\f"), 0));
}

static void a_junction_to_another_drive_is_refused(struct t *t)
{
    MKDIR(t, "j");
    struct data d = junction("\\??\\C:\\Windows");
    EXPECT(t, STATUS_NOT_SUPPORTED, set_data(t, "j", &d));
    CHECK(t, S_ISDIR(host_stat(t, "j").st_mode));
}

static void a_link_of_wsl_is_made(struct t *t)
{
    struct data d;

    put_head(&d, IO_REPARSE_TAG_LX_SYMLINK, 4 + 9);
    memcpy(d.bytes + d.n, "\2\0\0\0../target", 13);
    d.n += 13;
    MAKE_FILE(t, "l");
    OK(t, set_data(t, "l", &d));
    TEXT(t, "../target", host_readlink(t, "l"));
}

static void a_socket_and_a_fifo_are_made(struct t *t)
{
    struct data d;

    MAKE_FILE(t, "s");
    put_head(&d, IO_REPARSE_TAG_AF_UNIX, 0);
    OK(t, set_data(t, "s", &d));
    CHECK(t, S_ISSOCK(host_stat(t, "s").st_mode));
    MAKE_FILE(t, "p");
    put_head(&d, IO_REPARSE_TAG_LX_FIFO, 0);
    OK(t, set_data(t, "p", &d));
    CHECK(t, S_ISFIFO(host_stat(t, "p").st_mode));
}

static void no_device_is_made(struct t *t)
{
    struct data d;

    MAKE_FILE(t, "c");
    put_head(&d, IO_REPARSE_TAG_LX_CHR, 0);
    EXPECT(t, STATUS_NOT_SUPPORTED, set_data(t, "c", &d));
    CHECK(t, S_ISREG(host_stat(t, "c").st_mode));
}

static void a_tag_that_nobody_knows_is_refused(struct t *t)
{
    struct data d;

    MAKE_FILE(t, "f");
    put_head(&d, 0x80000042u, 0);
    EXPECT(t, STATUS_NOT_SUPPORTED, set_data(t, "f", &d));
    CHECK(t, S_ISREG(host_stat(t, "f").st_mode));
}

static void a_name_outside_of_the_data_is_refused(struct t *t)
{
    struct data d = junction("\\??\\C:\\Windows");

    MKDIR(t, "j");
    d.bytes[10] = 0xFF; /* the length of the substitute name */
    d.bytes[11] = 0x7F;
    CHECK(t, set_data(t, "j", &d) != STATUS_SUCCESS);
    CHECK(t, S_ISDIR(host_stat(t, "j").st_mode));
}

static void a_directory_with_something_in_it_does_not_become_a_link(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    struct data d = junction(keep_printf(t, "\\??\\%c:\\", drive_letter(t)));
    EXPECT(t, STATUS_DIRECTORY_NOT_EMPTY, set_data(t, "d", &d));
    TEXT(t, "text", host_gets(t, "d\\f"));
}

static void a_link_gets_another_target(struct t *t)
{
    struct data d;

    host_symlink(t, "l", "old");
    put_head(&d, IO_REPARSE_TAG_SYMLINK, 12 + 12);
    put16(&d, 0);
    put16(&d, 6);
    put16(&d, 6);
    put16(&d, 6);
    put16(&d, SYMLINK_FLAG_RELATIVE);
    put16(&d, 0);
    put_text(&d, "newnew");
    OK(t, set_data(t, "l", &d));
    TEXT(t, "new", host_readlink(t, "l"));
    TEXT(t, "l", host_names(t, ""));
}

static void taking_off_another_tag_is_a_mismatch(struct t *t)
{
    host_symlink(t, "l", "f");
    EXPECT(t, STATUS_IO_REPARSE_TAG_MISMATCH, delete_data(t, "l", IO_REPARSE_TAG_MOUNT_POINT));
    TEXT(t, "f", host_readlink(t, "l"));
}

static void taking_one_off_a_file_finds_none(struct t *t)
{
    host_puts(t, "f", "text");
    EXPECT(t, STATUS_NOT_A_REPARSE_POINT, delete_data(t, "f", IO_REPARSE_TAG_SYMLINK));
    TEXT(t, "text", host_gets(t, "f"));
}

static void taking_one_off_a_link_to_a_directory_leaves_a_directory(struct t *t)
{
    host_mkdir(t, "d");
    host_puts(t, "d\\f", "text");
    host_symlink(t, "l", "d");
    OK(t, delete_data(t, "l", IO_REPARSE_TAG_SYMLINK));
    CHECK(t, S_ISDIR(host_stat(t, "l").st_mode));
    TEXT(t, "text", host_gets(t, "d\\f"));
}

static void links_are_made_without_a_privilege(struct t *t)
{
    nt_run_as(t, DOOR_TOKEN_USER);
    OK(t, nt_symlink(t, "l", "f", false, true));
    TEXT(t, "f", host_readlink(t, "l"));
}

static void setting_one_needs_the_right_to_write(struct t *t)
{
    struct data d;

    MAKE_FILE(t, "f");
    put_head(&d, IO_REPARSE_TAG_AF_UNIX, 0);
    handle h = OPEN(t, "f", .access = FILE_GENERIC_READ);
    EXPECT(t, STATUS_ACCESS_DENIED, nt_fsctl(t, h, FSCTL_SET_REPARSE_POINT, d.bytes, d.n, 0));
    CHECK(t, S_ISREG(host_stat(t, "f").st_mode));
}

static const struct test_case cases[] = {
    CASE(overwriting_through_a_link_keeps_the_link),
    CASE(creating_what_a_link_leads_to_is_a_collision),
    CASE(creating_over_a_link_itself_is_a_collision),
    CASE(a_link_itself_has_no_data),
    CASE(a_link_to_a_directory_is_marked_as_one),
    CASE(a_link_to_a_file_is_not),
    CASE(the_file_behind_a_link_is_known_by_its_own_name),
    CASE(a_path_goes_through_many_links),
    CASE(a_path_through_too_many_links_is_not_resolved),
    CASE(dots_in_a_target_are_taken_from_where_the_link_is),
    CASE(dots_above_the_root_stay_at_the_root),
    CASE(an_absolute_target_begins_at_the_root_of_the_share),
    CASE(reserved_characters_of_a_target_are_moved_away),
    CASE(an_absolute_link_inside_the_drive_becomes_relative),
    CASE(a_junction_inside_the_drive_becomes_a_link),
    CASE(a_junction_to_another_drive_is_refused),
    CASE(a_link_of_wsl_is_made),
    CASE(a_socket_and_a_fifo_are_made),
    CASE(no_device_is_made),
    CASE(a_tag_that_nobody_knows_is_refused),
    CASE(a_name_outside_of_the_data_is_refused),
    CASE(a_directory_with_something_in_it_does_not_become_a_link),
    CASE(a_link_gets_another_target),
    CASE(taking_off_another_tag_is_a_mismatch),
    CASE(taking_one_off_a_file_finds_none),
    CASE(taking_one_off_a_link_to_a_directory_leaves_a_directory),
    CASE(links_are_made_without_a_privilege),
    CASE(setting_one_needs_the_right_to_write),
};
GROUP(reparse, cases);
