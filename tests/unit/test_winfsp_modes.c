// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_winfsp_modes.c - what `virtiofs.exe list` says of the settings that are in force
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "service/client/linux_errno.h"
#include "service/winfsp/modes.h"

/* What a share with our daemon and the settings as they are by default comes to. */
static const struct svc_modes usual = {
    .ea_sizes = true, .extension = true, .side_by_side = true, .told = true};

#define NO_XATTR                                                                                   \
    L"the host keeps no extended attributes (its daemon takes --xattr, its file system user.*)"

static void assert_says(const struct svc_modes *m, const wchar_t *line)
{
    wchar_t text[SVC_MODES_UNITS], wanted[256];

    svc_modes_text(m, text);
    swprintf(wanted, 256, L"%ls\n", line);
    if (!wcsstr(text, wanted))
        fail_msg("not said: %ls\nbut:\n%ls", line, text);
}

static void test_usual_share_has_everything(void **state)
{
    wchar_t text[SVC_MODES_UNITS];

    (void)state;
    svc_modes_text(&usual, text);
    assert_true(wcscmp(text, L"attributes\tstored in user.DOSATTRIB\n"
                             L"read-only\tby mode bits and the stored attribute\n"
                             L"streams\tstored in user.DosStream.*\n"
                             L"EAs\tstored in user.*\n"
                             L"ACL\tmade of mode bits\n"
                             L"caching\tauto: until a change is told\n"
                             L"changes\ttold by the host\n") == 0);
}

static void test_what_was_turned_off_is_called_set(void **state)
{
    struct svc_modes m = usual;

    (void)state;
    m.mode_attributes = m.no_streams = m.no_notify = true;
    m.told = false;
    m.acl = SVC_ACL_NONE;
    assert_says(&m, L"attributes\tnot stored, as set");
    assert_says(&m, L"read-only\tby mode bits: attributes are not stored");
    assert_says(&m, L"streams\toff, as set");
    assert_says(&m, L"ACL\toff, as set");
    assert_says(&m, L"changes\tnot told: off, as set");
}

static void test_read_only_says_where_it_is_kept(void **state)
{
    struct svc_modes m = usual;

    (void)state;
    m.read_only = SVC_READ_ONLY_MODE;
    assert_says(&m, L"read-only\tby mode bits, as set");
    m.read_only = SVC_READ_ONLY_STORED;
    assert_says(&m, L"read-only\tby the stored attribute");
    m.eas_error = -LE_EOPNOTSUPP;
    assert_says(&m, L"read-only\tby mode bits: attributes are not stored");
}

static void test_host_without_xattr_is_the_reason_for_all_that_needs_them(void **state)
{
    struct svc_modes m = usual;

    (void)state;
    m.acl = SVC_ACL_STORED;
    m.eas_error = -LE_EOPNOTSUPP;
    assert_says(&m, L"attributes\tnot stored: " NO_XATTR "");
    assert_says(&m, L"streams\toff: " NO_XATTR "");
    assert_says(&m, L"EAs\toff: " NO_XATTR "");
    assert_says(&m, L"ACL\tmade of mode bits: " NO_XATTR "");
    m.eas_error = -LE_EACCES;
    assert_says(&m,
                L"streams\toff: the host does not let its extended attributes be read (error 13)");
}

static void test_refusals_are_told_with_their_errors(void **state)
{
    struct svc_modes m = usual;

    (void)state;
    m.acl = SVC_ACL_STORED;
    assert_says(&m, L"ACL\tstored in user.NTACL");
    m.dos_error = -LE_EOPNOTSUPP;
    m.streams_error = -LE_EOPNOTSUPP;
    m.acl_error = -LE_ENOSPC;
    assert_says(
        &m, L"attributes\tstored in user.DOSATTRIB; the host refused it (error 95, see the log): "
            L"not stored there");
    assert_says(
        &m, L"streams\tstored in user.DosStream.*; the host refused it (error 95, see the log): "
            L"none there");
    assert_says(&m,
                L"ACL\tstored in user.NTACL; the host refused it (error 28, see the log): made of "
                L"mode bits there");
}

static void test_daemon_without_the_right_to_security_is_told_what_it_takes(void **state)
{
    struct svc_modes m = usual;

    (void)state;
    m.acl = SVC_ACL_STORED;
    m.acl_in_security = true;
    assert_says(&m, L"ACL\tstored in security.NTACL");
    m.acl_error = -LE_EPERM;
    assert_says(&m,
                L"ACL\tmade of mode bits: the host's daemon may not store security.NTACL (it takes "
                L"--modcaps=+sys_admin)");
}

static void test_one_descriptor_for_all_is_told(void **state)
{
    struct svc_modes m = usual;

    (void)state;
    m.acl = SVC_ACL_STORED;
    m.fixed_security = true;
    assert_says(&m, L"ACL\tthe same for all files, as set");
}

static void test_daemon_that_does_not_tell_ea_sizes(void **state)
{
    struct svc_modes m = usual;

    (void)state;
    m.ea_sizes = false;
    assert_says(&m, L"EAs\tstored in user.*; their size is shown as 0: the host's daemon does not "
                    L"tell it");
}

static void test_caching_follows_notification(void **state)
{
    struct svc_modes m = usual;

    (void)state;
    m.cache = SVC_CACHE_LONG;
    assert_says(&m, L"caching\tlong: contents as well; the rest until a change is told");
    m.cache = SVC_CACHE_STRICT;
    assert_says(&m, L"caching\tstrict: a second at most");
    m.cache = SVC_CACHE_AUTO;
    m.told = false;
    assert_says(&m, L"caching\tauto: as long as the host says, for changes are not told");
}

static void test_each_reason_for_no_notification(void **state)
{
    struct svc_modes m = usual;

    (void)state;
    m.told = false;
    assert_says(
        &m, L"changes\tnot told: the host's daemon runs with --watch=never, or is an older one");
    m.extension = false;
    assert_says(&m, L"changes\tnot told: the host's daemon does not tell them");
    m.side_by_side = false;
    assert_says(&m, L"changes\tnot told: the driver is virtio-win's");
    m.was_told = true;
    assert_says(&m, L"changes\tnot told: the host has ended it, see the log");
    m.no_notify = true;
    m.poll_seconds = 5;
    assert_says(&m, L"changes\tlooked for every 5 s: off, as set");
}

static void test_watches_that_are_not_covered_are_counted(void **state)
{
    struct svc_modes m = usual;

    (void)state;
    m.watches = 5;
    assert_says(&m, L"changes\ttold by the host");
    m.partial = 2;
    assert_says(&m, L"changes\ttold by the host; of 5 watched directories 2 not with all that is "
                    L"below, see the daemon's log");
}

/* The longest of each, in one text. */
static void test_longest_text_fits(void **state)
{
    struct svc_modes m = {.read_only = SVC_READ_ONLY_STORED,
                          .acl = SVC_ACL_STORED,
                          .acl_in_security = true,
                          .cache = SVC_CACHE_LONG,
                          .told = true,
                          .dos_error = INT32_MIN + 1,
                          .streams_error = INT32_MIN + 1,
                          .acl_error = INT32_MIN + 1,
                          .watches = UINT32_MAX,
                          .partial = UINT32_MAX};
    wchar_t text[SVC_MODES_UNITS];
    unsigned lines = 0;

    (void)state;
    svc_modes_text(&m, text);
    for (const wchar_t *p = text; *p; p++)
        lines += *p == L'\n';
    assert_int_equal(lines, 7);
    assert_true(text[wcslen(text) - 1] == L'\n');
    assert_non_null(wcsstr(text, L"changes\t"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usual_share_has_everything),
        cmocka_unit_test(test_what_was_turned_off_is_called_set),
        cmocka_unit_test(test_read_only_says_where_it_is_kept),
        cmocka_unit_test(test_host_without_xattr_is_the_reason_for_all_that_needs_them),
        cmocka_unit_test(test_refusals_are_told_with_their_errors),
        cmocka_unit_test(test_daemon_without_the_right_to_security_is_told_what_it_takes),
        cmocka_unit_test(test_one_descriptor_for_all_is_told),
        cmocka_unit_test(test_daemon_that_does_not_tell_ea_sizes),
        cmocka_unit_test(test_caching_follows_notification),
        cmocka_unit_test(test_each_reason_for_no_notification),
        cmocka_unit_test(test_watches_that_are_not_covered_are_counted),
        cmocka_unit_test(test_longest_text_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
