// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_winfsp_stream_name.c - names of streams, and the extended attributes that hold them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "service/client/linux_errno.h"
#include "service/winfsp/stream_name.h"

static uint32_t length(const uint16_t *units)
{
    uint32_t count = 0;

    while (units[count])
        count++;
    return count;
}

static void assert_kept_as(const uint16_t *name, const char *xattr)
{
    uint16_t back[SVC_NAME_UNITS];
    char kept[SVC_XATTR_ROOM];
    uint32_t count = length(name);

    assert_int_equal(svc_stream_to_host(name, count, kept), 0);
    assert_string_equal(kept, xattr);
    assert_int_equal(svc_stream_from_host(kept, back), count);
    assert_memory_equal(back, name, count * sizeof(*name));
}

static int refused(const uint16_t *name)
{
    char kept[SVC_XATTR_ROOM];

    return svc_stream_to_host(name, length(name), kept);
}

static void test_a_stream_is_kept_where_samba_keeps_it(void **state)
{
    (void)state;
    assert_kept_as(u"Zone.Identifier", "user.DosStream.Zone.Identifier:$DATA");
    assert_kept_as(u"\u00e9\u20ac\U0001F600",
                   "user.DosStream.\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80:$DATA");
}

static void test_what_no_file_may_be_called_a_stream_may(void **state)
{
    (void)state;
    assert_kept_as(u"\"*<>?|\x01. ", "user.DosStream.\"*<>?|\x01. :$DATA");
    assert_kept_as(u"\uF03A", "user.DosStream.\xef\x80\xba:$DATA");
}

static void test_separators_and_half_characters_are_refused(void **state)
{
    const uint16_t high[] = {'a', 0xD83D, 0}, low[] = {0xDE00, 'a', 0};

    (void)state;
    assert_int_equal(refused(u""), -LE_EILSEQ);
    assert_int_equal(refused(u"a:b"), -LE_EILSEQ);
    assert_int_equal(refused(u"a/b"), -LE_EILSEQ);
    assert_int_equal(refused(u"a\\b"), -LE_EILSEQ);
    assert_int_equal(refused(high), -LE_EILSEQ);
    assert_int_equal(refused(low), -LE_EILSEQ);
}

static void test_a_name_ends_where_the_attributes_name_does(void **state)
{
    uint16_t name[300];
    char kept[SVC_XATTR_ROOM];

    (void)state;
    for (unsigned i = 0; i < 300; i++)
        name[i] = 'n';
    assert_int_equal(svc_stream_to_host(name, 234, kept), 0);
    assert_int_equal(strlen(kept), 255);
    assert_int_equal(svc_stream_to_host(name, 235, kept), -LE_ENAMETOOLONG);
    name[233] = 0x20AC;
    assert_int_equal(svc_stream_to_host(name, 234, kept), -LE_ENAMETOOLONG);
}

static void test_other_attributes_hold_no_stream(void **state)
{
    static const char *const others[] = {"user.DOSATTRIB",           "user.DosStream.",
                                         "user.DosStream.:$DATA",    "user.DosStream.untyped",
                                         "user.DosStream.s:$EA",     "user.dosstream.s:$DATA",
                                         "user.DosStream.a:b:$DATA", "user.DosStream.a\\b:$DATA",
                                         "user.DosStream.a/b:$DATA", "user.DosStream.\xff:$DATA",
                                         "user.DosStream.\xc3:$DATA"};
    uint16_t units[SVC_NAME_UNITS];

    (void)state;
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(svc_stream_from_host(others[i], units), -LE_EILSEQ);
}

static void test_an_attribute_with_too_long_a_name_holds_no_stream(void **state)
{
    uint16_t units[SVC_NAME_UNITS];
    char name[400] = "user.DosStream.";

    (void)state;
    memset(name + 15, 'n', 300);
    strcpy(name + 315, ":$DATA");
    assert_int_equal(svc_stream_from_host(name, units), -LE_EILSEQ);
}

static void test_case_makes_no_other_stream(void **state)
{
    (void)state;
    assert_true(svc_stream_same("user.DosStream.Zone:$DATA", "user.DosStream.zONE:$DATA"));
    assert_true(svc_stream_same("user.DosStream.\xc3\xa9:$DATA", "user.DosStream.\xc3\x89:$DATA"));
    assert_false(svc_stream_same("user.DosStream.a:$DATA", "user.DosStream.b:$DATA"));
    assert_false(svc_stream_same("user.DosStream.a:$DATA", "user.DosStream.a"));
    assert_false(svc_stream_same("user.a", "user.a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stream_is_kept_where_samba_keeps_it),
        cmocka_unit_test(test_what_no_file_may_be_called_a_stream_may),
        cmocka_unit_test(test_separators_and_half_characters_are_refused),
        cmocka_unit_test(test_a_name_ends_where_the_attributes_name_does),
        cmocka_unit_test(test_other_attributes_hold_no_stream),
        cmocka_unit_test(test_an_attribute_with_too_long_a_name_holds_no_stream),
        cmocka_unit_test(test_case_makes_no_other_stream),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
