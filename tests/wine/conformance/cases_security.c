// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_security.c - security descriptors, and who may do what
 *
 * Descriptors are put together byte by byte (MS-DTYP 2.4.6): the header, then a discretionary list of at most two
 * entries, then owner and group.
 */
#include <string.h>
#include <unistd.h>

#include "tests/wine/conformance/conf.h"

#define ALL_OF_IT                                                                                  \
    (OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION)
#define READ_BITS  (FILE_READ_DATA | FILE_EXECUTE)
#define WRITE_BITS (FILE_WRITE_DATA | FILE_APPEND_DATA)

enum { ALLOW = 0, DENY = 1 };

struct sid {
    uint8_t n, bytes[20];
};
static const struct sid everyone = {12, {1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}};
static const struct sid administrators = {16, {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0}};
static const struct sid guests = {16, {1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x22, 2, 0, 0}};

/* S-1-22-KIND-ID: Samba's names for users (1) and groups (2) of a Unix host */
static struct sid unix_id(uint8_t kind, uint16_t id)
{
    return (struct sid){
        16, {1, 2, 0, 0, 0, 0, 0, 22, kind, 0, 0, 0, (uint8_t)id, (uint8_t)(id >> 8), 0, 0}};
}

struct descriptor {
    uint8_t bytes[256];
    uint32_t n;
};

static void put(struct descriptor *d, const void *bytes, uint32_t n)
{
    memcpy(d->bytes + d->n, bytes, n);
    d->n += n;
}

static void begin(struct descriptor *d)
{
    *d = (struct descriptor){.bytes = {1, 0, 0, 0x80}, .n = 20};
}

static void add_owner(struct descriptor *d, const struct sid *s, unsigned field)
{
    memcpy(d->bytes + field, &d->n, 4);
    put(d, s->bytes, s->n);
}

/* A list with one entry, or two when @b is not NULL. */
static void add_list(struct descriptor *d, uint8_t type, uint32_t mask, const struct sid *a,
                     uint8_t type_b, uint32_t mask_b, const struct sid *b)
{
    uint16_t size = (uint16_t)(8 + 8 + a->n + (b ? 8 + b->n : 0)), count = b ? 2 : 1;
    uint16_t entry = (uint16_t)(8 + a->n);

    d->bytes[2] |= 4; /* SE_DACL_PRESENT */
    memcpy(d->bytes + 16, &d->n, 4);
    put(d, "\2", 2);
    put(d, &size, 2);
    put(d, &count, 2);
    put(d, "\0", 2);
    put(d, (uint8_t[]){type, 0}, 2);
    put(d, &entry, 2);
    put(d, &mask, 4);
    put(d, a->bytes, a->n);
    if (!b)
        return;
    entry = (uint16_t)(8 + b->n);
    put(d, (uint8_t[]){type_b, 0}, 2);
    put(d, &entry, 2);
    put(d, &mask_b, 4);
    put(d, b->bytes, b->n);
}

/* Everyone may do this, nobody anything else. */
static struct descriptor allow_everyone(uint32_t mask)
{
    struct descriptor d;

    begin(&d);
    add_list(&d, ALLOW, mask, &everyone, 0, 0, NULL);
    return d;
}

/* What the only entry of a file's list allows. */
static uint32_t shown(struct t *t, const char *name)
{
    handle h = OPEN(t, name, .access = READ_CONTROL, .options = FILE_OPEN_REPARSE_POINT);
    uint32_t list, mask;

    OK(t, nt_security(t, h, ALL_OF_IT, 4096));
    CHECK(t, nt_data_len(t) > 20);
    memcpy(&list, (const uint8_t *)nt_data(t) + 16, 4);
    CHECK(t, list && list + 8 + 8 + 12 <= nt_data_len(t));
    EQUAL(t, 1, ((const uint8_t *)nt_data(t))[list + 4]);
    memcpy(&mask, (const uint8_t *)nt_data(t) + list + 8 + 4, 4);
    CHECK(t, memcmp((const uint8_t *)nt_data(t) + list + 8 + 8, everyone.bytes, 12) == 0);
    nt_close(t, h);
    return mask;
}

static uint32_t set(struct t *t, const char *name, uint32_t what, const struct descriptor *d)
{
    handle h = OPEN(t, name, .access = READ_CONTROL | WRITE_DAC | WRITE_OWNER);
    uint32_t status = nt_set_security(t, h, what, d->bytes, d->n);

    nt_close(t, h);
    return status;
}

static void make(struct t *t, const char *name, mode_t mode)
{
    host_puts(t, name, "text");
    host_chmod(t, name, mode);
}

/* ---- what is shown --------------------------------------------------------------------------- */

static void a_file_shows_what_its_owner_may(struct t *t)
{
    make(t, "f", 0640);
    EQUAL(t, READ_BITS | WRITE_BITS, shown(t, "f") & (READ_BITS | WRITE_BITS));
}

static void a_read_only_file_shows_no_right_to_write(struct t *t)
{
    make(t, "f", 0444);
    EQUAL(t, READ_BITS, shown(t, "f") & (READ_BITS | WRITE_BITS));
}

static void a_file_that_is_no_program_may_be_started(struct t *t)
{
    make(t, "f", 0644);
    CHECK(t, shown(t, "f") & FILE_EXECUTE);
}

static void deleting_and_looking_is_always_shown(struct t *t)
{
    make(t, "f", 0);
    uint32_t always = DELETE | READ_CONTROL | WRITE_DAC | FILE_READ_ATTRIBUTES;

    EQUAL(t, always, shown(t, "f") & always);
}

static void a_directory_lets_its_files_be_deleted(struct t *t)
{
    host_mkdir(t, "d");
    CHECK(t, shown(t, "d") & FILE_DELETE_CHILD);
}

static void owner_and_group_are_shown(struct t *t)
{
    make(t, "f", 0644);
    handle h = OPEN(t, "f", .access = READ_CONTROL);
    uint32_t owner, group;

    OK(t, nt_security(t, h, ALL_OF_IT, 4096));
    memcpy(&owner, (const uint8_t *)nt_data(t) + 4, 4);
    memcpy(&group, (const uint8_t *)nt_data(t) + 8, 4);
    CHECK(t, owner >= 20 && group >= 20 && owner < nt_data_len(t) && group < nt_data_len(t));
}

static void only_the_parts_that_are_asked_for_come(struct t *t)
{
    make(t, "f", 0644);
    handle h = OPEN(t, "f", .access = READ_CONTROL);
    uint32_t owner, list;

    OK(t, nt_security(t, h, DACL_SECURITY_INFORMATION, 4096));
    memcpy(&owner, (const uint8_t *)nt_data(t) + 4, 4);
    memcpy(&list, (const uint8_t *)nt_data(t) + 16, 4);
    EQUAL(t, 0, owner);
    CHECK(t, list != 0);
}

static void a_buffer_too_small_for_the_descriptor_says_so(struct t *t)
{
    make(t, "f", 0644);
    handle h = OPEN(t, "f", .access = READ_CONTROL);

    EXPECT(t, STATUS_BUFFER_TOO_SMALL, nt_security(t, h, ALL_OF_IT, 8));
}

static void a_mode_changed_by_the_host_is_shown(struct t *t)
{
    make(t, "f", 0644);
    CHECK(t, shown(t, "f") & FILE_WRITE_DATA);
    host_chmod(t, "f", 0444);
    EVENTUALLY(t, (shown(t, "f") & FILE_WRITE_DATA) == 0);
}

/* ---- changing it ----------------------------------------------------------------------------- */

/* Incumbent: shows a mode with more bits than the file has, and writes those back (B.4, SetSecurity). */
static void writing_back_what_was_read_changes_nothing(struct t *t)
{
    struct descriptor d;

    make(t, "f", 04751);
    handle h = OPEN(t, "f", .access = READ_CONTROL | WRITE_DAC | WRITE_OWNER);
    OK(t, nt_security(t, h, ALL_OF_IT, sizeof(d.bytes)));
    d.n = nt_data_len(t);
    memcpy(d.bytes, nt_data(t), d.n);
    OK(t, nt_set_security(t, h, ALL_OF_IT, d.bytes, d.n));
    EQUAL(t, 04751, host_mode(t, "f"));
}

static void taking_the_right_to_write_takes_the_write_bits(struct t *t)
{
    struct descriptor d = allow_everyone(FILE_GENERIC_READ | FILE_GENERIC_EXECUTE | DELETE);

    make(t, "f", 0640);
    OK(t, set(t, "f", DACL_SECURITY_INFORMATION, &d));
    EQUAL(t, 0, host_mode(t, "f") & 0222);
    EQUAL(t, 0400, host_mode(t, "f") & 0400);
}

static void giving_the_right_to_write_gives_the_owner_his_bit(struct t *t)
{
    struct descriptor d = allow_everyone(FILE_ALL_ACCESS);

    make(t, "f", 0444);
    OK(t, set(t, "f", DACL_SECURITY_INFORMATION, &d));
    EQUAL(t, 0200, host_mode(t, "f") & 0200);
    OK(t, TRY(t, "f", .access = FILE_GENERIC_WRITE));
}

static void an_entry_that_denies_takes_bits(struct t *t)
{
    struct descriptor d;

    make(t, "f", 0644);
    begin(&d);
    add_list(&d, DENY, FILE_WRITE_DATA, &everyone, ALLOW, FILE_ALL_ACCESS, &everyone);
    OK(t, set(t, "f", DACL_SECURITY_INFORMATION, &d));
    EQUAL(t, 0, host_mode(t, "f") & 0222);
}

/* Incumbent: any edit of a descriptor writes a mode that was widened for showing (B.4, SetSecurity). */
static void an_entry_for_somebody_else_changes_nothing(struct t *t)
{
    struct descriptor d;

    make(t, "f", 0644);
    begin(&d);
    add_list(&d, ALLOW, shown(t, "f"), &everyone, ALLOW, FILE_ALL_ACCESS, &guests);
    OK(t, set(t, "f", DACL_SECURITY_INFORMATION, &d));
    EQUAL(t, 0644, host_mode(t, "f"));
}

static void setuid_survives_an_edit(struct t *t)
{
    struct descriptor d = allow_everyone(FILE_GENERIC_READ | FILE_GENERIC_EXECUTE | DELETE);

    make(t, "f", 04755);
    OK(t, set(t, "f", DACL_SECURITY_INFORMATION, &d));
    EQUAL(t, 04000, host_mode(t, "f") & 07000);
}

static void what_was_set_is_shown_at_once(struct t *t)
{
    struct descriptor d = allow_everyone(FILE_GENERIC_READ | FILE_GENERIC_EXECUTE | DELETE);

    make(t, "f", 0644);
    handle h = OPEN(t, "f", .access = READ_CONTROL | WRITE_DAC);
    OK(t, nt_set_security(t, h, DACL_SECURITY_INFORMATION, d.bytes, d.n));
    EQUAL(t, 0, shown(t, "f") & FILE_WRITE_DATA);
}

/* Incumbent: changes of owner and group are dropped without a word (B.4, SetSecurity). */
static void a_user_of_the_host_becomes_the_owner(struct t *t)
{
    struct sid user = unix_id(1, 1234), group = unix_id(2, 4321);
    struct descriptor d;

    make(t, "f", 0644);
    begin(&d);
    add_owner(&d, &user, 4);
    add_owner(&d, &group, 8);
    OK(t, set(t, "f", OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION, &d));
    EQUAL(t, 1234, host_stat(t, "f").st_uid);
    EQUAL(t, 4321, host_stat(t, "f").st_gid);
}

static void an_owner_that_the_host_does_not_know_changes_nothing(struct t *t)
{
    struct descriptor d;
    struct stat before;

    make(t, "f", 0644);
    before = host_stat(t, "f");
    begin(&d);
    add_owner(&d, &administrators, 4);
    OK(t, set(t, "f", OWNER_SECURITY_INFORMATION, &d));
    EQUAL(t, before.st_uid, host_stat(t, "f").st_uid);
    EQUAL(t, 0644, host_mode(t, "f"));
}

static void a_malformed_descriptor_is_refused(struct t *t)
{
    struct descriptor d = allow_everyone(FILE_ALL_ACCESS);

    make(t, "f", 0444);
    d.bytes[16] = 0xF0; /* the list lies behind the end */
    EXPECT(t, STATUS_INVALID_SECURITY_DESCR, set(t, "f", DACL_SECURITY_INFORMATION, &d));
    EQUAL(t, 0444, host_mode(t, "f"));
}

static void setting_a_descriptor_needs_the_right_to(struct t *t)
{
    struct descriptor d = allow_everyone(FILE_ALL_ACCESS);

    make(t, "f", 0444);
    handle h = OPEN(t, "f", .access = FILE_GENERIC_READ);
    EXPECT(t, STATUS_ACCESS_DENIED, nt_set_security(t, h, DACL_SECURITY_INFORMATION, d.bytes, d.n));
    EQUAL(t, 0444, host_mode(t, "f"));
}

static void reading_a_descriptor_needs_the_right_to(struct t *t)
{
    make(t, "f", 0644);
    handle h = OPEN(t, "f", .access = FILE_READ_DATA);

    EXPECT(t, STATUS_ACCESS_DENIED, nt_security(t, h, ALL_OF_IT, 4096));
}

static void a_directory_gets_a_descriptor(struct t *t)
{
    struct descriptor d = allow_everyone(FILE_GENERIC_READ | FILE_GENERIC_EXECUTE | DELETE);

    host_mkdir(t, "d");
    OK(t, set(t, "d", DACL_SECURITY_INFORMATION, &d));
    EQUAL(t, 0, host_mode(t, "d") & 0222);
    EQUAL(t, 0500, host_mode(t, "d") & 0500);
}

/* ---- new files ------------------------------------------------------------------------------- */

static void a_new_file_takes_the_descriptor_it_was_given(struct t *t)
{
    struct descriptor d = allow_everyone(FILE_GENERIC_READ | FILE_GENERIC_EXECUTE | DELETE);

    MAKE(t, "f", .sd = d.bytes, .sd_len = d.n);
    EQUAL(t, 0, host_mode(t, "f") & 0222);
}

static void a_new_file_without_one_has_the_usual_mode(struct t *t)
{
    MAKE_FILE(t, "f");
    EQUAL(t, 0664, host_mode(t, "f"));
    MKDIR(t, "d");
    EQUAL(t, 0775, host_mode(t, "d"));
}

static void the_creator_may_write_what_his_descriptor_forbids(struct t *t)
{
    struct descriptor d = allow_everyone(FILE_GENERIC_READ);
    handle h = MAKE(t, "f", .sd = d.bytes, .sd_len = d.n);

    nt_puts(t, h, 0, "text");
    TEXT(t, "text", host_gets(t, "f"));
}

/* ---- who may --------------------------------------------------------------------------------- */

static void a_user_works_with_what_the_owner_may(struct t *t)
{
    make(t, "f", 0600);
    nt_run_as(t, DOOR_TOKEN_USER);
    handle h = OPEN(t, "f");
    TEXT(t, "text", nt_gets(t, h, 0));
    nt_puts(t, h, 0, "TEXT");
    TEXT(t, "TEXT", host_gets(t, "f"));
}

static void nobody_reads_what_the_owner_may_not(struct t *t)
{
    make(t, "f", 0200);
    nt_run_as(t, DOOR_TOKEN_USER);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "f", .access = FILE_GENERIC_READ));
    OK(t, TRY(t, "f", .access = FILE_WRITE_DATA));
}

static void nobody_creates_in_a_directory_without_write_bits(struct t *t)
{
    host_mkdir(t, "d");
    host_chmod(t, "d", 0555);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "d\\f", .disposition = FILE_CREATE));
    TEXT(t, "", host_names(t, "d"));
}

static void nobody_lists_a_directory_without_read_bits(struct t *t)
{
    host_mkdir(t, "d");
    host_chmod(t, "d", 0300);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "d", .access = FILE_LIST_DIRECTORY));
}

static void the_privilege_to_traverse_is_enough_to_pass(struct t *t)
{
    host_mkdir(t, "d");
    make(t, "d\\f", 0644);
    host_chmod(t, "d", 0200);
    nt_run_as(t, DOOR_TOKEN_USER);
    OK(t, TRY(t, "d\\f", .access = FILE_GENERIC_READ));
}

static void without_it_each_directory_is_asked(struct t *t)
{
    host_mkdir(t, "d");
    make(t, "d\\f", 0644);
    host_chmod(t, "d", 0200);
    nt_run_as(t, DOOR_TOKEN_NO_TRAVERSE);
    EXPECT(t, STATUS_ACCESS_DENIED, TRY(t, "d\\f", .access = FILE_GENERIC_READ));
}

static void maximum_allowed_of_a_read_only_file_is_reading(struct t *t)
{
    make(t, "f", 0444);
    handle h = OPEN(t, "f", .access = MAXIMUM_ALLOWED);

    TEXT(t, "text", nt_gets(t, h, 0));
    EXPECT(t, STATUS_ACCESS_DENIED, nt_write(t, h, 0, "x", 1));
}

static const struct test_case cases[] = {
    CASE(a_file_shows_what_its_owner_may),
    CASE(a_read_only_file_shows_no_right_to_write),
    CASE(a_file_that_is_no_program_may_be_started),
    CASE(deleting_and_looking_is_always_shown),
    CASE(a_directory_lets_its_files_be_deleted),
    CASE(owner_and_group_are_shown),
    CASE(only_the_parts_that_are_asked_for_come),
    CASE(a_buffer_too_small_for_the_descriptor_says_so),
    CASE(a_mode_changed_by_the_host_is_shown),
    CASE(writing_back_what_was_read_changes_nothing),
    CASE(taking_the_right_to_write_takes_the_write_bits),
    CASE(giving_the_right_to_write_gives_the_owner_his_bit),
    CASE(an_entry_that_denies_takes_bits),
    CASE(an_entry_for_somebody_else_changes_nothing),
    CASE(setuid_survives_an_edit),
    CASE(what_was_set_is_shown_at_once),
    CASE(a_user_of_the_host_becomes_the_owner),
    CASE(an_owner_that_the_host_does_not_know_changes_nothing),
    CASE(a_malformed_descriptor_is_refused),
    CASE(setting_a_descriptor_needs_the_right_to),
    CASE(reading_a_descriptor_needs_the_right_to),
    CASE(a_directory_gets_a_descriptor),
    CASE(a_new_file_takes_the_descriptor_it_was_given),
    CASE(a_new_file_without_one_has_the_usual_mode),
    CASE(the_creator_may_write_what_his_descriptor_forbids),
    CASE(a_user_works_with_what_the_owner_may),
    CASE(nobody_reads_what_the_owner_may_not),
    CASE(nobody_creates_in_a_directory_without_write_bits),
    CASE(nobody_lists_a_directory_without_read_bits),
    CASE(the_privilege_to_traverse_is_enough_to_pass),
    CASE(without_it_each_directory_is_asked),
    CASE(maximum_allowed_of_a_read_only_file_is_reading),
};
GROUP(security, cases);
