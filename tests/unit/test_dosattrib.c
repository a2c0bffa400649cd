// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_dosattrib.c - user.DOSATTRIB in all of its versions; names of extended attributes
 *
 * Values of version 5 were written by Debian 12's smbd (Samba 4.17.12) through smbclient's setmode, put and utimes.
 * The older ones are built here; the stage "metadata" shows that this smbd reads them as it should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/meta/dosattrib.h"
#include "lib/meta/names.h"

enum { READONLY = 0x1, HIDDEN = 0x2, SYSTEM = 0x4, DIRECTORY = 0x10, ARCHIVE = 0x20 };

/* 2001-01-02 03:04:05 UTC */
#define CREATED 0x01c07468aa5cc080u

static const uint8_t hidden_and_system[] = {
    0, 0, 5, 0, 5, 0, 0, 0, 0x11, 0, 0, 0, 6, 0, 0, 0, 0xe6, 0x30, 0x2a, 0xd5, 0xb1, 0x7a, 0xdd, 1};
static const uint8_t put_by_smbclient[] = {0,    0,    5,    0,    5,    0,    0,    0,
                                           0x11, 0,    0,    0,    0x20, 0,    0,    0,
                                           0x66, 0x9e, 0x37, 0xd5, 0xb1, 0x7a, 0xdd, 1};
static const uint8_t hidden_directory[] = {0,    0,    5,    0,    5,    0,    0,    0,
                                           0x11, 0,    0,    0,    0x12, 0,    0,    0,
                                           0x21, 0xf9, 0x2a, 0xd5, 0xb1, 0x7a, 0xdd, 1};
static const uint8_t dated_without_attributes[] = {
    0, 0, 5, 0, 5, 0, 0, 0, 0x11, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xc0, 0x5c, 0xaa, 0x68, 0x74, 0xc0, 1};

static struct dosattrib decoded(const void *value, size_t len)
{
    struct dosattrib d;

    assert_true(dosattrib_decode(value, len, &d));
    return d;
}

static bool refused(const void *value, size_t len)
{
    struct dosattrib d;

    return !dosattrib_decode(value, len, &d);
}

static void test_what_samba_writes_is_read(void **state)
{
    (void)state;
    assert_int_equal(decoded(hidden_and_system, 24).attributes, HIDDEN | SYSTEM);
    assert_int_equal(decoded(hidden_and_system, 24).create_time, 0x01dd7ab1d52a30e6);
    assert_int_equal(decoded(put_by_smbclient, 24).attributes, ARCHIVE);
    assert_int_equal(decoded(hidden_directory, 24).attributes, HIDDEN | DIRECTORY);
    assert_int_equal(decoded(dated_without_attributes, 24).attributes, 0);
    assert_int_equal(decoded(dated_without_attributes, 24).create_time, CREATED);
}

static void test_what_is_written_is_sambas_to_the_byte(void **state)
{
    static const uint8_t *const written[] = {hidden_and_system, put_by_smbclient, hidden_directory,
                                             dated_without_attributes};
    uint8_t ours[DOSATTRIB_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
        struct dosattrib d = decoded(written[i], DOSATTRIB_SIZE);

        dosattrib_encode(&d, ours);
        assert_memory_equal(ours, written[i], DOSATTRIB_SIZE);
    }
}

static void test_attributes_without_a_time_say_so(void **state)
{
    struct dosattrib d = {.attributes = HIDDEN}, back;
    uint8_t ours[DOSATTRIB_SIZE];

    (void)state;
    dosattrib_encode(&d, ours);
    assert_int_equal(ours[8], 1);
    back = decoded(ours, sizeof(ours));
    assert_int_equal(back.attributes, HIDDEN);
    assert_int_equal(back.create_time, 0);
}

/* ---- older versions ------------------------------------------------------------------------------------ */

struct value {
    uint8_t bytes[DOSATTRIB_MAX + 8];
    size_t len;
};

static void add(struct value *v, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        v->bytes[v->len++] = (uint8_t)(number >> 8 * i);
}

/* The text, the version twice, and padding to the fields. */
static struct value head(const char *text, uint16_t version)
{
    struct value v = {.len = strlen(text) + 1};

    memcpy(v.bytes, text, v.len);
    v.len += v.len & 1;
    add(&v, version, 2);
    add(&v, version, 2);
    v.len = (v.len + 3) & ~(size_t)3;
    return v;
}

static void sizes_and_times(struct value *v, bool write_time)
{
    add(v, 77, 4); /* EAs */
    add(v, 1, 8);  /* size */
    add(v, 4096, 8);
    add(v, CREATED, 8);
    add(v, CREATED + 1, 8);
    if (write_time)
        add(v, CREATED + 2, 8);
}

static void test_a_bare_text_is_all_there_is(void **state)
{
    (void)state;
    assert_int_equal(decoded("0x22", 4).attributes, HIDDEN | ARCHIVE);
    assert_int_equal(decoded("0x22", 5).attributes, HIDDEN | ARCHIVE);
    assert_int_equal(decoded("0xABcd0123", 11).attributes, 0xABcd0123);
    assert_int_equal(decoded("0x7", 3).create_time, 0);
}

static void test_version_1_has_no_flags(void **state)
{
    struct value v = head("0x23", 1);

    (void)state;
    add(&v, READONLY | HIDDEN | ARCHIVE, 4);
    sizes_and_times(&v, false);
    assert_int_equal(decoded(v.bytes, v.len).attributes, READONLY | HIDDEN | ARCHIVE);
    assert_int_equal(decoded(v.bytes, v.len).create_time, CREATED);
}

static void test_version_2_has_attributes_only(void **state)
{
    struct value v = head("0x2", 2);

    (void)state;
    add(&v, 0x11, 4);
    add(&v, HIDDEN, 4);
    sizes_and_times(&v, true);
    add(&v, 0, 1); /* name */
    assert_int_equal(decoded(v.bytes, v.len).attributes, HIDDEN);
    assert_int_equal(decoded(v.bytes, v.len).create_time, 0);
}

static void test_version_3_has_both(void **state)
{
    struct value v = head("0x22", 3);

    (void)state;
    add(&v, 0x11, 4);
    add(&v, HIDDEN | ARCHIVE, 4);
    sizes_and_times(&v, false);
    assert_int_equal(decoded(v.bytes, v.len).attributes, HIDDEN | ARCHIVE);
    assert_int_equal(decoded(v.bytes, v.len).create_time, CREATED);
}

static void test_version_3_without_its_flag_has_no_time(void **state)
{
    struct value v = head("", 3);

    (void)state;
    add(&v, 0x1, 4);
    add(&v, HIDDEN, 4);
    sizes_and_times(&v, false);
    assert_int_equal(decoded(v.bytes, v.len).create_time, 0);
}

static void test_version_4_has_two_creation_times(void **state)
{
    struct value v = head("", 4);

    (void)state;
    add(&v, 0x51, 4);
    add(&v, SYSTEM, 4);
    add(&v, CREATED + 10, 8);
    add(&v, CREATED, 8);
    assert_int_equal(decoded(v.bytes, v.len).attributes, SYSTEM);
    assert_int_equal(decoded(v.bytes, v.len).create_time, CREATED);
}

static void test_bytes_behind_the_fields_are_ignored(void **state)
{
    uint8_t longer[27] = {0};

    (void)state;
    memcpy(longer, hidden_and_system, 24);
    assert_int_equal(decoded(longer, sizeof(longer)).attributes, HIDDEN | SYSTEM);
}

/* ---- what is refused ------------------------------------------------------------------------------------ */

static void test_values_that_are_cut_off_are_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < 24; len++)
        assert_true(refused(hidden_and_system, len));
}

static void test_unknown_versions_are_refused(void **state)
{
    static const uint16_t unknown[] = {0, 6, 7, 0x105, 0xffff};

    (void)state;
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        struct value v = head("", unknown[i]);

        v.len = 100;
        assert_true(refused(v.bytes, v.len));
    }
}

static void test_two_versions_in_one_value_are_refused(void **state)
{
    uint8_t two[24];

    (void)state;
    memcpy(two, hidden_and_system, sizeof(two));
    two[4] = 4;
    assert_true(refused(two, sizeof(two)));
}

static void test_text_that_is_no_number_is_refused(void **state)
{
    static const char *const text[] = {"0x",           "22",          "0y22",  "0x2g",
                                       "0x220x220x22", "0x123456789", " 0x22", ""};

    (void)state;
    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        assert_true(refused(text[i], strlen(text[i])));
        assert_true(refused(text[i], strlen(text[i]) + 1));
    }
}

static void test_oversized_values_are_refused(void **state)
{
    struct value v = head("", 5);

    (void)state;
    v.len = DOSATTRIB_MAX;
    assert_false(refused(v.bytes, v.len));
    assert_true(refused(v.bytes, v.len + 1));
}

static void test_times_that_windows_cannot_have_are_none(void **state)
{
    struct dosattrib d = {.attributes = HIDDEN, .create_time = UINT64_MAX};
    uint8_t bytes[DOSATTRIB_SIZE];

    (void)state;
    dosattrib_encode(&d, bytes);
    assert_int_equal(decoded(bytes, sizeof(bytes)).create_time, 0);
    assert_int_equal(decoded(bytes, sizeof(bytes)).attributes, HIDDEN);
}

/* ---- names ------------------------------------------------------------------------------------------------ */

static void test_names_tell_what_an_attribute_is(void **state)
{
    (void)state;
    assert_int_equal(meta_kind_of("user.DOSATTRIB"), META_DOSATTRIB);
    assert_int_equal(meta_kind_of("user.DosStream.Zone.Identifier:$DATA"), META_STREAM);
    assert_int_equal(meta_kind_of("user.NTACL"), META_ACL);
    assert_int_equal(meta_kind_of("security.NTACL"), META_ACL);
    assert_int_equal(meta_kind_of("user.COLOUR"), META_EA);
    assert_int_equal(meta_kind_of("user.DOSATTRIBUTES"), META_EA);
    assert_int_equal(meta_kind_of("user."), META_NONE);
    assert_int_equal(meta_kind_of("security.selinux"), META_NONE);
    assert_int_equal(meta_kind_of("system.posix_acl_access"), META_NONE);
    assert_int_equal(meta_kind_of("trusted.user.x"), META_NONE);
}

static void test_no_case_makes_a_private_name_an_ea(void **state)
{
    static const char *const names[] = {"user.dosattrib",
                                        "user.DOSSTREAM.x:$DATA",
                                        "user.ntacl",
                                        "user.SAMBA_PAI",
                                        "user.samba_streams",
                                        "user.SmbReparse",
                                        "user.org.netatalk.Metadata"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(meta_kind_of(names[i]), META_PRIVATE);
}

static void test_eas_count_as_in_ntfs(void **state)
{
    (void)state;
    assert_int_equal(meta_ea_size("user.COLOUR", 4), 5 + 6 + 4);
    assert_int_equal(meta_ea_size("user.COLOUR", 65535), 5 + 6 + 65535);
    assert_int_equal(meta_ea_size("user.COLOUR", 0), 0);
    assert_int_equal(meta_ea_size("user.COLOUR", 65536), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_samba_writes_is_read),
        cmocka_unit_test(test_what_is_written_is_sambas_to_the_byte),
        cmocka_unit_test(test_attributes_without_a_time_say_so),
        cmocka_unit_test(test_a_bare_text_is_all_there_is),
        cmocka_unit_test(test_version_1_has_no_flags),
        cmocka_unit_test(test_version_2_has_attributes_only),
        cmocka_unit_test(test_version_3_has_both),
        cmocka_unit_test(test_version_3_without_its_flag_has_no_time),
        cmocka_unit_test(test_version_4_has_two_creation_times),
        cmocka_unit_test(test_bytes_behind_the_fields_are_ignored),
        cmocka_unit_test(test_values_that_are_cut_off_are_refused),
        cmocka_unit_test(test_unknown_versions_are_refused),
        cmocka_unit_test(test_two_versions_in_one_value_are_refused),
        cmocka_unit_test(test_text_that_is_no_number_is_refused),
        cmocka_unit_test(test_oversized_values_are_refused),
        cmocka_unit_test(test_times_that_windows_cannot_have_are_none),
        cmocka_unit_test(test_names_tell_what_an_attribute_is),
        cmocka_unit_test(test_no_case_makes_a_private_name_an_ea),
        cmocka_unit_test(test_eas_count_as_in_ntfs),
    };
    return cmocka_run_group_tests_name("dosattrib", tests, NULL, NULL);
}
