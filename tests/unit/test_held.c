// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_held.c - the table of descriptors that are kept
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "keep/held.h"

#define MAX 1024

/* A table lives until the process ends. */
static struct held *table(void)
{
    static struct held *all[8];
    static unsigned n;

    assert_int_equal(held_new(&all[n], MAX), 0);
    return all[n++];
}

static int some_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static struct held_key key(unsigned n)
{
    return (struct held_key){
        .kind = (uint8_t)(1 + n % 3), .share = (uint16_t)(n % 5), .index = n * 7919};
}

static void test_finds_what_was_noted_by_key_and_by_number(void **state)
{
    struct held *h = table();
    struct held_key k;

    (void)state;
    for (int fd = 10; fd < MAX; fd += 3)
        assert_int_equal(held_note(h, key((unsigned)fd), fd, false), 0);
    for (int fd = 10; fd < MAX; fd += 3) {
        assert_int_equal(held_find(h, key((unsigned)fd)), fd);
        assert_true(held_is(h, fd));
        assert_true(held_key_of(h, fd, &k));
        assert_int_equal(k.index, fd * 7919);
        assert_false(held_is(h, fd + 1));
    }
    assert_int_equal(held_find(h, key(5)), -1);
    assert_false(held_is(h, -1));
    assert_false(held_is(h, MAX));
    assert_int_equal(held_note(h, key(MAX), MAX, false), -ENFILE);
}

static void test_strikes_only_what_it_is_told_to(void **state)
{
    struct held *h = table();

    (void)state;
    for (int fd = 10; fd < 500; fd++)
        assert_int_equal(held_note(h, key((unsigned)fd), fd, false), 0);
    for (int fd = 10; fd < 500; fd += 2)
        assert_false(held_strike(h, fd));
    for (int fd = 10; fd < 500; fd++)
        assert_int_equal(held_find(h, key((unsigned)fd)), fd % 2 ? fd : -1);
}

static void test_closes_what_is_its_own(void **state)
{
    struct held *h = table();
    int own = some_fd(), others = some_fd(), left = some_fd();

    (void)state;
    assert_int_equal(held_note(h, key(1), own, true), 0);
    assert_int_equal(held_note(h, key(2), others, false), 0);
    assert_int_equal(held_note(h, key(3), left, false), 0);
    held_own(h, left);
    assert_true(held_strike(h, own));
    assert_false(held_strike(h, others));
    assert_true(held_strike(h, left));
    assert_false(is_open(own));
    assert_true(is_open(others));
    assert_false(is_open(left));
    close(others);
}

static void test_key_that_moves_is_the_new_descriptors(void **state)
{
    struct held *h = table();
    struct held_key k;

    (void)state;
    assert_int_equal(held_note(h, key(1), 20, false), 0);
    assert_int_equal(held_note(h, key(1), 21, false), 0);
    /* Whoever looks now finds it twice, and either is right. */
    assert_int_equal(held_next(h, 0, &k), 20);
    assert_int_equal(held_next(h, 21, &k), 21);
    held_strike(h, 20);
    assert_int_equal(held_find(h, key(1)), 21);
    assert_int_equal(held_next(h, 0, &k), 21);
}

/* In another process: how many are there, and are they as noted? */
static int count_in_child(const struct held *h)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct held_key k;
        int n = 0;
        for (int fd = held_next(h, 0, &k); fd >= 0; fd = held_next(h, fd + 1, &k))
            n += k.index == (uint32_t)fd * 7919;
        _exit(n);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void test_another_process_sees_what_is_noted_until_the_end(void **state)
{
    struct held *h = table();

    (void)state;
    assert_int_equal(count_in_child(h), 0);
    for (int fd = 3; fd < MAX; fd += 10)
        assert_int_equal(held_note(h, key((unsigned)fd), fd, false), 0);
    assert_int_equal(count_in_child(h), 103);
    held_strike(h, 3);
    assert_int_equal(count_in_child(h), 102);
    held_end(h);
    assert_int_equal(count_in_child(h), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_what_was_noted_by_key_and_by_number),
        cmocka_unit_test(test_strikes_only_what_it_is_told_to),
        cmocka_unit_test(test_closes_what_is_its_own),
        cmocka_unit_test(test_key_that_moves_is_the_new_descriptors),
        cmocka_unit_test(test_another_process_sees_what_is_noted_until_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
