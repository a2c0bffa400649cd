// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_shared.c - the Windows service's client on a volume that another host changes
 *
 * Theory of operation
 *
 *   The stage `scale` runs it natively: daemon and client are on host B's mount, $VIOFS_SCALE_B; what host A does is
 *   done in $VIOFS_SCALE_A, another mount of the same volume. $VIOFS_SCALE_DOWN is the shell command that ends all
 *   servers, for the last test.
 *
 * Ownership and locks: the rig's.
 */
#include "tests/client/rig.h"

#include <limits.h>
#include <time.h>

static const char *other(const char *name)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", getenv("VIOFS_SCALE_A"), name);
    return path;
}

/* Host A writes a whole file and closes it. */
static void other_writes(const char *name, const char *text)
{
    int fd = open(other(name), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_ok(close(fd));
}

static struct rig *up(bool feed)
{
    static const char *const watch[] = {"--watch=inotify", NULL};

    return rig_start(&(struct rig_options){
        .cli = {.want_feed = feed}, .args = feed ? watch : NULL, .share = getenv("VIOFS_SCALE_B")});
}

static void pass(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void read_is(struct rig *r, const char *name, const char *text)
{
    struct cli_file *f = open_at(r, name, CLI_READ);
    char p[64];
    long n = read_at(r, f, p, sizeof(p), 0);

    cli_file_close(r->c, f);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(p, text, strlen(text));
}

static void test_what_another_host_has_closed_is_read_within_a_second(void **state)
{
    struct rig *r = up(false);

    (void)state;
    other_writes("closed", "one");
    read_is(r, "closed", "one");
    other_writes("closed", "longer");
    pass(1100);
    read_is(r, "closed", "longer");
    other_writes("closed", "LONGER");
    pass(1100);
    read_is(r, "closed", "LONGER");
}

/* inotify hears nothing of host A: an hour's validity would hide its changes for an hour. */
static void test_the_feed_makes_no_validity_longer(void **state)
{
    struct rig *r = up(true);
    struct cli_node *n = NULL;
    struct cli_session s;
    struct cli_attr a;

    (void)state;
    cli_session_get(r->c, &s);
    assert_true(s.feed); /* else nothing is proved */
    other_writes("fed", "one");
    put(r, node_at(r, "fed")); /* its directory is looked in */
    pass(300);
    n = node_at(r, "fed");
    assert_ok(cli_getattr(r->c, n, false, &a));
    assert_int_equal(a.size, 3);
    other_writes("fed", "longer");
    pass(1100);
    assert_ok(cli_getattr(r->c, n, false, &a));
    assert_int_equal(a.size, 6);
    put(r, n);
    assert_ok(unlink(other("fed")));
    pass(1100);
    assert_errno(walk(r, "fed", &n), ENOENT);
}

static void test_a_rename_that_must_not_replace_does_not(void **state)
{
    struct rig *r = up(false);
    struct cli_node *n = NULL;

    (void)state;
    other_writes("mine", "mine");
    assert_errno(walk(r, "theirs", &n), ENOENT); /* may be remembered as missing */
    other_writes("theirs", "theirs");
    assert_errno(cli_rename(r->c, r->root, name_of("mine"), r->root, name_of("theirs"),
                            CLI_RENAME_NOREPLACE),
                 EEXIST);
    read_is(r, "theirs", "theirs");
    read_is(r, "mine", "mine");
    assert_ok(
        cli_rename(r->c, r->root, name_of("mine"), r->root, name_of("free"), CLI_RENAME_NOREPLACE));
    read_is(r, "free", "mine");
}

static void test_numbers_are_whole_and_no_birth_time_is_made_up(void **state)
{
    struct rig *r = up(false);
    struct cli_attr a;
    struct stat st;

    (void)state;
    other_writes("number", "x");
    struct cli_node *n = node_at(r, "number");
    assert_ok(cli_getattr(r->c, n, true, &a));
    put(r, n);
    assert_ok(stat(other("number"), &st));
    assert_int_equal(a.ino, st.st_ino);
    assert_true(a.ino > UINT32_MAX);
    assert_false(a.has_btime);
}

static void test_an_open_file_that_another_host_deletes_stays_readable(void **state)
{
    struct rig *r = up(false);
    char p[8];

    (void)state;
    other_writes("going", "still");
    struct cli_file *f = open_at(r, "going", CLI_READ);
    assert_ok(unlink(other("going")));
    assert_int_equal(read_at(r, f, p, sizeof(p), 0), 5);
    cli_file_close(r->c, f);
}

static void test_a_directory_that_another_host_deletes_takes_no_files(void **state)
{
    struct rig *r = up(false);
    struct cli_node *n = NULL;
    struct cli_file *f;

    (void)state;
    assert_ok(mkdir(other("dir"), 0755));
    struct cli_node *dir = node_at(r, "dir");
    assert_ok(rmdir(other("dir")));
    int e = cli_create(r->c, dir, name_of("f"), 0644, CLI_WRITE, &n, &f);
    assert_true(e == -LE_ENOENT ||
                e == -LE_ESTALE); /* both are STATUS_OBJECT_PATH_NOT_FOUND (status.c) */
    put(r, dir);
}

/* GlusterFS says ENOTCONN, which must not pass for the end of the session: the drive would go. */
static void test_without_servers_all_fails_with_eio_and_the_session_stays(void **state)
{
    struct rig *r = up(false);
    struct cli_node *n = NULL;
    struct cli_file *f = create(r, "last", CLI_READ | CLI_WRITE);
    char p[8];

    (void)state;
    assert_int_equal(write_at(r, f, "kept", 4, 0, 0), 4);
    assert_ok(system(getenv("VIOFS_SCALE_DOWN")));
    pass(1100);
    assert_errno(write_at(r, f, "lost", 4, 4, 0), EIO);
    assert_errno(read_at(r, f, p, sizeof(p), 0), EIO);
    assert_errno(walk(r, "mine2", &n), EIO);
    cli_file_close(r->c, f);
}

static const struct CMUnitTest tests[] = {
    RIG_TEST(test_what_another_host_has_closed_is_read_within_a_second),
    RIG_TEST(test_the_feed_makes_no_validity_longer),
    RIG_TEST(test_a_rename_that_must_not_replace_does_not),
    RIG_TEST(test_numbers_are_whole_and_no_birth_time_is_made_up),
    RIG_TEST(test_an_open_file_that_another_host_deletes_stays_readable),
    RIG_TEST(test_a_directory_that_another_host_deletes_takes_no_files),
    RIG_TEST(test_without_servers_all_fails_with_eio_and_the_session_stays),
};

RIG_MAIN("shared", tests)
