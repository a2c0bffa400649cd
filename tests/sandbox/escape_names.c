// SPDX-License-Identifier: BSD-3-Clause
/*
 * escape_names.c - names that point out of the share, in every request that carries one
 */
#include "tests/sandbox/escape.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE  2
#endif

/* Every request that takes a name, with @bad as the name, in the directory @dir. None may succeed. */
static void try_everywhere(struct wire *w, uint64_t dir, const char *bad)
{
    struct fuse_entry_out e;
    uint64_t fh, file = node(w, FC_ROOT, "file");

    assert_true(fc_mkdir(&w->c, dir, bad, 0755, &e) < 0);
    assert_true(fc_mknod(&w->c, dir, bad, S_IFREG | 0644, 0, &e) < 0);
    assert_true(fc_mknod(&w->c, dir, bad, S_IFIFO | 0644, 0, &e) < 0);
    assert_true(fc_create(&w->c, dir, bad, O_RDWR, 0644, &e, &fh) < 0);
    assert_true(fc_create(&w->c, dir, bad, O_RDWR | O_TRUNC, 0644, &e, &fh) < 0);
    assert_true(fc_symlink(&w->c, dir, bad, "target", &e) < 0);
    assert_true(fc_link(&w->c, file, dir, bad, &e) < 0);
    assert_true(fc_unlink(&w->c, dir, bad) < 0);
    assert_true(fc_rmdir(&w->c, dir, bad) < 0);
    assert_true(fc_rename(&w->c, dir, bad, FC_ROOT, "stolen", 0) < 0);
    assert_true(fc_rename(&w->c, FC_ROOT, "file", dir, bad, 0) < 0);
    assert_true(fc_rename(&w->c, FC_ROOT, "file", dir, bad, RENAME_NOREPLACE) < 0);
    assert_true(fc_rename(&w->c, FC_ROOT, "file", dir, bad, RENAME_EXCHANGE) < 0);
    assert_true(fc_rename(&w->c, dir, bad, FC_ROOT, "file", RENAME_EXCHANGE) < 0);
}

static struct wire *start(void)
{
    struct wire *w = wire_up(NULL);

    prize_make(w);
    host_write(w, "file", "mine");
    host_mkdir(w, "dir");
    host_mkdir(w, "dir/sub");
    return w;
}

/* What was in the share is still there, and nothing else is. */
static void share_untouched(struct wire *w)
{
    assert_string_equal(host_read(w, "file"), "mine");
    assert_int_equal(host_stat(w, "file").st_nlink, 1);
    assert_int_equal(host_stat(w, "dir").st_nlink, 3);
    assert_false(host_exists(w, "stolen"));
}

static void test_absolute_names_reach_nothing(void **state)
{
    (void)state;
    struct wire *w = start();
    struct fuse_entry_out e;
    const char *names[] = {prize(w, "secret"), prize(w, "room"), prize(w, "new"), "/", "/file"};

    for (unsigned i = 0; i < ARRAY(names); i++) {
        assert_true(fc_lookup(&w->c, FC_ROOT, names[i], &e) < 0);
        try_everywhere(w, FC_ROOT, names[i]);
        try_everywhere(w, node(w, FC_ROOT, "dir"), names[i]);
    }
    share_untouched(w);
    prize_untouched(w);
}

static void test_dotdot_names_reach_nothing(void **state)
{
    (void)state;
    struct wire *w = start();
    struct fuse_entry_out e;
    static const char *const names[] = {
        "../outside/secret",
        "../outside/room",
        "../outside/new",
        "../../../../../../etc/passwd",
        "dir/../../outside/secret",
        "./../outside/new",
        "sub/../../../outside/secret",
        "../",
    };

    for (unsigned i = 0; i < ARRAY(names); i++) {
        assert_true(fc_lookup(&w->c, FC_ROOT, names[i], &e) < 0);
        try_everywhere(w, FC_ROOT, names[i]);
        try_everywhere(w, node(w, FC_ROOT, "dir"), names[i]);
    }
    try_everywhere(w, FC_ROOT, "..");
    try_everywhere(w, FC_ROOT, ".");
    try_everywhere(w, node(w, FC_ROOT, "dir"), "..");
    share_untouched(w);
    prize_untouched(w);
}

static void test_dotdot_climbs_to_the_root_and_stays_there(void **state)
{
    (void)state;
    struct wire *w = start();
    uint64_t at = node(w, node(w, FC_ROOT, "dir"), "sub");

    for (int i = 0; i < 20; i++)
        at = node(w, at, "..");
    assert_int_equal(at, FC_ROOT);
    prize_untouched(w);
}

static void test_what_follows_the_nul_of_a_name_counts_for_nothing(void **state)
{
    (void)state;
    struct wire *w = start();
    static const char name[] = "file\0/../../outside/secret";
    struct fuse_entry_out e;

    if (raw(w, FUSE_LOOKUP, FC_ROOT, name, sizeof(name), &e, sizeof(e)) > 0)
        assert_int_equal(e.nodeid, node(w, FC_ROOT, "file"));
    (void)raw(w, FUSE_UNLINK, FC_ROOT, name, sizeof(name), NULL, 0);
    prize_untouched(w);
}

static void test_a_name_without_its_nul_is_refused(void **state)
{
    (void)state;
    struct wire *w = start();
    struct fuse_entry_out e;

    assert_true(raw(w, FUSE_LOOKUP, FC_ROOT, "file", 4, &e, sizeof(e)) < 0);
    assert_true(raw(w, FUSE_RMDIR, FC_ROOT, "dir", 3, NULL, 0) < 0);
    share_untouched(w);
}

static void test_listings_show_no_way_up(void **state)
{
    (void)state;
    struct wire *w = start();
    uint64_t fh = open_dir(w, FC_ROOT);
    ssize_t n = fc_readdir_raw(&w->c, FC_ROOT, fh, 0, 65536, true);
    unsigned ups = 0;
    size_t at = 0;

    assert_true(n > 0);
    while (at + sizeof(struct fuse_direntplus) <= (size_t)n) {
        const struct fuse_direntplus *d = (const void *)(w->c.data + at);

        if (d->dirent.namelen == 2 && memcmp(d->dirent.name, "..", 2) == 0) {
            assert_true(d->entry_out.nodeid == 0 || d->entry_out.nodeid == FC_ROOT);
            ups++;
        }
        at += FUSE_DIRENTPLUS_SIZE(d);
    }
    assert_int_equal(ups, 1);
    prize_untouched(w);
}

static void test_made_up_node_ids_are_nobody(void **state)
{
    (void)state;
    struct wire *w = start();
    uint64_t ids[] = {0, 2, 3, 1000, 1ull << 32, 1ull << 48, UINT64_MAX, UINT64_MAX - 1};
    struct fuse_entry_out e;
    struct fuse_attr a;
    char text[64];

    for (unsigned i = 0; i < ARRAY(ids); i++) {
        assert_true(fc_getattr(&w->c, ids[i], &a) < 0);
        assert_true(fc_lookup(&w->c, ids[i], "secret", &e) < 0);
        assert_true(read_node(w, ids[i], text, sizeof(text)) < 0);
        assert_true(fc_link(&w->c, ids[i], FC_ROOT, "stolen", &e) < 0);
        assert_true(fc_rename(&w->c, FC_ROOT, "file", ids[i], "x", 0) < 0);
    }
    share_untouched(w);
    prize_untouched(w);
}

static void test_a_handle_of_one_file_is_not_good_for_another(void **state)
{
    (void)state;
    struct wire *w = start();
    uint64_t file, other, fh, dir_fh;
    char text[16];

    host_write(w, "other", "other");
    file = node(w, FC_ROOT, "file");
    other = node(w, FC_ROOT, "other");
    fh = opened(w, file, O_RDWR);
    dir_fh = open_dir(w, FC_ROOT);
    assert_errno(fc_read(&w->c, other, fh, text, sizeof(text), 0), EBADF);
    assert_errno(fc_write(&w->c, other, fh, "x", 1, 0), EBADF);
    assert_errno(fc_read(&w->c, FC_ROOT, dir_fh, text, sizeof(text), 0), EBADF);
    assert_errno(fc_readdir_raw(&w->c, file, fh, 0, 4096, false), EBADF);
    for (uint64_t guess = 0; guess < 200; guess++)
        assert_true(guess == fh || fc_read(&w->c, file, guess, text, sizeof(text), 0) < 0);
    share_untouched(w);
}

static const struct CMUnitTest tests[] = {
    WIRE_TEST(test_absolute_names_reach_nothing),
    WIRE_TEST(test_dotdot_names_reach_nothing),
    WIRE_TEST(test_dotdot_climbs_to_the_root_and_stays_there),
    WIRE_TEST(test_what_follows_the_nul_of_a_name_counts_for_nothing),
    WIRE_TEST(test_a_name_without_its_nul_is_refused),
    WIRE_TEST(test_listings_show_no_way_up),
    WIRE_TEST(test_made_up_node_ids_are_nobody),
    WIRE_TEST(test_a_handle_of_one_file_is_not_good_for_another),
};
WIRE_MAIN("escape_names", tests)
