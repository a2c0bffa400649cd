// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_lock_table.c - owners of record locks, on real files
 *
 * A "file" of the table is a path here; opening counts, so that leaks of descriptors and references show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/lock_table.h"
#include "tests/unit/keep_rig.h"

struct rig {
    char a[32], b[32]; /* two files */
    int opened, referenced;
    int open_error;
    struct lock_table *table;
};

static int open_path(void *ctx, void *file)
{
    struct rig *rig = ctx;

    if (rig->open_error)
        return rig->open_error;
    rig->opened++;
    return open(file, O_RDWR | O_CLOEXEC);
}

static void ref_path(void *ctx, void *file)
{
    (void)file;
    ((struct rig *)ctx)->referenced++;
}

static void unref_path(void *ctx, void *file)
{
    (void)file;
    ((struct rig *)ctx)->referenced--;
}

static uint32_t number_path(void *ctx, const void *file)
{
    return file == ((struct rig *)ctx)->a ? 1 : 2;
}

static void *hold_path(void *ctx, uint32_t number)
{
    struct rig *rig = ctx;

    rig->referenced++;
    return number == 1 ? rig->a : rig->b;
}

static const struct lock_files files = {open_path, ref_path, unref_path, number_path, hold_path};

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_non_null(rig);
    snprintf(rig->a, sizeof(rig->a), "/tmp/lock-a-XXXXXX");
    snprintf(rig->b, sizeof(rig->b), "/tmp/lock-b-XXXXXX");
    close(mkstemp(rig->a));
    close(mkstemp(rig->b));
    assert_int_equal(lock_table_new(&rig->table, &files, rig, 4, NULL), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    lock_table_free(rig->table);
    assert_int_equal(rig->referenced, 0);
    unlink(rig->a);
    unlink(rig->b);
    free(rig);
    return 0;
}

static int lock(struct rig *rig, void *file, uint64_t owner, short type, off_t start, off_t len)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    struct lock_owner *o;
    int err = lock_owner_get(rig->table, file, owner, &o);

    if (err)
        return err;
    err = lock_owner_set(o, &fl, (uint32_t)owner + 100);
    lock_owner_put(rig->table, o);
    return err;
}

static void test_owners_of_one_daemon_exclude_each_other(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(lock(rig, rig->a, 1, F_WRLCK, 0, 10), 0);
    assert_int_equal(lock(rig, rig->a, 2, F_WRLCK, 5, 10), -EAGAIN);
    assert_int_equal(lock(rig, rig->a, 2, F_RDLCK, 0, 1), -EAGAIN);
    assert_int_equal(lock(rig, rig->a, 2, F_WRLCK, 10, 10), 0);
}

static void test_an_owner_does_not_exclude_itself(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(lock(rig, rig->a, 1, F_WRLCK, 0, 10), 0);
    assert_int_equal(lock(rig, rig->a, 1, F_RDLCK, 0, 10), 0);
    assert_int_equal(lock(rig, rig->a, 2, F_RDLCK, 0, 10), 0);
    assert_int_equal(rig->opened, 2);
}

static void test_read_locks_are_shared(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(lock(rig, rig->a, 1, F_RDLCK, 0, 0), 0);
    assert_int_equal(lock(rig, rig->a, 2, F_RDLCK, 0, 0), 0);
    assert_int_equal(lock(rig, rig->a, 2, F_WRLCK, 0, 0), -EAGAIN);
}

static void test_files_are_told_apart(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(lock(rig, rig->a, 1, F_WRLCK, 0, 0), 0);
    assert_int_equal(lock(rig, rig->b, 2, F_WRLCK, 0, 0), 0);
    assert_int_equal(lock(rig, rig->b, 1, F_WRLCK, 0, 0), -EAGAIN);
}

static void test_unlocking_a_middle_leaves_both_ends(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(lock(rig, rig->a, 1, F_WRLCK, 0, 30), 0);
    assert_int_equal(lock(rig, rig->a, 1, F_UNLCK, 10, 10), 0);
    assert_int_equal(lock(rig, rig->a, 2, F_WRLCK, 10, 10), 0);
    assert_int_equal(lock(rig, rig->a, 2, F_WRLCK, 9, 1), -EAGAIN);
    assert_int_equal(lock(rig, rig->a, 2, F_WRLCK, 20, 1), -EAGAIN);
}

static void test_dropping_an_owner_frees_what_it_holds_on_that_file_only(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(lock(rig, rig->a, 1, F_WRLCK, 0, 0), 0);
    assert_int_equal(lock(rig, rig->b, 1, F_WRLCK, 0, 0), 0);
    assert_true(lock_owner_drop(rig->table, rig->a, 1));
    assert_false(lock_owner_drop(rig->table, rig->a, 1));
    assert_int_equal(lock(rig, rig->a, 2, F_WRLCK, 0, 0), 0);
    assert_int_equal(lock(rig, rig->b, 2, F_WRLCK, 0, 0), -EAGAIN);
}

static void test_dropping_frees_at_once_though_a_reference_is_out(void **state)
{
    struct rig *rig = *state;
    struct lock_owner *o;

    assert_int_equal(lock(rig, rig->a, 1, F_WRLCK, 0, 0), 0);
    o = lock_owner_find(rig->table, rig->a, 1);
    assert_non_null(o);
    assert_true(lock_owner_drop(rig->table, rig->a, 1));
    assert_int_equal(lock(rig, rig->a, 2, F_WRLCK, 0, 0), 0);
    assert_int_equal(rig->referenced, 2);
    lock_owner_put(rig->table, o);
    assert_int_equal(rig->referenced, 1);
}

static void test_finding_makes_nothing(void **state)
{
    struct rig *rig = *state;

    assert_null(lock_owner_find(rig->table, rig->a, 1));
    assert_int_equal(rig->opened, 0);
}

static void test_owners_are_bounded(void **state)
{
    struct rig *rig = *state;

    for (uint64_t owner = 1; owner <= 4; owner++)
        assert_int_equal(lock(rig, rig->a, owner, F_RDLCK, 0, 0), 0);
    assert_int_equal(lock(rig, rig->a, 5, F_RDLCK, 0, 0), -ENOLCK);
    assert_int_equal(rig->opened, 4);
    assert_true(lock_owner_drop(rig->table, rig->a, 2));
    assert_int_equal(lock(rig, rig->a, 5, F_RDLCK, 0, 0), 0);
}

static void test_a_file_that_cannot_be_opened_leaves_nothing_behind(void **state)
{
    struct rig *rig = *state;

    rig->open_error = -ESTALE;
    assert_int_equal(lock(rig, rig->a, 1, F_RDLCK, 0, 0), -ESTALE);
    rig->open_error = -EMFILE;
    assert_int_equal(lock(rig, rig->a, 1, F_RDLCK, 0, 0), -ENOLCK);
    assert_null(lock_owner_find(rig->table, rig->a, 1));
    assert_int_equal(rig->referenced, 0);
}

static void test_the_owner_of_what_is_in_the_way_is_named(void **state)
{
    struct rig *rig = *state;
    const struct flock begin = {.l_type = F_RDLCK}, later = {.l_type = F_WRLCK, .l_start = 50};

    assert_int_equal(lock_other_pid(rig->table, rig->a, 2, &begin), 0);
    assert_int_equal(lock(rig, rig->a, 1, F_RDLCK, 0, 10), 0);
    assert_int_equal(lock_other_pid(rig->table, rig->a, 2, &begin), 101);
    assert_int_equal(lock_other_pid(rig->table, rig->b, 2, &begin), 0);
    assert_int_equal(lock_other_pid(rig->table, rig->a, 2, &later), 0); /* another program's */
    assert_int_equal(lock(rig, rig->a, 4, F_WRLCK, 40, 20), 0);
    assert_int_equal(lock_other_pid(rig->table, rig->a, 2, &begin), 101);
    assert_int_equal(lock_other_pid(rig->table, rig->a, 2, &later), 104);
    assert_int_equal(lock(rig, rig->a, 3, F_RDLCK, 0, 5), 0);
    assert_int_equal(lock_other_pid(rig->table, rig->a, 2, &begin), 0); /* one of two */
}

static void test_clearing_frees_everything(void **state)
{
    struct rig *rig = *state;
    int fd = open(rig->a, O_RDWR);
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    assert_int_equal(lock(rig, rig->a, 1, F_WRLCK, 0, 0), 0);
    assert_int_equal(lock(rig, rig->b, 2, F_WRLCK, 0, 0), 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), -1);
    lock_table_clear(rig->table);
    assert_int_equal(rig->referenced, 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
    close(fd);
    assert_int_equal(lock(rig, rig->a, 3, F_WRLCK, 0, 0), 0);
}

/* The worker locks ten bytes of every twenty, @n times, frees the middle of the second part, and is killed. */
static struct lock_table *left_by_a_worker(struct rig *rig, struct keep *k, unsigned n)
{
    struct lock_table *t;
    struct lock_owner *o;

    pid_t worker = keep_rig_fork(k);
    if (worker == 0) {
        if (lock_table_new(&t, &files, rig, 4, k) || lock_owner_get(t, rig->b, 77, &o))
            _exit(1);
        for (unsigned i = 0; i < n; i++) {
            struct flock fl = {.l_type = i % 2 ? F_RDLCK : F_WRLCK, .l_start = 20 * i, .l_len = 10};
            if (lock_owner_set(o, &fl, 1234))
                _exit(1);
        }
        const struct flock middle = {.l_type = F_UNLCK, .l_start = 22, .l_len = 2};
        if (n > 1 && lock_owner_set(o, &middle, 1234))
            _exit(1);
        raise(SIGKILL);
    }
    assert_true(WIFSIGNALED(keep_rig_wait(k, worker)));
    keep_rig_resumes(k, true);
    assert_int_equal(lock_table_new(&t, &files, rig, 4, k), 0);
    assert_int_equal(lock_table_resume(t), 0);
    return t;
}

static bool others_may_lock(const char *path)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
    int fd = open(path, O_RDWR | O_CLOEXEC);
    bool may = fcntl(fd, F_OFD_SETLK, &fl) == 0;

    close(fd);
    return may;
}

static void test_a_lock_outlives_the_worker_and_goes_with_its_owner(void **state)
{
    struct rig *rig = *state;
    struct keep *k = keep_rig_open();
    struct lock_table *t = left_by_a_worker(rig, k, 1);
    const struct flock fl = {.l_type = F_WRLCK};

    assert_false(others_may_lock(rig->b));
    assert_int_equal(lock_other_pid(t, rig->b, 78, &fl), 1234);
    assert_int_equal(keep_rig_count(k), 1);
    assert_true(lock_owner_drop(t, rig->b, 77));
    assert_true(others_may_lock(rig->b));
    assert_int_equal(keep_rig_count(k), 0);
    lock_table_free(t);
    keep_rig_close(k);
}

/* As lock_table_each() tells of the one owner. */
struct told {
    bool known;
    uint32_t n;
    struct lock_range first, last;
};

static int note(void *ctx, void *file, uint64_t owner, uint32_t pid,
                const struct lock_ranges *ranges)
{
    struct told *told = ctx;

    (void)file;
    assert_int_equal(owner, 77);
    assert_int_equal(pid, 1234);
    told->known = ranges;
    told->n = ranges ? ranges->n : 0;
    if (told->n > 0) {
        told->first = ranges->at[0];
        told->last = ranges->at[told->n - 1];
    }
    return 0;
}

static void test_the_bytes_that_are_locked_are_known_to_the_next_worker(void **state)
{
    struct rig *rig = *state;
    struct keep *k = keep_rig_open();
    struct lock_table *t = left_by_a_worker(rig, k, 3);
    struct told told = {0};

    assert_int_equal(lock_table_each(t, note, &told), 0);
    assert_true(told.known);
    assert_int_equal(told.n, 4);
    assert_int_equal(told.first.start, 0);
    assert_int_equal(told.first.end, 9);
    assert_int_equal(told.first.type, F_WRLCK);
    assert_int_equal(told.last.start, 40);

    lock_table_clear(t);
    lock_table_free(t);
    keep_rig_close(k);
}

static void test_more_ranges_than_are_kept_stay_locked_and_are_said_to_be_unknown(void **state)
{
    struct rig *rig = *state;
    struct keep *k = keep_rig_open();
    struct lock_table *t = left_by_a_worker(rig, k, 4100);
    struct told told = {.known = true};

    assert_int_equal(lock_table_each(t, note, &told), 0);
    assert_false(told.known);
    assert_false(others_may_lock(rig->b));
    lock_table_clear(t);
    assert_true(others_may_lock(rig->b));
    lock_table_free(t);
    keep_rig_close(k);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_owners_of_one_daemon_exclude_each_other),
        TEST(test_an_owner_does_not_exclude_itself),
        TEST(test_read_locks_are_shared),
        TEST(test_files_are_told_apart),
        TEST(test_unlocking_a_middle_leaves_both_ends),
        TEST(test_dropping_an_owner_frees_what_it_holds_on_that_file_only),
        TEST(test_dropping_frees_at_once_though_a_reference_is_out),
        TEST(test_finding_makes_nothing),
        TEST(test_owners_are_bounded),
        TEST(test_a_file_that_cannot_be_opened_leaves_nothing_behind),
        TEST(test_the_owner_of_what_is_in_the_way_is_named),
        TEST(test_clearing_frees_everything),
        TEST(test_a_lock_outlives_the_worker_and_goes_with_its_owner),
        TEST(test_the_bytes_that_are_locked_are_known_to_the_next_worker),
        TEST(test_more_ranges_than_are_kept_stay_locked_and_are_said_to_be_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
