// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_ea.c - extended attributes, which the host keeps as user.NAME
 *
 * Incumbent: has none (B.4): all of this is refused.
 */
#include <string.h>

#include "tests/wine/conformance/conf.h"

static uint32_t set(struct t *t, const char *name, const char *ea, const char *value)
{
    uint8_t bytes[512];
    uint32_t n = ea_entry(bytes, ea, value, (uint16_t)strlen(value), true), status;
    handle h = OPEN(t, name, .access = FILE_WRITE_EA);

    status = nt_set_ea(t, h, bytes, n);
    nt_close(t, h);
    return status;
}

/* The value of one EA among those of the last reply, or NULL. */
static const char *value_in(struct t *t, const char *name)
{
    const uint8_t *p = nt_data(t);
    uint32_t left = nt_data_len(t), next;
    uint16_t n;

    while (left > 8) {
        memcpy(&next, p, 4);
        memcpy(&n, p + 6, 2);
        CHECK(t, 8u + p[5] + 1u + n <= left);
        if (strcmp((const char *)p + 8, name) == 0)
            return keep_printf(t, "%.*s", n, p + 8 + p[5] + 1);
        if (!next)
            break;
        CHECK(t, next <= left);
        p += next;
        left -= next;
    }
    return NULL;
}

/* NULL when it has none of that name. */
static const char *get(struct t *t, const char *name, const char *ea)
{
    handle h = OPEN(t, name, .access = FILE_READ_EA);
    uint32_t status = nt_ea(t, h, 8192);
    const char *value = NULL;

    if (status != STATUS_NO_EAS_ON_FILE) {
        OK(t, status);
        value = value_in(t, ea);
    }
    nt_close(t, h);
    return value;
}

static void a_file_without_any_says_so(struct t *t)
{
    host_puts(t, "f", "");
    EXPECT(t, STATUS_NO_EAS_ON_FILE, nt_ea(t, OPEN(t, "f"), 1024));
}

static void one_is_set_and_read(struct t *t)
{
    host_puts(t, "f", "");
    OK(t, set(t, "f", "COLOUR", "blue"));
    TEXT(t, "blue", get(t, "f", "COLOUR"));
}

static void the_host_sees_it(struct t *t)
{
    host_puts(t, "f", "");
    OK(t, set(t, "f", "COLOUR", "blue"));
    CHECK(t, host_xattr(t, "f", "user.COLOUR") != NULL);
    TEXT(t, "blue", host_xattr(t, "f", "user.COLOUR"));
}

static void one_of_the_host_is_read(struct t *t)
{
    host_puts(t, "f", "");
    host_setxattr(t, "f", "user.COLOUR", "red");
    TEXT(t, "red", get(t, "f", "COLOUR"));
}

static void small_letters_stay_small(struct t *t)
{
    host_puts(t, "f", "");
    host_setxattr(t, "f", "user.mime_type", "text/plain");
    TEXT(t, "text/plain", get(t, "f", "mime_type"));
}

static void several_are_set_at_once(struct t *t)
{
    uint8_t bytes[256];
    uint32_t n = ea_entry(bytes, "A", "1", 1, false);

    host_puts(t, "f", "");
    n += ea_entry(bytes + n, "B", "22", 2, true);
    OK(t, nt_set_ea(t, OPEN(t, "f"), bytes, n));
    TEXT(t, "1", get(t, "f", "A"));
    TEXT(t, "22", get(t, "f", "B"));
}

static void setting_one_leaves_the_others(struct t *t)
{
    host_puts(t, "f", "");
    OK(t, set(t, "f", "A", "1"));
    OK(t, set(t, "f", "B", "2"));
    OK(t, set(t, "f", "A", "3"));
    TEXT(t, "3", get(t, "f", "A"));
    TEXT(t, "2", get(t, "f", "B"));
}

static void an_empty_value_removes_it(struct t *t)
{
    host_puts(t, "f", "");
    OK(t, set(t, "f", "A", "1"));
    OK(t, set(t, "f", "A", ""));
    CHECK(t, get(t, "f", "A") == NULL);
    CHECK(t, host_xattr(t, "f", "user.A") == NULL);
}

static void removing_one_that_is_not_there_succeeds(struct t *t)
{
    host_puts(t, "f", "");
    OK(t, set(t, "f", "A", ""));
}

static void a_long_value_is_kept_whole(struct t *t)
{
    static uint8_t bytes[4096];
    char value[3001];
    uint32_t n;

    memset(value, 'v', 3000);
    value[3000] = '\0';
    n = ea_entry(bytes, "LONG", value, 3000, true);
    host_puts(t, "f", "");
    OK(t, nt_set_ea(t, OPEN(t, "f"), bytes, n));
    TEXT(t, value, get(t, "f", "LONG"));
}

static void bytes_of_a_value_are_kept(struct t *t)
{
    uint8_t bytes[64], value[] = {0, 1, 0xFF, 0, 'x'};
    uint32_t n = ea_entry(bytes, "RAW", value, sizeof(value), true);

    host_puts(t, "f", "");
    handle h = OPEN(t, "f");
    OK(t, nt_set_ea(t, h, bytes, n));
    OK(t, nt_ea(t, h, 1024));
    EQUAL(t, n, nt_data_len(t));
    CHECK(t, memcmp((const uint8_t *)nt_data(t) + n - sizeof(value), value, sizeof(value)) == 0);
}

static void a_directory_has_them_too(struct t *t)
{
    host_mkdir(t, "d");
    OK(t, set(t, "d", "A", "1"));
    TEXT(t, "1", host_xattr(t, "d", "user.A"));
}

static void a_new_file_gets_those_of_its_create(struct t *t)
{
    uint8_t bytes[64];
    uint32_t n = ea_entry(bytes, "A", "1", 1, true);

    MAKE(t, "f", .ea = bytes, .ea_len = n);
    TEXT(t, "1", host_xattr(t, "f", "user.A"));
}

static void a_new_file_with_bad_ones_is_not_made(struct t *t)
{
    uint8_t bytes[64];
    uint32_t n = ea_entry(bytes, "not a name", "1", 1, true);

    EXPECT(t, STATUS_INVALID_EA_NAME,
           TRY(t, "f", .disposition = FILE_CREATE, .ea = bytes, .ea_len = n));
    CHECK(t, !host_exists(t, "f"));
}

static void overwriting_a_file_takes_them(struct t *t)
{
    host_puts(t, "f", "text");
    OK(t, set(t, "f", "A", "1"));
    OK(t, TRY(t, "f", .disposition = FILE_OVERWRITE));
    CHECK(t, host_xattr(t, "f", "user.A") == NULL);
}

static void overwriting_with_others_replaces_them(struct t *t)
{
    uint8_t bytes[64];
    uint32_t n = ea_entry(bytes, "B", "2", 1, true);

    host_puts(t, "f", "text");
    OK(t, set(t, "f", "A", "1"));
    OK(t, TRY(t, "f", .disposition = FILE_OVERWRITE_IF, .ea = bytes, .ea_len = n));
    CHECK(t, host_xattr(t, "f", "user.A") == NULL);
    TEXT(t, "2", host_xattr(t, "f", "user.B"));
}

static void an_inconsistent_list_is_refused(struct t *t)
{
    uint8_t bytes[64];
    uint32_t n = ea_entry(bytes, "A", "1", 1, true);

    host_puts(t, "f", "");
    bytes[6] = 0xF0; /* the value would end behind the list */
    EXPECT(t, STATUS_EA_LIST_INCONSISTENT, nt_set_ea(t, OPEN(t, "f"), bytes, n));
    CHECK(t, host_xattr(t, "f", "user.A") == NULL);
}

static void what_samba_keeps_for_itself_is_not_shown(struct t *t)
{
    host_puts(t, "f", "");
    host_setxattr(t, "f", "user.DOSATTRIB", "0x20");
    host_setxattr(t, "f", "user.DosStream.s:$DATA", "stream");
    EXPECT(t, STATUS_NO_EAS_ON_FILE, nt_ea(t, OPEN(t, "f"), 1024));
}

static void what_samba_keeps_for_itself_is_not_changed(struct t *t)
{
    host_puts(t, "f", "");
    host_setxattr(t, "f", "user.DOSATTRIB", "0x20");
    EXPECT(t, STATUS_INVALID_EA_NAME, set(t, "f", "DOSATTRIB", "0x00"));
    TEXT(t, "0x20", host_xattr(t, "f", "user.DOSATTRIB"));
}

static void those_of_the_hosts_administrator_are_not_shown(struct t *t)
{
    host_puts(t, "f", "");
    host_setxattr(t, "f", "trusted.secret", "x");
    EXPECT(t, STATUS_NO_EAS_ON_FILE, nt_ea(t, OPEN(t, "f"), 1024));
}

static void many_come_in_pieces(struct t *t)
{
    unsigned seen = 0;
    uint32_t status, next;

    host_puts(t, "f", "");
    for (unsigned i = 0; i < 20; i++)
        host_setxattr(t, "f", keep_printf(t, "user.NAME%02u", i), "value");
    handle h = OPEN(t, "f");
    do {
        status = nt_ea(t, h, 100);
        CHECK(t, status == STATUS_SUCCESS || status == STATUS_BUFFER_OVERFLOW ||
                     status == STATUS_NO_MORE_EAS);
        const uint8_t *p = nt_data(t);
        for (next = nt_data_len(t) ? 1 : 0; next; p += next) {
            memcpy(&next, p, 4);
            seen++;
        }
    } while (status == STATUS_BUFFER_OVERFLOW);
    EQUAL(t, 20, seen);
}

static void room_for_less_than_one_says_so(struct t *t)
{
    host_puts(t, "f", "");
    host_setxattr(t, "f", "user.NAME", "value");
    EXPECT(t, STATUS_BUFFER_TOO_SMALL, nt_ea(t, OPEN(t, "f"), 8));
}

static void reading_and_writing_them_needs_the_rights_to(struct t *t)
{
    uint8_t bytes[64];
    uint32_t n = ea_entry(bytes, "A", "1", 1, true);

    host_puts(t, "f", "");
    handle h = OPEN(t, "f", .access = FILE_READ_DATA);
    EXPECT(t, STATUS_ACCESS_DENIED, nt_ea(t, h, 1024));
    EXPECT(t, STATUS_ACCESS_DENIED, nt_set_ea(t, h, bytes, n));
}

static void they_move_with_the_file(struct t *t)
{
    host_puts(t, "f", "");
    OK(t, set(t, "f", "A", "1"));
    OK(t, nt_move(t, "f", "g", false));
    TEXT(t, "1", get(t, "g", "A"));
}

static const struct test_case cases[] = {
    CASE(a_file_without_any_says_so),
    CASE(one_is_set_and_read),
    CASE(the_host_sees_it),
    CASE(one_of_the_host_is_read),
    CASE(small_letters_stay_small),
    CASE(several_are_set_at_once),
    CASE(setting_one_leaves_the_others),
    CASE(an_empty_value_removes_it),
    CASE(removing_one_that_is_not_there_succeeds),
    CASE(a_long_value_is_kept_whole),
    CASE(bytes_of_a_value_are_kept),
    CASE(a_directory_has_them_too),
    CASE(a_new_file_gets_those_of_its_create),
    CASE(a_new_file_with_bad_ones_is_not_made),
    CASE(overwriting_a_file_takes_them),
    CASE(overwriting_with_others_replaces_them),
    CASE(an_inconsistent_list_is_refused),
    CASE(what_samba_keeps_for_itself_is_not_shown),
    CASE(what_samba_keeps_for_itself_is_not_changed),
    CASE(those_of_the_hosts_administrator_are_not_shown),
    CASE(many_come_in_pieces),
    CASE(room_for_less_than_one_says_so),
    CASE(reading_and_writing_them_needs_the_rights_to),
    CASE(they_move_with_the_file),
};
GROUP(ea, cases);
