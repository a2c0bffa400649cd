// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_winfsp_names.c - Windows' paths and Linux' names, both ways
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "service/client/linux_errno.h"
#include "service/winfsp/names.h"

static void assert_listed_as(const char *host, uint32_t len, const uint16_t *units)
{
    uint16_t out[SVC_NAME_UNITS];
    uint32_t count = 0;

    while (units[count])
        count++;
    assert_int_equal(svc_name_from_host(host, len, out), count);
    assert_memory_equal(out, units, count * sizeof(*out));
}

/* Listing a name and opening what was listed must lead to the same file. */
static void assert_comes_back(const char *host, uint32_t len)
{
    uint16_t units[SVC_NAME_UNITS];
    char back[SVC_NAME_BYTES];
    uint32_t count = svc_name_from_host(host, len, units);

    assert_in_range(count, 1, SVC_NAME_UNITS);
    assert_int_equal(svc_name_to_host(units, count, back), len);
    assert_memory_equal(back, host, len);
}

static int to_host(const uint16_t *units)
{
    char out[SVC_NAME_BYTES];
    uint32_t count = 0;

    while (units[count])
        count++;
    return svc_name_to_host(units, count, out);
}

static void test_plain_names_are_listed_as_they_are(void **state)
{
    (void)state;
    assert_listed_as("readme.txt", 10, u"readme.txt");
    assert_listed_as("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, u"\u00e9\u20ac\U0001F600");
    assert_comes_back("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9);
}

static void test_reserved_characters_move_to_the_private_area(void **state)
{
    (void)state;
    assert_listed_as("a:b", 3, u"a\uF03Ab");
    assert_listed_as("\"*<>?|\\", 7, u"\uF022\uF02A\uF03C\uF03E\uF03F\uF07C\uF05C");
    assert_listed_as("\x01\x1f", 2, u"\uF001\uF01F");
    assert_comes_back("\"*:<>?|\\\x01\x1f", 10);
}

static void test_dots_and_spaces_at_the_end_move_and_others_stay(void **state)
{
    (void)state;
    assert_listed_as("a.", 2, u"a\uF02E");
    assert_listed_as("a. .", 4, u"a. \uF02E");
    assert_listed_as("a ", 2, u"a\uF020");
    assert_listed_as("...", 3, u"..\uF02E");
    assert_listed_as("a.b c", 5, u"a.b c");
    assert_comes_back("a. .", 4);
    assert_comes_back("...", 3);
}

static void test_bytes_that_are_not_utf8_come_back(void **state)
{
    (void)state;
    assert_listed_as("a\xff", 2, u"a\uF0FF");
    assert_listed_as("\xc3", 1, u"\uF0C3");                     /* cut off */
    assert_listed_as("\xc0\xaf", 2, u"\uF0C0\uF0AF");           /* overlong '/' */
    assert_listed_as("\xed\xa0\x80", 3, u"\uF0ED\uF0A0\uF080"); /* half a surrogate pair */
    assert_comes_back("\xed\xa0\x80\xed\xb0\x80", 6);
    assert_comes_back("\xf4\x90\x80\x80\xfe", 5);
}

static void test_host_names_that_look_escaped_come_back(void **state)
{
    (void)state;
    assert_comes_back("\xef\x80\xba", 3);  /* U+F03A, which stands for ':' */
    assert_comes_back("\xef\x80\x80", 3);  /* U+F000 */
    assert_comes_back("\xef\x80\xaf", 3);  /* U+F02F */
    assert_comes_back("\xef\x83\xbf", 3);  /* U+F0FF */
    assert_comes_back("a\xef\x80\xae", 4); /* U+F02E at the end */
    assert_comes_back("\xef\x80\xae"
                      "a",
                      4);
    assert_listed_as("\xef\x81\x81", 3, u"\uF041"); /* stands for nothing */
}

static void test_two_windows_names_never_mean_one_file(void **state)
{
    (void)state;
    assert_int_equal(to_host(u"\uF0C3\uF0A9"), -LE_EILSEQ); /* is listed as U+00E9 */
    assert_int_equal(to_host(u"a."), -LE_EILSEQ);
    assert_int_equal(to_host(u"a "), -LE_EILSEQ);
    assert_int_equal(to_host(u"."), -LE_EILSEQ);
    assert_int_equal(to_host(u".."), -LE_EILSEQ);
    assert_int_equal(to_host(u".\uF02E"), -LE_EILSEQ); /* ".." of the host */
}

static void test_nul_and_slash_cannot_be_smuggled_in(void **state)
{
    (void)state;
    assert_int_equal(to_host(u"a\uF000b"), -LE_EILSEQ);
    assert_int_equal(to_host(u"a\uF02Fb"), -LE_EILSEQ);
    assert_int_equal(to_host(u"a/b"), -LE_EILSEQ);
}

static void test_names_that_windows_forbids_are_refused(void **state)
{
    static const uint16_t half[] = {'a', 0xD800, 0}, swapped[] = {0xDC00, 0xD800, 0};

    (void)state;
    assert_int_equal(to_host(u"a:b"), -LE_EILSEQ);
    assert_int_equal(to_host(u"a*"), -LE_EILSEQ);
    assert_int_equal(to_host(u""), -LE_EILSEQ);
    assert_int_equal(to_host(half), -LE_EILSEQ);
    assert_int_equal(to_host(swapped), -LE_EILSEQ);
}

static void test_255_units_fit_and_256_do_not(void **state)
{
    uint16_t units[256];
    char out[SVC_NAME_BYTES];

    (void)state;
    for (int i = 0; i < 256; i++)
        units[i] = 'x';
    assert_int_equal(svc_name_to_host(units, 255, out), 255);
    assert_int_equal(svc_name_to_host(units, 256, out), -LE_ENAMETOOLONG);
    for (int i = 0; i < 86; i++)
        units[i] = 0x6F22;
    assert_int_equal(svc_name_to_host(units, 85, out), 255);
    assert_int_equal(svc_name_to_host(units, 86, out), -LE_ENAMETOOLONG);
}

static void test_random_bytes_come_back(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 200000; round++) {
        char name[SVC_NAME_BYTES];
        uint32_t len = 1 + (uint32_t)rand() % 12;

        for (uint32_t i = 0; i < len; i++) {
            static const char likely[] = "\xef\x80\x81\xae\xa0\xba.: \xc3\xed\xf0";

            do
                name[i] = (char)(rand() % 3 ? likely[rand() % 12] : rand());
            while (name[i] == 0 || name[i] == '/');
        }
        if (!(len <= 2 && name[0] == '.' && name[len - 1] == '.'))
            assert_comes_back(name, len);
    }
}

static void test_random_units_mean_one_host_name_or_none(void **state)
{
    (void)state;
    srand(2);
    for (int round = 0; round < 200000; round++) {
        uint16_t units[12], listed[SVC_NAME_UNITS];
        char host[SVC_NAME_BYTES];
        uint32_t count = 1 + (uint32_t)rand() % 12;
        int len;

        for (uint32_t i = 0; i < count; i++)
            units[i] = (uint16_t)(rand() % 2 ? 0xF000 | (rand() & 0xFF) : rand());
        len = svc_name_to_host(units, count, host);
        if (len < 0)
            continue;
        assert_null(memchr(host, '/', (size_t)len));
        assert_null(memchr(host, 0, (size_t)len));
        assert_int_equal(svc_name_from_host(host, (uint32_t)len, listed), count);
        assert_memory_equal(listed, units, count * sizeof(*units));
    }
}

/* ---- paths ------------------------------------------------------------------------------------------ */

static void test_a_path_is_taken_apart(void **state)
{
    static struct svc_path p;

    (void)state;
    assert_int_equal(svc_path_parse(u"\\", &p), 0);
    assert_int_equal(p.count, 0);
    assert_int_equal(svc_path_parse(u"\\ab\\c\uF03A", &p), 0);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.start[1], 4);
    assert_int_equal(p.names[1].len, 2);
    assert_memory_equal(p.names[1].bytes, "c:", 2);
    assert_int_equal(svc_path_parse(u"\\a\\.\\b", &p), -LE_EILSEQ);
}

static void test_the_longest_path_fits_and_one_more_does_not(void **state)
{
    static struct svc_path p;
    static uint16_t path[SVC_PATH_UNITS + 1];

    (void)state;
    for (uint32_t i = 0; i < SVC_PATH_UNITS - 1; i++)
        path[i] = i % 2 ? 0x6F22 : '\\';
    path[SVC_PATH_UNITS - 1] = 0;
    assert_int_equal(svc_path_parse(path, &p), 0);
    assert_int_equal(p.count, (SVC_PATH_UNITS - 1) / 2);
    path[SVC_PATH_UNITS - 1] = 'x';
    path[SVC_PATH_UNITS] = 0;
    assert_int_equal(svc_path_parse(path, &p), -LE_ENAMETOOLONG);
}

static void test_a_path_of_long_names_fits(void **state)
{
    static struct svc_path p;
    static uint16_t path[SVC_PATH_UNITS];
    uint32_t n = 0;

    (void)state;
    while (n + 87 < SVC_PATH_UNITS) {
        path[n++] = '\\';
        for (int i = 0; i < 85; i++)
            path[n++] = 0x6F22;
    }
    path[n] = 0;
    assert_int_equal(svc_path_parse(path, &p), 0);
    assert_int_equal(p.names[p.count - 1].len, 255);
}

static void test_a_host_path_is_spelled(void **state)
{
    uint16_t out[32];

    (void)state;
    assert_int_equal(svc_path_spell("", 0, out, 32), 1);
    assert_memory_equal(out, u"\\", 4);
    assert_int_equal(svc_path_spell("a/b:", 4, out, 32), 5);
    assert_memory_equal(out, u"\\a\\b\uF03A", 12);
    assert_int_equal(svc_path_spell("a/b:", 4, out, 5), -LE_ENAMETOOLONG);
}

static void test_the_directory_of_a_path_is_known(void **state)
{
    (void)state;
    assert_true(svc_path_is_parent(u"\\", u"\\a"));
    assert_true(svc_path_is_parent(u"\\a", u"\\a\\b"));
    assert_false(svc_path_is_parent(u"\\a", u"\\ab\\c"));
    assert_false(svc_path_is_parent(u"\\", u"\\a\\b"));
    assert_false(svc_path_is_parent(u"\\", u"\\"));
    assert_false(svc_path_is_parent(u"\\a\\b", u"\\a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_names_are_listed_as_they_are),
        cmocka_unit_test(test_reserved_characters_move_to_the_private_area),
        cmocka_unit_test(test_dots_and_spaces_at_the_end_move_and_others_stay),
        cmocka_unit_test(test_bytes_that_are_not_utf8_come_back),
        cmocka_unit_test(test_host_names_that_look_escaped_come_back),
        cmocka_unit_test(test_two_windows_names_never_mean_one_file),
        cmocka_unit_test(test_nul_and_slash_cannot_be_smuggled_in),
        cmocka_unit_test(test_names_that_windows_forbids_are_refused),
        cmocka_unit_test(test_255_units_fit_and_256_do_not),
        cmocka_unit_test(test_random_bytes_come_back),
        cmocka_unit_test(test_random_units_mean_one_host_name_or_none),
        cmocka_unit_test(test_a_path_is_taken_apart),
        cmocka_unit_test(test_the_longest_path_fits_and_one_more_does_not),
        cmocka_unit_test(test_a_path_of_long_names_fits),
        cmocka_unit_test(test_a_host_path_is_spelled),
        cmocka_unit_test(test_the_directory_of_a_path_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
