// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_meta.c - attributes, creation times and sizes of EAs that the host keeps as Samba does
 *
 * Incumbent: keeps none of them (B.4, B.6).
 */
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/wine/conformance/conf.h"

#define DOSATTRIB "user.DOSATTRIB"
#define Y2001     126227988000000000LL /* 2001-01-01 */

/* What the host's user.DOSATTRIB says, read by hand: version 5 (Samba's librpc/idl/xattr.idl). */
struct kept {
    bool there;
    uint32_t attributes;
    int64_t created;
};

static struct kept kept_of(struct t *t, const char *name)
{
    static const uint8_t head[12] = {0, 0, 5, 0, 5, 0, 0, 0, 0x11, 0, 0, 0};
    uint8_t value[64];
    struct kept k = {0};
    ssize_t n = lgetxattr(host_path(t, name), DOSATTRIB, value, sizeof(value));

    if (n < 0)
        return k;
    EQUAL(t, 24, n);
    CHECK(t, memcmp(value, head, sizeof(head)) == 0);
    k.there = true;
    memcpy(&k.attributes, value + 12, 4);
    memcpy(&k.created, value + 16, 8);
    return k;
}

static void set_attributes(struct t *t, const char *name, uint32_t attributes)
{
    handle h = OPEN(t, name, .access = FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | SYNCHRONIZE);

    OK(t, nt_set_attributes(t, h, attributes));
    nt_close(t, h);
}

static void set_created(struct t *t, const char *name, int64_t when)
{
    struct basic_info b = {.created = when};
    handle h = OPEN(t, name, .access = FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | SYNCHRONIZE);

    OK(t, nt_set(t, h, FileBasicInformation, &b, sizeof(b)));
    nt_close(t, h);
}

static uint32_t listed_attributes(struct t *t, const char *name)
{
    const struct listing *l = nt_list(t, OPEN(t, "", .access = FILE_GENERIC_READ), "*");

    return find(t, l, name)->attributes;
}

/* ---- attributes ------------------------------------------------------------------------------------------- */

static void hidden_and_system_are_kept(struct t *t)
{
    host_puts(t, "f", "");
    set_attributes(t, "f", FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM);
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM, nt_attributes(t, "f"));
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM, kept_of(t, "f").attributes);
    nap(t);
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM, nt_attributes(t, "f"));
}

static void what_is_kept_first_is_the_birth_time_too(struct t *t)
{
    host_puts(t, "f", "");
    usleep(20000); /* more than a tick of the host's coarse clock */
    host_chmod(t, "f", 0600);
    set_attributes(t, "f", FILE_ATTRIBUTE_HIDDEN);
    if (host_birth(t, "f"))
        EQUAL(t, host_birth(t, "f"), kept_of(t, "f").created);
}

static void an_ordinary_file_keeps_nothing(struct t *t)
{
    MAKE_FILE(t, "f");
    MKDIR(t, "d");
    set_attributes(t, "f", FILE_ATTRIBUTE_ARCHIVE);
    CHECK(t, !kept_of(t, "f").there);
    CHECK(t, !kept_of(t, "d").there);
    EQUAL(t, FILE_ATTRIBUTE_ARCHIVE, nt_attributes(t, "f"));
    EQUAL(t, FILE_ATTRIBUTE_DIRECTORY, nt_attributes(t, "d"));
}

static void attributes_of_a_new_file_are_kept(struct t *t)
{
    nt_close(t, MAKE(t, "f", .attributes = FILE_ATTRIBUTE_HIDDEN));
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_ARCHIVE, nt_attributes(t, "f"));
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_ARCHIVE, kept_of(t, "f").attributes);
}

static void attributes_of_a_new_directory_are_kept(struct t *t)
{
    nt_close(t, MAKE(t, "d", .options = FILE_DIRECTORY_FILE, .attributes = FILE_ATTRIBUTE_HIDDEN));
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_DIRECTORY, nt_attributes(t, "d"));
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_DIRECTORY, kept_of(t, "d").attributes);
}

static void what_samba_wrote_is_shown(struct t *t)
{
    host_puts(t, "f", "");
    host_setxattr(t, "f", DOSATTRIB, "0x26"); /* as Samba 3 */
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM | FILE_ATTRIBUTE_ARCHIVE,
          nt_attributes(t, "f"));
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM | FILE_ATTRIBUTE_ARCHIVE,
          listed_attributes(t, "f"));
}

static void no_attribute_at_all_is_normal(struct t *t)
{
    host_puts(t, "f", "");
    set_attributes(t, "f", FILE_ATTRIBUTE_NORMAL);
    EQUAL(t, FILE_ATTRIBUTE_NORMAL, nt_attributes(t, "f"));
    EQUAL(t, 0, kept_of(t, "f").attributes);
}

static void other_attributes_of_ntfs_are_kept(struct t *t)
{
    const uint32_t others =
        FILE_ATTRIBUTE_TEMPORARY | FILE_ATTRIBUTE_OFFLINE | FILE_ATTRIBUTE_NOT_CONTENT_INDEXED;

    host_puts(t, "f", "");
    set_attributes(t, "f", others);
    EQUAL(t, others, nt_attributes(t, "f"));
}

static void bits_that_windows_does_not_set_stay(struct t *t)
{
    host_puts(t, "f", "");
    host_setxattr(t, "f", DOSATTRIB, "0x80222"); /* pinned, sparse, archive, hidden */
    set_attributes(t, "f", FILE_ATTRIBUTE_SYSTEM);
    EQUAL(t, 0x80200 | FILE_ATTRIBUTE_SYSTEM, kept_of(t, "f").attributes);
    EQUAL(t, FILE_ATTRIBUTE_SYSTEM, nt_attributes(t, "f"));
}

static void a_corrupt_value_is_none_and_is_replaced(struct t *t)
{
    host_puts(t, "f", "");
    host_setxattr(t, "f", DOSATTRIB, "hidden, please");
    EQUAL(t, FILE_ATTRIBUTE_ARCHIVE, nt_attributes(t, "f"));
    set_attributes(t, "f", FILE_ATTRIBUTE_HIDDEN);
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN, kept_of(t, "f").attributes);
}

static void a_rename_takes_them_along(struct t *t)
{
    host_puts(t, "f", "");
    set_attributes(t, "f", FILE_ATTRIBUTE_HIDDEN);
    OK(t, nt_move(t, "f", "g", false));
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN, nt_attributes(t, "g"));
}

/* ---- read-only ------------------------------------------------------------------------------------------ */

static void read_only_is_kept_as_mode_and_as_attribute(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0644);
    set_attributes(t, "f", FILE_ATTRIBUTE_READONLY);
    EQUAL(t, 0444, host_mode(t, "f"));
    EQUAL(t, FILE_ATTRIBUTE_READONLY, kept_of(t, "f").attributes);
    set_attributes(t, "f", FILE_ATTRIBUTE_NORMAL);
    EQUAL(t, 0644 & 0200, host_mode(t, "f") & 0200);
    EQUAL(t, 0, kept_of(t, "f").attributes);
    EQUAL(t, FILE_ATTRIBUTE_NORMAL, nt_attributes(t, "f"));
}

static void read_only_of_samba_keeps_programs_from_writing(struct t *t)
{
    host_puts(t, "f", "");
    host_chmod(t, "f", 0644);
    host_setxattr(t, "f", DOSATTRIB, "0x1");
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "f", .access = FILE_GENERIC_WRITE));
    EXPECT(t, STATUS_CANNOT_DELETE, nt_remove(t, "f"));
}

static void read_only_of_a_directory_is_a_mark(struct t *t)
{
    host_mkdir(t, "d");
    host_chmod(t, "d", 0755);
    set_attributes(t, "d", FILE_ATTRIBUTE_READONLY);
    CHECK(t, nt_attributes(t, "d") & FILE_ATTRIBUTE_READONLY);
    EQUAL(t, 0755, host_mode(t, "d"));
    MAKE_FILE(t, "d\\f");
}

/* ---- archive -------------------------------------------------------------------------------------------- */

static void writing_sets_archive_where_it_was_cleared(struct t *t)
{
    host_puts(t, "f", "");
    set_attributes(t, "f", FILE_ATTRIBUTE_HIDDEN);
    handle h = OPEN(t, "f");
    nt_puts(t, h, 0, "new");
    nt_close(t, h);
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_ARCHIVE, kept_of(t, "f").attributes);
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_ARCHIVE, nt_attributes(t, "f"));
}

static void reading_does_not(struct t *t)
{
    host_puts(t, "f", "text");
    set_attributes(t, "f", FILE_ATTRIBUTE_NORMAL);
    handle h = OPEN(t, "f");
    nt_gets(t, h, 0);
    nt_close(t, h);
    EQUAL(t, 0, kept_of(t, "f").attributes);
}

static void writing_keeps_nothing_where_nothing_was_kept(struct t *t)
{
    host_puts(t, "f", "");
    handle h = OPEN(t, "f");
    nt_puts(t, h, 0, "new");
    nt_close(t, h);
    CHECK(t, !kept_of(t, "f").there);
}

static void overwriting_adds_archive_and_what_was_given(struct t *t)
{
    host_puts(t, "f", "old");
    set_attributes(t, "f", FILE_ATTRIBUTE_HIDDEN);
    nt_close(t, OPEN(t, "f", .disposition = FILE_OVERWRITE,
                     .attributes = FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM));
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN | FILE_ATTRIBUTE_SYSTEM | FILE_ATTRIBUTE_ARCHIVE,
          kept_of(t, "f").attributes);
}

static void a_hidden_file_is_not_overwritten_by_who_does_not_know(struct t *t)
{
    host_puts(t, "f", "old");
    set_attributes(t, "f", FILE_ATTRIBUTE_HIDDEN);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "f", .disposition = FILE_OVERWRITE));
    TEXT(t, "old", host_gets(t, "f"));
}

/* ---- creation time ---------------------------------------------------------------------------------------- */

static void the_creation_time_is_set(struct t *t)
{
    host_puts(t, "f", "");
    set_created(t, "f", Y2001);
    EQUAL(t, Y2001, nt_basic(t, OPEN(t, "f")).created);
    EQUAL(t, Y2001, kept_of(t, "f").created);
    EQUAL(t, FILE_ATTRIBUTE_ARCHIVE, kept_of(t, "f").attributes);
}

static void the_creation_time_of_a_directory_is_set(struct t *t)
{
    host_mkdir(t, "d");
    set_created(t, "d", Y2001);
    EQUAL(t, Y2001, nt_basic(t, OPEN(t, "d", .access = FILE_GENERIC_READ)).created);
    EQUAL(t, FILE_ATTRIBUTE_DIRECTORY, kept_of(t, "d").attributes);
}

static void a_creation_time_survives_attributes_and_writing(struct t *t)
{
    host_puts(t, "f", "");
    set_created(t, "f", Y2001);
    set_attributes(t, "f", FILE_ATTRIBUTE_HIDDEN);
    handle h = OPEN(t, "f");
    nt_puts(t, h, 0, "new");
    nt_close(t, h);
    EQUAL(t, Y2001, nt_basic(t, OPEN(t, "f")).created);
    const struct listing *l = nt_list(t, OPEN(t, "", .access = FILE_GENERIC_READ), "*");
    EQUAL(t, Y2001, find(t, l, "f")->created);
}

static void setting_the_birth_time_keeps_nothing(struct t *t)
{
    host_puts(t, "f", "");
    set_created(t, "f", nt_basic(t, OPEN(t, "f")).created);
    CHECK(t, !kept_of(t, "f").there);
}

/* ---- EAs ---------------------------------------------------------------------------------------------------- */

static uint32_t ea_size(struct t *t, handle h)
{
    uint32_t size = 0;

    OK(t, nt_query(t, h, FileEaInformation, &size, sizeof(size)));
    return size;
}

static void the_size_of_eas_is_known_before_they_are_read(struct t *t)
{
    host_puts(t, "f", "");
    EQUAL(t, 0, ea_size(t, OPEN(t, "f")));
    host_setxattr(t, "f", "user.COLOUR", "blue");
    host_setxattr(t, "f", "user.n", "1");
    nap(t);
    EQUAL(t, 4 + 5 + 6 + 4 + 5 + 1 + 1, ea_size(t, OPEN(t, "f")));
}

static void the_size_of_eas_follows_them(struct t *t)
{
    uint8_t bytes[64];
    handle h = MAKE(t, "f");

    OK(t, nt_set_ea(t, h, bytes, ea_entry(bytes, "A", "123", 3, true)));
    EQUAL(t, 4 + 5 + 1 + 3, ea_size(t, h));
    OK(t, nt_set_ea(t, h, bytes, ea_entry(bytes, "A", "", 0, true)));
    EQUAL(t, 0, ea_size(t, h));
}

static void what_is_kept_otherwise_is_no_ea(struct t *t)
{
    static const char *const names[] = {"DOSATTRIB", "dosattrib", "NTACL", "DosStream.x:$DATA",
                                        "SAMBA_PAI"};
    uint8_t bytes[64];

    host_puts(t, "f", "");
    set_attributes(t, "f", FILE_ATTRIBUTE_HIDDEN);
    handle h = OPEN(t, "f");
    EQUAL(t, 0, ea_size(t, h));
    EXPECT(t, STATUS_NO_EAS_ON_FILE, nt_ea(t, h, 1024));
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        EXPECT(t, STATUS_INVALID_EA_NAME,
               nt_set_ea(t, h, bytes, ea_entry(bytes, names[i], "x", 1, true)));
    EQUAL(t, FILE_ATTRIBUTE_HIDDEN, kept_of(t, "f").attributes);
}

static void an_attribute_without_a_value_is_no_ea(struct t *t)
{
    host_puts(t, "f", "");
    host_setxattr(t, "f", "user.empty", "");
    EXPECT(t, STATUS_NO_EAS_ON_FILE, nt_ea(t, OPEN(t, "f"), 1024));
}

static const struct test_case cases[] = {
    CASE(hidden_and_system_are_kept),
    CASE(what_is_kept_first_is_the_birth_time_too),
    CASE(an_ordinary_file_keeps_nothing),
    CASE(attributes_of_a_new_file_are_kept),
    CASE(attributes_of_a_new_directory_are_kept),
    CASE(what_samba_wrote_is_shown),
    CASE(no_attribute_at_all_is_normal),
    CASE(other_attributes_of_ntfs_are_kept),
    CASE(bits_that_windows_does_not_set_stay),
    CASE(a_corrupt_value_is_none_and_is_replaced),
    CASE(a_rename_takes_them_along),
    CASE(read_only_is_kept_as_mode_and_as_attribute),
    CASE(read_only_of_samba_keeps_programs_from_writing),
    CASE(read_only_of_a_directory_is_a_mark),
    CASE(writing_sets_archive_where_it_was_cleared),
    CASE(reading_does_not),
    CASE(writing_keeps_nothing_where_nothing_was_kept),
    CASE(overwriting_adds_archive_and_what_was_given),
    CASE(a_hidden_file_is_not_overwritten_by_who_does_not_know),
    CASE(the_creation_time_is_set),
    CASE(the_creation_time_of_a_directory_is_set),
    CASE(a_creation_time_survives_attributes_and_writing),
    CASE(setting_the_birth_time_keeps_nothing),
    CASE(the_size_of_eas_is_known_before_they_are_read),
    CASE(the_size_of_eas_follows_them),
    CASE(what_is_kept_otherwise_is_no_ea),
    CASE(an_attribute_without_a_value_is_no_ea),
};
GROUP(meta, cases);
