// SPDX-License-Identifier: BSD-3-Clause
/*
 * escape_links.c - symlinks that lead out of the share, put there by host or guest, before or during a request
 */
#include "tests/sandbox/escape.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/xattr.h>

static const char *const farm[] = {"abs-file", "abs-dir",  "rel-file",  "rel-dir", "chain",
                                   "dangling", "magic-fd", "magic-cwd", "up"};

/* Links to everything outside that is worth having. */
static struct wire *start(const char *const *args)
{
    const struct wire_options o = {.args = args};
    struct wire *w = wire_start(&o);

    prize_make(w);
    assert_ok(symlink(prize(w, "secret"), host(w, "abs-file")));
    assert_ok(symlink(prize(w, ""), host(w, "abs-dir")));
    assert_ok(symlink("../outside/secret", host(w, "rel-file")));
    assert_ok(symlink("../outside", host(w, "rel-dir")));
    assert_ok(symlink("rel-dir/secret", host(w, "chain")));
    assert_ok(symlink("../outside/new", host(w, "dangling")));
    assert_ok(symlink("/proc/self/fd/0", host(w, "magic-fd")));
    assert_ok(symlink("/proc/1/root", host(w, "magic-cwd")));
    assert_ok(symlink("..", host(w, "up")));
    return w;
}

static void test_links_are_not_followed_by_anything_that_opens(void **state)
{
    (void)state;
    struct wire *w = start(NULL);
    char text[64];
    uint64_t fh;

    for (unsigned i = 0; i < ARRAY(farm); i++) {
        uint64_t link = node(w, FC_ROOT, farm[i]);
        struct fuse_entry_out e;

        assert_errno(read_node(w, link, text, sizeof(text)), ELOOP);
        assert_true(fc_open_file(&w->c, link, O_RDWR | O_TRUNC, &fh) < 0);
        assert_true(fc_opendir(&w->c, link, &fh) < 0);
        assert_true(fc_truncate(&w->c, link, 0) < 0);
        assert_true(fc_create(&w->c, FC_ROOT, farm[i], O_RDWR, 0644, &e, &fh) < 0);
        assert_true(fc_create(&w->c, FC_ROOT, farm[i], O_RDWR | O_TRUNC, 0644, &e, &fh) < 0);
        assert_true(fc_create(&w->c, FC_ROOT, farm[i], O_RDWR | O_EXCL, 0644, &e, &fh) < 0);
    }
    prize_untouched(w);
}

static void test_links_are_not_directories(void **state)
{
    (void)state;
    struct wire *w = start(NULL);
    struct fuse_entry_out e;
    uint64_t fh;

    host_write(w, "file", "mine");
    for (unsigned i = 0; i < ARRAY(farm); i++) {
        uint64_t link = node(w, FC_ROOT, farm[i]);

        assert_errno(fc_lookup(&w->c, link, "secret", &e), ENOTDIR);
        assert_true(fc_mkdir(&w->c, link, "new", 0755, &e) < 0);
        assert_true(fc_mknod(&w->c, link, "new", S_IFREG | 0644, 0, &e) < 0);
        assert_true(fc_symlink(&w->c, link, "new", "x", &e) < 0);
        assert_true(fc_create(&w->c, link, "new", O_RDWR, 0644, &e, &fh) < 0);
        assert_true(fc_tmpfile(&w->c, link, O_RDWR, 0644, &e, &fh) < 0);
        assert_true(fc_link(&w->c, node(w, FC_ROOT, "file"), link, "new", &e) < 0);
        assert_true(fc_unlink(&w->c, link, "secret") < 0);
        assert_true(fc_rmdir(&w->c, link, "room") < 0);
        assert_true(fc_rename(&w->c, link, "secret", FC_ROOT, "stolen", 0) < 0);
        assert_true(fc_rename(&w->c, FC_ROOT, "file", link, "secret", 0) < 0);
        /* rename over the link replaces the link */
        assert_ok(fc_rename(&w->c, FC_ROOT, "file", FC_ROOT, farm[i], 0));
        assert_true(S_ISREG(host_stat(w, farm[i]).st_mode));
        assert_ok(fc_rename(&w->c, FC_ROOT, farm[i], FC_ROOT, "file", 0));
    }
    prize_untouched(w);
}

static void test_attributes_of_a_link_are_its_own(void **state)
{
    (void)state;
    struct wire *w = start((const char *const[]){"--xattr", NULL});
    struct fuse_setattr_in times = {.valid = FATTR_MTIME | FATTR_ATIME, .mtime = 5, .atime = 5};
    struct fuse_setattr_in owner = {.valid = FATTR_UID | FATTR_GID, .uid = 12, .gid = 12};
    struct fuse_attr a;
    char value[16];

    assert_ok(setxattr(prize(w, "secret"), "trusted.prize", "gold", 4, 0) < 0 && errno != ENOTSUP &&
                      errno != EPERM
                  ? -1
                  : 0);
    for (unsigned i = 0; i < ARRAY(farm); i++) {
        uint64_t link = node(w, FC_ROOT, farm[i]);

        assert_ok(fc_getattr(&w->c, link, &a));
        assert_true(S_ISLNK(a.mode));
        assert_true(fc_chmod(&w->c, link, 0777) < 0);
        (void)fc_setattr(&w->c, link, &times, NULL);
        (void)fc_setattr(&w->c, link, &owner, NULL);
        (void)fc_setxattr(&w->c, link, "user.mark", "x", 1, 0);
        (void)fc_setxattr(&w->c, link, "trusted.mark", "x", 1, 0);
        assert_true(fc_getxattr(&w->c, link, "trusted.prize", value, sizeof(value)) < 0);
        (void)fc_removexattr(&w->c, link, "trusted.prize");
    }
    assert_true(getxattr(prize(w, "secret"), "trusted.mark", value, sizeof(value)) < 0);
    assert_true(getxattr(prize(w, "secret"), "user.mark", value, sizeof(value)) < 0);
    prize_untouched(w);
}

static void test_removing_a_link_removes_only_the_link(void **state)
{
    (void)state;
    struct wire *w = start(NULL);

    for (unsigned i = 0; i < ARRAY(farm); i++) {
        assert_true(fc_rmdir(&w->c, FC_ROOT, farm[i]) < 0);
        assert_ok(fc_unlink(&w->c, FC_ROOT, farm[i]));
        assert_false(host_exists(w, farm[i]));
    }
    prize_untouched(w);
}

static void test_a_hard_link_to_a_link_is_a_link(void **state)
{
    (void)state;
    struct wire *w = start(NULL);
    struct fuse_entry_out e;

    for (unsigned i = 0; i < ARRAY(farm); i++) {
        assert_ok(fc_link(&w->c, node(w, FC_ROOT, farm[i]), FC_ROOT, "copy", &e));
        assert_true(S_ISLNK(e.attr.mode));
        assert_true(S_ISLNK(host_stat(w, "copy").st_mode));
        assert_ok(fc_unlink(&w->c, FC_ROOT, "copy"));
    }
    prize_untouched(w);
}

static void test_links_that_the_guest_makes_are_not_followed_either(void **state)
{
    (void)state;
    struct wire *w = start(NULL);
    struct fuse_entry_out e;
    char text[256];
    uint64_t fh;

    assert_ok(fc_symlink(&w->c, FC_ROOT, "mine", prize(w, "secret"), &e));
    assert_true(fc_readlink(&w->c, e.nodeid, text, sizeof(text)) > 0);
    assert_string_equal(text, prize(w, "secret"));
    assert_true(read_node(w, e.nodeid, text, sizeof(text)) < 0);
    assert_ok(fc_symlink(&w->c, FC_ROOT, "mine-dir", prize(w, ""), &e));
    assert_true(fc_lookup(&w->c, e.nodeid, "secret", &e) < 0);
    assert_true(fc_create(&w->c, FC_ROOT, "mine-dir", O_RDWR, 0644, &e, &fh) < 0);
    prize_untouched(w);
}

/* The host replaces what the guest has looked up by a link that leads outside. */
static void replaced_by_a_link(const char *const *args)
{
    struct wire *w = start(args);
    uint64_t dir, file, fh;
    struct fuse_entry_out e;
    char text[64];

    host_mkdir(w, "dir");
    host_write(w, "dir/secret", "mine");
    host_write(w, "file", "mine");
    dir = node(w, FC_ROOT, "dir");
    file = node(w, FC_ROOT, "file");
    assert_ok(rename(host(w, "dir"), host(w, "moved")));
    assert_ok(rename(host(w, "abs-dir"), host(w, "dir")));
    assert_ok(rename(host(w, "file"), host(w, "moved-file")));
    assert_ok(rename(host(w, "abs-file"), host(w, "file")));

    /* either it is not found any more, or it is still the file that the guest knows */
    if (read_node(w, file, text, sizeof(text)) >= 0)
        assert_string_equal(text, "mine");
    if (fc_lookup(&w->c, dir, "secret", &e) == 0 && read_node(w, e.nodeid, text, sizeof(text)) >= 0)
        assert_string_equal(text, "mine");
    if (fc_create(&w->c, dir, "new", O_RDWR, 0644, &e, &fh) == 0)
        assert_true(host_exists(w, "moved/new"));
    (void)fc_truncate(&w->c, file, 0);
    (void)fc_chmod(&w->c, file, 0777);
    (void)fc_chmod(&w->c, dir, 0777);
    (void)fc_rmdir(&w->c, dir, "room");
    prize_untouched(w);
}

static void test_what_the_host_replaces_by_a_link_is_not_reached_through_it(void **state)
{
    (void)state;
    replaced_by_a_link(NULL);
}

static void test_nor_without_file_handles(void **state)
{
    (void)state;
    replaced_by_a_link((const char *const[]){"--inode-file-handles=never", NULL});
}

/* ---- in a race --------------------------------------------------------------------------------- */

struct swapper {
    char dir[256], link[256], tmp[256];
    _Atomic bool stop;
};

/* Exchange a directory and a link to the outside, as fast as it goes. */
static void *swap(void *arg)
{
    struct swapper *s = arg;

    while (!s->stop)
        (void)!renameat2(AT_FDCWD, s->dir, AT_FDCWD, s->link, 2 /* RENAME_EXCHANGE */);
    return NULL;
}

static void test_a_link_that_comes_and_goes_is_never_crossed(void **state)
{
    (void)state;
    struct wire *w = start(NULL);
    struct swapper s = {.stop = false};
    pthread_t thread;
    unsigned found = 0;

    host_mkdir(w, "dir");
    host_write(w, "dir/secret", "mine");
    snprintf(s.dir, sizeof(s.dir), "%s", host(w, "dir"));
    snprintf(s.link, sizeof(s.link), "%s", host(w, "abs-dir"));
    assert_ok(pthread_create(&thread, NULL, swap, &s));
    for (int i = 0; i < 3000; i++) {
        struct fuse_entry_out e, f;
        char text[64];

        if (fc_lookup(&w->c, FC_ROOT, "dir", &e) < 0)
            continue;
        if (fc_lookup(&w->c, e.nodeid, "secret", &f) == 0) {
            if (read_node(w, f.nodeid, text, sizeof(text)) >= 0) {
                assert_string_equal(text, "mine");
                found++;
            }
            fc_forget(&w->c, f.nodeid, 1);
        }
        fc_forget(&w->c, e.nodeid, 1);
    }
    s.stop = true;
    pthread_join(thread, NULL);
    assert_true(found > 0);
    prize_untouched(w);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_links_are_not_followed_by_anything_that_opens),
    WIRE_TEST(test_links_are_not_directories),
    WIRE_TEST(test_attributes_of_a_link_are_its_own),
    WIRE_TEST(test_removing_a_link_removes_only_the_link),
    WIRE_TEST(test_a_hard_link_to_a_link_is_a_link),
    WIRE_TEST(test_links_that_the_guest_makes_are_not_followed_either),
    WIRE_TEST(test_what_the_host_replaces_by_a_link_is_not_reached_through_it),
    WIRE_TEST(test_nor_without_file_handles),
    WIRE_TEST(test_a_link_that_comes_and_goes_is_never_crossed),
};
WIRE_MAIN("escape_links", tests)
