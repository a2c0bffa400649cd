// SPDX-License-Identifier: BSD-3-Clause
/*
 * test_watch_where.c - the feed where not every change can be seen: FUSE, another's directories, an exhausted kernel
 *
 * What other hosts do on a file system with servers elsewhere no watch shows, so nothing there may be kept for longer than without
 * the feed. bindfs stands for them: what is changed below it, its kernel does not tell.
 */
#include "tests/wire/feed_rig.h"
#include "tests/wire/ground.h"

#include <grp.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { LONG = 3600, TIMED = 1, SOMEBODY = 23456 };

static void need_root(void)
{
    if (geteuid() != 0)
        skip();
}

/* A name that there is not: an error, which nobody keeps; or an entry of nothing with a validity. */
static ssize_t look_for_absent(struct wire *w, uint64_t dir)
{
    struct {
        struct fuse_entry_out e;
        struct fuse_viofs_ext ext;
    } out;

    return raw(w, VIOFS_LOOKUP, dir, "absent", sizeof("absent"), &out, sizeof(out));
}

static uint64_t size_of(struct wire *w, uint64_t id)
{
    struct fuse_attr a;

    assert_ok(fc_getattr(&w->c, id, &a));
    return a.size;
}

/* Where other hosts are: a name, its attributes and a missing name are valid as without the feed, and then are as they are. */
static void assert_timed(struct feed_rig *r, const struct ground *g, uint64_t dir)
{
    struct wire *w = r->w;
    char low[100];
    struct fuse_entry_out e = feed_lookup(r, dir, "low");

    assert_int_equal(e.entry_valid, TIMED);
    assert_int_equal(e.attr_valid, TIMED);
    assert_int_equal(e.attr.size, 10);
    assert_errno(look_for_absent(w, dir), ENOENT);

    snprintf(low, sizeof(low), "%s/below/low", g->base);
    assert_ok(truncate(low, 5)); /* by another host */
    assert_int_equal(size_of(w, e.nodeid), 5);
    assert_int_equal(feed_lookup(r, dir, "low").entry_valid, TIMED);
}

static void test_nothing_of_a_fuse_share_is_kept_longer_for_the_feed(void **state)
{
    (void)state;
    struct ground g;

    ground_lay(&g, "", ground_fuse);
    struct feed_rig *r = feed_start(&(struct wire_options){.daemon = {.share = g.share}});
    assert_timed(r, &g, FC_ROOT);
    assert_int_equal(feed_watch(r, FC_ROOT, 1, 0),
                     0); /* not whole: who watches looks for himself, too */
    assert_int_equal(feed_lookup(r, FC_ROOT, "low").attr_valid, TIMED);
    ground_clear(&g, r->w);
}

static void test_a_fuse_mount_inside_a_share_is_timed_and_the_rest_is_not(void **state)
{
    (void)state;
    struct ground g;

    ground_lay(&g, "/far", ground_fuse);
    struct feed_rig *r = feed_start(&(struct wire_options){.daemon = {.share = g.share}});
    host_write(r->w, "near", "");
    assert_int_equal(feed_lookup(r, FC_ROOT, "near").entry_valid, LONG);
    struct fuse_entry_out far = feed_lookup(r, FC_ROOT, "far");
    assert_int_equal(far.entry_valid, TIMED); /* it can be unmounted */
    assert_int_equal(far.attr_valid, TIMED);
    assert_timed(r, &g, far.nodeid);
    assert_int_equal(feed_watch(r, FC_ROOT, 1, 0), 0);
    assert_int_equal(feed_lookup(r, FC_ROOT, "near").entry_valid, LONG);
    ground_clear(&g, r->w);
}

/* ---- without rights -------------------------------------------------------------------------------- */

static struct feed_rig *up_as_somebody(void)
{
    need_root();
    return feed_start(&(struct wire_options){.daemon = {.user = SOMEBODY}});
}

static void test_what_the_daemon_may_not_read_makes_a_subtree_partly_covered(void **state)
{
    (void)state;
    struct feed_rig *r = up_as_somebody();
    struct wire *w = r->w;

    host_mkdir(w, "d");
    host_mkdir(w, "d/open");
    uint64_t d = feed_enter(r, FC_ROOT, "d", "d");
    assert_int_equal(feed_watch(r, d, 1, 0), VIOFS_WATCH_WHOLE);
    assert_ok(feed_unwatch(r, 1));

    host_mkdir(w, "d/closed");
    assert_ok(chmod(host(w, "d/closed"), 0700)); /* root's */
    assert_int_equal(feed_watch(r, d, 2, 0), 0);
    feed_enter(r, d, "open", "d/open");
    (void)feed_changes(r);
    host_write(w, "d/closed/secret", "");
    host_write(w, "d/open/seen", "");
    const char *told = feed_changes(r);
    assert_non_null(strstr(told, "ADDED d/open/seen\n"));
    assert_null(strstr(told, "secret"));
    wire_alive(w);
}

/* A process of the same user takes all instances of inotify that he may have. Return: its pid */
static pid_t exhaust_inotify(void)
{
    int tell[2];
    char c;

    assert_ok(pipe(tell));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (setgroups(0, NULL) < 0 || setresgid(SOMEBODY, SOMEBODY, SOMEBODY) < 0 ||
            setresuid(SOMEBODY, SOMEBODY, SOMEBODY) < 0)
            _exit(1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (inotify_init1(IN_CLOEXEC) >= 0)
            ;
        if (write(tell[1], "", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    close(tell[1]);
    assert_int_equal(read(tell[0], &c, 1), 1);
    close(tell[0]);
    return pid;
}

static void test_a_daemon_that_gets_no_inotify_serves_without_the_feed(void **state)
{
    (void)state;
    need_root();
    if (strcmp(feed_backend(), "--watch=inotify") != 0)
        skip();
    pid_t other = exhaust_inotify();
    struct wire *w = wire_start(&(struct wire_options){
        .args = (const char *const[]){"--watch=auto", NULL}, .daemon = {.user = SOMEBODY}});

    assert_false(feed_probe(w, VIOFS_FEATURE_FEED) & VIOFS_FEATURE_FEED);
    host_write(w, "f", "text");
    assert_int_equal(size_of(w, node(w, FC_ROOT, "f")), 4);
    assert_ok(kill(other, SIGKILL));
    waitpid(other, NULL, 0);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_nothing_of_a_fuse_share_is_kept_longer_for_the_feed),
    WIRE_TEST(test_a_fuse_mount_inside_a_share_is_timed_and_the_rest_is_not),
    WIRE_TEST(test_what_the_daemon_may_not_read_makes_a_subtree_partly_covered),
    WIRE_TEST(test_a_daemon_that_gets_no_inotify_serves_without_the_feed),
};

WIRE_MAIN("watch_where", tests)
