// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_arena.c - names in kept memory
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/keep_rig.h"
#include "tree/arena.h"

enum { BLOCKS = 5000 };

struct block {
    uint32_t at;
    uint8_t lane, len, fill;
};

static uint32_t state;

static uint32_t next(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static void store(struct arena *a, struct block *b)
{
    uint8_t bytes[ARENA_BYTES_MAX];

    b->lane = (uint8_t)(next() % ARENA_LANES);
    b->len = (uint8_t)next();
    b->fill = (uint8_t)next();
    memset(bytes, b->fill, b->len);
    b->at = arena_store(a, b->lane, bytes, b->len);
    assert_int_not_equal(b->at, 0);
}

static void drop(struct arena *a, struct block *b)
{
    arena_drop(a, b->lane, b->at);
    b->at = 0;
}

static void is_whole(const struct arena *a, const struct block *b)
{
    uint8_t bytes[ARENA_BYTES_MAX];
    size_t len;

    if (!b->at)
        return;
    memset(bytes, b->fill, b->len);
    const void *has = arena_at(a, b->at, &len);
    assert_int_equal(len, b->len);
    assert_memory_equal(has, bytes, len);
}

static void churn(struct arena *a, struct block *b, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        struct block *one = &b[next() % BLOCKS];
        if (one->at)
            drop(a, one);
        else
            store(a, one);
    }
}

static void test_blocks_keep_what_was_stored_whatever_is_stored_and_dropped_beside_them(void **ctx)
{
    (void)ctx;
    static struct block b[BLOCKS];
    struct arena *a;

    memset(b, 0, sizeof(b));
    assert_int_equal(arena_new(&a, NULL), 0);
    churn(a, b, 100000);
    for (unsigned i = 0; i < BLOCKS; i++)
        is_whole(a, &b[i]);
    arena_free(a);
}

static void test_memory_of_dropped_blocks_is_used_again(void **ctx)
{
    (void)ctx;
    struct arena *a;
    uint32_t highest = 0, at[64];
    char name[32] = "a name of ordinary length";

    assert_int_equal(arena_new(&a, NULL), 0);
    for (unsigned round = 0; round < 1000; round++) {
        for (unsigned i = 0; i < 64; i++) {
            at[i] = arena_store(a, 7, name, 24 + round % 8);
            highest = at[i] > highest ? at[i] : highest;
        }
        for (unsigned i = 0; i < 64; i++)
            arena_drop(a, 7, at[i]);
    }
    assert_in_range(highest, 1, 3 * 4096 / 8);
    arena_free(a);
}

static void test_resume_finds_free_memory_between_the_blocks_that_are_referred_to(void **ctx)
{
    (void)ctx;
    static struct block b[BLOCKS];
    struct keep *k = keep_rig_open();
    struct arena *a;
    uint32_t highest = 0;

    memset(b, 0, sizeof(b));
    assert_int_equal(arena_new(&a, k), 0);
    churn(a, b, 50000);
    for (unsigned i = 0; i < BLOCKS; i++)
        highest = b[i].at > highest ? b[i].at : highest;
    arena_free(a);

    keep_rig_resumes(k, true);
    assert_int_equal(arena_new(&a, k), 0);
    assert_int_equal(arena_mark_begin(a), 0);
    for (unsigned i = 0; i < BLOCKS; i++)
        if (b[i].at)
            assert_true(arena_mark(a, b[i].at));
    arena_mark_end(a);
    churn(a, b, 20000);
    for (unsigned i = 0; i < BLOCKS; i++) {
        is_whole(a, &b[i]);
        if (b[i].at) /* what there was has room for them; a lane's share of it may be used up */
            assert_in_range(b[i].at, 1, highest + 512 * ARENA_LANES);
    }
    arena_free(a);
    keep_rig_close(k);
}

static void test_a_block_is_referred_to_once(void **ctx)
{
    (void)ctx;
    struct keep *k = keep_rig_open();
    struct arena *a;

    assert_int_equal(arena_new(&a, k), 0);
    uint32_t at = arena_store(a, 0, "sixteen bytes...", 16);
    arena_free(a);
    keep_rig_resumes(k, true);
    assert_int_equal(arena_new(&a, k), 0);
    assert_int_equal(arena_mark_begin(a), 0);
    assert_false(arena_mark(a, 0));
    assert_false(arena_mark(a, UINT32_MAX));
    assert_true(arena_mark(a, at));
    assert_false(arena_mark(a, at));
    arena_mark_end(a);
    arena_free(a);
    keep_rig_close(k);
}

static void test_a_cleared_arena_begins_anew(void **ctx)
{
    (void)ctx;
    struct arena *a;

    assert_int_equal(arena_new(&a, NULL), 0);
    uint32_t first = arena_store(a, 3, "x", 1);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_not_equal(arena_store(a, i % ARENA_LANES, "some name", 9), 0);
    arena_clear(a);
    assert_int_equal(arena_store(a, 3, "y", 1), first);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_blocks_keep_what_was_stored_whatever_is_stored_and_dropped_beside_them),
        cmocka_unit_test(test_memory_of_dropped_blocks_is_used_again),
        cmocka_unit_test(test_resume_finds_free_memory_between_the_blocks_that_are_referred_to),
        cmocka_unit_test(test_a_block_is_referred_to_once),
        cmocka_unit_test(test_a_cleared_arena_begins_anew),
    };
    state = 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
