// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_conf_text.c - texts of configuration files, and how they get from one process to the next
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "virtiofsd/conf_text.h"

static char dir[] = "/tmp/viofs-text.XXXXXX";

static const char *file(const char *name, const char *bytes, size_t n)
{
    static char path[2][64];
    static unsigned turn;

    turn = !turn;
    snprintf(path[turn], sizeof(path[0]), "%s/%s", dir, name);
    int fd = open(path[turn], O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
    return path[turn];
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command); // NOLINT(cert-env33-c): a path of our own
}

static void test_text_is_that_of_the_first_time(void **state)
{
    (void)state;
    struct conf_texts t = {0};
    const struct conf_text *one, *again;
    const char *path = file("a", "before", 6);

    assert_int_equal(conf_text_get(&t, path, &one), 0);
    file("a", "afterwards", 10);
    assert_int_equal(conf_text_get(&t, path, &again), 0);
    assert_ptr_equal(one, again);
    assert_string_equal(again->text, "before");
    conf_texts_free(&t);
}

static void test_texts_arrive_as_they_were_sent(void **state)
{
    (void)state;
    struct conf_texts t = {0}, got = {0};
    const struct conf_text *one;
    static char large[200000];

    memset(large, '#', sizeof(large));
    large[100] = '\0'; /* whoever reads it may refuse it; on the way it is nothing special */
    assert_int_equal(conf_text_get(&t, file("a", "a text\n", 7), &one), 0);
    assert_int_equal(conf_text_get(&t, file("b", "", 0), &one), 0);
    assert_int_equal(conf_text_get(&t, file("c", large, sizeof(large)), &one), 0);
    assert_int_equal(conf_texts_pass(&t), 0);
    assert_int_equal(conf_texts_passed(&got), 0);
    assert_int_equal(got.n, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_string_equal(got.at[i].path, t.at[i].path);
        assert_int_equal(got.at[i].len, t.at[i].len);
        assert_memory_equal(got.at[i].text, t.at[i].text, t.at[i].len + 1);
    }
    conf_texts_free(&got);
    assert_int_equal(conf_texts_passed(&got), 0); /* once */
    assert_int_equal(got.n, 0);
    conf_texts_free(&t);
}

static void test_what_cannot_be_read_is_an_error_and_nothing_is_left(void **state)
{
    (void)state;
    struct conf_texts t = {0}, now = {0};
    const struct conf_text *one;
    char name[16];

    assert_int_equal(conf_text_get(&t, dir, &one), -EISDIR);
    assert_int_equal(conf_text_get(&t, "/nonexistent/file", &one), -ENOENT);
    assert_int_equal(t.n, 0);
    assert_int_equal(conf_text_get(&t, "/dev/zero", &one), -EFBIG);
    for (unsigned i = 0; i < CONF_TEXTS_MAX; i++) {
        snprintf(name, sizeof(name), "%u", i);
        assert_int_equal(conf_text_get(&t, file(name, name, 1), &one), 0);
    }
    assert_int_equal(conf_text_get(&t, file("more", "", 0), &one), -E2BIG);
    assert_int_equal(unlink(t.at[3].path), 0);
    assert_int_equal(conf_texts_again(&t, AT_FDCWD, &now), -ENOENT);
    assert_int_equal(now.n, 0);
    conf_texts_free(&t);
}

static void test_texts_that_were_cut_are_refused(void **state)
{
    (void)state;
    static const char sent[] = "/a\0"
                               "6\0before"
                               "/b\0"
                               "5\0after";
    struct conf_texts got = {0};
    char number[16];

    for (size_t n = 0; n < sizeof(sent); n++) {
        int fd = memfd_create("cut", MFD_CLOEXEC);
        assert_true(fd > STDERR_FILENO);
        assert_int_equal(write(fd, sent, n), n);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        snprintf(number, sizeof(number), "%d", fd);
        assert_int_equal(setenv("VIRTIOFSD_CONFIG", number, 1), 0);
        bool whole = n == 0 || n == 11 || n == sizeof(sent) - 1;
        assert_int_equal(conf_texts_passed(&got), whole ? 0 : -EPROTO);
        conf_texts_free(&got);
    }
    assert_int_equal(setenv("VIRTIOFSD_CONFIG", "1", 1), 0);
    assert_int_equal(conf_texts_passed(&got), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_that_of_the_first_time),
        cmocka_unit_test(test_texts_arrive_as_they_were_sent),
        cmocka_unit_test(test_what_cannot_be_read_is_an_error_and_nothing_is_left),
        cmocka_unit_test(test_texts_that_were_cut_are_refused),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
