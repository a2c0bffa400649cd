// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_lock_ranges.c - what an owner has locked, against a picture with one cell a byte
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/lock_ranges.h"

enum { BYTES = 40 };

static void set(struct lock_ranges *r, short type, uint64_t start, uint64_t end)
{
    assert_int_equal(lock_ranges_reserve(r), 0);
    lock_ranges_set(r, type, start, end);
}

static void has(const struct lock_ranges *r, uint32_t i, short type, uint64_t start, uint64_t end)
{
    assert_true(i < r->n);
    assert_int_equal(r->at[i].type, type);
    assert_int_equal(r->at[i].start, start);
    assert_int_equal(r->at[i].end, end);
}

static void test_neighbours_of_one_type_become_one(void **state)
{
    struct lock_ranges r = {0};
    (void)state;

    set(&r, F_WRLCK, 0, 9);
    set(&r, F_WRLCK, 20, 29);
    set(&r, F_WRLCK, 10, 19);
    assert_int_equal(r.n, 1);
    has(&r, 0, F_WRLCK, 0, 29);
    lock_ranges_free(&r);
}

static void test_hole_in_the_middle_leaves_two(void **state)
{
    struct lock_ranges r = {0};
    (void)state;

    set(&r, F_RDLCK, 0, INT64_MAX);
    set(&r, F_UNLCK, 5, 5);
    assert_int_equal(r.n, 2);
    has(&r, 0, F_RDLCK, 0, 4);
    has(&r, 1, F_RDLCK, 6, INT64_MAX);
    set(&r, F_UNLCK, 0, INT64_MAX);
    assert_int_equal(r.n, 0);
    lock_ranges_free(&r);
}

static void test_other_type_replaces_what_it_covers(void **state)
{
    struct lock_ranges r = {0};
    (void)state;

    set(&r, F_RDLCK, 0, 99);
    set(&r, F_WRLCK, 40, 59);
    assert_int_equal(r.n, 3);
    has(&r, 0, F_RDLCK, 0, 39);
    has(&r, 1, F_WRLCK, 40, 59);
    has(&r, 2, F_RDLCK, 60, 99);
    lock_ranges_free(&r);
}

static void test_any_order_of_locks_is_the_picture_of_them(void **state)
{
    struct lock_ranges r = {0};
    short cell[BYTES];
    (void)state;

    for (unsigned i = 0; i < BYTES; i++)
        cell[i] = F_UNLCK;
    srandom(1);
    for (unsigned turn = 0; turn < 20000; turn++) {
        static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
        uint64_t start = (uint64_t)random() % BYTES;
        uint64_t end = start + (uint64_t)random() % (BYTES - start);
        short type = types[random() % 3];
        set(&r, type, start, end);
        for (uint64_t i = start; i <= end; i++)
            cell[i] = type;
        uint32_t n = 0;
        for (uint64_t i = 0; i < BYTES;) {
            uint64_t last = i;
            while (last + 1 < BYTES && cell[last + 1] == cell[i])
                last++;
            if (cell[i] != F_UNLCK)
                has(&r, n++, cell[i], i, last);
            i = last + 1;
        }
        assert_int_equal(n, r.n);
    }
    lock_ranges_free(&r);
}

static void test_there_is_a_bound(void **state)
{
    struct lock_ranges r = {0};
    uint64_t at = 0;
    (void)state;

    while (lock_ranges_reserve(&r) == 0) {
        lock_ranges_set(&r, F_WRLCK, at, at);
        at += 2;
        assert_true(r.n <= LOCK_RANGES_MAX);
    }
    assert_int_equal(lock_ranges_reserve(&r), -ENOLCK);
    lock_ranges_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_neighbours_of_one_type_become_one),
        cmocka_unit_test(test_hole_in_the_middle_leaves_two),
        cmocka_unit_test(test_other_type_replaces_what_it_covers),
        cmocka_unit_test(test_any_order_of_locks_is_the_picture_of_them),
        cmocka_unit_test(test_there_is_a_bound),
    };

    return cmocka_run_group_tests_name("lock_ranges", tests, NULL, NULL);
}
