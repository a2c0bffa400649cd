// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_winfsp_status.c - what Linux' errors are called on Windows
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "service/client/linux_errno.h"
#include "service/winfsp/status.h"

static void test_success_stays_success(void **state)
{
    (void)state;
    assert_int_equal(svc_status(0, SVC_ABOUT_NAME), STATUS_SUCCESS);
    assert_int_equal(svc_status(5, SVC_ABOUT_HANDLE), STATUS_SUCCESS);
}

static void test_a_missing_directory_is_told_from_a_missing_file(void **state)
{
    (void)state;
    assert_int_equal(svc_status(-LE_ENOENT, SVC_ABOUT_NAME), STATUS_OBJECT_NAME_NOT_FOUND);
    assert_int_equal(svc_status(-LE_ENOENT, SVC_ABOUT_PATH), STATUS_OBJECT_PATH_NOT_FOUND);
    assert_int_equal(svc_status(-LE_ENOTDIR, SVC_ABOUT_PATH), STATUS_OBJECT_PATH_NOT_FOUND);
    assert_int_equal(svc_status(-LE_ENOTDIR, SVC_ABOUT_NAME), STATUS_NOT_A_DIRECTORY);
}

/* virtio-win's service takes these from its compiler's <errno.h>, where they mean something else. */
static void test_errors_past_34_are_linux_own(void **state)
{
    (void)state;
    assert_int_equal(svc_status(-36, SVC_ABOUT_NAME), STATUS_NAME_TOO_LONG);
    assert_int_equal(svc_status(-38, SVC_ABOUT_NAME), STATUS_NOT_IMPLEMENTED);
    assert_int_equal(svc_status(-39, SVC_ABOUT_NAME), STATUS_DIRECTORY_NOT_EMPTY);
    assert_int_equal(svc_status(-40, SVC_ABOUT_NAME), STATUS_REPARSE_POINT_NOT_RESOLVED);
    assert_int_equal(svc_status(-95, SVC_ABOUT_NAME), STATUS_NOT_SUPPORTED);
    assert_int_equal(svc_status(-122, SVC_ABOUT_HANDLE), STATUS_DISK_FULL);
}

static void test_what_programs_act_on_is_exact(void **state)
{
    (void)state;
    assert_int_equal(svc_status(-LE_ENOSPC, SVC_ABOUT_HANDLE), STATUS_DISK_FULL);
    assert_int_equal(svc_status(-LE_EROFS, SVC_ABOUT_NAME), STATUS_MEDIA_WRITE_PROTECTED);
    assert_int_equal(svc_status(-LE_EXDEV, SVC_ABOUT_NAME), STATUS_NOT_SAME_DEVICE);
    assert_int_equal(svc_status(-LE_EBUSY, SVC_ABOUT_NAME), STATUS_SHARING_VIOLATION);
    assert_int_equal(svc_status(-LE_EACCES, SVC_ABOUT_NAME), STATUS_ACCESS_DENIED);
    assert_int_equal(svc_status(-LE_EPERM, SVC_ABOUT_NAME), STATUS_ACCESS_DENIED);
    assert_int_equal(svc_status(-LE_EEXIST, SVC_ABOUT_NAME), STATUS_OBJECT_NAME_COLLISION);
    assert_int_equal(svc_status(-LE_EMFILE, SVC_ABOUT_NAME), STATUS_TOO_MANY_OPENED_FILES);
    assert_int_equal(svc_status(-LE_ETIMEDOUT, SVC_ABOUT_HANDLE), STATUS_IO_TIMEOUT);
    assert_int_equal(svc_status(-LE_ENOTCONN, SVC_ABOUT_HANDLE), STATUS_DEVICE_NOT_CONNECTED);
}

static void test_handles_and_eas_have_errors_of_their_own(void **state)
{
    (void)state;
    assert_int_equal(svc_status(-LE_ESTALE, SVC_ABOUT_HANDLE), STATUS_FILE_INVALID);
    assert_int_equal(svc_status(-LE_EBADF, SVC_ABOUT_HANDLE), STATUS_FILE_CLOSED);
    assert_int_equal(svc_status(-LE_ENODATA, SVC_ABOUT_EA), STATUS_NO_EAS_ON_FILE);
    assert_int_equal(svc_status(-LE_EOPNOTSUPP, SVC_ABOUT_EA), STATUS_EAS_NOT_SUPPORTED);
}

static void test_every_error_of_the_list_has_a_status(void **state)
{
    (void)state;
#define X(name, number)                                                                            \
    for (int about = SVC_ABOUT_NAME; about <= SVC_ABOUT_STREAM; about++)                           \
        assert_int_not_equal(svc_status(-LE_##name, (enum svc_about)about), STATUS_UNSUCCESSFUL);
    LINUX_ERRNOS(X)
#undef X
}

static void test_an_unknown_error_is_unsuccessful(void **state)
{
    (void)state;
    assert_int_equal(svc_status(-4000, SVC_ABOUT_NAME), STATUS_UNSUCCESSFUL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success_stays_success),
        cmocka_unit_test(test_a_missing_directory_is_told_from_a_missing_file),
        cmocka_unit_test(test_errors_past_34_are_linux_own),
        cmocka_unit_test(test_what_programs_act_on_is_exact),
        cmocka_unit_test(test_handles_and_eas_have_errors_of_their_own),
        cmocka_unit_test(test_every_error_of_the_list_has_a_status),
        cmocka_unit_test(test_an_unknown_error_is_unsuccessful),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
