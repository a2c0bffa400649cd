// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_limits.c - RLIMIT_NOFILE
 */
#include "cmocka_all.h"
#include "jail.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cap-ng.h>

/* sandbox_limits() in a process of its own: its result and the limits after it. */
struct outcome {
    int64_t result;
    struct rlimit after;
};

static struct outcome limits_with(int64_t option, rlim_t soft, rlim_t hard)
{
    struct outcome out = {.result = INT64_MIN};
    int fds[2];
    pid_t pid;

    assert_return_code(pipe(fds), errno);
    pid = fork();
    assert_return_code(pid, errno);
    if (pid == 0) {
        struct conf conf = {.rlimit_nofile = option};
        struct rlimit rl = {soft, hard};

        if (setrlimit(RLIMIT_NOFILE, &rl) < 0)
            _exit(1);
        capng_get_caps_process(); /* as an ordinary user: may not raise the hard limit */
        capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_SYS_RESOURCE);
        capng_apply(CAPNG_SELECT_CAPS);
        out.result = sandbox_limits(&conf);
        getrlimit(RLIMIT_NOFILE, &out.after);
        _exit(write(fds[1], &out, sizeof out) != sizeof out);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &out, sizeof out), sizeof out);
    close(fds[0]);
    assert_int_equal(jail_wait(pid), 0);
    return out;
}

static void test_default_is_a_million_or_what_kernel_and_host_allow(void **state)
{
    (void)state;
    assert_int_equal(limits_pick_nofile(1048576, INT64_MAX), 1000000);
    assert_int_equal(limits_pick_nofile(65536, INT64_MAX), 65536);
    assert_int_equal(limits_pick_nofile(-1, -1), 1000000);
    /* some are left for the host: CVE-2020-10717 */
    assert_int_equal(limits_pick_nofile(1048576, 100000), 100000 - 16384);
    assert_int_equal(limits_pick_nofile(1048576, 20000), 10000);
}

static void test_default_stays_at_a_hard_limit_that_cannot_be_raised(void **state)
{
    struct outcome out = limits_with(-1, 1024, 4096);

    (void)state;
    assert_int_equal(out.result, 4096);
    assert_int_equal(out.after.rlim_cur, 4096);
    assert_int_equal(out.after.rlim_max, 4096);
}

static void test_a_number_within_the_hard_limit_is_taken_exactly(void **state)
{
    struct outcome out = limits_with(2000, 1024, 4096);

    (void)state;
    assert_int_equal(out.result, 2000);
    assert_int_equal(out.after.rlim_cur, 2000);
    assert_int_equal(out.after.rlim_max, 2000);
}

static void test_a_number_above_the_hard_limit_is_refused(void **state)
{
    struct outcome out = limits_with(5000, 1024, 4096);

    (void)state;
    assert_int_equal(out.result, -EPERM);
    assert_int_equal(out.after.rlim_cur, 1024);
}

static void test_a_number_above_the_kernels_limit_is_refused(void **state)
{
    (void)state;
    assert_int_equal(limits_with(INT64_C(1) << 40, 1024, 4096).result, -EPERM);
}

static void test_zero_leaves_the_limit_alone(void **state)
{
    struct outcome out = limits_with(0, 1024, 4096);

    (void)state;
    assert_int_equal(out.result, 1024);
    assert_int_equal(out.after.rlim_cur, 1024);
    assert_int_equal(out.after.rlim_max, 4096);
}

static void test_too_few_files_are_refused(void **state)
{
    (void)state;
    assert_int_equal(limits_with(SANDBOX_MIN_FILES - 1, 1024, 4096).result, -EINVAL);
    assert_int_equal(limits_with(0, 256, 4096).result, -EINVAL);
    assert_int_equal(limits_with(-1, 256, 256).result, -EINVAL);
    assert_int_equal(limits_with(SANDBOX_MIN_FILES, 1024, 4096).result, SANDBOX_MIN_FILES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_is_a_million_or_what_kernel_and_host_allow),
        cmocka_unit_test(test_default_stays_at_a_hard_limit_that_cannot_be_raised),
        cmocka_unit_test(test_a_number_within_the_hard_limit_is_taken_exactly),
        cmocka_unit_test(test_a_number_above_the_hard_limit_is_refused),
        cmocka_unit_test(test_a_number_above_the_kernels_limit_is_refused),
        cmocka_unit_test(test_zero_leaves_the_limit_alone),
        cmocka_unit_test(test_too_few_files_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
