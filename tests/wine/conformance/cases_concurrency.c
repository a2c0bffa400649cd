// SPDX-License-Identifier: BSD-3-Clause
/*
 * cases_concurrency.c - several threads of Windows at once
 *
 * Threads meet at the door's barrier before they do what they shall do at the same time. A case that depends on who comes
 * first accepts all that one order or another gives, and nothing else.
 *
 * Incumbent: one request at a time for the whole device (0.1), and WinFsp's lock for all creates, deletes and renames of
 * a volume.
 */
#include <stdatomic.h>
#include <string.h>

#include "tests/wine/conformance/conf.h"

#define KIB 1024u

/* What the threads of a case count. */
struct tally {
    atomic_uint created, opened, refused, other;
    _Atomic uint32_t status; /* one that was not expected */
    uint64_t most;
};

static void count(struct tally *y, uint32_t status, uint32_t refusal, uint64_t information)
{
    if (status == STATUS_SUCCESS)
        atomic_fetch_add(information == FILE_CREATED ? &y->created : &y->opened, 1);
    else if (status == refusal)
        atomic_fetch_add(&y->refused, 1);
    else {
        atomic_fetch_add(&y->other, 1);
        atomic_store(&y->status, status);
    }
}

/* ---- creating -------------------------------------------------------------------------------- */

static void create_in_own_directory(struct t *t, unsigned number, void *ctx)
{
    (void)ctx;
    nt_barrier(t, 1, 8);
    for (unsigned i = 0; i < 20; i++)
        MAKE_FILE(t, keep_printf(t, "d%u\\f%u", number, i));
}

/* Incumbent: never more than one (0.1). */
static void creates_in_different_directories_overlap(struct t *t)
{
    struct door_stats s;

    for (unsigned i = 0; i < 8; i++)
        host_mkdir(t, keep_printf(t, "d%u", i));
    nt_stats(t);
    together(t, 8, create_in_own_directory, NULL);
    s = nt_stats(t);
    CHECK(t, s.most_at_once >= 2);
    EQUAL(t, 0, s.violations);
    for (unsigned i = 0; i < 8; i++)
        CHECK(t, host_exists(t, keep_printf(t, "d%u\\f19", i)));
}

static void create_the_same(struct t *t, unsigned number, void *ctx)
{
    handle h;

    (void)number;
    for (unsigned i = 0; i < 10; i++) {
        nt_barrier(t, 10 + i, 8);
        uint32_t status =
            nt_create(t, keep_printf(t, "f%u", i), HOW(.disposition = FILE_CREATE), &h);
        count(ctx, status, STATUS_OBJECT_NAME_COLLISION, nt_information(t));
    }
}

static void of_many_creators_one_wins(struct t *t)
{
    struct tally y = {0};

    together(t, 8, create_the_same, &y);
    EQUAL(t, 10, y.created);
    EQUAL(t, 70, y.refused);
    EQUAL(t, 0, y.status);
}

static void open_or_create(struct t *t, unsigned number, void *ctx)
{
    handle h;

    (void)number;
    for (unsigned i = 0; i < 10; i++) {
        nt_barrier(t, 10 + i, 8);
        uint32_t status =
            nt_create(t, keep_printf(t, "f%u", i), HOW(.disposition = FILE_OPEN_IF), &h);
        count(ctx, status, STATUS_SUCCESS, nt_information(t));
    }
}

static void of_many_who_open_or_create_one_creates_and_all_open(struct t *t)
{
    struct tally y = {0};

    together(t, 8, open_or_create, &y);
    EQUAL(t, 10, y.created);
    EQUAL(t, 70, y.opened);
    EQUAL(t, 0, y.status);
}

static void make_the_same_tree(struct t *t, unsigned number, void *ctx)
{
    static const char *const dirs[] = {"a", "a\\b", "a\\b\\c"};

    (void)ctx;
    nt_barrier(t, 1, 8);
    for (unsigned i = 0; i < 3; i++)
        OK(t, TRY(t, dirs[i], .disposition = FILE_OPEN_IF, .options = FILE_DIRECTORY_FILE));
    MAKE_FILE(t, keep_printf(t, "a\\b\\c\\f%u", number));
}

/* As make -j does with its directories. */
static void many_make_the_same_tree(struct t *t)
{
    together(t, 8, make_the_same_tree, NULL);
    TEXT(t, "f0 f1 f2 f3 f4 f5 f6 f7", host_names(t, "a\\b\\c"));
}

static void overwrite_the_same(struct t *t, unsigned number, void *ctx)
{
    (void)ctx;
    for (unsigned i = 0; i < 10; i++) {
        nt_barrier(t, 10 + i, 4);
        handle h = OPEN(t, "f", .disposition = FILE_OVERWRITE_IF);
        nt_puts(t, h, 0, number & 1 ? "odd!" : "even");
        nt_close(t, h);
    }
}

static void overwriting_together_leaves_one_of_the_texts(struct t *t)
{
    together(t, 4, overwrite_the_same, NULL);
    const char *text = host_gets(t, "f");

    CHECK(t, strcmp(text, "odd!") == 0 || strcmp(text, "even") == 0);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void rename_to_the_same(struct t *t, unsigned number, void *ctx)
{
    for (unsigned i = 0; i < 5; i++) {
        nt_barrier(t, 10 + i, 4);
        uint32_t status =
            nt_move(t, keep_printf(t, "f%u-%u", i, number), keep_printf(t, "target%u", i), false);
        if (status == STATUS_ACCESS_DENIED) /* WinFsp: the winner still has the target open */
            status = STATUS_OBJECT_NAME_COLLISION;
        count(ctx, status, STATUS_OBJECT_NAME_COLLISION, FILE_OPENED);
    }
}

static void of_many_renames_to_one_name_one_wins(struct t *t)
{
    struct tally y = {0};

    for (unsigned i = 0; i < 5; i++)
        for (unsigned k = 0; k < 4; k++)
            host_puts(t, keep_printf(t, "f%u-%u", i, k), "text");
    together(t, 4, rename_to_the_same, &y);
    EQUAL(t, 5, y.opened);
    EQUAL(t, 15, y.refused);
    EQUAL(t, 0, y.status);
}

static void rename_or_open(struct t *t, unsigned number, void *ctx)
{
    for (unsigned i = 0; i < 25; i++) {
        nt_barrier(t, 10 + i, 2);
        if (number == 0) {
            uint32_t status = nt_move(t, i & 1 ? "g" : "f", i & 1 ? "f" : "g", false);
            /* the other has it open just now */
            while (status == STATUS_ACCESS_DENIED || status == STATUS_SHARING_VIOLATION)
                status = nt_move(t, i & 1 ? "g" : "f", i & 1 ? "f" : "g", false);
            count(ctx, status, STATUS_SUCCESS, FILE_OPENED);
        } else {
            count(ctx, TRY(t, "f", .access = FILE_GENERIC_READ), STATUS_OBJECT_NAME_NOT_FOUND,
                  FILE_OPENED);
        }
    }
}

static void opening_while_renaming_finds_the_file_or_nothing(struct t *t)
{
    struct tally y = {0};

    host_puts(t, "f", "text");
    together(t, 2, rename_or_open, &y);
    EQUAL(t, 0, y.status);
    TEXT(t, "text", host_gets(t, "g"));
}

static void swap_directories(struct t *t, unsigned number, void *ctx)
{
    (void)ctx;
    nt_barrier(t, 1, 2);
    for (unsigned i = 0; i < 20; i++) {
        OK(t, nt_move(t, keep_printf(t, "%s\\f%u", number ? "b" : "a", number),
                      keep_printf(t, "%s\\f%u", number ? "a" : "b", number), false));
        OK(t, nt_move(t, keep_printf(t, "%s\\f%u", number ? "a" : "b", number),
                      keep_printf(t, "%s\\f%u", number ? "b" : "a", number), false));
    }
}

/* Two locks each, taken in one order. */
static void renames_across_two_directories_both_ways_do_not_lock_each_other_out(struct t *t)
{
    host_mkdir(t, "a");
    host_mkdir(t, "b");
    host_puts(t, "a\\f0", "");
    host_puts(t, "b\\f1", "");
    together(t, 2, swap_directories, NULL);
    TEXT(t, "f0", host_names(t, "a"));
    TEXT(t, "f1", host_names(t, "b"));
}

static void delete_the_same(struct t *t, unsigned number, void *ctx)
{
    struct tally *y = ctx;

    (void)number;
    for (unsigned i = 0; i < 10; i++) {
        nt_barrier(t, 10 + i, 4);
        uint32_t status = nt_remove(t, keep_printf(t, "f%u", i));
        if (status == STATUS_DELETE_PENDING)
            status = STATUS_OBJECT_NAME_NOT_FOUND;
        count(y, status, STATUS_OBJECT_NAME_NOT_FOUND, FILE_OPENED);
    }
}

static void a_file_that_many_delete_is_deleted(struct t *t)
{
    struct tally y = {0};

    for (unsigned i = 0; i < 10; i++)
        host_puts(t, keep_printf(t, "f%u", i), "");
    together(t, 4, delete_the_same, &y);
    EQUAL(t, 0, y.status);
    TEXT(t, "", host_names(t, ""));
}

static void create_and_delete(struct t *t, unsigned number, void *ctx)
{
    (void)ctx;
    nt_barrier(t, 1, 4);
    for (unsigned i = 0; i < 25; i++) {
        const char *name = keep_printf(t, "f%u", number);

        MAKE_FILE(t, name);
        OK(t, nt_remove(t, name));
        EXPECT(t, STATUS_OBJECT_NAME_NOT_FOUND, TRY(t, name));
    }
}

static void creating_and_deleting_in_one_directory_does_not_mix(struct t *t)
{
    together(t, 4, create_and_delete, NULL);
    TEXT(t, "", host_names(t, ""));
}

/* ---- data ------------------------------------------------------------------------------------ */

static void read_all(struct t *t, unsigned number, void *ctx)
{
    uint8_t bytes[4 * KIB];
    handle h = OPEN(t, "f", .access = FILE_GENERIC_READ);

    (void)ctx;
    nt_barrier(t, 1, 16);
    for (unsigned i = 0; i < 32; i++) {
        uint64_t at = (number * 37 + i * 13) % 256 * (4 * KIB);

        OK(t, nt_read(t, h, (int64_t)at, bytes, sizeof(bytes), NULL));
        CHECK(t, pattern_is(bytes, at, sizeof(bytes), 3));
    }
}

/* Incumbent: never more than one (0.1). */
static void sixteen_readers_have_their_reads_under_way_together(struct t *t)
{
    uint8_t *bytes = keep(t, 1024 * KIB);
    struct door_stats s;

    pattern(bytes, 0, 1024 * KIB, 3);
    host_write(t, "f", bytes, 1024 * KIB);
    nt_stats(t);
    together(t, 16, read_all, NULL);
    s = nt_stats(t);
    CHECK(t, s.most_at_once >= 16);
    CHECK(t, s.pended > 0);
}

static void append_lines(struct t *t, unsigned number, void *ctx)
{
    handle h = OPEN(t, "f", .access = FILE_APPEND_DATA | SYNCHRONIZE);

    (void)ctx;
    nt_barrier(t, 1, 8);
    for (unsigned i = 0; i < 25; i++)
        nt_puts(t, h, -1, keep_printf(t, "%u%07u", number, i));
}

/* Incumbent: asks for the size and writes there: lines overwrite each other (B.4, Write). */
static void appends_of_many_do_not_overwrite_each_other(struct t *t)
{
    unsigned next[8] = {0};
    char *text = keep(t, 1601);

    host_puts(t, "f", "");
    together(t, 8, append_lines, NULL);
    EQUAL(t, 1600, host_stat(t, "f").st_size);
    host_read(t, "f", text, 1600);
    for (unsigned i = 0; i < 200; i++) { /* each thread's lines in its order */
        unsigned who = (unsigned)(text[8 * i] - '0');

        CHECK(t, who < 8);
        TEXT(t, (keep_printf(t, "%07u", next[who]++)), (keep_printf(t, "%.7s", text + 8 * i + 1)));
    }
}

static void write_own_part(struct t *t, unsigned number, void *ctx)
{
    uint8_t bytes[16 * KIB];
    handle h = OPEN(t, "f");

    (void)ctx;
    pattern(bytes, number * sizeof(bytes), sizeof(bytes), 9);
    nt_barrier(t, 1, 8);
    OK(t, nt_write(t, h, number * (int64_t)sizeof(bytes), bytes, sizeof(bytes)));
}

static void writers_of_different_parts_make_one_file(struct t *t)
{
    uint8_t *bytes = keep(t, 128 * KIB);

    host_puts(t, "f", "");
    together(t, 8, write_own_part, NULL);
    EQUAL(t, 128 * KIB, host_read(t, "f", bytes, 128 * KIB));
    CHECK(t, pattern_is(bytes, 0, 128 * KIB, 9));
}

static void lazy_write_through(struct t *t, unsigned number, void *ctx)
{
    handle h = number ? OPEN(t, "f") : OPEN(t, "f", .access = FILE_GENERIC_READ);

    (void)ctx;
    nt_barrier(t, 1, 2);
    for (unsigned i = 0; i < 20; i++)
        if (number)
            nt_puts(t, h, 0, "WWWW");
        else
            OK(t, nt_write_flags(t, h, 4, "PPPP", 4, DOOR_IO_PAGING));
}

/* Incumbent: a handle opened for reading cannot write (B.4, C.5). */
static void lazy_writes_and_writes_go_side_by_side(struct t *t)
{
    host_puts(t, "f", "........");
    together(t, 2, lazy_write_through, NULL);
    TEXT(t, "WWWWPPPP", host_gets(t, "f"));
}

static void list_or_change(struct t *t, unsigned number, void *ctx)
{
    (void)ctx;
    nt_barrier(t, 1, 4);
    for (unsigned i = 0; i < 10; i++) {
        if (number == 0) {
            MAKE_FILE(t, keep_printf(t, "new%u", i));
            OK(t, nt_remove(t, keep_printf(t, "new%u", i)));
        } else {
            handle d = OPEN(t, "", .access = FILE_LIST_DIRECTORY);
            const struct listing *l = nt_list_by(t, d, NULL, FileBothDirectoryInformation, 600, 0);

            for (unsigned k = 0; k < 50; k++)
                CHECK(t, has(l, keep_printf(t, "stays%02u", k)));
            nt_close(t, d);
        }
    }
}

static void listings_are_complete_while_others_create_and_delete(struct t *t)
{
    for (unsigned k = 0; k < 50; k++)
        host_puts(t, keep_printf(t, "stays%02u", k), "");
    together(t, 4, list_or_change, NULL);
}

static void open_and_close(struct t *t, unsigned number, void *ctx)
{
    (void)number;
    (void)ctx;
    nt_barrier(t, 1, 8);
    for (unsigned i = 0; i < 50; i++)
        OK(t, TRY(t, "f"));
}

static void a_file_opened_by_many_is_given_up_by_all(struct t *t)
{
    host_puts(t, "f", "text");
    together(t, 8, open_and_close, NULL);
    OK(t, TRY(t, "f", .share = SHARE_NONE));
    OK(t, nt_remove(t, "f"));
    CHECK(t, !host_exists(t, "f"));
}

static const struct test_case cases[] = {
    CASE(creates_in_different_directories_overlap),
    CASE(of_many_creators_one_wins),
    CASE(of_many_who_open_or_create_one_creates_and_all_open),
    CASE(many_make_the_same_tree),
    CASE(overwriting_together_leaves_one_of_the_texts),
    CASE(of_many_renames_to_one_name_one_wins),
    CASE(opening_while_renaming_finds_the_file_or_nothing),
    CASE(renames_across_two_directories_both_ways_do_not_lock_each_other_out),
    CASE(a_file_that_many_delete_is_deleted),
    CASE(creating_and_deleting_in_one_directory_does_not_mix),
    CASE(sixteen_readers_have_their_reads_under_way_together),
    CASE(appends_of_many_do_not_overwrite_each_other),
    CASE(writers_of_different_parts_make_one_file),
    CASE(lazy_writes_and_writes_go_side_by_side),
    CASE(listings_are_complete_while_others_create_and_delete),
    CASE(a_file_opened_by_many_is_given_up_by_all),
};
GROUP(concurrency, cases);
