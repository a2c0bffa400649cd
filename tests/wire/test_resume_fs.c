// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_resume_fs.c - a killed worker where files have no lasting identity: overlayfs and FUSE
 *
 * These file systems give no handles that lead to a file again, and no birth time that stays. The next worker goes by name, number
 * and type; what cannot be found that way is stale until the guest looks it up, and the log says so beforehand.
 */
#include "tests/wire/ground.h"

#include <signal.h>

#define LOCKS "-o", "posix_lock,flock"

static struct wire *up_on(struct ground *g, void (*mount_it)(struct ground *))
{
    ground_lay(g, "", mount_it);
    return wire_start(&(struct wire_options){
        .args = (const char *const[]){"--supervise", LOCKS, NULL}, .daemon = {.share = g->share}});
}

static void kill_worker(struct wire *w)
{
    assert_ok(kill(daemon_worker_pid(&w->d), SIGKILL));
}

/* ---- what goes on ------------------------------------------------------------------------------ */

static void goes_on(struct wire *w)
{
    char text[16] = "";
    struct fuse_attr a;

    host_write(w, "f", "0123456789");
    host_mkdir(w, "d");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDWR), d = node(w, FC_ROOT, "d");
    uint64_t low = node(w, FC_ROOT, "low"), lh = opened(w, low, O_RDWR);
    assert_ok(fc_setlk(&w->c, f, fh, 7, F_WRLCK, 0, 4, false));

    kill_worker(w);
    assert_int_equal(fc_write(&w->c, f, fh, "ab", 2, 0), 2);
    assert_string_equal(host_read(w, "f"), "ab23456789");
    assert_ok(fc_getattr(&w->c, d, &a));
    assert_int_equal(node(w, FC_ROOT, "f"), f);
    assert_errno(fc_setlk(&w->c, f, fh, 8, F_WRLCK, 2, 2, false), EAGAIN);
    assert_int_equal(fc_write(&w->c, low, lh, "UPPER", 5, 0), 5);
    kill_worker(w);
    assert_int_equal(fc_read(&w->c, low, lh, text, 10, 0), 10);
    assert_memory_equal(text, "UPPER text", 10);
    assert_ok(fc_mkdir(&w->c, d, "new", 0755, &(struct fuse_entry_out){0}));
    assert_true(daemon_log_has(&w->d, "tells files apart by their numbers alone", PATIENCE_MS));
}

static void test_guest_on_overlayfs_goes_on_behind_a_killed_worker(void **state)
{
    (void)state;
    struct ground g;
    struct wire *w = up_on(&g, ground_overlay);

    goes_on(w);
    ground_clear(&g, w);
}

static void test_guest_on_fuse_goes_on_behind_a_killed_worker(void **state)
{
    (void)state;
    struct ground g;
    struct wire *w = up_on(&g, ground_fuse);

    goes_on(w);
    ground_clear(&g, w);
}

/* Return: what the guest reads of an open file that it has deleted, behind a killed worker. */
static ssize_t read_deleted(struct wire *w, char text[static 16])
{
    host_write(w, "gone", "no name");
    uint64_t gone = node(w, FC_ROOT, "gone"), gh = opened(w, gone, O_RDONLY);

    assert_ok(fc_unlink(&w->c, FC_ROOT, "gone"));
    kill_worker(w);
    ssize_t n = fc_read(&w->c, gone, gh, text, 7, 0);
    assert_ok(fc_release(&w->c, gone, gh));
    return n;
}

static void test_open_file_that_was_deleted_is_kept_on_overlayfs(void **state)
{
    (void)state;
    struct ground g;
    struct wire *w = up_on(&g, ground_overlay);
    char text[16] = "";

    assert_int_equal(read_deleted(w, text), 7);
    assert_string_equal(text, "no name");
    ground_clear(&g, w);
}

/* Its server removes the file when nobody has it open any more; what the supervisor has is not open there. */
static void test_open_file_that_was_deleted_is_lost_on_fuse_and_the_log_says_so(void **state)
{
    (void)state;
    struct ground g;
    struct wire *w = up_on(&g, ground_fuse);
    char text[16] = "";

    assert_errno(read_deleted(w, text), EBADF);
    assert_true(daemon_log_has(&w->d, "cannot be opened again", PATIENCE_MS));
    wire_alive(w);
    ground_clear(&g, w);
}

/* ---- what does not ------------------------------------------------------------------------------ */

static void moved_meanwhile(struct ground *g, struct wire *w)
{
    char text[16] = "";
    struct fuse_attr a;

    host_write(w, "f", "0123456789");
    host_write(w, "g", "other text");
    uint64_t f = node(w, FC_ROOT, "f"), fh = opened(w, f, O_RDONLY);
    uint64_t other = node(w, FC_ROOT, "g");
    assert_ok(rename(host(w, "f"), host(w, "h"))); /* the guest has not heard of it */
    assert_ok(rename(host(w, "g"), host(w, "f")));
    kill_worker(w);
    assert_errno(fc_getattr(&w->c, f, &a), ESTALE);
    assert_errno(fc_read(&w->c, f, fh, text, 10, 0), EBADF); /* and not the other file's bytes */
    assert_errno(fc_getattr(&w->c, other, &a), ESTALE);
    assert_int_equal(node(w, FC_ROOT, "h"), f); /* found by its number: it is known again */
    assert_ok(fc_getattr(&w->c, f, &a));
    assert_int_equal(fc_read(&w->c, f, fh, text, 10, 0), 10);
    assert_string_equal(text, "0123456789");
    assert_int_equal(node(w, FC_ROOT, "f"), other);
    ground_clear(g, w);
}

static void test_file_that_the_host_moves_on_overlayfs_is_stale_until_it_is_looked_up(void **state)
{
    (void)state;
    struct ground g;
    struct wire *w = up_on(&g, ground_overlay);

    moved_meanwhile(&g, w);
}

static void test_file_that_the_host_moves_on_fuse_is_stale_until_it_is_looked_up(void **state)
{
    (void)state;
    struct ground g;
    struct wire *w = up_on(&g, ground_fuse);

    moved_meanwhile(&g, w);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_guest_on_overlayfs_goes_on_behind_a_killed_worker),
    WIRE_TEST(test_guest_on_fuse_goes_on_behind_a_killed_worker),
    WIRE_TEST(test_open_file_that_was_deleted_is_kept_on_overlayfs),
    WIRE_TEST(test_open_file_that_was_deleted_is_lost_on_fuse_and_the_log_says_so),
    WIRE_TEST(test_file_that_the_host_moves_on_overlayfs_is_stale_until_it_is_looked_up),
    WIRE_TEST(test_file_that_the_host_moves_on_fuse_is_stale_until_it_is_looked_up),
};

WIRE_MAIN("resume_fs", tests)
