// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_service_settings.c - the service's command line, registry precedence and mount points
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "service/win/config.h"
#include "service/win/options.h"

/* ---- command line --------------------------------------------------------------------------- */

#define PARSE(o, e, ...)                                                                           \
    svc_options_parse(                                                                             \
        o, sizeof((const wchar_t *[]){L"virtiofs.exe", ##__VA_ARGS__}) / sizeof(wchar_t *),        \
        (const wchar_t *[]){L"virtiofs.exe", ##__VA_ARGS__}, e)

static struct svc_options parsed;
static struct svc_error why;

#define assert_wide(a, b) assert_true(wcscmp(a, b) == 0)
#define assert_says(part) assert_non_null(wcsstr(why.text, part))

static void test_no_words_give_nothing(void **state)
{
    (void)state;
    assert_true(PARSE(&parsed, &why));
    assert_int_equal(parsed.command, SVC_SERVE);
    assert_int_equal(parsed.settings.given, 0);
}

static void test_the_quick_starts_line_is_understood(void **state)
{
    (void)state;
    assert_true(PARSE(&parsed, &why, L"-d", L"-1", L"-D", L"C:\\viofs_debug.log", L"-m", L"X:"));
    assert_int_equal(parsed.settings.debug_flags, UINT32_MAX);
    assert_wide(parsed.settings.debug_log_file, L"C:\\viofs_debug.log");
    assert_wide(parsed.settings.mount_point, L"X:");
    assert_false(svc_has(&parsed.settings, SVC_TAG));
}

static void test_the_launchers_line_is_understood(void **state)
{
    (void)state;
    assert_true(PARSE(&parsed, &why, L"-t", L"mount_tag0", L"-m", L"\\\\.\\Y:"));
    assert_wide(parsed.settings.tag, L"mount_tag0");
    assert_wide(parsed.settings.mount_point, L"\\\\.\\Y:");
}

static void test_every_option_sets_its_setting(void **state)
{
    (void)state;
    assert_true(PARSE(&parsed, &why, L"-i", L"-F", L"NTFS", L"-o", L"1000:100", L"-n", L"7", L"-d",
                      L"0x10", L"-t", L"a b", L"-D", L"-"));
    assert_true(parsed.settings.case_insensitive);
    assert_wide(parsed.settings.file_system_name, L"NTFS");
    assert_int_equal(parsed.settings.owner_uid, 1000);
    assert_int_equal(parsed.settings.owner_gid, 100);
    assert_int_equal(parsed.settings.poll_seconds, 7);
    assert_int_equal(parsed.settings.debug_flags, 16);
    assert_wide(parsed.settings.tag, L"a b");
    assert_wide(parsed.settings.debug_log_file, L"-");
}

static void test_polling_with_zero_means_three_seconds(void **state)
{
    (void)state;
    assert_true(PARSE(&parsed, &why, L"-n", L"0"));
    assert_int_equal(parsed.settings.poll_seconds, 3);
}

static void test_commands_and_help_are_words_of_their_own(void **state)
{
    static const struct {
        const wchar_t *word;
        enum svc_command command;
    } words[] = {{L"list", SVC_LIST},        {L"check", SVC_CHECK}, {L"-?", SVC_HELP},
                 {L"-h", SVC_HELP},          {L"--help", SVC_HELP}, {L"/?", SVC_HELP},
                 {L"--version", SVC_VERSION}};

    (void)state;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        assert_true(PARSE(&parsed, &why, words[i].word));
        assert_int_equal(parsed.command, words[i].command);
    }
}

static void test_help_is_given_whatever_else_is_said(void **state)
{
    (void)state;
    assert_true(PARSE(&parsed, &why, L"-m", L"X:", L"-?", L"nonsense"));
    assert_int_equal(parsed.command, SVC_HELP);
}

static void test_an_unknown_option_is_named(void **state)
{
    (void)state;
    assert_false(PARSE(&parsed, &why, L"-i", L"-x"));
    assert_says(L"-x: there is no such option");
}

static void test_a_long_option_is_not_its_first_letter(void **state)
{
    (void)state;
    assert_false(PARSE(&parsed, &why, L"-tag", L"x"));
    assert_says(L"-tag: there is no such option");
}

static void test_a_stray_word_is_named(void **state)
{
    (void)state;
    assert_false(PARSE(&parsed, &why, L"X:"));
    assert_says(L"X:: not expected here");
}

static void test_a_missing_value_is_told(void **state)
{
    (void)state;
    assert_false(PARSE(&parsed, &why, L"-i", L"-m"));
    assert_says(L"-m: needs a value");
}

static void test_an_option_given_twice_is_refused(void **state)
{
    (void)state;
    assert_false(PARSE(&parsed, &why, L"-t", L"a", L"-t", L"b"));
    assert_says(L"-t: given twice");
}

static void test_a_command_takes_no_options(void **state)
{
    (void)state;
    assert_false(PARSE(&parsed, &why, L"list", L"-t", L"a"));
    assert_says(L"list: ");
    assert_false(PARSE(&parsed, &why, L"-i", L"check"));
    assert_says(L"check: ");
}

static void test_names_that_are_too_long_are_refused(void **state)
{
    wchar_t name[64];

    (void)state;
    wmemset(name, L'a', 63);
    name[36] = 0;
    assert_true(PARSE(&parsed, &why, L"-t", name));
    name[36] = L'a';
    name[37] = 0;
    assert_false(PARSE(&parsed, &why, L"-t", name));
    assert_says(L"-t: a tag has 37 characters, 36 are the most");
    name[15] = 0;
    assert_true(PARSE(&parsed, &why, L"-F", name));
    name[15] = L'a';
    name[16] = 0;
    assert_false(PARSE(&parsed, &why, L"-F", name));
    assert_says(L"-F: a file system name has 16 characters");
}

static void test_a_path_of_any_length_is_answered(void **state)
{
    static wchar_t path[4096];

    (void)state;
    wmemset(path, L'a', 4095);
    wmemcpy(path, L"C:\\", 3);
    assert_false(PARSE(&parsed, &why, L"-m", path));
    assert_false(PARSE(&parsed, &why, L"-D", path));
    assert_false(PARSE(&parsed, &why, path));
    assert_true(wcslen(why.text) < SVC_ERROR_UNITS);
}

static void test_numbers_that_are_none_are_refused(void **state)
{
    static const wchar_t *const wrong[] = {L"",
                                           L"x",
                                           L"1x",
                                           L"0x",
                                           L" 1",
                                           L"-2",
                                           L"4294967296",
                                           L"0x100000000",
                                           L"08",
                                           L"1 ",
                                           L"99999999999999999999999999"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(PARSE(&parsed, &why, L"-d", wrong[i]));
    assert_false(PARSE(&parsed, &why, L"-n", L"-1"));
    assert_false(PARSE(&parsed, &why, L"-n", L"86401"));
}

static void test_owners_that_are_none_are_refused(void **state)
{
    static const wchar_t *const wrong[] = {L"",     L"1",    L"1:",       L":1",    L"1:2:3",
                                           L"a:b",  L"1 :2", L"0x1:2",    L"-1:-1", L"4294967295:0",
                                           L"1:2x", L"1;2",  L"root:root"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(PARSE(&parsed, &why, L"-o", wrong[i]));
        assert_says(L"-o: ");
    }
}

static void test_a_setting_of_a_few_words_takes_no_others(void **state)
{
    struct svc_settings s = {0};
    struct svc_error error;

    (void)state;
    assert_true(svc_settings_text(&s, SVC_READ_ONLY_ATTRIBUTE, L"mode", &error));
    assert_false(svc_settings_text(&s, SVC_READ_ONLY_ATTRIBUTE, L"mod", &error));
    assert_wide(error.text, L"ReadOnlyAttribute is one of both|mode|stored, not 'mod'");
    assert_false(svc_settings_text(&s, SVC_ATTRIBUTES, L"stored|mode", &error));
    assert_false(svc_settings_text(&s, SVC_ATTRIBUTES, L"both", &error));
    assert_wide(s.read_only_attribute, L"mode");
}

static void test_the_help_names_every_option_and_winfsp(void **state)
{
    static wchar_t usage[SVC_USAGE_UNITS];

    (void)state;
    svc_usage(usage);
    assert_true(wcslen(usage) < SVC_USAGE_UNITS - 1);
    for (unsigned i = 0; i < SVC_SETTINGS; i++) {
        wchar_t option[64];

        if (!svc_setting_infos[i].option)
            continue;
        swprintf(option, 64, L"\n  %ls ", svc_setting_infos[i].option);
        assert_non_null(wcsstr(usage, option));
    }
    assert_non_null(wcsstr(usage, L"share add TAG"));
    assert_non_null(wcsstr(usage, L"Copyright (C) Bill Zissimopoulos"));
    assert_non_null(wcsstr(svc_version_text, L"https://github.com/winfsp/winfsp"));
}

/* ---- share add, remove, list ---------------------------------------------------------------- */

static void test_share_add_takes_a_tag_and_every_option_of_a_share(void **state)
{
    (void)state;
    assert_true(PARSE(&parsed, &why, L"share", L"add", L"my tag", L"-m", L"P:", L"-i", L"-F",
                      L"NTFS", L"-o", L"1000:100", L"-n", L"7", L"--read-only", L"--security",
                      L"D:(A;;GA;;;WD)", L"--label", L"my files", L"--hide-dot-files",
                      L"--attributes", L"mode", L"--read-only-attribute", L"stored",
                      L"--change-notify", L"off", L"--cache", L"strict", L"--streams", L"off",
                      L"--acl", L"stored", L"--acl-name", L"security"));
    assert_int_equal(parsed.command, SVC_SHARE_ADD);
    assert_wide(parsed.tag, L"my tag");
    assert_false(parsed.replace);
    for (unsigned i = 0; i < SVC_SETTINGS; i++)
        assert_int_equal(svc_has(&parsed.settings, (enum svc_setting)i),
                         (svc_setting_infos[i].scope & SVC_SCOPE_SHARE) != 0);
    assert_wide(parsed.settings.label, L"my files");
}

static void test_what_is_kept_is_told_as_options(void **state)
{
    wchar_t text[256];

    (void)state;
    assert_true(PARSE(&parsed, &why, L"share", L"add", L"a", L"--hide-dot-files", L"--label",
                      L"my files", L"-o", L"1:2", L"-m", L"C:\\x", L"-n", L"5", L"-i"));
    svc_options_text(&parsed.settings, text, 256);
    assert_wide(text, L"-i -m C:\\x -o 1:2 -n 5 --label \"my files\" --hide-dot-files");
    svc_options_text(&parsed.settings, text, 8);
    assert_wide(text, L"-i -m C");
}

static void test_share_add_refuses_what_mounting_would_refuse(void **state)
{
    (void)state;
    assert_false(PARSE(&parsed, &why, L"share", L"add", L"a", L"-m", L"nowhere"));
    assert_says(L"-m: 'nowhere' is no mount point");
    assert_false(PARSE(&parsed, &why, L"share", L"add", L"a", L"-n", L"86401"));
    assert_says(L"more than a day");
    assert_false(PARSE(&parsed, &why, L"share", L"add", L"a", L"-d", L"-1"));
    assert_says(L"-d: cannot be set for one share");
    assert_false(PARSE(&parsed, &why, L"share", L"add", L"a", L"-m"));
    assert_says(L"-m: needs a value");
    assert_false(PARSE(&parsed, &why, L"share", L"add", L"a", L"-i", L"-i"));
    assert_says(L"-i: given twice");
    assert_false(PARSE(&parsed, &why, L"share", L"add", L"a"));
    assert_says(L"at least one option");
    assert_false(PARSE(&parsed, &why, L"share", L"add"));
    assert_says(L"tag is missing");
}

static void test_a_shares_own_options_are_not_the_processs(void **state)
{
    (void)state;
    assert_false(PARSE(&parsed, &why, L"--read-only"));
    assert_says(L"--read-only: is for one share: virtiofs.exe share add TAG");
}

static void test_tags_that_cannot_be_kept_are_refused(void **state)
{
    (void)state;
    assert_false(PARSE(&parsed, &why, L"share", L"add", L"a\\b", L"-i"));
    assert_says(L"backslash");
    assert_false(
        PARSE(&parsed, &why, L"share", L"remove", L"aaaaaaaaaabbbbbbbbbbccccccccccddddddd"));
    assert_says(L"36 are the most");
    assert_false(PARSE(&parsed, &why, L"share", L"remove", L""));
    assert_says(L"must not be empty");
}

static void test_a_tag_may_look_like_an_option(void **state)
{
    (void)state;
    assert_true(PARSE(&parsed, &why, L"share", L"remove", L"-m"));
    assert_wide(parsed.tag, L"-m");
}

static void test_share_goes_on_with_a_word_that_it_knows(void **state)
{
    (void)state;
    assert_false(PARSE(&parsed, &why, L"share"));
    assert_says(L"add, remove or list");
    assert_false(PARSE(&parsed, &why, L"share", L"change", L"a"));
    assert_says(L"add, remove or list");
    assert_true(PARSE(&parsed, &why, L"share", L"list"));
    assert_int_equal(parsed.command, SVC_SHARE_LIST);
    assert_false(PARSE(&parsed, &why, L"share", L"list", L"a"));
    assert_says(L"a: not expected here");
    assert_false(PARSE(&parsed, &why, L"share", L"remove", L"a", L"-i"));
    assert_says(L"-i: not expected here");
    assert_true(PARSE(&parsed, &why, L"share", L"add", L"--help"));
    assert_int_equal(parsed.command, SVC_HELP);
}

static void test_replace_is_asked_for(void **state)
{
    (void)state;
    assert_true(PARSE(&parsed, &why, L"share", L"add", L"a", L"-i", L"--replace"));
    assert_true(parsed.replace);
}

static void test_settings_are_compared_by_what_was_given(void **state)
{
    static struct svc_options other;

    (void)state;
    assert_true(PARSE(&parsed, &why, L"share", L"add", L"a", L"-m", L"P:", L"-i"));
    assert_true(PARSE(&other, &why, L"share", L"add", L"b", L"-i", L"-m", L"P:"));
    assert_true(svc_settings_equal(&parsed.settings, &other.settings));
    assert_int_equal(svc_settings_mark(&parsed.settings), svc_settings_mark(&other.settings));
    assert_true(PARSE(&other, &why, L"share", L"add", L"a", L"-m", L"Q:", L"-i"));
    assert_false(svc_settings_equal(&parsed.settings, &other.settings));
    assert_int_not_equal(svc_settings_mark(&parsed.settings), svc_settings_mark(&other.settings));
    assert_true(PARSE(&other, &why, L"share", L"add", L"a", L"-m", L"P:"));
    assert_false(svc_settings_equal(&parsed.settings, &other.settings));
}

static void test_one_place_can_be_written_in_two_ways(void **state)
{
    (void)state;
    assert_true(svc_mount_same(L"p:", L"\\\\.\\P:"));
    assert_true(svc_mount_same(L"C:\\Mnt\\a", L"\\\\?\\c:\\mnt\\A"));
    assert_false(svc_mount_same(L"P:", L"P:\\a"));
    assert_false(svc_mount_same(L"P:", L"Q:"));
}

/* ---- mount points --------------------------------------------------------------------------- */

static void test_mount_points_are_told_apart(void **state)
{
    static const struct {
        const wchar_t *text;
        enum svc_mount_kind kind;
        wchar_t letter;
    } points[] = {
        {L"*", SVC_MOUNT_ANY, 0},
        {L"X:", SVC_MOUNT_LETTER, L'X'},
        {L"x:", SVC_MOUNT_LETTER, L'X'},
        {L"x:\\", SVC_MOUNT_LETTER, L'X'},
        {L"\\\\.\\y:", SVC_MOUNT_MANAGED, L'Y'},
        {L"\\\\?\\Y:", SVC_MOUNT_MANAGED, L'Y'},
        {L"\\\\.\\C:\\mnt\\share", SVC_MOUNT_DIRECTORY, 0},
        {L"C:\\mnt", SVC_MOUNT_DIRECTORY, 0},
        {L"X", SVC_MOUNT_WRONG, 0},
        {L"1:", SVC_MOUNT_WRONG, 0},
        {L"XX:", SVC_MOUNT_WRONG, 0},
        {L"**", SVC_MOUNT_WRONG, 0},
        {L"mnt\\share", SVC_MOUNT_WRONG, 0},
        {L"C:mnt", SVC_MOUNT_WRONG, 0},
        {L"C:/mnt", SVC_MOUNT_WRONG, 0},
        {L"C:\\\\mnt", SVC_MOUNT_WRONG, 0},
        {L"C:\\a?b", SVC_MOUNT_WRONG, 0},
        {L"C:\\a:b", SVC_MOUNT_WRONG, 0},
        {L"\\\\.\\", SVC_MOUNT_WRONG, 0},
        {L"\\\\server\\share", SVC_MOUNT_WRONG, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        assert_int_equal(svc_mount_kind(points[i].text), points[i].kind);
        assert_int_equal(svc_mount_letter(points[i].text), points[i].letter);
    }
}

static void test_a_drives_trailing_backslash_is_dropped(void **state)
{
    (void)state;
    assert_true(PARSE(&parsed, &why, L"-m", L"X:\\"));
    assert_wide(parsed.settings.mount_point, L"X:");
}

static void test_a_network_path_is_explained(void **state)
{
    (void)state;
    assert_false(PARSE(&parsed, &why, L"-m", L"\\\\server\\share"));
    assert_says(L"network path");
}

static void test_letters_are_given_from_z_down_to_d(void **state)
{
    (void)state;
    assert_int_equal(svc_free_letter(0), L'Z');
    assert_int_equal(svc_free_letter(1u << 25), L'Y');
    assert_int_equal(svc_free_letter(0x3fffff0), L'D');
    assert_int_equal(svc_free_letter(0x3fffff8), 0);
    assert_int_equal(svc_free_letter(UINT32_MAX), 0);
}

/* ---- registry ------------------------------------------------------------------------------- */

struct fake_value {
    const wchar_t *share, *name, *text; /* text NULL: a number */
    uint32_t number;
};

static unsigned asked_for_strange_share;

static void fake_read(void *user, const wchar_t *share, const wchar_t *name, struct svc_value *out)
{
    const struct fake_value *v = user;

    if (share && wcschr(share, L'\\'))
        asked_for_strange_share++;
    out->kind = SVC_VALUE_ABSENT;
    for (; v->name; v++) {
        if (wcscmp(v->name, name) != 0 || !share != !v->share ||
            (share && wcscmp(share, v->share) != 0))
            continue;
        out->kind = v->text ? SVC_VALUE_TEXT : SVC_VALUE_NUMBER;
        out->number = v->number;
        if (v->text)
            wcscpy(out->text, v->text);
    }
}

static unsigned refusals;
static wchar_t refusal[1024];

static void count_refusal(void *user, const wchar_t *text)
{
    (void)user;
    refusals++;
    wcsncpy(refusal, text, 1023);
}

static struct svc_config config;
static struct svc_source sources[2];

/* Both keys as given, and a command line of none or one `-i`. */
static void load(const struct fake_value *ours, const struct fake_value *theirs, bool with_option)
{
    static const struct fake_value none[] = {{0}};

    refusals = 0;
    sources[0] = (struct svc_source){L"OURS", fake_read, (void *)(ours ? ours : none)};
    sources[1] = (struct svc_source){L"THEIRS", fake_read, (void *)(theirs ? theirs : none)};
    config = (struct svc_config){.sources = sources, .num_sources = 2, .refused = count_refusal};
    if (with_option)
        assert_true(svc_settings_number(&config.command_line, SVC_CASE_INSENSITIVE, 1, &why));
    svc_config_load(&config);
}

static void test_plain_values_count_without_options(void **state)
{
    static const struct fake_value ours[] = {{0, L"MountPoint", L"X:", 0},
                                             {0, L"DebugFlags", 0, UINT32_MAX},
                                             {0, L"Tag", L"mount_tag1", 0},
                                             {0}};
    struct svc_settings s;

    (void)state;
    load(ours, NULL, false);
    svc_config_process(&config, &s);
    assert_wide(s.mount_point, L"X:");
    assert_wide(s.tag, L"mount_tag1");
    assert_int_equal(s.debug_flags, UINT32_MAX);
}

static void test_one_option_hides_all_plain_values_but_overflow_ids(void **state)
{
    static const struct fake_value ours[] = {
        {0, L"MountPoint", L"X:", 0}, {0, L"OverflowUid", 0, 99}, {0}};
    struct svc_settings s;

    (void)state;
    load(ours, NULL, true);
    svc_config_process(&config, &s);
    assert_false(svc_has(&s, SVC_MOUNT_POINT));
    assert_true(s.case_insensitive);
    assert_int_equal(s.overflow_uid, 99);
    assert_int_equal(s.overflow_gid, 65534);
}

static void test_our_key_counts_before_virtio_wins_value_by_value(void **state)
{
    static const struct fake_value ours[] = {{0, L"MountPoint", L"X:", 0}, {0}};
    static const struct fake_value theirs[] = {
        {0, L"MountPoint", L"W:", 0}, {0, L"FileSystemName", L"NTFS", 0}, {0}};
    struct svc_settings s;

    (void)state;
    load(ours, theirs, false);
    svc_config_process(&config, &s);
    assert_wide(s.mount_point, L"X:");
    assert_wide(s.file_system_name, L"NTFS");
}

static void test_a_shares_key_is_read_in_any_case(void **state)
{
    static const struct fake_value ours[] = {{L"a", L"ReadOnly", 0, 1},
                                             {L"a", L"MountPoint", L"C:\\mnt\\a", 0},
                                             {L"a", L"Label", L"Alpha", 0},
                                             {L"a", L"HideDotFiles", L"1", 0},
                                             {L"a", L"Security", L"D:(A;;GA;;;WD)", 0},
                                             {L"b", L"Owner", L"1:2", 0},
                                             {0}};
    struct svc_settings s;
    struct svc_settings own;

    (void)state;
    load(ours, NULL, true);
    svc_config_share(&config, L"a", &s, &own);
    assert_true(s.read_only && s.hide_dot_files && s.case_insensitive &&
                svc_config_own_place(&config, &own));
    assert_wide(s.mount_point, L"C:\\mnt\\a");
    assert_wide(s.label, L"Alpha");
    assert_wide(s.security, L"D:(A;;GA;;;WD)");
    assert_false(svc_has(&s, SVC_OWNER));
    svc_config_share(&config, L"b", &s, &own);
    assert_int_equal(s.owner_gid, 2);
    assert_false(s.read_only || svc_config_own_place(&config, &own));
}

static void test_a_share_says_more_than_a_plain_value_and_less_than_an_option(void **state)
{
    static const struct fake_value ours[] = {{0, L"FileSystemName", L"plain", 0},
                                             {L"a", L"FileSystemName", L"share", 0},
                                             {L"a", L"CaseInsensitive", 0, 0},
                                             {0}};
    struct svc_settings s;
    struct svc_settings own;

    (void)state;
    load(ours, NULL, false);
    svc_config_share(&config, L"a", &s, &own);
    assert_wide(s.file_system_name, L"share");
    svc_config_share(&config, L"b", &s, &own);
    assert_wide(s.file_system_name, L"plain");
    load(ours, NULL, true);
    svc_config_share(&config, L"a", &s, &own);
    assert_true(s.case_insensitive);
}

static void test_a_share_cannot_set_what_is_for_the_whole_process(void **state)
{
    static const struct fake_value ours[] = {
        {L"a", L"Tag", L"b", 0}, {L"a", L"DebugLogFile", L"C:\\x", 0}, {0}};
    struct svc_settings s;
    struct svc_settings own;

    (void)state;
    load(ours, NULL, false);
    svc_config_share(&config, L"a", &s, &own);
    assert_int_equal(s.given, 0);
}

static void test_a_value_that_is_refused_is_told_and_not_used(void **state)
{
    static const struct fake_value ours[] = {
        {0, L"MountPoint", L"nowhere", 0}, {0, L"FileSystemName", 0, 7}, {0}};
    static const struct fake_value theirs[] = {{0, L"MountPoint", L"W:", 0}, {0}};
    struct svc_settings s;

    (void)state;
    load(ours, theirs, false);
    svc_config_process(&config, &s);
    assert_int_equal(refusals, 2);
    assert_wide(s.mount_point, L"W:");
    assert_false(svc_has(&s, SVC_FILE_SYSTEM_NAME));
    load(&ours[1], NULL, false);
    assert_wide(refusal, L"OURS\\FileSystemName is not used: it is a text, not a number");
}

static void test_a_tag_that_would_leave_its_key_is_not_looked_up(void **state)
{
    struct svc_settings s;
    struct svc_settings own;

    (void)state;
    load(NULL, NULL, false);
    asked_for_strange_share = 0;
    svc_config_share(&config, L"..\\..\\x", &s, &own);
    svc_config_share(&config, L"", &s, &own);
    assert_int_equal(asked_for_strange_share, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_words_give_nothing),
        cmocka_unit_test(test_the_quick_starts_line_is_understood),
        cmocka_unit_test(test_the_launchers_line_is_understood),
        cmocka_unit_test(test_every_option_sets_its_setting),
        cmocka_unit_test(test_polling_with_zero_means_three_seconds),
        cmocka_unit_test(test_commands_and_help_are_words_of_their_own),
        cmocka_unit_test(test_help_is_given_whatever_else_is_said),
        cmocka_unit_test(test_an_unknown_option_is_named),
        cmocka_unit_test(test_a_long_option_is_not_its_first_letter),
        cmocka_unit_test(test_a_stray_word_is_named),
        cmocka_unit_test(test_a_missing_value_is_told),
        cmocka_unit_test(test_an_option_given_twice_is_refused),
        cmocka_unit_test(test_a_command_takes_no_options),
        cmocka_unit_test(test_names_that_are_too_long_are_refused),
        cmocka_unit_test(test_a_path_of_any_length_is_answered),
        cmocka_unit_test(test_numbers_that_are_none_are_refused),
        cmocka_unit_test(test_owners_that_are_none_are_refused),
        cmocka_unit_test(test_a_setting_of_a_few_words_takes_no_others),
        cmocka_unit_test(test_the_help_names_every_option_and_winfsp),
        cmocka_unit_test(test_share_add_takes_a_tag_and_every_option_of_a_share),
        cmocka_unit_test(test_what_is_kept_is_told_as_options),
        cmocka_unit_test(test_share_add_refuses_what_mounting_would_refuse),
        cmocka_unit_test(test_a_shares_own_options_are_not_the_processs),
        cmocka_unit_test(test_tags_that_cannot_be_kept_are_refused),
        cmocka_unit_test(test_a_tag_may_look_like_an_option),
        cmocka_unit_test(test_share_goes_on_with_a_word_that_it_knows),
        cmocka_unit_test(test_replace_is_asked_for),
        cmocka_unit_test(test_settings_are_compared_by_what_was_given),
        cmocka_unit_test(test_one_place_can_be_written_in_two_ways),
        cmocka_unit_test(test_mount_points_are_told_apart),
        cmocka_unit_test(test_a_drives_trailing_backslash_is_dropped),
        cmocka_unit_test(test_a_network_path_is_explained),
        cmocka_unit_test(test_letters_are_given_from_z_down_to_d),
        cmocka_unit_test(test_plain_values_count_without_options),
        cmocka_unit_test(test_one_option_hides_all_plain_values_but_overflow_ids),
        cmocka_unit_test(test_our_key_counts_before_virtio_wins_value_by_value),
        cmocka_unit_test(test_a_shares_key_is_read_in_any_case),
        cmocka_unit_test(test_a_share_says_more_than_a_plain_value_and_less_than_an_option),
        cmocka_unit_test(test_a_share_cannot_set_what_is_for_the_whole_process),
        cmocka_unit_test(test_a_value_that_is_refused_is_told_and_not_used),
        cmocka_unit_test(test_a_tag_that_would_leave_its_key_is_not_looked_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
